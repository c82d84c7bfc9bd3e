"""Sobol' indices from a Saltelli design, by estimators that are sums over its base samples."""

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
