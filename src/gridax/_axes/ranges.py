"""Numbers between two bounds: evenly spaced, logarithmic, or drawn."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gridax import _checks
from gridax._axes.base import LabeledAxis, default_key, owner
from gridax._axes.table import Table, grid_table, number_table
from gridax._decimals import linear, logarithmic
from gridax._memory import check_fits


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class _RangeAxis(LabeledAxis):
    """Numbers between two bounds. Abstract: `table`."""

    low: float
    high: float
    n: int
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        low, high = _checks.bounds(self.low, self.high, owner(self))
        put("low", low)
        put("high", high)
        put("n", _checks.count(self.n, owner(self), "n"))
        if self.shape is not None:
            put("shape", _checks.shape(self.shape, owner(self), "shape"))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class _ComputedGrid(_RangeAxis):
    """A grid whose labels are computed in decimal arithmetic. Abstract: `_labels`."""

    digits: int | None = dataclasses.field(default=None, kw_only=True)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        super()._normalize(put)
        if self.digits is None:
            return
        put("digits", _checks.count(self.digits, owner(self), "digits"))
        if self.digits > 15:
            raise ValueError(
                f"{owner(self)}: digits must be at most 15, which is what a float64 can hold, got "
                f"{self.digits}"
            )

    @abc.abstractmethod
    def _labels(self) -> np.ndarray:
        """Return the labels in ascending order."""

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        check_fits(8 * self.n, f"{owner}: {self.n} labels", "use fewer")
        labels = self._labels()
        (equal,) = np.nonzero(labels[1:] <= labels[:-1])
        if equal.size and self.digits is not None:
            raise ValueError(
                f"{owner}: with digits={self.digits}, the label {labels[equal[0]].item()!r} occurs "
                "more than once; use more digits or fewer points"
            )
        return grid_table(labels, owner, self.shape)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GridAxis(_ComputedGrid):
    """Evenly spaced values, including both ends.

    Labels are computed in decimal arithmetic, so that they are the numbers that a person would
    write: ``GridAxis(-0.2, 0.4, 7)`` has 0.0 and 0.1.

    Parameters
    ----------
    low, high : float
        First and last value, with ``low < high``.
    n : int
        Number of values. If it is one, the value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label remains the number.
    digits : int, optional
        Round labels and values, bounds included, to this many significant digits, up to 15.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

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
    >>> gx.Space({"x": GridAxis(0, 1, 4, digits=3)}).to_dataframe()["x"].tolist()
    [0.0, 0.333, 0.667, 1.0]
    >>> GridAxis(1.0, 0.5, 3, name="G")
    Traceback (most recent call last):
        ...
    ValueError: axis 'G': low must be smaller than high, got low=1.0, high=0.5
    """

    def _labels(self) -> np.ndarray:
        return linear(self.low, self.high, self.n, self.digits)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LogGridAxis(_ComputedGrid):
    """Values evenly spaced on a logarithmic scale, including both ends.

    Labels are computed in decimal arithmetic and rounded to 15 significant digits, so that decades
    are exact.

    Parameters
    ----------
    low, high : float
        First and last value, with ``0 < low < high``: the bounds themselves, not their exponents.
    n : int
        Number of values. If it is one, the value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label remains the number.
    digits : int, optional
        Round labels and values, bounds included, to this many significant digits, up to 15.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        As `GridAxis`, and if a bound is not positive.

    Examples
    --------
    >>> import gridax as gx
    >>> gx.Space({"sigma": LogGridAxis(1e-3, 1e-1, 3)}).to_dataframe()["sigma"].tolist()
    [0.001, 0.01, 0.1]
    >>> space = gx.Space({"sigma": LogGridAxis(1e-3, 1e-1, 5, digits=3)}, mode="product")
    >>> space.sel(sigma=0.00316)[0]["sigma"].item()
    0.003160000080242753
    """

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        super()._normalize(put)
        if self.low <= 0:
            raise ValueError(
                f"{owner(self)}: a logarithmic grid needs positive bounds, got low={self.low}, "
                f"high={self.high}"
            )

    def _labels(self) -> np.ndarray:
        return logarithmic(self.low, self.high, self.n, self.digits)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class UniformAxis(_RangeAxis):
    """Random values, uniform between two bounds.

    In a product, the values of an ungrouped axis are sorted in ascending order.

    Parameters
    ----------
    low, high : float
        Bounds, with ``low < high``; values lie in ``[low, high)``.
    n : int
        Number of values.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label remains the number.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

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
        check_fits(8 * self.n, f"{owner}: {self.n} labels", "use fewer")
        key = default_key() if key is None else key
        # Bounds that are equal in JAX's default dtype would give the same value n times.
        low, high = grid_table(np.array([self.low, self.high]), owner).values
        draws = jax.random.uniform(key, (self.n,), minval=low, maxval=high)
        return number_table(np.asarray(draws), owner, self.shape, drawn=True)
