"""One point at a time, in plain Python."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gridax._plan import Region
from gridax._template import Template, arrays_of, template_of
from gridax.execution._base import Evaluated, Execution, at_point
from gridax.space import Space


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

    def _start(self, memory: int | None) -> tuple[Template, Callable[[], Iterator[Evaluated]]]:
        points = self._points()
        first = next(points)
        with at_point(self.space, tuple, first[0]):
            template = template_of(first[1])

        def tiles() -> Iterator[Evaluated]:
            for index, result in itertools.chain([first], points):
                with at_point(self.space, tuple, index):
                    arrays = self._arrays(result, template)
                yield Region((...,), self.space.shape, index), arrays

        return template, tiles

    def _points(self) -> Iterator[tuple[tuple[int, ...], Any]]:
        indices = itertools.product(*map(range, self.space.shape))
        for index, state in zip(indices, _with_read_only_arrays(self.space), strict=True):
            with at_point(self.space, tuple, index):
                result = self.model(state, *self.args, **self.kwargs)
            yield index, result

    def _arrays(self, result: Any, template: Template) -> list[np.ndarray]:
        difference = template.difference(template_of(result))
        if difference:
            raise ValueError(f"{difference}; every point must return the same outputs")
        return [np.asarray(array) for array in arrays_of(result)]


def _with_read_only_arrays(space: Space) -> Space:
    """Return the space with fixed NumPy arrays that a model cannot change for the next point."""
    leaves = list(space.skeleton.leaves)
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, np.ndarray):
            leaves[i] = leaf.view()
            leaves[i].flags.writeable = False
    skeleton = dataclasses.replace(space.skeleton, leaves=tuple(leaves))
    return Space.assemble(skeleton, space.grid, space.mode, space.key)
