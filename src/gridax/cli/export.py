"""`gridax export`: a result, or the store of a run, as one file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import numpy as np

import gridax as gx
from gridax.cli._console import examples, listed, note, opened, outputs, reported
from gridax.cli.status import counted

KINDS = (".nc", ".zarr", ".csv")


@click.command(
    short_help="Save a result as netCDF, Zarr or CSV.",
    epilog=examples(
        "gridax export sweep.zarr sweep.nc --complevel 4",
        "gridax export sweep.nc sweep.zarr",
        "gridax export sweep.zarr table.csv      # if each output is one value",
    ),
)
@click.argument("store")
@click.argument("file")
@click.option(
    "--complevel",
    type=click.IntRange(0, 9),
    metavar="0-9",
    help="How much a netCDF file is compressed; 0, the default, is not at all.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@reported
def export(store: str, file: str, complevel: int | None, overwrite: bool) -> None:
    """Save a result to FILE: netCDF (.nc), a Zarr folder (.zarr), or a table (.csv).

    STORE is the store of a run, finished or not, or any file that gridax info shows. A store
    larger than memory is written block by block. A table has one row per point.
    """
    path = Path(file)
    if "://" in file:
        raise click.UsageError(f"FILE must be on this machine, got '{file}'")
    if path.suffix not in KINDS:
        raise click.UsageError(f"the name of FILE must end in {listed(KINDS)}; got '{file}'")
    if complevel is not None and path.suffix != ".nc":
        raise click.UsageError("--complevel is for netCDF files (.nc)")
    with opened(store) as result:
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(f"'{file}' exists; --overwrite replaces it")
        if result.progress.done < result.progress.total:
            note(f"'{store}' has {counted(result.progress)}; the others are NaN")
        if path.suffix == ".nc":
            result.to_netcdf(path, complevel=complevel or 0)
        elif path.suffix == ".zarr":
            result.to_zarr(path, overwrite=overwrite)
        else:
            _to_csv(result, path)
    click.echo(f"{file} written")


def _to_csv(result: gx.Result, file: Path) -> None:
    """Write one row per point; the file appears whole or not at all."""
    arrays = [n for n, output in outputs(result).items() if output.ndim > len(result.space.dims)]
    if arrays:
        raise ValueError(
            f"a table has one value per point and output, but {listed(arrays)} "
            f"{'has' if len(arrays) == 1 else 'have'} more; export to a .nc or .zarr file"
        )
    table = result.to_dataframe()
    for name in [n for n in table if np.ndim(table[n].iloc[0])]:
        if name in result.space.axes:  # a matrix is no cell of a table, but its label is
            label = result.dataset[name].variable.set_dims(result.space.sizes)
            table[name] = label.values.reshape(-1)
        else:
            del table[name]
    if not file.parent.is_dir():
        raise FileNotFoundError(f"the folder '{file.parent}' does not exist; create it first")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as beside:
        written = Path(beside, file.name)
        table.to_csv(written, index=False)
        os.replace(written, file)
