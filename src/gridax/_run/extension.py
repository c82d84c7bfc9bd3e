"""Points of a new space that an older result holds too, matched leaf by leaf.

Each leaf of a state varies along a dimension or is fixed, and so has a row of values or a single
one. An index along a dimension of the new space is an old one if all leaves along it have the
values that they have at some index of the old result. The old points in the new space are therefore
a product, and so are those in any block of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from gridax._axes.labels import is_keys
from gridax._grid.grid import Column
from gridax._outputs.labels import own_coordinates
from gridax._outputs.template import Template
from gridax._pytree import dotted
from gridax._run import fingerprints
from gridax._run.digests import digest
from gridax._stores.base import DONE
from gridax._stores.memory import MemoryStore
from gridax.space import Space, fixed_scalar, is_axis


class _Leaf(NamedTuple):
    """A leaf of a state.

    Attributes
    ----------
    dim : along which it moves; None if it is fixed.
    keys : what tells its values apart, one entry per index.
    known_as : its name among the fingerprints.
    selected : whether it is an axis of which one value was selected.
    """

    dim: str | None
    keys: list[Any]
    known_as: str
    selected: bool = False


class Extension:
    """The outputs of an older result at points of a space.

    Parameters
    ----------
    dataset, space, template : of the older result.
    new : the space.

    Raises
    ------
    ValueError
        If no point of the space can be in the result, with the reason.
    """

    def __init__(self, dataset: xr.Dataset, space: Space, template: Template, new: Space) -> None:
        self._dataset, self._old, self._new = dataset, space, new
        self.template = template
        # Per dimension of the new space, the old index along some dimension, or -1.
        self._rows: dict[str, tuple[str | None, np.ndarray]] = {}
        self._fixed: dict[str, int] = {}
        self._compared: set[str] = set()  # fixed values that have equal labels
        self._match()

    @property
    def coords(self) -> dict[str, xr.Variable]:
        """Coordinates of the outputs' own dimensions."""
        return own_coordinates(self._dataset, self.template)

    def check(self, about: Mapping[str, Any], any_model: bool) -> None:
        """Refuse a result of another model, or of other fixed values or arguments.

        Parameters
        ----------
        about : fingerprints of what is run now.
        any_model : whether another model is fine.
        """
        parts = self._parts()
        there, here = parts["fixed"], about["fixed"]
        # What is fixed now and was an axis before has been matched by its label.
        names = [name for name in {**there, **here} if name in there and name in here]
        names += [name for name in {**there, **here} if name.startswith("argument ")]
        both = [{k: side[k] for k in names if k in side} for side in (there, here)]
        for name in self._compared:
            both[0].pop(name, None)
            both[1].pop(name, None)
        problem = fingerprints.fixed_difference(*both)
        there, here = parts["model"], about["model"]
        if not (problem or any_model or fingerprints.same_model(there, here)):
            problem = (
                f"its model is another one ({fingerprints.model_difference(there, here)}); pass "
                "resume='force' to combine them nevertheless"
            )
        if problem:
            raise ValueError(f"extend= holds another sweep: {problem}")

    def check_outputs(self, outputs: Mapping[str, list[str]]) -> None:
        """Refuse other outputs, given their fingerprints."""
        problem = fingerprints.template_difference(self._parts(), outputs)
        if problem:
            raise ValueError(f"extend= holds another sweep: {problem}")

    def _parts(self) -> fingerprints.Parts:
        try:
            return fingerprints.read(self._dataset.attrs)
        except ValueError as error:
            raise ValueError(f"extend= needs a result of gridax: {error}") from error

    def fill(self, buffer: MemoryStore) -> None:
        """Copy the outputs of the old points in a box that is new.

        Points at which the model failed are not copied.
        """
        places: list[np.ndarray] = []
        picked: dict[str, Any] = dict(self._fixed)
        for dim, (start, stop) in zip(self._new.dims, buffer.box, strict=True):
            home, rows = self._rows[dim]
            found = np.flatnonzero(rows[start:stop] >= 0)
            if not found.size:
                return
            places.append(found)
            if home is not None:
                picked[home] = rows[start:stop][found]
        mesh = np.ix_(*places)
        done = np.broadcast_to(True, [len(place) for place in places])
        if "status" in self._dataset:
            done = np.broadcast_to(self._taken("status", picked) == DONE, done.shape)
        for i, output in enumerate(self.template.outputs):
            values = self._taken(output.name, picked)
            there = done.reshape(done.shape + (1,) * len(output.shape))
            values = np.where(there, values, np.zeros((), values.dtype))
            buffer.arrays[i] = _holding(buffer.arrays[i], values)
            buffer.arrays[i][mesh] = values
        buffer.status[mesh] = np.where(done, DONE, buffer.status[mesh])

    def _taken(self, name: str, picked: Mapping[str, Any]) -> np.ndarray:
        """Return a variable at some old indices, along the dimensions of the new space."""
        variable = self._dataset.variables[name].isel(picked)
        homes = [self._rows[dim][0] for dim in self._new.dims]
        order = [home for home in homes if home is not None]
        values = variable.transpose(*order, ...).values
        missing = tuple(i for i, home in enumerate(homes) if home is None)
        return np.expand_dims(values, missing)

    def _match(self) -> None:
        old, new = _leaves(self._old, self._parts().get("choices")), _leaves(self._new)
        for name in {**new, **old}:
            if name not in old or name not in new:
                where = "the state that is run now" if name in new else "the result"
                raise ValueError(
                    f"extend=: {name!r} is only in {where}, so no point of one is one of the other"
                )
        homes: dict[str, set[str | None]] = {dim: set() for dim in self._new.dims}
        for name, leaf in new.items():
            if leaf.dim is not None:
                homes[leaf.dim].add(old[name].dim)
        for dim, from_ in homes.items():
            if len(from_) > 1:
                raise ValueError(
                    f"extend=: what moves along {dim!r} now moved along {sorted(map(str, from_))} "
                    "in the result, so its points are no product of those"
                )
            (home,) = from_
            members = [name for name, leaf in new.items() if leaf.dim == dim]
            along_home = [name for name, leaf in old.items() if leaf.dim == home]
            if home is not None and set(members) != set(along_home):
                raise ValueError(
                    f"extend=: {members} move along {dim!r} now, but {along_home} moved along "
                    f"{home!r} in the result"
                )
            self._rows[dim] = home, _matched(members, new, old)
        self._match_fixed(new, old)

    def _match_fixed(self, new: dict[str, _Leaf], old: dict[str, _Leaf]) -> None:
        """Find the old index of what moved then and is fixed now."""
        fixed: dict[str | None, list[str]] = {}
        for name, leaf in new.items():
            if leaf.dim is None:
                fixed.setdefault(old[name].dim, []).append(name)
        for home, names in fixed.items():
            if home is None:
                # Values that are fixed in both are compared by fingerprints, which say more.
                names = [name for name in names if new[name].selected or old[name].selected]
                self._compared |= {side[name].known_as for name in names for side in (new, old)}
            if not names:
                continue
            (row,) = _matched(names, new, old)
            if row < 0:
                listed = ", ".join(f"{name}={new[name].keys[0][1]!r}" for name in names)
                raise ValueError(f"extend=: no point of the result has {listed}")
            if home is not None:
                self._fixed[home] = int(row)


def _matched(names: list[str], new: dict[str, _Leaf], old: dict[str, _Leaf]) -> np.ndarray:
    """Return the old index of each new one, by the values of some leaves; -1 if there is none."""
    known = {key: i for i, key in enumerate(zip(*(old[n].keys for n in names), strict=True))}
    wanted = zip(*(new[n].keys for n in names), strict=True)
    return np.array([known.get(key, -1) for key in wanted], dtype=np.int64)


def _holding(array: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return an array of a dtype that holds some values too; integers may have become floats."""
    if np.can_cast(values.dtype, array.dtype, "safe"):
        return array
    with np.errstate(invalid="ignore"):
        if (values.astype(array.dtype) == values).all():
            return array
    return array.astype(np.result_type(values.dtype, array.dtype))


def _leaves(space: Space, choices: Mapping[str, Any] | None = None) -> dict[str, _Leaf]:
    """Return how each leaf of a state varies, by its path.

    `choices` are the digests of chosen objects that a file does not keep, by axis.
    """
    columns = {column.slot: column for column in space.grid.columns}
    leaves = {}
    for slot, path in enumerate(space.skeleton.paths):
        leaf = space.skeleton.leaves[slot]
        if slot in columns:
            column = columns[slot]
            keys = _keys(column, space, (choices or {}).get(column.name))
            leaves[dotted(path)] = _Leaf(column.dim, keys, column.name, column.dim is None)
        elif not is_axis(leaf):
            leaves[dotted(path)] = _Leaf(None, [_key(leaf)], dotted(path))
    return leaves


def _keys(column: Column, space: Space, choices: Any) -> list[Any]:
    table = column.table
    rows = column.all_rows(space.sizes)
    labels = table.labels[rows].tolist()
    if table.kind == "number" and not table.labeled:
        # Equal numbers of another dtype may give other results: 200 + 100 is 44 in uint8.
        return [(_dtype(table.values), label, table.shape) for label in labels]
    if table.kind == "choice":
        digests = fingerprints.choices(column, space.sizes)
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
