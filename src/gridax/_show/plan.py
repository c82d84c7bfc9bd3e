"""How a plan is displayed: a few lines of text, or HTML with a drawing of blocks and a tile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gridax._display import html_of, text_of
from gridax._memory import human
from gridax._plan.plan import Plan
from gridax._show import html
from gridax._text import count, duration, join_within, shorten

# Times of which it is said how many points they compute: the longest that is much shorter.
_SPANS = (8 * 3600.0, 3600.0, 600.0, 60.0)
# Columns of the text: the default of xarray's option `display_width`.
_WIDTH = 80


@text_of.register
def plan_text(plan: Plan) -> str:
    """Return the numbers of points, blocks and tiles, and the bytes, in a line each."""
    lines = (f"{name:<9}{text}" for name, text in _rows(plan, _WIDTH - 9))
    return "\n".join(["<gridax.Plan>", *(shorten(line, _WIDTH) for line in lines)])


@html_of.register
def plan_page(plan: Plan) -> str:
    """Return the same lines beside a drawing of the two dimensions that are cut most often."""
    facts = html.element("div", *(html.fact(name, text) for name, text in _rows(plan, 200)))
    return html.page("gridax.Plan", (), html.columns(facts, _drawing(plan)))


def _rows(plan: Plan, width: int) -> Iterator[tuple[str, str]]:
    points = count(plan.n_points)
    sizes = _sizes(plan.dims, plan.sizes, width - len(points) - 3) or "no dimension"
    yield "Cells:" if plan.inner else "Points:", f"{points} ({sizes})"
    if plan.reduced:
        yield "Reduced:", f"{plan.reduced}"
    if plan.chain is not None:
        dim, n = plan.dims[plan.chain.dim], plan.sizes[plan.chain.dim]
        yield "Chains:", f"{count(plan.n_points // n)}, each of {n} points along {dim}"
    known = human(plan.nbytes) if plan.nbytes else "not known until the model is called"
    yield "Outputs:", known
    if plan.seconds is not None:
        yield "Time:", _time(plan, plan.seconds)
    blocks = count(plan.n_blocks)
    if plan.n_blocks > 1:
        blocks += f" of {_sizes(plan.dims, plan.block, width - len(blocks) - 4)}"
    yield "Blocks:", blocks
    there = [min(level.length, level.size(plan.block)) for level in plan.levels]
    n_points = math.prod([*there, *(level.length for level in plan.inner)])
    tile = f"{n_points} points"
    if plan.inner:
        tile += f" of {math.prod(plan.tile)} cells"
    vectorized = "" if plan.n_vmap == n_points else f", {plan.n_vmap} at a time"
    if plan.n_vmap > n_points:
        vectorized += f", of which {plan.n_vmap - n_points} are repeated"
    lengths = [
        f"{', '.join(plan.dims[dim] for dim in level.dims)}: {length}"
        for level, length in zip(plan.levels, there, strict=True)
    ]
    along = join_within(lengths, " × ", width - len(tile) - len(vectorized) - 3)
    yield "Tile:", tile + (f" ({along})" if along else "") + vectorized
    if plan.points_last:
        yield "Loops:", "with points as the last axes of arrays"
    if plan.pace:
        yield "Lanes:", f"{plan.lanes or 'none'} ({plan.pace})"
    yield "Tiles:", f"{count(plan.n_tiles(next(plan.blocks())))} in a block"
    if plan.n_workers > 1:
        yield "Workers:", str(plan.n_workers)
    why = f" ({plan.idle})" if plan.idle else ""
    where = "in" if plan.n_threads > 1 else "on"
    each = f", about {human(plan.tile_bytes)} {where} each at a time" if plan.tile_bytes else ""
    threads = f" with {plan.n_threads} threads" if plan.n_threads > 1 else ""
    yield "Devices:", f"{plan.n_devices}{threads}{why}{each}"


def _time(plan: Plan, seconds: tuple[float, float, float]) -> str:
    """Return how long a sweep will take, and what it computes in some minutes."""
    low, likely, high = seconds
    text = f"about {duration(likely)}"
    if low < likely < high:
        text += f" ({duration(low)} to {duration(high)})"
    enough = next((span for span in _SPANS if 2 * span <= likely), None)
    if enough is not None:
        n = count(int(plan.n_points * enough / likely))
        what = "cells" if plan.inner else "points"
        text += f"; {duration(enough)} compute {n} {what}"
    return text


def _sizes(dims: Sequence[str], sizes: Sequence[int], width: int) -> str:
    return join_within([f"{dim} {n}" for dim, n in zip(dims, sizes, strict=True)], " × ", width)


def _drawing(plan: Plan) -> html.Markup:
    """Draw the two dimensions with the most blocks, or else the longest ones, with a legend."""
    n_blocks = [-(-size // block) for size, block in zip(plan.sizes, plan.block, strict=True)]
    varying = [dim for dim, size in enumerate(plan.sizes) if size > 1]
    alone = {level.dims[0] for level in plan.levels if len(level.dims) == 1}
    varying.sort(key=lambda dim: (n_blocks[dim], dim in alone, plan.sizes[dim]), reverse=True)
    drawn = sorted(varying[:2])
    if not drawn:
        return html.Markup()
    cuts = [(plan.dims[dim], plan.sizes[dim], plan.block[dim]) for dim in drawn]
    block = _sizes([plan.dims[dim] for dim in drawn], [cut[2] for cut in cuts], 60)
    legend = [("block", f"block: {block}")]
    tile = _first_tile(plan, drawn)
    if tile:
        legend.append(("tile", f"tile of {math.prod(plan.tile)} points"))
    down = cuts[0] if len(cuts) == 2 else ("", 1, 1)
    return html.grid_drawing(down, cuts[-1], tile, legend)


def _first_tile(plan: Plan, dims: Sequence[int]) -> list[html.Rectangle]:
    """Return the rectangles that the first tile covers along one or two dimensions.

    The list is empty where a tile is no rectangle in these dimensions: if it gathers scattered
    indices of a static choice, or if one of them is vectorized together with a third dimension.
    """
    level = {dim: level for level in plan.levels for dim in level.dims}
    if any(level[dim].groups is not None for dim in dims):
        return []
    lengths = [min(level[dim].length, plan.block[dim]) for dim in dims]
    if all(level[dim].dims == (dim,) for dim in dims):
        return [(0, 0, lengths[0] if len(dims) == 2 else 1, lengths[-1])]
    if level[dims[0]].dims != tuple(dims):
        return []
    # Both dimensions are vectorized as one: a run fills whole rows, then the start of the next.
    n_rows, n_columns = (plan.block[dim] for dim in dims)
    full_rows, rest = divmod(min(level[dims[0]].length, n_rows * n_columns), n_columns)
    whole = [(0, 0, full_rows, n_columns)] if full_rows else []
    return whole + ([(full_rows, 0, 1, rest)] if rest else [])
