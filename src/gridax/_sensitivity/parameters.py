"""The parameters among which the variance is divided: dimensions of a product, or of a design."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from gridax._axes import GridAxis, QuadratureAxis
from gridax._axes.base import made_by
from gridax._grid.grid import POINT, Column, Grid
from gridax._grid.interp import is_log
from gridax._text import listing
from gridax._warnings import warn


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """Dimensions of a product, each of which is a parameter.

    Attributes
    ----------
    names, dims : of the parameters.
    weights : of the labels along each of the dimensions; their sum is one.
    """

    names: tuple[str, ...]
    dims: tuple[str, ...]
    weights: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """A Saltelli design along a dimension.

    Attributes
    ----------
    names : of the parameters.
    dim : the dimension, which has the points of one base sample after those of another.
    n_rows : number of points of a base sample: A, those with one parameter changed, and B.
    changed : which of these points has the value of B, for each parameter.
    """

    names: tuple[str, ...]
    dim: str
    n_rows: int
    changed: tuple[int, ...]

    def only(self, names: Sequence[str]) -> Design:
        """Return the design with some of the parameters."""
        changed = dict(zip(self.names, self.changed, strict=True))
        return dataclasses.replace(
            self, names=tuple(names), changed=tuple(changed[name] for name in names)
        )


def parameters_of(grid: Grid, wanted: Sequence[str]) -> Product | Design:
    """Return the parameters with some names; without names, all of them.

    Raises
    ------
    ValueError
        If they are along no dimension of a product and of no design, or have a single label.
    """
    designs = [d for dim in grid.dims if (d := _design(grid, dim)) is not None]
    chosen = [d for d in designs if not wanted or {*wanted} & {*d.names, d.dim}]
    if not chosen:
        return _product(grid, wanted)
    design = chosen[0]
    others = [name for name in wanted if name not in (*design.names, design.dim)]
    if others or len(chosen) > 1:
        problem = (
            f"{others[0]!r} is not one of them"
            if others
            else f"there is another one along {chosen[1].dim!r}"
        )
        raise ValueError(
            f"sobol: {listing(design.names)} are the parameters of a Saltelli design along "
            f"{design.dim!r}, but {problem}; name parameters of one design, all other dimensions "
            "are kept"
        )
    return design.only([n for n in design.names if n in wanted] or design.names)


def _product(grid: Grid, wanted: Sequence[str]) -> Product:
    dims = [_dim_named(grid, name) for name in wanted] if wanted else list(grid.dims)
    found: dict[str, tuple[str, np.ndarray]] = {}
    for dim in sorted({*dims}, key=grid.dims.index):
        members = grid.members(dim)
        names = [column.name for column in members]
        if dim == POINT:
            raise ValueError(
                f"sobol needs a product of axes, or all points of a Saltelli design in their "
                f"order, but the points of {listing(names)} lie along 'point', as those of a zip, "
                "a filter or a selection do; use mode='product', or gx.saltelli"
            )
        if len(members) > 1 and dim not in wanted:
            raise ValueError(
                f"sobol: {listing(names)} share the dimension {dim!r}, where they are neither a "
                "product nor a Saltelli design with all of its points in their order; use "
                "gx.saltelli for the indices of each, or name the dimension to count it as one "
                f"parameter: sobol({dim!r}, …)"
            )
        if grid.sizes[dim] == 1:
            raise ValueError(_single(names[0] if len(names) == 1 else dim))
        found[dim] = names[0] if len(names) == 1 else dim, _weights(grid, dim)
    if not found:
        raise ValueError("sobol: the result has a single point, so nothing varies")
    names, weights = zip(*found.values(), strict=True)
    return Product(tuple(names), tuple(found), tuple(weights))


def _dim_named(grid: Grid, name: str) -> str:
    """Return the dimension of a name, which is its own or that of an axis along it."""
    if name in grid.sizes:
        return name
    column = next(c for c in grid.columns if c.name == name)
    if column.dim is None:
        raise ValueError(_single(name))
    if column.dim != POINT and len(grid.members(column.dim)) > 1:
        raise ValueError(
            f"sobol: axis {name!r} shares the dimension {column.dim!r} with others; name the "
            f"dimension to count them as one parameter: sobol({column.dim!r}, …)"
        )
    return column.dim


def _single(name: str) -> str:
    return (
        f"sobol: {name!r} has a single label, so no share of the variance is due to it; name the "
        "other parameters to leave it out"
    )


def _weights(grid: Grid, dim: str) -> np.ndarray:
    """Return the weights of the labels along a dimension."""
    members = grid.members(dim)
    rows = [column.all_rows(grid.sizes) for column in members]
    given = {
        column.name: _checked(f"{column.name}_weight", variable.values[at])
        for column, at in zip(members, rows, strict=True)
        if (variable := column.table.extra.get(f"{column.name}_weight")) is not None
    }
    if given:
        first, *others = given.values()
        if not all(np.allclose(first, other) for other in others):
            raise ValueError(
                f"sobol: {listing([*given])} share the dimension {dim!r}, but have other weights; "
                "use a dimension for each"
            )
        _warn_of_missing(members, first)
        return first / first.sum()
    single = members[0]
    is_grid = made_by(single.axis, GridAxis) or is_log(single)
    if len(members) == 1 and is_grid:
        return trapezoid(single.table.labels[rows[0]], is_log(single))
    return np.full(grid.sizes[dim], 1 / grid.sizes[dim])


def _checked(name: str, weights: np.ndarray) -> np.ndarray:
    """Return weights that came with an axis, as floats."""
    if weights.ndim != 1 or weights.dtype.kind not in "biuf":
        problem = f"must be one number per label, got {weights.dtype} of shape {weights.shape}"
    elif not np.isfinite(weights).all():
        problem = "must be finite"
    elif (weights < 0).any():
        problem = "must not be negative"
    elif not weights.any():
        problem = "must not all be zero"
    else:
        return weights.astype(float)
    raise ValueError(f"sobol: the weights {name} {problem}; correct them, or rename the coordinate")


def _warn_of_missing(members: Sequence[Column], weights: np.ndarray) -> None:
    names = [c.name for c in members if made_by(c.axis, QuadratureAxis)]
    if names and weights.sum() < 1 - 1e-6:
        warn(
            f"sobol: the weights along {names[0]!r} add up to {weights.sum():.3g}, since nodes of "
            "its QuadratureAxis are missing; they are scaled to add up to 1, but the indices are "
            "only approximate"
        )


def trapezoid(labels: np.ndarray, on_log_scale: bool) -> np.ndarray:
    """Return the weights of the trapezoidal rule, of which the sum is one.

    Examples
    --------
    >>> trapezoid(np.array([0.0, 0.5, 1.0]), False).tolist()
    [0.25, 0.5, 0.25]
    >>> trapezoid(np.array([0.01, 0.1, 1.0]), True).round(6).tolist()
    [0.25, 0.5, 0.25]
    """
    places = np.log(labels) if on_log_scale else labels
    order = np.argsort(places, kind="stable")
    steps = np.diff(places[order])
    weights = np.empty(len(places))
    weights[order] = (np.append(steps, 0.0) + np.append(0.0, steps)) / 2
    return weights / weights.sum()


def _design(grid: Grid, dim: str) -> Design | None:
    """Return the Saltelli design along a dimension, which its labels show, or None.

    The first point of a base sample is A, and the last one B. Each of those between has the value
    of B for one parameter, and is A in all others. Axes that change together are one parameter.
    """
    columns = [
        (column.name, column.table.labels[column.all_rows(grid.sizes)])
        for column in grid.members(dim)
        if column.table.is_own_label and column.table.labels.dtype.kind in "if"
    ]
    size = grid.sizes[dim]
    for n_rows in range(len(columns) + 2, 2, -1):
        if size % n_rows:
            continue
        changed: dict[int, list[str]] = {}
        for name, labels in columns:
            row = _changed_row(labels.reshape(-1, n_rows))
            if row is not None:
                changed.setdefault(row, []).append(name)
        if {*changed} == {*range(1, n_rows - 1)}:
            order = sorted(changed, key=lambda row: [n for n, _ in columns].index(changed[row][0]))
            names = tuple(", ".join(changed[row]) for row in order)
            return Design(names, dim, n_rows, tuple(order))
    return None


def _changed_row(samples: np.ndarray) -> int | None:
    """Return which point of all base samples has the value of B, if the others have that of A."""
    is_first = (samples == samples[:, :1]).all(axis=0)
    (others,) = np.nonzero(~is_first[:-1])
    varies = (samples[:, 0] != samples[0, 0]).any()  # in a factorial design, it may not
    if is_first[-1] or not varies or len(others) != 1:
        return None
    if (samples[:, others[0]] != samples[:, -1]).any():
        return None
    return int(others[0])
