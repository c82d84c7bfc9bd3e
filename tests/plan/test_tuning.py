"""Which plan a long sweep goes on with, by a clock that the test sets."""

from __future__ import annotations

import dataclasses

import pytest

from gridax._plan.plan import Level, Plan
from gridax._plan.tuning import Tuner

N = 10**6  # points of the sweep


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def plan_of(width):
    return Plan(("x",), (N,), (N,), (Level((0,), width, depth=max(1, 1000 // width)),))


def width_of(plan):
    return plan.levels[0].width


def doubled_and_halved(plan, seconds):
    width = width_of(plan)
    return [plan_of(w) for w in (2 * width, width // 2) if w]


@pytest.fixture
def clock():
    return Clock()


def tuner_at(width, clock, others=doubled_and_halved, compiling=1.0):
    tuner = Tuner(plan_of(width), others, clock)
    tuner.compiled(compiling)
    return tuner


def swept(tuner, clock, seconds, n_left=N):
    """Sweep part by part; return the widths that were tried, and that of the rest.

    `seconds` says how long a point takes by width.
    """
    picked = []
    while n_left:
        plan, n = tuner.next(n_left)
        lap = tuner.begin(plan, n)
        clock.now += n * seconds[width_of(plan)]
        tuner.end(lap)
        picked.append(width_of(plan))
        n_left -= n
    return picked


def test_the_first_part_is_one_tile_that_is_timed(clock):
    tuner = tuner_at(8, clock)
    plan, n = tuner.next(N)
    assert (width_of(plan), n) == (8, 1000)


def test_a_sweep_of_few_tiles_is_evaluated_at_once(clock):
    assert tuner_at(8, clock).next(2000)[1] == 2000


def test_without_other_plans_the_first_one_evaluates_everything(clock):
    tuner = Tuner(plan_of(8), clock=clock)
    assert tuner.next(N) == (plan_of(8), N)
    assert not tuner.is_settled(N)


def test_other_plans_are_tried_and_the_first_kept_if_it_is_the_best(clock):
    tuner = tuner_at(8, clock)
    picked = swept(tuner, clock, {4: 2e-4, 8: 1e-4, 16: 2e-4})
    assert picked == [8, 8, 16, 4, 8]
    assert width_of(tuner.best) == 8
    assert tuner.is_settled(N)


def test_plans_that_are_about_as_fast_are_tried_twice(clock):
    tuner = tuner_at(8, clock)
    assert swept(tuner, clock, {4: 1.2e-4, 8: 1e-4, 16: 2e-4}) == [8, 8, 16, 4, 4, 8]


def test_the_fastest_trial_tells_how_fast_a_plan_is(clock):
    tuner = tuner_at(8, clock)
    picked = []
    for seconds in (1e-4, 1e-4, 1.4e-4, 0.5e-4):  # the machine was busy during the third trial
        plan, n = tuner.next(N)
        lap = tuner.begin(plan, n)
        clock.now += n * seconds
        tuner.end(lap)
        picked.append(width_of(plan))
    assert picked == [8, 8, 16, 16]
    assert width_of(tuner.best) == 16


def test_it_climbs_from_better_to_better_plans(clock):
    tuner = tuner_at(8, clock)
    seconds = {4: 9e-4, 8: 8e-4, 16: 4e-4, 32: 2e-4, 64: 8e-4}
    picked = swept(tuner, clock, seconds)
    assert width_of(tuner.best) == picked[-1] == 32
    assert {16, 32, 64} <= set(picked)


def test_it_climbs_down_too(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {1: 9e-4, 2: 1e-4, 4: 3e-4, 8: 6e-4, 16: 9e-4})
    assert width_of(tuner.best) == 2


def test_a_plan_that_is_hardly_faster_is_not_better(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {4: 0.96e-4, 8: 1e-4, 16: 0.96e-4})
    assert width_of(tuner.best) == 8


@pytest.mark.parametrize(("compiling", "picked"), [(1.0, 16), (90.0, 16), (110.0, 8), (1e6, 8)])
def test_a_plan_is_tried_only_if_what_is_left_repays_its_compilation(clock, compiling, picked):
    tuner = tuner_at(8, clock, compiling=compiling)
    for _ in range(2):
        lap = tuner.begin(*tuner.next(N))
        clock.now += 0.1
        tuner.end(lap)  # so that a hundred seconds are left
        tuner.drop(plan_of(8))
    assert width_of(tuner.next(N)[0]) == picked


def test_compiling_other_plans_takes_no_longer_than_what_is_left(clock):
    tuner = tuner_at(8, clock, lambda plan, seconds: map(plan_of, (1, 2, 4, 16, 32, 64)))
    n_left, tried = N, set()
    while (plan := tuner.next(n_left))[1] < n_left:
        lap = tuner.begin(plan[0], plan[1])
        if plan[0].kind not in tried:
            tuner.compiled(1.0)
        tried.add(plan[0].kind)
        clock.now += 4e-6 * plan[1]
        tuner.end(lap)
        n_left -= plan[1]
    assert 3 <= len(tried) < 6  # in a sweep of four seconds
    tuner.swept()
    assert tuner.next(N)[1] < N  # the next one goes on


def test_a_short_sweep_tries_nothing(clock):
    tuner = tuner_at(8, clock, compiling=0.0)
    assert swept(tuner, clock, {8: 0.25 / N}) == [8, 8]


def test_a_trial_is_a_small_part_of_what_is_left(clock):
    tuner = tuner_at(8, clock, lambda plan, seconds: [plan_of(10**5)])
    seconds = {8: 1e-5, 10**5: 1e-7}
    assert swept(tuner, clock, seconds, n_left=200_000) == [8, 8, 8]
    assert swept(tuner, clock, seconds)[0] == 10**5


def test_a_trial_takes_some_seconds_at_most(clock):
    tuner = tuner_at(8, clock, lambda plan, seconds: [plan_of(10**5), plan_of(10**4)])
    tried = swept(tuner, clock, {8: 1e-4, 10**5: 1e-6, 10**4: 2e-4})
    assert 10**4 in tried
    assert 10**5 not in tried


def test_the_next_sweep_goes_on_where_this_one_stopped(clock):
    tuner = tuner_at(8, clock)
    seconds = {4: 2e-4, 8: 1e-4, 16: 2e-4}
    assert swept(tuner, clock, seconds, n_left=2000) == [8]
    assert swept(tuner, clock, seconds) == [8, 16, 4, 8]
    assert swept(tuner, clock, seconds) == [8]


@pytest.mark.parametrize(("compiling", "picked"), [(9.0, 16), (11.0, 8)])
def test_after_some_sweeps_only_much_longer_ones_try_more(clock, compiling, picked):
    tuner = tuner_at(8, clock, compiling=1e6)
    for _ in range(2):
        swept(tuner, clock, {8: 1e-4})  # a hundred seconds
        tuner.drop(plan_of(8))
        tuner.swept()
    tuner._compiling = compiling
    assert width_of(tuner.next(N)[0]) == picked


def test_a_plan_that_does_not_fit_is_not_tried(clock):
    tuner = tuner_at(8, clock)
    swept(tuner, clock, {8: 1e-4}, n_left=1000)
    tuner.drop(plan_of(16))
    assert 16 not in swept(tuner, clock, {4: 2e-4, 8: 1e-4})


def test_other_plans_are_asked_for_with_the_time_of_a_point(clock):
    asked = []

    def others(plan, seconds):
        asked.append((width_of(plan), seconds))
        return []

    swept(tuner_at(8, clock, others), clock, {8: 1e-4})
    assert asked == [(8, pytest.approx(1e-4))]


def test_without_a_clock_time_is_that_of_the_machine():
    tuner = Tuner(plan_of(8), doubled_and_halved)
    tuner.end(tuner.begin(*tuner.next(N)))
    assert tuner.seconds > 0


def lanes_or_wider(plan, seconds, even):
    if even < 0.75:
        return dataclasses.replace(plan, lanes=64)
    return plan_of(64) if even > 0.9 else None


def seconds_of(plan, n):
    """Points take a fifth of the time in lanes, and less in wider tiles."""
    return n * 1e-4 * (0.2 if plan.lanes else 0.8 if width_of(plan) > 8 else 1.0)


def swept_in_lanes(tuner, clock, n_left, even):
    """Sweep part by part; return how many lanes each part had."""
    picked = []
    while n_left:
        plan, n = tuner.next(n_left)
        lap = tuner.begin(plan, n)
        clock.now += seconds_of(plan, n)
        if tuner.counts:
            tuner.counted(round(100 * even), 100)
        tuner.end(lap)
        picked.append(plan.lanes)
        n_left -= n
    tuner.swept()
    return picked


def counting_at(width, clock):
    tuner = Tuner(plan_of(width), lambda plan, seconds: [], clock, lanes_or_wider)
    tuner.compiled(1.0)
    return tuner


def test_a_long_uneven_sweep_goes_on_in_lanes(clock):
    tuner = counting_at(8, clock)
    assert swept_in_lanes(tuner, clock, N, even=0.2)[:3] == [0, 0, 64]
    assert tuner.best.lanes == 64


def test_a_short_uneven_sweep_has_lanes_when_it_is_repeated(clock):
    tuner = counting_at(8, clock)
    swept = [swept_in_lanes(tuner, clock, 1000, even=0.2) for _ in range(3)]
    assert swept == [[0], [64], [64]]


def test_a_repeated_even_sweep_has_wider_tiles(clock):
    tuner = counting_at(8, clock)
    for _ in range(3):
        swept_in_lanes(tuner, clock, 1000, even=0.95)
    assert width_of(tuner.best) == 64


@pytest.mark.parametrize(("n_points", "even"), [(1000, 0.8), (100, 0.2)])
def test_an_even_or_very_short_sweep_never_has_lanes(clock, n_points, even):
    tuner = counting_at(8, clock)
    assert [swept_in_lanes(tuner, clock, n_points, even) for _ in range(3)] == [[0]] * 3


def test_lanes_that_are_slower_are_given_up(clock):
    tuner = counting_at(8, clock)
    swept_in_lanes(tuner, clock, 1000, even=0.2)
    plan, n = tuner.next(1000)
    assert (plan.lanes, n) == (64, 1000)
    lap = tuner.begin(plan, n)
    clock.now += 1.0
    tuner.end(lap)
    assert tuner.best.lanes == 0
    assert tuner.next(1000) == (tuner.best, 1000)


@pytest.mark.parametrize("at", [0, 1500, 3990])
@pytest.mark.parametrize("n", [1000, 2400, 4000])
@pytest.mark.parametrize("compiling", [0.01, 1.0])
def test_a_point_that_takes_very_long_does_not_mislead_where_it_is_not(at, n, compiling, clock):
    """All points but one take a millisecond with any plan, or a tenth more in lanes."""
    at = at % n
    tuner = Tuner(plan_of(8), lambda plan, seconds: [], clock, lanes_or_wider)
    tuner.compiled(compiling)
    for _ in range(6):
        begun = 0
        while begun < n:
            plan, part = tuner.next(n - begun)
            lap = tuner.begin(plan, part)
            clock.now += part * (1.1e-3 if plan.lanes else 1e-3)
            if begun <= at < begun + part:
                clock.now += 0.1 if plan.lanes else 50.0
            if tuner.counts:
                tuner.counted(2, 100)
            tuner.end(lap)
            begun += part
        tuner.swept()
    assert tuner.best.lanes == 64
    assert tuner.next(n) == (tuner.best, n)


def test_iterations_are_counted_once(clock):
    tuner = counting_at(8, clock)
    assert tuner.counts
    tuner.counted(3, 4)
    assert tuner.even == 0.75
    assert not tuner.counts
    assert not Tuner(plan_of(8)).counts  # it has no choice


def called_for(plan, seconds):
    """The same plan with calls of a hundredth of a second."""
    length = max(1, int(0.01 / seconds / width_of(plan)))
    return [dataclasses.replace(plan, levels=(Level((0,), width_of(plan), length),))]


def test_calls_that_turn_out_to_be_long_are_shortened(clock):
    tuner = tuner_at(10, clock, called_for)
    first, n = tuner.next(N)
    assert n == 1000
    lap = tuner.begin(first, n)
    clock.now += n * 1e-3
    tuner.end(lap)
    shorter, n = tuner.next(N - n)
    assert (shorter.tile, n) == ((10,), 10)
    tuner.begin(shorter, n)
    assert tuner.best is shorter
    assert tuner.next(10) == (shorter, 10)


@pytest.mark.parametrize(("seconds", "n_left"), [(1e-5, N), (1e-3, 900)])
def test_calls_keep_their_length_if_they_are_short_or_little_is_left(clock, seconds, n_left):
    tuner = tuner_at(10, clock, called_for)
    lap = tuner.begin(tuner.best, 1000)
    clock.now += 1000 * seconds
    tuner.end(lap)
    assert tuner.next(n_left)[0] is tuner.best


def test_a_shorter_plan_that_does_not_fit_is_not_used(clock):
    tuner = tuner_at(10, clock, called_for)
    lap = tuner.begin(tuner.best, 1000)
    clock.now += 1.0
    tuner.end(lap)
    tuner.drop(tuner.next(N)[0])
    assert tuner.next(N)[0] is tuner.best


def test_loops_that_end_at_once_do_not_tell_how_even_they_are(clock):
    tuner = tuner_at(10, clock)
    tuner.counted(0, 0)
    assert tuner.even is None
    tuner.counted(3, 4)
    assert tuner.even == 0.75
