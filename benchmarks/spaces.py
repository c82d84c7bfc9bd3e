"""Spaces: no cost may depend on the number of points."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

import gridax as gx

from . import opponent
from .measure import Row, bytesize, medians, peak_bytes, timed


def product(*sizes: int) -> gx.Space:
    """Return the product of axes of these sizes, labeled 0.001, 0.002, ..."""
    axes = {f"x{i}": gx.DataAxis(np.arange(1, size + 1) / 1000) for i, size in enumerate(sizes)}
    return gx.Space(axes, mode="product", key=jax.random.key(0))


def huge() -> gx.Space:
    axes = {f"x{i}": gx.GridAxis(0.001, 1.0, 1000) for i in range(4)}
    return gx.Space(axes, mode="product", key=jax.random.key(0))


def rows(quick: bool) -> Iterator[Row]:
    repeats = 2 if quick else 9
    yield from _huge(repeats)
    yield from _points(repeats, 1 if quick else 200)
    yield from _iteration(repeats, 3 if quick else 10)
    yield _arrays(4 if quick else 500)


def _huge(repeats: int) -> Iterator[Row]:
    space = huge()
    assert len(space) == 10**12
    np.testing.assert_allclose(space[10**11]["x0"], 0.101, rtol=1e-6)
    assert space.sel(x0=0.3).N == 10**9
    assert space.sel(x0=slice(0.2, 0.4)).N == 201 * 10**9

    calls = {
        "creation": huge,
        "len(space)": lambda: len(space),
        "repr(space)": lambda: repr(space),
        "space[10**11]": lambda: jax.block_until_ready(space[10**11]),
        "space.sel(x0=0.3)": lambda: space.sel(x0=0.3),
        "space.sel(x0=slice(0.2, 0.4))": lambda: space.sel(x0=slice(0.2, 0.4)),
        "space.sel(x0=1/3, method='nearest')": lambda: space.sel(x0=1 / 3, method="nearest"),
    }
    for what, seconds in medians(repeats, **calls).items():
        yield timed(f"10^12 points: {what}", seconds, below=10e-3)

    # Only labels, values and pandas indexes of 4000 entries; the product would take terabytes.
    peak = peak_bytes(huge)
    yield Row("10^12 points: memory of creation", bytesize(peak), "< 1 MiB", peak < 2**20)


def _points(repeats: int, n: int) -> Iterator[Row]:
    few, many = product(10, 1, 1, 1), product(1000, 1000, 1000, 1000)
    rng = np.random.default_rng(0)
    calls = {}
    for name, space in ("few", few), ("many", many):
        at = rng.integers(len(space), size=10).tolist() * n  # ten each: equal caching
        calls[name] = lambda space=space, at=at: jax.block_until_ready([space[i] for i in at])
    seconds = medians(repeats, **calls)
    # A difference of 25 % is within the noise of a busy machine.
    slower = seconds["many"] / seconds["few"]
    yield Row(
        "space[i] among 10^12 points",
        f"{slower:.2f} × the time among 10",
        "<= 1 (+ 25 %)",
        slower < 1.25,
    )


def _iteration(repeats: int, n: int) -> Iterator[Row]:
    ours = product(n, n, n)
    calls = {"gridax": lambda: jax.block_until_ready(list(ours))}
    if not opponent.MISSING:
        axes = {name: opponent.spaces.DataAxis(np.arange(1, n + 1) / 1000) for name in ours.dims}
        theirs = opponent.spaces.Space(axes, mode="product", key=jax.random.key(0))
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(list(mine.values()), list(other.values()))
        calls["peer"] = lambda: jax.block_until_ready(list(theirs))
    yield from _against_peer("iteration, per point", medians(repeats, **calls), n**3)

    at = range(0, n**3, max(1, n**3 // 20))
    calls = {"gridax": lambda: jax.block_until_ready([ours[i] for i in at])}
    if not opponent.MISSING:
        calls["peer"] = lambda: jax.block_until_ready([theirs[i] for i in at])
    yield from _against_peer(f"space[i] among {n**3} points", medians(repeats, **calls), len(at))


def _arrays(n: int) -> Row:
    """Return the memory that a space and its Dataset take for an axis of matrices."""
    given = np.ones((150, n, n), np.float32)
    peak = peak_bytes(lambda: gx.Space({"W": gx.DataAxis(given)}, mode="product").dataset)
    return Row(
        f"150 matrices of {n} × {n}: peak ÷ size",
        f"{peak / given.nbytes:.3g}",
        "< 1.1",
        peak < 1.1 * given.nbytes,
    )


def _against_peer(what: str, seconds: dict[str, float], n: int) -> Iterator[Row]:
    peer = (opponent.NAME, seconds["peer"] / n) if "peer" in seconds else None
    yield timed(what, seconds["gridax"] / n, opponent=peer)
