"""The Bokeh models of an explorer: controls, plots and the details of one point.

The code in `js` connects them in the browser. It writes a user's choices into the sources `view`
and `picked`, and draws the contents of `frame` and `point`. In a live explorer, Python answers the
former with the latter; in an exported page, the browser does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from bokeh.events import Tap
from bokeh.layouts import column, row
from bokeh.models import (
    Checkbox,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    Div,
    NumericInput,
    Select,
    Slider,
)

from gridax.explore._cube import MOST_DETAILS, Cube, View
from gridax.explore._plot import Plot, javascript
from gridax.explore._start import Style
from gridax.explore._style import CONTROL, PALETTES, PART, ROOT, SIDE, TEXT, THEMES, palettes

CODE = ("number", "choice", "exported", "drawing", "details", "point", "theme", "events")
# Most labels of axes that share a dimension for which there is a drop-down.
MOST_OPTIONS = 500


class Board:
    """All models of one explorer, and their layout.

    Attributes
    ----------
    layout : the models in their arrangement.
    view, picked : sources with a JSON text: the slice to show, and the point that was clicked.
    frame, point : sources with the contents to draw, as returned by `Cube`.
    """

    def __init__(
        self, cube: Cube, title: str, view: View, style: Style, *, lazy: bool, page: bool
    ) -> None:
        at = {dim: view.at.get(dim, 0) for dim in cube.members}
        shown = cube.details(view.output)
        self.view = _json_source(dataclasses.asdict(view))
        self.picked = _json_source({"at": at, "shown": shown})
        self.picked.name = "picked"
        first = cube.frame(view)
        self.frame = ColumnDataSource(as_columns(first), name="frame")
        self.point = ColumnDataSource(as_columns(cube.point(at, shown)), name="point")
        self.sheet = ColumnDataSource()
        self._patience = 250 if lazy else 20  # ms
        self._title = _text(title)
        self._choosers = _choosers(cube, view)
        self._movers = {dim: _mover(cube, dim, view) for dim in cube.members}
        self._means = {
            dim: Checkbox(
                name=f"mean {dim}",
                label=_plain(f"mean over {dim}"),
                active=dim in view.mean,
                stylesheets=[CONTROL],
            )
            for dim in cube.members
        }
        self._looks = _looks(style)
        self._map = Plot("map", 560, name="map", visible=first["kind"] == "map")
        self._line = Plot("line", 560, name="line", visible=first["kind"] != "map")
        self._note = _text(name="note", styles={"font-weight": "600"})
        self._help = _text(name="help")
        self._table = _text(name="table", sizing_mode="stretch_width")
        n_own = [len(cube.own(name)) for name in cube.outputs]
        n_lines, n_maps = sum(n == 1 for n in n_own), sum(n > 1 for n in n_own)
        self._details = [Plot("line") for _ in range(min(n_lines, MOST_DETAILS))]
        self._details += [Plot("map") for _ in range(min(n_maps, MOST_DETAILS))]
        act = self._wire(cube, page)
        self.layout = self._arrange()
        act.args = {**act.args, "root": self.layout}

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

    def _wire(self, cube: Cube, page: bool) -> CustomJS:
        args: dict[str, Any] = {
            "spec": json.dumps(cube.describe()),
            "view": self.view,
            "picked": self.picked,
            "frame": self.frame,
            "point": self.point,
            "sheet": self.sheet,
            "patience": self._patience,
            "is_page": page,
            "table": self._table,
            "choosers": list(self._choosers.values()),
            "movers": list(self._movers.values()),
            "means": list(self._means.values()),
            "looks": self._looks,
            "palettes": palettes(),
            "themes": THEMES,
            "note": self._note,
            "help": self._help,
            "plots": {"map": self._map.models, "line": self._line.models},
            "details": [plot.models for plot in self._details],
        }
        act = CustomJS(args=args, code="\n".join(map(javascript, CODE)))
        for widget in (*self._choosers.values(), *self._movers.values(), *self._looks.values()):
            widget.js_on_change("active" if isinstance(widget, Checkbox) else "value", act)
        for checkbox in self._means.values():
            checkbox.js_on_change("active", act)
        for source in (self.frame, self.point, self.view, self.picked):
            source.js_on_change("data", act)
        for plot in (self._map, self._line):
            plot.figure.js_on_event(Tap, act)
            plot.figure.js_on_change("inner_width", act)  # once it is laid out on the page
        return act

    def _arrange(self) -> Any:
        output, x, y = self._choosers.values()
        movers = [m for dim, mover in self._movers.items() for m in (mover, self._means[dim])]
        looks = _row(*self._looks.values())
        left = _part(self._title, output, _row(x, y), *movers, flex="1 1 230px")
        left.stylesheets = [PART, SIDE]
        plots = [self._map.figure, self._line.figure]
        middle = _part(self._note, *plots, self._help, looks, flex="999 1 min(440px, 100%)")
        # Beside the main plot where there is room, or else below it, side by side.
        details = [plot.figure for plot in self._details]
        for part in (self._table, *details):
            part.styles = {"flex": "1 1 300px", "min-width": "0"}
        right = _row(self._table, *details, flex="1 1 330px")
        return row(
            left, middle, right, sizing_mode="stretch_width", stylesheets=[ROOT], name="explorer"
        )


def _part(*models: Any, flex: str = "1 1 100%", gap: str = "2px") -> Any:
    styles = {"flex": flex, "gap": gap}
    return column(*models, sizing_mode="stretch_width", styles=styles, stylesheets=[PART])


def _row(*models: Any, flex: str = "0 1 auto") -> Any:
    styles = {"flex": flex, "flex-wrap": "wrap", "gap": "2px 12px", "align-items": "end"}
    return row(*models, sizing_mode="stretch_width", styles=styles, stylesheets=[PART])


def _text(text: str = "", **options: Any) -> Div:
    return Div(text=text, disable_math=True, stylesheets=[TEXT], **options)


def _choosers(cube: Cube, view: View) -> dict[str, Select]:
    titles = {name: output.describe()["title"] for name, output in cube.outputs.items()}
    outputs = [(name, titles[name]) for name in cube.outputs if cube.choices(name)]
    names = [(n, cube.members[cube.dim(n)][n]["title"]) for n in cube.choices(view.output)]
    options = {
        "output": ("Output", outputs, view.output),
        "x": ("x axis", names, view.x),
        "y": ("y axis", [("", "(values, as a line)"), *names], view.y),
    }
    flex = {"output": "1 1 100%", "x": "1 1 105px", "y": "1 1 105px"}
    return {
        key: Select(
            name=key,
            title=title,
            options=found,
            value=value,
            sizing_mode="stretch_width",
            styles={"flex": flex[key]},
            stylesheets=[CONTROL],
        )
        for key, (title, found, value) in options.items()
    }


def _looks(style: Style) -> dict[str, Any]:
    """Return the controls of how the plot looks."""

    def options(width: int, **more: Any) -> dict[str, Any]:
        return {"width": width, "stylesheets": [CONTROL], "margin": 0, **more}

    return {
        "cmap": Select(
            title="Colors", name="cmap", options=list(PALETTES), value=style.cmap, **options(110)
        ),
        "low": NumericInput(
            title="from", name="vmin", mode="float", value=style.vmin, **options(90)
        ),
        "high": NumericInput(
            title="to", name="vmax", mode="float", value=style.vmax, **options(90)
        ),
        "keep": Checkbox(label="keep limits", name="keep", **options(106)),
        "log": Checkbox(label="log scale", name="log", active=style.norm == "log", **options(93)),
        "theme": Select(
            title="Theme",
            name="theme",
            options=[("auto", "system"), ("light", "light"), ("dark", "dark")],
            value=style.theme,
            **options(120),
        ),
    }


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


def _mover(cube: Cube, dim: str, view: View) -> Slider | Select:
    """Return a drop-down for labels that are alternatives, or else a slider."""
    size, at = cube.dataset.sizes[dim], view.at.get(dim, 0)
    members = list(cube.members[dim].values())
    parts = [[text + member["units"] for text in member["texts"]] for member in members]
    texts = list(map(", ".join, zip(*parts, strict=True)))
    title = _plain(", ".join(member["title"] for member in members))
    options = {"name": f"at {dim}", "sizing_mode": "stretch_width", "stylesheets": [CONTROL]}
    is_choice = any(member["kind"] == "choice" for member in members)
    # Bokeh tells the entries of a drop-down apart by their texts.
    if is_choice and len(set(texts)) == size <= MOST_OPTIONS:
        labels = [(str(i), text) for i, text in enumerate(texts)]
        return Select(title=title, options=labels, value=str(at), disabled=size == 1, **options)
    return Slider(
        start=0,
        end=max(size - 1, 1),
        value=at,
        step=1,
        format=CustomJSTickFormatter(args={"labels": texts}, code="return labels[tick] ?? ''"),
        title=title,
        disabled=size == 1,
        tooltips=False,  # they would interpret a label as HTML
        **options,
    )
