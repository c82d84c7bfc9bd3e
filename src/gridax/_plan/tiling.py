"""Which tiles there are to choose from, and with which of them a sweep begins.

What varies along one level only is computed once per position along it rather than once per point.
The dependencies of a model say which levels are possible; how wide they should be depends on the
model, the compiler and the machine, so a long sweep measures it (`tuning`). What is here need only
be a good start.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

from gridax._plan.cells import Cells, levels_of_points, narrower_within, of_cells
from gridax._plan.chain import Chain
from gridax._plan.plan import Level, Plan
from gridax._plan.tuning import EVEN
from gridax._plan.widths import BIG, CPU, MOST_BYTES, Groups, Points, Start, Widths, n_vectorized
from gridax._plan.work import Work, repeated

# Batches whose results wait for the host, in addition to the one that is being computed.
IN_FLIGHT = 2
# Seconds that a call should take, at most and at least: starting one takes up to 100 µs, and
# nothing shows until it ends.
CALL, _SHORT_CALL = 0.02, 0.0005
# How many times as many points as to begin with are tried at most.
_MANY = 8
# Seconds of a sweep below which a device, or a thread, is enough; and how many times as long it is
# estimated to take if its loops are compiled as a whole.
_DEVICES, _THREADS, _WHOLE_FASTER = 0.002, 0.0004, 5.0
# Tiles per call while the number of iterations, and so the time of a call, is unknown.
_UNKNOWN = 32
# Points per lane in a tile; and seconds that a call should take in which they follow each other.
_PER_LANE, _LONG_CALL = 16, 0.2
# Points per lane in a sweep at least, if there are few.
_ROUNDS = 4
# Fraction of the iterations that points take part in, below which lanes are worth a trial.
_UNEVEN = 0.75
# Fraction of the time in branches that a point does not take above which single points are tried
# first; and bytes of a point above which a sweep begins with them, since operations on arrays of
# this size are fast without others.
_BRANCHED, _LARGE = 0.3, 512
# How many times as much may be computed for each point if points come last than if they come first:
# what they share is less if those along one dimension have to fill vectors.
_LAST_GAIN = 1.5
# With uneven loops there are several tiles, unless they would have fewer points than this.
_TILES, _LEAST = 4, 16
# Points that are vectorized if loops are compiled as a whole and there is nothing to share: more of
# them do not stay in the fastest caches.
_WHOLE = 512


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep to be planned.

    Attributes
    ----------
    dims, sizes : names and sizes of the dimensions; of a reduced sweep, those of a cell where it is
        reduced.
    work : work of one point.
    point_bytes : bytes of one point's outputs.
    n_devices : devices that work at the same time.
    groups : per dimension, the positions that may share a run, or None.
    start : of the kind of device.
    n_threads : tiles that each of them evaluates at the same time.
    idle : why not all devices are used, if so.
    cells : points that are reduced together, which one tile covers; None if nothing is reduced.
    cell_bytes : bytes of what their outputs are reduced to.
    chain : along which dimension points follow each other, if so. What is vectorized are then
        chains: within a block, the size along this dimension is 1.
    points_last : whether the points can come last in the loops of the model.
    """

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    work: Work
    point_bytes: int
    n_devices: int
    groups: Groups
    start: Start = CPU
    n_threads: int = 1
    idle: str = ""
    cells: Cells | None = None
    cell_bytes: int = 0
    chain: Chain | None = None
    points_last: bool = False

    @functools.cached_property
    def widths(self) -> Widths:
        """Which levels there are, and how wide they may be."""
        return Widths(
            self.sizes,
            self.work,
            self.point_bytes,
            self.groups,
            self.start,
            None if self.chain is None else self.chain.dim,
            self._reduced,
        )

    def plan(
        self,
        n_vmap: int | None = None,
        memory: int | None = None,
        most: int | None = None,
        block: tuple[int, ...] | None = None,
    ) -> Plan:
        """Return the plan to begin with.

        Parameters
        ----------
        n_vmap : number of points to vectorize (at least half as many), if the user gave one.
        memory : maximum number of bytes of a tile, according to the estimate.
        most : maximum number of points of a tile, if known.
        block : points of a block along each dimension, if that is already decided.
        """
        most = self._n_points(most, block)
        return self._placed(self._within(block)._plan(n_vmap, memory, most), block)

    def _plan(self, n_vmap: int | None, memory: int | None, most: int | None) -> Plan:
        if memory is not None:  # outputs that wait for the host need a part of it
            waiting = (1 + IN_FLIGHT) * max(self.point_bytes, 1)
            most = min(most or memory, max(1, memory // waiting))
        sweep = self._with_points_last((0, 0))
        levels = sweep._levels(n_vmap, memory, most)
        least, most_last = self.start.last
        if most_last:
            last = self._with_points_last((least, n_vmap or most_last))
            others = last._levels(n_vmap, memory, most)
            is_cheap = self.widths.cost(others) <= _LAST_GAIN * self.widths.cost(levels)
            if is_cheap and self.widths.fill_vectors(others):
                levels, sweep = others, last
        if self.work.uneven:
            most = min(most or self.start.most, _UNKNOWN * n_vectorized(levels))
        return sweep._planned(levels, self._point_seconds(), most)

    def _with_points_last(self, last: tuple[int, int]) -> Sweep:
        """Return the sweep with so many points if they come last; with zeros, they come first."""
        return dataclasses.replace(self, start=dataclasses.replace(self.start, last=last))

    def _levels(
        self, n_vmap: int | None, memory: int | None, most: int | None
    ) -> tuple[Level, ...]:
        """Return the levels to begin with."""
        most = min(most or self.start.most, self.start.most)
        n, bare = min(n_vmap or self._width(), most), self.widths.levels()
        if self.widths.has_last:
            bare = self.widths.with_vectors(bare, n)
        levels = self.widths.wide(bare, n, n_vmap is None, memory)
        if n_vmap is None:
            full = self.widths.filled(levels)
            fits = memory is None or self.widths.nbytes(full) <= memory
            return full if fits and n_vectorized(full) <= most else levels
        if 2 * n_vectorized(levels) <= n:
            levels = self.widths.grown(bare, n, False, memory)
        return levels

    def in_lanes(
        self,
        n_lanes: int,
        most: int | None = None,
        block: tuple[int, ...] | None = None,
        seconds: float | None = None,
    ) -> Plan:
        """Return the plan in which some points at a time are in the loop.

        Many points follow each other, of which each waits for the last one only at the end. The
        tile has all points along the dimensions that do not vary in the loop, if possible.

        Parameters
        ----------
        n_lanes : number of points that are in the loop at a time.
        most, block : as in `plan`.
        seconds : time that a point takes, if known.
        """
        within = self._within(block)._with_points_last((0, 0))
        seconds = None if seconds is None else seconds / self._n_together
        return self._placed(within._in_lanes(n_lanes, self._n_points(most, block), seconds), block)

    def _in_lanes(self, n_lanes: int, most: int | None, seconds: float | None) -> Plan:
        n_points = math.prod(self.sizes)
        n_entering = math.prod(self.sizes[dim] for dim in self.work.lanes)
        seconds = self._point_seconds() if seconds is None else seconds
        n = max(_PER_LANE * n_lanes * (n_points // n_entering), _LONG_CALL / max(seconds, 1e-12))
        bounds = (n, MOST_BYTES / max(self.point_bytes, 1), n_points / self.n_parallel)
        n = min(self.start.most, most or self.start.most, max(1, math.ceil(min(bounds))))
        levels = self.widths.wide(self.widths.covering(self.widths.levels()), n, False, None)
        # One vectorized run per call, whatever it takes: lanes take the place of depth.
        plan = dataclasses.replace(self._planned(levels, math.inf, None), is_counted=False)
        along = [level for level in levels if not self.work.lanes.isdisjoint(level.dims)]
        return dataclasses.replace(plan, lanes=min(n_lanes, n_vectorized(along)))

    def _within(self, block: tuple[int, ...] | None) -> Sweep:
        """Return the sweep of one block; of chains, that of their first points."""
        sizes = self.sizes
        if block is not None:
            sizes = block if self.cells is None else self.cells.within(block)
        if self.chain is None:
            return self if block is None else dataclasses.replace(self, sizes=sizes)
        dim, length = self.chain.dim, sizes[self.chain.dim]
        return dataclasses.replace(
            self,
            sizes=(*sizes[:dim], 1, *sizes[dim + 1 :]),
            work=repeated(self.work, dim, length),
            point_bytes=self.point_bytes * length,
        )

    def _n_steps(self, block: tuple[int, ...] | None) -> int:
        """Return how many points of a chain a block has, or 1 if there is no chain."""
        if self.chain is None:
            return 1
        if block is None:
            return self.sizes[self.chain.dim]
        along = self.chain.dim if self.cells is None else self.cells.grid.index(self.chain.dim)
        return block[along]

    @property
    def n_parallel(self) -> int:
        """Number of tiles that are evaluated at the same time."""
        return self.n_devices * self.n_threads

    @property
    def _n_together(self) -> int:
        """Number of points of a cell, or 1 if nothing is reduced."""
        return 1 if self.cells is None else self.cells.n_points

    @property
    def _n_parts(self) -> int:
        return 1 if self.cells is None else self.cells.n_parts

    @property
    def _reduced(self) -> tuple[int, ...]:
        return () if self.cells is None else self.cells.reduced

    def _n_points(self, n: int | None, block: tuple[int, ...] | None) -> int | None:
        """Return how many points so many points or cells of a plan have; of chains, how many."""
        return None if n is None else max(1, n * self._n_together // self._n_steps(block))

    def _placed(self, plan: Plan, block: tuple[int, ...] | None) -> Plan:
        """Return the plan of a block as one of the whole grid; of a reduced sweep, of its cells."""
        if self.chain is not None:
            steps = self._n_steps(block)
            levels = tuple(
                dataclasses.replace(level, depth=steps) if self.chain.dim in level.dims else level
                for level in plan.levels
            )
            plan = dataclasses.replace(
                plan, levels=levels, chain=self.chain, point_bytes=self.point_bytes
            )
        if self.cells is not None:
            return of_cells(self.cells, plan, block, self.dims, self.cell_bytes)
        return dataclasses.replace(plan, sizes=self.sizes, block=block or self.sizes)

    def _n_lanes(self) -> int:
        """Return how many points are in the loop at a time, to begin with."""
        live = max(sum(self.widths.varying().values()), 1)
        return max(1, min(self.start.lanes, self.start.cache // live, self._n_per_round))

    @property
    def _n_per_round(self) -> int:
        """The number of points that enter lanes in each of some rounds."""
        n_entering = math.prod(self.sizes[dim] for dim in self.work.lanes) // self.n_parallel
        return n_entering // _ROUNDS

    @property
    def fills_lanes(self) -> bool:
        """Whether there are enough points for lanes; on an accelerator, waiting costs little."""
        return not self.start.is_wide or self._n_per_round >= self.start.lanes

    def _width(self) -> int:
        """Return how many points to vectorize, unless the cache is too small for them."""
        n_points, live = math.prod(self.sizes), sum(self.widths.varying().values())
        is_only = len(self.widths.levels()) == 1
        each = self.widths.full_vectors(math.ceil(n_points / self.n_parallel), is_only)
        if self.start.is_wide:
            return each
        if self._is_branched and live > _LARGE:
            return 1
        if self.work.turns <= 1:
            return each
        if self.work.uneven:
            return min(self.start.uneven, each, max(n_points // _TILES, _LEAST))
        if self.widths.has_last:
            most = self.start.last[1]
            return min(most, each) if is_only else each
        if self.start.whole:
            most = min(self.start.whole, each)
            return min(_WHOLE, most) if is_only else most
        return each if live > BIG else min(self.start.width, each)

    @property
    def _is_branched(self) -> bool:
        """Whether vectorized points, which take all branches, do much that single ones do not."""
        return self.work.branched > _BRANCHED * sum(self.work.time.values())

    def seconds(self) -> float:
        """Return the estimated time of the sweep on one device."""
        points = Points([Level((dim,), size) for dim, size in enumerate(self.sizes)])
        return points.total(self.work.time) * self._n_parts * 1e-9

    def _point_seconds(self) -> float:
        return self.seconds() / (math.prod(self.sizes) * self._n_parts)

    @property
    def is_short(self) -> bool:
        """Whether several devices or threads are not worth their coordination."""
        enough = _DEVICES if self.n_devices > 1 else _THREADS
        return self.seconds() < enough * (_WHOLE_FASTER if self.widths.has_small_loops else 1.0)

    def suggested(self, plan: Plan, seconds: float, even: float, most: int) -> Plan | None:
        """Return the plan that is probably faster, if points wait for very long or hardly at all.

        Parameters
        ----------
        plan, seconds, most : as in `others`.
        even : the fraction of the iterations of a loop that points take part in.
        """
        if even < _UNEVEN:
            n_lanes = self._within(plan.block)._n_lanes()
            return self.in_lanes(n_lanes, most, plan.block, seconds)
        if even < EVEN:
            return None
        work = dataclasses.replace(self.work, uneven=frozenset(), lanes=frozenset())
        return dataclasses.replace(self, work=work).plan(None, None, most, plan.block)

    def others(self, plan: Plan, seconds: float, most: int) -> Iterator[Plan]:
        """Yield plans that may be faster than one that takes some seconds per point.

        The first one differs only in the length of its calls, which suits the time that a point
        takes. The others vectorize more or fewer points, a single one, or the same number along
        other levels or on one device; the most promising come first.

        Parameters
        ----------
        plan : the fastest plan so far.
        seconds : the time that it takes per point.
        most : maximum number of points of a tile.
        """
        within = self._within(plan.block)
        if not plan.points_last:
            within = within._with_points_last((0, 0))
        for n_lanes in filter(None, (4 * plan.lanes, plan.lanes // 4)):
            yield self.in_lanes(n_lanes, most, plan.block, seconds)
        steps = self._n_steps(plan.block)
        most = max(1, most * self._n_together // steps)
        seconds = seconds * steps / self._n_together
        alone = dataclasses.replace(within, n_devices=1, n_threads=1, idle="several are not faster")
        levels = plan.levels
        if self.cells is not None:
            levels = levels_of_points(self.cells, plan.levels, plan.inner)
        same = tuple(dataclasses.replace(level, depth=1) for level in levels)
        bare = tuple(dataclasses.replace(level, width=1) for level in same)
        n, nested = plan.n_vmap, self.widths.nested()
        tries = [(within, same, n)] if not plan.lanes and n <= most else []
        wider, apart, single = [(within, bare, 4 * n)], [(within, nested, n)], []
        if not self.start.is_wide:
            # With many points, XLA uses several threads for an operation.
            many = min(_MANY * self.start.width, math.prod(within.sizes) // 3)
            wider, single = [*wider, (within, bare, many)], [(within, nested, 1)]
        if self._is_branched:
            tries += single  # vectorized points take all branches
        tries += [*apart, *wider] if self.widths.merges_stages() else [*wider, *apart]
        tries += [*single, (within, bare, max(n // 4, 1)), (alone, bare, n)]
        tries += [(within, self.widths.flat(), n), (within, self.widths.levels(), n)]
        if self.points_last and not plan.lanes and self.widths.fill_vectors(same):
            yield dataclasses.replace(plan, points_last=not plan.points_last)
        for sweep, levels, width in tries:
            wide = sweep.widths.wide(levels, min(width, most), False, None)
            each = seconds * plan.n_parallel / sweep.n_parallel
            # Narrower tiles take as long per point or, at worst, per tile; this is in between.
            each *= math.sqrt(max(1.0, n / n_vectorized(wide)))
            yield self._placed(sweep._planned(wide, each, most), plan.block)

    def narrower(self, plan: Plan) -> Plan | None:
        """Return a plan with tiles of half as many points or fewer, or None.

        If tiles are single points already, it has one of them at a time.
        """
        levels = list(plan.levels)
        if plan.n_together == 1:
            within = None if self.cells is None else narrower_within(self.cells, plan)
            alone = dataclasses.replace(plan, n_threads=1) if plan.n_threads > 1 else None
            return within or alone
        i = max(range(len(levels)), key=lambda i: 0 if i == plan.along else levels[i].length)
        if levels[i].depth > 1:
            levels[i] = dataclasses.replace(levels[i], depth=levels[i].depth // 2)
        else:
            levels[i] = dataclasses.replace(levels[i], width=levels[i].width // 2)
        return dataclasses.replace(plan, levels=tuple(levels), tile_bytes=plan.tile_bytes // 2)

    def _planned(self, levels: Sequence[Level], seconds: float, most: int | None) -> Plan:
        """Return the plan with some levels, made deep enough that a call is worth its cost."""
        points = int(min(CALL / max(seconds, 1e-12), MOST_BYTES / max(self.point_bytes, 1)))
        deep = self._deep(levels, min(points, most or points))
        n_tiles = math.prod(map(_n_runs, deep, itertools.repeat(self.sizes)))
        n_tiles *= self._n_parts
        waiting = (1 + IN_FLIGHT) * math.prod(level.length for level in deep) * self.point_bytes
        return Plan(
            dims=self.dims,
            sizes=self.sizes,
            block=self.sizes,
            levels=deep,
            n_devices=min(self.n_devices, n_tiles),
            n_threads=min(self.n_threads, n_tiles),
            point_bytes=self.point_bytes,
            idle=self.idle,
            pace=self.work.no_lanes,
            is_counted=bool(self.work.lanes),
            tile_bytes=self.widths.nbytes(levels) + waiting,
            points_last=self.widths.has_last and self.widths.fill_vectors(levels),
        )

    def _deep(self, levels: Sequence[Level], n: int) -> tuple[Level, ...]:
        """Let a call evaluate several tiles, one after the other, up to `n` points of them."""
        deep = list(levels)
        n //= n_vectorized(levels)
        # Every device and thread should have several tiles, and so should a sweep that is measured,
        # but not so many that calls take no longer than starting them.
        if self.n_parallel > 1 or self.seconds() > CALL:
            share = math.prod(self.sizes) * self._n_parts / self.n_parallel
            n_calls = int(share * self._point_seconds() / _SHORT_CALL)
            share /= min(max(n_calls, 1), 8) * n_vectorized(levels)
            n = min(n, math.ceil(share))
        if self.work.convolves and not self.start.is_wide:
            n = 1  # on a CPU, XLA's convolutions take three times as long in a loop
        for i, level in enumerate(deep):
            if level.dims[0] in self._reduced:  # a tile has all points of a cell
                depth = math.ceil(level.size(self.sizes) / level.width)
                deep[i] = dataclasses.replace(level, depth=depth)
                n //= depth
        for i in reversed(range(len(deep))):
            if deep[i].dims[0] in self._reduced:
                continue
            # All points of a run belong to one group.
            n_runs = math.ceil(deep[i].longest(self.sizes) / deep[i].width)
            depth = max(1, min(n, n_runs))
            # The same number of calls, with equally many tiles each.
            depth = math.ceil(n_runs / math.ceil(n_runs / depth))
            deep[i] = dataclasses.replace(deep[i], depth=depth)
            n //= depth
        return tuple(deep)


def _n_runs(level: Level, sizes: Sequence[int]) -> int:
    lengths = [level.size(sizes)] if level.groups is None else map(len, level.groups)
    return sum(math.ceil(length / level.length) for length in lengths)
