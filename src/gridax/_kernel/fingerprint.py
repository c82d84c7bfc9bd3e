"""The digest of a traced program: in this process, and in every other one.

Text says which operations there are, and the values of constants count by their bytes. What has no
bytes, above all functions that are called back, counts by identity within a process, where a
compiled program may be used again only if it calls the very same function. In a store it counts by
what the function says.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import re
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from gridax._arrays import bytes_of, is_keys
from gridax._plan.programs import is_literal

# How a function is differentiated is settled when it is traced.
_RULES = frozenset({"jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "out_trees"})
# They print, and return nothing.
_PRINTING = frozenset({"debug_callback", "debug_print"})
# Attributes in which objects of JAX hold functions of a user.
_HOLDING = ("f", "rule", "callback_func", "__wrapped__")
# Types whose text says all there is.
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
# Objects at some address, which JAX may mask, and whose text may hold that of another one.
_ADDRESSED = re.compile(r"<[^<>\n]*(?:<[^<>\n]*>[^<>\n]*)* at 0x[0-9a-fA-FX]+>")
_SET = re.compile(r"frozenset\(\{([^{}]*)\}\)")
# Tokens of objects that no weak reference can point to.
_KEPT_TOKENS = 1024


def fingerprint(jaxpr: Any, constants: Sequence[Any] = ()) -> str:
    """Return a digest of what a traced program computes from its arguments, in this process.

    Constants that are None are arguments. JAX's own objects count by equality, functions that are
    called back by identity.
    """
    parts = [_token(part) for part in (*constants, *_inner(jaxpr, set(), _RULES))]
    return _hashed(str(jaxpr), parts)


def lasting_fingerprint(
    jaxpr: Any, constants: Sequence[Any], digest_of: Callable[[Any], str]
) -> str:
    """Return a digest of a traced program that is the same in every process.

    Parameters
    ----------
    jaxpr, constants : the program.
    digest_of : returns what tells a function from others, by what it says. It is asked about
        callbacks, and about custom rules of derivatives and of batches.
    """
    text = _SET.sub(lambda found: str(sorted(found[1].split(", "))), str(jaxpr))
    parts: list[Any] = []
    for part in (*constants, *_inner(jaxpr, set(), frozenset())):
        if part is None or _has_bytes(part) or isinstance(part, _Token):
            parts.append(part)
        else:
            parts += [_Token(digest_of(function)) for function in _users_own(part, set())]
    return _hashed(_ADDRESSED.sub("", text), parts)


def calls_back(jaxpr: Any) -> bool:
    """Whether a program holds functions or objects of the user's, which it keeps alive."""
    parts = (
        p for p in _inner(jaxpr, set(), _RULES) if not (_has_bytes(p) or isinstance(p, _Token))
    )
    return any(True for part in parts for _ in _users_own(part, set()))


class _Token(str):
    """Stands for a value that has no bytes."""


def _hashed(text: str, parts: Sequence[Any]) -> str:
    digest = hashlib.sha256(text.encode())
    for part in parts:
        if isinstance(part, _Token):
            digest.update(part.encode())
        elif part is None:
            digest.update(b"argument")
        else:
            array = np.asarray(jax.random.key_data(part) if is_keys(part) else part)
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(bytes_of(array).data)
    return digest.hexdigest()


def _has_bytes(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic, jax.Array, bool, int, float, complex)):
        return True
    return _is_of_jax(value) and hasattr(value, "__array__")  # a literal of older versions of JAX


def _inner(jaxpr: Any, seen: set[int], ignored: frozenset[str]) -> Iterator[Any]:
    """Yield the constants within a program, and all else of which text does not say enough."""
    if id(jaxpr) in seen:
        return
    seen.add(id(jaxpr))
    for equation in jaxpr.eqns:
        yield from _context(equation.ctx)
        for atom in equation.invars:
            if is_literal(atom):
                yield atom.val
        if equation.primitive.name not in _PRINTING or ignored:
            for name, value in equation.params.items():
                if name not in ignored:
                    yield from _of_param(value, seen, ignored)


def _context(context: Any) -> Iterator[_Token]:
    """Yield how an operation was set to be compiled, unless it is as by default."""
    if not context.threefry_partitionable:
        yield _Token("not partitionable")
    if context.compute_type or context.xla_metadata:
        yield _Token(f"{context.compute_type} {context.xla_metadata}")


def _of_param(value: Any, seen: set[int], ignored: frozenset[str]) -> Iterator[Any]:
    if type(value) in _PLAIN:
        return
    if hasattr(value, "eqns"):
        yield from getattr(value, "consts", ())
        yield from _inner(getattr(value, "jaxpr", value), seen, ignored)
    elif type(value) in (tuple, list):
        for each in value:
            yield from _of_param(each, seen, ignored)
    elif type(value) is dict:
        yield from _of_param(list(value.items()), seen, ignored)
    elif isinstance(value, (np.ndarray, jax.Array)):
        yield value
    elif _is_of_jax(value) and isinstance(value, tuple):
        yield from _of_param(list(value), seen, ignored)
    elif _is_of_jax(value) and dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        yield from _of_param([getattr(value, field.name) for field in fields], seen, ignored)
    else:
        yield value


def _is_of_jax(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib", "numpy", "ml_dtypes")


def _users_own(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the functions and objects that a user has put into one of JAX's.

    JAX wraps rules in functions and objects of its own, one within another.
    """
    if id(value) in seen or type(value) in _PLAIN or isinstance(value, (type, types.ModuleType)):
        return
    seen.add(id(value))
    if isinstance(value, types.FunctionType):
        if (value.__module__ or "").partition(".")[0] not in ("jax", "jaxlib"):
            yield value
            return
        inner = [getattr(cell, "cell_contents", None) for cell in value.__closure__ or ()]
    elif type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
        inner = [getattr(value, name, None) for name in _HOLDING]
    else:
        if callable(value) or not _is_of_jax(value):
            yield value
        return
    for each in inner:
        if callable(each) or _is_of_jax(each):
            yield from _users_own(each, seen)


# Numbers of objects, by identity as long as they live, and of JAX's own by equality.
_by_identity: dict[int, tuple[Any, _Token]] = {}
_by_equality: collections.OrderedDict[Any, _Token] = collections.OrderedDict()
_numbers = itertools.count()


def _token(value: Any) -> Any:
    """Return the same token for what JAX holds equal, and for the same object of anybody else's."""
    if value is None or _has_bytes(value) or isinstance(value, _Token):
        return value
    by_identity: Any = object.__hash__
    if not _is_of_jax(value) or type(value).__hash__ is by_identity:
        return _token_of_object(value)
    try:
        known = _by_equality.get((type(value), value))
    except TypeError:  # it has no hash
        return _token_of_object(value)
    if known is None:
        known = _by_equality[type(value), value] = _Token(f"token {next(_numbers)}")
        while len(_by_equality) > _KEPT_TOKENS:  # the next one gets a new number, not a wrong one
            _by_equality.popitem(last=False)
    return known


def _token_of_object(value: Any) -> _Token:
    place = id(value)
    known = _by_identity.get(place)
    if known is not None:
        return known[1]
    token = _Token(f"token {next(_numbers)}")
    try:
        # When the object is gone, another one may get its place.
        reference: Any = weakref.ref(value, lambda _: _by_identity.pop(place, None))
    except TypeError:
        return token  # never the same as another, at worst compiled again
    _by_identity[place] = (reference, token)
    return token
