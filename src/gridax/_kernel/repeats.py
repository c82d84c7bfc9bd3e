"""Merges operations of a program that compute the same from the same values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridax._kernel.layout import Rewriting
from gridax._plan.programs import is_literal


def without_repeats(closed: Any) -> Any:
    """Return a closed jaxpr in which nothing is computed twice from the same values."""
    return Rewriting(program=_merged).closed(closed)


def _merged(jaxpr: Any) -> Any:
    same: dict[Any, Any] = {}
    known: dict[Any, Sequence[Any]] = {}
    equations = []
    for equation in jaxpr.eqns:
        invars = [atom if is_literal(atom) else same.get(atom, atom) for atom in equation.invars]
        key = _key(equation, invars)
        if key in known:
            same.update(zip(equation.outvars, known[key], strict=True))
            continue
        if key is not None and not any(map(_is_dropped, equation.outvars)):
            known[key] = equation.outvars
        equations.append(equation.replace(invars=invars))
    outvars = [atom if is_literal(atom) else same.get(atom, atom) for atom in jaxpr.outvars]
    return jaxpr.replace(eqns=equations, outvars=outvars)


def _is_dropped(variable: Any) -> bool:
    return type(variable).__name__ == "DropVar"


def _key(equation: Any, invars: Sequence[Any]) -> Any:
    """Return what tells the results of an equation apart; None if nothing does."""
    if equation.effects:
        return None
    atoms = tuple(
        (str(atom.aval), np.asarray(atom.val).tobytes()) if is_literal(atom) else atom
        for atom in invars
    )
    key = (
        equation.primitive,
        atoms,
        tuple(sorted(equation.params.items(), key=lambda item: item[0])),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key
