"""Saltelli's design: the points from which Sobol' indices are estimated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from gridax._axes.data import DataAxis
from gridax._axes.designs import checked_size, covering


def saltelli(
    over: Mapping[str, Any],
    n: int,
    *,
    group: Hashable = "saltelli",
    seed: int = 0,
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group with the points from which `Result.sobol` estimates indices.

    For each of `n` base samples, there are ``len(over) + 2`` points that follow each other: a point
    A; for each axis, A with the value of that axis taken from another point B; and B. All A and B
    come from one scrambled Sobol sequence. Points and their order are those of
    ``SALib.sample.sobol.sample(problem, n, calc_second_order=False, seed=seed)``.

    Parameters
    ----------
    over : mapping of str to (low, high) or numpyro distribution
        Name of each axis and the range that it covers: evenly between bounds, or with the density
        of a distribution, through its inverse cumulative distribution function.
    n : int
        Number of base samples, a power of two from 2 on. There are ``n * (len(over) + 2)`` points.
    group : hashable, optional
        Group of the axes; their dimension is named after it.
    seed : int, optional
        Seed of the scrambling; the same seed gives the same points.
    attrs : mapping of str to mapping, optional
        Attributes by axis name.

    Returns
    -------
    dict of str to DataAxis
        One axis per name, to put into the state.

    Raises
    ------
    TypeError, ValueError
        If `over` is empty, `n` is not a power of two, bounds are not in ascending order, or a
        distribution has no inverse cumulative distribution function.

    References
    ----------
    A. Saltelli et al., Comput. Phys. Commun. 181, 259 (2010); I. M. Sobol', Math. Comput. Simul.
    55, 271 (2001). The sequence comes from `scipy.stats.qmc.Sobol`.

    Examples
    --------
    >>> import gridax as gx
    >>> design = saltelli({"G": (0.1, 0.8), "sigma": (0.0, 0.1)}, n=64)
    >>> space = gx.Space({"coupling": design["G"], "noise": design["sigma"]}, mode="product")
    >>> space.sizes
    {'saltelli': 256}
    """
    from scipy.stats import qmc  # takes half a second, which only designs should pay

    n, seed = checked_size("saltelli", over, n, seed)
    if n == 1:
        raise ValueError("saltelli: n must be 2 or larger, since one base sample has no variance")
    if n & (n - 1):
        below = 1 << (n.bit_length() - 1)
        raise ValueError(
            f"saltelli: n must be a power of two, which keeps the sequence balanced, got {n}; use "
            f"{below} or {2 * below}"
        )
    size = len(over)
    # SciPy spawns a generator from rng= but not from seed=, which is what SALib passes.
    unit = qmc.Sobol(d=2 * size, seed=seed).random(n)
    first, last = unit[:, :size], unit[:, size:]
    rows = np.repeat(first[:, None], size + 2, axis=1)
    rows[:, -1] = last
    each = np.arange(size)
    rows[:, 1 + each, each] = last
    return covering(rows.reshape(-1, size), over, group, attrs)
