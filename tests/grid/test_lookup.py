"""From labels to positions: what selects a label, and what is said where nothing does."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridax as gx
from gridax._grid.lookup import by_label, sel
from tests.ids import plain


@pytest.fixture(scope="module")
def space() -> gx.Space:
    """A space with an axis of every kind of label."""
    state = {
        "x": gx.GridAxis(0, 1, 11),
        "u": gx.DataAxis([3.0, 1.0, 2.0]),
        "n": gx.DataAxis([10, 20, 30]),
        "f": gx.DataAxis([True, False]),
        "s": gx.ChoiceAxis(["low", "mid", "high"]),
        "d": gx.DataAxis([3.0, 2.0, 1.0]),
        "a": gx.DataAxis([1.0, 2.0, 3.0], group="pair"),
        "b": gx.DataAxis([30.0, 10.0, 20.0], group="pair"),
    }
    return gx.Space(state, mode="product")


@pytest.mark.parametrize(
    ("labels", "method", "expected"),
    [
        ({"x": 0.3}, None, {"x": 3}),
        ({"x": [0.1 + 0.2, 0.3]}, None, {"x": [3, 3]}),
        ({"x": slice(0.2, 0.5)}, None, {"x": [2, 3, 4, 5]}),
        ({"x": slice(None, 0.1)}, None, {"x": [0, 1]}),
        ({"x": slice(0.1 + 0.2, np.float32(0.5))}, None, {"x": [3, 4, 5]}),
        ({"x": slice(0.15, np.float32(0.35))}, None, {"x": [2, 3]}),
        ({"x": slice(0, 1, 5)}, None, {"x": [0, 5, 10]}),
        ({"x": slice(0.5, 0.2, -1)}, None, {"x": [5, 4, 3, 2]}),
        ({"x": slice(0.5, None, -2)}, None, {"x": [5, 3, 1]}),
        ({"x": slice(None, 0.8, -1)}, None, {"x": [10, 9, 8]}),
        ({"s": slice("high", "mid", -1)}, None, {"s": [2, 1]}),
        ({"x": np.float32(0.3)}, None, {"x": 3}),
        ({"x": jnp.array([0.3, 0.1])}, None, {"x": [3, 1]}),
        ({"x": jnp.bfloat16(0.3)}, None, {"x": 3}),
        ({"x": float(np.float32(0.3))}, None, {"x": 3}),
        ({"x": np.array([0.3, 0.1], ">f8")}, None, {"x": [3, 1]}),
        ({"x": 1}, None, {"x": 10}),
        ({"x": 1 - 0.9}, None, {"x": 1}),
        ({"d": slice(3, 1)}, None, {"d": [0, 1, 2]}),
        ({"d": slice(1, 2)}, None, {"d": [1, 2]}),
        ({"d": slice(None, 2)}, None, {"d": [1, 2]}),
        ({"d": slice(3, 1)}, "nearest", {"d": [0, 1, 2]}),
        ({"s": slice("low", "high")}, None, {"s": [0, 1, 2]}),
        ({"s": slice("mid", None)}, None, {"s": [1, 2]}),
        ({"x": 0.31, "d": slice(3, 2)}, "nearest", {"x": 3, "d": [0, 1]}),
        ({"a": slice(1, 2), "b": 11}, "nearest", {"pair": 1}),
        ({"n": 15}, "nearest", {"n": 1}),
        ({"x": 0.34}, "nearest", {"x": 3}),
        ({"x": [0.34, 0.36]}, "nearest", {"x": [3, 4]}),
        ({"x": slice(0.2, 0.3)}, "nearest", {"x": [2, 3]}),
        ({"u": 1.0}, None, {"u": 1}),
        ({"u": 2.4}, "nearest", {"u": 2}),
        ({"u": slice(1.5, 3)}, None, {"u": [0, 2]}),
        ({"n": 20}, None, {"n": 1}),
        ({"n": 20.0}, None, {"n": 1}),
        ({"n": 24}, "nearest", {"n": 1}),
        ({"n": np.int8(20)}, None, {"n": 1}),
        ({"n": jnp.int32(20)}, None, {"n": 1}),
        ({"n": jnp.array([30, 10])}, None, {"n": [2, 0]}),
        ({"f": True}, None, {"f": 0}),
        ({"f": [False, True]}, "nearest", {"f": [1, 0]}),
        ({"s": "mid"}, "nearest", {"s": 1}),
        ({"s": ["high", "low"]}, None, {"s": [2, 0]}),
        ({"s": slice("low", "mid")}, None, {"s": [0, 1]}),
        ({"a": 2.0}, None, {"pair": 1}),
        ({"b": 21}, "nearest", {"pair": 2}),
        ({"a": 1.2, "b": 28}, "nearest", {"pair": 0}),
        ({"a": [3.0, 1.0], "b": [20.0, 30.0]}, None, {"pair": [2, 0]}),
        (
            {"x": 0.31, "s": "low", "b": 11, "f": True},
            "nearest",
            {"x": 3, "s": 0, "pair": 1, "f": 0},
        ),
        ({"x": xr.DataArray([0.3, 0.1], dims="z")}, None, {"x": [3, 1]}),
        ({}, None, {}),
    ],
    ids=plain,
)
def test_labels_become_positions(
    space: gx.Space, labels: dict[str, Any], method: str | None, expected: dict[str, Any]
) -> None:
    positions = by_label(space.dataset, labels, method)
    assert {dim: np.asarray(index).tolist() for dim, index in positions.items()} == expected


@pytest.fixture(scope="module")
def result(space: gx.Space) -> gx.Result:
    """The result of a run on the space, with a dimension of dates and one without labels."""
    times = pd.date_range("2020-01-01", periods=3)
    run = gx.ParallelExecution(lambda s: {"y": s["x"] * jnp.ones((3, 2))}, space)
    return run.run(progress=False, dims={"y": ("time", "lag")}, coords={"time": times})


def test_a_result_selects_what_a_dataset_selects(result: gx.Result) -> None:
    wanted = result.dataset.isel(x=[3, 1], s=1, d=1, pair=0)
    assert result.sel(x=[0.3, 0.1], s="mid", d=2.0, a=1.0).identical(wanted)
    assert "time" not in result.sel({"x": 0.3, "time": "2020-01-02"})["y"].dims
    assert result.sel(lag=1, x=0.3)["y"].identical(result.dataset["y"].isel(lag=1, x=3))
    assert result.sel(x=0.3, drop=True).identical(result.dataset.isel(x=3, drop=True))
    near = result.sel(x=0.31, time="2020-01-02T01", d=slice(3, 2), lag=0, method="nearest")
    assert near["x"].item() == 0.3
    assert near["d"].values.tolist() == [3.0, 2.0]
    assert str(near["time"].values)[:10] == "2020-01-02"
    assert "lag" not in near["y"].dims


def test_a_dataarray_selects_point_by_point_in_a_result(result: gx.Result) -> None:
    x = xr.DataArray([0.1 + 0.2, 0.1], dims="z", coords={"z": ["p", "q"]})
    d = xr.DataArray([1.0, 3.0], dims="z")
    selected = result.sel(x=x, d=d)
    assert selected["y"].dims[:1] == ("z",)
    assert selected["x"].values.tolist() == [0.3, 0.1]
    assert selected["d"].values.tolist() == [1.0, 3.0]
    assert selected["z"].values.tolist() == ["p", "q"]
    along = result.sel(x=xr.DataArray([0.3, 0.1], dims="x"))
    assert along["x"].values.tolist() == [0.3, 0.1]


def test_a_tolerance_limits_how_far_the_nearest_may_be(space: gx.Space, result: gx.Result) -> None:
    assert by_label(space.dataset, {"x": 0.34}, "nearest", 0.05) == {"x": 3}
    message = "no points match x=0.34 within 0.01; nearest labels of 'x': 0.3, 0.4, 0.2, …"
    for select in (space.sel, result.sel):
        with pytest.raises(KeyError, match=re.escape(message)):
            select(x=0.34, method="nearest", tolerance=0.01)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (
            {"x": 0.35},
            {},
            KeyError,
            "no points match x=0.35; nearest labels of 'x': 0.3, 0.4, 0.2, …",
        ),
        (
            {"x": [0.3, 0.35]},
            {},
            KeyError,
            "no points match x=0.35; nearest labels of 'x': 0.3, 0.4, 0.2, …",
        ),
        (
            {"x": slice(2, 3)},
            {},
            KeyError,
            "no points match x=slice(2, 3); labels of 'x': 0.0, 0.1, 0.2, …",
        ),
        ({"x": slice(0.5, 0.2)}, {}, KeyError, "no points match x=slice(0.5, 0.2); labels of 'x'"),
        ({"x": slice(None, -1)}, {}, KeyError, "no points match x=slice(None, -1); labels of 'x'"),
        ({"x": slice(0.21, 0.29)}, {"method": "nearest"}, KeyError, "no points match x=slice(0.21"),
        ({"x": []}, {}, KeyError, "no points match x=[]; labels of 'x': 0.0, 0.1, 0.2, …"),
        ({"x": np.nan}, {"method": "nearest"}, KeyError, "no points match x=nan; nearest labels"),
        ({"n": 15}, {}, KeyError, "no points match n=15; nearest labels of 'n': 10, 20, 30"),
        ({"n": 15.5}, {}, KeyError, "no points match n=15.5; nearest labels of 'n': 20, 10, 30"),
        (
            {"s": "top"},
            {},
            KeyError,
            "no points match s='top'; labels of 's': 'low', 'mid', 'high'",
        ),
        ({"s": 1}, {}, KeyError, "no points match s=1; labels of 's': 'low', 'mid', 'high'"),
        ({"u": 5.0}, {}, KeyError, "no points match u=5.0; nearest labels of 'u': 3.0, 2.0, 1.0"),
        (
            {"u": slice(5, 6)},
            {},
            KeyError,
            "no points match u=slice(5, 6); labels of 'u': 3.0, 1.0",
        ),
        (
            {"a": 1.0, "b": 10.0},
            {},
            KeyError,
            "no points match a=1.0, b=10.0; nearest labels of 'a': 1.0, 2.0, 3.0; nearest labels "
            "of 'b': 10.0, 20.0, 30.0",
        ),
        (
            {"z": 1},
            {},
            ValueError,
            "no axis 'z' to select by; the axes are 'x', 'u', 'n', 'f', 's'",
        ),
        ({"pair": 1}, {}, ValueError, "no axis 'pair' to select by; the axes are 'x', 'u', 'n'"),
        ({"x": 0.3}, {"method": "pad"}, ValueError, "method must be None or 'nearest', got 'pad'"),
        (
            {"x": 0.3},
            {"tolerance": 0.1},
            ValueError,
            "tolerance= requires method='nearest'; without it, labels must match exactly",
        ),
        (
            {"x": [True, False]},
            {},
            TypeError,
            "labels of 'x' are not booleans; use isel() for a mask",
        ),
        ({"n": True}, {}, TypeError, "labels of 'n' are not booleans; use isel() for a mask"),
        (
            {"x": "high"},
            {},
            TypeError,
            "labels of 'x' are numbers, got 'high'; pass a number, or a list or slice of numbers",
        ),
        ({"x": None}, {}, TypeError, "labels of 'x' are numbers, got None"),
        ({"x": slice("a", None)}, {}, TypeError, "labels of 'x' are numbers, got 'a'"),
        (
            {"x": slice([0.1], None)},
            {},
            TypeError,
            "the ends of a slice of labels of 'x' must be single labels, got [0.1]",
        ),
        (
            {"a": [1.0, 2.0], "b": [30.0]},
            {},
            ValueError,
            "lists of labels for several coordinates along 'pair' are read in pairs, but their "
            "shapes differ (a: (2,), b: (1,)); pass lists of the same length",
        ),
    ],
    ids=plain,
)
def test_labels_that_select_nothing_say_what_there_is(
    space: gx.Space,
    result: gx.Result,
    labels: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    for select in (space.sel, result.sel):
        if "pair" in labels and select == result.sel:
            continue  # a dimension without labels of its own is selected by position, as in xarray
        with pytest.raises(error, match=re.escape(message)):
            select(labels, **options)


def test_a_label_as_it_is_displayed_leads_to_the_label_that_exists() -> None:
    space = gx.Space({"s": gx.LogGridAxis(1e-3, 1e-1, 5)}, mode="product")
    message = "no points match s=0.003162; nearest labels of 's': 0.00316227766016838, 0.001, 0.01"
    result = gx.ParallelExecution(lambda s: s["s"], space).run(progress=False)
    for select in (space.sel, result.sel):
        with pytest.raises(KeyError, match=re.escape(message)):
            select(s=0.003162)
    rounded = gx.Space({"s": gx.LogGridAxis(1e-3, 1e-1, 5, digits=4)}, mode="product")
    assert rounded.sel(s=0.003162).N == 1


def test_labels_of_two_dimensions_cannot_select_from_a_space(space: gx.Space) -> None:
    message = "a selection along 'x' must be one-dimensional, got shape (1, 1)"
    with pytest.raises(ValueError, match=re.escape(message)):
        space.sel(x=xr.DataArray([[0.1]], dims=("y", "z")))


def test_float32_coordinates_are_selected_by_their_decimals() -> None:
    measured = xr.DataArray(np.float32([0.3, 0.1]), dims="x", coords={"x": np.float32([0.3, 0.1])})
    space = gx.Space({"x": gx.DataAxis(measured)}, mode="product")
    for query in (0.3, np.float32(0.3), float(np.float32(0.3)), 0.1 + 0.2):
        assert space.sel(x=query)[0]["x"] == np.float32(0.3)
    with pytest.raises(KeyError, match=r"no points match x=0\.3001"):
        space.sel(x=0.3001)


@pytest.mark.parametrize("mode", ["product", "zip"])
@pytest.mark.parametrize("seed", range(5))
def test_the_number_that_a_model_received_selects_its_point(seed: int, mode: str) -> None:
    rng = np.random.default_rng(seed)
    low, n = round(rng.normal(), 2), int(rng.integers(3, 30))
    for axis in (
        gx.GridAxis(low, low + round(rng.uniform(1, 9), 3), n),
        gx.LogGridAxis(10.0 ** rng.integers(-5, 1), 3e2, n),
        gx.DataAxis(rng.permutation(np.linspace(low, low + 1, n))),
        gx.UniformAxis(low, low + 1, n),
    ):
        space = gx.Space({"x": axis}, mode)
        labels = space.dataset["x"].values
        numbers = np.array([point["x"] for point in space])
        assert numbers.dtype == np.float32
        for label, number in zip(labels, numbers, strict=True):
            for query in (number, jnp.asarray(number), number.item(), [number]):
                if type(query) is not float or query != float(str(number)):
                    assert space.sel(x=query).dataset["x"].item() == label
        np.testing.assert_array_equal(space.sel(x=numbers).dataset["x"], labels)
        first, last = np.sort(numbers)[[0, -2]]
        between = space.sel(x=slice(first, last)).dataset["x"].values
        np.testing.assert_array_equal(between, labels[labels != labels.max()])


def test_a_number_is_not_taken_for_a_label_that_only_rounds_to_it() -> None:
    typed = xr.Dataset(coords={"x": [1 / 3, 0.5 + 1e-9]})
    for query in (0.5, 0.33333334, 0.333):
        with pytest.raises(KeyError, match="no points match"):
            by_label(typed, {"x": query})
    fine = xr.Dataset(coords={"x": 1 / 3 + np.arange(3) * 1e-9})
    with pytest.raises(KeyError, match="no points match"):
        by_label(fine, {"x": np.float32(1 / 3)})


def test_an_integer_label_beyond_the_floats_is_found_exactly() -> None:
    labels = np.array([2**62, 2**62 + 1, 3])
    dataset = xr.Dataset(coords={"x": ("x", labels)})
    assert by_label(dataset, {"x": 2**62 + 1}) == {"x": 1}
    assert by_label(dataset, {"x": np.uint64(2**62 + 1)}) == {"x": 1}
    with pytest.raises(KeyError, match="no points match x=-3"):
        by_label(xr.Dataset(coords={"x": np.array([2**63], np.uint64)}), {"x": -3})


def test_many_labels_are_found_at_once() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.permutation(100_000) / 7, rng.permutation(100_000) / 3
    dataset = xr.Dataset(coords={"a": ("p", a), "b": ("p", b)}).set_xindex(
        ["a", "b"], gx.PointIndex
    )
    wanted = rng.permutation(100_000)[:50_000]
    np.testing.assert_array_equal(by_label(dataset, {"a": a[wanted]})["p"], wanted)
    both = by_label(dataset, {"a": a[wanted], "b": b[wanted] * (1 + 1e-16)})
    np.testing.assert_array_equal(both["p"], wanted)


def test_texts_of_any_dtype_are_labels() -> None:
    dataset = xr.Dataset(coords={"s": ("s", np.array(["b", "a"], object))})
    assert by_label(dataset, {"s": "a"}) == {"s": 1}
    assert sel(dataset, {"s": ["a", "b"]})["s"].values.tolist() == ["a", "b"]


@pytest.mark.parametrize("labels", [[3, 2, 1], [1, 3, 2]], ids=["descending", "unsorted"])
def test_a_negative_step_needs_ascending_labels(labels):
    space = gx.Space({"a": gx.DataAxis(labels)}, mode="product")
    text = (
        "a slice of labels of 'a', which are not in ascending order, cannot have a negative step, "
        "got slice(3, 1, -1); select with isel() afterwards"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        space.sel(a=slice(3, 1, -1))
