"""From flat positions, masks and predicates to positions along the dimensions of a grid."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

# Points that are picked one by one need an index each; more of them would not fit in memory.
_MOST_POINTS = 2**31


def is_integer(index: Any) -> bool:
    """Whether something is a single integer; a boolean is not."""
    return (
        not isinstance(index, (bool, np.bool_))
        and hasattr(index, "__index__")
        and np.ndim(index) == 0
    )


def single(index: Any, n: int) -> int | None:
    """Return the position of a single point, from 0 to n - 1, or None if `index` is none."""
    if isinstance(index, tuple):  # NumPy would take it as one index per dimension
        raise TypeError(
            f"a point is picked by one flat position, got {index!r}; use isel() for a position "
            "per dimension, or a list for several points"
        )
    if isinstance(index, (xr.DataArray, xr.Variable)) and index.ndim == 0:  # such as of argmax()
        index = index.values[()]
    if not is_integer(index):
        return None
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexError(f"point {i} is out of range for a space of {n} points")
    return i % n


def flat_positions(index: Any, n: int, empty: bool = False) -> np.ndarray:
    """Return flat positions from a slice, or a list of integers or booleans."""
    huge = n > np.iinfo(np.int64).max  # positions are Python's integers then
    if isinstance(index, slice):
        chosen = range(n)[index]
        _check_count((chosen[-1] - chosen[0]) // chosen.step + 1 if chosen else 0, empty)
        dtype = object if huge else np.int64
        return np.arange(chosen.start, chosen.stop, chosen.step, dtype=dtype)
    array = np.asarray(index, dtype=object if huge else None)
    if array.ndim != 1 or not (array.dtype.kind in "iub" or all(map(is_integer, array))):
        raise TypeError(
            f"points are picked by an integer, a slice, or a list of integers or booleans, got "
            f"{index!r}"
        )
    if array.dtype == bool:
        if len(array) != n:
            raise IndexError(f"a boolean index must have {n} entries, got {len(array)}")
        array = np.flatnonzero(array)
    bad = (array < -n) | (array >= n)
    if bad.any():
        raise IndexError(f"point {array[bad][0]} is out of range for a space of {n} points")
    _check_count(len(array), empty)
    array = array if huge else array.astype(np.int64)
    return np.where(array < 0, array + n, array)


def _check_count(count: int, empty: bool = False) -> None:
    if count == 0 and not empty:
        raise IndexError("the selection is empty; select at least one point")
    if count > _MOST_POINTS:
        raise ValueError(
            f"{count} points are too many to be picked one by one; select along dimensions with "
            "sel() or isel()"
        )


def without_jax(indexer: Any) -> Any:
    """Return an indexer for xarray, which cannot select by the arrays of JAX.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> without_jax(jnp.array([2, 1]))
    array([2, 1], dtype=int32)
    """
    if isinstance(indexer, (xr.DataArray, xr.Variable)) and isinstance(indexer.data, jax.Array):
        return indexer.copy(data=np.asarray(indexer.data))
    return np.asarray(indexer) if isinstance(indexer, jax.Array) else indexer


def positions(indexers: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return an int or an int64 array per dimension.

    Raises
    ------
    ValueError, TypeError, IndexError
        If a dimension does not exist, positions do not, or DataArrays would be taken in pairs.
    """
    chosen: dict[str, Any] = {}
    dims_of = {dim: set(getattr(indexers.get(dim), "dims", (dim,))) for dim in sizes}
    for (one, its), (other, others) in itertools.combinations(dims_of.items(), 2):
        if its & others:
            raise ValueError(
                f"the selections along {one!r} and {other!r} have the dimension "
                f"{min(its & others, key=str)!r} in common, so xarray would take them in pairs, "
                "but a space stays a grid; pass their .values, or pick points with filter()"
            )
    for dim, indexer in indexers.items():
        if dim not in sizes:
            raise ValueError(f"there is no dimension {dim!r}; the dimensions are {_listed(sizes)}")
        if is_integer(indexer):
            i = operator.index(indexer)
            if not -sizes[dim] <= i < sizes[dim]:
                raise IndexError(f"position {i} is out of range for {dim!r} of size {sizes[dim]}")
            chosen[dim] = i % sizes[dim]
            continue
        if np.ndim(indexer) > 1:
            raise ValueError(
                f"a selection along {dim!r} must be one-dimensional, got shape {np.shape(indexer)}"
            )
        try:
            chosen[dim] = flat_positions(indexer, sizes[dim])
        except (IndexError, TypeError) as error:
            error.add_note(f"while selecting along {dim!r}")
            raise
    return chosen


def where(mask: Any, dataset: xr.Dataset, sizes: Mapping[str, int]) -> np.ndarray:
    """Return the flat positions, in ascending order, where a mask over some dimensions is true.

    `dataset` has the labels of the dimensions, which have `sizes`.
    """
    if not isinstance(mask, xr.DataArray) or mask.dtype != bool:
        dtype = f" of {mask.dtype}" if hasattr(mask, "dtype") else ""
        raise TypeError(
            "the predicate must return a DataArray of booleans, such as lambda ds: ds.a < ds.b; "
            f"it returned {type(mask).__name__}{dtype}"
        )
    unknown = [dim for dim in mask.dims if dim not in sizes]
    if unknown:
        raise ValueError(
            f"the result of the predicate has the dimension {unknown[0]!r}, but the dimensions of "
            f"the space are {_listed(sizes)}"
        )
    _check_labels(mask, dataset, sizes)
    strides, stride = {}, 1
    for dim, size in reversed(list(sizes.items())):
        strides[dim] = stride
        stride *= size
    rest = [dim for dim in sizes if dim not in mask.dims]
    hits = mask.transpose(*[dim for dim in sizes if dim in mask.dims]).values[None]  # 1-d at least
    count = int(hits.sum()) * math.prod(sizes[dim] for dim in rest)
    if count == 0:
        raise ValueError("the filter keeps no points; the predicate must hold for at least one")
    _check_count(count)
    points = np.zeros(int(hits.sum()), dtype=np.int64)
    for dim, index in zip([d for d in sizes if d in mask.dims], np.nonzero(hits)[1:], strict=True):
        points += index * strides[dim]
    for dim in rest:
        points = (points[:, None] + np.arange(sizes[dim]) * strides[dim]).reshape(-1)
    return np.sort(points)


def _check_labels(mask: xr.DataArray, dataset: xr.Dataset, sizes: Mapping[str, int]) -> None:
    """Reject a mask whose positions are not those of the space."""
    for dim in map(str, mask.dims):
        own = {name: c.variable for name, c in mask.coords.items() if c.dims == (dim,)}
        labels = {name: dataset[name].variable for name in own if name in dataset.coords}
        alike = all(own[name].equals(variable) for name, variable in labels.items())
        if mask.sizes[dim] != sizes[dim] or not alike:
            n = mask.sizes[dim]
            what = "other labels" if n == sizes[dim] else f"{n} labels"
            raise ValueError(
                f"the result of the predicate has {what} along {dim!r}, not the {sizes[dim]} of "
                "the space; bring other data to the labels of the space first, such as with "
                f"data.reindex({{{dim!r}: ds[{dim!r}]}}, method='nearest')"
            )


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"
