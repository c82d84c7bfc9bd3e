"""Where the labels of an argmin or argmax are in the order of the points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr


def positions(found: Sequence[xr.Variable], axes: Sequence[xr.Variable]) -> xr.Variable:
    """Return the positions of points in their order, from their labels.

    Parameters
    ----------
    found : labels of the points, one variable per axis.
    axes : all labels of each of these axes, along its dimension; those of axes that share a
        dimension follow each other.
    """

    def flat(*found: np.ndarray) -> np.ndarray:
        position = np.zeros((), np.int64)
        pairs = zip(axes, found, strict=True)
        for _, group in itertools.groupby(pairs, lambda pair: pair[0].dims):
            tables = [(axis.values.astype(labels.dtype), labels) for axis, labels in group]
            position = position * len(tables[0][0]) + _indices(tables)
        return position

    return xr.apply_ufunc(flat, *found, dask="parallelized", output_dtypes=[np.int64])


def _indices(tables: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the first indices along a dimension at which each axis has the labels in question.

    Parameters
    ----------
    tables : all labels of an axis, and those in question, whose index is any if they do not exist.
    """
    whole, picked = np.zeros((), np.int64), np.zeros((), np.int64)
    for table, labels in tables:
        unique, numbers = np.unique(table, return_inverse=True)
        at = np.minimum(np.searchsorted(unique, labels), len(unique) - 1)
        whole, picked = whole * len(unique) + numbers, picked * len(unique) + at
    known, first = np.unique(whole, return_index=True)
    return first[np.minimum(np.searchsorted(known, picked), len(known) - 1)]
