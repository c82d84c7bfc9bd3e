"""Plots of a result: which kind of plot suits an output, and the steps that lead to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._axes.base import is_refined
from gridax._checks import optional
from gridax._grid.grid import Grid
from gridax._grid.interp import is_log
from gridax._plots import spread as bands
from gridax._plots.data import select
from gridax._plots.figure import Figure, set_axes
from gridax._plots.keywords import CURVES, MAPS, check_kind, sorted_keywords
from gridax._plots.painter import Painter
from gridax._plots.panels import TOO_MANY
from gridax._plots.positions import in_panel, placed, prepared
from gridax._plots.roles import Plot, assigned
from gridax._plots.spread import LEVELS


def draw(
    values: xr.DataArray,
    grid: Grid,
    roles: Mapping[str, str | None],
    kind: str | None,
    kwargs: Mapping[str, Any],
) -> Any:
    """Plot an output; the arguments, errors and what is returned are those of `Result.plot`.

    Parameters
    ----------
    values, grid : the output, as `chosen` returns it, and the grid of its points.
    roles : coordinate or dimension for x, y, hue, row and col, or None to choose one here.
    """
    plt = optional("matplotlib.pyplot", "plot")
    check_kind(kind)
    given = {role: name for role, name in roles.items() if name is not None}
    members = grid.names_along()
    inner = [str(dim) for dim in values.dims if dim not in (*grid.dims, LEVELS)]
    refined = [dim for dim in members if all(is_refined(c.axis) for c in grid.members(dim))]
    logs = [c.name for c in grid.columns if is_log(c)]
    nominal = [c.name for c in grid.columns if not c.table.is_own_label]
    plot = assigned(Plot(values, given, members, kind, refined, logs, nominal), inner)
    drawn_as = _kind(plot)
    keywords = sorted_keywords(drawn_as, kwargs)
    plot, places = placed(prepared(plot), drawn_as, keywords)
    figure = Figure.of(plt, plot, drawn_as, keywords)
    panels = [(ax, in_panel(plot, labels)) for ax, labels in figure.panels(plot)]
    painter = Painter(plot, drawn_as, keywords, places, figure)
    drawn = painter.paint(panels)
    for ax, _ in panels:
        set_axes(ax, keywords.axes)
        if drawn_as in MAPS[:-1] and _is_square(plot, inner):
            ax.set_box_aspect(1)
    figure.finish(plot)
    return figure.grid or drawn


def chosen(
    dataset: xr.Dataset,
    grid: Grid,
    output: str | None,
    roles: Mapping[str, str | None],
    *,
    mean: str | Sequence[str] | None,
    band: str | Sequence[str] | None,
    spread: Any,
    sel: Mapping[str, Any] | None,
    kind: str | None,
) -> xr.DataArray:
    """Return an output after selection and averaging, with the levels of a band if there is one."""
    over, averaged = _names("band", band), _names("mean", mean)
    bands.check_names({"mean": averaged, "band": over}, roles)
    members = grid.names_along()
    values = bands.mean(select(dataset, output, sel or {}), averaged, members)
    if not over and kind in (None, "line", "step"):
        over = bands.quantiles_without_role(values, roles)
    beside = bands.std_beside(dataset, values, over)
    if beside is not None and spread in (None, "sd") and not mean:
        return bands.band_beside(values, select(dataset, beside, sel or {}), over)
    return bands.band(values, over, spread, members)


def _names(role: str, given: str | Sequence[str] | None) -> list[str]:
    names: Any = [given] if isinstance(given, str) else given
    names = () if names is None else names
    if not np.iterable(names) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{role}={given!r} must be the name of a dimension, or a list of names")
    return list(names)


def _kind(plot: Plot) -> str:
    if plot.kind in (None, *CURVES) and plot.has_hue_per_point():
        return "scatter"
    if plot.kind is not None:
        return plot.kind
    if "y" not in plot.roles:
        return "line"
    dim = plot.scattered()
    if dim is None or dim in plot.refined or plot.values.sizes[dim] > TOO_MANY:
        return "pcolormesh"
    return "scatter"


def _is_square(plot: Plot, inner: Sequence[str]) -> bool:
    """Whether x and y are the dimensions of a square matrix at each point."""
    x, y = plot.dim_of("x"), plot.dim_of("y")
    is_matrix = x != y and {x, y} <= set(inner)
    return is_matrix and plot.values.sizes[x] == plot.values.sizes[y]
