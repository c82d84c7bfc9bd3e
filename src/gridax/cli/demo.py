"""`gridax demo`: a first sweep to look at, over the coupling of a whole-brain network."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gridax as gx
from gridax._checks import optional
from gridax.cli._console import INTERRUPTED, examples, reported
from gridax.cli.network import connectome, model, space

if TYPE_CHECKING:
    import xarray as xr

# The extras of gridax for what is suggested, and the packages that they install.
EXTRAS = {"matplotlib": "plot", "bokeh": "explore", "panel": "explore", "tvboptim": "demo"}


@click.command(
    short_help="Sweep a whole-brain network, as a first result.",
    epilog=examples("gridax demo", "gridax demo my-folder"),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="gridax-demo")
@click.pass_context
@reported
def demo(ctx: click.Context, folder: Path) -> None:
    """Sweep a whole-brain network, and suggest what to do with the result.

    84 brain regions, driven by noise, excite each other along a connectome: the measured one of
    tvboptim if that is installed, or a made-up one. The sweep covers 31 strengths of the coupling
    and 16 noise trials, and takes less than a minute. It is written to FOLDER (gridax-demo by
    default). The same command resumes a sweep that was interrupted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store, table, figure = (folder / f"demo{suffix}" for suffix in (".zarr", ".nc", ".png"))
    try:
        result = _sweep(store)
    except KeyboardInterrupt:
        click.echo("Interrupted; run the same command again to resume.", err=True)
        ctx.exit(INTERRUPTED)
    result.to_netcdf(table)
    written = f"Written:\n  {store}  the store of the sweep\n  {table}    the result in one file"
    if importlib.util.find_spec("matplotlib"):
        draw(result.dataset.compute(), figure)
        written += f"\n  {figure}   a figure of it"
    click.echo(
        "84 brain regions: 31 couplings × 16 noise trials\n\n"
        f"{written}\n\n{_suggestions(store)}\n\n"
        "In Python:\n"
        f'  result = gridax.open_result("{table}")\n'
        '  result.dataset["fit"].mean("trial").plot()'
    )


def _sweep(store: Path) -> gx.Result:
    """Run the sweep, or resume it, with a progress bar in a terminal."""
    existed = store.exists()
    try:
        return gx.ParallelExecution(model, space()).run(store=store, progress=sys.stderr.isatty())
    except (FileExistsError, ValueError) as error:
        if not existed:
            raise
        raise ValueError(
            f"'{store}' does not hold this sweep, or it holds the sweep of another connectome; "
            "choose another folder: gridax demo FOLDER"
        ) from error


def _suggestions(store: Path) -> str:
    quoted, small = shlex.quote(str(store)), shlex.quote(str(store.with_name("small.nc")))
    missing = {extra for package, extra in EXTRAS.items() if not importlib.util.find_spec(package)}
    lines = [
        "Next:",
        *([f"  pip install 'gridax[{','.join(sorted(missing))}]'"] if missing else []),
        f"  gridax info {quoted}",
        f"  gridax plot {quoted} fit --mean trial",
        f"  gridax plot {quoted} S --mean trial",
        f"  gridax explore {quoted}",
        f"  gridax export {quoted} {small} --complevel 4",
    ]
    return "\n".join(lines)


def draw(dataset: xr.Dataset, figure: Path) -> None:
    """Plot activity, its fluctuations and the fit over the coupling, and the regions' activity."""
    optional("matplotlib", "plot").use("Agg")
    plt = optional("matplotlib.pyplot", "plot")
    best = dataset["fit"].mean("trial").idxmax("G").item()
    deviation = dataset["course"].std("time").assign_attrs(long_name="SD over time of mean S")
    fig, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    (means, hubs), (fits, deviations) = axes
    plots: tuple[tuple[Any, Any], ...] = (
        (means, dataset["S"].mean("region", keep_attrs=True)),
        (fits, dataset["fit"]),
        (deviations, deviation),
    )
    for ax, values in plots:
        values.plot.line(ax=ax, x="G", color="0.7", lw=0.7, add_legend=False)
        values.mean("trial", keep_attrs=True).plot(ax=ax, color="tab:red", lw=2.5)
        ax.axvline(best, color="0.3", ls=":")
    by_strength = connectome().weights.sum(axis=1).argsort()
    by_region: Any = dataset["S"].mean("trial", keep_attrs=True).isel(region=by_strength)
    by_region.plot(ax=hubs, x="G", cmap="magma")
    hubs.axvline(best, color="w", ls=":")
    hubs.set(yticks=[], ylabel="regions, weakly to strongly connected")
    means.set_title("Coupling switches the network on ...")
    hubs.set_title("... the hubs first")
    fits.set_title(f"FC fits best at G = {best} (grey: trials)")
    deviations.set_title("Near it, activity fluctuates most")
    fig.savefig(figure, dpi=150)
    plt.close(fig)
