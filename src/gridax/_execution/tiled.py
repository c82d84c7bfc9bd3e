"""Evaluates a job tile by tile: compiled, vectorized, on several devices at the same time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from gridax._devices import SETTINGS
from gridax._execution.batch import Batch
from gridax._execution.dispatcher import Dispatcher, n_points_of
from gridax._execution.front import whole_chains
from gridax._execution.on_host import HostCells
from gridax._execution.pipeline import Pipeline, fetched, front_of
from gridax._garbage import uncollected
from gridax._kernel.arguments import Arguments, warn_of_batched_keys
from gridax._kernel.prepared import Prepared
from gridax._outputs.template import Template
from gridax._plan.blocks import Wish
from gridax._plan.limits import Limits
from gridax._plan.plan import Plan, Region, box_of, shape_of
from gridax._plan.tuning import Tuner
from gridax._reduce.outputs import ReducedOutputs
from gridax._run.evaluator import Bounds, Evaluated, Evaluator, Failed, Request
from gridax._run.fingerprints import Traced
from gridax._run.job import Job
from gridax._stores.base import Computed, Task


def _settings() -> list[Any]:
    """Return the settings of JAX for which a model is traced and planned anew."""
    return [getattr(jax.config, name) for name in (*SETTINGS, "jax_default_device")]


class TiledEvaluator(Evaluator):
    """Traces, plans and compiles the model of a job, and evaluates it in tiles of points.

    Parameters
    ----------
    job : what is evaluated.
    n_vmap, n_pmap : as in `ParallelExecution`.
    """

    is_traced = True

    def __init__(self, job: Job, n_vmap: int | None, n_pmap: int | None) -> None:
        self._job, self._points, self._n_vmap, self._n_pmap = job, job.points, n_vmap, n_pmap
        self._arguments = Arguments(job.points, job.args, dict(job.kwargs), job.derivatives)
        warn_of_batched_keys(leaf.impl for leaf in self._arguments.leaves if leaf.impl is not None)
        self._rejections = list(self._arguments.rejections())
        self._by_settings: dict[tuple[Any, ...], Prepared] = {}
        self._programs: dict[Prepared, Traced] = {}
        self._only: Batch | None = None

    def __reduce__(self) -> Any:
        return TiledEvaluator, (self._job, self._n_vmap, self._n_pmap)  # without what is compiled

    def deriving(self, job: Job) -> TiledEvaluator:
        """Return an evaluator of the same points whose outputs include derivatives."""
        return TiledEvaluator(job, self._n_vmap, self._n_pmap)

    def plan(self, bounds: Bounds) -> Plan:
        """Return how the sweep will be divided into blocks and tiles."""
        reduced = bounds.reduced
        on_device = reduced if self._reduces(reduced) else None
        plan = self._prepared(on_device).plan(
            Limits(self._n_vmap, bounds.memory, lanes=bounds.lanes)
        )
        if reduced is None:
            return plan
        where = "" if on_device else ", on the host"
        return dataclasses.replace(plan, reduced=reduced.text(self._points.dims) + where)

    def template(self, known: Template | None, record: bool) -> Template:
        """Return what the model returns, from its trace.

        Raises
        ------
        Exception
            What the wrap of an axis raises for one of its values, unless it is recorded.
        """
        for _, _, error in () if record else self._rejections:
            raise error
        return self._prepared().template

    def wish(self, bounds: Bounds) -> Wish:
        """Return which blocks suit the tiles of the plan."""
        reduced = bounds.reduced
        if reduced is not None and not self._reduces(reduced):
            return reduced.wish(self.seconds(), self._points.chain)
        return self._prepared(reduced).wish(Limits(self._n_vmap, bounds.memory, lanes=bounds.lanes))

    def seconds(self) -> float:
        """Return about how long a point takes, according to its trace."""
        return self._prepared().sweep.seconds() / self._points.n

    def program(self) -> Traced:
        """Return the model as it is traced now."""
        prepared = self._prepared()
        if prepared.calls_back:  # functions that may change, whose fingerprint is that of now
            traced = Traced(prepared.digest)
            _ = traced.fingerprint
            return traced
        if prepared not in self._programs:
            self._programs[prepared] = Traced(prepared.digest)
        return self._programs[prepared]

    def _prepared(self, reduced: ReducedOutputs | None = None) -> Prepared:
        """Trace the model once per static choice; kept for the next run with these settings."""
        key = *_settings(), None if reduced is None else reduced.reduction
        if key not in self._by_settings:
            with uncollected():
                prepared = Prepared(self._job.model, self._arguments, self._n_pmap, reduced)
            self._by_settings[key] = prepared
        return self._by_settings[key]

    def _reduces(self, reduced: ReducedOutputs | None) -> bool:
        """Whether outputs are reduced on the devices, rather than after they were fetched.

        There is one program per static choice, and a tile of it cannot have points of several
        choices; and nor can it leave out a point of which a wrap rejects the value.
        """
        if reduced is None:
            return False
        dims = {self._points.dim_numbers[c.dim] for c in self._arguments.chosen if c.dim}
        dims |= {dim for dim, _, _ in self._rejections if dim is not None}
        return dims.isdisjoint(reduced.cells.reduced)

    def evaluate(self, request: Request) -> Iterator[Evaluated]:
        """Evaluate tile by tile; outputs are fetched while the next tiles are computed."""
        reduced, self.again = request.reduced, None
        if reduced is not None and not self._reduces(reduced):
            yield from HostCells(self, self._points, request).evaluate()
            return
        prepared = self._prepared(reduced)
        limits = Limits(self._n_vmap, request.memory, request.block, request.lanes)
        tuner = prepared.tuner(limits)
        if not request.explores:
            tuner = Tuner(tuner.best)
        shape = self._points.shape
        host = None
        if reduced is not None:
            host = HostCells(self, self._points, request)
            shape = reduced.cells.shape
        pipeline = Pipeline(self._points, prepared, tuner, request, host)
        dispatcher = Dispatcher(self._arguments, prepared, limits, pipeline)
        tasks = request.store.tasks()
        whole = Task(box_of(shape))
        if tasks is None and self._rejections:
            yield from self._rejected(whole, reduced)[0]
            tasks = request.store.tasks()
        n_left = math.prod(shape)
        if tasks is None:
            plan, n = dispatcher.next_plan(n_left)
            if n == n_left:
                lap = tuner.begin(plan, n)
                yield from pipeline.submit_all(self._all_batches(dispatcher, plan), lap)
                tasks = iter(())
        chain, last = self._points.chain, None
        for task in iter([whole]) if tasks is None else tasks:
            if request.deadline.is_over:
                break
            failed, task = self._rejected(task, reduced)
            yield from failed
            n = n_points_of(task)
            if chain is not None and reduced is None:
                if last is not None and last.is_followed_by(task.box):
                    yield from pipeline.drain()
                front = front_of(self._points, prepared, task.box)
                front.begin(request.store, task, last)
                for region, _ in failed:
                    front.fail(region)
                last = front
                yield from dispatcher.chains(task, last, n_left)
            else:
                if chain is not None and reduced is not None:
                    task = whole_chains(task, chain.numbered(reduced.cells.grid))
                yield from dispatcher.task(task, n_left)
            n_left -= n
        yield from pipeline.drain()
        tuner.swept()
        if self._n_vmap is None:
            prepared.remember(limits)
        only, is_steady = self._only, tuner.is_steady(self._points.n)
        if only is not None and only.plan is tuner.best and is_steady and not prepared.calls_back:
            self.again = Repeated(prepared, tuner, only)

    def _all_batches(self, dispatcher: Dispatcher, plan: Plan) -> Iterable[Batch]:
        """Return the batches of a plan of one block; a single batch is kept for the next run."""
        if self._only is None or self._only.plan is not plan:
            batches = dispatcher.batches(plan, plan.tiles(next(plan.blocks())))
            first, second = next(batches), next(batches, None)
            if second is not None:
                return itertools.chain([first, second], batches)
            self._only = first
        return [self._only]

    def _rejected(self, task: Task, reduced: ReducedOutputs | None) -> tuple[list[Failed], Task]:
        """Return the points of a block whose values a wrap rejects, and the block without them."""
        if not self._rejections or task.take is not None:
            return [], task
        shape, failed = shape_of(task.box), []
        todo = np.full(shape, True) if task.todo is None else task.todo.copy()
        for dim, i, error in self._rejections:
            where: list[Any] = [slice(None)] * len(shape)
            if dim is not None:
                dim = dim if reduced is None else reduced.cells.grid.index(dim)
                start, stop = task.box[dim]
                if not start <= i < stop:
                    continue
                where[dim] = slice(i - start, i - start + 1)
            if todo[tuple(where)].any():
                failed.append(Failed(Region(task.box, shape, tuple(where)), error))
                todo[tuple(where)] = False
        return failed, Task(task.box, todo) if failed else task


class Repeated:
    """The only batch of a sweep, once there is nothing more to learn about how to evaluate it.

    Planning a sweep of few points takes longer than evaluating it.

    Parameters
    ----------
    prepared, tuner : what is swept, and what chooses how.
    batch : all points, in tiles of the fastest plan.
    """

    def __init__(self, prepared: Prepared, tuner: Tuner, batch: Batch) -> None:
        self._tuner, self._batch, self._settings = tuner, batch, _settings()
        self._n_outputs = len(prepared.template.outputs)
        self._kernel = prepared.kernel(batch.choice, batch.plan)
        self._index = self._kernel.placed(batch.index)

    def __call__(self) -> list[Computed] | None:
        """Return the outputs; None if they are to be computed otherwise, or the sweep fails."""
        batch = self._batch
        if self._tuner.best is not batch.plan or _settings() != self._settings:
            return None
        try:
            outputs = self._kernel(self._index)
            # Without the numbers of iterations.
            arrays = batch.arrays(fetched([part[: self._n_outputs] for part in outputs]))
        except Exception:
            return None
        pairs = zip(batch.regions, arrays, strict=True)
        return [Computed(region, found, owned=True) for region, found in pairs]
