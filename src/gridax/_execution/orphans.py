"""Processes that end when the process that started them does, even if that was killed.

Dask loads this module into the scheduler and the nannies of a local cluster as a preload; a worker
ends with its nanny.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

# Seconds between two looks at the parent process.
_INTERVAL = 0.5


def exit_with_parent() -> None:
    """Exit as soon as the parent process is gone; its children get another parent then."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, name="gridax parent watch", daemon=True).start()


def dask_setup(service: Any) -> None:
    """Watch the parent of a Dask service; the name is what Dask's preloading calls."""
    exit_with_parent()
