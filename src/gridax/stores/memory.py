"""Outputs in the memory of this process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridax._memory import human, physical
from gridax._plan import Region
from gridax._template import Output

PENDING, DONE, FAILED = 0, 1, 2


class MemoryStore:
    """Host arrays over a grid, filled tile by tile.

    Parameters
    ----------
    shape : tuple of int
        Sizes of the grid's dimensions.
    outputs : sequence of Output
        Each gets an array of shape ``(*shape, *output.shape)``.

    Raises
    ------
    MemoryError
        If the arrays would not fit into the memory of the machine, with the sizes named.
    """

    def __init__(self, shape: Sequence[int], outputs: Sequence[Output]) -> None:
        needed = math.prod(shape) * sum(output.nbytes for output in outputs)
        there = physical()
        if there and needed > there:
            raise MemoryError(
                f"the outputs of {math.prod(shape)} points need {human(needed)}, but the machine "
                f"has {human(there)} of memory; run parts of the space (sel, isel), or return less "
                "per point"
            )
        self.outputs = tuple(outputs)
        self.arrays = [np.empty((*shape, *output.shape), output.dtype) for output in outputs]
        self.status = np.full(tuple(shape), PENDING, dtype=np.uint8)

    def write(self, region: Region, values: Sequence[Any]) -> int:
        """Store the outputs of a tile; return how many of its points are new.

        Parameters
        ----------
        region : the place of the tile.
        values : outputs of the tile, each of shape ``(*tile, *output.shape)``, or with 1 in place
            of a size of the tile along which the output does not vary.
        """
        box, shape, where = region
        for i, value in enumerate(values):
            if not np.can_cast(value.dtype, self.arrays[i].dtype, "safe"):
                # A Python model may return 0 here and 0.5 there.
                common = np.result_type(value.dtype, self.arrays[i].dtype)
                self.arrays[i] = self.arrays[i].astype(common)
            array = self.arrays[i]
            inner = array.shape[self.status.ndim :]
            array[box].reshape(shape + inner, copy=False)[where] = value
        status = self.status[box].reshape(shape, copy=False)
        picked = any(isinstance(index, np.ndarray) for index in where)
        if not picked and status[where].size == self.status.size:  # the whole grid
            new = self.status.size - np.count_nonzero(self.status)
            self.status.fill(DONE)
            return int(new)
        new = np.count_nonzero(status[where] == PENDING)
        status[where] = DONE
        return int(new)

    @property
    def n_done(self) -> int:
        """Number of points that are stored."""
        return int((self.status == DONE).sum())

    def erase_pending(self) -> None:
        """Fill what was not computed with NaN; integers and bools become floats for that.

        Keys have no NaN, so theirs become zeros.
        """
        pending = self.status == PENDING
        if not pending.any():
            return
        for i, (array, output) in enumerate(zip(self.arrays, self.outputs, strict=True)):
            inexact = jnp.issubdtype(array.dtype, jnp.inexact)
            if not inexact and output.impl is None:
                self.arrays[i] = array = array.astype(float)
            array[pending] = 0 if output.impl is not None else np.nan
