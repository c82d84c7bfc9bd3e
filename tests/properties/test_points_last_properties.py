"""Loops compute the same whether points are the first or the last axes of their arrays."""

from __future__ import annotations

import dataclasses
import random
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from gridax._kernel import tuners
from gridax._kernel.nesting import evaluated, nested
from gridax._kernel.points_last import at_all_points
from gridax._plan import tiling
from gridax._plan.plan import Level
from gridax._plan.work import dims_of_outputs
from tests.properties.random_loops import Model

A, B = frozenset({0}), frozenset({1})
# What is computed from an array that a loop returns, and from the values of a point.
AFTER = [
    lambda y, p, q: y,
    lambda y, p, q: (y.std(), y.max() * p, y.argmin()),
    lambda y, p, q: (y - y.mean()) / (q + jnp.abs(y).max()),
    lambda y, p, q: jnp.outer(y * q, y[:3]).sum(0) @ jnp.ones(y[:3].size),
    lambda y, p, q: jnp.sort(y) + p,
    lambda y, p, q: jnp.cumsum(y)[::2] * p + jnp.zeros_like(y[::2]).at[0].set(q),
    lambda y, p, q: (jax.jit(lambda z: jnp.where(z > p, z, 0).sum())(y), y[0], y[None] * q),
    lambda y, p, q: jax.lax.fori_loop(0, 3, lambda i, x: x * p + y, jnp.zeros_like(y)).sum() * q,
]


def with_more(model, p, q, after):
    """Return the outputs of a model, and what is computed from its vectors."""
    outs = jax.tree.leaves(model(p, q))
    vectors = [y for y in outs if y.ndim == 1 and y.size and y.dtype == jnp.float32]
    return outs, [after(y, p, q) for y in vectors]


@given(
    seed=st.integers(0, 10**6),
    widths=st.tuples(st.sampled_from([1, 2, 5]), st.sampled_from([1, 3, 16])),
    varies=st.sampled_from([(A, B), (B, A), (A | B, B), (A, A), (A, frozenset())]),
    after=st.sampled_from(AFTER),
)
def test_random_loops_compute_the_same(seed, widths, varies, after):
    model = Model(random.Random(seed))
    levels = [Level((dim,), width) for dim, width in enumerate(widths)]
    closed = jax.make_jaxpr(lambda p, q: jax.tree.leaves(with_more(model, p, q, after)))(0.5, 0.5)
    jaxpr = closed.jaxpr.replace(
        constvars=[], invars=[*closed.jaxpr.constvars, *closed.jaxpr.invars]
    )
    sizes = [tuple(widths[dim] for dim in sorted(dims)) for dims in varies]
    draw = np.random.default_rng(seed).uniform
    inputs = [jnp.asarray(draw(0.1, 1.3, shape), jnp.float32) for shape in sizes]
    values = [*closed.consts, *inputs]
    along = [*(frozenset() for _ in closed.consts), *varies]
    outputs = dims_of_outputs(jaxpr, along)

    def first(*values):
        return nested(levels, lambda ins: evaluated(jaxpr, ins), values, along, outputs)

    def last(*values):
        return at_all_points(levels, lambda ins: evaluated(jaxpr, ins), values, along, outputs)

    for mine, theirs in zip(jax.jit(last)(*values), jax.jit(first)(*values), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)


def delayed(state):
    """A ring of delays, some of them of each point, and noise of each trial."""
    n, length = 6, 10
    delays = jnp.clip((state["length"] * jnp.arange(1, n + 1)).astype(jnp.int32), 1, length - 1)
    noise = jax.random.normal(state["key"], (20, n))

    def step(carry, inputs):
        x, past = carry
        i, kick = inputs
        arrived = past[(i - delays) % length, jnp.arange(n)]
        x = x + 0.1 * (jnp.tanh(state["gain"] * jnp.roll(arrived, 1)) - x) + 0.01 * kick
        return (x, past.at[i % length].set(x)), x

    (x, _), series = jax.lax.scan(
        step, (jnp.full(n, 0.1), jnp.zeros((length, n))), (jnp.arange(20), noise)
    )
    return {"end": x, "mean": series.mean(), "series": series[::5]}


def settled(state):
    """A search that ends at other iterations at each point."""
    pull = jnp.array([[0.5, 0.2], [-0.1, 0.6]])

    def going(carry):
        x, n = carry
        return (jnp.abs(x).max() > 0.05 * state["gain"]) & (n < 50)

    x, n = jax.lax.while_loop(
        going, lambda c: (pull @ c[0] * state["length"], c[1] + 1), (jnp.ones(2), 0)
    )
    return {"x": x, "n": n}


@pytest.mark.slow
@pytest.mark.parametrize("model", [delayed, settled])
@given(
    n_vmap=st.sampled_from([None, 3, 32, 40, 64]),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 3)),
    options=st.sampled_from([{}, {"reduce": {"key": "mean"}}, {"derivatives": ["gain"]}]),
)
def test_sweeps_give_the_same_dataset(model, n_vmap, sizes, options):
    gains, lengths, trials = sizes
    state = {
        "gain": gx.GridAxis(0.5, 2.0, gains),
        "length": gx.GridAxis(0.3, 0.9, lengths),
        "key": gx.KeyAxis(trials),
    }
    space = gx.Space(state, mode="product")
    first = swept(model, space, n_vmap, options, points_last=False)
    last = swept(model, space, n_vmap, options, points_last=True)
    xr.testing.assert_allclose(last, first, rtol=1e-4, atol=1e-5)


def swept(model, space, n_vmap, options, points_last):
    """Return the dataset of a sweep in which points come first or last throughout."""
    planned = tiling.Sweep._planned

    def chosen(self, *args, **kwargs):
        return dataclasses.replace(planned(self, *args, **kwargs), points_last=points_last)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(tiling.Sweep, "_planned", chosen)
        patch.setattr(tuners, "shared", lambda key, make: make())
        executor = gx.ParallelExecution(model, space, n_vmap=n_vmap)
        assert (
            executor.plan(**{k: v for k, v in options.items() if k == "reduce"}).points_last
            is points_last
        )
        return executor.run(progress=False, **options).dataset
