"""Reduces the outputs of a tile on the device, so that they never leave it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import x64
from gridax._kernel.ordering import one_after_another
from gridax._plan.cells import levels_of_points
from gridax._plan.plan import Level
from gridax._plan.work import Dims
from gridax._reduce import arithmetic
from gridax._reduce.methods import Function
from gridax._reduce.request import Reduced, Reduction, n_arrays


@dataclasses.dataclass(frozen=True)
class Reducer:
    """From the cells of a tile to the indices of their points, and from outputs to what is kept.

    Attributes
    ----------
    reduction : how outputs are reduced.
    levels : of the points of a cell, which one run covers; of the dimensions of the space.
    has_gaps : whether some of the points of a cell do not count.
    skips_nan : whether NaN is skipped, which takes time; otherwise, `reduced` says whether there is
        any.
    """

    reduction: Reduction
    levels: tuple[Level, ...]
    has_gaps: bool
    skips_nan: bool

    def all_levels(self, levels: Sequence[Level]) -> tuple[Level, ...]:
        """Return the levels of a tile's points, given those of its cells."""
        return levels_of_points(self.reduction.cells, levels, self.levels)

    def varies(self, is_counted: bool, outputs: Sequence[Dims]) -> list[Dims]:
        """Return the dimensions along which each array of `reduced` varies.

        `outputs` are those of the outputs and, if so, of the number of iterations.
        """
        inner = frozenset(self.reduction.cells.reduced)
        found = []
        for each in self.reduction.outputs:
            found += [outputs[each.output] - inner] * n_arrays(each)
        found.append(frozenset(range(len(self.reduction.cells.sizes))))
        return [*found, *outputs[len(outputs) - is_counted :]]

    def indices(self, at: Sequence[Any], parts: Sequence[tuple[Any, Any]]) -> list[Any]:
        """Return the indices along each dimension of the space.

        Parameters
        ----------
        at : indices along each dimension of the grid of cells; those of a divided dimension are
            all the same.
        parts : the indices along each reduced dimension, of the shape ``(n_parts, length)``, and
            which of them count.
        """
        cells = self.reduction.cells
        by_dim = dict(zip(cells.grid, at, strict=True))
        index = [by_dim.get(dim) for dim in range(len(cells.sizes))]
        inner = dict(zip(cells.reduced, self._chosen(by_dim, parts, 0), strict=True))
        for level in self.levels:
            lengths = [len(inner[dim]) for dim in level.dims]
            run = np.arange(level.length) % math.prod(lengths)
            for dim, local in zip(level.dims, np.unravel_index(run, lengths), strict=True):
                index[dim] = inner[dim][local]
        return index

    def _chosen(
        self, by_dim: dict[int, Any], parts: Sequence[tuple[Any, Any]], which: int
    ) -> list[Any]:
        """Return the indices along each reduced dimension, or whether they count."""
        cells = self.reduction.cells
        return [
            part[which][by_dim[dim][0] if dim in by_dim else 0]
            for dim, part in zip(cells.reduced, parts, strict=True)
        ]

    def reduced(
        self,
        n_lead: int,
        is_counted: bool,
        at: Sequence[Any],
        parts: Sequence[tuple[Any, Any]],
        outs: Sequence[Any],
    ) -> list[Any]:
        """Return the arrays of all methods of all outputs.

        Parameters
        ----------
        n_lead : number of axes of cells.
        is_counted : whether the last output is the number of iterations, which is not reduced.
        at, parts : as in `indices`.
        outs : outputs of the points, with axes for cells, then one per level of `levels`.

        Returns
        -------
        list of array
            Of shape ``(*cells, *own)``, with a size of 1 for each divided dimension; then whether
            there was NaN that was not skipped.
        """
        cells = self.reduction.cells
        by_dim = dict(zip(cells.grid, at, strict=True))
        indices = self._chosen(by_dim, parts, 0)
        there = self._mask(self._chosen(by_dim, parts, 1), n_lead) if self.has_gaps else None
        lengths = dict(zip(cells.reduced, map(len, indices), strict=True))
        axes = tuple(range(n_lead, n_lead + len(cells.cuts)))
        found, nan = [], jnp.array(False)
        for each in self.reduction.outputs:
            x = self._spread(outs[each.output], n_lead, lengths)
            with x64(True), jax.numpy_dtype_promotion("standard"):
                arrays, has_nan = arithmetic.output(
                    jnp, x, n_lead, _ordered(each), cells.reduced, indices, there, self.skips_nan
                )
            nan = nan if self.skips_nan else nan | has_nan
            found += [jnp.expand_dims(array, axes) for array in arrays]
        found.append(nan.reshape((1,) * (n_lead + len(cells.cuts))))
        return [*found, *(jnp.expand_dims(outs[-1], axes) for _ in range(is_counted))]

    def _mask(self, counts: Sequence[Any], n_lead: int) -> Any:
        """Return which points of a cell count, with axes for cells."""
        mask = counts[0]
        for along in counts[1:]:
            mask = mask[..., None] & along.reshape((1,) * mask.ndim + (-1,))
        return mask.reshape((1,) * n_lead + mask.shape)

    def _spread(self, out: Any, n_lead: int, lengths: dict[int, int]) -> Any:
        """Return an output with one axis per reduced dimension, without repeated points."""
        axes: list[int] = []
        for n, level in enumerate(self.levels, n_lead):
            sizes = [lengths[dim] for dim in level.dims]
            if out.shape[n] > 1:
                out = jax.lax.slice_in_dim(out, 0, math.prod(sizes), axis=n)
            axes += level.dims
        shape = list(out.shape[:n_lead])
        for n, level in enumerate(self.levels, n_lead):
            sizes = [lengths[dim] for dim in level.dims]
            shape += sizes if out.shape[n] == math.prod(sizes) else [1] * len(sizes)
        out = out.reshape(*shape, *out.shape[n_lead + len(self.levels) :])
        order = [n_lead + axes.index(dim) for dim in sorted(axes)]
        own = range(n_lead + len(axes), out.ndim)
        return jnp.transpose(out, (*range(n_lead), *order, *own))


def _ordered(output: Reduced) -> Reduced:
    """Return how an output is reduced, with functions whose routines do not wait for each other."""
    methods = (
        Function(one_after_another(each.call)) if isinstance(each, Function) else each
        for each in output.methods
    )
    return dataclasses.replace(output, methods=tuple(methods))
