"""A disk that is really full: the old file stays as it was, and nothing is left beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Saves a small result, then a large one over it, on a file system of one megabyte.
SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
import gridax as gx

folder, name = Path(sys.argv[1]), sys.argv[2]
space = gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product")

def result_of(size, value):
    noise = np.random.default_rng(0).normal(value, size=size)  # does not compress
    return gx.SequentialExecution(lambda s: noise, space).run(progress=False)

def save(result):
    if name.endswith("zarr"):
        result.to_zarr(folder / name, overwrite=(folder / name).exists())
    else:
        result.to_netcdf(folder / name)

def content():
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

small, large = result_of(10, 1.0), result_of(100_000, 2.0)
save(small)
before = content()
try:
    save(large)
except OSError as error:
    assert str(error), error
    print(type(error).__name__, error)
else:
    raise SystemExit("3 MB were saved to a disk of 1 MB")
time.sleep(0.3)  # nothing that still runs may bring anything back
assert content() == before, sorted(set(content()) ^ set(before))
assert gx.open_result(folder / name).dataset.identical(small.dataset)
save(small)  # there is room for a small one, still
"""


@pytest.fixture(scope="module")
def on_a_small_disk():
    """Return a prefix for commands that run with a file system of one megabyte at /mnt."""
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = "mount -t tmpfs -o size=1m tmpfs /mnt && "
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system, so no small disk can be made")
    probe = subprocess.run([*prefix, mount + "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"this system lets nobody mount a small disk: {probe.stderr.strip()}")
    return [*prefix, mount + 'exec "$0" "$@"']


@pytest.mark.parametrize("name", ["run.nc", "run.zarr"])
def test_a_full_disk_leaves_the_old_file(on_a_small_disk, name):
    command = [*on_a_small_disk, sys.executable, "-W", "error", "-c", SCRIPT, "/mnt", name]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OSError" in done.stdout
    assert f"/mnt/{name}" in done.stdout or "No space left on device" in done.stdout
