"""Outputs streamed to a Zarr store while they are computed, one chunk per block and output.

A block is done when its status chunk says so, which is written after all others. So however a run
ends, the store holds whole blocks only, and calling `run` again computes the others.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gridax._outputs.template import Output
from gridax._plan.blocks import grouped
from gridax._plan.plan import Box, Region, n_points
from gridax._stores.arrays import DamagedChunk
from gridax._stores.base import (
    ERROR,
    FAILED,
    PENDING,
    STATUS,
    Computed,
    Store,
    StoreOptions,
    Task,
    Verify,
)
from gridax._stores.format import count_states, note_finished, note_unfinished, read_header
from gridax._stores.inventory import Inventory, kept
from gridax._stores.location import Location
from gridax._stores.memory import MemoryStore
from gridax._stores.writer import Writer
from gridax._warnings import warn

# What is known of a block: no file of it, some files, or all that it will have.
_NEW, _BEGUN, _FINISHED = 0, 1, 2


class Handle(NamedTuple):
    """What another process needs to write to a store."""

    location: Location
    names: Mapping[str, str]
    outputs: Sequence[Output]
    options: StoreOptions

    def open(self, only: Sequence[Box]) -> ZarrStore:
        """Return the store, restricted to some blocks."""
        return ZarrStore(*self, only)


class ZarrStore(Store):
    """The blocks of a Zarr store that are still to be computed, by one writer.

    Parameters
    ----------
    location : of the store.
    names : name of the array of each output.
    outputs : what the model returns.
    options : how the run uses the store.
    only : blocks to which it is restricted; those of the shard if None.

    Attributes
    ----------
    prefill : callable or None
        Fills in what is known of a block that has no files yet.
    n_points, n_done, n_all : int
        Points of these blocks, those of them that were known before this run computes any, and
        points of the whole store.
    """

    def __init__(
        self,
        location: Location,
        names: Mapping[str, str],
        outputs: Sequence[Output],
        options: StoreOptions,
        only: Sequence[Box] | None = None,
    ) -> None:
        self._location, self.outputs, self._options = location, tuple(outputs), options
        self._names, self._only = names, only
        self.prefill: Callable[[MemoryStore], None] | None = None
        header = read_header(location)
        self._noted_finished = header.finished is not None
        self._write_files = location.writer(durable=options.durability == "power")
        self._status, self._errors = header.arrays[STATUS], header.arrays[ERROR]
        self._arrays = [header.arrays[names[output.name]] for output in outputs]
        self.block, self._sizes = self._status.chunks, self._status.shape
        self._inventory = Inventory(
            location, self._status, self._arrays, self._errors, options.verify
        )
        self._open: dict[Box, MemoryStore] = {}
        self._left: dict[Box, int] = {}
        self._writer: Writer[MemoryStore] = Writer(self._write_block)
        self._rewritten: set[Box] = set()  # blocks that have files already
        self._damaged: set[Box] = set()  # those of them of which nothing is kept
        self._n_known: dict[Box, int] = {}  # points of unfinished blocks that are counted as done
        self._last: MemoryStore | None = None  # read for the chains that go on from it
        self._unreported = 0
        n_mine = sum(1 for _ in self._mine())
        self._known = np.full(n_mine, _NEW, np.uint8)
        self.n_points = sum(map(n_points, self._mine()))
        self.n_all = math.prod(self._sizes)
        self.n_done = 0

    def saved(self) -> tuple[int, int]:
        """Return how many points of the whole store are saved by now, and how many there are."""
        done, failed, total = count_states(self._location, self._status)
        return done + failed, total

    def _mine(self) -> Iterator[Box]:
        """Yield the blocks of the shard: every n-th, as neighbors cost about the same."""
        if self._only is not None:
            return iter(self._only)
        i, n = self._options.shard
        chain, is_coarse = self._options.chain, self._options.is_coarse
        # All blocks that a chain goes through belong to one shard.
        groups = grouped(self._sizes, self.block, chain, is_coarse)
        return itertools.chain.from_iterable(itertools.islice(groups, i, None, n))

    def handle(self) -> Handle:
        """Return what another process needs to write to the store."""
        return Handle(self._location, self._names, self.outputs, self._options)

    def left(self) -> Iterator[Box]:
        """Yield the blocks that are not done."""
        return itertools.compress(self._mine(), (self._known != _FINISHED).tolist())

    def begin(self, box: Box) -> None:
        """Open a block that was not among the tasks, so that it can be written or failed."""
        buffer = self._read_block(box)
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

    def scan(self, verify: Verify | None = None) -> bool:
        """Find out which blocks are done; return whether all are.

        Parameters
        ----------
        verify : how blocks are checked, if not as the options say.

        Warns
        -----
        UserWarning
            If blocks are damaged, so that they will be computed again.
        """
        has_warned = bool(self._damaged)
        unfinished = self._known != _FINISHED
        positions = np.flatnonzero(unfinished).tolist()
        asked, left = itertools.tee(itertools.compress(self._mine(), unfinished.tolist()))
        answers = self._inventory.states(asked, verify)
        for i, box, (states, is_damaged) in zip(positions, left, answers, strict=True):
            keep = np.False_ if states is None else self._keeps(states)
            finished, n_known = keep.all(), int(keep.sum())
            self._known[i] = _FINISHED if finished else _NEW if states is None else _BEGUN
            self.n_done += n_known - self._n_known.pop(box, 0)
            if n_known and not finished:
                self._n_known[box] = n_known
            if is_damaged:
                self._damaged.add(box)
                self._rewritten.add(box)
        if self._damaged and not has_warned:
            warn(
                f"{len(self._damaged)} block(s) of {self._location.name!r} are damaged, and are "
                "computed again"
            )
        return bool((self._known == _FINISHED).all())

    def tasks(self) -> Iterator[Task]:
        """Yield the blocks that are not done, when asked for."""
        for number, box in enumerate(self._mine()):
            if self._known[number] == _FINISHED:
                continue
            is_begun = self._known[number] == _BEGUN
            buffer = self._read_block(box) if is_begun else self._fresh(box)
            self._unreported += buffer.status.size - buffer.n_left - self._n_known.get(box, 0)
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

    def _read_block(self, box: Box) -> MemoryStore:
        """Return a block with those of its points that are done, as it was interrupted."""
        ((states, _),) = self._inventory.states(iter([box]), "none")
        buffer = self._fresh(box)
        self._rewritten.add(box)
        try:
            if states is None:
                raise DamagedChunk
            # All of it is decoded here, whatever `verify` says: what is read is written again with
            # a new checksum, and then nobody could find the damage any more.
            values, messages = self._inventory.read(box)
        except DamagedChunk:
            self._damaged.add(box)
            return buffer
        keep = self._keeps(states)
        for mine, array in zip(buffer.arrays, values, strict=True):
            mine[keep] = array.astype(mine.dtype)[keep]
        buffer.status[keep] = states[keep]
        failed = map(tuple, np.argwhere(keep & (states == FAILED)).tolist())
        texts = {i: "" if messages is None else str(messages[i]) for i in failed}
        buffer.mark_failed(box, texts)
        return buffer

    def _keeps(self, states: np.ndarray) -> np.ndarray:
        return kept(states, self._options.retry_failed)

    def n_known(self) -> int:
        """Return how many points of unfinished blocks were known before this run."""
        return sum(self._n_known.values())

    def write(self, computed: Computed) -> int:
        """Store the outputs of a tile; return how many of its points are new."""
        box = computed.region.box
        if box not in self._open:
            return self._reported(0)  # a tile that only repeats points of another one
        self._check_types(value.dtype for value in computed.arrays)
        return self._count(box, self._open[box].write(computed._replace(owned=False)))

    def _check_types(self, dtypes: Iterable[np.dtype]) -> None:
        for output, dtype in zip(self.outputs, dtypes, strict=True):
            if output.dtype.kind != "T" and not np.can_cast(dtype, output.dtype, "safe"):
                raise TypeError(
                    f"output {output.name!r} is {dtype} here and {output.dtype} in the store: the "
                    "first point decides, so return one type everywhere (0.0, not 0)"
                )

    def fail(self, region: Region, error: Exception | str) -> int:
        """Record that the model failed at some points; return how many are new."""
        if region.box not in self._open:
            return self._reported(0)
        return self._count(region.box, self._open[region.box].fail(region, error))

    def _count(self, box: Box, new: int) -> int:
        self._left[box] -= new
        if self._left[box] == 0:
            # In this order: if Ctrl-C comes in between, `rescue` writes the block once more.
            self._writer.submit(self._open[box])
            del self._left[box], self._open[box]
        return self._reported(new)

    def _reported(self, new: int) -> int:
        new, self._unreported = new + self._unreported, 0
        return new

    def states(self, box: Box) -> np.ndarray:
        """Return the states of the points of a box within a block."""
        return self._buffer_of(box).states(box)

    def outputs_at(self, box: Box, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return some outputs at the points of a box within a block."""
        return self._buffer_of(box).outputs_at(box, numbers)

    def _buffer_of(self, box: Box) -> MemoryStore:
        """Return the block that a box is in, as it is written or as it was."""
        sides = zip(box, self.block, self._sizes, strict=True)
        block = tuple((a // n * n, min(a // n * n + n, size)) for (a, _), n, size in sides)
        if block in self._open:
            return self._open[block]
        if self._last is None or self._last.box != block:
            self._last = self._read_block(block)
        return self._last

    def close(self) -> int:
        """Wait until all is written; return how many points were not reported yet.

        Raises
        ------
        OSError
            If something could not be written, with the store named.
        """
        self._writer.close()
        return self._reported(0)

    def finish(self) -> None:
        """Note in the store that no point is pending, if so, so that opening it is quick."""
        # All is stored by now, and without the note the states are counted.
        with contextlib.suppress(OSError):
            note_finished(self._location)

    def rescue(self) -> None:
        """Write what there is of incomplete blocks, unless writing is what failed."""
        if self._writer.error is None:
            for buffer in list(self._open.values()):
                if buffer.n_left < buffer.status.size:
                    self._writer.submit(buffer)
        self._open.clear()
        self._writer.close()

    def _write_block(self, buffer: MemoryStore) -> None:
        """Write a block, its status last.

        A block that is written again keeps its status meanwhile: its points that are done have the
        same values before and after, and those that failed have none. Only if the block is damaged
        does its status say so first; otherwise a crash could leave a status that promises what is
        only half repaired, and ``verify="size"`` would believe it.
        """
        block = self._inventory.number(buffer.box)
        status_key = self._status.key_of(block)
        buffer.erase()
        try:
            if self._noted_finished:
                note_unfinished(self._location)
                self._noted_finished = False
            if buffer.box in self._damaged:
                pending = np.full(buffer.shape, PENDING, np.uint8)
                self._write_files({status_key: self._status.encode(pending)})
            files: dict[str, bytes] = {}
            for array, values in zip(self._arrays, buffer.arrays, strict=True):
                files.update(array.split(block, values.astype(array.dtype, copy=False)))
            if buffer.errors or buffer.box in self._rewritten:
                messages = buffer.messages(self._errors.dtype)
                files.update(self._errors.split(block, messages))
            self._write_files(files)
            self._write_files({status_key: self._status.encode(buffer.status)})
        except Exception as error:
            name = repr(self._location.name)
            error.add_note(
                f"while writing a block to {name}; the blocks before it are saved, and "
                f"run(store={name}) computes the rest"
            )
            raise
