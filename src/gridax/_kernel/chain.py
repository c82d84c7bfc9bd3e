"""The program of a chain: what it starts from, and what each point carries to the next one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from gridax._kernel.nesting import evaluated, nested
from gridax._plan.plan import Level
from gridax._plan.work import Dims


@dataclasses.dataclass(frozen=True)
class ChainProgram:
    """What is carried from one point of a chain to the next.

    While a tile is evaluated, what is carried has one axis per level, of size 1 along levels along
    which it does not vary.

    Attributes
    ----------
    fingerprint : identifies what `initial` computes from its arguments.
    dim : number of the dimension along which points follow each other.
    outputs : numbers of the outputs that are carried. They are the last inputs of the program.
    dims : dimensions along which each of them varies, other than `dim`.
    initial : computes their values at the first point; a closed jaxpr, whose inputs are the fixed
        arrays and the values of the axes.
    """

    fingerprint: str
    dim: int
    outputs: tuple[int, ...]
    dims: tuple[Dims, ...]
    initial: Any = dataclasses.field(compare=False, repr=False)

    def level(self, levels: Sequence[Level]) -> int:
        """Return which level has the dimension along which points follow each other."""
        return next(n for n, level in enumerate(levels) if self.dim in level.dims)

    def start(
        self,
        levels: Sequence[Level],
        fixed: Sequence[Any],
        values: Sequence[Any],
        varies: Sequence[Dims],
    ) -> list[Any]:
        """Return what the first points start from.

        Parameters
        ----------
        levels : of the chains, without a depth.
        fixed : fixed arrays.
        values : values of the axes at the first points, with one axis per level that each varies
            along.
        varies : dimensions along which the values vary.
        """
        jaxpr, constants = self.initial.jaxpr, self.initial.consts

        def point(values: list[Any]) -> list[Any]:
            return evaluated(jaxpr, [*fixed, *values], constants)

        return self.spread(levels, nested(levels, point, values, varies, self.dims))

    def carried(self, levels: Sequence[Level], outs: Sequence[Any]) -> list[Any]:
        """Return what points with some outputs carry to the next ones."""
        return self.spread(levels, [outs[k] for k in self.outputs])

    def spread(self, levels: Sequence[Level], arrays: Sequence[Any]) -> list[Any]:
        """Return what is carried with the size of each level that it varies along."""
        spread = []
        for array, dims in zip(arrays, self.dims, strict=True):
            sizes = [1 if dims.isdisjoint(level.dims) else level.width for level in levels]
            array = array[tuple(slice(0, size) for size in sizes)]
            spread.append(jnp.broadcast_to(array, (*sizes, *array.shape[len(levels) :])))
        return spread

    def inputs(self, levels: Sequence[Level], carried: Sequence[Any]) -> list[Any]:
        """Return what is carried with one axis per level that it varies along, for `nested`."""
        return [
            array[tuple(0 if dims.isdisjoint(level.dims) else slice(None) for level in levels)]
            for array, dims in zip(carried, self.dims, strict=True)
        ]
