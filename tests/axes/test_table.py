"""Tables: the values of an axis as the model receives them, and their labels."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridax as gx
from gridax._axes.table import (
    Table,
    array_table,
    as_array,
    check_values,
    dataarray_table,
    grid_table,
    key_table,
    number_table,
)
from tests.x64 import x64

OWNER = "axis 'G'"


@pytest.mark.parametrize(
    ("values", "labels", "dtype"),
    [
        (np.linspace(0, 1, 11)[3:4], [0.3], "float32"),
        (np.float32([0.3]), [0.3], "float32"),
        (np.float16([0.3]), [0.3], "float16"),
        (np.asarray(jnp.array([0.3], jnp.bfloat16)), [0.3], "bfloat16"),
        (np.array([3, 1]), [3, 1], "int32"),
        (np.array([3, 1], np.uint8), [3, 1], "uint8"),
        (np.array([True, False]), [True, False], "bool"),
    ],
)
def test_a_number_is_its_own_label_and_reaches_the_model_as_jax_holds_it(
    values: np.ndarray, labels: list[Any], dtype: str
) -> None:
    table = number_table(values, OWNER)
    assert table.labels.tolist() == labels
    assert str(table.values.dtype) == dtype
    np.testing.assert_array_equal(table.stacked(), jnp.asarray(labels, dtype=dtype))
    assert not table.kept_beside


def test_labels_are_64_bits_wide_whatever_the_values_are() -> None:
    assert number_table(np.float16([0.5]), OWNER).labels.dtype == np.float64
    assert number_table(np.int8([1]), OWNER).labels.dtype == np.int64


def test_float64_values_reach_the_model_unrounded_under_x64() -> None:
    values = np.array([0.1 + 0.2, 1.0, np.nextafter(1.0, 2.0)])
    with x64():
        table = number_table(values, OWNER)
        assert table.stacked().dtype == jnp.float64
        assert table.values.tolist() == table.labels.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("labels", "pair"),
    [
        ([1.0, 1.0 + 1e-9], "1.0 and 1.000000001"),
        ([5.0, 1e8, 1e8 + 1], "100000000.0 and 100000001.0"),
    ],
)
def test_a_grid_finer_than_float32_is_rejected(labels: list[float], pair: str) -> None:
    message = (
        f"axis 'G': the grid is too fine for float32, the dtype that JAX would use: {pair} become "
        "equal; choose fewer points or a wider range, or enable 64 bits with "
        "jax.config.update('jax_enable_x64', True)"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        grid_table(np.array(labels), OWNER)
    with x64():
        assert grid_table(np.array(labels), OWNER).values.tolist() == labels


@pytest.mark.parametrize("values", [[1.0, 1.0 + 1e-9], [5.0, 1e8 + 1, 1e8], [0.3, 0.3 + 1e-10]])
def test_data_finer_than_float32_keep_their_labels(values: list[float]) -> None:
    table = number_table(np.array(values), OWNER)
    assert table.labels.tolist() == values
    np.testing.assert_array_equal(table.values, np.float32(values))


def test_equal_values_do_not_collide() -> None:
    assert number_table(np.array([0.3, 0.3, 0.1]), OWNER).labels.tolist() == [0.3, 0.3, 0.1]


def test_nan_is_no_label() -> None:
    message = "axis 'G': NaN cannot be a label; remove it or pass labels="
    with pytest.raises(ValueError, match=re.escape(message)):
        number_table(np.array([1.0, np.nan]), OWNER)


def test_a_table_gives_one_value_or_all() -> None:
    table = number_table(np.array([0.5, 0.25]), OWNER)
    assert len(table) == 2
    assert isinstance(table.value(1), jax.Array)
    assert table.value(1).item() == 0.25
    assert table.stacked().tolist() == [0.5, 0.25]


def test_a_shape_broadcasts_the_value_but_not_the_label() -> None:
    table = number_table(np.array([0.5, 0.25]), OWNER, shape=(2, 3))
    assert table.labels.shape == table.values.shape == (2,)
    np.testing.assert_array_equal(table.value(1), np.full((2, 3), 0.25))
    np.testing.assert_array_equal(table.stacked()[0], np.full((2, 3), 0.5))
    assert table.stacked().shape == (2, 2, 3)


def test_sorting_moves_values_with_their_labels() -> None:
    table = number_table(np.array([3, 1, 2], np.int8), OWNER).sorted()
    assert table.labels.tolist() == table.values.tolist() == [1, 2, 3]
    assert table.values.dtype == np.int8


def test_an_array_has_the_labels_0_to_n() -> None:
    table = array_table(np.arange(12.0).reshape(3, 2, 2), None, OWNER)
    assert table.kind == "array"
    assert table.kept_beside
    assert table.labels.tolist() == [0, 1, 2]
    assert table.values.dtype == np.float32
    np.testing.assert_array_equal(table.value(1), [[4, 5], [6, 7]])
    np.testing.assert_array_equal(table.stacked(), np.arange(12.0).reshape(3, 2, 2))


def test_complex_numbers_are_labeled_like_arrays() -> None:
    table = array_table(np.array([1j, 2.0]), None, OWNER)
    assert (table.kind, table.labels.tolist()) == ("array", [0, 1])
    assert table.value(0).item() == 1j


def test_given_labels_take_the_place_of_numbers() -> None:
    table = array_table(np.array([0.5, np.nan]), np.array(["low", "none"]), OWNER)
    assert table.labeled
    assert table.kept_beside
    assert table.labels.tolist() == ["low", "none"]
    np.testing.assert_array_equal(table.values, np.float32([0.5, np.nan]))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_are_kept_as_their_data(impl: str) -> None:
    keys = jax.random.split(jax.random.key(0, impl=impl), 3)
    table = key_table(keys)
    assert (table.kind, table.impl) == ("key", impl)
    assert table.kept_beside
    assert table.labels.tolist() == [0, 1, 2]
    assert table.values.dtype == np.uint32
    assert table.stacked().dtype == table.value(1).dtype == keys.dtype
    assert (table.stacked() == keys).all()
    assert table.value(1) == keys[1]


def test_choices_are_objects_and_stacked_by_number() -> None:
    table = Table(np.array(["tanh", "list"]), (jnp.tanh, [1]), "choice")
    assert table.value(0) is jnp.tanh
    assert table.stacked().tolist() == [0, 1]
    assert not table.kept_beside


@pytest.mark.parametrize(
    "values",
    [np.linspace(0, 1, 11), np.float32([0.3, 0.1]), np.array([2, 1]), np.array([0.1, 0.3], ">f8")],
)
def test_a_dataarray_that_is_its_own_coordinate_keeps_its_labels_bit_for_bit(
    values: np.ndarray,
) -> None:
    array = xr.DataArray(values, dims="x", coords={"x": values})
    table = dataarray_table(array, None, OWNER)
    assert not table.labeled
    assert table.labels.tolist() == values.tolist()
    assert table.labels.dtype.isnative


def test_a_dataarray_that_is_its_own_coordinate_has_plain_numbers() -> None:
    array = xr.DataArray(np.float32([0.3, 0.1]), dims="x", coords={"x": [0.3, 0.1]})
    table = dataarray_table(array, None, OWNER)
    assert not table.labeled
    assert table.labels.tolist() == [0.3, 0.1]


@pytest.mark.parametrize("values", [[0.3, 0.1], [np.nan, 0.1], [1.0, 1.0 + 1e-9], [1e-3, 2e-3]])
def test_a_dataarray_is_labeled_by_its_coordinate(values: list[float]) -> None:
    array = xr.DataArray(values, dims="x", coords={"x": ["a", "b"]})
    table = dataarray_table(array, None, OWNER)
    assert table.labeled
    assert table.labels.tolist() == ["a", "b"]
    np.testing.assert_array_equal(table.values, np.float32(values))


def test_a_dataarray_keeps_its_other_dims_and_coordinates() -> None:
    array = xr.DataArray(
        np.arange(6.0).reshape(2, 3),
        dims=("subject", "region"),
        coords={
            "subject": ["s1", "s2"],
            "age": ("subject", [30, 40]),
            "weight": (("region", "subject"), np.arange(6).reshape(3, 2)),
            "region": ["a", "b", "c"],
            "area": ("region", [1, 1, 2]),
            "atlas": "DK",
        },
    )
    table = dataarray_table(array, None, OWNER)
    assert table.labels.tolist() == ["s1", "s2"]
    assert table.dims == ("region",)
    assert set(table.coords) == {"region", "area", "atlas"}
    assert set(table.extra) == {"age", "weight"}
    assert table.extra["weight"].dims == ("subject", "region")
    assert table.extra["weight"].values.tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(
    ("coords", "dims", "message"),
    [
        ({}, ("x", "a/b"), "'a/b' cannot name a dimension: files cannot store"),
        ({}, ("x", "point"), "'point' cannot name a dimension: results use that name themselves"),
        ({"status": 1}, ("x", "y"), "'status' cannot name a dimension: results use that name"),
    ],
)
def test_a_dataarray_with_unusable_names_is_refused(
    coords: Any, dims: tuple[str, ...], message: str
) -> None:
    array = xr.DataArray(np.ones((2, 3)), dims=dims, coords=coords)
    with pytest.raises(ValueError, match=re.escape(f"axis 'G', its DataArray: {message}")):
        dataarray_table(array, None, OWNER)


LEVELS = pd.MultiIndex.from_product([["p"], [0, 1]], names=["a", "b"])


@pytest.mark.parametrize(
    ("coordinate", "message"),
    [
        (pd.date_range("2020-01-01", periods=2), "has dates"),
        (pd.to_timedelta([1, 2], "s"), "has durations"),
        (xr.Coordinates.from_pandas_multiindex(LEVELS, "x"), "has several levels"),
    ],
)
def test_a_coordinate_that_cannot_be_the_labels_is_named_with_what_to_do(coordinate, message):
    coords = coordinate if isinstance(coordinate, xr.Coordinates) else {"x": coordinate}
    array = xr.DataArray([1.0, 2.0], dims="x", coords=coords)
    start = f"axis 'G': the coordinate 'x' of its DataArray {message}, but labels must be all"
    with pytest.raises(TypeError, match=re.escape(start)) as caught:
        dataarray_table(array, None, "axis 'G'")
    assert list(dataarray_table(array, np.array(["a", "b"]), "axis 'G'").labels) == ["a", "b"]
    change = re.search(r"or array\.(\w+)\('x'\)", str(caught.value))[1]
    table = dataarray_table(getattr(array, change)("x"), None, "axis 'G'")
    assert table.labels.tolist() == [1.0, 2.0]
    assert set(table.extra) == ({"a", "b"} if change == "reset_index" else set())


def test_a_dataarray_whose_coordinate_repeats_itself_is_refused() -> None:
    array = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [5, 5]})
    message = "axis 'G': duplicate label 5; pass unique labels="
    with pytest.raises(ValueError, match=re.escape(message)):
        dataarray_table(array, None, OWNER)
    assert dataarray_table(array, np.array([0, 1]), OWNER).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (1, 2),
        range(1, 3),
        np.array([1, 2]),
        jnp.array([1, 2]),
        [jnp.array(1), jnp.array(2)],
        pd.Series([1, 2], index=["a", "b"]),
        pd.Index([1, 2]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_any_array_like_becomes_an_array(values: Any) -> None:
    assert as_array(values, OWNER).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([Decimal("0.1"), Decimal("0.3")], [0.1, 0.3]),
        ([Fraction(1, 4), 2], [0.25, 2.0]),
        (np.array([1, 2.5], object), [1.0, 2.5]),
        (np.array([3, 1], object), [3, 1]),
        (np.array([True, np.False_], object), [True, False]),
        (pd.Series([0.5, 2.0], dtype=object), [0.5, 2.0]),
        (pd.DataFrame({"n": [1, 2], "on": [True, False]}).to_numpy(), [[1, 1], [2, 0]]),
        (xr.DataArray(np.array([1, 2.5], object), dims="q"), [1.0, 2.5]),
    ],
)
def test_numbers_that_are_kept_as_objects_are_numbers(values: Any, numbers: list[Any]) -> None:
    plain = gx.Space({"x": gx.DataAxis(numbers)}, mode="product")
    space = gx.Space({"x": gx.DataAxis(values)}, mode="product")
    xr.testing.assert_identical(
        space.dataset.drop_vars("q", errors="ignore"),
        plain.dataset,
    )
    for point, expected in zip(space, plain, strict=True):
        assert point["x"].dtype == expected["x"].dtype
        np.testing.assert_array_equal(point["x"], expected["x"])


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_an_axis_does_not_change_with_the_array_that_it_was_given(shape: tuple[int, ...]) -> None:
    values = np.ones(shape)
    axis = gx.DataAxis(values)
    values[:] = 9
    assert (np.asarray(axis.generate_values()) == 1).all()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            np.ma.masked_array([1, 2], [True, False]),
            TypeError,
            "masked values are not supported; fill or drop them first",
        ),
        (
            [[1], [1, 2]],
            ValueError,
            "values must all have the same shape, but these are ragged; use ChoiceAxis for values "
            "whose shapes differ",
        ),
        ([np.ones(2), np.ones(3)], ValueError, "values must all have the same shape"),
        (
            [jax.random.key(0), jax.random.key(1)],
            TypeError,
            "got a list of keys; stack them to one array: jnp.stack(keys)",
        ),
    ],
    ids=["masked", "ragged lists", "ragged arrays", "list of keys"],
)
def test_what_is_no_array_is_refused(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        as_array(values, OWNER)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, "values must not be empty"),
        (np.zeros((3, 0)), ValueError, "values must not be empty"),
        (
            5.0,
            ValueError,
            "values must have at least one dimension, got the scalar 5.0; for a fixed value, "
            "put the number itself into the state",
        ),
        (
            [None, 1],
            TypeError,
            "values must be numbers, got objects; use ChoiceAxis",
        ),
        (None, TypeError, "values must be numbers, got objects; use ChoiceAxis"),
        (["a"], TypeError, "values must be numbers, got strings; use ChoiceAxis"),
        ([b"a"], TypeError, "values must be numbers, got strings; use ChoiceAxis"),
        (
            np.array(["2020-01-01"], "M8[D]"),
            TypeError,
            "values must be numbers, got dates; convert them to numbers",
        ),
        (
            np.array([1], "m8[s]"),
            TypeError,
            "values must be numbers, got durations; convert them to numbers",
        ),
        ([Decimal("0.1"), None], TypeError, "values must be numbers, got objects; use ChoiceAxis"),
        (
            np.ones(2, np.longdouble),
            TypeError,
            f"values must be numbers, got {np.dtype('g')}, which JAX does not have; convert them to "
            "float64",
        ),
        (
            np.ones((2, 3), np.clongdouble),
            TypeError,
            f"values must be numbers, got {np.dtype('G')}, which JAX does not have; convert them to "
            "complex128",
        ),
        (
            np.zeros(2, [("a", int), ("b", float)]),
            TypeError,
            "values must be numbers, got records; use one axis per field, and group= to vary them "
            "together",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_jax_has_no_dtype_for_are_refused(
    values: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        check_values(np.asarray(values), OWNER)
