"""Levels and widths: what is vectorized together to begin with, and what else is tried."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

import pytest

from gridax._plan.chain import Chain
from gridax._plan.plan import Level
from gridax._plan.tiling import CALL, IN_FLIGHT, Sweep
from gridax._plan.widths import ACCELERATOR, CPU
from gridax._plan.work import Work

A, B, C = frozenset({0}), frozenset({1}), frozenset({2})


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
    return plan.n_tiles(next(plan.blocks()))


def test_dimensions_that_always_vary_together_are_one_level():
    assert dims_of(sweep((10, 20), Work({A | B: 1e6})).widths.levels()) == [(0, 1)]


def test_a_stage_along_one_dimension_gives_it_a_level_of_its_own():
    work = Work({C: 1e6, A | B | C: 1e6})
    assert dims_of(sweep((4, 5, 6), work).widths.levels()) == [(0, 1), (2,)]


def test_a_stage_that_costs_next_to_nothing_gives_no_level():
    assert dims_of(sweep((4, 5), Work({A: 1.0, A | B: 1e6})).widths.levels()) == [(0, 1)]


def test_many_cheap_stages_together_give_levels():
    stages = {frozenset({d}): 1e5 for d in range(12)}
    many = sweep((6, 7) * 6, Work(stages | {frozenset(range(12)): 1e5}))
    assert len(many.widths.levels()) == 12


def test_a_stage_that_only_moves_much_memory_gives_a_level():
    assert dims_of(sweep((4, 5), Work({A | B: 1e3}, stacked={A: 10**6})).widths.levels()) == [
        (0,),
        (1,),
    ]


def test_levels_need_not_be_neighbors():
    assert dims_of(sweep((4, 5, 6), Work({B: 1e6, A | B | C: 1e6})).widths.levels()) == [
        (0, 2),
        (1,),
    ]


def test_a_static_choice_is_a_level_of_its_own():
    groups = (((0,), (1,)), None)
    chosen = sweep((2, 5), Work({B: 1e6}), groups=groups)
    assert dims_of(chosen.widths.levels()) == [(0,), (1,)]
    assert [level.groups for level in chosen.widths.levels()] == list(groups)
    assert chosen.plan().tile[0] == 1


def test_a_shared_stage_makes_a_tile_long_in_the_other_level():
    # The expensive stage varies along b: once computed, it should serve as many of a as fit.
    assert widths_of(sweep((64, 64), Work({B: 1e6, A | B: 1e3})).plan(n_vmap=64)) == (64, 1)


@pytest.mark.parametrize("n_vmap", [1, 2, 7, 64, 100])
@pytest.mark.parametrize(
    "work",
    [Work({A | B: 1e3, B: 1e4}), Work({A: 1.0, B: 1e7}), Work({A | B: 1.0}, uneven=A)],
    ids=["shared", "lopsided", "uneven"],
)
def test_points_that_are_vectorized_are_as_many_as_the_user_says_or_up_to_half(n_vmap, work):
    chosen = sweep((65, 11), work).plan(n_vmap)
    assert n_vmap / 2 < chosen.n_vmap <= n_vmap


def test_more_points_than_there_are_cannot_be_vectorized():
    assert sweep((9, 11), Work({A | B: 1e3})).plan(n_vmap=10**6).n_vmap == 99


def test_runs_have_nearly_equal_lengths():
    assert sweep((1030,), Work({A: 1e3})).plan(n_vmap=512).n_vmap == 352  # not 512, 512 and 6


@pytest.mark.parametrize(("size", "n_vmap"), [(1030, 352), (1000, 512), (330, 330)])
def test_runs_fill_vectors_if_they_are_hardly_longer_then(size, n_vmap):
    assert sweep((size,), Work({A: 1e3})).plan(n_vmap=512).n_vmap == n_vmap
    even = sweep((size,), Work({A: 1e3}), start=dataclasses.replace(CPU, vector=1))
    assert even.plan(n_vmap=512).n_vmap == math.ceil(size / math.ceil(size / 512))


def last(least, most):
    return dataclasses.replace(CPU, last=(least, most))


def test_points_come_last_if_they_fill_vectors():
    work = Work({A: 1e3}, turns=100)
    for size, expected in ((1000, True), (64, True), (31, False), (16, False)):
        plan = sweep((size,), work, start=last(32, 256)).plan()
        assert plan.points_last is expected
        assert plan.n_vmap <= (256 if expected else 1000)
    assert not sweep((1000,), work).plan().points_last
    assert sweep((16,), work, start=last(16, 256)).plan().points_last
    assert not sweep((1000,), work, start=last(32, 256)).plan(n_vmap=8).points_last


def test_the_stage_that_takes_most_of_the_time_fills_vectors_where_points_come_last():
    work = Work({A | B: 1e3, B: 900.0}, turns=100)
    plan = sweep((64, 64), work, start=last(32, 256)).plan()
    assert plan.points_last
    assert max(widths_of(plan)) == 64
    # Most is shared along b, and vectors along a would take that away.
    work = Work({A: 1e5, A | B: 1e3}, stacked={A | B: 10**5}, turns=100)
    plan = sweep((64, 64), work, start=last(32, 256)).plan()
    assert not plan.points_last
    assert widths_of(plan)[1] == 64


def test_a_long_sweep_tries_points_first_and_last():
    work = Work({A: 1e3}, turns=100)
    for start, expected in ((last(32, 256), {True}), (CPU, {False})):
        both = sweep((10_000,), work, start=start, points_last=True)
        plan = both.plan()
        assert {plan.points_last} == expected
        others = [*both.others(plan, 1e-6, most=10**4)]
        assert {other.points_last for other in others} == {True, False}
        only = dataclasses.replace(both, points_last=False, start=CPU)
        assert not any(other.points_last for other in only.others(only.plan(), 1e-6, most=10**4))
    assert not both.in_lanes(16).points_last


@pytest.mark.parametrize("memory", [10**6, 10**5, 10**4])
def test_a_bound_on_the_memory_makes_smaller_tiles(memory):
    wide = sweep((64, 64), Work({A | B: 1e3}, live={A | B: 1000}, stacked={A: 500}))
    chosen = wide.plan(memory=memory)
    assert wide.widths.nbytes(chosen.levels) <= memory
    assert 1 <= chosen.n_vmap <= wide.plan().n_vmap


def test_a_single_point_is_planned_even_where_the_memory_is_too_small_for_it():
    assert sweep((8,), Work({A: 1e9}, live={A: 10**9})).plan(memory=1000).tile == (1,)


@pytest.mark.parametrize("n_vmap", [None, 64])
@pytest.mark.parametrize("most", [1, 5, 16])
def test_a_tile_holds_no_more_points_than_are_known_to_fit(n_vmap, most):
    tile = sweep((64, 64), Work({A | B: 10.0})).plan(n_vmap, most=most).tile
    assert 1 <= math.prod(tile) <= most


def test_large_outputs_make_small_calls():
    wide = sweep((640, 64), Work({A | B: 1e3})).plan(n_vmap=8)
    narrow = sweep((640, 64), Work({A | B: 1e3}), point_bytes=2**22).plan(n_vmap=8)
    assert math.prod(narrow.tile) <= 16 < math.prod(wide.tile)


def loop(**options):
    return Work({A: 1e3}, turns=100, **options)


def test_what_a_loop_works_on_fits_into_the_cache():
    nbytes = CPU.cache // 100
    assert sweep((10_000,), loop(live={A: nbytes})).plan().n_vmap in range(50, 101)
    assert sweep((1000,), loop(live={frozenset(): nbytes})).plan().n_vmap == 1000


def test_single_points_do_not_take_branches_with_large_arrays_that_they_need_not():
    times, large = {A: 100.0}, {A: 1000}
    assert sweep((256,), Work(times, large, branched=40.0)).plan().n_vmap == 1
    assert sweep((256,), Work(times, {A: 200}, branched=40.0)).plan().n_vmap == 256
    assert sweep((256,), Work(times, large, branched=20.0)).plan().n_vmap == 256


def test_loops_that_are_compiled_as_a_whole_have_tiles_of_their_own_width():
    start = dataclasses.replace(CPU, whole=2048)
    assert sweep((10_000,), loop(live={A: 16}), start=start).plan().n_vmap == 512
    assert sweep((10_000,), loop(live={A: 500}), start=start).plan().n_vmap == 512
    assert sweep((1000,), loop(), start=dataclasses.replace(CPU, whole=256)).plan().n_vmap == 256


@pytest.mark.parametrize(
    ("n", "width", "n_threads"),
    [(8, 4, 2), (9, 32, 1), (25, 32, 1), (32, 32, 1), (50, 32, 2), (64, 32, 2), (100, 64, 2)],
)
def test_tiles_of_such_loops_fill_vectors_though_some_points_are_computed_twice(
    n, width, n_threads
):
    start = dataclasses.replace(CPU, whole=2048)
    plan = sweep((n,), loop(live={A: 16}), start=start, n_threads=2).plan()
    assert (plan.n_vmap, plan.n_threads) == (width, n_threads)
    assert sweep((n,), loop(live={A: 16}), start=start).plan(n_vmap=n).n_vmap == n
    # Loops that are not whole take as long per operation, however many points there are.
    assert sweep((n,), loop(live={A: 16}), n_threads=2).plan().n_vmap <= max(n / 2 + 1, 8)


def test_points_are_not_repeated_if_they_do_not_fit_or_must_not_be():
    start = dataclasses.replace(CPU, whole=2048)
    few = sweep((12,), loop(live={A: 16}), start=start)
    assert few.plan().n_vmap == 32
    assert few.plan(most=31).n_vmap == few.plan(memory=32 * 4 * (2 + 3)).n_vmap == 12
    chain = dataclasses.replace(few, sizes=(12, 3), dims=("a", "b"), groups=(None, None))
    chain = dataclasses.replace(chain, chain=Chain(1))
    assert chain.plan().n_vmap == 12
    arrays = sweep((12,), loop(live={A: 1000}), start=start)
    assert arrays.plan().n_vmap == 12


def test_tiles_of_such_loops_are_wider_if_points_share_what_is_in_them():
    start, work = dataclasses.replace(CPU, whole=2048), Work({A: 1e3, A | B: 1e3}, turns=100)
    assert sweep((100, 100), work, start=start).plan().n_vmap > 1024


def test_straight_code_is_evaluated_at_once_and_small_loops_in_parts():
    assert sweep((10_000,), Work({A: 1e3}, live={A: 16})).plan().n_vmap == 10_000
    assert sweep((10_000,), loop(live={A: 16})).plan().n_vmap == 2000  # five times
    assert sweep((10_000,), loop(live={A: 500})).plan().n_vmap == 10_000


def test_straight_code_does_not_need_new_memory_in_each_call():
    work = Work({A: 1e3}, live={A: 2**16})
    assert sweep((10_000,), work).plan().n_vmap == 512  # 32 MB
    assert sweep((10_000,), work, start=ACCELERATOR).plan().n_vmap > 512


def test_convolutions_are_not_put_into_a_loop_over_tiles():
    work = Work({A: 1e3}, live={A: 2**16})
    assert sweep((10_000,), work).plan().levels[0].depth > 1
    work = dataclasses.replace(work, convolves=True)
    assert [level.depth for level in sweep((10_000,), work).plan().levels] == [1]
    start = dataclasses.replace(CPU, is_wide=True)
    assert sweep((10_000,), work, start=start).plan().levels[0].depth > 1


def test_points_whose_loops_end_at_different_turns_do_not_wait_for_all_others():
    assert sweep((256,), loop()).plan().n_vmap == 256
    assert sweep((256,), loop(uneven=A)).plan().n_vmap == 64
    assert sweep((10_000,), loop(uneven=A)).plan().n_vmap == 512


def test_what_is_called_point_by_point_is_not_vectorized():
    called = sweep((100, 30), Work({A: 1e6, A | B: 1e3}, serial=A))
    plan = called.plan()
    assert [(level.dims, level.width) for level in plan.levels] == [((0,), 1), ((1,), 30)]
    for other in called.others(plan, 1e-5, most=10**4):
        assert all(level.width == 1 for level in other.levels if 0 in level.dims)


def test_large_matrices_do_not_become_a_batch_unless_that_is_measured():
    work = Work({A | B: 1e6}, apart=A, turns=100)
    both = sweep((20, 50), work)
    plan = both.plan()
    assert [(level.dims, level.width) for level in plan.levels] == [((0,), 1), ((1,), 50)]
    assert both.plan(n_vmap=100).n_vmap > 50
    assert any(
        level.width > 1
        for other in both.others(plan, 1e-5, most=10**4)
        for level in other.levels
        if 0 in level.dims
    )


def test_a_call_evaluates_as_many_points_as_take_long_enough():
    each = 1e3  # nanoseconds
    plan = sweep((10**6,), Work({A: each}, turns=100)).plan()
    assert 0.5 * CALL < math.prod(plan.tile) * each * 1e-9 <= CALL
    assert plan.n_vmap <= CPU.width


def test_runs_of_deep_tiles_are_evened_out():
    plan = sweep((1004,), Work({A: 3e4})).plan(n_vmap=1)
    assert plan.tile == (126,)  # not eight of 125 and 4


def test_a_sweep_that_takes_long_enough_to_be_measured_has_several_calls():
    assert n_tiles(sweep((10_000,), Work({A: 1e3})).plan(n_vmap=16)) == 1
    assert n_tiles(sweep((10_000,), Work({A: 3e3})).plan(n_vmap=16)) >= 8


def test_single_points_are_soon_tried_if_they_leave_out_branches():
    branched = sweep((100, 100), Work({A | B: 100.0}, branched=40.0))
    others = [*branched.others(branched.plan(n_vmap=64), 1e-6, most=10**4)]
    assert others[1].n_vmap == 1
    plain = sweep((100, 100), Work({A | B: 100.0}, branched=20.0))
    others = [*plain.others(plain.plan(n_vmap=64), 1e-6, most=10**4)]
    assert others[1].n_vmap > 1


def test_levels_that_merge_a_stage_are_soon_tried_apart():
    merged = sweep((60, 60, 60), Work({A | B | C: 100.0, A | C: 5.0}))
    plan = merged.plan(n_vmap=64)
    assert [level.dims for level in plan.levels] == [(0, 1, 2)]
    others = [*merged.others(plan, 1e-6, most=10**4)]
    assert [level.dims for level in others[1].levels] == [(0,), (1,), (2,)]
    alike = sweep((60, 60, 60), Work({A | B | C: 100.0, A | C: 0.5}))
    others = [*alike.others(alike.plan(n_vmap=64), 1e-6, most=10**4)]
    assert [level.dims for level in others[1].levels] == [(0, 1, 2)]


@pytest.mark.parametrize("n_devices", [2, 4])
def test_deep_tiles_leave_several_tiles_for_each_device(n_devices):
    plan = sweep((10_000,), Work({A: 1e4}), n_devices=n_devices).plan(n_vmap=16)
    assert plan.levels[0].depth > 1
    assert n_tiles(plan) == 8 * n_devices


@pytest.mark.parametrize("n_devices", [2, 3, 4])
def test_short_sweeps_have_as_many_calls_on_each_device_as_take_half_a_millisecond(n_devices):
    for milliseconds, n_calls in ((0.01, 1), (0.9, 1), (1.1, 2), (2.1, 4), (9, 8)):
        work = Work({A: milliseconds * 1e6 / 4800})
        plan = sweep((4800 * n_devices,), work, n_devices=n_devices).plan(n_vmap=16)
        assert n_tiles(plan) == n_calls * n_devices, milliseconds


def test_tiles_of_a_choice_are_no_deeper_than_it_has_points():
    groups = (tuple((k,) for k in range(100)),)
    assert sweep((100,), Work({A: 1e3}), groups=groups).plan().tile == (1,)


def test_tiles_that_take_long_are_not_deep():
    assert sweep((64, 64), Work({A | B: 1e8})).plan(n_vmap=1).tile == (1,)


@pytest.mark.parametrize(
    "work",
    [
        Work({A | B: 1e6}, live={A | B: 2**14}, turns=100),
        Work({A | B: 1e6}, live={A | B: 16}, turns=100, uneven=A | B, lanes=A | B),
        Work({A: 1e6, A | B: 1e6}, turns=100, apart=A),
        Work({A | B: 1e6}, live={A | B: 2**12}, branched=1e6),
        Work({A | B: 1e6}, live={A | B: 2**14}),
    ],
    ids=["loop", "uneven", "products", "branches", "straight"],
)
def test_an_accelerator_evaluates_all_points_at_a_time_if_they_fit(work):
    wide = sweep((500, 400), work, start=ACCELERATOR)
    assert wide.plan().n_vmap == 500 * 400 > sweep((500, 400), work).plan().n_vmap
    assert wide.plan(memory=2**20).n_vmap < 500 * 400


def test_an_accelerator_does_not_try_single_points():
    work = Work({A | B: 1e6}, live={A | B: 2**12}, turns=100, branched=1e6)
    for start, least in ((CPU, 1), (ACCELERATOR, 4096 // 4)):
        plan = sweep((640, 640), work, start=start).plan(n_vmap=4096)
        tried = sweep((640, 640), work, start=start).others(plan, 1e-4, most=2**20)
        assert least == min(other.n_vmap for other in tried)


def test_a_model_that_costs_nothing_is_planned():
    for start in (CPU, ACCELERATOR):
        assert sweep((3,), Work(), point_bytes=0, start=start).plan().n_points == 3


def test_a_small_grid_is_one_tile():
    plan = sweep((5, 5), Work({A | B: 1.0})).plan()
    assert (plan.n_blocks, n_tiles(plan)) == (1, 1)


def test_every_device_gets_a_tile_if_there_are_enough_points():
    for sizes in ((100, 100), (20, 10)):
        plan = sweep(sizes, Work({A | B: 1e5}), n_devices=4).plan()
        assert plan.n_devices == 4
        assert n_tiles(plan) >= 4


def test_no_more_devices_are_used_than_there_are_tiles():
    assert sweep((3,), Work({A: 1e9}), n_devices=8).plan(n_vmap=1).n_devices == 3


def test_a_grid_without_dimensions_is_one_tile():
    plan = sweep((), Work()).plan()
    assert (plan.levels, plan.block, n_tiles(plan)) == ((), (), 1)


def test_a_plan_within_blocks_has_tiles_of_a_block():
    plan = sweep((100, 100), Work({A | B: 1e3})).plan(block=(10, 10))
    assert (plan.sizes, plan.block) == ((100, 100), (10, 10))
    assert math.prod(plan.tile) <= 100


def test_a_short_sweep_needs_one_device():
    assert sweep((10,), Work({A: 1e4})).is_short
    assert not sweep((1000,), Work({A: 1e4})).is_short
    assert sweep((1000,), Work({A: 1e4})).seconds() == pytest.approx(0.01)


def kinds_of(plans):
    return [plan.kind[4:] for plan in plans]


def test_other_plans_are_wider_narrower_nested_flat_and_single_points():
    both = sweep((100, 100), Work({A | B: 1e3}))
    kinds = kinds_of(both.others(both.plan(n_vmap=64), 1e-6, most=10**4))
    level = (0, 1)
    assert ((level, 256),) in kinds
    assert ((level, 16),) in kinds
    assert max(dict(kind).get(level, 0) for kind in kinds) > 2000  # up to a third of all
    assert any(set(dict(kind)) == {(0,), (1,)} for kind in kinds)
    assert () in kinds


def test_plans_with_levels_of_their_own_are_also_tried_flat():
    both = sweep((100, 100), Work({A: 1e6, A | B: 1e6}))
    plan = both.plan(n_vmap=64)
    assert len(plan.levels) == 2
    kinds = kinds_of(both.others(plan, 1e-6, most=10**4))
    assert any(set(dict(kind)) == {(0, 1)} for kind in kinds)


def test_one_device_is_tried_in_place_of_several():
    both = sweep((100, 100), Work({A | B: 1e5}), n_devices=4)
    others = list(both.others(both.plan(), 1e-6, most=10**4))
    assert {plan.n_devices for plan in others} == {1, 4}


def test_other_plans_keep_the_block_and_have_no_more_points_than_fit():
    both = sweep((100, 100), Work({A | B: 1e3}))
    plan = both.plan(block=(20, 50))
    for other in both.others(plan, 1e-6, most=300):
        assert (other.sizes, other.block) == (plan.sizes, plan.block)
        assert math.prod(other.tile) <= 300


def test_calls_of_other_plans_take_as_long_as_measured():
    one = sweep((10**6,), Work({A: 1.0}))
    for other in one.others(one.plan(), 1e-4, most=10**6):
        assert math.prod(other.tile) <= max(CALL / 1e-4, other.n_vmap)


def test_a_narrower_plan_halves_the_longest_level_and_its_depth_first():
    found = sweep((1000, 1000), Work({B: 1e3, A | B: 1e3}))
    plan = found.plan(n_vmap=8)
    deep = max(level.depth for level in plan.levels)
    narrower = found.narrower(plan)
    assert widths_of(narrower) == widths_of(plan)
    assert max(level.depth for level in narrower.levels) == deep // 2
    assert (narrower.block, narrower.tile_bytes) == (plan.block, plan.tile_bytes // 2)


def test_narrower_and_narrower_plans_end_at_a_single_point():
    found = sweep((50, 30), Work({B: 1e3, A | B: 1e3}))
    plans = [found.plan(n_vmap=52)]
    while (narrower := found.narrower(plans[-1])) is not None:
        plans.append(narrower)
    points = [math.prod(plan.tile) for plan in plans]
    assert all(2 * fewer <= more for more, fewer in itertools.pairwise(points))
    assert points[-1] == 1


def test_bytes_are_those_of_stacks_of_what_is_live_twice_and_of_the_outputs():
    work = Work({A: 1.0, B: 1.0}, live={B: 100, A | B: 1}, stacked={A: 1000, A | B: 3})
    both = sweep((8, 8), work, point_bytes=7)
    plan = both.plan(n_vmap=8)
    a, b = widths_of(plan)
    assert (
        both.widths.nbytes(plan.levels) == a * 1000 + a * b * 3 + 2 * (b * 100 + a * b) + a * b * 7
    )


def test_the_estimate_of_a_plan_has_the_outputs_that_wait_for_the_host():
    plan = sweep((8,), Work({A: 1e9}), point_bytes=10).plan(n_vmap=4)
    assert plan.tile_bytes == 4 * 10 + (1 + IN_FLIGHT) * 4 * 10


def test_many_levels_are_planned_quickly():
    n = 12
    time_of = {frozenset({d}): 1e5 for d in range(n)} | {frozenset(range(n)): 1e5}
    many = sweep((6, 7) * (n // 2), Work(time_of))
    start = time.process_time()
    plan = many.plan(n_vmap=512)
    assert time.process_time() - start < 5
    assert len(plan.levels) == n
    assert 256 < plan.n_vmap <= 512


def uneven(sizes, lanes=A, **options):
    work = Work({lanes: 1e5}, live={lanes: 16}, uneven=lanes, lanes=lanes, turns=100)
    return sweep(sizes, work, **options)


def test_iterations_are_counted_if_points_can_leave_the_loop():
    assert uneven((4096,)).plan().is_counted
    assert not sweep((4096,), Work({A: 1e5}, uneven=A, turns=100, no_lanes="why")).plan().is_counted
    assert sweep((4096,), Work({A: 1e5}, uneven=A, no_lanes="why")).plan().pace == "why"


def test_calls_are_short_while_it_is_unknown_how_long_a_loop_takes():
    short = sweep((10**7,), Work({A: 1.0}, live={A: 16}, uneven=A, lanes=A, turns=100))
    plan = short.plan()
    assert plan.levels[0].depth == 32
    again, *_ = short.others(plan, 1e-6, most=10**6)
    assert again.kind == plan.kind
    assert math.prod(again.tile) == pytest.approx(CALL / 1e-6, rel=0.1)


def test_lanes_are_tried_if_points_wait_for_long():
    one = uneven((4096,))
    plan = one.plan()
    assert one.suggested(plan, 1e-5, 0.3, most=10**4).lanes == CPU.lanes
    assert one.suggested(plan, 1e-5, 0.8, most=10**4) is None
    assert not any(other.lanes for other in one.others(plan, 1e-5, most=10**4))


def test_tiles_are_as_wide_as_those_of_even_loops_if_points_hardly_wait():
    one = uneven((4096,))
    assert one.plan().n_vmap == 512
    assert one.suggested(one.plan(), 1e-5, 0.95, most=10**4).n_vmap == 2048


def test_more_and_fewer_lanes_are_tried_next():
    one = uneven((10**6,))
    plan = one.in_lanes(64, 10**5)
    lanes = [other.lanes for other in one.others(plan, 1e-5, most=10**5)]
    assert lanes[:2] == [256, 16]


def test_a_tile_with_lanes_has_many_points_for_each_lane():
    plan = uneven((10**6,)).in_lanes(64, seconds=1e-3)
    assert plan.lanes == plan.n_vmap == 64
    assert math.prod(plan.tile) >= 16 * 64
    assert not plan.is_counted
    assert math.prod(uneven((10**6,)).in_lanes(64, 500).tile) <= 500
    assert uneven((10,)).in_lanes(64).lanes == 10


def test_few_points_have_fewer_lanes_so_that_some_follow():
    one = uneven((200,))
    assert one.suggested(one.plan(), 1e-3, 0.3, most=200).lanes == 50


def test_each_device_has_lanes_of_its_own():
    one = uneven((4096,), n_devices=4)
    assert one.in_lanes(64).tile == (1024,)
    assert one.in_lanes(64).n_devices == 4


def test_a_tile_with_lanes_has_all_points_of_the_dimensions_outside_the_loop():
    plan = uneven((1000, 7)).in_lanes(8, seconds=1e-3)
    assert plan.lanes == 8
    assert math.prod(plan.tile) > 16 * 8 * 7 / 2
    assert 7 in plan.tile


def test_lanes_keep_the_block():
    one = uneven((4096,))
    plan = one.plan(block=(1024,))
    first = one.suggested(plan, 1e-5, 0.3, most=10**4)
    assert (first.sizes, first.block) == ((4096,), (1024,))
    assert first.tile[0] <= 1024
    assert one.in_lanes(64, block=(100,)).tile[0] <= 100


def test_series_that_loops_write_stay_in_the_caches_unless_one_point_needs_more():
    nbytes = CPU.large // 32
    work = Work({A | B: 1e5}, live={A | B: 1000}, stacked={A | B: nbytes}, turns=1000)
    assert sweep((16, 16), work).plan().n_vmap == 32
    shared = Work({A | B: 1e5}, live={A | B: 1000}, stacked={A: nbytes}, turns=1000)
    assert sweep((16, 16), shared).plan().n_vmap == 256
    huge = Work({A: 1e5}, live={A: 1000}, stacked={A: 2 * CPU.large}, turns=1000)
    assert sweep((16,), huge).plan().n_vmap == 1


def test_no_tile_is_wide_at_the_price_of_computing_points_twice():
    shared = {A | B | C: 30.0, A: 1e-3, B: 1e-3, C: 1e-3}
    tiles = sweep((158, 159, 159), Work(shared))
    levels = [Level((dim,)) for dim in range(3)]
    wide = tiles.widths.wide(levels, 128_852, False, None)
    computed = [math.ceil(159 / level.width) * level.width / 159 for level in wide]
    assert math.prod(computed) < 1.1
    assert math.prod(level.width for level in wide) > 128_852 / 2
