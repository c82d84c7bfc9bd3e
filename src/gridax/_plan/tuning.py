"""Which tiles a long sweep goes on with: the fastest that were measured on parts of it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from gridax._plan.plan import Plan

# Seconds that the rest of a sweep must take for another plan to be tried, and how many times as
# long as compiling it: in the first sweeps, and in all that follow, which should take their time.
_LONG, _REPAYS, _REPAYS_LATER = 0.3, 1.0, 10.0
_FIRST = 2
# What is suggested is worth a trial if it repays its compilation in the rest of a sweep, or in so
# many sweeps: one that is repeated is presumably repeated more often. Lanes save the iterations in
# which points wait, but take several times as long to compile; wider tiles may save a fifth.
_REPEATED, _LANES_COMPILE, _WIDER_SAVE = 200.0, 3.0, 0.2
# Seconds that a trial should take at least and at most, and the fraction of the rest of the sweep
# that it may take. What takes longer at a time hardly gains from points that share more.
_TRIAL, _LONG_TRIAL, _PART = 0.02, 5.0, 0.4
# A plan that takes this many times as long as the fastest one in its first trial gets no second
# one, which tells apart plans that are slow from a machine that was busy.
_HOPELESS = 1.5
# Seconds above which a call is too long: nothing shows until it ends, nor can it be stopped.
_LONG_CALL = 0.5
# A plan is faster if it takes less than this fraction of the time.
_BETTER = 0.95
# Fraction of the iterations that points take part in, above which points hardly wait; below, some
# parts of a sweep may take much longer than others.
EVEN = 0.9


@dataclasses.dataclass(frozen=True)
class Lap:
    """A part of the sweep that is being evaluated."""

    plan: Plan
    n_points: int  # that are computed
    begun: float


@dataclasses.dataclass(frozen=True)
class _Timed:
    """How long a point took with a plan, in the largest part of the sweep that was timed."""

    plan: Plan
    n_points: int
    seconds: float


class Tuner:
    """Chooses the plan of the next part of a sweep from how long the previous parts took.

    It climbs from the fastest plan so far to similar ones, as long as compiling another one pays
    off. The plans depend on timing; the results do not. A tuner is kept for the next run, which
    goes on where this one stopped.

    Parameters
    ----------
    plan : the first one.
    others : returns the plans to try, given the fastest one and the seconds that it takes per
        point. By default, the first plan is used throughout.
    clock : returns a time in seconds.
    suggested : returns the plan that is probably faster, given the first one, the seconds that it
        takes per point, and `even`.

    Attributes
    ----------
    even : the fraction of the iterations of a loop that points take part in, rather than wait for
        the slowest one in their tile; None if it was not counted.
    """

    def __init__(
        self,
        plan: Plan,
        others: Callable[[Plan, float], Iterable[Plan]] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        suggested: Callable[[Plan, float, float], Plan | None] = lambda plan, seconds, even: None,
    ) -> None:
        self.best = plan
        self._others, self._clock, self._suggested = others, clock, suggested
        self._suggestion: Plan | None = None
        self._timed: dict[Any, _Timed] = {}  # by kind of plan
        self._untried: list[Plan] = []
        self._resized: Plan | None = None  # the fastest plan with calls of another length
        self._seen = {plan.kind}
        self._compiling = 0.0
        self._spent = 0.0  # on other plans in this sweep: compiling them, and how slow they were
        self._n_sweeps = 0
        self.even: float | None = None

    def next(self, n_left: int) -> tuple[Plan, int]:
        """Return the plan of the next part, and how many points it should have.

        The number is that of all points that are left unless the part is a trial.
        """
        seconds = self.seconds
        if self._others is None:
            return self.best, n_left
        if seconds is None:
            n = _n_at_a_time(self.best)
            return self.best, n if n <= _PART * n_left else n_left
        is_long = seconds * _n_at_a_time(self.best) > _LONG_CALL
        if self._resized is not None and is_long and seconds * n_left > max(_LONG, self._compiling):
            return self._resized, min(n_left, _n_at_a_time(self._resized))
        for plan in self._untried:
            n = max(_n_at_a_time(plan), math.ceil(_TRIAL / seconds))
            if self._is_worth_it(plan, seconds * n_left):
                if n <= min(_PART * n_left, _LONG_TRIAL / seconds):
                    return plan, n
                if plan is self._suggestion and self._n_sweeps:
                    return plan, n_left
        return self.best, n_left

    def _is_worth_it(self, plan: Plan, left: float) -> bool:
        """Whether it is worth it to compile a plan for what takes so many seconds."""
        if plan is self._suggestion:
            times = _REPEATED if self._n_sweeps else 1.0
            saved = 1.0 - (self.even or 0.0) if plan.lanes else _WIDER_SAVE
            compiling = self._compiling * (_LANES_COMPILE if plan.lanes else 1.0)
            return times * saved * left > compiling
        repays = _REPAYS if self._n_sweeps < _FIRST else _REPAYS_LATER
        return left > max(_LONG, repays * self._compiling, self._spent + self._compiling)

    def is_settled(self, n_points: int) -> bool:
        """Whether plans were compared, and a sweep of some points would try no more of them."""
        return len(self._timed) > 1 and self._tries_no_more(n_points)

    def is_steady(self, n_points: int) -> bool:
        """Whether all further sweeps of some points would use the fastest plan throughout."""
        return self._n_sweeps >= _FIRST and self._tries_no_more(n_points)

    def _tries_no_more(self, n_points: int) -> bool:
        return self.next(n_points) == (self.best, n_points)

    @property
    def counts(self) -> bool:
        """Whether it is still to be counted how even a loop is."""
        return self._others is not None and self.even is None

    def counted(self, taken: int, all_together: int) -> None:
        """Record how many iterations points took part in, and how many their tiles took."""
        if all_together:
            self.even = taken / all_together

    @property
    def seconds(self) -> float | None:
        """Seconds per point with the fastest plan, if they were measured."""
        timed = self._timed.get(self.best.kind)
        return None if timed is None else timed.seconds

    def drop(self, plan: Plan) -> None:
        """Do not try a plan (again)."""
        if plan is self._resized:
            self._resized = None
        self._untried = [other for other in self._untried if other != plan]

    def swept(self) -> None:
        """Record that a sweep is done."""
        self._n_sweeps += 1
        self._spent = 0.0

    def compiled(self, seconds: float) -> None:
        """Record how long a plan took to compile."""
        self._compiling = max(self._compiling, seconds)
        if self._timed:  # the first plan has to be compiled anyway
            self._spent += seconds

    def begin(self, plan: Plan, n_points: int) -> Lap:
        """Record that a part starts now, with a compiled plan and idle devices."""
        if plan is self._resized:
            self.best = plan
        self.drop(plan)
        return Lap(plan, n_points, self._clock())

    def end(self, lap: Lap) -> None:
        """Record that a part is done now."""
        plan = lap.plan
        is_first, best = plan.kind not in self._timed, self.seconds
        mine = (self._clock() - lap.begun) / lap.n_points
        if best is not None and plan is not self.best:
            self._spent += max(0.0, mine - best) * lap.n_points
        mine = self._noted(plan, lap.n_points, mine)
        fastest = min(self._timed.values(), key=lambda timed: timed.seconds)
        if best is None or (plan is not self.best and mine < _BETTER * best):
            self.best = plan
            self._explore(mine)
        elif plan is self.best and fastest.seconds < _BETTER * mine:
            self.best = fastest.plan  # which looked slower in another part of the sweep
        if is_first and mine < _HOPELESS * self._timed[self.best.kind].seconds:
            self._untried.insert(0, plan)

    def _noted(self, plan: Plan, n_points: int, seconds: float) -> float:
        """Note how long points took with a plan; return the time per point that counts.

        It is the least, since a machine is busy at times. Where points wait for others, it depends
        on which points there are, and the largest part of the sweep counts.
        """
        before = self._timed.get(plan.kind)
        if before is not None:
            is_uneven = self.even is not None and self.even < EVEN
            if n_points == before.n_points or not is_uneven:
                seconds = min(seconds, before.seconds)
            elif n_points < before.n_points:
                seconds = before.seconds
            n_points = max(n_points, before.n_points)
        self._timed[plan.kind] = _Timed(plan, n_points, seconds)
        return seconds

    def _explore(self, seconds: float) -> None:
        """Put what is similar to the fastest plan first."""
        new = []
        if self.even is not None and self._suggestion is None:
            self._suggestion = self._suggested(self.best, seconds, self.even)
            if self._suggestion is not None and self._suggestion.kind not in self._seen:
                self._seen.add(self._suggestion.kind)
                new.append(self._suggestion)
        for plan in self._others(self.best, seconds) if self._others else ():
            if plan.kind == self.best.kind:
                self._resized = plan
            elif plan.kind not in self._seen:
                self._seen.add(plan.kind)
                new.append(plan)
        self._untried = new + self._untried


def _n_at_a_time(plan: Plan) -> int:
    """Return the number of points of the tiles that are evaluated at the same time."""
    return math.prod(plan.tile) * plan.n_parallel
