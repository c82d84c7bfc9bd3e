"""The grid: which axes share a dimension, in which order, and where each point stands."""

from __future__ import annotations

import re
import warnings
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import gridax as gx
from gridax._grid.grid import build, draw_key
from gridax.space import points_of
from tests.ids import plain

KEY = jax.random.key(0)


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def test_dimensions_stand_in_the_order_of_writing_a_group_where_its_first_member_stands() -> None:
    state = {
        "z": gx.GridAxis(0, 1, 2),
        "b": gx.GridAxis(0, 1, 3, group="pair"),
        "y": {"x": gx.GridAxis(0, 1, 4), "a": gx.GridAxis(0, 1, 3, group="pair")},
        "k": gx.GridAxis(0, 1, 5, group=("runs", 1)),
    }
    assert product(state).sizes == {"z": 2, "pair": 3, "y.x": 4, "('runs', 1)": 5}
    zipped = {name: axis for name, axis in state.items() if name != "y"}
    with pytest.warns(UserWarning, match="the zipped axes differ in size"):
        assert gx.Space(zipped).sizes == {"point": 2}


def test_the_last_dimension_varies_fastest() -> None:
    grid = points_of(product({"z": gx.GridAxis(0, 1, 2), "a": gx.GridAxis(0, 1, 3)})).grid
    assert [grid.unravel(i) for i in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert grid.n_points == 6


def test_groups_are_equal_as_python_says() -> None:
    space = product({"a": gx.GridAxis(0, 1, 3, group=1), "b": gx.GridAxis(0, 1, 3, group=1.0)})
    assert space.sizes == {"1": 3}


def test_different_groups_of_one_text_are_refused() -> None:
    state = {"a": gx.GridAxis(0, 1, 3, group=1), "b": gx.GridAxis(0, 1, 3, group="1")}
    message = (
        "the groups 1 and '1' are different, but the dimensions of both would be named '1'; "
        "rename one of them"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        product(state)


def test_a_group_may_bear_the_name_of_a_member() -> None:
    state = {"a": gx.DataAxis([1.0, 2.0], group="a"), "b": gx.DataAxis([5, 6], group="a")}
    space = product(state)
    assert space.sizes == {"a": 2}
    assert space.sel(b=6).dataset["a"] == 2.0
    assert space.sel(a=[2.0], b=[6])[0]["b"] == 6


@pytest.mark.parametrize("other", [{}, {"group": "c"}])
def test_a_group_may_not_bear_the_name_of_an_axis_outside_it(other: dict[str, Any]) -> None:
    state = {"a": gx.GridAxis(0, 1, 3, group="b"), "b": gx.GridAxis(0, 1, 3, **other)}
    message = (
        "the group 'b' of axis 'a' has the name of the axis at 'b', which is not in the group; rename "
        "one of them"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        product(state)


@pytest.mark.parametrize(
    ("group", "problem"),
    [("", "it is empty"), ("a/b", "files cannot store"), ("point", "results use that name")],
)
def test_a_group_that_cannot_name_a_dimension_is_refused(group: str, problem: str) -> None:
    message = f"axis 'a', group {group!r}: {group!r} cannot name a dimension: {problem}"
    with pytest.raises(ValueError, match=re.escape(message)):
        product({"a": gx.GridAxis(0, 1, 3, group=group)})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"a": gx.GridAxis(0, 1, 3, name="G"), "b": {"c": gx.GridAxis(0, 1, 3, name="G")}},
            "the axes at 'a' and 'b.c' are both named 'G'; pass another name= to one of them",
        ),
        (
            {"a": gx.GridAxis(0, 1, 3, name="b"), "b": gx.GridAxis(0, 1, 3)},
            "the axes at 'a' and 'b' are both named 'b'; pass another name= to one of them",
        ),
        (
            {"a.b": gx.GridAxis(0, 1, 3), "a": {"b": gx.GridAxis(0, 1, 3)}},
            "the axes at 'a.b' and 'a.b' are both named 'a.b'; pass another name= to one of them",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["product", "zip"])
def test_two_axes_of_one_name_are_refused(state: Any, message: str, mode: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        gx.Space(state, mode=mode)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("a/b", "files cannot store a name with a slash or backslash"),
        (" a", "it starts or ends with a blank"),
        ("point", "results use that name themselves"),
    ],
)
def test_a_path_that_cannot_name_a_dimension_is_refused_unless_named(
    path: str, problem: str
) -> None:
    message = f"axis at {path!r}: {path!r} cannot name a dimension: {problem}"
    with pytest.raises(ValueError, match=re.escape(message)):
        product({path: gx.GridAxis(0, 1, 3)})
    assert product({path: gx.GridAxis(0, 1, 3, name="G")}).dims == ("G",)


def test_axes_of_other_sizes_are_cut_to_the_shortest_with_a_warning_that_points_here() -> None:
    state = {"a": gx.GridAxis(0, 1, 5), "b": {"c": gx.DataAxis([7, 8])}, "d": gx.KeyAxis(3)}
    message = (
        "the zipped axes differ in size (a: 5, b.c: 2, d: 3); the shortest wins, so only the "
        "first 2 values of each are used"
    )
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        space = gx.Space(state)
    assert caught[0].filename == __file__
    assert space.sizes == {"point": 2}
    assert space.dataset["a"].values.tolist() == [0.0, 0.25]
    assert [state["b"]["c"].item() for state in space] == [7, 8]


def test_members_of_a_group_are_cut_to_the_shortest_too() -> None:
    state = {
        "a": gx.GridAxis(0, 1, 5, group="g"),
        "b": gx.GridAxis(0, 1, 2, group="g"),
        "x": gx.GridAxis(0, 1, 4),
    }
    message = "the axes of group 'g' differ in size (a: 5, b: 2); the shortest wins, so only the"
    with pytest.warns(UserWarning, match=re.escape(message)):
        space = product(state)
    assert space.sizes == {"g": 2, "x": 4}
    assert space.sel(a=0.25).sizes == {"x": 4}
    assert len(space.to_dataframe()) == 8
    with pytest.raises(
        KeyError, match=re.escape("no points match a=0.5; nearest labels of 'a': 0.25, 0.0")
    ):
        space.sel(a=0.5)


def test_equal_sizes_warn_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.KeyAxis(3)})
    assert space.shape == (3,)


@pytest.mark.parametrize(
    "axis",
    [
        gx.UniformAxis(0, 1, 20),
        gx.UniformAxis(0, 1, 20, shape=(3,)),
        gx.NumPyroAxis(dist.Normal(0.0, 1.0), 20),
        gx.NumPyroAxis(dist.Normal(0.0, 1.0), 20, (2,), broadcast_mode=True),
        gx.NumPyroAxis(dist.Poisson(5.0), 20),
    ],
    ids=lambda axis: repr(axis),
)
@pytest.mark.sampled(2)
@pytest.mark.slow
def test_lone_random_numbers_of_a_product_are_sorted_with_their_values(axis: gx.Axis) -> None:
    space = product({"x": axis, "y": gx.GridAxis(0, 1, 2)})
    labels = space.dataset["x"].values
    assert (np.diff(labels) >= 0).all()
    values = [float(np.ravel(state["x"])[0]) for state in space.isel(y=0)]
    np.testing.assert_allclose(values, labels, rtol=1e-6)


@pytest.mark.parametrize(
    ("mode", "options"), [("zip", {}), ("product", {"group": "g"}), ("product", {"group": "x"})]
)
def test_random_numbers_that_share_a_dimension_keep_their_order(
    mode: str, options: dict[str, Any]
) -> None:
    space = gx.Space({"x": gx.UniformAxis(0, 1, 20, **options)}, mode=mode)
    drawn = gx.UniformAxis(0, 1, 20).generate_values(draw_key(space.key, "x"))
    assert [state["x"].item() for state in space] == drawn.tolist()
    assert (np.diff(drawn) < 0).any()


def test_random_arrays_are_not_sorted() -> None:
    space = product({"x": gx.NumPyroAxis(dist.Normal(0.0, 1.0), 20, sample_shape=(2,))})
    assert space.dataset["x"].values.tolist() == list(range(20))


def test_given_values_keep_their_order_and_select_by_nearest_all_the_same() -> None:
    space = product({"x": gx.DataAxis([3.0, 1.0, 2.0])})
    assert space.dataset["x"].values.tolist() == [3.0, 1.0, 2.0]
    assert space.sel(x=1.2, method="nearest")[0]["x"] == 1.0


@pytest.mark.parametrize("n", [1, 3, 10**20])
def test_indices_unravel_in_integers_of_any_size(n: int) -> None:
    grid = points_of(product({"a": gx.GridAxis(0, 1, 3)})).grid
    big = type(grid)({"a": n, "b": 7}, ())
    assert big.n_points == 7 * n
    assert big.unravel(7 * n - 1) == (n - 1, 6)


def test_the_key_of_a_draw_is_the_same_on_every_machine() -> None:
    data = jax.random.key_data(draw_key(jax.random.key(0), "noise.sigma"))
    assert data.tolist() == [1359669968, 1557958597]
    assert draw_key(KEY, "a") != draw_key(KEY, "b")


def test_a_matrix_is_kept_beside_its_label() -> None:
    matrices = np.arange(12.0).reshape(3, 2, 2)
    space = product({"W": gx.DataAxis(matrices, attrs={"units": "mV"}), "x": gx.GridAxis(0, 1, 2)})
    kept = space.dataset["W_value"]
    assert kept.dims == ("W", "W_dim_0", "W_dim_1")
    assert kept.attrs == {"units": "mV"}
    np.testing.assert_array_equal(kept.sel(W=1), matrices[1])
    assert space.isel(W=2).dataset["W_value"].dims == ("W_dim_0", "W_dim_1")


def test_points_picked_one_by_one_do_not_copy_the_matrices() -> None:
    space = product({"W": gx.DataAxis(np.ones((3, 2))), "x": gx.GridAxis(0, 1, 100)})
    dataset = space[[5, 150, 299, 7]].dataset
    assert dataset["W"].values.tolist() == [0, 1, 2, 0]
    assert dataset["W_value"].dims == ("W_item", "W_dim_0")
    assert dataset["W_value"].sel(W_item=2).shape == (2,)


def test_keys_are_kept_as_data_with_their_implementation() -> None:
    space = product({"key": gx.KeyAxis(4, name="trial", attrs={"long_name": "trial"})})
    dataset = space.dataset
    assert dataset["trial"].attrs == {"long_name": "trial"}
    assert dataset["trial_value"].attrs == {"prng_impl": "threefry2x32"}
    np.testing.assert_array_equal(dataset["trial_value"][2], jax.random.key_data(space[2]["key"]))


def subjects(**coords: Any) -> xr.DataArray:
    known = {
        "subject": ["s1", "s2"],
        "age": ("subject", [30, 40]),
        "weight": (("subject", "region"), np.arange(6).reshape(2, 3)),
        "region": ["a", "b", "c"],
        "atlas": "DK",
    }
    return xr.DataArray(
        np.arange(6.0).reshape(2, 3), dims=("subject", "region"), coords={**known, **coords}
    )


@pytest.mark.parametrize("pick", [{}, {"x": 0}, {"rates": 1}, {"rates": [1, 0]}], ids=plain)
def test_everything_that_a_dataarray_knows_is_in_the_dataset(pick: dict[str, Any]) -> None:
    space = product({"rates": gx.DataAxis(subjects()), "x": gx.GridAxis(0, 1, 2)})
    dataset = space.isel(pick).dataset
    given = subjects().rename(subject="rates").isel({k: v for k, v in pick.items() if k != "x"})
    assert dataset["rates"].values.tolist() == given["rates"].values.tolist()
    np.testing.assert_array_equal(dataset["rates_value"], given)
    for name in ("age", "weight", "region", "atlas"):
        assert dataset[name].dims == given[name].dims
        np.testing.assert_array_equal(dataset[name], given[name])


def test_coordinates_of_a_dataarray_follow_scattered_points() -> None:
    space = product({"rates": gx.DataAxis(subjects()), "x": gx.GridAxis(0, 1, 2)})
    dataset = space[[3, 0]].dataset
    assert dataset["age"].values.tolist() == [40, 30]
    assert dataset["weight"].values.tolist() == [[3, 4, 5], [0, 1, 2]]


@pytest.mark.parametrize(
    "pick", [slice(0, 3), [9, 8, 7], slice(4, 7), slice(None)], ids=["first", "list", "both", "all"]
)
def test_coordinates_of_a_dataarray_follow_more_points_than_it_has_entries(pick: Any) -> None:
    coords = {"age": ("subject", [23, 31]), "at": (("subject", "region"), [[1, 2], [3, 4]])}
    arrays = xr.DataArray(np.ones((2, 2, 3)), coords, ("subject", "region", "from"))
    space = gx.Space({"W": gx.DataAxis(arrays), "g": gx.GridAxis(0, 1, 5)}, mode="product")
    dataset = space[pick].dataset
    assert dataset["W_value"].dims == ("W_item", "region", "from")
    assert dataset["age"].dims == ("point",)
    np.testing.assert_array_equal(dataset["age"], np.repeat([23, 31], 5)[pick])
    np.testing.assert_array_equal(dataset["at"], np.repeat([[1, 2], [3, 4]], 5, axis=0)[pick])


def test_axes_may_share_the_dimensions_of_their_values() -> None:
    state = {"rates": gx.DataAxis(subjects()), "more": gx.DataAxis(subjects().drop_vars("age"))}
    assert gx.Space(state).dataset["more_value"].dims == ("point", "region")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"rates": gx.DataAxis(subjects()), "region": gx.GridAxis(0, 1, 2)},
            "axis 'rates': its values have a dimension or coordinate 'region', which is also the "
            "name of an axis or group; rename one of them",
        ),
        (
            {"rates": gx.DataAxis(subjects()), "x": gx.GridAxis(0, 1, 2, group="age")},
            "axis 'rates': its values have a dimension or coordinate 'age', which is also the "
            "name of an axis or group; rename one of them",
        ),
        (
            {"W": gx.DataAxis(np.ones((2, 3))), "b": gx.GridAxis(0, 1, 2, name="W_dim_0")},
            "axis 'W': its values have a dimension or coordinate 'W_dim_0', which is also the name",
        ),
        (
            {
                "x": gx.DataAxis(xr.DataArray([1.0, 2.0], dims="s", coords={"a": ("s", [1, 2])})),
                "a": gx.GridAxis(0, 1, 2),
            },
            "axis 'x': its values have a dimension or coordinate 'a', which is also the name of",
        ),
        (
            {"a": gx.DataAxis(subjects()), "b": gx.DataAxis(subjects(region=["a", "b", "d"]))},
            "axis 'a' and axis 'b' both have a coordinate 'region', with different values; "
            "rename one of them",
        ),
        (
            {
                "a": gx.DataAxis(xr.DataArray(np.ones((2, 3)), dims=("s", "region"))),
                "b": gx.DataAxis(xr.DataArray(np.ones((2, 4)), dims=("s", "region"))),
            },
            "the values of axis 'a' and axis 'b' share the dimension 'region', but its size is 3 "
            "in one and 4 in the other; rename one of them",
        ),
        (
            {"x": gx.DataAxis([5.0, 6.0], labels=["a", "b"]), "x_value": gx.GridAxis(0, 1, 2)},
            "axis 'x' and axis 'x_value' both have a coordinate 'x_value', with different "
            "values; rename one of them",
        ),
    ],
)
def test_names_that_clash_are_refused_with_both_owners(state: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        product(state)


class Broken(gx.Axis):
    size = 2

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        raise RuntimeError("the scanner is off")


def test_an_error_of_an_axis_names_the_axis() -> None:
    with pytest.raises(RuntimeError, match="the scanner is off") as caught:
        build([(0, "a.b", Broken())], "product", KEY)
    assert caught.value.__notes__ == ["while generating the values of axis 'a.b'"]


def test_an_error_that_names_the_axis_already_has_no_note() -> None:
    with pytest.raises(ValueError, match=r"axis 'a.b': NaN cannot be a label") as caught:
        product({"a": {"b": gx.DataAxis([np.nan])}})
    assert not getattr(caught.value, "__notes__", [])


def test_a_large_array_is_not_copied_once_more() -> None:
    given = np.ones((3, 4, 5), np.float32)
    axis = gx.DataAxis(given)
    values = gx.Space({"W": axis}, mode="product").dataset["W_value"].values
    assert np.shares_memory(values, axis.values)
    assert not np.shares_memory(values, given)
    with pytest.raises(ValueError, match="read-only"):
        values[:] = 0
