"""The space of the points of a result, and of new ones where its output needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import xarray as xr

from gridax import _checks
from gridax._axes import StoredAxis, is_axis
from gridax._axes.base import REFINED, call
from gridax._axes.table import Table
from gridax._grid.grid import POINT, Column, Grid
from gridax._grid.interp import is_log, is_single
from gridax._grid.points import Points
from gridax._outputs.labels import without_states
from gridax._pytree import Skeleton, mapped
from gridax._refine.proposals import By, proposed
from gridax._refine.ticks import Ticks
from gridax._stores.base import DONE
from gridax._text import listing
from gridax.result import Result
from gridax.space import Space, points_of, space_of

# Most axes that are refined together, and most values of a point that are looked at.
_AXES, _VALUES = 5, 32
_ZIPPED = (
    "varies together with others along 'point'; to refine among these points, name all in dims="
)


def refine(
    result: Result,
    output: str,
    n: int,
    by: By = "surplus",
    dims: str | Sequence[str] | None = None,
) -> Space:
    """Return the space of all points of a result, and of new ones where they matter most.

    New points are halfway between others: labels are means in decimals (geometric means on
    logarithmic axes, whole numbers on integer ones). ``run(extend=result)`` on the space computes
    only the new points, and its result can be refined again.

    Parameters
    ----------
    result : Result
        A result of a product, or of a space that was refined before; of scattered points with all
        of their axes in `dims`. Points that failed or are pending count as NaN.
    output : str
        The output that decides where new points are; of a result that was reduced, a variable such
        as ``"rate.mean"``. Values along dimensions that are not refined are averaged, and those of
        a point that is an array count together.
    n : int
        Number of new points. There are fewer if labels cannot be halved any further. Several rounds
        place points better than a single one, as each knows the values of those before.
    by : {"surplus", "boundary"}, optional
        ``"surplus"`` places points where linear interpolation would be the worst; ``"boundary"``
        between points with different values, such as the regimes of a phase diagram; it suits
        outputs with a few values.
    dims : str or sequence of str, optional
        Up to five dimensions with numeric labels that are refined. All others stay whole, so every
        new point has all trials. By default, these are all with an axis of numbers.

    Returns
    -------
    Space
        The points lie along the dimension ``point``, those of the result first, followed by the
        dimensions that stay whole.

    Raises
    ------
    TypeError, ValueError
        If there is no such output or dimension, or a dimension cannot be refined.

    Notes
    -----
    The points are triangulated (up to three dimensions and 20 000 points). The longest edge of the
    simplex with the largest loss is halved, as in Learner2D of the package adaptive (Nijholt et al.
    2019, doi:10.5281/zenodo.1182437), with predicted values for what is not evaluated yet. In more
    dimensions, edges along the axes are halved.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 5), "y": gx.GridAxis(0, 1, 5)}, mode="product")
    >>> step = lambda s: {"on": s["x"] + s["y"] > 0.9}
    >>> result = gx.ParallelExecution(step, space).run(progress=False)
    >>> finer = gx.refine(result, "on", n=20, by="boundary")
    >>> result = gx.ParallelExecution(step, finer).run(extend=result, progress=False)
    >>> len(space), len(finer)
    (25, 45)
    """
    if not isinstance(result, Result):
        raise TypeError(f"refine takes a Result, got {type(result).__name__}")
    _checks.one_of(by, "refine", "by", get_args(By))
    n = _checks.count(n, "refine", "n")
    points = points_of(result.space)
    variable = _variable(result, output)
    columns = _columns(points, variable, dims)
    labels, values = _known(points, columns, variable, by)
    found = [np.unique(along, return_inverse=True) for along in labels]
    numbers = np.stack([inverse for _, inverse in found], axis=1)
    ticks = [
        Ticks(distinct, is_log(column), np.dtype(column.table.values.dtype))
        for column, (distinct, _) in zip(columns, found, strict=True)
    ]
    new, ticks = proposed(numbers, values, ticks, n, by)
    return _space(points, columns, np.concatenate([numbers, new]), ticks)


def _variable(result: Result, output: str) -> xr.Variable:
    """Return an output, NaN where it is not known."""
    dataset = result.dataset
    outputs = without_states(dataset)
    if output not in outputs:
        raise ValueError(f"refine: no output {output!r}; the outputs are {listing([*outputs])}")
    variable = dataset.variables[output]
    if variable.dtype.kind not in "biuf":
        raise ValueError(f"refine: output {output!r} is {variable.dtype}, not real numbers")
    if not variable.size:
        raise ValueError(f"refine: output {output!r} is an array without elements at each point")
    values = variable.astype(float)
    if "status" in dataset:
        status = dataset.variables["status"]
        if set(status.dims) <= set(variable.dims):
            values = values.where(status == DONE)
    return values


def _columns(
    points: Points, variable: xr.Variable, dims: str | Sequence[str] | None
) -> list[Column]:
    """Return the axes that are refined."""
    grid = points.grid
    is_again = POINT in grid.sizes and (points.mode == "product" or len(grid.members(POINT)) == 1)
    candidates = [c for c in grid.columns if c.dim is not None and c.dim in variable.dims]
    if dims is None:
        wanted = [c for c in candidates if (c.dim == POINT) == is_again and not _problem(c, points)]
        if not wanted:
            reasons = [f"axis {c.name!r} {_problem(c, points) or _ZIPPED}" for c in candidates]
            raise ValueError(
                f"refine: {'; '.join(reasons) or 'output has no dimension of an axis'}"
            )
    else:
        names = [dims] if isinstance(dims, str) else list(dims)
        by_name = {c.name: c for c in grid.columns} | {c.home: c for c in candidates}
        wanted = []
        for name in names:
            column = by_name.get(name)
            if column is None or column not in candidates:
                known = listing([c.name for c in candidates])
                raise ValueError(f"refine: output has no dimension {name!r}; there are {known}")
            problem = _problem(column, points)
            if problem:
                raise ValueError(f"refine: axis {name!r} {problem}")
            wanted.append(column)
        if len({c.slot for c in wanted}) < max(1, len(wanted)):
            raise ValueError(f"refine: dims must name some dimensions, each one once, got {dims!r}")
    along = {c.dim for c in wanted}
    left = [
        c.name for c in candidates if c.dim == POINT and c not in wanted and not is_single(c, grid)
    ]
    if POINT in along and (left or len(along) > 1):
        raise ValueError(
            "refine: the result was refined along "
            f"{listing([c.name for c in candidates if c.dim == POINT])}; refine the same ones again"
        )
    if len(wanted) > _AXES:
        raise ValueError(
            f"refine: {listing([c.name for c in wanted])} are more than {_AXES} axes; name those "
            "that matter with dims="
        )
    return wanted


def _problem(column: Column, points: Points) -> str | None:
    """Say why an axis cannot be refined, or return None."""
    table, grid, chain = column.table, points.grid, points.chain
    if chain is not None and column.dim == points.dims[chain.dim]:
        return "has labels that follow each other, so that none can be added between them"
    if not table.is_own_label or table.labels.dtype.kind not in "iuf":
        return f"has no numbers halfway between its values ({call(column.axis)})"
    if not np.isfinite(table.labels[column.all_rows(grid.sizes)]).all():
        return "has an infinite label, so there is nothing halfway between it and others"
    if is_single(column, grid):
        return "has a single label, but refine needs at least two"
    if column.dim != POINT and len(grid.members(str(column.dim))) > 1:
        return f"shares the dimension {column.dim!r} with others; refine a product of axes"
    if table.extra:
        return "has coordinates of its own, which new labels would not have"
    return None


def _known(
    points: Points, columns: Sequence[Column], variable: xr.Variable, by: By
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the labels along each axis of all points, and the values of `proposed`."""
    dims = list(dict.fromkeys(str(c.dim) for c in columns))
    inside = [d for d in variable.dims if d in points.sizes and d not in dims]
    if by == "surplus":
        variable = variable.mean(inside, skipna=True) if inside else variable
    array = variable.transpose(*dims, ...).values
    sizes = [points.sizes[dim] for dim in dims]
    values = array.reshape(int(np.prod(sizes)), -1)
    if values.shape[1] > _VALUES:
        values = values[:, np.linspace(0, values.shape[1] - 1, _VALUES).astype(int)]
    labels = [c.table.labels[c.all_rows(points.sizes)] for c in columns]
    if dims == [POINT]:
        return labels, values
    return [each.reshape(-1) for each in np.meshgrid(*labels, indexing="ij")], values


def _space(
    points: Points, columns: Sequence[Column], numbers: np.ndarray, ticks: Sequence[Ticks]
) -> Space:
    """Return the space of some points of the refined axes, with the others as they were."""
    refined: dict[int, Column] = {}
    for k, (column, along) in enumerate(zip(columns, ticks, strict=True)):
        used, rows = np.unique(along.labels[numbers[:, k]], return_inverse=True)
        table = dataclasses.replace(
            column.table, labels=used, values=used.astype(along.dtype), host=None
        )
        refined[column.slot] = dataclasses.replace(
            column, axis=_axis(column, table), table=table, dim=POINT, rows=rows
        )
    for column in points.grid.members(POINT):  # those with a single label
        if column.slot not in refined:
            rows = np.full(len(numbers), column.all_rows(points.sizes)[0])
            refined[column.slot] = dataclasses.replace(column, rows=rows)
    axes = {id(points.skeleton.leaves[slot]): column.axis for slot, column in refined.items()}
    state = mapped(lambda leaf: axes.get(id(leaf), leaf), points.skeleton.tree, is_axis)
    skeleton = Skeleton.of(state, is_axis)
    first = next(iter(dict.fromkeys(c.dim for c in columns)))
    replaced = {c.dim for c in columns}
    sizes: dict[str, int] = {}
    for dim, size in points.sizes.items():
        if dim == first:
            sizes[POINT] = len(numbers)
        elif dim not in replaced:
            sizes[dim] = size
    grid = Grid(sizes, tuple(refined.get(c.slot, c) for c in points.grid.columns))
    return space_of(dataclasses.replace(points, skeleton=skeleton).with_grid(grid))


def _axis(column: Column, table: Table) -> Any:
    written = call(column.axis).removesuffix(REFINED) + REFINED
    axis = column.axis
    return StoredAxis(table, written, name=axis.name, attrs=axis.attrs, wrap=axis.wrap)
