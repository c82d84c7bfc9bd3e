"""Colors of values and of lines, and the color bars and legends that explain them."""

from __future__ import annotations

import copy
import dataclasses
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gridax._plots.scale import Placement
from gridax._plots.style import MOST_LINES
from gridax._show.labels import flags, is_number, label_texts

MOST_NAMES = 10
WRAP = 42


@dataclasses.dataclass(frozen=True)
class Colors:
    """The colors of values: a color map, its norm, and how the color bar is drawn."""

    cmap: Any
    norm: Any
    extend: str = "neither"
    levels: np.ndarray | None = None
    ticks: Mapping[float, str] | None = None


def colors_of(
    values: Iterable[np.ndarray],
    attrs: Mapping[str, Any],
    options: Mapping[str, Any],
    kind: str = "pcolormesh",
) -> Colors:
    """Choose colors for values, the same ones in all panels.

    Parameters
    ----------
    values : numbers in each panel; what is not finite has no color.
    attrs : of the output; ``flag_values`` and ``flag_meanings`` (as in CF) give each value a name.
    options : the keywords ``cmap``, ``norm``, ``vmin``, ``vmax``, ``robust``, ``center``,
        ``levels`` and ``extend``, with the same meaning as in xarray.
    kind : of the plot; dots and lines that are white would be invisible.
    """
    import matplotlib.pyplot as plt
    from matplotlib import colors, ticker

    finite = np.concatenate([v[np.isfinite(v)].ravel() for v in values] or [np.empty(0)])
    named = flags(attrs)
    if named and not options.keys() - {"add_colorbar", "cbar_kwargs", "cbar_ax", "cmap"}:
        return _flag_colors(named, options.get("cmap"))
    norm, levels = _norm(options, finite), _checked_levels(options.get("levels"))
    low, high, default = _limits(finite, options)
    if default == "RdBu_r" and kind in ("scatter", "contour"):
        default = {"scatter": "coolwarm", "contour": plt.rcParams["image.cmap"]}[kind]
    cmap = plt.get_cmap(options.get("cmap") or default)
    if norm is not None:
        norm.vmin, norm.vmax = options.get("vmin", norm.vmin), options.get("vmax", norm.vmax)
        if levels is None:
            norm.autoscale_None(finite)
        low, high = norm.vmin, norm.vmax
    if levels is not None:
        if np.ndim(levels) == 0:
            levels = ticker.MaxNLocator(levels + 1, min_n_ticks=1).tick_values(low, high)
        levels = np.asarray(levels)
        low, high = levels[0], levels[-1]
    extend: Any = options.get("extend") or _extend(finite, low, high)
    if levels is not None and norm is None:
        norm = colors.BoundaryNorm(levels, cmap.N, extend=extend)
    return Colors(cmap, norm or colors.Normalize(low, high), extend, levels)


def _norm(options: Mapping[str, Any], finite: np.ndarray) -> Any:
    """Return the norm that the user gave, if any: one of matplotlib, or the name of a scale."""
    from matplotlib.colors import LogNorm, Normalize

    given = options.get("norm")
    if isinstance(given, Normalize) or given is None:
        return copy.copy(given)  # its limits are set
    if given == "linear":
        return None
    if not isinstance(given, str) or given != "log":
        raise ValueError(f"norm={given!r} must be 'linear', 'log', or a norm of matplotlib.colors")
    for name in ("vmin", "vmax"):
        if options.get(name) is not None and options[name] <= 0:
            raise ValueError(f"{name}={options[name]!r} must be positive with norm='log'")
    if finite.size and not (finite > 0).any():
        raise ValueError("norm='log' needs positive values, but there are none here")
    return LogNorm()


def _checked_levels(levels: Any) -> Any:
    """Return the number of levels, or increasing levels."""
    if levels is None:
        return None
    array = np.asarray(levels)
    is_count = array.ndim == 0 and array.dtype.kind in "iu" and array > 0
    if is_count:
        return int(array)
    if array.ndim == 1 and array.size > 1 and is_number(array) and (np.diff(array) > 0).all():
        return array.astype(float)
    raise ValueError(
        f"levels={levels!r} must be a positive whole number, or at least two increasing numbers"
    )


def _limits(finite: np.ndarray, options: Mapping[str, Any]) -> tuple[float, float, str]:
    """Return the limits of the colors and a color map, which diverges from a center if any."""
    import matplotlib.pyplot as plt

    vmin, vmax, center = (options.get(name) for name in ("vmin", "vmax", "center"))
    low, high = (0.0, 1.0) if not finite.size else (float(finite.min()), float(finite.max()))
    if options.get("robust") and finite.size:
        low, high = np.percentile(finite, [2, 98]).tolist()
    if vmin is not None and vmax is not None and vmin > vmax:
        raise ValueError(f"vmin={vmin!r} must not be larger than vmax={vmax!r}")
    # A limit that is given may be beyond all values.
    low = min(low, high if vmax is None else vmax) if vmin is None else vmin
    high = max(low, high) if vmax is None else vmax
    # A few values just below zero, from noise, do not make half of the colors worth it.
    both_signs = low < 0 < high and min(-low, high) > 0.25 * max(-low, high)
    diverges = center not in (None, False) or (center is None and both_signs)
    if low == high:
        low, high = low - 0.5 * (vmin is None), high + 0.5 * (vmax is None or vmin is not None)
    if not diverges or options.get("norm") is not None:
        return low, high, plt.rcParams["image.cmap"]
    if options.get("cmap") is None or center is not None:
        middle = center or 0.0
        reach = max(abs(low - middle), abs(high - middle))
        low = middle - reach if vmin is None else low
        high = middle + reach if vmax is None else high
    return low, high, "RdBu_r"


def _extend(finite: np.ndarray, low: float, high: float) -> str:
    if not finite.size:
        return "neither"
    below, above = finite.min() < low, finite.max() > high
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _flag_colors(named: Mapping[float, str], cmap: Any) -> Colors:
    import matplotlib.pyplot as plt
    from matplotlib import colors

    at = np.array(sorted(named), float)
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[at[0] - 0.5], middle, [at[-1] + 0.5]])
    if cmap is None:
        tones = plt.get_cmap("cividis")(np.linspace(0.1, 0.9, len(at)))
        cmap = colors.ListedColormap(tones)
    norm = colors.BoundaryNorm(edges, plt.get_cmap(cmap).N)
    return Colors(plt.get_cmap(cmap), norm, ticks={v: named[v] for v in sorted(named)})


def add_color_bar(
    drawn: Any, colors: Colors, panels: np.ndarray, text: str, options: Mapping[str, Any]
) -> None:
    """Draw the color bar of a color map beside its panels."""
    keywords: dict[str, Any] = {
        "label": textwrap.fill(text, WRAP),
        **(options.get("cbar_kwargs") or {}),
    }
    if options.get("cbar_ax") is not None:
        keywords["cax"] = options["cbar_ax"]
    elif "cax" not in keywords:
        keywords.setdefault("ax", panels.ravel().tolist())
    if (
        colors.extend != "neither"
        and not getattr(drawn, "filled", False)
        and "extend" not in keywords
    ):
        keywords["extend"] = colors.extend
    bar = panels.flat[0].figure.colorbar(drawn, **keywords)
    if colors.ticks is not None:
        bar.set_ticks([*colors.ticks], labels=[*colors.ticks.values()])
        bar.ax.minorticks_off()


@dataclasses.dataclass(frozen=True)
class HueColors:
    """The color of each label of hue; with `mappable`, a color bar explains them."""

    colors: Any
    title: str
    texts: list[str] | None = None
    mappable: Any = None
    placement: Placement | None = None


def hue_colors(placed: Placement, category: bool, cmap: str | None) -> HueColors:
    """Return a color for each different label: qualitative for names, else in their order.

    Labels that can be told apart in a legend get evenly spaced colors; more of them get the colors
    of a color bar.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm, Normalize, to_rgb

    n = len(placed.labels)
    if category and n <= MOST_NAMES and cmap is None:
        return HueColors(_names()[:n], placed.text, label_texts(placed.labels))
    chosen = plt.get_cmap(cmap or "viridis")
    if n <= MOST_LINES:
        # Bright yellow is hard to see on white, as is dark violet on black.
        dark = np.mean(to_rgb(plt.rcParams["axes.facecolor"])) < 0.5
        low, high = (0.0, 1.0) if cmap else (0.2, 1.0) if dark else (0.0, 0.88)
        places = np.linspace(low, high, n)
        return HueColors([chosen(p) for p in places], placed.text, label_texts(placed.labels))
    norm = (LogNorm if placed.scale == "log" else Normalize)(placed.at.min(), placed.at.max())
    mappable = plt.cm.ScalarMappable(norm, chosen)
    return HueColors(mappable.to_rgba(placed.at), placed.text, None, mappable, placed)


def _names() -> list[Any]:
    """Return colors for names: those of the user's style, or ones that color-blind people see."""
    import matplotlib as mpl

    cycle, default = (p["axes.prop_cycle"] for p in (mpl.rcParams, mpl.rcParamsDefault))
    colors = cycle.by_key().get("color", [])
    if cycle == default or len(colors) < MOST_NAMES:
        colors = [*([] if cycle == default else colors), *mpl.color_sequences["petroff10"]]
    return list(colors)


def add_hue_key(
    hue: HueColors,
    handles: list[Any],
    panels: np.ndarray,
    options: Mapping[str, Any],
    outside: bool,
) -> None:
    """Draw the legend of hue, or its color bar."""
    if hue.mappable is not None:
        if options.get("add_colorbar", options.get("add_legend", True)):
            text = textwrap.fill(hue.title, WRAP)
            keywords = {"ax": panels.ravel().tolist(), **(options.get("cbar_kwargs") or {})}
            bar = panels.flat[0].figure.colorbar(hue.mappable, label=text, **keywords)
            if hue.placement is not None:
                hue.placement.set_ticks(bar.ax.yaxis)
        return
    if not options.get("add_legend", True):
        return
    title = textwrap.fill(hue.title, 24)
    texts = [textwrap.shorten(text, 32, placeholder="…") for text in hue.texts or ()]
    if panels.size > 1:
        keywords = {"loc": "outside right upper"}
        panels.flat[0].figure.legend(handles, texts, title=title, **keywords)
    elif outside and len(texts) > 3:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}
        panels.flat[0].legend(handles, texts, title=title, **place)
    else:
        panels.flat[0].legend(handles, texts, title=title)
