"""From what is stored of cells to the variables of a result: parts are merged in their order."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._files.positions import positions
from gridax._outputs.template import Output
from gridax._plan.cells import Cells, Cut
from gridax._plan.progress import Progress
from gridax._reduce.methods import NEEDS
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.variables import FAILED
from gridax._stores.base import DONE, ERROR, PENDING, STATUS
from gridax._stores.base import FAILED as HAS_FAILED

if TYPE_CHECKING:
    from gridax._files.zarr import OpenedStore

# The attribute of a Dataset that says how it was reduced.
ATTRIBUTE = "gridax_reduced"
# A hostile file could name any number.
_MOST_PARTS = 2**24
# What the dimension of the parts of a dimension is called in a store.
PART = "_part"


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a file says about how a result was reduced.

    Attributes
    ----------
    kept : dimensions of the space that the result has.
    parts : dimensions of the parts that are still to be merged.
    variables : source, method and dtype by name.
    cells : the points that are reduced together.
    outputs : what the model returns.
    """

    kept: tuple[str, ...]
    parts: tuple[str, ...]
    variables: Mapping[str, tuple[str, str, str]]
    cells: Cells
    outputs: tuple[Output, ...]

    @classmethod
    def of(cls, kept: Sequence[str], dims: Sequence[str], reduced: ReducedOutputs) -> Summary:
        """Return the summary of reduced outputs, given the dimensions that are kept, and all."""
        found = reduced.variables
        about = {v.output.name: (v.source, v.method, str(v.output.dtype)) for v in found}
        cuts = reduced.cells.cuts
        parts = tuple(f"{dims[cut.dim]}{PART}" for cut in cuts)
        return cls(tuple(kept), parts, about, reduced.cells, reduced.outputs)

    @classmethod
    def read(cls, attrs: Mapping[str, Any]) -> Summary | None:
        """Return the summary among the attributes of a Dataset, if its outputs were reduced.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        if ATTRIBUTE not in attrs:
            return None
        try:
            told = json.loads(attrs[ATTRIBUTE])
            variables = {str(n): tuple(map(str, told["variables"][n])) for n in told["variables"]}
            if not all(len(each) == 3 for each in variables.values()):
                raise ValueError("a variable has no method")
            kept, parts = (tuple(map(str, told[each])) for each in ("kept", "parts"))
            sizes, inner = (tuple(map(int, told[each])) for each in ("sizes", "reduced"))
            cuts = tuple(map(_read_cut, told["cuts"]))
            if not {cut.dim for cut in cuts} <= set(inner) <= set(range(len(sizes))):
                raise ValueError("a dimension is unknown")
            cells = Cells(sizes, inner, cuts)
            outputs = tuple(map(_read_output, told["outputs"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"its attribute {ATTRIBUTE!r} is damaged ({error})") from error
        return cls(kept, parts, variables, cells, outputs)  # type: ignore[arg-type]

    def json(self, merged: bool) -> str:
        """Return the summary as JSON, of cells or of what was merged."""
        return json.dumps(
            {
                "kept": self.kept,
                "parts": () if merged else self.parts,
                "variables": self.variables,
                "sizes": self.cells.sizes,
                "reduced": self.cells.reduced,
                "cuts": [dataclasses.astuple(cut) for cut in self.cells.cuts],
                "outputs": [_output_json(output) for output in self.outputs],
            }
        )


def _read_cut(told: Sequence[Any]) -> Cut:
    dim, size, length, n_known, order = told
    first = None if order is None else tuple(map(int, order))
    cut = Cut(int(dim), int(size), int(length), int(n_known), first)
    if not 0 < cut.length <= cut.size <= cut.length * _MOST_PARTS:
        raise ValueError(f"a dimension of size {size} has parts of {length}")
    return cut


def _output_json(output: Output) -> dict[str, Any]:
    plain = {k: v for k, v in output.attrs.items() if isinstance(v, (str, int, float))}
    told = {"name": output.name, "shape": output.shape, "dtype": str(output.dtype)}
    return {**told, "dims": output.dims, "attrs": plain}


def _read_output(told: Mapping[str, Any]) -> Output:
    shape = tuple(int(size) for size in told["shape"])
    dims, dtype = tuple(map(str, told["dims"])), jnp.dtype(str(told["dtype"]))
    return Output(str(told["name"]), shape, dtype, dims, dict(told["attrs"]))


def stored_outputs(summary: Summary, opened: OpenedStore) -> tuple[Output, ...]:
    """Return what the store of a reduced run keeps of each cell."""
    found = []
    for name in (*summary.variables, FAILED):
        array = opened.header.arrays[opened.names[name]]
        n_grid = len(opened.header.arrays[STATUS].shape)
        found.append(Output(name, array.shape[n_grid:], array.dtype, array.dims[n_grid:]))
    return tuple(found)


def merged(
    stored: xr.Dataset, summary: Summary, is_complete: bool, axes: Mapping[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Return the variables of a result, without computing those that are lazy.

    Parameters
    ----------
    stored : what is stored of each cell, with their states.
    summary : of these.
    is_complete : whether all points are done.
    axes : labels of the axes of the space by name, along its dimensions.

    Returns
    -------
    dict of Variable
        With the status of each point, the number of points that failed, and the messages, unless
        all points are done.
    """
    variables, status = stored.variables, stored.variables[STATUS]
    if status.shape != summary.cells.shape:
        raise ValueError(f"it has {status.shape} cells, but describes {summary.cells.shape}")
    has_pending = not is_complete and bool((status == PENDING).any())
    found = {}
    for name, (_, _, dtype) in summary.variables.items():
        if is_complete and not summary.parts:
            variable = variables[name]
        else:
            needed = {each: variables[each] for each in _needed(name, summary)}
            methods = [summary.variables[each][1] for each in needed]
            given = [*needed.values()]
            if summary.parts and methods[-1] in ("argmin", "argmax"):
                methods.insert(-1, _POSITION)
                given.insert(-1, _positions(name, summary, variables, axes))
            variable = _from_parts(methods, given, status, summary.parts, is_complete, has_pending)
        wanted = _dtype(dtype)
        is_alike = jnp.issubdtype(variable.dtype, jnp.inexact) == jnp.issubdtype(
            wanted, jnp.inexact
        )
        if is_complete or is_alike:
            variable = variable.astype(wanted, copy=False)
        variable.attrs = dict(variables[name].attrs)
        found[name] = _arranged(variable, summary.kept)
    return found if is_complete else found | _states(stored, summary)


def _needed(name: str, summary: Summary) -> list[str]:
    """Return the variables that merging one takes; it is the last of them."""
    source, method, _ = summary.variables[name]
    names = {each[1]: n for n, each in summary.variables.items() if each[0] == source}
    before = [names[each] for each in ("count", *NEEDS.get(method, ())) if each != method]
    return [*(before if method not in _EMPTY else ()), name]


def _positions(
    name: str,
    summary: Summary,
    variables: Mapping[Any, xr.Variable],
    axes: Mapping[str, xr.Variable],
) -> xr.Variable:
    """Return the positions of the labels of an argmin or argmax in the order of the points.

    They decide which of two equal values comes first, as points of one part may lie between those
    of another.
    """
    kind = summary.variables[name][:2]
    siblings = [each for each, (*other, _) in summary.variables.items() if (*other,) == kind]
    if len(siblings) == 1:  # which is not named after its axis, the only one along its dimension
        dim = summary.parts[0].removesuffix(PART)
        others = (axis for axis, labels in axes.items() if labels.dims == (dim,))
        along = [dim if dim in axes else next(others)]  # with weights, there are others
    else:
        along = [each.removeprefix(".".join((*kind, ""))) for each in siblings]

    return positions([variables[each] for each in siblings], [axes[axis] for axis in along])


def _dtype(name: str) -> Any:
    return np.dtype(name) if name.startswith("<U") else jnp.dtype(name)


def _from_parts(
    methods: Sequence[str],
    given: Sequence[xr.Variable],
    status: xr.Variable,
    parts: Sequence[str],
    is_complete: bool,
    has_pending: bool,
) -> xr.Variable:
    """Return the last of some variables, with its parts merged with the help of the others."""
    done = (status != PENDING).astype(bool)
    if not given[-1].size:  # dask cannot broadcast to a dimension without elements
        done, *given = (each.compute() for each in (done, *given))

    def function(done: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        total = _merged(methods, len(parts), done, arrays)
        if is_complete:
            return total[-1]
        begun = np.asarray(done.reshape(*done.shape[: done.ndim - len(parts)], -1).any(-1))
        return _blanked(methods, total, begun, has_pending)

    sample = function(*(np.ones((1,) * v.ndim, v.dtype) for v in (done, *given)))
    # Otherwise dask would do it, and cut other dimensions for that.
    whole = dict.fromkeys(parts, -1)
    lazy = [each.chunk(whole) if each.chunks is not None else each for each in (done, *given)]
    merged_ = xr.apply_ufunc(
        function,
        *lazy,
        input_core_dims=[list(parts)] * (1 + len(given)),
        dask="parallelized",
        output_dtypes=[sample.dtype],
    )
    return merged_.transpose(*(dim for dim in given[-1].dims if dim not in parts))


def _merged(
    methods: Sequence[str], n_core: int, done: np.ndarray, arrays: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return arrays whose last axes, those of parts, are merged one after the other."""

    def flat(array: np.ndarray) -> np.ndarray:
        first = array.ndim - n_core
        return array.reshape(*array.shape[:first], math.prod(array.shape[first:]))

    def part(k: int) -> dict[str, np.ndarray]:
        found = {}
        for method, array in zip(methods, rest, strict=True):
            found[method] = array[..., k]
            if method in _EMPTY:
                none = np.array(_EMPTY[method], array.dtype)
                found[method] = np.where(done[..., k], array[..., k], none)
        return found

    done, *rest = map(flat, (done, *arrays))
    return [*functools.reduce(_pair, map(part, range(done.shape[-1]))).values()]


# What comes with an argmin or argmax: where its labels are.
_POSITION = "position"
# What a part without points has; others are not read where the count is zero.
_EMPTY: dict[str, Any] = {"count": 0, "sum": 0, "any": False, "all": True, "histogram": 0}


def _pair(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return two parts as one (Chan, Golub and LeVeque 1979, for means and variances)."""
    found: dict[str, np.ndarray] = {}
    only_b: Any = False
    only_a: Any = False
    n = n_b = gap = np.empty(0)
    if "count" in a:
        n_b = b["count"]
        n, only_b, only_a = a["count"] + n_b, a["count"] == 0, n_b == 0
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if "mean" in a:
            gap = np.where(only_a | only_b, 0, b["mean"] - a["mean"])
        for method, x in a.items():
            y = b[method]
            match method:
                case "count" | "sum" | "histogram":
                    found[method] = x + y
                case "any":
                    found[method] = x | y
                case "all":
                    found[method] = x & y
                case "mean":
                    # Two means that are infinite, alike or not, have no gap.
                    mean = np.where(np.isfinite(gap), x + gap * (n_b / n), x + y)
                    found[method] = np.where(only_b, y, np.where(only_a, x, mean))
                case "var" | "std":
                    square = method == "std"
                    v_a, v_b = (x * x, y * y) if square else (x, y)
                    between = (gap * np.conj(gap)).real * (a["count"] * (n_b / n))
                    both = (v_a * a["count"] + v_b * n_b + between) / n
                    both = np.sqrt(both) if square else both
                    found[method] = np.where(only_b, y, np.where(only_a, x, both))
                case "min" | "max" | "argmin" | "argmax" | "position":
                    whose = "argmin" if "argmin" in a else "argmax"
                    end = (whose if method == _POSITION else method)[-3:]
                    p, q = a[end], b[end]
                    later = (q < p) if end == "min" else (q > p)
                    if _POSITION in a:
                        later |= (q == p) & (b[_POSITION] < a[_POSITION])
                    found[method] = np.where(only_b | (later & ~only_a), y, x)
                case _:
                    raise AssertionError(method)
    return found


def _blanked(
    methods: Sequence[str], total: Sequence[np.ndarray], begun: np.ndarray, has_pending: bool
) -> np.ndarray:
    """Return the last array with NaN where there is no value; integers and bools become floats."""
    method, array = methods[-1], total[-1]
    if method == "count" or (method in _EMPTY and not has_pending):
        return array
    known = begun if method in _EMPTY else begun & (total[0] > 0)
    known = np.broadcast_to(known, array.shape)
    if array.dtype.kind in "UTO":
        return np.where(known, array, np.array("", array.dtype))
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        array = array.astype(np.float64)
    return np.where(known, array, np.array(np.nan, array.dtype))


def _arranged(variable: xr.Variable, kept: Sequence[str]) -> xr.Variable:
    """Return a variable with the dimensions of the space first, in their order."""
    first = [dim for dim in kept if dim in variable.dims]
    return variable.transpose(*first, *(dim for dim in variable.dims if dim not in first))


def _states(stored: xr.Dataset, summary: Summary) -> dict[str, xr.Variable]:
    """Return the status, the number of failed points and the messages, over what is kept."""
    status, core = stored.variables[STATUS], summary.parts
    some_pending = (status == PENDING).any(core)
    some_failed = (status == HAS_FAILED).any(core)
    state = xr.where(some_pending, PENDING, xr.where(some_failed, HAS_FAILED, DONE))
    sizes = {dim: stored.sizes[dim] for dim in summary.kept}
    state = _arranged(state.astype(np.uint8).set_dims(sizes), summary.kept)
    state.attrs = dict(status.attrs)
    found = {STATUS: state}
    if bool((status == HAS_FAILED).any()):
        failed = stored.variables[FAILED]
        count = failed.where(status != PENDING, 0).sum(core).astype(np.int64)
        count.attrs = dict(failed.attrs)
        found[FAILED] = count
        left = [dim for dim in status.dims if dim not in core]
        texts = stored.variables[ERROR].astype(object).transpose(*left, *core)
        values = texts.values.reshape(*texts.shape[: len(left)], -1)
        first = np.full(values.shape[:-1], "", object)
        for k in reversed(range(values.shape[-1])):
            first = np.where(values[..., k] != "", values[..., k], first)
        message = xr.Variable(left, first).set_dims(sizes)
        found[ERROR] = _arranged(message, summary.kept)
    return found


def progress_of(dataset: xr.Dataset, summary: Summary, total: int) -> Progress:
    """Return how far a result has come whose parts are merged.

    Where points are pending, those that are done are counted as the values of the outputs, of which
    there are fewer if some are NaN.

    Parameters
    ----------
    dataset : the result, with the status of its points.
    summary : how it was reduced.
    total : number of points of the space.
    """
    is_known = dataset[STATUS] != PENDING
    failed = dataset[FAILED] if FAILED in dataset else xr.DataArray(0)
    alike = [dim for dim in is_known.dims if dim not in failed.dims]
    n_known = int(is_known.sum()) * total // max(1, is_known.size)
    n_known -= int(failed.where(is_known.all(alike), 0).sum())
    most = xr.zeros_like(is_known, int)
    for name, (_, method, _) in summary.variables.items():
        counts = dataset[name]
        if method == "count" and counts.size and set(is_known.dims) <= set(counts.dims):
            count = counts.max([dim for dim in counts.dims if dim not in is_known.dims])
            most = most.where(most > count, count)
    return Progress(n_known + int(most.where(~is_known, 0).sum()), int(failed.sum()), total)
