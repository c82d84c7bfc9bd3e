"""`gridax plot` and `gridax explore`: a static figure and an interactive page."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gridax as gx
from gridax._checks import optional
from gridax._memory import human
from gridax._outputs.labels import without_states
from gridax._plots.keywords import KINDS
from gridax._show.labels import label_texts
from gridax._text import did_you_mean, listing
from gridax.cli._console import Command, examples, note, opened, reported

if TYPE_CHECKING:  # xarray takes a while to import
    import xarray as xr

FORMATS = (".png", ".pdf", ".svg")


def _repeated(name: str, metavar: str, text: str) -> Callable[[Command], Command]:
    """Return an option that may be given several times, and says so."""
    return click.option(name, metavar=metavar, multiple=True, help=f"{text}; may be repeated.")


@click.command(
    short_help="Plot an output of a result.",
    epilog=examples(
        "gridax plot sweep.nc",
        "gridax plot sweep.nc rate -x G -y tau --mean trial -o rate.pdf",
        "gridax plot sweep.nc rate -x G --hue sigma --sel tau=2 --band trial",
        "gridax plot sweep.nc rate -x G --hue tau --band trial --spread 0.9",
        "gridax plot sweep.nc rate --kind hist --hue sigma",
    ),
)
@click.argument("file")
@click.argument("output", required=False)
@click.option("-x", metavar="NAME", help="Dimension or coordinate along x.")
@click.option("-y", metavar="NAME", help="Dimension or coordinate along y.")
@click.option("--hue", metavar="NAME", help="Draw one line per label of this dimension.")
@click.option("--row", metavar="NAME", help="Draw one row of panels per label.")
@click.option("--col", metavar="NAME", help="Draw one column of panels per label.")
@_repeated("--mean", "NAME", "Average over a dimension")
@_repeated("--band", "NAME", "Draw the mean and the spread over a dimension")
@click.option(
    "--spread",
    metavar="SPREAD",
    multiple=True,
    help="What the band shows: sd, sem, range, or a share of the points around the median, such "
    "as 0.9; a share may be repeated.",
)
@click.option("--kind", metavar="KIND", help=f"One of {listing(KINDS, 9)}.")
@_repeated("--sel", "NAME=LABEL", "Select a label, or the nearest number")
@click.option(
    "-o",
    "figure",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FIGURE",
    help="File to write (.png, .pdf, .svg); by default FILE-OUTPUT.png in this folder.",
)
@reported
def plot(
    file: str,
    output: str | None,
    mean: tuple[str, ...],
    band: tuple[str, ...],
    spread: tuple[str, ...],
    kind: str | None,
    sel: tuple[str, ...],
    figure: Path | None,
    **roles: str | None,
) -> None:
    """Plot an output of a result; without OUTPUT, the first one.

    The dimensions that --sel and --mean leave are plotted: one as a line, two as a color map,
    further ones as panels.
    """
    if figure is not None and figure.suffix not in FORMATS:
        raise click.UsageError(f"the name of FIGURE must end in {listing(FORMATS)}; got '{figure}'")
    with opened(file) as result:
        output = _known_output(result, output or next(iter(without_states(result.dataset))))
        selection = _labels(result.dataset[output], sel)
        along = () if output.endswith(".mean") else band  # its band may be another output
        for name in (*mean, *along, *filter(None, roles.values())):
            _check_name(result.dataset[output], name)
        optional("matplotlib", "plot").use("Agg")
        plt = optional("matplotlib.pyplot", "plot")
        try:
            chosen = {"band": band, "spread": _spread(spread), "kind": kind}
            options: dict[str, Any] = {name: value for name, value in chosen.items() if value}
            result.plot(output, **roles, mean=mean or None, sel=selection or None, **options)
        except ValueError as error:
            raise _in_options(error) from error
        figure = figure or _file_name(file, str(output))
        plt.gcf().savefig(figure, dpi=150)
    click.echo(f"{figure} written")


@click.command(
    short_help="Explore a result in the browser.",
    epilog=examples(
        "gridax explore sweep.zarr",
        "gridax explore sweep.nc rate -x G -y tau --sel sigma=0.1 --mean trial",
        "gridax explore sweep.nc -o sweep.html     # one file to share",
        "gridax explore sweep.nc rate course -o sweep.html --every time=10",
    ),
)
@click.argument("file")
@click.argument("output", nargs=-1)
@click.option("-x", metavar="NAME", help="Dimension along x at first.")
@click.option("-y", metavar="NAME", help="Dimension along y at first; '' plots a line.")
@_repeated("--mean", "NAME", "Average over a dimension at first")
@_repeated("--sel", "NAME=LABEL", "Start at a label, or the nearest number")
@click.option("--cmap", metavar="NAME", default="viridis", help="Color map, such as magma or RdBu.")
@click.option("--vmin", type=float, help="Lower limit of the colors.")
@click.option("--vmax", type=float, help="Upper limit of the colors.")
@click.option("--log", is_flag=True, help="Use a logarithmic scale for the colors.")
@click.option(
    "--theme",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    help="Light or dark; by default as the system.",
)
@click.option(
    "-o",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PAGE",
    help="Write an HTML file that needs neither Python nor a server.",
)
@_repeated("--every", "NAME=N", "With -o, keep one in N labels of a dimension")
@click.option(
    "--max-size",
    metavar="SIZE",
    default="100 MB",
    help="With -o, upper limit of the size of PAGE, such as '200 MB'.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the server; 0 takes a free one.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address, and open no browser.")
@reported
def explore(
    file: str,
    output: tuple[str, ...],
    mean: tuple[str, ...],
    sel: tuple[str, ...],
    log: bool,
    page: Path | None,
    every: tuple[str, ...],
    max_size: str,
    port: int,
    no_browser: bool,
    **start: Any,
) -> None:
    """Explore a result in the browser, with sliders and linked plots, until Ctrl-C.

    The first OUTPUT is shown at first. A page contains the given outputs, or all of them.
    """
    if page is not None and page.suffix != ".html":
        raise click.UsageError(f"the name of PAGE must end in .html; got '{page}'")
    if page is None and every:
        raise click.UsageError("--every makes a page smaller; name the page with -o")
    steps = dict(map(_step, every))
    with opened(file) as result:
        names = [_known_output(result, name) for name in output]
        try:
            explorer = result.explore(
                names[0] if names else None,
                mean=mean,
                sel=_texts(sel),
                norm="log" if log else "linear",
                **start,
            )
            if page is not None:
                explorer.save(page, names or None, max_size, every=steps)
                click.echo(f"{page} written, {human(page.stat().st_size)}")
            else:
                optional("panel", "explore")  # fails before the message below, if missing
                click.echo("Press Ctrl-C to stop.", err=True)
                explorer.show(port, open_browser=not no_browser)
        except ValueError as error:
            raise _in_options(error) from error


def _file_name(file: str, output: str) -> Path:
    """Return the name of a figure in this folder, whatever a file calls its outputs."""
    name = re.sub(r"[^\w.\[\]()-]", "_", output)
    return Path(f"{Path(file.rstrip('/')).stem}-{name}.png")


def _spread(texts: tuple[str, ...]) -> str | list[float] | None:
    """Return what --spread describes: a word, or shares of the points."""
    if len(texts) == 1 and texts[0].isalpha():
        return texts[0]
    try:
        return [float(text) for text in texts] or None
    except ValueError:
        raise click.UsageError(
            f"--spread takes sd, sem or range, or shares such as 0.9; got {' '.join(texts)}"
        ) from None


def _texts(sel: Iterable[str]) -> dict[str, str]:
    """Return NAME=LABEL texts as a mapping."""
    pairs = [text.partition("=") for text in sel]
    for name, equals, label in pairs:
        if not equals:
            raise click.UsageError(
                f"--sel takes NAME=LABEL, such as --sel G=0.3; got '{name}{label}'"
            )
    return {name: label for name, _, label in pairs}


def _step(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    if not name or not number.isdecimal() or int(number) < 1:
        raise click.UsageError(f"--every takes NAME=N, such as --every time=10; got '{text}'")
    return name, int(number)


# How options are called in Python, and on the command line.
_NAMES = (
    (r"with outputs=\[[^]]*\]", "by naming them after FILE"),
    (r"every=\{'([^']*)': (\d+)\}", r"--every \1=\2"),
    (r"\bmax_bytes=", "--max-size "),
    (r"\bmax_bytes\b", "--max-size"),
    (r"norm='log'", "--log"),
    (r"\b(band|spread|kind)='([^']*)'", r"--\1 \2"),
    (
        r"\b(mean|sel|row|col|hue|band|spread|kind|cmap|vmin|vmax|every)=(?=\W|$|[-\d])",
        r"--\1 ",
    ),
    (r"\b([xy])=(?=\W|$)", r"-\1 "),
)


def _in_options(error: ValueError) -> ValueError:
    """Return an error of the Python API in terms of the command line's options."""
    text = str(error)
    for python, option in _NAMES:
        text = re.sub(python, option, text)
    return ValueError(re.sub(r"(--?\w+) (?=[,;:.)]|$| )", r"\1", text))


def _known_output(result: gx.Result, output: str) -> str:
    names = [*without_states(result.dataset)]
    if output not in names:
        raise ValueError(f"no output '{output}'; the outputs are {listing(names)}")
    return output


def _check_name(values: xr.DataArray, name: str) -> None:
    names = [*map(str, dict.fromkeys((*values.dims, *values.coords)))]
    if name not in names:
        raise ValueError(
            f"'{values.name}' has no dimension '{name}'; its dimensions are "
            f"{listing(values.dims)}{did_you_mean(name, names)}"
        )


def _labels(values: xr.DataArray, sel: Iterable[str]) -> dict[str, Any]:
    """Return the labels that NAME=LABEL texts name, in the type of each coordinate."""
    selection: dict[str, Any] = {}
    for name, label in _texts(sel).items():
        _check_name(values, name)
        selection[name] = _label(values, name, label)
    return selection


def _label(values: xr.DataArray, name: str, text: str) -> Any:
    """Return the label that a text names: an exact text or date, or the nearest number.

    Raises
    ------
    ValueError
        If no label has this text, or the number is out of the range.
    """
    labels = values[name].values.reshape(-1)  # without a coordinate, positions
    if labels.dtype.kind not in "iuf":
        is_date = labels.dtype.kind in "mM"  # tolist() would return numbers
        known = dict(zip(label_texts(labels), labels if is_date else labels.tolist(), strict=True))
        text = text.capitalize() if labels.dtype == bool else text  # true, as in other languages
        if text in known:
            return known[text]
        close = difflib.get_close_matches(text, known, n=4, cutoff=0.5)
        near = [label for label in known if label in close]  # in the order of the labels
        raise ValueError(
            f"'{name}' has no label '{text}'; the {'closest' if near else 'labels'} are "
            f"{listing(near or [*known])}"
        )
    low, high = labels.min().item(), labels.max().item()
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"'{name}' has no label '{text}'; its labels range from {low} to {high}")
    nearest = labels[abs(labels - number).argmin()].item()
    if nearest != number:
        note(f"'{name}' has no label {text}; using the nearest one, {nearest}")
    return nearest
