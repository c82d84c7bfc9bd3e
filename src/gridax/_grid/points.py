"""The points of a space as a frozen value: what lower layers need to know of a `Space`.

Fingerprints, provenance, tracing and stores work on `Points`, so none of them imports `space`.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax import _checks
from gridax._arrays import is_keys
from gridax._axes import Axis, default_key, is_axis
from gridax._axes.carried import Carried, is_carried
from gridax._decimals import as_decimals
from gridax._grid.chains import carried_leaves, chain_of, resolved
from gridax._grid.grid import Grid, build
from gridax._grid.index import attach_all
from gridax._grid.select import is_integer
from gridax._plan.chain import Chain
from gridax._pytree import Skeleton, attribute_holding, check_keys, dotted, is_private, owned
from gridax._text import listing, number_of

MODES = ("product", "zip")
# Each coordinate costs a Dataset several microseconds, whatever is done with it; a state with more
# fixed scalars than this is one of thousands of parameters, and nobody selects by them.
MOST_FIXED = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """A flattened state, the grid of its axes, and how they were composed.

    Attributes
    ----------
    skeleton : the flattened state.
    grid : dimensions, each with the axes that vary along it.
    mode : ``"product"`` or ``"zip"``.
    key : typed PRNG key of the random axes.
    """

    skeleton: Skeleton
    grid: Grid
    mode: str
    key: jax.Array

    @classmethod
    def of(cls, state: Any, mode: str, key: Any) -> Points:
        """Return the points of a state as a user gives it; the errors are those of `Space`."""
        if mode not in MODES:
            raise ValueError(f"mode must be 'product' or 'zip', got {mode!r}")
        typed = _typed_key(key)
        try:
            skeleton = Skeleton.of(owned(state), is_axis)
        except ValueError:
            check_keys(state)
            raise
        grid = build(_axes_of(skeleton), mode, typed, _directions(skeleton))
        points = cls(skeleton, grid, mode, typed)
        # What is wrong is reported now rather than at the first use.
        _ = points.coordinates(), points.chain
        return points

    def __reduce__(self) -> Any:
        # JAX cannot pickle the structure of every pytree, but the pytree itself can be pickled.
        return _rebuilt, (self.skeleton.tree, self.grid, self.mode, self.key)

    def with_grid(self, grid: Grid) -> Points:
        """Return other points of the same state."""
        points = dataclasses.replace(self, grid=grid)
        _ = points.chain  # which not all points can have
        return points

    def with_initial(self, values: Sequence[Any]) -> Points:
        """Return the same points with other initial values of the carried leaves."""
        remaining = iter(values)
        tree = jax.tree.map(
            lambda leaf: leaf.with_initial(next(remaining)) if is_carried(leaf) else leaf,
            self.skeleton.tree,
            is_leaf=is_carried,
        )
        skeleton = Skeleton.of(tree, is_axis)
        slots = {id(leaf): slot for slot, leaf in enumerate(skeleton.leaves)}
        columns = tuple(
            dataclasses.replace(column, slot=slots[id(column.axis)]) for column in self.grid.columns
        )
        return dataclasses.replace(self, skeleton=skeleton, grid=Grid(self.sizes, columns))

    def along(self, dims: Collection[str]) -> Points:
        """Return the points of some dimensions only, without the axes along the others."""
        sizes = {dim: size for dim, size in self.sizes.items() if dim in dims}
        columns = (c for c in self.grid.columns if c.dim is None or c.dim in sizes)
        return dataclasses.replace(self, grid=Grid(sizes, tuple(columns)))

    @property
    def n(self) -> int:
        """Number of points, a Python integer of any size."""
        return self.grid.n_points

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions; the last varies fastest."""
        return self.grid.dims

    @property
    def sizes(self) -> dict[str, int]:
        """Number of points along each dimension."""
        return self.grid.sizes

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return tuple(self.grid.sizes.values())

    @functools.cached_property
    def carried(self) -> dict[str, Carried]:
        """Leaves that carry an output from one point to the next, by their dotted paths."""
        return carried_leaves(self.skeleton.tree)

    @functools.cached_property
    def chain(self) -> Chain | None:
        """Along which dimension points follow each other; None if each starts by itself."""
        return chain_of(self.carried, self.grid)

    @functools.cached_property
    def dim_numbers(self) -> dict[str, int]:
        """Position of each dimension."""
        return {dim: i for i, dim in enumerate(self.dims)}

    def at(self, index: Sequence[int], carried: Sequence[Any] | None = None) -> Any:
        """Return the state at an index along each dimension.

        `carried` are the values of the carried leaves; None for their initial ones.
        """
        values = {}
        for column in self.grid.columns:
            row = column.row(index, self.dim_numbers)
            is_cached = column.table.kind in ("number", "key") and column.table.shape is None
            value = self._value(column, row) if is_cached else column.table.value(row)
            values[column.slot] = column.wrapped(value, row)
        state = self.skeleton.fill(values)
        return resolved(state, carried) if self.carried else state

    @functools.cached_property
    def _value(self) -> Any:
        # Neighboring points share values: each is put on the device once, not once per point.
        return functools.lru_cache(maxsize=8192)(lambda column, row: column.table.value(row))

    def coordinates(self) -> dict[str, xr.Variable]:
        """Return the coordinates of the axes, and of the fixed scalars unless there are too many.

        Raises
        ------
        ValueError
            If two of them would have the same name, with both owners.
        """
        coordinates = self.grid.coordinates()
        fixed_names: set[str] = set()
        scalars = [(name, leaf) for name, leaf in self.fixed if _is_scalar(leaf)]
        for name, leaf in scalars if len(scalars) <= MOST_FIXED else ():
            value = None if _checks.unusable(name) else fixed_scalar(leaf)
            if value is None:
                continue
            if name in fixed_names:
                raise ValueError(
                    f"two fixed values of the state are both called {name!r}; rename the key of "
                    "one of them"
                )
            fixed_names.add(name)
            if name in coordinates or name in self.sizes:
                raise ValueError(
                    f"the fixed value at {name!r} and an axis or group called {name!r} would share "
                    "one coordinate; give the axis or group another name"
                )
            coordinates[name] = xr.Variable((), value)
        return coordinates

    @functools.cached_property
    def dataset(self) -> xr.Dataset:
        """Coordinates of all points, one table per dimension, with their indexes."""
        coordinates = xr.Coordinates(self.coordinates(), indexes={})
        return attach_all(xr.Dataset(coords=coordinates), self.grid.names_along())

    @functools.cached_property
    def fixed(self) -> tuple[tuple[str, Any], ...]:
        """Dotted path and value of the leaves that are not axes, without private ones."""
        skeleton = self.skeleton
        return tuple(
            (dotted(skeleton.paths[slot]), skeleton.leaves[slot])
            for slot in skeleton.written
            if not (is_axis(skeleton.leaves[slot]) or is_private(skeleton.paths[slot]))
        )


def _rebuilt(state: Any, grid: Grid, mode: str, key: jax.Array) -> Points:
    return Points(Skeleton.of(state, is_axis), grid, mode, key)


def fixed_scalar(leaf: Any) -> np.ndarray | None:
    """Return a fixed number, bool or string as its label, or None for any other leaf."""
    if _is_scalar(leaf):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating):
            return as_decimals(array.reshape(1))[0]
        return array if array.dtype.kind in "iubU" else None
    return None


def _is_scalar(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, str, np.generic)) or (
        isinstance(leaf, (np.ndarray, jax.Array)) and leaf.ndim == 0 and not is_keys(leaf)
    )


def _typed_key(key: Any) -> jax.Array:
    """Return a typed key from a typed key, a legacy key, an int, or None."""
    if key is None:
        return default_key()
    if is_keys(key) and key.ndim == 0:
        return key
    if is_integer(key):
        seed = operator.index(key)
        if not -(2**31) <= seed < 2**32:
            raise ValueError(
                f"key must be a seed of at most 32 bits, got {seed}; pass a smaller integer or a "
                "key such as jax.random.key(0)"
            )
        return jax.random.key(seed)
    if getattr(key, "dtype", None) == np.uint32 and np.ndim(key) == 1:
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise TypeError(f"key must be one PRNG key such as jax.random.key(0), or an int, got {key!r}")


def _directions(skeleton: Skeleton) -> list[Axis]:
    """Return the axes of leaves that are carried in both directions."""
    directions = [leaf.direction for leaf in carried_leaves(skeleton.tree).values()]
    return [axis for axis in directions if axis is not None]


def _axes_of(skeleton: Skeleton) -> list[tuple[int, str, Axis]]:
    """Return slot, dotted path and axis of every axis, in the order in which they were written."""
    axes: list[tuple[int, str, Axis]] = []
    path_of: dict[int, str] = {}
    # Leaves that are carried in both directions share one axis of them, the first.
    again = _directions(skeleton)[1:]
    for slot in skeleton.written:
        leaf, path = skeleton.leaves[slot], dotted(skeleton.paths[slot])
        if any(leaf is axis for axis in again):
            continue
        if not is_axis(leaf):
            _check_no_axis_within(leaf, path)
            continue
        if id(leaf) in path_of:
            raise ValueError(
                f"the same axis object is used at {path_of[id(leaf)]!r} and at {path!r}; create "
                "one axis for each, with a common group= if they should vary together"
            )
        path_of[id(leaf)] = path
        axes.append((slot, path, leaf))
    if not axes:
        raise ValueError(
            "the state has no axis; replace one of its leaves with an axis, as in "
            "{'G': gridax.GridAxis(0.0, 1.0, 5)}"
        )
    return axes


def _check_no_axis_within(leaf: Any, path: str) -> None:
    """Reject an axis class that was not called, an axis of another package, and one in a leaf."""
    if isinstance(leaf, type) and issubclass(leaf, Axis):
        raise TypeError(
            f"{path!r} is the class {leaf.__name__}, not an axis; call it with its values"
        )
    if not isinstance(leaf, type) and hasattr(leaf, "generate_values") and hasattr(leaf, "size"):
        raise TypeError(
            f"{path!r} is a {type(leaf).__name__}, which has the methods of an axis, but is not "
            "one; use an axis of gridax, or derive its class from gridax.Axis"
        )
    attribute = attribute_holding(leaf, is_axis)
    if attribute is not None:
        raise TypeError(
            f"the axis at {path}.{attribute} cannot be reached: {type(leaf).__name__} is not "
            "registered as a pytree. Register it, for a dataclass with "
            "jax.tree_util.register_dataclass"
        )


def point_labels(points: Points, indices: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the labels of every axis at some indices along each dimension."""
    labels = {}
    for column in points.grid.columns:
        rows = column.rows if column.dim is None else column.take(indices[column.dim])
        labels[column.name] = column.table.labels[np.atleast_1d(rows)]
    return labels


def labels_text(points: Points, indices: Mapping[str, Any]) -> str:
    """Return the labels of a point as text; of several points, those of the first and the last."""
    parts = []
    for name, labels in point_labels(points, indices).items():
        first, last = labels[0].item(), labels[-1].item()
        is_range = len(set(labels.tolist())) > 1
        parts.append(f"{name}={first!r}…{last!r}" if is_range else f"{name}={first!r}")
    return ", ".join(parts)


def changed_start(points: Points, indexer: Any) -> str | None:
    """Say how selecting labels changes what follows what in a chain; None if it does not."""
    chain, grid = points.chain, points.grid
    assert chain is not None
    names = listing([repr(path) for path in points.carried])
    has, are = ("has its", "is") if len(points.carried) == 1 else ("have their", "are")
    home = grid.dims[chain.dim]
    if not np.ndim(indexer):
        return f"with a single label along {home!r}, {names} {has} initial value at all points"
    chosen, size = np.asarray(indexer), grid.sizes[home]
    n = len(chosen)
    ends = [np.arange(size - n, size) if backward else np.arange(n) for backward in chain.backward]
    if all(np.array_equal(chosen, end) for end in ends):
        return None
    columns = grid.members(home)
    labels = [column.table.labels[column.all_rows(grid.sizes)][chosen] for column in columns]
    starts = dict.fromkeys(-1 if backward else 0 for backward in chain.backward)
    where = " and at ".join(
        ", ".join(f"{c.name}={along[i].item()!r}" for c, along in zip(columns, labels, strict=True))
        for i in starts
    )
    through = "its labels in another order" if n == size else f"{number_of(n, 'label')} of {size}"
    return (
        f"the chain along {home!r} goes through {through}: {names} {has} initial value at {where}, "
        f"and {are} carried from each selected label to the next"
    )
