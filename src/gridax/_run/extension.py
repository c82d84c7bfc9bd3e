"""Points that an older result has in common with a new space, found by their labels.

Each leaf of a state either varies along a dimension, with one label per index, or is fixed and has
a single label. An index of a new dimension is an old one if the labels of all leaves along it are
those of one index of the old result. The common points are therefore a product of indices, and so
is any block of them.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from gridax._arrays import is_keys
from gridax._axes import is_axis
from gridax._digest.digest import digest
from gridax._grid.grid import POINT, Column
from gridax._grid.points import Points, fixed_scalar
from gridax._outputs.labels import own_coordinates
from gridax._outputs.template import Template
from gridax._pytree import dotted
from gridax._run import differences, fingerprints
from gridax._stores.base import DONE
from gridax._stores.memory import MemoryStore


class _Leaf(NamedTuple):
    """A leaf of a state.

    Attributes
    ----------
    dim : the dimension along which it varies; None if it is fixed.
    keys : a hashable for its value at each index.
    name : its name among the fingerprints.
    is_selected : whether it is an axis of which one value was selected.
    """

    dim: str | None
    keys: list[Any]
    name: str
    is_selected: bool = False


class Extension:
    """The outputs of an older result at points of a space.

    Parameters
    ----------
    dataset, old, template : Dataset, points and outputs of the older result.
    new : the points that are run now.

    Attributes
    ----------
    rows : for each dimension of the new space, the dimension of the result that it was, and the
        index of each label. The dimension is None if what varies now was fixed before; an index of
        -1 is a new label.
    fixed : index along a dimension of the result whose label is fixed now.

    Raises
    ------
    ValueError
        If the space cannot have a point in common with the result; the message says why.
    """

    def __init__(self, dataset: xr.Dataset, old: Points, template: Template, new: Points) -> None:
        self.dataset, self.old, self._new = dataset, old, new
        self.template = template
        self.rows: dict[str, tuple[str | None, np.ndarray]] = {}
        self.fixed: dict[str, int] = {}
        self._compared: set[str] = set()  # fixed values whose labels are equal
        self._match()
        self._check_chain()

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Coordinates of the outputs' own dimensions."""
        return own_coordinates(self.dataset, self.template)

    def check(self, about: Mapping[str, Any], any_model: bool) -> None:
        """Reject a result of another model, or of other fixed values or arguments.

        Parameters
        ----------
        about : fingerprints of what is run now.
        any_model : whether to accept another model.
        """
        parts = self._parts()
        there, here = parts["fixed"], dict(about["fixed"])
        if "containers" not in parts:  # nor did the version that made the result
            here = {k: v for k, v in here.items() if k not in about["containers"]}
        # What is fixed now and was an axis before was matched by its label.
        names = [name for name in {**there, **here} if name in there and name in here]
        names += [name for name in {**there, **here} if name.startswith("argument ")]
        both = [{k: side[k] for k in names if k in side} for side in (there, here)]
        for name in self._compared:
            both[0].pop(name, None)
            both[1].pop(name, None)
        is_traced = bool(parts["model"].get("program") or about["model"].get("program"))
        bits = parts if is_traced else {**parts, "x64": about["x64"]}  # Python has its own
        problem = differences.of_settings(bits, dict(about))
        problem = problem or differences.of_fixed(*both)
        problem = problem or differences.of_derivatives(parts, dict(about))
        problem = problem or differences.of_reductions(parts, dict(about))
        there, here = parts["model"], about["model"]
        # Labels are not part of a traced program, but what varies is, and its dtypes.
        has_same_inputs = _inputs(self.old) == _inputs(self._new)
        is_same = any_model or differences.same_model(there, here, has_same_inputs)
        if not (problem or is_same):
            difference = differences.of_models(there, here)
            problem = (
                f"it was computed with another model ({difference}); pass resume='force' to "
                "combine them anyway"
            )
        if problem:
            raise ValueError(f"cannot extend a result of another sweep: {problem}")

    def check_outputs(self, outputs: Mapping[str, list[str]]) -> None:
        """Reject outputs with other fingerprints."""
        problem = differences.of_templates(self._parts(), outputs)
        if problem:
            raise ValueError(f"cannot extend a result of another sweep: {problem}")

    def _parts(self) -> fingerprints.Parts:
        try:
            return fingerprints.read(self.dataset.attrs)
        except ValueError as error:
            raise ValueError(f"extend= must be a gridax result: {error}") from error

    def fill(self, buffer: MemoryStore) -> None:
        """Copy the outputs of the old points within a block, unless the model failed there."""
        places: list[np.ndarray] = []
        picked: dict[str, Any] = dict(self.fixed)
        for dim, (start, stop) in zip(self._new.dims, buffer.box, strict=True):
            home, rows = self.rows[dim]
            found = np.flatnonzero(rows[start:stop] >= 0)
            if not found.size:
                return
            places.append(found)
            if home is not None:
                picked[home] = rows[start:stop][found]
        homes = [self.rows[dim][0] for dim in self._new.dims]
        mesh = np.ix_(*places)
        done = np.broadcast_to(True, [len(place) for place in places])
        if "status" in self.dataset:
            done = np.broadcast_to(self.taken("status", picked, homes) == DONE, done.shape)
        for i, output in enumerate(self.template.outputs):
            values = self.taken(output.name, picked, homes)
            there = done.reshape(done.shape + (1,) * len(output.shape))
            values = np.where(there, values, np.zeros((), values.dtype))
            buffer.arrays[i] = _holding(buffer.arrays[i], values, output.name)
            buffer.arrays[i][mesh] = values
        buffer.status[mesh] = np.where(done, DONE, buffer.status[mesh])

    def taken(
        self, name: str, picked: Mapping[str, Any], homes: Sequence[str | None]
    ) -> np.ndarray:
        """Return a variable at some old indices.

        It has the dimensions `homes` first, of size 1 where there was none, then all others.
        """
        variable = self.dataset.variables[name]
        for dim, rows in picked.items():  # one by one, as older versions of dask mix them up
            variable = variable.isel({dim: rows}, missing_dims="ignore")
        order = [home for home in homes if home is not None]
        missing = tuple(i for i, home in enumerate(homes) if home is None)
        return np.expand_dims(variable.transpose(*order, ...).values, missing)

    def _match(self) -> None:
        old, new = _leaves(self.old, self._parts().get("choices")), _leaves(self._new)
        for name in {**new, **old}:
            if name not in old or name not in new:
                where = "the state that is run now" if name in new else "the result"
                raise ValueError(
                    f"extend=: {name!r} is only in {where}, so they have no point in common; "
                    "extend a result whose state has the same leaves"
                )
        homes: dict[str, set[str | None]] = {dim: set() for dim in self._new.dims}
        for name, leaf in new.items():
            if leaf.dim is not None:
                homes[leaf.dim].add(old[name].dim)
        for dim, from_ in homes.items():
            if len(from_) > 1:
                raise ValueError(
                    f"extend=: the axes along {dim!r} were along the different dimensions "
                    f"{sorted(map(str, from_))} in the result; keep axes in the same groups"
                )
            (home,) = from_
            members = [name for name, leaf in new.items() if leaf.dim == dim]
            along_home = [name for name, leaf in old.items() if leaf.dim == home]
            if home is not None and set(members) != set(along_home):
                raise ValueError(
                    f"extend=: {members} vary along {dim!r}, but {along_home} varied along "
                    f"{home!r} in the result; keep axes in the same groups"
                )
            self.rows[dim] = home, _matched(members, new, old)
        self._match_fixed(new, old)

    def _check_chain(self) -> None:
        """Reject new labels other than at the end of a chain: all that follow would change."""
        chain = self._new.chain
        if chain is None:
            return
        dim, old = self._new.dims[chain.dim], self.old.chain
        _, rows = self.rows[dim]
        size = 1 if old is None else self.old.shape[old.dim]
        known = rows >= 0
        n = int(known.sum())
        ends = {(len(rows) - n, size - n) if backward else (0, 0) for backward in chain.backward}
        for first_new, first_old in ends:
            wanted = np.full(len(rows), -1)
            wanted[first_new : first_new + n] = np.arange(first_old, first_old + n)
            if not np.array_equal(rows, wanted):
                ways = "can be added only where chains end"
                if len(ends) > 1:
                    ways = "cannot be added, since chains go in both directions"
                raise ValueError(
                    f"extend=: points along {dim!r} follow each other, so labels {ways}; run it "
                    "without extend="
                )

    def _match_fixed(self, new: dict[str, _Leaf], old: dict[str, _Leaf]) -> None:
        """Find the old index of leaves that varied in the result and are fixed now."""
        fixed: dict[str | None, list[str]] = {}
        for name, leaf in new.items():
            if leaf.dim is None:
                fixed.setdefault(old[name].dim, []).append(name)
        for home, names in fixed.items():
            if home is None:
                # Values that are fixed in both are compared by fingerprints, which say more.
                names = [name for name in names if new[name].is_selected or old[name].is_selected]
                self._compared |= {side[name].name for name in names for side in (new, old)}
            if not names:
                continue
            (row,) = _matched(names, new, old)
            if row < 0:
                listed = ", ".join(f"{name}={new[name].keys[0][1]!r}" for name in names)
                raise ValueError(
                    f"extend=: no point of the result has {listed}; extend a result that has"
                )
            if home is not None:
                self.fixed[home] = int(row)


def like_points(dataset: xr.Dataset, old: Points, new: Points) -> tuple[xr.Dataset, Points]:
    """Return a result of a product with its points along ``point``, as those of a new space are.

    This is done for the dimensions whose axes all vary along ``point`` now; a result that needs no
    change is returned as it is.
    """
    scattered = {column.name for column in new.grid.members(POINT)}
    dims = [
        dim
        for dim in old.dims
        if dim != POINT and scattered.issuperset(column.name for column in old.grid.members(dim))
    ]
    if not dims or POINT in old.sizes or any(dim in new.sizes for dim in dims):
        return dataset, old
    stacked = {
        name: variable.stack({POINT: dims}) if set(dims) <= set(variable.dims) else variable
        for name, variable in ((name, dataset.variables[name]) for name in dataset.data_vars)
    }
    plain = xr.Dataset(stacked, attrs=dataset.attrs)
    own = {n: c.variable for n, c in dataset.coords.items() if not set(c.dims) & set(old.dims)}
    return plain.assign_coords(own), dataclasses.replace(old, grid=old.grid.stacked(dims))


def _matched(names: list[str], new: dict[str, _Leaf], old: dict[str, _Leaf]) -> np.ndarray:
    """Return the old index for each new one, by the keys of some leaves; -1 if there is none.

    Equal ones are matched in their order; if there are more of them now, the last one is repeated.
    """
    known: dict[Any, collections.deque[int]] = collections.defaultdict(collections.deque)
    for i, key in enumerate(zip(*(old[n].keys for n in names), strict=True)):
        known[key].append(i)
    rows = []
    for key in zip(*(new[n].keys for n in names), strict=True):
        places = known.get(key)
        if places is None:
            rows.append(-1)
        else:
            rows.append(places.popleft() if len(places) > 1 else places[0])
    return np.array(rows, dtype=np.int64)


def _holding(array: np.ndarray, values: np.ndarray, name: str) -> np.ndarray:
    """Return an array whose dtype can also hold some values; integers may have become floats."""
    if np.can_cast(values.dtype, array.dtype, "safe"):
        return array
    if array.dtype.kind in "iu" and np.abs(values).max(initial=0) >= 2**53:
        raise ValueError(
            f"extend=: output {name!r} has integers of 2^53 or more, which became floats because "
            "some points of the result lack it; run all of its points first"
        )
    with np.errstate(invalid="ignore"):
        if (values.astype(array.dtype) == values).all():
            return array
    return array.astype(np.result_type(values.dtype, array.dtype))


def _leaves(points: Points, choices: Mapping[str, Any] | None = None) -> dict[str, _Leaf]:
    """Return how each leaf of a state varies, by its path.

    `choices` are the digests of chosen objects that a file does not keep, by axis.
    """
    columns = {column.slot: column for column in points.grid.columns}
    leaves = {}
    for slot, path in enumerate(points.skeleton.paths):
        leaf = points.skeleton.leaves[slot]
        if slot in columns:
            column = columns[slot]
            keys = _keys(column, points, (choices or {}).get(column.name))
            leaves[dotted(path)] = _Leaf(column.dim, keys, column.name, column.dim is None)
        elif not is_axis(leaf):
            leaves[dotted(path)] = _Leaf(None, [_key(leaf)], dotted(path))
    return leaves


def _inputs(points: Points) -> list[Any]:
    """Return which leaves of a state are inputs of a traced program, and what they are like."""
    inputs = []
    for column in points.grid.columns:
        table, like = column.table, None
        if table.kind != "choice":  # which is static
            dtype = table.impl or _dtype(table.values)
            like = dtype, table.shape, np.shape(table.values)[1:]
        inputs.append((dotted(points.skeleton.paths[column.slot]), like))
    return inputs


def _keys(column: Column, points: Points, choices: Any) -> list[Any]:
    table = column.table
    rows = column.all_rows(points.sizes)
    labels = table.labels[rows].tolist()
    if table.is_own_label:
        # Equal numbers of another dtype may give other results: 200 + 100 is 44 in uint8.
        return [(_dtype(table.values), label, table.shape) for label in labels]
    if table.kind == "choice":
        digests = fingerprints.choices(column, points.sizes)
        if isinstance(choices, list) and len(choices) == len(digests):
            digests = choices
        return [("choice", *key) for key in zip(labels, digests, strict=True)]
    return [_array_key(value, table.impl) for value in table.values[rows]]


def _key(leaf: Any) -> Any:
    scalar = fixed_scalar(leaf)
    if scalar is not None and scalar.dtype.kind in "fiub":
        return (_dtype(np.asarray(leaf)), scalar.item(), None)
    if hasattr(leaf, "__qualname__") or isinstance(leaf, str):
        return ("choice", getattr(leaf, "__name__", leaf), fingerprints.choice(leaf))
    if is_keys(leaf):
        return _array_key(jax.random.key_data(leaf), str(jax.random.key_impl(leaf)))
    return _array_key(leaf, None)


def _dtype(values: np.ndarray) -> str:
    """Return the dtype in which JAX holds some values, whatever it is on the host."""
    return str(jax.dtypes.canonicalize_dtype(values.dtype))


def _array_key(value: Any, impl: str | None) -> Any:
    if hasattr(value, "dtype"):
        value = np.asarray(value)
        value = value.astype(_dtype(value))
    return ("array", digest(value, impl), None)
