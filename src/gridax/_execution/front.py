"""How far the chains through a block have come, and what they carry on from there."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gridax._grid.points import Points
from gridax._outputs.template import Output
from gridax._plan.blocks import pieces
from gridax._plan.chain import Chain
from gridax._plan.plan import Box, Region, Take, shape_of
from gridax._run.evaluator import Failed
from gridax._stores.base import DONE, FAILED, Store, Task

NOT_REACHED = "not reached: the model failed at an earlier label of the chain"


class Stretch(NamedTuple):
    """The rest of some chains within a block, from the same step on.

    Attributes
    ----------
    take : positions in the block; None for all of it.
    continues : whether something was carried to them, rather than that they begin here.
    """

    take: Take
    continues: bool


class Front:
    """What the chains through a block carried to it, and what they carry on.

    Arrays have the dimensions of the block, of which that along the chains has a size of 1, and
    then those of an output.

    Parameters
    ----------
    points : of the sweep, which follow each other along a dimension.
    numbers, outputs : which outputs are carried, and what they are.
    box : the block.

    Attributes
    ----------
    before, after : the carried outputs, at the last points that were done, and at the block's last.
    dead : where chains ended before, since the model failed.
    """

    def __init__(
        self, points: Points, numbers: Sequence[int], outputs: Sequence[Output], box: Box
    ) -> None:
        chain = points.chain
        assert chain is not None
        self.chain, self.numbers, self.box = chain, tuple(numbers), box
        self._size, self._length = points.shape[chain.dim], shape_of(box)[chain.dim]
        self._origin = [start for start, _ in box]
        across = [1 if d == chain.dim else n for d, n in enumerate(shape_of(box))]
        self.before = [np.zeros((*across, *o.shape), o.dtype) for o in outputs]
        self.after = [array.copy() for array in self.before]
        self._alive = np.full(across, True)
        self.dead = np.full(across, False)
        self._first = np.zeros(across, int)
        self._failed = np.full(shape_of(box), False)

    def begin(self, store: Store, task: Task, last: Front | None) -> None:
        """Take what is known of the points before those that are to be evaluated.

        Parameters
        ----------
        store, task : the block, and where it is kept.
        last : the front of the block that was evaluated before, if any.
        """
        if task.todo is not None:
            self._first = self._first_steps(task.todo)
            is_whole = self.is_begin and self._length == self._size
            if not is_whole or ((self._first > 0) & (self._first < self._length)).any():
                self._take_known(store)
        if not self.is_begin:
            self._take_last(store, last)
        self.dead = ~self._alive & (self._first < self._length)
        if task.todo is not None:
            states = store.states(self.box)
            self.fail(Region(self.box, states.shape, np.nonzero(states == FAILED)))

    def alone(self) -> Front:
        """Return a front with which chains can be evaluated step by step."""
        front = copy.copy(self)
        front.before = [array.copy() for array in self.before]
        return front

    @property
    def is_begin(self) -> bool:
        """Whether chains begin in this block."""
        start, stop = self.box[self.chain.dim]
        return stop == self._size if self.chain.is_backward(self._origin) else start == 0

    def _first_steps(self, todo: np.ndarray) -> np.ndarray:
        """Return the first step of each chain that is to be evaluated, or the length if none is."""
        dim = self.chain.dim
        ordered = self.chain.in_order(todo, self._origin)
        first = ordered.argmax(axis=dim, keepdims=True)
        return np.where(ordered.any(axis=dim, keepdims=True), first, self._length)

    def _take_known(self, store: Store) -> None:
        """Take from this block what is known of the points before the first one to be evaluated."""
        dim = self.chain.dim
        arrays = store.outputs_at(self.box, self.numbers)
        at = np.maximum(self._first - 1, 0)
        for before, after, array in zip(self.before, self.after, arrays, strict=True):
            own = (1,) * (array.ndim - at.ndim)
            array = self.chain.in_order(array, self._origin)
            before[...] = np.take_along_axis(array, at.reshape(at.shape + own), axis=dim)
            after[...] = before

    def _take_last(self, store: Store, last: Front | None) -> None:
        """Take what the chains that begin with this block's first step carried to it."""
        begins = self._first == 0
        if last is not None and last.is_followed_by(self.box):
            arrays, alive = last.after, last._alive
        else:
            plane = self._plane_before()
            arrays, alive = store.outputs_at(plane, self.numbers), store.states(plane) == DONE
        self._alive &= ~begins | alive
        for before, array in zip(self.before, arrays, strict=True):
            where = begins.reshape(begins.shape + (1,) * (array.ndim - begins.ndim))
            before[...] = np.where(where, array, before)

    def _plane_before(self) -> Box:
        """Return the box of the points before the block's first ones."""
        dim = self.chain.dim
        start, stop = self.box[dim]
        at = stop if self.chain.is_backward(self._origin) else start - 1
        return (*self.box[:dim], (at, at + 1), *self.box[dim + 1 :])

    def is_followed_by(self, box: Box) -> bool:
        """Whether another block is one that the same chains go through."""
        dim = self.chain.dim
        return box[:dim] == self.box[:dim] and box[dim + 1 :] == self.box[dim + 1 :]

    def stretches(self) -> Iterator[Stretch]:
        """Yield what is to be evaluated."""
        dim = self.chain.dim
        first = np.where(self.dead, self._length, self._first)
        for step in np.unique(first[first < self._length]).tolist():
            mine = first == step
            continues = step > 0 or not self.is_begin
            if step == 0 and mine.all():
                yield Stretch(None, continues)
                continue
            for backward, part in self._by_direction(mine):
                steps = np.arange(self._length - step) + (0 if backward else step)
                for take in _products(part):
                    yield Stretch((*take[:dim], steps, *take[dim + 1 :]), continues)

    def chains(self) -> Iterator[tuple[list[tuple[int, ...]], bool]]:
        """Yield where the points of each chain are in the block, and whether it continues."""
        shape, dim = shape_of(self.box), self.chain.dim
        for take, continues in self.stretches():
            runs = [range(n) for n in shape] if take is None else [run.tolist() for run in take]
            for first in itertools.product(*runs[:dim], [0], *runs[dim + 1 :]):
                index = [o + i for o, i in zip(self._origin, first, strict=True)]
                steps = runs[dim][::-1] if self.chain.is_backward(index) else runs[dim]
                yield [(*first[:dim], i, *first[dim + 1 :]) for i in steps], continues

    def place(self, local: Sequence[int]) -> Region:
        """Return where the chain through a point is in a block without their dimension."""
        dim = self.chain.dim
        return Region(self.box, self._alive.shape, (*local[:dim], 0, *local[dim + 1 :]))

    def _by_direction(self, mask: np.ndarray) -> Iterator[tuple[bool, np.ndarray]]:
        """Yield whether chains go backward, and which of those in a mask do."""
        backward = np.array(self.chain.backward)
        if self.chain.direction is not None:
            start, stop = self.box[self.chain.direction]
            shape = [-1 if d == self.chain.direction else 1 for d in range(mask.ndim)]
            backward = backward[start:stop].reshape(shape)
        for is_backward in (False, True):
            part = mask & (backward == is_backward)
            if part.any():
                yield is_backward, part

    def not_reached(self, task: Task) -> Iterator[Failed]:
        """Yield the points that are not to be evaluated, since their chains have ended."""
        if not (self.dead.any() or self._failed.any()):
            return
        shape = shape_of(task.box)
        failed = self.chain.in_order(self._failed, self._origin)
        after = np.logical_or.accumulate(failed, axis=self.chain.dim)
        missed = self.dead | self.chain.in_order(after, self._origin)
        if task.todo is not None:
            missed = missed & task.todo
        yield Failed(Region(task.box, shape, np.nonzero(missed)), NOT_REACHED)

    def fail(self, region: Region) -> None:
        """Note points of the block at which the model is known to fail."""
        self._failed.reshape(region.shape, copy=False)[region.where] = True
        self._alive &= ~self._failed.any(axis=self.chain.dim, keepdims=True)

    def reached(self, at: Region, values: Sequence[Any]) -> None:
        """Note the carried outputs at the last points of some chains."""
        for i, value in enumerate(values):
            if not np.can_cast(value.dtype, self.after[i].dtype, "safe"):  # 0 here, 0.5 there
                dtype = np.result_type(value.dtype, self.after[i].dtype)
                self.after[i] = self.after[i].astype(dtype)
            own = self.after[i].shape[self._alive.ndim :]
            self.after[i].reshape(*at.shape, *own, copy=False)[at.where] = value

    def carried(self, at: Region) -> list[np.ndarray]:
        """Return what was carried to some chains."""
        return [
            before.reshape(*at.shape, *before.shape[self._alive.ndim :])[at.where]
            for before in self.before
        ]

    def go_on(self, at: Region) -> None:
        """Carry to some chains what was reached."""
        for before, after in zip(self.before, self.after, strict=True):
            own = before.shape[self._alive.ndim :]
            there = after.reshape(*at.shape, *own)[at.where]
            before.reshape(*at.shape, *own, copy=False)[at.where] = there

    def ended(self, at: Region) -> None:
        """Note that the model failed in some chains."""
        self._alive.reshape(at.shape, copy=False)[at.where] = False


def whole_chains(task: Task, chain: Chain) -> Task:
    """Return a block in which all of a chain is evaluated if any of it is."""
    if task.todo is None:
        return task
    some = task.todo.any(axis=chain.dim, keepdims=True)
    return task._replace(todo=None if some.all() else np.broadcast_to(some, task.todo.shape))


def _products(mask: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield True entries as products of positions, one by one if there are no larger ones."""
    axes = range(mask.ndim)
    along = [np.flatnonzero(mask.any(axis=tuple(d for d in axes if d != dim))) for dim in axes]
    if mask.sum() == math.prod(map(len, along)):
        yield tuple(along)
        return
    for take in pieces(mask):
        if take is not None:
            yield take
        else:
            for at in np.argwhere(mask):
                yield tuple(at[:, None])
