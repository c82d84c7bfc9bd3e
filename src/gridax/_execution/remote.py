"""Evaluates a job block by block in other processes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gridax._execution import worker
from gridax._execution.pointwise import Carried, PointwiseEvaluator
from gridax._execution.tiled import TiledEvaluator
from gridax._execution.worker import Killed, Tasks, Workers
from gridax._outputs.template import Template
from gridax._plan import blocks
from gridax._plan.blocks import Wish
from gridax._plan.chain import Chain
from gridax._plan.plan import Plan, Region, n_points, shape_of
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.evaluator import (
    Bounds,
    Deadline,
    Evaluated,
    Evaluator,
    Failed,
    Request,
    StoredElsewhere,
)
from gridax._run.fingerprints import Traced
from gridax._run.job import Job
from gridax._run.notes import note_labels
from gridax._stores.base import Computed, Task
from gridax._stores.memory import MemoryStore

if TYPE_CHECKING:
    from gridax._stores.zarr import ZarrStore

# Seconds that a task should take at least, since sending one takes milliseconds.
_TASK_SECONDS = 0.25


class RemoteEvaluator(Evaluator):
    """Sends the blocks of a job to other processes.

    Parameters
    ----------
    job : what is evaluated.
    workers : the processes.
    n_vmap, jit : as in `DaskExecution`.
    """

    def __init__(self, job: Job, workers: Workers, n_vmap: int | None, jit: bool) -> None:
        self._job, self._workers, self._n_vmap, self._jit = job, workers, n_vmap, jit
        self._pickled = b""
        # Knows what the model returns; evaluates nothing in this process but the first point, if
        # that is the only way to find out.
        self._local: Evaluator = (
            TiledEvaluator(job, n_vmap, None) if jit else PointwiseEvaluator(job)
        )
        self.is_traced = self._local.is_traced

    def template(self, known: Template | None, record: bool) -> Template | None:
        """Return what the model returns."""
        # A model that cannot be pickled is rejected before a store or a cluster is created.
        self._pickled = worker.pickled(self._job, None)
        return self._local.template(known, record)

    def plan(self, bounds: Bounds) -> Plan:
        """Return how a worker divides its blocks."""
        plan = self._local.plan(bounds)
        return dataclasses.replace(plan, n_workers=self._workers.n())

    def deriving(self, job: Job) -> Evaluator:
        """Return an evaluator of the same points whose outputs include derivatives."""
        if not self._jit:
            return super().deriving(job)
        return RemoteEvaluator(job, self._workers, self._n_vmap, self._jit)

    @property
    def local(self) -> Evaluator:
        """What evaluates points in this process."""
        return self._local

    def wish(self, bounds: Bounds) -> Wish:
        """Return which blocks suit the workers."""
        wish = self._local.wish(bounds)
        return dataclasses.replace(wish, n_workers=self._workers.n())

    def seconds(self) -> float:
        """Return about how long a point takes."""
        return self._local.seconds()

    def program(self) -> Traced | None:
        """Return the model as it is traced now, or None if it never is."""
        return self._local.program()

    def evaluate(self, request: Request) -> Iterator[Evaluated]:
        """Send the blocks to the workers, and yield what they return."""
        store, reduced = request.store, request.reduced
        shape = self._job.points.shape if reduced is None else reduced.cells.shape
        handle: Any = None
        n_counted = 0
        if isinstance(store, MemoryStore):
            outputs = store.outputs
            nbytes = sum(output.nbytes for output in outputs)
            wish = self.wish(request)
            wish = dataclasses.replace(wish, nbytes=nbytes, is_whole=True)
            least = 1 if request.deadline.at == math.inf else blocks.MANY
            block = request.block or blocks.shape(shape, wish, least=least)
            boxes = itertools.chain.from_iterable(blocks.grouped(shape, block, wish.chain))
            tasks = store.pending_blocks(boxes if store.blocks is None else store.blocks())
            if wish.chain is not None:
                tasks = _with_known(store, tasks)
        else:
            shared: ZarrStore = cast("ZarrStore", store)  # its module is slow to import
            # Workers count all points of the blocks that copying does not finish, also those that
            # the run has counted already.
            before = sum(map(n_points, shared.left()))
            shared.copy_known()
            yield StoredElsewhere(before - sum(map(n_points, shared.left())))
            n_counted = shared.n_known()
            outputs, handle, block = shared.outputs, shared.handle(), shared.block
            tasks = map(Task, shared.left())
        plain = re.sub(r"\W", "_", self._job.title).strip("_")
        job = worker.RemoteJob(
            # Without characters that dashboards give a meaning.
            name=f"{plain or 'model'}-{uuid.uuid4().hex[:8]}",
            pickled=worker.pickled(self._job, reduced) if reduced else self._pickled,
            n_vmap=self._n_vmap,
            jit=self._jit,
            outputs=outputs,
            handle=handle,
            block=block,
            memory=request.memory,
            lanes=request.lanes,
            record=request.record,
            versions=worker.versions(),
            settings=worker.settings(),
            carried=self._carried(),
        )
        groups = _together(tasks, self._chain(reduced))
        batches = _batched(groups, self._per_task(shape, block, request), request.deadline)
        for outcome in self._workers.results(job, batches):
            if isinstance(outcome, Killed):
                yield from self._killed(outcome, request)
            elif outcome.stored is not None:
                n_again = min(n_counted, outcome.stored)
                n_counted -= n_again
                yield StoredElsewhere(outcome.stored - n_again)
            else:
                yield from _evaluated(outcome, reduced is not None)

    def _chain(self, reduced: ReducedOutputs | None) -> Chain | None:
        """Return along which dimension points, or cells, follow each other, if so."""
        chain = self._job.points.chain
        return chain if chain is None or reduced is None else chain.numbered(reduced.cells.grid)

    def _carried(self) -> Carried | None:
        is_chained = self._job.points.chain is not None
        local = self._local
        return local.carried() if is_chained and isinstance(local, PointwiseEvaluator) else None

    def _per_task(self, shape: tuple[int, ...], block: tuple[int, ...], request: Request) -> int:
        """Return the number of blocks per task: several small ones, if tasks are enough for all."""
        if request.deadline.at < math.inf:  # what was sent cannot be called back
            return 1
        wish = self.wish(request)
        seconds = max(wish.seconds * math.prod(block), 1e-6)
        n_blocks = math.prod(math.ceil(n / b) for n, b in zip(shape, block, strict=True))
        enough = max(1, n_blocks // (4 * self._workers.n()))
        return max(1, min(math.ceil(_TASK_SECONDS / seconds), enough))

    def _killed(self, killed: Killed, request: Request) -> Iterator[Evaluated]:
        """Record that a block kills its worker every time, or raise an error with its labels."""
        box = killed.task.box
        if not request.record:
            ends = [np.array([a, b - 1]) for a, b in box]
            if request.reduced is not None:
                ends = request.reduced.cells.extent(box)
            error = RuntimeError(killed.text)
            note_labels(error, self._job.points, ends)
            raise error
        request.store.begin(box)
        yield Failed(_all_of(killed.task), killed.text)


def _evaluated(outputs: worker.BlockOutputs, are_reduced: bool) -> Iterator[Evaluated]:
    box, todo = outputs.task.box, outputs.task.todo
    shape = shape_of(box)
    if are_reduced:  # cells have values even if points in them failed
        region = _all_of(outputs.task)
        if todo is not None:
            region = region._replace(where=np.nonzero(todo))
        arrays = outputs.arrays if todo is None else [array[todo] for array in outputs.arrays]
        yield Computed(region, arrays, errors=outputs.errors)
        return
    good = np.ones(shape, bool) if todo is None else todo.copy()
    for index, text in outputs.errors.items():
        good[index] = False
        yield Failed(Region(box, shape, index), text)
    if good.all():
        yield Computed(_all_of(outputs.task), outputs.arrays)
    elif good.any():
        yield Computed(
            Region(box, shape, np.nonzero(good)), [array[good] for array in outputs.arrays]
        )


def _all_of(task: Task) -> Region:
    shape = shape_of(task.box)
    return Region(task.box, shape, (slice(None),) * len(shape))


def _batched(groups: Iterator[Tasks], n: int, deadline: Deadline) -> Iterator[Tasks]:
    """Yield the blocks of `n` groups, for one process after each other, until the time is over."""
    while not deadline.is_over and (several := [*itertools.islice(groups, n)]):
        deadline.note_begun()
        yield tuple(itertools.chain.from_iterable(several))


def _with_known(store: MemoryStore, tasks: Iterator[Task]) -> Iterator[Task]:
    """Yield blocks with what is known of their chains."""
    for task in tasks:
        if task.todo is not None:
            outputs = store.outputs_at(task.box, range(len(store.outputs)))
            task = task._replace(known=(outputs, store.states(task.box)))
        yield task


def _together(tasks: Iterator[Task], chain: Chain | None) -> Iterator[Tasks]:
    """Yield blocks one by one, or those that the same chains go through together."""
    if chain is None:
        yield from ((task,) for task in tasks)
        return
    dim = chain.dim
    across = lambda task: (*task.box[:dim], *task.box[dim + 1 :])  # noqa: E731
    for _, group in itertools.groupby(tasks, across):
        yield tuple(group)
