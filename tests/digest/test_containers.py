"""What a pytree is made of besides its leaves."""

from __future__ import annotations

from typing import Any

import jax
import pytest

from gridax._digest.containers import changed, containers


@jax.tree_util.register_pytree_node_class
class Held:
    """A container with something static."""

    def __init__(self, value: Any, static: Any) -> None:
        self.value, self.static = value, static

    def tree_flatten(self) -> Any:
        return (self.value,), self.static

    @classmethod
    def tree_unflatten(cls, static: Any, children: Any) -> Held:
        return cls(*children, static)


def is_leaf(node: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("static", "parts"),
    [
        (None, [None]),
        ({1: 2, "a": [3, abs]}, [2, 3, abs]),
        (("x", {"a": {2: 1, "b": (4,)}}), ["x", 1, 4]),
    ],
)
def test_what_is_static_is_found_whatever_it_is_in(static: Any, parts: list[Any]) -> None:
    (found,) = containers(Held(1.0, static), is_leaf)
    assert found.kind is Held
    seen: list[Any] = []
    changed(found.static, seen.append)
    assert seen == parts
    assert changed(found.static, lambda part: part) == static
