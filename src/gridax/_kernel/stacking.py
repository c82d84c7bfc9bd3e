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

# Elements of an array for which a transposition by itself is worth starting another operation.
_MANY = 2**12
# Operations that do not change the order of the elements.
_KEEPING = {"reshape", "broadcast_in_dim", "squeeze", "convert_element_type"}


def stacking_rows(loop: Any) -> Any:
    """Return an equation; if it is a loop, one that writes transposed arrays, then stacks them."""
    if loop.primitive.name != "scan":
        return loop
    closed, (_, n_carried) = loop.params["jaxpr"], consts_and_carry(loop)
    body = closed.jaxpr
    made_by = {equation.outvars[0]: equation for equation in body.eqns}
    outvars, written = [*body.outvars], []
    for k, variable in enumerate(body.outvars[n_carried:], n_carried):
        if not is_literal(variable) and _is_transposed(variable, made_by):
            equation = _writing(variable)
            written.append(equation)
            outvars[k] = equation.outvars[0]
    if not written:
        return loop
    body = body.replace(eqns=[*body.eqns, *written], outvars=outvars)
    return loop.replace(params={**loop.params, "jaxpr": closed.replace(jaxpr=body)})


def _is_transposed(variable: Any, made_by: dict[Any, Any]) -> bool:
    """Whether elements that are next to each other in a large array were not before."""
    aval = variable.aval
    if math.prod(aval.shape) < _MANY or jnp.issubdtype(aval.dtype, jax.dtypes.extended):
        return False
    while not is_literal(variable) and variable in made_by:
        equation = made_by[variable]
        if equation.primitive.name == "transpose":
            order = equation.params["permutation"]
            if order[-1] != len(order) - 1:
                return True
        elif equation.primitive.name not in _KEEPING:
            return False
        variable = equation.invars[0]
    return False


def _writing(variable: Any) -> Any:
    """Return an equation that writes an array to memory row by row."""
    rows = Layout(tuple(range(len(variable.aval.shape))))
    closed = jax.make_jaxpr(lambda array: with_layout_constraint(array, rows))(variable.aval)
    (equation,) = closed.jaxpr.eqns
    return equation.replace(invars=[variable])
