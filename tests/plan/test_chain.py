"""The integer arithmetic of chains: blocks, their order, and the points in the order of a chain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._plan.blocks import Wish, grouped, shape
from gridax._plan.chain import Chain
from gridax._plan.plan import Level, Plan, boxes

BOTH = Chain(0, (False, True), direction=1)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=3), st.data())
def test_the_blocks_of_chains_are_those_of_the_grid_each_after_the_one_before_it(sizes, data):
    dim = data.draw(st.integers(0, len(sizes) - 1))
    backward = data.draw(st.booleans())
    block = [data.draw(st.integers(1, size)) for size in sizes]
    groups = list(grouped(sizes, block, Chain(dim, (backward,))))
    assert sorted(itertools.chain(*groups)) == sorted(boxes(sizes, block))
    for group in groups:
        assert len({(*box[:dim], *box[dim + 1 :]) for box in group}) == 1
        starts = [box[dim][0] for box in group]
        assert starts == sorted(starts, reverse=backward)


def test_points_are_put_into_the_order_of_their_chain():
    grid = np.arange(6).reshape(3, 2)
    assert BOTH.in_order(grid, [0, 0]).tolist() == [[0, 5], [2, 3], [4, 1]]
    assert BOTH.in_order(grid[:, 1:], [0, 1]).tolist() == [[5], [3], [1]]
    assert Chain(1, (True,)).in_order(grid, [0, 0]).tolist() == [[1, 0], [3, 2], [5, 4]]
    assert BOTH.in_order(BOTH.in_order(grid, [0, 0]), [0, 0]).tolist() == grid.tolist()


def test_a_divided_block_has_chains_of_one_direction():
    assert BOTH.fitting((3, 2), (9, 2)) == (3, 1)
    assert BOTH.fitting((9, 2), (9, 2)) == (9, 2)
    assert Chain(0).fitting((3, 2), (9, 2)) == (3, 2)


@pytest.mark.parametrize(
    ("seconds", "nbytes", "is_whole", "block"),
    [
        (1e-6, 8, False, (100, 40)),  # all at once
        (0.05, 8, False, (5, 40)),  # those that are vectorized together, for some steps
        (60.0, 8, False, (1, 40)),  # each label is stored
        (60.0, 8, True, (100, 40)),
        (1e-6, 2**20, False, (1, 20)),  # what fits into memory
    ],
)
def test_blocks_have_as_many_steps_as_time_and_memory_allow(seconds, nbytes, is_whole, block):
    wish = Wish(seconds, nbytes, (1, 40), chain=Chain(0), is_whole=is_whole)
    assert shape((100, 40), wish) == block


def test_blocks_of_several_writers_divide_the_other_dimensions():
    wish = Wish(0.01, 8, (1, 1), n_workers=4, chain=Chain(0))
    along, across = shape((100, 64), wish)
    assert (along, across) == (100, 4)


def test_a_tile_of_a_backward_chain_has_its_points_in_this_order():
    levels = (Level((0,), 1, depth=3), Level((1,), 2))
    plan = Plan(("r", "k"), (3, 4), (3, 4), levels, chain=Chain(0, (True,)))
    tiles = list(plan.tiles(((0, 3), (0, 4))))
    assert [[list(run) for run in tile.runs] for tile in tiles] == [
        [[2, 1, 0], [0, 1]],
        [[2, 1, 0], [2, 3]],
    ]
    shape, where = plan.region(tiles[1])[1:]
    assert np.arange(12).reshape(shape)[where].tolist() == [[10, 11], [6, 7], [2, 3]]
    assert plan.n_together == 2
