"""`gridax info`: what a result holds, and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

import gridax as gx
from gridax._text import printable
from gridax.cli._console import console, examples, opened, outputs, reported
from gridax.cli.status import counted

if TYPE_CHECKING:  # they take a while to import
    import xarray as xr
    from rich.table import Table

Row = Sequence[str]

# Headers of the tables; > aligns to the right.
DIMENSIONS = ("", ">size", "labels", "unit", "axis", "description")
OUTPUTS = ("", "at each point", "dtype", ">size", "unit", "description")


@click.command(
    short_help="Show what a result holds.",
    epilog=examples(
        "gridax info sweep.nc",
        "gridax info sweep.zarr                  # also while the sweep runs",
        "gridax info s3://bucket/sweep.zarr",
    ),
)
@click.argument("file")
@reported
def info(file: str) -> None:
    """Show what a result holds: points, labels, outputs, and where it comes from.

    FILE is a netCDF file, a Zarr folder, the store of a run that may still be under way, or a URL.
    """
    from rich.padding import Padding
    from rich.text import Text

    with opened(file) as result:
        counts = counted(result.progress)
        parts = {
            "Dimensions": _table(_labels(result), *DIMENSIONS),
            "Fixed": _table(_fixed(result.dataset)),
            "Outputs": _table(_outputs(result), *OUTPUTS),
            "Made": _table(_provenance(result.dataset.attrs)),
        }
    show = console()
    with show.capture() as captured:
        show.print(Text.assemble((file, "bold"), ": ", counts), soft_wrap=True)
        for title, table in parts.items():
            if table.row_count:
                show.print(Text(f"\n{title}", style="bold"))
                show.print(Padding(table, (0, 0, 0, 2), expand=False))
    for line in captured.get().splitlines():  # which rich fills with blanks up to the right
        click.echo(line.rstrip(), color=show.is_terminal)


def _table(rows: Iterable[Row], *header: str) -> Table:
    """Return a table without the columns in which there is nothing."""
    from rich.table import Table

    rows = list(rows)
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(header)
    )
    titles = header or [""] * len(rows[0]) if rows else header
    used = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    for i in used:
        right = titles[i].startswith(">")
        table.add_column(titles[i].lstrip(">"), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(printable(row[i]) for i in used))  # a file may be a stranger's
    return table


def _labels(result: gx.Result) -> Iterator[Row]:
    """One row per dimension; where several coordinates share it, one more for each of them."""
    dataset, axes = result.dataset, result.space.axes
    own = (str(dim) for output in outputs(result).values() for dim in output.dims)
    for dim in dict.fromkeys((*result.space.dims, *own)):
        size = str(dataset.sizes[dim])
        along = [str(name) for name, coord in dataset.coords.items() if coord.dims == (dim,)]
        if along == [dim]:
            yield dim, size, *_coordinate(dataset, dim, axes)
        else:
            yield dim, size, "", "", "", ""
            for name in along:
                yield f"  {name}", "", *_coordinate(dataset, name, axes)


def _coordinate(dataset: xr.Dataset, name: str, axes: Mapping[str, gx.Axis]) -> Row:
    coord, kind = dataset[name], ""
    if name in axes:
        kind = repr(axes[name]).partition("(")[0]
        values = dataset.coords.get(f"{name}_value")
        if values is not None and values.ndim > 1 and kind != "KeyAxis":
            kind += f" of {'×'.join(map(str, values.shape[1:]))}"
    return _span(coord), _unit(coord), kind, str(coord.attrs.get("long_name", ""))


def _span(coord: xr.DataArray) -> str:
    """Return the range of numbers and dates; of other labels all, or the first and the last."""
    kind = coord.dtype.kind
    if coord.size and kind in "iufmM":
        low, high = (f"{end:.6g}" if kind == "f" else f"{end}" for end in _ends(coord.values))
        return low if low == high else f"{low} … {high}"
    labels = [str(label) for label in dict.fromkeys(coord.values.tolist())]
    return ", ".join(labels if len(labels) <= 3 else [labels[0], "…", labels[-1]])


def _ends(values: Any) -> tuple[Any, Any]:
    return values.min(), values.max()


def _unit(variable: xr.DataArray) -> str:
    return str(variable.attrs.get("units", ""))


def _fixed(dataset: xr.Dataset) -> Iterator[Row]:
    for name, coord in dataset.coords.items():
        if coord.ndim == 0:
            yield str(name), f"{coord.item()} {_unit(coord)}".rstrip()


def _outputs(result: gx.Result) -> Iterator[Row]:
    from rich.filesize import decimal

    for name, output in outputs(result).items():
        own = [str(dim) for dim in output.dims if dim not in result.space.dims]
        about = str(output.attrs.get("long_name", ""))
        shape, nbytes = " × ".join(own) or "one value", decimal(output.nbytes)
        yield name, shape, str(output.dtype), nbytes, _unit(output), about


def _provenance(attrs: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what the run noted; a foreign file may lack any of it."""
    yield "model", str(attrs.get("model", ""))
    yield "when", str(attrs.get("created", "")).replace("T", " ").replace("+00:00", " UTC")
    yield "on", f"{attrs.get('device', '')}, {'float64' if attrs.get('x64') else 'float32'}"
    versions = ((name, attrs.get(f"{name}_version", "")) for name in ("gridax", "jax", "xarray"))
    yield "with", ", ".join(f"{name} {version}" for name, version in versions)
    for resumed in json.loads(attrs.get("gridax_resumed", "[]")):
        when = resumed.get("when", "") if isinstance(resumed, dict) else ""
        yield "resumed", f"with another model, {when}"
