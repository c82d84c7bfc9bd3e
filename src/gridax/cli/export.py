"""`gridax export`: a result, or the store of a run, as one file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

import gridax as gx
from gridax._disk import check_parent, whole
from gridax._text import listing
from gridax.cli._console import examples, note, opened, reported
from gridax.result import template_of_result, with_outputs

KINDS = (".nc", ".zarr", ".csv")


@click.command(
    short_help="Save a result as netCDF, Zarr or CSV.",
    epilog=examples(
        "gridax export sweep.zarr sweep.nc --complevel 4",
        "gridax export sweep.nc sweep.zarr",
        "gridax export sweep.zarr small.nc --output rate --output peak",
        "gridax export sweep.zarr table.csv      # outputs with one value per point",
        "gridax export sweep.zarr course.csv --output course",
    ),
)
@click.argument("store")
@click.argument("file")
@click.option(
    "--output",
    "names",
    multiple=True,
    metavar="NAME",
    help="Save this output only; may be repeated. The default is all of them.",
)
@click.option(
    "--complevel",
    type=click.IntRange(0, 9),
    metavar="0-9",
    help="Compression of a netCDF file, from 0 (none, the default) to 9.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@reported
def export(
    store: str, file: str, names: tuple[str, ...], complevel: int | None, overwrite: bool
) -> None:
    """Save a result to FILE: netCDF (.nc), a Zarr folder (.zarr), or a table (.csv).

    STORE is the store of a run, finished or not, or any file that `gridax info` can show. Results
    larger than memory are written block by block.

    A table has one row per point, with the outputs that have one value there. With --output, it can
    also have arrays in long form, with one row per point and index of their own dimensions.
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
        if path.suffix == ".csv":
            _to_csv(result, path, names)
            click.echo(f"{file} written")
            return
        if names:
            result = with_outputs(result, names)
        if path.suffix == ".nc":
            result.to_netcdf(path, complevel=complevel or 0)
        else:
            try:
                result.to_zarr(path, overwrite=overwrite)
            except FileExistsError as error:  # which names the parameter of Python
                text = str(error).replace("overwrite=True", "--overwrite")
                raise FileExistsError(text) from error
    click.echo(f"{file} written")


def _to_csv(result: gx.Result, file: Path, names: Sequence[str]) -> None:
    """Write a table without arrays in cells; the file is written completely or not at all."""
    own = {o.name: o.dims or () for o in template_of_result(result).outputs}
    arrays = {name: dims for name, dims in own.items() if dims}
    are_chosen = bool(names)
    names = names or [name for name in own if name not in arrays]
    if not names:
        raise ValueError(
            f"all outputs are arrays: {_listed(arrays)}. Choose which to write with --output, such "
            f"as --output {next(iter(arrays))}: the table then has one row per point and index of "
            "that array"
        )
    _check_crossing({name: arrays[name] for name in names if name in arrays})
    left_out = {name: dims for name, dims in arrays.items() if name not in names}
    table = result.to_dataframe(*names)
    check_parent(file)
    with whole(file) as beside:
        table.to_csv(beside, index=False)
    if left_out and not are_chosen:
        note(
            f"'{file}' has the outputs with one value per point; the arrays are left out: "
            f"{_listed(left_out)}. Write them to tables of their own with --output"
        )


def _check_crossing(arrays: Mapping[str, Sequence[str]]) -> None:
    """Refuse arrays of which every entry would be combined with every entry of another one."""
    for (first, along), (second, other) in itertools.combinations(arrays.items(), 2):
        if not (set(along) <= set(other) or set(other) <= set(along)):
            both = _listed({first: along, second: other})
            raise ValueError(
                f"a table cannot have both {both}, which have dimensions that the other one lacks; "
                "write each to a table of its own"
            )


def _listed(arrays: Mapping[str, Sequence[str]]) -> str:
    return listing([f"{name} ({' × '.join(dims)})" for name, dims in arrays.items()])
