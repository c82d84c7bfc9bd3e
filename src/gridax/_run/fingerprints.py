"""What a store was made for, part by part, so that a message can say what differs.

The parts are the axes, the other leaves of the state and the arguments, the outputs, and the model.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from gridax._arrays import is_array
from gridax._axes import is_axis
from gridax._axes.carried import Carried
from gridax._digest.containers import changed, containers
from gridax._digest.digest import Examined, digest, examine
from gridax._grid.chains import carried_text
from gridax._grid.grid import Column
from gridax._grid.points import Points, fixed_scalar
from gridax._outputs.template import Template
from gridax._pytree import Skeleton, dotted
from gridax._run.job import Job
from gridax._text import listing
from gridax._warnings import warn

ATTRIBUTE = "gridax_fingerprints"
# How digests are computed. Those of stores from before this was recorded cannot be compared.
_DIGESTS = 3
PARTITIONABLE = "jax_threefry_partitionable"
# Types of scalars that hold nothing but their value.
_BARE = (bool, int, float, str, np.ndarray)
# A hostile file could name any length.
_LONGEST = 2**24

# What models and objects of this process were before runs changed them: digests, by those after.
_original: dict[str, str] = {}

Parts = dict[str, Any]


def of_space(job: Job) -> Parts:
    """Return the fingerprints of the axes and of everything that is fixed, by name.

    Each is a pair: a digest, and a text to show. What has no digest is listed as ``unknown``.
    """
    points = job.points
    columns = points.grid.columns
    unknown: list[str] = []
    axes = {c.name: _axis(c, points.sizes, unknown) for c in columns if c.dim is not None}
    fixed = {c.name: _axis(c, points.sizes, unknown) for c in columns if c.dim is None}
    for slot, path in enumerate(points.skeleton.paths):
        leaf = points.skeleton.leaves[slot]
        if not is_axis(leaf):
            fixed[dotted(path)] = _value(leaf, dotted(path), unknown)
    for name, leaf in points.carried.items():
        text = carried_text(leaf)
        fixed[name] = [digest(text), text]
    for tree in ({"args": list(job.args)}, dict(job.kwargs)):
        given = Skeleton.of(tree)
        for path, leaf in zip(given.paths, given.leaves, strict=True):
            name = f"argument {dotted(path)}"
            name = f"keyword {name}" if name in fixed else name
            fixed[name] = _value(leaf, name, unknown)
    structure = _structure(job, unknown)
    fixed = {**fixed, **{name: pair for name, pair in structure.items() if name not in fixed}}
    dims = [[dim, size] for dim, size in points.sizes.items()]
    return {
        "dims": dims,
        "axes": axes,
        "fixed": fixed,
        "containers": list(structure),
        "choices": {c.name: choices(c, points.sizes) for c in columns if c.table.kind == "choice"},
        **settings(),
        "digests": _DIGESTS,
        "unknown": unknown,
    }


def settings() -> dict[str, bool]:
    """Return the settings of JAX that change numbers.

    The draws of a key depend on the second one, but the traced program does not show it.
    """
    return {
        "x64": bool(jax.config.read("jax_enable_x64")),
        "partitionable": bool(getattr(jax.config, PARTITIONABLE, True)),
    }


def of_job(job: Job, model: Mapping[str, Any] | None = None) -> Parts:
    """Return the fingerprints of the points, of everything that is fixed, and of the model.

    That of the model may be known from before.
    """
    parts = of_space(job)
    return {**parts, "derivatives": list(job.derivatives), "model": model or of_model(job)}


def remember_changes(before: Parts, after: Parts) -> None:
    """Remember what a run made of its model and of what is fixed, such as a simulator.

    Until the process ends, they count as what they were before the run: the same line resumes it
    even if the model changed an object in a way that its code does not show.
    """
    there, here = before["model"], after["model"]
    pairs = [(there[part], here[part]) for part in ("source", "without_choices")]
    pairs += [(code, here["choices"].get(name, code)) for name, code in there["choices"].items()]
    for part in ("axes", "fixed"):
        pairs += [(pair[0], after[part][name][0]) for name, pair in before[part].items()]
    _original.update({now: then for then, now in pairs if then != now})


def _digest_of(values: Mapping[str, Any], unknown: list[str]) -> str:
    """Return the digest of values as they were before runs changed them; note what has none."""
    examined = examine(values)
    unknown += examined.unknown
    return _original.get(examined.digest, examined.digest)


def of_reduction(given: Any) -> list[str] | None:
    """Return the fingerprint of ``reduce=``, a digest and a text; None for no reduction."""
    if given is None:
        return None

    def plain(value: Any, functions: list[Any]) -> Any:
        if isinstance(value, Mapping):
            pairs = ((plain(k, []), plain(v, functions)) for k, v in value.items())
            return "{" + ", ".join(f"{k}: {v}" for k, v in sorted(pairs)) + "}"
        if isinstance(value, (tuple, list, set, frozenset)):
            inner = sorted(plain(each, functions) for each in value)
            return inner[0] if len(inner) == 1 else f"[{', '.join(inner)}]"
        if callable(value):
            functions.append(value)
            return str(getattr(value, "__name__", "a function"))
        return repr(value)

    functions: list[Any] = []
    text = plain(given, functions)
    functions.sort(key=lambda function: str(getattr(function, "__name__", "")))
    return [examine({"text": text, "functions": functions}).digest, text]


def of_template(template: Template, coords: Mapping[str, xr.Variable]) -> dict[str, list[str]]:
    """Return the fingerprints of the outputs, and of the coordinates of their own dimensions."""
    outputs = {}
    for output in template.outputs:
        text = f"{output.dtype}{list(output.shape)} along {list(output.dims or ())}"
        outputs[output.name] = [digest(text, output.impl), text]
    for name, coord in coords.items():
        text = f"coordinate {coord.dtype}{list(coord.shape)} along {list(coord.dims)}"
        outputs[name] = [digest(text, np.asarray(coord.values)), text]
    return outputs


def of_model(job: Job) -> dict[str, Any]:
    """Return the fingerprint of a model's source and of all functions that it is given.

    With it are those of its choices and of all the rest, since a result can be extended by choices,
    the versions of the packages that the source refers to, and the names in it that have no digest.
    """
    arguments = (job.args, dict(job.kwargs))
    given = [column.axis.wrap for column in job.points.grid.columns]
    given += Skeleton.of(arguments).leaves
    # The methods of a container are functions, too, and so may be what is static in it.
    kinds: dict[type, None] = {}
    for container in containers((job.points.skeleton.tree, *arguments), is_axis):
        kinds[container.kind] = None
        changed(container.static, given.append)
    chosen = _chosen(job.points)
    rest = [each for each in (*given, *kinds) if callable(each)]
    functions = [*filter(callable, chosen.values())]
    source = examine({"model": job.model, "functions": [rest, functions]})
    without = examine({"model": job.model, "functions": rest}) if functions else source
    return {
        "source": _original.get(source.digest, source.digest),
        "without_choices": _lasting(without),
        "choices": {
            name: _lasting(examine({name: value})) if callable(value) else ""
            for name, value in chosen.items()
        },
        "unknown": list(source.unknown),
        "libraries": source.libraries,
        "jax": jax.__version__,
    }


def _chosen(points: Points) -> dict[str, Any]:
    """Return the values of choices, and the functions in a state, which are choices of one value.

    Their names are the same wherever `extend=` would match them.
    """
    chosen = {}
    paths = [*map(dotted, points.skeleton.paths)]
    for column in points.grid.columns:
        if column.table.kind == "choice":
            for row in column.all_rows(points.sizes):
                value = column.table.values[row]
                label = column.table.labels[row].item()
                chosen[f"{paths[column.slot]}={label} {choice(value)}"] = value
    for path, leaf in zip(paths, points.skeleton.leaves, strict=True):
        if callable(leaf) and not is_axis(leaf):
            chosen[f"{path}={getattr(leaf, '__name__', '')} {choice(leaf)}"] = leaf
    return chosen


def _lasting(examined: Examined) -> str:
    """Return a digest that also tells versions of packages apart."""
    code = digest(examined.digest, examined.libraries)
    return _original.get(code, code)


class Traced:
    """A traced program, of which the fingerprint is computed when it is first needed.

    Parameters
    ----------
    digest : returns it, given what returns the digest of a function that the program calls.
    """

    def __init__(self, digest: Callable[[Callable[[Any], str]], str]) -> None:
        self._digest = digest
        self._unknown: list[str] = []

    @functools.cached_property
    def fingerprint(self) -> str:
        """The fingerprint."""
        return self._digest(self._of_callback)

    @property
    def unknown(self) -> list[str]:
        """What has no digest in the functions that the program calls."""
        return self._unknown if self.fingerprint else []

    def _of_callback(self, function: Any) -> str:
        source = examine({"callback": function})
        self._unknown += source.unknown
        return digest(source.digest, source.libraries)


def warn_of_unknown(names: Iterable[str]) -> None:
    """Warn of objects whose changes would not be noticed."""
    names = list(dict.fromkeys(names))
    if names:
        warn(
            f"a change to {listing(names)} would go unnoticed, since gridax cannot look "
            "inside: results of different models could end up in one store. Pass version= to name "
            "the model, and change that name whenever the model changes"
        )


def choices(column: Column, sizes: Mapping[str, int]) -> list[str]:
    """Return what tells the values of a ChoiceAxis apart, whatever their labels."""
    return [choice(column.table.values[row]) for row in column.all_rows(sizes)]


def choice(value: Any) -> str:
    """Return what tells a chosen object from others; what functions do is part of the model."""
    return digest(_plain(value))


def _axis(column: Column, sizes: Mapping[str, int], unknown: list[str]) -> list[str]:
    table = column.table
    rows = column.all_rows(sizes)
    labels = table.labels[rows]
    if labels.dtype.kind == "U":
        labels = np.array(labels.tolist())  # as wide as the longest, whatever else there is
    if table.kind == "choice":
        values: Any = [_plain(table.values[row]) for row in rows]
    else:
        values = table.values[rows] if column.dim is None else column.values(len(rows))
    about = [column.dim, table.kind, table.shape, table.impl]
    code = _digest_of({"axis": about, "labels": labels, column.name: values}, unknown)
    if column.dim is None:
        return [code, repr(labels[0].item())]
    few_labels = len(labels) <= 6
    shown = [*map(repr, (labels if few_labels else labels[:3]).tolist())]
    shown += [] if few_labels else ["…", *map(repr, labels[-2:].tolist())]
    same = "" if table.is_own_label else f", values with digest {code}"
    return [code, f"{', '.join(shown)} ({len(labels)} along {column.dim!r}{same})"]


def _structure(job: Job, unknown: list[str]) -> dict[str, list[str]]:
    """Return the fingerprints of the containers in a state and its arguments, by name.

    Plain dicts show in the names of what they hold.
    """
    found = {}
    for tree, prefix, n_outer in (
        (job.points.skeleton.tree, "", 0),
        ({"args": list(job.args)}, "argument ", 2),
        (dict(job.kwargs), "argument ", 1),
    ):
        for each in containers(tree, is_axis):
            is_shown = each.kind is dict and each.steps
            if is_shown or each.kind is Carried or len(each.path) < n_outer:
                continue
            name = prefix + (dotted(each.path) if each.path else "the whole state")
            about = [each.kind.__qualname__, changed(each.static, _plain), [*map(str, each.steps)]]
            found[name] = [_digest_of({name: about}, unknown), each.text]
    return found


def _plain(value: Any) -> Any:
    """Return what tells a chosen object from another: functions are part of the model."""
    return getattr(value, "__qualname__", value)


def _value(leaf: Any, name: str, unknown: list[str]) -> list[str]:
    scalar = fixed_scalar(leaf)
    if scalar is not None:
        kind = "" if isinstance(leaf, (bool, int, float, str)) else f" ({np.asarray(leaf).dtype})"
        is_bare = isinstance(leaf, (np.generic, jax.Array)) or type(leaf) in _BARE
        # A number with a unit, or a member of an enumeration.
        more = [] if is_bare else [_digest_of({name: leaf}, unknown)]
        return [digest(scalar.item(), kind, *more), f"{scalar.item()!r}{kind}"]
    code = _digest_of({name: _plain(leaf)}, unknown)
    if is_array(leaf):
        return [code, f"{leaf.dtype}{list(leaf.shape)} with digest {code}"]
    return [code, f"{getattr(leaf, '__qualname__', type(leaf).__qualname__)}"]


def read(attrs: Mapping[str, Any]) -> Parts:
    """Return the fingerprints among the attributes of a store.

    Raises
    ------
    ValueError
        If there are none, or they are damaged.
    """
    text = attrs.get(ATTRIBUTE)
    if text is None:
        raise ValueError("it was not made by run(store=…)")
    try:
        if len(text) > _LONGEST:
            raise ValueError("they are too long")
        found = json.loads(text)
        model = found["model"]
        if not (isinstance(model, dict) and isinstance(model.get("choices", {}), dict)):
            raise ValueError("'model' is no table")
        for part in ("axes", "fixed", "template"):
            for name, pair in found[part].items():
                first, second = pair
                if not all(isinstance(x, str) for x in (name, first, second)):
                    raise ValueError(f"{part!r} is no table")
        parts = {**found, "dims": [[str(d), int(n)] for d, n in found["dims"]]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"its fingerprints are damaged ({error})") from error
    return parts if parts.get("digests") == _DIGESTS else _without_digests(parts)


def _without_digests(parts: Parts) -> Parts:
    """Return fingerprints of which only the texts can be compared, and no model but by version."""
    without = {
        part: {name: ["", text] for name, (_, text) in parts[part].items()}
        for part in ("axes", "fixed", "template")
    }
    model = {"version": parts["model"].get("version"), "source": None}
    return {**parts, **without, "model": model}
