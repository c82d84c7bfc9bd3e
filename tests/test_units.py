"""Quantities of pint, unyt and astropy: numbers in the arrays, units in the attributes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridax as gx
from gridax._units import without_units


class Unit:
    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name


class Quantity:
    """An array with units, with the attributes of one library; NumPy must not strip the units."""

    def __init__(self, numbers, unit, spelling=("magnitude", "units")):
        setattr(self, spelling[0], numbers)
        setattr(self, spelling[1], Unit(unit))

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("units are stripped")


SPELLINGS = [("magnitude", "units"), ("value", "units"), ("value", "unit")]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_quantity_is_split_into_numbers_and_units(spelling):
    assert without_units(Quantity(2.0, "ms", spelling)) == (2.0, "ms")


@pytest.mark.parametrize(
    "value",
    [2.0, np.arange(3), xr.DataArray([1], attrs={"units": "ms"}), pd.Series([1]), "a", None],
)
def test_anything_else_has_no_units(value):
    numbers, units = without_units(value)
    assert numbers is value
    assert units is None


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("many", [False, True])
def test_an_axis_keeps_the_units_as_an_attribute(spelling, many):
    values = Quantity(np.array([1.0, 2.0]), "ms", spelling)
    if many:
        values = [Quantity(1.0, "ms", spelling), Quantity(2.0, "ms", spelling)]
    space = gx.Space({"tau": gx.DataAxis(values, attrs={"long_name": "time constant"})})
    coordinate = space.dataset["tau"]
    assert coordinate.values.tolist() == [1.0, 2.0]
    assert coordinate.attrs == {"units": "ms", "long_name": "time constant"}


def test_units_that_differ_within_an_axis_are_rejected():
    values = [Quantity(1.0, "ms"), Quantity(2.0, "s")]
    text = "DataAxis: values must all have the same units, got ms, s; convert them first"
    with pytest.raises(ValueError, match=text):
        gx.DataAxis(values)


def test_bounds_with_units_are_rejected_with_what_to_do():
    text = (
        r"GridAxis: low must be a number without units, got 1.0 ms; pass its magnitude, and "
        r"attrs=\{'units': 'ms'\} to keep the units"
    )
    with pytest.raises(TypeError, match=text):
        gx.GridAxis(Quantity(1.0, "ms"), Quantity(2.0, "ms"), 3)


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_outputs_keep_their_units(execution):
    def model(state):
        return {"plain": Quantity(state["x"] * 2, "ms"), "named": Quantity(state["x"], "mV")}

    dataset = execution(model, gx.Space({"x": gx.DataAxis([1.0, 2.0])})).run(progress=False).dataset
    assert dataset["plain"].values.tolist() == [2.0, 4.0]
    assert (dataset["plain"].attrs["units"], dataset["named"].attrs["units"]) == ("ms", "mV")


def test_outputs_whose_units_differ_between_points_are_rejected():
    def model(state):
        return Quantity(float(state["x"]), "ms" if state["x"] < 2 else "s")

    text = "output 'value' has the units 's', but had 'ms' before, and its values are kept in one"
    with pytest.raises(ValueError, match=text):
        gx.SequentialExecution(model, gx.Space({"x": gx.DataAxis([1.0, 2.0])})).run(progress=False)


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_outputs_whose_units_differ_from_those_in_a_store_are_rejected(execution, tmp_path):
    def model(units):
        return lambda state: Quantity(2 * state["x"], units)

    def stop(done, total):
        raise KeyboardInterrupt

    space = gx.Space({"x": gx.DataAxis([1.0, 2.0])}, "product")
    options = {"store": tmp_path / "run.zarr", "block": {"x": 1}}
    with pytest.raises(KeyboardInterrupt):
        execution(model("ms"), space).run(progress=stop, **options)
    with pytest.raises(ValueError, match=r"has the units 's', but had 'ms' before|another model"):
        execution(model("s"), space).run(progress=False, **options)
    result = execution(model("ms"), space).run(progress=False, **options)
    assert result.dataset["value"].attrs["units"] == "ms"


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_pandas_objects_are_rejected_with_what_to_do(execution):
    run = execution(lambda s: pd.Series([1.0, 2.0]), gx.Space({"x": gx.DataAxis([1.0, 2.0])}))
    text = (
        "output 'value' is an object of the type Series, but a model must return arrays or "
        "numbers; return .to_xarray"
    )
    with pytest.raises(TypeError, match=text):
        run.run(progress=False)


def test_a_fixed_series_that_jax_cannot_use_is_named():
    series = pd.Series([1.0, 2.0, 3.0])
    space = gx.Space({"x": gx.DataAxis([1.0, 2.0]), "w": series})
    with pytest.raises(Exception, match="traced") as caught:
        gx.ParallelExecution(lambda s: s["x"] * s["w"], space).run(progress=False)
    assert any("'w' (Series), with which JAX cannot" in note for note in caught.value.__notes__)
    run = gx.ParallelExecution(lambda s: (s["x"] * s["w"].to_numpy()).sum(), space)
    np.testing.assert_allclose(run.run(progress=False).dataset["value"], [6.0, 12.0])
