"""All states of a space stacked to one, for a vmap of the user's own."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from tests.ids import plain


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def grid_of(*sizes: int) -> gx.Space:
    """Return a product of whole numbers from 0 upwards, one axis per size, called a, b, …"""
    return product(
        {name: gx.DataAxis(np.arange(n)) for name, n in zip("abcdef", sizes, strict=False)}
    )


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ({}, (12,)),
        ({"n_vmap": 4}, (4, 3)),
        ({"n_pmap": 2}, (2, 6)),
        ({"n_vmap": 3, "n_pmap": 2}, (2, 3, 2)),
        ({"n_vmap": np.int64(12)}, (12, 1)),
    ],
    ids=plain,
)
def test_a_batch_has_the_shape_devices_lanes_rest(
    sizes: dict[str, int], shape: tuple[int, ...]
) -> None:
    space = product({"a": gx.DataAxis(np.arange(3)), "W": gx.DataAxis(np.ones((4, 2))), "dt": 0.1})
    batch = space.collect(**sizes)
    assert batch["a"].shape == shape
    assert batch["W"].shape == (*shape, 2)
    assert batch["dt"] == 0.1
    assert batch["a"].ravel().tolist() == [state["a"].item() for state in space]


@pytest.mark.parametrize(("fill", "expected"), [({}, np.nan), ({"fill_value": -1.0}, -1.0)])
def test_a_batch_is_padded_with_a_warning(fill: dict[str, float], expected: float) -> None:
    state = {"x": gx.GridAxis(0, 1, 5), "n": gx.DataAxis(np.arange(5)), "k": gx.KeyAxis(5)}
    space = gx.Space(state)
    message = (
        f"5 points do not fill a batch of 2 x 3; the last 1 are padding (floats: {expected}; "
        "others repeat the last point)"
    )
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        batch = space.collect(n_vmap=2, **fill)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(batch["x"].ravel(), [0, 0.25, 0.5, 0.75, 1, expected])
    assert batch["n"].ravel().tolist() == [0, 1, 2, 3, 4, 4]
    keys = batch["k"].ravel()
    assert keys[4] == keys[5] == space[4]["k"]


def test_a_batch_broadcasts_shapes_and_keeps_keys_typed() -> None:
    space = product({"x": gx.GridAxis(0, 1, 3, shape=(2,)), "k": gx.KeyAxis(2)})
    batch = space.collect(n_vmap=2)
    assert batch["x"].shape == (2, 3, 2)
    assert jax.dtypes.issubdtype(batch["k"].dtype, jax.dtypes.prng_key)
    mapped = jax.vmap(jax.vmap(lambda state: jax.random.uniform(state["k"]) + state["x"]))(batch)
    assert mapped.shape == (2, 3, 2)
    assert mapped[1, 0, 0] == jax.random.uniform(space[3]["k"]) + space[3]["x"][0]


def test_a_batch_may_come_apart_from_what_is_fixed() -> None:
    space = gx.Space({"x": gx.GridAxis(0, 1, 4), "dt": 0.1, "f": jnp.tanh})
    batch, fixed = space.collect(n_vmap=2, combine=False)
    assert batch["x"].shape == (2, 2)
    assert batch["dt"] is None
    assert batch["f"] is None
    assert fixed == {"x": None, "dt": 0.1, "f": jnp.tanh}


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ({"n_vmap": 0}, ValueError, "collect: n_vmap must be at least 1, got 0"),
        ({"n_pmap": -1}, ValueError, "collect: n_pmap must be at least 1, got -1"),
        (
            {"n_vmap": 2.0},
            TypeError,
            "collect: n_vmap must be a whole number of at least 1, got 2.0",
        ),
    ],
)
def test_a_batch_of_no_size_is_refused(
    sizes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        grid_of(3).collect(**sizes)


def test_choices_do_not_stack() -> None:
    space = product({"f": gx.ChoiceAxis([jnp.tanh, jnp.sin]), "x": gx.GridAxis(0, 1, 2)})
    message = "axis 'f': choices cannot be stacked to an array; select one with sel() or isel() before collect()"
    with pytest.raises(TypeError, match=re.escape(message)):
        space.collect()


def test_a_value_that_was_selected_is_repeated() -> None:
    space = product({"x": gx.GridAxis(0, 1, 11), "W": gx.DataAxis(np.eye(2)), "k": gx.KeyAxis(3)})
    batch = space.sel(x=0.3, W=1).collect()
    assert batch["x"].tolist() == [np.float32(0.3)] * 3
    assert batch["W"].tolist() == [[0.0, 1.0]] * 3
    assert (batch["k"] == jnp.stack([space[i]["k"] for i in range(3)])).all()


def test_a_choice_that_was_made_goes_with_the_batch_as_it_is() -> None:
    space = product({"f": gx.ChoiceAxis([jnp.tanh, jnp.sin]), "x": gx.GridAxis(0, 1, 2)})
    chosen = space.sel(f="sin")
    assert chosen.collect()["f"] is jnp.sin
    batch, fixed = chosen.collect(combine=False)
    assert (batch["f"], fixed["f"], fixed["x"]) == (None, jnp.sin, None)
    assert batch["x"].tolist() == [0.0, 1.0]
    named = product({"n": gx.ChoiceAxis([1, 2], wrap=str), "x": gx.GridAxis(0, 1, 2)})
    assert named.sel(n=2).collect()["n"] == "2"


@pytest.mark.parametrize("wrap", [lambda x: "text", lambda x: xr.DataArray(x), float])
def test_a_wrap_that_cannot_be_vectorized_is_named(wrap):
    space = product({"x": gx.GridAxis(0, 1, 3, wrap=wrap), "y": gx.GridAxis(0, 1, 2)})
    with pytest.raises(TypeError) as caught:
        space.collect()
    assert "while the wrap of axis 'x' was vectorized" in "".join(caught.value.__notes__)
