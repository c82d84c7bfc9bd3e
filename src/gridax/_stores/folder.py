"""A Zarr store in a folder of this machine: whole files, checked and, if wanted, on the disk."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import time
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from zarr.abc.buffer import Buffer
from zarr.storage import LocalStore

from gridax._disk import sibling, sync
from gridax._stores.place import HEAD, TAIL, Ends, Place

T = TypeVar("T")


class FolderStore(LocalStore):
    """Zarr's view of a folder that ends with the first write that fails.

    Zarr writes chunks side by side and goes on with the others when one of them fails, and it makes
    folders that are missing. Both would bring back a store that has been removed or replaced.

    Parameters
    ----------
    root : the folder.
    durable : whether a write ends when the disk has it, so that not even a power cut undoes it.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False, durable: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._durable = durable
        self._halted = False
        self._n_writing = 0
        self._identity = os.stat(root).st_ino if os.path.isdir(root) else None
        if self._identity is not None and not read_only:
            # While it is open, no folder that replaces it can get its number.
            weakref.finalize(self, os.close, os.open(root, os.O_RDONLY))

    async def set(self, key: str, value: Buffer) -> None:
        """Write a chunk or metadata."""
        if self._halted:
            raise OSError(f"{key!r} is not written, as another write failed")
        self._n_writing += 1
        try:
            self._check_there()
            await super().set(key, value)
            if self._durable:
                await asyncio.to_thread(sync, self.root / key)
                await asyncio.to_thread(sync, (self.root / key).parent)
        except BaseException:
            self._halted = True
            raise
        finally:
            self._n_writing -= 1

    def _check_there(self) -> None:
        try:
            there = os.stat(self.root).st_ino
        except FileNotFoundError:
            there = None
        if self._identity is not None and there != self._identity:
            what = "removed" if there is None else "replaced by another"
            raise FileNotFoundError(f"the store {str(self.root)!r} was {what} during the run")

    def halt(self) -> None:
        """Let the writes that are under way end, and no other begin."""
        self._halted = True
        while self._n_writing:
            time.sleep(0.01)


class Folder(Place):
    """A folder, which appears whole and is replaced whole.

    Parameters
    ----------
    path : its name; links are followed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(path))
        self.path = Path(path).resolve()  # a link stays one

    def zarr(self, read_only: bool = True, durable: bool = False) -> FolderStore:
        """Return Zarr's view of it."""
        return FolderStore(self.path, read_only=read_only, durable=durable)

    def exists(self) -> bool:
        """Whether there is anything."""
        return os.path.lexists(self.path)

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of some files; None where there is none."""
        return [self._of(key, io.FileIO.readall) for key in keys]

    def ends(self, keys: Sequence[str]) -> list[Ends | None]:
        """Return how some files begin and end; None where there is none."""
        return [self._of(key, _ends) for key in keys]

    def _of(self, key: str, what: Callable[[io.FileIO], T]) -> T | None:
        try:
            with io.FileIO(f"{self.path}/{key}") as file:
                return what(file)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def create(self, files: Mapping[str, bytes], replace: bool = False) -> bool:
        """Make the folder with some files; return False if another one came first.

        Parameters
        ----------
        files : content by key.
        replace : whether what stands there goes, once the new one stands.
        """
        self.check_parent()
        beside = sibling(self.path, "partial")
        try:
            for key, content in files.items():
                (beside / key).parent.mkdir(parents=True, exist_ok=True)
                (beside / key).write_bytes(content)
                sync(beside / key)
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
        """Return a hidden name beside it that nobody uses."""
        return sibling(self.path, "partial")

    def put(self, key: str, content: bytes) -> None:
        """Replace a file."""
        beside = self.path / f"{key}.{uuid.uuid4().hex}.partial"
        try:
            beside.write_bytes(content)
            sync(beside)
            os.replace(beside, self.path / key)
        finally:
            beside.unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        """Remove what writers that were killed before some time have left."""
        for left in self.path.rglob("*.partial"):
            if not left.is_dir() and left.lstat().st_mtime < before:  # an array may be called so
                left.unlink(missing_ok=True)
        # Not those of a store whose name only begins the same.
        mine = re.compile(
            rf"\.{re.escape(self.path.name)}\.((\d+-of-\d+\.)?lock\.)?[0-9a-f]{{12}}\.(partial|old)"
        )
        for left in self.path.parent.iterdir():
            if not mine.fullmatch(left.name) or left.lstat().st_mtime >= before:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:  # of a lock
                left.unlink(missing_ok=True)

    def free(self) -> int | None:
        """Return the bytes that the disk has left."""
        return shutil.disk_usage(self.path.parent).free

    def check_parent(self) -> None:
        """Refuse a folder whose parent does not exist.

        Raises
        ------
        FileNotFoundError
            With the parent named.
        """
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"the folder {str(self.path.parent)!r} does not exist; create it first"
            )


def _ends(file: io.FileIO) -> Ends:
    size = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), HEAD, 0)
    return Ends(head, os.pread(file.fileno(), TAIL, max(0, size - TAIL)), size)
