"""Models and spaces that several test modules share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

# Executors that trace a model, whatever it is.
TRACING: dict[str, Any] = {
    "parallel": gx.ParallelExecution,
    "jitted": lambda model, space: gx.SequentialExecution(jax.jit(model), space),
}


def reading(state: Any) -> jax.Array:
    """Return one number that depends on every leaf, whatever its kind; works traced and eagerly."""
    return sum(weight * _number(leaf) for weight, leaf in enumerate(jax.tree.leaves(state), 1))


def _number(leaf: Any) -> Any:
    if isinstance(leaf, str):
        return float(len(leaf))
    if callable(leaf):
        return leaf(0.5)
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.uniform(leaf)
    return jnp.sum(jnp.asarray(leaf) * 1.0)


# Per kind of axis: the state, the mode, what a person types, and the point that is meant.
LABELED: dict[str, tuple[Any, str, dict[str, Any], int]] = {
    "linear": ({"x": gx.GridAxis(0, 1, 11)}, "product", {"x": 0.3}, 3),
    "logarithmic": ({"x": gx.LogGridAxis(1e-3, 1e-1, 5)}, "product", {"x": 0.01}, 2),
    "list": ({"x": gx.DataAxis([0.7, 0.3, 0.1])}, "product", {"x": 0.3}, 1),
    "NumPy array": ({"x": gx.DataAxis(np.arange(0, 1, 0.1))}, "product", {"x": 0.3}, 3),
    "float32 JAX array": (
        {"x": gx.DataAxis(jnp.array([0.1, 0.3, 0.2], jnp.float32))},
        "product",
        {"x": 0.3},
        1,
    ),
    "integers": ({"x": gx.DataAxis([30, 10, 20])}, "product", {"x": 10}, 1),
    "bools": ({"x": gx.DataAxis([True, False])}, "product", {"x": False}, 1),
    "strings": (
        {"x": gx.DataAxis([0.5, 2.5], labels=["low", "high"])},
        "product",
        {"x": "high"},
        1,
    ),
    "choices": ({"x": gx.ChoiceAxis([jnp.sin, jnp.cos])}, "product", {"x": "cos"}, 1),
    "arrays": ({"x": gx.DataAxis(np.eye(3))}, "product", {"x": 2}, 2),
    "keys": ({"x": gx.KeyAxis(4)}, "product", {"x": 2}, 2),
    "a member of a group": (
        {
            "x": gx.DataAxis([0.1, 0.3, 0.2], group="setting"),
            "y": gx.DataAxis([5, 6, 7], group="setting"),
        },
        "product",
        {"x": 0.3},
        1,
    ),
    "the other member of a group": (
        {
            "x": gx.DataAxis([0.1, 0.3, 0.2], group="setting"),
            "y": gx.DataAxis([5, 6, 7], group="setting"),
        },
        "product",
        {"y": 7},
        2,
    ),
    "several members of a group": (
        {
            "x": gx.DataAxis([0.1, 0.1, 0.3], group="setting"),
            "y": gx.DataAxis([5, 6, 6], group="setting"),
        },
        "product",
        {"x": 0.1, "y": 6},
        1,
    ),
    "zipped": (
        {"x": gx.GridAxis(0, 1, 11), "y": gx.KeyAxis(11)},
        "zip",
        {"x": 0.3},
        3,
    ),
    "a dimension of several": (
        {"x": gx.GridAxis(0, 1, 11), "dt": 0.1},
        "product",
        {"x": 0.7},
        7,
    ),
}


def outputs(state):
    """Return floats, an array and integers, of the same dtypes traced and eagerly."""
    noise = jax.random.normal(state["k"], (3,))
    return {
        "y": state["x"] + state["dt"] * noise,
        "bits": jax.random.bits(state["k"]),
        "n": jnp.int32(7),
    }


def same(found, wanted):
    """Whether Datasets agree: labels and integers exactly, floats up to rounding."""
    labels = [dataset.coords.to_dataset().drop_attrs() for dataset in (found, wanted)]
    assert labels[0].identical(labels[1])
    assert list(found.data_vars) == list(wanted.data_vars)
    for name, variable in wanted.data_vars.items():
        assert found[name].dims == variable.dims
        assert found[name].dtype == variable.dtype
        if variable.dtype.kind == "f":
            np.testing.assert_allclose(found[name], variable, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], variable)
    return True
