"""When Python looks for garbage."""

from __future__ import annotations

import gc

import jax.numpy as jnp
import pytest

import gridax as gx
from gridax._garbage import uncollected


@pytest.fixture
def _collecting():
    gc.enable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_collecting")
def test_garbage_is_collected_again_after_an_error():
    with pytest.raises(ZeroDivisionError), uncollected():
        1 // gc.isenabled()
    assert gc.isenabled()


@pytest.mark.usefixtures("_collecting")
def test_what_the_user_turned_off_stays_off():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


@pytest.mark.usefixtures("_collecting")
def test_no_garbage_is_collected_while_a_model_is_traced():
    collecting = []

    def model(state):
        collecting.append(gc.isenabled())
        return jnp.sin(state["a"])

    gx.ParallelExecution(model, gx.Space({"a": gx.GridAxis(0, 1, 5)})).run(progress=False)
    assert collecting == [False]
    assert gc.isenabled()
