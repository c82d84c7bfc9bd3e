"""How programs are compiled for a CPU: loops as a whole, sums and sines as suits it, wide vectors.

XLA's runtime starts a kernel for each operation in each iteration of a loop. With few points, that
takes longer than the operations themselves. XLA compiles a loop as a whole if it works on less than
a kilobyte; the attributes that it then gives to the loop make it do so for larger ones. They mean
nothing to other devices, nor to versions of XLA that have other ones.
"""

from __future__ import annotations

import enum
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.last_rules import updates_one_slice
from gridax._kernel.layout import Rewriting
from gridax._kernel.stacking import stacking_rows
from gridax._plan.programs import (
    LOOPS,
    bare,
    equations_of,
    equations_within,
    has_reference,
    is_literal,
    programs_in,
    variables,
)
from gridax._plan.work import WAITING

# Versions of JAX with which this was tested: one that does something else with the attributes may
# end the process. Before 0.8, a program with 64 bits in a part of it cannot be rewritten.
_IS_KNOWN = (0, 8) <= jax.__version_info__ < (0, 13)
_ATTRIBUTES = {"xla_cpu_small_call": "true", "inlineable": "false"}
# Operations for which XLA calls a library or Python, rather than having code of its own.
_CALLS = WAITING | {"dot_general", "ragged_dot_general", "conv_general_dilated", "sort", "top_k"}
_CALLS |= {"approx_top_k", "rng_bit_generator", "custom_partitioning", "shard_map"}
# What is in the names of others: of callbacks, of what devices exchange, and of variants; and of
# what becomes one of these.
_PARTS = ["callback", "debug", "all_", "psum", "permute", "pallas", "scatter", "cum", "_window"]
_PARTS += ["coo_", "csr_", "linear_solve", "maybe_set"]  # of sparse matrices, lineax and equinox
_SUMS = {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "argmax", "argmin", "reduce"}
# Operations that XLA calls a function for, element by element.
_SLOW = {"sin", "cos", "tan"}
# Calls of such functions above which XLA takes several times as long to compile a program.
_MOST_SINES = 50
# A loop of more operations takes long to compile as a whole, and is then slower.
_MOST = 400
# Elements of a sum above which that of a library is faster; the same in loops that are compiled as
# a whole; and if points come last, so that whole rows are added up.
_SHORT, _LONG, _LONG_LAST = 32, 64, 2**12
# Bytes of an array above which an operation is large enough for several threads.
LARGE = 2**17
# Points that are vectorized in such a loop at least: with fewer points that have larger arrays,
# operations take longer than starting them.
_WORTH = 256


class Effort(enum.Enum):
    """What is asked of the compiler.

    With the fewest passes of LLVM, programs are compiled in a half to a tenth of the time. The code
    is about as fast, because a kernel for each operation leaves little to optimize. A loop that is
    compiled as a whole does need all passes, and takes little longer with them, and sums that are
    not left to a library need them to be vectorized. Programs that have one of these are asked for
    fast code in any case.
    """

    DEFAULT = enum.auto()  # as by JAX
    FAST_CODE = enum.auto()
    FAST_COMPILING = enum.auto()


def options(effort: Effort, longest: int) -> dict[str, Any]:
    """Return options of the compiler, without those that the user has set.

    `longest` is as `longest_sum` returns it.
    """
    wanted: dict[str, Any] = {"xla_cpu_prefer_vector_width": 512}
    has_less = jax.config.read("jax_disable_most_optimizations")
    if effort is Effort.FAST_COMPILING and not has_less:
        wanted["xla_backend_optimization_level"] = 1
    if longest:
        wanted["xla_cpu_experimental_ynn_fusion_type"] = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
    flags = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in wanted.items() if name not in flags}


def has_whole_loops(jaxpr: Any, longest: int) -> bool:
    """Whether a program has loops that can be compiled as a whole; `longest` as in `options`."""
    return any(_is_suitable(equation, longest) for equation in equations_of(jaxpr))


def rewritten(function: Callable[..., Any], longest: int, whole: bool = True) -> Callable[..., Any]:
    """Return a function of pytrees of arrays, written such that XLA makes fast code of it.

    Loops stack transposed arrays quickly, sines are not repeated and, if asked for, loops that can
    be are compiled as a `whole`. `longest` is that with which the program is compiled.
    """
    if not _IS_KNOWN:
        return function

    @functools.wraps(function)
    def fast(*args: Any) -> Any:
        closed, outputs = jax.make_jaxpr(function, return_shape=True)(*args)
        equations = [*equations_of(closed.jaxpr)]
        largest = max((_size(v) for e in equations for v in e.outvars), default=1)
        has_few_sines = sum(map(_is_slow, equations)) <= _MOST_SINES

        def as_whole(equation: Any) -> Any | None:
            return _whole(equation) if whole and _is_suitable(equation, longest) else None

        def in_parts(equation: Any) -> Any:
            if has_few_sines and _is_slow(equation) and 1 < _size(equation.outvars[0]) < largest:
                return _alone(equation)
            return stacking_rows(equation)

        rewriting = Rewriting(in_parts, whole=as_whole)
        flat = jaxpr_as_fun(rewriting.closed(closed))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(outputs), flat)

    return fast


def longest_sum(jaxpr: Any, points_last: bool) -> int:
    """Return of how many elements a sum may be that XLA's own code computes; 0 for a library.

    By default, a library computes large sums. It takes several times as long for many sums of a few
    elements each, since what they sum is then computed and written to memory first, and for sums of
    whole rows, as there are if points come last.
    """
    if not _IS_KNOWN:  # of other versions, the option may have another name
        return 0
    if points_last:
        return _LONG_LAST
    summed = {True: 0, False: 0}
    for n, n_elements in _sums(jaxpr):
        summed[n <= _SHORT] += n_elements
    if summed[True] > summed[False]:
        return _LONG
    gains = (
        _is_suitable(equation, _LONG) and not _is_suitable(equation, 0)
        for equation in equations_of(jaxpr)
    )
    return _LONG if any(gains) else 0


def most_points(jaxpr: Any) -> int:
    """Return with how many points all loops can be compiled as a whole; 0 if with too few."""
    longest, loops = longest_sum(jaxpr, False), [*_outermost_loops(jaxpr)]
    if not all(_is_suitable(loop, longest) for loop in loops):
        return 0
    nbytes = [_nbytes(v) for loop in loops for each in equations_within(loop) for v in each.outvars]
    n = LARGE // max(nbytes, default=LARGE)
    return n if n >= _WORTH else 0


def can_be_whole_with_points_last(loop: Any) -> bool:
    """Whether a loop can be compiled as a whole if points come last, and there are few."""
    return _is_suitable(loop, _LONG_LAST, points_last=True)


def _outermost_loops(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        if equation.primitive.name in LOOPS:
            yield equation
        else:
            for program in programs_in(tuple(equation.params.values())):
                yield from _outermost_loops(bare(program))


def _is_suitable(equation: Any, longest: int, points_last: bool = False) -> bool:
    """Whether an equation is a loop that can be compiled as a whole, and then is faster.

    With `points_last`, it is that of one point, which does not yet update slices in place.
    """
    if not _IS_KNOWN or equation.primitive.name not in LOOPS:
        return False
    if has_reference(equation.invars):  # which cannot be passed on
        return False
    if any(_size(atom) == 0 for atom in equation.invars):
        return False
    for n, inner in enumerate(equations_within(equation)):
        calls = _calls(inner.primitive.name) and not (points_last and updates_one_slice(inner))
        if n >= _MOST or calls:
            return False
        if any(not 0 < _nbytes(variable) <= LARGE for variable in inner.outvars):
            return False
        if _is_sum(inner) and _n_summed(inner) > longest:
            return False
    return not _repeats_slow_ones(equation)


def _repeats_slow_ones(loop: Any) -> bool:
    """Whether slow operations might be repeated for each element of larger arrays.

    They are fused with what uses their results. If a loop is compiled as a whole, LLVM does not
    always notice that they are the same along some axes, and then vectorizes nothing around them.
    A single number, such as the phase of a stimulus, is computed once.
    """
    sizes: dict[bool, set[int]] = {True: set(), False: set()}
    for inner in equations_within(loop):
        sizes[_is_slow(inner)].update(map(_size, inner.outvars))
    return any(1 < size < max(sizes[False], default=0) for size in sizes[True])


def _is_slow(equation: Any) -> bool:
    """Whether XLA computes an operation by a function, and yet again for each use of its result."""
    if equation.primitive.name == "exp":  # of complex numbers, it consists of a sine and a cosine
        return jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.complexfloating)
    return equation.primitive.name in _SLOW


def _size(variable: Any) -> int:
    """Return how many elements an array has; 0 of a token, which orders operations."""
    return math.prod(getattr(variable.aval, "shape", (0,)))


def _calls(name: str) -> bool:
    return name in _CALLS or any(part in name for part in _PARTS)


def _nbytes(variable: Any) -> int:
    size = _size(variable)
    return size and int(size * variable.aval.dtype.itemsize)


def _is_sum(equation: Any) -> bool:
    """Whether a library may compute what an operation does."""
    return equation.primitive.name in _SUMS and jnp.issubdtype(
        equation.invars[0].aval.dtype, jnp.inexact
    )


def _sums(jaxpr: Any, times: int = 1) -> Iterator[tuple[int, int]]:
    """Yield how many elements sums are of, and how many elements they sum in a whole program."""
    for equation in jaxpr.eqns:
        if _is_sum(equation):
            yield _n_summed(equation), times * _size(equation.invars[0])
        for program in programs_in(tuple(equation.params.values())):
            yield from _sums(bare(program), times * equation.params.get("length", 1))


def _n_summed(equation: Any) -> int:
    """Return how many elements each element of a sum has."""
    return _size(equation.invars[0]) // max(_size(equation.outvars[0]), 1)


def _whole(loop: Any) -> Any:
    """Return an equation that calls a loop which is compiled as a whole."""
    operands = variables(loop.invars)

    def alone(*values: Any) -> Any:
        known = iter(values)
        operands = [atom.val if is_literal(atom) else next(known) for atom in loop.invars]
        # XLA aborts if it finds an operand of the call that is not used.
        used = [jax.lax.slice(value, (0,) * value.ndim, (1,) * value.ndim) for value in values]
        return loop.primitive.bind(*operands, **loop.params), used

    def call(*values: Any) -> Any:
        # A constant that is copied into the call would leave its operand unused.
        values = jax.lax.optimization_barrier(values)
        results = set_xla_metadata(jax.jit(alone)(*values), **_ATTRIBUTES)
        return jax.lax.optimization_barrier(results)[0]

    return _calling(call, operands, loop.outvars)


def _alone(equation: Any) -> Any:
    """Return an equation that calls an operation, which is then not fused with what uses it."""

    def call(*values: Any) -> Any:
        operation = functools.partial(equation.primitive.bind, **equation.params)
        return set_xla_metadata(jax.jit(operation)(*values), inlineable="false")

    return _calling(call, equation.invars, equation.outvars)


def _calling(function: Callable[..., Any], invars: Sequence[Any], outvars: Sequence[Any]) -> Any:
    with jax.disable_jit(False):
        (equation,) = jax.make_jaxpr(jax.jit(function))(*(v.aval for v in invars)).jaxpr.eqns
    return equation.replace(invars=[*invars], outvars=[*outvars])
