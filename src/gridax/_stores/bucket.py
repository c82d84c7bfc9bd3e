"""A Zarr store behind a URL, as fsspec opens it: ``s3://…``, ``gs://…``, ``memory://…``.

Such places have no renames and no locks. The root metadata are written last, and only where there
are none: until then there is no store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import fsspec

from gridax._stores.place import HEAD, TAIL, Ends, Place
from gridax._stores.records import GROUP

_ROOT = "zarr.json"
# What is written first, and nobody else writes.
_FIRST = f"{GROUP}/{_ROOT}"
# Files that are asked for one by one.
_FEW = 64


class Bucket(Place):
    """A URL.

    Parameters
    ----------
    url : where.
    options : what fsspec needs to open it, such as credentials.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        super().__init__(url)
        self._options = dict(options)
        self._fs, self._path = fsspec.core.url_to_fs(url, **self._options)
        if any(letter in self._path for letter in "*?["):
            raise ValueError(f"{url!r} holds one of * ? [, which are patterns; give another name")

    def zarr(self, read_only: bool = True, durable: bool = False) -> Any:
        """Return Zarr's view of it; what a service has accepted is durable."""
        from zarr.storage import FsspecStore

        return FsspecStore.from_url(
            self.name, storage_options=self._options or None, read_only=read_only
        )

    def exists(self) -> bool:
        """Whether there is anything, but for what a creation that was interrupted has left."""
        self._fs.invalidate_cache()
        if self._fs.exists(self._at(_ROOT)):
            return True
        return bool(self._fs.exists(self._path)) and not self._fs.exists(self._at(_FIRST))

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of some files; None where there is none."""
        # Not `cat`, which takes some characters of a key for patterns.
        paths = [self._at(key) for key in keys]
        found = self._fs.cat_ranges(paths, None, None, on_error="return") if keys else []
        return [_bytes(content) for content in found]

    def ends(self, keys: Sequence[str]) -> list[Ends | None]:
        """Return how some files begin and end; None where there is none."""
        self._fs.invalidate_cache()
        sizes = self._sizes([self._at(key) for key in keys])
        paths = list(sizes)
        starts = [max(0, sizes[path] - TAIL) for path in paths]
        stops = [min(HEAD, n) for n in sizes.values()]
        heads = self._fs.cat_ranges(paths, [0] * len(paths), stops, on_error="raise")
        tails = self._fs.cat_ranges(paths, starts, list(sizes.values()), on_error="raise")
        found = {
            path: Ends(bytes(head), bytes(tail), sizes[path])
            for path, head, tail in zip(paths, heads, tails, strict=True)
        }
        return [found.get(self._at(key)) for key in keys]

    def _sizes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the sizes of those files that there are: many by listing all."""
        if len(paths) > _FEW:
            there = self._fs.find(self._path, detail=True)
            return {path: int(there[path]["size"]) for path in paths if path in there}
        found = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                about = self._fs.info(path)
                if about["type"] == "file":
                    found[path] = int(about["size"])
        return found

    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the store with some files; return False if another one came first."""
        if replace and self.exists():
            self._fs.rm(self._path, recursive=True)
        elif self._fs.exists(self._at(_ROOT)):
            return False
        if _FIRST in files:
            self._fs.pipe_file(self._at(_FIRST), files[_FIRST])
        self._fs.pipe({self._at(key): files[key] for key in files if key != _ROOT})
        try:
            self._fs.pipe_file(self._at(_ROOT), files[_ROOT], mode="create")
        except FileExistsError:
            return False
        except TypeError:  # a file system that does not know of modes
            self._fs.pipe_file(self._at(_ROOT), files[_ROOT])
        self._fs.invalidate_cache()
        return True

    def put(self, key: str, content: bytes) -> None:
        """Replace a file."""
        self._fs.pipe_file(self._at(key), content)

    def tidy(self, before: float) -> None:
        """Do nothing: what is not written whole is not there."""

    def free(self) -> int | None:
        """Return None, as nobody says."""
        return None

    def _at(self, key: str) -> str:
        return f"{self._path}/{key}"


def _bytes(found: Any) -> bytes | None:
    if isinstance(found, FileNotFoundError | IsADirectoryError | KeyError):
        return None
    if isinstance(found, Exception):
        raise found
    return bytes(found)
