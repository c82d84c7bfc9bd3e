"""Paths and URLs, as users write them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gridax._stores.location import Location

# How fsspec names paths of this machine.
_LOCAL = ("file://", "local://")


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
