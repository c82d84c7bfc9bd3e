"""Bands, kinds of plots, categories, irregular labels, and axes that share a dimension."""

from __future__ import annotations

import re

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import (
    FillBetweenPolyCollection,
    LineCollection,
    PathCollection,
    QuadMesh,
)
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

import gridax as gx
from gridax._plots.keywords import KINDS
from gridax._plots.scale import edges_between, hides_a_cell, place, suits_log

TIME = np.arange(5.0)
RANDOM = np.random.default_rng(3)
INTEGRATORS = ["heun", "euler", "rk4"]


def product(**axes):
    return gx.Space(axes, mode="product")


def run(model, space, **options):
    return gx.SequentialExecution(model, space).run(progress=False, **options)


def noisy(state):
    return xr.Dataset(
        {
            "rate": ((), RANDOM.normal(), {"units": "Hz", "long_name": "firing rate"}),
            "x": ("time", RANDOM.normal(size=5), {"units": "mV"}),
            "spikes": ((), int(RANDOM.integers(0, 5))),
            "on": ((), bool(RANDOM.random() > 0.5)),
        },
        {"time": ("time", TIME, {"units": "s"})},
    )


@pytest.fixture(scope="module")
def result():
    space = product(
        G=gx.GridAxis(0, 1, 4, attrs={"long_name": "global coupling"}),
        tau=gx.DataAxis([1.0, 2.0, 5.0], attrs={"long_name": "delay", "units": "ms"}),
        key=gx.KeyAxis(6, name="trial"),
        m=gx.ChoiceAxis(INTEGRATORS),
    )
    return run(noisy, space)


@pytest.fixture(scope="module")
def grouped():
    space = product(
        a=gx.DataAxis([1.0, 2.0, 4.0], group="setting", attrs={"long_name": "gain"}),
        f=gx.ChoiceAxis(["sin", "cos", "tan"], group="setting"),
        b=gx.GridAxis(0, 1, 4),
        key=gx.KeyAxis(3, name="trial"),
    )
    return run(noisy, space)


@pytest.fixture(scope="module")
def filtered():
    space = product(a=gx.GridAxis(0, 1, 4), b=gx.GridAxis(0, 1, 4), key=gx.KeyAxis(5, name="k"))
    return run(noisy, space.filter(lambda ds: ds.a <= ds.b))


def text_of(axis):
    return " ".join(axis.get_label_text().split())


def bands_of(ax):
    """Return the low and the high end of each band, over the positions along x."""
    bands = []
    for shade in ax.collections:
        if isinstance(shade, FillBetweenPolyCollection):
            corners = shade.get_paths()[0].vertices
            at = np.unique(corners[:, 0])
            bands.append(
                [[pick(corners[corners[:, 0] == x, 1]) for x in at] for pick in (min, max)]
            )
    return np.array(bands)


# ---- bands


def test_a_band_shows_the_mean_and_the_standard_deviation_of_a_dimension(result):
    (line,) = result.plot("rate", x="G", band="trial", sel={"tau": 1, "m": "rk4"})
    rate = result.dataset["rate"].sel(tau=1, m="rk4")
    mean, sd = rate.mean("trial"), rate.std("trial")
    np.testing.assert_allclose(line.get_ydata(), mean)
    np.testing.assert_allclose(bands_of(line.axes), [[mean - sd, mean + sd]])
    assert text_of(line.axes.yaxis) == "firing rate, mean ± sd over trial [Hz]"
    assert text_of(line.axes.xaxis) == "global coupling"


def test_several_shares_of_the_points_are_nested_bands_around_the_median(result):
    (line,) = result.plot("x", band=["trial", "m"], spread=[0.5, 0.9], sel={"tau": 1, "G": 0})
    x = result.dataset["x"].sel(tau=1, G=0)
    q = x.quantile([0.05, 0.25, 0.5, 0.75, 0.95], ["trial", "m"])
    np.testing.assert_allclose(line.get_ydata(), q[2])
    np.testing.assert_allclose(bands_of(line.axes), [[q[0], q[4]], [q[1], q[3]]])
    text = "x, median and 50 %, 90 % of the points over trial, m [mV]"
    assert text_of(line.axes.yaxis) == text


@pytest.mark.parametrize(
    ("spread", "ends"),
    [
        ("range", lambda x: (x.min("trial"), x.max("trial"))),
        (1, lambda x: (x.min("trial"), x.max("trial"))),
        (0.5, lambda x: (x.quantile(0.25, "trial"), x.quantile(0.75, "trial"))),
        (
            "sem",
            lambda x: tuple(x.mean("trial") + s * x.std("trial") / 6**0.5 for s in (-1, 1)),
        ),
    ],
    ids=["range", "all", "half", "sem"],
)
def test_a_spread_can_be_chosen(result, spread, ends):
    (line,) = result.plot("rate", band="trial", spread=spread, sel={"tau": 1, "m": "rk4"})
    (band,) = bands_of(line.axes)
    np.testing.assert_allclose(band, ends(result.dataset["rate"].sel(tau=1, m="rk4")))


def test_each_line_has_its_band_in_its_color(result):
    lines = result.plot("rate", x="G", hue="m", band="trial", sel={"tau": 1})
    shades = [c for c in lines[0].axes.collections if isinstance(c, FillBetweenPolyCollection)]
    assert [to_rgb(line.get_color()) for line in lines] == [
        tuple(shade.get_facecolor()[0][:3]) for shade in shades
    ]
    grid = result.plot("rate", x="G", hue="m", col="tau", band="trial")
    assert [len(bands_of(ax)) for ax in grid.axs.flat] == [3, 3, 3]


def test_a_band_skips_missing_values():
    space = product(a=gx.GridAxis(0, 1, 3), k=gx.KeyAxis(4))
    values = iter([1.0, np.nan, 3.0, 2.0, np.nan, np.nan, 5.0, np.nan, *[np.nan] * 4])
    result = run(lambda s: {"y": next(values)}, space)
    (line,) = result.plot(band="k")
    np.testing.assert_allclose(line.get_ydata(), [2, 5, np.nan])
    (line,) = result.plot(band="k", spread=0.5)
    np.testing.assert_allclose(line.get_ydata(), [2, 5, np.nan])


def test_spreads_that_were_computed_during_the_run_are_bands():
    space = product(a=gx.GridAxis(0, 1, 3), k=gx.KeyAxis(8))
    reduce = {"k": ["mean", "std", gx.Quantiles([0.9, 0.1, 0.5])]}
    values = iter(RANDOM.normal(size=24))
    result = run(lambda s: {"y": next(values)}, space, reduce=reduce)
    q = result.dataset["y.quantile"].sortby("quantile").transpose("quantile", "a")
    for given in ({}, {"band": "quantile"}, {"x": "a"}):
        (line,) = result.plot("y.quantile", **given)
        np.testing.assert_allclose(line.get_ydata(), q[1])
        np.testing.assert_allclose(bands_of(line.axes), [[q[0], q[2]]])
        assert text_of(line.axes.yaxis).endswith("at 0.1, 0.5, 0.9")
    assert len(result.plot("y.quantile", x="a", hue="quantile")) == 3
    for name in ("y.mean", "y.std"):
        (line,) = result.plot(name)
        np.testing.assert_allclose(line.get_ydata(), result.dataset[name])
    (line,) = result.plot("y.mean", band="k")
    mean, std = result.dataset["y.mean"], result.dataset["y.std"]
    np.testing.assert_allclose(line.get_ydata(), mean)
    np.testing.assert_allclose(bands_of(line.axes), [[mean - std, mean + std]])
    assert text_of(line.axes.yaxis).endswith(" ± sd over k")
    text = "band='k' is no dimension of output 'y.std' any more, as it was reduced during the run"
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot("y.std", band="k")


# ---- kinds


def test_a_histogram_counts_all_values(result):
    counts, edges, bars = result.plot("rate", kind="hist")
    assert sum(counts) == 4 * 3 * 6 * 3
    ax = bars[0].axes
    assert (text_of(ax.xaxis), ax.get_ylabel()) == ("firing rate [Hz]", "number of points")
    counts, *_ = result.plot("rate", kind="hist", hue="m", bins=7)
    assert np.sum(counts, axis=1).tolist() == [72] * 3
    assert len(counts[0]) == 7
    grid = result.plot("rate", kind="hist", col="tau")
    heights = [sum(bar.get_height() for bar in ax.patches) for ax in grid.axs.flat]
    assert heights == [72] * 3
    counts, edges, _ = result.plot("spikes", kind="hist")
    np.testing.assert_allclose(edges, np.arange(6) - 0.5)


@pytest.mark.parametrize("kind", ["pcolormesh", "imshow", "contour", "contourf", "surface"])
def test_a_map_is_drawn_in_the_kind_that_is_asked_for(result, kind):
    artist = result.plot("rate", x="G", y="tau", kind=kind, mean="trial", sel={"m": "rk4"})
    wanted = result.dataset["rate"].mean("trial").sel(m="rk4").transpose("tau", "G")
    if isinstance(artist, (QuadMesh, AxesImage)):
        np.testing.assert_allclose(artist.get_array(), wanted)
    ax = artist.axes
    assert (text_of(ax.xaxis), text_of(ax.yaxis)) == ("global coupling", "delay [ms]")
    described = ax.zaxis if kind == "surface" else ax.figure.axes[-1].yaxis
    assert text_of(described) == "firing rate, mean over trial [Hz]"
    assert result.plot("rate", kind=kind, mean="trial", col="m").axs.shape == (1, 3)


@pytest.mark.parametrize("step", [0, 1e-16, 1.2e-7])
def test_a_histogram_of_values_that_hardly_differ_is_drawn(step):
    space = gx.Space({"x": gx.GridAxis(0, 9, 10)}, mode="product")
    dtype = np.float32 if step > 1e-10 else np.float64
    model = lambda s: dtype(1) + dtype(step * s["x"])  # noqa: E731
    run = gx.SequentialExecution(model, space).run(progress=False)
    counts, edges, _ = run.plot("value", kind="hist")
    assert counts.sum() == 10
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("kind", ["pcolormesh", "contourf", "surface"])
@pytest.mark.parametrize(
    ("given", "limits"),
    [({"vmin": 5}, (5, 5.5)), ({"vmax": -5}, (-5.5, -5)), ({"vmin": 0, "vmax": 2}, (0, 2))],
)
def test_limits_of_colors_may_be_beyond_all_values(kind, given, limits):
    space = gx.Space({"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3)}, mode="product")
    run = gx.ParallelExecution(lambda s: s["x"] * s["y"], space).run(progress=False)
    artist = run.plot("value", kind=kind, **given)
    artist.axes.figure.canvas.draw()
    assert (artist.norm.vmin, artist.norm.vmax) == limits
    with pytest.raises(ValueError, match="vmin=3 must not be larger than vmax=1"):
        run.plot("value", kind=kind, vmin=3, vmax=1)


@pytest.mark.parametrize("kind", ["pcolormesh", "surface"])
def test_panels_that_are_left_over_are_hidden(kind):
    axes = {"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3), "c": gx.GridAxis(0, 1, 5)}
    space = gx.Space(axes, mode="product")
    run = gx.ParallelExecution(lambda s: s["x"] * s["y"] + s["c"], space).run(progress=False)
    grid = run.plot("value", kind=kind, col="c")
    grid.fig.canvas.draw()
    assert [ax.get_visible() for ax in grid.axs.flat] == [True] * 5 + [False]


def test_lines_steps_and_points_are_drawn_as_they_are_asked_for(result):
    chosen = {"x": "G", "hue": "tau", "mean": "trial", "sel": {"m": "rk4"}}
    assert {line.get_drawstyle() for line in result.plot("rate", kind="step", **chosen)} == {
        "steps-mid"
    }
    assert len(result.plot("rate", kind="line", **chosen)) == 3
    dots = result.plot("rate", kind="scatter", **chosen)
    assert isinstance(dots, PathCollection)
    wanted = result.dataset["rate"].mean("trial").sel(m="rk4")
    shown = [c.get_offsets()[:, 1] for c in dots.axes.collections]
    np.testing.assert_allclose(shown, wanted.transpose("tau", "G"))
    dots = result.plot("rate", x="G", y="tau", kind="scatter", mean="trial", sel={"m": "rk4"})
    np.testing.assert_allclose(dots.get_array(), wanted.transpose("tau", "G").values.ravel())


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"kind": "heatmap"}, "kind='heatmap' is unknown; choose from line, step, scatter, hist, "),
        ({"kind": "contours"}, "; did you mean 'contour'?"),
        ({"kind": "line", "y": "tau"}, "kind='line' draws the values along y; use hue= in place"),
        ({"kind": "hist", "x": "G"}, "kind='hist' draws the values along x; use hue=, row= or"),
        ({"kind": "imshow", "hue": "G"}, "kind='imshow' draws a color map; use y= in place of"),
        (
            {"kind": "contourf", "sel": {"tau": 1, "m": "rk4"}},
            "kind='contourf' needs two dimensions, but output 'rate' has only 'G' left; use "
            "kind='line'",
        ),
        (
            {"kind": "contour", "y": "m", "sel": {"tau": 1}},
            "kind='contour' interpolates between labels, but those of y='m' are names; use "
            "kind='pcolormesh'",
        ),
        ({"band": "G", "y": "tau"}, "band= draws lines and y= draws a color map; give only one"),
        ({"band": "G", "kind": "hist"}, "band= draws lines, which kind='hist' does not have"),
        ({"spread": 0.9}, "spread=0.9 describes a band; name its dimension with band="),
        ({"band": "q"}, "band='q' is no dimension of output 'rate'; average over G, tau, m"),
        ({"band": "G", "spread": "std"}, "spread='std' is unknown; choose 'sd', 'sem' or 'range'"),
        ({"band": "G", "spread": 90}, "spread=90: give shares of the points between 0 and 1"),
        ({"band": "G", "spread": []}, "spread=[] is empty; give the share of the points"),
        (
            {"band": "G", "x": "G"},
            "x='G' and band='G': a dimension that is averaged over cannot be used again",
        ),
        ({"band": ["G", "tau", "m"]}, "output 'rate' has a single band here; leave at least one"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_says_what_can(result, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot("rate", mean="trial", **given)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_keyword_is_refused_with_the_nearest_one(result, kind):
    chosen = {"kind": kind, "mean": ["trial", "m"]}
    if kind in ("line", "step", "hist"):
        chosen["hue"] = "tau"
    with pytest.raises(TypeError, match=f"plot: kind='{kind}' takes no keyword 'nonsense'. It "):
        result.plot("rate", nonsense=1, **chosen)
    with pytest.raises(TypeError, match="takes no keyword 'figsiz'; did you mean 'figsize'"):
        result.plot("rate", figsiz=(3, 3), **chosen)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"hu": "G"}, "takes no keyword 'hu'; did you mean 'hue'?"),
        ({"colour": "red"}, "takes no keyword 'colour'; did you mean 'color'?"),
        ({"levels": 3}, "kind='line' takes no keyword 'levels' (it belongs to kind='scatter', "),
        ({"bins": 3}, "takes no keyword 'bins' (it belongs to kind='hist')"),
        ({"infer_intervals": True}, "and the properties of matplotlib's Line2D"),
    ],
    ids=str,
)
def test_a_keyword_of_another_kind_is_refused(result, given, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        result.plot("rate", mean=["trial", "m", "tau"], **given)


def test_keywords_for_axes_and_colors_work_in_every_panel(result):
    grid = result.plot(
        "rate", x="G", y="tau", col="m", mean="trial", xlim=(0, 2), yincrease=False, levels=4,
        cmap="magma", cbar_kwargs={"label": "mine"},
    )  # fmt: skip
    for ax in grid.axs.flat:
        assert ax.get_xlim() == (0, 2)
        assert ax.yaxis.get_inverted()
        assert ax.collections[0].get_cmap().name == "magma"
    assert len({ax.collections[0].norm.vmax for ax in grid.axs.flat}) == 1
    assert grid.fig.axes[-1].get_ylabel() == "mine"
    mesh = result.plot("rate", mean=["trial", "m"], robust=True, center=False)
    wanted = np.percentile(result.dataset["rate"].mean(["trial", "m"]), [2, 98])
    np.testing.assert_allclose(mesh.get_clim(), wanted)
    product_of = run(
        lambda s: {"y": s["a"] * s["b"]},
        product(a=gx.LogGridAxis(1, 100, 4), b=gx.LogGridAxis(1, 100, 5)),
    )
    for kind in ("pcolormesh", "contourf", "contour"):
        artist = product_of.plot(kind=kind, norm=LogNorm())
        assert artist.axes.figure.axes[-1].get_yscale() == "log"
    with pytest.raises(ValueError, match="ax= takes a single panel, but m give one per label"):
        result.plot("rate", x="G", y="tau", col="m", mean="trial", ax=plt.gca())
    with pytest.raises(ValueError, match="ax= has a figure already; leave out figsize"):
        result.plot("rate", x="G", y="tau", mean=["trial", "m"], ax=plt.gca(), figsize=(3, 3))


# ---- categories, numbers, and their colors


@pytest.mark.parametrize(
    "axis",
    [
        gx.ChoiceAxis(INTEGRATORS),
        gx.ChoiceAxis([16, 32, 64]),
        gx.ChoiceAxis([np.sin, np.cos, np.tan]),
        gx.DataAxis([1.0, 2.0, 3.0], labels=["a", "b", "c"]),
        gx.DataAxis([True, False]),
        gx.DataAxis(np.zeros((3, 2))),
        gx.KeyAxis(3),
    ],
    ids=["names", "sizes", "functions", "letters", "bools", "arrays", "keys"],
)
def test_categories_are_not_connected(axis):
    space = product(c=axis, k=gx.KeyAxis(4), h=gx.GridAxis(0, 1, 2))
    result = run(lambda s: {"y": RANDOM.normal()}, space)
    for given in ({"mean": ["k", "h"]}, {"band": "k", "sel": {"h": 0}}, {"hue": "h", "mean": "k"}):
        lines = result.plot(x="c", **given)
        assert {line.get_linestyle() for line in lines} == {"None"}
        assert all(line.get_marker() != "None" for line in lines)
        assert not bands_of(lines[0].axes).size
    lines = result.plot(x="c", band="k", sel={"h": 0})
    (bars,) = [c for c in lines[0].axes.collections if isinstance(c, LineCollection)]
    y = result.dataset["y"].sel(h=0)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    wanted = [y.mean("k") - y.std("k"), y.mean("k") + y.std("k")]
    np.testing.assert_allclose(ends, np.transpose(wanted))


def test_numbers_are_connected_and_have_markers_where_they_are_few(result):
    (line,) = result.plot("rate", x="G", mean=["trial", "tau", "m"])
    assert (line.get_linestyle(), line.get_marker()) == ("-", "o")
    many = run(lambda s: {"y": s["a"]}, product(a=gx.GridAxis(0, 1, 99)))
    assert many.plot()[0].get_marker() == "None"


def test_a_value_between_missing_ones_is_seen():
    values = iter([1.0, np.nan, 2.0, np.nan, *[np.nan] * 46])
    (line,) = run(lambda s: {"y": next(values)}, product(a=gx.GridAxis(0, 1, 50))).plot()
    assert line.get_marker() == "o"


def brightness(colors):
    return [np.dot(to_rgb(color), (0.3, 0.6, 0.1)) for color in colors]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4], [5.0, 1.0, 3.0], [0, 1e-4, 1e-2]])
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_ordered_numbers_have_ordered_colors_and_names_different_ones(labels, style):
    space = product(x=gx.GridAxis(0, 1, 3), h=gx.DataAxis(labels), m=gx.ChoiceAxis(INTEGRATORS))
    result = run(lambda s: {"y": s["x"]}, space)
    with plt.style.context(style):
        lines = result.plot(x="x", hue="h", sel={"m": "rk4"})
        shades = brightness(line.get_color() for line in lines)
        names = result.plot(x="x", hue="m", sel={"h": labels[0]})
    assert shades == sorted(shades)
    assert min(np.diff(shades)) > 0.05
    texts = [text.get_text() for text in lines[0].axes.get_legend().get_texts()]
    assert list(map(float, texts)) == sorted(labels)
    assert len({line.get_color() for line in names}) == 3


def test_panels_have_the_long_name_and_the_units_in_their_titles(result):
    grid = result.plot("rate", x="G", hue="m", col="tau", mean="trial")
    assert [ax.get_title() for ax in grid.axs.flat] == [
        "delay = 1.0 [ms]", "delay = 2.0 [ms]", "delay = 5.0 [ms]"
    ]  # fmt: skip
    grid = result.plot("rate", x="trial", row="tau", col="G", mean="m")
    assert [ax.get_title() for ax in grid.axs[0]][:2] == [
        "global coupling = 0", "global coupling = 0.3333"
    ]  # fmt: skip
    assert [ax.texts[0].get_text() for ax in grid.axs[:, -1]] == [
        "delay = 1.0 [ms]", "delay = 2.0 [ms]", "delay = 5.0 [ms]"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_legend_covers_neither_panels_nor_their_titles(result):
    grid = result.plot("rate", x="G", hue="m", row="tau", col="trial", sel={"trial": [0, 1]})
    grid.fig.canvas.draw()
    (legend,) = grid.fig.legends
    box = legend.get_window_extent()
    assert [text.get_text() for text in legend.get_texts()] == INTEGRATORS
    for ax in grid.axs.flat:
        for artist in (ax, *ax.texts, ax.title):
            assert not box.overlaps(artist.get_window_extent())


def test_names_of_values_are_beside_the_color_bar(result):
    mesh = result.plot("on", sel={"trial": 0, "m": "rk4"})
    bar = mesh.figure.axes[-1]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["False", "True"]
    (line,) = result.plot("on", sel={"trial": 0, "m": "rk4", "tau": 1})
    assert [text.get_text() for text in line.axes.get_yticklabels()] == ["False", "True"]
    (line,) = result.plot("spikes", sel={"trial": 0, "m": "rk4", "tau": 1})
    ticks = line.axes.get_yticks()
    assert (ticks == ticks.round()).all()


# ---- irregular labels

IRREGULAR = [
    [0, 1e-4, 1e-2],
    [1e-6, 1e-4, 1e-2],
    [-1, 0, 1e-5, 1000],
    [1, 2, 3, 1000],
    np.r_[np.linspace(0, 1, 50), 100],
    np.polynomial.legendre.leggauss(64)[0],
    RANDOM.random(40),
    [3.0, 3.0000001, 5.0],
    np.geomspace(1, 1e6, 9),
    np.linspace(0, 1, 300),
]


@pytest.mark.parametrize("labels", IRREGULAR, ids=lambda labels: f"{len(labels)} labels")
def test_every_cell_of_a_map_is_seen(labels):
    space = product(a=gx.DataAxis(labels), b=gx.GridAxis(0, 1, 3))
    mesh = run(lambda s: {"y": s["a"]}, space).plot(x="a", y="b")
    corners = mesh.axes.transData.transform(mesh.get_coordinates()[0])
    widths = np.diff(corners[:, 0])
    assert len(widths) == len(labels)
    assert widths.min() > min(2.5, 0.4 * widths.mean())
    np.testing.assert_allclose(mesh.get_array()[0], np.sort(labels))


def test_cells_of_equal_width_have_their_labels_as_ticks():
    space = product(a=gx.DataAxis([0, 1e-4, 1e-2]), b=gx.GridAxis(0, 1, 3))
    mesh = run(lambda s: {"y": s["a"]}, space).plot()
    assert [text.get_text() for text in mesh.axes.get_xticklabels()] == ["0", "0.0001", "0.01"]
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], [-0.5, 0.5, 1.5, 2.5])
    mesh = run(lambda s: {"y": s["a"]}, space).plot(xscale="linear")
    np.testing.assert_allclose(mesh.get_coordinates()[0, 0:2, 0], [-5e-5, 5e-5])


def test_the_scale_of_labels_depends_on_their_spacing():
    scales = {
        "linear": [[1, 2, 4], np.arange(500), [0.3], [0, 1, 5, 10]],
        "log": [np.geomspace(1e-3, 1, 4), [1, 2, 3, 5000], [1e-6, 1e-2, 1]],
        "equal": [[0, 1e-4, 1e-2], [0, 1, 1.001, 1.002, 9], ["a", "b"], [True, False]],
        "date": [np.arange("2020-01", "2020-09", dtype="M8[M]").astype("M8[ns]")],
    }
    for scale, examples in scales.items():
        for labels in examples:
            assert place(np.asarray(labels), "x", cells=True).scale == scale, labels
    assert place(np.array([1, 2, 3, 5000]), "x").scale == "linear"
    assert place(np.array([16, 32, 64]), "x", nominal=True).scale == "equal"
    assert place(np.array([1.0, 10.0]), "x", log=True).scale == "log"
    assert place(np.array([1.0, 10.0]), "x").at.tolist() == [1, 10]


def test_edges_are_in_the_middle_between_labels():
    np.testing.assert_allclose(edges_between(np.array([0.0, 1, 3]), False), [-0.5, 0.5, 2, 4])
    np.testing.assert_allclose(edges_between(np.array([1.0, 100]), True), [0.1, 10, 1000])
    np.testing.assert_allclose(edges_between(np.array([2.0]), False), [1.5, 2.5])
    assert hides_a_cell(np.array([0, 1e-4, 1e-2]), False)
    assert not hides_a_cell(np.linspace(0, 1, 1000), False)


def test_dates_and_durations_have_their_own_scales():
    days = np.array(["2026-01-01", "2026-01-02", "2026-02-01"], "M8[ns]")
    after = np.array([0, 90, 300], "m8[s]").astype("m8[ns]")

    def model(s):
        return xr.Dataset(
            {"v": ("day", np.arange(3.0) * s["g"]), "w": ("after", np.arange(3.0))},
            {"day": days, "after": after},
        )

    result = run(model, product(g=gx.GridAxis(1, 2, 3)))
    (line,) = result.plot("v", sel={"g": 1})
    np.testing.assert_allclose(np.diff(line.get_xdata()), [1, 30])
    assert line.get_linestyle() == "-"
    assert result.plot("v").axes.get_xlabel() == "day"
    lines = result.plot("v", x="g", hue="day")
    texts = [text.get_text() for text in lines[0].axes.get_legend().get_texts()]
    assert texts == ["2026-01-01", "2026-01-02", "2026-02-01"]
    (line,) = result.plot("w", sel={"g": 1})
    assert line.get_xdata().tolist() == [0, 1.5, 5]
    assert line.axes.get_xlabel() == "after [min]"


# ---- axes that share a dimension


@pytest.mark.parametrize("role", ["hue", "row", "col"])
@pytest.mark.parametrize("member", ["a", "f"])
def test_a_member_of_a_group_can_be_in_any_role(grouped, role, member):
    drawn = grouped.plot("rate", x="b", band="trial", **{role: member})
    rate = grouped.dataset["rate"].mean("trial")
    lines = drawn if role == "hue" else [ax.get_lines()[0] for ax in drawn.axs.flat]
    for line, wanted in zip(lines, rate.transpose("setting", "b"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), wanted)
    if role == "hue":
        legend = drawn[0].axes.get_legend()
        assert legend.get_title().get_text() == {"a": "gain", "f": "f"}[member]
        assert len(legend.get_texts()) == 3
    else:
        start = {"a": "gain = 1.0", "f": "f = sin"}[member]
        assert drawn.axs.flat[0].get_title() == start


def test_members_of_a_group_can_be_x_and_y_and_hue(grouped):
    mesh = grouped.plot("rate", x="b", y="f", mean="trial")
    assert [text.get_text() for text in mesh.axes.get_yticklabels()] == ["sin", "cos", "tan"]
    mesh = grouped.plot("rate", x="a", y="b", mean="trial")
    wanted = grouped.dataset["rate"].mean("trial").transpose("b", "setting")
    np.testing.assert_allclose(mesh.get_array(), wanted)
    lines = grouped.plot("rate", x="a", hue="f", mean="trial", sel={"b": 0})
    assert [len(line.get_xdata()) for line in lines] == [1, 1, 1]
    dots = grouped.plot("rate", x="a", y="f", mean="trial", sel={"b": 0})
    assert isinstance(dots, PathCollection)
    lines = grouped.plot("x", hue="a", mean=["trial", "b"])
    np.testing.assert_allclose(
        [line.get_ydata() for line in lines], grouped.dataset["x"].mean(["trial", "b"])
    )


def test_where_points_have_equal_labels_curves_are_drawn_among_them(filtered):
    lines = filtered.plot("rate", x="b", hue="a", mean="k")
    assert [len(line.get_xdata()) for line in lines] == [4, 3, 2, 1]
    assert {line.get_linestyle() for line in lines} == {"-"}
    grid = filtered.plot("rate", x="b", col="a", mean="k")
    assert [len(ax.get_lines()[0].get_xdata()) for ax in grid.axs.flat] == [4, 3, 2, 1]
    table = filtered.to_dataframe().groupby(["a", "b"])["rate"].mean()
    np.testing.assert_allclose(lines[0].get_ydata(), table[0.0])


@pytest.mark.slow
def test_many_curves_among_points_are_joined_and_points_of_a_design_are_dots():
    space = product(a=gx.GridAxis(0, 1, 20), b=gx.GridAxis(0, 1, 20)).filter(lambda d: d.a <= d.b)
    lines = run(lambda s: {"y": s["a"]}, space).plot(x="b", hue="a")
    assert [len(line.get_xdata()) for line in lines] == list(range(20, 0, -1))
    assert {line.get_linestyle() for line in lines} == {"-"}
    result = design(64)
    dots = result.plot(x="a", hue="b")
    shades = brightness(
        dots.get_facecolors()[np.argsort(result.dataset["b"].sortby("a").values)][:, :3]
    )
    assert shades == sorted(shades)
    assert dots.figure.axes[-1].get_ylabel() == "b"


@pytest.mark.parametrize("role", ["mean", "band"])
def test_averages_over_one_of_several_axes_keep_the_others(filtered, role):
    (line,) = filtered.plot("rate", x="b", sel={"a": 0}, **{role: "k"})
    table = filtered.to_dataframe().query("a == 0").groupby("b")["rate"]
    np.testing.assert_allclose(line.get_xdata(), [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(line.get_ydata(), table.mean())
    if role == "band":
        (band,) = bands_of(line.axes)
        sd = table.std(ddof=0)
        np.testing.assert_allclose(band, [table.mean() - sd, table.mean() + sd])


def test_averages_that_would_average_nothing_are_refused(grouped):
    text = (
        "band='a': no two points differ only in 'a', which shares the dimension 'setting' with f; "
        "average over all of its points with band='setting'"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        grouped.plot("rate", x="b", band="a", mean="trial")
    lines = grouped.plot("rate", x="b", band="setting", mean="trial")
    wanted = grouped.dataset["rate"].mean("trial").mean("setting")
    np.testing.assert_allclose(lines[0].get_ydata(), wanted)


def test_a_zip_can_be_drawn_along_any_of_its_axes():
    space = gx.Space({"a": gx.GridAxis(0, 1, 6), "b": gx.LogGridAxis(1, 10, 6)}, mode="zip")
    result = run(noisy, space)
    choices: tuple[dict[str, str], ...] = (
        {"x": "b"},
        {"hue": "a"},
        {"x": "a", "hue": "b"},
        {"col": "a"},
        {"y": "b"},
    )
    for given in choices:
        drawn = result.plot("rate", **given)
        ax = plt.gcf().axes[0]
        assert drawn is not None
        if "x" in given:
            assert text_of(ax.xaxis) == given["x"]
        if "y" in given:
            assert text_of(ax.yaxis) == given["y"]
        if "col" in given:
            assert len([each for each in plt.gcf().axes if each.get_visible()]) >= 6
        assert result.plot("x", **({"x": "time"} | {k: v for k, v in given.items() if k != "x"}))
        assert "time [s]" in {text_of(each.xaxis) for each in plt.gcf().axes}


def test_panels_of_several_points_each_are_refused(filtered):
    text = "row='a': several points along 'point' have the label 0; give one of a, b, k as x= or"
    with pytest.raises(ValueError, match=re.escape(text)):
        filtered.plot("x", row="a")


# ---- many points


def design(n):
    space = gx.Space(gx.sobol({"a": (0, 1), "b": (0, 10)}, n), mode="product")
    model = lambda s: {"y": s["a"] * s["b"]}  # noqa: E731
    return gx.ParallelExecution(model, space).run(progress=False)


def test_points_have_no_edges_and_get_smaller_the_more_they_are():
    few, many = design(64).plot(), design(4096).plot()
    for dots in (few, many):
        assert isinstance(dots, PathCollection)
        assert dots.get_linewidths() == [0]
    assert many.get_sizes()[0] < few.get_sizes()[0] / 2


def test_of_very_many_points_the_means_in_bins_are_drawn():
    result = design(2**15)
    mesh = result.plot()
    assert isinstance(mesh, QuadMesh)
    x, y = (mesh.get_coordinates()[..., i] for i in (0, 1))
    centers = [(at[:-1, :-1] + at[1:, 1:]) / 2 for at in (x, y)]
    np.testing.assert_allclose(mesh.get_array(), centers[0] * centers[1], atol=0.4)
    text = "y, mean of the points in each cell"
    assert text_of(mesh.figure.axes[-1].yaxis) == text
    (line,) = result.plot(x="a")
    np.testing.assert_allclose(line.get_ydata(), 5 * line.get_xdata(), atol=0.3)
    low, high = bands_of(line.axes)[0]
    np.testing.assert_allclose(high - low, 2 * 10 / 12**0.5 * line.get_xdata(), atol=0.3)
    assert text_of(line.axes.yaxis) == "y, mean ± sd of the points in bins"
    assert isinstance(result.plot(kind="scatter"), PathCollection)
    assert isinstance(result.plot(x="a", hue="b"), PathCollection)


def test_scattered_points_over_several_decades_are_on_a_logarithmic_scale():
    assert suits_log(10 ** np.linspace(-3, 0, 50))
    assert not suits_log(np.linspace(0.001, 1, 50))
    assert not suits_log(np.linspace(-1, 1, 50))


# ---- what else a result may hold


def test_points_of_a_refined_space_have_contours():
    model = lambda s: {"y": jnp.tanh(5 * (s["a"] - s["b"]))}  # noqa: E731
    space = product(a=gx.GridAxis(0, 1, 4), b=gx.GridAxis(0, 1, 4))
    first = gx.ParallelExecution(model, space).run(progress=False)
    more = gx.refine(first, "y", n=12)
    result = gx.ParallelExecution(model, more).run(progress=False, extend=first)
    for kind in ("pcolormesh", "contour", "contourf", "surface", "scatter"):
        assert result.plot(kind=kind).axes.get_xlabel() == "a"
    text = "kind='imshow' needs a grid, but 'a' and 'b' share the dimension 'point'"
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot(kind="imshow")


def test_missing_cells_are_hatched():
    values = iter([1.0, np.nan, 2.0, 3.0, -4.0, 5.0])
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 2))
    mesh = run(lambda s: {"y": next(values)}, space).plot()
    assert mesh.axes.patch.get_hatch()
    assert mesh.get_clim() == (-5, 5)  # symmetric around zero


def breaking(state):
    if state["a"] > 0.5:
        raise ValueError("too large")
    return {"y": float(state["a"])}


def test_the_status_of_points_has_names_and_their_messages_are_refused():
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 2))
    result = run(breaking, space, on_error="record")
    bar = result.plot("status").figure.axes[-1]
    texts = [text.get_text() for text in bar.get_yticklabels()]
    assert texts == ["pending", "done", "failed"]
    for given in ({"mean": "a"}, {"band": "a"}, {"kind": "hist"}):
        with pytest.raises(ValueError, match=r"'error' has dtype .*; only numbers can be plotted"):
            result.plot("error", **given)


def test_results_of_a_single_point_are_drawn_or_refused():
    result = run(noisy, product(a=gx.GridAxis(0, 1, 1), b=gx.GridAxis(0, 1, 1)))
    assert isinstance(result.plot("rate")[0], Line2D)
    mesh = result.plot("rate", x="a", y="b")
    np.testing.assert_allclose(mesh.get_array(), result.dataset["rate"].transpose("b", "a"))
    with pytest.raises(ValueError, match="output 'rate' is a single number here, "):
        result.plot("rate", sel={"a": 0, "b": 0})
    with pytest.raises(ValueError, match="needs at least two labels along x='a'"):
        result.plot("rate", x="a", y="b", kind="contourf")


def test_square_matrices_are_square():
    fc = xr.DataArray(RANDOM.random((3, 3)), dims=["to", "from"])
    mesh = run(lambda s: {"fc": fc}, product(a=gx.GridAxis(0, 1, 1))).plot()
    mesh.figure.canvas.draw()
    box = mesh.axes.get_window_extent()
    assert box.width == pytest.approx(box.height)


def test_numbers_of_half_precision_are_drawn():
    model = lambda s: {"y": jnp.asarray(s["a"], jnp.bfloat16)}  # noqa: E731
    space = product(a=gx.GridAxis(0, 1, 3))
    (line,) = gx.ParallelExecution(model, space).run(progress=False).plot()
    np.testing.assert_allclose(line.get_ydata(), [0, 0.5, 1])
