"""Text that fits a line: what is too long is cut, and an ellipsis says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def shorten(text: str, width: int) -> str:
    """Return text that is at most `width` long; a closing bracket stays.

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
    """Return text that is at most `width` long; both ends stay, which say most of a name.

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
    r"""Return text without line ends, runs of blanks, and what would command a terminal.

    Examples
    --------
    >>> one_line("[[1,\n  2]]")
    '[[1, 2]]'
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    r"""Return text without line ends and what would command a terminal; blanks stay.

    Examples
    --------
    >>> printable("  a\n\x1b[31mb")
    '  a �[31mb'
    """
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def elided(items: Sequence[T], most: int) -> list[T | None]:
    """Return all items, or the first and last ones with None in place of those between.

    Examples
    --------
    >>> elided(range(10), 4)
    [0, 1, None, 8, 9]
    """
    if len(items) <= most:
        return list(items)
    last = most // 2
    return [*items[: most - last], None, *items[len(items) - last :]]


def joined(parts: Sequence[str], separator: str, width: int) -> str:
    """Join parts to a text of at most `width`, with an ellipsis for those that do not fit.

    Examples
    --------
    >>> joined(["a: 3", "b: 3", "c: 3", "d: 3"], ", ", 20)
    'a: 3, b: 3, …, d: 3'
    """
    text = separator.join(parts)
    if len(text) <= width:
        return text
    best = shorten_middle(text, width)
    for most in range(1, len(parts)):
        shown = ["…" if part is None else part for part in elided(parts, most)]
        if len(separator.join(shown)) > width:
            break
        best = separator.join(shown)
    return best


def count(n: int, gap: str = "") -> str:
    """Return a whole number, rounded where it has more digits than anybody reads.

    `gap` stands between groups of three of its digits.

    Examples
    --------
    >>> count(10**12), count(3**500)
    ('1000000000000', '3.64e+238')
    """
    if n < 10**24:
        return str(n) if n < 10_000 else f"{n:,}".replace(",", gap)
    exponent = math.floor(math.log10(n))  # of integers beyond every float, too
    return f"{10 ** (math.log10(n) - exponent):.2f}e+{exponent}"


def number_of(n: int, what: str, gap: str = "") -> str:
    """Return a number of things.

    Examples
    --------
    >>> number_of(1, "point"), number_of(2, "point")
    ('1 point', '2 points')
    """
    return f"{count(n, gap)} {what}{'' if n == 1 else 's'}"
