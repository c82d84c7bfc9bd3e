"""What all plots share: how axes are labeled and scaled."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridax._text import shorten_middle

MOST_TICKS = 8


def is_number(values: np.ndarray) -> bool:
    """Whether labels can be placed on a numeric axis: finite numbers."""
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def is_geometric(values: np.ndarray) -> bool:
    """Whether labels are evenly spaced on a logarithmic scale and span at least a decade."""
    if not is_number(values) or values.size < 3 or not (values > 0).all():
        return False
    values = np.sort(values.astype(float))
    steps = np.diff(np.log(values))
    return bool(values[-1] >= 10 * values[0] and np.allclose(steps, steps[0], rtol=1e-3))


def axis_label(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the text at an axis of a plot: the long name of a variable, and its units."""
    units = attrs.get("units")
    return f"{attrs.get('long_name', name)}{unit_suffix(units)}"


def unit_suffix(units: Any) -> str:
    """Return units in brackets, or nothing for a dimensionless number."""
    return "" if units in (None, "", "1", 1) else f" [{units}]"


def label_texts(labels: np.ndarray, digits: int = 4) -> list[str]:
    """Return labels with as few digits as distinguish them, but not fewer than `digits`."""
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
    """Return at most `most` of n indices, evenly spread and including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def scale_axis(ax: Any, which: str, labels: np.ndarray) -> None:
    """Choose the scale and the ticks of x or y that suit its labels."""
    from matplotlib import ticker

    axis = getattr(ax, f"{which}axis")
    if is_geometric(labels):
        ax.set(**{f"{which}scale": "log"})
        if labels.max() < 100 * labels.min():  # too few ticks at powers of ten
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
    elif not is_number(labels):
        texts = pd.unique(labels).astype(str)
        ticks = spread_indices(len(texts), MOST_TICKS)
        short = [shorten_middle(text, 16) for text in texts[ticks]]
        crowded = which == "x" and sum(map(len, short)) > 30
        turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axis.set_ticks(ticks, short, **(turned if crowded else {}))
    elif labels.dtype.kind in "iu":
        axis.set_major_locator(ticker.MaxNLocator("auto", integer=True))


def set_title(panels: np.ndarray, title: str) -> None:
    """Set the title of a single panel or of a figure, wrapped to its width."""
    ax = panels.flat[0]
    figure = ax.figure
    inches = figure.get_figwidth() * (ax.get_position().width if panels.size == 1 else 1)
    lines = textwrap.wrap(title, max(20, int(11 * inches)))  # about 11 letters per inch
    if panels.size == 1:
        ax.set_title("\n".join(lines), fontsize="medium")
    elif lines:
        place = {}
        # Other layout engines, such as the constrained one, make room for a title by themselves.
        engine = figure.get_layout_engine()
        if engine is None or engine.adjust_compatible:
            _leave_room(figure, 0.25 * len(lines))
            place = {"y": 1 - 0.1 / figure.get_figheight()}
        figure.suptitle("\n".join(lines), fontsize="medium", **place)


def _leave_room(figure: Any, inches: float) -> None:
    """Shrink the panels of a figure that is already laid out, to free space at its top."""
    share = 1 - inches / figure.get_figheight()
    for ax in figure.axes:
        box = ax.get_position()
        ax.set_position((box.x0, box.y0 * share, box.width, box.height * share))
