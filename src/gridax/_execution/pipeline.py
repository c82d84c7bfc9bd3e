"""Batches in flight: devices compute while earlier outputs are copied to the host."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import numpy as np

from gridax import _devices, _memory
from gridax._arrays import writable
from gridax._execution.batch import Batch
from gridax._execution.front import NOT_REACHED, Front
from gridax._execution.on_host import HostCells
from gridax._grid.points import Points
from gridax._kernel.prepared import Prepared
from gridax._kernel.program import out_of_memory
from gridax._plan import tiling
from gridax._plan.plan import Box, Plan
from gridax._plan.tuning import Lap, Tuner
from gridax._run.evaluator import Evaluated, Failed, Request
from gridax._run.notes import noting_labels
from gridax._stores.base import Computed
from gridax._warnings import warn


@dataclasses.dataclass
class _Started:
    batch: Batch
    outputs: list[list[jax.Array]]  # of all devices, or of each tile of one device
    counts: list[jax.Array]  # of iterations
    nan: list[jax.Array]  # whether NaN was not skipped
    then: Callable[[], object] | None = None


class Pipeline:
    """Evaluates batches in order, several of them in flight, and yields each when it is done.

    A batch that does not fit into the memory of a device is split until it does. A batch in which
    the model raises an error is split until the failing point is found, so that one bad point does
    not cost the others.

    Parameters
    ----------
    points, prepared : what is evaluated.
    tuner : is told how even loops are.
    request : says whether an error of the model is yielded in place of outputs, or raised, and when
        the time is over.
    host : evaluates cells of a reduced sweep in which the model raises an error.
    """

    def __init__(
        self,
        points: Points,
        prepared: Prepared,
        tuner: Tuner,
        request: Request,
        host: HostCells | None = None,
    ) -> None:
        self._points, self._prepared, self.tuner = points, prepared, tuner
        self._record, self.deadline, self._host = request.record, request.deadline, host
        self._waiting: collections.deque[_Started] = collections.deque()
        self._narrowed = prepared.narrowed
        self._too_large: int | None = None
        # Blocks of which only some points are requested, and which ones.
        self.todo: dict[Box, np.ndarray] = {}

    def submit_all(self, batches: Iterable[Batch], lap: Lap | None = None) -> Iterator[Evaluated]:
        """Start batches until the time is over, and yield what is done.

        The tuner is told when all batches of a lap are done.
        """
        for batch in batches:
            if self.deadline.is_over:
                return
            yield from self.submit(batch)
        if lap is not None:
            self.after_this(functools.partial(self.tuner.end, lap))

    def submit(self, batch: Batch) -> Iterator[Evaluated]:
        """Start a batch, and yield what is done of the earlier ones."""
        if batch.plan in self._narrowed:
            yield from self._submit_split(batch)
            return
        try:
            with noting_labels(self._points, self._extent(batch)):
                kernel = self._prepared.kernel(batch.choice, batch.plan, batch.continues)
                outputs = kernel(batch.index, *batch.carried())
                self.deadline.note_begun()
        except Exception as error:
            yield from self._failed(batch, error)
            return
        counts = [part.pop() for part in outputs] if batch.plan.is_counted else []
        nan = [] if self._host is None else [part.pop() for part in outputs]
        self._waiting.append(_Started(batch, outputs, counts, nan))
        if len(self._waiting) > tiling.IN_FLIGHT:
            yield from self._fetch(self._waiting.popleft())

    def after_this(self, then: Callable[[], object]) -> None:
        """Call a function once everything that was submitted so far is done."""
        if self._waiting:
            self._waiting[-1].then = then
        else:
            then()

    def drain(self) -> Iterator[Evaluated]:
        """Yield everything that is in flight."""
        while self._waiting:
            yield from self._fetch(self._waiting.popleft())

    def _fetch(self, started: _Started) -> Iterator[Evaluated]:
        batch = started.batch
        try:
            with noting_labels(self._points, self._extent(batch)):
                parts = fetched(started.outputs)
        except Exception as error:
            started.outputs.clear()
            yield from self._failed(batch, error)
            return
        if any(np.asarray(nan).any() for nan in started.nan):
            self._prepared.skips_nan = True
            yield from self.submit(batch)
            if started.then is not None:
                self.after_this(started.then)
            return
        if started.counts and self.tuner.counts:
            self.tuner.counted(*batch.plan.waiting(np.asarray(started.counts[0])[0]))
        if started.then is not None:
            started.then()
        if self._too_large is not None:
            self._warn_of_memory(batch.plan)
        for i, (region, found) in enumerate(zip(batch.regions, batch.arrays(parts), strict=True)):
            batch.reached(i, found)
            if self._host is not None:
                none = np.zeros((1,) * len(batch.plan.levels), np.int64)
                found = self._host.reduced.arrays(found, none)
            yield Computed(region, found, owned=self._host is None)

    def _extent(self, batch: Batch) -> Callable[[], list[np.ndarray]]:
        """Return a function that returns the first and last index along each dimension."""
        host = self._host
        if host is None:
            return batch.extent
        return lambda: host.reduced.cells.extent(batch.box())

    def _failed(self, batch: Batch, error: Exception) -> Iterator[Evaluated]:
        """Evaluate a batch in smaller pieces; yield or raise the error if it is a single point."""
        yield from self.drain()  # earlier batches are not lost
        if out_of_memory(error):
            self._narrow(batch.plan, error)
            yield from self._submit_split(batch)
        elif len(batch.tiles) == 1 == batch.n_together:
            region = batch.regions[0]
            if self._host is not None and _of_model(error):
                yield self._host.cells(region.box, batch.box())
                return
            if batch.n_steps > 1:
                yield from self._by_step(batch)
                return
            recorded = self._record and _of_model(error)
            todo = self.todo.get(region.box)
            is_asked_for = todo is None or todo.reshape(region.shape)[region.where].any()
            if not recorded and is_asked_for:
                raise error from error.__cause__  # rather than the errors of the larger batches
            if batch.front is not None:
                batch.front.ended(batch.chains[0])
            yield Failed(region, error)
        else:
            for piece in batch.split(self._finer(batch.plan)):
                yield from self.submit(piece)
                yield from self.drain()  # one at a time, so that it is known which piece failed

    def _by_step(self, batch: Batch) -> Iterator[Evaluated]:
        """Evaluate a single chain step by step until the model raises an error."""
        (tile,), plan = batch.tiles, batch.plan
        n = plan.along
        assert n is not None
        levels = list(plan.levels)
        levels[n] = dataclasses.replace(levels[n], depth=1)
        single = dataclasses.replace(plan, levels=tuple(levels), n_devices=1, n_threads=1)
        front = batch.front or front_of(self._points, self._prepared, tile.box)
        steps, mine = tile.runs[n], front.alone()
        for k in range(len(steps)):
            at = tile._replace(runs=(*tile.runs[:n], steps[k : k + 1], *tile.runs[n + 1 :]))
            one = Batch(batch.choice, single, [at], mine, k > 0 or batch.continues)
            for evaluated in itertools.chain(self.submit(one), self.drain()):
                yield evaluated
                if isinstance(evaluated, Failed):
                    rest = tile._replace(runs=(*tile.runs[:n], steps[k + 1 :], *tile.runs[n + 1 :]))
                    if len(steps) > k + 1:
                        yield Failed(plan.region(rest), NOT_REACHED)
                    return
            mine.go_on(batch.chains[0])

    def _finer(self, plan: Plan) -> Plan:
        """Return a plan of much smaller tiles, one at a time.

        Halving the tiles several times at once needs few programs and few calls to find a point.
        """
        finer = dataclasses.replace(plan, n_devices=1, n_threads=1)
        for _ in range(5):
            if math.prod(finer.tile) > 1:
                finer = self._prepared.sweep.narrower(finer) or finer
        return finer

    def _submit_split(self, batch: Batch) -> Iterator[Evaluated]:
        for piece in batch.split(self._narrowed[batch.plan]):
            yield from self.submit(piece)

    def _narrow(self, plan: Plan, error: BaseException) -> None:
        """Choose a narrower plan for one that does not fit into memory."""
        if plan in self._narrowed:
            return
        narrower = self._prepared.sweep.narrower(plan)
        if narrower is None:
            needed = self._prepared.nbytes(plan)
            free = _memory.free(_devices.devices()[0])
            there = "" if free is None else f", of which {_memory.human(free)} is free"
            error.add_note(
                f"a single point needs {_memory.human(needed)} of the device's memory{there}: "
                "return less, keep less in the model, or use fewer devices (n_pmap)"
            )
            raise error
        self._narrowed[plan] = narrower
        self._too_large = self._too_large or math.prod(plan.tile)

    def _warn_of_memory(self, plan: Plan) -> None:
        """Warn once, when a smaller tile did fit, of what fits."""
        fits = math.prod(plan.tile)
        text = (
            f"a tile of {self._too_large} points does not fit into the memory of the device; the "
            f"sweep continues with tiles of {fits}. Pass n_vmap={plan.n_vmap} to start with them"
        )
        self._too_large = None
        warn(text)


def fetched(outputs: Sequence[Sequence[jax.Array]]) -> list[list[np.ndarray]]:
    """Return outputs on the host, once they are computed."""
    jax.block_until_ready(outputs)  # Ctrl-C interrupts this, but not the copy
    return [[writable(np.asarray(output)) for output in part] for part in outputs]


def front_of(points: Points, prepared: Prepared, box: Box) -> Front:
    """Return the front of the chains through a block."""
    outputs = [prepared.template.outputs[k] for k in prepared.carried]
    return Front(points, prepared.carried, outputs, box)


def _of_model(error: Exception) -> bool:
    """Whether an error comes from the model rather than from the device or the runtime."""
    return not isinstance(error, jax.errors.JaxRuntimeError) or "allback" in str(error)
