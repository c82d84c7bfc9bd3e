"""How long a sweep will take, measured on points that are spread over its grid."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gridax._plan import blocks
from gridax._plan.plan import Box, Plan, Region, shape_of
from gridax._run.evaluator import Deadline, Evaluator, Request, store_evaluated
from gridax._stores.base import NO_ERRORS, PENDING, Store, Task

# Seconds in which faster plans are looked for, and in which the points are timed.
_WARM, _TIMED = 6.0, 2.5
# The points are timed in so many parts, whose differences tell how sure the estimate is.
_PARTS = 12
# Fraction of the estimate that machines that are more or less busy account for.
_BUSY = 0.1
# Tiles of a block that is timed.
_TILES = 8


class _Sample(Store):
    """Points that are evaluated only to see how long they take, spread over the grid.

    Parameters
    ----------
    sizes, wish, plan : of the grid, which blocks suit the evaluator, and how it divides them.
    request : as for a run.

    Attributes
    ----------
    events : when so many points were computed.
    total : number of points that the whole sweep computes.
    """

    def __init__(
        self, sizes: Sequence[int], wish: blocks.Wish, plan: Plan, request: Request
    ) -> None:
        self._sizes, self._wish, self._plan = sizes, wish, plan
        # Any points can be evaluated together, unless they depend on each other.
        self._is_spread = request.reduced is None and wish.chain is None and plan.n_together > 1
        self._done: dict[Box, np.ndarray] = {}
        self.events: list[tuple[float, int]] = []
        self.total = math.prod(sizes)
        if self._is_spread:  # points that are computed twice take time, too
            self.total = plan.n_tiles(tuple((0, n) for n in sizes)) * math.prod(plan.tile)

    def tasks(self) -> Iterator[Task]:
        """Yield points that are spread over the grid, or blocks; of chains, their first points."""
        n_together = math.prod(self._plan.tile) * self._plan.n_parallel
        # Some tiles, so that the last one, which may be computed in part twice, hardly counts.
        n_points = _TILES * n_together if n_together > 1 else 1
        if self._is_spread:
            yield from self._spread(blocks.nearly_cubic(self._sizes, self._plan.lengths, n_points))
            return
        tile = blocks.nearly_cubic(self._sizes, self._wish.tile, n_points)
        chain = self._wish.chain
        if chain is not None:
            along = self._sizes[chain.dim]
            steps = along if self._wish.seconds * along < _TIMED / _PARTS else 1
            tile = (*tile[: chain.dim], steps, *tile[chain.dim + 1 :])
            tile = chain.fitting(tile, self._sizes)
        for group in blocks.grouped(self._sizes, tile, chain, is_coarse=True):
            yield Task(group[0])

    def _spread(self, lengths: Sequence[int]) -> Iterator[Task]:
        """Yield products of indices that are spread along each dimension, each time others."""
        whole = tuple((0, size) for size in self._sizes)
        for i in range(math.ceil(self.total / math.prod(lengths))):
            # The fractional parts of multiples of the golden ratio fill the gaps evenly.
            shift = (0.5 + i * 0.6180339887498949) % 1.0
            take = tuple(
                ((np.arange(n) + shift) * (size / n)).astype(np.int64)
                for n, size in zip(lengths, self._sizes, strict=True)
            )
            yield Task(whole, take=take)

    def write(
        self,
        region: Region,
        values: Sequence[Any],
        owned: bool = False,
        errors: Mapping[tuple[int, ...], str] = NO_ERRORS,
    ) -> int:
        """Count the points of a tile that are new."""
        if self._is_spread:
            new = math.prod(self._plan.tile)
        else:
            done = self._done.setdefault(region.box, np.zeros(shape_of(region.box), bool))
            done = done.reshape(region.shape)
            new = int(np.size(done[region.where]) - np.count_nonzero(done[region.where]))
            done[region.where] = True
        self.events.append((time.perf_counter(), new))
        return new

    def fail(self, region: Region, error: Exception | str) -> int:
        """Count the points at which the model failed."""
        return self.write(region, ())

    def begin(self, box: Box) -> None:
        """Do nothing: everything is open."""

    def states(self, box: Box) -> np.ndarray:
        """Return that nothing is known."""
        return np.full(shape_of(box), PENDING, np.uint8)

    def outputs_at(self, box: Box, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return no outputs, as none is kept."""
        return []

    def close(self) -> int:
        """Return that nothing is new."""
        return 0


def measured(
    evaluator: Evaluator, request: Request, sizes: Sequence[int], wish: blocks.Wish
) -> tuple[float, float, float]:
    """Return about how many seconds a sweep will take: at least, likely, and at most.

    Parameters
    ----------
    evaluator : evaluates the points.
    request : as for a run; its store is replaced.
    sizes : of the grid of points, or of cells.
    wish : which blocks suit the evaluator.
    """
    plan = evaluator.plan(request.memory, request.lanes, request.reduced)
    _timed(evaluator, request, _Sample(sizes, wish, plan, request), _WARM)
    plan = evaluator.plan(request.memory, request.lanes, request.reduced)
    sample = _Sample(sizes, wish, plan, request)
    begun = time.perf_counter()
    _timed(evaluator, dataclasses.replace(request, explores=False), sample, _TIMED)
    times = np.array([begun, *(at for at, _ in sample.events)])
    counts = np.array([0, *(n for _, n in sample.events)])
    if counts.sum() >= sample.total:
        seconds = float(times[-1] - begun)
        return seconds, seconds, seconds
    return _estimated(times, counts.cumsum(), sample.total)


def _timed(evaluator: Evaluator, request: Request, sample: _Sample, seconds: float) -> None:
    deadline = Deadline(time.monotonic() + seconds)
    for _ in store_evaluated(
        evaluator, dataclasses.replace(request, store=sample, deadline=deadline)
    ):
        pass


def _estimated(times: np.ndarray, done: np.ndarray, total: int) -> tuple[float, float, float]:
    """Return the estimate for all points from when how many of them were done."""
    first = 1 if len(times) > 3 else 0  # until then, the devices have nothing to do
    marks = np.unique(np.linspace(first, len(times) - 1, _PARTS + 1).astype(int))
    seconds, counts = np.diff(times[marks]), np.diff(done[marks])
    likely = total * seconds.sum() / max(counts.sum(), 1)
    rates = total * seconds[counts > 0] / counts[counts > 0]
    error = 2 * rates.std(ddof=1) / math.sqrt(len(rates)) if len(rates) > 1 else likely
    spread = math.hypot(error, _BUSY * likely)
    return float(max(likely - spread, likely / 3)), float(likely), float(likely + spread)
