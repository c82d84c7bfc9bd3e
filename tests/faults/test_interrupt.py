"""Ctrl-C in the middle of a run: a process is really interrupted, and what it kept is compared."""

from __future__ import annotations

import itertools
import os
import re
import signal
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import bits, names_in, states
from tests.processes import PATIENCE, started

pytestmark = pytest.mark.slow

# Prints how far it is. Interrupted, it saves what it has, then runs again and saves all of it.
SCRIPT = """
import signal, sys, time
import jax, jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", 2)
import gridax as gx

pause = 0.02
space = gx.Space({"x": gx.GridAxis(0, 1, 40), "k": gx.KeyAxis(5)}, mode="product")

def draw(state):
    return {"y": state["x"] + jax.random.normal(state["k"], (3,)), "n": jnp.int32(7)}

def one_by_one(state):
    time.sleep(pause)
    return draw(state)

def batched(state):
    def turn(i, x):
        return jnp.sin(x) + 1e-3 * jax.random.normal(jax.random.fold_in(state["k"], i))
    return {**draw(state), "long": jax.lax.fori_loop(0, 20_000, turn, state["x"])}

def tell(done, total):
    print(done, flush=True)
    if pause and done >= 100:
        signal.pause()  # the interrupt comes at the latest now

executor = EXECUTOR
try:
    executor.run(progress=tell)
except KeyboardInterrupt as interrupt:
    assert interrupt.result is executor.partial
    interrupt.result.to_netcdf(sys.argv[1])
    print(*interrupt.__notes__)
pause = 0
executor.run(progress=False).to_netcdf(sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems send SIGINT to a process")
@pytest.mark.parametrize(
    "executor",
    [
        "gx.SequentialExecution(one_by_one, space)",
        "gx.ParallelExecution(batched, space, n_vmap=2, n_pmap=2)",
    ],
    ids=["sequential", "parallel"],
)
def test_ctrl_c_keeps_what_was_computed_bit_for_bit(executor, tmp_path):
    paths = tmp_path / "part.nc", tmp_path / "whole.nc"
    script = SCRIPT.replace("EXECUTOR", executor)
    with started("-W", "error", "-c", script, *paths) as process:
        for line in process.stdout:
            if int(line) >= 12:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err

    done = int(re.search(r"(\d+) of 200 points were computed", out).group(1))
    part, whole = (gx.open_result(path).dataset for path in paths)
    status = part["status"].values
    assert 12 <= done < 200
    assert (status == 1).sum() == done
    assert (status == 0).sum() == 200 - done
    for name, variable in whole.data_vars.items():
        kept = part[name].values
        np.testing.assert_array_equal(kept[status == 1], variable.values[status == 1])
        missing = kept[status == 0]
        assert np.isnan(missing).all() if missing.dtype.kind == "f" else (missing == 0).all()
    assert part[[]].equals(whole[[]])


# What follows is imported by the process that is interrupted, too: it is the same model there.
X, Z = np.arange(16.0), np.arange(4.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
BLOCK = {"x": 4, "z": 4}
# `stops` is part of the model, which reads it, so runs state the version of the model.
calls, stops = [], set()


def maybe_wait(where):
    """Ask to be interrupted."""
    if where in stops:
        print("now", flush=True)
        signal.pause()


def one_by_one(state):
    x, z = float(state["x"]), float(state["z"])
    maybe_wait((x, z))
    calls.append((x, z))
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


def called_at(x, z):
    calls.append((float(x), float(z)))


def batched(state):
    def turn(i, y):
        return jnp.sin(y) + 1e-3 * jax.random.normal(jax.random.fold_in(key, i))

    x, z = state["x"], state["z"]
    key = jax.random.fold_in(jax.random.key(0), (4 * x + z).astype(int))
    jax.debug.callback(called_at, x, z)
    return {"y": jax.lax.fori_loop(0, 20_000, turn, x), "n": (x * z).astype(int)}


SEQUENTIAL = gx.SequentialExecution(one_by_one, SPACE)


def parallel():
    return gx.ParallelExecution(batched, SPACE, n_vmap=2, n_pmap=1)


STREAMED = """
import sys
from tests.faults import test_interrupt as sweeps

sweeps.stops.update(STOP)
try:
    EXECUTOR.run(
        store=sys.argv[1], version="1", block=sweeps.BLOCK,
        progress=lambda done, total: sweeps.maybe_wait(done),
    )
finally:
    print(*(f"{x} {z}" for x, z in sweeps.calls), sep="\\n", flush=True)
"""


def interrupted(executor, stop, store, times=1):
    """Run in another process, interrupt it where it stops, and return what it says then."""
    script = STREAMED.replace("EXECUTOR", executor).replace("STOP", stop)
    with started("-W", "error", "-c", script, store) as process:
        ready = process.stdout.readline()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert ready == "now\n", err
    assert process.returncode != 0
    return out, err


def run(executor, store):
    calls.clear()
    found = executor.run(store=store, version="1", block=BLOCK, progress=False).dataset.load()
    jax.effects_barrier()
    return found, sorted(calls)


def points(mask):
    return sorted((X[i], Z[k]) for i, k in np.argwhere(mask))


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems send SIGINT to a process")
def test_ctrl_c_leaves_a_store_that_has_every_point_that_was_computed(tmp_path):
    store = tmp_path / "run.zarr"
    out, err = interrupted("sweeps.SEQUENTIAL", "[(5.0, 1.0)]", store)
    assert err.rstrip().splitlines()[-2:] == [
        "KeyboardInterrupt",
        f"21 of 64 points are saved in {str(store)!r}; call run(store={str(store)!r}) again to resume",
    ]
    before = [tuple(map(float, line.split())) for line in out.splitlines() if " " in line]
    assert len(before) == 21  # and a part of the second block
    assert names_in(tmp_path) == ["run.zarr"]
    assert points(states(store) == 1) == sorted(before)
    part = gx.open_result(store).dataset.load()
    found, after = run(SEQUENTIAL, store)
    assert sorted(before + after) == sorted(itertools.product(X, Z))
    whole = SEQUENTIAL.run(progress=False).dataset
    assert bits(found) == bits(whole)
    done = part["status"].values == 1
    for name in ("y", "n"):
        np.testing.assert_array_equal(part[name].values[done], whole[name].values[done])
        assert np.isnan(part[name].values[~done]).all()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems send SIGINT to a process")
def test_ctrl_c_while_devices_compute_leaves_a_store_that_goes_on_with_what_is_missing(tmp_path):
    store = tmp_path / "run.zarr"
    _, err = interrupted("sweeps.parallel()", "range(17, 64)", store)
    kept = re.search(
        r"(\d+) of 64 points are saved in '.*'; call run\(store='.*'\) again to resume", err
    )
    status = states(store)
    assert 16 < (status == 1).sum() < 64
    assert int(kept.group(1)) == (status == 1).sum()
    assert names_in(tmp_path) == ["run.zarr"]
    part = gx.open_result(store).dataset.load()
    found, called = run(parallel(), store)
    assert called == points(status == 0)
    whole = parallel().run(progress=False).dataset
    for name in ("y", "n"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-6)
        kept = part[name].values[status == 1]
        np.testing.assert_array_equal(found[name].values[status == 1], kept)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems send SIGINT to a process")
def test_ctrl_c_again_and_again_does_no_harm(tmp_path):
    store = tmp_path / "run.zarr"
    interrupted("sweeps.SEQUENTIAL", "[(5.0, 1.0)]", store, times=5)
    status = states(store)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*did not end properly")
        found, called = run(SEQUENTIAL, store)
    assert called == points(status == 0)
    assert bits(found) == bits(SEQUENTIAL.run(progress=False).dataset)
    assert names_in(tmp_path) == ["run.zarr"]


@pytest.mark.skipif(os.name != "posix", reason="batch systems send SIGTERM on POSIX systems only")
def test_sigterm_keeps_every_point_and_says_so_without_a_traceback(tmp_path):
    store = tmp_path / "run.zarr"
    script = STREAMED.replace("EXECUTOR", "sweeps.SEQUENTIAL").replace("STOP", "[(5.0, 1.0)]")
    with started("-c", script, store) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert "21 of 64 points are saved" in err
    assert "Traceback" not in err
    assert (states(store) == 1).sum() == 21
