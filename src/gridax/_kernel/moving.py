"""Which values of a program have tangents that are not zero, without differentiating it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from gridax._plan.programs import bare, called, consts_and_carry, has_reference, is_literal

# Directions in which something moves.
Directions = frozenset[int]
_NONE: Directions = frozenset()

# Operations whose derivatives are zero everywhere.
STILL = frozenset({"stop_gradient", "floor", "ceil", "round", "sign"})


def is_inexact(array: Any) -> bool:
    """Whether an array is of floats or complex numbers, which have derivatives."""
    return bool(jnp.issubdtype(array.dtype, jnp.inexact))


def moving_outputs(jaxpr: Any, moving: Sequence[Directions]) -> list[Directions]:
    """Return in which directions the outputs of a program move, given those of its inputs."""
    if has_references(jaxpr):
        return [_NONE.union(*moving) if is_inexact(v.aval) else _NONE for v in jaxpr.outvars]
    known: dict[Any, Directions] = dict(zip(jaxpr.invars, moving, strict=True))
    for equation in jaxpr.eqns:
        ins = [_directions(atom, known) for atom in equation.invars]
        outs = _outputs(equation, ins) if any(ins) else [_NONE] * len(equation.outvars)
        for variable, directions in zip(equation.outvars, outs, strict=True):
            known[variable] = directions if is_inexact(variable.aval) else _NONE
    return [_directions(atom, known) for atom in jaxpr.outvars]


def has_references(jaxpr: Any) -> bool:
    """Whether a program changes arrays in place, whose tangents then change as well."""
    return has_reference(v for e in jaxpr.eqns for v in (*e.invars, *e.outvars))


def moving_carry(
    jaxpr: Any, moving: Sequence[Directions], first: int, n_carry: int
) -> list[Directions]:
    """Return in which directions what a loop carries moves, once it has run for long enough.

    Parameters
    ----------
    jaxpr : one step; its first outputs are what it carries.
    moving : directions of its inputs.
    first, n_carry : which of the inputs it carries.
    """
    moving = list(moving)
    while True:
        outs = moving_outputs(jaxpr, moving)[:n_carry]
        before = moving[first : first + n_carry]
        grown = [one | other for one, other in zip(before, outs, strict=True)]
        if grown == before:
            return grown
        moving[first : first + n_carry] = grown


def opened(program: Any) -> tuple[Any, Sequence[Any]]:
    """Return the jaxpr of a program, which may be a closed one, and its constants."""
    return bare(program), getattr(program, "consts", ())


def _directions(atom: Any, known: dict[Any, Directions]) -> Directions:
    return _NONE if is_literal(atom) else known.get(atom, _NONE)


def _outputs(equation: Any, ins: Sequence[Directions]) -> Sequence[Directions]:
    name, params = equation.primitive.name, equation.params
    if name in STILL:
        return [_NONE] * len(equation.outvars)
    if name == "scan":
        jaxpr, _ = opened(params["jaxpr"])
        first, n_carry = consts_and_carry(equation)
        carry = moving_carry(jaxpr, ins, first, n_carry)
        outs = moving_outputs(jaxpr, [*ins[:first], *carry, *ins[first + n_carry :]])
        return [*carry, *outs[n_carry:]]
    if name == "while":
        jaxpr, _ = opened(params["body_jaxpr"])
        of_step = ins[params["cond_nconsts"] :]
        return moving_carry(jaxpr, of_step, params["body_nconsts"], len(equation.outvars))
    if name == "cond":
        branches = [moving_outputs(opened(b)[0], ins[1:]) for b in params["branches"]]
        return [_NONE.union(*each) for each in zip(*branches, strict=True)]
    program = None if name.startswith("custom") else called(equation)
    if program is not None:
        return moving_outputs(opened(program)[0], ins)
    return [_NONE.union(*ins)] * len(equation.outvars)
