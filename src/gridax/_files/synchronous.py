"""Dask arrays computed in the thread that writes them to a file."""

from __future__ import annotations

import contextlib
from typing import Any

import xarray as xr


def in_this_thread(dataset: xr.Dataset) -> contextlib.AbstractContextManager[Any]:
    """Let dask compute in this thread.

    With threads of its own it would read ahead as much as there are cores, and a thread that
    continues after an error would create the file again.
    """
    if not dataset.chunks:
        return contextlib.nullcontext()
    import dask  # slow to import

    return dask.config.set(scheduler="synchronous")
