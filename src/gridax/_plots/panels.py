"""What is drawn in one panel: curves with bands, cells of a map, points, bins, or a histogram."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from gridax._grid.interp import on_scale
from gridax._plots.color import Colors
from gridax._plots.scale import Placement, edges_between

# More points than these get smaller dots, or are averaged in bins.
MANY, TOO_MANY = 2000, 20_000
FEW = 30


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve: positions along x, and levels from the lowest to the highest at each of them.

    With an odd number of levels, the middle one is the curve; the others are the ends of bands.
    Points may have a hue each, if there are too many of them for a curve each.
    """

    at: np.ndarray
    levels: np.ndarray
    hue: int
    joined: bool
    hues: np.ndarray | None = None

    def moved(self, distance: float) -> Series:
        """Return the curve beside its positions, where the error bars of others are."""
        return dataclasses.replace(self, at=self.at + distance)

    def binned(self, log: bool) -> Series:
        """Return the mean and the standard deviation of many points in bins along x."""
        bins, centers = _bins(self.at, log)
        mean = _mean_in(bins, self.levels[0], len(centers))
        square = _mean_in(bins, self.levels[0].astype(float) ** 2, len(centers))
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        there = np.isfinite(mean)
        levels = np.stack([mean - sd, mean, mean + sd])[:, there]
        return Series(centers[there], levels, self.hue, joined=True)


@dataclasses.dataclass(frozen=True)
class Cells:
    """Values of a map, shape (n_y, n_x), and the centers and edges of its cells."""

    x: np.ndarray
    y: np.ndarray
    x_edges: np.ndarray
    y_edges: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Points:
    """Values at scattered points."""

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray

    def binned(self, x: Placement, y: Placement) -> Cells:
        """Return the mean of many points in each cell of a grid."""
        logs = (x.scale == "log", y.scale == "log")
        (column, at_x), (row, at_y) = (
            _bins(at, log) for at, log in zip((self.x, self.y), logs, strict=True)
        )
        shape = (len(at_y), len(at_x))
        mean = _mean_in(row * shape[1] + column, self.values, shape[0] * shape[1])
        edges = (edges_between(at_x, logs[0]), edges_between(at_y, logs[1]))
        return Cells(at_x, at_y, edges[0], edges[1], mean.reshape(shape))


def _bins(at: np.ndarray, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each position, and the centers of the bins: the labels if they are few."""
    places, codes = np.unique(at, return_inverse=True)
    if len(places) <= 100:
        return codes.reshape(-1), places
    n = int(np.clip((len(at) / 20) ** 0.5, 20, 100))
    there = np.log(at) if log else at
    edges = np.linspace(there.min(), there.max(), n + 1)
    centers = (edges[1:] + edges[:-1]) / 2
    codes = np.clip(np.searchsorted(edges, there, "right") - 1, 0, n - 1)
    return codes, np.exp(centers) if log else centers


def _mean_in(bins: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    known = np.isfinite(values)
    sums = np.bincount(bins[known], values[known], n)
    counts = np.bincount(bins[known], minlength=n)
    return np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)


def draw_curve(ax: Any, one: Series, color: Any, kind: str, options: Mapping[str, Any]) -> Any:
    """Draw a curve and its bands, or points with error bars; return the line."""
    n = len(one.levels)
    middle = one.levels[n // 2] if n % 2 else np.full(len(one.at), np.nan)
    style: dict[str, Any] = {"color": color}
    if not one.joined:
        size = 10 if len(one.at) <= FEW else 6 if len(one.at) <= MANY else 2
        style |= {"marker": ".", "markersize": size, "linestyle": ""}
    elif len(one.at) <= FEW or _is_alone(middle).any():
        style |= {"marker": "o", "markersize": 3}
    if kind == "step":
        style["drawstyle"] = "steps-mid"
    (line,) = ax.plot(one.at, middle, **{**style, **options})
    for i in range(n // 2):
        low, high = one.levels[i], one.levels[n - 1 - i]
        if one.joined:
            step = "mid" if kind == "step" else None
            shade: dict[str, Any] = {"alpha": 0.25, "linewidth": 0, "step": step}
            ax.fill_between(one.at, low, high, color=line.get_color(), **shade)
        else:
            width = 1 + 2 * i
            ax.vlines(one.at, low, high, color=line.get_color(), linewidth=width, alpha=0.7)
    return line


def _is_alone(values: np.ndarray) -> np.ndarray:
    """Return which values have none beside them, so that no line reaches them."""
    known = np.pad(np.isfinite(values), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def draw_cells(ax: Any, cells: Cells, kind: str, colors: Colors, options: dict[str, Any]) -> Any:
    """Draw a map: cells, an image, contours, or a surface."""
    shown = np.ma.masked_invalid(cells.values)
    if np.ma.is_masked(shown) and kind in ("pcolormesh", "imshow"):
        ax.patch.set(hatch="////", edgecolor="0.7")  # white may be the color of a value
    if kind == "pcolormesh":
        options = {"cmap": colors.cmap, "norm": colors.norm, **options}
        if options.get("shading") in ("gouraud", "nearest"):
            return ax.pcolormesh(cells.x, cells.y, shown, **options)
        return ax.pcolormesh(cells.x_edges, cells.y_edges, shown, **options)
    if kind == "imshow":
        extent = (*cells.x_edges[[0, -1]], *cells.y_edges[[0, -1]])
        image = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", **options}
        return ax.imshow(shown, extent=extent, cmap=colors.cmap, norm=colors.norm, **image)
    if kind == "surface":
        x, y = np.meshgrid(cells.x, cells.y)
        counts = {"rcount": 100, "ccount": 100, **options}
        return ax.plot_surface(x, y, shown, cmap=colors.cmap, norm=colors.norm, **counts)
    return _contours(getattr(ax, kind), (cells.x, cells.y, shown), colors, options)


def _contours(method: Any, values: tuple[Any, ...], colors: Colors, options: dict[str, Any]) -> Any:
    from matplotlib import ticker
    from matplotlib.colors import Normalize

    norm = colors.norm
    levels: Any = colors.levels
    if levels is None and type(norm) is Normalize:  # matplotlib has levels for other norms
        limits: Any = (norm.vmin, norm.vmax)
        levels = ticker.MaxNLocator(9).tick_values(*limits)
    options = {"extend": colors.extend, **options} | ({} if levels is None else {"levels": levels})
    if "colors" not in options:
        options = {"cmap": colors.cmap, "norm": norm, **options}
    return method(*values, **options)


def draw_points(ax: Any, points: Points, colors: Colors, options: dict[str, Any]) -> Any:
    """Draw a dot at each point, and a gray cross at those without a value if they are not many."""
    style: dict[str, Any] = {
        "s": _dot_size(len(points.x), 36),
        "linewidths": 0,
        "rasterized": len(points.x) > MANY,
    }
    style |= {"plotnonfinite": True, **options}  # such points count for the limits of the axes
    if not {"c", "color", "facecolor"} & options.keys():
        style |= {"c": points.values, "cmap": colors.cmap, "norm": colors.norm}
    missing = ~np.isfinite(points.values)
    if missing.any() and len(points.x) <= MANY:
        cross = {"marker": "x", "s": 12, "color": "0.6", "linewidths": 0.8}
        ax.scatter(points.x[missing], points.y[missing], **cross)
    return ax.scatter(points.x, points.y, **style)


def _dot_size(n: int, most: float) -> float:
    """Return the area of a dot in square points, so that all of them cover half of a panel."""
    return float(np.clip(37_000 / max(n, 1), 1, most))


def draw_dots(ax: Any, one: Series, colors: Any, options: dict[str, Any]) -> Any:
    """Draw a dot at each value over x, and bars for its bands."""
    n = len(one.at)
    color = colors[one.hue] if one.hues is None else np.asarray(colors)[one.hues]
    style: dict[str, Any] = {"s": _dot_size(n, 25), "linewidths": 0}
    style |= {"rasterized": n > MANY, **options}
    if not {"c", "color", "facecolor"} & options.keys():
        style["color"] = color
    n_levels = len(one.levels)
    for i in range(n_levels // 2):
        low, high = one.levels[i], one.levels[n_levels - 1 - i]
        ax.vlines(one.at, low, high, color=color, linewidth=1, alpha=0.5)
    return ax.scatter(one.at, one.levels[n_levels // 2], **style)


def draw_triangles(
    ax: Any,
    points: Points,
    places: tuple[Placement, Placement],
    kind: str,
    colors: Colors,
    options: dict[str, Any],
) -> Any:
    """Draw values at the corners of triangles, without those where a value is missing."""
    from matplotlib.tri import Triangulation
    from scipy.spatial import Delaunay, QhullError

    logs = [placement.scale == "log" for placement in places]
    at = [
        on_scale(along, along, log) for along, log in zip((points.x, points.y), logs, strict=True)
    ]
    try:
        corners = Delaunay(np.stack(at, axis=1)).simplices
    except QhullError:
        raise ValueError(
            f"the {len(points.x)} points lie on a line, so that nothing is between them; use "
            "kind='scatter'"
        ) from None
    known = np.isfinite(points.values[corners]).all(axis=1)
    mesh = Triangulation(points.x, points.y, corners[known])
    if kind != "surface":
        ax.margins(0)  # as for cells
    if kind in ("contour", "contourf"):
        values = np.where(np.isfinite(points.values), points.values, 0)  # of no triangle
        return _contours(getattr(ax, f"tri{kind}"), (mesh, values), colors, options)
    if kind == "surface":
        style = {"cmap": colors.cmap, "norm": colors.norm, **options}
        return ax.plot_trisurf(mesh, np.nan_to_num(points.values), **style)
    # Gouraud shading ignores the scale of an axis, and mixes colors that have names.
    shading = "flat" if any(logs) or colors.ticks is not None else "gouraud"
    style = {"shading": shading, "cmap": colors.cmap, "norm": colors.norm, **options}
    return ax.tripcolor(mesh, points.values, **style)


def bin_edges(values: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """Return the edges of the bins of a histogram; whole numbers get a bin each if they are few."""
    bins = options.get("bins", "auto")
    if not values.size:
        values = np.zeros(1)
    if values.dtype.kind in "iu" and values.dtype.itemsize < 8:
        values = values.astype(np.int64)  # the range of narrow integers overflows
    if values.dtype.kind == "f":
        values = values.astype(float)  # bins are too narrow for the values otherwise
    low, high = values.min().item(), values.max().item()
    if high - low < 1e-12 * max(abs(low), abs(high)):  # rounding errors, too narrow for bins
        values = values[:1]
    if bins == "auto" and values.dtype.kind in "iu" and high - low < 60:
        return np.arange(int(low), int(high) + 2) - 0.5
    edges = np.histogram_bin_edges(values, bins, options.get("range"))
    if isinstance(bins, str) and len(edges) > 101:  # a few values far away from the others
        edges = np.histogram_bin_edges(values, 100, options.get("range"))
    return edges


def draw_histogram(
    ax: Any,
    samples: list[np.ndarray],
    edges: np.ndarray,
    colors: list[Any],
    options: Mapping[str, Any],
) -> Any:
    """Draw the histogram of each sample; return what matplotlib returns."""
    from matplotlib.colors import is_color_like, to_rgb

    style: dict[str, Any] = {"histtype": "bar"}
    if len(samples) > 1:
        style = {"histtype": "step", "linewidth": 1.5}
    elif len(edges) <= 60:
        style |= {"edgecolor": ax.get_facecolor(), "linewidth": 0.5}
    rest = {k: v for k, v in options.items() if k not in ("bins", "range")}
    if is_color_like(rest.get("color")):
        rest["color"] = [rest["color"]] * len(samples)
    color = {} if {"color", "facecolor"} & rest.keys() else {"color": colors}
    drawn = ax.hist(samples if len(samples) > 1 else samples[0], edges, **color, **style | rest)
    is_step = len(samples) > 1 and rest.get("histtype", "step") == "step"
    if is_step and rest.get("fill", True):
        for (patch,), own in zip(drawn[2], rest.get("color", colors), strict=True):
            patch.set(fill=True, facecolor=rest.get("facecolor", (*to_rgb(own), 0.2)))
    ax.set_ylabel("density" if options.get("density") else "number of points")
    return drawn
