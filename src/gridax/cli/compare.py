"""`gridax compare`: how two results differ."""

from __future__ import annotations

import contextlib

import click

from gridax._compare.align import Side
from gridax._compare.compare import of_sides
from gridax.cli._console import examples, opened, reported_as

# Exit codes, as those of diff.
DIFFERENT, TROUBLE = 1, 2


@click.command(
    short_help="Show how two results differ.",
    epilog=examples(
        "gridax compare before.nc after.nc",
        "gridax compare cpu.zarr gpu.zarr --rtol 1e-3",
        "gridax compare a.nc b.nc --rtol 0 --atol 0 && echo equal",
    )
    + "\n\n\b\nExit codes:\n"
    "  0    the same points, with outputs that agree within the tolerances\n"
    "  1    points or outputs differ\n"
    "  2    a file cannot be read, or the command line is invalid",
)
@click.argument("a")
@click.argument("b")
@click.option(
    "--rtol",
    type=click.FloatRange(min=0),
    default=1e-5,
    help="Relative tolerance, by default 1e-5.",
)
@click.option(
    "--atol",
    type=click.FloatRange(min=0),
    default=1e-8,
    help="Absolute tolerance, by default 1e-8.",
)
@reported_as(TROUBLE)
def compare(a: str, b: str, rtol: float, atol: float) -> None:
    """Show how two results differ: points, outputs, and what was run.

    A and B are files, stores or URLs that `gridax info` can show. Points are matched by label.
    """
    with contextlib.ExitStack() as stack:
        first, second = (Side.of(stack.enter_context(opened(path)), path) for path in (a, b))
        found = of_sides(first, second, rtol, atol)
        click.echo(repr(found))
    if not found.allclose:
        raise SystemExit(DIFFERENT)
