"""Long simulations at few points, as in a first look at a model, against `jax.vmap`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jax import lax

import gridax as gx

from .measure import Row
from .networks import State, compared

N_STEPS = 20_000
SIDES = ((3, 3), (4, 5), (7, 7))
WIDTHS = (1, 8)


def hodgkin_huxley(state: State) -> Any:
    """The neuron of Hodgkin and Huxley (1952)."""

    def step(carry: Any, _: None) -> Any:
        v, m, h, n = carry
        a_m, b_m = (2.5 - 0.1 * v) / (jnp.exp(2.5 - 0.1 * v) - 1), 4 * jnp.exp(-v / 18)
        a_h, b_h = 0.07 * jnp.exp(-v / 20), 1 / (jnp.exp(3 - 0.1 * v) + 1)
        a_n, b_n = (0.1 - 0.01 * v) / (jnp.exp(1 - 0.1 * v) - 1), 0.125 * jnp.exp(-v / 80)
        sodium = (100 + 40 * state["b"]) * m**3 * h * (v - 115)
        dv = 20 * state["a"] - sodium - 36 * n**4 * (v + 12) - 0.3 * (v - 10.6)
        rates = a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n
        m, h, n = (x + 0.01 * dx for x, dx in zip((m, h, n), rates, strict=True))
        return (v + 0.01 * dv, m, h, n), v

    return lax.scan(step, (0.03, 0.05, 0.6, 0.32), length=N_STEPS)[1][::1000]


def fitzhugh_nagumo(state: State) -> Any:
    """A neuron of two variables (FitzHugh, 1961)."""

    def step(_: Any, carry: Any) -> Any:
        v, w, most = carry
        v_next = v + 0.02 * (v - v**3 / 3 - w + state["a"])
        return v_next, w + 0.0016 * (v + 0.7 - state["b"] * w), jnp.maximum(most, v_next)

    return lax.fori_loop(0, N_STEPS, step, (0.1, 0.0, -9.0))[2]


def integrate_and_fire(state: State) -> Any:
    """A leaky neuron that rests after each spike; returns the number of spikes."""

    def step(carry: Any, _: None) -> Any:
        v, resting, n = carry
        fires = v > 1
        v = jnp.where(fires | (resting > 0), 0.0, v + 0.01 * (1 + 2 * state["a"] - v))
        resting = jnp.where(fires, 10 + 50 * state["b"], jnp.maximum(resting - 1, 0.0))
        return (v, resting, n + fires), None

    return lax.scan(step, (0.0, 0.0, 0), length=N_STEPS)[0][2]


def predators(state: State) -> Any:
    """Predators and their prey (Lotka and Volterra)."""

    def step(carry: Any, _: None) -> Any:
        x, y = carry
        x = x + 0.002 * x * (state["a"] - y)
        return (x, y + 0.002 * y * (x - state["b"])), x

    return lax.scan(step, (1.0, 1.0), length=N_STEPS)[1].mean()


MODELS = (hodgkin_huxley, fitzhugh_nagumo, integrate_and_fire, predators)


def rows(quick: bool) -> Iterator[Row]:
    for n, m in SIDES[:1] if quick else SIDES:
        state = {"a": gx.GridAxis(0.3, 1, n), "b": gx.GridAxis(0.1, 0.9, m)}
        space = gx.Space(state, mode="product")
        yield from compared(MODELS, space, WIDTHS, 1 if quick else 15)
