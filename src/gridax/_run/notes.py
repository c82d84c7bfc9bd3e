"""Notes on errors: at which labels a model raised them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
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


@contextlib.contextmanager
def noting_labels(points: Points, indices: Callable[[], Sequence[Any]]) -> Iterator[None]:
    """Note the labels on any error raised in the block.

    Parameters
    ----------
    points : the points of the sweep.
    indices : called only if there is an error; returns the indices that `note_labels` takes.
    """
    try:
        yield
    except Exception as error:
        note_labels(error, points, indices())
        raise
