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
        self.source = ColumnDataSource()
        self.mark = ColumnDataSource({"x": [], "y": []})
        self.mapper = LinearColorMapper(palette=Viridis256)
        number, ticks = javascript("number"), javascript("ticks")
        text = f"{number}\n{javascript('labels')}"
        most = 20 if large else 12  # letters of a tick label
        # Of the x axis, the y axis and the color bar.
        tickers = [
            CustomJSTicker(args={"scale": SCALE, "most": n}, major_code=ticks)
            for n in ((8, 8, 6) if large else (5, 5, 4))
        ]
        formats = [
            CustomJSTickFormatter(args={"scale": SCALE, "letters": most}, code=text)
            for _ in tickers
        ]
        for axis, ticker, formatter in zip(self.figure.axis, tickers, formats, strict=False):
            axis.ticker, axis.formatter, axis.minor_tick_line_color = ticker, formatter, None
            axis.axis_label_text_font_style = "normal"
        self.bar = ColorBar(
            color_mapper=self.mapper,
            ticker=tickers[2],
            formatter=formats[2],
            width=14,
            title_standoff=8,
            title_text_font_style="normal",
        )
        row = {"title": "", "units": ""}
        self.hovers = [CustomJSHover(args={**row, "texts": []}, code=HOVER) for _ in "xy"]
        self.value = CustomJSHover(
            args={**row, "kind": "f", "source": self.source}, code=f"{number}\n{VALUE}"
        )
        self.hover = HoverTool(
            tooltips=[("", "$x")],
            formatters={"$x": self.hovers[0], "$y": self.hovers[1], "@x": self.value},
        )
        if "limit" in HoverTool.properties():  # not in the oldest versions of Bokeh
            self.hover.limit = 3  # of points that are close together
        self.models = {
            "kind": kind,
            "large": large,
            "figure": self.figure,
            "source": self.source,
            "mark": self.mark,
            "mapper": self.mapper,
            "bar": self.bar,
            "formats": formats,
            "tickers": tickers,
            "hovers": self.hovers,
            "value": self.value,
            "hover": self.hover,
        }
        self._glyphs(kind)

    def _glyphs(self, kind: str) -> None:
        fig = self.figure
        if kind == "map":
            # JavaScript creates further two-dimensional arrays with the class of this one.
            cell = [np.zeros((1, 1), np.float64)]
            self.source.data = {"z": cell, "value": cell, "x": [0], "y": [0], "n": [1], "m": [1]}
            cells = fig.image("z", "x", "y", "n", "m", color_mapper=self.mapper, source=self.source)
            fig.grid.visible = False
        else:
            self.source.data = {"x": [], "y": [], "z": [], "line": [], "value": []}
            line = fig.line("x", "line", source=self.source, line_width=2)
            color = {"field": "z", "transform": self.mapper}
            cells = fig.scatter("x", "y", source=self.source, size=7, color=color)
            self.models |= {"dots": cells.glyph, "curve": line.glyph}
        fig.add_layout(self.bar, "right")
        self.hover.renderers = [cells]
        fig.add_tools(self.hover)
        # A dark ring within a light one is seen on every color.
        for width, ring in ((6, "#ffffff"), (2.5, "#c2185b")):
            fig.scatter(
                "x", "y", source=self.mark, marker="circle", size=15, line_width=width,
                fill_alpha=0, line_color=ring,
            )  # fmt: skip
