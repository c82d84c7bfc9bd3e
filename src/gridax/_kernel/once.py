"""A model called at a single point, eagerly, as a user would call it in a debugger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from gridax._grid.carrying import Carrying
from gridax._grid.host import HostStates
from gridax._grid.points import Points
from gridax._kernel.arguments import Arguments
from gridax._kernel.start import Start
from gridax._kernel.trace import is_jitted
from gridax._outputs.branch import branch
from gridax._outputs.template import Template


class Call(NamedTuple):
    """A model and its arguments.

    Attributes
    ----------
    model, args, kwargs : the model is called as ``model(state, *args, **kwargs)``.
    is_traced : whether it receives JAX arrays, as in a compiled sweep, or plain Python values.
    """

    model: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    is_traced: bool = False

    def at(self, points: Points, index: Sequence[int], carried: Sequence[Any] | None) -> Any:
        """Return what the model returns at a point.

        `carried` are the outputs that were carried to it; None if it starts by itself.
        """
        model = self.model
        if is_jitted(model):
            model = getattr(model, "__wrapped__", model)
        if not self.is_traced:
            states = HostStates(points)

            def called() -> Any:
                values = None if carried is None else Carrying(points, states).values(carried)
                return model(states.at(index, values), *self.args, **self.kwargs)

            return states.given_to(called)
        arguments = Arguments(points, self.args, dict(self.kwargs))
        for dim, i, error in arguments.rejections():
            if dim is None or index[dim] == i:
                raise error
        choice = arguments.choice_at(index)
        trees = None
        if carried is not None:
            trees = Start(arguments, choice).trees([jnp.asarray(array) for array in carried])
        fixed, rows = arguments.at(index)
        return arguments.call(model, choice, [*map(jnp.asarray, fixed)], rows, trees)


def before(points: Points, index: Sequence[int]) -> tuple[int, ...] | None:
    """Return the point from which something is carried to another one; None if there is none."""
    chain = points.chain
    if chain is None:
        return None
    i, size = index[chain.dim], points.shape[chain.dim]
    last = i + 1 if chain.is_backward(index) else i - 1
    if not 0 <= last < size:
        return None
    return (*index[: chain.dim], last, *index[chain.dim + 1 :])


def carried_numbers(points: Points, template: Template) -> list[int]:
    """Return which outputs of a result are carried from one point to the next."""
    return [
        k
        for path, leaf in points.carried.items()
        for k in branch(template, leaf.output, path).numbers
    ]
