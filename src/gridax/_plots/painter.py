"""What is drawn in the panels of a figure, in the same colors in all of them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._plots.color import Colors, HueColors, add_color_bar, add_hue_key, colors_of, hue_colors
from gridax._plots.figure import Figure
from gridax._plots.keywords import Keywords
from gridax._plots.panels import (
    TOO_MANY,
    Cells,
    Points,
    Series,
    bin_edges,
    draw_cells,
    draw_curve,
    draw_dots,
    draw_histogram,
    draw_points,
    draw_triangles,
)
from gridax._plots.positions import AT
from gridax._plots.roles import Plot
from gridax._plots.scale import Placement, edges_between
from gridax._plots.spread import LEVELS
from gridax._plots.style import letters_along
from gridax._show.labels import axis_label, flags


class Painter:
    """Draws all panels of a figure in the same colors."""

    def __init__(
        self,
        plot: Plot,
        kind: str,
        keywords: Keywords,
        places: Mapping[str, Placement],
        figure: Figure,
    ) -> None:
        self.plot, self.kind, self.keywords = plot, kind, keywords
        self.places, self.figure = places, figure
        self.text = axis_label(str(plot.values.name), plot.values.attrs)

    def paint(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        """Draw the panels; return what was drawn in the first one."""
        if self.kind == "hist":
            return self._histograms(panels)
        if "y" in self.plot.roles:
            return self._maps(panels)
        return self._curves(panels)

    def _histograms(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        values = self.plot.values.values
        options = self.keywords.drawn
        edges = bin_edges(values[np.isfinite(values)], options)
        hue = self._hue_colors()
        drawn: Any = None
        for ax, panel in panels:
            samples = _samples(panel, 1 if hue is None else len(hue.colors))
            colors = ["C0"] if hue is None else hue.colors
            artist = draw_histogram(ax, samples, edges, colors, options)
            drawn = artist if drawn is None else drawn
            ax.set_xlabel(textwrap.fill(self.text, letters_along(ax, 0)))
            _set_value_ticks(ax.xaxis, self.plot.values)
        if hue is not None:
            self._add_key(hue, _patches(drawn[2] if len(hue.colors) > 1 else [drawn[2]]))
        return drawn

    def _curves(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        hue = self._hue_colors()
        drawn: list[list[Any]] = []
        text = self.text
        for ax, panel in panels:
            series = _series(panel, by_point=self.kind == "scatter")
            if self.kind == "line" and any(_is_crowded(one) for one in series):
                series = [one.binned(self.places["x"].scale == "log") for one in series]
                text = f"{self.text}, mean ± sd of the points in bins"
            drawn.append(self._curves_in(ax, panel, series, hue))
            if not np.isfinite(panel.values.values).any():
                _say_empty(ax)
            self.places["x"].apply(ax, "x")
            ax.set_ylabel(textwrap.fill(text, letters_along(ax, 1)))
            if LEVELS not in panel.values.dims:
                _set_value_ticks(ax.yaxis, panel.values)
        # With a color of the user's, all labels of hue look the same.
        if hue is not None and not {"c", "color", "facecolor"} & self.keywords.drawn.keys():
            self._add_key(hue, _handles(hue, [each for artists in drawn for each in artists]))
        return drawn[0] if self.kind != "scatter" else drawn[0][0]

    def _curves_in(
        self, ax: Any, panel: Plot, series: Sequence[Series], hue: HueColors | None
    ) -> list[Any]:
        options = dict(self.keywords.drawn)
        colors = ["C0"] if hue is None else hue.colors
        if self.kind == "scatter":
            return [draw_dots(ax, one, colors, options) for one in series]
        if len(series) > 1 and self.places["x"].scale == "equal" and len(series[0].levels) > 1:
            series = [one.moved(0.5 * ((one.hue + 0.5) / len(colors) - 0.5)) for one in series]
        return [draw_curve(ax, one, colors[one.hue], self.kind, options) for one in series]

    def _maps(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        contents = [self._content(panel) for _, panel in panels]
        attrs, options = self.plot.values.attrs, self.keywords.colors
        is_mean = any(isinstance(c, Cells) for c in contents) and self.plot.scattered()
        if is_mean:
            attrs = {k: v for k, v in attrs.items() if not k.startswith("flag_")}
        colors = colors_of([c.values for c in contents], attrs, options, kind=self.kind)
        needs_bar = self.kind != "surface" or len(panels) > 1
        drawn = None
        for (ax, _), content in zip(panels, contents, strict=True):
            for role in ("x", "y"):
                self.places[role].apply(ax, role)
            if not np.isfinite(content.values).any():
                _say_empty(ax)
            if not content.values.size:
                continue
            artist = self._draw_map(ax, content, colors)
            drawn = artist if drawn is None else drawn
            if self.kind == "surface" and not needs_bar:
                ax.set_zlabel(textwrap.fill(self.text, 24))
        if options.get("add_colorbar", needs_bar) and drawn is not None:
            text = f"{self.text}, mean of the points in each cell" if is_mean else self.text
            add_color_bar(drawn, colors, self.figure.axes, text, options)
        return drawn

    def _draw_map(self, ax: Any, content: Cells | Points, colors: Colors) -> Any:
        options = dict(self.keywords.drawn)
        if isinstance(content, Cells):
            return draw_cells(ax, content, self.kind, colors, options)
        if self.kind == "scatter":
            return draw_points(ax, content, colors, options)
        places = (self.places["x"], self.places["y"])
        return draw_triangles(ax, content, places, self.kind, colors, options)

    def _content(self, panel: Plot) -> Cells | Points:
        values, x, y = panel.values, self.places["x"], self.places["y"]
        at_x, at_y = (values[AT[role]].values for role in ("x", "y"))
        if not values.size:
            return Points(at_x, at_y, np.empty(0))
        if panel.scattered():
            points = Points(at_x, at_y, values.values)
            if self.kind == "pcolormesh" and panel.scattered() not in panel.refined:
                return points.binned(x, y)
            return points
        grid = values.transpose(panel.dim_of("y"), panel.dim_of("x")).values
        if self.kind == "scatter":
            everywhere = np.meshgrid(at_x, at_y)
            return Points(everywhere[0].ravel(), everywhere[1].ravel(), grid.ravel())
        edges = [edges_between(at, p.scale == "log") for at, p in ((at_x, x), (at_y, y))]
        return Cells(at_x, at_y, edges[0], edges[1], grid)

    def _hue_colors(self) -> HueColors | None:
        if "hue" not in self.plot.roles:
            return None
        category = self.plot.is_category(self.plot.roles["hue"])
        return hue_colors(self.places["hue"], category, self.keywords.colors.get("cmap"))

    def _add_key(self, hue: HueColors, handles: list[Any]) -> None:
        options, panels = self.keywords.colors, self.figure.axes
        # A layout engine makes room for what is beside the panels.
        has_room = panels.flat[0].figure.get_layout_engine() is not None
        add_hue_key(hue, handles, panels, options, has_room)


def _series(panel: Plot, by_point: bool) -> list[Series]:
    """Return the curves of a panel: one, one for each label of hue, or one with a hue per point."""
    values, along_x, along_hue = panel.values, panel.dim_of("x"), panel.dim_of("hue")
    shared = along_hue == along_x
    order = [along_hue] if along_hue is not None and not shared else []
    if LEVELS not in values.dims:
        values = values.expand_dims(LEVELS)
    array = values.transpose(*order, LEVELS, along_x).values
    at = values[AT["x"]].values
    codes = values[AT["hue"]].values if along_hue is not None else np.zeros(1, int)
    if not shared:
        joined = _is_joined(panel, at)
        curves = array if order else [array]
        return [Series(at, one, int(c), joined) for one, c in zip(curves, codes, strict=True)]
    if by_point:
        return [Series(at, array, 0, joined=False, hues=codes)]
    rows = [(int(code), np.flatnonzero(codes == code)) for code in np.unique(codes)]
    return [
        Series(at[these], array[:, these], code, _is_joined(panel, at[these]))
        for code, these in rows
    ]


def _is_joined(panel: Plot, at: np.ndarray) -> bool:
    """Whether a curve has values between its points: x has an order, and nothing else varies."""
    name, dim = panel.roles["x"], panel.dim(panel.roles["x"])
    varying = panel.varying(dim)
    others = set(varying) - {name} - ({panel.roles["hue"]} if panel.dim_of("hue") == dim else set())
    alone = len(varying) <= 1 or not others
    return alone and not panel.is_category(name) and len(np.unique(at)) == len(at)


def _is_crowded(one: Series) -> bool:
    return not one.joined and len(one.levels) == 1 and len(one.at) > TOO_MANY


def _samples(panel: Plot, n: int) -> list[np.ndarray]:
    """Return the values of a histogram, for each label of hue."""
    values, dim = panel.values, panel.dim_of("hue")
    if dim is None:
        parts = [values.values.ravel()]
    else:
        codes = values[AT["hue"]].values
        array = values.transpose(dim, ...).values
        parts = [array[codes == code].ravel() for code in range(n)]
    return [part[np.isfinite(part)] for part in parts]


def _patches(drawn: Sequence[Any]) -> list[Any]:
    """Return what the legend shows for each histogram, in the colors that were drawn."""
    from matplotlib.patches import Patch

    first = [next(iter(artists)) for artists in drawn]
    return [
        Patch(fc=one.get_facecolor(), ec=one.get_edgecolor(), lw=one.get_linewidth())
        for one in first
    ]


def _handles(hue: HueColors, drawn: Sequence[Any]) -> list[Any]:
    """Return what the legend shows for each label of hue."""
    from matplotlib.lines import Line2D

    if hue.texts is None:  # a color bar is drawn
        return []
    by_line = [artist for artist in drawn if isinstance(artist, Line2D)]
    if not by_line:
        return [Line2D([], [], color=c, marker="o", linestyle="") for c in hue.colors]
    like = by_line[0]
    style: dict[str, Any] = {
        name: getattr(like, f"get_{name}")() for name in ("linestyle", "marker", "markersize")
    }
    return [Line2D([], [], color=color, **style) for color in hue.colors]


def _say_empty(ax: Any) -> None:
    style = {"ha": "center", "va": "center", "backgroundcolor": ax.get_facecolor()}
    ax.annotate("no values", (0.5, 0.5), xycoords="axes fraction", **style)


def _set_value_ticks(axis: Any, values: xr.DataArray) -> None:
    """Name the values of an output that has a name for each; whole numbers get whole ticks."""
    from matplotlib.ticker import MaxNLocator

    named = flags(values.attrs)
    if named:
        axis.set_ticks([*named], [*named.values()])
    elif values.dtype.kind in "iu":
        axis.set_major_locator(MaxNLocator("auto", integer=True))
