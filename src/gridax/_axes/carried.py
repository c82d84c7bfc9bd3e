"""A leaf whose value at one label is an output of the model at the label before."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import jax
import numpy as np
from jax.tree_util import GetAttrKey

from gridax import _checks
from gridax._axes.base import Axis
from gridax._axes.choice import ChoiceAxis

Order = Literal["forward", "backward", "both"]
DIRECTIONS = ("forward", "backward")


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False)
class Carried:
    """A leaf that carries an output of the model from one label to the next.

    It takes the place of a leaf of the state. At the first label along a dimension, the leaf is
    `initial`; at each following label, it is what the model returned at the label before. Points
    along that dimension follow each other; all other dimensions are vectorized as usual.

    Parameters
    ----------
    initial : scalar, array, pytree, axis, or callable
        The value at the first label. It may be an axis, or a pytree that has some, to start from
        several initial conditions. A callable takes the state at the first label, in which the leaf
        is None, and returns the value.
    output : str
        Dotted name of the output to carry, or of a branch of the outputs if `initial` is a pytree.
        It must have the structure, shapes and dtypes of `initial`.
    along : str
        The dimension whose labels follow each other, or the name of an axis along it.
    order : {"forward", "backward", "both"}, optional
        Whether to begin at the first label or at the last one. ``"both"`` does both, along the
        dimension ``direction``, which has the labels ``forward`` and ``backward``, also in a zip.

    Raises
    ------
    TypeError, ValueError
        If `initial` is None or holds another Carried, or another argument is not one of the above.
        `Space` rejects an unknown dimension, and a run rejects an unknown output.

    Examples
    --------
    >>> import gridax as gx
    >>> state = {"r": gx.GridAxis(-1, 1, 5), "x": gx.Carried(-1.0, "x", along="r")}
    >>> space = gx.Space(state, mode="product")
    >>> relax = lambda s: {"x": s["x"] + 0.1 * (s["r"] + s["x"] - s["x"] ** 3)}
    >>> result = gx.ParallelExecution(relax, space).run(progress=False)
    >>> [round(x, 2) for x in result.dataset["x"].values.tolist()]
    [-1.1, -1.13, -1.1, -1.02, -0.92]
    """

    initial: Any
    output: str
    along: str
    order: Order = "forward"
    direction: Axis | None = dataclasses.field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("output", "along"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(
                    f"Carried: {name} must be a name, got {getattr(self, name)!r} of type "
                    f"{type(getattr(self, name)).__name__}"
                )
        _checks.one_of(self.order, "Carried", "order", get_args(Order))
        if self.initial is None:
            raise TypeError("Carried: initial must be the value at the first label, got None")
        if any(map(is_carried, jax.tree.leaves(self.initial, is_leaf=is_carried))):
            raise TypeError("Carried: initial must not hold another Carried")
        for leaf in jax.tree.leaves(self.initial):
            is_host = isinstance(leaf, str | bytes | np.ndarray)
            if is_host and np.asarray(leaf).dtype.kind in "OSUmM":
                raise TypeError(f"Carried: initial must consist of numbers, got {leaf!r}")
        if self.order == "both":
            object.__setattr__(self, "direction", ChoiceAxis(DIRECTIONS, name="direction"))

    @property
    def is_computed(self) -> bool:
        """Whether the initial value is computed from the state."""
        # A module of parameters may be callable, too, but is a value.
        return callable(self.initial) and jax.tree_util.all_leaves([self.initial])

    def with_direction(self, axis: Axis) -> Carried:
        """Return the same leaf with another axis of both directions."""
        return self.tree_unflatten((self.output, self.along, self.order), (self.initial, axis))

    def with_initial(self, initial: Any) -> Carried:
        """Return the same leaf with another initial value."""
        return self.tree_unflatten((self.output, self.along, self.order), (initial, self.direction))

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """Return the initial value, and the axis of both directions if there are two."""
        children = (
            (GetAttrKey("initial"), self.initial),
            (GetAttrKey("direction"), self.direction),
        )
        return children, (self.output, self.along, self.order)

    @classmethod
    def tree_unflatten(cls, names: Any, children: Any) -> Carried:
        """Return a leaf with other children, which may be anything."""
        new = object.__new__(cls)
        fields = dict(zip(("initial", "direction"), children, strict=True))
        fields |= dict(zip(("output", "along", "order"), names, strict=True))
        for name, value in fields.items():
            object.__setattr__(new, name, value)
        return new


def is_carried(node: Any) -> bool:
    """Whether a node of a pytree is a carried leaf."""
    return isinstance(node, Carried)
