"""The points that two results have in common, found by the labels of all axes.

Where both have the same axes along each dimension, labels are matched dimension by dimension.
Otherwise, as for a grid and some points picked from it, all points of both are listed first.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._grid.labels import Labels
from gridax._grid.lookup import common
from gridax._outputs.labels import without_states
from gridax._reduce.variables import FAILED as FAILED_POINTS
from gridax._text import listing
from gridax.result import Result, kept_dims
from gridax.space import points_of

# The dimension of points that are listed; no user's dimension starts with a blank.
_LISTED = " points"


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """One of two results.

    Attributes
    ----------
    name : what it is called.
    dataset : its outputs.
    axes : names of the coordinates that tell its points apart; None if it does not say.
    """

    name: str
    dataset: xr.Dataset
    axes: tuple[str, ...] | None

    @classmethod
    def of(cls, given: Result | xr.Dataset, name: str) -> Side:
        """Return a result, or a Dataset with the outputs of one, under a name."""
        if isinstance(given, xr.Dataset):
            return cls(name, given, _described_axes(given))
        points = points_of(given.space)
        kept = kept_dims(given)
        columns = (points if kept is None else points.along(kept)).grid.columns
        return cls(name, given.dataset, tuple(column.name for column in columns))

    @functools.cached_property
    def outputs(self) -> dict[str, xr.Variable]:
        """The outputs by name."""
        outputs = without_states(self.dataset)
        return {name: v.variable for name, v in outputs.items() if name != FAILED_POINTS}

    def labels(self, axes: tuple[str, ...]) -> dict[str, xr.Variable]:
        """Return the labels of the axes that there are, along a dimension or single ones."""
        found = {name: self.dataset.coords[name] for name in axes if name in self.dataset.coords}
        return {name: c.variable for name, c in found.items() if c.ndim <= 1}


def _described_axes(dataset: xr.Dataset) -> tuple[str, ...] | None:
    """Return the axes that the attributes of a Dataset describe, as far as it still has them."""
    try:
        leaves = json.loads(dataset.attrs["space"])["leaves"]
        names = [str(leaf["axis"]["name"]) for leaf in leaves if "axis" in leaf]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return tuple(name for name in names if name in dataset.coords)


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
    """Positions of common points along each dimension of two results.

    Attributes
    ----------
    axes : names of the axes of both.
    labels : labels of the axes of each, by name.
    sizes : dimensions of the points of each, with their sizes.
    pairs : positions in the first and in the second, by dimension of the first.
    twins : the dimension of the second for each of the first.
    is_listed : whether all points are listed along one dimension.
    problem : why there are no points in common, if there cannot be any.
    """

    axes: tuple[str, ...]
    labels: tuple[Mapping[str, xr.Variable], Mapping[str, xr.Variable]]
    sizes: tuple[Mapping[str, int], Mapping[str, int]]
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]
    twins: Mapping[str, str]
    is_listed: bool = False
    problem: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of common labels along the dimensions."""
        return tuple(len(mine) for mine, _ in self.pairs.values())

    @property
    def n_common(self) -> int:
        """Number of common points."""
        return 0 if self.problem else math.prod(self.shape)

    def n_points(self, side: int) -> int:
        """Return the number of points of one of the results."""
        return math.prod(self.sizes[side].values())

    def arranged(self, variable: xr.Variable, side: int) -> xr.Variable:
        """Return an output with the dimensions of `pairs` first, then its own."""
        sizes = self.sizes[side]
        own = [dim for dim in variable.dims if dim not in sizes]
        full = variable  # which stays lazy unless it has to be repeated or transposed
        if len(own) + len(sizes) > variable.ndim:
            full = variable.set_dims({**sizes, **{dim: variable.sizes[dim] for dim in own}})
        if self.is_listed and not sizes:  # a single point
            return full.set_dims({_LISTED: 1, **full.sizes})
        if self.is_listed:
            listed = full.transpose(*sizes, *own).stack({_LISTED: list(sizes)})
            return listed.transpose(_LISTED, ...)
        first = self.pairs if side == 0 else self.twins.values()
        return full.transpose(*first, *own)

    def own(self, variable: xr.Variable, side: int) -> dict[str, int]:
        """Return the sizes of the own dimensions of an output."""
        return {str(d): n for d, n in variable.sizes.items() if d not in self.sizes[side]}

    def labels_at(self, index: tuple[int, ...]) -> dict[str, Any]:
        """Return the labels of a common point, given its number along each dimension."""
        at = {dim: int(self.pairs[dim][0][i]) for dim, i in zip(self.pairs, index, strict=True)}
        if self.is_listed:
            sizes = self.sizes[0]
            places = np.unravel_index(at[_LISTED], tuple(sizes.values())) if sizes else ()
            at = {dim: int(i) for dim, i in zip(sizes, places, strict=True)}
        labels = self.labels[0].items()
        return {name: v.isel(at, missing_dims="ignore").values.item() for name, v in labels}

    def only(self, side: int) -> dict[str, pd.DataFrame]:
        """Return, by dimension, the labels that only one of the results has."""
        if self.problem:
            return {}
        found = {}
        for dim, pair in self.pairs.items():
            mine = dim if side == 0 else self.twins[dim]
            size = self.n_points(side) if self.is_listed else self.sizes[side][mine]
            left = np.setdiff1d(np.arange(size), pair[side])
            if left.size:
                labels = self.labels[side]
                columns = {n: v.values for n, v in labels.items() if v.dims == (mine,)}
                if self.is_listed:
                    columns = _listed(labels, self.sizes[side])
                found[mine.strip()] = pd.DataFrame({n: v[left] for n, v in columns.items()})
        return found


def align(a: Side, b: Side) -> Alignment:
    """Find the points that two results have in common.

    A Dataset that does not describe its axes has those of the other result.
    """
    known = dict.fromkeys([*(a.axes or ()), *(b.axes or ())])
    axes = tuple(known) or tuple(str(n) for n in a.dataset.xindexes if n in b.dataset.xindexes)
    mine, theirs = a.labels(axes), b.labels(axes)
    sizes = _sizes(mine), _sizes(theirs)
    lacking = [
        (name, a if name in mine else b) for name in axes if (name in mine) != (name in theirs)
    ]
    if lacking:
        listed = listing([f"{name!r} is only in {side.name}" for name, side in lacking])
        why = f"points cannot be matched, since the axes differ: {listed}"
        return Alignment(axes, (mine, theirs), sizes, {}, {}, problem=why)
    groups, others = _groups(mine), _groups(theirs)
    is_alike = groups.keys() == others.keys()
    if not is_alike or any((groups[k] is None) != (others[k] is None) for k in groups):
        pair = matched(_listed(mine, sizes[0]), _listed(theirs, sizes[1]))
        twins = {_LISTED: _LISTED}
        return Alignment(axes, (mine, theirs), sizes, {_LISTED: pair}, twins, is_listed=True)
    pairs, twins, problem = {}, {}, ""
    for members, dim in groups.items():
        if dim is None:
            problem = _other_labels(members, mine, theirs)
            continue
        along = ({name: side[name].values for name in members} for side in (mine, theirs))
        pairs[dim], twins[dim] = matched(*along), str(others[members])
    return Alignment(axes, (mine, theirs), sizes, pairs, twins, problem=problem)


def _other_labels(
    names: Iterable[str], mine: Mapping[str, xr.Variable], theirs: Mapping[str, xr.Variable]
) -> str:
    """Say which single labels differ; empty if none does."""
    differ = []
    for name in sorted(names):
        one, other = (side[name].values.reshape(1) for side in (mine, theirs))
        if not matched({name: one}, {name: other})[0].size:
            differ.append(f"{name}={one.item()!r} and {name}={other.item()!r}")
    return f"the points have other labels: {listing(differ)}" if differ else ""


def matched(
    mine: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of labels in one and in the other that are the same."""
    if any((mine[name].dtype.kind == "b") != (theirs[name].dtype.kind == "b") for name in mine):
        return np.empty(0, np.int64), np.empty(0, np.int64)  # True is not 1
    labels = {name: Labels.of(name, values) for name, values in mine.items()}
    return common(labels, {name: Labels.of(name, v).values for name, v in theirs.items()})


def _groups(labels: Mapping[str, xr.Variable]) -> dict[frozenset[str], str | None]:
    """Return the dimension of all axes that share one; None for those that have none."""
    members: dict[str | None, set[str]] = {}
    for name, variable in labels.items():
        dim = str(variable.dims[0]) if variable.ndim else None
        members.setdefault(dim, set()).add(name)
    return {frozenset(names): dim for dim, names in members.items()}


def _sizes(labels: Mapping[str, xr.Variable]) -> dict[str, int]:
    return {str(dim): size for variable in labels.values() for dim, size in variable.sizes.items()}


def _listed(labels: Mapping[str, xr.Variable], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return the labels of all points, in their order."""
    return {name: v.set_dims({**sizes}).values.reshape(-1) for name, v in labels.items()}
