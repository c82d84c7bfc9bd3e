"""Chunks of a store that are read when they are needed, and named if they are damaged."""

from __future__ import annotations

import functools
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._plan.plan import boxes
from gridax._stores.arrays import DamagedChunk, Number, StoredArray, piece
from gridax._stores.base import DONE, FAILED, PENDING, STATUS
from gridax._stores.inventory import Inventory
from gridax._stores.location import Location


def damaged(location: Location, name: str, why: DamagedChunk) -> OSError:
    """Return the error that tells a user what is damaged, and what to do."""
    return OSError(
        f"{name!r} of {location.name!r} is damaged ({why}). If it is the store of a run, "
        f"run(store={location.name!r}, verify='full') computes what is damaged again"
    )


class Snapshot:
    """The states of the points of a run's store, as they were when they were first asked for.

    Another process may be writing to the store. What is read later, one chunk after the other,
    belongs together if it is that of the points that were done then.

    Parameters
    ----------
    location : of the store.
    status : the array of the points' states.
    """

    def __init__(self, location: Location, status: StoredArray) -> None:
        self._location, self._status, self.ndim = location, status, len(status.shape)

    @functools.cached_property
    def _blocks(self) -> dict[Number, np.ndarray | None]:
        """The states of the points of each block that has any; None if they are damaged."""
        shape, chunks = self._status.shape, self._status.chunks
        inventory = Inventory(self._location, self._status, [], None, "none")
        blocks: dict[Number, np.ndarray | None] = {}
        every = zip(boxes(shape, chunks), inventory.states(boxes(shape, chunks)), strict=True)
        for box, (states, is_damaged) in every:
            if states is not None and (states == states.flat[0]).all():  # which takes no memory
                states = np.broadcast_to(states.flat[0], states.shape)
            if states is not None or is_damaged:
                blocks[inventory.number(box)] = states
        return blocks

    def counts(self) -> tuple[int, int, int]:
        """Return how many points are done, how many failed, and how many there are."""
        known = [states for states in self._blocks.values() if states is not None]
        done, failed = (sum(int((s == state).sum()) for s in known) for state in (DONE, FAILED))
        return done, failed, math.prod(self._status.shape)

    def of(self, block: Number) -> np.ndarray | None:
        """Return the states of the points of a block, or None if all of them are pending.

        Raises
        ------
        DamagedChunk
            If they cannot be read.
        """
        states = self._blocks.get(block)
        if states is None and block in self._blocks:
            raise DamagedChunk("the states of its points are damaged")
        return states if states is not None and states.any() else None


class ChunkReader:
    """Reads the chunks of an array of a store when they are needed, with one request for each.

    A chunk that is missing is an error, unless its block was still to be computed: zeros are no
    data. Reading is also an error once another store has taken the place of the one that was
    opened.

    Parameters
    ----------
    location : of the store.
    array : what is read.
    snapshot : the states of the points, if it is the store of a run that is not finished.
    is_optional : whether chunks may be missing.
    """

    def __init__(
        self,
        location: Location,
        array: StoredArray,
        snapshot: Snapshot | None = None,
        is_optional: bool = False,
    ) -> None:
        self._location, self._array, self._snapshot = location, array, snapshot
        self._is_optional, self._made_at = is_optional, location.made_at(array.key)

    def __call__(self, block_id: Number) -> np.ndarray:
        """Return a chunk by its number, without what is beyond the end of the array."""
        if self._made_at is not None and self._location.made_at(self._array.key) != self._made_at:
            raise FileNotFoundError(
                f"the store {self._location.name!r} was removed or replaced after this result was "
                "opened; open it again with gridax.open_result, and load() results whose store "
                "will be overwritten"
            )
        sides = zip(block_id, self._array.chunks, self._array.shape, strict=True)
        shape = [min(size, n - k * size) for k, size, n in sides]
        if 0 in shape:  # there are no chunks
            return np.empty(shape, self._array.dtype)
        return self._chunk(block_id)[tuple(map(slice, shape))]

    def _chunk(self, number: Number) -> np.ndarray:
        try:
            if self._snapshot is None:
                return self._read(number)
            states = self._snapshot.of(number[: self._snapshot.ndim])
            chunk = self._array.empty_chunk()
            if states is None:
                return chunk
            here = tuple(map(slice, states.shape))
            if self._array.key == STATUS:
                chunk[here] = states
            else:
                known = np.zeros(chunk.shape[: states.ndim], bool)
                known[here] = states != PENDING
                chunk[known] = self._read(number)[known]
            return chunk
        except DamagedChunk as error:
            raise damaged(self._location, self._array.key, error) from error

    def _read(self, number: Number) -> np.ndarray:
        (raw,) = self._location.read([self._array.key_of(number)])
        if raw is None and self._is_optional:
            return self._array.empty_chunk()
        return self._array.decode(raw)


def lazy(
    location: Location, array: StoredArray, snapshot: Snapshot | None, is_optional: bool
) -> xr.Variable:
    """Return a variable as a dask array with the chunks of the store; a scalar is read at once.

    Parameters are those of `ChunkReader`.
    """
    attrs = user_attributes(array.attrs)
    read = ChunkReader(location, array, snapshot, is_optional)
    if not array.shape:
        return xr.Variable(array.dims, read(()), attrs)
    import dask.array  # takes time

    chunks = dask.array.core.normalize_chunks(array.chunks, array.shape)
    meta = np.empty((0,) * len(array.shape), array.dtype)
    # The name is unique, as what is read again may have changed.
    name = f"{array.key}-{uuid.uuid4().hex}"
    data = dask.array.map_blocks(read, name=name, chunks=chunks, meta=meta)
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
