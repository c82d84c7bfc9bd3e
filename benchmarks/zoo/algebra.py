"""Linear algebra of small matrices, and roots of equations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from .case import Case, sides

State = dict[str, Any]


def linear_solve(state: State) -> Any:
    """A system of equations: the matrix depends on one axis, the right-hand side on the other."""
    base = np.random.default_rng(0).normal(0, 1, (40, 40)).astype(np.float32)
    matrix = base + (20 + state["shift"]) * jnp.eye(40)
    return jnp.linalg.solve(matrix, jnp.sin(state["frequency"] * jnp.arange(40.0)))


def linear_solve_state(n: int) -> State:
    shifts, frequencies = sides(n, 1, 1)
    return {
        "shift": gx.GridAxis(0, 10, shifts),
        "frequency": gx.GridAxis(0.1, 3.0, frequencies),
    }


def page_rank(state: State) -> State:
    """Power iteration on 60 pages until nothing changes: more steps with less damping."""
    page = jax.nn.one_hot(state["page"], 60)

    def step(carry: Any) -> Any:
        rank, _, turns = carry
        new = state["damping"] * (rank @ state["links"]) + (1 - state["damping"]) * page
        return new, jnp.abs(new - rank).sum(), turns + 1

    start = jnp.full(60, 1 / 60), jnp.float32(1), jnp.int32(0)
    rank, _, turns = jax.lax.while_loop(
        lambda carry: (carry[1] > 1e-4) & (carry[2] < 200), step, start
    )
    return {"rank": rank[:8], "turns": turns}


def page_rank_state(n: int) -> State:
    dampings, pages = sides(n, 1, 1)
    links = np.random.default_rng(0).random((60, 60)) < 0.02
    links |= np.roll(np.eye(60, dtype=bool), 1, axis=1)
    return {
        "links": jnp.asarray(links / links.sum(axis=1, keepdims=True), jnp.float32),
        "damping": gx.GridAxis(0.5, 0.97, dampings),
        "page": gx.DataAxis(np.arange(pages) % 60, labels=np.arange(pages)),
    }


def kepler(state: State) -> State:
    """Kepler's equation by Newton's method: few steps for most points, many for some."""
    mean, e = state["mean_anomaly"], state["eccentricity"]

    def step(carry: Any) -> Any:
        x, _, turns = carry
        move = (x - e * jnp.sin(x) - mean) / (1 - e * jnp.cos(x))
        return x - move, jnp.abs(move), turns + 1

    start = mean, jnp.float32(1), jnp.int32(0)
    x, _, turns = jax.lax.while_loop(lambda carry: (carry[1] > 1e-5) & (carry[2] < 50), step, start)
    return {"anomaly": jnp.sin(x), "turns": turns}


def kepler_state(n: int) -> State:
    anomalies, eccentricities = sides(n, 1, 1)
    return {
        "mean_anomaly": gx.GridAxis(0.01, 6.27, anomalies),
        "eccentricity": gx.GridAxis(0.0, 0.99, eccentricities),
    }


def markov_chain(state: State) -> Any:
    """Transition probabilities of six states in continuous time: a matrix exponential."""
    rates = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) == 1
    rates = rates * jnp.where(np.arange(6)[:, None] < 3, state["up"], 0.7)
    generator = rates - jnp.diag(rates.sum(axis=1))
    return jax.scipy.linalg.expm(state["time"] * generator)[0]


def markov_chain_state(n: int) -> State:
    ups, times = sides(n, 1, 1)
    return {"up": gx.GridAxis(0.1, 2.0, ups), "time": gx.LogGridAxis(0.1, 10, times)}


def energy_levels(state: State) -> Any:
    """Eigenvalues of a disordered chain of eight sites (Anderson, 1958)."""
    energies = jax.random.uniform(state["sample"], (8,), minval=-0.5, maxval=0.5)
    hops = np.eye(8, k=1, dtype=np.float32) + np.eye(8, k=-1, dtype=np.float32)
    return jnp.linalg.eigvalsh(jnp.diag(state["disorder"] * energies) - hops)


def energy_levels_state(n: int) -> State:
    disorders, samples = sides(n, 1, 1)
    return {"disorder": gx.GridAxis(0.0, 5.0, disorders), "sample": gx.KeyAxis(samples)}


def polynomial_roots(state: State) -> Any:
    """Absolute values of six complex roots, found together (Durand, 1960; Kerner, 1966)."""
    coefficients = jnp.stack([jnp.ones(()), state["a"], state["b"], *jnp.array([0.5, 2, 0.3, 1])])

    def step(_: Any, roots: Any) -> Any:
        others = roots[:, None] - roots[None] + jnp.eye(6)
        return roots - jnp.polyval(coefficients, roots) / others.prod(axis=1)

    start = jnp.asarray((0.4 + 0.9j) ** np.arange(6), jnp.complex64)
    return jnp.sort(jnp.abs(jax.lax.fori_loop(0, 40, step, start)))


def polynomial_roots_state(n: int) -> State:
    a, b = sides(n, 1, 1)
    return {"a": gx.GridAxis(-2, 2, a), "b": gx.GridAxis(-2, 2, b)}


CASES = (
    Case("linear solve, 40 × 40", "linear algebra", linear_solve, linear_solve_state, 200_000),
    Case(
        "page rank, power iteration",
        "linear algebra",
        page_rank,
        page_rank_state,
        400_000,
        stray=0.01,
    ),
    Case("Kepler’s equation, Newton", "astronomy", kepler, kepler_state, 4_000_000, stray=0.01),
    Case("Markov chain, expm", "linear algebra", markov_chain, markov_chain_state, 65_536),
    Case("Anderson model, eigvalsh", "physics", energy_levels, energy_levels_state, 160_000),
    Case(
        "polynomial roots, Durand–Kerner",
        "mathematics",
        polynomial_roots,
        polynomial_roots_state,
        122_500,
        rtol=1e-2,
        stray=0.01,
    ),
)
