"""From what a user selects to positions: by flat index, by dimension, by predicate."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._grid.select import flat_positions, is_integer, positions, single, where
from tests.ids import plain

SIZES = {"a": 2, "b": 3, "c": 4}
NO_LABELS = xr.Dataset()


@pytest.mark.parametrize("index", [0, -1, np.int64(2), np.array(2), jnp.int32(2)])
def test_integers_of_any_kind_are_one_point(index: Any) -> None:
    assert is_integer(index)
    assert single(index, 5) == int(index) % 5


def test_what_argmax_of_an_output_returns_is_one_point() -> None:
    assert single(xr.DataArray([1.0, 3.0, 2.0], dims="x").argmax("x"), 3) == 1


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
        "a point is picked by one flat position, got (0, 1); use isel() for a position per "
        "dimension, or a list for several points"
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
        ([], 6, IndexError, "the selection is empty; select at least one point"),
        (slice(4, 2), 6, IndexError, "the selection is empty; select at least one point"),
        (slice(9, None), 6, IndexError, "the selection is empty; select at least one point"),
        ([False] * 6, 6, IndexError, "the selection is empty; select at least one point"),
        (
            [1.0],
            6,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans, got [1.0]",
        ),
        (
            "abc",
            6,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        (
            None,
            6,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        (
            [[0, 1]],
            6,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or",
        ),
        (
            ["a"],
            6,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        (
            [0.5],
            10**20,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers",
        ),
        (
            slice(None),
            10**12,
            ValueError,
            "1000000000000 points are too many to be picked one by one; select along "
            "dimensions with sel() or isel()",
        ),
        (
            slice(None, None, 2),
            10**20,
            ValueError,
            f"{5 * 10**19} points are too many to be picked one by",
        ),
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
        ({"z": 0}, ValueError, "there is no dimension 'z'; the dimensions are 'a', 'b', 'c'"),
        ({"a": 2}, IndexError, "position 2 is out of range for 'a' of size 2"),
        ({"a": -3}, IndexError, "position -3 is out of range for 'a' of size 2"),
        (
            {"a": [[0, 1]]},
            ValueError,
            "a selection along 'a' must be one-dimensional, got shape (1, 2)",
        ),
        ({"a": []}, IndexError, "the selection is empty; select at least one point"),
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
    assert (
        where(array, NO_LABELS, SIZES).tolist() == np.flatnonzero(full.transpose(*SIZES)).tolist()
    )


def test_a_mask_of_no_dimension_holds_everywhere_or_nowhere() -> None:
    assert where(xr.DataArray(True), NO_LABELS, SIZES).tolist() == list(range(24))
    with pytest.raises(
        ValueError, match="the filter keeps no points; the predicate must hold for at least one"
    ):
        where(xr.DataArray(False), NO_LABELS, SIZES)


@pytest.mark.parametrize(
    ("result", "sizes", "error", "message"),
    [
        (
            mask(("a", "b")),
            SIZES,
            ValueError,
            "the filter keeps no points; the predicate must hold for at least one",
        ),
        (
            xr.DataArray([True], dims="z"),
            SIZES,
            ValueError,
            "the result of the predicate has the dimension 'z', but the dimensions of the space are 'a', 'b'",
        ),
        (
            xr.DataArray([1.0], dims="a"),
            SIZES,
            TypeError,
            "the predicate must return a DataArray of booleans, such as lambda ds: ds.a < ds.b; it returned "
            "DataArray of float64",
        ),
        (np.array([True]), SIZES, TypeError, "lambda ds: ds.a < ds.b; it returned ndarray of bool"),
        (True, SIZES, TypeError, "lambda ds: ds.a < ds.b; it returned bool"),
        (
            xr.DataArray([True, False], dims="a"),
            {"a": 2, "b": 10**10, "c": 10**10},
            ValueError,
            f"{10**20} points are too many to be picked one by one; select along dimensions",
        ),
    ],
    ids=plain,
)
def test_predicates_that_select_nothing_sensible_are_refused(
    result: Any, sizes: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        where(result, NO_LABELS, sizes)


@pytest.mark.parametrize(
    ("labels", "n"),
    [
        ([0.0, 0.5, 1.0], "3"),
        ([0.0, 0.2, 0.4, 0.7], "other"),
        ([0.4, 0.2, 0.0, 0.6], "other"),
        (3, "3"),
    ],
)
def test_masks_with_other_labels_are_refused(labels: Any, n: str) -> None:
    space = gx.Space({"a": gx.GridAxis(0, 0.6, 4), "b": gx.DataAxis([1, 2])}, mode="product")
    size = labels if isinstance(labels, int) else len(labels)
    coords = {} if isinstance(labels, int) else {"a": labels}
    other = xr.DataArray([False] * (size - 1) + [True], coords, ["a"])
    text = f"the result of the predicate has {n} labels along 'a', not the 4 of the space; bring "
    with pytest.raises(ValueError, match=re.escape(text)):
        space.filter(lambda ds: other)
    if "a" in other.coords and other["a"].to_index().is_monotonic_increasing:
        there = space.filter(
            lambda ds: other.reindex({"a": ds["a"]}, method="nearest") | (ds.b == 1)
        )
        assert len(there) >= 4


def test_masks_along_zipped_axes_are_refused_if_a_label_of_any_of_them_differs() -> None:
    def shifted(mask: xr.DataArray, name: str) -> xr.DataArray:
        plain = mask.drop_indexes(["a", "b"])
        return plain.assign_coords({name: plain[name].variable + 1})

    space = gx.Space({"a": gx.DataAxis([3.0, 1.0]), "b": gx.DataAxis([1, 2])}, mode="zip")
    assert len(space.filter(lambda ds: ds.a * ds.b > 2.5)) == 1
    for name in ("a", "b"):
        with pytest.raises(ValueError, match="has other labels along 'point', not the 2 of"):
            space.filter(lambda ds, name=name: shifted(ds.b > 0, name))


@pytest.mark.parametrize("select", ["sel", "isel"])
@pytest.mark.parametrize(
    ("one", "other", "dim"),
    [
        ({"a": "p"}, {"b": "p"}, "p"),
        ({"a": "b"}, {}, "b"),
        ({"a": "b"}, {"b": "b"}, "b"),
        ({"b": "q", "a": "p"}, {"c": "q"}, "q"),
    ],
)
def test_selections_that_xarray_takes_in_pairs_are_refused(select, one, other, dim) -> None:
    state = {name: gx.DataAxis([0, 1, 2]) for name in "abc"}
    space = gx.Space(state, mode="product")
    queries = {
        name: xr.DataArray([0, 2, 1], dims=along) for name, along in {**one, **other}.items()
    }
    assert getattr(space.dataset, select)(queries).sizes[dim] == 3
    with pytest.raises(ValueError, match=f"have the dimension '{dim}' in common, so xarray would"):
        getattr(space, select)(queries)
    plain = {name: query.values for name, query in queries.items()}
    assert getattr(space, select)(plain).shape == (3, 3, 3)


@pytest.mark.parametrize("indexer", [0, 2, [2, 0]])
@pytest.mark.parametrize("wrap", [lambda array: array, xr.DataArray], ids=["array", "DataArray"])
def test_arrays_of_jax_select_like_those_of_numpy(indexer: Any, wrap: Any) -> None:
    space = gx.Space({"x": gx.DataAxis([0, 2, 1]), "y": gx.GridAxis(0, 2, 3)}, mode="product")
    model = gx.SequentialExecution(lambda s: np.arange(6.0).reshape(3, 2) * s["y"], space)
    times = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")
    result = model.run(dims={"value": ("node", "t")}, coords={"t": times}, progress=False)
    host, device = wrap(np.array(indexer)), wrap(jnp.array(indexer))
    for name in ("x", "y", "node"):
        xr.testing.assert_identical(result.isel({name: device}), result.isel({name: host}))
        xr.testing.assert_identical(result.sel({name: device}), result.sel({name: host}))
    xr.testing.assert_identical(result.isel(t=device // 2), result.isel(t=host // 2))
