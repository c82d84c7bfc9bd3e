from __future__ import annotations

import copy
import os
import pickle
import re
import time
from pathlib import Path
from typing import Any

import cloudpickle
import dill
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridax as gx
from gridax._memory import human
from gridax.result import template_of_result
from tests.ids import plain
from tests.models import LABELED, reading


def product(**axes):
    return gx.Space(axes, mode="product")


SPACE = product(G=gx.GridAxis(0, 1, 3), trial=gx.KeyAxis(2))


def model(state):
    x = state["G"] * jnp.arange(1.0, 4.0)
    return {"mean": x.mean(), "activity": xr.DataArray(x, {"time": [0.1, 0.2, 0.3]}, ["time"])}


@pytest.fixture(scope="module")
def result():
    return gx.ParallelExecution(model, SPACE).run(progress=False)


@pytest.fixture(scope="module", params=["to_netcdf", "to_zarr"])
def reopened(request, result, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "result"
    getattr(result, request.param)(path)
    return gx.open_result(path)


def test_a_result_is_a_sequence_of_what_the_model_returned(result):
    assert len(result) == 6
    for i, (found, state) in enumerate(zip(result, SPACE, strict=True)):
        expected = model(state)
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-6)
        np.testing.assert_allclose(found["activity"], expected["activity"].data, rtol=1e-6)
        assert found["activity"]["time"].values.tolist() == [0.1, 0.2, 0.3]
        assert result[i]["mean"] == found["mean"]


def test_positions_count_from_the_end_and_may_be_of_any_integer_type(result):
    assert result[-1]["mean"] == result[5]["mean"] == result[np.int64(5)]["mean"]


@pytest.mark.parametrize(
    ("index", "points"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None, None, -2), [5, 3, 1]),
        (slice(4, 4), []),
        ([0, -1, 0], [0, 5, 0]),
        (np.array([2, 3]), [2, 3]),
        (np.array([True, False, False, True, False, False]), [0, 3]),
    ],
    ids=plain,
)
def test_several_positions_give_a_list(result, index, points):
    found = result[index]
    assert isinstance(found, list)
    assert [f["mean"] for f in found] == [result[i]["mean"] for i in points]


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (6, IndexError, "point 6 is out of range for a space of 6 points"),
        (-7, IndexError, "point -7 is out of range for a space of 6 points"),
        ([0, 6], IndexError, "point 6 is out of range for a space of 6 points"),
        ([True], IndexError, "a boolean index must have 6 entries, got 1"),
        (
            1.0,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans, got 1.0",
        ),
        (
            "G",
            TypeError,
            "a result is indexed by position, such as result[0], got 'G'; for an output, use "
            "result.dataset['G']",
        ),
        (
            True,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans, got",
        ),
    ],
    ids=plain,
)
def test_positions_that_do_not_exist_are_refused(result, index, error, text):
    with pytest.raises(error, match=re.escape(text)):
        result[index]


def test_iterations_do_not_disturb_each_other(result):
    pairs = [(a["mean"], b["mean"]) for a in result for b in result]
    means = [r["mean"] for r in result]
    assert pairs == [(a, b) for a in means for b in means]


def test_selection_by_label_and_position_is_that_of_the_dataset(result):
    assert result.sel(G=0.5, trial=1).identical(result.dataset.sel(G=0.5, trial=1))
    assert result.isel(G=-1).identical(result.dataset.isel(G=-1))
    assert result.sel(G=0.4, method="nearest")["G"].item() == 0.5
    assert result.sel(time=0.3)["activity"].shape == (3, 2)


def test_a_table_has_parameters_then_outputs_one_row_per_point(result):
    table = result.to_dataframe()
    assert list(table.columns) == ["G", "trial", "activity", "mean"]
    assert table["G"].tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert table["trial"].tolist() == [0, 1, 0, 1, 0, 1]
    assert table["mean"].tolist() == [r["mean"] for r in result]
    np.testing.assert_array_equal(table["activity"][3], result[3]["activity"])
    assert len(table[table.G == 0.5]) == 2


def test_arrays_are_cells_of_a_table():
    space = product(W=gx.DataAxis(np.eye(2)), n=gx.DataAxis([1.5, 2.5], labels=["low", "high"]))
    table = (
        gx.SequentialExecution(lambda s: s["n"] * s["W"], space).run(progress=False).to_dataframe()
    )
    assert list(table.columns) == ["W", "W_value", "n", "n_value", "value"]
    assert table["n"].tolist() == ["low", "high"] * 2
    assert table["n_value"].tolist() == [1.5, 2.5] * 2
    assert table["W"].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(table["W_value"][3], [0, 1])
    np.testing.assert_array_equal(table["value"][3], [0, 2.5])


@pytest.mark.parametrize(
    "space",
    [
        product(a=gx.GridAxis(0, 1, 3), b=gx.DataAxis([4, 5]))[[5, 0, 3]],
        product(a=gx.GridAxis(0, 1, 3), b=gx.DataAxis([4, 5])).isel(a=1),
        product(a=gx.GridAxis(0, 1, 3), b=gx.DataAxis([4, 5])).isel(a=1, b=0),
        gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([4, 5, 6])}, mode="zip"),
    ],
    ids=["scattered", "one dimension", "no dimension", "zip"],
)
def test_a_table_follows_the_points_of_any_space(space):
    table = gx.SequentialExecution(reading, space).run(progress=False).to_dataframe()
    assert table["value"].tolist() == [np.float32(reading(state)) for state in space]
    pd.testing.assert_frame_equal(table[["a", "b"]], space.to_dataframe())


def test_reading_a_result_does_no_work_on_the_device(result, compilations):
    with compilations, jax.transfer_guard("disallow"):
        result.to_dataframe()
        list(result)
        result[2:4]
    assert compilations.count == 0


def test_reading_many_points_is_fast():
    space = product(a=gx.GridAxis(0, 1, 300), b=gx.GridAxis(0, 1, 300))
    run = gx.ParallelExecution(
        lambda s: {"p": s["a"], "q": s["b"], "r": s["a"] * s["b"]}, space
    ).run(progress=False)
    start = time.process_time()
    table = run.to_dataframe()
    assert time.process_time() - start < 2
    assert len(table) == 90_000
    assert table["r"].iloc[-1] == 1


@pytest.mark.parametrize("kind", LABELED)
@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_what_a_person_types_selects_its_point_in_a_file(kind, save, tmp_path):
    state, mode, typed, point = LABELED[kind]
    space = gx.Space(state, mode=mode)
    run = gx.SequentialExecution(reading, space).run(progress=False)
    getattr(run, save)(tmp_path / "result")
    again = gx.open_result(tmp_path / "result")
    np.testing.assert_allclose(again.sel(typed)["value"], reading(space[point]), rtol=1e-6)
    assert again.space.sel(typed).dims == ()
    if kind != "choices":  # functions are not stored
        np.testing.assert_allclose(
            reading(again.space.sel(typed)[0]), reading(space[point]), rtol=1e-6
        )


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_random_labels_select_by_nearest_in_a_file(save, tmp_path):
    space = gx.Space({"x": gx.UniformAxis(0, 1, 20), "y": gx.UniformAxis(0, 1, 20)}, mode="zip")
    run = gx.SequentialExecution(lambda s: s["y"], space).run(progress=False)
    getattr(run, save)(tmp_path / "result")
    again = gx.open_result(tmp_path / "result")
    labels = space.dataset["x"].values
    wanted = int(np.abs(labels - 0.5).argmin())
    assert float(again.sel(x=0.5, method="nearest")["value"]) == space[wanted]["y"]
    assert float(again.sel(x=labels[7])["value"]) == space[7]["y"]  # to the last digit
    assert again.space.sel(x=0.5, method="nearest")[0]["y"] == space[wanted]["y"]


def test_an_opened_result_is_the_one_that_was_saved(result, reopened):
    assert reopened.dataset.identical(result.dataset)
    assert len(reopened) == len(result)
    for mine, theirs in zip(reopened, result, strict=True):
        assert mine["mean"] == theirs["mean"]
        assert mine["activity"].identical(theirs["activity"])
    pd.testing.assert_frame_equal(reopened.to_dataframe(), result.to_dataframe())


def test_an_opened_result_has_its_space_again(reopened):
    space = reopened.space
    assert (space.dims, space.shape, space.mode) == (SPACE.dims, SPACE.shape, SPACE.mode)
    assert repr(space) == repr(SPACE)
    assert space.dataset.identical(SPACE.dataset)
    assert (jax.random.key_data(space.key) == jax.random.key_data(SPACE.key)).all()
    for mine, theirs in zip(space, SPACE, strict=True):
        assert mine["G"] == theirs["G"]
        assert mine["G"].dtype == theirs["G"].dtype
        assert (jax.random.key_data(mine["trial"]) == jax.random.key_data(theirs["trial"])).all()


def test_an_opened_space_can_be_run_again(result, reopened):
    again = gx.ParallelExecution(model, reopened.space.sel(G=slice(0.5, None))).run(progress=False)
    assert again.dataset.drop_attrs().identical(result.dataset.sel(G=slice(0.5, None)).drop_attrs())


def test_data_of_a_file_are_read_when_they_are_used(reopened):
    assert not isinstance(reopened.dataset["mean"].variable._data, np.ndarray)
    assert reopened[0]["mean"] == 0


def test_an_opened_result_may_be_saved_over_itself(result, tmp_path):
    path = tmp_path / "result.nc"
    result.to_netcdf(path)
    opened = gx.open_result(path)
    opened.to_netcdf(path)
    assert gx.Result.open(path).dataset.identical(result.dataset)
    assert opened.dataset.identical(result.dataset)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system lists no open files")
def test_a_file_can_be_closed(result, tmp_path):
    path = tmp_path / "result.nc"

    def is_open():
        return path in {Path(os.path.realpath(fd)) for fd in Path("/proc/self/fd").iterdir()}

    result.to_netcdf(path)
    assert not is_open()
    opened = gx.open_result(path)
    assert is_open()
    opened.dataset.close()
    assert not is_open()


def test_the_repr_shows_points_and_dataset(result):
    nbytes = human(6 * template_of_result(result).nbytes)
    assert repr(result).startswith(f"<gridax.Result: 6 points, {nbytes}>\n<xarray.Dataset>")
    for text in ("gridax.Result", "6 points", nbytes, "xarray.Dataset"):
        assert text in result._repr_html_()


def test_opening_what_does_not_exist_says_so(tmp_path):
    path = tmp_path / "nowhere.nc"
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no file {str(path)!r}")):
        gx.open_result(path)


def test_xarray_opens_a_saved_result_without_gridax(result, tmp_path):
    result.to_netcdf(tmp_path / "result.nc")
    result.to_zarr(tmp_path / "result.zarr")
    for dataset in (
        xr.open_dataset(tmp_path / "result.nc"),
        xr.open_zarr(tmp_path / "result.zarr", consolidated=False, chunks=None),
    ):
        assert dataset["mean"].dims == ("G", "trial")
        assert dataset.sel(G=0.5, trial=1, time=0.3)["activity"].item() == 1.5
        assert set(dataset.coords) == {"G", "trial", "trial_value", "time"}


@pytest.mark.parametrize("three", [0.1 + 0.2, np.float32(0.3), np.linspace(0, 1, 11)[3]])
def test_computed_floats_select_as_well(three):
    space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    result = gx.SequentialExecution(lambda s: float(s["x"]), space).run(progress=False)
    assert result.sel(x=three)["value"].item() == pytest.approx(0.3)
    assert result.sel(x=[three])["x"].values.tolist() == [0.3]


def test_a_table_of_a_part_says_which_points_were_computed():
    def model(state):
        if state["x"] > 0.5:
            raise RuntimeError("too large")
        return {"k": 7}

    space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
    execution = gx.SequentialExecution(model, space)
    with pytest.raises(RuntimeError):
        execution.run(progress=False)
    table = execution.partial.to_dataframe()
    assert table["status"].tolist() == [1, 1, 0]
    assert table["k"].tolist()[:2] == [7, 7]
    assert np.isnan(table["k"][2])


def test_progress_and_status_of_a_result_whose_points_all_have_values(result, reopened):
    for one in (result, reopened):
        assert one.progress == (6, 0, 6)
        assert one.progress.pending == 0
        assert str(one.progress) == "6 of 6 points done"
        assert one.status.dims == ("G", "trial")
        assert one.status.dtype == np.uint8
        assert (one.status.values == 1).all()
        assert one.status.attrs["flag_values"] == [0, 1, 2]
        assert one.status.sel(G=0.5, trial=1) == 1
        for points in (one.failed, one.missing):
            assert len(points) == 0
            assert list(points.columns)[:2] == ["G", "trial"]
        assert list(one.failed.columns) == ["G", "trial", "error"]


@pytest.fixture(scope="module")
def partial():
    """A result in which one point failed and three are missing."""

    def model(state):
        if state["b"] == 5:
            raise RuntimeError(f"at {int(state['a'])}")
        return {"y": float(state["a"]), "n": 7}

    def stop(done, total):
        if done == 9:
            raise KeyboardInterrupt

    space = product(a=gx.DataAxis([1, 2, 3, 4]), b=gx.DataAxis([4, 5, 6]), dt=0.1)
    executor = gx.SequentialExecution(model, space)
    with pytest.raises(KeyboardInterrupt):
        executor.run(progress=stop, on_error="record")
    return executor.partial


@pytest.mark.parametrize("save", [None, "to_netcdf", "to_zarr"])
def test_points_without_a_value_are_listed_with_their_labels(partial, save, tmp_path):
    if save is not None:
        getattr(partial, save)(tmp_path / "result")
        partial = gx.open_result(tmp_path / "result")
    assert partial.progress == (6, 3, 12)
    assert str(partial.progress) == "6 of 12 points done, 3 failed, 3 pending"
    assert partial.status.values.tolist() == [[1, 2, 1]] * 3 + [[0, 0, 0]]
    assert partial.failed.to_dict("list") == {
        "a": [1, 2, 3],
        "b": [5, 5, 5],
        "error": ["RuntimeError: at 1", "RuntimeError: at 2", "RuntimeError: at 3"],
    }
    assert partial.failed.index.tolist() == [1, 4, 7]
    assert partial.missing.to_dict("list") == {"a": [4, 4, 4], "b": [4, 5, 6]}
    assert partial.missing.index.tolist() == [9, 10, 11]
    again = partial.space[partial.missing.index]
    assert again.to_dataframe()["b"].tolist() == [4, 5, 6]
    assert partial.status.sel(a=2, b=5) == 2
    assert np.isnan(partial[1]["y"])
    assert partial[2]["n"] == 7


def test_failed_points_of_scattered_and_single_spaces_are_listed():
    def model(state):
        if state["a"] > 1:
            raise RuntimeError("too large")
        return 1.0

    space = product(a=gx.DataAxis([1, 2, 3]), b=gx.DataAxis([4, 5]))
    scattered = gx.SequentialExecution(model, space[[5, 0, 2]]).run(
        progress=False, on_error="record"
    )
    assert scattered.failed["a"].tolist() == [3, 2]
    assert scattered.failed.index.tolist() == [0, 2]
    line = gx.SequentialExecution(model, space.isel(b=1)).run(progress=False, on_error="record")
    assert line.failed.to_dict("list")["b"] == [5, 5]


def test_a_repr_of_a_part_shows_the_state_of_its_points(partial):
    assert "status" in repr(partial)
    assert "error" in partial._repr_html_()


class Pair(eqx.Module):
    mean: Any
    trace: Any


def paired(state):
    trace = state["G"] * jnp.arange(3.0)
    return Pair(trace.mean(), {"x": xr.DataArray(trace, {"time": [0.1, 0.2, 0.3]}, ["time"])})


COPIES = {
    "pickle": lambda result: pickle.loads(pickle.dumps(result)),
    "dill": lambda result: dill.loads(dill.dumps(result)),
    "cloudpickle": lambda result: cloudpickle.loads(cloudpickle.dumps(result)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("used", [False, True], ids=["before .dataset", "after .dataset"])
@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_a_result_is_pickled_and_copied_whole(how, used, execution):
    # The model is a lambda, which pickle cannot pickle; the result does not need it.
    result = execution(lambda s: paired(s), SPACE).run(progress=False)
    if used:
        _ = result.dataset, result[0], repr(result)
    again = COPIES[how](result)
    xr.testing.assert_identical(again.dataset, result.dataset)
    assert again.dataset.sel(G=0.4, method="nearest")["G"].item() == 0.5
    assert isinstance(again[3], Pair)
    np.testing.assert_array_equal(again[3].mean, result[3].mean)
    xr.testing.assert_identical(again[3].trace["x"], result[3].trace["x"])
    assert again.progress == result.progress
    assert again.space.dataset.identical(result.space.dataset)
    assert again.to_dataframe().equals(again.to_dataframe())


@pytest.mark.filterwarnings("ignore:jax.errors:DeprecationWarning")  # dill looks at all of them
@pytest.mark.parametrize("how", ["dill", "cloudpickle", "deepcopy"])
def test_a_result_whose_state_has_lambdas_is_copied(how):
    axes = {"G": gx.DataAxis([1.0, 2.0], wrap=lambda v: 2 * v), "f": gx.ChoiceAxis([jnp.tanh])}
    run = gx.ParallelExecution(lambda s: s["f"](s["G"]), product(**axes)).run(progress=False)
    again = COPIES[how](run)
    assert again.dataset.identical(run.dataset)
    assert again.space[1]["G"] == 4.0


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", ["netcdf", "zarr", "store"])
def test_an_opened_result_is_pickled_with_the_address_of_its_data(how, kind, tmp_path):
    store = {"store": tmp_path / "run"} if kind == "store" else {}
    result = gx.ParallelExecution(model, SPACE).run(progress=False, **store)
    if kind != "store":
        getattr(result, f"to_{kind}")(tmp_path / "run")
    opened = gx.open_result(tmp_path / "run")
    again = COPIES[how](opened)
    assert again.dataset.identical(opened.dataset)
    assert again.progress == opened.progress
    np.testing.assert_array_equal(again[4]["activity"], result[4]["activity"])


def test_a_partial_result_is_pickled_with_its_failures():
    axes = {"x": gx.DataAxis([1, 0]), "k": gx.KeyAxis(2)}
    run = gx.SequentialExecution(lambda s: 1 / int(s["x"]), product(**axes))
    result = run.run(progress=False, on_error="record")
    again = pickle.loads(pickle.dumps(result))
    assert again.progress == result.progress
    pd.testing.assert_frame_equal(again.failed, result.failed)


def test_a_selection_drops_the_coordinates_of_a_point_when_asked_to(result):
    dim = result.space.dims[0]
    label = result.dataset[dim].values[1]
    kept, dropped = result.sel({dim: label}), result.sel({dim: label}, drop=True)
    assert dim in kept.coords
    assert dim not in dropped.coords
    assert dropped.identical(kept.drop_vars(dim))


@pytest.mark.parametrize("kind", [gx.SequentialExecution, gx.ParallelExecution])
@pytest.mark.parametrize("n_points", [1, 3000])
def test_outputs_in_memory_can_be_changed_without_changing_anything_else(kind, n_points):
    kept = jnp.ones(100)
    space = gx.Space({"x": gx.DataAxis(np.arange(n_points))})
    executor = kind(lambda s: {"a": s["x"] * kept, "b": kept, "c": kept}, space)
    result = executor.run(progress=False)
    result.dataset["a"] += 1000
    result.dataset["b"] += 1000
    assert (kept == 1).all()
    assert (result.dataset["c"] == 1).all()
    assert (result.dataset["a"].values[-1] == 1000 + n_points - 1).all()
    again = executor.run(progress=False).dataset
    assert (again["b"] == 1).all()
