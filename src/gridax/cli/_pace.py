"""How fast the points of a run are evaluated, and when it will probably end."""

from __future__ import annotations

import collections
import datetime
import os
from collections.abc import Iterator
from pathlib import Path

from gridax._plan.progress import Progress
from gridax._stores.base import STATUS
from gridax._stores.location import ROOT

# Seconds without a new point after which a watch says so.
QUIET = 30.0
# Blocks that were written last, of which the rate is told.
_LAST = 20
# A run is stuck if the last block is as many times as old as a block takes.
_STALE = 10.0


class Pace:
    """How fast points are evaluated, measured over the last twenty updates with new points."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque(maxlen=20)

    def see(self, evaluated: int, now: float) -> bool:
        """Record how many points are evaluated; return whether the number has changed."""
        if self._seen and self._seen[-1][1] == evaluated:
            return False
        if self._seen and self._seen[-1][1] > evaluated:  # the sweep was restarted
            self._seen.clear()
        self._seen.append((now, evaluated))
        return True

    def describe(self, pending: int, now: float) -> str:
        """Return points per second and the remaining time, as far as they are known."""
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        parts = []
        if after > before and pending:
            rate = (after - before) / (last - first)
            left = max(0.0, pending / rate - (now - last))
            parts = [_rate(rate), f"{_duration(left)} left"]
        if pending and now - last > QUIET:
            parts.append(f"nothing new for {_duration(now - last)}")
        return "".join(f" · {part}" for part in parts)


def _rate(rate: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1:
            return f"{rate * seconds:.3g} points/{unit}"
    return f"{rate * 3600:.3g} points/h"


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def of_store(store: str, progress: Progress, since: float | None, now: float) -> str:
    """Return how fast a run evaluates points that is not finished, and when it will end.

    Parameters
    ----------
    store : a folder; for a URL, the text is empty.
    progress : how many points are done.
    since : when the run began that writes to the store, or None if there is none.
    now : in seconds since the epoch, as `since`.
    """
    folder = Path(store) / STATUS
    if not progress.pending or not folder.is_dir():
        return ""
    if since is None:
        return "no run writes to it at the moment"
    times = sorted(_written(folder))
    per_block = (progress.done + progress.failed) / max(len(times), 1)
    times = [at for at in times if at >= since][-_LAST:]
    if len(times) < 2 or times[-1] <= times[0]:
        return ""
    rate = per_block * (len(times) - 1) / (times[-1] - times[0])
    left, quiet = progress.pending / rate, now - times[-1]
    if quiet > max(QUIET, _STALE * per_block / rate):
        return f"{_rate(rate)} until {_duration(quiet)} ago; {_duration(left)} of work left"
    end = datetime.datetime.fromtimestamp(times[-1] + left)
    form = "%H:%M" if left < 12 * 3600 else "%Y-%m-%d %H:%M"
    remaining = _duration(max(0.0, left - quiet))
    return f"{_rate(rate)}; expected to end at {end.strftime(form)}, in {remaining}"


def _written(folder: Path) -> Iterator[float]:
    """Yield when the chunks in a folder were written."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name != ROOT and not name.endswith(".partial"):
                yield os.stat(os.path.join(parent, name)).st_mtime
