"""Operations on the disk that fail: the error says what and where, and the run can go on."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import threading
import time

import numpy as np
import pytest

import gridax as gx
from gridax._stores.folder import Folder
from gridax._stores.format import note_unfinished
from tests.faults.disk import bits, names_in, states, wait_for, watching
from tests.processes import PATIENCE

pytestmark = pytest.mark.slow

X, Z = np.arange(3.0), np.arange(2.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
NUMBERS = [errno.EIO, errno.ENOSPC, errno.EACCES]
calls, meanwhile = [], []


def model(state):
    x, z = float(state["x"]), float(state["z"])
    for do in meanwhile:
        do(x, z)
    calls.append((x, z))
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


EXECUTOR = gx.SequentialExecution(model, SPACE)


def run(store, **options):
    """Return the Dataset in memory, and the points at which the model was called."""
    calls.clear()
    found = EXECUTOR.run(store=store, progress=False, block={"x": 3, "z": 1}, **options)
    return found.dataset.load(), sorted(calls)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that is finished."""
    store = tmp_path_factory.mktemp("whole") / "run.zarr"
    run(store)
    return store


@pytest.fixture(scope="module")
def expected(whole):
    return gx.open_result(whole).dataset.load()


def assert_it_goes_on(store, expected):
    """Run again, and check that this computes what is missing and leaves nothing else."""
    status = states(store)
    left = np.ones(SPACE.shape, bool) if status is None else status != 1
    found, called = run(store)
    assert bits(found) == bits(expected)
    assert called == sorted((X[i], Z[k]) for i, k in np.argwhere(left))
    assert names_in(store.parent) == [store.name]
    assert not list(store.rglob("*.partial"))


def assert_nobody_works_on():
    """Check that no thread that writes is left; the one that keeps the lock fresh may be ending."""
    until = time.monotonic() + PATIENCE
    while any(thread.name.startswith("gridax") for thread in threading.enumerate()):
        assert time.monotonic() < until, threading.enumerate()
        time.sleep(0.001)


class Failing:
    """Makes the n-th operation of some kinds fail, with an error as the system raises it."""

    def __init__(self, n, number, kinds):
        self.left, self.number, self.kinds = n, number, kinds
        self.failed = None

    def __call__(self, operation, path, source):
        if operation in self.kinds:
            self.left -= 1
            if self.left == 0:
                self.failed = f"{operation} {path}"
                raise OSError(self.number, os.strerror(self.number), str(path))


def every_failure(tmp_path, numbers, kinds, prepare=None):
    """Yield for every operation of a run the store, what failed, how, and the error, if any."""
    for n in itertools.count(1):
        disk = tmp_path / f"{n}"
        disk.mkdir()
        store = disk / "run.zarr"
        if prepare is not None:
            prepare(store)
        failing, error = Failing(n, numbers[n % len(numbers)], kinds), None
        try:
            with watching(disk, failing):
                run(store)
        except OSError as caught:
            error = caught
        assert_nobody_works_on()
        if failing.failed is None:
            assert n > 1
            return
        yield store, failing.failed, failing.number, error
        shutil.rmtree(disk)


@pytest.fixture
def half(whole):
    """Return what makes a store of which one block is done."""

    def make(store):
        shutil.copytree(whole, store)
        note_unfinished(Folder(store))
        (store / "status/c/0/1").unlink()

    return make


def assert_it_tells(error, number, store):
    assert (error.errno, type(error)) == (number, type(OSError(number, "")))
    assert str(store.parent) in str(error)


CHANGES = ["write", "mkdir", "rename", "link"]


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_whatever_cannot_be_written_is_told_and_the_run_goes_on(number, tmp_path, half, expected):
    raised = 0
    for store, what, _, error in every_failure(tmp_path, [number], CHANGES, half):
        if error is not None:
            raised += 1
            assert_it_tells(error, number, store)
        if error is not None and "/run.zarr/" in what:
            name = repr(str(store))
            note = f"3 of 6 points are saved in {name}; call run(store={name}) again to resume"
            assert note in error.__notes__
            assert error.result.progress.done == 3
        assert_it_goes_on(store, expected)
    assert raised > 6


def test_whatever_fails_while_a_store_is_made_is_told_and_nothing_is_left(tmp_path, expected):
    raised = 0
    for store, what, number, error in every_failure(tmp_path, NUMBERS, CHANGES):
        if error is not None:
            raised += 1
            assert_it_tells(error, number, store)
            assert names_in(store.parent) == []
        assert_it_goes_on(store, expected)
        if "rename" in what:  # what follows is the first block
            break
    assert raised > 20


def test_whatever_cannot_be_read_is_told_and_the_run_goes_on(tmp_path, half, expected):
    raised = 0
    for store, what, number, error in every_failure(tmp_path, NUMBERS, ["read"], half):
        if error is not None:
            raised += 1
            assert_it_tells(error, number, store)
        if what.endswith("run.zarr.lock") and states(store).all():
            assert bits(run(store)[0]) == bits(expected)  # its lock stays: whose is it?
        else:
            assert_it_goes_on(store, expected)
    assert raised > 15


def test_what_cannot_be_removed_costs_nothing(tmp_path, half, expected):
    for store, what, number, error in every_failure(tmp_path, NUMBERS, ["remove"], half):
        assert states(store).all()
        if error is not None:
            assert what.endswith("run.zarr.lock")
            assert_it_tells(error, number, store)
        found, called = run(store)
        assert bits(found) == bits(expected)
        assert called == []


def test_a_file_that_the_system_refuses_to_let_grow_ends_the_run_with_what_to_do(tmp_path):
    def large(state):
        calls.append(float(state["x"]))
        return np.random.default_rng(int(state["x"])).normal(size=100_000)

    executor = gx.SequentialExecution(large, SPACE.isel(z=[0]))
    expected = executor.run(progress=False).dataset
    store = tmp_path / "run.zarr"
    options = {"store": store, "progress": False, "block": {"x": 1}}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(done, total):
        if done == 1:
            wait_for(store / "status/c/0/0")
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))

    try:
        with pytest.raises(OSError, match="File too large") as caught:
            executor.run(**{**options, "progress": limit})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_nobody_works_on()
    assert caught.value.errno == errno.EFBIG
    assert any(str(store) in note for note in caught.value.__notes__)
    assert states(store).tolist() == [[1], [0], [0]]
    calls.clear()
    assert bits(executor.run(**options).dataset) == bits(expected)
    assert calls == [1, 2]
    assert names_in(tmp_path) == ["run.zarr"]


def gone(store, whole):
    shutil.rmtree(store)


def moved_away(store, whole):
    store.rename(store.with_name("elsewhere.zarr"))


def another(store, whole):
    store.rename(store.with_name("elsewhere.zarr"))
    shutil.copytree(whole, store)


def another_after_it_was_removed(store, whole):
    shutil.rmtree(store)
    shutil.copytree(whole, store)


def content(folder):
    return {p: p.is_file() and p.read_bytes() for p in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (gone, "was removed during the run"),
        (moved_away, "was removed during the run"),
        (another, "was replaced by another during the run"),
        (another_after_it_was_removed, "was replaced by another during the run"),
    ],
)
def test_a_store_that_goes_away_under_the_run_ends_it_and_is_not_brought_back(
    what, text, tmp_path, whole
):
    store = tmp_path / "run.zarr"
    other = gx.SequentialExecution(lambda s: np.float64(7), SPACE)
    other.run(store=tmp_path / "other.zarr", progress=False, block={"x": 3, "z": 1})
    left = {}

    def do(x, z):
        if (x, z) == (0.0, 1.0):
            wait_for(store / "status/c/0/0")  # the block before
            what(store, tmp_path / "other.zarr")
            left.update(content(tmp_path))

    meanwhile.append(do)
    try:
        with pytest.raises(FileNotFoundError, match=f"the store '.*run.zarr' {text}"):
            run(store)
    finally:
        meanwhile.clear()
    assert_nobody_works_on()
    del left[tmp_path / "run.zarr.lock"]
    assert content(tmp_path) == left
