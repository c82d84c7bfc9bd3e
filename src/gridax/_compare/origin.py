"""How what was run differs between two results: model, versions, arguments, fixed values, key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gridax._compare.align import Alignment, Side
from gridax._run import fingerprints
from gridax._show.facts import commit_text, described, key_text
from gridax._text import number_of

_NONE = "none"
# Attributes that are compared as they are, with what they are called.
_PLAIN = {
    "model": "model",
    "mode": "mode",
    "device": "device",
    "gridax_version": "gridax",
    "jax_version": "jax",
    "xarray_version": "xarray",
    "script": "script",
}


class OriginDifference(NamedTuple):
    """Something that differs between what was run to obtain two results.

    Attributes
    ----------
    what : str
        What differs, such as ``"model"``, ``"fixed value dt"`` or ``"argument n"``.
    a, b : str
        What each of the results says.
    """

    what: str
    a: str
    b: str


def differences(a: Side, b: Side, alignment: Alignment) -> Iterator[OriginDifference]:
    """Yield what differs in what was run, as far as both results say."""
    mine, theirs = a.dataset.attrs, b.dataset.attrs
    if "gridax_format" in mine and "gridax_format" in theirs:
        for row in (*_simple(mine, theirs), *_digested(a, b, alignment)):
            if row.a != row.b:
                yield row
    yield from _units(a, b, alignment)
    yield from _values(a, b, alignment)


def _units(a: Side, b: Side, alignment: Alignment) -> Iterator[OriginDifference]:
    for name in alignment.axes:
        if name in a.dataset.coords and name in b.dataset.coords:
            mine, theirs = (str(side.dataset[name].attrs.get("units", _NONE)) for side in (a, b))
            if mine != theirs:
                yield OriginDifference(f"units of {name}", mine, theirs)


def _simple(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[OriginDifference]:
    for name, what in _PLAIN.items():
        yield OriginDifference(what, str(mine.get(name, _NONE)), str(theirs.get(name, _NONE)))
    yield OriginDifference("commit", commit_text(mine) or _NONE, commit_text(theirs) or _NONE)
    bits = ("float64" if attrs.get("x64") else "float32" for attrs in (mine, theirs))
    yield OriginDifference("precision", *bits)
    yield OriginDifference("key", key_text(mine), key_text(theirs))


def _digested(a: Side, b: Side, alignment: Alignment) -> Iterator[OriginDifference]:
    """Yield what digests tell apart: fixed values, arguments, and the source of the model."""
    try:
        parts = [fingerprints.read(side.dataset.attrs) for side in (a, b)]
    except ValueError:  # missing or damaged
        yield from _undigested(a, b, alignment)
        return
    fixed = [part["fixed"] for part in parts]
    for name in {**fixed[0], **fixed[1]}:
        if name in alignment.axes:
            continue
        whole = name.rpartition(".")[0]
        if all(whole in side for side in fixed) and not all(name in side for side in fixed):
            continue  # part of something that only one of them has, of which the whole is listed
        (code, here), (other, there) = (side.get(name, ("", _NONE)) for side in fixed)
        if (code, here) != (other, there):
            if here == there:
                here, there = f"{here} with digest {code}", f"{there} with digest {other}"
            is_argument = name.startswith(("argument ", "keyword argument "))
            yield OriginDifference(name if is_argument else f"fixed value {name}", here, there)
    reductions = [(part.get("reduce") or ["", _NONE])[1] for part in parts]
    yield OriginDifference("reduced by", str(reductions[0]), str(reductions[1]))
    models = [part["model"] for part in parts]
    versions = [str(model.get("version") or _NONE) for model in models]
    yield OriginDifference("version of the model", *versions)
    sources = [model.get("source") for model in models]
    if all(sources):
        yield OriginDifference("source of the model", *(f"digest {source}" for source in sources))
    libraries = [model.get("libraries") or {} for model in models]
    for name in {**libraries[0], **libraries[1]}:
        yield OriginDifference(name, *(str(each.get(name, _NONE)) for each in libraries))


def _undigested(a: Side, b: Side, alignment: Alignment) -> Iterator[OriginDifference]:
    for what, name in (("argument", "arguments"), ("fixed value", "fixed_arrays")):
        mine, theirs = (described(side.dataset.attrs, name) for side in (a, b))
        for each in {**mine, **theirs}:
            yield OriginDifference(f"{what} {each}", mine.get(each, _NONE), theirs.get(each, _NONE))
    scalars = [
        {str(n): repr(c.item()) for n, c in side.dataset.coords.items() if c.ndim == 0}
        for side in (a, b)
    ]
    for name in {**scalars[0], **scalars[1]}:
        if name not in alignment.axes:
            values = (side.get(name, _NONE) for side in scalars)
            yield OriginDifference(f"fixed value {name}", *values)


def _values(a: Side, b: Side, alignment: Alignment) -> Iterator[OriginDifference]:
    """Yield axes that have other values at the same labels, such as matrices and keys."""
    if alignment.problem or alignment.is_listed:
        return
    for dim, pair in alignment.pairs.items():
        twin = alignment.twins[dim]
        for name in alignment.axes:
            value = f"{name}_value"
            both = (a.dataset.coords.get(value), b.dataset.coords.get(value))
            if both[0] is None or both[1] is None:
                continue
            if dim not in both[0].dims or twin not in both[1].dims:
                continue
            mine = _rows(both[0].variable, dim, pair[0])
            theirs = _rows(both[1].variable, twin, pair[1])
            if mine.shape != theirs.shape:
                shapes = (f"shape {list(each.shape[1:])}" for each in (mine, theirs))
                yield OriginDifference(f"values of {name}", *shapes)
                continue
            differ = (mine != theirs) & ~((mine != mine) & (theirs != theirs))
            n = int(differ.reshape(len(differ), -1).any(1).sum())
            if n:
                where = f"differ at {n} of {number_of(len(differ), 'common label')}"
                yield OriginDifference(f"values of {name}", where, where)


def _rows(variable: xr.Variable, dim: str, rows: np.ndarray) -> np.ndarray:
    return variable.transpose(dim, ...).values[rows]
