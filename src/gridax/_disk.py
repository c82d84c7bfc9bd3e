"""What it takes for a file to appear whole and to survive a power failure."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

# What a file system answers to a request that it does not support.
UNSUPPORTED = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EMLINK}
)
# Bytes that a name may have.
_LONGEST_NAME = 255


def sync(path: Path) -> None:
    """Make the system write a file, or the entries of a folder, to the disk.

    Some file systems (network shares, FUSE) cannot do this for folders. There is nothing more that
    one could do then, and no reason to lose the run.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in UNSUPPORTED or not path.is_dir():
            raise
    finally:
        os.close(number)


def fitting(name: str, ending: str) -> str:
    """Return a name with an ending, within the bytes that a file system allows for a name.

    Examples
    --------
    >>> fitting("run.zarr", ".lock")
    'run.zarr.lock'
    >>> len(fitting(250 * "x", ".1-of-12.lock"))
    255
    """
    if len(os.fsencode(name + ending)) <= _LONGEST_NAME:
        return name + ending
    encoded = os.fsencode(name)
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    room = _LONGEST_NAME - len(os.fsencode(ending)) - len(digest) - 1
    start = encoded[: max(0, room)].decode(errors="ignore")  # not half of a character
    return f"{start}.{digest}{ending}"


def sibling(path: Path, kind: str) -> Path:
    """Return an unused hidden name next to `path`."""
    return path.with_name(fitting(f".{path.name}", f".{uuid.uuid4().hex[:12]}.{kind}"))


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to `path` to write to, which replaces `path` at the end.

    An exception leaves what was at `path` untouched, and nothing next to it.
    """
    beside = sibling(path, "partial")
    try:
        yield beside
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        if beside.exists():
            os.truncate(beside, 0)  # HDF5 may not let go of a file that it failed to write
            beside.unlink()


def check_parent(path: Path) -> None:
    """Reject a path whose folder does not exist or is a file."""
    if path.parent.exists() and not path.parent.is_dir():
        raise NotADirectoryError(f"{str(path.parent)!r} is not a folder; give another path")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(path.parent)!r} does not exist; create it first")


def check_target(path: Path) -> None:
    """Reject a path at which no file can be written."""
    check_parent(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{str(path)!r} is not a regular file; give another name")
