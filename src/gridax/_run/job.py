"""What is run: a model, the points at which it is evaluated, and its other arguments."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from gridax._grid.points import Points
from gridax._kernel.trace import is_jitted
from gridax._text import number_of


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A model, the points, and the arguments that are the same at every point.

    Attributes
    ----------
    model : called as ``model(state, *args, **kwargs)``.
    points : where it is evaluated.
    args, kwargs : passed on to the model.
    derivatives : names of the axes with respect to which its outputs are differentiated.
    """

    model: Callable[..., Any]
    points: Points
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    derivatives: tuple[str, ...] = ()

    def __reduce__(self) -> Any:
        # JAX does not pickle which function a `jax.jit` transforms, but that one gets traced.
        bare = getattr(self.model, "__wrapped__", None) if is_jitted(self.model) else None
        return _rebuilt, (bare, self.model, self.points, self.args, self.kwargs, self.derivatives)

    @property
    def title(self) -> str:
        """Name of the model, as progress bars and dashboards show it."""
        return getattr(self.model, "__name__", type(self.model).__name__)

    @functools.cached_property
    def deed(self) -> str:
        """What a run of it does, for the history of a file."""
        return f"{self.title} run at {number_of(self.points.n, 'point')}"

    def call(self, state: Any) -> Any:
        """Return what the model returns for a state."""
        return self.model(state, *self.args, **self.kwargs)


def _rebuilt(bare: Callable[..., Any] | None, model: Any, *rest: Any) -> Job:
    if bare is not None:
        model.__wrapped__ = bare
    return Job(model, *rest)
