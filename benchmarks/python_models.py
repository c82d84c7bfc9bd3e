"""Models in Python, beside the same loop over the points written by hand with floats."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

import gridax as gx

from .measure import Row, medians, timed

Model = Callable[[Mapping[str, Any]], float]

_GOAL = 0.9


def rows(quick: bool) -> Iterator[Row]:
    """Yield the time of each model, and that of the loop by hand."""
    for name, model, sides in MODELS:
        yield compared(name, model, (2, 2) if quick else sides, 1 if quick else 11)


def compared(name: str, model: Model, sides: tuple[int, int], repeats: int) -> Row:
    """Return how long a product of two axes takes; the loops take turns."""
    axes = {"a": gx.GridAxis(0.1, 0.9, sides[0]), "seed": gx.DataAxis(range(1, sides[1] + 1))}
    space = gx.Space(axes, mode="product")
    executor = gx.SequentialExecution(model, space)
    columns = [space.dataset[name].values.tolist() for name in axes]
    by_hand = partial(loop, model, columns)
    values = executor.run(progress=False).dataset["value"].values
    np.testing.assert_array_equal(values.ravel(), by_hand())
    seconds = medians(repeats, gridax=partial(executor.run, progress=False), by_hand=by_hand)
    row = timed(name, seconds["gridax"], opponent=("by hand", seconds["by_hand"]))
    assert row.ratio is not None
    return Row(name, row.gridax, f"ratio > {_GOAL}", row.ratio > _GOAL, row.opponent, row.ratio)


def loop(model: Model, columns: list[list[float]]) -> np.ndarray:
    """Evaluate all points as a script would."""
    values = np.empty(tuple(map(len, columns)))
    for i, a in enumerate(columns[0]):
        for j, seed in enumerate(columns[1]):
            values[i, j] = model({"a": a, "seed": seed})
    return values.ravel()


def euler_with_floats(state: Mapping[str, Any]) -> float:
    a, x = state["a"], 0.1 * state["seed"]
    for _ in range(2000):
        x += 0.01 * (a - a * x * x)
    return x


def euler_with_arrays(state: Mapping[str, Any]) -> float:
    a, x = state["a"], np.linspace(0, 0.1 * state["seed"], 20)
    for _ in range(200):
        x = x + 0.01 * (a - x) * np.tanh(a * x)
    return float(x.sum())


def elements_of_arrays(state: Mapping[str, Any]) -> float:
    a, x = state["a"], np.zeros(200)
    for i in range(1, len(x)):
        x[i] = x[i - 1] * a + state["seed"]
    return float(x[-1])


def scipy_solver(state: Mapping[str, Any]) -> float:
    a = state["a"]
    solution = solve_ivp(lambda t, y: (y[1], a * (1 - y[0] ** 2) * y[1] - y[0]), (0, 5), (1.0, 0.0))
    return float(solution.y[0, -1])


def random_numbers(state: Mapping[str, Any]) -> float:
    draws = np.random.default_rng(state["seed"]).normal(size=2000)
    return float(np.exp(state["a"] * draws).mean())


def external_program(state: Mapping[str, Any]) -> float:
    argument = f"print({state['a']} * {state['seed']})"
    program = [sys.executable, "-S", "-c", argument]
    return float(subprocess.run(program, capture_output=True, check=True, text=True).stdout)


MODELS: list[tuple[str, Model, tuple[int, int]]] = [
    ("2000 steps with floats", euler_with_floats, (20, 20)),
    ("200 steps with arrays of 20", euler_with_arrays, (20, 20)),
    ("200 elements of an array, one by one", elements_of_arrays, (20, 20)),
    ("scipy.integrate.solve_ivp", scipy_solver, (20, 20)),
    ("2000 random numbers", random_numbers, (20, 20)),
    ("an external program", external_program, (3, 3)),
]
