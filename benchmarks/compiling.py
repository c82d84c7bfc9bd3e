"""Compilations: a model is compiled once, not once per run."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

import gridax as gx

from .measure import Row, compilations


def model(state: dict[str, object]) -> dict[str, object]:
    return {"wave": jnp.sin(state["frequency"] * jnp.arange(100.0)) * state["amplitude"]}


def space(low: float) -> gx.Space:
    return gx.Space(
        {
            "frequency": gx.GridAxis(low, low + 1.0, 12),
            "amplitude": gx.UniformAxis(low, low + 1.0, 7),
        },
        mode="product",
    )


def rows(quick: bool) -> Iterator[Row]:
    executor = gx.ParallelExecution(model, space(0.0))
    with compilations() as first:
        one = executor.run(progress=False)
    with compilations() as second:
        two = executor.run(progress=False)
    other = gx.ParallelExecution(model, space(5.0))
    with compilations() as elsewhere:
        other.run(progress=False)
    np.testing.assert_array_equal(one.dataset["wave"], two.dataset["wave"])
    yield Row("compilations of a first run", str(len(first)))
    yield Row("... of a second run", str(len(second)), "0", not second)
    yield Row("... of another executor, similar space", str(len(elsewhere)), "0", not elsewhere)
