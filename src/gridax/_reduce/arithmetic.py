"""Reductions of arrays, with NumPy or with jax.numpy, accumulated in float64 and int64.

The arrays have the shape ``(*lead, n, *own)`` and are reduced along `n`. The results are those of
xarray's methods: NaN is skipped, integers and bools become floats where needed, and sums of them
int64. Under JAX, 64 bits must be enabled where this is called.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import x64
from gridax._reduce.methods import Function, Histogram, Method, Quantiles
from gridax._reduce.request import Reduced

# Values whose sum is rounded as often as that of single precision can bear.
_TOGETHER = 4096
# These are NaN if any of the values is.
_PASS_ON_NAN = frozenset({"mean", "std", "var", "sum", "min", "max"})


def reduced(
    xp: Any,
    x: Any,
    there: Any,
    axis: int,
    methods: Sequence[Method],
    by_function: Callable[[Function], Any],
    skip_nan: bool = True,
) -> list[Any]:
    """Return an array per method, and for argmin and argmax the positions, -1 where there is none.

    Parameters
    ----------
    xp : numpy or jax.numpy.
    x, axis : the values, and the axis along which they are reduced.
    there : which of the values count, of a shape that broadcasts to that of `x`; None for all.
    methods : how to reduce them.
    by_function : returns what a function makes of the values.
    skip_nan : whether NaN is looked for, which takes time; otherwise, some arrays are NaN as well
        (`passes_on_nan`), and the others are not valid then.
    """
    named = [method for method in methods if isinstance(method, str)]
    if there is not None:
        there = xp.broadcast_to(there, x.shape)
    skip_nan |= not passes_on_nan(methods)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        statistics = _statistics(xp, x, there, axis, named, skip_nan)
    found: dict[Method, Any] = dict(zip(named, statistics, strict=True))
    for method in methods:
        match method:
            case Quantiles():
                found[method] = _quantiles(xp, x, there, axis, method)
            case Histogram():
                found[method] = _histogram(xp, x, there, axis, method)
            case Function():
                found[method] = by_function(method)
    return [found[method] for method in methods]


def passes_on_nan(methods: Sequence[Method]) -> bool:
    """Whether NaN among the values shows in what some methods return."""
    return any(method in _PASS_ON_NAN for method in methods)


def has_nan(methods: Sequence[Method], arrays: Sequence[Any]) -> Any:
    """Return whether there is NaN in those arrays of `reduced` that pass it on."""
    pairs = zip(methods, arrays, strict=True)
    telling = [array for method, array in pairs if method in _PASS_ON_NAN]
    inexact = [array for array in telling if jnp.issubdtype(array.dtype, jnp.inexact)]
    return functools.reduce(jnp.logical_or, (jnp.isnan(a).any() for a in inexact), jnp.array(False))


def _statistics(
    xp: Any, x: Any, there: Any, axis: int, methods: Sequence[str], skip_nan: bool
) -> list[Any]:
    good = there
    if skip_nan and jnp.issubdtype(x.dtype, jnp.inexact):
        good = ~xp.isnan(x) if there is None else there & ~xp.isnan(x)
    n = x.shape[axis]
    shape = x.shape[:axis] + x.shape[axis + 1 :]

    def only(values: Any, which: Any, otherwise: Any) -> Any:
        return values if which is None else xp.where(which, values, otherwise)

    count = xp.full(shape, n, xp.int64) if good is None else good.sum(axis, dtype=xp.int64)
    total = mean = variance = None
    if {"sum", "mean", "std", "var"} & {*methods}:
        with_squares = not {"std", "var"}.isdisjoint(methods)
        moments = _moments_on_device if xp is jnp else _moments
        total, mean, variance = moments(x, good, count, axis, with_squares)
    ends = {}
    for name, worst in (("min", _largest(x.dtype)), ("max", _least(x.dtype))):
        if name in methods:
            end = getattr(only(x, good, worst), name)(axis)
            none = good is not None and jnp.issubdtype(x.dtype, jnp.inexact)
            ends[name] = xp.where(count == 0, xp.nan, end).astype(x.dtype) if none else end
    is_true = x != 0
    found: dict[str, Any] = {}
    for method in methods:
        match method:
            case "count":
                found[method] = count
            case "sum" if not jnp.issubdtype(x.dtype, jnp.inexact):
                found[method] = only(x.astype(sum_dtype(x.dtype)), good, 0).sum(axis)
            case "sum":
                found[method] = total
            case "mean":
                found[method] = mean
            case "var":
                found[method] = variance
            case "std":
                found[method] = xp.sqrt(variance)
            case "min" | "max":
                found[method] = ends[method]
            case "argmin" | "argmax":
                hit = x == xp.expand_dims(ends[method[3:]], axis)
                hit = hit if good is None else hit & good
                # int32, as 64-bit positions cannot be lowered later, when 64 bits are disabled.
                first = hit.argmax(axis) if xp is np else jax.lax.argmax(hit, axis, np.int32)
                found[method] = xp.where(count == 0, -1, first.astype(np.int64))
            case "any":
                found[method] = only(is_true, there, False).any(axis)
            case "all":
                found[method] = only(is_true, there, True).all(axis)
    return [found[method] for method in methods]


def _moments(
    x: np.ndarray, good: Any, count: np.ndarray, axis: int, with_squares: bool
) -> tuple[Any, Any, Any]:
    """Return sum, mean and variance (or None) in two passes."""
    wide = x.astype(_wide(x.dtype))
    counted = True if good is None else good
    total = wide.sum(axis, where=counted)
    mean = total / count
    if not with_squares:
        return total, mean, None
    gap = wide - np.expand_dims(mean, axis)
    squares = gap.real**2 + gap.imag**2 if np.iscomplexobj(gap) else gap * gap
    return total, mean, squares.sum(axis, where=counted) / count


def _moments_on_device(
    x: Any, good: Any, count: Any, axis: int, with_squares: bool
) -> tuple[Any, Any, Any]:
    """Return sum, mean and variance (or None), the last two from the gaps to a rounded mean.

    Sums of float64 take several times as long as those of float32. The gaps are small and nearly
    exact, and so are their sums, with which the mean is corrected.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        x = x.astype(np.float64)
    elif x.dtype.itemsize < 4:
        x = x.astype(np.float32)

    def counted(values: Any) -> Any:
        return values if good is None else jnp.where(good, values, jnp.zeros((), values.dtype))

    (total,) = _sums([counted(x)], axis)
    mean = total / count
    if not with_squares:
        return total, mean, None
    shift = mean.astype(x.dtype)
    gap = counted(x - jnp.expand_dims(shift, axis))
    squares = gap.real**2 + gap.imag**2 if jnp.iscomplexobj(gap) else gap * gap
    of_gaps, of_squares = (each / count for each in _sums([gap, squares], axis))
    correction = (of_gaps * of_gaps.conj()).real
    # Of infinite values, the mean may be infinite as well, and there are no gaps to it.
    mean = jnp.where(jnp.isfinite(of_gaps), shift + of_gaps, mean)
    return total, mean, jnp.maximum(of_squares - correction, 0)


def _sums(arrays: Sequence[Any], axis: int) -> list[Any]:
    """Return sums in float64 of sums of a few thousand values, in one pass over all arrays."""
    n = arrays[0].shape[axis]
    n_whole = n // _TOGETHER
    pieces = []
    if n_whole:
        shape = arrays[0].shape
        split = (*shape[:axis], n_whole, _TOGETHER, *shape[axis + 1 :])
        whole = [
            jax.lax.slice_in_dim(array, 0, n_whole * _TOGETHER, axis=axis).reshape(split)
            for array in arrays
        ]
        pieces.append([each.sum(axis) for each in _sums_of_few(whole, axis + 1)])
    if n % _TOGETHER or not n:
        rest = [jax.lax.slice_in_dim(array, n_whole * _TOGETHER, n, axis=axis) for array in arrays]
        pieces.append(_sums_of_few(rest, axis))
    return [sum(each[1:], each[0]) for each in zip(*pieces, strict=True)]


def _sums_of_few(arrays: Sequence[Any], axis: int) -> list[Any]:
    zeros = [jnp.zeros((), array.dtype) for array in arrays]

    def add(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        return [x + y for x, y in zip(a, b, strict=True)]

    sums = jax.lax.reduce(list(arrays), zeros, add, (axis,))
    return [each.astype(_wide(each.dtype)) for each in sums]


def sum_dtype(dtype: Any) -> Any:
    """Return the dtype of sums of integers or bools."""
    return np.uint64 if jnp.issubdtype(dtype, jnp.unsignedinteger) else np.int64


def _wide(dtype: Any) -> Any:
    return np.complex128 if jnp.issubdtype(dtype, jnp.complexfloating) else np.float64


def _largest(dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return np.array(complex(np.inf, np.inf), dtype)
    if jnp.issubdtype(dtype, jnp.floating):
        return np.array(np.inf, dtype)
    return np.array(True) if dtype.kind == "b" else np.array(jnp.iinfo(dtype).max, dtype)


def _least(dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jnp.inexact):
        return -_largest(dtype)
    return np.array(False) if dtype.kind == "b" else np.array(jnp.iinfo(dtype).min, dtype)


def _quantiles(xp: Any, x: Any, there: Any, axis: int, method: Quantiles) -> Any:
    """Return quantiles by linear interpolation, in front of the own dimensions unless single."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        values = x.astype(np.float64)
    elif x.dtype.itemsize < 4:
        values = x.astype(np.float32)  # NumPy does not know where to sort NaN of bfloat16
    else:
        values = x
    if there is not None:
        values = xp.where(there, values, xp.asarray(np.nan, values.dtype))
    values = xp.sort(values, axis=axis)  # NaN comes last
    count = (~xp.isnan(values)).sum(axis, dtype=xp.int64, keepdims=True)
    # All of them at once, along the axis of the values: there may be many.
    q = np.array(method.q).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    place = xp.maximum(q * (count - 1), 0.0)
    low = xp.floor(place).astype(xp.int64)
    a, b = (
        xp.take_along_axis(values, at, axis).astype(np.float64)
        for at in (low, xp.minimum(low + 1, xp.maximum(count - 1, 0)))
    )
    with np.errstate(invalid="ignore"):
        found = xp.where(a == b, a, a + (b - a) * (place - low))
    return xp.squeeze(found, axis) if method.is_single else found


def _histogram(xp: Any, x: Any, there: Any, axis: int, method: Histogram) -> Any:
    """Return the number of values in each bin, in front of the own dimensions."""
    edges = xp.asarray(method.edges, np.float64)
    wide = x.astype(np.float64)
    inside = (wide >= edges[0]) & (wide <= edges[-1])  # NaN is not
    inside = inside if there is None else inside & there
    n_bins = len(method.edges) - 1
    bins = xp.searchsorted(edges, wide, side="right") - 1
    bins = xp.minimum(bins, n_bins - 1)

    def count(b: Any) -> Any:
        return (inside & (bins == b)).sum(axis, dtype=xp.int64)

    if xp is np:
        return np.stack([count(b) for b in range(n_bins)], axis)
    # Not one after the other, as there may be many.
    return jax.vmap(count, out_axes=axis)(np.arange(n_bins, dtype=bins.dtype))


def output(
    xp: Any,
    x: Any,
    n_lead: int,
    each: Reduced,
    inner: Sequence[int],
    indices: Sequence[Any],
    there: Any,
    skip_nan: bool = True,
) -> tuple[list[Any], Any]:
    """Return the arrays of all methods of an output, with axes for cells, then its own.

    With them is whether there was NaN, if it was not skipped.

    Parameters
    ----------
    xp : numpy, or jax.numpy with 64 bits enabled.
    x : the output; `n_lead` axes of cells, one per reduced dimension, which may be 1 where it does
        not vary, and its own.
    n_lead : number of axes of cells.
    each : how it is reduced.
    inner : numbers of the reduced dimensions, ascending.
    indices : indices of the points of a cell along each of them.
    there : which points count, of the shape of the first axes of `x`, with 1 for cells where they
        are alike; None for all.
    skip_nan : as in `reduced`.
    """
    kept = [n_lead + i for i, dim in enumerate(inner) if dim not in each.dims]
    along = [n_lead + i for i, dim in enumerate(inner) if dim in each.dims]
    start, end = n_lead + len(kept), n_lead + len(inner)
    lead = range(n_lead)
    # What does not vary along a dimension counts as often as what does.
    x = xp.broadcast_to(x, (*x.shape[:n_lead], *map(len, indices), *x.shape[end:]))
    x = xp.transpose(x, (*lead, *kept, *along, *range(end, x.ndim)))
    mask = None
    if there is not None:
        there = xp.broadcast_to(there, (*there.shape[:n_lead], *map(len, indices)))
        mask = xp.transpose(there, (*lead, *kept, *along))

    def by_function(method: Function) -> Any:
        with x64(needs_64_bits(np.dtype(x.dtype))):
            if xp is np:
                return _on_host(x, mask, start, len(along), method)
            return _on_device(x, start, method)

    flat, counts = _flattened(x, start, len(along)), None
    if mask is not None:
        counts = _flattened(mask, start, len(along))
        counts = counts.reshape(counts.shape + (1,) * (flat.ndim - counts.ndim))
    arrays = reduced(xp, flat, counts, start, each.methods, by_function, skip_nan)
    by_dim = dict(zip(inner, indices, strict=True))
    found = []
    for method, array in zip(each.methods, arrays, strict=True):
        if method in ("argmin", "argmax"):
            found += _placed(xp, array, [by_dim[dim] for dim in each.dims])
        else:
            found.append(array)
    return found, None if skip_nan else has_nan(each.methods, arrays)


def _placed(xp: Any, flat: Any, indices: Sequence[Any]) -> list[Any]:
    """Return the index along each dimension for a flat position, -1 where there is none."""
    places = xp.unravel_index(xp.maximum(flat, 0), [len(along) for along in indices])
    return [
        xp.where(flat < 0, -1, xp.asarray(along)[local].astype(np.int64))
        for along, local in zip(indices, places, strict=True)
    ]


def _on_device(x: Any, n_lead: int, method: Function) -> Any:
    """Return what a function makes of the values in each cell."""
    call: Callable[[Any], Any] = method.call
    for _ in range(n_lead):
        call = jax.vmap(call)
    return call(x)


def _on_host(
    x: np.ndarray, there: np.ndarray | None, n_lead: int, n_along: int, method: Function
) -> np.ndarray:
    """Return what a function makes of the values in each cell, one by one.

    Points that failed are left out if there is one reduced dimension; with several, their values
    are NaN.
    """
    lead = x.shape[:n_lead]
    if there is not None:
        there = np.broadcast_to(there, x.shape[: n_lead + n_along])
    found = []
    for at in np.ndindex(lead):
        values = x[at]
        if there is not None and not there[at].any():
            found.append(_nothing(method, values))
            continue
        if there is not None and not there[at].all():
            values = values[there[at]] if n_along == 1 else _without(values, there[at])
        found.append(np.asarray(method.call(jnp.asarray(values))))
        if len(values) < x.shape[n_lead]:
            _check_shape(method, x[at], found[-1].shape, len(values))
    return np.stack(found).reshape(lead + found[0].shape)


def _check_shape(method: Function, values: np.ndarray, shape: tuple[int, ...], n_good: int) -> None:
    """Reject a function that returns another shape for fewer values."""
    whole = jax.eval_shape(method.call, jax.ShapeDtypeStruct(values.shape, values.dtype)).shape
    if shape != whole:
        raise ValueError(
            f"reduce: the model failed at some points, and the function {method.name!r} returned "
            f"an array of shape {shape} for {n_good} of {len(values)} values, but {whole} for all; "
            "pass a function whose result has the same shape for any number of values"
        )


def _nothing(method: Function, values: np.ndarray) -> np.ndarray:
    """Return what stands for the result of a function if there are no values."""
    struct = jax.eval_shape(method.call, jax.ShapeDtypeStruct(values.shape, values.dtype))
    none = np.nan if jnp.issubdtype(struct.dtype, jnp.inexact) else 0
    return np.full(struct.shape, none, struct.dtype)


def _without(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        values = values.astype(np.float64)
    good = good.reshape(good.shape + (1,) * (values.ndim - good.ndim))
    return np.where(good, values, np.array(np.nan, values.dtype))


def _flattened(x: Any, start: int, n: int) -> Any:
    """Return an array with `n` axes, from one on, made one."""
    shape = x.shape
    inner = math.prod(shape[start : start + n])
    return x.reshape(*shape[:start], inner, *shape[start + n :])


def needs_64_bits(dtype: np.dtype) -> bool:
    """Whether JAX would shorten the values of a dtype if its 64 bits were not enabled."""
    return bool(jax.config.read("jax_enable_x64")) or dtype.name in (
        "float64",
        "complex128",
        "int64",
        "uint64",
    )
