"""The model of `gridax demo`: brain regions as noisy oscillators, coupled by a connectome.

Kuramoto's model (Y. Kuramoto, Chemical Oscillations, Waves, and Turbulence, Springer, 1984) with
noise: each region is a phase that advances at a rate of its own, is drawn to the phases of the
regions that it is connected with, and is kicked about. Phases are relative to the mean rhythm, so
what that is need not be said.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

import gridax as gx

# Four modules: frontal, parietal, temporal and occipital regions.
SIZE = 8
REGIONS = [f"{module}{i}" for module in "FPTO" for i in range(1, SIZE + 1)]
N = len(REGIONS)
# Step and length of a simulation in seconds; what comes before SETTLED is not looked at.
DT, LENGTH, SETTLED = 0.01, 6.0, 2.0
# Every how many steps the time series is kept.
EVERY = 4

ABOUT = {
    "G": {"long_name": "global coupling G", "units": "1/s"},
    "sigma": {"long_name": "noise strength", "units": "rad/√s"},
    "trial": {"long_name": "trial"},
    "time": {"long_name": "time", "units": "s"},
    "synchrony": {"long_name": "synchrony", "units": "1"},
    "course": {"long_name": "synchrony over time", "units": "1"},
    "fc": {"long_name": "functional connectivity (phase locking)", "units": "1"},
}


def connectome() -> np.ndarray:
    """Return symmetric weights, strong within a module; a region receives 1 on average."""
    module = np.arange(N) // SIZE
    strength = np.where(module[:, None] == module, 1.0, 0.05)
    weights = np.triu(strength * np.random.default_rng(0).lognormal(0, 0.5, (N, N)), k=1)
    return (weights + weights.T) * N / (2 * weights.sum())


def frequencies() -> np.ndarray:
    """Return by how many Hz each region is faster than the mean; a module's are alike."""
    of_module = np.repeat([-0.3, 0.1, 0.3, -0.1], SIZE)
    return of_module + 0.4 * np.random.default_rng(1).normal(size=N)


def model(state: Any) -> xr.Dataset:
    """Return how synchronous the regions are: on average, over time, and pair by pair."""
    start, kicks = jax.random.split(state["key"])

    def step(phase: jax.Array, kick: jax.Array) -> tuple[jax.Array, jax.Array]:
        sin, cos = jnp.sin(phase), jnp.cos(phase)
        pull = cos * (state["weights"] @ sin) - sin * (state["weights"] @ cos)
        drift = 2 * jnp.pi * state["frequency"] + state["G"] * pull
        phase = phase + DT * drift + jnp.sqrt(DT) * state["sigma"] * kick
        return phase, phase

    first = jax.random.uniform(start, (N,), maxval=2 * jnp.pi)
    kick = jax.random.normal(kicks, (round(LENGTH / DT), N))
    phases = jax.lax.scan(step, first, kick)[1][round(SETTLED / DT) :]
    unit = jnp.exp(1j * phases)  # (time, region)
    order = jnp.abs(unit.mean(axis=1))
    locking = jnp.abs(unit.conj().T @ unit) / len(unit)
    time = np.arange(SETTLED, LENGTH, DT)[::EVERY].round(9)
    return xr.Dataset(
        {
            "synchrony": ((), order.mean(), ABOUT["synchrony"]),
            "course": ("time", order[::EVERY], ABOUT["course"]),
            "fc": (("region", "region_2"), locking, ABOUT["fc"]),
        },
        {"time": ("time", time, ABOUT["time"]), "region": REGIONS, "region_2": REGIONS},
    )


def space() -> gx.Space:
    """Return 16 couplings × 11 noise strengths × 6 trials."""
    state = {
        "G": gx.GridAxis(0, 30, 16, attrs=ABOUT["G"]),
        "sigma": gx.GridAxis(0, 5, 11, attrs=ABOUT["sigma"]),
        "key": gx.KeyAxis(6, name="trial", attrs=ABOUT["trial"]),
        "weights": jnp.asarray(connectome(), jnp.float32),
        "frequency": jnp.asarray(frequencies(), jnp.float32),
    }
    return gx.Space(state, mode="product", key=jax.random.key(0))


def sweep(store: Path, progress: Callable[[int, int], None]) -> gx.Result:
    """Run the model over the space, or go on with what is in the store."""
    return gx.ParallelExecution(model, space()).run(store=store, progress=progress)
