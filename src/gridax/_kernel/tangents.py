"""Forward-mode derivatives of a traced program in several directions at the same time.

`jax.jacfwd` batches the tangents of all directions, which changes the layout of every array of the
model; `jax.jvp`, once per direction, repeats its loops. Here, a program computes every value once,
and next to it one tangent per direction in which it moves. Loops and branches are rebuilt with the
tangents among what they carry; the rule of JAX differentiates everything else. Where that repeats
a value for each direction, the repeated operations are merged afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from gridax._kernel.moving import (
    STILL,
    has_references,
    is_inexact,
    moving_carry,
    moving_outputs,
    opened,
)
from gridax._kernel.nesting import evaluated_alone, value_of
from gridax._plan.programs import (
    LOOPS,
    bare,
    called,
    consts_and_carry,
    equations_of,
    is_literal,
)

# By the number of a direction; zero tangents are left out.
Tangents = dict[int, Any]


def pushed(
    jaxpr: Any, constants: Sequence[Any], values: Sequence[Any], tangents: Sequence[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Evaluate a program and its derivatives.

    Parameters
    ----------
    jaxpr, constants : the program.
    values, tangents : of its inputs.

    Returns
    -------
    values, tangents of its outputs.

    Raises
    ------
    TypeError
        If part of the program has derivatives in reverse mode only.
    Exception
        What JAX raises where it cannot differentiate, with a note that names the operation.
    """
    if has_references(jaxpr):
        return _as_a_whole(jaxpr, constants, values, tangents)
    values_of = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *values], strict=True))
    tangents_of: dict[Any, Tangents] = dict(zip(jaxpr.invars, tangents, strict=True))
    for equation in jaxpr.eqns:
        ins = [value_of(atom, values_of) for atom in equation.invars]
        moving = [_tangents(atom, tangents_of) for atom in equation.invars]
        alone = _Equation(jaxpr, equation)
        has_derivatives = any(is_inexact(variable.aval) for variable in equation.outvars)
        if any(moving) and has_derivatives and equation.primitive.name not in STILL:
            rule = _RULES.get(equation.primitive.name, _other)
            outs, moved = rule(alone, ins, moving)
        else:
            outs, moved = alone.evaluated(ins), [{} for _ in equation.outvars]
        values_of.update(zip(equation.outvars, outs, strict=True))
        tangents_of.update(zip(equation.outvars, moved, strict=True))
    outputs = [value_of(atom, values_of) for atom in jaxpr.outvars]
    return outputs, [_tangents(atom, tangents_of) for atom in jaxpr.outvars]


def _as_a_whole(
    jaxpr: Any, constants: Sequence[Any], values: Sequence[Any], tangents: Sequence[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate a program that changes arrays in place, once per direction."""
    function = jaxpr_as_fun(ClosedJaxpr(jaxpr, constants))
    if not any(tangents):
        return list(function(*values)), [{} for _ in jaxpr.outvars]
    return _each_direction(function, values, tangents)


def _each_direction(
    function: Callable[..., Any], values: Sequence[Any], tangents: Sequence[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Return the outputs of a function and their tangents, by the rules of JAX."""
    outs: list[Any] = []
    moved: list[Tangents] = []
    for k in _directions(tangents):
        at = [i for i, each in enumerate(tangents) if k in each]
        outs, some = _differentiated(function, values, at, [tangents[i][k] for i in at])
        moved = moved or [{} for _ in outs]
        for mine, tangent in zip(moved, some, strict=True):
            if tangent.dtype != jax.dtypes.float0:
                mine[k] = tangent
    return outs, moved


def _differentiated(
    function: Callable[..., Any], values: Sequence[Any], at: Sequence[int], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return the outputs of a function and their tangents if some of its arguments move."""

    def moved(*some: Any) -> list[Any]:
        ins = list(values)
        for i, value in zip(at, some, strict=True):
            ins[i] = value
        return list(function(*ins))

    return jax.jvp(moved, tuple(values[i] for i in at), tuple(tangents))


def _tangents(atom: Any, known: dict[Any, Tangents]) -> Tangents:
    return {} if is_literal(atom) else known.get(atom, {})


@dataclasses.dataclass(frozen=True, eq=False)
class _Equation:
    """One equation of a program."""

    jaxpr: Any
    equation: Any

    @property
    def params(self) -> Any:
        return self.equation.params

    @property
    def outvars(self) -> Any:
        return self.equation.outvars

    def evaluated(self, ins: Sequence[Any]) -> list[Any]:
        """Return its outputs for some values of its operands."""
        return evaluated_alone(self.jaxpr, self.equation, ins)

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Say in errors of JAX which operation was differentiated."""
        try:
            yield
        except Exception as error:
            error.add_note(
                f"while the model's operation {self.equation.primitive.name!r} was "
                "differentiated; leave out derivatives=, or give what calls it a rule with "
                "jax.custom_jvp"
            )
            raise


def _directions(moving: Sequence[Tangents]) -> list[int]:
    return sorted(set().union(*moving))


def _by_direction(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate by the rule of JAX, once per direction."""
    with equation.naming():
        return _each_direction(lambda *values: equation.evaluated(values), ins, moving)


def _other(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate a function that is called, such as one under `jax.jit`, or an operation."""
    program = called(equation.equation)
    if program is None:
        return _by_direction(equation, ins, moving)
    return pushed(*opened(program), ins, moving)


def _custom(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate by a rule of the user, which may repeat the function: loops are not merged."""
    directions = _directions(moving)
    if len(directions) == 1 or not _has_loops(called(equation.equation)):
        return _by_direction(equation, ins, moving)
    at = [i for i, tangents in enumerate(moving) if tangents]
    stacked = [
        jnp.stack([moving[i].get(k, jnp.zeros_like(ins[i])) for k in directions]) for i in at
    ]

    def one(*tangents: Any) -> tuple[list[Any], list[Any]]:
        return _differentiated(lambda *values: equation.evaluated(values), ins, at, tangents)

    with equation.naming():
        outs, moved = jax.vmap(one, out_axes=(None, 0))(*stacked)
    return outs, [
        {} if each.dtype == jax.dtypes.float0 else dict(zip(directions, each, strict=True))
        for each in moved
    ]


def _extreme(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate a maximum or minimum: the mean of the tangents where it is taken on.

    The rule of JAX does the same, but with several more passes over the array for each direction.
    """
    (array,), (tangents,), axes = ins, moving, equation.params["axes"]
    (out,) = equation.evaluated(ins)
    kept = [n for n in range(array.ndim) if n not in axes]
    is_there = array == jax.lax.broadcast_in_dim(out, array.shape, kept)

    def added(tangent: Any) -> Any:
        return jnp.sum(jnp.where(is_there, tangent, jnp.zeros_like(array)), axes)

    count = added(jnp.ones_like(array))
    return [out], [{direction: added(each) / count for direction, each in tangents.items()}]


def _has_loops(program: Any) -> bool:
    return program is None or any(
        equation.primitive.name in LOOPS for equation in equations_of(bare(program))
    )


def _reverse_only(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    program = called(equation.equation)
    name = "" if program is None else opened(program)[0].debug_info.func_name
    raise TypeError(
        f"the model calls {name or 'a function'!r}, which has a rule for derivatives in reverse "
        "mode only (jax.custom_vjp), but derivatives= needs forward mode: give it a rule with "
        "jax.custom_jvp, or leave out the rule (with diffrax, pass adjoint=diffrax.ForwardMode())"
    )


def _scan(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate a scan, which carries and stacks tangents, too."""
    params = equation.params
    jaxpr, constants = opened(params["jaxpr"])
    first, n_carry = consts_and_carry(equation)
    begin = first + n_carry
    grown = moving_carry(jaxpr, list(map(frozenset[int], moving)), first, n_carry)

    def step(carry: Any, along: Any) -> tuple[Any, Any]:
        (state, moved), (xs, xs_moved) = carry, along
        outs, tangents = pushed(
            jaxpr, constants, [*ins[:first], *state, *xs], [*moving[:first], *moved, *xs_moved]
        )
        state, moved = outs[:n_carry], _filled(outs[:n_carry], tangents[:n_carry], grown)
        return (state, moved), (outs[n_carry:], tangents[n_carry:])

    start = ins[first:begin], _filled(ins[first:begin], moving[first:begin], grown)
    (state, moved), (stacked, stacked_moved) = jax.lax.scan(
        step,
        start,
        (ins[begin:], moving[begin:]),
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*state, *stacked], [*moved, *stacked_moved]


def _while(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate a `while` loop, which ends when it would have ended without tangents."""
    params = equation.params
    goes_on, of_goes_on = opened(params["cond_jaxpr"])
    body, of_body = opened(params["body_jaxpr"])
    n_cond = params["cond_nconsts"]
    begin = n_cond + params["body_nconsts"]
    of_step = list(map(frozenset[int], moving[n_cond:]))
    grown = moving_carry(body, of_step, params["body_nconsts"], len(equation.outvars))

    def is_going(carry: Any) -> Any:
        (going,), _ = pushed(
            goes_on,
            of_goes_on,
            [*ins[:n_cond], *carry[0]],
            [{}] * (n_cond + len(carry[0])),
        )
        return going

    def step(carry: Any) -> Any:
        state, moved = carry
        outs, tangents = pushed(
            body, of_body, [*ins[n_cond:begin], *state], [*moving[n_cond:begin], *moved]
        )
        return outs, _filled(outs, tangents, grown)

    start = ins[begin:], _filled(ins[begin:], moving[begin:], grown)
    state, moved = jax.lax.while_loop(is_going, step, start)
    return list(state), list(moved)


def _cond(
    equation: _Equation, ins: list[Any], moving: list[Tangents]
) -> tuple[list[Any], list[Tangents]]:
    """Differentiate the branch that is taken."""
    index, *operands = ins
    branches = [opened(branch) for branch in equation.params["branches"]]
    directions = list(map(frozenset[int], moving[1:]))
    each = [moving_outputs(jaxpr, directions) for jaxpr, _ in branches]
    grown = [frozenset[int]().union(*of_output) for of_output in zip(*each, strict=True)]

    def taken(branch: tuple[Any, Sequence[Any]]) -> Callable[..., Any]:
        def differentiated(values: Any, tangents: Any) -> Any:
            outs, moved = pushed(*branch, values, tangents)
            return outs, _filled(outs, moved, grown)

        return differentiated

    platforms = equation.params.get("branches_platforms")
    if platforms is None:
        outs, moved = jax.lax.switch(index, list(map(taken, branches)), operands, moving[1:])
    else:  # branches of other platforms may not compile on this one
        of_platform = {
            name: taken(branch)
            for names, branch in zip(platforms, branches, strict=True)
            for name in names or ("default",)
        }
        outs, moved = jax.lax.platform_dependent(operands, moving[1:], **of_platform)
    return list(outs), list(moved)


def _filled(
    values: Sequence[Any], tangents: Sequence[Tangents], grown: Sequence[frozenset[int]]
) -> list[Tangents]:
    """Return tangents in all directions in which something moves at some time."""
    return [
        {k: moved[k] if k in moved else jnp.zeros_like(value) for k in sorted(directions)}
        for value, moved, directions in zip(values, tangents, grown, strict=True)
    ]


_Rule = Callable[[_Equation, list[Any], list[Tangents]], tuple[list[Any], list[Tangents]]]
_RULES: dict[str, _Rule] = {
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    "reduce_max": _extreme,
    "reduce_min": _extreme,
    "custom_jvp_call": _custom,
    "custom_vjp_call": _reverse_only,
}
