"""Print the benchmark table: ``python -m benchmarks [--quick] [section ...]``."""

from __future__ import annotations

import argparse
import dataclasses
import os

import jax

# Has to be set before JAX starts; gridax and its competitors get the same devices.
jax.config.update("jax_num_cpu_devices", os.cpu_count())

from . import (  # noqa: E402
    brain,
    chains,
    clusters,
    compiling,
    derivatives,
    few_points,
    first_runs,
    imports,
    lanes,
    networks,
    opponent,
    planning,
    processes,
    python_models,
    reductions,
    results,
    spaces,
    stores,
    sweeps,
)
from .measure import LINE, line  # noqa: E402
from .zoo import compare as zoo  # noqa: E402

SECTIONS = {
    "zoo": zoo.rows,
    "spaces": spaces.rows,
    "results": results.rows,
    "imports": imports.rows,
    "compiling": compiling.rows,
    "first_runs": first_runs.rows,
    "brain": brain.rows,
    "processes": processes.rows,
    "python_models": python_models.rows,
    "sweeps": sweeps.rows,
    "networks": networks.rows,
    "few_points": few_points.rows,
    "lanes": lanes.rows,
    "reductions": reductions.rows,
    "chains": chains.rows,
    "derivatives": derivatives.rows,
    "planning": planning.rows,
    "stores": stores.rows,
    "clusters": clusters.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run everything with tiny sizes")
    parser.add_argument("section", nargs="*", help=f"one of: {', '.join(SECTIONS)} (default: all)")
    options = parser.parse_args()
    if unknown := set(options.section) - set(SECTIONS):
        parser.error(f"unknown section: {', '.join(sorted(unknown))}")

    print(f"jax {jax.__version__}, {jax.device_count()} × {jax.devices()[0].device_kind}")
    print("Medians. Competitors take turns, after a check that their results are equal.")
    if opponent.MISSING:
        print(opponent.MISSING)
    print(LINE.format("", "gridax", "goal", "competitor"))
    for name in options.section or SECTIONS:
        print(f"-- {name}")
        for row in SECTIONS[name](options.quick):
            if options.quick:  # the goals are for full sizes
                row = dataclasses.replace(row, goal="", met=None)
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
