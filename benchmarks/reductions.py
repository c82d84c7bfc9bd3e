"""Reductions while a sweep runs, the same written by hand in the model, and reducing afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax

import gridax as gx

from .measure import Row, duration, medians

BY_HAND: dict[str, Callable[[Any], Any]] = {
    "mean": lambda x: x.mean(0),
    "std": lambda x: x.std(0),
    "var": lambda x: x.var(0),
    "min": lambda x: x.min(0),
    "max": lambda x: x.max(0),
}


def unit(state: Any) -> Any:
    """Simulate a bistable unit with noise; return its time series."""
    noise = 0.1 * jax.random.normal(state["key"], (state["steps"],))

    def step(x: Any, kick: Any) -> Any:
        x = x + 0.01 * (jnp.tanh(state["G"] * x) - x) + kick
        return x, x

    return lax.scan(step, jnp.float32(0.1), noise)[1]


def network(state: Any) -> Any:
    """Simulate a network of 40 rate units with noise; return the mean over units and time."""
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(40, 40)) / 6.3, jnp.float32)
    noise = 0.1 * jax.random.normal(state["key"], (state["steps"], 40))

    def step(x: Any, kick: Any) -> Any:
        x = 0.9 * x + 0.1 * jnp.tanh(state["G"] * (weights @ x)) + kick
        return x, x.mean()

    return lax.scan(step, jnp.zeros(40), noise)[1]


def estimate(state: Any) -> Any:
    """Return a single number that costs little: the mean of a few draws."""
    return (state["G"] + jax.random.normal(state["key"], (state["steps"],))).mean()


def spikes(state: Any) -> Any:
    """Simulate a leaky integrate-and-fire neuron; return how often it fires."""
    noise = jax.random.normal(state["key"], (state["steps"],))

    def step(c: Any, kick: Any) -> Any:
        v, n = c
        v = v + 0.1 * (state["G"] - v) + 0.3 * kick
        fires = v > 1
        return (jnp.where(fires, 0.0, v), n + fires), None

    return lax.scan(step, (jnp.float32(0), jnp.int32(0)), noise)[0][1]


CASES = [
    ("unit, 1000 steps", unit, 16, 1000, 1000, ["mean", "var", "min", "max"]),
    ("unit, 1000 steps, mean only", unit, 16, 1000, 1000, ["mean"]),
    ("network of 40, 300 steps", network, 8, 400, 300, ["mean", "std"]),
    ("spike counts, 1000 steps", spikes, 32, 2000, 1000, ["mean", "std"]),
    ("a number, 20 draws", estimate, 64, 4096, 20, ["mean", "std", "min", "max"]),
]


def rows(quick: bool) -> Iterator[Row]:
    for name, model, n_G, n_trials, steps, methods in CASES:
        if quick:
            n_G, n_trials, steps = 3, 10, 20
        yield from _compared(name, model, n_G, n_trials, steps, methods, quick)


def _compared(
    name: str,
    model: Callable[[Any], Any],
    n_G: int,
    n_trials: int,
    steps: int,
    methods: list[str],
    quick: bool,
) -> Iterator[Row]:
    grid = gx.GridAxis(0.1, 2, n_G)
    trials = gx.KeyAxis(n_trials, name="trial")
    space = gx.Space({"G": grid, "key": trials, "steps": steps}, mode="product")
    keys = jax.random.wrap_key_data(jnp.asarray(space.dataset["trial_value"].values))

    def in_the_model(state: Any) -> Any:
        outputs = jax.vmap(lambda key: model({"G": state["G"], "key": key, "steps": steps}))(keys)
        return {method: BY_HAND[method](outputs) for method in methods}

    sweep = gx.ParallelExecution(model, space, n_pmap=1)
    alone = gx.Space({"G": gx.GridAxis(0.1, 2, n_G)}, mode="product")
    by_hand = gx.ParallelExecution(in_the_model, alone, n_pmap=1)
    request = {"trial": methods}
    found = sweep.run(reduce=request, progress=False).dataset
    for method, wanted in by_hand.run(progress=False).dataset.items():
        got = found[f"value.{method}"]
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)

    def afterwards(dataset: xr.Dataset) -> list[xr.DataArray]:
        output = dataset["value"]
        return [getattr(output, method)("trial").compute() for method in methods]

    with tempfile.TemporaryDirectory() as folder:
        reduced, whole = Path(folder) / "reduced.zarr", Path(folder) / "whole.zarr"

        def stored(path: Path, **options: Any) -> xr.Dataset:
            result = sweep.run(store=path, overwrite=True, progress=False, **options)
            return result.dataset.load() if options else result.dataset

        def while_it_runs() -> xr.Dataset:
            return sweep.run(reduce=request, progress=False).dataset

        repeats = 1 if quick else 7
        pair = medians(
            3 * repeats,
            gridax=while_it_runs,
            model=lambda: by_hand.run(progress=False).dataset,
        )
        # In a group of their own, as what they leave in caches would slow down short sweeps.
        seconds = medians(
            repeats,
            gridax=while_it_runs,
            memory=lambda: afterwards(sweep.run(progress=False).dataset),
            store=lambda: stored(reduced, reduce=request),
            stored=lambda: afterwards(stored(whole)),
        )
        sizes = [sum(f.stat().st_size for f in path.rglob("*")) for path in (reduced, whole)]
    what = f"{name}, {n_G} × {n_trials} trials"
    ratio = pair["model"] / pair["gridax"]
    theirs = f"in the model {duration(pair['model'])}"
    yield Row(what, duration(pair["gridax"]), "ratio > 0.91", ratio > 0.91, theirs, ratio)
    mine = seconds["gridax"]
    theirs = f"run, then reduce {duration(seconds['memory'])}"
    yield Row("  in memory", duration(mine), "", None, theirs, seconds["memory"] / mine)
    ratio = seconds["stored"] / seconds["store"]
    theirs = (
        f"store, then reduce {duration(seconds['stored'])}, {sizes[1] / sizes[0]:.0f} × the bytes"
    )
    text = f"{duration(seconds['store'])}, {sizes[0] / 1e6:.2g} MB"
    goal = ("ratio > 2", ratio > 2) if sizes[1] > 1e7 else ("", None)  # elsewhere, little is stored
    yield Row("  in a store", text, *goal, theirs, ratio)
