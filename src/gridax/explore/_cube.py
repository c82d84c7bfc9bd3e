"""The data of an explorer: slices of outputs, and everything about one point.

This module knows nothing about drawing. Only the data in view are read, so results may be larger
than memory. A frame and a point consist of flat arrays and plain texts; `explore.js` computes the
same ones from the arrays of an exported page.
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
from gridax._text import listing

# Most cells of a map and most points, which a browser draws without delay.
MOST_CELLS, MOST_POINTS = 1_000_000, 100_000
MOST_DETAILS = 4  # plots of one point


@dataclasses.dataclass(frozen=True)
class View:
    """The slice to show.

    Attributes
    ----------
    output : name of the output.
    x, y : coordinates of the two directions; an empty `y` plots the values as a line.
    at : index along each dimension that is not a direction.
    mean : dimensions to average over instead.
    """

    output: str
    x: str
    y: str
    at: Mapping[str, int]
    mean: Sequence[str] = ()


class Cube:
    """A result, as the data of an explorer.

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
            raise ValueError(
                "the explorer needs an output of real numbers, but the outputs are "
                + listing(names)
            )
        dims = dict.fromkeys(str(d) for name in self.outputs for d in dataset[name].dims)
        self.members = {dim: self._along_dim(dim, members.get(dim, ())) for dim in dims}

    def _along_dim(self, dim: str, axes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return numbers, texts, label and units of the coordinates along a dimension."""
        names = [name for name in axes if name in self.dataset.coords] or [dim]
        members = {}
        for name in names:
            size = self.dataset.sizes[dim]
            known = name in self.dataset.coords and self.dataset[name].dims == (dim,)
            labels = self.dataset[name].values if known else np.arange(size)
            attrs = self.dataset[name].attrs if known else {}
            members[name] = {
                "numbers": labels.astype(float).tolist() if _is_linear(labels) else None,
                "texts": label_texts(labels),
                "label": axis_label(name, attrs),
                "units": unit_suffix(attrs.get("units")),
            }
        return members

    def describe(self) -> dict[str, Any]:
        """Return names, labels and shapes of everything, in types that JSON has.

        Ordered parts are lists, in the order of the widgets: JavaScript would sort those keys of
        an object that look like integers.
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
        """Return the coordinates that can be directions for an output."""
        dims = map(str, self.dataset[output].dims)
        return [name for dim in dims for name in self.members[dim]]

    def dim(self, name: str) -> str:
        """Return the dimension along which a coordinate varies."""
        return next(dim for dim, members in self.members.items() if name in members)

    def start(self, output: str, x: str | None = None, y: str | None = None) -> tuple[str, str]:
        """Return the first directions of an output: its first two dimensions of the space.

        Raises
        ------
        ValueError
            If the output does not vary along a requested direction, or not at all.
        """
        choices = self.choices(output)
        for role, name in (("x", x), ("y", y)):
            if name and name not in choices:
                raise ValueError(
                    f"{role}={name!r}: output {output!r} varies along "
                    f"{listing(choices) or 'no dimension'}"
                )
        if x and x == y:
            raise ValueError(f"x and y are both {x!r}; give different names")
        if not choices:
            raise ValueError(
                f"output {output!r} is a single number; the explorer needs one that varies along a "
                "dimension"
            )
        over = [str(d) for d in self.dataset[output].dims if d in self.grid_dims]
        over = over or list(map(str, self.dataset[output].dims))
        scattered = list(self.members[over[0]])
        firsts = (
            scattered[:2] if len(scattered) > 1 else [next(iter(self.members[d])) for d in over]
        )
        x = x or next(name for name in (*firsts, *choices) if name != y or len(choices) == 1)
        if y is None:
            y = next((name for name in firsts if name != x), "")
        return x, "" if y == x else y

    def frame(self, view: View) -> dict[str, Any]:
        """Return a slice of an output as flat arrays, with all labels that are shown.

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
            "x": self._along(view.x, steps[-1], even=kind == "map"),
            "y": self._along(view.y, steps[0], even=kind == "map") if view.y else None,
            "z": as_floats(variable.transpose(*kept).values),
            "label": axis_label(view.output, self.dataset[view.output].attrs),
            "note": self._note(view, mean, dict(zip(kept, steps, strict=True))),
        }

    def _along(self, name: str, step: int, even: bool) -> dict[str, Any]:
        """Return positions along a direction; `even` spacing suits the cells of a map."""
        member = self.members[self.dim(name)][name]
        texts: list[str] | None = member["texts"][::step]
        if even:
            at = np.arange(len(member["texts"][::step]))
        elif member["numbers"] is None:  # several points may have the same text
            at, different = pd.factorize(np.array(texts, object))
            texts = different.tolist()
        else:
            at, texts = np.asarray(member["numbers"][::step]), None
        return {
            "name": name,
            "at": at.astype(float),
            "texts": texts,
            "label": member["label"],
            "step": step,
        }

    def _note(self, view: View, mean: Sequence[str], steps: Mapping[str, int]) -> str:
        """Return a text about what is fixed, averaged, or left out."""
        parts = []
        for dim in map(str, self.dataset[view.output].dims):
            if dim in mean:
                parts.append(f"mean over {dim}")
            elif dim not in steps:
                for name, member in self.members[dim].items():
                    parts.append(
                        f"{name} = {member['texts'][view.at.get(dim, 0)]}{member['units']}"
                    )
        parts += [f"one in {step} along {dim} is shown" for dim, step in steps.items() if step > 1]
        return ", ".join(parts)

    def own(self, output: str) -> list[str]:
        """Return the dimensions that an output has at each point."""
        return [str(d) for d in self.dataset[output].dims if d not in self.grid_dims]

    def details(self, output: str) -> list[str]:
        """Return the outputs to plot for one point, beginning with the one in view."""
        names = [name for name in self.outputs if self.own(name)]
        return sorted(names, key=lambda name: name != output)[:MOST_DETAILS]

    def point(self, at: Mapping[str, int], shown: Sequence[str]) -> dict[str, Any]:
        """Return all values at a point.

        Returns
        -------
        dict
            ``parameters`` has rows of name, text and units; ``values`` has rows of name, number
            and units; ``error`` is the message of a failed point; ``arrays`` has the flat values
            of the outputs in `shown`, over the last two of their own dimensions.
        """
        point: dict[str, Any] = {
            "parameters": [],
            "values": [],
            "error": "",
            "shown": list(shown),
        }
        for dim in self.grid_dims:
            for name, member in self.members.get(dim, {}).items():
                point["parameters"].append([name, member["texts"][at.get(dim, 0)], member["units"]])
        for name in self.outputs:
            if not self.own(name):
                units = unit_suffix(self.dataset[name].attrs.get("units"))
                number = self._at(name, at).item()
                known = number if np.isfinite(number) else str(number)  # JSON has no infinity
                point["values"].append([name, known, units])
        point["arrays"] = {name: as_floats(self._at(name, at)) for name in shown}
        if "error" in self.dataset:
            point["error"] = str(self._at("error", at).item())
        return point

    def _at(self, name: str, at: Mapping[str, int]) -> np.ndarray:
        """Return a variable at a point, over the last two of its own dimensions."""
        variable, own = self.dataset[name].variable, self.own(name)[-2:]
        return variable.isel({d: at.get(str(d), 0) for d in variable.dims if d not in own}).values

    def errors(self) -> dict[str, Any]:
        """Return the messages of all failed points, by flat position."""
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
    """Return values as a flat array of 32-bit floats, which is precise enough for a screen."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32).reshape(-1)


def _is_linear(labels: np.ndarray) -> bool:
    """Whether labels are placed at their numbers.

    Labels that are evenly spaced on a logarithmic scale are placed evenly instead, like texts.
    """
    return is_number(labels) and bool(np.isfinite(labels).all()) and not is_geometric(labels)


def _steps(sizes: Sequence[int], most: int) -> list[int]:
    """Return the step along each direction with which at most `most` values are shown."""
    steps = [1] * len(sizes)
    while math.prod(-(-n // s) for n, s in zip(sizes, steps, strict=True)) > most:
        longest = max(range(len(sizes)), key=lambda i: sizes[i] / steps[i])
        steps[longest] += 1
    return steps
