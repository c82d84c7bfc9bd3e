"""Leaves of a state that carry an output from one point to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from gridax._axes.carried import DIRECTIONS, Carried, is_carried
from gridax._grid.grid import POINT, Grid
from gridax._plan.chain import Chain
from gridax._pytree import dotted
from gridax._text import listing


def carried_leaves(state: Any) -> dict[str, Carried]:
    """Return the carried leaves of a state by their dotted paths."""
    flat, _ = jax.tree_util.tree_flatten_with_path(state, is_leaf=is_carried)
    return {dotted(path): leaf for path, leaf in flat if is_carried(leaf)}


def carried_text(leaf: Carried, is_chained: bool = True) -> str:
    """Return in words what a leaf carries, if there are several labels."""
    if not is_chained:
        return f"at its initial value, with a single label along {leaf.along!r}"
    order = "in both directions" if leaf.order == "both" else leaf.order
    return f"carried from {leaf.output!r} along {leaf.along!r}, {order}"


def resolved(state: Any, values: Sequence[Any] | None = None) -> Any:
    """Return a state with values in place of its carried leaves; by default, their initial ones."""
    remaining = iter(initial_values(state) if values is None else values)
    return jax.tree.map(
        lambda leaf: next(remaining) if is_carried(leaf) else leaf, state, is_leaf=is_carried
    )


def initial_values(state: Any) -> list[Any]:
    """Return the initial value of each carried leaf of a state.

    Raises
    ------
    Exception
        What a callable raises for the state, with a note that names the leaf.
    """
    leaves = carried_leaves(state)
    values = [None if leaf.is_computed else leaf.initial for leaf in leaves.values()]
    for i, (path, leaf) in enumerate(leaves.items()):
        if leaf.is_computed:
            try:
                values[i] = leaf.initial(resolved(state, values))
            except Exception as error:
                error.add_note(f"while the initial value of {path!r} was computed")
                raise
            if values[i] is None:
                raise TypeError(f"the callable initial= of {path!r} returned None, not a value")
    return values


def chain_of(leaves: Mapping[str, Carried], grid: Grid) -> Chain | None:
    """Return the chain of the carried leaves in a grid; None if each point starts by itself.

    Raises
    ------
    ValueError
        If there is no such dimension, leaves are carried along different ones, or the points of a
        chain are scattered.
    """
    if not leaves:
        return None
    (path, first), *others = leaves.items()
    home = _home(path, first, grid)
    for other, leaf in others:
        if (_home(other, leaf, grid), leaf.order) != (home, first.order):
            raise ValueError(
                f"{path!r} is carried along {first.along!r} in the order {first.order!r}, but "
                f"{other!r} along {leaf.along!r} in the order {leaf.order!r}; carry all leaves "
                "in the same way"
            )
    dims = {column.dim for column in grid.columns if column.home == home}
    # In a zip, points that follow each other lie along `point`, but nothing else does.
    others_there = {c.home for c in grid.columns if c.dim == POINT} - {POINT}
    if dims == {POINT} and others_there:
        raise ValueError(
            f"{path!r} is carried along {home!r}, but the points were picked one by one, so that "
            "none follows another; select along the other dimensions with isel or sel instead"
        )
    if home not in grid.sizes:
        return None
    number = {dim: i for i, dim in enumerate(grid.dims)}
    if first.order != "both":
        return Chain(number[home], (first.order == "backward",))
    column = next(column for column in grid.columns if column.axis is first.direction)
    labels = column.table.labels[column.all_rows(grid.sizes)]
    backward = tuple(bool(label == DIRECTIONS[1]) for label in labels)
    return Chain(number[home], backward, None if column.dim is None else number[column.dim])


def _home(path: str, leaf: Carried, grid: Grid) -> str:
    """Return the dimension along which a leaf is carried, as the space was created."""
    homes = {column.home: column.home for column in grid.columns}
    homes |= {column.name: column.home for column in grid.columns if column.name not in homes}
    inner = {column.name for column in grid.columns if column.axis is leaf.direction}
    if leaf.along not in homes or leaf.along in inner:
        names = listing([name for name in homes if name not in inner])
        raise ValueError(
            f"{path!r} is carried along {leaf.along!r}, but the space has no such dimension or "
            f"axis; it has {names}"
        )
    return homes[leaf.along]
