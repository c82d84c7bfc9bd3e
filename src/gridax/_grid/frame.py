"""Tables with one row per point, for pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridax._grid.grid import Column, Grid


def parameter_columns(grid: Grid) -> dict[str, Any]:
    """Return one column per axis, each with one entry per point in the order of the points.

    Arrays are object cells. An array that was given labels has one column for its labels and one
    for its values.
    """
    columns: dict[str, Any] = {}
    for column in grid.columns:
        columns.update(_cells(column, grid))
    return columns


def _cells(column: Column, grid: Grid) -> dict[str, np.ndarray]:
    rows = column.all_rows(grid.sizes)
    table = column.table
    labels = spread(table.labels[rows], column.dim, grid)
    if table.kind == "array":
        arrays = spread(cells(table.values)[rows], column.dim, grid)
        if np.array_equal(table.labels, np.arange(len(table))):
            return {column.name: arrays}
        return {column.name: labels, column.value_name: arrays}
    if table.labeled:
        return {
            column.name: labels,
            column.value_name: spread(table.values[rows], column.dim, grid),
        }
    return {column.name: labels}


def spread(along: np.ndarray, dim: str | None, grid: Grid) -> np.ndarray:
    """Repeat the entries along one dimension to one entry per point of the grid."""
    shape = [size if name == dim else 1 for name, size in grid.sizes.items()]
    full = tuple(grid.sizes.values())
    return np.broadcast_to(along.reshape(shape), full).reshape(-1)


def cells(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return an object array with one element per entry of the first dimension."""
    objects = np.empty(len(values), dtype=object)
    objects[:] = list(values)
    return objects
