"""The checksums of the chunks of each block, kept apart from them.

A chunk says by itself that it is intact, but not that it stands where it was written. The record of
a block does. It is one small file, in a group of its own that xarray does not look into.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np

from gridax._stores.place import Place

# No variable is called so: names that begin with an underscore get another one.
GROUP, NAME = "_gridax", "checksum"
# Bytes at the end of every chunk that are a checksum of those before.
LENGTH = 4
# In a block that is being written again: nobody knows.
UNKNOWN = 0


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array of a store.

    Attributes
    ----------
    key : its path.
    shape, chunk : its shape, and that of a chunk.
    itemsize : bytes of an element.
    """

    key: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    itemsize: int

    @classmethod
    def of(cls, array: Any) -> Stored:
        """Return what is needed of a Zarr array."""
        return cls(array.path, array.shape, array.chunks, array.dtype.itemsize)

    def chunks_of(self, block: Sequence[int]) -> Iterator[str]:
        """Yield the keys of the chunks of a block, by its number along each dimension."""
        along = map(range, self.inner(len(block)))
        for rest in itertools.product(*along):
            yield "/".join([self.key, "c", *map(str, (*block, *rest))])

    def inner(self, n_grid: int) -> tuple[int, ...]:
        """Return how many chunks of a block there are along the dimensions after the grid's."""
        pairs = zip(self.shape[n_grid:], self.chunk[n_grid:], strict=True)
        return tuple(math.ceil(n / c) for n, c in pairs)

    @property
    def nbytes(self) -> int:
        """Size of a chunk that is not compressed."""
        return math.prod(self.chunk) * self.itemsize


class Records:
    """The records of a store, and which chunk stands where in them.

    Parameters
    ----------
    status : the array of the points' states.
    outputs : the arrays of the outputs that hold something.
    """

    def __init__(self, status: Stored, outputs: Sequence[Stored]) -> None:
        self._n_grid = len(status.shape)
        self._stored = [status, *outputs]
        counts = [math.prod(stored.inner(self._n_grid)) for stored in self._stored]
        self._starts = dict(
            zip((s.key for s in self._stored), np.cumsum([0, *counts]).tolist(), strict=False)
        )
        self.length = sum(counts)

    def key(self, block: Sequence[int]) -> str:
        """Return where the record of a block is kept."""
        return "/".join([GROUP, NAME, "c", *map(str, block), "0"])

    def read(self, place: Place, blocks: Sequence[Sequence[int]]) -> list[np.ndarray | None]:
        """Return the checksums of the chunks of some blocks, None where they are not to be had."""
        return [*map(self._decoded, place.read([self.key(block) for block in blocks]))]

    def made(self, place: Place, block: Sequence[int], status: bytes) -> bytes:
        """Return the record of a block whose outputs are written and whose status will be."""
        keys = [key for stored in self._stored[1:] for key in stored.chunks_of(block)]
        tails = [b"" if end is None else end.tail for end in place.ends(keys)]
        sums = [int.from_bytes(tail, "little") for tail in (status[-LENGTH:], *tails)]
        return checked(np.array(sums, "<u4").tobytes())

    def unknown(self) -> bytes:
        """Return the record of a block that is being written again."""
        return checked(np.full(self.length, UNKNOWN, "<u4").tobytes())

    def position(self, key: str, number: Sequence[int]) -> int | None:
        """Return the place of a chunk in the record of its block, or None if it has none."""
        if key not in self._starts:
            return None
        stored = next(s for s in self._stored if s.key == key)
        rest = tuple(number[self._n_grid :])
        inner = stored.inner(self._n_grid)
        return self._starts[key] + (int(np.ravel_multi_index(rest, inner)) if rest else 0)

    def _decoded(self, raw: bytes | None) -> np.ndarray | None:
        content = None if raw is None else intact(raw, LENGTH * self.length)
        return None if content is None else np.frombuffer(content, "<u4")


def matches(tail: bytes, checksum: int) -> bool:
    """Whether a chunk ends with the checksum that is on record."""
    return checksum == UNKNOWN or int.from_bytes(tail, "little") == checksum


def checked(content: bytes) -> bytes:
    """Return some bytes with their checksum, as Zarr's codec writes it."""
    return content + google_crc32c.value(content).to_bytes(LENGTH, "little")


def intact(raw: bytes, length: int) -> bytes | None:
    """Return what stands before the checksum, or None if it is not what was written."""
    content, checksum = raw[:-LENGTH], raw[-LENGTH:]
    whole = len(content) == length
    good = whole and google_crc32c.value(content) == int.from_bytes(checksum, "little")
    return content if good else None


def sums_of(files: Mapping[str, bytes]) -> dict[str, int]:
    """Return the checksums at the ends of all chunks among some files."""
    return {
        key: int.from_bytes(content[-LENGTH:], "little")
        for key, content in sorted(files.items())
        if not key.endswith("zarr.json")
    }
