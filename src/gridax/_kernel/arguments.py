"""The inputs of a compiled program: the tables of the axes and the fixed leaves."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import device_values
from gridax._axes import is_axis
from gridax._grid.chains import initial_values, resolved
from gridax._grid.grid import Column
from gridax._grid.points import Points
from gridax._kernel.wraps import wrapped
from gridax._pytree import Skeleton, dotted
from gridax._warnings import warn


@dataclasses.dataclass(frozen=True)
class Leaf:
    """How a row of the table of one axis becomes the leaf of one point.

    Attributes
    ----------
    slot : position among the leaves.
    dim : number of the dimension along which it varies, or None for a fixed row.
    by_row : whether an array of row numbers maps the index to a row of the table.
    impl : implementation of PRNG keys, if the table holds key data.
    shape : shape to which the value is broadcast.
    wrap : applied last.
    """

    slot: int
    dim: int | None
    by_row: bool
    impl: str | None
    shape: tuple[int, ...] | None
    wrap: Callable[[Any], Any] | None

    def finish(self, value: Any) -> Any:
        """Return the leaf from a row of the table."""
        if self.impl is not None:
            value = jax.random.wrap_key_data(value, impl=self.impl)
        if self.shape is not None:
            value = jnp.broadcast_to(value, self.shape)
        return value if self.wrap is None else self.wrap(value)


class Arguments:
    """State, args and kwargs of a model, split into axes, arrays and static values.

    Parameters
    ----------
    points : of the state.
    args, kwargs : of the model.
    derivatives : names of the axes with respect to which outputs are differentiated.

    Raises
    ------
    ValueError
        If the wrap of one of those axes cannot be traced.
    """

    def __init__(
        self,
        points: Points,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        derivatives: Sequence[str] = (),
    ) -> None:
        self.points = points
        self.skeleton = Skeleton.of((points.skeleton.tree, args, kwargs), is_axis)
        columns = points.grid.columns
        slots = _axis_slots(self.skeleton, columns)
        self.chosen = [column for column in columns if column.table.kind == "choice"]
        moving = [column for column in columns if column.table.kind != "choice"]
        names = [column.name for column in moving]
        # The positions among `leaves` of what outputs are differentiated by, and their attributes.
        self.directions = {
            names.index(name): (name, moving[names.index(name)].attrs) for name in derivatives
        }
        self.leaves, self.tables, self.rows = [], [], []
        # What the wraps of axes raised, by row.
        self._rejected: list[tuple[Column, Mapping[int, Exception]]] = []
        for column in columns:
            if column.table.kind == "choice" and column.axis.wrap is not None:
                self._wrapped(column, lambda value: value)
        for column in moving:
            leaf, table, rows = _leaf(column, slots[id(column.axis)], points.dim_numbers)
            if leaf.wrap is not None:
                values = self._wrapped(column, leaf.finish)
                if values is not None and column.name in derivatives:
                    raise ValueError(
                        f"derivatives= names {column.name!r}, but JAX cannot trace the wrap of "
                        "this axis: use jax.numpy in it, or leave out the name"
                    )
                if values is not None:
                    leaf = dataclasses.replace(leaf, impl=None, shape=None, wrap=None)
                    table = values if leaf.by_row else values[column.all_rows(points.sizes)]
            self.leaves.append(leaf)
            self.tables.append(table)
            self.rows.append(rows)
        self.choice_slots = [slots[id(column.axis)] for column in self.chosen]
        axes = set(slots.values())
        # Arrays are arguments of the compiled program; all other leaves are constants of it.
        self.arrays = [
            (slot, self._fitting(slot, leaf))
            for slot, leaf in enumerate(self.skeleton.leaves)
            if slot not in axes and _is_numeric(leaf)
        ]

    def _wrapped(self, column: Column, finish: Callable[[Any], Any]) -> np.ndarray | None:
        """Evaluate the wrap of a column; return its values if the program is to read them."""
        seen = wrapped(column, np.unique(column.all_rows(self.points.sizes)), finish)
        if seen.rejected:
            self._rejected.append((column, seen.rejected))
        return seen.values

    def rejections(self) -> Iterator[tuple[int | None, int, Exception]]:
        """Yield where a wrap rejects the value: number of the dimension, index along it, error.

        A value that was selected from an axis has the dimension None.
        """
        for column, rejected in self._rejected:
            dim = None if column.dim is None else self.points.dim_numbers[column.dim]
            for i, row in enumerate(column.all_rows(self.points.sizes).tolist()):
                if row in rejected:
                    yield dim, i, rejected[row]

    def foreign(self) -> str:
        """Return the fixed values that are arrays of a kind that JAX does not know, as text."""
        known = {slot for slot, _ in self.arrays} | {leaf.slot for leaf in self.leaves}
        return ", ".join(
            f"{dotted(self.skeleton.paths[slot][1:])!r} ({type(leaf).__name__})"
            for slot, leaf in enumerate(self.skeleton.leaves)
            if slot not in known and hasattr(leaf, "__array__") and hasattr(leaf, "shape")
        )

    def _fitting(self, slot: int, leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            path = dotted(self.skeleton.paths[slot][1:])
            return device_values(leaf, f"the fixed array {path!r}")
        return leaf

    def call(
        self,
        model: Callable[..., Any],
        choice: tuple[int, ...],
        arrays: Sequence[Any],
        values: Sequence[Any],
        carried: Sequence[Any] | None = None,
    ) -> Any:
        """Call the model at one point, given the fixed arrays and raw rows of the axes' tables.

        `choice` are the rows of the static choices, and `carried` the values of carried leaves;
        None for their initial ones.
        """
        state, args, kwargs = self._filled(choice, arrays, values)
        if self.points.carried:
            state = resolved(state, carried)
        return model(state, *args, **kwargs)

    def initial(
        self, choice: tuple[int, ...], arrays: Sequence[Any], values: Sequence[Any]
    ) -> list[Any]:
        """Return the initial values of the carried leaves at one point."""
        return initial_values(self._filled(choice, arrays, values)[0])

    def _filled(
        self, choice: tuple[int, ...], arrays: Sequence[Any], values: Sequence[Any]
    ) -> tuple[Any, Any, Any]:
        """Return state, args and kwargs at one point, with carried leaves as such."""
        flat: list[Any] = list(self.skeleton.leaves)
        for (slot, _), array in zip(self.arrays, arrays, strict=True):
            flat[slot] = array
        for leaf, value in zip(self.leaves, values, strict=True):
            flat[leaf.slot] = leaf.finish(value)
        for slot, column, row in zip(self.choice_slots, self.chosen, choice, strict=True):
            flat[slot] = column.wrapped(column.table.value(row), row)
        filled: tuple[Any, Any, Any] = self.skeleton.treedef.unflatten(flat)
        return filled

    def varies(self) -> list[frozenset[int]]:
        """Return the dimensions along which each input of `call` varies."""
        fixed = [frozenset[int]()] * len(self.arrays)
        return fixed + [frozenset(() if leaf.dim is None else (leaf.dim,)) for leaf in self.leaves]

    def data(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return tables, row numbers, and fixed arrays."""
        return self.tables, self.rows, [array for _, array in self.arrays]

    def at(self, index: Sequence[int]) -> tuple[list[Any], list[Any]]:
        """Return the fixed arrays, and the row of each table at a point."""
        rows = []
        for leaf, table, row in zip(self.leaves, self.tables, self.rows, strict=True):
            at = row if leaf.dim is None else index[leaf.dim]
            rows.append(table[row[at] if leaf.by_row and leaf.dim is not None else at])
        return [array for _, array in self.arrays], rows

    def one_point(self) -> tuple[list[Any], list[Any]]:
        """Return shapes and dtypes of the fixed arrays and of one row of each table."""
        arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype) for _, a in self.arrays]
        rows = [jax.ShapeDtypeStruct(table.shape[1:], table.dtype) for table in self.tables]
        return arrays, rows

    def choices(self) -> list[tuple[int, ...]]:
        """Return every combination of static choices that the space holds."""
        if not self.chosen:
            return [()]
        rows = []
        seen: dict[str | None, list[Column]] = {}
        for column in self.chosen:
            seen.setdefault(column.dim, []).append(column)
        for dim, columns in seen.items():
            size = self.points.sizes[dim] if dim is not None else 1
            along = [
                np.broadcast_to(
                    column.rows if dim is None else column.take(np.arange(size)), (size,)
                )
                for column in columns
            ]
            together = dict.fromkeys(zip(*(a.tolist() for a in along), strict=True))
            rows.append([c for c in together if not self._is_rejected(columns, c)] or [*together])
        order = [self.chosen.index(column) for columns in seen.values() for column in columns]
        found = []
        for combination in itertools.product(*rows):
            flat = list(itertools.chain.from_iterable(combination))
            found.append(tuple(flat[order.index(i)] for i in range(len(flat))))
        return found

    def _is_rejected(self, columns: Sequence[Column], rows: Sequence[int]) -> bool:
        pairs = zip(columns, rows, strict=True)
        return any(
            row in rejected
            for column, row in pairs
            for other, rejected in self._rejected
            if other is column
        )

    def named(self, choice: tuple[int, ...]) -> str:
        """Return the labels of static choices as text for messages."""
        pairs = zip(self.chosen, choice, strict=True)
        return ", ".join(f"{c.name}={c.table.labels[row].item()!r}" for c, row in pairs)

    def choice_at(self, index: Sequence[int]) -> tuple[int, ...]:
        """Return the rows of the static choices at a point."""
        return tuple(column.row(index, self.points.dim_numbers) for column in self.chosen)

    def groups(self) -> list[tuple[tuple[int, ...], ...] | None]:
        """Return, per dimension, the indices that share all static choices."""
        found: list[tuple[tuple[int, ...], ...] | None] = []
        for dim, size in self.points.sizes.items():
            columns = [column for column in self.chosen if column.dim == dim]
            if not columns:
                found.append(None)
                continue
            alike: dict[tuple[int, ...], list[int]] = {}
            for i in range(size):
                alike.setdefault(tuple(int(c.take(i)) for c in columns), []).append(i)
            found.append(tuple(map(tuple, alike.values())))
        return found


def warn_of_batched_keys(impls: Iterable[str]) -> None:
    """Warn about PRNG keys whose draws depend on how many points are evaluated in one call."""
    for impl in sorted(set(impls)):
        if "rbg" in impl:
            warn(
                f"draws from {impl!r} keys depend on how many points JAX evaluates in one call, so "
                "they vary with n_vmap and differ from SequentialExecution; use threefry keys, the "
                "default of jax.random.key, to avoid that"
            )


def _is_numeric(leaf: Any) -> bool:
    """Whether a fixed leaf is an array that JAX can hold; arrays of strings stay as they are."""
    return isinstance(leaf, jax.Array) or (
        isinstance(leaf, np.ndarray)
        and not isinstance(leaf, np.ma.MaskedArray)
        and (jnp.issubdtype(leaf.dtype, jnp.number) or leaf.dtype == bool)
    )


def _axis_slots(skeleton: Skeleton, columns: Sequence[Column]) -> dict[int, int]:
    """Return the slot of every axis in the flattened arguments, by the identity of the axis."""
    known = {id(column.axis) for column in columns}
    return {id(leaf): i for i, leaf in enumerate(skeleton.leaves) if id(leaf) in known}


def _leaf(column: Column, slot: int, dim_numbers: dict[str, int]) -> tuple[Leaf, Any, Any]:
    """Return how a column becomes a leaf, its table and its row numbers."""
    table, rows = column.table, column.rows
    values = table.values
    small = values[:1].nbytes <= 8
    if rows is not None and column.dim is not None and (small or len(rows) <= len(table)):
        values, rows = values[rows], None  # no larger than the row numbers
    leaf = Leaf(
        slot=slot,
        dim=None if column.dim is None else dim_numbers[column.dim],
        by_row=rows is not None,
        impl=table.impl,
        shape=table.shape,
        wrap=column.axis.wrap,
    )
    return leaf, values, np.asarray(0 if rows is None else rows, dtype=np.int32)
