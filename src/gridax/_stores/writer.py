"""A thread that writes blocks while others are computed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

# Blocks that wait to be written, besides the one that is being written. One is enough for computing
# and writing to overlap; each more would cost the memory of a block.
_WAITING = 1

T = TypeVar("T")


class Writer(Generic[T]):
    """Calls a function on one item after the other; after an error, on no more.

    Parameters
    ----------
    write : what is called, in a thread of its own.

    Attributes
    ----------
    error : what a write raised, or None.
    """

    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write
        self._waiting: queue.Queue[T | None] = queue.Queue(_WAITING)
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def submit(self, item: T) -> None:
        """Hand over an item; block while too many are waiting.

        Raises
        ------
        Exception
            What an earlier write raised.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="gridax writer")
            self._thread.start()
        self._raise()
        self._waiting.put(item)

    def close(self) -> None:
        """Wait until everything is written; raise what a write raised."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        self._raise()

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self.error is not None:
                # The queue is still emptied: `submit` may be waiting for a place in it.
                continue
            try:
                self._write(item)
            except BaseException as error:
                # Also KeyboardInterrupt and SystemExit: a dead thread would leave `submit` waiting
                # for ever.
                self.error = error
