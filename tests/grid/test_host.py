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
    assert all(isinstance(s["a"], float) and isinstance(s["seed"], int) for s in seen)
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
