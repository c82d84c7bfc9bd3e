"""From what a person selects to positions along the dimensions of a grid."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._axes.labels import canonical_query
from gridax._grid.grid import Grid

# No axis can bear this name, because control characters are refused.
_POSITION = "\0position"

# Points that are picked one by one need an index each; beyond this, memory would not do.
_MOST_POINTS = 2**31


def is_integer(index: Any) -> bool:
    """Whether something is one integer; a bool is none."""
    return (
        not isinstance(index, (bool, np.bool_))
        and hasattr(index, "__index__")
        and np.ndim(index) == 0
    )


def single(index: Any, n: int) -> int | None:
    """Return the position of one point, from 0 to n - 1, or None if `index` means several."""
    if isinstance(index, tuple):  # one index per dimension to NumPy, several points in a list
        raise TypeError(
            f"points are picked by one flat position, got {index!r}; use isel to give a position "
            "per dimension, or a list to pick several points"
        )
    if not is_integer(index):
        return None
    i = operator.index(index)
    if not -n <= i < n:
        raise IndexError(f"point {i} is out of range for a space of {n} points")
    return i % n


def flat_positions(index: Any, n: int, empty: bool = False) -> np.ndarray:
    """Return flat positions, int64 if that holds them, from a slice, or a list of ints or bools."""
    huge = n > np.iinfo(np.int64).max  # positions are Python's own integers then
    if isinstance(index, slice):
        chosen = range(n)[index]
        _check_count((chosen[-1] - chosen[0]) // chosen.step + 1 if chosen else 0, empty)
        dtype = object if huge else np.int64
        return np.arange(chosen.start, chosen.stop, chosen.step, dtype=dtype)
    array = np.asarray(index, dtype=object if huge else None)
    if array.ndim != 1 or not (array.dtype.kind in "iub" or all(map(is_integer, array))):
        raise TypeError(
            f"points are picked by an int, a slice, or a list of ints or bools, got {index!r}"
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
        raise IndexError("the selection holds no point")
    if count > _MOST_POINTS:
        raise ValueError(
            f"{count} points cannot be picked one by one; select whole stretches of dimensions "
            "with sel or isel"
        )


def positions(indexers: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return an int or an int64 array per dimension."""
    chosen: dict[str, Any] = {}
    for dim, indexer in indexers.items():
        if dim not in sizes:
            raise ValueError(f"no dimension {dim!r}; the dimensions are {_listed(sizes)}")
        if is_integer(indexer):
            i = operator.index(indexer)
            if not -sizes[dim] <= i < sizes[dim]:
                raise IndexError(f"{dim!r} has {sizes[dim]} positions, {i} is out of range")
            chosen[dim] = i % sizes[dim]
            continue
        try:
            chosen[dim] = flat_positions(indexer, sizes[dim])
        except (IndexError, TypeError) as error:
            error.add_note(f"while selecting along {dim!r}")
            raise
    return chosen


def by_label(
    dataset: xr.Dataset,
    grid: Grid,
    labels: Mapping[str, Any],
    method: str | None,
    tolerance: float | None,
) -> dict[str, Any]:
    """Return positions per dimension from labels per axis, with xarray's own selection."""
    if method not in (None, "nearest"):
        raise ValueError(f"method must be None or 'nearest', got {method!r}")
    if tolerance is not None and method is None:
        raise ValueError("tolerance= goes with method='nearest'; labels match exactly without it")
    home: dict[str, dict[str, Any]] = {}
    columns = {column.name: column for column in grid.columns if column.dim is not None}
    for name, label in labels.items():
        if name not in columns:
            raise ValueError(f"no axis {name!r} to select by; the axes are {_listed(columns)}")
        dim = columns[name].dim
        assert dim is not None
        table = columns[name].table
        if np.asarray(label).dtype == bool and table.labels.dtype != bool:
            raise TypeError(f"the labels of {name!r} are no bools, got {label!r}; isel takes masks")
        home.setdefault(dim, {})[name] = canonical_query(label, table.labels)
    chosen = {}
    for dim, queries in home.items():
        exact = all(
            isinstance(query, slice) or columns[name].table.labels.dtype.kind not in "fiu"
            for name, query in queries.items()
        )
        how: dict[str, Any] = {} if exact else {"method": method, "tolerance": tolerance}
        probe = dataset.assign({_POSITION: ((dim,), np.arange(grid.sizes[dim]))})[_POSITION]
        try:
            found = probe.sel(queries, **how).values
        except KeyError as error:
            raise KeyError(_missing(queries, dataset, error, tolerance)) from None
        except (IndexError, TypeError, ValueError) as error:
            error.add_note(f"while selecting {_asked(queries)}")
            raise
        if found.size == 0:
            raise KeyError(f"no point lies in {_asked(queries)}; {_have(queries, dataset)}")
        if found.ndim > 1:
            raise ValueError(f"labels of {dim!r} must stand in one row, got {_asked(queries)}")
        chosen[dim] = found if found.ndim else int(found)
    return chosen


def _missing(
    queries: Mapping[str, Any], dataset: xr.Dataset, error: KeyError, tolerance: float | None
) -> str:
    if "no point along" in str(error):
        return str(error.args[0])
    within = "" if tolerance is None else f" within {tolerance}"
    return f"no point has {_asked(queries)}{within}; {_have(queries, dataset)}"


def _asked(queries: Mapping[str, Any]) -> str:
    def text(query: Any) -> str:
        return repr(query.tolist() if isinstance(query, np.ndarray) else query)

    return ", ".join(f"{name}={text(query)}" for name, query in queries.items())


def _have(queries: Mapping[str, Any], dataset: xr.Dataset) -> str:
    parts = []
    for name in queries:
        labels = dataset[name].values
        few = ", ".join(repr(label) for label in labels[:5].tolist())
        end = f", …, {labels[-1].item()!r}" if len(labels) > 5 else ""
        parts.append(f"{name} has {few}{end}")
    return "; ".join(parts)


def where(mask: Any, sizes: Mapping[str, int]) -> np.ndarray:
    """Return the flat positions, ascending, at which a mask over some dimensions holds."""
    if not isinstance(mask, xr.DataArray) or mask.dtype != bool:
        of = f" of {mask.dtype}" if hasattr(mask, "dtype") else ""
        raise TypeError(
            "the predicate must return a DataArray of bools, such as lambda ds: ds.a < ds.b, got "
            f"{type(mask).__name__}{of}"
        )
    unknown = [dim for dim in mask.dims if dim not in sizes]
    if unknown:
        raise ValueError(
            f"the predicate's result has the dimension {unknown[0]!r}, which is none of the "
            f"space's: {_listed(sizes)}"
        )
    strides, stride = {}, 1
    for dim, size in reversed(list(sizes.items())):
        strides[dim] = stride
        stride *= size
    rest = [dim for dim in sizes if dim not in mask.dims]
    hits = mask.transpose(*[dim for dim in sizes if dim in mask.dims]).values[None]  # 1-d at least
    count = int(hits.sum()) * math.prod(sizes[dim] for dim in rest)
    if count == 0:
        raise ValueError("the filter keeps no point")
    _check_count(count)
    points = np.zeros(int(hits.sum()), dtype=np.int64)
    for dim, index in zip([d for d in sizes if d in mask.dims], np.nonzero(hits)[1:], strict=True):
        points += index * strides[dim]
    for dim in rest:
        points = (points[:, None] + np.arange(sizes[dim]) * strides[dim]).reshape(-1)
    return np.sort(points)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"


def canonical_queries(dataset: xr.Dataset, labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for as labels are written: 0.3 for 0.1 + 0.2."""
    return {
        name: canonical_query(query, dataset[name].values) if name in dataset.coords else query
        for name, query in labels.items()
    }
