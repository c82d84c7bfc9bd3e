"""Key paths and dotted names of the leaves of a pytree, in the order in which it was written."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from gridax._arrays import native

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
    """Return the kind of a step on a path (``dict``, ``index`` or ``attr``) and its key."""
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
    """A flattened pytree with leaves that can be replaced any number of times.

    `leaves` and `paths` are in the order of JAX, which sorts dictionaries; `written` lists their
    positions in the order in which the user wrote them.
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
        """Flatten `tree`; what `is_leaf` accepts is a leaf even if JAX would flatten it."""
        flat, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf)
        position = {path: i for i, (path, _) in enumerate(flat)}
        return cls(
            tree=tree,
            treedef=treedef,
            leaves=tuple(leaf for _, leaf in flat),
            paths=tuple(path for path, _ in flat),
            written=tuple(position[path] for path in _written_paths(tree, is_leaf)),
        )

    def fill(self, values: Mapping[int, Any]) -> Any:
        """Return the tree with the leaves at some positions replaced."""
        leaves = list(self.leaves)
        for position, value in values.items():
            leaves[position] = value
        return self.treedef.unflatten(leaves)


def _written_paths(node: Any, is_leaf: Callable[[Any], bool] | None) -> Iterator[Path]:
    """Yield the paths of the leaves, dictionaries in insertion order."""
    if is_leaf is not None and is_leaf(node):
        yield ()
        return
    children, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    if len(children) == 1 and children[0][0] == ():
        yield ()  # a leaf, which JAX returns as its own only child
        return
    if isinstance(node, Mapping):
        position = {key: i for i, key in enumerate(node)}
        children.sort(key=lambda child: position.get(entry(child[0][0])[1], len(position)))
    for path, child in children:
        for rest in _written_paths(child, is_leaf):
            yield path + rest


def mapped(change: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool]) -> Any:
    """Return a pytree with every leaf changed, as `jax.tree.map`, and the keys of dicts in order.

    Examples
    --------
    >>> mapped(lambda leaf: 2 * leaf, {"b": 1, "a": [2]}, is_leaf=lambda node: False)
    {'b': 2, 'a': [4]}
    """
    if is_leaf(tree):
        return change(tree)
    if type(tree) in (dict, collections.defaultdict):  # whose keys JAX would sort
        copy = tree.copy()
        copy.update((key, mapped(change, value, is_leaf)) for key, value in tree.items())
        return copy
    structure: Any
    children, structure = jax.tree_util.tree_flatten(tree, lambda node: node is not tree)
    if len(children) == 1 and children[0] is tree:
        return change(tree)
    return structure.unflatten([mapped(change, child, is_leaf) for child in children])


def check_keys(tree: Any, name: str = "the state") -> None:
    """Reject dicts in containers of Python whose keys JAX cannot sort.

    Examples
    --------
    >>> check_keys({"layers": [{"w": 1.0, 0: 2.0}]})
    Traceback (most recent call last):
        ...
    TypeError: the keys of the state['layers'][0] are 'w', 0, which JAX cannot sort; use keys of ...
    """
    if type(tree) in (dict, collections.defaultdict):
        try:
            sorted(tree)
        except TypeError:
            keys = ", ".join(map(repr, tree))
            raise TypeError(
                f"the keys of {name} are {keys}, which JAX cannot sort; use keys of one type, such "
                "as strings"
            ) from None
    if isinstance(tree, (list, tuple, Mapping)):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            check_keys(value, f"{name}[{key!r}]")


def rebuildable(tree: Any) -> Any:
    """Return a pytree with dicts in place of named tuples that their fields alone cannot create.

    JAX takes a named tuple apart, and puts it together again from its fields; many that SciPy
    returns need more arguments than these.

    Examples
    --------
    >>> from scipy.stats import linregress
    >>> [*rebuildable({"fit": linregress([0, 1, 2], [1, 3, 5])})["fit"]]
    ['slope', 'intercept', 'rvalue', 'pvalue', 'stderr']
    """

    def is_named(node: Any) -> bool:
        return isinstance(node, tuple) and hasattr(node, "_fields")

    def change(node: Any) -> Any:
        if not is_named(node):
            return node
        fields = [rebuildable(field) for field in node]
        try:
            return type(node)(*fields)
        except TypeError:
            # JAX keeps the order of this kind of dict.
            return collections.OrderedDict(zip(node._fields, fields, strict=True))

    return mapped(change, tree, is_named)


def owned(tree: Any) -> Any:
    """Return a pytree whose NumPy arrays do not change when those of the given one do.

    Writable arrays are replaced by read-only copies, and arrays in the other byte order are
    converted; if there are none, the tree itself is returned. JAX arrays cannot be changed.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.zeros(2)
    >>> mine = owned({"weights": weights, "dt": 0.1})
    >>> weights[:] = 5
    >>> mine["weights"].tolist()
    [0.0, 0.0]
    """
    return mapped(_own, tree, lambda node: all(map(_is_own, jax.tree.leaves(node))))


def may_change(leaf: Any) -> bool:
    """Whether an array, or one of which it is a view, can be written to."""
    while isinstance(leaf, np.ndarray):
        if leaf.flags.writeable:
            return True
        leaf = leaf.base
    return False


def _is_own(leaf: Any) -> bool:
    return _is_native(leaf) and not may_change(leaf)


def _own(leaf: Any) -> Any:
    if _is_own(leaf):
        return leaf
    if not isinstance(leaf, np.ndarray):
        return natively_ordered(leaf)
    copy = native(np.array(leaf, subok=True))
    copy.flags.writeable = False
    return copy


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
    if _is_native(leaf):
        return leaf
    if hasattr(leaf, "data_vars"):
        return leaf.map(natively_ordered, keep_attrs=True)
    return native(leaf)


def _is_native(leaf: Any) -> bool:
    if hasattr(leaf, "data_vars"):
        return all(variable.dtype.isnative for variable in leaf.data_vars.values())
    dtype = getattr(leaf, "dtype", None)
    return dtype.isnative if isinstance(dtype, np.dtype) else True


def attribute_holding(leaf: Any, matches: Callable[[Any], bool]) -> str | None:
    """Return the attribute of an opaque object that holds an object that matches, or None.

    JAX does not look into objects that are not registered as pytrees, so that an axis in one of
    them would be overlooked silently. Lists and dictionaries in attributes are searched too.
    """
    fields = getattr(leaf, "__dict__", {})
    if isinstance(leaf, type) or not isinstance(fields, Mapping):
        return None
    return next((key for key, value in fields.items() if _holds(value, matches)), None)


def _holds(value: Any, matches: Callable[[Any], bool]) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds(part, matches) for part in value)
    return matches(value)
