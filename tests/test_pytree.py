"""States of any kind: names of leaves, the order of writing, values put back in place."""

from __future__ import annotations

import collections
import dataclasses
import re
import types
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from tvboptim.experimental.network_dynamics.core.bunch import Bunch
from tvboptim.types import Parameter

from gridax import DataAxis, GridAxis, Space
from gridax._pytree import Skeleton, attribute_holding, dotted, entry, is_private, owned


class Coupling(NamedTuple):
    strength: Any
    delay: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Noise:
    sigma: Any
    correlation: Any


class Model(eqx.Module):
    weights: Any
    bias: Any
    name: str = eqx.field(static=True)


@jax.tree_util.register_pytree_node_class
class Pair:
    """A node that tells JAX no names of its parts."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        return (self.first, self.second), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple[Any, Any]) -> Pair:
        return cls(*children)


class Named:
    """A node whose keys are plain strings, none of JAX's own kinds."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second


jax.tree_util.register_pytree_with_keys(
    Named,
    lambda node: ((("first", node.first), ("second", node.second)), None),
    lambda aux, children: Named(*children),
)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves by dotted name, in the order of writing."""
    skeleton = Skeleton.of(tree)
    return {dotted(skeleton.paths[i]): skeleton.leaves[i] for i in skeleton.written}


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        (1.0, ["value"]),
        ({"z": 1, "a": 2}, ["z", "a"]),
        ({"z": {"y": 1, "b": 2}, "a": 3}, ["z.y", "z.b", "a"]),
        ([1, (2, 3)], ["[0]", "[1][0]", "[1][1]"]),
        ({"layers": [{"w": 1.0}]}, ["layers[0].w"]),
        (Coupling(1, {"z": 2, "a": 3}), ["strength", "delay.z", "delay.a"]),
        (Noise(sigma=1, correlation=2), ["sigma", "correlation"]),
        (Model(1, 2, "m"), ["weights", "bias"]),
        (Bunch(z=1, a=Bunch(y=2, b=3)), ["z", "a.y", "a.b"]),
        (Pair({"z": 1, "a": 2}, 3), ["[0].z", "[0].a", "[1]"]),
        (Named({"z": 1, "a": 2}, 3), ["first.z", "first.a", "second"]),
        (collections.OrderedDict(z=1, a=2), ["z", "a"]),
        (collections.defaultdict(int, {"z": 1, "a": 2}), ["z", "a"]),
        ({2: 1, 1: 2}, ["2", "1"]),
        ({"a": None, "b": 1}, ["b"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_leaves_are_named_by_their_path_in_the_order_of_writing(
    tree: Any, names: list[str]
) -> None:
    assert list(named_leaves(tree)) == names


def test_the_order_of_writing_differs_from_that_of_jax_and_no_leaf_is_lost() -> None:
    tree = {"z": [1, 2], "a": {"y": 3, "b": 4}}
    skeleton = Skeleton.of(tree)
    assert [skeleton.leaves[i] for i in skeleton.written] == [1, 2, 3, 4]
    assert list(skeleton.leaves) == jax.tree.leaves(tree) == [4, 3, 1, 2]


@pytest.mark.parametrize(
    "tree",
    [
        {"z": 1, "a": [2, (3, None)]},
        Coupling(1, {"z": 2, "a": 3}),
        Noise(sigma=1, correlation=[2]),
        Model(1, 2, "m"),
        Bunch(z=1, a=Bunch(y=2)),
        collections.OrderedDict(z=1, a=2),
        7,
    ],
    ids=lambda tree: type(tree).__name__,
)
def test_filling_puts_values_back_where_they_belong(tree: Any) -> None:
    skeleton = Skeleton.of(tree)
    doubled = skeleton.fill({i: 2 * leaf for i, leaf in enumerate(skeleton.leaves)})
    assert type(doubled) is type(tree)
    assert jax.tree.structure(doubled) == jax.tree.structure(tree)
    assert jax.tree.leaves(doubled) == [2 * leaf for leaf in jax.tree.leaves(tree)]
    assert jax.tree.leaves(skeleton.fill({})) == jax.tree.leaves(tree)


def test_filling_leaves_the_original_alone() -> None:
    tree = {"a": 1, "b": 2}
    assert Skeleton.of(tree).fill({0: 10}) == {"a": 10, "b": 2}
    assert tree == {"a": 1, "b": 2}


def test_what_is_leaf_accepts_is_not_opened() -> None:
    tree = {"pair": (1, 2), "list": [3]}
    skeleton = Skeleton.of(tree, is_leaf=lambda node: isinstance(node, tuple))
    assert [skeleton.leaves[i] for i in skeleton.written] == [(1, 2), 3]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": 1}, ("dict", "a")),
        ([1], ("index", 0)),
        (Pair(1, None), ("index", 0)),
        (Coupling(1, None), ("attr", "strength")),
        (Named(1, None), ("dict", "first")),
    ],
)
def test_a_key_says_its_kind_and_value(tree: Any, expected: tuple[str, Any]) -> None:
    [(path, _)] = jax.tree_util.tree_flatten_with_path(tree)[0]
    assert entry(path[0]) == expected


@pytest.mark.parametrize(
    ("tree", "private"), [({"_a": 1}, True), ({"a": {"_b": 1}}, True), ({"a_": [1]}, False)]
)
def test_a_path_with_a_leading_underscore_is_private(tree: Any, private: bool) -> None:
    [(path, _)] = jax.tree_util.tree_flatten_with_path(tree)[0]
    assert is_private(path) is private


class Opaque:
    """JAX does not know this class, so it does not look inside."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    "held", [GridAxis(0, 1, 3), [GridAxis(0, 1, 3)], {"a": (1.0, {"b": GridAxis(0, 1, 3)})}]
)
def test_an_axis_that_jax_cannot_reach_is_refused(held: Any) -> None:
    state = {"model": Opaque(dt=0.1, G=held), "x": GridAxis(0, 1, 2)}
    message = (
        "the axis at model.G cannot be reached: Opaque is not registered as a pytree. Register it, "
        "for a dataclass with jax.tree_util.register_dataclass"
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        Space(state, mode="product")


class Defaults:
    """A class is a leaf like a function; what it holds is nobody's state."""

    G = GridAxis(0, 1, 3)


@pytest.mark.parametrize(
    "leaf", [Opaque(a=1), Defaults, len, "text", None, 1.0, types.SimpleNamespace(a=[1, {"b": 2}])]
)
def test_a_leaf_without_axes_holds_none(leaf: Any) -> None:
    assert attribute_holding(leaf, lambda value: isinstance(value, GridAxis)) is None


@pytest.mark.parametrize(
    "state",
    [
        {"b": GridAxis(0, 1, 2), "a": DataAxis([5, 6, 7])},
        [GridAxis(0, 1, 2), DataAxis([5, 6, 7])],
        (GridAxis(0, 1, 2), DataAxis([5, 6, 7])),
        Coupling(GridAxis(0, 1, 2), DataAxis([5, 6, 7])),
        Noise(sigma=GridAxis(0, 1, 2), correlation=DataAxis([5, 6, 7])),
        Model(GridAxis(0, 1, 2), DataAxis([5, 6, 7]), "m"),
        Bunch(b=GridAxis(0, 1, 2), a=DataAxis([5, 6, 7])),
        Pair(GridAxis(0, 1, 2), DataAxis([5, 6, 7])),
    ],
    ids=lambda state: type(state).__name__,
)
def test_a_space_takes_any_pytree_and_gives_the_same_kind_back(state: Any) -> None:
    space = Space(state, mode="product")
    assert space.shape == (2, 3)  # in the order of writing
    point = space[4]
    assert type(point) is type(state)
    values = named_leaves(point)
    assert [values[dim].item() for dim in space.dims] == [1.0, 6]
    assert len(values) == 2


def test_other_leaves_stay_as_they_are() -> None:
    fixed = {
        "solver": "heun",
        "function": jnp.tanh,
        "weights": np.eye(2),
        "nothing": None,
        "parameter": Parameter(0.5),
        "opaque": Opaque(a=1),
        "key": jax.random.key(1),
        "count": 3,
    }
    point = Space({**fixed, "x": GridAxis(0, 1, 3)})[1]
    for name, value in fixed.items():
        if name == "parameter":  # a node, which JAX rebuilds around the same value
            assert type(point[name]) is Parameter
            assert point[name].value is value.value
        elif name == "weights":  # which nobody can write to
            assert point[name].tolist() == value.tolist()
        else:
            assert point[name] is value


def test_a_state_may_be_an_axis_itself() -> None:
    space = Space(GridAxis(0, 1, 3), mode="product")
    assert space.dims == ("value",)
    assert space[1].item() == 0.5


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i8", ">u4", ">c16", ">U3", ">M8[s]"])
def test_leaves_are_in_the_byte_order_of_the_machine(dtype):
    given = np.arange(3).astype(dtype)
    leaf = owned({"a": given})["a"]
    assert leaf.dtype.isnative
    np.testing.assert_array_equal(leaf, given)
    array = xr.DataArray(given, dims="t", attrs={"units": "ms"})
    (leaf,) = owned([array])
    assert leaf.dtype.isnative
    assert leaf.identical(array)
    (leaf,) = owned([xr.Dataset({"v": array})])
    assert leaf["v"].dtype.isnative
    assert leaf["v"].identical(array.rename("v"))


def test_native_leaves_are_the_objects_that_were_given():
    array = np.arange(3.0)
    array.flags.writeable = False
    leaves = [array, xr.DataArray([1.0]), xr.Dataset({"a": ("t", [1.0])}), "text", 1.5]
    assert all(a is b for a, b in zip(owned(leaves), leaves, strict=True))


class Point(NamedTuple):
    x: Any
    y: Any


def test_arrays_of_ones_own_do_not_change_with_those_they_come_from():
    array = np.arange(6.0).reshape(2, 3)
    tree = {"b": [array, array[0]], "a": (Point(array.T, 1.0),), "n": 3, "f": np.sin}
    mine = owned(tree)
    array[:] = 7
    assert list(mine) == ["b", "a", "n", "f"]
    assert mine["b"][0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert mine["b"][1].tolist() == [0, 1, 2]
    assert type(mine["a"][0]) is Point
    assert mine["a"][0].x.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert mine["a"][0].y == 1.0
    assert mine["f"] is np.sin
    assert not mine["b"][0].flags.writeable


def test_what_nobody_can_write_to_is_not_copied():
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    axis = GridAxis(0, 1, 3)
    tree = {"a": frozen, "view": frozen[1:], "j": jnp.ones(2), "axis": axis}
    assert owned(tree) is tree
    base = np.arange(3.0)
    view = base[:]
    view.flags.writeable = False
    mine = owned({**tree, "view": view})
    base[:] = 5
    assert mine["view"].tolist() == [0, 1, 2]
    assert mine["a"] is frozen
    assert mine["axis"] is axis


def test_modules_and_masked_arrays_stay_what_they_are():
    linear = eqx.nn.MLP(1, 1, 2, 1, key=jax.random.key(0))
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    mine = owned((linear, masked))
    assert isinstance(mine[0], eqx.nn.MLP)
    assert isinstance(mine[1], np.ma.MaskedArray)
    assert mine[1].mask.tolist() == [False, True]
