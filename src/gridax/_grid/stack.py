"""All points of a grid as stacked arrays, for a vmap that the user applies."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax import _checks
from gridax._grid.frame import spread
from gridax._grid.grid import Column, Grid
from gridax._memory import check_fits
from gridax._text import number_of
from gridax._warnings import warn


def collect(
    grid: Grid, n_vmap: Any, n_pmap: Any, fill_value: Any
) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the values of the axes by slot, for stacked axes and for choices separately.

    Stacked values have the shape ``(*batch, *value_shape)``. A choice must have been selected, and
    remains the object that it is.
    """
    batch = [
        _checks.count(size, "collect", what)
        for what, size in (("n_pmap", n_pmap), ("n_vmap", n_vmap))
        if size is not None
    ]
    n = grid.n_points
    n_rest = math.ceil(n / math.prod(batch))
    total = math.prod(batch) * n_rest
    if total > n:
        warn(
            f"{n} points do not fill a batch of {' x '.join(map(str, [*batch, n_rest]))}; the last "
            f"{total - n} are padding (floats: {fill_value}; others repeat the last point)"
        )
    shape = (*batch, n_rest)
    tables = [c.table for c in grid.columns if c.table.kind != "choice"]
    check_fits(
        total * sum(t.values[:1].nbytes * math.prod(t.shape or ()) for t in tables),
        f"the states of {number_of(n, 'point')}",
        "select some of the points first (sel, isel), or pass the space to an executor, which "
        "evaluates it in parts",
    )
    stacked, chosen = {}, {}
    for column in grid.columns:
        if column.table.kind == "choice":
            chosen[column.slot] = _chosen(column)
        else:
            stacked[column.slot] = _stack(column, grid, shape, fill_value)
    return stacked, chosen


def _chosen(column: Column) -> Any:
    if column.dim is not None:
        raise TypeError(
            f"axis {column.name!r}: choices cannot be stacked to an array; select one with sel() "
            "or isel() before collect()"
        )
    value = column.table.value(int(column.rows))
    return value if column.axis.wrap is None else column.axis.wrap(value)


def _stack(column: Column, grid: Grid, shape: tuple[int, ...], fill_value: Any) -> Any:
    table = column.table
    values = table.values[spread(column.all_rows(grid.sizes), column.dim, grid)]
    missing = math.prod(shape) - len(values)
    if missing:
        padding = np.repeat(values[-1:], missing, axis=0)
        if jnp.issubdtype(values.dtype, jnp.inexact):
            padding = np.full_like(padding, fill_value)
        values = np.concatenate([values, padding])
    stacked: Any = jnp.asarray(values.reshape(shape + values.shape[1:]))
    if table.kind == "key":
        stacked = jax.random.wrap_key_data(stacked, impl=table.impl)
    if table.shape is not None:
        stacked = stacked.reshape(shape + (1,) * len(table.shape))
        stacked = jnp.broadcast_to(stacked, shape + table.shape)
    wrap = column.axis.wrap
    if wrap is not None:
        for _ in shape:
            wrap = jax.vmap(wrap)
        try:
            stacked = wrap(stacked)
        except Exception as error:
            error.add_note(
                f"while the wrap of axis {column.name!r} was vectorized with jax.vmap; what it "
                "returns has to be arrays"
            )
            raise
    return stacked
