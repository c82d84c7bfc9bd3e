"""A model traced at one point: its outputs, its program, and the work in it."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax._kernel import Lookup, Program
from gridax._labels import is_keys
from gridax._layout import vectors_first
from gridax._template import Template, arrays_of, template_of
from gridax._work import Work, work_of
from gridax.execution._arguments import Arguments

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
    """

    template: Template
    program: Program
    constants: tuple[Any, ...]
    work: Work


def trace(model: Callable[..., Any], arguments: Arguments, choice: tuple[int, ...]) -> Traced:
    """Trace a model at one point, without computing anything.

    Raises
    ------
    Exception
        Whatever the model raises, with advice where JAX cannot trace it, and the choice named.
    """
    found: list[Template] = []

    def point(arrays: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        result = arguments.call(model, choice, arrays, values)
        found.append(template_of(result))
        return [jnp.asarray(array) for array in arrays_of(result)]

    try:
        closed, shapes = jax.make_jaxpr(point, return_shape=True)(*arguments.one_point())
    except Exception as error:
        advice = _advice(error)
        if advice is not None:
            error.add_note(advice)
        named = arguments.named(choice)
        where = f" with {named}" if named else ""
        error.add_note(f"while the model was traced for ParallelExecution{where}")
        raise
    outputs = tuple(
        dataclasses.replace(output, dtype=np.dtype(struct.dtype))
        for output, struct in zip(found[-1].outputs, shapes, strict=True)
    )
    jaxpr = vectors_first(closed.jaxpr)
    work = work_of(jaxpr, arguments.varies())
    baked = tuple(None if _is_large(constant) else constant for constant in closed.consts)
    program = Program(
        fingerprint=fingerprint(jaxpr, baked),
        lookups=tuple(Lookup(leaf.dim, leaf.by_row) for leaf in arguments.leaves),
        outputs=work.outputs,
        traced=jaxpr,
        constants=baked,
    )
    large = tuple(np.asarray(c) if not isinstance(c, jax.Array) else c for c in closed.consts)
    return Traced(
        template=dataclasses.replace(found[-1], outputs=outputs),
        program=program,
        constants=tuple(c for c, kept in zip(large, baked, strict=True) if kept is None),
        work=work,
    )


def _is_large(constant: Any) -> bool:
    return hasattr(constant, "nbytes") and not is_keys(constant) and constant.nbytes > _LARGE


def fingerprint(jaxpr: Any, constants: Sequence[Any] = ()) -> str:
    """Return a digest of what a traced program computes from its arguments.

    Constants that are None are arguments. Functions that the program calls back, and whatever else
    cannot be compared by what it says, count by their identity.
    """
    digest = hashlib.sha256()
    with np.printoptions(threshold=2**31):
        digest.update(str(jaxpr).encode())
    for constant in (*constants, *_inner(jaxpr)):
        if constant is None:
            digest.update(b"argument")
            continue
        array = np.asarray(jax.random.key_data(constant) if is_keys(constant) else constant)
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# How a function is differentiated is settled when it is traced.
_RULES = {"jvp_jaxpr_fun", "jvp_jaxpr_thunk", "fwd_jaxpr_thunk", "bwd", "out_trees"}


def _inner(jaxpr: Any) -> Iterator[Any]:
    """Yield constants within a program, and the places of what has no other identity."""
    for equation in jaxpr.eqns:
        for atom in equation.invars:
            if hasattr(atom, "val"):
                yield atom.val
        for name, value in equation.params.items():
            if name not in _RULES:
                yield from _of_param(value)


def _of_param(value: Any) -> Iterator[Any]:
    if hasattr(value, "eqns"):
        yield from getattr(value, "consts", ())
        yield from _inner(getattr(value, "jaxpr", value))
    elif isinstance(value, dict):
        yield from _of_param(tuple(value.items()))
    elif isinstance(value, (tuple, list, frozenset, set)):
        for each in value:
            yield from _of_param(each)
    elif isinstance(value, (np.ndarray, jax.Array)):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _of_param([getattr(value, f.name) for f in dataclasses.fields(value)])
    elif not _says_itself(value):
        yield id(value)


def _says_itself(value: Any) -> bool:
    """Whether equal text means an equal value: plain values, and JAX's own descriptions."""
    if isinstance(value, (type(None), bool, int, float, complex, str, bytes, type, enum.Enum)):
        return True
    return not callable(value) and type(value).__module__.partition(".")[0] in _DESCRIBED


_DESCRIBED = {"jax", "jaxlib", "numpy", "ml_dtypes"}

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
