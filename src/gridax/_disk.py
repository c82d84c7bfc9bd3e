"""Names and writes that a result file needs to appear whole, and to stay."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def sync(path: Path) -> None:
    """Make the system write a file, or the entries of a folder, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sibling(path: Path, kind: str) -> Path:
    """Return a hidden name beside `path` that nobody uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.{kind}")
