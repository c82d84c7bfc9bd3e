"""Damage of any kind to any file of a result: an error that names it, or what was computed."""

from __future__ import annotations

import os
import random
import shutil
import warnings

import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import bits, states

pytestmark = pytest.mark.slow

# Every so many files suffer each kind of damage: which do is drawn anew for every kind.
EVERY = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 8

SPACE = gx.Space({"x": gx.GridAxis(0, 2, 3), "k": gx.KeyAxis(2), "tau": 0.5}, mode="product")
OUTPUTS = ("y", "n", "flag")
troubled = []


def model(state):
    x, k = float(state["x"]), int(np.asarray(state["k"]._base_array)[1]) % 1000
    if troubled and len(troubled) < 5:
        troubled.append(x)
        if len(troubled) == 3:
            raise RuntimeError("no convergence")
        if len(troubled) == 5:
            raise KeyboardInterrupt
    return {
        "y": np.random.default_rng([int(x), k]).normal(size=3),
        "n": np.int32(k),
        "flag": np.bool_(x > 1),
    }


EXECUTOR = gx.SequentialExecution(model, SPACE)


def run(store, **options):
    return EXECUTOR.run(store=store, progress=False, block={"x": 1, "k": 2}, **options)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The store of a run that has ended, one of a run that has not, and a saved result."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder / "ended.zarr").to_zarr(folder / "saved.zarr")
    troubled.append("begin")
    with pytest.raises(KeyboardInterrupt):
        run(folder / "unfinished.zarr", on_error="record")
    troubled.clear()
    assert states(folder / "unfinished.zarr").tolist() == [[1, 2], [1, 0], [0, 0]]
    return folder


@pytest.fixture(scope="module")
def whole(places):
    return gx.open_result(places / "ended.zarr").dataset.load()


def one_bit(path, other, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def one_byte(path, other, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def truncated(path, other, rng):
    os.truncate(path, rng.randrange(path.stat().st_size))


def longer(path, other, rng):
    path.write_bytes(path.read_bytes() + bytes([rng.randrange(256)]))


def zeroed(path, other, rng):
    path.write_bytes(bytes(path.stat().st_size))


def deleted(path, other, rng):
    path.unlink()


def a_folder(path, other, rng):
    path.unlink()
    path.mkdir()


def swapped(path, other, rng):
    """Exchange two files; that two intact chunks have changed places need not be noticed."""
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def replaced(path, other, rng):
    path.write_bytes(other.read_bytes())


KINDS = [one_bit, one_byte, truncated, longer, zeroed, deleted, a_folder, swapped, replaced]
PLACES = ["ended.zarr", "unfinished.zarr", "saved.zarr"]


def with_damage(places, name, kind, tmp_path):
    """Yield what was damaged, and a copy with that damage."""
    rng = random.Random(f"{name} {kind.__name__}")
    files = sorted(p.relative_to(places / name) for p in (places / name).rglob("*") if p.is_file())
    for path in files[rng.randrange(EVERY) :: EVERY]:
        # Of two intact chunks, nobody could tell which belongs where.
        others = [p for p in files if p != path and not ("c" in p.parts and "c" in path.parts)]
        other = rng.choice(others)
        store = tmp_path / name
        shutil.copytree(places / name, store)
        kind(store / path, store / other, rng)
        yield f"{path} {kind.__name__} (with {other})", store
        shutil.rmtree(store)


def unless_it_names(store, what, read):
    """Return what is read, or nothing if there is an error of the right kind that says where."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*block\(s\) of .* are damaged")
            return read()
    except (OSError, ValueError) as error:
        names_it = str(store) in "\n".join([str(error), *getattr(error, "__notes__", [])])
        if not names_it:
            raise AssertionError(what) from error
        return None


def assert_true(found, whole, what):
    """Whatever a Dataset has is as it should be, or is said to be missing."""
    for name in whole.coords:
        assert bits(found[[name]]) == bits(whole[[name]]), what
    done = found["status"].values == 1 if "status" in found else np.ones(SPACE.shape, bool)
    for name in OUTPUTS:
        there, true = found[name].values, whole[name].values
        np.testing.assert_array_equal(there[done], true[done], err_msg=what)
        rest = there[~done].astype(float)
        assert (np.isnan(rest) | (rest == true[~done])).all(), what


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLACES)
def test_what_is_read_from_a_damaged_store_is_true(places, whole, name, kind, tmp_path):
    attrs = gx.open_result(places / name).dataset.attrs
    n = 0
    for what, store in with_damage(places, name, kind, tmp_path):
        n += 1
        found = unless_it_names(store, what, lambda at=store: gx.open_result(at).dataset.load())
        if found is not None:
            assert_true(found, whole, what)
            assert found.attrs == attrs, what
    assert n > 1


@pytest.mark.parametrize("verify", ["size", "full"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["ended.zarr", "unfinished.zarr"])
def test_a_run_that_goes_on_in_a_damaged_store_ends_with_what_is_true(
    places, whole, name, kind, verify, tmp_path
):
    for what, store in with_damage(places, name, kind, tmp_path):
        found = unless_it_names(
            store,
            what,
            lambda at=store: run(at, verify=verify, retry_failed=True).dataset.load(),
        )
        if found is not None:
            assert bits(found) == bits(whole), what


@pytest.fixture(scope="module")
def saved(places):
    """The content of a netCDF file, each variable in one piece."""
    EXECUTOR.run(progress=False).to_netcdf(places / "saved.nc")
    return (places / "saved.nc").read_bytes()


@pytest.mark.parametrize("name", ["y", "n", "x"])
def test_a_bit_that_is_flipped_in_the_data_of_a_netcdf_file_is_noticed(
    saved, whole, name, tmp_path
):
    start = saved.index(whole[name].values.tobytes())
    rng = random.Random(name)
    for turn in range(4):
        content = bytearray(saved)
        content[start + rng.randrange(whole[name].nbytes)] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{turn}.nc"
        path.write_bytes(content)
        # Coordinates are read when a file is opened, and outputs later, with netCDF4's own error.
        with (
            pytest.raises((ValueError, RuntimeError), match="HDF error") as caught,
            gx.open_result(path).dataset as opened,
        ):
            opened[name].load()
        assert caught.type is RuntimeError or str(path) in str(caught.value)


def test_a_netcdf_file_that_was_truncated_is_refused(saved, tmp_path):
    for i, size in enumerate([0, 1, 100, len(saved) // 2, len(saved) - 1000, len(saved) - 1]):
        path = tmp_path / f"{i}.nc"
        path.write_bytes(saved[:size])
        with pytest.raises(ValueError, match=rf"'{path}' cannot be read as a netCDF file"):
            gx.open_result(path)
