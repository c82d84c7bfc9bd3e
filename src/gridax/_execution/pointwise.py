"""Evaluates a job one point at a time, in plain Python."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gridax._grid.host import HostStates
from gridax._kernel.pointwise import Pointwise
from gridax._kernel.trace import is_jitted
from gridax._outputs.template import Template, arrays_of, template_of, warn_of_attributes
from gridax._plan.blocks import Wish
from gridax._plan.plan import Region, shape_of
from gridax._run.evaluator import Computed, Evaluated, Evaluator, Failed, Request
from gridax._run.job import Job
from gridax._run.notes import noting_labels
from gridax._stores.base import Task

# Seconds that a point is assumed to take until one was timed; and from which on the second point is
# timed as well, because the first call of many programs is slow.
_SECONDS, _SLOW = 0.01, 0.1
# After so many points without a result, the model is assumed to fail everywhere.
_HOPELESS = 1000


class PointwiseEvaluator(Evaluator):
    """Calls the model of a job once per point."""

    def __init__(self, job: Job) -> None:
        self._job, self._points = job, job.points
        self._states = HostStates(job.points)
        self._pointwise: Pointwise | None = None
        if is_jitted(job.model):
            self._pointwise = Pointwise(job.model, job.points, job.args, dict(job.kwargs))
        # Results (or errors) of points that were evaluated before their turn.
        self._probed: dict[tuple[int, ...], Any] = {}
        self._seconds = _SECONDS

    def template(self, known: Template | None, record: bool) -> Template | None:
        """Evaluate the first point, unless it is known what the model returns."""
        self._probed, self._seconds = {}, _SECONDS
        if known is not None:
            return None
        error: Exception | None = None
        for index in itertools.product(*map(range, self._points.shape)):
            start = time.perf_counter()
            try:
                result = self._result(index)
                with noting_labels(self._points, tuple, index):
                    template = _template(result)
            except Exception as failure:
                if not record:
                    raise
                self._probed[index] = error = failure
                if len(self._probed) < _HOPELESS:
                    continue
                break
            self._seconds = time.perf_counter() - start
            self._probed[index] = result
            return template
        assert error is not None  # a space has at least one point
        n_failed = len(self._probed)
        which = "every point" if n_failed == self._points.n else f"the first {n_failed} points"
        error.add_note(f"the model failed at {which}, so it is not known what it returns")
        raise error

    def evaluate(self, request: Request) -> Iterator[Evaluated]:
        """Evaluate point by point."""
        template: Template | None = None
        warned: set[tuple[str, str]] = set()
        probed, self._probed = self._probed, {}
        for task in request.store.tasks() or [Task(tuple((0, n) for n in self._points.shape))]:
            origin = [start for start, _ in task.box]
            shape = shape_of(task.box)
            for local in _positions(shape, task.todo):
                region = Region(task.box, shape, local)
                index = tuple(map(operator.add, origin, local))
                try:
                    result = probed.pop(index) if index in probed else self._result(index)
                    if isinstance(result, Exception):
                        raise result
                except Exception as error:
                    if not request.record:
                        raise
                    yield Failed(region, error)
                    continue
                with noting_labels(self._points, tuple, index):
                    if template is None:
                        template = _template(result)
                        request.check_template(template)
                    arrays = _arrays(result, template, warned)
                yield Computed(region, arrays)

    def wish(self, memory: int | None) -> Wish:
        """Return that blocks may have any shape, and how long a point takes."""
        is_slow = self._seconds > _SLOW and self._points.n > 1
        if is_slow and (index := self._points.grid.unravel(1)) not in self._probed:
            start = time.perf_counter()
            try:
                self._probed[index] = self._result(index)
            except Exception as error:
                self._probed[index] = error
            self._seconds = min(self._seconds, time.perf_counter() - start)
        return Wish(self._seconds, 0, (1,) * len(self._points.dims))

    def program(self) -> None:
        """Return None, as the model is never traced."""
        return None

    def _result(self, index: tuple[int, ...]) -> Any:
        with noting_labels(self._points, tuple, index):
            if self._pointwise is not None:
                return _Outputs(*self._pointwise.at(index))
            if hasattr(self._job.model, "lower"):  # compiled by another library than JAX itself
                return self._job.call(self._points.at(index))
            return self._job.call(self._states.at(index))


class _Outputs(NamedTuple):
    """What a compiled model returned, without the structure in which it returned it."""

    template: Template
    arrays: list[Any]


def _template(result: Any) -> Template:
    return result.template if isinstance(result, _Outputs) else template_of(result)


def _arrays(result: Any, template: Template, warned: set[tuple[str, str]]) -> list[np.ndarray]:
    own = _template(result)
    difference = template.difference(own)
    if difference:
        raise ValueError(f"{difference}; every point must return the same outputs")
    warn_of_attributes(template.outputs, own.outputs, warned)
    arrays = result.arrays if isinstance(result, _Outputs) else arrays_of(result)
    return [np.asarray(array) for array in arrays]


def _positions(shape: tuple[int, ...], todo: np.ndarray | None) -> Iterator[tuple[int, ...]]:
    if todo is None:
        return itertools.product(*map(range, shape))
    return (tuple(map(int, local)) for local in np.argwhere(todo))
