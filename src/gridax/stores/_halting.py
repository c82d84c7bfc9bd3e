"""A Zarr store in a folder that ends with the first write that fails."""

from __future__ import annotations

import time
from pathlib import Path

from zarr.abc.buffer import Buffer
from zarr.storage import LocalStore


class HaltingStore(LocalStore):
    """A folder that takes nothing more once a write has failed or `halt` was called.

    Zarr writes chunks side by side and goes on with the others when one of them fails. They would
    bring back a folder that has been removed since.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._halted = False
        self._n_writing = 0

    async def set(self, key: str, value: Buffer) -> None:
        """Write a chunk or metadata."""
        if self._halted:
            raise OSError(f"{key!r} is not written, as another write failed")
        self._n_writing += 1
        try:
            await super().set(key, value)
        except BaseException:
            self._halted = True
            raise
        finally:
            self._n_writing -= 1

    def halt(self) -> None:
        """Let the writes that are under way end, and no other begin."""
        self._halted = True
        while self._n_writing:
            time.sleep(0.01)
