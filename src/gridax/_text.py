"""Text that fits on a line: whatever is too long is cut, and an ellipsis marks the cut."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shorten(text: str, width: int) -> str:
    """Cut text to at most `width` characters, keeping a closing bracket.

    Examples
    --------
    >>> shorten("GridAxis(0.0, 1.0, 64, name='G')", 20)
    'GridAxis(0.0, 1.0,…)'
    """
    if len(text) <= width:
        return text
    end = "…" + text[-1] if text[-1] in ")]}>" and width > 2 else "…"
    return text[: max(0, width - len(end))] + end


def shorten_middle(text: str, width: int) -> str:
    """Cut text to at most `width` characters in the middle, as both ends of a name matter.

    Examples
    --------
    >>> shorten_middle("coupling.layers[0].strength", 15)
    'couplin…trength'
    """
    if len(text) <= width:
        return text
    tail = max(0, (width - 1) // 2)
    return text[: max(0, width - 1 - tail)] + "…" + text[len(text) - tail :]


def one_line(text: str) -> str:
    r"""Return text on one line, without runs of blanks and without control characters.

    Examples
    --------
    >>> one_line("[[1,\n  2]]")
    '[[1, 2]]'
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    r"""Return text without line ends and control characters, which could command a terminal.

    Examples
    --------
    >>> printable("  a\n\x1b[31mb")
    '  a �[31mb'
    """
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def elide(items: Sequence[T], most: int) -> list[T | None]:
    """Return all items, or the first and last ones with None in place of those between.

    Every "a few labels, then …" in gridax is built on this function.

    Examples
    --------
    >>> elide(range(10), 4)
    [0, 1, None, 8, 9]
    """
    if len(items) <= most:
        return list(items)
    last = most // 2
    return [*items[: most - last], None, *items[len(items) - last :]]


def listing(items: Sequence[object], most: int = 8, separator: str = ", ") -> str:
    """Return items as one text, with an ellipsis in place of those in the middle of a long list.

    Examples
    --------
    >>> listing(["G", "sigma"]), listing(range(100), 3)
    ('G, sigma', '0, 1, …, 99')
    """
    return separator.join("…" if item is None else str(item) for item in elide(items, most))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return what a message about an unknown name ends with, if a known one is similar.

    Examples
    --------
    >>> did_you_mean("sigm", ["G", "sigma"]), did_you_mean("tau", ["G", "sigma"])
    ("; did you mean 'sigma'?", '')
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def join_within(parts: Sequence[str], separator: str, width: int) -> str:
    """Return as many parts as a text of at most `width` has room for, as `listing` does.

    Examples
    --------
    >>> join_within(["a: 3", "b: 3", "c: 3", "d: 3"], ", ", 20)
    'a: 3, b: 3, …, d: 3'
    """
    text = separator.join(parts)
    if len(text) <= width:
        return text
    best = shorten_middle(text, width)
    for most in range(1, len(parts)):
        candidate = listing(parts, most, separator)
        if len(candidate) > width:
            break
        best = candidate
    return best


def count(n: int, gap: str = "") -> str:
    """Return a whole number as text, in scientific notation from 25 digits on.

    `gap` separates groups of three digits.

    Examples
    --------
    >>> count(10**12), count(3**500)
    ('1000000000000', '3.64e+238')
    """
    if n < 10**24:
        return str(n) if n < 10_000 else f"{n:,}".replace(",", gap)
    exponent = math.floor(math.log10(n))  # works for integers that exceed every float
    return f"{10 ** (math.log10(n) - exponent):.2f}e+{exponent}"


def number_of(n: int, what: str, gap: str = "") -> str:
    """Return a count with its noun in the singular or the plural.

    Examples
    --------
    >>> number_of(1, "point"), number_of(2, "point")
    ('1 point', '2 points')
    """
    return f"{count(n, gap)} {what}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration in the unit in which it has one to three digits.

    Examples
    --------
    >>> [duration(s) for s in (0.0021, 3.4, 59.7, 95, 600, 7500, 200_000)]
    ['2.1 ms', '3.4 s', '60 s', '95 s', '10 min', '2.1 h', '2.3 days']
    """
    units = [("ms", 1e-3, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172_800.0)]
    found = next(((unit, size) for unit, size, most in units if seconds < most), ("days", 86_400.0))
    unit, value = found[0], seconds / found[1]
    digits = 1 if value < 9.95 and not value.is_integer() else 0
    return f"{value:.{digits}f} {unit}"


def error_text(error: BaseException) -> str:
    """Return the type and message of an error, the cause first.

    An error in a function that a compiled program calls back comes as an error of JAX whose message
    has the traceback, and the error itself in its last lines.

    Examples
    --------
    >>> error_text(ValueError("too large"))
    'ValueError: too large'
    """
    try:
        message = str(error)
    except Exception:  # of the user's class; the point is to be recorded all the same
        message = "its message cannot be shown"
    text = f"{type(error).__name__}: {message}"
    _, marker, traceback = text.rpartition("Traceback (most recent call last):")
    # The lines of a traceback are indented; the message follows.
    cause = [line for line in traceback.splitlines() if line and not line.startswith(" ")]
    if not marker or not cause:
        return text
    return "\n".join([*cause, "", text])
