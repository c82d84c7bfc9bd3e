"""A sweep of a single batch that is run again is not planned again, and nothing else changes."""

from __future__ import annotations

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._execution import tiled
from tests.x64 import x64

A, B = np.arange(4.0), np.arange(1.0, 6.0)
SPACE = gx.Space({"a": gx.DataAxis(A), "b": gx.DataAxis(B)}, mode="product")
N = 5  # runs after which nothing more is to be learned


def product(state):
    return {"y": state["a"] * state["b"], "squares": jnp.stack([state["a"], state["b"]]) ** 2}


@pytest.fixture
def n_planned(monkeypatch):
    """How many runs were planned."""
    planned = []
    pipeline = tiled.Pipeline

    def counting(*args):
        planned.append(args)
        return pipeline(*args)

    monkeypatch.setattr(tiled, "Pipeline", counting)
    return planned


def test_a_sweep_that_is_repeated_is_planned_a_few_times_only(n_planned):
    executor = gx.ParallelExecution(product, SPACE)
    results = [executor.run(progress=False) for _ in range(N)]
    n_planned.clear()
    results += [executor.run(progress=False) for _ in range(N)]
    assert not n_planned
    for result in results:
        np.testing.assert_array_equal(result.dataset["y"], np.outer(A, B))
        assert result.dataset["squares"].dims == ("a", "b", "squares_dim_0")
        assert result.progress.done == 20


def test_results_of_repeated_sweeps_share_no_memory():
    executor = gx.ParallelExecution(product, SPACE)
    first, *others = [executor.run(progress=False).dataset for _ in range(N)]
    others[-1]["y"][:] = -1.0
    for dataset in (first, *others[:-1], executor.run(progress=False).dataset):
        np.testing.assert_array_equal(dataset["y"], np.outer(A, B))


def test_other_runs_of_the_executor_are_planned(tmp_path, n_planned):
    executor = gx.ParallelExecution(product, SPACE)
    for _ in range(N):
        executor.run(progress=False)
    others = (
        {"store": tmp_path / "run.zarr"},
        {"reduce": {"a": "mean"}},
        {"memory": "1 GB"},
        {"order": "coarse"},
        {"budget": 1e6},
        {"derivatives": ["a"]},
    )
    for options in others:
        n_planned.clear()
        dataset = executor.run(progress=False, **options).dataset
        assert n_planned, options
        name = "y.mean" if "reduce" in options else "y"
        expected = np.outer(A, B).mean(0) if "reduce" in options else np.outer(A, B)
        np.testing.assert_allclose(dataset[name], expected, rtol=1e-6)
    np.testing.assert_array_equal(executor.run(progress=False).dataset["y"], np.outer(A, B))


def test_a_setting_of_jax_that_changes_the_program_counts():
    def model(state):
        return state["a"] + jnp.ones(())  # float64 if JAX has 64 bits

    executor = gx.ParallelExecution(model, SPACE)
    for _ in range(N):
        assert executor.run(progress=False).dataset["value"].dtype == np.float32
    with x64():
        for _ in range(N):
            assert executor.run(progress=False).dataset["value"].dtype == np.float64
    assert executor.run(progress=False).dataset["value"].dtype == np.float32


def test_a_model_that_fails_later_is_looked_into_as_the_first_time():
    fails = []

    def ask(a):
        if fails and a == 2:
            raise ValueError("no such value")
        return np.float32(a)

    def model(state):
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(ask, shape, state["a"], vmap_method="sequential")

    executor = gx.ParallelExecution(model, gx.Space({"a": gx.DataAxis(A)}))
    for _ in range(N):
        executor.run(progress=False)
    fails.append(True)
    with pytest.raises(ValueError, match="no such value") as info:
        executor.run(progress=False)
    assert any("a=2" in note for note in info.value.__notes__)
    values = executor.run(progress=False, on_error="record").dataset["value"]
    np.testing.assert_array_equal(values, [0, 1, np.nan, 3])
    fails.clear()
    np.testing.assert_array_equal(executor.run(progress=False).dataset["value"], A)


@pytest.mark.parametrize("n_pmap", [1, 2, 3])
def test_repeated_sweeps_on_several_devices_and_of_shared_outputs(n_pmap):
    def model(state):
        return {"y": state["a"] * state["b"], "a2": 2 * state["a"], "one": jnp.ones(())}

    executor = gx.ParallelExecution(model, SPACE, n_pmap=n_pmap, n_vmap=20 // n_pmap)
    for _ in range(N):
        dataset = executor.run(progress=False).dataset
        np.testing.assert_array_equal(dataset["y"], np.outer(A, B))
        np.testing.assert_array_equal(dataset["a2"], np.outer(2 * A, np.ones(5)))
        np.testing.assert_array_equal(dataset["one"], np.ones((4, 5)))


def test_progress_of_repeated_sweeps_is_reported():
    reported = []

    def report(done, total):
        reported.append((done, total))

    executor = gx.ParallelExecution(product, SPACE)
    for _ in range(N):
        reported.clear()
        executor.run(progress=report)
        assert reported[-1] == (20, 20)


def test_a_precision_that_is_set_for_a_while_counts():
    def model(state):
        return jnp.ones((2, 2)) @ jnp.full(2, state["a"])

    executor = gx.ParallelExecution(model, gx.Space({"a": gx.DataAxis(A)}))
    for _ in range(N):
        executor.run(progress=False)
    traced = executor._evaluator.program()
    with jax.default_matmul_precision("highest"):
        assert executor._evaluator.program() is not traced
        np.testing.assert_array_equal(executor.run(progress=False).dataset["value"][:, 0], 2 * A)
    assert executor._evaluator.program() is traced


def test_an_executor_can_be_copied_after_repeated_sweeps():
    executor = gx.ParallelExecution(product, SPACE)
    for _ in range(N):
        executor.run(progress=False)
    other = cloudpickle.loads(cloudpickle.dumps(executor))
    np.testing.assert_array_equal(other.run(progress=False).dataset["y"], np.outer(A, B))
