"""What properties are tested on: axes of every kind, and states that hold some of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
from hypothesis import strategies as st

import gridax as gx

# Where the axes of a state stand, in the order of writing, which is not that of the alphabet.
PATHS = ("z", "m.y", "m.b[0]", "a")

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
FLOAT64 = st.floats(allow_nan=False, allow_infinity=False)


def decimals(low: float, high: float) -> st.SearchStrategy[float]:
    """Return numbers that a person would type."""
    return st.integers(int(low * 1000), int(high * 1000)).map(lambda k: k / 1000)


@st.composite
def grids(draw: st.DrawFn, n: int, kind: type) -> gx.Axis:
    low = draw(decimals(0.001, 100))
    return kind(low, low + draw(decimals(0.1, 100)), n)


def axes(n: int) -> st.SearchStrategy[gx.Axis]:
    """Return axes of `n` values of every kind."""
    numbers = st.lists(FLOAT32, min_size=n, max_size=n, unique=True)
    whole = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=n, max_size=n, unique=True)
    words = st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n, unique=True)
    return st.one_of(
        grids(n, gx.GridAxis),
        grids(n, gx.LogGridAxis),
        grids(n, gx.UniformAxis),
        grids(n, gx.QuadratureAxis),
        numbers.map(gx.DataAxis),
        numbers.map(np.float32).map(gx.DataAxis),
        whole.map(gx.DataAxis),
        whole.map(lambda k: gx.DataAxis(np.outer(k, [1, 0]).astype(np.int32))),
        words.map(lambda labels: gx.DataAxis(np.arange(n) / 4, labels=labels)),
        words.map(gx.ChoiceAxis),
        st.builds(lambda: gx.NumPyroAxis(dist.Normal(0.0, 1.0), n)),
        st.builds(lambda: gx.KeyAxis(n)),
    )


@dataclasses.dataclass
class Case:
    """A state, its axes by path in the order of writing, and how they are composed."""

    axes: dict[str, gx.Axis]
    mode: str
    seed: int

    @property
    def state(self) -> dict[str, Any]:
        leaves = {path: self.axes.get(path, 0.5) for path in PATHS}
        return {
            "z": leaves["z"],
            "m": {"y": leaves["m.y"], "b": [leaves["m.b[0]"], "fixed"]},
            "a": leaves["a"],
        }

    @property
    def space(self) -> gx.Space:
        return gx.Space(self.state, mode=self.mode, key=self.seed)

    def home(self, path: str) -> str:
        """Return the dimension along which an axis moves."""
        if self.mode == "zip":
            return "point"
        group = self.axes[path].group
        return path if group is None else str(group)

    def product(self, entries: Callable[[str], Any]) -> list[dict[str, Any]]:
        """Return one dict by path per point: the explicit product of each axis' `entries`."""
        columns = {path: entries(path) for path in self.axes}
        homes = list(dict.fromkeys(self.home(path) for path in self.axes))
        sizes = {self.home(path): len(column) for path, column in columns.items()}
        return [
            {path: column[index[homes.index(self.home(path))]] for path, column in columns.items()}
            for index in itertools.product(*(range(sizes[home]) for home in homes))
        ]


@st.composite
def cases(draw: st.DrawFn, max_axes: int = 4, max_size: int = 4) -> Case:
    """Return states of one to four axes, some of them in groups."""
    mode = draw(st.sampled_from(["product", "product", "zip"]))
    sizes: dict[Any, int] = {}
    found = {}
    for path in PATHS[: draw(st.integers(1, max_axes))]:
        group = draw(st.sampled_from([None, None, "g", ("h", 1)]))
        shared = "point" if mode == "zip" else path if group is None else group
        n = sizes.setdefault(shared, draw(st.integers(1, max_size)))
        found[path] = dataclasses.replace(draw(axes(n)), group=group)
    return Case(found, mode, draw(st.integers(0, 2**32 - 1)))


def leaf(state: dict[str, Any], path: str) -> Any:
    """Return the leaf of a point at a path."""
    return {
        "z": state["z"],
        "m.y": state["m"]["y"],
        "m.b[0]": state["m"]["b"][0],
        "a": state["a"],
    }[path]


def plain(value: Any) -> Any:
    """Return a value as Python can compare it."""
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    return value if isinstance(value, str) else np.asarray(value).tolist()
