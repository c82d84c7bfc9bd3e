"""Reduces outputs on the host: those of untraced models, and of cells in which points fail."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gridax._execution.front import whole_chains
from gridax._grid.points import Points, point_labels
from gridax._outputs.template import Template
from gridax._plan.plan import Box, Region, box_of, shape_of
from gridax._reduce import arithmetic
from gridax._run.evaluator import Deadline, Evaluated, Evaluator, Request, store_evaluated
from gridax._stores.base import DONE, FAILED, PENDING, Computed, Task
from gridax._stores.memory import MemoryStore
from gridax._text import number_of

# Bytes of outputs that are reduced at a time, and seconds of work that are lost with them, if the
# cells are small enough.
_BYTES, _SECONDS = 2**25, 0.25
# By how much the number of cells that are reduced at a time grows.
_GROWTH = 4


class HostCells:
    """Evaluates the points of some cells, and reduces their outputs once they are in memory.

    Parameters
    ----------
    evaluator : evaluates the points.
    points : of the sweep.
    request : the request for cells.

    Attributes
    ----------
    reduced : what the outputs are reduced to.
    """

    def __init__(self, evaluator: Evaluator, points: Points, request: Request) -> None:
        assert request.reduced is not None
        self._evaluator, self._points, self._request = evaluator, points, request
        self.reduced, self._cells = request.reduced, request.reduced.cells
        self._template: Template | None = None
        self._most = 1  # cells at a time, as the first points may take less time than others

    def evaluate(self) -> Iterator[Evaluated]:
        """Evaluate what the store lacks."""
        whole = Task(box_of(self._cells.shape))
        chain = self._points.chain
        for task in self._request.store.tasks() or [whole]:
            if chain is not None:
                task = whole_chains(task, chain.numbered(self._cells.grid))
            for box in self._divided(task, task.box, self._most_that_fit()):
                if self._request.deadline.is_over:
                    return
                self._request.deadline.note_begun()
                begun, n = time.perf_counter(), math.prod(shape_of(box))
                computed = self.cells(task.box, box)
                enough = n * _SECONDS / max(time.perf_counter() - begun, 1e-9)
                self._most = int(min(max(self._most, _GROWTH * n), max(1, enough)))
                yield computed

    def _most_that_fit(self) -> int:
        """Return how many cells may be reduced at a time, for their bytes and their time."""
        seconds = max(self._evaluator.seconds(), 1e-12)  # a model may do nothing that takes time
        bounds = _BYTES / max(1, self.reduced.point_bytes), _SECONDS / seconds
        return int(min(bounds)) // self._cells.n_points

    def _divided(self, task: Task, box: Box, fits: int) -> Iterator[Box]:
        """Yield boxes of cells that are to be evaluated and reduced at a time, when asked for one.

        Parts of a dimension come one by one, and chains as a whole.
        """
        inner = tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(box, task.box, strict=True))
        todo = np.True_ if task.todo is None else task.todo[inner]
        if not todo.any():
            return
        chain, by_dim = self._points.chain, self._cells.by_dim
        lengths = [
            1 if chain is not None and dim == chain.dim else b - a
            for dim, (a, b) in zip(self._cells.grid, box, strict=True)
        ]
        parts = [
            n if dim in by_dim else 1 for dim, n in zip(self._cells.grid, lengths, strict=True)
        ]
        divisible = parts if max(parts, default=1) > 1 else lengths
        longest = max(divisible, default=1)
        is_small = math.prod(shape_of(box)) <= min(self._most, fits)
        if longest == 1 or (is_small and divisible is lengths and todo.all()):
            yield box
            return
        i = divisible.index(longest)
        start, stop = box[i]
        middle = (start + stop) // 2
        for side in ((start, middle), (middle, stop)):
            yield from self._divided(task, (*box[:i], side, *box[i + 1 :]), fits)

    def cells(self, block: Box, box: Box) -> Computed:
        """Evaluate and reduce some cells of a block."""
        indices = self._cells.indices(box)
        fine = tuple((int(along.min()), int(along.max()) + 1) for along in indices)
        at = np.ix_(*(along - start for along, (start, _) in zip(indices, fine, strict=True)))
        needed = [each.output for each in self.reduced.reduction.outputs]
        outputs = [self.reduced.outputs[i] for i in needed]
        buffer = MemoryStore(fine, outputs, is_block=True, among=needed)
        buffer.status[...] = DONE
        buffer.status[at] = PENDING
        request = dataclasses.replace(
            self._request,
            store=buffer,
            block=shape_of(fine),
            check_template=self._check_template,
            reduced=None,
            deadline=Deadline(),
        )
        for _ in store_evaluated(self._evaluator, request):
            pass
        local = tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(box, block, strict=True))
        region = Region(block, shape_of(block), local)
        return self._reduced(region, buffer, indices, at)

    def _reduced(
        self, region: Region, buffer: MemoryStore, indices: Sequence[np.ndarray], at: Any
    ) -> Computed:
        """Return what is stored of some cells, whose points are at an index of a buffer."""
        inner, states = self._cells.reduced, buffer.status[at]
        lead = [dim for dim in range(states.ndim) if dim not in inner]
        order = [*lead, *inner]
        there = None if (states == DONE).all() else (states == DONE).transpose(order)
        splits = tuple(k for k, d in enumerate(self._cells.grid) if d in self._cells.by_dim)
        raw: list[np.ndarray] = []
        for each, array in zip(self.reduced.reduction.outputs, buffer.arrays, strict=True):
            x = array[at]
            x = x.transpose(*order, *range(states.ndim, x.ndim))
            along = [indices[dim] for dim in inner]
            found, _ = arithmetic.output(np, x, len(lead), each, inner, along, there)
            raw += [np.expand_dims(values, splits) for values in found]
        failed = (states == FAILED).sum(axis=inner, dtype=np.int64)
        failed = np.expand_dims(failed, splits)
        errors = self._errors(region, failed, buffer, indices) if failed.any() else {}
        return Computed(region, self.reduced.arrays(raw, failed), True, errors)

    def _errors(
        self,
        region: Region,
        failed: np.ndarray,
        buffer: MemoryStore,
        indices: Sequence[np.ndarray],
    ) -> dict[tuple[int, ...], str]:
        """Return what the model raised, by the position of the cell in its block."""
        first: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
        cut = self._cells.by_dim
        for local, text in sorted(buffer.errors.items()):
            point = [i + a for i, (a, _) in zip(local, buffer.box, strict=True)]
            cell = tuple(
                0 if dim in cut else int(point[dim] - indices[dim][0]) for dim in self._cells.grid
            )
            first.setdefault(cell, (tuple(point), text))
        errors = {}
        for cell, (index, text) in first.items():
            n = int(failed[cell]) - 1
            labels = point_labels(self._points, dict(zip(self._points.dims, index, strict=True)))
            reduced = {self._points.dims[dim] for dim in self._cells.reduced}
            named = ", ".join(
                f"{column.name}={labels[column.name][0]!s}"
                for column in self._points.grid.columns
                if column.dim in reduced
            )
            more = f"; {number_of(n, 'other point')} failed as well" if n else ""
            place = tuple(s.start + i for s, i in zip(region.where, cell, strict=True))
            errors[place] = f"{text} (at {named}{more})"
        return errors

    def _check_template(self, raw: Template) -> None:
        """Compare what the model returns with what was promised, or with the first time."""
        if self._template is None:
            self._request.check_template(raw)
            self._template = raw
        elif self._template is not raw and (difference := self._template.difference(raw)):
            raise ValueError(f"{difference}; every point must return the same outputs")
