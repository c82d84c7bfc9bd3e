"""An output over its dimensions: which picture suits it, drawn by xarray.

Nothing is computed here but the choice: labels, units and color bars are xarray's own.
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

from gridax._show.plot_style import (
    axis_label,
    is_geometric,
    is_number,
    label_texts,
    pyplot,
    scale,
    set_title,
    unit_suffix,
)

ROLES = ("x", "y", "hue", "row", "col")
MOST_FACETS = 36
MOST_LINES = 12


@dataclasses.dataclass(frozen=True)
class Picture:
    """What is drawn, and which dimension or coordinate plays which role.

    `members` has the coordinates of each dimension that several axes share.
    """

    values: xr.DataArray
    roles: dict[str, str]
    members: Mapping[str, Sequence[str]]

    def dim(self, name: str) -> str:
        """Return the dimension along which a role's name varies."""
        return str(self.values[name].dims[0]) if name in self.values.coords else name

    def free(self) -> list[str]:
        """Return the dimensions that have no role yet."""
        taken = {self.dim(name) for name in self.roles.values()}
        return [str(dim) for dim in self.values.dims if dim not in taken]

    def scattered(self) -> str | None:
        """Return the dimension along which both x and y vary, if they do."""
        x, y = (self.roles.get(role) for role in "xy")
        same = x is not None and y is not None and self.dim(x) == self.dim(y)
        return self.dim(x) if same and x is not None else None

    def with_roles(self, **roles: str | None) -> Picture:
        """Return the picture with more roles; those that are given already stay."""
        new = {role: name for role, name in roles.items() if name is not None}
        return dataclasses.replace(self, roles={**new, **self.roles})


def draw(
    values: xr.DataArray,
    members: Mapping[str, Sequence[str]],
    inner: Sequence[str],
    roles: Mapping[str, str | None],
    kwargs: Mapping[str, Any],
) -> Any:
    """Draw an output; return what xarray returns.

    Parameters
    ----------
    values : the output, with what is not drawn selected or averaged already.
    members : names of the axes along each dimension that several share.
    inner : the output's own dimensions.
    roles : coordinate or dimension for x, y, hue, row and col; None where it is chosen.
    kwargs : passed on to xarray.

    Raises
    ------
    ValueError
        If there is nothing to draw, too much, or a role names no dimension of the output.
    """
    plt = pyplot()
    picture = Picture(_plain(values), {r: n for r, n in roles.items() if n is not None}, members)
    _check(picture)
    picture = _arranged(_squeezed(picture), inner)
    _check_facets(picture)
    labels = _labels(picture)
    picture = dataclasses.replace(picture, values=_presented(picture))
    facets = {role: picture.roles[role] for role in ("row", "col") if role in picture.roles}
    options = dict(kwargs)
    if [*facets] == ["col"]:
        options.setdefault("col_wrap", min(4, picture.values.sizes[picture.dim(facets["col"])]))
    elif [*facets] == ["row"]:
        options.setdefault("aspect", 2)  # for one column is narrow
    if not facets and options.get("ax") is None:
        options.pop("ax", None)
        size = options.pop("figsize", (6, 4))
        options["ax"] = plt.subplots(figsize=size, layout="constrained")[1]
    many = len(labels.get("hue", ())) > MOST_LINES and is_number(labels["hue"])
    if many:
        options.setdefault("add_legend", False)
    artist = _drawn(picture, labels, options)
    panels = artist.axs if facets else np.array([options["ax"]])
    for ax, (role, along) in itertools.product(panels.flat, labels.items()):
        if role != "hue" and f"{role}scale" not in kwargs:
            scale(ax, role, along)
    if many and not options["add_legend"]:
        _color_lines(plt, panels if facets else artist, panels, picture, labels["hue"])
    set_title(panels, _selected(picture))
    return artist


def _drawn(picture: Picture, labels: Mapping[str, np.ndarray], options: dict[str, Any]) -> Any:
    values, roles = picture.values, picture.roles
    plot: Any = values.plot
    if picture.scattered():
        plot = values.to_dataset(name=values.name).plot
        # Points without a value are not seen, but take their place.
        options = {"plotnonfinite": True, **options}
        return plot.scatter(**{**roles, "hue": values.name}, **options)
    if "y" in roles:
        # The edges of the cells depend on the scale.
        scales = {f"{role}scale": "log" for role, along in labels.items() if is_geometric(along)}
        return plot.pcolormesh(**roles, **{**scales, **options})
    if len(picture.members.get(picture.dim(roles["x"]), ())) > 1:
        # Neighbors along one axis are none along the others, so no line joins them.
        options = {"marker": ".", "linestyle": "", **options}
    elif values.sizes[picture.dim(roles["x"])] == 1:
        options = {"marker": "o", **options}
    return plot.line(**roles, **options)


def _color_lines(
    plt: Any, drawn: Any, panels: np.ndarray, picture: Picture, labels: np.ndarray
) -> None:
    """Color the lines of many labels along a bar, which takes less room than a legend."""
    log = is_geometric(labels)
    norm = (plt.matplotlib.colors.LogNorm if log else plt.Normalize)(labels.min(), labels.max())
    colors = plt.cm.ScalarMappable(norm, "viridis")
    for lines in [ax.get_lines() for ax in drawn.flat] if panels is drawn else [drawn]:
        for line, label in zip(lines, labels, strict=False):  # panels may be left over
            line.set_color(colors.to_rgba(label))
    hue = picture.roles["hue"]
    attrs = picture.values[hue].attrs if hue in picture.values.coords else {}
    panels.flat[0].figure.colorbar(colors, ax=panels.ravel().tolist(), label=axis_label(hue, attrs))


def _selected(picture: Picture) -> str:
    """Say at which labels the picture is, for its title."""
    shown = []
    for name, c in picture.values.coords.items():
        if c.ndim == 0 or (c.ndim == 1 and c.size > 1 and (c == c[0]).all()):
            label = label_texts(c.values.reshape(-1)[:1], 6)[0]
            shown.append(f"{name} = {label}{unit_suffix(c.attrs.get('units'))}")
    return ", ".join(shown)


def _labels(picture: Picture) -> dict[str, np.ndarray]:
    """Return the labels along x, y and hue; numbers from 0 where there are none."""
    values, found = picture.values, {}
    for role in {"x", "y", "hue"} & picture.roles.keys():
        name = picture.roles[role]
        found[role] = (
            values[name].values if name in values.coords else np.arange(values.sizes[name])
        )
    return found


def _plain(values: xr.DataArray) -> xr.DataArray:
    """Return values that can be drawn: bools as 0 and 1."""
    if values.dtype.kind == "b":
        return values.astype(np.int8, keep_attrs=True)
    if values.dtype.kind == "c":
        raise ValueError(
            f"output {values.name!r} is complex; draw its absolute value: "
            f"abs(result.dataset[{values.name!r}]).plot()"
        )
    if not is_number(np.empty(0, values.dtype)):
        raise ValueError(f"output {values.name!r} holds {values.dtype}, not numbers")
    return values


def _check(picture: Picture) -> None:
    values = picture.values
    if values.size == 0:
        raise ValueError(f"no value of output {values.name!r} is left to draw")
    if values.ndim == 0:
        raise ValueError(
            f"output {values.name!r} is one number here, {values.item():g}: no dimension is left "
            "to draw"
        )
    known = [str(n) for n in values.dims] + [str(n) for n, c in values.coords.items() if c.ndim]
    for role, name in picture.roles.items():
        if name not in known:
            raise ValueError(
                f"{role}={name!r}: output {values.name!r} varies along {list(dict.fromkeys(known))}"
            )
        if name in values.coords and values[name].ndim != 1:
            raise ValueError(f"{role}={name!r} is an array at each point, so it gives no axis")
    if picture.roles.get("x", "") == picture.roles.get("y"):
        raise ValueError(f"x and y are both {picture.roles['x']!r}")
    dims = [picture.dim(name) for role, name in picture.roles.items() if role != "y"]
    if len(set(dims)) < len(dims):
        raise ValueError(
            f"x, hue, row and col need a dimension each, got {picture.roles} of output "
            f"{values.name!r}"
        )
    if "y" in picture.roles and "hue" in picture.roles:
        raise ValueError("hue= draws lines, y= a map of colors; give one of them")


def _squeezed(picture: Picture) -> Picture:
    """Take the one label of dimensions that have no other, as long as a dimension is left."""
    values = picture.values
    single = [dim for dim in picture.free() if values.sizes[dim] == 1]
    if len(single) == values.ndim:
        del single[0]
    return dataclasses.replace(picture, values=values.isel(dict.fromkeys(single, 0)))


def _arranged(picture: Picture, inner: Sequence[str]) -> Picture:
    """Give every dimension that has no role the one that suits it."""
    own = [dim for dim in inner if dim in picture.free()]
    shared = [dim for dim, names in picture.members.items() if len(names) > 1]
    scattered = [dim for dim in shared if dim in picture.free()]
    if "x" not in picture.roles and scattered and not own:
        x, y = _pair(picture, scattered[0])
        picture = picture.with_roles(x=x, y=None if "hue" in picture.roles else y)
    elif "x" not in picture.roles and picture.free():
        # A course over its own dimension, such as time, else what was written first.
        picture = picture.with_roles(x=own[-1] if own else picture.free()[0])
    elif "x" not in picture.roles:
        raise ValueError(f"no dimension is left for x beside {picture.roles}")
    free = sorted(picture.free(), key=lambda dim: picture.values.sizes[dim])
    if not {"y", "hue"} & set(picture.roles) and free:
        own = [dim for dim in inner if dim in free]
        few = [dim for dim in free if picture.values.sizes[dim] <= MOST_LINES]
        if picture.dim(picture.roles["x"]) not in shared:
            few = [dim for dim in few if _is_text(picture, dim)]
        if own:
            picture = picture.with_roles(y=own[-1])
        elif few:
            picture = picture.with_roles(hue=few[0])
        else:
            picture = picture.with_roles(y=free[-1])
    free = sorted(picture.free(), key=lambda dim: picture.values.sizes[dim])
    open_ = [role for role in ("col", "row") if role not in picture.roles]
    if len(free) > len(open_):
        raise ValueError(
            f"output {picture.values.name!r} has {picture.values.ndim} dimensions left, "
            f"{list(picture.values.dims)}, and a picture takes four: average over some with "
            "mean=, or choose labels with sel="
        )
    return picture.with_roles(**dict(zip(open_, reversed(free), strict=False)))


def _pair(picture: Picture, dim: str) -> tuple[str, str | None]:
    """Return two members of a shared dimension to scatter its points over."""
    names = [n for n in picture.members[dim] if is_number(picture.values[n].values)]
    if not names:
        return picture.members[dim][0], None
    return names[0], names[1] if len(names) > 1 else None


def _is_text(picture: Picture, dim: str) -> bool:
    return dim in picture.values.coords and not is_number(picture.values[dim].values)


def _check_facets(picture: Picture) -> None:
    sizes = {
        name: picture.values.sizes[picture.dim(name)]
        for role, name in picture.roles.items()
        if role in ("row", "col")
    }
    if math.prod(sizes.values()) > MOST_FACETS:
        listed = " × ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(
            f"output {picture.values.name!r} would need a panel for each of {listed}, and at most "
            f"{MOST_FACETS} are drawn: average over a dimension with mean=, or choose labels with "
            "sel="
        )


def _presented(picture: Picture) -> xr.DataArray:
    """Return the values in ascending order, with short labels and no units on pure numbers."""
    values = picture.values.load()
    scattered = picture.scattered()
    for role in "xy":
        name = picture.roles.get(role)
        if name not in values.coords:
            continue
        coordinate = values[name]
        if not is_number(coordinate.values):
            numbers = (coordinate.dims, pd.factorize(coordinate.values)[0], coordinate.attrs)
            shared = [n for n in values.xindexes if values[n].dims == coordinate.dims]
            values = values.drop_indexes(shared).assign_coords({name: numbers})
        elif scattered is None:
            values = values.sortby(name)
    hue = picture.roles.get("hue")
    if hue in values.coords and scattered is None and values[hue].dtype.kind == "f":
        short = [f"{label:.4g}" for label in values[hue].values]
        if len(set(short)) == len(short):  # as the legend shows them
            values = values.assign_coords({hue: (values[hue].dims, short, values[hue].attrs)})
    values = values.copy(deep=False)
    for variable in (values, *values.coords.values()):
        if not unit_suffix(variable.attrs.get("units")):
            variable.attrs = {k: v for k, v in variable.attrs.items() if k != "units"}
    return values
