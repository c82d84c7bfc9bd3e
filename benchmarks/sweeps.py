"""Run time with defaults, against tvboptim and hand-written flat code at their best batch sizes.

Each sweep runs on one device first, as hand-written code does, and then on all devices, which
tvboptim can use too. It is also compared with gridax's own best tile size chosen by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import gridax as gx

from . import opponent, workloads
from .brain import brain
from .measure import Row, duration, medians, timed
from .workloads import Workload


def rows(quick: bool) -> Iterator[Row]:
    for workload in suite(quick):
        yield from compare(workload, quick)
    yield from small(workloads.trivial(2 if quick else 5), quick)
    yield loop(100 if quick else 20_000)


def suite(quick: bool) -> list[Workload]:
    if quick:
        found = [
            workloads.noisy_network(3, 5, 8),
            workloads.coupled_network(4, 5, 8),
            workloads.formula(8),
            workloads.connectomes(2, 3, 5, 8),
        ]
    else:
        found = [
            workloads.noisy_network(16, 200),
            workloads.coupled_network(100, 200),
            workloads.formula(1000),
            workloads.connectomes(20, 50, 200),
        ]
    if not opponent.MISSING:  # tvboptim provides the brain model and requires diffrax
        n, steps = (3, 10) if quick else (16, 1000)
        found = [whole_brain(n, steps), *found, workloads.stiff(4 if quick else 32)]
    return found


def whole_brain(n: int, steps: int) -> Workload:
    simulate, config = brain(steps)

    def model(state: dict[str, Any]) -> Any:
        mine = config.copy()
        mine.coupling.instant.G, mine.noise.key = state["G"], state["key"]
        return simulate(mine)["S"]

    axes = {
        "G": np.linspace(0.0, 0.5, n, dtype=np.float32),
        "key": jax.random.split(jax.random.key(0), n),
    }
    # A thousand float32 steps, some near a bifurcation, amplify differences in the last digit.
    return Workload(f"whole brain, {n} × {n}", model, axes, (2.0, 2.0), 1e-3, 1e-4)


def compare(workload: Workload, quick: bool) -> Iterator[Row]:
    """Yield a row per competitor at its best, after checking that all results agree."""
    batches: tuple[int, ...] = (2,) if quick else (8, 32, 128, 512)
    mine = {"gridax": gridax_call(workload, n_pmap=1)}
    if jax.local_device_count() > 1:
        mine["gridax, all devices"] = gridax_call(workload)
    n = workload.n_points
    tiles = {
        f"n_vmap={width}": gridax_call(workload, n_pmap=1, n_vmap=width)
        # One point at a time is too slow for large grids of cheap models.
        for width in sorted({*batches, 2048, n} | ({1} if n <= 2048 else set()))
        if width <= n
    }
    flat = flat_calls(workload, batches)
    theirs, failed = peer_calls(workload, batches, n_pmap=1)
    theirs_too, _ = peer_calls(workload, batches, n_pmap=jax.local_device_count())
    calls = mine | tiles | flat | theirs | theirs_too
    expected = mine["gridax"]()
    for call in calls.values():
        # tvboptim repeats points if there are too few for its devices.
        found = np.asarray(call()).reshape(-1)[: expected.size].reshape(expected.shape)
        np.testing.assert_allclose(found, expected, workload.rtol, workload.atol)
    seconds = medians(2 if quick else 7, **calls)
    peer_goal, flat_goal = workload.wanted
    one, name = seconds["gridax"], workload.name
    yield row(name, one, seconds, theirs, peer_goal, opponent.NAME, failed)
    yield row("…", one, seconds, flat, flat_goal, "flat by hand", "")
    yield row("…", one, seconds, tiles, 0.8, "gridax", "", goal_text="default > 0.8")
    if "gridax, all devices" in seconds:
        both = seconds["gridax, all devices"]
        name = f"… on {jax.local_device_count()} devices"
        every = theirs | theirs_too
        yield row(name, both, seconds, every, peer_goal, opponent.NAME, failed)
        yield row("…", both, seconds, flat, flat_goal, "flat by hand (one device)", "")
        wanted = 1.6 if one > 0.05 else None  # milliseconds do not pay for two devices
        yield row("…", both, seconds, {"gridax": mine["gridax"]}, wanted, "one device", "")


def gridax_call(workload: Workload, **options: Any) -> Callable[[], np.ndarray]:
    """Return a function that runs the sweep and creates the labeled Dataset."""
    executor = gx.ParallelExecution(workload.model, workload.space(), **options)

    def call() -> np.ndarray:
        (values,) = executor.run(progress=False).dataset.data_vars.values()
        return values.values

    return call


def small(workload: Workload, quick: bool) -> Iterator[Row]:
    """Yield the run time of a sweep without labels, as in tvboptim, and with them."""
    executor = gx.ParallelExecution(workload.model, workload.space())
    calls = {
        "run": lambda: executor.run(progress=False),
        "labeled": lambda: executor.run(progress=False).dataset,
    }
    theirs, failed = peer_calls(workload, (8, 32), n_pmap=1)
    seconds = medians(3 if quick else 300, **calls, **theirs)
    for what, name in ("run", workload.name), ("labeled", "… including the labeled Dataset"):
        yield row(name, seconds[what], seconds, theirs, 1.0, opponent.NAME, failed)


def loop(n: int) -> Row:
    """Return the time that a Python loop takes per point of a trivial model."""
    space = gx.Space({"x": gx.DataAxis(np.arange(n))})
    executor = gx.SequentialExecution(lambda state: state["x"] * 2.0, space)
    seconds = medians(5, gridax=lambda: executor.run(progress=False))["gridax"]
    return timed(f"Python loop over {n:,} points, per point", seconds / n, below=10e-6)


def row(
    name: str,
    mine: float,
    seconds: dict[str, float],
    calls: dict[str, Callable[[], Any]],
    goal: float | None,
    whom: str,
    failed: str,
    goal_text: str | None = None,
) -> Row:
    if not calls:
        return Row(name, duration(mine), opponent=f"{whom}: {failed}")
    best = min(calls, key=seconds.__getitem__)
    ratio = seconds[best] / mine
    text = f"{whom}, {best}: {duration(seconds[best])}"
    if goal is None:
        return Row(name, duration(mine), opponent=text, ratio=ratio)
    return Row(name, duration(mine), goal_text or f"ratio > {goal}", ratio >= goal, text, ratio)


def flat_calls(workload: Workload, batches: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return hand-written code over stacked points: lax.map in batches, and a single vmap."""
    points = workload.flat()
    n = len(next(iter(points.values())))
    calls: dict[str, Callable[[], Any]] = {}
    for batch in batches:
        if batch < n:
            mapped = jax.jit(partial(jax.lax.map, workload.model, batch_size=batch))
            calls[f"lax.map {batch}"] = partial(_host, mapped, points)
    calls["vmap"] = partial(_host, jax.jit(jax.vmap(workload.model)), points)
    return calls


def _host(function: Callable[[Any], Any], points: Any) -> np.ndarray:
    return np.asarray(function(points))


def peer_calls(
    workload: Workload, batches: tuple[int, ...], n_pmap: int
) -> tuple[dict[str, Callable[[], Any]], str]:
    """Return tvboptim's executor at several batch sizes, or the reason why it cannot run."""
    if opponent.MISSING:
        return {}, opponent.MISSING
    calls = {}
    try:
        for options in [{}, *({"n_vmap": batch} for batch in batches)]:
            executor = opponent.execution.ParallelExecution(
                workload.model, workload.space(opponent.spaces), n_pmap=n_pmap, **options
            )
            executor.run()
            name = ", ".join(f"{k}={v}" for k, v in options.items()) or "default"
            name += f", {n_pmap} devices" if n_pmap > 1 else ""
            calls[f"their {name}"] = partial(lambda run: np.asarray(run().results), executor.run)
    except Exception as error:
        return {}, f"fails: {type(error).__name__}: {str(error).splitlines()[0][:60]}"
    return calls, ""
