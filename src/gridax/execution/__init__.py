"""Executors: a model evaluated at every point of a space."""

from gridax.execution._cores import use_cpu_devices
from gridax.execution.distributed import DaskExecution
from gridax.execution.parallel import ParallelExecution
from gridax.execution.sequential import SequentialExecution

__all__ = ["DaskExecution", "ParallelExecution", "SequentialExecution", "use_cpu_devices"]
