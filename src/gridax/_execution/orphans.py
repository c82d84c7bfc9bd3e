"""Processes that end when the process that started them does, even if that was killed."""

from __future__ import annotations

import os
import threading
import time

# Seconds between two looks at the parent process.
_INTERVAL = 0.5


def exit_with_parent(pid: int) -> None:
    """Exit as soon as this process has another parent, as it does once its own has ended.

    Parameters
    ----------
    pid : process id of the parent, which may have ended before this is called.
    """

    def watch() -> None:
        while os.getppid() == pid:
            time.sleep(_INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, name="gridax parent watch", daemon=True).start()
