"""What each stage of a traced model depends on, and roughly what it costs.

A walk over the traced program follows which dimensions of the grid every value varies along. From
it the plan learns what can be shared between points and which tiles are worth their size. Costs
are estimates in nanoseconds on one core; only their proportions matter.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

Dims = frozenset[int]

# Of an element of the result, where it is not one simple operation. Measured on a CPU core.
_WEIGHTS = dict.fromkeys(("exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "logistic"), 6.0)
_WEIGHTS |= dict.fromkeys(("tanh", "tan", "atan2", "erf", "erf_inv", "pow", "lgamma"), 10.0)
_WEIGHTS |= dict.fromkeys(("random_bits", "threefry2x32"), 60.0)
_WEIGHTS |= dict.fromkeys(("div", "sqrt", "rsqrt", "cbrt", "rem"), 3.0)
_WEIGHTS |= dict.fromkeys(("sort", "top_k"), 40.0)
_WEIGHTS |= dict.fromkeys(("gather", "scatter", "scatter-add", "dynamic_slice"), 2.0)
_WEIGHTS |= dict.fromkeys(("reshape", "squeeze", "expand_dims", "broadcast_in_dim", "copy"), 0.2)
_OPERATION = 0.04
_MULTIPLY_ADD = 0.01
_READ = 0.02
# What a loop pays per turn, and for an operation that is not fused, or fused, with its neighbours.
_TURN, _APART_COST, _FUSED_COST = 500.0, 300.0, 10.0
_APART = {"dot_general", "random_bits", "threefry2x32", "gather", "scatter", "sort", "cumsum"}
_UNKNOWN_TURNS = 100


@dataclasses.dataclass(eq=False)
class Work:
    """The work of one point, by the set of dimensions that each stage varies along.

    Attributes
    ----------
    time : estimated nanoseconds of arithmetic.
    launches : estimated nanoseconds that a whole tile pays once, whatever its size.
    state : bytes that loops carry from turn to turn.
    stacked : bytes of arrays that loops read or write slice by slice.
    outputs : dimensions that each output varies along.
    uneven : dimensions along which the number of turns of a loop differs.
    """

    time: dict[Dims, float] = dataclasses.field(default_factory=dict)
    launches: float = 0.0
    state: dict[Dims, int] = dataclasses.field(default_factory=dict)
    stacked: dict[Dims, int] = dataclasses.field(default_factory=dict)
    outputs: tuple[Dims, ...] = ()
    uneven: Dims = frozenset()


def work_of(jaxpr: Any, varies: Sequence[Dims]) -> Work:
    """Return the work of a traced program whose inputs vary along some dimensions each."""
    work = Work()
    work.outputs = tuple(_Walk(work).through(jaxpr, list(varies), 1.0))
    return work


class _Walk:
    """A walk that adds up costs, or with ``work=None`` only follows dependences."""

    def __init__(self, work: Work | None) -> None:
        self.work = work

    def through(self, jaxpr: Any, varies: Sequence[Dims], turns: float) -> list[Dims]:
        """Follow a program that runs `turns` times; return what its results vary along."""
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
        if name == "scan":
            return self._scan(equation, inputs, turns)
        if name == "while":
            return self._while(params, equation.invars, inputs, turns)
        if name == "cond":
            index, *rest = inputs
            if self.work is not None:
                self.work.uneven |= index  # a loop of bounded length ends by a branch like this
            branches = [self.through(_open(b), rest, turns) for b in params["branches"]]
            return [index.union(*outs) for outs in zip(*branches, strict=True)]
        inner = [_open(p) for p in params.values() if hasattr(_open(p), "eqns")]
        if len(inner) == 1 and len(inner[0].invars) == len(inputs):
            return self.through(inner[0], inputs, turns)
        varies: Dims = frozenset().union(*inputs)
        for sub in inner:
            self.through(sub, [varies] * len(sub.invars), turns)
        self._count(equation, inputs, turns)
        return [varies] * len(equation.outvars)

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
        outs = self.through(body, [*consts, *carry, *xs], turns * length)
        if self.work is not None:
            self.work.launches += turns * length * _TURN
            for variable, varies in zip(equation.outvars, carry, strict=False):
                _add(self.work.state, varies, _nbytes(variable))
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
            # A loop that ends at different turns has all it carries batched.
            grown = [a | b | going for a, b in zip(carry, outs, strict=True)]
            if grown == carry:
                break
            carry = grown
        self.through(cond, [*cond_consts, *carry], turns * _UNKNOWN_TURNS)
        self.through(body, [*body_consts, *carry], turns * _UNKNOWN_TURNS)
        if self.work is not None:
            self.work.launches += turns * _UNKNOWN_TURNS * _TURN
            self.work.uneven |= going
            for variable, varies in zip(variables[n_cond + n_body :], carry, strict=True):
                _add(self.work.state, varies, _nbytes(variable))
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
            # A matrix that is the same for many vectors need not be read again for each.
            for variable, own in zip(equation.invars, inputs, strict=True):
                _add(self.work.time, own, turns * _size(variable) * _READ)
        elif name.startswith(("reduce", "cum", "arg")):
            cost = sum(map(_size, equation.invars)) * _OPERATION
        else:
            cost = size * _WEIGHTS.get(name, 1.0) * _OPERATION
        _add(self.work.time, varies, turns * cost)
        self.work.launches += turns * (_APART_COST if name in _APART else _FUSED_COST)


def _open(program: Any) -> Any:
    """Return the bare program in a closed one."""
    return getattr(program, "jaxpr", program)


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


def _nbytes(variable: Any) -> int:
    return _size(variable) * getattr(getattr(variable.aval, "dtype", None), "itemsize", 4)


def _add(sums: dict[Dims, Any], varies: Dims, amount: Any) -> None:
    sums[varies] = sums.get(varies, 0) + amount
