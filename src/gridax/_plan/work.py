"""What each stage of a traced model depends on, and roughly what it costs.

A walk over the traced program follows along which dimensions of the grid every value varies. It
tells the plan what points can share, and which tiles are worth their size. A value may be taken to
vary where it does not, which only costs time; it must never be taken to be constant where it
varies, since all points would then get the result of the first one. Costs are estimates in
nanoseconds on one core; only their proportions matter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

Dims = frozenset[int]

# Relative cost per element of operations that are not simple, measured on a CPU core.
_WEIGHTS = dict.fromkeys(("exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "logistic"), 6.0)
_WEIGHTS |= dict.fromkeys(("tanh", "tan", "atan2", "erf", "erf_inv", "pow", "lgamma"), 10.0)
_WEIGHTS |= dict.fromkeys(("random_bits", "threefry2x32"), 60.0)
_WEIGHTS |= dict.fromkeys(("div", "sqrt", "rsqrt", "cbrt", "rem"), 3.0)
_WEIGHTS |= dict.fromkeys(("sort", "top_k"), 40.0)
_WEIGHTS |= dict.fromkeys(("gather", "scatter", "scatter-add", "dynamic_slice"), 2.0)
_WEIGHTS |= dict.fromkeys(("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy"), 0.2)
_CALLBACK = 2e6  # a callback to Python, whatever it does
_OPERATION = 0.04
_MULTIPLY_ADD = 0.01
_READ = 0.02
# Operations whose inputs and outputs are those of their program, one to one.
_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "core_closed_call", "xla_call"})
_CALLS |= {"checkpoint", "remat", "remat2", "custom_jvp_call", "custom_vjp_call"}
_CALLS |= {"custom_jvp_call_jaxpr", "custom_vjp_call_jaxpr"}
# Costs of a loop per iteration, and per operation that is not fused, or fused, with others.
_TURN, _APART_COST, _FUSED_COST = 500.0, 300.0, 10.0
_APART = {"dot_general", "random_bits", "threefry2x32", "gather", "scatter", "sort", "cumsum"}
# Assumed iterations of a `while` loop; within another one, it is usually a short search.
_UNKNOWN_TURNS, _UNKNOWN_TURNS_WITHIN = 100, 4


@dataclasses.dataclass(eq=False)
class Loop:
    """What a loop costs besides its arithmetic.

    Attributes
    ----------
    launches : estimated nanoseconds of all iterations that do not depend on the size of the tile.
    operations : number of operations of all iterations.
    carried : bytes per point that it carries from one iteration to the next.
    """

    launches: float = 0.0
    operations: float = 0.0
    carried: dict[Dims, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Work:
    """The work of one point, by the set of dimensions that each stage varies along.

    Attributes
    ----------
    time : estimated nanoseconds of arithmetic.
    launches : estimated nanoseconds outside of loops that do not depend on the size of the tile.
    loops : the loops, each without the loops within it.
    stacked : bytes of arrays that loops read or write slice by slice.
    outputs : dimensions that each output varies along.
    uneven : dimensions along which the trip count of a loop differs.
    drawn : kinds of PRNG keys that the program creates, or draws from point by point.
    """

    time: dict[Dims, float] = dataclasses.field(default_factory=dict)
    launches: float = 0.0
    loops: list[Loop] = dataclasses.field(default_factory=list)
    stacked: dict[Dims, int] = dataclasses.field(default_factory=dict)
    outputs: tuple[Dims, ...] = ()
    uneven: Dims = frozenset()
    drawn: frozenset[str] = frozenset()


def work_of(jaxpr: Any, varies: Sequence[Dims]) -> Work:
    """Return the work of a traced program whose inputs vary along some dimensions each."""
    work = Work()
    walk = _Walk(work)
    work.outputs = tuple(walk.through(jaxpr, list(varies), 1.0))
    if walk.writes:
        everything = frozenset[int]().union(*varies)
        work.outputs = tuple(everything for _ in work.outputs)
    return work


class _Walk:
    """A walk that adds up costs, or with ``work=None`` only follows dependencies."""

    def __init__(self, work: Work | None) -> None:
        self.work = work
        self._loop: Loop | None = None  # the innermost enclosing loop
        self._searches = 0  # number of enclosing `while` loops
        self._branches = 0  # number of enclosing branches
        self.writes = False  # whether values are changed in place, which the walk does not follow

    @contextlib.contextmanager
    def _within(self, turns: float, searches: int = 0) -> Iterator[Loop]:
        outer, loop = self._loop, Loop(launches=turns * _TURN)
        self._loop, self._searches = loop, self._searches + searches
        try:
            yield loop
        finally:
            self._loop, self._searches = outer, self._searches - searches
        if self.work is not None:
            self.work.loops.append(loop)

    def through(self, jaxpr: Any, varies: Sequence[Dims], turns: float) -> list[Dims]:
        """Follow a program that runs `turns` times; return the dimensions of its results."""
        known: dict[Any, Dims] = dict.fromkeys(jaxpr.constvars, frozenset())
        known.update(zip(jaxpr.invars, varies, strict=True))

        def of(atom: Any) -> Dims:
            return frozenset() if hasattr(atom, "val") else known.get(atom, frozenset())

        for equation in jaxpr.eqns:
            inputs = [of(atom) for atom in equation.invars]
            outputs = self._equation(equation, inputs, turns)
            known.update(zip(equation.outvars, outputs, strict=True))
        return [of(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[Dims], turns: float) -> list[Dims]:
        name, params = equation.primitive.name, equation.params
        variables = (*equation.invars, *equation.outvars)
        self.writes |= any(type(v.aval).__name__ == "AbstractRef" for v in variables)
        self._note_keys(equation, inputs)
        if name == "scan":
            return self._scan(equation, inputs, turns)
        if name == "while":
            return self._while(params, equation.invars, inputs, turns)
        if name == "cond":
            index, *rest = inputs
            if self.work is not None:
                self.work.uneven |= index  # a loop of bounded length ends with a branch like this
            self._branches += 1
            branches = [self.through(_open(b), rest, turns) for b in params["branches"]]
            self._branches -= 1
            return [index.union(*outs) for outs in zip(*branches, strict=True)]
        programs = [*_programs(tuple(params.values()))]
        if name in _CALLS and len(programs) == 1 and len(programs[0].invars) == len(inputs):
            outputs = self.through(programs[0], inputs, turns)
            if len(outputs) == len(equation.outvars):
                return outputs
        varies: Dims = frozenset().union(*inputs)
        for program in programs:
            self.through(program, [varies] * len(program.invars), turns)
        self._count(equation, inputs, turns)
        return [varies] * len(equation.outvars)

    def _note_keys(self, equation: Any, inputs: list[Dims]) -> None:
        if self.work is None:
            return
        name = equation.primitive.name
        if name in ("random_seed", "random_wrap"):
            self.work.drawn |= {_dtype(equation.outvars[0])}
        elif name == "random_bits" and any(inputs):
            self.work.drawn |= {_dtype(equation.invars[0])}

    def _scan(self, equation: Any, inputs: list[Dims], turns: float) -> list[Dims]:
        params = equation.params
        body, length = _open(params["jaxpr"]), params["length"]
        first, n_carry = params["num_consts"], params["num_carry"]
        consts, carry, xs = (
            inputs[:first],
            inputs[first : first + n_carry],
            inputs[first + n_carry :],
        )
        while True:
            outs = _Walk(None).through(body, [*consts, *carry, *xs], 1.0)
            grown = [a | b for a, b in zip(carry, outs, strict=False)]
            if grown == carry:
                break
            carry = grown
        with self._within(turns * length) as loop:
            outs = self.through(body, [*consts, *carry, *xs], turns * length)
        for variable, varies in zip(equation.outvars, carry, strict=False):
            _add(loop.carried, varies, _nbytes(variable))
        if self.work is not None:
            stacks = [*equation.invars[first + n_carry :], *equation.outvars[n_carry:]]
            for variable, varies in zip(stacks, [*xs, *outs[n_carry:]], strict=True):
                _add(self.work.stacked, varies, _nbytes(variable))
        return [*carry, *outs[n_carry:]]

    def _while(self, params: Any, variables: Any, inputs: list[Dims], turns: float) -> list[Dims]:
        cond, body = _open(params["cond_jaxpr"]), _open(params["body_jaxpr"])
        n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
        cond_consts, body_consts = inputs[:n_cond], inputs[n_cond : n_cond + n_body]
        carry = inputs[n_cond + n_body :]
        while True:
            (going,) = _Walk(None).through(cond, [*cond_consts, *carry], 1.0)
            outs = _Walk(None).through(body, [*body_consts, *carry], 1.0)
            # If points leave a loop at different iterations, everything that it carries is batched.
            grown = [a | b | going for a, b in zip(carry, outs, strict=True)]
            if grown == carry:
                break
            carry = grown
        turns *= _UNKNOWN_TURNS_WITHIN if self._searches else _UNKNOWN_TURNS
        with self._within(turns, searches=1) as loop:
            self.through(cond, [*cond_consts, *carry], turns)
            self.through(body, [*body_consts, *carry], turns)
        for variable, varies in zip(variables[n_cond + n_body :], carry, strict=True):
            _add(loop.carried, varies, _nbytes(variable))
        if self.work is not None:
            self.work.uneven |= going
        return carry

    def _count(self, equation: Any, inputs: list[Dims], turns: float) -> None:
        if self.work is None:
            return
        name, varies = equation.primitive.name, frozenset[int]().union(*inputs)
        size = sum(map(_size, equation.outvars))
        if name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            length = math.prod(equation.invars[0].aval.shape[d] for d in summed)
            cost = size * length * _MULTIPLY_ADD
            # A matrix that is the same for many vectors is not read again for each of them.
            for variable, own in zip(equation.invars, inputs, strict=True):
                _add(self.work.time, own, turns * _size(variable) * _READ)
        elif name.startswith(("reduce", "cum", "arg")):
            cost = sum(map(_size, equation.invars)) * _OPERATION
        elif name in ("pure_callback", "io_callback"):
            cost = 0.0 if self._branches else _CALLBACK  # some branches only raise errors
        else:
            cost = size * _WEIGHTS.get(name, 1.0) * _OPERATION
        _add(self.work.time, varies, turns * cost)
        place = self._loop or self.work
        place.launches += turns * (_APART_COST if name in _APART else _FUSED_COST)
        if self._loop is not None:
            self._loop.operations += turns


def _open(program: Any) -> Any:
    """Return the bare program in a closed one."""
    return getattr(program, "jaxpr", program)


def _programs(value: Any) -> Iterator[Any]:
    """Yield the programs among the parameters of an operation."""
    if hasattr(_open(value), "eqns"):
        yield _open(value)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _programs(each)


def _dtype(variable: Any) -> str:
    return str(getattr(variable.aval, "dtype", ""))


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


def _nbytes(variable: Any) -> int:
    return _size(variable) * getattr(getattr(variable.aval, "dtype", None), "itemsize", 4)


def _add(sums: dict[Dims, Any], varies: Dims, amount: Any) -> None:
    sums[varies] = sums.get(varies, 0) + amount
