"""The files of a store: how they are laid out, described, and protected against damage."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from gridax._memory import human
from gridax._plan.plan import boxes
from gridax._stores.base import DONE, ERROR, FAILED, STATUS
from gridax._stores.inventory import Inventory
from gridax._stores.place import Place
from gridax._stores.records import GROUP, NAME, Records, Stored, sums_of
from gridax._warnings import warn

# Smooth float32 shrinks by a third; noise does not, and higher levels spend three times as long on
# finding that out. Damage is found when a chunk is read.
COMPRESSORS = (BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec())
CHECKED = (Crc32cCodec(),)

_ROOT = "zarr.json"
SEAL, CHUNKS = "gridax_checksum", "gridax_chunks"
_OUTPUTS = "outputs"


def recorded(group: Any) -> list[Stored]:
    """Return the outputs of a store in the order of its records."""
    return [Stored.of(group[key]) for key in group[f"{GROUP}/{NAME}"].attrs[_OUTPUTS]]


def look_through(place: Place) -> tuple[int, int, int]:
    """Return how many points of a store are done, how many failed, and how many there are."""
    array: Any = zarr.open_group(place.zarr(), mode="r")[STATUS]
    status = Stored.of(array)
    found = Inventory(place, status, [], Records(status, []), "none", lambda box: None)
    done = failed = 0
    for states, _ in found.look(boxes(status.shape, status.chunk)):
        if states is not None:
            done += int((states == DONE).sum())
            failed += int((states == FAILED).sum())
    return done, failed, math.prod(status.shape)


def is_store(root: Mapping[str, Any]) -> bool:
    """Whether root metadata are those of a run's store, and of no result that was saved."""
    there = root.get("consolidated_metadata") or {}
    return f"{GROUP}/{NAME}" in there.get("metadata", {})


def encodings(
    dataset: Any, block: Sequence[int], inner: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, Any]]:
    """Return how Zarr shall write the variables of a Dataset.

    Parameters
    ----------
    dataset : as files can hold it.
    block : points of a block along each dimension of the grid.
    inner : by output, how the arrays of one point are cut.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        numbers = variable.dtype.kind not in "OT" and str(name) != STATUS
        found[name] = {"compressors": COMPRESSORS if numbers else CHECKED}
        if name in inner:
            found[name]["chunks"] = (*block, *inner[name])
        if variable.dtype.kind in "fc":
            found[name]["fill_value"] = variable.dtype.type(np.nan)
    return found


def check_room(place: Place, nbytes: int) -> None:
    """Warn where a disk has less room than the outputs take if they do not compress."""
    free = place.free()
    if free is not None and nbytes > free:
        warn(
            f"the outputs take up to {human(nbytes)}, but the disk of {place.name!r} has "
            f"{human(free)} of free space; if they do not compress, the run will end when it is "
            "full, and go on when there is room"
        )


def seal(content: bytes, sums: Mapping[str, int] | None = None) -> bytes:
    """Return the root metadata, which hold those of all arrays, with a checksum of them.

    Parameters
    ----------
    content : the metadata.
    sums : checksums of all chunks that stay as they are, by key.
    """
    root = json.loads(content)
    if sums is not None:
        root["attributes"][CHUNKS] = dict(sums)
    root["attributes"].pop(SEAL, None)
    root["attributes"][SEAL] = _checksum(root)
    return json.dumps(root).encode()


def check_seal(place: Place) -> dict[str, Any]:
    """Return the root metadata of a store, after checking them.

    Raises
    ------
    ValueError
        If there is no Zarr store, or its metadata are damaged.
    """
    (content,) = place.read([_ROOT])
    if content is None:
        raise ValueError("there is no Zarr store of format 3")
    try:
        root = json.loads(content)
        sealed = root["attributes"].pop(SEAL, None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its metadata are damaged ({error})") from error
    if sealed is not None and sealed != _checksum(root):
        raise ValueError("its metadata are damaged, as their checksum tells")
    return root


def _checksum(root: dict[str, Any]) -> int:
    return google_crc32c.value(json.dumps(root, sort_keys=True).encode())


def update(place: Place, attrs: Mapping[str, Any]) -> None:
    """Change some attributes of a store."""
    (content,) = place.read([_ROOT])
    root = json.loads(content or b"{}")
    root["attributes"].update(attrs)
    place.put(_ROOT, seal(json.dumps(root).encode()))


def save(dataset: Any, store: Any, encoding: Mapping[str, Any], compute: bool = True) -> None:
    """Write a Dataset to a new Zarr store; what dask holds is left out unless it is computed.

    Parameters
    ----------
    dataset : as files can hold it.
    store : where, as Zarr has it.
    encoding : of each variable.
    compute : whether to compute.
    """
    with _consolidated():
        dataset.to_zarr(
            store,
            mode="w-",
            zarr_format=3,
            consolidated=True,
            compute=compute,
            encoding=encoding,
            write_empty_chunks=True,  # so that a chunk that is missing was lost
        )


@contextlib.contextmanager
def _consolidated() -> Iterator[None]:
    """Let metadata of all arrays stand in the root, too, which is no part of the format yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        yield


def template_files(dataset: Any, encoding: Mapping[str, Any]) -> dict[str, bytes]:
    """Return all files of a store whose outputs are still to be written."""
    written: dict[str, Any] = {}
    store = zarr.storage.MemoryStore(written)
    save(dataset, store, encoding, compute=False)
    group: Any = zarr.open_group(store, mode="r+")
    status = Stored.of(group[STATUS])
    grid = [*map(math.ceil, np.divide(status.shape, status.chunk))]
    outputs = [Stored.of(group[name]) for name in dataset.data_vars if name in encoding]
    outputs = [s for s in outputs if s.key not in (STATUS, ERROR) and 0 not in s.shape]
    length = Records(status, outputs).length
    group.create_array(
        f"{GROUP}/{NAME}",
        shape=(*grid, length),
        chunks=(*(1 for _ in grid), length),
        dtype=np.uint32,
        compressors=CHECKED,
        attributes={_OUTPUTS: [stored.key for stored in outputs]},
        dimension_names=[*(f"block_{i}" for i in range(len(grid))), "chunk"],
    )
    with _consolidated():
        zarr.consolidate_metadata(store)
    files = {key: value.to_bytes() for key, value in written.items()}
    return {**files, _ROOT: seal(files[_ROOT], sums_of(files))}
