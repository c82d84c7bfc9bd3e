"""A point of a result that is evaluated again, and compared with what the result has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._grid import lookup, select
from gridax._grid.missing import check_initial, missing_initial
from gridax._grid.points import Points
from gridax._kernel.once import Call
from gridax._outputs.branch import branch, unflattened
from gridax._outputs.derivatives import own_outputs
from gridax._outputs.template import Template, arrays_of, template_of

# Relative differences that the order of operations explains, in single and in double precision.
_ROUNDING = {4: 1e-4, 8: 1e-9}


def index_of(
    points: Points,
    point: int | None,
    labels: Mapping[str, Any],
    method: str | None,
    tolerance: float | None,
) -> tuple[int, ...]:
    """Return the index of a point that is given by its position or by labels."""
    if point is not None:
        i = select.single(point, points.n)
        if i is None or labels:
            raise ValueError(
                f"rerun takes one point: a flat position or labels, got {point!r}"
                + (f" and labels of {', '.join(labels)}" if labels else "")
            )
        return points.grid.unravel(i)
    found = lookup.by_label(points.dataset, labels, method, tolerance)
    open_dims = [d for d, n in points.sizes.items() if d not in found and n > 1]
    several = [d for d, along in found.items() if np.ndim(along)]
    if open_dims or several:
        raise ValueError(
            "rerun takes one point, but several are selected along "
            f"{', '.join(map(repr, [*open_dims, *several]))}; pass one label for each"
        )
    return tuple(int(found.get(dim, 0)) for dim in points.dims)


def call_of(
    call: Call | None, model: Callable[..., Any] | None, dataset: xr.Dataset, template: Template
) -> Call:
    """Return what is to be called: the model of a run, or another one in its place.

    Parameters
    ----------
    call : the model of the run and its arguments; None if the result comes from a file.
    model : takes its place, unless it is None.
    dataset, template : of the result.
    """
    if call is not None:
        return call if model is None else call._replace(model=model)
    if model is None:
        raise ValueError(
            "this result was opened from a file or copied, and files do not hold models; pass "
            "model="
        )
    # A result in a file comes from a compiled program, as far as its dtypes say.
    kinds = {np.dtype(output.dtype) for output in template.outputs}
    was_traced = bool(dataset.attrs.get("x64")) or np.dtype("float64") not in kinds
    return Call(model, is_traced=was_traced)


def difference(result: Any, template: Template, stored: Sequence[Any]) -> str | None:
    """Say which output of a model differs from that in a result, or return None.

    Parameters
    ----------
    result : what the model returned.
    template, stored : the outputs of the result, and their values.
    """
    mine = {o.name: a for o, a in zip(template_of(result).outputs, arrays_of(result), strict=True)}
    # Derivatives come last.
    theirs = dict(zip(_own_names(template), stored, strict=False))
    if set(mine) != set(theirs):
        return f"the model returns {sorted(mine)}, but the result has {sorted(theirs)}"
    for name, value in mine.items():
        now, then = np.asarray(value), np.asarray(theirs[name])
        if now.shape != then.shape or not _agree(now, then):
            return (
                f"the model returns {_short(now)} for the output {name!r}, but the result has "
                f"{_short(then)}"
            )
    return None


def is_alike(result: Any, template: Template) -> bool:
    """Whether a model returned outputs with the names and shapes of those of a result."""
    mine = {o.name: o.shape for o in template_of(result).outputs}
    shapes = [output.shape for output in own_outputs(template.outputs)]
    return mine == dict(zip(_own_names(template), shapes, strict=True))


def _own_names(template: Template) -> list[str]:
    """Return the names of outputs as the model returns them, where others may have been taken."""
    return [name for part in template.parts for name in part.output_names]


def _agree(now: np.ndarray, then: np.ndarray) -> bool:
    if not np.issubdtype(then.dtype, np.inexact):
        return bool(np.array_equal(now, then))
    size = min(array.real.dtype.itemsize for array in (now, then))
    scale = np.abs(then[np.isfinite(then)]).max(initial=0.0)
    rounding = _ROUNDING.get(size, 1e-2)
    return bool(np.allclose(now, then, rtol=rounding, atol=rounding * scale, equal_nan=True))


def _short(array: np.ndarray) -> str:
    with np.printoptions(threshold=6, edgeitems=2, precision=8):
        return str(array).replace("\n", "")


def startable(points: Points, template: Template, carried: Sequence[Any] | None) -> Points:
    """Return points whose carried leaves are known, although a file lacks initial values.

    They are not needed where something was carried; what was carried then takes their place.

    Parameters
    ----------
    points : from a file.
    template : the outputs.
    carried : the outputs that were carried to a point; None if it starts by itself.

    Raises
    ------
    ValueError
        If it starts by itself from an initial value that a file lacks.
    """
    if carried is None:
        check_initial(points)
    if carried is None or not missing_initial(points):
        return points
    branches = [branch(template, leaf.output, path) for path, leaf in points.carried.items()]
    impls = [template.outputs[k].impl for each in branches for k in each.numbers]
    leaves = [
        array if impl is None else jax.random.wrap_key_data(jnp.asarray(array), impl=impl)
        for array, impl in zip(carried, impls, strict=True)
    ]
    return points.with_initial(unflattened([each.structure for each in branches], leaves))
