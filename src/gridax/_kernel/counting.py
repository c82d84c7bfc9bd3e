"""Evaluates a split program at one point, and counts how often its loop runs.

The numbers tell how long points wait for the slowest one in their tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.nesting import evaluated
from gridax._kernel.split import Split


def counted(split: Split, inputs: Sequence[Any]) -> list[Any]:
    """Return the outputs at one point, and the number of iterations.

    `inputs` are those of `split.before`.
    """
    known = dict(zip(split.before.invars, inputs, strict=True))

    def run(program: Any) -> list[Any]:
        return evaluated(program, [known[v] for v in program.invars])

    known |= zip(split.before.outvars, run(split.before), strict=True)
    operands = [split.operand(atom, known) for atom in split.loop.invars]
    results, count = _counted(split, operands)
    known |= zip(split.loop.outvars, results, strict=True)
    return [*run(split.after), count]


def _counted(split: Split, operands: list[Any]) -> tuple[list[Any], Any]:
    params = split.loop.params
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    of_cond, of_body = operands[:n_cond], operands[n_cond : n_cond + n_body]
    cond, body, goes_on = map(
        jaxpr_as_fun, (params["cond_jaxpr"], params["body_jaxpr"], split.condition)
    )

    def turn(state: Any) -> Any:
        carry, count = state
        # Some loops go on for as long as any point does, and leave those alone that are done.
        (going,) = goes_on(*of_cond, *carry)
        return body(*of_body, *carry), count + going.astype(jnp.int32)

    begin = operands[n_cond + n_body :], jnp.int32(0)
    return jax.lax.while_loop(lambda state: cond(*of_cond, *state[0])[0], turn, begin)
