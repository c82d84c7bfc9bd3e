"""The provenance of a result, as attributes of its Dataset.

The structure of the space is written as JSON (key paths, names, kinds); the values are in the
coordinates.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax._axes import is_axis
from gridax._axes.base import call
from gridax._axes.carried import is_carried
from gridax._grid.grid import Column
from gridax._grid.points import Points, fixed_scalar
from gridax._outputs.template import Template
from gridax._pytree import Path, Skeleton, entry
from gridax._version import __version__

FORMAT = 2
# Format 1 differs in how its stores keep checksums, see `gridax._stores.format`.
READABLE = (1, FORMAT)


def stamp() -> dict[str, Any]:
    """Return the time and the device; the time is a datetime, since formatting it takes longer."""
    return {
        "device": jax.local_devices()[0].device_kind,
        # A number, because xarray cannot write a bool to a netCDF file.
        "x64": int(jax.config.read("jax_enable_x64")),
        "created": datetime.datetime.now(datetime.UTC),
    }


def attributes(points: Points, template: Template, model: Callable[..., Any]) -> dict[str, Any]:
    """Return the attributes of a result's Dataset that are the same for every run."""
    return {
        "gridax_format": FORMAT,
        "gridax_version": __version__,
        "jax_version": jax.__version__,
        "xarray_version": xr.__version__,
        "model": _qualified(model),
        "mode": points.mode,
        "key": json.dumps(
            {
                "impl": str(jax.random.key_impl(points.key)),
                "data": np.asarray(jax.random.key_data(points.key)).tolist(),
            }
        ),
        "space": json.dumps(_space_to_json(points)),
        "outputs": json.dumps(_template_to_json(template)),
    }


def _qualified(model: Callable[..., Any]) -> str:
    named = model if hasattr(model, "__qualname__") else getattr(model, "func", type(model))
    return f"{named.__module__}.{named.__qualname__}"


def _space_to_json(points: Points) -> dict[str, Any]:
    columns = {id(column.axis): column for column in points.grid.columns}
    skeleton = Skeleton.with_empties(points.skeleton.tree, is_axis)
    leaves = []
    for slot in skeleton.written:
        leaf = skeleton.leaves[slot]
        entry_: dict[str, Any] = {"path": _path_to_json(skeleton.paths[slot])}
        if id(leaf) in columns:
            entry_["axis"] = _column_to_json(columns[id(leaf)], points.sizes)
        else:
            entry_.update(_fixed_to_json(leaf))
        leaves.append(entry_)
    described = {"dims": list(points.sizes.items()), "leaves": leaves}
    if points.carried:
        described["carried"] = _carried_to_json(points.skeleton.tree)
    return described


def _carried_to_json(state: Any) -> list[dict[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(state, is_leaf=is_carried)
    return [
        {
            "path": _path_to_json(path),
            "output": leaf.output,
            "along": leaf.along,
            "order": leaf.order,
        }
        for path, leaf in flat
        if is_carried(leaf)
    ]


def _column_to_json(column: Column, sizes: Mapping[str, int]) -> dict[str, Any]:
    table = column.table
    found: dict[str, Any] = {
        "name": column.name,
        "dim": column.dim,
        "home": column.home,
        "axis": call(column.axis),
        "group": None if column.axis.group is None else str(column.axis.group),
        "kind": table.kind,
        "shape": table.shape,
        "impl": table.impl,
        "labeled": table.labeled,
        "repeats": column.repeats,
        "coords": sorted(table.coords),
        "extra": sorted(table.extra),
    }
    if table.kind == "choice":
        rows = column.all_rows(sizes)
        found["choices"] = [_fixed_to_json(table.values[row]) for row in rows]
    else:
        found["dtype"] = str(table.values.dtype)
        found["value_dims"] = None if table.dims is None else list(table.dims)
    return found


def _fixed_to_json(leaf: Any) -> dict[str, Any]:
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return {"value": leaf}
    if isinstance(leaf, (tuple, list)):
        kind = "tuple" if isinstance(leaf, tuple) else "list"
        return {kind: [_fixed_to_json(item) for item in leaf]}
    if isinstance(leaf, Mapping):
        return {"dict": [[_fixed_to_json(key), _fixed_to_json(leaf[key])] for key in leaf]}
    scalar = fixed_scalar(leaf)
    if scalar is not None:
        return {"value": scalar.item(), "dtype": str(scalar.dtype)}
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return {"missing": f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"}
    return {"missing": getattr(leaf, "__name__", type(leaf).__name__)}


def _template_to_json(template: Template) -> dict[str, Any]:
    return {
        "parts": [
            {"kind": part.kind, "names": part.names, "path": _path_to_json(part.path)}
            for part in template.parts
        ],
        "outputs": [
            {"name": output.name, "impl": output.impl, "dtype": str(output.dtype)}
            | ({"of": output.of} if output.of else {})
            for output in template.outputs
        ],
    }


def _path_to_json(path: Path) -> list[list[Any]]:
    steps = []
    for key in path:
        kind, value = entry(key)
        steps.append([kind, value if isinstance(value, (str, int)) else str(value)])
    return steps


def is_result(dataset: xr.Dataset) -> bool:
    """Whether a Dataset has the attributes of a gridax result."""
    return "gridax_format" in dataset.attrs
