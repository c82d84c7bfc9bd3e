"""What untraced models receive: numbers with which programs outside of JAX can compute."""

from __future__ import annotations

import json
import pickle

import numpy as np
from scipy.integrate import solve_ivp

import gridax as gx
from gridax._grid.host import HostStates

SPACE = gx.Space(
    {"a": gx.GridAxis(0.1, 0.3, 3), "seed": gx.DataAxis([3, 4]), "dt": 0.5}, mode="product"
)


def run(model):
    return gx.SequentialExecution(model, SPACE).run(progress=False).dataset["value"]


def test_numbers_are_numpy_scalars_equal_to_their_labels():
    seen = []
    run(lambda state: seen.append(dict(state)) or 1.0)
    assert {(type(s["a"]), type(s["seed"])) for s in seen} == {(np.float64, np.int64)}
    assert [s["a"] for s in seen[::2]] == [0.1, 0.2, 0.3]
    assert {s["dt"] for s in seen} == {0.5}
    assert json.dumps(seen[0]["a"]) == "0.1"


def test_an_integrator_of_scipy_gets_the_numbers_that_were_typed():
    def model(state):
        return solve_ivp(lambda t, y: -state["a"] * y, (0, 1), [1.0], rtol=1e-8).y[0, -1]

    np.testing.assert_allclose(run(model).isel(seed=0), np.exp([-0.1, -0.2, -0.3]), rtol=1e-6)


def test_a_label_can_seed_a_generator_and_be_a_key():
    def model(state):
        return {3: 0.0, 4: 1.0}[state["seed"]] + np.random.default_rng(state["seed"]).normal()

    wanted = [i + np.random.default_rng(3 + i).normal() for i in range(2)]
    np.testing.assert_array_equal(run(model).isel(a=0), wanted)


def test_states_can_be_pickled():
    states = HostStates(gx.SequentialExecution(lambda s: 1.0, SPACE)._job.points)
    again = pickle.loads(pickle.dumps(states))
    assert again.at((1, 0)) == states.at((1, 0))
