"""Processes on this machine that evaluate the blocks of a Python model."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from gridax._execution.orphans import exit_with_parent
from gridax._execution.worker import BlockOutputs, Killed, RemoteJob, Tasks, Workers, work

# Tasks per process, so that none waits for its next task.
_AT_HAND = 2
# How often a block is tried after it was in flight when a process died.
_TRIES = 2


class LocalProcesses(Workers):
    """A pool of processes for each run.

    Parameters
    ----------
    n : number of processes.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def n(self) -> int:
        """Return the number of processes."""
        return self._n

    def results(self, job: RemoteJob, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what the processes return for all blocks, in any order."""
        suspects: collections.deque[Tasks] = collections.deque()
        with _Pool(job, self._n) as pool:
            while True:
                n_more = _AT_HAND * self._n - len(pool.in_flight)
                for tasks in itertools.islice(batches, max(0, n_more)):
                    pool.submit(tasks)
                if not pool.in_flight:
                    break
                yield from pool.landed()
                suspects.extend(pool.lost())
            # When a process dies, all that is in flight is lost. What killed it shows when every
            # block is tried alone.
            for block in (each for tasks in suspects for each in tasks):
                yield from _tried_alone(pool, (block,))


def _tried_alone(pool: _Pool, tasks: Tasks) -> Iterator[BlockOutputs | Killed]:
    for _ in range(_TRIES):
        pool.submit(tasks)
        yield from pool.landed()
        if not pool.lost():
            return
    yield Killed(
        tasks[0],
        f"{_TRIES + 1} processes died while they evaluated the block of this point, because they "
        "ran out of memory or the model crashed",
    )


class _Pool:
    """A pool of processes that have received a job, and is replaced when one of them dies."""

    def __init__(self, job: RemoteJob, n: int) -> None:
        self._job, self._n = job, n
        self.in_flight: dict[Future[list[BlockOutputs]], Tasks] = {}
        self._lost: list[Tasks] = []

    def __enter__(self) -> _Pool:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        # What is still in flight is not needed. Processes with nothing to do end by themselves: if
        # they were killed, Python would warn of their locks as leaked semaphores.
        self._executor.shutdown(wait=True, kill_workers=bool(self.in_flight))

    def _start(self) -> None:
        # A spawned process of the standard library would run the user's script again.
        from loky.process_executor import ProcessPoolExecutor

        self._executor: Any = ProcessPoolExecutor(
            self._n, initializer=_prepare, initargs=(self._job, os.getpid())
        )

    def submit(self, tasks: Tasks) -> None:
        """Send some blocks."""
        self.in_flight[self._executor.submit(_work_here, tasks)] = tasks

    def landed(self) -> Iterator[BlockOutputs]:
        """Wait, and yield what came back; errors of the model are raised after all outputs."""
        from loky.process_executor import BrokenProcessPool

        done, _ = wait(self.in_flight, return_when=FIRST_COMPLETED)
        errors = []
        for future in done:
            tasks, error = self.in_flight.pop(future), future.exception()
            if error is None:
                yield from future.result()
            elif isinstance(error, BrokenProcessPool):
                self._lost.append(tasks)
            else:
                errors.append(error)
        if errors:
            raise errors[0]
        if self._lost:
            self._lost += self.in_flight.values()
            self.in_flight.clear()
            self._executor.shutdown(wait=True, kill_workers=True)
            self._start()

    def lost(self) -> list[Tasks]:
        """Return, once, the blocks that were in flight when a process died."""
        lost, self._lost = self._lost, []
        return lost


# The job of this process, if it belongs to a pool; sent once, since it may be large.
_jobs: list[RemoteJob] = []


def _prepare(job: RemoteJob, parent: int) -> None:
    # A terminal sends Ctrl-C to all of its processes; the one that started the run handles it.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_with_parent(parent)
    _jobs.append(job)


def _work_here(tasks: Tasks) -> list[BlockOutputs]:
    return work(_jobs[-1], tasks)
