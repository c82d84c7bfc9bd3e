"""The data of an explorer: slices of outputs, and everything about one point.

This module knows nothing about drawing. Only the data in view are read, so results may be larger
than memory. A frame and a point consist of flat arrays and plain texts; the JavaScript code of an
exported page computes the same ones from the arrays in it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridax._outputs.labels import STATES, without_states
from gridax._show.labels import label_texts, unit_suffix
from gridax._text import listing
from gridax.explore import _labels
from gridax.explore._values import Output, compact, outputs_of

# Most cells of a map and most points, which a browser draws without delay.
MOST_CELLS, MOST_POINTS = 1_000_000, 100_000
MOST_DETAILS = 4  # plots of one point
_HOPELESS = 20  # times too large for a page


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
    choices : names of axes whose labels are alternatives rather than numbers on a scale.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        members: Mapping[str, Sequence[str]],
        choices: Collection[str] = (),
    ) -> None:
        names = [*without_states(dataset)]
        if not any(dataset[name].ndim for name in names):
            # A single point without arrays is a line of one point.
            dataset, members = dataset.expand_dims("point"), {"point": ["point"]}
        self.dataset = dataset
        self.grid_dims = tuple(members)
        self.outputs: dict[str, Output] = {}
        for name in names:
            if dataset[name].size:
                self.outputs |= {o.name: o for o in outputs_of(name, dataset[name].variable)}
        shown = {output.source for output in self.outputs.values()}
        self.unseen = [name for name in names if name not in shown]
        if not self.outputs:
            raise ValueError(
                "the explorer needs an output of numbers, but the outputs are "
                + (listing(names) or "none")
            )
        dims = dict.fromkeys(dim for output in self.outputs.values() for dim in output.dims)
        self.members = {dim: self._along_dim(dim, members.get(dim, ()), choices) for dim in dims}

    def _along_dim(
        self, dim: str, axes: Sequence[str], choices: Collection[str]
    ) -> dict[str, _labels.Member]:
        """Return the coordinates along a dimension."""
        names = [name for name in axes if name in self.dataset.coords] or [dim]
        return {
            name: _labels.member(name, *self.labels(name, dim), name in choices) for name in names
        }

    def labels(self, name: str, dim: str) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Return labels and attributes along a dimension; without a coordinate, positions."""
        if name in self.dataset.coords and self.dataset[name].dims == (dim,):
            return self.dataset[name].values, self.dataset[name].attrs
        return np.arange(self.dataset.sizes[dim]), {}

    def describe(self) -> dict[str, Any]:
        """Return names, labels and shapes of everything, in types that JSON has.

        Ordered parts are lists, in the order of the widgets: JavaScript would sort those keys of
        an object that look like integers.
        """
        return {
            "outputs": [{**o.describe(), "own": self.own(o.name)} for o in self.outputs.values()],
            "dims": list(self.members),
            "members": [
                {"dim": dim, **member}
                for dim, members in self.members.items()
                for member in members.values()
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
        return [name for dim in self.outputs[output].dims for name in self.members[dim]]

    def dim(self, name: str) -> str:
        """Return the dimension along which a coordinate varies."""
        return next(dim for dim, members in self.members.items() if name in members)

    def frame(self, view: View) -> dict[str, Any]:
        """Return a slice of an output as flat arrays, with all labels that are shown.

        The `kind` is ``"map"`` (values of shape ``(len(y), len(x))``), ``"line"`` or ``"points"``.
        """
        output = self.outputs[view.output]
        dim_x, dim_y = self.dim(view.x), self.dim(view.y) if view.y else None
        kept = [dim for dim in dict.fromkeys((dim_y, dim_x)) if dim is not None]
        mean = [dim for dim in view.mean if dim in output.dims and dim not in kept]
        kind = "line" if dim_y is None else "points" if dim_y == dim_x else "map"
        sizes = [self.dataset.sizes[dim] for dim in kept]
        steps = _steps(sizes, MOST_CELLS if kind == "map" else MOST_POINTS)
        indexers: dict[str, Any] = {
            dim: view.at.get(dim, 0) for dim in output.dims if dim not in (*kept, *mean)
        }
        indexers |= {d: slice(None, None, s) for d, s in zip(kept, steps, strict=True)}
        values = output.isel(indexers)
        if mean:
            values = values.astype(float).mean(mean)
        x, y = self.members[dim_x][view.x], dim_y and self.members[dim_y][view.y]
        return {
            "output": view.output,
            "kind": kind,
            "joined": len(self.members[dim_x]) == 1,
            "x": _labels.along(x, steps[-1], even=kind == "map"),
            "y": _labels.along(y, steps[0], even=kind == "map") if y else None,
            "z": compact(values.transpose(*kept).values),
            "mean": mean,
            "note": self._note(view, mean, dict(zip(kept, steps, strict=True))),
        }

    def _note(self, view: View, mean: Sequence[str], steps: Mapping[str, int]) -> str:
        """Return a text about what is fixed, averaged, or left out."""
        parts = []
        for dim in self.outputs[view.output].dims:
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
        return [dim for dim in self.outputs[output].dims if dim not in self.grid_dims]

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
            and units; ``status`` is 0 for a point that has not been computed, 1, or 2 for one that
            failed, with the message ``error``; ``arrays`` has the flat values of the outputs in
            `shown`, over the last two of their own dimensions.
        """
        point: dict[str, Any] = {
            "parameters": [],
            "values": [],
            "status": 1,
            "error": "",
            "shown": list(shown),
        }
        for dim in self.grid_dims:
            for name, member in self.members.get(dim, {}).items():
                point["parameters"].append([name, member["texts"][at.get(dim, 0)], member["units"]])
        for name, output in self.outputs.items():
            if not self.own(name):
                number = self._at(name, at).item()
                known = number if np.isfinite(number) else str(number)  # JSON has no infinity
                point["values"].append([name, known, unit_suffix(output.attrs.get("units"))])
        point["arrays"] = {name: compact(self._at(name, at)) for name in shown}
        for name in STATES:
            if name in self.dataset:
                variable = self.dataset[name].variable
                here = variable.isel({dim: at.get(str(dim), 0) for dim in variable.dims})
                point[name] = here.values.item()
        return point

    def _at(self, name: str, at: Mapping[str, int]) -> np.ndarray:
        """Return an output at a point, over the last two of its own dimensions."""
        output, own = self.outputs[name], self.own(name)[-2:]
        return output.isel({d: at.get(d, 0) for d in output.dims if d not in own}).values

    def states(self) -> dict[str, Any]:
        """Return the status of all points that are not done, and all messages, by position."""
        states: dict[str, Any] = {"dims": list(self.grid_dims), "status": {}, "error": {}}
        states["shape"] = [self.dataset.sizes[dim] for dim in self.grid_dims]
        if "status" in self.dataset:
            status = self.dataset["status"].transpose(*self.grid_dims).values.reshape(-1)
            states["status"] = {str(i): int(status[i]) for i in np.flatnonzero(status != 1)}
        if "error" in self.dataset:
            messages = self.dataset["error"].transpose(*self.grid_dims).values.reshape(-1)
            states["error"] = {str(i): str(m) for i, m in enumerate(messages) if m}
        return states

    def nbytes(self, most: int) -> dict[str, int]:
        """Return the bytes in an exported page: of each output, and of all labels.

        Only where they may be more than `most`, the outputs are read to see how far they compress,
        unless they are far too large.
        """
        labels = len(json.dumps(self.describe()))
        sizes = {name: output.nbytes for name, output in self.outputs.items()}
        if most < sum(sizes.values()) + labels < _HOPELESS * most:
            sizes = {name: output.compressed() for name, output in self.outputs.items()}
        return {**sizes, "labels": labels}


def _steps(sizes: Sequence[int], most: int) -> list[int]:
    """Return the step along each direction with which at most `most` values are shown."""
    steps = [1] * len(sizes)
    while math.prod(-(-n // s) for n, s in zip(sizes, steps, strict=True)) > most:
        longest = max(range(len(sizes)), key=lambda i: sizes[i] / steps[i])
        steps[longest] += 1
    return steps
