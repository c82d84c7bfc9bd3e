"""Sobol' indices from a product, by weighted sums over its dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Quadrature:
    """Indices of an output from its values at all points of a product, given part by part.

    With weights that add up to one along each dimension, all means are weighted sums: the variance
    of the mean given one parameter, over the variance, is its first-order index; and the mean of
    the variance given all others is its total index (I. M. Sobol', Math. Comput. Simul. 55, 271
    (2001)).

    Parameters
    ----------
    weights : of the labels along each dimension; parts follow each other along the first.
    n_values : number of values of the output at each point.
    """

    def __init__(self, weights: Sequence[np.ndarray], n_values: int) -> None:
        self._weights = weights
        sizes = [len(each) for each in weights]
        self._origin: np.ndarray | None = None
        self._low, self._high = np.full(n_values, np.inf), np.full(n_values, -np.inf)
        self._square = np.zeros(n_values)
        self._given_one = [np.zeros((size, n_values)) for size in sizes]
        self._given_others = np.zeros((len(sizes), n_values))
        self._without_first = np.zeros((*sizes[1:], n_values))
        self.n_missing = np.zeros(n_values, np.int64)

    def add(self, start: int, values: np.ndarray) -> None:
        """Add the values from one label on along the first dimension.

        Parameters
        ----------
        start : position of the label.
        values : float64 array with the dimensions of the parameters, and one of `n_values`.
        """
        there = slice(start, start + len(values))
        weights = [self._weights[0][there], *self._weights[1:]]
        points = tuple(range(len(weights)))
        missing = ~np.isfinite(values)
        if missing.any():
            self.n_missing += missing.sum(axis=points)
            values = np.where(missing, 0.0, values)
        self._low = np.minimum(self._low, values.min(axis=points))
        self._high = np.maximum(self._high, values.max(axis=points))
        if self._origin is None:  # differences from a mean lose no digits when they are squared
            self._origin = values.mean(axis=points)
        values = values - self._origin
        self._square += _sum(values**2, weights)
        self._given_one[0][there] = _sum(values, [None, *weights[1:]])
        self._without_first += np.tensordot(weights[0], values, axes=1)
        for i in range(1, len(weights)):
            only = [None if k == i else w for k, w in enumerate(weights)]
            self._given_one[i] += _sum(values, only)
            mean = np.tensordot(weights[i], values, axes=(0, i))
            self._given_others[i] += _sum(mean**2, [w for k, w in enumerate(weights) if k != i])

    def indices(self) -> dict[str, np.ndarray]:
        """Return indices of the shape ``(n_parameters, n_values)``; NaN of what is constant."""
        self._given_others[0] = _sum(self._without_first**2, self._weights[1:])
        mean = self._weights[0] @ self._given_one[0]
        variance = self._square - mean**2
        pairs = zip(self._weights, self._given_one, strict=True)
        first = np.stack([w @ (given - mean) ** 2 for w, given in pairs])
        total = self._square - self._given_others
        divisor = np.where((self._high > self._low) & (variance > 0), variance, np.nan)
        divisor[self.n_missing > 0] = np.nan
        return {"S1": first / divisor, "ST": np.maximum(total, 0) / divisor}


def _sum(values: np.ndarray, weights: Sequence[np.ndarray | None]) -> np.ndarray:
    """Return weighted sums along the first dimensions, except those without weights."""
    axis = 0
    for along in weights:
        if along is None:
            axis += 1
        else:
            values = np.tensordot(along, values, axes=(0, axis))
    return values
