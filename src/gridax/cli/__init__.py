"""The command line, which reads results and runs no model except that of its demonstration."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click
import jax

import gridax as gx
from gridax._text import one_line
from gridax.cli.compare import compare
from gridax.cli.demo import demo
from gridax.cli.draw import explore, plot
from gridax.cli.export import export
from gridax.cli.info import info
from gridax.cli.status import status


@click.group("gridax", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gx.__version__, message="gridax %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Inspect, plot, explore and convert the results of parameter sweeps.

    Files are only read, and no model is run. `gridax demo` computes a first result to look at.
    """
    if ctx.invoked_subcommand != "demo" and "JAX_PLATFORMS" not in os.environ:
        jax.config.update("jax_platforms", "cpu")  # reading a file needs no GPU
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal replaces characters that it lacks
            stream.reconfigure(errors="replace")
    ctx.with_resource(warnings.catch_warnings())
    warnings.showwarning = _show_warning


def _show_warning(message: Any, *args: Any, **kwargs: Any) -> None:
    click.echo(f"Warning: {one_line(str(message))}", err=True)


for _command in (demo, info, status, compare, export, plot, explore):
    main.add_command(_command)
del _command
