"""Spaces as tables: one row per point."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

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
    expected = ["G", "W", "W_value", "who", "who_value", "tau", "tau_value", "f", "k"]
    assert frame.columns.tolist() == expected
    row = frame.iloc[7]
    np.testing.assert_array_equal(row["W_value"], matrices[1])
    assert row.drop(["W_value", "who_value"]).to_dict() == {
        "G": 0.5,
        "W": 1,
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
    np.testing.assert_array_equal(np.stack(frame["W_value"]), matrices[[2, 2, 0, 0, 1, 1]])
    assert frame["W"].tolist() == [2, 2, 0, 0, 1, 1]
    scattered = space[[17, 0, 6]].to_dataframe()
    np.testing.assert_array_equal(np.stack(scattered["W_value"]), matrices[[2, 0, 1]])


def test_every_axis_can_be_grouped_and_joined_by() -> None:
    state = {
        "W": gx.DataAxis(np.arange(8.0).reshape(2, 2, 2)),
        "z": gx.DataAxis(np.array([1j, 2.0])),
        "half": gx.DataAxis(jnp.array([1.0, 2.0], jnp.bfloat16), labels=["low", "high"]),
        "f": gx.ChoiceAxis([jnp.tanh, jnp.sin]),
        "k": gx.KeyAxis(2),
    }
    frame = product(state).to_dataframe()
    for name in state:
        assert frame.groupby(name).size().tolist() == [16, 16]
        assert len(frame[[name]].drop_duplicates().merge(frame, on=name)) == 32
    assert frame.query("W == 1 and half == 'low'")["half_value"].mean() == 1.0
    assert frame["z_value"].dtype == np.complex64


def test_a_zip_has_the_label_of_an_array_beside_its_values() -> None:
    matrices = np.arange(8.0).reshape(2, 2, 2)
    space = gx.Space({"W": gx.DataAxis(matrices), "x": gx.DataAxis([0.1, 0.2])}, mode="zip")
    frame = space.to_dataframe()
    assert frame.columns.tolist() == ["W", "W_value", "x"]
    assert frame["W"].tolist() == [0, 1]
    np.testing.assert_array_equal(frame.set_index("x").loc[0.2, "W_value"], matrices[1])


# --- long form --------------------------------------------------------------------------------


def labeled(state: Any) -> Any:
    trace = xr.DataArray(
        state["a"] * np.arange(3.0),
        {"time": [0.1, 0.2, 0.3], "phase": ("time", list("uvw"))},
        ["time"],
    )
    return {"trace": trace, "rate": state["a"] + 1, "M": np.full((2, 2), state["a"])}


SPACES = {
    "product": gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([5, 6])}, mode="product"),
    "zip": gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([5, 6, 7])}, mode="zip"),
    "group": gx.Space(
        {"a": gx.GridAxis(0, 1, 3, group="g"), "b": gx.DataAxis([5, 6, 7], group="g"), "k": gx.KeyAxis(2)},
        mode="product",
    ),
    "scattered": gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([5, 6])}, mode="product")[[4, 1]],
    "point": gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.DataAxis([5, 6])}, mode="product").isel(a=1, b=0),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPACES)
def test_the_long_form_has_a_row_per_point_and_index_of_the_output(kind: str) -> None:
    space = SPACES[kind]
    result = gx.SequentialExecution(labeled, space).run(progress=False)
    long = result.to_dataframe("trace")
    axes = space.to_dataframe()
    assert long.columns.tolist() == [*axes, "time", "phase", "trace"]
    assert len(long) == 3 * len(space)
    pd.testing.assert_frame_equal(long[list(axes)][::3].reset_index(drop=True), axes)
    wide = result.to_dataframe()
    np.testing.assert_array_equal(long["trace"].to_numpy().reshape(-1, 3), np.stack(wide["trace"]))
    assert long["time"].tolist() == [0.1, 0.2, 0.3] * len(space)
    assert long["phase"].tolist() == list("uvw") * len(space)


def test_the_long_form_of_several_outputs_repeats_those_with_fewer_dimensions() -> None:
    result = gx.SequentialExecution(labeled, SPACES["product"]).run(progress=False)
    long = result.to_dataframe("rate", "trace")
    assert long.columns.tolist() == ["a", "b", "time", "phase", "rate", "trace"]
    assert long["rate"].tolist() == np.repeat(result.to_dataframe()["rate"], 3).tolist()
    pd.testing.assert_frame_equal(long, result.to_dataframe(["rate", "trace"]))
    crossed = result.to_dataframe(["M", "trace"])
    assert len(crossed) == 6 * 3 * 4
    wanted = result.dataset[["M", "trace"]].to_dataframe().reset_index()
    keys = ["a", "b", "M_dim_0", "M_dim_1", "time"]
    wanted = wanted.assign(M_dim_0=wanted["M_dim_0"], M_dim_1=wanted["M_dim_1"])
    joined = crossed.merge(wanted, on=keys, suffixes=("", "_wanted"))
    assert len(joined) == len(crossed)
    assert (joined["M"] == joined["M_wanted"]).all()
    assert (joined["trace"] == joined["trace_wanted"]).all()


def test_the_long_form_leaves_out_arrays_but_keeps_their_labels() -> None:
    space = product({"W": gx.DataAxis(np.arange(8.0).reshape(2, 2, 2)), "k": gx.KeyAxis(2)})
    result = gx.SequentialExecution(lambda s: {"row": s["W"][0] * 1j}, space).run(progress=False)
    long = result.to_dataframe("row")
    assert long.columns.tolist() == ["W", "k", "row_dim_0", "row"]
    assert long["row"].tolist() == [0, 1j, 0, 1j, 4j, 5j, 4j, 5j]
    assert long.groupby("W")["row"].sum().tolist() == [2j, 18j]


def test_the_long_form_says_which_points_have_no_value() -> None:
    def model(state: Any) -> Any:
        if state["x"] == 0.5:
            raise ValueError("diverged")
        return {"y": np.full(2, state["x"])}

    space = product({"x": gx.GridAxis(0, 1, 3)})
    run = gx.SequentialExecution(model, space).run(progress=False, on_error="record")
    long = run.to_dataframe("y")
    assert long["status"].tolist() == [1, 1, 2, 2, 1, 1]
    assert long["error"][2] == "ValueError: diverged"
    assert long["y"].isna().tolist() == [False, False, True, True, False, False]


def test_the_long_form_of_reduced_outputs_and_of_both_directions_of_a_chain() -> None:
    space = product({"G": gx.GridAxis(0, 1, 3), "k": gx.KeyAxis(4)})
    reduced = gx.ParallelExecution(lambda s: {"r": s["G"]}, space).run(
        progress=False, reduce={"k": ["mean", gx.Quantiles([0.1, 0.9])]}
    )
    long = reduced.to_dataframe("r.quantile", "r.mean")
    assert long.columns.tolist() == ["G", "quantile", "r.quantile", "r.mean"]
    assert long["quantile"].tolist() == [0.1, 0.9] * 3
    chain = product({"G": gx.GridAxis(0, 1, 2), "x": gx.Carried(0.0, "x", "G", order="both")})
    both = gx.ParallelExecution(lambda s: {"x": s["x"] + 1}, chain).run(progress=False)
    assert both.to_dataframe("x").query("direction == 'backward'")["x"].tolist() == [2.0, 1.0]


def test_an_output_that_does_not_exist_is_refused() -> None:
    result = gx.SequentialExecution(labeled, SPACES["zip"]).run(progress=False)
    with pytest.raises(ValueError, match="no output 'loss'; the outputs are M, rate, trace"):
        result.to_dataframe("loss")
    with pytest.raises(ValueError, match="an empty list of outputs was given; the outputs are M"):
        result.to_dataframe([])
