"""Labels that a user gives: one per value, of one kind, and all different."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridax._arrays import is_floating, native, whole
from gridax._decimals import as_decimals


def given_labels(labels: Any, size: int, owner: str, *, exact: bool = False) -> np.ndarray:
    """Return labels as float64, int64, bool or str, checked.

    Parameters
    ----------
    labels, size : what the user passed, and the number of values to be labeled.
    owner : start of error messages.
    exact : whether floats stay as they are, so that they align with the coordinate that they came
        from. Otherwise, rounding noise is removed.

    Raises
    ------
    TypeError, ValueError
        If there is not one label per value, they are of several kinds, or two are equal.

    Examples
    --------
    >>> given_labels([0.1 + 0.2, 1], 2, "DataAxis").tolist()
    [0.3, 1.0]
    """
    array = native(np.asarray(labels))
    if isinstance(labels, (list, tuple)) and len({_kind(label) for label in labels}) > 1:
        array = np.array(labels, dtype=object)  # NumPy would convert all to strings or numbers
    if array.shape != (size,):
        raise ValueError(
            f"{owner}: labels must be a sequence with one label per value, so {size} of them; "
            f"got shape {array.shape}"
        )
    if array.dtype.kind in "OT" and all(isinstance(label, str) for label in array):
        array = array.astype(str)
    if is_floating(array.dtype):
        if np.isnan(array).any():
            raise ValueError(f"{owner}: NaN cannot be a label; replace it by a number")
        array = array.astype(np.float64) + 0.0 if exact else as_decimals(array)
    elif array.dtype.kind in "iu":
        array = whole(array)
    elif array.dtype.kind not in "bU":
        raise TypeError(
            f"{owner}: labels must be all numbers, all booleans or all strings, got {labels!r}"
        )
    unique, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        duplicate = unique[counts > 1][0].item()
        raise ValueError(f"{owner}: duplicate label {duplicate!r}; pass unique labels=")
    return array


def _kind(label: Any) -> str:
    """Return the kind of a label as a letter of NumPy; integers and floats are one kind."""
    return "f" if (kind := np.asarray(label).dtype.kind) in "iu" else kind
