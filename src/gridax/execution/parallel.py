"""Vectorized on every device, compiled by JAX."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from gridax import _checks, _tiling
from gridax._kernel import Kernel, Program, fingerprint
from gridax._plan import Plan, Tile
from gridax._template import Template, template_of
from gridax._work import Work, work_of
from gridax.execution._arguments import Arguments, device_arrays
from gridax.execution._base import Evaluated, Execution, at_point
from gridax.space import Space

# Batches under way at a time: one computes while the one before is copied to the host.
_IN_FLIGHT = 2


class ParallelExecution(Execution):
    """Evaluate a JAX model over tiles of points, vectorized and on all devices.

    The model is traced, so it must use `jax.numpy`. Arrays in the state are arguments of the
    compiled program; numbers, strings and other objects are part of it, as written. As with
    `jax.jit`, so is what the model reads from outside its arguments, as it was when the executor
    first ran; a new executor reads it anew.

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
        Most points that a device evaluates in one vectorized call. Chosen from the model's cost
        if None.
    n_pmap : int, optional
        Number of devices. All local ones if None.

    Raises
    ------
    TypeError, ValueError
        If `n_vmap` or `n_pmap` is not a positive integer, or there are fewer devices.

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
                    "a CPU, call jax.config.update('jax_num_cpu_devices', n) before JAX starts"
                )
        self.n_vmap, self.n_pmap = n_vmap, n_pmap
        self._arguments = Arguments(space, args, kwargs)
        self._arguments.warn_of_keys(stacklevel=3)
        self._traced: dict[tuple[Any, ...], _Traced] = {}
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._kernels: dict[tuple[Any, ...], Kernel] = {}

    def _start(self) -> tuple[Template, Callable[[], Iterator[Evaluated]]]:
        choices = self._arguments.choices()
        traced = [self._trace(choice) for choice in choices]
        template = traced[0].template
        for choice, other in zip(choices, traced, strict=True):
            difference = template.difference(other.template)
            if difference:
                raise ValueError(
                    f"with {self._arguments.named(choice)}, {difference}; every choice must return "
                    "the same outputs. Run the choices one by one, with sel"
                )
        work = max((each.work for each in traced), key=lambda work: sum(work.time.values()))
        return template, lambda: self._tiles(self._plan(work, template.nbytes))

    def _plan(self, work: Work, point_bytes: int) -> Plan:
        key = (bool(jax.config.read("jax_enable_x64")), point_bytes)
        if key not in self._plans:
            n_devices = self.n_pmap or jax.local_device_count()
            self._plans[key] = _tiling.plan(
                self.space.shape,
                work,
                point_bytes,
                n_devices,
                self._arguments.groups(),
                self.n_vmap,
            )
        return self._plans[key]

    def _trace(self, choice: tuple[int, ...]) -> _Traced:
        """Trace the model once per static choice; kept for the next run."""
        program = self._arguments.program(self.model, choice)
        key = (program, bool(jax.config.read("jax_enable_x64")))
        if key not in self._traced:
            self._traced[key] = _trace(program, self._arguments, self._arguments.named(choice))
        return self._traced[key]

    def _tiles(self, plan: Plan) -> Iterator[Evaluated]:
        on = tuple(jax.local_devices()[: plan.n_devices])
        waiting: collections.deque[tuple[Any, list[jax.Array]]] = collections.deque()
        for choice, batch in self._batches(plan):
            kernel = self._kernel(choice, plan, on)
            try:
                with at_point(self.space, _extent, plan, batch):
                    waiting.append((batch, kernel(batch)))
            except Exception:
                while waiting:  # what was under way before is not lost
                    yield from self._fetch(plan, *waiting.popleft())
                raise
            if len(waiting) > _IN_FLIGHT:
                yield from self._fetch(plan, *waiting.popleft())
        while waiting:
            yield from self._fetch(plan, *waiting.popleft())

    def _kernel(self, choice: tuple[int, ...], plan: Plan, on: tuple[Any, ...]) -> Kernel:
        """Return the compiled program with its data on the devices; kept for the next run."""
        key = (choice, plan, on, bool(jax.config.read("jax_enable_x64")))
        if key not in self._kernels:
            program = self._arguments.program(self.model, choice)
            traced_as = self._trace(choice).fingerprint
            self._kernels[key] = self._arguments.kernel(program, traced_as, plan, on)
        return self._kernels[key]

    def _batches(self, plan: Plan) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Yield batches whose tiles share their static choices."""
        if not self._arguments.chosen:
            yield from (((), batch) for batch in plan.batches())
            return
        by_choice: dict[tuple[int, ...], list[Tile]] = collections.defaultdict(list)
        for tile in plan.tiles():
            first = [int(index[0]) for index in plan.indices(tile)]
            by_choice[self._arguments.choice_at(first)].append(tile)
        for choice, mine in by_choice.items():
            for start in range(0, len(mine), plan.n_devices):
                batch = mine[start : start + plan.n_devices]
                yield choice, batch + batch[-1:] * (plan.n_devices - len(batch))

    def _fetch(
        self, plan: Plan, batch: Sequence[Tile], outputs: list[jax.Array]
    ) -> Iterator[Evaluated]:
        with at_point(self.space, _extent, plan, batch):
            jax.block_until_ready(outputs)  # can be interrupted, unlike the copy to NumPy
            arrays = jax.device_get(outputs)
        for i, tile in enumerate(batch):
            if i == 0 or tile is not batch[i - 1]:
                yield plan.region(tile), [array[i] for array in arrays]


def _extent(plan: Plan, batch: Sequence[Tile]) -> list[np.ndarray]:
    """Return the first and last index of a batch along each dimension."""
    runs = [np.concatenate(along) for along in zip(*map(plan.indices, batch), strict=True)]
    return [np.array([run.min(), run.max()]) for run in runs]


@dataclasses.dataclass(frozen=True, eq=False)
class _Traced:
    """What a trace of the model at one point tells."""

    template: Template
    work: Work
    fingerprint: str


def _advice(error: BaseException) -> str | None:
    """Say what to do about a model that JAX cannot trace."""
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return (
            "the model calls NumPy on a traced value: use jax.numpy in it (but NumPy for the "
            "coordinates of xarray objects), or run it with SequentialExecution"
        )
    of_shape = isinstance(error, TypeError) and "concrete values" in str(error)  # a plain TypeError
    if of_shape or isinstance(error, _CONCRETE) or isinstance(error.__cause__, _CONCRETE):
        return (
            "the model needs the number behind a traced value, for a branch, a loop, a shape, "
            "Python's math or an entry of a NumPy array: use jnp.where, jax.lax.cond, "
            "jax.lax.fori_loop or jax.numpy, make the value a ChoiceAxis or, if it is fixed, a "
            "plain number, or run the model with SequentialExecution"
        )
    return None


_CONCRETE = (
    jax.errors.ConcretizationTypeError,  # of which a branch on a traced value is one
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerIntegerConversionError,
)


def _trace(program: Program, arguments: Arguments, choice: str) -> _Traced:
    """Trace the model at one point, without computing anything."""
    found: list[Template] = []

    def flatten(result: Any) -> list[Any]:
        found.append(template_of(result))
        return device_arrays(result)

    probe = dataclasses.replace(program, flatten=flatten)
    try:
        jaxpr, shapes = jax.make_jaxpr(probe.point, return_shape=True)(*arguments.one_point())
    except Exception as error:
        advice = _advice(error)
        if advice is not None:
            error.add_note(advice)
        where = f" with {choice}" if choice else ""
        error.add_note(f"while the model was traced for ParallelExecution{where}")
        raise
    template = found[-1]
    outputs = tuple(
        dataclasses.replace(output, dtype=np.dtype(struct.dtype))
        for output, struct in zip(template.outputs, shapes, strict=True)
    )
    varies = [frozenset[int]()] * len(program.arrays) + [
        frozenset(() if leaf.dim is None else (leaf.dim,)) for leaf in program.leaves
    ]
    work = work_of(jaxpr.jaxpr, varies)
    template = dataclasses.replace(template, outputs=outputs)
    return _Traced(template, work, fingerprint(jaxpr))
