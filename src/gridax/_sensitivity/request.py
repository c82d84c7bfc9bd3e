"""What indices are asked for: outputs and parameters, and whether they can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._grid.points import Points, labels_text
from gridax._outputs.derivatives import own_outputs
from gridax._outputs.template import Output
from gridax._text import count, did_you_mean, listing, number_of

# The states of points, as runs record them.
_DONE, _FAILED = 1, 2


def split_names(
    names: Sequence[str], outputs: Sequence[Output], points: Points
) -> tuple[list[str], list[str]]:
    """Return which names are those of outputs, and which those of parameters."""
    output_names = [o.name for o in outputs]
    parameters = [*dict.fromkeys([*(c.name for c in points.grid.columns), *points.dims])]
    known = [*output_names, *parameters]
    for name in names:
        if name not in known:
            meant = did_you_mean(str(name), known) or "."
            raise ValueError(
                f"sobol: no output or axis {name!r}{meant} The outputs are "
                f"{listing(output_names)}, and the axes {listing(parameters)}"
            )
    unique = list(dict.fromkeys(names))
    return [n for n in unique if n in output_names], [n for n in unique if n not in output_names]


def chosen_outputs(
    wanted: Sequence[str], outputs: Sequence[Output], dataset: xr.Dataset, dims: Sequence[str]
) -> list[Output]:
    """Return the outputs that are real numbers at each label of some dimensions."""
    problems = {}
    for output in outputs:
        lacks = [dim for dim in dims if dim not in dataset.variables[output.name].dims]
        dtype = "PRNG keys" if output.impl is not None else str(output.dtype)
        is_real = output.dtype == bool or any(
            jnp.issubdtype(output.dtype, kind) for kind in (jnp.floating, jnp.integer)
        )
        if output.impl is not None or not is_real:
            problems[output.name] = f"is {dtype}, not real numbers"
        elif 0 in output.shape:
            problems[output.name] = "is empty"
        elif lacks:
            problems[output.name] = f"was reduced along {lacks[0]!r}"
    for name in wanted:
        if name in problems:
            raise ValueError(f"sobol: output {name!r} {problems[name]}")
    asked_for = wanted or [o.name for o in own_outputs(outputs)]
    chosen = [o for o in outputs if o.name not in problems and o.name in asked_for]
    if not chosen:
        listed = "; ".join(f"{name!r} {problem}" for name, problem in problems.items())
        raise ValueError(f"sobol: no output has indices among {listing(dims)}: {listed}")
    return chosen


def check_complete(dataset: xr.Dataset, points: Points) -> None:
    """Reject a product in which points failed or were not evaluated yet."""
    status = dataset.variables.get("status")
    if status is None or set(status.dims) != set(points.dims):
        return
    values = status.transpose(*points.dims).values
    n_failed = int((values == _FAILED).sum())
    n_pending = int((values != _DONE).sum()) - n_failed
    if n_failed or n_pending:
        first = np.unravel_index(int((values != _DONE).argmax()), values.shape)
        parts = [(n_failed, "failed"), (n_pending, "pending")]
        listed = " and ".join(f"{count(n)} {what}" for n, what in parts if n)
        raise ValueError(
            f"sobol: of {number_of(points.n, 'point')}, {listed}, the first at "
            f"{where(points, points.dims, first)}; a product needs all of them. Run these again, "
            "or use gx.saltelli, which can do without some"
        )


def where(points: Points, dims: Sequence[str], index: Sequence[Any]) -> str:
    """Return the labels at an index along some dimensions."""
    return labels_text(points.along(dims), dict(zip(dims, index, strict=True)))
