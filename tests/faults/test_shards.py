"""Several processes that share one store: each block is computed by one of them, none waits."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from tests.faults.disk import bits, names_in, states
from tests.processes import PATIENCE, started

pytestmark = pytest.mark.slow

# All of this is imported by the processes, too: it is the same model there.
X, Z = np.arange(8.0), np.arange(4.0)
SPACE = gx.Space({"x": gx.DataAxis(X), "z": gx.DataAxis(Z)}, mode="product")
BLOCK = {"x": 1, "z": 2}
calls, rendezvous, stops = [], [], set()


def meet(folder, i, n):
    """Wait until n processes have come here."""
    (folder / f"{i} is here").touch()
    while len(list(folder.glob("* is here"))) < n:
        time.sleep(0.005)


def model(state):
    while rendezvous:  # at the first point: who waits for a lock does not come
        meet(*rendezvous.pop())
    x, z = float(state["x"]), float(state["z"])
    if (x, z) in stops:
        print("now", flush=True)
        signal.pause()  # until it is killed
    calls.append((x, z))
    return {"y": np.random.default_rng([int(x), int(z)]).normal(size=3), "n": np.int32(x * z)}


EXECUTOR = gx.SequentialExecution(model, SPACE)


def run(store, **options):
    calls.clear()
    found = EXECUTOR.run(store=store, version="1", progress=False, block=BLOCK, **options)
    return found.dataset.load(), sorted(calls)


def points(mask):
    return sorted((X[i], Z[k]) for i, k in np.argwhere(mask))


def points_of(i, n):
    """Return the points of a shard: every n-th block is its."""
    blocks = itertools.product(range(len(X)), range(len(Z) // BLOCK["z"]))
    mine = itertools.islice(blocks, i, None, n)
    return sorted((X[a], Z[2 * b + k]) for a, b in mine for k in range(2))


SHARD = """
import sys
from pathlib import Path
from tests.faults import test_shards as sweeps

folder, i, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sweeps.rendezvous.append((folder / "meeting", i, 4))
sweeps.stops.update(sweeps.points_of(i, 4)[stop : stop + 1])
sweeps.run(folder / "run.zarr", shard=(i, 4))
print(*(f"{x} {z}" for x, z in sweeps.calls), sep="\\n", flush=True)
"""


def process(script, *args):
    return started("-W", "error", "-c", script, *args)


def called_in(process):
    """Wait for a process to end, and return the points at which it called the model."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return [tuple(map(float, line.split())) for line in out.splitlines()]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems kill by a signal")
def test_four_processes_share_a_store_and_one_is_killed_and_started_again(tmp_path):
    (tmp_path / "meeting").mkdir()
    store = tmp_path / "run.zarr"
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(process(SHARD, tmp_path, i, 5 if i == 2 else 99)) for i in range(4)
        ]
        assert processes[2].stdout.readline() == "now\n", processes[2].stderr.read()
        called = {i: called_in(processes[i]) for i in (0, 1, 3)}
        assert names_in(tmp_path) == ["meeting", "run.zarr", "run.zarr.2-of-4.lock"]
        # Nobody else computes what it is computing.
        refusal = (
            f"process {processes[2].pid} on {socket.gethostname()} is writing the shard (2, 4) of "
            f"{str(store)!r}; wait for it to end"
        )
        for shard in ((2, 4), (0, 2), None):
            with pytest.raises(BlockingIOError, match=re.escape(refusal)):
                run(store, shard=shard)
        processes[2].kill()
        processes[2].wait(timeout=PATIENCE)
    left = np.zeros(SPACE.shape, bool)
    for x, z in points_of(2, 4):
        left[int(x), int(z)] = states(store)[int(x), int(z)] == 0
    assert 4 <= left.sum() <= 8
    assert (left == (states(store) == 0)).all()  # the others have ended
    gone = f"the process {processes[2].pid} on .* did not end properly"
    with pytest.warns(UserWarning, match=gone):
        _, called[2] = run(store, shard=(2, 4))
    assert called[2] == points(left)
    # The first point shows what the model returns to whoever comes before there is a store.
    for i in (0, 1, 3):
        assert sorted({*called[i]} - {(0.0, 0.0)}) == sorted({*points_of(i, 4)} - {(0.0, 0.0)})
        assert len(called[i]) == len(set(called[i]))
    found, called = run(store)
    assert called == []
    assert bits(found) == bits(EXECUTOR.run(progress=False).dataset)
    assert names_in(tmp_path) == ["meeting", "run.zarr"]


# Each process has devices of its own, and they know of each other's.
DISTRIBUTED = """
import sys
import jax

address, i, store = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(address, 2, i)
assert (jax.process_index(), jax.process_count()) == (i, 2)
from tests.faults import test_shards as sweeps  # which calls JAX

assert len(jax.devices()) == 4 and jax.local_device_count() == 2
sweeps.parallel().run(
    store=store, version="1", progress=False, block=sweeps.BLOCK, shard=(jax.process_index(), jax.process_count())
)
jax.effects_barrier()
print(*(f"{x} {z}" for x, z in sweeps.calls), sep="\\n", flush=True)
"""


def called_at(x, z):
    calls.append((float(x), float(z)))


def traced(state):
    x, z = state["x"], state["z"]
    jax.debug.callback(called_at, x, z)
    return {"y": jnp.sin(x) + z * jnp.arange(3.0), "n": (x * z).astype(int)}


def parallel():
    return gx.ParallelExecution(traced, SPACE, n_vmap=1, n_pmap=2)


def test_processes_that_jax_has_brought_together_share_a_store(tmp_path):
    store = tmp_path / "run.zarr"
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    with (
        process(DISTRIBUTED, address, 0, store) as one,
        process(DISTRIBUTED, address, 1, store) as other,
    ):
        called = called_in(one), called_in(other)
    assert [sorted(each) for each in called] == [points_of(0, 2), points_of(1, 2)]
    found = gx.open_result(store)
    assert found.progress.pending == 0
    whole = parallel().run(progress=False).dataset
    for name in ("y", "n"):
        np.testing.assert_allclose(found.dataset[name], whole[name], rtol=1e-6)
    assert names_in(tmp_path) == ["run.zarr"]
