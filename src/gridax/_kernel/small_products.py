"""Products of small matrices as sums of products of elements.

On a CPU, XLA calls a library for a product of matrices, which takes longer than the few operations
of a small one, and it compiles no loop with such a call as a whole (see `cpu`).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._kernel.layout import Rewriting
from gridax._plan.programs import LOOPS

# Products of elements in a product of matrices that takes less time than calling a library; and how
# many of them are added one by one: XLA adds up the elements of a short axis ten times as slowly.
_SMALL, _SHORT = 64, 8
FLOATS = (np.float32, np.float64, np.complex64, np.complex128)


def with_small_products(closed: Any) -> Any:
    """Return a closed jaxpr in which products of small matrices are sums."""

    def summed(equation: Any, is_within: bool) -> Any:
        return _summed(equation, is_within) if _is_small(equation, is_within) else equation

    def loop(equation: Any) -> Any:
        return within.rewritten(equation) if equation.primitive.name in LOOPS else None

    # Within loops, sums are rounded as by XLA: solvers with adaptive steps, which estimate errors
    # from small differences, would take other steps.
    within = Rewriting(functools.partial(summed, is_within=True))
    return Rewriting(functools.partial(summed, is_within=False), whole=loop).closed(closed)


def _is_small(equation: Any, is_within: bool) -> bool:
    """Whether an operation is a product of small matrices or, outside of loops, a batch of them."""
    if equation.primitive.name != "dot_general":
        return False
    left, right = (variable.aval for variable in equation.invars)
    (contracted, _), (batch, _) = equation.params["dimension_numbers"]
    n = math.prod(left.shape[axis] for axis in contracted)
    n_products = math.prod(left.shape[axis] for axis in batch)
    wanted = equation.params.get("preferred_element_type")
    return (
        n * math.prod(equation.outvars[0].aval.shape) <= _SMALL * (1 if is_within else n_products)
        and left.dtype == right.dtype == equation.outvars[0].aval.dtype
        and (wanted is None or wanted == left.dtype)
        and left.dtype in FLOATS
    )


def _summed(equation: Any, is_within: bool) -> Any:
    """Return an equation that computes a product of matrices as a sum of products of elements."""
    numbers = equation.params["dimension_numbers"]
    product = jax.jit(
        functools.partial(sum_of_products, dimension_numbers=numbers, written_out=not is_within)
    )
    with jax.disable_jit(False):
        (new,) = jax.make_jaxpr(product)(*(v.aval for v in equation.invars)).jaxpr.eqns
    return new.replace(invars=equation.invars, outvars=equation.outvars)


def sum_of_products(
    left: Any, right: Any, dimension_numbers: Any, n_last: int = 0, written_out: bool = False
) -> Any:
    """Return a product of matrices as a sum of products of elements.

    Parameters
    ----------
    left, right, dimension_numbers : as those of `jax.lax.dot_general`.
    n_last : number of axes, the last ones of both and of the result, along each of which there is
        another product.
    written_out : whether a few products are added one by one.
    """
    (of_left, of_right), (left_batch, right_batch) = dimension_numbers
    n_batch, n_summed = len(left_batch), len(of_left)
    n_left, n_right = (array.ndim - n_last - n_batch - n_summed for array in (left, right))
    left = _ordered(left, left_batch, of_left, n_last, is_last=True)
    right = _ordered(right, right_batch, of_right, n_last, is_last=False)
    # Both with the axes of the batch, the free ones of the left one, those that are summed, and the
    # free ones of the right one.
    summed = range(n_batch + n_left, n_batch + n_left + n_summed)
    left = jnp.expand_dims(left, [*range(summed.stop, summed.stop + n_right)])
    right = jnp.expand_dims(right, [*range(n_batch, n_batch + n_left)])
    lengths = [left.shape[axis] for axis in summed]
    if not (written_out and 0 < math.prod(lengths) <= _SHORT):
        return (left * right).sum([*summed])
    before = (slice(None),) * summed.start
    each = ((*before, *at) for at in itertools.product(*map(range, lengths)))
    return functools.reduce(operator.add, (left[at] * right[at] for at in each))


def _ordered(
    array: Any, batch: Sequence[int], summed: Sequence[int], n_last: int, is_last: bool
) -> Any:
    """Return an array with the axes of a batch first, and the summed ones last or after them."""
    ndim = array.ndim - n_last
    free = [axis for axis in range(ndim) if axis not in (*batch, *summed)]
    order = (*batch, *free, *summed) if is_last else (*batch, *summed, *free)
    return array.transpose(*order, *range(ndim, array.ndim))
