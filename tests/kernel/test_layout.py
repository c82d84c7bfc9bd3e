"""Products of a matrix and a vector put the vector first; the numbers stay what they were."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.layout import vectors_first, with_own_constants

W = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
X = np.arange(4, dtype=np.float32)


def products(jaxpr):
    """Yield the number of dimensions of both operands of each product, within programs too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield tuple(len(variable.aval.shape) for variable in equation.invars)
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from products(inner)


def both(model, *inputs):
    """Return the outputs before and after, and the products after."""
    closed = jax.make_jaxpr(model)(*inputs)
    turned = vectors_first(closed)
    return (
        jaxpr_as_fun(closed)(*inputs),
        jaxpr_as_fun(turned)(*inputs),
        list(products(turned.jaxpr)),
    )


def in_a_scan(x):
    return jax.lax.scan(lambda c, _: (jnp.tanh(W[:, :3] @ c), c), x[:3], length=3)


def in_a_while(x):
    return jax.lax.while_loop(lambda c: c.sum() < 100, lambda c: jnp.abs(W[:, :3] @ c) + 1, x[:3])


def in_a_cond(x):
    return jax.lax.cond(x[0] > 0, lambda: W @ x, lambda: W @ (2 * x))


def in_a_gradient(x):
    return jax.grad(lambda x: jnp.sum((W @ x) ** 2))(x)


@jax.custom_jvp
def _custom(x):
    return W @ x


_custom.defjvp(lambda primals, tangents: (_custom(*primals), W @ tangents[0]))

MODELS = {
    "alone": lambda x: W @ x,
    "in a jit": jax.jit(lambda x: W @ x),
    "in a scan": in_a_scan,
    "in a while": in_a_while,
    "in a cond": in_a_cond,
    "in a gradient": in_a_gradient,
    "in a custom derivative": _custom,
    "recomputed": jax.checkpoint(lambda x: W @ x),
    "precise": lambda x: jnp.matmul(W, x, precision=("highest", "default")),
    "by a preset": lambda x: jnp.matmul(W, x, precision=jax.lax.DotAlgorithmPreset.F32_F32_F32),
    "of integers": lambda x: W.astype(int) @ x.astype(int),
    "accumulated": lambda x: jnp.matmul(
        W.astype(jnp.bfloat16), x.astype(jnp.bfloat16), preferred_element_type=jnp.float32
    ),
    "of a tensor": lambda x: jnp.einsum("abk,k->ab", jnp.ones((2, 3, 4)), x),
    "over two dimensions": lambda x: jnp.einsum(
        "ajk,jk->a", jnp.ones((2, 3, 4)), jnp.outer(x[:3], x)
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_the_vector_comes_first_and_the_numbers_stay(model):
    before, after, found = both(model, X)
    assert found
    assert all(first <= second for first, second in found)
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "operands"),
    [
        (lambda x: x @ W.T, (1, 2)),
        (lambda x: W @ jnp.outer(x, x), (2, 2)),
        (lambda x: x @ x, (1, 1)),
        (lambda x: jnp.einsum("bi,bi->b", W, W + x[None]), (2, 2)),
    ],
    ids=["vector by matrix", "matrix by matrix", "vector by vector", "batch"],
)
def test_other_products_stay_as_they_are(model, operands):
    before, after, found = both(model, X)
    assert found == [operands]
    np.testing.assert_array_equal(after[0], before[0])


def test_under_vmap_the_stack_is_not_transposed():
    closed = jax.make_jaxpr(lambda x: jnp.tanh(W @ x))(X)
    turned = vectors_first(closed)
    stacked = jax.make_jaxpr(jax.vmap(jaxpr_as_fun(turned)))(np.ones((5, 4), np.float32))
    shapes = {e.primitive.name: e.outvars[0].aval.shape for e in stacked.jaxpr.eqns}
    assert shapes["dot_general"] == shapes["tanh"] == (5, 3)
    assert "transpose" not in shapes


def test_an_algorithm_for_different_operands_is_turned_with_them():
    algorithm = jax.lax.DotAlgorithm(jnp.bfloat16, np.float32, np.float32, 1, 3)
    closed = jax.make_jaxpr(lambda x: jnp.matmul(W, x, precision=algorithm))(X)
    (product,) = [e for e in vectors_first(closed).jaxpr.eqns if e.primitive.name == "dot_general"]
    turned = jax.lax.DotAlgorithm(np.float32, jnp.bfloat16, np.float32, 3, 1)
    assert product.params["precision"] == turned


def test_constants_do_not_change_with_the_arrays_that_they_come_from():
    outer, inner = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)
    closed = jax.make_jaxpr(lambda x: jax.jit(lambda y: y * inner)(x) + outer)(np.float32(1))
    own = with_own_constants(closed)
    outer[:], inner[:] = 50, 60
    (value,) = jaxpr_as_fun(own)(np.float32(1))
    assert value.tolist() == [4, 6]
