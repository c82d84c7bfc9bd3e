"""Evaluates a tile: loops over levels, around a program that is vectorized along the others.

Levels with a depth are loops over independent points. A chain is a loop in which each point starts
from what the last one carried to it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from gridax._kernel.hoisting import Hoisted, hoisted, shared
from gridax._kernel.nesting import evaluated, nested
from gridax._kernel.points_last import at_all_points
from gridax._plan.plan import Level
from gridax._plan.work import Dims

if TYPE_CHECKING:
    from gridax._kernel.program import Program


class Data(NamedTuple):
    """What a program is evaluated on, on the devices: tables, row numbers and fixed arrays."""

    tables: Sequence[Any]
    rows: Sequence[Any]
    arrays: Sequence[Any]


class Finish(NamedTuple):
    """What is done with the outputs before points along the first levels follow each other.

    Attributes
    ----------
    n_levels : number of these levels.
    function : takes outputs with one axis per level.
    varies : returns the dimensions along which its results vary, given those of the outputs.
    """

    n_levels: int
    function: Callable[[list[Any]], list[Any]]
    varies: Callable[[Sequence[Dims]], Sequence[Dims]]


class Evaluation:
    """The evaluation of all points of a tile.

    Parameters
    ----------
    program : what one point computes.
    levels : of the tile.
    data : what it is computed from.
    is_counted : whether the number of iterations of the loop at which the program is split is
        another output, the last one.
    finish : makes of the outputs what is returned instead.
    points_last : whether points are the last axes of what is vectorized, rather than the first.
    """

    def __init__(
        self,
        program: Program,
        levels: Sequence[Level],
        data: Data,
        is_counted: bool = False,
        finish: Finish | None = None,
        points_last: bool = False,
    ) -> None:
        self._program, self._levels, self._data, self._finish = program, levels, data, finish
        self._is_counted, self._chain = is_counted, program.chain
        self._point, self._outputs = program.point, program.outputs
        if is_counted:
            assert program.split is not None  # otherwise, there is nothing to count
            self._point = program.counted_point
            self._outputs = (*self._outputs, program.split.dims)
        self._varies = [along(lookup.dim) for lookup in program.lookups]
        self._points_last = points_last
        self._n_lead = len(levels) if finish is None else finish.n_levels
        self._early: tuple[Hoisted, list[Any], list[Any]] | None = None

    def outputs(self, index: Sequence[Any], before: Sequence[Any] | None = None) -> list[Any]:
        """Return the outputs of all points.

        Parameters
        ----------
        index : indices along each dimension. The dimensions of a level have equally many, which are
            zipped.
        before : what was carried to the first points of chains, if they continue.

        Returns
        -------
        list of array
            Of shape ``(*tile, *output_shape)``, with one size per level: its length, or 1 where the
            output does not vary along it.
        """
        if not self._is_counted:
            self._early = self._shared(index)
        return self._lead(0, list(index), before)

    def _lead(self, n: int, index: list[Any], before: Sequence[Any] | None) -> list[Any]:
        """Loop over the levels from the n-th on whose outputs are finished piece by piece."""
        if n < self._n_lead:
            if self._is_along(self._levels[n]) or self._levels[n].depth == 1:
                return self._lead(n + 1, index, before)
            return self._mapped(self._lead, self._finished_dims(), n, index, before)
        if self._chain is not None:
            return self._chained(index, before)
        return self._finished(self._inner(n, index, None))

    def _inner(self, n: int, index: list[Any], carried: Sequence[Any] | None) -> list[Any]:
        """Loop over the levels from the n-th on whose outputs are finished together."""
        if n == len(self._levels):
            return self._vectorized(index, carried)
        if self._levels[n].depth == 1:
            return self._inner(n + 1, index, carried)
        return self._mapped(self._inner, self._outputs, n, index, carried)

    def _is_along(self, level: Level) -> bool:
        """Whether points follow each other along a level."""
        return self._chain is not None and self._chain.dim in level.dims

    def _finished(self, outs: list[Any]) -> list[Any]:
        return outs if self._finish is None else self._finish.function(outs)

    def _finished_dims(self) -> Sequence[Dims]:
        return self._outputs if self._finish is None else self._finish.varies(self._outputs)

    def _mapped(
        self,
        then: Callable[[int, list[Any], Sequence[Any] | None], list[Any]],
        varies: Sequence[Dims],
        n: int,
        index: list[Any],
        carried: Sequence[Any] | None,
    ) -> list[Any]:
        """Evaluate the runs of a level one after the other."""
        level = self._levels[n]
        moving = [k for k, array in enumerate(carried or ()) if array.shape[n] > 1]

        def piece(part: tuple[Sequence[Any], Sequence[Any]]) -> list[Any]:
            at = index.copy()
            for dim, run in zip(level.dims, part[0], strict=True):
                at[dim] = run
            mine = None if carried is None else [*carried]
            for k, array in zip(moving, part[1], strict=True):
                assert mine is not None
                mine[k] = array
            return then(n + 1, at, mine)

        runs = [index[dim].reshape(level.depth, level.width) for dim in level.dims]
        parts = [_divided(carried[k], n, level) for k in moving] if carried is not None else []
        return [
            _joined(out, n, dims.isdisjoint(level.dims))
            for out, dims in zip(jax.lax.map(piece, (runs, parts)), varies, strict=True)
        ]

    def _chained(self, index: list[Any], before: Sequence[Any] | None) -> list[Any]:
        """Evaluate chains step by step."""
        chain = self._chain
        assert chain is not None
        n = chain.level(self._levels)
        widths = (e.width if k < self._n_lead else e.length for k, e in enumerate(self._levels))
        levels = [
            dataclasses.replace(level, width=1 if k == n else width, depth=1)
            for k, (level, width) in enumerate(zip(self._levels, widths, strict=True))
        ]
        if before is None:
            first = index.copy()
            first[chain.dim] = index[chain.dim][:1]
            values = self._program.values(first, self._data)
            fixed = self._program.constants_and_fixed(self._data.arrays)[1]
            carried = chain.start(levels, fixed, values, self._varies)
        else:
            carried = chain.spread(levels, before)

        def step(carried: list[Any], i: Any) -> tuple[list[Any], list[Any]]:
            at = index.copy()
            at[chain.dim] = i[None]
            outs = self._inner(self._n_lead, at, carried)
            return chain.carried(levels, outs), self._finished(outs)

        _, outs = jax.lax.scan(step, carried, index[chain.dim])
        return [
            _joined(out, n, chain.dim not in dims)
            for out, dims in zip(outs, self._finished_dims(), strict=True)
        ]

    def _vectorized(self, index: list[Any], carried: Sequence[Any] | None) -> list[Any]:
        """Evaluate one run of each level."""
        values, varies = self._program.values(index, self._data), self._varies
        if self._chain is not None:
            assert carried is not None
            values = [*values, *self._chain.inputs(self._levels, carried)]
            varies = [*varies, *self._chain.dims]
        evaluate = at_all_points if self._points_last else nested
        if self._early is None:
            point = functools.partial(self._point, self._data.arrays)
            return evaluate(self._levels, point, values, varies, self._outputs)
        parts, fixed, made = self._early

        def rest(values: list[Any]) -> list[Any]:
            return evaluated(parts.after, [*fixed, *values])

        varies = [*varies, *parts.varies]
        return evaluate(self._levels, rest, [*values, *made], varies, self._outputs)

    def _shared(self, index: Sequence[Any]) -> tuple[Hoisted, list[Any], list[Any]] | None:
        """Return what is computed before the loops of a tile, if it has any and that is worth it.

        Returns
        -------
        parts, constants and fixed arrays, and the values that the first part makes.
        """
        constants, fixed = self._program.constants_and_fixed(self._data.arrays)
        varies = [frozenset[int]()] * (len(constants) + len(fixed)) + self._varies
        carried: list[Any] = []
        if self._chain is not None:
            varies = [*varies, *(dims | {self._chain.dim} for dims in self._chain.dims)]
            shapes = [v.aval for v in self._program.traced.invars[-len(self._chain.dims) :]]
            carried = [jnp.zeros(shape.shape, shape.dtype) for shape in shapes]
        # What is carried is not known yet, even if there is a single step.
        levels = [
            dataclasses.replace(level, depth=max(level.depth, 2))
            if self._is_along(level)
            else level
            for level in self._levels
        ]
        parts = None
        if not self._program.calls_back:
            parts = hoisted(self._program.traced, varies, levels)
        if parts is None:
            return None
        deep = {dim for level in levels if level.depth > 1 for dim in level.dims}
        # What varies along the loops is not needed yet: the first of its values will do.
        at = [i[:1] if dim in deep else i for dim, i in enumerate(index)]
        values = [
            value[0] if lookup.dim in deep else value
            for lookup, value in zip(
                self._program.lookups, self._program.values(at, self._data), strict=True
            )
        ]
        dims = [each - deep for each in varies]
        if carried:
            dims[-len(carried) :] = [frozenset()] * len(carried)
        fixed = [*constants, *fixed]
        made = shared(parts, levels, [*fixed, *values, *carried], dims)
        return parts, fixed, made


def along(dim: int | None) -> Dims:
    """Return the dimensions along which something varies that varies along one at most."""
    return frozenset() if dim is None else frozenset((dim,))


def _divided(array: Any, axis: int, level: Level) -> Any:
    """Return an array with the pieces along one of its axes along a new first axis."""
    shape = array.shape
    array = array.reshape(*shape[:axis], level.depth, level.width, *shape[axis + 1 :])
    return jnp.moveaxis(array, axis, 0)


def _joined(out: Any, axis: int, constant: bool) -> Any:
    """Return the outputs of pieces, stacked along the first axis, as if they were one run."""
    if constant:
        return out[0]
    out = jnp.moveaxis(out, 0, axis)
    return jax.lax.collapse(out, axis, axis + 2)
