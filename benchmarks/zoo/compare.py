"""Time gridax against hand-written programs in one run, after a check that their results agree."""

from __future__ import annotations

import faulthandler
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

import gridax as gx
from benchmarks.measure import Row, duration, medians

from . import CASES, HALVES
from .by_hand import QUICK, WIDTHS, Grid, Outputs, fastest
from .case import LENGTHS, Case

# Where the best program takes this long, a person waits, and the ratio is what counts.
_WAITING = 1.0
# Runs that are shorter than this are repeated more often, because they vary more.
_BRIEF = 0.1
# Seconds after which a sweep is given up. With jaxlib 0.10.2, hand-written programs that call
# several LAPACK routines can wait for each other for good, and such a thread cannot be ended.
_STUCK = 300


@dataclass(frozen=True)
class Outcome:
    """The times of one sweep: of the best hand-written program, and of gridax.

    gridax runs with its defaults, with which it uses all cores, and in a single thread, as
    hand-written programs do.
    """

    case: Case
    length: str
    n_points: int
    best: str
    best_seconds: float
    seconds: float
    seconds_alone: float

    @property
    def ratio(self) -> float:
        """Time of the best program divided by that of gridax: above 1, gridax is faster."""
        return self.best_seconds / self.seconds

    @property
    def ratio_alone(self) -> float:
        """The same for gridax in a single thread."""
        return self.best_seconds / self.seconds_alone

    @property
    def met(self) -> bool:
        """Whether gridax reaches its target."""
        if self.best_seconds >= _WAITING:
            return self.ratio >= 0.85
        return self.seconds <= self.best_seconds / 0.8 + 0.3e-3

    @property
    def name(self) -> str:
        """The case and its number of points."""
        return f"{self.case.name}, {self.n_points} points"


def outcome(case: Case, length: str, repeats: int, widths: tuple[int, ...] = WIDTHS) -> Outcome:
    """Run a sweep once to compare the results, then `repeats` times in turns with the others.

    gridax runs twice before it is timed, because it may measure tiles during its first run.
    """
    space = case.space(length)
    executors = {
        "gridax": gx.ParallelExecution(case.model, space),
        "alone": gx.ParallelExecution(case.model, space, n_pmap=1),
    }
    for executor in executors.values():
        dataset = executor.run(progress=False).dataset
    expected = {str(name): values.values for name, values in dataset.data_vars.items()}
    calls, least = fastest(case.model, Grid(space), widths)
    for name, call in calls.items():
        check(case, expected, call(), name)
    if least < _BRIEF:
        repeats *= 5
    # The outputs of a run are on the host when it returns, as those of the other programs are.
    mine = {name: partial(each.run, progress=False) for name, each in executors.items()}
    seconds = medians(repeats, **mine, **calls)
    ours = [seconds.pop(name) for name in executors]
    best = min(seconds, key=seconds.__getitem__)
    return Outcome(case, length, len(space), best, seconds[best], *ours)


def check(case: Case, expected: Outputs, found: Outputs, program: str) -> None:
    """Raise an error unless the results of a program agree with those of gridax."""
    for name, ours in expected.items():
        theirs = found[name].reshape(ours.shape)
        close = np.isclose(theirs, ours, case.rtol, case.atol)
        if 1 - close.mean() > case.stray:
            raise AssertionError(
                f"{case.name}: {name!r} of {program} differs from that of gridax in "
                f"{(~close).sum()} of {close.size} values"
            )


def outcomes(
    cases: Iterable[Case], lengths: Iterable[str], repeats: int, widths: tuple[int, ...] = WIDTHS
) -> Iterator[Outcome]:
    """Yield the outcome of each case at each length."""
    for case in cases:
        for length in lengths:
            faulthandler.dump_traceback_later(_STUCK, exit=True)
            found = outcome(case, length, repeats, widths)
            faulthandler.cancel_dump_traceback_later()
            yield found


def summary(found: list[Outcome], what: str) -> Iterator[Row]:
    """Yield the median ratio, the number of targets that are met, and the five worst sweeps."""
    ratio = statistics.median(each.ratio for each in found)
    alone = statistics.median(each.ratio_alone for each in found)
    n_met, n = sum(each.met for each in found), len(found)
    yield Row(f"{what}, median of {n} ratios", f"{ratio:.2f} ×", "≥ 1", ratio >= 1)
    yield Row("… in a single thread", f"{alone:.2f} ×")
    yield Row("… sweeps that meet their targets", f"{n_met} of {n}", f"{n}", n_met == n)
    for each in sorted(found, key=lambda each: (each.met, each.ratio))[:5]:
        best = f"{each.best}: {duration(each.best_seconds)}"
        yield Row(f"… {each.name}", duration(each.seconds), "", each.met, best, each.ratio)


def rows(quick: bool) -> Iterator[Row]:
    """Yield the summary of each half of the zoo."""
    for half in HALVES:
        cases = [case for case in CASES if case.half == half]
        if quick:
            found = list(outcomes(cases, ("tiny",), 1, QUICK))
        else:
            found = list(outcomes(cases, LENGTHS, 3))
        yield from summary(found, f"zoo of {len(cases)} models, {half}")
