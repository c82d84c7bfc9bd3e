"""Loops that stack transposed arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

import gridax as gx
from gridax._kernel.layout import Rewriting
from gridax._kernel.stacking import stacking_rows
from gridax._plan.programs import equations_of


def rewritten(function, *args):
    return Rewriting(stacking_rows).closed(jax.make_jaxpr(function)(*args))


def n_written(closed):
    return sum(e.primitive.name == "layout_constraint" for e in equations_of(closed.jaxpr))


def stacked(piece):
    return lambda pieces: jax.lax.map(piece, pieces)


def nested(x):
    return jax.vmap(jax.vmap(lambda row: row, out_axes=1), out_axes=1)(x.reshape(64, 2, 128))


PIECES = {
    "transposed": (lambda x: x.T, 2),
    "twice, for two outputs": (lambda x: (x.T, 1 - x, x.T + 0), 2),
    "reshaped afterwards": (lambda x: x.T.reshape(16, 16, 64), 2),
    "converted afterwards": (lambda x: x.T.astype(int), 2),
    "in two levels": (nested, 2),
    "rows as they were": (lambda x: jnp.swapaxes(x.reshape(64, 2, 128), 0, 1), 0),
    "not transposed": (lambda x: 2 * x, 0),
    "computed from transposed": (lambda x: jnp.cumsum(x.T, axis=0), 0),
    "small": (lambda x: x[:8, :8].T, 0),
    "constant": (lambda x: jnp.ones((64, 256)), 0),
    "its input": (lambda x: x, 0),
}


@pytest.mark.parametrize("name", PIECES)
def test_large_arrays_are_written_before_they_are_stacked_where_they_are_transposed(name):
    piece, n = PIECES[name]
    x = np.random.default_rng(0).normal(size=(3, 64, 256)).astype(np.float32)
    closed = rewritten(stacked(piece), x)
    assert n_written(closed) == n
    result = jax.jit(jaxpr_as_fun(closed))(x)
    expected = jax.tree.leaves([stacked(piece)(x)])
    for array, wanted in zip(result, expected, strict=True):
        assert array.dtype == wanted.dtype
        np.testing.assert_allclose(array, wanted, rtol=1e-6)


def test_keys_are_left_to_xla():
    keys = jax.random.split(jax.random.key(0), (2, 64, 256))
    closed = rewritten(stacked(lambda x: x.T), keys)
    assert n_written(closed) == 0
    (result,) = jax.jit(jaxpr_as_fun(closed))(keys)
    assert jnp.all(result == jnp.swapaxes(keys, 1, 2))


def test_what_is_carried_stays_as_it_is():
    def step(x, _):
        return x.T, x.T

    def function(x):
        return jax.lax.scan(step, x, None, length=3)

    x = np.random.default_rng(1).normal(size=(128, 128)).astype(np.float32)
    closed = rewritten(function, x)
    assert n_written(closed) == 2
    last, series = jaxpr_as_fun(closed)(x)
    np.testing.assert_array_equal(last, x.T)
    np.testing.assert_array_equal(series, [x.T, x, x.T])


def oscillation(s):
    def step(carry, _):
        x, v = carry
        return (x + 0.05 * v, v - 0.05 * s["stiffness"] * x - 0.01 * s["friction"] * v), x

    start = jnp.float32(1), jnp.float32(0)
    return {"x": jax.lax.scan(step, start, None, length=50)[1]}


@pytest.mark.parametrize("n_devices", [1, 2])
def test_tiles_of_series_are_stacked_row_by_row(n_devices):
    state = {"stiffness": gx.GridAxis(0.1, 2, 64), "friction": gx.GridAxis(0, 1, 32)}
    space = gx.Space(state, mode="product")
    sweep = gx.ParallelExecution(oscillation, space, n_vmap=512, n_pmap=n_devices)
    series = sweep.run(progress=False).dataset["x"]
    stiffness, friction = np.meshgrid(*(space.dataset[name] for name in space.dims), indexing="ij")
    x, v = np.ones_like(stiffness), np.zeros_like(stiffness)
    for step in range(50):
        np.testing.assert_allclose(series[..., step], x, atol=1e-4)
        x, v = x + 0.05 * v, v - 0.05 * stiffness * x - 0.01 * friction * v


def test_xla_does_not_fuse_what_is_written_first():
    def series(x):
        return jax.lax.scan(lambda c, _: (0.9 * c + x, c), x, None, length=50)[1].T

    x = np.zeros((3, 512), np.float32)
    text = jax.jit(jaxpr_as_fun(rewritten(stacked(series), x))).lower(x).compile().as_text()
    fused = [body for body in text.split("\n}") if body.strip().startswith("%fused")]
    assert fused
    assert not any(" dynamic-update-slice(" in body and " copy(" in body for body in fused)
