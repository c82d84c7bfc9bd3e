"""The variables of a reduced result: names, dimensions, dtypes, attributes and coordinates."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import x64
from gridax._grid.grid import Column
from gridax._grid.points import Points
from gridax._outputs.template import Output
from gridax._reduce import methods
from gridax._reduce.arithmetic import needs_64_bits, sum_dtype
from gridax._reduce.methods import Function, Histogram, Method, Quantiles
from gridax._reduce.request import Reduced, Reduction
from gridax._units import are_dimensionless

# The variable that counts the points at which the model failed.
FAILED = "failed"
# Terms of the CF conventions for `cell_methods`, and words for plots.
_CF = {"mean": "mean", "sum": "sum", "min": "minimum", "max": "maximum"}
_CF |= {"std": "standard_deviation", "var": "variance"}
_WORDS = {"std": "standard deviation", "var": "variance", "min": "minimum", "max": "maximum"}
_WORDS |= {"count": "number of values", "histogram": "number of values"}


@dataclasses.dataclass(frozen=True, eq=False)
class Variable:
    """A variable of a reduced result.

    Attributes
    ----------
    output : name, dtype, attributes, and what it has of dimensions besides those of the space.
    source, method : the name of the output that is reduced, and that of the method.
    within : name and size of the dimensions that it keeps, as others are reduced along them.
    raw : which of the arrays that were computed it is made of.
    labels : what takes the place of the positions in that array; None for numbers.
    """

    output: Output
    source: str
    method: str
    within: Mapping[str, int]
    raw: int
    labels: np.ndarray | None = None

    def stored(self, is_part: bool) -> Output:
        """Return what a store keeps of each cell; of parts, more digits than in the end."""
        output = self.output
        dtype = output.dtype
        is_added = self.method in ("mean", "std", "var", "sum")
        if is_part and is_added and jnp.issubdtype(dtype, jnp.inexact):
            dtype = np.dtype(np.complex128 if dtype.kind == "c" else np.float64)
        return dataclasses.replace(
            output,
            dtype=dtype,
            shape=(*self.within.values(), *output.shape),
            dims=(*self.within, *(output.dims or ())),
        )

    def value(self, raw: np.ndarray, dtype: Any) -> np.ndarray:
        """Return the values from what was computed."""
        if self.labels is None:
            return raw.astype(dtype, copy=False)
        missing = raw < 0
        found = np.asarray(self.labels[np.where(missing, 0, raw)])  # of a single cell, a scalar
        if missing.any():
            none = {"f": np.nan, "U": ""}.get(found.dtype.kind, 0)
            found = np.where(missing, np.array(none, found.dtype), found)
        return found


def failed_points() -> Output:
    """Return the variable that counts the points at which the model failed."""
    about = {"long_name": "number of points at which the model failed"}
    return Output(FAILED, (), np.dtype(np.int64), (), about)


def variables_of(
    reduction: Reduction, outputs: Sequence[Output], points: Points, taken: Collection[str]
) -> tuple[Variable, ...]:
    """Return the variables of a reduced sweep.

    Parameters
    ----------
    reduction : how outputs are reduced.
    outputs : what the model returns, with names and dimensions.
    points : of the sweep.
    taken : names of coordinates and dimensions.

    Raises
    ------
    TypeError, ValueError
        If two variables have the same name or it is taken, or a function cannot be used.
    """
    found = []
    raw = 0
    for reduced in reduction.outputs:
        source = outputs[reduced.output]
        inner = reduction.own_dims(reduced)
        within = {points.dims[dim]: points.shape[dim] for dim in inner}
        for method in reduced.methods:
            for output, labels, step in _outputs(method, source, reduced, points):
                name = methods.name_of(method)
                found.append(Variable(output, source.name, name, within, raw, labels))
                raw += step
    _check_names([variable.output for variable in found], taken)
    return tuple(found)


def coordinates_of(
    reduction: Reduction,
    outputs: Sequence[Output],
    taken: Collection[str],
    own: Mapping[str, xr.Variable],
) -> dict[str, xr.Variable]:
    """Return the coordinates of the variables' own dimensions.

    Parameters
    ----------
    reduction, outputs, taken : as in `variables_of`.
    own : coordinates of the outputs' own dimensions.

    Raises
    ------
    ValueError
        If outputs have different quantiles, or a name is taken.
    """
    coords: dict[str, xr.Variable] = {}
    for reduced in reduction.outputs:
        name = outputs[reduced.output].name
        for method in reduced.methods:
            if isinstance(method, Quantiles):
                q = xr.Variable((), method.q[0]) if method.is_single else None
                q = xr.Variable(("quantile",), np.array(method.q)) if q is None else q
                if not coords.setdefault("quantile", q).equals(q):
                    raise ValueError(
                        f"reduce: output {name!r} has other quantiles than another output, and "
                        "they would share one dimension; pass the same to all"
                    )
            elif isinstance(method, Histogram):
                edges, dim = np.array(method.edges), f"{name}_bin"
                source = outputs[reduced.output]
                attrs = {"units": source.attrs["units"]} if "units" in source.attrs else {}
                attrs["long_name"] = _called(source)
                centers = (edges[1:] + edges[:-1]) / 2
                for suffix, values in (("", centers), ("_left", edges[:-1]), ("_right", edges[1:])):
                    coords[dim + suffix] = xr.Variable((dim,), values, attrs)
    for name in coords:
        if name in taken or name in own:
            raise ValueError(
                f"reduce: the name {name!r} is already taken, but a coordinate of the reduced "
                "outputs needs it; rename the axis, the fixed value or the coordinate"
            )
    return {**own, **coords}


def _outputs(
    method: Method, source: Output, reduced: Reduced, points: Points
) -> Iterator[tuple[Output, np.ndarray | None, int]]:
    """Yield each variable of a method, its labels, and how many arrays to go on."""
    if method in ("argmin", "argmax"):
        yield from _labels(str(method), source, reduced, points)
        return
    name = methods.name_of(method)
    shape, dims = source.shape, source.dims or ()
    match method:
        case Quantiles(is_single=False):
            shape, dims = (len(method.q), *shape), ("quantile", *dims)
        case Histogram():
            shape, dims = (len(method.edges) - 1, *shape), (f"{source.name}_bin", *dims)
        case Function():
            struct = _returned(method, source, [points.shape[dim] for dim in reduced.dims])
            if struct.shape != shape:
                shape = struct.shape
                dims = tuple(f"{source.name}.{name}_dim_{i}" for i in range(len(shape)))
            attrs = {"long_name": f"{name} of {_called(source)}"}
            dtype = np.dtype(struct.dtype)
            yield Output(f"{source.name}.{name}", tuple(shape), dtype, dims, attrs), None, 1
            return
    along = [points.dims[dim] for dim in reduced.dims]
    attrs = _attributes(name, source, along)
    yield Output(f"{source.name}.{name}", shape, _dtype(name, source.dtype), dims, attrs), None, 1


def _labels(
    method: str, source: Output, reduced: Reduced, points: Points
) -> Iterator[tuple[Output, np.ndarray, int]]:
    """Yield a variable per axis along the reduced dimensions."""
    members = [points.grid.members(points.dims[dim]) for dim in reduced.dims]
    several = sum(map(len, members)) > 1
    for columns in members:
        for i, column in enumerate(columns):
            labels = _labels_of(column, points, source.dtype)
            name = f"{source.name}.{method}" + (f".{column.name}" if several else "")
            attrs = {k: v for k, v in column.attrs.items() if k in ("units", "long_name")}
            where = attrs.get("long_name", column.name)
            attrs["long_name"] = f"{where} at the {_WORDS[method[3:]]} of {_called(source)}"
            output = Output(name, source.shape, labels.dtype, source.dims, attrs)
            yield output, labels, int(i == len(columns) - 1)


def _labels_of(column: Column, points: Points, dtype: np.dtype) -> np.ndarray:
    labels = column.table.labels[column.all_rows(points.sizes)]
    if labels.dtype.kind in "OT":
        labels = labels.astype(str)
    # Where an output is NaN everywhere, no label belongs to its smallest value.
    no_label = jnp.issubdtype(dtype, jnp.inexact)
    return labels.astype(np.float64) if no_label and labels.dtype.kind in "iu" else labels


def _returned(method: Function, source: Output, sizes: Sequence[int]) -> Any:
    """Return shape and dtype of what a function returns."""
    values = jax.ShapeDtypeStruct((*sizes, *source.shape), source.dtype)
    try:
        with x64(needs_64_bits(source.dtype)):
            struct = jax.eval_shape(method.call, values)
    except Exception as error:
        error.add_note(
            f"while the function {method.name!r} of reduce= was traced on output {source.name!r}: "
            "it must be a function of jax.numpy that takes the array of all values, the reduced "
            "dimensions first"
        )
        raise
    if not hasattr(struct, "shape"):
        raise TypeError(
            f"reduce: the function {method.name!r} must return one array, got "
            f"{type(struct).__name__}"
        )
    if jnp.issubdtype(struct.dtype, jax.dtypes.extended):
        raise TypeError(
            f"reduce: the function {method.name!r} must return numbers, got PRNG keys; return "
            "jax.random.key_data of them"
        )
    return struct


def _dtype(method: str, dtype: np.dtype) -> np.dtype:
    inexact = jnp.issubdtype(dtype, jnp.inexact)
    if method in ("count", "histogram"):
        return np.dtype(np.int64)
    if method in ("any", "all"):
        return np.dtype(bool)
    if method == "quantile":
        return np.dtype(np.float64)
    if method == "sum" and not inexact:
        return np.dtype(sum_dtype(dtype))
    if method in ("std", "var") and dtype.kind == "c":
        return np.empty(0, dtype).real.dtype
    return dtype if inexact or method in ("sum", "min", "max") else np.dtype(np.float64)


def _attributes(method: str, source: Output, along: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of a variable: those of its output, as far as they still apply."""
    attrs = dict(source.attrs)
    if method in ("count", "any", "all", "histogram"):
        attrs.pop("units", None)
    if method in ("count", "histogram"):
        attrs["units"] = "1"
    if method == "var" and "units" in attrs and not are_dimensionless(attrs["units"]):
        attrs["units"] = f"({attrs['units']})^2"
    attrs["long_name"] = f"{_WORDS.get(method, method)} of {_called(source)}"
    if method in _CF:
        attrs["cell_methods"] = f"{': '.join(along)}: {_CF[method]}"
    return attrs


def _called(source: Output) -> str:
    return str(source.attrs.get("long_name", source.name))


def _check_names(outputs: Sequence[Output], taken: Collection[str]) -> None:
    names = [output.name for output in outputs] + [FAILED]
    for output in outputs:
        _checks.name(output.name, "reduce")
        if output.name in taken or names.count(output.name) > 1:
            raise ValueError(
                f"reduce: the name {output.name!r} is already taken; rename the axis or the output"
            )
        for dim in output.dims or ():
            if (output.dims or ()).count(dim) > 1:
                raise ValueError(
                    f"reduce: the name {dim!r} is already taken by a dimension of the output, but "
                    f"{output.name!r} needs it; rename that dimension with dims="
                )
    if FAILED in taken:
        raise ValueError(
            f"reduce: the name {FAILED!r} is already taken, but the number of points at which the "
            "model failed needs it; rename the axis"
        )
