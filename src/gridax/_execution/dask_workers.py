"""The workers of a Dask cluster, which may be one that is started for a single run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridax import _devices
from gridax._execution import orphans
from gridax._execution.flight import Flight, threads
from gridax._execution.worker import BlockOutputs, Killed, RemoteJob, Tasks, Workers

if TYPE_CHECKING:
    from distributed import Client

# Seconds that the processes of a local cluster may take to start.
_START = 120


class DaskWorkers(Workers):
    """The workers of a cluster.

    Parameters
    ----------
    client : of the cluster; if None, each run starts a process per core of this machine.
    """

    def __init__(self, client: Client | None) -> None:
        self.client = client

    def n(self) -> int:
        """Return the number of threads of all workers."""
        if self.client is None:
            return _devices.n_cores()
        return max(1, sum(threads(self.client).values()))

    def results(self, job: RemoteJob, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what the workers return for all blocks, in any order."""
        if self.client is not None:
            yield from Flight(self.client, job).results(batches)
            return
        with _local_cluster() as client:
            cores = dict(zip(threads(client), _devices.cores(), strict=False))
            yield from Flight(client, dataclasses.replace(job, cores=cores)).results(batches)


@contextlib.contextmanager
def _local_cluster() -> Iterator[Client]:
    from distributed import Client, SubprocessCluster

    # Fresh processes: a fork of a process that uses JAX can deadlock, and a spawned process would
    # run the user's script again. They end with this process, even if it is killed.
    n = _devices.n_cores()
    watch = f"from {orphans.__name__} import exit_with_parent; exit_with_parent({os.getpid()})"
    # Modules beside the user's script are found there, too: a nanny hands its path on.
    path = f"import sys; sys.path += [each for each in {sys.path!r} if each not in sys.path]"
    with contextlib.ExitStack() as stack:
        with ignoring_sigint(), _quiet():
            local = SubprocessCluster(
                n_workers=n,
                threads_per_worker=1,
                dashboard_address=None,  # type: ignore[arg-type]
                # Without a dashboard, the scheduler still has a page: on a port that is free.
                scheduler_kwargs={"preload": [watch], "dashboard_address": ":0"},
                # A worker ends with its nanny.
                worker_kwargs={"preload_nanny": [f"{path}; {watch}"]},
            )
            stack.enter_context(local)
        client = stack.enter_context(Client(local))
        client.wait_for_workers(n, timeout=_START)
        yield client


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Start processes of Dask that log warnings only; they read their settings from variables."""
    name = "DASK_LOGGING__DISTRIBUTED"
    before = os.environ.get(name)
    os.environ.setdefault(name, "warning")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextlib.contextmanager
def ignoring_sigint() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which a terminal sends to all of its processes.

    This process handles it and stops them. They inherit the signals that the thread which starts
    them blocks, which it inherits from the current thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
