"""`gridax info`: what a result holds, and where it comes from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridax._memory import human
from gridax._show.facts import Coordinate, OutputFacts, ResultFacts
from gridax._show.progress import progress_text
from gridax._text import printable, shorten
from gridax.cli._console import console, examples, opened, reported
from gridax.cli._pace import of_store
from gridax.result import facts_of

if TYPE_CHECKING:  # rich takes a while to import
    from rich.table import Table

Row = Sequence[str]

# Headers of the tables; > aligns a column to the right.
DIMENSIONS = ("", ">size", "labels", "unit", "axis", "description")
OUTPUTS = ("", "at each point", "dtype", ">size", "unit", "description")
# Most characters of the labels, so that a row fits on a line.
LABELS = 24
# Most characters of the arguments.
LONGEST = 400


@click.command(
    short_help="Show what a result holds.",
    epilog=examples(
        "gridax info sweep.nc",
        "gridax info sweep.zarr                  # also while the sweep is running",
        "gridax info s3://bucket/sweep.zarr",
    ),
)
@click.argument("file")
@reported
def info(file: str) -> None:
    """Show what a result holds: points, labels, outputs, and where it comes from.

    FILE is a netCDF file, a Zarr folder, the store of a run that may still be going on, or a URL.
    """
    from rich.padding import Padding
    from rich.text import Text

    from gridax._stores.lock import writing_since

    with opened(file) as result:
        facts = facts_of(result)
    tables = {
        "Dimensions": _table(_dimensions(facts), *DIMENSIONS),
        "Fixed": _table(_fixed(facts)),
        "Carried": _table((value.name, value.text) for value in facts.space.carried),
        "Reduced": _table((name, f"along {dims}") for name, dims in facts.reduced.items()),
        "Outputs": _table(map(_output, facts.outputs), *OUTPUTS),
        "Provenance": _table(_provenance(facts.provenance)),
    }
    out = console()
    with out.capture() as captured:
        title = Text.assemble((file, "bold"), ": ", progress_text(facts.progress))
        out.print(title, soft_wrap=True)
        is_local = Path(file).is_dir()
        since = writing_since(Path(file).absolute()) if is_local else None
        pace = of_store(file, facts.progress, since, time.time())
        if pace:
            out.print(Text(pace), soft_wrap=True)
        for heading, table in tables.items():
            if table.row_count:
                out.print(Text(f"\n{heading}", style="bold"))
                out.print(Padding(table, (0, 0, 0, 2), expand=False))
    for line in captured.get().splitlines():  # rich pads lines with blanks on the right
        click.echo(line.rstrip(), color=out.is_terminal)


def _table(rows: Iterable[Row], *header: str) -> Table:
    """Return a table without the columns that are empty in all rows."""
    from rich.table import Table

    rows = list(rows)
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(header)
    )
    titles = header or [""] * len(rows[0]) if rows else header
    used = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    for i in used:
        justify = "right" if titles[i].startswith(">") else "left"
        table.add_column(titles[i].lstrip(">"), justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(printable(row[i]) for i in used))  # a file may come from a stranger
    return table


def _dimensions(facts: ResultFacts) -> Iterator[Row]:
    """Yield a row per dimension; where coordinates share it, a further one for each of them."""
    own = {dim: size for output in facts.outputs for dim, size in output.sizes.items()}
    for dim, size in {**facts.space.sizes, **own}.items():
        coordinates = [c for c in (*facts.space.axes, *facts.coordinates) if c.dim == dim]
        if [coordinate.name for coordinate in coordinates] == [dim]:
            yield dim, str(size), *_coordinate(coordinates[0])
        else:
            yield dim, str(size), "", "", "", ""
            for coordinate in coordinates:
                yield f"  {coordinate.name}", "", *_coordinate(coordinate)


def _coordinate(coordinate: Coordinate) -> Row:
    labels = coordinate.span(LABELS, units=False)
    return labels, coordinate.units, coordinate.axis, coordinate.long_name


def _fixed(facts: ResultFacts) -> Iterator[Row]:
    for axis in facts.space.axes:
        if axis.dim is None:
            yield axis.name, axis.span(80)
    for value in facts.space.fixed:
        yield value.name, value.text


def _output(output: OutputFacts) -> Row:
    own = " × ".join(output.sizes) or "one value"
    return output.name, own, output.dtype, human(output.total), output.units, output.long_name


def _provenance(run: Mapping[str, str]) -> Iterator[Row]:
    yield "model", run["model"]
    for name in ("arguments", "key", "script", "commit"):
        if run[name]:
            yield name, shorten(run[name], LONGEST)
    yield "when", run["when"]
    yield "on", f"{run['device']}, {run['precision']}"
    yield "with", run["versions"]
    if run["resumed"]:
        yield "resumed", f"with another model, {run['resumed']}"
