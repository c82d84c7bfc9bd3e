"""The labels and values of axes that a reduced result no longer has, beside it in a file."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

from gridax._files.merge import ATTRIBUTE
from gridax._grid.points import Points

_PREFIX = "swept."


def with_swept(dataset: xr.Dataset, points: Points) -> xr.Dataset:
    """Return a Dataset with the coordinates of all axes of the points that it lacks.

    Their names, and those of their dimensions, begin with ``swept.``.
    """
    lacking = {name: v for name, v in points.coordinates().items() if name not in dataset.variables}
    coords = {}
    for name, variable in lacking.items():
        dims = [dim if dim in dataset.dims else f"{_PREFIX}{dim}" for dim in variable.dims]
        coords[f"{_PREFIX}{name}"] = xr.Variable(dims, variable.values, variable.attrs)
    return dataset.assign_coords(xr.Coordinates(coords, indexes={}))


def without_swept(dataset: xr.Dataset) -> tuple[xr.Dataset, dict[Hashable, xr.Variable]]:
    """Return a Dataset without the coordinates that `with_swept` added, and these."""
    if ATTRIBUTE not in dataset.attrs:
        return dataset, {}
    added = [name for name in dataset.coords if str(name).startswith(_PREFIX)]
    swept: dict[Hashable, xr.Variable] = {}
    for name in added:
        variable = dataset.variables[name]
        dims = [str(dim).removeprefix(_PREFIX) for dim in variable.dims]
        swept[str(name).removeprefix(_PREFIX)] = xr.Variable(dims, variable.values, variable.attrs)
    return dataset.drop_vars(added), swept


def swept_axes(dataset: xr.Dataset) -> dict[str, xr.Variable]:
    """Return the coordinates of the space that was swept, without loading those that are lazy."""
    return {
        str(name).removeprefix(_PREFIX): xr.Variable(
            [str(dim).removeprefix(_PREFIX) for dim in variable.dims], variable.data
        )
        for name, variable in dataset.coords.variables.items()
    }
