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
# Seconds that a trial takes at least, and the fraction of the rest of the sweep that it may take.
_TRIAL, _PART = 0.02, 0.4
# A plan that takes this many times as long as the fastest one in its first trial gets no second
# one, which tells apart plans that are slow from a machine that was busy.
_HOPELESS = 1.5
# A plan is faster if it takes less than this fraction of the time.
_BETTER = 0.95


@dataclasses.dataclass(frozen=True)
class Lap:
    """A part of the sweep that is being evaluated."""

    plan: Plan
    n_points: int  # that are computed
    begun: float


class Tuner:
    """Chooses the plan of the next part of a sweep from how long the previous parts took.

    It climbs from the fastest plan so far to similar ones, as long as compiling another one pays
    off. The plans depend on timing; the results do not. A tuner is kept for the next run, which
    goes on where this one stopped.

    Parameters
    ----------
    plan : Plan
        The first plan.
    others : callable, optional
        Returns the plans to try, given the fastest one and the seconds that it takes per point. By
        default, the first plan is used throughout.
    clock : callable, optional
        Returns a time in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        others: Callable[[Plan, float], Iterable[Plan]] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.best = plan
        self._others, self._clock = others, clock
        self._seconds: dict[Any, float] = {}  # per point, by kind of plan
        self._untried: list[Plan] = []
        self._seen = {plan.kind}
        self._compiling = 0.0
        self._n_sweeps = 0

    def next(self, n_left: int) -> tuple[Plan, int]:
        """Return the plan of the next part, and how many points it should have.

        The number is that of all points that are left unless the part is a trial.
        """
        seconds = self.seconds
        if self._others is None:
            return self.best, n_left
        if seconds is None:
            tile = math.prod(self.best.tile)
            return self.best, tile if tile <= _PART * n_left else n_left
        repays = _REPAYS if self._n_sweeps < _FIRST else _REPAYS_LATER
        if seconds * n_left > max(_LONG, repays * self._compiling):
            for plan in self._untried:
                n = max(math.prod(plan.tile), math.ceil(_TRIAL / seconds))
                if n <= _PART * n_left:
                    return plan, n
        return self.best, n_left

    def is_settled(self, n_points: int) -> bool:
        """Whether plans were compared, and a sweep of some points would try no more of them."""
        return len(self._seconds) > 1 and self.next(n_points)[1] == n_points

    @property
    def seconds(self) -> float | None:
        """Seconds per point with the fastest plan, if they were measured."""
        return self._seconds.get(self.best.kind)

    def drop(self, plan: Plan) -> None:
        """Do not try a plan (again)."""
        self._untried = [other for other in self._untried if other != plan]

    def swept(self) -> None:
        """Record that a sweep is done."""
        self._n_sweeps += 1

    def compiled(self, seconds: float) -> None:
        """Record how long a plan took to compile."""
        self._compiling = max(self._compiling, seconds)

    def begin(self, plan: Plan, n_points: int) -> Lap:
        """Record that a part starts now, with a compiled plan and idle devices."""
        self.drop(plan)
        return Lap(plan, n_points, self._clock())

    def end(self, lap: Lap) -> None:
        """Record that a part is done now."""
        plan, key = lap.plan, lap.plan.kind
        is_first, best = key not in self._seconds, self.seconds
        mine = (self._clock() - lap.begun) / lap.n_points
        self._seconds[key] = mine = min(mine, self._seconds.get(key, math.inf))
        if best is None or (plan is not self.best and mine < _BETTER * best):
            self.best = plan
            self._explore(mine)
        if is_first and mine < _HOPELESS * self._seconds[self.best.kind]:
            self._untried.insert(0, plan)

    def _explore(self, seconds: float) -> None:
        """Put what is similar to the fastest plan first."""
        new = []
        for plan in self._others(self.best, seconds) if self._others else ():
            if plan.kind not in self._seen:
                self._seen.add(plan.kind)
                new.append(plan)
        self._untried = new + self._untried
