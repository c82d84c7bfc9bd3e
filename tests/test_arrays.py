"""Arrays at the boundary: what JAX would change silently is rejected, byte order is converted."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridax import _arrays
from gridax._arrays import bytes_of, device_values, is_floating, is_keys, native, owned, whole
from gridax._pytree import may_change
from tests.x64 import x64

OWNER = "axis 'G'"


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2]), "int32"),
        (np.array([2**31 - 1, -(2**31)]), "int32"),
        (np.array([2**32 - 1], np.uint64), "uint32"),
        (np.array([0.1, -0.0, np.inf, np.nan]), "float32"),
        (np.array([1j]), "complex64"),
        (np.array([1, 2], np.int8), "int8"),
        (np.array([0.5], np.float16), "float16"),
        (np.array([True]), "bool"),
    ],
)
def test_host_values_get_the_dtype_that_jax_gives_them(values: np.ndarray, dtype: str) -> None:
    cast = device_values(values, OWNER)
    assert str(cast.dtype) == dtype == str(jnp.asarray(values).dtype)
    np.testing.assert_array_equal(cast, jnp.asarray(values))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2**40]), "int32"),
        (np.array([-(2**31) - 1]), "int32"),
        (np.array([2**32], np.uint64), "uint32"),
        (np.array([0.5, 1e300]), "float32"),
        (np.array([-1e39]), "float32"),
        (np.array([0.0, 1e-300]), "float32"),
        (np.array([[1.0, 1e300]]), "float32"),
        (np.array([1e300j]), "complex64"),
    ],
)
def test_values_that_jax_would_change_silently_are_rejected(values: np.ndarray, dtype: str) -> None:
    bad = values.flat[values.size - 1].item()
    message = (
        f"axis 'G': {bad!r} does not fit in {dtype}, which JAX would use; enable 64 bits with "
        "jax.config.update('jax_enable_x64', True) or rescale"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        device_values(values, OWNER)


def test_with_64_bits_every_value_fits() -> None:
    with x64():
        for values in (np.array([2**40]), np.array([1e300, 1e-300]), np.array([2**63], np.uint64)):
            assert device_values(values, OWNER) is values


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2], np.int8), "int64"),
        (np.array([1, 2**63 - 1], np.uint64), "int64"),
        (np.array([1, 2**63], np.uint64), "uint64"),
        (np.zeros(0, np.uint64), "int64"),
    ],
)
def test_whole_labels_are_int64_unless_only_uint64_holds_them(
    values: np.ndarray, dtype: str
) -> None:
    labels = whole(values)
    assert str(labels.dtype) == dtype
    assert labels.tolist() == values.tolist()


def test_only_typed_keys_are_keys() -> None:
    assert is_keys(jax.random.key(0))
    assert is_keys(jax.random.split(jax.random.key(0)))
    assert not is_keys(jax.random.PRNGKey(0))
    assert not is_keys(0)
    assert jax.jit(lambda key: jnp.array(is_keys(key)))(jax.random.key(0))


def test_other_byte_orders_become_the_native_one() -> None:
    for kind in (">f8", ">i4", ">c16", ">f2"):
        array = native(np.array([1, 2], kind))
        assert array.dtype.isnative
        assert array.tolist() == [1, 2]
    assert device_values(np.array([0.5], ">f8"), OWNER).dtype == np.float32
    assert whole(np.array([2**63], ">u8")).tolist() == [2**63]


def test_bfloat16_is_a_float() -> None:
    assert is_floating(jnp.bfloat16)
    assert is_floating(np.float64)
    assert not is_floating(np.int8)
    assert not is_floating(np.complex64)


def test_a_large_array_is_checked_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_PIECE", 1000)
    values = np.random.default_rng(0).normal(size=(300, 7))
    cast = device_values(values, OWNER)
    assert cast.dtype == np.float32
    np.testing.assert_array_equal(cast, values.astype(np.float32))
    values[-1, 3] = 1e300
    with pytest.raises(ValueError, match=re.escape("1e+300 does not fit in float32")):
        device_values(values, OWNER)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", ">f8", "complex64", "bfloat16"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_an_owned_array_is_a_copy_that_nobody_can_change(dtype: str, shape: Any) -> None:
    values = np.ones(shape, jnp.dtype(dtype) if dtype == "bfloat16" else dtype)
    mine = owned(values)
    assert mine.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(mine, values)
    assert not np.shares_memory(mine, values)
    assert not may_change(mine)


def test_jax_on_a_cpu_uses_an_owned_array_without_a_copy() -> None:
    mine = owned(np.ones((300, 400), np.float32))
    there = jax.device_put(mine, jax.devices("cpu")[0])
    assert there.unsafe_buffer_pointer() == mine.ctypes.data


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.float32(0.5),
        np.array(["a", "bc"]),
        np.empty((0, 3)),
        np.ones(2, jnp.bfloat16),
    ],
)
def test_the_bytes_of_an_array_are_those_in_c_order(array: Any) -> None:
    assert bytes_of(np.asarray(array)).tobytes() == np.asarray(array).tobytes()
