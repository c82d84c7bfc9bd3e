"""Numbers of the unit interval, moved onto a range or the values of a distribution."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridax import _checks
from gridax._axes.table import grid_table


def spread(unit: np.ndarray, onto: Any, name: str) -> np.ndarray:
    """Move numbers of the unit interval onto bounds or a distribution."""
    owner = f"axis {name!r}"
    if isinstance(onto, (tuple, list)) and len(onto) == 2:
        low, high = _checks.bounds(onto[0], onto[1], owner)
        grid_table(np.array([low, high]), owner)  # rejects bounds that JAX could not tell apart
        return low + (high - low) * unit
    if isinstance(onto, type) or not hasattr(onto, "icdf"):
        raise TypeError(f"{owner}: pass bounds (low, high) or a numpyro distribution, got {onto!r}")
    check_scalar(onto, owner, "a design")
    values = quantiles(onto, unit, owner)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{owner}: a quantile of {type(onto).__name__} is not finite in {values.dtype}; use a "
            "distribution whose values fit in this dtype"
        )
    return values


def check_distribution(given: Any, owner: str) -> None:
    """Reject anything but an instance of a distribution of NumPyro."""
    sampled = hasattr(given, "sample") and hasattr(given, "event_shape")
    if isinstance(given, type) or not sampled:
        raise TypeError(
            f"{owner}: distribution must be one of numpyro.distributions, such as "
            f"dist.Normal(0.0, 1.0), got {given!r}"
        )


def check_scalar(distribution: Any, owner: str, what: str) -> None:
    """Reject a distribution of arrays."""
    if distribution.batch_shape or distribution.event_shape:
        raise ValueError(
            f"{owner}: {what} needs a distribution of scalars, got batch shape "
            f"{distribution.batch_shape} and event shape {distribution.event_shape}"
        )


def quantiles(distribution: Any, unit: np.ndarray, owner: str) -> np.ndarray:
    """Return the inverse cumulative distribution function at some probabilities."""
    # The ends of the unit interval may lie at infinity.
    tiny = float(jnp.finfo(jnp.result_type(float)).eps)
    name = type(distribution).__name__
    try:
        return np.asarray(_icdf(distribution, np.clip(unit, tiny, 1 - tiny)))
    except NotImplementedError:
        raise ValueError(
            f"{owner}: {name} has no inverse cumulative distribution function in NumPyro; pass "
            "bounds, or use NumPyroAxis"
        ) from None
    except ImportError as error:
        raise ValueError(
            f"{owner}: NumPyro needs another package for the inverse cumulative distribution "
            f"function of {name}: {error} Install it, pass bounds, or use NumPyroAxis"
        ) from error


def _icdf(onto: Any, unit: np.ndarray) -> Any:
    """Invert a distribution function, by SciPy where NumPyro needs another package."""
    from scipy import stats

    kinds = {kind.__name__ for kind in type(onto).__mro__}  # a Chi2 is a Gamma, for example
    if "DiscreteUniform" in kinds:  # NumPyro returns what lies between the integers
        return int(onto.low) + np.floor(unit * (int(onto.high) - int(onto.low) + 1)).astype(int)
    try:
        return onto.icdf(jnp.asarray(unit))
    except ImportError:
        if "Beta" in kinds:
            return stats.beta(float(onto.concentration1), float(onto.concentration0)).ppf(unit)
        if "Gamma" in kinds:
            return stats.gamma(float(onto.concentration), scale=1 / float(onto.rate)).ppf(unit)
        if "StudentT" in kinds:
            return stats.t(float(onto.df), float(onto.loc), float(onto.scale)).ppf(unit)
        if "TransformedDistribution" not in kinds:
            raise
    falls = math.prod(int(transform.sign) for transform in onto.transforms) < 0
    values = jnp.asarray(_icdf(onto.base_dist, 1 - unit if falls else unit))
    for transform in onto.transforms:
        values = transform(values)
    return values
