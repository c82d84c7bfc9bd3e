"""Progress of a run, reported to a bar or to a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridax._show.progress import Bar

Progress = bool | Callable[[int, int], Any]


class Meter:
    """Counts points and reports the numbers done and in total after each change."""

    def __init__(self, progress: Progress, total: int, title: str) -> None:
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(
                f"progress must be True, False, or a function of (done, total), got {progress!r}"
            )
        self.done, self.total = 0, total
        self._bar = Bar(title, total) if progress is True else None
        self._report = progress if callable(progress) else self._bar

    def begin(self, points: int) -> None:
        """Count points that were computed before this run, which say nothing about its pace."""
        if self._bar is not None:
            self._bar.begin(points)
        self.add(points)

    def add(self, points: int) -> None:
        """Count points as done."""
        if self.done and not points:
            return  # nothing has changed since the last report
        self.done += points
        if self._report is not None:
            self._report(self.done, self.total)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
