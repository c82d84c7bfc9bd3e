"""Results that lie in a store: read piece by piece, and saved without being held in memory."""

from __future__ import annotations

import math
import pickle
import re
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridax as gx
from gridax._files import chunks as chunks_module
from gridax._stores import chunking
from tests.faults.disk import watching
from tests.ids import plain
from tests.processes import finished


def product(**axes):
    return gx.Space(axes, mode="product")


SPACE = product(
    x=gx.GridAxis(0, 1, 11), k=gx.KeyAxis(4, name="trial"), u=gx.DataAxis([0.3, 0.1, 0.2])
)


def model(state):
    noise = jax.random.normal(state["k"], (5,))
    return {"y": state["x"] + noise, "n": jnp.int32(7), "bits": jax.random.bits(state["k"])}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished store of 6 × 2 × 1 blocks; it is never changed."""
    path = tmp_path_factory.mktemp("store") / "run.zarr"
    gx.ParallelExecution(model, SPACE).run(store=path, progress=False, block={"x": 2, "trial": 2})
    return path


@pytest.fixture
def copy(store, tmp_path):
    """A copy of the store, to be damaged."""
    shutil.copytree(store, tmp_path / "run.zarr")
    return tmp_path / "run.zarr"


@pytest.fixture(scope="module")
def result(store):
    return gx.open_result(store)


@pytest.fixture
def reads(monkeypatch):
    """Which variables are read, once per read."""
    seen = []
    read = chunks_module.ChunkReader.__call__

    def spy(self, block_id):
        seen.append(self._array.key)
        return read(self, block_id)

    monkeypatch.setattr(chunks_module.ChunkReader, "__call__", spy)
    return seen


def is_chunk(path):
    return path.is_file() and path.name != "zarr.json"


def keep_only(store, name, number):
    """Delete all chunks of an output but one."""
    chunks = [path for path in (store / name).rglob("*") if is_chunk(path)]
    kept = store / name / "c" / number
    assert kept in chunks
    for path in chunks:
        if path != kept:
            path.unlink()


def test_opening_reads_no_output(store, reads):
    opened = gx.open_result(store)
    assert {"y", "n", "bits"}.isdisjoint(reads)
    assert opened.progress == (132, 0, 132)
    repr(opened)
    assert {"y", "n", "bits"}.isdisjoint(reads)


@pytest.fixture
def files_read(tmp_path):
    """Return a function that counts the files of a folder that are opened for reading."""

    def count(folder, what):
        opened = []

        def act(operation, path, source):
            if operation == "read":
                opened.append(path.relative_to(folder).as_posix())

        with watching(folder, act):
            what()
        return opened

    return count


def test_opening_reads_the_root_and_the_labels(store, files_read):
    opened = files_read(store, lambda: gx.open_result(store))
    assert sorted(opened) == ["trial/c/0", "trial_value/c/0/0", "u/c/0", "x/c/0", "zarr.json"]


def test_a_chunk_takes_one_request(store, files_read):
    dataset = gx.open_result(store).dataset
    opened = files_read(store, lambda: dataset["y"].isel(x=slice(2, 4), trial=slice(2)).load())
    assert opened == ["y/c/1/0/0/0"]
    opened = files_read(store, lambda: dataset["y"].isel(x=[0, 5], trial=1).load())
    assert sorted(opened) == ["y/c/0/0/0/0", "y/c/2/0/0/0"]


def test_any_selection_of_a_lazy_output_is_that_of_numpy(store, result):
    lazy, random = gx.open_result(store).dataset["y"], np.random.default_rng(0)
    values = result.dataset["y"].values
    for _ in range(20):
        n = random.choice(lazy.shape[0], 3)
        start, stop = np.sort(random.choice(lazy.shape[1] + 1, 2, replace=False)).tolist()
        for rows in (slice(int(n[0]), None), slice(None, None, -2), np.sort(n), n, int(n[0]), []):
            index = (rows, slice(start, stop))
            found = lazy.variable[index]
            assert found.chunks is not None
            np.testing.assert_array_equal(found.values, values[index])


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_outputs_without_elements_are_lazy_too(shape, tmp_path):
    def empty(state):
        return {"none": np.zeros(shape), "one": state["x"]}

    space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
    gx.SequentialExecution(empty, space).run(store=tmp_path / "run.zarr", progress=False)
    found = gx.open_result(tmp_path / "run.zarr").dataset["none"]
    assert found.chunks is not None
    assert found.values.shape == (3, *shape)


def test_a_block_is_a_file_per_output_and_one_for_its_status(store):
    chunks = [path.relative_to(store).parts for path in store.rglob("*") if is_chunk(path)]
    blocks = [parts[0] for parts in chunks if parts[2:4] == ("3", "1")]
    assert sorted(blocks) == ["bits", "n", "status", "y"]
    assert {parts[0] for parts in chunks} == {"bits", "n", "status", "y", *gx_labels(store)}


def gx_labels(store):
    return set(gx.open_result(store).dataset.coords)


def test_a_result_is_saved_and_opened_in_the_home_folder(result, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    result.to_zarr("~/copy.zarr")
    result.to_netcdf("~/copy.nc")
    name = "x" * 245
    result.to_zarr(f"~/{name}.zarr")
    for path in ("copy.zarr", "copy.nc", f"{name}.zarr"):
        assert gx.open_result(f"~/{path}").dataset.identical(result.dataset)
    line = product(a=gx.DataAxis([1.0, 2.0]))
    for _ in range(2):
        gx.SequentialExecution(lambda s: s["a"], line).run(store="~/run.zarr", progress=False)
    assert gx.open_result("~/run.zarr").progress == (2, 0, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["copy.nc", "copy.zarr", "run.zarr", f"{name}.zarr"]
    )


def test_a_point_and_a_selection_read_the_chunks_they_need_and_no_others(copy, result):
    keep_only(copy, "y", "2/1/0/0")
    keep_only(copy, "n", "2/1/0")
    keep_only(copy, "bits", "2/1/0")
    damaged = gx.open_result(copy)
    found = damaged.sel(x=0.4, trial=3, u=0.1).load()
    assert found.equals(result.sel(x=0.4, trial=3, u=0.1).load())
    position = 5 * 12 + 2 * 3 + 2  # x=0.5, trial=2, u=0.2
    np.testing.assert_array_equal(damaged[position]["y"], result[position]["y"])
    with pytest.raises(OSError, match=r"'y' of .* is damaged"):
        damaged.sel(x=0.6)["y"].load()
    with pytest.raises(OSError, match=r"'bits' of .* is damaged"):
        damaged[0]


def test_going_through_all_points_reads_every_chunk_once(store, reads):
    opened = gx.open_result(store)
    reads.clear()
    assert sum(int(point["n"]) for point in opened) == 7 * 132
    assert sorted(reads) == ["bits"] * 12 + ["n"] * 12 + ["y"] * 12
    reads.clear()
    assert opened[131]["n"] == opened[130]["n"] == 7  # what was read last is still there
    assert reads == []


def test_the_chunks_that_are_kept_in_memory_are_few(store, result, reads, monkeypatch):
    wanted = [point["bits"] for point in result]
    monkeypatch.setattr(chunks_module._ByChunk, "_MOST_BYTES", 1)
    opened = gx.open_result(store)
    reads.clear()
    assert [point["bits"] for point in opened] == wanted
    assert reads.count("bits") == 22  # at every point whose chunk is not that of the one before
    reads.clear()
    assert opened[131]["bits"] == wanted[131]
    assert "bits" not in reads


def test_neighbors_along_any_dimension_are_found_in_their_chunks(result):
    table = result.to_dataframe()
    for i in range(0, 132, 7):
        point = result[i]
        np.testing.assert_array_equal(point["y"], table["y"][i])
        assert point["bits"] == table["bits"][i]
    whole = result.dataset["y"].values.reshape(132, 5)
    np.testing.assert_array_equal(np.stack([point["y"] for point in result]), whole)


def test_a_table_of_a_store_is_that_of_memory(result):
    memory = gx.SequentialExecution(model, SPACE).run(progress=False).to_dataframe()
    found = result.to_dataframe()
    pd.testing.assert_frame_equal(found.drop(columns="y"), memory.drop(columns="y"))


def test_what_a_person_types_selects_in_a_store(result):
    for x in (0.3, 0.1 + 0.2, np.float32(0.3)):
        assert result.sel(x=x, trial=2, u=0.2)["n"] == 7
    assert result.sel(u=0.19, x=0.32, method="nearest")["u"].item() == 0.2
    assert result.space.sel(x=0.3).dims == ("trial", "u")


SPACES = {
    "group": product(
        a=gx.DataAxis([0.3, 0.1, 0.2], group="g"), b=gx.DataAxis([5, 6, 7], group="g")
    ),
    "zip": gx.Space({"a": gx.UniformAxis(0, 1, 5), "b": gx.DataAxis([1, 2, 3, 4, 5])}, "zip"),
    "scattered": product(a=gx.GridAxis(0, 1, 4), b=gx.DataAxis([1, 2, 3]))[[5, 0, 11]],
}


@pytest.mark.parametrize("kind", SPACES)
def test_points_that_share_a_dimension_are_selected_by_any_member(kind, tmp_path):
    space = SPACES[kind]
    run = gx.SequentialExecution(lambda s: s["a"] * s["b"], space)
    (dim,) = space.dims
    result = run.run(store=tmp_path / "run.zarr", progress=False, block={dim: 2})
    labels = space.dataset
    for i in range(len(space)):
        a, b = labels["a"].values[i], labels["b"].values[i]
        both = result.sel(a=a, b=b)["value"].values
        np.testing.assert_allclose(both, space[i]["a"] * space[i]["b"], rtol=1e-6)
    assert result.dataset.xindexes.keys() == labels.xindexes.keys()
    nearest = result.sel(a=labels["a"].values[1] + 1e-3, method="nearest")
    assert nearest["a"] == labels["a"].values[1]


DTYPES = [
    "float16",
    "bfloat16",
    "float32",
    "complex64",
    "int4",
    "int8",
    "uint8",
    "uint32",
    "bool",
    "float8_e4m3fn",
]


# One model of many dtypes is what the warning is about, where a machine takes long to compile it.
@pytest.mark.filterwarnings("ignore:the model 'typed' was compiled as")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
@pytest.mark.sampled(5)
@pytest.mark.slow
def test_outputs_of_every_type_lie_in_a_store(execution, dtype, tmp_path):
    def typed(state):
        row = (state["a"] * jnp.arange(3.0)).astype(dtype)
        return {"row": row, "one": row[1]}

    space = product(a=gx.DataAxis([1.0, 2.0, 0.0, 1.0]))
    memory = execution(typed, space).run(progress=False).dataset
    kept = execution(typed, space).run(store=tmp_path / "run.zarr", progress=False, block={"a": 3})
    copies = [kept]
    for save in ("to_netcdf", "to_zarr"):
        getattr(kept, save)(tmp_path / save)
        copies.append(gx.open_result(tmp_path / save))
    for copy in copies:
        for name in ("row", "one"):
            values = copy.dataset[name].values
            assert values.dtype == jnp.dtype(dtype)
            assert values.tobytes() == memory[name].values.tobytes()
        assert copy[1]["row"].tolist() == memory["row"].values[1].tolist()


def test_double_precision_of_python_models_lies_in_a_store(tmp_path):
    def numbers(state):
        return {"f": 0.1 + 0.2, "z": 1j * 0.1, "i": 2**62, "t": np.float64(1e-300)}

    space = product(a=gx.DataAxis([1.0, 2.0]))
    kept = gx.SequentialExecution(numbers, space).run(store=tmp_path / "run.zarr", progress=False)
    dataset = gx.open_result(tmp_path / "run.zarr").dataset
    assert dataset["f"].values.tolist() == [0.1 + 0.2] * 2
    assert dataset["z"].values.tolist() == [0.1j] * 2
    assert dataset["i"].values.tolist() == [2**62] * 2
    assert dataset["t"].values.tolist() == [1e-300] * 2
    assert kept.dataset.identical(dataset)


def test_keys_lie_in_a_store(tmp_path):
    space = product(k=gx.KeyAxis(4))
    executor = gx.ParallelExecution(
        lambda s: {"next": jax.random.split(s["k"], 2), "own": s["k"]}, space
    )
    kept = executor.run(store=tmp_path / "run.zarr", progress=False, block={"k": 3})
    for result in (kept, gx.open_result(tmp_path / "run.zarr")):
        for i in (0, 3):
            wanted = jax.random.key_data(jax.random.split(space[i]["k"], 2))
            assert (jax.random.key_data(result[i]["next"]) == wanted).all()
            assert result[i]["own"].dtype == space[i]["k"].dtype


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (3, 2, 1)], ids=plain)
def test_outputs_of_any_shape_lie_in_a_store(shape, tmp_path):
    space = product(a=gx.DataAxis([1.0, 2.0, 3.0]))
    executor = gx.ParallelExecution(lambda s: s["a"] * jnp.ones(shape), space)
    executor.run(store=tmp_path / "run.zarr", progress=False, block={"a": 2})
    found = gx.open_result(tmp_path / "run.zarr")
    assert found.dataset["value"].shape == (3, *shape)
    assert (found.dataset["value"].values == np.reshape([1, 2, 3], (3, *(1 for _ in shape)))).all()
    assert found[2].shape == shape


def test_an_output_that_is_too_large_for_a_chunk_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(chunking, "_CHUNK_BYTES", 200)
    space = product(a=gx.DataAxis([1.0, 2.0, 3.0]))
    executor = gx.ParallelExecution(
        lambda s: s["a"] * jnp.arange(7.0)[:, None] * jnp.ones((1, 20)), space
    )
    kept = executor.run(store=tmp_path / "run.zarr", progress=False, block={"a": 1})
    first, *inner = kept.dataset["value"].chunks
    assert first == (1, 1, 1)
    assert 4 * math.prod(along[0] for along in inner) <= 200
    wanted = np.arange(1.0, 4)[:, None, None] * np.arange(7.0)[:, None] * np.ones(20)
    np.testing.assert_array_equal(kept.dataset["value"], wanted)
    np.testing.assert_array_equal(kept[2], wanted[2])
    again = executor.run(store=tmp_path / "run.zarr", progress=False, verify="full")
    np.testing.assert_array_equal(again.dataset["value"], wanted)


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_a_result_in_a_store_is_saved_as_any_other(result, tmp_path, save):
    getattr(result, save)(tmp_path / "copy")
    again = gx.open_result(tmp_path / "copy")
    assert again.dataset.identical(result.dataset)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_saving_reads_every_chunk_and_none_as_a_whole(store, reads, tmp_path, save):
    opened = gx.open_result(store)
    reads.clear()
    getattr(opened, save)(tmp_path / "copy")
    # netCDF is read back and compared, so what it was made from is read twice.
    times = 2 if save == "to_netcdf" else 1
    assert sorted(set(reads)) == ["bits", "n", "y"]
    assert {name: reads.count(name) for name in ("bits", "n", "y")} == dict.fromkeys(
        ("bits", "n", "y"), 12 * times
    )


def test_blocks_are_the_chunks_of_a_netcdf_file(result, tmp_path):
    result.to_netcdf(tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc") as dataset:
        assert dataset["y"].encoding["chunksizes"] == (2, 2, 3, 5)
        assert dataset["n"].encoding["chunksizes"] == (2, 2, 3)


@pytest.mark.parametrize("complevel", [1, 9])
@pytest.mark.slow
def test_a_netcdf_file_is_compressed_when_asked_for(result, tmp_path, complevel):
    result.to_netcdf(tmp_path / "plain.nc")
    result.to_netcdf(tmp_path / "small.nc", complevel=complevel)
    again = gx.open_result(tmp_path / "small.nc")
    assert again.dataset.identical(result.dataset)
    with xr.open_dataset(tmp_path / "small.nc") as dataset:
        assert dataset["y"].encoding["complevel"] == complevel
        assert dataset["y"].encoding["zlib"]
        assert dataset["y"].encoding["shuffle"]
        assert dataset["y"].encoding["fletcher32"]


def test_a_result_may_be_saved_over_the_store_it_lies_in(copy, result):
    opened = gx.open_result(copy)
    opened.to_zarr(copy, overwrite=True)
    assert gx.open_result(copy).dataset.identical(result.dataset)
    assert sorted(p.name for p in copy.parent.iterdir()) == ["run.zarr"]
    text = f"cannot resume {str(copy)!r}: it is a saved result, not the store of a run"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.ParallelExecution(model, SPACE).run(store=copy, progress=False)


def test_netcdf_does_not_go_over_a_store(copy):
    opened = gx.open_result(copy)
    text = f"{str(copy)!r} is a folder; give the name of a file"
    with pytest.raises(IsADirectoryError, match=re.escape(text)):
        opened.to_netcdf(copy)


@pytest.mark.parametrize("name", ["copy.nc", "copy.zarr"])
def test_a_damaged_store_is_not_saved_and_leaves_the_old_file(copy, tmp_path, name):
    old = gx.SequentialExecution(lambda s: 1.0, product(a=gx.DataAxis([1, 2]))).run(progress=False)
    save = "to_netcdf" if name.endswith("nc") else "to_zarr"
    getattr(old, save)(tmp_path / name)
    (copy / "y" / "c" / "3" / "1" / "0" / "0").unlink()
    opened = gx.open_result(copy)
    with pytest.raises(OSError, match=r"'y' of .* is damaged"):
        getattr(opened, save)(
            tmp_path / name, **({} if save == "to_netcdf" else {"overwrite": True})
        )
    assert gx.open_result(tmp_path / name).dataset.identical(old.dataset)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name, "run.zarr"]


class Stop(Exception):
    """An error of whoever watches the progress."""


def stop_after(points):
    def tell(done, total):
        if done >= points:
            raise Stop

    return tell


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_a_store_that_is_not_finished_is_saved_as_it_is(tmp_path, save):
    with pytest.raises(Stop) as caught:
        gx.SequentialExecution(model, SPACE).run(
            store=tmp_path / "run.zarr", progress=stop_after(50), block={"x": 2}
        )
    partial = caught.value.result
    getattr(partial, save)(tmp_path / "copy")
    again = gx.open_result(tmp_path / "copy")
    assert again.progress == (50, 0, 132)
    assert again.dataset.identical(partial.dataset)
    assert again.missing.index.tolist() == list(range(50, 132))
    assert np.isnan(again[50]["n"])
    assert again[49]["n"] == 7


def test_chunks_that_are_still_to_be_computed_are_nan_and_not_damaged(tmp_path):
    with pytest.raises(Stop):
        gx.SequentialExecution(model, SPACE).run(
            store=tmp_path / "run.zarr", progress=stop_after(24), block={"x": 2}
        )
    dataset = gx.open_result(tmp_path / "run.zarr").dataset
    assert dataset["status"].values[2:].sum() == 0
    for name in ("y", "n", "bits"):
        assert np.isnan(dataset[name].values[2:].astype(float)).all()
        assert not np.isnan(dataset[name].values[:2].astype(float)).any()
    assert dataset["n"].attrs == {}
    assert set(dataset.data_vars) == {"y", "n", "bits", "status"}


def test_attributes_of_outputs_stay_where_whole_numbers_become_floats(tmp_path):
    def labeled(state):
        return xr.Dataset({"n": xr.Variable((), np.int32(7), {"units": "1"})})

    with pytest.raises(Stop):
        gx.SequentialExecution(labeled, SPACE).run(
            store=tmp_path / "run.zarr", progress=stop_after(24), block={"x": 2}
        )
    partial = gx.open_result(tmp_path / "run.zarr").dataset
    assert partial["n"].attrs == {"units": "1"}
    assert partial["n"].dtype == np.float64


def test_provenance_lies_in_a_store(result):
    attrs = result.dataset.attrs
    assert attrs["model"] == "tests.files.test_zarr.model"
    assert attrs["gridax_version"] == gx.__version__
    assert attrs["jax_version"] == jax.__version__
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", attrs["created"])
    assert not [name for name in attrs if name.startswith("gridax_check")]


def test_a_store_opened_again_can_be_run_again(result, tmp_path):
    part = result.space.sel(x=slice(0.2, 0.4))
    again = gx.ParallelExecution(model, part).run(store=tmp_path / "part.zarr", progress=False)
    wanted = result.dataset.sel(x=slice(0.2, 0.4))
    assert again.dataset["bits"].equals(wanted["bits"])


# Sweeps over 200 MB, block by block, and says by how much memory grew at each step.
LARGE = """
import resource, sys
from pathlib import Path
import numpy as np
import gridax as gx

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).normal(size=(250_000,)).astype("f4")  # 1 MB a point

def model(state):
    return noise + np.float32(state["x"])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

def sweep(n, name):
    space = gx.Space({"x": gx.DataAxis(np.arange(float(n)))}, mode="product")
    store = folder / f"{name}.zarr"
    result = gx.SequentialExecution(model, space).run(store=store, progress=False, block={"x": 4})
    yield "run"
    result.to_netcdf(folder / f"{name}.nc")
    yield "netCDF"
    result.to_zarr(folder / f"{name}-copy.zarr")
    yield "Zarr"
    means = result.dataset["value"].mean("value_dim_0").values
    np.testing.assert_allclose(means, noise.mean() + np.arange(n), rtol=1e-4, atol=1e-4)
    yield "reduce"

for _ in sweep(8, "small"):  # imports, pools of threads, buffers
    pass
before = peak()
for step in sweep(200, "large"):
    print(step, round(peak() - before), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_a_sweep_that_is_larger_than_the_memory_it_takes(tmp_path):
    done = finished("-W", "error", "-c", LARGE, tmp_path, env={"DASK_NUM_WORKERS": "2"})
    assert done.returncode == 0, done.stderr
    steps = dict(line.split() for line in done.stdout.splitlines())
    assert list(steps) == ["run", "netCDF", "Zarr", "reduce"]
    assert int(steps["run"]) < 60, steps
    assert int(steps["reduce"]) < 150, steps  # the peak of all steps
    first = gx.open_result(tmp_path / "large.nc").dataset["value"]
    second = gx.open_result(tmp_path / "large-copy.zarr").dataset["value"]
    np.testing.assert_array_equal(first[198, :3], second[198, :3])


# --- what was opened is no longer there --------------------------------------------------------


def counted(factor):
    space = gx.Space({"x": gx.GridAxis(0, 1, 6)}, mode="product")
    return gx.SequentialExecution(lambda s: {"y": factor * s["x"], "n": 7}, space)


@pytest.mark.parametrize("missing", ["y", "n", "status"])
def test_a_chunk_that_is_missing_in_a_finished_store_is_an_error(tmp_path, missing):
    path = tmp_path / "run.zarr"
    result = counted(2.0).run(store=path, block={"x": 2}, progress=False)
    for name in {missing, "status"}:
        (path / name / "c" / "1").unlink()
    for found in (result, gx.open_result(path)):
        if missing == "status":  # which nobody needs any more
            assert found.dataset["n"].values.tolist() == [7] * 6
        else:
            with pytest.raises(OSError, match=f"'{missing}' of .* is damaged"):
                found.dataset[missing].load()


@pytest.mark.parametrize("how", ["removed", "replaced", "moved"])
def test_a_store_that_is_gone_is_an_error_rather_than_zeros(tmp_path, how):
    path = tmp_path / "run.zarr"
    result = counted(2.0).run(store=path, progress=False)
    opened = gx.open_result(path)
    if how == "removed":
        shutil.rmtree(path)
    elif how == "moved":
        path.rename(tmp_path / "other.zarr")
    else:
        again = counted(3.0).run(store=path, overwrite=True, progress=False)
        assert again.dataset["y"].values[-1] == 3.0
    for found in (result, opened):
        for name in ("y", "n"):
            with pytest.raises(
                FileNotFoundError, match="was removed or replaced after this result"
            ):
                found.dataset[name].load()


def test_a_lazy_result_that_is_sent_elsewhere_can_be_read_there(tmp_path):
    result = counted(2.0).run(store=tmp_path / "run.zarr", progress=False)
    assert pickle.loads(pickle.dumps(result.dataset["n"])).values.tolist() == [7] * 6
