"""Checks with respect to which axes a user wants derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from gridax._grid.grid import Column
from gridax._grid.points import Points
from gridax._text import did_you_mean, listing


def checked_names(given: Any, points: Points) -> tuple[str, ...]:
    """Return the axes that ``derivatives=`` names.

    Raises
    ------
    TypeError, ValueError
        If `given` is not a sequence of different names of axes whose values are floats.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            "derivatives= must be the names of axes, such as "
            f"{_differentiable(points)[:2] or ['G']}, got {given!r}"
        )
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"derivatives= names {name!r} twice: {list(names)}")
        _check(name, points)
    # In the order of the axes, so that the same derivatives make the same sweep.
    return tuple(column.name for column in points.grid.columns if column.name in names)


def _check(name: str, points: Points) -> None:
    columns = {column.name: column for column in points.grid.columns}
    known = _differentiable(points)
    if name not in columns:
        members = [column.name for column in columns.values() if column.dim == name]
        if members:
            hint = f"which is a dimension; name an axis along it: {listing(members)}"
        else:
            hint = f"which is not an axis of the space{_advice(name, known, points)}"
        raise ValueError(f"derivatives= names {name!r}, {hint}")
    problem = _problem(columns[name])
    if problem:
        advice = f"name others, such as {known[0]!r}" if known else "leave out derivatives="
        raise ValueError(
            f"derivatives= names {name!r}, but {problem}, and only floats have derivatives; "
            f"{advice}"
        )


def _advice(name: str, known: Sequence[str], points: Points) -> str:
    """Say what to do about a name that is not that of an axis."""
    if meant := did_you_mean(name, known):
        return meant
    if name in dict(points.fixed):
        return "; it is fixed, so make it an axis"
    return f"; the axes of floats are {listing(known)}" if known else "; no axis has floats"


def _problem(column: Column) -> str | None:
    """Say why nothing can be differentiated with respect to an axis, or return None."""
    table = column.table
    if table.kind == "choice":
        return "this axis has choices"
    if table.kind == "key":
        return "this axis has PRNG keys"
    if table.kind == "array" and table.values.ndim > 1:
        return f"each value of this axis is an array of shape {table.values.shape[1:]}"
    if not jnp.issubdtype(table.values.dtype, jnp.floating):
        return f"the values of this axis are of {table.values.dtype}"
    return None


def _differentiable(points: Points) -> list[str]:
    return [column.name for column in points.grid.columns if _problem(column) is None]
