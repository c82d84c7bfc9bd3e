"""A run whose outputs go to a store: evaluate what it lacks, and keep what there is.

A fresh run, a resumed one and a shard are the same loop over the blocks that are still missing.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from gridax._files import script
from gridax._outputs.template import Output
from gridax._run import fingerprints
from gridax._run.assembly import Assembly
from gridax._run.fingerprints import Parts
from gridax._run.progress import Meter
from gridax._run.resume import StoredRun
from gridax._run.run import Run, check_units
from gridax._stores.location import Location, location_of
from gridax._warnings import warn
from gridax.result import Result, kept_dims, open_location, template_of_result


class InStore(Run):
    """A run with a store; its parameters are those of `Run`."""

    def result(self) -> Result:
        """Run, and return the outputs as they are in the store."""
        script.begin()
        assert self._options.store is not None
        location = location_of(self._options.store, self._options.storage_options)
        try:
            return self._in_store(location)
        except OSError as error:
            # The system does not always name the file, for instance when a disk is full.
            if location.name not in "\n".join([str(error), *getattr(error, "__notes__", ())]):
                error.add_note(f"at the store {location.name!r}")
            raise

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
        check_units(there, labels)

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


def _lacks_dims(output: Output, known: Mapping[str, Output]) -> bool:
    """Whether the model names no dimensions of an output that has names in a store."""
    if output.dims is not None or output.of or output.name not in known:
        return False
    return len(known[output.name].shape) == len(output.shape)


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
