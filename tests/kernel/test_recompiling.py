"""A hint when one model is compiled again and again."""

from __future__ import annotations

import re
import warnings

import jax.numpy as jnp
import pytest

import gridax as gx
from gridax._kernel import recompiling


@pytest.fixture(autouse=True)
def every_second_counts(monkeypatch):
    monkeypatch.setattr(recompiling, "_LONG", 0.0)


def sweeps(model, values):
    """Run a model with a fixed value that changes; return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for value in values:
            space = gx.Space({"x": gx.GridAxis(0, 1, 3), "dt": value}, mode="product")
            gx.ParallelExecution(model, space, n_pmap=1).run(progress=False)
    return [str(each.message) for each in caught]


def test_numbers_that_change_are_part_of_the_program_which_is_said_once():
    def decay(state):
        return state["x"] * jnp.exp(-state["dt"])

    (text,) = sweeps(decay, [0.1 * i for i in range(10)])
    assert re.sub(r"took \d+ s", "took some s", text) == (  # how long, is up to the machine
        "the model 'decay' was compiled as 8 different programs, which took some s: plain numbers in "
        "the state, and numbers that the model reads from outside, are part of a program. Put what "
        "changes into the state as an array (jnp.asarray(x)) or an axis, and it is compiled once"
    )


def test_arrays_that_change_are_not_part_of_the_program():
    def decay(state):
        return state["x"] * jnp.exp(-state["dt"])

    assert sweeps(decay, [jnp.asarray(0.1 * i) for i in range(10)]) == []


@pytest.mark.slow
def test_shapes_that_change_are_meant():
    def total(state):
        return state["x"] * state["dt"].sum()

    assert sweeps(total, [jnp.ones(i) for i in range(1, 11)]) == []


def test_models_without_code_of_their_own_are_left_alone():
    class Model:
        def __call__(self, state):
            return state["x"] * state["dt"]

    assert sweeps(Model(), [0.1 * i for i in range(10)]) == []
