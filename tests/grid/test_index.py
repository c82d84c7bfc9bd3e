"""PointIndex: what several labels along one dimension select, and what survives."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from xarray.indexes import PandasIndex

from gridax import PointIndex
from gridax._grid.index import attach, attach_all
from tests.ids import plain
from tests.x64 import x64

A = [3.0, 1.0, 2.0, 1.0]
B = [30, 10, 20, 40]
C = ["c", "a", "b", "a"]


@pytest.fixture
def points() -> xr.Dataset:
    """Four points with three labels each, and their positions as data."""
    coords = {
        "a": ("p", A, {"units": "ms"}),
        "b": ("p", B),
        "c": ("p", C),
    }
    dataset = xr.Dataset({"at": ("p", range(4))}, coords=coords)
    return dataset.set_xindex(["a", "b", "c"], PointIndex)


@pytest.mark.parametrize(
    ("labels", "at"),
    [
        ({"a": 2.0}, 2),
        ({"b": 10}, 1),
        ({"b": 10.0}, 1),
        ({"c": "c"}, 0),
        ({"a": 1.0}, [1, 3]),
        ({"a": 1.0, "b": 40}, 3),
        ({"a": 1.0, "b": 40, "c": "a"}, 3),
        ({"b": [20, 30]}, [2, 0]),
        ({"a": [1.0, 3.0], "b": [40, 30]}, [3, 0]),
        ({"a": 1.0, "b": [40, 10]}, [3, 1]),
        ({"c": ["b", "b"]}, [2, 2]),
        ({"b": slice(15, 30)}, [0, 2]),
        ({"b": slice(15, None), "a": slice(None, 2.0)}, [2, 3]),
        ({"c": slice("b", "c")}, [0, 2]),
        ({"a": 1.0, "b": slice(15, None)}, 3),
        ({"b": slice(100, None)}, []),
        ({"b": []}, []),
        ({"a": 2}, 2),
        ({"a": np.float32(2)}, 2),
    ],
    ids=plain,
)
def test_points_are_selected_by_one_label_or_several(
    points: xr.Dataset, labels: dict[str, Any], at: Any
) -> None:
    assert points.sel(labels)["at"].values.tolist() == at


@pytest.mark.parametrize(
    ("labels", "at"),
    [
        ({"a": 2.6}, 0),
        ({"b": 12}, 1),
        ({"b": [38, 12]}, [3, 1]),
        ({"a": 1.1, "b": 38}, 3),
        ({"a": 2.4, "b": 10}, 2),  # off by 0.2 and 0.3 of the ranges; the point of b=10 by 0.7
        ({"a": 1.9, "c": "a"}, 1),  # a string matches exactly, the number nearest among those
        ({"b": 10, "a": slice(1.5, None)}, 2),
        ({"c": "b"}, 2),
        ({"b": np.inf, "c": "a"}, 1),
    ],
    ids=plain,
)
def test_numbers_are_selected_by_nearest_with_distances_scaled_by_range(
    points: xr.Dataset, labels: dict[str, Any], at: Any
) -> None:
    assert points.sel(labels, method="nearest")["at"].values.tolist() == at


def test_a_tolerance_holds_for_each_label_unscaled(points: xr.Dataset) -> None:
    near = {"a": 1.5, "b": 38}
    assert points.sel(near, method="nearest", tolerance=2).at == 3
    message = "no points match a=1.5, b=38 within 1; nearest labels of 'a': 1.0, 2.0, 3.0; nearest labels of 'b': 40"
    with pytest.raises(KeyError, match=re.escape(message)):
        points.sel(near, method="nearest", tolerance=1)


def test_a_member_of_no_range_does_not_disturb_the_others() -> None:
    points = xr.Dataset({"at": ("p", [0, 1])}, {"a": ("p", [2.0, 2.0]), "b": ("p", [1, 2])})
    points = points.set_xindex(["a", "b"], PointIndex)
    assert points.sel(a=2.5, b=1.9, method="nearest").at == 1


@pytest.mark.parametrize(
    ("labels", "method", "error", "message"),
    [
        ({"a": 2.5}, None, KeyError, "no points match a=2.5; nearest labels of 'a': 2.0, 3.0, 1.0"),
        ({"c": "z"}, None, KeyError, "no points match c='z'; labels of 'c': 'c', 'a', 'b'"),
        ({"c": "z"}, "nearest", KeyError, "no points match c='z'; labels of 'c': 'c', 'a', 'b'"),
        (
            {"a": 3.0, "b": 10},
            None,
            KeyError,
            "no points match a=3.0, b=10; nearest labels of 'a': 3.0, 2.0, 1.0; nearest labels of 'b': 10, 20, 30, …",
        ),
        (
            {"b": [10, 15]},
            None,
            KeyError,
            "no points match b=15; nearest labels of 'b': 10, 20, 30, …",
        ),
        ({"a": np.nan}, "nearest", KeyError, "no points match a=nan; nearest labels of 'a': 1.0"),
        (
            {"a": 1.0, "b": slice(50, None)},
            "nearest",
            KeyError,
            "no points match a=1.0, b=slice(50, None); nearest labels of 'a': 1.0, 2.0, 3.0; labels of 'b': 30",
        ),
        (
            {"a": "x"},
            "nearest",
            TypeError,
            "labels of 'a' are numbers, got 'x'; pass a number, or a list or slice of numbers",
        ),
        (
            {"a": [1.0, 2.0], "b": [10, 20, 30]},
            None,
            ValueError,
            "lists of labels for several coordinates along 'p' are read in pairs, but their shapes "
            "differ (a: (2,), b: (3,)); pass lists of the same length",
        ),
        (
            {"b": slice(10, 30, 2)},
            None,
            ValueError,
            "a slice of labels of 'b' cannot have a step, got slice(10, 30, 2); select with isel()",
        ),
        (
            {"a": 1.0},
            "ffill",
            ValueError,
            "method must be None or 'nearest', got 'ffill'",
        ),
    ],
    ids=plain,
)
def test_what_cannot_be_selected_says_why(
    points: xr.Dataset,
    labels: dict[str, Any],
    method: str | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        points.sel(labels, method=method)


def test_a_long_list_of_labels_is_cut_in_messages() -> None:
    points = xr.Dataset(coords={"a": ("p", np.arange(9.0)[::-1])}).set_xindex("a", PointIndex)
    message = "no points match a=0.5; nearest labels of 'a': 0.0, 1.0, 2.0, …"
    with pytest.raises(KeyError, match=re.escape(message)):
        points.sel(a=0.5)


def test_a_dataarray_selects_to_its_own_dims(points: xr.Dataset) -> None:
    wanted = xr.DataArray([[10, 20], [30, 40]], dims=("y", "z"), coords={"y": ["u", "v"]})
    found = points.sel(b=wanted)["at"]
    assert found.dims == ("y", "z")
    assert found.values.tolist() == [[1, 2], [0, 3]]
    assert found["y"].values.tolist() == ["u", "v"]
    near = points.sel(b=wanted + 1, method="nearest")["at"]
    np.testing.assert_array_equal(near, found)


def test_dataarrays_of_several_dims_are_broadcast_as_xarray_does(points: xr.Dataset) -> None:
    a = xr.DataArray([1.1, 2.9], dims="y")
    b = xr.DataArray([12, 33, 38], dims="z")
    found = points.sel(a=a, b=b, method="nearest")["at"]
    assert found.dims == ("y", "z")
    assert found.values.tolist() == [[1, 3, 3], [2, 0, 0]]
    near_a = points.sel(a=xr.DataArray(2.9), b=[12, 33], method="nearest")["at"]
    assert near_a.values.tolist() == [2, 0]


def test_floats_are_read_as_labels_are() -> None:
    labeled = xr.Dataset({"at": ("p", [0, 1, 2])}, {"a": ("p", [0.3, 0.1, 0.2])})
    labeled = labeled.set_xindex("a", PointIndex)
    assert labeled.sel(a=0.1 + 0.2).at == 0
    assert labeled.sel(a=np.float32([0.3, 0.1])).at.values.tolist() == [0, 1]
    assert labeled.sel(a=slice(0.15, 0.1 + 0.2)).at.values.tolist() == [0, 2]


def test_every_float64_label_selects_itself() -> None:
    labels = np.array([1.0, np.nextafter(1.0, 2.0), 0.1 + 0.2])
    with x64():
        points = xr.Dataset({"at": ("p", range(3))}, {"a": ("p", labels)})
        points = points.set_xindex("a", PointIndex)
        assert points.sel(a=labels).at.values.tolist() == [0, 1, 2]
        assert [points.sel(a=label).at.item() for label in labels] == [0, 1, 2]


def test_bools_are_labels_not_a_mask() -> None:
    points = xr.Dataset({"at": ("x", [0, 1])}, {"x": [True, False]})
    points = attach(points, "x", ["x"])
    assert points.sel(x=[False, True]).at.values.tolist() == [1, 0]
    assert points.sel(x=False).at == 1


@pytest.mark.parametrize(
    ("indexer", "at"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([2, -1], [2, 3]),
        (np.array([True, False, False, True]), [0, 3]),
        (xr.Variable("p", [3, 1]), [3, 1]),
        (xr.DataArray([3, 1], dims="p"), [3, 1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_positions_keep_the_index(points: xr.Dataset, indexer: Any, at: list[int]) -> None:
    part = points.isel(p=indexer)
    assert part["at"].values.tolist() == at
    assert isinstance(part.xindexes["b"], PointIndex)
    assert part.sizes["p"] == len(at)
    assert [part.sel(b=B[i]).at.item() for i in at] == at


def test_a_part_of_unsorted_labels_aligns_with_the_whole() -> None:
    data = attach(xr.Dataset({"at": ("x", range(3))}, {"x": [0.3, 0.1, 0.2]}), "x", ["x"])["at"]
    for part in (data.sel(x=[0.1]), data.isel(x=[1, 2]), data.sortby("x")):
        assert isinstance(part.xindexes["x"], PointIndex)
        assert (data - part).values.tolist() == [0] * part.size
    joined = xr.concat([data.sel(x=[label]) for label in (0.2, 0.3, 0.1, 0.3)], "x")
    assert joined.sel(x=0.12, method="nearest").item() == 1


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_and_unsorted_labels_can_be_concatenated(order: int) -> None:
    one = attach(xr.Dataset({"at": ("x", range(3))}, {"x": [3.0, 1.0, 2.0]}), "x", ["x"])
    two = xr.Dataset({"at": ("x", [3, 4])}, {"x": [5.0, 6.0]})
    joined = xr.concat([one, two][::order], "x")
    assert joined["x"].values.tolist() == (
        [3.0, 1.0, 2.0, 5.0, 6.0] if order == 1 else [5.0, 6.0, 3.0, 1.0, 2.0]
    )
    assert joined.sel(x=2.0)["at"].item() == 2


@pytest.mark.parametrize("indexer", [1, xr.Variable((), 1), xr.DataArray([1, 2], dims="z")])
def test_one_point_or_points_of_another_dim_have_no_index(points: xr.Dataset, indexer: Any) -> None:
    part = points.isel(p=indexer)
    assert not part.xindexes
    assert set(part.coords) == {"a", "b", "c"}


def test_positions_of_another_dim_leave_the_index_alone(points: xr.Dataset) -> None:
    wide = points.assign(other=("q", [1, 2]))
    assert wide.isel(q=0).sel(b=20).at == 2
    index = points.xindexes["b"]
    assert index.isel({"q": 0}) is index


def test_concatenation_joins_the_labels(points: xr.Dataset) -> None:
    joined = xr.concat([points.isel(p=[0, 1]), points.isel(p=[2, 3])], dim="p")
    assert joined.identical(points)
    assert isinstance(joined.xindexes["a"], PointIndex)
    assert joined.sel(b=40).at == 3
    assert joined["a"].attrs == {"units": "ms"}


def test_concatenation_by_positions_reorders_the_labels() -> None:
    parts = [PointIndex("p", {"a": np.array(part)}) for part in ([1, 2], [3])]
    joined = PointIndex.concat(parts, "p", positions=[[2, 0], [1]])
    assert joined.members["a"].tolist() == [2, 3, 1]


def test_grouping_puts_the_points_back_in_order(points: xr.Dataset) -> None:
    same = points.groupby("c").map(lambda group: group)
    assert same["at"].values.tolist() == [0, 1, 2, 3]
    assert same["b"].values.tolist() == B


def test_renamed_members_and_dims_select_by_their_new_names(points: xr.Dataset) -> None:
    renamed = points.rename(a="alpha", p="run")
    assert renamed.sel(alpha=2.0).at == 2
    assert renamed.sel(alpha=1.9, b=21, method="nearest").at == 2
    assert renamed.xindexes["alpha"].dim == "run"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda ds: ds.copy(deep=True)])
def test_copies_select_alike(points: xr.Dataset, duplicate: Any) -> None:
    twin = duplicate(points)
    assert twin.identical(points)
    assert twin.sel(b=40, method="nearest").at == 3


def test_equal_indexes_are_equal_and_others_are_not(points: xr.Dataset) -> None:
    index = points.xindexes["a"]
    assert index.equals(points.copy(deep=True).xindexes["a"])
    assert not index.equals(points.isel(p=[1, 0, 2, 3]).xindexes["a"])
    assert not index.equals(points.rename(a="alpha").xindexes["alpha"])
    assert not index.equals(points.rename(p="q").xindexes["a"])
    assert not index.equals(PandasIndex([1, 2], "p"))


def test_arithmetic_aligns_points_by_their_labels(points: xr.Dataset) -> None:
    at = points["at"]
    assert (at + at).values.tolist() == [0, 2, 4, 6]
    assert isinstance((at + at).xindexes["a"], PointIndex)
    crossed = at.isel(p=[0, 1, 2]) + at.isel(p=[3, 2, 1])
    assert crossed.values.tolist() == [2, 4]
    assert crossed["b"].values.tolist() == [10, 20]
    assert (at.isel(p=[1, 0, 3, 2]) - at).values.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("join", "b", "left"),
    [
        ("inner", [10], [1.0]),
        ("outer", [30, 10, 20], [0.0, 1.0, np.nan]),
        ("left", [30, 10], [0.0, 1.0]),
        ("right", [10, 20], [1.0, np.nan]),
    ],
)
def test_alignment_joins_the_points(
    points: xr.Dataset, join: Any, b: list[int], left: list[float]
) -> None:
    one, other = points["at"].isel(p=[0, 1]), points["at"].isel(p=[1, 2])
    aligned, _ = xr.align(one, other, join=join)
    assert aligned["b"].values.tolist() == b
    np.testing.assert_array_equal(aligned, left)


def test_exact_alignment_refuses_other_points(points: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="cannot align objects with join='exact'"):
        xr.align(points.isel(p=[0, 1]), points.isel(p=[1, 0]), join="exact")


def test_a_lone_member_aligns_too() -> None:
    at = xr.DataArray([0, 1, 2], dims="p", coords={"a": ("p", [3.0, 1.0, 2.0])})
    at = at.set_xindex("a", PointIndex)
    total = at + at.isel(p=[2, 0])
    assert total["a"].values.tolist() == [3.0, 2.0]
    assert total.values.tolist() == [0, 4]


def test_indexes_of_other_members_do_not_join() -> None:
    one = PointIndex("p", {"a": np.array([1, 2])})
    other = PointIndex("p", {"b": np.array([1, 2])})
    message = "cannot align PointIndex('a') with PointIndex('b'): their coordinates differ"
    with pytest.raises(TypeError, match=re.escape(message)):
        one.join(other)
    with pytest.raises(TypeError, match=r"cannot reindex PointIndex\('a'\) like "):
        one.reindex_like(PandasIndex([1, 2], "p"))


def test_pandas_gets_one_level_per_member(points: xr.Dataset) -> None:
    index = points.xindexes["a"].to_pandas_index()
    assert isinstance(index, pd.MultiIndex)
    assert index.names == ["a", "b", "c"]
    assert index.tolist()[0] == (3.0, 30, "c")
    lone = PointIndex("p", {"a": np.array([2, 1])}).to_pandas_index()
    assert (lone.name, lone.tolist()) == ("a", [2, 1])


def test_only_coordinates_along_one_dimension_are_indexed() -> None:
    flat = xr.Dataset(coords={"a": ("p", [1, 2]), "b": ("q", [1, 2]), "c": (("p", "q"), np.eye(2))})
    with pytest.raises(ValueError, match="one-dimensional coordinates along one dimension, got"):
        flat.set_xindex(["a", "b"], PointIndex)
    with pytest.raises(ValueError, match="one-dimensional coordinates along one dimension, got"):
        flat.set_xindex(["c"], PointIndex)


def test_reprs_name_the_members(points: xr.Dataset) -> None:
    assert repr(points.xindexes["a"]) == "PointIndex('a', 'b', 'c')"
    assert "PointIndex (a, b, c)" in repr(points)
    assert points.xindexes["a"]._repr_inline_(12) == "PointIndex ("


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([1.0, 2.0, 3.0], PandasIndex),
        ([3, 2, 1], PointIndex),  # pandas finds nothing in slice(1, 2) of these
        ([5], PandasIndex),
        (["b", "a", "c"], PandasIndex),
        (["b", "a", "b"], PointIndex),
        ([1.0, 3.0, 2.0], PointIndex),
        ([1, 1, 2], PointIndex),
        ([True, False], PointIndex),
    ],
)
def test_a_dimension_gets_the_index_that_its_labels_need(labels: list[Any], kind: type) -> None:
    plain = xr.Dataset(coords=xr.Coordinates({"x": ("x", np.array(labels))}, indexes={}))
    for dataset in (plain, attach(plain, "x", ["x"]), plain.set_xindex("x", PandasIndex)):
        assert type(attach(dataset, "x", ["x"]).xindexes["x"]) is kind


def test_attaching_all_leaves_dimensions_without_coordinates_alone() -> None:
    coords = {"a": ("p", [1, 2]), "x": ("x", [2, 1, 3]), "region": ("region", ["l", "r"])}
    dataset = xr.Dataset({"bare": ("q", [0])}, xr.Coordinates(coords, indexes={}))
    indexed = attach_all(dataset, {"p": ["a"], "q": []})
    assert {name: type(index) for name, index in indexed.xindexes.items()} == {
        "a": PointIndex,
        "x": PointIndex,
        "region": PandasIndex,
    }
