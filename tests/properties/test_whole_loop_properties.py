"""Random loops that are compiled as a whole compute what JAX computes by default.

XLA ends the process if it cannot compile what it was asked to compile as a whole, so this also shows
that nothing of the kind is asked.
"""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._kernel import cpu
from tests.properties.random_loops import Model


@pytest.mark.skipif(
    not cpu._IS_KNOWN, reason="with this version of JAX, loops are compiled as it does by default"
)
@pytest.mark.parametrize("longest", [0, 64, 2**12])
@given(seed=st.integers(0, 10**6), width=st.sampled_from([1, 3, 64, 300]), both=st.booleans())
def test_whole_loops_compute_the_same(longest, seed, width, both):
    function = jax.vmap(Model(random.Random(seed)), (0, 0 if both else None))
    p, q = jnp.linspace(0.1, 1.3, width), jnp.linspace(-1, 1, width)
    q = q if both else q[0]
    whole = jax.jit(
        cpu.rewritten(function, longest),
        compiler_options=cpu.options(cpu.Effort.FAST_CODE, longest),
    )
    for mine, theirs in zip(
        *map(jax.tree.leaves, (whole(p, q), jax.jit(function)(p, q))), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)
