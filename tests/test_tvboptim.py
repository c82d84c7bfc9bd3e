"""Whole-brain models of tvboptim: our numbers are those of its own executor."""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx

pytest.importorskip("tvboptim", reason="tvboptim is an extra: gridax[demo]")

from tvboptim.data import load_structural_connectivity
from tvboptim.execution import ParallelExecution as TheirExecution
from tvboptim.experimental.network_dynamics import Network, prepare
from tvboptim.experimental.network_dynamics.coupling import LinearCoupling
from tvboptim.experimental.network_dynamics.dynamics.tvb import ReducedWongWang
from tvboptim.experimental.network_dynamics.graph import DenseGraph
from tvboptim.experimental.network_dynamics.noise import AdditiveNoise
from tvboptim.experimental.network_dynamics.solvers import Heun
from tvboptim.types.parameter import Parameter
from tvboptim.types.spaces import DataAxis as TheirAxis
from tvboptim.types.spaces import Space as TheirSpace

pytestmark = pytest.mark.slow

COUPLINGS, TRIALS = 3, 4


@pytest.fixture(scope="module")
def brain():
    """Return the simulation of 84 noisy regions for 100 ms, and its configuration."""
    weights, _, regions = load_structural_connectivity("dk_average")
    weights = np.sqrt(weights) / np.sqrt(weights).sum(axis=1).mean()
    network = Network(
        dynamics=ReducedWongWang(),
        coupling={"instant": LinearCoupling(incoming_states="S")},
        graph=DenseGraph(weights, region_labels=regions),
        noise=AdditiveNoise(sigma=0.005, apply_to="S"),
    )
    simulate, config = prepare(network, Heun(), t0=0.0, t1=100.0, dt=2.0)

    def model(config):
        return simulate(config).ys[:, 0].mean(axis=0)

    return model, config


def swept(config, **axes):
    """Return a copy of a configuration with the coupling and the noise key replaced."""
    config = copy.deepcopy(config)
    config.coupling.instant.G = axes["G"]
    config.noise.key = axes["key"]
    return config


@pytest.fixture(scope="module")
def space(brain):
    axes = {
        "G": gx.GridAxis(0.1, 0.4, COUPLINGS, name="G"),
        "key": gx.KeyAxis(TRIALS, name="trial"),
    }
    return gx.Space(swept(brain[1], **axes), mode="product", key=jax.random.key(0))


@pytest.fixture(scope="module")
def result(brain, space):
    return gx.ParallelExecution(brain[0], space, n_vmap=2).run(progress=False)


def test_a_configuration_is_a_state_like_any_other(result, brain):
    assert result.space.dims == ("G", "trial")
    assert result.dataset["value"].shape == (COUPLINGS, TRIALS, 84)
    assert result.dataset["noise.sigma"].item() == 0.005
    assert type(result.space[0]) is type(brain[1])
    activity = result.dataset["value"].mean(["trial", "value_dim_0"])
    assert (activity.diff("G") > 0).all()


def test_our_executor_agrees_with_that_of_tvboptim(result, brain, space):
    model, config = brain
    points = {
        "G": TheirAxis(jnp.stack([state.coupling.instant.G for state in space])),
        "key": TheirAxis(jnp.stack([state.noise.key for state in space])),
    }
    theirs = TheirExecution(
        model, TheirSpace(swept(config, **points), mode="zip"), n_vmap=3, n_pmap=2
    ).run()
    assert len(theirs) == len(result) == COUPLINGS * TRIALS
    for mine, other in zip(result, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)


def test_our_executor_agrees_with_direct_calls(result, brain, space):
    simulate = jax.jit(brain[0])
    for i in (0, 5, -1):
        np.testing.assert_allclose(result[i], simulate(space[i]), rtol=1e-5, atol=1e-7)


def test_trials_differ_and_come_back(result, brain, space):
    again = gx.ParallelExecution(brain[0], space.sel(trial=[2]), n_pmap=1).run(progress=False)
    trials = result.dataset["value"].sel(G=0.25)
    assert len(np.unique(trials.isel(value_dim_0=0))) == TRIALS
    np.testing.assert_allclose(
        again.dataset["value"].sel(G=0.25, trial=2), trials.sel(trial=2), rtol=1e-5, atol=1e-7
    )


def test_parameters_of_tvboptim_stay_parameters():
    seen = []

    def model(state):
        seen.append(type(state["tau"]))
        return state["tau"] * state["x"]

    state = {"x": gx.DataAxis([1.0, 2.0, 3.0]), "tau": Parameter(10.0)}
    result = gx.ParallelExecution(model, gx.Space(state, mode="product")).run(progress=False)
    assert result.dataset["value"].values.tolist() == [10, 20, 30]
    assert set(seen) == {Parameter}


def test_values_may_enter_as_parameters():
    def model(state):
        assert isinstance(state["tau"], Parameter)
        return 2 * state["tau"]

    state = {"tau": gx.DataAxis([1.0, 2.0], wrap=Parameter)}
    for execution in (gx.SequentialExecution, gx.ParallelExecution):
        result = execution(model, gx.Space(state, mode="product")).run(progress=False)
        assert result.dataset["value"].values.tolist() == [2, 4]
