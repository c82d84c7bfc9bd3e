"""Neurons, networks of neurons, and populations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from .case import Case, sides

State = dict[str, Any]


def _network(n: int) -> np.ndarray:
    """Return a random directed network whose rows sum to one."""
    weights = np.random.default_rng(0).gamma(0.5, 1.0, (n, n)).astype(np.float32)
    return weights / weights.sum(axis=1, keepdims=True)


def hodgkin_huxley(state: State) -> State:
    """Hodgkin and Huxley (1952), 10 ms of a squid axon: four numbers per step."""

    def step(carry: Any, _: None) -> Any:
        v, m, h, n = carry
        m_opens = 0.1 * (v + 40) / (1 - jnp.exp(-(v + 40) / 10))
        m_closes = 4 * jnp.exp(-(v + 65) / 18)
        h_opens = 0.07 * jnp.exp(-(v + 65) / 20)
        h_closes = 1 / (1 + jnp.exp(-(v + 35) / 10))
        n_opens = 0.01 * (v + 55) / (1 - jnp.exp(-(v + 55) / 10))
        n_closes = 0.125 * jnp.exp(-(v + 65) / 80)
        sodium = state["g_Na"] * m**3 * h * (v - 50)
        current = state["I"] - sodium - 36 * n**4 * (v + 77) - 0.3 * (v + 54.4)
        m = m + 0.02 * (m_opens * (1 - m) - m_closes * m)
        h = h + 0.02 * (h_opens * (1 - h) - h_closes * h)
        n = n + 0.02 * (n_opens * (1 - n) - n_closes * n)
        return (v + 0.02 * current, m, h, n), v

    start = tuple(jnp.float32(x) for x in (-65.0, 0.05, 0.6, 0.32))
    (last, *_), v = jax.lax.scan(step, start, length=500)
    return {"peak": v.max(), "last": last}


def hodgkin_huxley_state(n: int) -> State:
    currents, conductances = sides(n, 1, 1)
    return {"I": gx.GridAxis(0, 20, currents), "g_Na": gx.GridAxis(100, 140, conductances)}


def wilson_cowan(state: State) -> Any:
    """Excitatory and inhibitory activity of 60 regions, coupled by a fixed connectome."""

    def step(carry: Any, _: None) -> Any:
        e, i = carry
        drive = 12 * e - 10 * i + state["coupling"] * (state["weights"] @ e) + state["drive"]
        e, i = (
            e + 0.1 * (jax.nn.sigmoid(drive - 3) - e),
            i + 0.05 * (jax.nn.sigmoid(9 * e - 3 * i - 4) - i),
        )
        return (e, i), None

    start = jnp.full(60, 0.1), jnp.full(60, 0.1)
    return jax.lax.scan(step, start, length=200)[0][0]


def wilson_cowan_state(n: int) -> State:
    couplings, drives = sides(n, 1, 1)
    return {
        "weights": jnp.asarray(_network(60)),
        "coupling": gx.GridAxis(0, 5, couplings),
        "drive": gx.GridAxis(-1, 2, drives),
    }


def kuramoto(state: State) -> Any:
    """Phase oscillators on a network; their frequencies depend on the trial alone."""
    weights = _network(30)
    frequencies = jax.random.normal(state["trial"], (30,))

    def step(phase: Any, _: None) -> Any:
        sin, cos = jnp.sin(phase), jnp.cos(phase)
        pull = cos * (weights @ sin) - sin * (weights @ cos)
        return phase + 0.05 * (frequencies + state["coupling"] * pull), None

    phase, _ = jax.lax.scan(step, jnp.linspace(0, 6, 30), length=100)
    return jnp.hypot(jnp.cos(phase).mean(), jnp.sin(phase).mean())


def kuramoto_state(n: int) -> State:
    trials, couplings = sides(n, 1, 1)
    return {"trial": gx.KeyAxis(trials), "coupling": gx.GridAxis(0, 4, couplings)}


def echo_state(state: State) -> Any:
    """Memory of a reservoir of 64 leaky units for its previous input."""
    weights = np.random.default_rng(1).normal(0, 64**-0.5, (64, 64)).astype(np.float32)
    inputs = np.random.default_rng(2).uniform(-1, 1, 200).astype(np.float32)
    entry = np.linspace(-1, 1, 64, dtype=np.float32)

    def step(x: Any, u: Any) -> Any:
        x = x + state["leak"] * (
            jnp.tanh(state["radius"] * (weights @ x) + state["gain"] * u * entry) - x
        )
        return x, x.mean()

    _, mean = jax.lax.scan(step, jnp.zeros(64), inputs)
    return jnp.corrcoef(mean[1:], inputs[:-1])[0, 1]


def echo_state_state(n: int) -> State:
    radii, leaks, gains = sides(n, 1, 1, 1)
    return {
        "radius": gx.GridAxis(0.2, 1.0, radii),
        "leak": gx.GridAxis(0.1, 1.0, leaks),
        "gain": gx.LogGridAxis(0.1, 2.0, gains),
    }


def sir(state: State) -> State:
    """An epidemic (Kermack and McKendrick, 1927): a time series and two numbers."""

    def day(carry: Any, _: None) -> Any:
        s, i = carry
        caught, recovered = state["beta"] * s * i, state["gamma"] * i
        return (s - caught, i + caught - recovered), i

    (s, _), infected = jax.lax.scan(day, (jnp.float32(0.99), jnp.float32(0.01)), length=160)
    return {"infected": infected[::8], "peak_day": infected.argmax(), "spared": s}


def sir_state(n: int) -> State:
    betas, gammas = sides(n, 1, 1)
    return {"beta": gx.GridAxis(0.1, 0.8, betas), "gamma": gx.GridAxis(0.05, 0.3, gammas)}


def lotka_volterra(state: State) -> State:
    """Predators and prey, integrated by the classical Runge–Kutta method."""

    def rate(x: Any) -> Any:
        prey, predators = x
        return jnp.stack(
            [
                prey * (state["birth"] - state["hunt"] * predators),
                predators * (state["growth"] * prey - 0.5),
            ]
        )

    def step(x: Any, _: None) -> Any:
        a = rate(x)
        b = rate(x + 0.01 * a)
        c = rate(x + 0.01 * b)
        d = rate(x + 0.02 * c)
        return x + 0.02 / 6 * (a + 2 * b + 2 * c + d), x[0]

    x, prey = jax.lax.scan(step, jnp.ones(2), length=500)
    return {"end": x, "most_prey": prey.max()}


def lotka_volterra_state(n: int) -> State:
    births, hunts, growths = sides(n, 1, 1, 1)
    return {
        "birth": gx.GridAxis(0.4, 1.2, births),
        "hunt": gx.GridAxis(0.3, 1.0, hunts),
        "growth": gx.GridAxis(0.3, 1.0, growths),
    }


def gillespie(state: State) -> State:
    """Births and deaths, one random event after the other (Gillespie, 1977), until t = 5."""

    def event(carry: Any) -> Any:
        t, count, turn = carry
        wait, choice = jax.random.uniform(jax.random.fold_in(state["trial"], turn), (2,))
        total = state["birth"] + state["death"] * count
        change = jnp.where(choice * total < state["birth"], 1, -1)
        return t - jnp.log1p(-wait) / total, count + change, turn + 1

    start = jnp.float32(0), jnp.int32(0), jnp.int32(0)
    _, count, turns = jax.lax.while_loop(lambda carry: carry[0] < 5, event, start)
    return {"count": count, "events": turns}


def gillespie_state(n: int) -> State:
    births, deaths, trials = sides(n, 1, 1, 1)
    return {
        "birth": gx.LogGridAxis(1, 20, births),
        "death": gx.GridAxis(0.1, 1.0, deaths),
        "trial": gx.KeyAxis(trials),
    }


CASES = (
    Case(
        "Hodgkin–Huxley neuron",
        "neuroscience",
        hodgkin_huxley,
        hodgkin_huxley_state,
        131_072,
        atol=0.1,
        stray=1e-3,
    ),
    Case("Wilson–Cowan network", "neuroscience", wilson_cowan, wilson_cowan_state, 16_384),
    Case(
        "Kuramoto network", "neuroscience", kuramoto, kuramoto_state, 12_100, atol=1e-2, stray=1e-3
    ),
    Case("echo state network", "neuroscience", echo_state, echo_state_state, 19_683),
    Case("SIR epidemic", "epidemiology", sir, sir_state, 1_000_000, stray=1e-3),
    Case("Lotka–Volterra, RK4", "ecology", lotka_volterra, lotka_volterra_state, 729_000),
    Case(
        "Gillespie, births and deaths", "chemistry", gillespie, gillespie_state, 262_144, stray=1e-2
    ),
)
