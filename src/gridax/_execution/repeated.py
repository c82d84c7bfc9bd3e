"""Sweeps of a single batch that are run again: evaluated at once, without planning them."""

from __future__ import annotations

import math

from gridax._execution.pipeline import Batch, fetched
from gridax._kernel.prepared import Prepared
from gridax._plan.limits import Limits
from gridax._run.evaluator import Evaluated, Request
from gridax._stores.base import Computed


class Repeated:
    """The only batch of a sweep, once there is nothing more to learn about how to evaluate it.

    Planning a sweep of few points takes longer than evaluating it.

    Parameters
    ----------
    prepared, limits : what is swept.
    batch : all of its points, in tiles of the fastest plan.
    """

    def __init__(self, prepared: Prepared, limits: Limits, batch: Batch) -> None:
        self._prepared, self._limits, self._batch = prepared, limits, batch
        self._kernel = prepared.kernel(batch.choice, batch.plan)
        self._index = self._kernel.placed(batch.index)

    def suits(self, prepared: Prepared, limits: Limits, request: Request) -> bool:
        """Whether a request is for the same sweep, of which nothing is known yet."""
        return (
            prepared is self._prepared
            and limits == self._limits
            and request.reduced is None
            and request.deadline.at == math.inf
            and prepared.tuner(limits).best is self._batch.plan
            and request.store.tasks() is None
        )

    def evaluated(self) -> list[Evaluated] | None:
        """Return the outputs, or None if the sweep fails, so that it has to be looked into."""
        batch, prepared = self._batch, self._prepared
        try:
            outputs = self._kernel(self._index)
            n = len(prepared.template.outputs)  # without the numbers of iterations
            arrays = batch.arrays(fetched([part[:n] for part in outputs]))
        except Exception:
            return None
        pairs = zip(batch.regions, arrays, strict=True)
        return [Computed(region, found, owned=True) for region, found in pairs]
