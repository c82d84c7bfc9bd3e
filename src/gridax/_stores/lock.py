"""Who writes to a store: one file beside it per writer.

No two writers share a chunk, so a lock is taken once, at the start, and never waited for. A
writer gives a sign of life now and then: that of one that died without removing its file ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from gridax._warnings import warn

Shard = tuple[int, int]

# Seconds between signs of life, and without one until a writer elsewhere counts as dead.
_BEAT, _DEAD = 20.0, 300.0


class Lock:
    """Hold the right to write some shard of a store, from `__enter__` to `__exit__`.

    Parameters
    ----------
    path : of the store.
    shard : which blocks, ``(i, n)``; ``(0, 1)`` is all.

    Raises
    ------
    BlockingIOError
        If another process writes the same blocks, with its host and pid.
    """

    def __init__(self, path: Path, shard: Shard) -> None:
        self._store, self._shard = path, shard
        middle = "" if shard[1] == 1 else f".{shard[0]}-of-{shard[1]}"
        self._path = path.with_name(f"{path.name}{middle}.lock")
        self._token = uuid.uuid4().hex
        self._content = json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": _started(os.getpid()),
                "shard": shard,
                "token": self._token,
            }
        )
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def __enter__(self) -> Lock:
        try:
            self._take()
            for other in self._others():
                if _clash(other, self._shard) and self._alive(other):
                    raise BlockingIOError(self._refusal(other))
        except BaseException:
            self._release()
            raise
        self._beating = threading.Thread(target=self._beat, daemon=True, name="gridax lock")
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._release()

    def alone_since(self) -> float | None:
        """Return since when nobody else writes, as the file system's time; None if others do."""
        if any(map(self._alive, self._others())):
            return None
        return self._path.stat().st_mtime

    def _take(self) -> None:
        while not self._made(self._path):
            holder = _read(self._path)
            if holder is None:
                continue  # given back just now
            if self._alive(holder):
                raise BlockingIOError(self._refusal(holder))
            if self._take_over(holder):
                return

    def _made(self, path: Path) -> bool:
        """Make a file with the lock's content at once; return False if there is one."""
        beside = self._written()
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        except PermissionError:  # a file system without hard links
            return self._made_without_link(path)
        finally:
            with contextlib.suppress(OSError):  # it is swept away later
                beside.unlink()
        return True

    def _made_without_link(self, path: Path) -> bool:
        try:
            with path.open("x") as file:
                file.write(self._content)
        except FileExistsError:
            return False
        return True

    def _written(self) -> Path:
        """Return a file with the lock's content, which the disk has."""
        beside = self._aside()
        try:
            with open(beside, "w") as file:
                file.write(self._content)
                file.flush()
                os.fsync(file.fileno())  # one that a power cut has damaged would name nobody
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return beside

    def _aside(self) -> Path:
        return self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex[:12]}.partial")

    def _take_over(self, dead: dict[str, Any]) -> bool:
        """Put the own lock in the place of a dead writer's; of several that try, one succeeds."""
        name = hashlib.sha256(dead["token"].encode()).hexdigest()[:12]
        claim = self._path.with_name(f".{self._path.name}.{name}.partial")
        if not self._made(claim):
            other = _read(claim)
            if other is not None and self._alive(other):
                raise BlockingIOError(self._refusal({**other, "path": self._path}))
            claim.unlink(missing_ok=True)
            return False
        try:
            now = _read(self._path)
            if now is None or now["token"] != dead["token"]:
                return False  # somebody was quicker
            os.replace(self._written(), self._path)
        finally:
            claim.unlink(missing_ok=True)
        warn(
            f"the process {dead['pid']} on {dead['host']} wrote to {str(self._store)!r} and did "
            "not end properly; its finished blocks are kept, and the rest is taken over"
        )
        return True

    def _others(self) -> list[dict[str, Any]]:
        beside = self._store.parent
        # Not those of a store whose name only begins the same.
        mine = re.compile(re.escape(self._store.name) + r"(\.\d+-of-\d+)?\.lock")
        paths = [beside / name for name in os.listdir(beside) if mine.fullmatch(name)]
        found = [_read(path) for path in paths if path != self._path]
        return [holder for holder in found if holder is not None]

    def _alive(self, holder: dict[str, Any]) -> bool:
        if holder["host"] == socket.gethostname():
            return _started(holder["pid"]) == holder["started"] is not None
        return self._silent(holder) < _DEAD

    def _silent(self, holder: dict[str, Any]) -> float:
        """Return the seconds since a sign of life, by the clock of the file system."""
        probe = self._aside()
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now - float(holder["seen"])

    def _refusal(self, holder: dict[str, Any]) -> str:
        i, n = holder["shard"]
        what = f"the shard ({i}, {n}) of " if n > 1 else ""
        here = holder["host"] == socket.gethostname() and holder["pid"] == os.getpid()
        who = f"process {holder['pid']} on {holder['host']}"
        who = f"this process ({who})" if here else who
        return (
            f"{who} is writing {what}{str(self._store)!r}; wait for it to end, give each process a "
            f"shard=(i, n) with the same n, or delete {str(holder['path'])!r} if you know that it "
            "is gone"
        )

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            with contextlib.suppress(OSError):  # the next beat may succeed
                if _read(self._path) is not None and not self._is_mine():
                    return  # somebody took this writer for dead
                os.utime(self._path)

    def _is_mine(self) -> bool:
        return (_read(self._path) or {}).get("token") == self._token

    def _release(self) -> None:
        if self._is_mine():
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    """Return what a lock says, or None if there is none; one that is damaged names nobody."""
    try:
        seen = path.stat().st_mtime
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        i, n = map(int, found["shard"])
        holder = {key: found[key] for key in ("host", "started", "token")}
        return {**holder, "pid": int(found["pid"]), "shard": (i, n), "seen": seen, "path": path}
    except (ValueError, TypeError, KeyError):
        nobody = {"host": "an unknown host", "pid": 0, "started": None, "token": text}
        return {**nobody, "shard": (0, 1), "seen": seen, "path": path}


def _clash(other: dict[str, Any], shard: Shard) -> bool:
    """Whether two writers may meet at one block: shards of equally many do not."""
    i, n = other["shard"]
    return n != shard[1] or i == shard[0]


def _started(pid: int) -> str | None:
    """Return when a process of this machine started, as its pid may be given again; or None."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no pid at all
        return None
    except PermissionError:
        return "?"
    return "?"
