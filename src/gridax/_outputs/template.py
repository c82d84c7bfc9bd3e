"""What a model returns: names, dimensions, shapes and dtypes of its outputs.

A model returns any pytree of arrays and numbers; leaves may also be xarray objects, whose
dimensions, coordinates and attributes are kept in the Dataset. xarray works on JAX tracers, so the
same code handles traced and computed results.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import is_keys, native
from gridax._pytree import Path, dotted, rebuildable
from gridax._units import without_units
from gridax._warnings import warn


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """One array that a model returns for a point.

    `dims` is None until the dimensions are named; `impl` is the implementation of PRNG keys, which
    are stored as raw data; `of` is the name of the output of which this is a derivative, if so.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    dims: tuple[str, ...] | None = None
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    coords: Mapping[str, xr.Variable] = dataclasses.field(default_factory=dict)
    impl: str | None = None
    of: str = ""

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

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of its outputs, before any of them was changed because it is in use."""
        if self.kind == "dataset":
            stem = f"{dotted(self.path)}." if self.path else ""
            return tuple(f"{stem}{name}" for name in self.names)
        (name,) = self.names
        return (dotted(self.path) if self.path or name is None else name,)


@dataclasses.dataclass(frozen=True, eq=False)
class Template:
    """The outputs of a model in order, and their places in its result.

    Derivatives come last; they have no place in the result.
    """

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
        """Return how another result differs in structure, shapes or labels, or None."""
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
                    return f"the coordinate {name!r} of output {old.name!r} differs from before"
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
        If the model returned nothing, or something other than arrays; the output is named.
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
            raise ValueError(f"the model returns two outputs named {name!r}; rename one of them")
    try:
        treedef.unflatten(leaf for _, leaf in leaves)
    except TypeError:
        treedef = _flatten(rebuildable(result))[1]
    return Template(tuple(outputs), tuple(parts), treedef)


_XARRAY: dict[type, Any] = {
    xr.Variable: "variable",
    xr.DataArray: "dataarray",
    xr.Dataset: "dataset",
}


def _flatten(result: Any) -> tuple[list[tuple[Path, Any]], Any]:
    if result is None:
        raise TypeError(
            "the model returned None, but must return arrays or numbers; add a return statement"
        )
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        result, is_leaf=lambda leaf: isinstance(leaf, (xr.Variable, xr.DataArray, xr.Dataset))
    )
    if not leaves:
        raise TypeError(
            f"the model returned {result!r}, which contains no array; return at least one"
        )
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
        array = jnp.asarray(data) if is_jax_like else np.asarray(_without_mask(data))
        if array.dtype.kind not in "OUSMmT" and array.dtype.type not in _UNSTORABLE:
            return native(array) if isinstance(array, np.ndarray) else array
    advice = "leave it out or convert it to a number"
    if getattr(data, "dtype", None) in (np.longdouble, np.clongdouble):
        advice = f"convert it to {'float64' if data.dtype.kind == 'f' else 'complex128'}"
    if hasattr(data, "to_xarray"):
        advice = "return .to_xarray(), which keeps its index as a coordinate, or .to_numpy()"
    raise TypeError(
        f"output {name!r} is {_a(data)}, but a model must return arrays or numbers; {advice}"
    )


# Records and bytes are no numbers; numbers of more than 64 bits exist neither in files nor in JAX.
_UNSTORABLE = (np.void, np.record, np.longdouble, np.clongdouble)


def _without_mask(data: Any) -> Any:
    """Return a masked array as xarray keeps it: floats, with NaN where values are masked.

    Integers become floats whether any is masked or not, so that all points have the same dtype.
    """
    if not isinstance(data, np.ma.MaskedArray) or data.dtype.kind not in "biufc":
        return data
    exact = data.dtype.kind in "biu"
    return np.ma.filled(data.astype(np.float64 if exact else data.dtype), np.nan)


def _a(value: Any) -> str:
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, int):
        return f"the integer {value}, which is too large"
    kind = f"{type(value).__name__}"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of {value.dtype}"
    return f"an object of the type {kind}"


def _output(leaf: Any, name: str, value: Any) -> Output:
    array = _array(value, name)
    data: Any = value._data if isinstance(value, xr.Variable) else value
    keys = is_keys(data)
    _, units = without_units(data)
    described: dict[str, Any] = {"attrs": {} if units is None else {"units": units}}
    if isinstance(value, xr.Variable):
        dims = tuple(str(dim) for dim in value.dims)
        # Raw key data have one dimension more than the keys.
        described["dims"] = (*dims, f"{name}_key") if keys else dims
        described["attrs"] |= _checks.attributes(value.attrs, f"output {name!r}")
    if isinstance(leaf, (xr.DataArray, xr.Dataset)):
        described["coords"] = _concrete_coords(leaf, name, set(described["dims"]))
    impl = str(jax.random.key_impl(data)) if keys else None
    return Output(name, tuple(array.shape), np.dtype(array.dtype), impl=impl, **described)


def _concrete_coords(
    leaf: xr.DataArray | xr.Dataset, name: str, dims: set[str]
) -> dict[str, xr.Variable]:
    coords = {}
    for key, coord in leaf.coords.items():
        if not set(map(str, coord.dims)) <= dims:
            continue
        if isinstance(coord.variable._data, jax.core.Tracer):
            raise TypeError(
                f"output {name!r}: the coordinate {str(key)!r} is traced; compute it with NumPy if "
                "it is the same at every point, or return it as a separate output"
            )
        coords[str(key)] = coord.variable.copy(data=native(np.asarray(coord.variable.values)))
    return coords


def restore(template: Template, arrays: Sequence[Any], coords: Mapping[str, Any]) -> Any:
    """Return a result in the model's own structure from the arrays of one point."""
    remaining = iter(zip(template.outputs, arrays, strict=True))
    leaves = []
    for part in template.parts:
        outputs = list(itertools.islice(remaining, len(part.names)))
        leaves.append(_restored(part, outputs, coords))
    return template.treedef.unflatten(leaves)


def _restored(part: Part, outputs: Sequence[tuple[Output, Any]], coords: Mapping[str, Any]) -> Any:
    values = [
        array if output.impl is None else jax.random.wrap_key_data(array, impl=output.impl)
        for output, array in outputs
    ]
    if part.kind == "array":
        return values[0]
    variables = [
        # The last dimension of raw key data is within a key.
        xr.Variable((output.dims or ())[: np.ndim(value)], value, dict(output.attrs))
        for (output, _), value in zip(outputs, values, strict=True)
    ]
    if part.kind == "variable":
        return variables[0]
    dims = {dim for variable in variables for dim in variable.dims}
    own = {name: c for name, c in coords.items() if c.dims and set(c.dims) <= dims}
    if part.kind == "dataset":
        return xr.Dataset(dict(zip(part.names, variables, strict=True)), own)
    return xr.DataArray(variables[0], own, name=part.names[0])
