"""Vectorizes the loops of a model with the points as the last axes of every array.

`jax.vmap` puts points first, so neighbors in memory belong to the same point. If the arrays of a
point are short, such as the three components of an oscillator or the seventy regions of a brain, a
CPU computes with a few elements at a time, adds up sums one element after the other, and gathers
single elements. With the points last, every operation goes along them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridax._kernel import cpu
from gridax._kernel.last_axes import Batched, LastAxes, Levels
from gridax._kernel.last_programs import LastPoints, moved_last, repeated, scanned, value_of
from gridax._kernel.last_rules import has_rule
from gridax._kernel.moving import opened
from gridax._kernel.nesting import evaluated, nested, varying_axes
from gridax._plan.plan import Level
from gridax._plan.programs import LOOPS, bare, called, consts_and_carry, programs_in, variables
from gridax._plan.work import Dims, dependencies, dims_of, inner_dims, nbytes_of

_NOTHING: Dims = frozenset()
# Operations that are faster with the points last, however large their arrays are.
_LARGE = {"dot_general", "gather"}
# Operations that, outside of loops, are left to the routines for points that come first.
_FIRST = _LARGE | {"scatter", "scatter-add", "scatter-max", "scatter-min", "scatter-mul"}
# Elements of a vector, and points that are vectorized at most: more of them do not stay in the
# fastest caches.
_VECTOR, _MOST = 16, 512
# Fraction of the elements that operations make which are summed, above which sums matter.
_MUCH = 0.125
# An operation, and along which dimensions each of its operands varies.
_Operation = tuple[Any, Sequence[Dims]]


def at_all_points(
    levels: Sequence[Level],
    function: Callable[[list[Any]], Sequence[Any]],
    values: Sequence[Any],
    varies: Sequence[Dims],
    outputs: Sequence[Dims],
) -> list[Any]:
    """Evaluate a function of one point as `nesting.nested` does, with the points last in loops.

    Outside of loops, where it reads and writes each array once, points come first: moving them
    takes longer than what is gained. Only what is computed from what a loop returns, such as a
    time series, goes on with the points last.
    """
    n_lead = [sum(not dims.isdisjoint(level.dims) for level in levels) for dims in varies]
    one = [value[(0,) * n] for value, n in zip(values, n_lead, strict=True)]
    closed = jax.make_jaxpr(function)(one)
    jaxpr = closed.jaxpr
    jaxpr = jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars])
    values, varies = [*closed.consts, *values], [*([_NOTHING] * len(closed.consts)), *varies]
    # The level with the most points becomes the last axis of all.
    order = sorted(
        (n for n, level in enumerate(levels) if level.width > 1), key=lambda n: levels[n].width
    )
    tile = _Tile([levels[n] for n in order])

    def entering(array: Any, dims: Dims) -> Any:
        along = [n for n, level in enumerate(levels) if not dims.isdisjoint(level.dims)]
        array = array[tuple(slice(None) if n in order else 0 for n in along)]
        wide = [n for n in along if n in order]
        by_width = [wide.index(n) for n in order if n in wide]
        return jnp.transpose(array, [*by_width, *range(len(wide), array.ndim)])

    def leaving(array: Any, dims: Dims) -> Any:
        wide = [n for n in order if not dims.isdisjoint(levels[n].dims)]
        by_number = [wide.index(n) for n in sorted(wide)]
        array = jnp.transpose(array, [*by_number, *range(len(wide), array.ndim)])
        return jnp.expand_dims(array, [n for n in range(len(levels)) if n not in wide])

    outs = tile.outputs(jaxpr, [*map(entering, values, varies)], varies, outputs)
    return [*map(leaving, outs, outputs)]


class _Tile:
    """The evaluation of a program at all points, loop by loop.

    Values have one leading axis for each level along which they vary.

    Parameters
    ----------
    levels : of more than one point each.
    """

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = levels
        self._axes = LastAxes(tuple(level.width for level in levels))

    def outputs(
        self, jaxpr: Any, values: Sequence[Any], varies: Sequence[Dims], outputs: Sequence[Dims]
    ) -> list[Any]:
        """Return the outputs of a program without constants, which vary along some dimensions."""
        dims = dependencies(jaxpr, varies)
        known = dict(zip(jaxpr.invars, values, strict=True))
        series: set[Any] = set()  # variables whose points are last in memory
        moved = _moved_anyway(jaxpr, dims)
        waiting: list[Any] = []  # equations to be evaluated together
        for n, equation in enumerate(jaxpr.eqns):
            ins = variables(equation.invars)
            follows = not series.isdisjoint(ins) and _can_follow(equation, dims)
            if not (follows or _has_loop(equation)):
                waiting.append(equation)
                continue
            # What waits can go on waiting if it is not read: the longer, the more is evaluated
            # together.
            if not follows or any(v in ins for each in waiting for v in each.outvars):
                self._advance(jaxpr, waiting, jaxpr.eqns[n:], known, dims)
                waiting = []
            if follows:
                outs = self._followed(jaxpr, equation, known, dims)
                series.update(equation.outvars)
            else:
                mine = {v for v in equation.outvars if v.aval.ndim == 1 or v not in moved}
                outs = self._looped(equation, known, dims, mine)
                series |= mine
            known.update(zip(equation.outvars, outs, strict=True))
        self._advance(jaxpr, waiting, (), known, dims)
        return [
            self._along(value_of(atom, known), self._numbers(dims_of(atom, dims)), wanted)
            for atom, wanted in zip(jaxpr.outvars, outputs, strict=True)
        ]

    def _numbers(self, dims: Dims) -> Levels:
        """Return the levels along which something varies."""
        return tuple(n for n, e in enumerate(self._levels) if not dims.isdisjoint(e.dims))

    def _along(self, array: Any, mine: Levels, wanted: Dims) -> Any:
        """Return an array that has axes for some levels with those for some dimensions."""
        levels = self._numbers(wanted)
        array = jnp.asarray(array)[tuple(slice(None) if n in levels else 0 for n in mine)]
        own = array.shape[sum(n in levels for n in mine) :]
        array = jnp.expand_dims(array, [k for k, n in enumerate(levels) if n not in mine])
        return jnp.broadcast_to(array, (*self._axes.sizes(levels), *own))

    def _advance(
        self,
        jaxpr: Any,
        equations: Sequence[Any],
        later: Sequence[Any],
        known: dict[Any, Any],
        dims: dict[Any, Dims],
    ) -> None:
        """Evaluate equations outside of loops, and add what is read later to what is known."""
        read = {*variables(jaxpr.outvars), *(v for e in later for v in variables(e.invars))}
        made = [v for equation in equations for v in equation.outvars if v in read]
        needed = [*dict.fromkeys(v for e in equations for v in variables(e.invars) if v in known)]
        part = jaxpr.replace(constvars=[], invars=needed, outvars=made, eqns=[*equations])
        outs = nested(
            self._levels,
            functools.partial(evaluated, part),
            [known[v] for v in needed],
            [dims[v] for v in needed],
            [dims[v] for v in made],
        )
        for v, out in zip(made, outs, strict=True):
            known[v] = out[varying_axes(self._levels, dims[v])]

    def _followed(
        self, jaxpr: Any, equation: Any, known: dict[Any, Any], dims: dict[Any, Dims]
    ) -> Sequence[Any]:
        """Evaluate an operation with the points last.

        XLA omits the moves of what a loop, or an operation before, leaves in this order.
        """
        ins = [self._last(value_of(atom, known), dims_of(atom, dims)) for atom in equation.invars]
        outs = LastPoints(self._axes).results(jaxpr, equation, ins)
        return [
            self._first(out, dims_of(v, dims))
            for v, out in zip(equation.outvars, outs, strict=True)
        ]

    def _last(self, array: Any, dims: Dims) -> Batched:
        levels = self._numbers(dims)
        return Batched(moved_last(array, len(levels)), levels)

    def _first(self, value: Batched, dims: Dims) -> Any:
        return self._along(moved_last(value.array, value.ndim), value.levels, dims)

    def _looped(
        self, equation: Any, known: dict[Any, Any], dims: dict[Any, Dims], series: set[Any]
    ) -> Sequence[Any]:
        """Evaluate a loop, or a call of a program that has one; `series` leave it as they are."""
        ins = [value_of(atom, known) for atom in equation.invars]
        varies = [dims_of(atom, dims) for atom in equation.invars]
        outputs = [dims_of(v, dims) for v in equation.outvars]
        program = called(equation)
        if program is None:
            return self._with_points_last(equation, ins, varies, outputs, series)
        jaxpr, constants = opened(program)
        inner = jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars])
        none = [_NOTHING] * len(constants)
        return self.outputs(inner, [*constants, *ins], [*none, *varies], outputs)

    def _with_points_last(
        self,
        equation: Any,
        ins: Sequence[Any],
        varies: Sequence[Dims],
        outputs: Sequence[Dims],
        series: set[Any],
    ) -> list[Any]:
        """Evaluate a loop."""
        is_scan = equation.primitive.name == "scan"
        n_consts, n_carry = consts_and_carry(equation) if is_scan else (0, len(outputs))
        begin = n_consts + n_carry if is_scan else len(ins)
        levels = [*map(self._numbers, varies)]
        values = [
            # Of what is read slice by slice, only the slices are moved.
            Batched(moved_last(x, len(at)) if k < begin else jnp.moveaxis(x, len(at), 0), at)
            for k, (x, at) in enumerate(zip(ins, levels, strict=True))
        ]
        on, moved = LastPoints(self._axes), {*equation.outvars[n_carry:]} - series
        run = functools.partial(scanned, reads_first=True, writes_first=moved)
        outs = run(on, equation, values) if is_scan else repeated(on, equation, values)
        arrays = [
            jnp.moveaxis(x, 0, len(at)) if v in moved else moved_last(x, np.ndim(x) - len(at))
            for v, (x, at, _) in zip(equation.outvars, outs, strict=True)
        ]
        return [
            self._along(array, out.levels, wanted)
            for array, out, wanted in zip(arrays, outs, outputs, strict=True)
        ]


def _has_loop(equation: Any) -> bool:
    """Whether an equation is a loop, or the call of a program that has one."""
    program = called(equation)
    return equation.primitive.name in LOOPS or (
        program is not None and any(map(_has_loop, bare(program).eqns))
    )


def _moved_anyway(jaxpr: Any, dims: dict[Any, Dims]) -> set[Any]:
    """Return the variables whose points come first in the end, while most elements are left.

    They are outputs, or read by what has its points first. A loop then moves them step by step.
    """
    moved = {*variables(jaxpr.outvars)}
    for equation in reversed(jaxpr.eqns):
        left = [nbytes_of(v) for v in equation.outvars if v in moved]
        follows = _can_follow(equation, dims)
        for v in variables(equation.invars):
            if not follows or 2 * max(left, default=0) > nbytes_of(v):
                moved.add(v)
    return moved


def _can_follow(equation: Any, dims: dict[Any, Dims]) -> bool:
    """Whether an operation outside of loops is as fast with the points last."""
    operations = _varying(equation, [dims_of(atom, dims) for atom in equation.invars], dims)
    return not _has_loop(equation) and all(
        has_rule(each, ins) and each.primitive.name not in _FIRST for each, ins in operations
    )


class Fit(NamedTuple):
    """Whether the points of a program should come last.

    Attributes
    ----------
    is_possible : whether it has loops over arrays in which they can.
    n_points : how many of them should be vectorized at least and at most if they do; zeros if that
        is not promising.
    """

    is_possible: bool = False
    n_points: tuple[int, int] = (0, 0)


def fit(jaxpr: Any, varies: Sequence[Dims]) -> Fit:
    """Return whether the points of a program should come last.

    Parameters
    ----------
    jaxpr : the program of one point.
    varies : dimensions along which its inputs vary.
    """
    if jaxpr.effects:
        return Fit()
    loops = [
        (loop, operations)
        for loop, operations in _loops(jaxpr, varies)
        if any(equation.outvars[0].aval.shape for equation, _ in operations)
    ]
    operations = [operation for _, mine in loops for operation in mine]
    if not operations or not all(_has_rule(equation, ins) for equation, ins in operations):
        return Fit()
    n = cpu.LARGE // max(1, *map(_largest, operations))
    if n >= 2 * _VECTOR and all(cpu.can_be_whole_with_points_last(loop) for loop, _ in loops):
        return Fit(True, (_VECTOR, min(n - n % _VECTOR, _MOST)))
    if n < 2 * _VECTOR and any(map(_is_product_of_points, operations)):
        return Fit(True)  # a matrix of one point stays in a cache, and those of many do not
    if _sums_much(operations) or any(e.primitive.name in _LARGE for e, _ in operations):
        return Fit(True, (2 * _VECTOR, min(max(n, 4 * _VECTOR), _MOST)))
    return Fit(True)


def _sums_much(operations: Sequence[_Operation]) -> bool:
    """Whether sums, such as those over all pairs of units, are a large part of what is done."""
    equations = [equation for equation, _ in operations]
    summed = sum(nbytes_of(e.invars[0]) for e in equations if "reduce_" in e.primitive.name)
    return summed > _MUCH * sum(nbytes_of(v) for e in equations for v in e.outvars)


def _largest(operation: _Operation) -> int:
    """Return the bytes of the largest array that an operation reads or writes for each point."""
    equation, varies = operation
    read = (v for v, dims in zip(equation.invars, varies, strict=True) if dims)
    return max(map(nbytes_of, (*read, *equation.outvars)), default=0)


def _is_product_of_points(operation: _Operation) -> bool:
    equation, varies = operation
    return equation.primitive.name == "dot_general" and all(varies)


def _has_rule(equation: Any, varies: Sequence[Dims]) -> bool:
    return has_rule(equation, varies) or equation.primitive.name.startswith("random_")


def _loops(jaxpr: Any, varies: Sequence[Dims]) -> Iterator[tuple[Any, list[_Operation]]]:
    """Yield the outermost loops of a program, and what varies in each."""
    known = dependencies(jaxpr, varies)
    for equation in jaxpr.eqns:
        ins, program = [dims_of(atom, known) for atom in equation.invars], called(equation)
        if equation.primitive.name in LOOPS:
            yield equation, [*_varying(equation, ins, known)]
        elif program is not None:
            yield from _loops(bare(program), ins)


def _varying(equation: Any, ins: Sequence[Dims], known: dict[Any, Dims]) -> Iterator[_Operation]:
    """Yield an operation, or those within it, if they vary; and along what their operands do."""
    within = [
        (each, dims)
        for name, dims in inner_dims(equation, known).items()
        for each in programs_in(equation.params[name])
    ]
    if (program := called(equation)) is not None:
        within.append((program, [*ins]))
    for each, dims in within:
        inner = dependencies(bare(each), dims)
        for one in bare(each).eqns:
            yield from _varying(one, [dims_of(atom, inner) for atom in one.invars], inner)
    if not within and any(ins):
        yield equation, ins
