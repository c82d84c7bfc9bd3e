"""What the code of a model changes itself, such as counters and caches.

These do not tell one model from another: after a run they differ, yet the model is the same. Only
code that the model can reach is searched, so that an attribute counts even though a setter, which
the model never calls, could change it.
"""

from __future__ import annotations

import collections
import dataclasses
import types
from collections.abc import Iterable, MutableMapping, MutableSequence, MutableSet
from typing import Any

import numpy as np

from gridax._digest.syntax import attribute_names, references

# What a method of theirs named `append`, `update` or the like changes.
_CONTAINERS = (MutableMapping, MutableSequence, MutableSet, collections.deque)
# Methods that run before a model does.
_BEFORE = frozenset({"__init__", "__new__", "__post_init__", "__setstate__", "__init_subclass__"})


@dataclasses.dataclass
class Changes:
    """What some code changes.

    Attributes
    ----------
    names : variables that it rebinds, as the identity of a namespace or a cell, and the name.
    attributes : attributes that it sets, as the identity of the object and the name.
    objects : identities of containers and arrays that it changes in place.
    """

    names: set[tuple[int, str]] = dataclasses.field(default_factory=set)
    attributes: set[tuple[int, str]] = dataclasses.field(default_factory=set)
    objects: set[int] = dataclasses.field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.names or self.attributes or self.objects)


def changes(
    functions: Iterable[types.FunctionType],
    methods: Iterable[tuple[type, str, types.FunctionType]],
    instances: Iterable[Any],
) -> Changes:
    """Return what the functions that a model refers to change, and the methods that they may call.

    Parameters
    ----------
    functions : functions that are referred to by themselves.
    methods : functions in classes, with the class and the name in it.
    instances : objects that are referred to.
    """
    found = Changes()
    own = _called(functions, methods)
    for function in [*functions, *(function for _, _, function in own)]:
        _add_changes_of(function, found)
    by_class: dict[type, list[types.FunctionType]] = {}
    for kind, _, function in own:
        if function.__code__.co_argcount:
            by_class.setdefault(kind, []).append(function)
            _add(function, function.__code__.co_varnames[0], kind, found)  # of a classmethod
    for instance in instances:
        for kind in type(instance).__mro__:
            for function in by_class.get(kind, ()):
                _add(function, function.__code__.co_varnames[0], instance, found)
    return found


def cells_of(function: types.FunctionType) -> dict[str, types.CellType]:
    """Return the variables of outer functions that a function uses."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _called(
    functions: Iterable[types.FunctionType],
    methods: Iterable[tuple[type, str, types.FunctionType]],
) -> list[tuple[type, str, types.FunctionType]]:
    """Return the methods whose name occurs in code that is reached, as far as names tell."""
    names = {name for function in functions for name in attribute_names(function.__code__)}
    left = list(methods)
    called: list[tuple[type, str, types.FunctionType]] = []
    while True:
        new = [each for each in left if _may_run(each[1], names)]
        if not new:
            return called
        called += new
        left = [each for each in left if not _may_run(each[1], names)]
        names |= {name for *_, function in new for name in attribute_names(function.__code__)}


def _may_run(name: str, names: set[str]) -> bool:
    is_special = name.startswith("__") and name.endswith("__") and name not in _BEFORE
    return name in names or is_special


def _add_changes_of(function: types.FunctionType, found: Changes) -> None:
    """Add what a function changes by the names of variables and of its defaults."""
    refers, cells = references(function.__code__), cells_of(function)
    for name in refers.rebound:
        found.names.add((id(cells.get(name, function.__globals__)), name))
    variables = _defaults(function)
    for name, cell in cells.items():
        try:
            variables[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for chain in (*refers.stored, *refers.filled, *refers.called):
        if chain[0] in variables:
            _add(function, chain[0], variables[chain[0]], found)
        elif chain[0] in refers.reads and chain[0] in function.__globals__:
            _add(function, chain[0], function.__globals__[chain[0]], found)


def _defaults(function: types.FunctionType) -> dict[str, Any]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    return {**dict(zip(names, values, strict=True)), **(function.__kwdefaults__ or {})}


def _add(function: types.FunctionType, name: str, value: Any, found: Changes) -> None:
    """Add what a function changes of the value of one of its variables."""
    refers = references(function.__code__)
    for chain in refers.stored:
        if chain[0] == name:
            owner = _at(value, chain[1:-1])
            if owner is not None:
                found.attributes.add((id(owner), chain[-1]))
    for chains, kinds in (
        (refers.filled, (*_CONTAINERS, np.ndarray)),
        (refers.called, _CONTAINERS),
    ):
        for chain in chains:
            changed = _at(value, chain[1:]) if chain[0] == name else None
            if isinstance(changed, kinds):
                found.objects.add(id(changed))


def _at(value: Any, attributes: tuple[str, ...]) -> Any:
    """Return what attributes lead to, without running properties, or None."""
    for attribute in attributes:
        own = getattr(value, "__dict__", {})
        if attribute in own:
            value = own[attribute]
        else:
            member = getattr(type(value), attribute, None)
            is_slot = isinstance(member, types.MemberDescriptorType)
            value = getattr(value, attribute, None) if is_slot else member
    return value
