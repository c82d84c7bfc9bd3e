"""The provenance of a result, as attributes of its Dataset.

The structure of the space is written as JSON (key paths, names, kinds); the values are in the
coordinates.
"""

from __future__ import annotations

import datetime
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax import _devices
from gridax._arrays import is_array
from gridax._axes import is_axis
from gridax._axes.base import call
from gridax._axes.carried import is_carried
from gridax._axes.missing import name_of
from gridax._files import script
from gridax._grid.grid import Column
from gridax._grid.points import MOST_FIXED, Points, fixed_scalar
from gridax._outputs.template import Template
from gridax._pytree import Path, Skeleton, dotted, entry
from gridax._text import listing, number_of, shorten
from gridax._version import __version__

FORMAT = 2
# Format 1 differs in how its stores keep checksums, see `gridax._stores.format`.
READABLE = (1, FORMAT)
# Most lines of a history, and most characters of a text among the arguments.
_MOST_LINES, _LONGEST_TEXT = 50, 1000


def stamp() -> dict[str, Any]:
    """Return the time and the device; the time is a datetime, since formatting it takes longer."""
    return {
        "device": _devices.kind(),
        # A number, because xarray cannot write a bool to a netCDF file.
        "x64": int(jax.config.read("jax_enable_x64")),
        "created": datetime.datetime.now(datetime.UTC),
    }


def stamped(run: Mapping[str, Any], what: str, before: str = "") -> dict[str, Any]:
    """Return when and on what a job was run, as attributes of a Dataset.

    Parameters
    ----------
    run : as `stamp` returned it when the job was run.
    what : what was done, for the history.
    before : the history of the result that was extended.
    """
    created = run["created"].isoformat(timespec="seconds")
    return {**run, "created": created, "history": with_line(before, created, what)}


def with_line(history: str, when: str, what: str) -> str:
    r"""Return a history with one more line; of a long one, the first line and the last ones.

    Examples
    --------
    >>> with_line("2026-01-01T00:00:00+00:00: run", "2026-01-02T00:00:00+00:00", "resumed")
    '2026-01-01T00:00:00+00:00: run\n2026-01-02T00:00:00+00:00: resumed (gridax ...)'
    """
    lines = [*history.splitlines(), f"{when}: {what} (gridax {__version__})"]
    if len(lines) > _MOST_LINES:
        lines = [lines[0], "…", *lines[2 - _MOST_LINES :]]
    return "\n".join(lines)


def attributes(
    points: Points,
    template: Template,
    model: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the attributes of a result's Dataset that are the same for every run."""
    arrays = fixed_arrays(points)
    given = arguments(model, args, kwargs or {})
    return {
        "title": _title(points, model),
        "Conventions": "CF-1.11",
        "gridax_format": FORMAT,
        "gridax_version": __version__,
        "jax_version": jax.__version__,
        "xarray_version": xr.__version__,
        "model": _qualified(model),
        **({"arguments": json.dumps(given)} if given else {}),
        **({"fixed_arrays": json.dumps(arrays)} if arrays else {}),
        **script.attributes(),
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


def _title(points: Points, model: Callable[..., Any]) -> str:
    sizes = [f"{dim} ({size})" for dim, size in points.sizes.items()]
    over = f" over {listing(sizes)}" if sizes else ""
    return f"{_qualified(model).rpartition('.')[2]}{over}: {number_of(points.n, 'point')}"


def fixed_arrays(points: Points) -> dict[str, Any]:
    """Return dtype and shape of the arrays of a state that are no axes, by their dotted paths."""
    arrays = {}
    for name, leaf in points.fixed:
        if is_array(leaf) and leaf.shape:
            arrays[name] = _array_to_json(leaf)
    return dict(_at_most(arrays))


def arguments(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a model was given besides the state, by parameter and path within it.

    Numbers, booleans, strings and None are themselves; of an array there are the dtype and the
    shape, and of any other object its name.

    Examples
    --------
    >>> arguments(lambda state, n, *, weights: None, (3,), {"weights": {"w": np.ones((2, 2))}})
    {'n': 3, 'weights.w': {'dtype': 'float64', 'shape': [2, 2]}}
    """
    if not args and not kwargs:
        return {}
    given = dict(zip(_parameters(model, len(args)), args, strict=True)) | dict(kwargs)
    skeleton = Skeleton.with_empties(given, lambda leaf: leaf is None)
    leaves = ((dotted(skeleton.paths[i]), skeleton.leaves[i]) for i in skeleton.written)
    return dict(_at_most({name: _argument_to_json(leaf) for name, leaf in leaves}))


def _parameters(model: Callable[..., Any], n: int) -> list[str]:
    """Return the names of the parameters after the state that positional arguments go to."""
    names: list[str] = []
    try:
        parameters = list(inspect.signature(model).parameters.values())[1:]
    except (TypeError, ValueError):  # some builtins have no signature
        parameters = []
    for parameter in parameters[:n]:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            break
        names.append(parameter.name)
    return names + [f"args[{i}]" for i in range(len(names), n)]


def _argument_to_json(leaf: Any) -> Any:
    scalar = fixed_scalar(leaf)
    if scalar is not None:
        value = scalar.item()
        return shorten(value, _LONGEST_TEXT) if isinstance(value, str) else value
    if leaf is None:
        return None
    if isinstance(leaf, (complex, np.complexfloating)):
        return {"complex": [float(leaf.real), float(leaf.imag)]}
    if is_array(leaf):
        return _array_to_json(leaf)
    if isinstance(leaf, (tuple, list, Mapping)):  # an empty one
        return {} if isinstance(leaf, Mapping) else []
    return {"object": _qualified(leaf)}


def _array_to_json(leaf: Any) -> dict[str, Any]:
    return {"dtype": str(leaf.dtype), "shape": list(map(int, leaf.shape))}


def _at_most(described: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the first of many leaves, and then how many there are."""
    for i, item in enumerate(described.items()):
        if i == MOST_FIXED:
            yield "…", f"{number_of(len(described), 'value')} in all"
            return
        yield item


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
    if column.axis.wrap is not None:
        found["wrap"] = name_of(column.axis.wrap)
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
        return {"value": scalar.item(), "dtype": str(leaf.dtype)}  # its label is always float64
    if isinstance(leaf, (complex, np.complexfloating)):
        dtype = {"dtype": str(leaf.dtype)} if isinstance(leaf, np.generic) else {}
        return {"complex": [float(leaf.real), float(leaf.imag)], **dtype}
    if is_array(leaf):
        return {"missing": f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"}
    return {"missing": name_of(leaf)}


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
