"""What a pytree is made of besides its leaves, none of which tells a list from a tuple, or None."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from gridax._pytree import Path


class Container(NamedTuple):
    """A container in a pytree.

    Attributes
    ----------
    path : where it is.
    kind : its type; None and empty containers are containers, too.
    static : what it holds besides its children, such as the static fields of an `equinox.Module`.
    steps : the last steps of the paths of its children.
    """

    path: Path
    kind: type
    static: Any
    steps: tuple[Any, ...]

    @property
    def text(self) -> str:
        """What a message calls it."""
        if self.kind is type(None):
            return "None"
        return self.kind.__qualname__ if self.steps else f"an empty {self.kind.__qualname__}"


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return plain containers with a function applied to all that they hold.

    JAX would sort the keys of dicts, which may be of several kinds.
    """
    if type(value) in (tuple, list):
        return type(value)(changed(each, change) for each in value)
    if type(value) is dict:
        return {key: changed(each, change) for key, each in value.items()}
    return change(value)


def containers(node: Any, is_leaf: Callable[[Any], bool], path: Path = ()) -> Iterator[Container]:
    """Yield the containers of a pytree, each before those within it.

    Examples
    --------
    >>> def is_leaf(node):
    ...     return False
    >>> [container.text for container in containers({"a": (1, None), "b": []}, is_leaf)]
    ['dict', 'tuple', 'None', 'an empty list']
    """
    if is_leaf(node):
        return
    structure: Any
    children, structure = jax.tree_util.tree_flatten_with_path(node, lambda each: each is not node)
    about = structure.node_data()
    if about is None:  # a leaf
        return
    kind, static = about
    yield Container(path, kind, static, tuple(step for (step,), _ in children))
    for (step,), child in children:
        yield from containers(child, is_leaf, (*path, step))
