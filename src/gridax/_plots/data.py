"""What a plot of a result shows: one output, at some labels, averaged over some dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._grid.lookup import sel
from gridax._show.labels import as_times, distances, is_number, unknown_label
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
    numbers = [name for name, query in labels.items() if _is_numeric(dataset, name, query)]
    asked = {name: _asked(name, dataset[name].values, labels[name]) for name in numbers}
    nearest = {name: _closest(name, dataset[name].values, asked[name]) for name in numbers}
    try:
        return sel(dataset, {**labels, **nearest})
    except KeyError:
        # Coordinates that share a dimension: no point has all of the nearest labels at once, so
        # the index looks for the point that is nearest in all of them together.
        others = {name: query for name, query in labels.items() if name not in nearest}
        exact = sel(dataset, others)
        return sel(exact, asked, method="nearest")


def _asked(name: str, labels: np.ndarray, query: Any) -> Any:
    return as_times(name, labels, query) if labels.dtype.kind in "mM" else query


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
            raise unknown_label(name, label, labels)
    return False


def _closest(name: str, labels: np.ndarray, query: Any) -> Any:
    """Return the label nearest to a number or time, or the different ones nearest to several."""
    if np.size(query) == 0:
        raise ValueError(f"sel={name!r}: give one label or several, got {query!r}")
    closest = [labels[distances(name, labels, each).argmin()] for each in np.atleast_1d(query)]
    return closest[0] if np.ndim(query) == 0 else list(dict.fromkeys(closest))
