"""What a run asks of a store, whether it is in memory or on a disk."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gridax._outputs.labels import STATES
from gridax._plan.chain import Chain
from gridax._plan.plan import Box, Region, Take

Verify = Literal["none", "size", "full"]
Durability = Literal["process", "power"]

# States of a point. A failed one has been evaluated, but the model raised an error.
PENDING, DONE, FAILED = 0, 1, 2
# The variable of the states in a Dataset, and that of the messages of failed points.
STATUS, ERROR = STATES
FLAGS = {"flag_values": [PENDING, DONE, FAILED], "flag_meanings": "pending done failed"}


class Task(NamedTuple):
    """A block to be evaluated.

    Attributes
    ----------
    box : the block.
    todo : bool array over the block, True at the points to be evaluated; None if all are.
    known : outputs of its other points and the states of all, if their chains go on.
    take : positions in the block along each dimension, of whose product all points are to be
        evaluated; None for all of the block.
    """

    box: Box
    todo: np.ndarray | None = None
    known: tuple[Sequence[np.ndarray], np.ndarray] | None = None
    take: Take = None


class Computed(NamedTuple):
    """The outputs of some points.

    Attributes
    ----------
    region : where the points are.
    arrays : one per output, of the shape ``(*tile, *output.shape)``, or with 1 in place of a size
        of the tile along which the output does not vary.
    owned : whether nobody else uses the arrays, so that a store may keep them.
    errors : in a reduced sweep, what the model raised at points of a cell, by the position of the
        cell in the block. Such a cell counts as failed, but has values.
    """

    region: Region
    arrays: Sequence[Any]
    owned: bool = False
    errors: Mapping[tuple[int, ...], str] = {}


@dataclasses.dataclass(frozen=True)
class StoreOptions:
    """How a run uses its store; `Execution.run` explains each option."""

    shard: tuple[int, int] = (0, 1)
    verify: Verify = "size"
    durability: Durability = "process"
    retry_failed: bool = False
    chain: Chain | None = None
    is_coarse: bool = False


class Store(abc.ABC):
    """Where the outputs of a run are kept. Abstract: all methods."""

    @abc.abstractmethod
    def tasks(self) -> Iterator[Task] | None:
        """Return what is left to be evaluated; None if that is all, in blocks of any shape."""

    @abc.abstractmethod
    def write(self, computed: Computed) -> int:
        """Store the outputs of a tile; return how many of its points are new."""

    @abc.abstractmethod
    def fail(self, region: Region, error: Exception | str) -> int:
        """Record that the model failed at some points; return how many are new."""

    @abc.abstractmethod
    def begin(self, box: Box) -> None:
        """Open a block that was not among the tasks, so that it can be written or failed."""

    @abc.abstractmethod
    def states(self, box: Box) -> np.ndarray:
        """Return the states of the points of a box within a block."""

    @abc.abstractmethod
    def outputs_at(self, box: Box, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return some outputs at the points of a box within a block.

        Those of points that are not done may have any value.
        """

    @abc.abstractmethod
    def close(self) -> int:
        """Wait until everything is stored; return how many points are new since the last write."""
