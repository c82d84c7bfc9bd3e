"""The base classes of axes, and what all axes have in common."""

from __future__ import annotations

import abc
import dataclasses
import functools
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import is_keys
from gridax._axes.table import Table
from gridax._text import one_line, shorten


class Axis(abc.ABC):
    """Placeholder for a leaf of the state: the values that the leaf takes.

    A subclass only needs to implement `size` and `generate_values`.

    Parameters
    ----------
    group : hashable, optional
        Axes of the same group vary together along one dimension, which is named after the group.
    name : str, optional
        Name of the dimension or coordinate; by default, the dotted path of the leaf.
    attrs : mapping, optional
        Attributes of the coordinate, such as ``units`` and ``long_name``; plots show them.
    wrap : callable, optional
        Function applied to the value of one point as it enters the state. It does not affect the
        labels.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> class Squares(Axis):
    ...     size = 4
    ...
    ...     def generate_values(self, key=None):
    ...         return jnp.arange(4.0) ** 2
    >>> import gridax as gx
    >>> gx.Space({"x": Squares()}, mode="product").to_dataframe()["x"].tolist()
    [0.0, 1.0, 4.0, 9.0]
    """

    group: Hashable | None = None
    name: str | None = None
    attrs: Mapping[str, Any] | None = None
    wrap: Callable[[Any], Any] | None = None

    def __init__(
        self,
        group: Hashable | None = None,
        name: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        wrap: Callable[[Any], Any] | None = None,
    ) -> None:
        self.group, self.name, self.attrs, self.wrap = group, name, attrs, wrap
        check_options(self)

    def __repr__(self) -> str:
        """Return the kind of the axis and its size."""
        return _fitted(f"{type(self).__name__}(size={self.size})")

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of values."""

    @abc.abstractmethod
    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        """Return all values as a JAX array of shape ``(size, *value_shape)``.

        Parameters
        ----------
        key : jax.Array, optional
            PRNG key for random values; a deterministic axis ignores it.
        """


def is_axis(leaf: Any) -> bool:
    """Whether a leaf of a state is an axis."""
    return isinstance(leaf, Axis)


def owner(axis: Axis) -> str:
    """Return how messages refer to an axis: by its name if it has one, or else by its class."""
    return f"axis {axis.name!r}" if isinstance(axis.name, str) else type(axis).__name__


def check_options(axis: Axis) -> None:
    """Check the options that every axis accepts: group, name, attrs and wrap."""
    try:
        hash(axis.group)
    except TypeError:
        raise TypeError(
            f"{owner(axis)}: group must be hashable, such as a string, got {axis.group!r}"
        ) from None
    if axis.name is not None:
        _checks.name(axis.name, type(axis).__name__)
    _checks.attributes(axis.attrs, owner(axis))
    if axis.wrap is not None and not callable(axis.wrap):
        raise TypeError(f"{owner(axis)}: wrap must be callable, got {axis.wrap!r}")


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LabeledAxis(Axis):
    """An axis that defines its labels as well as its values. Abstract: `size` and `table`."""

    group: Hashable | None = None
    name: str | None = None
    attrs: Mapping[str, Any] | None = None
    wrap: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        check_options(self)
        self._normalize(functools.partial(object.__setattr__, self))

    def __repr__(self) -> str:
        """Return the call that creates the axis, shortened to xarray's display width."""
        return _fitted(self._call())

    def _call(self) -> str:
        """Return the call that creates the axis, with arrays abbreviated."""
        parts = []
        for field in sorted(dataclasses.fields(self), key=lambda field: bool(field.kw_only)):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                parts.append(short(value))
            elif field.repr and value is not field.default and not _is_empty(value):
                parts.append(f"{field.name}={short(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @abc.abstractmethod
    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        """Check the parameters and `put` them back in a canonical form."""

    @abc.abstractmethod
    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels; error messages start with `owner`."""

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        """Return all values as a JAX array of shape ``(size, *value_shape)``."""
        return self.table(key, owner(self)).stacked()


def call(axis: Axis) -> str:
    """Return the call that creates an axis, in full length."""
    return axis._call() if isinstance(axis, LabeledAxis) else repr(axis)


def made_by(axis: Axis, kind: type[Axis]) -> bool:
    """Whether an axis is of some class, also if it was read from a file."""
    return isinstance(axis, kind) or call(axis).startswith(f"{kind.__name__}(")


# What the call of an axis ends with that has labels halfway between others.
REFINED = ", refined"


def is_refined(axis: Axis) -> bool:
    """Whether an axis has labels halfway between those of another one."""
    return call(axis).endswith(REFINED)


def brief(axis: Axis) -> str:
    """Return the call that creates an axis, without the options that every axis has.

    Examples
    --------
    >>> import gridax as gx
    >>> brief(gx.KeyAxis(16, group="setting", name="trial"))
    'KeyAxis(16)'
    """
    text = call(axis)
    end = REFINED if text.endswith(REFINED) else ""
    text = text.removesuffix(REFINED)
    options = _OPTIONS.search(text)  # in the text, as an axis read from a file has nothing else
    return (text if options is None else text[: options.start()] + ")") + end


_OPTIONS = re.compile(r", (group|name|attrs|wrap)=")


def _fitted(text: str) -> str:
    return shorten(one_line(text), xr.get_options()["display_width"])


def _is_empty(value: Any) -> bool:
    return isinstance(value, (tuple, dict)) and not value


def short(value: Any) -> str:
    """Return a repr that fits on one line; arrays of more than a few numbers appear by shape."""
    if isinstance(value, (np.ndarray, jax.Array, xr.DataArray)):
        if np.ndim(value) == 1 and value.size <= 6 and not is_keys(value):
            return repr(np.asarray(value).tolist())
        return f"<{value.dtype}[{','.join(map(str, value.shape))}]>"
    if hasattr(value, "arg_constraints"):  # NumPyro's own repr is only an address in memory
        parameters = (f"{name}={short(getattr(value, name))}" for name in value.arg_constraints)
        return f"{type(value).__name__}({', '.join(parameters)})"
    return shorten(one_line(repr(value)), 60)


def default_key() -> jax.Array:
    """Return the key that is used by default: ``jax.random.key(0)``."""
    return jax.random.key(0)
