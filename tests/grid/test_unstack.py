from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from tests.models import reading

GRID = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([30, 10, 20])}, mode="product")


def run(space, model=lambda s: s["a"] + s["b"]):
    return gx.SequentialExecution(model, space).run(progress=False)


def test_points_go_back_to_where_they_were_picked():
    full = run(GRID).dataset
    unstacked = run(GRID.filter(lambda ds: ds.b - 20 < 10 * ds.a)).unstack()
    assert unstacked.sizes == {"a": 3, "b": 2}
    for a in (0.0, 0.5, 1.0):
        for b in (10, 20):
            found, wanted = unstacked.sel(a=a, b=b)["value"], full.sel(a=a, b=b)["value"]
            assert np.isnan(found) if b - 20 >= 10 * a else found == wanted


def test_a_grid_that_was_picked_whole_is_the_grid_again():
    shuffled = [4, 0, 8, 2, 6, 1, 5, 3, 7]
    unstacked = run(GRID[shuffled]).unstack()
    full = run(GRID).dataset.sortby("b")
    assert unstacked.drop_attrs().equals(full.drop_attrs())
    assert unstacked["value"].dtype == np.float64


def test_members_of_a_group_and_values_of_arrays_come_along():
    space = gx.Space(
        {
            "x": gx.DataAxis([0.3, 0.1], group="g"),
            "y": gx.DataAxis([1, 2], group="g"),
            "W": gx.DataAxis(np.arange(6.0).reshape(3, 2), attrs={"units": "mV"}),
            "n": gx.DataAxis([0.5, 1.5], labels=["low", "high"]),
        },
        mode="product",
    )
    unstacked = run(space[[11, 0, 5]], reading).unstack()
    assert unstacked["value"].dims == ("g", "W", "n")
    point = space[5]
    found = unstacked.sel(x=0.3, W=2, n="high")
    assert found["y"] == 1
    assert found["W_value"].values.tolist() == [4, 5]
    assert found["n_value"] == 1.5
    assert unstacked["W_value"].attrs == {"units": "mV"}
    assert found["value"] == np.float32(reading(point))


def test_what_was_fixed_stays_fixed():
    space = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.KeyAxis(4), "dt": 0.1}, mode="product")
    unstacked = run(space.isel(b=slice(1, 3))[[0, 5]], lambda s: s["a"] * s["dt"]).unstack()
    assert unstacked["dt"].item() == 0.1
    assert unstacked["b"].values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("output", "dtype"),
    [
        (lambda x: x > 0, "float64"),
        (lambda x: x.astype(int), "float64"),
        (lambda x: x.astype(jnp.int4), "float64"),
        (lambda x: x.astype(np.float32), "float32"),
        (lambda x: x.astype(jnp.bfloat16), "bfloat16"),
        (lambda x: x.astype(np.complex64), "complex64"),
    ],
    ids=["bool", "int", "int4", "float32", "bfloat16", "complex"],
)
def test_points_that_were_not_picked_are_nan(output, dtype):
    values = run(GRID[[0, 4]], lambda s: output(s["a"])).unstack()["value"]
    assert str(values.dtype) == dtype
    assert np.isnan(values.values.astype(complex)).tolist() == [[True, False], [False, True]]


def test_points_that_failed_go_back_with_their_messages():
    some = gx.SequentialExecution(lambda s: 1 / s["a"], GRID[[0, 4]])
    unstacked = some.run(progress=False, on_error="record").unstack()
    assert unstacked["error"].sel(a=0.0, b=30).item().startswith("ZeroDivisionError")
    assert unstacked["error"].sel(a=0.0, b=10).item() == ""
    assert unstacked["status"].sel(a=0.5, b=10) == 1
    assert np.isnan(unstacked["status"].sel(a=0.5, b=30))


def test_outputs_keep_their_own_dimensions_and_attributes():
    result = gx.SequentialExecution(lambda s: s["a"] * np.ones(4), GRID[[0, 4, 8]]).run(
        progress=False, dims={"value": ("time",)}, coords={"time": [0.1, 0.2, 0.3, 0.4]}
    )
    unstacked = result.unstack()
    assert unstacked["value"].dims == ("a", "b", "time")
    assert unstacked["value"].sel(a=1.0, b=20, time=0.3) == 1
    assert unstacked.attrs == result.dataset.attrs


@pytest.mark.parametrize("save", ["to_netcdf", "to_zarr"])
def test_a_result_that_was_read_from_a_file_unfolds_as_well(save, tmp_path):
    result = run(GRID.filter(lambda ds: ds.a > 0.2), reading)
    getattr(result, save)(tmp_path / "result")
    assert gx.open_result(tmp_path / "result").unstack().identical(result.unstack())


@pytest.mark.parametrize(
    ("space", "dims"),
    [
        (GRID, "['a', 'b']"),
        (gx.Space({"a": gx.GridAxis(0, 1, 3)}), "['point']"),
        (gx.Space({"a": gx.GridAxis(0, 1, 3)}, mode="product")[[0, 2]], "['a']"),
    ],
    ids=["product", "zip", "one dimension"],
)
def test_points_that_are_not_scattered_over_a_product_are_refused(space, dims):
    text = (
        "unstack() needs points that were picked from a product, by filter() or by position; the "
        f"dimensions here are {dims}"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        run(space, lambda s: s["a"]).unstack()


def test_points_that_were_picked_twice_are_refused():
    text = "unstack() cannot place several points with the same labels: points were picked more than once"
    with pytest.raises(ValueError, match=re.escape(text)):
        run(GRID[[0, 3, 0]]).unstack()


def test_keys_have_nothing_to_fill_gaps_with():
    space = gx.Space({"a": gx.GridAxis(0, 1, 2), "key": gx.KeyAxis(2)}, mode="product")
    some = gx.SequentialExecution(lambda s: s["key"], space[:3]).run(progress=False)
    with pytest.raises(ValueError, match=r"unstack\(\) cannot fill an output of PRNG keys"):
        some.unstack()
    every = gx.SequentialExecution(lambda s: s["key"], space[:4]).run(progress=False)
    assert every.unstack()["value"].shape == (2, 2, 2)
