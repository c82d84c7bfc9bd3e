"""A model under `jax.jit`, called point by point."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from gridax._grid.points import Points
from gridax._kernel.arguments import Arguments
from gridax._kernel.nesting import evaluated
from gridax._kernel.program import Program
from gridax._kernel.trace import Traced, trace
from gridax._outputs.template import Template


class Pointwise:
    """Calls the traced program of a model at single points.

    `jax.jit` would trace the plain numbers of a state, and reject its strings and other objects.
    Here they are static and axes have JAX's dtypes, as if the point were one of a vectorized sweep.

    Parameters
    ----------
    model : what is called; a `jax.jit` around it is removed.
    points, args, kwargs : as in `Arguments`.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        points: Points,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._model, self._arguments = model, Arguments(points, args, kwargs)
        self._rejections = list(self._arguments.rejections())
        self._traced: dict[tuple[bool, tuple[int, ...]], Traced] = {}

    def at(
        self, index: Sequence[int], carried: Sequence[Any] | None = None
    ) -> tuple[Template, list[Any]]:
        """Return what the model returns at an index along each dimension: template and arrays.

        `carried` are the arrays of the carried leaves; None for their initial values.
        """
        for dim, i, error in self._rejections:
            if dim is None or index[dim] == i:
                raise error
        traced = self._traced_at(index)
        fixed, values = self._arguments.at(index)
        if traced.program.chain is not None:
            if carried is None:
                carried = _compiled(traced.program, is_start=True)(fixed, values)
            values += carried
        return traced.template, _compiled(traced.program)([*traced.constants, *fixed], values)

    def carried(self, index: Sequence[int]) -> tuple[int, ...]:
        """Return the numbers of the outputs that a point carries to the next one."""
        chain = self._traced_at(index).program.chain
        return () if chain is None else chain.outputs

    def _traced_at(self, index: Sequence[int]) -> Traced:
        choice = self._arguments.choice_at(index)
        key = bool(jax.config.read("jax_enable_x64")), choice
        if key not in self._traced:
            self._traced[key] = trace(self._model, self._arguments, choice)
        return self._traced[key]


# Bounded, so that models that are no longer used do not stay in memory forever.
@functools.lru_cache(maxsize=64)
def _compiled(program: Program, is_start: bool = False) -> Callable[..., list[Any]]:
    if not is_start:
        return jax.jit(program.point)
    assert program.chain is not None
    initial = program.chain.initial
    return jax.jit(
        lambda fixed, values: evaluated(initial.jaxpr, [*fixed, *values], initial.consts)
    )
