"""Chunks of a store that are read when they are needed, and named if they are damaged."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._stores.arrays import DamagedChunk, Number, StoredArray, piece
from gridax._stores.base import ERROR, STATUS
from gridax._stores.location import Location


def damaged(location: Location, name: str, why: DamagedChunk) -> OSError:
    """Return the error that tells a user what is damaged, and what to do."""
    return OSError(
        f"{name!r} of {location.name!r} is damaged ({why}). If it is the store of a run, "
        f"run(store={location.name!r}, verify='full') computes what is damaged again"
    )


class LazyArray:
    """An array of a store whose chunks are read when it is indexed, with one request for each.

    A chunk that is missing is an error, unless its block is still to be computed: zeros are no
    data. Reading is also an error once another store has taken the place of the one that was
    opened.

    Parameters
    ----------
    location : of the store.
    array : what is read.
    status : the states of the points, if it is the store of a run.
    is_finished : whether no block is still to be computed.
    """

    def __init__(
        self,
        location: Location,
        array: StoredArray,
        status: StoredArray | None = None,
        is_finished: bool = False,
    ) -> None:
        self._location, self._array, self._status = location, array, status
        self._is_finished, self._made_at = is_finished, location.made_at(array.key)
        self.shape, self.ndim, self.dtype = array.shape, len(array.shape), array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        if self._made_at is not None and self._location.made_at(self._array.key) != self._made_at:
            raise FileNotFoundError(
                f"the store {self._location.name!r} was removed or replaced after this result was "
                "opened; open it again with gridax.open_result, and load() results whose store "
                "will be overwritten"
            )
        index = index if isinstance(index, tuple) else (index,)
        if not index or index[0] is Ellipsis:
            index = (slice(None),) * self.ndim
        sizes = self._array.chunks
        positions = [np.arange(n)[i] for n, i in zip(self.shape, index, strict=True)]
        along = [
            np.unique(each // size).tolist() for each, size in zip(positions, sizes, strict=True)
        ]
        values = self._array.join(along, self._chunk)
        # One dimension after the other, the last one first, as a number takes its dimension away.
        for axis in reversed(range(self.ndim)):
            numbers = np.searchsorted(along[axis], positions[axis] // sizes[axis])
            local = numbers * sizes[axis] + positions[axis] % sizes[axis]
            if not np.array_equal(local, np.arange(values.shape[axis])):
                values = values[(slice(None),) * axis + (local,)]
        return values

    def _chunk(self, number: Number) -> np.ndarray:
        key = self._array.key_of(number)
        (raw,) = self._location.read([key])
        if raw is None and self._is_pending(number):
            return self._array.empty_chunk()
        if raw is None:
            # Another process may have written the block after this one had asked for the chunk.
            (raw,) = self._location.read([key])
        try:
            return self._array.decode(raw)
        except DamagedChunk as error:
            raise damaged(self._location, self._array.key, error) from error

    def _is_pending(self, number: Number) -> bool:
        """Whether the block of a missing chunk is still to be computed."""
        if self._status is None:
            return False
        if self._array.key == ERROR:
            return True  # there are messages only where a point has failed
        if self._is_finished:
            return False
        if self._array.key == STATUS:
            return True
        block = number[: len(self._status.shape)]
        (raw,) = self._location.read([self._status.key_of(block)])
        try:
            return raw is None or not self._status.decode(raw).any()
        except DamagedChunk:
            return False


def lazy(
    location: Location, array: StoredArray, status: StoredArray | None, is_finished: bool
) -> xr.Variable:
    """Return a variable as a dask array with the chunks of the store; a scalar is read at once."""
    attrs = user_attributes(array.attrs)
    values = LazyArray(location, array, status, is_finished)
    if not array.shape:
        return xr.Variable(array.dims, values[...], attrs)
    import dask.array  # takes time

    meta = np.empty((0,) * len(array.shape), array.dtype)
    data = dask.array.from_array(values, array.chunks, name=False, asarray=False, meta=meta)
    return xr.Variable(array.dims, data, attrs)


def user_attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes without those that tell xarray how to read a variable."""
    return {k: v for k, v in attrs.items() if k not in ("coordinates", "_FillValue")}


def by_chunk(variable: xr.Variable, n_grid: int) -> Any:
    """Return what gives the array of one point of a variable, without reading a chunk per point.

    Parameters
    ----------
    variable : in memory, or lazy.
    n_grid : number of its dimensions that are the grid's.
    """
    if isinstance(variable._data, np.ndarray):
        return variable.values
    return _ByChunk(variable, n_grid)


class _ByChunk:
    """The arrays of single points of a lazy variable; keeps the chunks that were read last."""

    _MOST_BYTES = 2**28

    def __init__(self, variable: xr.Variable, n_grid: int) -> None:
        self._variable = variable
        chunks = variable.chunks or ()
        self._sizes = [along[0] for along in chunks[:n_grid]] or [1] * n_grid
        nbytes = math.prod(self._sizes) * math.prod(variable.shape[n_grid:])
        most = max(1, self._MOST_BYTES // max(1, nbytes * variable.dtype.itemsize))
        self._read = functools.lru_cache(maxsize=most)(self._chunk)

    def __getitem__(self, index: tuple[int, ...]) -> np.ndarray:
        numbers = tuple(i // size for i, size in zip(index, self._sizes, strict=True))
        within = tuple(i % size for i, size in zip(index, self._sizes, strict=True))
        return self._read(numbers)[within]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._variable.values, dtype)

    def _chunk(self, numbers: tuple[int, ...]) -> np.ndarray:
        return self._variable[piece(numbers, self._sizes)].values
