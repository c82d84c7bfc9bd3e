"""A model ready to be swept: traced for each static choice, planned, and compiled as needed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gridax import _devices, _memory
from gridax._arrays import bytes_of
from gridax._kernel import cpu, recompiling, tuners
from gridax._kernel.arguments import Arguments, warn_of_batched_keys
from gridax._kernel.fingerprint import lasting_fingerprint
from gridax._kernel.program import Kernel, on_devices, out_of_memory
from gridax._kernel.trace import trace
from gridax._outputs.derivatives import has_derivatives, own_outputs
from gridax._outputs.template import Template, warn_of_attributes
from gridax._plan import tiling, widths
from gridax._plan.blocks import Wish
from gridax._plan.limits import Limits
from gridax._plan.plan import Plan
from gridax._plan.tuning import Tuner
from gridax._plan.work import Work
from gridax._reduce.outputs import ReducedOutputs

# Fraction of a device's free memory that a plan may use.
_USABLE = 0.8
# More bytes than any device has.
_TOO_MUCH = 2**62
# Bytes of the values of an axis that are compared with those of another sweep.
_SMALL = 2**20
# Estimated seconds of a sweep below which compiling takes most of the time.
_BRIEF = 0.02
# Kinds of PRNG keys whose draws depend on how many are drawn in one call, by their dtype.
_BATCHED = {"key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}

Choice = tuple[int, ...]


class Prepared:
    """The programs of all static choices, with their plans and compiled kernels.

    Parameters
    ----------
    model : what is swept.
    arguments : what the programs are evaluated on.
    n_pmap : devices to use; if None, all of them, or one if there is too little to compute.
    reduced : what the outputs are reduced to on the devices, if so.

    Raises
    ------
    ValueError
        If choices return different outputs. Errors of the model get a note that says that it was
        being traced.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        arguments: Arguments,
        n_pmap: int | None,
        reduced: ReducedOutputs | None = None,
    ) -> None:
        _check_chain(arguments)
        if n_pmap is not None:
            _devices.check_number(n_pmap)
        traced = {choice: trace(model, arguments, choice) for choice in arguments.choices()}
        self._model, self._arguments, self._traced = model, arguments, traced
        known = {leaf.impl for leaf in arguments.leaves}  # which the executor has warned of
        drawn = {_BATCHED.get(kind) for each in traced.values() for kind in each.work.drawn}
        warn_of_batched_keys(impl for impl in drawn - known if impl is not None)
        self.template = self._template()
        # All tiles have one shape, so the choice with the most work determines it.
        self._heaviest = max(traced, key=lambda choice: sum(traced[choice].work.time.values()))
        self._devices = _devices.devices()
        is_cpu = self._devices[0].platform == "cpu"
        self._reduced = reduced
        cells = None if reduced is None else reduced.cells
        self.sweep = tiling.Sweep(
            dims=arguments.points.dims,
            sizes=arguments.points.shape if cells is None else cells.lengths,
            work=self._work(),
            point_bytes=self.template.nbytes if reduced is None else reduced.point_bytes,
            n_devices=n_pmap or len(self._devices),
            n_threads=self._n_threads() if is_cpu and n_pmap is None else 1,
            groups=tuple(arguments.groups()),
            start=self._start() if is_cpu else widths.ACCELERATOR,
            cells=cells,
            cell_bytes=0 if reduced is None else sum(o.nbytes for o in reduced.stored),
            chain=arguments.points.chain,
            points_last=self._may_be_last,
        )
        idle = self._idle(is_cpu, n_pmap)
        if idle and self.sweep.n_parallel > 1:
            self.sweep = dataclasses.replace(self.sweep, n_devices=1, n_threads=1, idle=idle)
        self._share = self.sweep.n_parallel if is_cpu else 1  # CPU devices share one memory
        self._kernels: dict[tuple[Choice, Plan, bool, bool], Kernel] = {}
        # Whether NaN was found in an output that is reduced, so that it is skipped from then on.
        self.skips_nan = False
        self._nbytes: dict[Plan, int] = {}
        self._tuners: dict[Limits, Tuner] = {}
        self._lasting: str | None = None
        self._remembered: Plan | None = None  # the last plan that was written for other processes
        self._compiling = 0.0  # seconds that the slowest compilation took
        self._data: dict[tuple[Any, ...], Any] = {}
        # Plans that did not fit into memory, and the narrower plans that replaced them.
        self.narrowed: dict[Plan, Plan] = {}

    def _start(self) -> widths.Start:
        """Return the widths to begin with on a CPU."""
        traced, start = self._traced[self._heaviest], widths.CPU
        # Points may be repeated in such loops, but a function should be called once for each.
        whole = 0 if self.calls_back else cpu.most_points(traced.program.traced)
        last = traced.last.n_points if self._may_be_last else (0, 0)
        return dataclasses.replace(start, whole=min(start.width, whole), last=last)

    @property
    def _may_be_last(self) -> bool:
        """Whether points can come last in the loops of the model, with every choice."""
        return all(traced.last.is_possible for traced in self._traced.values())

    def _idle(self, is_cpu: bool, n_pmap: int | None) -> str:
        """Return why only one device or thread is used, if so."""
        waits = any(traced.work.waits for traced in self._traced.values())
        if is_cpu and (waits or self._reduces_by_functions):
            # LAPACK and FFT distribute a batch over the threads of the CPU client and wait for
            # them. Two such calls at the same time wait for each other (jaxlib 0.10.2).
            return "several at a time may wait for each other in LAPACK or FFT routines"
        short = n_pmap is None and self.sweep.is_short
        return "too little to compute for several" if short else ""

    def _n_threads(self) -> int:
        """Return how many threads start programs on a CPU that is a single device."""
        if len(self._devices) > 1 or self.calls_back:  # functions may not be thread-safe
            return 1
        return _devices.n_cores()

    @property
    def _reduces_by_functions(self) -> bool:
        """Whether functions of the user's reduce outputs on the devices."""
        return self._reduced is not None and self._reduced.reduction.holds_functions

    @property
    def calls_back(self) -> bool:
        """Whether the model calls functions of the user's while it runs."""
        return any(traced.program.calls_back for traced in self._traced.values())

    def _work(self) -> Work:
        """Return the work of the choice with the most work, without lanes unless all have them."""
        work = self._traced[self._heaviest].work
        for traced in self._traced.values():
            if traced.program.split is None and work.lanes:
                why = traced.work.no_lanes or "with some choices, no loop ends early"
                return dataclasses.replace(work, lanes=frozenset(), no_lanes=why)
        return work

    def _template(self) -> Template:
        choices = iter(self._traced.items())
        _, first = next(choices)
        warned: set[tuple[str, str]] = set()
        for choice, other in choices:
            self._check_kinds(choice, first.template, other.template)
            difference = first.template.difference(other.template)
            if difference:
                raise ValueError(
                    f"with {self._arguments.named(choice)}, {difference}; every choice must return "
                    "the same outputs; run the choices one by one, with space.sel"
                )
            warn_of_attributes(first.template.outputs, other.template.outputs, warned)
        return first.template

    def _check_kinds(self, choice: Choice, first: Template, other: Template) -> None:
        """Reject outputs that have derivatives with some choices only."""
        if not self._arguments.directions:
            return
        kinds = {o.name: o for o in own_outputs(first.outputs)}
        for output in own_outputs(other.outputs):
            before = kinds.get(output.name, output)
            if has_derivatives(output) != has_derivatives(before):
                raise ValueError(
                    f"output {output.name!r} is of {output.dtype} with "
                    f"{self._arguments.named(choice)} and of {before.dtype} with other choices, "
                    "but only floats have derivatives; return floats with every choice"
                )

    @property
    def carried(self) -> tuple[int, ...]:
        """Numbers of the outputs that points carry to the next ones."""
        chain = self._traced[self._heaviest].program.chain
        return () if chain is None else chain.outputs

    def digest(self, digest_of: Callable[[Any], str]) -> str:
        """Return a fingerprint of the model that is the same in every process.

        `digest_of` is as in `lasting_fingerprint`.
        """
        programs = []
        for choice, traced in self._traced.items():
            closed = traced.original
            program = lasting_fingerprint(closed.jaxpr, closed.consts, digest_of)
            if traced.program.chain is not None:
                start = traced.program.chain.initial
                program += lasting_fingerprint(start.jaxpr, start.consts, digest_of)
            programs.append(f"{self._arguments.named(choice)}: {program}")
        return hashlib.sha256("\n".join(programs).encode()).hexdigest()[:16]

    def plan(self, limits: Limits) -> Plan:
        """Return the fastest plan that is known."""
        tuner = self.tuner(limits)
        best, pace = tuner.best, tuner.best.pace
        if limits.n_lanes:
            pace = f"lanes={limits.n_lanes}"
        elif tuner.even is not None:
            pace = f"points wait in {1 - tuner.even:.0%} of the iterations"
            pace = f"without them, {pace}" if best.lanes else pace
        elif best.is_counted:
            pace = "a run measures how long points wait"
        elif self._sweep(limits).work.lanes:
            pace = "measured by another process"
        return dataclasses.replace(best, tile_bytes=self.nbytes(best), pace=pace)

    def _sweep(self, limits: Limits) -> tiling.Sweep:
        """Return the sweep, without lanes if they are not wanted.

        Raises
        ------
        ValueError
            If there shall be lanes, but points cannot leave the loop one by one.
        """
        work, n_lanes = self.sweep.work, limits.n_lanes
        if n_lanes and not work.lanes:
            why = work.no_lanes or "no loop of the model ends at different iterations"
            raise ValueError(f"lanes={n_lanes} is not possible for this model: {why}; omit lanes=")
        why = "lanes=False" if limits.lanes is False else f"n_vmap={limits.n_vmap}"
        if n_lanes is None and not self.sweep.fills_lanes:
            n_lanes, why = 0, "an accelerator has room for all points at a time"
        if n_lanes != 0 or not work.lanes:
            return self.sweep
        work = dataclasses.replace(work, lanes=frozenset(), no_lanes=why)
        return dataclasses.replace(self.sweep, work=work)

    def tuner(self, limits: Limits) -> Tuner:
        """Return what chooses among plans that fit into memory; kept for the next run."""
        if limits not in self._tuners:
            program = self._traced[self._heaviest].program
            of_program = (program.fingerprint, program.lookups, program.outputs, program.chain)
            sweep = self.sweep
            on = self._devices[0].device_kind, sweep.n_devices, sweep.n_threads
            of_grid = (sweep.dims, sweep.sizes, *on, sweep.groups, sweep.chain)
            # By its text, so that a function of the user's is not kept alive.
            of_cells = "" if self._reduced is None else repr(self._reduced.reduction)
            self._tuners[limits] = tuners.shared(
                (*of_program, *of_grid, of_cells, self._values, limits),
                functools.partial(self._tuner, limits),
            )
        return self._tuners[limits]

    def _tuner(self, limits: Limits) -> Tuner:
        if limits.n_vmap is not None or limits.n_lanes:
            return Tuner(self._fitting(limits))
        sweep, memory = self._sweep(limits), limits.memory
        if self._is_lasting and tuners.are_kept():
            like = sweep.plan(None, self._bound(memory), block=limits.block)
            known = tuners.recall(self._lasting_key(limits), like)
            if known is not None and self.fits(known, memory):
                return Tuner(known)
        plan = self._fitting(limits)
        most = self._most_points(plan, memory)
        others = functools.partial(sweep.others, most=most)
        tuner = Tuner(plan, others, suggested=functools.partial(sweep.suggested, most=most))
        tuner.compiled(self._compiling)
        return tuner

    def remember(self, limits: Limits) -> None:
        """Keep the fastest plan for other processes, once it is known."""
        tuner = self.tuner(limits)
        if tuner.best is self._remembered or not tuner.is_settled(self._arguments.points.n):
            return
        if self._is_lasting and tuners.are_kept():
            self._remembered = tuner.best
            tuners.remember(self._lasting_key(limits), tuner.best)

    def _lasting_key(self, limits: Limits) -> tuple[Any, ...]:
        if self._lasting is None:
            closed = self._traced[self._heaviest].original
            self._lasting = lasting_fingerprint(closed.jaxpr, closed.consts, str)
        sweep = self.sweep
        of_grid = sweep.sizes, sweep.n_devices, sweep.n_threads, sweep.chain, self._values
        return self._lasting, *of_grid, *limits

    @functools.cached_property
    def _values(self) -> str:
        """A digest of the axes' values, if they determine how long points wait in a loop."""
        digest = hashlib.sha256()
        for table in self._arguments.tables if self.sweep.work.lanes else ():
            # Large arrays are seldom what differs, and take long to read.
            digest.update(bytes_of(np.asarray(table)).data if table.nbytes <= _SMALL else b"")
        return digest.hexdigest()

    @property
    def _is_lasting(self) -> bool:
        """Whether other processes can know the program, which holds no function of the user's."""
        return self._reduced is None and not self.calls_back

    def wish(self, limits: Limits) -> Wish:
        """Return which blocks suit the tiles of the plan."""
        plan = self.plan(limits)
        # A run along several dimensions is not a box, unless it covers the whole level.
        tile = [1] * len(plan.sizes)
        for level in plan.levels:
            whole = level.length >= level.size(plan.sizes)
            for dim in level.dims:
                tile[dim] = plan.sizes[dim] if whole else 1
            if len(level.dims) == 1:
                tile[level.dims[0]] = min(level.length * plan.n_parallel, plan.sizes[level.dims[0]])
        seconds = self.sweep.seconds() / plan.n_points
        is_whole = self._reduced is not None  # the outputs that are carried are not stored
        return Wish(seconds, plan.point_bytes, tuple(tile), chain=plan.chain, is_whole=is_whole)

    def fits(self, plan: Plan, memory: int | None) -> bool:
        """Return whether a plan fits into memory, according to its compiled program."""
        bound = self._bound(memory)
        return plan not in self.narrowed and (bound is None or self.nbytes(plan) <= bound)

    def _most_points(self, plan: Plan, memory: int | None) -> int:
        """Return how many points a tile may have, given the memory that those of a plan use."""
        bound = self._bound(memory)
        # Farther than this from a known plan, temporary arrays may be of another kind.
        times = 64 if bound is None else min(64, max(1, bound // max(1, self.nbytes(plan))))
        return times * math.prod(plan.tile)

    def _bound(self, memory: int | None) -> int | None:
        if memory is not None:
            return memory // self.sweep.n_threads
        free = _memory.free(self._devices[0])
        return None if free is None else int(_USABLE * free / self._share)

    def _fitting(self, limits: Limits) -> Plan:
        is_bounded = limits.n_vmap is None or limits.memory is not None
        memory = self._bound(limits.memory) if is_bounded else None

        def propose(most: int | None) -> Plan:
            sweep = self._sweep(limits)
            if limits.n_lanes:
                return sweep.in_lanes(limits.n_lanes, most, limits.block)
            return sweep.plan(limits.n_vmap, memory, most, limits.block)

        plan = propose(None)
        while True:
            needed, points = self.nbytes(plan), math.prod(plan.tile)
            is_single = plan.n_together == 1
            narrower = self.sweep.narrower(plan) if is_single else None
            if memory is None or needed <= memory or (is_single and narrower is None):
                return dataclasses.replace(plan, tile_bytes=needed)
            if narrower is not None:
                plan = narrower
                continue
            plan = propose(min(points // 2, max(1, points * memory // needed)))

    def nbytes(self, plan: Plan) -> int:
        """Return the bytes that a device uses at a time, according to the compiled program."""
        self.compile(plan)
        waiting = tiling.IN_FLIGHT * math.prod(plan.tile) * plan.point_bytes
        return self._nbytes[plan] + waiting

    def compile(self, plan: Plan) -> float:
        """Compile the program of a plan if necessary; return the seconds that took."""
        if plan in self._nbytes:
            return 0.0
        start = time.perf_counter()
        try:
            self._nbytes[plan] = self.kernel(self._heaviest, plan).compile()
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            self._nbytes[plan] = _TOO_MUCH
        seconds = time.perf_counter() - start
        self._compiling = max(self._compiling, seconds)
        recompiling.note(self._model, self._traced[self._heaviest].program, seconds)
        return seconds

    def kernel(self, choice: Choice, plan: Plan, continues: bool = False) -> Kernel:
        """Return the program of a choice with its data on the devices, kept for the next run.

        `continues` says whether chains start from what was carried to them, rather than at their
        first points.
        """
        key = choice, plan, self.skips_nan, continues
        if key not in self._kernels:
            on = tuple(self._devices[: plan.n_devices])
            traced = self._traced[choice]
            tables, rows, fixed = self._on_devices(on, "space", self._arguments.data())
            constants = self._on_devices(on, choice, traced.constants)
            arguments: tuple[Any, ...] = (tables, rows, [*constants, *fixed])
            reduction, has_gaps = None, False
            if self._reduced is not None:
                reduction, has_gaps = self._reduced.reduction, self._reduced.cells.has_gaps
                arguments = (*arguments, self._on_devices(on, "parts", self._parts))
            is_brief = self.sweep.seconds() < _BRIEF
            effort = cpu.Effort.FAST_COMPILING if is_brief else cpu.Effort.FAST_CODE
            self._kernels[key] = Kernel(
                traced.program,
                plan,
                on,
                arguments,
                reduction,
                has_gaps,
                self.skips_nan,
                continues,
                effort,
            )
        return self._kernels[key]

    @functools.cached_property
    def _parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The indices of each part along each reduced dimension, and which of them count."""
        assert self._reduced is not None
        return [self._reduced.cells.table(dim) for dim in self._reduced.cells.reduced]

    def _on_devices(self, on: tuple[Any, ...], owner: Any, arrays: Any) -> Any:
        """Return arrays on some devices, to which they are copied once."""
        if (len(on), owner) not in self._data:
            self._data[len(on), owner] = on_devices(on, arrays)
        return self._data[len(on), owner]


def _check_chain(arguments: Arguments) -> None:
    """Reject points that follow each other but have a program each."""
    chain = arguments.points.chain
    if chain is None:
        return
    along = arguments.points.dims[chain.dim]
    for column in arguments.chosen:
        if column.dim == along:
            raise ValueError(
                f"points along {along!r} follow each other, but axis {column.name!r} makes each of "
                "its choices a program of its own; give it another dimension, or run the model "
                "with SequentialExecution"
            )
