"""States as an untraced model receives them: the user's own Python and NumPy values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from gridax._axes.table import read_only
from gridax._grid.chains import resolved
from gridax._grid.grid import Column
from gridax._grid.points import Points

T = TypeVar("T")


class HostStates:
    """The states of some points, without a JAX array that the user did not write.

    Numbers are floats and ints equal to their labels, with which Python and NumPy compute fastest;
    arrays are as they were given; fixed leaves are unchanged, except that NumPy arrays are
    read-only, so that no point changes what the next one receives.

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
        self._has_attributes = False
        self._read_columns()

    def _read_columns(self) -> None:
        self._by_dim.clear()
        for column in self._points.grid.columns:
            value = _values(column, self._has_attributes)
            if column.dim is None:
                self._leaves[column.slot] = value(0)
            else:
                self._by_dim.append((column.slot, self._points.dim_numbers[column.dim], value))

    def __reduce__(self) -> tuple[Any, ...]:
        return HostStates, (self._points,)  # functions of JAX cannot be pickled

    def given_to(self, function: Callable[[], T]) -> T:
        """Call a function of these states.

        If it needs an attribute of arrays, such as `astype`, which code that is written for JAX may
        expect, it is called again, and numbers are scalars of NumPy from then on.
        """
        try:
            return function()
        except AttributeError as error:
            if self._has_attributes or not _is_for_arrays(error):
                raise
        self._has_attributes = True
        self._read_columns()
        return function()

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


def _is_for_arrays(error: AttributeError) -> bool:
    """Whether a number of Python lacks an attribute that those of NumPy have."""
    return type(error.obj) in (int, float) and hasattr(np.generic, error.name or "")


def _values(column: Column, has_attributes: bool) -> Callable[[int], Any]:
    """Return a function from an index along the column's dimension to the value there."""
    table = column.table
    rows = None if column.rows is None else np.atleast_1d(column.rows)

    def value(i: int) -> Any:
        row = i if rows is None else int(rows[i])
        number = table.host_value(row)
        if has_attributes and type(number) in (int, float):
            number = np.asarray(number)[()]
        return column.wrapped(number, row)

    # Keys and wrapped values take microseconds or more to make, and neighboring points share them.
    # Arrays are not kept: those that wrap makes may be large, and a model may change them.
    is_number = table.kind == "number" and table.shape is None and column.axis.wrap is None
    return functools.lru_cache(maxsize=8192)(value) if is_number or table.kind == "key" else value
