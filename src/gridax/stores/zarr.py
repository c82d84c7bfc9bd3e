"""Outputs streamed to a Zarr store while they are computed, one chunk per block and output.

A block is done when its status chunk says so, which is written after all others. So whatever ends a
run, the store holds whole blocks only, and calling `run` again goes on with the others.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from gridax._memory import human
from gridax._plan import Box, Region, boxes, n_points
from gridax._template import Output
from gridax._warn import warn
from gridax.stores._inventory import Inventory, Stored, is_finished
from gridax.stores._place import Place
from gridax.stores._writer import Writer
from gridax.stores.base import DONE, FAILED, PENDING, Keeping, Store, Task
from gridax.stores.memory import MemoryStore

STATUS, ERROR = "status", "error"

# Smooth float32 shrinks by a third; noise does not, and higher levels spend three times as long on
# finding that out. Damage is found when a chunk is read.
COMPRESSORS = (BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec())
CHECKED = (Crc32cCodec(),)

# What is known of a block when a run begins.
_NEW, _BEGUN, _FINISHED = 0, 1, 2


class ZarrStore(Store):
    """The blocks of a Zarr store that are still to be computed, by one writer.

    Parameters
    ----------
    place : where it lies.
    names : path of each output in the store, in the order of the outputs.
    outputs : what the model returns.
    keeping : how the run uses it.

    Attributes
    ----------
    prefill : callable or None
        Fills in what is known of a block that is new.
    """

    def __init__(
        self,
        place: Place,
        names: Mapping[str, str],
        outputs: Sequence[Output],
        keeping: Keeping,
    ) -> None:
        self._place, self._outputs, self._keeping = place, tuple(outputs), keeping
        self.prefill: Callable[[MemoryStore], None] | None = None
        group: Any = zarr.open_group(
            place.zarr(read_only=False, durable=keeping.durability == "power"), mode="r+"
        )
        # What is all zeros is a value, too.
        config = {"write_empty_chunks": True}
        self._status = group[STATUS].with_config(config)
        self._errors = group[ERROR]
        self._arrays = [group[names[output.name]].with_config(config) for output in outputs]
        self.block = self._status.chunks
        self._sizes = self._status.shape
        filled = [
            Stored(array, array.path, array.chunks) for array in self._arrays if array.size > 0
        ]
        status = Stored(self._status, STATUS, self.block)
        self._inventory = Inventory(place, status, filled, keeping.verify)
        self._open: dict[Box, MemoryStore] = {}
        self._left: dict[Box, int] = {}
        self._writer: Writer[MemoryStore] = Writer(self._write_block)
        self._again: set[Box] = set()  # blocks that may hold messages of errors already
        self._unreported = 0
        n_mine = sum(1 for _ in self._mine())
        self._known = np.full(n_mine, _NEW, np.uint8)
        self.n_points = sum(map(n_points, self._mine()))
        self.n_done = 0
        self._n_written = 0

    @property
    def saved(self) -> tuple[int, int]:
        """Number of blocks that are done, and of all that are this writer's."""
        return int((self._known == _FINISHED).sum()) + self._n_written, len(self._known)

    def _mine(self) -> Iterator[Box]:
        """Yield the blocks of the shard: every n-th, as neighbours cost about the same."""
        i, n = self._keeping.shard
        return itertools.islice(boxes(self._sizes, self.block), i, None, n)

    def look(self) -> bool:
        """Find out what is done; return whether that is everything.

        Warns
        -----
        UserWarning
            If blocks are damaged, so that they will be computed again.
        """
        n_damaged = 0
        again = [k for k, known in enumerate(self._known) if known != _FINISHED]
        asked = itertools.compress(self._mine(), self._known != _FINISHED)
        for k, (states, damaged) in zip(again, self._inventory.look(asked), strict=True):
            n_damaged += damaged
            finished = is_finished(states, self._keeping.retry_failed)
            self._known[k] = _FINISHED if finished else _NEW if states is None else _BEGUN
            if finished and states is not None:
                self.n_done += states.size
        if n_damaged:
            warn(
                f"{n_damaged} block(s) of {self._place.name!r} are damaged, and are computed again"
            )
        return bool((self._known == _FINISHED).all())

    def tasks(self) -> Iterator[Task]:
        """Yield the blocks that are not done, when asked for."""
        for number, box in enumerate(self._mine()):
            if self._known[number] == _FINISHED:
                continue
            buffer = self._begun(box) if self._known[number] == _BEGUN else self._fresh(box)
            self._unreported += buffer.status.size - buffer.n_left
            if buffer.n_left == 0:
                self._writer.submit(buffer)
                continue
            self._open[box], self._left[box] = buffer, buffer.n_left
            todo = buffer.status == PENDING
            yield Task(box, None if todo.all() else todo)

    def _fresh(self, box: Box) -> MemoryStore:
        buffer = MemoryStore(box, self._outputs)
        if self.prefill is not None:
            self.prefill(buffer)
        return buffer

    def _begun(self, box: Box) -> MemoryStore:
        """Return a block of which some points are done, as it was interrupted or is damaged."""
        ((states, _),) = self._inventory.look(iter([box]))
        buffer = self._fresh(box)
        self._again.add(box)
        if states is None:
            return buffer
        keep = states == DONE if self._keeping.retry_failed else states != PENDING
        here = tuple(slice(*bounds) for bounds in box)
        for mine, array in zip(buffer.arrays, self._arrays, strict=True):
            mine[keep] = array[here].astype(mine.dtype)[keep]
        buffer.status[keep] = states[keep]
        messages = self._errors[here]
        for index in np.argwhere(keep & (states == FAILED)):
            at = tuple(map(int, index))
            buffer.errors[at] = str(messages[at])
        return buffer

    def write(self, region: Region, values: Sequence[Any]) -> int:
        """Store the outputs of a tile; return how many of its points are new."""
        if region.box not in self._open:
            return self._reported(0)  # a tile that only repeats what another one has
        for output, value in zip(self._outputs, values, strict=True):
            if not np.can_cast(value.dtype, output.dtype, "safe"):
                raise TypeError(
                    f"output {output.name!r} is {value.dtype} here and {output.dtype} in the "
                    "store: the first point decides, so return one type everywhere (0.0, not 0)"
                )
        return self._count(region.box, self._open[region.box].write(region, values))

    def fail(self, region: Region, error: Exception) -> int:
        """Note that the model failed at a point; return how many points are new, one or none."""
        if region.box not in self._open:
            return self._reported(0)
        return self._count(region.box, self._open[region.box].fail(region, error))

    def _count(self, box: Box, new: int) -> int:
        self._left[box] -= new
        if self._left[box] == 0:
            del self._left[box]
            self._writer.submit(self._open.pop(box))
        return self._reported(new)

    def _reported(self, new: int) -> int:
        new, self._unreported = new + self._unreported, 0
        return new

    def close(self) -> int:
        """Wait until all is written; return how many points were not reported yet.

        Raises
        ------
        OSError
            If something could not be written, with the store named.
        """
        self._writer.close()
        return self._reported(0)

    def rescue(self) -> None:
        """Write what is there of blocks that are not complete, unless writing is what failed."""
        if not self._writer.failed:
            for buffer in list(self._open.values()):
                if buffer.n_left < buffer.status.size:
                    self._writer.submit(buffer)
        self._open.clear()
        self._writer.close()

    def _write_block(self, buffer: MemoryStore) -> None:
        """Write a block, its status last."""
        here = tuple(slice(*bounds) for bounds in buffer.box)
        buffer.erase()
        try:
            for array, values in zip(self._arrays, buffer.arrays, strict=True):
                if values.size:
                    array[here] = values.astype(array.dtype, copy=False)
            if buffer.errors or buffer.box in self._again:
                messages = np.full(buffer.shape, "", dtype=np.dtypes.StringDType())
                for index, text in buffer.errors.items():
                    messages[index] = text
                self._errors[here] = messages
            self._status[here] = buffer.status
            self._n_written += buffer.n_left == 0
        except Exception as error:
            error.add_note(
                f"while a block was written to {self._place.name!r}; the blocks before it are "
                f"kept, and run(store={self._place.name!r}) goes on from there"
            )
            raise


def look_through(place: Place) -> tuple[int, int, int]:
    """Return how many points of a store are done, how many failed, and how many there are."""
    array: Any = zarr.open_group(place.zarr(), mode="r")[STATUS]
    status = Stored(array, STATUS, array.chunks)
    done = failed = 0
    for states, _ in Inventory(place, status, [], "none").look(boxes(array.shape, array.chunks)):
        if states is not None:
            done += int((states == DONE).sum())
            failed += int((states == FAILED).sum())
    return done, failed, array.size


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


_ROOT = "zarr.json"
SEAL = "gridax_checksum"


def seal(content: bytes) -> bytes:
    """Return the root metadata, which hold those of all arrays, with a checksum of them."""
    root = json.loads(content)
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
    except (ValueError, TypeError, KeyError, AttributeError) as error:
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
    with warnings.catch_warnings():
        # That the metadata of all arrays stand in the root, too, is no part of the format yet.
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        dataset.to_zarr(
            store,
            mode="w-",
            zarr_format=3,
            consolidated=True,
            compute=compute,
            encoding=encoding,
            write_empty_chunks=True,  # so that a chunk that is missing was lost
        )


def template_files(dataset: Any, encoding: Mapping[str, Any]) -> dict[str, bytes]:
    """Return all files of a store whose outputs are still to be written."""
    written: dict[str, Any] = {}
    save(dataset, zarr.storage.MemoryStore(written), encoding, compute=False)
    files = {key: value.to_bytes() for key, value in written.items()}
    return {**files, _ROOT: seal(files[_ROOT])}
