"""The model of `gridax demo`: brain regions that excite each other along a connectome.

Each of the 84 regions is a reduced Wong-Wang model driven by noise (K.-F. Wong and X.-J. Wang, J.
Neurosci. 26, 1314, 2006, as reduced by G. Deco et al., J. Neurosci. 33, 11239, 2013). Weakly
coupled, all regions stay quiet; strongly coupled, they keep each other active. In between, as the
hubs switch on, activity fluctuates most, and the simulated functional connectivity (FC), which is
the correlation of the activity of each pair of regions, resembles the measured one best.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import gridax as gx

# Step, duration, and the time until the network has settled, in ms.
STEP, DURATION, SETTLED = 2.0, 25_000.0, 5_000.0
# Steps between two samples of the activity, and samples between two points of the time series.
SAMPLE, COURSE = 5, 10
NOISE = 0.005  # standard deviation of the gating variable after one ms, without its drift
N_REGIONS = 84  # of the made-up connectome, as many as of the measured one


class Connectome(NamedTuple):
    """Weights of the connections, names of the regions, and the FC that simulations are fit to."""

    weights: np.ndarray
    regions: list[str]
    reference: np.ndarray
    reference_name: str


@functools.cache
def connectome() -> Connectome:
    """Return the average human connectome that tvboptim ships, or a made-up one without tvboptim.

    The weights are scaled so that a region receives 1 on average. The made-up connectome comes
    without measurements, so that simulations are compared with its own weights.
    """
    if importlib.util.find_spec("tvboptim"):
        from tvboptim.data import load_functional_connectivity, load_structural_connectivity

        counts, _, regions = load_structural_connectivity("dk_average")
        weights = np.sqrt(np.asarray(counts))  # numbers of streamlines span six decades
        reference = np.asarray(load_functional_connectivity("dk_average"))
        name = "measured FC"
    else:
        hub = np.random.default_rng(0).lognormal(0, 0.7, N_REGIONS)
        pair = np.random.default_rng(1).lognormal(0, 1, (N_REGIONS, N_REGIONS))
        upper = np.triu(np.outer(hub, hub) * pair, k=1)
        weights = upper + upper.T
        regions = [f"{side}{i}" for side in "LR" for i in range(1, N_REGIONS // 2 + 1)]
        reference, name = weights, "connectome"
    return Connectome(weights / weights.sum(axis=1).mean(), list(regions), reference, name)


def drift(S: jax.Array, received: jax.Array) -> jax.Array:
    """Return the rate of change, per ms, of the fraction S of open synaptic (NMDA) channels."""
    current = 0.33 + 0.2609 * (0.6 * S + received)  # nA
    drive = 0.27 * current - 0.108
    rate = drive / (1 - jnp.exp(-154 * drive))  # kHz
    return -S / 100 + (1 - S) * 0.641 * rate


def model(state: Any) -> xr.Dataset:
    """Return the mean activity of each region, its course over time, and the fit of the FC."""

    def step(S: jax.Array, kick: jax.Array) -> tuple[jax.Array, jax.Array]:
        slope = drift(S, state["G"] * (weights @ S))
        guess = S + STEP * slope + kick
        slope = (slope + drift(guess, state["G"] * (weights @ guess))) / 2  # Heun's method
        S = S + STEP * slope + kick
        return S, S

    weights, n = state["weights"], len(state["weights"])
    kicks = jax.random.normal(state["key"], (round(DURATION / STEP), n))
    scale = NOISE * jnp.sqrt(STEP)
    activity = jax.lax.scan(step, jnp.full(n, 0.1), scale * kicks)[1]
    S = activity[round(SETTLED / STEP) :: SAMPLE]  # (time, region)
    network, pairs = connectome(), np.triu_indices(n, k=1)
    fit = jnp.corrcoef(jnp.corrcoef(S.T)[pairs], network.reference[pairs])[0, 1]
    time = np.arange(SETTLED, DURATION, STEP * SAMPLE * COURSE) / 1000
    return xr.Dataset(
        {
            "S": ("region", S.mean(axis=0), {"long_name": "synaptic gating S", "units": "1"}),
            "course": ("time", S.mean(axis=1)[::COURSE], {"long_name": "mean S", "units": "1"}),
            "fit": ((), fit, {"long_name": f"fit to {network.reference_name}, r", "units": "1"}),
        },
        {"region": network.regions, "time": ("time", time, {"units": "s"})},
    )


def space() -> gx.Space:
    """Return 31 couplings × 16 noise trials."""
    state = {
        "G": gx.GridAxis(0.1, 0.4, 31, attrs={"long_name": "global coupling G", "units": "1"}),
        "key": gx.KeyAxis(16, name="trial", attrs={"long_name": "noise trial"}),
        "weights": jnp.asarray(connectome().weights, jnp.float32),
    }
    return gx.Space(state, mode="product", key=jax.random.key(0))
