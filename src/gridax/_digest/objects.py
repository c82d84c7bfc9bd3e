"""What functions, classes and objects hold: references, members and attributes."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

from gridax._digest import origin
from gridax._digest.changes import Changes, cells_of
from gridax._digest.syntax import Chain, Import, attribute_names, never_returns, references

_MISSING: Any = object()
# The types of what jit and cache return; to ask for a protocol, as JAX documents, takes long.
_JITTED, _CACHED = type(jax.jit(len)), type(functools.cache(len))
_FUNCTIONS = (
    *(types.FunctionType, types.MethodType),
    *(functools.partial, _CACHED, _JITTED),
)
# Members of a class that Python makes, or that only readers see.
_MADE = frozenset(
    {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
    | {"__abstractmethods__", "__classcell__", "__dict__", "__doc__", "__firstlineno__"}
    | {"__match_args__", "__module__", "__orig_bases__", "__parameters__", "__qualname__"}
    | {"__dataclass_params__", "__slotnames__", "__static_attributes__"}
    | {"__weakref__", "_abc_impl"}
)
# Variables of a module that tell where it is and how it was started, or that only readers see.
_OF_MODULES = frozenset(
    {"__annotations__", "__builtins__", "__cached__", "__doc__", "__file__", "__loader__"}
    | {"__name__", "__package__", "__path__", "__spec__"}
)
# Builtins, and members of classes and modules, that lead to anything.
_FINDING = frozenset({"__import__", "eval", "exec", "globals"})
_FINDING_METHODS = frozenset({"__subclasses__", "import_module"})
_SCALAR_BASES: tuple[Any, ...] = (int, float, complex, str, bytes)


@dataclasses.dataclass(frozen=True)
class Reference:
    """Something that a function refers to.

    Attributes
    ----------
    label : as the function names it.
    value : the object itself, unless it is named or unknown.
    package : the module of a library that it is, or is a member of.
    problem : the name of what could not be found out.
    """

    label: str
    value: Any = None
    package: str | None = None
    problem: str | None = None


def referenced(function: types.FunctionType, changing: Changes) -> list[Reference]:
    """Return what a function refers to, in an order that does not depend on where it is defined."""
    found = references(function.__code__)
    cells = cells_of(function)
    chosen: dict[str, set[Chain]] = dict(found.reads)
    bound: list[Reference] = []
    if not origin.is_library_code(function):
        bound += _by_computed_names(function, chosen)
    else:
        # Only what it was given can be the user's own. If it can only raise an error, as a callback
        # of equinox.error_if, it was given what the error says: frames and ids of this process.
        chosen = {} if never_returns(function.__code__) else {name: {()} for name in cells}
    for each in found.imports:
        bound += _imported(each, function, chosen.pop(each.name, set()))
    for name, chains in chosen.items():
        if name in cells:
            place: Any = cells[name]
            try:
                value = place.cell_contents
            except ValueError:  # not filled yet
                continue
        elif name in _OF_MODULES:
            continue
        elif name in function.__globals__:
            place, value = function.__globals__, function.__globals__[name]
        else:  # a builtin
            continue
        if (id(place), name) not in changing.names:
            bound += _through(name, value, chains, changing)
    return sorted(bound, key=lambda each: each.label)


def _by_computed_names(function: types.FunctionType, read: Iterable[str]) -> Iterator[Reference]:
    """Yield what a function uses to find things by names that it computes, or without a name."""
    outside = function.__globals__.keys() | set(function.__code__.co_freevars)
    builtins = _FINDING.intersection(read) - outside
    for name in builtins | _FINDING_METHODS.intersection(attribute_names(function.__code__)):
        yield Reference(name, problem=f"what {name}() finds")


def _through(label: str, value: Any, chains: set[Chain], changing: Changes) -> Iterator[Reference]:
    """Yield a value, or of a module the members that are used."""
    if not isinstance(value, types.ModuleType):
        yield Reference(label, value)
        return
    for chain in sorted(chains):
        where = label
        member: Any = value
        owner: types.ModuleType = value
        for attribute in chain:
            if not isinstance(member, types.ModuleType):
                break
            is_changed = (id(member), attribute) in changing.attributes
            if is_changed or attribute in _OF_MODULES:
                member = _MISSING
                break
            where, owner = f"{where}.{attribute}", member
            submodule = sys.modules.get(f"{member.__name__}.{attribute}", _MISSING)
            member = getattr(member, attribute, submodule)
        if member is _MISSING:
            continue
        package = origin.library(value.__name__)
        # What the user puts into a library is followed like anything else.
        is_own = isinstance(member, _FUNCTIONS) or origin.library_of(type(member)) is None
        if package is not None and not is_own:
            home = member if isinstance(member, types.ModuleType) else owner
            yield Reference(where, package=home.__name__)
        else:
            yield Reference(where, member)


def _imported(
    statement: Import, function: types.FunctionType, chains: set[Chain]
) -> Iterator[Reference]:
    """Yield what an import statement inside a function gives it."""
    package = function.__globals__.get("__package__") or ""
    try:
        name = importlib.util.resolve_name("." * statement.level + statement.module, package)
    except ImportError:
        yield Reference(statement.name, problem=f"the import of {statement.module!r}")
        return
    label = f"import {name}"
    if origin.library(name) is not None:  # not imported, as that may take time
        yield Reference(f"{label} {statement.attribute or ''}", package=name)
        return
    try:
        module: Any = importlib.import_module(name)
        if statement.attribute is not None:
            member = getattr(module, statement.attribute, _MISSING)
            if member is _MISSING:
                member = importlib.import_module(f"{name}.{statement.attribute}")
        else:
            member = sys.modules[name.partition(".")[0]] if statement.is_top else module
    except Exception:  # the module's own; the model may never come by here
        yield Reference(label, problem=f"the import of {name!r}")
        return
    yield from _through(f"{label} as {statement.name}", member, chains, Changes())


def class_contents(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of a user's class, with facts in place of what Python made of them."""
    made = set(_MADE)
    fields = vars(kind).get("__dataclass_fields__")
    if fields is not None:
        made |= {"__dataclass_fields__"}
        yield "__dataclass_fields__", [_field(each) for each in fields.values()]
        params = vars(kind).get("__dataclass_params__")
        yield "__dataclass_params__", [getattr(params, name, None) for name in _DATACLASS_PARAMS]
    if issubclass(kind, enum.Enum):
        yield "__members__", [(name, member.value) for name, member in kind.__members__.items()]
        made |= {name for name in vars(kind) if _is_private_to_enum(name)} | set(kind.__members__)
    has_fields = fields is not None or "_fields" in vars(kind)
    for name, item in sorted(vars(kind).items()):
        is_made = name in made or isinstance(item, _SLOTS) or (has_fields and _is_made(name, item))
        is_made |= name.startswith("__pydantic_") and name not in _OF_PYDANTIC
        if not is_made:
            yield name, item


# Of what pydantic puts into a class, what it was made of; the rest holds addresses.
_OF_PYDANTIC = ("__pydantic_fields__", "__pydantic_decorators__")
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


# Of the parameters of a dataclass, those that change what its objects do.
_DATACLASS_PARAMS = ("eq", "order", "unsafe_hash", "frozen")


def _field(field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    flags = field.init, field.kw_only, field.compare, field.hash
    defaults = _default(field.default), _default(field.default_factory)
    return field.name, *flags, *defaults, dict(field.metadata)


def _default(value: Any) -> Any:
    return "none" if value is dataclasses.MISSING else value


def _is_made(name: str, item: Any) -> bool:
    """Whether dataclasses or namedtuple made a method, out of the fields."""
    code = getattr(getattr(item, "__func__", item), "__code__", None)
    is_special = name.startswith("__") and name.endswith("__")
    return is_special and (item is None or getattr(code, "co_filename", "") == "<string>")


def _is_private_to_enum(name: str) -> bool:
    return name.startswith("_") and name.endswith("_") and not name.startswith("__")


def parts_of_member(item: Any) -> list[Any]:
    """Return what a member of a class holds: its functions, if it is a method or a property."""
    match item:
        case staticmethod() | classmethod():
            return [item.__func__]
        case property():
            return [item.fget, item.fset, item.fdel]
        case functools.cached_property():
            return [item.func]
    return [item]


def is_python(kind: type) -> bool:
    """Whether a class was written in Python, so that its objects show what they hold."""
    return any("__dict__" in vars(each) or "__slots__" in vars(each) for each in kind.__mro__)


def attributes(value: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an object that were set on it, slots included, without caches."""
    kind = type(value)
    found: dict[str, Any] = {}
    for each in kind.__mro__:
        slots = vars(each).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = f"_{each.__name__.lstrip('_')}{name}"
            name = mangled if name.startswith("__") and not name.endswith("__") else name
            found[name] = getattr(value, name, _MISSING)
    own = getattr(value, "__dict__", {})
    found |= own if isinstance(own, dict) else {}
    names = sorted(
        name for name in found if not name.startswith("__") and not _is_cache(kind, name)
    )
    return [(name, found[name]) for name in names if found[name] is not _MISSING]


# What sparse arrays of SciPy find out about themselves when they are used.
_FOUND_OUT = frozenset({"_has_canonical_format", "_has_sorted_indices", "has_canonical_format"})


def _is_cache(kind: type, name: str) -> bool:
    is_found_out = name in _FOUND_OUT and origin.library(kind.__module__) == "scipy"
    return is_found_out or isinstance(getattr(kind, name, None), functools.cached_property)


def base_content(value: Any) -> Any:
    """Return the items of an object whose class extends a container, or its number or text."""
    match value:
        case dict():
            return dict(value)
        case list():
            return list(value)
        case tuple():
            return tuple(value)
        case set() | frozenset():
            return set(value)
        case np.ndarray() | np.generic():
            return np.asarray(value)
    for base in _SCALAR_BASES:
        if isinstance(value, base):
            return base(value)
    return None


def unwrapped(value: Any) -> Any:
    """Return the function that a jit, a cache, numba or a checker of types wraps, or the value.

    What a checker generates names its types by their addresses; it changes nothing but errors.
    """
    while (inner := _wrapped(value)) is not None:
        value = inner
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, (_CACHED, _JITTED)):
        return getattr(value, "__wrapped__", None)
    if isinstance(value, types.FunctionType):
        module = value.__globals__.get("__name__", "")
        is_checker = value.__code__.co_filename.startswith("<@beartype")
        if is_checker or module == "jaxtyping._decorator":
            return value.__dict__.get("__wrapped__")
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict) and callable(value):
        for name in ("py_func", "_pyfunc"):  # of numba's jit and cfunc
            if callable(own.get(name)):
                return own[name]
    return None


def contents(value: Any) -> list[Any] | None:
    """Return what counts of an object of a kind that also holds what does not, or None.

    Tables remember what was computed from them, signatures hold annotations.
    """
    match value:
        case functools.partial():
            return [value.func, value.args, value.keywords]
        case types.MethodType():
            return [value.__func__, value.__self__]
        case staticmethod() | classmethod() | property() | functools.cached_property():
            return parts_of_member(value)
        case inspect.Signature():
            return [(p.name, p.kind.name, p.default) for p in value.parameters.values()]
        case np.vectorize():
            return [value.pyfunc, value.otypes, value.signature, value.excluded]
        case pd.DataFrame():
            columns = [value.iloc[:, i] for i in range(value.shape[1])]
            pairs = [(each.dtype, each.to_numpy()) for each in columns]
            return [value.columns, value.index, pairs, value.attrs]
        case pd.Series():
            return [value.name, value.index, value.dtype, value.to_numpy(), value.attrs]
        case pd.Index():
            return [list(value.names), value.dtype, value.to_numpy()]
        case xr.Variable():
            # A lazy variable is told from others by the name of its graph.
            values = value.values if value.chunks is None else value.data.name
            return [value.dims, values, dict(value.attrs)]
        case xr.DataArray():
            return [value.name, value.variable, dict(value.coords.variables)]
        case xr.Dataset():
            return [dict(value.variables), sorted(map(str, value.coords)), dict(value.attrs)]
    return None


def library_contents(value: Any) -> list[tuple[str, Any]] | None:
    """Return what counts of an object of a library, by name, or None if it cannot be found out.

    That is what its class says is to be kept, if it says so, or else its attributes.
    """
    kind = type(value)
    for each in kind.__mro__:
        if (names := _ATTRIBUTES.get(f"{each.__module__}.{each.__name__}")) is not None:
            return [(name, getattr(value, name)) for name in names]
    is_said = getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None)
    return (_reduced(value) if is_said else None) or attributes(value) or _reduced(value)


# What tells objects from others whose own account holds addresses or uninitialized memory.
_ATTRIBUTES = {
    "pydantic._internal._decorators.Decorator": ("cls_var_name", "shim", "info"),
    "scipy.interpolate._fitpack2.UnivariateSpline": ("_eval_args", "ext"),
    "scipy.spatial._ckdtree.cKDTree": ("data", "leafsize", "boxsize"),
}


def _reduced(value: Any) -> list[tuple[str, Any]] | None:
    """Return what pickle would keep of an object, or None if it cannot."""
    try:
        registered = copyreg.dispatch_table.get(type(value))
        parts: Any = value.__reduce_ex__(4) if registered is None else registered(value)
    except Exception:  # whatever a library raises there
        return None
    if isinstance(parts, str):
        return [("name", parts)]
    make, args, *rest = parts
    found = [("make", make), ("args", args)]
    for i, each in enumerate(rest[:3]):
        if i == 0 and isinstance(each, dict) and all(isinstance(key, str) for key in each):
            found += sorted(each.items())
        else:
            found.append((f"state {i}", list(each) if isinstance(each, Iterator) else each))
    return found
