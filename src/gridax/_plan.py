"""How a grid is cut to tiles: integer arithmetic, nothing of the size of the grid.

A tile is a set of points that one device evaluates in one vectorized call: the product of a run of
neighbours along each level. A level is one dimension, or several that always vary together in the
model and are therefore vectorized as one. All tiles of a plan have one shape, so one compiled
program does. Where runs do not fit, the last is shifted inwards and a few points are computed
twice; nothing is padded.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# A tile, as one run of flat positions per level.
Tile = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Level:
    """Dimensions that are vectorized as one, cut to runs of `width` of their points.

    Attributes
    ----------
    dims : numbers of the dimensions; the last varies fastest.
    sizes : their sizes.
    width : points in a run.
    groups : flat positions that may share a run, such as those of one static choice; any may if
        None.
    """

    dims: tuple[int, ...]
    sizes: tuple[int, ...]
    width: int = 1
    groups: tuple[tuple[int, ...], ...] | None = None

    @property
    def size(self) -> int:
        """Number of points along the level."""
        return math.prod(self.sizes)

    @property
    def longest(self) -> int:
        """Points that a run can hold at most."""
        return self.size if self.groups is None else max(map(len, self.groups))

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        if self.groups is None:
            return math.ceil(self.size / self.width)
        return sum(math.ceil(len(group) / self.width) for group in self.groups)

    def runs(self) -> Iterator[np.ndarray]:
        """Yield the flat positions of each run, as int64; all have `width` entries."""
        if self.groups is None:
            for start in range(0, self.size, self.width):
                start = min(start, self.size - self.width)
                yield np.arange(start, start + self.width)
            return
        for group in map(np.array, self.groups):
            for start in range(0, len(group), self.width):
                start = max(0, min(start, len(group) - self.width))
                # A group that is shorter than a run repeats itself.
                yield np.resize(group[start : start + self.width], self.width)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tiles of a grid, in batches of one tile per device.

    Attributes
    ----------
    sizes : sizes of the grid's dimensions.
    levels : what is vectorized together, and how wide.
    n_devices : tiles evaluated at the same time.
    """

    sizes: tuple[int, ...]
    levels: tuple[Level, ...]
    n_devices: int

    @property
    def n_points(self) -> int:
        """Number of points of the grid."""
        return math.prod(self.sizes)

    @property
    def tile(self) -> tuple[int, ...]:
        """Points of a tile along each level."""
        return tuple(level.width for level in self.levels)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return math.prod(level.n_runs for level in self.levels)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of indices that a tile has along each dimension."""
        width = {dim: level.width for level in self.levels for dim in level.dims}
        return tuple(width[dim] for dim in range(len(self.sizes)))

    def tiles(self) -> Iterator[Tile]:
        """Yield every tile; together they hold every point."""
        return _product(self.levels)

    def batches(self) -> Iterator[list[Tile]]:
        """Yield lists of `n_devices` tiles.

        The last list is filled up with its own last tile, so that every device has work.
        """
        tiles = self.tiles()
        while batch := list(itertools.islice(tiles, self.n_devices)):
            yield batch + batch[-1:] * (self.n_devices - len(batch))

    def indices(self, tile: Tile) -> list[np.ndarray]:
        """Return a tile's indices along each dimension, as many as its level is wide."""
        found: dict[int, np.ndarray] = {}
        for level, run in zip(self.levels, tile, strict=True):
            if len(level.dims) == 1:
                found[level.dims[0]] = run
            else:
                found.update(zip(level.dims, np.unravel_index(run, level.sizes), strict=True))
        return [found[dim] for dim in range(len(self.sizes))]

    def region(self, tile: Tile) -> tuple[tuple[int, ...], tuple[Any, ...]]:
        """Return the shape in which to see the grid, and the tile's place in it.

        Levels that hold the dimensions in the grid's own order merge them, so that a tile is a
        block of slices; otherwise its place is a mesh of indices.
        """
        order = [dim for level in self.levels for dim in level.dims]
        if order == sorted(order):
            shape = tuple(level.size for level in self.levels)
            if all(level.groups is None for level in self.levels):
                return shape, tuple(slice(run[0], run[-1] + 1) for run in tile)
            return shape, np.ix_(*tile)
        axis = {dim: i for i, level in enumerate(self.levels) for dim in level.dims}
        mesh = []
        for dim, index in enumerate(self.indices(tile)):
            spread = [1] * len(self.levels)
            spread[axis[dim]] = len(index)
            mesh.append(index.reshape(spread))
        return self.sizes, tuple(mesh)


def _product(levels: Sequence[Level]) -> Iterator[Tile]:
    """Yield the product of the runs, without ever holding all runs of a level."""
    if not levels:
        yield ()
        return
    for run in levels[0].runs():
        for rest in _product(levels[1:]):
            yield (run, *rest)
