"""Explorer: an interactive page, answered by Python while it is served, or by itself once saved."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from gridax import _memory
from gridax._checks import optional
from gridax._disk import check_target, whole
from gridax._text import listing
from gridax.explore._cube import Cube, View, as_floats


class Explorer:
    """An interactive view of a result: choose an output and two directions, slide, click a point.

    `Result.explore` creates it. A notebook displays it; only the data in view are read.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3)}, mode="product")
    >>> run = gx.ParallelExecution(lambda s: {"y": s["a"] * s["b"]}, space).run(progress=False)
    >>> run.explore("y", x="b")
    <gridax.explore.Explorer: y over b and a>
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        members: Mapping[str, Sequence[str]],
        title: str,
        output: str | None = None,
        x: str | None = None,
        y: str | None = None,
    ) -> None:
        optional("bokeh", "explore")
        cube = self._cube = Cube(dataset, members)
        if output is not None and output not in cube.outputs:
            raise ValueError(_no_output(output, cube))
        # By default, an output with a single number at each point, if there is one.
        output = output or min(
            cube.outputs, key=lambda name: (not cube.choices(name), len(cube.own(name)))
        )
        x, y = cube.start(output, x, y)
        middle = {dim: dataset.sizes[dim] // 2 for dim in cube.members}
        self._view = View(output, x, y, middle)
        self._title = title

    def _board(self) -> Any:
        """Return new models, as every page that shows the explorer needs its own."""
        from gridax.explore._board import Board  # Bokeh is optional

        title = html.escape(self._title)
        if self._cube.unseen:
            title += f"<br><small>not shown: {html.escape(listing(self._cube.unseen))}</small>"
        lazy = any(self._cube.dataset[name].chunks for name in self._cube.outputs)
        return Board(self._cube, title, self._view, lazy)

    def _live(self) -> Any:
        board = self._board()
        board.view.on_change("data", lambda _, __, new: board.answer(self._cube, new["json"][0]))
        board.picked.on_change(
            "data", lambda _, __, new: board.show_point(self._cube, new["json"][0])
        )
        return board.layout

    def __panel__(self) -> Any:
        """Return the explorer as a component of a Panel application."""
        panel = optional("panel", "explore")
        return panel.pane.Bokeh(self._live(), sizing_mode="stretch_width")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        panel = optional("panel", "explore")
        # Inline, so that no network is needed; every time, as a page may have been reloaded.
        panel.extension(inline=True)
        return self.__panel__()._repr_mimebundle_(include, exclude)

    def show(self, port: int = 0, *, open_browser: bool = True) -> None:
        """Serve the explorer on this machine until interrupted, and open a browser on it.

        Parameters
        ----------
        port : int, optional
            Port of the page; 0 takes a free one.
        open_browser : bool, optional
            Whether to open a browser; the address is printed in any case.
        """
        panel = optional("panel", "explore")
        # Only for this machine, as the page has no access control.
        panel.serve(
            self.__panel__,
            port=port,
            address="localhost",
            show=open_browser,
            title=self._title,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        outputs: Sequence[str] | None = None,
        max_bytes: int | str = "100 MB",
    ) -> None:
        """Save the explorer as one HTML file that needs neither Python nor a network.

        The file contains all values of the outputs as 32-bit floats, and the code to draw them.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist. An existing file is replaced.
        outputs : sequence of str, optional
            The outputs to include; by default all.
        max_bytes : int or str, optional
            Upper limit of the bytes of values; browsers open files of some 100 MB without trouble.

        Raises
        ------
        ValueError
            If there is no such output, or the values need more than `max_bytes`.
        """
        explorer = self if outputs is None else self._only(outputs)
        cube = explorer._cube
        most = _memory.parsed(max_bytes)
        if cube.nbytes > most:
            each = [f"{n} {_memory.human(4 * cube.dataset[n].size)}" for n in cube.outputs]
            raise ValueError(
                f"the page would hold {_memory.human(cube.nbytes)} ({listing(each)}), more than "
                f"max_bytes={_memory.human(most)}; select some outputs with outputs=, or raise "
                "max_bytes"
            )
        path = Path(path)
        check_target(path)
        board = explorer._board()
        values = {str(i): [as_floats(cube.dataset[n].values)] for i, n in enumerate(cube.outputs)}
        board.sheet.data = {"ready": [1], "errors": [json.dumps(cube.errors())], **values}
        page = _page(board.layout, self._title)
        with whole(path.resolve()) as beside:
            beside.write_text(page, encoding="utf-8")

    def _only(self, outputs: Sequence[str]) -> Explorer:
        outputs = [outputs] if isinstance(outputs, str) else list(outputs)
        for name in outputs:
            if name not in self._cube.outputs:
                raise ValueError(_no_output(name, self._cube))
        view, cube = self._view, self._cube
        members = {dim: [*cube.members.get(dim, ())] for dim in cube.grid_dims}
        keep = [name for name in ("status", "error") if name in cube.dataset]
        dataset = cube.dataset[[*outputs, *keep]]
        if view.output not in outputs:
            return Explorer(dataset, members, self._title)
        return Explorer(dataset, members, self._title, view.output, view.x, view.y)

    def __repr__(self) -> str:
        view = self._view
        over = f"{view.x} and {view.y}" if view.y else view.x
        return f"<gridax.explore.Explorer: {view.output} over {over}>"


def _no_output(name: str, cube: Cube) -> str:
    return f"no output {name!r} of real numbers; the outputs are {listing(cube.outputs)}"


def _page(layout: Any, title: str) -> str:
    """Return one HTML page with Bokeh's code in it.

    Bokeh's own `file_html` would refer to files of Panel as well, once Panel is imported.
    """
    from bokeh.embed import components
    from bokeh.resources import Resources

    raw = Resources(mode="inline", components=["bokeh", "bokeh-widgets"]).js_raw
    code = "\n".join(f"<script>\n{part}\n</script>" for part in raw)
    script, div = components(layout, wrap_script=True)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n{code}\n</head>\n"
        f"<body>\n{div}\n{script}\n</body>\n</html>\n"
    )
