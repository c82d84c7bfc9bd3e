"""From the labels that a user asks for to positions along a dimension.

`sel` selects from a Dataset, `by_label` returns the positions for that, and `find` does so for the
coordinates along one dimension. `Space.sel`, `Result.sel` and `PointIndex.sel` all use them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._grid.labels import Labels, text
from gridax._grid.select import without_jax


def by_label(
    dataset: xr.Dataset,
    queries: Mapping[Any, Any],
    method: str | None = None,
    tolerance: float | None = None,
) -> dict[str, Any]:
    """Return positions by dimension for labels by coordinate, as `xarray.Dataset.isel` takes them.

    Parameters
    ----------
    dataset : coordinates with an index can be selected by.
    queries : a label, list, array, DataArray or slice of labels by coordinate. Several coordinates
        along one dimension select the points that have all of them.
    method, tolerance : as in `Space.sel`.

    Returns
    -------
    dict
        An int, an array, or a DataArray per dimension.

    Raises
    ------
    KeyError
        If a label does not exist, or nothing is selected; the nearest labels are listed.
    TypeError, ValueError
        If a coordinate does not exist, or a query cannot be a label.

    Examples
    --------
    >>> dataset = xr.Dataset(coords={"x": [0.1, 0.2, 0.3], "s": ["a", "b"]})
    >>> by_label(dataset, {"x": 0.1 + 0.2, "s": ["b", "a"]})
    {'x': 2, 's': array([1, 0])}
    >>> by_label(dataset, {"x": 0.24}, method="nearest")
    {'x': 1}
    """
    check_method(method, tolerance)
    members: dict[Hashable, dict[Hashable, Labels]] = {}
    for name in queries:
        if name not in dataset.xindexes:
            known = ", ".join(repr(str(indexed)) for indexed in dataset.xindexes)
            raise ValueError(f"no axis {name!r} to select by; the axes are {known or 'none'}")
        (dim,) = dataset[name].dims
        members.setdefault(dim, {})[name] = _labels_of(dataset, name)
    positions = {}
    for dim, labels in members.items():
        asked = {name: queries[name] for name in labels}
        along = find(labels, dim, asked, method, tolerance)
        if np.size(along) == 0:
            raise KeyError(_message(labels, asked))
        positions[str(dim)] = along
    return positions


def sel(
    dataset: xr.Dataset,
    queries: Mapping[Any, Any],
    method: str | None = None,
    tolerance: float | None = None,
    drop: bool = False,
) -> xr.Dataset:
    """Select from a Dataset by label, with the rules of `by_label`.

    Dates are left to xarray, and so are dimensions without labels, which are selected by position.

    Examples
    --------
    >>> dataset = xr.Dataset({"y": ("x", [1, 2, 3])}, {"x": [0.1, 0.2, 0.3]})
    >>> sel(dataset, {"x": 0.1 + 0.2})["y"].item()
    3
    """
    others = {
        name: without_jax(query)
        for name, query in queries.items()
        if (name in dataset.coords and dataset[name].dtype.kind in "mM")
        or (name in dataset.dims and name not in dataset.coords)
    }
    labels = {name: query for name, query in queries.items() if name not in others}
    selected = dataset.isel(by_label(dataset, labels, method, tolerance), drop=drop)
    for name, query in others.items():
        inexact = method is not None and name in dataset.coords and not isinstance(query, slice)
        how: dict[str, Any] = {"method": method, "tolerance": tolerance} if inexact else {}
        selected = selected.sel({name: query}, drop=drop, **how)
    return selected


def _labels_of(dataset: xr.Dataset, name: Hashable) -> Labels:
    """Return the labels of a coordinate, which its index may have sorted before."""
    prepared = getattr(dataset.xindexes.get(name), "labels", {})
    return prepared[name] if name in prepared else Labels.of(name, dataset[name].values)


def check_method(method: str | None, tolerance: float | None) -> None:
    """Reject a method other than exact and nearest selection."""
    if method not in (None, "nearest"):
        raise ValueError(f"method must be None or 'nearest', got {method!r}")
    if tolerance is not None and method is None:
        raise ValueError(
            "tolerance= requires method='nearest'; without it, labels must match exactly"
        )
    if tolerance is not None and np.ndim(tolerance):
        raise TypeError(f"tolerance= must be a number, got {tolerance!r}; select one by one")


def find(
    labels: Mapping[Any, Labels],
    dim: Hashable,
    queries: Mapping[Any, Any],
    method: str | None = None,
    tolerance: float | None = None,
) -> Any:
    """Return the positions along a dimension that have the wanted labels.

    Parameters
    ----------
    labels, dim : the coordinates along the dimension, and its name.
    queries, method, tolerance : as in `by_label`; lists for several coordinates are read in pairs.

    Returns
    -------
    int, numpy.ndarray or xarray.DataArray
        An int for a single label that one point has. A DataArray with dimensions of its own keeps
        its dimensions and coordinates.
    """
    single = {name: query for name, query in queries.items() if not isinstance(query, slice)}
    slices = {name: query for name, query in queries.items() if isinstance(query, slice)}
    inside: np.ndarray | None = None
    for name, part in slices.items():
        between = labels[name].inside(part)
        inside = between if inside is None else inside[np.isin(inside, between)]
    if not single:
        return inside
    for name, query in single.items():
        labels[name].check(getattr(query, "values", query))
    arrays, shape, like = _aligned(single, dim)
    wanted = {name: labels[name].check(array) for name, array in arrays.items()}
    searched = {name: labels[name].among(inside) for name in wanted}
    try:
        if method == "nearest" and any(member.is_numeric for member in searched.values()):
            positions = _find_nearest(searched, wanted, tolerance)
        else:
            positions = _find_exact(searched, wanted)
    except _NoMatch as error:
        missing = {name: array[error.args[0]] for name, array in wanted.items()}
        raise KeyError(_message(labels, {**missing, **slices}, tolerance)) from None
    positions = positions if inside is None else inside[positions]
    if len(positions) != math.prod(shape):  # several points have a label
        return positions
    positions = positions.reshape(shape)
    if like is not None and like.dims != (dim,):
        return like.copy(data=positions)
    return positions if positions.ndim else int(positions)


class _NoMatch(Exception):
    """No point matches the query whose number is the argument."""


def _find_exact(labels: Mapping[Any, Labels], wanted: Mapping[Any, np.ndarray]) -> np.ndarray:
    """Return the positions of all points that have the wanted labels, query by query."""
    codes, queried = _joint_codes(labels, wanted)
    order = (
        next(iter(labels.values())).order if len(labels) == 1 else np.argsort(codes, kind="stable")
    )
    codes = codes[order]
    start, stop = (np.searchsorted(codes, queried, side=side) for side in ("left", "right"))
    counts = stop - start
    if (counts == 0).any():
        raise _NoMatch(int(np.flatnonzero(counts == 0)[0]))
    if (counts == 1).all():
        return order[start]
    return np.concatenate([order[a:b] for a, b in zip(start, stop, strict=True)])


def _joint_codes(
    labels: Mapping[Any, Labels], wanted: Mapping[Any, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for the labels of each point and of each query; -1 for unknown ones."""
    (name, member), *others = labels.items()
    codes, queried = member.codes, member.code(wanted[name])
    for name, member in others:
        n = len(member.distinct)
        asked = member.code(wanted[name])
        queried = np.where((queried < 0) | (asked < 0), -1, queried * n + asked)
        combined, codes = np.unique(codes * n + member.codes, return_inverse=True)
        at = np.searchsorted(combined, queried).clip(max=max(len(combined) - 1, 0))
        queried = np.where(combined[at] == queried, at, -1) if combined.size else queried
    return codes, queried


def common(
    labels: Mapping[Any, Labels], others: Mapping[Any, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions, in pairs, of the points that two tables of labels have in common.

    Labels are the same by the rule of `find`. Points with the same labels are paired in their
    order.

    Examples
    --------
    >>> common({"x": Labels.of("x", np.array([0.1, 0.2, 0.3]))}, {"x": np.array([0.1 + 0.2, 0.7])})
    (array([2]), array([0]))
    """
    nothing = np.empty(0, np.int64), np.empty(0, np.int64)
    try:
        wanted = {name: member.check(others[name]) for name, member in labels.items()}
    except TypeError:  # of another kind
        return nothing
    codes, queried = map(_numbered, _joint_codes(labels, wanted))
    known = np.flatnonzero(queried[:, 0] >= 0)
    n = 1 + max(codes[:, 1].max(initial=0), queried[:, 1].max(initial=0))
    keys, asked = (pairs[:, 0] * n + pairs[:, 1] for pairs in (codes, queried[known]))
    _, mine, theirs = np.intersect1d(keys, asked, assume_unique=True, return_indices=True)
    order = np.argsort(mine)
    return mine[order], known[theirs[order]]


def _numbered(codes: np.ndarray) -> np.ndarray:
    """Return each number together with how many of the same come before it."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(codes)])
    before = np.empty(len(codes), np.int64)
    before[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.r_[starts, len(codes)]))
    return np.stack([codes, before], axis=1)


def _find_nearest(
    labels: Mapping[Any, Labels], wanted: Mapping[Any, np.ndarray], tolerance: float | None
) -> np.ndarray:
    """Return the position of the point that is nearest to each query.

    Labels that are not numbers must match exactly. Distances are scaled by the extent of each
    coordinate, whereas the tolerance holds for each of them as it is.
    """
    near = [name for name, member in labels.items() if member.is_numeric]
    exact = {name: member for name, member in labels.items() if name not in near}
    codes, queried = _joint_codes(exact, wanted) if exact else (None, None)
    positions = np.empty(len(wanted[near[0]]), dtype=np.int64)
    for i in range(len(positions)):
        where = None if queried is None else np.flatnonzero(codes == queried[i])
        distance: Any = 0.0
        far: Any = False
        for name in near:
            values = labels[name].values if where is None else labels[name].values[where]
            with np.errstate(invalid="ignore"):  # inf - inf
                gap = np.abs(values.astype(float) - float(wanted[name][i]))
            distance = distance + (gap / labels[name].extent) ** 2
            far = far | (np.isnan(gap) if tolerance is None else ~(gap <= tolerance))
        best = int(np.argmin(distance)) if distance.size else 0
        if not distance.size or far[best]:
            raise _NoMatch(i)
        if len(near) == 1:  # of a tie the larger label, as pandas does
            ties = np.flatnonzero(distance == distance[best])
            best = int(ties[np.argmax(values[ties])]) if np.isfinite(distance[best]) else best
        positions[i] = best if where is None else where[best]
    return positions


def _aligned(
    queries: Mapping[Any, Any], dim: Hashable
) -> tuple[dict[Any, Any], tuple[int, ...], xr.DataArray | None]:
    """Bring the queries for several coordinates to one shape; scalars go with every element.

    Return the flat queries, their shape, and, if there is a DataArray among the queries, one with
    the dimensions and coordinates of the result.
    """
    given = {name: xr.DataArray(q) for name, q in queries.items() if hasattr(q, "dims") and q.ndim}
    labeled = dict(zip(given, xr.broadcast(*given.values()), strict=True))
    arrays = {
        name: np.asarray(getattr(query, "values", query))
        for name, query in {**queries, **labeled}.items()
    }
    shapes = {a.shape for a in arrays.values() if a.ndim}
    if len(shapes) > 1:
        lengths = ", ".join(f"{name}: {arrays[name].shape}" for name in arrays)
        raise ValueError(
            f"lists of labels for several coordinates along {dim!r} are read in pairs, but their "
            f"shapes differ ({lengths}); pass lists of the same length"
        )
    shape = next(iter(shapes), ())
    flat = {name: np.broadcast_to(a, shape).reshape(-1) for name, a in arrays.items()}
    return flat, shape, next(iter(labeled.values()), None)


def _message(
    labels: Mapping[Any, Labels], asked: Mapping[Any, Any], tolerance: float | None = None
) -> str:
    """Return the message for labels that no point has."""
    wanted = ", ".join(f"{name}={text(query)}" for name, query in asked.items())
    within = "" if tolerance is None else f" within {tolerance}"
    known = "; ".join(labels[name].describe(query) for name, query in asked.items())
    return f"no points match {wanted}{within}; {known}"
