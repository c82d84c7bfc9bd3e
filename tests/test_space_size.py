"""Spaces of 10**12 points and of 10**20 cost no more than their axes."""

from __future__ import annotations

import re
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

import gridax as gx


def product(state: Any, **kwargs: Any) -> gx.Space:
    return gx.Space(state, mode="product", **kwargs)


def points(space: gx.Space) -> list[tuple[Any, ...]]:
    """Return the states of a space whose state is a dict of scalars, as tuples."""
    return [tuple(state[name].item() for name in space.state) for state in space]


def trillion() -> gx.Space:
    return product({name: gx.GridAxis(0, 1, 1000) for name in "abcd"})


def test_a_trillion_points_cost_no_more_than_their_axes() -> None:
    trillion()  # warm
    tracemalloc.start()
    space = trillion()
    assert len(space) == 10**12
    assert space[10**11]["a"] == np.float32(100 / 999)
    assert space[-1]["d"] == 1.0
    repr(space)
    part = space.sel(a=slice(0.1, 0.2), b=0.5, method="nearest")
    assert part.shape == (100, 1000, 1000)
    assert space[[0, 10**12 - 1]].dataset["d"].values.tolist() == [0.0, 1.0]
    assert space[10**11 : 10**11 + 3].dataset["d"].values[1] == 0.001001001001001
    assert next(iter(space))["a"] == 0
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000  # 4000 labels of 8 bytes, and what xarray needs


@pytest.mark.parametrize(
    "use",
    [
        lambda space: trillion(),
        len,
        repr,
        lambda space: space[10**11],
        lambda space: space.sel(a=0.0, b=slice(0.2, 0.4)),
        lambda space: space.isel(a=5),
    ],
    ids=["create", "len", "repr", "point", "sel", "isel"],
)
def test_a_trillion_points_are_used_within_milliseconds(use: Any) -> None:
    space = trillion()
    use(space)
    best = min(timed(use, space) for _ in range(10))
    assert best < 0.05  # 0.01 on a machine of its own


def timed(use: Any, space: gx.Space) -> float:
    start = time.process_time()
    use(space)
    return time.process_time() - start


def test_points_beyond_64_bits_are_reached() -> None:
    space = product({name: gx.GridAxis(0, 1, 100_000) for name in "abcd"})
    assert space.N == 10**20
    assert space.shape == (100_000,) * 4
    with pytest.raises(OverflowError):
        len(space)  # Python's own limit; N has none
    assert space[10**20 - 1]["a"] == space[-1]["d"] == 1.0
    assert space.sel(a=0.0, b=0.0, c=0.0).N == 100_000
    assert space[[0, -1, 10**19]].dataset["a"].values[[0, 1]].tolist() == [0.0, 1.0]
    assert points(space[-2:])[1] == (1.0,) * 4
    assert repr(space).startswith(f"<gridax.Space: {10**20} points, product>")
    with pytest.raises(IndexError, match=f"point {10**20} is out of range"):
        space[10**20]
    message = f"{10**20} points are too many to be picked one by one; select along dimensions"
    with pytest.raises(ValueError, match=re.escape(message)):
        space[:]
    with pytest.raises(ValueError, match="points are too many to be picked one by one"):
        space.filter(lambda ds: ds.a < 0.5)


def test_a_point_is_put_on_the_device_without_compiling(compilations: Any) -> None:
    space = product({"x": gx.GridAxis(0, 1, 50), "W": gx.DataAxis(np.ones((50, 2))), "n": 3})
    space[0]
    with compilations:
        for state in space[::97]:
            assert state["x"].shape == ()
    assert compilations.count == 0


def test_2_to_the_63_points_are_the_first_that_no_int64_counts() -> None:
    space = product({name: gx.GridAxis(0, 1, 512) for name in "abcdefg"})
    assert space.N == 2**63
    picked = space[[0, -1, 2**63 - 1, 2**62]]
    assert picked.dataset["a"].values.tolist() == [0.0, 1.0, 1.0, space.dataset["a"].values[256]]
    assert picked.dataset["g"].values.tolist() == [0.0, 1.0, 1.0, 0.0]
    with pytest.raises(IndexError, match=f"point {2**63} is out of range"):
        space[[2**63]]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            lambda space: space.to_dataframe(),
            r"the rows of 1,?0+.* points need 24 TB, but the mach",
        ),
        (lambda space: space.collect(), r"the states of .* points need 12 TB, but the machine has"),
    ],
    ids=["to_dataframe", "collect"],
)
def test_a_table_of_too_many_points_is_refused_before_it_is_made(table, text):
    axes = {name: gx.GridAxis(0, 1, 10**4) for name in "abc"}
    with pytest.raises(MemoryError, match=text):
        table(gx.Space(axes, mode="product"))


@pytest.mark.parametrize(
    "axis",
    [
        gx.GridAxis(0, 1, 10**12),
        gx.LogGridAxis(1, 10, 10**12),
        gx.UniformAxis(0, 1, 10**12),
    ],
    ids=lambda axis: type(axis).__name__,
)
def test_an_axis_of_too_many_labels_is_refused_before_they_are_made(axis):
    text = (
        r"axis 'x'.*: 1000000000000 labels need 8 TB, but the machine has .* of memory; use fewer"
    )
    with pytest.raises(MemoryError, match=text):
        gx.Space({"x": axis})
