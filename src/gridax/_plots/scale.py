"""Where labels are placed along x, y or a color bar, and which ticks they get."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
import pandas as pd

from gridax._show.labels import is_date, is_geometric, is_number, label_texts, spread_indices
from gridax._text import shorten_middle

MOST_TICKS = 8


@dataclasses.dataclass(frozen=True)
class Placement:
    """Positions of labels along one direction of a plot.

    Attributes
    ----------
    labels : numpy.ndarray, shape (n,)
    at : numpy.ndarray of float, shape (n,)
        Their positions, as matplotlib takes them.
    scale : {"linear", "log", "date", "equal"}
        With "equal", the positions are 0, 1, 2, … and the ticks have the labels.
    text : str
        What is written at the axis: a name and its units.
    """

    labels: np.ndarray
    at: np.ndarray
    scale: str
    text: str

    def apply(self, ax: Any, which: str) -> None:
        """Set the label, the scale and the ticks of the x, y or z axis of a panel."""
        axis = getattr(ax, f"{which}axis")
        axis.set_label_text(self.text)
        if self.scale == "log":
            ax.set(**{f"{which}scale": "log"})
        self.set_ticks(axis, turn=which == "x")

    def set_ticks(self, axis: Any, turn: bool = False) -> None:
        """Set the ticks of an axis or a color bar; long texts may be turned."""
        from matplotlib import ticker

        if self.scale == "date":
            dates: Any = importlib.import_module("matplotlib.dates")
            locator = dates.AutoDateLocator()
            axis.set_major_locator(locator)
            axis.set_major_formatter(dates.ConciseDateFormatter(locator))
        elif self.scale == "equal":
            at, rows = np.unique(self.at, return_index=True)
            shown = spread_indices(len(at), MOST_TICKS)
            short = [shorten_middle(t, 16) for t in label_texts(self.labels[rows[shown]])]
            turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            crowded = turn and sum(map(len, short)) > 30
            axis.set_ticks(at[shown], short, **(turned if crowded else {}))
        elif self.scale == "log" and self.at.max() < 100 * self.at.min():
            # There would be too few ticks at powers of ten.
            axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
        elif self.scale == "linear" and self.labels.dtype.kind in "iu":
            axis.set_major_locator(ticker.MaxNLocator("auto", integer=True))


def place(
    labels: np.ndarray,
    text: str,
    *,
    log: bool = False,
    nominal: bool = False,
    cells: bool = False,
    scale: str | None = None,
) -> Placement:
    """Choose the scale on which labels are placed.

    Parameters
    ----------
    labels : what to place, in the order of the points.
    text : what is written at the axis.
    log : whether the labels belong to a logarithmic axis.
    nominal : whether they are names rather than quantities, even where they are numbers.
    cells : whether each label gets a cell of a map, in which case the labels are sorted. If a cell
        would be too narrow to be seen, another scale is used.
    scale : the scale that the user wants, if any.

    Examples
    --------
    >>> place(np.array([0, 1e-4, 1e-2]), "x", cells=True).scale
    'equal'
    >>> place(np.array([1e-5, 1e-4, 1e-2]), "x", cells=True).scale
    'log'
    """
    dated = is_date(labels)
    if nominal and labels.dtype.kind in "iu":
        nominal = bool((np.diff(np.unique(labels)) != 1).any())  # 0, 1, 2, … is the same either way
    if nominal or not (dated or is_number(labels)):
        return Placement(labels, _equal(labels, cells), "equal", text)
    at = _numbers_of_dates(labels) if dated else labels.astype(float)
    if scale is not None:
        return Placement(labels, at, "log" if scale == "log" else "linear", text)
    positive = not dated and bool((at > 0).all())
    chosen = "date" if dated else "log" if positive and (log or is_geometric(at)) else "linear"
    if cells and hides_a_cell(at, chosen == "log"):
        chosen = "log" if positive and not hides_a_cell(at, True) else "equal"
        at = at if chosen == "log" else _equal(labels, cells)
    return Placement(labels, at, chosen, text)


def hides_a_cell(at: np.ndarray, log: bool) -> bool:
    """Whether a cell would be narrower than half the average and than 1 % of the axis."""
    edges = edges_between(at, log)
    widths = np.diff(np.log(edges) if log else edges)
    share = float(np.abs(widths).min() / np.abs(widths).sum())
    return share < min(0.01, 0.5 / len(at))


def edges_between(at: np.ndarray, log: bool) -> np.ndarray:
    """Return the edges of the cells around some positions, in the middle between them."""
    there = np.log(at) if log else at
    if len(there) == 1:
        half = 0.5 * (np.log(10) if log else 1)
        edges = np.array([there[0] - half, there[0] + half])
    else:
        middle = (there[1:] + there[:-1]) / 2
        edges = np.concatenate([[2 * there[0] - middle[0]], middle, [2 * there[-1] - middle[-1]]])
    return np.exp(edges) if log else edges


def suits_log(at: np.ndarray) -> bool:
    """Whether most of many scattered positions are crowded at the low end of several decades."""
    if len(at) < 8 or not is_number(at) or not (at > 0).all() or at.max() < 100 * at.min():
        return False
    return bool((np.median(at) - at.min()) < 0.15 * (at.max() - at.min()))


def _equal(labels: np.ndarray, cells: bool) -> np.ndarray:
    return (
        np.arange(float(len(labels)))
        if cells
        else pd.factorize(labels, use_na_sentinel=False)[0].astype(float)
    )


def _numbers_of_dates(labels: np.ndarray) -> np.ndarray:
    dates: Any = importlib.import_module("matplotlib.dates")
    return np.asarray(dates.date2num(labels), float)
