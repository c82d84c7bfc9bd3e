"""Random draws: from distributions, and the keys of trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax import _checks
from gridax._axes.base import LabeledAxis, default_key, owner
from gridax._axes.quantiles import check_distribution
from gridax._axes.table import Table, array_table, key_table, number_table


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NumPyroAxis(LabeledAxis):
    """Random draws from a NumPyro distribution.

    In a product, the draws of an ungrouped axis of numbers are sorted in ascending order.

    Parameters
    ----------
    distribution : numpyro.distributions.Distribution
        Its batch and event shapes become part of the shape of a value.
    n : int
        Number of points.
    sample_shape : tuple of int, optional
        Shape of independent draws per point; it precedes the batch and event shapes.
    broadcast_mode : bool, optional
        One draw per point, broadcast to `sample_shape`.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `distribution` cannot be sampled, `n` is not a positive integer, or a draw is NaN or
        infinite.

    Examples
    --------
    >>> import jax
    >>> import numpyro.distributions as dist
    >>> axis = NumPyroAxis(dist.Normal(0.0, 1.0), n=3, sample_shape=(2, 4))
    >>> axis.generate_values(jax.random.key(0)).shape
    (3, 2, 4)
    """

    distribution: Any
    n: int
    sample_shape: tuple[int, ...] = ()
    broadcast_mode: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        check_distribution(self.distribution, owner(self))
        put("n", _checks.count(self.n, owner(self), "n"))
        put("sample_shape", _checks.shape(self.sample_shape, owner(self), "sample_shape"))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        if not self.broadcast_mode:
            draws = self._drawn(key, (self.n, *self.sample_shape), owner)
            return array_table(draws, None, owner, drawn=True)
        draws = self._drawn(key, (self.n,), owner)
        if draws.ndim == 1:
            return number_table(draws, owner, self.sample_shape or None, drawn=True)
        extended = draws.reshape((self.n,) + (1,) * len(self.sample_shape) + draws.shape[1:])
        shape = (self.n, *self.sample_shape, *draws.shape[1:])
        return array_table(np.broadcast_to(extended, shape), None, owner)

    def _drawn(self, key: jax.Array, shape: tuple[int, ...], owner: str) -> np.ndarray:
        try:
            return np.asarray(self.distribution.sample(key, shape))
        except NotImplementedError:
            raise ValueError(
                f"{owner}: {type(self.distribution).__name__} cannot be sampled; use a "
                "distribution that can, or DataAxis with values of your own"
            ) from None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class KeyAxis(LabeledAxis):
    """Independent PRNG keys with the labels 0..n-1, for trials of a stochastic model.

    A larger `n` does not change the keys of the first trials.

    Parameters
    ----------
    n : int
        Number of keys.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"key": KeyAxis(16, name="trial")}, mode="product")
    >>> space.dataset["trial"].values[:3].tolist()
    [0, 1, 2]
    """

    n: int

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        put("n", _checks.count(self.n, owner(self), "n"))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        return key_table(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(self.n)))
