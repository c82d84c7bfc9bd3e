"""Who writes to a store: one file beside it per writer.

No two writers share a chunk, so a lock is taken once, at the start, and never waited for. A writer
touches its file now and then; the file of one that died without removing it grows old.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from gridax._disk import UNSUPPORTED, fitting, sync
from gridax._warnings import warn

Shard = tuple[int, int]

# Seconds between two touches of the file, and without one until a writer on another machine counts
# as dead.
_BEAT, _DEAD = 20.0, 300.0
# Seconds that writing a lock may take where it does not appear whole (no hard links).
_WRITING = 2.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """What a lock file says.

    Attributes
    ----------
    host, pid : of the writer; None if the file is damaged and names nobody.
    started : when the process started, as its pid may be given to another one.
    shard : which blocks it writes.
    since : when it began to write, in seconds since the epoch; None if it is not known.
    token : tells this lock from any other.
    path : the file.
    touched : time of the last touch, by the clock of the file system.
    """

    host: str | None
    pid: int
    started: str | None
    shard: Shard
    since: float | None
    token: str
    path: Path
    touched: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()


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
        self._path = path.with_name(fitting(path.name, f"{middle}.lock"))
        self._token = uuid.uuid4().hex
        self._content = json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": _started(os.getpid()),
                "shard": shard,
                "since": time.time(),
                "token": self._token,
            }
        )
        self._over = threading.Event()

    def __enter__(self) -> Lock:
        try:
            self._take()
            # Only now: of two writers that look first and take then, neither would see the other.
            for other in self._others():
                if _clash(other.shard, self._shard) and self._is_alive(other):
                    raise BlockingIOError(self._refusal(other))
        except BaseException:
            self._release()
            raise
        threading.Thread(target=self._beat, daemon=True, name="gridax lock").start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._release()

    def alone_since(self) -> float | None:
        """Return since when nobody else writes, as the file system's time; None if others do."""
        if any(map(self._is_alive, self._others())):
            return None
        return self._path.stat().st_mtime

    def _take(self) -> None:
        while not self._create(self._path):
            holder = _read(self._path)
            if holder is None:
                continue  # given back just now
            if holder.host is None and 0 <= self._now() - holder.touched < _WRITING:
                time.sleep(_WRITING / 50)  # somebody may be writing it at this moment
                continue
            if self._is_alive(holder):
                raise BlockingIOError(self._refusal(holder))
            if self._take_over(holder):
                return

    def _create(self, path: Path) -> bool:
        """Create a file with the lock's content at once; return False if there is one.

        A hard link is the only way to have a file appear with its content, and fail if there is one
        already, that is safe on network file systems, too.
        """
        beside = self._write_beside()
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in UNSUPPORTED and not isinstance(error, PermissionError):
                raise
            try:  # without hard links, where the file is empty for a moment
                with path.open("x") as file:
                    file.write(self._content)
            except FileExistsError:
                return False
        finally:
            with contextlib.suppress(OSError):  # it is tidied up later
                beside.unlink()
        return True

    def _write_beside(self) -> Path:
        """Return a hidden file with the lock's content, which the disk has."""
        beside = self._beside(uuid.uuid4().hex)
        try:
            beside.write_text(self._content)
            sync(beside)  # a lock that a power cut has damaged would name nobody
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return beside

    def _beside(self, unique: str) -> Path:
        return self._path.with_name(fitting(f".{self._path.name}", f".{unique[:12]}.partial"))

    def _take_over(self, dead: Holder) -> bool:
        """Replace the lock of a dead writer by one's own; of several that try, one succeeds.

        Each first creates a claim whose name depends on the dead lock, so that only one of them
        replaces it. Without the claim, the second could replace the lock of the first.
        """
        claim = self._beside(hashlib.sha256(dead.token.encode()).hexdigest())
        if not self._create(claim):
            other = _read(claim)
            if other is not None and other.host is not None and self._is_alive(other):
                raise BlockingIOError(self._refusal(dataclasses.replace(other, path=self._path)))
            claim.unlink(missing_ok=True)
            return False
        try:
            current = _read(self._path)
            if current is None or current.token != dead.token:
                return False  # somebody was quicker
            os.replace(self._write_beside(), self._path)
        finally:
            claim.unlink(missing_ok=True)
        if dead.host is None:
            warn(f"the lock {str(self._path)!r} was damaged and named no process; it was replaced")
        else:
            warn(
                f"the {dead} wrote to {str(self._store)!r} and did not end properly; its finished "
                "blocks are kept, and the rest is taken over"
            )
        return True

    def _others(self) -> list[Holder]:
        """Return the holders of other locks of this store."""
        return [holder for holder in _holders(self._store) if holder.path != self._path]

    def _is_alive(self, holder: Holder) -> bool:
        return _lives(holder, self._now)

    def _now(self) -> float:
        """Return the time by the clock of the file system."""
        probe = self._beside(uuid.uuid4().hex)
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _refusal(self, holder: Holder) -> str:
        i, n = holder.shard
        what = f"the shard ({i}, {n}) of " if n > 1 else ""
        who = f"this process ({holder})" if holder.pid == os.getpid() and holder.is_here else holder
        return (
            f"{who} is writing {what}{str(self._store)!r}; wait for it to end, give each process a "
            f"shard=(i, n) with the same n, or delete {str(holder.path)!r} if you know that it is "
            "gone"
        )

    def _beat(self) -> None:
        while not self._over.wait(_BEAT):
            with contextlib.suppress(OSError):  # the next touch may succeed
                holder = _read(self._path)
                if holder is not None and holder.token != self._token:
                    return  # somebody took this writer for dead
                os.utime(self._path)

    def _release(self) -> None:
        holder = _read(self._path)
        if holder is not None and holder.token == self._token:
            self._path.unlink(missing_ok=True)


def writing_since(store: Path) -> float | None:
    """Return when the first of those that write to a store now began, or None if nobody does.

    Nothing is written beside the store, so that readers can ask, too.
    """
    try:
        living = [holder for holder in _holders(store) if _lives(holder, time.time)]
    except OSError:  # the folder around it cannot be listed
        return None
    return min((h.touched if h.since is None else h.since for h in living), default=None)


def _holders(store: Path) -> list[Holder]:
    """Return who holds a lock of a store, dead or alive."""
    ending = re.compile(r"(\.\d+-of-\d+)?\.lock$")
    holders = []
    for name in os.listdir(store.parent):
        match = ending.search(name)
        # Not those of a store whose name only begins with the same letters.
        if match and name == fitting(store.name, match[0]):
            holders.append(_read(store.with_name(name)))
    return [holder for holder in holders if holder is not None]


def _lives(holder: Holder, now: Callable[[], float]) -> bool:
    if holder.host is None:
        return False
    if holder.is_here:
        return _started(holder.pid) == holder.started is not None
    # A writer sets the time by the clock of the file system, so one in the future is no sign of
    # life either.
    return abs(now() - holder.touched) < _DEAD


def _read(path: Path) -> Holder | None:
    """Return what a lock says, or None if there is none."""
    try:
        touched = path.stat().st_mtime
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        said = json.loads(content)
        i, n = said["shard"]
        host, pid, started, token = said["host"], said["pid"], said["started"], said["token"]
        # Types are checked, as anything may have written the file.
        since = said.get("since")
        since = float(since) if isinstance(since, int | float) else None
        numbers = all(type(number) is int for number in (i, n, pid))
        texts = all(isinstance(text, str) for text in (host, token, started or ""))
        if numbers and texts and 0 <= i < n:
            hashable = token.encode(errors="replace").decode()
            return Holder(host, pid, started, (i, n), since, hashable, path, touched)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    token = hashlib.sha256(content).hexdigest()
    return Holder(None, 0, None, (0, 1), None, token, path, touched)


def _clash(theirs: Shard, mine: Shard) -> bool:
    """Whether two writers may meet at one block: different shards of equally many do not."""
    return theirs[1] != mine[1] or theirs[0] == mine[0]


def _started(pid: int) -> str | None:
    """Return when a process of this machine started, or None if there is none.

    Where the system does not say when, all that is known is that there is one, which is "?".
    """
    if pid <= 0:
        return None  # `os.kill` takes these for groups of processes
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # The name of the process comes before, in parentheses, and may hold blanks and parentheses.
        return stat.rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        return "?"
    return "?"
