"""Which plan a long sweep goes on with, by a clock that the test sets."""

from __future__ import annotations

import pytest

from gridax._plan.plan import Level, Plan
from gridax._plan.tuning import Tuner

POINTS = 1000  # of a block


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def plan_of(width):
    return Plan(("x",), (10**6,), (POINTS,), (Level((0,), width),))


def width_of(plan):
    return plan.levels[0].width


def doubled_and_halved(plan):
    width = width_of(plan)
    return [plan_of(w) for w in (2 * width, width // 2) if w]


@pytest.fixture
def clock():
    return Clock()


def tuner_at(width, clock, neighbors=doubled_and_halved, compiling=1.0):
    tuner = Tuner(plan_of(width), neighbors, clock)
    tuner.compiled(compiling)
    return tuner


def swept(tuner, clock, seconds, n_blocks=20, n_left=10**6):
    """Sweep block by block; return the widths that the tuner picked.

    `seconds` says how long a block takes by width.
    """
    picked = []
    for block in range(n_blocks):
        plan = tuner.next(n_left - block * POINTS)
        lap = tuner.begin(plan, POINTS)
        clock.now += seconds[width_of(plan)]
        tuner.end(lap)
        picked.append(width_of(plan))
    return picked


def test_the_first_plan_goes_on_until_it_was_timed(clock):
    tuner = tuner_at(8, clock)
    first, second = (tuner.begin(tuner.next(10**6), POINTS) for _ in range(2))
    assert width_of(first.plan) == width_of(second.plan) == 8
    clock.now += 1.0
    tuner.end(first)
    assert width_of(tuner.next(10**6)) == 16


def test_each_neighbor_is_tried_once_and_the_first_plan_kept_if_it_is_the_best(clock):
    tuner = tuner_at(8, clock)
    assert swept(tuner, clock, {4: 2.0, 8: 1.0, 16: 2.0}, n_blocks=6) == [8, 16, 4, 8, 8, 8]
    assert width_of(tuner.best) == 8


def test_it_climbs_from_better_to_better_plans(clock):
    tuner = tuner_at(8, clock)
    seconds = {4: 3.0, 8: 2.0, 16: 1.5, 32: 1.0, 64: 1.2}
    assert swept(tuner, clock, seconds, n_blocks=8) == [8, 16, 32, 64, 4, 32, 32, 32]
    assert width_of(tuner.best) == 32


def test_it_climbs_down_too(clock):
    tuner = tuner_at(8, clock)
    seconds = {1: 3.0, 2: 1.0, 4: 1.5, 8: 2.0, 16: 3.0}
    assert swept(tuner, clock, seconds, n_blocks=8) == [8, 16, 4, 2, 1, 2, 2, 2]


def test_the_way_back_is_not_tried_again(clock):
    tuner = tuner_at(8, clock)
    picked = swept(tuner, clock, {4: 3.0, 8: 2.0, 16: 1.0, 32: 3.0}, n_blocks=50)
    assert picked[:5] == [8, 16, 32, 4, 16]
    assert [picked.count(width) for width in (4, 8, 32)] == [1, 1, 1]


def test_a_plan_that_is_hardly_faster_is_not_better(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {4: 0.96, 8: 1.0, 16: 0.96})
    assert width_of(tuner.best) == 8


@pytest.mark.parametrize(("compiling", "picked"), [(1.0, 16), (20.0, 16), (60.0, 8), (1e6, 8)])
def test_a_neighbor_is_tried_only_if_what_is_left_repays_its_compilation(clock, compiling, picked):
    tuner = tuner_at(8, clock, compiling=compiling)
    swept(tuner, clock, {8: 1.0}, n_blocks=1)
    assert width_of(tuner.next(10**6)) == picked  # a thousand seconds are left


def test_neighbors_are_tried_no_more_when_little_is_left(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {8: 1.0}, n_blocks=1)
    assert width_of(tuner.next(19 * POINTS)) == 8
    assert width_of(tuner.next(20 * POINTS)) == 16


def test_the_longest_compilation_so_far_is_what_another_one_may_cost(clock):
    tuner = tuner_at(8, clock, compiling=100.0)
    tuner.compiled(0.0)  # known already
    swept(tuner, clock, {8: 1.0}, n_blocks=1)
    assert width_of(tuner.next(10**6)) == 8


def test_a_block_is_timed_from_when_the_one_before_was_done(clock):
    tuner = tuner_at(8, clock)
    first = tuner.begin(tuner.next(10**6), POINTS)
    clock.now += 10.0
    tuner.end(first)  # 10 seconds
    other = tuner.begin(tuner.next(10**6), POINTS)
    third = tuner.begin(tuner.next(10**6), POINTS)
    assert [width_of(lap.plan) for lap in (other, third)] == [16, 4]
    clock.now += 9.8
    tuner.end(other)  # not enough to be better
    clock.now += 2.0
    tuner.end(third)  # 11.8 since it was begun, but 2 of its own
    assert width_of(tuner.best) == 4


def test_time_in_which_nothing_is_under_way_counts_for_no_block(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {8: 1.0}, n_blocks=1)
    clock.now += 1000.0  # the caller does something else
    assert swept(tuner, clock, {16: 0.5}, n_blocks=1) == [16]
    assert width_of(tuner.best) == 16


def test_the_fastest_block_of_a_plan_tells_how_fast_it_is(clock):
    tuner = tuner_at(8, clock, neighbors=lambda plan: [plan_of(16)])
    for seconds in (1.0, 50.0):  # something else ran on the machine
        lap = tuner.begin(tuner.best, POINTS)
        clock.now += seconds
        tuner.end(lap)
    swept(tuner, clock, {8: 1.0, 16: 2.0}, n_blocks=3)
    assert width_of(tuner.best) == 8


def test_blocks_of_other_sizes_are_compared_by_point(clock):
    tuner = tuner_at(8, clock)
    first = tuner.begin(tuner.next(10**6), POINTS)
    clock.now += 1.0
    tuner.end(first)
    small = tuner.begin(tuner.next(10**6), POINTS // 10)
    clock.now += 0.5  # half the time for a tenth of the points
    tuner.end(small)
    assert width_of(tuner.best) == 8


def test_a_plan_without_neighbors_is_kept(clock):
    tuner = tuner_at(8, clock, neighbors=lambda plan: [])
    assert swept(tuner, clock, {8: 1.0}, n_blocks=3) == [8, 8, 8]


def test_what_is_under_way_in_the_best_plan_does_not_unseat_a_better_one(clock):
    tuner = tuner_at(8, clock)
    first = tuner.begin(tuner.next(10**6), POINTS)
    late = tuner.begin(tuner.next(10**6), POINTS)
    clock.now += 2.0
    tuner.end(first)
    clock.now += 2.0
    tuner.end(late)
    swept(tuner, clock, {16: 1.0}, n_blocks=1)
    assert width_of(tuner.best) == 16


def test_without_a_clock_time_is_that_of_the_machine():
    tuner = Tuner(plan_of(8), doubled_and_halved)
    tuner.end(tuner.begin(tuner.next(10**6), POINTS))
    assert width_of(tuner.next(10**6)) == 16  # nothing was said of compiling
