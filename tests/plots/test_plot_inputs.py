"""Plots of unusual labels, names and attributes, and keywords that make no sense."""

from __future__ import annotations

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import LogNorm, to_rgba

import gridax as gx
from gridax._show.labels import flags, label_texts

DATES = np.array(["2020-01-01", "2020-02-01", "2020-03-01", "2021-01-01"], "M8[ns]")


def run(model, state, mode="product", **options):
    space = gx.Space(state, mode=mode)
    return gx.SequentialExecution(model, space).run(progress=False, **options)


def along(dim, labels, attrs=None):
    """Return a result with an output over an axis `a` and a dimension of its own."""
    model = lambda s: {  # noqa: E731
        "y": xr.DataArray(
            np.arange(float(len(labels))) * s["a"], {dim: (dim, labels, attrs or {})}, (dim,)
        )
    }
    return run(model, {"a": gx.GridAxis(0, 1, 3)})


@pytest.fixture(scope="module")
def grid():
    return run(
        lambda s: {"y": 1 + s["a"] * s["b"]},
        {"a": gx.GridAxis(0, 1, 5), "b": gx.DataAxis([1.0, 2.0])},
    )


@pytest.fixture(scope="module")
def points():
    state = {"a": gx.DataAxis([1.0, 2.0, 3.0]), "b": gx.DataAxis([3.0, 1.0, 2.0])}
    return run(lambda s: {"y": s["a"] * s["b"]}, state, "zip")


def test_a_dimension_may_be_called_band():
    result = along("band", ["delta", "theta", "alpha"])
    lines = result.plot(x="a", hue="band")
    assert len(lines) == 3
    (line,) = result.plot(x="band", band="a")
    assert line.axes.get_ylabel() == "y, mean ± sd over a"
    np.testing.assert_allclose(line.get_ydata(), [0, 0.5, 1])


def test_missing_labels_are_not_selected():
    result = along("f", [1.0, np.nan, 3.0])
    (line,) = result.plot(sel={"f": 3})
    assert line.axes.get_title() == "f = 3"
    np.testing.assert_allclose(line.get_ydata(), [0, 1, 2])
    dated = along("day", np.array(["2020-01-01", "NaT", "2020-03-01"], "M8[ns]"))
    (line,) = dated.plot(sel={"day": "2020-02-28"})
    np.testing.assert_allclose(line.get_ydata(), [0, 1, 2])


@pytest.mark.parametrize("query", ["2020-02-01", "2020-02-03", np.datetime64("2020-02-01", "D")])
def test_the_nearest_date_is_selected(query):
    (line,) = along("when", DATES).plot(sel={"when": query})
    np.testing.assert_allclose(line.get_ydata(), [0, 0.5, 1])
    assert line.axes.get_title() == "when = 2020-02-01"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "2025-01-01",
            "sel='when': 2025-01-01 is outside the range of the labels, 2020-01-01 to 2021",
        ),
        ("soon", "sel='when': the labels are dates, got 'soon'"),
        (3, "sel='when': the labels are dates, got 3"),
    ],
)
def test_a_date_that_is_not_there_is_refused(query, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        along("when", DATES).plot(sel={"when": query})


@pytest.mark.parametrize(
    "roles", [{"x": "when"}, {"x": "a", "hue": "when"}, {"x": "a", "col": "when"}]
)
def test_dates_of_which_one_is_missing_are_names(roles):
    labels = DATES.copy()
    labels[1] = "NaT"
    result = along("when", labels)
    assert label_texts(labels)[1] == "NaT"
    assert result.plot(**roles)
    figure = plt.gcf()
    figure.canvas.draw()
    texts = [t.get_text() for t in figure.findobj(plt.Text)]
    assert any("NaT" in text for text in texts)
    if "col" in roles:
        lines = [line for ax in figure.axes for line in ax.lines]
        assert [np.isfinite(line.get_ydata()).all() for line in lines] == [True] * 4


def test_bins_of_narrow_integers_do_not_overflow():
    result = run(lambda s: {"y": np.int16(s["a"])}, {"a": gx.DataAxis([-20000, 20000])})
    counts, edges, _ = result.plot(kind="hist")
    assert counts.sum() == 2
    assert (edges[0] <= -20000, edges[-1] >= 20000, len(edges) < 150) == (True, True, True)


@pytest.fixture(scope="module")
def reduced():
    state = {"a": gx.GridAxis(0, 1, 3), "s": gx.GridAxis(0, 1, 2), "k": gx.GridAxis(0, 1, 4)}
    model = lambda s: {"y": s["a"] + s["s"] + s["k"] ** 2}  # noqa: E731
    return run(model, state, reduce={("k", "s"): ["mean", "std"]})


def test_a_band_is_not_of_more_dimensions_than_it_says(reduced):
    (line,) = reduced.plot("y.mean", band=["k", "s"])
    assert line.axes.get_ylabel().endswith("± sd over k, s")
    text = "band=['k']: output 'y.mean' was reduced over s, k at once during"
    with pytest.raises(ValueError, match=re.escape(text)):
        reduced.plot("y.mean", band="k")


def test_a_blank_within_a_name_does_not_name_another_dimension():
    state = {"a": gx.GridAxis(0, 1, 3), "k": gx.GridAxis(0, 1, 4, name="noise trial")}
    result = run(lambda s: s["a"] + s["k"], state, reduce={"noise trial": ["mean", "std"]})
    (line,) = result.plot("value.mean", band="noise trial")
    assert line.axes.get_ylabel().endswith("± sd over noise trial")
    with pytest.raises(ValueError, match=r"'trial' is no dimension of output 'value\.mean'; "):
        result.plot("value.mean", band="trial")


def test_shares_of_an_output_that_has_a_dimension_of_quantiles():
    result = along("quantile", [0.1, 0.5, 0.9])
    lines = result.plot(x="quantile", band="a", spread=0.5)
    np.testing.assert_allclose(lines[0].get_ydata(), [0, 0.5, 1])
    assert len(result.plot(x="a", mean=[], band=[], hue="quantile")) == 3


@pytest.mark.parametrize(
    ("attrs", "named"),
    [
        ({"flag_values": [0, 1, 2], "flag_meanings": "low high"}, {}),
        ({"flag_meanings": "low high"}, {}),
        ({"flag_masks": [1, 2], "flag_meanings": "low high"}, {}),
        ({"flag_values": "0, 1", "flag_meanings": "low high"}, {}),
        ({"flag_values": [0, 1], "flag_meanings": ["low", "high"]}, {0: "low", 1: "high"}),
        ({"flag_values": 1, "flag_meanings": "low"}, {1: "low"}),
    ],
)
@pytest.mark.parametrize("how", [{"x": "a", "hue": "b"}, {"x": "a", "y": "b"}, {"kind": "hist"}])
def test_flags_that_do_not_fit_are_numbers(attrs, named, how):
    state = {"a": gx.DataAxis([0.0, 1.0]), "b": gx.DataAxis([1.0, 2.0])}
    result = run(lambda s: {"y": xr.DataArray(s["a"], attrs=attrs)}, state)
    assert flags(attrs) == named
    assert result.plot(**how) is not None
    texts = {
        t.get_text() for ax in plt.gcf().axes for t in ax.get_xticklabels() + ax.get_yticklabels()
    }
    assert set(named.values()) <= texts
    assert bool(texts & {"low", "high"}) == bool(named)


WIDTHS = [{"lw": 2}, {"linewidth": 2}, {"linewidths": 2}]
COLORS = [{"ec": "red"}, {"edgecolor": "red"}, {"edgecolors": "red"}]


@pytest.mark.parametrize("given", [*WIDTHS, *COLORS, {"fc": "red"}, {"c": "red"}, {"color": "red"}])
def test_dots_and_bars_take_all_names_of_a_property(points, given):
    for dots in (points.plot(**given), points.plot(x="a", kind="scatter", **given)):
        if given in WIDTHS:
            assert dots.get_linewidths() == [2]
        if given in COLORS:
            assert dots.get_edgecolors().tolist() == [[1, 0, 0, 1]]
        if not (given in WIDTHS or given in COLORS):
            assert dots.get_facecolors().tolist() == [[1, 0, 0, 1]]
    bars = points.plot(kind="hist", **given)[2]
    if given in WIDTHS:
        assert bars[0].get_linewidth() == 2
    elif given in COLORS:
        assert bars[0].get_edgecolor() == to_rgba("red")
    else:
        assert bars[0].get_facecolor() == to_rgba("red")


@pytest.mark.parametrize("given", WIDTHS)
def test_curves_and_contours_take_all_names_of_a_property(grid, given):
    lines = grid.plot(x="a", hue="b", **given)
    assert [line.get_linewidth() for line in lines] == [2, 2]
    assert set(grid.plot(kind="contour", **given).get_linewidths()) == {2}
    with pytest.raises(TypeError, match="are the same property; give only one of them"):
        grid.plot(x="a", hue="b", **{"lw": 1, "linewidth": 2})


def test_the_legend_shows_the_colors_that_are_drawn(grid):
    for lines in (grid.plot(x="a", hue="b", color="red"),):
        assert {line.get_color() for line in lines} == {"red"}
        assert lines[0].axes.get_legend() is None
    assert grid.plot(x="a", hue="b", kind="scatter", c="red").axes.get_legend() is None
    for color, wanted in ((["red", "blue"], ["red", "blue"]), ("red", ["red", "red"])):
        bars = grid.plot(kind="hist", hue="b", color=color)[2]
        drawn = [patch.get_edgecolor() for (patch,) in bars]
        assert drawn == [to_rgba(each) for each in wanted]
        patches = bars[0][0].axes.get_legend().get_patches()
        assert [patch.get_edgecolor() for patch in patches] == drawn
        assert [p.get_facecolor() for p in patches] == [p.get_facecolor() for (p,) in bars]
    bars = grid.plot(kind="hist", hue="b", ec="black")[2]
    assert {patch.get_edgecolor() for (patch,) in bars} == {to_rgba("black")}
    assert len({patch.get_facecolor() for (patch,) in bars}) == 2
    bars = grid.plot(kind="hist", hue="b", fc="red")[2]
    assert {patch.get_facecolor() for (patch,) in bars} == {to_rgba("red")}


def test_a_norm_may_be_the_name_of_a_scale(grid):
    norm = LogNorm()
    for given in ("log", norm):
        assert isinstance(grid.plot(x="a", y="b", norm=given, vmin=0.5).norm, LogNorm)
    assert norm.vmin is None  # that of the user is left as it is
    assert grid.plot(x="a", y="b", norm="linear", cbar_kwargs=None).norm.vmin == 1


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"mean": 3}, TypeError, "mean=3 must be the name of a dimension, or a list of names"),
        ({"band": [3]}, TypeError, "band=[3] must be the name of a dimension"),
        ({"kind": 3}, ValueError, "kind=3 is unknown; choose from line"),
        ({"sel": [1]}, TypeError, "sel must be a mapping such as {'G': 0.3}, got [1]"),
        ({"col": "b", "col_wrap": 0}, ValueError, "col_wrap=0 must be a positive whole number"),
        ({"y": "b", "norm": "square"}, ValueError, "norm='square' must be 'linear', 'log', or"),
        ({"y": "b", "norm": "log", "vmin": 0}, ValueError, "vmin=0 must be positive with"),
        ({"y": "b", "levels": 0}, ValueError, "levels=0 must be a positive whole number, or"),
        ({"y": "b", "levels": [1]}, ValueError, "levels=[1] must be a positive whole number"),
        ({"y": "b", "levels": [2, 1]}, ValueError, "levels=[2, 1] must be a positive whole"),
        ({"y": "b", "levels": "x"}, ValueError, "levels='x' must be a positive whole number"),
    ],
)
def test_keywords_that_make_no_sense_are_refused(grid, given, error, text):
    with pytest.raises(error, match=re.escape(text)):
        grid.plot(x="a", **given)


def test_panels_of_repeated_labels_are_refused():
    text = "col='r': several points along 'r' have the label p"
    with pytest.raises(ValueError, match=re.escape(text)):
        along("r", ["p", "p", "q"]).plot(x="a", col="r")
