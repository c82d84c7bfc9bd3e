"""What all plots share: texts of labels, and titles."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

# Lines that can be told apart, and have entries of their own in a legend.
MOST_LINES = 12


def is_number(values: np.ndarray) -> bool:
    """Whether labels can be placed on a numeric axis: finite numbers."""
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def is_date(labels: np.ndarray) -> bool:
    """Whether labels can be placed on an axis of dates: none of them is missing."""
    return labels.dtype.kind == "M" and not np.isnat(labels).any()


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


def flags(attrs: Mapping[str, Any]) -> dict[float, str]:
    """Return the name of each value, as CF conventions write them; nothing if they do not fit.

    Examples
    --------
    >>> flags({"flag_values": [0, 1], "flag_meanings": "off on"})
    {0: 'off', 1: 'on'}
    >>> flags({"flag_values": [0, 1, 2], "flag_meanings": "off on"})
    {}
    """
    meanings = attrs.get("flag_meanings", "")
    names = meanings.split() if isinstance(meanings, str) else [*map(str, np.ravel(meanings))]
    values = np.ravel(attrs.get("flag_values", []))
    # Masks are for several names at once.
    is_named = is_number(values) and len(set(values.tolist())) == len(names) == values.size > 0
    return dict(zip(values.tolist(), names, strict=True)) if is_named else {}


def unit_suffix(units: Any) -> str:
    """Return units in brackets, or nothing for a dimensionless number."""
    return "" if units in (None, "", "1", 1) else f" [{units}]"


def label_texts(labels: np.ndarray, digits: int = 4) -> list[str]:
    """Return labels with as few digits as distinguish them, but not fewer than `digits`."""
    if labels.dtype.kind in "mM":
        # pandas has NaN in place of text for a time that is missing
        texts = pd.Index(labels).astype(str).tolist()
        return ["NaT" if np.isnat(at) else t for at, t in zip(labels, texts, strict=True)]
    if labels.dtype.kind != "f":
        return [str(label) for label in labels.tolist()]
    for n in (digits, 6, 9, 17):
        short = [f"{label:.{n}g}" for label in labels.tolist()]
        if len(set(short)) == len(set(labels.tolist())):
            break
    return short


def panel_title(name: str, attrs: Mapping[str, Any], labels: np.ndarray) -> list[str]:
    """Return the title of the panel of each label: the long name, the label and its units.

    Examples
    --------
    >>> panel_title("tau", {"long_name": "delay", "units": "ms"}, np.array([0.5, 1.0]))
    ['delay = 0.5 [ms]', 'delay = 1.0 [ms]']
    """
    texts = label_texts(labels)
    if labels.dtype.kind == "f" and all(float(t) == v for t, v in zip(texts, labels, strict=True)):
        texts = [f"{label:.4}" for label in labels.tolist()]  # 1.0 beside 1.5
    start, units = attrs.get("long_name", name), unit_suffix(attrs.get("units"))
    return [f"{start} = {text}{units}" for text in texts]


def spread_indices(n: int, most: int) -> np.ndarray:
    """Return at most `most` of n indices, evenly spread and including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def letters_along(ax: Any, direction: int) -> int:
    """Return how many letters fit along the width (0) or the height (1) of a panel."""
    inches = ax.get_position(original=True).size * ax.figure.get_size_inches()
    return max(16, int(13 * inches[direction]))  # about 13 letters per inch


def set_title(panels: np.ndarray, title: str) -> None:
    """Set the title of a single panel or of a figure, wrapped to its width."""
    ax = panels.flat[0]
    figure = ax.figure
    inches = figure.get_figwidth() * (ax.get_position().width if panels.size == 1 else 1)
    lines = textwrap.wrap(title, max(20, int(11 * inches)))  # about 11 letters per inch
    if panels.size == 1:
        ax.set_title("\n".join(lines), fontsize="medium")
    elif lines:
        figure.suptitle("\n".join(lines), fontsize="medium")
