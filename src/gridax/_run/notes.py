"""Notes on errors: at which labels a model raised them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gridax._grid.points import Points, point_labels


def note_labels(error: Exception, points: Points, indices: Sequence[Any]) -> None:
    """Add a note to an error of the model: the labels of the point, or their ranges.

    Parameters
    ----------
    error : what the model raised.
    points : the points of the sweep.
    indices : the index or the indices at which it was raised, per dimension.
    """
    by_dim = dict(zip(points.dims, map(np.atleast_1d, indices), strict=True))
    parts = []
    for name, labels in point_labels(points, by_dim).items():
        first, last = labels[0].item(), labels[-1].item()
        is_range = len(set(labels.tolist())) > 1
        parts.append(f"{name}={first!r}…{last!r}" if is_range else f"{name}={first!r}")
    error.add_note(f"while the model was evaluated at {', '.join(parts)}")


class noting_labels:
    """Note the labels on any error raised in the block.

    A class rather than a generator, because it is entered twice per tile.

    Parameters
    ----------
    points : the points of the sweep.
    indices : called only if there is an error; returns the indices that `note_labels` takes.
    """

    def __init__(self, points: Points, indices: Callable[[], Sequence[Any]]) -> None:
        self._points, self._indices = points, indices

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            note_labels(error, self._points, self._indices())
