"""Coordinates along the dimensions of an explorer, as JSON has them: numbers, texts and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridax._show.labels import axis_label, is_geometric, is_number, label_texts, unit_suffix

Member = dict[str, Any]
Scale = dict[str, Any]


def member(
    name: str, labels: np.ndarray, attrs: Mapping[str, Any], is_choice: bool = False
) -> Member:
    """Return a coordinate: its texts, and its numbers if it has any.

    Returns
    -------
    dict
        ``kind`` is ``"choice"`` (a drop-down chooses a label), ``"date"``, ``"integer"`` or
        ``"number"`` (a slider moves along them). ``numbers`` are the places of the labels on an
        axis (dates in milliseconds), or None. ``even`` is the scale on which the labels are evenly
        spaced, or None; an axis then has ticks at round numbers instead of at labels.

    Examples
    --------
    >>> found = member("G", np.array([0.0, 0.5, 1.0]), {"units": "mV", "long_name": "coupling"})
    >>> found["texts"], found["label"], found["title"]
    (['0', '0.5', '1'], 'coupling [mV]', 'coupling (G)')
    >>> found["even"]
    {'kind': 'number', 'start': 0.0, 'step': 0.5}
    """
    if labels.dtype.kind == "m":
        labels, attrs = labels / np.timedelta64(1, "s"), {**attrs, "units": "s"}
    kind = "choice" if is_choice or labels.dtype.kind not in "iufM" else "number"
    if kind == "number" and labels.dtype.kind in "iu":
        kind = "integer"
    numbers = None
    if labels.dtype.kind == "M" and not np.isnat(labels).any():
        kind = "choice" if is_choice else "date"
        numbers = labels.astype("datetime64[us]").astype(np.int64) / 1000
    elif is_number(labels):
        numbers = labels.astype(float)
    even = None if numbers is None or kind == "choice" else _even(kind, numbers)
    # Labels that are evenly spaced on a logarithmic scale are placed on that scale instead.
    is_placed = numbers is not None and kind != "choice" and not (even and even["kind"] == "log")
    return {
        "name": name,
        "kind": kind,
        "numbers": numbers.tolist() if is_placed and numbers is not None else None,
        "even": even,
        "texts": label_texts(labels),
        "label": axis_label(name, attrs),
        "title": title(name, attrs),
        "units": unit_suffix(attrs.get("units")),
    }


def title(name: str, attrs: Mapping[str, Any]) -> str:
    """Return the long name of a variable together with its name.

    Examples
    --------
    >>> title("G", {"long_name": "global coupling"}), title("G", {})
    ('global coupling (G)', 'G')
    """
    long_name = str(attrs.get("long_name", name))
    return long_name if long_name == name else f"{long_name} ({name})"


def is_position(labels: np.ndarray) -> bool:
    """Whether labels only count, as those of trials and of array-valued axes do."""
    return labels.dtype.kind in "iu" and np.array_equal(labels, np.arange(labels.size))


def _even(kind: str, numbers: np.ndarray) -> Scale | None:
    """Return the scale on which numbers are evenly spaced, with the first one and the step."""
    if numbers.size < 2:
        return None
    if is_geometric(numbers):
        kind, numbers = "log", np.log10(numbers)
    step = float(numbers[-1] - numbers[0]) / (numbers.size - 1)
    line = numbers[0] + step * np.arange(numbers.size)
    if step == 0 or np.abs(numbers - line).max() > 1e-3 * abs(step):
        return None
    return {"kind": kind, "start": float(numbers[0]), "step": step}


def along(found: Member, step: int, even: bool) -> dict[str, Any]:
    """Return the places of a coordinate along one direction of a plot.

    `even` spacing suits the cells of a map; otherwise, labels are placed at their numbers. Of
    several labels, one in `step` is returned.

    Returns
    -------
    dict
        ``at`` has the places, ``scale`` tells what the places mean, and ``texts`` are the labels at
        the places 0, 1, … where the scale has the kind ``"texts"``.
    """
    texts = found["texts"][::step]
    if even or (found["numbers"] is None and found["even"]):
        at, scale = np.arange(len(texts)), found["even"]
        scale = {"kind": "texts"} if scale is None else {**scale, "step": step * scale["step"]}
    elif found["numbers"] is None:  # several points may have the same text
        at, different = pd.factorize(np.array(texts, object))
        texts, scale = different.tolist(), {"kind": "texts"}
    else:
        at = np.asarray(found["numbers"][::step])
        scale = {"kind": found["kind"], "start": 0, "step": 1}
    return {"at": at.astype(float), "texts": texts, "scale": scale, "step": step, **_names(found)}


def _names(found: Member) -> dict[str, Any]:
    return {key: found[key] for key in ("name", "label", "title", "units")}
