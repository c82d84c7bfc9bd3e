"""Tasks on a cluster: a bounded number under way, and clear ends to what can go wrong."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, NamedTuple

from gridax._execution.worker import BlockOutputs, Sweep, VersionMismatch, check, same, work
from gridax._stores.base import Task

if TYPE_CHECKING:
    from distributed import Client, Future

# Tasks that a thread of a worker has at hand, so that it never waits for the next one.
_AT_HAND = 2
# Seconds without a single worker until nobody believes that one will come.
_PATIENCE = 60.0
# Seconds between looks at who is there.
_LOOK = 1.0

Tasks = tuple[Task, ...]


class Killed(NamedTuple):
    """A block whose workers die each time, and how to say that."""

    task: Task
    text: str


class Flight:
    """Sends blocks to the workers of a cluster.

    Parameters
    ----------
    client : of the cluster.
    sweep : what is to be evaluated.
    title : of the tasks, on the dashboard.
    """

    def __init__(self, client: Client, sweep: Sweep, title: str) -> None:
        self._client, self._sweep = client, sweep
        self._key = f"{title}-{sweep.name}"
        self._suspects: collections.deque[Task] = collections.deque()
        self._alone = False  # whether a suspect is under way
        self._under_way: dict[Future, Tasks] = {}
        self._sent: Future | None = None
        self._n, self._n_threads = 0, 0
        self._looked = self._alone_since = float("-inf")

    def results(self, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what comes back of all blocks, in any order.

        Raises
        ------
        Exception
            What the model raised on a worker.
        RuntimeError
            If the cluster, its workers, or what they need is gone.
        """
        from distributed import wait
        from distributed.client import ClosedClientError

        try:
            self._check_workers()
            self._send()
            while self._fill(batches):
                # Tasks are cancelled by whoever closes the client.
                quiet = contextlib.suppress(TimeoutError, CancelledError)
                with quiet, self._client.as_current():
                    wait([*self._under_way], timeout=_LOOK, return_when="FIRST_COMPLETED")
                self._check_alive()
                # Of what came back at the same time, outputs first: no error shall cost them.
                done = [future for future in self._under_way if future.done()]
                for future in sorted(done, key=lambda future: future.status != "finished"):
                    yield from self._landed(future)
        except ClosedClientError as error:
            raise _gone("the client is closed") from error
        finally:
            sent = [] if self._sent is None else [self._sent]
            with contextlib.suppress(Exception):  # what is told is why it ended
                self._client.cancel([*self._under_way, *sent], force=True)
            self._under_way.clear()

    def _check_workers(self) -> None:
        """Refuse workers that lack the package, which would die of the first task."""
        check_connected(self._client)
        with _connection():
            told = self._client.run(check, self._sweep.versions, on_error="return")
        for address, error in told.items():
            if isinstance(error, VersionMismatch):
                raise error
            if isinstance(error, Exception) and not isinstance(error, OSError):  # it is gone
                raise RuntimeError(
                    f"the worker {address} cannot import gridax ({error}); install the same "
                    "versions in all processes"
                )

    def _send(self) -> None:
        """Send the sweep, which may be large: it goes but once to each worker."""
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
            self._sent = self._client.submit(same, self._sweep, key=f"sweep-{self._sweep.name}")

    def _fill(self, batches: Iterator[Tasks]) -> bool:
        """Send as many blocks as the workers can have at hand; return whether any are under way."""
        most = max(1, self._threads()) * _AT_HAND
        while not self._alone and len(self._under_way) < most:
            if self._suspects:
                # A worker that dies takes all its tasks along, so the guilty one shows only alone.
                if not self._under_way:
                    self._alone = True
                    self._submit((self._suspects.popleft(),))
                break
            tasks = next(batches, None)
            if tasks is None:
                break
            self._submit(tasks)
        return bool(self._under_way)

    def _submit(self, tasks: Tasks) -> None:
        self._n += 1
        key = (self._key, self._n)
        future = self._client.submit(work, self._sent, tasks, key=key, pure=False)
        self._under_way[future] = tasks

    def _threads(self) -> int:
        now = time.monotonic()
        if now - self._looked > _LOOK:
            self._looked = now
            self._n_threads = sum(threads(self._client).values())
        return self._n_threads

    def _check_alive(self) -> None:
        """Refuse to wait for a cluster that is gone, or for workers that do not come."""
        check_connected(self._client)
        now = time.monotonic()
        if self._threads() or self._alone_since == float("-inf"):
            self._alone_since = now
        elif now - self._alone_since > _PATIENCE:
            raise RuntimeError(
                f"the cluster has had no worker for {_PATIENCE:.0f} seconds; start some "
                "(cluster.scale(4)), see why they end, or look at the dashboard "
                f"({self._client.dashboard_link}), and run again"
            )

    def _landed(self, future: Future) -> Iterator[BlockOutputs | Killed]:
        from distributed import KilledWorker

        tasks = self._under_way.pop(future)
        alone, self._alone = self._alone, False
        if future.status == "finished":
            yield from future.result()
            return
        if future.status in ("cancelled", "lost"):
            raise _gone("its tasks were cancelled")
        error = future.exception()
        if not isinstance(error, KilledWorker):
            raise _explained(error)
        if not alone:
            self._suspects.extend(tasks)
            return
        yield Killed(tasks[0], _told(error))


def _told(error: Any) -> str:
    return (
        f"KilledWorker: {error.allowed_failures + 1} workers died while they evaluated the block "
        "of this point, for want of memory or by a crash of the model"
    )


def threads(client: Client) -> dict[str, int]:
    """Return the number of threads of each worker.

    Raises
    ------
    RuntimeError
        If the client is closed, or the scheduler gone.
    """
    check_connected(client)
    with _connection():
        return client.nthreads()


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    """Say what it means where a scheduler does not answer."""
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise _gone(f"{type(error).__name__}: {error}") from error


def check_connected(client: Client) -> None:
    """Refuse a client that is closed, or whose scheduler is gone."""
    if client.status in ("closing", "closed"):
        raise _gone("the client is closed")
    if client.status not in ("running", "newly-created"):
        raise _gone(f"the client is {client.status}")


def _gone(why: str) -> RuntimeError:
    return RuntimeError(
        f"the connection to the scheduler of the cluster is lost ({why}); connect a new client, "
        "and run again"
    )


def _explained(error: BaseException) -> BaseException:
    """Return an error of a worker, with what to do where the model is not to blame."""
    if isinstance(error, ModuleNotFoundError):
        error.add_note(
            f"a worker cannot import {error.name!r}: install it there, or send a module of yours "
            "with client.upload_file"
        )
    return error


def batches(tasks: Iterator[Task], n: int) -> Iterator[Tasks]:
    """Yield blocks, so many to a task."""
    waiting: list[Task] = []
    for task in tasks:
        waiting.append(task)
        if len(waiting) == n:
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)
