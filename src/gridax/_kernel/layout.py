"""Products of a matrix and a vector, written so that vectorizing them moves nothing about.

Under `jax.vmap`, ``W @ x`` with one matrix for many vectors becomes the product of the matrix and
the transposed stack of vectors, and its result is transposed back: two copies in every step of a
simulation. ``x @ W.T`` is the same sum, and its stack stays as it is.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def vectors_first(closed: Any) -> Any:
    """Return a closed jaxpr with the vector first in each product of a matrix and a vector.

    It has constants of its own, which do not change with arrays of the user's.
    """
    return _closed(closed, {})


# A program that occurs several times stays one program, by the identity of the one it was.
_Known = dict[int, Any]


def _closed(closed: Any, known: _Known) -> Any:
    if id(closed) not in known:
        consts = [c if isinstance(c, jax.Array) else np.array(c) for c in closed.consts]
        known[id(closed)] = closed.replace(jaxpr=_open(closed.jaxpr, known), consts=consts)
    return known[id(closed)]


def _open(jaxpr: Any, known: _Known) -> Any:
    if id(jaxpr) not in known:
        equations = [_rewritten(equation, known) for equation in jaxpr.eqns]
        known[id(jaxpr)] = jaxpr.replace(eqns=equations)
    return known[id(jaxpr)]


def _rewritten(equation: Any, known: _Known) -> Any:
    if equation.primitive.name == "dot_general":
        return _swapped(equation) if _is_matrix_by_vector(equation) else equation
    params = {name: _within(value, known) for name, value in equation.params.items()}
    same = all(params[name] is value for name, value in equation.params.items())
    return equation if same else equation.replace(params=params)


def _within(value: Any, known: _Known) -> Any:
    """Rewrite a program among the parameters of an equation; leave everything else."""
    if type(value) in (tuple, list):  # those with named fields know more than their programs
        inner = [_within(each, known) for each in value]
        same = all(new is old for new, old in zip(inner, value, strict=True))
        return value if same else type(value)(inner)
    if not (hasattr(value, "eqns") and hasattr(value, "replace")):
        return value
    return (_closed if hasattr(value, "consts") else _open)(value, known)


def _is_matrix_by_vector(equation: Any) -> bool:
    (of_matrix, of_vector), (batch, _) = equation.params["dimension_numbers"]
    matrix, vector = (len(variable.aval.shape) for variable in equation.invars)
    return not batch and vector == len(of_vector) and matrix > len(of_matrix)


def _swapped(equation: Any) -> Any:
    (of_matrix, of_vector), batch = equation.params["dimension_numbers"]
    params = {**equation.params, "dimension_numbers": ((of_vector, of_matrix), batch)}
    if isinstance(params.get("precision"), tuple):
        params["precision"] = params["precision"][::-1]
    return equation.replace(invars=list(equation.invars[::-1]), params=params)
