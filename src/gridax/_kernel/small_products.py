"""Products of small matrices as sums of products of elements.

On a CPU, XLA calls a library for a product of matrices, which takes longer than the few operations
of a small one, and it compiles no loop with such a call as a whole (see `cpu`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gridax._kernel.layout import Rewriting

# Products of elements in a product of matrices that takes less time than calling a library.
_SMALL = 64
_DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def with_small_products(closed: Any) -> Any:
    """Return a closed jaxpr in which products of small matrices are sums."""

    def summed(equation: Any) -> Any:
        return _summed(equation) if _is_small_product(equation) else equation

    return Rewriting(summed).closed(closed)


def _is_small_product(equation: Any) -> bool:
    if equation.primitive.name != "dot_general":
        return False
    left, right = (variable.aval for variable in equation.invars)
    (contracted, _), _ = equation.params["dimension_numbers"]
    n = math.prod(left.shape[axis] for axis in contracted)
    wanted = equation.params.get("preferred_element_type")
    return (
        n * math.prod(equation.outvars[0].aval.shape) <= _SMALL
        and left.dtype == right.dtype == equation.outvars[0].aval.dtype
        and (wanted is None or wanted == left.dtype)
        and left.dtype in _DTYPES
    )


def _summed(equation: Any) -> Any:
    """Return an equation that computes a product of matrices as a sum of products of elements."""
    (of_left, of_right), (left_batch, right_batch) = equation.params["dimension_numbers"]

    def product(left: Any, right: Any) -> Any:
        n_free = left.ndim - len(of_left) - len(left_batch)
        left = _ordered(left, left_batch, of_left, is_last=True)
        right = _ordered(right, right_batch, of_right, is_last=False)
        n_batch, n_summed = len(left_batch), len(of_left)
        # Both with the axes of the batch, the free ones of the left one, those that are summed,
        # and the free ones of the right one.
        left = left.reshape(*left.shape, *(1,) * (right.ndim - n_batch - n_summed))
        right = right.reshape(*right.shape[:n_batch], *(1,) * n_free, *right.shape[n_batch:])
        return (left * right).sum(range(n_batch + n_free, n_batch + n_free + n_summed))

    (new,) = jax.make_jaxpr(jax.jit(product))(*(v.aval for v in equation.invars)).jaxpr.eqns
    return new.replace(invars=equation.invars, outvars=equation.outvars)


def _ordered(array: Any, batch: Sequence[int], summed: Sequence[int], is_last: bool) -> Any:
    """Return an array with the axes of a batch first, and the summed ones last or after them."""
    free = [axis for axis in range(array.ndim) if axis not in (*batch, *summed)]
    order = (*batch, *free, *summed) if is_last else (*batch, *summed, *free)
    return array.transpose(order)
