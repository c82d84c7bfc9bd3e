"""Outputs of successive points that are stored together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gridax._outputs.template import Output
from gridax._plan.plan import Box, Region, n_points
from gridax._stores.base import Computed

# What is kept back at most: seconds, points and bytes, and one of so many points.
_SECONDS, _POINTS, _BYTES, _ONE_OF = 0.05, 256, 2**20, 16


class Gathered:
    """The outputs of some points of a block that are not stored yet.

    To store one point takes longer than to evaluate a small model, and to store a hundred takes
    hardly any longer. A process that is killed loses what is kept back, and nobody sees it among
    the points that are done, so this is little: the first points are stored one by one.

    Parameters
    ----------
    outputs : what the model returns.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs
        self._fits = _BYTES // max(1, sum(output.nbytes for output in outputs))
        self._positions: list[int] = []
        self._arrays: list[np.ndarray] = []
        self._n_stored = self._room = 0
        self._due = 0.0

    def add(self, position: int, values: Sequence[Any]) -> bool:
        """Copy the outputs at a flat position; return whether they are to be stored now."""
        n = len(self._positions)
        if not n:
            self._due = time.perf_counter() + _SECONDS
            self._room = max(1, min(_POINTS, self._fits, self._n_stored // _ONE_OF))
            self._arrays = [np.empty((self._room, *o.shape), o.dtype) for o in self._outputs]
        for array, value in zip(self._arrays, values, strict=True):
            array[n] = value
        self._positions.append(position)
        return n + 1 == self._room or time.perf_counter() > self._due

    def take(self, box: Box) -> Iterator[Computed]:
        """Yield what there is of a block, as one."""
        positions, self._positions = self._positions, []
        if not positions:
            return
        n, first, last = len(positions), positions[0], positions[-1]
        self._n_stored += n
        in_order = positions == [*range(first, last + 1)]
        where = slice(first, last + 1) if in_order else np.array(positions)
        yield Computed(Region(box, (n_points(box),), (where,)), [a[:n] for a in self._arrays])
