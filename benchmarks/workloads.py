"""The sweeps whose run time is compared: a model, its axes, and the same points as flat stacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx


@dataclass(frozen=True)
class Workload:
    """A sweep: `axes` maps names to values, and `model` takes a dict with one value for each name.

    Names must be in alphabetical order, which is how tvboptim orders its dimensions. `wanted` holds
    the goals as ratios of run times: against tvboptim and against hand-written flat code, each at
    its best.
    """

    name: str
    model: Callable[[dict[str, Any]], Any]
    axes: dict[str, Any]
    wanted: tuple[float | None, float | None]
    rtol: float = 1e-4
    atol: float = 1e-5
    fixed: dict[str, Any] = field(default_factory=dict)

    @property
    def n_points(self) -> int:
        """Number of points."""
        return math.prod(map(len, self.axes.values()))

    def space(self, package: Any = gx) -> Any:
        """Return the space in gridax, or in another package with the same class names."""
        state = {name: package.DataAxis(values) for name, values in self.axes.items()}
        return package.Space({**state, **self.fixed}, mode="product")

    def flat(self) -> dict[str, Any]:
        """Return the stacked values of all points, which a flat vmap maps over."""
        sizes = [len(values) for values in self.axes.values()]
        index = np.unravel_index(np.arange(np.prod(sizes)), sizes)
        return {
            name: jnp.asarray(values)[i]
            for (name, values), i in zip(self.axes.items(), index, strict=True)
        }


def noisy_network(n: int, steps: int, nodes: int = 64) -> Workload:
    """Couplings × noise amplitudes × trials: the noise depends only on the trial."""
    weights = _weights(nodes)

    def model(state: dict[str, Any]) -> Any:
        noise = jax.random.normal(state["trial"], (steps, nodes))

        def step(x: Any, kick: Any) -> tuple[Any, None]:
            return x + 0.1 * (
                jnp.tanh(state["G"] * (weights @ x)) - x + state["sigma"] * kick
            ), None

        return jax.lax.scan(step, jnp.zeros(nodes), noise)[0].mean()

    axes = {
        "G": np.linspace(0.1, 2.0, n, dtype=np.float32),
        "sigma": np.linspace(0.1, 1.0, n, dtype=np.float32),
        "trial": jax.random.split(jax.random.key(0), n),
    }
    return Workload(f"noise-driven network, {n} × {n} × {n}", model, axes, (3.0, 3.0))


def coupled_network(n: int, steps: int, nodes: int = 64) -> Workload:
    """Two parameters that enter every step, so that no work can be shared."""
    weights = _weights(nodes)

    def model(state: dict[str, Any]) -> Any:
        def step(x: Any, _: None) -> tuple[Any, None]:
            return x + 0.1 * (jnp.tanh(state["G"] * (weights @ x) + state["I"]) - x), None

        return jax.lax.scan(step, jnp.full(nodes, 0.1), length=steps)[0].mean()

    axes = {
        "G": np.linspace(0.1, 2.0, n, dtype=np.float32),
        "I": np.linspace(-0.5, 0.5, n, dtype=np.float32),
    }
    return Workload(f"coupled network, nothing to share, {n} × {n}", model, axes, (1.0, 0.97))


def formula(n: int) -> Workload:
    """A closed formula, which measures the overhead."""

    def model(state: dict[str, Any]) -> Any:
        return jnp.sin(state["a"]) * jnp.exp(-state["b"]) + state["a"] * state["b"]

    axes = {
        "a": np.linspace(0.0, 3.0, n, dtype=np.float32),
        "b": np.linspace(0.0, 3.0, n, dtype=np.float32),
    }
    return Workload(f"closed formula, {n * n} points", model, axes, (2.0, 0.9))


def stiff(n: int) -> Workload:
    """Van der Pol oscillator with adaptive steps, whose number differs across the grid."""
    import diffrax

    def field_(t: Any, y: Any, mu: Any) -> Any:
        return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    def model(state: dict[str, Any]) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field_),
            diffrax.Tsit5(),
            t0=0.0,
            t1=10.0,
            dt0=0.01,
            y0=jnp.stack([state["y"], jnp.zeros(())]),
            args=state["mu"],
            stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
            max_steps=100_000,
        )
        return solution.ys[-1, 0]

    axes = {
        "mu": np.geomspace(0.1, 50.0, n).astype(np.float32),
        "y": np.linspace(0.5, 3.0, n, dtype=np.float32),
    }
    return Workload(f"adaptive ODE (diffrax), {n} × {n}", model, axes, (1.2, 1.0), 1e-2, 1e-2)


def trivial(n: int) -> Workload:
    """Multiply two numbers."""
    axes = {
        "a": np.linspace(0.0, 1.0, n, dtype=np.float32),
        "b": np.linspace(0.0, 1.0, n, dtype=np.float32),
    }
    return Workload(f"trivial model, {n * n} points", lambda s: s["a"] * s["b"], axes, (1.0, None))


def connectomes(n_subjects: int, n_couplings: int, steps: int, regions: int = 84) -> Workload:
    """An array-valued axis: one connectome per subject, normalized in the model."""
    keys = jax.random.split(jax.random.key(1), n_subjects)
    weights = np.asarray(jax.vmap(lambda key: jax.random.gamma(key, 0.3, (regions, regions)))(keys))

    def model(state: dict[str, Any]) -> Any:
        w = state["W"] / state["W"].sum(axis=1, keepdims=True)

        def step(x: Any, _: None) -> tuple[Any, None]:
            return x + 0.1 * (jnp.tanh(state["g"] * (w @ x) + 0.1) - x), None

        return jax.lax.scan(step, jnp.full(regions, 0.1), length=steps)[0]

    axes = {"W": weights, "g": np.linspace(0.1, 2.0, n_couplings, dtype=np.float32)}
    return Workload(f"{n_subjects} connectomes × {n_couplings} couplings", model, axes, (None, 1.5))


def _weights(nodes: int) -> jax.Array:
    weights = np.random.default_rng(0).gamma(0.5, 1.0, (nodes, nodes)).astype(np.float32)
    return jnp.asarray(weights / weights.sum(axis=1, keepdims=True))
