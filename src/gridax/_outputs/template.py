"""What a model returns: names, dimensions, shapes and dtypes of its outputs.

A result is any pytree of arrays and numbers; its leaves may also be xarray objects, whose
dimensions, coordinates and attributes reach the Dataset. xarray works on JAX tracers, so the same
code reads a traced and a computed result.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import native
from gridax._axes.labels import is_keys
from gridax._pytree import Path, dotted
from gridax._units import without_units
from gridax._warnings import warn


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """One array that a model returns for a point.

    `dims` is None until they are named; `impl` is the implementation of PRNG keys, which are
    kept as raw data.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    dims: tuple[str, ...] | None = None
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    coords: Mapping[str, xr.Variable] = dataclasses.field(default_factory=dict)
    impl: str | None = None

    @property
    def nbytes(self) -> int:
        """Size of one point's values."""
        return math.prod(self.shape) * self.dtype.itemsize


PartKind = Literal["array", "variable", "dataarray", "dataset"]


@dataclasses.dataclass(frozen=True)
class Part:
    """A leaf of the result: an array, or an xarray object with one array per variable."""

    kind: PartKind
    names: tuple[str | None, ...]
    path: Path


@dataclasses.dataclass(frozen=True, eq=False)
class Template:
    """The outputs of a model in order, and how they stand in its result."""

    outputs: tuple[Output, ...]
    parts: tuple[Part, ...]
    treedef: Any

    def __reduce__(self) -> Any:
        # JAX cannot pickle the structure of every pytree, but the pytree itself can be pickled.
        tree = self.treedef.unflatten(range(self.treedef.num_leaves))
        return _rebuilt, (self.outputs, self.parts, tree)

    @property
    def nbytes(self) -> int:
        """Size of the outputs of one point."""
        return sum(output.nbytes for output in self.outputs)

    def difference(self, other: Template) -> str | None:
        """Say how another result differs in structure, shapes or labels, or return None."""
        before, now = [o.name for o in self.outputs], [o.name for o in other.outputs]
        if before != now:
            return f"the model returned {now}, but {before} before"
        if self.treedef != other.treedef:
            return f"the model returned {other.treedef}, but {self.treedef} before"
        for old, new in zip(self.outputs, other.outputs, strict=True):
            for what in ("shape", "dims", "impl"):
                then, value = getattr(old, what), getattr(new, what)
                if then != value:
                    return f"output {old.name!r} has {what} {value}, but had {then} before"
            for name in {**old.coords, **new.coords}:
                then, value = old.coords.get(name), new.coords.get(name)
                if then is None or not then.equals(value):
                    return f"the coordinate {name!r} of output {old.name!r} is not what it was"
        return unit_difference(self.outputs, other.outputs)


def unit_difference(before: Sequence[Output], now: Sequence[Output]) -> str | None:
    """Say which output or coordinate has other units than before, or return None."""
    for owner, attr, old, new in _changed_attributes(before, now):
        if attr == "units":
            units = "no units" if new is None else f"the units {new!r}"
            had = "none" if old is None else repr(old)
            return (
                f"{owner} has {units}, but had {had} before, and its values are kept in one array; "
                "convert them to the same units in the model"
            )
    return None


def warn_of_attributes(
    before: Sequence[Output], now: Sequence[Output], known: set[tuple[str, str]]
) -> None:
    """Warn of attributes other than before, once each; `known` are those of earlier warnings."""
    for owner, attr, old, new in _changed_attributes(before, now):
        if (owner, attr) not in known:
            known.add((owner, attr))
            warn(
                f"{owner} has the attribute {attr}={new!r} at one point and {attr}={old!r} at the "
                "first, which is kept; return what differs between points as an output"
            )


def _changed_attributes(
    before: Sequence[Output], now: Sequence[Output]
) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield owner, attribute, and its values before and now (None for none) where they differ."""
    others = {output.name: output for output in now}
    for output in before:
        other = others.get(output.name)
        if other is None:
            continue
        pairs = [(f"output {output.name!r}", output.attrs, other.attrs)]
        pairs += [
            (
                f"the coordinate {name!r} of output {output.name!r}",
                c.attrs,
                other.coords[name].attrs,
            )
            for name, c in output.coords.items()
            if name in other.coords
        ]
        for owner, old, new in pairs:
            for attr in {**old, **new}:
                if not _is_same(old.get(attr), new.get(attr)):
                    yield owner, str(attr), old.get(attr), new.get(attr)


def _is_same(a: Any, b: Any) -> bool:
    """Whether two attributes are equal, NaN and arrays included."""
    if a is b:
        return True
    try:
        return bool(np.array_equal(a, b)) or bool(np.array_equal(a, b, equal_nan=True))
    except (TypeError, ValueError):  # NaN is tested for, but not in strings, and lists are ragged
        return bool(a == b)


def _rebuilt(outputs: tuple[Output, ...], parts: tuple[Part, ...], tree: Any) -> Template:
    return Template(outputs, parts, jax.tree.structure(tree))


def arrays_of(result: Any) -> list[Any]:
    """Return the arrays of a result, in the order of its template; keys as raw data.

    Raises
    ------
    TypeError
        If the model returned nothing, or something that is no array, with the output named.
    """
    arrays = []
    for path, leaf in _flatten(result)[0]:
        for name, variable in _variables(leaf, path):
            arrays.append(_array(variable, name))
    return arrays


def template_of(result: Any) -> Template:
    """Return the template of a result; its arrays may be traced."""
    leaves, treedef = _flatten(result)
    outputs, parts = [], []
    for path, leaf in leaves:
        variables = _variables(leaf, path)
        outputs += [_output(leaf, name, variable) for name, variable in variables]
        kind = _XARRAY.get(type(leaf), "array")
        if isinstance(leaf, xr.Dataset):
            names: tuple[str | None, ...] = tuple(str(name) for name in leaf.data_vars)
        else:
            names = (str(leaf.name) if getattr(leaf, "name", None) is not None else None,)
        parts.append(Part(kind, names if kind != "array" else (None,), path))
    names_ = [output.name for output in outputs]
    for name in names_:
        if names_.count(name) > 1:
            raise ValueError(f"the model returns two outputs called {name!r}; rename one of them")
    return Template(tuple(outputs), tuple(parts), treedef)


_XARRAY: dict[type, Any] = {
    xr.Variable: "variable",
    xr.DataArray: "dataarray",
    xr.Dataset: "dataset",
}


def _flatten(result: Any) -> tuple[list[tuple[Path, Any]], Any]:
    if result is None:
        raise TypeError(
            "the model returned None; it must return arrays or numbers (is there no return?)"
        )
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        result, is_leaf=lambda leaf: isinstance(leaf, (xr.Variable, xr.DataArray, xr.Dataset))
    )
    if not leaves:
        raise TypeError(f"the model returned {result!r}, which holds no array")
    return leaves, treedef


def _variables(leaf: Any, path: Path) -> list[tuple[str, Any]]:
    """Return name and value of the arrays in a leaf."""
    if isinstance(leaf, xr.Dataset):
        stem = f"{dotted(path)}." if path else ""
        return [(f"{stem}{name}", leaf.variables[name]) for name in leaf.data_vars]
    if isinstance(leaf, xr.DataArray):
        name = str(leaf.name) if not path and leaf.name is not None else dotted(path)
        return [(name, leaf.variable)]
    return [(dotted(path), leaf)]


def _array(value: Any, name: str) -> Any:
    data, _ = without_units(value._data if isinstance(value, xr.Variable) else value)
    if isinstance(data, jax.Array):  # tracers too
        return jax.random.key_data(data) if is_keys(data) else data
    is_number = isinstance(data, (bool, int, float, complex, np.generic))
    is_jax_like = hasattr(data, "__jax_array__")
    if is_number or is_jax_like or (hasattr(data, "__array__") and not hasattr(data, "iloc")):
        array = jnp.asarray(data) if is_jax_like else np.asarray(data)
        if array.dtype.kind not in "OUSMmT":
            return native(array) if isinstance(array, np.ndarray) else array
    advice = "leave it out or turn it into a number"
    if hasattr(data, "to_xarray"):
        advice = "return .to_xarray(), which keeps its index as a coordinate, or .to_numpy()"
    raise TypeError(
        f"output {name!r} is {_a(data)}; a model must return arrays or numbers, so {advice}"
    )


def _a(value: Any) -> str:
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, int):
        return f"the integer {value}, which is too large"
    kind = f"{type(value).__name__}"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of {value.dtype}"
    return f"of the type {kind}"


def _output(leaf: Any, name: str, value: Any) -> Output:
    array = _array(value, name)
    data: Any = value._data if isinstance(value, xr.Variable) else value
    keys = is_keys(data)
    _, units = without_units(data)
    known: dict[str, Any] = {"attrs": {} if units is None else {"units": units}}
    if isinstance(value, xr.Variable):
        dims = tuple(str(dim) for dim in value.dims)
        # Raw key data have one dimension more than the keys.
        known["dims"] = (*dims, f"{name}_key") if keys else dims
        known["attrs"] |= _checks.attributes(value.attrs, f"output {name!r}")
    if isinstance(leaf, (xr.DataArray, xr.Dataset)):
        known["coords"] = _concrete_coords(leaf, name, set(known["dims"]))
    impl = str(jax.random.key_impl(data)) if keys else None
    return Output(name, tuple(array.shape), np.dtype(array.dtype), impl=impl, **known)


def _concrete_coords(
    leaf: xr.DataArray | xr.Dataset, name: str, dims: set[str]
) -> dict[str, xr.Variable]:
    coords = {}
    for key, coord in leaf.coords.items():
        if not set(map(str, coord.dims)) <= dims:
            continue
        if isinstance(coord.variable._data, jax.core.Tracer):
            raise TypeError(
                f"output {name!r}: the coordinate {str(key)!r} is traced; make it with NumPy if it "
                "is the same at every point, else return it as an output of its own"
            )
        coords[str(key)] = coord.variable.copy(data=native(np.asarray(coord.variable.values)))
    return coords


def restore(template: Template, arrays: Sequence[Any], coords: Mapping[str, Any]) -> Any:
    """Return a result in the model's own structure from the arrays of one point."""
    left = list(zip(template.outputs, arrays, strict=True))
    leaves: list[Any] = []
    for part in template.parts:
        mine, left = left[: len(part.names)], left[len(part.names) :]
        leaves.append(_restored(part, mine, coords))
    return template.treedef.unflatten(leaves)


def _restored(part: Part, mine: Sequence[tuple[Output, Any]], coords: Mapping[str, Any]) -> Any:
    values = [
        array if output.impl is None else jax.random.wrap_key_data(array, impl=output.impl)
        for output, array in mine
    ]
    if part.kind == "array":
        return values[0]
    variables = [
        # The last dimension of raw key data is within a key.
        xr.Variable((output.dims or ())[: np.ndim(value)], value, dict(output.attrs))
        for (output, _), value in zip(mine, values, strict=True)
    ]
    if part.kind == "variable":
        return variables[0]
    dims = {dim for variable in variables for dim in variable.dims}
    own = {name: c for name, c in coords.items() if c.dims and set(c.dims) <= dims}
    if part.kind == "dataset":
        return xr.Dataset(dict(zip(part.names, variables, strict=True)), own)
    return xr.DataArray(variables[0], own, name=part.names[0])
