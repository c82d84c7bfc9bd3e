"""Points that follow each other along a dimension, since each starts where the last one ended.

All labels along the dimension make one chain, and there is a chain per combination of the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Chain:
    """Along which dimension points follow each other, and in which order.

    Attributes
    ----------
    dim : number of the dimension.
    backward : whether a chain begins at the last index: one entry per index along `direction`, or a
        single one if there is no such dimension.
    direction : number of the dimension of both directions, if any.
    """

    dim: int
    backward: tuple[bool, ...] = (False,)
    direction: int | None = None

    def is_backward(self, index: Sequence[int]) -> bool:
        """Whether the chain through a point begins at the last index."""
        return self.backward[0 if self.direction is None else index[self.direction]]

    def start(self, index: Sequence[int], sizes: Sequence[int]) -> int:
        """Return the first index along the dimension of the chain through a point."""
        return sizes[self.dim] - 1 if self.is_backward(index) else 0

    def numbered(self, dims: Sequence[int]) -> Chain:
        """Return the chain in a grid of some of the dimensions, which has its own numbers."""
        direction = None if self.direction is None else dims.index(self.direction)
        return dataclasses.replace(self, dim=dims.index(self.dim), direction=direction)

    def fitting(self, block: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of a block that has chains of both directions only if they are whole."""
        is_divided = block[self.dim] < sizes[self.dim]
        return tuple(1 if is_divided and d == self.direction else n for d, n in enumerate(block))

    def in_order(self, array: np.ndarray, origin: Sequence[int]) -> np.ndarray:
        """Return an array over a box with the points of each chain in the order of the chain.

        It is its own inverse. `origin` is the index of the first point of the box.
        """
        if self.direction is None:
            return np.flip(array, self.dim) if self.backward[0] else array
        along = np.arange(array.shape[self.direction]) + origin[self.direction]
        shape = [1] * array.ndim
        shape[self.direction] = -1
        backward = np.array(self.backward)[along].reshape(shape)
        return np.where(backward, np.flip(array, self.dim), array)
