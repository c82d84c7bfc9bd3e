"""The fastest tile, found by timing blocks of the sweep itself, whose results are used."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

from gridax._plan.plan import Plan

# A neighbor is tried if the rest of the sweep takes this many times as long as compiling it.
_REPAYS = 20
# It is better if it takes less than this fraction of the time.
_BETTER = 0.95


@dataclasses.dataclass(frozen=True)
class Lap:
    """A block that is being evaluated."""

    plan: Plan
    n_points: int
    begun: float


class Tuner:
    """Chooses the plan of the next block from how long the previous blocks took.

    It climbs from the best plan so far to those that differ in the width along one level, as long
    as compiling another one pays off. The plans depend on timing; the results do not.

    Parameters
    ----------
    plan : Plan
        The first plan.
    neighbors : callable
        Returns the plans to try from a plan.
    clock : callable, optional
        Returns a time in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        neighbors: Callable[[Plan], list[Plan]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.best = plan
        self._neighbors, self._clock = neighbors, clock
        self._seconds: dict[Plan, float] = {}  # per point
        self._untried: list[Plan] = neighbors(plan)
        self._seen = {plan, *self._untried}
        self._compiling, self._ended = 0.0, 0.0

    def next(self, n_left: int) -> Plan:
        """Return the plan of the next block, given the number of points that are left."""
        best = self._seconds.get(self.best)
        if best is None or not self._untried or best * n_left < _REPAYS * self._compiling:
            return self.best
        return self._untried.pop(0)

    def compiled(self, seconds: float) -> None:
        """Record how long a plan took to compile."""
        self._compiling = max(self._compiling, seconds)

    def begin(self, plan: Plan, n_points: int) -> Lap:
        """Record that a block starts now, with a compiled plan."""
        return Lap(plan, n_points, self._clock())

    def end(self, lap: Lap) -> None:
        """Record that a block is done now."""
        now = self._clock()
        # Blocks overlap: this one has had the devices to itself since the previous one was done.
        mine = (now - max(lap.begun, self._ended)) / lap.n_points
        self._ended = now
        mine = min(mine, self._seconds.get(lap.plan, math.inf))
        self._seconds[lap.plan] = mine
        if lap.plan is not self.best and mine < _BETTER * self._seconds[self.best]:
            self.best = lap.plan
            new = [other for other in self._neighbors(lap.plan) if other not in self._seen]
            self._untried = new + self._untried
            self._seen.update(new)
