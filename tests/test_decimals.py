"""Decimals: grids computed exactly, data without the noise of computations."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gridax._decimals import as_decimals, float32_decimals, linear, logarithmic, tolerances


@pytest.mark.parametrize(
    ("low", "high", "n", "labels"),
    [
        (-0.2, 0.4, 7, [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4]),
        (0.0, 0.7, 8, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (-1.1, 1.1, 3, [-1.1, 0.0, 1.1]),
        (0.0, 1.0, 4, [0.0, 0.333333333333333, 0.666666666666667, 1.0]),
        (0.0, 10.0, 4, [0.0, 3.33333333333333, 6.66666666666667, 10.0]),
        (-1.0, 2.0, 10, [-1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3, 2.0]),
        (1e20, 2e20, 11, [k * 1e19 for k in range(10, 21)]),
        (1e-30, 2e-30, 3, [1e-30, 1.5e-30, 2e-30]),
        (-1e300, 1e300, 5, [-1e300, -5e299, 0.0, 5e299, 1e300]),
        (5e-324, 1.5e-323, 3, [5e-324, 1e-323, 1.5e-323]),
        (1.0, 1.000000000001, 3, [1.0, 1.0000000000005, 1.000000000001]),
        (1e8, 100000001.0, 5, [1e8, 100000000.25, 100000000.5, 100000000.75, 100000001.0]),
        (0.1 + 0.2, 1.0, 2, [0.30000000000000004, 1.0]),
        (0.0, 0.1 + 0.2, 4, [0.0, 0.1, 0.2, 0.30000000000000004]),
        (-0.0, 1.0, 2, [0.0, 1.0]),
        (0.25, 1.0, 1, [0.25]),
    ],
)
def test_a_grid_has_the_decimals_that_a_person_would_write(
    low: float, high: float, n: int, labels: list[float]
) -> None:
    computed = linear(low, high, n)
    np.testing.assert_allclose(computed, labels, rtol=0, atol=5e-15 * max(abs(low), abs(high)))
    exact = [label for label in labels if len(repr(label)) < 17]
    assert set(exact) <= set(computed.tolist())
    assert (computed[0], computed[-1]) == (labels[0], labels[-1])
    assert not np.signbit(computed[computed == 0]).any()


def test_a_grid_much_narrower_than_its_bounds_is_evenly_spaced() -> None:
    labels = linear(1.0, 1.0 + 1e-12, 11)
    np.testing.assert_allclose(np.diff(labels), 1e-13, rtol=0, atol=2.3e-16)


@pytest.mark.parametrize(
    ("low", "high", "n"), [(0.123456789012345, 0.9, 10**6), (-1.0, 1.0, 7), (1e-9, 3.0, 1000)]
)
def test_a_grid_is_rounded_at_the_scale_of_its_largest_number(
    low: float, high: float, n: int
) -> None:
    labels = linear(low, high, n)
    first, last = Fraction(repr(low)), Fraction(repr(high))
    places = 15 - (0 if high <= 1 else 1)
    for i in range(1, n - 1, max(1, n // 97)):
        exact = first + (last - first) * i / (n - 1)
        assert labels[i] == float(Fraction(round(exact * 10**places), 10**places))


@pytest.mark.parametrize(
    ("low", "high", "n", "labels"),
    [
        (1e-3, 1e-1, 3, [0.001, 0.01, 0.1]),
        (1e-20, 1.0, 21, [float(f"1e{k}") for k in range(-20, 1)]),
        (2e-3, 2e2, 6, [0.002, 0.02, 0.2, 2.0, 20.0, 200.0]),
        (1.0, 8.0, 4, [1.0, 2.0, 4.0, 8.0]),
        (0.5, 32.0, 7, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]),
        (1.0, 10.0, 3, [1.0, 3.16227766016838, 10.0]),
        (0.1 + 0.2, 30.0, 2, [0.30000000000000004, 30.0]),
        (1e-300, 1e300, 3, [1e-300, 1.0, 1e300]),
        (2.0, 3.0, 1, [2.0]),
    ],
)
def test_a_logarithmic_grid_has_exact_decades(
    low: float, high: float, n: int, labels: list[float]
) -> None:
    assert logarithmic(low, high, n).tolist() == labels


def test_digits_round_every_number_to_significant_digits() -> None:
    assert linear(0.0, 100.0, 7, digits=3).tolist() == [0.0, 16.7, 33.3, 50.0, 66.7, 83.3, 100.0]
    assert linear(-np.pi, np.pi, 3, digits=3).tolist() == [-3.14, 0.0, 3.14]
    assert linear(1 / 3, 1.0, 1, digits=2).tolist() == [0.33]
    rounded = [0.001, 0.00316, 0.01, 0.0316, 0.1]
    assert logarithmic(1e-3, 1e-1, 5, digits=3).tolist() == rounded
    assert logarithmic(1 / 3, 1.0, 1, digits=2).tolist() == [0.33]
    assert logarithmic(1 / 3, 2 / 3, 2, digits=2).tolist() == [0.33, 0.67]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.linspace(0, 1, 11), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (np.linspace(-0.2, 0.4, 7), [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4]),
        (np.geomspace(1e-3, 1e-1, 3), [1e-3, 1e-2, 1e-1]),
        (np.cumsum(np.full(5, 0.1)), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (np.array([0.1 + 0.2, 1 - 0.9]), [0.3, 0.1]),
        (1e20 * np.array([0.1 + 0.2, 1 - 0.9]), [3e19, 1e19]),
        (1e-30 * np.array([0.1 + 0.2, 1 - 0.9]), [3e-31, 1e-31]),
        (np.array([0.10678075728778628, 0.2]), [0.10678075728778628, 0.2]),
        (np.array([1.0000000000001, 2.0]), [1.0000000000001, 2.0]),
        (np.array([1.0000001e-11, 100.0]), [1.0000001e-11, 100.0]),
        (np.array([-0.0, 0.1]), [0.0, 0.1]),
        (np.array([0.1 + 0.2], ">f8"), [0.3]),
        (np.array([0.1 + 0.2, np.inf]), [0.3, np.inf]),
        (np.float32([0.3, 1e-7, 16777216, 0.1]), [0.3, 1e-7, 16777216.0, 0.1]),
        (np.float32([1 / 3, 3.4028235e38]), [0.33333334, 3.4028235e38]),
        (np.float32([-0.0]), [0.0]),
        (np.float16([0.1, 0.3, 1000]), [0.1, 0.3, 1000.0]),
        (np.asarray(jnp.array([0.1, 0.3, 3.0], jnp.bfloat16)), [0.1, 0.3, 3.0]),
        (np.array([-0.3, 0.0, -1e300, 1e-300]), [-0.3, 0.0, -1e300, 1e-300]),
        (np.array([sys.float_info.max, 5e-324]), [sys.float_info.max, 5e-324]),
        (np.array([np.inf, -np.inf]), [np.inf, -np.inf]),
        (np.float32([np.inf]), [np.inf]),
        (np.zeros(3), [0.0, 0.0, 0.0]),
        (np.zeros(0), []),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_data_lose_the_noise_of_computations_and_nothing_else(
    values: np.ndarray, labels: list[float]
) -> None:
    decimals = as_decimals(values)
    assert decimals.dtype == np.float64
    assert decimals.dtype.isnative
    assert decimals.tolist() == labels
    assert not np.signbit(decimals[decimals == 0]).any()


@pytest.mark.parametrize(
    "bounds",
    [(5, 10, 0.1), (20, 30, 0.1), (1, 2, 0.001), (10, 5, -0.1), (-3, 3, 0.05), (1000, 1001, 0.01)],
)
def test_the_step_that_arange_rounds_is_tolerance(bounds: tuple[float, float, float]) -> None:
    start, _, step = (Fraction(str(bound)) for bound in bounds)
    values = np.arange(*bounds)
    assert as_decimals(values).tolist() == [float(start + i * step) for i in range(len(values))]


def test_random_numbers_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 10, 1000):
        for scale in (1e-9, 1.0, 9.0, 1e12):
            values = scale * rng.normal(size=size)
            assert as_decimals(values).tolist() == values.tolist()


def test_values_that_differ_only_in_their_last_digits_stay_different() -> None:
    values = np.array([0.1 + 0.2, 1.0, np.nextafter(1.0, 2.0)])
    assert as_decimals(values).tolist() == values.tolist()


def test_equal_values_have_equal_labels() -> None:
    assert as_decimals(np.array([0.1 + 0.2, 0.1 + 0.2, 1.0])).tolist() == [0.3, 0.3, 1.0]


def test_a_label_of_a_narrow_float_identifies_that_float() -> None:
    values = np.random.default_rng(0).lognormal(sigma=20, size=1000).astype(np.float32)
    values = np.append(values, np.float32([1e-45, 3e-45, 1.2e-42, -7e-40, 1e-38]))
    assert (as_decimals(values).astype(np.float32) == values).all()
    assert [repr(label) for label in as_decimals(values).tolist()] == [
        repr(float(str(value))) for value in values
    ]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 3.0, 1e300])
def test_the_tolerance_is_a_few_units_in_the_last_place_of_the_largest_number(scale: float) -> None:
    unit = np.spacing(scale)
    most = tolerances(scale * np.array([0.1, 0.7, 1.0]))
    assert (unit < most).all()
    assert (most < 100 * unit).all()
    assert tolerances(np.array([scale / 3, scale, np.inf]))[0] == most[0]


def test_the_tolerance_of_nothing_is_zero() -> None:
    assert tolerances(np.array([np.inf, np.nan])).tolist() == [0.0, 0.0]
    assert tolerances(np.zeros(0)).tolist() == []


def test_the_tolerance_stays_far_below_the_step_of_a_grid() -> None:
    labels = 1e6 + 1e-6 * np.arange(1000)
    assert tolerances(labels).max() < 1e-7


@pytest.mark.parametrize(
    "labels", [1.7e9 + 1e-4 * np.arange(100), np.linspace(1000, 1000.00000001, 101)]
)
def test_a_few_units_in_the_last_place_are_tolerated_however_close_labels_are(
    labels: np.ndarray,
) -> None:
    most = tolerances(labels)
    assert (most >= np.spacing(labels)).all()
    assert (most < np.diff(labels).min() / 2).all()


@pytest.mark.parametrize(
    "labels",
    [
        np.geomspace(1e-9, 1e9, 19),
        np.geomspace(1e-14, 1.0, 29),
        np.array([0.0, 1e-12, 1e-6, 1.0, 100.0]),
        np.array([-1e6, -1e-9, 1e-9, 3.0]),
    ],
)
def test_small_labels_of_an_axis_of_many_decades_are_not_noise(labels: np.ndarray) -> None:
    sizes = np.abs(labels[labels != 0])
    assert (tolerances(labels)[labels != 0] <= sizes / 100).all()
    assert tolerances(labels)[labels == 0].max(initial=0.0) <= sizes.min() / 1000


def test_what_is_left_of_a_zero_is_noise() -> None:
    labels = np.sort(np.cos(np.linspace(0, np.pi, 5)))
    assert 0 < np.abs(labels[2]) < tolerances(labels)[2]


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([0.30000001192092896, 0.5], [0.3, 0.5]), ([0.3, 0.5], None), ([1e300], None)],
)
def test_float32_numbers_are_recognized(values: Any, decimals: Any) -> None:
    recognized = float32_decimals(np.array(values))
    assert (None if recognized is None else recognized.tolist()) == decimals
