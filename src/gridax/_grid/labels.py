"""The labels of one coordinate, and which of them a query stands for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np

from gridax._arrays import is_floating, native
from gridax._decimals import as_decimals, float32_decimals, tolerances

_SHOWN = 3  # how many labels an error message lists


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one coordinate along a dimension, sorted once for any number of lookups."""

    name: Hashable
    values: np.ndarray

    @classmethod
    def of(cls, name: Hashable, values: np.ndarray) -> Labels:
        """Return labels in a dtype that can be looked up."""
        if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
            values = values.astype(str)
        return cls(name, native(values))

    def among(self, positions: np.ndarray | None) -> Labels:
        """Return the labels at some positions, or all of them."""
        return self if positions is None else Labels(self.name, self.values[positions])

    @property
    def is_numeric(self) -> bool:
        """Whether labels have a nearest one."""
        return self.values.dtype.kind in "fiu"

    @functools.cached_property
    def order(self) -> np.ndarray:
        """Positions that sort the labels."""
        if (self.values[1:] > self.values[:-1]).all():
            return np.arange(len(self.values))
        return np.argsort(self.values, kind="stable")

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where each different label starts among the sorted ones."""
        values = self.values[self.order]
        return np.flatnonzero(np.r_[True, values[1:] != values[:-1]][: len(values)])

    @functools.cached_property
    def distinct(self) -> np.ndarray:
        """The different labels, sorted."""
        return self.values[self.order][self.starts]

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """Number of each label among the different ones."""
        codes = np.empty(len(self.values), dtype=np.int64)
        counts = np.diff(np.r_[self.starts, len(self.values)])
        codes[self.order] = np.repeat(np.arange(len(self.starts)), counts)
        return codes

    @functools.cached_property
    def extent(self) -> float:
        """Difference of the largest and the smallest finite label, or 1 if there is none."""
        finite = self.values[np.isfinite(self.values)].astype(float)
        return float(np.ptp(finite) if finite.size else 0.0) or 1.0

    def check(self, query: Any) -> np.ndarray:
        """Return what was asked for as an array, rejecting what can never be a label."""
        array = native(np.asarray(query))
        if array.dtype == bool and self.values.dtype != bool:
            raise TypeError(f"labels of {self.name!r} are not booleans; use isel() for a mask")
        if self.is_numeric and not (array.dtype.kind in "iu" or is_floating(array.dtype)):
            if array.size == 0:
                return array.astype(float)
            raise TypeError(
                f"labels of {self.name!r} are numbers, got {text(query)}; pass a number, or a "
                "list or slice of numbers"
            )
        return array

    def code(self, wanted: np.ndarray) -> np.ndarray:
        """Return the number of each wanted label among the different ones, or -1.

        A float that is not a label stands for the one that is nearest within rounding noise, and
        a float32 number and the decimal that it was made from stand for each other. The number
        that a model received stands for the label that was rounded to it.
        """
        if not self.is_numeric:
            return self._exact(wanted)
        if self.values.dtype.kind in "iu" and wanted.dtype.kind in "iu":
            return self._exact(wanted)
        exact = wanted.astype(np.float64)
        codes = _nearest_within(exact, self.distinct, np.zeros(self.distinct.size))
        for floats, labels in self._readings(wanted, exact):
            if (codes >= 0).all():
                break
            if floats is not None and labels is not None:
                near = _nearest_within(floats, labels, tolerances(labels))
                codes = np.where(codes < 0, near, codes)
        return codes if (codes >= 0).all() else np.where(codes < 0, self._rounded(wanted), codes)

    def _rounded(self, wanted: np.ndarray) -> np.ndarray:
        """Return the number of the only label that is rounded to each narrow float, or -1."""
        if wanted.dtype.kind in "iu":
            return np.full(wanted.shape, -1)
        narrow = np.dtype(np.float32) if wanted.dtype == np.float64 else wanted.dtype
        with np.errstate(over="ignore", under="ignore"):
            floats, labels = wanted.astype(narrow), self.distinct.astype(narrow)
        # A float64 number comes from float32 if it is one, and is not what a person would type.
        is_narrow = (floats == wanted) & (
            (wanted.dtype == narrow) | (as_decimals(floats) != wanted)
        )
        at = np.searchsorted(labels, floats)
        is_only = np.searchsorted(labels, floats, side="right") == at + 1
        return np.where(is_narrow & is_only, at, -1)

    def _readings(
        self, wanted: np.ndarray, exact: np.ndarray
    ) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
        """Yield wanted numbers and labels that are equal up to noise if they mean the same."""
        if wanted.dtype != np.float64 and is_floating(wanted.dtype):
            yield as_decimals(wanted), self.distinct
        yield exact, self.distinct
        yield float32_decimals(exact), self.distinct
        yield exact, float32_decimals(self.distinct.astype(np.float64))

    def _exact(self, wanted: np.ndarray) -> np.ndarray:
        """Return the number of each wanted label among the different ones, or -1."""
        missing = np.full(wanted.shape, -1)
        if self.distinct.size == 0:
            return missing
        try:
            # Integers that differ only in signedness would be compared as floats.
            cast = (
                wanted.astype(self.distinct.dtype) if self.distinct.dtype.kind in "iuMm" else wanted
            )
            at = np.searchsorted(self.distinct, cast).clip(max=self.distinct.size - 1)
            same = (self.distinct[at] == cast) & (wanted.dtype.kind not in "iu" or cast == wanted)
        except (TypeError, ValueError):  # of another kind
            return missing
        return np.where(same, at, missing)

    def describe(self, query: Any) -> str:
        """Return the labels that an error message lists: those nearest to a number, if possible."""
        which, shown = "labels", self.values[:_SHOWN]
        if self.is_numeric and not isinstance(query, slice) and np.ndim(query) == 0:
            with np.errstate(invalid="ignore"):  # inf - inf
                gaps = np.abs(self.distinct.astype(float) - float(query))
            which, shown = "nearest labels", self.distinct[np.argsort(gaps, kind="stable")[:_SHOWN]]
        more = ", …" if len(self.distinct) > len(shown) else ""
        return f"{which} of {self.name!r}: {', '.join(map(repr, shown.tolist()))}{more}"

    def inside(self, part: slice) -> np.ndarray:
        """Return the positions of the labels from one end of a slice to the other, both included.

        Descending labels accept both directions. Strings that all differ are taken in their own
        order, as pandas does. A negative step goes backwards, from a larger label to a smaller one.

        Raises
        ------
        ValueError
            If the step is negative and the labels are not in ascending order.
        """
        start, stop = (self._end(end) for end in (part.start, part.stop))
        if part.step is not None and part.step < 0:
            self._check_ascending(part)
            start, stop = stop, start
        if self.values.dtype.kind == "U" and len(self.distinct) == len(self.values):
            first, last = (
                None if end is None else int(self.code(np.array([end]))[0]) for end in (start, stop)
            )
            if -1 not in (first, last):
                low = 0 if first is None else self.order[first]
                high = len(self.values) if last is None else self.order[last] + 1
                return np.arange(low, high)[:: part.step]
        if start is not None and stop is not None and start > stop and self._descends:
            start, stop = stop, start
        mask = np.ones(len(self.values), dtype=bool)
        if start is not None:
            mask &= self.values >= start
        if stop is not None:
            mask &= self.values <= stop
        return np.flatnonzero(mask)[:: part.step]

    def _check_ascending(self, part: slice) -> None:
        """Reject a slice with a negative step along labels that have no order to go back in."""
        is_sorted = bool((self.values[1:] >= self.values[:-1]).all())
        are_words = self.values.dtype.kind == "U" and len(self.distinct) == len(self.values)
        if not (is_sorted or are_words):
            raise ValueError(
                f"a slice of labels of {self.name!r}, which are not in ascending order, cannot "
                f"have a negative step, got {text(part)}; select with isel() afterwards"
            )

    @property
    def _descends(self) -> bool:
        return bool((self.values[1:] <= self.values[:-1]).all())

    def _end(self, end: Any) -> Any:
        """Return the end of a slice as the label that it stands for, if there is one."""
        if end is None:
            return None
        array = self.check(end)
        if array.ndim:
            raise TypeError(
                f"the ends of a slice of labels of {self.name!r} must be single labels, got "
                f"{text(end)}"
            )
        (code,) = self.code(array.reshape(1))
        if code >= 0:
            return self.distinct[code]
        if array.dtype.kind == "f":
            return as_decimals(array.reshape(1))[0]
        return array.astype(self.values.dtype)[()] if self.values.dtype.kind in "Mm" else array[()]


def _nearest_within(wanted: np.ndarray, distinct: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return which of the sorted numbers is nearest to each wanted one, or -1 if it is too far.

    `most` says how far it may be from each of the numbers.
    """
    if distinct.size == 0:
        return np.full(wanted.shape, -1)
    above = np.searchsorted(distinct, wanted).clip(max=distinct.size - 1)
    below = (above - 1).clip(min=0)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = [np.abs(distinct[at].astype(float) - wanted) for at in (below, above)]
    closer = np.where(gaps[0] < gaps[1], below, above)
    near = (np.fmin(*gaps) <= most[closer]) | (distinct[closer] == wanted)
    return np.where(near, closer, -1)


def text(query: Any) -> str:
    """Return a query as a user would type it."""
    if isinstance(query, slice):
        ends = [query.start, query.stop] + ([] if query.step is None else [query.step])
        return f"slice({', '.join(map(text, ends))})"
    query = getattr(query, "values", query)
    return repr(query.tolist() if hasattr(query, "tolist") else query)
