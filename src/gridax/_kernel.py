"""The compiled function that evaluates tiles: one nested vmap per dimension, one tile per device.

A product grid has names for what varies with what. With one `jax.vmap` per dimension, JAX itself
sees that a stage of the model depends on some dimensions only, and computes it once per index of
those dimensions; a flat vmap over stacked points repeats it for every point.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


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
        self, index: Sequence[Any], tables: Sequence[Any], rows: Sequence[Any], arrays: Any
    ) -> list[Any]:
        """Evaluate all points of a tile, given the indices along each dimension.

        Outputs have the shape ``(*tile, *output_shape)``.
        """
        taken = []
        for leaf, table, row in zip(self.leaves, tables, rows, strict=True):
            at = row if leaf.dim is None else index[leaf.dim]
            if leaf.by_row and leaf.dim is not None:
                at = row[at]
            taken.append(table[at])
        along = [
            [k for k, leaf in enumerate(self.leaves) if leaf.dim == d] for d in range(len(index))
        ]

        def nest(d: int, values: list[Any]) -> list[Any]:
            if d == len(index):
                return self.point(arrays, values)

            def one(mine: list[Any]) -> list[Any]:
                inner = list(values)
                for k, value in zip(along[d], mine, strict=True):
                    inner[k] = value
                return nest(d + 1, inner)

            mine = [values[k] for k in along[d]]
            width = index[d].shape[0]
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
def compiled(program: Program, tile: tuple[int, ...], on: tuple[Any, ...]) -> Callable[..., Any]:
    """Return the jitted function of one batch of tiles, one per device.

    It takes an int32 array of shape (n_devices, sum(tile)) with the indices along all dimensions,
    and returns outputs of shape ``(n_devices, *tile, *output_shape)``.
    """
    ends = np.cumsum(tile)[:-1].tolist()

    def batch(index: Any, tables: Any, rows: Any, arrays: Any) -> list[Any]:
        parts = jnp.split(index[0], ends) if tile else []
        return [out[None] for out in program.tile(parts, tables, rows, arrays)]

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


def _mesh(on: tuple[Any, ...]) -> Mesh:
    return Mesh(np.array(on), ("device",))


class Kernel:
    """A program with its data on the devices, ready to evaluate batches of tiles."""

    def __init__(
        self,
        program: Program,
        tile: tuple[int, ...],
        on: Sequence[Any],
        tables: Sequence[np.ndarray],
        rows: Sequence[np.ndarray],
        arrays: Sequence[Any],
    ) -> None:
        on = tuple(on)
        self._run = compiled(program, tile, on)
        whole: Any = on[0] if len(on) == 1 else NamedSharding(_mesh(on), PartitionSpec())
        self._split: Any = (
            on[0] if len(on) == 1 else NamedSharding(_mesh(on), PartitionSpec("device"))
        )
        self._arguments = jax.device_put((list(tables), list(rows), list(arrays)), whole)

    def __call__(self, batch: Sequence[tuple[np.ndarray, ...]]) -> list[jax.Array]:
        """Start a batch, one tile of indices per device; return its outputs, not waited for."""
        packed = np.stack([np.concatenate([*tile, []]) for tile in batch]).astype(np.int32)
        outputs = self._run(jax.device_put(packed, self._split), *self._arguments)
        for output in outputs:
            output.copy_to_host_async()
        return outputs


def operations(jaxpr: Any) -> int:
    """Return roughly how many elementary operations a traced program makes.

    Loops of known length count in full; a `while` loop counts as a hundred turns.
    """
    total = 0
    for equation in jaxpr.eqns:
        turns = {"scan": equation.params.get("length", 1), "while": 100}.get(
            equation.primitive.name, 1
        )
        inner = sum(operations(sub) for sub in _subprograms(equation.params))
        own = sum(math.prod(getattr(v.aval, "shape", ())) for v in equation.outvars)
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            own *= math.prod(equation.invars[0].aval.shape[d] for d in summed)
        total += turns * inner if inner else own
    return total


def _subprograms(params: dict[str, Any]) -> list[Any]:
    found = []
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                found.append(item)
    return found
