"""Compare two results by label."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._compare.align import Alignment, Side, align
from gridax._compare.origin import OriginDifference, differences
from gridax._compare.own import own_labels
from gridax._compare.values import OutputDifference, difference
from gridax._show.comparison import Section, comparison_html, comparison_text
from gridax._stores.base import DONE, STATUS
from gridax._text import listing, number_of
from gridax.result import Result, open_result

Given = Result | xr.Dataset | str | os.PathLike[str]
# How many labels, and labels of several axes, that only one of the results has are displayed.
_MOST_LABELS, _MOST_POINTS = 6, 2


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What two results have in common and how they differ, as `compare` returns it.

    Attributes
    ----------
    a, b : str
        Names of the results: their paths, or ``"a"`` and ``"b"``.
    n_points : tuple of int
        Number of points of each.
    n_common : int
        Number of points that both have.
    only_in_a, only_in_b : dict of pandas.DataFrame
        By dimension, the labels that only one of them has. If they do not have the same dimensions,
        there is one table of points.
    outputs : tuple of OutputDifference
        The outputs that both have. Each has the attributes ``name``, ``equal``, ``allclose``,
        ``max_abs``, ``max_rel``, ``worst`` (the labels of the point with the largest difference),
        ``n_beyond`` and ``n_nan`` (numbers of points), and ``dims``, ``shape``, ``dtype``,
        ``units`` and ``labels`` (what both have where that differs, else None).
    origin : tuple of OriginDifference
        What differs in what was run: triples of what it is, and what `a` and `b` say.
    notes : tuple of str
        Outputs that only one of them has, points without a value, and why points cannot be matched.
    rtol, atol : float
        The tolerances.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> model = lambda state, factor: factor * state["x"]
    >>> run = lambda factor: gx.SequentialExecution(model, space, factor).run(progress=False)
    >>> gx.compare(run(1.0), run(1.25))
    <gridax.Comparison: not equal within rtol=1e-05, atol=1e-08>
    a: 11 points, 11 in both
    b: 11 points, 11 in both
    Outputs:
               max abs  max rel  points beyond  NaN in one  worst at
        value  0.25     0.2      10             0           x=1.0
    What was run:
                          a    b
        argument args[0]  1.0  1.25
    """

    a: str
    b: str
    n_points: tuple[int, int]
    n_common: int
    only_in_a: Mapping[str, pd.DataFrame]
    only_in_b: Mapping[str, pd.DataFrame]
    outputs: tuple[OutputDifference, ...]
    origin: tuple[OriginDifference, ...]
    notes: tuple[str, ...]
    rtol: float
    atol: float
    _same_outputs: bool

    @property
    def same_points(self) -> bool:
        """Whether both have the same points."""
        return self.n_points == (self.n_common, self.n_common)

    @property
    def equal(self) -> bool:
        """Whether both have the same points and equal outputs, whatever was run to obtain them."""
        same = self.same_points and self._same_outputs
        return same and all(output.equal for output in self.outputs)

    @property
    def allclose(self) -> bool:
        """Whether both have the same points, and outputs that agree within the tolerances."""
        same = self.same_points and self._same_outputs
        return same and all(output.allclose for output in self.outputs)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per output that both have.

        The columns are the attributes of `outputs`, and the labels of the worst point as
        ``worst.<axis>``.
        """
        fields = [field.name for field in dataclasses.fields(OutputDifference)]
        rows = []
        for output in self.outputs:
            row = {n: getattr(output, n) for n in fields if n != "worst"}
            row["allclose"] = output.allclose
            rows.append(row | {f"worst.{n}": label for n, label in output.worst.items()})
        frame = pd.DataFrame(rows, columns=None if rows else [n for n in fields if n != "worst"])
        return frame.rename(columns={"name": "output"}).set_index("output")

    @property
    def _verdict(self) -> str:
        if self.equal:
            return "equal"
        within = f"rtol={self.rtol:g}, atol={self.atol:g}"
        return f"{'equal' if self.allclose else 'not equal'} within {within}"

    def _lines(self) -> Iterator[str]:
        for name, n in zip((self.a, self.b), self.n_points, strict=True):
            more = n - self.n_common
            rest = f", {number_of(more, 'point')} only there" if more else ""
            yield f"{name}: {number_of(n, 'point')}, {self.n_common} in both{rest}"
        yield from self.notes

    def _sections(self) -> Iterator[Section]:
        for name, tables in ((self.a, self.only_in_a), (self.b, self.only_in_b)):
            rows = [(dim, str(len(table)), _labels(table)) for dim, table in tables.items()]
            if rows:
                yield f"Labels only in {name}", ("", "number", "labels"), rows
        if self.outputs:
            heads = ("", "max abs", "max rel", "points beyond", "NaN in one", "worst at", "")
            yield "Outputs", heads, [_output_row(output, self.n_common) for output in self.outputs]
        if self.origin:
            yield "What was run", ("", self.a, self.b), self.origin

    def __repr__(self) -> str:
        return comparison_text(self._verdict, self._lines(), self._sections())

    def _repr_html_(self) -> str:
        return comparison_html(self._verdict, self._lines(), self._sections())


def _labels(table: pd.DataFrame) -> str:
    """Return the first and the last labels; those of several axes as in a call."""
    if len(table.columns) == 1:
        return listing([repr(label) for label in table.iloc[:, 0].tolist()], _MOST_LABELS)
    rows = table.to_dict("records")
    return listing([f"({_call(row)})" for row in rows], _MOST_POINTS)


def _call(labels: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name}={label!r}" for name, label in labels.items())


def _output_row(output: OutputDifference, n_common: int) -> tuple[str, ...]:
    is_compared = n_common and not (output.dims or output.shape)
    pairs = {"dims": output.dims, "shape": output.shape, "dtype": output.dtype}
    pairs |= {"units": output.units, "labels": output.labels}
    other = "; ".join(f"{what} {ab[0]} / {ab[1]}" for what, ab in pairs.items() if ab is not None)
    numbers = ["–" if np.isnan(x) else f"{x:.3g}" for x in (output.max_abs, output.max_rel)]
    counts = [str(n) if is_compared else "–" for n in (output.n_beyond, output.n_nan)]
    return (output.name, *numbers, *counts, _call(output.worst), other)


def compare(a: Given, b: Given, *, rtol: float = 1e-5, atol: float = 1e-8) -> Comparison:
    """Compare two results at the points that both have, which are found by their labels.

    Labels are equal by the rule of `Result.sel`: within a few units in the last place. Points of
    a group, of a zip and scattered points are found by the labels of all their axes, and also in
    a grid that contains them.

    Parameters
    ----------
    a, b : Result, xarray.Dataset, or path-like
        Two results, Datasets of results (such as a selection), or files that `open_result` opens.
    rtol, atol : float, optional
        Tolerances: values differ if ``abs(a - b) > atol + rtol * abs(b)``. NaN equals NaN.

    Returns
    -------
    Comparison
        Counts and labels of the points; per output, the largest differences, where they are, and
        how many points are beyond the tolerances; and what differs in what was run.

    Raises
    ------
    TypeError
        If something else is given.
    FileNotFoundError, ValueError
        If a file cannot be opened as a result, or a tolerance is negative.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> one = gx.ParallelExecution(lambda s: s["x"] ** 2, space).run(progress=False)
    >>> two = gx.ParallelExecution(lambda s: s["x"] ** 2.01, space[2:]).run(progress=False)
    >>> found = gx.compare(one, two)
    >>> found.n_common, found.allclose, found.only_in_a["x"]["x"].tolist()
    (9, False, [0.0, 0.1])
    >>> found.outputs[0].worst
    {'x': 0.6}
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value!r}")
    with _side(a, "a") as mine, _side(b, "b") as theirs:
        return of_sides(mine, theirs, float(rtol), float(atol))


@contextlib.contextmanager
def _side(given: Given, name: str) -> Iterator[Side]:
    """Yield a side; a file that is opened for it is closed at the end."""
    if isinstance(given, (Result, xr.Dataset)):
        yield Side.of(given, name)
    elif isinstance(given, (str, os.PathLike)):
        result = open_result(given)
        try:
            yield Side.of(result, os.fspath(given))
        finally:
            result.dataset.close()
    else:
        raise TypeError(
            f"compare takes Results, Datasets or paths of files, got {name} of the type "
            f"{type(given).__name__}"
        )


def of_sides(a: Side, b: Side, rtol: float, atol: float) -> Comparison:
    """Compare two results that have names."""
    if a.name == b.name:
        a, b = (dataclasses.replace(s, name=f"{s.name} ({i})") for i, s in enumerate((a, b), 1))
    alignment = align(a, b)
    both = [name for name in a.outputs if name in b.outputs]
    outputs = []
    for name in both:
        labels = own_labels(a, name, alignment, 0), own_labels(b, name, alignment, 1)
        pair = a.outputs[name], b.outputs[name]
        outputs.append(difference(name, pair, labels, alignment, rtol, atol))
    return Comparison(
        a.name,
        b.name,
        (alignment.n_points(0), alignment.n_points(1)),
        alignment.n_common,
        alignment.only(0),
        alignment.only(1),
        tuple(outputs),
        tuple(differences(a, b, alignment)),
        tuple(_notes(a, b, alignment)),
        rtol,
        atol,
        len(both) == len(a.outputs) == len(b.outputs),
    )


def _notes(a: Side, b: Side, alignment: Alignment) -> Iterator[str]:
    if alignment.problem:
        yield alignment.problem
    for side, other in ((a, b), (b, a)):
        alone = [name for name in side.outputs if name not in other.outputs]
        if alone:
            yield f"outputs only in {side.name}: {listing(alone)}"
        if STATUS in side.dataset:
            n = int((side.dataset[STATUS] != DONE).sum())
            yield f"{number_of(n, 'point')} without a value in {side.name}"
