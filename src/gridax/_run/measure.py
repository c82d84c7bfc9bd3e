"""How long a sweep will take, measured on points that are spread over its grid."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gridax._plan import blocks
from gridax._plan.plan import Box, Plan, Region, box_of, shape_of
from gridax._run.evaluator import Deadline, Evaluator, Request, store_evaluated
from gridax._stores.base import PENDING, Computed, Store, Task

# Seconds in which faster plans are looked for, and in which the points are timed.
_WARM, _TIMED = 6.0, 2.5
# The points are timed in so many parts, whose differences tell how sure the estimate is.
_PARTS = 12
# Fraction of the estimate that machines that are more or less busy account for.
_BUSY = 0.1
# Tiles of a block that is timed.
_TILES = 8


class _Sample(Store):
    """Points that are evaluated only to see how long they take.

    Parameters
    ----------
    tasks : the points, in an order in which the first ones are spread over the grid.
    total : number of points that the whole sweep computes.
    n_new : returns how many points of a tile are new.

    Attributes
    ----------
    events : when so many points were computed.
    """

    def __init__(self, tasks: Iterator[Task], total: int, n_new: Callable[[Region], int]) -> None:
        self._tasks, self.total, self._n_new = tasks, total, n_new
        self.events: list[tuple[float, int]] = []

    def tasks(self) -> Iterator[Task]:
        """Return the points."""
        return self._tasks

    def write(self, computed: Computed) -> int:
        """Count the points of a tile that are new."""
        new = self._n_new(computed.region)
        self.events.append((time.perf_counter(), new))
        return new

    def fail(self, region: Region, error: Exception | str) -> int:
        """Count the points at which the model failed."""
        return self.write(Computed(region, ()))

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


def _sample(sizes: Sequence[int], wish: blocks.Wish, plan: Plan, request: Request) -> _Sample:
    """Return points, or blocks of them, that are spread over a grid of some sizes."""
    n_tile = math.prod(plan.tile)
    n_together = n_tile * plan.n_parallel
    # Some tiles, so that the last one, which may be computed in part twice, hardly counts.
    n_points = _TILES * n_together if n_together > 1 else 1
    # Any points can be evaluated together, unless they depend on each other.
    if request.reduced is None and wish.chain is None and plan.n_together > 1:
        # Points that are computed twice take time, too.
        total = plan.n_tiles(box_of(sizes)) * n_tile
        lengths = blocks.nearly_cubic(sizes, plan.lengths, n_points)
        return _Sample(_spread(sizes, lengths), total, lambda region: n_tile)
    done: dict[Box, np.ndarray] = {}

    def n_new(region: Region) -> int:
        there = done.setdefault(region.box, np.zeros(shape_of(region.box), bool))
        there = there.reshape(region.shape)
        new = int(np.size(there[region.where]) - np.count_nonzero(there[region.where]))
        there[region.where] = True
        return new

    return _Sample(_blocks(sizes, wish, n_points), math.prod(sizes), n_new)


def _spread(sizes: Sequence[int], lengths: Sequence[int]) -> Iterator[Task]:
    """Yield products of indices that are spread along each dimension, each time others."""
    for i in range(math.ceil(math.prod(sizes) / math.prod(lengths))):
        # The fractional parts of multiples of the golden ratio fill the gaps evenly.
        shift = (0.5 + i * 0.6180339887498949) % 1.0
        take = tuple(
            ((np.arange(n) + shift) * (size / n)).astype(np.int64)
            for n, size in zip(lengths, sizes, strict=True)
        )
        yield Task(box_of(sizes), take=take)


def _blocks(sizes: Sequence[int], wish: blocks.Wish, n_points: int) -> Iterator[Task]:
    """Yield blocks that are spread over the grid; of chains, their first points."""
    tile, chain = blocks.nearly_cubic(sizes, wish.tile, n_points), wish.chain
    if chain is not None:
        along = sizes[chain.dim]
        steps = along if wish.seconds * along < _TIMED / _PARTS else 1
        tile = (*tile[: chain.dim], steps, *tile[chain.dim + 1 :])
        tile = chain.fitting(tile, sizes)
    for group in blocks.grouped(sizes, tile, chain, is_coarse=True):
        yield Task(group[0])


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
    plan = evaluator.plan(request)
    _timed(evaluator, request, _sample(sizes, wish, plan, request), _WARM)
    plan = evaluator.plan(request)
    points = _sample(sizes, wish, plan, request)
    begun = time.perf_counter()
    _timed(evaluator, dataclasses.replace(request, explores=False), points, _TIMED)
    times = np.array([begun, *(at for at, _ in points.events)])
    counts = np.array([0, *(n for _, n in points.events)])
    if counts.sum() >= points.total:
        seconds = float(times[-1] - begun)
        return seconds, seconds, seconds
    return _estimated(times, counts.cumsum(), points.total)


def _timed(evaluator: Evaluator, request: Request, points: _Sample, seconds: float) -> None:
    deadline = Deadline(time.monotonic() + seconds)
    for _ in store_evaluated(
        evaluator, dataclasses.replace(request, store=points, deadline=deadline)
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
