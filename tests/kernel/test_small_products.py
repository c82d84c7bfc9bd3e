"""Products of small matrices are sums; the numbers stay what they were."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.small_products import with_small_products

WIDE = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)

PRODUCTS = [
    (lambda a, b: a @ b, (3, 3), (3, 3)),
    (lambda a, b: a @ b, (3, 3), (3,)),
    (lambda a, b: a @ b, (3,), (3, 3)),
    (lambda a, b: a @ b, (3,), (3,)),
    (lambda a, b: a @ b, (2, 3, 4), (2, 4, 1)),
    (lambda a, b: jnp.einsum("ijk,kjl->jil", a, b), (2, 3, 2), (2, 3, 2)),
    (lambda a, b: jnp.einsum("ij,ji->", a, b), (3, 2), (2, 3)),
    (lambda a, b: jnp.einsum("i,j->ij", a, b), (3,), (4,)),
    (lambda a, b: a @ b, (50, 2, 2), (50, 2, 2)),  # many small ones
    (lambda a, b: a @ b, (2, 16), (16,)),
    (lambda a, b: jnp.einsum("ijk,jkl->il", a, b), (2, 2, 3), (2, 3, 4)),
]


@pytest.mark.parametrize(("function", "left", "right"), PRODUCTS)
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_small_products_are_sums(function, left, right, dtype):
    draw = np.random.default_rng(0).normal
    a, b = (draw(size=shape) + 1j * draw(size=shape) for shape in (left, right))
    if dtype == np.float32:
        a, b = a.real, b.real
    a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
    closed = jax.make_jaxpr(function)(a, b)
    summed = with_small_products(closed)
    assert "dot_general" in str(closed)
    assert "dot_general" not in str(summed)
    np.testing.assert_allclose(jaxpr_as_fun(summed)(a, b)[0], function(a, b), rtol=1e-5, atol=1e-5)


def test_a_few_products_are_added_one_by_one():
    for n, name in ((8, "add "), (16, "reduce_sum")):
        closed = jax.make_jaxpr(jnp.dot)(jnp.ones(n), jnp.ones(n))
        assert name in str(with_small_products(closed))


def test_products_in_a_loop_are_rounded_as_by_xla():
    def looped(a, b):
        return jax.lax.fori_loop(0, 3, lambda _, x: a @ x, b)

    closed = jax.make_jaxpr(looped)(jnp.ones((4, 4)), jnp.ones(4))
    summed = str(with_small_products(closed))
    assert "reduce_sum" in summed
    assert "dot_general" not in summed


def test_other_products_are_left_to_a_library():
    for function, inputs in (
        (lambda a, b: a @ b, (jnp.ones((50, 5, 5)), jnp.ones((50, 5, 5)))),
        (lambda x: WIDE @ x, (jnp.ones(40),)),
        (lambda a, b: a @ b, (jnp.ones((2, 2), int), jnp.ones(2, int))),
        (
            lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32),
            (jnp.ones((2, 2), jnp.bfloat16), jnp.ones(2, jnp.bfloat16)),
        ),
    ):
        closed = jax.make_jaxpr(function)(*inputs)
        assert "dot_general" in str(with_small_products(closed))
