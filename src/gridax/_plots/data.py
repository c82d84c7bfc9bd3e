"""What a plot of a result shows: one output, at some labels, averaged over some dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._grid.lookup import sel
from gridax._show.labels import is_number, label_texts
from gridax._text import listing


def select(dataset: xr.Dataset, output: str | None, labels: Mapping[str, Any]) -> xr.DataArray:
    """Return an output, by default the first one, without the scalar coordinates that were fixed.

    Raises
    ------
    ValueError
        If there is no such output or label, or the output cannot be plotted.
    """
    if not isinstance(labels, Mapping):
        raise TypeError(f"sel must be a mapping such as {{'G': 0.3}}, got {labels!r}")
    names = [str(name) for name in dataset.data_vars]
    if output is not None and output not in names:
        raise ValueError(f"no output {output!r}; the outputs are {listing(names)}")
    values = _nearest(dataset, labels)[names[0] if output is None else output]
    # Only the labels that were selected here belong into the title.
    fixed = [n for n, c in values.coords.items() if c.ndim == 0 and n not in labels]
    return _as_numbers(values.drop_vars(fixed))


def _as_numbers(values: xr.DataArray) -> xr.DataArray:
    """Return values that can be plotted: bools as 0 and 1, with names for both."""
    dtype, name = values.dtype, values.name
    if dtype.kind == "b":
        flags = {"flag_values": [0, 1], "flag_meanings": "False True"}
        return values.astype(np.int8, keep_attrs=True).assign_attrs(flags)
    if dtype.kind == "c":
        raise ValueError(
            f"output {name!r} is complex; plot its absolute value: "
            f"abs(result.dataset[{name!r}]).plot()"
        )
    if "float" in dtype.name and dtype.itemsize < 4:  # sums would overflow or lose digits
        return values.astype(np.float32, keep_attrs=True)
    if not is_number(np.empty(0, dtype)):
        raise ValueError(f"output {name!r} has dtype {dtype}; only numbers can be plotted")
    return values


def _nearest(dataset: xr.Dataset, labels: Mapping[str, Any]) -> xr.Dataset:
    """Select the nearest label for numbers and dates, and the exact one for anything else."""
    labels = {name: _as_times(dataset, name, query) for name, query in labels.items()}
    numbers = [name for name, query in labels.items() if _is_numeric(dataset, name, query)]
    nearest = {name: _closest(name, dataset[name].values, labels[name]) for name in numbers}
    try:
        return sel(dataset, {**labels, **nearest})
    except KeyError:
        # Coordinates that share a dimension: no point has all of the nearest labels at once, so
        # the index looks for the point that is nearest in all of them together.
        others = {name: query for name, query in labels.items() if name not in nearest}
        exact = sel(dataset, others)
        return sel(exact, {name: labels[name] for name in nearest}, method="nearest")


def _as_times(dataset: xr.Dataset, name: str, query: Any) -> Any:
    """Return dates or durations in place of texts, if the labels of a coordinate are such."""
    kind = dataset[name].dtype.kind if name in dataset.coords else ""
    if kind not in ("m", "M") or isinstance(query, slice):
        return query
    what, convert = ("dates", pd.Timestamp) if kind == "M" else ("durations", pd.Timedelta)
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


def _is_numeric(dataset: xr.Dataset, name: str, query: Any) -> bool:
    """Whether the nearest label is to be selected; reject a query that cannot match any label."""
    names = [str(n) for n, c in dataset.coords.items() if c.ndim == 1]
    if name not in names and name not in dataset.dims:
        raise ValueError(f"no coordinate sel={name!r}; select from {listing(names)}")
    if isinstance(query, slice):
        return False
    if name not in names:  # a dimension without labels, along which xarray selects by position
        n, is_position = dataset.sizes[name], np.asarray(query).dtype.kind in "iu"
        if not is_position or np.min(query) < -n or np.max(query) >= n:
            raise ValueError(
                f"sel={name!r}: the dimension has no labels; select positions from 0 to {n - 1}, "
                f"got {query!r}"
            )
        return False
    labels = dataset[name].values
    if labels.dtype.kind in "mM":
        return True
    if labels.dtype.kind in "iuf":
        if np.asarray(query).dtype.kind not in "iuf":
            raise ValueError(f"sel={name!r}: the labels are numbers, got {query!r}")
        return True
    for label in np.atleast_1d(query):
        if label not in labels:
            known = list(dict.fromkeys(map(str, labels.tolist())))
            raise ValueError(
                f"sel={name!r}: no label {str(label)!r}; the labels are {listing(known)}"
            )
    return False


def _closest(name: str, labels: np.ndarray, query: Any) -> Any:
    """Return the label nearest to a number, or the different labels nearest to several numbers."""
    labels = labels[labels == labels]  # without NaN and NaT
    if not labels.size:
        raise ValueError(f"sel={name!r}: all labels are missing, so that none is nearest")
    low, high = labels.min(), labels.max()
    if np.size(query) == 0:
        raise ValueError(f"sel={name!r}: give one label or several, got {query!r}")
    closest = []
    is_time = labels.dtype.kind in "mM"
    places = labels if is_time else labels.astype(float)
    for number in np.atleast_1d(query).astype(places.dtype):
        near = not is_time and np.isclose(number, (low, high)).any()
        if not low <= number <= high and not near:
            ends = np.array([low, high], labels.dtype)
            first, last = label_texts(ends) if is_time else [str(low), str(high)]
            shown = label_texts(np.atleast_1d(number))[0] if is_time else f"{number:g}"
            raise ValueError(
                f"sel={name!r}: {shown} is outside the range of the labels, {first} to {last}"
            )
        closest.append(labels[np.argmin(np.abs(places - number))])
    return closest[0] if np.ndim(query) == 0 else list(dict.fromkeys(closest))
