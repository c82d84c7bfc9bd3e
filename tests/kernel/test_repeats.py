"""Operations that are repeated in a program are merged."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.repeats import without_repeats


def n_sines(closed):
    return [equation.primitive.name for equation in closed.jaxpr.eqns].count("sin")


def test_repeated_operations_are_merged_but_not_those_that_differ():
    def function(x):
        return jnp.sin(x) + jnp.sin(x), jnp.sin(x + 1), x * 0.0, x * -0.0

    before = jax.make_jaxpr(function)(1.0)
    after = without_repeats(before)
    assert (n_sines(before), n_sines(after)) == (3, 2)
    found = jaxpr_as_fun(after)(jnp.float32(0.5))
    np.testing.assert_array_equal(np.signbit(found[2:]), [False, True])
    np.testing.assert_allclose(found[:2], function(0.5)[:2], rtol=1e-6)
