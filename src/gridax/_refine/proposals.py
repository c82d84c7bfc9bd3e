"""New points halfway along the edges between others, as many as are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from gridax._refine.edges import Mesh, most_bent, most_different
from gridax._refine.ticks import Ticks

By = Literal["surplus", "boundary"]

# Points are added in rounds of at most this fraction of those that there are: the fewer, the better
# they are placed, but each round takes as long as the one before. Many points are added at once.
_GROWTH, _MANY, _GROWTH_OF_MANY = 0.15, 3000, 1.0
# Fewest points of a round.
_FEWEST = 8


def proposed(
    numbers: np.ndarray, values: np.ndarray, ticks: Sequence[Ticks], n: int, by: By
) -> tuple[np.ndarray, list[Ticks]]:
    """Return up to `n` new points.

    New points have predicted values, so that later ones take them into account.

    Parameters
    ----------
    numbers : number of the label along each axis, of the shape ``(n_points, n_axes)``.
    values : of the output at these points, of the shape ``(n_points, n_values)``; NaN for none.
        With ``by="boundary"``, numbers of kinds.
    ticks : the labels along each axis.
    n : number of new points.
    by : what decides where they are.

    Returns
    -------
    array of shape ``(n_new, n_axes)``, and the labels along each axis, with new ones.
    """
    ticks, n_before = list(ticks), len(numbers)
    order = most_bent if by == "surplus" else most_different
    while len(numbers) < n_before + n:
        mesh = Mesh(np.stack([t.places()[numbers[:, k]] for k, t in enumerate(ticks)], axis=1))
        middles, ticks = _middles(numbers, mesh, ticks)
        is_known = pd.DataFrame(np.concatenate([numbers, middles])).duplicated().to_numpy()
        edges = order(mesh, values, ~is_known[len(numbers) :])
        growth = _GROWTH if len(numbers) < _MANY else _GROWTH_OF_MANY
        most = min(n_before + n - len(numbers), max(_FEWEST, int(growth * len(numbers))))
        if not len(edges.numbers):
            break
        numbers = np.concatenate([numbers, middles[edges.numbers[:most]]])
        values = np.concatenate([values, edges.values[:most]])
    return numbers[n_before:], ticks


def _middles(
    numbers: np.ndarray, mesh: Mesh, ticks: Sequence[Ticks]
) -> tuple[np.ndarray, list[Ticks]]:
    """Return the point halfway along each edge, and the labels with those halfway."""
    extended, middles = [], []
    for k, along in enumerate(ticks):
        found, middle = along.halfway(numbers[mesh.first, k], numbers[mesh.last, k])
        extended.append(found)
        middles.append(middle)
    return np.stack(middles, axis=1), extended
