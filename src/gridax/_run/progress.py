"""Progress of a run: a bar, a function of the user's, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

Progress = bool | Callable[[int, int], Any]


class Meter:
    """Counts points and tells whoever watches."""

    def __init__(self, progress: Progress, total: int, title: str) -> None:
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(
                f"progress must be True, False, or a function of (done, total), got {progress!r}"
            )
        self.done, self.total = 0, total
        self._tell = progress if callable(progress) else None
        self._bar = None
        if progress is True:
            from tqdm.auto import tqdm  # looks for a notebook, which takes time

            self._bar = tqdm(total=total, desc=title, unit="point")

    def begin(self, points: int) -> None:
        """Count points as done before; they say nothing of the pace."""
        if self._bar is not None:
            self._bar.initial = points
        self.add(points)

    def add(self, points: int) -> None:
        """Count points as done."""
        if self.done and not points:
            return  # nothing new
        self.done += points
        if self._bar is not None:
            self._bar.update(points)
        if self._tell is not None:
            self._tell(self.done, self.total)

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
