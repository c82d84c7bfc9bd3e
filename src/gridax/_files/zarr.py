"""Results in Zarr stores: opened lazily, created empty, saved whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._disk import check_parent
from gridax._files import codec
from gridax._files.merge import ATTRIBUTE as SUMMARY
from gridax._files.merge import Summary, merged
from gridax._files.swept import swept_axes
from gridax._files.synchronous import in_this_thread
from gridax._outputs.template import Output
from gridax._plan.progress import Progress
from gridax._reduce.variables import FAILED as FAILED_POINTS
from gridax._stores.base import DONE, ERROR, PENDING, STATUS
from gridax._stores.chunking import inner_chunks
from gridax._stores.location import Location

if TYPE_CHECKING:
    from gridax._files.chunks import Snapshot
    from gridax._stores.arrays import StoredArray
    from gridax._stores.format import Header

# Modules of stores that decode chunks are imported where they are needed: numcodecs takes time.


class OpenedStore(NamedTuple):
    """A Zarr store whose outputs are read when they are needed.

    Attributes
    ----------
    dataset : outputs are dask arrays with one chunk per block.
    header : what the root metadata say.
    names : name of the array of each variable.
    snapshot : the states of the points of a run that is not finished, as of when they are used.
    """

    dataset: xr.Dataset
    header: Header
    names: Mapping[str, str]
    snapshot: Snapshot | None = None

    @property
    def is_run(self) -> bool:
        """Whether it is the store of a run; otherwise a result was saved there."""
        return self.header.kind == "run"


def open_store(location: Location) -> OpenedStore:
    """Open a Zarr store; this reads the root metadata and the coordinates.

    Raises
    ------
    ValueError
        If it is no Zarr store, its metadata are damaged, or gridax does not write such arrays.
    OSError
        If a coordinate is damaged.
    """
    from gridax._files.chunks import Snapshot, lazy, user_attributes
    from gridax._stores.format import read_header

    header = read_header(location)
    attrs = user_attributes(header.attrs)
    status = header.arrays.get(STATUS) if header.kind == "run" else None
    snapshot = None
    if status is not None and header.finished is None:
        snapshot = Snapshot(location, status)
    labels = codec.stored_coordinates(attrs)
    in_memory = [array for name, array in header.arrays.items() if name in labels]
    variables = _read_whole(location, in_memory)
    for name, array in header.arrays.items():
        if name not in variables:
            # There are messages only where a point has failed.
            variables[name] = lazy(location, array, snapshot, status is not None and name == ERROR)
    coords = {name: variables.pop(name) for name in list(variables) if name in labels}
    plain = xr.Dataset(variables, xr.Coordinates(coords, indexes={}), attrs)
    return OpenedStore(codec.decode(plain), header, codec.stored_names(attrs), snapshot)


def _read_whole(location: Location, arrays: Sequence[StoredArray]) -> dict[str, xr.Variable]:
    """Return variables in memory, of which every chunk must be there."""
    from gridax._files.chunks import damaged, user_attributes
    from gridax._stores.arrays import DamagedChunk

    keys = [[array.key_of(number) for number in array.numbers()] for array in arrays]
    contents = iter(location.read(list(itertools.chain(*keys))))
    variables = {}
    for array, its_keys in zip(arrays, keys, strict=True):
        try:
            values = array.read(list(itertools.islice(contents, len(its_keys))))
        except DamagedChunk as error:
            raise damaged(location, array.key, error) from error
        variables[array.key] = xr.Variable(array.dims, values, user_attributes(array.attrs))
    return variables


def view_of_run(opened: OpenedStore) -> tuple[xr.Dataset, Progress | None]:
    """Return the Dataset of a run's store as a user sees it, and how far the run has come.

    A result that was saved, and is no store of a run, is returned unchanged.
    """
    dataset, header = opened.dataset, opened.header
    if not opened.is_run:
        return dataset, None
    summary = Summary.read(dataset.attrs)
    if opened.snapshot is not None:
        progress = Progress(*opened.snapshot.counts())
    else:
        progress = Progress(*(header.finished or (0, 0)), math.prod(header.arrays[STATUS].shape))
    if summary is not None:
        return _view_of_cells(dataset, summary, progress)
    if progress.done == progress.total:
        return dataset.drop_vars([STATUS, ERROR]), progress
    status = dataset[STATUS].variable
    for name, output in dataset.data_vars.items():
        # Where there is no NaN, zeros would be taken for data.
        has_no_nan = output.dtype.kind in "iub" or jnp.issubdtype(output.dtype, jnp.integer)
        if has_no_nan and name != STATUS and "prng_impl" not in output.attrs:
            dataset[name] = output.variable.astype(float).where(status == DONE)
            dataset[name].attrs.update(output.attrs)
    dataset[ERROR] = dataset[ERROR].astype(object)
    if not progress.failed:
        dataset = dataset.drop_vars(ERROR)
    return dataset, progress


def _view_of_cells(
    dataset: xr.Dataset, summary: Summary, cells: Progress
) -> tuple[xr.Dataset, Progress]:
    """Return the Dataset of a reduced run, and how many of its points are done.

    Parameters
    ----------
    dataset : what is stored of each cell.
    summary : of it.
    cells : how many of them are done, failed and pending.
    """
    found = merged(dataset, summary, cells.done == cells.total, swept_axes(dataset))
    view = dataset.drop_vars([*summary.variables, STATUS, ERROR, FAILED_POINTS]).assign(found)
    view.attrs[SUMMARY] = summary.json(merged=True)
    n_failed = int(found[FAILED_POINTS].sum()) if FAILED_POINTS in found else 0
    total = math.prod(summary.cells.sizes)
    begun = total
    if cells.pending:
        begun = summary.cells.n_points_in(dataset[STATUS].values != PENDING)
    return view, Progress(begun - n_failed, n_failed, total)


def refuse_existing(location: Location, overwrite: bool) -> None:
    """Refuse to write where something exists, unless it is a result and shall be replaced.

    Raises
    ------
    FileExistsError
        With what to do.
    """
    if not location.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{location.name!r} exists; pass overwrite=True to replace a result")
    from gridax._stores.format import read_header

    try:
        is_result = read_header(location).is_result
    except ValueError:
        is_result = False
    if not is_result:
        raise FileExistsError(
            f"{location.name!r} is not a gridax result, so it is not replaced even with "
            "overwrite=True"
        )


def save_store(dataset: xr.Dataset, path: Path, overwrite: bool) -> None:
    """Save a Dataset to a new Zarr store; lazy variables are read and written chunk by chunk.

    Raises
    ------
    FileExistsError
        If something exists at `path` that may not be replaced.
    """
    from gridax._stores.folder import Folder
    from gridax._stores.format import split_all, store_files

    location = Folder(path)
    check_parent(location.path)
    refuse_existing(location, overwrite)
    encoded = codec.encode(dataset, codec.ZARR)
    arrays = {str(name): _stored(str(name), each) for name, each in encoded.variables.items()}
    labels = {str(name): variable.values for name, variable in encoded.coords.items()}
    files = store_files(arrays, labels, _with_coordinates(encoded), "saved")
    outputs = (split_all(arrays[str(n)], v.variable) for n, v in encoded.data_vars.items())
    with in_this_thread(encoded):
        every = itertools.chain(files.items(), *outputs)
        # An old one is removed only when the disk has the new one.
        if not location.save(every, overwrite, is_synced=overwrite):
            raise FileExistsError(f"{location.name!r} was created by another process just now")


def create_store(
    location: Location,
    dataset: xr.Dataset,
    outputs: Sequence[Output],
    block: Sequence[int],
    replace: bool,
) -> bool:
    """Create a store whose outputs are still to be computed; return False if one is there now.

    Parameters
    ----------
    location : of the store.
    dataset : all labels and attributes; lazy variables are left out.
    outputs : what the model returns.
    block : points of a block along each dimension.
    replace : whether an existing result is replaced.
    """
    from gridax._stores.format import check_room, store_files

    n_points = math.prod(dataset[STATUS].shape)
    check_room(location, n_points * sum(output.nbytes for output in outputs))
    encoded = codec.encode(dataset, codec.ZARR)
    names = codec.stored_names(encoded.attrs)
    chunks: dict[str, tuple[int, ...]] = {
        names[output.name]: (*block, *inner_chunks(output.shape, output.nbytes))
        for output in outputs
    }
    chunks |= {STATUS: tuple(block), ERROR: tuple(block)}
    arrays = {
        str(name): _stored(str(name), variable, chunks.get(str(name)))
        for name, variable in encoded.variables.items()
    }
    labels = {str(n): v.values for n, v in encoded.variables.items() if n not in chunks}
    files = store_files(arrays, labels, _with_coordinates(encoded), "run")
    return location.create(files, replace)


def _stored(name: str, variable: xr.Variable, chunks: tuple[int, ...] | None = None) -> StoredArray:
    """Return the layout of a variable; its chunks are those of dask, or cut to be of some size."""
    from gridax._stores.arrays import StoredArray

    is_text = variable.dtype.kind in "OTU"
    if chunks is None and variable.chunks is not None:
        chunks = tuple(max(1, along[0]) for along in variable.chunks)
    elif chunks is None:
        chunks = inner_chunks(variable.shape, variable.nbytes)
    return StoredArray(
        key=name,
        shape=variable.shape,
        chunks=chunks,
        # Zarr has no stable format for strings of fixed length.
        dtype=np.dtypes.StringDType() if is_text else variable.dtype,
        dims=tuple(map(str, variable.dims)),
        attrs=variable.attrs,
        # One byte per point, which `gridax._stores.inventory` reads for all blocks at once.
        is_compressed=not is_text and name != STATUS,
    )


def _with_coordinates(encoded: xr.Dataset) -> dict[str, Any]:
    """Return the attributes of a Dataset, with one that tells xarray which variables are labels."""
    labels = sorted(str(name) for name in encoded.coords if name not in encoded.dims)
    return {**encoded.attrs, **({"coordinates": " ".join(labels)} if labels else {})}
