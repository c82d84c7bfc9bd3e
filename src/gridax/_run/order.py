"""What an executor is asked to evaluate, and what it gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from gridax._outputs.template import Template
from gridax._plan.plan import Region
from gridax._stores.base import Store

# Where points lie, and their outputs, or the error that the model raised there (or its text), or
# how many of them somebody else has stored.
Evaluated = tuple[Region, Sequence[np.ndarray] | Exception | str | int]


@dataclasses.dataclass(frozen=True)
class Order:
    """How to evaluate.

    Attributes
    ----------
    store : says what is to be evaluated.
    block : points of a block along each dimension, where that is settled.
    memory : most bytes that a device may need.
    record : whether an error of the model ends the run, or is returned in place of outputs.
    agreed : is told what the model returns, before any of it is stored.
    """

    store: Store
    block: tuple[int, ...] | None
    memory: int | None
    record: bool
    agreed: Callable[[Template], None]
