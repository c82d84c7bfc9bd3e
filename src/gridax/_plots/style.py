"""Titles of panels and figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from gridax._show.labels import label_texts, unit_suffix

# Lines that can be told apart, and have entries of their own in a legend.
MOST_LINES = 12


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
