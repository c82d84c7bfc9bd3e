"""Cores of a CPU, with one device of JAX or with several."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import gridax as gx
from gridax import _devices
from gridax._kernel import prepared
from tests.processes import finished


def python(script, **environment):
    """Run a script in a process of its own, where JAX has not started."""
    return finished("-c", script, env={"JAX_NUM_CPU_DEVICES": None, **environment})


@pytest.mark.slow
def test_importing_gridax_does_not_change_how_many_devices_jax_has():
    done = python("import gridax, jax; print(jax.device_count())")
    assert done.stdout == "1\n", done.stderr


@pytest.mark.slow
def test_jax_has_a_device_per_core_when_asked_to():
    script = "import gridax as gx, jax; gx.use_cpu_devices(); print(jax.device_count())"
    assert python(script).stdout == f"{_devices.n_cores()}\n"


@pytest.mark.slow
def test_the_environment_variable_does_the_same():
    script = "import gridax, jax; print(jax.device_count())"
    assert python(script, JAX_NUM_CPU_DEVICES="3").stdout == "3\n"


def test_asking_for_what_there_is_does_nothing():
    before = jax.local_devices(backend="cpu")
    gx.use_cpu_devices(len(before))
    assert jax.local_devices(backend="cpu") == before


def test_asking_too_late_says_what_to_do():
    text = (
        "JAX has already started with 4 CPU device(s); call "
        "gridax.use_cpu_devices() right after the imports, or set the environment variable "
        "JAX_NUM_CPU_DEVICES=7"
    )
    with pytest.raises(RuntimeError, match=re.escape(text)):
        gx.use_cpu_devices(7)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "all"])
def test_numbers_of_devices_that_make_no_sense_are_refused(n):
    text = f"use_cpu_devices: n must be a positive integer, got {n!r}"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.use_cpu_devices(n)


SWEEP = """
import gridax as gx, jax, jax.numpy as jnp
from gridax import _devices

_devices.n_cores = lambda: 3
space = gx.Space({"x": gx.GridAxis(0, 1, 300)}, mode="product")
executor = gx.ParallelExecution(
    lambda s: jax.lax.fori_loop(0, 10**5, lambda i, x: jnp.tanh(x) + 1e-5 * i, s["x"]), space
)
value = executor.run(progress=False).dataset["value"]
alone = gx.ParallelExecution(executor.model, space, n_pmap=1).run(progress=False).dataset["value"]
print(jax.device_count(), executor.plan().n_threads, abs(value - alone).max().item() < 1e-5)
"""


@pytest.mark.slow
def test_a_sweep_uses_all_cores_of_a_cpu_that_is_a_single_device():
    done = python(SWEEP)
    assert done.stdout == "1 3 True\n", done.stderr


def model(state):
    return {"y": state["a"] * 2 + state["b"]}


AXES = {"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(0, 1, 5)}


@pytest.mark.skipif(jax.local_device_count() < 4, reason="needs four devices")
def test_a_sweep_uses_the_default_device_alone(monkeypatch):
    used = []
    on_devices = prepared.on_devices

    def noting(on, arrays):
        used.append(on)
        return on_devices(on, arrays)

    monkeypatch.setattr(prepared, "on_devices", noting)
    devices = jax.local_devices()
    space = gx.Space(AXES, mode="product")
    executor = gx.ParallelExecution(model, space, n_vmap=1)
    expected = executor.run(progress=False).dataset["y"].values
    for device in devices[2], devices[1]:
        with jax.default_device(device):
            used.clear()
            for _ in range(4):
                found = executor.run(progress=False).dataset["y"].values
                np.testing.assert_array_equal(found, expected)
            assert {*used} == {(device,)}
            assert executor.plan().n_devices == 1
    with jax.default_device("cpu"):
        assert _devices.devices() == devices


def test_more_devices_than_the_default_one_are_refused():
    space = gx.Space(AXES, mode="product")
    executor = gx.ParallelExecution(model, space, n_pmap=min(2, jax.local_device_count()))
    text = re.escape("n_pmap=2, but jax.default_device leaves 1 device(s); use fewer, or leave")
    with jax.default_device(jax.local_devices()[0]):
        with pytest.raises(ValueError, match=text):
            gx.ParallelExecution(model, space, n_pmap=2)
        with pytest.raises(ValueError, match=text):
            executor.run(progress=False)
