"""The cells of a reduced sweep: points whose outputs are reduced together.

All points along the reduced dimensions make one cell, or, if they are too many to be evaluated at a
time, one cell per part of them. The cells are the points of a coarser grid, which is what a plan, a
store and a worker of a reduced sweep have in place of the grid.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from gridax._plan.plan import Box, Level, Plan, box_of, shape_of


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a reduced dimension is divided into parts.

    Attributes
    ----------
    dim : number of the dimension.
    size : its indices.
    length : indices of a part; some parts are shorter.
    n_known : indices of which an older result has the outputs; a part has either only these or none
        of them.
    order : the indices in the order in which they are divided, the known ones first; None if that
        is their own order.
    """

    dim: int
    size: int
    length: int
    n_known: int = 0
    order: tuple[int, ...] | None = None

    @functools.cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each part starts, in `order`."""
        known = range(0, self.n_known, self.length)
        return (*known, *range(self.n_known, self.size, self.length))

    @property
    def n_known_parts(self) -> int:
        """Number of parts of which an older result has the outputs; they come first."""
        return -(-self.n_known // self.length)

    def indices(self, part: int) -> np.ndarray:
        """Return the indices of a part."""
        stop = [*self.starts, self.size][part + 1]
        if self.order is None:
            return np.arange(self.starts[part], stop)
        return np.array(self.order[self.starts[part] : stop], dtype=np.int64)


@dataclasses.dataclass(frozen=True)
class Cells:
    """The grid of cells.

    Attributes
    ----------
    sizes : number of points along each dimension of the space.
    reduced : numbers of the dimensions along which any output is reduced.
    cuts : those of them that are divided into parts, in their order.
    """

    sizes: tuple[int, ...]
    reduced: tuple[int, ...]
    cuts: tuple[Cut, ...] = ()

    @functools.cached_property
    def by_dim(self) -> dict[int, Cut]:
        """The divided dimensions by their numbers."""
        return {cut.dim: cut for cut in self.cuts}

    @functools.cached_property
    def grid(self) -> tuple[int, ...]:
        """Numbers of the space's dimensions that the grid of cells has."""
        inner = set(self.reduced) - set(self.by_dim)
        return tuple(dim for dim in range(len(self.sizes)) if dim not in inner)

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of cells along each dimension of their grid."""
        cuts = self.by_dim
        return tuple(len(cuts[dim].starts) if dim in cuts else self.sizes[dim] for dim in self.grid)

    @functools.cached_property
    def lengths(self) -> tuple[int, ...]:
        """Number of points along each dimension of the space, of a part if it is divided."""
        cuts = self.by_dim
        return tuple(cuts[d].length if d in cuts else size for d, size in enumerate(self.sizes))

    @property
    def n_points(self) -> int:
        """Number of points of a cell; those of short parts have fewer."""
        return math.prod(self.lengths[dim] for dim in self.reduced)

    @property
    def n_parts(self) -> int:
        """Number of cells that make up the points that are reduced together."""
        return math.prod(len(cut.starts) for cut in self.cuts)

    def within(self, block: Sequence[int]) -> tuple[int, ...]:
        """Return the points along each dimension of the space, of some cells along each of theirs.

        A divided dimension has those of a single part.
        """
        kept = dict(zip(self.grid, block, strict=True))
        return tuple(n if dim in self.reduced else kept[dim] for dim, n in enumerate(self.lengths))

    def indices(self, box: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the indices along each dimension of the space, of a box of cells.

        Along a divided dimension, it has a single part.
        """
        ranges = dict(zip(self.grid, box, strict=True))
        found = []
        for dim, size in enumerate(self.sizes):
            if dim in self.by_dim:
                found.append(self.by_dim[dim].indices(ranges[dim][0]))
            else:
                found.append(np.arange(*ranges.get(dim, (0, size))))
        return found

    def extent(self, box: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the first and last index along each dimension of the space, of a box of cells."""
        return [np.array([along.min(), along.max()]) for along in self.indices(box)]

    def counts(self, box: Box) -> np.ndarray:
        """Return the number of points of each cell of a box."""
        n = np.full(shape_of(box), self.n_points, np.int64)
        for axis, dim in enumerate(self.grid):
            if dim in self.by_dim:
                cut = self.by_dim[dim]
                lengths = np.diff([*cut.starts, cut.size])[slice(*box[axis])]
                n = (
                    n
                    // cut.length
                    * lengths.reshape([-1 if k == axis else 1 for k in range(n.ndim)])
                )
        return n

    def n_points_in(self, cells: np.ndarray) -> int:
        """Return the number of points in some cells, which are True in an array of all cells."""
        return int((self.counts(box_of(self.shape)) * cells).sum())

    def first_point(self, index: Sequence[int]) -> list[int]:
        """Return the index along each dimension of the space of a point of a cell."""
        kept = dict(zip(self.grid, index, strict=True))
        return [0 if d in self.reduced else kept[d] for d in range(len(self.sizes))]

    @property
    def has_gaps(self) -> bool:
        """Whether some points of a cell do not count, since its part is shorter than others."""
        return any((np.diff([*cut.starts, cut.size]) < cut.length).any() for cut in self.cuts)

    def table(self, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of each part along a reduced dimension, and which of them count.

        Both have the shape ``(n_parts, length)``. Short parts repeat their last index, which does
        not count.
        """
        if dim not in self.by_dim:
            index = np.arange(self.sizes[dim], dtype=np.int32)[None]
            return index, np.ones(index.shape, bool)
        cut = self.by_dim[dim]
        parts = [cut.indices(part) for part in range(len(cut.starts))]
        index = np.empty((len(parts), cut.length), np.int32)
        counts = np.zeros(index.shape, bool)
        for row, mask, part in zip(index, counts, parts, strict=True):
            row[: len(part)], row[len(part) :] = part, part[-1]
            mask[: len(part)] = True
        return index, counts


def part_lengths(sizes: Sequence[int], common: Sequence[int], most: int) -> dict[int, int]:
    """Return how many indices of each dimension a part has, which has at most so many points.

    The points of a part are neighbors in the order of the points.

    Parameters
    ----------
    sizes : number of points along each dimension.
    common : numbers of the dimensions that are divided, if necessary.
    most : number of points of a part, if possible.

    Examples
    --------
    >>> part_lengths((5, 4, 100), (0, 2), 60)
    {2: 50, 0: 1}
    """
    lengths = {}
    for dim in reversed(common):
        size = sizes[dim]
        n_parts = math.ceil(size / max(1, min(size, most)))
        lengths[dim] = math.ceil(size / n_parts)
        most //= size
    return lengths


def divided(
    sizes: Sequence[int], lengths: Mapping[int, int], known: Mapping[int, tuple[int, ...]]
) -> tuple[Cut, ...]:
    """Return how dimensions are divided.

    Parameters
    ----------
    sizes : number of points along each dimension.
    lengths : indices of a part, by dimension.
    known : indices of which an older result has the outputs, by dimension.
    """
    cuts = []
    for dim in sorted(lengths):
        size, length, first = sizes[dim], lengths[dim], known.get(dim, ())
        if length < size or 0 < len(first) < size:
            order: tuple[int, ...] | None = None
            if first != tuple(range(len(first))):
                order = (*first, *sorted(set(range(size)) - set(first)))
            cuts.append(Cut(dim, size, length, len(first), order))
    return tuple(cuts)


def of_cells(
    cells: Cells, plan: Plan, block: tuple[int, ...] | None, dims: Sequence[str], nbytes: int
) -> Plan:
    """Return the plan of cells from one of the points of cells.

    Parameters
    ----------
    cells : of the sweep.
    plan : levels and devices; a run of its levels along reduced dimensions covers a cell.
    block : cells of a block along each dimension of their grid; None for all.
    dims : names of the space's dimensions.
    nbytes : bytes of what a cell is reduced to.
    """
    numbers = {dim: n for n, dim in enumerate(cells.grid)}
    kept, inner = [], []
    for level in plan.levels:
        if level.dims[0] in cells.reduced:
            inner.append(level)
        else:
            kept.append(dataclasses.replace(level, dims=tuple(numbers[d] for d in level.dims)))
    coarse = dataclasses.replace(
        plan,
        dims=tuple(dims[dim] for dim in cells.grid),
        sizes=cells.shape,
        block=block or cells.shape,
        levels=(*kept, *(Level((numbers[cut.dim],)) for cut in cells.cuts)),
        chain=None if plan.chain is None else plan.chain.numbered(cells.grid),
        inner=tuple(inner),
        point_bytes=nbytes,
    )
    n_tiles = coarse.n_tiles(next(coarse.blocks()))
    n_devices, n_threads = min(plan.n_devices, n_tiles), min(plan.n_threads, n_tiles)
    return dataclasses.replace(coarse, n_devices=n_devices, n_threads=n_threads)


def levels_of_points(
    cells: Cells, levels: Sequence[Level], inner: Sequence[Level]
) -> tuple[Level, ...]:
    """Return the levels of points, given those of a plan of cells."""
    kept = (
        dataclasses.replace(level, dims=tuple(cells.grid[dim] for dim in level.dims))
        for level in levels
    )
    return (*(level for level in kept if level.dims[0] not in cells.by_dim), *inner)


def narrower_within(cells: Cells, plan: Plan) -> Plan | None:
    """Return a plan that vectorizes half of the points of a cell, or None."""
    inner = list(plan.inner)
    i = max(range(len(inner)), key=lambda i: inner[i].width, default=0)
    if not inner or inner[i].width == 1:
        return None
    width = inner[i].width // 2
    depth = math.ceil(inner[i].size(cells.lengths) / width)
    inner[i] = dataclasses.replace(inner[i], width=width, depth=depth)
    return dataclasses.replace(plan, inner=tuple(inner))
