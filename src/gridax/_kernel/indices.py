"""How a program is told which points a tile has.

Along a level of one dimension, the indices are listed. Along a level of several, there are as many
for each of them as the tile has points, and to list and copy these can take longer than to evaluate
a cheap model. Such a run is described by where it begins, and the program counts from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._plan.plan import Level, Plan, Tile, shape_of

# Indices of a tile above which the program counts; with fewer, it starts and compiles faster so.
_MANY = 2**13


def counts(plan: Plan) -> bool:
    """Whether the program of a plan counts indices itself.

    It then takes fewer numbers than there are indices, which tells both kinds of rows apart.
    """
    n_listed = sum(plan.lengths)
    return n_listed > max(_MANY, n_numbers(plan.levels, True))


def n_numbers(levels: Sequence[Level], counting: bool) -> int:
    """Return how many numbers describe a tile."""
    return sum(_n_numbers(level, counting) for level in levels)


def packed(plan: Plan, tiles: Sequence[Tile]) -> np.ndarray:
    """Return what describes some tiles, one row of int32 per tile.

    These are the indices along all dimensions, `plan.lengths` of them. If the program counts, they
    are grouped by level, with the numbers of `described` in place of those along several
    dimensions.
    """
    counting = counts(plan) and all(_is_plain(plan, tile) for tile in tiles)
    index = np.empty((len(tiles), n_numbers(plan.levels, counting)), dtype=np.int32)
    for row, tile in zip(index, tiles, strict=True):
        levels = range(len(plan.levels))
        numbers = [described(plan, tile, n) for n in levels] if counting else plan.indices(tile)
        # The empty list is for a grid without dimensions, which has one point.
        np.concatenate([[], *numbers], out=row, casting="unsafe")
    return index


def unpacked(
    levels: Sequence[Level], lengths: Sequence[int], counting: bool, row: jax.Array
) -> list[jax.Array]:
    """Return the indices of a tile along each dimension, from a row of what `packed` returns."""
    if not counting:
        return jnp.split(row, np.cumsum(lengths)[:-1].tolist()) if lengths else []
    found: dict[int, jax.Array] = {}
    ends = np.cumsum([_n_numbers(level, True) for level in levels])
    for level, numbers in zip(levels, jnp.split(row, ends[:-1].tolist()), strict=True):
        along = _counted(level, numbers) if _is_merged(level) else [numbers]
        found |= zip(level.dims, along, strict=True)
    return [found[dim] for dim in range(len(lengths))]


def described(plan: Plan, tile: Tile, n: int) -> Any:
    """Return the indices along one of the levels, or what `_counted` counts them from.

    The latter are the number of points, and along each dimension the size of the block, its first
    index, and where in the block the run begins.
    """
    level, run = plan.levels[n], tile.runs[n]
    if not _is_merged(level):
        return plan.indices_along(tile, n)[0]
    sizes = [shape_of(tile.box)[dim] for dim in level.dims]
    corner = [tile.box[dim][0] for dim in level.dims]
    return [len(run), *sizes, *corner, *np.unravel_index(run[0], sizes)]


def _counted(level: Level, numbers: jax.Array) -> list[jax.Array]:
    """Return the indices of a run along the dimensions of a level."""
    sizes, corner, begin = numbers[1:].reshape(3, len(level.dims))
    # The last point of a short run is repeated.
    carry = jnp.minimum(jnp.arange(level.length, dtype=numbers.dtype), numbers[0] - 1)
    found: list[jax.Array] = []
    for i in reversed(range(len(level.dims))):
        position = begin[i] + carry
        carry = jax.lax.div(position, jnp.broadcast_to(sizes[i], position.shape))
        found.insert(0, corner[i] + position - carry * sizes[i])
    return found


def _n_numbers(level: Level, counting: bool) -> int:
    n_dims = len(level.dims)
    return 1 + 3 * n_dims if counting and _is_merged(level) else n_dims * level.length


def _is_merged(level: Level) -> bool:
    return len(level.dims) > 1


def _is_plain(plan: Plan, tile: Tile) -> bool:
    """Whether the runs along several dimensions are neighbors in a block."""
    runs = zip(plan.levels, tile.runs, strict=True)
    return tile.take is None and all(
        isinstance(run, range) for level, run in runs if _is_merged(level)
    )
