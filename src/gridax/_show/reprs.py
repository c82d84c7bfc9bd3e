"""How spaces and results are displayed: text for terminals, HTML for notebooks.

The length of both is bounded: by options of xarray for text, and by the limits below for HTML.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import xarray as xr

from gridax._memory import human
from gridax._show import html
from gridax._show.facts import Coordinate, OutputFacts, ResultFacts, SpaceFacts
from gridax._show.html import Markup, element, fact, section
from gridax._show.progress import progress_bar, progress_text
from gridax._text import elide, join_within, number_of, printable, shorten, shorten_middle

# Most rows of a table in a notebook, and most rows of a table that is unfolded at first.
_MOST_ROWS, _MOST_OPEN = 60, 16
# With more variables than this, xarray takes too long to build its HTML.
_MOST_VARIABLES = 40
# The descriptions of spaces in the attributes are long, and they are displayed as tables anyway.
_LONGEST_ATTRIBUTE = 200


def space_text(space: SpaceFacts) -> str:
    """Return the text of a space, as wide and as long as xarray's options allow."""
    width, most = _option("display_width"), _option("display_max_rows")
    sizes = [f"{dim}: {size}" for dim, size in space.sizes.items()]
    hidden = f" ({most}/{len(space.axes)})" if len(space.axes) > most else ""
    lines = [
        f"<gridax.Space: {number_of(space.n_points, 'point')}, {space.mode}>",
        f"Dimensions:  ({join_within(sizes, ', ', width - 15)})",
        f"Axes:{hidden}",
        *_axis_lines(elide(space.axes, most), width),
    ]
    scalars = [f"{value.name} = {value.text}" for value in space.fixed if value.is_scalar]
    if scalars:
        lines.append(f"Fixed:  {join_within(scalars, ', ', width - 8)}")
    lines += [f"Chain:  {value.name} is {value.text}" for value in space.carried]
    return "\n".join(shorten(line, width) for line in lines)


def _axis_lines(axes: Sequence[Coordinate | None], width: int) -> Iterator[str]:
    """Yield a line per axis: name, dimension, labels, and the call that made it."""
    most = width * 3 // 10
    rows = [
        ["…", "", "", ""]
        if axis is None
        else [
            shorten_middle(axis.name, most),
            # The dimension of a single axis has the name of that axis.
            "" if axis.dim == axis.name else f"({shorten_middle(axis.dim or '', most)})",
            axis.span(most),
            axis.call,
        ]
        for axis in axes
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = [cell.ljust(n) for cell, n in zip(row, [*widths, 1], strict=True) if n]
        yield ("    " + "  ".join(cells)).rstrip()


def result_text(result: ResultFacts, dataset: xr.Dataset) -> str:
    """Return the text of a result: its state and size, then xarray's text of the Dataset."""
    width = _option("display_width")
    done, _, total = result.progress
    state = number_of(total, "point") if done == total else progress_text(result.progress)
    head = f"<gridax.Result: {state}, {human(result.nbytes)}"
    room = width - len(head) - len(", in >")
    if result.source and room >= 10:
        head += f", in {shorten_middle(result.source, room)}"
    lines = [f"{head}>", *repr(dataset).splitlines()]
    return "\n".join(shorten(printable(line), width) for line in lines)


def space_html(space: SpaceFacts, coordinates: Callable[[], xr.Dataset]) -> str:
    """Return the HTML of a space; its coordinates are requested only if they are displayed."""
    notes = [html.points(space.n_points), space.mode, f"axes hold {human(space.nbytes)}"]
    n = len(space.axes) + sum(value.is_scalar for value in space.fixed)
    if n <= _MOST_VARIABLES:
        last = section("Coordinates", Markup(coordinates()._repr_html_()))
    else:
        last = fact("Coordinates:", f"{n} variables, in the attribute dataset")
    axes = _axes(space, is_open=len(space.axes) <= _MOST_OPEN)
    return html.page("gridax.Space", notes, _dims(space), axes, *_values(space), last)


def result_html(result: ResultFacts, dataset: xr.Dataset) -> str:
    """Return the HTML of a result: outputs, space, and the whole Dataset as xarray shows it."""
    space, progress = result.space, result.progress
    return html.page(
        "gridax.Result",
        [html.points(space.n_points), space.mode, human(result.nbytes)],
        progress_bar(progress) if progress.done < progress.total else "",
        *_provenance(result),
        _dims(space),
        _outputs(result),
        _axes(space, is_open=False),
        *_values(space),
        _dataset(dataset),
    )


def _provenance(result: ResultFacts) -> Iterator[Markup]:
    run = result.provenance
    if run["model"]:
        yield fact("Model:", element("code", run["model"]))
    if run["arguments"]:
        yield fact("Arguments:", html.code(run["arguments"], 100))
    if run["script"] or run["commit"]:
        yield fact("Script:", ", ".join(filter(None, (run["script"], run["commit"]))))
    if run["when"]:
        yield fact("Run:", f"{run['when']}, {run['device'] or 'unknown device'}")
    if result.source:
        yield fact("File:", element("code", result.source))


def _dims(space: SpaceFacts) -> Markup:
    parts: list[object] = []
    for item in elide(list(space.sizes.items()), _MOST_OPEN):
        separator = ", " if parts else ""
        name, size = ("…", "") if item is None else (item[0], f": {item[1]}")
        parts += [separator, element("b", name), size]
    return fact("Dimensions:", element("span", "(", *parts, ")"))


def _axes(space: SpaceFacts, is_open: bool) -> Markup:
    rows: list[html.Row | None] = []
    dim_above: str | None = None
    for axis in elide(space.axes, _MOST_ROWS):
        dim = None if axis is None else axis.dim
        if axis is None:
            rows.append(None)
        else:
            along = "–" if dim is None else f"{dim}: {space.sizes[dim]}"
            repeated = dim is not None and dim == dim_above  # a cell that continues the one above
            call = html.code(axis.call, 50)
            rows.append(
                [axis.name, None if repeated else along, axis.span(60), axis.long_name, call]
            )
        dim_above = dim
    table = _table(["name", "dimension", "labels", "long name", "axis"], rows)
    return section(f"Axes ({len(space.axes)})", table, is_open=is_open)


def _outputs(result: ResultFacts) -> Markup:
    head = ["name", "dimensions of its own", "dtype", "a point", "in all", "units", "long name"]
    outputs = elide(result.outputs, _MOST_ROWS)
    rows = [None if output is None else _output_cells(output) for output in outputs]
    title = f"Outputs ({len(result.outputs)}), {human(result.nbytes)}"
    return section(title, _table(head, rows), is_open=len(result.outputs) <= _MOST_OPEN)


def _output_cells(output: OutputFacts) -> list[str]:
    own = ", ".join(f"{dim}: {size}" for dim, size in output.sizes.items()) or "–"
    sizes = human(output.nbytes), human(output.total)
    return [output.name, own, output.dtype, *sizes, output.units, output.long_name]


def _table(head: Sequence[str], rows: Sequence[html.Row | None]) -> Markup:
    """Return a table without the columns that are empty in all rows."""
    used = [any(row is not None and row[j] != "" for row in rows) for j in range(len(head))]
    kept = [None if row is None else list(itertools.compress(row, used)) for row in rows]
    return html.table(list(itertools.compress(head, used)), kept)


def _values(space: SpaceFacts) -> Iterator[Markup]:
    """Yield the sections of leaves that are no axes."""
    tables = [("Carried values", space.carried), ("Fixed values", space.fixed)]
    for title, values in tables:
        rows = [
            None if value is None else [value.name, html.code(value.text, 60)]
            for value in elide(values, _MOST_ROWS)
        ]
        if rows:
            yield section(f"{title} ({len(values)})", html.table(["name", "value"], rows))


def _dataset(dataset: xr.Dataset) -> Markup:
    """Return xarray's HTML, with long attributes cut and the number of variables limited."""
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
