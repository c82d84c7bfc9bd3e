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
        x = jnp.tanh(state["a"] * noise)
        return {"x": x, "noise": noise, "bits": jax.random.bits(state["key"])}

    state = {"a": gx.GridAxis(0, 1, 9), "key": gx.KeyAxis(5, name="trial")}
    there = gx.ParallelExecution(model, gx.Space(state, mode="product")).run(progress=False)
    with jax.default_device(jax.devices("cpu")[0]):
        here = gx.SequentialExecution(model, gx.Space(state, mode="product")).run(progress=False)
    np.testing.assert_array_equal(there.dataset["bits"], here.dataset["bits"])
    # Normal draws are computed from the bits with functions that each compiler approximates.
    for name in ("noise", "x"):
        np.testing.assert_allclose(there.dataset[name], here.dataset[name], rtol=1e-4, atol=1e-6)
