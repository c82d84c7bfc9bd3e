"""Slices of a block: every point once, and each slice spread over the block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._plan.plan import Level, Plan
from gridax._plan.slices import Slices


def plan_of(shape, widths, merged=False):
    dims = tuple("abc"[: len(shape)])
    levels = tuple(Level((dim,), width) for dim, width in enumerate(widths))
    if merged:
        levels = (Level(tuple(range(len(shape))), widths[0]),)
    return Plan(dims, shape, shape, levels)


@given(st.data())
def test_slices_have_every_point_once(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    widths = [data.draw(st.integers(1, 12)) for _ in shape]
    plan = plan_of(shape, widths, data.draw(st.booleans()))
    slices, seen = Slices(tuple((5, 5 + n) for n in shape), plan), np.zeros(shape, int)
    while not slices.is_empty:
        n = data.draw(st.integers(1, 2000))
        take, n_taken = slices.take(n, plan)
        before = seen.sum()
        seen[... if take is None else np.ix_(*take)] += 1
        assert seen.sum() - before == n_taken
        assert n_taken >= n or slices.is_empty
    assert (seen == 1).all()


def test_a_slice_is_spread_over_the_block():
    plan = plan_of((100, 10), (1, 10))
    (along, across), n = Slices(((0, 100), (0, 10)), plan).take(50, plan)
    assert (along.tolist(), n) == ([10, 30, 50, 70, 90], 50)
    assert across.tolist() == list(range(10))


@pytest.mark.parametrize(("widths", "along"), [((1, 500), 0), ((500, 1), 1)])
def test_slices_have_whole_tiles(widths, along):
    shape = (1000, 1500)
    plan = plan_of(shape, widths)
    take, n = Slices(((0, 1000), (0, 1500)), plan).take(500, plan)
    assert len(take[along]) == 1
    assert n == shape[1 - along]


def test_points_of_a_level_of_several_dimensions_fill_a_tile_together():
    plan = plan_of((100, 50), (200,), merged=True)
    take, n = Slices(((0, 100), (0, 50)), plan).take(1, plan)
    assert (len(take[0]), n) == (4, 200)


def test_what_is_taken_of_a_block_is_cut():
    plan = plan_of((100,), (1,))
    slices = Slices(((0, 100),), plan, (np.array([3, 50, 97]),))
    assert slices.take(1, plan)[0][0].tolist() == [50]
    assert slices.take(5, plan)[0][0].tolist() == [3, 97]
    assert slices.is_empty
