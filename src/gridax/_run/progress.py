"""Progress of a run, reported to a bar or to a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridax._show.progress import Bar

Progress = bool | Callable[[int, int], Any]


class Meter:
    """Counts points and reports the numbers done and in total after each change.

    Attributes
    ----------
    n_cells : in how many cells the points are counted, with about as many points each.
    """

    def __init__(self, progress: Progress, total: int, title: str) -> None:
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(
                f"progress must be True, False, or a function of (done, total), got {progress!r}"
            )
        self.done, self.total, self.n_cells, self._n_done = 0, total, total, 0
        self._bar = Bar(title, total) if progress is True else None
        self._report = progress if callable(progress) else self._bar

    def begin(self, cells: int) -> None:
        """Count cells that were computed before this run, which say nothing about its pace."""
        if self._bar is not None:
            self._bar.begin(cells * self.total // max(1, self.n_cells))
        self.add(cells)

    def add(self, cells: int) -> None:
        """Count cells as done."""
        before, self._n_done = self.done, self._n_done + cells
        self.done = self._n_done * self.total // max(1, self.n_cells)
        if self._report is not None and (self.done != before or not before):
            self._report(self.done, self.total)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
