"""Lets loops stack transposed arrays quickly on a CPU.

In a vectorized simulation, the steps of a series come before its points. A loop over tiles
therefore transposes the series of each before it stacks them. XLA fuses both, and then goes through
memory element by element, which takes up to ten times as long as a transposition by itself.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from gridax._plan.programs import consts_and_carry, is_literal

# Elements of an array above which it is worth writing it to memory twice: it exceeds the fastest
# cache, in which the order does not matter.
_MANY = 2**14
# Operations that do not change the order of the elements.
_KEEPING = {"reshape", "broadcast_in_dim", "squeeze", "convert_element_type"}


def stacking_rows(loop: Any) -> Any:
    """Return an equation; if it is a loop, one that transposes large arrays, then stacks them."""
    if loop.primitive.name != "scan":
        return loop
    closed, (_, n_carried) = loop.params["jaxpr"], consts_and_carry(loop)
    body = closed.jaxpr
    made_by = {equation.outvars[0]: equation for equation in body.eqns if equation.outvars}
    transpositions = [_transposition(variable, made_by) for variable in body.outvars[n_carried:]]
    if not any(transpositions):
        return loop
    equations, outvars = [], [*body.outvars]
    for equation in body.eqns:
        if any(equation is each for each in transpositions):
            equations.append(_in_rows(equation.invars[0]))
            equation = equation.replace(invars=equations[-1].outvars)
        equations.append(equation)
    for k, transposition in enumerate(transpositions, n_carried):
        if transposition is not None:
            equations.append(_in_rows(outvars[k]))
            outvars[k] = equations[-1].outvars[0]
    body = body.replace(eqns=equations, outvars=outvars)
    return loop.replace(params={**loop.params, "jaxpr": closed.replace(jaxpr=body)})


def _transposition(variable: Any, made_by: dict[Any, Any]) -> Any | None:
    """Return the equation because of which neighbors in a large array were none before, if any."""
    aval = variable.aval
    if math.prod(aval.shape) < _MANY or jnp.issubdtype(aval.dtype, jax.dtypes.extended):
        return None
    while not is_literal(variable) and variable in made_by:
        equation = made_by[variable]
        if equation.primitive.name == "transpose":
            order = equation.params["permutation"]
            if order[-1] != len(order) - 1 and not is_literal(equation.invars[0]):
                return equation
        elif equation.primitive.name not in _KEEPING:
            return None
        variable = equation.invars[0]
    return None


def _in_rows(variable: Any) -> Any:
    """Return an equation that writes an array to memory row by row."""
    rows = Layout(tuple(range(len(variable.aval.shape))))
    closed = jax.make_jaxpr(lambda array: with_layout_constraint(array, rows))(variable.aval)
    (equation,) = closed.jaxpr.eqns
    return equation.replace(invars=[variable])
