"""Numbers that are Python's and have the attributes of NumPy's."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridax._axes.scalars import Float, Int, scalar

NUMBERS = [scalar(np.float64(0.1)), scalar(np.int64(3)), scalar(np.uint8(7))]


def test_kinds():
    assert [type(number) for number in NUMBERS] == [Float, Int, Int]
    assert isinstance(scalar(np.bool_(True)), np.bool_)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_has_the_attributes_of_a_numpy_scalar(number):
    assert number.dtype in (np.float64, np.int64)
    assert number.shape == ()
    assert number.astype(np.float32) == np.float32(number)
    assert number.item() == number
    with pytest.raises(AttributeError, match="spin"):
        _ = number.spin


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_pythons_in_arithmetic_and_text(number):
    assert type(number + number) in (float, int)
    assert f"{number}" == repr(number) == repr(number.item())
    assert {number: 1}[number.item()] == 1


@pytest.mark.parametrize("number", NUMBERS)
def test_jax_computes_with_a_number(number):
    assert jnp.sin(number) == jnp.sin(number.item())
    assert jax.jit(lambda x: x + 1)(number) == jnp.asarray(number.item()) + 1
    doubled = jax.vmap(lambda x: x * number)(jnp.arange(3.0))
    np.testing.assert_allclose(doubled, np.arange(3.0) * number, rtol=1e-6)


@pytest.mark.parametrize("number", NUMBERS)
def test_copies_are_equal(number):
    for copied in (copy.copy(number), copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert copied == number
