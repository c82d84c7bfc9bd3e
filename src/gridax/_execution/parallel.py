"""Vectorized on every device, compiled by JAX."""

from __future__ import annotations

import collections
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from gridax import _checks, _memory
from gridax._execution.base import Execution
from gridax._execution.pipeline import Batch, Pipeline
from gridax._kernel.arguments import Arguments
from gridax._kernel.prepared import Choice, Prepared
from gridax._outputs.template import Template
from gridax._plan.blocks import Wish, pieces
from gridax._plan.plan import Plan, Region, Tile, n_points
from gridax._plan.tuning import Tuner
from gridax._run.fingerprints import digest_of_callback
from gridax._run.order import Evaluated, Order
from gridax._stores.base import Task
from gridax.space import Space


class ParallelExecution(Execution):
    """Evaluate a JAX model over tiles of points, vectorized and on all devices.

    The model is traced, so it must use `jax.numpy`. Arrays in the state are arguments of the
    compiled program; numbers, strings and other objects are part of it, as written. As with
    `jax.jit`, so is what the model reads from outside its arguments, as it was when the executor
    first ran; a new executor reads it anew. What was compiled is shared between executors whose
    models turn out to be the same program, new lambdas included.

    Parameters
    ----------
    model : callable
        Called as ``model(state, *args, **kwargs)``; returns a pytree of arrays and numbers, or
        xarray objects.
    space : Space
        The points.
    *args, **kwargs
        Passed on to the model.
    n_vmap : int, optional
        Points that a device evaluates in one vectorized call, at most; more than half as many
        where the grid allows. If None, chosen from the model's cost and the device's memory, and in
        a long sweep from measured times.
    n_pmap : int, optional
        Number of devices. If None, all local ones, or one where there is too little to compute.

    Raises
    ------
    TypeError, ValueError
        If `n_vmap` or `n_pmap` is not a positive integer, or there are fewer devices.

    Warns
    -----
    UserWarning
        If a tile does not fit into the memory of a device and smaller ones are used; if a long
        sweep leaves cores of a CPU idle.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11), "k": gx.DataAxis([1, 2])}, mode="product")
    >>> result = ParallelExecution(lambda s: jnp.exp(-s["k"] * s["x"]), space).run(progress=False)
    >>> round(result.dataset["value"].sel(x=0.5, k=2).item(), 4)
    0.3679
    """

    def __init__(
        self,
        model: Callable[..., Any],
        space: Space,
        *args: Any,
        n_vmap: int | None = None,
        n_pmap: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, space, args, kwargs)
        if n_vmap is not None:
            n_vmap = _checks.count(n_vmap, "ParallelExecution", "n_vmap")
        if n_pmap is not None:
            n_pmap = _checks.count(n_pmap, "ParallelExecution", "n_pmap")
            if n_pmap > jax.local_device_count():
                raise ValueError(
                    f"n_pmap={n_pmap}, but JAX sees {jax.local_device_count()} device(s) here. On "
                    "a CPU, call gridax.use_cpu_devices() before JAX starts"
                )
        self.n_vmap, self.n_pmap = n_vmap, n_pmap
        self._arguments = Arguments(space, self.args, self.kwargs)
        self._arguments.warn_of_keys()
        self._by_x64: dict[bool, Prepared] = {}
        self._only: Batch | None = None

    def plan(self, memory: int | str | None = None) -> Plan:
        """Return how the sweep will be cut to blocks and tiles; nothing is run.

        The model is traced and compiled, which the next `run` need not repeat.

        Parameters
        ----------
        memory : int or str, optional
            As in `run`.

        Returns
        -------
        Plan
            Its repr tells the number of points, blocks and tiles, and the bytes.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 20), "b": gx.GridAxis(0, 1, 5)}, "product")
        >>> ParallelExecution(lambda s: s["a"] * s["b"], space, n_vmap=10, n_pmap=1).plan()
        <gridax.Plan>
        Points:  100 (a 20 × b 5)
        Outputs: 400 B
        Blocks:  1
        Tile:    100 points (a, b: 100), 10 at a time
        Tiles:   1 in a block
        Devices: 1, about ... on each at a time
        """
        bound = None if memory is None else _memory.parsed(memory)
        return self._prepared().plan(self.n_vmap, bound)

    def _template(self, known: Template | None, record: bool) -> Template:
        return self._prepared().template

    def _wish(self, memory: int | None) -> Wish:
        return self._prepared().wish(self.n_vmap, memory)

    def _program(self) -> str:
        return self._prepared().digest(digest_of_callback)

    def _prepared(self) -> Prepared:
        """Trace the model once per static choice; kept for the next run."""
        x64 = bool(jax.config.read("jax_enable_x64"))  # which makes other programs
        if x64 not in self._by_x64:
            self._by_x64[x64] = Prepared(self.model, self.space, self._arguments, self.n_pmap)
        return self._by_x64[x64]

    def _evaluate(self, order: Order) -> Iterator[Evaluated]:
        prepared = self._prepared()
        plan = prepared.plan(self.n_vmap, order.memory, order.block)
        pipeline = Pipeline(self.space, prepared, order.record)
        tasks = order.store.tasks()
        if tasks is None and plan.n_blocks == 1:
            for batch in self._all_batches(plan):
                yield from pipeline.submit(batch)
        else:
            tasks = map(Task, plan.blocks()) if tasks is None else tasks
            yield from self._tuned(prepared, plan, pipeline, order, tasks)
        yield from pipeline.drain()

    def _all_batches(self, plan: Plan) -> Iterable[Batch]:
        """Return the batches of a plan of one block; a single one is kept for the next run."""
        if self._only is None or self._only.plan is not plan:
            batches = self._batches(plan, plan.tiles(next(plan.blocks())))
            first, second = next(batches), next(batches, None)
            if second is not None:
                return itertools.chain([first, second], batches)
            self._only = first
        return [self._only]

    def _tuned(
        self,
        prepared: Prepared,
        plan: Plan,
        pipeline: Pipeline,
        order: Order,
        tasks: Iterator[Task],
    ) -> Iterator[Evaluated]:
        """Evaluate block by block, with the plan that proves to be the fastest."""
        memory, fixed = order.memory, self.n_vmap is not None
        most = prepared.most_points(plan, memory)
        tuner = Tuner(plan, lambda o: [] if fixed else prepared.sweep.neighbors(o, most))
        left = plan.n_points
        for task in tasks:
            if task.todo is not None:
                left -= int(task.todo.sum())
                pipeline.todo[task.box] = task.todo
                for batch in self._missing(prepared, tuner.best, task, memory):
                    yield from pipeline.submit(batch)
                pipeline.after_this(functools.partial(pipeline.todo.pop, task.box, None))
                continue
            before, plan = plan, tuner.next(left)
            if plan is not before:
                tuner.compiled(prepared.compile(plan))
                if not prepared.fits(plan, memory):
                    plan = tuner.best
            lap = tuner.begin(plan, n_points(task.box))
            left -= lap.n_points
            for batch in self._batches(plan, plan.tiles(task.box)):
                yield from pipeline.submit(batch)
            pipeline.after_this(functools.partial(tuner.end, lap))
        if not fixed and prepared.fits(tuner.best, memory):
            prepared.settle(tuner.best, memory, order.block)

    def _missing(
        self, prepared: Prepared, plan: Plan, task: Task, memory: int | None
    ) -> Iterator[Batch]:
        """Yield the batches of the points of a block that are still to be evaluated."""
        assert task.todo is not None
        for take in pieces(task.todo):
            if take is None:
                tiles = (t for t in plan.tiles(task.box) if _any(task.todo, plan.region(t)))
                yield from self._batches(plan, tiles)
                continue
            # Rounded, so that few programs are compiled.
            lengths = zip(map(len, take), plan.block, strict=True)
            shape = [min(n, 1 << (length - 1).bit_length()) for length, n in lengths]
            small = plan
            if 2 * math.prod(shape) <= math.prod(plan.block):
                small = prepared.plan(self.n_vmap, memory, tuple(shape))
            yield from self._batches(small, small.tiles(task.box, take))

    def _batches(self, plan: Plan, tiles: Iterable[Tile]) -> Iterator[Batch]:
        """Yield tiles in batches, one per device, that share their static choices."""
        waiting: dict[Choice, list[Tile]] = collections.defaultdict(list)
        for tile in tiles:
            choice: Choice = ()
            if self._arguments.chosen:
                choice = self._arguments.choice_at([int(i[0]) for i in plan.indices(tile)])
            waiting[choice].append(tile)
            if len(waiting[choice]) == plan.n_devices:
                yield Batch(choice, plan, waiting.pop(choice))
        for choice, some in waiting.items():
            yield Batch(choice, plan, some)


def _any(todo: np.ndarray, region: Region) -> bool:
    """Whether a tile holds a point that is to be evaluated."""
    return bool(todo.reshape(region.shape)[region.where].any())
