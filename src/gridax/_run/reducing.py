"""Which points of a run are reduced together, decided before anything is computed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import xarray as xr

from gridax import _devices, _memory
from gridax._files.merge import Summary
from gridax._grid.points import Points
from gridax._plan.cells import Cells, divided, part_lengths
from gridax._reduce.methods import name_of
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.request import Reduction, requested, unmerged
from gridax._run.assembly import Assembler, Assembly
from gridax._run.evaluator import Evaluator
from gridax._run.job import Job
from gridax._run.options import Options
from gridax._run.reduced import ReducedAssembly, template_of_dict
from gridax._text import listing

# A part has at most so many bytes of outputs, and takes so many seconds: a crash costs that much.
_BYTES, _SECONDS = 2**23, 10.0
# There are at least so many cells, for several devices and processes, unless one takes less time
# than this.
_CELLS, _LEAST_SECONDS = 16, 0.05
# How many times the bytes of what is reduced at a time are in use meanwhile.
_COPIES = 3


class Reducing:
    """How the outputs of a run are reduced, once it is known what the model returns.

    Parameters
    ----------
    job, evaluator, options : of the run.
    assembler : keeps what the last run was reduced to, whose labels need not be made again.

    Attributes
    ----------
    known : indices of which an older result has the outputs, by dimension.
    """

    def __init__(
        self, job: Job, evaluator: Evaluator, options: Options, assembler: Assembler
    ) -> None:
        self._job, self._evaluator, self._options = job, evaluator, options
        self._assembler = assembler
        self.known: Mapping[int, tuple[int, ...]] = {}
        self._reduction: Reduction | None = None
        self._labels: ReducedAssembly | None = None

    @property
    def outputs(self) -> ReducedOutputs:
        """What is computed and stored of each cell."""
        assert self._labels is not None
        return self._labels.reduced

    def labels(self, raw: Assembly) -> ReducedAssembly:
        """Return the labels of what outputs are reduced to, given those of the outputs."""
        if self._reduction is None:
            self._reduction = self._with_cells(raw)
        last: ReducedAssembly | None = self._assembler.reduced
        if last is None or last.raw is not raw or last.reduced.reduction != self._reduction:
            last = ReducedAssembly(self._job, raw, self._reduction)
        self._labels = self._assembler.reduced = last
        return last

    def _with_cells(self, raw: Assembly) -> Reduction:
        """Return what is asked for, with points divided into cells that fit into memory.

        Raises
        ------
        TypeError, ValueError
            If something is asked for that does not exist, or that needs more memory than there is.
        """
        points, outputs, options = self._job.points, raw.template.outputs, self._options
        seconds = self._evaluator.seconds()
        reduction = requested(options.reduce, outputs, points.dims, points.shape)
        nbytes = sum(outputs[each.output].nbytes for each in reduction.outputs)
        total = math.prod(points.shape)
        _check_chain(reduction, points)
        _check_extensible(reduction, points.dims, self.known)
        _check_undivided(reduction, points.dims, options)
        if next(unmerged(reduction), None) is not None:
            _check_fits(reduction, raw, self._job, nbytes, options.memory)
            return reduction
        inner = math.prod(points.shape[dim] for dim in reduction.cells.reduced)
        rest = inner // math.prod(points.shape[dim] for dim in reduction.common)
        fits = _BYTES if options.memory is None else min(_BYTES, options.memory // _COPIES)
        most = min(inner, fits // max(nbytes, 1), int(_SECONDS / max(seconds, 1e-12)))
        enough = max(total // _CELLS, int(_LEAST_SECONDS / max(seconds, 1e-12)))
        lengths = part_lengths(points.shape, reduction.common, max(1, min(most, enough) // rest))
        if options.block is not None:
            lengths = {dim: options.block[points.dims[dim]] for dim in reduction.common}
        cuts = divided(points.shape, lengths, self.known)
        cells = Cells(reduction.cells.sizes, reduction.cells.reduced, cuts)
        return dataclasses.replace(reduction, cells=cells)

    def adopt(self, summary: Summary) -> ReducedAssembly:
        """Reduce the cells of a store, which another process may have created."""
        points = self._job.points
        if self._reduction is None or self._reduction.cells != summary.cells:
            wanted = requested(self._options.reduce, summary.outputs, points.dims, points.shape)
            self._reduction = dataclasses.replace(wanted, cells=summary.cells)
        raw = None if self._labels is None else self._labels.raw
        return self.labels(raw or known_outputs(self._job, summary, {}))


def known_outputs(job: Job, summary: Summary, coords: Mapping[str, xr.Variable]) -> Assembly:
    """Return the labels of outputs that only a reduced result tells about.

    Parameters
    ----------
    job : what is run.
    summary : of the result.
    coords : coordinates of the outputs' own dimensions.
    """
    dims = {dim for output in summary.outputs for dim in output.dims or ()}
    own = {name: c for name, c in coords.items() if set(c.dims) <= dims}
    template = template_of_dict(list(summary.outputs))
    return Assembly(job, template, None, own)


def _check_chain(reduction: Reduction, points: Points) -> None:
    """Reject reductions along which points follow each other."""
    chain = points.chain
    if chain is None:
        return
    names = listing([repr(path) for path in points.carried])
    are = "is" if len(points.carried) == 1 else "are"
    for dim in (chain.dim, chain.direction):
        if dim in reduction.cells.reduced:
            raise ValueError(
                f"reduce: {names} {are} carried along {points.dims[chain.dim]!r}, so outputs "
                f"cannot be reduced along {points.dims[dim]!r} while the sweep runs; reduce the "
                "result along it afterwards"
            )


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
    free = memory or _memory.free(_devices.devices()[0]) or _memory.physical()
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
