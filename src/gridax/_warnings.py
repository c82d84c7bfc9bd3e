"""Warnings that point to the user's own code."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """Warn with a UserWarning that points to the first line outside of gridax."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("gridax."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
