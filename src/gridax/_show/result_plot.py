"""Plots of a result: the figure, its panels, and what explains them."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._checks import optional
from gridax._show import plot_color, plot_panels
from gridax._show.plot_keywords import MAPS, Keywords, check_kind, sorted_keywords
from gridax._show.plot_panels import TOO_MANY, Cells, Points, Series
from gridax._show.plot_roles import MOST_LINES, Plot, assigned
from gridax._show.plot_scale import Placement, edges_between, place, suits_log
from gridax._show.plot_spread import LEVELS
from gridax._show.plot_style import (
    axis_label,
    label_texts,
    panel_title,
    set_title,
    unit_suffix,
)
from gridax._text import listing

WRAP = 42
SMOOTH = ("contour", "contourf", "surface")
# Coordinates for positions; the names of users' axes do not begin with a blank.
AT = {"x": " x", "y": " y", "hue": " hue"}


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
    plot, places = _placed(_prepared(plot), drawn_as, keywords)
    figure = Figure.of(plt, plot, drawn_as, keywords)
    panels = [(ax, _panel(plot, chosen)) for ax, chosen in figure.panels(plot)]
    painter = _Painter(plot, drawn_as, keywords, places, figure)
    drawn = painter.paint(panels)
    own = {dim for dim in inner if dim in plot.values.dims}
    for ax, _ in panels:
        _set_axes(ax, keywords.axes)
        if {plot.dim_of("x"), plot.dim_of("y")} <= own and _is_square(plot) and drawn_as in MAPS:
            ax.set_box_aspect(1) if drawn_as != "surface" else None
    figure.finish(plot)
    return figure.grid or drawn


def _kind(plot: Plot) -> str:
    if plot.kind is not None:
        return plot.kind
    if "y" not in plot.roles:
        return "line"
    dim = plot.scattered()
    if dim is None or dim in plot.refined or plot.values.sizes[dim] > TOO_MANY:
        return "pcolormesh"
    return "scatter"


def _is_square(plot: Plot) -> bool:
    x, y = plot.dim_of("x"), plot.dim_of("y")
    return x != y and plot.values.sizes[x] == plot.values.sizes[y]


def _prepared(plot: Plot) -> Plot:
    """Return the plot with values in memory, in ascending order of their labels."""
    values = plot.values.load()
    values = values.drop_indexes([*values.xindexes])
    for role in {"x", "y", "hue", "row", "col"} & plot.roles.keys():
        name = plot.roles[role]
        if name in values.coords and values[name].dtype.kind == "m":
            values = values.assign_coords({name: _as_durations(values[name])})
    plot = plot.with_values(values)
    for role in ("hue", "y", "x"):
        name = plot.roles.get(role)
        if name in values.coords and not plot.is_category(str(name)):
            values = values.sortby(name)
    return plot.with_values(values)


def _as_durations(labels: xr.DataArray) -> xr.Variable:
    """Return durations as numbers of the largest unit of which the longest has at least one."""
    longest = np.nanmax(np.abs(labels.values), initial=np.timedelta64(0, "ns"))
    units = {"D": "days", "h": "h", "m": "min", "s": "s", "ms": "ms", "us": "µs", "ns": "ns"}
    unit = next((u for u in units if longest >= np.timedelta64(1, u)), "s")
    numbers = labels.values / np.timedelta64(1, unit)
    return xr.Variable(labels.dims, numbers, {**labels.attrs, "units": units[unit]})


def _placed(plot: Plot, kind: str, keywords: Keywords) -> tuple[Plot, dict[str, Placement]]:
    """Return the plot with the position of each label, and where x, y and hue are placed."""
    values, places = plot.values, {}
    scattered = plot.scattered() is not None
    for role in [role for role in ("x", "y") if role in plot.roles]:
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
        codes, labels = pd.factorize(plot.labels("hue"), sort=not category)
        log = name in plot.logs
        places["hue"] = place(
            np.asarray(labels), plot.text("hue"), log=log, nominal=category, cells=True
        )
        values = values.assign_coords({AT["hue"]: (plot.dim(name), codes)})
    return plot.with_values(values), places


def _check_smooth(plot: Plot, kind: str, role: str) -> None:
    name = plot.roles[role]
    if kind == "imshow" and plot.scattered():
        raise ValueError(
            f"kind='imshow' needs a grid, but {plot.roles['x']!r} and {plot.roles['y']!r} share the "
            f"dimension {plot.scattered()!r}; use kind='pcolormesh' or kind='scatter'"
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


def _panel(plot: Plot, chosen: Mapping[str, Any]) -> Plot:
    """Return the part of a plot that belongs into one panel, given the labels of row and col."""
    values = plot.values
    used = {plot.dim_of(role) for role in ("x", "y", "hue")}
    for dim in dict.fromkeys(plot.dim(plot.roles[role]) for role in chosen):
        along = [role for role in chosen if plot.dim_of(role) == dim]
        rows = np.flatnonzero(
            np.logical_and.reduce([plot.labels(role) == chosen[role] for role in along])
        )
        if dim in used or plot.kind == "hist" or not rows.size:
            values = values.isel({dim: rows})
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


@dataclasses.dataclass
class Figure:
    """A figure of one panel, or of a panel for each label of row and col."""

    axes: np.ndarray
    grid: Any
    is_own: bool

    @classmethod
    def of(cls, plt: Any, plot: Plot, kind: str, keywords: Keywords) -> Figure:
        """Create a figure, or take the Axes that the user gave."""
        options = dict(keywords.figure)
        ax = options.pop("ax", None)
        facets = {role: plot.roles[role] for role in ("row", "col") if role in plot.roles}
        projection = {"projection": "3d"} if kind == "surface" else {}
        if ax is not None and facets:
            raise ValueError(
                f"ax= takes a single panel, but {listing([*facets.values()])} give one per label; "
                "average over them with mean=, or select labels with sel="
            )
        if ax is not None and options:
            raise ValueError(f"ax= has a figure already; leave out {listing([*options])}")
        if ax is not None and kind == "surface" and ax.name != "3d":
            raise ValueError("kind='surface' needs an ax= with projection='3d'")
        if ax is not None:
            return cls(np.array([ax]), None, False)
        if facets:
            return cls._of_panels(plot, facets, options, projection)
        if "size" in options:
            height = options["size"]
            options.setdefault("figsize", (height * options.get("aspect", 1.5), height))
        figsize = options.get("figsize", (6, 4))
        ax = plt.subplots(figsize=figsize, layout="constrained", subplot_kw=projection)[1]
        return cls(np.array([ax]), None, True)

    @classmethod
    def _of_panels(
        cls, plot: Plot, facets: dict[str, str], options: dict[str, Any], projection: dict[str, Any]
    ) -> Figure:
        from xarray.plot import FacetGrid

        labels = {role: pd.unique(plot.labels(role)) for role in facets}
        if [*facets] == ["col"]:
            n = len(labels["col"])
            options.setdefault("col_wrap", min(n, 4 if n != 5 and n != 6 and n != 9 else 3))
        elif [*facets] == ["row"]:
            options.setdefault("aspect", 2)  # one column leaves room for wide panels
        coords = {facets[role]: labels[role] for role in facets}
        shape = [len(each) for each in coords.values()]
        layout = xr.DataArray(np.zeros(shape), coords, [*coords])
        data = plot.values if set(coords) <= set(plot.values.dims) else layout
        grid = FacetGrid(data, **facets, subplot_kws=projection, **options)
        grid.fig.set_layout_engine("constrained")
        return cls(grid.axs, grid, True)

    def panels(self, plot: Plot) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield each panel with its labels of row and col; hide those that are left over."""
        if self.grid is None:
            yield self.axes[0], {}
            return
        facets = {role: plot.roles[role] for role in ("row", "col") if role in plot.roles}
        unique = {role: pd.unique(plot.labels(role)) for role in facets}
        indices = np.ndindex(*(len(unique[role]) for role in facets))
        for flat, index in enumerate(indices):
            at = np.unravel_index(flat, self.axes.shape) if len(facets) == 1 else index
            yield self.axes[at], {r: unique[r][i] for r, i in zip(facets, index, strict=True)}
        for ax in self.axes.flat[int(np.prod([len(u) for u in unique.values()])) :]:
            ax.set_visible(False)

    def finish(self, plot: Plot) -> None:
        """Set the titles of panels, and leave out what neighboring panels share."""
        if self.grid is not None:
            self._set_titles(plot)
            shared = plot.kind != "surface"
            n_rows, n_cols = self.axes.shape
            for i, j in np.ndindex(n_rows, n_cols):
                ax = self.axes[i, j]
                below = i + 1 < n_rows and self.axes[i + 1, j].get_visible()
                if shared and below:
                    ax.set_xlabel("")
                elif shared:
                    ax.xaxis.set_tick_params(labelbottom=True)
                if shared and j > 0:
                    ax.set_ylabel("")
        set_title(self.axes, _selected(plot))

    def _set_titles(self, plot: Plot) -> None:
        width, height = (self.axes.flat[0].get_position(original=True).size) * (
            self.axes.flat[0].figure.get_size_inches()
        )
        for role in {"row", "col"} & plot.roles.keys():
            name, labels = plot.roles[role], pd.unique(plot.labels(role))
            attrs = plot.values[name].attrs if name in plot.values.coords else {}
            titles = panel_title(name, attrs, np.asarray(labels))
            if not {"row", "col"} <= plot.roles.keys():
                for ax, title in zip(self.axes.flat, titles, strict=False):
                    ax.set_title(textwrap.fill(title, max(16, int(11 * width))), fontsize="medium")
            elif role == "col":
                for ax, title in zip(self.axes[0], titles, strict=True):
                    ax.set_title(textwrap.fill(title, max(16, int(11 * width))), fontsize="medium")
            else:
                for ax, title in zip(self.axes[:, -1], titles, strict=True):
                    text = textwrap.fill(title, max(16, int(11 * height)))
                    style = {"rotation": 270, "ha": "left", "va": "center"}
                    ax.annotate(text, (1.02, 0.5), xycoords="axes fraction", **style)


class _Painter:
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
        edges = plot_panels.bin_edges(values[np.isfinite(values)], options)
        hue = self._hue_colors()
        drawn = None
        for ax, panel in panels:
            samples = _samples(panel, 1 if hue is None else len(hue.colors))
            colors = ["C0"] if hue is None else hue.colors
            artist = plot_panels.draw_histogram(ax, samples, edges, colors, options)
            drawn = artist if drawn is None else drawn
            ax.set_xlabel(textwrap.fill(self.text, WRAP))
            _set_value_ticks(ax.xaxis, self.plot.values)
        if hue is not None:
            from matplotlib.patches import Patch

            patches = [Patch(color=color, alpha=0.6) for color in hue.colors]
            self._add_key(hue, patches)
        return drawn

    def _curves(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        hue = self._hue_colors()
        drawn: list[list[Any]] = []
        text = self.text
        for ax, panel in panels:
            series = _series(panel)
            if self.kind == "line" and any(_is_crowded(one) for one in series):
                series = [one.binned(self.places["x"].scale == "log") for one in series]
                text = f"{self.text}, mean ± sd of the points in bins"
            drawn.append(self._curves_in(ax, panel, series, hue))
            self.places["x"].apply(ax, "x")
            ax.set_ylabel(textwrap.fill(text, WRAP))
            if LEVELS not in panel.values.dims:
                _set_value_ticks(ax.yaxis, panel.values)
        if hue is not None:
            self._add_key(hue, _handles(hue, [each for artists in drawn for each in artists]))
        return drawn[0] if self.kind != "scatter" else drawn[0][0]

    def _curves_in(
        self, ax: Any, panel: Plot, series: Sequence[Series], hue: plot_color.HueColors | None
    ) -> list[Any]:
        options = dict(self.keywords.drawn)
        colors = ["C0"] if hue is None else hue.colors
        if self.kind == "scatter" or (series and series[0].hues is not None):
            return [plot_panels.draw_dots(ax, one, colors, options) for one in series]
        if len(series) > 1 and self.places["x"].scale == "equal" and len(series[0].levels) > 1:
            series = [one.moved(0.5 * ((one.hue + 0.5) / len(colors) - 0.5)) for one in series]
        return [
            plot_panels.draw_curve(ax, one, colors[one.hue], self.kind, options) for one in series
        ]

    def _maps(self, panels: Sequence[tuple[Any, Plot]]) -> Any:
        contents = [self._content(panel) for _, panel in panels]
        attrs, options = self.plot.values.attrs, self.keywords.colors
        is_mean = any(isinstance(c, Cells) for c in contents) and self.plot.scattered()
        if is_mean:
            attrs = {k: v for k, v in attrs.items() if not k.startswith("flag_")}
        colors = plot_color.colors_of(
            [c.values for c in contents], attrs, options, on_paper=self.kind == "scatter"
        )
        drawn = None
        for (ax, _), content in zip(panels, contents, strict=True):
            for role in ("x", "y"):
                self.places[role].apply(ax, role)
            if not content.values.size:
                continue
            artist = self._draw_map(ax, content, colors)
            drawn = artist if drawn is None else drawn
            if self.kind == "surface":
                ax.set_zlabel(textwrap.fill(self.text, 24))
        if options.get("add_colorbar", self.kind != "surface") and drawn is not None:
            text = f"{self.text}, mean of the points in each cell" if is_mean else self.text
            plot_color.add_color_bar(drawn, colors, self.figure.axes, text, options)
        return drawn

    def _draw_map(self, ax: Any, content: Cells | Points, colors: plot_color.Colors) -> Any:
        options = dict(self.keywords.drawn)
        if isinstance(content, Cells):
            return plot_panels.draw_cells(ax, content, self.kind, colors, options)
        if self.kind == "scatter":
            return plot_panels.draw_points(ax, content, colors, options)
        places = (self.places["x"], self.places["y"])
        return plot_panels.draw_triangles(ax, content, places, self.kind, colors, options)

    def _content(self, panel: Plot) -> Cells | Points:
        values, x, y = panel.values, self.places["x"], self.places["y"]
        at_x, at_y = (values[AT[role]].values for role in ("x", "y"))
        if panel.scattered():
            points = Points(at_x, at_y, values.values)
            if self.kind == "pcolormesh" and panel.scattered() not in panel.refined:
                return points.binned(x, y)
            return points
        grid = values.transpose(panel.dim_of("y"), panel.dim_of("x")).values
        if self.kind == "scatter":
            return Points(*(at.ravel() for at in np.meshgrid(at_x, at_y)), grid.ravel())
        edges = (edges_between(at, p.scale == "log") for at, p in ((at_x, x), (at_y, y)))
        return Cells(at_x, at_y, *edges, grid)

    def _hue_colors(self) -> plot_color.HueColors | None:
        if "hue" not in self.plot.roles:
            return None
        category = self.plot.is_category(self.plot.roles["hue"])
        return plot_color.hue_colors(self.places["hue"], category, self.keywords.colors.get("cmap"))

    def _add_key(self, hue: plot_color.HueColors, handles: list[Any]) -> None:
        options, figure = self.keywords.colors, self.figure
        plot_color.add_hue_key(hue, handles, figure.axes, options, figure.is_own)


def _series(panel: Plot) -> list[Series]:
    """Return the curves of a panel: one, or one for each label of hue."""
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
    different = np.unique(codes)
    if len(different) > MOST_LINES:
        return [Series(at, array, 0, joined=False, hues=codes)]
    rows = [(int(code), np.flatnonzero(codes == code)) for code in different]
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
    is_crowded = not one.joined and len(one.levels) == 1 and len(one.at) > TOO_MANY
    return is_crowded and one.hues is None


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


def _handles(hue: plot_color.HueColors, drawn: Sequence[Any]) -> list[Any]:
    """Return what the legend shows for each label of hue."""
    from matplotlib.lines import Line2D

    if hue.texts is None:  # a color bar is drawn
        return []
    by_line = [artist for artist in drawn if isinstance(artist, Line2D)]
    if not by_line:
        return [Line2D([], [], color=c, marker="o", linestyle="") for c in hue.colors]
    like = by_line[0]
    style = {"linestyle": like.get_linestyle(), "marker": like.get_marker()}
    return [Line2D([], [], color=c, markersize=like.get_markersize(), **style) for c in hue.colors]


def _set_value_ticks(axis: Any, values: xr.DataArray) -> None:
    """Name the values of an output that has a name for each; whole numbers get whole ticks."""
    from matplotlib.ticker import MaxNLocator

    attrs = values.attrs
    if "flag_meanings" in attrs:
        axis.set_ticks(np.atleast_1d(attrs["flag_values"]), attrs["flag_meanings"].split())
    elif values.dtype.kind in "iu":
        axis.set_major_locator(MaxNLocator("auto", integer=True))


def _set_axes(ax: Any, options: Mapping[str, Any]) -> None:
    plain = {k: v for k, v in options.items() if not k.endswith("increase")}
    ax.set(**{k: v for k, v in plain.items() if k.endswith("scale")})
    ax.set(**{k: v for k, v in plain.items() if not k.endswith("scale")})
    for which in "xy":
        ascending = options.get(f"{which}increase")
        axis = getattr(ax, f"{which}axis")
        if ascending is not None and axis.get_inverted() == ascending:
            axis.set_inverted(not ascending)


def _selected(plot: Plot) -> str:
    """Return the selected labels, for the title."""
    parts = []
    for name, c in plot.values.coords.items():
        if name in AT.values():
            continue
        if c.ndim == 0 or (c.ndim == 1 and c.size > 1 and (c == c[0]).all()):
            label = label_texts(c.values.reshape(-1)[:1], 6)[0]
            parts.append(f"{name} = {label}{unit_suffix(c.attrs.get('units'))}")
    return ", ".join(parts)
