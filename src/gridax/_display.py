"""Value objects that are displayed by renderers registered from a higher layer.

A plan or a progress count is plain data at the bottom of the package, while the code that draws it
belongs to `_show`, far above. `Displayed` forwards Python's and IPython's display hooks to the
two generic functions below; `_show` registers an implementation per class when it is imported.
"""

from __future__ import annotations

import functools


@functools.singledispatch
def text_of(value: object) -> str:
    """Return the text that represents a value."""
    return object.__repr__(value)


@functools.singledispatch
def html_of(value: object) -> str | None:
    """Return the HTML that represents a value, or None, on which IPython shows the text."""
    return None


class Displayed:
    """Mixin of a value object whose display is registered with `text_of` and `html_of`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str | None:
        return html_of(self)
