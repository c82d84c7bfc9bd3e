"""The xarray index of a dimension with several coordinates, or with labels that are not sorted.

xarray allows only one index per coordinate, pandas rejects nearest selection on unsorted labels,
and `xarray.indexes.NDPointIndex` requires every coordinate to be named. Hence this small index.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.indexes import Index, PandasIndex

from gridax._grid.labels import Labels
from gridax._grid.lookup import check_method, find

# xarray expects a custom index to return this; it is public, although its module is not.
from xarray.core.indexing import IndexSelResult  # isort: skip


class PointIndex(Index):
    """Select the points of one dimension by any of their labels, exactly or by nearest.

    The members are coordinates along the dimension, with one label per point. Points are selected
    by one member or by several at once, exactly or, where labels are numbers, by nearest, with
    distances scaled by the range of each member. A slice selects what lies between its ends, in the
    order of the points. Lists for several members are read in pairs.

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
        every = [_members(index) for index in indexes]
        members = {name: np.concatenate([each[name] for each in every]) for name in every[0]}
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
        """Return the index of a selection by position; a single point has none."""
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
        """Return the positions along the dimension that have labels of one or several members."""
        check_method(method, tolerance)
        for name, query in labels.items():
            if isinstance(query, slice) and query.step is not None:
                raise ValueError(
                    f"a slice of labels of {name!r} cannot have a step, got {query}; select with "
                    "isel() afterwards"
                )
        return IndexSelResult({self.dim: find(self.labels, self.dim, labels, method, tolerance)})

    @functools.cached_property
    def labels(self) -> dict[Hashable, Labels]:
        """The members, prepared for lookups."""
        return {name: Labels.of(name, values) for name, values in self.members.items()}

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
        """Return the index with other names of coordinates and dimensions."""
        members = {name_dict.get(name, name): v for name, v in self.members.items()}
        return type(self)(dims_dict.get(self.dim, self.dim), members)

    def join(self, other: Index, how: str = "inner") -> PointIndex:
        """Return the index of the points in both, or in either, for xarray's alignment."""
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
        """Return the positions in this index of the points of `other`, or -1 for missing ones."""
        if not isinstance(other, PointIndex):
            raise TypeError(f"cannot reindex {self!r} like {other!r}")
        return {self.dim: self.to_pandas_index().get_indexer(other.to_pandas_index())}

    def to_pandas_index(self) -> pd.Index:
        """Return the labels as an index of pandas, with one level per member."""
        if len(self.members) > 1:
            return pd.MultiIndex.from_arrays(
                list(self.members.values()), names=list(self.members.keys())
            )
        ((name, labels),) = self.members.items()
        return pd.Index(labels, name=name)

    @property
    def index(self) -> pd.Index:
        """The labels as an index of pandas, which `PandasIndex.concat` reads."""
        return self.to_pandas_index()

    @property
    def coord_dtype(self) -> np.dtype[Any]:
        """The dtype of the labels, which `PandasIndex.concat` reads."""
        return np.result_type(*self.members.values())

    def __repr__(self) -> str:
        return f"PointIndex({', '.join(map(repr, self.members))})"

    def _repr_inline_(self, max_width: int) -> str:
        return f"PointIndex ({', '.join(map(str, self.members))})"[:max_width]


def attach(dataset: xr.Dataset, dim: str, members: Sequence[str]) -> xr.Dataset:
    """Give a dimension the index that its labels need.

    A single coordinate of sorted numbers, or of strings that all differ, keeps the index of pandas;
    everything else gets a `PointIndex` over all members. (With an index of pandas, xarray takes
    booleans as a mask rather than as labels.)
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
    """Give an index to every dimension that has `members` or a coordinate of its own."""
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


def _members(index: Any) -> dict[Hashable, np.ndarray]:
    """Return the labels of an index that is joined with others, of which some may be of pandas."""
    return index.members if isinstance(index, PointIndex) else {index.dim: index.index.to_numpy()}


def _suits_pandas(labels: np.ndarray) -> bool:
    if labels.dtype.kind not in "fiu":
        return labels.dtype.kind != "b" and pd.Index(labels).is_unique
    steps = labels[1:] > labels[:-1]
    return bool(steps.all())
