"""Pieces of HTML for notebooks, without scripts and ids, and with all foreign text escaped.

Colors follow the page, so that light and dark themes work whatever their variables are called:
text inherits its color, and lines and backgrounds are translucent greys.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from gridax._text import number_of, shorten, shorten_middle

# The cells of a row of a table; see `table`.
Row = Sequence[object]


class Markup(str):
    """Text that is already HTML; any other text is escaped when it is inserted into a page."""

    __slots__ = ()


# Separates groups of digits; lines do not break here.
GAP = "\N{NARROW NO-BREAK SPACE}"

# The selectors are long in order to override the styles of notebooks and themes.
STYLE = """
.gridax-repr { max-width: 900px; line-height: 1.6; text-align: left; }
.gridax-repr .gridax-head {
  padding: 6px 0; margin-bottom: 4px; border-bottom: 1px solid rgba(128, 128, 128, 0.3);
}
.gridax-repr .gridax-head > * { display: inline-block; margin: 0 12px 0 2px; }
.gridax-repr details {
  margin: 2px 0; padding: 0; border: 0; background: none; box-shadow: none;
}
.gridax-repr details > summary {
  display: list-item; margin: 0; padding: 0; cursor: pointer; font-weight: 500; opacity: 0.7;
  list-style: disclosure-closed inside;
}
.gridax-repr details[open] > summary { list-style-type: disclosure-open; }
.gridax-repr details > summary:hover { opacity: 1; }
.gridax-repr .gridax-fact { display: flex; gap: 0.6em; overflow-wrap: anywhere; }
.gridax-repr .gridax-fact > :first-child { flex: none; min-width: 6.5em; opacity: 0.7; }
.gridax-repr .gridax-scroll { overflow-x: auto; margin: 2px 0 6px 16px; }
.gridax-repr .gridax-scroll table {
  display: table; table-layout: auto; width: auto; margin: 0; border: 0;
  border-collapse: collapse; background: none; font-size: 0.93em; color: inherit;
}
.gridax-repr .gridax-scroll table :is(thead, tr) { border: 0; background: none; }
.gridax-repr .gridax-scroll table :is(th, td) {
  padding: 2px 16px 2px 2px; border: 0; border-top: 1px solid rgba(128, 128, 128, 0.2);
  background: none; color: inherit; max-width: none; text-align: left; vertical-align: top;
  white-space: nowrap; font-weight: normal;
}
.gridax-repr .gridax-scroll table thead th { border-top: 0; opacity: 0.7; }
.gridax-repr .gridax-scroll table tbody th { font-weight: bold; }
.gridax-repr .gridax-scroll table td.gridax-wide {
  white-space: normal; min-width: 15em; overflow-wrap: anywhere;
}
.gridax-repr code {
  padding: 0; border: 0; background: none; color: inherit; font-size: 0.95em;
}
.gridax-repr pre { margin: 2px 0 6px 16px; overflow-x: auto; background: none; color: inherit; }
.gridax-repr .gridax-bar {
  display: flex; max-width: 420px; height: 8px; margin: 6px 0 4px; border-radius: 4px;
  overflow: hidden; background: rgba(128, 128, 128, 0.3);
}
.gridax-repr .gridax-columns { display: flex; flex-wrap: wrap; gap: 0 32px; }
.gridax-repr .gridax-drawing { display: flex; gap: 12px; }
.gridax-repr .gridax-drawing svg { display: block; flex: none; margin: 6px 0; }
.gridax-repr .gridax-key {
  display: inline-block; width: 0.7em; height: 0.7em; margin: 0 0.4em 0 0;
}
.gridax-repr .gridax-done { background: #2c9a6c; }
.gridax-repr .gridax-failed { background: #d8523f; }
.gridax-repr .gridax-block { background: rgba(70, 130, 200, 0.4); fill: rgba(70, 130, 200, 0.4); }
.gridax-repr .gridax-tile { background: #e58a2e; fill: #e58a2e; }
/* xarray detects dark pages by a few attributes only; here its colors follow the page instead. */
.gridax-repr {
  --xr-font-color0: currentColor;
  --gridax-quiet: color-mix(in srgb, currentColor 65%, transparent);
  --xr-font-color2: var(--jp-content-font-color2, var(--gridax-quiet));
  --xr-font-color3: var(--jp-content-font-color3, var(--gridax-quiet));
  --xr-border-color: rgba(128, 128, 128, 0.3);
  --xr-disabled-color: rgba(128, 128, 128, 0.8);
  --xr-background-color: var(--jp-layout-color0, transparent);
  --xr-background-color-row-even: var(--jp-layout-color1, transparent);
  --xr-background-color-row-odd: var(--jp-layout-color2, rgba(128, 128, 128, 0.12));
}
.gridax-repr .xr-var-list > li > .xr-var-name span:nth-child(n) { background: none; }
"""


def escape(content: object) -> Markup:
    """Return text as HTML.

    Examples
    --------
    >>> escape("a<b"), escape(Markup("<b>a</b>"))
    ('a&lt;b', '<b>a</b>')
    """
    return content if isinstance(content, Markup) else Markup(html.escape(str(content)))


def element(tag: str, *content: object, css: str = "") -> Markup:
    """Return an element that contains texts or HTML.

    Examples
    --------
    >>> element("p", "a & ", element("b", "c"))
    '<p>a &amp; <b>c</b></p>'
    """
    kind = f" class='{css}'" if css else ""
    return Markup(f"<{tag}{kind}>{''.join(map(escape, content))}</{tag}>")


def page(title: str, notes: Iterable[object], *parts: object) -> str:
    """Return a complete repr: a title with notes beside it, and the parts below."""
    spans = (element("span", note) for note in notes)
    return frame(element("div", element("strong", title), *spans, css="gridax-head"), *parts)


def frame(*parts: object) -> str:
    """Return parts together with the style sheet that they need."""
    return str(element("div", element("style", Markup(STYLE)), *parts, css="gridax-repr"))


def fact(name: str, value: object) -> Markup:
    """Return a line with a name and a value."""
    return element("div", element("span", name), element("span", value), css="gridax-fact")


def section(title: object, *content: object, is_open: bool = False) -> Markup:
    """Return a section that can be folded and unfolded."""
    inside = "".join([element("summary", title), *map(escape, content)])
    return Markup(f"<details{' open' if is_open else ''}>{inside}</details>")


def table(head: Sequence[str], rows: Iterable[Row | None]) -> Markup:
    """Return a table; the first cell of a row names it.

    A cell that is None extends the cell above it; a row that is None represents omitted rows.
    """
    rows = list(rows)
    body = []
    for i, row in enumerate(rows):
        if row is None:
            body.append(Markup(f"<tr><td colspan='{len(head)}'>…</td></tr>"))
            continue
        cells = (_cell(cell, j, _height(rows[i + 1 :], j)) for j, cell in enumerate(row))
        body.append(element("tr", *cells))
    titles = element("thead", element("tr", *(element("th", name) for name in head)))
    return element("div", element("table", titles, element("tbody", *body)), css="gridax-scroll")


def _height(below: Sequence[Row | None], column: int) -> int:
    """Return the number of rows that a cell spans, given the rows below it."""
    for height, row in enumerate(below, 1):
        if row is None or row[column] is not None:
            return height
    return len(below) + 1


def _cell(content: object, column: int, height: int) -> Markup:
    if content is None:
        return Markup()
    if column == 0:
        return Markup(f"<th scope='row'>{escape(content)}</th>")
    is_long = not isinstance(content, Markup) and len(str(content)) > 40
    wide = " class='gridax-wide'" if is_long else ""
    tall = f" rowspan='{height}'" if height > 1 else ""
    return Markup(f"<td{wide}{tall}>{escape(content)}</td>")


def code(text: str, width: int) -> Markup:
    """Return code that is cut to `width` characters, with all of it in a tooltip."""
    visible = escape(shorten(text, width))
    title = f" title='{escape(text)}'" if len(text) > width else ""
    return Markup(f"<code{title}>{visible}</code>")


def points(n: int) -> str:
    """Return a number of points, with its digits in groups."""
    return number_of(n, "point", GAP)


def columns(*parts: object) -> Markup:
    """Return parts side by side, or below each other on a narrow page."""
    return element("div", *parts, css="gridax-columns")


Cut = tuple[str, int, int]  # name and size of a dimension, size of a block along it
Rectangle = tuple[int, int, int, int]  # first row and column, numbers of rows and columns

_WIDEST, _TALLEST, _NARROWEST, _MOST_LINES = 240, 150, 24, 40  # in pixels, but for the last


def grid_drawing(
    down: Cut, right: Cut, tile: Iterable[Rectangle], legend: Iterable[tuple[str, str]]
) -> Markup:
    """Return a drawing of a grid of two dimensions cut into blocks, with a tile in the first one.

    The legend has pairs of ``"block"`` or ``"tile"`` and its description.
    """
    scale = min(_TALLEST / down[1], _WIDEST / right[1])
    names = [
        f"{shorten_middle(name, 18)} {size}" if name else "" for name, size, _ in (down, right)
    ]
    tall, wide = (
        max(_NARROWEST, 6 * len(name), round(scale * cut[1]))  # as wide as the name at least
        for name, cut in zip(names, (down, right), strict=True)
    )
    y, x = tall / down[1], wide / right[1]  # pixels per point
    shapes = [_rectangle((0, 0, down[2], right[2]), y, x, "block")]
    shapes += [_rectangle(part, y, x, "tile") for part in tile]
    lines = [f"M0 {k:.4g}H{wide}" for k in _edges(down, y)]
    lines += [f"M{k:.4g} 0V{tall}" for k in _edges(right, x)]
    shapes.append(
        Markup(
            f"<path d='{''.join(lines)}' fill='none' stroke='currentColor' stroke-opacity='.35'/>"
            f"<rect width='{wide}' height='{tall}' fill='none' stroke='currentColor'/>"
            f"<text x='{wide / 2}' y='{tall + 16}'>{escape(names[1])}</text>"
            f"<text transform='translate(-8 {tall / 2}) rotate(-90)'>{escape(names[0])}</text>"
        )
    )
    drawing = Markup(
        f"<svg role='img' aria-label='grid, block and tile' "
        f"viewBox='-24 -2 {wide + 26} {tall + 24}' "
        f"width='{wide + 26}' height='{tall + 24}' font-size='11' fill='currentColor' "
        f"text-anchor='middle'>{''.join(shapes)}</svg>"
    )
    keys = (
        element("div", Markup(f"<span class='gridax-key gridax-{kind}'></span>"), text)
        for kind, text in legend
    )
    return element("div", drawing, element("div", *keys), css="gridax-drawing")


def _edges(cut: Cut, scale: float) -> list[float]:
    """Return the ends of the blocks, or of the first one alone if there are too many to see."""
    _, size, block = cut
    ends = range(block, size, block)
    return [end * scale for end in (ends if len(ends) <= _MOST_LINES else ends[:1])]


def _rectangle(part: Rectangle, y: float, x: float, kind: str) -> Markup:
    row, column, rows, columns = part
    return Markup(
        f"<rect class='gridax-{kind}' x='{column * x:.4g}' y='{row * y:.4g}' "
        f"width='{max(columns * x, 3):.4g}' height='{max(rows * y, 3):.4g}'/>"
    )
