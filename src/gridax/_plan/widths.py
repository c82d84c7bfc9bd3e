"""Which levels a sweep can be vectorized along, and how wide they are to begin with."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from gridax._plan.plan import Level
from gridax._plan.work import Dims, Work

Groups = Sequence[tuple[tuple[int, ...], ...] | None]

# Stages that take less than this fraction of the time together do not get levels of their own.
_WORTH = 0.1
# A stage that takes less than this is not worth a trial of levels that share it.
_LITTLE = 0.01
# How often a point may be computed for the sake of a wider tile.
_WASTE = 1.25
# Bytes of a point above which operations on all points at once are large enough for threads.
BIG = 128
# Bytes of the outputs of a call.
MOST_BYTES = 2**26
# How many times as many bytes are reduced at a time in a trial as to begin with.
_WIDER = 2

# Fraction by which a run may be longer than necessary, so that it fills vectors; and how many
# vectors it should have at least in a loop that is compiled as a whole, if there are more points
# than a few.
_SLACK, _VECTORS, _FEW = 0.125, 2, 8
# Fraction of the points that may be left over once vectors are full.
_LEFT = 0.25


@dataclasses.dataclass(frozen=True)
class Start:
    """Widths to begin with on a kind of device.

    Attributes
    ----------
    most : points that are vectorized at most.
    width : points that are vectorized if a loop works on few bytes of each.
    uneven : the same if loops have different trip counts, where points wait for the slowest.
    whole : the same at most if loops are compiled as a whole; 0 if they are not.
    last : the same, at least and at most, if points come last in loops; zeros if they come first.
    vector : elements of an array that are computed at a time; widths should be multiples of it.
    lanes : points that are in a loop at a time if they leave it one by one.
    cache, large : bytes within which what a loop works on should stay; and the series that it
        reads or writes, or what straight code works on. Arrays of more than 32 MB are new pages of
        memory in each call.
    is_wide : whether more points at a time are always faster, as on an accelerator: starting an
        operation takes as long as computing it for tens of thousands of them.
    """

    most: int = 2**20
    width: int = 2048
    uneven: int = 512
    whole: int = 0
    last: tuple[int, int] = (0, 0)
    vector: int = 16
    lanes: int = 256
    cache: int = 2**23
    large: int = 2**25
    is_wide: bool = False


CPU = Start()
ACCELERATOR = Start(
    most=2**24,
    vector=1,
    lanes=2**16,
    cache=2**32,
    large=2**32,
    is_wide=True,
)


@dataclasses.dataclass(frozen=True)
class Widths:
    """The levels of a sweep, or of a block of it.

    Attributes
    ----------
    sizes : of the dimensions.
    work : work of one point.
    point_bytes : bytes of one point's outputs.
    groups : per dimension, the positions that may share a run, or None.
    start : of the kind of device.
    along : the dimension along which points follow each other, if so.
    reduced : dimensions along which outputs are reduced.
    """

    sizes: tuple[int, ...]
    work: Work
    point_bytes: int
    groups: Groups
    start: Start
    along: int | None = None
    reduced: tuple[int, ...] = ()

    def levels(self) -> tuple[Level, ...]:
        """Return the levels: dimensions along which the same stages vary are vectorized as one."""
        stages = _stages(self.work)

        def alike(dim: int) -> object:
            return dim in self._apart, frozenset(stage for stage in stages if dim in stage)

        return self._merged(alike)

    @property
    def _apart(self) -> Dims:
        """Dimensions along which products would become batches, which libraries are slow at."""
        return frozenset() if self.has_last or self.start.is_wide else self.work.apart

    @property
    def has_last(self) -> bool:
        """Whether points come last in loops."""
        return self.start.last[1] > 0

    def merges_stages(self) -> bool:
        """Whether points of one level could share a stage that does not vary along all of it."""
        least = _LITTLE * sum(self.work.time.values())
        stages = [dims for dims, time in self.work.time.items() if time > least]
        return any(
            0 < len(dims.intersection(level.dims)) < len(level.dims)
            for level in self.levels()
            for dims in stages
        )

    def flat(self) -> tuple[Level, ...]:
        return self._merged(lambda dim: None)

    def nested(self) -> tuple[Level, ...]:
        return self._merged(lambda dim: dim)

    def _merged(self, alike: Callable[[int], object]) -> tuple[Level, ...]:
        together: dict[object, list[int]] = {}
        for dim in range(len(self.sizes)):
            # A dimension with static choices cannot be merged with another one.
            own = self.groups[dim] is not None or dim == self.along
            key = (dim in self.reduced, own, dim if own else alike(dim))
            together.setdefault(key, []).append(dim)
        return tuple(Level(tuple(dims), groups=self.groups[dims[0]]) for dims in together.values())

    def wide(
        self, bare: Sequence[Level], n: int, cautious: bool, memory: int | None
    ) -> tuple[Level, ...]:
        """Return levels that vectorize up to `n` points, more than half as many if possible.

        A `cautious` choice stays within the cache and does not make batches of large matrices.
        """
        levels = self.grown(bare, n, cautious, memory)
        even = self._evened(levels)
        while True:  # there may be room for more
            wider = self._evened(self.grown(even, n, cautious, memory))
            if wider == even:
                break
            even = wider
        is_wide = 2 * n_vectorized(even) > min(n, n_vectorized(levels))
        return even if is_wide or self._n_computed(levels) > _WASTE else levels

    def grown(
        self, bare: Sequence[Level], n: int, cautious: bool, memory: int | None
    ) -> tuple[Level, ...]:
        """Return wider levels, of up to `n` points.

        Each step doubles the width that makes a point cheapest, because it shares the most.
        """
        levels = tuple(bare)
        while True:
            wider = [
                wide
                for wide in self._doubled(levels, n, self._apart if cautious else frozenset())
                if self._is_reduced_in_caches(wide, cautious)
                and (not self.has_last or n_vectorized(self._main(wide)) <= self.start.last[1])
                and (not cautious or self._stays_in_caches(wide))
                and (memory is None or self.nbytes(wide) <= memory)
            ]
            if not wider:
                return levels
            levels = min(wider, key=self._rank)

    def _doubled(
        self, levels: tuple[Level, ...], n: int, apart: Dims
    ) -> Iterator[tuple[Level, ...]]:
        """Yield the levels with one of them up to twice as wide, of at most `n` points."""
        single = apart | self.work.serial
        points = n_vectorized(levels)
        for i, level in enumerate(levels):
            width = min(2 * level.width, level.longest(self.sizes), n * level.width // points)
            if width > level.width and single.isdisjoint(level.dims):
                yield (*levels[:i], dataclasses.replace(level, width=width), *levels[i + 1 :])

    def cost(self, levels: Sequence[Level]) -> float:
        """Return the estimated time per point."""
        return Points(levels).total(self.work.time) / n_vectorized(levels)

    def _rank(self, levels: Sequence[Level]) -> tuple[float, int]:
        """Return the time per point, and what favors nearly cubic tiles.

        Times are rounded, so that rounding errors do not tell levels apart.
        """
        return round(self.cost(levels), 6), sum(level.width for level in levels)

    def _stays_in_caches(self, levels: Sequence[Level]) -> bool:
        """Whether what loops work on, and the series that they read or write, fit into caches."""
        points = Points(levels)
        cache = self.start.cache if self.work.turns > 1 else self.start.large
        series = {dims: nbytes for dims, nbytes in self.work.stacked.items() if dims}
        return points.total(self.varying()) <= cache and points.total(series) <= self.start.large

    def _is_reduced_in_caches(self, levels: Sequence[Level], cautious: bool) -> bool:
        """Whether a tile is a single cell, or what it reduces was in a cache just before.

        Memory is a reason, too: the outputs are several times in use until they are reduced.
        """
        if not self.reduced:
            return True
        n_points = n_vectorized(self.covering(levels))
        is_single = n_points == math.prod(self.sizes[dim] for dim in self.reduced)
        most = self.start.cache if cautious else _WIDER * self.start.cache
        return is_single or n_points * self.point_bytes <= most

    def fill_vectors(self, levels: Sequence[Level]) -> bool:
        """Whether points next to each other fill vectors, with few left over.

        The level with the most of them is the last axis. What matters is the stage that takes most
        of the time.
        """
        width = max((level.width for level in self._main(levels)), default=1)
        return (
            width >= max(self.start.last[0], self.start.vector)
            and width % self.start.vector <= _LEFT * width
        )

    def with_vectors(self, levels: Sequence[Level], n: int) -> tuple[Level, ...]:
        """Return levels of which one has enough points for some vectors, but at most `n`."""
        most = min(4 * self.start.vector, self.start.last[1], n)
        choices = []
        for level in self._main(levels):
            wide = dataclasses.replace(level, width=min(most, level.longest(self.sizes)))
            if self.work.serial.isdisjoint(level.dims):
                choices.append(tuple(wide if each is level else each for each in levels))
        fullest = max(map(n_vectorized, choices), default=1)
        full = [each for each in choices if n_vectorized(each) == fullest]
        return min(full, key=self._rank, default=tuple(levels))

    def _main(self, levels: Sequence[Level]) -> list[Level]:
        """Return the levels along which the stage varies that takes most of the time."""
        times = {dims: time for dims, time in self.work.time.items() if dims}
        main = max(times, key=times.__getitem__, default=frozenset[int]())
        return [level for level in levels if not main.isdisjoint(level.dims)]

    def varying(self) -> dict[Dims, int]:
        return {dims: nbytes for dims, nbytes in self.work.live.items() if dims}

    def _evened(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        """Return levels with as many runs, but of equal lengths, so that none is nearly empty."""
        is_only = len(levels) == 1
        return tuple(
            dataclasses.replace(level, width=self._even(level, is_only)) for level in levels
        )

    def _even(self, level: Level, is_only: bool) -> int:
        size = level.longest(self.sizes)
        width = math.ceil(size / math.ceil(size / level.width))
        return min(level.width, self.full_vectors(width, is_only))

    def full_vectors(self, width: int, is_only: bool) -> int:
        """Return a width that fills vectors and is hardly larger, if there is one.

        If a level `is_only` and loops are compiled as a whole, it is worth more: what remains once
        vectors are full is computed point by point, which takes as long as several vectors do, and
        so is a run of a single vector, because the compiler unrolls it.
        """
        full = width + -width % self.start.vector
        if is_only and self._least and math.prod(self.sizes) > _FEW:
            return max(full, self._least)
        return full if full <= (1 + _SLACK) * width else width

    def filled(self, levels: tuple[Level, ...]) -> tuple[Level, ...]:
        """Return levels that fill vectors in a loop that is compiled as a whole.

        If there are too few points, they are computed several times, which takes less time than
        computing them one by one.
        """
        n_points = math.prod(self.sizes)
        is_one_run = len(levels) == 1 and levels[0].width == n_points and levels[0].groups is None
        is_plain = self.along is None and not self.reduced
        if is_one_run and is_plain and _FEW < n_points < self._least:
            return (dataclasses.replace(levels[0], width=self._least),)
        return levels

    @property
    def _least(self) -> int:
        """How many points a loop that is compiled as a whole should have at least."""
        return _VECTORS * self.start.vector if self.has_small_loops else 0

    @property
    def has_small_loops(self) -> bool:
        """Whether loops over a few numbers of each point are compiled as a whole."""
        return bool(self.start.whole) and sum(self.varying().values()) <= BIG

    def _n_computed(self, levels: Sequence[Level]) -> float:
        """Return how often a point is computed, since the last runs are moved to fit."""
        longest = [(level.width, level.longest(self.sizes)) for level in levels]
        return math.prod(math.ceil(size / width) * width / size for width, size in longest)

    def covering(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        """Return levels of which those of a cell have all of its points at a time."""
        return tuple(
            dataclasses.replace(level, width=level.size(self.sizes))
            if level.dims[0] in self.reduced
            else level
            for level in levels
        )

    def nbytes(self, levels: Sequence[Level]) -> int:
        """Estimate the bytes that a tile needs while it is computed."""
        points = Points(levels)
        outputs = n_vectorized(levels) * self.point_bytes
        return int(points.total(self.work.stacked) + 2 * points.total(self.work.live) + outputs)


class Points:
    """How often a tile computes something that varies along some dimensions."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self._along = [(frozenset(level.dims), level.width) for level in levels]

    def of(self, dims: Dims) -> int:
        return math.prod(width for along, width in self._along if dims & along)

    def total(self, amounts: dict[Dims, float] | dict[Dims, int]) -> float:
        return sum(amount * self.of(dims) for dims, amount in amounts.items())


def _stages(work: Work) -> list[Dims]:
    """Return the sets of dimensions along which the expensive stages vary."""
    cost = dict(work.time)
    for dims, nbytes in work.stacked.items():
        cost[dims] = cost.get(dims, 0.0) + nbytes * 0.05
    ranked = sorted((dims for dims in cost if dims), key=cost.__getitem__)
    until = itertools.accumulate(cost[dims] for dims in ranked)
    total = sum(cost[dims] for dims in ranked)
    return [dims for dims, so_far in zip(ranked, until, strict=True) if so_far > _WORTH * total]


def n_vectorized(levels: Sequence[Level]) -> int:
    """Return the number of points that levels vectorize."""
    return math.prod(level.width for level in levels)
