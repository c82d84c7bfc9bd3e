"""Available memory, and sizes in bytes as people write them."""

from __future__ import annotations

import functools
import operator
import os
import re
from pathlib import Path
from typing import Any

_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_BY_LETTERS = {name.lower(): size for name, size in _UNITS.items()}


def human(nbytes: float) -> str:
    """Return a number of bytes as text, in the unit that reads best.

    Examples
    --------
    >>> human(4_200_000_000)
    '4.2 GB'
    """
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        text = f"{nbytes:.3g}"
        if float(text) < 1000:
            return f"{text} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} EB"


def parsed(size: Any) -> int:
    """Return the number of bytes in a number or in text such as ``"4 GB"``.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or not positive.

    Examples
    --------
    >>> parsed("1.5 GB"), parsed(2**20)
    (1500000000, 1048576)
    """
    if isinstance(size, str):
        found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]+)\s*", size)
        try:
            nbytes = int(float(found[1]) * _BY_LETTERS[found[2].lower()]) if found else 0
        except (KeyError, ValueError, OverflowError):
            nbytes = 0
    else:
        try:
            nbytes = operator.index(size)
        except TypeError as error:
            raise TypeError(
                f"memory must be a number of bytes or text such as '4 GB', got {size!r}"
            ) from error
    if nbytes <= 0 or isinstance(size, bool):
        raise ValueError(
            "memory must be a positive number of bytes or text such as '4 GB' "
            f"({', '.join(_UNITS)}), got {size!r}"
        )
    return nbytes


@functools.cache
def physical() -> int | None:
    """Return the bytes of memory that this process may use, or None if they are unknown."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return min(there, _of_container("max") or there)


def check_fits(nbytes: int, what: str, advice: str) -> None:
    """Reject what would not fit into the memory of the machine, before it is allocated.

    Parameters
    ----------
    nbytes : that are needed, at least.
    what : needs them, in the plural.
    advice : what to do instead.

    Raises
    ------
    MemoryError
        If the machine has less; the message names both sizes.
    """
    there = physical()
    if there and nbytes > there:
        raise MemoryError(
            f"{what} need {human(nbytes)}, but the machine has {human(there)} of memory; {advice}"
        )


def free(device: Any) -> int | None:
    """Return the bytes that are free on a JAX device, or None if they are unknown."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    if device.platform != "cpu":
        return None
    there = _available()
    most, used = _of_container("max"), _of_container("current")
    if most is not None and used is not None:
        there = min(most - used, there if there is not None else most)
    return there


def _available() -> int | None:
    """Return the bytes that Linux could give to a new process without swapping."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return physical()
    return int(found[1]) * 1024 if found else physical()


def _of_container(what: str) -> int | None:
    """Return a value of the Linux control group, which limits containers and batch jobs."""
    try:
        return int(Path(f"/sys/fs/cgroup/memory.{what}").read_text())
    except (OSError, ValueError):  # no cgroup v2, or the text "max" for no limit
        return None
