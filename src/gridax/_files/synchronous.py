"""Dask arrays computed in the thread that writes them to a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import xarray as xr


@contextlib.contextmanager
def in_this_thread(dataset: xr.Dataset) -> Iterator[None]:
    """Let dask compute in this thread.

    With threads of its own it would read ahead as much as there are cores, and a thread that
    continues after an error would create the file again.
    """
    if not dataset.chunks:
        yield
        return
    import dask  # slow to import

    with dask.config.set(scheduler="synchronous"):
        yield
