"""A zoo of small models from many fields, against the best of several hand-written programs.

Nothing is tuned on the cases of the held-out half; they show how well a choice of tiles carries
over to models that nobody looked at.
"""

from __future__ import annotations

import dataclasses

from . import algebra, biology, inference, physics, signals
from .case import Case

HALVES = ("develop", "held-out")

_ALL = (*biology.CASES, *physics.CASES, *algebra.CASES, *inference.CASES, *signals.CASES)

# Neighbors in the list are of the same field, so both halves span all fields.
CASES: tuple[Case, ...] = tuple(
    dataclasses.replace(case, half=HALVES[i % 2]) for i, case in enumerate(_ALL)
)

__all__ = ["CASES", "HALVES", "Case"]
