"""Numbers as people write them: the decimals behind labels.

Labels are float64 numbers whose shortest decimals are the ones that a person would type. Grids are
computed in decimal arithmetic, so that they hold 0.3 and 0.0 rather than 0.30000000000000004 and
2.8e-17. Given numbers are only changed where they are evidently decimals plus rounding noise.
"""

from __future__ import annotations

import decimal
import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np

from gridax._arrays import native

# Powers of ten that a float64 holds exactly. Dividing or multiplying an integer of at most 53 bits
# by one of them rounds once, so the result is the float64 nearest to the decimal.
_POWERS = np.array([float(f"1e{k}") for k in range(23)])
_LARGEST_EXACT = 2**53
# How many digits computed labels have, and how many a float64 can tell apart at most.
_DIGITS, _MOST_DIGITS = 15, 17
# Rounding errors of a computation, in units in the last place of the largest number; and how far a
# label may be from the number that it stands for, as rounding to 15 digits moves it by up to 45.
_NOISE, _TOLERANCE = 8, 48
# A number with so few digits was typed; the noise of a computation has more.
_TYPED_DIGITS = 14
# Random numbers lie this close to decimals with fewer digits with a probability of 1 in 1000.
_SIGNIFICANCE = 1e-3


def linear(low: float, high: float, n: int, digits: int | None = None) -> np.ndarray:
    """Return `n` evenly spaced decimals between two bounds, which stay exactly as typed.

    The numbers are exact decimals if 15 digits, counted from the first digit of the largest number,
    are enough to write them; otherwise, they are rounded there. With `digits`, every number,
    including the bounds, is rounded to that many significant digits.

    Examples
    --------
    >>> linear(-0.2, 0.4, 7).tolist()
    [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4]
    >>> linear(0, 1, 4, digits=3).tolist()
    [0.0, 0.333, 0.667, 1.0]
    """
    if n == 1:
        return _rounded(np.array([low + 0.0]), digits)
    first, last = _fraction(low), _fraction(high)
    step = (last - first) / (n - 1)
    largest = max(abs(low), abs(high))
    # A grid that is narrow compared with its bounds needs more digits to be evenly spaced.
    for significant in range(_DIGITS, _MOST_DIGITS + 1):
        places = significant - _exponent(largest)
        if step * Fraction(10) ** places >= 100:
            break
    exact = [_places_of(number) for number in (first, step)]
    places = min(places, max(places if p is None else p for p in exact))
    labels = _decimal(_arithmetic(first, step, n, places), places)
    labels[0], labels[-1] = low + 0.0, high + 0.0
    return _rounded(labels, digits)


def logarithmic(low: float, high: float, n: int, digits: int | None = None) -> np.ndarray:
    """Return `n` decimals between two positive bounds, evenly spaced on a logarithmic scale.

    Each number is rounded to 15 significant digits, or to `digits`; without `digits`, the bounds
    stay exactly as typed.

    Examples
    --------
    >>> logarithmic(1e-3, 1e-1, 5).tolist()
    [0.001, 0.00316227766016838, 0.01, 0.0316227766016838, 0.1]
    """
    if n == 1:
        return _rounded(np.array([low]), digits)
    for significant in (digits,) if digits else (_DIGITS, _MOST_DIGITS):
        labels = _geometric(low, high, n, significant)
        if not digits:
            labels[0], labels[-1] = low, high
        if (labels[1:] > labels[:-1]).all():
            break
    return labels


def as_decimals(values: np.ndarray) -> np.ndarray:
    """Return numbers of any float dtype as float64 labels.

    float64 numbers are rounded to the fewest decimals that represent all of them up to rounding
    noise; where there is no such number of decimals, they are returned unchanged. Numbers of a
    narrower dtype become the shortest decimals that identify them.

    Examples
    --------
    >>> as_decimals(np.arange(5, 10, 0.1))[16].item()
    6.6
    >>> as_decimals(np.array([0.10678075728778628, 0.2])).tolist()
    [0.10678075728778628, 0.2]
    >>> as_decimals(np.float32([0.3])).item()
    0.3
    """
    values = native(np.asarray(values))
    if values.dtype == np.float64:
        return _without_noise(values) + 0.0  # -0.0 becomes 0.0
    return _shortest(values) + 0.0


def tolerances(labels: np.ndarray) -> np.ndarray:
    """Return how far numbers may be from each of the sorted labels that they stand for.

    This is a few units in the last place of the largest label. Numbers on an evenly spaced axis
    may be further away, as `numpy.arange` adds up a step that was rounded at the first one. Where
    labels span so many decades that the smallest are no larger than that, they are not noise: a
    number is not further away than a thousandth of the distance to the next label, nor of the label
    itself if it was typed, but for a few units in the last place of the label.
    """
    labels = labels.astype(np.float64)
    most = np.full(labels.size, _noise(labels, _TOLERANCE))
    if not most.any():
        return most
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf
        steps = np.concatenate([[np.inf], np.diff(labels), [np.inf]])
    apart = np.fmin(steps[1:], steps[:-1])
    small = (labels != 0) & (np.abs(labels) < 1000 * most[0])
    small[small] = _round_significant(labels[small], _TYPED_DIGITS) == labels[small]
    apart[small] = np.minimum(apart[small], np.abs(labels[small]))
    close = np.fmin(_TOLERANCE * np.spacing(np.abs(labels)), apart / 2.1)
    return np.fmin(most, np.fmax(apart / 1000, close))


def _noise(values: np.ndarray, units: int) -> float:
    values = values[np.isfinite(values)].astype(np.float64)
    if values.size == 0:
        return 0.0
    most = units * math.ulp(np.abs(values).max())
    if not _is_even(values):
        return most
    accumulated = values.size * math.ulp(np.abs(values[:2]).max())
    return most + min(accumulated, abs(float(values[1] - values[0])) / 1000)


def _is_even(values: np.ndarray) -> bool:
    """Whether finite numbers are evenly spaced up to rounding errors, as if computed."""
    n = values.size
    with np.errstate(over="ignore", invalid="ignore"):
        step = (values[-1] - values[0]) / max(n - 1, 1)
        errors = np.abs(values - (values[0] + step * np.arange(n)))
    return n > 2 and bool((errors <= 4 * math.ulp(np.abs(values).max())).all())


def _without_noise(values: np.ndarray) -> np.ndarray:
    """Return float64 numbers with the fewest decimals that represent them, or unchanged."""
    finite = values[np.isfinite(values)]
    if (_round_significant(finite, _DIGITS) == finite).all():  # decimals, such as other labels
        return values
    typed = _round_significant(finite, _TYPED_DIGITS) == finite
    if _is_even(finite):  # such as arange, some of whose numbers may have few digits by chance
        typed[:] = False
    # Sums of numbers as large as the others are not off by so little.
    typed |= np.abs(finite) < 1e-6 * math.ulp(np.abs(finite).max())
    if typed.all():
        return values
    noisy, most = finite[~typed], _noise(finite, _NOISE)
    exponent = _exponent(np.abs(finite).max().item())
    if abs(exponent) > 290:  # powers of ten would overflow
        return values
    for places in range(1 - exponent, _DIGITS - exponent + 1):
        if _residual(noisy[:64], places) > most:  # most trials end here, at little cost
            continue
        residual = _residual(noisy, places)
        if residual > most:
            continue
        # Rounding random numbers would only make them other numbers.
        if min(1.0, 2 * residual * 10.0**places) ** noisy.size > _SIGNIFICANCE:
            continue
        rounded = values.copy()
        rounded[np.isfinite(values)] = _round_places(finite, places)
        kept = rounded[np.isfinite(values)][typed] == finite[typed]
        if kept.all() and np.unique(rounded).size == np.unique(values).size:
            return rounded
    return values


def _residual(values: np.ndarray, places: int) -> float:
    """Return the largest change that rounding to decimal places makes."""
    return float(np.abs(_round_places(values, places) - values).max())


def _shortest(values: np.ndarray) -> np.ndarray:
    """Return the shortest decimal that identifies each number of a dtype narrower than float64."""
    exact = values.astype(np.float64)
    labels = exact.copy()
    pending = np.isfinite(exact) & (exact != 0)
    info = jnp.finfo(values.dtype)
    digits = int(info.precision)
    has_subnormal = (np.abs(exact[pending]) < float(info.tiny)).any()  # which have fewer digits
    for d in range(1 if has_subnormal else digits, digits + 4):
        where = np.flatnonzero(pending)
        trial = _round_significant(exact[where], d)
        identified = trial.astype(values.dtype) == values[where]
        labels[where[identified]] = trial[identified]
        pending[where[identified]] = False
    return labels


def float32_decimals(values: np.ndarray) -> np.ndarray | None:
    """Return the decimals that float64 numbers stand for if all of them are float32 numbers.

    Return None if one of them is not exactly a float32 number.

    Examples
    --------
    >>> float32_decimals(np.array([0.30000001192092896])).tolist()
    [0.3]
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = values.astype(np.float32)
    return as_decimals(narrow) if (narrow == values).all() else None


def _rounded(labels: np.ndarray, digits: int | None) -> np.ndarray:
    return labels if digits is None else _round_significant(labels, digits)


def _round_significant(x: np.ndarray, digits: int) -> np.ndarray:
    """Round each number to significant decimal digits, correctly, in vectorized arithmetic."""
    result = x.copy()
    (where,) = np.nonzero(np.isfinite(x) & (x != 0))
    v = x[where]
    places = digits - 1 - np.floor(np.log10(np.abs(v))).astype(int)
    easy = np.abs(places) < len(_POWERS)
    power = _POWERS[np.where(easy, np.abs(places), 0)]
    out = np.where(places >= 0, np.rint(v * power) / power, np.rint(v / power) * power)
    for i in np.flatnonzero(~easy):
        out[i] = float(f"{v[i]:.{digits - 1}e}")
    result[where] = np.where(np.isfinite(out), out, v)  # the largest float64 would become inf
    return result


def _round_places(x: np.ndarray, places: int) -> np.ndarray:
    """Round each number to a number of decimal places, which may be negative."""
    scaled = x * 10.0**places if places >= 0 else x / 10.0**-places
    return _decimal(np.rint(scaled), places)


def _decimal(integers: np.ndarray, places: int) -> np.ndarray:
    """Return the float64 numbers nearest to ``integers / 10**places``."""
    largest = max(abs(int(integers.max(initial=0))), abs(int(integers.min(initial=0))))
    if largest <= _LARGEST_EXACT and abs(places) < len(_POWERS):
        floats = integers.astype(np.float64)
        return floats / _POWERS[places] if places >= 0 else floats * _POWERS[-places]
    return np.array([float(f"{int(integer)}e{-places}") for integer in integers.tolist()])


def _arithmetic(first: Fraction, step: Fraction, n: int, places: int) -> np.ndarray:
    """Return ``(first + i * step) * 10**places`` for i < n, rounded to integers (half to even).

    The integers are an int64 array where the intermediate results fit, and Python's otherwise.
    """
    scale = Fraction(10) ** places
    first, step = first * scale, step * scale
    divisor = math.lcm(first.denominator, step.denominator)
    whole_first, rest_first = divmod(int(first * divisor), divisor)
    whole_step, rest_step = divmod(int(step * divisor), divisor)
    bound = max(abs(whole_first) + n * abs(whole_step) + 1, 2 * (n + 1) * divisor)
    i = np.arange(n, dtype=np.int64 if bound < 2**62 else object)
    rest = rest_first + i * rest_step
    carried, rest = rest // divisor, rest % divisor
    down = whole_first + i * whole_step + carried
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (down % 2 == 1))
    return down + up


def _geometric(low: float, high: float, n: int, digits: int) -> np.ndarray:
    """Return ``low * (high / low)**(i / (n - 1))`` for i < n, rounded to significant digits.

    Number ``row * width + column`` is the product of two numbers from short tables. These are
    computed with 40 digits and kept as pairs of floats, whose products have 30 correct digits.
    """
    first, last = decimal.Decimal(repr(low)), decimal.Decimal(repr(high))
    width = math.isqrt(n - 1) + 1
    with decimal.localcontext(prec=40):
        ratio = ((last / first).ln() / (n - 1)).exp()
        rows = [first * ratio ** (row * width) for row in range(-(-n // width))]
        columns = [ratio**column for column in range(width)]
        if digits > _DIGITS or not 1e-250 < low < high < 1e250:  # out of the range of the pairs
            numbers = [row * column for row in rows for column in columns][:n]
            return np.array(list(map(float, map(decimal.Context(prec=digits).plus, numbers))))
        pairs = _product(_pairs(rows)[:, :, None], _pairs(columns)[:, None, :])
        pairs = pairs.reshape(2, -1)[:, :n]
        exponents = np.floor(np.log10(pairs[0])).astype(int)
        labels = np.empty(n)
        for exponent in np.unique(exponents).tolist():
            (where,) = np.nonzero(exponents == exponent)
            places = digits - 1 - exponent
            scale = _pairs([decimal.Decimal(10) ** places])
            large, small = _product(pairs[:, where], scale)
            labels[where] = _decimal(
                np.rint(large) + np.rint(large - np.rint(large) + small), places
            )
    return labels


def _pairs(numbers: list[decimal.Decimal]) -> np.ndarray:
    """Return decimals as sums of two floats, of shape ``(2, n)``."""
    large = [float(number) for number in numbers]
    small = [float(x - decimal.Decimal(y)) for x, y in zip(numbers, large, strict=True)]
    return np.array([large, small])


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply pairs of floats (T. J. Dekker, Numer. Math. 18, 224 (1971))."""
    product = a[0] * b[0]
    halves = [(x[0] * 134217729.0) - (x[0] * 134217729.0 - x[0]) for x in (a, b)]
    (a_high, b_high), (a_low, b_low) = halves, (a[0] - halves[0], b[0] - halves[1])
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    error = error + (a[0] * b[1] + a[1] * b[0])
    total = product + error
    return np.array([total, error - (total - product)])


def _fraction(number: float) -> Fraction:
    """Return the shortest decimal of a number exactly."""
    return Fraction(repr(float(number)))


def _exponent(number: float) -> int:
    """Return the exponent of the smallest power of ten that is not below a positive number."""
    shortest = decimal.Decimal(repr(float(number))).normalize()
    return shortest.adjusted() + (shortest.as_tuple().digits != (1,))


def _places_of(number: Fraction) -> int | None:
    """Return how many decimal places write a number exactly, or None if no number of them does.

    A multiple of powers of ten has a negative number of places.
    """
    twos, fives = 0, 0
    rest = number.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest > 1:
        return None
    places = max(twos, fives)
    numerator = number.numerator
    while places <= 0 and numerator and numerator % 10 == 0:
        numerator, places = numerator // 10, places - 1
    return places if number else -(10**6)
