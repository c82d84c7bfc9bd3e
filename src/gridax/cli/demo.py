"""`gridax demo`: a first sweep, to have something to look at."""

from __future__ import annotations

import importlib.util
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gridax as gx
from gridax.cli._console import EXTRAS, INTERRUPTED, console, examples, reported

if TYPE_CHECKING:  # it takes a while to import
    import xarray as xr

# Where the network is looked at closely, at a medium noise: disorder, modules, all in step.
COUPLINGS, NOISE = (4.0, 14.0, 28.0), 2.0


@click.command(
    short_help="Sweep a small brain network, as a first result.",
    epilog=examples("gridax demo", "gridax demo try-out"),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="gridax-demo")
@click.pass_context
@reported
def demo(ctx: click.Context, folder: Path) -> None:
    """Sweep a small brain network, and say what to try next with the result.

    32 regions in four modules oscillate; they are coupled by a made-up connectome, and noise kicks
    them about. The sweep covers 16 couplings × 11 noise strengths × 6 trials, and takes some
    seconds. What it writes goes to FOLDER (gridax-demo by default). Run again, it finds the sweep
    there, or goes on with it.
    """
    if "JAX_NUM_CPU_DEVICES" not in os.environ:
        gx.use_cpu_devices()
    folder.mkdir(parents=True, exist_ok=True)
    store, picture = folder / "demo.zarr", folder / "demo.png"
    try:
        result = _swept(store)
    except KeyboardInterrupt:
        click.echo("Interrupted; the same command goes on with the sweep.", err=True)
        ctx.exit(INTERRUPTED)
    made = f"Made:\n  {store}  the sweep"
    if importlib.util.find_spec("matplotlib"):
        draw(result.dataset, picture)
        made += f"\n  {picture}   its synchrony as a picture"
    click.echo(
        "32 brain regions: 16 couplings × 11 noise strengths × 6 trials\n\n"
        f"{made}\n\n{_next(store)}\n\n"
        "In Python:\n"
        f'  result = gridax.open_result("{store}")\n'
        '  result.dataset["synchrony"].sel(sigma=2).mean("trial").plot()'
    )


def _swept(store: Path) -> gx.Result:
    """Run the sweep, or what is left of it, with a bar in a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from gridax.cli.network import sweep

    existed, show = store.exists(), console(stderr=True)
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("points")
    with Progress(*columns, console=show, disable=not show.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        try:
            return sweep(store, lambda done, n: bar.update(task, completed=done, total=n))
        except (FileExistsError, ValueError) as error:
            if not existed:
                raise
            raise ValueError(
                f"'{store}' is no sweep of this demonstration; name another folder: "
                "gridax demo FOLDER"
            ) from error


def _next(store: Path) -> str:
    named, table = shlex.quote(str(store)), shlex.quote(str(store.with_suffix(".nc")))
    missing = {extra for package, extra in EXTRAS.items() if not importlib.util.find_spec(package)}
    lines = [
        "Next:",
        *([f"  pip install 'gridax[{','.join(sorted(missing))}]'"] if missing else []),
        f"  gridax info {named}",
        f"  gridax plot {named} synchrony --mean trial",
        f"  gridax plot {named} fc --sel sigma=2 --sel G=14 --mean trial",
        f"  gridax explore {named}",
        f"  gridax export {named} {table}",
    ]
    return "\n".join(lines)


def draw(dataset: xr.Dataset, picture: Path) -> None:
    """Draw synchrony over coupling and noise, and the network itself at three couplings."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows: list[Any] = [["map", f"fc {G}", f"course {G}"] for G in COUPLINGS]
    fig, axes = plt.subplot_mosaic(
        rows, figsize=(11, 6), width_ratios=(5, 2, 3), layout="constrained"
    )
    mean = dataset["synchrony"].mean("trial", keep_attrs=True)
    mean.plot.pcolormesh(ax=axes["map"], x="G", vmin=0, vmax=1, cbar_kwargs={"label": "synchrony"})
    axes["map"].set_title("Coupling brings the regions in step, noise keeps them apart")
    for G, letter in zip(COUPLINGS, "ABC", strict=True):
        box = {"boxstyle": "circle", "facecolor": "w"}
        axes["map"].text(G, NOISE, letter, ha="center", va="center", bbox=box)
        at, fc, course = dataset.sel(G=G, sigma=NOISE, trial=0), f"fc {G}", f"course {G}"
        at["fc"].plot.pcolormesh(ax=axes[fc], vmin=0, vmax=1, add_colorbar=False)
        axes[fc].set(xticks=[], yticks=[], xlabel="", ylabel="regions", title=f"{letter}: FC")
        axes[fc].set_aspect("equal")
        at["course"].plot.line(ax=axes[course])
        axes[course].set(ylim=(0, 1), ylabel="synchrony", title="")
        if letter != "C":
            axes[course].set(xlabel="", xticklabels=[])
    fig.savefig(picture, dpi=150)
    plt.close(fig)
