"""The Bokeh models of an explorer: choosers, plots and the details of one point.

`explore.js` connects them in the browser. It writes a user's choices into the sources `view` and
`picked`, and draws the contents of `frame` and `point`. In a live explorer, Python answers the
former with the latter; in an exported page, the browser does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import importlib.resources
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTicker,
    Checkbox,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    CustomJSTickFormatter,
    Div,
    HoverTool,
    LinearColorMapper,
    Range1d,
    Select,
    Slider,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure

from gridax.explore._cube import MOST_DETAILS, Cube, View

TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
TEXT = "labels == null ? Number(tick.toPrecision(6)).toString() : labels[tick] ?? ''"
FORMAT = f"return {TEXT}"
SHORT = f"const s = {TEXT}; return s.length > n ? s.slice(0, n / 2) + '…' + s.slice(-n / 2) : s"
HOVER = f"const tick = labels == null ? value : Math.round(value); {FORMAT}"
# Names may be longer than the width of the column.
WRAP = ":host, .bk-slider-title { white-space: normal; overflow-wrap: anywhere }"
TABLE = """
th { text-align: left; padding-top: .4em }
td { vertical-align: top; overflow-wrap: anywhere }
td:first-child { padding-right: 1em }
"""
WIDTH = 390  # of the details of one point
MIDDLE, RIGHT = "9999 1 420px", f"1 1 {WIDTH + 10}px"
GREY, LINE = "#d9d9d9", "#1f77b4"


class Board:
    """All models of one explorer, and their layout.

    Attributes
    ----------
    layout : the models in their arrangement.
    view, picked : sources with a JSON text: the slice to show, and the point that was clicked.
    frame, point : sources with the contents to draw, as returned by `Cube`.
    """

    def __init__(self, cube: Cube, title: str, view: View, lazy: bool) -> None:
        at = {dim: view.at.get(dim, 0) for dim in cube.members}
        shown = cube.details(view.output)
        self.view = _json_source(dataclasses.asdict(view))
        self.picked = _json_source({"at": at, "shown": shown})
        first = cube.frame(view)
        self.frame = ColumnDataSource(as_columns(first), name="frame")
        self.point = ColumnDataSource(as_columns(cube.point(at, shown)), name="point")
        self.sheet = ColumnDataSource()
        self._patience = 250 if lazy else 20  # ms
        self._title = Div(text=title, disable_math=True, styles={"font-size": "110%"})
        varying = [name for name in cube.outputs if cube.choices(name)]
        choosers = {
            "output": Select(title="Output", options=varying, value=view.output),
            "x": Select(title="x", options=cube.choices(view.output), value=view.x),
            "y": Select(title="y", options=_with_none(cube, view), value=view.y),
        }
        for name, chooser in choosers.items():
            chooser.update(name=name, width=240)
        self._choosers = choosers
        self._sliders = {dim: _slider(cube, dim, view) for dim in cube.members}
        self._means = {
            dim: Checkbox(
                name=f"mean {dim}", label=_plain(f"mean over {dim}"), width=230, stylesheets=[WRAP]
            )
            for dim in cube.members
        }
        self._map = _Plot("map", name="map", visible=first["kind"] == "map")
        self._line = _Plot("line", name="line", visible=first["kind"] != "map")
        self._note = Div(name="note", disable_math=True, styles={"font-weight": "bold"})
        self._table = Div(name="table", disable_math=True, stylesheets=[TABLE], width=WIDTH)
        n_own = [len(cube.own(name)) for name in cube.outputs]
        n_lines, n_maps = sum(n == 1 for n in n_own), sum(n > 1 for n in n_own)
        self._details = [_Plot("line", height=230) for _ in range(min(n_lines, MOST_DETAILS))]
        self._details += [_Plot("map", height=230) for _ in range(min(n_maps, MOST_DETAILS))]
        self._wire(cube)
        self.layout = self._arrange()

    def answer(self, cube: Cube, request: str) -> None:
        """Put the slice that `view` requests into `frame`."""
        with self._errors_shown():
            self.frame.data = as_columns(cube.frame(View(**json.loads(request))))

    def show_point(self, cube: Cube, request: str) -> None:
        """Put the values at the clicked point into `point`."""
        with self._errors_shown():
            self.point.data = as_columns(cube.point(**json.loads(request)))

    @contextlib.contextmanager
    def _errors_shown(self) -> Iterator[None]:
        """Show an error on the page, as when a file has been removed or damaged."""
        try:
            yield
        except Exception as error:
            self._note.text = html.escape(f"{type(error).__name__}: {error}")

    def _wire(self, cube: Cube) -> None:
        args: dict[str, Any] = {
            "spec": json.dumps(cube.describe()),
            "view": self.view,
            "picked": self.picked,
            "frame": self.frame,
            "point": self.point,
            "sheet": self.sheet,
            "patience": self._patience,
            "table": self._table,
            "choosers": list(self._choosers.values()),
            "sliders": list(self._sliders.values()),
            "means": list(self._means.values()),
            "note": self._note,
            "plots": {"map": self._map.models, "line": self._line.models},
            "details": [plot.models for plot in self._details],
        }
        code = importlib.resources.files("gridax.explore").joinpath("explore.js").read_text("utf-8")
        act = CustomJS(args=args, code=code)
        for widget in (*self._choosers.values(), *self._sliders.values()):
            widget.js_on_change("value", act)
        for checkbox in self._means.values():
            checkbox.js_on_change("active", act)
        for source in (self.frame, self.point, self.view, self.picked):
            source.js_on_change("data", act)
        for plot in (self._map, self._line):
            plot.figure.js_on_event(Tap, act)
            plot.figure.js_on_change("inner_width", act)  # once it is laid out on the page

    def _arrange(self) -> Any:
        sliders = [column(slider, self._means[dim]) for dim, slider in self._sliders.items()]
        left = column(self._title, *self._choosers.values(), *sliders, width=260)
        middle = column(self._note, self._map.figure, self._line.figure, styles={"flex": MIDDLE})
        details = [plot.figure for plot in self._details]
        # Beside the main plot where there is room, or else below it, side by side.
        right = row(self._table, *details, styles={"flex": RIGHT, "flex-wrap": "wrap"})
        return row(left, middle, right, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"})


class _Plot:
    """A figure with a color map, or with a line or points, and a mark at the chosen point."""

    def __init__(self, kind: str, height: int = 560, **figure_options: Any) -> None:
        large = height > 300
        size = {"sizing_mode": "stretch_width"} if large else {"width": WIDTH}
        self.figure = figure(
            height=height,
            **size,
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            tools=TOOLS,
            active_scroll=None,
            **{"visible": False, **figure_options},
            toolbar_location="above" if large else None,
        )
        self.source, self.mark = ColumnDataSource(), ColumnDataSource({"x": [], "y": []})
        self.mapper = LinearColorMapper(palette=Viridis256, nan_color=GREY)
        most = 20 if large else 12  # letters of a tick label
        formats = [
            CustomJSTickFormatter(args={"labels": None, "n": most}, code=SHORT) for _ in "xy"
        ]
        tickers = [BasicTicker() for _ in "xy"]
        for axis, ticker, formatter in zip(self.figure.axis, tickers, formats, strict=True):
            axis.ticker, axis.formatter, axis.minor_tick_line_color = ticker, formatter, None
        self.hovers = [CustomJSHover(args={"labels": None}, code=HOVER) for _ in "xy"]
        self.bar = ColorBar(color_mapper=self.mapper, width=14, title_standoff=8)
        self.models = {
            "kind": kind,
            "figure": self.figure,
            "source": self.source,
            "mark": self.mark,
            "mapper": self.mapper,
            "bar": self.bar,
            "formats": formats,
            "tickers": tickers,
            "hovers": self.hovers,
        }
        self._glyphs(kind)

    def _glyphs(self, kind: str) -> None:
        fig = self.figure
        if kind == "map":
            # JavaScript creates further two-dimensional arrays with the class of this one.
            self.source.data = {
                "z": [np.zeros((1, 1), np.float32)],
                "x": [0],
                "y": [0],
                "n": [1],
                "m": [1],
            }
            cells = fig.image("z", "x", "y", "n", "m", color_mapper=self.mapper, source=self.source)
            tooltips = [("x", "$x{custom}"), ("y", "$y{custom}"), ("", "@z")]
            fig.grid.visible = False
        else:
            self.source.data = {"x": [], "y": [], "z": [], "line": []}
            fig.line("x", "line", source=self.source, line_width=1.5)
            self.mapper.nan_color = LINE
            color = {"field": "z", "transform": self.mapper}
            cells = fig.scatter("x", "y", source=self.source, size=6, color=color)
            self.models["dots"] = cells.glyph
            tooltips = [("x", "@x{custom}"), ("y", "@y{custom}")]
        fig.add_layout(self.bar, "right")
        fields = [field.removesuffix("{custom}") for _, field in tooltips[:2]]
        formatters = dict(zip(fields, self.hovers, strict=True))
        fig.add_tools(HoverTool(renderers=[cells], tooltips=tooltips, formatters=formatters))
        fig.scatter(
            "x", "y", source=self.mark, marker="circle", size=14, line_width=2.5, fill_alpha=0,
            line_color="#e6550d",
        )  # fmt: skip


def as_columns(content: dict[str, Any]) -> dict[str, Any]:
    """Return a frame or a point as columns of length one: its arrays, and the rest as JSON."""
    arrays = {name: [v] for name, v in content.items() if isinstance(v, np.ndarray)}
    arrays |= {str(i): [v] for i, v in enumerate(content.get("arrays", {}).values())}
    for name in ("x", "y"):
        if content.get(name) is not None:
            arrays[name] = [content[name]["at"]]
    return {"json": [json.dumps(content, default=lambda value: None)], **arrays}


def _plain(text: str) -> str:
    """Return text that Bokeh does not take for a formula, which would let HTML through."""
    return re.sub(r"\$\$|\\[(\[]", lambda mark: "\N{ZERO WIDTH SPACE}".join(mark[0]), text)


def _json_source(content: Any) -> ColumnDataSource:
    return ColumnDataSource({"json": [json.dumps(content)]})


def _with_none(cube: Cube, view: View) -> list[tuple[str, str]]:
    return [("", "(the output)"), *((name, name) for name in cube.choices(view.output))]


def _slider(cube: Cube, dim: str, view: View) -> Slider:
    size = cube.dataset.sizes[dim]
    members = list(cube.members[dim].values())
    labels = [[text + member["units"] for text in member["texts"]] for member in members]
    return Slider(
        name=f"at {dim}",
        start=0,
        end=max(size - 1, 1),
        value=view.at.get(dim, 0),
        step=1,
        width=230,
        format=CustomJSTickFormatter(
            args={"labels": list(map(", ".join, zip(*labels, strict=True)))}, code=FORMAT
        ),
        title=_plain(", ".join(cube.members[dim])),
        disabled=size == 1,
        stylesheets=[WRAP],
        tooltips=False,  # they would interpret a label as HTML
    )
