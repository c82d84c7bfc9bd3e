"""`gridax plot` and `gridax explore`: a picture, and a page to click through."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gridax as gx
from gridax._show.style import texts
from gridax.cli._console import examples, listed, note, opened, outputs, reported

if TYPE_CHECKING:  # it takes a while to import
    import xarray as xr

FORMATS = (".png", ".pdf", ".svg")


@click.command(
    short_help="Draw an output of a result.",
    epilog=examples(
        "gridax plot sweep.nc",
        "gridax plot sweep.nc rate -x G -y tau --mean trial -o rate.pdf",
        "gridax plot sweep.nc rate -x G --hue sigma --sel tau=2 --mean trial",
    ),
)
@click.argument("file")
@click.argument("output", required=False)
@click.option("-x", metavar="NAME", help="Dimension or coordinate along x.")
@click.option("-y", metavar="NAME", help="Dimension or coordinate along y.")
@click.option("--hue", metavar="NAME", help="One line for each label of this dimension.")
@click.option("--row", metavar="NAME", help="One row of panels for each label.")
@click.option("--col", metavar="NAME", help="One column of panels for each label.")
@click.option("--mean", metavar="NAME", multiple=True, help="Average over it; may be repeated.")
@click.option(
    "--sel",
    metavar="NAME=LABEL",
    multiple=True,
    help="Keep this label only, or the nearest number; may be repeated.",
)
@click.option(
    "-o",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PICTURE",
    help="Where to: .png, .pdf or .svg. By default FILE-OUTPUT.png in this folder.",
)
@reported
def plot(
    file: str,
    output: str | None,
    mean: tuple[str, ...],
    sel: tuple[str, ...],
    picture: Path | None,
    **roles: str | None,
) -> None:
    """Draw an output of a result; OUTPUT is the first one if it is left out.

    What --sel and --mean leave is drawn: one dimension as a line, two as a map, more as panels.
    """
    if picture is not None and picture.suffix not in FORMATS:
        raise click.UsageError(
            f"the name of PICTURE must end in {listed(FORMATS)}; got '{picture}'"
        )
    with opened(file) as result:
        output = _known_output(result, output or next(iter(outputs(result))))
        chosen = _labels(result.dataset[output], sel)
        for name in (*mean, *filter(None, roles.values())):
            _check_name(result.dataset[output], name)
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        try:
            result.plot(output, **roles, mean=mean or None, sel=chosen or None)
        except ValueError as error:
            raise _in_options(error) from error
        picture = picture or Path(f"{Path(file.rstrip('/')).stem}-{output}.png")
        plt.gcf().savefig(picture, dpi=150)
    click.echo(f"{picture} written")


@click.command(
    short_help="Explore a result in the browser.",
    epilog=examples(
        "gridax explore sweep.zarr",
        "gridax explore sweep.nc rate -x G -y tau",
        "gridax explore sweep.nc -o sweep.html     # one file, to be sent around",
    ),
)
@click.argument("file")
@click.argument("output", nargs=-1)
@click.option("-x", metavar="NAME", help="Dimension along x at the start.")
@click.option("-y", metavar="NAME", help="Dimension along y at the start; '' draws lines.")
@click.option(
    "-o",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE",
    help="Write a page (.html) that needs neither Python nor a server.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to serve at.")
@click.option("--no-browser", is_flag=True, help="Open none; the address is printed anyway.")
@reported
def explore(
    file: str,
    output: tuple[str, ...],
    x: str | None,
    y: str | None,
    page: Path | None,
    port: int,
    no_browser: bool,
) -> None:
    """Explore a result in the browser, with sliders and linked pictures, until Ctrl-C.

    The first OUTPUT is what is seen first. A page holds all outputs, or those that are named.
    """
    if page is not None and page.suffix != ".html":
        raise click.UsageError(f"the name of PAGE must end in .html; got '{page}'")
    with opened(file) as result:
        names = [_known_output(result, name) for name in output]
        try:
            explorer = result.explore(names[0] if names else None, x, y)
            if page is not None:
                explorer.save(page, names or None)
                click.echo(f"{page} written")
            else:
                importlib.import_module("panel")  # it may be missing
                click.echo("Ctrl-C ends it.", err=True)
                explorer.show(port, open_browser=not no_browser)
        except ValueError as error:
            raise _in_options(error) from error


def _in_options(error: ValueError) -> ValueError:
    """Return an error of Python with the options of the command line in it."""
    text = re.sub(r"\b(mean|sel|row|col|hue)=(?=\W|$)", r"--\1", str(error))
    return ValueError(text.replace("with outputs=", "after FILE").replace("max_bytes=", ""))


def _known_output(result: gx.Result, output: str) -> str:
    names = [*outputs(result)]
    if output not in names:
        raise ValueError(f"there is no output '{output}'; there are: {listed(names)}")
    return output


def _check_name(values: xr.DataArray, name: str) -> None:
    names = [*map(str, dict.fromkeys((*values.dims, *values.coords)))]
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(
            f"'{values.name}' has no dimension '{name}'; it has: {listed(values.dims)}{meant}"
        )


def _labels(values: xr.DataArray, sel: Iterable[str]) -> dict[str, Any]:
    """Read NAME=LABEL, with the label as the type that the labels of that name have."""
    found: dict[str, Any] = {}
    for text in sel:
        name, equals, label = text.partition("=")
        if not equals:
            raise click.UsageError(f"--sel takes NAME=LABEL, such as --sel G=0.3; got '{text}'")
        _check_name(values, name)
        found[name] = _label(values, name, label)
    return found


def _label(values: xr.DataArray, name: str, text: str) -> Any:
    """Return the label that was meant.

    Raises
    ------
    ValueError
        If there is none like it: another text, or a number out of the range.
    """
    labels = values[name].values.reshape(-1)  # without a coordinate, xarray counts from 0
    if labels.dtype.kind not in "iuf":
        is_date = labels.dtype.kind in "mM"  # of which a list has numbers
        known = dict(zip(texts(labels), labels if is_date else labels.tolist(), strict=True))
        if text in known:
            return known[text]
        close = difflib.get_close_matches(text, known, n=4, cutoff=0.5)
        near = [label for label in known if label in close]  # in their order
        raise ValueError(f"'{name}' has no label '{text}'; there are: {listed(near or [*known])}")
    low, high = labels.min().item(), labels.max().item()
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"'{name}' has no label '{text}'; its labels go from {low} to {high}")
    nearest = labels[abs(labels - number).argmin()].item()
    if nearest != number:
        note(f"'{name}' has no label {text}; the nearest one, {nearest}, is taken")
    return nearest
