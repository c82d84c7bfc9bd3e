"""Outputs between the points of a grid, or among scattered points, by linear interpolation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._axes import LogGridAxis
from gridax._axes.base import call, made_by
from gridax._grid.grid import POINT, Column, Grid
from gridax._grid.labels import Labels
from gridax._outputs.labels import without_states
from gridax._text import listing


def is_log(column: Column) -> bool:
    """Whether an axis is logarithmic, so that values between its labels are, too."""
    return made_by(column.axis, LogGridAxis)


def is_single(column: Column, grid: Grid) -> bool:
    """Whether an axis has a single label."""
    return len(np.unique(column.table.labels[column.all_rows(grid.sizes)])) < 2


def on_scale(labels: np.ndarray, scale: np.ndarray, is_log: bool) -> np.ndarray:
    """Return where labels are between the lowest and the highest label of an axis, as 0 and 1."""
    there, ends = np.log(labels) if is_log else labels, np.array([scale.min(), scale.max()])
    low, high = np.log(ends) if is_log else ends
    return (there - low) / ((high - low) or 1.0)


def interpolated(dataset: xr.Dataset, grid: Grid, coords: Mapping[str, Any]) -> xr.Dataset:
    """Return the outputs of a Dataset at other values of some axes.

    Parameters
    ----------
    dataset : outputs and coordinates; NaN where a point has no value.
    grid : its dimensions and axes.
    coords : values by axis: a number, a sequence, or a DataArray.

    Raises
    ------
    TypeError, ValueError
        If an axis does not exist or has no numbers, or axes along one dimension are missing.
    """
    varying = {c.name: c for c in grid.columns if c.dim is not None}
    columns = {name: c for name, c in varying.items() if not is_single(c, grid)}
    asked = {name: _asked(name, value, varying, grid) for name, value in coords.items()}
    if not asked:
        raise ValueError("interp: name at least one axis, such as interp(x=0.5)")
    scattered = {name for name, column in columns.items() if column.dim == POINT}
    among = {name: value for name, value in asked.items() if name in scattered}
    between = {name: value for name, value in asked.items() if name not in scattered}
    for name in between:
        if len(grid.members(str(columns[name].dim))) > 1:
            raise ValueError(
                f"interp: axis {name!r} shares the dimension {columns[name].dim!r} with others, so "
                "there is nothing between its labels; select them with sel"
            )
    if among and set(among) != scattered:
        raise ValueError(
            f"interp: points lie along {listing(sorted(scattered))} together; give values of all"
        )
    numbers = _as_numbers(dataset)
    if not scattered and _has_gaps(dataset):  # the points that are done are scattered points
        numbers = _stacked(numbers, [str(columns[name].dim) for name in between])
        among, between = between, {}
    if between:
        numbers = _between(numbers, {name: columns[name] for name in between}, between)
    if among:
        numbers = _among(numbers, [columns[name] for name in among], among)
    return numbers


def _asked(name: str, value: Any, columns: Mapping[str, Column], grid: Grid) -> xr.DataArray:
    column = columns.get(name)
    if column is None:
        raise ValueError(f"interp: no axis {name!r} varies; the axes are {listing([*columns])}")
    if is_single(column, grid):
        raise ValueError(
            f"interp: axis {name!r} has a single label, so there is nothing to interpolate "
            "between; select it with sel"
        )
    table = column.table
    if not table.is_own_label or table.labels.dtype.kind not in "iuf":
        raise ValueError(
            f"interp: axis {name!r} has no numbers to interpolate between ({call(column.axis)})"
        )
    labels = Labels.of(name, table.labels[column.all_rows(grid.sizes)])
    if not np.isfinite(labels.values).all():
        raise ValueError(f"interp: axis {name!r} has an infinite label; select its labels with sel")
    if np.size(value) == 0:
        raise ValueError(f"interp: no values of axis {name!r} are given; give at least one")
    if isinstance(value, xr.DataArray):
        return value.copy(data=_exactly(labels, value.values))
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise TypeError(
            f"interp: values of axis {name!r} must be a number, a sequence of numbers, or a "
            f"DataArray, got {value!r}"
        )
    array = _exactly(labels, array)
    if array.ndim == 0:
        return xr.DataArray(array, attrs=column.attrs)
    return xr.DataArray(array, dims=name, coords={name: (name, array, column.attrs)})


def _exactly(labels: Labels, wanted: np.ndarray) -> np.ndarray:
    """Return numbers as floats; those that `sel` takes for a label are that label.

    Otherwise, rounding errors would place some of them outside of the points.
    """
    flat = labels.check(wanted).reshape(-1)
    codes = labels.code(flat)
    exact: np.ndarray = np.where(codes < 0, flat, labels.distinct[codes]).astype(float)
    return exact.reshape(np.shape(wanted))


def _has_gaps(dataset: xr.Dataset) -> bool:
    return "status" in dataset and bool((dataset["status"] != 1).any())


def _stacked(dataset: xr.Dataset, dims: Sequence[str]) -> xr.Dataset:
    """Return all points along some dimensions along ``point``."""
    for dim in dims:
        dataset = dataset.reset_index(dim)
    return dataset.stack({POINT: dims}, create_index=False)


def _as_numbers(dataset: xr.Dataset) -> xr.Dataset:
    """Return the outputs that are numbers, as floats (or complex), without the status."""
    outputs = {}
    for name, variable in without_states(dataset).items():
        if "prng_impl" in variable.attrs:
            continue
        if variable.dtype.kind in "biu":
            variable = variable.astype(float).assign_attrs(variable.attrs)
        if "status" in dataset and set(dataset["status"].dims) <= set(variable.dims):
            variable = variable.where(dataset["status"] == 1)
        outputs[name] = variable
    return xr.Dataset(outputs, dataset.coords)


def _between(
    dataset: xr.Dataset, columns: Mapping[str, Column], asked: Mapping[str, xr.DataArray]
) -> xr.Dataset:
    """Interpolate along dimensions with one axis each."""
    logs = [name for name, column in columns.items() if is_log(column)]
    dims = {name: str(column.dim) for name, column in columns.items()}
    moved = dataset.assign_coords({dims[n]: (dims[n], np.log(dataset[n].values)) for n in logs})
    at = {dims[n]: np.log(value) if n in logs else value for n, value in asked.items()}
    found = moved.interp(at)
    labels = {name: asked[name] for name in asked}
    return found.assign_coords(labels)


def _among(
    dataset: xr.Dataset, columns: Sequence[Column], asked: Mapping[str, xr.DataArray]
) -> xr.Dataset:
    """Interpolate linearly within the simplices of a triangulation of the points."""
    labels = [dataset[column.name].values for column in columns]
    logs = [*map(is_log, columns)]
    places = np.stack([*map(on_scale, labels, labels, logs)], axis=1)
    wanted = xr.broadcast(*(asked[column.name] for column in columns))
    asked_at = [each.values.reshape(-1) for each in wanted]
    at = np.stack([*map(on_scale, asked_at, labels, logs)], axis=1)
    points = _Among(places, at)
    dims, shape = wanted[0].dims, wanted[0].shape
    variables = {}
    for name, variable in dataset.data_vars.items():
        if POINT not in variable.dims:
            variables[name] = variable.variable
            continue
        values = variable.transpose(POINT, ...).values
        found = points.linear(values.reshape(len(places), -1))
        own = [dim for dim in variable.dims if dim != POINT]
        found = found.reshape((*shape, *values.shape[1:]))
        variables[name] = xr.Variable((*dims, *own), found, variable.attrs)
    kept = {n: c for n, c in dataset.coords.items() if POINT not in c.dims}
    return xr.Dataset(variables, kept).assign_coords(asked)


class _Among:
    """Scattered points among which outputs are interpolated.

    Outputs that have values at the same points share a triangulation.

    Parameters
    ----------
    places, at : of the points and of what is asked for, of the shape ``(n, n_axes)``.
    """

    def __init__(self, places: np.ndarray, at: np.ndarray) -> None:
        self._places, self._at = places, at
        self._triangulations: dict[bytes, Any] = {}

    def linear(self, values: np.ndarray) -> np.ndarray:
        """Return values at the other places; NaN outside of the points that have values."""
        known, of_mask = np.unique(~np.isnan(values), axis=1, return_inverse=True)
        n_values = values.shape[1]
        found = np.full((len(self._at), n_values), np.nan, np.result_type(values, float))
        for i, mask in enumerate(known.T):
            these = np.flatnonzero(of_mask.reshape(-1) == i)
            if mask.any():
                found[:, these] = self._linear(mask, values[np.ix_(mask, these)])
        return found

    def _linear(self, mask: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return values at the other places, from those of the points in a mask."""
        if self._places.shape[1] > 1:
            from scipy.interpolate import LinearNDInterpolator

            found: np.ndarray = LinearNDInterpolator(self._triangulated(mask), values)(self._at)
            return found
        places = self._places[mask, 0]
        order = np.argsort(places)
        columns = [
            np.interp(self._at[:, 0], places[order], each[order], left=np.nan, right=np.nan)
            for each in values.T
        ]
        return np.stack(columns, axis=1)

    def _triangulated(self, mask: np.ndarray) -> Any:
        from scipy.spatial import Delaunay, QhullError

        key = mask.tobytes()
        if key not in self._triangulations:
            try:
                self._triangulations[key] = Delaunay(self._places[mask])
            except QhullError:
                raise ValueError(
                    f"interp: the {mask.sum()} points that have values lie on a line or plane, so "
                    "there is nothing between them; select them with sel"
                ) from None
        return self._triangulations[key]
