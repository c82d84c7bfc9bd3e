"""Calls of routines that wait for threads of the CPU client, one after the other.

LAPACK and FFT routines distribute a batch over these threads and wait for them. If two that do not
depend on each other run at the same time, each may wait for a thread that the other one occupies:
with jaxlib 0.10.2 on two cores, ``jit(vmap(...))`` of two Cholesky factorizations can hang. Here,
each depends on the one before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.moving import has_references, is_inexact, opened
from gridax._kernel.nesting import evaluated_alone, value_of
from gridax._plan.programs import called, variables
from gridax._plan.work import Dims, dependencies, inner_dims, may_wait

_NONE: Dims = frozenset()


def one_at_a_time(closed: Any, varies: Sequence[Dims]) -> Any:
    """Return a closed jaxpr in which such routines depend on each other.

    Nothing becomes dependent on more dimensions than before, since points could not share it any
    more: of two routines that vary along different dimensions, neither waits for the other. Nor
    do those in a program that changes arrays in place.

    Parameters
    ----------
    closed : the program of one point.
    varies : dimensions along which its inputs vary.
    """
    if not any(map(may_wait, closed.jaxpr.eqns)) or has_references(closed.jaxpr):
        return closed
    flat, more = _retraced(closed.jaxpr, _inlined)
    constants = [*more, *closed.consts]
    n = len(constants)
    known = dependencies(flat, [*([_NONE] * n), *varies])
    inner = flat.replace(eqns=[_within(equation, known) for equation in flat.eqns])
    if sum(map(may_wait, inner.eqns)) > 1:
        inner, more = _retraced(inner, lambda jaxpr, values: _ordered(jaxpr, values, known))
        constants, n = [*more, *constants], n + len(more)
    inner = inner.replace(constvars=inner.invars[:n], invars=inner.invars[n:])
    return closed.replace(jaxpr=inner, consts=constants)


def one_after_another(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of an array in which such routines depend on each other."""

    @functools.wraps(function)
    def ordered(array: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(array)
        outputs = jaxpr_as_fun(one_at_a_time(closed, [_NONE]))(array)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return ordered


def _retraced(
    jaxpr: Any, evaluate: Callable[[Any, dict[Any, Any]], dict[Any, Any]]
) -> tuple[Any, list[Any]]:
    """Return the program that evaluates another one in some way, and constants of its own.

    All constants are inputs: first its own, such as those of what was inlined, then the others.
    """
    inputs = [*jaxpr.constvars, *jaxpr.invars]

    def outputs(*values: Any) -> list[Any]:
        known = evaluate(jaxpr, dict(zip(inputs, values, strict=True)))
        return [value_of(atom, known) for atom in jaxpr.outvars]

    avals = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in inputs]
    closed = jax.make_jaxpr(outputs)(*avals)
    jaxpr = closed.jaxpr
    flat = jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars])
    return flat, closed.consts


def _inlined(jaxpr: Any, known: dict[Any, Any]) -> dict[Any, Any]:
    """Evaluate a program with what it calls in place of the calls."""
    for equation in jaxpr.eqns:
        ins = [value_of(atom, known) for atom in equation.invars]
        program = called(equation) if may_wait(equation) else None
        if program is None:
            outs = evaluated_alone(jaxpr, equation, ins)
        else:
            inner, constants = opened(program)
            mine = dict(zip([*inner.constvars, *inner.invars], [*constants, *ins], strict=True))
            mine = _inlined(inner, mine)
            outs = [value_of(atom, mine) for atom in inner.outvars]
        known.update(zip(equation.outvars, outs, strict=True))
    return known


def _within(equation: Any, known: dict[Any, Dims]) -> Any:
    """Order what is within a loop or a branch."""
    if not may_wait(equation):
        return equation
    params = dict(equation.params)
    for name, dims in inner_dims(equation, known).items():
        programs = params[name] if isinstance(params[name], tuple) else (params[name],)
        new = tuple(one_at_a_time(program, dims) for program in programs)
        params[name] = new if isinstance(params[name], tuple) else new[0]
    return equation.replace(params=params)


def _ordered(jaxpr: Any, values: dict[Any, Any], known: dict[Any, Dims]) -> dict[Any, Any]:
    """Evaluate a program in which each such routine depends on an earlier one."""
    earlier: list[tuple[Dims, Any]] = []
    for equation in _few_dims_first(jaxpr, known):
        mine = values
        if may_wait(equation):
            mine = _after(equation, values, known, earlier)
        outs = evaluated_alone(jaxpr, equation, [value_of(atom, mine) for atom in equation.invars])
        values.update(zip(equation.outvars, outs, strict=True))
        if may_wait(equation):
            marks = [
                (known.get(v, _NONE), out)
                for v, out in zip(equation.outvars, outs, strict=True)
                if is_inexact(out) and out.size
            ]
            earlier += marks[-1:]
    return values


def _few_dims_first(jaxpr: Any, known: dict[Any, Dims]) -> list[Any]:
    """Return the equations with those first that vary along few dimensions.

    Each then comes after what it uses, and after all that it can depend on.
    """
    if any(equation.effects for equation in jaxpr.eqns):  # which happen in the order of the model
        return list(jaxpr.eqns)
    dims_of = dict(known)
    keyed = []
    for equation in jaxpr.eqns:
        operands = [*variables(equation.invars), *equation.outvars]
        dims = _NONE.union(*(dims_of.get(v, _NONE) for v in operands))
        dims_of.update(dict.fromkeys(equation.outvars, dims))
        keyed.append((len(dims), equation))
    return [equation for _, equation in sorted(keyed, key=lambda each: each[0])]


def _after(
    equation: Any,
    values: dict[Any, Any],
    known: dict[Any, Dims],
    earlier: Sequence[tuple[Dims, Any]],
) -> dict[Any, Any]:
    """Return values of which operands depend on the last routine that they may depend on."""
    is_solver = equation.primitive.name == "custom_linear_solve"
    if is_solver:
        # Its programs need not use what they are given, but solve for each right-hand side, which
        # is computed once per combination of all dimensions anyway.
        operands = equation.invars[sum(equation.params["const_lengths"]) :]
        together = _NONE.union(*(known.get(v, _NONE) for v in variables(equation.invars)))
    else:
        operands = equation.invars
    for dims, out in reversed(earlier):
        marked = {
            v: values[v] + _negative_zero(out, values[v].dtype)
            for v in variables(operands)
            if is_inexact(v.aval) and dims <= (together if is_solver else known.get(v, _NONE))
        }
        if marked:
            return {**values, **marked}
    return values


def _negative_zero(array: Any, dtype: Any) -> Any:
    """Return -0.0, to which every number can be added; the compiler does not know what it is."""
    mark = array.ravel()[0].real.astype(jnp.float32)
    sign = jnp.uint32(2**31)
    bits = (jax.lax.bitcast_convert_type(mark, jnp.uint32) | sign) & sign
    zero = jax.lax.bitcast_convert_type(bits, jnp.float32)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        part = zero.astype(jnp.finfo(dtype).dtype)
        return jax.lax.complex(part, part)
    return zero.astype(dtype)
