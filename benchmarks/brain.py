"""Run time of a whole-brain network, couplings × noise trials, against tvboptim's own executor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

import gridax as gx

from . import opponent
from .measure import Row, medians, timed

if not opponent.MISSING:
    from tvboptim.data import load_structural_connectivity
    from tvboptim.experimental.network_dynamics import Network, prepare
    from tvboptim.experimental.network_dynamics.coupling import LinearCoupling
    from tvboptim.experimental.network_dynamics.dynamics.tvb import ReducedWongWang
    from tvboptim.experimental.network_dynamics.graph import DenseGraph
    from tvboptim.experimental.network_dynamics.noise import AdditiveNoise
    from tvboptim.experimental.network_dynamics.solvers import Heun


def rows(quick: bool) -> Iterator[Row]:
    if opponent.MISSING:  # tvboptim also provides the model
        return
    n, steps, repeats = (4, 20, 2) if quick else (16, 1000, 5)
    model, config = brain(steps)
    couplings = np.linspace(0.0, 0.5, n, dtype=np.float32)
    keys = jax.random.split(jax.random.key(0), n)

    def space_of(package: Any) -> Any:
        state = config.copy()
        state.coupling.instant.G = package.DataAxis(couplings)
        state.noise.key = package.DataAxis(keys)
        return package.Space(state, mode="product")

    ours = gx.ParallelExecution(model, space_of(gx))
    runs: dict[str, Callable[[], Any]] = {"gridax": lambda: ours.run(progress=False)}
    devices = jax.device_count()
    for n_vmap in (2,) if quick else (8, 32, 128):
        theirs = opponent.execution.ParallelExecution(
            model, space_of(opponent.spaces), n_vmap=n_vmap, n_pmap=devices
        )
        runs[f"{opponent.NAME}, n_vmap={n_vmap}"] = theirs.run

    expected = activity(runs["gridax"]())
    for run in runs.values():
        # A thousand float32 steps, some near a bifurcation, amplify differences in the last digit.
        np.testing.assert_allclose(activity(run()), expected, rtol=1e-3, atol=1e-4)

    seconds = medians(repeats, **runs)
    mine = seconds.pop("gridax")
    what = f"brain, {n} couplings × {n} trials, {steps} steps"
    for name, each in seconds.items():
        yield timed(what, mine, opponent=(f"{name}, {devices} devices", each))


def brain(steps: int) -> tuple[Callable[[Any], dict[str, jax.Array]], Any]:
    """Return a model (mean activity of 84 regions) and its state."""
    weights, _, regions = load_structural_connectivity("dk_average")
    network = Network(
        dynamics=ReducedWongWang(),
        coupling={"instant": LinearCoupling(incoming_states="S")},
        graph=DenseGraph(weights / weights.max(), region_labels=regions),
        noise=AdditiveNoise(sigma=0.01, apply_to="S"),
    )
    simulate, config = prepare(network, Heun(), t0=0.0, t1=float(steps), dt=1.0)
    return lambda config: {"S": simulate(config).ys[:, 0].mean(axis=0)}, config


def activity(result: Any) -> np.ndarray:
    """Return the outputs of all points, in the order of the points."""
    return np.stack([point["S"] for point in result])
