"""A hint when one model is compiled again and again."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import Any

from gridax._kernel.program import Program
from gridax._warnings import warn

# From this number of programs, and of seconds to compile them, a hint is worth its while.
_MANY, _LONG = 8, 5.0


@dataclasses.dataclass
class _Compiled:
    programs: set[str] = dataclasses.field(default_factory=set)
    seconds: float = 0.0
    warned: bool = False


# By the code of a model, as long as that exists, then by the shapes of its inputs.
_known: weakref.WeakKeyDictionary[Any, dict[str, _Compiled]] = weakref.WeakKeyDictionary()


def note(model: Callable[..., Any], program: Program, seconds: float) -> None:
    """Note that a program of a model was compiled; warn once if there are many like it."""
    code = getattr(model, "__code__", None)
    if code is None:
        return
    inputs = ",".join(str(variable.aval) for variable in program.traced.invars)
    mine = _known.setdefault(code, {}).setdefault(inputs, _Compiled())
    mine.programs.add(program.fingerprint)
    mine.seconds += seconds
    if len(mine.programs) >= _MANY and mine.seconds >= _LONG and not mine.warned:
        mine.warned = True
        warn(
            f"the model {code.co_name!r} was compiled as {len(mine.programs)} different programs, "
            f"which took {mine.seconds:.0f} s: plain numbers in the state, and numbers that the "
            "model reads from outside, are part of a program. Put what changes into the state as "
            "an array (jnp.asarray(x)) or an axis, and it is compiled once"
        )
