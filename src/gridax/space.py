"""Space: a state and its axes, composed to a labeled grid of points."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from gridax import _checks
from gridax._axes import Axis, default_key
from gridax._axes.labels import is_keys, shortest
from gridax._grid import frame, select, stack
from gridax._grid.grid import Grid, build
from gridax._grid.index import attach_all
from gridax._pytree import Skeleton, attribute_holding, dotted, is_private, owned
from gridax._show import reprs
from gridax._text import number_of

MODES = ("product", "zip")


class Space(Sequence[Any]):
    """A labeled grid of states: every combination of the axes in a pytree, or all in step.

    Parameters
    ----------
    state : pytree
        What the model receives; some leaves are axes. Everything else stays as it is.
    mode : {"zip", "product"}, optional
        ``"product"`` combines every value with every other: one dimension per ungrouped axis and
        one per group, in the order of writing, the last varying fastest. ``"zip"`` moves all axes
        together along the dimension ``point``.
    key : jax.Array or int, optional
        PRNG key of the random axes, typed or legacy, or a seed. Default ``jax.random.key(0)``.
        Each axis draws with this key and its own name, so other axes do not change its draws.

    Raises
    ------
    TypeError, ValueError
        If there is no axis, the same axis object stands twice, a name is used twice or cannot be
        used, or an axis' values cannot be labeled.

    Warns
    -----
    UserWarning
        If axes that move together differ in size; the shortest wins.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"a": gx.GridAxis(0, 1, 11), "b": gx.DataAxis([1, 2])}, mode="product")
    >>> len(space), space.dims, space.shape
    (22, ('a', 'b'), (11, 2))
    >>> space.sel(a=0.3, b=2)[0]["a"].item()
    0.30000001192092896
    """

    def __init__(self, state: Any, mode: str = "zip", key: Any = None) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be 'product' or 'zip', got {mode!r}")
        key = _typed_key(key)
        skeleton = Skeleton.of(owned(state), is_axis)
        grid = build(_axes_of(skeleton), mode, key)
        self._set(skeleton, grid, mode, key)
        _coordinates(skeleton, grid)  # a clash of names shows now, not when first used

    def _set(self, skeleton: Skeleton, grid: Grid, mode: str, key: jax.Array) -> None:
        self._skeleton, self._grid, self._mode, self._key = skeleton, grid, mode, key
        self._place = {dim: i for i, dim in enumerate(grid.dims)}
        # Neighboring points share values: each is put on the device once, not once per point.
        self._number = functools.lru_cache(maxsize=8192)(
            lambda column, row: column.table.value(row)
        )

    @classmethod
    def assemble(cls, skeleton: Skeleton, grid: Grid, mode: str, key: jax.Array) -> Space:
        """Return a space of parts that were checked before; for gridax's own modules."""
        space = cls.__new__(cls)
        space._set(skeleton, grid, mode, key)
        return space

    def __reduce__(self) -> Any:
        return _rebuilt, (self.state, self._grid, self._mode, self._key)

    def _with(self, grid: Grid) -> Space:
        return self.assemble(self._skeleton, grid, self._mode, self._key)

    def __len__(self) -> int:
        return self._grid.n_points

    @property
    def N(self) -> int:
        """Number of points."""
        return self._grid.n_points

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions; the last varies fastest."""
        return self._grid.dims

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of points along each dimension."""
        return dict(self._grid.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return tuple(self._grid.sizes.values())

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes by name, in the order of writing."""
        return {column.name: column.axis for column in self._grid.columns}

    @property
    def mode(self) -> str:
        """How the axes were composed, ``"product"`` or ``"zip"``."""
        return self._mode

    @property
    def key(self) -> jax.Array:
        """The typed PRNG key of the random axes."""
        return self._key

    @property
    def state(self) -> Any:
        """The pytree with its axes, as it was given; its NumPy arrays are read-only copies."""
        return self._skeleton.tree

    @property
    def grid(self) -> Grid:
        """Dimensions and columns; for gridax's own modules."""
        return self._grid

    @property
    def skeleton(self) -> Skeleton:
        """The flattened state; for gridax's own modules."""
        return self._skeleton

    @property
    def fixed(self) -> list[tuple[str, Any]]:
        """Names and values of the other leaves of the state; for gridax's own modules."""
        return list(_fixed(self._skeleton, self._grid))

    @property
    def dataset(self) -> xr.Dataset:
        """Coordinates of the whole space, one table per dimension, as an `xarray.Dataset`.

        Labels of the axes along their dimensions, the values that labels do not say as
        ``<name>_value``, and fixed scalars of the state as scalar coordinates (without those
        below a key that starts with an underscore).
        """
        return self._dataset.copy()

    @functools.cached_property
    def _dataset(self) -> xr.Dataset:
        coordinates = xr.Coordinates(_coordinates(self._skeleton, self._grid), indexes={})
        return attach_all(xr.Dataset(coords=coordinates), self._grid.names_along())

    def __getitem__(self, index: Any) -> Any:
        """Return the state at a point, or the Space of several points.

        Parameters
        ----------
        index : int, slice, list or array of int, or boolean array of length N
            Flat position; negative ones count from the end.

        Returns
        -------
        pytree or Space
            Several points of more than one dimension lie along the dimension ``point``.
        """
        i = select.single(index, self.N)
        if i is not None:
            return self.at(self._grid.unravel(i))
        if len(self.dims) == 1:
            return self.isel({self.dims[0]: index})
        return self._with(self._grid.scatter(select.flat_positions(index, self.N)))

    def __iter__(self) -> Iterator[Any]:
        return map(self.at, itertools.product(*map(range, self.shape)))

    def at(self, index: Sequence[int]) -> Any:
        """Return the state at an index along each dimension; for gridax's own modules."""
        values = {}
        for column in self._grid.columns:
            row = column.row(index, self._place)
            single = column.table.kind in ("number", "key") and column.table.shape is None
            value = self._number(column, row) if single else column.table.value(row)
            values[column.slot] = value if column.axis.wrap is None else column.axis.wrap(value)
        return self._skeleton.fill(values)

    def isel(self, indexers: Mapping[str, Any] | None = None, **by_dim: Any) -> Space:
        """Return the space at some positions along some dimensions.

        Parameters
        ----------
        indexers, **by_dim : int, slice, sequence of int, or boolean array
            Per dimension. An int drops the dimension; its axes are fixed at that value.

        Raises
        ------
        ValueError, IndexError
            If a dimension does not exist, or nothing is selected.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> space.isel(a=slice(1, 3), b=0).sizes
        {'a': 2}
        """
        chosen = select.positions({**(indexers or {}), **by_dim}, self._grid.sizes)
        return self._with(self._grid.isel(chosen))

    def sel(
        self,
        indexers: Mapping[str, Any] | None = None,
        method: str | None = None,
        tolerance: float | None = None,
        **by_label: Any,
    ) -> Space:
        """Return the space at some labels: values, lists, slices, or the nearest ones.

        Parameters
        ----------
        indexers, **by_label : label, list of labels, or slice
            Per axis. One label drops the dimension; its axes are fixed at that value.
        method : {None, "nearest"}, optional
            Whether labels must match exactly. Slices and strings always do.
        tolerance : float, optional
            Largest distance at which a nearest label is accepted.

        Raises
        ------
        KeyError
            If a label does not exist, or nothing is selected.
        ValueError
            If an axis does not exist.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 11), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> space.sel(a=slice(0.2, 0.5)).sizes
        {'a': 4, 'b': 3}
        >>> space.sel(a=0.32, method="nearest")[0]["a"].item()
        0.30000001192092896
        """
        labels = {**(indexers or {}), **by_label}
        chosen = select.by_label(self._dataset, self._grid, labels, method, tolerance)
        return self._with(self._grid.isel(chosen))

    def filter(self, predicate: Callable[[xr.Dataset], xr.DataArray]) -> Space:
        """Keep the points for which a predicate holds.

        They lie along the dimension ``point``; a space of one dimension keeps its own.

        Parameters
        ----------
        predicate : callable
            Takes `dataset` and returns a boolean DataArray over some of its dimensions. It is
            called once, on whole coordinates.

        Raises
        ------
        TypeError, ValueError
            If the predicate returns something else, or no point remains.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 5)}, "product")
        >>> len(space.filter(lambda ds: ds.a < ds.b))
        10
        """
        if not callable(predicate):
            raise TypeError(f"filter takes a function of the Dataset, got {predicate!r}")
        points = select.where(predicate(self.dataset), self._grid.sizes)
        if len(self.dims) == 1:
            return self.isel({self.dims[0]: points})
        return self._with(self._grid.scatter(points))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per point and one column per axis; arrays are object cells.

        Examples
        --------
        >>> import gridax as gx
        >>> df = gx.Space({"x": gx.GridAxis(0, 1, 11)}).to_dataframe()
        >>> len(df[df.x == 0.3])
        1
        """
        return pd.DataFrame(frame.parameter_columns(self._grid))

    def plot(
        self, names: Sequence[str] | None = None, *, max_points: int = 2000, ax: Any = None
    ) -> Any:
        """Draw what is sampled: a strip for one axis, a scatter plot for two, else every pair.

        Labels that occur together, along one dimension, are orange; every combination of two
        dimensions is blue. Keys and arrays are drawn by their number.

        Parameters
        ----------
        names : sequence of str, optional
            The axes to draw, up to eight. By default all that vary.
        max_points : int, optional
            Most points of one panel; of a larger grid an evenly spread part is drawn, which the
            title says.
        ax : matplotlib.axes.Axes, optional
            Where to draw one or two axes.

        Returns
        -------
        matplotlib.axes.Axes or numpy.ndarray
            The Axes, or an array of one per pair.

        Raises
        ------
        ValueError
            If a name is no axis that varies, or there are more than eight.
        ModuleNotFoundError
            If matplotlib is not installed.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> space.plot().get_title()
        '15 points, product: a 5 × b 3'
        """
        from gridax._show import space_plot  # matplotlib is optional

        title = f"{number_of(self.N, 'point')}, {self.mode}"
        if len(self.dims) > 1:
            title += ": " + " × ".join(f"{dim} {size}" for dim, size in self.sizes.items())
        return space_plot.draw(self._grid, title, names, max_points, ax)

    def collect(
        self,
        n_vmap: int | None = None,
        n_pmap: int | None = None,
        fill_value: Any = jnp.nan,
        combine: bool = True,
    ) -> Any:
        """Return the states of all points as one batched state, for a vmap of your own.

        Parameters
        ----------
        n_vmap, n_pmap : int, optional
            Sizes of leading batch dimensions. The axes' leaves have the shape
            ``(n_pmap, n_vmap, n_rest, *value_shape)``, without the ones that are None.
        fill_value : number, optional
            What floats are padded with where the points do not fill the batch; integers, bools
            and keys repeat the last point.
        combine : bool, optional
            Whether to return one state; else a pair of the batched leaves and the fixed ones,
            each with None where the other has its own.

        Warns
        -----
        UserWarning
            If padding is needed.

        Examples
        --------
        >>> import gridax as gx
        >>> gx.Space({"x": gx.GridAxis(0, 1, 6)}).collect(n_vmap=2)["x"].shape
        (2, 3)
        """
        batched, chosen = stack.collect(self._grid, n_vmap, n_pmap, fill_value)
        fill = self._skeleton.fill
        if combine:
            return fill(batched | chosen)
        others = (i for i in range(len(self._skeleton.leaves)) if i not in batched)
        return fill(batched | dict.fromkeys(others)), fill(chosen | dict.fromkeys(batched))

    def __repr__(self) -> str:
        return reprs.space_text(self._grid, self.mode, self.fixed)

    def _repr_html_(self) -> str:
        return reprs.space_html(self._grid, self.mode, self.fixed, lambda: self._dataset)


def _rebuilt(state: Any, grid: Grid, mode: str, key: jax.Array) -> Space:
    return Space.assemble(Skeleton.of(state, is_axis), grid, mode, key)


def is_axis(leaf: Any) -> bool:
    """Whether a leaf of a state is an axis."""
    return isinstance(leaf, Axis)


def _typed_key(key: Any) -> jax.Array:
    """Return a typed key from a typed key, a legacy key, an int, or None."""
    if key is None:
        return default_key()
    if is_keys(key) and key.ndim == 0:
        return key
    if select.is_integer(key):
        seed = operator.index(key)
        if not -(2**31) <= seed < 2**32:
            raise ValueError(f"key: the seed {seed} has more than the 32 bits that JAX would use")
        return jax.random.key(seed)
    if getattr(key, "dtype", None) == np.uint32 and np.ndim(key) == 1:
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise TypeError(f"key must be one PRNG key such as jax.random.key(0), or an int, got {key!r}")


def _axes_of(skeleton: Skeleton) -> list[tuple[int, str, Axis]]:
    """Return slot, dotted path and axis of every axis, in the order of writing."""
    found: list[tuple[int, str, Axis]] = []
    seen: dict[int, str] = {}
    for slot in skeleton.written:
        leaf, path = skeleton.leaves[slot], dotted(skeleton.paths[slot])
        if isinstance(leaf, type) and issubclass(leaf, Axis):
            raise TypeError(
                f"{path!r} is the class {leaf.__name__}, not an axis; call it with its values"
            )
        if not is_axis(leaf):
            hidden = attribute_holding(leaf, is_axis)
            if hidden is not None:
                raise TypeError(
                    f"the axis in {path}.{hidden} is out of reach: {type(leaf).__name__} is not "
                    "registered as a pytree. Register it, for a dataclass with "
                    "jax.tree_util.register_dataclass"
                )
            continue
        if id(leaf) in seen:
            raise ValueError(
                f"the same axis object stands at {seen[id(leaf)]!r} and {path!r}; make one axis "
                "for each place, with a common group= if they shall move together"
            )
        seen[id(leaf)] = path
        found.append((slot, path, leaf))
    if not found:
        raise ValueError(
            "the state holds no axis; put one in the place of a leaf, such as "
            "{'G': gridax.GridAxis(0.0, 1.0, 5)}"
        )
    return found


def _coordinates(skeleton: Skeleton, grid: Grid) -> dict[str, xr.Variable]:
    """Return the axes' coordinates and the fixed scalars, refusing two owners of one name."""
    found = grid.coordinates()
    fixed: set[str] = set()
    for name, leaf in _fixed(skeleton, grid):
        value = None if _checks.unusable(name) else fixed_scalar(leaf)
        if value is None:
            continue
        if name in fixed:
            raise ValueError(
                f"two fixed values of the state are both called {name!r}; rename a key of one"
            )
        fixed.add(name)
        if name in found or name in grid.sizes:
            raise ValueError(
                f"the fixed value at {name!r} and an axis or group called {name!r} would share "
                "one coordinate; give the axis or group another name"
            )
        found[name] = xr.Variable((), value)
    return found


def _fixed(skeleton: Skeleton, grid: Grid) -> Iterator[tuple[str, Any]]:
    """Yield dotted path and value of the leaves that are no axes, without private ones."""
    slots = {column.slot for column in grid.columns}
    for slot in skeleton.written:
        if slot not in slots and not is_private(skeleton.paths[slot]):
            yield dotted(skeleton.paths[slot]), skeleton.leaves[slot]


def fixed_scalar(leaf: Any) -> np.ndarray | None:
    """Return a fixed number, bool or string as its label, or None for any other leaf."""
    if isinstance(leaf, (bool, int, float, str, np.generic)) or (
        isinstance(leaf, (np.ndarray, jax.Array)) and leaf.ndim == 0 and not is_keys(leaf)
    ):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating):
            return shortest(array.reshape(1))[0]
        return array if array.dtype.kind in "iubU" else None
    return None
