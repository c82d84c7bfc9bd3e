"""What it takes for a file to appear whole and to survive a power failure."""

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
    """Return an unused hidden name next to `path`."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.{kind}")
