"""Blocks and tiles of a grid, in integers."""

from __future__ import annotations

import itertools
import math
import textwrap

import numpy as np
import pytest

from gridax._plan.plan import Level, Plan, Region, Tile, n_points


def plan_of(sizes, *levels, block=None, **options):
    """A plan over dimensions a, b, …, of one block unless told."""
    return Plan(tuple("abcdefghijkl"[: len(sizes)]), sizes, block or sizes, levels, **options)


def cut_of(grid, box):
    return grid[tuple(slice(*bounds) for bounds in box)]


def box_of(*sizes):
    return tuple((0, size) for size in sizes)


def lists(runs):
    return [np.array(run).tolist() for run in runs]


def only_block(plan):
    (box,) = plan.blocks()
    return box


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
    level = Level((0,), width)
    assert lists(level.runs(box_of(size))) == runs
    assert level.n_runs(box_of(size)) == len(runs)


def test_a_run_is_as_long_as_width_times_depth():
    level = Level((0,), width=2, depth=3)
    assert level.length == 6
    assert lists(level.runs(box_of(8))) == [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7]]


def test_runs_of_a_block_are_counted_from_its_corner():
    assert lists(Level((0,), 2).runs(((5, 8),))) == [[0, 1], [1, 2]]


def test_runs_stay_within_their_group_and_a_short_group_makes_a_short_run():
    level = Level((0,), 3, groups=((0, 2, 3, 5), (1, 4)))
    assert lists(level.runs(box_of(6))) == [[0, 2, 3], [2, 3, 5], [1, 4]]
    assert level.n_runs(box_of(6)) == 3
    assert level.longest((6,)) == 4


def test_a_block_cuts_the_groups_and_leaves_out_those_that_lie_elsewhere():
    level = Level((0,), 2, groups=((0, 2, 3, 5), (1, 4), (6,)))
    assert lists(level.runs(((3, 6),))) == [[0, 2], [1]]
    assert level.n_runs(((3, 6),)) == 2


def test_a_level_of_several_dimensions_has_the_product_of_their_sizes():
    level = Level((0, 2), 4)
    assert level.size((2, 3, 5)) == level.longest((2, 3, 5)) == 10
    assert level.n_runs(box_of(2, 3, 5)) == 3


def test_indices_are_of_int64_whatever_the_runs_are():
    for level in (Level((0,), 2), Level((0,), 2, groups=((0, 1, 2),))):
        plan = plan_of((3,), level)
        tiles = plan.tiles(box_of(3))
        assert {plan.indices(tile)[0].dtype for tile in tiles} == {np.dtype(np.int64)}


def test_blocks_are_disjoint_and_the_last_along_a_dimension_may_be_smaller():
    plan = plan_of((5, 3), Level((0, 1)), block=(2, 3))
    assert list(plan.blocks()) == [((0, 2), (0, 3)), ((2, 4), (0, 3)), ((4, 5), (0, 3))]
    assert plan.n_blocks == 3


def test_blocks_come_in_the_order_of_the_grid():
    plan = plan_of((4, 2), Level((0, 1)), block=(2, 1))
    assert list(plan.blocks()) == [
        ((0, 2), (0, 1)),
        ((0, 2), (1, 2)),
        ((2, 4), (0, 1)),
        ((2, 4), (1, 2)),
    ]


def test_tiles_of_a_block_are_the_product_of_its_runs():
    plan = plan_of((4, 3), Level((0,), 2), Level((1,), 2), block=(2, 3))
    box = ((2, 4), (0, 3))
    tiles = list(plan.tiles(box))
    assert [lists(tile.runs) for tile in tiles] == [[[0, 1], [0, 1]], [[0, 1], [1, 2]]]
    assert {tile.box for tile in tiles} == {box}
    assert plan.n_tiles(box) == len(tiles)


def test_a_smaller_block_has_fewer_tiles():
    plan = plan_of((5,), Level((0,), 2), block=(4,))
    assert [plan.n_tiles(box) for box in plan.blocks()] == [2, 1]


def test_indices_of_a_tile_are_those_of_the_grid():
    plan = plan_of((4, 3), Level((0,), 2), Level((1,), 2), block=(2, 3))
    tile = Tile(((2, 4), (0, 3)), (np.array([0, 1]), np.array([1, 2])))
    assert lists(plan.indices(tile)) == [[2, 3], [1, 2]]
    assert plan.lengths == (2, 2)


def test_a_run_that_is_too_short_is_repeated_in_the_indices_only():
    plan = plan_of((5,), Level((0,), 4), block=(3,))
    first, second = (next(plan.tiles(box)) for box in plan.blocks())
    assert lists([*first.runs, *second.runs]) == [[0, 1, 2], [0, 1]]
    assert lists([*plan.indices(first), *plan.indices(second)]) == [[0, 1, 2, 0], [3, 4, 3, 4]]
    assert plan.region(second) == Region(((3, 5),), (2,), (slice(0, 2),))


def test_dimensions_of_one_level_go_in_step():
    plan = plan_of((2, 3), Level((0, 1), 4))
    first, second = plan.tiles(only_block(plan))
    assert lists(plan.indices(first)) == [[0, 0, 0, 1], [0, 1, 2, 0]]
    assert lists(plan.indices(second)) == [[0, 1, 1, 1], [2, 0, 1, 2]]
    assert plan.lengths == (4, 4)


def test_a_tile_of_levels_in_order_is_a_box_of_slices():
    plan = plan_of((2, 3, 4), Level((0, 1), 4), Level((2,), 2))
    region = plan.region(next(plan.tiles(only_block(plan))))
    assert region == Region(((0, 2), (0, 3), (0, 4)), (6, 4), (slice(0, 4), slice(0, 2)))


def test_a_tile_of_a_block_lies_in_the_part_that_the_block_cuts_out():
    plan = plan_of((4, 3), Level((0, 1), 4), block=(2, 3))
    _, box = plan.blocks()
    _, tile = plan.tiles(box)
    region = plan.region(tile)
    assert region == Region(((2, 4), (0, 3)), (6,), (slice(2, 6),))
    grid = np.arange(12).reshape(4, 3)
    assert cut_of(grid, region.box).reshape(region.shape)[region.where].tolist() == [8, 9, 10, 11]


def test_a_tile_of_levels_out_of_order_is_a_mesh_of_indices():
    plan = plan_of((2, 3, 2), Level((0, 2), 4), Level((1,), 2))
    box, shape, where = plan.region(next(plan.tiles(only_block(plan))))
    grid = np.arange(12).reshape(2, 3, 2)
    assert (box, shape) == (((0, 2), (0, 3), (0, 2)), (2, 3, 2))
    assert grid[where].tolist() == [[0, 2], [1, 3], [6, 8], [7, 9]]


def test_a_mesh_of_indices_lies_in_its_block_too():
    plan = plan_of((4, 3, 2), Level((0, 2), 4), Level((1,), 2), block=(2, 3, 2))
    _, second = plan.blocks()
    box, shape, where = plan.region(next(plan.tiles(second)))
    grid = np.arange(24).reshape(4, 3, 2)
    assert cut_of(grid, box).reshape(shape)[where].tolist() == [
        [12, 14],
        [13, 15],
        [18, 20],
        [19, 21],
    ]


def test_a_tile_of_a_group_is_a_mesh_of_indices():
    plan = plan_of((4,), Level((0,), 2, groups=((0, 2), (1, 3))))
    regions = [plan.region(tile) for tile in plan.tiles(only_block(plan))]
    assert [np.arange(4)[region.where].tolist() for region in regions] == [[0, 2], [1, 3]]


def test_a_group_of_neighbors_is_a_slice():
    plan = plan_of((4,), Level((0,), 2, groups=((0, 1), (2, 3))))
    regions = [plan.region(tile) for tile in plan.tiles(only_block(plan))]
    assert [region.where for region in regions] == [(slice(0, 2),), (slice(2, 4),)]


def test_a_group_in_falling_order_keeps_it():
    plan = plan_of((3,), Level((0,), 3, groups=((2, 1, 0),)))
    (tile,) = plan.tiles(only_block(plan))
    assert np.arange(3)[plan.region(tile).where].tolist() == [2, 1, 0]


def taken(*positions):
    return tuple(np.array(along, dtype=np.int64) for along in positions)


def test_tiles_of_what_is_taken_of_a_block_hold_nothing_else():
    plan = plan_of((8, 3), Level((0,), 2), Level((1,), 2), block=(4, 3))
    _, box = plan.blocks()
    tiles = list(plan.tiles(box, taken([0, 1, 3], [2])))
    assert [lists(tile.runs) for tile in tiles] == [[[0, 1], [0]], [[1, 2], [0]]]
    assert [lists(plan.indices(tile)) for tile in tiles] == [[[4, 5], [2, 2]], [[5, 7], [2, 2]]]
    grid = np.arange(24).reshape(8, 3)
    found = [plan.region(tile) for tile in tiles]
    assert [cut_of(grid, r.box).reshape(r.shape)[r.where].tolist() for r in found] == [
        [[14], [17]],
        [[17], [23]],
    ]


def test_dimensions_of_one_level_go_in_step_through_what_is_taken():
    plan = plan_of((4, 4), Level((0, 1), 4))
    box = only_block(plan)
    first, second = plan.tiles(box, taken([1, 3], [0, 2, 3]))
    assert lists(plan.indices(first)) == [[1, 1, 1, 3], [0, 2, 3, 0]]
    assert lists(plan.indices(second)) == [[1, 3, 3, 3], [3, 0, 2, 3]]
    box, shape, where = plan.region(second)
    assert (box, shape) == (((0, 4), (0, 4)), (4, 4))
    assert np.arange(16).reshape(4, 4)[where].tolist() == [7, 12, 14, 15]


def test_what_is_taken_keeps_its_order():
    plan = plan_of((5,), Level((0,), 2))
    tiles = list(plan.tiles(only_block(plan), taken([4, 0, 2])))
    assert [lists(plan.indices(tile)) for tile in tiles] == [[[4, 0]], [[0, 2]]]
    assert [np.arange(5)[plan.region(tile).where].tolist() for tile in tiles] == [[4, 0], [0, 2]]


def test_the_place_of_what_is_taken_is_a_mesh_even_of_neighbors():
    plan = plan_of((4, 3), Level((0,), 2), Level((1,), 3), block=(2, 3))
    _, box = plan.blocks()
    (tile,) = plan.tiles(box, taken([0, 1], [0, 1, 2]))
    box, shape, where = plan.region(tile)
    assert (box, shape) == (((2, 4), (0, 3)), (2, 3))
    assert lists(where) == [[[0], [1]], [[0, 1, 2]]]


def test_a_mesh_has_the_dimensions_of_the_grid_whatever_the_order_of_the_levels():
    plan = plan_of((2, 3, 2), Level((0, 2), 4), Level((1,), 2))
    (tile,) = plan.tiles(only_block(plan), taken([1], [0, 2], [0, 1]))
    _, shape, where = plan.region(tile)
    assert shape == (2, 3, 2)
    assert np.arange(12).reshape(shape)[where].tolist() == [[6, 10], [7, 11]]
    assert lists(plan.indices(tile)) == [[1, 1, 1, 1], [0, 2], [0, 1, 0, 1]]


def test_what_is_taken_of_groups_stays_in_its_group():
    level = Level((0,), 2, groups=((0, 2, 3, 5), (1, 4), (6,)))
    plan = plan_of((8,), level, block=(7,))
    box = ((0, 7),)
    tiles = list(plan.tiles(box, taken([5, 1, 0, 3])))
    assert [lists(plan.indices(tile)) for tile in tiles] == [[[0, 3]], [[3, 5]], [[1, 1]]]
    assert [np.arange(7)[plan.region(tile).where].tolist() for tile in tiles] == [
        [0, 3],
        [3, 5],
        [1],
    ]


def test_groups_count_from_the_corner_of_the_grid_and_what_is_taken_from_that_of_the_block():
    plan = plan_of(
        (6, 2), Level((0,), 3, groups=((0, 3, 5), (1, 2, 4))), Level((1,), 1), block=(3, 2)
    )
    _, box = plan.blocks()
    tiles = list(plan.tiles(box, taken([0, 2], [1])))
    assert [lists(plan.indices(tile)) for tile in tiles] == [[[3, 5, 3], [1]]]
    assert [tile.take for tile in tiles] == [tiles[0].take]
    grid = np.arange(12).reshape(6, 2)
    box, shape, where = plan.region(tiles[0])
    assert cut_of(grid, box).reshape(shape)[where].tolist() == [[7], [11]]


def test_a_tile_of_what_is_taken_splits_into_those_of_a_narrower_plan():
    wide = plan_of((6,), Level((0,), 4))
    narrow = plan_of((6,), Level((0,), 2))
    (tile,) = wide.tiles(only_block(wide), taken([1, 3, 4]))
    assert [lists(narrow.indices(piece)) for piece in narrow.split(tile)] == [[[1, 3]], [[3, 4]]]


def test_a_plan_of_smaller_blocks_tiles_what_is_taken_of_a_larger_one():
    small = plan_of((6, 5), Level((0,), 2), Level((1,), 2), block=(2, 2))
    tiles = list(small.tiles(box_of(6, 5), taken([0, 5], [1, 4])))
    assert [lists(small.indices(tile)) for tile in tiles] == [[[0, 5], [1, 4]]]


def test_everything_may_be_taken():
    plan = plan_of((3, 2), Level((0, 1), 4))
    box = only_block(plan)
    one = [lists(plan.indices(tile)) for tile in plan.tiles(box)]
    assert [lists(plan.indices(t)) for t in plan.tiles(box, taken([0, 1, 2], [0, 1]))] == one


def test_a_tile_splits_into_those_of_a_narrower_plan():
    wide = plan_of((5, 4), Level((0,), 5), Level((1,), 2))
    narrow = plan_of((5, 4), Level((0,), 2), Level((1,), 1))
    _, tile = wide.tiles(only_block(wide))
    pieces = list(narrow.split(tile))
    assert [lists(piece.runs) for piece in pieces] == [
        [run, [k]] for run in ([0, 1], [2, 3], [3, 4]) for k in (2, 3)
    ]
    assert {piece.box for piece in pieces} == {tile.box}


def test_a_tile_splits_to_itself_where_the_other_plan_is_no_narrower():
    plan = plan_of((3,), Level((0,), 4))
    (tile,) = plan.tiles(only_block(plan))
    (piece,) = plan.split(tile)
    assert lists(piece.runs) == lists(tile.runs) == [[0, 1, 2]]


def test_a_run_of_a_group_splits_to_members_of_the_group():
    wide = plan_of((6,), Level((0,), 4, groups=((0, 2, 3, 5), (1, 4))))
    narrow = plan_of((6,), Level((0,), 2, groups=wide.levels[0].groups))
    pieces = itertools.chain.from_iterable(map(narrow.split, wide.tiles(only_block(wide))))
    assert [lists(piece.runs) for piece in pieces] == [[[0, 2]], [[3, 5]], [[1, 4]]]


def test_a_deep_tile_vectorizes_fewer_points_than_it_has():
    plan = plan_of((20, 3), Level((0,), 2, depth=5), Level((1,), 3))
    assert (plan.tile, plan.n_vmap, plan.lengths) == ((10, 3), 6, (10, 3))
    assert plan.n_tiles(only_block(plan)) == 2


def test_a_space_without_dimensions_is_one_tile_of_one_block():
    plan = plan_of(())
    (box,) = plan.blocks()
    (tile,) = plan.tiles(box)
    assert (box, tile) == ((), Tile((), ()))
    assert plan.indices(tile) == []
    assert plan.region(tile) == Region((), (), ())
    assert (plan.n_points, plan.n_blocks, plan.n_tiles(box), plan.tile) == (1, 1, 1, ())


@pytest.mark.parametrize(
    ("box", "n"), [((), 1), (((0, 3),), 3), (((2, 4), (5, 9)), 8), (((0, 10**6),) * 3, 10**18)]
)
def test_a_box_has_the_product_of_its_lengths_as_points(box, n):
    assert n_points(box) == n


def test_planning_a_huge_grid_costs_no_array_of_its_size():
    sizes = (10**4, 10**4, 10**4)
    plan = plan_of(sizes, Level((0, 1, 2), 4096), block=(1, 10, 10**4), n_devices=4)
    assert (plan.n_points, plan.n_blocks) == (10**12, 10**7)
    box = next(itertools.islice(plan.blocks(), 1001, None))
    assert box == ((1, 2), (10, 20), (0, 10**4))
    assert plan.n_tiles(box) == math.ceil(10**5 / 4096)
    tile = next(plan.tiles(box))
    assert [index[:2].tolist() for index in plan.indices(tile)] == [[1, 1], [10, 10], [0, 1]]


def test_tiles_of_a_huge_block_are_made_one_at_a_time():
    sizes = (10**4, 10**4, 10**4)
    plan = plan_of(sizes, Level((0, 1), 4), Level((2,), 1024))
    tile = next(itertools.islice(plan.tiles(only_block(plan)), 11, None))
    assert [run[0] for run in tile.runs] == [4, 1024]
    assert plan.n_tiles(only_block(plan)) == 10**8 // 4 * 10


def test_plans_are_equal_whatever_they_are_estimated_to_need():
    one, other = (plan_of((4,), Level((0,), 2), tile_bytes=n) for n in (1, 2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != plan_of((4,), Level((0,), 1))


def test_a_plan_tells_what_will_be_done():
    plan = plan_of(
        (100, 20, 8),
        Level((0, 1), 4, depth=16),
        Level((2,), 8),
        block=(10, 20, 8),
        n_devices=4,
        point_bytes=1000,
        tile_bytes=1_234_567,
    )
    assert repr(plan) == textwrap.dedent(
        """\
        <gridax.Plan>
        Points:  16000 (a 100 × b 20 × c 8)
        Outputs: 16 MB
        Blocks:  10 of a 10 × b 20 × c 8
        Tile:    512 points (a, b: 64 × c: 8), 32 at a time
        Tiles:   4 in a block
        Devices: 4, about 1.23 MB on each at a time"""
    )


def test_a_plan_of_one_block_of_wholly_vectorized_tiles_says_no_more_than_that():
    plan = plan_of((6,), Level((0,), 3), point_bytes=4, tile_bytes=36)
    assert repr(plan) == textwrap.dedent(
        """\
        <gridax.Plan>
        Points:  6 (a 6)
        Outputs: 24 B
        Blocks:  1
        Tile:    3 points (a: 3)
        Tiles:   2 in a block
        Devices: 1, about 36 B on each at a time"""
    )


def test_a_plan_of_a_single_point_says_so():
    assert "Points:  1 (no dimension)" in repr(plan_of(()))


@pytest.mark.parametrize(
    ("levels", "counts", "expected"),
    [
        ([Level((0,), 4)], [1, 2, 3, 4], (10, 16)),
        ([Level((0,), 2, depth=2)], [1, 2, 3, 4], (10, 12)),
        ([Level((0,), 1, depth=4)], [1, 2, 3, 4], (10, 10)),
        ([Level((0,), 2), Level((1,), 2)], [[1, 2], [3, 4]], (10, 16)),
        ([Level((0,), 2), Level((1,), 1, depth=2)], [[1, 2], [3, 4]], (10, 14)),
        ([Level((0,), 2), Level((1,), 5, depth=2)], [[1], [3]], (4, 6)),
        ([], 7, (7, 7)),
    ],
)
def test_points_wait_for_the_slowest_one_that_is_vectorized_with_them(levels, counts, expected):
    plan = plan_of((4,) * len(levels), *levels)
    assert plan.waiting(np.array(counts)) == expected
