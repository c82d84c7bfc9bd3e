"""Runs that end in time, in an order in which a part of them is a map."""

from __future__ import annotations

import datetime
import itertools
import math
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from gridax._plan.blocks import MANY, grouped
from gridax._plan.plan import boxes

SPACE = gx.Space({"a": gx.GridAxis(0, 1, 16), "b": gx.GridAxis(1, 2, 12)}, mode="product")


@pytest.fixture
def clock(monkeypatch):
    """A clock that only models move on, so that tests do not depend on the machine."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def tick(seconds):
        now[0] += seconds

    return tick


def model_of(clock, seen=None):
    def model(state):
        clock(1.0)
        if seen is not None:
            seen.append((state["a"], state["b"]))
        return {"y": state["a"] * state["b"], "n": 3}

    return model


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), max_size=3))
def test_a_coarse_order_has_every_block_once(sides):
    sizes, block = [size for size, _ in sides], [min(side, size) for size, side in sides]
    found = [box for (box,) in grouped(sizes, block, is_coarse=True)]
    assert sorted(found) == sorted(boxes(sizes, block))


def test_the_first_blocks_of_a_coarse_order_are_spread_evenly():
    order = [tuple(start for start, _ in box) for (box,) in grouped((8, 8), (1, 1), is_coarse=True)]
    for n in (4, 16):
        stride = 8 // math.isqrt(n)
        assert set(order[:n]) == set(itertools.product(range(0, 8, stride), repeat=2))


@pytest.mark.parametrize("order", ["grid", "coarse"])
@pytest.mark.parametrize(
    "budget", [50, "50 s", datetime.timedelta(seconds=50), np.timedelta64(50 * 10**9, "ns")]
)
def test_a_run_ends_in_time(clock, order, budget):
    result = gx.SequentialExecution(model_of(clock), SPACE).run(
        budget=budget, order=order, progress=False
    )
    done = result.status == 1
    assert 50 <= done.sum() <= 52  # the first point is evaluated before the run begins
    y = result.dataset["y"]
    assert (y.notnull() == done).all()
    np.testing.assert_allclose(y.where(done, 0), (SPACE.dataset.a * SPACE.dataset.b).where(done, 0))
    assert len(result.missing) == SPACE.N - done.sum()
    assert result.sel(a=0.0, b=1.0)["y"] == 0
    if order == "coarse":
        assert done[::2, ::2].all()
    else:
        assert done[:4].all()


@pytest.mark.parametrize("order", ["grid", "coarse"])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("reduce", [None, {"b": ["mean", "argmax"]}, {("a", "b"): ["std"]}])
def test_the_same_call_goes_on_and_computes_nothing_twice(clock, order, stored, reduce, tmp_path):
    seen: list[tuple[float, float]] = []
    executor = gx.SequentialExecution(model_of(clock, seen), SPACE)
    options = {"budget": 70, "order": order, "progress": False, "reduce": reduce}
    if reduce:
        options |= {"memory": 200}  # so that what is reduced together has several parts
    if stored:
        options |= {"store": tmp_path / "run.zarr", "version": "1"}
    result, n_runs = executor.run(**options), 1
    while result.progress.pending:
        more = {} if stored else {"extend": result}
        before = result.progress.done
        result, n_runs = executor.run(**options, **more), n_runs + 1
        assert result.progress.done > before
    assert n_runs == 3 or (reduce and n_runs == 2)  # cells are reduced several at a time
    assert len(seen) == len(set(seen)) == SPACE.N
    whole = gx.SequentialExecution(model_of(clock), SPACE).run(progress=False, reduce=reduce)
    for name, variable in whole.dataset.data_vars.items():
        np.testing.assert_allclose(result.dataset[name], variable, rtol=1e-12)


def slow_to_call(state):
    """Return the sum of both; a callback is taken to be slow, so that a call has few points."""
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    a = jax.pure_callback(lambda a: np.asarray(a), kind, state["a"], vmap_method="expand_dims")
    return a + state["b"]


@pytest.mark.parametrize("order", [pytest.param("grid", marks=pytest.mark.slow), "coarse"])
@pytest.mark.parametrize("reduce", [None, {"b": "mean"}])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.slow
def test_a_vectorized_run_ends_after_a_batch(order, reduce, stored, tmp_path):
    space = gx.Space({"a": gx.GridAxis(0, 1, 24), "b": gx.GridAxis(1, 2, 10)}, mode="product")
    executor = gx.ParallelExecution(slow_to_call, space, n_vmap=10, n_pmap=1)
    where = {"store": tmp_path / "run.zarr", "block": {"a": 3}} if stored else {}
    options = {"budget": 1e-9, "order": order, "reduce": reduce, "progress": False, **where}
    result = executor.run(**options)
    assert 0 < result.progress.done < space.N
    while stored and result.progress.pending:
        before = result.progress.done
        result = executor.run(**options)
        assert result.progress.done > before
    whole = gx.ParallelExecution(lambda s: s["a"] + s["b"], space).run(
        reduce=reduce, progress=False
    )
    name = "value" if reduce is None else "value.mean"
    found, wanted = result.dataset[name], whole.dataset[name]
    np.testing.assert_allclose(found, wanted.where(found.notnull()), rtol=1e-6)


def test_chains_are_left_at_any_step_and_go_on(clock, tmp_path):
    state = {
        "r": gx.DataAxis(np.arange(10.0)),
        "x": gx.Carried(0.0, "x", "r"),
        "k": gx.DataAxis([1.0, 2.0, 3.0]),
    }
    space = gx.Space(state, mode="product")

    def model(state):
        clock(1.0)
        return {"x": 0.5 * state["x"] + state["r"] * state["k"]}

    executor = gx.SequentialExecution(model, space)
    options = {"store": tmp_path / "run.zarr", "version": "1", "progress": False}
    result = executor.run(budget=13, order="coarse", **options)
    assert 13 <= result.progress.done <= 15
    result = executor.run(**options)
    wanted = gx.SequentialExecution(model, space).run(progress=False)
    np.testing.assert_array_equal(result.dataset["x"], wanted.dataset["x"])


@pytest.mark.slow
def test_a_run_in_several_processes_ends_in_time():
    def slow(state):
        import time

        time.sleep(0.05)
        return state["a"]

    result = gx.SequentialExecution(slow, SPACE, n_workers=2).run(budget=0.01, progress=False)
    assert 0 < result.progress.done < SPACE.N


@pytest.mark.parametrize("order", ["grid", "coarse"])
def test_every_executor_gives_the_same_dataset_in_any_order(order, tmp_path):
    def model(state):
        return {"y": state["a"] * state["b"]}

    wanted = gx.SequentialExecution(model, SPACE).run(progress=False).dataset["y"]
    for executor in (
        gx.SequentialExecution(model, SPACE),
        gx.ParallelExecution(model, SPACE),
        gx.ParallelExecution(model, SPACE, n_vmap=5, n_pmap=2),
    ):
        result = executor.run(order=order, progress=False)
        np.testing.assert_allclose(result.dataset["y"], wanted, rtol=1e-6)
    shards = gx.ParallelExecution(model, SPACE)
    for i in range(3):
        result = shards.run(store=tmp_path / "run.zarr", order=order, shard=(i, 3), progress=False)
    np.testing.assert_allclose(result.dataset["y"], wanted, rtol=1e-6)


def test_there_are_enough_blocks_for_a_map(tmp_path):
    space = gx.Space({"a": gx.GridAxis(0, 1, 100), "b": gx.GridAxis(0, 1, 100)}, mode="product")
    executor = gx.ParallelExecution(lambda s: jnp.sin(s["a"] * s["b"]), space)
    executor.run(store=tmp_path / "run.zarr", order="coarse", progress=False)
    chunks = gx.open_result(tmp_path / "run.zarr").dataset["value"].chunks
    assert MANY <= math.prod(map(len, chunks)) <= 2 * MANY


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (0, "budget must be longer than 0 seconds, got 0"),
        (-5.0, "budget must be longer than 0 seconds, got -5.0"),
        (float("nan"), "budget must be longer than 0 seconds, got nan"),
        ("soon", "budget must be a number of seconds, or a duration such as '10 min', got 'soon'"),
        ("5", "budget must be a number of seconds, or a duration such as '10 min', got '5'"),
        (True, "budget must be a number of seconds, or a duration such as '10 min', got True"),
        ([3], "budget must be a number of seconds, or a duration such as '10 min', got [3]"),
    ],
)
def test_what_is_no_duration_is_rejected(budget, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        gx.SequentialExecution(lambda s: s["a"], SPACE).run(budget=budget, progress=False)


def test_another_order_is_rejected():
    with pytest.raises(ValueError, match="order must be 'grid' or 'coarse', got 'fine'"):
        gx.SequentialExecution(lambda s: s["a"], SPACE).run(order="fine", progress=False)
