"""What is computed and stored of each cell of a reduced sweep."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridax._outputs.template import Output
from gridax._plan.blocks import Wish
from gridax._plan.cells import Cells
from gridax._plan.chain import Chain
from gridax._plan.plan import Box
from gridax._reduce.request import Reduction
from gridax._reduce.variables import Variable, failed_points
from gridax._text import number_of

# What is not NaN, or zero, if no point counts.
_OF_NOTHING = {"sum": 0, "all": True}


@dataclasses.dataclass(frozen=True, eq=False)
class ReducedOutputs:
    """The outputs of a model, and the variables to which they are reduced.

    Attributes
    ----------
    reduction : how.
    outputs : what the model returns.
    variables : to what.
    """

    reduction: Reduction
    outputs: tuple[Output, ...]
    variables: tuple[Variable, ...]

    @property
    def cells(self) -> Cells:
        """The points that are reduced together."""
        return self.reduction.cells

    @functools.cached_property
    def stored(self) -> tuple[Output, ...]:
        """What a store keeps of each cell: the variables, and how many points failed."""
        is_part = bool(self.cells.cuts)
        return (*(variable.stored(is_part) for variable in self.variables), failed_points())

    @property
    def point_bytes(self) -> int:
        """Bytes of what is reduced of one point."""
        return sum(self.outputs[each.output].nbytes for each in self.reduction.outputs)

    def arrays(self, raw: Sequence[np.ndarray], failed: np.ndarray) -> list[np.ndarray]:
        """Return what is stored of some cells.

        Parameters
        ----------
        raw : what was computed.
        failed : number of points that failed.
        """
        pairs = zip(self.variables, self.stored, strict=False)
        return [*(variable.value(raw[variable.raw], to.dtype) for variable, to in pairs), failed]

    def nothing(self, box: Box, shape: tuple[int, ...], where: tuple[Any, ...]) -> list[np.ndarray]:
        """Return what is stored of cells at all of whose points the model failed.

        The parameters are those of a `Region`.
        """
        failed = self.cells.counts(box).reshape(shape)[where]
        arrays = []
        for variable, output in zip(self.variables, self.stored, strict=False):
            missing: Any = np.nan if jnp.issubdtype(output.dtype, jnp.inexact) else 0
            if output.dtype.kind == "U":
                missing = ""
            elif variable.method in _OF_NOTHING:
                missing = _OF_NOTHING[variable.method]
            value = np.full(output.shape, missing, output.dtype)
            arrays.append(np.broadcast_to(value, failed.shape + output.shape))
        return [*arrays, failed]

    def wish(self, seconds: float, chain: Chain | None) -> Wish:
        """Return which blocks of cells suit a model that takes so many seconds at a point.

        `chain` says along which dimension of the space points follow each other, if so.
        """
        each = seconds * self.cells.n_points
        nbytes = sum(output.nbytes for output in self.stored)
        along = None if chain is None else chain.numbered(self.cells.grid)
        # What is carried is not stored, so no block can begin in the middle of a chain.
        return Wish(each, nbytes, (1,) * len(self.cells.shape), chain=along, is_whole=True)

    def text(self, dims: Sequence[str]) -> str:
        """Return in a few words which points are reduced together.

        `dims` are the names of the space's dimensions.
        """
        cells = self.cells
        sizes = " × ".join(f"{dims[dim]} {cells.sizes[dim]}" for dim in cells.reduced)
        n = math.prod(cells.sizes[dim] for dim in cells.reduced)
        parts = "at a time"
        if cells.cuts:
            parts = f"in {number_of(cells.n_parts, 'part')} of up to {cells.n_points}, merged"
        return f"{number_of(n, 'point')} ({sizes}), {parts}"
