"""Batches in flight: devices compute while earlier outputs are copied to the host."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from gridax import _devices, _memory
from gridax._arrays import writable
from gridax._execution.on_host import HostCells
from gridax._grid.points import Points
from gridax._kernel.prepared import Choice, Prepared, out_of_memory
from gridax._kernel.program import packed
from gridax._plan import tiling
from gridax._plan.plan import Box, Plan, Region, Tile
from gridax._plan.tuning import Tuner
from gridax._run.evaluator import Computed, Evaluated, Failed
from gridax._run.notes import noting_labels
from gridax._warnings import warn


class Batch:
    """Tiles of a plan that are started together, at most one per device, with one static choice."""

    def __init__(self, choice: Choice, plan: Plan, tiles: list[Tile]) -> None:
        self.choice, self.plan, self.tiles = choice, plan, tiles

    @functools.cached_property
    def index(self) -> np.ndarray:
        """The argument of the kernel; a device without a tile of its own repeats the last one."""
        idle = self.plan.n_devices - len(self.tiles)
        return packed(self.plan, self.tiles + self.tiles[-1:] * idle)

    @functools.cached_property
    def regions(self) -> list[Region]:
        """Where the tiles are in the grid."""
        return [self.plan.region(tile) for tile in self.tiles]

    def extent(self) -> list[np.ndarray]:
        """Return the first and last index along each dimension."""
        indices = map(self.plan.indices, self.tiles)
        runs = [np.concatenate(along) for along in zip(*indices, strict=True)]
        return [np.array([run.min(), run.max()]) for run in runs]

    def box(self) -> Box:
        """Return the smallest box that has all points."""
        return tuple((int(first), int(last) + 1) for first, last in self.extent())

    def split(self, narrower: Plan) -> Iterator[Batch]:
        """Yield the same points in batches of a narrower plan."""
        pieces = itertools.chain.from_iterable(map(narrower.split, self.tiles))
        while tiles := list(itertools.islice(pieces, narrower.n_devices)):
            yield Batch(self.choice, narrower, tiles)


@dataclasses.dataclass
class _Started:
    batch: Batch
    outputs: list[jax.Array]
    counts: jax.Array | None  # of iterations
    nan: jax.Array | None  # whether NaN was not skipped
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
    record : whether an error of the model is yielded in place of outputs, or raised.
    host : evaluates cells of a reduced sweep in which the model raises an error.
    """

    def __init__(
        self,
        points: Points,
        prepared: Prepared,
        tuner: Tuner,
        record: bool,
        host: HostCells | None = None,
    ) -> None:
        self._points, self._prepared, self._tuner, self._record = points, prepared, tuner, record
        self._host = host
        self._waiting: collections.deque[_Started] = collections.deque()
        self._narrowed = prepared.narrowed
        self._too_large: int | None = None
        self._watch = _devices.IdleCoresWatch()
        # Blocks of which only some points are requested, and which ones.
        self.todo: dict[Box, np.ndarray] = {}

    def submit(self, batch: Batch) -> Iterator[Evaluated]:
        """Start a batch, and yield what is done of the earlier ones."""
        if batch.plan in self._narrowed:
            yield from self._submit_split(batch)
            return
        try:
            with noting_labels(self._points, self._extent(batch)):
                outputs = self._prepared.kernel(batch.choice, batch.plan)(batch.index)
        except Exception as error:
            yield from self._failed(batch, error)
            return
        counts = outputs.pop() if batch.plan.is_counted else None
        nan = None if self._host is None else outputs.pop()
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
                jax.block_until_ready(started.outputs)  # Ctrl-C interrupts this, but not the copy
                arrays = [writable(np.asarray(output)) for output in started.outputs]
        except Exception as error:
            started.outputs.clear()
            yield from self._failed(batch, error)
            return
        if started.nan is not None and np.asarray(started.nan).any():
            yield from self._skipping_nan(started)
            return
        self._watch.check()
        if started.counts is not None and self._tuner.counts:
            self._tuner.counted(*batch.plan.waiting(np.asarray(started.counts)[0]))
        if started.then is not None:
            started.then()
        if self._too_large is not None:
            self._warn_of_memory(batch.plan)
        for i, (tile, region) in enumerate(zip(batch.tiles, batch.regions, strict=True)):
            # Without the points that were repeated to fill the tile.
            there: Any = (i, *(slice(len(run)) for run in tile.runs))
            found = [array[there] for array in arrays]
            if self._host is not None:
                none = np.zeros((1,) * len(tile.runs), np.int64)
                found = self._host.reduced.arrays(found, none)
            yield Computed(region, found, owned=self._host is None)

    def _extent(self, batch: Batch) -> Callable[[], list[np.ndarray]]:
        """Return a function that returns the first and last index along each dimension."""
        host = self._host
        if host is None:
            return batch.extent
        return lambda: host.reduced.cells.extent(batch.box())

    def _skipping_nan(self, started: _Started) -> Iterator[Evaluated]:
        """Evaluate a batch again, in whose outputs there was NaN."""
        self._prepared.skips_nan = True
        yield from self.submit(started.batch)
        if started.then is not None:
            self.after_this(started.then)

    def _failed(self, batch: Batch, error: Exception) -> Iterator[Evaluated]:
        """Evaluate a batch in smaller pieces; yield or raise the error if it is a single point."""
        yield from self.drain()  # earlier batches are not lost
        if out_of_memory(error):
            self._narrow(batch.plan, error)
            yield from self._submit_split(batch)
        elif len(batch.tiles) == 1 == math.prod(map(len, batch.tiles[0].runs)):
            region = batch.regions[0]
            if self._host is not None and _of_model(error):
                yield self._host.cell(region, batch.box())
                return
            recorded = self._record and _of_model(error)
            if not recorded and self._is_asked_for(region):
                raise error from error.__cause__  # rather than the errors of the larger batches
            yield Failed(region, error)
        else:
            for piece in batch.split(self._finer(batch.plan)):
                yield from self.submit(piece)
                yield from self.drain()  # one at a time, so that it is known which piece failed

    def _is_asked_for(self, region: Region) -> bool:
        todo = self.todo.get(region.box)
        return todo is None or bool(todo.reshape(region.shape)[region.where].any())

    def _finer(self, plan: Plan) -> Plan:
        """Return a plan of much smaller tiles on one device.

        Halving the tiles several times at once needs few programs and few calls to find a point.
        """
        finer = dataclasses.replace(plan, n_devices=1)
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
            free = _memory.free(jax.local_devices()[0])
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


def _of_model(error: Exception) -> bool:
    """Whether an error comes from the model rather than from the device or the runtime."""
    return not isinstance(error, jax.errors.JaxRuntimeError) or "allback" in str(error)
