"""A store behind a URL, as fsspec opens it: ``s3://…``, ``gs://…``, ``memory://…``.

Such places have no renames and no locks. The root metadata are written last, and only if there are
none: until then there is no store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fsspec

from gridax._stores.arrays import HEAD
from gridax._stores.base import FLAGS, STATUS
from gridax._stores.location import ROOT, Head, Location

# Written first. Where it is and the root is not, gridax was interrupted while it made a store, and
# may do so again; anything else without a root is somebody else's.
_FIRST = f"{STATUS}/{ROOT}"
# Up to this many sizes are requested one by one; for more, everything is listed.
_FEW = 64


class Bucket(Location):
    """A URL.

    Parameters
    ----------
    url : where.
    options : what fsspec needs to open it, such as credentials.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        super().__init__(url, url)
        self._options = dict(options)
        self._fs, self._path = fsspec.core.url_to_fs(url, **self._options)
        if any(letter in self._path for letter in "*?["):
            raise ValueError(
                f"{url!r} contains one of * ? [, which fsspec takes for patterns; use another name"
            )

    def exists(self) -> bool:
        """Whether there is anything but what an interrupted creation has left."""
        self._fs.invalidate_cache()
        if self._fs.exists(self._at(ROOT)):
            return True
        if not self._fs.exists(self._path):
            return False
        (first,) = self.read([_FIRST])
        return first is None or str(FLAGS["flag_meanings"]).encode() not in first

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the contents of some files; None for a missing one."""
        # Not `cat`, which takes some characters of a key for patterns.
        paths = [self._at(key) for key in keys]
        contents = self._fs.cat_ranges(paths, None, None, on_error="return") if keys else []
        return [_content(each) for each in contents]

    def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """Return first bytes and sizes of some files; None for a missing one."""
        self._fs.invalidate_cache()
        sizes = self._sizes([self._at(key) for key in keys])
        stops = [min(HEAD, n) for n in sizes.values()]
        starts = self._fs.cat_ranges(list(sizes), [0] * len(sizes), stops, on_error="raise")
        heads = {
            path: Head(bytes(start), sizes[path]) for path, start in zip(sizes, starts, strict=True)
        }
        return [heads.get(self._at(key)) for key in keys]

    def _sizes(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the sizes of those files that exist."""
        if len(paths) > _FEW:
            listing = self._fs.find(self._path, detail=True)
            return {path: int(listing[path]["size"]) for path in paths if path in listing}
        sizes = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                about = self._fs.info(path)
                if about["type"] == "file":
                    sizes[path] = int(about["size"])
        return sizes

    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the store with some files; return False if another one came first."""
        if replace and self.exists():
            self._fs.rm(self._path, recursive=True)
        elif self._fs.exists(self._at(ROOT)):
            return False
        if _FIRST in files:
            self._fs.pipe_file(self._at(_FIRST), files[_FIRST])
        self._fs.pipe({self._at(key): files[key] for key in files if key != ROOT})
        try:
            self._fs.pipe_file(self._at(ROOT), files[ROOT], mode="create")
        except FileExistsError:
            return False
        except TypeError:  # a file system that does not know of modes
            self._fs.pipe_file(self._at(ROOT), files[ROOT])
        self._fs.invalidate_cache()
        return True

    def writer(self, durable: bool) -> Callable[[Mapping[str, bytes]], None]:
        """Return a function that writes files side by side; what a service accepts is durable."""

        def write(files: Mapping[str, bytes]) -> None:
            self._fs.pipe({self._at(key): content for key, content in files.items()})

        return write

    def put(self, key: str, content: bytes) -> None:
        """Replace a file."""
        self._fs.pipe_file(self._at(key), content)

    def tidy(self, before: float) -> None:
        """Do nothing: what is not written whole does not exist."""

    def free(self) -> int | None:
        """Return None: no service says how much space is left."""
        return None

    def _at(self, key: str) -> str:
        return f"{self._path}/{key}"


def _content(answer: Any) -> bytes | None:
    if isinstance(answer, FileNotFoundError | IsADirectoryError | KeyError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return bytes(answer)
