"""A case of the zoo: a small model, and the grids over which it is swept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gridax as gx

# Points of a grid whose run takes milliseconds; the long one differs between cases.
SHORT, MEDIUM, TINY = 16, 256, 4
LENGTHS = ("short", "medium", "long")


@dataclass(frozen=True)
class Case:
    """A model from some field and its sweep.

    Parameters
    ----------
    name, field : what is modeled, and the field of science that it comes from.
    model : takes a flat dictionary and returns an array, or a flat dictionary of arrays.
    state : returns the model's state with axes for about the given number of points, which are
        combined as a product.
    long : number of points of a sweep that takes one to three seconds on one CPU device.
    rtol, atol : tolerance of the comparison of results.
    stray : fraction of the values that may be outside of the tolerance, for models in which a
        rounding error may change a decision, such as one more turn of a loop.
    half : ``"develop"``, or ``"held-out"`` for a case that nothing is tuned on.
    """

    name: str
    field: str
    model: Callable[[dict[str, Any]], Any]
    state: Callable[[int], dict[str, Any]]
    long: int
    rtol: float = 1e-3
    atol: float = 1e-4
    stray: float = 0.0
    half: str = ""

    def points(self, length: str) -> int:
        """Return the requested number of points; that of the grid may differ a little."""
        return {"tiny": TINY, "short": SHORT, "medium": MEDIUM, "long": self.long}[length]

    def space(self, length: str) -> gx.Space:
        """Return the grid."""
        return gx.Space(self.state(self.points(length)), mode="product")


def sides(n: int, *weights: float) -> list[int]:
    """Return the sizes of the dimensions of a grid of about `n` points.

    Equal weights give equal sizes; with weights 1 and 2, the second size is the square of the
    first one.
    """
    sizes: list[int] = []
    for i, weight in enumerate(weights):
        left = n / math.prod(sizes)
        sizes.append(max(1, round(left ** (weight / sum(weights[i:])))))
    return sizes
