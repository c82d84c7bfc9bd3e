"""The labels along an axis that is refined, and those halfway between them."""

from __future__ import annotations

import dataclasses
import decimal
import math

import numpy as np

from gridax._grid.interp import on_scale

# Digits of the labels halfway between others on a logarithmic scale, if they are enough.
_DIGITS = 4
# Labels that are closer together than this fraction of the edge that is halved are the same.
_SAME = 0.01


@dataclasses.dataclass(frozen=True)
class Ticks:
    """Labels along an axis, in any order.

    Attributes
    ----------
    labels : float64 or int64 array.
    is_log : whether the scale is logarithmic.
    dtype : in which the model receives them, and in which they must differ.
    """

    labels: np.ndarray
    is_log: bool
    dtype: np.dtype

    def places(self) -> np.ndarray:
        """Return where the labels are on the scale, from 0 to 1."""
        return on_scale(self.labels, self.labels, self.is_log)

    def halfway(self, first: np.ndarray, last: np.ndarray) -> tuple[Ticks, np.ndarray]:
        """Return the labels with those halfway between others, and the numbers of these.

        Parameters
        ----------
        first, last : numbers of labels, of the same shape.
        """
        size = len(self.labels)
        pairs = np.minimum(first, last) * size + np.maximum(first, last)
        pairs, inverse = np.unique(pairs, return_inverse=True)
        ends = zip(self.labels[pairs // size], self.labels[pairs % size], strict=True)
        middle = np.array([self._between(a.item(), b.item()) for a, b in ends])
        middle = middle.astype(self.labels.dtype)
        nearest, is_known = self._known(middle, pairs)
        new = np.unique(middle[~is_known])
        numbers = np.where(is_known, nearest, size + np.searchsorted(new, middle))
        extended = dataclasses.replace(self, labels=np.concatenate([self.labels, new]))
        return extended, numbers[inverse].reshape(np.shape(first))

    def _known(self, middle: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of the label nearest to each middle, and whether it is the same.

        Means of rounded labels may miss another label by a little.
        """
        size = len(self.labels)
        places, at = self.places(), on_scale(middle, self.labels, self.is_log)
        order = np.argsort(places, kind="stable")
        after = np.clip(np.searchsorted(places[order], at), 1, size - 1) if size > 1 else 0 * pairs
        before = np.maximum(after - 1, 0)
        is_nearer = np.abs(places[order][before] - at) <= np.abs(places[order][after] - at)
        nearest = order[np.where(is_nearer, before, after)]
        length = np.abs(places[pairs // size] - places[pairs % size])
        return nearest, np.abs(places[nearest] - at) <= _SAME * length

    def _between(self, a: float, b: float) -> float:
        """Return the label halfway between two, or one of them if there is none."""
        if isinstance(a, int):
            return (a + b) // 2
        if a == b:
            return a
        middle = _geometric(a, b) if self.is_log else _arithmetic(a, b)
        is_new = len({self.dtype.type(each) for each in (a, middle, b)}) == 3
        return middle if is_new else a


def _arithmetic(a: float, b: float) -> float:
    """Return the mean of two numbers in decimals."""
    return float((decimal.Decimal(repr(a)) + decimal.Decimal(repr(b))) / 2)


def _geometric(a: float, b: float) -> float:
    """Return the geometric mean of two positive numbers, in as few digits as tell it apart."""
    mean = math.sqrt(a) * math.sqrt(b)
    low, high = min(a, b), max(a, b)
    for digits in range(_DIGITS, 17):
        rounded = float(f"{mean:.{digits - 1}e}")
        # Rounded by less than a tenth of the distance to either end.
        if abs(rounded - mean) < 0.1 * min(mean - low, high - mean):
            return rounded
    return mean
