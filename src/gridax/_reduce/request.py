"""What a user asks to be reduced, compared with what the model returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gridax._outputs.template import Output
from gridax._plan.cells import Cells
from gridax._reduce import methods
from gridax._reduce.methods import Function, Method, Quantiles
from gridax._text import listing


@dataclasses.dataclass(frozen=True)
class Reduced:
    """How one output is reduced.

    Attributes
    ----------
    output : number of the output.
    dims : numbers of the dimensions along which it is reduced, ascending.
    methods : what it is reduced to; the count is the last.
    """

    output: int
    dims: tuple[int, ...]
    methods: tuple[Method, ...]


@dataclasses.dataclass(frozen=True)
class Reduction:
    """How the outputs of a sweep are reduced.

    Equal ones share their compiled programs. Functions count by identity.

    Attributes
    ----------
    outputs : those that are reduced; no others are kept.
    cells : points that are reduced together.
    """

    outputs: tuple[Reduced, ...]
    cells: Cells

    @property
    def common(self) -> tuple[int, ...]:
        """Numbers of the dimensions along which all outputs are reduced."""
        return tuple(
            dim for dim in self.cells.reduced if all(dim in each.dims for each in self.outputs)
        )

    def own_dims(self, reduced: Reduced) -> tuple[int, ...]:
        """Return the dimensions that an output keeps within a cell, as others are reduced there."""
        inner = set(self.cells.reduced) - set(reduced.dims)
        return tuple(sorted(inner))

    @property
    def holds_functions(self) -> bool:
        """Whether functions of the user's are among the methods."""
        return any(isinstance(m, Function) for each in self.outputs for m in each.methods)


def requested(
    given: Any, outputs: Sequence[Output], dims: Sequence[str], sizes: Sequence[int]
) -> Reduction:
    """Return what is asked for, with undivided cells.

    Parameters
    ----------
    given : as ``reduce=`` of `Execution.run`.
    outputs : what the model returns.
    dims, sizes : of the space.

    Raises
    ------
    TypeError, ValueError
        If a dimension, an output or a reduction is unknown, or nothing is asked for.
    """
    by_output = _by_output(given, outputs, dims)
    numbers = {output.name: i for i, output in enumerate(outputs)}
    reduced = []
    for name, (along, wanted) in by_output.items():
        output = outputs[numbers[name]]
        _check_kind(output, wanted)
        at = tuple(sorted(dims.index(dim) for dim in along))
        reduced.append(Reduced(numbers[name], at, methods.completed(iter(wanted))))
    reduced.sort(key=lambda each: each.output)
    all_dims = sorted({dim for each in reduced for dim in each.dims})
    return Reduction(tuple(reduced), Cells(tuple(sizes), tuple(all_dims)))


_Wanted = tuple[tuple[str, ...], tuple[Method, ...]]


def _by_output(given: Any, outputs: Sequence[Output], dims: Sequence[str]) -> dict[str, _Wanted]:
    names = [output.name for output in outputs]
    example = f"reduce={{{dims[-1] if dims else 'trial'!r}: 'mean'}}"
    if not isinstance(given, Mapping):
        raise TypeError(
            f"reduce must be a mapping from dimensions to reductions, such as {example}, got "
            f"{given!r}"
        )
    if not given:
        raise ValueError(f"reduce is empty; name a dimension and a reduction: {example}")
    of_outputs = {key for key, value in given.items() if isinstance(value, Mapping)}
    if not of_outputs:
        return dict.fromkeys(names, _wanted(given, dims, names, "reduce"))
    if len(of_outputs) < len(given):
        (other, *_) = [key for key in given if key not in of_outputs]
        raise ValueError(
            f"reduce has a mapping for the output {next(iter(of_outputs))!r}, but none for "
            f"{other!r}; name either dimensions or outputs"
        )
    for name in given:
        if name not in names:
            kind = "is a dimension, not an output" if name in dims else "is no output"
            raise ValueError(f"reduce: {name!r} {kind}; the outputs are {names}")
    return {
        name: _wanted(each, dims, names, f"reduce, output {name!r}") for name, each in given.items()
    }


def _wanted(
    given: Mapping[Any, Any], dims: Sequence[str], names: Sequence[str], where: str
) -> _Wanted:
    """Return along which dimensions to reduce, and to what."""
    if not given:
        raise ValueError(f"{where}: nothing is asked for; name a dimension and a reduction")
    if len(given) > 1:
        raise ValueError(
            f"{where}: an output is reduced along one set of dimensions, but there are "
            f"{listing([repr(key) for key in given])}; to reduce along all of them together, pass "
            f"{{{tuple(dim for key in given for dim in _names(key))!r}: ...}}, or reduce the "
            "result along the others afterwards"
        )
    ((key, value),) = given.items()
    along = _names(key)
    for dim in along:
        if dim not in dims:
            advice = ""
            if dim in names:
                advice = f"; for an output alone, pass {{{dim!r}: {{dimension: reduction}}}}"
            raise ValueError(
                f"{where}: {dim!r} is not a dimension of the space; its dimensions are "
                f"{list(dims)}{advice}"
            )
    if not along or len(set(along)) < len(along):
        raise ValueError(f"{where}: name each dimension once, got {key!r}")
    several = isinstance(value, Sequence) and not isinstance(value, str)
    listed = [*value] if several else [value]
    if not listed:
        raise ValueError(f"{where}: no reduction along {key!r}; pass for instance 'mean'")
    found = tuple(methods.checked(each, where) for each in listed)
    texts = [methods.name_of(method) for method in found]
    for text in texts:
        if texts.count(text) > 1:
            raise ValueError(f"{where}: two reductions are named {text!r}; pass each once")
    taken = {name for name in texts if name in methods.NEEDS or name in ("quantile", "histogram")}
    for method in found:
        if isinstance(method, Function) and method.name in (*methods.NEEDS, *taken):
            raise ValueError(
                f"{where}: the name of the function {method.name!r} is already taken by a "
                "reduction; give it another name"
            )
    return along, found


def _names(key: Any) -> tuple[Any, ...]:
    return tuple(key) if isinstance(key, (tuple, list, frozenset)) else (key,)


def _check_kind(output: Output, wanted: Sequence[Method]) -> None:
    """Reject methods that the dtype of an output does not have."""
    if output.impl is not None:
        raise TypeError(
            f"reduce: output {output.name!r} has PRNG keys, which cannot be reduced; name the "
            "other outputs: reduce={output: {dimension: reduction}}"
        )
    for method in wanted:
        needs_order = isinstance(method, Quantiles | methods.Histogram)
        if output.dtype.kind == "c" and needs_order:
            raise TypeError(
                f"reduce: output {output.name!r} is complex, and complex numbers have no "
                f"{methods.name_of(method)}; return its parts, or its absolute value"
            )


def unmerged(reduction: Reduction) -> Iterator[tuple[Reduced, Method]]:
    """Yield the methods that need all values at a time."""
    for each in reduction.outputs:
        for method in each.methods:
            if isinstance(method, Quantiles | Function):
                yield each, method


def n_arrays(reduced: Reduced) -> int:
    """Return how many arrays are computed of an output: positions along each dimension, or one."""
    ends = sum(method in ("argmin", "argmax") for method in reduced.methods)
    return len(reduced.methods) + ends * (len(reduced.dims) - 1)
