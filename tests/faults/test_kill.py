"""A process that is killed while it saves or streams: what is there is whole, and goes on."""

from __future__ import annotations

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import bits, names_in, states
from tests.processes import PATIENCE, started

pytestmark = pytest.mark.slow

# Saves over the same file without end; all numbers of a file are the number of its turn.
SCRIPT = """
import itertools, sys
import numpy as np
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
for turn in itertools.count():
    numbers = np.full(200_000, float(turn))
    result = gx.SequentialExecution(lambda s: numbers, space).run(progress=False)
    result.to_netcdf(sys.argv[1])
    print(turn, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.02])
def test_a_kill_while_saving_leaves_a_whole_file(delay, tmp_path):
    path = tmp_path / "run.nc"
    turn = -1
    with started("-c", SCRIPT, path) as process:
        for line in process.stdout:
            turn = int(line)
            if turn == 3:
                time.sleep(delay)
                process.kill()
                break
    assert turn == 3
    numbers = gx.open_result(path).dataset["value"].values
    assert numbers.shape == (4, 200_000)
    assert numbers[0, 0] >= 3
    assert (numbers == numbers[0, 0]).all()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
def test_what_a_killed_process_left_beside_does_not_hinder_the_next(tmp_path):
    path = tmp_path / "run.nc"
    (tmp_path / ".run.nc.0123456789ab.partial").write_bytes(b"half a file")
    space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
    result = gx.SequentialExecution(lambda s: np.float64(1), space).run(progress=False)
    result.to_netcdf(path)
    assert gx.open_result(path).dataset.identical(result.dataset)


# What follows is imported by the process that is killed, too: it is the same model there.
X, Z = np.arange(8.0), np.arange(4.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
calls, pauses = [], []


def slow(state):
    x, z = float(state["x"]), float(state["z"])
    time.sleep(sum(pauses))
    calls.append((x, z))
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


def called_at(x, z):
    time.sleep(sum(pauses))
    calls.append((float(x), float(z)))


def traced(state):
    x, z = state["x"], state["z"]
    jax.debug.callback(called_at, x, z)
    return {"y": jnp.sin(x) + z * jnp.arange(3.0), "n": (x * z).astype(int)}


def looping(state):
    x, z = state["x"], state["z"]
    jax.debug.callback(called_at, x, z)
    start = (0, x * jnp.ones(3))
    n, y = jax.lax.while_loop(lambda c: c[0] < x * z, lambda c: (c[0] + 1, jnp.sin(c[1])), start)
    return {"y": y, "n": n}


def chained(state):
    x, z = state["x"], state["z"]
    jax.debug.callback(called_at, x, z)
    y = jnp.sin(state["y"] + x) + z
    return {"y": y, "n": (x * z).astype(int)}


def slow_chained(state):
    return {**slow(state), "y": np.sin(state["y"] + float(state["x"])) + float(state["z"])}


def chains(order):
    start = gx.Carried(np.ones(3), "y", "z", order)
    return gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z), "y": start}, mode="product")


# What the outputs of some executors are reduced to, and the sizes of blocks.
REDUCE = {"z": ["mean", "std", "argmax"]}
REDUCED = {"reduced": REDUCE, "reduced in Python": REDUCE}
BLOCKS = {
    "reduced": (1, 2),
    "reduced in Python": (1, 2),
    "chains": (8, 1),
    "chains in Python": (2, 1),
}
EXECUTORS = {
    "reduced": gx.ParallelExecution(traced, SPACE, n_vmap=2, n_pmap=1),
    "reduced in Python": gx.SequentialExecution(slow, SPACE),
    "sequential": gx.SequentialExecution(slow, SPACE),
    "parallel": gx.ParallelExecution(traced, SPACE, n_vmap=4, n_pmap=1),
    "lanes": gx.ParallelExecution(looping, SPACE, n_pmap=1),
    "chains": gx.ParallelExecution(chained, chains("forward"), n_pmap=1),
    "chains in Python": gx.SequentialExecution(slow_chained, chains("backward")),
}
LANES = {"lanes": 2}

# Tells how far it is, and is killed anywhere, but before its end.
STREAMED = """
import signal, sys
from tests.faults import test_kill as sweeps

def tell(done, total):
    print(done, flush=True)
    if done >= 24:
        signal.pause()

sweeps.pauses.append(0.02)
sweeps.run(sys.argv[1], sys.argv[2], progress=tell)
"""


def run(name, store, progress=False):
    calls.clear()
    executor = EXECUTORS[name]
    block = dict(zip(("x", "z"), BLOCKS.get(name, (1, 4)), strict=True))
    found = executor.run(
        store=store,
        version="1",
        block=block,
        reduce=REDUCED.get(name),
        lanes=LANES.get(name, True),
        progress=progress,
    ).dataset.load()
    jax.effects_barrier()
    return found, sorted(calls)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
@pytest.mark.parametrize("name", EXECUTORS)
def test_a_run_that_is_killed_again_and_again_arrives(name, tmp_path):
    store = tmp_path / "run.zarr"
    kept = 0
    for stop in (9, 17):
        with started("-c", STREAMED, name, store) as process:
            for line in process.stdout:
                if int(line) >= stop:
                    break
            process.kill()
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode < 0, err
        status = states(store)
        status = np.repeat(status, len(Z) // status.shape[1], axis=1)  # of the points of a part
        x, z = BLOCKS.get(name, (1, 4))
        n_done = status.reshape(len(X) // x, x, len(Z) // z, z).sum(axis=(1, 3))
        assert set(n_done.flat) <= {0, x * z}  # blocks are whole
        assert kept <= status.sum()
        kept = status.sum()
        assert names_in(tmp_path) == ["run.zarr", "run.zarr.lock"]
    assert kept > 0
    with pytest.warns(UserWarning, match=rf"the process {process.pid} on .* did not end properly"):
        found, called = run(name, store)
    assert called == sorted((X[i], Z[k]) for i, k in np.argwhere(status == 0))
    assert names_in(tmp_path) == ["run.zarr"]
    assert bits(found) == bits(run(name, tmp_path / "whole.zarr")[0])
