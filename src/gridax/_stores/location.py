"""Where a store is: paths and URLs, and what the protocol needs of a folder or of a bucket."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

ROOT = "zarr.json"
# How fsspec names paths of this machine.
_LOCAL = ("file://", "local://")


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
    address : str
        What distinguishes it from any other location, whatever it is called here.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address

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


def is_url(path: Any) -> bool:
    """Whether a store is named as fsspec names it, such as ``s3://bucket/run.zarr``.

    Examples
    --------
    >>> is_url("s3://bucket/run.zarr"), is_url("file:///tmp/run.zarr"), is_url("run.zarr")
    (True, False, False)
    """
    return isinstance(path, str) and "://" in path and not path.startswith(_LOCAL)


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file or folder on this machine; ``~`` is the home folder.

    Examples
    --------
    >>> local_path("file:///data/my%20run.zarr").as_posix()
    '/data/my run.zarr'
    """
    text = os.fspath(path)
    if str(text).startswith(_LOCAL):
        return Path(unquote(urlsplit(text).path))
    return Path(text).expanduser()


def location_of(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Location:
    """Return the location that a path or a URL names.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"store must be a path or a URL, got {path!r}; pass store='sweep.zarr'")
    # numcodecs and fsspec take time to import.
    if is_url(path):
        from gridax._stores.bucket import Bucket

        return Bucket(str(path), options or {})
    from gridax._stores.folder import Folder

    is_local_url = str(path).startswith(_LOCAL)
    return Folder(local_path(path) if is_local_url else path)
