"""Result: what a run returns, as a sequence and as one labeled Dataset."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax import _files, _frame, _reopen, _select, _template
from gridax._labels import canonical_query
from gridax._template import Template
from gridax._unstack import unstack
from gridax.space import Space


class Result(Sequence[Any]):
    """The outputs of a run: one entry per point, and one labeled Dataset.

    Results come from an executor's `run` or from `open_result`.

    Attributes
    ----------
    dataset : xarray.Dataset
        Outputs over the dimensions of the space, then their own.
    space : Space
        The points that were run.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> run = gx.ParallelExecution(lambda s: {"y": 2 * s["x"]}, space).run(progress=False)
    >>> len(run), round(float(run[3]["y"]), 3)
    (11, 0.6)
    >>> round(run.sel(x=0.3)["y"].item(), 3)
    0.6
    """

    def __init__(
        self,
        dataset: xr.Dataset | Callable[[], xr.Dataset],
        space: Space,
        template: Template,
        arrays: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._made = dataset
        self.space = space
        self._template = template
        self._given = arrays

    @cached_property
    def dataset(self) -> xr.Dataset:
        """Outputs over the dimensions of the space, then their own."""
        return self._made() if callable(self._made) else self._made

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Result:
        """Open a saved result, as `open_result`."""
        return open_result(path)

    def __len__(self) -> int:
        return len(self.space)

    @cached_property
    def _arrays(self) -> Sequence[Any]:
        """The outputs over the grid; those of a file are read piece by piece."""
        if self._given is not None:
            return self._given
        variables = [self.dataset.variables[output.name] for output in self._template.outputs]
        return [v.values if isinstance(v._data, np.ndarray) else v for v in variables]

    @cached_property
    def _own_coords(self) -> dict[str, xr.Variable]:
        own = {dim for output in self._template.outputs for dim in output.dims or ()}
        return {
            str(name): coord.variable
            for name, coord in self.dataset.coords.items()
            if coord.dims and set(coord.dims) <= own
        }

    def __getitem__(self, index: Any) -> Any:
        """Return what the model returned at a point, or a list of that for several points.

        Parameters
        ----------
        index : int, slice, list or array of int, or boolean array
            Flat position; negative ones count from the end. Arrays are NumPy arrays.
        """
        i = _select.single(index, len(self))
        if i is not None:
            return self._at(self.space.grid.unravel(i))
        points = _select.flat_positions(index, len(self), empty=True)
        return [self._at(self.space.grid.unravel(int(point))) for point in points]

    def __iter__(self) -> Iterator[Any]:
        return map(self._at, itertools.product(*map(range, self.space.shape)))

    def _at(self, index: tuple[int, ...]) -> Any:
        values = [array[index] for array in self._arrays]
        values = [v.values if isinstance(v, xr.Variable) else v for v in values]
        return _template.restore(self._template, values, self._own_coords)

    def sel(
        self,
        indexers: Mapping[str, Any] | None = None,
        method: str | None = None,
        tolerance: float | None = None,
        drop: bool = False,
        **by_label: Any,
    ) -> xr.Dataset:
        """Select from the Dataset by label, as `xarray.Dataset.sel`.

        Computed floats are read as labels are: 0.1 + 0.2, or a float32 of 0.3, selects 0.3.
        """
        queries = {
            name: canonical_query(query, self.dataset[name].values)
            if name in self.dataset.coords
            else query
            for name, query in {**(indexers or {}), **by_label}.items()
        }
        return self.dataset.sel(queries, method=method, tolerance=tolerance, drop=drop)

    def isel(self, *args: Any, **kwargs: Any) -> xr.Dataset:
        """Select from the Dataset by position, as `xarray.Dataset.isel`."""
        return self.dataset.isel(*args, **kwargs)

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per point: parameters, then outputs; arrays are object cells.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
        >>> df = (
        ...     gx.ParallelExecution(lambda s: s["x"] > 0.5, space)
        ...     .run(progress=False)
        ...     .to_dataframe()
        ... )
        >>> df[df.x == 0.3]["value"].item()
        False
        """
        columns = _frame.parameter_columns(self.space.grid)
        for output, array in zip(self._template.outputs, self._arrays, strict=True):
            values = np.asarray(array).reshape((len(self), *output.shape))
            columns[output.name] = values if values.ndim == 1 else _frame.cells(values)
        if "status" in self.dataset:  # of a run that did not end: 0 pending, 1 done
            columns["status"] = self.dataset["status"].values.reshape(-1)
        return pd.DataFrame(columns)

    def to_netcdf(self, path: str | os.PathLike[str]) -> None:
        """Save to a netCDF file, which `open_result` reads back.

        A file that stood there before is replaced once the new one is complete and was read back.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            If the folder does not exist, or `path` is a folder.
        ValueError
            If an attribute would change the data when read back, or cannot be stored.
        OSError
            If the file cannot be written, as on a full disk.
        """
        _files.write_netcdf(self.dataset, Path(path))

    def to_zarr(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Save to a Zarr store, a folder, which `open_result` reads back.

        Parameters
        ----------
        path : path-like
            The folder to be made; its parent must exist.
        overwrite : bool, optional
            Whether to replace a result that stands there. Nothing else is ever replaced.

        Raises
        ------
        FileExistsError
            If something stands there that may not be replaced.
        FileNotFoundError, ValueError, OSError
            As `to_netcdf`.
        """
        _files.write_zarr(self.dataset, Path(path), overwrite)

    def unstack(self) -> xr.Dataset:
        """Return scattered points on the grid that they were picked from.

        Outputs of points that were not picked are NaN (integers and bools become floats then).
        Numbers of an axis stand in ascending order, other labels as they first appear.

        Raises
        ------
        ValueError
            If the points are not scattered over a product.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> some = space.filter(lambda ds: ds.a <= ds.b)
        >>> run = gx.ParallelExecution(lambda s: s["a"] + s["b"], some).run(progress=False)
        >>> run.unstack()["value"].sel(a=0.0, b=1.0).item()
        1.0
        """
        return unstack(self.dataset, self.space.grid)

    def __repr__(self) -> str:
        return f"<gridax.Result: {self.space.N} points>\n{self.dataset!r}"

    def _repr_html_(self) -> str:
        return f"<b>gridax.Result</b>: {self.space.N} points{self.dataset._repr_html_()}"


def open_result(path: str | os.PathLike[str]) -> Result:
    """Open a result that was saved as netCDF or Zarr; data are read when they are used.

    Indexes, dtypes and attributes that files cannot hold are put back, and the Space is built
    again: labels, values, keys and fixed numbers, in dicts and lists whatever containers the state
    had. Fixed arrays and objects are not stored; a placeholder stands for each. Nothing of the file
    is executed.

    Parameters
    ----------
    path : path-like
        File or folder.

    Returns
    -------
    Result

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no result, or damaged.

    Examples
    --------
    >>> open_result("nowhere.nc")
    Traceback (most recent call last):
        ...
    FileNotFoundError: there is no file 'nowhere.nc'
    """
    path = Path(path)
    dataset = _files.read(path)
    try:
        space, template = _reopen.read(dataset)
    except ValueError as error:
        dataset.close()
        raise ValueError(f"{str(path)!r} cannot be opened as a result: {error}") from error
    return Result(dataset, space, template)
