"""The labeled Dataset of a run, from its outputs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._files import describe
from gridax._grid.index import attach_all
from gridax._grid.points import Points
from gridax._outputs.labels import coordinates, labeled
from gridax._outputs.template import Output, Template
from gridax._run import fingerprints
from gridax._run.fingerprints import Parts, Traced
from gridax._run.job import Job
from gridax._stores.base import FLAGS
from gridax._stores.memory import MemoryStore


class Assembler:
    """Assembles the outputs of a job; a second run with the same labels need not make them again.

    Parameters
    ----------
    job : what is run.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._last: Assembly | None = None
        self._recorded: tuple[Any, Recorded] | None = None
        self.reduced: Any = None  # the labels of what outputs were last reduced to

    def __reduce__(self) -> Any:
        return Assembler, (self._job,)  # without what is kept for the next run

    def assembly(
        self, raw: Template, dims: Mapping[str, Any] | None, coords: Mapping[str, Any] | None
    ) -> Assembly:
        """Return the labels of the outputs, as `Assembly` takes them."""
        has_own_labels = dims is not None or coords is not None
        if has_own_labels or self._last is None or self._last.raw is not raw:
            assembly = Assembly(self._job, raw, dims, coords)
            self._last = None if has_own_labels else assembly
            return assembly
        return self._last

    def recorded(self, program: Traced | None) -> Recorded:
        """Return what the result of a run records, which is the same for all of a traced program.

        The model is looked at now, because what it is made of may change; the rest cannot.
        """
        if self._recorded is not None and self._recorded[0] is program:
            return self._recorded[1]
        job, settings = self._job, fingerprints.settings()
        model = fingerprints.of_model(job)

        def about() -> Parts:
            traced = None if program is None else program.fingerprint
            return {**fingerprints.of_job(job, {**model, "program": traced}), **settings}

        recorded = Recorded(about)
        if program is not None:
            self._recorded = program, recorded
        return recorded


class Recorded:
    """What a result in memory records of the job of which it is the result.

    Parameters
    ----------
    about : returns the fingerprints, when they are first needed: they take longer than many a run.
    """

    def __init__(self, about: Callable[[], Parts]) -> None:
        self.about = functools.cache(about)
        self._last: tuple[Any, str] | None = None

    def attributes(self, outputs: Mapping[str, list[str]]) -> dict[str, str]:
        """Return the attribute of the result, which also has the fingerprints of the outputs."""
        if self._last is None or self._last[0] is not outputs:
            self._last = outputs, json.dumps({**self.about(), "template": outputs})
        return {fingerprints.ATTRIBUTE: self._last[1]}


class Assembly:
    """The labels of all outputs of a job, and the Dataset that they make of the arrays.

    Parameters
    ----------
    job : what is run.
    raw : the template as the model returns it.
    dims, coords : names and coordinates of the outputs' own dimensions, as `run` takes them.

    Attributes
    ----------
    template : the outputs with their names and dimensions.
    coords : coordinates of their own dimensions.
    outputs, grid : what a store keeps, and the shape of its grid.

    Raises
    ------
    TypeError, ValueError
        If labels do not fit the outputs.
    """

    def __init__(
        self,
        job: Job,
        raw: Template,
        dims: Mapping[str, Any] | None,
        coords: Mapping[str, Any] | None,
    ) -> None:
        self._job, self._points, self.raw = job, job.points, raw
        space = self._points.dataset
        names = {*map(str, space.variables), *map(str, space.sizes)}
        self.template = labeled(raw, names, self._points.dims, dims)
        self.outputs, self.grid = self.template.outputs, self._points.shape
        known = {str(name): space.variables[name] for name in space.coords}
        self.coords = coordinates(self.template, coords, known)

    def block(self, block: Mapping[str, int]) -> tuple[int, ...]:
        """Return how many points a block has along each dimension."""
        return tuple(block[dim] for dim in self._points.dims)

    @functools.cached_property
    def fingerprints(self) -> dict[str, list[str]]:
        """Fingerprints of the outputs."""
        return fingerprints.of_template(self.template, self.coords)

    def dataset(
        self, store: MemoryStore, recorded: Recorded, run: Mapping[str, Any], before: str = ""
    ) -> xr.Dataset:
        """Return the outputs with all labels, and the status of each point unless all are done.

        Parameters
        ----------
        store : outputs over the grid.
        recorded : what is recorded of the job.
        run : when and on what the job was run, as `describe.stamp` returns it.
        before : the history of the result that was extended.
        """
        names = [output.name for output in self.template.outputs]
        dataset = self._empty.copy(data=dict(zip(names, store.arrays, strict=True)))
        if not store.is_complete:
            dataset["status"] = (self._points.dims, store.status, FLAGS)
        if store.errors:
            dataset["error"] = (self._points.dims, store.messages())
        # The Dataset is a copy already, and assign_attrs would copy all of its indexes again.
        dataset.attrs.update(recorded.attributes(self.fingerprints))
        dataset.attrs.update(describe.stamped(run, self._job.deed, before))
        return dataset

    def skeleton(self, about: Parts, before: str = "") -> xr.Dataset:
        """Return the Dataset of an empty store; its data are dask arrays of zeros.

        Parameters
        ----------
        about : fingerprints of what is run.
        before : the history of the result that is extended.
        """
        grid = self._points.shape
        outputs = {o.name: zeros((*grid, *o.shape), o.dtype) for o in self.template.outputs}
        dataset = self._empty.copy(data=outputs)
        dataset["status"] = (self._points.dims, zeros(grid, np.uint8), FLAGS)
        dataset["error"] = (self._points.dims, zeros(grid, np.dtypes.StringDType()))
        described = {fingerprints.ATTRIBUTE: json.dumps(about)}
        run = describe.stamped(describe.stamp(), self._job.deed, before)
        return dataset.assign_attrs(run, **described)

    @functools.cached_property
    def _empty(self) -> xr.Dataset:
        """The Dataset with arrays that take no memory.

        It is kept for the next run, since building its indexes takes the most time.
        """
        variables = without_memory(self.template.outputs, self._points)
        own = xr.Coordinates(self.coords, indexes={})
        dataset = attach_all(self._points.dataset.assign_coords(own).assign(variables), {})
        given = self._job.model, self._job.args, self._job.kwargs
        return dataset.assign_attrs(describe.attributes(self._points, self.template, *given))


def without_memory(outputs: Sequence[Output], points: Points) -> dict[str, xr.Variable]:
    """Return variables over some points whose arrays take no memory."""
    variables = {}
    for output in outputs:
        attrs = dict(output.attrs)
        if output.impl is not None:
            attrs["prng_impl"] = output.impl
        # Strides of zero: as large as the grid, and yet one element.
        empty = np.broadcast_to(np.zeros((), output.dtype), points.shape + output.shape)
        variables[output.name] = xr.Variable((*points.dims, *(output.dims or ())), empty, attrs)
    return variables


def zeros(shape: Sequence[int], dtype: Any) -> Any:
    """Return a dask array of zeros in one chunk."""
    import dask.array as da  # slow to import

    return da.zeros(shape, dtype=dtype, chunks=-1)
