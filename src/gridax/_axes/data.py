"""Values that a user gives, and values that were read from a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import is_keys, owned
from gridax._axes.base import LabeledAxis, check_options, owner
from gridax._axes.labels import given_labels
from gridax._axes.table import (
    Table,
    array_table,
    as_array,
    check_values,
    dataarray_table,
    key_table,
    read_only,
)
from gridax._units import without_units


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DataAxis(LabeledAxis):
    """Values given as an array whose first dimension is the axis.

    Parameters
    ----------
    values : array_like, shape ``(n, *value_shape)``
        Lists, NumPy and JAX arrays, pandas Series, typed PRNG keys, or an `xarray.DataArray`, whose
        name, attrs and coordinates are kept. The units of a quantity (pint, unyt, astropy) become
        the attribute ``units``; the model receives plain numbers. Numbers are their own labels,
        without the rounding noise of a computation; a float32 number has the shortest decimal that
        identifies it as its label. Arrays and keys have the labels 0..n-1. Labels from a coordinate
        of a DataArray are kept bit for bit, so that results align with the data.
        The dtype of an array is kept: float32 data reach the model as float32, also under x64.
    labels : array_like, optional
        One label per value, all different: numbers, booleans or strings. The Dataset then holds
        the values as the coordinate ``<name>_value``.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If the values are empty, a scalar, ragged, masked, or not numbers; if a number is NaN; or
        if a value does not fit in the dtype that JAX would use.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"G": DataAxis([0.3, 0.1])}, mode="product")
    >>> space.sel(G=0.12, method="nearest").dataset["G"].item()
    0.1
    >>> DataAxis([])
    Traceback (most recent call last):
        ...
    ValueError: DataAxis: values must not be empty
    """

    values: Any
    labels: Any = None

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        array, units = _magnitudes(self.values, owner(self))
        if units is not None:
            put("values", array)
            put("attrs", {"units": units, **(self.attrs or {})})
        if isinstance(array, xr.DataArray):
            if self.name is None and array.name is not None:
                put("name", _checks.name(array.name, "DataAxis"))
            put("attrs", {**array.attrs, **(self.attrs or {})})
            check_options(self)
            numbers = check_values(array.to_numpy(), owner(self))
            put("values", array.copy(deep=True, data=owned(numbers)))
        elif is_keys(array):
            if array.ndim == 0:
                raise ValueError(f"{owner(self)}: got a single key; use KeyAxis, or split the key")
        elif isinstance(array, jax.Array):  # which cannot be changed
            check_values(np.asarray(array), owner(self))
        else:
            put("values", owned(check_values(as_array(array, owner(self)), owner(self))))
        if self.labels is not None:
            put("labels", given_labels(self.labels, self.size, owner(self)))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        if is_keys(self.values):
            return key_table(self.values, self.labels)
        if isinstance(self.values, xr.DataArray):
            table = dataarray_table(self.values, self.labels, owner)
        else:
            table = array_table(np.asarray(self.values), self.labels, owner)
        if table.is_own_label or (table.kind == "array" and isinstance(self.values, jax.Array)):
            return table
        return dataclasses.replace(table, host=read_only(np.asarray(self.values)))


def _magnitudes(values: Any, owner: str) -> tuple[Any, str | None]:
    """Return the numbers of quantities and their units; other values have none."""
    if not isinstance(values, (list, tuple)):
        return without_units(values)
    split = [without_units(value) for value in values]
    units = {unit for _, unit in split}
    if units <= {None}:
        return values, None
    if len(units) > 1:
        named = ", ".join(sorted(str(unit or "no units") for unit in units))
        raise ValueError(
            f"{owner}: values must all have the same units, got {named}; convert them first"
        )
    return [magnitude for magnitude, _ in split], units.pop()


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StoredAxis(LabeledAxis):
    """An axis that was read from a file: its table, and the call that created it."""

    stored: Table
    written: str

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.stored)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        """Do nothing: the table was checked when it was created."""

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return self.stored

    def _call(self) -> str:
        return self.written
