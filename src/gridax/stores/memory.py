"""Outputs in the memory of this process."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

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
        there = _physical_memory()
        if there and needed > there:
            raise MemoryError(
                f"the outputs of {math.prod(shape)} points need {human(needed)}, but the machine "
                f"has {human(there)} of memory; run parts of the space (sel, isel), or return less "
                "per point"
            )
        self.arrays = [np.empty((*shape, *output.shape), output.dtype) for output in outputs]
        self.status = np.full(tuple(shape), PENDING, dtype=np.uint8)

    def write(self, index: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> int:
        """Store the outputs of a tile; return how many of its points are new."""
        where = _region(index)
        for i, value in enumerate(values):
            if not np.can_cast(value.dtype, self.arrays[i].dtype, "safe"):
                # A Python model may return 0 here and 0.5 there.
                common = np.result_type(value.dtype, self.arrays[i].dtype)
                self.arrays[i] = self.arrays[i].astype(common)
            self.arrays[i][where] = value
        new = int((self.status[_region(list(map(np.unique, index)))] == PENDING).sum())
        self.status[where] = DONE
        return new

    @property
    def n_done(self) -> int:
        """Number of points that are stored."""
        return int((self.status == DONE).sum())

    def erase_pending(self) -> None:
        """Fill what was not computed: NaN where the dtype has one, else zero."""
        pending = self.status == PENDING
        for array in self.arrays:
            array[pending] = np.nan if jnp.issubdtype(array.dtype, jnp.inexact) else 0


def _region(index: Sequence[np.ndarray]) -> tuple[slice, ...] | tuple[np.ndarray, ...]:
    """Return slices where the indices are neighbours, else an open mesh."""
    slices = []
    for run in index:
        start, stop = int(run[0]), int(run[-1]) + 1
        if stop - start != len(run) or (np.diff(run) != 1).any():
            return np.ix_(*index)
        slices.append(slice(start, stop))
    return tuple(slices)


def _physical_memory() -> int | None:
    """Return the bytes of memory of this machine, where the system says so."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def human(nbytes: float) -> str:
    """Return a size in the unit that reads best.

    Examples
    --------
    >>> human(4_200_000_000)
    '4.2 GB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} EB"
