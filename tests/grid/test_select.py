"""From what a person selects to positions: by flat index, by dimension, by label, by predicate."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._grid.select import by_label, flat_positions, is_integer, positions, single, where
from gridax.space import points_of
from tests.ids import plain

SIZES = {"a": 2, "b": 3, "c": 4}


@pytest.mark.parametrize("index", [0, -1, np.int64(2), np.array(2), jnp.int32(2)])
def test_integers_of_any_kind_are_one_point(index: Any) -> None:
    assert is_integer(index)
    assert single(index, 5) == int(index) % 5


@pytest.mark.parametrize(
    "index", [True, np.True_, 1.0, np.float32(1), "1", None, [1], np.array([1]), slice(1)]
)
def test_anything_else_is_not_one_point(index: Any) -> None:
    assert not is_integer(index)
    assert single(index, 5) is None


@pytest.mark.parametrize("index", [5, -6, np.int8(100)])
def test_one_point_out_of_range_is_refused(index: int) -> None:
    message = f"point {index} is out of range for a space of 5 points"
    with pytest.raises(IndexError, match=re.escape(message)):
        single(index, 5)


@pytest.mark.parametrize("n", [6, 10**20])
@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(0, 6, 4), [0, 4]),
        (slice(3, None, -1), [3, 2, 1, 0]),
        ([4, 0, 0], [4, 0, 0]),
        ((1, 2), [1, 2]),
        (np.array([1, 5], np.uint8), [1, 5]),
        (np.array([1, 5], object), [1, 5]),
        (jnp.array([1, 5]), [1, 5]),
        (range(2), [0, 1]),
    ],
    ids=plain,
)
def test_several_points_are_picked_by_slices_and_lists(
    n: int, index: Any, expected: list[int]
) -> None:
    found = flat_positions(index, n)
    assert found.tolist() == expected
    assert found.dtype == (np.int64 if n == 6 else object)


@pytest.mark.parametrize("n", [6, 10**12, 10**20])
def test_negative_positions_count_from_the_end(n: int) -> None:
    assert flat_positions([-1, 0, -n], n).tolist() == [n - 1, 0, 0]
    assert flat_positions(slice(-2, None), n).tolist() == [n - 2, n - 1]
    assert flat_positions(slice(None, -3, -1), n).tolist() == [n - 1, n - 2]


def test_a_mask_picks_where_it_holds() -> None:
    assert flat_positions([True, False, True], 3).tolist() == [0, 2]
    assert flat_positions(np.array([False, True, False]), 3).tolist() == [1]


def test_a_tuple_is_refused_as_it_could_mean_one_point_or_several() -> None:
    text = (
        "points are picked by one flat position, got (0, 1); use isel to give a position per "
        "dimension, or a list to pick several points"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        single((0, 1), 6)


@pytest.mark.parametrize(
    ("index", "n", "error", "message"),
    [
        ([0, 6], 6, IndexError, "point 6 is out of range for a space of 6 points"),
        ([-7], 6, IndexError, "point -7 is out of range for a space of 6 points"),
        ([10**20], 10**20, IndexError, f"point {10**20} is out of range for a space of {10**20}"),
        ([True, False], 6, IndexError, "a boolean index must have 6 entries, got 2"),
        ([], 6, IndexError, "the selection holds no point"),
        (slice(4, 2), 6, IndexError, "the selection holds no point"),
        (slice(9, None), 6, IndexError, "the selection holds no point"),
        ([False] * 6, 6, IndexError, "the selection holds no point"),
        (
            [1.0],
            6,
            TypeError,
            "points are picked by an int, a slice, or a list of ints or bools, got [1.0]",
        ),
        ("abc", 6, TypeError, "points are picked by an int, a slice, or a list of ints or bools"),
        (None, 6, TypeError, "points are picked by an int, a slice, or a list of ints or bools"),
        ([[0, 1]], 6, TypeError, "points are picked by an int, a slice, or a list of ints or"),
        (["a"], 6, TypeError, "points are picked by an int, a slice, or a list of ints or bools"),
        ([0.5], 10**20, TypeError, "points are picked by an int, a slice, or a list of ints"),
        (
            slice(None),
            10**12,
            ValueError,
            "1000000000000 points cannot be picked one by one; select whole stretches of "
            "dimensions with sel or isel",
        ),
        (slice(None, None, 2), 10**20, ValueError, f"{5 * 10**19} points cannot be picked one by"),
    ],
    ids=plain,
)
def test_points_that_cannot_be_picked_are_refused(
    index: Any, n: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        flat_positions(index, n)


def test_nothing_may_be_picked_where_that_is_allowed() -> None:
    assert flat_positions([], 6, empty=True).tolist() == []
    assert flat_positions(slice(4, 2), 6, empty=True).tolist() == []


def test_positions_are_taken_per_dimension() -> None:
    found = positions({"c": slice(1, None, 2), "a": -1, "b": [True, False, True]}, SIZES)
    assert {dim: np.asarray(index).tolist() for dim, index in found.items()} == {
        "a": 1,
        "b": [0, 2],
        "c": [1, 3],
    }
    assert type(found["a"]) is int


@pytest.mark.parametrize(
    ("indexers", "error", "message"),
    [
        ({"z": 0}, ValueError, "no dimension 'z'; the dimensions are 'a', 'b', 'c'"),
        ({"a": 2}, IndexError, "'a' has 2 positions, 2 is out of range"),
        ({"a": -3}, IndexError, "'a' has 2 positions, -3 is out of range"),
        ({"a": []}, IndexError, "the selection holds no point"),
    ],
)
def test_positions_that_do_not_exist_are_refused(
    indexers: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        positions(indexers, SIZES)


def test_a_wrong_list_of_positions_names_its_dimension() -> None:
    with pytest.raises(IndexError, match="point 9 is out of range") as caught:
        positions({"b": [0, 9]}, SIZES)
    assert caught.value.__notes__ == ["while selecting along 'b'"]


@pytest.fixture(scope="module")
def space() -> gx.Space:
    """A space with an axis of every kind of label."""
    state = {
        "x": gx.GridAxis(0, 1, 11),
        "u": gx.DataAxis([3.0, 1.0, 2.0]),
        "n": gx.DataAxis([10, 20, 30]),
        "f": gx.DataAxis([True, False]),
        "s": gx.ChoiceAxis(["low", "mid", "high"]),
        "a": gx.DataAxis([1.0, 2.0, 3.0], group="pair"),
        "b": gx.DataAxis([30.0, 10.0, 20.0], group="pair"),
    }
    return gx.Space(state, mode="product")


@pytest.mark.parametrize(
    ("labels", "method", "expected"),
    [
        ({"x": 0.3}, None, {"x": 3}),
        ({"x": [0.1 + 0.2, 0.3]}, None, {"x": [3, 3]}),
        ({"x": slice(0.2, 0.5)}, None, {"x": [2, 3, 4, 5]}),
        ({"x": slice(None, 0.1)}, None, {"x": [0, 1]}),
        ({"x": 0.34}, "nearest", {"x": 3}),
        ({"x": [0.34, 0.36]}, "nearest", {"x": [3, 4]}),
        ({"x": slice(0.2, 0.3)}, "nearest", {"x": [2, 3]}),
        ({"u": 1.0}, None, {"u": 1}),
        ({"u": 2.4}, "nearest", {"u": 2}),
        ({"u": slice(1.5, 3)}, None, {"u": [0, 2]}),
        ({"n": 20}, None, {"n": 1}),
        ({"n": 20.0}, None, {"n": 1}),
        ({"n": 24}, "nearest", {"n": 1}),
        ({"n": np.int8(20)}, None, {"n": 1}),
        ({"n": jnp.int32(20)}, None, {"n": 1}),
        ({"n": jnp.array([30, 10])}, None, {"n": [2, 0]}),
        ({"f": True}, None, {"f": 0}),
        ({"f": [False, True]}, "nearest", {"f": [1, 0]}),
        ({"s": "mid"}, "nearest", {"s": 1}),
        ({"s": ["high", "low"]}, None, {"s": [2, 0]}),
        ({"s": slice("low", "mid")}, None, {"s": [0, 1]}),
        ({"a": 2.0}, None, {"pair": 1}),
        ({"b": 21}, "nearest", {"pair": 2}),
        ({"a": 1.2, "b": 28}, "nearest", {"pair": 0}),
        ({"a": [3.0, 1.0], "b": [20.0, 30.0]}, None, {"pair": [2, 0]}),
        (
            {"x": 0.31, "s": "low", "b": 11, "f": True},
            "nearest",
            {"x": 3, "s": 0, "pair": 1, "f": 0},
        ),
        ({"x": xr.DataArray([0.3, 0.1], dims="z")}, None, {"x": [3, 1]}),
        ({}, None, {}),
    ],
    ids=plain,
)
def test_labels_become_positions(
    space: gx.Space, labels: dict[str, Any], method: str | None, expected: dict[str, Any]
) -> None:
    found = by_label(space.dataset, points_of(space).grid, labels, method, None)
    assert {dim: np.asarray(index).tolist() for dim, index in found.items()} == expected


def test_a_tolerance_limits_how_far_the_nearest_may_be(space: gx.Space) -> None:
    assert by_label(space.dataset, points_of(space).grid, {"x": 0.34}, "nearest", 0.05) == {"x": 3}
    message = "no point has x=0.34 within 0.01; x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0"
    with pytest.raises(KeyError, match=re.escape(message)):
        by_label(space.dataset, points_of(space).grid, {"x": 0.34}, "nearest", 0.01)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (
            {"x": 0.35},
            {},
            KeyError,
            "no point has x=0.35; x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0",
        ),
        (
            {"x": [0.3, 0.35]},
            {},
            KeyError,
            "no point has x=[0.3, 0.35]; x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0",
        ),
        (
            {"x": slice(0.21, 0.29)},
            {},
            KeyError,
            "no point lies in x=slice(0.21, 0.29, None); x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0",
        ),
        ({"x": []}, {}, KeyError, "no point lies in x=[]; x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0"),
        ({"x": np.nan}, {"method": "nearest"}, KeyError, "no point has x=nan; x has 0.0, 0.1"),
        ({"x": None}, {}, KeyError, "no point has x=None; x has 0.0, 0.1, 0.2, 0.3, 0.4, …, 1.0"),
        ({"n": 15}, {}, KeyError, "no point has n=15; n has 10, 20, 30"),
        ({"s": "top"}, {}, KeyError, "no point has s='top'; s has 'low', 'mid', 'high'"),
        ({"u": 5.0}, {}, KeyError, "no point along 'u' has u=5.0; u has 3.0, 1.0, 2.0"),
        ({"u": slice(5, 6)}, {}, KeyError, "no point lies in u=slice(5, 6, None); u has 3.0, 1.0"),
        (
            {"a": 1.0, "b": 10.0},
            {},
            KeyError,
            "no point along 'pair' has a=1.0, b=10.0; a has 1.0, 2.0, 3.0; b has 30.0, 10.0, 20.0",
        ),
        (
            {"z": 1},
            {},
            ValueError,
            "no axis 'z' to select by; the axes are 'x', 'u', 'n', 'f', 's', 'a', 'b'",
        ),
        ({"pair": 1}, {}, ValueError, "no axis 'pair' to select by; the axes are 'x', 'u', 'n'"),
        ({"x": 0.3}, {"method": "pad"}, ValueError, "method must be None or 'nearest', got 'pad'"),
        (
            {"x": 0.3},
            {"tolerance": 0.1},
            ValueError,
            "tolerance= goes with method='nearest'; labels match exactly without it",
        ),
        (
            {"x": [True, False]},
            {},
            TypeError,
            "the labels of 'x' are no bools, got [True, False]; isel takes masks",
        ),
        ({"n": True}, {}, TypeError, "the labels of 'n' are no bools, got True; isel takes masks"),
        (
            {"x": xr.DataArray([[0.1]], dims=("y", "z"))},
            {},
            ValueError,
            "labels of 'x' must stand in one row, got x=",
        ),
        (
            {"a": [1.0, 2.0], "b": [30.0]},
            {},
            ValueError,
            "selecting several members of 'pair' at once reads lists in pairs; their lengths "
            "differ: a: (2,), b: (1,)",
        ),
    ],
    ids=plain,
)
def test_labels_that_select_nothing_say_what_there_is(
    space: gx.Space,
    labels: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        space.sel(labels, **options)


def test_an_error_of_xarray_says_what_was_asked_for(space: gx.Space) -> None:
    with pytest.raises(ValueError, match="could not convert string to float") as caught:
        space.sel(x="high")
    assert caught.value.__notes__ == ["while selecting x='high'"]


def mask(dims: tuple[str, ...], *hits: tuple[int, ...]) -> xr.DataArray:
    array = np.zeros([SIZES[dim] for dim in dims], dtype=bool)
    for hit in hits:
        array[hit] = True
    return xr.DataArray(array, dims=dims)


@pytest.mark.parametrize(
    ("dims", "hits"),
    [
        (("a",), [(1,)]),
        (("b",), [(0,), (2,)]),
        (("c",), [(3,)]),
        (("a", "c"), [(0, 1), (1, 0)]),
        (("c", "a"), [(1, 0), (0, 1)]),
        (("a", "b", "c"), [(0, 0, 3), (1, 2, 0)]),
        (("c", "b", "a"), [(3, 0, 0)]),
    ],
)
def test_a_mask_over_some_dimensions_holds_for_all_of_the_others(
    dims: tuple[str, ...], hits: list[tuple[int, ...]]
) -> None:
    array = mask(dims, *hits)
    full = xr.DataArray(np.ones(tuple(SIZES.values()), dtype=bool), dims=tuple(SIZES)) & array
    assert where(array, SIZES).tolist() == np.flatnonzero(full.transpose(*SIZES)).tolist()


def test_a_mask_of_no_dimension_holds_everywhere_or_nowhere() -> None:
    assert where(xr.DataArray(True), SIZES).tolist() == list(range(24))
    with pytest.raises(ValueError, match="the filter keeps no point"):
        where(xr.DataArray(False), SIZES)


@pytest.mark.parametrize(
    ("result", "sizes", "error", "message"),
    [
        (mask(("a", "b")), SIZES, ValueError, "the filter keeps no point"),
        (
            xr.DataArray([True], dims="z"),
            SIZES,
            ValueError,
            "the predicate's result has the dimension 'z', which is none of the space's: 'a', 'b'",
        ),
        (
            xr.DataArray([1.0], dims="a"),
            SIZES,
            TypeError,
            "the predicate must return a DataArray of bools, such as lambda ds: ds.a < ds.b, got "
            "DataArray of float64",
        ),
        (np.array([True]), SIZES, TypeError, "lambda ds: ds.a < ds.b, got ndarray of bool"),
        (True, SIZES, TypeError, "lambda ds: ds.a < ds.b, got bool"),
        (
            xr.DataArray([True, False], dims="a"),
            {"a": 2, "b": 10**10, "c": 10**10},
            ValueError,
            f"{10**20} points cannot be picked one by one; select whole stretches of dimensions",
        ),
    ],
    ids=plain,
)
def test_predicates_that_select_nothing_sensible_are_refused(
    result: Any, sizes: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        where(result, sizes)
