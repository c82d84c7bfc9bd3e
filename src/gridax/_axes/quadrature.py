"""Gauss nodes of a range or a distribution, with their weights."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import x64
from gridax._axes.base import LabeledAxis, owner, short
from gridax._axes.quantiles import check_distribution, check_scalar, quantiles
from gridax._axes.table import Table, grid_table
from gridax._decimals import as_decimals


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class QuadratureAxis(LabeledAxis):
    """Gauss nodes: few values whose weighted means are those of a whole range or distribution.

    Call it as ``QuadratureAxis(low, high, n)`` or ``QuadratureAxis(distribution, n)``. The weights
    are the coordinate ``<name>_weight``, so ``ds.rate.weighted(ds.G_weight).mean("G")`` is the mean
    of ``rate`` over all values of ``G``, not only over the nodes.

    Parameters
    ----------
    low, high : float
        Bounds of a uniform distribution, with ``low < high``.
    n : int
        Number of nodes. With `n` nodes, the mean of a polynomial of a degree up to ``2 n - 1`` is
        exact, if the values are uniform or normal.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label remains the number.
    distribution : numpyro.distributions.Distribution, optional
        Instead of the bounds: a distribution of numbers. Nodes are those of Gauss and Legendre for
        a uniform distribution, and those of Gauss and Hermite for a normal one. For any other, they
        are the values of its inverse cumulative distribution function at those of the unit
        interval.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer, ``low >= high``, a bound is not finite, or the
        distribution is not one of numbers or has no inverse cumulative distribution function.

    Notes
    -----
    Weights stay with their labels in selections, groups and zips. Where several axes share a
    dimension, they are those of this axis alone; for means over several, use a product, and
    multiply their weights.

    References
    ----------
    P. J. Davis, P. Rabinowitz, Methods of Numerical Integration, 2nd ed. (1984), chapter 2.7.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": QuadratureAxis(0, 1, 3)}, mode="product")
    >>> run = gx.ParallelExecution(lambda s: {"y": s["x"] ** 4}, space).run(progress=False)
    >>> ds = run.dataset
    >>> round(ds.y.weighted(ds.x_weight).mean("x").item(), 6)
    0.2
    >>> import numpyro.distributions as dist
    >>> QuadratureAxis(dist.Normal(1.0, 0.5), 3).weights.round(3).tolist()
    [0.167, 0.667, 0.167]
    """

    low: Any = None
    high: Any = None
    n: Any = None
    shape: tuple[int, ...] | None = None
    distribution: Any = dataclasses.field(default=None, kw_only=True)

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(self.n)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the nodes, a float64 array of shape ``(n,)`` whose sum is one."""
        return self._rule[1]

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        if hasattr(self.low, "event_shape"):  # (distribution, n)
            if self.distribution is not None or (self.high is not None and self.n is not None):
                raise TypeError(
                    f"{owner(self)}: pass either bounds (low, high, n) or a distribution and n"
                )
            put("distribution", self.low)
            put("n", self.high if self.n is None else self.n)
        elif self.distribution is not None and not (self.low is None and self.high is None):
            raise TypeError(
                f"{owner(self)}: pass either bounds or a distribution, got low={self.low!r}, "
                f"high={self.high!r} and distribution={short(self.distribution)}"
            )
        if self.distribution is None:
            low, high = _checks.bounds(self.low, self.high, owner(self))
            put("low", low)
            put("high", high)
        else:
            check_distribution(self.distribution, owner(self))
            check_scalar(self.distribution, owner(self), "quadrature")
            put("low", None)
            put("high", None)
        put("n", _checks.count(self.n, owner(self), "n"))
        if self.shape is not None:
            put("shape", _checks.shape(self.shape, owner(self), "shape"))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        nodes, _ = self._rule
        if not np.isfinite(nodes).all():
            raise ValueError(f"{owner}: a node of {short(self.distribution)} is not finite")
        return grid_table(as_decimals(nodes), owner, self.shape)

    def weighted(self, table: Table, name: str) -> Table:
        """Return the table of the axis with the weights as a coordinate, named after the axis."""
        called = (self.attrs or {}).get("long_name", name)
        attrs = {"long_name": f"quadrature weight of {called}", "units": "1"}
        weight = xr.Variable((name,), self.weights, attrs)
        return dataclasses.replace(table, extra={f"{name}_weight": weight})

    @functools.cached_property
    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights in float64."""
        from scipy import special

        kind = type(self.distribution).__name__
        if kind == "Normal":
            unit, weights = special.roots_hermitenorm(self.n)
            loc, scale = self._parameters("loc", "scale")
            nodes = loc + scale * unit
        else:
            unit, weights = special.roots_legendre(self.n)
            if self.distribution is None or kind == "Uniform":
                low, high = (
                    (self.low, self.high)
                    if self.distribution is None
                    else self._parameters("low", "high")
                )
                nodes = (low + high) / 2 + (high - low) / 2 * unit
            else:
                with x64(True):
                    nodes = quantiles(self.distribution, (1 + unit) / 2, owner(self))
                if nodes.dtype.kind == "i":
                    raise ValueError(
                        f"{owner(self)}: quadrature needs a distribution of real numbers, but "
                        f"{kind} is one of integers; use NumPyroAxis, or DataAxis with all integers"
                    )
        return nodes, weights / weights.sum()

    def _parameters(self, *names: str) -> list[float]:
        """Return parameters of the distribution, as the decimals that they were given as."""
        return [_checks.number(getattr(self.distribution, n), owner(self), n) for n in names]

    def _call(self) -> str:
        range_ = (self.low, self.high) if self.distribution is None else (self.distribution,)
        options = {
            name: getattr(self, name) for name in ("shape", "group", "name", "attrs", "wrap")
        }
        given = [f"{n}={short(value)}" for n, value in options.items() if value not in (None, {})]
        return f"QuadratureAxis({', '.join([*map(short, (*range_, self.n)), *given])})"
