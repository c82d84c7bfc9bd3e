"""Spaces as tables: one row per point."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

import gridax as gx


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def test_a_dataframe_has_one_row_per_point_and_arrays_in_cells() -> None:
    matrices = np.arange(8.0).reshape(2, 2, 2)
    state = {
        "G": gx.GridAxis(0, 1, 3),
        "W": gx.DataAxis(matrices),
        "who": gx.DataAxis([[1.0], [2.0]], labels=["ann", "bob"], group="g"),
        "tau": gx.DataAxis([5.0, 6.0], labels=["fast", "slow"], group="g"),
        "f": gx.ChoiceAxis([jnp.tanh, jnp.sin], group="g"),
        "k": gx.KeyAxis(2, group="g"),
        "dt": 0.1,
    }
    frame = product(state).to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert frame.shape[0] == 12
    expected = ["G", "W", "who", "who_value", "tau", "tau_value", "f", "k"]
    assert frame.columns.tolist() == expected
    row = frame.iloc[7]
    np.testing.assert_array_equal(row["W"], matrices[1])
    assert row.drop(["W", "who_value"]).to_dict() == {
        "G": 0.5,
        "who": "bob",
        "tau": "slow",
        "tau_value": 6.0,
        "f": "sin",
        "k": 1,
    }
    assert row["who_value"].tolist() == [2.0]


def test_rows_of_a_dataframe_follow_a_selection() -> None:
    space = product({"a": gx.GridAxis(0, 1, 11), "b": gx.GridAxis(0, 1, 5), "c": gx.KeyAxis(2)})
    frame = space[[70, 3]].to_dataframe()
    assert frame["a"].tolist() == [0.7, 0.0]
    assert frame["b"].tolist() == [0.0, 0.25]
    assert space.isel(a=3, b=[1, 0]).to_dataframe()["a"].tolist() == [0.3] * 4


def test_a_dataframe_finds_a_row_by_what_a_person_types() -> None:
    frame = product(
        {"x": gx.GridAxis(0, 1, 11), "b": gx.DataAxis(jnp.array([0.3, 0.1]))}
    ).to_dataframe()
    assert len(frame[(frame.x == 0.3) & (frame.b == 0.3)]) == 1


def test_arrays_in_rows_of_a_dataframe_follow_a_selection() -> None:
    matrices = np.arange(12.0).reshape(3, 2, 2)
    keys = gx.KeyAxis(3)
    space = product({"W": gx.DataAxis(matrices), "k": keys, "x": gx.GridAxis(0, 1, 2)})
    frame = space.isel(W=[2, 0, 1], k=1).to_dataframe()
    np.testing.assert_array_equal(np.stack(frame["W"]), matrices[[2, 2, 0, 0, 1, 1]])
    scattered = space[[17, 0, 6]].to_dataframe()
    np.testing.assert_array_equal(np.stack(scattered["W"]), matrices[[2, 0, 1]])
