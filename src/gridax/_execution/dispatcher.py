"""Divides blocks into batches of tiles, with the plans that are known to be fast or are tried."""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gridax._execution.batch import Batch
from gridax._execution.front import Front
from gridax._execution.pipeline import Pipeline
from gridax._kernel.arguments import Arguments
from gridax._kernel.prepared import Choice, Prepared
from gridax._plan.blocks import pieces
from gridax._plan.limits import Limits
from gridax._plan.plan import Plan, Tile, n_points
from gridax._plan.slices import Slices
from gridax._run.evaluator import Evaluated
from gridax._stores.base import Task


class Dispatcher:
    """Submits the batches of blocks to a pipeline.

    Parameters
    ----------
    arguments, prepared : what is evaluated.
    limits : within which plans are.
    pipeline : evaluates the batches.
    """

    def __init__(
        self, arguments: Arguments, prepared: Prepared, limits: Limits, pipeline: Pipeline
    ) -> None:
        self._arguments, self._prepared, self._limits = arguments, prepared, limits
        self._pipeline, self._tuner = pipeline, pipeline.tuner

    def task(self, task: Task, n_left: int) -> Iterator[Evaluated]:
        """Evaluate the points of a block that are to be evaluated.

        `n_left` is the number of all points that are to be evaluated from this block on.
        """
        if task.todo is None:
            yield from self._block(task, n_left)
            return
        self._pipeline.todo[task.box] = task.todo
        yield from self._pipeline.submit_all(self._missing(task))
        self._forget(task)

    def chains(self, task: Task, front: Front, n_left: int) -> Iterator[Evaluated]:
        """Evaluate the chains through a block."""
        yield from front.not_reached(task)
        if task.todo is not None:
            self._pipeline.todo[task.box] = task.todo
        for take, continues in front.stretches():
            if take is None:
                yield from self._block(task, n_left, front, continues)
                continue
            small = self._smaller(self._tuner.best, take)
            batches = self.batches(small, small.tiles(task.box, take), front, continues)
            yield from self._pipeline.submit_all(batches)
        self._forget(task)

    def next_plan(self, n_left: int) -> tuple[Plan, int]:
        """Return the next plan, compiled, and how many points it is for."""
        while True:
            plan, n = self._tuner.next(n_left)
            if plan is self._tuner.best:  # which is compiled
                return plan, n
            self._tuner.compiled(self._prepared.compile(plan))
            if self._prepared.fits(plan, self._limits.memory):
                return plan, n
            self._tuner.drop(plan)

    def batches(
        self,
        plan: Plan,
        tiles: Iterable[Tile],
        front: Front | None = None,
        continues: bool = False,
    ) -> Iterator[Batch]:
        """Yield tiles in batches of those that share their static choices."""
        cells = self._prepared.sweep.cells
        waiting: dict[Choice, list[Tile]] = collections.defaultdict(list)
        for tile in tiles:
            choice: Choice = ()
            if self._arguments.chosen:
                index = plan.first(tile)
                if cells is not None:
                    index = cells.first_point(index)
                choice = self._arguments.choice_at(index)
            waiting[choice].append(tile)
            if len(waiting[choice]) == plan.n_parallel:
                yield Batch(choice, plan, waiting.pop(choice), front, continues)
        for choice, some in waiting.items():
            yield Batch(choice, plan, some, front, continues)

    def _block(
        self, task: Task, n_left: int, front: Front | None = None, continues: bool = False
    ) -> Iterator[Evaluated]:
        """Evaluate a block; in a long sweep, try other plans on slices of it."""
        box, tuner, pipeline = task.box, self._tuner, self._pipeline
        cut = Slices(box, tuner.best, task.take)
        while not (cut.is_empty or pipeline.deadline.is_over):
            plan, n = self.next_plan(n_left)
            if is_trial := n < n_left:
                yield from pipeline.drain()  # a trial has the devices to itself
            take, n_taken = cut.take(n, plan)
            n_left -= n_taken
            # Points that are computed twice take time as well.
            lap = tuner.begin(plan, plan.n_tiles(box, take) * math.prod(plan.tile))
            batches = self.batches(plan, plan.tiles(box, take), front, continues)
            yield from pipeline.submit_all(batches, lap)
            if is_trial:
                yield from pipeline.drain()

    def _missing(self, task: Task) -> Iterator[Batch]:
        """Yield the batches of the points of a block that are still to be evaluated."""
        assert task.todo is not None
        plan = self._prepared.tuner(self._limits).best
        for take in pieces(task.todo):
            if take is None:
                placed = ((tile, plan.region(tile)) for tile in plan.tiles(task.box))
                tiles = (t for t, at in placed if task.todo.reshape(at.shape)[at.where].any())
                yield from self.batches(plan, tiles)
                continue
            small = self._smaller(plan, take)
            yield from self.batches(small, small.tiles(task.box, take))

    def _smaller(self, plan: Plan, take: Sequence[np.ndarray]) -> Plan:
        """Return a plan for some of the points of a block."""
        # Rounded up to powers of two, so that few programs are compiled.
        lengths = zip(map(len, take), plan.block, strict=True)
        shape = [min(n, 1 << (length - 1).bit_length()) for length, n in lengths]
        if plan.chain is not None:  # all steps take time, and there are few lengths
            shape[plan.chain.dim] = len(take[plan.chain.dim])
        if 2 * math.prod(shape) <= math.prod(plan.block):
            return self._prepared.plan(self._limits._replace(block=tuple(shape)))
        return plan

    def _forget(self, task: Task) -> None:
        """Forget which points of a block were requested, once they are done."""
        todo = self._pipeline.todo
        self._pipeline.after_this(functools.partial(todo.pop, task.box, None))


def n_points_of(task: Task) -> int:
    """Return the number of points of a task."""
    if task.take is not None:
        return math.prod(map(len, task.take))
    return n_points(task.box) if task.todo is None else int(task.todo.sum())
