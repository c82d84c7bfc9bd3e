"""How operations are vectorized with the points as the last axes of their arrays."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gridax._kernel.last_axes import Batched, LastAxes, Levels, union
from gridax._kernel.layout import swapped_precision
from gridax._kernel.small_products import FLOATS, sum_of_products
from gridax._plan.work import Dims

_UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda old, new: jnp.broadcast_to(new, old.shape),
    "scatter-add": lax.add,
    "scatter-max": lax.max,
    "scatter-min": lax.min,
    "scatter-mul": lax.mul,
}
# Operations whose results are read from memory where they are used.
READING = {"slice", "squeeze", "reshape", "expand_dims", "broadcast_in_dim", "rev"}
_MODES = (
    lax.GatherScatterMode.CLIP,
    lax.GatherScatterMode.FILL_OR_DROP,
    lax.GatherScatterMode.PROMISE_IN_BOUNDS,
)


def has_rule(equation: Any, varies: Sequence[Dims]) -> bool:
    """Whether an operation can be vectorized with its points last.

    Parameters
    ----------
    equation : other than a loop, a branch or a call.
    varies : along what each of its operands varies.
    """
    name = equation.primitive.name
    if name == "dot_general":
        return not all(varies) or (varies[0] == varies[1] and _is_by_vector(equation))
    if name in _UPDATES or name == "pad":
        return not varies[1]
    if name == "dynamic_update_slice":
        return not any(varies[2:])
    if name in ("concatenate", "stack"):
        return not jnp.issubdtype(equation.outvars[0].aval.dtype, jax.dtypes.prng_key)
    if name == "reduce":
        return not any(varies[len(varies) // 2 :])
    if name == "bitcast_convert_type":
        return bool(equation.invars[0].aval.shape == equation.outvars[0].aval.shape)
    return name in _RULES


def result(axes: LastAxes, equation: Any, ins: Sequence[Batched]) -> Any:
    """Return what an operation gives, or a list if it has several results."""
    return _RULES[equation.primitive.name](axes, equation, ins, union(ins))


def _bound(equation: Any, *ins: Any, **params: Any) -> Any:
    """Return what an operation gives if some of its parameters change."""
    return equation.primitive.bind(*ins, **{**equation.params, **params})


def _elementwise(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    ndim = equation.outvars[0].aval.ndim
    # A number stays one: as an array, a loop would read it in each iteration.
    arrays = (v.array if np.ndim(v.array) == 0 else axes.spread(v, levels, ndim) for v in ins)
    return _bound(equation, *arrays)


def _of_one_shape(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    shape = equation.outvars[0].aval.shape
    return _bound(equation, *(axes.full(value, levels, shape) for value in ins))


def _along_axes(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    return _bound(equation, ins[0].array)


def _broadcast(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    shape, places = equation.params["shape"], equation.params["broadcast_dimensions"]
    places = (*places, *range(len(shape), len(shape) + len(levels)))
    shape = (*shape, *axes.sizes(levels))
    return _bound(equation, ins[0].array, shape=shape, broadcast_dimensions=places)


def _reshape(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    (value,), order = ins, equation.params["dimensions"]
    array = value.array
    if order is not None:  # in which the elements are read
        array = lax.transpose(array, (*order, *range(value.ndim, array.ndim)))
    new_sizes = (*equation.params["new_sizes"], *axes.sizes(levels))
    return _bound(equation, array, new_sizes=new_sizes, dimensions=None)


def _transpose(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    order = equation.params["permutation"]
    order = (*order, *range(len(order), len(order) + len(levels)))
    return _bound(equation, ins[0].array, permutation=order)


def _slice(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    params, sizes, strides = equation.params, axes.sizes(levels), equation.params["strides"]
    return _bound(
        equation,
        ins[0].array,
        start_indices=(*params["start_indices"], *(0 for _ in sizes)),
        limit_indices=(*params["limit_indices"], *sizes),
        strides=None if strides is None else (*strides, *(1 for _ in sizes)),
    )


def _pad(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    config = (*equation.params["padding_config"], *((0, 0, 0) for _ in levels))
    return _bound(equation, ins[0].array, ins[1].array, padding_config=config)


def _reduce(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    n = len(ins) // 2  # arrays, and then what each is reduced from
    arrays = [axes.full(value, levels) for value in ins[:n]]
    return _bound(equation, *arrays, *(value.array for value in ins[n:]))


def _concatenate(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    """Write arrays next to each other.

    XLA fuses a concatenation with what follows it into a loop that asks for each element which of
    the arrays it is in. LLVM often does not vectorize such a loop, so slices are written one after
    the other. It never does if there are several in a loop; what is only read, such as neighbors in
    a line, is therefore read from all arrays, and then selected.
    """
    out, axis = equation.outvars[0].aval, equation.params.get("dimension")
    arrays = [axes.full(value, levels) for value in ins]
    if axis is None:  # `stack`
        axis = equation.params["axis"]
        arrays = [jnp.expand_dims(array, axis) for array in arrays]
    if len(arrays) < out.shape[axis] and all(value.is_read for value in ins):
        return _selected(arrays, axis)
    whole, begin = jnp.zeros((*out.shape, *axes.sizes(levels)), out.dtype), 0
    for array in arrays:
        whole = lax.dynamic_update_slice_in_dim(whole, array, begin, axis)
        begin += array.shape[axis]
    return whole


def _selected(arrays: Sequence[Any], axis: int) -> Any:
    """Return arrays next to each other, of which each is read for every element."""
    arrays = [array for array in arrays if array.shape[axis]]
    ends = [*itertools.accumulate(array.shape[axis] for array in arrays)]
    before = (slice(None),) * axis
    whole, at = None, None
    for array, end in zip(reversed(arrays), reversed(ends), strict=True):
        n = array.shape[axis]
        rows = np.clip(np.arange(ends[-1]) - (end - n), 0, n - 1).astype(np.int32)
        array = array.at[(*before, rows)].get(mode="promise_in_bounds")
        if whole is None:
            whole, at = array, lax.broadcasted_iota(np.int32, array.shape, axis)
        else:
            whole = jnp.where(at < end, array, whole)
    return whole


def _dynamic_slice(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    array, *starts = ins
    sizes, along = equation.params["slice_sizes"], union(starts)
    if not along:
        begin = [*(start.array for start in starts), *_zeros(starts, levels)]
        sizes = (*sizes, *axes.sizes(levels))
        return _bound(equation, array.array, *begin, slice_sizes=sizes)
    every = tuple(range(array.ndim))
    index = Batched(jnp.stack([axes.full(start, along) for start in starts]), along)
    indices, dims, sizes = _gathering(
        axes, array, index, lax.GatherDimensionNumbers(every, (), every), sizes, array.ndim
    )
    return lax.gather(array.array, indices, dims, sizes, mode=lax.GatherScatterMode.CLIP)


def _dynamic_update(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    array, new, *starts = ins
    begin = [*(start.array for start in starts), *_zeros(starts, levels)]
    return _bound(equation, axes.full(array, levels), axes.full(new, levels), *begin)


def _zeros(starts: Sequence[Batched], levels: Levels) -> list[Any]:
    """Return where slices start along levels, which they cover."""
    dtype = starts[0].array.dtype if starts else np.int32
    return [np.zeros((), dtype) for _ in levels]


def _gather(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    array, index = ins
    dims, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    ndim = equation.outvars[0].aval.ndim
    indices, dims, sizes = _gathering(axes, array, index, dims, sizes, ndim)
    is_sorted = equation.params["indices_are_sorted"] and not index.levels  # at each point only
    return _bound(
        equation,
        array.array,
        indices,
        dimension_numbers=dims,
        slice_sizes=sizes,
        indices_are_sorted=is_sorted,
        unique_indices=equation.params["unique_indices"] and not index.levels,
    )


def _gathering(
    axes: LastAxes,
    array: Batched,
    index: Batched,
    dims: lax.GatherDimensionNumbers,
    sizes: Sequence[int],
    ndim: int,
) -> tuple[Any, lax.GatherDimensionNumbers, tuple[int, ...]]:
    """Return the indices, the dimension numbers and the sizes of slices of a gather.

    Parameters
    ----------
    array, index : from which, and at which places.
    dims, sizes, ndim : those of one point, and the number of axes of its result.
    """
    levels, last = union((array, index)), index.ndim - 1
    # Along these, each index is one into the array of its own point; along others, a slice has
    # all points.
    both = [level for level in array.levels if level in index.levels]
    dims = dims._replace(
        offset_dims=(
            *dims.offset_dims,
            *(ndim + levels.index(level) for level in array.levels if level not in both),
        ),
        operand_batching_dims=(
            *dims.operand_batching_dims,
            *(array.ndim + array.levels.index(level) for level in both),
        ),
        start_indices_batching_dims=(
            *dims.start_indices_batching_dims,
            *(last + index.levels.index(level) for level in both),
        ),
    )
    of_points = (1 if level in both else axes.widths[level] for level in array.levels)
    return jnp.moveaxis(index.array, last, -1), dims, (*sizes, *of_points)


def _scatter(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    if updates_one_slice(equation):
        return _updated_slice(axes, equation, ins, levels)
    array, index, new = ins
    dims = equation.params["dimension_numbers"]
    of_points = range(new.ndim, new.ndim + len(levels))
    dims = dims._replace(update_window_dims=(*dims.update_window_dims, *of_points))
    array, new = axes.full(array, levels), axes.full(new, levels)
    return _bound(equation, array, index.array, new, dimension_numbers=dims)


def updates_one_slice(equation: Any) -> bool:
    """Whether an operation is a scatter with a single index, such as ``x.at[i].set(y)``."""
    name, params = equation.primitive.name, equation.params
    return (
        name in _UPDATES
        and not (name == "scatter" and _applies_a_function(params["update_jaxpr"]))
        and len(equation.invars[1].aval.shape) == 1
        and not params["dimension_numbers"].operand_batching_dims
        and params["mode"] in _MODES
    )


def _applies_a_function(update: Any) -> bool:
    """Whether a scatter has its elements from the old ones, as in ``x.at[i].apply(f)``."""
    return update is not None and update.outvars[0] is not update.invars[1]


def _updated_slice(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    """Update a slice in place, for which XLA need not loop over indices."""
    dims, mode = equation.params["dimension_numbers"], equation.params["mode"]
    array, index, new = axes.full(ins[0], levels), ins[1].array, axes.full(ins[2], levels)
    new = jnp.expand_dims(new, dims.inserted_window_dims)
    index = index.astype(np.promote_types(index.dtype, np.int32))
    indexed = dims.scatter_dims_to_operand_dims
    begin: list[Any] = [np.zeros((), index.dtype)] * array.ndim
    for k, axis in enumerate(indexed):
        begin[axis] = index[k]
    last = np.subtract(array.shape, new.shape).astype(index.dtype)
    combined = _UPDATES[equation.primitive.name]
    most = [n - 1 if k in indexed else 0 for k, n in enumerate(array.shape)]
    is_new = mode == lax.GatherScatterMode.FILL_OR_DROP and not ins[0].levels
    if is_new and indexed and np.array_equal(last, most):
        return _put(array, combined(array, new), {k: begin[k] for k in indexed})
    if mode == lax.GatherScatterMode.CLIP:
        begin = [jnp.clip(at, 0, end) for at, end in zip(begin, last, strict=True)]
    old = lax.dynamic_slice(array, begin, new.shape)
    new = combined(old, new)
    if mode == lax.GatherScatterMode.FILL_OR_DROP:
        fits = [(at >= 0) & (at <= end) for at, end in zip(begin, last, strict=True)]
        new = jnp.where(jnp.stack(fits).all(), new, old)
    return lax.dynamic_update_slice(array, new, begin)


def _put(array: Any, new: Any, begin: dict[int, Any]) -> Any:
    """Return an array with other elements at an index along some axes, if there is such an index.

    For an array that is made there and then, as in ``zeros(n).at[i].set(x)``: it cannot be updated
    in place, and an update that is fused with what follows is not vectorized.
    """
    here = [lax.broadcasted_iota(at.dtype, array.shape, axis) == at for axis, at in begin.items()]
    return jnp.where(functools.reduce(jnp.logical_and, here), new, array)


def _dot(axes: LastAxes, equation: Any, ins: Sequence[Batched], levels: Levels) -> Any:
    left, right = ins
    if left.levels and right.levels:
        numbers = equation.params["dimension_numbers"]
        return sum_of_products(left.array, right.array, numbers, n_last=len(levels))
    if right.levels:
        return _bound(equation, left.array, right.array)
    # In the other order, points come last.
    (of_left, of_right), (left_batch, right_batch) = equation.params["dimension_numbers"]
    out = _bound(
        equation,
        right.array,
        left.array,
        dimension_numbers=((of_right, of_left), (right_batch, left_batch)),
        precision=swapped_precision(equation.params["precision"]),
    )
    n_batch, n_left, n_right = _n_axes(equation)
    begin, end = n_batch + n_right, n_batch + n_right + n_left
    order = (*range(n_batch), *range(begin, end), *range(n_batch, begin), *range(end, out.ndim))
    return lax.transpose(out, order)


def _n_axes(equation: Any) -> tuple[int, int, int]:
    """Return how many axes of a product are those of a batch, of the left and of the right."""
    (summed, _), (batch, _) = equation.params["dimension_numbers"]
    left, right = (v.aval.ndim - len(batch) - len(summed) for v in equation.invars)
    return len(batch), left, right


def _is_by_vector(equation: Any) -> bool:
    """Whether a product is one of floats, and of a matrix and a vector or of two vectors."""
    n_batch, n_left, _ = _n_axes(equation)
    (summed, _), _ = equation.params["dimension_numbers"]
    n_summed = math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
    (out,) = (v.aval for v in equation.outvars)
    sizes = out.shape[n_batch:]
    is_same = all(v.aval.dtype == out.dtype for v in equation.invars)
    n_others = min(n_summed, math.prod(sizes[:n_left]), math.prod(sizes[n_left:]))
    return n_others == 1 and is_same and out.dtype in FLOATS


_NAMES: dict[Callable[..., Any], str] = {
    _elementwise: (
        "abs acos acosh add and asin asinh atan atan2 atanh bessel_i0e bessel_i1e"
        " bitcast_convert_type cbrt ceil clz complex conj convert_element_type copy cos cosh"
        " digamma div eq eq_to erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igammac imag"
        " integer_pow is_finite le le_to lgamma log log1p logistic lt lt_to max min mul ne neg"
        " nextafter not or polygamma population_count pow real reduce_precision"
        " regularized_incomplete_beta rem round rsqrt shift_left shift_right_arithmetic"
        " shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta"
    ),
    _of_one_shape: "add_any clamp select_n threefry2x32",
    _along_axes: (
        "argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_and reduce_max"
        " reduce_min reduce_or reduce_prod reduce_sum reduce_xor rev split squeeze"
    ),
    _broadcast: "broadcast_in_dim",
    _concatenate: "concatenate stack",
    _dot: "dot_general",
    _dynamic_slice: "dynamic_slice",
    _dynamic_update: "dynamic_update_slice",
    _gather: "gather",
    _pad: "pad",
    _reduce: "reduce",
    _reshape: "reshape",
    _scatter: " ".join(_UPDATES),
    _slice: "slice",
    _transpose: "transpose",
}
_RULES = {name: rule for rule, names in _NAMES.items() for name in names.split()}
