"""Datasets in a form that files can store, and back.

netCDF has no complex numbers, no half-precision floats, no dates, no names that start with a
bracket, no bool, None or dict attributes and no secondary indexes. These are written in another
way, and the attribute ``gridax_encoding`` says how, as JSON.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._grid.index import PointIndex, attach_all

_KEY = "gridax_encoding"
# Complex numbers, and floats of half precision.
ZARR = "ce"
_COMPLEX, _PARTS = "complex_part", ("real", "imaginary")
_GOOD_START = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]")
# Names of attributes that stay out of netCDF: leading underscores and a few names are its own.
_GOOD_ATTR = re.compile(r"[A-Za-z0-9\u0080-\U0010ffff][^/\x00-\x1f\x7f]*(?<! )")
_HDF5_ATTRS = ("CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST")
_TIME_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def encode(dataset: xr.Dataset, native: str = "") -> xr.Dataset:
    """Return the Dataset in a form that netCDF and Zarr can store, without computing dask arrays.

    Parameters
    ----------
    dataset : Dataset of a result.
    native : kinds of dtypes that the format stores directly, besides plain numbers: ``ZARR``.

    Raises
    ------
    ValueError
        If an attribute would change the data when the file is read, or cannot be stored.
    """
    attrs, kept = {}, {}
    for owner, given in [
        ("", dataset.attrs),
        *((str(n), v.attrs) for n, v in dataset.variables.items()),
    ]:
        attrs[owner], extra = _encode_attrs(given, owner)
        if extra:
            kept[owner] = extra
    notes: dict[str, Any] = {
        "names": _safe_names([str(name) for name in {*dataset.variables, *dataset.dims}]),
        "order": [str(name) for name in dataset.variables],
        "coords": [str(name) for name in dataset.coords],
        "dtypes": {},
        "indexes": [
            [str(index.dim), [str(member) for member in index.members]]
            for index in dict.fromkeys(dataset.xindexes.values())
            if isinstance(index, PointIndex)
        ],
        "attrs": kept,
    }
    variables = {}
    for name, variable in dataset.variables.items():
        plain, dtype = _encode_values(variable, native)
        if dtype is not None:
            notes["dtypes"][str(name)] = dtype
        plain.attrs = {**_added_attrs(variable.dtype, plain.dims), **attrs[str(name)]}
        # Without this, xarray marks NaN as missing and adds an attribute to every variable.
        plain.encoding = {"_FillValue": None} if plain.dtype.kind == "f" else {}
        variables[name] = plain
    coords = {name: variables.pop(name) for name in dataset.coords}
    has_parts = any(_COMPLEX in v.dims for v in (*variables.values(), *coords.values()))
    if has_parts and _COMPLEX not in notes["names"]:
        coords[_COMPLEX] = xr.Variable(_COMPLEX, np.array(_PARTS))
    plain_dataset = xr.Dataset(
        variables, xr.Coordinates(coords, indexes={}), {**attrs[""], _KEY: json.dumps(notes)}
    )
    return plain_dataset.rename({k: v for k, v in notes["names"].items() if k != v})


def stored_names(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return the stored name of every variable of an encoded Dataset."""
    names = json.loads(attrs[_KEY])["names"] if _KEY in attrs else {}
    return {str(name): str(safe) for name, safe in names.items()}


def stored_coordinates(attrs: Mapping[str, Any]) -> set[str]:
    """Return the stored names of the coordinates of an encoded Dataset."""
    notes = json.loads(attrs[_KEY]) if _KEY in attrs else {"names": {}, "coords": ()}
    return {notes["names"][name] for name in notes["coords"]}


def decode(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset that was encoded; one that was not encoded is returned unchanged."""
    if _KEY not in dataset.attrs:
        return dataset
    notes = json.loads(dataset.attrs[_KEY])
    back = {safe: name for name, safe in notes["names"].items()}
    if _COMPLEX not in notes["names"]:
        dataset = dataset.drop_vars(_COMPLEX, errors="ignore")
    present = {*dataset.variables, *dataset.dims}
    dataset = dataset.drop_indexes(list(dataset.xindexes)).rename(
        {safe: name for safe, name in back.items() if safe != name and safe in present}
    )
    for name, dtype in notes["dtypes"].items():
        dataset[name] = _decode_values(dataset.variables[name], dtype)
    dataset = _ordered(dataset, notes.get("order", ()), notes["coords"])
    del dataset.attrs[_KEY]
    for owner, extra in notes["attrs"].items():
        (dataset if owner == "" else dataset[owner]).attrs.update(extra)
    for variable in dataset.variables.values():
        variable.encoding = {}
    for dim, members in notes["indexes"]:
        dataset = dataset.drop_indexes(dim, errors="ignore").set_xindex(members, PointIndex)
    return attach_all(dataset, {})


def _ordered(dataset: xr.Dataset, order: Sequence[str], coords: Sequence[str]) -> xr.Dataset:
    """Return the variables in their original order, which folders do not keep, with coordinates."""
    position = {name: i for i, name in enumerate(order)}
    names = sorted(dataset.variables, key=lambda name: position.get(str(name), len(position)))
    variables = {name: dataset.variables[name] for name in names}
    labels = [name for name in names if name in coords or name in dataset.coords]
    coordinates = {name: variables.pop(name) for name in labels}
    return xr.Dataset(variables, xr.Coordinates(coordinates, indexes={}), dataset.attrs)


def _safe_names(names: list[str]) -> dict[str, str]:
    """Return a distinct name that files can store for each name."""
    safe: dict[str, str] = {}
    for name in sorted(names):
        text = unicodedata.normalize("NFC", name.replace(" ", "_"))  # as netCDF does anyway
        if not _GOOD_START.match(text):
            text = f"_{text}"
        while text in (*safe.values(), "zarr.json") or (text != name and text in names):
            text += "_"
        safe[name] = text
    return safe


def _encode_values(variable: xr.Variable, native: str) -> tuple[xr.Variable, str | None]:
    """Return a variable that files can store, and its original dtype if that differs."""
    dtype: Any = variable.dtype
    half = dtype == np.float16  # by its type: the 1-bit integers of JAX have its letter, too
    if (half and "e" in native) or (dtype.kind == "c" and "c" in native):
        return variable.copy(deep=False), None
    if dtype.kind == "O":  # strings of unknown length
        return variable.compute(), None
    if dtype.kind == "c":
        values = variable.data
        values = np.stack([values.real, values.imag], axis=-1)
        return xr.Variable((*variable.dims, _COMPLEX), values), str(dtype)
    if half or dtype.isbuiltin == 2:  # 2: of JAX, and unknown to NumPy itself
        floating = jnp.issubdtype(dtype, jnp.floating)
        plain = variable.data.astype(np.float32 if floating else np.int8)
        return variable.copy(data=plain), str(dtype)
    if dtype.kind in "UT" and variable.chunks is None:
        return xr.Variable(variable.dims, np.array(variable.values.tolist(), str)), "str"
    if dtype.kind in "Mm":
        return variable.copy(data=variable.data.astype(np.int64)), str(dtype)
    return variable.copy(deep=False), None


def _decode_values(variable: xr.Variable, name: str) -> xr.Variable:
    dtype: Any = jnp.dtype(name)
    if not (jnp.issubdtype(dtype, jnp.number) or dtype.kind in "UMm"):
        raise ValueError(f"{name!r} is not a dtype of a result")
    added = _added_attrs(dtype, variable.dims)
    attrs = {k: v for k, v in variable.attrs.items() if not isinstance(v, str) or added.get(k) != v}
    if dtype.kind == "c":
        return xr.Variable(variable.dims[:-1], _joined(variable.data, dtype), attrs)
    if dtype.kind == "U":
        return xr.Variable(variable.dims, np.array(variable.values.tolist(), str), attrs)
    return xr.Variable(variable.dims, variable.data.astype(dtype), attrs)


def _joined(parts: Any, dtype: Any) -> Any:
    """Return complex numbers from an array whose last dimension has real and imaginary parts."""

    def join(block: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(block).view(dtype)[..., 0]

    if isinstance(parts, np.ndarray):
        return join(parts)
    return parts.rechunk({-1: 2}).map_blocks(join, dtype=dtype, drop_axis=parts.ndim - 1)


def _added_attrs(dtype: Any, dims: Sequence[Any]) -> dict[str, str]:
    """Return the attributes that tell other programs what plain numbers mean.

    Integers may be dates or durations, and the last dimension may have the parts of complex
    numbers.
    """
    if dtype.kind == "c" and _COMPLEX in dims:
        return {"complex_parts": f"{' and '.join(_PARTS)} along {_COMPLEX}"}
    if dtype.kind not in "Mm":
        return {}
    unit = _TIME_UNITS[np.datetime_data(dtype)[0]]
    if dtype.kind == "m":
        return {"units": unit}
    return {"units": f"{unit} since 1970-01-01", "calendar": "proleptic_gregorian"}


def _encode_attrs(attrs: Mapping[Any, Any], owner: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes that a file stores directly, and those that are restored from JSON."""
    who = f"variable {owner!r}" if owner else "the Dataset"
    plain: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in _checks.attributes(attrs, who).items():
        named = _is_plain_name(key)
        if isinstance(value, (np.generic, np.ndarray)) and not (named and _is_plain(value)):
            value = value.tolist()
        if named and _is_plain(value):
            plain[key] = value
            continue
        try:
            extra[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            raise ValueError(
                f"{who}: the attribute {key!r} is {value!r}, which a file cannot store; make it a "
                "string or a number"
            ) from None
        if named and _is_flat(value):
            plain[key] = list(value)
    return plain, extra


def _is_plain_name(name: str) -> bool:
    good = _GOOD_ATTR.fullmatch(name) and unicodedata.is_normalized("NFC", name)
    return bool(good) and name not in _HDF5_ATTRS


def _is_plain(value: Any) -> bool:
    """Whether a file returns a string, a number or a list of numbers unchanged."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, (np.generic, np.ndarray)):
        numbers = value.dtype.kind in "iu" or value.dtype in (np.float32, np.float64)
        return numbers and (value.ndim == 0 or (value.ndim == 1 and value.size > 1))
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63


def _is_flat(value: Any) -> bool:
    """Whether a list can also be read by other programs."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(map(_is_plain, value)) and len({isinstance(item, str) for item in value}) == 1
