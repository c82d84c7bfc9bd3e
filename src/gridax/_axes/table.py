"""The table of an axis: its values, as the model receives them, and their labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._axes.labels import device_values, given_labels, is_keys, shortest, whole


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
    extra : coordinates that came with a DataArray, the axis' dimension first.
    impl : name of the keys' implementation, for keys.
    labeled : whether a number's label was given by the user and differs from it.
    host : the values as the user gave them, before they were cast to JAX's dtype; None if they are
        their own labels, or are JAX arrays.
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
    host: np.ndarray | None = None

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

    def host_value(self, row: int) -> Any:
        """Return one value as an untraced model receives it: as it was given, or as its label."""
        if self.host is not None:
            return self.host[row]
        if self.kind != "number":
            return self.value(row)
        if self.labeled:  # read back from a file, which has the cast values only
            return self.values[row]
        return self.labels[row] if self.shape is None else np.full(self.shape, self.labels[row])

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
        labels = values if values.dtype == bool else whole(values)
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


def array_table(array: np.ndarray, labels: Any, owner: str) -> Table:
    """Return the table of an array whose first dimension is the axis."""
    if labels is not None and array.ndim == 1 and array.dtype.kind != "c":
        values = device_values(array, owner)
        return Table(labels, values, "number", labeled=True)
    if array.ndim == 1 and array.dtype.kind != "c":
        return number_table(array, owner)
    values = device_values(array, owner)
    return Table(np.arange(len(values)) if labels is None else labels, values, "array")


def dataarray_table(array: xr.DataArray, labels: Any, owner: str) -> Table:
    """Return the table of a DataArray, with its names and coordinates."""
    along, values = array.dims[0], array.to_numpy()
    if labels is None and along in array.coords:
        labels = given_labels(array.coords[along].to_numpy(), len(array), owner)
        if values.ndim == 1 and values.dtype.kind in "fiub":
            own = shortest(values) if values.dtype.kind == "f" else values
            if np.array_equal(labels, own):
                labels = None  # numbers that are their own coordinate
    others = {name: c.variable for name, c in array.coords.items() if name != along}
    for name in (*array.dims[1:], *others):
        _checks.name(name, f"{owner}, its DataArray")
    return dataclasses.replace(
        array_table(values, labels, owner),
        dims=tuple(map(str, array.dims[1:])) or None,
        coords={str(name): v for name, v in others.items() if along not in v.dims},
        extra={str(name): v.transpose(along, ...) for name, v in others.items() if along in v.dims},
    )


def as_array(values: Any, owner: str) -> np.ndarray:
    """Return a copy of values as one array, refusing ragged and masked ones."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{owner}: masked values have no meaning here; fill or drop them first")
    if isinstance(values, (list, tuple)) and values and all(is_keys(v) for v in values):
        raise TypeError(f"{owner}: stack the keys to one array first: jnp.stack(keys)")
    try:
        return np.array(values)  # a copy, which nobody changes afterwards
    except ValueError:
        raise ValueError(
            f"{owner}: values must all have the same shape; these are ragged. Use ChoiceAxis for "
            "values whose shapes differ"
        ) from None


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of an array through which a model cannot change what the next point gets."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_values(array: np.ndarray, owner: str) -> np.ndarray:
    """Return an array that can be an axis, refusing what JAX has no dtype for."""
    if array.dtype.kind in "OUSTMm":
        kind = {"O": "objects", "M": "dates", "m": "durations"}.get(array.dtype.kind, "strings")
        advice = "convert them to numbers" if kind in ("dates", "durations") else "use ChoiceAxis"
        raise TypeError(f"{owner}: values must be numbers that JAX knows, got {kind}; {advice}")
    if array.ndim == 0:
        raise ValueError(
            f"{owner}: values must have at least one dimension, got the scalar {array.item()!r}; "
            "write a plain number for a fixed value"
        )
    if array.size == 0:
        raise ValueError(f"{owner}: values must not be empty")
    return array
