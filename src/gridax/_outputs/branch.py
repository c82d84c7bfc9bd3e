"""The part of a model's outputs that is carried from one point to the next."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridax._axes.carried import Carried
from gridax._outputs.derivatives import own_outputs
from gridax._outputs.template import Template
from gridax._pytree import Path, dotted
from gridax._text import listing


class Like(NamedTuple):
    """What an array that is carried has to be like.

    Attributes
    ----------
    shape, dtype : of one point; those of raw data if it holds PRNG keys.
    is_weak : whether it is a Python number, which takes the dtype of what it is computed with.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    is_weak: bool = False

    @classmethod
    def of(cls, leaf: Any, array: Any) -> Like:
        """Return what a leaf and the array of its values say."""
        is_weak = type(leaf) in (bool, int, float, complex)
        return cls(array.shape, np.dtype(array.dtype), is_weak)

    @property
    def text(self) -> str:
        """Dtype and shape."""
        return f"{self.dtype}{list(self.shape)}"


class Branch(NamedTuple):
    """A leaf or a container among the outputs.

    Attributes
    ----------
    structure : of the container.
    numbers : of its outputs.
    """

    structure: Any
    numbers: tuple[int, ...]


def branch(template: Template, name: str, path: str) -> Branch:
    """Return the branch of the outputs with a dotted name.

    Parameters
    ----------
    template : what the model returns.
    name : of the branch.
    path : of the leaf that carries it, for messages.

    Raises
    ------
    ValueError
        If there is none, or it has xarray Datasets.
    """
    starts = [*itertools.accumulate((len(part.names) for part in template.parts), initial=0)]
    tree = template.treedef.unflatten(range(len(template.parts)))
    there = _at(tree, name)
    names = [output.name for output in own_outputs(template.outputs)]
    if there is None and name in names:  # a variable of an xarray.Dataset
        return Branch(jax.tree.structure(0), (names.index(name),))
    if there is None:
        raise ValueError(
            f"{path!r} is carried from the output {name!r}, but the model returned "
            f"{listing(names)}; return that output, or name one of these in Carried(output=…)"
        )
    parts, structure = jax.tree.flatten(there)
    if any(template.parts[k].kind == "dataset" for k in parts):
        raise ValueError(
            f"{path!r} is carried from the output {name!r}, which is an xarray.Dataset; return its "
            "variables in a dict"
        )
    return Branch(structure, tuple(starts[k] for k in parts))


def _at(tree: Any, name: str) -> Any | None:
    """Return the branch of a pytree with a dotted name, or None."""
    node: Any = tree
    path: Path = ()
    while dotted(path) != name or (not path and len(jax.tree.leaves(node)) > 1):
        children, _ = jax.tree_util.tree_flatten_with_path(node, lambda x, at=node: x is not at)
        steps = [((*path, *step), child) for step, child in children if step]
        below = [step for step in steps if _leads_to(dotted(step[0]), name)]
        if not below:
            return None
        path, node = max(below, key=lambda step: len(dotted(step[0])))
    return node


def _leads_to(path: str, name: str) -> bool:
    return name == path or name.startswith((f"{path}.", f"{path}["))


def unflattened(structures: Sequence[Any], leaves: Sequence[Any]) -> list[Any]:
    """Return pytrees of some structures from the leaves of all of them."""
    remaining = iter(leaves)
    return [
        structure.unflatten(itertools.islice(remaining, structure.num_leaves))
        for structure in structures
    ]


def carried_outputs(
    carried: Mapping[str, Carried],
    template: Template,
    structures: Sequence[Any],
    like: Sequence[Like],
) -> tuple[int, ...]:
    """Return which outputs are carried.

    Parameters
    ----------
    carried : leaves of the state, by their dotted paths.
    template : what the model returns.
    structures, like : structures of the initial values, and the arrays in all of them.

    Raises
    ------
    ValueError
        If there is no such output, or it is not like the initial value; the message shows both.
    """
    numbers: list[int] = []
    remaining = iter(like)
    for (path, leaf), structure in zip(carried.items(), structures, strict=True):
        outputs = branch(template, leaf.output, path)
        mine = [*itertools.islice(remaining, structure.num_leaves)]
        problem = _difference(template, outputs, structure, mine)
        if problem:
            raise ValueError(
                f"{path!r} is carried from the output {leaf.output!r}, but they differ: {problem}; "
                "return what the model is to receive at the next label, or start from a value that "
                "is like the output"
            )
        numbers += outputs.numbers
    return tuple(numbers)


def _difference(
    template: Template, carried: Branch, structure: Any, like: Sequence[Like]
) -> str | None:
    """Say how the outputs of a branch differ from an initial value, or return None."""
    if carried.structure != structure:
        return f"the initial value has the structure {structure}, the output {carried.structure}"
    for k, wanted in zip(carried.numbers, like, strict=True):
        output = template.outputs[k]
        given = Like(output.shape, output.dtype)
        dtypes = [jax.dtypes.canonicalize_dtype(each.dtype) for each in (wanted, given)]
        same = dtypes[0] == dtypes[1] or (wanted.is_weak and _takes(*dtypes))
        if wanted.shape != given.shape or not same:
            return f"the initial value is {wanted.text}, the output {output.name!r} is {given.text}"
    return None


_WEAK = {"i": int, "f": float, "c": complex}


def _takes(weak: np.dtype, dtype: np.dtype) -> bool:
    """Whether a Python number becomes an array of a dtype when it is computed with one."""
    return weak.kind == "b" or jnp.result_type(_WEAK[weak.kind](0), dtype) == dtype
