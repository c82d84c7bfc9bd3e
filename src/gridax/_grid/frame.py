"""Tables for pandas: one row per point, or one per point and index of outputs' own dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._arrays import is_floating
from gridax._grid.grid import Column, Grid
from gridax._memory import check_fits
from gridax._text import number_of


def parameter_columns(grid: Grid) -> dict[str, Any]:
    """Return the columns of all axes, each with one entry per point in the order of the points.

    Each axis has a column of labels. Where the labels do not determine the values, these follow as
    ``<name>_value``: arrays as object cells, and numbers that were given labels. Keys have labels
    only.
    """
    columns: dict[str, Any] = {}
    # Cells have 8 bytes, or refer to an object by as many; some dtypes of labels are smaller.
    nbytes = grid.n_points * sum(min(8, c.table.labels.dtype.itemsize) for c in grid.columns)
    check_fits(
        nbytes,
        f"the rows of {number_of(grid.n_points, 'point')}",
        "select some of the points first (sel, isel), or use the Dataset, which has one table per "
        "dimension",
    )
    for column in grid.columns:
        columns.update(_cells(column, grid))
    return columns


def _cells(column: Column, grid: Grid) -> dict[str, np.ndarray]:
    rows = column.all_rows(grid.sizes)
    table = column.table
    along = {column.name: table.labels[rows]}
    if table.kind == "array" or (table.kind == "number" and table.labeled):
        along[column.value_name] = cells(table.values)[rows]
    return {name: spread(entries, column.dim, grid) for name, entries in along.items()}


def spread(along: np.ndarray, dim: str | None, grid: Grid) -> np.ndarray:
    """Repeat the entries along one dimension to one entry per point of the grid."""
    shape = [size if name == dim else 1 for name, size in grid.sizes.items()]
    full = tuple(grid.sizes.values())
    return np.broadcast_to(along.reshape(shape), full).reshape(-1)


def cells(values: np.ndarray) -> np.ndarray:
    """Return one entry per element of the first dimension: numbers, or arrays as objects."""
    if values.ndim == 1:
        return plain(values)
    objects = np.empty(len(values), dtype=object)
    objects[:] = list(values)
    return objects


def plain(values: np.ndarray) -> np.ndarray:
    """Return numbers in a dtype of NumPy's own; pandas cannot compute with others, as bfloat16.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> plain(np.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    if values.dtype.isbuiltin != 2:  # 2: of JAX, and unknown to NumPy itself
        return values
    return values.astype(np.float32 if is_floating(values.dtype) else np.int8)


def long_columns(
    grid: Grid,
    beside: Mapping[str, np.ndarray],
    outputs: Mapping[str, xr.Variable],
    coords: Mapping[str, xr.Variable],
) -> dict[str, Any]:
    """Return the columns of a table in long form, in which every entry is a scalar.

    Parameters
    ----------
    grid : the points.
    beside : further columns with one entry per point, such as the status.
    outputs : the outputs, with the dimensions of the grid first, then their own.
    coords : coordinates; those of the outputs' own dimensions get a column.

    Returns
    -------
    dict of numpy.ndarray
        The axes, the outputs' own dimensions and coordinates, the outputs, and `beside`. The last
        of the own dimensions varies fastest. An output repeats along dimensions that it lacks.
    """
    own: dict[str, int] = {}
    for variable in outputs.values():
        own |= {str(d): n for d, n in variable.sizes.items() if d not in grid.sizes}
    n_own = math.prod(own.values())
    parameters = {n: c for n, c in parameter_columns(grid).items() if not _holds_arrays(c)}
    columns = {name: np.repeat(column, n_own) for name, column in parameters.items()}
    for name, variable in _own_coordinates(own, coords).items():
        full = variable.set_dims({**own}).transpose(*own).values.reshape(-1)
        columns[name] = np.tile(full, grid.n_points)
    for name, variable in outputs.items():
        sizes = {**grid.sizes, **own}
        columns[name] = plain(variable.set_dims(sizes).transpose(*sizes).values.reshape(-1))
    return columns | {name: np.repeat(column, n_own) for name, column in beside.items()}


def _holds_arrays(column: np.ndarray) -> bool:
    return column.dtype == object and column.size > 0 and isinstance(column[0], np.ndarray)


def _own_coordinates(
    own: Mapping[str, int], coords: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Return the coordinates of some dimensions, with positions where there are no labels."""
    labels = {dim: coords.get(dim, xr.Variable(dim, np.arange(n))) for dim, n in own.items()}
    others = {n: v for n, v in coords.items() if v.ndim and n not in own and set(v.dims) <= {*own}}
    return {**labels, **others}
