"""Running a model over a space."""

from gridax.execution.parallel import ParallelExecution
from gridax.execution.sequential import SequentialExecution

__all__ = ["ParallelExecution", "SequentialExecution"]
