"""Spaces with carried leaves: their dimensions, what may be selected, and what they display."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax.space import points_of


def space(order="forward", initial=-1.0, along="r", **more):
    state = {"r": gx.GridAxis(0, 1, 11), "x": gx.Carried(initial, "x", along, order), **more}
    return gx.Space(state, mode="product")


def test_a_chain_adds_no_dimension():
    assert space(k=gx.DataAxis([1, 2])).sizes == {"r": 11, "k": 2}
    assert points_of(space()).chain.dim == 0


def test_both_directions_are_a_dimension_where_the_leaf_is_written():
    both = space("both", k=gx.DataAxis([1, 2]))
    assert both.sizes == {"r": 11, "direction": 2, "k": 2}
    assert both.dataset["direction"].values.tolist() == ["forward", "backward"]
    assert both.sel(direction="backward").sizes == {"r": 11, "k": 2}
    assert points_of(both.sel(direction="backward")).chain.backward == (True,)
    assert points_of(both.isel(direction=[1, 0])).chain.backward == (True, False)


def test_leaves_that_are_carried_in_both_directions_share_the_dimension():
    both = space("both", y=gx.Carried(0.0, "y", "r", "both"))
    assert both.dims == ("r", "direction")
    assert both[0] == {"r": 0.0, "x": -1.0, "y": 0.0}


@pytest.mark.parametrize("along", ["point", "r"])
def test_a_zip_has_both_directions_as_a_dimension_of_its_own(along):
    state = {
        "r": gx.DataAxis([0.0, 1.0, 3.0]),
        "k": gx.DataAxis([5, 6, 7]),
        "x": gx.Carried(1.0, "x", along, "both"),
    }
    zipped = gx.Space({**state, "y": gx.Carried(0.0, "y", along, "both")})
    assert zipped.sizes == {"point": 3, "direction": 2}
    assert zipped.sel(direction="forward").sizes == {"point": 3}
    assert zipped[5] == {"r": 3.0, "k": 7, "x": 1.0, "y": 0.0}
    for scattered in (lambda: zipped[[0, 3]], lambda: zipped.filter(lambda ds: ds.r > 0)):
        with pytest.raises(ValueError, match="the points were picked one by one"):
            scattered()


def test_a_point_has_the_initial_value():
    assert [state["x"] for state in space()] == [-1.0] * 11
    computed = space(initial=lambda state: state["r"] * 2)
    assert computed[3]["x"] == pytest.approx(0.6)
    two = space(initial={"v": gx.DataAxis([3.0, 4.0]), "w": 0.5})
    assert two.dims == ("r", "x.initial.v")
    assert two[1]["x"] == {"v": 4.0, "w": 0.5}
    named = space(initial=gx.DataAxis([3.0, 4.0], name="x0"))
    assert named.dims == ("r", "x0")


def test_a_computed_value_does_not_know_the_leaf_itself():
    seen = []
    state = {
        "r": gx.GridAxis(0, 1, 2),
        "a": gx.Carried(lambda s: seen.append(s["a"]) or 1.0, "a", "r"),
    }
    assert gx.Space(state)[0]["a"] == 1.0
    assert seen == [None]


def test_an_error_of_a_computed_value_names_the_leaf():
    def fail(state):
        raise RuntimeError("no root")

    with pytest.raises(RuntimeError, match="no root") as caught:
        space(initial=fail)[0]
    assert caught.value.__notes__ == ["while the initial value of 'x' was computed"]
    with pytest.raises(TypeError, match="callable initial= of 'x' returned None"):
        space(initial=lambda state: None)[0]


@pytest.mark.parametrize("along", ["group", "q"])
def test_the_dimension_of_a_group_may_be_named_by_an_axis_along_it(along):
    state = {
        "r": gx.GridAxis(0, 1, 3, group="group"),
        "q": gx.GridAxis(1, 2, 3, group="group"),
        "x": gx.Carried(0.0, "x", along),
    }
    assert points_of(gx.Space(state, mode="product")).chain.dim == 0


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"x": gx.Carried(0.0, "x", "q")},
            "'x' is carried along 'q', but the space has no such dimension or axis; it has r",
        ),
        (
            {"k": gx.DataAxis([1, 2]), "y": gx.Carried(0.0, "y", "k")},
            "'x' is carried along 'r' in the order 'forward', but 'y' along 'k' in the order "
            "'forward'; carry all leaves in the same way",
        ),
        (
            {"y": gx.Carried(0.0, "y", "r", "backward")},
            "'x' is carried along 'r' in the order 'forward', but 'y' along 'r' in the order "
            "'backward'; carry all leaves in the same way",
        ),
    ],
)
def test_what_is_no_single_chain_is_rejected(more, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        space(**more)


@pytest.mark.parametrize(
    "select", [lambda s: s[[0, 3]], lambda s: s[2:9], lambda s: s.filter(lambda d: d.r < d.k)]
)
def test_scattered_points_are_rejected(select):
    with pytest.raises(
        ValueError, match="'x' is carried along 'r', but the points were picked one"
    ):
        select(space(k=gx.DataAxis([0.5, 2])))


@pytest.mark.parametrize(
    ("order", "indexer"),
    [
        ("forward", slice(0, 4)),
        ("backward", slice(7, None)),
        ("both", slice(None)),
        ("both", np.arange(11)),
    ],
)
def test_a_part_that_begins_where_the_chain_does_is_selected_silently(order, indexer):
    assert space(order).isel(r=indexer).sizes["r"] in (4, 11)


@pytest.mark.parametrize(
    ("order", "indexer", "text"),
    [
        ("forward", slice(3, 7), "goes through 4 labels of 11: 'x' has its initial value at r=0.3"),
        ("forward", [0, 2], "goes through 2 labels of 11: 'x' has its initial value at r=0.0"),
        ("backward", slice(3, 7), "'x' has its initial value at r=0.6"),
        ("forward", slice(None, None, -1), "goes through its labels in another order: 'x' has its"),
        ("both", slice(3, 7), "'x' has its initial value at r=0.3 and at r=0.6"),
        ("forward", 4, "with a single label along 'r', 'x' has its initial value at all points"),
    ],
)
def test_a_part_that_begins_elsewhere_is_reported(order, indexer, text):
    with pytest.warns(UserWarning, match=re.escape(text)):
        part = space(order).isel(r=indexer)
    assert len(part) > 0


def test_a_batched_state_has_the_initial_values():
    assert space(k=gx.DataAxis([1, 2])).collect(n_vmap=11)["x"] == -1.0
    batched, fixed = space(initial=gx.DataAxis([1.0, 2.0])).collect(n_vmap=11, combine=False)
    assert batched["x"].shape == (11, 2)
    assert fixed["x"] is None
    with pytest.raises(ValueError, match="the initial value of 'x' is computed from the state"):
        space(initial=lambda state: state["r"]).collect(n_vmap=11)


def test_it_is_displayed_what_is_carried():
    text = "x is carried from 'x' along 'r', in both directions"
    assert f"Chain:  {text}" in repr(space("both"))
    assert "Carried values (1)" in space("both")._repr_html_()
    title = space(k=gx.DataAxis([1, 2])).plot().get_title()
    assert title.replace("\n", " ").endswith("k 2; chains along r")


def test_keys_and_arrays_are_initial_values_like_any_other():
    state = {
        "t": gx.DataAxis([0, 1]),
        "key": gx.Carried(jax.random.key(3), "key", "t"),
        "v": gx.Carried(jnp.zeros((2, 2)), "v", "t"),
    }
    point = gx.Space(state)[0]
    assert point["key"] == jax.random.key(3)
    assert point["v"].shape == (2, 2)


def test_a_direction_that_is_selected_at_the_same_time_tells_where_the_chain_starts():
    both = space("both")
    assert len(both.isel(r=slice(0, 4), direction=0)) == 4
    with pytest.warns(UserWarning, match=r"initial value at r=0\.3, and is carried"):
        both.isel(r=slice(0, 4), direction=1)


def test_a_single_label_leaves_no_chain():
    with pytest.warns(UserWarning, match="single label"):
        one = space(k=gx.DataAxis([1, 2])).sel(r=0.3)
    assert "x is at its initial value, with a single label along 'r'" in repr(one)
