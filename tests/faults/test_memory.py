"""Device memory that runs out: tiles get smaller, and what was computed is kept."""

from __future__ import annotations

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel.program import Kernel
from tests.processes import finished

# 10 MB a point; the process may have so much more memory than it has when the sweep begins.
SCRIPT = """
import resource, sys, warnings
import jax, jax.numpy as jnp, numpy as np
import gridax as gx

def model(state):
    def step(x, _):
        x = x + state["x"]
        return x, x
    path = jax.lax.scan(step, jnp.zeros(2500), length=1000)[1]
    return path.max(), path[::-1][:3, 0]

space = gx.Space({"x": gx.DataAxis(np.arange(1.0, 129.0))}, mode="product")
expected = gx.ParallelExecution(model, space, n_vmap=1, n_pmap=1).run(progress=False).dataset
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 600_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = gx.ParallelExecution(model, space, n_vmap=128, n_pmap=1).run(progress=False).dataset
for name in expected:
    np.testing.assert_array_equal(found[name], expected[name])
for each in caught:
    print(each.category.__name__, each.filename, each.message)
"""

# The memory runs out twice while a store is filled: on the device, and in a model of NumPy's.
STREAMED = """
import pathlib, resource, sys, warnings
import jax, jax.numpy as jnp, numpy as np
import gridax as gx
from tests.faults.disk import bits, names_in, states

folder = pathlib.Path(sys.argv[1])
free = resource.getrlimit(resource.RLIMIT_AS)

def limit(more):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, free[1]))

def model(state):
    def step(x, _):
        x = x + state["x"]
        return x, x
    path = jax.lax.scan(step, jnp.zeros(2500), length=1000)[1]
    return path.max(), path[::-1][:3, 0]

space = gx.Space({"x": gx.DataAxis(np.arange(1.0, 129.0))}, mode="product")
options = {"progress": False, "block": {"x": 64}}
expected = gx.ParallelExecution(model, space, n_vmap=1, n_pmap=1).run(
    store=folder / "one.zarr", **options
)
limit(600_000_000)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = gx.ParallelExecution(model, space, n_vmap=64, n_pmap=1).run(
        store=folder / "other.zarr", **options
    )
resource.setrlimit(resource.RLIMIT_AS, free)
assert any("does not fit into the memory of the device" in str(w.message) for w in caught), caught
assert bits(found.dataset) == bits(expected.dataset)

calls = []

def hungry(state):
    large = np.zeros((int(state["x"]), 10**8), np.uint8)
    calls.append(int(state["x"]))
    return large.nbytes

space = gx.Space({"x": gx.DataAxis([1, 2, 6, 3])}, mode="product")
options = {"store": folder / "hungry.zarr", "progress": False, "block": {"x": 1}}
limit(500_000_000)
try:
    gx.SequentialExecution(hungry, space).run(**options)
except MemoryError as error:
    notes = error.__notes__
resource.setrlimit(resource.RLIMIT_AS, free)
name = repr(str(folder / "hungry.zarr"))
assert notes == [
    "while the model was evaluated at x=6",
    f"2 of 4 points are saved in {name}; call run(store={name}) again to resume",
], notes
assert states(folder / "hungry.zarr").tolist() == [1, 1, 0, 0]
found = gx.SequentialExecution(hungry, space).run(**options).dataset
assert calls == [1, 2, 6, 3], calls
assert found["value"].values.tolist() == [10**8, 2 * 10**8, 6 * 10**8, 3 * 10**8]
assert names_in(folder) == ["hungry.zarr", "one.zarr", "other.zarr"]
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits memory so")
def test_a_store_is_filled_whatever_runs_out_of_memory_meanwhile(tmp_path):
    done = finished("-c", STREAMED, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits memory so")
def test_a_tile_that_does_not_fit_is_halved_until_it_does_and_nothing_is_lost():
    done = finished("-c", SCRIPT)
    assert done.returncode == 0, done.stderr[-2000:]
    first = done.stdout.splitlines()[0]
    assert first.startswith(
        "UserWarning <string> a tile of 128 points does not fit into the memory of the device; "
    )
    fits = int(first.split("tiles of ")[1].split(".")[0])
    assert 1 <= fits < 128
    assert first.endswith(
        f"; the sweep continues with tiles of {fits}. Pass n_vmap={fits} to start with them"
    )


def too_large(state):
    """Needs 80 TB for a point, which no machine has."""
    steps = jax.lax.scan(lambda x, _: (x + state["x"],) * 2, jnp.zeros(10**7), length=2 * 10**6)[1]
    return steps.max(), steps[::-1][:3, 0]


@pytest.mark.parametrize("n_vmap", [None, 4])
def test_a_single_point_that_does_not_fit_is_an_error_with_its_bytes(n_vmap):
    space = gx.Space({"x": gx.DataAxis(np.arange(4.0))}, mode="product")
    executor = gx.ParallelExecution(too_large, space, n_vmap=n_vmap, n_pmap=1)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED") as caught:
        executor.run(progress=False)
    (note,) = [note for note in caught.value.__notes__ if note.startswith("a single point")]
    assert re.match(r"a single point needs 80(\.\d)? TB of the device's memory, of which ", note)
    assert note.endswith(
        "is free: return less, keep less in the model, or use fewer devices (n_pmap)"
    )


def test_a_tile_fits_into_the_memory_that_the_user_allows():
    def model(state):
        path = jax.lax.scan(lambda x, _: (x + state["x"],) * 2, jnp.zeros(250), length=1000)[1]
        return path.max(), path[::-1][:3, 0]

    space = gx.Space({"x": gx.GridAxis(0, 1, 64)}, mode="product")
    executor = gx.ParallelExecution(model, space, n_pmap=1)
    free, bound = executor.plan(), executor.plan(memory="8 MB")
    assert bound.tile_bytes <= 8_000_000 < free.tile_bytes
    one = executor.run(progress=False).dataset
    other = executor.run(progress=False, memory="8 MB").dataset
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture
def small_device(monkeypatch):
    """A device on which tiles of more than 20 points run out of memory when they are started."""
    started = Kernel.__call__

    def start(self, index):
        if math.prod(self._plan.tile) > 20:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return started(self, index)

    monkeypatch.setattr(Kernel, "__call__", start)


def test_what_did_not_fit_is_not_tried_again(small_device):
    space = gx.Space({"x": gx.GridAxis(0, 1, 100), "y": gx.DataAxis([1.0, 2.0])}, mode="product")
    executor = gx.ParallelExecution(lambda s: s["x"] * s["y"], space, n_vmap=200, n_pmap=2)
    with pytest.warns(UserWarning, match="does not fit into the memory of the device"):
        found = executor.run(progress=False).dataset["value"]
    np.testing.assert_allclose(found, found["x"] * found["y"], rtol=1e-6)
    again = executor.run(progress=False).dataset["value"]  # a warning would be an error here
    np.testing.assert_array_equal(again, found)


def test_memory_that_runs_out_while_compiling_makes_tiles_smaller(monkeypatch):
    compile_ = Kernel.compile

    def compiling(self):
        if math.prod(self._plan.tile) > 20:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return compile_(self)

    monkeypatch.setattr(Kernel, "compile", compiling)
    space = gx.Space({"x": gx.GridAxis(0, 1, 100)}, mode="product")
    executor = gx.ParallelExecution(lambda s: 2 * s["x"], space, n_pmap=1)
    assert math.prod(executor.plan().tile) <= 20
    found = executor.run(progress=False).dataset["value"]
    np.testing.assert_allclose(found, 2 * found["x"], rtol=1e-6)
