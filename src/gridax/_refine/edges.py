"""Edges between points, and which of them are to be halved.

Edges are those of a Delaunay triangulation. Where that would take too long, they join neighbors on
lines along each axis.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

# Most axes and most points that are triangulated.
_AXES, _POINTS = 3, 20_000
# What a simplex counts for its volume alone, so that no region is left out.
_VOLUME = 0.3
# The same for the length of an edge along an axis, squared.
_LENGTH = 0.02
# Kind of a new point in an edge at whose ends there are different kinds.
EITHER = -1.0


class Edges(NamedTuple):
    """Edges that are to be halved, in this order.

    Attributes
    ----------
    numbers : of the edges in their mesh.
    values : predicted values halfway, of the shape ``(n_edges, n_values)``.
    """

    numbers: np.ndarray
    values: np.ndarray


class Mesh:
    """A triangulation of some points, or lines along each axis.

    Parameters
    ----------
    places : of the points, of the shape ``(n_points, n_axes)``, on scales from 0 to 1.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places = places
        self.simplices = _triangulated(places)
        if self.simplices is not None:
            pairs = list(itertools.combinations(range(places.shape[1] + 1), 2))
            ends = np.concatenate([np.sort(self.simplices[:, pair], axis=1) for pair in pairs])
            codes = ends[:, 0].astype(np.int64) * len(places) + ends[:, 1]
            codes, inverse = np.unique(codes, return_inverse=True)
            self.first, self.last = codes // len(places), codes % len(places)
            self.edges_of = inverse.reshape(len(pairs), -1).T
        else:
            self.first, self.last = _along_axes(places)
        self.length = np.sqrt(((places[self.last] - places[self.first]) ** 2).sum(axis=1))


def _triangulated(places: np.ndarray) -> np.ndarray | None:
    """Return the corners of simplices; None if there would be too many, or all are flat."""
    from scipy.spatial import Delaunay, QhullError

    if not 1 < places.shape[1] <= _AXES or len(places) > _POINTS:
        return None
    try:
        corners: np.ndarray = Delaunay(places).simplices
    except QhullError:
        return None
    return corners


def _along_axes(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the edges between neighbors on lines along each axis."""
    first, last = [], []
    for axis in range(places.shape[1]):
        others = [places[:, k] for k in range(places.shape[1]) if k != axis]
        order = np.lexsort([places[:, axis], *others])
        joined = np.ones(len(order) - 1, bool)
        for other in others:
            joined &= other[order[1:]] == other[order[:-1]]
        first.append(order[:-1][joined])
        last.append(order[1:][joined])
    return np.concatenate(first), np.concatenate(last)


def most_bent(mesh: Mesh, values: np.ndarray, can_halve: np.ndarray) -> Edges:
    """Return the edges halfway along which linear interpolation is probably the worst.

    The loss of a simplex is that of Learner2D in Nijholt et al., Adaptive (2019),
    doi:10.5281/zenodo.1182437: how far the values at its corners are from the planes through the
    others, times the square root of its volume. Its longest edge is halved.

    Parameters
    ----------
    mesh : of the points.
    values : at the points, of the shape ``(n_points, n_values)``; NaN where there are none.
    can_halve : which edges have a label halfway.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    span = _span(values)
    scaled = values / span
    gradients = _gradients(mesh, scaled)
    edge = mesh.places[mesh.last] - mesh.places[mesh.first]
    turn = np.einsum("eka,ea->ek", gradients[mesh.last] - gradients[mesh.first], edge) / 8
    middle = ((scaled[mesh.first] + scaled[mesh.last]) / 2 - turn) * span
    if mesh.simplices is None:
        bend = _size(turn) + _LENGTH * mesh.length**2
        order = np.flatnonzero(can_halve)
        order = order[np.argsort(-bend[order], kind="stable")]
    else:
        order = _longest(mesh, _losses(mesh, scaled, gradients), can_halve)
    return Edges(order, middle[order])


def most_different(mesh: Mesh, kinds: np.ndarray, can_halve: np.ndarray) -> Edges:
    """Return the edges at whose ends there are different kinds, the longest first.

    Parameters are as those of `most_bent`; `kinds` are numbers of kinds, and NaN is one of its own.
    """
    first, last = kinds[mesh.first], kinds[mesh.last]
    same = (first == last) | (np.isnan(first) & np.isnan(last))
    # Between two points that may be of either kind, there need not be a change.
    order = np.flatnonzero(can_halve & ~same.all(axis=1))
    order = order[np.argsort(-mesh.length[order], kind="stable")]
    middle = np.full((len(order), kinds.shape[1]), EITHER)
    return Edges(order, middle)


def _losses(mesh: Mesh, values: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return the loss of each simplex."""
    simplices = mesh.simplices
    assert simplices is not None
    corners, at, slopes = mesh.places[simplices], values[simplices], gradients[simplices]
    n = corners.shape[1]
    off = np.zeros((len(simplices), values.shape[1]))
    for k in range(n):
        from_here = at[:, k, None] + np.einsum(
            "sca,sva->scv", corners - corners[:, k, None], slopes[:, k]
        )
        off += np.abs(from_here - at).max(axis=1)
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / math.factorial(n - 1)
    return np.sqrt(volume) * _size(off) + _VOLUME * volume


def _longest(mesh: Mesh, losses: np.ndarray, can_halve: np.ndarray) -> np.ndarray:
    """Return the longest edge of each simplex that can be halved, those of large losses first."""
    lengths = np.where(can_halve, mesh.length, -1.0)[mesh.edges_of]
    longest = mesh.edges_of[np.arange(len(losses)), lengths.argmax(axis=1)]
    order = np.argsort(-losses, kind="stable")
    edges = longest[order][can_halve[longest[order]]]
    _, once = np.unique(edges, return_index=True)
    found: np.ndarray = edges[np.sort(once)]
    return found


def _gradients(mesh: Mesh, values: np.ndarray) -> np.ndarray:
    """Return the least-squares gradient of each value at each point, from its neighbors.

    Returns
    -------
    array of shape ``(n_points, n_values, n_axes)``; zero along axes without a neighbor.
    """
    here = np.concatenate([mesh.first, mesh.last])
    there = np.concatenate([mesh.last, mesh.first])
    step, rise = mesh.places[there] - mesh.places[here], values[there] - values[here]
    weight = 1 / np.maximum((step**2).sum(axis=1), np.finfo(float).tiny)
    n, n_axes = mesh.places.shape
    matrix = np.empty((n, n_axes, n_axes))
    right = np.empty((n, n_axes, values.shape[1]))
    missing = np.isnan(rise)
    rise = np.where(missing, 0.0, rise)
    for a in range(n_axes):
        for b in range(n_axes):
            matrix[:, a, b] = np.bincount(here, weight * step[:, a] * step[:, b], n)
        for v in range(values.shape[1]):
            right[:, a, v] = np.bincount(here, weight * step[:, a] * rise[:, v], n)
    matrix += np.eye(n_axes) * (1e-9 + 1e-9 * np.trace(matrix, axis1=1, axis2=2)[:, None, None])
    return np.linalg.solve(matrix, right).transpose(0, 2, 1)


def _size(values: np.ndarray) -> np.ndarray:
    """Return the root mean square over the values of a point, such as those of a time series."""
    found: np.ndarray = np.sqrt((np.where(np.isfinite(values), values, 0.0) ** 2).mean(axis=1))
    return found


def _span(values: np.ndarray) -> np.ndarray:
    """Return the range of each value, or 1 where it is constant."""
    has_any = ~np.isnan(values).all(axis=0)
    low = np.nanmin(values[:, has_any], axis=0)
    span = np.ones(values.shape[1])
    span[has_any] = np.nanmax(values[:, has_any], axis=0) - low
    return np.where(span > 0, span, 1.0)
