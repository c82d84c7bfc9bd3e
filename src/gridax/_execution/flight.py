"""Tasks on a cluster: a bounded number in flight, and a clear error for whatever goes wrong."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridax._execution import worker
from gridax._execution.worker import BlockOutputs, Killed, RemoteJob, Tasks, VersionMismatch
from gridax._stores.base import Task

if TYPE_CHECKING:
    from distributed import Client, Future

# Tasks per thread of a worker, so that none waits for its next task.
_AT_HAND = 2
# Seconds without a single worker after which the run gives up.
_PATIENCE = 60.0
# Seconds between two queries of the workers.
_LOOK = 1.0


class Flight:
    """Sends blocks to the workers of a cluster.

    Parameters
    ----------
    client : of the cluster.
    job : what is evaluated; its name is that of the tasks on the dashboard.
    """

    def __init__(self, client: Client, job: RemoteJob) -> None:
        self._client, self._job = client, job
        self._suspects: collections.deque[Task] = collections.deque()
        self._alone = False  # whether a suspect is in flight
        self._in_flight: dict[Future, Tasks] = {}
        self._news = threading.Event()  # set when a task ends
        self._sent: Future | None = None
        self._n, self._n_threads = 0, 0
        self._looked = self._alone_since = float("-inf")

    def results(self, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what the workers return for all blocks, in any order.

        Raises
        ------
        Exception
            What the model raised on a worker.
        RuntimeError
            If the cluster or its workers are lost, or lack a package.
        """
        from distributed.client import ClosedClientError
        from distributed.comm.core import CommClosedError

        try:
            self._check_workers()
            self._send()
            while self._fill(batches):
                self._news.wait(_LOOK)
                self._news.clear()
                self._check_alive()
                # Outputs first, so that an error that arrives at the same time does not cost them.
                done = [future for future in self._in_flight if future.done()]
                for future in sorted(done, key=lambda future: future.status != "finished"):
                    yield from self._landed(future)
        except (ClosedClientError, CommClosedError) as error:
            if self._client.status == "running":
                raise
            raise _connection_lost("the client is closed") from error
        finally:
            sent = [] if self._sent is None else [self._sent]
            with contextlib.suppress(Exception):  # the user must see why the run ended
                self._client.cancel([*self._in_flight, *sent], force=True)
            self._in_flight.clear()

    def _check_workers(self) -> None:
        """Reject workers that cannot import gridax, which would die of their first task."""
        check_connected(self._client)
        with _connection():
            told = self._client.run(worker.check, self._job.versions, on_error="return")
        for address, error in told.items():
            if isinstance(error, VersionMismatch):
                raise error
            # An OSError means that the worker has left.
            if isinstance(error, Exception) and not isinstance(error, OSError):
                raise RuntimeError(
                    f"the worker {address} cannot import gridax ({error}); install the same "
                    "versions in all processes"
                )

    def _send(self) -> None:
        """Send the job, which may be large, once to each worker."""
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            self._sent = self._client.submit(
                worker.identity, self._job, key=f"job-{self._job.name.rpartition('-')[2]}"
            )

    def _fill(self, batches: Iterator[Tasks]) -> bool:
        """Send blocks until every worker has its tasks; return whether any are in flight."""
        most = max(1, self._threads()) * _AT_HAND
        while not self._alone and len(self._in_flight) < most:
            if self._suspects:
                # A worker that dies loses all its tasks, so each must be sent alone to find out
                # which of them killed it.
                if not self._in_flight:
                    self._alone = True
                    self._submit((self._suspects.popleft(),))
                break
            tasks = next(batches, None)
            if tasks is None:
                break
            self._submit(tasks)
        return bool(self._in_flight)

    def _submit(self, tasks: Tasks) -> None:
        self._n += 1
        key = (self._job.name, self._n)
        future = self._client.submit(worker.work, self._sent, tasks, key=key, pure=False)
        self._in_flight[future] = tasks
        # Not `distributed.wait`: it needs a current client, which changes the settings of dask in
        # the whole process, where workers may be threads.
        future.add_done_callback(lambda _: self._news.set())

    def _threads(self) -> int:
        now = time.monotonic()
        if now - self._looked > _LOOK:
            self._looked = now
            self._n_threads = sum(threads(self._client).values())
        return self._n_threads

    def _check_alive(self) -> None:
        """Stop waiting for a cluster that is lost, or for workers that do not come."""
        check_connected(self._client)
        now = time.monotonic()
        if self._threads() or self._alone_since == float("-inf"):
            self._alone_since = now
        elif now - self._alone_since > _PATIENCE:
            raise RuntimeError(
                f"the cluster has had no worker for {_PATIENCE:.0f} seconds; start some "
                "(cluster.scale(4)), or find out why they end on the dashboard "
                f"({self._client.dashboard_link}), and run again"
            )

    def _landed(self, future: Future) -> Iterator[BlockOutputs | Killed]:
        from distributed import KilledWorker

        tasks = self._in_flight.pop(future)
        alone, self._alone = self._alone, False
        if future.status == "finished":
            yield from future.result()
            return
        if future.status in ("cancelled", "lost"):
            raise _connection_lost("its tasks were cancelled")
        error = future.exception()
        if not isinstance(error, KilledWorker):
            if isinstance(error, ModuleNotFoundError):  # which is not the model's
                error.add_note(
                    f"a worker cannot import {error.name!r}; install it there, or send your own "
                    "modules with client.upload_file"
                )
            raise error
        if not alone:
            self._suspects.extend(tasks)
            return
        yield Killed(
            tasks[0],
            f"KilledWorker: {error.allowed_failures + 1} workers died while they evaluated the "
            "block of this point, because they ran out of memory or the model crashed",
        )


def threads(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker.

    Raises
    ------
    RuntimeError
        If the client is closed, or the scheduler is lost.
    """
    check_connected(client)
    with _connection():
        return client.nthreads()


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    """Explain what it means if a scheduler does not answer."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise _connection_lost(f"{type(error).__name__}: {error}") from error


def check_connected(client: Client) -> None:
    """Reject a client that is closed, or whose scheduler is lost."""
    if client.status in ("closing", "closed"):
        raise _connection_lost("the client is closed")
    if client.status not in ("running", "newly-created"):
        raise _connection_lost(f"the client is {client.status}")


def _connection_lost(reason: str) -> RuntimeError:
    return RuntimeError(
        f"the connection to the scheduler of the cluster was lost ({reason}); connect a new client "
        "and run again"
    )
