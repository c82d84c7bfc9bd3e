"""Sweeps in a store: what is there is not computed again, and nothing else is ever taken for it."""

from __future__ import annotations

import functools
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import gridax as gx
from tests.ids import plain
from tests.models import outputs, same
from tests.processes import PATIENCE, started


@pytest.fixture(params=[gx.SequentialExecution, gx.ParallelExecution])
def execution(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


def product(**axes):
    return gx.Space(axes, mode="product")


SPACE = product(x=gx.GridAxis(0, 1, 5), k=gx.KeyAxis(4, name="trial"), dt=0.5)


class Calls:
    """Counts the Python calls of a model: one per point, or one per trace."""

    def __init__(self) -> None:
        self.count = 0

    def model(self, state):
        self.count += 1
        return outputs(state)

    def taken(self) -> int:
        """Return the number of calls since it was asked last."""
        count, self.count = self.count, 0
        return count


@pytest.fixture(scope="module")
def memory():
    """The sweep in memory."""
    return gx.SequentialExecution(outputs, SPACE).run(progress=False)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def content_of(folder):
    """Return all files below a folder with what they hold."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# Shapes of blocks as a user gives them, and as they are then.
BLOCKS = [
    ({"x": 2}, (2, 4)),
    ({"x": np.int64(3), "trial": 3}, (3, 3)),
    ({"x": 100}, (5, 4)),
    ({}, (5, 4)),
]


@pytest.mark.parametrize(("block", "shape"), BLOCKS, ids=plain)
@pytest.mark.sampled(3)
def test_a_new_store_holds_what_memory_would_in_blocks_of_the_shape_that_is_given(
    execution, memory, path, block, shape
):
    result = execution(outputs, SPACE).run(store=path, progress=False, block=block)
    for variable in result.dataset.data_vars.values():
        assert tuple(along[0] for along in variable.chunks[:2]) == shape
    assert same(result.dataset, memory.dataset)
    assert names_in(path.parent) == ["run.zarr"]
    assert result.space.dataset.identical(SPACE.dataset)


def test_without_block_a_small_sweep_is_one_block(execution, memory, path):
    result = execution(outputs, SPACE).run(store=path, progress=False)
    assert result.dataset["y"].chunks == ((5,), (4,), (3,))
    assert same(result.dataset, memory.dataset)


@pytest.mark.parametrize("kind", ["relative", "string", "home of a link", "local URL"])
def test_a_store_is_named_by_any_path(memory, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    if kind == "home of a link":
        (tmp_path / "disk").mkdir()
        (tmp_path / "run.zarr").symlink_to(tmp_path / "disk" / "run.zarr")
    names = {
        "relative": Path("run.zarr"),
        "string": "run.zarr",
        "local URL": f"local://{tmp_path}/run.zarr",
    }
    name = names.get(kind, tmp_path / "run.zarr")
    gx.SequentialExecution(outputs, SPACE).run(store=name, progress=False)
    assert same(gx.open_result(tmp_path / "run.zarr").dataset, memory.dataset)
    assert (tmp_path / "run.zarr").is_symlink() == (kind == "home of a link")


@pytest.mark.sampled(2)
def test_a_space_without_dimensions_lies_in_a_store_too(execution, path):
    space = SPACE.isel(x=1, trial=2)
    result = execution(outputs, space).run(store=path, progress=False)
    assert same(result.dataset, execution(outputs, space).run(progress=False).dataset)
    assert len(result) == 1
    assert result[0]["n"] == 7


SPACES = {
    "zip": gx.Space({"x": gx.GridAxis(0, 1, 6), "k": gx.KeyAxis(6), "dt": 0.5}, "zip"),
    "group": product(
        x=gx.DataAxis([0.3, 0.1, 0.2], group="g"),
        k=gx.KeyAxis(2),
        dt=gx.DataAxis([1.0, 2.0, 3.0], group="g"),
    ),
    "scattered": SPACE[[7, 0, 0, 19, 4]],
    "part": SPACE.isel(x=[3, 0], trial=slice(1, None)),
    "names of any kind": product(
        x=gx.GridAxis(0, 1, 3, name="long name"), k=gx.KeyAxis(2, name="[k]"), dt=0.5
    ),
}


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.sampled(4)
def test_spaces_of_every_kind_lie_in_a_store(execution, path, kind):
    space = SPACES[kind]
    block = {dim: 2 for dim in space.dims}
    result = execution(outputs, space).run(store=path, progress=False, block=block)
    wanted = gx.SequentialExecution(outputs, space).run(progress=False)
    assert same(result.dataset, wanted.dataset)
    assert result.space.dataset.identical(space.dataset)


class Fields(NamedTuple):
    """Fields in an order that is not that of the alphabet."""

    late: Any
    early: Any


@pytest.mark.sampled(2)
def test_fields_in_any_order_keep_their_own_values(execution, path):
    def model(state):
        return Fields(
            state["x"], {"b": 10 * state["x"], "a": Fields(100 * state["x"], -state["x"])}
        )

    space = product(x=gx.DataAxis([1.0, 2.0]))
    result = execution(model, space).run(store=path, progress=False, block={"x": 1})
    assert same(result.dataset, execution(model, space).run(progress=False).dataset)
    assert result.dataset["late"].values.tolist() == [1, 2]
    assert result.dataset["early.a.late"].values.tolist() == [100, 200]
    assert result[1] == Fields(2, {"b": 20, "a": Fields(200, -2)})
    opened = gx.open_result(path)  # in dicts, as files do not know of named tuples
    assert opened[1] == {"late": 2, "early": {"b": 20, "a": {"late": 200, "early": -2}}}
    assert same(opened.dataset, result.dataset)


def test_running_again_opens_a_finished_store_and_traces_the_model_at_most(execution, memory, path):
    calls = Calls()
    executor = execution(calls.model, SPACE)
    executor.run(store=path, progress=False, block={"x": 2})
    assert calls.taken() == (20 if execution is gx.SequentialExecution else 1)
    before = content_of(path)
    told = []
    for again in (executor, execution(calls.model, SPACE)):
        result = again.run(store=path, progress=lambda *counts: told.append(counts))
        is_traced = again is not executor and execution is gx.ParallelExecution
        assert calls.taken() == is_traced
        assert same(result.dataset, memory.dataset)
    assert set(told) <= {(20, 20)}
    assert content_of(path) == before
    assert names_in(path.parent) == ["run.zarr"]


class Stop(Exception):
    """An error of whoever watches the progress."""


def stop_after(points):
    """Return a progress function that ends a run when some points are done."""

    def tell(done, total):
        if done >= points:
            raise Stop

    return tell


@pytest.mark.parametrize("points", [1, 7, 8, 19])
def test_no_point_is_evaluated_twice_by_a_python_loop_that_is_interrupted(memory, path, points):
    calls = Calls()
    executor = gx.SequentialExecution(calls.model, SPACE)
    with pytest.raises(Stop) as caught:
        executor.run(store=path, progress=stop_after(points), block={"x": 2})
    assert calls.taken() == points
    partial = caught.value.result
    assert partial is executor.partial
    assert str(partial.progress) == f"{points} of 20 points done, {20 - points} pending"
    note = f"{points} of 20 points are saved in {str(path)!r}; call run(store={str(path)!r}) again"
    assert caught.value.__notes__[-1].startswith(note)

    told = []
    again = gx.SequentialExecution(calls.model, SPACE)
    result = again.run(store=path, progress=lambda *counts: told.append(counts))
    assert calls.taken() == 20 - points
    assert told[0][1] == 20
    assert told[-1] == (20, 20)
    assert same(result.dataset, memory.dataset)
    assert again.partial is None


def test_points_are_evaluated_in_order_and_those_that_are_missing_only(path):
    seen = []

    def model(state):
        seen.append((int(state["a"]), int(state["b"])))
        return 10 * state["a"] + state["b"]

    space = product(a=gx.DataAxis([0, 1, 2]), b=gx.DataAxis([0, 1, 2, 3]))
    executor = gx.SequentialExecution(model, space)
    with pytest.raises(Stop):
        executor.run(store=path, progress=stop_after(5), block={"a": 2, "b": 2})
    block = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert seen == [*block, (0, 2)]
    seen.clear()
    result = executor.run(store=path, progress=False)
    rest = [(0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert seen == rest
    assert result.dataset["value"].values.tolist() == [
        [0, 1, 2, 3],
        [10, 11, 12, 13],
        [20, 21, 22, 23],
    ]


def on_the_host(seen):
    """Return a model for JAX whose points are noted when they are evaluated."""
    kind = jax.ShapeDtypeStruct((), jnp.float32)

    def double(x, y):
        seen.append((float(x), float(y)))
        return np.float32(2 * x + y)

    def model(state):
        return jax.pure_callback(double, kind, state["x"], state["y"], vmap_method="sequential")

    return model


@pytest.mark.parametrize("points", [1, 6, 13])
@pytest.mark.parametrize(("n_vmap", "n_pmap"), [(3, 2), (None, None)])
@pytest.mark.sampled(3)
def test_what_is_done_is_not_evaluated_again_by_tiles(path, n_vmap, n_pmap, points):
    seen = []
    space = product(x=gx.DataAxis(np.arange(6.0)), y=gx.DataAxis(np.arange(3.0)))
    model = on_the_host(seen)
    executor = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=n_pmap)
    with pytest.raises(Stop):
        executor.run(store=path, progress=stop_after(points), block={"x": 1})
    done = executor.partial.status.values == 1
    assert points <= done.sum() < 18
    seen.clear()
    result = executor.run(store=path, progress=False)
    assert {(x, y) for x, y in seen}.isdisjoint(
        map(tuple, np.argwhere(done.all(1)[:, None] & done))
    )
    assert {(x, y) for x, y in seen} >= set(map(tuple, np.argwhere(~done).astype(float)))
    np.testing.assert_array_equal(
        result.dataset["value"], 2 * np.arange(6.0)[:, None] + np.arange(3.0)
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_however_a_model_ends_a_run_what_was_done_is_kept(memory, path, error):
    calls = Calls()

    def model(state):
        if calls.count == 11:
            raise error
        return calls.model(state)

    executor = gx.SequentialExecution(model, SPACE)
    with pytest.raises(error) as caught:
        executor.run(store=path, progress=False, block={"x": 1})
    notes = caught.value.__notes__
    assert notes[-1].startswith(f"11 of 20 points are saved in {str(path)!r}")
    if error is not KeyboardInterrupt:
        assert notes[0].startswith("while the model was evaluated at x=0.5, trial=3")
    assert caught.value.result.progress == (11, 0, 20)
    calls.count = 100
    assert same(executor.run(store=path, progress=False).dataset, memory.dataset)
    assert calls.count == 109


def test_an_error_at_the_first_point_leaves_nothing(path):
    executor = gx.SequentialExecution(lambda state: 1 / 0, SPACE)
    with pytest.raises(ZeroDivisionError):
        executor.run(store=path, progress=False)
    assert executor.partial is None
    assert names_in(path.parent) == []


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.sampled(3)
def test_shards_share_a_store_and_each_computes_its_own_blocks(execution, memory, path, n):
    calls, points = Calls(), []
    for i in reversed(range(n)):  # in any order
        told = []
        result = execution(calls.model, SPACE).run(
            store=path,
            progress=lambda *counts, told=told: told.append(counts),
            shard=(i, n),
            block={"x": 2},
        )
        mine = result.progress.done - sum(points)
        if told:  # of five shards, two have no block
            assert told[-1] == (mine, mine)
        points.append(mine)
        if execution is gx.SequentialExecution:
            probed = i == n - 1 > 0  # what the model returns is asked of the first point of all
            assert calls.taken() == mine + probed
    assert sum(points) == 20
    assert same(result.dataset, memory.dataset)
    assert calls.taken() <= n
    execution(calls.model, SPACE).run(store=path, progress=False)
    assert calls.taken() == (execution is gx.ParallelExecution)  # traced, and not evaluated
    assert names_in(path.parent) == ["run.zarr"]


@pytest.mark.sampled(2)
def test_a_shard_sees_what_the_others_have_done(execution, path):
    calls = Calls()
    first = execution(calls.model, SPACE).run(
        store=path, progress=False, shard=(0, 2), block={"x": 1}
    )
    assert first.progress == (12, 0, 20)
    assert first.status.values.tolist() == [[1] * 4, [0] * 4, [1] * 4, [0] * 4, [1] * 4]
    assert list(first.missing.columns) == ["x", "trial"]
    assert first.missing.index.tolist() == [4, 5, 6, 7, 12, 13, 14, 15]
    assert np.isnan(first.dataset["y"].values[[1, 3]]).all()
    assert np.isnan(first.dataset["n"].values[[1, 3]]).all()
    calls.taken()
    again = execution(calls.model, SPACE).run(store=path, progress=False, shard=(0, 2))
    assert calls.taken() == (execution is gx.ParallelExecution)  # traced, and not evaluated
    assert again.progress == (12, 0, 20)
    assert execution(calls.model, SPACE).run(store=path, progress=False).progress == (20, 0, 20)
    if execution is gx.SequentialExecution:
        assert calls.taken() == 8


@pytest.mark.parametrize("first", [gx.SequentialExecution, gx.ParallelExecution])
@pytest.mark.sampled(3)
def test_a_store_that_one_executor_began_is_finished_by_the_other(memory, path, first):
    second = ({gx.SequentialExecution, gx.ParallelExecution} - {first}).pop()
    calls = Calls()
    with pytest.raises(Stop):
        first(outputs, SPACE).run(store=path, progress=stop_after(8), block={"x": 1})
    begun = gx.open_result(path)
    assert 8 <= begun.progress.done < 20
    result = second(outputs, SPACE).run(store=path, progress=False)
    assert same(result.dataset, memory.dataset)
    done = begun.status.values == 1
    np.testing.assert_array_equal(result.dataset["y"].values[done], begun.dataset["y"].values[done])
    for executor in (first, second):
        executor(calls.model, SPACE).run(store=path, progress=False, resume="force")
    assert calls.count <= 1  # a trace, to compare the models


@pytest.mark.sampled(2)
def test_dims_and_coords_of_outputs_lie_in_a_store(execution, path):
    times = [0.1, 0.2, 0.3]
    given = {"dims": {"y": ("time",)}, "coords": {"time": ("time", times, {"units": "s"})}}
    result = execution(outputs, SPACE).run(store=path, progress=False, block={"x": 2}, **given)
    assert result.dataset["time"].attrs == {"units": "s"}
    assert result.sel(x=0.5, trial=2, time=0.3)["y"].shape == ()
    again = execution(outputs, SPACE).run(store=path, progress=False)
    assert again.dataset.identical(result.dataset)


@pytest.mark.sampled(2)
def test_labels_that_a_model_gives_lie_in_a_store(execution, path):
    def model(state):
        values = state["x"] * jnp.arange(3.0)
        return xr.DataArray(values, {"time": [0.1, 0.2, 0.3]}, ["time"], attrs={"units": "Hz"})

    with pytest.raises(Stop):
        execution(model, SPACE).run(store=path, progress=stop_after(1), block={"x": 1})
    result = execution(model, SPACE).run(store=path, progress=False)
    assert result.dataset["value"].attrs == {"units": "Hz"}
    assert result.dataset["time"].values.tolist() == [0.1, 0.2, 0.3]
    assert result[4].identical(
        xr.DataArray(
            np.float32([0, 0.25, 0.5]), {"time": [0.1, 0.2, 0.3]}, ["time"], attrs={"units": "Hz"}
        )
    )


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.sampled(3)
def test_progress_counts_every_point_once_up_to_all(execution, path, resumed):
    if resumed:
        with pytest.raises(Stop):
            execution(outputs, SPACE).run(store=path, progress=stop_after(6), block={"x": 1})
    there = gx.open_result(path).progress.done if resumed else 0
    told = []
    execution(outputs, SPACE).run(
        store=path, progress=lambda *counts: told.append(counts), block={"x": 1}
    )
    done = [d for d, _ in told]
    assert {total for _, total in told} == {20}
    assert done == sorted(done)
    assert done[-1] == 20
    assert done[0] >= there - there % 4  # of a block that was not complete, a little later
    if execution is gx.SequentialExecution:
        assert len(set(done)) == 20 - there + (done[0] <= there)


def test_the_bar_of_a_resumed_run_begins_where_it_was(path, capsys):
    with pytest.raises(Stop):
        gx.SequentialExecution(outputs, SPACE).run(
            store=path, progress=stop_after(8), block={"x": 1}
        )
    capsys.readouterr()
    gx.SequentialExecution(outputs, SPACE).run(store=path)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "outputs" in shown.err
    assert "20/20" in shown.err


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished sweep in a store."""
    path = tmp_path_factory.mktemp("kept") / "run.zarr"
    return gx.ParallelExecution(outputs, SPACE).run(
        store=path, progress=False, block={"x": 2, "trial": 3}
    )


def test_a_result_in_a_store_is_lazy_with_one_chunk_per_block(kept):
    for name in ("y", "bits", "n"):
        variable = kept.dataset[name].variable
        assert type(variable._data).__module__.startswith("dask")
        assert variable.chunks[:2] == ((2, 2, 1), (3, 1))


def test_a_result_in_a_store_reads_as_one_in_memory(kept, memory):
    assert len(kept) == 20
    for i in (0, 7, -1, np.int64(13)):
        np.testing.assert_allclose(kept[i]["y"], memory[i]["y"], rtol=1e-5)
        assert kept[i]["bits"] == memory[i]["bits"]
        assert type(kept[i]["y"]) is np.ndarray
    for mine, theirs in zip(kept, memory, strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["bits"] == theirs["bits"]
    assert [r["bits"] for r in kept[3:17:4]] == [r["bits"] for r in memory[3:17:4]]
    assert kept[[2, -2]][1]["bits"] == memory[18]["bits"]
    tables = [r.to_dataframe() for r in (kept, memory)]
    pd.testing.assert_frame_equal(*[table.drop(columns="y") for table in tables])
    np.testing.assert_allclose(np.stack(tables[0]["y"]), np.stack(tables[1]["y"]), rtol=1e-5)


def test_selection_of_a_result_in_a_store_is_that_of_its_dataset(kept):
    assert kept.sel(x=0.5, trial=1).identical(kept.dataset.sel(x=0.5, trial=1))
    assert kept.sel(x=0.3, method="nearest")["x"].item() == 0.25
    assert kept.isel(x=-1)["bits"].values.tolist() == kept.dataset["bits"].values[-1].tolist()


def test_a_finished_result_has_progress_and_status_but_no_variables_for_them(kept):
    assert kept.progress == (20, 0, 20)
    assert kept.progress.pending == 0
    assert str(kept.progress) == "20 of 20 points done"
    assert set(kept.dataset.data_vars) == {"y", "bits", "n"}
    assert kept.status.dims == ("x", "trial")
    assert (kept.status == 1).all()
    assert kept.status.attrs["flag_meanings"] == "pending done failed"
    assert kept.status.sel(x=0.5, trial=2).item() == 1
    for points in (kept.failed, kept.missing):
        assert len(points) == 0
        assert list(points.columns[:2]) == ["x", "trial"]


def test_a_result_that_is_not_finished_says_what_is_missing(path):
    def model(state):
        if state["trial"] == 2 and state["x"] > 0.3:
            raise ValueError("diverged")
        return {"y": float(state["x"]), "n": 7, "ok": True}

    space = product(x=gx.GridAxis(0, 1, 5), trial=gx.DataAxis([1, 2, 3]))
    with pytest.raises(Stop):
        gx.SequentialExecution(model, space).run(
            store=path, progress=stop_after(10), block={"x": 2}, on_error="record"
        )
    result = gx.open_result(path)
    assert result.progress == (9, 1, 15)
    assert result.progress.pending == 5
    assert str(result.progress) == "9 of 15 points done, 1 failed, 5 pending"
    assert result.status.values.tolist() == [
        [1, 1, 1],
        [1, 1, 1],
        [1, 2, 1],
        [1, 0, 0],
        [0, 0, 0],
    ]
    assert result.failed.to_dict("list") == {
        "x": [0.5],
        "trial": [2],
        "error": ["ValueError: diverged"],
    }
    assert result.failed.index.tolist() == [7]
    assert result.missing.index.tolist() == [10, 11, 12, 13, 14]
    assert result.space[result.failed.index].to_dataframe()["x"].tolist() == [0.5]
    dataset = result.dataset.load()
    for name in ("y", "n", "ok"):
        assert dataset[name].dtype == np.float64
        assert (np.isnan(dataset[name].values) == (dataset["status"].values != 1)).all()
    assert np.isnan(result[7]["y"])
    assert result[9]["n"] == 7
    table = result.to_dataframe()
    assert table["status"].tolist() == [1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 0, 0, 0, 0, 0]
    assert table["error"].tolist()[7] == "ValueError: diverged"


@pytest.mark.parametrize("reduce", [None, {"trial": ["mean", "max"]}], ids=["points", "reduced"])
def test_what_is_read_of_a_store_that_is_being_written_belongs_together(path, reduce):
    def model(state):
        return {"y": float(state["x"]), "n": 7, "ok": True, "pair": np.ones(2)}

    executor = gx.SequentialExecution(model, SPACE)
    options = {"progress": False, "reduce": reduce}
    executor.run(store=path, block={"x": 1} if reduce else {"x": 2}, budget=1e-9, **options)
    partial = gx.open_result(path)
    assert partial.progress.pending
    executor.run(store=path, **options)  # as another process would
    partial.to_netcdf(path.with_name("partial.nc"))  # which reads everything twice
    saved = gx.open_result(path.with_name("partial.nc"))
    assert saved.progress == partial.progress
    kept = saved.dataset.load()
    for name in ["y.mean", "n.max", "ok.max"] if reduce else ["y", "n", "ok"]:
        assert (np.isnan(kept[name]) == (kept["status"] == 0)).all()
    whole = executor.run(extend=saved, **options).dataset
    assert whole.drop_attrs().identical(executor.run(**options).dataset.drop_attrs())


# Waits at the seventh point until it is told to go on.
WAITING = """
import sys
import numpy as np
import gridax as gx

space = gx.Space({"x": gx.DataAxis(np.arange(10.0))}, mode="product")
n = 0

def model(state):
    global n
    n += 1
    if n == 7:
        print("waiting", flush=True)
        sys.stdin.readline()
    return {"y": np.float64(10 * state["x"]), "k": np.int64(n)}

gx.SequentialExecution(model, space).run(store=sys.argv[1], progress=False, block={"x": 2})
"""


def until(condition):
    """Wait until something holds, for as long as it may take on a busy machine."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_a_store_is_read_while_another_process_writes_it_and_not_written_by_two(path):
    with started("-W", "error", "-c", WAITING, path, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "waiting\n"
        until(lambda: gx.open_result(path).progress.done == 6)
        opened = gx.open_result(path)
        assert opened.progress == (6, 0, 10)
        assert opened.dataset["y"].values[:6].tolist() == [0, 10, 20, 30, 40, 50]
        assert np.isnan(opened.dataset["y"].values[6:]).all()
        assert opened.missing["x"].tolist() == [6, 7, 8, 9]
        assert opened.sel(x=3.0)["y"] == 30

        space = gx.Space({"x": gx.DataAxis(np.arange(10.0))}, mode="product")
        text = (
            rf"process {process.pid} on .* is writing '{re.escape(str(path))}'; wait for it to end, "
            rf"give each process a shard=\(i, n\) with the same n, or delete "
            rf"'{re.escape(str(path))}.lock' if you know that it is gone"
        )
        with pytest.raises(BlockingIOError, match=text):
            gx.SequentialExecution(lambda s: 1.0, space).run(store=path, progress=False)
        _, err = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0, err
    assert np.isnan(opened.dataset["y"].values[6:]).all()  # as it was when it was opened
    done = gx.open_result(path)
    assert done.progress == (10, 0, 10)
    assert done.dataset["k"].values.tolist() == [*range(1, 11)]
    assert names_in(path.parent) == ["run.zarr"]


@pytest.mark.sampled(2)
def test_a_second_writer_in_one_process_is_refused(execution, memory, path):
    refused = []

    def tell(done, total):
        if not refused:
            with pytest.raises(BlockingIOError) as caught:
                execution(outputs, SPACE).run(store=path, progress=False)
            refused.append(str(caught.value))

    result = execution(outputs, SPACE).run(store=path, progress=tell, block={"x": 1})
    (text,) = refused
    assert text.startswith(f"this process (process {os.getpid()} on ")
    assert f"is writing {str(path)!r}; wait for it to end, give each process a shard=(i, n)" in text
    assert same(result.dataset, memory.dataset)
    assert names_in(path.parent) == ["run.zarr"]


@pytest.mark.parametrize(
    ("mine", "other", "clash"),
    [
        ((0, 2), (0, 2), "the shard (0, 2) of "),
        ((0, 2), (1, 3), "the shard (0, 2) of "),
        ((0, 2), None, "the shard (0, 2) of "),
        (None, (1, 2), ""),
    ],
    ids=plain,
)
def test_shards_that_may_meet_are_refused(path, mine, other, clash):
    refused = []

    def tell(done, total):
        if not refused:
            with pytest.raises(BlockingIOError) as caught:
                gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False, shard=other)
            refused.append(str(caught.value))

    gx.SequentialExecution(outputs, SPACE).run(
        store=path, progress=tell, block={"x": 1}, shard=mine
    )
    assert f" is writing {clash}{str(path)!r}; wait for it to end" in refused[0]


def test_shards_of_one_process_run_at_the_same_time(memory, path):
    results = []

    def tell(done, total):
        if not results:
            results.append(
                gx.ParallelExecution(outputs, SPACE).run(store=path, progress=False, shard=(1, 2))
            )

    gx.ParallelExecution(outputs, SPACE).run(
        store=path, progress=tell, block={"x": 1}, shard=(0, 2)
    )
    assert same(gx.open_result(path).dataset, memory.dataset)


# As a colleague without gridax would read it.
WITHOUT_GRIDAX = """
import sys
import xarray as xr

dataset = xr.open_zarr(sys.argv[1])
assert not any(name.partition(".")[0] in ("gridax", "jax") for name in sys.modules)
print(dict(dataset.sizes), sorted(dataset.data_vars), sorted(dataset.coords))
print(dataset["y"].dims, dataset["y"].chunks, dataset["y"].dtype, dataset["n"].dtype)
print(int(dataset["n"].sel(x=0.5, trial=2)), int(dataset["status"].min()))
print(dataset["status"].attrs["flag_meanings"], dataset["dt"].item(), dataset["x"].attrs)
"""


@pytest.mark.slow
def test_xarray_opens_a_store_without_gridax_and_without_a_warning(path):
    space = product(
        x=gx.GridAxis(0, 1, 5, attrs={"units": "mV"}), k=gx.KeyAxis(4, name="trial"), dt=0.5
    )
    gx.ParallelExecution(outputs, space).run(store=path, progress=False, block={"x": 2})
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_GRIDAX, path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "{'x': 5, 'trial': 4, 'y_dim_0': 3, 'trial_dim_0': 2} "
        "['bits', 'error', 'n', 'status', 'y'] ['dt', 'trial', 'trial_value', 'x']",
        "('x', 'trial', 'y_dim_0') ((2, 2, 1), (4,), (3,)) float32 int32",
        "7 1",
        "pending done failed 0.5 {'units': 'mV'}",
    ]


BASE: dict[str, Any] = {
    "x": gx.GridAxis(0, 1, 5),
    "W": gx.DataAxis(np.eye(2)),
    "k": gx.KeyAxis(2),
    "how": gx.ChoiceAxis(["heun", "euler"]),
    "dt": 0.5,
    "net": {"w": np.ones((2, 2)), "name": "ring"},
}


def reading(state, scale=1.0, *, offset=0.0):
    """Return a number that depends on the state, whatever is in it."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)]
    numbers = [leaf for leaf in leaves if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    return scale * sum(jnp.sum(leaf) for leaf in numbers) + offset


def base(**changed):
    return gx.Space({**BASE, **changed}, mode="product", key=1)


@pytest.fixture(scope="module")
def base_store(tmp_path_factory):
    """A store of the space that others are compared with; it is never changed."""
    path = tmp_path_factory.mktemp("base") / "run.zarr"
    gx.SequentialExecution(reading, base(), 2.0, offset=np.ones(2)).run(store=path, progress=False)
    return path


ONES = np.ones(2)


@pytest.mark.parametrize(
    ("space", "args", "text"),
    [
        (
            base(x=gx.GridAxis(0, 1, 6)),
            (2.0, ONES),
            "its space has the dimensions (x: 5, W: 2, k: 2, how: 2), but this one has (x: 6, W: 2, "
            "k: 2, how: 2)",
        ),
        (
            gx.Space({**BASE, "z": gx.KeyAxis(2)}, mode="product", key=1),
            (2.0, ONES),
            "its space has the dimensions (x: 5, W: 2, k: 2, how: 2), but this one has (x: 5, W: 2, "
            "k: 2, how: 2, z: 2)",
        ),
        (
            base(x=gx.GridAxis(0, 2, 5)),
            (2.0, ONES),
            "the axis 'x' is 0.0, 0.25, 0.5, 0.75, 1.0 (5 along 'x') there and 0.0, 0.5, 1.0, 1.5, "
            "2.0 (5 along 'x') here",
        ),
        (
            base(W=gx.DataAxis(2 * np.eye(2))),
            (2.0, ONES),
            "the axis 'W' is 0, 1 (2 along 'W', values",
        ),
        (
            gx.Space(BASE, mode="product", key=2),
            (2.0, ONES),
            "the axis 'k' is 0, 1 (2 along 'k', values with digest",
        ),
        (
            base(how=gx.ChoiceAxis(["heun", "midpoint"])),
            (2.0, ONES),
            "the axis 'how' is 'heun', 'euler' (2 along 'how', values with digest",
        ),
        (base(dt=0.25), (2.0, ONES), "the fixed value 'dt' is 0.5 there and 0.25 here"),
        (
            base(net={"w": np.ones((2, 2)), "name": "star"}),
            (2.0, ONES),
            "the fixed value 'net.name' is 'ring' there and 'star' here",
        ),
        (
            base(net={"w": np.zeros((2, 2)), "name": "ring"}),
            (2.0, ONES),
            "the fixed value 'net.w' is float64[2, 2] with digest",
        ),
        (
            base(net={"w": np.ones((2, 2)), "name": "ring", "seed": 3}),
            (2.0, ONES),
            "the fixed value 'net.seed' is only here: 3",
        ),
        (base(), (3.0, ONES), "the fixed value 'argument args[0]' is 2.0 there and 3.0 here"),
        (
            base(),
            (2.0, 2 * ONES),
            "the fixed value 'argument offset' is float64[2] with digest",
        ),
    ],
    ids=[
        "size",
        "dimension",
        "labels",
        "arrays",
        "keys",
        "choices",
        "number",
        "text",
        "array",
        "more",
        "argument",
        "keyword",
    ],
)
def test_another_sweep_is_refused_with_what_differs(execution, base_store, space, args, text):
    before = content_of(base_store)
    scale, offset = args
    executor = execution(reading, space, scale, offset=offset)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        executor.run(store=base_store, progress=False, resume="force")
    name = repr(str(base_store))
    assert str(caught.value).startswith(f"cannot resume {name}, which holds another sweep: ")
    # Only other labels of the same axes can be added.
    extends = f" (add extend={name} to compute only the points that are new)"
    is_extension = "the axis" in text or "(x: 6, " in text
    assert str(caught.value).endswith(
        f"Give another store={extends if is_extension else ''}, or start over with overwrite=True"
    )
    assert content_of(base_store) == before


def series(step=0.1, name="x", units="s", dim="time"):
    def model(state):
        times = (dim, step * np.arange(3), {"units": "s"})
        x = xr.DataArray(state["a"] * jnp.arange(3.0), {dim: times}, (dim,), attrs={"units": units})
        return {name: x}

    return model


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"step": 0.2}, "the output 'time' is coordinate float64[3] along ['time'] with digest"),
        ({"name": "y"}, "the output 'x' is only there: float32[3] along ['time']"),
        (
            {"dim": "t"},
            "the output 'x' is float32[3] along ['time'] there and float32[3] along ['t']",
        ),
        ({"units": "ms"}, "output 'x' has the units 'ms', but had 's' before"),
    ],
)
def test_a_finished_store_with_other_labels_of_outputs_is_refused(path, other, text):
    space = gx.Space({"a": gx.GridAxis(0, 1, 4)}, mode="product")
    gx.ParallelExecution(series(), space).run(store=path, progress=False)
    gx.ParallelExecution(series(), space).run(store=path, progress=False)
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.ParallelExecution(series(**other), space).run(store=path, progress=False)
    opened = gx.ParallelExecution(series(), space).run(store=path, progress=False)
    assert opened.dataset["time"].values.tolist() == (0.1 * np.arange(3)).tolist()


def test_a_finished_store_is_refused_if_coords_differ(execution, path):
    space = gx.Space({"a": gx.GridAxis(0, 1, 4)}, mode="product")
    sweep = execution(lambda s: s["a"] * jnp.arange(3.0), space)
    labels = {"dims": {"value": "t"}, "coords": {"t": [1, 2, 3]}}
    sweep.run(store=path, progress=False, **labels)
    assert sweep.run(store=path, progress=False, **labels).dataset.sizes == {"a": 4, "t": 3}
    others = [{**labels, "coords": {"t": [1, 2, 4]}}, {"dims": {"value": "u"}}]
    # What was given to the first run goes on to hold.
    assert sweep.run(store=path, progress=False).dataset.sizes == {"a": 4, "t": 3}
    for other in others:
        with pytest.raises(ValueError, match="holds another sweep: the output '"):
            sweep.run(store=path, progress=False, **other)


@pytest.mark.parametrize(
    ("model", "given", "text"),
    [
        (lambda s: {"y": s["x"]}, {}, "the output 'value' is only there: float64[] along []"),
        (
            lambda s: s["x"] * jnp.ones(2),
            {},
            "the output 'value' is float64[] along [] there and float32[2] along ['value_dim_0'] here",
        ),
        (
            lambda s: s["x"] > 0.5,
            {},
            "the output 'value' is float64[] along [] there and bool[] along [] here",
        ),
    ],
    ids=["name", "shape", "dtype"],
)
@pytest.mark.sampled(2)
def test_other_outputs_are_refused_before_anything_is_written(execution, path, model, given, text):
    space = product(x=gx.GridAxis(0, 1, 4))
    with pytest.raises(Stop):
        gx.SequentialExecution(lambda s: s["x"], space).run(
            store=path, progress=stop_after(2), block={"x": 1}, version="1"
        )
    before = content_of(path)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        execution(model, space).run(store=path, progress=False, version="1", **given)
    assert "Give another store=" in str(caught.value)
    assert content_of(path) == before


@pytest.mark.sampled(2)
def test_other_labels_of_outputs_are_refused(execution, path):
    def run(times, **options):
        labels = {"dims": {"y": ("time",)}, "coords": {"time": times}}
        return execution(outputs, SPACE).run(store=path, block={"x": 1}, **labels, **options)

    with pytest.raises(Stop):
        run([0.1, 0.2, 0.3], progress=stop_after(1))
    with pytest.raises(ValueError, match=re.escape("the output 'time' is coordinate float64[3]")):
        run([0.1, 0.2, 0.4], progress=False)
    assert run([0.1, 0.2, 0.3], progress=False).progress == (20, 0, 20)


def scaled(factor):
    return lambda state: factor * state["x"]


def times_global(state):
    return FACTOR * state["x"]


FACTOR = 2.0


def helped(state):
    return helper(state["x"])


def helper(x):
    return 2.0 * x


def another_helper(x):
    return 3.0 * x


LINE = product(x=gx.GridAxis(0, 1, 4))


def interrupted(execution, model, path, **options):
    with pytest.raises(Stop):
        execution(model, LINE).run(store=path, progress=stop_after(2), block={"x": 1}, **options)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda s: 2.0 * s["x"], lambda s: 3.0 * s["x"]),
        (scaled(2.0), scaled(3.0)),
        (
            functools.partial(lambda f, s: f * s["x"], 2.0),
            functools.partial(lambda f, s: f * s["x"], 3.0),
        ),
    ],
    ids=["source", "constant of a closure", "argument of a partial"],
)
@pytest.mark.sampled(3)
def test_another_model_is_refused_with_what_to_do(execution, path, one, other, finished):
    if finished:
        execution(one, LINE).run(store=path, progress=False)
    else:
        interrupted(execution, one, path)
    before = content_of(path)
    traced = execution is gx.ParallelExecution
    what = "the traced program differs" if traced else "the source differs"
    text = (
        f"cannot resume {str(path)!r}, which was begun with another model ({what}). Pass "
        "resume='force' to continue with this model, which the store then records, or start over "
        "with overwrite=True. To decide yourself which models count as the same, pass version= "
        "from the first run on"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        execution(other, LINE).run(store=path, progress=False)
    assert content_of(path) == before
    assert execution(one, LINE).run(store=path, progress=False).progress == (4, 0, 4)


@pytest.mark.parametrize(("name", "value"), [("FACTOR", 3.0), ("helper", another_helper)])
def test_what_a_model_reads_from_its_module_is_a_part_of_it(
    execution, path, monkeypatch, name, value
):
    model = times_global if name == "FACTOR" else helped
    interrupted(execution, model, path)
    monkeypatch.setitem(model.__globals__, name, value)
    with pytest.raises(ValueError, match="was begun with another model"):
        execution(model, LINE).run(store=path, progress=False)


def test_a_model_that_is_written_otherwise_but_traced_to_the_same_is_the_same(path):
    interrupted(gx.ParallelExecution, lambda s: 2.0 * s["x"], path)

    def model(state):
        """Say the same in more words."""
        factor = 1.0 + 1.0
        return factor * state["x"]

    result = gx.ParallelExecution(model, LINE).run(store=path, progress=False)
    assert result.progress == (4, 0, 4)
    assert "gridax_resumed" not in result.dataset.attrs


def test_force_goes_on_with_another_model_and_notes_it_in_the_store(execution, path):
    interrupted(execution, scaled(1.0), path)
    done = gx.open_result(path).status.values == 1
    result = execution(scaled(10.0), LINE).run(store=path, progress=False, resume="force")
    labels = LINE.dataset["x"].values
    np.testing.assert_allclose(
        result.dataset["value"], np.where(done, labels, 10 * labels), rtol=1e-6
    )
    (note,) = json.loads(result.dataset.attrs["gridax_resumed"])
    assert note["when"].startswith("20")
    assert set(note["model_before"]) >= {"source", "jax"}
    # From now on it is the store of the new model.
    assert execution(scaled(10.0), LINE).run(store=path, progress=False).progress == (4, 0, 4)
    with pytest.raises(ValueError, match="was begun with another model"):
        execution(scaled(1.0), LINE).run(store=path, progress=False)
    again = execution(scaled(1.0), LINE).run(store=path, progress=False, resume="force")
    assert len(json.loads(again.dataset.attrs["gridax_resumed"])) == 2
    assert again.dataset["value"].equals(result.dataset["value"])


def test_force_is_not_noted_where_the_model_is_the_same(execution, path):
    interrupted(execution, scaled(1.0), path)
    result = execution(scaled(1.0), LINE).run(store=path, progress=False, resume="force")
    assert "gridax_resumed" not in result.dataset.attrs


def test_a_version_says_which_models_are_the_same(execution, path):
    interrupted(execution, scaled(1.0), path, version="2.1")
    text = "was begun with another model (version '2.1' there, '2.2' here)"
    with pytest.raises(ValueError, match=re.escape(text)):
        execution(scaled(1.0), LINE).run(store=path, progress=False, version="2.2")
    with pytest.raises(ValueError, match=re.escape("(version '2.1' there, None here)")):
        execution(scaled(1.0), LINE).run(store=path, progress=False)
    result = execution(scaled(10.0), LINE).run(store=path, progress=False, version="2.1")
    assert result.progress == (4, 0, 4)
    assert result.dataset["value"].values[3] == 10


def test_a_finished_store_of_another_version_is_refused_too(execution, path):
    execution(twice := scaled(2.0), LINE).run(store=path, progress=False, version="1")
    with pytest.raises(ValueError, match=re.escape("(version '1' there, '2' here)")):
        execution(twice, LINE).run(store=path, progress=False, version="2")
    assert execution(scaled(3.0), LINE).run(store=path, progress=False, version="1").progress.done


@pytest.mark.sampled(2)
def test_a_finished_store_of_a_version_is_opened_without_a_call_of_the_model(execution, path):
    calls = Calls()
    for _ in range(2):
        execution(calls.model, SPACE).run(store=path, progress=False, version="1")
    assert calls.taken() == (20 if execution is gx.SequentialExecution else 1)


def edit_attributes(path, **changed):
    """Change the attributes of a store as a newer gridax would have written them."""
    from gridax._stores.folder import Folder
    from gridax._stores.format import set_attributes

    set_attributes(Folder(path), changed)


@pytest.mark.sampled(2)
def test_a_store_of_a_newer_format_is_refused(execution, path):
    execution(outputs, SPACE).run(store=path, progress=False)
    edit_attributes(path, gridax_format=99)
    before = content_of(path)
    text = (
        f"cannot resume {str(path)!r}: it has the format 99, but this version of gridax reads "
        "formats up to 2; install a newer gridax; start over with overwrite=True, or give another "
        "store="
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        execution(outputs, SPACE).run(store=path, progress=False)
    with pytest.raises(ValueError, match="cannot be opened as a result: it has the format 99"):
        gx.open_result(path)
    assert content_of(path) == before


@pytest.mark.parametrize(
    "fingerprints",
    [None, "no JSON", "{}", json.dumps({"axes": {"x": [1, 2]}})],
    ids=plain,
)
def test_a_store_whose_fingerprints_are_damaged_is_refused(path, fingerprints):
    gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False)
    edit_attributes(path, gridax_fingerprints=fingerprints)
    with pytest.raises(ValueError, match=r"cannot resume .*: it") as caught:
        gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False)
    assert str(caught.value).endswith("start over with overwrite=True, or give another store=")


def partly_failed(state):
    if state["x"] > 0.8:
        raise ValueError("too large")
    return {"y": 2 * state["x"]}


@pytest.mark.parametrize("kind", ["whole", "interrupted", "with errors"])
def test_a_saved_result_is_no_store_to_go_on_with(path, kind):
    if kind == "whole":
        result = gx.SequentialExecution(outputs, SPACE).run(progress=False)
    elif kind == "interrupted":
        with pytest.raises(Stop) as caught:
            gx.SequentialExecution(outputs, SPACE).run(progress=stop_after(3))
        result = caught.value.result
    else:
        result = gx.SequentialExecution(partly_failed, SPACE).run(progress=False, on_error="record")
    result.to_zarr(path)
    before = content_of(path)
    text = (
        f"cannot resume {str(path)!r}: it is a saved result, not the store of a run; start over "
        "with overwrite=True, or give another store="
    )
    model = partly_failed if kind == "with errors" else outputs
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.SequentialExecution(model, SPACE).run(store=path, progress=False)
    assert content_of(path) == before
    begun = gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False, overwrite=True)
    assert begun.progress == (20, 0, 20)


def a_file(path):
    path.write_text("my notes")


def a_folder(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def an_empty_folder(path):
    path.mkdir()


def a_zarr_store_of_somebody_else(path):
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(path, zarr_format=3, consolidated=False)


def an_old_zarr_store_of_somebody_else(path):
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(path, zarr_format=2, consolidated=False)


def a_netcdf_result(path):
    gx.SequentialExecution(outputs, SPACE).run(progress=False).to_netcdf(path)


def a_dangling_link(path):
    path.symlink_to(path.parent / "nowhere" / "run.zarr")


FOREIGN = [
    a_file,
    a_folder,
    an_empty_folder,
    a_zarr_store_of_somebody_else,
    an_old_zarr_store_of_somebody_else,
    a_netcdf_result,
]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}], ids=plain)
@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_not_ours_is_left_as_it_is(path, make, options):
    make(path)
    calls = Calls()
    before, kind = content_of(path.parent), path.is_dir()
    with pytest.raises(FileExistsError, match=re.escape(repr(str(path)))) as caught:
        gx.SequentialExecution(calls.model, SPACE).run(store=path, progress=False, **options)
    assert "even with overwrite=True" in str(caught.value)
    assert calls.count == 0
    assert content_of(path.parent) == before
    assert path.is_dir() == kind
    assert names_in(path.parent) == ["run.zarr"]


def test_a_link_to_nowhere_is_left_as_it_is(execution, path):
    a_dangling_link(path)
    with pytest.raises(OSError, match=re.escape(str(path.parent / "nowhere"))):
        execution(outputs, SPACE).run(store=path, progress=False)
    assert path.is_symlink()
    assert names_in(path.parent) == ["run.zarr"]


def test_a_folder_that_does_not_exist_is_not_made(execution, path):
    calls = Calls()
    text = f"the folder {str(path / 'missing')!r} does not exist; create it first"
    with pytest.raises(FileNotFoundError, match=re.escape(text)):
        execution(calls.model, SPACE).run(store=path / "missing" / "run.zarr", progress=False)
    assert calls.count == 0
    assert names_in(path.parent) == []


@pytest.mark.parametrize("store", [3, True, ["run.zarr"], b"run.zarr"], ids=plain)
def test_what_is_no_path_is_refused(execution, store):
    with pytest.raises(TypeError, match=re.escape(f"store must be a path or a URL, got {store!r}")):
        execution(outputs, SPACE).run(store=store, progress=False)


@pytest.mark.parametrize("finished", [False, True])
def test_without_resume_a_store_that_is_there_is_refused(path, finished):
    if finished:
        gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False)
    else:
        with pytest.raises(Stop):
            gx.SequentialExecution(outputs, SPACE).run(
                store=path, progress=stop_after(1), block={"x": 1}
            )
    before = content_of(path)
    text = (
        f"{str(path)!r} exists and resume=False was given; resume it, start over with "
        "overwrite=True, or give another store="
    )
    with pytest.raises(FileExistsError, match=re.escape(text)):
        gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False, resume=False)
    assert content_of(path) == before
    other = gx.SequentialExecution(outputs, SPACE).run(
        store=path.with_name("other.zarr"), progress=False, resume=False
    )
    assert other.progress == (20, 0, 20)


@pytest.mark.sampled(2)
def test_overwrite_begins_anew_with_another_sweep(execution, path):
    execution(outputs, SPACE).run(store=path, progress=False)
    result = execution(scaled(2.0), LINE).run(store=path, progress=False, overwrite=True)
    assert result.dataset["value"].values.tolist() == [0, *(2 * np.float32([1, 2, 3]) / 3)]
    assert set(gx.open_result(path).dataset.data_vars) == {"value"}
    assert names_in(path.parent) == ["run.zarr"]


def test_overwrite_computes_everything_again_even_if_nothing_differs(path):
    calls = Calls()
    for _ in range(2):
        gx.SequentialExecution(calls.model, SPACE).run(store=path, progress=False, overwrite=True)
        assert calls.taken() == 20


@pytest.mark.sampled(2)
def test_the_old_store_stays_until_the_new_one_stands(execution, path):
    execution(outputs, SPACE).run(store=path, progress=False)
    before = content_of(path)

    def fails(state):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execution(fails, LINE).run(store=path, progress=False, overwrite=True)
    assert content_of(path) == before
    with pytest.raises(ValueError, match="cannot be stored under that name"):
        execution(lambda s: {"a/b": s["x"]}, LINE).run(store=path, progress=False, overwrite=True)
    assert content_of(path) == before
    assert names_in(path.parent) == ["run.zarr"]
    with pytest.raises(Stop):  # the new one stands, and is interrupted
        execution(scaled(2.0), LINE).run(
            store=path, progress=stop_after(1), block={"x": 1}, overwrite=True
        )
    assert set(gx.open_result(path).dataset.data_vars) == {"value", "status"}
    assert names_in(path.parent) == ["run.zarr"]


def test_overwrite_where_nothing_stands_is_a_new_store(execution, memory, path):
    result = execution(outputs, SPACE).run(store=path, progress=False, overwrite=True)
    assert same(result.dataset, memory.dataset)


@pytest.mark.sampled(2)
def test_blocks_of_a_store_stay_as_they_are_whatever_block_says_later(execution, memory, path):
    with pytest.raises(Stop):
        execution(outputs, SPACE).run(store=path, progress=stop_after(1), block={"x": 2})
    result = execution(outputs, SPACE).run(store=path, progress=False, block={"x": 5})
    assert result.dataset["y"].chunks[0] == (2, 2, 1)
    assert same(result.dataset, memory.dataset)


def test_all_zeros_are_values_and_not_missing(execution, path):
    calls = []

    def zero(state):
        calls.append(1)
        return {"y": 0 * state["x"], "n": jnp.int32(0), "ok": state["x"] > 9}

    execution(zero, LINE).run(store=path, progress=False, block={"x": 1})
    calls.clear()
    result = execution(zero, LINE).run(store=path, progress=False)
    assert len(calls) == (execution is gx.ParallelExecution)  # traced, and not evaluated
    assert result.progress == (4, 0, 4)
    assert {name: v.dtype for name, v in result.dataset.data_vars.items()} == {
        "y": np.float64 if execution is gx.SequentialExecution else np.float32,
        "n": np.int32,
        "ok": np.bool_,
    }


def test_an_output_of_another_type_than_the_first_is_refused_with_advice(path):
    executor = gx.SequentialExecution(lambda s: 0 if s["x"] < 0.5 else 0.5, LINE)
    text = (
        "output 'value' is float64 here and int64 in the store: the first point decides, so return "
        "one type everywhere (0.0, not 0)"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        executor.run(store=path, progress=False, block={"x": 1})
    assert gx.open_result(path).progress == (2, 0, 4)


def test_an_output_of_a_smaller_type_is_stored_as_the_first(path):
    result = gx.SequentialExecution(lambda s: 0.5 if s["x"] < 0.5 else 1, LINE).run(
        store=path, progress=False
    )
    assert result.dataset["value"].values.tolist() == [0.5, 0.5, 1, 1]


OPTIONS: dict[str, Any] = {
    "shard": (0, 2),
    "resume": False,
    "overwrite": True,
    "retry_failed": True,
    "verify": "full",
    "durability": "power",
    "block": {"x": 2},
    "version": "1",
    "storage_options": {"anon": True},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_a_store_without_one_are_refused(execution, option):
    calls = Calls()
    value = OPTIONS[option]
    text = f"{option}={value!r} requires store=; without one, the run is kept in memory only"
    with pytest.raises(TypeError, match=re.escape(text)):
        execution(calls.model, SPACE).run(progress=False, **{option: value})
    assert calls.count == 0


@pytest.mark.parametrize(
    ("option", "value", "error", "text"),
    [
        ("resume", "yes", ValueError, "resume must be True, False or 'force', got 'yes'"),
        ("resume", 1, ValueError, "resume must be True, False or 'force', got 1"),
        ("resume", None, ValueError, "resume must be True, False or 'force', got None"),
        ("overwrite", "force", ValueError, "overwrite must be True or False, got 'force'"),
        ("retry_failed", 1, ValueError, "retry_failed must be True or False, got 1"),
        ("verify", "all", ValueError, "verify must be 'none', 'size' or 'full', got 'all'"),
        ("verify", True, ValueError, "verify must be 'none', 'size' or 'full', got True"),
        ("durability", "disk", ValueError, "durability must be 'process' or 'power', got 'disk'"),
        ("on_error", "ignore", ValueError, "on_error must be 'raise' or 'record', got 'ignore'"),
        ("on_error", None, ValueError, "on_error must be 'raise' or 'record', got None"),
        ("shard", 2, TypeError, "shard must be two integers (i, n), for the i-th of n processes"),
        ("shard", (1, 2, 3), TypeError, "shard must be two integers (i, n)"),
        ("shard", (0.5, 2), TypeError, "shard must be two integers (i, n)"),
        ("shard", "01", TypeError, "shard must be two integers (i, n)"),
        (
            "shard",
            (2, 2),
            ValueError,
            "shard=(i, n) must have 0 <= i < n (the first of 2 is shard=(0, 2)), got (2, 2)",
        ),
        ("shard", (-1, 2), ValueError, "shard=(i, n) must have 0 <= i < n"),
        ("shard", (0, 0), ValueError, "shard=(i, n) must have 0 <= i < n"),
        (
            "block",
            4,
            TypeError,
            "block must be a mapping from dimensions to numbers of points, such as {'x': 4}, got 4",
        ),
        ("block", {"z": 4}, ValueError, "block names 'z', but the dimensions are ['x', 'trial']"),
        ("block", {"x": 0}, ValueError, "the number of points along 'x' must be at least 1, got 0"),
        ("block", {"x": 2.0}, TypeError, "the number of points along 'x' must be a whole number"),
        (
            "version",
            2,
            TypeError,
            "version must be a string that names the version of the model, got 2",
        ),
        ("memory", "much", ValueError, "memory"),
    ],
    ids=plain,
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(
    execution, path, option, value, error, text
):
    calls = Calls()
    with pytest.raises(error, match=re.escape(text)):
        execution(calls.model, SPACE).run(store=path, progress=False, **{option: value})
    assert calls.count == 0
    assert names_in(path.parent) == []


def test_shards_may_not_overwrite(execution, path):
    text = (
        "overwrite=True cannot be combined with shard=: each process would replace what the others "
        "have computed; remove the store before they start"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        execution(outputs, SPACE).run(store=path, progress=False, shard=(0, 2), overwrite=True)


def test_run_takes_its_options_by_name_only(execution, path):
    with pytest.raises(TypeError, match="positional argument"):
        execution(outputs, SPACE).run(path)


@pytest.mark.parametrize(
    "options", [{"verify": "none"}, {"verify": "full"}, {"durability": "power"}]
)
def test_ways_to_verify_and_to_write_give_the_same(memory, path, options):
    executor = gx.SequentialExecution(outputs, SPACE)
    with pytest.raises(Stop):
        executor.run(store=path, progress=stop_after(5), block={"x": 1}, **options)
    result = executor.run(store=path, progress=False, **options)
    assert same(result.dataset, memory.dataset)


def test_a_chunk_that_is_lost_is_computed_again_with_a_warning(memory, path):
    calls = Calls()
    executor = gx.SequentialExecution(calls.model, SPACE)
    executor.run(store=path, progress=False, block={"x": 1})
    (path / "y" / "c" / "2" / "0" / "0").unlink()
    text = f"run(store={str(path)!r}, verify='full') computes what is damaged again"
    with pytest.raises(OSError, match=re.escape(text)):
        gx.open_result(path).dataset.load()
    calls.taken()
    text = f"1 block(s) of {str(path)!r} are damaged, and are computed again"
    with pytest.warns(UserWarning, match=re.escape(text)):
        result = executor.run(store=path, progress=False)
    assert calls.taken() == 4
    assert same(result.dataset, memory.dataset)


def test_a_large_sweep_has_blocks_of_a_sensible_size(path):
    space = product(a=gx.GridAxis(0, 1, 100), b=gx.GridAxis(0, 1, 60))
    executor = gx.ParallelExecution(lambda s: s["a"] * s["b"] * jnp.ones(1000), space)
    result = executor.run(store=path, progress=False)
    first = [along[0] for along in result.dataset["value"].chunks]
    assert 1_000_000 <= math.prod(first) * 4 <= 2**25
    assert result.dataset["value"].isel(value_dim_0=0).sel(a=1.0, b=1.0) == 1


def test_a_store_is_a_plain_zarr_group_of_format_3(path):
    gx.SequentialExecution(outputs, SPACE).run(store=path, progress=False, block={"x": 2})
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == 3
    assert group["status"].dtype == np.uint8
    assert group["status"].chunks == group["n"].chunks == (2, 4)
    assert group["status"][:].tolist() == [[1] * 4] * 5
    assert np.isnan(group["y"].fill_value)


def test_a_space_with_its_dimensions_in_another_order_is_refused(path):
    axes = {"x": gx.GridAxis(0, 1, 3), "j": gx.DataAxis([0, 1, 2])}

    def model(state):
        return state["x"] + state["j"]

    gx.SequentialExecution(model, product(**axes)).run(store=path, progress=False)
    other = gx.SequentialExecution(model, product(**dict(reversed(axes.items()))))
    with pytest.raises(ValueError, match=r"\(x: 3, j: 3\), but this one has \(j: 3, x: 3\)"):
        other.run(store=path, progress=False)


def test_outputs_may_have_the_names_of_files_of_a_store(path, tmp_path):
    def model(state):
        return {"_gridax": state["x"], "zarr.json": 2 * state["x"], "status.json": 3.0}

    space = product(x=gx.DataAxis([1.0, 2.0]))
    wanted = gx.SequentialExecution(model, space).run(progress=False)
    wanted.to_zarr(tmp_path / "saved.zarr")
    gx.SequentialExecution(model, space).run(store=path, progress=False)
    for file in (path, tmp_path / "saved.zarr"):
        found = gx.open_result(file).dataset
        assert {"_gridax", "zarr.json", "status.json"} <= set(found.data_vars)
        assert found["_gridax"].values.tolist() == [1.0, 2.0]
        assert found["zarr.json"].values.tolist() == [2.0, 4.0]
