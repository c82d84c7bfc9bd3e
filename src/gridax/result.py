"""Result: what a run returns, as a sequence and as one labeled Dataset."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from gridax import _checks
from gridax._axes import ChoiceAxis
from gridax._axes.base import made_by
from gridax._files import netcdf, rerun, restore, subset
from gridax._files.merge import Summary, progress_of
from gridax._files.swept import with_swept, without_swept
from gridax._files.zarr import open_store, save_store, view_of_run
from gridax._grid import frame, lookup, select
from gridax._grid.index import without_point_indexes
from gridax._grid.interp import interpolated
from gridax._grid.missing import check_wraps, noting_missing
from gridax._grid.points import Points, labels_text, point_labels
from gridax._grid.unstack import unstack
from gridax._kernel.once import Call, before, carried_numbers
from gridax._outputs.labels import own_coordinates
from gridax._outputs.template import Template
from gridax._outputs.template import restore as restore_output
from gridax._plan.progress import Progress
from gridax._reduce.variables import FAILED as FAILED_POINTS
from gridax._sensitivity.indices import sobol_indices
from gridax._show import reprs
from gridax._show.facts import ResultFacts, result_facts, space_facts
from gridax._stores.base import DONE, ERROR, FAILED, FLAGS, PENDING, STATUS
from gridax._stores.location import Location, is_url, local_path, location_of
from gridax._stores.memory import MemoryStore
from gridax._text import listing, number_of
from gridax._warnings import warn
from gridax.space import Space, points_of, space_of


class Result(Sequence[Any]):
    """The outputs of a run, as a sequence with one entry per point and as one labeled Dataset.

    Results come from an executor's `run` or from `open_result`.

    Attributes
    ----------
    dataset : xarray.Dataset
        Outputs over the dimensions of the space, then their own. Outputs of more than
        1 MiB in memory are read-only; ``dataset.copy(deep=True)`` can be changed.
    space : Space
        The points that were run.

    Notes
    -----
    A result can be pickled and copied. One that was opened from a file or a store is pickled with
    the address of its data (and the options given to open it), not with the data themselves, as
    xarray does; ``result.dataset.load()`` reads them into memory first. What the state holds must
    be picklable, too: with lambdas in it, such as ``wrap=``, use cloudpickle or dill.

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
        progress: Progress | None = None,
        kept: Sequence[str] | None = None,
        call: Call | None = None,
        parts: MemoryStore | None = None,
    ) -> None:
        self._dataset_or_make, self._call = dataset, call
        self._parts = parts
        self._kept = None if kept is None else tuple(kept)
        self.space = space
        self._template = template
        self._given = arrays
        if progress is not None:
            self.progress = progress

    def __reduce__(self) -> Any:
        # With its Dataset, rather than with what would make it: that needs the model.
        about = self.dataset, self.space, self._template, None, self.progress, self._kept
        return Result, about

    @cached_property
    def _points(self) -> Points:
        """The points of the Dataset: those that were run, without what was reduced."""
        points = points_of(self.space)
        return points if self._kept is None else points.along(self._kept)

    @cached_property
    def dataset(self) -> xr.Dataset:
        """Outputs over the dimensions of the space, then their own."""
        return self._dataset_or_make() if callable(self._dataset_or_make) else self._dataset_or_make

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Result:
        """Open a saved result, as `open_result`."""
        return open_result(path)

    @cached_property
    def progress(self) -> Progress:
        """Number of points that were done, failed and pending when the result was made or opened.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.DataAxis([1, 0])}, mode="product")
        >>> run = gx.SequentialExecution(lambda s: 1 / int(s["x"]), space)
        >>> print(run.run(progress=False, on_error="record").progress)
        1 of 2 points done, 1 failed
        """
        total = len(self.space)
        if "status" not in self.dataset:
            return Progress(total, 0, total)
        summary = Summary.read(self.dataset.attrs)
        if summary is not None:
            return progress_of(self.dataset, summary, total)
        status = self.dataset["status"].values
        return Progress(int((status == DONE).sum()), int((status == FAILED).sum()), total)

    @property
    def status(self) -> xr.DataArray:
        """Status of every point (0 pending, 1 done, 2 failed) over the dimensions of the space."""
        if "status" in self.dataset:
            return self.dataset["status"]
        points = self._points
        done = np.broadcast_to(np.uint8(DONE), points.shape)
        return points.dataset.assign(status=(points.dims, done, FLAGS))["status"]

    @property
    def failed(self) -> pd.DataFrame:
        """The points at which the model failed: their labels and the message as ``error``.

        The index is the position of the point: ``result.space[result.failed.index]`` is the Space
        of these points.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.DataAxis([1, 0])}, mode="product")
        >>> run = gx.SequentialExecution(lambda s: 1 / int(s["x"]), space)
        >>> run.run(progress=False, on_error="record").failed
           x                                error
        1  0  ZeroDivisionError: division by zero
        """
        return self._with_status(FAILED)

    @property
    def missing(self) -> pd.DataFrame:
        """The points that were not evaluated yet, like `failed` but without a message."""
        return self._with_status(PENDING)

    def _with_status(self, state: int) -> pd.DataFrame:
        """Return position and labels of the points with a status."""
        if "status" not in self.dataset:
            positions = np.empty(0, np.int64)
        else:
            positions = np.flatnonzero(self.dataset["status"].values.reshape(-1) == state)
        points = self._points
        index = np.unravel_index(positions, points.shape) if points.dims else ()
        indices = dict(zip(points.dims, index, strict=True))
        labels = point_labels(points, indices)
        columns = {n: np.broadcast_to(along, positions.shape) for n, along in labels.items()}
        if state == FAILED:
            columns["error"] = self._messages(indices, len(positions))
        return pd.DataFrame(columns, index=positions)

    def _messages(self, indices: Mapping[str, np.ndarray], n: int) -> np.ndarray:
        if n == 0 or "error" not in self.dataset:
            return np.full(n, "", dtype=object)
        along = {dim: xr.Variable("failed", index) for dim, index in indices.items()}
        messages = self.dataset["error"].variable.isel(along)
        return np.broadcast_to(messages.values.astype(object), (n,))

    def __len__(self) -> int:
        return len(self.space) if self._kept is None else self._points.n

    @cached_property
    def _arrays(self) -> Sequence[Any]:
        """The outputs over the grid; those in a file are read chunk by chunk."""
        if self._given is not None:
            return self._given
        from gridax._files.chunks import by_chunk  # the codecs of Zarr are slow to import

        points = self._points
        variables = [self.dataset.variables[output.name] for output in self._template.outputs]
        if self._kept is not None:  # some do not vary along all dimensions
            variables = [_over(v, points.sizes) for v in variables]
        return [by_chunk(v, len(points.dims)) for v in variables]

    @cached_property
    def _own_coords(self) -> dict[str, xr.Variable]:
        return own_coordinates(self.dataset, self._template)

    def __getitem__(self, index: Any) -> Any:
        """Return what the model returned at a point, or a list of that for several points.

        Parameters
        ----------
        index : int, slice, list or array of int, or boolean array
            Flat position; negative ones count from the end. Arrays are NumPy arrays.
        """
        if isinstance(index, str):
            raise TypeError(
                f"a result is indexed by position, such as result[0], got {index!r}; for an "
                f"output, use result.dataset[{index!r}]"
            )
        i = select.single(index, len(self))
        if i is not None:
            return self._at(self._points.grid.unravel(i))
        points = select.flat_positions(index, len(self), empty=True)
        return [self._at(self._points.grid.unravel(int(point))) for point in points]

    def __iter__(self) -> Iterator[Any]:
        return map(self._at, itertools.product(*map(range, self._points.shape)))

    def _at(self, index: tuple[int, ...]) -> Any:
        values = [array[index] for array in self._arrays]
        return restore_output(self._template, values, self._own_coords)

    def sel(
        self,
        indexers: Mapping[str, Any] | None = None,
        method: str | None = None,
        tolerance: float | None = None,
        drop: bool = False,
        **by_label: Any,
    ) -> xr.Dataset:
        """Select from the Dataset by label, as `xarray.Dataset.sel`, with the rules of `Space.sel`.

        A float selects the label that it equals up to rounding errors: 0.1 + 0.2, or a float32 of
        0.3, selects 0.3. Slices can be combined with ``method="nearest"``.
        """
        queries = {**(indexers or {}), **by_label}
        return lookup.sel(self.dataset, queries, method, tolerance, drop)

    def isel(
        self,
        indexers: Mapping[Any, Any] | None = None,
        drop: bool = False,
        missing_dims: Literal["raise", "warn", "ignore"] = "raise",
        **by_dim: Any,
    ) -> xr.Dataset:
        """Select from the Dataset by position, as `xarray.Dataset.isel`; also by arrays of JAX."""
        queries = {**(indexers or {}), **by_dim}
        chosen = {dim: select.without_jax(indexer) for dim, indexer in queries.items()}
        return self.dataset.isel(chosen, drop=drop, missing_dims=missing_dims)

    def rerun(
        self,
        point: int | None = None,
        *,
        model: Callable[..., Any] | None = None,
        method: str | None = None,
        tolerance: float | None = None,
        **labels: Any,
    ) -> Any:
        """Call the model at one point again, eagerly, and return what it returns.

        Nothing is compiled but the bodies of loops such as `jax.lax.scan`, so that a debugger and
        ``print`` work in the model (in loops, too, within ``with jax.disable_jit():``). The outputs
        are compared with those of the result.

        Parameters
        ----------
        point : int, optional
            Flat position of the point. By default, it is selected by labels.
        model : callable, optional
            Another function of the same state, for other outputs. It is called with the arguments
            of the run. A result that was opened from a file has no model, so it needs one.
        method, tolerance
            As in `sel`.
        **labels
            A label per axis that varies.

        Returns
        -------
        pytree
            What the model returns.

        Raises
        ------
        KeyError
            If a label does not exist.
        ValueError
            If labels select no single point, there is no model, or what was carried to the point is
            not in the result; or if the point needs the wrap of an axis, or a computed initial
            value, that a file does not hold.

        Warns
        -----
        UserWarning
            If the outputs differ from those of the result by more than rounding errors.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
        >>> run = gx.ParallelExecution(lambda s: {"y": 2 * s["x"]}, space).run(progress=False)
        >>> float(run.rerun(x=0.5)["y"])
        1.0
        >>> float(run.rerun(x=0.5, model=lambda s: s["x"] ** 2))
        0.25
        """
        points = points_of(self.space)
        index = rerun.index_of(points, point, labels, method, tolerance)
        where = labels_text(points, dict(zip(points.dims, index, strict=True)))
        call = rerun.call_of(self._call, model, self.dataset, self._template)
        check_wraps(points)
        carried = self._carried_to(index, where)
        startable = rerun.startable(points, self._template, carried)
        with noting_missing(startable):
            try:
                returned = call.at(startable, index, carried)
            except Exception as error:
                error.add_note(f"while the model was called again at {where}")
                raise
        is_own = model is None or rerun.is_alike(returned, self._template)
        if self._kept is None and is_own and self._states_at(index) == DONE:
            stored = [array[index] for array in self._arrays]
            problem = rerun.difference(returned, self._template, stored)
            if problem:
                warn(f"at {where}, {problem}")
        return returned

    def _states_at(self, index: tuple[int, ...]) -> int:
        return DONE if "status" not in self.dataset else int(self.dataset["status"].values[index])

    def _carried_to(self, index: tuple[int, ...], where: str) -> list[np.ndarray] | None:
        """Return the outputs that were carried to a point; None if it starts by itself."""
        points = points_of(self.space)
        last = before(points, index)
        if last is None:
            return None
        if self._kept is not None or self._states_at(last) != DONE:
            why = "its outputs were reduced" if self._kept is not None else "it is not done"
            raise ValueError(
                f"the point {where} starts from the outputs of the one before it, but {why}"
            )
        numbers = carried_numbers(points, self._template)
        return [np.asarray(self._arrays[k][last]) for k in numbers]

    def plot(
        self,
        output: str | None = None,
        x: str | None = None,
        y: str | None = None,
        *,
        hue: str | None = None,
        row: str | None = None,
        col: str | None = None,
        mean: str | Sequence[str] | None = None,
        band: str | Sequence[str] | None = None,
        spread: str | float | Sequence[float] | None = None,
        sel: Mapping[str, Any] | None = None,
        kind: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Plot an output over its dimensions with matplotlib.

        One dimension gives a line plot, or points if its labels are names, such as those of a
        `ChoiceAxis`. Two give a color map, or lines if the labels of one of them are a few strings.
        Each further dimension gives rows or columns of panels. Points that share a dimension, as in
        a zip, give a scatter plot over two of their axes, or the mean in each cell of a grid if
        they are more than 20 000; those of a space that was refined are triangulated.

        Labels that are evenly spaced on a logarithmic scale are plotted on one. Cells of a map that
        would be too narrow to be seen get a logarithmic scale, or equal widths.

        Parameters
        ----------
        output : str, optional
            The output to plot. The default is the first one.
        x, y : str, optional
            Dimension or axis for each direction; `y` gives a color map or a scatter plot.
        hue : str, optional
            Dimension or axis with one line per label. Names get colors that are easy to tell apart,
            numbers a color scale; more than twelve numbers get a color bar instead of a legend.
        row, col : str, optional
            Dimension or axis with one panel per label, at most 36 panels in total.
        mean : str or sequence of str, optional
            Dimensions over which to average first, skipping NaN. An axis that shares a dimension
            averages over the points that differ only in it.
        band : str or sequence of str, optional
            Dimensions (or axes, as for `mean`) whose spread to draw as a band around each line.
        spread : str, float or sequence of float, optional
            What the band shows: the mean with one standard deviation (``"sd"``, the default; with
            ``ddof=0``, as in xarray) or standard error (``"sem"``) to both sides; or the median
            with the central share of the points, such as ``0.9``, with all of them (``"range"``),
            or with several nested shares, such as ``[0.5, 0.9]``, which is called a fan chart.
            Where the run reduced a dimension, the band of ``rate.mean`` is ``rate.std``, and
            ``rate.quantile`` is a fan chart.
        sel : mapping, optional
            Labels to select first; for numbers and dates, the nearest one, which the title shows.
        kind : str, optional
            ``"line"`` or ``"step"``; ``"scatter"``; ``"hist"`` for a histogram of all values;
            ``"pcolormesh"``, ``"contour"``, ``"contourf"``, ``"imshow"`` or ``"surface"`` for two
            dimensions. By default, the kind is chosen as described above.
        **kwargs
            For the figure: ``ax``, ``figsize``, ``size``, ``aspect``, ``col_wrap``, ``sharex``,
            ``sharey``. For the axes: ``xscale``, ``xlim``, ``xticks``, ``xincrease``, and the same
            for y. For colors, as in xarray: ``cmap``, ``norm``, ``vmin``, ``vmax``, ``robust``,
            ``center``, ``levels``, ``extend``, ``add_colorbar``, ``cbar_kwargs``, ``add_legend``.
            And for what is drawn: properties in matplotlib, such as ``linewidth``.

        Returns
        -------
        list of Line2D, QuadMesh, PathCollection, TriMesh, …, or xarray.plot.FacetGrid
            What matplotlib returns for this kind of plot, or a FacetGrid for several panels.

        Raises
        ------
        TypeError
            If the kind of plot does not take a keyword.
        ValueError
            If there is no such output, it is not numeric, or it has too many or too few dimensions
            to be plotted; if a keyword names no dimension or has an unknown value.
        ModuleNotFoundError
            If matplotlib is not installed.

        Examples
        --------
        >>> import gridax as gx
        >>> state = {"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3), "k": gx.KeyAxis(4)}
        >>> space = gx.Space(state, mode="product")
        >>> run = gx.ParallelExecution(lambda s: {"y": s["a"] * s["b"]}, space).run(progress=False)
        >>> run.plot("y", mean="k").axes.get_ylabel()
        'b'
        >>> lines = run.plot("y", x="a", hue="b", band="k")
        >>> lines[0].axes.get_ylabel()
        'y, mean ± sd over k'
        """
        from gridax._plots.result import chosen, draw  # matplotlib is optional

        grid = self._points.grid
        roles = {"x": x, "y": y, "hue": hue, "row": row, "col": col}
        values = chosen(
            self.dataset, grid, output, roles,
            mean=mean, band=band, spread=spread, sel=sel, kind=kind,
        )  # fmt: skip
        return draw(values, grid, roles, kind, kwargs)

    def interp(self, **coords: Any) -> xr.Dataset:
        """Return the outputs between points, by linear interpolation.

        Between the points of a grid, each dimension is interpolated by itself, as
        `xarray.Dataset.interp` does; among scattered points, as of a space that was refined or a
        grid that is not complete, within the simplices of a triangulation. Logarithmic axes are
        interpolated on their own scale. Points without a value are left out, and outside of the
        points there is NaN.

        Parameters
        ----------
        **coords : float, sequence of float, or DataArray
            Values by axis. Sequences are combined; DataArrays with a common dimension are taken
            point by point. Along axes that are not named, the result stays as it is.

        Returns
        -------
        xarray.Dataset
            Integers and booleans become floats; PRNG keys are left out.

        Raises
        ------
        TypeError, ValueError
            If an axis does not exist or has no numbers, or axes along one dimension are missing.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3)}, "product")
        >>> plane = lambda s: 2 * s["x"] + s["y"]
        >>> run = gx.ParallelExecution(plane, space).run(progress=False)
        >>> run.interp(x=0.25, y=[0.1, 0.9])["value"].values.round(2).tolist()
        [0.6, 1.4]
        """
        return interpolated(self.dataset, self._points.grid, coords)

    def sobol(
        self,
        *names: str,
        confidence: float | None = None,
        resamples: int = 100,
        seed: int = 0,
    ) -> xr.Dataset:
        """Return the Sobol' indices of the outputs: which share of their variance is due to what.

        The first-order index S1 of a parameter is the share of the variance that is due to it
        alone. Its total index ST also has the shares that are due to it and other parameters
        together. In a product, each dimension is a parameter, and all means are weighted sums: with
        the weights of a `QuadratureAxis`, with those of the trapezoidal rule along a `GridAxis` or
        `LogGridAxis` (so that values are uniform on its scale), and with equal weights along all
        other axes. From the points of `gridax.saltelli`, indices are estimated as SALib does.

        Parameters
        ----------
        *names : str
            Outputs, parameters, or both. By default, these are all outputs of real numbers, and all
            parameters: each dimension of a product, or each axis of a Saltelli design. Dimensions
            of which none is named are kept, so that there are indices for each of their labels.
        confidence : float, optional
            Level of bootstrap confidence intervals, such as 0.95. Only estimates have them.
        resamples : int, optional
            Number of resamples of the bootstrap.
        seed : int, optional
            Seed of the bootstrap.

        Returns
        -------
        xarray.Dataset
            The variables ``<output>.S1`` and ``<output>.ST`` over the dimension ``parameter``, the
            dimensions that are kept and the output's own; with `confidence`, also
            ``<output>.S1_conf`` and ``<output>.ST_conf``, half the width of the intervals. Where an
            output is constant, indices are NaN. The attribute ``dropped`` counts the base samples
            of a design that were left out.

        Raises
        ------
        ValueError
            If there is no such output or parameter, an output is not numeric, the points are
            neither a product nor a Saltelli design, a dimension has a single label, or points of
            a product failed, are pending, or have values that are not finite.

        Warns
        -----
        UserWarning
            If base samples of a design were left out, as a point failed or a value is not finite;
            if an output is constant; or if nodes of a `QuadratureAxis` are missing.

        References
        ----------
        I. M. Sobol', Math. Comput. Simul. 55, 271 (2001). Estimators of S1: A. Saltelli et al.,
        Comput. Phys. Commun. 181, 259 (2010); of ST: M. J. W. Jansen, Comput. Phys. Commun. 117, 35
        (1999).

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space(
        ...     {"a": gx.QuadratureAxis(0, 1, 4), "b": gx.QuadratureAxis(0, 2, 4)}, mode="product"
        ... )
        >>> run = gx.ParallelExecution(lambda s: {"y": s["a"] + s["b"]}, space).run(progress=False)
        >>> run.sobol()["y.S1"].round(3).to_series().to_dict()
        {'a': 0.2, 'b': 0.8}
        """
        # Of outputs that were reduced, the numbers of values are no outputs of the model.
        are_reduced = self._kept is not None
        outputs = [
            o for o in self._template.outputs if not (are_reduced and o.name.endswith(".count"))
        ]
        return sobol_indices(
            self.dataset, self._points, outputs, names, confidence, resamples, seed
        )

    def explore(
        self,
        output: str | None = None,
        x: str | None = None,
        y: str | None = None,
        *,
        sel: Mapping[str, Any] | None = None,
        mean: str | Sequence[str] | None = None,
        cmap: str = "viridis",
        vmin: float | None = None,
        vmax: float | None = None,
        norm: str = "linear",
        theme: str = "auto",
        **unknown: Any,
    ) -> Any:
        """Return an interactive page with plots of the outputs, sliders, and points to click.

        A notebook displays it; `Explorer.show` serves it in a browser; `Explorer.save` writes it to
        a single HTML file. Only what is displayed is read, so the result may be larger than memory.

        The arguments choose the view to start with; the page has a control for each of them.

        Parameters
        ----------
        output : str, optional
            The output that is displayed first. The default is one that is a number at each point.
            Complex numbers are displayed as ``"abs(z)"``, ``"angle(z)"``, ``"real(z)"`` and
            ``"imag(z)"``.
        x, y : str, optional
            Axes or dimensions for the two directions; ``y=""`` gives a line plot. The default are
            the two numeric axes along which the output varies most, or a line plot over a single
            one.
        sel : mapping, optional
            Labels to start at; for numbers and dates, the nearest one. By default, the page starts
            at the first trial and the first choice, and at the middle of other axes.
        mean : str or sequence of str, optional
            Dimensions to average over, skipping NaN.
        cmap : str, optional
            Color map: ``"viridis"``, ``"cividis"``, ``"magma"``, ``"inferno"``, ``"plasma"``,
            ``"turbo"``, ``"gray"``, or the diverging ``"RdBu"`` and ``"BrBG"``; with ``_r``
            appended, reversed.
        vmin, vmax : float, optional
            Limits of the colors, or of the y axis of a line plot. The default are the limits of the
            values that are displayed.
        norm : {"linear", "log"}, optional
            Scale of the colors, or of the y axis of a line plot.
        theme : {"auto", "light", "dark"}, optional
            The default follows the notebook or the system.

        Returns
        -------
        gridax.explore.Explorer

        Raises
        ------
        TypeError
            If an argument does not exist.
        ValueError
            If there is no such output, label or color map, or the output does not vary along `x`,
            `y` or `mean`.
        ModuleNotFoundError
            If Bokeh or Panel is not installed.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> run = gx.ParallelExecution(lambda s: {"y": s["a"] * s["b"]}, space).run(progress=False)
        >>> run.explore()
        <gridax.explore.Explorer: y over a and b>
        >>> run.explore("y", x="a", y="", sel={"b": 0.5}, norm="log", theme="dark")
        <gridax.explore.Explorer: y over a>
        """
        from gridax.explore import Explorer  # Bokeh and Panel are optional

        grid = self._points.grid
        source = os.path.basename(str(self.dataset.encoding.get("source", "")).rstrip("/"))
        title = f"{source or 'gridax'}: {number_of(len(self), 'point', ' ')}"
        columns = [column for dim in grid.dims for column in grid.members(dim)]
        choices = [c.name for c in columns if made_by(c.axis, ChoiceAxis)]
        style = {"cmap": cmap, "vmin": vmin, "vmax": vmax, "norm": norm, "theme": theme, **unknown}
        return Explorer(
            self.dataset, grid.names_along(), title, output, x, y,
            sel=sel, mean=mean, choices=choices, **style,
        )  # fmt: skip

    @property
    def hvplot(self) -> Any:
        """Interactive plots of the Dataset with hvPlot: the accessor that hvPlot adds to Datasets.

        ``result.hvplot.line(x="x", y="rate", by="tau")`` plots what ``dataset.hvplot`` would plot,
        but also where axes share a dimension, as in groups, zips and designs. hvPlot takes every
        indexed coordinate for a dimension, so it gets the Dataset without the index over these
        axes. For a selection, drop that index before plotting:
        ``result.sel(x=0.3).drop_indexes(["a", "b"]).hvplot``.

        Raises
        ------
        ModuleNotFoundError
            If hvPlot is not installed.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.DataAxis([3, 1, 2]), "b": gx.DataAxis([5, 6, 4])})
        >>> run = gx.ParallelExecution(lambda s: {"y": s["a"] * s["b"]}, space).run(progress=False)
        >>> run.hvplot.scatter(x="a", y="y").kdims
        [Dimension('a')]
        """
        _checks.optional("hvplot.xarray", "hvplot")  # which adds `.hvplot` to Datasets
        plain: Any = without_point_indexes(self.dataset)
        return plain.hvplot

    def to_dataframe(self, *outputs: str | Sequence[str]) -> pd.DataFrame:
        """Return one row per point, or a table in long form of some outputs.

        Without arguments, there is one row per point: the columns of `Space.to_dataframe`, then all
        outputs, with arrays as object cells. With the names of outputs, there is one row per point
        and index of their own dimensions, and every entry is a scalar: the labels of the axes, the
        coordinates of the own dimensions (positions where there are none), and the outputs. An
        output repeats along dimensions that only others have.

        If some points have no value, the columns ``status`` and ``error`` say why.

        Parameters
        ----------
        *outputs : str or sequence of str, optional
            Names of outputs.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ValueError
            If there is no such output.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
        >>> model = lambda s: {"up": s["x"] > 0.5, "powers": s["x"] ** jnp.arange(3)}
        >>> result = gx.ParallelExecution(model, space).run(progress=False)
        >>> df = result.to_dataframe()
        >>> df[df.x == 0.3]["up"].item()
        False
        >>> result.to_dataframe("powers").head(3)
             x  powers_dim_0  powers
        0  0.0             0     1.0
        1  0.0             1     0.0
        2  0.0             2     0.0
        """
        names = [n for given in outputs for n in ([given] if isinstance(given, str) else given)]
        beside = self._states()
        arrays = dict(zip((o.name for o in self._template.outputs), self._arrays, strict=True))
        if outputs:
            self._check_outputs(names)
            sizes = self._points.sizes
            long = {}
            for output in self._template.outputs:
                if output.name in names:
                    dims = (*sizes, *(output.dims or ()))
                    long[output.name] = xr.Variable(dims, np.asarray(arrays[output.name]))
            coords = {str(n): c.variable for n, c in self.dataset.coords.items()}
            ordered = {name: long[name] for name in names}
            return pd.DataFrame(frame.long_columns(self._points.grid, beside, ordered, coords))
        columns = frame.parameter_columns(self._points.grid)
        for output in self._template.outputs:
            values = np.asarray(arrays[output.name]).reshape((len(self), *output.shape))
            columns[output.name] = frame.cells(values)
        return pd.DataFrame(columns | beside)

    def _states(self) -> dict[str, np.ndarray]:
        """Return columns with the status and the message of each point, if some have no value."""
        columns = {}
        for name in (STATUS, FAILED_POINTS, ERROR):
            if name in self.dataset and (name != FAILED_POINTS or self._kept is not None):
                variable = _over(self.dataset.variables[name], self._points.sizes)
                columns[name] = variable.values.reshape(-1)
        return columns

    def _check_outputs(self, names: Sequence[str]) -> None:
        known = [output.name for output in self._template.outputs]
        for name in names:
            if name not in known:
                raise ValueError(f"no output {name!r}; the outputs are {listing(known)}")
        if not names:
            raise ValueError(
                f"an empty list of outputs was given; the outputs are {listing(known)}"
            )

    def to_netcdf(self, path: str | os.PathLike[str], complevel: int = 0) -> None:
        """Save to a netCDF file, which `open_result` reads back.

        An existing result is replaced once the new one is complete and was read back to compare.
        Anything that is not a gridax result is never replaced. A result in a store is written block
        by block, so it may be larger than memory.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist.
        complevel : int, optional
            Level of zlib compression, from 0 (no compression) to 9.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            If the folder does not exist, or `path` is a folder.
        FileExistsError
            If there is a file that is not a gridax result.
        ValueError
            If an attribute cannot be stored or would change the data when the file is read, or
            `path` is a URL, or `complevel` is not valid.
        OSError
            If the file cannot be written, for instance because the disk is full.
        """
        if is_url(path):
            raise ValueError(
                f"to_netcdf writes to a file of this machine, got the URL {path!r}; copy the file "
                "there, or use run(store=…) to write a Zarr store to a URL"
            )
        netcdf.write_netcdf(self._to_file, local_path(path), complevel)

    def to_zarr(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Save to a Zarr store, a folder, which `open_result` reads back.

        A result in a store is written block by block, so it may be larger than memory.

        Parameters
        ----------
        path : path-like
            The folder to create; its parent must exist.
        overwrite : bool, optional
            Whether to replace an existing result. Anything that is not a gridax result is never
            replaced.

        Raises
        ------
        FileExistsError
            If there is something that must not be replaced.
        FileNotFoundError, ValueError, OSError
            As `to_netcdf`.
        """
        if is_url(path):
            raise ValueError(
                f"to_zarr writes to a folder, got the URL {path!r}; use run(store={path!r}) to "
                "write to a URL"
            )
        save_store(self._to_file, local_path(path), overwrite)

    @property
    def _to_file(self) -> xr.Dataset:
        """The Dataset as files have it, with the labels of axes that were reduced."""
        if self._kept is None:
            return self.dataset
        return with_swept(self.dataset, points_of(self.space))

    def unstack(self) -> xr.Dataset:
        """Return scattered points on the grid from which they were selected.

        Outputs of points that were not selected are NaN (integers and bools become floats).
        Numeric labels are in ascending order, others in the order in which they first appear.

        Raises
        ------
        ValueError
            If the points are not scattered points of a product.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> some = space.filter(lambda ds: ds.a <= ds.b)
        >>> run = gx.ParallelExecution(lambda s: s["a"] + s["b"], some).run(progress=False)
        >>> run.unstack()["value"].sel(a=0.0, b=1.0).item()
        1.0
        """
        return unstack(self.dataset, self._points.grid)

    def __repr__(self) -> str:
        return reprs.result_text(facts_of(self), self.dataset)

    def _repr_html_(self) -> str:
        return reprs.result_html(facts_of(self), self.dataset)


def facts_of(result: Result) -> ResultFacts:
    """Return what the text and HTML of a result and `gridax info` display."""
    points = points_of(result.space)
    summary = Summary.read(result.dataset.attrs)
    variables = {} if summary is None else summary.variables
    return result_facts(
        space_facts(points),
        result._template,
        result.dataset,
        result.progress,
        {name: source for name, (source, _, _) in variables.items()},
    )


def with_outputs(result: Result, names: Sequence[str]) -> Result:
    """Return a result with some of its outputs, as `gridax export` saves it.

    Raises
    ------
    ValueError
        If there is no such output.
    """
    result._check_outputs(names)
    dataset = subset.with_outputs(result._to_file, result._template, names)
    return _described(dataset, "the selection", result.progress)


def open_result(
    path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Result:
    """Open a result that was saved as netCDF or Zarr, or the store of a run, finished or not.

    Data are read when they are used; those of a Zarr store are dask arrays with one chunk per
    block. Indexes, dtypes and attributes that files cannot store are restored, and so is the Space:
    labels, values, keys and fixed numbers, in dicts and lists in place of the containers of the
    state. Fixed arrays and objects are not stored and are replaced by placeholders. Nothing in the
    file is executed, so it is safe to open a file from an untrusted source.

    Parameters
    ----------
    path : path-like or URL
        A file or folder, or the URL of a store.
    storage_options : mapping, optional
        Options that fsspec needs to open a URL.

    Returns
    -------
    Result
        The result. For an unfinished store, the Dataset has a variable ``status``, and outputs that
        were not computed are NaN (integers and bools become floats). If another process is writing
        to the store, the result has the points that are done now; open it again to see more.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is not a gridax result, or is damaged.

    Examples
    --------
    >>> open_result("nowhere.nc")
    Traceback (most recent call last):
        ...
    FileNotFoundError: there is no file 'nowhere.nc'
    """
    if not os.fspath(path):
        raise ValueError("open_result got an empty path; pass the name of a file or a store")
    if is_url(path):
        return open_location(location_of(path, storage_options))
    path = local_path(path)
    if path.is_dir():
        return open_location(location_of(path))
    dataset = netcdf.read(path)
    dataset.encoding["source"] = os.path.abspath(path)  # as xarray records it
    return _described(dataset, str(path), None)


def parts_of(result: Result) -> MemoryStore | None:
    """Return what a run in memory that is not finished has of each part, before they are merged."""
    return result._parts


def kept_dims(result: Result) -> tuple[str, ...] | None:
    """Return the dimensions of the space that a reduced result still has; None for any other."""
    return result._kept


def template_of_result(result: Result) -> Template:
    """Return what the model of a result returns."""
    return result._template


def open_location(location: Location) -> Result:
    """Open the Zarr store at a location."""
    if not location.exists():
        raise FileNotFoundError(f"there is no store {location.name!r}")
    try:
        dataset, progress = view_of_run(open_store(location))
    except OSError:
        raise
    except Exception as error:  # a damaged or foreign store may raise anything
        raise ValueError(
            f"{location.name!r} cannot be read as a Zarr store ({type(error).__name__}: {error})"
        ) from error
    dataset.encoding["source"] = location.address  # as xarray records it
    return _described(dataset, location.name, progress)


def _described(dataset: xr.Dataset, name: str, progress: Progress | None) -> Result:
    try:
        plain, swept = without_swept(dataset)
        points, template = restore.read(plain, swept)
        summary = Summary.read(plain.attrs)
    except ValueError as error:
        dataset.close()
        raise ValueError(f"{name!r} cannot be opened as a result: {error}") from error
    if swept:
        plain.encoding["source"] = dataset.encoding.get("source")
        plain.set_close(dataset.close)
    kept = None if summary is None else summary.kept
    return Result(plain if swept else dataset, space_of(points), template, None, progress, kept)


def _over(variable: xr.Variable, sizes: Mapping[str, int]) -> xr.Variable:
    """Return a variable with all dimensions of the space first, repeated along those it lacks."""
    if all(dim in variable.dims for dim in sizes):
        return variable
    own = [dim for dim in variable.dims if dim not in sizes]
    return variable.set_dims({**variable.sizes, **sizes}).transpose(*sizes, *own)
