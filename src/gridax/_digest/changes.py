"""What the code of a model changes itself, such as counters and caches.

These do not tell one model from another: after a run they differ, yet the model is the same. Only
code that the model can reach is searched, so that an attribute counts even though a setter, which
the model never calls, could change it.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import types
from collections.abc import Iterable, Iterator, MutableMapping, MutableSequence, MutableSet
from typing import Any, NamedTuple

import numpy as np

from gridax._digest.syntax import Item, attribute_names, references, stored_names

# What a method of theirs named `append`, `update` or the like changes.
_CONTAINERS = (MutableMapping, MutableSequence, MutableSet, collections.deque)
_FILLED = (*_CONTAINERS, np.ndarray)
# Of these, copies can be made without some items. A copy of os.environ would change the original.
_COPIED = (dict, list, collections.deque, collections.UserDict, np.ndarray)
# Methods that run before a model does.
_BEFORE = frozenset(
    {"__init__", "__new__", "__post_init__", "__setstate__", "__init_subclass__"}
    | {"__array_finalize__", "__set_name__"}
)
# Attributes of containers, text and arrays: that one is used does not tell whose method it is.
_COMMON = frozenset(
    name
    for kind in (dict, list, set, str, collections.deque, np.ndarray)
    for name in dir(kind)
    if not name.startswith("__")
) | {"apply", "divide", "mul", "multiply", "power", "set"}  # of x.at[i], where x is JAX's


class Method(NamedTuple):
    """A function in a class.

    Attributes
    ----------
    kind, name : the class, and the name in it.
    function : the function itself.
    is_setter : whether it runs when a property of this name is assigned, not when it is read.
    """

    kind: type
    name: str
    function: Any
    is_setter: bool = False


@dataclasses.dataclass
class Changes:
    """What some code changes.

    Attributes
    ----------
    names : variables that it rebinds, as the identity of a namespace or a cell, and the name.
    attributes : attributes that it sets, as the identity of the object and the name.
    items : items that it sets, as the identity of the container or array and the key.
    objects : identities of containers and arrays of which it may change any item.
    filled : those of them that it changes under keys that it computes.
    doubtful : attributes that it sets only if a method is the user's that may be a container's.
    """

    names: set[tuple[int, str]] = dataclasses.field(default_factory=set)
    attributes: set[tuple[int, str]] = dataclasses.field(default_factory=set)
    items: set[tuple[int, Any]] = dataclasses.field(default_factory=set)
    objects: set[int] = dataclasses.field(default_factory=set)
    filled: set[int] = dataclasses.field(default_factory=set)
    doubtful: set[tuple[int, str]] = dataclasses.field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.names or self.attributes or self.items or self.objects)

    def rest(self, owner: Any, content: Any) -> Any:
        """Return the content of a container or an array without the items that change."""
        keys = [key for identity, key in self.items if identity == id(owner)]
        if not keys:
            return content
        kept = copy.copy(content)
        for key in keys:
            with contextlib.suppress(LookupError, TypeError):  # not there, or no key of this
                if isinstance(kept, MutableMapping):
                    del kept[key]
                else:
                    kept[key] = np.zeros((), kept.dtype) if isinstance(kept, np.ndarray) else None
        return kept


def changes(
    functions: Iterable[types.FunctionType],
    methods: Iterable[Method],
    instances: Iterable[Any],
) -> Changes:
    """Return what the functions that a model refers to change, and the methods that they may call.

    Parameters
    ----------
    functions : functions that are referred to by themselves.
    methods : functions in classes.
    instances : objects that are referred to.
    """
    functions, instances = list(functions), list(instances)
    own = _called(functions, methods)
    found = _changes_of(functions, own, instances)
    if any(each.name in _COMMON for each in own):
        owners = _owners(functions, own, instances)
        known = [each for each in own if each.name not in _COMMON or _has_owner(each, owners)]
        certain = _changes_of(functions, known, instances)
        found.doubtful = found.attributes - certain.attributes
        found.filled |= found.objects - certain.objects
        found.filled |= {identity for identity, _ in found.items - certain.items}
    return found


def _changes_of(
    functions: list[types.FunctionType], methods: list[Method], instances: list[Any]
) -> Changes:
    """Return what functions and methods change if all are called."""
    found = Changes()
    for function in [*functions, *(method.function for method in methods)]:
        _add_changes_of(function, found)
    for function, name, owner in _bound(methods, instances):
        _add(function, name, owner, found)
    return found


def _bound(
    methods: list[Method], instances: list[Any]
) -> Iterator[tuple[types.FunctionType, str, Any]]:
    """Yield functions in classes, with the name of the first argument and what it may be."""
    by_class: dict[type, list[tuple[types.FunctionType, str]]] = {}
    for kind, _, function, _ in methods:
        if function.__code__.co_argcount:
            name = function.__code__.co_varnames[0]
            by_class.setdefault(kind, []).append((function, name))
            yield function, name, kind  # of a classmethod
    for instance in instances:
        for kind in type(instance).__mro__:
            for function, name in by_class.get(kind, ()):
                yield function, name, instance


def _owners(
    functions: list[types.FunctionType], methods: list[Method], instances: list[Any]
) -> dict[str, list[Any]]:
    """Return the objects of which some code uses an attribute, as far as they are known."""
    known = [(each, _variables(each)) for each in [*functions, *(m.function for m in methods)]]
    known += [(function, {name: owner}) for function, name, owner in _bound(methods, instances)]
    owners: dict[str, list[Any]] = {}
    for function, variables in known:
        for first, *steps, last in references(function.__code__).attributes:
            if first in variables:
                owners.setdefault(last, []).append(_at(variables[first], tuple(steps)))
    return owners


def _has_owner(method: Method, owners: dict[str, list[Any]]) -> bool:
    """Whether an object of which an attribute of this name is used is one that has the method."""
    kinds = (each if isinstance(each, type) else type(each) for each in owners.get(method.name, ()))
    return any(method.kind in kind.__mro__ for kind in kinds)


def cells_of(function: types.FunctionType) -> dict[str, types.CellType]:
    """Return the variables of outer functions that a function uses."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _called(functions: Iterable[types.FunctionType], methods: Iterable[Method]) -> list[Method]:
    """Return the methods whose name occurs in code that is reached, as far as names tell."""
    used: set[str] = set()
    assigned: set[str] = set()

    def may_run(method: Method) -> bool:
        name = method.name
        is_special = name.startswith("__") and name.endswith("__") and name not in _BEFORE
        return is_special or name in (assigned if method.is_setter else used)

    left, called = list(methods), list[Method]()
    reached = list(functions)
    while True:
        for function in reached:
            used.update(attribute_names(function.__code__))
            assigned.update(stored_names(function.__code__))
        new = [each for each in left if may_run(each)]
        if not new:
            return called
        left = [each for each in left if not may_run(each)]
        called += new
        reached = [each.function for each in new]


def _add_changes_of(function: types.FunctionType, found: Changes) -> None:
    """Add what a function changes by the names of variables and of its defaults."""
    refers, cells = references(function.__code__), cells_of(function)
    for name in refers.rebound:
        found.names.add((id(cells.get(name, function.__globals__)), name))
    variables = _variables(function)
    for chain in (*refers.stored, *refers.filled, *refers.called):
        if chain[0] in variables:
            _add(function, chain[0], variables[chain[0]], found)


def _variables(function: types.FunctionType) -> dict[str, Any]:
    """Return the variables of a function whose values are known before it runs."""
    read = references(function.__code__).reads
    variables = {name: function.__globals__[name] for name in read if name in function.__globals__}
    variables |= _defaults(function)
    for name, cell in cells_of(function).items():
        with contextlib.suppress(ValueError):  # not filled yet
            variables[name] = cell.cell_contents
    return variables


def _defaults(function: types.FunctionType) -> dict[str, Any]:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    # Decorators may give a wrapper the defaults of what it wraps, which has more arguments.
    pairs = zip(reversed(names), reversed(function.__defaults__ or ()), strict=False)
    return {**dict(pairs), **(function.__kwdefaults__ or {})}


def _add(function: types.FunctionType, name: str, value: Any, found: Changes) -> None:
    """Add what a function changes of the value of one of its variables."""
    refers = references(function.__code__)
    for chain in refers.stored:
        owner = _at(value, chain[1:-1]) if chain[0] == name else None
        if owner is not None:
            _add_step(owner, chain[-1], found)
    for chains, kinds in ((refers.filled, _FILLED), (refers.called, _CONTAINERS)):
        for chain in chains:
            changed = _at(value, chain[1:]) if chain[0] == name else None
            if isinstance(changed, kinds):
                found.objects.add(id(changed))
                if chains is refers.filled:
                    found.filled.add(id(changed))


def _add_step(owner: Any, step: Any, found: Changes) -> None:
    """Add an attribute or an item of an object that is assigned."""
    if not isinstance(step, Item):
        found.attributes.add((id(owner), step))
    elif isinstance(owner, _FILLED):
        if step.key is ... or not isinstance(owner, _COPIED):
            found.objects.add(id(owner))
        else:
            found.items.add((id(owner), step.key))


def _at(value: Any, steps: tuple[Any, ...]) -> Any:
    """Return what attributes and items lead to, without running the user's code, or None."""
    for step in steps:
        try:
            if not isinstance(step, Item):
                value = _attribute(value, step)
            else:
                value = value[step.key] if type(value) in (dict, list, tuple) else None
        except Exception:  # an object of anybody's may refuse to be read
            return None
    return value


def _attribute(value: Any, name: str) -> Any:
    own = getattr(value, "__dict__", {})
    if name in own:
        return own[name]
    member = getattr(type(value), name, None)
    is_slot = isinstance(member, types.MemberDescriptorType)
    return getattr(value, name, None) if is_slot else member
