"""What derivatives cost: sweeps with and without them, of the models of the zoo that have any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import gridax as gx

from .measure import Row, medians
from .zoo import CASES, Case

# Points of a sweep: enough that it takes some milliseconds.
_POINTS, _FEW = 1024, 4
# How many times as long a sweep may take for each derivative.
_GOAL = 0.4


def rows(quick: bool) -> Iterator[Row]:
    """Yield the cost of the derivatives with respect to all axes of a model."""
    n_points, repeats = (_FEW, 1) if quick else (_POINTS, 7)
    for case in CASES:
        space = gx.Space(case.state(n_points), mode="product")
        names = _differentiable(space)
        if not names:
            continue
        executor = gx.ParallelExecution(case.model, space, n_pmap=1)
        try:
            dataset = executor.run(derivatives=names, progress=False).dataset
        except (TypeError, ValueError, NotImplementedError):
            continue  # integers only, or an operation without a derivative
        _check(case, space, names, dataset)

        def plain(executor: Any = executor) -> Any:
            return executor.run(progress=False)

        def derived(executor: Any = executor, names: Any = names) -> Any:
            return executor.run(derivatives=names, progress=False)

        seconds = medians(repeats, plain=plain, derived=derived)
        ratio, d = seconds["derived"] / seconds["plain"], len(names)
        goal = 1 + _GOAL * d
        yield Row(
            f"{d} derivatives, {case.name}, {space.N} points",
            f"{ratio:.2f} × the run without",
            f"{goal:.1f} ×",
            None if quick else ratio <= goal,
        )


def _differentiable(space: gx.Space) -> list[str]:
    coords = space.dataset.coords
    return [name for name in space.dims if coords[name].dtype.kind == "f"]


def _check(case: Case, space: gx.Space, names: list[str], dataset: Any) -> None:
    """Compare the derivatives at one point with those that JAX computes there."""
    i = space.N // 2
    state = space[i]
    at = np.unravel_index(i, space.shape)

    def outputs(values: list[Any]) -> Any:
        found = case.model({**state, **dict(zip(names, values, strict=True))})
        return found if isinstance(found, dict) else {"value": found}

    expected = jax.jacfwd(outputs)([state[name] for name in names])
    for output, by_name in expected.items():
        for name, value in zip(names, by_name, strict=True):
            if np.issubdtype(value.dtype, np.inexact):
                mine = dataset[f"{output}.d_{name}"].values[at]
                scale = max(np.abs(value).max(), 1e-3)
                if not np.allclose(mine, value, rtol=1e-2, atol=1e-2 * scale, equal_nan=True):
                    raise RuntimeError(f"{case.name}: another derivative of {output!r} by {name!r}")
