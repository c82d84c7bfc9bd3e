"""The points and the structure of the outputs, read from the attributes of a result.

Nothing in a file is imported, unpickled, evaluated or trusted.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from jax.tree_util import DictKey, SequenceKey

from gridax import _checks
from gridax._axes import Carried, StoredAxis, is_axis
from gridax._axes.carried import Order
from gridax._axes.missing import Missing, MissingWrap
from gridax._axes.table import Table
from gridax._files.describe import FORMAT, READABLE, is_result
from gridax._files.merge import Summary
from gridax._grid.grid import Column, Grid
from gridax._grid.points import MODES, Points
from gridax._outputs.derivatives import own_outputs
from gridax._outputs.template import Output, Part, PartKind, Template
from gridax._pytree import Skeleton

_LONGEST_JSON, _LONGEST_LIST = 2**26, 2**20
_SCALARS = (bool, int, float, complex, str)


def read(
    dataset: xr.Dataset, swept: Mapping[Any, xr.Variable] | None = None
) -> tuple[Points, Template]:
    """Return the points and the template that a result's Dataset describes.

    Parameters
    ----------
    dataset : the Dataset.
    swept : coordinates of axes that it no longer has, since its outputs were reduced along them.

    Raises
    ------
    ValueError
        If there is no description, or it is damaged or of a newer format.
    """
    if not is_result(dataset):
        raise ValueError(
            "it is not a gridax result, as the attribute 'gridax_format' is missing; "
            "xarray.open_dataset opens any netCDF file"
        )
    if dataset.attrs["gridax_format"] not in READABLE:
        raise ValueError(
            f"it has the format {dataset.attrs['gridax_format']}, but this version of gridax "
            f"reads formats up to {FORMAT}; install a newer gridax"
        )
    summary = Summary.read(dataset.attrs)
    for dim, size in _sizes(dataset).items():
        if dataset.sizes.get(dim) != size and (summary is None or dim in summary.kept):
            raise ValueError(
                f"it does not hold the whole space that it describes, as after selecting or "
                f"averaging: {dim!r} has {dataset.sizes.get(dim, 0)} entries, not {size}; open it "
                "with xarray.open_dataset"
            )
    lost = [name for name in _outputs(dataset) if name not in dataset.variables]
    if lost:
        raise ValueError(
            f"it lacks the outputs {lost}, as after selecting some; open it with "
            "xarray.open_dataset"
        )
    try:
        points = _read_points(dataset, {**(swept or {}), **dataset.variables})
        kept = points.dims if summary is None else (*summary.kept, *summary.parts)
        return points, _read_template(dataset, kept, summary is not None)
    except Exception as error:  # a damaged or foreign description may raise anything
        raise ValueError(
            f"its description of the space is damaged ({type(error).__name__}: {error}); "
            "xarray.open_dataset may still read the data"
        ) from error


def _json(dataset: xr.Dataset, name: str) -> Any:
    text = dataset.attrs[name]
    if not isinstance(text, str) or len(text) > _LONGEST_JSON:
        raise ValueError(f"the attribute {name!r} is not a string of a reasonable length")
    return json.loads(text)


def _sizes(dataset: xr.Dataset) -> dict[str, int]:
    """Return the sizes of the space's dimensions, or nothing if their description is damaged."""
    try:
        return {str(dim): int(size) for dim, size in _json(dataset, "space")["dims"]}
    except Exception:
        return {}


def _outputs(dataset: xr.Dataset) -> list[str]:
    """Return the names of all outputs, or nothing if their description is damaged."""
    try:
        return [str(output["name"]) for output in _json(dataset, "outputs")["outputs"]]
    except Exception:
        return []


def _read_points(dataset: xr.Dataset, variables: Mapping[Any, xr.Variable]) -> Points:
    described = _json(dataset, "space")
    sizes = _sizes(dataset)
    leaves, columns = [], {}
    for leaf in described["leaves"]:
        if "axis" in leaf:
            column = _read_column(leaf["axis"], variables)
            columns[id(column.axis)] = column
            leaves.append((leaf["path"], column.axis))
        else:
            leaves.append((leaf["path"], _read_fixed(leaf)))
    state = nest(leaves)
    for carried in described.get("carried", []):
        state = _with_carried(state, carried["path"], carried)
    skeleton = Skeleton.of(state, is_axis)
    ordered = [
        dataclasses.replace(columns[id(skeleton.leaves[slot])], slot=slot)
        for slot in skeleton.written
        if id(skeleton.leaves[slot]) in columns
    ]
    _require(bool(ordered), "it has no axis")
    _require({c.dim for c in ordered} - {None} == set(sizes), "a dimension has no axis")
    _require(len({c.name for c in ordered}) == len(ordered), "two axes have the same name")
    mode = dataset.attrs["mode"]
    _require(mode in MODES, f"the mode {mode!r} is unknown")
    described_key = _json(dataset, "key")
    data = np.asarray(described_key["data"], dtype=np.uint32)
    key = jax.random.wrap_key_data(jnp.asarray(data), impl=described_key["impl"])
    _require(key.ndim == 0, "the key is not a single key")
    points = Points(skeleton, Grid(sizes, tuple(ordered)), mode, key)
    _ = points.chain  # which raises an error if there is no such dimension
    return points


def _with_carried(node: Any, path: Sequence[Sequence[Any]], described: Mapping[str, Any]) -> Any:
    """Return a state with a carried leaf in place of the dict with its parts."""
    if path:
        (_, key), *rest = path
        node[key] = _with_carried(node[key], rest, described)
        return node
    output, along, order = (str(described[name]) for name in ("output", "along", "order"))
    leaf = Carried(node["initial"], output, along, cast("Order", order))
    axis = node.get("direction")
    return leaf.with_direction(axis) if is_axis(axis) else leaf


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _dtype(name: Any) -> np.dtype:
    """Return a dtype that JAX has; a file could name any dtype, of any size."""
    dtype = jnp.dtype(str(name))
    numbers = jnp.issubdtype(dtype, jnp.number) or dtype.kind == "b"
    _require(numbers, f"{name!r} is not a numeric dtype")
    return dtype


def _check_keys(shape: Sequence[int], dtype: Any, impl: Any) -> None:
    """Reject raw data that are not PRNG keys."""
    data = jax.ShapeDtypeStruct(tuple(shape), dtype)
    jax.eval_shape(lambda x: jax.random.wrap_key_data(x, impl=impl), data)


def _read_fixed(leaf: Mapping[str, Any]) -> Any:
    if "missing" in leaf:
        return Missing(str(leaf["missing"]))
    if "tuple" in leaf:
        return tuple(map(_read_fixed, leaf["tuple"]))
    if "list" in leaf:
        return [*map(_read_fixed, leaf["list"])]
    if "dict" in leaf:
        return {_read_fixed(key): _read_fixed(value) for key, value in leaf["dict"]}
    value = complex(*map(float, leaf["complex"])) if "complex" in leaf else leaf["value"]
    _require(value is None or isinstance(value, _SCALARS), "a value is not a scalar")
    if "dtype" not in leaf:
        return value
    return np.asarray(value, None if isinstance(value, str) else _dtype(leaf["dtype"]))[()]


def _read_column(described: Mapping[str, Any], variables: Mapping[Any, xr.Variable]) -> Column:
    name, dim, kind = described["name"], described["dim"], described["kind"]
    label = variables[name]
    _require(label.dims == (() if dim is None else (dim,)), f"{name!r} is not along {dim!r}")
    _require(kind in ("number", "array", "key", "choice"), f"{name!r} has the kind {kind!r}")
    labels = np.atleast_1d(label.values)
    rows: Any = None if dim is not None else np.int64(0)
    known: dict[str, Any] = {"kind": kind, "labeled": bool(described["labeled"])}
    if kind == "choice":
        known["values"] = tuple(map(_read_fixed, described["choices"]))
    elif kind == "number" and not described["labeled"]:
        known["values"] = labels.astype(_dtype(described["dtype"]))
    else:
        dtype = _dtype(described["dtype"])
        values = variables[f"{name}_value"].values.astype(dtype, copy=False)
        if described["repeats"]:
            table_labels = variables[f"{name}_item"].values
            rows = pd.Index(table_labels).get_indexer(labels)
            _require((rows >= 0).all(), f"{name!r} has labels that are not in {name}_item")
            labels = table_labels
            rows = rows if dim is not None else rows[0]
        elif dim is None:
            values = values[None]
        known["values"] = values
    if described["shape"] is not None:
        known["shape"] = _checks.shape(described["shape"], name, "shape")
    if kind == "key":
        known["impl"] = described["impl"]
        _check_keys(known["values"].shape, known["values"].dtype, described["impl"])
    if described.get("value_dims"):
        known["dims"] = tuple(map(str, described["value_dims"]))
    known["coords"] = {key: variables[key] for key in described["coords"]}
    known["extra"] = {
        key: variables[key] if dim is not None else variables[key].expand_dims(dim=name)
        for key in described["extra"]
    }
    if dim is not None and rows is not None:
        known["extra"] = _per_item(known["extra"], dim, rows, len(labels))
    table = Table(labels=labels, **known)
    _require(len(table.values) == len(labels), f"{name!r} does not have one label per value")
    attrs = {k: v for k, v in label.attrs.items()}
    # Files that were written before wraps were recorded have none.
    wrap = MissingWrap(name, str(described["wrap"])) if "wrap" in described else None
    axis = StoredAxis(
        table, str(described["axis"]), group=described["group"], attrs=attrs, wrap=wrap
    )
    return Column(name, axis, -1, table, dim=dim, home=str(described["home"]), rows=rows)


def _per_item(
    extra: Mapping[str, xr.Variable], dim: str, rows: np.ndarray, n_items: int
) -> dict[str, xr.Variable]:
    """Return coordinates by row of a table, given them along a dimension with some of its rows.

    Nothing shows what they are at rows that no point has, so these have any of the values.
    """
    at = np.zeros(n_items, np.int64)
    at[rows] = np.arange(len(rows))
    return {key: variable.isel({dim: at}) for key, variable in extra.items()}


def _read_template(dataset: xr.Dataset, dims: tuple[str, ...], are_reduced: bool) -> Template:
    described = _json(dataset, "outputs")
    outputs = [_read_output(each, dataset, dims, are_reduced) for each in described["outputs"]]
    parts = tuple(map(_read_part, described["parts"]))
    leaves = [(part["path"], i) for i, part in enumerate(described["parts"])]
    order, treedef = jax.tree.flatten(nest(leaves, keep_order=True))
    _require(
        sorted(order) == list(range(len(parts))), "the paths of the outputs contradict each other"
    )
    starts = np.cumsum([0, *(len(part.names) for part in parts)])
    own = own_outputs(outputs)
    _require(
        0 < len(own) == starts[-1] and own == outputs[: len(own)],
        "the number of outputs does not match their paths",
    )
    arranged = [outputs[i] for k in order for i in range(starts[k], starts[k + 1])]
    arranged += outputs[len(own) :]
    return Template(tuple(arranged), tuple(parts[k] for k in order), treedef)


def _read_part(described: Mapping[str, Any]) -> Part:
    kind, names = described["kind"], tuple(described["names"])
    _require(kind in get_args(PartKind), f"an output has the kind {kind!r}")
    wanted = (str,) if kind == "dataset" else (str, type(None))
    _require(
        all(isinstance(name, wanted) for name in names) and (kind == "dataset" or len(names) == 1),
        f"an output of the kind {kind!r} has the names {names!r}",
    )
    # Containers come back as dicts and lists.
    path = [
        SequenceKey(key) if step == "index" else DictKey(key) for step, key in described["path"]
    ]
    return Part(kind, names, tuple(path))


def _read_output(
    described: Mapping[str, Any], dataset: xr.Dataset, dims: tuple[str, ...], is_reduced: bool
) -> Output:
    name, impl = described["name"], described["impl"]
    variable = dataset.variables[name]
    first = tuple(dim for dim in dims if dim in variable.dims) if is_reduced else dims
    own = tuple(dim for dim in variable.dims if dim not in first)
    _require(
        is_reduced or variable.dims[: len(first)] == first,
        f"output {name!r} is along {variable.dims}, not along {first}",
    )
    if is_reduced and variable.dtype.kind in "OTU":  # labels
        dtype = np.dtype(str)
    else:
        _dtype(variable.dtype)
        dtype = _dtype(described.get("dtype", variable.dtype))  # some points may have no value
    if impl is not None:
        _check_keys(variable.shape, variable.dtype, impl)
    return Output(
        name=name,
        shape=tuple(variable.sizes[dim] for dim in own),
        dtype=dtype,
        dims=tuple(map(str, own)),
        attrs={k: v for k, v in variable.attrs.items() if k != "prng_impl"},
        impl=impl,
        of=str(described.get("of", "")),
    )


def nest(leaves: Sequence[tuple[Sequence[Sequence[Any]], Any]], keep_order: bool = False) -> Any:
    """Return nested dicts and lists with each leaf at its path of (kind, key) steps.

    An index of a list without a leaf is None. JAX sorts the keys of a dict; to keep an order such
    as that of fields, a dict whose keys are not sorted is returned as an OrderedDict.

    Examples
    --------
    >>> nest([([["dict", "a"], ["index", 0]], 1), ([["dict", "a"], ["index", 1]], 2)])
    {'a': [1, 2]}
    """
    _require(bool(leaves), "it has no leaves")
    if len(leaves) == 1 and not leaves[0][0]:
        return leaves[0][1]
    branches: dict[Any, list[tuple[Sequence[Sequence[Any]], Any]]] = {}
    for path, leaf in leaves:
        (_, key), *rest = path
        branches.setdefault(key, []).append((rest, leaf))
    if all(path[0][0] == "index" for path, _ in leaves):
        length = max(branches) + 1
        _require(min(branches) >= 0 and length <= _LONGEST_LIST, "a path has too large an index")
        return [nest(branches[i], keep_order) if i in branches else None for i in range(length)]
    found = {key: nest(branch, keep_order) for key, branch in branches.items()}
    return collections.OrderedDict(found) if keep_order and not _is_sorted([*found]) else found


def _is_sorted(keys: Sequence[Any]) -> bool:
    try:
        return keys == sorted(keys)
    except TypeError:  # of several types
        return False
