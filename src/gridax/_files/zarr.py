"""Zarr stores on a disk or behind a URL: opened lazily, created empty, written whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._files import codec, describe
from gridax._files.chunks import Chunks, Guarded, lazy
from gridax._outputs.template import Output
from gridax._show import html
from gridax._stores.base import DONE, ERROR, STATUS
from gridax._stores.chunking import inner_chunks
from gridax._stores.place import Place


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

    def _repr_html_(self) -> str:
        return html.frame(html.progress(*self))


def is_url(path: Any) -> bool:
    """Whether a place is named as fsspec names them, such as ``s3://bucket/run.zarr``."""
    return isinstance(path, str) and "://" in path


def local_path(path: Any) -> str | None:
    """Return the path that a URL of this machine names, or None for anything else."""
    return unquote(urlsplit(path).path) if str(path).startswith("file://") else None


def place_of(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Place:
    """Return the place that a path or a URL names.

    Raises
    ------
    TypeError
        If it is neither.
    """
    # Zarr and fsspec take time to import.
    if is_url(path) and local_path(path) is None:
        from gridax._stores.bucket import Bucket

        return Bucket(str(path), options or {})
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"store must be a path or a URL, got {path!r}")
    from gridax._stores.folder import Folder

    return Folder(local_path(path) or path)


def address(place: Place) -> str:
    """Return what tells a place from any other, whatever it is called here."""
    return str(getattr(place, "path", place.name))


class Opened(NamedTuple):
    """A Zarr store, with its outputs left there.

    Attributes
    ----------
    dataset : outputs are dask arrays with one chunk per block.
    is_store : whether it is the store of a run, and no result that was saved.
    names : path in the store of each variable.
    """

    dataset: xr.Dataset
    is_store: bool
    names: Mapping[str, str]


def read(place: Place) -> Opened:
    """Open a Zarr store.

    Raises
    ------
    ValueError
        If it is no Zarr store, or damaged.
    """
    from gridax._stores.format import CHUNKS, SEAL, check_seal, is_store

    root = check_seal(place)
    consolidated = "consolidated_metadata" in root
    try:
        stored = xr.open_zarr(
            place.zarr(), consolidated=consolidated, chunks=None, decode_times=False
        )
    except RuntimeError as error:  # what a damaged coordinate makes the codecs raise
        raise ValueError(f"a coordinate is damaged ({error})") from error
    attrs = root["attributes"]
    chunks = Chunks(place, stored, attrs.get(CHUNKS, {}), is_store(root))
    for attr in (SEAL, CHUNKS):
        stored.attrs.pop(attr, None)
    found = {}
    for name, variable in stored.variables.items():
        guarded = Guarded(place, str(name), variable, chunks)
        if name in stored.coords or not variable.ndim:
            found[name] = xr.Variable(variable.dims, guarded[...], variable.attrs)
        else:
            found[name] = lazy(guarded)
    coords = {name: found.pop(name) for name in stored.coords}
    indexless = xr.Coordinates(coords, indexes={})
    dataset = codec.decode(xr.Dataset(found, indexless, stored.attrs))
    return Opened(dataset, is_store(root), codec.stored_names(attrs))


def view(opened: Opened, place: Place) -> tuple[xr.Dataset, Progress | None]:
    """Return the Dataset of a run's store as a user sees it, and how far the run has come.

    A result that was saved, and is no store of a run, passes unchanged.
    """
    from gridax._stores.format import look_through

    dataset = opened.dataset
    if not opened.is_store:
        return dataset, None
    done, failed, total = look_through(place)
    if done == total:
        return dataset.drop_vars([STATUS, ERROR]), Progress(done, failed, total)
    status = dataset[STATUS].variable
    for name, output in dataset.data_vars.items():
        # Where there is no NaN, zeros would pass for data.
        whole = output.dtype.kind in "iub" or jnp.issubdtype(output.dtype, jnp.integer)
        if whole and name != STATUS and "prng_impl" not in output.attrs:
            dataset[name] = output.variable.astype(float).where(status == DONE)
            dataset[name].attrs.update(output.attrs)
    dataset[ERROR] = dataset[ERROR].astype(object)
    if not failed:
        dataset = dataset.drop_vars(ERROR)
    return dataset, Progress(done, failed, total)


def is_result(place: Place) -> bool:
    """Whether there is a result of ours."""
    try:
        return describe.is_result(read(place).dataset)
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
    from gridax._stores.folder import Folder, FolderStore
    from gridax._stores.format import encodings, save, seal

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
    store = FolderStore(beside, durable=overwrite)  # before the old one goes
    try:
        save(encoded, store, encodings(encoded, (), {}))
        root = beside / "zarr.json"
        root.write_bytes(seal(root.read_bytes(), _sums(beside)))
        if not place.adopt(beside, overwrite):
            raise FileExistsError(f"{place.name!r} was made by somebody else just now")
    finally:
        store.halt()
        shutil.rmtree(beside, ignore_errors=True)


def _sums(folder: Path) -> dict[str, int]:
    """Return the checksums of all chunks in a folder."""
    from gridax._stores.folder import Folder

    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"]
    keys = [path.relative_to(folder).as_posix() for path in files]
    ends = Folder(folder).ends(keys)
    return {k: int.from_bytes(e.tail, "little") for k, e in zip(keys, ends, strict=True) if e}


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
    from gridax._stores.format import check_room, encodings, template_files

    n_points = int(np.prod(dataset[STATUS].shape, dtype=object))
    check_room(place, n_points * sum(output.nbytes for output in outputs))
    encoded = _for_zarr(dataset)
    names = codec.stored_names(encoded.attrs)
    inner = {names[output.name]: inner_chunks(output.shape, output.nbytes) for output in outputs}
    inner |= {STATUS: (), ERROR: ()}
    return place.create(template_files(encoded, encodings(encoded, block, inner)), replace)


def _for_zarr(dataset: xr.Dataset) -> xr.Dataset:
    encoded = codec.encode(dataset, codec.ZARR)
    for name, variable in encoded.variables.items():
        if variable.dtype.kind == "U":  # Zarr has no stable format for strings of fixed length
            encoded[name] = variable.copy(data=variable.values.astype(np.dtypes.StringDType()))
    return encoded
