"""Labels: the shortest decimals that say the values, in what is asked for as well."""

from __future__ import annotations

import re
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from gridax._axes.labels import (
    canonical_query,
    device_values,
    given_labels,
    is_keys,
    shortest,
    whole,
)
from tests.x64 import x64

OWNER = "axis 'G'"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.linspace(0, 1, 11), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (np.geomspace(1e-3, 1e-1, 3), [1e-3, 1e-2, 1e-1]),
        (np.array([0.1 + 0.2, 1 - 0.9]), [0.3, 0.1]),
        (np.float32([0.3, 1e-7, 16777216, 0.1]), [0.3, 1e-7, 16777216.0, 0.1]),
        (np.float32([1 / 3, 3.4028235e38]), [0.33333334, 3.4028235e38]),
        (np.float16([0.1, 0.3, 1000]), [0.1, 0.3, 1000.0]),
        (np.asarray(jnp.array([0.1, 0.3, 3.0], jnp.bfloat16)), [0.1, 0.3, 3.0]),
        (np.array([-0.3, 0.0, -1e300, 1e-300]), [-0.3, 0.0, -1e300, 1e-300]),
        (np.array([sys.float_info.max, 5e-324]), [sys.float_info.max, 5e-324]),
        (np.array([np.inf, -np.inf]), [np.inf, -np.inf]),
        (np.float32([np.inf]), [np.inf]),
        (np.zeros(0), []),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_a_label_is_the_shortest_decimal_that_says_the_value(
    values: np.ndarray, labels: list[float]
) -> None:
    found = shortest(values)
    assert found.dtype == np.float64
    assert found.tolist() == labels


def test_a_label_of_a_narrow_float_says_that_float() -> None:
    values = np.random.default_rng(0).lognormal(sigma=20, size=1000).astype(np.float32)
    assert (shortest(values).astype(np.float32) == values).all()
    assert [repr(label) for label in shortest(values).tolist()] == [
        repr(float(str(value))) for value in values
    ]


def test_float64_values_that_differ_only_past_the_15th_digit_keep_all_their_digits() -> None:
    values = np.array([0.1 + 0.2, 1.0, np.nextafter(1.0, 2.0)])
    assert shortest(values).tolist() == values.tolist()


def test_equal_values_have_equal_labels() -> None:
    assert shortest(np.array([0.1 + 0.2, 0.1 + 0.2, 1.0])).tolist() == [0.3, 0.3, 1.0]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (0.1 + 0.2, 0.3),
        (np.float32(0.3), 0.3),
        (np.float64(0.3), 0.3),
        (jnp.float32(0.3), 0.3),
        (3, 3),
        ("low", "low"),
        (True, True),
        (None, None),
        (slice(np.float32(0.1), 0.1 + 0.2), slice(0.1, 0.3)),
        (slice(None, 0.5, 2), slice(None, 0.5, 2)),
    ],
)
def test_a_query_is_read_as_labels_are(query: Any, expected: Any) -> None:
    found = canonical_query(query, np.array([0.1, 0.2, 0.3]))
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize(
    "query",
    [
        [0.1 + 0.2, 0.3],
        (0.1 + 0.2, 0.3),
        np.float32([0.3, 0.3]),
        jnp.float32([0.3, 0.3]),
        np.array([0.1 + 0.2, 0.3]),
    ],
    ids=lambda query: type(query).__name__,
)
def test_a_list_is_read_element_by_element_even_if_its_digits_differ_late(query: Any) -> None:
    assert canonical_query(query, np.array([0.1, 0.2, 0.3])).tolist() == [0.3, 0.3]


@pytest.mark.parametrize(
    "query",
    [xr.DataArray(np.float32([0.1, 0.3]), dims="z"), xr.Variable("z", np.float32([0.1, 0.3]))],
    ids=lambda query: type(query).__name__,
)
def test_a_labeled_query_keeps_its_dims(query: Any) -> None:
    found = canonical_query(query, np.array([0.1, 0.3]))
    assert type(found) is type(query)
    assert found.dims == ("z",)
    assert found.values.tolist() == [0.1, 0.3]


@pytest.mark.parametrize("query", [[1, 2], np.array([1, 2]), ["a", "b"], [True, False]])
def test_a_list_of_anything_but_floats_passes_unchanged(query: Any) -> None:
    assert canonical_query(query, np.array([1, 2])).tolist() == list(query)


def test_a_float_that_is_a_label_is_never_rounded_to_another() -> None:
    labels = np.array([1.0, np.nextafter(1.0, 2.0), 0.1 + 0.2])
    for label in labels.tolist():
        assert canonical_query(label, labels) == label
    assert canonical_query(labels.tolist(), labels).tolist() == labels.tolist()
    assert canonical_query(np.float64(0.1 + 0.2), np.array(["0.30000000000000004"])) == 0.3


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2]), "int32"),
        (np.array([2**31 - 1, -(2**31)]), "int32"),
        (np.array([2**32 - 1], np.uint64), "uint32"),
        (np.array([0.1, -0.0, np.inf, np.nan]), "float32"),
        (np.array([1j]), "complex64"),
        (np.array([1, 2], np.int8), "int8"),
        (np.array([0.5], np.float16), "float16"),
        (np.array([True]), "bool"),
    ],
)
def test_host_values_get_the_dtype_that_jax_gives_them(values: np.ndarray, dtype: str) -> None:
    cast = device_values(values, OWNER)
    assert str(cast.dtype) == dtype == str(jnp.asarray(values).dtype)
    np.testing.assert_array_equal(cast, jnp.asarray(values))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2**40]), "int32"),
        (np.array([-(2**31) - 1]), "int32"),
        (np.array([2**32], np.uint64), "uint32"),
        (np.array([0.5, 1e300]), "float32"),
        (np.array([-1e39]), "float32"),
        (np.array([0.0, 1e-300]), "float32"),
        (np.array([[1.0, 1e300]]), "float32"),
        (np.array([1e300j]), "complex64"),
    ],
)
def test_values_that_jax_would_change_silently_are_refused(values: np.ndarray, dtype: str) -> None:
    bad = values.flat[values.size - 1].item()
    message = (
        f"axis 'G': {bad!r} does not fit in {dtype}, which JAX would use; enable 64 bits with "
        "jax.config.update('jax_enable_x64', True) or rescale"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        device_values(values, OWNER)


def test_with_64_bits_every_value_fits() -> None:
    with x64():
        for values in (np.array([2**40]), np.array([1e300, 1e-300]), np.array([2**63], np.uint64)):
            assert device_values(values, OWNER) is values


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["low", "high"], ["low", "high"]),
        (np.array(["low", "high"], dtype=object), ["low", "high"]),
        ([0.1 + 0.2, 1], [0.3, 1.0]),
        (np.float32([0.3, 0.1]), [0.3, 0.1]),
        ((3, 1), [3, 1]),
        ([True, False], [True, False]),
        (np.array([2**63, 1], np.uint64), [2**63, 1]),
    ],
)
def test_labels_may_be_numbers_bools_or_strings(labels: Any, expected: list[Any]) -> None:
    found = given_labels(labels, 2, OWNER)
    assert found.dtype.kind in "fiubU"
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (["a"], ValueError, "labels must be one per value, 2 in a row, got shape (1,)"),
        ("ab", ValueError, "labels must be one per value, 2 in a row, got shape ()"),
        (
            [["a", "b"], ["c", "d"]],
            ValueError,
            "labels must be one per value, 2 in a row, got shape (2, 2)",
        ),
        (["a", "a"], ValueError, "the label 'a' stands more than once; give labels= that differ"),
        ([0.3, 0.3], ValueError, "the label 0.3 stands more than once; give labels= that differ"),
        ([1, 1.0], ValueError, "the label 1.0 stands more than once; give labels= that differ"),
        ([0.5, np.nan], ValueError, "NaN cannot be a label"),
        (
            ["a", 1],
            TypeError,
            "labels must be all numbers, all bools or all strings, got ['a', 1]",
        ),
        (
            [True, 2],
            TypeError,
            "labels must be all numbers, all bools or all strings, got [True, 2]",
        ),
        (
            [None, None],
            TypeError,
            "labels must be all numbers, all bools or all strings, got [None, None]",
        ),
        (
            [1j, 2j],
            TypeError,
            "labels must be all numbers, all bools or all strings, got [1j, 2j]",
        ),
    ],
)
def test_unusable_labels_are_refused(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        given_labels(labels, 2, OWNER)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2], np.int8), "int64"),
        (np.array([1, 2**63 - 1], np.uint64), "int64"),
        (np.array([1, 2**63], np.uint64), "uint64"),
        (np.zeros(0, np.uint64), "int64"),
    ],
)
def test_whole_labels_are_int64_unless_only_uint64_holds_them(
    values: np.ndarray, dtype: str
) -> None:
    labels = whole(values)
    assert str(labels.dtype) == dtype
    assert labels.tolist() == values.tolist()


def test_only_typed_keys_are_keys() -> None:
    assert is_keys(jax.random.key(0))
    assert is_keys(jax.random.split(jax.random.key(0)))
    assert not is_keys(jax.random.PRNGKey(0))
    assert not is_keys(0)
    assert jax.jit(lambda key: jnp.array(is_keys(key)))(jax.random.key(0))
