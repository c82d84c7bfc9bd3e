"""How the progress of a run is displayed: as text, as HTML, and as a bar while it runs."""

from __future__ import annotations

import warnings

from gridax._display import html_of, text_of
from gridax._plan.progress import Progress
from gridax._show import html
from gridax._text import count, number_of


@text_of.register
def progress_text(progress: Progress, gap: str = "") -> str:
    """Return how many points are done, failed and pending, without the counts that are zero.

    `gap` separates groups of three digits.

    Examples
    --------
    >>> progress_text(Progress(9, 1, 15))
    '9 of 15 points done, 1 failed, 5 pending'
    """
    text = f"{count(progress.done, gap)} of {number_of(progress.total, 'point', gap)} done"
    for n, state in ((progress.failed, "failed"), (progress.pending, "pending")):
        text += f", {count(n, gap)} {state}" if n else ""
    return text


@html_of.register
def progress_page(progress: Progress) -> str:
    """Return a bar and the counts as a complete HTML representation."""
    return html.frame(progress_bar(progress))


def progress_bar(progress: Progress) -> html.Markup:
    """Return a bar of the points that are done and that failed, with the counts below it."""
    percent = 100 / max(progress.total, 1)
    shares = (("done", progress.done), ("failed", progress.failed))
    pieces = (
        html.Markup(f"<span class='gridax-{state}' style='width:{percent * n:.4g}%'></span>")
        for state, n in shares
    )
    bar = html.element("div", *pieces, css="gridax-bar")
    return html.element("div", bar, progress_text(progress, html.GAP))


class Bar:
    """A progress bar, called with the numbers of points done and in total."""

    def __init__(self, title: str, total: int) -> None:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, the bar is text, and nothing is missing.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from tqdm.auto import tqdm  # looks for a notebook, which takes time

        self._bar = tqdm(total=total, desc=title, unit="point")

    def begin(self, done: int) -> None:
        """Start at the points that were computed before, without counting them into the rate."""
        self._bar.initial = self._bar.n = self._bar.last_print_n = done
        self._bar.refresh()

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
