"""Loops that end at different iterations: gridax with its defaults, and code written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gridax as gx

from .measure import Row, duration, medians


def neuron(state: Any) -> dict[str, Any]:
    """Simulate a FitzHugh–Nagumo neuron for a number of steps."""

    def step(c: Any) -> Any:
        k, v, w = c
        dv, dw = v - v**3 / 3 - w + 0.5, 0.08 * (v + 0.7 - 0.8 * w)
        return k + 1, v + 0.05 * dv, w + 0.05 * dw

    k, v, w = lax.while_loop(lambda c: c[0] < state["n"], step, (0, -1.0, 1.0))
    return {"k": k, "v": v, "w": w}


def pendulum(state: Any) -> dict[str, Any]:
    """Simulate a damped pendulum for a number of steps."""

    def step(c: Any) -> Any:
        k, x, v = c
        return k + 1, x + 0.01 * v, v - 0.01 * (jnp.sin(x) + 0.1 * v)

    k, x, v = lax.while_loop(lambda c: c[0] < state["n"], step, (0, 1.0, 0.0))
    return {"k": k, "x": x, "v": v}


def network(state: Any) -> dict[str, Any]:
    """Relax a network of 30 rate units for a number of steps."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(30, 30)) / 5.5, jnp.float32)

    def step(c: Any) -> Any:
        return c[0] + 1, 0.9 * c[1] + 0.1 * jnp.tanh(weights @ c[1])

    k, x = lax.while_loop(lambda c: c[0] < state["n"], step, (0, jnp.ones(30)))
    return {"k": k, "x": x.sum()}


def kepler(state: Any) -> dict[str, Any]:
    """Solve Kepler's equation by Newton's method, which takes a few iterations."""

    def step(c: Any) -> Any:
        k, x, _ = c
        change = (x - 0.8 * jnp.sin(x) - state["n"]) / (1.0 - 0.8 * jnp.cos(x))
        return k + 1, x - change, change

    start = (0, state["n"] + 0.1, jnp.ones(()))
    k, x, _ = lax.while_loop(lambda c: (abs(c[2]) > 1e-5) & (c[0] < 50), step, start)
    return {"k": k, "x": x}


def van_der_pol(state: Any) -> dict[str, Any]:
    """Solve the van der Pol equation with adaptive steps."""

    def field(t: Any, y: Any, mu: Any) -> Any:
        return y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=20.0,
        dt0=0.01,
        y0=(2.0, 0.0),
        args=state["n"],
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-5),
        max_steps=100_000,
    )
    return {"x": solution.ys[0][0], "k": solution.stats["num_steps"]}


def cases(quick: bool) -> Iterator[tuple[str, Callable[..., Any], np.ndarray]]:
    rng = np.random.default_rng(0)
    n = 40 if quick else 4096
    uneven = np.minimum(rng.lognormal(np.log(300), 1.05, n), 15_000).astype(np.int32)
    even, giant = np.full(n, 500, np.int32), np.full(n // 2, 50, np.int32)
    giant[n // 3] = 50 if quick else 200_000
    damping = np.linspace(0.1, 60, n // 4, dtype=np.float32)
    yield "FitzHugh–Nagumo, uneven", neuron, uneven
    yield "pendulum, uneven", pendulum, uneven
    yield "network, uneven", network, uneven[: n // 4]
    yield "FitzHugh–Nagumo, one giant in 2048", neuron, giant
    yield "network, one giant in 2048", network, np.minimum(giant, 20_000)
    yield "diffrax, van der Pol, by stiffness", van_der_pol, damping
    yield "diffrax, van der Pol, in random order", van_der_pol, rng.permutation(damping)
    yield "pendulum, even", pendulum, even
    yield "network, even", network, even[: n // 4]
    yield "Kepler's equation", kepler, np.linspace(0, 3, n, dtype=np.float32)


def rows(quick: bool) -> Iterator[Row]:
    for name, model, values in cases(quick):
        executor = gx.ParallelExecution(model, gx.Space({"n": gx.DataAxis(values)}), n_pmap=1)
        by_hand = {
            "vmap": jax.jit(jax.vmap(lambda n, model=model: model({"n": n}))),
            "lax.map": jax.jit(lambda x, model=model: lax.map(lambda n: model({"n": n}), x)),
        }
        x = jnp.asarray(values)
        expected = jax.device_get(by_hand["lax.map"](x))
        for _ in range(3):  # a repeated sweep tries lanes
            result = executor.run(progress=False)
        for output, value in zip(result.dataset.data_vars.values(), expected.values(), strict=True):
            np.testing.assert_allclose(output, value, rtol=1e-3, atol=1e-3)
        calls = {key: lambda f=f, x=x: jax.block_until_ready(f(x)) for key, f in by_hand.items()}
        calls["gridax"] = lambda executor=executor: executor.run(progress=False)
        if executor.plan().lanes:
            calls["plain tiles"] = lambda run=executor.run: run(progress=False, lanes=False)
        seconds = medians(1 if quick else 7, **calls)
        mine = seconds.pop("gridax")
        times = ", ".join(f"{key} {duration(each)}" for key, each in seconds.items())
        ratio = min(seconds.values()) / mine
        text = f"{duration(mine)}, {executor.plan().lanes} lanes"
        yield Row(f"{name}, {len(x)} points", text, "ratio > 0.95", ratio > 0.95, times, ratio)
