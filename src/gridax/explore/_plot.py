"""The Bokeh models of one plot: a color map, or a line or points."""

from __future__ import annotations

import importlib.resources
from typing import Any

import numpy as np
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    CustomJSTicker,
    CustomJSTickFormatter,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from gridax.explore._style import PLOT, TOOLBAR

TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
# Rows of a tooltip: Bokeh writes the names in front of values in a blue that is hard to read.
HOVER = "const i = Math.round(value); return `${title}: ${texts[i] ?? ''}${units}`"
# Bokeh would write nan without its name, so the value is looked up instead of being passed.
VALUE = """
const {image_index, index} = special_vars, {value: values, n} = source.data
const cell = image_index == null ? null : image_index.j * n[image_index.index] + image_index.i
const found = cell === null ? values[index] : values[image_index.index][cell]
return `${title}: ${short(found, kind)}${Number.isNaN(found) ? '' : units}`
"""
SCALE = {"kind": "number", "start": 0, "step": 1, "texts": []}


def javascript(name: str) -> str:
    """Return the code in one of the files in `js`."""
    folder = importlib.resources.files("gridax.explore").joinpath("js")
    return folder.joinpath(f"{name}.js").read_text("utf-8")


class Plot:
    """A figure with a color map, or with a line or points, and a mark at the chosen point.

    Attributes
    ----------
    figure : the figure.
    models : all that the code in the browser changes.
    """

    def __init__(self, kind: str, height: int = 230, **figure_options: Any) -> None:
        large = height > 300
        self.figure = figure(
            height=height,
            sizing_mode="stretch_width",
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            tools=TOOLS,
            active_scroll=None,
            **{"visible": False, "stylesheets": [PLOT], **figure_options},
            toolbar_location="above" if large else None,
        )
        self.figure.toolbar.update(logo=None, stylesheets=[TOOLBAR])
        tickers, formats = _ticks(large)
        for axis, ticker, formatter in zip(self.figure.axis, tickers, formats, strict=False):
            axis.ticker, axis.formatter, axis.minor_tick_line_color = ticker, formatter, None
            axis.axis_label_text_font_style = "normal"
        source, mapper = ColumnDataSource(), LinearColorMapper(palette=Viridis256)
        self.models: dict[str, Any] = {
            "kind": kind,
            "large": large,
            "figure": self.figure,
            "source": source,
            "mark": ColumnDataSource({"x": [], "y": []}),
            "mapper": mapper,
            "bar": ColorBar(
                color_mapper=mapper,
                ticker=tickers[2],
                formatter=formats[2],
                width=14,
                title_standoff=8,
                title_text_font_style="normal",
            ),
            "formats": formats,
            "tickers": tickers,
            **_hover(source),
        }
        self._glyphs(kind)

    def _glyphs(self, kind: str) -> None:
        fig, models = self.figure, self.models
        source, mapper = models["source"], models["mapper"]
        if kind == "map":
            # JavaScript creates further two-dimensional arrays with the class of this one.
            cell = [np.zeros((1, 1), np.float64)]
            source.data = {"z": cell, "value": cell, "x": [0], "y": [0], "n": [1], "m": [1]}
            cells = fig.image("z", "x", "y", "n", "m", color_mapper=mapper, source=source)
            fig.grid.visible = False
        else:
            source.data = {"x": [], "y": [], "z": [], "line": [], "value": []}
            line = fig.line("x", "line", source=source, line_width=2)
            color = {"field": "z", "transform": mapper}
            cells = fig.scatter("x", "y", source=source, size=7, color=color)
            models |= {"dots": cells.glyph, "curve": line.glyph}
        fig.add_layout(models["bar"], "right")
        models["hover"].renderers = [cells]
        fig.add_tools(models["hover"])
        # A dark ring within a light one is seen on every color.
        for width, ring in ((6, "#ffffff"), (2.5, "#c2185b")):
            fig.scatter(
                "x", "y", source=models["mark"], marker="circle", size=15, line_width=width,
                fill_alpha=0, line_color=ring,
            )  # fmt: skip


def _ticks(large: bool) -> tuple[list[Any], list[Any]]:
    """Return the positions and the texts of the ticks of the x axis, the y axis and the bar."""
    code = f"{javascript('number')}\n{javascript('labels')}"
    letters, places = 20 if large else 12, javascript("ticks")
    tickers = [
        CustomJSTicker(args={"scale": SCALE, "most": n}, major_code=places)
        for n in ((8, 8, 6) if large else (5, 5, 4))
    ]
    formats = [
        CustomJSTickFormatter(args={"scale": SCALE, "letters": letters}, code=code) for _ in tickers
    ]
    return tickers, formats


def _hover(source: ColumnDataSource) -> dict[str, Any]:
    """Return the tooltip of a plot, and what writes its rows: x, y and the value."""
    row = {"title": "", "units": ""}
    hovers = [CustomJSHover(args={**row, "texts": []}, code=HOVER) for _ in "xy"]
    value = CustomJSHover(
        args={**row, "kind": "f", "source": source}, code=f"{javascript('number')}\n{VALUE}"
    )
    hover = HoverTool(
        tooltips=[("", "$x")],
        formatters={"$x": hovers[0], "$y": hovers[1], "@x": value},
    )
    if "limit" in HoverTool.properties():  # not in the oldest versions of Bokeh
        hover.limit = 3  # of points that are close together
    return {"hovers": hovers, "value": value, "hover": hover}
