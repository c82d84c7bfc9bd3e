"""A comparison of two results as text and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gridax._show import html
from gridax._show.html import Markup
from gridax._text import elide, printable, shorten

# A title, the heads of the columns, and rows of which the first cell is a name.
Section = tuple[str, Sequence[str], Sequence[Sequence[str]]]
# Most rows of a section, and most characters of a cell.
_MOST_ROWS, _WIDEST = 40, 60


def comparison_text(head: str, lines: Iterable[str], sections: Iterable[Section]) -> str:
    """Return a head, lines below it, and tables with columns of the same width."""
    text = [f"<gridax.Comparison: {head}>", *lines]
    for title, heads, rows in sections:
        shown = [["…", *[""] * (len(heads) - 1)] if row is None else row for row in _cut(rows)]
        table = [list(heads), *shown] if any(heads) else shown
        widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
        text.append(f"{title}:")
        for row in table:
            cells = [cell.ljust(n) for cell, n in zip(row, widths, strict=True)]
            text.append(f"    {'  '.join(cells)}".rstrip())
    return "\n".join(map(printable, text))


def comparison_html(head: str, lines: Iterable[str], sections: Iterable[Section]) -> str:
    """Return the HTML of a comparison."""
    parts: list[object] = [html.element("div", line) for line in lines]
    for title, heads, rows in sections:
        table: Markup = html.table(heads, _cut(rows))
        parts.append(html.section(f"{title} ({len(rows)})", table, is_open=True))
    return html.page("gridax.Comparison", [head], *parts)


def _cut(rows: Sequence[Sequence[str]]) -> list[list[str] | None]:
    return [
        None if row is None else [shorten(cell, _WIDEST) for cell in row]
        for row in elide(rows, _MOST_ROWS)
    ]
