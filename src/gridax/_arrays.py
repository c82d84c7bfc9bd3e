"""NumPy and JAX arrays at the boundary: byte order, dtypes, and what counts as PRNG keys."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_keys(value: Any) -> bool:
    """Whether `value` is an array of typed PRNG keys, traced or not."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_floating(dtype: Any) -> bool:
    """Whether a dtype holds real floats; NumPy alone does not recognize bfloat16 and float8."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def native(array: np.ndarray) -> np.ndarray:
    """Return an array in the byte order of this machine, which is the only one that JAX accepts.

    Examples
    --------
    >>> native(np.array([1.5], ">f8")).dtype == np.float64
    True
    """
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def whole(values: np.ndarray) -> np.ndarray:
    """Return integers as int64, or as uint64 if they exceed int64."""
    values = native(values)
    fits = values.dtype != np.uint64 or values.max(initial=0) <= np.iinfo(np.int64).max
    return values.astype(np.int64) if fits else values


def fitted(texts: np.ndarray) -> np.ndarray:
    """Return strings in the narrowest dtype, which is what a file gives back; others unchanged.

    Examples
    --------
    >>> fitted(np.array(["euler", "heun"])[1:]).dtype
    dtype('<U4')
    """
    if texts.dtype.kind != "U" or texts.size == 0:
        return texts
    return texts.astype(f"U{max(1, int(np.strings.str_len(texts).max()))}")


def device_values(values: np.ndarray, owner: str) -> np.ndarray:
    """Cast host values to the dtype that JAX gives them, rejecting values that do not fit.

    Without 64-bit mode, JAX silently turns the integer 2**40 into 0 and 1e300 into inf. Floats
    are rounded to the nearest float32; a nonzero number that would become 0 does not fit either.

    Raises
    ------
    ValueError
        If a value does not fit; the message starts with `owner`.
    """
    values = native(values)
    dtype = jax.dtypes.canonicalize_dtype(values.dtype)
    if dtype == values.dtype:
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        cast = values.astype(dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        lost = cast.astype(values.dtype) != values
    else:
        lost = (np.isinf(cast) & ~np.isinf(values)) | ((cast == 0) & (values != 0))
    if lost.any():
        raise ValueError(
            f"{owner}: {values[lost].flat[0].item()!r} does not fit in {dtype}, which JAX would "
            f"use; enable 64 bits with jax.config.update('jax_enable_x64', True) or rescale"
        )
    return cast
