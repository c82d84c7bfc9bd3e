"""Digests of what a user hands in, the same in every process: values by content, code by text."""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import os
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from gridax._arrays import is_keys

# Enough to tell two values apart, and short enough to show.
_LENGTH = 16
# Where Python keeps what is not the user's own.
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def digest(*values: Any) -> str:
    """Return a short digest of some values.

    Numbers, strings, paths, members of enums and arrays count by type and content, containers by
    what they hold, functions by their source and the constants and functions it refers to, other
    objects by the source of their type, their fields, and the constants among their attributes.

    Examples
    --------
    >>> digest(1.0) == digest(1.0), digest(1.0) == digest(1), digest("a", [2]) == digest("a", [3])
    (True, False, False)
    """
    found = hashlib.sha256()
    seen: dict[int, Any] = {}
    for value in values:
        for part in _parts(value, seen):
            found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:_LENGTH]


def _parts(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        yield f"{type(value).__name__} {value!r}".encode()
    elif is_keys(value):
        yield str(jax.random.key_impl(value)).encode()
        yield from _parts(np.asarray(jax.random.key_data(value)), seen)
    elif isinstance(value, (np.ndarray, np.generic, jax.Array)):
        array = np.asarray(value)
        yield f"{array.dtype} {array.shape}".encode()
        plain = array.dtype.kind not in "OT"
        yield np.ascontiguousarray(array).tobytes() if plain else repr(array.tolist()).encode()
    elif id(value) in seen:
        yield f"seen before, as number {list(seen).index(id(value))}".encode()
    else:
        seen[id(value)] = value  # kept, as another object may get the id of one that is gone
        yield from _of_object(value, seen)


def _of_object(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        yield f"mapping of {len(value)}".encode()
        for key, item in value.items():
            yield from _parts(key, seen)
            yield from _parts(item, seen)
    elif isinstance(value, (list, tuple)):
        yield f"{type(value).__name__} of {len(value)}".encode()
        for item in value:
            yield from _parts(item, seen)
    elif isinstance(value, (set, frozenset)):
        yield type(value).__name__.encode()
        yield from sorted(digest(item).encode() for item in value)
    elif isinstance(value, functools.partial):
        yield from _parts([value.func, value.args, value.keywords], seen)
    elif isinstance(value, types.MethodType):
        yield from _parts([value.__func__, value.__self__], seen)
    elif hasattr(value, "__wrapped__"):  # of a jit, for one
        yield from _parts(value.__wrapped__, seen)
    elif isinstance(value, types.FunctionType):
        yield from _of_function(value, seen)
    elif isinstance(value, type):
        yield _source(value)
    elif isinstance(value, enum.Enum):
        yield f"{type(value).__qualname__}.{value.name}".encode()
    elif isinstance(value, os.PathLike):
        yield f"path {os.fspath(value)}".encode()
    else:
        yield from _of_other(value, seen)


def _of_other(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    yield _source(type(value))
    if dataclasses.is_dataclass(value):
        attributes = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    else:
        attributes = {k: v for k, v in getattr(value, "__dict__", {}).items() if _is_constant(v)}
    changing = set(_changed(type(value)))
    for name, item in sorted(attributes.items()):
        if name not in changing:
            yield name.encode()
            yield from _parts(item, seen)


def _changed(kind: type) -> Iterator[str]:
    """Yield the attributes that methods of a class write, such as counters."""
    for method in vars(kind).values():
        code = getattr(method, "__code__", None)
        if code is not None and method.__name__ not in ("__init__", "__post_init__"):
            yield from (s.argval for s in dis.get_instructions(code) if s.opname == "STORE_ATTR")


def _of_function(function: types.FunctionType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield _source(function)
    yield from _parts([function.__defaults__, function.__kwdefaults__], seen)
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
    named = {name: _content(cell) for name, cell in cells}
    read, written = set(_names(code, "LOAD")), set(_names(code, "STORE"))
    named |= {name: value for name, value in function.__globals__.items() if name in read}
    for name, value in sorted(named.items()):
        if name not in written and _counts(value, function):
            yield name.encode()
            yield from _parts(value, seen)


def _names(code: types.CodeType, what: str) -> Iterator[str]:
    """Yield the names from outside that some code and the functions within it read or write."""
    for step in dis.get_instructions(code):
        if step.opname.startswith(what) and step.opname.endswith(("_GLOBAL", "_DEREF")):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant, what)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _counts(value: Any, function: types.FunctionType) -> bool:
    """Whether what a function refers to is a part of it: its own helpers, and constants.

    Lists, dicts and flags are what programs count calls with, or change while they run.
    """
    if isinstance(value, types.FunctionType):
        return not value.__code__.co_filename.startswith(_LIBRARIES)
    return _is_constant(value) or isinstance(value, functools.partial)


def _is_constant(value: Any) -> bool:
    constant = (int, float, complex, str, bytes, np.ndarray, np.generic, jax.Array)
    return isinstance(value, constant) and not isinstance(value, bool)


def _source(thing: Callable[..., Any] | type) -> bytes:
    code = getattr(thing, "__code__", None)
    if getattr(thing, "__name__", "") == "<lambda>" and code is not None:
        return _of_code(code)  # its lines hold other things, too, such as the call of `run`
    try:
        return textwrap.dedent(inspect.getsource(thing)).encode()
    except (OSError, TypeError):  # built in, or typed into a console
        text = f"{thing.__module__}.{thing.__qualname__}"
        return text.encode() if code is None else _of_code(code)


def _of_code(code: types.CodeType) -> bytes:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    plain = [c for c in code.co_consts if not isinstance(c, types.CodeType)]
    # A set has another order in every process.
    shown = [sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c) for c in plain]
    told = repr((code.co_names, code.co_freevars, shown)).encode()
    return code.co_code + told + b"".join(map(_of_code, inner))
