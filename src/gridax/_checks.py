"""What a user may hand in: counts, numbers, names and attributes, checked with one voice."""

from __future__ import annotations

import numbers
import operator
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from gridax._units import without_units

# Names that a result keeps for itself: the dimension of scattered points, the state of each point,
# and why the model failed there.
RESERVED_NAMES = ("point", "status", "error")

# xarray reads these as instructions when a file is opened, so data would come back changed.
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


def count(value: Any, owner: str, what: str) -> int:
    """Return `value` as a positive Python int, or say why it is none."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{owner}: {what} must be a whole number of at least 1, got {value!r}"
        ) from None
    if number < 1:
        raise ValueError(f"{owner}: {what} must be at least 1, got {number}")
    return number


def number(value: Any, owner: str, what: str) -> float:
    """Return `value` as a finite Python float, or say why it is none."""
    magnitude, units = without_units(value)
    if units is not None:
        raise TypeError(
            f"{owner}: {what} must be a number without units, got {magnitude!r} {units}; pass its "
            f"magnitude, and attrs={{'units': {units!r}}} to keep the units"
        )
    array = np.asarray(value)
    if array.ndim != 0 or not isinstance(array.item(), numbers.Real) or array.dtype == bool:
        raise TypeError(f"{owner}: {what} must be one real number, got {value!r}")
    # A float32 of 0.1 is meant as 0.1, not as 0.10000000149011612.
    result = float(str(array)) if array.dtype.kind == "f" else float(array)
    if not np.isfinite(result):
        raise ValueError(f"{owner}: {what} must be finite, got {result}")
    return result


def bounds(low: Any, high: Any, owner: str) -> tuple[float, float]:
    """Return two finite floats in ascending order."""
    low, high = number(low, owner, "low"), number(high, owner, "high")
    if not low < high:
        raise ValueError(f"{owner}: low must be smaller than high, got low={low}, high={high}")
    return low, high


def shape(value: Any, owner: str, what: str) -> tuple[int, ...]:
    """Return `value` as a tuple of positive ints; a single int is a shape of one dimension."""
    sizes = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(count(size, owner, f"every size in {what}") for size in sizes)


def name(value: Any, owner: str) -> str:
    """Return `value` if it can name a dimension or variable in xarray, netCDF and Zarr alike."""
    if not isinstance(value, str):
        raise TypeError(f"{owner}: a name must be a string, got {value!r}")
    problem = unusable(value)
    if problem:
        raise ValueError(f"{owner}: {value!r} cannot name a dimension: {problem}")
    return value


def unusable(text: str) -> str | None:
    """Say what is wrong with a name, or None."""
    if not text:
        return "it is empty"
    if text != text.strip():
        return "it starts or ends with a blank"
    if "/" in text or "\\" in text:
        return "files cannot store a name with a slash or backslash"
    if any(not character.isprintable() for character in text):
        return "it holds a control character"
    if text in RESERVED_NAMES:
        return "results use that name themselves"
    return None


def attributes(attrs: Any, owner: str) -> dict[str, Any]:
    """Return a copy of `attrs`, refusing what would change the data when a file is read back."""
    if attrs is None:
        return {}
    if not isinstance(attrs, Mapping):
        raise TypeError(
            f"{owner}: attrs must be a mapping such as {{'units': 'ms'}}, got {attrs!r}"
        )
    for key, value in attrs.items():
        if not isinstance(key, str):
            raise TypeError(f"{owner}: an attribute's name must be a string, got {key!r}")
        if key in RESERVED_ATTRS:
            raise ValueError(
                f"{owner}: the attribute {key!r} would change the data when a file is read back; "
                "rename it"
            )
        if key == "units" and isinstance(value, str) and _TIME_UNITS.match(value):
            raise ValueError(
                f"{owner}: the units {value!r} would turn numbers into dates when a file is read "
                "back; name the reference in another attribute"
            )
    return dict(attrs)
