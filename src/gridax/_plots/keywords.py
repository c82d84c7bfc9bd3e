"""The kinds of plots of a result, and the keywords that each of them takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Any

from gridax._text import did_you_mean, listing

CURVES = ("line", "step")
MAPS = ("pcolormesh", "contour", "contourf", "imshow", "surface")
KINDS = (*CURVES, "scatter", "hist", *MAPS)

ROLES = ("x", "y", "hue", "row", "col")
OWN = ("output", *ROLES, "mean", "sel", "band", "spread", "kind")
FIGURE = ("ax", "figsize", "size", "aspect", "col_wrap", "sharex", "sharey")
AXES = ("xscale", "yscale", "xlim", "ylim", "xticks", "yticks", "xincrease", "yincrease")
LEGEND = ("add_legend", "cmap", "add_colorbar", "cbar_kwargs", "cbar_ax")
COLORS = (*LEGEND[1:], "norm", "vmin", "vmax", "robust", "center", "levels", "extend")
# Keywords of matplotlib's functions that are no properties of what they draw.
OF_FUNCTION: Mapping[str, Sequence[str]] = {
    "scatter": ("s", "marker", "c"),
    "hist": ("bins", "range", "density", "cumulative", "histtype", "log", "stacked"),
    "pcolormesh": ("shading",),
    "contour": ("colors", "linewidths", "linestyles", "alpha", "antialiased", "zorder"),
    "contourf": ("colors", "hatches", "alpha", "antialiased", "zorder"),
    "surface": ("rcount", "ccount", "rstride", "cstride", "shade", "lightsource"),
}


# Other names of properties in matplotlib, most of which only some functions know.
_ALIASES = {
    **dict.fromkeys(("lw", "linewidths"), "linewidth"),
    **dict.fromkeys(("ls", "linestyles"), "linestyle"),
    **dict.fromkeys(("ec", "edgecolors"), "edgecolor"),
    **dict.fromkeys(("fc", "facecolors"), "facecolor"),
    **dict.fromkeys(("c", "colors"), "color"),
    **dict.fromkeys(("aa", "antialiaseds"), "antialiased"),
    "ms": "markersize",
    "mec": "markeredgecolor",
    "mfc": "markerfacecolor",
    "mew": "markeredgewidth",
    "ds": "drawstyle",
}
# What a function calls them, where that differs.
_OF_KIND: Mapping[str, Mapping[str, str]] = {
    "scatter": {"linewidth": "linewidths", "edgecolor": "edgecolors"},
    "contour": {"linewidth": "linewidths", "linestyle": "linestyles", "color": "colors"},
    "contourf": {"color": "colors"},
}


@dataclasses.dataclass(frozen=True)
class Keywords:
    """Keywords of a plot, by what they concern: figure, axes, colors, and what is drawn."""

    figure: dict[str, Any]
    axes: dict[str, Any]
    colors: dict[str, Any]
    drawn: dict[str, Any]


def check_kind(kind: str | None) -> None:
    """Reject a kind that does not exist, naming the most similar one."""
    if kind is not None and kind not in KINDS:
        meant = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
        raise ValueError(f"kind={kind!r} is unknown; choose from {listing(KINDS, 9)}{meant}")


def sorted_keywords(kind: str, given: Mapping[str, Any]) -> Keywords:
    """Sort the keywords of a kind of plot by what they concern.

    Raises
    ------
    TypeError
        If this kind of plot does not take a keyword.
    """
    colors = LEGEND if kind in (*CURVES, "hist") else COLORS
    artist, properties = _properties(kind)
    known = {*FIGURE, *AXES, *colors, *OF_FUNCTION.get(kind, ()), *properties}
    names = {name: _canonical(name, kind, known) for name in given}
    for name, meant in names.items():
        twin = next(other for other, same in names.items() if same == meant)
        if twin != name:
            raise TypeError(
                f"plot: {twin!r} and {name!r} are the same property; give only one of them"
            )
        if meant not in known:
            others = [k for k in KINDS if name in _all_of(k)]
            where = f" (it belongs to kind={listing(list(map(repr, others)), 9)})" if others else ""
            raise TypeError(
                f"plot: kind={kind!r} takes no keyword {name!r}{where}"
                f"{did_you_mean(name, [*OWN, *sorted(known)]) if not others else ''}. It takes "
                f"{listing([*OWN, *FIGURE, *AXES, *colors, *OF_FUNCTION.get(kind, ())], 99)}, "
                f"and the properties of matplotlib's {artist}"
            )
    given = {names[name]: value for name, value in given.items()}
    groups = (FIGURE, AXES, colors)
    chosen = [{name: given[name] for name in given if name in group} for group in groups]
    rest = {name: v for name, v in given.items() if not any(name in group for group in groups)}
    return Keywords(chosen[0], chosen[1], chosen[2], rest)


def _canonical(name: str, kind: str, known: Set[str]) -> str:
    """Return the name that matplotlib's function for a kind of plot has for a property."""
    if name == "c" and kind == "scatter":  # numbers, too
        return name
    plain = _ALIASES.get(name, name)
    found = _OF_KIND.get(kind, {}).get(plain, plain)
    return found if found in known else name


def _all_of(kind: str) -> set[str]:
    colors = LEGEND if kind in (*CURVES, "hist") else COLORS
    return {*colors, *OF_FUNCTION.get(kind, ()), *_properties(kind)[1]}


def _properties(kind: str) -> tuple[str, set[str]]:
    """Return the name of the class that a kind of plot draws, and its properties."""
    from matplotlib.artist import ArtistInspector
    from matplotlib.collections import PathCollection, QuadMesh
    from matplotlib.contour import ContourSet
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from mpl_toolkits.mplot3d.art3d import (  # type: ignore[import-untyped]
        Poly3DCollection,
    )

    artist: Any = {
        "line": Line2D,
        "step": Line2D,
        "scatter": PathCollection,
        "hist": Patch,
        "pcolormesh": QuadMesh,
        "imshow": AxesImage,
        "surface": Poly3DCollection,
    }.get(kind, ContourSet)
    if artist is ContourSet:
        return "contour", set()
    inspector = ArtistInspector(artist)
    aliases = {name for names in inspector.aliasd.values() for name in names}
    return artist.__name__, {*inspector.get_setters(), *aliases}
