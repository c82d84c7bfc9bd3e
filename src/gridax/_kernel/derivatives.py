"""A traced model with the derivatives of its outputs among its outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gridax._kernel.moving import is_inexact
from gridax._kernel.repeats import without_repeats
from gridax._kernel.tangents import Tangents, pushed
from gridax._outputs.derivatives import has_derivatives
from gridax._outputs.template import Template


@dataclasses.dataclass(frozen=True)
class Directions:
    """The inputs of a program with respect to which its outputs are differentiated.

    Attributes
    ----------
    inputs : their numbers among the inputs.
    n_carried : how many of the last inputs are carried from the point before.
    across : which directions those inputs move in: all but those along a chain, since the point
        before has a label of its own there.
    """

    inputs: tuple[int, ...]
    n_carried: int = 0
    across: tuple[int, ...] = ()

    def of_start(self, closed: Any) -> Any:
        """Return a program that also returns tangents of what it computes: the start of chains."""
        kept = self._carried(closed.jaxpr.outvars)

        def start(*values: Any) -> list[Any]:
            outs, tangents = self._pushed(closed, values, {})
            return [*outs, *(_tangent(outs[c], tangents[c], k) for c, k in kept)]

        return without_repeats(jax.make_jaxpr(start)(*_avals(closed.jaxpr.invars)))

    def of_point(self, closed: Any, template: Template) -> Any:
        """Return a program that also returns derivatives, and also takes carried tangents.

        Parameters
        ----------
        closed : the program of one point.
        template : its outputs.
        """
        sources = [i for i, output in enumerate(template.outputs) if has_derivatives(output)]
        invars = closed.jaxpr.invars
        carried = self._carried(invars[len(invars) - self.n_carried :])
        first = len(invars) - self.n_carried

        def point(*values: Any) -> list[Any]:
            moved: dict[int, Tangents] = {}
            for (c, k), tangent in zip(carried, values[len(invars) :], strict=True):
                moved.setdefault(first + c, {})[k] = tangent
            outs, tangents = self._pushed(closed, values[: len(invars)], moved)
            directions = range(len(self.inputs))
            return [
                *outs,
                *(_tangent(outs[i], tangents[i], k) for i in sources for k in directions),
            ]

        extra = [invars[first + c] for c, _ in carried]
        return without_repeats(jax.make_jaxpr(point)(*_avals([*invars, *extra])))

    def numbers(self, numbers: Sequence[int], template: Template) -> tuple[int, ...]:
        """Return which outputs are carried, the tangents of carried ones included.

        Parameters
        ----------
        numbers : which of the outputs of the model are carried.
        template : its outputs, without derivatives.
        """
        n_outputs, n_directions = len(template.outputs), len(self.inputs)
        sources = [i for i, output in enumerate(template.outputs) if has_derivatives(output)]
        first = {i: n_outputs + n * n_directions for n, i in enumerate(sources)}
        tangents = [first[i] + k for i in numbers if i in first for k in self.across]
        return (*numbers, *tangents)

    def _carried(self, variables: Sequence[Any]) -> list[tuple[int, int]]:
        """Return the pairs of carried values and directions in which they move."""
        at = [c for c, variable in enumerate(variables) if is_inexact(variable.aval)]
        return [(c, k) for c in at for k in self.across]

    def _pushed(
        self, closed: Any, values: Sequence[Any], moved: dict[int, Tangents]
    ) -> tuple[list[Any], list[Tangents]]:
        tangents: list[Tangents] = [moved.get(i, {}) for i in range(len(values))]
        for k, i in enumerate(self.inputs):
            tangents[i] = {**tangents[i], k: jnp.ones_like(values[i])}
        return pushed(closed.jaxpr, closed.consts, values, tangents)


def _tangent(value: Any, tangents: Tangents, k: int) -> Any:
    return tangents[k] if k in tangents else jnp.zeros_like(value)


def _avals(variables: Sequence[Any]) -> list[Any]:
    return [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in variables]
