"""A model traced at one point: its outputs, its program, and the work in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridax import _devices
from gridax._arrays import is_keys
from gridax._kernel.arguments import Arguments
from gridax._kernel.chain import ChainProgram
from gridax._kernel.derivatives import Directions
from gridax._kernel.fingerprint import calls_back, fingerprint
from gridax._kernel.layout import vectors_first, with_own_constants
from gridax._kernel.loops import with_single_conditions
from gridax._kernel.ordering import one_at_a_time
from gridax._kernel.points_last import Fit, fit
from gridax._kernel.program import Lookup, Program
from gridax._kernel.small_products import with_small_products
from gridax._kernel.split import Split, Unsplit, split
from gridax._kernel.start import Start
from gridax._outputs.derivatives import with_derivatives
from gridax._outputs.template import Template, arrays_of, template_of
from gridax._plan.work import Dims, Work, dims_of_outputs, may_wait, work_of

# Constants of a model above this size are arguments of the compiled program: nothing compiles again
# when they change. XLA folds smaller ones, such as indices, into the code.
_LARGE = 4096
# Why points cannot leave a loop one by one.
_IN_CHAINS = "the points of a chain follow each other"


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """What a trace of a model at one point shows.

    Attributes
    ----------
    template : the outputs.
    program : what one point computes.
    constants : large arrays that the model reads from outside; the first fixed arrays of `program`.
    work : the work of one point.
    last : whether points should come last in its loops.
    original : the program as the model was written.
    """

    template: Template
    program: Program
    constants: tuple[Any, ...]
    work: Work
    last: Fit
    original: Any


def trace(model: Callable[..., Any], arguments: Arguments, choice: tuple[int, ...]) -> Traced:
    """Trace a model at one point, without computing anything.

    Raises
    ------
    Exception
        Whatever the model raises, with a note that names the choice, and with advice where JAX
        cannot trace the model.
    """
    templates: list[Template] = []
    start: Start | None = None

    # Within a jit around the model, constants could not be told from the program.
    bare = getattr(model, "__wrapped__", model) if is_jitted(model) else model

    def point(arrays: Sequence[Any], values: Sequence[Any], carried: Sequence[Any]) -> list[Any]:
        trees = None if start is None else start.trees(carried)
        result = arguments.call(bare, choice, arrays, values, trees)
        templates.append(template_of(result))
        return [jnp.asarray(array) for array in arrays_of(result)]

    try:
        inputs = arguments.one_point()
        if arguments.points.chain is not None:
            start = Start(arguments, choice)
        shapes_of = () if start is None else start.shapes
        closed, shapes = jax.make_jaxpr(point, return_shape=True)(*inputs, shapes_of)
        if start is not None and start.adopt(_with_dtypes(templates[-1], shapes)):
            closed, shapes = jax.make_jaxpr(point, return_shape=True)(*inputs, start.shapes)
        closed = with_single_conditions(closed)
    except Exception as error:
        if start is not None:
            start.note(error)
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
    template = _with_dtypes(templates[-1], shapes)
    numbers = () if start is None else start.numbers(template)
    directions = None
    if arguments.directions:
        directions = _directions(arguments, 0 if start is None else len(start.shapes))
        closed = directions.of_point(vectors_first(closed), template)
        numbers = directions.numbers(numbers, template)
        template = _derived(template, arguments, choice)
    original = with_own_constants(closed)
    closed = vectors_first(original)
    if _on_cpu():
        closed = with_small_products(closed)
    varies = arguments.varies()
    chain = None
    if start is not None:
        chain = _chain(start, arguments, closed, numbers, directions)
        varies += [dims | {chain.dim} for dims in chain.dims]
    closed = _ordered(closed, varies)
    work = work_of(closed.jaxpr, varies)
    if chain is not None:
        work.waits |= any(map(may_wait, chain.initial.jaxpr.eqns))
    if chain is None:
        in_parts = _in_parts(closed, arguments, work)
    else:
        in_parts, work.no_lanes = None, _IN_CHAINS if work.uneven else ""
    baked = tuple(None if _is_large(constant) else constant for constant in closed.consts)
    program = Program(
        fingerprint=fingerprint(closed.jaxpr, baked),
        lookups=tuple(Lookup(leaf.dim, leaf.by_row) for leaf in arguments.leaves),
        outputs=work.outputs,
        traced=closed.jaxpr,
        constants=baked,
        calls_back=calls_back(closed.jaxpr),
        split=in_parts,
        chain=chain,
    )
    return Traced(
        template=template,
        program=program,
        constants=tuple(filter(_is_large, closed.consts)),
        work=work,
        last=fit(closed.jaxpr, varies) if _on_cpu() else Fit(),
        original=original,
    )


def _ordered(closed: Any, varies: Sequence[Dims]) -> Any:
    """Return a program whose routines do not wait for each other on a CPU."""
    return one_at_a_time(closed, varies) if _on_cpu() else closed


def _on_cpu() -> bool:
    return _devices.devices()[0].platform == "cpu"


def _with_dtypes(template: Template, shapes: Sequence[Any]) -> Template:
    """Return a template with the dtypes of traced outputs."""
    outputs = tuple(
        dataclasses.replace(output, dtype=np.dtype(struct.dtype))
        for output, struct in zip(template.outputs, shapes, strict=True)
    )
    return dataclasses.replace(template, outputs=outputs)


def _derived(template: Template, arguments: Arguments, choice: tuple[int, ...]) -> Template:
    """Return a template with derivatives."""
    try:
        return with_derivatives(template, dict(arguments.directions.values()))
    except ValueError as error:
        if named := arguments.named(choice):
            error.add_note(f"while the model was traced with {named}")
        raise


def _directions(arguments: Arguments, n_carried: int) -> Directions:
    """Return the inputs of a point with respect to which its outputs are differentiated."""
    n_fixed, chain = len(arguments.arrays), arguments.points.chain
    along = None if chain is None else chain.dim
    return Directions(
        tuple(n_fixed + i for i in arguments.directions),
        n_carried,
        tuple(
            k
            for k, i in enumerate(arguments.directions)
            if along is None or arguments.leaves[i].dim != along
        ),
    )


def _chain(
    start: Start,
    arguments: Arguments,
    closed: Any,
    numbers: tuple[int, ...],
    directions: Directions | None,
) -> ChainProgram:
    """Return what is carried, and along which dimensions that varies."""
    assert arguments.points.chain is not None
    dim, varies = arguments.points.chain.dim, arguments.varies()
    initial = with_single_conditions(jax.make_jaxpr(start.arrays)(*arguments.one_point()))
    if directions is not None:
        initial = directions.of_start(initial)
    initial = _ordered(with_own_constants(initial), varies)
    dims = [each - {dim} for each in dims_of_outputs(initial.jaxpr, varies)]
    while True:
        outputs = dims_of_outputs(closed.jaxpr, [*varies, *(each | {dim} for each in dims)])
        grown = [each | (outputs[k] - {dim}) for each, k in zip(dims, numbers, strict=True)]
        if grown == dims:
            break
        dims = grown
    code = fingerprint(initial.jaxpr, initial.consts)
    return ChainProgram(code, dim, numbers, tuple(dims), initial)


def _in_parts(closed: Any, arguments: Arguments, work: Work) -> Split | None:
    """Split a program at a loop that points leave at different iterations; note it in `work`."""
    if not work.uneven:
        return None
    try:
        in_parts = split(closed, arguments.varies())
    except Unsplit as why:
        work.no_lanes = str(why)
        return None
    work.lanes = in_parts.dims
    return in_parts


def is_jitted(model: Callable[..., Any]) -> bool:
    """Whether a model is a function that was transformed by `jax.jit`."""
    return isinstance(model, jax.stages.Wrapped)


def _is_large(constant: Any) -> bool:
    return hasattr(constant, "nbytes") and not is_keys(constant) and constant.nbytes > _LARGE


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
