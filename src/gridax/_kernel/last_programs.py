"""Evaluates programs, with their loops and branches, with the points last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax import lax

from gridax._kernel import last_rules
from gridax._kernel.last_axes import Batched, LastAxes, Levels, union
from gridax._kernel.moving import opened
from gridax._kernel.nesting import evaluated_alone
from gridax._plan.programs import called, consts_and_carry, is_literal
from gridax._plan.work import dims_of_results

_THREEFRY = jax.extend.random.threefry_prng_impl


def value_of(atom: Any, known: dict[Any, Any]) -> Any:
    """Return the value of an operand, with the dtype that it has in its program."""
    return np.asarray(atom.val, atom.aval.dtype) if is_literal(atom) else known[atom]


def moved_last(array: Any, n: int) -> Any:
    """Return an array with its first `n` axes last."""
    return jnp.transpose(array, [*range(n, np.ndim(array)), *range(n)])


class LastPoints:
    """Evaluates programs at all points of a tile.

    Parameters
    ----------
    axes : those of the points.
    """

    def __init__(self, axes: LastAxes) -> None:
        self.axes = axes

    def outputs(self, program: Any, ins: Iterable[Batched]) -> list[Batched]:
        """Return the outputs of a jaxpr, which may be closed."""
        jaxpr, constants = opened(program)
        known: dict[Any, Batched] = dict(zip(jaxpr.constvars, map(Batched, constants), strict=True))
        known.update(zip(jaxpr.invars, ins, strict=True))

        def value(atom: Any) -> Batched:
            return Batched(value_of(atom, known)) if is_literal(atom) else known[atom]

        for equation in jaxpr.eqns:
            outs = self.results(jaxpr, equation, [value(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, outs, strict=True))
        return [value(atom) for atom in jaxpr.outvars]

    def results(self, jaxpr: Any, equation: Any, ins: Sequence[Batched]) -> Sequence[Batched]:
        """Return the results of one equation of a jaxpr."""
        levels, name = union(ins), equation.primitive.name
        is_read = name in last_rules.READING and all(value.is_read for value in ins)
        if not levels:
            outs = evaluated_alone(jaxpr, equation, [value.array for value in ins])
            return [Batched(out, levels, is_read) for out in outs]
        program = called(equation)
        if program is not None:
            return self.outputs(program, ins)
        if name in _PROGRAMS:
            return _PROGRAMS[name](self, equation, ins)
        if name == "random_bits" and _is_threefry(equation):
            return self._random_bits(equation, ins)
        if last_rules.has_rule(equation, [frozenset(value.levels) for value in ins]):
            outs = last_rules.result(self.axes, equation, ins)
            outs = outs if equation.primitive.multiple_results else [outs]
        else:
            outs = _by_vmap(jaxpr, equation, ins, levels)
        return [Batched(out, levels, is_read) for out in outs]

    def _random_bits(self, equation: Any, ins: Sequence[Batched]) -> list[Batched]:
        """Draw for each point where its draws are needed, rather than move them there."""
        width, shape = equation.params["bit_width"], equation.params["shape"]
        (keys,) = ins
        closed = jax.make_jaxpr(lambda key: _THREEFRY.random_bits(key, width, shape))(
            jax.ShapeDtypeStruct((2,), np.uint32)
        )
        halves = jnp.moveaxis(jax.random.key_data(keys.array), -1, 0)
        return self.outputs(closed, [Batched(halves, keys.levels)])


def _is_threefry(equation: Any) -> bool:
    """Whether a single key is drawn from, with the default implementation and its settings."""
    key = equation.invars[0].aval
    setting = getattr(equation.ctx, "threefry_partitionable", None)
    is_default = setting == getattr(jax.config, "jax_threefry_partitionable", setting)
    return str(key.dtype) == "key<fry>" and not key.shape and is_default


def _by_vmap(jaxpr: Any, equation: Any, ins: Sequence[Batched], levels: Levels) -> list[Any]:
    """Evaluate an operation as JAX vectorizes it, and move the points last again."""

    def function(*ins: Any) -> list[Any]:
        return evaluated_alone(jaxpr, equation, ins)

    vectorized: Callable[..., list[Any]] = function
    for level in levels:  # the last one is the outermost, and the last axis
        axes = [-1 if level in value.levels else None for value in ins]
        vectorized = jax.vmap(vectorized, in_axes=axes, out_axes=-1)
    return vectorized(*(value.array for value in ins))


def _levels_of(equation: Any, ins: Sequence[Batched]) -> list[Levels]:
    """Return along which levels the results of a loop or a branch vary."""
    dims = dims_of_results(equation, [frozenset(value.levels) for value in ins])
    return [tuple(sorted(each)) for each in dims]


def scanned(
    on: LastPoints,
    equation: Any,
    ins: Sequence[Batched],
    reads_first: bool = False,
    writes_first: Collection[Any] = (),
) -> list[Batched]:
    """Evaluate a `scan`.

    What it reads and writes slice by slice can be moved slice by slice, while it is in a cache.
    Points then come right after the axis of the scan: in all that it reads with `reads_first`, and
    in those of its results that are in `writes_first`.
    """
    params = equation.params
    first, n_carry = consts_and_carry(equation)
    begin = first + n_carry
    carried = _levels_of(equation, ins)[:n_carry]
    read = [value.levels for value in ins[begin:]]
    written: list[Levels] = []
    are_first = [variable in writes_first for variable in equation.outvars[n_carry:]]

    def step(carry: list[Any], slices: list[Any]) -> tuple[list[Any], list[Any]]:
        if reads_first:
            slices = [*map(moved_last, slices, map(len, read))]
        values = map(Batched, [*carry, *slices], [*carried, *read])
        outs = on.outputs(params["jaxpr"], [*ins[:first], *values])
        carry, ys = [*map(on.axes.full, outs, carried)], outs[len(carried) :]
        written[:] = [y.levels for y in ys]
        return carry, [
            moved_last(y.array, y.ndim) if is_first else y.array
            for y, is_first in zip(ys, are_first, strict=True)
        ]

    carry, ys = lax.scan(
        step,
        [*map(on.axes.full, ins[first:begin], carried)],
        [value.array for value in ins[begin:]],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*map(Batched, carry, carried), *map(Batched, ys, written)]


def repeated(on: LastPoints, equation: Any, ins: Sequence[Batched]) -> list[Batched]:
    """Evaluate a `while` loop. Points that are done keep their values."""
    params = equation.params
    n_cond = params["cond_nconsts"]
    begin = n_cond + params["body_nconsts"]
    levels = _levels_of(equation, ins)

    def going(carry: Sequence[Any]) -> Batched:
        values = map(Batched, carry, levels)
        (out,) = on.outputs(params["cond_jaxpr"], [*ins[:n_cond], *values])
        return out

    def step(carry: Sequence[Any]) -> list[Any]:
        values = map(Batched, carry, levels)
        outs = on.outputs(params["body_jaxpr"], [*ins[n_cond:begin], *values])
        new, still = [*map(on.axes.full, outs, levels)], going(carry)
        if not still.levels:
            return new
        return [
            lax.select(on.axes.full(still, along, value.shape), array, before)
            for value, array, before, along in zip(outs, new, carry, levels, strict=True)
        ]

    carry = [*map(on.axes.full, ins[begin:], levels)]
    outs = lax.while_loop(lambda carry: jnp.any(going(carry).array), step, carry)
    return [*map(Batched, outs, levels)]


def _branched(on: LastPoints, equation: Any, ins: Sequence[Batched]) -> list[Batched]:
    """Evaluate a `cond`. If points take different branches, all are evaluated, as by `vmap`."""
    index, *operands = ins
    branches, levels = equation.params["branches"], _levels_of(equation, ins)

    def outputs(branch: Any, arrays: Sequence[Any]) -> list[Any]:
        values = map(Batched, arrays, (value.levels for value in operands))
        return [*map(on.axes.full, on.outputs(branch, values), levels)]

    arrays = [value.array for value in operands]
    if not index.levels:
        calls = [lambda *arrays, branch=branch: outputs(branch, arrays) for branch in branches]
        return [*map(Batched, lax.switch(index.array, calls, *arrays), levels)]
    every = [outputs(branch, arrays) for branch in branches]
    last = len(branches) - 1
    which = Batched(jnp.clip(index.array, 0, last), index.levels)
    return [
        Batched(_chosen(on.axes, which, cases, along), along)
        for cases, along in zip(zip(*every, strict=True), levels, strict=True)
    ]


def _chosen(axes: LastAxes, which: Batched, cases: Sequence[Any], levels: Levels) -> Any:
    index = axes.full(which, levels, cases[0].shape[: cases[0].ndim - len(levels)])
    return lax.select_n(index.astype(bool) if len(cases) == 2 else index, *cases)


_PROGRAMS: dict[str, Callable[..., list[Batched]]] = {
    "scan": scanned,
    "while": repeated,
    "cond": _branched,
}
