"""`gridax status`: how far a run has come, once or as it goes on."""

from __future__ import annotations

import collections
import datetime
import time
from typing import TYPE_CHECKING, Any

import click

from gridax._text import one_line
from gridax.cli._console import INTERRUPTED, console, examples, opened, reported

if TYPE_CHECKING:  # they take a while to import
    import pandas as pd
    from rich.console import RenderableType

# Exit codes; 1 and 2 are those of errors.
FINISHED, PENDING, FAILED = 0, 3, 4
# How many different messages of failed points are shown.
MESSAGES = 3
# Seconds without a new point after which that is said.
QUIET = 30.0


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
    "  2    the command was written wrong\n"
    "  3    points are pending\n"
    "  4    no point is pending, but some failed\n"
    "  130  Ctrl-C ended --watch",
)
@click.argument("store")
@click.option("--watch", is_flag=True, help="Go on until no point is pending, or Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks with --watch.",
)
@click.pass_context
@reported
def status(ctx: click.Context, store: str, watch: bool, interval: float) -> None:
    """Show how many points of a run are done, failed and pending."""
    show = console()
    if watch:
        try:
            _watch(store, interval)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
    with opened(store) as result:
        if not watch:
            show.print(f"{store}: {counted(result.progress)}", soft_wrap=True)
        for line in _messages(result.failed):
            show.print(line, soft_wrap=True)
        ctx.exit(_code(result.progress))


def counted(progress: Any) -> str:
    """Return how many points are done, failed and pending, without what is zero."""
    pending = f", {progress.pending} pending" if progress.pending else ""
    return f"{progress}{pending}"


def _code(progress: Any) -> int:
    return PENDING if progress.pending else FAILED if progress.failed else FINISHED


def _messages(failed: pd.DataFrame) -> list[str]:
    """Say what the first of the failed points raised, and where; each message once."""
    counts = failed["error"].value_counts(sort=False)
    lines = []
    for message, count in list(counts.items())[:MESSAGES]:
        first = failed[failed["error"] == message].drop(columns="error").head(1)
        at = ", ".join(f"{name}={label}" for name, label in first.to_dict("records")[0].items())
        more = f" and {count - 1} more" if count > 1 else ""
        said = one_line(str(message).partition("\n")[0])
        lines.append(f"  {said}\n    at {one_line(at)}{more}")
    if len(counts) > MESSAGES:
        lines.append(f"  … and {len(counts) - MESSAGES} other messages")
    return lines


class Pace:
    """How fast points are evaluated, from the last twenty times that there were new ones."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque(maxlen=20)

    def see(self, evaluated: int, now: float) -> bool:
        """Note how many points are evaluated by now; return whether there are new ones."""
        if self._seen and self._seen[-1][1] == evaluated:
            return False
        if self._seen and self._seen[-1][1] > evaluated:  # the sweep was begun anew
            self._seen.clear()
        self._seen.append((now, evaluated))
        return True

    def said(self, pending: int, now: float) -> str:
        """Return points per second and the time that is left, as far as they are known."""
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        parts = []
        if after > before and pending:
            rate = (after - before) / (last - first)
            left = max(0.0, pending / rate - (now - last))
            parts = [_rate(rate), f"{_duration(left)} left"]
        if pending and now - last > QUIET:
            parts.append(f"nothing new for {_duration(now - last)}")
        return "".join(f" · {part}" for part in parts)


def _rate(rate: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60)):
        if rate * seconds >= 1:
            return f"{rate * seconds:.3g} points/{unit}"
    return f"{rate * 3600:.3g} points/h"


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def _watch(store: str, interval: float) -> None:
    """Show how the run goes on, until no point is pending.

    In a terminal a bar moves; elsewhere there is a line whenever something has changed.
    """
    from rich.live import Live

    show, pace, missed = console(), Pace(), True
    with Live(console=show, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            try:
                with opened(store) as result:
                    progress, missed = result.progress, False
            except (OSError, ValueError):
                if missed:
                    raise
                missed = True  # once, as there is nothing for a moment while a run begins anew
                time.sleep(interval)
                continue
            is_new = pace.see(progress.done + progress.failed, time.monotonic())
            line = counted(progress) + pace.said(progress.pending, time.monotonic())
            if show.is_terminal:
                live.update(_bar(store, progress, line), refresh=True)
            elif is_new:
                click.echo(f"{store}: {line}")
            if not progress.pending:
                return
            # A look at many blocks takes a while: most of the time is left to who writes them.
            time.sleep(max(interval, 4 * (time.monotonic() - began)))


def _bar(store: str, progress: Any, line: str) -> RenderableType:
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
    return Group(Text(store, style="bold"), Padding(bar, 0), Text(line))  # the bar ends no line
