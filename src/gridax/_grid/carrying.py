"""What an untraced model carries from one point to the next."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import is_keys
from gridax._axes.table import read_only
from gridax._grid.chains import initial_values
from gridax._grid.host import HostStates
from gridax._grid.points import Points
from gridax._outputs.branch import Like, carried_outputs, unflattened
from gridax._outputs.template import Template


class Carrying:
    """Turns outputs of one point into the values that the next one receives.

    These are like the initial values: JAX arrays where those are, otherwise NumPy arrays and
    scalars.

    Parameters
    ----------
    points, states : the points, and their states.
    """

    def __init__(self, points: Points, states: HostStates) -> None:
        self._points, self._states = points, states

    def start(self, index: Sequence[int]) -> list[Any]:
        """Return the initial values at the first point of a chain."""
        trees = initial_values(self._states.unresolved(index))
        self._like = [jax.tree.structure(tree) for tree in trees], jax.tree.leaves(trees)
        return trees

    @functools.cached_property
    def _like(self) -> tuple[list[Any], list[Any]]:
        """The structures of some initial values, and all their leaves."""
        chain = self._points.chain
        assert chain is not None
        first = [0] * len(self._points.dims)
        first[chain.dim] = chain.start(first, self._points.shape)
        self.start(first)
        return self._like

    def numbers(self, template: Template) -> tuple[int, ...]:
        """Return which outputs are carried, of a model that has been called.

        Raises
        ------
        ValueError
            If there is no such output, or it is not like the initial value.
        """
        structures, leaves = self._like
        arrays = [jax.random.key_data(x) if is_keys(x) else np.asarray(x) for x in leaves]
        like = [*map(Like.of, leaves, arrays)]
        return carried_outputs(self._points.carried, template, structures, like)

    def values(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Return the values of the carried leaves from the carried outputs of the point before."""
        structures, like = self._like
        leaves = [_as(leaf, array) for leaf, array in zip(like, arrays, strict=True)]
        return unflattened(structures, leaves)


def _as(like: Any, array: np.ndarray) -> Any:
    """Return an array as a value of the kind of another one."""
    if is_keys(like):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(like))
    if isinstance(like, jax.Array):
        return jnp.asarray(array)
    return read_only(np.array(array)) if np.ndim(array) else np.asarray(array)[()]
