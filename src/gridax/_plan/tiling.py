"""Which tiles are fast: levels and widths, estimated from the work of a model.

What varies along one level only is computed once per position along it rather than once per point.
The fewest levels that separate the expensive stages are used, with the widths that have the lowest
estimated time. In a long sweep, `tuning` measures the neighboring widths.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from gridax._plan.plan import Level, Plan
from gridax._plan.work import Dims, Loop, Work

Groups = Sequence[tuple[tuple[int, ...], ...] | None]
Widths = tuple[int, ...]

# A stage that takes less than this fraction of the time does not get a level of its own.
_WORTH = 0.05
# Maximum number of combinations of widths that are estimated one by one.
_MOST_COMBINATIONS = 5_000
_MOST_POINTS, _MOST_BYTES = 2**20, 2**26
# Batches whose results wait for the host, in addition to the one that is being computed.
IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True)
class Costs:
    """The costs of operations on a kind of device, in nanoseconds unless stated otherwise.

    Attributes
    ----------
    call : starting a tile and fetching its outputs.
    call_of_several : the same for a tile on each of several devices.
    launches, arithmetic : factors for the estimates of `Work`, which are those of a CPU core.
    moved, moved_far : per byte within the caches and beyond.
    assembled : per byte that several devices return.
    cache : maximum number of bytes that a loop should carry or stack.
    threads : number of threads that a device may use.
    thread : bytes that a loop carries for each thread that is used.
    native : bytes up to which a loop that carries them is compiled to one piece of machine code,
        without launches.
    operation : an operation in such a loop.
    uneven : the time of loops with different trip counts grows with this power of the number of
        points, since all of them wait for the last one.
    masked : factor for the arithmetic of points that take different branches or trip counts, which
        are all computed before one is selected.
    together : time of a tile below which several tiles share a call.
    together_large : the same for tiles of at least `large` bytes, which each call allocates again.
    """

    call: float = 60_000.0
    call_of_several: float = 300_000.0
    launches: float = 1.0
    arithmetic: float = 1.0
    moved: float = 0.05
    moved_far: float = 0.5
    assembled: float = 0.3
    cache: int = 2**25
    threads: int = 1
    thread: int = 2**18
    native: int = 128
    operation: float = 0.5
    uneven: float = 0.25
    masked: float = 4.0
    together: float = 2e6
    together_large: float = 2e8
    large: int = 2**22


CPU = Costs()
# Thousands of points at a time, and microseconds per kernel: from the literature, not measured as
# for the CPU.
ACCELERATOR = Costs(
    call=100_000.0,
    call_of_several=300_000.0,
    launches=10.0,
    arithmetic=0.005,
    moved=0.001,
    moved_far=0.001,
    cache=2**30,
    native=0,
    uneven=0.1,
    masked=1.0,
    together=0.0,
    together_large=0.0,
)
# Each further level that is vectorized adds a dimension to the arrays, which costs transposes.
_NESTED = 1.05
# Nanoseconds that a block should take, and a sweep must take, to be divided into blocks for timing.
_BLOCK, _LONG = 0.5e9, 4e9
# Nanoseconds beyond which a tile is not faster, but delays progress reports and interrupts.
_LONGEST_TILE = 1e9


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep to be planned.

    Attributes
    ----------
    dims, sizes : names and sizes of the dimensions.
    work : work of one point.
    point_bytes : bytes of one point's outputs.
    n_devices : tiles evaluated at the same time.
    groups : per dimension, the positions that may share a run, or None.
    costs : of the devices.
    """

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    work: Work
    point_bytes: int
    n_devices: int
    groups: Groups
    costs: Costs = CPU

    def plan(
        self,
        n_vmap: int | None = None,
        memory: int | None = None,
        most: int | None = None,
        block: tuple[int, ...] | None = None,
    ) -> Plan:
        """Return the plan with the least estimated time.

        Parameters
        ----------
        n_vmap : number of points to vectorize (at least half as many), if the user gave one.
        memory : maximum number of bytes of a tile, according to the estimate.
        most : maximum number of points of a tile, if known.
        block : points of a block along each dimension, if that is already decided.
        """
        if block is not None:
            within = dataclasses.replace(self, sizes=block).plan(n_vmap, memory, most)
            return dataclasses.replace(within, sizes=self.sizes, block=block)
        if memory is not None:  # outputs that wait for the host need a part of it
            waiting = (1 + IN_FLIGHT) * max(self.point_bytes, 1)
            most = min(most or _MOST_POINTS, max(1, memory // waiting))
        widths = self._best(n_vmap, memory, most)
        return self.with_widths(widths, fixed=n_vmap is not None, most=most)

    def estimate(self) -> float:
        """Return the estimated nanoseconds of the best plan."""
        return self.nanoseconds(self.levels(), self._best(None, None, None))

    def _best(self, n_vmap: int | None, memory: int | None, most: int | None) -> Widths:
        bare = self.levels()
        limit = n_vmap or max(1, min(_MOST_POINTS, _MOST_BYTES // max(self.point_bytes, 1)))
        limit = min(limit, most or limit)

        def fits(widths: Widths) -> bool:
            points = math.prod(widths)
            within = memory is None or self.nbytes(bare, widths) <= memory
            short = n_vmap is not None or self._one(bare, widths) <= _LONGEST_TILE
            return points <= limit and (points == 1 or (within and short))

        fitting = [widths for widths in self._candidates(bare) if fits(widths)]
        if n_vmap is not None:  # as close as the grid allows
            largest = max(map(math.prod, fitting))
            fitting = [widths for widths in fitting if 2 * math.prod(widths) > largest]
        return min(fitting, key=lambda widths: (self.nanoseconds(bare, widths), widths))

    def with_widths(self, widths: Widths, fixed: bool = False, most: int | None = None) -> Plan:
        """Return the plan with some widths, divided into blocks unless these are `fixed`."""
        bare = self.levels()
        large = self.nbytes(bare, widths) > self.costs.large
        together = self.costs.together_large if large else self.costs.together
        times = together / max(self._one(bare, widths), 1.0)
        levels = self._deep(_wide(bare, widths), times, most)
        block = self.sizes if fixed else self._block(levels, self.nanoseconds(bare, widths))
        n_tiles = math.prod(map(_n_runs, levels, itertools.repeat(self.sizes)))
        return Plan(
            dims=self.dims,
            sizes=self.sizes,
            block=block,
            levels=levels,
            n_devices=min(self.n_devices, n_tiles),
            point_bytes=self.point_bytes,
            tile_bytes=self.nbytes(bare, widths)
            + (1 + IN_FLIGHT) * math.prod(level.length for level in levels) * self.point_bytes,
        )

    def neighbors(self, plan: Plan, most: int) -> list[Plan]:
        """Return plans with twice or half the width along one level, up to `most` points."""
        found = []
        within = dataclasses.replace(self, sizes=plan.block)
        widths = tuple(level.width for level in plan.levels)
        for i, level in enumerate(plan.levels):
            for width in (2 * widths[i], widths[i] // 2):
                other = (*widths[:i], width, *widths[i + 1 :])
                if 1 <= width <= level.size(plan.block) and math.prod(other) <= most:
                    # The blocks stay the same, so that the plan can change after any of them.
                    made = within.with_widths(other, fixed=True, most=most)
                    found.append(dataclasses.replace(made, sizes=self.sizes, block=plan.block))
        return found

    def narrower(self, plan: Plan) -> Plan | None:
        """Return a plan with tiles of half as many points or fewer; None for single points."""
        levels = list(plan.levels)
        if math.prod(plan.tile) == 1:
            return None
        i = max(range(len(levels)), key=lambda i: levels[i].length)
        if levels[i].depth > 1:
            levels[i] = dataclasses.replace(levels[i], depth=levels[i].depth // 2)
        else:
            levels[i] = dataclasses.replace(levels[i], width=levels[i].width // 2)
        return dataclasses.replace(plan, levels=tuple(levels), tile_bytes=plan.tile_bytes // 2)

    def levels(self) -> tuple[Level, ...]:
        """Return the levels: dimensions along which the same stages vary are vectorized as one."""
        stages = _stages(self.work)
        together: dict[object, list[int]] = {}
        for dim in range(len(self.sizes)):
            alike = frozenset(stage for stage in stages if dim in stage)
            # A dimension with static choices cannot be merged with another one.
            together.setdefault(alike if self.groups[dim] is None else dim, []).append(dim)
        return tuple(Level(tuple(dims), groups=self.groups[dims[0]]) for dims in together.values())

    def nanoseconds(self, bare: Sequence[Level], widths: Widths) -> float:
        """Estimate the time of the whole sweep with tiles of some widths."""
        one = self._one(bare, widths)
        n_tiles = math.prod(map(_n_runs, _wide(bare, widths), itertools.repeat(self.sizes)))
        # Tiles that are evaluated in one call share its cost.
        call = self.costs.call_of_several if self.n_devices > 1 else self.costs.call
        call *= min(1.0, max(one / max(self.costs.together, one, 1.0), 0.05))
        if self.n_devices > 1:
            nbytes = self.n_devices * math.prod(widths) * self.point_bytes
            call += nbytes * self.costs.assembled
        return math.ceil(n_tiles / self.n_devices) * (one + call)

    def _one(self, bare: Sequence[Level], widths: Widths) -> float:
        """Estimate the time of one tile, without the call."""
        costs, work = self.costs, self.work
        points = _Points(bare, widths)
        launches = work.launches + sum(_launches(loop, points, costs) for loop in work.loops)
        arithmetic = points.total(work.time) * costs.arithmetic
        carried = max((points.total(loop.carried) for loop in work.loops), default=0.0)
        threads = max(1, min(costs.threads, int(carried) // costs.thread))
        arithmetic /= threads**0.9
        # Beyond the cache, every iteration of a loop waits for memory.
        arithmetic *= 1.0 + 0.25 * math.log2(max(1.0, carried / costs.cache))
        if threads > 1:  # threads wait for each other at every operation
            launches *= 8
        arithmetic *= _NESTED ** max(0, sum(width > 1 for width in widths) - 1)
        at_once = points.of(work.uneven) if work.uneven else 1
        waiting = at_once**costs.uneven
        if at_once > 1:
            arithmetic *= costs.masked
        moved = points.total(work.stacked) + math.prod(widths) * self.point_bytes
        moved *= costs.moved_far if moved > costs.cache else costs.moved
        return waiting * (launches * costs.launches + arithmetic) + moved

    def nbytes(self, bare: Sequence[Level], widths: Widths) -> int:
        """Estimate the bytes that a tile needs while it is computed."""
        points = _Points(bare, widths)
        carried = [points.total(loop.carried) for loop in self.work.loops]
        outputs = math.prod(widths) * self.point_bytes
        return int(points.total(self.work.stacked) + 2 * max(carried, default=0) + outputs)

    def _candidates(self, bare: Sequence[Level]) -> Iterator[Widths]:
        """Yield the widths to choose from: powers of two, which vectorize well, and all points."""
        choices = [_widths(level.longest(self.sizes)) for level in bare]
        while math.prod(map(len, choices)) > _MOST_COMBINATIONS:
            longest = max(range(len(choices)), key=lambda i: len(choices[i]))
            choices[longest] = choices[longest][::2]  # which keeps the width 1
        return itertools.product(*choices)

    def _deep(self, levels: tuple[Level, ...], times: float, most: int | None) -> tuple[Level, ...]:
        """Let several tiles along one level be evaluated one after the other in one call."""
        if not levels or times <= 1:
            return levels
        runs = [_n_runs(level, self.sizes) for level in levels]
        along = max(range(len(levels)), key=lambda i: runs[i])
        points = math.prod(level.width for level in levels)
        # All points of a run belong to one group.
        runs_of_one = math.ceil(levels[along].longest(self.sizes) / levels[along].width)
        depth = min(math.ceil(times), runs_of_one)
        depth = min(depth, _MOST_BYTES // max(points * self.point_bytes, 1))
        depth = min(depth, most // points if most else depth)
        if levels[along].groups is not None or self.n_devices > 1:
            # Every device should have several tiles; a choice has few points.
            depth = min(depth, runs[along] // (8 * self.n_devices))
        if depth > 1:  # the same number of calls, with equally many tiles each
            depth = math.ceil(runs[along] / math.ceil(runs[along] / depth))
        deep = dataclasses.replace(levels[along], depth=max(1, depth))
        return (*levels[:along], deep, *levels[along + 1 :])

    def _block(self, levels: Sequence[Level], total: float) -> tuple[int, ...]:
        """Return the smallest block that is long enough to be timed.

        Its points are neighbors in memory: one index of the first dimensions, some of the next, and
        all of the others.
        """
        if total < _LONG * self.n_devices or any(group is not None for group in self.groups):
            return self.sizes
        want = math.prod(self.sizes) * _BLOCK / total
        for dim in reversed(range(len(self.sizes))):
            for power in range(self.sizes[dim].bit_length()):
                pieces = math.ceil(self.sizes[dim] / 2**power)
                size = math.ceil(self.sizes[dim] / pieces)
                block = (*(1,) * dim, size, *self.sizes[dim + 1 :])
                whole = all(
                    level.size(block) >= min(2 * level.length, level.size(self.sizes))
                    for level in levels
                )
                n_tiles = math.prod(map(_n_runs, levels, itertools.repeat(block)))
                if whole and n_tiles >= 8 * self.n_devices and math.prod(block) >= want:
                    return block
        return self.sizes


class _Points:
    """How often a tile computes something that varies along some dimensions."""

    def __init__(self, bare: Sequence[Level], widths: Widths) -> None:
        self._along = [(frozenset(level.dims), w) for level, w in zip(bare, widths, strict=True)]

    def of(self, dims: Dims) -> int:
        return math.prod(width for along, width in self._along if dims & along)

    def total(self, amounts: dict[Dims, float] | dict[Dims, int]) -> float:
        return sum(amount * self.of(dims) for dims, amount in amounts.items())


def _launches(loop: Loop, points: _Points, costs: Costs) -> float:
    native = points.total(loop.carried) <= costs.native
    return loop.operations * costs.operation if native else loop.launches


def _stages(work: Work) -> list[Dims]:
    """Return the sets of dimensions along which the expensive stages vary."""
    cost = dict(work.time)
    for dims, nbytes in work.stacked.items():
        cost[dims] = cost.get(dims, 0.0) + nbytes * CPU.moved
    total = sum(cost.values())
    return [dims for dims, each in cost.items() if each > _WORTH * total]


def _widths(longest: int) -> list[int]:
    powers = [1 << k for k in range(longest.bit_length())]
    # Or the same number of runs of nearly equal length, so that none is nearly empty.
    even = {math.ceil(longest / math.ceil(longest / power)) for power in powers if power >= 8}
    return sorted({*powers, *even, longest})


def _wide(bare: Sequence[Level], widths: Widths) -> tuple[Level, ...]:
    pairs = zip(bare, widths, strict=True)
    return tuple(dataclasses.replace(level, width=width) for level, width in pairs)


def _n_runs(level: Level, sizes: Sequence[int]) -> int:
    lengths = [level.size(sizes)] if level.groups is None else map(len, level.groups)
    return sum(math.ceil(length / level.length) for length in lengths)
