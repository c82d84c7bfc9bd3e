"""The root metadata of a store: what it holds, what kind of store it is, and a seal on all that.

The root's ``zarr.json`` repeats the metadata of all arrays ("consolidated metadata"), so that one
read tells everything about a store. A checksum of it stands among its attributes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import google_crc32c
import numpy as np

from gridax._memory import human
from gridax._plan.plan import boxes
from gridax._stores.arrays import StoredArray, piece, plain_json
from gridax._stores.base import DONE, FAILED, STATUS
from gridax._stores.inventory import Inventory
from gridax._stores.location import ROOT, Location
from gridax._warnings import warn

Kind = Literal["run", "saved"]

_FORMAT = "gridax_format"
_SEAL = "gridax_checksum"
# Whether a store belongs to a run or holds a saved result.
_KIND = "gridax_kind"
# How many points are done and how many failed, once none is pending.
_FINISHED = "gridax_finished"
# Format 1 kept checksums in an array of its own and in an attribute. The chunks are the same, so
# its stores can be opened and resumed; the additional checksums are ignored.
_CHECKSUMS_1, _CHUNKS_1 = "_gridax/checksum", "gridax_chunks"
# The main thread and the one that writes blocks both read, change and write the root metadata.
_SETTING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Header:
    """What the root metadata say.

    Attributes
    ----------
    arrays : the arrays by name; none for a store that is not gridax's.
    attrs : attributes for the user's Dataset.
    kind : what the store belongs to.
    finished : numbers of points that are done and that failed, if none is pending; None if this
        is not known, so that the states of the points must be counted.
    """

    arrays: Mapping[str, StoredArray]
    attrs: dict[str, Any]
    kind: Kind
    finished: tuple[int, int] | None

    @property
    def is_result(self) -> bool:
        """Whether the store was written by gridax."""
        return _FORMAT in self.attrs


def read_header(location: Location) -> Header:
    """Return what the root metadata of a store say.

    Raises
    ------
    ValueError
        If there is no Zarr store, its metadata are damaged, or gridax does not write such arrays.
    """
    root = check_seal(location)
    attrs = dict(root["attributes"])
    if _FORMAT not in attrs and _KIND not in attrs:
        return Header({}, attrs, "saved", None)
    metadata = (root.get("consolidated_metadata") or {}).get("metadata", {})
    kind = attrs.pop(_KIND, "run" if _CHECKSUMS_1 in metadata else "saved")
    if kind not in get_args(Kind):
        raise ValueError(f"its attribute {_KIND!r} is {kind!r}")
    finished = attrs.pop(_FINISHED, None)
    attrs.pop(_CHUNKS_1, None)
    try:
        arrays = {
            name: StoredArray.from_metadata(name, described)
            for name, described in metadata.items()
            if "/" not in name and described["node_type"] == "array"
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it describes an array as no Zarr store does ({error})") from error
    return Header(arrays, attrs, kind, None if finished is None else tuple(finished))


def count_states(location: Location, status: StoredArray) -> tuple[int, int, int]:
    """Return how many points of a run's store are done, how many failed, and how many there are."""
    done = failed = 0
    inventory = Inventory(location, status, [], None, "none")
    for states, _ in inventory.states(boxes(status.shape, status.chunks)):
        if states is not None:
            done += int((states == DONE).sum())
            failed += int((states == FAILED).sum())
    return done, failed, math.prod(status.shape)


def note_finished(location: Location) -> None:
    """Note in the root metadata of a run's store that no point is pending, if that is so."""
    header = read_header(location)
    done, failed, total = count_states(location, header.arrays[STATUS])
    if done + failed == total and header.finished != (done, failed):
        set_attributes(location, {_FINISHED: [done, failed]})


def note_unfinished(location: Location) -> None:
    """Remove the note that no point is pending, before a block is written again."""
    if read_header(location).finished is not None:
        set_attributes(location, {_FINISHED: None})


def store_files(
    arrays: Mapping[str, StoredArray],
    values: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
    kind: Kind,
) -> dict[str, bytes]:
    """Return all files of a new store.

    Parameters
    ----------
    arrays : all arrays, by name.
    values : of those arrays that are complete; the chunks of the others are still to be written.
    attrs : of the Dataset.
    kind : what the store belongs to.
    """
    files: dict[str, bytes] = {}
    described = {name: array.metadata() for name, array in arrays.items()}
    for name, array in arrays.items():
        files[f"{array.key}/{ROOT}"] = json.dumps(described[name]).encode()
        if name in values:
            files.update(split_all(array, values[name]))
    root = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {**plain_json(attrs), _KIND: kind},
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": described,
        },
    }
    return {**files, ROOT: seal(root)}


def split_all(array: StoredArray, values: Any) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of each chunk of an array.

    Parameters
    ----------
    array : the array.
    values : what it holds; a NumPy array, or a variable of which each chunk is computed in turn.
    """
    for number in array.numbers():
        chunk = values[piece(number, array.chunks)]
        yield array.key_of(number), array.encode(np.asarray(chunk))


def seal(root: Mapping[str, Any]) -> bytes:
    """Return the content of the root's ``zarr.json``, with a checksum among its attributes."""
    attributes = {k: v for k, v in root["attributes"].items() if k != _SEAL}
    unsealed = {**root, "attributes": attributes}
    return json.dumps(
        {**unsealed, "attributes": {**attributes, _SEAL: _checksum(unsealed)}}
    ).encode()


def check_seal(location: Location) -> dict[str, Any]:
    """Return the root metadata of a store without the checksum, after checking it.

    Raises
    ------
    ValueError
        If there is no Zarr store, or its metadata are damaged.
    """
    (content,) = location.read([ROOT])
    if content is None:
        raise ValueError("there is no Zarr store of format 3")
    try:
        root = json.loads(content)
        sealed = root["attributes"].pop(_SEAL, None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its metadata are damaged ({error})") from error
    # A user may have written the Dataset of a result with xarray: that has no seal. What gridax
    # has written has one, so that damage to its name is noticed, too.
    if sealed is None and _KIND not in root["attributes"]:
        return root
    if sealed != _checksum(root):
        raise ValueError("its metadata are damaged: their checksum does not match")
    return root


def _checksum(root: Mapping[str, Any]) -> int:
    # Of the content and not of the bytes, so that it survives a tool that formats JSON anew.
    return int(google_crc32c.value(json.dumps(root, sort_keys=True).encode()))


def set_attributes(location: Location, attrs: Mapping[str, Any]) -> None:
    """Set some attributes of a store, and remove those that are None."""
    with _SETTING:
        root = check_seal(location)
        merged = {**root["attributes"], **attrs}
        root["attributes"] = {name: value for name, value in merged.items() if value is not None}
        location.put(ROOT, seal(root))


def check_room(location: Location, nbytes: int) -> None:
    """Warn if a disk has less room than the outputs need when they do not compress."""
    free = location.free()
    if free is not None and nbytes > free:
        warn(
            f"the outputs take up to {human(nbytes)}, but the disk of {location.name!r} has "
            f"{human(free)} of free space; if they do not compress, the run will stop when it is "
            "full, and can be resumed when there is room"
        )
