"""Numbers between two bounds: evenly spaced, logarithmic, or drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import numpy as np

from gridax import _checks
from gridax._axes.base import LabeledAxis, default_key, owner
from gridax._axes.table import Table, number_table


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class _RangeAxis(LabeledAxis):
    """Numbers between two bounds. Abstract: `table`."""

    low: float
    high: float
    n: int
    shape: tuple[int, ...] | None = None

    _positive: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        low, high = _checks.bounds(self.low, self.high, owner(self))
        if self._positive and low <= 0:
            raise ValueError(
                f"{owner(self)}: a logarithmic grid needs positive bounds, got low={low}, "
                f"high={high}"
            )
        put("low", low)
        put("high", high)
        put("n", _checks.count(self.n, owner(self), "n"))
        if self.shape is not None:
            put("shape", _checks.shape(self.shape, owner(self), "shape"))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GridAxis(_RangeAxis):
    """Evenly spaced values, both ends included.

    Parameters
    ----------
    low, high : float
        First and last value, ``low < high``.
    n : int
        Number of values; one value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label stays the number.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer, a bound is not finite, or ``low >= high``.

    Examples
    --------
    >>> GridAxis(0.0, 1.0, 11).generate_values()[3].item()
    0.30000001192092896
    >>> import gridax as gx
    >>> gx.Space({"x": GridAxis(0.0, 1.0, 11)}).sel(x=0.3)[0]["x"].item()
    0.30000001192092896
    >>> GridAxis(1.0, 0.5, 3, name="G")
    Traceback (most recent call last):
        ...
    ValueError: axis 'G': low must be smaller than high, got low=1.0, high=0.5
    """

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return number_table(np.linspace(self.low, self.high, self.n), owner, self.shape)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LogGridAxis(_RangeAxis):
    """Values evenly spaced on a logarithmic scale, both ends included.

    Parameters
    ----------
    low, high : float
        First and last value, ``0 < low < high``: the bounds themselves, not their exponents.
    n : int
        Number of values; one value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        As `GridAxis`, and if a bound is not positive.

    Examples
    --------
    >>> import gridax as gx
    >>> gx.Space({"sigma": LogGridAxis(1e-3, 1e-1, 3)}).to_dataframe()["sigma"].tolist()
    [0.001, 0.01, 0.1]
    """

    _positive = True

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return number_table(np.geomspace(self.low, self.high, self.n), owner, self.shape)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class UniformAxis(_RangeAxis):
    """Random values, uniform between two bounds.

    In a product, the values of an ungrouped axis stand in ascending order.

    Parameters
    ----------
    low, high : float
        Bounds, ``low < high``; values lie in ``[low, high)``.
    n : int
        Number of values.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        As `GridAxis`.

    Examples
    --------
    >>> import jax
    >>> UniformAxis(0.0, 1.0, 3, shape=(4, 2)).generate_values(jax.random.key(1)).shape
    (3, 4, 2)
    """

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        # Bounds that collapse in JAX's default dtype would draw one value n times.
        low, high = number_table(np.array([self.low, self.high]), owner).values
        draws = jax.random.uniform(key, (self.n,), minval=low, maxval=high)
        return number_table(np.asarray(draws), owner, self.shape)
