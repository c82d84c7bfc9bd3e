"""The facts of a space and of a result, which text, HTML and `gridax info` each render.

Collecting them costs as much as the axes are long, however many points there are: labels are put
in words only where they are displayed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gridax._arrays import is_keys
from gridax._axes.base import brief, short
from gridax._grid.chains import carried_text
from gridax._grid.grid import Column
from gridax._grid.points import Points
from gridax._outputs.template import Output, Template
from gridax._plan.progress import Progress
from gridax._show.labels import label_texts
from gridax._text import one_line, shorten

# Axes of up to so many labels are displayed with all of them.
_FEW = 5
# Most characters of the arguments of a model.
_LONGEST = 2000


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """Labels along a dimension, or a single label where `dim` is None.

    `labels` has the texts of all labels if they are few, or else of the ends of their range. `axis`
    (its class and the shape of its values) and `call` (what made it) are empty for a coordinate
    that is no axis.
    """

    name: str
    dim: str | None
    size: int
    labels: tuple[str, ...]
    units: str
    long_name: str
    axis: str = ""
    call: str = ""

    def span(self, width: int, units: bool = True) -> str:
        """Return all labels if they fit, or else the first and the last one, with their units."""
        end = f" {self.units}" if units and self.units not in ("", "1") else ""
        text = " ".join(self.labels) + end
        if len(self.labels) == self.size and (self.size == 1 or len(text) <= width):
            return shorten(text, width)
        return shorten(" … ".join(self.labels[:: max(1, len(self.labels) - 1)]) + end, width)


@dataclasses.dataclass(frozen=True)
class FixedValue:
    """A leaf of the state that is no axis, or a scalar coordinate of an output."""

    name: str
    text: str
    is_scalar: bool


@dataclasses.dataclass(frozen=True)
class SpaceFacts:
    """A space: the axes along one dimension follow each other, and single labels come last."""

    n_points: int
    mode: str
    sizes: Mapping[str, int]
    axes: tuple[Coordinate, ...]
    fixed: tuple[FixedValue, ...]
    nbytes: int
    carried: tuple[FixedValue, ...] = ()


@dataclasses.dataclass(frozen=True)
class OutputFacts:
    """An output: the sizes of its own dimensions, and its bytes at one point and at all points."""

    name: str
    sizes: Mapping[str, int]
    dtype: str
    nbytes: int
    total: int
    units: str
    long_name: str


@dataclasses.dataclass(frozen=True)
class ResultFacts:
    """A result: `coordinates` are the labels that are no axes, `source` is its path or URL.

    `provenance` has texts by name: title, model, arguments, key, script, commit, when, device,
    precision, versions, resumed. `reduced` has the dimensions along which each output was
    reduced, by its name.
    """

    space: SpaceFacts
    progress: Progress
    source: str
    outputs: tuple[OutputFacts, ...]
    coordinates: tuple[Coordinate, ...]
    provenance: Mapping[str, str]
    reduced: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """Bytes of all outputs at all points."""
        return sum(output.total for output in self.outputs)


def space_facts(points: Points) -> SpaceFacts:
    """Return the facts of a space."""
    grid = points.grid
    place = points.dim_numbers
    columns = sorted(grid.columns, key=lambda c: len(place) if c.dim is None else place[c.dim])
    tables = [column.table for column in columns]
    return SpaceFacts(
        grid.n_points,
        points.mode,
        grid.sizes,
        tuple(_axis(column, grid.sizes) for column in columns),
        tuple(FixedValue(name, _value(leaf), _is_scalar(leaf)) for name, leaf in points.fixed),
        sum(t.labels.nbytes + getattr(t.values, "nbytes", 0) for t in tables),
        tuple(
            FixedValue(name, one_line(carried_text(leaf, points.chain is not None)), False)
            for name, leaf in points.carried.items()
        ),
    )


def result_facts(
    space: SpaceFacts,
    template: Template,
    dataset: xr.Dataset,
    progress: Progress,
    sources: Mapping[str, str],
) -> ResultFacts:
    """Return the facts of a result; `sources` are the outputs of which variables are statistics."""
    known = {axis.name for axis in space.axes} | {value.name for value in space.fixed}
    others = {str(n): c.variable for n, c in dataset.coords.items() if n not in known}
    scalars = tuple(
        FixedValue(name, f"{_value(c.values[()])} {_attribute(c.attrs, 'units')}".rstrip(), True)
        for name, c in others.items()
        if c.ndim == 0
    )
    return ResultFacts(
        dataclasses.replace(space, fixed=space.fixed + scalars),
        progress,
        one_line(str(dataset.encoding.get("source", ""))),
        tuple(
            _output(output, space, dataset.variables[output.name]) for output in template.outputs
        ),
        tuple(
            _coordinate(name, str(c.dims[0]), c.values, c.attrs)
            for name, c in others.items()
            if c.ndim == 1
        ),
        _provenance(dataset.attrs),
        {
            source: ", ".join(d for d in space.sizes if d not in dataset.variables[name].dims)
            for name, source in sources.items()
        },
    )


def _axis(column: Column, sizes: Mapping[str, int]) -> Coordinate:
    labels = column.table.labels
    if column.rows is not None:
        labels = labels[column.all_rows(sizes)]
    call = one_line(brief(column.axis))
    kind = call.partition("(")[0]
    if column.table.kind == "array" and (shape := column.table.values.shape[1:]):
        kind += f" of {'×'.join(map(str, shape))}"
    return _coordinate(column.name, column.dim, labels, column.attrs, kind, call)


def _coordinate(
    name: str, dim: str | None, labels: np.ndarray, attrs: Mapping[str, Any], *axis: str
) -> Coordinate:
    ends = labels
    if labels.size > _FEW:
        # Numbers need not be sorted, and their range says more than the first and the last one.
        numeric = labels.dtype.kind in "iufmM"
        first, last = (labels.min(), labels.max()) if numeric else (labels[0], labels[-1])
        ends = np.array([first, last], labels.dtype)
    units, long_name = _attribute(attrs, "units"), _attribute(attrs, "long_name")
    return Coordinate(name, dim, labels.size, _label_words(ends), units, long_name, *axis)


def _label_words(labels: np.ndarray) -> tuple[str, ...]:
    if labels.dtype.kind in "mM":
        return tuple(label_texts(labels))
    return tuple(map(_label_text, labels.tolist()))


def _label_text(label: Any) -> str:
    if isinstance(label, str):
        return repr(shorten(label, 30))
    text = str(label)
    return f"{label:.4g}" if isinstance(label, float) and len(text) > 8 else text


def _output(output: Output, space: SpaceFacts, variable: xr.Variable) -> OutputFacts:
    own = {str(dim): size for dim, size in variable.sizes.items() if dim not in space.sizes}
    n_points = math.prod(size for dim, size in variable.sizes.items() if dim in space.sizes)
    dtype = "str" if output.dtype.kind in "OTU" else str(output.dtype)
    return OutputFacts(
        output.name,
        own,
        dtype,
        output.nbytes,
        output.nbytes * n_points,
        _attribute(variable.attrs, "units"),
        _attribute(variable.attrs, "long_name"),
    )


def _provenance(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return what the run recorded about itself; a text is empty where a file does not say."""
    versions = (f"{n} {attrs.get(f'{n}_version', '')}" for n in ("gridax", "jax", "xarray"))
    resumptions = json.loads(attrs.get("gridax_resumed", "[]"))
    times = (str(r.get("when", "")) for r in resumptions if isinstance(r, dict))
    arguments = described(attrs, "arguments").items()
    return {
        "title": str(attrs.get("title", "")),
        "model": str(attrs.get("model", "")),
        "arguments": shorten(one_line(", ".join(f"{n}={t}" for n, t in arguments)), _LONGEST),
        "key": key_text(attrs),
        "script": _attribute(attrs, "script"),
        "commit": commit_text(attrs),
        "when": str(attrs.get("created", "")).replace("T", " ", 1).replace("+00:00", " UTC"),
        "device": str(attrs.get("device", "")),
        "precision": "float64" if attrs.get("x64") else "float32",
        "versions": ", ".join(versions),
        "resumed": ", ".join(times),
    }


def described(attrs: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return texts of the values that an attribute lists; none if it is missing or damaged."""
    return {str(n): _described_value(v) for n, v in _json(attrs, name).items()}


def _described_value(value: Any) -> str:
    match value:
        case {"dtype": dtype, "shape": [*shape]}:
            return f"{dtype}[{', '.join(map(str, shape))}]"
        case {"object": name}:
            return str(name)
        case {"complex": [int() | float() as real, int() | float() as imaginary]}:
            return f"{real}{imaginary:+}j"
    return repr(value)


def _json(attrs: Mapping[str, Any], name: str) -> dict[Any, Any]:
    try:
        value = json.loads(attrs.get(name, "{}"))
    except (ValueError, TypeError, RecursionError):  # files may come from anywhere
        return {}
    return value if isinstance(value, dict) else {}


def key_text(attrs: Mapping[str, Any]) -> str:
    """Return the key of the random axes, as a user may have given it."""
    match _json(attrs, "key"):
        case {"impl": "threefry2x32", "data": [0, int(seed)]}:
            return f"jax.random.key({seed})"
        case {"impl": impl, "data": data}:
            return f"{data} ({impl})"
    return ""


def commit_text(attrs: Mapping[str, Any]) -> str:
    """Return the git commit, and whether files differed from it."""
    if "git_commit" not in attrs:
        return ""
    changed = ", dirty (with uncommitted changes)" if attrs.get("git_dirty") else ""
    return f"{str(attrs['git_commit'])[:12]}{changed}"


def _attribute(attrs: Mapping[str, Any], name: str) -> str:
    return shorten(one_line(str(attrs.get(name, ""))), 80)


def _is_scalar(leaf: Any) -> bool:
    if isinstance(leaf, (bool, int, float, complex, str, np.generic)):
        return True
    return getattr(leaf, "ndim", None) == 0 and hasattr(leaf, "item") and not is_keys(leaf)


def _value(leaf: Any) -> str:
    """Return a value of the state in at most 80 characters."""
    if _is_scalar(leaf):
        text = repr(str(leaf)) if isinstance(leaf, str) else str(np.asarray(leaf))
    elif callable(leaf) and hasattr(leaf, "__name__"):
        text = str(leaf.__name__)
    else:
        text = short(leaf)
    return shorten(one_line(text), 80)
