"""What all pictures share: matplotlib itself, and how axes are named and scaled."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridax._text import shorten_middle

MOST_TICKS = 8


def pyplot() -> Any:
    """Return `matplotlib.pyplot`, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        raise ModuleNotFoundError(
            "drawing needs matplotlib, which is not installed: pip install 'gridax[plot]'",
            name="matplotlib",
        ) from None
    return plt


def is_number(values: np.ndarray) -> bool:
    """Whether labels lie on a numeric scale, which has no place for infinity."""
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def is_geometric(values: np.ndarray) -> bool:
    """Whether labels are spaced evenly on a logarithmic scale, over a decade at least."""
    if not is_number(values) or values.size < 3 or not (values > 0).all():
        return False
    values = np.sort(values.astype(float))
    steps = np.diff(np.log(values))
    return bool(values[-1] >= 10 * values[0] and np.allclose(steps, steps[0], rtol=1e-3))


def axis_label(name: str, attrs: Mapping[str, Any]) -> str:
    """Return how an axis or an output is called in a picture: its long name and its units."""
    units = attrs.get("units")
    return f"{attrs.get('long_name', name)}{unit_suffix(units)}"


def unit_suffix(units: Any) -> str:
    """Return units in brackets; a pure number has none."""
    return "" if units in (None, "", "1", 1) else f" [{units}]"


def label_texts(labels: np.ndarray, digits: int = 4) -> list[str]:
    """Return labels with as few digits as tell them apart, at least so many."""
    if labels.dtype.kind in "mM":
        return pd.Index(labels).astype(str).tolist()
    if labels.dtype.kind != "f":
        return [str(label) for label in labels.tolist()]
    for n in (digits, 6, 9, 17):
        short = [f"{label:.{n}g}" for label in labels.tolist()]
        if len(set(short)) == len(set(labels.tolist())):
            break
    return short


def spread_indices(n: int, most: int) -> np.ndarray:
    """Return at most so many of n indices, evenly spread_indices, with both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def scale(ax: Any, which: str, labels: np.ndarray) -> None:
    """Scale x or y to suit its labels, and put ticks where somebody would look for them."""
    from matplotlib import ticker

    axis = getattr(ax, f"{which}axis")
    if is_geometric(labels):
        ax.set(**{f"{which}scale": "log"})
        if labels.max() < 100 * labels.min():  # powers of ten alone would be too few
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
    elif not is_number(labels):
        texts = pd.unique(labels).astype(str)
        shown = spread_indices(len(texts), MOST_TICKS)
        short = [shorten_middle(text, 16) for text in texts[shown]]
        crowded = which == "x" and sum(map(len, short)) > 30
        turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axis.set_ticks(shown, short, **(turned if crowded else {}))
    elif labels.dtype.kind in "iu":
        axis.set_major_locator(ticker.MaxNLocator("auto", integer=True))


def set_title(panels: np.ndarray, title: str) -> None:
    """Give one panel, or the figure of several, a title that is not cut off."""
    ax = panels.flat[0]
    figure = ax.figure
    wide = figure.get_figwidth() * (ax.get_position().width if panels.size == 1 else 1)
    lines = textwrap.wrap(title, max(20, int(11 * wide)))  # so many letters fit
    if panels.size == 1:
        ax.set_title("\n".join(lines), fontsize="medium")
    elif lines:
        place = {}
        engine = figure.get_layout_engine()
        if engine is None or engine.adjust_compatible:
            _leave_room(figure, 0.25 * len(lines))
            place = {"y": 1 - 0.1 / figure.get_figheight()}
        figure.suptitle("\n".join(lines), fontsize="medium", **place)


def _leave_room(figure: Any, inches: float) -> None:
    """Push everything down from the upper end of a figure that is laid out already."""
    part = 1 - inches / figure.get_figheight()
    for ax in figure.axes:
        box = ax.get_position()
        ax.set_position((box.x0, box.y0 * part, box.width, box.height * part))
