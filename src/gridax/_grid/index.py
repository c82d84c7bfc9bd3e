"""The xarray index of a dimension that several coordinates label, or one that is not sorted.

xarray allows a coordinate one index only, pandas refuses nearest on unsorted labels, and
`xarray.indexes.NDPointIndex` wants every coordinate named: hence this small one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.indexes import Index, PandasIndex

from gridax._axes.labels import canonical_query

# xarray accepts a custom index to return this; it is public behavior under a core path.
from xarray.core.indexing import IndexSelResult  # isort: skip


class PointIndex(Index):
    """Select the points of one dimension by any of their labels, exactly or by nearest.

    Members are the coordinates along the dimension, one label per point. One member, or several
    at once, select exactly; numeric ones also by nearest, with distances scaled by each member's
    range; a slice keeps what lies between its ends, in the order of the points. Lists of several
    members are read in pairs, as the members move together.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(coords={"a": ("p", [3.0, 1.0, 2.0]), "b": ("p", [30.0, 10.0, 20.0])})
    >>> ds = ds.set_xindex(["a", "b"], PointIndex)
    >>> ds.sel(a=1.0)["b"].item()
    10.0
    >>> ds.sel(a=1.2, b=19.0, method="nearest")["b"].item()
    20.0
    >>> ds.sel(b=slice(15, 30))["a"].values.tolist()
    [3.0, 2.0]
    """

    def __init__(self, dim: Hashable, members: Mapping[Hashable, np.ndarray]) -> None:
        self.dim = dim
        self.members = dict(members)

    @classmethod
    def from_variables(
        cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]
    ) -> PointIndex:
        """Build the index from one-dimensional variables along one dimension."""
        dims = {variable.dims for variable in variables.values()}
        if len(dims) != 1 or len(next(iter(dims))) != 1:
            raise ValueError(
                f"PointIndex needs one-dimensional coordinates along one dimension, got {dims}"
            )
        ((dim,),) = dims
        return cls(dim, {name: np.asarray(v.values) for name, v in variables.items()})

    @classmethod
    def concat(
        cls,
        indexes: Sequence[PointIndex],
        dim: Hashable,
        positions: Iterable[Iterable[int]] | None = None,
    ) -> PointIndex:
        """Join indexes along their dimension."""
        first = indexes[0]
        members = {
            name: np.concatenate([index.members[name] for index in indexes])
            for name in first.members
        }
        if positions is not None:
            order = np.argsort(np.concatenate([np.asarray(list(p)) for p in positions]))
            members = {name: labels[order] for name, labels in members.items()}
        return cls(dim, members)

    def create_variables(
        self, variables: Mapping[Any, xr.Variable] | None = None
    ) -> dict[Hashable, xr.Variable]:
        """Return the coordinates, with the attributes of `variables`."""
        given = variables or {}
        return {
            name: xr.Variable(
                (self.dim,),
                labels,
                attrs=given[name].attrs if name in given else None,
                encoding=given[name].encoding if name in given else None,
            )
            for name, labels in self.members.items()
        }

    def isel(self, indexers: Mapping[Any, Any]) -> PointIndex | None:
        """Follow a selection by position; a single point has no index any more."""
        indexer = indexers.get(self.dim)
        if indexer is None:
            return self
        if isinstance(indexer, xr.Variable):
            if indexer.dims != (self.dim,):
                return None
            indexer = indexer.values
        if np.ndim(indexer) == 0 and not isinstance(indexer, slice):
            return None
        return type(self)(self.dim, {name: v[indexer] for name, v in self.members.items()})

    def sel(
        self, labels: dict[Any, Any], method: str | None = None, tolerance: float | None = None
    ) -> IndexSelResult:
        """Turn labels of one or several members into positions along the dimension."""
        if method not in (None, "nearest"):
            raise ValueError(
                f"selecting along {self.dim!r} knows method=None and 'nearest', got {method!r}"
            )
        queries = {name: canonical_query(q, self.members[name]) for name, q in labels.items()}
        ranges = {name: q for name, q in queries.items() if isinstance(q, slice)}
        inside = self._inside(ranges)
        for name in ranges:
            del queries[name]
        if not queries:
            return IndexSelResult({self.dim: np.flatnonzero(inside)})
        wanted, shape, like = _aligned(queries, self.dim)
        found = self._find(wanted, inside, method == "nearest", tolerance)
        if len(found) != math.prod(shape):  # one query that several points match
            return IndexSelResult({self.dim: found})
        found = found.reshape(shape)
        if like is not None and like.dims != (self.dim,):
            return IndexSelResult({self.dim: like.copy(data=found)})
        return IndexSelResult({self.dim: found if found.ndim else int(found)})

    def _inside(self, ranges: Mapping[Any, slice]) -> np.ndarray:
        """Mark the points that lie within all slices, ends included."""
        mask = np.ones(self.size, dtype=bool)
        for name, part in ranges.items():
            if part.step is not None:
                raise ValueError(f"a slice of labels of {name!r} takes no step, got {part}")
            labels = self.members[name]
            if part.start is not None:
                mask &= labels >= part.start
            if part.stop is not None:
                mask &= labels <= part.stop
        return mask

    def _find(
        self,
        wanted: Mapping[Any, np.ndarray],
        inside: np.ndarray,
        nearest: bool,
        tolerance: float | None,
    ) -> np.ndarray:
        """Return where the points of all queries stand; an exact query may match several.

        What is no number is matched exactly even if the nearest point is asked for.
        """
        near = [name for name in wanted if nearest and self.members[name].dtype.kind in "fiu"]
        for name in near:
            if wanted[name].dtype.kind not in "fiub":
                raise TypeError(
                    f"{name!r} has numbers, {_few(self.members[name])}, but method='nearest' was "
                    f"asked for {_few(wanted[name])}"
                )
        found = [np.zeros(0, dtype=np.int64)]
        for query in zip(*wanted.values(), strict=True):
            asked = dict(zip(wanted, query, strict=True))
            mask = inside.copy()
            for name in wanted.keys() - near:
                mask &= self.members[name] == asked[name]
            where = np.flatnonzero(mask)
            if near and where.size:
                where = self._closest(where, {name: asked[name] for name in near}, tolerance)
            if where.size == 0:
                raise KeyError(self._missing(asked, tolerance))
            found.append(where)
        return np.concatenate(found)

    def _closest(
        self, where: np.ndarray, asked: Mapping[Any, Any], tolerance: float | None
    ) -> np.ndarray:
        """Return the nearest of some points, or none if it is too far away.

        Distances are scaled by each member's range; `tolerance` holds for each member unscaled.
        """
        distance = np.zeros(len(where))
        far = np.zeros(len(where), dtype=bool)
        for name, label in asked.items():
            with np.errstate(invalid="ignore"):  # inf - inf
                gap = np.abs(self.members[name][where].astype(float) - float(label))
            distance += (gap / self._ranges[name]) ** 2
            far |= np.isnan(gap) if tolerance is None else ~(gap <= tolerance)
        best = np.argmin(distance)
        return where[:0] if far[best] else where[best : best + 1]

    @functools.cached_property
    def _ranges(self) -> dict[Hashable, float]:
        """Width of the range of each member of numbers, or 1 if it has none."""
        ranges = {}
        for name, labels in self.members.items():
            if labels.dtype.kind in "fiu":
                finite = labels[np.isfinite(labels)].astype(float)
                ranges[name] = float(np.ptp(finite) if finite.size else 0.0) or 1.0
        return ranges

    def _missing(self, query: Mapping[Any, Any], tolerance: float | None = None) -> str:
        asked = ", ".join(f"{name}={_plain(label)!r}" for name, label in query.items())
        have = "; ".join(f"{name} has {_few(self.members[name])}" for name in query)
        within = f" within {tolerance}" if tolerance is not None else ""
        return f"no point along {self.dim!r} has {asked}{within}; {have}"

    @property
    def size(self) -> int:
        """Number of points."""
        return len(next(iter(self.members.values())))

    def equals(self, other: Index, *, exclude: frozenset[Hashable] | None = None) -> bool:
        """Whether both hold the same labels in the same order."""
        return (
            isinstance(other, PointIndex)
            and self.dim == other.dim
            and self.members.keys() == other.members.keys()
            and all(np.array_equal(v, other.members[k]) for k, v in self.members.items())
        )

    def rename(
        self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]
    ) -> PointIndex:
        """Follow renamed coordinates and dimensions."""
        members = {name_dict.get(name, name): v for name, v in self.members.items()}
        return type(self)(dims_dict.get(self.dim, self.dim), members)

    def join(self, other: Index, how: str = "inner") -> PointIndex:
        """Return the points that both hold, or either, as xarray's arithmetic asks."""
        if not isinstance(other, PointIndex) or other.members.keys() != self.members.keys():
            raise TypeError(f"cannot align {self!r} with {other!r}: their coordinates differ")
        left, right = self.to_pandas_index(), other.to_pandas_index()
        if how == "inner":
            joined = left.intersection(right, sort=False)
        else:
            joined = left.union(right, sort=False)
        levels = [joined.get_level_values(i).to_numpy() for i in range(joined.nlevels)]
        return type(self)(self.dim, dict(zip(self.members, levels, strict=True)))

    def reindex_like(self, other: Index) -> dict[Hashable, np.ndarray]:
        """Return where the points of `other` stand in this index, -1 where they do not."""
        if not isinstance(other, PointIndex):
            raise TypeError(f"cannot reindex {self!r} like {other!r}")
        return {self.dim: self.to_pandas_index().get_indexer(other.to_pandas_index())}

    def to_pandas_index(self) -> pd.Index:
        """Return the labels as pandas' index, of one level per member."""
        if len(self.members) > 1:
            return pd.MultiIndex.from_arrays(
                list(self.members.values()), names=list(self.members.keys())
            )
        ((name, labels),) = self.members.items()
        return pd.Index(labels, name=name)

    def __repr__(self) -> str:
        return f"PointIndex({', '.join(map(repr, self.members))})"

    def _repr_inline_(self, max_width: int) -> str:
        return f"PointIndex ({', '.join(map(str, self.members))})"[:max_width]


def _aligned(
    queries: Mapping[Any, Any], dim: Hashable
) -> tuple[dict[Any, np.ndarray], tuple[int, ...], xr.DataArray | None]:
    """Bring the queries of several members to one shape; scalars go with every element.

    Return the flat queries, their shape, and a DataArray that lends its dims and coordinates to
    what is found, if there is one among the queries.
    """
    given = {name: xr.DataArray(q) for name, q in queries.items() if hasattr(q, "dims") and q.ndim}
    labeled = dict(zip(given, xr.broadcast(*given.values()), strict=True))
    arrays = {
        name: np.asarray(getattr(query, "values", query))
        for name, query in {**queries, **labeled}.items()
    }
    shapes = {a.shape for a in arrays.values() if a.ndim}
    if len(shapes) > 1:
        lengths = ", ".join(f"{name}: {arrays[name].shape}" for name in arrays)
        raise ValueError(
            f"selecting several members of {dim!r} at once reads lists in pairs; their lengths "
            f"differ: {lengths}"
        )
    shape = next(iter(shapes), ())
    flat = {name: np.broadcast_to(a, shape).reshape(-1) for name, a in arrays.items()}
    return flat, shape, next(iter(labeled.values()), None)


def attach(dataset: xr.Dataset, dim: str, members: Sequence[str]) -> xr.Dataset:
    """Give a dimension the index that its labels need.

    A single coordinate of sorted numbers, or of different strings, keeps pandas' index; everything
    else gets a `PointIndex` over all members. (xarray takes bools for a mask where pandas' index
    is, not for labels.)
    """
    if len(members) == 1 and members[0] == dim and _suits_pandas(dataset[dim].values):
        if isinstance(dataset.xindexes.get(dim), PandasIndex):
            return dataset
        return dataset.drop_indexes(dim, errors="ignore").set_xindex(dim, PandasIndex)
    indexed = [name for name in dict.fromkeys((dim, *members)) if name in dataset.xindexes]
    if indexed:
        dataset = dataset.drop_indexes(indexed)
    return dataset.set_xindex(list(members), PointIndex)


def attach_all(dataset: xr.Dataset, members: Mapping[str, Sequence[str]]) -> xr.Dataset:
    """Give every dimension its index: those with `members`, and those with a coordinate."""
    for dim, names in members.items():
        if names:
            dataset = attach(dataset, dim, names)
    for dim in map(str, dataset.dims):
        if dim in dataset.coords and dim not in dataset.xindexes:
            dataset = attach(dataset, dim, [dim])
    return dataset


def without_point_indexes(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with the indexes that xarray itself would give it.

    hvPlot and HoloViews take every indexed coordinate for a dimension, as no other index of xarray
    has several coordinates. Without a `PointIndex`, members are plain coordinates along their
    dimension, and a dimension coordinate is indexed by pandas.
    """
    names = [name for name, index in dataset.xindexes.items() if isinstance(index, PointIndex)]
    dataset = dataset.drop_indexes(names)
    for name in names:
        if dataset[name].dims == (name,):
            dataset = dataset.set_xindex(name, PandasIndex)
    return dataset


def _suits_pandas(labels: np.ndarray) -> bool:
    if labels.dtype.kind not in "fiu":
        return labels.dtype.kind != "b" and pd.Index(labels).is_unique
    steps = labels[1:] > labels[:-1]
    return bool(steps.all())


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _few(labels: np.ndarray) -> str:
    shown = [repr(_plain(label)) for label in np.atleast_1d(labels)[:5]]
    return ", ".join(shown) + (", …" if np.size(labels) > 5 else "")
