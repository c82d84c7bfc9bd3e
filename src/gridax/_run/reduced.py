"""The labeled Dataset of a run whose outputs are reduced, from what is stored of its cells."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.tree_util import DictKey

from gridax import _memory
from gridax._digest.digest import digest, examine
from gridax._files import describe
from gridax._files.merge import ATTRIBUTE, PART, Summary, merged
from gridax._files.swept import with_swept
from gridax._grid.index import attach_all
from gridax._outputs.template import Output, Part, Template
from gridax._plan.cells import Cells, divided, part_lengths
from gridax._reduce.methods import Function, name_of
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.request import Reduction, requested, unmerged
from gridax._reduce.variables import coordinates_of, variables_of
from gridax._run import fingerprints
from gridax._run.assembly import Assembly, stamped
from gridax._run.fingerprints import Parts
from gridax._run.job import Job
from gridax._run.options import Options
from gridax._stores.base import ERROR, FLAGS, STATUS
from gridax._stores.memory import MemoryStore
from gridax._text import listing

# A part has at most so many bytes of outputs, and takes so many seconds: a crash costs that much.
_BYTES, _SECONDS = 2**25, 10.0
# There are at least so many cells, for several devices and processes, unless one takes less time
# than this.
_CELLS, _LEAST_SECONDS = 16, 0.05
# How many times the bytes of what is reduced at a time are in use meanwhile.
_COPIES = 3


class ReducedAssembly:
    """The labels of the variables to which outputs are reduced, and the Dataset that they make.

    Parameters
    ----------
    job : what is run.
    raw : the labels of the outputs themselves.
    reduction : what was asked for, with cells.
    given : the same as ``reduce=`` of `Execution.run`.

    Attributes
    ----------
    reduced : what is computed and stored of each cell.
    template : the structure of a result at one of its points.
    """

    def __init__(self, job: Job, raw: Assembly, reduction: Reduction, given: Any) -> None:
        self._job, self._given, points = job, given, job.points
        outputs = raw.template.outputs
        space = points.dataset
        taken = {*map(str, space.variables), *map(str, space.sizes)}
        variables = variables_of(reduction, outputs, points, taken)
        self.reduced = ReducedOutputs(reduction, outputs, variables)
        own = {dim for variable in variables for dim in variable.output.dims or ()}
        coords = coordinates_of(reduction, outputs, taken, raw.coords)
        self.coords = {n: c for n, c in coords.items() if set(c.dims) <= own}
        self.kept = points.along([d for i, d in enumerate(points.dims) if i not in reduction.common])
        self.template = _template([variable.output for variable in variables])
        self._summary = Summary.of(self.kept.dims, points.dims, self.reduced)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What a store keeps."""
        return self.reduced.stored

    @property
    def grid(self) -> tuple[int, ...]:
        """The shape of the grid of a store."""
        return self.reduced.cells.shape

    def block(self, block: Mapping[str, int]) -> tuple[int, ...]:
        """Return how many cells along each dimension have so many points."""
        cells, dims = self.reduced.cells, self._job.points.dims
        return tuple(1 if dim in cells.by_dim else block[dims[dim]] for dim in cells.grid)

    @property
    def fingerprints(self) -> dict[str, list[str]]:
        """Fingerprints of the variables."""
        found = fingerprints.of_template(self.template, self.coords)
        dims = self._job.points.dims
        for variable in self.reduced.variables:
            each = self._of(variable.source)
            along = [dims[dim] for dim in each.dims]
            calls = [m.call for m in each.methods if isinstance(m, Function)]
            called = [call for call in calls if call.__name__ == variable.method]
            code = examine({"reduce": called}).digest if called else ""
            _, text = found[variable.output.name]
            text = f"{text}, reduced along {listing(along)}"
            found[variable.output.name] = [digest([code, text]), text]
        return found

    def _of(self, source: str) -> Any:
        outputs = self.reduced.outputs
        return next(e for e in self.reduced.reduction.outputs if outputs[e.output].name == source)

    def dataset(self, store: MemoryStore, run: Mapping[str, Any]) -> xr.Dataset:
        """Return the variables with all labels, and the status of each point unless all are done.

        The parameters are those of `Assembly.dataset`.
        """
        arrays = dict(zip([o.name for o in self.reduced.stored], store.arrays, strict=True))
        messages = np.full(store.shape, "", object)
        for index, text in store.errors.items():
            messages[index] = text
        stored = self._stored(arrays, store.status, messages)
        found = merged(stored, self._summary, store.is_complete)
        labeled = stored.coords.to_dataset().assign(found)
        dataset = attach_all(labeled.drop_attrs(deep=False), self.kept.grid.names_along())
        about = self._about(merged_=True)
        return dataset.assign_attrs({**about, **stamped(run)})

    def skeleton(self, about: Parts) -> xr.Dataset:
        """Return the Dataset of an empty store; its data are dask arrays of zeros."""
        import dask.array as da  # slow to import

        grid = self.reduced.cells.shape

        def zeros(shape: tuple[int, ...], dtype: Any) -> Any:
            return da.zeros(shape, dtype=dtype, chunks=-1)

        arrays = {o.name: zeros((*grid, *o.shape), o.dtype) for o in self.reduced.stored}
        status, messages = zeros(grid, np.uint8), zeros(grid, np.dtypes.StringDType())
        dataset = with_swept(self._stored(arrays, status, messages), self._job.points)
        described = {fingerprints.ATTRIBUTE: json.dumps(about)}
        return dataset.assign_attrs(
            {**self._about(merged_=False), **stamped(describe.stamp()), **described}
        )

    def _stored(self, arrays: Mapping[str, Any], status: Any, messages: Any) -> xr.Dataset:
        """Return the Dataset of what is stored of each cell."""
        cells, dims = self.reduced.cells, self._job.points.dims
        grid = [dims[dim] + (PART if dim in cells.by_dim else "") for dim in cells.grid]
        variables = {
            output.name: xr.Variable([*grid, *(output.dims or ())], arrays[output.name], output.attrs)
            for output in self.reduced.stored
        }
        variables[STATUS] = xr.Variable(grid, status, FLAGS)
        variables[ERROR] = xr.Variable(grid, messages)
        own = xr.Coordinates(self.coords, indexes={})
        return attach_all(self.kept.dataset.assign_coords(own).assign(variables), {})

    def _about(self, merged_: bool) -> dict[str, Any]:
        """Return the attributes of the Dataset."""
        described = {
            **fingerprints.of_job(self._job),
            "reduce": fingerprints.of_reduction(self._given),
            "template": self.fingerprints,
        }
        return {
            **describe.attributes(self._job.points, self.template, self._job.model),
            fingerprints.ATTRIBUTE: json.dumps(described),
            ATTRIBUTE: self._summary.json(merged_),
        }


def _template(outputs: list[Output]) -> Template:
    """Return the template of a dict of variables, in their order."""
    names = [output.name for output in outputs]
    tree = collections.OrderedDict.fromkeys(names, 0)
    parts = tuple(Part("array", (None,), (DictKey(name),)) for name in names)
    return Template(tuple(outputs), parts, jax.tree.structure(tree))


def known_outputs(
    job: Job, summary: Summary, coords: Mapping[str, xr.Variable]
) -> Assembly:
    """Return the labels of outputs that only a reduced result tells about.

    Parameters
    ----------
    job : what is run.
    summary : of the result.
    coords : coordinates of the outputs' own dimensions.
    """
    dims = {dim for output in summary.outputs for dim in output.dims or ()}
    own = {name: c for name, c in coords.items() if set(c.dims) <= dims}
    template = _template(list(summary.outputs))
    return Assembly(job, template, None, own)


def with_cells(
    raw: Assembly,
    job: Job,
    seconds: float,
    options: Options,
    known: Mapping[int, tuple[int, ...]],
) -> Reduction:
    """Return what is asked for, with points divided into cells that fit into memory.

    Parameters
    ----------
    raw, job : the outputs of the model, and what is run.
    seconds : about how long a point takes.
    options : of the run.
    known : indices of which an older result has the outputs, by dimension.

    Raises
    ------
    TypeError, ValueError
        If something is asked for that does not exist, or that needs more memory than there is.
    """
    points, outputs = job.points, raw.template.outputs
    reduction = requested(options.reduce, outputs, points.dims, points.shape)
    nbytes = sum(outputs[each.output].nbytes for each in reduction.outputs)
    total = math.prod(points.shape)
    _check_extensible(reduction, points.dims, known)
    if next(unmerged(reduction), None) is not None:
        _check_undivided(reduction, points.dims, options)
        _check_fits(reduction, raw, job, nbytes, options.memory)
        return reduction
    inner = math.prod(points.shape[dim] for dim in reduction.cells.reduced)
    rest = inner // math.prod(points.shape[dim] for dim in reduction.common)
    most = min(inner, _BYTES // max(nbytes, 1), int(_SECONDS / max(seconds, 1e-12)))
    enough = max(total // _CELLS, int(_LEAST_SECONDS / max(seconds, 1e-12)))
    lengths = part_lengths(points.shape, reduction.common, max(1, min(most, enough) // rest))
    if options.block is not None:
        _check_undivided(reduction, points.dims, options)
        lengths = {dim: options.block[points.dims[dim]] for dim in reduction.common}
    cuts = divided(points.shape, lengths, known)
    cells = Cells(reduction.cells.sizes, reduction.cells.reduced, cuts)
    return dataclasses.replace(reduction, cells=cells)


def _check_undivided(reduction: Reduction, dims: tuple[str, ...], options: Options) -> None:
    """Reject blocks that divide what is needed at a time."""
    whole = next(unmerged(reduction), None)
    for dim in reduction.cells.reduced:
        size, length = reduction.cells.sizes[dim], (options.block or {}).get(dims[dim], 1)
        if options.block is None or length == size or (whole is None and dim in reduction.common):
            continue
        why = "not all outputs are reduced along it"
        if whole is not None:
            why = f"{name_of(whole[1])!r} needs all values at a time"
        raise ValueError(
            f"block has {length} of the {size} points along {dims[dim]!r}, but {why}; leave "
            f"{dims[dim]!r} out of block="
        )


def _check_extensible(
    reduction: Reduction, dims: tuple[str, ...], known: Mapping[int, tuple[int, ...]]
) -> None:
    """Reject older results of a part of the points along dimensions that must be whole."""
    sizes = reduction.cells.sizes
    whole = next(unmerged(reduction), None)
    for dim in reduction.cells.reduced:
        if dim not in known or len(known[dim]) == sizes[dim]:
            continue
        if whole is not None:
            raise ValueError(
                f"extend=: {name_of(whole[1])!r} along {dims[dim]!r} needs the outputs of all "
                "points, which the result no longer has; run it without extend=, or leave that "
                "reduction out"
            )
        if dim not in reduction.common:
            raise ValueError(
                f"extend=: not all outputs are reduced along {dims[dim]!r}, so points cannot be "
                "added along it; run it without extend="
            )


def _check_fits(
    reduction: Reduction, raw: Assembly, job: Job, nbytes: int, memory: int | None
) -> None:
    """Reject a reduction that needs more values at a time than fit into memory."""
    points = job.points
    n = math.prod(points.shape[dim] for dim in reduction.cells.reduced)
    free = memory or _memory.free(jax.local_devices()[0]) or _memory.physical()
    needed = _COPIES * n * nbytes
    if free is None or needed <= free:
        return
    each, method = next(unmerged(reduction))
    name = raw.template.outputs[each.output].name
    along = listing([points.dims[dim] for dim in reduction.cells.reduced])
    raise ValueError(
        f"reduce: {name_of(method)!r} of output {name!r} needs all values along {along} at a time: "
        f"{n} points with {_memory.human(n * nbytes)} of outputs, so about "
        f"{_memory.human(needed)} of memory, of which there are {_memory.human(free)}. Reduce to "
        "what can be merged (mean, std, min, max, gridax.Histogram, …), name only the outputs that "
        "are needed, or return less per point"
    )
