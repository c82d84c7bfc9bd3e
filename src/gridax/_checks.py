"""Checks of what a user passes in: counts, numbers, names and attributes."""

from __future__ import annotations

import functools
import importlib
import inspect
import numbers
import operator
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._units import without_units

# Names that a result uses itself: the dimension of scattered points, the status of each point, and
# the message of the error that the model raised there.
RESERVED_NAMES = ("point", "status", "error")

# xarray interprets these when it opens a file, so the data would come back changed.
RESERVED_ATTRS = (
    "_FillValue",
    "_Unsigned",
    "add_offset",
    "coordinates",
    "dtype",
    "missing_value",
    "scale_factor",
)
_TIME_UNITS = re.compile(r"^\s*\w+\s+since\s+\S", re.IGNORECASE)


def count(value: Any, owner: str, what: str, least: int = 1) -> int:
    """Return `value` as a Python int of at least `least`, or raise an error that names it."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{owner}: {what} must be a whole number of at least {least}, got {value!r}"
        ) from None
    if number < least:
        raise ValueError(f"{owner}: {what} must be at least {least}, got {number}")
    return number


def lanes(value: Any) -> bool | int:
    """Return `value` if it is a bool, or else as a positive Python int."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    try:
        return count(value, "run", "lanes")
    except (TypeError, ValueError) as error:
        raise type(error)(
            "lanes must be True, False, or the number of points that are in the loop at a time, "
            f"got {value!r}"
        ) from None


def one_of(value: Any, owner: str, what: str, known: Sequence[str]) -> None:
    """Reject anything but one of some words."""
    if value not in known:
        *first, last = map(repr, known)
        raise ValueError(f"{owner}: {what} must be {', '.join(first)} or {last}, got {value!r}")


def number(value: Any, owner: str, what: str) -> float:
    """Return `value` as a finite Python float, or raise an error that names it."""
    magnitude, units = without_units(value)
    if units is not None:
        raise TypeError(
            f"{owner}: {what} must be a number without units, got {magnitude!r} {units}; pass its "
            f"magnitude, and attrs={{'units': {units!r}}} to keep the units"
        )
    array = np.asarray(value)
    is_real = array.ndim == 0 and isinstance(array.item(), (numbers.Real, Decimal))
    if not is_real or array.dtype == bool:
        raise TypeError(f"{owner}: {what} must be a single real number, got {value!r}")
    # A float32 of 0.1 means 0.1, not 0.10000000149011612; and -0.0 means 0.0.
    result = (float(str(array)) if array.dtype.kind == "f" else float(array)) + 0.0
    if not np.isfinite(result):
        raise ValueError(f"{owner}: {what} must be finite, got {result}")
    return result


def seconds(value: Any, what: str) -> float:
    """Return a duration in seconds, given as a number of them, as text, or as a timedelta.

    Examples
    --------
    >>> seconds("10 min", "budget"), seconds(90, "budget")
    (600.0, 90.0)
    """
    problem = f"{what} must be a number of seconds, or a duration such as '10 min', got {value!r}"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(problem)
    # NumPy registers timedelta64 as an integer.
    is_duration = isinstance(value, np.timedelta64)
    if isinstance(value, numbers.Real) and not is_duration:
        found = float(value)
    else:
        try:
            if isinstance(value, str) and value.strip().isnumeric():
                raise ValueError(problem)  # pandas would take nanoseconds
            found = pd.Timedelta(value).total_seconds()
        except (ValueError, TypeError) as error:
            raise type(error)(problem) from None
    if not found > 0:
        raise ValueError(f"{what} must be longer than 0 seconds, got {value!r}")
    return found


def bounds(low: Any, high: Any, owner: str) -> tuple[float, float]:
    """Return two finite floats in ascending order."""
    low, high = number(low, owner, "low"), number(high, owner, "high")
    if not low < high:
        raise ValueError(f"{owner}: low must be smaller than high, got low={low}, high={high}")
    return low, high


def shape(value: Any, owner: str, what: str) -> tuple[int, ...]:
    """Return `value` as a tuple of positive ints; a single int is a one-dimensional shape."""
    sizes = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(count(size, owner, f"every size in {what}") for size in sizes)


def name(value: Any, owner: str) -> str:
    """Return `value` if it can name a dimension in xarray, netCDF and Zarr, and select along it."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: a name must be a string, got {value!r}")
    problem = unusable(value)
    if value in selection_keywords():
        problem = (
            f"it is a keyword of sel or isel, so that sel({value}=...) would not select by it; "
            "choose another name, such as with name="
        )
    if problem:
        raise ValueError(f"{owner}: {value!r} cannot name a dimension: {problem}")
    return value


@functools.cache
def selection_keywords() -> frozenset[str]:
    """Return the parameters of xarray's `sel` and `isel`, which a keyword cannot select by.

    Examples
    --------
    >>> sorted(selection_keywords())
    ['drop', 'indexers', 'method', 'missing_dims', 'self', 'tolerance']
    """
    parameters = [
        parameter
        for select in (xr.Dataset.sel, xr.Dataset.isel)
        for parameter in inspect.signature(select).parameters.values()
    ]
    return frozenset(p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD)


def unusable(text: str) -> str | None:
    """Return why a name cannot be used, or None if it can."""
    if not text:
        return "it is empty"
    if text != text.strip():
        return "it starts or ends with a blank"
    if "/" in text or "\\" in text:
        return "files cannot store a name with a slash or backslash"
    if any(not character.isprintable() for character in text):
        return "it contains a control character"
    if text in RESERVED_NAMES:
        return "results use that name themselves"
    return None


def attributes(attrs: Any, owner: str) -> dict[str, Any]:
    """Return a copy of `attrs`, rejecting any that would change the data in a file."""
    if attrs is None:
        return {}
    if not isinstance(attrs, Mapping):
        raise TypeError(
            f"{owner}: attrs must be a mapping such as {{'units': 'ms'}}, got {attrs!r}"
        )
    for key, value in attrs.items():
        if not isinstance(key, str):
            raise TypeError(f"{owner}: names of attributes must be strings, got {key!r}")
        if key in RESERVED_ATTRS:
            raise ValueError(
                f"{owner}: the attribute {key!r} would change the data when a file is read back; "
                "rename the attribute"
            )
        if key == "units" and isinstance(value, str) and _TIME_UNITS.match(value):
            raise ValueError(
                f"{owner}: the units {value!r} would turn numbers into dates when a file is read "
                "back; put the reference date into another attribute"
            )
    return dict(attrs)


def optional(module: str, extra: str) -> Any:
    """Import an optional module, or raise an error that names the extra which installs it."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:  # a broken installation of the package
            raise
        raise ModuleNotFoundError(
            f"{package} is not installed: pip install 'gridax[{extra}]'", name=package
        ) from None
