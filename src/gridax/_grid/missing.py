"""What points lack that were read from a file, and the errors that say so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from gridax._axes.missing import Missing, MissingWrap
from gridax._grid.points import Points
from gridax._pytree import dotted
from gridax._text import listing


def check_wraps(points: Points) -> None:
    """Reject points with values that are unknown, as the wrap of an axis is not in the file.

    Raises
    ------
    ValueError
        It names the axis.
    """
    for column in points.grid.columns:
        if isinstance(column.axis.wrap, MissingWrap):
            column.axis.wrap(None)


def missing_initial(points: Points) -> dict[str, str]:
    """Return what the initial values were that a file does not hold, by the path of the leaf."""
    return {
        path: ", ".join(missing)
        for path, leaf in points.carried.items()
        if (missing := [part.what for part in _missing_in(leaf.initial)])
    }


def check_initial(points: Points) -> None:
    """Reject points of which some start from an initial value that is not in the file.

    Raises
    ------
    ValueError
        It names the leaf.
    """
    for path, what in missing_initial(points).items():
        raise ValueError(
            f"a chain starts from the initial value of {path!r}, which was {what}, but files hold "
            "neither functions nor arrays; create the space again with the same initial=, or call "
            "the model itself with a state of your own"
        )


@contextlib.contextmanager
def noting_missing(points: Points) -> Iterator[None]:
    """Note on any error raised in the block which values are placeholders, as files lack them."""
    try:
        yield
    except Exception as error:
        _note_missing(error, points)
        raise


def _note_missing(error: Exception, points: Points) -> None:
    skeleton = points.skeleton
    pairs = zip(skeleton.paths, skeleton.leaves, strict=True)
    fixed = [dotted(path) for path, leaf in pairs if isinstance(leaf, Missing)]
    chosen = [c.name for c in points.grid.columns if _lacks_choices(c.table)]
    if fixed:
        error.add_note(f"files do not hold the fixed values {', '.join(fixed)}")
    if chosen:
        error.add_note(f"files do not hold the choices of {listing(chosen)}")


def _lacks_choices(table: Any) -> bool:
    return table.kind == "choice" and bool(_missing_in(table.values))


def _missing_in(tree: Any) -> list[Missing]:
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, Missing)]
