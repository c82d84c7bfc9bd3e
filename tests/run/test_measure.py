"""Plans of every executor, and how long a sweep will take."""

from __future__ import annotations

import dataclasses
import itertools
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._plan import blocks
from gridax._plan.plan import Plan
from gridax._run import measure
from gridax._text import duration

SPACE = gx.Space({"a": gx.GridAxis(0, 1, 40), "b": gx.GridAxis(1, 2, 50)}, mode="product")


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the model moves on."""
    now = [1000.0]
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(f"time.{name}", lambda: now[0])

    def tick(seconds):
        now[0] += seconds

    return tick


def test_the_time_of_a_python_model_is_measured_on_some_points(clock):
    seen = []

    def model(state):
        seen.append(state["a"])
        clock(0.02)
        return state["a"]

    plan = gx.SequentialExecution(model, SPACE).plan(measure=True)
    low, likely, high = plan.seconds
    assert likely == pytest.approx(0.02 * SPACE.N, rel=0.02)
    assert low < likely < high
    assert plan.nbytes == 8 * SPACE.N
    assert len(seen) < SPACE.N
    assert np.ptp(seen) > 0.9  # points are spread over the grid
    assert "Time:    about 40 s (36 s to 44 s)" in repr(plan)


def test_an_uneven_model_has_a_wider_estimate_that_includes_the_truth(clock):
    def model(state):
        clock(0.1 * float(state["a"]) ** 3)
        return state["a"]

    truth = sum(0.1 * float(state["a"]) ** 3 for state in SPACE)
    low, likely, high = gx.SequentialExecution(model, SPACE).plan(measure=True).seconds
    assert low < truth < high
    assert likely == pytest.approx(truth, rel=0.5)


def test_a_short_sweep_is_measured_as_a_whole(clock):
    def model(state):
        clock(0.001)
        return state["a"]

    plan = gx.SequentialExecution(model, SPACE.isel(b=slice(0, 3))).plan(measure=True)
    assert plan.seconds == pytest.approx((0.12, 0.12, 0.12))
    assert "Time:    about 120 ms\n" in repr(plan)


def test_a_plan_does_not_call_a_python_model():
    def model(state):
        raise AssertionError

    plan = gx.SequentialExecution(model, SPACE).plan()
    assert plan.tile == (1, 1)
    assert plan.seconds is None
    assert "Outputs: not known until the model is called" in repr(plan)


def test_processes_share_the_time(clock):
    def model(state):
        clock(0.02)
        return state["a"]

    plan = gx.SequentialExecution(model, SPACE, n_workers=4).plan(measure=True)
    assert plan.seconds[1] == pytest.approx(0.02 * SPACE.N / 4, rel=0.02)
    assert plan.n_workers == 4
    assert "Workers: 4" in repr(plan)


@pytest.mark.parametrize("reduce", [None, {"b": "mean"}])
def test_a_jax_model_is_measured(reduce):
    def model(state):
        return jax.lax.fori_loop(0, 50, lambda i, x: jnp.sin(x) + state["a"], state["b"])

    executor = gx.ParallelExecution(model, SPACE, n_pmap=1)
    plan = executor.plan(measure=True, reduce=reduce)
    low, likely, high = plan.seconds
    assert 0 < low <= likely <= high < 60
    assert isinstance(plan, Plan)
    assert "Time:" in repr(plan)
    assert plan == executor.plan(reduce=reduce)  # times are not what tells plans apart


def test_chains_are_measured(clock):
    def model(state):
        clock(0.02)
        return {"x": state["x"] + state["r"]}

    space = gx.Space(
        {"r": gx.GridAxis(0, 1, 50), "x": gx.Carried(0.0, "x", "r"), "k": gx.KeyAxis(40)},
        mode="product",
    )
    plan = gx.SequentialExecution(model, space).plan(measure=True)
    assert plan.seconds[1] == pytest.approx(0.02 * space.N, rel=0.05)


def test_what_some_minutes_compute_is_told():
    plan = Plan(("a",), (100_000,), (100_000,), (), seconds=(6000.0, 7500.0, 9000.0))
    text = "Time:    about 2.1 h (100 min to 2.5 h); 60 min compute 48000 points"
    assert re.sub(r"\s+", " ", text) in re.sub(r"\s+", " ", repr(plan))


def test_the_spread_of_an_estimate_is_that_of_its_parts():
    times, done = np.arange(0.0, 13.0), np.arange(13) * 10
    low, likely, high = measure._estimated(times, done, 10_000)
    assert (low, likely, high) == pytest.approx((900, 1000, 1100))
    uneven = np.cumsum([0, *[1.0, 3.0] * 6])
    low, likely, high = measure._estimated(uneven, done, 10_000)
    assert likely == pytest.approx(2000, rel=0.1)
    assert high - low > 1000


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "500 ms"), (119, "119 s"), (121, "2.0 min"), (7300, "2.0 h")]
)
def test_durations_are_told_in_a_fitting_unit(seconds, text):
    assert duration(seconds) == text


def test_points_that_are_timed_are_spread_over_the_grid_and_their_number_is_known():
    sizes = (3000, 5000)
    plan = gx.ParallelExecution(lambda state: state["a"], SPACE, n_vmap=8).plan()
    plan = dataclasses.replace(plan, sizes=sizes, block=sizes)
    request = types.SimpleNamespace(reduced=None)
    wish = blocks.Wish(seconds=1e-3, nbytes=4, tile=(1, 8))
    sample = measure._sample(sizes, wish, plan, request)
    tasks = list(itertools.islice(sample.tasks(), 20))
    for task in tasks:
        for run, size in zip(task.take, sizes, strict=True):
            assert (np.diff(run) > 0).all()
            assert 0 <= run[0] <= size / len(run)
            assert size - size / len(run) - 1 <= run[-1] < size
    first = [tuple(run.tolist()) for run in tasks[0].take]
    assert first != [tuple(run.tolist()) for run in tasks[1].take]
    assert sample.total == plan.n_tiles(((0, 3000), (0, 5000))) * np.prod(plan.tile)
