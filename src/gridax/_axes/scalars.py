"""Numbers for models that are not traced: Python's, with what JAX code expects of an array."""

from __future__ import annotations

from typing import Any

import numpy as np


class Float(float):
    """A float that also has the attributes of a NumPy scalar, such as `dtype` and `astype`.

    It is computed with at the speed of a float, several times faster than `numpy.float64`.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(np.float64(self), _attribute(name))


class Int(int):
    """An int that also has the attributes of a NumPy scalar, such as `dtype` and `astype`.

    Unlike `numpy.int64`, it can be written as JSON.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(np.int64(self), _attribute(name))


def _attribute(name: str) -> str:
    """Reject the names of protocols: NumPy, which looks for them first, is faster with floats."""
    if name.startswith("__"):
        raise AttributeError(name)
    return name


def scalar(number: np.generic) -> Float | Int | np.generic:
    """Return a number as a model that is not traced receives it.

    A `numpy.bool_` stays one, because ``~True`` is -2 in Python, and true.
    """
    if isinstance(number, np.floating):
        return Float(number)
    return Int(number) if isinstance(number, np.integer) else number
