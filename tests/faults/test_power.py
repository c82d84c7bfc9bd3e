"""A power cut: what was not synced is lost or damaged, and what a block's status says holds."""

from __future__ import annotations

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import Moments, bits, names_in, states, watching

pytestmark = pytest.mark.slow

X, Z = np.arange(3.0), np.arange(2.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
calls, interrupted = [], set()


def model(state):
    x, z = float(state["x"]), float(state["z"])
    if (x, z) in interrupted:
        raise KeyboardInterrupt
    calls.append((x, z))
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


EXECUTOR = gx.SequentialExecution(model, SPACE)


def run(store, **options):
    """Return the Dataset in memory, and the points at which the model was called."""
    calls.clear()
    found = EXECUTOR.run(
        store=store, version="1", progress=False, block={"x": 3, "z": 1}, **options
    )
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


def truncated(path):
    os.truncate(path, path.stat().st_size // 2)


def emptied(path):
    os.truncate(path, 0)


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def removed(path):
    path.unlink()


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = [truncated, emptied, zeroed, removed]


LINUX = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="only Linux tells which file is synced"
)


class Synced:
    """Watches what is synced, and knows which files are not on the disk as they are."""

    def __init__(self, folder, monkeypatch):
        self._folder = folder
        self._known = {path.stat().st_ino: path.read_bytes() for path in self._files()}
        self.before = lambda what: None
        fsync = os.fsync

        def watched(number):
            path = Path(os.readlink(f"/proc/self/fd/{number}"))
            self.before(f"before sync {path.name}")
            fsync(number)
            if path.is_file():
                self._known[path.stat().st_ino] = path.read_bytes()

        monkeypatch.setattr(os, "fsync", watched)

    def lacking(self):
        """Return the files that a power cut may damage."""
        return [
            path.relative_to(self._folder)
            for path in self._files()
            if self._known.get(path.stat().st_ino) != path.read_bytes()
        ]

    def _files(self):
        return sorted(path for path in self._folder.rglob("*") if path.is_file())


def power_cuts(tmp_path, monkeypatch, **options):
    """Run, and yield the name of a moment, what a power cut then leaves, and what it damaged."""
    disk = tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    synced = Synced(disk, monkeypatch)
    moments = Moments(disk, tmp_path / "moments", synced.lacking)
    synced.before = moments.now
    with watching(disk, moments):
        run(disk / "run.zarr", durability="power", **options)
    for moment in moments:
        for damage in DAMAGE if moment.note else ():
            folder = moment.folder.with_name(f"{moment.folder.name} {damage.__name__}")
            shutil.copytree(moment.folder, folder)
            for path in moment.note:
                damage(folder / path)
            yield f"{moment.what}, {damage.__name__}", folder, moment


def missing(store, lost):
    """Return the points that are not done according to what a power cut left of the status."""
    status = states(store)
    if status is None:
        return np.ones(SPACE.shape, bool)
    for path in lost:
        if path.match("run.zarr/status/c/0/?"):
            status[:, int(path.name)] = 0
    return status != 1


def points(mask):
    return sorted((X[i], Z[k]) for i, k in np.argwhere(mask))


def quietly(store, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did not end properly|.* are damaged")
        return run(store, **options)


@LINUX
def test_power_may_fail_at_any_moment_of_a_run(tmp_path, monkeypatch, expected):
    n = 0
    for what, folder, moment in power_cuts(tmp_path, monkeypatch):
        left = missing(moment.folder / "run.zarr", moment.note)
        found, called = quietly(folder / "run.zarr")
        assert bits(found) == bits(expected), what
        assert called == points(left), what
        if left.any():  # a run that finds all done takes no lock, and so removes none
            assert names_in(folder) == ["run.zarr"], what
        n += 1
    assert n > 20


@LINUX
def test_power_may_fail_while_a_block_is_written_again(tmp_path, monkeypatch, expected):
    interrupted.add((1.0, 1.0))
    (tmp_path / "disk").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "disk" / "run.zarr", durability="power")
    interrupted.clear()
    assert states(tmp_path / "disk" / "run.zarr").T.tolist() == [[1, 1, 1], [1, 0, 0]]
    n = 0
    for what, folder, moment in power_cuts(tmp_path, monkeypatch):
        found, called = quietly(folder / "run.zarr")
        assert bits(found) == bits(expected), what
        left = points(missing(moment.folder / "run.zarr", moment.note))
        assert called in (left, [(x, 1.0) for x in X]), what  # or all of it
        n += 1
    assert n > 20


def chunks_of(store):
    """Return the files of a store that are written while it runs."""
    return sorted(path for path in store.glob("*/**/c/0/**/*") if path.is_file())


@pytest.mark.parametrize("damage", [*DAMAGE, flipped])
def test_every_chunk_that_a_power_cut_has_damaged_is_computed_again(
    whole, expected, damage, tmp_path
):
    store = tmp_path / "run.zarr"
    chunks = [path.relative_to(whole) for path in chunks_of(whole)]
    assert len(chunks) == 6  # outputs and status of two blocks
    for chunk in chunks:
        shutil.copytree(whole, store)
        damage(store / chunk)
        found, called = quietly(store, verify="full")
        assert bits(found) == bits(expected), chunk
        block = int(chunk.parts[chunk.parts.index("c") + 2])
        assert called == [(x, block) for x in X], chunk
        shutil.rmtree(store)


@LINUX
def test_power_may_fail_without_being_prepared_for_if_everything_is_verified(
    tmp_path, monkeypatch, expected
):
    disk = tmp_path / "disk"
    disk.mkdir()
    synced = Synced(disk, monkeypatch)
    moments = Moments(disk, tmp_path / "moments", synced.lacking)
    with watching(disk, moments):
        run(disk / "run.zarr")
    moments.now("at the end")
    assert len(moments[-1].note) == 6
    for i, moment in enumerate(moments[-1::-4]):
        for k, path in enumerate(moment.note):
            [*DAMAGE, flipped][(i + k) % 5](moment.folder / path)
        found, _ = quietly(moment.folder / "run.zarr", verify="full")
        assert bits(found) == bits(expected), moment.what
