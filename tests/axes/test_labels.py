"""Labels that a user gives: one per value, of one kind, all different."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gridax._axes.labels import given_labels

OWNER = "axis 'G'"


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
def test_labels_may_be_numbers_booleans_or_strings(labels: Any, expected: list[Any]) -> None:
    given = given_labels(labels, 2, OWNER)
    assert given.dtype.kind in "fiubU"
    assert given.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            ["a"],
            ValueError,
            "labels must be a sequence with one label per value, so 2 of them; got shape (1,)",
        ),
        (
            "ab",
            ValueError,
            "labels must be a sequence with one label per value, so 2 of them; got shape ()",
        ),
        (
            [["a", "b"], ["c", "d"]],
            ValueError,
            "labels must be a sequence with one label per value, so 2 of them; got shape (2, 2)",
        ),
        (["a", "a"], ValueError, "duplicate label 'a'; pass unique labels="),
        ([0.3, 0.3], ValueError, "duplicate label 0.3; pass unique labels="),
        ([1, 1.0], ValueError, "duplicate label 1.0; pass unique labels="),
        ([0.5, np.nan], ValueError, "NaN cannot be a label"),
        (
            ["a", 1],
            TypeError,
            "labels must be all numbers, all booleans or all strings, got ['a', 1]",
        ),
        (
            [True, 2],
            TypeError,
            "labels must be all numbers, all booleans or all strings, got [True, 2]",
        ),
        (
            [None, None],
            TypeError,
            "labels must be all numbers, all booleans or all strings, got [None, None]",
        ),
        (
            [1j, 2j],
            TypeError,
            "labels must be all numbers, all booleans or all strings, got [1j, 2j]",
        ),
    ],
)
def test_unusable_labels_are_rejected(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        given_labels(labels, 2, OWNER)


def test_labels_of_a_coordinate_stay_bit_for_bit() -> None:
    labels = np.array([0.1 + 0.2, 1 - 0.9])
    assert given_labels(labels, 2, OWNER, exact=True).tolist() == labels.tolist()
    narrow = np.float32([0.3, 0.1])
    assert given_labels(narrow, 2, OWNER, exact=True).tolist() == narrow.tolist()


@pytest.mark.parametrize(
    "labels", [np.array([0.3, 0.1], ">f8"), jnp.array([0.3, 0.1], jnp.bfloat16), [-0.0, 0.1]]
)
def test_labels_are_native_float64_without_negative_zero(labels: Any) -> None:
    given = given_labels(labels, 2, OWNER)
    assert given.dtype == np.float64
    assert given.dtype.isnative
    assert given.tolist()[1] == 0.1
    assert not np.signbit(given).any()
