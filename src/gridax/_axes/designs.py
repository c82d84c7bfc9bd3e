"""Joint designs: axes of one group whose values are spread or drawn together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax import _checks
from gridax._arrays import is_keys
from gridax._axes import DataAxis
from gridax._axes.quantiles import spread
from gridax._axes.table import check_numbers


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
        Name of each axis and the range that it covers: evenly between bounds, or with the density
        of a distribution, through its inverse cumulative distribution function.
    n : int
        Number of points; a power of two keeps the sequence balanced.
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
        If `over` is empty, bounds are not in ascending order, or a distribution has no inverse
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

    Parameters, results and errors are those of `sobol`, but any `n` is equally suitable.

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

    Parameters, results and errors are those of `sobol`, but any `n` is equally suitable. Each axis
    has one value in each of `n` intervals of equal probability.

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
    samples: Mapping[str, Any] | pd.DataFrame | xr.Dataset | xr.DataTree,
    *,
    group: Hashable = "sample",
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, DataAxis]:
    """Return axes of one group from joint draws, such as ``mcmc.get_samples()``.

    Parameters
    ----------
    samples : mapping, pandas.DataFrame, xarray.Dataset or xarray.DataTree
        Draws by name: arrays of shape ``(n, *value_shape)``, such as those of
        `numpyro.infer.Predictive`; a table with one row per draw; or a Dataset with the dimensions
        ``chain`` and ``draw``, such as ``idata.posterior``, also if these are stacked. All draws of
        all chains become points, and ``chain`` and ``draw`` axes of the group.
    group : hashable, optional
        Group of the axes; their dimension is named after it.
    attrs : mapping of str to mapping, optional
        Attributes by axis name.

    Returns
    -------
    dict of str to DataAxis
        One axis per name, to put into the state.

    Raises
    ------
    TypeError, ValueError
        If there are no samples, their numbers differ, or a draw is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> axes = from_samples({"G": np.array([0.2, 0.1]), "W": np.ones((2, 3, 3))})
    >>> {name: axis.size for name, axis in axes.items()}
    {'G': 2, 'W': 2}
    >>> import xarray as xr
    >>> posterior = xr.Dataset({"G": (("chain", "draw"), [[0.2, 0.1, 0.3], [0.4, 0.5, 0.6]])})
    >>> {name: axis.size for name, axis in from_samples(posterior).items()}
    {'chain': 6, 'draw': 6, 'G': 6}
    """
    if isinstance(samples, pd.DataFrame):
        levels = [name for name in samples.index.names if name is not None]
        table = samples.reset_index(levels) if levels else samples
        samples = _columns(table)
    elif isinstance(samples, (xr.Dataset, xr.DataTree)):
        samples = _flat_draws(_dataset(samples))
    elif isinstance(samples, Mapping) and _are_draws(samples.values()):
        samples = _flat_draws(xr.Dataset(dict(samples)))
    check_mapping(samples, "from_samples", "samples by name, such as mcmc.get_samples()")
    for name, values in samples.items():
        if isinstance(values, (list, tuple)) and any(np.ndim(value) for value in values):
            raise TypeError(
                f"from_samples: {name!r} is a list of arrays; join chains with np.concatenate(), "
                "or samples with np.stack(), to one array whose first dimension is the sample"
            )
    axes = grouped(samples, group, attrs)
    sizes = {name: axis.size for name, axis in axes.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"from_samples: the numbers of samples differ: {sizes}; pass arrays with the same "
            "first dimension"
        )
    for name, axis in axes.items():
        if is_keys(axis.values):
            continue
        if np.ndim(axis.values) == 1 and np.asarray(axis.values).dtype.kind == "f":
            check_numbers(np.asarray(axis.values), f"axis {name!r}", drawn=True)
    return axes


def _columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns of a table by name."""
    names = [str(name) for name in table.columns]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"from_samples: {names.count(name)} columns are called {name!r}, but each becomes "
                "an axis; rename them"
            )
    return {name: table.iloc[:, i].to_numpy() for i, name in enumerate(names)}


def _are_draws(values: Iterable[Any]) -> bool:
    """Whether any of some samples has a dimension for chains and one for draws."""
    return any(isinstance(v, xr.DataArray) and {"chain", "draw"} <= set(v.dims) for v in values)


def _dataset(samples: xr.Dataset | xr.DataTree) -> xr.Dataset:
    """Return a Dataset, or that in a node of a tree, such as ``idata.posterior``."""
    if isinstance(samples, xr.Dataset):
        return samples
    if not samples.data_vars:
        if not samples.children:
            raise ValueError("from_samples: the tree is empty; pass one with draws")
        raise ValueError(
            f"from_samples: the tree has no variables itself, but the groups "
            f"{[*samples.children]}; pass one of them, such as idata.posterior"
        )
    return samples.to_dataset()


def _flat_draws(samples: xr.Dataset) -> dict[str, Any]:
    """Return the variables of a Dataset with all draws of all chains along one dimension."""
    if {"chain", "draw"} <= set(samples.dims):
        sizes = [samples.sizes["chain"], samples.sizes["draw"]]
        labels = [samples[name].to_numpy() for name in ("chain", "draw")]
        flat = dict(zip(("chain", "draw"), np.meshgrid(*labels, indexing="ij"), strict=True))
        along = ["chain", "draw"]
    elif {"chain", "draw"} <= set(samples.coords) and samples["chain"].dims == samples["draw"].dims:
        along = list(map(str, samples["chain"].dims))
        sizes = [samples.sizes[dim] for dim in along]
        flat = {name: samples[name].to_numpy() for name in ("chain", "draw")}
    elif len(samples.dims) == 1 or "sample" in samples.dims:
        along = ["sample" if "sample" in samples.dims else str(next(iter(samples.dims)))]
        sizes, flat = [samples.sizes[along[0]]], {}
    else:
        raise ValueError(
            "from_samples: a Dataset needs the dimensions 'chain' and 'draw', or 'sample', got "
            f"{list(map(str, samples.dims))}; rename its dimensions"
        )
    draws: dict[str, Any] = {name: values.reshape(-1) for name, values in flat.items()}
    for name, variable in samples.data_vars.items():
        if not set(along) <= set(variable.dims):
            raise ValueError(
                f"from_samples: {str(name)!r} has the dimensions {list(map(str, variable.dims))}, "
                f"but draws have {along}; drop the variable"
            )
        inner = [dim for dim in variable.dims if dim not in along]
        values = variable.transpose(*along, *inner).to_numpy()
        draws[str(name)] = xr.DataArray(
            values.reshape(-1, *values.shape[len(sizes) :]),
            dims=("sample", *inner),
            coords={dim: variable.coords[dim].variable for dim in inner if dim in variable.coords},
            attrs=variable.attrs,
        )
    return draws


def _design(
    method: str,
    over: Mapping[str, Any],
    n: int,
    group: Hashable,
    seed: int,
    attrs: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, DataAxis]:
    from scipy.stats import qmc  # takes half a second, which only designs should pay

    n, seed = checked_size(method, over, n, seed)
    engines = {"sobol": qmc.Sobol, "halton": qmc.Halton, "latin_hypercube": qmc.LatinHypercube}
    return covering(engines[method](d=len(over), rng=seed).random(n), over, group, attrs)


def checked_size(method: str, over: Any, n: Any, seed: Any) -> tuple[int, int]:
    """Return the number of points and the seed of a design, once the ranges are checked, too."""
    check_mapping(over, method, "ranges by name, such as {'G': (0.1, 0.8)}")
    return _checks.count(n, method, "n"), _checks.count(seed, method, "seed", least=0)


def covering(
    unit: np.ndarray,
    over: Mapping[str, Any],
    group: Hashable,
    attrs: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, DataAxis]:
    """Return axes of one group whose points in their ranges are those of the unit cube.

    Parameters
    ----------
    unit : points of the unit cube, of shape ``(n, len(over))``.
    over, group, attrs : as in `sobol`.
    """
    values = {name: spread(unit[:, i], over[name], name) for i, name in enumerate(over)}
    return grouped(values, group, attrs)


def grouped(
    values: Mapping[str, Any], group: Hashable, attrs: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, DataAxis]:
    """Return axes of one group, given their values by name."""
    unknown = set(attrs or {}) - set(values)
    if unknown:
        raise ValueError(f"attrs names {sorted(unknown)}, but the axes are {list(values)}")
    return {
        name: DataAxis(v, group=group, name=name, attrs=(attrs or {}).get(name))
        for name, v in values.items()
    }


def check_mapping(given: Any, owner: str, expected: str) -> None:
    """Reject anything but a mapping with at least one entry."""
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"{owner}: pass {expected}; got {given!r}")
