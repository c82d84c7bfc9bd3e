"""Products of a matrix and a vector, written so that vectorizing them copies nothing.

Under `jax.vmap`, ``W @ x`` with one matrix for many vectors becomes the product of the matrix and
the transposed stack of vectors, and its result is transposed back: two copies in every step of a
simulation. ``x @ W.T`` is the same sum, and its stack stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def vectors_first(closed: Any) -> Any:
    """Return a closed jaxpr with the vector first in each product of a matrix and a vector."""

    def swapped(equation: Any) -> Any:
        is_product = equation.primitive.name == "dot_general"
        return _swapped(equation) if is_product and _is_matrix_by_vector(equation) else equation

    return Rewriting(swapped).closed(closed)


def with_own_constants(closed: Any) -> Any:
    """Return a closed jaxpr whose constants do not change with the user's arrays."""

    def copied(constant: Any) -> Any:
        return constant if isinstance(constant, jax.Array) else np.array(constant)

    return Rewriting(constant=copied).closed(closed)


class Rewriting:
    """Rewrites a program and those within it.

    Parameters
    ----------
    equation, constant, program : return what takes the place of one; by default, itself. What is
        within an equation or a program has been rewritten by then.
    whole : returns what takes the place of an equation and everything within it, or None.
    """

    def __init__(
        self,
        equation: Callable[[Any], Any] = lambda equation: equation,
        constant: Callable[[Any], Any] = lambda constant: constant,
        program: Callable[[Any], Any] = lambda jaxpr: jaxpr,
        whole: Callable[[Any], Any | None] = lambda equation: None,
    ) -> None:
        self._equation, self._constant, self._program = equation, constant, program
        self._whole = whole
        # By the identity of the original: a program that occurs twice stays one program.
        self._known: dict[int, Any] = {}

    def closed(self, closed: Any) -> Any:
        """Return a closed jaxpr, rewritten."""
        if id(closed) not in self._known:
            consts = [self._constant(constant) for constant in closed.consts]
            new = closed.replace(jaxpr=self._open(closed.jaxpr), consts=consts)
            self._known[id(closed)] = new
        return self._known[id(closed)]

    def _open(self, jaxpr: Any) -> Any:
        if id(jaxpr) not in self._known:
            equations = [self.rewritten(equation) for equation in jaxpr.eqns]
            self._known[id(jaxpr)] = self._program(jaxpr.replace(eqns=equations))
        return self._known[id(jaxpr)]

    def rewritten(self, equation: Any) -> Any:
        """Return an equation and what is within it, rewritten."""
        whole = self._whole(equation)
        if whole is not None:
            return whole
        params = {name: self._within(value) for name, value in equation.params.items()}
        same = all(params[name] is value for name, value in equation.params.items())
        return self._equation(equation if same else equation.replace(params=params))

    def _within(self, value: Any) -> Any:
        """Rewrite a program among the parameters of an equation; leave everything else."""
        if type(value) in (tuple, list):  # named tuples hold facts about their programs, too
            inner = [self._within(each) for each in value]
            same = all(new is old for new, old in zip(inner, value, strict=True))
            return value if same else type(value)(inner)
        if not (hasattr(value, "eqns") and hasattr(value, "replace")):
            return value
        return self.closed(value) if hasattr(value, "consts") else self._open(value)


def _is_matrix_by_vector(equation: Any) -> bool:
    (of_matrix, of_vector), (batch, _) = equation.params["dimension_numbers"]
    matrix, vector = (len(variable.aval.shape) for variable in equation.invars)
    return not batch and vector == len(of_vector) and matrix > len(of_matrix)


def _swapped(equation: Any) -> Any:
    (of_matrix, of_vector), batch = equation.params["dimension_numbers"]
    params = {
        **equation.params,
        "dimension_numbers": ((of_vector, of_matrix), batch),
        "precision": swapped_precision(equation.params.get("precision")),
    }
    return equation.replace(invars=list(equation.invars[::-1]), params=params)


def swapped_precision(precision: Any) -> Any:
    """Return the precision for operands in the other order."""
    if type(precision) is tuple:  # one per operand
        return precision[::-1]
    if isinstance(precision, jax.lax.DotAlgorithm):  # a named tuple
        return precision._replace(
            lhs_precision_type=precision.rhs_precision_type,
            rhs_precision_type=precision.lhs_precision_type,
            lhs_component_count=precision.rhs_component_count,
            rhs_component_count=precision.lhs_component_count,
        )
    return precision  # one for both
