"""The compiled function that evaluates tiles: one nested vmap per level, one tile per device.

A product grid has names for what varies with what. With one `jax.vmap` per level, JAX itself sees
that a stage of the model depends on some levels only, and computes it once per position in them; a
flat vmap over stacked points repeats it for every point.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gridax._plan import Plan, Tile


class Static:
    """A value that is part of a compiled program, compared as the program sees it.

    Equal numbers of different types, and 0.0 and -0.0, make different programs. What cannot be
    hashed is compared by identity.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        self._identity = _identity(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


def _identity(value: Any) -> tuple[Any, ...]:
    if isinstance(value, (float, complex, np.generic)):
        array = np.asarray(value)  # compared by its bytes, as 0.0 == -0.0 and nan != nan
        return (type(value), array.dtype, array.tobytes())
    try:
        hash(value)
    except TypeError:
        # Holding the value beside its id keeps the id from being given to another object.
        return (id(value), _Held(value))
    return (type(value), value)


class _Held:
    """Keeps a value alive; equal to every other one, as the id beside it tells them apart."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class Leaf:
    """How the table of one axis becomes the leaf of one point.

    Attributes
    ----------
    slot : position among the leaves.
    dim : number of the dimension along which it moves, or None for a fixed row.
    by_row : whether an array of row numbers stands between index and table.
    impl : implementation of PRNG keys, if the table holds key data.
    shape : shape to which the value is broadcast.
    wrap : applied last.
    """

    slot: int
    dim: int | None
    by_row: bool
    impl: str | None
    shape: tuple[int, ...] | None
    wrap: Static | None

    def finish(self, value: Any) -> Any:
        """Return the leaf from a row of the table."""
        if self.impl is not None:
            value = jax.random.wrap_key_data(value, impl=self.impl)
        if self.shape is not None:
            value = jnp.broadcast_to(value, self.shape)
        return value if self.wrap is None else self.wrap.value(value)


@dataclasses.dataclass(frozen=True)
class Program:
    """What one point computes; equal programs share one compiled kernel.

    Attributes
    ----------
    model : called as ``model(state, *args, **kwargs)``.
    treedef : structure of ``(state, args, kwargs)``.
    static : leaves that are no arrays, by slot.
    arrays : slots of the leaves that are arguments of the compiled function.
    leaves : the axes.
    flatten : turns the model's result into a list of arrays.
    """

    model: Static
    treedef: Any
    static: tuple[tuple[int, Static], ...]
    arrays: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    flatten: Callable[[Any], list[Any]]

    def point(self, arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Evaluate the model at one point, from raw rows of the axes' tables."""
        flat: list[Any] = [None] * self.treedef.num_leaves
        for slot, static in self.static:
            flat[slot] = static.value
        for slot, array in zip(self.arrays, arrays, strict=True):
            flat[slot] = array
        for leaf, value in zip(self.leaves, values, strict=True):
            flat[leaf.slot] = leaf.finish(value)
        state, args, kwargs = self.treedef.unflatten(flat)
        return self.flatten(self.model.value(state, *args, **kwargs))

    def tile(
        self,
        levels: Sequence[Sequence[int]],
        index: Sequence[Any],
        tables: Sequence[Any],
        rows: Sequence[Any],
        arrays: Any,
    ) -> list[Any]:
        """Evaluate all points of a tile, given the indices along each dimension.

        The dimensions of a level have equally many indices, which go in step; outputs have the
        shape ``(*tile, *output_shape)``, with one size per level.
        """
        taken = []
        for leaf, table, row in zip(self.leaves, tables, rows, strict=True):
            at = row if leaf.dim is None else index[leaf.dim]
            if leaf.by_row and leaf.dim is not None:
                at = row[at]
            taken.append(table[at])
        along = [[k for k, leaf in enumerate(self.leaves) if leaf.dim in dims] for dims in levels]

        def nest(n: int, values: list[Any]) -> list[Any]:
            if n == len(levels):
                return self.point(arrays, values)

            def one(mine: list[Any]) -> list[Any]:
                inner = list(values)
                for k, value in zip(along[n], mine, strict=True):
                    inner[k] = value
                return nest(n + 1, inner)

            mine = [values[k] for k in along[n]]
            width = index[levels[n][0]].shape[0]
            if width == 1 or not mine:  # nothing varies, so nothing needs a batching rule
                outs = one([value[0] for value in mine])
                return [jnp.broadcast_to(out, (width, *jnp.shape(out))) for out in outs]
            return jax.vmap(one)(mine)

        return nest(0, taken)


def devices(n: int | None) -> list[Any]:
    """Return the first `n` local devices, or all."""
    return jax.local_devices()[:n]


# Bounded, so that models that were thrown away do not stay in memory for good.
@functools.lru_cache(maxsize=64)
def compiled(
    program: Program,
    fingerprint: str,
    levels: tuple[tuple[int, ...], ...],
    lengths: tuple[int, ...],
    on: tuple[Any, ...],
) -> Callable[..., Any]:
    """Return the jitted function of one batch of tiles, one per device.

    `fingerprint` tells apart programs that are equal, but were traced to something else, as models
    read more than their arguments. The function takes an int32 array of shape
    ``(n_devices, sum(lengths))`` with the indices along all dimensions, `lengths` of them, and
    returns outputs of shape ``(n_devices, *tile, *output_shape)``.
    """
    ends = np.cumsum(lengths)[:-1].tolist()

    def batch(index: Any, tables: Any, rows: Any, arrays: Any) -> list[Any]:
        parts = jnp.split(index[0], ends) if lengths else []
        return [out[None] for out in program.tile(levels, parts, tables, rows, arrays)]

    if len(on) > 1:
        # Every device runs its own tile: no communication, and loops of their own length. What
        # varies between devices need not be tracked, as nothing is exchanged.
        here, everywhere = PartitionSpec("device"), PartitionSpec()
        batch = jax.shard_map(
            batch,
            mesh=_mesh(on),
            in_specs=(here, everywhere, everywhere, everywhere),
            out_specs=here,
            check_vma=False,
        )
    return jax.jit(batch)


def fingerprint(traced: Any) -> str:
    """Return a digest of a traced program and of the constants in it."""
    digest = hashlib.sha256()
    # Places in memory, of functions for derivatives, change from trace to trace.
    digest.update(re.sub(r" at 0x[0-9a-f]+", "", str(traced)).encode())
    for constant in _constants(traced):
        if isinstance(constant, jax.Array) and jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
            constant = jax.random.key_data(constant)
        array = np.asarray(constant)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _constants(traced: Any) -> Iterator[Any]:
    yield from getattr(traced, "consts", ())
    for equation in traced.eqns:
        for atom in equation.invars:
            if hasattr(atom, "val"):
                yield atom.val
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(inner, "eqns"):
                    yield from _constants(inner)


def _mesh(on: tuple[Any, ...]) -> Mesh:
    return Mesh(np.array(on), ("device",))


class Kernel:
    """A program with its data on the devices, ready to evaluate batches of tiles."""

    def __init__(
        self,
        program: Program,
        fingerprint: str,
        plan: Plan,
        on: Sequence[Any],
        tables: Sequence[np.ndarray],
        rows: Sequence[np.ndarray],
        arrays: Sequence[Any],
    ) -> None:
        on = tuple(on)
        self._plan = plan
        self._run = compiled(
            program, fingerprint, tuple(level.dims for level in plan.levels), plan.lengths, on
        )
        whole: Any = on[0] if len(on) == 1 else NamedSharding(_mesh(on), PartitionSpec())
        self._split: Any = (
            on[0] if len(on) == 1 else NamedSharding(_mesh(on), PartitionSpec("device"))
        )
        self._arguments = jax.device_put((list(tables), list(rows), list(arrays)), whole)

    def __call__(self, batch: Sequence[Tile]) -> list[jax.Array]:
        """Start a batch, one tile per device; return its outputs, not waited for."""
        packed = np.empty((len(batch), sum(self._plan.lengths)), dtype=np.int32)
        for row, tile in zip(packed, batch, strict=True):
            # The empty list stands for a grid without dimensions, which has one point.
            np.concatenate([[], *self._plan.indices(tile)], out=row, casting="unsafe")
        outputs = self._run(jax.device_put(packed, self._split), *self._arguments)
        for output in outputs:
            output.copy_to_host_async()
        return outputs
