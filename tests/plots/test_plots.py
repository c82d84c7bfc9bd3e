from __future__ import annotations

import re
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from matplotlib.collections import EventCollection, PathCollection, QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from xarray.plot import FacetGrid

import gridax as gx
from gridax._show.labels import is_geometric, label_texts, spread_indices

BLUE, ORANGE = to_rgba("C0"), to_rgba("C1")


def product(**axes):
    return gx.Space(axes, mode="product")


def grids(**sizes):
    return product(**{name: gx.GridAxis(0, 1, n) for name, n in sizes.items()})


def run(model, space, **options):
    return gx.SequentialExecution(model, space).run(progress=False, **options)


def points_of(ax):
    """Return positions and color of the points in a panel."""
    (cloud,) = [c for c in ax.collections if isinstance(c, PathCollection)]
    return cloud.get_offsets().data, tuple(cloud.get_facecolor()[0])


def ticks_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# ---- what is sampled


def test_one_axis_is_a_strip_with_a_line_for_each_label():
    ax = product(x=gx.GridAxis(0, 1, 5, attrs={"units": "mV", "long_name": "voltage"})).plot()
    (lines,) = [c for c in ax.collections if isinstance(c, EventCollection)]
    np.testing.assert_allclose(lines.get_positions(), [0, 0.25, 0.5, 0.75, 1])
    assert ax.get_xlabel() == "voltage [mV]"
    assert ax.get_title() == "5 points, product"
    assert list(ax.get_yticks()) == []


def test_many_labels_of_one_axis_are_a_histogram():
    space = product(tau=gx.NumPyroAxis(dist.LogNormal(0.0, 0.5), n=500))
    heights = [bar.get_height() for bar in space.plot().patches]
    assert sum(heights) == 500
    logarithmic = product(sigma=gx.LogGridAxis(1e-3, 1, 301)).plot()
    assert logarithmic.get_xscale() == "log"
    edges = [bar.get_x() for bar in logarithmic.patches]
    np.testing.assert_allclose(np.diff(np.log(edges)), np.diff(np.log(edges))[0])


def test_two_axes_of_a_product_show_every_combination():
    ax = product(a=gx.GridAxis(0, 1, 3), b=gx.LogGridAxis(1e-3, 1e-1, 5)).plot()
    points, color = points_of(ax)
    wanted = [(a, b) for b in np.geomspace(1e-3, 1e-1, 5) for a in (0, 0.5, 1)]
    np.testing.assert_allclose(points, wanted)
    assert color == BLUE
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert ax.get_title() == "15 points, product: a 3 × b 5"


def test_zipped_axes_show_the_points_themselves_in_another_color():
    ax = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(2, 4, 3)}, mode="zip").plot()
    points, color = points_of(ax)
    np.testing.assert_allclose(points, [(0, 2), (0.5, 3), (1, 4)])
    assert color == ORANGE
    assert ax.get_title() == "3 points, zip"


@pytest.mark.slow
def test_more_axes_are_a_pair_plot_of_designs_and_grids():
    design = gx.sobol({"u": (0, 1), "v": dist.Normal(0.0, 1.0)}, 64)
    space = gx.Space({**design, "G": gx.GridAxis(0, 1, 5)}, mode="product")
    panels = space.plot()
    assert panels.shape == (3, 3)
    shown = np.array([[panel.get_visible() for panel in row] for row in panels])
    np.testing.assert_array_equal(shown, np.tri(3, dtype=bool))
    together, color = points_of(panels[1, 0])
    table = space.to_dataframe().drop_duplicates(["u", "v"])
    np.testing.assert_allclose(together, table[["u", "v"]])
    assert color == ORANGE
    combined, color = points_of(panels[2, 1])
    assert len(combined) == 64 * 5
    assert color == BLUE
    assert [panel.get_xlabel() for panel in panels[-1]] == ["u", "v", "G"]
    assert [panel.get_ylabel() for panel in panels[1:, 0]] == ["v", "G"]
    figure = panels[0, 0].figure
    assert figure.get_suptitle() == "320 points, product: sobol 64 × G 5"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["occur together", "combined"]


def test_a_group_moves_together_and_combines_with_the_others():
    state = {
        "a": gx.DataAxis([1.0, 2.0, 4.0], group="setting"),
        "m": gx.ChoiceAxis([np.sin, np.cos, np.tan], group="setting"),
        "c": gx.GridAxis(0, 1, 2),
    }
    panels = gx.Space(state, mode="product").plot()
    points, color = points_of(panels[1, 0])
    assert points.tolist() == [[1, 0], [2, 1], [4, 2]]
    assert ticks_of(panels[1, 0].yaxis) == ["sin", "cos", "tan"]
    assert color == ORANGE
    assert points_of(panels[2, 0])[1] == BLUE


def test_keys_arrays_and_bools_have_a_place_each():
    space = product(
        key=gx.KeyAxis(4, name="trial"),
        w=gx.DataAxis(np.zeros((3, 2, 2))),
        flag=gx.DataAxis([True, False]),
    )
    panels = space.plot()
    assert set(points_of(panels[1, 0])[0][:, 0]) == {0, 1, 2, 3}
    assert set(points_of(panels[1, 0])[0][:, 1]) == {0, 1, 2}
    assert ticks_of(panels[2, 0].yaxis) == ["True", "False"]
    ticks = panels[2, 0].get_xticks()
    assert (ticks == ticks.round()).all()


def test_long_texts_below_a_strip_are_turned_and_shortened():
    labels = [f"a very long name of an integrator, number {i}" for i in range(20)]
    ax = product(m=gx.DataAxis(np.arange(20.0), labels=labels)).plot()
    shown = ticks_of(ax.xaxis)
    assert len(shown) == 8
    assert shown[0] == "a very l…umber 0"
    assert ax.get_xticklabels()[0].get_rotation() == 45


def test_names_choose_the_axes_and_their_order():
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 4), c=gx.GridAxis(0, 1, 5))
    ax = space.plot(["c", "a"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "a")
    assert len(points_of(ax)[0]) == 15
    assert space.plot("b").get_xlabel() == "b"


def test_one_axis_that_is_left_after_a_selection_is_a_strip():
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 4), c=gx.GridAxis(0, 1, 5))
    ax = space.isel(a=0, c=1).plot()
    assert (ax.get_xlabel(), ax.get_title()) == ("b", "4 points, product")
    assert product(a=gx.GridAxis(0, 1, 1)).plot().get_title() == "1 point, product"


def test_filtered_points_are_drawn_as_they_are():
    space = product(a=gx.GridAxis(0, 1, 5), b=gx.GridAxis(0, 1, 5)).filter(lambda ds: ds.a < ds.b)
    points, color = points_of(space.plot())
    assert len(points) == 10
    assert (points[:, 0] < points[:, 1]).all()
    assert color == ORANGE


def test_of_a_huge_space_an_evenly_spread_part_is_drawn_at_once():
    space = product(**{name: gx.GridAxis(0, 1, 10_000) for name in "abc"})
    start = time.process_time()
    panels = space.plot(max_points=500)
    assert time.process_time() - start < 20
    for i, j in [(1, 0), (2, 0), (2, 1)]:
        points, _ = points_of(panels[i, j])
        assert 400 < len(points) <= 500
        assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([0, 0], [1, 1])
    assert panels[0, 0].figure.get_suptitle().replace("\n", " ") == (
        "1000000000000 points, product: a 10000 × b 10000 × c 10000 (a part of them is shown)"
    )


def test_a_short_axis_leaves_its_share_of_the_points_to_the_long_one():
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 1000))
    points, _ = points_of(space.plot(max_points=300))
    assert len(np.unique(points[:, 0])) == 3
    assert len(points) == 300


def test_a_title_that_is_too_long_goes_on_in_the_next_line():
    ax = product(**{f"parameter_{i}": gx.GridAxis(0, 1, 2) for i in range(9)}).plot("parameter_0")
    assert max(map(len, ax.get_title().splitlines())) < 60
    assert ax.get_title().replace("\n", " ").endswith("parameter_8 2")


def test_points_are_drawn_into_given_axes():
    _, (left, right) = plt.subplots(1, 2)
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 4))
    assert space.plot(ax=right) is right
    assert len(points_of(right)[0]) == 12
    assert not left.collections


EIGHT = product(**{f"a{i}": gx.GridAxis(0, 1, 2) for i in range(9)})


@pytest.mark.parametrize(
    ("space", "given", "text"),
    [
        (EIGHT, {"names": ["q"]}, "no axis 'q' varies; the varying axes are a0, a1, a2, "),
        (
            EIGHT,
            {},
            "9 axes are too many for one figure; name up to 8 of them, such as "
            "plot(['a0', 'a1', 'a2'])",
        ),
        (EIGHT, {"names": []}, "plot takes 1 to 8 different axes, got []"),
        (EIGHT, {"names": ["a0", "a0"]}, "plot takes 1 to 8 different axes, got ['a0', 'a0']"),
        (
            EIGHT,
            {"names": ["a0", "a1", "a2"], "ax": "some Axes"},
            "ax= takes a single plot, but 3 axes give one plot per pair; name two axes, such as "
            "plot(['a0', 'a1'], ax=ax)",
        ),
        (
            EIGHT.isel({f"a{i}": 0 for i in range(9)}),
            {},
            "this space cannot be plotted, as none of its axes varies",
        ),
    ],
    ids=["unknown", "too many", "none", "twice", "ax of a pair plot", "nothing varies"],
)
def test_what_cannot_be_drawn_of_a_space_is_refused(space, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        space.plot(**given)


# ---- what came out

SPACE = product(
    G=gx.GridAxis(0, 1, 5, attrs={"units": "1", "long_name": "global coupling"}),
    sigma=gx.LogGridAxis(1e-3, 1e-1, 3, attrs={"units": "mV"}),
    key=gx.KeyAxis(4, name="trial"),
    m=gx.ChoiceAxis([1, 2], labels=["heun", "euler"]),
    dt=0.1,
)
TIME = np.arange(6.0)
RANDOM = np.random.default_rng(1)


def model(state):
    return xr.Dataset(
        {
            "rate": ((), RANDOM.normal(), {"units": "Hz", "long_name": "firing rate"}),
            "x": ("time", RANDOM.normal(size=6), {"units": "1"}),
            "fc": (("to", "from"), RANDOM.normal(size=(3, 3))),
            "on": ((), RANDOM.normal() > 0),
        },
        {"time": ("time", TIME, {"units": "s"}), "to": ["V1", "MT", "FEF"]},
    )


@pytest.fixture(scope="module")
def result():
    return run(model, SPACE)


def grid_of(mesh):
    return np.asarray(mesh.get_array())


def labels_of(artist):
    ax = artist.axes
    return ax.get_xlabel(), ax.get_ylabel()


def test_one_dimension_is_a_line(result):
    (line,) = result.plot(mean=["sigma", "trial", "m"])
    assert isinstance(line, Line2D)
    assert line.get_xdata().tolist() == [0, 0.25, 0.5, 0.75, 1]
    rate = result.dataset["rate"]
    np.testing.assert_allclose(line.get_ydata(), rate.mean(["sigma", "trial", "m"]))
    assert line.axes.get_xlabel() == "global coupling"
    text = " ".join(line.axes.get_ylabel().split())  # xarray breaks it into lines
    assert text == "firing rate, mean over sigma, trial, m [Hz]"


def test_two_dimensions_are_a_map_with_the_first_one_along_x(result):
    mesh = result.plot("rate", mean=["trial", "m"])
    assert isinstance(mesh, QuadMesh)
    wanted = result.dataset["rate"].mean(["trial", "m"]).transpose("sigma", "G")
    np.testing.assert_allclose(grid_of(mesh), wanted)
    assert labels_of(mesh) == ("global coupling", "sigma [mV]")
    assert (mesh.axes.get_xscale(), mesh.axes.get_yscale()) == ("linear", "log")
    # The edges between the cells are in the middle on the logarithmic scale.
    edges = np.unique(mesh.get_coordinates()[..., 1])
    np.testing.assert_allclose(edges, 10 ** np.array([-3.5, -2.5, -1.5, -0.5]))


def test_three_dimensions_are_maps_side_by_side(result):
    grid = result.plot("rate", mean="m")
    assert isinstance(grid, FacetGrid)
    titles = [f"sigma = {s} [mV]" for s in (0.001, 0.01, 0.1)]
    assert [ax.get_title() for ax in grid.axs.flat] == titles
    shown = grid_of(grid.axs[0, 1].collections[0])
    wanted = result.dataset["rate"].isel(sigma=1).mean("m").transpose("trial", "G")
    np.testing.assert_allclose(shown, wanted)


def test_four_dimensions_are_rows_and_columns_of_maps():
    space = grids(a=5, b=4, c=3, d=2)
    result = run(lambda s: {"y": s["a"] + 2 * s["b"] + 3 * s["c"] + 4 * s["d"]}, space)
    grid = result.plot()
    assert grid.axs.shape == (2, 3)
    shown = grid_of(grid.axs[1, 2].collections[0])
    np.testing.assert_allclose(shown, result.dataset["y"].isel(c=2, d=1).transpose("b", "a"))


def test_texts_beside_two_other_dimensions_are_lines_in_panels(result):
    grid = result.plot("rate", mean="trial")
    titles = [f"sigma = {s} [mV]" for s in (0.001, 0.01, 0.1)]
    assert [ax.get_title() for ax in grid.axs.flat] == titles
    for ax in grid.axs.flat:
        assert len(ax.get_lines()) == 2


def test_what_a_dimension_holds_goes_along_x(result):
    mesh = result.plot("x", sel={"sigma": 0.01, "m": "heun"}, mean="trial")
    assert labels_of(mesh) == ("time [s]", "global coupling")
    (line,) = result.plot("x", sel={"sigma": 0.01, "m": "heun", "trial": 1, "G": 0.5})
    assert line.get_xdata().tolist() == TIME.tolist()
    assert labels_of(line) == ("time [s]", "x")  # a pure number has no units


def test_a_few_texts_are_lines_with_a_legend(result):
    lines = result.plot("rate", mean="trial", sel={"sigma": 0.01})
    assert len(lines) == 2
    for line, name in zip(lines, ["heun", "euler"], strict=True):
        wanted = result.dataset["rate"].sel(sigma=0.01, m=name).mean("trial")
        np.testing.assert_allclose(line.get_ydata(), wanted)
    legend = lines[0].axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["heun", "euler"]
    assert legend.get_title().get_text() == "m"


def test_matrices_have_texts_or_whole_numbers_at_their_ticks(result):
    mesh = result.plot("fc", sel={"sigma": 0.01, "m": "heun", "G": 0.5}, mean="trial")
    wanted = result.dataset["fc"].sel(sigma=0.01, m="heun", G=0.5).mean("trial")
    np.testing.assert_allclose(grid_of(mesh), wanted)
    assert labels_of(mesh) == ("from", "to")
    assert ticks_of(mesh.axes.yaxis) == ["V1", "MT", "FEF"]
    assert set(mesh.axes.get_xticks()) <= set(range(-1, 4))


def test_names_of_many_regions_are_thinned_turned_and_shortened():
    regions = [f"ctx-lh-superiorfrontal-{i}" for i in range(84)]
    fc = xr.DataArray(np.ones((84, 84)), {"to": regions, "from": regions}, ["to", "from"])
    mesh = run(lambda s: {"fc": fc}, product(x=gx.GridAxis(0, 1, 1))).plot()
    for axis in (mesh.axes.xaxis, mesh.axes.yaxis):
        assert len(ticks_of(axis)) == 8
        assert max(map(len, ticks_of(axis))) == 16
    assert mesh.axes.get_xticklabels()[0].get_rotation() == 45
    assert mesh.axes.get_title() == "x = 0"


def test_roles_are_taken_as_they_are_given(result):
    lines = result.plot("rate", x="sigma", hue="G", mean=["trial", "m"])
    assert len(lines) == 5
    assert lines[0].axes.get_xscale() == "log"
    legend = [text.get_text() for text in lines[0].axes.get_legend().get_texts()]
    assert legend == ["0", "0.25", "0.5", "0.75", "1"]
    grid = result.plot("rate", x="sigma", y="G", row="trial", mean="m")
    assert grid.axs.shape == (4, 1)
    grid = result.plot("rate", x="G", hue="m", row="sigma", col="trial")
    assert grid.axs.shape == (3, 4)
    line = grid.axs[1, 2].get_lines()[0]
    wanted = result.dataset["rate"].isel(sigma=1, trial=2, m=0)
    np.testing.assert_allclose(line.get_ydata(), wanted)
    assert labels_of(result.plot("rate", y="G", mean=["trial", "m"])) == (
        "sigma [mV]",
        "global coupling",
    )


@pytest.mark.parametrize("col", [None, "c"])
def test_many_lines_are_colored_along_a_bar(col):
    space = product(
        x=gx.GridAxis(0, 1, 3), g=gx.LogGridAxis(0.01, 1, 21), c=gx.GridAxis(0, 1, 2 if col else 1)
    )
    drawn = run(lambda s: {"y": s["x"] * s["g"]}, space).plot(x="x", hue="g", col=col)
    axs = [drawn[0].axes] if col is None else list(drawn.axs.flat)
    assert len(axs) == (1 if col is None else 2)
    for ax in axs:
        lines = ax.get_lines()
        assert len(lines) == 21
        assert tuple(lines[0].get_color()) == plt.get_cmap("viridis")(0.0)
        assert tuple(lines[10].get_color()) == pytest.approx(plt.get_cmap("viridis")(0.5), abs=0.01)
        assert ax.get_legend() is None
    bar = axs[0].figure.axes[-1]
    assert (bar.get_ylabel(), bar.get_yscale()) == ("g", "log")


def test_the_nearest_label_is_selected_and_the_title_says_which(result):
    (line,) = result.plot("rate", sel={"G": 0.3, "sigma": 0.02, "m": "euler"})
    assert line.axes.get_title() == "G = 0.25, sigma = 0.01 [mV], m = euler"
    wanted = result.dataset["rate"].sel(G=0.25, sigma=0.01, m="euler")
    np.testing.assert_allclose(line.get_ydata(), wanted)
    grid = result.plot("rate", sel={"sigma": 0.02}, mean="trial", x="G", row="m")
    assert grid.fig.get_suptitle() == "sigma = 0.01 [mV]"


def test_lists_and_slices_of_labels_are_selected(result):
    mesh = result.plot("rate", sel={"G": slice(0.2, 0.8), "m": "heun"}, mean="trial")
    assert grid_of(mesh).shape == (3, 3)
    mesh = result.plot("rate", sel={"G": [0.25, 1.0], "m": "heun"}, mean="trial")
    assert grid_of(mesh).shape == (3, 2)


def test_a_dimension_without_labels_is_selected_by_position():
    result = run(lambda s: {"y": np.arange(3) * s["x"]}, product(x=gx.GridAxis(0, 1, 4)))
    (line,) = result.plot(sel={"y_dim_0": 2})
    np.testing.assert_allclose(line.get_ydata(), [0, 2 / 3, 4 / 3, 2], rtol=1e-6)


def test_bools_are_zero_and_one(result):
    mesh = result.plot("on", sel={"trial": 0, "m": "heun"})
    wanted = result.dataset["on"].sel(trial=0, m="heun").transpose("sigma", "G")
    np.testing.assert_array_equal(grid_of(mesh), wanted)
    mesh = result.plot("on", mean=["trial", "m"])
    np.testing.assert_allclose(
        grid_of(mesh), result.dataset["on"].mean(["trial", "m"]).transpose("sigma", "G")
    )


def test_unsorted_labels_are_sorted():
    space = product(a=gx.DataAxis([3.0, 1.0, 2.0]), b=gx.GridAxis(0, 1, 4))
    result = run(lambda s: {"y": s["a"] + 10 * s["b"]}, space)
    (line,) = result.plot(sel={"b": 0})
    assert line.get_xdata().tolist() == [1, 2, 3]
    np.testing.assert_allclose(line.get_ydata(), [1, 2, 3])
    np.testing.assert_allclose(grid_of(result.plot())[0], [1, 2, 3])
    assert result.dataset["a"].values.tolist() == [3, 1, 2]


def test_whole_numbers_have_ticks_at_whole_numbers():
    result = run(lambda s: {"y": s["n"]}, product(n=gx.DataAxis([1, 2, 3])))
    (line,) = result.plot()
    ticks = line.axes.get_xticks()
    assert (ticks == ticks.round()).all()


def test_one_point_is_seen():
    result = run(lambda s: {"y": s["x"]}, product(x=gx.GridAxis(2, 2.5, 1)))
    (line,) = result.plot()
    assert line.get_marker() == "o"
    assert line.axes.get_title() == ""


def test_a_dimension_of_one_label_goes_to_the_title():
    space = product(a=gx.GridAxis(0, 1, 1), b=gx.GridAxis(0, 1, 3), c=gx.GridAxis(0, 1, 1))
    (line,) = run(lambda s: {"y": s["b"]}, space).plot()
    assert line.get_xdata().tolist() == [0, 0.5, 1]
    assert line.axes.get_title() == "a = 0, c = 0"


# ---- points that share a dimension


def test_zipped_points_are_scattered_over_their_first_two_axes():
    space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(2, 4, 5)})
    cloud = run(lambda s: {"y": s["a"] * s["b"]}, space).plot()
    assert isinstance(cloud, PathCollection)
    table = space.to_dataframe()
    np.testing.assert_allclose(cloud.get_offsets(), table[["a", "b"]])
    np.testing.assert_allclose(cloud.get_array(), table["a"] * table["b"], rtol=1e-6)
    assert labels_of(cloud) == ("a", "b")


def test_along_one_of_their_axes_points_are_not_joined():
    space = gx.Space(gx.sobol({"a": (0, 1), "b": (0, 10)}, 16), mode="product")
    (line,) = run(lambda s: {"y": s["a"] + s["b"]}, space).plot(x="b")
    assert (line.get_linestyle(), line.get_marker()) == ("None", ".")
    table = space.to_dataframe().sort_values("b")
    np.testing.assert_allclose(line.get_xdata(), table["b"])
    np.testing.assert_allclose(line.get_ydata(), table["a"] + table["b"], rtol=1e-6)


def test_a_design_times_a_grid_is_a_scatter_plot_for_each_label():
    design = gx.sobol({"a": (0, 1), "b": (0, 10)}, 16)
    result = run(
        lambda s: {"y": s["a"] * s["c"], "x": np.arange(4.0)},
        gx.Space({**design, "c": gx.GridAxis(1, 2, 3)}, mode="product"),
    )
    grid = result.plot("y")
    assert [ax.get_title() for ax in grid.axs.flat] == ["c = 1.0", "c = 1.5", "c = 2.0"]
    lines = result.plot("y", x="a", hue="c")
    assert len(lines) == 3
    mesh = result.plot("x", sel={"c": 1})
    assert labels_of(mesh) == ("x_dim_0", "sobol")
    (line,) = result.plot("y", sel={"a": 0.5, "b": 5})
    found = result.dataset.sel(a=0.5, b=5, method="nearest")["y"]
    np.testing.assert_allclose(line.get_ydata(), found)


def test_of_filtered_points_all_with_the_nearest_label_are_selected():
    space = product(a=gx.GridAxis(0, 1, 5), b=gx.GridAxis(0, 1, 5), m=gx.ChoiceAxis(["x", "z"]))
    result = run(lambda s: {"y": s["a"] * s["b"]}, space.filter(lambda ds: ds.a <= ds.b))
    cloud = result.plot(x="a", y="b", sel={"m": "x"})
    assert len(cloud.get_offsets()) == 15
    assert cloud.axes.get_title() == "m = x"
    (line,) = result.plot(x="b", sel={"a": 0.3, "m": "z"})
    assert line.get_xdata().tolist() == [0.25, 0.5, 0.75, 1]
    assert line.axes.get_title() == "a = 0.25, m = z"
    cloud = result.plot(x="a", y="m")
    assert set(cloud.get_offsets()[:, 1]) == {0, 1}
    assert ticks_of(cloud.axes.yaxis) == ["x", "z"]


def test_points_without_values_keep_their_place():
    space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(2, 4, 5)})
    cloud = run(lambda s: {"y": np.nan}, space).plot()
    cloud.figure.canvas.draw()
    assert cloud.axes.get_xlim()[1] >= 1
    assert cloud.axes.get_ylim()[1] >= 4


# ---- partial results, files


def breaking(state):
    if state["a"] > 0.5:
        raise ValueError("too large")
    return {"y": float(state["a"])}


def test_status_and_outputs_of_a_partial_result_are_drawn():
    space = product(a=gx.GridAxis(0, 1, 5), b=gx.GridAxis(0, 1, 2))
    result = run(breaking, space, on_error="record")
    np.testing.assert_array_equal(grid_of(result.plot("status"))[0], [1, 1, 1, 2, 2])
    shown = np.ma.getmaskarray(result.plot("y").get_array())
    np.testing.assert_array_equal(shown[0], [False, False, False, True, True])
    with pytest.raises(
        ValueError, match=r"output 'error' has dtype .*; only numbers can be plotted"
    ):
        result.plot("error")


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_a_result_that_is_opened_lazily_is_drawn(result, save, tmp_path):
    getattr(result, save)(tmp_path / "result")
    opened = gx.open_result(tmp_path / "result")
    mesh = opened.plot("rate", mean=["trial", "m"])
    wanted = result.dataset["rate"].mean(["trial", "m"]).transpose("sigma", "G")
    np.testing.assert_allclose(grid_of(mesh), wanted, rtol=1e-6)
    assert labels_of(mesh) == ("global coupling", "sigma [mV]")


# ---- what is passed on, what is refused


def test_what_xarray_takes_is_passed_on(result):
    _, ax = plt.subplots()
    mesh = result.plot("rate", mean=["trial", "m"], ax=ax, cmap="magma", vmin=-1, vmax=2)
    assert mesh.axes is ax
    assert (mesh.get_cmap().name, mesh.get_clim()) == ("magma", (-1, 2))
    mesh = result.plot("rate", mean=["trial", "m"], figsize=(9, 3), yscale="linear")
    assert mesh.figure.get_size_inches().tolist() == [9, 3]
    assert mesh.axes.get_yscale() == "linear"
    grid = result.plot("rate", mean="m", figsize=(9, 3), col_wrap=2)
    assert grid.fig.get_size_inches().tolist() == [9, 3]
    assert grid.axs.shape == (2, 2)
    (line,) = result.plot("rate", mean=["trial", "m", "sigma"], color="red", marker="x")
    assert (line.get_color(), line.get_marker()) == ("red", "x")


def test_drawing_does_not_change_the_result(result):
    before = result.dataset.copy(deep=True)
    result.plot("rate", x="m", y="G", mean=["sigma", "trial"])
    result.plot("rate", hue="G", mean=["m", "trial"])
    assert result.dataset.identical(before)


LEFT = {"mean": ["trial", "m"]}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("nope",), "no output 'nope'; the outputs are rate, x, fc, on"),
        (
            {"x": "q"} | LEFT,
            "x='q': output 'rate' varies along G, sigma",
        ),
        ({"x": "G", "y": "G"} | LEFT, "x and y are both 'G'; give different names"),
        (
            {"hue": "G", "col": "G"} | LEFT,
            "x, hue, row and col need different dimensions of output 'rate', got {'hue': 'G', "
            "'col': 'G'}",
        ),
        (
            {"y": "G", "hue": "sigma"} | LEFT,
            "hue= draws lines and y= draws a color map; give only one of them",
        ),
        (
            {"sel": {"G": 0, "sigma": 0.01}} | LEFT,
            "output 'rate' is a single number here, ",
        ),
        (
            {"hue": "G", "col": "sigma"} | LEFT,
            "no dimension is left for x; the roles {'hue': 'G', 'col': 'sigma'} take all of them",
        ),
        (("x",), "output 'x' has 5 dimensions left, ['G', 'sigma', 'trial', 'm', 'time'], but a "),
        (
            {"mean": "q"},
            "mean='q' is no dimension of output 'rate'; average over G, sigma, trial, m",
        ),
        *(
            (
                {"sel": {name: 1}},
                f"no coordinate sel={name!r}; select from G, sigma, trial, ",
            )
            for name in ("q", "dt", "trial_value")
        ),
        ({"sel": {"G": "big"}}, "sel='G': the labels are numbers, got 'big'"),
        (
            {"sel": {"m": "rk4"}},
            "sel='m': no label 'rk4'; the labels are heun, euler",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:40],
)
def test_what_cannot_be_drawn_of_a_result_is_refused(result, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot(*given) if isinstance(given, tuple) else result.plot(**given)


def test_more_panels_than_anybody_reads_are_refused():
    space = grids(a=8, b=9, c=6, d=7)
    result = run(lambda s: {"y": 1.0}, space)
    text = (
        "output 'y' would need 42 panels (d 7 × c 6), more than 36; average over a dimension with "
        "mean=, or select labels with sel="
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot()


def test_an_axis_of_arrays_gives_no_direction():
    drives = xr.DataArray(np.ones((2, 3)), dims=["drive", "time"], name="drive")
    result = run(
        lambda s: {"y": xr.DataArray(np.asarray(s["w"]), dims="time")},
        product(w=gx.DataAxis(drives)),
    )
    text = "x='drive_value' is an array at each point; name a coordinate of labels"
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot(x="drive_value")


def test_complex_outputs_are_refused_with_a_hint():
    result = run(lambda s: {"z": 1j * s["x"]}, product(x=gx.GridAxis(0, 1, 3)))
    text = "output 'z' is complex; plot its absolute value: abs(result.dataset['z']).plot()"
    with pytest.raises(ValueError, match=re.escape(text)):
        result.plot()
    abs(result.dataset["z"]).plot()


MISSING = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
import gridax as gx
space = gx.Space({"x": gx.GridAxis(0, 1, 3)})
result = gx.SequentialExecution(lambda s: {"y": s["x"]}, space).run(progress=False)
for draw in (space.plot, result.plot):
    try:
        draw()
    except ModuleNotFoundError as error:
        print(error)
"""


@pytest.mark.slow
def test_without_matplotlib_the_error_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, timeout=600
    )
    text = "matplotlib is not installed: pip install 'gridax[plot]'"
    assert done.stdout.splitlines() == [text, text], done.stderr


# ---- the small parts


def test_labels_are_geometric_if_their_ratio_is_the_same_over_a_decade():
    assert is_geometric(np.geomspace(1e-3, 1, 7))
    assert is_geometric(np.array([100, 1, 10]))
    assert not is_geometric(np.linspace(1, 10, 7))
    assert not is_geometric(np.geomspace(1, 5, 7))
    assert not is_geometric(np.array([0.0, 1.0, 10.0]))
    assert not is_geometric(np.array([1.0, 100.0]))
    assert not is_geometric(np.array(["a", "b", "c"]))


def test_texts_have_as_few_digits_as_tell_them_apart():
    assert label_texts(np.array([0.1, 1 / 3])) == ["0.1", "0.3333"]
    assert label_texts(np.array([1.00001, 1.00002])) == ["1.00001", "1.00002"]
    assert label_texts(np.array([1.0, 1.0 + 1e-15])) == ["1", "1.0000000000000011"]
    assert label_texts(np.array([np.nan, np.inf])) == ["nan", "inf"]
    assert label_texts(np.array([True, False])) == ["True", "False"]
    assert label_texts(np.array([2**40])) == ["1099511627776"]
    assert label_texts(np.array(["2026-01-02"], "datetime64[ns]")) == ["2026-01-02"]


def test_a_part_of_the_indices_is_spread_evenly_with_both_ends():
    assert spread_indices(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread_indices(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert spread_indices(1, 5).tolist() == [0]


def test_several_numbers_select_the_nearest_labels_and_none_is_taken_from_afar():
    space = gx.Space({"a": gx.GridAxis(0, 1, 11), "b": gx.GridAxis(0, 1, 3)}, mode="product")
    run = gx.ParallelExecution(lambda s: {"y": s["a"] * s["b"]}, space).run(progress=False)
    lines = run.plot("y", x="b", hue="a", sel={"a": [0.21, 0.19, 0.52]})
    assert len(lines) == 2
    with pytest.raises(
        ValueError, match=r"sel='a': 1000 is outside the range of the labels, 0.0 to 1.0"
    ):
        run.plot("y", sel={"a": 1000})
