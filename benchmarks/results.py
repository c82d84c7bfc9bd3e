"""Results: reading a million points of four scalar outputs on the host."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from . import opponent
from .measure import Row, medians, timed


def model(state: dict[str, jax.Array]) -> dict[str, jax.Array]:
    x, y = state["x"], state["y"]
    return {"sum": x + y, "difference": x - y, "product": x * y, "distance": jnp.hypot(x, y)}


def rows(quick: bool) -> Iterator[Row]:
    repeats, n = (2, 20) if quick else (5, 1000)
    values = np.arange(n, dtype=np.float32)
    contenders = {"gridax": _gridax(values)}
    if not opponent.MISSING:
        contenders[opponent.NAME] = _peer(values)

    frames = {name: result.to_dataframe() for name, result in contenders.items()}
    for frame in frames.values():
        np.testing.assert_array_equal(frame["x"], np.repeat(values, n))
        np.testing.assert_array_equal(frame["sum"], np.add.outer(values, values).ravel())
        for name in "difference", "product", "distance":
            np.testing.assert_allclose(frame[name], frames["gridax"][name], rtol=1e-6)

    calls = {
        "result[i]": lambda result: [result[i] for i in range(0, n * n, n * n // 100)],
        "iteration, per point": lambda result: list(islice(result, 100)),
        "to_dataframe()": lambda result: result.to_dataframe(),
    }
    for what, call in calls.items():
        seconds = medians(
            repeats,
            **{
                name: lambda result=result, call=call: jax.block_until_ready(call(result))
                for name, result in contenders.items()
            },
        )
        whole = what == "to_dataframe()"
        if not whole:
            seconds = {name: each / 100 for name, each in seconds.items()}
        mine = seconds.pop("gridax")
        yield timed(
            f"{n * n:,} points × 4 outputs: {what}",
            mine,
            below=2.0 if whole else None,
            opponent=next(iter(seconds.items()), None),
        )


def _gridax(values: np.ndarray) -> gx.Result:
    axes = {name: gx.DataAxis(values) for name in "xy"}
    return gx.ParallelExecution(model, gx.Space(axes, mode="product")).run(progress=False)


def _peer(values: np.ndarray) -> Any:
    axes = {name: opponent.spaces.DataAxis(values) for name in "xy"}
    space = opponent.spaces.Space(axes, mode="product")
    return opponent.execution.ParallelExecution(model, space, n_vmap=len(values)).run()
