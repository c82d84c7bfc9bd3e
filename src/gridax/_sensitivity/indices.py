"""The Dataset of Sobol' indices of a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax import _checks
from gridax._grid.points import Points
from gridax._outputs.template import Output
from gridax._sensitivity.estimators import Estimators, Quadrature, bootstrap_counts
from gridax._sensitivity.parameters import Design, Product, parameters_of
from gridax._sensitivity.parts import Parts
from gridax._sensitivity.request import check_complete, chosen_outputs, split_names, where
from gridax._text import count, listing, number_of
from gridax._warnings import warn

PARAMETER = "parameter"
_TITLES = {"S1": "first-order Sobol index", "ST": "total Sobol index"}


def sobol_indices(
    dataset: xr.Dataset,
    points: Points,
    outputs: Sequence[Output],
    names: Sequence[str],
    confidence: float | None,
    resamples: int,
    seed: int,
) -> xr.Dataset:
    """Return the indices of some outputs; the arguments and errors are those of `Result.sobol`."""
    wanted, parameters = split_names(names, outputs, points)
    found = parameters_of(points.grid, parameters)
    dims = (found.dim,) if isinstance(found, Design) else found.dims
    chosen = chosen_outputs(wanted, outputs, dataset, dims)
    _check_names(dataset, dims)
    if isinstance(found, Product):
        if confidence is not None:
            raise ValueError(
                "sobol: the indices of a product are no estimates from samples, so they have no "
                "confidence intervals; leave out confidence="
            )
        check_complete(dataset, points)
        variables = {o.name: _of_product(dataset, o, found, points) for o in chosen}
    else:
        counts = _counts(points.sizes[found.dim] // found.n_rows, confidence, resamples, seed)
        variables = {o.name: _of_design(dataset, o, found, counts, confidence) for o in chosen}
        _warn_of_dropped(variables)
    return _assembled(dataset, found.names, dims, variables)


def _counts(n_samples: int, confidence: float | None, resamples: int, seed: int) -> np.ndarray:
    """Return how often each base sample counts, for the indices and for their bootstrap."""
    if confidence is None:
        return bootstrap_counts(n_samples, 0, seed)
    if not 0 < _checks.number(confidence, "sobol", "confidence") < 1:
        raise ValueError(f"sobol: confidence must be between 0 and 1, got {confidence}")
    n_resamples = _checks.count(resamples, "sobol", "resamples", least=2)
    seed = _checks.count(seed, "sobol", "seed", least=0)
    return bootstrap_counts(n_samples, n_resamples, seed)


def _of_product(
    dataset: xr.Dataset, output: Output, found: Product, points: Points
) -> dict[str, xr.Variable]:
    # Parts follow each other along the first dimension, so it should be the longest.
    order = sorted(range(len(found.dims)), key=lambda i: -len(found.weights[i]))
    dims = [found.dims[i] for i in order]
    weights = [found.weights[i] for i in order]
    parts = Parts(dataset.variables[output.name], dims)
    indices, missing = _computed(parts, lambda n_values: Quadrature(weights, n_values))
    n_points = math.prod(map(len, weights))
    if missing.size and (missing == n_points).all():
        raise ValueError(
            f"sobol: output {output.name!r} is finite at none of {number_of(n_points, 'point')}; "
            "name other outputs"
        )
    gaps = (missing > 0) & (missing < n_points)
    if gaps.any():
        raise ValueError(
            f"sobol: output {output.name!r} is not finite at "
            f"{number_of(int(missing[gaps].max()), 'point')} of {count(n_points)}, the first at "
            f"{where(points, dims, _first_gap(parts, gaps))}; a product needs all of them. Use "
            "gx.saltelli, which can do without some"
        )
    _warn_of_constant(output, indices, missing == 0)
    back = np.argsort(order)
    return _variables({name: each[back] for name, each in indices.items()}, parts, output)


def _of_design(
    dataset: xr.Dataset,
    output: Output,
    found: Design,
    counts: np.ndarray,
    confidence: float | None,
) -> dict[str, xr.Variable]:
    n_sums = len(counts) * (4 + 3 * len(found.names))
    parts = Parts(dataset.variables[output.name], (found.dim,), found.n_rows, n_sums)
    indices, missing = _computed(
        parts, lambda n: Estimators(found.n_rows, found.changed, n, counts, confidence)
    )
    n_samples = counts.shape[1]
    if missing.size and (missing == n_samples).all():
        raise ValueError(
            f"sobol: output {output.name!r} has no base sample with finite values at all of its "
            f"{found.n_rows} points, of {count(n_samples)}"
        )
    _warn_of_constant(output, indices, missing < n_samples)
    dropped = int(missing[missing < n_samples].max(initial=0))
    about = {"base_samples": n_samples, "dropped": dropped}
    return _variables(indices, parts, output, about)


def _computed(
    parts: Parts, begin: Callable[[int], Quadrature | Estimators]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the indices of an output, and how many points or base samples are not finite.

    The dimensions of an index are that of the parameters, and those that remain of the output.
    """
    indices: dict[str, np.ndarray] = {}
    missing = np.zeros(parts.shape, np.int64)
    for box in parts.boxes():
        shape = missing[box].shape
        sums = begin(math.prod(shape))
        exponents = None
        for start, values in parts.read(box):
            exponents = _exponents(values) if exponents is None else exponents
            sums.add(start, np.ldexp(values, -exponents))
        for name, each in sums.indices().items():
            whole = indices.setdefault(name, np.empty((len(each), *parts.shape)))
            whole[(slice(None), *box)] = each.reshape(len(each), *shape)
        missing[box] = sums.n_missing.reshape(shape)
    return indices, missing


def _exponents(values: np.ndarray) -> np.ndarray:
    """Return the powers of two by which values are divided, so that their squares are in range."""
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    return np.frexp(sizes.max(axis=tuple(range(values.ndim - 1))))[1]


def _first_gap(parts: Parts, gaps: np.ndarray) -> tuple[Any, ...]:
    """Return the index of the first point at which one of some values is not finite."""
    for box in parts.boxes():
        for start, values in parts.read(box):
            missing = ~np.isfinite(values[..., gaps[box].reshape(-1)]).all(axis=-1)
            if missing.any():
                first, *others = np.unravel_index(int(missing.argmax()), missing.shape)
                return (start + first, *others)
    raise AssertionError("there is a gap")


def _warn_of_constant(output: Output, indices: Mapping[str, np.ndarray], known: np.ndarray) -> None:
    if known.any() and np.isnan(indices["ST"]).all():
        warn(f"sobol: the indices of output {output.name!r} are NaN, as it is constant")


def _warn_of_dropped(variables: Mapping[str, Mapping[str, xr.Variable]]) -> None:
    attrs = {name: each["ST"].attrs for name, each in variables.items()}
    listed = [
        f"{a['dropped']} of {a['base_samples']} for {name!r}"
        for name, a in attrs.items()
        if a["dropped"]
    ]
    if listed:
        warn(
            "sobol: base samples with a point that failed, is pending or has a value that is not "
            f"finite are left out: {listing(listed)}"
        )


def _variables(
    indices: Mapping[str, np.ndarray],
    parts: Parts,
    output: Output,
    about: Mapping[str, Any] | None = None,
) -> dict[str, xr.Variable]:
    """Return the variables of one output, by what its name is followed by."""
    called = output.attrs.get("long_name", output.name)
    variables = {}
    for name, values in indices.items():
        index, _, is_width = name.partition("_")
        title = f"{_TITLES[index]} of {called}"
        title = f"half width of the confidence interval of the {title}" if is_width else title
        attrs = {"units": "1", "long_name": title, **(about or {})}
        variables[name] = xr.Variable((PARAMETER, *parts.rest), values, attrs)
    return variables


def _check_names(dataset: xr.Dataset, dims: Sequence[str]) -> None:
    """Reject results that have another use for the name of the new dimension."""
    taken = {PARAMETER} & {*dataset.variables, *dataset.dims} - {*dims}
    if taken:
        raise ValueError(
            f"sobol: the result has a dimension or coordinate {PARAMETER!r}, but the indices need "
            "that name; rename it"
        )


def _assembled(
    dataset: xr.Dataset,
    names: Sequence[str],
    dims: Sequence[str],
    variables: Mapping[str, Mapping[str, xr.Variable]],
) -> xr.Dataset:
    """Return the Dataset, with the coordinates of all dimensions that remain."""
    named = {f"{output}.{n}": v for output, each in variables.items() for n, v in each.items()}
    used = {dim for variable in named.values() for dim in variable.dims}
    left = dataset.drop_dims(dims)
    gone = [n for n, v in left.variables.items() if n in left.data_vars or not {*v.dims} <= used]
    found = left.drop_vars(gone).assign_coords({PARAMETER: list(names)}).assign(named)
    found.attrs, found.encoding = {}, {}
    return found
