"""Notes on errors: at which labels a model raised them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gridax._grid.points import Points, point_labels


class noting_labels:
    """Add a note to any error raised in the block: the labels of the point, or their ranges.

    A class rather than a generator, because it is entered once per point of a Python loop.

    Parameters
    ----------
    points : the points of the sweep.
    indices : called with `args` only if there is an error; returns, per dimension, the index or
        the indices at which it was raised.
    """

    def __init__(self, points: Points, indices: Callable[..., Sequence[Any]], *args: Any) -> None:
        self._points, self._indices, self._args = points, indices, args

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception):
            return
        dims = self._points.dims
        indices = dict(zip(dims, map(np.atleast_1d, self._indices(*self._args)), strict=True))
        parts = []
        for name, labels in point_labels(self._points, indices).items():
            first, last = labels[0].item(), labels[-1].item()
            is_range = len(set(labels.tolist())) > 1
            parts.append(f"{name}={first!r}…{last!r}" if is_range else f"{name}={first!r}")
        error.add_note(f"while the model was evaluated at {', '.join(parts)}")
