"""Time that `import gridax` takes once its dependencies are imported."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from .measure import Row, timed

HEAVY = ("matplotlib", "dask", "zarr", "hvplot", "scipy.stats")
SCRIPT = f"""
import sys, time
import jax, numpyro, xarray
before, start = set(sys.modules), time.perf_counter()
import gridax
print(time.perf_counter() - start)
print(*(name for name in {HEAVY} if name in sys.modules and name not in before))
"""


def rows(quick: bool) -> Iterator[Row]:
    seconds, heavy = [], set()
    for _ in range(1 if quick else 5):
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        )
        elapsed, names = process.stdout.splitlines()
        seconds.append(float(elapsed))
        heavy.update(names.split())
    yield timed("import gridax, after jax, numpyro, xarray", statistics.median(seconds), below=0.3)
    yield Row("heavy packages it imports", " ".join(heavy) or "none", "none", not heavy)
