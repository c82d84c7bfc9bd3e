"""Evaluates a job one point at a time, in plain Python."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gridax._execution.front import NOT_REACHED, Front
from gridax._execution.gathering import Gathered
from gridax._execution.on_host import HostCells
from gridax._grid.carrying import Carrying
from gridax._grid.host import HostStates
from gridax._kernel.pointwise import Pointwise
from gridax._kernel.trace import is_jitted
from gridax._outputs.alike import Alike
from gridax._outputs.template import Output, Template, arrays_of, template_of, warn_of_attributes
from gridax._plan.blocks import Wish
from gridax._plan.cells import of_cells
from gridax._plan.plan import Box, Level, Plan, Region, box_of, shape_of
from gridax._run.evaluator import Bounds, Evaluated, Evaluator, Failed, Request
from gridax._run.job import Job
from gridax._run.notes import note_labels, noting_labels
from gridax._stores.base import Computed, Task

# Numbers of the outputs that points carry to the next ones, and what these outputs are.
Carried = tuple[Sequence[int], Sequence[Output]]

# Seconds that a point is assumed to take until one was timed; and from which on the second point is
# timed as well, because the first call of many programs is slow.
_SECONDS, _SLOW = 0.01, 0.1
# After so many points without a result, the model is assumed to fail everywhere.
_HOPELESS = 1000


class PointwiseEvaluator(Evaluator):
    """Calls the model of a job once per point.

    Parameters
    ----------
    job : what is evaluated.
    carried : which outputs points carry to the next ones, if that is known.
    is_worker : whether this is a worker, which a model that exits must not end.
    """

    def __init__(self, job: Job, carried: Carried | None = None, is_worker: bool = False) -> None:
        self._job, self._points, self._is_worker = job, job.points, is_worker
        self._states = HostStates(job.points)
        self._pointwise: Pointwise | None = None
        if is_jitted(job.model):
            self._pointwise = Pointwise(job.model, job.points, job.args, dict(job.kwargs))
        self.is_traced = self._pointwise is not None
        # Results (or errors) of points that were evaluated before their turn.
        self._probed: dict[tuple[int, ...], Any] = {}
        self._seconds = _SECONDS
        self._carrying = Carrying(job.points, self._states)
        self._carried = carried
        self._template: Template | None = None  # as far as it is known before points are evaluated

    def template(self, known: Template | None, record: bool) -> Template | None:
        """Evaluate the first point, unless it is known what the model returns."""
        self._probed, self._seconds = {}, _SECONDS
        self._template, self._carried = known, None
        if known is not None:
            return None
        error: Exception | None = None
        for index in self._first_points():
            start = time.perf_counter()
            try:
                result = self._result(index)
                with noting_labels(self._points, functools.partial(tuple, index)):
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
            self._template = template
            if self._points.chain is not None:
                self.carried()  # which compares it with the initial values
            return template
        assert error is not None  # a space has at least one point
        n_failed = len(self._probed)
        which = "every point" if n_failed == self._points.n else f"the first {n_failed} points"
        error.add_note(f"the model failed at {which}, so it is not known what it returns")
        raise error

    def _first_points(self) -> Iterator[tuple[int, ...]]:
        """Yield the points from which no other one has to be evaluated first."""
        chain = self._points.chain
        for index in itertools.product(*map(range, self._points.shape)):
            if chain is None or index[chain.dim] == chain.start(index, self._points.shape):
                yield index

    def evaluate(self, request: Request) -> Iterator[Evaluated]:
        """Evaluate point by point."""
        if request.reduced is not None:
            yield from HostCells(self, self._points, request).evaluate()
            self._probed = {}
            return
        reader = _Reader(request.check_template)
        last: Front | None = None
        for task in request.store.tasks() or [Task(box_of(self._points.shape))]:
            if request.deadline.is_over:
                return
            try:
                if self._points.chain is None:
                    yield from self._evaluated(task, request, reader)
                else:
                    front = Front(self._points, *self.carried(), task.box)
                    front.begin(request.store, task, last)
                    last = front
                    yield from self._chained(task, front, request, reader)
            except GeneratorExit:
                raise
            except BaseException:  # however the run ends, what was computed is stored
                yield from reader.gathered.take(task.box)
                raise
            yield from reader.gathered.take(task.box)

    def _evaluated(self, task: Task, request: Request, reader: _Reader) -> Iterator[Evaluated]:
        box, shape = task.box, shape_of(task.box)
        origin = [start for start, _ in box]
        for position, local in _positions(shape, task.todo):
            if request.deadline.is_over:
                return
            index = tuple(map(operator.add, origin, local))
            request.deadline.note_begun()
            try:
                result = self._outcome(index)
            except Exception as error:
                if not request.record:
                    raise
                yield from reader.gathered.take(box)
                yield Failed(Region(box, shape, local), error)
                continue
            yield from self._kept(box, position, local, result, reader)

    def _kept(
        self, box: Box, position: int, local: Sequence[int], result: Any, reader: _Reader
    ) -> Iterator[Evaluated]:
        """Keep the result of a point back, or yield it and those that were kept back."""
        try:
            is_due = reader.keep_back(position, result)
            arrays = reader.arrays(result) if is_due is None else None
        except Exception as error:
            note_labels(error, self._points, [a + i for (a, _), i in zip(box, local, strict=True)])
            raise
        if is_due is not False:
            yield from reader.gathered.take(box)
        if arrays is not None:
            yield Computed(Region(box, shape_of(box), tuple(local)), arrays)

    def _chained(
        self, task: Task, front: Front, request: Request, reader: _Reader
    ) -> Iterator[Evaluated]:
        """Evaluate the chains through a block, one after the other."""
        box, shape = task.box, shape_of(task.box)
        yield from front.not_reached(task)
        for places, continues in front.chains():
            first = front.place(places[0])
            carried = self._values(front.carried(first)) if continues else None
            for step, local in enumerate(places):
                if request.deadline.is_over:
                    return
                index = tuple(a + i for (a, _), i in zip(box, local, strict=True))
                request.deadline.note_begun()
                try:
                    result = self._outcome(index, carried)
                except Exception as error:
                    if not request.record:
                        raise
                    yield from reader.gathered.take(box)
                    yield Failed(Region(box, shape, local), error)
                    front.ended(first)
                    for later in places[step + 1 :]:
                        yield Failed(Region(box, shape, later), NOT_REACHED)
                    break
                position = int(np.ravel_multi_index(local, shape))
                yield from self._kept(box, position, local, result, reader)
                arrays = result.arrays if isinstance(result, _Outputs) else arrays_of(result)
                mine = [np.asarray(arrays[k]) for k in front.numbers]
                carried = self._values(mine)
                if step == len(places) - 1:
                    front.reached(first, mine)

    def _values(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Return what carried leaves receive, from the outputs of the point before."""
        return [*arrays] if self._pointwise is not None else self._carrying.values(arrays)

    def carried(self) -> Carried:
        """Return which outputs points carry to the next ones."""
        if self._carried is None:
            assert self._template is not None
            if self._pointwise is not None:
                numbers = self._pointwise.carried(next(self._first_points()))
            else:
                numbers = self._carrying.numbers(self._template)
            self._carried = numbers, [self._template.outputs[k] for k in numbers]
        return self._carried

    def plan(self, bounds: Bounds) -> Plan:
        """Return a plan of single points, without calling the model."""
        points = self._points
        levels = tuple(Level((dim,)) for dim in range(len(points.dims)))
        nbytes = 0 if self._template is None else self._template.nbytes
        plan = Plan(points.dims, points.shape, points.shape, levels, 1, nbytes, chain=points.chain)
        reduced = bounds.reduced
        if reduced is None:
            return plan
        cells = of_cells(reduced.cells, plan, None, points.dims, reduced.point_bytes)
        return dataclasses.replace(cells, reduced=reduced.text(points.dims) + ", on the host")

    def wish(self, bounds: Bounds) -> Wish:
        """Return that blocks may have any shape, and how long a point takes."""
        if bounds.reduced is not None:
            return bounds.reduced.wish(self.seconds(), self._points.chain)
        tile = (1,) * len(self._points.dims)
        return Wish(self.seconds(), 0, tile, chain=self._points.chain)

    def seconds(self) -> float:
        """Return how long a point took; the second one is timed if the first one was slow."""
        is_slow = self._seconds > _SLOW and self._points.n > 1 and self._points.chain is None
        if is_slow and (index := self._points.grid.unravel(1)) not in self._probed:
            start = time.perf_counter()
            try:
                self._probed[index] = self._result(index)
            except Exception as error:
                self._probed[index] = error
            self._seconds = min(self._seconds, time.perf_counter() - start)
        return self._seconds

    def program(self) -> None:
        """Return None, as the model is never traced."""
        return None

    def _outcome(self, index: tuple[int, ...], carried: Sequence[Any] | None = None) -> Any:
        """Return what the model returns at a point, which may have been evaluated before."""
        is_known = index in self._probed
        result = self._probed.pop(index) if is_known else self._result(index, carried)
        if isinstance(result, Exception):
            raise result
        return result

    def _result(self, index: tuple[int, ...], carried: Sequence[Any] | None = None) -> Any:
        """Call the model at a point; `carried` are what its carried leaves receive."""
        try:
            if self._pointwise is not None:
                return _Outputs(*self._pointwise.at(index, carried))
            return self._states.given_to(lambda: self._called(index, carried))
        except StopIteration as error:  # it would end the generators through which it passes
            stopped = RuntimeError("the model raised StopIteration, such as by next() at the end")
            note_labels(stopped, self._points, index)
            raise stopped from error
        except SystemExit as error:
            if not self._is_worker:  # the process of the user, who may exit in a signal handler
                raise
            exited = RuntimeError(f"the model called sys.exit({error.code!r})")
            note_labels(exited, self._points, index)
            raise exited from error
        except Exception as error:
            note_labels(error, self._points, index)
            raise

    def _called(self, index: tuple[int, ...], carried: Sequence[Any] | None) -> Any:
        if carried is None and self._points.chain is not None:
            carried = self._carrying.start(index)
        if hasattr(self._job.model, "lower"):  # compiled by another library than JAX itself
            return self._job.call(self._points.at(index, carried))
        return self._job.call(self._states.at(index, carried))


class _Outputs(NamedTuple):
    """What a compiled model returned, without the structure in which it returned it."""

    template: Template
    arrays: list[Any]


def _template(result: Any) -> Template:
    return result.template if isinstance(result, _Outputs) else template_of(result)


class _Reader:
    """Reads the outputs of points, which must all be like those of the first one.

    Parameters
    ----------
    check_template : called with the template of the first point.

    Attributes
    ----------
    gathered : what is kept back of a block.
    """

    def __init__(self, check_template: Callable[[Template], None]) -> None:
        self._check_template = check_template
        self._template: Template | None = None
        self._alike: Alike | None = None
        self.gathered = Gathered(())
        self._warned: set[tuple[str, str]] = set()

    def arrays(self, result: Any) -> list[np.ndarray]:
        """Return the outputs of a point.

        Raises
        ------
        ValueError
            If the outputs are not those of the first point.
        """
        own = _template(result)
        if self._template is None:
            self._check_template(own)
            self._template, self.gathered = own, Gathered(own.outputs)
            self._alike = None if isinstance(result, _Outputs) else Alike(result, own)
        difference = self._template.difference(own)
        if difference:
            raise ValueError(f"{difference}; every point must return the same outputs")
        warn_of_attributes(self._template.outputs, own.outputs, self._warned)
        arrays = result.arrays if isinstance(result, _Outputs) else arrays_of(result)
        return [np.asarray(array) for array in arrays]

    def keep_back(self, position: int, result: Any) -> bool | None:
        """Copy the outputs of a point; return whether it is time to store what was kept back.

        None is returned for a result that does not look like the first one: its arrays are to be
        read and stored by themselves.
        """
        if isinstance(result, _Outputs):
            is_known = result.template is self._template
            values = [np.asarray(array) for array in result.arrays] if is_known else None
        else:
            values = None if self._alike is None else self._alike.arrays(result)
        try:
            return None if values is None else self.gathered.add(position, values)
        except OverflowError:  # integers of Python may exceed those of NumPy
            return None


def _positions(
    shape: tuple[int, ...], todo: np.ndarray | None
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the position of each point in a block, flat and along each dimension."""
    if todo is None:
        return enumerate(itertools.product(*map(range, shape)))
    indices = (tuple(map(int, local)) for local in np.argwhere(todo))
    return zip(map(int, np.flatnonzero(todo)), indices, strict=True)
