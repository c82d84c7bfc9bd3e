"""Labels as text, and what can be done with them: numbers, dates, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


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


def spread_indices(n: int, most: int) -> np.ndarray:
    """Return at most `most` of n indices, evenly spread and including both ends."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
