"""Outputs in the memory of this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridax._memory import check_fits
from gridax._outputs.template import Output
from gridax._plan.plan import Box, Region, shape_of
from gridax._stores.base import DONE, FAILED, PENDING, Computed, Store, Task
from gridax._text import error_text


class MemoryStore(Store):
    """Host arrays over a box of the grid, filled tile by tile.

    Parameters
    ----------
    box : first and one past the last index along each dimension.
    outputs : each gets an array of shape ``(*shape, *output.shape)``.
    is_block : whether the grid is larger than the box.
    among : which of the values that are written these outputs are, if there are others.

    Raises
    ------
    MemoryError
        If the arrays would not fit into the memory of the machine, with the sizes named.
    """

    def __init__(
        self,
        box: Box,
        outputs: Sequence[Output],
        is_block: bool = False,
        among: Sequence[int] | None = None,
    ) -> None:
        self.box, self._is_block, self._among = box, is_block, among
        self.shape = shape_of(box)
        needed = math.prod(self.shape) * sum(output.nbytes for output in outputs)
        check_fits(
            needed,
            f"the outputs of {math.prod(self.shape)} points",
            "stream them to a store with run(store='sweep.zarr'), run parts of the space (sel, "
            "isel), or return less per point",
        )
        self.outputs = tuple(outputs)
        self.arrays = [np.empty((*self.shape, *output.shape), output.dtype) for output in outputs]
        self.status = np.full(self.shape, PENDING, dtype=np.uint8)
        self.errors: dict[tuple[int, ...], str] = {}  # by position in the box
        self._with_values: set[tuple[int, ...]] = set()  # of the failed ones
        self._before: np.ndarray | bool | None = None
        # In which blocks it is filled, if that matters.
        self.blocks: Callable[[], Iterator[Box]] | None = None

    def tasks(self) -> Iterator[Task] | None:
        """Return None where everything is to be done: how, the executor knows best."""
        if self.blocks is not None:
            return self.pending_blocks(self.blocks())
        if not self._is_begun:
            return iter([Task(self.box)]) if self._is_block else None
        todo = self.status == PENDING
        return iter([Task(self.box, todo)] if todo.any() else [])

    def write(self, computed: Computed) -> int:
        """Store the outputs of a tile; return how many of its points are new.

        Arrays that cover all points are kept without a copy if nobody else uses them. Points that
        were known before the first tile came stay as they are.
        """
        (box, shape, where), values, owned, errors = computed
        if self._among is not None:
            values = [values[i] for i in self._among]
        if self._is_all(computed.region):
            self._before = False
            for i, value in enumerate(values):
                array = self._room(i, value.dtype)
                if owned and value.dtype == array.dtype and value.size == array.size:
                    self.arrays[i] = value.reshape(array.shape)
                else:
                    array.reshape(shape + array.shape[len(self.shape) :])[...] = value
            self.status[...] = DONE
            self.mark_failed(box, errors)
            return self.status.size
        cut = self._cut(box)
        old = self._known_before(cut, shape, where)
        status = self.status[cut].reshape(shape)
        for i, value in enumerate(values):
            array = self._room(i, value.dtype)
            inner = array.shape[len(self.shape) :]
            there = array[cut].reshape(shape + inner)
            if old is not None:
                value = np.where(old.reshape(old.shape + (1,) * len(inner)), there[where], value)
            there[where] = value
            _put_back(array[cut], there)
        new = np.count_nonzero(status[where] == PENDING)
        status[where] = DONE if old is None else np.where(old, status[where], np.uint8(DONE))
        _put_back(self.status[cut], status)
        self.mark_failed(box, errors)
        return int(new)

    def _is_all(self, region: Region) -> bool:
        """Whether a region is the whole box, in order, and nothing is known of it yet."""
        box, shape, where = region
        pairs = zip(where, shape, strict=True)
        return (
            box == self.box
            and all(isinstance(at, slice) and at.indices(n) == (0, n, 1) for at, n in pairs)
            and not self._is_begun
        )

    def _room(self, i: int, dtype: np.dtype) -> np.ndarray:
        """Return the array of an output; a Python model may return 0 here and 0.5 there."""
        array = self.arrays[i]
        if not np.can_cast(dtype, array.dtype, "safe"):
            array = self.arrays[i] = array.astype(np.result_type(dtype, array.dtype))
        return array

    def mark_failed(self, box: Box, errors: Mapping[tuple[int, ...], str]) -> None:
        """Mark points as failed, by their position in a block, and keep their values."""
        for local, text in errors.items():
            at = self._position(box, local)
            self.status[at], self.errors[at] = FAILED, text
            self._with_values.add(at)

    def messages(self, dtype: Any = object) -> np.ndarray:
        """Return the message of each point, empty where the model did not fail."""
        messages = np.full(self.shape, "", dtype)
        for index, text in self.errors.items():
            messages[index] = text
        return messages

    def _position(self, box: Box, local: Sequence[Any]) -> tuple[int, ...]:
        """Return the position in this box of one in another box."""
        origin = (a - b for (a, _), (b, _) in zip(box, self.box, strict=True))
        return tuple(int(i) + o for i, o in zip(local, origin, strict=True))

    def _known_before(self, cut: Any, shape: tuple[int, ...], where: Any) -> np.ndarray | None:
        """Return which points of a tile were known before the first one came; None if none."""
        if self._before is None:
            self._before = self.status != PENDING if self._is_begun else False
        if isinstance(self._before, bool):
            return None
        old = np.asarray(self._before[cut].reshape(shape)[where])
        return old if old.any() else None

    def fail(self, region: Region, error: Exception | str) -> int:
        """Note that the model failed at some points; return how many are new."""
        box, shape, where = region
        cut = self._cut(box)
        status = self.status[cut].reshape(shape)
        inner = shape_of(box)
        text = error if isinstance(error, str) else error_text(error)
        n_new = 0
        for flat in np.ravel(_numbers(shape, where)).tolist():
            at = np.unravel_index(flat, shape)
            if status[at] == PENDING:
                status[at] = FAILED
                self.errors[self._position(box, np.unravel_index(flat, inner))] = text
                n_new += 1
        _put_back(self.status[cut], status)
        return n_new

    def begin(self, box: Box) -> None:
        """Do nothing: everything is open."""

    def pending_blocks(self, blocks: Iterable[Box]) -> Iterator[Task]:
        """Yield those of some blocks that have points yet to be evaluated."""
        for box in blocks:
            todo = self.states(box) == PENDING
            if todo.any():
                yield Task(box, None if todo.all() else todo)

    def states(self, box: Box) -> np.ndarray:
        """Return the states of the points of a box."""
        return self.status[self._cut(box)]

    def outputs_at(self, box: Box, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return some outputs at the points of a box."""
        cut = self._cut(box)
        return [self.arrays[i][cut] for i in numbers]

    def close(self) -> int:
        """Return that nothing is new."""
        return 0

    def _cut(self, box: Box) -> tuple[Any, ...]:
        """Return the index of a box within this one."""
        if box == self.box:
            return (...,)
        pairs = zip(box, self.box, strict=True)
        return tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in pairs)

    @property
    def _is_begun(self) -> bool:
        """Whether anything is known of a point."""
        return bool(np.count_nonzero(self.status))  # PENDING is 0

    @property
    def n_done(self) -> int:
        """Number of points that are stored."""
        return int(np.count_nonzero(self.status == DONE))

    @property
    def is_complete(self) -> bool:
        """Whether every point has a value."""
        return self.n_done == self.status.size

    @property
    def n_left(self) -> int:
        """Number of points that nothing is known of yet."""
        return int(np.count_nonzero(self.status == PENDING))

    def widen(self) -> None:
        """Make floats of integers and bools, which have no NaN, so that points may have no value.

        Keys have no NaN either, but nobody takes zeros for a key.
        """
        for i, (array, output) in enumerate(zip(self.arrays, self.outputs, strict=True)):
            if not jnp.issubdtype(array.dtype, jnp.inexact) and output.impl is None:
                self.arrays[i] = array.astype(float)

    def erase(self) -> None:
        """Fill the outputs of points without a value with NaN, or zeros where there is no NaN."""
        without = np.asarray(self.status != DONE)  # of a single point, NumPy returns a scalar
        for at in self._with_values:
            without[at] = False
        if without.any():
            for array in self.arrays:
                has_nan = jnp.issubdtype(array.dtype, jnp.inexact)
                array[without] = np.nan if has_nan else "" if array.dtype.kind == "U" else 0


def _put_back(part: np.ndarray, reshaped: np.ndarray) -> None:
    """Copy what was written to a part of an array in another shape, unless that is a view."""
    if not np.may_share_memory(part, reshaped):
        part[...] = reshaped.reshape(part.shape)


def _numbers(shape: tuple[int, ...], where: tuple[Any, ...]) -> Any:
    """Return the flat positions of a place in an array; that of a single point costs little."""
    single = [
        w.start if isinstance(w, slice) and w.start is not None and w.stop == w.start + 1 else w
        for w in where
    ]
    if all(isinstance(w, (int, np.integer)) for w in single):
        return np.ravel_multi_index(single, shape) if single else 0
    return np.arange(math.prod(shape)).reshape(shape)[where]
