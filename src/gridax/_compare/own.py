"""The labels of the dimensions that an output has at each point, such as time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from gridax._compare.align import Alignment, Side, matched
from gridax._show.labels import label_texts
from gridax._text import listing

# How many labels that differ are told.
_MOST = 3

Labels = Mapping[str, xr.Variable]


def own_labels(side: Side, output: str, alignment: Alignment, number: int) -> Labels:
    """Return the coordinates along an output's own dimensions."""
    own = alignment.own(side.outputs[output], number)
    coords = {str(name): c.variable for name, c in side.dataset[output].coords.items()}
    return {
        name: variable
        for name, variable in coords.items()
        if variable.ndim and own.keys() >= set(variable.dims) and name not in alignment.axes
    }


def arranged_alike(
    variable: xr.Variable, mine: Labels, theirs: Labels
) -> tuple[xr.Variable, Labels]:
    """Return an output and its labels in the order that the other result has these labels in."""
    for dim in mine.keys() & theirs.keys() & set(map(str, variable.dims)):
        one, other = mine[dim], theirs[dim]
        if one.dims != (dim,) or one.shape != other.shape:
            continue
        first, second = _pairs(one.values, other.values)
        order = second[np.argsort(first)]
        if len(order) == one.size and (np.diff(order) != 1).any():
            variable = variable.isel({dim: order})
            theirs = {n: v.isel({dim: order}, missing_dims="ignore") for n, v in theirs.items()}
    return variable, theirs


def differing(mine: Labels, theirs: Labels) -> tuple[str, str] | None:
    """Return what each result has of the labels that differ, as text; None if none does."""
    texts: list[tuple[str, str]] = []
    for name in {**mine, **theirs}:
        one, other = mine.get(name), theirs.get(name)
        if one is None or other is None:
            shown = [f"{name}=none" if v is None else _first(name, v) for v in (one, other)]
            texts.append((shown[0], shown[1]))
        elif one.dims != other.dims or one.shape != other.shape:
            texts.append((_first(name, one), _first(name, other)))
        else:
            unlike = _unlike(one.values, other.values)
            if unlike.any():
                texts.append((_first(name, one, unlike), _first(name, other, unlike)))
    return (", ".join(a for a, _ in texts), ", ".join(b for _, b in texts)) if texts else None


def _first(name: str, variable: xr.Variable, which: np.ndarray | None = None) -> str:
    values = variable.values if which is None else variable.values[which]
    flat = values.reshape(-1)[: _MOST + 1]
    is_time = flat.dtype.kind in "mM"
    texts = label_texts(flat) if is_time else [repr(label) for label in flat.tolist()]
    more = values.size > _MOST
    shown = [*texts[:_MOST], "…"] if more else texts
    return f"{name}={texts[0]}" if len(texts) == 1 else f"{name}=[{listing(shown, 9)}]"


def _pairs(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return matched({"": one}, {"": other})
    except (TypeError, ValueError):  # of objects that have no order
        return np.empty(0, int), np.empty(0, int)


def _unlike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which labels differ by more than rounding; missing ones equal each other."""
    if one.dtype.kind in "iufb" and other.dtype.kind in "iufb":
        rtol = 1e-6 if min(one.dtype.itemsize, other.dtype.itemsize) < 8 else 1e-12
        return ~np.isclose(one.astype(float), other.astype(float), rtol, 0.0, equal_nan=True)
    if one.dtype.kind == other.dtype.kind and one.dtype.kind in "mM":
        return np.asarray((one != other) & ~(np.isnat(one) & np.isnat(other)))
    pairs = zip(one.ravel().tolist(), other.ravel().tolist(), strict=True)
    unlike = [a != b and not (a != a and b != b) for a, b in pairs]
    return np.array(unlike, bool).reshape(one.shape)
