"""A disk that is really full: what was there stays as it was, and nothing is left beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.processes import PATIENCE, environment, group_of

pytestmark = pytest.mark.slow

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

# Fills the disk with something else, runs into that, makes room, and goes on.
STREAMED = """
import errno, sys, warnings
from pathlib import Path
import numpy as np
import gridax as gx
from tests.faults.disk import bits, names_in, states

folder = Path(sys.argv[1])
store, other = folder / "run.zarr", folder / "other"
space = gx.Space({"x": gx.GridAxis(0, 15, 16)}, mode="product")
calls = []

def model(state):
    calls.append(int(state["x"]))
    return np.random.default_rng(int(state["x"])).normal(size=5000)  # does not compress

def run(**options):
    calls.clear()
    executor = gx.SequentialExecution(model, space)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = executor.run(progress=False, **options)
        except OSError as error:
            assert executor.partial is getattr(error, "result", None)
            result = error
    return result, [str(each.message) for each in caught]

def fill(left):
    with open(other, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(file.tell() - left)

expected = run()[0].dataset

fill(0)
error, told = run(store=store)  # no room to begin
assert error.errno == errno.ENOSPC, error
assert error.__notes__ == [f"at the store {str(store)!r}"], error.__notes__
assert names_in(folder) == ["other"], names_in(folder)

fill(300_000)
error, told = run(store=store, block={"x": 1})  # room for some
assert len(told) == 1 and told[0].startswith("the outputs take up to 640 kB, but the disk of "), told
assert error.errno == errno.ENOSPC, error
n = int((states(store) == 1).sum())
assert 2 < n < 12, n
name = repr(str(store))
note = f"{n} of 16 points are saved in {name}; call run(store={name}) again to resume"
assert note in error.__notes__, error.__notes__
assert names_in(folder) == ["other", "run.zarr"], names_in(folder)
assert not list(store.rglob("*.partial"))
for found in (error.result.dataset, gx.open_result(store).dataset):
    np.testing.assert_array_equal(found["value"][:n], expected["value"][:n])
    assert found["status"].values.tolist() == [1] * n + [0] * (16 - n)

error, told = run(store=store)  # still none
assert error.errno == errno.ENOSPC and min(calls) == n, (error, calls)

other.unlink()
result, told = run(store=store)
assert told == []
assert calls == list(range(n, 16)), calls
assert bits(result.dataset) == bits(expected)
assert names_in(folder) == ["run.zarr"], names_in(folder)
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
    with group_of(command, env=environment()) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    assert "OSError" in out
    assert f"/mnt/{name}" in out or "No space left on device" in out


def test_a_run_on_a_full_disk_ends_with_what_to_do_and_goes_on_when_there_is_room(on_a_small_disk):
    command = [*on_a_small_disk, sys.executable, "-W", "error", "-c", STREAMED, "/mnt"]
    with group_of(command, env=environment()) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
