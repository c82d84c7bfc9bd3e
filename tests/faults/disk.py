"""File-system operations as they happen: what the disk holds before each, and how one fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
import zarr

from tests.processes import PATIENCE

# Audit events of what changes something, and which of their arguments is the path.
_CHANGES = {"os.mkdir": 0, "os.rmdir": 0, "os.remove": 0, "os.rename": 1, "os.link": 1}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Act = Callable[[str, Path, Path], None]

_watchers: list[Act] = []
_busy = threading.local()


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    """Tell who watches of an operation, before it happens.

    Python calls this for every thread, whatever library asked for the operation, and an error
    raised here is the error of the operation. It cannot be taken away again, so there is one.
    """
    if not _watchers or getattr(_busy, "acting", False):
        return
    if event == "open":
        path, _, flags = args
        operation, source = ("write" if flags & _WRITING else "read"), path
    elif event in _CHANGES:
        path, source = args[_CHANGES[event]], args[0]
        operation = event.removeprefix("os.")
    else:
        return
    if not isinstance(path, (str, bytes, os.PathLike)):
        return  # a file that is open already
    _busy.acting = True
    try:
        for act in list(_watchers):
            act(operation, Path(os.fsdecode(path)), Path(os.fsdecode(source)))
    finally:
        _busy.acting = False


sys.addaudithook(_on_event)


@contextlib.contextmanager
def watching(folder: Path, act: Act) -> Iterator[None]:
    """Have ``act(operation, path, source)`` called before every operation within a folder."""

    def within(operation: str, path: Path, source: Path) -> None:
        # What is removed with a folder is named relative to that.
        if path.is_relative_to(folder) or (operation == "remove" and not path.is_absolute()):
            act(operation, path, source)

    _watchers.append(within)
    try:
        yield
    finally:
        _watchers.remove(within)


class Moment(NamedTuple):
    """What the disk would hold if the process had been killed.

    Attributes
    ----------
    what : which operation was next.
    folder : a copy of all files.
    note : whatever else was asked for.
    """

    what: str
    folder: Path
    note: Any = None


class Moments(list[Moment]):
    """All that a folder held while something was going on in it: an `Act` for `watching`.

    Before each operation there is a moment, if any file has changed since the one before; and where
    a file gets its name, one at which it was written by half.

    Parameters
    ----------
    folder : what is watched.
    into : where the copies go.
    note : what else to find out at each moment.
    """

    def __init__(self, folder: Path, into: Path, note: Callable[[], Any]) -> None:
        super().__init__()
        self._folder, self._into, self._note = folder, into, note
        self._before: Any = None
        self._lock = threading.Lock()

    def __call__(self, operation: str, path: Path, source: Path) -> None:
        if operation == "read":
            return
        with self._lock:
            place = path.relative_to(self._folder) if path.is_absolute() else path
            if (now := _listing(self._folder)) != self._before:
                self._before = now
                self._keep(f"before {operation} {place}")
            if operation == "rename" and source.is_file():
                half = self._keep(f"half of {place} written")
                written = half / source.relative_to(self._folder)
                os.truncate(written, written.stat().st_size // 2)

    def now(self, what: str) -> None:
        """Keep what there is."""
        with self._lock:
            self._keep(what)

    def _keep(self, what: str) -> Path:
        copy = self._into / f"{len(self):04}"
        while True:
            try:
                shutil.copytree(self._folder, copy, symlinks=True)
                break
            except (shutil.Error, FileNotFoundError):  # another thread has just renamed a file
                shutil.rmtree(copy)
        _forsake(copy)
        self.append(Moment(what, copy, self._note()))
        return copy


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    files = []
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # another thread has just renamed it
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                files.append((str(path), status.st_size, status.st_ino))
    return files


def _forsake(folder: Path) -> None:
    """Make the locks in a copy those of a process that is gone: its number was given again."""
    for lock in folder.glob("*.lock"):
        stat = lock.stat()
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "started": "0"}))
        os.utime(lock, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def states(store: Path) -> np.ndarray | None:
    """Return the state of every point as zarr reads it, or None if there is no store."""
    return zarr.open_array(store / "status", mode="r")[...] if store.exists() else None


def bits(dataset: xr.Dataset) -> dict[str, Any]:
    """Return all that a Dataset holds, so that what is equal is equal to the last bit."""
    found = {}
    for name, variable in dataset.variables.items():
        values = variable.values
        content = values.tolist() if values.dtype.kind in "OT" else values.tobytes()
        found[str(name)] = (variable.dims, str(values.dtype), values.shape, content)
    return found


def wait_for(path: Path) -> None:
    """Wait until somebody has written a file."""
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, f"there is no {path}"
        time.sleep(0.001)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
