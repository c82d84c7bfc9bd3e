"""What an explorer shows: slices of outputs, and everything about one point.

Nothing here knows how it is drawn. Only what is shown is read, so results may be larger than
memory. A frame and a point are flat arrays and plain texts; `explore.js` makes the same ones from
the arrays of an exported page.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._show.plot_style import axis_label, is_geometric, is_number, label_texts, unit_suffix

# What a browser draws without delay: cells of a map, and points.
MOST_CELLS, MOST_POINTS = 1_000_000, 100_000
MOST_DETAILS = 4  # pictures of one point


@dataclasses.dataclass(frozen=True)
class View:
    """What is looked at.

    Attributes
    ----------
    output : name of the output.
    x, y : coordinates of the two directions; no `y` draws the values themselves upwards.
    at : index along each dimension that is no direction.
    mean : dimensions that are averaged over instead.
    """

    output: str
    x: str
    y: str
    at: Mapping[str, int]
    mean: Sequence[str] = ()


class Cube:
    """A result as an explorer sees it.

    Parameters
    ----------
    dataset : outputs and coordinates; data may be lazy.
    members : names of the axes along each dimension of the space.
    """

    def __init__(self, dataset: xr.Dataset, members: Mapping[str, Sequence[str]]) -> None:
        self.dataset = dataset
        self.grid_dims = tuple(members)
        names = [str(name) for name in dataset.data_vars if name not in ("status", "error")]
        numbers = [name for name in names if dataset[name].dtype.kind in "biuf"]
        self.outputs = [name for name in numbers if dataset[name].size]
        self.unseen = [name for name in names if name not in self.outputs]
        if not self.outputs:
            raise ValueError(f"there is no output of real numbers to explore, only {names}")
        dims = dict.fromkeys(str(d) for name in self.outputs for d in dataset[name].dims)
        self.members = {dim: self._along_dim(dim, members.get(dim, ())) for dim in dims}

    def _along_dim(self, dim: str, axes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the coordinates along a dimension: their numbers, texts and label."""
        names = [name for name in axes if name in self.dataset.coords] or [dim]
        found = {}
        for name in names:
            size = self.dataset.sizes[dim]
            known = name in self.dataset.coords and self.dataset[name].dims == (dim,)
            labels = self.dataset[name].values if known else np.arange(size)
            attrs = self.dataset[name].attrs if known else {}
            found[name] = {
                "numbers": labels.astype(float).tolist() if _is_linear(labels) else None,
                "texts": label_texts(labels),
                "label": axis_label(name, attrs),
                "units": unit_suffix(attrs.get("units")),
            }
        return found

    def describe(self) -> dict[str, Any]:
        """Return names, labels and shapes of everything, as JSON can hold it.

        These are lists in the order of the widgets: an object of JavaScript has an order of its
        own where names look like numbers.
        """
        outputs = []
        for name in self.outputs:
            variable = self.dataset[name].variable
            outputs.append(
                {
                    "name": name,
                    "kind": variable.dtype.kind,
                    "dims": list(map(str, variable.dims)),
                    "shape": list(variable.shape),
                    "own": self.own(name),
                    "label": axis_label(name, variable.attrs),
                    "units": unit_suffix(variable.attrs.get("units")),
                }
            )
        return {
            "outputs": outputs,
            "dims": list(self.members),
            "members": [
                {"name": name, "dim": dim, **member}
                for dim, members in self.members.items()
                for name, member in members.items()
            ],
            "grid": [dim for dim in self.grid_dims if dim in self.members],
            "fixed": [
                [str(name), label_texts(c.values.reshape(1))[0], unit_suffix(c.attrs.get("units"))]
                for name, c in self.dataset.coords.items()
                if c.ndim == 0
            ],
            "most": {
                "map": MOST_CELLS,
                "points": MOST_POINTS,
                "line": MOST_POINTS,
                "details": MOST_DETAILS,
            },
        }

    def choices(self, output: str) -> list[str]:
        """Return the coordinates that may be directions for an output."""
        dims = map(str, self.dataset[output].dims)
        return [name for dim in dims for name in self.members[dim]]

    def dim(self, name: str) -> str:
        """Return the dimension along which a coordinate varies."""
        return next(dim for dim, members in self.members.items() if name in members)

    def start(self, output: str, x: str | None = None, y: str | None = None) -> tuple[str, str]:
        """Return the directions that suit an output: its first two dimensions of the space.

        Raises
        ------
        ValueError
            If the output does not vary along what was asked for, or not at all.
        """
        choices = self.choices(output)
        for role, name in (("x", x), ("y", y)):
            if name and name not in choices:
                raise ValueError(
                    f"{role}={name!r}: output {output!r} varies along {choices or 'nothing'}"
                )
        if x and x == y:
            raise ValueError(f"x and y are both {x!r}")
        if not choices:
            raise ValueError(f"output {output!r} is one number, so there is nothing to explore")
        over = [str(d) for d in self.dataset[output].dims if d in self.grid_dims]
        over = over or list(map(str, self.dataset[output].dims))
        scattered = [name for name in self.members[over[0]]]
        firsts = (
            scattered[:2] if len(scattered) > 1 else [next(iter(self.members[d])) for d in over]
        )
        x = x or next(name for name in (*firsts, *choices) if name != y or len(choices) == 1)
        if y is None:
            y = next((name for name in firsts if name != x), "")
        return x, "" if y == x else y

    def frame(self, view: View) -> dict[str, Any]:
        """Return a slice of an output as flat arrays, with labels of all that is seen.

        The `kind` is ``"map"`` (values of shape ``(len(y), len(x))``), ``"line"`` or ``"points"``.
        """
        variable = self.dataset[view.output].variable
        dim_x, dim_y = self.dim(view.x), self.dim(view.y) if view.y else None
        kept = [dim for dim in dict.fromkeys((dim_y, dim_x)) if dim is not None]
        mean = [dim for dim in view.mean if dim in variable.dims and dim not in kept]
        variable = variable.isel(
            {d: view.at.get(str(d), 0) for d in variable.dims if d not in (*kept, *mean)}
        )
        kind = "line" if dim_y is None else "points" if dim_y == dim_x else "map"
        most = MOST_CELLS if kind == "map" else MOST_POINTS
        steps = _steps([variable.sizes[dim] for dim in kept], most)
        variable = variable.isel(
            {d: slice(None, None, s) for d, s in zip(kept, steps, strict=True)}
        )
        if mean:
            variable = variable.astype(float, keep_attrs=True).mean(mean)
        return {
            "kind": kind,
            "joined": len(self.members[dim_x]) == 1,
            "x": self._along(view.x, steps[-1], always=kind == "map"),
            "y": self._along(view.y, steps[0], always=kind == "map") if view.y else None,
            "z": as_floats(variable.transpose(*kept).values),
            "label": axis_label(view.output, self.dataset[view.output].attrs),
            "note": self._note(view, mean, dict(zip(kept, steps, strict=True))),
        }

    def _along(self, name: str, step: int, always: bool) -> dict[str, Any]:
        """Return positions along a direction; `always` evenly spaced, as the cells of a map are."""
        member = self.members[self.dim(name)][name]
        shown: list[str] | None = member["texts"][::step]
        if always:
            at = np.arange(len(member["texts"][::step]))
        elif member["numbers"] is None:  # points may have the same text
            at, different = pd.factorize(np.array(shown, object))
            shown = different.tolist()
        else:
            at, shown = np.asarray(member["numbers"][::step]), None
        return {
            "name": name,
            "at": at.astype(float),
            "texts": shown,
            "label": member["label"],
            "step": step,
        }

    def _note(self, view: View, mean: Sequence[str], steps: Mapping[str, int]) -> str:
        """Say what is fixed, averaged, or left out."""
        parts = []
        for dim in map(str, self.dataset[view.output].dims):
            if dim in mean:
                parts.append(f"mean over {dim}")
            elif dim not in steps:
                for name, member in self.members[dim].items():
                    parts.append(
                        f"{name} = {member['texts'][view.at.get(dim, 0)]}{member['units']}"
                    )
        parts += [f"one in {step} of {dim} is drawn" for dim, step in steps.items() if step > 1]
        return ", ".join(parts)

    def own(self, output: str) -> list[str]:
        """Return the dimensions that an output has at each point."""
        return [str(d) for d in self.dataset[output].dims if d not in self.grid_dims]

    def details(self, output: str) -> list[str]:
        """Return the outputs that are drawn for one point, first the one that is looked at."""
        names = [name for name in self.outputs if self.own(name)]
        return sorted(names, key=lambda name: name != output)[:MOST_DETAILS]

    def point(self, at: Mapping[str, int], shown: Sequence[str]) -> dict[str, Any]:
        """Return what is known of a point.

        Returns
        -------
        dict
            Rows of name, text and units as ``parameters``, of name, number and units as
            ``values``; the message of a point that failed as ``error``; and the flat ``arrays`` of
            the outputs that are `shown`, of their dimensions beyond two at the index in `at`.
        """
        found: dict[str, Any] = {"parameters": [], "values": [], "error": "", "shown": list(shown)}
        for dim in self.grid_dims:
            for name, member in self.members.get(dim, {}).items():
                found["parameters"].append([name, member["texts"][at.get(dim, 0)], member["units"]])
        for name in self.outputs:
            if not self.own(name):
                units = unit_suffix(self.dataset[name].attrs.get("units"))
                number = self._at(name, at).item()
                known = number if np.isfinite(number) else str(number)  # JSON has no infinity
                found["values"].append([name, known, units])
        found["arrays"] = {name: as_floats(self._at(name, at)) for name in shown}
        if "error" in self.dataset:
            found["error"] = str(self._at("error", at).item())
        return found

    def _at(self, name: str, at: Mapping[str, int]) -> np.ndarray:
        """Return a variable at a point, over the last two of its own dimensions."""
        variable, own = self.dataset[name].variable, self.own(name)[-2:]
        return variable.isel({d: at.get(str(d), 0) for d in variable.dims if d not in own}).values

    def errors(self) -> dict[str, Any]:
        """Return the messages of all points that failed, by their position along some dims."""
        if "error" not in self.dataset:
            return {"dims": [], "shape": [], "at": {}}
        variable = self.dataset["error"].variable
        messages = enumerate(map(str, variable.values.reshape(-1)))
        return {
            "dims": list(map(str, variable.dims)),
            "shape": list(variable.shape),
            "at": {str(i): message for i, message in messages if message},
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all outputs as 32-bit floats, and of the texts of all labels."""
        members = (member for along in self.members.values() for member in along.values())
        texts = sum(len(text) for member in members for text in member["texts"])
        return texts + 4 * sum(self.dataset[name].size for name in self.outputs)


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return values in a row as 32-bit floats, of which screens have enough."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32).reshape(-1)


def _is_linear(labels: np.ndarray) -> bool:
    """Whether labels stand at their numbers.

    Evenly spaced on a logarithmic scale, they stand evenly as texts do.
    """
    return is_number(labels) and bool(np.isfinite(labels).all()) and not is_geometric(labels)


def _steps(sizes: Sequence[int], most: int) -> list[int]:
    """Return which part of each direction is drawn, as a step: 1 as long as all of it can be."""
    steps = [1] * len(sizes)
    while math.prod(-(-n // s) for n, s in zip(sizes, steps, strict=True)) > most:
        longest = max(range(len(sizes)), key=lambda i: sizes[i] / steps[i])
        steps[longest] += 1
    return steps
