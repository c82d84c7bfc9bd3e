"""An output of any size, read in parts of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from gridax._plan import plan

# Numbers that are in memory at a time; computing with them takes a few times as much.
MOST = 2**24


def boxes(sizes: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Yield boxes of at most `most` elements that cover an array, in C order.

    Examples
    --------
    >>> list(boxes((2, 3), 2))[:2]
    [(slice(0, 1, None), slice(0, 2, None)), (slice(0, 1, None), slice(2, 3, None))]
    """
    steps, room = [], max(1, most)
    for size in reversed(sizes):
        steps.append(max(1, min(size, room)))
        room //= steps[-1]
    for box in plan.boxes(sizes, steps[::-1]):
        yield tuple(slice(*side) for side in box)


class Parts:
    """An output, in parts along the first of some dimensions and along all dimensions that remain.

    Parameters
    ----------
    variable : the output; it may be in a file.
    dims : dimensions of which a part has all entries, except along the first.
    unit : number of entries along the first dimension that stay together.
    n_sums : how many numbers are kept of each value.

    Attributes
    ----------
    rest, shape : names and sizes of the dimensions that remain.
    """

    def __init__(
        self, variable: xr.Variable, dims: Sequence[str], unit: int = 1, n_sums: int = 1
    ) -> None:
        self._variable, self._dims, self._unit = variable, tuple(dims), unit
        self.rest = tuple(str(dim) for dim in variable.dims if dim not in dims)
        self._sizes = {str(dim): size for dim, size in variable.sizes.items()}
        self.shape = tuple(self._sizes[dim] for dim in self.rest)
        self._inner = math.prod(self._sizes[dim] for dim in dims[1:])
        self._most_values = max(1, MOST // max(unit * self._inner, n_sums))

    def boxes(self) -> Iterator[tuple[slice, ...]]:
        """Yield boxes along the dimensions that remain."""
        return boxes(self.shape, self._most_values)

    def read(self, box: Sequence[slice]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the values in a box: the start along the first dimension, and a float64 array.

        The array has the given dimensions, followed by one for all those that remain.
        """
        within = dict(zip(self.rest, box, strict=True))
        n_values = math.prod(part.stop - part.start for part in box)
        step = self._unit * max(1, MOST // max(1, self._unit * self._inner * n_values))
        for start in range(0, self._sizes[self._dims[0]], step):
            along = {self._dims[0]: slice(start, start + step), **within}
            part = self._variable.isel(along).transpose(*self._dims, *self.rest)
            values = np.asarray(part.values, np.float64)
            yield start, values.reshape(*values.shape[: len(self._dims)], n_values)
