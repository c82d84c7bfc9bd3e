"""Blocks of a store: their shape, and what is left to do in one that is not new.

A block is written and recovered as a unit, and it is a chunk of the file. It is as cubic as its
size allows, so that reading one slice of a sweep reads few other points.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from gridax._plan.chain import Chain
from gridax._plan.plan import Box, Take, boxes

# Maximum size of a block, since several are in memory at a time; and if there were too many blocks
# otherwise.
_BYTES, _MOST_BYTES = 2**25, 2**28
# Estimated seconds of work that a crash may cost.
_SECONDS = 10.0
# Seconds of work below which writing a block would take longer than computing it.
_LEAST_SECONDS = 0.1
# Blocks of a sweep of which those that are spread over the grid come first: enough for a map.
MANY = 256
# More files than this make listing a folder slow.
_MOST_BLOCKS = 50_000


@dataclasses.dataclass(frozen=True)
class Wish:
    """Which blocks suit a sweep.

    Attributes
    ----------
    seconds : estimated time of one point.
    nbytes : bytes of the outputs of one point.
    tile : points along each dimension that should stay in one block.
    n_workers : processes that work at the same time; each should have several blocks.
    chain : along which dimension points follow each other, if so.
    is_whole : whether a block has all points along it.
    """

    seconds: float
    nbytes: int
    tile: tuple[int, ...]
    n_workers: int = 1
    chain: Chain | None = None
    is_whole: bool = False


def shape(sizes: Sequence[int], wish: Wish, n_shards: int = 1, least: int = 1) -> tuple[int, ...]:
    """Return the shape of a block: near-cubic, at least the tile if its bytes allow.

    Parameters
    ----------
    sizes : sizes of the grid.
    wish : what suits the sweep.
    n_shards : runs that share the sweep, each with all of its workers.
    least : number of blocks that there should be, if there are enough points.

    Examples
    --------
    >>> shape((100, 100), Wish(seconds=0.1, nbytes=1000, tile=(1, 1)))
    (10, 10)
    """
    total = math.prod(sizes)
    want = min(_points(total, wish, n_shards), max(1, total // least))
    if wish.chain is not None:
        return _of_chains(sizes, wish, wish.chain, want, n_shards * wish.n_workers)
    return nearly_cubic(sizes, wish.tile, want)


def _points(total: int, wish: Wish, n_shards: int) -> int:
    """Return the number of points of a block."""
    nbytes = min(max(_BYTES, total * wish.nbytes // _MOST_BLOCKS), _MOST_BYTES)
    within_bytes = max(1, nbytes // max(1, wish.nbytes))
    want = int(_SECONDS / max(wish.seconds, 1e-12))
    want = max(want, math.prod(wish.tile))
    n_workers = n_shards * wish.n_workers
    if n_workers > 1:
        enough = max(int(_LEAST_SECONDS / max(wish.seconds, 1e-12)), 1)
        want = min(want, max(enough, total // (4 * n_workers)))
    return max(1, min(within_bytes, max(want, total // _MOST_BLOCKS)))


def nearly_cubic(sizes: Sequence[int], tile: Sequence[int], want: int) -> tuple[int, ...]:
    """Return a shape of up to `want` points, at least the tile if possible."""
    block = [1] * len(sizes)
    limits = [min(size, side) for size, side in zip(sizes, tile, strict=True)]
    for bounds in (limits, sizes):  # the tile first, then all of it
        block = _grown(block, bounds, want)
    block = [_even(piece, size) for piece, size in zip(block, sizes, strict=True)]
    # Points that this leaves over go to the dimensions that are still divided.
    for dim in reversed(range(len(block))):
        others = math.prod(block) // block[dim]
        block[dim] = _even(max(block[dim], min(sizes[dim], want // others)), sizes[dim])
    return tuple(block)


def _of_chains(
    sizes: Sequence[int], wish: Wish, chain: Chain, want: int, n_workers: int
) -> tuple[int, ...]:
    """Return the shape of a block of chains: first as many as are vectorized, then their length."""
    along = sizes[chain.dim]
    across = [1 if dim == chain.dim else size for dim, size in enumerate(sizes)]
    tile = [1 if dim == chain.dim else side for dim, side in enumerate(wish.tile)]
    is_whole = wish.is_whole or want >= math.prod(tile) * along
    most = min(want, math.prod(tile))
    if is_whole:
        most = max(want // along, most if n_workers == 1 else 1)
    block = [*nearly_cubic(across, tile, most)]
    block[chain.dim] = along if is_whole else _even(max(1, want // math.prod(block)), along)
    return chain.fitting(block, sizes)


def grouped(
    sizes: Sequence[int], block: Sequence[int], chain: Chain | None = None, is_coarse: bool = False
) -> Iterator[list[Box]]:
    """Yield the blocks of a grid; those that the same chains go through as one list, in order.

    Parameters
    ----------
    sizes, block : of the grid, and of a block.
    chain : along which dimension points follow each other, if so.
    is_coarse : whether blocks that are spread over the grid come first.

    Examples
    --------
    >>> [box for (box,) in grouped((5,), (1,), is_coarse=True)]
    [((0, 1),), ((4, 5),), ((2, 3),), ((1, 2),), ((3, 4),)]
    """
    if chain is None:
        for box in _spread(sizes, block) if is_coarse else boxes(sizes, block):
            yield [box]
        return
    dim = chain.dim
    cuts = [cut for (cut,) in boxes((sizes[dim],), (block[dim],))]
    across = [1 if d == dim else n for d, n in enumerate(sizes)]
    part = [1 if d == dim else n for d, n in enumerate(block)]
    for first in _spread(across, part) if is_coarse else boxes(across, part):
        backward = chain.is_backward([start for start, _ in first])
        yield [(*first[:dim], cut, *first[dim + 1 :]) for cut in (cuts[::-1] if backward else cuts)]


def _spread(sizes: Sequence[int], block: Sequence[int]) -> Iterator[Box]:
    """Yield the blocks of a grid: every so many, then those halfway between them, and so on."""
    cuts = [
        [cut for (cut,) in boxes((size,), (side,))] for size, side in zip(sizes, block, strict=True)
    ]
    tops = [1 << (len(along) - 1).bit_length() for along in cuts]
    stride = max(tops, default=1)
    before: list[int] | None = None
    while stride:
        strides = [min(stride, top) for top in tops]
        ranges = (range(0, len(along), step) for along, step in zip(cuts, strides, strict=True))
        for number in itertools.product(*ranges):
            if before is None or any(n % step for n, step in zip(number, before, strict=True)):
                yield tuple(along[n] for along, n in zip(cuts, number, strict=True))
        before, stride = strides, stride // 2


def _even(piece: int, size: int) -> int:
    """Return the largest length up to `piece` for which the last piece is not nearly empty."""

    def waste(length: int) -> float:
        return math.ceil(size / length) * length / size - 1.0

    candidates = range(piece, max(0, piece // 2), -1) if piece < 2**16 else [piece]
    return min(candidates, key=lambda length: (waste(length) > 0.02, waste(length) > 0.05, -length))


def _grown(block: Sequence[int], bounds: Sequence[int], want: int) -> list[int]:
    """Lengthen the shorter sides to a common length within their bounds, up to `want` points."""

    def at_least(side: int) -> list[int]:
        pairs = zip(block, bounds, strict=True)
        return [max(mine, min(bound, side)) for mine, bound in pairs]

    sides = range(max(bounds, default=1) + 1)
    first_too_long = bisect.bisect_right(sides, want, key=lambda side: math.prod(at_least(side)))
    return at_least(max(0, first_too_long - 1))


def pieces(todo: np.ndarray) -> list[Take]:
    """Return what is left to do in a block as products of positions.

    If what is done is a product, as in a sweep that is extended, the rest is at most one product
    per dimension. Otherwise, the whole block is returned.

    Examples
    --------
    >>> todo = np.ones((2, 3), bool)
    >>> todo[:1, :2] = False
    >>> [[run.tolist() for run in piece] for piece in pieces(todo)]
    [[[1], [0, 1, 2]], [[0], [2]]]
    """
    if todo.all():
        return [None]
    done = ~todo
    everything = range(todo.ndim)
    along = [done.any(axis=tuple(d for d in everything if d != dim)) for dim in everything]
    if not done.any() or done.sum() != math.prod(int(a.sum()) for a in along):
        return [None]
    found: list[Take] = []
    for dim in everything:
        parts = [
            np.flatnonzero(along[d])
            if d < dim
            else np.flatnonzero(~along[d])
            if d == dim
            else np.arange(todo.shape[d])
            for d in everything
        ]
        if all(map(len, parts)):
            found.append(tuple(parts))
    return found
