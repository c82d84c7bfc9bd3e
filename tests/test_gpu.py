"""What only an accelerator can show."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx


@pytest.mark.gpu
def test_the_accelerator_gives_what_the_cpu_gives():
    def model(state):
        noise = jax.random.normal(state["key"], (16,))
        return {"x": jnp.tanh(state["a"] * noise), "noise": noise}

    state = {"a": gx.GridAxis(0, 1, 9), "key": gx.KeyAxis(5, name="trial")}
    there = gx.ParallelExecution(model, gx.Space(state, mode="product")).run(progress=False)
    with jax.default_device(jax.devices("cpu")[0]):
        here = gx.SequentialExecution(model, gx.Space(state, mode="product")).run(progress=False)
    np.testing.assert_array_equal(there.dataset["noise"], here.dataset["noise"])
    np.testing.assert_allclose(there.dataset["x"], here.dataset["x"], rtol=1e-5)
