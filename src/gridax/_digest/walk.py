"""A walk over some values and everything that they refer to, which hashes it all.

Containers and arrays are hashed by content, in place. Functions, classes and other objects may
refer to each other in circles, and in long chains, so each gets a number when it is first met, by
which others refer to it, and is hashed later, in the order of the numbers.
"""

from __future__ import annotations

import collections
import enum
import hashlib
import io
import logging
import os
import random
import re
import socket
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from gridax._arrays import bytes_of, is_keys
from gridax._digest import origin
from gridax._digest.changes import Changes, Method
from gridax._digest.objects import (
    attributes,
    base_content,
    class_contents,
    contents,
    is_python,
    library_contents,
    parts_of_member,
    referenced,
    unwrapped,
)
from gridax._digest.syntax import syntax

# Enough to tell two values apart, and short enough to show.
_LENGTH = 16
# Containers within containers, since each level takes a few frames of Python's stack.
_DEEPEST = 60
# Sets within sets, whose items have to be put in order.
_DEEPEST_SETS = 3
# Functions, classes and other objects that one digest follows.
_MOST = 20_000

_SCALARS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range, slice)
# Objects that have no influence on what a model returns.
_IDLE = (logging.Logger, logging.Handler, type(threading.Lock()), type(threading.RLock()))
# NumPy's own random numbers, to which many objects of SciPy's refer.
_SHARED = getattr(np.random.mtrand, "_rand", None)
# Objects whose content is beyond reach, or changes whenever they are used.
_OPAQUE: tuple[type, ...] = (
    *(io.IOBase, socket.socket, types.GeneratorType, types.CoroutineType, random.Random),
    *(np.random.Generator, np.random.RandomState, np.random.BitGenerator, type(os.environ)),
)
# Arrays that their type does not tell from others of the same content.
_BARE = (np.ndarray, np.memmap)
# Packages whose objects show all that they are.
_SHOWN = ("jax", "jaxlib", "numpy", "typing")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Walk:
    """One pass over some values and all that they refer to.

    Parameters
    ----------
    changing : what the code among them changes itself, which does not count.
    level : number of walks around, each of which puts the items of a set in order.

    Attributes
    ----------
    unknown : names of objects without a digest, as the keys of a dict.
    libraries : versions of the installed packages that were met.
    functions, methods, instances : in which changes are looked for: functions by identity, methods,
        and objects.
    """

    def __init__(self, changing: Changes, level: int = 0) -> None:
        self._changing, self._level = changing, level
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # another object could get the id of one that is gone
        self._queue: collections.deque[tuple[Callable[[Any, str], Any], Any, str]]
        self._queue = collections.deque()
        self._open: list[int] = []  # containers that are being hashed
        self.unknown: dict[str, None] = {}
        self.libraries: dict[str, str] = {}
        self.functions: dict[int, types.FunctionType] = {}
        self.methods: list[Method] = []
        self.instances: list[Any] = []

    def digest(self, values: Mapping[str, Any]) -> str:
        """Return the digest of some values, given by the names that messages give them."""
        whole = hashlib.sha256()
        for name, value in values.items():
            whole.update(self._of(value, name))
        while self._queue:
            parts, value, name = self._queue.popleft()
            whole.update(self._attempted(parts, value, name))
        return whole.hexdigest()[:_LENGTH]

    def _of(self, value: Any, name: str) -> bytes:
        if type(value) in _SCALARS:
            return _hashed([f"{type(value).__name__} {value!r}".encode()])
        return self._attempted(self._content, value, name)

    def _attempted(self, parts: Callable[[Any, str], Any], value: Any, name: str) -> bytes:
        """Return the hash of what tells a value from others, if it can be looked into."""
        try:
            return _hashed(parts(value, name))
        except Exception:  # an object of anybody's may refuse to be iterated over, or to be read
            return self._no_digest(f"{name} ({type(value).__qualname__})")

    def _content(self, value: Any, name: str) -> Iterator[Any]:
        """Yield what tells a value from others, unless it is nested too deeply."""
        value = unwrapped(value)
        if id(value) in self._changing.filled and _may_hold_parameters(value):
            self._no_digest(f"{name} (which the model changes)")
        if id(value) in self._open:
            yield f"circle {len(self._open) - self._open.index(id(value))}".encode()
        elif len(self._open) >= _DEEPEST:
            yield self._no_digest(f"{name} (nested more than {_DEEPEST} levels deep)")
        else:
            self._open.append(id(value))
            try:
                yield from self._parts(value, name)
            finally:
                self._open.pop()

    def _no_digest(self, name: str) -> bytes:
        self.unknown[name] = None
        return b"no digest"

    def _node(self, parts: Callable[[Any, str], Any], value: Any, name: str) -> bytes:
        """Return the number of an object, whose own hash follows later."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._numbers)
            self._kept.append(value)
            if number < _MOST:
                self._queue.append((parts, value, name))
            else:
                self._no_digest(f"{name} (among more than {_MOST} objects)")
        return f"object {number}".encode()

    def _parts(self, value: Any, name: str) -> Iterator[Any]:
        """Yield what tells a value from others."""
        content = contents(value)
        is_own = origin.library_of(type(value)) is None and is_python(type(value))
        if isinstance(value, np.ndarray) or not is_own:
            if id(value) in self._changing.objects:
                yield b"changing"
                yield self._of(getattr(value, "default_factory", None), name)
                return
            value = self._changing.rest(value, value)
        if content is not None:
            yield f"{type(value).__name__} {len(content)}".encode()
            if is_own:
                yield self._of(type(value), type(value).__qualname__)
            yield from (self._of(each, name) for each in content)
        elif isinstance(value, (np.ndarray, np.generic, jax.Array)) and not is_own:
            yield from self._of_array(value, name)
        elif isinstance(value, type):
            if origin.library_of(value) is not None:
                yield from self._of_library(value.__module__, value.__qualname__)
            else:
                yield self._node(self._of_own_class, value, name)
        elif isinstance(value, types.FunctionType):
            if _is_of_library(value):
                yield from self._of_library_function(value)
            else:
                self.functions[id(value)] = value
                yield self._node(self._of_function, value, name)
        elif isinstance(value, types.ModuleType):
            if origin.library(value.__name__) is not None:
                yield from self._of_library(value.__name__, value.__name__)
            else:
                yield self._node(self._of_own_module, value, name)
        elif isinstance(value, _IDLE) or value is _SHARED:
            yield b"idle"
        elif isinstance(value, _OPAQUE) or type(value).__module__ in ("ctypes", "_ctypes"):
            yield self._no_digest(f"{name} ({type(value).__qualname__})")
        elif is_own:
            yield self._node(self._of_instance, value, name)
        else:
            yield from self._of_other(value, name)

    def _of_array(self, value: Any, name: str) -> Iterator[Any]:
        if isinstance(value, jax.core.Tracer):
            yield self._no_digest(f"{name} (a traced value)")
            return
        if is_keys(value):
            yield str(jax.random.key_impl(value)).encode()
            value = jax.random.key_data(value)
        if isinstance(value, np.ndarray) and type(value) not in _BARE:
            yield type(value).__qualname__.encode()
        if isinstance(value, np.ma.MaskedArray):
            yield self._of([np.ma.getmaskarray(value), value.fill_value], name)
        elif isinstance(value, np.ndarray) and origin.library_of(type(value)) != "numpy":
            yield from self._of_attributes(value, attributes(value), name)  # such as its unit
        array = np.asarray(value)
        yield f"{array.dtype} {array.shape}".encode()
        if array.dtype.hasobject or array.dtype.kind == "T":
            yield self._of(array.tolist(), name)
        elif array.dtype.names is not None:  # one by one, without the padding between them
            yield from (self._of(array[field], f"{name}[{field!r}]") for field in array.dtype.names)
        else:
            # A broadcast array has the size of its shape, but the content of one element.
            distinct = tuple(slice(None) if stride else slice(1) for stride in array.strides)
            yield bytes_of(array[distinct])

    def _of_library(self, module: str, name: str) -> Iterator[bytes]:
        package = origin.library(module) or module
        version = origin.version(package)
        if version is not None:
            self.libraries[package] = version
        yield f"{module}: {name}".encode()

    def _of_library_function(self, function: types.FunctionType) -> Iterator[bytes]:
        yield from self._of_library(function.__globals__.get("__name__", ""), function.__qualname__)

    def _of_own_class(self, value: type, name: str) -> Iterator[bytes]:
        yield f"class {value.__name__}".encode()
        for base in (type(value), *value.__bases__):
            yield self._of(base, base.__qualname__)
        for key, item in class_contents(value):
            if (id(value), key) not in self._changing.attributes:
                yield f"{key} {type(item).__name__}".encode()
                for part in parts_of_member(item):
                    is_setter = isinstance(item, property) and part is not item.fget
                    yield self._of_member(Method(value, key, unwrapped(part), is_setter))

    def _of_member(self, member: Method) -> bytes:
        name = f"{member.kind.__qualname__}.{member.name}"
        if not isinstance(member.function, types.FunctionType):
            return self._of(member.function, name)
        self.methods.append(member)
        return self._node(self._of_function, member.function, name)

    def _of_own_module(self, value: types.ModuleType, name: str) -> Iterator[bytes]:
        """Yield all of a module that is passed on as a whole."""
        yield from self._of_attributes(value, _own_items(value), name)

    def _of_attributes(
        self, value: Any, items: Iterable[tuple[str, Any]], name: str
    ) -> Iterator[bytes]:
        """Yield attributes of an object, except those that the code changes itself."""
        for key, item in items:
            if (id(value), key) not in self._changing.attributes:
                yield key.encode()
                yield self._of(item, f"{name}.{key}")
            elif (id(value), key) in self._changing.doubtful:
                self._no_digest(f"{name}.{key} (which the model may change)")

    def _of_function(self, function: types.FunctionType, name: str) -> Iterator[bytes]:
        if origin.is_library_code(function):
            yield from self._of_library_function(function)
        else:
            yield syntax(function.__code__)
        yield self._of([function.__defaults__, function.__kwdefaults__], name)
        yield from self._of_attributes(function, _own_items(function), name)
        for each in referenced(function, self._changing):
            yield each.label.encode()
            if each.package is not None:
                yield from self._of_library(each.package, each.label)
            elif each.problem is not None:
                yield self._no_digest(each.problem)
            else:
                yield self._of(each.value, each.label)

    def _of_instance(self, value: Any, name: str) -> Iterator[bytes]:
        """Yield the class, the attributes and, of a container, the items of a user's object."""
        self.instances.append(value)
        yield self._of(type(value), type(value).__qualname__)
        if isinstance(value, enum.Enum):
            yield value.name.encode()
            return
        yield from self._of_attributes(value, attributes(value), name)
        content = base_content(value)
        if content is not None and id(value) not in self._changing.objects:
            yield self._of(self._changing.rest(value, content), name)

    def _of_other(self, value: Any, name: str) -> Iterator[bytes]:
        """Yield the content of an object of Python's or a library's."""
        if isinstance(value, Mapping):
            yield f"{type(value).__name__} of {len(value)}".encode()
            if isinstance(value, collections.defaultdict):
                yield self._of(value.default_factory, f"{name}.default_factory")
            # Equal dicts may differ in the order of their keys.
            is_ordered = isinstance(value, collections.OrderedDict)
            pairs = list(value.items())
            for key, item in pairs if is_ordered else self._in_order(pairs, lambda pair: pair[0]):
                yield self._of(key, f"{name} key")
                yield self._of(item, f"{name}[{key!r}]" if type(key) in _SCALARS else f"{name}[…]")
        elif isinstance(value, (list, tuple, collections.deque)):
            yield f"{type(value).__name__} of {len(value)}".encode()
            if isinstance(value, collections.deque) and value.maxlen is not None:
                yield f"at most {value.maxlen}".encode()
            if all(type(item) in _SCALARS for item in value):  # quicker than one by one
                yield repr(list(value)).encode()
            else:
                for i, item in enumerate(value):
                    yield self._of(item, f"{name}[{i}]")
        elif isinstance(value, (set, frozenset)):
            yield type(value).__name__.encode()
            for item in self._in_order(list(value), lambda item: item):
                yield self._of(item, f"{name} item")
        elif isinstance(value, os.PathLike):
            yield f"path {os.fspath(value)}".encode()
        elif isinstance(value, enum.Enum):
            yield f"{type(value).__qualname__}.{value.name}".encode()
        elif isinstance(value, np.ufunc):
            if value.__name__.endswith("(vectorized)"):  # its function is hidden
                yield self._no_digest(f"{name} (a ufunc of np.frompyfunc)")
            yield from self._of_library("numpy", value.__name__)
        elif isinstance(value, types.BuiltinFunctionType) and _is_own_extension(value):
            yield self._no_digest(f"{name} (compiled code of {value.__module__})")
        elif isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
            if isinstance(value.__self__, types.ModuleType | type(None)):
                yield from self._of_library(str(value.__module__), value.__qualname__)
            else:
                yield value.__qualname__.encode()
                yield self._of(value.__self__, name)
        elif isinstance(value, _DESCRIPTORS):
            yield f"{value.__objclass__.__qualname__}.{value.__name__}".encode()
        else:
            yield self._node(self._of_library_instance, value, name)

    def _in_order(self, items: list[Any], key: Callable[[Any], Any]) -> list[Any]:
        """Return items in an order that is the same in every process.

        Digests take long, as each follows all that a key refers to.
        """
        shorts = [_short(key(item)) for item in items]
        n_like = collections.Counter(shorts)
        order = [
            (short, self._alone(key(item)) if n_like[short] > 1 else "")
            for short, item in zip(shorts, items, strict=True)
        ]
        return [items[i] for i in sorted(range(len(items)), key=order.__getitem__)]

    def _alone(self, value: Any) -> str:
        """Return the digest of an item by itself."""
        if type(value) in _SCALARS:
            return repr(value)
        if self._level >= _DEEPEST_SETS:
            return type(value).__qualname__
        return Walk(self._changing, self._level + 1).digest({"": value})

    def _of_library_instance(self, value: Any, name: str) -> Iterator[bytes]:
        if origin.is_member(value):
            yield from self._of_library(value.__module__, value.__qualname__)
            return
        self.instances.append(value)
        yield from self._of_library(type(value).__module__, type(value).__qualname__)
        content = library_contents(value)
        if content is None:
            is_shown = origin.library(type(value).__module__) in _SHOWN
            if is_shown and not _ADDRESS.search(repr(value)):
                yield repr(value).encode()
            else:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                yield self._no_digest(f"{name} ({kind})")
            return
        yield from self._of_attributes(value, content, name)


def _short(value: Any) -> str:
    """Return a text that tells most values apart, and is the same for equal ones."""
    if type(value) in _SCALARS:
        return repr(value)
    if type(value) in (tuple, frozenset):
        return str(sorted(map(_short, value)))
    kind = type(value).__qualname__
    if isinstance(value, enum.Enum):
        return f"{kind}.{value.name}"
    return str(getattr(value, "__qualname__", kind))


def _is_of_library(function: types.FunctionType) -> bool:
    """Whether a function is a library's and cannot hold anything of the user's."""
    if not origin.is_library_code(function):
        return False
    return "<locals>" not in function.__code__.co_qualname or origin.is_member(function)


def _own_items(value: Any) -> list[tuple[str, Any]]:
    """Return what a module or a function holds, without what Python itself puts there."""
    return [(key, item) for key, item in sorted(vars(value).items()) if not key.startswith("__")]


def _may_hold_parameters(container: Any) -> bool:
    """Whether a container that a model changes looks like its parameters, not like a cache."""
    if isinstance(container, Mapping):
        return any(isinstance(key, str) for key in container)
    return isinstance(container, (list, np.ndarray)) and len(container) > 0


_DESCRIPTORS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


def _is_own_extension(function: types.BuiltinFunctionType) -> bool:
    """Whether a function was compiled from another language, by the user."""
    module = getattr(function, "__module__", None)
    return module is not None and origin.library(module) is None


def _hashed(parts: Any) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()
