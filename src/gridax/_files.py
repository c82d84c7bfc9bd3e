"""Result files that appear whole or not at all, and their opening."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from gridax import _netcdf, provenance
from gridax._memory import human


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it takes the place of `path` at the end.

    An exception leaves what stood at `path` as it was, and nothing beside it.
    """
    beside = _sibling(path, "partial")
    try:
        yield beside
        _sync(beside)
        os.replace(beside, path)
        _sync(path.parent)
    finally:
        if beside.exists():
            os.truncate(beside, 0)  # HDF5 may not let go of a file that it failed to write
            beside.unlink()


def _sibling(path: Path, kind: str) -> Path:
    """Return a hidden name beside `path` that nobody uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.{kind}")


def _sync(path: Path) -> None:
    """Make the system write a file, or the entries of a folder, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a Dataset to a netCDF file and read it back to compare before it takes its place.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If the folder does not exist, or `path` is a folder.
    OSError
        If what was written differs from what was to be written, as on a full disk.
    """
    check_target(path)
    encoded = _netcdf.encode(dataset)
    for variable in encoded.variables.values():
        if variable.size and variable.ndim and variable.dtype.kind != "U":
            variable.encoding["fletcher32"] = True  # so that damage is found when it is read
    # HDF5 keeps a file that it could not write open, and with it the room: better not begin.
    needed = sum(v.nbytes for v in encoded.variables.values() if v.dtype.kind != "U")
    if needed > shutil.disk_usage(path.parent).free:
        raise _not_written(path, f"it needs {human(needed)}")
    with whole(path.resolve()) as beside:  # a link stays one
        try:
            encoded.to_netcdf(beside, engine="netcdf4", format="NETCDF4")
        except RuntimeError as error:  # how netCDF4 says that the disk is full, too
            raise _not_written(path, str(error)) from error
        with xr.open_dataset(beside, engine="netcdf4", decode_times=False) as written:
            for name in encoded.variables:
                if not _same(encoded.variables[name], written.variables[name]):
                    raise _not_written(path, f"{str(name)!r} reads back otherwise")


def _not_written(path: Path, why: str) -> OSError:
    free = human(shutil.disk_usage(path.parent).free)
    return OSError(f"{str(path)!r} was not written: {why}; its disk has {free} of free space")


def check_target(path: Path) -> None:
    """Refuse a path that no file can take."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist; create it first")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{str(path)!r} is a device or the like; give the name of a file")


def _same(wanted: xr.Variable, found: xr.Variable) -> bool:
    """Compare in slabs, so that a large array is not held twice."""
    if wanted.shape != found.shape:
        return False
    if not wanted.shape:
        return _equal(wanted.values, found.values)
    row = max(1, wanted.nbytes // wanted.shape[0]) if wanted.shape[0] else 1
    step = max(1, 2**26 // row)
    return all(
        _equal(wanted[start : start + step].values, found[start : start + step].values)
        for start in range(0, wanted.shape[0], step)
    )


def _equal(wanted: np.ndarray, found: np.ndarray) -> bool:
    return np.array_equal(wanted, found, equal_nan=wanted.dtype.kind == "f")


def write_zarr(dataset: xr.Dataset, path: Path, overwrite: bool) -> None:
    """Write a Dataset to a Zarr store; only a result of ours is ever replaced.

    Raises
    ------
    FileExistsError
        If something stands at `path` that may not be replaced.
    """
    from gridax.stores._halting import HaltingStore  # zarr takes time to import

    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist; create it first")
    if path.exists():
        if not overwrite:
            raise FileExistsError(f"{str(path)!r} exists; pass overwrite=True to replace a result")
        if not _is_result(path):
            raise FileExistsError(
                f"{str(path)!r} is no gridax result, so it is not replaced even with overwrite=True"
            )
    encoded = _netcdf.encode(dataset)
    for name, variable in encoded.variables.items():
        if variable.dtype.kind == "U":  # Zarr has no stable format for strings of fixed length
            encoded[name] = variable.copy(data=variable.values.astype(np.dtypes.StringDType()))
    path = path.resolve()  # a link stays one
    beside = _sibling(path, "partial")
    store = HaltingStore(beside)
    try:
        encoded.to_zarr(store, mode="w-", zarr_format=3, consolidated=False)
        if path.exists():
            old = _sibling(path, "old")
            os.replace(path, old)
            os.replace(beside, path)
            shutil.rmtree(old)
        else:
            os.replace(beside, path)
    finally:
        store.halt()
        shutil.rmtree(beside, ignore_errors=True)


def _is_result(path: Path) -> bool:
    try:
        return path.is_dir() and provenance.is_result(read(path))
    except ValueError:
        return False


def read(path: Path) -> xr.Dataset:
    """Open a netCDF file or a Zarr store, with its data left in the file.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    ValueError
        If it is neither netCDF nor Zarr, or damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    kind = "Zarr store" if path.is_dir() else "netCDF file"
    stored = xr.Dataset()
    try:
        if path.is_dir():
            stored = xr.open_zarr(path, consolidated=False, chunks=None, decode_times=False)
        else:
            stored = xr.open_dataset(path, engine="netcdf4", decode_times=False)
        dataset = _netcdf.decode(stored)
    except PermissionError:
        raise
    except Exception as error:  # whatever a damaged or foreign file makes the readers raise
        stored.close()
        raise ValueError(
            f"{str(path)!r} cannot be read as a {kind} ({type(error).__name__}: {error})"
        ) from error
    if dataset is not stored:
        dataset.set_close(stored.close)
    return dataset
