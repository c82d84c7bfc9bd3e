"""The view with which an explorer starts: as requested, and otherwise as a reader expects it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridax._show.labels import as_times, distances, unknown_label
from gridax._text import listing
from gridax.explore._cube import Cube, View
from gridax.explore._labels import is_position
from gridax.explore._style import PALETTES

# Most values of an output that are read to find the axes along which it varies most.
_MOST_VALUES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Style:
    """How a page looks at first; the page has a control for each of these.

    Attributes
    ----------
    cmap : name of the color map.
    vmin, vmax : limits of the colors, and of the y axis of a line; None for those of the values.
    norm : ``"linear"`` or ``"log"``.
    theme : ``"auto"`` follows the system, ``"light"`` or ``"dark"``.
    """

    cmap: str = "viridis"
    vmin: float | None = None
    vmax: float | None = None
    norm: str = "linear"
    theme: str = "auto"

    def __post_init__(self) -> None:
        known = {"cmap": PALETTES, "norm": ("linear", "log"), "theme": ("auto", "light", "dark")}
        for key, values in known.items():
            given = getattr(self, key)
            if not isinstance(given, str) or given not in values:
                raise ValueError(f"{key}={given!r} must be one of {listing(list(values), 20)}")
        for key in ("vmin", "vmax"):
            given = getattr(self, key)
            is_real = isinstance(given, (int, float, np.integer, np.floating))
            if given is not None and not (is_real and np.isfinite(given)):
                raise ValueError(f"{key}={given!r} must be a finite number")
            if given is not None and self.norm == "log" and given <= 0:
                raise ValueError(f"{key}={given!r} must be positive with norm='log'")
            if given is not None:
                object.__setattr__(self, key, float(given))
        if self.vmin is not None and self.vmax is not None and self.vmin >= self.vmax:
            raise ValueError(f"vmin={self.vmin:g} must be smaller than vmax={self.vmax:g}")


def start(
    cube: Cube,
    output: str | None = None,
    x: str | None = None,
    y: str | None = None,
    sel: Mapping[str, Any] | None = None,
    mean: str | Sequence[str] | None = None,
) -> View:
    """Return the view to start with.

    By default, it shows an output with a single number at each point. The two directions are the
    numeric axes along which it varies most (or a single one, if there are no two). Elsewhere, the
    view is at the first of labels that are alternatives or that count, such as trials, and at the
    middle of numbers.

    Raises
    ------
    ValueError
        If there is no such output, label or dimension, or the output does not vary along it.
    """
    if output is not None:
        output = known_output(cube, output)
    output = output or min(cube.outputs, key=lambda n: (not cube.choices(n), len(cube.own(n))))
    choices = cube.choices(output)
    if not choices:
        raise ValueError(
            f"output {output!r} is a single number; choose one that varies along a dimension: "
            + listing([name for name in cube.outputs if cube.choices(name)])
        )
    averaged = _averaged(cube, output, mean)
    free = [name for name in choices if cube.dim(name) not in averaged]
    _check_directions(cube, output, {"x": x, "y": y}, averaged)
    if not free:
        raise ValueError(
            f"mean={averaged!r} leaves no dimension of output {output!r} to plot along; leave out "
            f"one of {listing(averaged)}"
        )
    at = {dim: _first(cube, dim) for dim in cube.members} | _selected(cube, sel or {})
    ranked = _ranked(cube, output, free)
    x = x or next((name for name in (*ranked, *free) if name != y), y or free[0])
    if y is None:
        y = next((name for name in ranked if name != x), "")
    return View(output, x, "" if y == x else y, at, averaged)


def known_output(cube: Cube, name: str) -> str:
    """Return the name of an output; that of complex numbers means their absolute values."""
    if name in cube.outputs:
        return name
    parts = [output.name for output in cube.outputs.values() if output.source == name]
    if name in cube.unseen:
        raise ValueError(
            f"output {name!r} has no numbers to show; choose from {listing(list(cube.outputs))}"
        )
    if not parts:
        raise ValueError(f"no output {name!r}; the outputs are {listing(list(cube.outputs))}")
    return parts[0]


def _check_directions(
    cube: Cube, output: str, directions: Mapping[str, str | None], averaged: Sequence[str]
) -> None:
    choices = cube.choices(output)
    for role, name in directions.items():
        if name and name not in choices:
            raise ValueError(f"{role}={name!r}: output {output!r} varies along {listing(choices)}")
        if name and cube.dim(name) in averaged:
            raise ValueError(f"mean={cube.dim(name)!r} and {role}={name!r}: leave out one of them")
    if directions["x"] and directions["x"] == directions["y"]:
        raise ValueError(f"x and y are both {directions['x']!r}; give different names")


def _averaged(cube: Cube, output: str, mean: str | Sequence[str] | None) -> list[str]:
    names = [mean] if isinstance(mean, str) else list(mean or ())
    dims = cube.outputs[output].dims
    for name in names:
        if name not in dims:
            raise ValueError(
                f"mean={name!r} is no dimension of output {output!r}; average over {listing(dims)}"
            )
    return list(dict.fromkeys(names))


def _first(cube: Cube, dim: str) -> int:
    """Return the position along a dimension to start at."""
    members = cube.members[dim]
    counts = [is_position(cube.labels(name, dim)[0]) for name in members]
    is_choice = any(member["kind"] == "choice" for member in members.values())
    return 0 if is_choice or all(counts) else cube.dataset.sizes[dim] // 2


def _ranked(cube: Cube, output: str, free: Sequence[str]) -> list[str]:
    """Return the two coordinates that suit a map best, in their order, or a single one for a line.

    Numbers suit better than labels that only count or are alternatives; the axes of the space
    better than what an output has at each point; among more than two, those along which it varies
    most.
    """
    grid = [name for name in free if cube.dim(name) in cube.grid_dims] or list(free)
    along = [name for name in grid if cube.dataset.sizes[cube.dim(name)] > 1] or grid
    numeric = [name for name in along if _is_numeric(cube, name)]
    shared = [name for name in along if cube.dim(name) == cube.dim(along[0])]
    both = [name for name in shared if name in numeric]
    if len(shared) > 1 and (len(both) > 1 or len(numeric) < 2):
        # Points that are scattered over two axes of one dimension.
        return both[:2] if len(both) > 1 else shared[:2]
    if not numeric:
        return along[:2]
    if len(numeric) <= 2:
        return numeric
    spread = _spread(cube, output, numeric)
    best = sorted(numeric, key=lambda name: spread[name], reverse=True)[:2]
    return [name for name in numeric if name in best]


def _is_numeric(cube: Cube, name: str) -> bool:
    dim = cube.dim(name)
    if cube.members[dim][name]["kind"] == "choice":
        return False
    labels, _ = cube.labels(name, dim)
    # Own dimensions without labels are matrices and the like, and suit a map well.
    return dim not in cube.grid_dims or not is_position(labels)


def _spread(cube: Cube, output: str, names: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Return how much an output varies along each axis with the others fixed, and its size.

    Values that are not in memory, or are many, are not read for this.
    """
    found = cube.outputs[output]
    sizes = {name: cube.dataset.sizes[cube.dim(name)] for name in names}
    # A file that is read lazily has no array in memory.
    in_memory = isinstance(found.variable._data, np.ndarray)
    if not in_memory or found.variable.size > _MOST_VALUES:
        return {name: (0.0, size) for name, size in sizes.items()}
    values = found.isel({}).astype(float)
    values = values.where(np.isfinite(values))
    largest = np.nanmax(np.abs(values.values), initial=0) or 1
    spread = {}
    for name in names:
        variances = (values / largest).var(cube.dim(name)).mean().item()
        spread[name] = (0.0 if np.isnan(variances) else round(variances, 9), sizes[name])
    return spread


def _selected(cube: Cube, sel: Mapping[str, Any]) -> dict[str, int]:
    """Return positions by dimension for labels: the nearest number or date, or the same text."""
    if not isinstance(sel, Mapping):
        raise TypeError(f"sel must be a mapping such as {{'G': 0.3}}, got {sel!r}")
    distances: dict[str, np.ndarray] = {}
    for name, label in sel.items():
        dim = next((d for d, members in cube.members.items() if name in (d, *members)), None)
        if dim is None:
            names = [name for members in cube.members.values() for name in members]
            raise ValueError(f"no coordinate sel={name!r}; select from {listing(names)}")
        found = _distance(name, cube.labels(name, dim)[0], label)
        distances[dim] = distances.get(dim, 0) + found
    for dim, distance in distances.items():
        if np.isinf(distance).all():
            both = {name: sel[name] for name in sel if name in cube.members[dim]}
            raise ValueError(f"no point has sel={both!r}")
    return {dim: int(np.argmin(distance)) for dim, distance in distances.items()}


def _distance(name: str, labels: np.ndarray, label: Any) -> np.ndarray:
    """Return how far labels are from one, as fractions of their range; other texts infinitely."""
    if np.ndim(label) != 0 or isinstance(label, slice):
        raise ValueError(f"sel={name!r}: give one label, got {label!r}")
    if labels.dtype.kind in "mM":
        return distances(name, labels, as_times(name, labels, label))
    if labels.dtype.kind in "iuf":
        try:
            number = float(label)
        except (TypeError, ValueError):
            raise ValueError(f"sel={name!r}: the labels are numbers, got {label!r}") from None
        return distances(name, labels, number)
    same = np.array([str(known) == str(label) for known in labels.tolist()])
    if not same.any():
        raise unknown_label(name, label, labels)
    return np.where(same, 0, np.inf)
