from __future__ import annotations

import json
import re
import subprocess
import sys

import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from gridax.explore import Explorer
from gridax.explore import _cube as cubes
from gridax.explore._cube import Cube, View
from gridax.explore._start import start
from gridax.explore._style import THEMES
from gridax.explore._values import compact
from gridax.result import template_of_result

pytestmark = [
    # Bokeh, Panel and their dependencies warn of themselves.
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:(bokeh|panel|param|pyviz_comms|tornado).*"
    ),
]


def product(**axes):
    return gx.Space(axes, mode="product")


def run(model, space, **options):
    return gx.SequentialExecution(model, space).run(progress=False, **options)


def cube_of(result):
    return result.explore()._cube


SPACE = product(
    G=gx.GridAxis(0, 1, 5, attrs={"units": "1", "long_name": "global coupling"}),
    sigma=gx.LogGridAxis(1e-3, 1e-1, 3, attrs={"units": "mV"}),
    key=gx.KeyAxis(4, name="trial"),
    dt=0.1,
)
RANDOM = np.random.default_rng(1)


def model(state):
    course = RANDOM.normal(size=6)
    course[2] = np.nan
    return xr.Dataset(
        {
            "rate": ((), RANDOM.normal(), {"units": "Hz", "long_name": "firing rate"}),
            "x": ("time", course, {"units": "1"}),
            "fc": (("to", "from"), RANDOM.normal(size=(2, 3))),
            "spectra": (("a", "b", "c", "d"), RANDOM.normal(size=(2, 2, 2, 2))),
            "on": ((), RANDOM.normal() > 0),
            "n": ((), 123456789),
        },
        {"time": ("time", np.arange(6.0) / 2, {"units": "s"}), "to": ["V1", "MT"]},
    )


@pytest.fixture(scope="module")
def result():
    return run(model, SPACE)


@pytest.fixture(scope="module")
def cube(result):
    return cube_of(result)


def values_of(frame):
    """Return the values of a frame over its directions."""
    shape = [len(frame[name]["at"]) for name in "yx" if frame["kind"] == "map" or name == "x"]
    return frame["z"].reshape(shape)


# ---- slices as plain arrays


def test_two_directions_are_a_map_of_cells(cube, result):
    frame = cube.frame(View("rate", "G", "sigma", {"trial": 2}))
    assert frame["kind"] == "map"
    wanted = result.dataset["rate"].isel(trial=2).transpose("sigma", "G")
    np.testing.assert_array_equal(values_of(frame), wanted.astype(np.float32))
    assert frame["x"]["at"].tolist() == [0, 1, 2, 3, 4]
    assert frame["x"]["texts"] == ["0", "0.25", "0.5", "0.75", "1"]
    assert frame["y"]["texts"] == ["0.001", "0.01", "0.1"]
    assert (frame["x"]["label"], frame["y"]["label"]) == ("global coupling", "sigma [mV]")
    assert (frame["x"]["title"], frame["y"]["title"]) == ("global coupling (G)", "sigma")
    # Ticks are at round numbers of these scales, whatever the labels are.
    assert frame["x"]["scale"] == {"kind": "number", "start": 0, "step": 0.25}
    assert frame["y"]["scale"] == {"kind": "log", "start": -3, "step": pytest.approx(1)}
    assert (frame["output"], frame["mean"], frame["note"]) == ("rate", [], "trial = 2")


def test_one_direction_is_a_line(cube, result):
    frame = cube.frame(View("rate", "G", "", {"trial": 2, "sigma": 1}))
    assert (frame["kind"], frame["joined"], frame["y"]) == ("line", True, None)
    assert frame["x"]["at"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert frame["x"]["scale"] == {"kind": "number", "start": 0, "step": 1}
    wanted = result.dataset["rate"].isel(trial=2, sigma=1)
    np.testing.assert_array_equal(frame["z"], wanted.astype(np.float32))
    assert frame["note"] == "sigma = 0.01 [mV], trial = 2"


def test_labels_of_a_logarithmic_scale_stand_evenly(cube):
    frame = cube.frame(View("rate", "sigma", "", {}))
    assert frame["x"]["at"].tolist() == [0, 1, 2]
    assert frame["x"]["texts"] == ["0.001", "0.01", "0.1"]
    assert frame["x"]["scale"] == {"kind": "log", "start": -3, "step": pytest.approx(1)}


def test_texts_stand_evenly(cube):
    frame = cube.frame(View("fc", "to", "", {}))
    assert frame["x"]["at"].tolist() == [0, 1]
    assert frame["x"]["texts"] == ["V1", "MT"]
    assert frame["x"]["scale"] == {"kind": "texts"}


def test_what_a_dimension_holds_may_be_a_direction(cube, result):
    frame = cube.frame(View("x", "time", "G", {"trial": 1, "sigma": 0}))
    wanted = result.dataset["x"].isel(trial=1, sigma=0)
    np.testing.assert_array_equal(values_of(frame), wanted.astype(np.float32))
    assert frame["x"]["texts"] == ["0", "0.5", "1", "1.5", "2", "2.5"]


def test_averages_leave_out_nan(cube, result):
    frame = cube.frame(View("x", "G", "", {"sigma": 0}, ["trial", "time"]))
    wanted = result.dataset["x"].isel(sigma=0).mean(["trial", "time"])
    np.testing.assert_allclose(frame["z"], wanted, rtol=1e-6)
    assert frame["note"] == "sigma = 0.001 [mV], mean over trial, mean over time"
    # A direction, and what an output does not vary along, is not averaged.
    same = cube.frame(View("rate", "G", "", {"sigma": 0, "trial": 0}, ["G", "time"]))
    assert same["note"] == "sigma = 0.001 [mV], trial = 0"
    nothing = cube.frame(View("x", "time", "", {"G": 0, "sigma": 0}, ["trial"]))["z"]
    np.testing.assert_array_equal(np.isnan(nothing), [False, False, True, False, False, False])


def test_bools_are_zero_and_one(cube, result):
    frame = cube.frame(View("on", "G", "sigma", {"trial": 0}))
    wanted = result.dataset["on"].isel(trial=0).transpose("sigma", "G")
    np.testing.assert_array_equal(values_of(frame), wanted)
    mean = cube.frame(View("on", "G", "sigma", {}, ["trial"]))
    np.testing.assert_allclose(
        values_of(mean), result.dataset["on"].mean("trial").transpose("sigma", "G")
    )


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([False, True], "uint8"),
        ([-3, 100], "int8"),
        ([0, 70_000], "int32"),
        ([0, 2**40], "float64"),
        ([0.1, np.nan, -np.inf], "float32"),
        ([1e300, -1.0], "float64"),
        ([1e-300, 1.0], "float64"),
        ([], "float32"),
    ],
)
def test_values_are_as_small_as_they_can_be_without_turning_into_others(values, dtype):
    found = compact(np.array(values))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.array(values, float), rtol=1e-7)


def test_large_numbers_stay_finite():
    cube = cube_of(run(lambda s: {"y": 1e300 * float(s["x"])}, product(x=gx.GridAxis(-1, 1, 3))))
    assert cube.frame(View("y", "x", "", {}))["z"].tolist() == [-1e300, 0, 1e300]
    assert cube.point({"x": 2}, [])["values"] == [["y", 1e300, ""]]


def test_complex_numbers_are_shown_by_their_parts():
    space = product(x=gx.GridAxis(-1, 1, 3))
    result = run(lambda s: xr.DataArray(3j * s["x"] + 1, attrs={"units": "mV"}, name="z"), space)
    cube = cube_of(result)
    assert list(cube.outputs) == ["abs(z)", "angle(z)", "real(z)", "imag(z)"]
    z = result.dataset["z"].values
    for part, wanted in zip(cube.outputs, (np.abs(z), np.angle(z), z.real, z.imag), strict=True):
        np.testing.assert_allclose(cube.frame(View(part, "x", "", {}))["z"], wanted, rtol=1e-6)
    assert [o.describe()["units"] for o in cube.outputs.values()] == [
        " [mV]",
        " [rad]",
        " [mV]",
        " [mV]",
    ]
    assert repr(result.explore("z")) == "<gridax.explore.Explorer: abs(z) over x>"
    assert repr(result.explore("imag(z)")) == "<gridax.explore.Explorer: imag(z) over x>"


def test_labels_have_as_many_digits_as_tell_them_apart():
    years = gx.DataAxis([2020.001, 2020.002, 2020.004])
    cube = cube_of(run(lambda s: {"y": 1.0}, product(t=years)))
    frame = cube.frame(View("y", "t", "", {}))
    assert frame["x"]["at"].tolist() == [2020.001, 2020.002, 2020.004]
    assert cube.members["t"]["t"]["texts"] == ["2020.001", "2020.002", "2020.004"]


def test_labels_that_are_no_finite_numbers_stand_evenly():
    data = {
        "z": xr.DataArray([1.0, 2.0], {"f": [np.inf, 1.0]}, ["f"]),
    }
    cube = cube_of(run(lambda s: xr.Dataset(data), product(a=gx.GridAxis(0, 1, 2))))
    assert cube.frame(View("z", "f", "", {}))["x"]["texts"] == ["inf", "1"]
    json.dumps(cube.describe(), allow_nan=False)


@pytest.mark.parametrize("even", [True, False])
def test_dates_are_placed_in_time(even):
    days = ["2026-01-01", "2026-01-03", "2026-01-05" if even else "2026-01-09"]
    times = np.array(days, "datetime64[ns]")
    data = xr.DataArray([1.0, 2.0, 3.0], {"day": times}, ["day"])
    cube = cube_of(run(lambda s: {"y": data}, product(a=gx.GridAxis(0, 1, 2))))
    x = cube.frame(View("y", "day", "", {}))["x"]
    assert (x["texts"], x["scale"]["kind"]) == (days, "date")
    in_days = (x["at"] - x["at"][0]) / 86400e3
    assert in_days.tolist() == [0, 2, 4 if even else 8]
    cells = cube.frame(View("y", "day", "a", {}))["x"]
    assert (cells["at"].tolist(), cells["texts"]) == ([0, 1, 2], days)
    assert cells["scale"]["kind"] == ("date" if even else "texts")
    assert cube.members["day"]["day"]["kind"] == "date"  # which a slider moves along


def test_durations_are_numbers_of_seconds():
    steps = np.array([0, 1500, 60_000], "timedelta64[ms]")
    data = xr.DataArray([1.0, 2.0, 3.0], {"lag": steps.astype("timedelta64[ns]")}, ["lag"])
    cube = cube_of(run(lambda s: {"y": data}, product(a=gx.GridAxis(0, 1, 2))))
    x = cube.frame(View("y", "lag", "", {}))["x"]
    assert (x["at"].tolist(), x["label"]) == ([0, 1.5, 60], "lag [s]")


def test_axes_that_share_a_dimension_are_directions_of_points():
    space = product(a=gx.GridAxis(0, 1, 3), m=gx.ChoiceAxis(["p", "q"]))
    cube = cube_of(run(lambda s: {"y": s["a"]}, space.filter(lambda ds: ds.a > 0)))
    assert (start(cube, "y").x, start(cube, "y").y) == ("a", "m")
    frame = cube.frame(View("y", "a", "m", {}))
    assert frame["kind"] == "points"
    assert frame["x"]["at"].tolist() == [0.5, 0.5, 1, 1]
    assert frame["y"]["at"].tolist() == [0, 1, 0, 1]
    assert frame["y"]["texts"] == ["p", "q"]
    line = cube.frame(View("y", "m", "", {}))
    assert (line["kind"], line["joined"]) == ("line", False)
    assert line["x"]["at"].tolist() == [0, 1, 0, 1]
    assert cube.point({"point": 2}, [])["parameters"] == [["a", "1", ""], ["m", "p", ""]]


def test_of_too_many_values_a_part_is_drawn(monkeypatch):
    monkeypatch.setattr(cubes, "MOST_CELLS", 50)
    monkeypatch.setattr(cubes, "MOST_POINTS", 4)
    space = product(a=gx.GridAxis(0, 1, 11), b=gx.GridAxis(0, 1, 21))
    result = run(lambda s: {"y": s["a"] + 2 * s["b"]}, space)
    frame = cube_of(result).frame(View("y", "b", "a", {}))
    assert (frame["x"]["step"], frame["y"]["step"]) == (3, 2)
    wanted = result.dataset["y"].isel(a=slice(None, None, 2), b=slice(None, None, 3))
    np.testing.assert_array_equal(values_of(frame), wanted.astype(np.float32))
    assert frame["note"] == "one in 2 along a is shown, one in 3 along b is shown"
    line = cube_of(result).frame(View("y", "a", "", {"b": 0}))
    np.testing.assert_allclose(line["x"]["at"], [0, 0.3, 0.6, 0.9])


@st.composite
def views(draw):
    """Return outputs of random dimensions, and a view of one of them."""
    sizes = {f"d{i}": draw(st.integers(1, 4)) for i in range(draw(st.integers(1, 4)))}
    n_grid = draw(st.integers(1, len(sizes)))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    values = random.normal(size=tuple(sizes.values()))
    values[random.random(values.shape) < draw(st.sampled_from([0, 0.3, 1]))] = np.nan
    labels = {
        dim: np.sort(random.normal(size=n)) for dim, n in sizes.items() if random.random() < 0.7
    }
    dims = list(sizes)
    x = draw(st.sampled_from(dims))
    y = draw(st.sampled_from(["", *(dim for dim in dims if dim != x)]))
    rest = [dim for dim in dims if dim not in (x, y)]
    mean = draw(st.lists(st.sampled_from(rest), unique=True)) if rest else []
    at = {dim: draw(st.integers(0, sizes[dim] - 1)) for dim in rest}
    dataset = xr.Dataset({"y": (dims, values)}, labels)
    return dataset, dims[:n_grid], View("y", x, y, at, mean)


@given(views())
def test_a_frame_is_what_xarray_selects_and_averages(drawn):
    dataset, grid_dims, view = drawn
    frame = Cube(dataset, {dim: [dim] for dim in grid_dims}).frame(view)
    wanted = dataset["y"].isel({d: i for d, i in view.at.items() if d not in view.mean})
    wanted = wanted.mean(list(view.mean)).transpose(*filter(None, (view.y, view.x)))
    np.testing.assert_allclose(values_of(frame), wanted, rtol=1e-6, atol=1e-7)
    json.dumps({**frame, "x": 0, "y": 0, "z": 0}, allow_nan=False)


# ---- one point


def test_of_a_point_all_parameters_and_outputs_are_known(cube, result):
    at = {"G": 3, "sigma": 1, "trial": 2, "a": 1, "b": 1, "time": 5, "to": 1, "from": 2}
    point = cube.point(at, ["x", "fc", "spectra"])
    here = result.dataset.isel(G=3, sigma=1, trial=2)
    assert point["parameters"] == [
        ["G", "0.75", ""],
        ["sigma", "0.01", " [mV]"],
        ["trial", "2", ""],
    ]
    assert point["values"] == [
        ["rate", here["rate"].item(), " [Hz]"],
        ["on", here["on"].item(), ""],
        ["n", 123456789, ""],
    ]
    assert point["error"] == ""
    assert list(point["arrays"]) == ["x", "fc", "spectra"]
    for name, wanted in [("x", here["x"]), ("fc", here["fc"]), ("spectra", here["spectra"][1, 1])]:
        np.testing.assert_array_equal(
            point["arrays"][name], wanted.astype(np.float32).values.ravel()
        )


def test_the_output_that_is_looked_at_is_drawn_first_among_a_few(monkeypatch, cube):
    assert cube.details("rate") == ["x", "fc", "spectra"]
    assert cube.details("spectra") == ["spectra", "x", "fc"]
    monkeypatch.setattr(cubes, "MOST_DETAILS", 2)
    assert cube.details("spectra") == ["spectra", "x"]


def breaking(state):
    if state["a"] > 0.5:
        raise ValueError("a is <b>too large</b>")
    return {"y": float(state["a"]), "n": int(4 * state["a"])}


@pytest.fixture(scope="module")
def partial():
    space = product(a=gx.GridAxis(0, 1, 3), b=gx.ChoiceAxis(["p", "q"]))
    return run(breaking, space, on_error="record")


def test_the_error_of_a_point_that_failed_is_known(partial):
    cube = cube_of(partial)
    assert list(cube.outputs) == ["n", "y"]
    message = "ValueError: a is <b>too large</b>"
    failed, done = cube.point({"a": 2, "b": 1}, []), cube.point({"a": 1, "b": 1}, [])
    assert failed["error"] == message
    assert failed["values"] == [["n", "nan", ""], ["y", "nan", ""]]
    assert done["error"] == ""
    assert done["values"] == [["n", 2, ""], ["y", 0.5, ""]]
    assert (failed["status"], done["status"]) == (2, 1)
    assert cube.states() == {
        "dims": ["a", "b"],
        "shape": [3, 2],
        "status": {"4": 2, "5": 2},
        "error": {"4": message, "5": message},
    }


# ---- what is read


class Counted:
    """An array larger than memory that counts the blocks that are read of it."""

    shape, dtype, ndim = (64, 64, 64, 4096), np.dtype(np.float32), 4

    def __init__(self):
        self.n_values = 0

    def __getitem__(self, index):
        found = np.broadcast_to(np.float32(1), self.shape)[index]
        self.n_values += found.size
        return found


def test_only_what_is_looked_at_is_read():
    source = Counted()
    lazy = dask.array.from_array(source, chunks=(8, 8, 1, 4096), name=False)
    dims = ["a", "b", "trial", "time"]
    dataset = xr.Dataset({"x": (dims, lazy)})
    assert dataset.nbytes == 2**32
    explorer = Explorer(dataset, {"a": ["a"], "b": ["b"], "trial": ["trial"]}, "4 GiB")
    assert source.n_values == 0
    cube = explorer._cube
    point = {"a": 3, "b": 4, "trial": 5, "time": 6}
    cube.point(point, ["x"])
    assert source.n_values <= 8 * 8 * 4096
    cube.frame(View("x", "time", "", point))
    assert source.n_values <= 2 * 8 * 8 * 4096
    cube.frame(View("x", "time", "a", point))
    assert source.n_values <= 3 * 64 * 8 * 4096


def test_of_a_store_only_the_blocks_that_are_shown_are_read(tmp_path):
    space = product(a=gx.GridAxis(0, 1, 6), trial=gx.DataAxis([0, 1, 2]))
    result = run(lambda s: {"y": s["a"] + s["trial"]}, space)
    by_trial = gx.Result(result.dataset.chunk(trial=1), space, template_of_result(result))
    by_trial.to_zarr(tmp_path / "store.zarr")
    chunks = sorted(p for p in (tmp_path / "store.zarr/y/c").rglob("*") if p.is_file())
    assert len(chunks) == 3
    for chunk in (chunks[0], chunks[2]):
        chunk.write_bytes(b"damaged")
    opened = gx.open_result(tmp_path / "store.zarr")
    found = cube_of(opened).frame(View("y", "a", "", {"trial": 1}))["z"]
    np.testing.assert_allclose(found, result.dataset["y"].isel(trial=1))
    # What cannot be read is said on the page.
    explorer = opened.explore("y", y="", sel={"trial": 1})
    board = explorer._board()
    board.answer(explorer._cube, json.dumps(vars(View("y", "a", "", {"trial": 2}))))
    assert board._note.text.startswith("OSError: &#x27;y&#x27; of")
    assert "store.zarr&#x27; is damaged" in board._note.text


# ---- an explorer


def test_an_explorer_starts_with_what_suits_the_result(result):
    assert repr(result.explore()) == "<gridax.explore.Explorer: rate over G and sigma>"
    assert repr(result.explore("fc")) == "<gridax.explore.Explorer: fc over G and sigma>"
    assert repr(result.explore(mean="trial")).endswith("rate over G and sigma, mean over trial>")
    assert repr(result.explore("x", x="time", y="")) == "<gridax.explore.Explorer: x over time>"
    assert repr(result.explore(y="G")) == "<gridax.explore.Explorer: rate over sigma and G>"
    one = run(lambda s: {"m": np.ones((2, 3)), "y": 1.0}, product(a=gx.GridAxis(0, 1, 2)).isel(a=0))
    assert repr(one.explore()) == "<gridax.explore.Explorer: m over m_dim_0 and m_dim_1>"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("nope",), "no output 'nope'; the outputs are rate, x, fc, "),
        (("rate", "q"), "x='q': output 'rate' varies along G, sigma, trial"),
        (("rate", None, "time"), "y='time': output 'rate' varies along G, sigma, trial"),
        (("rate", "G", "G"), "x and y are both 'G'; give different names"),
    ],
    ids=["output", "x", "y", "both"],
)
def test_what_cannot_be_explored_is_refused(result, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        result.explore(*given)


def test_an_output_without_values_is_refused_by_that_name():
    axis = gx.GridAxis(0, 1, 2)
    found = run(lambda s: {"y": s["a"], "spikes": np.ones(0)}, product(a=axis))
    assert repr(found.explore()) == "<gridax.explore.Explorer: y over a>"
    with pytest.raises(ValueError, match="output 'spikes' has no numbers to show; choose from y"):
        found.explore("spikes")


@pytest.mark.parametrize(
    ("labels", "known"),
    [([1.0, np.nan, 3.0], 3), (np.array(["2020", "NaT", "2022"], "M8[ns]"), "2022")],
    ids=["numbers", "dates"],
)
def test_missing_labels_are_not_selected(labels, known):
    model = lambda s: {"y": xr.DataArray(s["a"] * np.arange(3.0), {"f": labels}, ("f",))}  # noqa: E731
    explorer = run(model, product(a=gx.GridAxis(0, 1, 3))).explore(x="a", sel={"f": known})
    assert explorer._view.at["f"] == 2


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"sel": {"q": 1}}, "no coordinate sel='q'; select from G, sigma, trial, "),
        ({"sel": {"G": 3}}, "sel='G': 3 is outside the range of the labels, 0.0 to 1.0"),
        ({"sel": {"G": "high"}}, "sel='G': the labels are numbers, got 'high'"),
        ({"sel": {"G": [0, 1]}}, "sel='G': give one label, got [0, 1]"),
        ({"sel": {"to": "V2"}}, "sel='to': no label 'V2'; the labels are V1, MT"),
        ({"mean": "time"}, "mean='time' is no dimension of output 'rate'; average over G, sigma, "),
        ({"mean": "G", "x": "G"}, "mean='G' and x='G': leave out one of them"),
        ({"mean": ["G", "sigma", "trial"]}, "leaves no dimension of output 'rate' to plot along"),
        ({"cmap": "jet"}, "cmap='jet' must be one of viridis, cividis, magma, "),
        ({"norm": "sqrt"}, "norm='sqrt' must be one of linear, log"),
        ({"theme": "dim"}, "theme='dim' must be one of auto, light, dark"),
        ({"theme": None}, "theme=None must be one of auto, light, dark"),
        ({"vmin": "a"}, "vmin='a' must be a finite number"),
        ({"vmax": np.nan}, "vmax=nan must be a finite number"),
        ({"vmin": 2, "vmax": 1}, "vmin=2 must be smaller than vmax=1"),
        ({"vmin": 0, "norm": "log"}, "vmin=0 must be positive with norm='log'"),
    ],
    ids=str,
)
def test_a_view_that_does_not_exist_is_refused(result, given, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        result.explore(**given)


def test_an_argument_that_does_not_exist_is_refused(result):
    text = (
        "explore() has no argument 'thema'; its arguments are output, x, y, sel, mean, cmap, vmin, "
        "vmax, norm, theme; did you mean 'theme'?"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        result.explore(thema="dark")
    with pytest.raises(TypeError, match=re.escape("explore() has no argument 'hue'; its")):
        result.explore(hue="G")
    with pytest.raises(TypeError, match=re.escape("sel must be a mapping such as {'G': 0.3}")):
        result.explore(sel="G")


def at_start(result, *args, **kwargs):
    """Return the labels that an explorer starts at, the directions, and what is averaged over."""
    cube = cube_of(result)
    view = start(cube, *args, **kwargs)
    labels = {
        name: member["texts"][view.at[dim]]
        for dim, members in cube.members.items()
        for name, member in members.items()
    }
    return labels, (view.x, view.y), list(view.mean)


def test_a_page_starts_at_the_first_trial_and_choice_and_in_the_middle_of_numbers():
    space = product(
        integrator=gx.ChoiceAxis(["heun", "euler", "rk4"]),
        G=gx.GridAxis(0, 1, 5),
        key=gx.KeyAxis(4, name="trial"),
        weights=gx.DataAxis(np.ones((3, 2, 2))),
        flag=gx.DataAxis([True, False]),
        sigma=gx.LogGridAxis(0.1, 10, 3),
    )
    wave = xr.DataArray(np.zeros(7), {"time": np.arange(7.0)}, ["time"])
    result = run(lambda s: {"y": 1.0, "wave": wave}, space)
    labels, directions, _ = at_start(result)
    assert labels == {
        "integrator": "heun",
        "G": "0.5",
        "trial": "0",
        "weights": "0",
        "flag": "True",
        "sigma": "1",
        "time": "3",
    }
    assert directions == ("G", "sigma")
    assert at_start(result, "wave")[1] == ("G", "sigma")


@pytest.mark.parametrize("lazy", [False, True])
def test_the_map_is_over_the_two_numeric_axes_along_which_an_output_varies_most(lazy):
    space = product(
        fixed=gx.GridAxis(0, 1, 4),
        a=gx.GridAxis(0, 1, 3),
        single=gx.DataAxis([2.0]),
        b=gx.GridAxis(0, 1, 5),
        key=gx.KeyAxis(9, name="trial"),
    )
    # An interaction alone: all means over the other axis are equal.
    result = run(lambda s: {"y": (s["a"] - 0.5) * (s["b"] - 0.5)}, space)
    if not lazy:
        assert at_start(result)[1] == ("a", "b")
        return
    # What is not in memory is not read for this: the axes with the most labels are taken.
    unread = gx.Result(result.dataset.chunk(), space, template_of_result(result))
    assert at_start(unread)[1] == ("fixed", "b")


@pytest.mark.parametrize(
    ("axes", "directions"),
    [
        ({"a": gx.GridAxis(0, 1, 3)}, ("a", "")),
        ({"a": gx.GridAxis(0, 1, 3), "k": gx.KeyAxis(4, name="trial")}, ("a", "")),
        ({"m": gx.ChoiceAxis(["p", "q"]), "a": gx.GridAxis(0, 1, 3)}, ("a", "")),
        ({"m": gx.ChoiceAxis([10, 20]), "n": gx.ChoiceAxis(["p", "q"])}, ("m", "n")),
        ({"k": gx.KeyAxis(4, name="trial")}, ("trial", "")),
        ({"a": gx.DataAxis([0.5]), "b": gx.DataAxis([1.5])}, ("a", "b")),
    ],
    ids=str,
)
def test_of_few_numeric_axes_there_is_a_line(axes, directions):
    result = run(lambda s: {"y": 1.0}, product(**axes))
    assert at_start(result)[1] == directions


def test_a_view_is_set_by_labels(result):
    labels, directions, mean = at_start(
        result, "x", x="time", y="", sel={"G": 0.7, "sigma": 1e-3, "trial": 3}, mean=["trial"]
    )
    assert (labels["G"], labels["sigma"], labels["trial"]) == ("0.75", "0.001", "3")
    assert (directions, mean) == (("time", ""), ["trial"])
    assert at_start(result, sel={"to": "MT", "from": 2})[0]["to"] == "MT"
    # The mark on a map is at the labels, too, and what is averaged over is no direction.
    assert at_start(result, sel={"G": 0.25})[0]["G"] == "0.25"
    assert at_start(result, mean="G")[1] == ("sigma", "")


def test_a_view_is_set_by_several_axes_that_share_a_dimension():
    state = {
        "a": gx.DataAxis([0.1, 0.1, 0.4, 0.9], group="setting"),
        "b": gx.DataAxis([10.0, 30.0, 20.0, 10.0], group="setting"),
        "m": gx.ChoiceAxis(["p", "q", "p", "q"], labels=["p", "q", "r", "s"], group="setting"),
    }
    result = run(lambda s: {"y": 1.0}, gx.Space(state, mode="product"))
    labels, directions, _ = at_start(result, sel={"a": 0.1, "b": 28})
    assert (labels["a"], labels["b"], labels["m"]) == ("0.1", "30", "q")
    assert directions == ("a", "b")
    assert at_start(result, sel={"m": "s", "b": 11})[0]["a"] == "0.9"


@pytest.mark.parametrize(
    ("in_group", "directions"),
    [
        ({"a": gx.GridAxis(0, 1, 3, group="g"), "b": gx.GridAxis(1, 2, 3, group="g")}, ("a", "b")),
        ({"m": gx.ChoiceAxis(["p", "q"], group="g")}, ("G", "")),
        (
            {"m": gx.ChoiceAxis(["p", "q"], group="g"), "a": gx.GridAxis(0, 1, 2, group="g")},
            ("a", "G"),
        ),
    ],
    ids=["two numbers", "a choice", "a choice and a number"],
)
def test_points_are_scattered_over_two_numeric_axes_that_share_a_dimension(in_group, directions):
    result = run(lambda s: {"y": 1.0}, product(**in_group, G=gx.GridAxis(0, 1, 4)))
    assert at_start(result)[1] == directions


def test_a_view_is_set_by_a_date():
    days = np.array(["2026-01-01", "2026-01-03"], "datetime64[ns]")
    data = xr.DataArray([1.0, 2.0], {"day": days}, ["day"])
    result = run(lambda s: {"y": data}, product(a=gx.GridAxis(0, 1, 2)))
    assert at_start(result, sel={"day": "2026-01-02T18:00"})[0]["day"] == "2026-01-03"
    with pytest.raises(ValueError, match="sel='day': the labels are dates, got 'soon'"):
        result.explore(sel={"day": "soon"})
    with pytest.raises(
        ValueError, match="sel='day': 2027-01-01 is outside the range of the labels"
    ):
        result.explore(sel={"day": "2027-01-01"})


def test_choices_and_other_labels_without_an_order_get_a_drop_down(tmp_path):
    space = product(
        G=gx.GridAxis(0, 1, 5),
        n=gx.ChoiceAxis([10, 20, 40]),
        f=gx.ChoiceAxis([np.sin, np.cos]),
        flag=gx.DataAxis([True, False]),
        region=gx.DataAxis(xr.DataArray([1.0, 2.0], {"region": ["V1", "MT"]}, ["region"])),
        key=gx.KeyAxis(3, name="trial"),
    )
    result = run(lambda s: {"y": 1.0}, space)
    result.to_netcdf(tmp_path / "sweep.nc")
    for explorer in (result.explore(), gx.open_result(tmp_path / "sweep.nc").explore()):
        movers = explorer._board()._movers
        assert {dim: type(mover).__name__ for dim, mover in movers.items()} == {
            "G": "Slider",
            "n": "Select",
            "f": "Select",
            "flag": "Select",
            "region": "Select",
            "trial": "Slider",
        }
        assert movers["n"].options == [("0", "10"), ("1", "20"), ("2", "40")]


def test_labels_that_look_alike_are_moved_along_with_a_slider():
    state = {
        "m": gx.ChoiceAxis([1, 2, 3], labels=["p", "q", "r"], group="setting"),
        "a": gx.DataAxis([0.1, 0.2, 0.3], group="setting"),
    }
    result = run(lambda s: {"y": 1.0}, gx.Space(state, mode="product"))
    movers = result.explore()._board()._movers
    assert movers["setting"].options == [("0", "p, 0.1"), ("1", "q, 0.2"), ("2", "r, 0.3")]
    same = xr.Dataset({"y": ("m", [1.0, 2.0])}, {"m": ["p", "p"]})
    movers = Explorer(same, {"m": ["m"]}, "twice")._board()._movers
    assert type(movers["m"]).__name__ == "Slider"


def test_names_of_axes_and_outputs_are_long_where_they_are_chosen(result):
    choosers = result.explore("rate")._board()._choosers
    assert choosers["output"].options[0] == ("rate", "firing rate (rate)")
    assert choosers["x"].options[:2] == [("G", "global coupling (G)"), ("sigma", "sigma")]
    assert choosers["y"].options[:2] == [("", "(values, as a line)"), ("G", "global coupling (G)")]


@pytest.mark.slow
def test_controls_start_as_the_arguments_say(result):
    board = result.explore(cmap="RdBu_r", vmin=0.1, vmax=2, norm="log", theme="dark")._board()
    looks = {name: getattr(w, "value", None) for name, w in board._looks.items()}
    assert looks == {
        "cmap": "RdBu_r",
        "low": 0.1,
        "high": 2.0,
        "keep": None,
        "log": None,
        "theme": "dark",
    }
    assert board._looks["log"].active
    assert result.explore(mean="trial")._board()._means["trial"].active


def test_a_single_point_is_explored_as_well():
    space = product(a=gx.GridAxis(0, 1, 2, attrs={"units": "mV"})).isel(a=0)
    cube = cube_of(run(lambda s: {"y": 1.5, "n": 3}, space))
    view = start(cube, "y")
    assert cube.frame(view)["z"].tolist() == [1.5]
    assert cube.point(view.at, [])["values"] == [["n", 3, ""], ["y", 1.5, ""]]
    assert cube.describe()["fixed"] == [["a", "0", " [mV]"]]
    # Beside an output that varies, it is in the table only.
    mixed = run(lambda s: {"m": np.ones(2), "y": 1.0}, space)
    assert repr(mixed.explore()) == "<gridax.explore.Explorer: m over m_dim_0>"
    with pytest.raises(ValueError, match=re.escape("output 'y' is a single number; choose one")):
        mixed.explore("y")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_colors_of_text_have_enough_contrast(theme):
    """As WCAG demands: 4.5 for text and 3 for the borders of controls."""

    def luminance(color):
        parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    def contrast(one, other):
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    colors = THEMES[theme]
    for ground in ("page", "field"):
        for text in ("text", "muted", "accent", "error"):
            assert contrast(colors[text], colors[ground]) > 4.5, (text, ground)
        assert contrast(colors["border"], colors[ground]) > 3
    assert contrast(colors["line"], colors["page"]) > 4.5


MISSING = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
import gridax as gx
space = gx.Space({"x": gx.GridAxis(0, 1, 3)})
result = gx.SequentialExecution(lambda s: {"y": s["x"]}, space).run(progress=False)
try:
    result.explore().show()
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.mark.parametrize("package", ["bokeh", "panel"])
@pytest.mark.slow
def test_without_an_optional_package_the_error_says_what_to_install(package):
    done = subprocess.run(
        [sys.executable, "-c", MISSING, package], capture_output=True, text=True, timeout=600
    )
    text = f"{package} is not installed: pip install 'gridax[explore]'\n"
    assert done.stdout == text, done.stderr
