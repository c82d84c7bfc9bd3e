"""Outputs between the points of a grid, and among scattered points."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx


def plane(state):
    y = 2 * state["x"] - 3 * state["y"] + 1
    return {"z": y, "row": jnp.stack([y, -y]), "flag": state["x"] > 0.5}


SPACE = gx.Space(
    {"x": gx.GridAxis(0, 1, 5, attrs={"units": "mV"}), "y": gx.DataAxis([3.0, 1.0, 2.0])},
    mode="product",
)
RESULT = gx.ParallelExecution(plane, SPACE).run(progress=False)
SCATTERED = gx.ParallelExecution(plane, gx.refine(RESULT, "z", 10)).run(progress=False)


@pytest.mark.parametrize("result", [RESULT, SCATTERED], ids=["grid", "scattered"])
@given(st.floats(0, 1), st.lists(st.floats(1, 3), min_size=1, max_size=4))
def test_a_plane_is_interpolated_exactly(result, x, y):
    found = result.interp(x=x, y=y)
    wanted = 2 * x - 3 * np.array(y) + 1
    np.testing.assert_allclose(found["z"], wanted, atol=1e-5)
    np.testing.assert_allclose(found["row"], np.stack([wanted, -wanted], axis=-1), atol=1e-5)
    assert found["z"].dims == ("y",)
    # Labels are exact.
    np.testing.assert_allclose(found["y"], y, rtol=1e-15)
    assert found["x"].item() == pytest.approx(x, abs=1e-15)


@pytest.mark.parametrize("result", [RESULT, SCATTERED], ids=["grid", "scattered"])
def test_sequences_are_combined_and_arrays_go_together(result):
    grid = result.interp(x=[0.1, 0.7], y=[1.5, 2.5, 2.9])["z"]
    assert dict(grid.sizes) == {"x": 2, "y": 3}
    along = {"x": xr.DataArray([0.1, 0.7], dims="step"), "y": xr.DataArray([1.5, 2.5], dims="step")}
    line = result.interp(**along)["z"]
    assert line.dims == ("step",)
    np.testing.assert_allclose(line, [grid[0, 0], grid[1, 1]], rtol=1e-6)


@pytest.mark.parametrize("result", [RESULT, SCATTERED], ids=["grid", "scattered"])
def test_outside_of_the_points_there_is_nothing(result):
    assert np.isnan(result.interp(x=1.1, y=2.0)["z"])


def test_rounding_errors_do_not_place_values_outside_of_the_points():
    space = gx.Space({"x": gx.GridAxis(0.1, 0.3, 3), "y": gx.GridAxis(-0.3, 0.7, 3)}, "product")
    result = gx.ParallelExecution(plane, space).run(progress=False)
    single = jnp.linspace(0.1, 0.7, 7)
    for y in (single, xr.DataArray(np.asarray(single), dims="y"), [0.7, 0.1 * 7]):
        found = result.interp(x=[0.1 + 0.2, 0.1], y=y)
        assert not np.isnan(found["z"]).any()
        assert found["x"].values.tolist() == [0.3, 0.1]


def test_what_is_not_named_stays():
    found = RESULT.interp(x=0.3)
    assert found["z"].dims == ("y",)
    assert found["y"].values.tolist() == [3.0, 1.0, 2.0]
    assert found["x"].attrs == {"units": "mV"}


def test_flags_become_numbers():
    assert RESULT.interp(x=0.625, y=1.0)["flag"].item() == pytest.approx(0.5)


def test_logarithmic_axes_are_interpolated_on_their_scale():
    space = gx.Space({"s": gx.LogGridAxis(1e-3, 1e-1, 3), "x": gx.GridAxis(0, 1, 3)}, "product")

    def model(state):
        return jnp.log(state["s"]) * state["x"]

    result = gx.ParallelExecution(model, space).run(progress=False)
    assert result.interp(s=2e-3, x=0.5)["value"].item() == pytest.approx(np.log(2e-3) / 2, rel=1e-5)
    finer = gx.refine(result, "value", 12)
    result = gx.ParallelExecution(model, finer).run(extend=result, progress=False)
    assert result.interp(s=2e-3, x=0.5)["value"].item() == pytest.approx(np.log(2e-3) / 2, rel=1e-2)
    assert result.plot().axes.get_xscale() == "log"


def test_a_single_axis_that_was_refined():
    space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
    result = gx.ParallelExecution(lambda s: 2 * s["x"], space).run(progress=False)
    finer = gx.ParallelExecution(lambda s: 2 * s["x"], gx.refine(result, "value", 4)).run(
        progress=False
    )
    np.testing.assert_allclose(finer.interp(x=[0.3, 0.9])["value"], [0.6, 1.8], rtol=1e-6)
    assert np.isnan(finer.interp(x=1.2)["value"])


def test_points_without_a_value_are_left_out():
    def model(state):
        if state["x"] == 0.5 and state["y"] == 2.0:
            raise ValueError
        return 2 * state["x"] - 3 * state["y"] + 1

    result = gx.SequentialExecution(model, SPACE[list(range(len(SPACE)))])
    found = result.run(on_error="record", progress=False).interp(x=0.5, y=2.0)
    assert found["value"].item() == pytest.approx(-4.0)


@pytest.mark.parametrize(
    ("coords", "text"),
    [
        ({}, "name at least one axis, such as interp(x=0.5)"),
        ({"q": 1.0}, "no axis 'q' varies; the axes are x, y"),
        ({"x": "a"}, "values of axis 'x' must be a number, a sequence of numbers, or a DataArray"),
        ({"x": [[0.1]]}, "values of axis 'x' must be a number, a sequence of numbers"),
    ],
)
def test_wrong_coordinates_are_rejected(coords, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(f"interp: {text}")):
        RESULT.interp(**coords)


@pytest.mark.parametrize("values", [[], np.empty(0), xr.DataArray(np.empty(0), dims="q")])
def test_no_values_are_rejected(values):
    with pytest.raises(ValueError, match="interp: no values of axis 'x' are given; give at least"):
        RESULT.interp(x=values)


def test_axes_with_a_single_label_are_left_out():
    axes = {"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3), "w": gx.GridAxis(1, 2, 2)}
    space = gx.Space(axes, mode="product")
    for part in (space.filter(lambda ds: ds.w == 2), space.sel(w=[2])):
        result = gx.ParallelExecution(lambda s: s["x"] + s["y"], part).run(progress=False)
        assert result.interp(x=0.2, y=0.1)["value"].item() == pytest.approx(0.3)
        with pytest.raises(ValueError, match="axis 'w' has a single label, so there is nothing"):
            result.interp(x=0.2, y=0.1, w=2)


def test_axes_that_have_nothing_between_their_labels_are_rejected():
    state = {
        "a": gx.GridAxis(0, 1, 3, group="g"),
        "b": gx.GridAxis(0, 1, 3, group="g"),
        "f": gx.ChoiceAxis(["u", "v"]),
        "k": gx.KeyAxis(2),
    }
    space = gx.Space(state, mode="product")
    result = gx.ParallelExecution(lambda s: s["a"] + s["b"], space).run(progress=False)
    with pytest.raises(ValueError, match="axis 'a' shares the dimension 'g' with others"):
        result.interp(a=0.3)
    for name in ("f", "k"):
        with pytest.raises(
            ValueError, match=f"axis '{name}' has no numbers to interpolate between"
        ):
            result.interp(**{name: 0})
    with pytest.raises(ValueError, match="points lie along x, y together; give values of all"):
        SCATTERED.interp(x=0.3)
    infinite = gx.Space({"a": gx.DataAxis([0.0, 1.0, np.inf])}, mode="product")
    with pytest.raises(ValueError, match="axis 'a' has an infinite label; select its labels"):
        gx.ParallelExecution(lambda s: s["a"], infinite).run(progress=False).interp(a=0.3)
    zipped = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(0, 1, 3)})
    line = gx.ParallelExecution(lambda s: s["a"], zipped).run(progress=False)
    with pytest.raises(ValueError, match="3 points that have values lie on a line or plane"):
        line.interp(a=0.3, b=0.3)


def test_points_that_are_pending_are_left_out_of_a_grid():
    space = gx.Space({"x": gx.GridAxis(0, 1, 9), "y": gx.LogGridAxis(1, 16, 5)}, mode="product")

    def plane(state):
        if (state["x"] * 8 + np.log2(state["y"])) % 2 > 0.5 and 0 < state["x"] < 1:
            raise ArithmeticError
        return {"z": state["x"] + np.log2(state["y"]), "pair": np.array([state["x"], 1.0])}

    run = gx.SequentialExecution(plane, space).run(on_error="record", progress=False)
    assert (run.dataset["status"] == 2).sum() > 10
    found = run.interp(x=[0.05, 0.5, 0.95], y=[2.0, 5.0])
    wanted = np.array([0.05, 0.5, 0.95])[:, None] + np.log2([2.0, 5.0])
    np.testing.assert_allclose(found["z"], wanted, atol=1e-6)
    np.testing.assert_allclose(found["pair"][..., 1], np.ones((3, 2)), atol=1e-6)
    assert found["pair"].dims[:2] == ("x", "y")


def test_outputs_without_any_value_are_nan_between_points_too():
    space = gx.Space({"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3)}, mode="product")

    def fails(state):
        return 1 / 0 if state["x"] == 0.5 else {"z": state["x"], "none": np.nan}

    run = gx.SequentialExecution(fails, space).run(on_error="record", progress=False)
    found = run.interp(x=0.25, y=[0.5])
    np.testing.assert_allclose(found["z"], [0.25], atol=1e-6)
    assert np.isnan(found["none"]).all()
