"""Plots of a result: which kind of plot suits an output, and the steps that lead to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from gridax._checks import optional
from gridax._plots.figure import Figure, set_axes
from gridax._plots.keywords import CURVES, MAPS, check_kind, sorted_keywords
from gridax._plots.painter import Painter
from gridax._plots.panels import TOO_MANY
from gridax._plots.positions import in_panel, placed, prepared
from gridax._plots.roles import Plot, assigned


def draw(
    values: xr.DataArray,
    members: Mapping[str, Sequence[str]],
    inner: Sequence[str],
    roles: Mapping[str, str | None],
    kind: str | None,
    kwargs: Mapping[str, Any],
    refined: Sequence[str] = (),
    logs: Sequence[str] = (),
    nominal: Sequence[str] = (),
) -> Any:
    """Plot an output; return what matplotlib returns, or a FacetGrid for several panels.

    Parameters
    ----------
    values : the output, after the selection and averaging of all else.
    members : names of the axes along each dimension.
    inner : the output's own dimensions.
    roles : coordinate or dimension for x, y, hue, row and col, or None to choose one here.
    kind : the kind of plot, or None to choose one here.
    kwargs : for the figure, its axes, colors, and what matplotlib draws.
    refined : dimensions whose points are dense where they matter, which are triangulated.
    logs : axes along them that are logarithmic.
    nominal : axes whose labels are names, even where they are numbers.

    Raises
    ------
    TypeError
        If the kind of plot does not take a keyword.
    ValueError
        If nothing is left to plot, if there are too many dimensions or panels, or if a role names
        no dimension of the output.
    """
    plt = optional("matplotlib.pyplot", "plot")
    check_kind(kind)
    given = {role: name for role, name in roles.items() if name is not None}
    plot = assigned(Plot(values, given, members, kind, refined, logs, nominal), inner)
    drawn_as = _kind(plot)
    keywords = sorted_keywords(drawn_as, kwargs)
    plot, places = placed(prepared(plot), drawn_as, keywords)
    figure = Figure.of(plt, plot, drawn_as, keywords)
    panels = [(ax, in_panel(plot, chosen)) for ax, chosen in figure.panels(plot)]
    painter = Painter(plot, drawn_as, keywords, places, figure)
    drawn = painter.paint(panels)
    for ax, _ in panels:
        set_axes(ax, keywords.axes)
        if drawn_as in MAPS[:-1] and _is_square(plot, inner):
            ax.set_box_aspect(1)
    figure.finish(plot)
    return figure.grid or drawn


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
