"""How the values of an output differ at common points, read piece by piece."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._arrays import is_floating
from gridax._compare.align import Alignment
from gridax._compare.own import Labels, arranged_alike, differing

# Bytes of an output that are read at a time.
_PIECE = 2**27

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, eq=False)
class OutputDifference:
    """How one output differs between two results.

    Attributes
    ----------
    name : str
        Name of the output.
    equal : bool
        Whether dimensions, their labels, units, dtypes and the values at all common points are
        equal; NaN equals NaN.
    max_abs, max_rel : float
        Largest absolute difference, and largest difference relative to the value in the second
        result, where that is not zero. NaN if there is nothing to compare, as for strings.
    worst : dict
        Labels of the point with the largest absolute difference; empty if there is none.
    n_beyond : int
        Number of points at which a value differs by more than the tolerances.
    n_nan : int
        Number of points at which a value is NaN in one of the results only.
    dims, shape, dtype, units, labels : tuple of two str, or None
        What both results have, where that differs. Values of different own dimensions or shapes are
        not compared. Along own dimensions, such as time, values are compared label by label if both
        results have the same labels, else in their order; `labels` has the first that differ.
    """

    name: str
    equal: bool
    max_abs: float
    max_rel: float
    worst: Mapping[str, Any]
    n_beyond: int
    n_nan: int
    dims: Pair | None = None
    shape: Pair | None = None
    dtype: Pair | None = None
    units: Pair | None = None
    labels: Pair | None = None

    @property
    def allclose(self) -> bool:
        """Whether it agrees within the tolerances, in whatever dtype."""
        unlike = self.dims or self.shape or self.units or self.labels
        return not (self.n_beyond or self.n_nan or unlike)


def difference(
    name: str,
    variables: tuple[xr.Variable, xr.Variable],
    labels: tuple[Labels, Labels],
    alignment: Alignment,
    rtol: float,
    atol: float,
) -> OutputDifference:
    """Compare an output of two results, with labels of its own, at their common points."""
    owns = [alignment.own(variable, side) for side, variable in enumerate(variables)]
    dims = _unless_same(*(", ".join(own) or "none" for own in owns))
    shape = _unless_same(*(" × ".join(map(str, own.values())) or "one value" for own in owns))
    dtype = _unless_same(*(_kind(v.dtype) for v in variables))
    units = _unless_same(*(str(v.attrs.get("units", "none")) for v in variables))
    unlike = None
    if not (dims or shape):
        theirs, other = arranged_alike(variables[1], *labels)
        variables, unlike = (variables[0], theirs), differing(labels[0], other)
    differ = (dims, shape, dtype, units, unlike)
    if dims or shape or not alignment.n_common:
        return OutputDifference(name, not any(differ), math.nan, math.nan, {}, 0, 0, *differ)
    total = _Total(len(alignment.shape), rtol, atol)
    for offset, a, b in _pieces(variables, alignment):
        total.add(offset, a, b)
    return OutputDifference(
        name,
        total.equal and not any(differ),
        total.max_abs,
        total.max_rel,
        {} if total.worst is None else alignment.labels_at(total.worst),
        total.n_beyond,
        total.n_nan,
        *differ,
    )


def _unless_same(a: str, b: str) -> Pair | None:
    return None if a == b else (a, b)


def _kind(dtype: Any) -> str:
    return "str" if dtype.kind in "OTU" else str(dtype)


def _pieces(
    variables: tuple[xr.Variable, xr.Variable], alignment: Alignment
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield arrays of common points, with the number of the first along the first dimension."""
    full = [alignment.arranged(variable, side) for side, variable in enumerate(variables)]
    if not alignment.pairs:
        yield 0, full[0].values, full[1].values
        return
    first, *rest = alignment.pairs.values()
    row = max(v.nbytes // max(1, len(v)) for v in full)
    step = max(1, _PIECE // max(1, row))
    for start in range(0, len(first[0]), step):
        both = []
        for side, variable in enumerate(full):
            along = [first[side][start : start + step], *(pair[side] for pair in rest)]
            both.append(variable[tuple(map(_as_slice, along))].values)  # each along its dimension
        yield start, both[0], both[1]


def _as_slice(positions: np.ndarray) -> Any:
    """Return positions that follow each other as a slice, which files read in one go."""
    start, n = int(positions[0]), len(positions)
    return slice(start, start + n) if (np.diff(positions) == 1).all() else positions


class _Total:
    """What is known of the differences so far."""

    def __init__(self, n_dims: int, rtol: float, atol: float) -> None:
        self._n_dims, self._rtol, self._atol = n_dims, rtol, atol
        self.equal = True
        self.max_abs = self.max_rel = math.nan
        self.n_beyond = self.n_nan = 0
        self.worst: tuple[int, ...] | None = None
        self._only_nan: tuple[int, ...] | None = None

    def add(self, offset: int, a: np.ndarray, b: np.ndarray) -> None:
        """Compare further points."""
        if a.dtype.kind in "OTUS" or b.dtype.kind in "OTUS":
            beyond, nan = np.asarray(a != b), np.zeros(a.shape, bool)
            gap = np.full(a.shape, np.nan)
            self.equal &= not beyond.any()
        else:
            a, b = _numbers(a), _numbers(b)
            lacking = np.isnan(a), np.isnan(b)
            same = (a == b) | (lacking[0] & lacking[1])
            self.equal &= bool(same.all())
            nan = lacking[0] != lacking[1]
            gap, beyond = self._gaps(a, b, same, nan)
        per_point = [self._by_point(flags) for flags in (beyond, nan)]
        self.n_beyond += int(per_point[0].sum())
        self.n_nan += int(per_point[1].sum())
        self._find_worst(offset, gap, per_point[0] | per_point[1])

    def _gaps(
        self, a: np.ndarray, b: np.ndarray, same: np.ndarray, nan: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the absolute differences, NaN where there are none, and which are too large."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            gap = np.where(same, 0.0, np.abs(a - b))
            size = np.abs(b)
            is_finite = np.isfinite(a) & np.isfinite(b)
            limit = np.where(is_finite, self._atol + self._rtol * size, self._atol)
            relative = np.where(same, 0.0, gap / size)[(size > 0) & ~nan]
        if relative.size:
            self.max_rel = float(np.fmax(self.max_rel, np.fmax.reduce(relative, axis=None)))
        return gap, (gap > limit) & ~nan

    def _by_point(self, flags: np.ndarray) -> np.ndarray:
        return np.asarray(flags.reshape(*flags.shape[: self._n_dims], -1).any(-1))

    def _find_worst(self, offset: int, gap: np.ndarray, differs: np.ndarray) -> None:
        flat = gap.reshape(*gap.shape[: self._n_dims], -1)
        by_point = np.fmax.reduce(flat, axis=-1, initial=np.nan)
        by_point = np.asarray(by_point)
        largest = np.fmax.reduce(by_point, axis=None, initial=np.nan)
        if largest > 0 and not largest <= self.max_abs:
            self.worst = self._index(offset, int(np.nanargmax(by_point)), by_point.shape)
        elif self.worst is None and self._only_nan is None and differs.any():
            self._only_nan = self._index(offset, int(np.argmax(differs)), by_point.shape)
        self.max_abs = float(np.fmax(self.max_abs, largest))
        if self.worst is None:
            self.worst = self._only_nan

    def _index(self, offset: int, flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape:
            return ()
        first, *rest = (int(i) for i in np.unravel_index(flat, shape))
        return (first + offset, *rest)


def _numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers in the largest dtype of their kind, so that differences are exact enough."""
    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    if values.dtype.kind in "mM":
        return values.astype(np.int64).astype(np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        return values.astype(np.longdouble)  # which has all digits of such integers
    if is_floating(values.dtype) or values.dtype.kind in "biu" or values.dtype.isbuiltin == 2:
        return values.astype(np.float64)
    raise TypeError(f"values of the dtype {values.dtype} cannot be compared")
