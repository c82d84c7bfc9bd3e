"""`gridax export`: a result, or the store of a run, as one file."""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np

import gridax as gx
from gridax._disk import check_parent, whole
from gridax._text import listing
from gridax.cli._console import examples, note, opened, outputs, reported

KINDS = (".nc", ".zarr", ".csv")


@click.command(
    short_help="Save a result as netCDF, Zarr or CSV.",
    epilog=examples(
        "gridax export sweep.zarr sweep.nc --complevel 4",
        "gridax export sweep.nc sweep.zarr",
        "gridax export sweep.zarr table.csv      # one row per point",
    ),
)
@click.argument("store")
@click.argument("file")
@click.option(
    "--complevel",
    type=click.IntRange(0, 9),
    metavar="0-9",
    help="Compression of a netCDF file, from 0 (none, the default) to 9.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@reported
def export(store: str, file: str, complevel: int | None, overwrite: bool) -> None:
    """Save a result to FILE: netCDF (.nc), a Zarr folder (.zarr), or a table (.csv).

    STORE is the store of a run, finished or not, or any file that `gridax info` can show. Results
    larger than memory are written block by block. A table has one row per point.
    """
    path = Path(file)
    if "://" in file:
        raise click.UsageError(f"FILE must be a local path, not a URL; got '{file}'")
    if path.suffix not in KINDS:
        raise click.UsageError(f"the name of FILE must end in {listing(KINDS)}; got '{file}'")
    if complevel is not None and path.suffix != ".nc":
        raise click.UsageError(f"--complevel applies to netCDF files (.nc) only; got '{file}'")
    with opened(store) as result:
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(f"'{file}' already exists; replace it with --overwrite")
        if result.progress.done < result.progress.total:
            note(f"'{store}' has {result.progress}; the outputs of all other points are NaN")
        if path.suffix == ".nc":
            result.to_netcdf(path, complevel=complevel or 0)
        elif path.suffix == ".zarr":
            result.to_zarr(path, overwrite=overwrite)
        else:
            _to_csv(result, path)
    click.echo(f"{file} written")


def _to_csv(result: gx.Result, file: Path) -> None:
    """Write one row per point; the file is written completely or not at all."""
    arrays = [n for n, output in outputs(result).items() if output.ndim > len(result.space.dims)]
    if arrays:
        raise ValueError(
            "a table has one value per point and output, but these outputs are arrays: "
            f"{listing(arrays)}; export to a .nc or .zarr file instead"
        )
    table = result.to_dataframe()
    for name in [n for n in table if np.ndim(table[n].iloc[0])]:
        if name in result.space.axes:  # an array-valued axis is represented by its labels
            label = result.dataset[name].variable.set_dims(result.space.sizes)
            table[name] = label.values.reshape(-1)
        else:
            del table[name]
    check_parent(file)
    with whole(file) as beside:
        table.to_csv(beside, index=False)
