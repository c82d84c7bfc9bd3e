"""Run time with defaults, against tvboptim and hand-written flat code, each at its best batch.

Everything runs on one device here, as hand-written code does; `devices` adds what two bring.
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
from .measure import Row, duration, medians
from .workloads import Workload


def rows(quick: bool) -> Iterator[Row]:
    for workload in suite(quick):
        yield from compare(workload, quick)


def suite(quick: bool) -> list[Workload]:
    if quick:
        found = [
            workloads.noisy_network(3, 5, 8),
            workloads.coupled_network(4, 5, 8),
            workloads.formula(8),
            workloads.trivial(2),
            workloads.connectomes(2, 3, 5, 8),
        ]
    else:
        found = [
            workloads.noisy_network(16, 200),
            workloads.coupled_network(100, 200),
            workloads.formula(1000),
            workloads.trivial(5),
            workloads.connectomes(20, 50, 200),
        ]
    if not opponent.MISSING:  # which ships the brain's model, and needs diffrax
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
    # A thousand steps in float32, some of them near a bifurcation, amplify the last digit.
    return Workload(f"whole brain, {n} × {n}", model, axes, (2.0, 2.0), 1e-3, 1e-4)


def compare(workload: Workload, quick: bool) -> Iterator[Row]:
    """Yield a row per opponent at its best, after checking that all results agree."""
    batches: tuple[int, ...] = (2,) if quick else (8, 32, 128, 512)
    ours = gx.ParallelExecution(workload.model, workload.space(), n_pmap=1)
    calls = {
        "gridax": lambda: next(iter(ours.run(progress=False).dataset.data_vars.values())).values
    }
    flat = flat_calls(workload, batches)
    theirs, failed = peer_calls(workload, batches)
    calls |= flat | theirs
    expected = calls["gridax"]()
    for call in calls.values():
        np.testing.assert_allclose(
            np.asarray(call()).reshape(expected.shape), expected, workload.rtol, workload.atol
        )
    seconds = medians(2 if quick else 5, **calls)
    peer_goal, flat_goal = workload.wanted
    yield row(workload.name, seconds, theirs, peer_goal, opponent.NAME, failed)
    yield row(workload.name, seconds, flat, flat_goal, "flat by hand", "")


def row(
    name: str,
    seconds: dict[str, float],
    calls: dict[str, Callable[[], Any]],
    goal: float | None,
    whom: str,
    failed: str,
) -> Row:
    mine = seconds["gridax"]
    if not calls:
        return Row(name, duration(mine), opponent=f"{whom}: {failed}")
    best = min(calls, key=seconds.__getitem__)
    ratio = seconds[best] / mine
    text = f"{whom}, {best}: {duration(seconds[best])}"
    if goal is None:
        return Row(name, duration(mine), opponent=text, ratio=ratio)
    return Row(name, duration(mine), f"ratio > {goal}", ratio >= goal, text, ratio)


def flat_calls(workload: Workload, batches: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Return hand-written code over stacked points: lax.map in batches, and one vmap of all."""
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
    workload: Workload, batches: tuple[int, ...]
) -> tuple[dict[str, Callable[[], Any]], str]:
    """Return tvboptim's executor at several batches and its default, or why it cannot run."""
    if opponent.MISSING:
        return {}, opponent.MISSING
    calls = {}
    try:
        for options in [{}, *({"n_vmap": batch} for batch in batches)]:
            executor = opponent.execution.ParallelExecution(
                workload.model, workload.space(opponent.spaces), **options
            )
            executor.run()
            name = ", ".join(f"{k}={v}" for k, v in options.items()) or "default"
            calls[name] = partial(lambda run: np.asarray(run().results), executor.run)
    except Exception as error:
        return {}, f"fails: {type(error).__name__}: {str(error).splitlines()[0][:60]}"
    return calls, ""
