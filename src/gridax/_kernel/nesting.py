"""Evaluates a function at all points of a tile, with one `jax.vmap` per level.

A flat vmap over stacked points repeats for every point what varies along one level only. With one
vmap per level, JAX itself sees what a level does not batch, and computes it once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from gridax._plan.plan import Level
from gridax._plan.programs import is_literal
from gridax._plan.work import Dims


def evaluated(jaxpr: Any, values: Sequence[Any], constants: Sequence[Any] = ()) -> list[Any]:
    """Return the outputs of a jaxpr as arrays."""
    outputs = jaxpr_as_fun(ClosedJaxpr(jaxpr, constants))(*values)
    return [jnp.asarray(out) for out in outputs]  # a literal output is a Python number


def evaluated_alone(jaxpr: Any, equation: Any, ins: Sequence[Any]) -> list[Any]:
    """Return the outputs of one equation of a jaxpr for some values of its operands."""
    known = {
        atom: value
        for atom, value in zip(equation.invars, ins, strict=True)
        if not is_literal(atom)
    }
    alone = jaxpr.replace(
        constvars=[], invars=[*known], outvars=[*equation.outvars], eqns=[equation]
    )
    return list(jaxpr_as_fun(ClosedJaxpr(alone, ()))(*known.values()))


def value_of(atom: Any, known: dict[Any, Any]) -> Any:
    """Return the value of an operand, given those of variables."""
    return atom.val if is_literal(atom) else known[atom]


def varying_axes(levels: Sequence[Level], dims: Dims) -> tuple[slice | int, ...]:
    """Return an index that drops the axes of levels along which an output of `nested` is one."""
    return tuple(0 if dims.isdisjoint(level.dims) else slice(None) for level in levels)


def nested(
    levels: Sequence[Level],
    function: Callable[[list[Any]], Sequence[Any]],
    values: Sequence[Any],
    varies: Sequence[Dims],
    outputs: Sequence[Dims],
) -> list[Any]:
    """Evaluate a function of one point at all points of a tile.

    Parameters
    ----------
    levels : of the tile; each has a run of `width` points.
    function : takes the values of one point and returns its outputs.
    values : with one leading axis per level that each varies along.
    varies, outputs : dimensions along which the values and the outputs vary.

    Returns
    -------
    list of array
        Outputs of shape ``(*tile, *output_shape)``, with one size per level: its width, or 1 where
        the output does not vary along it.
    """

    def nest(n: int, values: list[Any]) -> list[Any]:
        if n == len(levels):
            return list(function(values))
        along = [k for k, each in enumerate(varies) if not each.isdisjoint(levels[n].dims)]

        def one(mine: list[Any]) -> list[Any]:
            inner = list(values)
            for k, value in zip(along, mine, strict=True):
                inner[k] = value
            return nest(n + 1, inner)

        mine = [values[k] for k in along]
        if levels[n].width == 1 or not mine:  # works even without a batching rule
            return [out[None] for out in one([value[0] for value in mine])]
        outs = jax.vmap(one)(mine)
        # What does not vary along the level is not copied for each position.
        return [
            out[:1] if each.isdisjoint(levels[n].dims) else out
            for out, each in zip(outs, outputs, strict=True)
        ]

    return nest(0, list(values))
