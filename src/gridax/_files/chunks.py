"""Chunks of a Zarr store that are read when they are needed, and named where they are damaged."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gridax._stores.base import ERROR, STATUS
from gridax._stores.place import Place

if TYPE_CHECKING:
    from gridax._stores.records import Records


class Chunks:
    """What is known of the chunks of a store: which may be missing, and the checksums of others.

    Parameters
    ----------
    place : where it lies.
    stored : its variables, as they are there.
    sums : checksums of the chunks that stay as they are.
    is_store : whether it is the store of a run, and no saved result.
    """

    # A block that is written again just now has chunks that do not fit its record, for a moment.
    _PATIENCE = 0.5

    def __init__(
        self, place: Place, stored: xr.Dataset, sums: Mapping[str, int], is_store: bool
    ) -> None:
        self._place, self._sums = place, sums
        self._status = stored.variables.get(STATUS) if is_store else None
        self._records: Records | None = None
        if is_store:
            import zarr

            from gridax._stores.format import recorded
            from gridax._stores.records import Records, Stored

            group = zarr.open_group(place.zarr(), mode="r")
            self._records = Records(Stored.of(group[STATUS]), recorded(group))

    def problem(self, name: str, number: tuple[int, ...]) -> str | None:
        """Say what is wrong with a chunk, by its number along each dimension, or return None."""
        key = "/".join([name, "c", *map(str, number)])
        since = time.monotonic()
        while True:
            (end,) = self._place.ends([key])
            if end is None:
                return None if self._may_be_missing(name, number) else "a part of it is missing"
            expected = self._expected(name, key, number)
            if expected is None or int.from_bytes(end.tail, "little") == expected:
                return None
            if time.monotonic() - since > self._PATIENCE:
                return "a part of it is not what was written there"
            time.sleep(0.02)

    def _expected(self, name: str, key: str, number: tuple[int, ...]) -> int | None:
        if key in self._sums:
            return self._sums[key]
        position = None if self._records is None else self._records.position(name, number)
        if self._records is None or position is None or self._status is None:
            return None
        (record,) = self._records.read(self._place, [number[: self._status.ndim]])
        return None if record is None else int(record[position]) or None

    def _may_be_missing(self, name: str, number: tuple[int, ...]) -> bool:
        """Whether it is still to be computed: zeros are no data."""
        if self._status is None:
            return False
        if name in (STATUS, ERROR):
            return True
        sizes = self._status.encoding["chunks"]
        pairs = zip(number[: self._status.ndim], sizes, strict=True)
        states = self._status[tuple(slice(k * size, (k + 1) * size) for k, size in pairs)]
        return not states.values.any()


class Guarded:
    """A variable of a store that names itself where a chunk is damaged, missing or another's.

    Parameters
    ----------
    place, name, variable : where it lies.
    chunks : what is known of the chunks.
    """

    def __init__(self, place: Place, name: str, variable: xr.Variable, chunks: Chunks) -> None:
        self._place, self._name, self.variable, self._chunks = place, name, variable, chunks
        self.shape, self.ndim = variable.shape, variable.ndim
        # Zarr names the order of bytes where it is the machine's own, which netCDF4 trips over.
        plain = variable.dtype.kind in "biufc"
        self.dtype = variable.dtype.newbyteorder("=") if plain else variable.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            for number in self._numbers(index):
                problem = self._chunks.problem(self._name, number)
                if problem:
                    raise self._damaged(problem)
            values = self.variable[index].values
        except OSError:
            raise
        except Exception as error:  # whatever a damaged chunk makes the codecs raise
            raise self._damaged(f"{type(error).__name__}: {error}") from error
        return values if self.dtype.kind in "OT" else values.view(self.dtype)

    def _damaged(self, why: str) -> OSError:
        name = self._place.name
        return OSError(
            f"{self._name!r} of {name!r} is damaged ({why}). If it is the store of a run, "
            f"run(store={name!r}, verify='full') computes what is damaged again"
        )

    def _numbers(self, index: Any) -> Iterator[tuple[int, ...]]:
        """Yield the numbers of the chunks that an index touches."""
        index = index if isinstance(index, tuple) else (index,)
        if not index or index[0] is Ellipsis:
            index = (slice(None),) * self.ndim
        sizes = self.variable.encoding["chunks"]
        along = [
            np.unique(np.arange(n)[taken] // size).tolist()
            for taken, size, n in zip(index, sizes, self.shape, strict=True)
        ]
        return itertools.product(*along)


def lazy(guarded: Guarded) -> xr.Variable:
    """Return a variable as a dask array with the chunks of the store."""
    import dask.array

    variable = guarded.variable
    chunks = variable.encoding["chunks"]
    meta = np.empty((0,) * variable.ndim, guarded.dtype)
    data = dask.array.from_array(guarded, chunks, name=False, asarray=False, meta=meta)
    return xr.Variable(variable.dims, data, variable.attrs)


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
        pairs = zip(numbers, self._sizes, strict=True)
        return self._variable[tuple(slice(k * size, (k + 1) * size) for k, size in pairs)].values
