"""What runs in memory and runs with a store have in common."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Sequence

from gridax._files.merge import Summary
from gridax._kernel.once import Call
from gridax._outputs.template import Output, Template, unit_difference
from gridax._plan import blocks
from gridax._plan.plan import Plan
from gridax._run import fingerprints
from gridax._run.assembly import Assembler, Assembly, Recorded
from gridax._run.evaluator import Bounds, Deadline, Evaluator, Request, store_evaluated
from gridax._run.extension import Extension, like_points
from gridax._run.fingerprints import Parts
from gridax._run.job import Job
from gridax._run.measure import measured
from gridax._run.options import Options
from gridax._run.progress import Meter
from gridax._run.reduced import ReducedAssembly
from gridax._run.reduced_extension import ReducedExtension
from gridax._run.reducing import Reducing, known_outputs
from gridax._run.resume import StoredRun
from gridax._stores.base import Store
from gridax._stores.location import Location
from gridax._stores.memory import MemoryStore
from gridax.result import Result, open_result, parts_of, template_of_result
from gridax.space import Space, points_of

AnyAssembly = Assembly | ReducedAssembly


class Run(abc.ABC):
    """A run of a job, with what the user asked of it; see `Execution.run`. Abstract: `result`.

    Parameters
    ----------
    space : the points, as the user holds them and finds them in the result.
    job : what is run.
    evaluator : how its points are evaluated.
    assembler : labels its outputs.
    options : what the user asked for.
    """

    def __init__(
        self,
        space: Space,
        job: Job,
        evaluator: Evaluator,
        assembler: Assembler,
        options: Options,
    ) -> None:
        self._space, self._job, self._evaluator = space, job, evaluator
        self._assembler, self._options = assembler, options
        seconds = math.inf if options.budget is None else options.budget
        self._deadline = Deadline(time.monotonic() + seconds)
        # What has some of the points already: an older result, and a store.
        self._old: Extension | None = None
        self._old_cells: ReducedExtension | None = None  # of a result that was reduced as well
        self._stored: StoredRun | None = None
        # Known once it is known what the model returns.
        self._assembly: AnyAssembly | None = None
        self._reducing: Reducing | None = None
        if options.reduce is not None:
            self._reducing = Reducing(job, evaluator, options, assembler)

    @abc.abstractmethod
    def result(self) -> Result:
        """Run, and return the outputs, in memory or as they are in a store."""

    def plan(self, measure: bool) -> Plan:
        """Return how the sweep will be divided, and if measured, how long it will take."""
        if self._reducing is not None:
            self._trace()
        seconds = self._measured() if measure else None
        return dataclasses.replace(self._evaluator.plan(self._bounds), seconds=seconds)

    @property
    def _bounds(self) -> Bounds:
        reduced = None if self._reducing is None else self._reducing.outputs
        return Bounds(self._options.memory, self._options.lanes, reduced)

    def _wish(self) -> blocks.Wish:
        return self._evaluator.wish(self._bounds)

    def _request(self, store: Store, block: tuple[int, ...] | None) -> Request:
        bounds = self._bounds.memory, self._bounds.lanes, self._bounds.reduced
        record = self._options.record
        return Request(*bounds, store, block, record, self._take, self._deadline)

    def _measured(self) -> tuple[float, float, float]:
        """Return about how long the run will take: at least, likely, and at most."""
        self._evaluator.template(None, record=True)
        request = self._request(MemoryStore((), ()), None)
        request = dataclasses.replace(request, record=True, check_template=lambda template: None)
        reduced, wish = request.reduced, self._wish()
        sizes = self._job.points.shape if reduced is None else reduced.cells.shape
        local = self._evaluator.local
        seconds = measured(local, request, sizes, wish)
        share = 1.0
        # A worker has a core of its own, and here there may be several.
        if local is not self._evaluator:
            share = local.plan(request).n_parallel / wish.n_workers
        low, likely, high = (share * each for each in seconds)
        return low, likely, high

    def _recorded(self) -> Recorded:
        """Return what the result records of what is run now."""
        plain = self._assembler.recorded(self._evaluator.program())
        if self._options.reduce is None:
            return plain
        reduce = fingerprints.of_reduction(self._options.reduce)
        return Recorded(lambda: {**plain.about(), "reduce": reduce})

    def _extend(self, about: Callable[[], Parts], location: Location | None = None) -> None:
        """Compare the result given as ``extend=``, which has some of the points already."""
        old = self._options.extend
        if old is None:
            return
        if not isinstance(old, (Result, str, os.PathLike)):
            raise TypeError(
                f"extend must be a Result, or the path or URL of one, got {type(old).__name__}"
            )
        if not isinstance(old, Result):
            old = open_result(old, self._options.storage_options)
        source = old.dataset.encoding.get("source")
        if self._options.overwrite and location is not None and source == location.address:
            raise ValueError(
                f"extend= and overwrite=True both refer to {location.name!r}, which would be "
                "removed before it is copied; give another store="
            )
        new = self._job.points
        dataset, points = like_points(old.dataset, points_of(old.space), new)
        self._old = Extension(dataset, points, template_of_result(old), new)
        self._old.check(about(), self._options.resume == "force")
        summary = Summary.read(old.dataset.attrs)
        if summary is not None and self._options.reduce is not None:
            kept = tuple(dim for dim in points.dims if dim in dataset.dims)
            summary = dataclasses.replace(summary, kept=kept)
            self._old_cells = ReducedExtension(self._old, summary, new, parts_of(old))

    def _trace(self) -> None:
        """Determine what the model returns, unless only evaluating it will tell."""
        old, stored = self._old, self._stored
        summary = None if stored is None else stored.summary
        known = stored.template if stored is not None else None if old is None else old.template
        if self._reducing is not None and self._job.points.chain is not None:
            known = None  # which outputs are carried shows in the outputs themselves only
        raw = self._evaluator.template(known, self._options.record)
        if self._reducing is not None and self._old_cells is not None:
            self._reducing.known = self._old_cells.known
            if self._old_cells.parts is not None:
                self._reducing.adopt(self._old_cells.summary)
        if self._reducing is not None and summary is not None:
            self._reducing.adopt(summary)
        if raw is not None:
            self._take(raw)

    def _take(self, raw: Template) -> None:
        """Label what the model returns, once it is known and suits what there is."""
        plain = self._assembler.assembly(raw, self._options.dims, self._options.coords)
        assembly = plain if self._reducing is None else self._reducing.labels(plain)
        if self._old is not None:
            self._old.check_outputs(assembly.fingerprints)
        if self._stored is not None:
            self._stored.check_outputs(assembly)
        for kept in (self._old, self._stored):
            before = () if kept is None or kept.template is None else kept.template.outputs
            check_units(before, assembly)
        self._assembly = assembly

    def _fill(
        self,
        store: Store,
        block: tuple[int, ...] | None,
        meter: Meter,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        """Evaluate and store what the store lacks; `note` is called when something is stored."""
        for n_new in store_evaluated(self._evaluator, self._request(store, block)):
            note()
            meter.add(n_new)

    def _filling(self) -> Callable[[MemoryStore], None] | None:
        """Return a function that copies what an older result has of a block, if there is one."""
        if self._old_cells is None:
            return None if self._old is None else self._old.fill
        assert self._reducing is not None
        self._old_cells.check_cells(self._reducing.outputs.cells)
        return functools.partial(self._old_cells.fill, self._reducing.outputs)

    @property
    def _labels(self) -> AnyAssembly:
        """The labels of the outputs, which may be known from the extended result only."""
        if self._assembly is not None:
            return self._assembly
        old = self._old
        assert old is not None  # an evaluator traces the model unless the template is known
        if self._reducing is not None and self._old_cells is not None:
            summary = self._old_cells.summary
            return self._reducing.labels(known_outputs(self._job, summary, old.coords))
        return Assembly(self._job, old.template, None, old.coords)

    @property
    def _history(self) -> str:
        """What was done to obtain the result that is extended, a line each."""
        return "" if self._old is None else str(self._old.dataset.attrs.get("history", ""))

    @property
    def _call(self) -> Call:
        job = self._job
        return Call(job.model, job.args, job.kwargs, self._evaluator.is_traced)


def check_units(before: Sequence[Output], labels: AnyAssembly) -> None:
    """Reject outputs with other units than those from before."""
    difference = unit_difference(before, labels.template.outputs)
    if difference:
        raise ValueError(f"{difference}, or run it without the results from before")
