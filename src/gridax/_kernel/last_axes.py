"""Arrays whose last axes are points."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

Levels = tuple[int, ...]


class Batched(NamedTuple):
    """The values of a variable at some points.

    Attributes
    ----------
    array : with the axes of the variable, and then one for each of the levels.
    levels : numbers of the levels of points along which it varies, in increasing order.
    is_read : whether its elements are read from memory, rather than computed where they are used.
    """

    array: Any
    levels: Levels = ()
    is_read: bool = True

    @property
    def ndim(self) -> int:
        """Number of axes of the variable."""
        return int(np.ndim(self.array)) - len(self.levels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the variable."""
        return tuple(np.shape(self.array)[: self.ndim])


def union(values: Iterable[Batched]) -> Levels:
    """Return the levels along which any of some values varies."""
    return tuple(sorted({level for value in values for level in value.levels}))


@dataclasses.dataclass(frozen=True)
class LastAxes:
    """The axes of the points of a tile.

    Attributes
    ----------
    widths : number of points along each level.
    """

    widths: tuple[int, ...]

    def sizes(self, levels: Levels) -> tuple[int, ...]:
        """Return the number of points along each of some levels."""
        return tuple(self.widths[level] for level in levels)

    def spread(self, value: Batched, levels: Levels, ndim: int | None = None) -> Any:
        """Return an array with an axis for each of some levels, of size 1 where it is constant.

        Parameters
        ----------
        value : along levels that are not among these, it is constant in spite of having an axis.
        levels : in increasing order.
        ndim : number of axes of the variable. If it has fewer, there are more of size 1 before.
        """
        along = (slice(None) if level in levels else 0 for level in value.levels)
        array = value.array
        if not set(value.levels) <= set(levels):
            array = array[(*(slice(None) for _ in value.shape), *along)]
        before = (1,) * (0 if ndim is None else ndim - value.ndim)
        sizes = (self.widths[level] if level in value.levels else 1 for level in levels)
        shape = (*before, *value.shape, *sizes)
        return array if np.shape(array) == shape else jnp.reshape(array, shape)

    def full(self, value: Batched, levels: Levels, shape: Sequence[int] | None = None) -> Any:
        """Return the values along all of some levels.

        `shape` is that of the variable, to which its values are broadcast.
        """
        shape = value.shape if shape is None else shape
        array = self.spread(value, levels, len(shape))
        return jnp.broadcast_to(array, (*shape, *self.sizes(levels)))
