"""The positions of what is plotted: in the order of the labels, and in the part of each panel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._plots.keywords import Keywords
from gridax._plots.roles import Plot
from gridax._plots.scale import Placement, place, suits_log
from gridax._show.labels import label_texts
from gridax._text import listing

SMOOTH = ("contour", "contourf", "surface")
# Coordinates for positions; the names of users' axes do not begin with a blank.
AT = {"x": " x", "y": " y", "hue": " hue"}


def prepared(plot: Plot) -> Plot:
    """Return the plot with values in memory, in ascending order of their labels."""
    values = plot.values.load()
    values = values.drop_indexes([*values.xindexes])
    for role in {"x", "y", "hue", "row", "col"} & plot.roles.keys():
        name = plot.roles[role]
        if name in values.coords and values[name].dtype.kind == "m":
            values = values.assign_coords({name: _as_durations(values[name])})
    plot = plot.with_values(values)
    for role in ("row", "col", "hue", "y", "x"):
        name = plot.roles.get(role, "")
        if name in values.coords and not plot.is_category(name):
            values = values.sortby(name)
    return plot.with_values(values)


def _as_durations(labels: xr.DataArray) -> xr.Variable:
    """Return durations as numbers of the largest unit of which the longest has at least one."""
    units = {"days": 86_400e9, "h": 3600e9, "min": 60e9, "s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1.0}
    nanoseconds = labels.values / np.timedelta64(1, "ns")
    longest = np.nanmax(np.abs(nanoseconds), initial=0.0)
    unit = next((unit for unit, size in units.items() if longest >= size), "s")
    return xr.Variable(labels.dims, nanoseconds / units[unit], {**labels.attrs, "units": unit})


def placed(plot: Plot, kind: str, keywords: Keywords) -> tuple[Plot, dict[str, Placement]]:
    """Return the plot with the position of each label, and where x, y and hue are placed."""
    values, places = plot.values, dict[str, Placement]()
    scattered = plot.scattered() is not None
    for role in [role for role in plot.roles if role in ("x", "y")]:
        name, labels = plot.roles[role], plot.labels(role)
        placed = place(
            labels,
            plot.text(role),
            log=name in plot.logs or (scattered and suits_log(labels)),
            nominal=plot.is_category(name),
            cells="y" in plot.roles and not scattered and kind != "scatter",
            scale=keywords.axes.get(f"{role}scale"),
        )
        if kind == "imshow" and not np.allclose(
            np.diff(placed.at, 2), 0, atol=1e-6 * np.ptp(placed.at)
        ):
            placed = dataclasses.replace(placed, at=np.arange(float(len(labels))), scale="equal")
        _check_smooth(plot, kind, role)
        places[role] = placed
        values = values.assign_coords({AT[role]: (plot.dim(name), placed.at)})
    if "hue" in plot.roles:
        name = plot.roles["hue"]
        category = plot.is_category(name)
        codes, labels = pd.factorize(plot.labels("hue"), sort=not category, use_na_sentinel=False)
        labels = np.asarray(labels)
        log = name in plot.logs or suits_log(labels)
        places["hue"] = place(labels, plot.text("hue"), log=log, nominal=category)
        values = values.assign_coords({AT["hue"]: (plot.dim(name), codes)})
    return plot.with_values(values), places


def _check_smooth(plot: Plot, kind: str, role: str) -> None:
    name = plot.roles[role]
    if kind == "imshow" and plot.scattered():
        raise ValueError(
            f"kind='imshow' needs a grid, but {plot.roles['x']!r} and {plot.roles['y']!r} share "
            f"the dimension {plot.scattered()!r}; use kind='pcolormesh' or kind='scatter'"
        )
    if kind not in SMOOTH:
        return
    if plot.is_category(name) and plot.values[name].dtype.kind not in "iu":
        raise ValueError(
            f"kind={kind!r} interpolates between labels, but those of {role}={name!r} are names; "
            "use kind='pcolormesh'"
        )
    if len(pd.unique(plot.labels(role))) < 2:
        raise ValueError(
            f"kind={kind!r} needs at least two labels along {role}={name!r}; use kind='line'"
        )


def _equals(labels: np.ndarray, label: Any) -> Any:
    """Return which labels equal one; missing ones are equal to each other."""
    return pd.isna(labels) if pd.isna(label) else labels == label


def in_panel(plot: Plot, chosen: Mapping[str, Any]) -> Plot:
    """Return the part of a plot that belongs into one panel, given the labels of row and col."""
    values = plot.values
    used = {plot.dim_of(role) for role in ("x", "y", "hue")}
    for dim in dict.fromkeys(plot.dim(plot.roles[role]) for role in chosen):
        along = [role for role in chosen if plot.dim_of(role) == dim]
        rows = np.flatnonzero(
            np.logical_and.reduce([_equals(plot.labels(role), chosen[role]) for role in along])
        )
        if dim in used or plot.kind == "hist":
            values = values.isel({dim: rows})
        elif not rows.size:  # no point has these labels
            values = values.isel({dim: 0}).where(False)
        elif rows.size == 1:
            values = values.isel({dim: rows[0]})
        else:
            role = along[-1]
            raise ValueError(
                f"{role}={plot.roles[role]!r}: several points along {dim!r} have the label "
                f"{label_texts(np.array([chosen[role]]))[0]}; give one of "
                f"{listing(plot.varying(dim))} as x= or hue=, or average with mean="
            )
    return plot.with_values(values)
