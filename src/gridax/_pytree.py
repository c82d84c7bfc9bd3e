"""Pytrees: dotted names, leaves in the order in which they were written, and filling in values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

Path = tuple[Any, ...]


def dotted(path: Path) -> str:
    """Return the name of a leaf: ``coupling.strength``, ``layers[0].w``; the root is ``value``.

    Examples
    --------
    >>> import jax
    >>> [(path, _)] = jax.tree_util.tree_flatten_with_path({"layers": [{"w": 1.0}]})[0]
    >>> dotted(path)
    'layers[0].w'
    """
    text = ""
    for key in path:
        kind, value = entry(key)
        text += f"[{value}]" if kind == "index" else f".{value}"
    return text.removeprefix(".") or "value"


def is_private(path: Path) -> bool:
    """Whether a key on the path starts with an underscore: internals, not parameters."""
    return any(str(entry(key)[1]).startswith("_") for key in path)


def entry(key: Any) -> tuple[str, Any]:
    """Return what kind of step a key is (``dict``, ``index`` or ``attr``) and its value."""
    match key:
        case DictKey():
            return "dict", key.key
        case SequenceKey():
            return "index", key.idx
        case FlattenedIndexKey():
            return "index", key.key
        case GetAttrKey():
            return "attr", key.name
    return "dict", key


@dataclasses.dataclass(frozen=True, eq=False)
class Skeleton:
    """A flattened pytree whose leaves can be replaced repeatedly.

    `leaves` and `paths` are in JAX's order, which sorts dictionaries; `written` lists their
    positions in the order in which the user wrote them. Arrays among the leaves are in the byte
    order of this machine, whatever their order is in `tree`.
    """

    tree: Any
    treedef: Any
    leaves: tuple[Any, ...]
    paths: tuple[Path, ...]
    written: tuple[int, ...]

    @classmethod
    def with_empties(cls, tree: Any, is_leaf: Callable[[Any], bool]) -> Skeleton:
        """Flatten `tree` with None and empty containers as leaves, which JAX drops."""

        def is_end(node: Any) -> bool:
            return is_leaf(node) or not jax.tree.leaves(node, is_leaf=lambda x: x is not node)

        return cls.of(tree, is_end)

    @classmethod
    def of(cls, tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Skeleton:
        """Flatten `tree`; what `is_leaf` accepts is a leaf even if JAX would flatten it further."""
        flat, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf)
        position = {path: i for i, (path, _) in enumerate(flat)}
        return cls(
            tree=tree,
            treedef=treedef,
            leaves=tuple(natively_ordered(leaf) for _, leaf in flat),
            paths=tuple(path for path, _ in flat),
            written=tuple(position[path] for path in _written_paths(tree, is_leaf)),
        )

    def fill(self, values: Mapping[int, Any]) -> Any:
        """Return the tree with the leaves at some positions replaced."""
        leaves = list(self.leaves)
        for position, value in values.items():
            leaves[position] = value
        return self.treedef.unflatten(leaves)


def natively_ordered(leaf: Any) -> Any:
    """Return a leaf with its arrays in the byte order of this machine.

    JAX rejects arrays of the other byte order, or reads their bytes as other numbers. They come
    from files (FITS, netCDF 3), in NumPy arrays as well as in xarray and pandas objects.

    Examples
    --------
    >>> import numpy as np
    >>> natively_ordered(np.array([1.5], ">f8")).dtype == np.float64
    True
    """
    dtype = getattr(leaf, "dtype", None)
    if isinstance(dtype, np.dtype):
        return leaf if dtype.isnative else leaf.astype(dtype.newbyteorder("="))
    if hasattr(leaf, "data_vars"):
        is_native = all(variable.dtype.isnative for variable in leaf.data_vars.values())
        return leaf if is_native else leaf.map(natively_ordered, keep_attrs=True)
    return leaf


def _written_paths(node: Any, is_leaf: Callable[[Any], bool] | None) -> Iterator[Path]:
    """Yield the paths of the leaves, dictionaries in insertion order."""
    if is_leaf is not None and is_leaf(node):
        yield ()
        return
    children, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    if len(children) == 1 and children[0][0] == ():
        yield ()  # JAX returns a leaf as its own only child
        return
    if isinstance(node, Mapping):
        place = {key: i for i, key in enumerate(node)}
        children.sort(key=lambda child: place.get(entry(child[0][0])[1], len(place)))
    for path, child in children:
        for rest in _written_paths(child, is_leaf):
            yield path + rest


def attribute_holding(leaf: Any, wanted: Callable[[Any], bool]) -> str | None:
    """Return the attribute of an opaque object that holds something `wanted`, or None.

    JAX does not look into objects that are not registered as pytrees, so an axis in one would be
    silently ignored. Lists and dictionaries in attributes are searched as well.
    """
    fields = getattr(leaf, "__dict__", {})
    if isinstance(leaf, type) or not isinstance(fields, Mapping):
        return None
    return next((key for key, value in fields.items() if _holds(value, wanted)), None)


def _holds(value: Any, wanted: Callable[[Any], bool]) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds(part, wanted) for part in value)
    return wanted(value)
