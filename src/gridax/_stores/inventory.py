"""Which blocks of a store are done, according to the files themselves.

A store of ten thousand blocks has to be looked through in a second, so nothing is decoded that need
not be: a status chunk is one byte per point and a checksum, and every other chunk says in its first
bytes how long it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from gridax._plan.plan import Box, shape_of
from gridax._stores.arrays import DamagedChunk, Number, StoredArray
from gridax._stores.base import DONE, PENDING, Verify
from gridax._stores.location import Location

# Files that are requested at once: many for a bucket, which answers them side by side, but not so
# many that their contents take much memory.
_BATCH = 1024


class Inventory:
    """Finds out the states of the points of a store, block by block.

    Parameters
    ----------
    location : of the store.
    status : the array of the points' states.
    outputs : the arrays of the outputs.
    errors : the array of messages, whose chunks may be missing; None if there is none.
    verify : what is checked before the status of a block is believed.
    """

    def __init__(
        self,
        location: Location,
        status: StoredArray,
        outputs: Sequence[StoredArray],
        errors: StoredArray | None,
        verify: Verify,
    ) -> None:
        self._location, self._status = location, status
        self._outputs, self._errors, self._verify = outputs, errors, verify

    def number(self, box: Box) -> Number:
        """Return the number of a block along each dimension."""
        return tuple(a // size for (a, _), size in zip(box, self._status.chunks, strict=True))

    def states(
        self, boxes: Iterator[Box], verify: Verify | None = None
    ) -> Iterator[tuple[np.ndarray | None, bool]]:
        """Yield the states of the points of each block, and whether the block is damaged.

        The states are None if the block was never written, or is damaged.
        """
        verify = verify or self._verify
        while batch := list(itertools.islice(boxes, _BATCH)):
            keys = [self._status.key_of(self.number(box)) for box in batch]
            contents = self._location.read(keys)
            states: list[np.ndarray | None] = []
            damaged = []
            for box, raw in zip(batch, contents, strict=True):
                try:
                    inside = tuple(map(slice, shape_of(box)))
                    states.append(None if raw is None else self._status.decode(raw)[inside])
                    damaged.append(False)
                except DamagedChunk:
                    states.append(None)
                    damaged.append(True)
            # Where all is pending, there is nothing to lose, so nothing to check.
            written = [i for i, each in enumerate(states) if each is not None and each.any()]
            whole = self._are_whole([batch[i] for i in written], verify)
            for i, is_whole in zip(written, whole, strict=True):
                if not is_whole:
                    states[i], damaged[i] = None, True
            yield from zip(states, damaged, strict=True)

    def _are_whole(self, boxes: Sequence[Box], verify: Verify) -> list[bool]:
        """Return which blocks have all their chunks, as far as that is to be verified."""
        if verify == "none":
            return [True] * len(boxes)
        if verify == "full":
            return [self._is_readable(box) for box in boxes]
        numbers = [self.number(box) for box in boxes]
        chunks = [
            (i, array, array.key_of(each))
            for i, number in enumerate(numbers)
            for array in self._outputs
            for each in array.numbers(number)
        ]
        heads = self._location.heads([key for *_, key in chunks])
        pairs = zip(chunks, heads, strict=True)
        lacking = {i for (i, array, _), head in pairs if not (head and array.has_its_size(*head))}
        return [i not in lacking for i in range(len(boxes))]

    def _is_readable(self, box: Box) -> bool:
        try:
            self.read(box)
        except DamagedChunk:
            return False
        return True

    def read(self, box: Box) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return the outputs of a block, and the messages of points that failed, if any did.

        Raises
        ------
        DamagedChunk
            If a chunk is missing or damaged.
        """
        block = self.number(box)
        keys = [[array.key_of(n) for n in array.numbers(block)] for array in self._outputs]
        if self._errors is not None:
            keys.append([self._errors.key_of(block)])
        contents = iter(self._location.read(list(itertools.chain(*keys))))
        values = [
            array.read(itertools.islice(contents, len(each)), block)
            for array, each in zip(self._outputs, keys, strict=False)
        ]
        raw = next(contents, None)  # of the messages
        messages = None
        if self._errors is not None and raw is not None:
            messages = self._errors.read([raw], block)
        return values, messages


def kept(states: np.ndarray, retry_failed: bool) -> np.ndarray:
    """Return which points of a block need not be evaluated again, given their states."""
    return states == DONE if retry_failed else states != PENDING
