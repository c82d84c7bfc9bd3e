"""How spaces and results show themselves: text for terminals, HTML for notebooks.

Nothing here is as long as the number of points, and nothing shows more than a reader takes in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._arrays import is_keys
from gridax._axes.base import brief, short
from gridax._grid.grid import Column, Grid
from gridax._memory import human
from gridax._outputs.template import Output, Template
from gridax._show import html
from gridax._show.html import Markup, element, fact, section
from gridax._text import elided, joined, number_of, one_line, printable, shorten, shorten_middle

# Name and value of the leaves of a state that are no axes.
Fixed = Sequence[tuple[str, Any]]

# Rows that a table in a notebook has at most, and with how many it is unfolded at first.
_MOST_ROWS, _MOST_OPEN = 60, 16
# With more variables than this, xarray's HTML takes longer than anybody wants to wait.
_MOST_VARIABLES = 40
# Descriptions of spaces in attributes are long, and are shown otherwise.
_LONGEST_ATTRIBUTE = 200


def space_text(grid: Grid, mode: str, fixed: Fixed) -> str:
    """Return the text of a space, no wider than xarray shall print."""
    width, most = _option("display_width"), _option("display_max_rows")
    columns = _ordered(grid)
    hidden = f" ({most}/{len(columns)})" if len(columns) > most else ""
    lines = [
        f"<gridax.Space: {number_of(grid.n_points, 'point')}, {mode}>",
        f"Dimensions:  ({joined(_sizes(grid), ', ', width - 15)})",
        f"Axes:{hidden}",
        *_axis_lines(elided(columns, most), grid, width),
    ]
    scalars = [f"{name} = {_value(leaf)}" for name, leaf in fixed if _is_scalar(leaf)]
    if scalars:
        lines.append(f"Fixed:  {joined(scalars, ', ', width - 8)}")
    return "\n".join(shorten(line, width) for line in lines)


def _axis_lines(columns: Sequence[Column | None], grid: Grid, width: int) -> Iterator[str]:
    """Yield a line per axis: name, dimension, labels, and the call that made it."""
    most = width * 3 // 10
    rows = [
        ["…", "", "", ""]
        if column is None
        else [
            shorten_middle(column.name, most),
            # A dimension of one axis bears its name.
            "" if column.dim == column.name else f"({shorten_middle(column.dim or '', most)})",
            _labels(column, grid, most, few=5),
            one_line(brief(column.axis)),
        ]
        for column in columns
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = [cell.ljust(n) for cell, n in zip(row, [*widths, 1], strict=True) if n]
        yield ("    " + "  ".join(cells)).rstrip()


def result_text(
    grid: Grid, template: Template, dataset: xr.Dataset, progress: tuple[int, int, int]
) -> str:
    """Return the text of a result: its size, then what xarray says, no wider than it shall be."""
    width = _option("display_width")
    head = f"<gridax.Result: {_state(progress)}, {human(grid.n_points * template.nbytes)}"
    room = width - len(head) - len(", in >")
    source = one_line(str(dataset.encoding.get("source", "")))
    if source and room >= 10:
        head += f", in {shorten_middle(source, room)}"
    lines = [f"{head}>", *repr(dataset).splitlines()]
    return "\n".join(shorten(printable(line), width) for line in lines)


def space_html(grid: Grid, mode: str, fixed: Fixed, coordinates: Callable[[], xr.Dataset]) -> str:
    """Return the HTML of a space; its coordinates are asked for if they are shown."""
    notes = [html.points(grid.n_points), mode, f"axes hold {human(_nbytes(grid))}"]
    n = len(grid.columns) + sum(_is_scalar(leaf) for _, leaf in fixed)
    if n <= _MOST_VARIABLES:
        last = section("Coordinates", Markup(coordinates()._repr_html_()))
    else:
        last = fact("Coordinates:", f"{n} variables, in the attribute dataset")
    is_open = len(grid.columns) <= _MOST_OPEN
    return html.page("gridax.Space", notes, _dims(grid), _axes(grid, is_open), _fixed(fixed), last)


def result_html(
    grid: Grid,
    mode: str,
    fixed: Fixed,
    template: Template,
    dataset: xr.Dataset,
    progress: tuple[int, int, int],
) -> str:
    """Return the HTML of a result: outputs, space, and the whole Dataset as xarray shows it."""
    total = human(grid.n_points * template.nbytes)
    return html.page(
        "gridax.Result",
        [html.points(grid.n_points), mode, total],
        html.progress(*progress) if progress[0] < progress[2] else "",
        *_provenance(dataset),
        _dims(grid),
        _outputs(grid, template, dataset, total),
        _axes(grid, is_open=False),
        _fixed(fixed),
        _dataset(dataset),
    )


def _state(progress: tuple[int, int, int]) -> str:
    done, failed, total = progress
    if done == total:
        return number_of(total, "point")
    return f"{done} of {total} points done" + (f", {failed} failed" if failed else "")


def _provenance(dataset: xr.Dataset) -> Iterator[Markup]:
    """Yield what was run, when and on what, and where the result lies."""
    attrs = dataset.attrs
    if "model" in attrs:
        yield fact("Model:", element("code", attrs["model"]))
    created = str(attrs.get("created", "")).replace("T", " ", 1).replace("+00:00", " UTC")
    if created:
        yield fact("Run:", f"{created}, {attrs.get('device', 'unknown device')}")
    if "source" in dataset.encoding:
        yield fact("File:", element("code", dataset.encoding["source"]))


def _dims(grid: Grid) -> Markup:
    parts: list[object] = []
    for item in elided(list(grid.sizes.items()), _MOST_OPEN):
        separator = ", " if parts else ""
        name, size = ("…", "") if item is None else (item[0], f": {item[1]}")
        parts += [separator, element("b", name), size]
    return fact("Dimensions:", element("span", "(", *parts, ")"))


def _axes(grid: Grid, is_open: bool) -> Markup:
    columns = _ordered(grid)
    named = any("long_name" in column.attrs for column in columns)
    rows: list[html.Row | None] = []
    above: str | None = None
    for column in elided(columns, _MOST_ROWS):
        dim = None if column is None else column.dim
        if column is None:
            rows.append(None)
        else:
            along = "–" if dim is None else f"{dim}: {grid.sizes[dim]}"
            rows.append(
                [
                    column.name,
                    along if dim is None or dim != above else None,
                    _labels(column, grid, 60, few=6),
                    *([_attribute(column.attrs, "long_name")] if named else []),
                    html.code(one_line(brief(column.axis)), 50),
                ]
            )
        above = dim
    head = ["name", "dimension", "labels", *(["long name"] if named else []), "axis"]
    return section(f"Axes ({len(columns)})", html.table(head, rows), is_open=is_open)


def _outputs(grid: Grid, template: Template, dataset: xr.Dataset, total: str) -> Markup:
    outputs = template.outputs
    head = ["name", "dimensions of its own", "dtype", "a point", "in all", "units", "long name"]
    rows: list[list[str] | None] = []
    for output in elided(outputs, _MOST_ROWS):
        rows.append(None if output is None else _output_cells(output, grid, dataset))
    used = [any(row is not None and row[j] != "" for row in rows) for j in range(len(head))]
    shown = [None if row is None else list(itertools.compress(row, used)) for row in rows]
    table = html.table(list(itertools.compress(head, used)), shown)
    title = f"Outputs ({len(outputs)}), {total}"
    return section(title, table, is_open=len(outputs) <= _MOST_OPEN)


def _output_cells(output: Output, grid: Grid, dataset: xr.Dataset) -> list[str]:
    variable = dataset.variables[output.name]
    inner = zip(variable.dims[len(grid.dims) :], output.shape, strict=True)
    return [
        output.name,
        ", ".join(f"{dim}: {size}" for dim, size in inner) or "–",
        str(output.dtype),
        human(output.nbytes),
        human(output.nbytes * grid.n_points),
        _attribute(variable.attrs, "units"),
        _attribute(variable.attrs, "long_name"),
    ]


def _fixed(fixed: Fixed) -> Markup:
    if not fixed:
        return Markup()
    rows = [
        item and [item[0], html.code(_value(item[1]), 60)] for item in elided(fixed, _MOST_ROWS)
    ]
    return section(f"Fixed values ({len(fixed)})", html.table(["name", "value"], rows))


def _dataset(dataset: xr.Dataset) -> Markup:
    """Return what xarray shows, long attributes in short, and not more than some variables."""
    title, n = "Dataset", len(dataset.variables)
    shown = dataset.copy(deep=False)
    if n > _MOST_VARIABLES:
        names = list(dataset.data_vars)[:_MOST_VARIABLES]
        title = f"Dataset: {len(names)} of {n} variables"
        shown = xr.Dataset({name: dataset.variables[name] for name in names})
    shown.attrs = {
        name: shorten(value, _LONGEST_ATTRIBUTE) if isinstance(value, str) else value
        for name, value in dataset.attrs.items()
    }
    return section(title, Markup(shown._repr_html_()), is_open=True)


def _option(name: str) -> int:
    return int(xr.get_options()[name])


def _sizes(grid: Grid) -> list[str]:
    return [f"{dim}: {size}" for dim, size in grid.sizes.items()]


def _ordered(grid: Grid) -> list[Column]:
    """Return the columns with those along one dimension together, fixed ones last."""
    place = {dim: i for i, dim in enumerate(grid.dims)}
    return sorted(grid.columns, key=lambda c: len(place) if c.dim is None else place[c.dim])


def _nbytes(grid: Grid) -> int:
    """Return how much memory labels and values take."""
    tables = [column.table for column in grid.columns]
    return sum(table.labels.nbytes + getattr(table.values, "nbytes", 0) for table in tables)


def _labels(column: Column, grid: Grid, width: int, few: int) -> str:
    """Return the few labels of an axis, or its first and last, and their units."""
    unit = _attribute(column.attrs, "units")
    end = "" if unit in ("", "1") else f" {unit}"
    size = 1 if column.dim is None else grid.sizes[column.dim]
    if size <= few:
        text = " ".join(_label(column, i) for i in range(size)) + end
        if len(text) <= width or size == 1:
            return shorten(text, width)
    return shorten(f"{_label(column, 0)} … {_label(column, size - 1)}{end}", width)


def _label(column: Column, i: int) -> str:
    row = column.rows if column.dim is None else column.take(i)
    label = column.table.labels[row].item()
    if isinstance(label, str):
        return repr(shorten(label, 30))
    text = str(label)
    return f"{label:.4g}" if isinstance(label, float) and len(text) > 8 else text


def _attribute(attrs: Mapping[str, Any], name: str) -> str:
    return shorten(one_line(str(attrs.get(name, ""))), 80)


def _is_scalar(leaf: Any) -> bool:
    if isinstance(leaf, (bool, int, float, complex, str, np.generic)):
        return True
    return getattr(leaf, "ndim", None) == 0 and hasattr(leaf, "item") and not is_keys(leaf)


def _value(leaf: Any) -> str:
    """Return a fixed value in short."""
    if _is_scalar(leaf):
        text = repr(str(leaf)) if isinstance(leaf, str) else str(np.asarray(leaf))
    elif callable(leaf) and hasattr(leaf, "__name__"):
        text = str(leaf.__name__)
    else:
        text = short(leaf)
    return shorten(one_line(text), 80)
