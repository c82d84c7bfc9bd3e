"""Computes what the points of a tile share once, before its points follow each other.

Levels with a depth are a loop around the vectorized program. What does not vary along them, such as
the noise of a trial that many couplings share, would be computed again in each iteration.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from gridax._kernel.nesting import evaluated, nested, varying_axes
from gridax._plan.plan import Level
from gridax._plan.programs import has_reference, variables
from gridax._plan.work import Dims, dependencies, nbytes_of, work_of, work_of_one

# Fraction of the estimated time that must be saved, and bytes that may be kept meanwhile.
_WORTH, _MOST_BYTES = 0.02, 2**25


class Hoisted(NamedTuple):
    """A program in two parts.

    Attributes
    ----------
    before : what does not vary along some dimensions, as a jaxpr without constants.
    after : the rest; its inputs are those of `before`, and its outputs.
    varies : dimensions along which the outputs of `before` vary.
    """

    before: Any
    after: Any
    varies: list[Dims]


def hoisted(jaxpr: Any, varies: Sequence[Dims], levels: Sequence[Level]) -> Hoisted | None:
    """Return what is computed before a loop over the levels with a depth; None if not worth it.

    Parameters
    ----------
    jaxpr : the program of one point.
    varies : dimensions along which its constants and its inputs vary.
    levels : of the tile.
    """
    deep = frozenset(dim for level in levels if level.depth > 1 for dim in level.dims)
    if not deep:
        return None
    inputs = [*jaxpr.constvars, *jaxpr.invars]
    whole = jaxpr.replace(constvars=[], invars=inputs)
    along = dependencies(whole, varies)
    free: list[Any] = []
    early: list[Any] = []
    late: list[Any] = []
    made: set[Any] = set()  # by equations that stay
    for equation in jaxpr.eqns:
        reads = variables(equation.invars)
        stays = any(v in made or not along[v].isdisjoint(deep) for v in reads)
        if stays or equation.effects or has_reference((*equation.invars, *equation.outvars)):
            late.append(equation)
            made.update(equation.outvars)
        else:
            (early if reads else free).append(equation)
    read = {*variables(jaxpr.outvars), *(v for e in late for v in variables(e.invars))}
    kept = [v for e in early for v in e.outvars if v in read]
    before = whole.replace(eqns=[*free, *early], outvars=kept, effects=set())
    if not kept or not _is_worth_it(early, whole, varies, kept, along, levels):
        return None
    # Constants, such as a range of numbers, are in both parts, where the compiler knows them.
    again = [e for e in free if not read.isdisjoint(e.outvars)]
    after = whole.replace(eqns=[*again, *late], invars=[*inputs, *kept])
    return Hoisted(before, after, [along[v] for v in kept])


def _is_worth_it(
    early: Sequence[Any],
    whole: Any,
    varies: Sequence[Dims],
    kept: Sequence[Any],
    along: dict[Any, Dims],
    levels: Sequence[Level],
) -> bool:
    total = sum(work_of(whole, varies).time.values())
    saved = sum(sum(work_of_one(whole, each, along).time.values()) for each in early)
    nbytes = sum(
        nbytes_of(v)
        * math.prod(level.width for level in levels if not along[v].isdisjoint(level.dims))
        for v in kept
    )
    return saved > _WORTH * total and nbytes <= _MOST_BYTES


def shared(
    parts: Hoisted,
    levels: Sequence[Level],
    inputs: Sequence[Any],
    varies: Sequence[Dims],
) -> list[Any]:
    """Return the outputs of the first part, with one leading axis per level that each varies along.

    Parameters
    ----------
    parts : the program.
    levels : of the tile.
    inputs : of its first part, with one leading axis per level; those that it does not need may
        have any value.
    varies : dimensions along which they vary.
    """
    flat = [level for level in levels if level.depth == 1]
    function = functools.partial(evaluated, parts.before)
    outs = nested(flat, function, inputs, varies, parts.varies)
    return [out[varying_axes(flat, each)] for out, each in zip(outs, parts.varies, strict=True)]
