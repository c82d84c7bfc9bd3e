"""What a person would write instead: `vmap` of all points, nested `vmap`, or `lax.map` in batches.

Every program is compiled ahead and includes the copy of its outputs to the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

Outputs = dict[str, np.ndarray]
Call = Callable[[], Outputs]

WIDTHS = (1, 8, 64, 512)
# An accelerator needs many points at a time; with few, some programs would take minutes.
ACCELERATOR_WIDTHS = (512, 2**13)
# With tiny sizes, most of the time goes into compiling: the two programs with vmap are enough.
QUICK: tuple[int, ...] = ()
# Programs that need more memory are left out.
_MOST_BYTES = 2 * 2**30
# Larger grids are not run with every program, but with those that are fast on a sample of points.
_SAMPLE = 1024
# Programs that take this many times as long as another one are not run again.
_SLOW = 1.5


class Grid:
    """The values of a space, as hand-written code has them.

    Parameters
    ----------
    space : a product of axes in a flat dictionary.
    """

    def __init__(self, space: gx.Space) -> None:
        self.sizes = space.sizes
        self.n_points = len(space)
        dim_of = {name: str(space.dataset[name].dims[0]) for name in space.axes}
        # Values of the axes along each dimension, and what does not vary.
        self.columns: dict[str, dict[str, Any]] = {}
        for dim in space.dims:
            rest = {other: [0] for other in space.dims if other != dim}
            along = space.isel(rest).collect()
            self.columns[dim] = {name: along[name] for name in dim_of if dim_of[name] == dim}
        self.fixed = {k: v for k, v in space.state.items() if k not in dim_of}

    def flat(self, n: int | None = None) -> dict[str, Any]:
        """Return the stacked values of all points, or of `n` that are spread over the grid."""
        n = self.n_points if n is None else n
        points = np.arange(n) * self.n_points // n
        index = np.unravel_index(points, tuple(self.sizes.values()))
        return {
            name: values[i]
            for i, column in zip(map(jnp.asarray, index), self.columns.values(), strict=True)
            for name, values in column.items()
        }


def fastest(
    model: Callable[[dict[str, Any]], Any], grid: Grid, widths: tuple[int, ...] = WIDTHS
) -> tuple[dict[str, Call], float]:
    """Return at most three programs that are about as fast as the best one, and its seconds."""
    seconds: dict[str, float] = {}
    calls: dict[str, Call] = {}
    for name, call in _programs(model, grid, widths):
        seconds[name] = _seconds(call)
        if seconds[name] < _SLOW * min(seconds.values()):
            calls[name], seconds[name] = call, min(seconds[name], _seconds(call))
    least = min(seconds.values())
    ranked = sorted(calls, key=seconds.__getitem__)
    return {name: calls[name] for name in ranked[:3] if seconds[name] < _SLOW * least}, least


def _programs(
    model: Callable[[dict[str, Any]], Any], grid: Grid, widths: tuple[int, ...]
) -> Iterator[tuple[str, Call]]:
    """Yield the programs that fit into memory, with the likely fastest ones first."""

    def point(values: dict[str, Any], fixed: dict[str, Any]) -> Any:
        return model({**values, **fixed})

    def mapped(width: int, points: dict[str, Any], fixed: dict[str, Any]) -> Any:
        return jax.lax.map(lambda values: point(values, fixed), points, batch_size=width)

    n = grid.n_points
    flat: dict[str, Callable[..., Any]] = {
        f"lax.map {width}": partial(mapped, width) for width in widths if width < n
    }
    flat["vmap"] = jax.vmap(point, in_axes=(0, None))
    if n > 2 * _SAMPLE:
        sample = grid.flat(_SAMPLE)
        times = {name: _seconds(_call(each, sample, grid)) for name, each in flat.items()}
        ranked = sorted(times, key=times.__getitem__)[:3]
        flat = {name: flat[name] for name in ranked if times[name] < 2 * times[ranked[0]]}
    functions = [(name, each, grid.flat()) for name, each in flat.items()]
    if len(grid.sizes) > 1:
        functions.append(("nested vmap", partial(_nested, point), [*grid.columns.values()]))
    for name, function, values in functions:
        call = _call(function, values, grid)
        if call is not None:
            yield name, call


def _nested(point: Callable[..., Any], columns: list[dict[str, Any]], fixed: dict[str, Any]) -> Any:
    """Evaluate all points with one vmap per dimension."""

    def at(n: int, values: dict[str, Any]) -> Any:
        if n == len(columns):
            return point(values, fixed)
        return jax.vmap(lambda mine: at(n + 1, {**values, **mine}))(columns[n])

    return at(0, {})


def _call(function: Callable[..., Any], values: Any, grid: Grid) -> Any:
    """Return a compiled call, or None if it needs too much memory."""
    compiled = jax.jit(function).lower(values, grid.fixed).compile()
    needs = compiled.memory_analysis()
    if needs is not None and needs.temp_size_in_bytes + needs.output_size_in_bytes > _MOST_BYTES:
        return None
    return lambda: _named(jax.tree.map(np.asarray, compiled(values, grid.fixed)))


def _named(outputs: Any) -> Outputs:
    """Return outputs by name, where a single one has the name that gridax gives it."""
    return outputs if isinstance(outputs, dict) else {"value": outputs}


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
