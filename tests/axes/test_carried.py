"""A carried leaf: what it accepts, and that it is a pytree like any other."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import gridax as gx


def test_it_says_what_it_carries():
    text = "Carried(initial=-1.0, output='x', along='r', order='both')"
    assert repr(gx.Carried(-1.0, "x", "r", "both")) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((None, "x", "r"), "initial must be the value at the first label, got None"),
        ((0.0, 3, "r"), "output must be a name, got 3 of type int"),
        ((0.0, "x", ["r"]), "along must be a name, got ['r'] of type list"),
        ((0.0, "x", "r", "up"), "order must be 'forward', 'backward' or 'both', got 'up'"),
        (("rest", "x", "r"), "initial must consist of numbers, got 'rest'"),
        (({"u": [0.0, np.array(["a"])]}, "x", "r"), "initial must consist of numbers, got array("),
        ((gx.Carried(0.0, "x", "r"), "x", "r"), "initial must not hold another Carried"),
        (([gx.Carried(0.0, "x", "r")], "x", "r"), "initial must not hold another Carried"),
    ],
)
def test_anything_else_is_rejected(arguments, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(f"Carried: {text}")):
        gx.Carried(*arguments)


def test_it_survives_a_map_over_the_state():
    state = {"x": gx.Carried({"v": 1.0, "w": np.ones(2)}, "end", "r", "both"), "dt": 0.1}
    copy = jax.tree.map(lambda leaf: leaf, state)
    assert repr(copy["x"]) == repr(state["x"])
    assert copy["x"].direction is state["x"].direction
    doubled = jax.tree.map(lambda leaf: 2 * leaf, gx.Carried(1.5, "x", "r"))
    assert doubled.initial == 3.0


def test_a_module_of_parameters_is_a_value_although_it_can_be_called():
    @jax.tree_util.register_pytree_node_class
    class Linear:
        def __init__(self, k):
            self.k = k

        def __call__(self, x):
            return self.k * x

        def tree_flatten(self):
            return (self.k,), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    assert not gx.Carried(Linear(2.0), "net", "epoch").is_computed
    assert gx.Carried(lambda state: 2.0, "x", "r").is_computed
