"""One run: evaluate what its store lacks, and keep what there is however it ends."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gridax._files import describe
from gridax._outputs.template import Template
from gridax._plan.plan import Box
from gridax._run.assembly import Assembly
from gridax._run.extension import Extension
from gridax._run.options import Options
from gridax._run.order import Order
from gridax._run.progress import Meter, Progress
from gridax._run.resume import Kept
from gridax._stores.address import location_of
from gridax._stores.base import Store
from gridax._stores.memory import MemoryStore
from gridax.result import Result, open_location, open_result
from gridax.space import Space

if TYPE_CHECKING:
    from gridax._execution.base import Execution
    from gridax._stores.location import Location


class Run:
    """A run of an executor, with what the user asked of it; see `Execution.run`."""

    def __init__(
        self,
        execution: Execution,
        options: Options,
        memory: int | None,
        record: bool,
        extend: Any,
        dims: Mapping[str, Any] | None,
        coords: Mapping[str, Any] | None,
        progress: Progress,
    ) -> None:
        self._execution, self._options, self._progress = execution, options, progress
        self._memory, self._record = memory, record
        self._space = execution.space
        self._extend, self._dims, self._coords = extend, dims, coords
        self._assembly: Assembly | None = None

    def in_memory(self) -> Result:
        """Run, and return the outputs as NumPy arrays."""
        with self._meter(self._space.N) as meter:
            old = self._extension(self._execution._about)
            known = None if old is None else old.template
            self._trace(known, self._check_against(old))
            store = MemoryStore(_whole(self._space), self._outputs(known))
            if old is not None:
                old.fill(store)
                meter.begin(store.n_done)
            order = self._order(store, None, self._check_against(old))
            try:
                self._fill(store, order, meter)
            except BaseException as error:
                if store.n_done:
                    self._keep(error, self._result(store, old), _kept_in_memory(store))
                raise
        return self._result(store, old)

    def kept(self, path: str | os.PathLike[str]) -> Result:
        """Run, and return the outputs as they lie in a store."""
        place = location_of(path, self._options.storage_options)
        try:
            return self._kept(place)
        except OSError as error:
            # That the disk is full, for one, the system says without a name.
            if place.name not in "\n".join([str(error), *getattr(error, "__notes__", ())]):
                error.add_note(f"at the store {place.name!r}")
            raise

    def _kept(self, place: Location) -> Result:
        execution = self._execution
        about = execution._about()
        about["model"]["version"] = self._options.version
        kept = Kept(place, self._options, about)
        if kept.open() and kept.store().scan():
            kept.check_model(execution._program)
            return self._opened(place)
        with _sigterm(), kept.lock() as lock:
            found = kept.open()
            about["model"]["program"] = execution._program()
            old = self._extension(lambda: about, place)
            known = kept.template if found else None if old is None else old.template
            self._trace(known, kept.check_outputs if found else self._check_against(old))
            kept.check_program(about["model"]["program"])
            if not found:
                wish = functools.partial(execution._wish, self._memory)
                kept.create(self._labels(old), wish, execution._n_workers())
                if self._assembly is not None:
                    kept.check_outputs(self._assembly)
                kept.check_program(about["model"]["program"])

            def check(assembly: Assembly) -> None:
                self._check_against(old)(assembly)
                kept.check_outputs(assembly)

            store = kept.store()
            store.prefill = None if old is None else old.fill
            store.scan()
            kept.tidy(lock)
            with self._meter(store.n_points) as meter:
                meter.begin(store.n_done)
                order = self._order(store, store.block, check)
                try:
                    self._fill(store, order, meter)
                except BaseException as error:
                    # What is told is why it ended, whether or not the rest can be saved.
                    with contextlib.suppress(Exception):
                        store.rescue()
                    with contextlib.suppress(Exception):
                        self._keep(error, self._opened(place), kept.how_to_go_on())
                    raise
            store.finish()
        return self._opened(place)

    def _meter(self, total: int) -> Meter:
        return Meter(self._progress, total, self._execution.title)

    def _order(
        self, store: Store, block: tuple[int, ...] | None, check: Callable[[Assembly], None]
    ) -> Order:
        def agreed(raw: Template) -> None:
            assembly = self._execution._assembly(raw, self._dims, self._coords)
            check(assembly)
            self._assembly = assembly

        return Order(store, block, self._memory, self._record, agreed)

    def _fill(self, store: Store, order: Order, meter: Meter) -> None:
        """Evaluate what is to be done and store it."""
        for new in filled(store, self._execution, order):
            meter.add(new)

    def _extension(
        self, about: Callable[[], Mapping[str, Any]], place: Location | None = None
    ) -> Extension | None:
        """Return the result that holds some of the points already."""
        if self._extend is None:
            return None
        old = self._extend
        if not isinstance(old, (Result, str, os.PathLike)):
            raise TypeError(
                f"extend must be a Result, or the path or URL of one, got {type(old).__name__}"
            )
        if not isinstance(old, Result):
            old = open_result(old, self._options.storage_options)
        lies_at = old.dataset.encoding.get("source")
        if self._options.overwrite and place is not None and lies_at == place.address:
            raise ValueError(
                f"extend= and overwrite=True both name {place.name!r}, which would be gone before "
                "it is copied; give another store="
            )
        found = Extension(old.dataset, old.space, old.template, self._space)
        found.check(about(), self._options.resume == "force")
        return found

    def _check_against(self, old: Extension | None) -> Callable[[Assembly], None]:
        def check(assembly: Assembly) -> None:
            if old is not None:
                old.check_outputs(assembly.fingerprints)

        return check

    def _trace(self, known: Template | None, check: Callable[[Assembly], None]) -> None:
        """Find out what the model returns, unless that shows only when it is evaluated."""
        raw = self._execution._template(known, self._record)
        if raw is not None:
            self._assembly = self._execution._assembly(raw, self._dims, self._coords)
            check(self._assembly)

    def _outputs(self, known: Template | None) -> Any:
        template = self._assembly.template if self._assembly is not None else known
        assert template is not None
        return template.outputs

    def _labels(self, old: Extension | None) -> Assembly:
        """Return the labels of the outputs, if need be as they were in the result before."""
        if self._assembly is not None:
            return self._assembly
        assert old is not None
        execution = self._execution
        return Assembly(
            execution.model, self._space, old.template, None, old.coords, execution._about
        )

    def _result(self, store: MemoryStore, old: Extension | None) -> Result:
        # Made when it is asked for: a small sweep takes less time than its labels.
        if not store.is_complete:
            store.widen()
            store.erase()
        labels = self._labels(old)
        made = functools.partial(labels.dataset, store, describe.stamp())
        return Result(made, self._space, labels.template, store.arrays)

    def _opened(self, place: Any) -> Result:
        found = open_location(place)
        template = found.template if self._assembly is None else self._assembly.template
        return Result(found.dataset, self._space, template, progress=found.progress)

    def _keep(self, error: BaseException, partial: Result, note: str) -> None:
        """Give what was computed to whoever catches the error."""
        self._execution.partial = partial
        error.result = partial  # type: ignore[attr-defined]
        error.add_note(note)


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """Let SIGTERM, with which batch systems end a job, end a run as Ctrl-C does: all is saved."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def filled(store: Store, execution: Execution, order: Order) -> Iterator[int]:
    """Evaluate what a store lacks and store it; yield the numbers of points that are new."""
    for region, values in execution._evaluate(order):
        if isinstance(values, int):
            yield values
        elif isinstance(values, (Exception, str)):
            yield store.fail(region, values)
        else:
            yield store.write(region, values)
    yield store.close()


def _kept_in_memory(store: MemoryStore) -> str:
    total = store.status.size
    return (
        f"{store.n_done} of {total} points were computed and are kept: see the attribute `partial` "
        "of the executor"
    )


def _whole(space: Space) -> Box:
    return tuple((0, size) for size in space.shape)
