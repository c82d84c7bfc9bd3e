"""Dynamics of particles, fields and spins."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from .case import Case, sides

State = dict[str, Any]


def van_der_pol(state: State) -> State:
    """An oscillator with adaptive steps: the number of steps differs across the grid."""

    def rate(y: Any) -> Any:
        return jnp.stack([y[1], state["mu"] * (1 - y[0] ** 2) * y[1] - y[0]])

    def attempt(carry: Any) -> Any:  # Bogacki and Shampine (1989)
        t, y, dt, turns = carry
        a = rate(y)
        b = rate(y + dt / 2 * a)
        c = rate(y + 3 / 4 * dt * b)
        new = y + dt / 9 * (2 * a + 3 * b + 4 * c)
        error = dt * jnp.abs(-5 / 72 * a + b / 12 + c / 9 - rate(new) / 8).max()
        good = error < state["precision"]
        factor = jnp.clip(0.9 * (state["precision"] / (error + 1e-12)) ** (1 / 3), 0.2, 5.0)
        t, y = jnp.where(good, t + dt, t), jnp.where(good, new, y)
        return t, y, jnp.clip(dt * factor, 1e-4, 0.5), turns + 1

    start = jnp.float32(0), jnp.array([2.0, 0.0]), jnp.float32(0.01), jnp.int32(0)
    _, y, _, turns = jax.lax.while_loop(lambda carry: carry[0] < 10, attempt, start)
    return {"x": y[0], "turns": turns}


def van_der_pol_state(n: int) -> State:
    mus, precisions = sides(n, 2, 1)
    return {
        "mu": gx.LogGridAxis(0.1, 10, mus),
        "precision": gx.LogGridAxis(1e-4, 1e-2, precisions),
    }


def mandelbrot(state: State) -> Any:
    """Steps until a point escapes: from one step to the limit of 300."""

    def step(carry: Any) -> Any:
        x, y, turns = carry
        return x * x - y * y + state["re"], 2 * x * y + state["im"], turns + 1

    start = jnp.float32(0), jnp.float32(0), jnp.int32(0)
    inside = jax.lax.while_loop(
        lambda carry: (carry[0] ** 2 + carry[1] ** 2 < 4) & (carry[2] < 300), step, start
    )
    return inside[2]


def mandelbrot_state(n: int) -> State:
    res, ims = sides(n, 1, 1)
    return {"re": gx.GridAxis(-2.0, 0.6, res), "im": gx.GridAxis(-1.2, 1.2, ims)}


def ising(state: State) -> State:
    """Metropolis sweeps of 12 × 12 spins; the random numbers depend on the trial alone."""
    even = np.add.outer(np.arange(12), np.arange(12)) % 2 == 0

    def sweep(spins: Any, key: Any) -> Any:
        for color, uniform in zip((even, ~even), jax.random.uniform(key, (2, 12, 12)), strict=True):
            field = sum(jnp.roll(spins, shift, axis) for shift in (-1, 1) for axis in (0, 1))
            flips = uniform < jnp.exp(-2 * spins * field / state["temperature"])
            spins = jnp.where(color & flips, -spins, spins)
        return spins, spins.mean()

    keys = jax.random.split(state["trial"], 20)
    spins, magnetization = jax.lax.scan(sweep, jnp.ones((12, 12)), keys)
    energy = -(spins * (jnp.roll(spins, 1, 0) + jnp.roll(spins, 1, 1))).mean()
    return {"magnetization": magnetization[10:].mean(), "energy": energy}


def ising_state(n: int) -> State:
    temperatures, trials = sides(n, 1, 1)
    return {"temperature": gx.GridAxis(1.5, 3.5, temperatures), "trial": gx.KeyAxis(trials)}


def n_body(state: State) -> State:
    """Eight bodies in a plane, leapfrog steps."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    x0 = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    x0 *= np.linspace(0.8, 1.6, 8, dtype=np.float32)[:, None]

    def pull(x: Any) -> Any:
        apart = x[None] - x[:, None]
        return state["G"] * (apart / ((apart**2).sum(-1, keepdims=True) + 0.05) ** 1.5).sum(1)

    def step(carry: Any, _: None) -> Any:
        x, v = carry
        v = v + 0.005 * pull(x)
        x = x + 0.01 * v
        return (x, v + 0.005 * pull(x)), None

    spin = jnp.stack([-x0[:, 1], x0[:, 0]], 1) * state["spin"]
    (x, v), _ = jax.lax.scan(step, (jnp.asarray(x0), spin), length=50)
    return {"x": x, "kinetic": (v**2).sum() / 2}


def n_body_state(n: int) -> State:
    strengths, spins = sides(n, 1, 1)
    return {"G": gx.GridAxis(0.1, 1.0, strengths), "spin": gx.GridAxis(0.2, 1.0, spins)}


def gray_scott(state: State) -> Any:
    """Reaction and diffusion on a ring of 24 × 24 cells: a stencil."""
    v0 = np.zeros((24, 24), np.float32)
    v0[8:16, 8:16] = 0.5

    def spread(x: Any) -> Any:
        return sum(jnp.roll(x, shift, axis) for shift in (-1, 1) for axis in (0, 1)) - 4 * x

    def step(carry: Any, _: None) -> Any:
        u, v = carry
        reaction = u * v * v
        u = u + 0.16 * spread(u) - reaction + state["feed"] * (1 - u)
        v = v + 0.08 * spread(v) + reaction - (state["feed"] + state["kill"]) * v
        return (u, v), None

    return jax.lax.scan(step, (1 - jnp.asarray(v0), jnp.asarray(v0)), length=60)[0][1]


def gray_scott_state(n: int) -> State:
    feeds, kills = sides(n, 1, 1)
    return {"feed": gx.GridAxis(0.02, 0.06, feeds), "kill": gx.GridAxis(0.05, 0.07, kills)}


def lyapunov(state: State) -> Any:
    """Lyapunov exponent of the logistic map: one number per step, along one dimension."""

    def step(carry: Any, _: None) -> Any:
        x, total = carry
        slope = jnp.abs(state["r"] * (1 - 2 * x)) + 1e-6
        return (state["r"] * x * (1 - x), total + jnp.log(slope)), None

    (_, total), _ = jax.lax.scan(step, (jnp.float32(0.3), jnp.float32(0)), length=1000)
    return total / 1000


def lyapunov_state(n: int) -> State:
    return {"r": gx.GridAxis(2.5, 4.0, n)}


def barrier_walk(state: State) -> State:
    """First passage of a drifting random walk; its steps depend on the trial alone."""
    steps = jax.random.normal(state["trial"], (1000,))
    path = jnp.cumsum(state["drift"] + steps)
    hits = path > state["barrier"]
    return {"hit": hits.any(), "time": hits.argmax(), "end": path[-1]}


def barrier_walk_state(n: int) -> State:
    drifts, barriers, trials = sides(n, 1, 1, 1)
    return {
        "drift": gx.GridAxis(0.0, 0.1, drifts),
        "barrier": gx.GridAxis(5, 80, barriers),
        "trial": gx.KeyAxis(trials),
    }


CASES = (
    Case(
        "van der Pol, adaptive steps",
        "physics",
        van_der_pol,
        van_der_pol_state,
        160_000,
        atol=0.05,
        stray=0.02,
    ),
    Case("Mandelbrot set", "mathematics", mandelbrot, mandelbrot_state, 640_000, stray=0.02),
    Case("Ising model, Metropolis", "physics", ising, ising_state, 4096, stray=0.01),
    Case(
        "N-body, leapfrog",
        "astronomy",
        n_body,
        n_body_state,
        4900,
        rtol=1e-2,
        atol=1e-2,
        stray=0.01,
    ),
    Case("Gray–Scott reaction–diffusion", "chemistry", gray_scott, gray_scott_state, 6_400),
    # The map is chaotic, so rounding errors change the orbit, though little the mean.
    Case(
        "logistic map, Lyapunov",
        "mathematics",
        lyapunov,
        lyapunov_state,
        600_000,
        atol=0.2,
        stray=0.01,
    ),
    Case(
        "random walk with a barrier",
        "physics",
        barrier_walk,
        barrier_walk_state,
        216_000,
        stray=1e-3,
    ),
)
