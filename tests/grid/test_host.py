"""What untraced models receive: numbers with which programs outside of JAX can compute."""

from __future__ import annotations

import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_ivp

import gridax as gx
from gridax._grid.host import HostStates

SPACE = gx.Space(
    {"a": gx.GridAxis(0.1, 0.3, 3), "seed": gx.DataAxis([3, 4]), "dt": 0.5}, mode="product"
)


def run(model):
    return gx.SequentialExecution(model, SPACE).run(progress=False).dataset["value"]


def test_numbers_are_python_numbers_equal_to_their_labels():
    seen = []
    run(lambda state: seen.append(dict(state)) or 1.0)
    # Neither NumPy nor Python computes as fast with subclasses.
    assert all(type(s["a"]) is float and type(s["seed"]) is int for s in seen)
    assert [s["a"] for s in seen[::2]] == [0.1, 0.2, 0.3]
    assert {s["dt"] for s in seen} == {0.5}
    assert json.dumps(seen[0]) == '{"a": 0.1, "dt": 0.5, "seed": 3}'


@pytest.mark.parametrize(
    ("values", "number"),
    [
        (np.float32([0.1]), 0.1),
        (np.uint8([7]), 7),
        (jnp.float32([0.1]), 0.1),
        (xr.DataArray([0.25], dims="x"), 0.25),
    ],
)
def test_numbers_of_any_dtype_are_python_numbers(values, number):
    seen = []
    space = gx.Space({"x": gx.DataAxis(values)}, mode="product")
    gx.SequentialExecution(lambda s: seen.append(s["x"]) or 1.0, space).run(progress=False)
    assert seen == [number]
    assert isinstance(seen[0], type(number))


def test_a_model_that_needs_attributes_of_arrays_receives_scalars_of_numpy():
    seen = []

    def model(state):
        seen.append(dict(state))
        if state["a"] > 0.15:
            return state["a"].astype(np.float64).sum() + state["seed"].item()
        return state["a"] + state["seed"]

    values = run(model)
    np.testing.assert_array_equal(values, np.add.outer([0.1, 0.2, 0.3], [3, 4]))
    before, after = seen[:3], seen[3:]
    assert before[2] == after[0]  # the third point was evaluated again
    assert {type(s["a"]) for s in before} == {float}
    assert {type(s["a"]) for s in after} == {np.float64}
    assert {type(s["seed"]) for s in after} == {np.int64}
    assert len(after) == 4


@pytest.mark.parametrize("name", ["color", "astype"])
def test_a_missing_attribute_is_the_error_of_the_model(name):
    calls = []

    def model(state):
        calls.append(0)
        return getattr(state["dt"] if name == "astype" else state["a"], name)

    with pytest.raises(AttributeError, match=f"'float' object has no attribute '{name}'"):
        run(model)
    assert len(calls) <= 2


def test_a_wrap_and_an_initial_value_may_need_attributes_of_arrays():
    axis = gx.GridAxis(1, 3, 3, wrap=lambda value: {"value": value.reshape(1)})
    start = gx.Carried(lambda state: state["a"]["value"].sum(), "y", along="n")
    space = gx.Space({"a": axis, "n": gx.DataAxis([1, 2]), "y": start}, mode="product")

    def model(state):
        return {"y": state["y"] + state["a"]["value"][0]}

    result = gx.SequentialExecution(model, space).run(progress=False)
    np.testing.assert_array_equal(result.dataset["y"], [[2, 3], [4, 6], [6, 9]])
    assert result.rerun(a=2, n=2)["y"] == 6


def test_bools_are_numpys_because_pythons_cannot_be_inverted():
    space = gx.Space({"x": gx.DataAxis([True, False])}, mode="product")
    result = gx.SequentialExecution(lambda s: ~s["x"], space).run(progress=False)
    assert result.dataset["value"].values.tolist() == [False, True]


def test_numbers_with_labels_of_their_own_are_as_given():
    seen = []
    space = gx.Space({"x": gx.DataAxis([3, 5], labels=["low", "high"])}, mode="product")
    result = gx.SequentialExecution(lambda s: seen.append(s["x"]) or 1.0, space)
    result.run(progress=False)
    assert seen == [3, 5]
    assert all(isinstance(x, int) for x in seen)


def test_an_integrator_of_scipy_gets_the_numbers_that_were_typed():
    def model(state):
        return solve_ivp(lambda t, y: -state["a"] * y, (0, 1), [1.0], rtol=1e-8).y[0, -1]

    np.testing.assert_allclose(run(model).isel(seed=0), np.exp([-0.1, -0.2, -0.3]), rtol=1e-6)


def test_functions_that_numba_compiled_take_the_numbers():
    numba = pytest.importorskip("numba")

    @numba.njit
    def decayed(rate, steps):
        x = 1.0
        for _ in range(steps):
            x -= rate * x
        return x

    wanted = [[(1 - a) ** seed for seed in (3, 4)] for a in (0.1, 0.2, 0.3)]
    np.testing.assert_allclose(run(lambda s: decayed(s["a"], s["seed"])), wanted)


def test_a_label_can_seed_a_generator_and_be_a_key():
    def model(state):
        return {3: 0.0, 4: 1.0}[state["seed"]] + np.random.default_rng(state["seed"]).normal()

    wanted = [i + np.random.default_rng(3 + i).normal() for i in range(2)]
    np.testing.assert_array_equal(run(model).isel(a=0), wanted)


def test_states_can_be_pickled():
    states = HostStates(gx.SequentialExecution(lambda s: 1.0, SPACE)._job.points)
    again = pickle.loads(pickle.dumps(states))
    assert again.at((1, 0)) == states.at((1, 0))
