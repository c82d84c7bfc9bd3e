"""Loops of which one condition tells when they end."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.layout import Rewriting


def with_single_conditions(closed: Any) -> Any:
    """Return a closed jaxpr in which each `while` loop has a single condition.

    Within a `jax.vmap` of the model, a loop has one for each of its elements: it goes on as long as
    any of them is true, and leaves the elements alone of which it is false. `jax.lax.while_loop`,
    with which loops are rebuilt, does not take such a condition.
    """
    return Rewriting(_with_single_condition).closed(closed)


def _with_single_condition(equation: Any) -> Any:
    params = equation.params
    if equation.primitive.name != "while" or not params["cond_jaxpr"].out_avals[0].shape:
        return equation
    n_cond = params["cond_nconsts"]
    n_consts = n_cond + params["body_nconsts"]
    goes_on, step = map(jaxpr_as_fun, (params["cond_jaxpr"], params["body_jaxpr"]))

    def condition(*ins: Any) -> Any:
        return goes_on(*ins)[0].any()

    def body(*ins: Any) -> list[Any]:
        (going,) = goes_on(*ins[:n_cond], *ins[n_consts:])
        pairs = zip(step(*ins[n_cond:]), ins[n_consts:], strict=True)
        return [jnp.where(_like(going, new), new, old) for new, old in pairs]

    avals = [variable.aval for variable in equation.invars]
    return equation.replace(
        invars=[*equation.invars[:n_cond], *equation.invars],
        params={
            **params,
            "cond_jaxpr": jax.make_jaxpr(condition)(*avals[:n_cond], *avals[n_consts:]),
            "body_jaxpr": jax.make_jaxpr(body)(*avals),
            "body_nconsts": n_consts,  # those of the condition, too
        },
    )


def _like(going: Any, values: Any) -> Any:
    """Repeat conditions along the other dimensions of the values that they decide about."""
    return jax.lax.broadcast_in_dim(going, values.shape, range(going.ndim))
