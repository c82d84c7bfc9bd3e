"""Executors: a model evaluated at every point of a space."""

from gridax._devices import use_cpu_devices
from gridax._execution.distributed import DaskExecution
from gridax._execution.parallel import ParallelExecution
from gridax._execution.sequential import SequentialExecution

__all__ = ["DaskExecution", "ParallelExecution", "SequentialExecution", "use_cpu_devices"]
