"""The part of a result that is drawn: one output, at some labels, averaged over some dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._grid.lookup import sel


def chosen(
    dataset: xr.Dataset, output: str | None, labels: Mapping[str, Any], mean: Sequence[str]
) -> xr.DataArray:
    """Return an output, by default the first, with its fixed values left out.

    Raises
    ------
    ValueError
        If there is no such output, label or dimension.
    """
    names = [str(name) for name in dataset.data_vars]
    if output is not None and output not in names:
        raise ValueError(f"there is no output {output!r}; the outputs are {names}")
    values = _nearest(dataset, labels)[names[0] if output is None else output]
    dropped = [n for n, c in values.coords.items() if c.ndim == 0 and n not in labels]
    values = values.drop_vars(dropped)  # they would crowd the titles
    for dim in mean:
        if dim not in values.dims:
            raise ValueError(
                f"mean={dim!r}: output {values.name!r} has the dimensions {list(values.dims)}"
            )
    if not mean:
        return values
    about = f"{values.attrs.get('long_name', values.name)}, mean over {', '.join(mean)}"
    return values.mean(mean, keep_attrs=True).assign_attrs(long_name=about)


def _nearest(dataset: xr.Dataset, labels: Mapping[str, Any]) -> xr.Dataset:
    """Select labels: of numbers the nearest ones, others as they are."""
    numbers = [name for name, query in labels.items() if _is_numeric(dataset, name, query)]
    near = {name: _closest(name, dataset[name].values, labels[name]) for name in numbers}
    try:
        return sel(dataset, {**labels, **near})
    except KeyError:
        # Points that share a dimension need not have all these labels together.
        rest = {name: query for name, query in labels.items() if name not in near}
        exact = sel(dataset, rest)
        return sel(exact, {name: labels[name] for name in near}, method="nearest")


def _is_numeric(dataset: xr.Dataset, name: str, query: Any) -> bool:
    """Whether labels are selected by number; say so where a query cannot select any."""
    known = [str(n) for n, c in dataset.coords.items() if c.ndim == 1]
    if name not in known and name not in dataset.dims:
        raise ValueError(f"sel={name!r}: labels are selected along {known}")
    if isinstance(query, slice):
        return False
    if name not in known:  # xarray counts from 0
        n, whole = dataset.sizes[name], np.asarray(query).dtype.kind in "iu"
        if not whole or np.min(query) < -n or np.max(query) >= n:
            raise ValueError(f"sel={name!r}: it has no labels, only places 0 to {n - 1}")
        return False
    labels = dataset[name].values
    if labels.dtype.kind in "mM":
        return False
    if labels.dtype.kind in "iuf":
        if np.asarray(query).dtype.kind not in "iuf":
            raise ValueError(f"sel={name!r}: its labels are numbers, got {query!r}")
        return True
    for label in np.atleast_1d(query):
        if label not in labels:
            known = list(dict.fromkeys(map(str, labels.tolist())))
            raise ValueError(f"sel={name!r}: there is no label {str(label)!r}; there are {known}")
    return False


def _closest(name: str, labels: np.ndarray, query: Any) -> Any:
    """Return the nearest label, or the different ones that are nearest to several numbers."""
    low, high = labels.min(), labels.max()
    if np.size(query) == 0:
        raise ValueError(f"sel={name!r}: there is no label in {query!r}")
    found = []
    for number in np.atleast_1d(query).astype(float):
        if not low <= number <= high and not np.isclose(number, (low, high)).any():
            raise ValueError(f"sel={name!r}: {number:g} lies outside its labels, {low} to {high}")
        found.append(labels[np.argmin(np.abs(labels.astype(float) - number))])
    return found[0] if np.ndim(query) == 0 else list(dict.fromkeys(found))
