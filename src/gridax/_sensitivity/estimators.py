"""Sobol' indices, by sums over the base samples of a Saltelli design or over a product."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np


class Estimators:
    """Indices of an output from its values at the points of a design, given part by part.

    First-order indices are estimated as in A. Saltelli et al., Comput. Phys. Commun. 181, 259
    (2010), and total ones as in M. J. W. Jansen, Comput. Phys. Commun. 117, 35 (1999), from outputs
    whose mean over all points was subtracted; these are the estimators of SALib. Base samples with
    a value that is not finite are left out.

    Parameters
    ----------
    n_rows : number of points of a base sample.
    changed : which of these points has the value of B, for each parameter.
    n_values : number of values of the output at each point.
    counts : how often each base sample counts, of the shape ``(n, n_samples)``: once in the first
        row; in each other row, as often as it was drawn for the bootstrap.
    confidence : level of the confidence intervals, if there are other rows.
    """

    def __init__(
        self,
        n_rows: int,
        changed: Sequence[int],
        n_values: int,
        counts: np.ndarray,
        confidence: float | None = None,
    ) -> None:
        self._n_rows, self._changed = n_rows, list(changed)
        self._counts, self._confidence = counts, confidence
        self._origin: np.ndarray | None = None
        self._low, self._high = np.full(n_values, np.inf), np.full(n_values, -np.inf)
        self._sums = np.zeros((len(counts), 4 + 3 * len(changed), n_values))
        self.n_missing = np.zeros(n_values, np.int64)

    def add(self, start: int, values: np.ndarray) -> None:
        """Add the values of some base samples.

        Parameters
        ----------
        start : position of the first point.
        values : float64 array of the shape ``(n_samples * n_rows, n_values)``.
        """
        values = values.reshape(-1, self._n_rows, values.shape[-1])
        there = np.isfinite(values).all(axis=1)
        self.n_missing += (~there).sum(axis=0)
        values = np.where(there[:, None], values, 0.0)
        if self._origin is None:  # differences from a mean lose no digits when they are squared
            self._origin = values.mean(axis=1).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        values = np.where(there[:, None], values - self._origin, 0.0)
        a, b, mixed = values[:, 0], values[:, -1], values[:, self._changed]
        self._low = np.minimum(self._low, np.where(there, np.minimum(a, b), np.inf).min(axis=0))
        self._high = np.maximum(self._high, np.where(there, np.maximum(a, b), -np.inf).max(axis=0))
        change = mixed - a[:, None]
        ends = np.stack([there, values.sum(axis=1), a + b, a**2 + b**2], axis=1)
        each = np.concatenate([ends, b[:, None] * change, change, change**2], axis=1)
        first = start // self._n_rows
        counts = self._counts[:, first : first + len(each)]
        self._sums += np.tensordot(counts, each, axes=1)

    def indices(self) -> dict[str, np.ndarray]:
        """Return indices of the shape ``(n_parameters, n_values)``; NaN of what is constant.

        With a bootstrap, there are half widths of confidence intervals as well.
        """
        n, total, ends, squares = np.moveaxis(self._sums[:, :4], 1, 0)
        products, changes, change_squares = np.split(self._sums[:, 4:], 3, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total[0] / (n[0] * self._n_rows)
            variance = squares / (2 * n) - (ends / (2 * n)) ** 2
            variance = np.where((self._high > self._low) & (variance > 0), variance, np.nan)
            divisor = (n * variance)[:, None]
            found = {
                "S1": (products - mean * changes) / divisor,
                "ST": change_squares / 2 / divisor,
            }
        indices = {name: values[0] for name, values in found.items()}
        if self._confidence is not None:
            z = statistics.NormalDist().inv_cdf(0.5 + self._confidence / 2)
            for name, values in found.items():
                indices[f"{name}_conf"] = z * values[1:].std(axis=0, ddof=1)
        return indices


def bootstrap_counts(n_samples: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return how often each base sample counts: once, and in resamples as often as it is drawn.

    Examples
    --------
    >>> bootstrap_counts(4, 2, seed=0).sum(axis=1).tolist()
    [4.0, 4.0, 4.0]
    """
    drawn = np.random.default_rng(seed).integers(n_samples, size=(n_samples, n_resamples))
    counts = [np.bincount(each, minlength=n_samples) for each in drawn.T]
    return np.stack([np.ones(n_samples), *counts])


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
