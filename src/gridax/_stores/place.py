"""Where a Zarr store lies: what the protocol needs of a folder or of a bucket."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Bytes that say how a chunk begins, and how it ends.
HEAD, TAIL = 16, 4


class Ends(NamedTuple):
    """First and last bytes of a file, and how many there are."""

    head: bytes
    tail: bytes
    size: int


class Place(abc.ABC):
    """A folder or a bucket that holds one Zarr store, or nothing yet. Abstract: all methods.

    Attributes
    ----------
    name : str
        As the user gave it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    @abc.abstractmethod
    def zarr(self, read_only: bool = True, durable: bool = False) -> Any:
        """Return Zarr's view of it.

        Parameters
        ----------
        read_only : whether it refuses to write.
        durable : whether what is written survives a power cut.
        """

    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is anything."""

    @abc.abstractmethod
    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of some files; None where there is none."""

    @abc.abstractmethod
    def ends(self, keys: Sequence[str]) -> list[Ends | None]:
        """Return how some files begin and end; None where there is none."""

    @abc.abstractmethod
    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the store with some files; return False if another one came first.

        Parameters
        ----------
        files : content by key.
        replace : whether what stands there goes.
        """

    @abc.abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Replace a file."""

    @abc.abstractmethod
    def tidy(self, before: float) -> None:
        """Remove what writers that were killed before some time have left."""

    @abc.abstractmethod
    def free(self) -> int | None:
        """Return the bytes that are left there, or None where nobody says."""
