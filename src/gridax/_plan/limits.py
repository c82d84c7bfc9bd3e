"""What is decided about the tiles of a sweep before it is planned."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What a user or a store has decided about the tiles of a sweep.

    Attributes
    ----------
    n_vmap : maximum number of points that are vectorized; if given, only `memory` makes tiles
        smaller.
    memory : maximum number of bytes that a device may use; None for what is free.
    block : points of a block along each dimension; None if that is not decided.
    lanes : whether points may leave a loop one by one, or how many are in it at a time.
    """

    n_vmap: int | None = None
    memory: int | None = None
    block: tuple[int, ...] | None = None
    lanes: bool | int = True

    @property
    def n_lanes(self) -> int | None:
        """Number of lanes; None if that is to be measured."""
        if self.lanes is True:
            return None if self.n_vmap is None else 0
        return int(self.lanes)
