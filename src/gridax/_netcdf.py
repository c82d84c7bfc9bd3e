"""Datasets as files can hold them, and back.

netCDF has no complex numbers, no half-precision floats, no names that start with a bracket, no
bool, None or dict attributes and no secondary indexes. What it has not is written in another way,
and the attribute ``gridax_encoding`` says how, as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._index import PointIndex, attach_all

_KEY = "gridax_encoding"
_COMPLEX = "complex_part"
_GOOD_START = re.compile(r"[A-Za-z0-9_\u0080-\U0010ffff]")


def encode(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset as netCDF and Zarr can hold it.

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
        plain, dtype = _encode_values(variable)
        if dtype is not None:
            notes["dtypes"][str(name)] = dtype
        plain.attrs = attrs[str(name)]
        # Without this, xarray marks NaN as missing and adds an attribute to every variable.
        plain.encoding = {"_FillValue": None} if plain.dtype.kind == "f" else {}
        variables[name] = plain
    coords = {name: variables.pop(name) for name in dataset.coords}
    plain_dataset = xr.Dataset(
        variables, xr.Coordinates(coords, indexes={}), {**attrs[""], _KEY: json.dumps(notes)}
    )
    return plain_dataset.rename({k: v for k, v in notes["names"].items() if k != v})


def decode(dataset: xr.Dataset) -> xr.Dataset:
    """Return what `encode` was given; a Dataset without its notes passes unchanged."""
    if _KEY not in dataset.attrs:
        return dataset
    notes = json.loads(dataset.attrs[_KEY])
    back = {safe: name for name, safe in notes["names"].items()}
    present = {*dataset.variables, *dataset.dims}
    dataset = dataset.drop_indexes(list(dataset.xindexes)).rename(
        {safe: name for safe, name in back.items() if safe != name and safe in present}
    )
    for name, dtype in notes["dtypes"].items():
        dataset[name] = _decode_values(dataset.variables[name], dtype)
    dataset = dataset.set_coords([name for name in notes["coords"] if name in dataset.variables])
    del dataset.attrs[_KEY]
    for owner, extra in notes["attrs"].items():
        (dataset if owner == "" else dataset[owner]).attrs.update(extra)
    for variable in dataset.variables.values():
        variable.encoding = {}
    for dim, members in notes["indexes"]:
        dataset = dataset.drop_indexes(dim, errors="ignore").set_xindex(members, PointIndex)
    return attach_all(dataset, {})


def _safe_names(names: list[str]) -> dict[str, str]:
    """Return each name as a file can hold it, all different."""
    safe: dict[str, str] = {}
    for name in sorted(names):
        text = name.replace(" ", "_")
        if not _GOOD_START.match(text):
            text = f"_{text}"
        while text in safe.values() or (text != name and text in names):
            text += "_"
        safe[name] = text
    return safe


def _encode_values(variable: xr.Variable) -> tuple[xr.Variable, str | None]:
    """Return a variable that files can hold, and its own dtype if that is another."""
    dtype = variable.dtype
    values: Any
    if dtype.kind == "c":
        values = np.ascontiguousarray(variable.values)
        values = values.view(values.real.dtype).reshape(*values.shape, 2)
        return xr.Variable((*variable.dims, _COMPLEX), values), str(dtype)
    if dtype == np.float16 or dtype.kind == "V":
        floating = jnp.issubdtype(dtype, jnp.floating)
        return variable.copy(data=variable.values.astype(np.float32 if floating else np.int8)), str(
            dtype
        )
    return variable.copy(deep=False), None


def _decode_values(variable: xr.Variable, dtype: str) -> xr.Variable:
    values = variable.values
    if dtype.startswith("complex"):
        values = np.ascontiguousarray(values).view(dtype)[..., 0]
        return xr.Variable(variable.dims[:-1], values, variable.attrs)
    return variable.copy(data=values.astype(jnp.dtype(dtype)))


def _encode_attrs(attrs: Mapping[Any, Any], owner: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a file holds as it is, and what is restored from JSON."""
    who = f"variable {owner!r}" if owner else "the Dataset"
    plain: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in _checks.attributes(attrs, who).items():
        if isinstance(value, (np.generic, np.ndarray)) and value.dtype.kind in "biufU":
            if value.dtype.kind in "iuf" and np.ndim(value) < 2 and np.size(value):
                plain[key] = value
                continue
            value = value.tolist()
        if isinstance(value, str) or (
            isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
        ):
            plain[key] = value
            continue
        try:
            extra[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            raise ValueError(
                f"{who}: the attribute {key!r} is {value!r}, which a file cannot hold; make it a "
                "string or a number"
            ) from None
        if _is_flat(value):
            plain[key] = list(value)
    return plain, extra


def _is_flat(value: Any) -> bool:
    """Whether a list can also be read by programs that do not know our notes."""
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and (
            all(isinstance(item, str) for item in value)
            or all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value)
        )
    )
