from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import xarray as xr

from gridax._outputs.alike import Alike
from gridax._outputs.template import arrays_of, template_of


class Metrics(NamedTuple):
    mean: object
    series: object


class Celsius(float):
    """A number with units of its own."""

    magnitude, units = 3.0, object()


class Tagged(np.ndarray):
    """An array whose class may mean anything."""


def alike(result):
    return Alike(result, template_of(result))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (0.5, 0.7),
        (True, False),
        (1, 2),
        (1j, 2.0 + 0j),
        (np.float64(0.5), np.float64(0.7)),
        (np.float32(0.5), np.float32(0.7)),
        (ml_dtypes.bfloat16(0.5), ml_dtypes.bfloat16(0.75)),
        (np.zeros((2, 3), np.int8), np.ones((2, 3), np.int8)),
        (np.array(1.0), np.array(2.0)),
        (jnp.zeros(3), jnp.ones(3)),
        (jnp.zeros(3, "int4"), jnp.ones(3, "int4")),
        ({"b": 1, "a": [0.5, np.zeros(2)]}, {"b": 2, "a": [0.25, np.ones(2)]}),
        (Metrics(0.5, np.zeros(2)), Metrics(0.7, np.ones(2))),
        ({"a": None, "b": 1}, {"a": None, "b": 5}),
    ],
)
def test_results_that_look_the_same_are_read_as_with_a_template(first, other):
    found = alike(first).arrays(other)
    for array, expected in zip(found, arrays_of(other), strict=True):
        assert np.asarray(array).dtype == np.asarray(expected).dtype
        np.testing.assert_array_equal(array, np.asarray(expected))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (0.5, 1),
        (1, True),
        (1, 2.0),
        (0.5, np.float64(0.5)),
        (np.float32(0.5), np.float64(0.5)),
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(2), np.zeros(2, ">f8")),
        (np.zeros(2), np.zeros(2).view(Tagged)),
        (np.zeros(2), np.ma.zeros(2)),
        (np.zeros(2), jnp.zeros(2)),
        (0.5, Celsius(0.5)),
        (0.5, "0.5"),
        (0.5, None),
        ({"a": 1}, {"b": 1}),
        ([1.0], (1.0,)),
        (np.zeros(2), xr.Variable("t", np.zeros(2))),
        (jnp.zeros(2, jnp.uint32), jax.random.key(0)),
    ],
)
def test_results_that_differ_in_any_way_are_not_alike(first, other):
    assert alike(first).arrays(other) is None


@pytest.mark.parametrize(
    "result",
    [
        xr.DataArray(np.zeros(2), dims="t"),
        {"a": 1.0, "b": xr.Variable("t", np.zeros(2))},
        xr.Dataset({"a": ("t", np.zeros(2))}),
        jax.random.key(0),
        Celsius(0.5),
        np.zeros(2).view(Tagged),
        np.zeros(2, ">f8"),
    ],
)
def test_what_may_have_labels_or_units_always_needs_a_template(result):
    assert alike(result).arrays(result) is None
