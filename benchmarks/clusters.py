"""A cluster of processes on this machine: the speedup of two workers, and the cost of a task."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from .measure import Row, duration

# Prints the seconds of a sweep of expensive points in Python and in JAX, and the seconds per task
# of one with almost nothing to compute. The cluster has one worker for each core it is given.
SCRIPT = """
import os, sys, tempfile, time
n, quick = int(sys.argv[1]), sys.argv[2] == "quick"
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])
import jax, jax.numpy as jnp
import gridax as gx
from distributed import Client, SubprocessCluster

def simulate(state):
    x = float(state["a"])
    for _ in range(100 if quick else 400_000):
        x = 3.7 * x * (1.0 - x)
    return x

def network(state):
    def turn(i, x):
        return x + 0.01 * (state["a"] * jnp.tanh(x @ weights) - x)
    weights = jnp.ones((30, 30)) / 30
    return jax.lax.fori_loop(0, 100 if quick else 5000, turn, jnp.ones(30))

def nothing(state):
    return float(state["a"])

def seconds(model, n_points, block, jit, client):
    space = gx.Space({"a": gx.GridAxis(0.1, 0.9, n_points)}, mode="product")
    sweep = gx.DaskExecution(model, space, client=client, jit=jit)
    times = []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            store = os.path.join(folder, "run.zarr")
            sweep.run(store=store, block={"a": block}, progress=False)
            times.append(time.perf_counter() - start)
    return min(times)

quiet = {"dashboard_address": None, "silence_logs": 50}
with SubprocessCluster(n_workers=n, threads_per_worker=1, **quiet) as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(n)
        points = 16 if quick else 400
        seconds(nothing, 8, 1, False, client)
        print(seconds(simulate, points, 10, False, client))
        print(seconds(network, 16 if quick else 8192, 64, True, client))
        many = 20 if quick else 2000
        print((seconds(nothing, many, 1, False, client)) / many)
"""


def rows(quick: bool) -> Iterator[Row]:
    found = {n: _measured(n, quick) for n in (1, 2)}
    goals = {"a Python model": 1.8, "a JAX model": 1.6}
    for i, (what, goal) in enumerate(goals.items()):
        one, two = found[1][i], found[2][i]
        yield Row(
            f"{what} on a worker per core, two cores",
            f"{duration(two)}, {one / two:.2f} ×",
            f"≥ {goal} ×",
            one / two >= goal,
            f"one worker on one core: {duration(one)}",
        )
    each = found[2][2]
    yield Row("a block of one trivial point, stored", duration(each), opponent=f"{1 / each:.0f}/s")


def _measured(n: int, quick: bool) -> list[float]:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(n), "quick" if quick else "full"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(line) for line in out.split()]
