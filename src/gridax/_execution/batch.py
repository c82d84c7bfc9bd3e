"""Tiles that are evaluated at the same time."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gridax._execution.front import Front
from gridax._kernel.indices import packed
from gridax._kernel.prepared import Choice
from gridax._plan.plan import Box, Plan, Region, Tile


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Tiles of a plan that are evaluated at the same time, with one static choice.

    Attributes
    ----------
    choice, plan, tiles : the tiles.
    front : what is carried to chains, if they do not only begin and end here.
    continues : whether something is carried to them.
    """

    choice: Choice
    plan: Plan
    tiles: list[Tile]
    front: Front | None
    continues: bool

    @functools.cached_property
    def index(self) -> np.ndarray:
        """The argument of the kernel; a device without a tile of its own repeats the last one."""
        idle = self.plan.n_devices - len(self.tiles)
        return packed(self.plan, self.tiles + self.tiles[-1:] * idle)

    @functools.cached_property
    def regions(self) -> list[Region]:
        """Where the tiles are in the grid."""
        return [self.plan.region(tile) for tile in self.tiles]

    def arrays(self, parts: Sequence[Sequence[np.ndarray]]) -> Iterator[list[np.ndarray]]:
        """Yield the outputs of each tile, without the points that were repeated to fill it.

        `parts` are the outputs of all devices, or of each tile of one device.
        """
        for i, tile in enumerate(self.tiles):
            row, k = divmod(i, len(parts))
            there: Any = (row, *(slice(len(run)) for run in tile.runs))
            yield [array[there] for array in parts[k]]

    def extent(self) -> list[np.ndarray]:
        """Return the first and last index along each dimension."""
        indices = map(self.plan.indices, self.tiles)
        runs = [np.concatenate(along) for along in zip(*indices, strict=True)]
        return [np.array([run.min(), run.max()]) for run in runs]

    def box(self) -> Box:
        """Return the smallest box that has all points."""
        return tuple((int(first), int(last) + 1) for first, last in self.extent())

    def split(self, narrower: Plan) -> Iterator[Batch]:
        """Yield the same points in batches of a narrower plan."""
        pieces = itertools.chain.from_iterable(map(narrower.split, self.tiles))
        while tiles := list(itertools.islice(pieces, narrower.n_parallel)):
            yield Batch(self.choice, narrower, tiles, self.front, self.continues)

    @property
    def n_together(self) -> int:
        """Points of all tiles, of which those of a chain count as one."""
        along = self.plan.along
        runs = (run for tile in self.tiles for i, run in enumerate(tile.runs) if i != along)
        return math.prod(map(len, runs))

    @property
    def n_steps(self) -> int:
        """Points of a chain."""
        along = self.plan.along
        return 1 if along is None else len(self.tiles[0].runs[along])

    @functools.cached_property
    def chains(self) -> list[Region]:
        """Where the chains of each tile are in a block without their dimension."""
        assert self.plan.chain is not None
        return [self.plan.region(_first_step(self.plan, tile)) for tile in self.tiles]

    def carried(self) -> list[np.ndarray]:
        """Return what is carried to the chains of each device, with one axis per level."""
        if self.front is None or not self.continues:
            return []
        along = self.plan.along
        lengths = [1 if i == along else n for i, n in enumerate(self.plan.tile)]
        by_tile = []
        for at in self.chains:
            arrays = self.front.carried(at)
            for axis, length in enumerate(lengths):
                repeated = np.arange(length)
                arrays = [a.take(repeated % a.shape[axis], axis) for a in arrays]
            by_tile.append(arrays)
        by_tile += by_tile[-1:] * (self.plan.n_devices - len(by_tile))
        return [np.stack(arrays) for arrays in zip(*by_tile, strict=True)]

    def reached(self, i: int, outputs: Sequence[np.ndarray]) -> None:
        """Note the outputs of one of the tiles as what its chains carry on."""
        if self.front is not None:
            assert self.plan.along is not None
            last = (slice(None),) * self.plan.along + (slice(-1, None),)
            self.front.reached(self.chains[i], [outputs[k][last] for k in self.front.numbers])


def _first_step(plan: Plan, tile: Tile) -> Tile:
    """Return the first points of the chains of a tile, in a block of them."""
    assert plan.chain is not None
    dim, along = plan.chain.dim, plan.along
    runs = (np.zeros(1, int) if i == along else run for i, run in enumerate(tile.runs))
    box = (*tile.box[:dim], (0, 1), *tile.box[dim + 1 :])
    take = tile.take
    if take is not None:
        take = (*take[:dim], np.zeros(1, int), *take[dim + 1 :])
    return Tile(box, tuple(runs), take)
