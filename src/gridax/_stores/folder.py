"""A store in a folder of this machine: every file is whole and, if wanted, on the disk."""

from __future__ import annotations

import concurrent.futures
import io
import os
import re
import shutil
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from gridax._disk import check_parent, fitting, sibling, sync
from gridax._stores.arrays import HEAD
from gridax._stores.location import ROOT, Head, Location

T = TypeVar("T")

# Threads that wait for the disk: it finishes many files in about the time of one.
_SYNCING = 8


class Folder(Location):
    """A folder, which appears whole and is replaced whole.

    Parameters
    ----------
    path : its path; links are followed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()  # a link stays one
        super().__init__(os.fspath(path), str(self.path))

    def made_at(self, key: str) -> int | None:
        """Return when the metadata of an array were written, in nanoseconds, or None.

        They are written once. Inodes would not do, since file systems use them again.
        """
        try:
            return os.stat(self.path / key / ROOT).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self) -> bool:
        """Whether there is anything."""
        return os.path.lexists(self.path)

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the contents of some files; None for a missing one."""
        return [self._opened(key, io.FileIO.readall) for key in keys]

    def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """Return first bytes and sizes of some files; None for a missing one."""
        return [self._opened(key, _head) for key in keys]

    def _opened(self, key: str, use: Callable[[io.FileIO], T]) -> T | None:
        try:
            with io.FileIO(f"{self.path}/{key}") as file:
                return use(file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the folder with some files; return False if another one came first.

        Parameters
        ----------
        files : contents by key.
        replace : whether an existing folder is replaced, once the new one is complete.
        """
        return self.save(files.items(), replace, is_synced=True)

    def save(self, files: Iterable[tuple[str, bytes]], replace: bool, is_synced: bool) -> bool:
        """Do so with files that are made one after the other.

        Parameters
        ----------
        files : key and content of each.
        replace : as in `create`.
        is_synced : whether the disk has all of them before the folder gets its name.
        """
        check_parent(self.path)
        beside = self.beside()
        paths = []
        try:
            for key, content in files:
                path = beside / key
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                paths.append(path)
            if is_synced:
                with concurrent.futures.ThreadPoolExecutor(_SYNCING) as threads:
                    list(threads.map(sync, paths))
            return self.adopt(beside, replace)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def adopt(self, beside: Path, replace: bool = False) -> bool:
        """Give a finished folder the name; return False if another one has it."""
        if replace and self.exists():
            old = sibling(self.path, "old")
            os.replace(self.path, old)
            try:
                os.replace(beside, self.path)
            except BaseException:
                os.replace(old, self.path)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            try:
                os.rename(beside, self.path)
            except OSError:
                if not self.exists():
                    raise
                return False
        sync(self.path.parent)
        return True

    def beside(self) -> Path:
        """Return a hidden name beside the folder that nobody uses."""
        return sibling(self.path, "partial")

    def writer(self, durable: bool) -> Callable[[Mapping[str, bytes]], None]:
        """Return a function that writes files into this very folder, each whole."""
        return FolderWriter(self.path, durable).write

    def put(self, key: str, content: bytes) -> None:
        """Replace a file; a power cut leaves the old one or the new one."""
        _replace(self.path / key, content, is_synced=True)

    def tidy(self, before: float) -> None:
        """Remove what writers that were killed before some time have left."""
        for left in self.path.rglob("*.partial"):
            if not left.is_dir() and left.lstat().st_mtime < before:  # an array may be called so
                left.unlink(missing_ok=True)
        for left in self.path.parent.iterdir():
            if not self._is_leftover(left.name) or left.lstat().st_mtime >= before:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:  # of a lock
                left.unlink(missing_ok=True)

    def _is_leftover(self, name: str) -> bool:
        """Whether a file beside the folder is temporary, and belongs to this store.

        A store whose name only begins with the same letters has leftovers of its own.
        """
        match = re.search(r"((?:\.\d+-of-\d+)?\.lock)?(\.[0-9a-f]{12}\.(?:partial|old))$", name)
        if match is None:
            return False
        lock, ending = match.groups()
        owner = self.path.name if lock is None else fitting(self.path.name, lock)
        return name == fitting(f".{owner}", ending)

    def free(self) -> int | None:
        """Return the bytes of free space on the disk."""
        return shutil.disk_usage(self.path.parent).free


class FolderWriter:
    """Writes files into one folder, and never into another that has taken its name meanwhile.

    Parameters
    ----------
    root : the folder, which exists.
    durable : whether a write ends when the disk has it, so that not even a power cut undoes it.
    """

    def __init__(self, root: Path, durable: bool = False) -> None:
        self._root, self._durable = root, durable
        self._identity = os.stat(root).st_ino
        # While the folder is open, no other one can get its number.
        weakref.finalize(self, os.close, os.open(root, os.O_RDONLY))

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write some files, one after the other.

        Raises
        ------
        FileNotFoundError
            If the folder was removed or replaced. Writing would bring a part of it back.
        """
        for key, content in files.items():
            self._check_identity()
            path = self._root / key
            try:
                _replace(path, content, self._durable)
            except FileNotFoundError:
                self._check_identity()
                path.parent.mkdir(parents=True, exist_ok=True)
                _replace(path, content, self._durable)
            if self._durable:
                sync(path.parent)  # the file has its name there

    def _check_identity(self) -> None:
        try:
            identity = os.stat(self._root).st_ino
        except FileNotFoundError:
            identity = None
        if identity != self._identity:
            what = "removed" if identity is None else "replaced by another"
            raise FileNotFoundError(f"the store {str(self._root)!r} was {what} during the run")


def _replace(path: Path, content: bytes, is_synced: bool) -> None:
    """Write a file under a temporary name, and give it its own name when it is whole.

    Parameters
    ----------
    path, content : of the file.
    is_synced : whether the disk has the content before the file gets its name.
    """
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        beside.write_bytes(content)
        if is_synced:
            sync(beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _head(file: io.FileIO) -> Head:
    return Head(os.pread(file.fileno(), HEAD, 0), os.fstat(file.fileno()).st_size)
