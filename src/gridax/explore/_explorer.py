"""Explorer: an interactive page, answered by Python while it is served, or by itself once saved."""

from __future__ import annotations

import copy
import dataclasses
import html
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from gridax import _checks, _memory
from gridax._checks import optional
from gridax._disk import check_target, whole
from gridax._outputs.labels import STATES
from gridax._text import did_you_mean, listing
from gridax.explore import _page
from gridax.explore._cube import Cube
from gridax.explore._start import Style, known_output, start
from gridax.explore._values import compact

_LOOKS = (field.name for field in dataclasses.fields(Style))
ARGUMENTS = ("output", "x", "y", "sel", "mean", *_LOOKS)


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
        *,
        sel: Mapping[str, Any] | None = None,
        mean: str | Sequence[str] | None = None,
        choices: Collection[str] = (),
        **style: Any,
    ) -> None:
        optional("bokeh", "explore")
        _check_arguments(style)
        self._style = Style(**style)
        self._choices = choices
        self._cube = Cube(dataset, members, choices)
        self._view = start(self._cube, output, x, y, sel, mean)
        self._title = title

    def _board(self, page: bool = True) -> Any:
        """Return new models, as every page that shows the explorer needs its own."""
        from gridax.explore._board import Board  # Bokeh is optional

        title = f"<h1>{html.escape(self._title)}</h1>"
        if self._cube.unseen:
            title += f"<small>not shown: {html.escape(listing(self._cube.unseen))}</small>"
        lazy = any(output.variable.chunks for output in self._cube.outputs.values())
        return Board(self._cube, title, self._view, self._style, lazy=lazy, page=page)

    def _live(self, page: bool) -> Any:
        board = self._board(page)
        board.view.on_change("data", lambda _, __, new: board.answer(self._cube, new["json"][0]))
        board.picked.on_change(
            "data", lambda _, __, new: board.show_point(self._cube, new["json"][0])
        )
        panel = optional("panel", "explore")
        return panel.pane.Bokeh(board.layout, sizing_mode="stretch_width")

    def __panel__(self) -> Any:
        """Return the explorer as a component of a Panel application."""
        return self._live(page=False)

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
            lambda: self._live(page=True),
            port=port,
            address="localhost",
            show=open_browser,
            title=self._title,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        outputs: str | Sequence[str] | None = None,
        max_bytes: int | str = "100 MB",
        *,
        every: Mapping[str, int] | None = None,
    ) -> None:
        """Save the explorer as one HTML file that needs neither Python nor a network.

        The file contains the code to draw, which takes 1.7 MB; all labels; and all values:
        floats as 32-bit floats, integers up to 2^53 exactly, and bools as bytes. They are
        compressed.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist. An existing file is replaced.
        outputs : str or sequence of str, optional
            The outputs to include; by default all.
        max_bytes : int or str, optional
            Upper limit of the size of the file; browsers open files of some 100 MB without trouble.
        every : mapping of str to int, optional
            Keep only some labels: ``every={"time": 10}`` keeps the first of every ten along
            ``time``.

        Raises
        ------
        ValueError
            If there is no such output or dimension, or the file would be larger than `max_bytes`.

        Examples
        --------
        >>> import gridax as gx, os, tempfile
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5)}, mode="product")
        >>> run = gx.ParallelExecution(lambda s: {"y": s["a"]}, space).run(progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run.explore(theme="dark").save(os.path.join(folder, "sweep.html"))
        """
        explorer = self._part(outputs, every or {})
        cube = explorer._cube
        most = _bytes(max_bytes)
        nbytes = cube.nbytes(most)
        sizes = {dim: cube.dataset.sizes[dim] for dim in cube.members}
        sizes = {dim: size for dim, size in sizes.items() if size >= 10}
        _page.check_size(nbytes, sizes, most)
        path = Path(path)
        check_target(path)
        board = explorer._board()
        values = {
            str(i): [compact(output.isel({}).values)]
            for i, output in enumerate(cube.outputs.values())
        }
        board.sheet.data = {"ready": [1], "states": [json.dumps(cube.states())], **values}
        page = _page.page(board.layout, self._title).encode()
        _page.check_size(nbytes, sizes, most, len(page))
        with whole(path.resolve()) as beside:
            beside.write_bytes(page)

    def _part(self, outputs: str | Sequence[str] | None, every: Mapping[str, int]) -> Explorer:
        """Return an explorer of some outputs and labels, with the same view as far as possible."""
        cube, view = self._cube, self._view
        outputs = list(cube.outputs) if outputs is None else outputs
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        names = [known_output(cube, name) if name not in _sources(cube) else name for name in names]
        for dim, step in every.items():
            if dim not in cube.members:
                known = listing(list(cube.members))
                raise ValueError(f"every={dim!r} is no dimension; the dimensions are {known}")
            _checks.count(step, "save", f"every[{dim!r}]")
        sources = [cube.outputs[n].source if n in cube.outputs else n for n in names]
        keep = [name for name in STATES if name in cube.dataset]
        dataset = cube.dataset[[*dict.fromkeys(sources), *keep]]
        slices = {d: slice(None, None, step) for d, step in every.items() if d in dataset.dims}
        dataset = dataset.isel(slices)
        members = {dim: [*cube.members.get(dim, ())] for dim in cube.grid_dims}
        part = copy.copy(self)
        part._cube = Cube(dataset, members, self._choices)
        part._cube.outputs = {
            name: output
            for name, output in part._cube.outputs.items()
            if name in names or output.source in names
        }
        if view.output in part._cube.outputs:
            dims = part._cube.members
            at = {dim: i // every.get(dim, 1) for dim, i in view.at.items() if dim in dims}
            part._view = dataclasses.replace(view, at=at)
        else:
            part._view = start(part._cube)
        return part

    def __repr__(self) -> str:
        view = self._view
        over = f"{view.x} and {view.y}" if view.y else view.x
        mean = f", mean over {listing(view.mean)}" if view.mean else ""
        return f"<gridax.explore.Explorer: {view.output} over {over}{mean}>"


def _sources(cube: Cube) -> set[str]:
    return {output.source for output in cube.outputs.values()}


def _bytes(max_bytes: int | str) -> int:
    try:
        return _memory.parsed(max_bytes)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("memory", "max_bytes", 1)) from None


def _check_arguments(style: Mapping[str, Any]) -> None:
    for name in style:
        if name not in ARGUMENTS:
            raise TypeError(
                f"explore() has no argument {name!r}; its arguments are {', '.join(ARGUMENTS)}"
                f"{did_you_mean(name, ARGUMENTS)}"
            )
