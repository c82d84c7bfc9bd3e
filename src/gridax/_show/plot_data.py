"""What a plot of a result shows: one output, at some labels, averaged over some dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._grid.lookup import sel
from gridax._text import listing


def select(
    dataset: xr.Dataset, output: str | None, labels: Mapping[str, Any], mean: Sequence[str]
) -> xr.DataArray:
    """Return an output, by default the first one, without the scalar coordinates that were fixed.

    Raises
    ------
    ValueError
        If there is no such output, label or dimension.
    """
    names = [str(name) for name in dataset.data_vars]
    if output is not None and output not in names:
        raise ValueError(f"no output {output!r}; the outputs are {listing(names)}")
    values = _nearest(dataset, labels)[names[0] if output is None else output]
    # Only the labels that were selected here belong into the title.
    fixed = [n for n, c in values.coords.items() if c.ndim == 0 and n not in labels]
    values = values.drop_vars(fixed)
    for dim in mean:
        if dim not in values.dims:
            raise ValueError(
                f"mean={dim!r} is no dimension of output {values.name!r}; average over "
                f"{listing(values.dims) or 'nothing, as it has none'}"
            )
    if not mean:
        return values
    long_name = f"{values.attrs.get('long_name', values.name)}, mean over {', '.join(mean)}"
    return values.mean(mean, keep_attrs=True).assign_attrs(long_name=long_name)


def _nearest(dataset: xr.Dataset, labels: Mapping[str, Any]) -> xr.Dataset:
    """Select the nearest label for a number, and the exact label for anything else."""
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
        return False
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
    low, high = labels.min(), labels.max()
    if np.size(query) == 0:
        raise ValueError(f"sel={name!r}: give one label or several, got {query!r}")
    closest = []
    for number in np.atleast_1d(query).astype(float):
        if not low <= number <= high and not np.isclose(number, (low, high)).any():
            raise ValueError(
                f"sel={name!r}: {number:g} is outside the range of the labels, {low} to {high}"
            )
        closest.append(labels[np.argmin(np.abs(labels.astype(float) - number))])
    return closest[0] if np.ndim(query) == 0 else list(dict.fromkeys(closest))
