"""Notes on errors: at which labels a model raised them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gridax._grid.points import Points, labels_text


def note_labels(error: Exception, points: Points, indices: Sequence[Any]) -> None:
    """Add a note to an error of the model: the labels of the point, or their ranges.

    Parameters
    ----------
    error : what the model raised.
    points : the points of the sweep.
    indices : the index or the indices at which it was raised, per dimension.
    """
    where = labels_text(points, dict(zip(points.dims, indices, strict=True)))
    error.add_note(f"while the model was evaluated at {where}")


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

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception):
            note_labels(error, self._points, self._indices())
