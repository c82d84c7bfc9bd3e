"""Values and what a person types to select them.

The label of a number is the shortest decimal that says it, as a float64: a computed grid has the
label 0.3, not 0.30000000000000004, and a float32 array has 0.3, not 0.30000001192092896.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

# Powers of ten that a float64 holds exactly: with them, dividing or multiplying an integer of at
# most 15 digits rounds once, so the result is the float64 nearest to the decimal.
_POWERS = np.array([float(f"1e{k}") for k in range(23)])


def shortest(values: np.ndarray) -> np.ndarray:
    """Return float64 labels: the shortest decimals that say the `values` of any float dtype.

    Examples
    --------
    >>> shortest(np.linspace(0, 1, 11))[3].item()
    0.3
    >>> shortest(np.float32([0.3])).item()
    0.3
    """
    values = np.asarray(values)
    labels = _shortest_each(values)
    if values.dtype == np.float64 and np.unique(labels).size < np.unique(values).size:
        return values.copy()  # what differs only past the 15th digit keeps all its digits
    return labels


def _shortest_each(values: np.ndarray) -> np.ndarray:
    """Return the shortest decimal of each value by itself."""
    exact = values.astype(np.float64)
    if values.dtype == np.float64:
        return _round_significant(exact, 15)
    labels = exact.copy()
    open_ = np.isfinite(exact) & (exact != 0)
    digits = jnp.finfo(values.dtype).precision
    for d in range(digits, digits + 4):
        where = np.flatnonzero(open_)
        trial = _round_significant(exact[where], d)
        hit = trial.astype(values.dtype) == values[where]
        labels[where[hit]] = trial[hit]
        open_[where[hit]] = False
    return labels


def _round_significant(x: np.ndarray, digits: int) -> np.ndarray:
    """Round to significant decimal digits, correctly, in vectorized float64 arithmetic."""
    result = x.copy()
    (where,) = np.nonzero(np.isfinite(x) & (x != 0))
    v = x[where]
    places = digits - 1 - np.floor(np.log10(np.abs(v))).astype(int)
    easy = np.abs(places) < len(_POWERS)
    power = _POWERS[np.where(easy, np.abs(places), 0)]
    out = np.where(places >= 0, np.rint(v * power) / power, np.rint(v / power) * power)
    for i in np.flatnonzero(~easy):
        out[i] = float(f"{v[i]:.{digits - 1}e}")
    result[where] = np.where(np.isfinite(out), out, v)  # the largest float64 would become inf
    return result


def canonical_query(query: Any, labels: np.ndarray) -> Any:
    """Return a selector of some `labels` with its floats as labels are: shortest decimals.

    A float that is a label already stays as it is. Slices, lists and arrays are treated element
    by element; anything else passes unchanged.

    Examples
    --------
    >>> labels = np.array([0.1, 0.2, 0.3])
    >>> canonical_query(0.1 + 0.2, labels)
    0.3
    >>> canonical_query(slice(np.float32(0.1), None), labels)
    slice(0.1, None, None)
    """
    if isinstance(query, slice):
        start, stop = (canonical_query(end, labels) for end in (query.start, query.stop))
        return slice(start, stop, query.step)
    if isinstance(query, (xr.DataArray, xr.Variable)):
        return query.copy(data=_canonical_array(query.to_numpy(), labels))
    if isinstance(query, (float, np.floating, np.ndarray, jax.Array, list, tuple)):
        array = _canonical_array(np.asarray(query), labels)
        return array.item() if array.ndim == 0 and array.dtype == np.float64 else array
    return query


def _canonical_array(array: np.ndarray, labels: np.ndarray) -> np.ndarray:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    exact = array.astype(np.float64).ravel()
    rounded = _shortest_each(array.ravel())
    if labels.dtype.kind in "fiu" and (rounded != exact).any():
        rounded = np.where(np.isin(exact, labels), exact, rounded)
    return rounded.reshape(array.shape)


def device_values(values: np.ndarray, owner: str) -> np.ndarray:
    """Cast host values to the dtype that JAX gives them, refusing every silent change.

    Without x64, JAX turns the integer 2**40 into 0, 1e300 into inf and close float64 values into
    one float32 value.

    Raises
    ------
    ValueError
        If an integer or a float does not fit, with `owner` named.
    """
    dtype = jax.dtypes.canonicalize_dtype(values.dtype)
    if dtype == values.dtype:
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        cast = values.astype(dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        lost = cast.astype(values.dtype) != values
    else:
        lost = (np.isinf(cast) & ~np.isinf(values)) | ((cast == 0) & (values != 0))
    if lost.any():
        raise ValueError(
            f"{owner}: {values[lost].flat[0].item()!r} does not fit in {dtype}, which JAX would "
            f"use; enable 64 bits with jax.config.update('jax_enable_x64', True) or rescale"
        )
    return cast


def given_labels(labels: Any, size: int, owner: str) -> np.ndarray:
    """Check labels that a user gives: one per value, of one kind, no two alike."""
    array = np.asarray(labels)
    if isinstance(labels, (list, tuple)) and len({_kind(label) for label in labels}) > 1:
        array = np.array(labels, dtype=object)  # not the strings or numbers that NumPy makes of it
    if array.shape != (size,):
        raise ValueError(
            f"{owner}: labels must be one per value, {size} in a row, got shape {array.shape}"
        )
    if array.dtype.kind in "OT" and all(isinstance(label, str) for label in array):
        array = array.astype(str)
    if array.dtype.kind not in "fiubU":
        raise TypeError(
            f"{owner}: labels must be all numbers, all bools or all strings, got {labels!r}"
        )
    if array.dtype.kind == "f":
        if np.isnan(array).any():
            raise ValueError(f"{owner}: NaN cannot be a label")
        array = shortest(array)
    elif array.dtype.kind in "iu":
        array = whole(array)
    unique, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{owner}: the label {unique[counts > 1][0].item()!r} stands more than once; "
            "give labels= that differ"
        )
    return array


def _kind(label: Any) -> str:
    """Return the kind of a label, as NumPy's letters; whole and other numbers are one kind."""
    return "f" if (kind := np.asarray(label).dtype.kind) in "iu" else kind


def whole(values: np.ndarray) -> np.ndarray:
    """Return integer labels: int64, or uint64 where only that holds them."""
    fits = values.dtype != np.uint64 or values.max(initial=0) <= np.iinfo(np.int64).max
    return values.astype(np.int64) if fits else values


def is_keys(value: Any) -> bool:
    """Whether `value` is an array of typed PRNG keys, traced or not."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
