"""What a person types selects the point: labels, predicates, and fixed values beside them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from xarray.indexes import PandasIndex

import gridax as gx
from tests.x64 import x64


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def grid_of(*sizes: int) -> gx.Space:
    """Return a product of whole numbers from 0 upwards, one axis per size, called a, b, …"""
    return product(
        {name: gx.DataAxis(np.arange(n)) for name, n in zip("abcdef", sizes, strict=False)}
    )


TYPED = {
    "linear": (gx.GridAxis(0, 1, 11), 0.3),
    "logarithmic": (gx.LogGridAxis(1e-3, 1e-1, 3), 0.01),
    "list of floats": (gx.DataAxis([0.7, 0.3, 0.1]), 0.3),
    "computed floats": (gx.DataAxis([0.1 + 0.2, 1 - 0.9]), 0.3),
    "float32 of NumPy": (gx.DataAxis(np.float32([0.3, 0.1])), 0.3),
    "float32 of JAX": (gx.DataAxis(jnp.linspace(0, 1, 11)), 0.3),
    "bfloat16": (gx.DataAxis(jnp.array([0.3, 0.1], jnp.bfloat16)), 0.3),
    "whole numbers": (gx.DataAxis([10, 20, 30]), 20),
    "bools": (gx.DataAxis([True, False]), False),
    "strings for numbers": (gx.DataAxis([0.1, 0.9], labels=["weak", "strong"]), "strong"),
    "strings for arrays": (gx.DataAxis(np.ones((2, 3)), labels=["weak", "strong"]), "strong"),
    "arrays": (gx.DataAxis(np.ones((2, 3))), 1),
    "keys": (gx.KeyAxis(4), 2),
    "given keys": (gx.DataAxis(jax.random.split(jax.random.key(0), 3)), 2),
    "choices": (gx.ChoiceAxis([jnp.tanh, jnp.sin]), "sin"),
    "a DataArray": (gx.DataAxis(xr.DataArray([5.0, 6.0], {"s": ["s1", "s2"]})), "s2"),
    "broadcast": (gx.GridAxis(0, 1, 11, shape=(3,)), 0.3),
}


@pytest.mark.parametrize("mode", ["product", "zip", "group"])
@pytest.mark.parametrize(("axis", "label"), TYPED.values(), ids=list(TYPED))
def test_what_a_person_types_selects_the_point(axis: gx.Axis, label: Any, mode: str) -> None:
    state = {"x": axis}
    if mode == "group":
        grouped = dataclasses.replace(axis, group="g")  # type: ignore[type-var]
        state = {"x": grouped, "y": gx.KeyAxis(axis.size, group="g")}
    space = gx.Space(state, mode="zip" if mode == "zip" else "product")
    (position,) = np.flatnonzero(space.dataset["x"].values == label)
    assert type(space.dataset["x"].values[position].item()) is type(label)
    found = space.sel(x=label)
    assert found.dims == ()
    assert found.dataset["x"].item() == label
    assert space.sel(x=[label]).dataset["x"].values.tolist() == [label]
    assert space.dataset["x"].sel(x=label).item() == label
    expected, value = space[int(position)]["x"], found[0]["x"]
    assert value is expected or (value == expected).all()
    frame = space.to_dataframe()
    if axis.__class__ is not gx.DataAxis or np.ndim(axis.values) == 1:
        assert len(frame[frame["x"] == label]) == 1


@pytest.mark.parametrize(
    "axis",
    [gx.UniformAxis(0, 1, 50), gx.NumPyroAxis(dist.Normal(0.0, 1.0), 50)],
    ids=lambda axis: type(axis).__name__,
)
def test_a_random_number_is_found_by_its_printed_label_or_by_nearest(axis: gx.Axis) -> None:
    space = product({"x": axis})
    for i, label in enumerate(space.to_dataframe()["x"]):
        typed = float(repr(label))
        assert space.sel(x=typed)[0]["x"] == space[i]["x"]
        assert space.sel(x=typed + 1e-9, method="nearest").dataset["x"] == label


@pytest.mark.parametrize("axis", [axis for axis, _ in TYPED.values()], ids=list(TYPED))
def test_labels_are_the_same_with_64_bits(axis: gx.Axis) -> None:
    space = product({"x": axis})
    with x64():
        wide = product({"x": axis})
        assert wide.dataset["x"].variable.identical(space.dataset["x"].variable)
        for label in wide.dataset["x"].values.tolist():
            assert wide.sel(x=label).dataset["x"] == label


def test_the_model_gets_the_label_in_the_dtype_of_jax() -> None:
    state = {"x": gx.GridAxis(0, 1, 11)}
    assert product(state)[3]["x"] == np.float32(0.3)
    with x64():
        value = product(state)[3]["x"]
        assert value.dtype == jnp.float64
        assert value.item() == 0.3


def test_labels_select_along_dimensions() -> None:
    space = product({"G": gx.GridAxis(0, 1, 11), "k": gx.KeyAxis(3), "b": gx.DataAxis([5.0, 3.0])})
    part = space.sel(G=slice(0.2, 0.5), k=[2, 0], b=4.8, method="nearest")
    assert part.sizes == {"G": 4, "k": 2}
    assert part.dataset["G"].values.tolist() == [0.2, 0.3, 0.4, 0.5]
    assert part.dataset["k"].values.tolist() == [2, 0]
    assert part.dataset["b"].item() == 5.0
    assert part.sel(G=0.3, k=0).N == 1


def test_selecting_everything_leaves_a_space_of_no_dimension_and_one_point() -> None:
    space = product({"a": gx.GridAxis(0, 1, 11), "W": gx.DataAxis(np.eye(2)), "dt": 0.1})
    one = space.sel(a=0.3, W=1)
    assert (one.dims, one.shape, one.sizes, len(one)) == ((), (), {}, 1)
    assert one[0]["a"] == one[-1]["a"] == next(iter(one))["a"] == np.float32(0.3)
    assert one.dataset["a"].dims == ()
    assert one.dataset["W_value"].values.tolist() == [0.0, 1.0]
    assert one.to_dataframe()["a"].tolist() == [0.3]
    assert one.collect()["W"].shape == (1, 2)
    assert one[[0, 0]].sizes == {"point": 2}
    assert len(one.filter(lambda ds: ds.dt < 1)) == 1
    assert "1 point, product" in repr(one)
    with pytest.raises(IndexError, match="point 1 is out of range for a space of 1 points"):
        one[1]
    with pytest.raises(ValueError, match=re.escape("no axis 'a' to select by; the axes are none")):
        one.sel(a=0.3)


def test_a_group_is_selected_by_any_member_or_several() -> None:
    state = {
        "a": gx.DataAxis([1.0, 2.0, 2.0], group="g"),
        "b": gx.DataAxis([30.0, 10.0, 20.0], group="g"),
        "name": gx.ChoiceAxis(["x", "y", "z"], group="g"),
        "c": gx.DataAxis([5, 6]),
    }
    space = product(state)
    assert space.sel(a=1.0).sizes == {"c": 2}
    assert space.sel(a=2.0).sizes == {"g": 2, "c": 2}
    assert space.sel(a=2.0, b=20.0).dataset["name"].item() == "z"
    assert space.sel(name="y").dataset["b"] == 10.0
    assert space.sel(b=19, method="nearest").dataset["name"] == "z"
    assert space.sel(b=slice(15, 30), c=5).dataset["name"].values.tolist() == ["x", "z"]
    assert space.sel(a=[2.0, 1.0], b=[10.0, 30.0]).dataset["name"].values.tolist() == ["y", "x"]
    assert isinstance(space.dataset.xindexes["a"], gx.PointIndex)
    assert isinstance(space.dataset.xindexes["c"], PandasIndex)


def test_a_zipped_space_is_selected_by_any_axis() -> None:
    space = gx.Space({"a": gx.GridAxis(0, 1, 11), "b": gx.UniformAxis(0, 1, 11)})
    b = space.dataset["b"].values
    assert space.sel(a=0.3).dataset["b"] == b[3]
    assert space.sel(b=b[7] + 1e-9, method="nearest").dataset["a"] == 0.7
    part = space.sel(a=slice(0.2, 0.4))
    assert part.sizes == {"point": 3}
    assert part.dataset["b"].values.tolist() == b[2:5].tolist()


def test_the_dataset_can_be_read_with_the_tools_of_xarray() -> None:
    space = product(
        {"G": gx.GridAxis(0, 1, 11, attrs={"units": "1"}), "u": gx.DataAxis([3.0, 1.0])}
    )
    dataset = space.dataset
    assert dataset["G"].attrs == {"units": "1"}
    assert dataset.sel(G=0.3, u=1.2, method="nearest")["u"] == 1.0
    dataset["noise"] = ("G", np.ones(11))
    assert "noise" not in space.dataset


def test_a_predicate_keeps_points_across_dimensions() -> None:
    space = product({"a": gx.GridAxis(0, 1, 11), "b": gx.GridAxis(0, 1, 11), "limit": 0.5})
    part = space.filter(lambda ds: (ds.a < ds.b) & (ds.a + ds.b <= ds.limit))
    expected = [
        (round(a * 0.1, 1), round(b * 0.1, 1))
        for a in range(11)
        for b in range(11)
        if a < b and a + b <= 5
    ]
    assert part.dims == ("point",)
    dataset = part.dataset
    assert list(zip(dataset["a"].values, dataset["b"].values, strict=True)) == expected
    assert len(part.filter(lambda ds: ds.b == 0.5)) == 1


def test_a_predicate_on_one_dimension_keeps_it() -> None:
    part = product({"a": gx.GridAxis(0, 1, 11)}).filter(lambda ds: ds.a > 0.75)
    assert part.dims == ("a",)
    assert part.dataset["a"].values.tolist() == [0.8, 0.9, 1.0]


@pytest.mark.parametrize(
    ("predicate", "error", "message"),
    [
        (lambda ds: ds.a > 100, ValueError, "the filter keeps no points; the predicate"),
        (lambda ds: ds.a, TypeError, "the predicate must return a DataArray of booleans"),
        (
            lambda ds: (ds.a > 1).values,
            TypeError,
            "lambda ds: ds.a < ds.b; it returned ndarray of bool",
        ),
        ("a > 1", TypeError, "filter takes a function of the Dataset, got 'a > 1'"),
    ],
)
def test_predicates_that_are_none_are_refused(
    predicate: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        grid_of(3, 4).filter(predicate)


def test_results_align_with_the_data_whose_coordinate_was_swept() -> None:
    x = np.linspace(0, 1, 11)
    measured = xr.DataArray(x**2, dims="x", coords={"x": x})
    space = product({"x": gx.DataAxis(measured["x"])})
    result = gx.ParallelExecution(lambda s: s["x"] ** 2, space).run(progress=False)
    difference = result.dataset["value"] - measured
    assert difference.sizes == {"x": 11}
    assert abs(difference).max() < 1e-6
    for query in (0.3, 0.1 + 0.2, np.float32(0.3), x[3]):
        assert space.sel(x=query)[0]["x"] == np.float32(0.3)
        assert result.sel(x=query)["x"].item() == x[3]


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_labels_have_the_same_dtype_from_memory_and_from_a_file(save: str, tmp_path: Any) -> None:
    state = {
        "c": gx.ChoiceAxis(["euler", "heun", "rk4"]),
        "f": gx.ChoiceAxis([jnp.tanh, jnp.sin]),
        "n": gx.ChoiceAxis([1, 2]),
        "x": gx.DataAxis([1.0, 2.0], labels=["a", "bcd"]),
    }
    for part in (product(state), product(state).sel(c=["heun", "rk4"], x="a"), product(state)[[0]]):
        result = gx.SequentialExecution(lambda s: s["x"], part).run(progress=False)
        path = tmp_path / f"{save}{part.N}"
        getattr(result, save)(path)
        again = gx.open_result(path)
        for name, coordinate in result.dataset.coords.items():
            assert again.dataset[name].dtype == coordinate.dtype
            assert again.space.dataset[name].dtype == coordinate.dtype


def test_fixed_scalars_ride_along_as_scalar_coordinates() -> None:
    state = {
        "G": gx.GridAxis(0, 1, 3),
        "dt": 0.1,
        "n": 5,
        "flag": True,
        "solver": "heun",
        "np32": np.float32(0.3),
        "jax": jnp.float32(0.3),
        "deep": {"x": [np.int8(2)]},
    }
    dataset = product(state).dataset
    scalars = {
        name: dataset[name].item()
        for name in dataset.coords
        if name != "G" and not dataset[name].dims
    }
    assert scalars == {
        "dt": 0.1,
        "n": 5,
        "flag": True,
        "solver": "heun",
        "np32": 0.3,
        "jax": 0.3,
        "deep.x[0]": 2,
    }


def test_other_fixed_values_and_private_ones_do_not() -> None:
    state = {
        "G": gx.GridAxis(0, 1, 3),
        "W": np.eye(3),
        "f": jnp.tanh,
        "none": None,
        "z": 1j,
        "key": jax.random.key(0),
        "big": 2**70,
        "_private": 1.0,
        "inner": {"_cache": 2.0},
        "a/b": 3.0,
        "point": 4.0,
        "when": np.datetime64("2020-01-01"),
    }
    assert set(product(state).dataset.variables) == {"G"}


def test_runs_that_differ_in_a_fixed_value_concatenate() -> None:
    one, two = (product({"G": gx.GridAxis(0, 1, 3), "dt": dt}).dataset for dt in (0.1, 0.2))
    joined = xr.concat([one, two], dim="dt")
    assert joined.sel(dt=0.2, G=0.5).sizes == {}
    assert joined["dt"].values.tolist() == [0.1, 0.2]
