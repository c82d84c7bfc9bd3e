"""One run: evaluate what its store lacks, and keep what there is however it ends.

A fresh run, a resumed one and a shard are the same loop over the blocks that are still missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gridax._files import describe, script
from gridax._files.merge import Summary
from gridax._kernel.once import Call
from gridax._outputs.template import Output, Template, unit_difference
from gridax._plan import blocks
from gridax._plan.plan import Box, Plan, box_of
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
from gridax._stores.location import Location, location_of
from gridax._stores.memory import MemoryStore
from gridax._warnings import warn
from gridax.result import (
    Result,
    kept_dims,
    open_location,
    open_result,
    parts_of,
    template_of_result,
)
from gridax.space import Space, points_of

AnyAssembly = Assembly | ReducedAssembly


class Run:
    """A run of a job, with what the user asked of it; see `Execution.run`.

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
        # What is needed to do it again.
        self._again: tuple[Callable[[], Any], Recorded, AnyAssembly] | None = None
        self._reducing: Reducing | None = None
        if options.reduce is not None:
            self._reducing = Reducing(job, evaluator, options, assembler)

    def result(self) -> Result:
        """Run, and return the outputs, in memory or as they are in a store."""
        script.begin()
        if self._options.store is None:
            return self._in_memory()
        location = location_of(self._options.store, self._options.storage_options)
        try:
            return self._in_store(location)
        except OSError as error:
            # The system does not always name the file, for instance when a disk is full.
            if location.name not in "\n".join([str(error), *getattr(error, "__notes__", ())]):
                error.add_note(f"at the store {location.name!r}")
            raise

    @property
    def can_be_repeated(self) -> bool:
        """Whether `again` is worth a try."""
        return self._again is not None

    def again(self) -> Result | None:
        """Return the result of the same run once more, if nothing has to be prepared for it."""
        if self._again is None:
            return None
        evaluate, recorded, labels = self._again
        n_points = self._job.points.n
        with Meter(self._options.progress, n_points, self._job.title) as meter:
            computed = evaluate()
            if computed is None:
                return None
            store = MemoryStore(box_of(labels.grid), labels.outputs)
            for each in computed:
                meter.add(store.write(each))
        return self._from_memory(store, recorded)

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

    def _in_memory(self) -> Result:
        points = self._job.points
        with Meter(self._options.progress, points.n, self._job.title) as meter:
            self._extend(lambda: self._recorded().about())
            self._trace()
            recorded = self._recorded()
            labels = self._labels
            store = MemoryStore(box_of(labels.grid), labels.outputs)
            meter.n_cells = store.status.size
            filling = self._filling()
            if filling is not None:
                filling(store)
                meter.begin(store.n_done)
            block = self._divided(store, labels)
            try:
                self._fill(store, block, meter)
            except BaseException as error:
                if store.n_done:
                    n_done = store.n_done * points.n // store.status.size
                    error.add_note(
                        f"{n_done} of {points.n} points were computed; they are in the "
                        "attribute `partial` of the executor"
                    )
                    error.result = self._from_memory(store, recorded)  # type: ignore[attr-defined]
                raise
        if self._evaluator.again is not None and self._options.is_plain:
            self._again = self._evaluator.again, recorded, labels
        return self._from_memory(store, recorded)

    def _divided(self, store: MemoryStore, labels: AnyAssembly) -> tuple[int, ...] | None:
        """Divide what is kept in memory into blocks, if their order matters; return their shape."""
        if self._options.order == "grid":
            return None
        nbytes = sum(output.nbytes for output in store.outputs)
        wish = self._wish()
        wish = dataclasses.replace(wish, nbytes=nbytes, is_whole=wish.chain is not None)
        block = blocks.shape(labels.grid, wish, least=blocks.MANY)

        def ordered() -> Iterator[Box]:
            groups = blocks.grouped(labels.grid, block, wish.chain, is_coarse=True)
            return itertools.chain.from_iterable(groups)

        store.blocks = ordered
        return block

    def _in_store(self, location: Location) -> Result:
        reduce = fingerprints.of_reduction(self._options.reduce)
        about = {**fingerprints.of_job(self._job), "reduce": reduce}
        about["model"]["version"] = self._options.version
        stored = StoredRun(location, self._options, about, self._job.points.chain)
        if stored.open() and stored.store().scan():
            stored.check_program(self._program())
            self._check_labels(stored)
            return self._from_store(location)
        with _exiting_on_sigterm(), stored.lock() as lock, self._remembering(about):
            self._prepare(stored, about, location)
            store = stored.store()
            store.prefill = self._filling()
            store.scan()
            stored.tidy(lock)
            n_points = store.n_points * self._job.points.n // max(1, store.n_all)
            with Meter(self._options.progress, n_points, self._job.title) as meter:
                meter.n_cells = store.n_points
                meter.begin(store.n_done)
                note = functools.partial(stored.note_resumption, lock, n_points - meter.done)
                try:
                    self._fill(store, store.block, meter, note)
                except BaseException as error:
                    # The user must see why the run ended, whether or not the rest can be saved.
                    with contextlib.suppress(Exception):
                        store.rescue()
                    with contextlib.suppress(Exception):
                        advice = stored.how_to_resume()
                        error.add_note(advice)
                        error.result = self._from_store(location)  # type: ignore[attr-defined]
                        if isinstance(error, SystemExit):  # which Python does not show
                            warn(advice)
                    raise
            store.rescue()  # a block that was begun when the time was over
            store.finish()
        return self._from_store(location)

    def _check_labels(self, stored: StoredRun) -> None:
        """Reject a finished store whose outputs are called or labeled otherwise."""
        dims, coords = self._options.dims, self._options.coords
        if self._options.version is not None or self._reducing is not None:
            return
        assert stored.template is not None
        there = stored.template.outputs
        if self._evaluator.program() is None:  # the model is not called: what was given is compared
            names = {*(dims or ()), *(coords or ())}
            labels = Assembly(self._job, stored.template, dims, coords) if names else None
        else:
            raw = self._evaluator.template(None, self._options.record)
            assert raw is not None
            if dims is None:  # those that were given to the first run go on to hold
                known = {output.name: output for output in there}
                dims = {o.name: known[o.name].dims for o in raw.outputs if _lacks_dims(o, known)}
            labels = Assembly(self._job, raw, dims, coords)
            names = {*labels.fingerprints, *(output.name for output in there)}
        if labels is None:
            return
        stored.check_outputs(labels, names)
        _check_units(there, labels)

    @contextlib.contextmanager
    def _remembering(self, about: Parts) -> Iterator[None]:
        """Remember how the model changes itself, where it is neither traced nor has a version."""
        try:
            yield
        finally:
            model = about["model"]
            if not (model["version"] or model.get("program")):
                with contextlib.suppress(Exception):  # why the run ended matters more
                    fingerprints.remember_changes(about, fingerprints.of_job(self._job))

    def _prepare(self, stored: StoredRun, about: Parts, location: Location) -> None:
        """Trace the model and compare it with the store, or create one."""
        exists = stored.open()
        about["model"]["program"] = self._program()
        self._extend(lambda: about, location)
        self._stored = stored if exists else None
        self._trace()
        stored.check_program(about["model"]["program"])
        if not exists:
            labels = self._labels
            stored.create(labels, self._wish, self._history)
            if self._reducing is not None and stored.summary is not None:
                labels = self._reducing.adopt(stored.summary)
                self._assembly = self._assembly and labels
            if self._assembly is not None:
                stored.check_outputs(self._assembly)
            stored.check_program(about["model"]["program"])
            self._stored = stored

    def _program(self) -> str | None:
        """Return a fingerprint of the traced model; None if it has a version or is never traced."""
        program = None if self._options.version else self._evaluator.program()
        if program is None:
            return None
        fingerprints.warn_of_unknown(program.unknown)
        return program.fingerprint

    def _recorded(self) -> Recorded:
        """Return what the result records of what is run now."""
        plain = self._assembler.recorded(self._evaluator.program())
        if self._options.reduce is None:
            return plain
        reduce = fingerprints.of_reduction(self._options.reduce)
        return Recorded(lambda: {**plain.about(), "reduce": reduce})

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
            _check_units(before, assembly)
        self._assembly = assembly

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

    @property
    def _history(self) -> str:
        """What was done to obtain the result that is extended, a line each."""
        return "" if self._old is None else str(self._old.dataset.attrs.get("history", ""))

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

    def _from_memory(self, store: MemoryStore, recorded: Recorded) -> Result:
        labels = self._labels
        # Made when it is first used: labeling takes longer than a small sweep.
        run = describe.stamp()
        dataset = functools.partial(labels.dataset, store, recorded, run, self._history)
        if isinstance(labels, ReducedAssembly):
            progress = labels.progress(store)
            return Result(
                dataset,
                self._space,
                labels.template,
                progress=progress,
                kept=labels.kept.dims,
                call=self._call,
                parts=None if store.is_complete else store,
            )
        if not store.is_complete:
            store.widen()
            store.erase()
        return Result(dataset, self._space, labels.template, store.arrays, call=self._call)

    def _from_store(self, location: Location) -> Result:
        opened = open_location(location)
        template = self._assembly and self._assembly.template
        return Result(
            opened.dataset,
            self._space,
            template or template_of_result(opened),
            progress=opened.progress,
            kept=kept_dims(opened),
            call=self._call,
        )

    @property
    def _call(self) -> Call:
        job = self._job
        return Call(job.model, job.args, job.kwargs, self._evaluator.is_traced)


def _lacks_dims(output: Output, known: Mapping[str, Output]) -> bool:
    """Whether the model names no dimensions of an output that has names in a store."""
    if output.dims is not None or output.of or output.name not in known:
        return False
    return len(known[output.name].shape) == len(output.shape)


def _check_units(before: Sequence[Output], labels: AnyAssembly) -> None:
    """Reject outputs with other units than those from before."""
    difference = unit_difference(before, labels.template.outputs)
    if difference:
        raise ValueError(f"{difference}, or run it without the results from before")


@contextlib.contextmanager
def _exiting_on_sigterm() -> Iterator[None]:
    """Exit on SIGTERM, with which batch systems end a job, so that a run saves what it has."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def exit_(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, exit_)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
