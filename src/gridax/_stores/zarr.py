"""Outputs streamed to a Zarr store while they are computed, one chunk per block and output.

A block is done when its status chunk says so, which is written after all others. So whatever ends a
run, the store holds whole blocks only, and calling `run` again goes on with the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from gridax._outputs.template import Output
from gridax._plan.plan import Box, Region, boxes, n_points
from gridax._stores.base import DONE, ERROR, FAILED, PENDING, STATUS, Keeping, Store, Task, Verify
from gridax._stores.format import recorded
from gridax._stores.inventory import Inventory, is_finished
from gridax._stores.memory import MemoryStore
from gridax._stores.place import Place
from gridax._stores.records import Records, Stored, checked
from gridax._stores.writer import Writer
from gridax._warnings import warn

# What is known of a block when a run begins.
_NEW, _BEGUN, _FINISHED = 0, 1, 2


class Handle(NamedTuple):
    """What another process needs to write to a store."""

    place: Place
    names: Mapping[str, str]
    outputs: Sequence[Output]
    keeping: Keeping

    def open(self, only: Sequence[Box]) -> ZarrStore:
        """Return the store, restricted to some blocks."""
        return ZarrStore(*self, only)


class ZarrStore(Store):
    """The blocks of a Zarr store that are still to be computed, by one writer.

    Parameters
    ----------
    place : where it lies.
    names : path of each output in the store, in the order of the outputs.
    outputs : what the model returns.
    keeping : how the run uses it.
    only : blocks to which it is restricted; those of the shard if None.

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
        only: Sequence[Box] | None = None,
    ) -> None:
        self._place, self.outputs, self._keeping = place, tuple(outputs), keeping
        self._names, self._only = names, only
        self.prefill: Callable[[MemoryStore], None] | None = None
        self._zarr = place.zarr(read_only=False, durable=keeping.durability == "power")
        group: Any = zarr.open_group(self._zarr, mode="r+")
        # What is all zeros is a value, too.
        config = {"write_empty_chunks": True}
        self._status, self._errors = Stored.of(group[STATUS]), group[ERROR]
        self._arrays = [group[names[output.name]].with_config(config) for output in outputs]
        self.block, self._sizes = self._status.chunk, self._status.shape
        filled = recorded(group)
        self._records = Records(self._status, filled)
        self._inventory = Inventory(
            place, self._status, filled, self._records, keeping.verify, self._decode
        )
        self._open: dict[Box, MemoryStore] = {}
        self._left: dict[Box, int] = {}
        self._writer: Writer[MemoryStore] = Writer(self._write_block)
        self._again: set[Box] = set()  # blocks of which there are files already
        self._damaged: set[Box] = set()  # those of them in which nothing counts
        self._unreported = 0
        n_mine = sum(1 for _ in self._mine())
        self._known = np.full(n_mine, _NEW, np.uint8)
        self.n_points = sum(map(n_points, self._mine()))
        self.n_done = 0

    def saved(self) -> tuple[int, int]:
        """Return how many blocks are done now, whoever wrote them, and how many there are."""
        self.look("none")
        return int((self._known == _FINISHED).sum()), len(self._known)

    def _mine(self) -> Iterator[Box]:
        """Yield the blocks of the shard: every n-th, as neighbors cost about the same."""
        if self._only is not None:
            return iter(self._only)
        i, n = self._keeping.shard
        return itertools.islice(boxes(self._sizes, self.block), i, None, n)

    def handle(self) -> Handle:
        """Return what another process needs to write to the store."""
        return Handle(self._place, self._names, self.outputs, self._keeping)

    def left(self) -> Iterator[Box]:
        """Yield the blocks that are not done."""
        return itertools.compress(self._mine(), (self._known != _FINISHED).tolist())

    def begin(self, box: Box) -> None:
        """Open a block that was not among the tasks, so that it can be written or failed."""
        buffer = self._begun(box)
        if buffer.n_left:
            self._open[box], self._left[box] = buffer, buffer.n_left

    def copy_known(self) -> int:
        """Store what is known of the blocks that are new; return the number of points."""
        copied = 0
        for number, box in enumerate(self._mine()):
            if self._known[number] != _NEW or self.prefill is None:
                continue
            buffer = self._fresh(box)
            new = buffer.status.size - buffer.n_left
            if new:
                self._writer.submit(buffer)
                self._known[number] = _BEGUN if buffer.n_left else _FINISHED
            copied += new
        self._writer.close()
        return copied

    def look(self, verify: Verify | None = None) -> bool:
        """Find out what is done; return whether that is everything.

        Parameters
        ----------
        verify : how blocks are checked, if not as the run wants it.

        Warns
        -----
        UserWarning
            If blocks are damaged, so that they will be computed again.
        """
        told = bool(self._damaged)
        open_ = np.flatnonzero(self._known != _FINISHED).tolist()
        asked, boxes_ = itertools.tee(itertools.compress(self._mine(), self._known != _FINISHED))
        looked = zip(open_, boxes_, self._inventory.look(asked, verify), strict=True)
        for k, box, (states, damaged) in looked:
            finished = is_finished(states, self._keeping.retry_failed)
            self._known[k] = _FINISHED if finished else _NEW if states is None else _BEGUN
            if finished and states is not None:
                self.n_done += states.size
            if damaged:
                self._damaged.add(box)
                self._again.add(box)
        if self._damaged and not told:
            warn(
                f"{len(self._damaged)} block(s) of {self._place.name!r} are damaged, and are "
                "computed again"
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
        buffer = MemoryStore(box, self.outputs)
        if self.prefill is not None:
            self.prefill(buffer)
            self._check_types(array.dtype for array in buffer.arrays)
        return buffer

    def _begun(self, box: Box) -> MemoryStore:
        """Return a block of which some points are done, as it was interrupted or is damaged."""
        # What is read here is written again, and then nobody could find the damage any more.
        ((states, _),) = self._inventory.look(iter([box]), "full")
        buffer = self._fresh(box)
        self._again.add(box)
        if states is None:
            self._damaged.add(box)
            return buffer
        keep = states == DONE if self._keeping.retry_failed else states != PENDING
        here = _slices(box)
        try:
            found, messages = [array[here] for array in self._arrays], self._errors[here]
        except OSError:
            raise
        except Exception:  # damaged, in a way that only reading shows
            self._damaged.add(box)
            return buffer
        for mine, array in zip(buffer.arrays, found, strict=True):
            mine[keep] = array.astype(mine.dtype)[keep]
        buffer.status[keep] = states[keep]
        for index in np.argwhere(keep & (states == FAILED)):
            at = tuple(map(int, index))
            buffer.errors[at] = str(messages[at])
        return buffer

    def write(self, region: Region, values: Sequence[Any]) -> int:
        """Store the outputs of a tile; return how many of its points are new."""
        if region.box not in self._open:
            return self._reported(0)  # a tile that only repeats what another one has
        self._check_types(value.dtype for value in values)
        return self._count(region.box, self._open[region.box].write(region, values))

    def _check_types(self, dtypes: Iterable[np.dtype]) -> None:
        for output, dtype in zip(self.outputs, dtypes, strict=True):
            if not np.can_cast(dtype, output.dtype, "safe"):
                raise TypeError(
                    f"output {output.name!r} is {dtype} here and {output.dtype} in the store: the "
                    "first point decides, so return one type everywhere (0.0, not 0)"
                )

    def fail(self, region: Region, error: Exception | str) -> int:
        """Note that the model failed at some points; return how many are new."""
        if region.box not in self._open:
            return self._reported(0)
        return self._count(region.box, self._open[region.box].fail(region, error))

    def _count(self, box: Box, new: int) -> int:
        self._left[box] -= new
        if self._left[box] == 0:
            # In this order: whatever interrupts it, the block is in one of the two.
            self._writer.submit(self._open[box])
            del self._left[box], self._open[box]
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

    def _decode(self, box: Box) -> None:
        for array in (*self._arrays, self._errors):
            array[_slices(box)]

    def _write_block(self, buffer: MemoryStore) -> None:
        """Write a block, its status last."""
        here, number = _slices(buffer.box), self._inventory.number(buffer.box)
        buffer.erase()
        again = buffer.box in self._again
        try:
            status_key = next(self._status.chunks_of(number))
            if buffer.box in self._damaged:
                self._put(status_key, self._encoded(np.full(buffer.shape, PENDING, np.uint8)))
            if again:  # until all of it is new, its parts need not fit together
                self._put(self._records.key(number), self._records.unknown())
            for array, values in zip(self._arrays, buffer.arrays, strict=True):
                if values.size:
                    array[here] = values.astype(array.dtype, copy=False)
            if buffer.errors or again:
                messages = np.full(buffer.shape, "", dtype=np.dtypes.StringDType())
                for index, text in buffer.errors.items():
                    messages[index] = text
                self._errors[here] = messages
            status = self._encoded(buffer.status)
            files = [
                (self._records.key(number), self._records.made(self._place, number, status)),
                (status_key, status),
            ]
            # A status that is there already must never meet the record of the next one.
            for key, content in reversed(files) if again else files:
                self._put(key, content)
        except Exception as error:
            error.add_note(
                f"while a block was written to {self._place.name!r}; the blocks before it are "
                f"kept, and run(store={self._place.name!r}) goes on from there"
            )
            raise

    def _encoded(self, states: np.ndarray) -> bytes:
        """Return the states of a block as Zarr would write them: whole chunks, and a checksum."""
        whole = np.full(self.block, PENDING, np.uint8)
        whole[tuple(map(slice, states.shape))] = states
        return checked(whole.tobytes())

    def _put(self, key: str, content: bytes) -> None:
        """Write a small file as it is: through an array of Zarr's it would take twice as long."""
        sync(self._zarr.set(key, default_buffer_prototype().buffer.from_bytes(content)))


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(*bounds) for bounds in box)
