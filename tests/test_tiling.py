"""Levels and widths: what is vectorized together, and how much of it at a time."""

from __future__ import annotations

import math

import pytest

from gridax import _tiling
from gridax._work import Work

A, B, C = frozenset({0}), frozenset({1}), frozenset({2})


def dims_of(plan):
    return [level.dims for level in plan.levels]


def plan(sizes, work, **options):
    options = {"point_bytes": 4, "n_devices": 1, "groups": [None] * len(sizes)} | options
    return _tiling.plan(sizes, work, **options)


def test_dimensions_that_always_vary_together_are_one_level():
    assert dims_of(plan((10, 20), Work({A | B: 1e6}))) == [(0, 1)]


def test_a_stage_along_one_dimension_gives_it_a_level_of_its_own():
    work = Work({C: 1e6, A | B | C: 1e6})
    assert dims_of(plan((4, 5, 6), work)) == [(0, 1), (2,)]


def test_a_stage_that_costs_next_to_nothing_gives_no_level():
    assert dims_of(plan((4, 5), Work({A: 1.0, A | B: 1e6}))) == [(0, 1)]


def test_levels_need_not_be_neighbours():
    assert dims_of(plan((4, 5, 6), Work({B: 1e6, A | B | C: 1e6}))) == [(0, 2), (1,)]


def test_a_static_choice_is_a_level_of_its_own():
    groups = [((0,), (1,)), None]
    assert dims_of(plan((2, 5), Work({B: 1e6}), groups=groups)) == [(0,), (1,)]
    assert plan((2, 5), Work({B: 1e6}), groups=groups).tile[0] == 1


def test_a_shared_stage_makes_a_tile_long_in_the_other_level():
    # The expensive stage varies along b: once computed, it should serve as many of a as fit.
    work = Work({B: 1e6, A | B: 1e3}, launches=1e4)
    chosen = plan((64, 64), work, n_vmap=64)
    assert chosen.tile == (64, 1)


@pytest.mark.parametrize("n_vmap", [1, 2, 7, 100])
def test_a_tile_is_no_wider_than_the_user_says(n_vmap):
    chosen = plan((9, 11), Work({A | B: 1e3, B: 1e4}), n_vmap=n_vmap)
    assert 1 <= math.prod(chosen.tile) <= n_vmap


def test_a_small_grid_is_one_tile():
    assert plan((5, 5), Work({A | B: 1.0})).n_tiles == 1


def test_every_device_gets_a_tile_if_there_are_enough_points():
    assert plan((100, 100), Work({A | B: 1e5}), n_devices=4).n_tiles >= 4


def test_large_outputs_make_small_tiles():
    wide = plan((64, 64), Work({A | B: 1e3}))
    narrow = plan((64, 64), Work({A | B: 1e3}), point_bytes=2**22)
    assert math.prod(narrow.tile) <= 16 < math.prod(wide.tile)


def test_points_whose_loops_end_at_different_turns_do_not_wait_for_too_many_others():
    work = Work({A | B: 1e3}, launches=1e9, uneven=A)
    assert math.prod(plan((64, 64), work).tile) <= 256


def test_a_grid_without_dimensions_is_one_tile():
    assert plan((), Work()).n_tiles == 1
