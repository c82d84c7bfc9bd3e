"""A run whose outputs are kept in memory."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from gridax._files import describe, script
from gridax._plan import blocks
from gridax._plan.plan import Box, box_of
from gridax._run.assembly import Recorded
from gridax._run.progress import Meter
from gridax._run.reduced import ReducedAssembly
from gridax._run.run import AnyAssembly, Run
from gridax._stores.memory import MemoryStore
from gridax.result import Result


class InMemory(Run):
    """A run without a store; its parameters are those of `Run`."""

    # What is needed to do it again.
    _again: tuple[Callable[[], Any], Recorded, AnyAssembly] | None = None

    def result(self) -> Result:
        """Run, and return the outputs, with those of an older result if one is extended."""
        script.begin()
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

    @property
    def can_be_repeated(self) -> bool:
        """Whether `again` may be called, since there is nothing more to learn."""
        return self._again is not None

    def again(self) -> Result | None:
        """Return the result of the same run once more, if nothing has to be prepared for it."""
        assert self._again is not None
        evaluate, recorded, labels = self._again
        with Meter(self._options.progress, self._job.points.n, self._job.title) as meter:
            computed = evaluate()
            if computed is None:
                return None
            store = MemoryStore(box_of(labels.grid), labels.outputs)
            for each in computed:
                meter.add(store.write(each))
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
