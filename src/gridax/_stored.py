"""Zarr stores on a disk or behind a URL: opened lazily, created empty, written whole."""

from __future__ import annotations

import functools
import itertools
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gridax import _blocks, _netcdf, provenance
from gridax._template import Output
from gridax.stores._place import Place
from gridax.stores.base import DONE

STATUS, ERROR = "status", "error"


class Progress(NamedTuple):
    """How far a run has come, in points."""

    done: int
    failed: int
    total: int

    @property
    def pending(self) -> int:
        """Points that nothing is known of yet."""
        return self.total - self.done - self.failed

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {self.total} points done{failed}"


def is_url(path: Any) -> bool:
    """Whether a place is named as fsspec names them, such as ``s3://bucket/run.zarr``."""
    return isinstance(path, str) and "://" in path


def place_of(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Place:
    """Return the place that a path or a URL names.

    Raises
    ------
    TypeError
        If it is neither.
    """
    # Zarr and fsspec take time to import.
    if is_url(path):
        from gridax.stores._bucket import Bucket

        return Bucket(str(path), options or {})
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"store must be a path or a URL, got {path!r}")
    from gridax.stores._folder import Folder

    return Folder(path)


def read(place: Place) -> xr.Dataset:
    """Open a Zarr store, with its outputs left there: dask arrays with one chunk per block.

    Raises
    ------
    ValueError
        If it is no Zarr store, or damaged.
    """
    from gridax.stores.zarr import SEAL, check_seal

    consolidated = "consolidated_metadata" in check_seal(place)
    stored = xr.open_zarr(place.zarr(), consolidated=consolidated, chunks=None, decode_times=False)
    stored.attrs.pop(SEAL, None)
    status = stored.variables[STATUS] if STATUS in stored.data_vars else None
    found = {}
    for name, variable in stored.variables.items():
        guarded = _Guarded(place, str(name), variable, None if name == STATUS else status)
        if name in stored.coords or not variable.ndim:
            found[name] = xr.Variable(variable.dims, guarded[...], variable.attrs)
        else:
            found[name] = _lazy(guarded)
    coords = {name: found.pop(name) for name in stored.coords}
    indexless = xr.Coordinates(coords, indexes={})
    return _netcdf.decode(xr.Dataset(found, indexless, stored.attrs))


class _Guarded:
    """A variable of a store whose chunks are named when they are damaged or missing.

    Parameters
    ----------
    place, name, variable : where it lies.
    status : which blocks may be missing; nothing may if None.
    """

    def __init__(
        self, place: Place, name: str, variable: xr.Variable, status: xr.Variable | None
    ) -> None:
        self._place, self._name, self.variable, self._status = place, name, variable, status
        self.shape, self.ndim = variable.shape, variable.ndim
        # Zarr names the order of bytes where it is the machine's own, which netCDF4 trips over.
        plain = variable.dtype.kind in "biufc"
        self.dtype = variable.dtype.newbyteorder("=") if plain else variable.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            self._check_there(index)
            values = self.variable[index].values
            return values if self.dtype.kind in "OT" else values.view(self.dtype)
        except OSError:
            raise
        except Exception as error:  # whatever a damaged chunk makes the codecs raise
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def _damaged(self, why: str) -> OSError:
        name = self._place.name
        return OSError(
            f"{self._name!r} of {name!r} is damaged ({why}). If it is the store of a run, "
            f"run(store={name!r}, verify='full') computes what is damaged again"
        )

    def _check_there(self, index: Any) -> None:
        """Refuse a chunk that is missing, unless it is still to be computed: zeros are no data."""
        sizes = self.variable.encoding["chunks"]
        index = index if isinstance(index, tuple) else (index,)
        index = (slice(None),) * self.ndim if index[0] is Ellipsis else index
        along = []
        for taken, size, n in zip(index, sizes, self.shape, strict=True):
            positions = np.arange(n)[taken]
            along.append(np.unique(positions // size).tolist())
        numbers = list(itertools.product(*along))
        keys = ["/".join([self._name, "c", *map(str, number)]) for number in numbers]
        for number, head in zip(numbers, self._place.heads(keys, 1), strict=True):
            if head is None and not self._may_be_missing(number):
                raise self._damaged("a part of it is missing")

    def _may_be_missing(self, number: tuple[int, ...]) -> bool:
        if self._name in (STATUS, ERROR):
            return True
        if self._status is None:
            return False
        sizes = self._status.encoding["chunks"]
        pairs = zip(number[: self._status.ndim], sizes, strict=True)
        states = self._status[tuple(slice(k * size, (k + 1) * size) for k, size in pairs)]
        return not states.values.any()


def _lazy(guarded: _Guarded) -> xr.Variable:
    import dask.array

    variable = guarded.variable
    chunks = variable.encoding["chunks"]
    meta = np.empty((0,) * variable.ndim, guarded.dtype)
    data = dask.array.from_array(guarded, chunks, name=False, asarray=False, meta=meta)
    return xr.Variable(variable.dims, data, variable.attrs)


def view(dataset: xr.Dataset, place: Place) -> tuple[xr.Dataset, Progress | None]:
    """Return the Dataset of a run's store as a user sees it, and how far the run has come.

    A result that was saved, and is no store of a run, passes unchanged.
    """
    from gridax.stores.zarr import look_through

    if STATUS not in dataset or ERROR not in dataset:
        return dataset, None
    done, failed, total = look_through(place)
    if done == total:
        return dataset.drop_vars([STATUS, ERROR]), Progress(done, failed, total)
    status = dataset[STATUS].variable
    for name, output in dataset.data_vars.items():
        # Where there is no NaN, zeros would pass for data.
        if output.dtype.kind in "iub" and name != STATUS and "prng_impl" not in output.attrs:
            dataset[name] = output.variable.astype(float).where(status == DONE)
            dataset[name].attrs.update(output.attrs)
    dataset[ERROR] = dataset[ERROR].astype(object)
    if not failed:
        dataset = dataset.drop_vars(ERROR)
    return dataset, Progress(done, failed, total)


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


def names(place: Place) -> dict[str, str]:
    """Return the paths of all variables of a store, by their names."""
    from gridax.stores.zarr import check_seal

    return _netcdf.stored_names(check_seal(place)["attributes"])


def is_result(place: Place) -> bool:
    """Whether there is a result of ours."""
    try:
        return provenance.is_result(read(place))
    except (ValueError, OSError):
        return False


def refuse(place: Place, overwrite: bool) -> None:
    """Refuse to write where something stands, unless it is a result and shall be replaced.

    Raises
    ------
    FileExistsError
        With what to do.
    """
    if not place.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{place.name!r} exists; pass overwrite=True to replace a result")
    if not is_result(place):
        raise FileExistsError(
            f"{place.name!r} is no gridax result, so it is not replaced even with overwrite=True"
        )


def write(dataset: xr.Dataset, path: Path, overwrite: bool) -> None:
    """Write a Dataset to a Zarr store; what dask holds is written chunk by chunk.

    Raises
    ------
    FileExistsError
        If something stands at `path` that may not be replaced.
    """
    # Zarr takes time to import.
    from gridax.stores._folder import Folder, FolderStore
    from gridax.stores.zarr import encodings, save, seal

    place = Folder(path)
    place.check_parent()
    refuse(place, overwrite)
    encoded = _for_zarr(dataset)
    outputs = {
        name: output.variable if output.chunks else output.variable.chunk("auto")
        for name, output in encoded.data_vars.items()
        if output.dtype.kind not in "OT"  # of which nobody knows the size
    }
    encoded = encoded.assign(outputs)
    beside = place.beside()
    store = FolderStore(beside)
    try:
        save(encoded, store, encodings(encoded, (), {}))
        root = beside / "zarr.json"
        root.write_bytes(seal(root.read_bytes()))
        if not place.adopt(beside, overwrite):
            raise FileExistsError(f"{place.name!r} was made by somebody else just now")
    finally:
        store.halt()
        shutil.rmtree(beside, ignore_errors=True)


def create(
    place: Place,
    dataset: xr.Dataset,
    outputs: Sequence[Output],
    block: Sequence[int],
    replace: bool,
) -> bool:
    """Create a store whose outputs are still to be computed; return False if one is there now.

    Parameters
    ----------
    place : where.
    dataset : all labels and attributes; what dask holds is left out.
    outputs : what the model returns.
    block : points of a block along each dimension.
    replace : whether a result that stands there goes.
    """
    from gridax.stores.zarr import check_room, encodings, template_files

    n_points = int(np.prod(dataset[STATUS].shape, dtype=object))
    check_room(place, n_points * sum(output.nbytes for output in outputs))
    encoded = _for_zarr(dataset)
    names = _netcdf.stored_names(encoded.attrs)
    inner = {
        names[output.name]: _blocks.inner_chunks(output.shape, output.nbytes) for output in outputs
    }
    inner |= {STATUS: (), ERROR: ()}
    return place.create(template_files(encoded, encodings(encoded, block, inner)), replace)


def _for_zarr(dataset: xr.Dataset) -> xr.Dataset:
    encoded = _netcdf.encode(dataset, _netcdf.ZARR)
    for name, variable in encoded.variables.items():
        if variable.dtype.kind == "O":  # texts, whose length nobody knows before
            encoded[name] = variable.compute()
    for name, variable in encoded.variables.items():
        if variable.dtype.kind == "U":  # Zarr has no stable format for strings of fixed length
            encoded[name] = variable.copy(data=variable.values.astype(np.dtypes.StringDType()))
    return encoded
