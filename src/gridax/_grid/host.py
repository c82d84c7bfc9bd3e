"""States as an untraced model receives them: the user's own Python and NumPy values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gridax._axes.table import read_only
from gridax._grid.chains import resolved
from gridax._grid.grid import Column
from gridax._grid.points import Points


class HostStates:
    """The states of some points, without a JAX array that the user did not write.

    Numbers are floats and ints equal to their labels; arrays are as they were given; fixed leaves
    are unchanged, except that NumPy arrays are read-only, so that no point changes what the next
    one receives.

    Parameters
    ----------
    points : the points.
    """

    def __init__(self, points: Points) -> None:
        self._points = points
        skeleton = points.skeleton
        self._leaves = [
            read_only(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in skeleton.leaves
        ]
        self._unflatten = skeleton.treedef.unflatten
        self._by_dim: list[tuple[int, int, Callable[[int], Any]]] = []
        for column in points.grid.columns:
            value = _values(column)
            if column.dim is None:
                self._leaves[column.slot] = value(0)
            else:
                self._by_dim.append((column.slot, points.dim_numbers[column.dim], value))

    def __reduce__(self) -> tuple[Any, ...]:
        return HostStates, (self._points,)  # functions of JAX cannot be pickled

    def at(self, index: Sequence[int], carried: Sequence[Any] | None = None) -> Any:
        """Return the state at an index along each dimension.

        `carried` are the values of the carried leaves; None for their initial ones.
        """
        state = self.unresolved(index)
        return resolved(state, carried) if self._points.carried else state

    def unresolved(self, index: Sequence[int]) -> Any:
        """Return the state with its carried leaves as such."""
        leaves = self._leaves.copy()
        for slot, dim, value in self._by_dim:
            leaves[slot] = value(index[dim])
        return self._unflatten(leaves)


def _values(column: Column) -> Callable[[int], Any]:
    """Return a function from an index along the column's dimension to the value there."""
    table = column.table
    rows = None if column.rows is None else np.atleast_1d(column.rows)

    def value(i: int) -> Any:
        row = i if rows is None else int(rows[i])
        return column.wrapped(table.host_value(row), row)

    # Keys and wrapped values take microseconds or more to make, and neighboring points share them.
    # Arrays are not kept: those that wrap makes may be large, and a model may change them.
    is_number = table.kind == "number" and table.shape is None and column.axis.wrap is None
    return functools.lru_cache(maxsize=8192)(value) if is_number or table.kind == "key" else value
