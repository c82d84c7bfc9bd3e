"""Labels as text, and what can be done with them: numbers, dates, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gridax._text import listing


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


def as_times(name: str, labels: np.ndarray, query: Any) -> Any:
    """Return one or several dates or durations, which may be texts, in the kind of some labels."""
    known = {"M": ("dates", pd.Timestamp), "m": ("durations", pd.Timedelta)}
    what, convert = known[labels.dtype.kind]
    try:
        kind = np.asarray(query).dtype.kind
        is_time = kind in "OUSmM"
        # Older versions of pandas take no texts of NumPy.
        each = [str(q) if kind in "US" else q for q in np.atleast_1d(query)]
        times = [convert(q).to_numpy() for q in each] if is_time else []
    except (TypeError, ValueError):
        is_time = False
    if not is_time:
        raise ValueError(f"sel={name!r}: the labels are {what}, got {query!r}")
    return times[0] if np.ndim(query) == 0 else times


def distances(name: str, labels: np.ndarray, query: Any) -> np.ndarray:
    """Return how far labels are from a number or time, as fractions of their range.

    Missing labels are infinitely far.

    Raises
    ------
    ValueError
        If there is none within the range of the labels.
    """
    is_known = labels == labels  # not NaN or NaT
    if not is_known.any():
        raise ValueError(f"sel={name!r}: all labels are missing, so that none is nearest")
    low, high = labels[is_known].min(), labels[is_known].max()
    is_time = labels.dtype.kind in "mM"
    places, unit = (labels, np.timedelta64(1, "s")) if is_time else (labels.astype(float), 1)
    near = not is_time and np.isclose(query, (low, high)).any()
    if not low <= query <= high and not near:
        first, last = label_texts(np.array([low, high])) if is_time else [str(low), str(high)]
        shown = label_texts(np.atleast_1d(query))[0] if is_time else f"{query:g}"
        raise ValueError(
            f"sel={name!r}: {shown} is outside the range of the labels, {first} to {last}"
        )
    finite = places[np.isfinite(places)]
    extent = np.ptp(finite) / unit if finite.size else 0.0
    return np.nan_to_num(np.abs((places - query) / unit), nan=np.inf, posinf=np.inf) / (extent or 1)


def unknown_label(name: str, label: Any, labels: np.ndarray) -> ValueError:
    """Return the error about a name that is not among some labels."""
    known = list(dict.fromkeys(map(str, labels.tolist())))
    return ValueError(f"sel={name!r}: no label {str(label)!r}; the labels are {listing(known)}")
