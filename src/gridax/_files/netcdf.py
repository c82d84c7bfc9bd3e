"""NetCDF files of results: written completely or not at all, and opened lazily."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from gridax._disk import check_target, whole
from gridax._files import codec
from gridax._files.synchronous import in_this_thread
from gridax._memory import human
from gridax._plan.plan import boxes


def write_netcdf(dataset: xr.Dataset, path: Path, complevel: int = 0) -> None:
    """Write a Dataset to a netCDF file and read it back to compare before it takes its place.

    Dask arrays are written chunk by chunk.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If the folder does not exist, or `path` is a folder.
    FileExistsError
        If there is a file at `path` that is not a gridax result.
    OSError
        If the file cannot be written correctly, for instance because the disk is full.
    """
    check_target(path)
    _refuse_foreign(path)
    if isinstance(complevel, bool) or not isinstance(complevel, int) or not 0 <= complevel <= 9:
        raise ValueError(f"complevel must be a whole number from 0 to 9, got {complevel!r}")
    encoded = codec.encode(dataset)
    for variable in encoded.variables.values():
        if variable.dtype.kind in "OTU":
            # As rows of characters: HDF5 2 may crash the process when a file with strings of
            # variable length is opened twice (HDFGroup/hdf5#5359).
            variable.encoding["dtype"] = "S1"
            if variable.size and variable.ndim:
                # Each is padded to the longest one; compressed, the padding takes no space.
                variable.encoding |= {"zlib": True, "complevel": 1, "fletcher32": True}
        if variable.size and variable.ndim and variable.dtype.kind not in "OTU":
            variable.encoding["fletcher32"] = True  # detects damage when the variable is read
            if complevel:
                variable.encoding |= {"zlib": True, "shuffle": True, "complevel": complevel}
            if variable.chunks is not None:  # chunks are written and read as a whole
                variable.encoding["chunksizes"] = tuple(along[0] for along in variable.chunks)
    # HDF5 keeps a file that it failed to write open, and so its disk space: do not start.
    needed = sum(v.nbytes for v in encoded.variables.values() if v.dtype.kind not in "OTU")
    if not complevel and needed > shutil.disk_usage(path.parent).free:
        raise _not_written(path, f"it needs {human(needed)}")
    with whole(path.resolve()) as beside:  # a symbolic link stays one
        try:
            with in_this_thread(encoded):
                encoded.to_netcdf(beside, engine="netcdf4", format="NETCDF4")
        except RuntimeError as error:  # netCDF4 also raises it if the disk is full
            raise _not_written(path, str(error)) from error
        with xr.open_dataset(beside, engine="netcdf4", decode_times=False) as written:
            for name in encoded.variables:
                if not _same(encoded.variables[name], written.variables[name]):
                    raise _not_written(path, f"{str(name)!r} reads back differently")


def _not_written(path: Path, why: str) -> OSError:
    free = human(shutil.disk_usage(path.parent).free)
    return OSError(f"{str(path)!r} was not written: {why}; its disk has {free} of free space")


def _refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that is not a gridax result, unless it is empty."""
    if not path.exists() or not path.stat().st_size:
        return
    import netCDF4  # slow to import

    try:
        with netCDF4.Dataset(path) as file:
            ours = "gridax_format" in file.ncattrs()
    except (OSError, RuntimeError):
        ours = False
    if not ours:
        raise FileExistsError(
            f"{str(path)!r} is not a gridax result, so it is not replaced; give another name, or "
            "remove it first"
        )


def _same(given: xr.Variable, written: xr.Variable) -> bool:
    """Compare chunk by chunk, so that a large array is not in memory twice."""
    if given.shape != written.shape:
        return False
    # Each chunk of the file is read as a whole; one that is read in parts is read several times.
    # Strings have their characters as one more dimension there.
    chunks = (written.encoding.get("chunksizes") or written.shape)[: written.ndim]
    has_nan = given.dtype.kind == "f"
    return all(
        np.array_equal(given[piece].values, written[piece].values, equal_nan=has_nan)
        for box in boxes(written.shape, [max(1, length) for length in chunks])
        for piece in [tuple(slice(*side) for side in box)]
    )


def read(path: Path) -> xr.Dataset:
    """Open a netCDF file lazily.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    ValueError
        If it is not a netCDF file, or is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {str(path)!r}")
    stored = xr.Dataset()
    try:
        stored = xr.open_dataset(path, engine="netcdf4", decode_times=False)
        dataset = codec.decode(stored)
    except PermissionError:
        raise
    except Exception as error:  # a damaged or foreign file may raise anything
        stored.close()
        raise ValueError(
            f"{str(path)!r} cannot be read as a netCDF file ({type(error).__name__}: {error})"
        ) from error
    if dataset is not stored:
        dataset.set_close(stored.close)
    return dataset
