"""Threads that start programs on a CPU that is a single device of JAX.

JAX evaluates what one thread starts on such a device one after the other, but what several threads
start at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# One thread each, so that it is known which thread starts a program. Sweeps that begin at the same
# time may create more than they use.
_threads: list[ThreadPoolExecutor] = []
if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_threads.clear)  # a copy of the process has no threads


def started(function: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Call a function that does not wait for its results from one thread per call.

    Parameters
    ----------
    function : what is called; must not depend on settings of JAX, which belong to a thread.
    calls : arguments of each call.

    Returns
    -------
    Its results. The first call is from this thread.
    """
    while len(_threads) < len(calls) - 1:
        _threads.append(ThreadPoolExecutor(1, "gridax"))
    pairs = zip(_threads, calls[1:], strict=False)
    try:
        others = [one.submit(function, *args) for one, args in pairs]
    except RuntimeError:  # Python is about to end, and starts nothing more in other threads
        return [function(*args) for args in calls]
    first = function(*calls[0])
    return [first, *(other.result() for other in others)]
