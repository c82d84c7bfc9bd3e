"""Ctrl-C in the middle of a run: a process is really interrupted, and what it kept is compared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gridax as gx

ROOT = Path(__file__).parents[2]

# Prints how far it is. Interrupted, it saves what it has, then runs again and saves all of it.
SCRIPT = """
import sys, time
import jax, jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", 2)
import gridax as gx

pause = 0.02
space = gx.Space({"x": gx.GridAxis(0, 1, 40), "k": gx.KeyAxis(5)}, mode="product")

def draw(state):
    return {"y": state["x"] + jax.random.normal(state["k"], (3,)), "n": jnp.int32(7)}

def one_by_one(state):
    time.sleep(pause)
    return draw(state)

def batched(state):
    def turn(i, x):
        return jnp.sin(x) + 1e-3 * jax.random.normal(jax.random.fold_in(state["k"], i))
    return {**draw(state), "long": jax.lax.fori_loop(0, 20_000, turn, state["x"])}

def tell(done, total):
    print(done, flush=True)

executor = EXECUTOR
try:
    executor.run(progress=tell)
except KeyboardInterrupt as interrupt:
    assert interrupt.result is executor.partial
    interrupt.result.to_netcdf(sys.argv[1])
    print(*interrupt.__notes__)
pause = 0
executor.run(progress=False).to_netcdf(sys.argv[2])
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems send SIGINT to a process")
@pytest.mark.parametrize(
    "executor",
    [
        "gx.SequentialExecution(one_by_one, space)",
        "gx.ParallelExecution(batched, space, n_vmap=2, n_pmap=2)",
    ],
    ids=["sequential", "parallel"],
)
def test_ctrl_c_keeps_what_was_computed_bit_for_bit(executor, tmp_path):
    paths = tmp_path / "part.nc", tmp_path / "whole.nc"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT.replace("EXECUTOR", executor), *paths],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if int(line) >= 12:
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err

    done = int(re.search(r"(\d+) of 200 points were computed and are kept", out).group(1))
    part, whole = (gx.open_result(path).dataset for path in paths)
    status = part["status"].values
    assert 12 <= done < 200
    assert (status == 1).sum() == done
    assert (status == 0).sum() == 200 - done
    for name, variable in whole.data_vars.items():
        kept = part[name].values
        np.testing.assert_array_equal(kept[status == 1], variable.values[status == 1])
        missing = kept[status == 0]
        assert np.isnan(missing).all() if missing.dtype.kind == "f" else (missing == 0).all()
    assert part[[]].equals(whole[[]])
