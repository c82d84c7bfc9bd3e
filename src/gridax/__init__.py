"""Labeled parameter grids for JAX models: axes in a pytree, a run over a Space, one Dataset."""

from gridax._axes import (
    Axis,
    Carried,
    ChoiceAxis,
    DataAxis,
    GridAxis,
    KeyAxis,
    LogGridAxis,
    NumPyroAxis,
    QuadratureAxis,
    UniformAxis,
)
from gridax._axes.designs import from_samples, halton, latin_hypercube, sobol
from gridax._axes.saltelli import saltelli
from gridax._compare.compare import Comparison, compare
from gridax._execution import (
    DaskExecution,
    ParallelExecution,
    SequentialExecution,
    use_cpu_devices,
)
from gridax._grid.index import PointIndex
from gridax._plan.plan import Plan
from gridax._reduce.methods import Histogram, Quantiles
from gridax._refine.refine import refine
from gridax._version import __version__
from gridax.result import Result, open_result
from gridax.space import Space

AbstractAxis = Axis

__all__ = [
    "AbstractAxis",
    "Axis",
    "Carried",
    "ChoiceAxis",
    "Comparison",
    "DaskExecution",
    "DataAxis",
    "GridAxis",
    "Histogram",
    "KeyAxis",
    "LogGridAxis",
    "NumPyroAxis",
    "ParallelExecution",
    "Plan",
    "PointIndex",
    "QuadratureAxis",
    "Quantiles",
    "Result",
    "SequentialExecution",
    "Space",
    "UniformAxis",
    "__version__",
    "compare",
    "from_samples",
    "halton",
    "latin_hypercube",
    "open_result",
    "refine",
    "saltelli",
    "sobol",
    "use_cpu_devices",
]

# Tracebacks and reprs say gridax.Space, which is what users import.
for _public in __all__:
    if hasattr(globals()[_public], "__module__"):
        globals()[_public].__module__ = "gridax"
del _public
