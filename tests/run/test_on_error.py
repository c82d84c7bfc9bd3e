"""A model that fails at some points: they are named, and all others have their values."""

from __future__ import annotations

import itertools
import json
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import gridax as gx
from gridax._plan import tiling


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


@pytest.fixture(params=["memory", "store"])
def kept(request, path):
    """Options of a run in memory, or in a store of several blocks."""
    return {} if request.param == "memory" else {"store": path, "block": {"x": 2}}


SPACE = gx.Space(
    {"x": gx.DataAxis(np.arange(4.0)), "k": gx.DataAxis([10.0, 20.0, 30.0], name="level")},
    mode="product",
)
POINTS = set(itertools.product(range(4), range(3)))
VALUES = np.arange(4.0)[:, None] + [10.0, 20.0, 30.0]


class Diverged(Exception):
    """An error of the user's own."""


class Simulator:
    """Fails at some points, and notes at which ones it was asked.

    The last one that was made is asked by the models, which are the same for all tests, so that
    they are compiled once. At which points it fails stands in the environment: a failure that goes
    away, such as that of a license server, is no change of the model.
    """

    last: Simulator

    @property
    def bad(self):
        return {tuple(point) for point in json.loads(os.environ["GRIDAX_BAD_POINTS"])}

    @bad.setter
    def bad(self, points):
        os.environ["GRIDAX_BAD_POINTS"] = json.dumps(sorted(points))

    def __init__(self, *bad):
        self.bad = set(bad)
        self.asked = []
        Simulator.last = self

    def executor(self, kind, **options):
        if kind == "sequential":
            return gx.SequentialExecution(python, SPACE)
        return gx.ParallelExecution(traced, SPACE, **options)


def ask(x, k):
    point = (int(x), int(k) // 10 - 1)
    Simulator.last.asked.append(point)
    if point in Simulator.last.bad:
        raise Diverged(f"at x={int(x)}: the solution is infinite")
    return np.float32(x + k)


def python(state):
    value = ask(state["x"], state["k"])
    return {"y": value, "path": value * np.ones(2, np.float32), "n": np.int32(7), "ok": True}


def traced(state):
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    value = jax.pure_callback(ask, kind, state["x"], state["k"], vmap_method="sequential")
    return {"y": value, "path": value * jnp.ones(2), "n": jnp.int32(7), "ok": value > 0}


@pytest.fixture(params=["sequential", "parallel"])
def kind(request):
    return request.param


def check(result, bad):
    """Assert that all points have their values but those that failed."""
    status = result.status.values
    assert {tuple(map(int, p)) for p in np.argwhere(status == 2)} == set(bad)
    assert (status == 1).sum() == 12 - len(bad)
    dataset = result.dataset
    for name in ("y", "path", "n", "ok"):
        values = np.asarray(dataset[name].values, float)
        assert (np.isnan(values).reshape(4, 3, -1).any(-1) == (status == 2)).all()
    done = status == 1
    np.testing.assert_array_equal(dataset["y"].values[done], VALUES[done])
    np.testing.assert_array_equal(dataset["path"].values[done], np.stack([VALUES] * 2, -1)[done])
    assert (dataset["n"].values[done] == 7).all()


FAILURES = [
    [],
    [(2, 1)],
    [(0, 0)],
    [(3, 2)],
    [(0, 0), (0, 1), (3, 2)],
    [(1, 0), (1, 1), (1, 2)],
    sorted(POINTS - {(2, 2)}),
]


@pytest.mark.parametrize("bad", FAILURES, ids=lambda bad: f"{len(bad)} from {(*bad, None)[0]}")
@pytest.mark.sampled(5)
def test_points_at_which_the_model_fails_are_recorded_and_cost_no_other(kind, kept, bad):
    result = Simulator(*bad).executor(kind).run(progress=False, on_error="record", **kept)
    check(result, bad)
    assert result.progress == (12 - len(bad), len(bad), 12)
    assert ("status" in result.dataset) == ("error" in result.dataset) == bool(bad)
    assert len(result.failed) == len(bad)
    assert len(result.missing) == 0


@pytest.mark.parametrize("n_vmap", [1, 4, None])
@pytest.mark.parametrize("n_pmap", [1, 3, 4])
@pytest.mark.sampled(5)
@pytest.mark.slow
def test_one_bad_point_costs_no_other_in_tiles_of_any_size_on_any_devices(kept, n_vmap, n_pmap):
    bad = [(0, 0), (2, 1)]
    simulator = Simulator(*bad)
    executor = simulator.executor("parallel", n_vmap=n_vmap, n_pmap=n_pmap)
    check(executor.run(progress=False, on_error="record", **kept), bad)
    assert set(simulator.asked) == POINTS


@pytest.mark.sampled(3)
def test_the_messages_stand_beside_the_labels_of_the_points(kind, kept):
    result = Simulator((2, 1), (3, 0)).executor(kind).run(progress=False, on_error="record", **kept)
    failed = result.failed
    assert list(failed.columns) == ["x", "level", "error"]
    assert failed["x"].tolist() == [2.0, 3.0]
    assert failed["level"].tolist() == [20.0, 10.0]
    assert failed.index.tolist() == [7, 9]
    for x, message in zip((2, 3), failed["error"], strict=True):
        assert f"at x={x}: the solution is infinite" in message
        assert "while the model" not in message
    if kind == "sequential":
        assert failed["error"][7] == "Diverged: at x=2: the solution is infinite"
    again = result.space[failed.index]
    assert again.to_dataframe()["level"].tolist() == [20.0, 10.0]
    messages = result.dataset["error"].values
    assert messages.dtype == object
    assert (messages == "").sum() == 10


@pytest.mark.sampled(3)
def test_integers_and_bools_become_floats_only_where_a_point_has_no_value(kind, kept):
    result = Simulator((2, 1)).executor(kind).run(progress=False, on_error="record", **kept)
    kinds = {name: result.dataset[name].dtype for name in ("y", "path", "n", "ok")}
    assert kinds == {"y": np.float32, "path": np.float32, "n": np.float64, "ok": np.float64}
    whole = Simulator().executor(kind).run(progress=False, on_error="record")
    assert {name: v.dtype for name, v in whole.dataset.data_vars.items()} == {
        "y": np.float32,
        "path": np.float32,
        "n": np.int32,
        "ok": np.bool_,
    }


@pytest.mark.parametrize("dtype", ["int4", "uint32", "bfloat16", "float16", "complex64"])
@pytest.mark.sampled(3)
def test_outputs_of_every_type_have_no_value_where_the_model_failed(kept, dtype):
    def model(state):
        if state["x"] == 1:
            raise Diverged
        return jnp.ones((), dtype)

    result = gx.SequentialExecution(model, SPACE).run(progress=False, on_error="record", **kept)
    values = result.dataset["value"].values
    assert np.isnan(values[1].astype(complex)).all()
    assert (values[[0, 2, 3]] == 1).all()
    expected = jnp.dtype(dtype) if jnp.issubdtype(dtype, jnp.inexact) else np.float64
    assert values.dtype == expected


@pytest.mark.sampled(3)
def test_a_table_of_a_recorded_result_has_status_and_error(kind, kept):
    result = Simulator((2, 1)).executor(kind).run(progress=False, on_error="record", **kept)
    table = result.to_dataframe()
    assert list(table.columns) == ["x", "level", "n", "ok", "path", "y", "status", "error"]
    assert table["status"].tolist() == [1] * 7 + [2] + [1] * 4
    assert table["error"][0] == ""
    assert "the solution is infinite" in table["error"][7]
    assert np.isnan(table["y"][7])
    assert np.isnan(result[7]["n"])
    assert result[8]["n"] == 7


@pytest.mark.sampled(3)
def test_progress_counts_failed_points_too(kind, kept):
    told = []
    Simulator((2, 1), (0, 0)).executor(kind).run(
        progress=lambda *counts: told.append(counts), on_error="record", **kept
    )
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.sampled(3)
def test_by_default_an_error_ends_the_run_and_keeps_what_was_done(kind, kept):
    executor = Simulator((2, 1)).executor(kind)
    with pytest.raises(Exception, match="the solution is infinite") as caught:
        executor.run(progress=False, **kept)
    if kind == "sequential":
        assert type(caught.value) is Diverged
    assert any(
        "while the model was evaluated at x=2.0, level=20.0" in n for n in caught.value.__notes__
    )
    partial = caught.value.result
    assert partial is executor.partial
    assert partial.status.values[2, 1] == 0
    assert len(partial.failed) == 0
    done = partial.status.values == 1
    assert done.any()
    np.testing.assert_array_equal(partial.dataset["y"].values[done], VALUES[done])
    if kind == "sequential":
        assert partial.progress == (7, 0, 12)
    assert "error" not in partial.dataset


@pytest.mark.parametrize("n_vmap", [1, 4, None])
@pytest.mark.sampled(2)
def test_the_error_of_a_tile_names_its_only_culprit(n_vmap):
    executor = Simulator((2, 1)).executor("parallel", n_vmap=n_vmap, n_pmap=2)
    with pytest.raises(Exception, match="the solution is infinite") as caught:
        executor.run(progress=False)
    notes = [n for n in caught.value.__notes__ if n.startswith("while the model was evaluated")]
    assert notes[-1] == "while the model was evaluated at x=2.0, level=20.0"


def test_an_error_of_the_first_point_is_recorded_like_any_other(kept):
    simulator = Simulator((0, 0), (0, 1))
    executor = simulator.executor("sequential")
    result = executor.run(progress=False, on_error="record", **kept)
    check(result, [(0, 0), (0, 1)])
    assert sorted(simulator.asked) == sorted(POINTS)  # each once, as they had been looked at before


def test_a_model_that_fails_everywhere_says_so(kept):
    simulator = Simulator(*POINTS)
    executor = simulator.executor("sequential")
    with pytest.raises(Diverged) as caught:
        executor.run(progress=False, on_error="record", **kept)
    assert caught.value.__notes__ == [
        "while the model was evaluated at x=3.0, level=30.0",
        "the model failed at every point, so it is not known what it returns",
    ]
    assert len(simulator.asked) == 12
    assert executor.partial is None
    if "store" in kept:
        assert not kept["store"].exists()


def test_a_traced_model_that_fails_everywhere_gives_a_result_without_values(kept):
    result = Simulator(*POINTS).executor("parallel").run(progress=False, on_error="record", **kept)
    check(result, POINTS)
    assert result.progress == (0, 12, 12)
    assert len(result.failed) == 12


@pytest.mark.parametrize("n_pmap", [1, 4])
@pytest.mark.sampled(2)
def test_points_of_a_store_that_fail_everywhere_stay_known(path, n_pmap):
    simulator = Simulator(*POINTS)
    for _ in range(2):
        executor = simulator.executor("parallel", n_pmap=n_pmap)
        result = executor.run(progress=False, on_error="record", store=path)
        assert result.progress == (0, 12, 12)
        simulator.asked.clear()
    executor.run(progress=False, on_error="record", store=path)
    assert simulator.asked == []


def test_errors_of_a_trace_end_the_run_even_if_errors_are_recorded(kept):
    def model(state):
        raise Diverged("in every program")

    with pytest.raises(Diverged, match="in every program"):
        gx.ParallelExecution(model, SPACE).run(progress=False, on_error="record", **kept)
    if "store" in kept:
        assert not kept["store"].exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_of_the_model_ends_the_run(kept, stop):
    def model(state):
        if state["x"] == 1:
            raise stop
        return {"y": 1.0}

    executor = gx.SequentialExecution(model, SPACE)
    with pytest.raises(stop):
        executor.run(progress=False, on_error="record", **kept)
    assert executor.partial.progress == (3, 0, 12)


def test_a_point_that_returns_something_else_ends_the_run_even_if_errors_are_recorded(kept):
    executor = gx.SequentialExecution(lambda s: {"y": np.ones(2 if s["x"] < 2 else 3)}, SPACE)
    with pytest.raises(
        ValueError, match=r"output 'y' has shape \(3,\), but had \(2,\) before"
    ) as caught:
        executor.run(progress=False, on_error="record", **kept)
    assert "while the model was evaluated at x=2.0, level=10.0" in caught.value.__notes__
    assert executor.partial.progress == (6, 0, 12)


def test_failed_points_are_tried_again_when_asked_for_and_no_others(path):
    simulator = Simulator((0, 0), (2, 1), (2, 2))
    executor = simulator.executor("sequential")
    executor.run(progress=False, on_error="record", store=path, block={"x": 2})
    simulator.asked.clear()
    simulator.bad = {(2, 2)}
    again = executor.run(progress=False, on_error="record", store=path)
    assert simulator.asked == []  # they are known
    check(again, [(0, 0), (2, 1), (2, 2)])

    told = []
    result = executor.run(
        progress=lambda *counts: told.append(counts),
        on_error="record",
        store=path,
        retry_failed=True,
    )
    assert simulator.asked == [(0, 0), (2, 1), (2, 2)]
    check(result, [(2, 2)])
    assert result.failed.index.tolist() == [8]
    assert (result.dataset["error"].values == "").sum() == 11
    assert told[-1] == (12, 12)

    simulator.asked.clear()
    simulator.bad = set()
    whole = executor.run(progress=False, store=path, retry_failed=True)
    assert simulator.asked == [(2, 2)]
    check(whole, [])
    assert set(whole.dataset.data_vars) == {"y", "path", "n", "ok"}
    assert whole.dataset["n"].dtype == np.int32
    simulator.asked.clear()
    executor.run(progress=False, store=path, retry_failed=True)
    assert simulator.asked == []


@pytest.mark.parametrize(("n_vmap", "n_pmap"), [(1, 1), (4, 2), (None, None)])
@pytest.mark.sampled(2)
def test_tiles_try_failed_points_again(path, n_vmap, n_pmap):
    simulator = Simulator((0, 0), (2, 1), (2, 2))
    executor = simulator.executor("parallel", n_vmap=n_vmap, n_pmap=n_pmap)
    executor.run(progress=False, on_error="record", store=path, block={"x": 1})
    simulator.asked.clear()
    executor.run(progress=False, store=path)
    assert simulator.asked == []
    simulator.bad = set()
    result = executor.run(progress=False, store=path, retry_failed=True)
    assert {(0, 0), (2, 1), (2, 2)} <= set(simulator.asked)
    assert {x for x, _ in simulator.asked} == {0, 2}  # blocks without a failure are left alone
    check(result, [])


def test_a_point_that_fails_again_has_the_new_message(path, monkeypatch):
    def model(state):
        if state["x"] == 2:
            raise Diverged(os.environ["GRIDAX_MOOD"])
        return {"y": 1.0}

    monkeypatch.setenv("GRIDAX_MOOD", "in the morning")
    executor = gx.SequentialExecution(model, SPACE)
    executor.run(progress=False, on_error="record", store=path)
    monkeypatch.setenv("GRIDAX_MOOD", "in the evening")
    result = executor.run(progress=False, on_error="record", store=path, retry_failed=True)
    assert result.failed["error"].tolist() == ["Diverged: in the evening"] * 3


def test_a_retry_that_raises_keeps_what_is_known_of_the_others(path):
    simulator = Simulator((0, 0), (2, 1))
    executor = simulator.executor("sequential")
    executor.run(progress=False, on_error="record", store=path, block={"x": 2})
    simulator.bad = {(2, 1)}
    with pytest.raises(Diverged):
        executor.run(progress=False, store=path, retry_failed=True)
    result = gx.open_result(path)
    assert result.status.values[0, 0] == 1
    assert result.progress.done == 11
    np.testing.assert_array_equal(
        result.dataset["y"].values[result.status.values == 1], VALUES[result.status.values == 1]
    )


@pytest.mark.parametrize("kind", ["sequential", "parallel"])
def test_points_that_failed_before_an_interruption_are_not_evaluated_again(path, kind):
    simulator = Simulator((0, 0), (0, 2))

    def stop(done, total):
        if done >= 4:
            raise KeyboardInterrupt

    options = {"store": path, "block": {"x": 4}}
    executor = simulator.executor(kind, n_vmap=1, n_pmap=1)
    with pytest.raises(KeyboardInterrupt):
        executor.run(progress=stop, on_error="record", **options)
    there = gx.open_result(path)
    assert there.progress.failed == 2
    assert there.progress.pending > 0
    simulator.asked.clear()
    result = executor.run(progress=False, on_error="raise", **options)  # they are known by now
    check(result, [(0, 0), (0, 2)])
    if kind == "sequential":
        assert len(simulator.asked) == there.progress.pending


def test_a_sweep_in_memory_tries_failed_points_again_by_extending_itself(kind):
    simulator = Simulator((0, 0), (2, 1))
    executor = simulator.executor(kind)
    result = executor.run(progress=False, on_error="record")
    simulator.asked.clear()
    simulator.bad = set()
    check(executor.run(progress=False, extend=result), [])
    assert {(0, 0), (2, 1)} <= set(simulator.asked)
    if kind == "sequential":
        assert simulator.asked == [(0, 0), (2, 1)]


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
@pytest.mark.sampled(3)
def test_a_recorded_result_comes_back_from_a_file(kind, kept, save, tmp_path):
    result = Simulator((2, 1), (0, 0)).executor(kind).run(progress=False, on_error="record", **kept)
    getattr(result, save)(tmp_path / "saved")
    again = gx.open_result(tmp_path / "saved")
    check(again, [(2, 1), (0, 0)])
    assert again.progress == (10, 2, 12)
    assert again.dataset.load().identical(result.dataset.load())
    pd.testing.assert_frame_equal(again.failed, result.failed)
    assert again.failed["error"].tolist() == result.failed["error"].tolist()


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
@pytest.mark.sampled(3)
def test_a_recorded_result_from_a_file_can_be_extended(kind, save, tmp_path):
    simulator = Simulator((2, 1), (0, 0))
    executor = simulator.executor(kind)
    getattr(executor.run(progress=False, on_error="record"), save)(tmp_path / "saved")
    simulator.asked.clear()
    simulator.bad = set()
    result = executor.run(progress=False, extend=tmp_path / "saved")
    check(result, [])
    assert result.dataset["n"].dtype == np.int32
    if kind == "sequential":
        assert simulator.asked == [(0, 0), (2, 1)]


def test_long_and_odd_messages_are_kept(kept):
    texts = ["", "two\nlines", "ünï çödé", "x" * 5000, "nul"]

    def model(state):
        if state["x"] == 0 or (state["x"] == 1 and state["k"] < 25):
            raise Diverged(texts[model.n % len(texts)])
        return 1.0

    def told(state):
        try:
            return model(state)
        finally:
            model.n += 1

    model.n = 0
    result = gx.SequentialExecution(told, SPACE).run(progress=False, on_error="record", **kept)
    assert result.failed["error"].tolist() == [f"Diverged: {text}" for text in texts]


class Silent(Exception):
    def __str__(self):
        raise KeyError("message")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            StopIteration,
            "RuntimeError: the model raised StopIteration, such as by next() at the end",
        ),
        (Silent, "Silent: its message cannot be shown"),
    ],
)
def test_errors_that_python_treats_specially_cost_no_other_point(kept, error, text):
    def model(state):
        if state["x"] == 2:
            raise error
        return state["x"]

    executor = gx.SequentialExecution(model, gx.Space({"x": gx.DataAxis(range(4))}, "product"))
    with pytest.raises((RuntimeError, Silent)) as caught:
        executor.run(progress=False)
    assert caught.value.__notes__[0] == "while the model was evaluated at x=2"
    result = executor.run(on_error="record", progress=False, **kept)
    assert result.failed["error"].tolist() == [text]
    assert result.progress == (3, 1, 4)


@pytest.mark.parametrize("on_error", ["ignore", True, None, "Record"])
def test_other_ways_to_treat_errors_are_refused_before_anything_runs(kind, on_error):
    simulator = Simulator()
    text = f"on_error must be 'raise' or 'record', got {on_error!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        simulator.executor(kind).run(progress=False, on_error=on_error)
    assert simulator.asked == []


def test_what_is_known_of_a_point_stays_though_a_tile_covers_it(path, monkeypatch):
    monkeypatch.setattr(tiling, "CALL", 1.0)  # one call for all points
    simulator = Simulator((0, 0), (0, 2))

    def stop(done, total):
        if done >= 4:
            raise KeyboardInterrupt

    options = {"store": path, "block": {"x": 4}}
    with pytest.raises(KeyboardInterrupt):
        simulator.executor("parallel", n_vmap=1, n_pmap=1).run(
            progress=stop, on_error="record", **options
        )
    before = gx.open_result(path).failed
    simulator.asked.clear()
    executor = simulator.executor("parallel", n_vmap=12, n_pmap=1)
    check(executor.run(progress=False, **options), [(0, 0), (0, 2)])
    assert (0, 0) in simulator.asked  # by a tile of all points
    pd.testing.assert_frame_equal(gx.open_result(path).failed, before)
