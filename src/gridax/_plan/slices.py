"""A block that is evaluated slice by slice, so that plans can be compared on parts of it."""

from __future__ import annotations

import math

import numpy as np

from gridax._plan.plan import Box, Plan, Take, shape_of


class Slices:
    """The points of a block that are left.

    It is cut along the dimension that most tiles follow each other along, so that slices are small,
    and the rest is still a product. What is cut off is spread along it, so that its time tells that
    of the rest. Chains are not cut.

    Parameters
    ----------
    box : the block.
    plan : how it is divided into tiles.
    taken : positions in the block, if only some of it is to be evaluated.

    Examples
    --------
    >>> from gridax._plan.plan import Level
    >>> plan = Plan(("x",), (8,), (8,), (Level((0,), width=2),))
    >>> slices = Slices(((0, 8),), plan)
    >>> slices.take(2, plan), slices.take(6, plan)
    (((array([2, 6]),), 2), ((array([0, 1, 3, 4, 5, 7]),), 6))
    >>> slices.is_empty
    True
    """

    def __init__(self, box: Box, plan: Plan, taken: Take = None) -> None:
        self._is_whole = taken is None
        self._runs = [np.arange(n) for n in shape_of(box)] if taken is None else [*taken]
        shape = tuple(map(len, self._runs))
        n_tiles = [n / plan.filling(dim, shape) for dim, n in enumerate(shape)]
        if plan.chain is not None:
            n_tiles[plan.chain.dim] = 0
        if not any(n_tiles):  # a single point, or a single chain
            self._runs.append(np.arange(1))
            n_tiles.append(1)
        self._along = n_tiles.index(max(n_tiles))
        self._left = self._runs[self._along]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self._left.size

    def take(self, n: int, plan: Plan) -> tuple[Take, int]:
        """Cut off at least `n` points in whole tiles of a plan; return which, and their number."""
        shape = tuple(map(len, self._runs))
        per_slice = math.prod(shape) // shape[self._along]
        filling = plan.filling(self._along, shape)
        n_slices = math.ceil(math.ceil(n / per_slice) / filling) * filling
        n_slices = min(n_slices, self._left.size)
        # The middle of each of so many equal parts.
        at = (2 * np.arange(n_slices) + 1) * self._left.size // (2 * n_slices)
        taken, self._left = self._left[at], np.delete(self._left, at)
        if self._is_whole and n_slices == shape[self._along]:
            return None, n_slices * per_slice
        runs = [*self._runs]
        runs[self._along] = taken
        return tuple(runs), n_slices * per_slice
