"""Values of outputs as flat arrays of types that a browser has, and no larger than it needs."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._show.labels import axis_label, unit_suffix
from gridax.explore._labels import title

# The real numbers that a complex one is shown as.
_PARTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "angle": np.angle,
    "real": np.real,
    "imag": np.imag,
}
_INTEGERS = (np.int8, np.int16, np.int32)


@dataclasses.dataclass(frozen=True)
class Output:
    """One output, or one part of an output of complex numbers.

    Attributes
    ----------
    name : as it is chosen, such as ``"rate"`` or ``"abs(z)"``.
    variable : the variable of the result; its data may be lazy.
    part : function of its values, or None.
    """

    name: str
    source: str
    variable: xr.Variable
    part: str | None = None

    @property
    def kind(self) -> str:
        """The kind of its values: ``"b"``, ``"i"``, ``"u"`` or ``"f"``."""
        return "f" if self.part else self.variable.dtype.kind

    @property
    def dims(self) -> list[str]:
        """Names of its dimensions."""
        return list(map(str, self.variable.dims))

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Its long name and units."""
        attrs = dict(self.variable.attrs)
        if self.part is None:
            return attrs
        attrs["long_name"] = f"{self.part}({attrs.get('long_name', self.source)})"
        return {**attrs, "units": "rad"} if self.part == "angle" else attrs

    @property
    def nbytes(self) -> int:
        """Number of bytes of its values in a page, where they are not compressed."""
        width = min(4, 1 if self.kind == "b" else self.variable.dtype.itemsize)
        return self.variable.size * width * 4 // 3

    def compressed(self) -> int:
        """Return the bytes of its values in a page, where they are compressed, then in base64."""
        return len(gzip.compress(compact(self.isel({}).values).tobytes(), 2)) * 4 // 3

    def isel(self, indexers: Mapping[Any, Any]) -> xr.Variable:
        """Return the values at some positions as real numbers; only these are read."""
        values = self.variable.isel(indexers)
        return values if self.part is None else values.copy(data=_PARTS[self.part](values.values))

    def describe(self) -> dict[str, Any]:
        """Return name, labels and shape, in types that JSON has."""
        return {
            "name": self.name,
            "kind": self.kind,
            "dims": self.dims,
            "shape": list(self.variable.shape),
            "label": axis_label(self.name, self.attrs),
            "title": title(self.name, self.attrs),
            "units": unit_suffix(self.attrs.get("units")),
        }


def outputs_of(name: str, variable: xr.Variable) -> Iterator[Output]:
    """Return what is shown of a variable: itself, its parts if it is complex, or nothing."""
    if variable.dtype.kind in "biuf":
        yield Output(name, name, variable)
    elif variable.dtype.kind == "c":
        for part in _PARTS:
            yield Output(f"{part}({name})", name, variable, part)


def compact(values: np.ndarray) -> np.ndarray:
    """Return values as a flat array of a small type that represents them well enough.

    Integers and bools stay exact. Floats become 32-bit floats, which have more digits than a screen
    shows, unless their magnitudes need 64 bits.

    Examples
    --------
    >>> [compact(np.array(v)).dtype.name for v in ([True], [-3, 200], [2**40], [0.1], [1e300])]
    ['uint8', 'int16', 'float64', 'float32', 'float64']
    """
    values = values.reshape(-1)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind in "iu":
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        for dtype in _INTEGERS:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return values.astype(dtype)
        return values.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        small = values.astype(np.float32)
    changed = np.isinf(small) != np.isinf(values)
    vanished = (small == 0) != (values == 0)
    return values.astype(np.float64) if (changed | vanished).any() else small
