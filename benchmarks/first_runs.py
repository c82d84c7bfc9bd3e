"""The first run of a new model: traced, compiled and run once, in a new process each time.

``python -m benchmarks.first_runs MODEL gridax`` prints the seconds of one run of a model of the
zoo, and with ``vmap`` in place of ``gridax``, those of the hand-written program. Before, the
process runs another model, so that nothing has to be imported or started.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from .measure import Row, duration
from .zoo import CASES
from .zoo.by_hand import Grid
from .zoo.case import Case

PROGRAMS = ("gridax", "vmap")


def rows(quick: bool) -> Iterator[Row]:
    """Yield the median ratio to `jit(vmap)` and the slowest models."""
    cases, repeats = (CASES[:1], 1) if quick else (CASES, 3)
    found = []
    for case in cases:
        times: dict[str, list[float]] = {program: [] for program in PROGRAMS}
        for _ in range(repeats):
            for program in PROGRAMS:
                times[program].append(_in_new_process(case.name, program))
        mine, theirs = (statistics.median(times[program]) for program in PROGRAMS)
        found.append((theirs / mine, mine, theirs, case.name))
    ratio = statistics.median(each[0] for each in found)
    n, n_met = len(found), sum(each[0] >= 1 / 1.15 for each in found)
    yield Row(f"first runs of {n} models, 256 points", f"{ratio:.2f} ×")
    yield Row("… not above 1.15 × jit(vmap)", f"{n_met} of {n}", f"{n}", n_met == n)
    for ratio, mine, theirs, name in sorted(found)[:5]:
        yield Row(f"… {name}", duration(mine), "", None, f"vmap: {duration(theirs)}", ratio)


def _in_new_process(name: str, program: str) -> float:
    command = [sys.executable, "-m", "benchmarks.first_runs", name, program]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


def seconds(case: Case, program: str) -> float:
    """Return how long the first run of a model takes."""
    space = case.space("medium")
    if program == "gridax":
        start = time.perf_counter()
        gx.ParallelExecution(case.model, space).run(progress=False)
        return time.perf_counter() - start
    grid = Grid(space)
    values = jax.block_until_ready(grid.flat())
    start = time.perf_counter()
    function = jax.jit(jax.vmap(lambda values: case.model({**values, **grid.fixed})))
    jax.tree.map(np.asarray, function(values))
    return time.perf_counter() - start


def start_up() -> None:
    """Run another model, as both programs would."""
    space = gx.Space({"x": gx.GridAxis(0.0, 1.0, 4), "y": gx.GridAxis(0.0, 1.0, 4)}, mode="product")
    gx.ParallelExecution(lambda s: jnp.sin(s["x"]) * s["y"], space).run(progress=False)
    np.asarray(jax.jit(jax.vmap(jnp.cos))(jnp.ones(4)))


if __name__ == "__main__":
    wanted, with_program = sys.argv[1:]
    start_up()
    print(seconds(next(case for case in CASES if case.name == wanted), with_program))
