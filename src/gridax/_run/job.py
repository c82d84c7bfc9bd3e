"""What is run: a model, the points at which it is evaluated, and its other arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from gridax._grid.points import Points


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A model, the points, and the arguments that are the same at every point.

    Attributes
    ----------
    model : called as ``model(state, *args, **kwargs)``.
    points : where it is evaluated.
    args, kwargs : passed on to the model.
    """

    model: Callable[..., Any]
    points: Points
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name of the model, as progress bars and dashboards show it."""
        return getattr(self.model, "__name__", type(self.model).__name__)

    def call(self, state: Any) -> Any:
        """Return what the model returns for a state."""
        return self.model(state, *self.args, **self.kwargs)
