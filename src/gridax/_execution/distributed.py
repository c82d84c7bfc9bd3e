"""Blocks of a sweep on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gridax import _checks, _devices
from gridax._execution import worker
from gridax._execution.base import Execution, at_point
from gridax._execution.flight import Flight, Killed, batches, threads
from gridax._execution.parallel import ParallelExecution
from gridax._execution.sequential import SequentialExecution
from gridax._execution.worker import Part, Sweep
from gridax._outputs.template import Template
from gridax._plan.blocks import Wish
from gridax._plan.blocks import shape as block_shape
from gridax._plan.plan import Box, Region, boxes, n_points, shape_of
from gridax._run.order import Evaluated, Order
from gridax._stores.base import Task
from gridax._stores.memory import MemoryStore
from gridax.space import Space

if TYPE_CHECKING:
    from distributed import Client

    from gridax._stores.zarr import ZarrStore

# Of points that somebody else has stored.
_NOWHERE = Region((), (), ())
# Seconds that processes of this machine may take to start.
_START = 120
# What a task should take at least: the scheduler needs some milliseconds for each.
_TASK_SECONDS = 0.25


class DaskExecution(Execution):
    """Evaluate a model on the workers of a Dask cluster, block by block.

    Each worker gets the model and the space once, compiles once, and uses all of its own devices.
    With ``run(store=…)`` workers write their blocks themselves, so the path must mean the same
    place to all of them; without a store, blocks come back to this process.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``.
    space : Space
        The points.
    *args, **kwargs
        Passed on to the model.
    client : distributed.Client, optional
        Of any cluster: SSH, Slurm through dask-jobqueue, Kubernetes. If None, a cluster of
        processes on this machine, one per core, which is closed at the end of each run.
    n_vmap : int, optional
        As in `ParallelExecution`.
    jit : bool, optional
        Whether the model is a JAX model, to be compiled. If not, it may be any callable, and each
        worker evaluates one point at a time.

    Raises
    ------
    TypeError, ValueError
        If `client` is no client, `n_vmap` no positive integer, or `n_vmap` is given without `jit`.
    ImportError
        If the package distributed is not installed.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")
    >>> sweep = DaskExecution(lambda s: 2 * float(s["x"]), space, jit=False)
    >>> result = sweep.run(progress=False)
    >>> result.dataset["value"].sel(x=1.0).item()
    2.0
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space,
        *args: Any,
        client: Client | None = None,
        n_vmap: int | None = None,
        jit: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, space, args, kwargs)
        distributed = _distributed()
        if client is not None and not isinstance(client, distributed.Client):
            raise TypeError(
                f"client must be a distributed.Client, got {client!r}; make one with "
                "distributed.Client(cluster)"
            )
        if not isinstance(jit, bool):
            raise TypeError(f"jit must be True or False, got {jit!r}")
        if n_vmap is not None:
            n_vmap = _checks.count(n_vmap, "DaskExecution", "n_vmap")
        if n_vmap is not None and not jit:
            raise ValueError("n_vmap goes with jit=True; other models take one point at a time")
        self.client, self.n_vmap, self.jit = client, n_vmap, jit
        self._pickled = b""
        # Knows what the model returns; it evaluates nothing here but, if need be, the first point.
        self._inner: Execution
        if jit:
            self._inner = ParallelExecution(model, space, *self.args, n_vmap=n_vmap, **self.kwargs)
        else:
            self._inner = SequentialExecution(model, space, *self.args, **self.kwargs)

    def _template(self, known: Template | None, record: bool) -> Template | None:
        # Before a store is made, and before a cluster is started.
        self._pickled = worker.pickled(self.model, self.space, self.args, self.kwargs)
        return self._inner._template(known, record)

    def _wish(self, memory: int | None) -> Wish:
        return self._inner._wish(memory)

    def _program(self) -> str | None:
        return self._inner._program()

    def _n_workers(self) -> int:
        if self.client is None:
            return _devices.n_cores()
        return max(1, sum(threads(self.client).values()))

    def _evaluate(self, order: Order) -> Iterator[Evaluated]:
        store, shape = order.store, self.space.shape
        handle: Any = None
        if isinstance(store, MemoryStore):
            outputs = store.outputs
            nbytes = sum(output.nbytes for output in outputs)
            wish = dataclasses.replace(self._wish(order.memory), nbytes=nbytes)
            block = block_shape(shape, wish, self._n_workers())
            tasks = _missing(store, boxes(shape, block))
        else:
            shared: ZarrStore = cast("ZarrStore", store)  # whose module takes time to import
            # Of blocks that are not finished by that, workers will count all points.
            before = sum(map(n_points, shared.left()))
            shared.copy_known()
            yield _NOWHERE, before - sum(map(n_points, shared.left()))
            outputs, handle, block = shared.outputs, shared.handle(), shared.block
            tasks = map(Task, shared.left())
        with self._connected() as client:
            names = threads(client) if self.client is None else {}
            sweep = Sweep(
                name=uuid.uuid4().hex[:8],
                program=self._pickled,
                n_vmap=self.n_vmap,
                jit=self.jit,
                outputs=outputs,
                handle=handle,
                block=block,
                memory=order.memory,
                record=order.record,
                cores=dict(zip(names, _devices.cores(), strict=False)),
                versions=worker.versions(),
                settings=worker.settings(),
            )
            flight = Flight(client, sweep, self._key_title())
            n = self._per_task(block, order.memory)
            for part in flight.results(batches(tasks, n)):
                if isinstance(part, Killed):
                    yield from self._killed(part, order)
                else:
                    yield from _landed(part)

    def _per_task(self, block: tuple[int, ...], memory: int | None) -> int:
        """Return how many blocks a task has: several small ones, but enough tasks for all."""
        seconds = max(self._wish(memory).seconds * math.prod(block), 1e-6)
        n_blocks = math.prod(math.ceil(n / b) for n, b in zip(self.space.shape, block, strict=True))
        enough = max(1, n_blocks // (4 * self._n_workers()))
        return max(1, min(math.ceil(_TASK_SECONDS / seconds), enough))

    def _key_title(self) -> str:
        plain = "".join(c if c.isalnum() or c == "_" else "_" for c in self.title)
        return plain.strip("_") or "model"

    def _killed(self, part: Killed, order: Order) -> Iterator[Evaluated]:
        """Record that a block always kills its worker, or raise an error with its labels."""
        box = part.task.box
        if not order.record:
            ends = [np.array([a, b - 1]) for a, b in box]
            with at_point(self.space, lambda: ends):
                raise RuntimeError(part.text)
        order.store.begin(box)
        yield _all_of(part.task), part.text

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Client]:
        if self.client is not None:
            yield self.client
            return
        from distributed import Client, SubprocessCluster

        # Processes of their own, neither forked nor running the user's script again.
        n = _devices.n_cores()
        quiet: Any = {"dashboard_address": None}
        with contextlib.ExitStack() as stack:
            with _deaf():
                local = SubprocessCluster(n_workers=n, threads_per_worker=1, **quiet)
                stack.enter_context(local)
            client = stack.enter_context(Client(local))
            client.wait_for_workers(n, timeout=_START)
            yield client


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: a terminal sends it to all, this one tells them.

    They inherit what the thread that starts them blocks, and it does so from this one.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _landed(part: Part) -> Iterator[Evaluated]:
    if part.stored is not None:
        yield _NOWHERE, part.stored
        return
    box, todo = part.task
    shape = shape_of(box)
    good = np.ones(shape, bool) if todo is None else todo.copy()
    for index, text in part.errors.items():
        good[index] = False
        yield Region(box, shape, index), text
    if good.all():
        yield _all_of(part.task), part.arrays
    elif good.any():
        yield Region(box, shape, np.nonzero(good)), [array[good] for array in part.arrays]


def _all_of(task: Task) -> Region:
    shape = shape_of(task.box)
    return Region(task.box, shape, (slice(None),) * len(shape))


def _missing(store: MemoryStore, blocks: Iterator[Box]) -> Iterator[Task]:
    """Yield the blocks in which points are still to be evaluated."""
    for box in blocks:
        todo = store.pending(box)
        if todo.any():
            yield Task(box, None if todo.all() else todo)


def _distributed() -> Any:
    """Return the package distributed.

    Raises
    ------
    ImportError
        If it is not installed, with what to do.
    """
    try:
        import distributed
    except ImportError as error:
        raise ImportError(
            "DaskExecution needs the package distributed: pip install 'gridax[dask]'"
        ) from error
    return distributed
