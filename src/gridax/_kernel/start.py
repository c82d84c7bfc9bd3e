"""Traces a model whose points follow each other: what starts a chain, and what is carried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._arrays import is_keys
from gridax._kernel.arguments import Arguments
from gridax._outputs.branch import Like, carried_outputs, unflattened
from gridax._outputs.template import Template


class Start:
    """What the first points of chains start from, as traced arrays.

    Parameters
    ----------
    arguments : of the model.
    choice : rows of the static choices.
    """

    def __init__(self, arguments: Arguments, choice: tuple[int, ...]) -> None:
        self._arguments, self._choice = arguments, choice
        self._structures: list[Any] = []
        self._impls: list[str | None] = []
        self._like: list[Like] = []
        self._dtypes: dict[int, np.dtype] = {}  # of Python numbers
        self.shapes = jax.eval_shape(self.arrays, *arguments.one_point())

    def note(self, error: Exception) -> None:
        """Add advice to an error of a model that may come from integers among initial values."""
        integers = [like for like in self._like if like.is_weak and like.dtype.kind == "i"]
        if integers and isinstance(error, TypeError):
            error.add_note(
                f"an initial value of {', '.join(map(repr, self._arguments.points.carried))} is an "
                "integer; write 0.0 in place of 0 if it becomes a float"
            )

    def arrays(self, fixed: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """Return the initial values of all carried leaves, keys as raw data."""
        trees = self._arguments.initial(self._choice, fixed, values)
        self._structures = [jax.tree.structure(tree) for tree in trees]
        leaves = jax.tree.leaves(trees)
        arrays = [jnp.asarray(leaf) for leaf in leaves]
        self._impls = [str(jax.random.key_impl(a)) if is_keys(a) else None for a in arrays]
        arrays = [jax.random.key_data(a) if is_keys(a) else a for a in arrays]
        self._like = list(map(Like.of, leaves, arrays))
        return [a.astype(self._dtypes.get(k, a.dtype)) for k, a in enumerate(arrays)]

    def trees(self, carried: Sequence[Any]) -> list[Any]:
        """Return the values of the carried leaves from their arrays."""
        leaves = [
            array if impl is None else jax.random.wrap_key_data(array, impl=impl)
            for array, impl in zip(carried, self._impls, strict=True)
        ]
        return unflattened(self._structures, leaves)

    def numbers(self, template: Template) -> tuple[int, ...]:
        """Return which outputs are carried, in the order of the arrays.

        Raises
        ------
        ValueError
            If there is no such output, or it is not like the initial value.
        """
        carried = self._arguments.points.carried
        return carried_outputs(carried, template, self._structures, self._like)

    def adopt(self, template: Template) -> bool:
        """Give Python numbers the dtypes of the outputs; return whether that changes any."""
        before = [shape.dtype for shape in self.shapes]
        after = [template.outputs[k].dtype for k in self.numbers(template)]
        self._dtypes = dict(enumerate(after))
        self.shapes = jax.eval_shape(self.arrays, *self._arguments.one_point())
        return before != after
