"""Tiles of a grid, in integers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gridax._plan import Level, Plan


def level(dims, sizes, width=1, **options):
    return Level(tuple(dims), tuple(sizes), width, **options)


@pytest.mark.parametrize(
    ("size", "width", "runs"),
    [
        (6, 3, [[0, 1, 2], [3, 4, 5]]),
        (5, 3, [[0, 1, 2], [2, 3, 4]]),
        (4, 4, [[0, 1, 2, 3]]),
        (3, 1, [[0], [1], [2]]),
    ],
)
def test_runs_cover_a_level_and_the_last_is_shifted_inwards(size, width, runs):
    one = level([0], [size], width)
    assert [run.tolist() for run in one.runs()] == runs
    assert one.n_runs == len(runs)


def test_runs_stay_within_their_group_and_a_short_group_repeats_itself():
    one = level([0], [6], 3, groups=((0, 2, 3, 5), (1, 4)))
    assert [run.tolist() for run in one.runs()] == [[0, 2, 3], [2, 3, 5], [1, 4, 1]]
    assert (one.n_runs, one.longest) == (3, 4)


def test_a_plan_gives_every_device_a_tile_and_fills_up_with_the_last():
    plan = Plan((5,), (level([0], [5], 2),), n_devices=2)
    batches = list(plan.batches())
    assert [[tile[0].tolist() for tile in batch] for batch in batches] == [
        [[0, 1], [2, 3]],
        [[3, 4], [3, 4]],
    ]
    assert batches[1][0] is batches[1][1]
    assert (plan.n_tiles, plan.n_points, plan.tile) == (3, 5, (2,))


def test_dimensions_of_one_level_go_in_step():
    plan = Plan((2, 3), (level([0, 1], [2, 3], 4),), n_devices=1)
    first, second = plan.tiles()
    assert [i.tolist() for i in plan.indices(first)] == [[0, 0, 0, 1], [0, 1, 2, 0]]
    assert [i.tolist() for i in plan.indices(second)] == [[0, 1, 1, 1], [2, 0, 1, 2]]
    assert plan.lengths == (4, 4)


def test_a_tile_of_levels_in_order_is_a_block_of_slices():
    plan = Plan((2, 3, 4), (level([0, 1], [2, 3], 4), level([2], [4], 2)), n_devices=1)
    shape, where = plan.region(next(plan.tiles()))
    assert (shape, where) == ((6, 4), (slice(0, 4), slice(0, 2)))


def test_a_tile_of_levels_out_of_order_is_a_mesh_of_indices():
    plan = Plan((2, 3, 2), (level([0, 2], [2, 2], 4), level([1], [3], 2)), n_devices=1)
    shape, where = plan.region(next(plan.tiles()))
    grid = np.arange(12).reshape(shape)
    assert grid[where].tolist() == [[0, 2], [1, 3], [6, 8], [7, 9]]


def test_a_tile_of_a_group_is_a_mesh_of_indices():
    plan = Plan((4,), (level([0], [4], 2, groups=((0, 2), (1, 3))),), n_devices=1)
    regions = [plan.region(tile) for tile in plan.tiles()]
    assert [np.arange(4).reshape(shape)[where].tolist() for shape, where in regions] == [
        [0, 2],
        [1, 3],
    ]


def test_a_space_without_dimensions_is_one_tile():
    plan = Plan((), (), n_devices=1)
    assert list(plan.batches()) == [[()]]
    assert plan.region(()) == ((), ())
    assert (plan.n_points, plan.n_tiles, plan.tile) == (1, 1, ())


def test_planning_a_huge_grid_costs_no_array_of_its_size():
    sizes = (10**4, 10**4, 10**4)
    plan = Plan(sizes, (level([0, 1, 2], sizes, 4096),), n_devices=4)
    assert plan.n_points == 10**12
    (first, *_), second = next(plan.batches()), plan.n_tiles
    assert first[0].tolist()[:2] == [0, 1]
    assert isinstance(second, int)
    assert second * math.prod(plan.tile) >= 10**12
