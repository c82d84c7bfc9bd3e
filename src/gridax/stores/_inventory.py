"""Which blocks of a store are done, from its files; nothing is decoded that need not be.

A store of ten thousand blocks is looked through in a second, so this reads the files themselves:
a status chunk is one byte per point and a checksum, and every other chunk says in its header how
long it is.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import google_crc32c
import numpy as np

from gridax._plan import Box
from gridax.stores._place import Place
from gridax.stores.base import FAILED, PENDING, Verify

# What blosc writes before its data: versions and flags, then sizes of the data, of its blocks and
# of all that it has written, header included.
_HEADER = struct.Struct("<4BIII")
_CHECKSUM = 4
# Files that are asked for in one go.
_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Stored:
    """An output as it is stored.

    Attributes
    ----------
    array : the Zarr array.
    key : its path in the store.
    chunk : shape of a chunk.
    """

    array: Any
    key: str
    chunk: tuple[int, ...]

    def chunks_of(self, block: Sequence[int]) -> Iterator[str]:
        """Yield the keys of the chunks of a block, by its number along each dimension."""
        inner = self.array.shape[len(block) :]
        cut = self.chunk[len(block) :]
        numbers = (range(math.ceil(n / c)) for n, c in zip(inner, cut, strict=True))
        for rest in itertools.product(*numbers):
            yield "/".join([self.key, "c", *map(str, (*block, *rest))])

    @property
    def nbytes(self) -> int:
        """Size of a chunk that is not compressed."""
        return math.prod(self.chunk) * self.array.dtype.itemsize


class Inventory:
    """Looks at the blocks of a store.

    Parameters
    ----------
    place : where it lies.
    status : the array of the points' states.
    outputs : the arrays of the outputs, without those that hold nothing.
    verify : what makes a block count as done beside its status.
    """

    def __init__(
        self, place: Place, status: Stored, outputs: Sequence[Stored], verify: Verify
    ) -> None:
        self._place, self._status, self._outputs, self._verify = place, status, outputs, verify

    def look(self, boxes: Iterator[Box]) -> Iterator[tuple[np.ndarray | None, bool]]:
        """Yield the state of all points of each block, or None, and whether it is damaged."""
        while some := list(itertools.islice(boxes, _AT_ONCE)):
            numbers = [
                tuple(a // size for (a, _), size in zip(box, self._status.chunk, strict=True))
                for box in some
            ]
            keys = [next(self._status.chunks_of(number)) for number in numbers]
            found = [
                None if raw is None else self._decoded(raw, box)
                for raw, box in zip(self._place.read(keys), some, strict=True)
            ]
            whole = self._whole(some, numbers, found)
            for states, good in zip(found, whole, strict=True):
                if states is None:
                    yield None, False
                elif states.size == 0 or not good:
                    yield None, True
                else:
                    yield states, False

    def _decoded(self, raw: bytes, box: Box) -> np.ndarray:
        """Return the states in a chunk, or nothing if it is damaged."""
        content, checksum = raw[:-_CHECKSUM], raw[-_CHECKSUM:]
        intact = len(content) == self._status.nbytes
        if not intact or google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            return np.empty(0, np.uint8)
        states = np.frombuffer(content, np.uint8).reshape(self._status.chunk)
        return states[tuple(slice(stop - start) for start, stop in box)]

    def _whole(
        self,
        boxes: Sequence[Box],
        numbers: Sequence[tuple[int, ...]],
        found: Sequence[np.ndarray | None],
    ) -> list[bool]:
        """Return whether the outputs of each block are what was written."""
        good = [True] * len(boxes)
        if self._verify == "none":
            return good
        asked = [i for i, states in enumerate(found) if states is not None and states.any()]
        for stored in self._outputs:
            keys = [(i, key) for i in asked for key in stored.chunks_of(numbers[i])]
            heads = self._place.heads([key for _, key in keys], _HEADER.size)
            for (i, _), head in zip(keys, heads, strict=True):
                good[i] = good[i] and _has_its_size(head, stored.nbytes)
            if self._verify == "full":
                for i in asked:
                    good[i] = good[i] and _readable(stored, boxes[i])
        return good


def _has_its_size(head: tuple[bytes, int] | None, nbytes: int) -> bool:
    """Whether a chunk is as long as its header says."""
    if head is None or len(head[0]) < _HEADER.size:
        return False
    *_, decoded, _, encoded = _HEADER.unpack(head[0])
    return decoded == nbytes and encoded + _CHECKSUM == head[1]


def _readable(stored: Stored, box: Box) -> bool:
    try:
        stored.array[tuple(slice(*bounds) for bounds in box)]
    except OSError:
        raise
    except Exception:  # whatever a damaged chunk makes the codecs raise
        return False
    return True


def is_finished(states: np.ndarray | None, retry_failed: bool) -> bool:
    """Whether there is nothing left to do in a block."""
    if states is None or (states == PENDING).any():
        return False
    return not (retry_failed and (states == FAILED).any())
