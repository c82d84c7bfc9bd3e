"""Which models have their points last in loops, and that plans say so."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel import cpu
from gridax._kernel.points_last import Fit, at_all_points, fit
from gridax._plan.plan import Level
from gridax._plan.programs import equations_within

needs_whole_loops = pytest.mark.skipif(
    not cpu._IS_KNOWN, reason="with this version of JAX, loops are compiled as it does by default"
)

N = 80
WEIGHTS = np.random.default_rng(0).normal(0, 0.5 / N**0.5, (N, N)).astype(np.float32)
DELAYS = np.random.default_rng(1).integers(1, 9, (N, N))
A = frozenset({0})


def repeated(step, start):
    """Return a model that repeats a step, which also gets the number of the iteration."""

    def model(p):
        return jax.lax.fori_loop(0, 20, lambda i, x: step(x, p, i), start(p))

    return model


def ones(*shape):
    return lambda p: jnp.full(shape, p)


def delayed(state, p, i):
    x, past = state
    arrived = (WEIGHTS * past[(i - DELAYS) % 9, jnp.arange(N)]).sum(1)
    x = jnp.tanh(p * arrived)
    return x, past.at[i % 9].set(x)


SMALL = {
    "a vector": repeated(lambda x, p, i: jnp.sin(x) * p, ones(3)),
    "a stack": repeated(lambda x, p, i: jnp.stack([x[1], p * x[0]]), ones(2)),
    "a stencil": repeated(lambda x, p, i: x + p * (jnp.roll(x, 1) - x), ones(100)),
    "a ring": repeated(lambda x, p, i: x.at[i % 5].set(p), ones(5)),
    "a call": jax.jit(repeated(lambda x, p, i: x * p, ones(4))),
    "draws": repeated(
        lambda x, p, i: x + jax.random.normal(jax.random.key((10 * p).astype(int)), (4,)), ones(4)
    ),
}
LARGE = {
    "delays": repeated(delayed, lambda p: (jnp.full(N, p), jnp.full((9, N), p))),
    "a product": repeated(lambda x, p, i: jnp.tanh(p * (WEIGHTS @ x)), ones(N)),
    "pairs": repeated(
        lambda x, p, i: (WEIGHTS * jnp.tanh(p * (x[None] - x[:, None]))).sum(1), ones(N)
    ),
}
NEVER = {
    "numbers": repeated(lambda x, p, i: jnp.sin(x) * p, ones()),
    "no loop": lambda p: jnp.linspace(0, p, 50).sum(),
    "a sort": repeated(lambda x, p, i: jnp.sort(x * p), ones(10)),
    "matrices": repeated(lambda x, p, i: jnp.tanh(x @ x) * p, ones(10, 10)),
    "a factorization": repeated(lambda x, p, i: jnp.linalg.inv(x + p * jnp.eye(9)), ones(9, 9)),
    "nothing": repeated(lambda x, p, i: x * p, ones(0)),
}


def fit_of(model, varies=A):
    return fit(jax.make_jaxpr(model)(0.5).jaxpr, [varies])


@needs_whole_loops
@pytest.mark.parametrize("name", SMALL)
def test_small_arrays_are_vectorized_along_few_points_at_least(name):
    least, most = fit_of(SMALL[name]).n_points
    assert (least, most % 16) == (16, 0)
    assert 256 <= most <= 512


@pytest.mark.parametrize("name", LARGE)
def test_products_and_gathers_have_points_last_whatever_their_size(name):
    found = fit_of(LARGE[name])
    assert found.is_possible
    assert found.n_points[0] == 32
    assert 64 <= found.n_points[1] <= 512


@pytest.mark.parametrize("name", NEVER)
def test_other_models_have_points_first(name):
    assert fit_of(NEVER[name]).n_points == (0, 0)


@pytest.mark.parametrize(("n", "expected"), [(20, True), (32, True), (36, False), (80, False)])
def test_products_with_a_matrix_per_point_come_last_if_it_is_small(n, expected):
    found = fit_of(repeated(lambda x, p, i: jnp.tanh((p * WEIGHTS[:n, :n]) @ x), ones(n)))
    assert found.is_possible
    assert (found.n_points[1] > 0) is expected


def test_large_lattices_are_left_to_measurement():
    lattice = repeated(lambda x, p, i: x + p * (jnp.roll(x, 1, 0) - x), ones(80, 80))
    assert fit_of(lattice) == Fit(True, (0, 0))


@needs_whole_loops
def test_what_does_not_vary_does_not_matter():
    def model(p):
        order = jax.lax.fori_loop(0, 3, lambda i, x: jnp.sort(jnp.cos(x)), jnp.arange(50.0))
        return jax.lax.fori_loop(0, 3, lambda i, x: jnp.sin(x) * p, order)

    assert fit_of(model).n_points[0] == 16
    assert fit_of(model, frozenset()) == Fit()


def test_callbacks_have_points_first():
    def step(x, p, i):
        jax.debug.callback(lambda x: None, x)
        return x * p

    assert fit_of(repeated(step, ones(3))) == Fit()


def space(n, **more):
    return gx.Space({"p": gx.GridAxis(0.1, 0.9, n), **more}, mode="product")


def on_points(model):
    return lambda state: model(state["p"])


@needs_whole_loops
def test_plans_say_that_points_are_last():
    executor = gx.ParallelExecution(on_points(SMALL["a vector"]), space(200), n_pmap=1)
    plan = executor.plan()
    assert plan.points_last
    assert "points as the last axes" in repr(plan)
    few = gx.ParallelExecution(on_points(SMALL["a vector"]), space(5), n_pmap=1).plan()
    assert not few.points_last
    assert "last axes" not in repr(few)


@needs_whole_loops
def test_points_are_first_if_they_must_be_with_one_of_several_choices():
    def model(state):
        return state["step"](state["p"])

    for names, expected in ((["a vector", "a stack"], True), (["a vector", "a sort"], False)):
        choices = {**SMALL, **NEVER}
        steps = gx.ChoiceAxis([lambda p, f=choices[n]: f(p).sum() for n in names], labels=names)
        executor = gx.ParallelExecution(model, space(200, step=steps), n_pmap=1)
        assert executor.plan().points_last is expected
        for choice in names:
            result = executor.run(progress=False).dataset["value"].sel(step=choice)
            alone = jax.vmap(lambda p, f=choices[choice]: f(p).sum())(
                jnp.asarray(result["p"].to_numpy(), jnp.float32)
            )
            np.testing.assert_allclose(result, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=needs_whole_loops) for name in SMALL), *LARGE]
)
def test_sweeps_give_what_vmap_gives(name):
    model = {**SMALL, **LARGE}[name]
    executor = gx.ParallelExecution(on_points(model), space(100), n_pmap=1)
    assert executor.plan().points_last
    result = executor.run(progress=False).dataset
    p = jnp.asarray(result["p"].to_numpy(), jnp.float32)
    expected = jax.tree.leaves(jax.jit(jax.vmap(model))(p))
    for output, values in zip(result.data_vars.values(), expected, strict=True):
        np.testing.assert_allclose(output, values, rtol=1e-4, atol=1e-4)


# What becomes of a series of vectors, and whether a loop should transpose each of them.
READERS = {
    "the series itself": (lambda y: y, True),
    "twice the series": (lambda y: 2 * y, True),
    "most of it": (lambda y: y[4:], True),
    "a product": (lambda y: y[2:].T @ y[2:], True),
    "a product, and a maximum": (lambda y: (y.T @ y, y.max()), True),
    "every tenth vector": (lambda y: jax.lax.slice_in_dim(y, 0, 40, 10), False),
    "the maximum of one component": (lambda y: y[:, 1].max(), False),
    "a variance": (lambda y: y.var(0), False),
    "a spectrum of the mean": (lambda y: jnp.abs(jnp.fft.rfft(y.mean(1))), False),
    "the same in a call": (lambda y: jax.jit(lambda y: (y**2).sum(0))(y), False),
}


@pytest.mark.parametrize("name", READERS)
def test_series_are_transposed_within_a_loop_if_they_are_anyway(name):
    read, is_moved = READERS[name]

    def model(p):
        def step(x, _):
            x = jnp.sin(p + x[::-1])
            return x, x

        return jax.tree.leaves(read(jax.lax.scan(step, jnp.arange(3.0), None, length=40)[1]))

    p = np.linspace(0, 1, 32, dtype=np.float32)
    n_outputs = len(jax.eval_shape(model, p[0]))
    levels = [Level((0,), width=32)]

    def function(p):
        return at_all_points(levels, lambda values: model(*values), [p], [A], [A] * n_outputs)

    (loop,) = (e for e in jax.make_jaxpr(function)(p).jaxpr.eqns if e.primitive.name == "scan")
    names = [each.primitive.name for each in equations_within(loop)]
    assert ("transpose" in names) is is_moved
    for output, expected in zip(jax.jit(function)(p), jax.vmap(model)(p), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)
