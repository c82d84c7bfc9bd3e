"""The compiled function that evaluates tiles: one nested vmap per level, one tile per device.

With one `jax.vmap` per level of a product grid, JAX itself sees that a stage of the model depends
on some of the levels only, and computes it once per position along those. A flat vmap over stacked
points repeats it for every point.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gridax._garbage import uncollected
from gridax._kernel import cpu
from gridax._kernel.chain import ChainProgram
from gridax._kernel.counting import counted
from gridax._kernel.indices import counts, n_numbers, unpacked
from gridax._kernel.lanes import in_lanes
from gridax._kernel.nesting import evaluated
from gridax._kernel.reducing import Reducer
from gridax._kernel.split import Split
from gridax._kernel.starting import started
from gridax._kernel.tile import Data, Evaluation, Finish
from gridax._plan.plan import Level, Plan
from gridax._reduce.request import Reduction


@dataclasses.dataclass(frozen=True)
class Lookup:
    """How the value of one input at a point is found in its table.

    Attributes
    ----------
    dim : number of the dimension along which it varies, or None for a fixed row.
    by_row : whether an array of row numbers maps the index to a row of the table.
    """

    dim: int | None
    by_row: bool


@dataclasses.dataclass(frozen=True)
class Program:
    """What one point computes; equal programs share one compiled kernel.

    Attributes
    ----------
    fingerprint : identifies what `traced` computes from its arguments.
    lookups : one per axis, in the order of the last inputs of `traced`.
    outputs : dimensions that each output varies along.
    traced : the model at one point, as a jaxpr; its first inputs are fixed arrays.
    constants : constants of `traced`; None for those that are arguments, before the fixed arrays.
    calls_back : whether it holds functions of the user's, which it keeps alive.
    split : the same program in three parts, if its points can leave its loop one by one.
    chain : what points carry to the next ones, if they follow each other.
    """

    fingerprint: str
    lookups: tuple[Lookup, ...]
    outputs: tuple[frozenset[int], ...]
    traced: Any = dataclasses.field(compare=False, repr=False)
    constants: tuple[Any, ...] = dataclasses.field(default=(), compare=False, repr=False)
    calls_back: bool = dataclasses.field(default=False, compare=False, repr=False)
    split: Split | None = dataclasses.field(default=None, compare=False, repr=False)
    chain: ChainProgram | None = None

    def point(self, arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Evaluate the model at one point, from rows of the axes' tables and what is carried."""
        constants, fixed = self.constants_and_fixed(arrays)
        return evaluated(self.traced, [*fixed, *values], constants)

    def counted_point(self, arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Evaluate the model at one point; return also how often the loop ran."""
        assert self.split is not None
        return counted(self.split, self._inputs(self.split, arrays, values))

    def constants_and_fixed(self, arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the constants of `traced`, and the fixed arrays."""
        left = iter(arrays)
        constants = [next(left) if constant is None else constant for constant in self.constants]
        return constants, [*left]

    def _inputs(self, split: Split, arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Return the inputs of the first part of a split program."""
        constants, fixed = self.constants_and_fixed(arrays)
        return [*constants, *fixed, *values, *split.constants.values()]

    def in_lanes(
        self, levels: Sequence[Level], n_lanes: int, index: Sequence[Any], data: Data
    ) -> list[Any]:
        """Evaluate all points of a tile, with some points at a time in the loop."""
        assert self.split is not None
        inputs = self._inputs(self.split, data.arrays, self.values(index, data))
        return in_lanes(self.split, levels, n_lanes, inputs, self.outputs)

    def values(self, index: Sequence[Any], data: Data) -> list[Any]:
        """Return the rows of the axes' tables at the positions of a tile, along one axis each."""
        values = []
        for lookup, table, row in zip(self.lookups, data.tables, data.rows, strict=True):
            at = row if lookup.dim is None else index[lookup.dim]
            if lookup.by_row and lookup.dim is not None:
                at = _rows(row, at)
            values.append(_rows(table, at))
        return values


def _rows(table: Any, index: Any) -> Any:
    """Return the rows of a table at indices that are known to be within it."""
    return table.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)


@dataclasses.dataclass(frozen=True)
class Computation:
    """What is compiled: the evaluation of one tile per device; equal ones share a function.

    Attributes
    ----------
    program : what a point computes.
    levels : of a tile; with a `reducer`, of its cells.
    lengths : number of indices along each dimension.
    on : the devices.
    counting : whether the program counts the indices that `packed` describes.
    n_lanes : points that are in the loop at a time, or 0.
    is_counted : whether the iterations of the loop are counted.
    reducer : what reduces the outputs, if so.
    continues : whether chains start from what was carried to them.
    points_last : whether points are the last axes of what is vectorized.
    effort : what is asked of the compiler.
    """

    program: Program
    levels: tuple[Level, ...]
    lengths: tuple[int, ...]
    on: tuple[Any, ...]
    counting: bool = False
    n_lanes: int = 0
    is_counted: bool = False
    reducer: Reducer | None = None
    continues: bool = False
    points_last: bool = False
    effort: cpu.Effort = cpu.Effort.FAST_CODE

    def evaluate(self, index: Any, tables: Any, rows: Any, arrays: Any, *rest: Any) -> list[Any]:
        """Return the outputs of the tile of one device."""
        program, levels, reducer, finish = self.program, self.levels, self.reducer, None
        data = Data(tables, rows, arrays)
        before = [array[0] for array in rest[-1]] if self.continues else None
        at = unpacked(levels, self.lengths, self.counting, index[0])
        if reducer is not None:
            levels, parts = reducer.all_levels(levels), rest[0]
            n_levels = len(levels) - len(reducer.levels)
            function = functools.partial(reducer.reduced, n_levels, self.is_counted, at, parts)
            varies = functools.partial(reducer.varies, self.is_counted)
            finish = Finish(n_levels, function, varies)
            at = reducer.indices(at, parts)
        if not self.n_lanes:
            tile = Evaluation(program, levels, data, self.is_counted, finish, self.points_last)
            return [out[None] for out in tile.outputs(at, before)]
        outs = program.in_lanes(levels, self.n_lanes, at, data)
        return [out[None] for out in (outs if finish is None else finish.function(outs))]

    def jitted(self) -> Callable[..., Any]:
        """Return the jitted function; `compiled` says what it takes and returns."""
        function, options, on = self.evaluate, None, self.on
        if on[0].platform == "cpu" and self.effort is not cpu.Effort.DEFAULT:
            effort, longest = self.effort, cpu.longest_sum(self.program.traced, self.points_last)
            has_whole = cpu.has_whole_loops(self.program.traced, longest)
            if has_whole or (longest and not self.points_last):
                effort = cpu.Effort.FAST_CODE
            function = cpu.rewritten(function, longest, has_whole)
            options = cpu.options(effort, longest)
        if len(on) == 1:
            return jax.jit(function, compiler_options=options)
        # Every device runs its own tile, without communication, so loops may take a different
        # number of steps on each. Nothing is exchanged, so JAX need not track what varies.
        here, everywhere = PartitionSpec("device"), PartitionSpec()
        n_fixed = 3 if self.reducer is None else 4  # tables, rows and arrays, and parts
        specs = (here, *([everywhere] * n_fixed), *([here] if self.continues else []))
        sharded = jax.shard_map(
            function, mesh=_mesh(on), in_specs=specs, out_specs=here, check_vma=False
        )
        shardings = tuple(NamedSharding(_mesh(on), spec) for spec in specs)
        return jax.jit(sharded, in_shardings=shardings, compiler_options=options)


def compiled(computation: Computation) -> Callable[..., Any]:
    """Return the jitted function of a computation.

    It takes an int32 array with a row per device, as `packed` returns it, and returns outputs of
    shape ``(n_devices, *tile, *output_shape)``. With a `reducer`, the dimensions are those of
    cells, and the outputs are reduced.
    """
    reducer = computation.reducer
    if not (computation.program.calls_back or (reducer and reducer.reduction.holds_functions)):
        return _kept(computation)
    function = _in_use.get(computation)
    if function is None:
        function = _in_use[computation] = computation.jitted()
    return function


# Of programs with functions of the user's: these would keep the user's functions alive.
_in_use: weakref.WeakValueDictionary[Computation, Callable[..., Any]]
_in_use = weakref.WeakValueDictionary()
# Bounded, so that models that were thrown away do not stay in memory for good.
_kept = functools.lru_cache(maxsize=64)(Computation.jitted)


def _mesh(on: tuple[Any, ...]) -> Mesh:
    return Mesh(np.array(on), ("device",))


# Settings that make JAX look at outputs, but not at those of a compiled program.
_CHECKS = "jax_debug_nans", "jax_debug_infs"


class Kernel:
    """A program with its data on the devices, ready to evaluate batches of tiles.

    Parameters
    ----------
    program, plan : what is computed, and how it is divided into tiles.
    on : the devices.
    arguments : tables, row numbers and fixed arrays, as `on_devices` puts them there, and the
        parts of reduced dimensions, if outputs are reduced.
    reduction : how outputs are reduced, if so.
    has_gaps, skips_nan : as in `Reducer`.
    continues : whether chains start from what was carried to them.
    effort : what is asked of the compiler.
    """

    def __init__(
        self,
        program: Program,
        plan: Plan,
        on: Sequence[Any],
        arguments: tuple[Any, ...],
        reduction: Reduction | None = None,
        has_gaps: bool = False,
        skips_nan: bool = True,
        continues: bool = False,
        effort: cpu.Effort = cpu.Effort.FAST_CODE,
    ) -> None:
        self._plan, self._n_devices, self._arguments = plan, len(on), arguments
        # Groups determine which tiles there are, not what a tile computes.
        levels = tuple(dataclasses.replace(level, groups=None) for level in plan.levels)
        reducer = None if reduction is None else Reducer(reduction, plan.inner, has_gaps, skips_nan)
        self._computation = Computation(
            program,
            levels,
            plan.lengths,
            tuple(on),
            counts(plan),
            plan.lanes,
            plan.is_counted,
            reducer,
            continues,
            plan.points_last,
            effort,
        )
        self._run: Any = compiled(self._computation)
        self._executable: Any = None
        self._n_numbers = n_numbers(levels, self._computation.counting)  # that describe a tile
        self._far = _is_far(on[0])
        # An index that stays on the devices must be of the kind for which the function is compiled:
        # like a NumPy array, it is not committed to a single device; over several, it is always
        # distributed here. With several processes, JAX would not distribute NumPy arrays itself.
        spread = NamedSharding(_mesh(tuple(on)), PartitionSpec("device"))
        self._there = None if len(on) == 1 else spread
        self._spread = self._there if self._far or jax.process_count() > 1 else None

    def compile(self) -> int:
        """Compile the program; return the bytes that a device needs for a tile."""
        index = np.zeros((self._n_devices, self._n_numbers), np.int32)
        self._compile(self._all(index, ()))
        found = self._executable.memory_analysis()
        return 0 if found is None else found.temp_size_in_bytes + found.output_size_in_bytes

    @functools.cached_property
    def _not_counting(self) -> Kernel:
        """The same program for tiles whose indices are listed, such as those of a few points."""
        other = copy.copy(self)
        other._computation = dataclasses.replace(self._computation, counting=False)
        other._run, other._executable = compiled(other._computation), None
        other._n_numbers = n_numbers(other._computation.levels, counting=False)
        return other

    def _compile(self, arguments: Sequence[Any]) -> None:
        try:
            with uncollected():
                lowered = self._run.lower(*arguments)
            self._executable = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            if out_of_memory(error):
                raise
            # What gridax asks of the compiler is not part of JAX's interface.
            self._run = compiled(dataclasses.replace(self._computation, effort=cpu.Effort.DEFAULT))
            self._executable = self._run.lower(*arguments).compile()

    def _all(self, index: np.ndarray, carried: Sequence[np.ndarray]) -> list[Any]:
        before = [self._placed([*carried])] if carried else []
        return [self._placed(index), *self._arguments, *before]

    def __call__(self, index: np.ndarray, *carried: np.ndarray) -> list[list[jax.Array]]:
        """Start a batch of tiles, and return its outputs without waiting for them.

        Parameters
        ----------
        index : what `packed` returns for the tiles, one per device, or several of one device.
        carried : the arrays that were carried to chains that continue, with an axis for tiles and
            one per level.

        Returns
        -------
        list of list of array
            The outputs of all devices, or those of each tile of one device. If the plan counts
            iterations, their numbers are the last output; before them comes whether there is NaN,
            if outputs are reduced.
        """
        if index.shape[1] != self._n_numbers:
            return self._not_counting(index, *carried)
        if len(index) == self._n_devices:
            arguments = self._all(index, carried)
            if self._executable is None:
                self._compile(arguments)
            outputs = self._run(*arguments)
            if self._far:
                for output in outputs:
                    output.copy_to_host_async()
            return [outputs]
        rows = [slice(i, i + 1) for i in range(len(index))]
        calls = [self._all(index[row], [array[row] for array in carried]) for row in rows]
        if any(getattr(jax.config, name) for name in _CHECKS):
            return [self._run(*call) for call in calls]
        if self._executable is None:
            self._compile(calls[0])
        return started(self._executable, calls)

    def placed(self, index: np.ndarray) -> Any:
        """Return the index of a batch that is evaluated again and again, on an accelerator."""
        return jax.device_put(index, self._there) if self._far else index

    def _placed(self, arrays: Any) -> Any:
        return arrays if self._spread is None else jax.device_put(arrays, self._spread)


def _is_far(device: jax.Device) -> bool:
    """Whether arrays have to be copied to and from a device."""
    return bool(device.platform != "cpu")


def on_devices(on: Sequence[Any], arguments: Any) -> Any:
    """Put all arrays of a pytree on each of some devices."""
    whole = on[0] if len(on) == 1 else NamedSharding(_mesh(tuple(on)), PartitionSpec())
    return jax.device_put(arguments, whole)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device ran out of memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
