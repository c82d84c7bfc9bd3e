"""Averages and spreads of an output over dimensions, or over one of the axes along a dimension."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._text import listing

# The levels of a band from the lowest to the highest, with the center in the middle; no user's
# dimension starts with a blank.
LEVELS = " band"
SPREADS = ("sd", "sem", "range")


def check_names(over: Mapping[str, Sequence[str]], roles: Mapping[str, str | None]) -> None:
    """Reject a dimension that is both averaged over and drawn, or averaged over twice."""
    seen: dict[str, str] = {}
    for role, names in over.items():
        for name in names:
            drawn = [r for r, given in roles.items() if given == name]
            if drawn or name in seen:
                other = drawn[0] if drawn else seen[name]
                raise ValueError(
                    f"{other}={name!r} and {role}={name!r}: a dimension that is averaged over "
                    "cannot be used again; leave out one of them"
                )
            seen[name] = role


def mean(
    values: xr.DataArray, over: Sequence[str], members: Mapping[str, Sequence[str]]
) -> xr.DataArray:
    """Return values averaged over dimensions, skipping NaN, as the long name says.

    Raises
    ------
    ValueError
        If a name is no dimension of the output, or there is nothing to average over.
    """
    if not over:
        return values
    values = _with_dims(values, "mean", over, members)
    long_name = f"{values.attrs.get('long_name', values.name)}, mean over {', '.join(over)}"
    return _described(values.mean(over, keep_attrs=True), values, long_name)


def band(
    values: xr.DataArray, over: Sequence[str], spread: Any, members: Mapping[str, Sequence[str]]
) -> xr.DataArray:
    """Return the center and the ends of bands over dimensions, along the dimension `LEVELS`.

    The dimension ``quantile`` of an output that was reduced during the run has the ends already.

    Parameters
    ----------
    values : the output.
    over : dimensions, or axes that share a dimension with others; no band if there are none.
    spread : "sd", "sem" or "range", or the shares of the points within each band; "sd" if None.
    members : names of the axes along each dimension.

    Raises
    ------
    TypeError, ValueError
        If a name is no dimension of the output, or the spread is unknown.
    """
    if spread is not None and not over:
        raise ValueError(f"spread={spread!r} describes a band; name its dimension with band=")
    if spread is not None and _is_fan(values, over):
        raise ValueError(
            f"spread={spread!r}: output {values.name!r} has quantiles already, which are the band; "
            "leave out spread="
        )
    if not over:
        return values
    if _is_fan(values, over):
        return _fan(values)
    spread = "sd" if spread is None else spread
    shares = _shares(spread)
    values = _with_dims(values, "band", over, members)
    if shares is None:
        center = values.mean(over)
        half = values.std(over)
        if spread == "sem":
            half = half / np.sqrt(values.count(over))
        levels = xr.concat([center - half, center, center + half], LEVELS)
        text = f"mean ± {spread}"
    else:
        lower = [(1 - share) / 2 for share in sorted(shares, reverse=True)]
        q = [*lower, 0.5, *(1 - low for low in reversed(lower))]
        if values.chunks is not None:  # quantiles need all values at once
            values = values.chunk(dict.fromkeys(over, -1))
        has_nan = values.dtype.kind == "f" and bool(values.isnull().any())
        with warnings.catch_warnings():  # where no point has a value, there is no quantile
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            # The output may have quantiles of its own.
            own = {name: f" {name}" for name in ("quantile",) if name in values.dims}
            quantiles = values.rename(own).quantile(q, over, skipna=has_nan)
        levels = quantiles.rename(quantile=LEVELS).drop_vars(LEVELS)
        levels = levels.rename({new: name for name, new in own.items()})
        percent = listing([f"{100 * share:g} %" for share in sorted(shares)])
        text = "median and range" if spread == "range" else f"median and {percent} of the points"
    levels = levels.transpose(..., LEVELS)
    long_name = f"{values.attrs.get('long_name', values.name)}, {text} over {', '.join(over)}"
    return _described(levels, values, long_name)


def quantiles_without_role(values: xr.DataArray, roles: Mapping[str, str | None]) -> list[str]:
    """Return the dimension of several quantiles, if lines are drawn and it has no role."""
    is_free = "quantile" in values.dims and "quantile" not in roles.values()
    return ["quantile"] if is_free and roles["y"] is None and values.sizes["quantile"] > 1 else []


def _is_fan(values: xr.DataArray, over: Sequence[str]) -> bool:
    return [*over] == ["quantile"] and str(values.name).endswith(".quantile")


def _fan(values: xr.DataArray) -> xr.DataArray:
    """Return quantiles as the ends of bands."""
    if "quantile" not in values.coords:
        return values
    values = values.sortby("quantile")
    text = f"at {listing([f'{q:g}' for q in values['quantile'].values])}"
    levels = values.drop_vars("quantile").rename(quantile=LEVELS).transpose(..., LEVELS)
    return _described(levels, values, f"{values.attrs.get('long_name', values.name)} {text}")


def std_beside(dataset: xr.Dataset, values: xr.DataArray, over: Sequence[str]) -> str | None:
    """Return the standard deviation that was computed during the run beside a mean, if any.

    Raises
    ------
    ValueError
        If one of them was reduced over other dimensions than the band is wanted for.
    """
    name = str(values.name)
    other = f"{name.removesuffix('.mean')}.std"
    if not name.endswith(".mean") or other not in dataset or not over:
        return None
    if not all(_was_reduced(values, dim) for dim in over):
        return None
    for each in (values, dataset[other]):
        dims = _reduced(each)
        if set(dims) != set(over):
            raise ValueError(
                f"band={[*over]!r}: output {each.name!r} was reduced over {listing(dims)} at once "
                "during the run, so that a spread over other dimensions is not known"
            )
    return other


def band_beside(mean: xr.DataArray, std: xr.DataArray, over: Sequence[str]) -> xr.DataArray:
    """Return a mean and a standard deviation that were computed during the run as a band."""
    levels = xr.concat([mean - std, mean, mean + std], LEVELS).transpose(..., LEVELS)
    long_name = f"{mean.attrs.get('long_name', mean.name)} ± sd over {', '.join(over)}"
    return _described(levels, mean, long_name)


def _described(values: xr.DataArray, source: xr.DataArray, long_name: str) -> xr.DataArray:
    attrs = {k: v for k, v in source.attrs.items() if not k.startswith("flag_")}
    new = values.rename(source.name)
    new.attrs = {**attrs, "long_name": long_name}
    return new


def _shares(spread: Any) -> list[float] | None:
    """Return the shares of the points within each band; None if it is a number of deviations."""
    if isinstance(spread, str):
        if spread not in SPREADS:
            raise ValueError(
                f"spread={spread!r} is unknown; choose 'sd', 'sem' or 'range', or give the share "
                "of the points within each band, such as 0.9 or [0.5, 0.9]"
            )
        return [1.0] if spread == "range" else None
    shares: list[Any] = list(spread) if np.iterable(spread) else [spread]
    for share in shares:
        is_number = isinstance(share, (int, float, np.number)) and share is not True
        if not is_number or not 0 < share <= 1:
            raise ValueError(
                f"spread={spread!r}: give shares of the points between 0 and 1, such as 0.9 or "
                "[0.5, 0.9], or 'sd', 'sem' or 'range'"
            )
    if not shares:
        raise ValueError("spread=[] is empty; give the share of the points within each band")
    return sorted({float(share) for share in shares})


def _with_dims(
    values: xr.DataArray, role: str, over: Sequence[str], members: Mapping[str, Sequence[str]]
) -> xr.DataArray:
    """Return values that have all of some names as dimensions."""
    for name in dict.fromkeys(over):
        if name in values.dims:
            continue
        coordinate = values.coords.get(name)
        if coordinate is None or coordinate.ndim != 1:
            reduced = " any more, as it was reduced during the run"
            raise ValueError(
                f"{role}={name!r} is no dimension of output {values.name!r}"
                f"{reduced if _was_reduced(values, name) else ''}; average over "
                f"{listing(values.dims) or 'nothing, as it has none'}"
            )
        values = _split(values, role, name, members)
    return values


def _was_reduced(values: xr.DataArray, dim: str) -> bool:
    """Whether an output was reduced along a dimension during the run, as its attribute says."""
    methods = str(values.attrs.get("cell_methods", ""))
    return bool(re.search(rf"(?:^|: ){re.escape(dim)}: ", methods))


def _reduced(values: xr.DataArray) -> list[str]:
    """Return the dimensions along which an output was reduced during the run."""
    return str(values.attrs.get("cell_methods", "")).split(": ")[:-1]


def _split(
    values: xr.DataArray, role: str, name: str, members: Mapping[str, Sequence[str]]
) -> xr.DataArray:
    """Return points that differ only in one axis along a new dimension, filled up with NaN."""
    dim = str(values[name].dims[0])
    others = [
        n
        for n in members.get(dim, ())
        if n != name and n in values.coords and len(pd.unique(values[n].values)) > 1
    ]
    size = values.sizes[dim]
    table = pd.DataFrame({n: values[n].values for n in others}, index=range(size))
    groups = table.groupby(others, sort=False, dropna=False) if others else None
    codes = np.zeros(size, int) if groups is None else groups.ngroup().to_numpy()
    ranks = np.arange(size) if groups is None else groups.cumcount().to_numpy()
    if not ranks.any():
        raise ValueError(
            f"{role}={name!r}: no two points differ only in {name!r}, which shares the dimension "
            f"{dim!r} with {listing(others)}; average over all of its points with {role}={dim!r}"
        )
    rows = np.full((codes.max() + 1, ranks.max() + 1), -1)
    rows[codes, ranks] = np.arange(size)
    index = xr.DataArray(rows, dims=(dim, name))
    first = np.flatnonzero(ranks == 0)
    kept = {n: values[n].variable.isel({dim: first}) for n in others}
    along = [n for n, c in values.coords.items() if dim in c.dims]
    bare = values.drop_vars(along)
    return bare.isel({dim: index}).where(index >= 0).assign_coords(kept)
