"""Which dimension or coordinate of an output is drawn in which direction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from gridax._plots.keywords import CURVES, MAPS
from gridax._plots.spread import LEVELS
from gridax._plots.style import MOST_LINES
from gridax._show.labels import axis_label, is_date, is_number
from gridax._text import listing

MOST_FACETS = 36


@dataclasses.dataclass(frozen=True)
class Plot:
    """The values to plot, and the dimension or coordinate in each role.

    Attributes
    ----------
    values : the output, after the selection and averaging of all else.
    roles : coordinate or dimension for x, y, hue, row and col.
    members : names of the axes along each dimension.
    kind : the kind of plot that the user wants, if any.
    refined : dimensions whose points are dense where they matter, which are triangulated.
    logs : axes that are logarithmic.
    nominal : axes whose labels are names, even where they are numbers.
    """

    values: xr.DataArray
    roles: dict[str, str]
    members: Mapping[str, Sequence[str]]
    kind: str | None = None
    refined: Sequence[str] = ()
    logs: Sequence[str] = ()
    nominal: Sequence[str] = ()

    def dim(self, name: str) -> str:
        """Return the dimension of a coordinate, or the dimension of this name."""
        return str(self.values[name].dims[0]) if name in self.values.coords else name

    def dim_of(self, role: str) -> str | None:
        """Return the dimension in a role, or None."""
        return self.dim(self.roles[role]) if role in self.roles else None

    def labels(self, role: str) -> np.ndarray:
        """Return the labels in a role, or positions where there are none."""
        name, coords = self.roles[role], self.values.coords
        return coords[name].values if name in coords else np.arange(self.values.sizes[name])

    def text(self, role: str) -> str:
        """Return the name and the units of what is in a role."""
        name, coords = self.roles[role], self.values.coords
        return axis_label(name, coords[name].attrs if name in coords else {})

    def is_category(self, name: str) -> bool:
        """Whether labels are names: there is nothing between them, and they have no order."""
        labels = self.values[name].values if name in self.values.coords else np.empty(0, int)
        return name in self.nominal or not (is_date(labels) or is_number(labels))

    def varying(self, dim: str) -> list[str]:
        """Return the axes along a dimension that do not all have the same label."""
        names = [n for n in self.members.get(dim, ()) if n in self.values.coords]
        return [n for n in names if len(pd.unique(self.values[n].values)) > 1] or names

    def facets(self) -> dict[str, str]:
        """Return the names in the roles row and col."""
        return {role: self.roles[role] for role in ("row", "col") if role in self.roles}

    def labels_of_panels(self) -> dict[str, np.ndarray]:
        """Return the different labels in the roles row and col."""
        return {role: np.asarray(pd.unique(self.labels(role))) for role in self.facets()}

    def free(self) -> list[str]:
        """Return the dimensions without a role."""
        taken = {LEVELS, *(self.dim(name) for name in self.roles.values())}
        return [str(dim) for dim in self.values.dims if dim not in taken]

    def scattered(self) -> str | None:
        """Return the dimension that x and y share, or None."""
        return self.dim_of("x") if self.dim_of("x") == self.dim_of("y") else None

    def has_hue_per_point(self) -> bool:
        """Whether the labels of hue, along x, are so many that no curve would join them."""
        if "hue" not in self.roles or self.dim_of("hue") != self.dim_of("x"):
            return False
        n = len(pd.unique(self.labels("hue")))
        return n > MOST_LINES and len(self.labels("hue")) < 3 * n

    def with_roles(self, **roles: str | None) -> Plot:
        """Return the plot with further roles; a role that is already taken is kept."""
        new = {role: name for role, name in roles.items() if name is not None}
        return dataclasses.replace(self, roles={**new, **self.roles})

    def with_values(self, values: xr.DataArray) -> Plot:
        """Return the same plot of other values."""
        return dataclasses.replace(self, values=values)


def assigned(plot: Plot, inner: Sequence[str]) -> Plot:
    """Return the plot with a role for every dimension.

    Parameters
    ----------
    plot : with the roles that the user gave.
    inner : the output's own dimensions.

    Raises
    ------
    ValueError
        If nothing is left to plot, if there are too many dimensions or panels, or if a role names
        no dimension of the output.
    """
    _check(plot)
    plot = _squeezed(plot)
    plot = _with_x(plot, inner) if plot.kind != "hist" else plot
    plot = _with_panels(plot) if plot.kind != "hist" else plot
    _check_panels(plot)
    return plot


def _check(plot: Plot) -> None:
    values, roles, kind = plot.values, plot.roles, plot.kind
    dims = [str(dim) for dim in values.dims if dim != LEVELS]
    if values.size == 0:
        raise ValueError(f"the selection of output {values.name!r} is empty; select more labels")
    if not dims and values.ndim:
        raise ValueError(
            f"output {values.name!r} has a single band here; leave at least one dimension to plot"
        )
    if not dims:
        raise ValueError(
            f"output {values.name!r} is a single number here, {values.values.item():g}; leave at "
            "least one dimension to plot"
        )
    known = dims + [str(n) for n, c in values.coords.items() if c.ndim]
    for role, name in roles.items():
        if name not in known:
            raise ValueError(
                f"{role}={name!r}: output {values.name!r} varies along "
                f"{listing(list(dict.fromkeys(known)))}"
            )
        if name in values.coords and values[name].ndim != 1:
            raise ValueError(
                f"{role}={name!r} is an array at each point; name a coordinate of labels"
            )
    _check_roles(plot)
    has_levels = LEVELS in values.dims
    if "y" in roles and has_levels:
        raise ValueError("band= draws lines and y= draws a color map; give only one of them")
    if kind is not None and kind not in CURVES and has_levels:
        raise ValueError(f"band= draws lines, which kind={kind!r} does not have; drop kind=")
    if kind in CURVES and "y" in roles:
        raise ValueError(f"kind={kind!r} draws the values along y; use hue= in place of y=")
    if kind == "hist" and {"x", "y"} & set(roles):
        raise ValueError("kind='hist' draws the values along x; use hue=, row= or col=")
    if kind in MAPS and "hue" in roles:
        raise ValueError(f"kind={kind!r} draws a color map; use y= in place of hue=")


def _check_roles(plot: Plot) -> None:
    roles = plot.roles
    if roles.get("x", "") == roles.get("y"):
        raise ValueError(f"x and y are both {roles['x']!r}; give different names")
    names = [name for role, name in roles.items() if role != "y"]
    if len(set(names)) < len(names):
        raise ValueError(
            f"x, hue, row and col need different dimensions of output {plot.values.name!r}, got "
            f"{roles}"
        )
    if "y" in roles and "hue" in roles:
        raise ValueError("hue= draws lines and y= draws a color map; give only one of them")


def _squeezed(plot: Plot) -> Plot:
    """Drop dimensions of size 1, unless no dimension would be left."""
    values = plot.values
    single = [dim for dim in plot.free() if values.sizes[dim] == 1]
    if len(single) == len(set(values.dims) - {LEVELS}):
        del single[0]
    return plot.with_values(values.isel(dict.fromkeys(single, 0)))


def _with_x(plot: Plot, inner: Sequence[str]) -> Plot:
    """Return the plot with x, and with y or hue if there is a dimension for it."""
    is_lines = plot.kind in (*CURVES, "scatter") or LEVELS in plot.values.dims
    own = [dim for dim in inner if dim in plot.free()]
    shared = [d for d, names in plot.members.items() if len(names) > 1 or d not in names]
    scattered = [dim for dim in shared if dim in plot.free()]
    if "x" not in plot.roles and scattered and not own:
        x, y = _pair(plot, scattered[0])
        along_y = "hue" not in plot.roles and (not is_lines or plot.kind == "scatter")
        plot = plot.with_roles(x=x, y=y if along_y and LEVELS not in plot.values.dims else None)
    elif "x" not in plot.roles and plot.free():
        # Time series run over their own dimension, all else over the first one of the space.
        plot = plot.with_roles(x=own[-1] if own else plot.free()[0])
    elif "x" not in plot.roles and (beside := _beside(plot)):
        plot = plot.with_roles(x=beside)
    elif "x" not in plot.roles:
        raise ValueError(f"no dimension is left for x; the roles {plot.roles} take all of them")
    free = sorted(plot.free(), key=lambda dim: plot.values.sizes[dim])
    if {"y", "hue"} & set(plot.roles) or not free:
        return plot
    own = [dim for dim in inner if dim in free]
    few = [dim for dim in free if plot.values.sizes[dim] <= MOST_LINES]
    if is_lines:
        return plot.with_roles(hue=(few or free)[0])
    if plot.kind in MAPS:
        few = []
    elif plot.dim(plot.roles["x"]) not in shared:
        few = [dim for dim in few if dim in plot.values.coords and plot.is_category(dim)]
        few = [dim for dim in few if not is_number(plot.values[dim].values)]
    if own:
        return plot.with_roles(y=own[-1])
    return plot.with_roles(hue=few[0]) if few else plot.with_roles(y=free[-1])


def _with_panels(plot: Plot) -> Plot:
    """Return the plot with the dimensions that are left in columns and rows."""
    if plot.kind in MAPS and "y" not in plot.roles:
        raise ValueError(
            f"kind={plot.kind!r} needs two dimensions, but output {plot.values.name!r} has only "
            f"{plot.roles['x']!r} left; use kind='line'"
        )
    free = sorted(plot.free(), key=lambda dim: plot.values.sizes[dim])
    open_ = [role for role in ("col", "row") if role not in plot.roles]
    if len(free) > len(open_):
        dims = [dim for dim in plot.values.dims if dim != LEVELS]
        raise ValueError(
            f"output {plot.values.name!r} has {len(dims)} dimensions left, "
            f"{dims}, but a plot shows four; average over some with mean=, or "
            "select labels with sel="
        )
    return plot.with_roles(**dict(zip(open_, reversed(free), strict=False)))


def _beside(plot: Plot) -> str | None:
    """Return an axis that shares a dimension with one in a role, preferably one with numbers."""
    taken = set(plot.roles.values())
    dims = dict.fromkeys(plot.dim(name) for name in plot.roles.values())
    names = [n for dim in dims for n in plot.varying(dim) if n not in taken]
    return min(names, key=plot.is_category, default=None)


def _pair(plot: Plot, dim: str) -> tuple[str, str | None]:
    """Return two coordinates of a shared dimension as the directions of a scatter plot."""
    names = plot.varying(dim)
    numbers = [n for n in names if is_number(plot.values[n].values)]
    if not names:  # a dimension of which no axis is left
        return dim, None
    if not numbers:
        return names[0], None
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def _check_panels(plot: Plot) -> None:
    labels = plot.labels_of_panels()
    sizes = {name: len(labels[role]) for role, name in plot.roles.items() if role in labels}
    n_panels = math.prod(sizes.values())
    if n_panels > MOST_FACETS:
        product = " × ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"output {plot.values.name!r} would need {n_panels} panels ({product}), more than "
            f"{MOST_FACETS}; average over a dimension with mean=, or select labels with "
            "sel="
        )
