"""Batches under way: blocks, changing tiles, and what is kept when a sweep ends early."""

from __future__ import annotations

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel import tuners
from gridax._kernel.program import Kernel
from gridax._plan import tiling, tuning, widths


def product(**axes):
    return gx.Space(axes, mode="product")


@pytest.fixture
def restless(monkeypatch):
    """Every tuner tries all plans on small tiles, whatever it costs; yields the plans."""
    monkeypatch.setattr(tiling, "CALL", 1e-9)
    monkeypatch.setattr(widths, "CPU", widths.Start(most=16, width=16, cache=0))
    monkeypatch.setattr(tuning.Tuner, "_is_worth_it", lambda self, plan, left: True)
    monkeypatch.setattr(tuning, "_TRIAL", 0.0)
    monkeypatch.setattr(tuning, "_BETTER", 1e9)
    monkeypatch.setattr(tuners, "_tuners", collections.OrderedDict())
    plans = []
    begin = tuning.Tuner.begin

    def noting(self, plan, n_points):
        plans.append(plan)
        return begin(self, plan, n_points)

    monkeypatch.setattr(tuning.Tuner, "begin", noting)
    return plans


def merged(state):
    return jnp.tanh(state["a"] * state["b"] + jax.random.normal(state["k"])) + state["c"]


def shared(state):
    noise = jax.random.normal(state["k"], (300,))
    drive = jnp.cumsum(jnp.sin(noise)) / 300
    return {"x": (drive * state["a"] + state["b"]).mean() * state["c"], "noise": noise[:2]}


def spread(state):
    table = jnp.cumsum(jnp.sin(state["b"] * jnp.arange(500.0)))
    return table[-1] * state["a"] + state["c"] + jax.random.uniform(state["k"])


SPACE = {
    "a": gx.GridAxis(0, 1, 111),
    "b": gx.GridAxis(1, 2, 5),
    "k": gx.KeyAxis(11, name="trial"),
    "c": gx.DataAxis([1.0, 2.0]),
}


@pytest.mark.parametrize("n_pmap", [1, 3])
@pytest.mark.parametrize("model", [merged, shared, spread])
@pytest.mark.slow
def test_any_plans_give_the_same(model, n_pmap, restless, tmp_path):
    space = product(**SPACE)
    executor = gx.ParallelExecution(model, space, n_pmap=n_pmap)
    done = []
    found = executor.run(progress=lambda n, total: done.append(n)).dataset
    assert len({plan.kind for plan in restless}) >= 4
    again = executor.run(progress=False, store=tmp_path / "s.zarr", block={"a": 9}).dataset
    direct = gx.ParallelExecution(model, space, n_pmap=1, n_vmap=10**6).run(progress=False).dataset
    assert done == sorted(done)
    assert done[-1] == space.N
    for name in direct.data_vars:
        exact = name == "noise"
        np.testing.assert_allclose(found[name], direct[name], rtol=0 if exact else 2e-5, atol=1e-5)
        np.testing.assert_allclose(again[name], direct[name], rtol=0 if exact else 2e-5, atol=1e-5)


def test_the_next_sweep_and_executor_begin_with_the_plan_that_was_found(restless):
    executor = gx.ParallelExecution(merged, product(**SPACE), n_pmap=1)
    before = executor.plan()
    executor.run(progress=False)
    assert executor.plan() != before
    another = gx.ParallelExecution(merged, product(**SPACE), n_pmap=1)
    assert another.plan() == executor.plan()


def test_a_fixed_number_of_points_is_not_measured(restless):
    executor = gx.ParallelExecution(merged, product(**SPACE), n_pmap=1, n_vmap=8)
    executor.run(progress=False)
    assert {plan.kind for plan in restless} == {executor.plan().kind}


@pytest.mark.slow
def test_a_sweep_that_fails_after_trials_keeps_what_was_computed(restless):
    def check(a):
        if (a > 0.99).any():
            raise RuntimeError("the simulator crashed")
        return np.asarray(a, np.float32)

    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(check, kind, state["a"], vmap_method="expand_dims") + state["b"]

    space = product(a=gx.GridAxis(0, 1, 101), b=gx.DataAxis([0.0, 10.0]))
    executor = gx.ParallelExecution(model, space, n_pmap=1)
    with pytest.raises(Exception, match="the simulator crashed"):
        executor.run(progress=False)
    assert len({plan.kind for plan in restless}) >= 4
    partial = executor.partial.dataset
    done = partial["status"].values == 1
    assert 100 < done.sum() <= 2 * 100
    expected = space.dataset["a"].values[:, None] + np.array([0.0, 10.0])
    np.testing.assert_allclose(partial["value"].values[done], expected[done], rtol=1e-6)
    assert np.isnan(partial["value"].values[~done]).all()


def test_what_was_under_way_when_a_point_fails_is_kept(tmp_path):
    def check(x):
        if x == 3:
            raise RuntimeError("no convergence")
        return np.float32(x)

    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(check, kind, state["x"], vmap_method="sequential")

    space = product(x=gx.DataAxis(np.arange(20.0)))
    executor = gx.ParallelExecution(model, space, n_vmap=1, n_pmap=1)
    with pytest.raises(Exception, match="no convergence"):
        executor.run(progress=False, store=tmp_path / "run.zarr", block={"x": 1})
    found = executor.partial.dataset
    assert found["status"].values[:4].tolist() == [1, 1, 1, 0]
    assert found["value"].values[:3].tolist() == [0, 1, 2]


def test_a_device_that_is_lost_is_not_recorded_as_an_error_of_the_model(monkeypatch):
    def lost(self, index):
        raise jax.errors.JaxRuntimeError("INTERNAL: the device is lost")

    monkeypatch.setattr(Kernel, "__call__", lost)
    executor = gx.ParallelExecution(lambda s: s["x"], product(x=gx.GridAxis(0, 1, 4)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="the device is lost"):
        executor.run(progress=False, on_error="record")


def test_choices_of_unequal_numbers_fill_their_tiles():
    kinds = gx.ChoiceAxis([jnp.sin, jnp.cos, jnp.sin, jnp.sin, jnp.exp], labels=list("abcde"))
    space = product(f=kinds, x=gx.GridAxis(0, 1, 7))
    for options in ({}, {"n_vmap": 2}, {"n_vmap": 9, "n_pmap": 3}):
        found = gx.ParallelExecution(lambda s: s["f"](s["x"]), space, **options).run(progress=False)
        x = np.linspace(0, 1, 7)
        expected = [np.sin(x), np.cos(x), np.sin(x), np.sin(x), np.exp(x)]
        np.testing.assert_allclose(found.dataset["value"], expected, rtol=1e-5)


def collatz(state):
    def turn(carry):
        n, turns = carry
        return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), turns + 1

    return jax.lax.while_loop(lambda c: c[0] != 1, turn, (state["n"] + state["m"], 0))[1]


@pytest.mark.parametrize("n_pmap", [1, 4])
@pytest.mark.parametrize("n_vmap", [None, 1, 8])
def test_loops_of_different_length_run_point_by_point_or_together(n_vmap, n_pmap):
    space = product(n=gx.DataAxis(np.arange(1, 41)), m=gx.DataAxis([0, 1, 2]))
    executor = gx.ParallelExecution(collatz, space, n_vmap=n_vmap, n_pmap=n_pmap)
    found = executor.run(progress=False).dataset["value"].values

    def turns(n):
        return 0 if n == 1 else 1 + turns(n // 2 if n % 2 == 0 else 3 * n + 1)

    assert found.tolist() == [[turns(n + m) for m in range(3)] for n in range(1, 41)]
    if n_vmap == 1 and n_pmap == 1:
        assert executor.plan().n_vmap == 1
        assert executor.plan().tile[0] > 1  # many points in a call, one after the other
