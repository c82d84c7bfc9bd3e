"""Which blocks of a store are done, from its files; nothing is decoded that need not be.

A store of ten thousand blocks is looked through in a second, so this reads the files themselves:
a status chunk is one byte per point and a checksum, and every other chunk says in its header how
long it is.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gridax._plan.plan import Box, shape_of
from gridax._stores.base import FAILED, PENDING, Verify
from gridax._stores.place import Ends, Place
from gridax._stores.records import LENGTH, Records, Stored, intact, matches

# What blosc writes before its data: versions and flags, then sizes of the data, of its blocks and
# of all that it has written, header included.
_HEADER = struct.Struct("<4BIII")
# Files that are asked for in one go.
_AT_ONCE = 1024

Number = tuple[int, ...]


class Inventory:
    """Looks at the blocks of a store.

    Parameters
    ----------
    place : where it lies.
    status : the array of the points' states.
    outputs : the arrays of the outputs that hold something.
    records : checksums of their chunks.
    verify : what makes a block count as done beside its status.
    decode : reads the outputs of a block, and raises an error if they are damaged.
    """

    def __init__(
        self,
        place: Place,
        status: Stored,
        outputs: Sequence[Stored],
        records: Records,
        verify: Verify,
        decode: Callable[[Box], None],
    ) -> None:
        self._place, self._status, self._outputs = place, status, outputs
        self._records, self._verify, self._decode = records, verify, decode

    def number(self, box: Box) -> Number:
        """Return the number of a block along each dimension."""
        return tuple(a // size for (a, _), size in zip(box, self._status.chunk, strict=True))

    def look(
        self, boxes: Iterator[Box], verify: Verify | None = None
    ) -> Iterator[tuple[np.ndarray | None, bool]]:
        """Yield the state of all points of each block, or None, and whether it is damaged."""
        verify = verify or self._verify
        while some := list(itertools.islice(boxes, _AT_ONCE)):
            keys = [next(self._status.chunks_of(self.number(box))) for box in some]
            there = {i: raw for i, raw in enumerate(self._place.read(keys)) if raw is not None}
            states = self._checked([(some[i], raw) for i, raw in there.items()], verify)
            found = dict(zip(there, states, strict=True))
            for i in range(len(some)):
                yield found.get(i), i in found and found[i] is None

    def _checked(self, found: list[tuple[Box, bytes]], verify: Verify) -> list[np.ndarray | None]:
        """Return the state of all points of each block that has one, or None if it is damaged."""
        states = [self._decoded(raw, box) for box, raw in found]
        if verify == "none":
            return states
        numbers = [self.number(box) for box, _ in found]
        records = self._records.read(self._place, numbers)
        keys = [key for number in numbers for s in self._outputs for key in s.chunks_of(number)]
        ends = iter(self._place.ends(keys))
        for i, ((box, raw), record) in enumerate(zip(found, records, strict=True)):
            chunks = [(s, next(ends)) for s in self._outputs for _ in s.chunks_of(numbers[i])]
            whole = record is not None and self._is_whole(raw, chunks, record, verify)
            if whole and verify == "full":
                whole = self._is_readable(box)
            if not whole:
                states[i] = None
        return states

    def _decoded(self, raw: bytes, box: Box) -> np.ndarray | None:
        content = intact(raw, self._status.nbytes)
        if content is None:
            return None
        states = np.frombuffer(content, np.uint8).reshape(self._status.chunk)
        return states[tuple(map(slice, shape_of(box)))]

    def _is_whole(
        self,
        status: bytes,
        chunks: Sequence[tuple[Stored, Ends | None]],
        record: np.ndarray,
        verify: Verify,
    ) -> bool:
        """Return whether the files of a block are those that were written."""
        if not matches(status[-LENGTH:], record[0]):
            return False
        for (stored, end), checksum in zip(chunks, record[1:].tolist(), strict=True):
            if end is None or not _has_its_size(end, stored.nbytes):
                return False
            if verify == "full" and not matches(end.tail, checksum):
                return False
        return True

    def _is_readable(self, box: Box) -> bool:
        try:
            self._decode(box)
        except OSError:
            raise
        except Exception:  # whatever a damaged chunk makes the codecs raise
            return False
        return True


def _has_its_size(end: Ends, nbytes: int) -> bool:
    """Whether a chunk is as long as its header says."""
    if len(end.head) < _HEADER.size:
        return False
    *_, decoded, _, encoded = _HEADER.unpack(end.head[: _HEADER.size])
    return decoded == nbytes and encoded + LENGTH == end.size


def is_finished(states: np.ndarray | None, retry_failed: bool) -> bool:
    """Whether there is nothing left to do in a block."""
    if states is None or (states == PENDING).any():
        return False
    return not (retry_failed and (states == FAILED).any())
