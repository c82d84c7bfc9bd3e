"""Processes that a run starts end with the process of the run, even if that is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, time
import gridax as gx

pids, store = sys.argv[1:]

def model(state):
    with open(pids, "a") as file:
        file.write("here\\n")
    time.sleep(600)
    return state["x"]

# What the model returns is known from an earlier result, so this process evaluates no point.
known = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
gx.SequentialExecution(lambda s: s["x"], known).run(progress=False, store=store)
space = gx.Space({"x": gx.GridAxis(0, 2, 9)}, mode="product")
executor.run(progress=False, extend=store, resume="force")
"""
EXECUTORS = {
    "processes": "gx.SequentialExecution(model, space, n_workers=2)",
    "dask": "gx.DaskExecution(model, space, jit=False)",
}


def family(pid: int) -> set[int]:
    """Return the descendants of a process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found = {pid}
    while True:
        new = {child for child, parent in parents.items() if parent in found} - found
        if not new:
            return found - {pid}
        found |= new


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="reads /proc, which only Linux has"
)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_processes_end_when_the_one_of_the_run_is_killed(tmp_path, executor):
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    script = SCRIPT.replace("executor.run", f"{EXECUTORS[executor]}.run")
    run = subprocess.Popen([sys.executable, "-c", script, str(pids), str(tmp_path / "run.zarr")])
    started: set[int] = set()
    try:
        with pids.open() as file:
            file.readline()  # the first point is being evaluated
            started = family(run.pid)
            assert started
            run.kill()
            run.wait()
        for pid in started:
            wait_for_end(pid)
    finally:
        run.kill()
        for pid in started:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        assert poll.poll(120_000), f"process {pid} is still alive"
    finally:
        os.close(descriptor)
