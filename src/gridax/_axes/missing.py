"""Placeholders for what files do not store."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn


@dataclasses.dataclass(frozen=True)
class Missing:
    """Placeholder, in a state that was read from a file, for what files do not store."""

    what: str

    def __repr__(self) -> str:
        return f"<not stored: {self.what}>"


@dataclasses.dataclass(frozen=True)
class MissingWrap:
    """Placeholder for the wrap of an axis that was read from a file.

    Labels do not tell what a wrap made of them, so there is no value that the model would receive.
    """

    axis: str
    what: str

    def __call__(self, value: Any) -> NoReturn:
        """Raise the error of whatever needs the value.

        Raises
        ------
        ValueError
            Always; it names the axis.
        """
        raise ValueError(
            f"axis {self.axis!r} had wrap={self.what}, but files do not hold functions, so the "
            "values that the model received are unknown; create the space again with the same "
            "wrap=, or call the model itself with a state of your own"
        )


def name_of(function: Any) -> str:
    """Return the name by which a file mentions an object that it does not hold."""
    if isinstance(function, (Missing, MissingWrap)):
        return function.what
    return str(getattr(function, "__name__", type(function).__name__))
