"""Chains, and the same written by hand: a scan along the chain inside a vmap over the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gridax as gx

from .measure import Row, medians, timed


def unit(state: Any) -> Any:
    """Relax a bistable unit for some time; return where it ends."""

    def step(x: Any, _: Any) -> Any:
        return x + 0.05 * (state["r"] + state["gain"] * x - x**3), None

    return {"x": lax.scan(step, state["x"], None, length=state["steps"])[0]}


def network(state: Any) -> Any:
    """Relax a network of 40 bistable units; return where it ends, and its mean."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(40, 40)) / 40, jnp.float32)

    def step(x: Any, _: Any) -> Any:
        drive = state["r"] + state["gain"] * (weights @ x)
        return x + 0.05 * (drive + x - x**3), None

    x = lax.scan(step, state["x"], None, length=state["steps"])[0]
    return {"x": x, "mean": x.mean()}


def noisy(state: Any) -> Any:
    """Relax a bistable unit with noise that is the same at each label; return its time series."""
    noise = 0.02 * jax.random.normal(jax.random.key(state["gain"].astype(int)), (state["steps"],))

    def step(x: Any, kick: Any) -> Any:
        x = x + 0.05 * (state["r"] + x - x**3) + kick
        return x, x

    x, series = lax.scan(step, state["x"], noise)
    return {"x": x, "series": series}


MODELS: dict[str, tuple[Callable[[Any], Any], Any, int]] = {
    "unit": (unit, jnp.float32(-1.0), 2000),
    "network": (network, -jnp.ones(40), 40),
    "noise, time series": (noisy, jnp.float32(-1.0), 500),
}


def rows(quick: bool) -> Iterator[Row]:
    """Yield the times of 100 labels × 200 other points."""
    n_labels, n_others, repeats = (10, 8, 1) if quick else (100, 200, 15)
    for name, (model, start, steps) in MODELS.items():
        drives = gx.GridAxis(-1.0, 1.0, n_labels)
        gains = gx.DataAxis(np.linspace(0.5, 1.5, n_others))
        state = {"r": drives, "gain": gains, "steps": steps, "x": gx.Carried(start, "x", along="r")}
        executor = gx.ParallelExecution(model, gx.Space(state, mode="product"), n_pmap=1)
        by_hand = _by_hand(model, start, steps)
        r = jnp.linspace(-1.0, 1.0, n_labels)
        gain = jnp.linspace(0.5, 1.5, n_others)

        def sweep(executor: Any = executor) -> Any:
            return executor.run(progress=False).dataset

        def scanned(by_hand: Any = by_hand, r: Any = r, gain: Any = gain) -> Any:
            return {key: np.asarray(value) for key, value in by_hand(r, gain).items()}

        mine, theirs = sweep(), scanned()
        for key, value in theirs.items():
            close = np.isclose(mine[key].values, value, rtol=2e-3, atol=2e-3).mean()
            # Rounding decides how far a unit has come that is falling from one branch to the other.
            if close < 0.999:
                raise AssertionError(f"{name}: {1 - close:.1%} of {key!r} differ")
        seconds = medians(repeats, gridax=sweep, hand=scanned)
        goal = None if quick else 1.05 * seconds["hand"]
        opponent = ("by hand", seconds["hand"])
        yield timed(
            f"{name}: {n_labels} labels × {n_others}",
            seconds["gridax"],
            below=goal,
            opponent=opponent,
        )


def _by_hand(model: Callable[[Any], Any], start: Any, steps: int) -> Callable[..., Any]:
    """Return a function of labels and other values that returns outputs by label first."""

    def chain(gain: Any, labels: Any) -> Any:
        def along(x: Any, r: Any) -> Any:
            out = model({"r": r, "gain": gain, "steps": steps, "x": x})
            return out["x"], out

        return lax.scan(along, start, labels)[1]

    return jax.jit(lambda r, gain: jax.vmap(chain, in_axes=(0, None), out_axes=1)(gain, r))
