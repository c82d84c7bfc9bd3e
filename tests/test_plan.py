from __future__ import annotations

import math

import numpy as np
import pytest

from gridax import _plan
from gridax._plan import Cut, default_width, make, tile_shape


@pytest.mark.parametrize(
    ("size", "width", "runs"),
    [
        (6, 3, [[0, 1, 2], [3, 4, 5]]),
        (5, 3, [[0, 1, 2], [2, 3, 4]]),
        (4, 4, [[0, 1, 2, 3]]),
        (3, 1, [[0], [1], [2]]),
    ],
)
def test_runs_cover_a_dimension_and_the_last_is_shifted_inwards(size, width, runs):
    cut = Cut(size, width)
    assert [run.tolist() for run in cut.runs()] == runs
    assert cut.n_runs == len(runs)


def test_runs_stay_within_their_group_and_a_short_group_repeats_itself():
    cut = Cut(6, 3, groups=((0, 2, 3, 5), (1, 4)))
    assert [run.tolist() for run in cut.runs()] == [[0, 2, 3], [2, 3, 5], [1, 4, 1]]
    assert cut.n_runs == 3


@pytest.mark.parametrize(
    ("sizes", "width", "tile"),
    [
        ((64, 64), 64, (8, 8)),
        ((64, 64), 32, (4, 8)),  # the last dimension, whose data are contiguous, grows first
        ((100, 3), 16, (4, 3)),
        ((1000,), 64, (64,)),  # the last run computes 24 points twice, which is little
        ((65,), 64, (33,)),  # two even runs, where 64 would compute 63 points twice
        ((7,), 1000, (7,)),
        ((5, 5), 1, (1, 1)),
        ((1, 1, 9), 4, (1, 1, 3)),
        ((), 8, ()),
    ],
)
def test_tiles_are_nearly_cubic_and_compute_few_points_twice(sizes, width, tile):
    assert tile_shape(sizes, width) == tile


def test_a_plan_gives_every_device_a_tile_and_fills_up_with_the_last():
    plan = make((5,), width=2, n_devices=2)
    batches = list(plan.batches())
    assert [[tile[0].tolist() for tile in batch] for batch in batches] == [
        [[0, 1], [2, 3]],
        [[3, 4], [3, 4]],
    ]
    assert batches[1][0] is batches[1][1]
    assert (plan.n_tiles, plan.n_points, plan.tile) == (3, 5, (2,))


def test_a_plan_uses_no_more_devices_than_it_has_tiles():
    assert make((3,), width=8, n_devices=4).n_devices == 1
    assert make((3,), width=1, n_devices=4).n_devices == 3


def test_a_space_without_dimensions_is_one_tile():
    plan = make((), width=8, n_devices=4)
    assert list(plan.batches()) == [[()]]
    assert (plan.n_points, plan.n_devices, plan.tile) == (1, 1, ())


def test_planning_a_huge_grid_costs_no_array_of_its_size():
    plan = make((10**4, 10**4, 10**4), width=4096, n_devices=4)
    assert plan.n_points == 10**12
    first = next(plan.batches())
    assert [run.tolist()[:2] for run in first[0]] == [[0, 1]] * 3
    assert isinstance(plan.n_tiles, int)
    assert plan.n_tiles * math.prod(plan.tile) >= 10**12


def test_indices_are_int32_as_the_kernel_takes_them():
    for run in Cut(5, 2).runs():
        assert run.dtype == np.int32


@pytest.mark.parametrize(
    ("operations", "output_bytes", "n_points", "n_devices", "width"),
    [
        (1, 4, 10**9, 1, _plan._MOST),  # cheap: as many as there may be
        (10**12, 4, 10**9, 1, _plan._LEAST),  # expensive: few, but enough to vectorize
        (1, 4, 100, 4, 25),  # every device gets its share
        (1, 4, 1, 4, 1),
        (1, 2 * _plan._OUTPUT_BYTES, 10**9, 1, 1),  # outputs that fill the room: one by one
        (0, 0, 10, 1, 10),
    ],
)
def test_the_default_width_follows_the_cost_of_a_point(
    operations, output_bytes, n_points, n_devices, width
):
    assert default_width(operations, output_bytes, n_points, n_devices) == width


def test_a_costlier_model_never_gets_wider_tiles():
    widths = [default_width(10**k, 4, 10**9, 1) for k in range(12)]
    assert widths == sorted(widths, reverse=True)
