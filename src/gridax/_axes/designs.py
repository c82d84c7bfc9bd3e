"""Joint designs: several axes of one group whose values are spread, or drawn, together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gridax import _checks
from gridax._axes import DataAxis
from gridax._axes.labels import device_values
from gridax._axes.table import number_table

__all__ = ["from_samples", "halton", "latin_hypercube", "sobol"]


def sobol(
    over: Mapping[str, Any],
    n: int,
    *,
    group: Hashable = "sobol",
    seed: int = 0,
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group that fill their ranges as a scrambled Sobol sequence.

    Parameters
    ----------
    over : mapping of str to (low, high) or numpyro distribution
        Name of each axis and what it covers: bounds, evenly, or a distribution of numbers,
        through its inverse cumulative distribution function.
    n : int
        Number of points; a power of two keeps the sequence balanced.
    group : hashable, optional
        Group of the axes, which names their dimension.
    seed : int, optional
        Seed of the scrambling; the same seed gives the same points.
    attrs : mapping of str to mapping, optional
        Attributes by axis name.

    Returns
    -------
    dict of str to DataAxis
        One axis per name, to be put into the state.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to cover, bounds are not ascending, or a distribution has no inverse
        cumulative distribution function.

    References
    ----------
    I. M. Sobol', USSR Comput. Math. Math. Phys. 7, 86 (1967); scrambling: A. B. Owen, J. Complex.
    14, 466 (1998). Points come from `scipy.stats.qmc.Sobol`.

    Examples
    --------
    >>> import gridax as gx
    >>> design = sobol({"G": (0.1, 0.8), "sigma": (0.0, 0.1)}, n=64)
    >>> space = gx.Space({"coupling": design["G"], "noise": design["sigma"]}, mode="product")
    >>> space.sizes
    {'sobol': 64}
    """
    return _design("sobol", over, n, group, seed, attrs)


def halton(
    over: Mapping[str, Any],
    n: int,
    *,
    group: Hashable = "halton",
    seed: int = 0,
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group that fill their ranges as a scrambled Halton sequence.

    Parameters, results and errors as `sobol`; any `n` does.

    References
    ----------
    J. H. Halton, Numer. Math. 2, 84 (1960). Points come from `scipy.stats.qmc.Halton`.

    Examples
    --------
    >>> halton({"x": (0.0, 1.0), "y": (-1.0, 1.0)}, n=10)["y"].size
    10
    """
    return _design("halton", over, n, group, seed, attrs)


def latin_hypercube(
    over: Mapping[str, Any],
    n: int,
    *,
    group: Hashable = "latin_hypercube",
    seed: int = 0,
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group that fill their ranges as a Latin hypercube.

    Parameters, results and errors as `sobol`; any `n` does: each axis has one value in each of
    `n` intervals of equal probability.

    References
    ----------
    M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21, 239 (1979). Points come from
    `scipy.stats.qmc.LatinHypercube`.

    Examples
    --------
    >>> x = latin_hypercube({"x": (0.0, 1.0)}, n=4)["x"].values
    >>> sorted((x * 4).astype(int).tolist())
    [0, 1, 2, 3]
    """
    return _design("latin_hypercube", over, n, group, seed, attrs)


def from_samples(
    samples: Mapping[str, Any],
    *,
    group: Hashable = "sample",
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group from joint draws, such as ``mcmc.get_samples()``.

    Parameters
    ----------
    samples : mapping of str to array_like, shape ``(n, *value_shape)``
        Draws by name; the first dimension is the draw. Also what `numpyro.infer.Predictive`
        returns.
    group : hashable, optional
        Group of the axes, which names their dimension.
    attrs : mapping of str to mapping, optional
        Attributes by axis name.

    Returns
    -------
    dict of str to DataAxis
        One axis per name, to be put into the state.

    Raises
    ------
    TypeError, ValueError
        If there are no samples, or their numbers differ.

    Examples
    --------
    >>> import numpy as np
    >>> axes = from_samples({"G": np.array([0.2, 0.1]), "W": np.ones((2, 3, 3))})
    >>> {name: axis.size for name, axis in axes.items()}
    {'G': 2, 'W': 2}
    """
    _check_mapping(samples, "from_samples", "samples by name, such as mcmc.get_samples()")
    axes = _axes(samples, group, attrs)
    sizes = {name: axis.size for name, axis in axes.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"from_samples: the numbers of samples differ: {sizes}")
    return axes


def _design(
    method: str,
    over: Mapping[str, Any],
    n: int,
    group: Hashable,
    seed: int,
    attrs: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, DataAxis]:
    from scipy.stats import qmc  # takes half a second, which only designs should pay

    _check_mapping(over, method, "ranges by name, such as {'G': (0.1, 0.8)}")
    n = _checks.count(n, method, "n")
    engines = {"sobol": qmc.Sobol, "halton": qmc.Halton, "latin_hypercube": qmc.LatinHypercube}
    unit = engines[method](d=len(over), rng=seed).random(n)
    values = {name: _spread(unit[:, i], over[name], name) for i, name in enumerate(over)}
    return _axes(values, group, attrs)


def _spread(unit: np.ndarray, onto: Any, name: str) -> np.ndarray:
    """Move numbers of the unit interval onto bounds or a distribution."""
    owner = f"axis {name!r}"
    if isinstance(onto, (tuple, list)) and len(onto) == 2:
        low, high = _checks.bounds(onto[0], onto[1], owner)
        number_table(np.array([low, high]), owner)  # refuses bounds that are one number in JAX
        return device_values(low + (high - low) * unit, owner)
    if not hasattr(onto, "icdf"):
        raise TypeError(f"{owner}: give bounds (low, high) or a numpyro distribution, got {onto!r}")
    if onto.batch_shape or onto.event_shape:
        raise ValueError(
            f"{owner}: a design needs a distribution of single numbers, got batch shape "
            f"{onto.batch_shape} and event shape {onto.event_shape}"
        )
    # The ends of the unit interval may lie at infinity.
    tiny = float(jnp.finfo(jnp.result_type(float)).eps)
    unit = np.clip(unit, tiny, 1 - tiny)
    try:
        return np.asarray(onto.icdf(jnp.asarray(unit)))
    except (NotImplementedError, ImportError):
        return _scipy_icdf(onto, unit, owner).astype(jnp.result_type(float))


def _scipy_icdf(onto: Any, unit: np.ndarray, owner: str) -> np.ndarray:
    """Invert what NumPyro cannot without a further package."""
    from scipy import stats

    match type(onto).__name__:
        case "Beta":
            return stats.beta(float(onto.concentration1), float(onto.concentration0)).ppf(unit)
        case "Gamma":
            return stats.gamma(float(onto.concentration), scale=1 / float(onto.rate)).ppf(unit)
    raise ValueError(
        f"{owner}: {type(onto).__name__} has no inverse cumulative distribution function in "
        "NumPyro; give bounds, or use NumPyroAxis"
    )


def _axes(
    values: Mapping[str, Any], group: Hashable, attrs: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, DataAxis]:
    unknown = set(attrs or {}) - set(values)
    if unknown:
        raise ValueError(f"attrs are given for {sorted(unknown)}, which is none of {list(values)}")
    return {
        name: DataAxis(v, group=group, name=name, attrs=(attrs or {}).get(name))
        for name, v in values.items()
    }


def _check_mapping(given: Any, owner: str, wanted: str) -> None:
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"{owner}: give {wanted}; got {given!r}")
