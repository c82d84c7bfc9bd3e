"""Measurements that need a new process: a cold start, and peak memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from . import opponent
from .measure import Row, bytesize, duration

OURS = """
import numpy as np, gridax as gx
state = {"a": gx.DataAxis(np.linspace(0, 1, 5)), "b": gx.DataAxis(np.linspace(0, 1, 5))}
run = gx.ParallelExecution(lambda s: s["a"] * s["b"], gx.Space(state, mode="product"))
assert run.run(progress=False).dataset["value"].shape == (5, 5)
"""
THEIRS = """
import numpy as np
from tvboptim.execution import ParallelExecution
from tvboptim.types.spaces import DataAxis, Space
state = {"a": DataAxis(np.linspace(0, 1, 5)), "b": DataAxis(np.linspace(0, 1, 5))}
run = ParallelExecution(lambda s: s["a"] * s["b"], Space(state, mode="product"), n_vmap=25)
assert len(np.asarray(run.run().results).reshape(-1)) == 25
"""
# Prints the bytes of the outputs, the peak memory of the process, and its memory before the sweep.
PEAK = """
import resource, sys
import jax, jax.numpy as jnp
import gridax as gx

n, steps = int(sys.argv[1]), int(sys.argv[2])
def model(state):
    return jnp.sin(state["a"] * jnp.arange(steps)) + state["b"]
state = {"a": gx.GridAxis(0, 1, n), "b": gx.GridAxis(0, 1, n)}
space = gx.Space(state, mode="product")
gx.ParallelExecution(model, space.isel(a=[0], b=[0])).run(progress=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
values = gx.ParallelExecution(model, space).run(progress=False).dataset["value"]
print(values.nbytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, before)
"""


def rows(quick: bool) -> Iterator[Row]:
    scripts = {"gridax": OURS} | ({} if opponent.MISSING else {"theirs": THEIRS})
    times: dict[str, list[float]] = {name: [] for name in scripts}
    for _ in range(1 if quick else 5):
        for name, script in scripts.items():
            start = time.perf_counter()
            _run(script)
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(each) for name, each in times.items()}
    mine = seconds["gridax"]
    what = "25 points of a trivial model in a new process"
    if "theirs" in seconds:
        ratio = seconds["theirs"] / mine
        text = f"{opponent.NAME}: {duration(seconds['theirs'])}"
        yield Row(what, duration(mine), "ratio > 1.0", ratio >= 1.0, text, ratio)
    else:
        yield Row(what, duration(mine))

    n, steps = (10, 1000) if quick else (1000, 1000)
    outputs, peak, before = map(int, _run(PEAK, str(n), str(steps)).split())
    what = f"peak memory of a process with {bytesize(outputs)} of outputs"
    beside = f"{bytesize(before)} before the sweep"
    if quick:  # JAX alone needs more than such small outputs
        yield Row(what, bytesize(peak), opponent=beside)
    else:
        times_ = f"{bytesize(peak)}, {peak / outputs:.2f} ×"
        yield Row(what, times_, "< 1.3 ×", peak < 1.3 * outputs, beside)


def _run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
