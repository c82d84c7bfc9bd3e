"""Space: a state and its axes, composed into a labeled grid of points."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
import xarray as xr

from gridax._axes import Axis
from gridax._grid import frame, lookup, select, stack
from gridax._grid.chains import resolved
from gridax._grid.grid import Grid
from gridax._grid.points import Points, changed_start
from gridax._show import reprs
from gridax._show.facts import SpaceFacts, space_facts
from gridax._text import number_of
from gridax._warnings import warn


class Space(Sequence[Any]):
    """A labeled grid of states: the axes in a pytree, combined or zipped.

    Parameters
    ----------
    state : pytree
        What the model receives, with axes in place of some leaves. All other leaves are passed
        to the model unchanged. Fixed numbers, booleans and strings become scalar coordinates of the
        Dataset, unless there are more than 256 of them; then they are kept in its attributes only.
    mode : {"zip", "product"}, optional
        ``"product"`` combines every value of an axis with every value of the others: there is one
        dimension per ungrouped axis and one per group, in the order in which the state is written,
        and the last dimension varies fastest. ``"zip"`` varies all axes together along the
        dimension ``point``, except for the two directions of a `Carried`.
    key : jax.Array or int, optional
        PRNG key of the random axes (typed or legacy), or a seed. The default is
        ``jax.random.key(0)``. Each axis draws with this key and its own name, so that other axes
        do not change its draws.

    Raises
    ------
    TypeError, ValueError
        If the state has no axis, the same axis object is used twice, a name is used twice or is
        not usable, or the values of an axis cannot be labeled.

    Warns
    -----
    UserWarning
        If zipped or grouped axes differ in size; the shortest one determines the size.

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
        self._points = Points.of(state, mode, key)

    def _with(self, grid: Grid) -> Space:
        return space_of(self._points.with_grid(grid))

    def __len__(self) -> int:
        return self._points.n

    @property
    def N(self) -> int:
        """Number of points."""
        return self._points.n

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions; the last varies fastest."""
        return self._points.dims

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of points along each dimension."""
        return dict(self._points.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self._points.shape

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes by name, in the order in which the state is written."""
        return {column.name: column.axis for column in self._points.grid.columns}

    @property
    def mode(self) -> str:
        """How the axes were composed, ``"product"`` or ``"zip"``."""
        return self._points.mode

    @property
    def key(self) -> jax.Array:
        """The typed PRNG key of the random axes."""
        return self._points.key

    @property
    def state(self) -> Any:
        """The pytree with its axes, as it was given; its NumPy arrays are read-only copies."""
        return self._points.skeleton.tree

    @property
    def dataset(self) -> xr.Dataset:
        """Coordinates of the whole space, one table per dimension, as an `xarray.Dataset`.

        It holds the labels of the axes along their dimensions, the values of array-valued or
        relabeled axes as ``<name>_value``, and the fixed scalars of the state as scalar
        coordinates (except those below a key that starts with an underscore, and all of them if
        there are more than 256).
        """
        return self._points.dataset.copy()

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
            return self._points.at(self._points.grid.unravel(i))
        if len(self.dims) == 1:
            return self.isel({self.dims[0]: index})
        return self._with(self._points.grid.scatter(select.flat_positions(index, self.N)))

    def __iter__(self) -> Iterator[Any]:
        return map(self._points.at, itertools.product(*map(range, self.shape)))

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

        Warns
        -----
        UserWarning
            If points follow each other along a dimension, and now start at another label or skip
            some.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 3)}, "product")
        >>> space.isel(a=slice(1, 3), b=0).sizes
        {'a': 2}
        """
        chosen = select.positions({**(indexers or {}), **by_dim}, self._points.sizes)
        chain = self._points.chain
        if chain is not None and self.dims[chain.dim] in chosen:
            along = self.dims[chain.dim]
            others = {dim: indexer for dim, indexer in chosen.items() if dim != along}
            change = changed_start(
                self._points.with_grid(self._points.grid.isel(others)), chosen[along]
            )
            if change is not None:
                warn(change)
        return self._with(self._points.grid.isel(chosen))

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
        queries = {**(indexers or {}), **by_label}
        return self.isel(lookup.by_label(self._points.dataset, queries, method, tolerance))

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
            If the predicate returns something else or has other labels, or no point remains.

        Examples
        --------
        >>> import gridax as gx
        >>> space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 5)}, "product")
        >>> len(space.filter(lambda ds: ds.a < ds.b))
        10
        """
        if not callable(predicate):
            raise TypeError(f"filter takes a function of the Dataset, got {predicate!r}")
        points = select.where(predicate(self.dataset), self.dataset, self._points.sizes)
        if len(self.dims) == 1:
            return self.isel({self.dims[0]: points})
        return self._with(self._points.grid.scatter(points))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per point and a column of labels per axis.

        Arrays, and numbers that were given labels, follow their labels as ``<name>_value``.

        Returns
        -------
        pandas.DataFrame of N rows
            In the order of the points. Arrays are object cells.

        Examples
        --------
        >>> import gridax as gx
        >>> df = gx.Space({"x": gx.GridAxis(0, 1, 11)}).to_dataframe()
        >>> len(df[df.x == 0.3])
        1
        """
        return pd.DataFrame(frame.parameter_columns(self._points.grid))

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
        from gridax._plots.space import draw  # matplotlib is optional

        title = f"{number_of(self.N, 'point')}, {self.mode}"
        if len(self.dims) > 1:
            title += ": " + " × ".join(f"{dim} {size}" for dim, size in self.sizes.items())
        if self._points.chain is not None:
            title += f"; chains along {self.dims[self._points.chain.dim]}"
        return draw(self._points.grid, title, names, max_points, ax)

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
        batched, chosen = stack.collect(self._points.grid, n_vmap, n_pmap, fill_value)
        fill = self._points.skeleton.fill
        computed = [repr(p) for p, leaf in self._points.carried.items() if leaf.is_computed]
        if computed:
            raise ValueError(
                f"the initial value of {', '.join(computed)} is computed from the state of each "
                "point, so there is none for a batch of them; pass values as initial="
            )
        if combine:
            return resolved(fill(batched | chosen))
        others = (i for i in range(len(self._points.skeleton.leaves)) if i not in batched)
        parts = fill(batched | dict.fromkeys(others)), fill(chosen | dict.fromkeys(batched))
        return tuple(map(resolved, parts))

    def __repr__(self) -> str:
        return reprs.space_text(self._facts())

    def _repr_html_(self) -> str:
        return reprs.space_html(self._facts(), lambda: self._points.dataset)

    def _facts(self) -> SpaceFacts:
        return space_facts(self._points)


def points_of(space: Space) -> Points:
    """Return the points of a space, the value on which everything below this module works."""
    return space._points


def space_of(points: Points) -> Space:
    """Return the space of some points, which were checked when they were made."""
    space = Space.__new__(Space)
    space._points = points
    return space
