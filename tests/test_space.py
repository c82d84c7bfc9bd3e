"""Space: how axes compose to states, and what one point or some of them are."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._grid.grid import draw_key
from tests.ids import plain


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def grid_of(*sizes: int) -> gx.Space:
    """Return a product of whole numbers from 0 upwards, one axis per size, called a, b, …"""
    return product(
        {name: gx.DataAxis(np.arange(n)) for name, n in zip("abcdef", sizes, strict=False)}
    )


def points(space: gx.Space) -> list[tuple[Any, ...]]:
    """Return the states of a space whose state is a dict of scalars, as tuples."""
    return [tuple(state[name].item() for name in space.state) for state in space]


def test_a_product_holds_every_combination_the_last_axis_fastest() -> None:
    space = product({"z": gx.DataAxis([1, 2]), "a": gx.DataAxis([10, 20, 30]), "dt": 0.1})
    assert (len(space), space.N, space.shape) == (6, 6, (2, 3))
    assert space.dims == ("z", "a")
    expected = list(itertools.product([1, 2], [10, 20, 30]))
    assert [(state["z"].item(), state["a"].item()) for state in space] == expected
    assert all(state["dt"] == 0.1 for state in space)


def test_zip_is_the_default_and_pairs_the_axes() -> None:
    space = gx.Space({"z": gx.DataAxis([1, 2, 3]), "a": gx.DataAxis([10, 20, 30])})
    assert (space.mode, space.dims, len(space)) == ("zip", ("point",), 3)
    assert points(space) == [(1, 10), (2, 20), (3, 30)]


def test_groups_are_zipped_within_a_product() -> None:
    state = {
        "a": gx.DataAxis([1, 2, 3], group="settings"),
        "x": gx.DataAxis([5, 6]),
        "b": gx.DataAxis([10, 20, 30], group="settings"),
        "c": gx.DataAxis([7, 8], group=("other", 1)),
    }
    space = product(state)
    assert space.sizes == {"settings": 3, "x": 2, "('other', 1)": 2}
    expected = [
        (a, x, b, c)
        for (a, b), x, c in itertools.product([(1, 10), (2, 20), (3, 30)], [5, 6], [7, 8])
    ]
    assert points(space) == expected


def test_a_space_remembers_what_it_was_made_of() -> None:
    state = {"G": gx.GridAxis(0, 1, 3), "s": gx.UniformAxis(0, 1, 2)}
    key = jax.random.key(3)
    space = product(state, key=key)
    assert space.state is state
    assert space.axes == state
    assert space.mode == "product"
    assert space.key is key
    assert space.sizes == {"G": 3, "s": 2}


def test_a_name_takes_the_place_of_the_path() -> None:
    space = product(
        {"coupling": {"strength": gx.GridAxis(0, 1, 3, name="G")}, "a": [gx.KeyAxis(2)]}
    )
    assert space.dims == ("G", "a[0]")
    assert space.sel(G=0.5)[0]["coupling"]["strength"] == 0.5


def test_a_wrapped_value_is_seen_by_the_state_alone() -> None:
    def shifted(value: jax.Array) -> jax.Array:
        return value + 100

    space = product({"x": gx.GridAxis(0, 1, 3, wrap=shifted), "k": gx.KeyAxis(2, wrap=hash_of)})
    assert space[2]["x"] == 100.5
    assert space.sel(x=0.5)[0]["x"] == 100.5
    assert space.to_dataframe()["x"].tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    assert space[1]["k"].shape == (2,)
    batch = space.collect()
    assert batch["x"].tolist() == [100.0, 100.0, 100.5, 100.5, 101.0, 101.0]
    assert batch["k"].shape == (6, 2)


def hash_of(key: jax.Array) -> jax.Array:
    """Return a number or two of a key."""
    return jax.random.uniform(key, (2,))


class Exponential(gx.Axis):
    """A random axis as a user writes it."""

    size = 5

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        return jax.random.exponential(key, (self.size,))


def test_an_axis_of_your_own_takes_part_like_any_other() -> None:
    axis = Exponential(name="wait", attrs={"units": "s"}, wrap=jnp.log)
    space = product({"deep": [axis], "x": gx.GridAxis(0, 1, 2)}, key=3)
    drawn = axis.generate_values(draw_key(jax.random.key(3), "wait"))
    assert [state["deep"][0].item() for state in space.isel(x=0)] == [
        jnp.log(value).item() for value in drawn
    ]
    assert space.dataset["wait"].attrs == {"units": "s"}
    nearest = space.sel(wait=float(drawn[2]), method="nearest", tolerance=1e-6)
    assert nearest[0]["deep"][0] == jnp.log(drawn[2])
    pair = {"a": Exponential(group="g"), "b": gx.DataAxis([5, 4, 3, 2, 1], group="g")}
    assert product(pair).sel(b=4).N == 1


def test_a_shape_broadcasts_values_not_labels() -> None:
    space = product({"x": gx.GridAxis(0, 1, 3, shape=(2, 4))})
    np.testing.assert_array_equal(space[1]["x"], np.full((2, 4), 0.5))
    assert space.dataset["x"].values.tolist() == [0.0, 0.5, 1.0]
    assert set(space.dataset.variables) == {"x"}
    assert space.to_dataframe()["x"].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, jax.random.key(0)),
        (jax.random.key(5), jax.random.key(5)),
        (5, jax.random.key(5)),
        (np.int64(5), jax.random.key(5)),
        (-1, jax.random.key(-1)),
        (2**32 - 1, jax.random.key(2**32 - 1)),
        (jax.random.PRNGKey(5), jax.random.key(5)),
        (np.asarray(jax.random.PRNGKey(5)), jax.random.key(5)),
    ],
    ids=plain,
)
def test_a_key_may_be_typed_legacy_or_a_seed(key: Any, expected: jax.Array) -> None:
    space = product({"x": gx.UniformAxis(0, 1, 3)}, key=key)
    assert space.key == expected
    assert points(space) == points(product({"x": gx.UniformAxis(0, 1, 3)}, key=expected))


def test_keys_of_another_implementation_stay_so() -> None:
    space = product({"k": gx.KeyAxis(2)}, key=jax.random.key(0, impl="rbg"))
    assert space[0]["k"].dtype == space.key.dtype
    assert space.dataset["k_value"].attrs["prng_impl"] == "rbg"


@pytest.mark.parametrize("key", ["0", True, 1.0, jax.random.split(jax.random.key(0)), [0, 1]])
def test_what_is_no_key_is_refused(key: Any) -> None:
    message = "key must be one PRNG key such as jax.random.key(0), or an int, got "
    with pytest.raises(TypeError, match=re.escape(message)):
        product({"x": gx.GridAxis(0, 1, 3)}, key=key)


@pytest.mark.parametrize("seed", [2**32, 2**40, -(2**31) - 1, 10**30])
def test_a_seed_that_jax_would_cut_silently_is_refused(seed: int) -> None:
    message = f"key must be a seed of at most 32 bits, got {seed}; pass a smaller integer"
    with pytest.raises(ValueError, match=re.escape(message)):
        product({"x": gx.GridAxis(0, 1, 3)}, key=seed)


SHARED = gx.GridAxis(0, 1, 3)


@pytest.mark.parametrize(
    ("state", "mode", "message"),
    [
        (
            {"a": 1.0, "b": None},
            "product",
            "the state has no axis; replace one of its leaves with an axis, as in {'G': "
            "gridax.GridAxis(0.0, 1.0, 5)}",
        ),
        ({}, "zip", "the state has no axis"),
        (SHARED, "grid", "mode must be 'product' or 'zip', got 'grid'"),
        (SHARED, None, "mode must be 'product' or 'zip', got None"),
        (
            {"a": SHARED, "b": [1.0, SHARED]},
            "product",
            "the same axis object is used at 'a' and at 'b[1]'; create one axis for each, with a "
            "common group= if they should vary together",
        ),
        (
            {"a": gx.GridAxis(0, 1, 3, name="dt"), "dt": 0.1},
            "product",
            "the fixed value at 'dt' and an axis or group called 'dt' would share one coordinate; "
            "give the axis or group another name",
        ),
        (
            {"a": gx.GridAxis(0, 1, 3, group="dt"), "dt": "heun"},
            "product",
            "the fixed value at 'dt' and an axis or group called 'dt' would share one coordinate",
        ),
        (
            {"x": gx.GridAxis(1.0, 1.0 + 1e-9, 2)},
            "product",
            "axis 'x': the grid is too fine for float32",
        ),
        ({"x": {"y": gx.DataAxis([2**40])}}, "zip", "axis 'x.y': 1099511627776 does not fit in"),
    ],
)
def test_states_that_make_no_space_are_refused(state: Any, mode: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        gx.Space(state, mode=mode)


@pytest.mark.parametrize("index", [7, -5, np.int64(7), np.uint8(7), jnp.int32(7), np.array(7)])
def test_a_point_is_reached_by_any_integer(index: Any) -> None:
    state = grid_of(3, 4)[index]
    assert (state["a"].item(), state["b"].item()) == (1, 3)
    assert all(isinstance(value, jax.Array) for value in state.values())


@pytest.mark.parametrize("index", [12, -13])
def test_a_point_beyond_the_end_is_refused(index: int) -> None:
    message = f"point {index} is out of range for a space of 12 points"
    with pytest.raises(IndexError, match=re.escape(message)):
        grid_of(3, 4)[index]


@pytest.mark.parametrize(
    "index",
    [
        slice(2, 9, 3),
        slice(None, None, -1),
        slice(-3, None),
        [3, 5, 8],
        [0, 0, -1],
        np.array([11, 2]),
        np.arange(12) % 5 == 0,
        (np.arange(12) > 9).tolist(),
    ],
    ids=plain,
)
def test_several_points_are_a_space_that_keeps_every_label(index: Any) -> None:
    space = product({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([5, 3, 4, 6])})
    picked = space[index]
    expected = [points(space)[i] for i in np.arange(12)[index]]
    assert isinstance(picked, gx.Space)
    assert picked.dims == ("point",)
    assert points(picked) == expected
    dataset = picked.dataset
    assert list(zip(dataset["a"].values, dataset["b"].values, strict=True)) == expected
    assert expected.count(expected[0]) == picked.sel(a=expected[0][0], b=expected[0][1]).N
    assert points(picked[::-1]) == expected[::-1]


def test_points_of_one_dimension_stay_on_it() -> None:
    space = product({"x": gx.GridAxis(0, 1, 11)})
    assert space[2:5].dims == ("x",)
    assert space[[3, 1]].dataset["x"].values.tolist() == [0.3, 0.1]
    assert gx.Space({"x": gx.GridAxis(0, 1, 11)})[2:5].dims == ("point",)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (
            "a",
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        (
            1.0,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        (
            True,
            TypeError,
            "points are picked by an integer, a slice, or a list of integers or booleans",
        ),
        ([12], IndexError, "point 12 is out of range for a space of 12 points"),
        ([True], IndexError, "a boolean index must have 12 entries, got 1"),
        (slice(5, 5), IndexError, "the selection is empty; select at least one point"),
    ],
)
def test_wrong_indices_are_refused(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        grid_of(3, 4)[index]


def test_iteration_can_be_nested_and_interrupted() -> None:
    space = grid_of(2, 3)
    pairs = [(one["b"].item(), other["b"].item()) for one in space for other in space]
    assert pairs == list(itertools.product([0, 1, 2, 0, 1, 2], repeat=2))
    for state in space:
        if state["b"] == 1:
            break
    first, again = iter(space), iter(space)
    next(first)
    assert next(first)["b"] == 1
    assert next(again)["b"] == 0
    assert len(list(space)) == 6
    assert [state["b"].item() for state in reversed(space)] == [2, 1, 0, 2, 1, 0]


def test_choices_and_keys_enter_the_state_as_they_are() -> None:
    choices = [jnp.tanh, [1, 2], None]
    axis = gx.ChoiceAxis(choices, labels=["f", "list", "none"])
    space = product({"choice": axis, "k": gx.KeyAxis(2)})
    assert [state["choice"] for state in space[::2]] == choices
    assert space.sel(choice="list", k=1)[0]["choice"] is choices[1]
    assert jax.random.uniform(space[0]["k"]) != jax.random.uniform(space[1]["k"])


def test_positions_select_along_dimensions() -> None:
    space = grid_of(3, 4, 2)
    part = space.isel(a=slice(1, None), b=[3, 0], c=-1)
    assert part.sizes == {"a": 2, "b": 2}
    assert points(part) == [(1, 3, 1), (1, 0, 1), (2, 3, 1), (2, 0, 1)]
    assert points(space.isel({"a": 2, "b": 1})) == [(2, 1, 0), (2, 1, 1)]
    assert part.isel(b=1).isel(a=0).isel()[0]["b"] == 0
    assert space.isel(b=np.array([True, False, False, True])).dataset["b"].values.tolist() == [0, 3]


def test_the_source_of_a_selection_stays_as_it_was() -> None:
    space = grid_of(3, 4)
    before = points(space)
    space.isel(a=0).sel(b=1)
    space[[1, 2]].filter(lambda ds: ds.a == 0)
    assert points(space) == before


def test_a_repr_says_points_mode_dimensions_axes_and_groups() -> None:
    state = {
        "G": gx.GridAxis(0, 1, 64),
        "noise": {"sigma": gx.LogGridAxis(1e-3, 1e-1, 32, group="g")},
        "k": gx.KeyAxis(32, group="g"),
    }
    assert repr(product(state)).splitlines() == [
        "<gridax.Space: 2048 points, product>",
        "Dimensions:  (G: 64, g: 32)",
        "Axes:",
        "    G                 0.0 … 1.0    GridAxis(0.0, 1.0, 64)",
        "    noise.sigma  (g)  0.001 … 0.1  LogGridAxis(0.001, 0.1, 32)",
        "    k            (g)  0 … 31       KeyAxis(32)",
    ]
    assert repr(grid_of(1)).startswith("<gridax.Space: 1 point, product>")


def test_the_html_repr_shows_dims_labels_and_sizes() -> None:
    html = product({"G": gx.GridAxis(0, 1, 11), "dt": 0.1})._repr_html_()
    for text in ("gridax.Space", "11 points", "<b>G</b>: 11", "0.0 … 1.0", "0.0 0.1 0.2", "dt"):
        assert text in html


def test_public_names_say_gridax() -> None:
    assert gx.Space.__module__ == gx.GridAxis.__module__ == "gridax"
    assert repr(gx.Space) == "<class 'gridax.Space'>"


@pytest.mark.parametrize("others", [{}, {"x": gx.GridAxis(0, 1, 2)}])
def test_an_object_that_looks_like_an_axis_is_not_a_fixed_value(others):
    class GridAxis:  # as in another package
        size = 3

        def generate_values(self, key=None):
            return jnp.arange(3.0)

    text = (
        "'model.G' is a GridAxis, which has the methods of an axis, but is not one; use an axis of "
        "gridax, or derive its class from gridax.Axis"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        gx.Space({"model": {"G": GridAxis()}, **others}, mode="product")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"x": gx.GridAxis(0, 1, 2), 1: 2.0}, "the keys of the state are 'x', 1, which"),
        ([{"a": ({"x": gx.GridAxis(0, 1, 2), None: 2.0},)}], "the state[0]['a'][0] are 'x', None,"),
        (
            {(0, 1): gx.GridAxis(0, 1, 2), ("a", "b"): 2.0},
            "state are (0, 1), ('a', 'b'), which JAX",
        ),
    ],
)
def test_keys_that_jax_cannot_sort_are_named(state, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        gx.Space(state, mode="product")


def test_the_class_of_an_axis_is_no_axis():
    text = "'key' is the class KeyAxis, not an axis; call it with its values"
    with pytest.raises(TypeError, match=re.escape(text)):
        gx.Space({"key": gx.KeyAxis, "x": gx.GridAxis(0, 1, 2)})


def test_two_fixed_values_of_one_name_are_refused():
    state = {"G": {"x": 1.0}, "G.x": 2.0, "y": gx.GridAxis(0, 1, 2)}
    with pytest.raises(
        ValueError, match=re.escape("two fixed values of the state are both called")
    ):
        gx.Space(state)


def test_slices_of_a_descending_axis_keep_what_lies_between():
    space = gx.Space({"x": gx.DataAxis([3.0, 2.0, 1.0])}, mode="product")
    assert space.sel(x=slice(1, 2)).dataset["x"].values.tolist() == [2, 1]
    assert space.dataset.sel(x=slice(1, 2))["x"].values.tolist() == [2, 1]
