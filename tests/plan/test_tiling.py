"""Levels, widths and blocks: what is vectorized together, and how much of it at a time."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

import pytest

from gridax._plan import tiling
from gridax._plan.tiling import ACCELERATOR, CPU, IN_FLIGHT, Sweep
from gridax._plan.work import Loop, Work

A, B, C = frozenset({0}), frozenset({1}), frozenset({2})


def simulation(*stages, each=1e6, carried=4096):
    """Work of points that take a millisecond, and of which a hundred fill the cache."""
    along = frozenset().union(*stages)
    loop = Loop(launches=each, operations=each / 1e3, carried={along: carried})
    return Work(dict.fromkeys(stages, each), loops=[loop])


def sweep(sizes, work, **options):
    options = {
        "dims": tuple("abcdefghijkl"[: len(sizes)]),
        "point_bytes": 4,
        "n_devices": 1,
        "groups": (None,) * len(sizes),
    } | options
    return Sweep(sizes=sizes, work=work, **options)


def dims_of(levels):
    return [level.dims for level in levels]


def widths_of(plan):
    return tuple(level.width for level in plan.levels)


def n_tiles(plan):
    """The number of tiles in the first block, which is the largest."""
    return plan.n_tiles(next(plan.blocks()))


def test_dimensions_that_always_vary_together_are_one_level():
    assert dims_of(sweep((10, 20), Work({A | B: 1e6})).levels()) == [(0, 1)]


def test_a_stage_along_one_dimension_gives_it_a_level_of_its_own():
    work = Work({C: 1e6, A | B | C: 1e6})
    assert dims_of(sweep((4, 5, 6), work).levels()) == [(0, 1), (2,)]


def test_a_stage_that_costs_next_to_nothing_gives_no_level():
    assert dims_of(sweep((4, 5), Work({A: 1.0, A | B: 1e6})).levels()) == [(0, 1)]


def test_a_stage_that_only_moves_much_memory_gives_a_level():
    assert dims_of(sweep((4, 5), Work({A | B: 1e3}, stacked={A: 10**6})).levels()) == [(0,), (1,)]


def test_levels_need_not_be_neighbors():
    assert dims_of(sweep((4, 5, 6), Work({B: 1e6, A | B | C: 1e6})).levels()) == [(0, 2), (1,)]


def test_a_static_choice_is_a_level_of_its_own():
    groups = (((0,), (1,)), None)
    chosen = sweep((2, 5), Work({B: 1e6}), groups=groups)
    assert dims_of(chosen.levels()) == [(0,), (1,)]
    assert [level.groups for level in chosen.levels()] == list(groups)
    assert chosen.plan().tile[0] == 1


def test_a_shared_stage_makes_a_tile_long_in_the_other_level():
    # The expensive stage varies along b: once computed, it should serve as many of a as fit.
    work = Work({B: 1e6, A | B: 1e3}, launches=1e4)
    assert widths_of(sweep((64, 64), work).plan(n_vmap=64)) == (64, 1)


@pytest.mark.parametrize("n_vmap", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "work",
    [
        Work({A | B: 1e3, B: 1e4}),
        Work({A: 1.0, B: 1e7}),
        Work({A | B: 1.0}, launches=1e9, uneven=A),
    ],
    ids=["shared", "lopsided", "uneven"],
)
def test_points_that_are_vectorized_are_as_many_as_the_user_says_or_up_to_half(n_vmap, work):
    chosen = sweep((9, 11), work).plan(n_vmap)
    assert n_vmap / 2 < chosen.n_vmap <= n_vmap


def test_more_points_than_there_are_cannot_be_vectorized():
    assert sweep((9, 11), Work({A | B: 1e3})).plan(n_vmap=10**6).n_vmap == 99


@pytest.mark.parametrize("memory", [10**6, 10**5, 10**4])
def test_a_bound_on_the_memory_makes_smaller_tiles(memory):
    loop = Loop(launches=1e6, operations=1e3, carried={A | B: 1000})
    wide = sweep((64, 64), Work({A | B: 1e3}, loops=[loop], stacked={A: 500}))
    chosen = wide.plan(memory=memory)
    assert wide.nbytes(chosen.levels, widths_of(chosen)) <= memory
    assert 1 <= chosen.n_vmap < wide.plan().n_vmap


def test_a_single_point_is_planned_even_where_the_memory_is_too_small_for_it():
    loop = Loop(carried={A: 10**9})
    assert sweep((8,), Work({A: 1e9}, loops=[loop])).plan(memory=1000).tile == (1,)


@pytest.mark.parametrize("n_vmap", [None, 64])
@pytest.mark.parametrize("most", [1, 5, 16])
def test_a_tile_holds_no_more_points_than_are_known_to_fit(n_vmap, most):
    tile = sweep((64, 64), Work({A | B: 10.0})).plan(n_vmap, most=most).tile
    assert 1 <= math.prod(tile) <= most


def test_large_outputs_make_small_tiles():
    wide = sweep((64, 64), Work({A | B: 1e3})).plan()
    narrow = sweep((64, 64), Work({A | B: 1e3}), point_bytes=2**22).plan()
    assert math.prod(narrow.tile) <= 16 < math.prod(wide.tile)


def test_points_whose_loops_end_at_different_turns_do_not_wait_for_too_many_others():
    even = simulation(A | B, each=1e5)
    uneven = dataclasses.replace(even, uneven=A)
    assert sweep((64, 64), uneven).plan().n_vmap < sweep((64, 64), even).plan().n_vmap


def test_uneven_loops_that_carry_few_bytes_run_one_point_at_a_time_many_in_a_call():
    loop = Loop(launches=1e6, operations=1e3, carried={A: 8})
    plan = sweep((10_000,), Work({A: 1e3}, loops=[loop], uneven=A)).plan()
    assert plan.n_vmap == 1
    assert plan.levels[0].depth > 100


def test_uneven_loops_that_carry_many_bytes_are_vectorized():
    loop = Loop(launches=1e6, operations=1e3, carried={A: 4096})
    assert sweep((10_000,), Work({A: 1e3}, loops=[loop], uneven=A)).plan().n_vmap > 1


def test_a_loop_is_free_of_launches_only_as_long_as_all_points_of_a_tile_carry_few_bytes():
    loop = Loop(launches=1e6, operations=10.0, carried={A: CPU.native // 4})
    found = sweep((64,), Work(loops=[loop]))
    one, four, eight = (found.nanoseconds(found.levels(), (w,)) * w for w in (1, 4, 8))
    assert one < 1e7 > four
    assert eight > 60e6


@pytest.mark.parametrize("n_devices", [2, 4])
def test_deep_tiles_leave_several_tiles_for_each_device(n_devices):
    loop = Loop(launches=1e6, operations=1e3, carried={A: 8})
    work = Work({A: 1e3}, loops=[loop], uneven=A)
    plan = sweep((10_000,), work, n_devices=n_devices).plan()
    assert plan.levels[0].depth > 1
    assert n_tiles(plan) >= 8 * n_devices


def test_tiles_of_a_choice_are_no_deeper_than_it_has_points():
    groups = (tuple((k,) for k in range(100)),)
    assert sweep((100,), Work({A: 1e3}), groups=groups).plan().tile == (1,)


def test_tiles_that_take_long_are_not_deep():
    assert sweep((64, 64), Work({A | B: 1e7})).plan(n_vmap=1).levels[0].depth == 1


def test_short_tiles_are_deep_along_the_level_with_the_most_runs():
    work = Work({B: 1e3, A | B: 1e3})
    levels = sweep((4, 1000), work).with_widths((4, 1)).levels
    assert [level.depth > 1 for level in levels] == [False, True]


def test_runs_of_deep_tiles_are_evened_out():
    plan = sweep((1000,), Work({A: 3e3})).with_widths((1,))
    assert plan.tile == (500,)  # not 667 and 333


def test_an_accelerator_gets_no_deep_tiles():
    plan = sweep((10_000,), Work({A: 1e3}), costs=ACCELERATOR).plan(n_vmap=16)
    assert plan.levels[0].depth == 1


def test_an_accelerator_gets_wider_tiles_than_a_core():
    work = Work({A: 1e6}, loops=[Loop(launches=1e6, operations=1e3, carried={A: 2**14})])
    wide = sweep((10_000,), work, costs=ACCELERATOR).plan()
    assert wide.n_vmap > sweep((10_000,), work).plan().n_vmap


def test_a_model_that_costs_nothing_is_planned_for_an_accelerator_too():
    assert sweep((3,), Work(), point_bytes=0, costs=ACCELERATOR).plan().n_points == 3


def test_a_small_grid_is_one_tile():
    plan = sweep((5, 5), Work({A | B: 1.0})).plan()
    assert (plan.n_blocks, n_tiles(plan)) == (1, 1)


def test_every_device_gets_a_tile_if_there_are_enough_points():
    plan = sweep((100, 100), Work({A | B: 1e5}), n_devices=4).plan()
    assert plan.n_devices == 4
    assert n_tiles(plan) >= 4


def test_no_more_devices_are_used_than_there_are_tiles():
    assert sweep((3,), Work({A: 1e9}), n_devices=8).plan(n_vmap=1).n_devices == 3


def test_a_grid_without_dimensions_is_one_tile():
    plan = sweep((), Work()).plan()
    assert (plan.levels, plan.block, n_tiles(plan)) == ((), (), 1)


def test_a_long_sweep_is_cut_to_blocks_of_neighbors_that_take_long_enough_to_time():
    long = sweep((1000, 50, 20), simulation(A | B | C))
    plan = long.plan()
    assert plan.n_blocks > 1
    assert any(
        plan.block == (*(1,) * dim, plan.block[dim], *plan.sizes[dim + 1 :]) for dim in range(3)
    )
    seconds = long.nanoseconds(long.levels(), widths_of(plan)) / 1e9
    assert seconds / plan.n_blocks > 0.4


def test_a_block_holds_at_least_two_runs_along_each_level():
    plan = sweep((400, 500), simulation(A, A | B)).plan()
    assert plan.n_blocks > 1
    for level in plan.levels:
        whole = level.size(plan.sizes)
        assert level.size(plan.block) >= min(2 * level.length, whole)


def test_a_block_has_several_tiles_for_every_device():
    plan = sweep((10_000, 20), simulation(A | B), n_devices=4).plan()
    assert plan.n_blocks > 1
    assert n_tiles(plan) >= 8 * 4


@pytest.mark.parametrize(
    ("each", "options", "arguments"),
    [
        (1e5, {}, {}),
        (1e7, {"groups": (((0, 1), tuple(range(2, 100))), None)}, {}),
        (1e7, {}, {"n_vmap": 8}),
    ],
    ids=["short", "a choice", "fixed"],
)
def test_sweeps_that_are_not_measured_are_one_block(each, options, arguments):
    long = sweep((100, 100), simulation(A | B, each=1e7)).plan()
    plan = sweep((100, 100), simulation(A | B, each=each), **options).plan(**arguments)
    assert (plan.n_blocks, plan.block) == (1, plan.sizes)
    assert long.n_blocks > 1


def test_neighbors_have_twice_or_half_the_width_along_one_level():
    work = Work({B: 1e6, A | B: 1e6})
    both = sweep((1000, 100), work)
    plan = both.with_widths((8, 4))
    found = both.neighbors(plan, most=1000)
    assert [widths_of(other) for other in found] == [(16, 4), (4, 4), (8, 8), (8, 2)]


def test_neighbors_vectorize_no_more_points_than_may_be_and_no_less_than_one():
    one = sweep((10_000,), Work({A: 1e6}))
    assert [widths_of(p) for p in one.neighbors(one.with_widths((8,)), most=15)] == [(4,)]
    assert [widths_of(p) for p in one.neighbors(one.with_widths((1,)), most=15)] == [(2,)]


def test_neighbors_keep_the_blocks_and_fit_into_one():
    one = sweep((10_000, 10), Work({A | B: 1e6}))
    plan = dataclasses.replace(one.with_widths((8,)), block=(1, 10))
    (narrower,) = one.neighbors(plan, most=1000)
    assert (widths_of(narrower), narrower.block) == ((4,), (1, 10))


def test_neighbors_are_no_deeper_than_is_known_to_fit():
    loop = Loop(launches=1e6, operations=1e3, carried={A: 8})
    long = sweep((10**6,), Work({A: 1e3}, loops=[loop], uneven=A), point_bytes=4000)
    plan = long.plan(most=16)
    assert plan.n_blocks > 1
    assert all(math.prod(p.tile) <= 4 * 16 for p in long.neighbors(plan, most=4 * 16))


def test_a_narrower_plan_halves_the_longest_level_and_its_depth_first():
    found = sweep((1000, 1000), Work({B: 1e3, A | B: 1e3}))
    plan = found.with_widths((4, 2))
    deep = max(level.depth for level in plan.levels)
    narrower = found.narrower(plan)
    assert widths_of(narrower) == (4, 2)
    assert max(level.depth for level in narrower.levels) == deep // 2
    assert (narrower.block, narrower.tile_bytes) == (plan.block, plan.tile_bytes // 2)


def test_narrower_and_narrower_plans_end_at_a_single_point():
    found = sweep((50, 30), Work({B: 1e3, A | B: 1e3}))
    plans = [found.with_widths((13, 4))]
    while (narrower := found.narrower(plans[-1])) is not None:
        plans.append(narrower)
    points = [math.prod(plan.tile) for plan in plans]
    assert all(2 * fewer <= more for more, fewer in itertools.pairwise(points))
    assert points[-1] == 1


def test_nanoseconds_count_what_is_shared_once_per_place_and_not_once_per_point():
    both = sweep((8, 8), Work({A: 1e6, A | B: 1.0}))
    bare = both.levels()
    wide, long = both.nanoseconds(bare, (8, 1)), both.nanoseconds(bare, (1, 8))
    assert wide > 7 * long


def test_nanoseconds_are_shared_between_devices():
    work = Work({A: 1e7})
    one, four = (sweep((64,), work, n_devices=n) for n in (1, 4))
    alone = one.nanoseconds(one.levels(), (4,))
    assert four.nanoseconds(four.levels(), (4,)) == pytest.approx(alone / 4, rel=0.01)


def test_the_best_tiles_take_as_long_as_is_estimated():
    both = sweep((64, 48), simulation(B, A | B))
    plan = both.plan()
    assert both.estimate() == both.nanoseconds(both.levels(), widths_of(plan))


def test_a_call_of_several_devices_costs_more():
    def calling(n_devices, n_points):
        one = sweep((n_points,), Work({A: 1e7}), n_devices=n_devices)
        return one.nanoseconds(one.levels(), (1,))

    extra = calling(4, 4) - calling(1, 1)  # one tile for each
    assembled = 4 * 4 * CPU.assembled  # four bytes from each
    assert extra == pytest.approx(CPU.call_of_several - CPU.call + assembled)


def test_threads_make_a_loop_faster_that_carries_enough_for_them():
    threads = dataclasses.replace(CPU, threads=4)

    def each(nbytes, costs):
        found = sweep((64,), Work({A: 1e6}, loops=[Loop(carried={A: nbytes})]), costs=costs)
        return found.nanoseconds(found.levels(), (1,))

    assert each(CPU.thread, threads) == each(CPU.thread, CPU)
    assert each(4 * CPU.thread, threads) < each(4 * CPU.thread, CPU) / 2
    assert each(4 * CPU.thread, threads) == each(
        4 * CPU.thread, dataclasses.replace(CPU, threads=5)
    )


def test_what_does_not_fit_into_the_cache_takes_longer():
    def each(nbytes):
        work = Work({A: 1e6}, loops=[Loop(carried={A: nbytes})])
        return sweep((64,), work).nanoseconds(sweep((64,), work).levels(), (1,))

    assert each(CPU.cache) == each(CPU.cache // 2) < each(2 * CPU.cache) < each(4 * CPU.cache)


def test_points_that_take_different_branches_pay_for_all_of_them():
    even, uneven = Work({A: 1e6}), Work({A: 1e6}, uneven=A)
    alone, together = (1,), (16,)
    bare = sweep((64,), even).levels()
    assert sweep((64,), even).nanoseconds(bare, alone) == sweep((64,), uneven).nanoseconds(
        bare, alone
    )
    assert sweep((64,), uneven).nanoseconds(bare, together) > CPU.masked * sweep(
        (64,), even
    ).nanoseconds(bare, together)


def test_bytes_are_those_of_stacks_of_the_largest_loop_twice_and_of_the_outputs():
    work = Work(
        {A: 1.0, B: 1.0},
        loops=[Loop(carried={A: 10}), Loop(carried={B: 100, A | B: 1})],
        stacked={A: 1000, A | B: 3},
    )
    both = sweep((8, 8), work, point_bytes=7)
    stacked = 4 * 1000 + 8 * 3
    carried = 2 * 100 + 8 * 1
    assert both.nbytes(both.levels(), (4, 2)) == stacked + 2 * carried + 8 * 7


def test_the_estimate_of_a_plan_has_the_outputs_that_wait_for_the_host():
    one = sweep((8,), Work({A: 1e9}), point_bytes=10)
    assert one.with_widths((4,)).tile_bytes == 4 * 10 + (1 + IN_FLIGHT) * 4 * 10


def test_with_widths_keeps_one_block_if_they_are_fixed():
    one = sweep((10_000,), Work({A: 1e7}))
    assert one.with_widths((8,), fixed=True).n_blocks == 1 < one.with_widths((8,)).n_blocks


def test_many_levels_are_planned_quickly():
    n = 12
    time_of = {frozenset({d}): 1e5 for d in range(n)} | {frozenset(range(n)): 1e5}
    many = sweep((6, 7) * (n // 2), Work(time_of))
    start = time.process_time()
    plan = many.plan(n_vmap=512)
    assert time.process_time() - start < 5
    assert len(plan.levels) == n
    assert 1 <= plan.n_vmap <= 512


def test_many_levels_leave_no_more_combinations_than_can_be_tried():
    work = Work({frozenset({d}): 1e5 for d in range(12)})
    many = sweep((100,) * 12, work)
    tried = list(many._candidates(many.levels()))
    assert len(tried) <= tiling._MOST_COMBINATIONS
    assert (1,) * 12 in tried
