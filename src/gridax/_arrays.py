"""NumPy and JAX arrays at the boundary: byte order, dtypes, and what counts as PRNG keys."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

# Bytes to which XLA aligns arrays, and bytes that are checked at a time.
_ALIGNMENT, _PIECE = 64, 2**23
# Bytes of an array that are copied faster than NumPy can be given their memory.
_COPIED = 2**17


def is_keys(value: Any) -> bool:
    """Whether `value` is an array of typed PRNG keys, traced or not."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_array(value: Any) -> bool:
    """Whether a value has a shape and a dtype; a module such as NumPy has functions of these names.

    Examples
    --------
    >>> is_array(np.ones(3)), is_array(np), is_array([1, 2])
    (True, False, False)
    """
    return isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype")


def is_floating(dtype: Any) -> bool:
    """Whether a dtype holds real floats; NumPy alone does not recognize bfloat16 and float8."""
    return bool(jnp.issubdtype(dtype, jnp.floating))


def x64(enabled: bool) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which JAX has 64 bits, or has not."""
    module = jax if hasattr(jax, "enable_x64") else jax.experimental  # in older versions
    context: contextlib.AbstractContextManager[Any] = module.enable_x64(enabled)
    return context


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


def owned(values: np.ndarray) -> np.ndarray:
    """Return a read-only copy, which JAX on a CPU can use without copying it once more.

    Examples
    --------
    >>> values = np.zeros(2)
    >>> mine = owned(values)
    >>> values[:] = 5
    >>> mine.tolist(), mine.flags.writeable
    ([0.0, 0.0], False)
    """
    dtype = values.dtype if values.dtype.isnative else values.dtype.newbyteorder("=")
    copy = _aligned(values.shape, dtype)
    copy[...] = values
    for array in (copy, copy.base):
        assert array is not None  # the memory of which it is a view
        array.flags.writeable = False
    return copy


def bytes_of(array: np.ndarray) -> np.ndarray:
    """Return the bytes of an array in C order; those of a contiguous array are not copied.

    Examples
    --------
    >>> bytes_of(np.array([[1, 256]], "<i2")).tolist()
    [1, 0, 0, 1]
    """
    if not array.dtype.itemsize:
        return np.empty(0, np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an uninitialized array at an address at which XLA accepts the memory of others."""
    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)


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
    cast = _aligned(values.shape, dtype)
    # Piece by piece, so that the arrays of the check take little memory.
    for piece in _pieces(values):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            cast[piece] = values[piece]
        lost = _lost(values[piece], cast[piece])
        if lost.any():
            raise ValueError(
                f"{owner}: {values[piece][lost].flat[0].item()!r} does not fit in {dtype}, which "
                "JAX would use; enable 64 bits with jax.config.update('jax_enable_x64', True) or "
                "rescale"
            )
    return cast


def _pieces(values: np.ndarray) -> Iterator[Any]:
    """Yield indices of pieces of a few megabytes along the first dimension."""
    if values.nbytes <= _PIECE or values.ndim == 0:
        yield ...
        return
    step = max(1, _PIECE * len(values) // values.nbytes)
    for start in range(0, len(values), step):
        yield slice(start, start + step)


def _lost(values: np.ndarray, cast: np.ndarray) -> np.ndarray:
    """Return which values became others when they were cast."""
    if jnp.issubdtype(cast.dtype, jnp.integer):
        return np.asarray(cast.astype(values.dtype) != values)
    return np.asarray((np.isinf(cast) & ~np.isinf(values)) | ((cast == 0) & (values != 0)))


class _Buffer:
    """Offers NumPy the bytes of an array that is marked as read-only, to be written to."""

    def __init__(self, array: np.ndarray) -> None:
        flat = array.reshape(-1).view(np.uint8)
        self._array = array  # which keeps the memory
        address, _ = flat.__array_interface__["data"]
        self.__array_interface__ = flat.__array_interface__ | {"data": (address, False)}


def writable(array: np.ndarray) -> np.ndarray:
    """Return an array that can be changed; nobody else may use the one that is given.

    JAX marks the memory of all of its arrays as read-only. That of outputs which only gridax has
    need not be copied to become an ordinary array of NumPy. Small arrays are, since it is faster.

    Examples
    --------
    >>> array = writable(np.asarray(jnp.arange(3)))
    >>> array[0] = 5
    >>> array.tolist()
    [5, 1, 2]
    """
    if array.nbytes <= _COPIED or array.flags.writeable or not array.flags.c_contiguous:
        return array if array.flags.writeable else array.copy()
    return np.asarray(_Buffer(array)).view(array.dtype).reshape(array.shape)
