"""How well times are estimated and budgets kept, and how well new points are placed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import LinearNDInterpolator

import gridax as gx
from gridax._refine.proposals import proposed
from gridax._refine.ticks import Ticks

from .measure import Row


def even(state: Any) -> Any:
    """Simulate eight units for as many steps at every point."""

    def step(x: Any, _: Any) -> Any:
        return x + 0.01 * (jnp.sin(x) * state["a"] - x * state["b"]), x.mean()

    return jax.lax.scan(step, jnp.ones(8), None, length=2000)[1].mean()


def uneven(state: Any) -> Any:
    """Repeat an operation for as long as a parameter says."""
    n = (state["a"] ** 3 * 40_000).astype(int)
    return jax.lax.fori_loop(0, n, lambda i, x: jnp.sin(x) + state["b"], 0.5)


def python(state: Any) -> Any:
    """Take the time of a small simulator."""
    x = np.ones(1000)
    for _ in range(20):
        x = np.sin(x) * state["a"] + state["b"]
    return x.mean()


def ring(x: Any, y: Any, width: float = 0.2) -> Any:
    """Return a ridge along a circle."""
    return np.exp(-((x**2 + y**2 - 0.75**2) ** 2) / width**4)


def rows(quick: bool) -> Iterator[Row]:
    """Yield estimates, budgets, and errors of interpolation."""
    yield from _estimates(quick)
    yield from _budget(quick)
    yield from _refined(quick)
    yield _proposals(quick)


def _grid(n: int, m: int) -> gx.Space:
    return gx.Space({"a": gx.GridAxis(0, 1, n), "b": gx.GridAxis(0, 1, m)}, mode="product")


def _estimates(quick: bool) -> Iterator[Row]:
    sizes = {"even": (1200, 1000), "uneven": (1500, 1000), "Python": (400, 400)}
    cases: dict[str, tuple[Any, Callable[[Any], Any], float]] = {
        "even": (gx.ParallelExecution, even, 0.25),
        "uneven": (gx.ParallelExecution, uneven, 0.5),
        "Python": (gx.SequentialExecution, python, 0.25),
    }
    for name, (execution, model, goal) in cases.items():
        n, m = (20, 20) if quick else sizes[name]
        executor = execution(model, _grid(n, m))
        _, likely, _ = executor.plan(measure=True).seconds
        start = time.perf_counter()
        executor.run(progress=False)
        seconds = time.perf_counter() - start
        ratio = likely / seconds
        met = None if quick else abs(ratio - 1) < goal
        what = f"measured ÷ actual time, {name} model, {seconds:.0f} s"
        yield Row(what, f"{ratio:.2f}", f"± {goal:.0%}", met)


def _budget(quick: bool) -> Iterator[Row]:
    budget = 0.2 if quick else 5.0
    executor = gx.ParallelExecution(even, _grid(50, 50) if quick else _grid(1600, 1600))
    executor.run(budget=0.01, progress=False)  # which compiles
    start = time.perf_counter()
    result = executor.run(budget=budget, progress=False)
    seconds = time.perf_counter() - start
    done = result.progress.done
    yield Row(f"a run with a budget of {budget} s", f"{seconds:.2f} s, {done} points")


def _refined(quick: bool) -> Iterator[Row]:
    n_points = 200 if quick else 1000
    for width in (0.2, 0.4):
        result = _as_result(gx.Space(_square(10), mode="product"), width)
        while len(result) < n_points:
            more = min(n_points - len(result), len(result) // 4)
            result = _as_result(gx.refine(result, "z", more), width)
        dataset = result.dataset
        mine = _error(dataset.x.values, dataset.y.values, width)
        side = np.linspace(-1, 1, round(n_points**0.5))
        x, y = np.meshgrid(side, side)
        uniform = _error(x.ravel(), y.ravel(), width)
        what = f"error on a ring of width {width}, {n_points} points"
        met = None if quick else mine <= 0.7 * uniform
        yield Row(
            what, f"{mine:.4f}", "0.7 × uniform", met, f"uniform: {uniform:.4f}", uniform / mine
        )
        theirs = _learner(n_points, width)
        if theirs is not None:
            met = None if quick else mine <= 1.2 * theirs
            name = f"adaptive.Learner2D: {theirs:.4f}"
            yield Row(what, f"{mine:.4f}", "1.2 × Learner2D", met, name, theirs / mine)


def _square(n: int) -> dict[str, Any]:
    return {"x": gx.GridAxis(-1, 1, n), "y": gx.GridAxis(-1, 1, n)}


def _as_result(space: gx.Space, width: float) -> gx.Result:
    return gx.SequentialExecution(
        lambda state: {"z": ring(state["x"], state["y"], width)}, space
    ).run(progress=False)


def _error(x: Any, y: Any, width: float) -> float:
    """Return the mean error of linear interpolation between some points."""
    fine = np.stack(np.meshgrid(*[np.linspace(-1, 1, 401)] * 2), axis=-1)
    found = LinearNDInterpolator(np.stack([x, y], axis=1), ring(x, y, width))(fine)
    return float(np.nanmean(np.abs(found - ring(fine[..., 0], fine[..., 1], width))))


def _learner(n: int, width: float) -> float | None:
    try:
        import adaptive
    except ImportError:
        return None
    learner = adaptive.Learner2D(lambda xy: ring(*xy, width), bounds=[(-1, 1), (-1, 1)])
    adaptive.runner.simple(learner, npoints_goal=n)
    points = np.array(list(learner.data))
    return _error(points[:, 0], points[:, 1], width)


def _proposals(quick: bool) -> Row:
    side, n = (20, 100) if quick else (300, 100_000)
    ticks = [Ticks(np.linspace(-1, 1, side), False, np.dtype("float64")) for _ in range(2)]
    numbers = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    x, y = (each.labels[numbers[:, k]] for k, each in enumerate(ticks))
    start = time.perf_counter()
    new, _ = proposed(numbers, ring(x, y)[:, None], ticks, n, "surplus")
    rate = len(new) / (time.perf_counter() - start)
    met = None if quick else rate > 1e5
    return Row(f"{n} points in addition to {side**2}", f"{rate:.3g} per s", "> 1e5 per s", met)
