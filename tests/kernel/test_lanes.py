"""Points that leave a loop one by one have the values of points that are evaluated alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import gridax as gx
from tests.x64 import x64

COUNTS = np.random.default_rng(0).integers(0, 40, 37)
GIANT = np.where(np.arange(37) == 20, 5000, 3)


def zipped(n=COUNTS, **state):
    axes = {name: gx.DataAxis(values) for name, values in {"n": n, **state}.items()}
    return gx.Space(axes, mode="zip")


def steps(n, step, start):
    """Repeat a step `n` times, and return the number of steps and the last value."""
    return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, step(c[1])), (0, start))


def grow(x):
    return x + 0.1 * jnp.sin(x) + 0.01


def plain(state):
    return steps(state["n"], grow, 1.0)


def check(model, space, lanes=5, **how):
    """Compare with one point at a time: integers exactly, and floats to their last digits."""
    executor = gx.ParallelExecution(model, space, **how)
    assert executor.plan(lanes=lanes).lanes > 0
    got = executor.run(lanes=lanes, progress=False).dataset
    alone = gx.ParallelExecution(model, space, n_vmap=1).run(lanes=False, progress=False).dataset
    assert set(got) == set(alone)
    for name in alone:
        assert got[name].dtype == alone[name].dtype
        assert got[name].dims == alone[name].dims
        if got[name].dtype.kind in "iub":
            np.testing.assert_array_equal(got[name], alone[name])
        else:
            np.testing.assert_allclose(got[name], alone[name], rtol=1e-5)
    return got


@pytest.mark.parametrize(
    "counts",
    {
        "different": COUNTS,
        "none": np.zeros(37, int),
        "equal": np.full(37, 12),
        "one giant": GIANT,
        "a giant at the end": GIANT[::-1].copy(),
        "negative": COUNTS - 20,
        "few points": COUNTS[:2],
        "one point": COUNTS[:1],
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("lanes", [1, 5, 64])
@pytest.mark.sampled(3)
@pytest.mark.slow
def test_the_numbers_of_iterations_are_those_of_points_alone(counts, lanes):
    found = check(plain, zipped(counts[1]), lanes)
    np.testing.assert_array_equal(found["[0]"], np.maximum(counts[1], 0))


def test_the_values_are_those_of_lax_map():
    counts = jnp.asarray(COUNTS)
    n, x = jax.jit(lambda n: lax.map(lambda n: steps(n, grow, 1.0), n))(counts)
    found = gx.ParallelExecution(plain, zipped()).run(lanes=8, progress=False).dataset
    np.testing.assert_array_equal(found["[0]"], n)
    np.testing.assert_allclose(found["[1]"], x, rtol=1e-6)


def until_nan(state):
    def going(c):
        return c[1] < 100.0  # False for NaN

    def step(c):
        return c[0] + 1, jnp.where(c[1] > 50.0, jnp.nan, c[1] * (1.5 + state["n"]))

    return lax.while_loop(going, step, (0, jnp.float32(1.5)))


def nested(state):
    def step(x):
        return steps((x.astype(int) + state["n"]) % 4, grow, x)[1]

    return steps(state["n"], step, 1.0)


def with_a_branch(state):
    def step(x):
        return lax.cond(x > 3.0, lambda x: steps(2, grow, x)[1] - 3.0, grow, x)

    return steps(state["n"], step, 1.0)


def with_draws(state):
    def step(c):
        key, total, k = c
        key, mine = jax.random.split(key)
        return key, total + jax.random.normal(mine, (3,)), k + 1

    start = (state["key"], jnp.zeros(3), 0)
    key, total, k = lax.while_loop(lambda c: (c[1].sum() < 4.0) & (c[2] < 60), step, start)
    return {"total": total, "k": k, "data": jax.random.key_data(key)}


def with_matrices(state):
    matrix = jnp.arange(9.0).reshape(3, 3) / 10.0

    def step(x):
        return jnp.tanh(matrix @ x + state["n"] / 10.0)

    k, x = steps(state["n"], step, jnp.eye(3))
    return {"k": k, "x": x, "total": (x @ matrix).sum()}


def with_other_loops(state):
    before = steps(3, grow, 1.0 * state["n"])[1]
    k, x = steps(10 * state["n"], lambda x: grow(grow(x)), before)
    return {"k": k, "x": steps(k % 3, grow, x)[1], "before": before}


@jax.custom_jvp
def of_custom_jvp(n):
    return steps(n, grow, 1.0)


of_custom_jvp.defjvp(lambda primals, tangents: (of_custom_jvp(*primals), tangents))


@jax.custom_vjp
def of_custom_vjp(n):
    return jax.jit(of_custom_jvp)(n)


of_custom_vjp.defvjp(lambda n: (of_custom_vjp(n), None), lambda residual, ct: ct)


def in_calls(state):
    once = jax.jit(of_custom_vjp)(state["n"])
    return once, jax.checkpoint(lambda n: n * 2)(state["n"])


def called_twice(state):
    run = jax.jit(lambda n: steps(n, grow, 1.0)[1])
    return run(state["n"]) + run(jnp.int32(2))


def bounded(state):
    return lax.fori_loop(0, state["n"], lambda i, x: grow(x) + i, 1.0)


def carrying_what_does_not_change(state):
    def step(c):
        k, x, fixed, unused, label = c
        return k + 1, x + fixed.sum() + label, fixed, unused * 2.0, 3

    start = (0, 1.0, jnp.arange(3.0) * state["n"], 1.0, 3)
    k, x, fixed, _, label = lax.while_loop(lambda c: c[0] < state["n"], step, start)
    return {"k": k, "x": x, "fixed": fixed, "label": label}


def result_unused_but_for_one(state):
    return steps(state["n"], lambda x: (grow(x[0]), x[1] + x[0]), (1.0, 0.0))[1][1]


def with_empty_arrays(state):
    nothing = jnp.arange(3.0)[:0] * state["n"]
    x = steps(state["n"], lambda c: (grow(c[0]) + nothing.sum(), c[1] * 2), (1.0, nothing))[1]
    return {"x": x[0], "nothing": x[1]}


MODELS = [
    until_nan,
    nested,
    with_a_branch,
    with_matrices,
    with_other_loops,
    in_calls,
    called_twice,
    bounded,
    carrying_what_does_not_change,
    result_unused_but_for_one,
    with_empty_arrays,
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.slow
def test_loops_of_all_kinds(model):
    check(model, zipped())


@pytest.mark.slow
def test_draws_are_the_same_bit_for_bit():
    space = gx.Space({"key": gx.KeyAxis(23)}, mode="product")
    found = check(with_draws, space)
    assert len(np.unique(found["k"])) > 3  # the points end at different iterations


@pytest.mark.slow
def test_float64():
    with x64():
        found = check(plain, zipped())
    assert found["[1]"].dtype == np.float64


def test_infinite_conditions_of_neighbors_do_no_harm():
    """A lane whose point is done does not divide by what has become zero."""

    def model(state):
        return lax.while_loop(lambda x: x > 0, lambda x: x - x // x, state["n"])

    check(model, zipped())


def product(**state):
    return gx.Space(state, mode="product")


SHARED = product(
    a=gx.DataAxis([0.5, 1.0, 1.5]), n=gx.DataAxis([3, 0, 9, 30, 4]), b=gx.DataAxis([1.0, 2.0])
)


def in_three_stages(state):
    start = jnp.cos(state["a"])  # once per a
    k, x = steps(state["n"], lambda x: grow(x) + start, start * jnp.ones(2))  # per a and n
    return {"k": k, "x": x + state["b"], "start": start, "b": state["b"] * 2.0}


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [3, 100])
def test_what_does_not_vary_in_the_loop_stays_outside(lanes):
    check(in_three_stages, SHARED, lanes)


def test_the_loop_is_evaluated_once_per_point_of_the_dimensions_it_varies_along():
    executor = gx.ParallelExecution(in_three_stages, SHARED)
    prepared = executor._evaluator._prepared()
    split = prepared._traced[()].program.split
    assert split.dims == {0, 1}
    assert executor.plan(lanes=100).lanes == 15


def test_each_point_of_a_loop_that_varies_along_one_of_two_dimensions():
    def model(state):
        k, x = steps(state["n"], grow, 1.0)
        return {"k": k, "x": x * state["b"]}

    space = product(b=gx.DataAxis([1.0, 2.0, 3.0]), n=gx.DataAxis([3, 0, 9, 30]))
    found = check(model, space, 2)
    assert found["k"].dims == ("b", "n")


@pytest.mark.skipif(jax.local_device_count() < 3, reason="needs three devices")
@pytest.mark.slow
def test_each_device_has_its_own_points():
    executor = gx.ParallelExecution(plain, zipped(np.tile(COUNTS, 5)), n_pmap=3)
    assert executor.plan(lanes=4).n_devices == 3
    check(plain, zipped(np.tile(COUNTS, 5)), 4, n_pmap=3)


@pytest.mark.slow
def test_static_choices_have_programs_of_their_own():
    def model(state):
        return steps(state["n"], state["f"], 1.0)

    space = product(f=gx.ChoiceAxis([grow, jnp.tanh]), n=gx.DataAxis([3, 0, 9, 30, 4]))
    check(model, space, 2)


def test_equal_models_share_one_compiled_program(compilations):
    for _ in range(2):
        executor = gx.ParallelExecution(lambda s: plain(s), zipped())
        executor.run(lanes=6, progress=False)
    with compilations:
        gx.ParallelExecution(lambda s: plain(s), zipped()).run(lanes=6, progress=False)
    assert compilations.names == []


@pytest.mark.slow
@given(
    counts=st.lists(st.integers(-2, 30) | st.just(900), min_size=1, max_size=40),
    lanes=st.integers(1, 50),
)
def test_any_number_of_lanes_gives_every_point_its_own_number_of_iterations(counts, lanes):
    result = gx.ParallelExecution(plain, zipped(np.array(counts))).run(lanes=lanes, progress=False)
    np.testing.assert_array_equal(result.dataset["[0]"], np.maximum(counts, 0))


@pytest.mark.parametrize("lanes", [True, False, 2])
def test_a_loop_within_a_vmap_of_the_model_ends_with_its_last_element(lanes):
    def model(state):
        def grow(x):
            return jax.lax.while_loop(lambda y: y < 3, lambda y: y + state["a"] * x, x)

        return jax.vmap(grow)(jnp.array([0.5, 1.0, 2.0]))

    space = gx.Space({"a": gx.DataAxis([0.3, 0.7, 1.1]), "b": gx.GridAxis(0, 1, 4)}, "product")
    executor = gx.ParallelExecution(model, space, n_pmap=1)
    found = executor.run(lanes=lanes, progress=False).dataset["value"]
    for a in (0.3, 0.7, 1.1):
        expected = model({"a": jnp.float32(a)})
        np.testing.assert_allclose(found.sel(a=a), np.tile(expected, (4, 1)), rtol=1e-6)
    assert executor.plan(lanes=lanes).n_points == 12
