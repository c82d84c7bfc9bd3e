"""Cores of a CPU: how JAX is told of them, and the hint to those who do not know."""

from __future__ import annotations

import re

import jax
import pytest

import gridax as gx
from gridax import _devices
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
import warnings
import gridax as gx
from gridax import _devices

_devices._LONG = 0.0
_devices.n_cores = lambda: 8
space = gx.Space({"x": gx.GridAxis(0, 1, 20)}, mode="product")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    gx.ParallelExecution(lambda s: s["x"], space, n_vmap=2).run(progress=False)
for each in caught:
    print(each.category.__name__, each.filename, each.message)
"""


@pytest.mark.slow
def test_a_long_sweep_on_one_of_many_cores_says_so_once():
    assert python(SWEEP).stdout == (
        "UserWarning <string> this sweep uses one of 8 cores, because JAX has one CPU device; "
        "to use all cores, call gridax.use_cpu_devices() right after the imports, or set the environment "
        "variable JAX_NUM_CPU_DEVICES=8\n"
    )


@pytest.mark.slow
def test_a_sweep_on_several_devices_is_told_nothing():
    done = python(SWEEP, JAX_NUM_CPU_DEVICES="2")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
