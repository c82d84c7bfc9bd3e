"""Plots of a result: which kind of plot suits an output over its dimensions, drawn by xarray.

Only this choice is made here; labels, units and color bars are those of xarray.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridax._checks import optional
from gridax._grid.interp import on_scale
from gridax._show.plot_style import (
    axis_label,
    is_geometric,
    is_number,
    label_texts,
    scale_axis,
    set_title,
    unit_suffix,
)
from gridax._text import listing

ROLES = ("x", "y", "hue", "row", "col")
MOST_FACETS = 36
MOST_LINES = 12


@dataclasses.dataclass(frozen=True)
class Plot:
    """The values to plot, and the dimension or coordinate in each role.

    `members` has the coordinates along each dimension that several axes share; along those that are
    `refined`, points are dense where they matter. `logs` are logarithmic axes.
    """

    values: xr.DataArray
    roles: dict[str, str]
    members: Mapping[str, Sequence[str]]
    refined: Sequence[str] = ()
    logs: Sequence[str] = ()

    def dim(self, name: str) -> str:
        """Return the dimension of a coordinate, or the dimension of this name."""
        return str(self.values[name].dims[0]) if name in self.values.coords else name

    def varying(self, dim: str) -> list[str]:
        """Return the coordinates along a dimension that do not all have the same label."""
        names = self.members.get(dim, ())
        return [n for n in names if len(pd.unique(self.values[n].values)) > 1] or list(names)

    def free(self) -> list[str]:
        """Return the dimensions without a role."""
        taken = {self.dim(name) for name in self.roles.values()}
        return [str(dim) for dim in self.values.dims if dim not in taken]

    def scattered(self) -> str | None:
        """Return the dimension that x and y share, or None."""
        x, y = (self.roles.get(role) for role in "xy")
        same = x is not None and y is not None and self.dim(x) == self.dim(y)
        return self.dim(x) if same and x is not None else None

    def with_roles(self, **roles: str | None) -> Plot:
        """Return the plot with further roles; a role that is already taken is kept."""
        new = {role: name for role, name in roles.items() if name is not None}
        return dataclasses.replace(self, roles={**new, **self.roles})


def draw(
    values: xr.DataArray,
    members: Mapping[str, Sequence[str]],
    inner: Sequence[str],
    roles: Mapping[str, str | None],
    kwargs: Mapping[str, Any],
    refined: Sequence[str] = (),
    logs: Sequence[str] = (),
) -> Any:
    """Plot an output; return what xarray returns.

    Parameters
    ----------
    values : the output, after the selection and averaging of all else.
    members : names of the axes along each dimension.
    inner : the output's own dimensions.
    roles : coordinate or dimension for x, y, hue, row and col, or None to choose one here.
    kwargs : passed on to xarray.
    refined : dimensions whose points are dense where they matter, which are triangulated.
    logs : axes along them that are logarithmic.

    Raises
    ------
    ValueError
        If nothing is left to plot, if there are too many dimensions or panels, or if a role names
        no dimension of the output.
    """
    plt = optional("matplotlib.pyplot", "plot")
    given = {role: name for role, name in roles.items() if name is not None}
    plot = Plot(_as_numbers(values), given, members, refined, logs)
    _check(plot)
    plot = _assign_roles(_squeeze(plot), inner)
    _check_facets(plot)
    labels = _labels(plot)
    plot = dataclasses.replace(plot, values=_prepare(plot))
    facets = {role: plot.roles[role] for role in ("row", "col") if role in plot.roles}
    options = dict(kwargs)
    if [*facets] == ["col"]:
        options.setdefault("col_wrap", min(4, plot.values.sizes[plot.dim(facets["col"])]))
    elif [*facets] == ["row"]:
        options.setdefault("aspect", 2)  # one column leaves room for wide panels
    if not facets and options.get("ax") is None:
        options.pop("ax", None)
        size = options.pop("figsize", (6, 4))
        options["ax"] = plt.subplots(figsize=size, layout="constrained")[1]
    color_bar = len(labels.get("hue", ())) > MOST_LINES and is_number(labels["hue"])
    if color_bar:
        options.setdefault("add_legend", False)
    artist = _draw(plot, labels, options)
    panels = artist.axs if facets else np.array([options["ax"]])
    for ax, (role, along) in itertools.product(panels.flat, labels.items()):
        if role != "hue" and f"{role}scale" not in kwargs:
            scale_axis(ax, role, along)
    if color_bar and not options["add_legend"]:
        _color_lines(plt, panels if facets else artist, panels, plot, labels["hue"])
    set_title(panels, _selected(plot))
    return artist


def _draw(plot: Plot, labels: Mapping[str, np.ndarray], options: dict[str, Any]) -> Any:
    values, roles = plot.values, plot.roles
    method: Any = values.plot
    if plot.scattered() in plot.refined and not {"row", "col"} & set(roles):
        return _triangulated(plot, options)
    if plot.scattered():
        method = values.to_dataset(name=values.name).plot
        # Points without a value stay invisible, but count for the limits of the axes.
        options = {"plotnonfinite": True, **options}
        return method.scatter(**{**roles, "hue": values.name}, **options)
    if "y" in roles:
        # xarray infers the edges of the cells, which depends on the scale.
        scales = {f"{role}scale": "log" for role, along in labels.items() if is_geometric(along)}
        return method.pcolormesh(**roles, **{**scales, **options})
    if len(plot.varying(plot.dim(roles["x"]))) > 1:
        # The points are not ordered along this axis, so that a line would zigzag between them.
        options = {"marker": ".", "linestyle": "", **options}
    elif values.sizes[plot.dim(roles["x"])] == 1:
        options = {"marker": "o", **options}
    return method.line(**roles, **options)


def _triangulated(plot: Plot, options: dict[str, Any]) -> Any:
    """Draw values at the corners of triangles, without those where a value is missing."""
    from matplotlib.tri import Triangulation
    from scipy.spatial import Delaunay

    values, options = plot.values, dict(options)
    ax = options.pop("ax")
    x, y = (values[plot.roles[role]] for role in "xy")
    places = []
    for role, along in (("x", x), ("y", y)):
        is_log = plot.roles[role] in plot.logs
        if is_log:
            ax.set(**{f"{role}scale": "log"})
        places.append(on_scale(along.values, along.values, is_log))
    corners = Delaunay(np.stack(places, axis=1)).simplices
    known = np.isfinite(values.values[corners]).all(axis=1)
    mesh = Triangulation(x.values, y.values, corners[known])
    # Gouraud shading ignores the scale of an axis.
    linear = {plot.roles["x"], plot.roles["y"]}.isdisjoint(plot.logs)
    options.setdefault("shading", "gouraud" if linear else "flat")
    add_colorbar = options.pop("add_colorbar", True)
    artist = ax.tripcolor(mesh, values.values, **options)
    for role, along in (("x", x), ("y", y)):
        ax.set(**{f"{role}label": axis_label(plot.roles[role], along.attrs)})
    if add_colorbar:
        ax.figure.colorbar(artist, ax=ax, label=axis_label(str(values.name), values.attrs))
    return artist


def _color_lines(plt: Any, drawn: Any, panels: np.ndarray, plot: Plot, labels: np.ndarray) -> None:
    """Color the lines by their labels, with a color bar in place of a very long legend."""
    log = is_geometric(labels)
    norm = (plt.matplotlib.colors.LogNorm if log else plt.Normalize)(labels.min(), labels.max())
    colors = plt.cm.ScalarMappable(norm, "viridis")
    for lines in [ax.get_lines() for ax in drawn.flat] if panels is drawn else [drawn]:
        for line, label in zip(
            lines, labels, strict=False
        ):  # the last panels of a grid may be empty
            line.set_color(colors.to_rgba(label))
    hue = plot.roles["hue"]
    attrs = plot.values[hue].attrs if hue in plot.values.coords else {}
    panels.flat[0].figure.colorbar(colors, ax=panels.ravel().tolist(), label=axis_label(hue, attrs))


def _selected(plot: Plot) -> str:
    """Return the selected labels, for the title."""
    parts = []
    for name, c in plot.values.coords.items():
        if c.ndim == 0 or (c.ndim == 1 and c.size > 1 and (c == c[0]).all()):
            label = label_texts(c.values.reshape(-1)[:1], 6)[0]
            parts.append(f"{name} = {label}{unit_suffix(c.attrs.get('units'))}")
    return ", ".join(parts)


def _labels(plot: Plot) -> dict[str, np.ndarray]:
    """Return the labels along x, y and hue, or positions where there are none."""
    values, labels = plot.values, {}
    for role in {"x", "y", "hue"} & plot.roles.keys():
        name = plot.roles[role]
        labels[role] = (
            values[name].values if name in values.coords else np.arange(values.sizes[name])
        )
    return labels


def _as_numbers(values: xr.DataArray) -> xr.DataArray:
    """Return values that can be plotted: bools as 0 and 1."""
    if values.dtype.kind == "b":
        return values.astype(np.int8, keep_attrs=True)
    if values.dtype.kind == "c":
        raise ValueError(
            f"output {values.name!r} is complex; plot its absolute value: "
            f"abs(result.dataset[{values.name!r}]).plot()"
        )
    if not is_number(np.empty(0, values.dtype)):
        raise ValueError(
            f"output {values.name!r} has dtype {values.dtype}; only numbers can be plotted"
        )
    return values


def _check(plot: Plot) -> None:
    values = plot.values
    if values.size == 0:
        raise ValueError(f"the selection of output {values.name!r} is empty; select more labels")
    if values.ndim == 0:
        raise ValueError(
            f"output {values.name!r} is a single number here, {values.item():g}; leave at "
            "least one dimension to plot"
        )
    known = [str(n) for n in values.dims] + [str(n) for n, c in values.coords.items() if c.ndim]
    for role, name in plot.roles.items():
        if name not in known:
            raise ValueError(
                f"{role}={name!r}: output {values.name!r} varies along "
                f"{listing(list(dict.fromkeys(known)))}"
            )
        if name in values.coords and values[name].ndim != 1:
            raise ValueError(
                f"{role}={name!r} is an array at each point; name a coordinate of labels"
            )
    if plot.roles.get("x", "") == plot.roles.get("y"):
        raise ValueError(f"x and y are both {plot.roles['x']!r}; give different names")
    dims = [plot.dim(name) for role, name in plot.roles.items() if role != "y"]
    if len(set(dims)) < len(dims):
        raise ValueError(
            f"x, hue, row and col need different dimensions of output {values.name!r}, got "
            f"{plot.roles}"
        )
    if "y" in plot.roles and "hue" in plot.roles:
        raise ValueError("hue= draws lines and y= draws a color map; give only one of them")


def _squeeze(plot: Plot) -> Plot:
    """Drop dimensions of size 1, unless no dimension would be left."""
    values = plot.values
    single = [dim for dim in plot.free() if values.sizes[dim] == 1]
    if len(single) == values.ndim:
        del single[0]
    return dataclasses.replace(plot, values=values.isel(dict.fromkeys(single, 0)))


def _assign_roles(plot: Plot, inner: Sequence[str]) -> Plot:
    """Give a role to every dimension that has none."""
    own = [dim for dim in inner if dim in plot.free()]
    shared = [d for d, names in plot.members.items() if len(names) > 1 or d not in names]
    scattered = [dim for dim in shared if dim in plot.free()]
    if "x" not in plot.roles and scattered and not own:
        x, y = _pair(plot, scattered[0])
        plot = plot.with_roles(x=x, y=None if "hue" in plot.roles else y)
    elif "x" not in plot.roles and plot.free():
        # Time series run over their own dimension, all else over the first one of the space.
        plot = plot.with_roles(x=own[-1] if own else plot.free()[0])
    elif "x" not in plot.roles:
        raise ValueError(f"no dimension is left for x; the roles {plot.roles} take all of them")
    free = sorted(plot.free(), key=lambda dim: plot.values.sizes[dim])
    if not {"y", "hue"} & set(plot.roles) and free:
        own = [dim for dim in inner if dim in free]
        few = [dim for dim in free if plot.values.sizes[dim] <= MOST_LINES]
        if plot.dim(plot.roles["x"]) not in shared:
            few = [dim for dim in few if _is_text(plot, dim)]
        if own:
            plot = plot.with_roles(y=own[-1])
        elif few:
            plot = plot.with_roles(hue=few[0])
        else:
            plot = plot.with_roles(y=free[-1])
    free = sorted(plot.free(), key=lambda dim: plot.values.sizes[dim])
    open_ = [role for role in ("col", "row") if role not in plot.roles]
    if len(free) > len(open_):
        raise ValueError(
            f"output {plot.values.name!r} has {plot.values.ndim} dimensions left, "
            f"{list(plot.values.dims)}, but a plot shows four; average over some with mean=, or "
            "select labels with sel="
        )
    return plot.with_roles(**dict(zip(open_, reversed(free), strict=False)))


def _pair(plot: Plot, dim: str) -> tuple[str, str | None]:
    """Return two coordinates of a shared dimension as the directions of a scatter plot."""
    names = [n for n in plot.varying(dim) if is_number(plot.values[n].values)]
    if not names:
        return plot.members[dim][0], None
    return names[0], names[1] if len(names) > 1 else None


def _is_text(plot: Plot, dim: str) -> bool:
    return dim in plot.values.coords and not is_number(plot.values[dim].values)


def _check_facets(plot: Plot) -> None:
    sizes = {
        name: plot.values.sizes[plot.dim(name)]
        for role, name in plot.roles.items()
        if role in ("row", "col")
    }
    n_panels = math.prod(sizes.values())
    if n_panels > MOST_FACETS:
        facets = " × ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"output {plot.values.name!r} would need {n_panels} panels ({facets}), more than "
            f"{MOST_FACETS}; average over a dimension with mean=, or select labels with "
            "sel="
        )


def _prepare(plot: Plot) -> xr.DataArray:
    """Return values in ascending order of labels, with short labels and without the units "1"."""
    values = plot.values.load()
    scattered = plot.scattered()
    for role in "xy":
        name = plot.roles.get(role)
        if name not in values.coords:
            continue
        coordinate = values[name]
        if not is_number(coordinate.values):
            numbers = (coordinate.dims, pd.factorize(coordinate.values)[0], coordinate.attrs)
            shared = [n for n in values.xindexes if values[n].dims == coordinate.dims]
            values = values.drop_indexes(shared).assign_coords({name: numbers})
        elif scattered is None:
            values = values.sortby(name)
    hue = plot.roles.get("hue")
    if hue in values.coords and scattered is None and values[hue].dtype.kind == "f":
        short = [f"{label:.4g}" for label in values[hue].values]
        if len(set(short)) == len(short):  # the legend shows the labels as they are
            values = values.assign_coords({hue: (values[hue].dims, short, values[hue].attrs)})
    values = values.copy(deep=False)
    for variable in (values, *values.coords.values()):
        if not unit_suffix(variable.attrs.get("units")):
            variable.attrs = {k: v for k, v in variable.attrs.items() if k != "units"}
    return values
