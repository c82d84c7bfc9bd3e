"""Plots of the points of a space: scatter plots of each pair of axes."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridax._checks import optional
from gridax._grid.grid import Column, Grid
from gridax._grid.interp import is_log
from gridax._plots.scale import Placement, place, suits_log
from gridax._plots.style import set_title
from gridax._show.labels import axis_label, spread_indices
from gridax._text import listing

MOST_AXES = 8
MOST_LINES = 60
TOGETHER, COMBINED = "C1", "C0"


def draw(grid: Grid, title: str, names: Sequence[str] | None, max_points: int, ax: Any) -> Any:
    """Draw one strip, one scatter plot, or a pair plot; return the Axes.

    Raises
    ------
    ValueError
        If a name is no axis that varies, if there are too many axes for a figure, or if `ax` is
        given although there are several panels.
    """
    plt = optional("matplotlib.pyplot", "plot")
    columns = _selected(grid, names)
    n = len(columns)
    if n > 2 and ax is not None:
        raise ValueError(
            f"ax= takes a single plot, but {n} axes give one plot per pair; name two axes, such as "
            f"plot({[column.name for column in columns[:2]]}, ax=ax)"
        )
    title = _thinned(title, columns, grid, max_points)
    if n > 2:
        return _all_pairs(plt, columns, grid, title, max_points)
    if ax is None:
        _, ax = plt.subplots(figsize=(5, 1.6 if n == 1 else 4), layout="constrained")
    if n == 1:
        _strip(ax, columns[0], grid)
    else:
        _pair(ax, columns[0], columns[1], grid, max_points)
    set_title(np.array([ax]), title)
    return ax


def _all_pairs(
    plt: Any, columns: Sequence[Column], grid: Grid, title: str, max_points: int
) -> np.ndarray:
    n = len(columns)
    fig, panels = plt.subplots(
        n, n, figsize=(1.9 * n, 1.75 * n), sharex="col", layout="constrained", squeeze=False
    )
    for i, j in np.ndindex(n, n):
        panel = panels[i, j]
        if j > i:
            panel.set_visible(False)
        elif i == j:
            _strip(panel, columns[i], grid)
        else:
            _pair(panel, columns[j], columns[i], grid, max_points)
        panel.set(xlabel=textwrap.fill(panel.get_xlabel(), 20))
        panel.set(ylabel=textwrap.fill(panel.get_ylabel(), 20))
        if i < n - 1:
            panel.set_xlabel("")
        if 0 < j < i:
            panel.set_ylabel("")
            panel.tick_params(labelleft=False)
    colors = {_color(a, b) for a, b in itertools.combinations(columns, 2)}
    if len(colors) == 2:
        for color, text in zip((TOGETHER, COMBINED), ("occur together", "combined"), strict=True):
            panels[0, 0].scatter([], [], color=color, label=text)
        fig.legend(loc="upper right", bbox_to_anchor=(0.99, 0.93))  # the empty upper right corner
    fig.align_labels()
    set_title(panels, title)
    return panels


def _selected(grid: Grid, names: Sequence[str] | None) -> list[Column]:
    varying = {column.name: column for column in grid.columns if column.dim is not None}
    if not varying:
        raise ValueError("this space cannot be plotted, as none of its axes varies")
    if names is None:
        if len(varying) > MOST_AXES:
            raise ValueError(
                f"{len(varying)} axes are too many for one figure; name up to {MOST_AXES} of "
                f"them, such as plot({[*varying][:3]})"
            )
        return list(varying.values())
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in varying:
            raise ValueError(f"no axis {name!r} varies; the varying axes are {listing([*varying])}")
    if not names or len(names) > MOST_AXES or len(set(names)) < len(names):
        raise ValueError(f"plot takes 1 to {MOST_AXES} different axes, got {names}")
    return [varying[name] for name in names]


def _thinned(title: str, columns: Sequence[Column], grid: Grid, max_points: int) -> str:
    pairs = itertools.combinations(columns, 2)
    most = max((_n_pairs(a, b, grid.sizes) for a, b in pairs), default=0)
    return f"{title} (a part of them is shown)" if most > max_points else title


def _n_pairs(a: Column, b: Column, sizes: Mapping[Any, int]) -> int:
    """Return the number of different pairs of labels, at most the number of points."""
    return sizes[a.dim] if a.dim == b.dim else sizes[a.dim] * sizes[b.dim]


def _pair(ax: Any, x: Column, y: Column, grid: Grid, max_points: int) -> None:
    """Plot each pair of labels once: those that occur together, or all combinations."""
    places = {"x": _place(x, grid), "y": _place(y, grid)}
    at_x, at_y = (placement.at for placement in places.values())
    if x.dim == y.dim:
        keep = spread_indices(len(at_x), max_points)
        at_x, at_y = at_x[keep], at_y[keep]
    else:
        # As close to a square as possible: a short axis leaves its share of points to a long one.
        n_x = min(len(at_x), max(int(max_points**0.5), max_points // len(at_y)))
        n_y = min(len(at_y), max(1, max_points // n_x))
        at_x = at_x[spread_indices(len(at_x), n_x)]
        at_y = at_y[spread_indices(len(at_y), n_y)]
        at_x, at_y = (at.ravel() for at in np.meshgrid(at_x, at_y))
    size = float(np.clip(8000 / len(at_x), 2, 25))
    ax.scatter(at_x, at_y, s=size, color=_color(x, y), linewidths=0)
    for which, placement in places.items():
        placement.apply(ax, which)


def _color(x: Column, y: Column) -> str:
    return TOGETHER if x.dim == y.dim else COMBINED


def _strip(ax: Any, x: Column, grid: Grid) -> None:
    """Plot the labels of one axis: a line for each of a few, or a histogram of many."""
    placement = _place(x, grid)
    at, log = placement.at, placement.scale == "log"
    if len(np.unique(at)) <= MOST_LINES:
        ax.eventplot(np.unique(at), lineoffsets=0.5, linelengths=1, color="0.5", linewidths=1.5)
    else:
        n_bins = int(np.clip(len(at) ** 0.5, 8, 40))
        _, edges = np.histogram(np.log(at) if log else at, bins=n_bins)
        ax.hist(at, bins=np.exp(edges) if log else edges, color="0.6")
    ax.set_yticks([])
    placement.apply(ax, "x")


def _place(column: Column, grid: Grid) -> Placement:
    """Return the positions of the labels: their numbers, or 0, 1, 2, … for other labels."""
    labels = column.table.labels[column.all_rows(grid.sizes)]
    log = is_log(column) or suits_log(labels)
    return place(labels, axis_label(column.name, column.attrs), log=log)
