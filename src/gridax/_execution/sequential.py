"""One point at a time, in plain Python."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gridax._execution.base import Execution, at_point
from gridax._outputs.template import Template, arrays_of, template_of
from gridax._plan.blocks import Wish
from gridax._plan.plan import Region, shape_of
from gridax._run.order import Evaluated, Order
from gridax._stores.base import Task
from gridax.space import Space

# What a point takes, where none was timed; and what is so long that a second one is timed.
_SECONDS, _SLOW = 0.01, 0.1
# Points without a result after which nobody believes that the next one has one.
_HOPELESS = 1000


class SequentialExecution(Execution):
    """Evaluate a model point by point in a Python loop.

    Works for any callable: NumPy code, external simulators, models with side effects. The model
    is called exactly once per point, in the order of the points. Fixed NumPy arrays of the state
    are read-only in it, so that no point changes what the next one gets.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``; returns a pytree of arrays and numbers, or
        xarray objects.
    space : Space
        The points; `statespace` is the same under another name.
    *args, **kwargs
        Passed on to the model.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> result = SequentialExecution(lambda s: {"y": 10 * float(s["x"])}, space).run(progress=False)
    >>> round(result.dataset["y"].sel(x=0.3).item(), 3)
    3.0
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space | None = None,
        *args: Any,
        statespace: Space | None = None,
        **kwargs: Any,
    ) -> None:
        if statespace is not None:
            # Positional arguments of the model may stand where the space would.
            if space is not None:
                args = (space, *args)
            space = statespace
        if space is None:
            raise TypeError("give the space to run over: SequentialExecution(model, space)")
        super().__init__(model, space, args, kwargs)
        # What was found out of points before their turn.
        self._probed: dict[tuple[int, ...], Any] = {}
        self._seconds = _SECONDS

    def _template(self, known: Template | None, record: bool) -> Template | None:
        """Evaluate the first point, unless it is known what the model returns."""
        self._probed, self._seconds = {}, _SECONDS
        if known is not None:
            return None
        error: Exception | None = None
        for index in itertools.product(*map(range, self.space.shape)):
            start = time.perf_counter()
            try:
                result = self._evaluated(index)
                with at_point(self.space, tuple, index):
                    template = template_of(result)
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
        assert error is not None
        which = (
            "every point" if len(self._probed) == self.space.N else f"the first {_HOPELESS} points"
        )
        error.add_note(f"the model failed at {which}, so nobody knows what it returns")
        raise error

    def _evaluate(self, order: Order) -> Iterator[Evaluated]:
        template: Template | None = None
        probed, self._probed = self._probed, {}
        for task in order.store.tasks() or [Task(tuple((0, n) for n in self.space.shape))]:
            origin = [start for start, _ in task.box]
            shape = shape_of(task.box)
            for local in _positions(shape, task.todo):
                region = Region(task.box, shape, local)
                index = tuple(map(operator.add, origin, local))
                try:
                    result = probed.pop(index) if index in probed else self._evaluated(index)
                    if isinstance(result, Exception):
                        raise result
                except Exception as error:
                    if not order.record:
                        raise
                    yield region, error
                    continue
                with at_point(self.space, tuple, index):
                    if template is None:
                        template = template_of(result)
                        order.agreed(template)
                    arrays = self._arrays(result, template)
                yield region, arrays

    def _evaluated(self, index: tuple[int, ...]) -> Any:
        with at_point(self.space, tuple, index):
            return self.model(self._states.at(index), *self.args, **self.kwargs)

    @functools.cached_property
    def _states(self) -> Space:
        return _with_read_only_arrays(self.space)

    def _wish(self, memory: int | None) -> Wish:
        slow = self._seconds > _SLOW and self.space.N > 1  # as the first call of many a program is
        if slow and (index := self.space.grid.unravel(1)) not in self._probed:
            start = time.perf_counter()
            try:
                self._probed[index] = self._evaluated(index)
            except Exception as error:
                self._probed[index] = error
            self._seconds = min(self._seconds, time.perf_counter() - start)
        return Wish(self._seconds, 0, (1,) * len(self.space.dims))

    def _program(self) -> None:
        return None

    def _arrays(self, result: Any, template: Template) -> list[np.ndarray]:
        difference = template.difference(template_of(result))
        if difference:
            raise ValueError(f"{difference}; every point must return the same outputs")
        return [np.asarray(array) for array in arrays_of(result)]


def _positions(shape: tuple[int, ...], todo: np.ndarray | None) -> Iterator[tuple[int, ...]]:
    if todo is None:
        return itertools.product(*map(range, shape))
    return (tuple(map(int, local)) for local in np.argwhere(todo))


def _with_read_only_arrays(space: Space) -> Space:
    """Return the space with fixed NumPy arrays that a model cannot change for the next point."""
    leaves = list(space.skeleton.leaves)
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, np.ndarray):
            leaves[i] = leaf.view()
            leaves[i].flags.writeable = False
    skeleton = dataclasses.replace(space.skeleton, leaves=tuple(leaves))
    return Space.assemble(skeleton, space.grid, space.mode, space.key)
