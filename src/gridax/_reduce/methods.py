"""What outputs can be reduced to: named statistics, quantiles, histograms, functions."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gridax import _checks

# The names are xarray's. Each may need others, without which parts could not be merged.
NEEDS: dict[str, tuple[str, ...]] = {
    "mean": (),
    "std": ("mean",),
    "var": ("mean",),
    "sum": (),
    "min": (),
    "max": (),
    "count": (),
    "argmin": ("min",),
    "argmax": ("max",),
    "any": (),
    "all": (),
}


@dataclasses.dataclass(frozen=True, init=False)
class Quantiles:
    """Quantiles of an output along the dimensions that it is reduced along.

    For an output ``rate``, the variable is ``rate.quantile`` over the dimension ``quantile``, as
    with `xarray.DataArray.quantile`; values between two points are interpolated linearly, and NaN
    is skipped. All values along the dimensions are needed at once, so they must fit into memory.

    Parameters
    ----------
    q : float or sequence of float
        Probabilities from 0 to 1. A single number gives a variable without the dimension.

    Raises
    ------
    TypeError, ValueError
        If `q` is empty, or holds anything other than numbers from 0 to 1.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> run = gx.ParallelExecution(lambda s: {"y": s["x"]}, space)
    >>> result = run.run(reduce={"x": gx.Quantiles([0.1, 0.9])}, progress=False)
    >>> round(result.dataset["y.quantile"].sel(quantile=0.9).item(), 4)
    0.9
    """

    q: tuple[float, ...]
    is_single: bool

    def __init__(self, q: Any) -> None:
        numbers = _numbers(q, "Quantiles", "q")
        if not len(numbers):
            raise ValueError("Quantiles: q is empty; pass at least one number from 0 to 1")
        for number in numbers:
            if not 0 <= number <= 1:
                raise ValueError(f"Quantiles: q must be numbers from 0 to 1, got {number}")
        object.__setattr__(self, "q", numbers)
        object.__setattr__(self, "is_single", np.ndim(q) == 0)

    def __repr__(self) -> str:
        return f"Quantiles({self.q[0] if self.is_single else list(self.q)})"


@dataclasses.dataclass(frozen=True, init=False)
class Histogram:
    """Numbers of points whose output lies between edges.

    For an output ``rate``, the variable is ``rate.histogram`` over the dimension ``rate_bin``,
    which has the centers of the bins as labels, and their ends in the coordinates ``rate_bin_left``
    and ``rate_bin_right``. As with `numpy.histogram`, a bin includes its left edge, the last one
    also its right edge, and values outside all bins are not counted; NaN is not, either.

    Parameters
    ----------
    edges : sequence of float
        At least two numbers, in ascending order.

    Raises
    ------
    TypeError, ValueError
        If there are fewer, or they are not in ascending order.

    Examples
    --------
    >>> import gridax as gx
    >>> space = gx.Space({"x": gx.GridAxis(0, 1, 11)}, mode="product")
    >>> run = gx.ParallelExecution(lambda s: {"y": s["x"]}, space)
    >>> result = run.run(reduce={"x": gx.Histogram([0, 0.25, 1])}, progress=False)
    >>> result.dataset["y.histogram"].values
    array([3, 8])
    """

    edges: tuple[float, ...]

    def __init__(self, edges: Any) -> None:
        numbers = _numbers(edges, "Histogram", "edges")
        if np.ndim(edges) != 1 or len(numbers) < 2:
            raise ValueError(f"Histogram: edges must be at least two numbers, got {edges!r}")
        for a, b in itertools.pairwise(numbers):
            if not a < b:
                raise ValueError(f"Histogram: edges must be in ascending order, got {a} before {b}")
        object.__setattr__(self, "edges", numbers)

    def __repr__(self) -> str:
        return f"Histogram({list(self.edges)})"


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of the array of all values along the reduced dimensions, which come first."""

    call: Callable[[Any], Any]

    @property
    def name(self) -> str:
        """The function's own name."""
        return str(self.call.__name__)

    def __repr__(self) -> str:
        return self.name


Method = str | Quantiles | Histogram | Function


def name_of(method: Method) -> str:
    """Return the name of a method, as in the names of variables."""
    match method:
        case Quantiles():
            return "quantile"
        case Histogram():
            return "histogram"
        case Function():
            return method.name
        case _:
            return method


def checked(given: Any, where: str) -> Method:
    """Return a method as it is given to `run`.

    Raises
    ------
    TypeError, ValueError
        If it is none; `where` says where it was given.
    """
    names = ", ".join(map(repr, NEEDS))
    if isinstance(given, Quantiles | Histogram):
        return given
    if isinstance(given, str):
        if given in NEEDS:
            return given
        advice = "; for the median, pass gridax.Quantiles(0.5)" if given == "median" else ""
        raise ValueError(
            f"{where}: there is no reduction {given!r}; the names are {names}, and "
            f"gridax.Quantiles, gridax.Histogram and JAX functions can be passed as well{advice}"
        )
    if isinstance(given, type) and given in (Quantiles, Histogram):
        raise TypeError(f"{where}: {given.__name__} is a class; call it with its numbers")
    if callable(given):
        if not getattr(given, "__name__", "<").isidentifier():
            raise ValueError(
                f"{where}: the variable is named after the function, but {given!r} has no name "
                "that could be used; define it with def"
            )
        return Function(given)
    raise TypeError(
        f"{where}: a reduction is a name ({names}), gridax.Quantiles, gridax.Histogram or a "
        f"function, got {given!r}"
    )


def completed(methods: Iterator[Method]) -> tuple[Method, ...]:
    """Return methods with those that they need, and the count last."""
    found: dict[Method, None] = {}
    for method in methods:
        found |= dict.fromkeys(NEEDS.get(method, ()) if isinstance(method, str) else ())
        found[method] = None
    found.pop("count", None)
    return (*found, "count")


def _numbers(given: Any, owner: str, what: str) -> tuple[float, ...]:
    try:
        array = np.atleast_1d(np.asarray(given))
    except ValueError:  # ragged
        array = np.empty((0, 0))
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise TypeError(f"{owner}: {what} must be a number or a sequence of numbers, got {given!r}")
    return tuple(_checks.number(number, owner, what) for number in array)
