"""The table of an axis: its values, as the model receives them, and their labels."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import device_values, is_floating, is_keys, native, whole
from gridax._axes.labels import given_labels
from gridax._decimals import as_decimals


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The values of one axis and their labels, on the host, one row per value.

    Attributes
    ----------
    labels : numpy.ndarray of float64, int64, bool or str, shape (n,)
        What a user selects by.
    values : numpy.ndarray, shape ``(n, *value_shape)``, or tuple of n objects
        What the model receives, in the dtype in which it receives it; raw uint32 data for keys.
    kind : {"number", "array", "key", "choice"}
        A number is its own label unless `labeled`; the other kinds have separate labels.
    shape : tuple of int or None
        Shape to which a number is broadcast inside the model.
    dims, coords : names and coordinates of the dimensions after the first.
    extra : coordinates that came with a DataArray, with the axis' dimension first.
    impl : name of the implementation of the keys, for keys.
    labeled : whether the user gave labels for numbers that differ from the numbers.
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
    def is_own_label(self) -> bool:
        """Whether the values are numbers, each of which is its own label."""
        return self.kind == "number" and not self.labeled

    @property
    def kept_beside(self) -> bool:
        """Whether the values are a coordinate of their own, as the labels do not determine them."""
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
        if self.kind != "number":
            return self.value(row) if self.host is None else self.host[row]
        numbers = self.labels
        if self.labeled:  # a table that was read back from a file has the cast values only
            numbers = self.values if self.host is None else self.host
        number = numbers[row]
        if self.shape is not None:
            return np.full(self.shape, number)
        # A boolean stays NumPy's, because ~True is -2 in Python, and true.
        return number if isinstance(number, np.bool_) else number.item()

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


def grid_table(labels: np.ndarray, owner: str, shape: tuple[int, ...] | None = None) -> Table:
    """Return the table of a computed grid, whose values must differ in the dtype that JAX uses."""
    values = device_values(labels, owner)
    (equal,) = np.nonzero(values[1:] == values[:-1])
    if equal.size:
        first, second = labels[equal[0]].item(), labels[equal[0] + 1].item()
        raise ValueError(
            f"{owner}: the grid is too fine for {values.dtype}, the dtype that JAX would use: "
            f"{first!r} and {second!r} become equal; choose fewer points or a wider range, or "
            "enable 64 bits with jax.config.update('jax_enable_x64', True)"
        )
    return Table(labels, values, "number", shape)


def number_table(
    values: np.ndarray,
    owner: str,
    shape: tuple[int, ...] | None = None,
    *,
    drawn: bool = False,
    exact: bool = False,
) -> Table:
    """Return the table of real numbers, booleans or integers that are their own labels.

    Labels that differ only in float64 stay different, although JAX may round their values to the
    same float32 number.

    Parameters
    ----------
    values : the numbers, of shape ``(n,)``.
    owner : start of error messages.
    shape : to which each number is broadcast inside the model.
    drawn : whether the numbers are random draws, which must be finite.
    exact : whether labels are the numbers bit for bit, even if they contain rounding noise.
    """
    values = native(values)
    if not is_floating(values.dtype):
        values = device_values(values, owner)
        labels = values if values.dtype == bool else whole(values)
        return Table(labels, values, "number", shape)
    check_numbers(values, owner, drawn)
    labels = values.astype(np.float64) + 0.0 if exact else as_decimals(values)
    values = device_values(labels if values.dtype == np.float64 else values, owner)
    return Table(labels, values, "number", shape)


def check_numbers(values: np.ndarray, owner: str, drawn: bool) -> None:
    """Reject NaN, and infinite draws."""
    if np.isnan(values).any():
        advice = ", or check the parameters of the distribution" if drawn else " or pass labels="
        raise ValueError(f"{owner}: NaN cannot be a label; remove it{advice}")
    if drawn and np.isinf(values).any():
        raise ValueError(
            f"{owner}: a draw is infinite, which cannot be a label; remove it, or use a "
            "distribution whose draws fit in the dtype"
        )


def key_table(keys: jax.Array, labels: np.ndarray | None = None) -> Table:
    """Return the table of typed PRNG keys of shape (n, ...)."""
    return Table(
        labels=np.arange(len(keys)) if labels is None else labels,
        values=np.asarray(jax.random.key_data(keys)),
        kind="key",
        impl=str(jax.random.key_impl(keys)),
    )


def array_table(
    array: np.ndarray, labels: Any, owner: str, *, drawn: bool = False, exact: bool = False
) -> Table:
    """Return the table of an array whose first dimension is the axis."""
    if array.ndim == 1 and array.dtype.kind != "c":
        if labels is None:
            return number_table(array, owner, drawn=drawn, exact=exact)
        return Table(labels, device_values(array, owner), "number", labeled=True)
    values = device_values(array, owner)
    return Table(np.arange(len(values)) if labels is None else labels, values, "array")


def dataarray_table(array: xr.DataArray, labels: Any, owner: str) -> Table:
    """Return the table of a DataArray, with its names and coordinates.

    Labels from its coordinate are kept bit for bit, so that results align with the data.
    """
    along, values = array.dims[0], native(array.to_numpy())
    exact = False
    if labels is None and along in array.coords:
        coordinate = native(array.coords[along].to_numpy())
        labels = _coordinate_labels(array, along, coordinate, owner)
        if values.ndim == 1 and values.dtype.kind in "fiub":
            exact = np.array_equal(coordinate, values)
            if exact or np.array_equal(labels, _own_labels(values)):
                labels = None  # numbers that are their own coordinate
    others = {name: c.variable for name, c in array.coords.items() if name != along}
    for name in (*array.dims[1:], *others):
        _checks.name(name, f"{owner}, its DataArray")
    return dataclasses.replace(
        array_table(values, labels, owner, exact=exact),
        dims=tuple(map(str, array.dims[1:])) or None,
        coords={str(name): v for name, v in others.items() if along not in v.dims},
        extra={str(name): v.transpose(along, ...) for name, v in others.items() if along in v.dims},
    )


def _coordinate_labels(
    array: xr.DataArray, along: Any, coordinate: np.ndarray, owner: str
) -> np.ndarray:
    """Return the labels that a DataArray has along its first dimension."""
    holds = {"M": "dates", "m": "durations"}.get(coordinate.dtype.kind)
    change = f"drop_vars({along!r})"
    if isinstance(array.xindexes.get(along), xr.indexes.PandasMultiIndex):
        holds, change = "several levels", f"reset_index({along!r}), which keeps its levels"
    if holds:
        raise TypeError(
            f"{owner}: the coordinate {along!r} of its DataArray has {holds}, but labels must be "
            f"all numbers, all booleans or all strings; pass labels=, or array.{change}"
        )
    return given_labels(coordinate, len(coordinate), owner, exact=True)


def _own_labels(values: np.ndarray) -> np.ndarray:
    return as_decimals(values) if is_floating(values.dtype) else values


def as_array(values: Any, owner: str) -> np.ndarray:
    """Return values as one array, rejecting ragged and masked ones."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{owner}: masked values are not supported; fill or drop them first")
    if isinstance(values, (list, tuple)) and values and all(is_keys(v) for v in values):
        raise TypeError(f"{owner}: got a list of keys; stack them to one array: jnp.stack(keys)")
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{owner}: values must all have the same shape, but these are ragged; use ChoiceAxis "
            "for values whose shapes differ"
        ) from None


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of an array through which a model cannot change what the next point gets."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_values(array: np.ndarray, owner: str) -> np.ndarray:
    """Return an array that can be an axis, rejecting dtypes that JAX does not have."""
    array = _unboxed(array)
    if refused := _refused(array.dtype):
        raise TypeError(f"{owner}: values must be numbers, got {refused}")
    if array.ndim == 0:
        raise ValueError(
            f"{owner}: values must have at least one dimension, got the scalar {array.item()!r}; "
            "for a fixed value, put the number itself into the state"
        )
    if array.size == 0:
        raise ValueError(f"{owner}: values must not be empty")
    return array


def _refused(dtype: np.dtype) -> str | None:
    """Say which values of a dtype cannot be an axis, and what to do; None if they can."""
    if dtype.names:
        return "records; use one axis per field, and group= to vary them together"
    if dtype in (np.dtype("g"), np.dtype("G")) and dtype not in (np.dtype("d"), np.dtype("D")):
        narrower = "float64" if dtype.kind == "f" else "complex128"
        return f"{dtype}, which JAX does not have; convert them to {narrower}"
    return {
        "O": "objects; use ChoiceAxis",
        "U": "strings; use ChoiceAxis",
        "S": "strings; use ChoiceAxis",
        "T": "strings; use ChoiceAxis",
        "M": "dates; convert them to numbers",
        "m": "durations; convert them to numbers",
    }.get(dtype.kind)


def _unboxed(array: np.ndarray) -> np.ndarray:
    """Return numbers that are kept as objects as an array of numbers; other arrays unchanged.

    Decimals and fractions are objects, and so are the numbers of a table with columns of several
    dtypes.
    """
    # NumPy does not register its booleans as numbers.
    boxed = (numbers.Number, np.bool_)
    if array.dtype != object or not all(isinstance(item, boxed) for item in array.flat):
        return array
    items = [float(item) if isinstance(item, (Decimal, Fraction)) else item for item in array.flat]
    return np.array(items).reshape(array.shape)
