"""Digests of a user's values, by content, and code, by syntax; the same in every process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gridax._digest.changes import Changes, changes
from gridax._digest.walk import Walk


class Examined(NamedTuple):
    """What was found out about some values.

    Attributes
    ----------
    digest : tells them from other values.
    unknown : names of the objects in them that have no digest.
    libraries : versions of the installed packages that they refer to.
    """

    digest: str
    unknown: tuple[str, ...]
    libraries: dict[str, str]


def digest(*values: Any) -> str:
    """Return a short digest of some values.

    Numbers, strings, arrays, tables and containers count by type and content; functions by their
    syntax, their defaults, and the variables, helpers, classes and modules that they refer to;
    objects by their class and attributes; installed packages by the names of their members. What
    the code itself changes, such as a counter or a cache, does not count.

    Examples
    --------
    >>> digest(1.0) == digest(1.0), digest(1.0) == digest(1), digest("a", [2]) == digest("a", [3])
    (True, False, False)
    """
    return examine(dict(zip(map(str, range(len(values))), values, strict=True))).digest


def examine(values: Mapping[str, Any]) -> Examined:
    """Return the digest of some values, and the names in them of what has none.

    Parameters
    ----------
    values : the values, by the names that messages give them.
    """
    walk = Walk(Changes())
    code = walk.digest(values)
    changing = changes(walk.functions.values(), walk.methods, walk.instances)
    if changing:
        walk = Walk(changing)
        code = walk.digest(values)
    return Examined(code, tuple(walk.unknown), dict(sorted(walk.libraries.items())))
