"""Time gridax against hand-written programs in one run, after a check that their results agree."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Outcome:
    """The times of one sweep: of gridax, and of the best hand-written program."""

    case: Case
    length: str
    n_points: int
    best: str
    best_seconds: float
    seconds: float

    @property
    def ratio(self) -> float:
        """Time of the best program divided by that of gridax: above 1, gridax is faster."""
        return self.best_seconds / self.seconds

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
    executor = gx.ParallelExecution(case.model, space, n_pmap=1)
    dataset = executor.run(progress=False).dataset
    expected = {str(name): values.values for name, values in dataset.data_vars.items()}
    calls, least = fastest(case.model, Grid(space), widths)
    for name, call in calls.items():
        check(case, expected, call(), name)
    if least < _BRIEF:
        repeats *= 5
    # The outputs of a run are on the host when it returns, as those of the other programs are.
    seconds = medians(repeats, gridax=lambda: executor.run(progress=False), **calls)
    mine = seconds.pop("gridax")
    best = min(seconds, key=seconds.__getitem__)
    return Outcome(case, length, len(space), best, seconds[best], mine)


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
            yield outcome(case, length, repeats, widths)


def summary(found: list[Outcome], what: str) -> Iterator[Row]:
    """Yield the median ratio, the number of targets that are met, and the five worst sweeps."""
    ratio = statistics.median(each.ratio for each in found)
    n_met, n = sum(each.met for each in found), len(found)
    yield Row(f"{what}, median of {n} ratios", f"{ratio:.2f} ×", "≥ 1", ratio >= 1)
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
