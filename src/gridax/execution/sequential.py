"""One point at a time, in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gridax._template import Template, arrays_of, template_of
from gridax.execution._base import Execution, Tile, at_point
from gridax.space import Space


class SequentialExecution(Execution):
    """Evaluate a model point by point in a Python loop.

    Works for any callable: NumPy code, external simulators, models with side effects. The model
    is called exactly once per point, in the order of the points.

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

    def _start(self) -> tuple[Template, Callable[[], Iterator[Tile]]]:
        points = self._points()
        first = next(points)
        with at_point(self.space, first[0]):
            template = template_of(first[1])

        def tiles() -> Iterator[Tile]:
            for index, result in itertools.chain([first], points):
                with at_point(self.space, index):
                    arrays = self._arrays(result, template)
                yield [np.array([i]) for i in index], arrays

        return template, tiles

    def _points(self) -> Iterator[tuple[tuple[int, ...], Any]]:
        indices = itertools.product(*map(range, self.space.shape))
        for index, state in zip(indices, self.space, strict=True):
            with at_point(self.space, index):
                result = self.model(state, *self.args, **self.kwargs)
            yield index, result

    def _arrays(self, result: Any, template: Template) -> list[np.ndarray]:
        difference = template.difference(template_of(result))
        if difference:
            raise ValueError(f"{difference}; every point must return the same outputs")
        ndim = len(self.space.shape)
        arrays = map(np.asarray, arrays_of(result))
        return [array.reshape((1,) * ndim + array.shape) for array in arrays]
