"""Evaluates a loop for many points in lanes: a point that is done makes room for the next one.

Under `jax.vmap`, a loop goes on until the slowest point is done, and computes values for all others
that are thrown away. Here, a few points at a time are in the loop, one per lane. As soon as some of
them are done, their lanes take the next points. Once there are no more, the last points move to
fewer lanes, so that a single slow one does not cost what many cost.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.nesting import evaluated, nested, varying_axes
from gridax._kernel.split import Split
from gridax._plan.plan import Level
from gridax._plan.work import Dims, dims_of

# One of so many lanes is empty before the next points enter.
_EMPTY = 16
# The last points, of which there are at most so many, move to so many lanes; the very last ones go
# one after the other.
_LAST, _FEW, _VERY_LAST = 64, 16, 2


def in_lanes(
    split: Split,
    levels: Sequence[Level],
    n_lanes: int,
    inputs: Sequence[Any],
    outputs: Sequence[Dims],
) -> list[Any]:
    """Evaluate a split program at all points of a tile.

    Parameters
    ----------
    split : the program.
    levels : of the tile.
    n_lanes : number of points that are in the loop at a time.
    inputs : of `split.before`, with one leading axis per level that each varies along.
    outputs : dimensions along which the outputs vary.

    Returns
    -------
    list of array
        The outputs, as from `nested`.
    """
    known = dict(zip(split.before.invars, inputs, strict=True))

    def stage(program: Any, outputs: Sequence[Dims]) -> list[Any]:
        values = [known[v] for v in program.invars]
        varies = [split.varies[v] for v in program.invars]
        return nested(levels, functools.partial(evaluated, program), values, varies, outputs)

    made = split.before.outvars
    values = stage(split.before, [split.varies[v] for v in made])
    for variable, value in zip(made, values, strict=True):
        known[variable] = value[varying_axes(levels, split.varies[variable])]
    known |= zip(split.finals, _looped(split, levels, n_lanes, known), strict=True)
    return stage(split.after, outputs)


def _looped(
    split: Split, levels: Sequence[Level], n_lanes: int, known: dict[Any, Any]
) -> list[Any]:
    """Return the values of `split.finals`, with one axis per level that the loop varies along."""
    along = [level for level in levels if not split.dims.isdisjoint(level.dims)]
    sizes = [level.width for level in along]

    def operand(atom: Any) -> _Operand:
        dims = dims_of(atom, split.varies)
        varies = [not dims.isdisjoint(level.dims) for level in along]
        return _operand(split.operand(atom, known), sizes, varies)

    loop = _Loop(split, [operand(atom) for atom in split.loop.invars])
    n = math.prod(sizes)
    finals = loop.finals(jnp.arange(n, dtype=jnp.int32), min(n_lanes, n))
    return [final.reshape(*sizes, *final.shape[1:]) for final in finals]


class _Operand(NamedTuple):
    """A value that a loop reads: the same at all points, or a row of an array."""

    array: Any
    row: Callable[[Any], Any] | None  # number of the row at each point

    def at(self, points: Any) -> Any:
        """Return the values at some points."""
        return self.array if self.row is None else _rows(self.array, self.row(points))


def _operand(value: Any, sizes: Sequence[int], varies: Sequence[bool]) -> _Operand:
    """Return an operand from a value with one leading axis per level that it varies along."""
    if not any(varies):
        return _Operand(value, None)
    array = jax.lax.collapse(value, 0, sum(varies))
    if all(varies):
        return _Operand(array, _itself)
    # From one position along a level to the next, there are so many points, and so many rows.
    steps, before, after = [], 1, 1
    for size, mine in reversed([*zip(sizes, varies, strict=True)]):
        if mine:
            steps.append((before, size, after))
            after *= size
        before *= size
    return _Operand(array, lambda points: sum(points // p % n * r for p, n, r in steps))


class _Loop:
    """The loop of a split program, to be evaluated at many points.

    What an iteration does not change is one of its constants, and only what is read after the loop
    is stored.
    """

    def __init__(self, split: Split, operands: Sequence[_Operand]) -> None:
        params = split.loop.params
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        n_consts = n_cond + n_body
        begin = operands[n_consts:]
        changes = split.changes
        self._begin = [each for each, moves in zip(begin, changes, strict=True) if moves]
        still = [each for each, moves in zip(begin, changes, strict=True) if not moves]
        self._constants = [*operands[:n_consts], *still]
        results = zip(split.loop.outvars, changes, strict=True)
        self._stored = [v in split.finals for v, moves in results if moves]
        cond, body = jaxpr_as_fun(split.condition), jaxpr_as_fun(params["body_jaxpr"])

        def whole(constants: Sequence[Any], carry: Sequence[Any]) -> list[Any]:
            fixed, moving = iter(constants[n_consts:]), iter(carry)
            return [next(moving) if moves else next(fixed) for moves in changes]

        def goes_on(constants: Sequence[Any], carry: Sequence[Any]) -> Any:
            return cond(*constants[:n_cond], *whole(constants, carry))[0]

        def turn(constants: Sequence[Any], carry: Sequence[Any]) -> list[Any]:
            outs = body(*constants[n_cond:n_consts], *whole(constants, carry))
            return [out for out, moves in zip(outs, changes, strict=True) if moves]

        batched = [None if operand.row is None else 0 for operand in self._constants]
        self._goes_on = jax.vmap(goes_on, (batched, 0))
        self._turn = jax.vmap(turn, (batched, 0))

    def finals(
        self, points: Any, n_lanes: int, begin: Sequence[_Operand] | None = None
    ) -> list[Any]:
        """Return what is stored of some points in the end.

        `begin` is what they carry, by position, if they are in the loop already.
        """
        begin = self._begin if begin is None else begin
        n_last = min(_LAST, n_lanes // 4) if n_lanes > _FEW else min(_VERY_LAST, n_lanes // 2)
        store, carry, positions, going = self._through(points, begin, n_lanes, n_last)
        if n_last:
            last = jnp.argsort(~going)[:n_last]  # some of them are done, which does no harm
            there = positions[last]
            left = [_Operand(each[last], _itself) for each in carry]
            few = min(_FEW, n_last) if n_lanes > _FEW else 1
            store = _put(store, there, self.finals(points[there], few, left))
        return store

    def _through(
        self, points: Any, begin: Sequence[_Operand], n_lanes: int, n_last: int
    ) -> tuple[list[Any], list[Any], Any, Any]:
        """Send points through the loop, until all have entered and at most `n_last` are left.

        Parameters
        ----------
        points : numbers of the points, at least one per lane.
        begin : what the loop carries in the beginning, by position among the points.

        Returns
        -------
        store : what is stored of each point that is done.
        carry, positions, going : what each lane carries, for which point, and whether it is not
            done.
        """
        n, n_empty = len(points), max(1, n_lanes // _EMPTY)

        def stored(store: list[Any], carry: list[Any], at: Any) -> list[Any]:
            return _put(store, at, [c for c, mine in zip(carry, self._stored, strict=True) if mine])

        def enter(state: Any) -> Any:
            store, carry, positions, going, n_entered = state
            store = stored(store, carry, jnp.where(going, n, positions))  # n does not exist
            following = n_entered + jnp.cumsum(~going, dtype=jnp.int32) - 1
            new = ~going & (following < n)
            positions = jnp.where(new, following, positions)
            carry = _where(new, [each.at(positions) for each in begin], carry)
            n_entered = n_entered + new.sum(dtype=jnp.int32)
            until = jnp.where(n_entered < n, n_lanes - n_empty, n_last)
            carry, going = self._turns(_rows(points, positions), carry, until)
            return store, carry, positions, going, n_entered

        positions = jnp.arange(n_lanes, dtype=jnp.int32)
        first = [each.at(positions) for each in begin]
        carry = [
            jnp.broadcast_to(value, (n_lanes, *value.shape)) if each.row is None else value
            for each, value in zip(begin, first, strict=True)
        ]
        store = [
            jnp.broadcast_to(value[:1], (n, *value.shape[1:]))
            for value, mine in zip(carry, self._stored, strict=True)
            if mine
        ]
        state = (store, carry, positions, jnp.zeros(n_lanes, bool), jnp.int32(0))
        state = jax.lax.while_loop(lambda state: state[-1] < n, enter, state)
        store, carry, positions, going, _ = state
        return stored(store, carry, jnp.where(going, n, positions)), carry, positions, going

    def _turns(self, points: Any, carry: list[Any], until: Any) -> tuple[list[Any], Any]:
        """Run iterations of the loop in all lanes, until at most some are still going."""
        constants = [operand.at(points) for operand in self._constants]

        def turn(carry: list[Any]) -> list[Any]:
            return _where(self._goes_on(constants, carry), self._turn(constants, carry), carry)

        def go_on(carry: list[Any]) -> Any:
            return self._goes_on(constants, carry).sum() > until

        carry = jax.lax.while_loop(go_on, turn, carry)
        return carry, self._goes_on(constants, carry)


def _itself(points: Any) -> Any:
    return points


def _put(store: list[Any], at: Any, values: list[Any]) -> list[Any]:
    """Replace some rows; those that do not exist are dropped."""
    pairs = zip(store, values, strict=True)
    return [mine.at[at].set(value, mode="drop") for mine, value in pairs]


def _rows(array: Any, rows: Any) -> Any:
    return array.at[rows].get(mode="clip")


def _where(mask: Any, new: list[Any], old: list[Any]) -> list[Any]:
    """Choose by lane."""
    return [
        jnp.where(mask.reshape(-1, *[1] * (b.ndim - 1)), jnp.broadcast_to(a, b.shape), b)
        for a, b in zip(new, old, strict=True)
    ]
