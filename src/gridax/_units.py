"""Units, and arrays with units, as pint, unyt and astropy have them."""

from __future__ import annotations

from typing import Any

# Attributes that hold the numbers and the unit: pint, unyt, astropy.
_SPELLINGS = (("magnitude", "units"), ("value", "units"), ("value", "unit"))


def without_units(value: Any) -> tuple[Any, str | None]:
    """Return the numbers of a quantity and its units as text; any other value has no units.

    Examples
    --------
    >>> without_units(3.0)
    (3.0, None)
    """
    for numbers, unit in _SPELLINGS:
        # xarray objects, too, show their attributes in this way, as plain text.
        if hasattr(value, numbers) and not isinstance(getattr(value, unit, ""), str):
            return getattr(value, numbers), str(getattr(value, unit))
    return value, None


def are_dimensionless(units: Any) -> bool:
    """Whether units are those of a pure number, as CF, pint, unyt and astropy write them.

    Examples
    --------
    >>> [are_dimensionless(units) for units in ("1", "dimensionless", "", "mV", None)]
    [True, True, True, False, False]
    """
    return isinstance(units, str) and units.strip() in ("1", "dimensionless", "")
