"""Running a model over a space."""

from gridax.execution._cores import use_cpu_devices
from gridax.execution.parallel import ParallelExecution
from gridax.execution.sequential import SequentialExecution

__all__ = ["ParallelExecution", "SequentialExecution", "use_cpu_devices"]
