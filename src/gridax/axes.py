"""Axes: placeholders in a state that say which values a leaf takes."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks, _labels
from gridax._labels import Table

__all__ = [
    "Axis",
    "ChoiceAxis",
    "DataAxis",
    "GridAxis",
    "KeyAxis",
    "LogGridAxis",
    "NumPyroAxis",
    "UniformAxis",
]


class Axis(abc.ABC):
    """Placeholder for a leaf of the state: the values that the leaf takes.

    A subclass implements `size` and `generate_values`, nothing more.

    Parameters
    ----------
    group : hashable, optional
        Axes that share a group move together along one dimension, which bears the group's name.
    name : str, optional
        Name of the dimension or coordinate, in place of the dotted path of the leaf.
    attrs : mapping, optional
        Attributes of the coordinate, such as ``units`` and ``long_name``; plots show them.
    wrap : callable, optional
        Applied to the value of one point as it enters the state; labels do not see it.

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


def owner(axis: Axis) -> str:
    """Return how messages call an axis: by its name if it has one, else by its kind."""
    return f"axis {axis.name!r}" if isinstance(axis.name, str) else type(axis).__name__


def check_options(axis: Axis) -> None:
    """Check what every axis accepts: group, name, attrs, wrap."""
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
class _LabeledAxis(Axis):
    """An axis that knows its labels, not only its values. Abstract: `size` and `table`."""

    group: Hashable | None = None
    name: str | None = None
    attrs: Mapping[str, Any] | None = None
    wrap: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        check_options(self)
        self._normalize(functools.partial(object.__setattr__, self))

    def __repr__(self) -> str:
        """Return the call that made the axis, arrays in short."""
        parts = []
        for field in sorted(dataclasses.fields(self), key=lambda field: bool(field.kw_only)):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                parts.append(_short(value))
            elif field.repr and value is not field.default and not _is_empty(value):
                parts.append(f"{field.name}={_short(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    @abc.abstractmethod
    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        """Check the parameters and `put` them back in one canonical form."""

    @abc.abstractmethod
    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels; `owner` names the axis in errors."""

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        """Return all values as a JAX array of shape ``(size, *value_shape)``."""
        return self.table(key, owner(self)).stacked()


def _is_empty(value: Any) -> bool:
    return isinstance(value, (tuple, dict)) and not value


def _short(value: Any) -> str:
    """Return a repr that fits a line: arrays by shape once they hold more than a few numbers."""
    if isinstance(value, (np.ndarray, jax.Array, xr.DataArray)):
        if np.ndim(value) == 1 and value.size <= 6 and not is_keys(value):
            return repr(np.asarray(value).tolist())
        return f"<{value.dtype}[{','.join(map(str, value.shape))}]>"
    if hasattr(value, "arg_constraints"):  # NumPyro's own repr says only where it lies in memory
        given = (f"{name}={_short(getattr(value, name))}" for name in value.arg_constraints)
        return f"{type(value).__name__}({', '.join(given)})"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GridAxis(_LabeledAxis):
    """Evenly spaced values, both ends included.

    Parameters
    ----------
    low, high : float
        First and last value, ``low < high``.
    n : int
        Number of values; one value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model. The label stays the number.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer, a bound is not finite, or ``low >= high``.

    Examples
    --------
    >>> GridAxis(0.0, 1.0, 11).generate_values()[3].item()
    0.30000001192092896
    >>> import gridax as gx
    >>> gx.Space({"x": GridAxis(0.0, 1.0, 11)}).sel(x=0.3)[0]["x"].item()
    0.30000001192092896
    >>> GridAxis(1.0, 0.5, 3, name="G")
    Traceback (most recent call last):
        ...
    ValueError: axis 'G': low must be smaller than high, got low=1.0, high=0.5
    """

    low: float
    high: float
    n: int
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        low, high = _checks.bounds(self.low, self.high, owner(self))
        put("low", low)
        put("high", high)
        _normalize_extent(self, put)

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return _labels.number_table(np.linspace(self.low, self.high, self.n), owner, self.shape)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LogGridAxis(_LabeledAxis):
    """Values evenly spaced on a logarithmic scale, both ends included.

    Parameters
    ----------
    low, high : float
        First and last value, ``0 < low < high``: the bounds themselves, not their exponents.
    n : int
        Number of values; one value is `low`.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        As `GridAxis`, and if a bound is not positive.

    Examples
    --------
    >>> import gridax as gx
    >>> gx.Space({"sigma": LogGridAxis(1e-3, 1e-1, 3)}).to_dataframe()["sigma"].tolist()
    [0.001, 0.01, 0.1]
    """

    low: float
    high: float
    n: int
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        low, high = _checks.bounds(self.low, self.high, owner(self))
        if low <= 0:
            raise ValueError(
                f"{owner(self)}: a logarithmic grid needs positive bounds, got low={low}, "
                f"high={high}"
            )
        put("low", low)
        put("high", high)
        _normalize_extent(self, put)

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return _labels.number_table(np.geomspace(self.low, self.high, self.n), owner, self.shape)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class UniformAxis(_LabeledAxis):
    """Random values, uniform between two bounds.

    In a product, the values of an ungrouped axis stand in ascending order.

    Parameters
    ----------
    low, high : float
        Bounds, ``low < high``; values lie in ``[low, high)``.
    n : int
        Number of values.
    shape : tuple of int, optional
        Shape to which each value is broadcast inside the model.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        As `GridAxis`.

    Examples
    --------
    >>> import jax
    >>> UniformAxis(0.0, 1.0, 3, shape=(4, 2)).generate_values(jax.random.key(1)).shape
    (3, 4, 2)
    """

    low: float
    high: float
    n: int
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        low, high = _checks.bounds(self.low, self.high, owner(self))
        put("low", low)
        put("high", high)
        _normalize_extent(self, put)

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        # Bounds that collapse in JAX's default dtype would draw one value n times.
        low, high = _labels.number_table(np.array([self.low, self.high]), owner).values
        draws = jax.random.uniform(key, (self.n,), minval=low, maxval=high)
        return _labels.number_table(np.asarray(draws), owner, self.shape)


def _normalize_extent(axis: Any, put: Callable[[str, Any], None]) -> None:
    put("n", _checks.count(axis.n, owner(axis), "n"))
    if axis.shape is not None:
        put("shape", _checks.shape(axis.shape, owner(axis), "shape"))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DataAxis(_LabeledAxis):
    """Given values: any array whose first dimension is the axis.

    Parameters
    ----------
    values : array_like, shape ``(n, *value_shape)``
        Lists, NumPy and JAX arrays, typed PRNG keys, or an `xarray.DataArray`, whose name, attrs
        and coordinates are kept. Numbers are their own labels (floats as shortest decimals);
        arrays and keys have the labels 0..n-1 or those of the DataArray's first dimension.
        A dtype that is given stays: float32 data reach the model as float32 under x64 too.
    labels : array_like, optional
        One label per value, all different: numbers, bools or strings. The values are kept beside
        them in the Dataset, as ``<name>_value``.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If the values are empty, a scalar, ragged, masked, or not numbers; if a number is NaN; if
        JAX would change a value silently.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"G": DataAxis([0.3, 0.1])}, mode="product")
    >>> space.sel(G=0.12, method="nearest").dataset["G"].item()
    0.1
    >>> DataAxis([])
    Traceback (most recent call last):
        ...
    ValueError: DataAxis: values must not be empty
    """

    values: Any
    labels: Any = None

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        array = self.values
        if isinstance(array, xr.DataArray):
            if self.name is None and array.name is not None:
                put("name", _checks.name(array.name, "DataAxis"))
            put("attrs", {**array.attrs, **(self.attrs or {})})
            check_options(self)
            _check_values(array.to_numpy(), owner(self))
        elif is_keys(array):
            if array.ndim == 0:
                raise ValueError(f"{owner(self)}: one key is no axis; use KeyAxis or split it")
        else:
            put("values", _check_values(_as_array(array, owner(self)), owner(self)))
        if self.labels is not None:
            put("labels", _labels.given_labels(self.labels, self.size, owner(self)))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        if is_keys(self.values):
            return _labels.key_table(self.values, self.labels)
        if isinstance(self.values, xr.DataArray):
            return _dataarray_table(self.values, self.labels, owner)
        return _array_table(self.values, self.labels, owner)


def is_keys(value: Any) -> bool:
    """Whether `value` is an array of typed PRNG keys."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _as_array(values: Any, owner: str) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{owner}: masked values have no meaning here; fill or drop them first")
    if isinstance(values, (list, tuple)) and values and all(is_keys(v) for v in values):
        raise TypeError(f"{owner}: stack the keys to one array first: jnp.stack(keys)")
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{owner}: values must all have the same shape; these are ragged. Use ChoiceAxis for "
            "values whose shapes differ"
        ) from None


def _check_values(array: np.ndarray, owner: str) -> np.ndarray:
    if array.dtype.kind in "OUSTMm":
        kind = {"O": "objects", "M": "dates", "m": "durations"}.get(array.dtype.kind, "strings")
        advice = "convert them to numbers" if kind in ("dates", "durations") else "use ChoiceAxis"
        raise TypeError(f"{owner}: values must be numbers that JAX knows, got {kind}; {advice}")
    if array.ndim == 0:
        raise ValueError(
            f"{owner}: values must have at least one dimension, got the scalar {array.item()!r}; "
            "write a plain number for a fixed value"
        )
    if array.size == 0:
        raise ValueError(f"{owner}: values must not be empty")
    return array


def _array_table(array: np.ndarray, labels: Any, owner: str) -> Table:
    if labels is not None and array.ndim == 1 and array.dtype.kind != "c":
        values = _labels.device_values(array, owner)
        return Table(labels, values, "number", labeled=True)
    if array.ndim == 1 and array.dtype.kind != "c":
        return _labels.number_table(array, owner)
    values = _labels.device_values(array, owner)
    return Table(np.arange(len(values)) if labels is None else labels, values, "array")


def _dataarray_table(array: xr.DataArray, labels: Any, owner: str) -> Table:
    along = array.dims[0]
    if labels is None and along in array.coords:
        labels = _labels.given_labels(array.coords[along].to_numpy(), len(array), owner)
        numbers = array.ndim == 1 and array.dtype.kind in "fiub"
        if numbers and np.array_equal(labels, _array_table(array.to_numpy(), None, owner).labels):
            labels = None  # a DataArray of numbers that are its own coordinate
    table = _array_table(array.to_numpy(), labels, owner)
    others = {str(name): c.variable for name, c in array.coords.items() if name != along}
    return dataclasses.replace(
        table,
        dims=tuple(str(dim) for dim in array.dims[1:]) or None,
        coords={name: v for name, v in others.items() if along not in v.dims},
        extra={name: v for name, v in others.items() if v.dims == (along,)},
    )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NumPyroAxis(_LabeledAxis):
    """Random draws from a NumPyro distribution.

    In a product, the draws of an ungrouped axis of numbers stand in ascending order.

    Parameters
    ----------
    distribution : numpyro.distributions.Distribution
        Its batch and event shape become part of the value's shape.
    n : int
        Number of points.
    sample_shape : tuple of int, optional
        Shape of independent draws per point, in front of batch and event shape.
    broadcast_mode : bool, optional
        One draw per point, broadcast to `sample_shape`.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `distribution` cannot be sampled or `n` is not a positive integer.

    Examples
    --------
    >>> import jax
    >>> import numpyro.distributions as dist
    >>> axis = NumPyroAxis(dist.Normal(0.0, 1.0), n=3, sample_shape=(2, 4))
    >>> axis.generate_values(jax.random.key(0)).shape
    (3, 2, 4)
    """

    distribution: Any
    n: int
    sample_shape: tuple[int, ...] = ()
    broadcast_mode: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        if not (hasattr(self.distribution, "sample") and hasattr(self.distribution, "event_shape")):
            raise TypeError(
                f"{owner(self)}: distribution must be one of numpyro.distributions, such as "
                f"dist.Normal(0.0, 1.0), got {self.distribution!r}"
            )
        put("n", _checks.count(self.n, owner(self), "n"))
        put("sample_shape", _checks.shape(self.sample_shape, owner(self), "sample_shape"))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        if not self.broadcast_mode:
            draws = self.distribution.sample(key, (self.n, *self.sample_shape))
            return _array_table(np.asarray(draws), None, owner)
        draws = np.asarray(self.distribution.sample(key, (self.n,)))
        if draws.ndim == 1:
            return _labels.number_table(draws, owner, self.sample_shape or None)
        extended = draws.reshape((self.n,) + (1,) * len(self.sample_shape) + draws.shape[1:])
        shape = (self.n, *self.sample_shape, *draws.shape[1:])
        return _array_table(np.broadcast_to(extended, shape), None, owner)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class KeyAxis(_LabeledAxis):
    """Independent PRNG keys with the labels 0..n-1: trials of a stochastic model.

    More trials leave the keys of the first ones as they are.

    Parameters
    ----------
    n : int
        Number of keys.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

    Raises
    ------
    TypeError, ValueError
        If `n` is not a positive integer.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"key": KeyAxis(16, name="trial")}, mode="product")
    >>> space.dataset["trial"].values[:3].tolist()
    [0, 1, 2]
    """

    n: int

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        put("n", _checks.count(self.n, owner(self), "n"))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        key = default_key() if key is None else key
        return _labels.key_table(jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(self.n)))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ChoiceAxis(_LabeledAxis):
    """Alternatives that JAX cannot trace: integrator names, callables, sizes of arrays.

    Each choice is static under JAX: one compiled program per choice.

    Parameters
    ----------
    values : sequence of objects
        The alternatives.
    labels : sequence of str, int or float, optional
        What to select them by. Strings, numbers and bools are their own labels, callables have
        their ``__name__``, other objects their `repr`.
    group, name, attrs, wrap
        As for every axis, see `Axis`.

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
        put("values", tuple(self.values))
        if not self.values:
            raise ValueError(f"{owner(self)}: values must not be empty")
        labels = _choice_labels(self.values) if self.labels is None else self.labels
        put("labels", _labels.given_labels(labels, len(self.values), owner(self)))

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return Table(self.labels, self.values, "choice")


def _choice_labels(values: Sequence[Any]) -> list[Any]:
    for kind in (bool, str, int, float):
        if all(type(value) is kind for value in values):
            return list(values)
    return [getattr(v, "__name__", None) or (v if isinstance(v, str) else repr(v)) for v in values]


def default_key() -> jax.Array:
    """Return the key used where the user gives none: ``jax.random.key(0)``."""
    return jax.random.key(0)


def tabulate(axis: Axis, key: jax.Array, owner: str) -> Table:
    """Return values and labels of any axis, a user's own included; `owner` names it in errors."""
    if isinstance(axis, _LabeledAxis):
        return axis.table(key, owner)
    size = _checks.count(axis.size, owner, "size")
    values = axis.generate_values(key)
    if is_keys(values):
        table = _labels.key_table(values)
    else:
        table = _array_table(_check_values(_as_array(values, owner), owner), None, owner)
    if len(table) != size:
        raise ValueError(
            f"{owner}: size is {size}, but generate_values returned {len(table)} values"
        )
    return table


def is_random(axis: Axis) -> bool:
    """Whether the order of the axis' values has no meaning."""
    return isinstance(axis, (UniformAxis, NumPyroAxis))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StoredAxis(_LabeledAxis):
    """An axis read back from a file: its table, and how it was written."""

    stored: Table
    written: str

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.stored)

    def _normalize(self, put: Callable[[str, Any], None]) -> None:
        """Nothing to check: the table was checked when it was made."""

    def table(self, key: jax.Array | None, owner: str) -> Table:
        """Return values and labels."""
        return self.stored

    def __repr__(self) -> str:
        return self.written
