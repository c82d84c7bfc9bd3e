"""`gridax status`: how far a run has come, once or until it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from gridax._plan.progress import Progress
from gridax._text import one_line
from gridax.cli._console import INTERRUPTED, console, examples, opened, reported
from gridax.cli._pace import Pace

if TYPE_CHECKING:  # they take a while to import
    import pandas as pd
    from rich.console import RenderableType

# Exit codes; click uses 1 and 2 for errors.
FINISHED, PENDING, FAILED = 0, 3, 4
# Most messages of failed points that are shown.
MESSAGES = 3


@click.command(
    short_help="Count the points of a run that are done, failed and pending.",
    epilog=examples(
        "gridax status sweep.zarr",
        "gridax status sweep.zarr --watch --interval 10",
        "while gridax status sweep.zarr; [ $? = 3 ]; do sbatch --wait sweep.sh; done",
    )
    + "\n\n\b\nExit codes:\n"
    "  0    all points are done\n"
    "  1    the store cannot be read\n"
    "  2    the command line is invalid\n"
    "  3    points are pending\n"
    "  4    no point is pending, but some failed\n"
    "  130  Ctrl-C ended --watch",
)
@click.argument("store")
@click.option("--watch", is_flag=True, help="Repeat until no point is pending, or Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two updates with --watch.",
)
@click.pass_context
@reported
def status(ctx: click.Context, store: str, watch: bool, interval: float) -> None:
    """Show how many points of a run are done, failed and pending."""
    out = console()
    if watch:
        try:
            _watch(store, interval)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
    with opened(store) as result:
        if not watch:
            out.print(f"{store}: {result.progress}", soft_wrap=True)
        for line in _messages(result.failed):
            out.print(line, soft_wrap=True)
        progress = result.progress
        ctx.exit(PENDING if progress.pending else FAILED if progress.failed else FINISHED)


def _messages(failed: pd.DataFrame) -> list[str]:
    """Return the first different messages of failed points, each with the labels of a point."""
    counts = failed["error"].value_counts(sort=False)
    lines = []
    for message, count in list(counts.items())[:MESSAGES]:
        first = failed[failed["error"] == message].drop(columns="error").head(1)
        at = ", ".join(f"{name}={label}" for name, label in first.to_dict("records")[0].items())
        more = f" and {count - 1} more" if count > 1 else ""
        first_line = one_line(str(message).partition("\n")[0])
        lines.append(f"  {first_line}\n    at {one_line(at)}{more}")
    if len(counts) > MESSAGES:
        lines.append(f"  … and {len(counts) - MESSAGES} other messages")
    return lines


def _watch(store: str, interval: float) -> None:
    """Show the progress of a run until no point is pending.

    A terminal gets a moving bar, and a pipe or file a line whenever the numbers change.
    """
    from rich.live import Live

    out, pace, missing = console(), Pace(), True
    with Live(console=out, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            try:
                with opened(store) as result:
                    progress, missing = result.progress, False
            except (OSError, ValueError):
                if missing:
                    raise
                missing = True  # once: a run with overwrite=True removes the store for a moment
                time.sleep(interval)
                continue
            is_new = pace.see(progress.done + progress.failed, time.monotonic())
            line = str(progress) + pace.describe(progress.pending, time.monotonic())
            if out.is_terminal:
                live.update(_bar(store, progress, line), refresh=True)
            elif is_new:
                click.echo(f"{store}: {line}")
            if not progress.pending:
                return
            # Reading the status of many blocks takes time, most of which belongs to the writer.
            time.sleep(max(interval, 4 * (time.monotonic() - began)))


def _bar(store: str, progress: Progress, line: str) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    bar = ProgressBar(
        total=progress.total,
        completed=progress.done + progress.failed,
        complete_style="yellow" if progress.failed else "green",
        finished_style="yellow" if progress.failed else "green",
    )
    # The padding adds the line end that a bar lacks.
    return Group(Text(store, style="bold"), Padding(bar, 0), Text(line))
