"""Which tiles are worth their size: levels and widths from the work of a model.

What varies along one level only is computed once per position in it and not once per point. The
fewest levels that tell the expensive stages apart do best; of their widths, those with the least
estimated time are taken.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from gridax._plan import Level, Plan
from gridax._work import Dims, Work

Groups = Sequence[tuple[tuple[int, ...], ...] | None]

# A stage that takes less than this part of the time is not worth a level of its own.
_WORTH = 0.05
# Nanoseconds of a call, and per byte that is moved within the caches and beyond; measured on CPU
# cores. What a loop carries should stay in a core's cache, what it stacks in the common one.
_CALL = 60_000.0
_MOVED, _MOVED_FAR = 0.05, 0.5
_CACHE, _COMMON_CACHE = 2**19, 2**25
_MOST_POINTS, _MOST_BYTES = 2**20, 2**26
# Each further level that is vectorized makes arrays of one dimension more, and moves them about.
_NESTED = 1.15
# Points that wait for the slowest of them, where a loop turns more often for some.
_MOST_UNEVEN = 256


def plan(
    sizes: Sequence[int],
    work: Work,
    point_bytes: int,
    n_devices: int,
    groups: Groups,
    n_vmap: int | None = None,
) -> Plan:
    """Return the plan with the least estimated time.

    Parameters
    ----------
    sizes : sizes of the dimensions.
    work : work of one point.
    point_bytes : bytes of one point's outputs.
    n_devices : tiles evaluated at the same time.
    groups : per dimension, the positions that may share a run, or None.
    n_vmap : most points in a tile, if the user says so.
    """
    bare = levels(sizes, work, groups)
    most = _MOST_UNEVEN if work.uneven else _MOST_POINTS
    limit = n_vmap or max(1, min(most, _MOST_BYTES // max(point_bytes, 1)))
    best = min(
        (tile for tile in _tiles(bare) if math.prod(tile) <= limit),
        key=lambda tile: (nanoseconds(bare, tile, work, point_bytes, n_devices), tile),
    )
    chosen = _wide(bare, best)
    n_tiles = math.prod(level.n_runs for level in chosen)
    return Plan(tuple(sizes), chosen, min(n_devices, n_tiles))


def levels(sizes: Sequence[int], work: Work, groups: Groups) -> tuple[Level, ...]:
    """Return the levels: dimensions along which the same stages vary are vectorized as one."""
    stages = _stages(work)
    together: dict[object, list[int]] = {}
    for dim in range(len(sizes)):
        alike = frozenset(stage for stage in stages if dim in stage)
        # What is static along a dimension cannot be mixed with another dimension.
        together.setdefault(alike if groups[dim] is None else dim, []).append(dim)
    return tuple(
        Level(tuple(dims), tuple(sizes[d] for d in dims), groups=groups[dims[0]])
        for dims in together.values()
    )


def _stages(work: Work) -> list[Dims]:
    """Return the sets of dimensions that a stage worth sharing varies along."""
    cost = dict(work.time)
    for dims, nbytes in work.stacked.items():
        cost[dims] = cost.get(dims, 0.0) + nbytes * _MOVED
    total = sum(cost.values())
    return [dims for dims, each in cost.items() if each > _WORTH * total]


def _tiles(bare: Sequence[Level]) -> Iterator[tuple[int, ...]]:
    """Yield the widths to choose from: powers of two, which vectorize well, and whole levels."""
    return itertools.product(*(_widths(level.longest) for level in bare))


def _widths(longest: int) -> list[int]:
    powers = [1 << k for k in range(longest.bit_length())]
    # Or as many runs, but evened out, so that none is nearly empty.
    even = {math.ceil(longest / math.ceil(longest / power)) for power in powers if power >= 8}
    return sorted({*powers, *even, longest})


def _wide(bare: Sequence[Level], tile: Sequence[int]) -> tuple[Level, ...]:
    return tuple(
        dataclasses.replace(level, width=width) for level, width in zip(bare, tile, strict=True)
    )


def nanoseconds(
    bare: Sequence[Level], tile: Sequence[int], work: Work, point_bytes: int, n_devices: int
) -> float:
    """Estimate the time of a whole sweep."""
    width = {dim: w for level, w in zip(bare, tile, strict=True) for dim in level.dims}

    def total(amounts: dict[Dims, float] | dict[Dims, int]) -> float:
        return sum(amount * _points(dims, bare, width) for dims, amount in amounts.items())

    arithmetic, carried, stacked = total(work.time), total(work.state), total(work.stacked)
    # Beyond the cache, every turn of a loop waits for memory.
    arithmetic *= 1.0 + 0.25 * max(0.0, math.log2(max(carried, 1.0) / _CACHE))
    arithmetic *= _NESTED ** max(0, sum(w > 1 for w in tile) - 1)
    moved = stacked + math.prod(tile) * point_bytes
    moved *= _MOVED_FAR if moved > _COMMON_CACHE else _MOVED
    one = _CALL + work.launches + arithmetic + moved
    n_tiles = math.prod(level.n_runs for level in _wide(bare, tile))
    return math.ceil(n_tiles / n_devices) * one


def _points(dims: Dims, bare: Sequence[Level], width: dict[int, int]) -> int:
    """Return at how many places of a tile something that varies along `dims` is computed."""
    return math.prod(width[level.dims[0]] for level in bare if dims & set(level.dims))
