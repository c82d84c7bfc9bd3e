"""Print the zoo: ``python -m benchmarks.zoo [--half HALF] [--only NAME] [--lengths LENGTHS]``."""

from __future__ import annotations

import argparse

import jax

from benchmarks.measure import line

from . import CASES, HALVES
from .by_hand import ACCELERATOR_WIDTHS, QUICK, WIDTHS
from .case import LENGTHS
from .compare import Outcome, outcomes, summary

TABLE = "{:<34} {:>8} {:>14} {:>10} {:>10} {:>6} {:>12}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--half", choices=(*HALVES, "all"), default="all")
    parser.add_argument("--only", default="", help="a part of the name of the cases to run")
    parser.add_argument("--lengths", default=",".join(LENGTHS), help="separated by commas")
    parser.add_argument(
        "--repeats", type=int, default=3, help="timed runs; five times as many if they are short"
    )
    parser.add_argument("--quick", action="store_true", help="run everything with tiny sizes")
    options = parser.parse_args()
    lengths = ["tiny"] if options.quick else options.lengths.split(",")
    if unknown := set(lengths) - {*LENGTHS, "tiny"}:
        parser.error(f"unknown length: {', '.join(sorted(unknown))}")
    cases = [
        case
        for case in CASES
        if options.half in (case.half, "all") and options.only.casefold() in case.name.casefold()
    ]
    if not cases:
        parser.error(f"no case of this half has {options.only!r} in its name")

    print(f"jax {jax.__version__}, one {jax.devices()[0].device_kind}; medians, in ms")
    print(TABLE.format("", "points", "best by hand", "", "gridax", "ratio", "one thread", "target"))
    found = []
    widths = WIDTHS if jax.default_backend() == "cpu" else ACCELERATOR_WIDTHS
    repeats, widths = (1, QUICK) if options.quick else (options.repeats, widths)
    for each in outcomes(cases, lengths, repeats, widths):
        found.append(each)
        print(row(each), flush=True)
    for half in HALVES:
        if mine := [each for each in found if each.case.half == half]:
            for each in summary(mine, half):
                print(line(each))


def row(each: Outcome) -> str:
    best, mine = 1e3 * each.best_seconds, 1e3 * each.seconds
    times = f"{best:.2f}", f"{mine:.2f}", f"{each.ratio:.2f}", f"{each.ratio_alone:.2f}"
    verdict = "met" if each.met else "MISSED"
    return TABLE.format(each.case.name, each.n_points, each.best, *times, verdict)


if __name__ == "__main__":
    main()
