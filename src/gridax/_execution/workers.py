"""What `RemoteEvaluator` needs of the processes to which it sends blocks."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import NamedTuple

from gridax._execution.worker import BlockOutputs, RemoteJob
from gridax._stores.base import Task

Tasks = tuple[Task, ...]


class Killed(NamedTuple):
    """A block whose workers died every time, and the text of the error."""

    task: Task
    text: str


class Workers(abc.ABC):
    """Processes that evaluate blocks. Abstract: all methods."""

    @abc.abstractmethod
    def n(self) -> int:
        """Return how many blocks are evaluated at the same time."""

    @abc.abstractmethod
    def results(self, job: RemoteJob, batches: Iterator[Tasks]) -> Iterator[BlockOutputs | Killed]:
        """Yield what the workers return for all blocks, in any order.

        Raises
        ------
        Exception
            What the model raised in a worker.
        RuntimeError
            If the workers are lost, or lack a package.
        """
