"""Where a store is: what the protocol needs of a folder or of a bucket."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

ROOT = "zarr.json"


class Head(NamedTuple):
    """The first bytes of a file, and how many it has."""

    start: bytes
    size: int


class Location(abc.ABC):
    """A folder or a bucket that holds one Zarr store, or nothing yet. Abstract: most methods.

    Attributes
    ----------
    name : str
        As the user gave it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    @property
    @abc.abstractmethod
    def address(self) -> str:
        """What distinguishes it from any other location, whatever it is called here."""

    def made_at(self, key: str) -> int | None:
        """Return when an array was created, by which one that took its place differs; or None."""
        return None

    @abc.abstractmethod
    def exists(self) -> bool:
        """Whether there is anything."""

    @abc.abstractmethod
    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the contents of some files, with one request for each; None for a missing one."""

    @abc.abstractmethod
    def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """Return first bytes and sizes of some files; None for a missing one."""

    @abc.abstractmethod
    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the store with some files; return False if another one came first.

        Parameters
        ----------
        files : contents by key.
        replace : whether an existing store is replaced.
        """

    @abc.abstractmethod
    def writer(self, durable: bool) -> Callable[[Mapping[str, bytes]], None]:
        """Return a function that writes files, each of which appears whole or not at all.

        Parameters
        ----------
        durable : whether what is written survives a power cut.
        """

    @abc.abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Replace a file; a power cut leaves the old one or the new one."""

    @abc.abstractmethod
    def tidy(self, before: float) -> None:
        """Remove what writers that were killed before some time have left."""

    @abc.abstractmethod
    def free(self) -> int | None:
        """Return the bytes of free space, or None if that is not known."""
