"""The competitor, tvboptim, if it is installed: its spaces and executors."""

from __future__ import annotations

try:
    import tvboptim
    from tvboptim import execution
    from tvboptim.types import spaces
except ImportError as error:
    NAME, MISSING = "tvboptim", f"no comparison with tvboptim: {error}"
else:
    NAME, MISSING = f"tvboptim {tvboptim.__version__}", ""

__all__ = ["MISSING", "NAME", "execution", "spaces"]
