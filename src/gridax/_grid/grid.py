"""The grid behind a space: named dimensions, each with the axes that vary along it.

Nothing here is as long as the number of points, unless the user picks single points: a column of a
product has as many rows as its own axis has values.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import fitted
from gridax._axes import Axis, QuadratureAxis, is_random, tabulate
from gridax._axes.table import Table, read_only
from gridax._warnings import warn

POINT = "point"


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """One axis within a grid.

    `rows` holds the row of the table for each index of `dim` (None: the row is the index). A column
    whose dimension was dropped by a selection has ``dim=None`` and a single row. `home` is the
    dimension along which the axis varied when the space was created.
    """

    name: str
    axis: Axis
    slot: int
    table: Table
    dim: str | None
    home: str
    rows: Any = None

    def row(self, index: Sequence[int], place: Mapping[str, int]) -> int:
        """Return the row of the table at a point."""
        if self.dim is None:
            return int(self.rows)
        i = index[place[self.dim]]
        return i if self.rows is None else int(self.rows[i])

    def all_rows(self, sizes: Mapping[str, int]) -> np.ndarray:
        """Return the row of the table at each index of the dimension, given the grid's sizes."""
        if self.rows is None:
            return np.arange(1 if self.dim is None else sizes[self.dim])
        return np.atleast_1d(self.rows)

    def values(self, size: int) -> Any:
        """Return the values at each index of a dimension; a view of the table if it has them all.

        Arrays may be large, and a view that cannot be written to is as good as a copy.
        """
        table = self.table
        return read_only(table.values[:size]) if self.rows is None else table.values[self.rows]

    def take(self, indexer: Any) -> Any:
        """Return the rows of the table at some indices of the dimension."""
        return indexer if self.rows is None else self.rows[indexer]

    def wrapped(self, value: Any, row: int) -> Any:
        """Return a value as it enters the state; an error of the axis' wrap names the label."""
        if self.axis.wrap is None:
            return value
        try:
            return self.axis.wrap(value)
        except Exception as error:
            label = self.table.labels[row].item()
            error.add_note(f"wrap= of axis {self.name!r} failed at the label {label!r}")
            raise

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the coordinate."""
        return dict(self.axis.attrs or {})

    @property
    def repeats(self) -> bool:
        """Whether the grid has more rows than the table, so values should not be copied out."""
        return np.ndim(self.rows) == 1 and len(self.rows) > len(self.table)

    @property
    def value_name(self) -> str:
        """Name of the coordinate with the values, if the labels do not determine them."""
        return f"{self.name}_value"

    @property
    def item_name(self) -> str:
        """Name of the dimension of a table that is not copied out."""
        return f"{self.name}_item"

    def value_dims(self) -> tuple[str, ...]:
        """Name the dimensions of one value."""
        if self.table.dims is not None:
            return self.table.dims
        return tuple(f"{self.name}_dim_{i}" for i in range(np.ndim(self.table.values) - 1))

    def coordinates(self, size: int) -> dict[str, xr.Variable]:
        """Return the coordinates of this column along a dimension of the given size."""
        along = () if self.dim is None else (self.dim,)
        rows = np.arange(size) if self.rows is None else self.rows
        table = self.table
        coordinates = {self.name: xr.Variable(along, fitted(table.labels[rows]), self.attrs)}
        if table.kept_beside:
            attrs = {"prng_impl": table.impl} if table.kind == "key" else self.attrs
            dims, values = along, self.values(size)
            if self.repeats:
                coordinates[self.item_name] = xr.Variable((self.item_name,), table.labels)
                dims, values = (self.item_name,), read_only(table.values)
            coordinates[self.value_name] = xr.Variable(dims + self.value_dims(), values, attrs)
        coordinates.update(table.coords)
        for name, variable in table.extra.items():
            inner = tuple(map(str, variable.dims[1:]))
            values = fitted(variable.values[rows])
            coordinates[name] = xr.Variable(along + inner, values, variable.attrs)
        return coordinates


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """Sizes of the dimensions, of which the last varies fastest, and the columns along them."""

    sizes: dict[str, int]
    columns: tuple[Column, ...]

    @property
    def n_points(self) -> int:
        """Number of points, as a Python integer of any size."""
        return math.prod(self.sizes.values())

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(self.sizes)

    def members(self, dim: str) -> list[Column]:
        """Return the columns along a dimension."""
        return [column for column in self.columns if column.dim == dim]

    def names_along(self) -> dict[str, list[str]]:
        """Return the names of the axes along each dimension."""
        return {dim: [column.name for column in self.members(dim)] for dim in self.dims}

    def unravel(self, i: int) -> tuple[int, ...]:
        """Return the index of a point along each dimension, as Python integers of any size."""
        index = []
        for size in reversed(self.sizes.values()):
            i, rest = divmod(i, size)
            index.append(rest)
        return tuple(reversed(index))

    def isel(self, indexers: Mapping[str, Any]) -> Grid:
        """Return the grid at some positions along some dimensions; an int drops its dimension."""
        sizes = {}
        for dim, size in self.sizes.items():
            indexer = indexers.get(dim)
            if indexer is None:
                sizes[dim] = size
            elif np.ndim(indexer):
                sizes[dim] = len(indexer)
        columns = []
        for column in self.columns:
            indexer = indexers.get(column.dim) if column.dim is not None else None
            if indexer is not None:
                column = dataclasses.replace(
                    column,
                    dim=column.dim if np.ndim(indexer) else None,
                    rows=column.take(indexer),
                )
            columns.append(column)
        return Grid(sizes, tuple(columns))

    def scatter(self, points: np.ndarray) -> Grid:
        """Return the grid of single points along one dimension, given their flat positions."""
        index: dict[str, np.ndarray] = {}
        rest = points
        for dim, size in reversed(self.sizes.items()):
            rest, index[dim] = rest // size, (rest % size).astype(np.int64)
        return self._picked(index, len(points))

    def stacked(self, dims: Sequence[str]) -> Grid:
        """Return the grid with all points along some dimensions along ``point``, in its order."""
        shape = tuple(self.sizes[dim] for dim in dims)
        n = math.prod(shape)
        along = np.unravel_index(np.arange(n), shape)
        return self._picked(dict(zip(dims, along, strict=True)), n)

    def _picked(self, index: dict[str, np.ndarray], n: int) -> Grid:
        """Return the grid with n points along ``point``, given their indices along some dims."""
        columns = tuple(
            dataclasses.replace(column, dim=POINT, rows=column.take(index[column.dim]))
            if column.dim in index
            else column
            for column in self.columns
        )
        sizes: dict[str, int] = {}
        for dim, size in self.sizes.items():
            sizes |= {POINT: n} if dim in index else {dim: size}
        return Grid(sizes or {POINT: n}, columns)

    def coordinates(self) -> dict[str, xr.Variable]:
        """Return all coordinates, rejecting different ones of the same name."""
        coordinates: dict[str, xr.Variable] = {}
        owners: dict[str, str] = {}
        lengths: dict[Any, tuple[int, str]] = {}
        for column in self.columns:
            size = self.sizes.get(column.dim, 1) if column.dim is not None else 1
            for name, variable in column.coordinates(size).items():
                if name in coordinates and not coordinates[name].identical(variable):
                    raise ValueError(
                        f"axis {owners[name]!r} and axis {column.name!r} both have a coordinate "
                        f"{name!r}, with different values; rename one of them"
                    )
                coordinates.setdefault(name, variable)
                owners.setdefault(name, column.name)
                for dim, length in variable.sizes.items():
                    known, other = lengths.setdefault(dim, (length, column.name))
                    if known != length:
                        raise ValueError(
                            f"the values of axis {other!r} and axis {column.name!r} share the "
                            f"dimension {dim!r}, but its size is {known} in one and {length} in "
                            "the other; rename one of them"
                        )
        return coordinates


def build(
    placed: Sequence[tuple[int, str, Axis]],
    mode: str,
    key: jax.Array,
    directions: Collection[Axis] = (),
) -> Grid:
    """Build the grid of the axes of a state.

    Parameters
    ----------
    placed : slot, dotted path and axis, in order.
    mode : how the axes are composed.
    key : of the random axes.
    directions : axes that have a dimension of their own in any mode, since they are no parameters.
    """
    names = [_name(axis, path) for _, path, axis in placed]
    homes = _homes(names, [axis for _, _, axis in placed], mode, directions)
    _check_unique(names, homes, placed)
    columns = []
    for name, home, (slot, _, axis) in zip(names, homes, placed, strict=True):
        table = _tabulate(axis, key, name)
        shared = homes.count(home) > 1 or home == POINT
        if not shared and is_random(axis) and axis.group is None and table.kind == "number":
            table = table.sorted()
        columns.append(Column(name, axis, slot, table, dim=home, home=home))
    sizes = _sizes(columns, mode)
    grid = Grid(sizes, tuple(columns))
    _check_value_dims(grid)
    return grid


def draw_key(key: jax.Array, name: str) -> jax.Array:
    """Return the key for the draws of one axis.

    It only depends on the key of the space and the name of the axis, so that adding or reordering
    axes does not change the draws of the others. crc32 is the same on every machine.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def _tabulate(axis: Axis, key: jax.Array, name: str) -> Table:
    try:
        table = tabulate(axis, draw_key(key, name), f"axis {name!r}")
    except Exception as error:
        if f"axis {name!r}" not in str(error):
            error.add_note(f"while generating the values of axis {name!r}")
        raise
    return axis.weighted(table, name) if isinstance(axis, QuadratureAxis) else table


def _name(axis: Axis, path: str) -> str:
    return _checks.name(axis.name if axis.name is not None else path, f"axis at {path!r}")


def _homes(
    names: Sequence[str], axes: Sequence[Axis], mode: str, directions: Collection[Axis]
) -> list[str]:
    """Return the dimension along which each axis varies; that of a group is the group as text."""
    if mode == "zip":
        pairs = zip(names, axes, strict=True)
        own = set(map(id, directions))
        return [name if id(axis) in own else POINT for name, axis in pairs]
    homes = list(names)
    texts: dict[Hashable, str] = {}
    for i, (name, axis) in enumerate(zip(names, axes, strict=True)):
        if axis.group is not None:
            text = _checks.name(str(axis.group), f"axis {name!r}, group {axis.group!r}")
            homes[i] = texts.setdefault(axis.group, text)
    groups = {text: group for group, text in texts.items()}
    for group, text in texts.items():
        if groups[text] != group:
            raise ValueError(
                f"the groups {group!r} and {groups[text]!r} are different, but the dimensions of "
                f"both would be named {text!r}; rename one of them"
            )
    return homes


def _check_unique(
    names: Sequence[str], homes: Sequence[str], placed: Sequence[tuple[int, str, Axis]]
) -> None:
    """Reject two axes of the same name, and a group named like an axis outside the group."""
    owner: dict[str, tuple[int, str, Axis]] = {}
    for name, entry in zip(names, placed, strict=True):
        if name in owner:
            raise ValueError(
                f"the axes at {owner[name][1]!r} and {entry[1]!r} are both named {name!r}; pass "
                "another name= to one of them"
            )
        owner[name] = entry
    for home, name, (_, _, axis) in zip(homes, names, placed, strict=True):
        if home in owner and owner[home][2].group != axis.group:
            raise ValueError(
                f"the group {home!r} of axis {name!r} has the name of the axis at "
                f"{owner[home][1]!r}, which is not in the group; rename one of them"
            )


def _sizes(columns: Iterable[Column], mode: str) -> dict[str, int]:
    """Return the size of each dimension, that of its shortest axis; warn if sizes differ."""
    lengths: dict[str, dict[str, int]] = {}
    for column in columns:
        lengths.setdefault(column.home, {})[column.name] = len(column.table)
    for home, sizes in lengths.items():
        if len(set(sizes.values())) > 1:
            where = "zipped axes" if mode == "zip" else f"axes of group {home!r}"
            listed = ", ".join(f"{name}: {size}" for name, size in sizes.items())
            advice = "; mode='product' would combine all values" if mode == "zip" else ""
            warn(
                f"the {where} differ in size ({listed}); the shortest wins, so only the first "
                f"{min(sizes.values())} values of each are used{advice}"
            )
    return {home: min(sizes.values()) for home, sizes in lengths.items()}


def _check_value_dims(grid: Grid) -> None:
    """Reject dimensions and coordinates of values that are named like an axis or group."""
    taken = {column.name for column in grid.columns} | set(grid.dims)
    for column in grid.columns:
        table = column.table
        inner = [*column.value_dims()] if table.kept_beside else []
        inner += [*table.coords, *table.extra]
        inner += [str(dim) for variable in table.extra.values() for dim in variable.dims[1:]]
        for name in inner:
            if name in taken:
                raise ValueError(
                    f"axis {column.name!r}: its values have a dimension or coordinate {name!r}, "
                    "which is also the name of an axis or group; rename one of them"
                )
