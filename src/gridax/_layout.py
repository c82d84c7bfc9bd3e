"""Products of a matrix and a vector, written so that vectorizing them moves nothing about.

Under `jax.vmap`, ``W @ x`` with one matrix for many vectors becomes the product of the matrix and
the transposed stack of vectors, and its result is transposed back: two copies in every step of a
simulation. ``x @ W.T`` is the same sum, and its stack stays as it is.
"""

from __future__ import annotations

from typing import Any


def vectors_first(jaxpr: Any) -> Any:
    """Return a jaxpr with the vector first in each product of a matrix and a vector."""
    return jaxpr.replace(eqns=[_rewritten(equation) for equation in jaxpr.eqns])


def _rewritten(equation: Any) -> Any:
    if equation.primitive.name == "dot_general":
        return _swapped(equation) if _is_matrix_by_vector(equation) else equation
    params = {name: _within(value) for name, value in equation.params.items()}
    same = all(params[name] is value for name, value in equation.params.items())
    return equation if same else equation.replace(params=params)


def _within(value: Any) -> Any:
    """Rewrite a program among the parameters of an equation; leave everything else."""
    if type(value) in (tuple, list):  # those with named fields know more than their programs
        return type(value)(map(_within, value)) if any(map(_is_program, value)) else value
    if not _is_program(value):
        return value
    if hasattr(value, "jaxpr"):
        return value.replace(jaxpr=vectors_first(value.jaxpr))
    return vectors_first(value)


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns") and hasattr(value, "replace")


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
