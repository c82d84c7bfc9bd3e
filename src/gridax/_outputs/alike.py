"""Results that look like an earlier one, of which no template needs to be made."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from gridax._arrays import is_keys
from gridax._outputs.template import Template

# Anything else may have units or labels of its own.
_NUMBERS = frozenset({bool, int, float, complex})


class Alike:
    """Recognizes results with the same structure, types, shapes and dtypes as one before.

    That takes a microsecond or two; to make a template and compare it takes twenty times as long.

    Parameters
    ----------
    result : what a model returned.
    template : its template.

    Examples
    --------
    >>> from gridax._outputs.template import template_of
    >>> first = {"x": 0.5, "n": 3}
    >>> alike = Alike(first, template_of(first))
    >>> alike.arrays({"x": 0.7, "n": 4})
    [4, 0.7]
    >>> alike.arrays({"x": 1, "n": 4}) is None
    True
    """

    def __init__(self, result: Any, template: Template) -> None:
        leaves, treedef = jax.tree_util.tree_flatten(result)
        self._treedef: Any = treedef
        self._types = [type(leaf) for leaf in leaves]
        # The type alone determines the shape and dtype of a number.
        self._forms = [None if type(leaf) in _NUMBERS else _form(leaf) for leaf in leaves]
        self._has_jax = any(isinstance(leaf, jax.Array) for leaf in leaves)
        # The structures differ if xarray objects are registered as pytrees.
        self._is_plain = treedef == template.treedef and all(map(_is_plain, leaves))

    def arrays(self, result: Any) -> list[Any] | None:
        """Return numbers and NumPy arrays of a result that is alike; None for any other result."""
        if not self._is_plain:
            return None
        leaves, treedef = jax.tree_util.tree_flatten(result)
        if treedef != self._treedef:
            return None
        for leaf, kind, form in zip(leaves, self._types, self._forms, strict=True):
            if type(leaf) is not kind or (form is not None and form != _form(leaf)):
                return None
        return [np.asarray(leaf) for leaf in leaves] if self._has_jax else leaves


def _form(leaf: Any) -> Any:
    return getattr(leaf, "shape", None), getattr(leaf, "dtype", None)


def _is_plain(leaf: Any) -> bool:
    """Whether a leaf is a number or an array that is stored as it is."""
    if type(leaf) in _NUMBERS or (isinstance(leaf, jax.Array) and not is_keys(leaf)):
        return True
    is_numpy = type(leaf) is np.ndarray or isinstance(leaf, np.generic)
    return is_numpy and type(leaf) in (np.ndarray, leaf.dtype.type) and leaf.dtype.isnative
