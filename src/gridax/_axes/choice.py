"""Alternatives that JAX cannot trace."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gridax._arrays import is_keys
from gridax._axes.base import LabeledAxis, owner
from gridax._axes.labels import given_labels
from gridax._axes.table import Table
from gridax._pytree import natively_ordered

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ChoiceAxis(LabeledAxis):
    """Alternatives that JAX cannot trace: names of integrators, callables, sizes of arrays.

    Each choice is static under JAX, so there is one compiled program per choice.

    Parameters
    ----------
    values : sequence of objects
        The alternatives.
    labels : sequence of str, int or float, optional
        Labels to select the alternatives by. By default, strings, numbers and booleans are their
        own labels, the label of a callable is its ``__name__``, and that of any other object is
        its `repr` without addresses in memory, which the next process would not find again; objects
        that only these tell apart are numbered.
    group, name, attrs, wrap
        The same for every axis; see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If there is no value, or two labels are equal.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import gridax as gx
    >>> space = gx.Space({"f": ChoiceAxis([jnp.tanh, jnp.sin])}, mode="product")
    >>> space.sel(f="sin")[0]["f"] is jnp.sin
    True
    """

    values: Sequence[Any]
    labels: Any = dataclasses.field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Number of choices."""
        return len(self.values)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        if isinstance(self.values, (str, bytes)) or not hasattr(self.values, "__iter__"):
            raise TypeError(
                f"{owner(self)}: values must be a sequence of choices, got {self.values!r}"
            )
        put("values", tuple(map(natively_ordered, self.values)))
        if not self.values:
            raise ValueError(f"{owner(self)}: values must not be empty")
        labels = _choice_labels(self.values) if self.labels is None else self.labels
        put("labels", given_labels(labels, len(self.values), owner(self)))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return Table(self.labels, self.values, "choice")


def _choice_labels(values: Sequence[Any]) -> list[Any]:
    values = [value.item() if _is_number(value) else value for value in values]
    for kinds in ((bool,), (str,), (int, float)):
        if all(type(value) in kinds for value in values):
            return values
    texts = [value if isinstance(value, str) else _text(value) for value in values]
    counts, seen = collections.Counter(texts), collections.Counter[str]()
    labels = []
    for text, value in zip(texts, values, strict=True):
        if counts[text] > 1 and _ADDRESS.search(repr(value)) and not hasattr(value, "__name__"):
            labels.append(f"{text} {seen[text]}")
            seen[text] += 1
        else:
            labels.append(text)
    return labels


def _is_number(value: Any) -> bool:
    is_array = isinstance(value, (np.generic, jax.Array)) and value.ndim == 0
    return is_array and not is_keys(value)


def _text(value: Any) -> str:
    """Return the name of a callable, or the text of another object, the same in each process."""
    if isinstance(value, functools.partial):
        keywords = [f"{name}={_text(each)}" for name, each in value.keywords.items()]
        return f"{_text(value.func)}({', '.join([*map(_text, value.args), *keywords])})"
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and name else _ADDRESS.sub("", repr(value))
