"""Scattered points, placed back on the grid that they were picked from."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from gridax._grid.grid import POINT, Column, Grid
from gridax._grid.index import attach_all


def unstack(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """Return the Dataset with the dimensions of the axes in place of the dimension ``point``.

    Points are matched by label, so this also works for a Dataset that was read from a file.
    """
    homes: dict[str, list[Column]] = {}
    for column in grid.members(POINT):
        homes.setdefault(column.home, []).append(column)
    if not homes or POINT in homes:
        raise ValueError(
            "unstack() needs points that were picked from a product, by filter() or by position; "
            f"the dimensions here are {list(grid.sizes)}"
        )
    codes, picked = {}, {}
    for home, columns in homes.items():
        labels = [dataset[column.name].values for column in columns]
        codes[home], picked[home] = _codes(labels)
    shape = tuple(len(first) for first in picked.values())
    flat = np.ravel_multi_index(tuple(codes.values()), shape)
    if np.unique(flat).size < flat.size:
        raise ValueError(
            "unstack() cannot place several points with the same labels: points were picked more "
            "than once, or an axis has duplicate labels; pick every point once"
        )
    full = flat.size == int(np.prod(shape))
    coords: dict[str, xr.Variable] = {}
    for home, columns in homes.items():
        for column in columns:
            rows = column.take(picked[home])
            moved = dataclasses.replace(column, dim=home, rows=rows, home=home)
            coords.update(moved.coordinates(len(rows)))
    left = {name for column in grid.members(POINT) for name in column.coordinates(flat.size)}
    variables: dict[str, xr.Variable] = {}
    for name, variable in dataset.variables.items():
        if name in left:
            continue
        if POINT in variable.dims:
            variable = _placed(variable, flat, tuple(homes), shape, full)
        (coords if name in dataset.coords else variables)[str(name)] = variable
    unfolded = xr.Dataset(variables, xr.Coordinates(coords, indexes={}), dataset.attrs)
    return attach_all(unfolded, {home: [c.name for c in cs] for home, cs in homes.items()})


def _codes(labels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for the label of each point, and the first position of each number."""
    index = pd.Index(labels[0]) if len(labels) == 1 else pd.MultiIndex.from_arrays(labels)
    codes, distinct = index.factorize(sort=len(labels) == 1 and labels[0].dtype.kind in "fiu")
    first = np.full(len(distinct), -1)
    order = np.arange(len(codes))[::-1]
    first[codes[order]] = order
    return codes, first


def _placed(
    variable: xr.Variable,
    flat: np.ndarray,
    homes: tuple[str, ...],
    shape: tuple[int, ...],
    full: bool,
) -> xr.Variable:
    if not full and "prng_impl" in variable.attrs:
        raise ValueError(
            "unstack() cannot fill an output of PRNG keys where points were not picked; drop the "
            "output, or pick all points"
        )
    variable = variable.transpose(POINT, ...)
    values = variable.values
    is_text = values.dtype.kind in "OTU"  # such as the messages of points that failed
    if not (full or is_text or jnp.issubdtype(values.dtype, jnp.inexact)):
        values = values.astype(float)
    size = int(np.prod(shape))
    target = np.empty((size, *values.shape[1:]), values.dtype)
    if not full:
        target[...] = "" if is_text else np.nan
    target[flat] = values
    dims = (*homes, *(dim for dim in variable.dims if dim != POINT))
    return xr.Variable(dims, target.reshape(shape + values.shape[1:]), variable.attrs)
