"""Python's search for garbage, and when it had better wait."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Return a context in which Python does not look for cycles of garbage.

    Tracing makes thousands of objects, nearly all of which stay. To look for garbage among them is
    in vain, and now and then includes all objects of all imported modules, which takes as long as
    tracing and compiling a small model.

    Examples
    --------
    >>> with uncollected():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
