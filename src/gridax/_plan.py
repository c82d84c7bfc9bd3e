"""How a grid is cut to tiles: pure integer arithmetic, no arrays of the size of the grid.

A tile is a hyper-rectangle of points that one device evaluates in one vectorized call. All tiles
of a plan have one shape, so one compiled program does. Where a dimension's size is no multiple of
the tile's, the last tile is shifted inwards and a few points are computed twice; nothing is padded.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Cut:
    """One dimension, cut to runs of `width` indices.

    `groups`, if given, are the indices that may share a run, such as those of one static choice;
    otherwise any neighbours may.
    """

    size: int
    width: int
    groups: tuple[tuple[int, ...], ...] | None = None

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        if self.groups is None:
            return math.ceil(self.size / self.width)
        return sum(math.ceil(len(group) / self.width) for group in self.groups)

    def runs(self) -> Iterator[np.ndarray]:
        """Yield the indices of each run; all have `width` entries."""
        for group in (np.arange(self.size),) if self.groups is None else map(np.array, self.groups):
            for start in range(0, len(group), self.width):
                # The last run is shifted inwards; a group shorter than a run repeats itself.
                start = max(0, min(start, len(group) - self.width))
                yield np.resize(group[start : start + self.width], self.width).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tiles of a grid, in batches of one tile per device.

    Attributes
    ----------
    cuts : one per dimension.
    n_devices : number of tiles evaluated at the same time.
    """

    cuts: tuple[Cut, ...]
    n_devices: int

    @property
    def tile(self) -> tuple[int, ...]:
        """Shape of a tile."""
        return tuple(cut.width for cut in self.cuts)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return math.prod(cut.n_runs for cut in self.cuts)

    @property
    def n_points(self) -> int:
        """Number of points of the grid."""
        return math.prod(cut.size for cut in self.cuts)

    def batches(self) -> Iterator[list[tuple[np.ndarray, ...]]]:
        """Yield lists of `n_devices` tiles, each as one index array per dimension.

        The last list is filled up with its own last tile, so that every device has work.
        """
        tiles = itertools.product(*(list(cut.runs()) for cut in self.cuts))
        while batch := list(itertools.islice(tiles, self.n_devices)):
            yield batch + batch[-1:] * (self.n_devices - len(batch))


def make(
    sizes: Sequence[int],
    width: int,
    n_devices: int,
    groups: Sequence[tuple[tuple[int, ...], ...] | None] | None = None,
) -> Plan:
    """Return the plan with tiles of at most `width` points, as cubic as the sizes allow.

    Parameters
    ----------
    sizes : sequence of int
        Sizes of the dimensions.
    width : int
        Most points in a tile.
    n_devices : int
        Tiles evaluated at the same time; fewer if there are not that many.
    groups : sequence, optional
        Per dimension, the indices that may share a run, or None.

    Examples
    --------
    >>> make((100, 3), width=16, n_devices=1).tile
    (4, 3)
    >>> make((64, 64), width=64, n_devices=1).tile
    (8, 8)
    """
    groups = [None] * len(sizes) if groups is None else groups
    limits = [
        size if group is None else max(map(len, group))
        for size, group in zip(sizes, groups, strict=True)
    ]
    tile = tile_shape(limits, width)
    cuts = tuple(map(Cut, sizes, tile, groups))
    n_tiles = math.prod(cut.n_runs for cut in cuts)
    return Plan(cuts, min(n_devices, n_tiles))


def tile_shape(sizes: Sequence[int], width: int) -> tuple[int, ...]:
    """Return a tile of at most `width` points within a grid of `sizes`, nearly cubic.

    What depends on one dimension only is computed once per index of it in a tile, so a cube, which
    has the fewest indices for its points, repeats least. Edges are powers of two, which vectorize
    well, or whole dimensions, unless that would compute too many points twice.
    """
    tile = [1] * len(sizes)
    while True:
        # Grow the shortest edge that can grow; the last one first, where data are contiguous.
        order = sorted(range(len(sizes)), key=lambda d: (tile[d], -d))
        for d in order:
            grown = min(tile[d] * 2, sizes[d])
            if grown > tile[d] and math.prod(tile) // tile[d] * grown <= width:
                tile[d] = grown
                break
        else:
            return tuple(map(_evened, tile, sizes))


def _evened(edge: int, size: int) -> int:
    """Even out the runs of a dimension if the last would repeat more than a tenth of it."""
    runs = math.ceil(size / edge)
    return math.ceil(size / runs) if runs * edge > 1.1 * size else edge


def default_width(operations: int, output_bytes: int, n_points: int, n_devices: int) -> int:
    """Return how many points a device evaluates in one call, where the user does not say.

    Enough work to outweigh the cost of a call, few enough points that the state of a model which
    steps through time stays in the cache, and no more than gives every device a tile.

    Parameters
    ----------
    operations : elementary operations of one point.
    output_bytes : size of one point's outputs.
    """
    wanted = _WORK // max(operations, 1)
    room = _OUTPUT_BYTES // max(output_bytes, 1)
    width = max(min(max(wanted, _LEAST), _MOST, room), 1)
    width = 1 << (width.bit_length() - 1)
    return min(width, math.ceil(n_points / n_devices))


# Measured on CPU cores; see docs/benchmarks.md.
_WORK = 2**26
_LEAST, _MOST = 64, 2**16
_OUTPUT_BYTES = 2**26
