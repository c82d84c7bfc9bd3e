"""How a grid is divided into blocks and tiles: integer arithmetic, nothing as large as the grid.

A block is a box of neighbors in the grid. A tile is a set of points of a block that one device
evaluates in one call: the product of a run of neighbors along each level. A level is one
dimension, or several that always vary together in the model and are therefore vectorized as one.
All tiles of a plan have the same shape, so one compiled program evaluates them all. If runs do not
fit into a level, the last one is shifted inwards, and a few points are computed twice; if a level
is shorter than a run, its points are repeated, and the repeated outputs are dropped. Nothing is
padded with invented values.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gridax._display import Displayed
from gridax._plan.chain import Chain

# First and one past the last index along each dimension.
Box = tuple[tuple[int, int], ...]
# Positions in a box along each dimension, of which the product is taken; None for all of the box.
Take = tuple[np.ndarray, ...] | None
# Positions along a level; neighbors are a range.
Run = range | np.ndarray


class Tile(NamedTuple):
    """A run of positions per level, within what is taken of a box; the last ones may be shorter."""

    box: Box
    runs: tuple[Run, ...]
    take: Take = None


class Region(NamedTuple):
    """Where outputs lie in arrays over the grid.

    Attributes
    ----------
    box : the block.
    shape : shape to which the block is reshaped.
    where : index into that shape: an int, a slice or an array of indices per dimension.
    """

    box: Box
    shape: tuple[int, ...]
    where: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Level:
    """Dimensions that are vectorized as one, divided into runs of points.

    Attributes
    ----------
    dims : numbers of the dimensions; the last varies fastest.
    width : points that are vectorized.
    depth : how many times as many points a run has, evaluated one after the other.
    groups : positions along the only dimension that may share a run, such as those of one static
        choice; None if any may.
    """

    dims: tuple[int, ...]
    width: int = 1
    depth: int = 1
    groups: tuple[tuple[int, ...], ...] | None = None

    @property
    def length(self) -> int:
        """Points in a run."""
        return self.width * self.depth

    def size(self, sizes: Sequence[int]) -> int:
        """Return the number of points along the level in a grid of some sizes."""
        return math.prod(sizes[dim] for dim in self.dims)

    def longest(self, sizes: Sequence[int]) -> int:
        """Return the maximum number of points that a run can have."""
        size = self.size(sizes)
        return size if self.groups is None else min(size, max(map(len, self.groups)))

    def n_runs(self, box: Box, take: Take = None) -> int:
        """Return the number of runs in what is taken of a box."""
        if self.groups is None:  # len(range) cannot exceed 2**63
            return _ceil_div(self.size(_shape(box, take)), self.length)
        return sum(_ceil_div(len(part), self.length) for part in self._parts(box, take))

    def runs(self, box: Box, take: Take = None) -> Iterator[Run]:
        """Yield the positions of each run in what is taken of a box.

        All have the same length, except those of parts that are shorter than a run.
        """
        for part in self._parts(box, take):
            for start in range(0, len(part), self.length):
                start = max(0, min(start, len(part) - self.length))
                run = part[start : start + self.length]
                yield run if isinstance(run, range) else np.array(run)

    def _parts(self, box: Box, take: Take) -> list[Sequence[int]]:
        """Return the sequences of positions that may share a run."""
        shape = _shape(box, take)
        if self.groups is None:
            return [range(math.prod(shape[dim] for dim in self.dims))]
        (dim,) = self.dims
        taken = np.arange(shape[dim]) if take is None else take[dim]
        place = {int(i): k for k, i in enumerate(taken + box[dim][0])}
        parts = ([place[i] for i in group if i in place] for group in self.groups)
        return [part for part in parts if part]


@dataclasses.dataclass(frozen=True, repr=False)
class Plan(Displayed):
    """How a sweep is divided into blocks and tiles, as `ParallelExecution.plan` returns it.

    Attributes
    ----------
    dims : tuple of str
        Names of the dimensions.
    sizes : tuple of int
        Number of points along each.
    block : tuple of int
        Size of a block along each dimension; the last blocks may be smaller.
    levels : tuple of Level
        Dimensions that are vectorized together, and how many points of them at a time.
    n_devices : int
        Devices that work at the same time.
    point_bytes : int
        Bytes of the outputs of one point.
    idle : str
        Why not all devices are used, if so.
    tile_bytes : int
        Bytes that a device, or each of its threads, needs at a time in addition to the arrays of
        the state, according to the compiled program or an estimate.
    lanes : int
        Points that are in the model's loop at a time, each of which makes room for the next one as
        soon as it is done; 0 if the points of a tile stay together.
    is_counted : bool
        Whether the iterations of the points are counted, to tell whether lanes would be faster.
    pace : str
        Why points leave a loop one by one, or wait for the slowest one in their tile, if they leave
        it at different iterations.
    inner : tuple of Level
        Of a reduced sweep, in which `dims` and `sizes` are those of cells (points that are reduced
        together): how the points of a cell are vectorized. Their dimensions are numbered as in the
        space, and one run covers them.
    reduced : str
        What is reduced along which dimensions, and how many points a cell has.
    seconds : tuple of float, or None
        How long the sweep will take, if that was measured: at least, likely, and at most.
    n_threads : int
        Tiles that a device evaluates at the same time, each in a thread of its own.
    n_workers : int
        Processes that work at the same time.
    chain : Chain or None
        Along which dimension points follow each other, if so. A run has all points along it that a
        block has.
    points_last : bool
        Whether points are the last axes of the arrays in the model's loops, next to each other in
        memory, rather than the first ones.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 100)}, mode="product")
    >>> plan = gx.ParallelExecution(lambda s: s["x"] ** 2, space, n_pmap=1).plan()
    >>> plan.n_points, plan.tile
    (100, (100,))
    """

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    block: tuple[int, ...]
    levels: tuple[Level, ...]
    n_devices: int = 1
    point_bytes: int = 0
    idle: str = dataclasses.field(default="", compare=False)
    tile_bytes: int = dataclasses.field(default=0, compare=False)
    lanes: int = 0
    is_counted: bool = False
    pace: str = dataclasses.field(default="", compare=False)
    inner: tuple[Level, ...] = ()
    reduced: str = dataclasses.field(default="", compare=False)
    seconds: tuple[float, float, float] | None = dataclasses.field(default=None, compare=False)
    n_threads: int = 1
    n_workers: int = dataclasses.field(default=1, compare=False)
    chain: Chain | None = None
    points_last: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the outputs of all points; 0 if it is not known what the model returns."""
        return self.n_points * self.point_bytes

    @property
    def n_points(self) -> int:
        """Number of points of the grid; of a reduced sweep, of cells."""
        return math.prod(self.sizes)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return math.prod(map(_ceil_div, self.sizes, self.block))

    @property
    def tile(self) -> tuple[int, ...]:
        """Points of a tile along each level."""
        return tuple(level.length for level in self.levels)

    @property
    def n_vmap(self) -> int:
        """Points that are vectorized."""
        return self.lanes or math.prod(level.width for level in (*self.levels, *self.inner))

    @property
    def n_parallel(self) -> int:
        """Tiles that are evaluated at the same time."""
        return self.n_devices * self.n_threads

    @property
    def n_together(self) -> int:
        """Points of a tile, of which those of a chain count as one."""
        return math.prod(n for i, n in enumerate(self.tile) if i != self.along)

    @property
    def along(self) -> int | None:
        """Number of the level along which points follow each other, or None if none do."""
        if self.chain is None:
            return None
        return next(i for i, level in enumerate(self.levels) if self.chain.dim in level.dims)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What is vectorized, on how many devices and threads.

        Plans in which these are equal differ only in how many points a call evaluates.
        """
        wide = ((level.dims, level.width) for level in self.levels if level.width > 1)
        inner = ((level.dims, level.width, "of a cell") for level in self.inner)
        return self.n_devices, self.n_threads, self.lanes, self.points_last, *wide, *inner

    def waiting(self, counts: np.ndarray) -> tuple[int, int]:
        """Return how many iterations the points of a tile take, and how many with their waiting.

        Parameters
        ----------
        counts : iterations of each point, with one size per level, of which each may be 1.
        """
        shape = [
            n
            for level, size in zip((*self.levels, *self.inner), counts.shape, strict=True)
            for n in ((level.depth, level.width) if size > 1 else (1, 1))
        ]
        pieces = counts.reshape(shape)
        slowest = pieces.max(axis=tuple(range(1, pieces.ndim, 2)))
        n_together = counts.size // max(slowest.size, 1)
        return int(counts.sum()), int(slowest.sum()) * n_together

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of indices that a tile has along each dimension."""
        length = {dim: level.length for level in self.levels for dim in level.dims}
        return tuple(length[dim] for dim in range(len(self.sizes)))

    def filling(self, dim: int, shape: Sequence[int]) -> int:
        """Return how many indices along a dimension fill a tile within a box of some shape."""
        for level in self.levels:
            if dim in level.dims:
                return _ceil_div(level.length, level.size(shape) // shape[dim])
        return 1

    def n_tiles(self, box: Box, take: Take = None) -> int:
        """Return the number of tiles in what is taken of a block."""
        return math.prod(level.n_runs(box, take) for level in self.levels)

    def blocks(self) -> Iterator[Box]:
        """Yield the blocks, which are disjoint and cover the grid."""
        return boxes(self.sizes, self.block)

    def tiles(self, box: Box, take: Take = None) -> Iterator[Tile]:
        """Yield the tiles of a block, which cover every point that is taken of it."""
        return (
            Tile(box, self._in_order(box, runs, take), take)
            for runs in _product(self.levels, box, take)
        )

    def _in_order(self, box: Box, runs: tuple[Run, ...], take: Take) -> tuple[Run, ...]:
        """Return the runs of a tile with the points of a chain in its order."""
        if self.chain is None or not self.chain.is_backward(self.first(Tile(box, runs, take))):
            return runs
        return tuple(run[::-1] if i == self.along else run for i, run in enumerate(runs))

    def first(self, tile: Tile) -> list[int]:
        """Return the index of the first point of a tile."""
        runs = tuple(run[:1] for run in tile.runs)
        found: dict[int, int] = {}
        for level, run in zip(self.levels, runs, strict=True):
            for dim, index in zip(level.dims, _positions(tile, level.dims, run), strict=True):
                found[dim] = int(index[0]) + tile.box[dim][0]
        return [found[dim] for dim in range(len(self.sizes))]

    def split(self, tile: Tile) -> Iterator[Tile]:
        """Yield tiles of this plan that cover a tile of a wider plan."""
        pieces = [
            _pieces(run, level.length) for run, level in zip(tile.runs, self.levels, strict=True)
        ]
        return (tile._replace(runs=runs) for runs in itertools.product(*pieces))

    def indices(self, tile: Tile) -> list[np.ndarray]:
        """Return a tile's indices along each dimension, `lengths` of them.

        A short run is repeated.
        """
        found: dict[int, np.ndarray] = {}
        for n, level in enumerate(self.levels):
            found |= zip(level.dims, self.indices_along(tile, n), strict=True)
        return [found[dim] for dim in range(len(self.sizes))]

    def indices_along(self, tile: Tile, n: int) -> list[np.ndarray]:
        """Return a tile's indices along the dimensions of one of the levels."""
        level, run = self.levels[n], tile.runs[n]
        run = run if len(run) == level.length else np.resize(_listed(run), level.length)
        local = zip(level.dims, _positions(tile, level.dims, run), strict=True)
        return [index + tile.box[dim][0] for dim, index in local]

    def region(self, tile: Tile) -> Region:
        """Return where a tile is in arrays over the grid.

        If the levels have the dimensions in the grid's own order, these are merged, so that a tile
        is a box of slices; otherwise it is a mesh of indices.
        """
        shape = shape_of(tile.box)
        order = [dim for level in self.levels for dim in level.dims]
        if order == sorted(order) and tile.take is None:
            merged = tuple(level.size(shape) for level in self.levels)
            return Region(tile.box, merged, _place(tile.runs))
        mesh: dict[int, np.ndarray] = {}
        for i, (level, run) in enumerate(zip(self.levels, tile.runs, strict=True)):
            spread: list[int] = [1] * len(self.levels)
            spread[i] = len(run)
            local = _positions(tile, level.dims, run)
            mesh |= zip(level.dims, (index.reshape(spread) for index in local), strict=True)
        return Region(tile.box, shape, tuple(mesh[dim] for dim in range(len(shape))))


def box_of(sizes: Sequence[int]) -> Box:
    """Return the box of all points of a grid."""
    return tuple((0, size) for size in sizes)


def shape_of(box: Box) -> tuple[int, ...]:
    """Return the number of points of a box along each dimension."""
    return tuple(stop - start for start, stop in box)


def n_points(box: Box) -> int:
    """Return the number of points of a box."""
    return math.prod(shape_of(box))


def boxes(sizes: Sequence[int], block: Sequence[int]) -> Iterator[Box]:
    """Yield the blocks of a grid, the last dimension varying fastest."""
    if not sizes:
        yield ()
        return
    for first in _Cuts(sizes[0], block[0]):  # itertools.product would create all of them at once
        for rest in boxes(sizes[1:], block[1:]):
            yield (first, *rest)


class _Cuts(Sequence[tuple[int, int]]):
    """Bounds of the pieces of a range, computed when they are indexed."""

    def __init__(self, size: int, piece: int) -> None:
        self._size, self._piece = size, piece

    def __len__(self) -> int:
        return _ceil_div(self._size, self._piece)

    def __getitem__(self, i: Any) -> Any:
        start = range(0, self._size, self._piece)[i]
        return start, min(start + self._piece, self._size)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _shape(box: Box, take: Take) -> tuple[int, ...]:
    return shape_of(box) if take is None else tuple(map(len, take))


def _listed(run: Run) -> np.ndarray:
    """Return the positions of a run as int64."""
    return np.arange(run.start, run.stop, run.step) if isinstance(run, range) else run


def _positions(tile: Tile, dims: Sequence[int], run: Run) -> list[np.ndarray]:
    """Return the positions in the box along some dimensions that are vectorized as one."""
    shape, run = _shape(tile.box, tile.take), _listed(run)
    local = [run] if len(dims) == 1 else np.unravel_index(run, tuple(shape[dim] for dim in dims))
    if tile.take is None:
        return list(local)
    return [tile.take[dim][index] for dim, index in zip(dims, local, strict=True)]


def _pieces(run: Run, length: int) -> list[Run]:
    starts = (max(0, min(start, len(run) - length)) for start in range(0, len(run), length))
    return [run[start : start + length] for start in starts]


def _place(runs: Sequence[Run]) -> tuple[Any, ...]:
    """Return slices for runs of neighbors, or a mesh."""
    if all(map(_are_neighbors, runs)):
        return tuple(slice(int(run[0]), int(run[-1]) + 1) for run in runs)
    return np.ix_(*map(_listed, runs))


def _are_neighbors(run: Run) -> bool:
    """Whether positions follow each other in ascending order."""
    if isinstance(run, range):
        return run.step == 1
    return bool(run[-1] - run[0] == len(run) - 1 and (np.diff(run) == 1).all())


def _product(levels: Sequence[Level], box: Box, take: Take) -> Iterator[tuple[Run, ...]]:
    """Yield the product of the runs, without keeping all runs of a level in memory."""
    if not levels:
        yield ()
        return
    for run in levels[0].runs(box, take):
        for rest in _product(levels[1:], box, take):
            yield (run, *rest)
