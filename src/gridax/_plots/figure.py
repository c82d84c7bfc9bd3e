"""The figure of a plot: its panels, their titles, and the keywords of their axes."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._plots.keywords import Keywords
from gridax._plots.positions import AT
from gridax._plots.roles import Plot
from gridax._plots.style import letters_along, panel_title, set_title
from gridax._show.labels import label_texts, unit_suffix
from gridax._text import listing


@dataclasses.dataclass
class Figure:
    """A figure of one panel, or of a panel for each label of row and col."""

    axes: np.ndarray
    grid: Any

    @classmethod
    def of(cls, plt: Any, plot: Plot, kind: str, keywords: Keywords) -> Figure:
        """Create a figure, or take the Axes that the user gave."""
        options = dict(keywords.figure)
        ax = options.pop("ax", None)
        facets = plot.facets()
        _check_options(options)
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
            return cls(np.array([ax]), None)
        if facets:
            return cls._of_panels(plot, facets, options, projection)
        if "size" in options:
            height = options["size"]
            options.setdefault("figsize", (height * options.get("aspect", 1.5), height))
        figsize = options.get("figsize", (6, 4))
        ax = plt.subplots(figsize=figsize, layout="constrained", subplot_kw=projection)[1]
        return cls(np.array([ax]), None)

    @classmethod
    def _of_panels(
        cls, plot: Plot, facets: dict[str, str], options: dict[str, Any], projection: dict[str, Any]
    ) -> Figure:
        from xarray.plot import FacetGrid

        labels = plot.labels_of_panels()
        if [*facets] == ["col"]:
            n = len(labels["col"])
            options.setdefault("col_wrap", min(n, 3 if n in (5, 6, 9) else 4))
        if projection:
            options.setdefault("size", 4)  # labels are beside the panels
        elif [*facets] == ["row"]:
            options.setdefault("aspect", 2)  # one column leaves room for wide panels
        coords = {facets[role]: labels[role] for role in facets}
        shape = [len(each) for each in coords.values()]
        layout = xr.DataArray(np.zeros(shape), coords, [*coords])
        # Of repeated labels, each gets one panel.
        has_all = all(plot.values.sizes.get(name) == len(each) for name, each in coords.items())
        data = plot.values if has_all else layout
        grid: Any = FacetGrid(
            data, facets.get("col"), facets.get("row"), subplot_kws=projection, **options
        )
        grid.fig.set_layout_engine("constrained")
        return cls(grid.axs, grid)

    def panels(self, plot: Plot) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield each panel with its labels of row and col; hide those that are left over."""
        if self.grid is None:
            yield self.axes[0], {}
            return
        labels = plot.labels_of_panels()
        shape = [len(each) for each in labels.values()]
        for flat, index in enumerate(np.ndindex(*shape)):
            at = np.unravel_index(flat, self.axes.shape) if len(labels) == 1 else index
            yield self.axes[at], {r: labels[r][i] for r, i in zip(labels, index, strict=True)}
        for ax in self.axes.flat[math.prod(shape) :]:
            ax.set_visible(False)
            ax.set_in_layout(False)  # as matplotlib cannot measure 3D Axes that are not visible

    def finish(self, plot: Plot) -> None:
        """Set the titles of panels, and leave out what neighboring panels share."""
        if self.grid is not None:
            self._set_titles(plot)
            shared = plot.kind != "surface"
            n_rows, n_cols = self.axes.shape
            for i, j in np.ndindex(n_rows, n_cols):
                ax: Any = self.axes[i, j]
                below = i + 1 < n_rows and self.axes[i + 1, j].get_visible()
                if shared and below:
                    ax.set_xlabel("")
                elif shared:
                    ax.xaxis.set_tick_params(labelbottom=True)
                if shared and j > 0:
                    ax.set_ylabel("")
        set_title(self.axes, _selected(plot))

    def _set_titles(self, plot: Plot) -> None:
        labels = plot.labels_of_panels()
        for role, each in labels.items():
            name = plot.roles[role]
            attrs = plot.values[name].attrs if name in plot.values.coords else {}
            titles = panel_title(name, attrs, each)
            if role == "row" and len(labels) == 2:
                self._set_titles_of_rows(titles)
                continue
            for ax, title in zip(self.axes.flat, titles, strict=False):
                ax.set_title(textwrap.fill(title, letters_along(ax, 0)), fontsize="medium")

    def _set_titles_of_rows(self, titles: Sequence[str]) -> None:
        style = {"rotation": 270, "ha": "left", "va": "center"}
        for ax, title in zip(self.axes[:, -1], titles, strict=True):
            text = textwrap.fill(title, letters_along(ax, 1))
            ax.annotate(text, (1.02, 0.5), xycoords="axes fraction", **style)


def _check_options(options: Mapping[str, Any]) -> None:
    wrap = options.get("col_wrap")
    is_count = isinstance(wrap, (int, np.integer)) and not isinstance(wrap, bool) and wrap > 0
    if wrap is not None and not is_count:
        raise ValueError(f"col_wrap={wrap!r} must be a positive whole number of panels per row")


def set_axes(ax: Any, options: Mapping[str, Any]) -> None:
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
