"""A model traced at one point: its outputs, its program, and the work in it."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._axes.labels import is_keys
from gridax._kernel.arguments import Arguments
from gridax._kernel.layout import vectors_first
from gridax._kernel.program import Lookup, Program
from gridax._outputs.template import Template, arrays_of, template_of
from gridax._plan.work import Work, work_of

# Constants of a model above this size are arguments of the compiled program: nothing compiles again
# when they change. XLA folds smaller ones, such as indices, into the code.
_LARGE = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """What a trace of a model at one point tells.

    Attributes
    ----------
    template : the outputs.
    program : what one point computes.
    constants : large arrays that the model reads from outside; the first fixed arrays of `program`.
    work : the work of one point.
    original : the program before it was rewritten.
    """

    template: Template
    program: Program
    constants: tuple[Any, ...]
    work: Work
    original: Any


def trace(model: Callable[..., Any], arguments: Arguments, choice: tuple[int, ...]) -> Traced:
    """Trace a model at one point, without computing anything.

    Raises
    ------
    Exception
        Whatever the model raises, with advice where JAX cannot trace it, and the choice named.
    """
    found: list[Template] = []

    # What a jit around the model holds would be out of reach of what follows.
    bare = getattr(model, "__wrapped__", model) if is_jitted(model) else model

    def point(arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        result = arguments.call(bare, choice, arrays, values)
        found.append(template_of(result))
        return [jnp.asarray(array) for array in arrays_of(result)]

    try:
        closed, shapes = jax.make_jaxpr(point, return_shape=True)(*arguments.one_point())
    except Exception as error:
        advice = _advice(error)
        if advice is not None:
            error.add_note(advice)
        if isinstance(error, (TypeError, ValueError)) and (foreign := arguments.foreign()):
            error.add_note(
                f"the state or the arguments have {foreign}, with which JAX cannot compute: pass "
                "plain arrays (.to_numpy(), .magnitude, .filled()), or convert them in the model"
            )
        named = arguments.named(choice)
        where = f" with {named}" if named else ""
        error.add_note(f"while the model was traced{where}")
        raise
    outputs = tuple(
        dataclasses.replace(output, dtype=np.dtype(struct.dtype))
        for output, struct in zip(found[-1].outputs, shapes, strict=True)
    )
    original, closed = closed, vectors_first(closed)
    work = work_of(closed.jaxpr, arguments.varies())
    baked = tuple(None if _is_large(constant) else constant for constant in closed.consts)
    program = Program(
        fingerprint=fingerprint(closed.jaxpr, baked),
        lookups=tuple(Lookup(leaf.dim, leaf.by_row) for leaf in arguments.leaves),
        outputs=work.outputs,
        traced=closed.jaxpr,
        constants=baked,
    )
    return Traced(
        template=dataclasses.replace(found[-1], outputs=outputs),
        program=program,
        constants=tuple(filter(_is_large, closed.consts)),
        work=work,
        original=original,
    )


def is_jitted(model: Callable[..., Any]) -> bool:
    """Whether a model is a function that was transformed by `jax.jit`."""
    return isinstance(model, jax.stages.Wrapped)


def _is_large(constant: Any) -> bool:
    return hasattr(constant, "nbytes") and not is_keys(constant) and constant.nbytes > _LARGE


def lasting(traced: Traced) -> str:
    """Return a digest of a program that other processes find, too."""
    return fingerprint(traced.original.jaxpr, traced.original.consts, lasting=True)


# Places in memory, in the text of a program.
_PLACE = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(jaxpr: Any, constants: Sequence[Any] = (), lasting: bool = False) -> str:
    """Return a digest of what a traced program computes from its arguments.

    Constants that are None are arguments. Text says which operations there are; the values of
    constants count by their bytes, JAX's own objects by equality, and all else, such as functions
    that are called back, by identity, or, if the digest shall last, by what the text says.
    """
    text = str(jaxpr)
    digest = hashlib.sha256((_PLACE.sub("", text) if lasting else text).encode())
    for part in (*constants, *_inner(jaxpr, set())):
        if isinstance(part, _Token):
            digest.update(b"" if lasting else str(part).encode())
        elif part is None:
            digest.update(b"argument")
        else:
            array = np.asarray(jax.random.key_data(part) if is_keys(part) else part)
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class _Token(str):
    """Stands for a value that has no bytes."""


# How a function is differentiated is settled when it is traced.
_RULES = {"jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "out_trees"}
# Types whose text says all there is.
_PLAIN = {type(None), bool, int, float, complex, str, bytes}


def _inner(jaxpr: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the constants within a program, and tokens of what has no bytes."""
    if id(jaxpr) in seen:
        return
    seen.add(id(jaxpr))
    for equation in jaxpr.eqns:
        for atom in equation.invars:
            if hasattr(atom, "val"):
                yield atom.val
        for name, value in equation.params.items():
            if name not in _RULES:
                yield from _of_param(value, seen)


def _of_param(value: Any, seen: set[int]) -> Iterator[Any]:
    if type(value) in _PLAIN:
        return
    if hasattr(value, "eqns"):
        yield from getattr(value, "consts", ())
        yield from _inner(getattr(value, "jaxpr", value), seen)
    elif type(value) in (tuple, list):
        for each in value:
            yield from _of_param(each, seen)
    elif type(value) is dict:
        yield from _of_param(list(value.items()), seen)
    elif isinstance(value, (np.ndarray, jax.Array)):
        yield value
    elif _is_of_jax(value) and isinstance(value, tuple):
        yield from _of_param(list(value), seen)
    elif _is_of_jax(value) and dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        yield from _of_param([getattr(value, field.name) for field in fields], seen)
    else:
        yield _token(value)


def _is_of_jax(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib", "numpy", "ml_dtypes")


_tokens: collections.OrderedDict[Any, _Token] = collections.OrderedDict()
_numbers = itertools.count()


def _token(value: Any) -> _Token:
    """Return the same token for what JAX holds equal, and for the same object of anybody else's."""
    try:
        key: Any = (type(value), value) if _is_of_jax(value) else _Same(value)
        hash(key)
    except TypeError:
        key = _Same(value)
    if key not in _tokens:
        _tokens[key] = _Token(f"token {next(_numbers)}")
        while len(_tokens) > 1024:  # forgotten, not mistaken: the next one gets another number
            _tokens.popitem(last=False)
    return _tokens[key]


class _Same:
    """Equal to what holds the very same object, which it keeps alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


_CONCRETE = (
    jax.errors.ConcretizationTypeError,  # of which a branch on a traced value is one
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerIntegerConversionError,
)


def _advice(error: BaseException) -> str | None:
    """Say what to do about a model that JAX cannot trace."""
    if isinstance(error, jax.errors.TracerArrayConversionError):
        return (
            "the model calls NumPy on a traced value: use jax.numpy in it (but NumPy for the "
            "coordinates of xarray objects), or run it with SequentialExecution"
        )
    of_shape = isinstance(error, TypeError) and "concrete values" in str(error)  # a plain TypeError
    if of_shape or isinstance(error, _CONCRETE) or isinstance(error.__cause__, _CONCRETE):
        return (
            "the model needs the number behind a traced value, for a branch, a loop, a shape, "
            "Python's math or an entry of a NumPy array: use jnp.where, jax.lax.cond, "
            "jax.lax.fori_loop or jax.numpy, make the value a ChoiceAxis or, if it is fixed, a "
            "plain number, or run the model with SequentialExecution"
        )
    return None
