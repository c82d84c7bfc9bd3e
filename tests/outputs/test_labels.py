from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gridax._outputs.labels import coordinates, labeled
from gridax._outputs.template import template_of
from tests.ids import plain

SERIES = template_of({"rate": 1.0, "activity": np.zeros((3, 2))})


def labeled_series(dims=None, taken=(), grid_dims=()):
    return labeled(SERIES, taken, grid_dims, dims)


def outputs(template):
    return {o.name: o.dims for o in template.outputs}


def test_dimensions_without_names_are_numbered():
    assert outputs(labeled_series()) == {
        "activity": ("activity_dim_0", "activity_dim_1"),
        "rate": (),
    }


@pytest.mark.parametrize("names", [("time", "region"), ["time", "region"]])
def test_dims_name_them(names):
    assert outputs(labeled_series({"activity": names}))["activity"] == ("time", "region")


def test_one_dimension_may_be_named_by_a_string():
    template = labeled(template_of(np.zeros(3)), (), (), {"value": "time"})
    assert outputs(template) == {"value": ("time",)}


def test_dims_replace_those_of_the_model():
    raw = template_of(xr.Variable("t", np.zeros(3)))
    assert outputs(labeled(raw, (), (), {"value": ("time",)})) == {"value": ("time",)}


def test_a_name_that_a_coordinate_bears_gets_a_prefix():
    template = labeled_series(taken={"rate"})
    assert outputs(template) == {
        "activity": ("activity_dim_0", "activity_dim_1"),
        "result.rate": (),
    }


def test_a_name_that_results_keep_for_themselves_gets_a_prefix():
    assert outputs(labeled(template_of({"status": 1}), (), (), None)) == {"result.status": ()}


@pytest.mark.parametrize(
    ("dims", "error", "text"),
    [
        (
            ("time",),
            TypeError,
            "dims= must be a mapping from outputs to dimensions, such as {'activity': ('time',)}; got "
            "('time',)",
        ),
        ("time", TypeError, "dims= must be a mapping from outputs to dimensions, such as"),
        (
            {"speed": ()},
            ValueError,
            "dims= names an output 'speed', but the outputs are ['activity', 'rate']",
        ),
        (
            {"activity": ("time",)},
            ValueError,
            "dims= has 1 names for output 'activity', ('time',), but its shape is (3, 2)",
        ),
        (
            {"activity": "time"},
            ValueError,
            "dims= has 1 names for output 'activity', ('time',), but its shape is (3, 2)",
        ),
        (
            {"activity": 2},
            TypeError,
            "dims= for output 'activity' must be a name or a sequence of names, got 2",
        ),
        (
            {"activity": ("time", 1)},
            TypeError,
            "output 'activity': a name must be a string, got 1",
        ),
        (
            {"activity": ("time", "a/b")},
            ValueError,
            "output 'activity': 'a/b' cannot name a dimension: files cannot store a name with a slash",
        ),
        (
            {"activity": ("time", "status")},
            ValueError,
            "output 'activity': 'status' cannot name a dimension: results use that name themselves",
        ),
        (
            {"activity": ("time", "time")},
            ValueError,
            "output 'activity' has the dimension 'time' twice: ('time', 'time')",
        ),
        (
            {"activity": ("time", "G")},
            ValueError,
            "output 'activity' has a dimension 'G', which is also a dimension of the space; "
            "rename it with dims= or in the model",
        ),
    ],
    ids=plain,
)
def test_dims_that_do_not_fit_are_refused(dims, error, text):
    with pytest.raises(error, match=re.escape(text)):
        labeled_series(dims, grid_dims=("G",))


@pytest.mark.parametrize("dim", ["status", "error", "a/b", " t", ""])
def test_a_dimension_of_the_model_that_cannot_be_stored_is_refused(dim):
    text = f"output 'x': {dim!r} cannot name a dimension"
    with pytest.raises(ValueError, match=re.escape(text)):
        labeled(template_of({"x": xr.DataArray(np.ones(2), dims=dim)}), (), (), None)
    named = labeled(template_of({"x": xr.DataArray(np.ones(2), dims=dim)}), (), (), {"x": "t"})
    assert named.outputs[0].dims == ("t",)


def test_one_name_for_dimensions_of_different_sizes_is_refused():
    raw = template_of({"a": np.zeros(3), "b": np.zeros(4)})
    text = (
        "the dimension 'time' has size 3 in output 'a' and 4 in output 'b'; rename one of "
        "them with dims="
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        labeled(raw, (), (), {"a": ("time",), "b": ("time",)})


def test_a_name_that_cannot_be_stored_is_refused():
    text = (
        "output 'a/b' cannot be stored under that name: files cannot store a name with a slash or "
        "backslash"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        labeled(template_of({"a/b": 1.0}), (), (), None)


def test_a_prefixed_name_that_is_taken_too_is_refused():
    text = (
        "output 'a' cannot be stored under that name: it is the name of a coordinate or dimension"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        labeled(template_of({"a": 1.0}), {"a", "result.a"}, (), None)


@pytest.mark.parametrize("name", ["x", "status", "t"])
def test_a_prefixed_name_that_another_output_has_is_refused(name):
    raw = template_of({"result": {name: 1.0}, name: 2.0, "z": xr.Variable("t", np.zeros(2))})
    text = (
        f"the model returns two outputs named 'result.{name}': the name {name!r} is already in "
        f"use, so that output is stored as 'result.{name}'; rename one of them"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        labeled(raw, {"x"}, (), None)


SERIES_T = xr.Variable("t", np.zeros(3))


@pytest.mark.parametrize(
    ("result", "dims", "names"),
    [
        ({"t": SERIES_T}, None, {"result.t": ("t",)}),
        ({"t": 1.0, "x": SERIES_T}, None, {"result.t": (), "x": ("t",)}),
        (
            {"t": np.zeros(3), "x": SERIES_T},
            None,
            {"result.t": ("result.t_dim_0",), "x": ("t",)},
        ),
        (
            {"t": np.zeros(3), "x": np.zeros(3)},
            {"t": ("t",), "x": ("t",)},
            {"result.t": ("t",), "x": ("t",)},
        ),
        (
            {"x": np.zeros(3), "x_dim_0": np.zeros(2), "x_dim_0_dim_0": 1.0},
            None,
            {"x": ("x_dim_0",), "result.x_dim_0": ("result.x_dim_0_dim_0",), "x_dim_0_dim_0": ()},
        ),
        (
            {"a": xr.Dataset({"b": ("a.b", np.zeros(2))})},
            None,
            {"result.a.b": ("a.b",)},
        ),
    ],
    ids=["its own", "of another", "an array", "named by dims=", "default names", "a Dataset"],
)
def test_a_name_that_a_dimension_bears_gets_a_prefix(result, dims, names):
    assert outputs(labeled(template_of(result), (), (), dims)) == names


def test_a_prefixed_name_that_a_dimension_bears_is_refused():
    text = (
        "output 't' cannot be stored under that name: it is the name of a coordinate or dimension"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        labeled(template_of({"t": np.zeros((1, 1))}), (), (), {"t": ("t", "result.t")})


NAMED = labeled(SERIES, (), (), {"activity": ("time", "region")})


@pytest.mark.parametrize(
    "coord",
    [
        [0.1, 0.2, 0.3],
        np.float32([0.1, 0.2, 0.3]),
        jnp.array([0.1, 0.2, 0.3]),
        0.1 * np.arange(1, 4),
        ("time", [0.1, 0.2, 0.3]),
        (("time",), np.float32([0.1, 0.2, 0.3])),
        pd.Index([0.1, 0.2, 0.3]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_coordinates_come_in_any_form_and_label_by_shortest_decimals(coord):
    found = coordinates(NAMED, {"time": coord}, {})
    assert found["time"].dims == ("time",)
    assert found["time"].values.tolist() == [0.1, 0.2, 0.3]


TIMES = [0.1 * np.arange(3), np.float32([0.1, 0.2, 0.3]), np.array([-0.0, 0.7, 0.7])]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", [xr.Variable, xr.DataArray])
def test_coordinates_that_are_xarray_objects_stay_bit_for_bit_as_they_are(times, kind):
    coord = xr.Variable("time", times) if kind is xr.Variable else xr.DataArray(times, dims="time")
    found = coordinates(NAMED, {"time": coord}, {})["time"].values
    assert (found.dtype, found.tobytes()) == (times.dtype, times.tobytes())


@pytest.mark.parametrize("times", TIMES)
def test_coordinates_of_the_model_stay_bit_for_bit_as_they_are(times):
    raw = template_of(xr.DataArray(np.zeros(3), {"time": times}, ["time"]))
    found = coordinates(labeled(raw, (), (), None), None, {})["time"].values
    assert (found.dtype, found.tobytes()) == (times.dtype, times.tobytes())


def test_dims_rename_the_coordinates_of_the_model_too():
    coords = {"x": [1.0, 2.0], "half": ("x", [0.5, 1.0]), "n": 3}
    raw = template_of(xr.DataArray(np.zeros(2), coords, ["x"]))
    found = coordinates(labeled(raw, (), (), {"value": "y"}), None, {})
    assert {name: v.dims for name, v in found.items()} == {"y": ("y",), "half": ("y",), "n": ()}
    assert found["y"].values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_value_of_a_series_may_keep_its_time(order):
    x = xr.DataArray(np.arange(3.0), {"time": [0.0, 0.1, 0.2]}, ["time"])
    both = {"trace": x, "final": x.isel(time=-1)}
    template = labeled(template_of(dict([*both.items()][::order])), (), (), None)
    assert coordinates(template, None, {})["time"].values.tolist() == [0.0, 0.1, 0.2]


def test_two_different_numbers_as_a_coordinate_are_refused_with_what_to_do():
    x = xr.DataArray(np.arange(3.0), {"time": [0.0, 0.1, 0.2]}, ["time"])
    raw = template_of({"first": x[0], "last": x[-1]})
    with pytest.raises(ValueError, match=re.escape("; leave it out with .drop_vars('time')")):
        coordinates(labeled(raw, (), (), None), None, {})


def test_a_multiindex_is_refused_with_what_to_do():
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["k", "n"])
    coords = xr.Coordinates.from_pandas_multiindex(index, "z")
    raw = template_of(xr.DataArray(np.zeros(4), coords, ["z"]))
    text = "the coordinate 'z' has a MultiIndex, which files cannot store; return the output after "
    with pytest.raises(TypeError, match=re.escape(text + ".reset_index('z')")):
        coordinates(labeled(raw, (), (), None), None, {})


def test_a_number_may_be_a_coordinate():
    assert coordinates(NAMED, {"run": 5}, {})["run"].item() == 5


def test_coordinates_of_several_dimensions_keep_their_digits_and_attributes():
    place = np.full((3, 2), 0.1 + 0.2)
    found = coordinates(NAMED, {"place": (("time", "region"), place, {"units": "mm"})}, {})
    assert (found["place"].values == place).all()
    assert found["place"].attrs == {"units": "mm"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "c"], "U"),
        (np.array(["a", "b", "c"], dtype=object), "U"),
        (pd.Index(["a", "b", "c"]), "U"),
        (pd.date_range("2020-01-01", periods=3), "M"),
        ([True, False, True], "b"),
        ([1 + 1j, 2, 3], "c"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_coordinates_may_be_text_dates_bools_or_complex(values, kind):
    assert coordinates(NAMED, {"time": values}, {})["time"].dtype.kind == kind


def test_a_coordinate_that_the_space_has_already_is_not_repeated():
    region = xr.Variable("region", ["a", "b"])
    assert coordinates(NAMED, {"region": region}, {"region": region}) == {}


@pytest.mark.parametrize(
    ("coords", "error", "text"),
    [
        (
            [0.1, 0.2],
            TypeError,
            "coords= must be a mapping from names to coordinates, such as {'time': times}; got [0.1, 0.2]",
        ),
        (
            {"when": [1, 2, 3]},
            ValueError,
            "coords=: the coordinate 'when' is along 'when', but the dimensions of the outputs are "
            "['time', 'region']; rename them with dims=",
        ),
        (
            {"time": [1, 2]},
            ValueError,
            "coords=: the coordinate 'time' has 2 values along 'time', but the outputs have 3",
        ),
        (
            {"rate": ("time", [1, 2, 3])},
            ValueError,
            "coords=: 'rate' is the name of a coordinate and of an output",
        ),
        (
            {"time": 3},
            ValueError,
            "coords=: 'time' is a dimension of the outputs, so its coordinate needs 3 values, got the number 3",
        ),
        ({"time": (1,)}, ValueError, "coords= for 'time': not enough values to unpack"),
        (
            {"time": np.array([1, None, "x"], dtype=object)},
            TypeError,
            "coords=: the coordinate 'time' has the dtype object, which files cannot store; convert it "
            "to numbers, strings or dates",
        ),
        (
            {"time": ("time", [1, 2, 3], {"units": "days since 1970-01-01"})},
            ValueError,
            "coords=, coordinate 'time': the units 'days since 1970-01-01' would turn numbers into",
        ),
        (
            {"a/b": ("time", [1, 2, 3])},
            ValueError,
            "coords=: 'a/b' cannot name a dimension: files cannot store a name with a slash",
        ),
        (
            {"dt": ("time", [1, 2, 3])},
            ValueError,
            "coords=: the coordinate 'dt' has values that differ from those of another coordinate "
            "of that name; rename one of them",
        ),
    ],
    ids=plain,
)
def test_coordinates_that_do_not_fit_are_refused(coords, error, text):
    with pytest.raises(error, match=re.escape(text)):
        coordinates(NAMED, coords, {"dt": xr.Variable((), 0.1)})


def test_outputs_that_disagree_about_a_coordinate_are_refused():
    raw = template_of(
        {
            "a": xr.DataArray(np.zeros(2), {"t": [0.1, 0.2]}, ["t"]),
            "b": xr.DataArray(np.zeros(2), {"t": [0.1, 0.3]}, ["t"]),
        }
    )
    text = "output 'b': the coordinate 't' has values that differ from those of another coordinate"
    with pytest.raises(ValueError, match=re.escape(text)):
        coordinates(labeled(raw, (), (), None), None, {})


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (
            {"time": xr.Variable((), 2.0)},
            "output 'activity' has a dimension 'time', but the space has a coordinate of that "
            "name; rename the dimension with dims= or in the model",
        ),
        (
            {"W_value": xr.Variable(("W", "region"), np.zeros((2, 4)))},
            "the dimension 'region' has size 2 in output 'activity' and 4 in the coordinate "
            "'W_value'; rename one of them",
        ),
    ],
    ids=["the name of a fixed value", "another size"],
)
def test_dimensions_that_do_not_fit_the_space_are_refused_before_the_run(taken, text):
    template = labeled_series({"activity": ("time", "region")})
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        coordinates(template, None, taken)


def test_a_dimension_that_a_value_of_the_space_has_too_is_shared():
    taken = {"W_value": xr.Variable(("W", "region"), np.zeros((3, 2)))}
    assert coordinates(labeled_series({"activity": ("time", "region")}), None, taken) == {}
