"""Calls of routines that wait for threads of the CPU client, one after the other.

LAPACK and FFT routines distribute a batch over these threads and wait for them. If two that do not
depend on each other run at the same time, each may wait for a thread that the other one occupies:
with jaxlib 0.10.2 on two cores, ``jit(vmap(...))`` of two Cholesky factorizations can hang. Here,
each depends on the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from gridax._kernel.layout import Rewriting
from gridax._kernel.moving import is_inexact
from gridax._plan.work import WAITING, Dims, dependencies, programs_in


def one_at_a_time(closed: Any, varies: Sequence[Dims]) -> Any:
    """Return a closed jaxpr in which such routines depend on each other.

    Parameters
    ----------
    closed : the program of one point.
    varies : dimensions along which its inputs vary. What varies along few of them does not become
        dependent on what varies along others, since points could not share it any more.
    """
    if not _waits(closed.jaxpr):
        return closed
    known = dependencies(closed.jaxpr, varies)
    return Rewriting(program=lambda jaxpr: _ordered(jaxpr, known)).closed(closed)


def _waits(jaxpr: Any) -> bool:
    return any(map(_is_waiting, jaxpr.eqns))


def _is_waiting(equation: Any) -> bool:
    programs = programs_in(tuple(equation.params.values()))
    return equation.primitive.name in WAITING or any(
        _waits(getattr(program, "jaxpr", program)) for program in programs
    )


def _ordered(jaxpr: Any, known: dict[Any, Dims]) -> Any:
    """Return a program in which each such routine depends on an earlier one."""
    if sum(map(_is_waiting, jaxpr.eqns)) < 2:
        return jaxpr
    inputs = [*jaxpr.constvars, *jaxpr.invars]

    def evaluate(*values: Any) -> list[Any]:
        value_of = dict(zip(inputs, values, strict=True))
        earlier: list[tuple[Dims, Any]] = []
        for dims, equation in _by_dims(jaxpr, known):
            atoms = _variables(equation)
            ins = [value_of[atom] for atom in atoms]
            is_waiting = _is_waiting(equation)
            if is_waiting:
                marks = [mark for along, mark in earlier if along <= dims]
                ins = _after(ins, marks[-1]) if marks else ins
            alone = jaxpr.replace(
                constvars=[], invars=atoms, outvars=equation.outvars, eqns=[equation]
            )
            outs = jaxpr_as_fun(ClosedJaxpr(alone, ()))(*ins)
            value_of.update(zip(equation.outvars, outs, strict=True))
            if is_waiting:
                earlier += [(dims, out.ravel()[0].real) for out in outs if _is_mark(out)][:1]
        return [v.val if hasattr(v, "val") else value_of[v] for v in jaxpr.outvars]

    avals = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in inputs]
    new = jax.make_jaxpr(evaluate)(*avals).jaxpr
    n = len(jaxpr.constvars)
    return new.replace(constvars=new.invars[:n], invars=new.invars[n:])


def _by_dims(jaxpr: Any, known: dict[Any, Dims]) -> list[tuple[Dims, Any]]:
    """Return the equations with the dimensions along which they vary, those with few first."""
    dims_of = dict(known)
    equations = []
    for equation in jaxpr.eqns:
        ins = (dims_of.get(v, frozenset()) for v in _variables(equation))
        outs = (known.get(v, frozenset()) for v in equation.outvars)
        dims = frozenset[int]().union(*ins, *outs)
        dims_of.update(dict.fromkeys(equation.outvars, dims))
        equations.append((dims, equation))
    if any(equation.effects for equation in jaxpr.eqns):  # which happen in the order of the model
        return equations
    # What an equation uses varies along no more than itself, and so comes before it.
    return sorted(equations, key=lambda each: len(each[0]))


def _variables(equation: Any) -> list[Any]:
    return [*dict.fromkeys(atom for atom in equation.invars if not hasattr(atom, "val"))]


def _is_mark(out: Any) -> bool:
    return bool(is_inexact(out) and out.size)


def _after(ins: list[Any], mark: Any) -> list[Any]:
    """Return operands of which one depends on a number, whatever that is."""
    for i, value in enumerate(ins):
        if is_inexact(value):
            # Both are zero, which the compiler does not know.
            zero = jnp.where(mark > 0, jnp.zeros((), value.dtype), -jnp.zeros((), value.dtype))
            return [*ins[:i], value + zero, *ins[i + 1 :]]
    return ins
