"""What each stage of a traced model depends on, and roughly what it costs.

A walk over the traced program follows along which dimensions of the grid every value varies. It
tells the plan what points can share, and which tiles are worth their size. A value may be taken to
vary where it does not, which only costs time; it must never be taken to be constant where it
varies, since all points would then get the result of the first one. Costs are estimates in
nanoseconds on one core; only their proportions matter.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from gridax._plan.programs import (
    bare,
    called,
    consts_and_carry,
    equations_within,
    has_reference,
    is_literal,
    programs_in,
    variables,
)

Dims = frozenset[int]

# Relative cost per element of operations that are not simple, on a CPU core.
_WEIGHTS = {
    3.0: "div sqrt rsqrt rem",
    8.0: "exp exp2 log log1p expm1 tanh logistic erf erf_inv",
    20.0: "sin cos tan atan2 pow cbrt lgamma digamma argmax argmin",
    40.0: "cumsum cumprod cummax cummin fft",
    60.0: "random_bits threefry2x32",
    300.0: "tridiagonal_solve",
    600.0: "sort top_k cumlogsumexp igamma igammac regularized_incomplete_beta random_gamma_grad",
}
_WEIGHT_OF = {name: weight for weight, names in _WEIGHTS.items() for name in names.split()}
# Operations on matrices that take a number of steps per element that grows with the matrix.
_CUBIC = {"lu", "cholesky", "qr", "geqrf", "geqp3", "householder_product", "triangular_solve"}
_CUBIC |= {"eigh", "eig", "svd", "schur", "hessenberg", "tridiagonal", "ormqr", "cholesky_update"}
# How many operands are the matrix of equations that are solved for the others. To solve them for
# many right sides takes a fraction of the time if there is one matrix.
_SOLVED = {"triangular_solve": 1, "tridiagonal_solve": 3}
# Operations that may wait for other threads of the CPU client, as they are those of a library.
WAITING = _CUBIC | {"tridiagonal_solve", "fft", "ffi_call"}
# What JAX does with a callback or a foreign function in place of vectorizing it: refuse, or loop.
_BY_POINT = (None, "sequential", "sequential_unrolled")
_OPERATION, _MULTIPLY_ADD = 0.04, 0.01  # nanoseconds
_ROUTINE = 200.0  # a call of a library, however small the matrix is
_CALLBACK = 2e6  # a callback to Python, whatever it does
_COMPLEX = 4.0  # how many times as long complex numbers take
# Assumed iterations of a `while` loop; within another one, it is usually a short search.
_UNKNOWN_TURNS, _UNKNOWN_TURNS_WITHIN = 100, 4
# Elements of a matrix above which a routine for one product beats the one for a batch of them.
_LARGE = 256
# Products of matrices that take less than this fraction of the time do not determine a tile.
_DOMINANT = 0.1
# What is done so many times less often than something else does not determine what is live.
_SELDOM = 10


@dataclasses.dataclass(eq=False)
class Work:
    """The work of one point, by the set of dimensions that each stage varies along.

    Attributes
    ----------
    time : estimated nanoseconds of arithmetic, of all branches.
    live : bytes that the largest operation reads and writes, or a loop carries; of what is done
        most often.
    stacked : bytes of arrays that loops read or write slice by slice.
    outputs : dimensions that each output varies along.
    uneven : dimensions along which the trip count of a loop differs.
    lanes : dimensions along which the loop varies whose points can leave it one by one.
    no_lanes : why there is no such loop, if points leave some loop at different iterations.
    turns : largest number of times that something is done.
    apart : dimensions along which products of large matrices would become one of many matrices.
    serial : dimensions along which something varies that is called point by point.
    drawn : kinds of PRNG keys that the program creates, or draws from point by point.
    waits : whether it calls routines that wait for other threads of a CPU.
    branched : the time of branches that a point on its own would not take, on average.
    convolves : whether it convolves arrays outside of loops.
    """

    time: dict[Dims, float] = dataclasses.field(default_factory=dict)
    live: dict[Dims, int] = dataclasses.field(default_factory=dict)
    stacked: dict[Dims, int] = dataclasses.field(default_factory=dict)
    outputs: tuple[Dims, ...] = ()
    uneven: Dims = frozenset()
    lanes: Dims = frozenset()
    no_lanes: str = ""
    turns: float = 1.0
    apart: Dims = frozenset()
    serial: Dims = frozenset()
    drawn: frozenset[str] = frozenset()
    waits: bool = False
    branched: float = 0.0
    convolves: bool = False


def work_of(jaxpr: Any, varies: Sequence[Dims]) -> Work:
    """Return the work of a traced program whose inputs vary along some dimensions each."""
    work = Work()
    walk = _Walk(work)
    work.outputs = tuple(walk.outputs(jaxpr, varies))
    least = _DOMINANT * sum(work.time.values())
    work.apart = frozenset().union(*(dims for dims, time in walk.apart.items() if time > least))
    return work


def repeated(work: Work, dim: int, n: int) -> Work:
    """Return the work of a program that is repeated for `n` indices along a dimension.

    What does not vary along it is done once.
    """

    def without(amounts: dict[Dims, Any], times: int) -> dict[Dims, Any]:
        sums: dict[Dims, Any] = {}
        for dims, amount in amounts.items():
            _add(sums, dims - {dim}, amount * times if dim in dims else amount)
        return sums

    return dataclasses.replace(
        work,
        time=without(work.time, n),
        branched=work.branched * n,
        live=without(work.live, 1),
        stacked=without(work.stacked, 1),
        uneven=work.uneven - {dim},
        turns=work.turns * n,
        apart=work.apart - {dim},
        serial=work.serial - {dim},
    )


def work_of_one(jaxpr: Any, equation: Any, known: dict[Any, Dims]) -> Work:
    """Return the work of a single equation, given the dimensions along which variables vary."""
    inputs = [*dict.fromkeys(variables(equation.invars))]
    alone = jaxpr.replace(constvars=[], invars=inputs, outvars=[], eqns=[equation])
    return work_of(alone, [dims_of(v, known) for v in inputs])


def dependencies(jaxpr: Any, varies: Sequence[Dims]) -> dict[Any, Dims]:
    """Return the dimensions along which each variable of a traced program varies."""
    return _Walk(None).known(jaxpr, varies, 1.0)


def dims_of_outputs(jaxpr: Any, varies: Sequence[Dims]) -> list[Dims]:
    """Return the dimensions along which each result of a traced program varies."""
    return _Walk(None).outputs(jaxpr, varies)


def dims_of_results(equation: Any, varies: Sequence[Dims]) -> list[Dims]:
    """Return the dimensions along which the results of one operation vary."""
    return _Walk(None)._equation(equation, list(varies), 1.0, [1.0] * len(varies))


class _Walk:
    """A walk that adds up costs, or with ``work=None`` only follows dependencies."""

    def __init__(self, work: Work | None) -> None:
        self.work = work
        self.apart: dict[Dims, float] = {}  # time of products of matrices that vary, both of them
        self._searches = 0  # number of enclosing `while` loops
        self._branches = 0  # number of enclosing branches
        self.writes = False  # whether values are changed in place, which the walk does not follow

    def outputs(self, jaxpr: Any, varies: Sequence[Dims]) -> list[Dims]:
        """Follow a whole program; return the dimensions of its results."""
        outputs = self.through(jaxpr, list(varies), 1.0)
        return [frozenset[int]().union(*varies)] * len(outputs) if self.writes else outputs

    def through(
        self,
        jaxpr: Any,
        varies: Sequence[Dims],
        turns: float,
        changes: Sequence[float] | None = None,
    ) -> list[Dims]:
        """Follow a program that runs `turns` times; return the dimensions of its results.

        `changes` says how often each input changes; by default, whenever the program runs.
        """
        known = self.known(jaxpr, varies, turns, changes)
        return [dims_of(atom, known) for atom in jaxpr.outvars]

    def known(
        self,
        jaxpr: Any,
        varies: Sequence[Dims],
        turns: float,
        changes: Sequence[float] | None = None,
    ) -> dict[Any, Dims]:
        """Follow a program as `through` does; return the dimensions of its variables."""
        known: dict[Any, Dims] = dict.fromkeys(jaxpr.constvars, frozenset())
        known.update(zip(jaxpr.invars, varies, strict=True))
        often = dict(zip(jaxpr.invars, changes or [turns] * len(varies), strict=True))
        for equation in jaxpr.eqns:
            inputs = [dims_of(atom, known) for atom in equation.invars]
            rates = [1.0 if is_literal(v) else often.get(v, 1.0) for v in equation.invars]
            # XLA computes a number that does not change in a loop once, before the loop.
            are_numbers = max(map(_size, equation.outvars), default=0) == 1
            times = min(turns, max(rates, default=1.0)) if are_numbers else turns
            outputs = self._equation(equation, inputs, times, rates)
            known.update(zip(equation.outvars, outputs, strict=True))
            often.update(dict.fromkeys(equation.outvars, times))
        return known

    def _equation(
        self, equation: Any, inputs: list[Dims], turns: float, changes: list[float]
    ) -> list[Dims]:
        name, params = equation.primitive.name, equation.params
        self.writes |= has_reference((*equation.invars, *equation.outvars))
        self._note_keys(equation, inputs)
        if name == "scan":
            return self._scan(equation, inputs, turns, changes)
        if name == "while":
            return self._while(params, equation.invars, inputs, turns, changes)
        if name == "cond":
            index, *rest = inputs
            before = self._total()
            self._branches += 1
            branches = [self.through(bare(b), rest, turns) for b in params["branches"]]
            self._branches -= 1
            if self.work is not None and index:
                self.work.branched += (self._total() - before) * (1 - 1 / len(branches))
            return [index.union(*outs) for outs in zip(*branches, strict=True)]
        callee = called(equation)
        if callee is not None:
            return self.through(bare(callee), inputs, turns, changes)
        if name == "custom_linear_solve":
            return self._solve(params, inputs, turns)
        varies: Dims = frozenset().union(*inputs)
        for program in map(bare, programs_in(tuple(params.values()))):
            self.through(program, [varies] * len(program.invars), turns)
        self._count(equation, inputs, turns)
        return [varies] * len(equation.outvars)

    def _total(self) -> float:
        return 0.0 if self.work is None else sum(self.work.time.values())

    def _solve(self, params: Any, inputs: list[Dims], turns: float) -> list[Dims]:
        """Follow the program that solves equations; the others are for derivatives."""
        lengths = params["const_lengths"]
        first = lengths.matvec + lengths.vecmat
        mine = inputs[first : first + lengths.solve]
        return self.through(bare(params["jaxprs"].solve), [*mine, *inputs[sum(lengths) :]], turns)

    def _note_keys(self, equation: Any, inputs: list[Dims]) -> None:
        if self.work is None:
            return
        name = equation.primitive.name
        if name in ("random_seed", "random_wrap"):
            self.work.drawn |= {_dtype(equation.outvars[0])}
        elif name == "random_bits" and any(inputs):
            self.work.drawn |= {_dtype(equation.invars[0])}

    def _scan(
        self, equation: Any, inputs: list[Dims], turns: float, changes: list[float]
    ) -> list[Dims]:
        params = equation.params
        body, length = bare(params["jaxpr"]), params["length"]
        first, n_carry = consts_and_carry(equation)
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
        turns *= length
        often = [*changes[:first], *([turns] * (len(inputs) - first))]
        outs = self.through(body, [*consts, *carry, *xs], turns, often)
        self._keep_live(equation.outvars[:n_carry], carry, turns)
        if self.work is not None:
            stacks = [*equation.invars[first + n_carry :], *equation.outvars[n_carry:]]
            for variable, varies in zip(stacks, [*xs, *outs[n_carry:]], strict=True):
                _add(self.work.stacked, varies, nbytes_of(variable))
        return [*carry, *outs[n_carry:]]

    def _while(
        self,
        params: Any,
        variables: Any,
        inputs: list[Dims],
        turns: float,
        changes: list[float],
    ) -> list[Dims]:
        going, carry = _carried(params, inputs)
        n_cond, n_consts = params["cond_nconsts"], len(inputs) - len(carry)
        turns *= _UNKNOWN_TURNS_WITHIN if self._searches else _UNKNOWN_TURNS
        self._searches += 1
        often = [turns] * len(carry)
        for name, begin, end in (("cond_jaxpr", 0, n_cond), ("body_jaxpr", n_cond, n_consts)):
            varies, rates = [*inputs[begin:end], *carry], [*changes[begin:end], *often]
            self.through(bare(params[name]), varies, turns, rates)
        self._searches -= 1
        self._keep_live(variables[n_consts:], carry, turns)
        if self.work is not None:
            self.work.uneven |= going
        return carry

    def _count(self, equation: Any, inputs: list[Dims], turns: float) -> None:
        if self.work is None:
            return
        varies = frozenset[int]().union(*inputs)
        cost = turns * self._cost(equation)
        n_of_matrix = _SOLVED.get(equation.primitive.name, 0)
        if n_of_matrix:
            cost /= 2
            _add(self.work.time, frozenset[int]().union(*inputs[:n_of_matrix]), cost)
        _add(self.work.time, varies, cost)
        by_point = equation.params.get("vmap_method", "") in _BY_POINT
        if (by_point or equation.primitive.name == "io_callback") and not self._branches:
            self.work.serial |= varies
        if equation.primitive.name == "dot_general" and max(map(_size, equation.invars)) >= _LARGE:
            _add(self.apart, inputs[0] & inputs[1], cost)
        self.work.waits |= equation.primitive.name in WAITING
        is_convolution = equation.primitive.name == "conv_general_dilated"
        self.work.convolves |= is_convolution and bool(varies) and turns <= 1
        outputs = [varies] * len(equation.outvars)
        self._keep_live([*equation.invars, *equation.outvars], [*inputs, *outputs], turns)

    def _cost(self, equation: Any) -> float:
        """Return the nanoseconds that an operation takes, very roughly."""
        is_complex = any(_dtype(v).startswith("complex") for v in equation.outvars)
        cost = self._cost_of_reals(equation) * (_COMPLEX if is_complex else 1.0)
        return cost + _ROUTINE * (equation.primitive.name in WAITING)

    def _cost_of_reals(self, equation: Any) -> float:
        name, params = equation.primitive.name, equation.params
        size = sum(map(_size, equation.outvars))
        largest = max(map(_size, equation.invars), default=0)
        if name == "dot_general":
            (summed, _), _ = params["dimension_numbers"]
            length = math.prod(equation.invars[0].aval.shape[d] for d in summed)
            return (size * length + largest) * _MULTIPLY_ADD
        if name == "conv_general_dilated":
            return size * _size(equation.invars[1]) * _MULTIPLY_ADD
        if name in _CUBIC:
            n_elements = size if name == "triangular_solve" else largest
            return n_elements * equation.invars[0].aval.shape[-1] * 10 * _MULTIPLY_ADD
        if name in ("pure_callback", "io_callback"):
            return 0.0 if self._branches else _CALLBACK  # some branches only raise errors
        return max(size, largest) * _WEIGHT_OF.get(name, 1.0) * _OPERATION

    def _keep_live(self, variables: Sequence[Any], varies: Sequence[Dims], turns: float) -> None:
        """Record the bytes of what is in use at the same time, if there are more than before."""
        if self.work is None or turns * _SELDOM < self.work.turns:
            return
        if turns > self.work.turns * _SELDOM:
            self.work.live.clear()
        self.work.turns = max(self.work.turns, turns)
        together: dict[Dims, int] = {}
        for variable, dims in zip(variables, varies, strict=True):
            _add(together, dims, nbytes_of(variable))
        for dims, nbytes in together.items():
            self.work.live[dims] = max(self.work.live.get(dims, 0), nbytes)


def dims_of(atom: Any, known: dict[Any, Dims]) -> Dims:
    """Return the dimensions along which an operand varies, given those of variables."""
    return frozenset() if is_literal(atom) else known.get(atom, frozenset())


def leaving(equation: Any, varies: Sequence[Dims]) -> Dims:
    """Return the dimensions along which points leave a `while` loop at different iterations."""
    return _carried(equation.params, varies)[0]


def _carried(params: Any, inputs: Sequence[Dims]) -> tuple[Dims, list[Dims]]:
    """Return along which dimensions the end of a `while` loop varies, and what it carries."""
    n_cond, n_body = params["cond_nconsts"], params["body_nconsts"]
    cond_consts, body_consts = inputs[:n_cond], inputs[n_cond : n_cond + n_body]
    carry = [*inputs[n_cond + n_body :]]
    while True:
        (going,) = _Walk(None).through(bare(params["cond_jaxpr"]), [*cond_consts, *carry], 1.0)
        outs = _Walk(None).through(bare(params["body_jaxpr"]), [*body_consts, *carry], 1.0)
        # If points leave a loop at different iterations, everything that it carries is batched.
        grown = [a | b | going for a, b in zip(carry, outs, strict=True)]
        if grown == carry:
            return going, carry
        carry = grown


def inner_dims(equation: Any, known: dict[Any, Dims]) -> dict[str, list[Dims]]:
    """Return along which dimensions the inputs of the programs in a loop or branch vary.

    Parameters
    ----------
    equation : the loop or branch; others have no such programs.
    known : of its operands and results.

    Returns
    -------
    The dimensions of all inputs, by the parameter that has the program or, of a branch, programs.
    """
    name, params = equation.primitive.name, equation.params
    ins = [dims_of(atom, known) for atom in equation.invars]
    outs = [known.get(v, frozenset()) for v in equation.outvars]
    if name == "scan":
        first, n_carry = consts_and_carry(equation)
        begin = first + n_carry
        carry = [a | b for a, b in zip(ins[first:begin], outs, strict=False)]
        return {"jaxpr": [*ins[:first], *carry, *ins[begin:]]}
    if name == "while":
        n_cond = params["cond_nconsts"]
        begin = n_cond + params["body_nconsts"]
        carry = [a | b for a, b in zip(ins[begin:], outs, strict=True)]
        return {
            "cond_jaxpr": [*ins[:n_cond], *carry],
            "body_jaxpr": [*ins[n_cond:begin], *carry],
        }
    return {"branches": ins[1:]} if name == "cond" else {}


def may_wait(equation: Any) -> bool:
    """Whether an operation may wait for threads of the CPU client, or holds one that may."""
    every = itertools.chain([equation], equations_within(equation))
    return any(each.primitive.name in WAITING for each in every)


def _dtype(variable: Any) -> str:
    return str(getattr(variable.aval, "dtype", ""))


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


def nbytes_of(variable: Any) -> int:
    """Return the bytes of a variable."""
    return _size(variable) * getattr(getattr(variable.aval, "dtype", None), "itemsize", 4)


def _add(sums: dict[Dims, Any], varies: Dims, amount: Any) -> None:
    sums[varies] = sums.get(varies, 0) + amount
