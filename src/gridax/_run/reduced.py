"""The labeled Dataset of a run whose outputs are reduced, from what is stored of its cells."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.tree_util import DictKey

from gridax._files import describe
from gridax._files.merge import ATTRIBUTE, PART, Summary, merged
from gridax._files.swept import with_swept
from gridax._grid.index import attach_all
from gridax._outputs.template import Output, Part, Template
from gridax._plan.progress import Progress
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.request import Reduction
from gridax._reduce.variables import coordinates_of, variables_of
from gridax._run import fingerprints
from gridax._run.assembly import Assembly, Recorded, without_memory, zeros
from gridax._run.fingerprints import Parts
from gridax._run.job import Job
from gridax._stores.base import ERROR, FLAGS, PENDING, STATUS
from gridax._stores.memory import MemoryStore


class ReducedAssembly:
    """The labels of the variables to which outputs are reduced, and the Dataset that they make.

    Parameters
    ----------
    job : what is run.
    raw : the labels of the outputs themselves.
    reduction : what was asked for, with cells.

    Attributes
    ----------
    raw : as given.
    reduced : what is computed and stored of each cell.
    template : the structure of a result at one of its points.
    outputs, grid : what a store keeps, and the shape of its grid.
    """

    def __init__(self, job: Job, raw: Assembly, reduction: Reduction) -> None:
        self._job, self.raw = job, raw
        points = job.points
        outputs = raw.template.outputs
        space = points.dataset
        taken = {*map(str, space.variables), *map(str, space.sizes)}
        variables = variables_of(reduction, outputs, points, taken)
        self.reduced = ReducedOutputs(reduction, outputs, variables)
        self.outputs, self.grid = self.reduced.stored, self.reduced.cells.shape
        own = {dim for variable in variables for dim in variable.output.dims or ()}
        coords = coordinates_of(reduction, outputs, taken, raw.coords)
        self.coords = {n: c for n, c in coords.items() if set(c.dims) <= own}
        self.kept = points.along(
            [d for i, d in enumerate(points.dims) if i not in reduction.common]
        )
        self.template = template_of_dict([variable.output for variable in variables])
        self._summary = Summary.of(self.kept.dims, points.dims, self.reduced)

    def block(self, block: Mapping[str, int]) -> tuple[int, ...]:
        """Return how many cells along each dimension have so many points."""
        cells, dims = self.reduced.cells, self._job.points.dims
        return tuple(1 if dim in cells.by_dim else block[dims[dim]] for dim in cells.grid)

    @functools.cached_property
    def fingerprints(self) -> dict[str, list[str]]:
        """Fingerprints of the variables; that of ``reduce=`` says what they are made of."""
        return fingerprints.of_template(self.template, self.coords)

    def progress(self, store: MemoryStore) -> Progress:
        """Return how many points are done and failed."""
        n_failed = 0
        if store.errors:
            n_failed = int(store.arrays[-1][store.status != PENDING].sum())
        begun = self.reduced.cells.n_points_in(store.status != PENDING)
        return Progress(begun - n_failed, n_failed, self._job.points.n)

    def dataset(
        self, store: MemoryStore, recorded: Recorded, run: Mapping[str, Any], before: str = ""
    ) -> xr.Dataset:
        """Return the variables with all labels, and the status of each point unless all are done.

        The parameters are those of `Assembly.dataset`.
        """
        arrays = dict(zip([o.name for o in self.reduced.stored], store.arrays, strict=True))
        if store.is_complete and self._is_stored_as_is:
            dataset = self._empty.copy(data={o.name: arrays[o.name] for o in self.template.outputs})
        else:
            stored = xr.Dataset(self._stored(arrays, store.status, store.messages()))
            axes = self._job.points.coordinates()
            dataset = self._labels.assign(merged(stored, self._summary, store.is_complete, axes))
        dataset.attrs.update(recorded.attributes(self.fingerprints))
        dataset.attrs.update(describe.stamped(run, self._job.deed, before))
        return dataset

    @functools.cached_property
    def _labels(self) -> xr.Dataset:
        """The coordinates of the result, and what its attributes always say."""
        own = xr.Coordinates(self.coords, indexes={})
        dataset = attach_all(self.kept.dataset.assign_coords(own), {})
        given = self._job.model, self._job.args, self._job.kwargs
        about = describe.attributes(self._job.points, self.template, *given)
        return dataset.assign_attrs({**about, ATTRIBUTE: self._summary.json(merged=True)})

    @property
    def _is_stored_as_is(self) -> bool:
        """Whether cells have the dimensions of the result, in their order."""
        return not self.reduced.cells.cuts and not any(v.within for v in self.reduced.variables)

    @functools.cached_property
    def _empty(self) -> xr.Dataset:
        """The Dataset with arrays that take no memory, as it is where nothing must be merged."""
        return self._labels.assign(without_memory(self.template.outputs, self.kept))

    def skeleton(self, about: Parts, before: str = "") -> xr.Dataset:
        """Return the Dataset of an empty store; its data are dask arrays of zeros."""
        grid = self.reduced.cells.shape
        arrays = {o.name: zeros((*grid, *o.shape), o.dtype) for o in self.reduced.stored}
        status, messages = zeros(grid, np.uint8), zeros(grid, np.dtypes.StringDType())
        stored = self._labels.assign(self._stored(arrays, status, messages))
        dataset = with_swept(stored, self._job.points)
        described = {fingerprints.ATTRIBUTE: json.dumps(about)}
        described[ATTRIBUTE] = self._summary.json(merged=False)
        run = describe.stamped(describe.stamp(), self._job.deed, before)
        return dataset.assign_attrs({**run, **described})

    def _stored(
        self, arrays: Mapping[str, Any], status: Any, messages: Any
    ) -> dict[str, xr.Variable]:
        """Return the variables that a store keeps, over the grid of cells."""
        cells, dims = self.reduced.cells, self._job.points.dims
        grid = [dims[dim] + (PART if dim in cells.by_dim else "") for dim in cells.grid]
        variables = {
            output.name: xr.Variable(
                [*grid, *(output.dims or ())], arrays[output.name], output.attrs
            )
            for output in self.reduced.stored
        }
        variables[STATUS] = xr.Variable(grid, status, FLAGS)
        variables[ERROR] = xr.Variable(grid, messages)
        return variables


def template_of_dict(outputs: list[Output]) -> Template:
    """Return the template of a dict of variables, in their order."""
    names = [output.name for output in outputs]
    tree = collections.OrderedDict.fromkeys(names, 0)
    parts = tuple(Part("array", (None,), (DictKey(name),)) for name in names)
    return Template(tuple(outputs), parts, jax.tree.structure(tree))
