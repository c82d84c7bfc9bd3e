"""Splits a traced model at the loop that takes most of its time.

Points that leave this loop at different iterations need not wait for each other if the loop is
evaluated on its own, between what comes before it and what comes after it (`lanes`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from gridax._kernel.fingerprint import calls_back
from gridax._kernel.layout import Rewriting
from gridax._plan.programs import bare, called, has_reference, is_literal, variables
from gridax._plan.work import Dims, dependencies, dims_of, leaving, nbytes_of, work_of_one

# Fraction of the estimated time of a point that its loop must take.
_DOMINANT = 0.4
# Bytes that a loop may carry for each point: all of them are copied when a point enters or leaves.
_MOST_BYTES = 2**16
# Operations with which equinox keeps the condition of a loop the same for all points of a `vmap`.
_ACROSS_POINTS = {"unvmap_any", "unvmap_all", "unvmap_max", "nonbatchable"}
_NOTHING: Dims = frozenset()


class Unsplit(Exception):
    """Says why a program is not split."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A program in three parts: what comes before its dominant loop, the loop, and the rest.

    Attributes
    ----------
    constants : values of variables that are constants of inner programs.
    before, after : jaxprs. The inputs of `before` are the constants of the program, its inputs and
        `constants`; those of `after` are the same, the outputs of `before`, and `finals`.
    loop : the equation of the loop, a ``while``.
    condition : whether the loop goes on at one point, whatever others do; a closed jaxpr.
    changes : whether an iteration changes each value that the loop carries.
    finals : those results of the loop that it changes and that `after` reads, as variables.
    varies : dimensions along which each variable varies that `after` or the loop reads.
    dims : dimensions along which anything in the loop varies.
    """

    constants: dict[Any, Any]
    before: Any
    loop: Any
    condition: Any
    after: Any
    changes: list[bool]
    finals: list[Any]
    varies: dict[Any, Dims]
    dims: Dims

    def operand(self, atom: Any, known: dict[Any, Any]) -> Any:
        """Return the value of an operand of the loop, given those of variables."""
        return jnp.asarray(atom.val, atom.aval.dtype) if is_literal(atom) else known[atom]


def split(closed: Any, varies: Sequence[Dims]) -> Split:
    """Split a program of one point at its dominant loop.

    Parameters
    ----------
    closed : the program, as a closed jaxpr.
    varies : dimensions along which its inputs vary.

    Raises
    ------
    Unsplit
        If no loop dominates, or its points would gain nothing.
    """
    constants: dict[Any, Any] = {}
    jaxpr, k, along = _uncalled(closed.jaxpr, varies, constants)
    loop, later = jaxpr.eqns[k], jaxpr.eqns[k + 1 :]
    operands = [dims_of(atom, along) for atom in loop.invars]
    changes = _changes(loop, _read(later, jaxpr.outvars))
    n_consts = len(loop.invars) - len(loop.outvars)
    results = [*zip(loop.outvars, loop.invars[n_consts:], changes, strict=True)]
    names = {result: begin for result, begin, moves in results if not moves}
    later, outvars = _renamed_in(later, names), [_renamed(atom, names) for atom in jaxpr.outvars]
    after = dict.fromkeys(variables([*_inputs(later), *outvars]))
    finals = [result for result, _, moves in results if moves and result in after]
    written = {v for equation in jaxpr.eqns[:k] for v in equation.outvars}
    made = [v for v in dict.fromkeys([*variables(loop.invars), *after]) if v in written]
    _check(loop, made)
    known = [*jaxpr.constvars, *jaxpr.invars, *constants]
    before = jaxpr.replace(constvars=[], invars=known, outvars=made, eqns=jaxpr.eqns[:k])
    inputs = [*known, *made, *finals]
    rest = jaxpr.replace(constvars=[], invars=inputs, outvars=outvars, eqns=later)
    dims = _NOTHING.union(*operands)
    along = {v: along.get(v, _NOTHING) for v in (*known, *made)} | dict.fromkeys(finals, dims)
    return Split(constants, before, loop, _by_point(loop), rest, changes, finals, along, dims)


def _by_point(loop: Any) -> Any:
    """Return the condition of a loop, without what makes points wait for each other."""

    def alone(equation: Any) -> Any:
        if equation.primitive.name not in _ACROSS_POINTS:
            return equation
        function = jax.jit(functools.partial(equation.primitive.impl, **equation.params))
        call = jax.make_jaxpr(function)(*(atom.aval for atom in equation.invars)).jaxpr.eqns[0]
        return equation.replace(primitive=call.primitive, params=call.params)

    return Rewriting(alone).closed(loop.params["cond_jaxpr"])


def _changes(loop: Any, read: set[Any]) -> list[bool]:
    """Return which values that a loop carries matter and change, given what is read after it."""
    n_body, body = loop.params["body_nconsts"], loop.params["body_jaxpr"].jaxpr
    condition = loop.params["cond_jaxpr"].jaxpr
    carried = body.invars[n_body:]
    in_condition = _read(condition.eqns, condition.outvars)
    of_condition = condition.invars[loop.params["cond_nconsts"] :]
    live = [
        result in read or mine in in_condition
        for result, mine in zip(loop.outvars, of_condition, strict=True)
    ]
    while True:
        wanted = [out for out, matters in zip(body.outvars, live, strict=True) if matters]
        within = _read(body.eqns, wanted)
        grown = [a or v in within for a, v in zip(live, carried, strict=True)]
        if grown == live:
            break
        live = grown
    pairs = zip(body.outvars, carried, live, strict=True)
    return [matters and new is not old for new, old, matters in pairs]


def _read(equations: Sequence[Any], outputs: Iterable[Any]) -> set[Any]:
    """Return the variables that some equations read in order to compute some outputs."""
    read = {*variables(outputs)}
    for equation in reversed(equations):
        wanted = [v in read for v in equation.outvars]
        if any(wanted) or not wanted or equation.effects:
            read.update(variables(_needed(equation, wanted)))
    return read


def _needed(equation: Any, wanted: Sequence[bool]) -> list[Any]:
    """Return the inputs that an equation needs for some of its outputs."""
    inputs, callee = list(equation.invars), called(equation)
    if equation.effects:
        return inputs
    if equation.primitive.name == "cond":
        chooses, inputs, programs = inputs[:1], inputs[1:], equation.params["branches"]
    elif callee is not None:
        chooses, programs = [], [callee]
    else:
        return inputs
    needed = chooses
    for program in map(bare, programs):
        outs = [out for out, mine in zip(program.outvars, wanted, strict=True) if mine]
        within = _read(program.eqns, outs)
        needed += [atom for atom, v in zip(inputs, program.invars, strict=True) if v in within]
    return needed


def _uncalled(
    jaxpr: Any, varies: Sequence[Dims], constants: dict[Any, Any]
) -> tuple[Any, int, dict[Any, Dims]]:
    """Return an equivalent program in which no call encloses the dominant loop.

    The constants of inner programs are added to `constants`.

    Returns
    -------
    jaxpr, position of the loop, and dimensions along which variables vary.
    """
    while True:
        along = dependencies(jaxpr, varies)
        work = [work_of_one(jaxpr, equation, along) for equation in jaxpr.eqns]
        times = [sum(time for dims, time in each.time.items() if dims) for each in work]
        k = max(range(len(times)), key=times.__getitem__, default=0)
        if not any(times) or times[k] < _DOMINANT * sum(times) or not work[k].uneven:
            raise Unsplit("no loop that ends at different iterations takes most of the time")
        equation = jaxpr.eqns[k]
        if equation.primitive.name == "while":
            if not leaving(equation, [dims_of(atom, along) for atom in equation.invars]):
                raise Unsplit("the loop is within another one")
            return jaxpr, k, along
        program = called(equation)
        if program is None:
            raise Unsplit("the loop is within another one, or in a branch")
        if isinstance(program, ClosedJaxpr):
            constants |= zip(program.jaxpr.constvars, program.consts, strict=True)
            program = program.jaxpr
        jaxpr = _inlined(jaxpr, k, program)


def _inlined(jaxpr: Any, k: int, program: Any) -> Any:
    """Return a program with the equations of an inner one in place of the call at a position."""
    call = jaxpr.eqns[k]
    inputs = dict(zip(program.invars, call.invars, strict=True))
    results = [_renamed(atom, inputs) for atom in program.outvars]
    outputs = dict(zip(call.outvars, results, strict=True))
    inner = _renamed_in(program.eqns, inputs)
    later = _renamed_in(jaxpr.eqns[k + 1 :], outputs)
    outvars = [_renamed(atom, outputs) for atom in jaxpr.outvars]
    return jaxpr.replace(eqns=[*jaxpr.eqns[:k], *inner, *later], outvars=outvars)


def _renamed_in(equations: Iterable[Any], names: dict[Any, Any]) -> list[Any]:
    return [e.replace(invars=[_renamed(atom, names) for atom in e.invars]) for e in equations]


def _renamed(atom: Any, names: dict[Any, Any]) -> Any:
    return atom if is_literal(atom) else names.get(atom, atom)


def _check(loop: Any, made: Sequence[Any]) -> None:
    """Reject a loop that does more than compute what it carries, or carries too much."""
    programs = [loop.params["cond_jaxpr"].jaxpr, loop.params["body_jaxpr"].jaxpr]
    if any(program.effects or calls_back(program) for program in programs):
        raise Unsplit("the loop calls back to Python or has other effects")
    if has_reference([*loop.invars, *made]):
        raise Unsplit("the model changes arrays in place")
    if sum(map(nbytes_of, loop.outvars)) > _MOST_BYTES:
        raise Unsplit("the loop carries too much for each point")


def _inputs(equations: Iterable[Any]) -> list[Any]:
    return [atom for equation in equations for atom in equation.invars]
