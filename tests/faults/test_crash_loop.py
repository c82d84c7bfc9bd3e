"""A crash at every operation on the disk, and at every moment of it: nothing done is lost."""

from __future__ import annotations

import os
import signal
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import Moment, Moments, bits, names_in, states, wait_for, watching
from tests.processes import finished

pytestmark = pytest.mark.slow

X, Z = np.arange(3.0), np.arange(2.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
BLOCK = {"x": 3, "z": 1}
calls, broken, interrupted, unhurried = [], set(), set(), []


def in_numpy(state):
    x, z = float(state["x"]), float(state["z"])
    if unhurried and x == 0 < z:  # a model that takes longer than writing does
        wait_for(unhurried[0] / f"status/c/0/{int(z) - 1}")
    if (x, z) in interrupted:
        raise KeyboardInterrupt
    calls.append((x, z))
    if (x, z) in broken:
        raise RuntimeError("no convergence")
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


def called_at(x, z):
    calls.append((float(x), float(z)))


def in_jax(state):
    x, z = state["x"], state["z"]
    jax.debug.callback(called_at, x, z)
    return {"y": jnp.sin(x) + z * jnp.arange(3.0), "n": (x * z).astype(int)}


SEQUENTIAL = gx.SequentialExecution(in_numpy, SPACE)
PARALLEL = gx.ParallelExecution(in_jax, SPACE, n_vmap=3, n_pmap=1)


def run(executor, store, **options):
    """Return the Dataset in memory, and the points at which the model was called."""
    calls.clear()
    found = executor.run(store=store, version="1", progress=False, **{"block": BLOCK, **options})
    jax.effects_barrier()
    return found.dataset.load(), sorted(calls)


def every_moment(executor, tmp_path, **options):
    """Run, and return what the disk held meanwhile."""
    disk = tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    moments = Moments(disk, tmp_path / "moments", lambda: len(calls))
    with watching(disk, moments):
        run(executor, disk / "run.zarr", **options)
    moments.now("at the end")
    return moments


def go_on(executor, moment, expected, **options):
    """Go on where a process was killed, and check all that is promised of it."""
    store = moment.folder / "run.zarr"
    status = states(store)
    missing = np.ones(SPACE.shape, bool) if status is None else status != 1
    if status is not None:
        there = gx.open_result(store).dataset
        for name in ("y", "n"):
            kept, whole = there[name].values, expected[name].values
            np.testing.assert_array_equal(kept[~missing], whole[~missing])
            rest = kept[missing].astype(float)
            assert (np.isnan(rest) | (rest == whole[missing])).all(), moment.what
    locked = (moment.folder / "run.zarr.lock").exists() and missing.any()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, called = run(executor, store, **options)
    assert bits(found) == bits(expected), moment.what
    assert called == sorted((X[i], Z[k]) for i, k in np.argwhere(missing)), moment.what
    told = [str(warning.message) for warning in caught]
    assert len(told) == locked, (moment.what, told)
    for text in told:
        assert "did not end properly; its finished blocks are kept" in text, moment.what
    if missing.any():
        assert names_in(moment.folder) == ["run.zarr"], moment.what
        assert not list(store.rglob("*.partial")), moment.what


def test_a_crash_at_any_moment_of_a_run_loses_nothing_that_was_done(tmp_path):
    expected, called = run(SEQUENTIAL, tmp_path / "whole.zarr")
    assert called == sorted((x, z) for x in X for z in Z)
    unhurried.append(tmp_path / "disk" / "run.zarr")
    moments = every_moment(SEQUENTIAL, tmp_path)
    unhurried.clear()
    assert len(moments) > 35
    for moment in moments:
        status = states(moment.folder / "run.zarr")
        kept = 0 if status is None else np.count_nonzero(status)
        assert 0 <= moment.note - kept <= 3, moment.what  # which are those of one block
        go_on(SEQUENTIAL, moment, expected)


def test_a_crash_at_any_moment_while_devices_compute_loses_nothing_that_was_done(tmp_path):
    expected, called = run(PARALLEL, tmp_path / "whole.zarr")
    assert called == sorted((x, z) for x in X for z in Z)
    moments = [m for m in every_moment(PARALLEL, tmp_path) if (m.folder / "run.zarr").exists()]
    assert len(moments) > 20
    for moment in moments[::2]:
        go_on(PARALLEL, moment, expected)


def test_a_crash_while_a_block_is_written_again_loses_no_point_of_it(tmp_path):
    expected, _ = run(SEQUENTIAL, tmp_path / "whole.zarr")
    (tmp_path / "disk").mkdir()
    broken.add((1.0, 0.0))
    interrupted.add((1.0, 1.0))
    with pytest.raises(KeyboardInterrupt):
        run(SEQUENTIAL, tmp_path / "disk" / "run.zarr", on_error="record")
    broken.clear()
    interrupted.clear()
    status = states(tmp_path / "disk" / "run.zarr")
    assert status.T.tolist() == [[1, 2, 1], [1, 0, 0]]
    moments = every_moment(SEQUENTIAL, tmp_path, retry_failed=True)
    for moment in moments:
        go_on(SEQUENTIAL, moment, expected, retry_failed=True)


def test_a_crash_while_a_store_is_replaced_leaves_the_old_or_the_new_one(tmp_path):
    expected, _ = run(SEQUENTIAL, tmp_path / "whole.zarr")
    (tmp_path / "disk").mkdir()
    other = gx.SequentialExecution(lambda s: np.float64(7), SPACE)
    old, _ = run(other, tmp_path / "disk" / "run.zarr")
    moments = every_moment(SEQUENTIAL, tmp_path, overwrite=True)
    # The last of each kind: they differ in what stands beside each other.
    kinds = {tuple(names_in(moment.folder)): moment for moment in moments}
    stood = []
    for moment in kinds.values():
        store = moment.folder / "run.zarr"
        stood.append(store.exists())
        if store.exists():
            found = gx.open_result(store)
            if found.progress.done == SPACE.N:
                assert bits(found.dataset) in (bits(old), bits(expected)), moment.what
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*did not end properly")
            found, called = run(SEQUENTIAL, store, overwrite=True)
        assert bits(found) == bits(expected), moment.what
        assert len(called) == SPACE.N, moment.what
        assert names_in(moment.folder) == ["run.zarr"], moment.what
    assert stood.count(False) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.faults import test_crash_loop as sweeps
from tests.faults.disk import watching

left, folder = int(sys.argv[2]), Path(sys.argv[3])

def act(operation, path, source):
    global left
    left -= operation != "read"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

with watching(folder, act):
    sweeps.run(getattr(sweeps, sys.argv[1]), folder / "run.zarr")
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
@pytest.mark.parametrize(
    ("executor", "n"), [("SEQUENTIAL", 20), ("SEQUENTIAL", 50), ("PARALLEL", 50)]
)
def test_a_process_that_is_killed_at_some_operation_is_gone_on_with(executor, n, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = finished("-c", KILLED, executor, n, disk)
    assert done.returncode == -signal.SIGKILL, done.stderr
    executor = globals()[executor]
    expected, _ = run(executor, tmp_path / "whole.zarr")
    go_on(executor, Moment(f"killed at operation {n}", disk), expected)


def test_a_crash_while_damage_is_repaired_hides_none_of_it(tmp_path):
    expected, _ = run(SEQUENTIAL, tmp_path / "whole.zarr")
    store = tmp_path / "disk" / "run.zarr"
    store.parent.mkdir()
    run(SEQUENTIAL, store)
    chunk = store / "y/c/0/1/0"
    content = bytearray(chunk.read_bytes())
    content[-6] ^= 1  # of the right size, but not what was written
    chunk.write_bytes(content)
    with pytest.warns(UserWarning, match=r"1 block\(s\) of .* are damaged"):
        moments = every_moment(SEQUENTIAL, tmp_path, verify="full")
    for moment in moments:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*did not end properly|.* are damaged")
            try:
                found, _ = run(SEQUENTIAL, moment.folder / "run.zarr")
            except OSError:  # noticed, if not by what was looked at
                found, _ = run(SEQUENTIAL, moment.folder / "run.zarr", verify="full")
        assert bits(found) == bits(expected), moment.what


def test_a_crash_while_a_result_is_extended_computes_only_what_is_new(tmp_path):
    expected, _ = run(SEQUENTIAL, tmp_path / "whole.zarr")
    fewer = gx.SequentialExecution(in_numpy, SPACE.isel(x=[0, 1]))
    old = fewer.run(store=tmp_path / "old.zarr", version="1", progress=False)
    moments = every_moment(SEQUENTIAL, tmp_path, extend=old)
    for moment in moments[::3]:
        status = states(moment.folder / "run.zarr")
        new = [True, True] if status is None else status[2] != 1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*did not end properly")
            found, called = run(SEQUENTIAL, moment.folder / "run.zarr", extend=old)
        assert bits(found) == bits(expected), moment.what
        assert called == [(2.0, z) for z in Z[new]], moment.what
