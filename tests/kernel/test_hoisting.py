"""What points share is computed once, before they follow each other in a loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel.hoisting import hoisted
from gridax._plan.plan import Level

G, TRIAL = frozenset({0}), frozenset({1})
DEEP = [Level((0,), 1, 8), Level((1,), 16, 1)]


def traced(function):
    """Return a program whose inputs vary along both dimensions, one each."""
    return jax.make_jaxpr(function)(1.0, 2.0).jaxpr


def names(jaxpr):
    return [equation.primitive.name for equation in jaxpr.eqns]


def test_what_does_not_vary_along_the_loop_comes_first():
    def model(g, x):
        return g * jnp.sum(jnp.sin(x * jnp.arange(50.0)))

    parts = hoisted(traced(model), [G, TRIAL], DEEP)
    assert "sin" in names(parts.before)
    assert "sin" not in names(parts.after)
    assert parts.varies == [TRIAL]
    # Along the other dimension, there is nothing to share.
    assert hoisted(traced(model), [G, TRIAL], [Level((0,), 8, 1), Level((1,), 4, 4)]) is None
    assert hoisted(traced(model), [G, TRIAL], [Level((0,), 8, 1), Level((1,), 16, 1)]) is None


def test_what_takes_too_much_memory_or_next_to_no_time_is_computed_again():
    def large(g, x):
        return g * jnp.sin(x * jnp.arange(1e6)).cumsum()

    def trivial(g, x):
        return jnp.sum(jnp.sin(g * jnp.arange(1000.0))) + (x + 1)

    assert hoisted(traced(large), [G, TRIAL], DEEP) is None
    assert hoisted(traced(trivial), [G, TRIAL], DEEP) is None


def test_effects_stay_where_they_are():
    def telling(g, x):
        jax.debug.print("{}", x)
        return g * jnp.sum(jnp.sin(x * jnp.arange(50.0)))

    parts = hoisted(traced(telling), [G, TRIAL], DEEP)
    assert not parts.before.effects
    assert parts.after.effects


@pytest.mark.parametrize("n_pmap", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_values_are_the_same(n_pmap):
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6)))

    def model(state):
        scaled = state["weights"] / jnp.linalg.norm(state["weights"])
        noise = jax.random.normal(state["key"], (30, 6))
        final, course = jax.lax.scan(
            lambda x, e: (jnp.tanh(state["G"] * scaled @ x + e), x.sum()), jnp.ones(6), noise
        )
        return {"final": final, "course": course, "noise": noise[0], "fixed": scaled[0, 0]}

    state = {"G": gx.GridAxis(0, 2, 12), "key": gx.KeyAxis(10, name="trial"), "weights": weights}
    space = gx.Space(state, mode="product")
    wanted = gx.SequentialExecution(model, space).run(progress=False).dataset
    for n_vmap in (1, 10, 20, 40):
        executor = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=n_pmap)
        found = executor.run(progress=False).dataset
        for name, variable in wanted.items():
            np.testing.assert_allclose(found[name], variable, rtol=1e-5, atol=1e-6)
