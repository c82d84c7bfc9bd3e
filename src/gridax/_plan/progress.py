"""How far a run has come, in points."""

from __future__ import annotations

from typing import NamedTuple

from gridax._display import Displayed


class _Counts(NamedTuple):
    done: int
    failed: int
    total: int


class Progress(Displayed, _Counts):
    """Numbers of points that are done, that failed, and in total."""

    __slots__ = ()

    @property
    def pending(self) -> int:
        """Number of points that have neither been computed nor failed."""
        return self.total - self.done - self.failed
