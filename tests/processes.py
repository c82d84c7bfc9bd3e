"""Processes that tests start: none outlives the test, whether that passes or fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# Seconds after which something is taken to hang. No test waits so long, however slow the machine.
PATIENCE = 600.0


def environment(**changes: str | None) -> dict[str, str]:
    """Return the environment of a process that imports gridax and `tests` as this one does.

    A variable that is changed to None is left out.
    """
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "JAX_PLATFORMS": "cpu",
        **changes,
    }
    return {name: value for name, value in variables.items() if value is not None}


@contextlib.contextmanager
def started(
    *arguments: object, env: dict[str, str | None] | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run Python in a process of its own, and end it and all that it has started with the block.

    Parameters
    ----------
    arguments : of Python.
    env : what changes in the environment.
    options : other keywords of `subprocess.Popen`.
    """
    with group_of(
        [sys.executable, *map(str, arguments)], env=environment(**(env or {})), **options
    ) as process:
        yield process


@contextlib.contextmanager
def group_of(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run any command in the same way."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, start_new_session=True, **{**pipes, **options})
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def finished(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python to its end, and return its exit code and what it has printed."""
    with started(*arguments, **options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
