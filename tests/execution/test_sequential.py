from __future__ import annotations

import itertools
import math
import re
import types

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._execution import pointwise
from gridax._execution.pointwise import PointwiseEvaluator
from gridax._run.evaluator import Bounds
from gridax._run.job import Job
from gridax.space import points_of

SPACE = gx.Space({"a": gx.DataAxis([0.1, 0.2, 0.3]), "b": gx.DataAxis([1, 2])}, mode="product")


def test_the_model_is_called_exactly_once_per_point_in_the_order_of_the_points():
    calls = []

    def model(state):
        calls.append((round(float(state["a"]), 6), int(state["b"])))
        return len(calls)

    result = gx.SequentialExecution(model, SPACE).run(progress=False)
    assert calls == list(itertools.product([0.1, 0.2, 0.3], [1, 2]))
    assert result.dataset["value"].values.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_side_effects_happen_again_in_the_next_run():
    calls = []
    executor = gx.SequentialExecution(lambda s: calls.append(0) or len(calls), SPACE)
    executor.run(progress=False)
    assert executor.run(progress=False).dataset["value"].values.reshape(-1).tolist() == [
        7,
        8,
        9,
        10,
        11,
        12,
    ]


def test_python_and_numpy_models_need_no_jax():
    def model(state):
        a, _ = float(state["a"]), int(state["b"])
        if a > 0.15:
            return {"root": math.sqrt(a), "row": np.linspace(0, a, 3)}
        return {"root": -1.0, "row": np.zeros(3)}

    dataset = gx.SequentialExecution(model, SPACE).run(progress=False).dataset
    assert dataset["root"].dtype == np.float64
    assert dataset["root"].sel(a=0.1, b=1) == -1
    np.testing.assert_allclose(dataset["row"].sel(a=0.3, b=2), [0, 0.15, 0.3], rtol=1e-6)


def test_a_buffer_that_the_model_uses_again_is_copied_at_every_point():
    buffer = np.zeros(2)

    def model(state):
        buffer[:] = float(state["a"]), float(state["b"])
        return buffer

    values = gx.SequentialExecution(model, SPACE).run(progress=False).dataset["value"]
    np.testing.assert_allclose(values.isel(value_dim_0=1), [[1, 2]] * 3)


def test_a_dtype_widens_where_a_point_needs_it():
    values = gx.SequentialExecution(lambda s: 0 if s["b"] == 1 else 0.5, SPACE).run(progress=False)
    assert values.dataset["value"].values.tolist() == [[0, 0.5]] * 3


def test_statespace_is_another_name_of_the_space():
    def model(state, factor, shift=0):
        return factor * state["b"] + shift

    result = gx.SequentialExecution(model, 10, statespace=SPACE, shift=1).run(progress=False)
    assert result.dataset["value"].isel(a=0).values.tolist() == [11, 21]


def test_a_missing_space_is_asked_for():
    text = "SequentialExecution needs a space; pass it after the model: SequentialExecution(model, space)"
    with pytest.raises(TypeError, match=re.escape(text)):
        gx.SequentialExecution(lambda s: 1.0)


class Diverged(Exception):
    """An error of the user's own."""


def test_an_error_keeps_its_type_names_the_point_and_what_was_done_is_kept():
    cause = Diverged("at t=3")

    def model(state):
        if state["a"] > 0.25:
            raise cause
        return {"y": float(state["a"]), "n": int(state["b"]), "ok": True}

    executor = gx.SequentialExecution(model, SPACE)
    with pytest.raises(Diverged) as caught:
        executor.run(progress=False)
    assert caught.value is cause
    assert cause.__notes__ == [
        "while the model was evaluated at a=0.3, b=1",
        "4 of 6 points were computed; they are in the attribute `partial` of the executor",
    ]
    partial = cause.result.dataset
    assert cause.result is executor.partial
    assert partial["status"].values.tolist() == [[1, 1], [1, 1], [0, 0]]
    assert partial["status"].attrs == {
        "flag_values": [0, 1, 2],
        "flag_meanings": "pending done failed",
    }
    assert np.isnan(partial["y"].sel(a=0.3)).all()
    np.testing.assert_array_equal(partial["n"], [[1, 2], [1, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(partial["ok"], [[1, 1], [1, 1], [np.nan, np.nan]])
    np.testing.assert_allclose(partial["y"].sel(a=0.2), 0.2, rtol=1e-6)


def test_an_error_at_the_first_point_names_it_and_keeps_nothing():
    executor = gx.SequentialExecution(lambda s: 1 / (s["b"].item() - 1), SPACE)
    with pytest.raises(ZeroDivisionError) as caught:
        executor.run(progress=False)
    assert caught.value.__notes__ == ["while the model was evaluated at a=0.1, b=1"]
    assert executor.partial is None


def test_labels_of_every_kind_are_named_in_the_note():
    space = gx.Space(
        {
            "solver": gx.ChoiceAxis(["heun"]),
            "trial": gx.KeyAxis(1),
            "W": gx.DataAxis([[1.0, 2.0]], labels=["thin"]),
            "x": gx.GridAxis(0.3, 1, 2),
        },
        mode="product",
    ).isel(x=0)
    with pytest.raises(Diverged) as caught:
        gx.SequentialExecution(lambda s: (_ for _ in ()).throw(Diverged()), space).run(
            progress=False
        )
    assert caught.value.__notes__ == [
        "while the model was evaluated at solver='heun', trial=0, W='thin', x=0.3"
    ]


def test_ctrl_c_in_the_model_keeps_what_was_done():
    def model(state):
        if state["b"] == 2:
            raise KeyboardInterrupt
        return 7.0

    executor = gx.SequentialExecution(model, SPACE)
    with pytest.raises(KeyboardInterrupt) as caught:
        executor.run(progress=False)
    assert caught.value.result.dataset["value"].values[0, 0] == 7
    assert executor.partial.dataset["status"].values.sum() == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, Diverged])
@pytest.mark.parametrize("stored", [False, True])
def test_however_a_long_sweep_ends_every_point_is_kept(end, stored, tmp_path):
    calls = []

    def model(state):
        if len(calls) == 1234:
            raise end
        calls.append(state["n"])
        return {"n": state["n"], "half": state["n"] / 2}

    space = gx.Space({"n": gx.DataAxis(range(2000))})
    executor = gx.SequentialExecution(model, space)
    options = {"store": tmp_path / "sweep.zarr", "block": {"point": 500}} if stored else {}
    with pytest.raises(end):
        executor.run(progress=False, **options)
    dataset = executor.partial.dataset
    assert dataset["status"].values.tolist() == [1] * 1234 + [0] * 766
    assert dataset["n"].values[:1234].tolist() == calls
    assert dataset["half"].values[:1234].tolist() == [n / 2 for n in calls]


def test_points_that_fail_cost_no_other_in_a_long_sweep():
    def model(state):
        if state["n"] % 300 == 299:
            raise Diverged
        return state["n"]

    space = gx.Space({"n": gx.DataAxis(range(2000))})
    run = gx.SequentialExecution(model, space).run(progress=False, on_error="record")
    assert run.failed.index.tolist() == list(range(299, 2000, 300))
    done = run.status.values == 1
    assert run.dataset["value"].values[done].tolist() == np.arange(2000)[done].tolist()


@pytest.mark.parametrize(
    ("late", "error", "text"),
    [
        ([1.0, 2.0], ValueError, "the model returned ['[0]', '[1]'], but ['value'] before"),
        (np.ones(4), ValueError, "output 'value' has shape (4,), but had () before"),
        (2**64, TypeError, f"output 'value' is the integer {2**64}, which is too large"),
    ],
    ids=["structure", "shape", "integer"],
)
def test_a_late_result_unlike_the_first_is_refused_and_all_before_it_are_kept(late, error, text):
    space = gx.Space({"n": gx.DataAxis(range(2000))})
    executor = gx.SequentialExecution(lambda s: late if s["n"] == 1234 else 7, space)
    with pytest.raises(error, match=re.escape(text)) as caught:
        executor.run(progress=False)
    assert caught.value.__notes__[0] == "while the model was evaluated at n=1234"
    assert executor.partial.status.values.tolist() == [1] * 1234 + [0] * 766


def test_numbers_of_several_types_are_stored_as_one_that_holds_all():
    values = [1, 2, True, 0.5, np.float32(0.25), 2**63, 1e300]
    space = gx.Space({"n": gx.DataAxis(range(1000))})
    run = gx.SequentialExecution(lambda s: values[s["n"] % 7], space).run(progress=False)
    assert run.dataset["value"].values.tolist() == [float(values[n % 7]) for n in range(1000)]


@pytest.mark.parametrize(
    ("early", "late", "text"),
    [
        ({"a": 1.0}, {"b": 1.0}, "the model returned ['b'], but ['a'] before"),
        ([1.0], (1.0,), "the model returned PyTreeDef((*,)), but PyTreeDef([*]) before"),
        (np.ones(3), np.ones(4), "output 'value' has shape (4,), but had (3,) before"),
        (
            xr.DataArray(np.ones(2), dims="time"),
            xr.DataArray(np.ones(2), dims="frequency"),
            "output 'value' has dims ('frequency',), but had ('time',) before",
        ),
        (
            xr.DataArray(np.ones(2), {"time": [0.0, 0.1]}, ["time"]),
            xr.DataArray(np.ones(2), {"time": [0.0, 0.2]}, ["time"]),
            "the coordinate 'time' of output 'value' differs from before",
        ),
    ],
    ids=["names", "structure", "shape", "dims", "coordinate"],
)
def test_a_result_unlike_the_first_is_refused_at_its_point(early, late, text):
    executor = gx.SequentialExecution(lambda s: early if s["a"] < 0.15 else late, SPACE)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        executor.run(progress=False)
    assert str(caught.value) == f"{text}; every point must return the same outputs"
    assert caught.value.__notes__[0] == "while the model was evaluated at a=0.2, b=1"
    assert executor.partial.dataset["status"].values.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_nothing_at_a_later_point_is_refused_there():
    executor = gx.SequentialExecution(lambda s: 1.0 if s["a"] < 0.15 else None, SPACE)
    with pytest.raises(TypeError, match="the model returned None") as caught:
        executor.run(progress=False)
    assert caught.value.__notes__[0] == "while the model was evaluated at a=0.2, b=1"


def test_a_partial_result_is_a_result_that_can_be_saved(tmp_path):
    def model(state):
        if state["b"] == 2:
            raise Diverged
        return {"y": jnp.bfloat16(0.5)}

    executor = gx.SequentialExecution(model, SPACE)
    with pytest.raises(Diverged):
        executor.run(progress=False)
    executor.partial.to_netcdf(tmp_path / "partial.nc")
    again = gx.open_result(tmp_path / "partial.nc")
    assert again.dataset["status"].values.tolist() == [[1, 0], [0, 0], [0, 0]]
    assert again[0] == {"y": 0.5}
    assert np.isnan(again[1]["y"].astype(float))


def test_a_model_cannot_change_fixed_arrays_for_the_next_point():
    weights = np.ones(2)

    def model(state):
        state["W"] *= 2
        return state["W"]

    space = gx.Space({"x": gx.GridAxis(0, 1, 2), "W": weights}, mode="product")
    with pytest.raises(ValueError, match="read-only"):
        gx.SequentialExecution(model, space).run(progress=False)
    assert weights.tolist() == [1, 1]


def test_a_slow_first_point_is_followed_by_one_other_to_find_out_what_a_point_takes(
    tmp_path, monkeypatch
):
    calls, clock = [], [0.0]
    now = types.SimpleNamespace(perf_counter=lambda: clock[0])
    monkeypatch.setattr(pointwise, "time", now)

    def model(state):
        calls.append((round(float(state["a"]), 6), int(state["b"])))
        clock[0] += 60.0 if len(calls) == 1 else 0.5
        return 1.0

    evaluator = PointwiseEvaluator(Job(model, points_of(SPACE)))
    evaluator.template(None, record=False)
    wishes = [evaluator.wish(Bounds(None, True, None)) for _ in range(2)]
    assert calls == [(0.1, 1), (0.1, 2)]
    assert wishes[0] == wishes[1]
    assert wishes[0].seconds == 0.5
    gx.SequentialExecution(model, SPACE).run(store=tmp_path / "run.zarr", progress=False)
    assert sorted(calls[2:]) == list(itertools.product([0.1, 0.2, 0.3], [1, 2]))
