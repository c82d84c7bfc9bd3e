"""Values and what a person types to select them.

The label of a number is the shortest decimal that says it, as a float64: a computed grid has the
label 0.3, not 0.30000000000000004, and a float32 array has 0.3, not 0.30000001192092896.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

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
    exact = values.astype(np.float64)
    if values.dtype == np.float64:
        rounded = _round_significant(exact, 15)
        # Data that differ only past the 15th digit keep all their digits.
        return rounded if np.unique(rounded).size == np.unique(exact).size else exact
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
    result[where] = out
    return result


def canonical_query(value: Any) -> Any:
    """Return a selector with its floats as labels are: shortest decimals in float64.

    Slices, lists and arrays are treated element by element; anything else passes unchanged.

    Examples
    --------
    >>> canonical_query(0.1 + 0.2)
    0.3
    >>> canonical_query(slice(np.float32(0.1), None))
    slice(0.1, None, None)
    """
    if isinstance(value, slice):
        return slice(canonical_query(value.start), canonical_query(value.stop), value.step)
    if isinstance(value, xr.DataArray):
        return value.copy(data=_canonical_array(value.to_numpy()))
    if isinstance(value, xr.Variable):
        return value.copy(data=_canonical_array(value.to_numpy()))
    if isinstance(value, (float, np.floating, np.ndarray, jax.Array, list, tuple)):
        array = _canonical_array(np.asarray(value))
        return array.item() if array.ndim == 0 and array.dtype == np.float64 else array
    return value


def _canonical_array(array: np.ndarray) -> np.ndarray:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    return shortest(array.ravel()).reshape(array.shape)


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


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The values of one axis and their labels, on the host, one row per value.

    Attributes
    ----------
    labels : numpy.ndarray of float64, int64, bool or str, shape (n,)
        What a person selects by.
    values : numpy.ndarray, shape ``(n, *value_shape)``, or tuple of n objects
        What the model receives, in the dtype that it receives; raw uint32 data for keys.
    kind : {"number", "array", "key", "choice"}
        A number has itself as label unless `labeled`; the others have labels of their own.
    shape : tuple of int or None
        Shape to which a number is broadcast inside the model.
    dims, coords : names and coordinates of the dimensions after the first.
    extra : coordinates along the axis that came with a DataArray.
    impl : name of the keys' implementation, for keys.
    labeled : whether a number's label was given by the user and differs from it.
    """

    labels: np.ndarray
    values: Any
    kind: Literal["number", "array", "key", "choice"]
    shape: tuple[int, ...] | None = None
    dims: tuple[str, ...] | None = None
    coords: Mapping[str, xr.Variable] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, xr.Variable] = dataclasses.field(default_factory=dict)
    impl: str | None = None
    labeled: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kept_beside(self) -> bool:
        """Whether the labels alone do not say the values."""
        return self.kind in ("array", "key") or self.labeled

    def sorted(self) -> Table:
        """Return the table in ascending order of its labels."""
        order = np.argsort(self.labels, kind="stable")
        return dataclasses.replace(self, labels=self.labels[order], values=self.values[order])

    def value(self, row: int) -> Any:
        """Return one value as the model receives it: a JAX array, a key, or the chosen object."""
        value = self.values[row]
        if self.kind == "choice":
            return value
        if self.kind == "key":
            return jax.random.wrap_key_data(jnp.asarray(value), impl=self.impl)
        if self.shape is not None:
            value = np.broadcast_to(value, self.shape)
        return jnp.asarray(value)

    def stacked(self) -> jax.Array:
        """Return all values as one JAX array of shape ``(n, *value_shape)``."""
        if self.kind == "choice":
            return jnp.arange(len(self))
        if self.kind == "key":
            return jax.random.wrap_key_data(jnp.asarray(self.values), impl=self.impl)
        values = jnp.asarray(self.values)
        if self.shape is None:
            return values
        column = values.reshape(values.shape + (1,) * len(self.shape))
        return jnp.broadcast_to(column, values.shape + self.shape)


def number_table(values: np.ndarray, owner: str, shape: tuple[int, ...] | None = None) -> Table:
    """Return the table of real numbers, bools or integers that are their own labels."""
    if jnp.issubdtype(values.dtype, jnp.floating):
        if np.isnan(values).any():
            raise ValueError(f"{owner}: NaN cannot be a label; remove it or pass labels=")
        dtype, values = values.dtype, shortest(values)
        labels = values
        values = device_values(values if dtype == np.float64 else values.astype(dtype), owner)
        if np.unique(labels).size != np.unique(values).size:
            first, second = _colliding(labels, values)
            raise ValueError(
                f"{owner}: the values {first!r} and {second!r} are different, but the same in "
                f"{values.dtype}, which JAX would use; enable 64 bits with "
                "jax.config.update('jax_enable_x64', True) or choose values further apart"
            )
    else:
        values = device_values(values, owner)
        labels = values if values.dtype == bool else values.astype(np.int64)
    return Table(labels, values, "number", shape)


def _colliding(labels: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    order = np.argsort(labels)
    same = (np.diff(values[order]) == 0) & (np.diff(labels[order]) != 0)
    i = int(np.flatnonzero(same)[0])
    return labels[order][i].item(), labels[order][i + 1].item()


def key_table(keys: jax.Array, labels: np.ndarray | None = None) -> Table:
    """Return the table of typed PRNG keys of shape (n, ...)."""
    return Table(
        labels=np.arange(len(keys)) if labels is None else labels,
        values=np.asarray(jax.random.key_data(keys)),
        kind="key",
        impl=str(jax.random.key_impl(keys)),
    )


def given_labels(labels: Any, size: int, owner: str) -> np.ndarray:
    """Check labels that a user gives: one per value, of one kind, no two alike."""
    array = np.asarray(labels)
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
        array = shortest(array)
    elif array.dtype.kind in "iu":
        array = array.astype(np.int64)
    unique, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"{owner}: the label {unique[counts > 1][0].item()!r} stands more than once; "
            "labels must differ"
        )
    return array
