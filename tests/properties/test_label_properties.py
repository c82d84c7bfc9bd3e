"""Labels compared with exact decimal arithmetic, and found again by what a user types."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import gridax as gx
from gridax._decimals import as_decimals
from tests.x64 import x64


def exact(number: float) -> Fraction:
    """Return the decimal that a number is printed as."""
    return Fraction(repr(float(number)))


def unit(*numbers: float) -> float:
    """Return the unit in the last place of the largest number."""
    return math.ulp(max(map(abs, numbers)))


def has_few_digits(number: Fraction, largest: float) -> bool:
    """Whether a number is a decimal of 15 digits, counted from the first digit of the largest."""
    places = 15 - math.ceil(math.log10(largest))
    return (number * Fraction(10) ** places).denominator == 1


@st.composite
def bounds(draw: st.DrawFn, positive: bool = False) -> tuple[float, float]:
    """Return bounds of one scale."""
    power = draw(st.integers(-12, 6))
    low = draw(st.integers(1 if positive else -(10**4), 10**4))
    high = draw(st.integers(1 if positive else -(10**4), 10**4))
    assume(low != high)
    low, high = sorted((low, high))
    return float(f"{low}e{power}"), float(f"{high}e{power}")


def finds(axis: gx.Axis, *queries: list[Any]) -> None:
    """Check that lists of queries select the labels of an axis, from a Space and a Result."""
    for state in ({"x": axis}, {"x": axis, "k": gx.DataAxis(np.arange(axis.size))}):
        space = gx.Space(state, mode="product" if len(state) == 1 else "zip")
        dataset = space.dataset.assign(y=(space.dims, np.arange(axis.size)))
        result = gx.Result(dataset, space, None)  # type: ignore[arg-type]
        labels = dataset["x"].values
        for query in queries:
            np.testing.assert_array_equal(space.sel(x=query).dataset["x"], labels)
            np.testing.assert_array_equal(result.sel(x=query)["y"], np.arange(axis.size))
            i = axis.size // 2
            assert space.sel(x=query[i]).dataset["x"].item() == labels[i]
            assert result.sel(x=query[i])["y"].item() == i


@given(bounds(), st.integers(2, 60))
def test_labels_of_a_grid_are_the_exact_decimals(ends: tuple[float, float], n: int) -> None:
    low, high = ends
    with x64():
        axis = gx.GridAxis(low, high, n)
        labels = gx.Space({"x": axis}, mode="product").dataset["x"].values.tolist()
        wanted = [exact(low) + (exact(high) - exact(low)) * i / (n - 1) for i in range(n)]
        largest = max(abs(low), abs(high))
        for label, number in zip(labels, wanted, strict=True):
            if has_few_digits(number, largest):
                assert label == float(number)
            assert abs(exact(label) - number) <= 5e-15 * Fraction(largest)
            assert has_few_digits(exact(label), largest)
        assert (labels[0], labels[-1]) == (low, high)
        assert "-0.0" not in map(repr, labels)
        finds(axis, labels, list(map(float, wanted)), np.linspace(low, high, n).tolist())


@given(bounds(), st.integers(2, 40), st.integers(1, 8))
def test_digits_of_a_grid_are_significant(ends: tuple[float, float], n: int, digits: int) -> None:
    low, high = ends
    exact_labels = [exact(low) + (exact(high) - exact(low)) * i / (n - 1) for i in range(n)]
    rounded = decimal.Context(prec=digits)
    wanted = [
        float(rounded.divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator)))
        for x in exact_labels
    ]
    with x64():
        axis = gx.GridAxis(low, high, n, digits=digits)
        if len(set(wanted)) < n:
            with pytest.raises(ValueError, match="more than once"):
                axis.generate_values()
            return
        labels = gx.Space({"x": axis}, mode="product").dataset["x"].values
        # A tie may go either way, as the exact number may not have been a tie.
        np.testing.assert_allclose(labels, wanted, rtol=1.01 * 10.0 ** (1 - digits))
        assert all(float(f"{label:.{digits}g}") == label for label in labels.tolist())
        finds(axis, labels.tolist())


@given(bounds(positive=True), st.integers(2, 40))
def test_labels_of_a_logarithmic_grid_are_correct_to_15_digits(
    ends: tuple[float, float], n: int
) -> None:
    low, high = ends
    with decimal.localcontext(prec=50):
        first, last = decimal.Decimal(repr(low)), decimal.Decimal(repr(high))
        wanted = [first * (last / first) ** (decimal.Decimal(i) / (n - 1)) for i in range(n)]
    rounded = decimal.Context(prec=15)
    with x64():
        axis = gx.LogGridAxis(low, high, n)
        labels = gx.Space({"x": axis}, mode="product").dataset["x"].values.tolist()
        assert labels[1:-1] == [float(rounded.plus(x)) for x in wanted[1:-1]]
        assert (labels[0], labels[-1]) == (low, high)
        finds(axis, labels)


@given(st.integers(1, 9), st.integers(-20, 20), st.integers(1, 12))
def test_decades_are_exact(digit: int, power: int, decades: int) -> None:
    labels = [float(f"{digit}e{power + i}") for i in range(decades + 1)]
    with x64():
        axis = gx.LogGridAxis(labels[0], labels[-1], decades + 1)
        assert gx.Space({"x": axis}).dataset["x"].values.tolist() == labels


@given(
    st.lists(st.integers(-(10**5), 10**5), min_size=1, max_size=20, unique=True),
    st.integers(-12, 6),
    st.integers(0, 2**32 - 1),
)
def test_noise_is_removed_from_typed_numbers(digits: list[int], power: int, seed: int) -> None:
    assume(any(digits))  # the unit of zero is no rounding error
    numbers = [float(f"{digit}e{power}") for digit in digits]
    shifts = np.random.default_rng(seed).integers(-2, 3, len(numbers))
    noisy = np.array(numbers) + shifts * unit(*numbers)
    assert as_decimals(noisy).tolist() == numbers
    assert as_decimals(np.array(numbers)).tolist() == numbers
    with x64():
        finds(gx.DataAxis(noisy), noisy.tolist(), numbers)
        finds(gx.DataAxis(numbers), numbers, noisy.tolist())


@given(
    st.decimals(-(10**9), 10**9, places=1),
    st.sampled_from([1e-3, 0.1, 1.0, 1e3]),
    st.integers(2, 60),
)
def test_grids_far_from_zero_are_selected_by_what_numpy_computes(
    low: decimal.Decimal, width: float, n: int
) -> None:
    bounds = float(low), float(low) + width
    with x64():
        finds(gx.GridAxis(*bounds, n), np.linspace(*bounds, n).tolist())


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12, unique=True))
def test_any_list_is_selected_by_the_numbers_given(numbers: list[float]) -> None:
    assume(len({number + 0.0 for number in numbers}) == len(numbers))
    with x64():
        finds(gx.DataAxis(numbers), numbers)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=12, unique=True))
def test_float32_numbers_are_selected_as_float32_as_float64_and_as_decimals(
    numbers: list[float],
) -> None:
    values = np.float32(numbers)
    assume(np.unique(values).size == len(numbers))
    axis = gx.DataAxis(values)
    finds(axis, list(values), values.tolist(), [float(str(value)) for value in values])


@given(st.integers(2, 200), st.integers(0, 2**32 - 1), st.sampled_from(["normal", "lognormal"]))
def test_draws_stay_bit_for_bit_and_are_found(n: int, seed: int, kind: str) -> None:
    draws = getattr(np.random.default_rng(seed), kind)(size=n)
    axis = gx.from_samples({"x": draws})["x"]
    labels = gx.Space({"x": axis}).dataset["x"].values
    np.testing.assert_array_equal(labels, as_decimals(draws))
    np.testing.assert_allclose(labels, draws, rtol=0, atol=48 * unit(*draws.tolist()))
    finds(axis, draws.tolist())


@given(
    st.integers(-100, 100), st.integers(1, 300), st.sampled_from([1, 2, 5, 25]), st.integers(0, 4)
)
def test_arange_has_the_decimals_that_it_was_made_from(
    start: int, n: int, step: int, places: int
) -> None:
    width = Fraction(step, 10**places)
    values = np.arange(n) * float(width) + start
    wanted = [float(start + i * width) for i in range(n)]
    assert as_decimals(values).tolist() == wanted
    made = np.arange(start, float(start + (n - 0.5) * width), float(width))
    assert as_decimals(made).tolist() == wanted[: len(made)]


@given(bounds(), st.integers(2, 30))
def test_slices_take_both_ends(ends: tuple[float, float], n: int) -> None:
    low, high = ends
    with x64():
        labels = gx.Space({"x": gx.GridAxis(low, high, n)}).dataset["x"].values
        i, j = n // 3, n - 1 - n // 4
        assume(i <= j)
        for values in (labels, labels[::-1]):
            space = gx.Space({"x": gx.DataAxis(values)}, mode="product")
            part = space.sel(x=slice(values[i], values[j]))
            assert part.dataset["x"].values.tolist() == values[i : j + 1].tolist()
