"""What derivatives cost: sweeps with and without them, and with `jax.jacfwd` in the model.

The models are those of the zoo that have any.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
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

        by_jax = gx.ParallelExecution(_with_jacfwd(case, names), space, n_pmap=1)

        def jacfwd(by_jax: Any = by_jax) -> Any:
            with warnings.catch_warnings():  # of one model that is compiled as many programs
                warnings.simplefilter("ignore", UserWarning)
                return by_jax.run(progress=False)

        seconds = medians(repeats, plain=plain, derived=derived, jacfwd=jacfwd)
        ratio, d = seconds["derived"] / seconds["plain"], len(names)
        goal = 1 + _GOAL * d
        yield Row(
            f"{d} derivatives, {case.name}, {space.N} points",
            f"{ratio:.2f} × the run without",
            f"{goal:.1f} ×",
            None if quick else ratio <= goal,
            f"jacfwd: {seconds['jacfwd'] / seconds['plain']:.2f} ×",
            seconds["jacfwd"] / seconds["derived"],
        )


def _differentiable(space: gx.Space) -> list[str]:
    coords = space.dataset.coords
    return [name for name in space.dims if coords[name].dtype.kind == "f"]


def _outputs(case: Case, state: Any, names: list[str], values: list[Any]) -> Any:
    """Return the outputs of floats at a point with other values of some axes."""
    found = case.model({**state, **dict(zip(names, values, strict=True))})
    found = found if isinstance(found, dict) else {"value": found}
    return {k: v for k, v in found.items() if jnp.issubdtype(v.dtype, jnp.inexact)}


def _with_jacfwd(case: Case, names: list[str]) -> Callable[[Any], Any]:
    """Return a model whose outputs include the derivatives that `jax.jacfwd` returns."""

    def model(state: Any) -> Any:
        at = [state[name] for name in names]
        derivatives = jax.jacfwd(functools.partial(_outputs, case, state, names))(at)
        return {"values": case.model(state), "derivatives": derivatives}

    return model


def _check(case: Case, space: gx.Space, names: list[str], dataset: Any) -> None:
    """Compare the derivatives at one point with those that JAX computes there."""
    i = space.N // 2
    state = space[i]
    at = np.unravel_index(i, space.shape)

    outputs = functools.partial(_outputs, case, state, names)
    expected = jax.jacfwd(outputs)([state[name] for name in names])
    for output, by_name in expected.items():
        for name, value in zip(names, by_name, strict=True):
            mine = dataset[f"{output}.d_{name}"].values[at]
            scale = max(np.abs(value).max(), 1e-3)
            if not np.allclose(mine, value, rtol=1e-2, atol=1e-2 * scale, equal_nan=True):
                raise RuntimeError(f"{case.name}: another derivative of {output!r} by {name!r}")
