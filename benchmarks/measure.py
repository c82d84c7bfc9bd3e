"""Timers, counters, and the table rows that benchmarks yield."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax

LINE = "{:<52} {:<24} {:<20} {}"


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure of gridax, its goal, and a competitor of the same run."""

    what: str
    gridax: str
    goal: str = ""
    met: bool | None = None
    opponent: str = ""
    ratio: float | None = None  # competitor's time / gridax's time: above 1, gridax is faster


def line(row: Row) -> str:
    """Return a row as a line of the table."""
    verdict = {True: "  met", False: "  MISSED", None: ""}[row.met]
    ratio = f"  ({row.ratio:.3g} ×)" if row.ratio is not None else ""
    return LINE.format(row.what, row.gridax, row.goal + verdict, row.opponent + ratio).rstrip()


def timed(
    what: str,
    seconds: float,
    *,
    below: float | None = None,
    opponent: tuple[str, float] | None = None,
) -> Row:
    """Return the row of a duration, with a goal if `below` is given and a ratio for an opponent."""
    if opponent is None:
        rest = {}
    else:
        name, theirs = opponent
        rest = {"opponent": f"{name}: {duration(theirs)}", "ratio": theirs / seconds}
    if below is not None:
        rest |= {"goal": f"< {duration(below)}", "met": seconds < below}
    return Row(what, duration(seconds), **rest)


def medians(repeats: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Return the median seconds of each call.

    They take turns, so that load affects all equally, and in another order each time, because what
    ran before decides about what is in the caches.
    """
    for call in calls.values():  # compile and fill caches first
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    turns = list(calls.items())
    for _ in range(repeats):
        for name, call in turns:
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
        turns = turns[1:] + turns[:1]
    return {name: statistics.median(each) for name, each in times.items()}


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the peak memory of Python and NumPy during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


_compiled: list[str] = []


def _on_duration(event: str, duration_s: float, **about: object) -> None:
    if event == "/jax/core/compile/backend_compile_duration":
        _compiled.append(str(about.get("fun_name", "?")))


jax.monitoring.register_event_duration_secs_listener(_on_duration)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Collect the names of the functions that XLA compiles inside the block."""
    names: list[str] = []
    before = len(_compiled)
    try:
        yield names
    finally:
        names += _compiled[before:]


def duration(seconds: float) -> str:
    for unit, size in ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def bytesize(n: float) -> str:
    for unit, size in ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} B"
