"""From what is stored of cells to the variables of a result: parts are merged in their order."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from gridax._outputs.template import Output
from gridax._plan.cells import Cut
from gridax._reduce.methods import NEEDS
from gridax._reduce.outputs import ReducedOutputs
from gridax._reduce.variables import FAILED
from gridax._stores.base import DONE, ERROR, PENDING, STATUS
from gridax._stores.base import FAILED as HAS_FAILED

if TYPE_CHECKING:
    from gridax._files.zarr import OpenedStore

# The attribute of a Dataset that says how it was reduced.
ATTRIBUTE = "gridax_reduced"
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
    cuts : how the dimensions are divided into these parts.
    outputs : what the model returns.
    """

    kept: tuple[str, ...]
    parts: tuple[str, ...]
    variables: Mapping[str, tuple[str, str, str]]
    cuts: tuple[Cut, ...]
    outputs: tuple[Output, ...]

    @classmethod
    def of(cls, kept: Sequence[str], dims: Sequence[str], reduced: ReducedOutputs) -> Summary:
        """Return the summary of reduced outputs, given the dimensions that are kept, and all."""
        found = reduced.variables
        about = {v.output.name: (v.source, v.method, str(v.output.dtype)) for v in found}
        cuts = reduced.cells.cuts
        parts = tuple(f"{dims[cut.dim]}{PART}" for cut in cuts)
        return cls(tuple(kept), parts, about, cuts, reduced.outputs)

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
            cuts = tuple(map(_read_cut, told["cuts"]))
            outputs = tuple(map(_read_output, told["outputs"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"its attribute {ATTRIBUTE!r} is damaged ({error})") from error
        return cls(kept, parts, variables, cuts, outputs)  # type: ignore[arg-type]

    def json(self, merged: bool) -> str:
        """Return the summary as JSON, of cells or of what was merged."""
        return json.dumps(
            {
                "kept": self.kept,
                "parts": () if merged else self.parts,
                "variables": self.variables,
                "cuts": [dataclasses.astuple(cut) for cut in self.cuts],
                "outputs": [_output_json(output) for output in self.outputs],
            }
        )


def _read_cut(told: Sequence[Any]) -> Cut:
    *numbers, order = told
    return Cut(*map(int, numbers), None if order is None else tuple(map(int, order)))


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


def merged(stored: xr.Dataset, summary: Summary, is_complete: bool) -> dict[str, xr.Variable]:
    """Return the variables of a result, without computing those that are lazy.

    Parameters
    ----------
    stored : what is stored of each cell, with their states.
    summary : of these.
    is_complete : whether all points are done.

    Returns
    -------
    dict of Variable
        With the status of each point, the number of points that failed, and the messages, unless
        all points are done.
    """
    variables = stored.variables
    status = variables[STATUS]
    has_pending = not is_complete and bool((status == PENDING).any())
    found: dict[str, xr.Variable] = {}
    sources = dict.fromkeys(source for source, _, _ in summary.variables.values())
    for wanted in sources:
        about = {n: each[1:] for n, each in summary.variables.items() if each[0] == wanted}
        alike = {n: m for n, (m, _) in about.items() if m in NEEDS}
        found |= _together(variables, alike, status, summary.parts, is_complete, has_pending)
        for name in about.keys() - alike.keys():
            one = {name: about[name][0]}
            found |= _together(variables, one, status, summary.parts, is_complete, has_pending)
    ordered = {}
    for name, (_, _, dtype) in summary.variables.items():
        variable = found[name]
        if is_complete or jnp.issubdtype(variable.dtype, jnp.inexact) == _is_inexact(dtype):
            variable = variable.astype(_dtype(dtype), copy=False)
        variable.attrs = dict(variables[name].attrs)
        ordered[name] = _arranged(variable, summary.kept)
    if not is_complete:
        ordered |= _states(stored, summary)
    return ordered


def _is_inexact(dtype: str) -> bool:
    return not dtype.startswith("<U") and bool(jnp.issubdtype(jnp.dtype(dtype), jnp.inexact))


def _dtype(name: str) -> Any:
    return np.dtype(name) if name.startswith("<U") else jnp.dtype(name)


def _together(
    variables: Mapping[Any, xr.Variable],
    methods: Mapping[str, str],
    status: xr.Variable,
    parts: Sequence[str],
    is_complete: bool,
    has_pending: bool,
) -> dict[str, xr.Variable]:
    """Return variables that are merged with the help of each other."""
    given = [variables[name] for name in methods]
    if is_complete and not parts:
        return dict(zip(methods, given, strict=True))
    core = [dim for dim in parts if dim in status.dims]
    done = (status != PENDING).astype(bool)

    def function(done: np.ndarray, *arrays: np.ndarray) -> Any:
        found = _merged(list(methods.values()), len(core), done, arrays)
        found = _blanked([*methods.values()], found, done, len(core), is_complete, has_pending)
        return tuple(found) if len(found) > 1 else found[0]

    sample = function(*(np.ones((1,) * v.ndim, v.dtype) for v in (done, *given)))
    samples = sample if isinstance(sample, tuple) else (sample,)
    merged_ = xr.apply_ufunc(
        function,
        done,
        *given,
        input_core_dims=[core] * (1 + len(given)),
        output_core_dims=[[]] * len(given),
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[each.dtype for each in samples],
    )
    results = merged_ if isinstance(merged_, tuple) else (merged_,)
    return {
        name: result.transpose(*(dim for dim in each.dims if dim not in core))
        for (name, each), result in zip(zip(methods, given, strict=True), results, strict=True)
    }


def _merged(
    methods: Sequence[str], n_core: int, done: np.ndarray, arrays: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return arrays whose last axes, those of parts, are merged one after the other."""

    def flat(array: np.ndarray) -> np.ndarray:
        return array.reshape(*array.shape[: array.ndim - n_core], -1)

    done, *rest = map(flat, (done, *arrays))
    total: list[np.ndarray] | None = None
    for k in range(done.shape[-1]):
        part = []
        for method, array in zip(methods, rest, strict=True):
            here, there = array[..., k], done[..., k]
            empty = _EMPTY.get(method)
            part.append(here if empty is None else np.where(there, here, np.array(empty, here.dtype)))
        total = part if total is None else _pair(methods, total, part)
    assert total is not None
    return total


# What a part without points has; others are not read where the count is zero.
_EMPTY: dict[str, Any] = {"count": 0, "sum": 0, "any": False, "all": True, "histogram": 0}


def _pair(
    methods: Sequence[str], a: Sequence[np.ndarray], b: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return two parts as one (Chan, Golub and LeVeque 1979, for means and variances)."""
    left, right = dict(zip(methods, a, strict=True)), dict(zip(methods, b, strict=True))
    found: list[np.ndarray] = []
    only_b = only_a = n = n_b = gap = np.empty(0)
    if "count" in left:
        n_a, n_b = left["count"], right["count"]
        n, only_b, only_a = n_a + n_b, n_a == 0, n_b == 0
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if "mean" in left:
            gap = np.where(only_a | only_b, 0, right["mean"] - left["mean"])
        for position, method in enumerate(methods):
            x, y = a[position], b[position]
            match method:
                case "count" | "sum" | "histogram":
                    found.append(x + y)
                case "any":
                    found.append(x | y)
                case "all":
                    found.append(x & y)
                case "mean":
                    mean = x + gap * (n_b / n)
                    found.append(np.where(only_b, y, np.where(only_a, x, mean)))
                case "var" | "std":
                    square = method == "std"
                    v_a, v_b = (x * x, y * y) if square else (x, y)
                    between = (gap * np.conj(gap)).real * (left["count"] * (n_b / n))
                    both = (v_a * left["count"] + v_b * n_b + between) / n
                    both = np.sqrt(both) if square else both
                    found.append(np.where(only_b, y, np.where(only_a, x, both)))
                case "min" | "max" | "argmin" | "argmax":
                    end = method[-3:]
                    p, q = left[end], right[end]
                    later = (q < p) if end == "min" else (q > p)
                    found.append(np.where(~only_a & (only_b | later), y, x))
                case _:
                    raise AssertionError(method)
    return found


def _blanked(
    methods: Sequence[str],
    arrays: Sequence[np.ndarray],
    done: np.ndarray,
    n_core: int,
    is_complete: bool,
    has_pending: bool,
) -> list[np.ndarray]:
    """Return arrays with NaN where there is no value; integers and bools become floats."""
    if is_complete:
        return list(arrays)
    begun = done.reshape(*done.shape[: done.ndim - n_core], -1).any(-1)
    count = dict(zip(methods, arrays, strict=True)).get("count")
    found = []
    for method, array in zip(methods, arrays, strict=True):
        if method == "count":
            found.append(array)
            continue
        known = begun
        if method not in _EMPTY:
            known = begun & (count > 0) if count is not None else begun
        elif not has_pending:
            found.append(array)
            continue
        if array.dtype.kind in "UTO":
            found.append(np.where(known, array, np.array("", array.dtype)))
            continue
        if not jnp.issubdtype(array.dtype, jnp.inexact):
            array = array.astype(np.float64)
        known = np.broadcast_to(known, array.shape)
        found.append(np.where(known, array, np.array(np.nan, array.dtype)))
    return found


def _arranged(variable: xr.Variable, kept: Sequence[str]) -> xr.Variable:
    """Return a variable with the dimensions of the space first, in their order."""
    first = [dim for dim in kept if dim in variable.dims]
    return variable.transpose(*first, *(dim for dim in variable.dims if dim not in first))


def _states(stored: xr.Dataset, summary: Summary) -> dict[str, xr.Variable]:
    """Return the status, the number of failed points and the messages, over what is kept."""
    status = stored.variables[STATUS]
    core = [dim for dim in summary.parts if dim in status.dims]
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
        texts = stored.variables[ERROR].astype(object)
        texts = texts.set_dims({**texts.sizes}).transpose(*(d for d in status.dims if d not in core), *core)
        values = texts.values.reshape(*texts.shape[: texts.ndim - len(core)], -1)
        first = np.full(values.shape[:-1], "", object)
        for k in reversed(range(values.shape[-1])):
            first = np.where(values[..., k] != "", values[..., k], first)
        message = xr.Variable([d for d in status.dims if d not in core], first)
        found[ERROR] = _arranged(message.set_dims(sizes), summary.kept)
    return found
