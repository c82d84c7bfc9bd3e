"""Simulations whose points have arrays, such as the regions of a brain, against `jax.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gridax as gx

from .measure import Row, duration, medians

State = dict[str, Any]

N_REGIONS, LONGEST = 76, 40
_RNG = np.random.default_rng(0)
WEIGHTS = np.float32(
    _RNG.random((N_REGIONS, N_REGIONS)) * (_RNG.random((N_REGIONS, N_REGIONS)) < 0.3)
)
DELAYS = _RNG.integers(1, LONGEST, (N_REGIONS, N_REGIONS))
WIDTHS = (16, 64)


def delayed(state: State) -> Any:
    """A network of FitzHugh–Nagumo units with a delay of its own for each connection."""

    def step(carry: Any, i: Any) -> Any:
        v, w, past = carry
        arrived = (WEIGHTS * past[(i - DELAYS) % LONGEST, jnp.arange(N_REGIONS)]).sum(1) / 10
        dv = v - v**3 / 3 - w + state["a"] * arrived + state["b"]
        v, w = v + 0.1 * dv, w + 0.008 * (v + 0.7 - 0.8 * w)
        return (v, w, past.at[(i + 1) % LONGEST].set(v)), v.mean()

    start = jnp.full(N_REGIONS, 0.1)
    past = jnp.full((LONGEST, N_REGIONS), 0.1)
    return lax.scan(step, (start, 0 * start, past), jnp.arange(200))[1]


def jansen_rit(state: State) -> Any:
    """A network of neural masses (Jansen and Rit, 1995), six numbers per region."""

    def rate(v: Any) -> Any:
        return 5 / (1 + jnp.exp(0.56 * (6 - v)))

    def step(y: Any, _: None) -> Any:
        coming = WEIGHTS @ rate(y[1] - y[2]) / 10
        a = 325 * rate(y[1] - y[2]) - 200 * y[3] - 1e4 * y[0]
        b = 325 * (120 + 100 * state["b"] + 50 * state["a"] * coming + 108 * rate(135 * y[0]))
        c = 1100 * 33.75 * rate(33.75 * y[0]) - 100 * y[5] - 2500 * y[2]
        dy = jnp.stack([y[3], y[4], y[5], a, b - 200 * y[4] - 1e4 * y[1], c])
        return y + 1e-3 * dy, (y[1] - y[2]).mean()

    return lax.scan(step, jnp.zeros((6, N_REGIONS)), length=200)[1]


def epileptor(state: State) -> Any:
    """The Epileptor (Jirsa et al., 2014), six numbers in all."""

    def step(y: Any, _: None) -> Any:
        x1, y1, z, x2, y2, g = y
        slow = jnp.where(x1 < 0, x1**3 - 3 * x1**2, (x2 - 0.6 * (z - 4) ** 2) * x1)
        dy = [
            y1 - slow - z + 3.1 + state["a"],
            1 - 5 * x1**2 - y1,
            0.00035 * (4 * (x1 + 1.6 + state["b"]) - z),
            -y2 + x2 - x2**3 + 0.45 + 0.002 * g - 0.3 * (z - 3.5),
            (jnp.where(x2 < -0.25, 0.0, 6 * (x2 + 0.25)) - y2) / 10,
            -0.01 * (g - 0.1 * x1),
        ]
        return y + 0.05 * jnp.array(dy), x2 - x1

    return lax.scan(step, jnp.array([-1.6, -12.0, 3.5, -1.0, 0.1, 0.0]), length=500)[1]


def lattice(state: State) -> Any:
    """A sheet of excitable tissue, 24 × 24 units."""
    x = jnp.linspace(-1, 1, 24)

    def step(carry: Any, _: None) -> Any:
        v, w = carry
        neighbors = sum(jnp.roll(v, shift, axis) for shift in (1, -1) for axis in (0, 1))
        v = v + 0.1 * (v - v**3 / 3 - w + state["a"] + state["b"] * (neighbors - 4 * v) / 4)
        return (v, w + 0.008 * (v + 0.7 - 0.8 * w)), None

    start = x[:, None] * x[None]
    return lax.scan(step, (start, 0 * start), length=100)[0][0].mean()


def diffusion(state: State) -> Any:
    """Reaction and diffusion along a line of 200 places."""

    def step(u: Any, _: None) -> Any:
        inner = u[2:] - 2 * u[1:-1] + u[:-2]
        return u.at[1:-1].add(0.2 * state["a"] * inner - 0.01 * state["b"] * u[1:-1] ** 3), None

    return lax.scan(step, jnp.sin(jnp.linspace(0, 3.14, 200)), length=200)[0][::20]


def mackey_glass(state: State) -> Any:
    """One equation with a delay (Mackey and Glass, 1977)."""

    def step(carry: Any, i: Any) -> Any:
        x, past = carry
        late = past[(i + 1) % 50]
        x = x + 0.1 * (2 * state["a"] * late / (1 + late**10) - state["b"] * x)
        return (x, past.at[i % 50].set(x)), x

    return lax.scan(step, (0.5, jnp.full(50, 0.5)), jnp.arange(1000))[1][::20]


MODELS = (delayed, jansen_rit, epileptor, lattice, diffusion, mackey_glass)


def by_hand(
    model: Callable[[State], Any], a: Any, b: Any, widths: Sequence[int]
) -> dict[str, Callable[[], Any]]:
    """Return programs that a person would write instead."""

    def one(point: tuple[Any, Any]) -> Any:
        return model({"a": point[0], "b": point[1]})

    programs = {"vmap": jax.jit(jax.vmap(one))}
    for width in widths:
        name = f"lax.map, {width} at a time"
        programs[name] = jax.jit(lambda x, width=width: lax.map(one, x, batch_size=width))
    return {name: lambda f=f: np.asarray(f((a, b))) for name, f in programs.items()}


def rows(quick: bool) -> Iterator[Row]:
    n = 4 if quick else 16
    state = {"a": gx.GridAxis(0.1, 1, n), "b": gx.GridAxis(0.1, 0.9, n)}
    yield from compared(MODELS, gx.Space(state, mode="product"), WIDTHS, 1 if quick else 7, 1)


def compared(
    models: Sequence[Callable[[State], Any]],
    space: gx.Space,
    widths: Sequence[int],
    repeats: int,
    n_pmap: int | None = None,
) -> Iterator[Row]:
    """Yield a row for each model of `a` and `b`, after a check that the results agree."""
    stacked = space.collect()
    a, b = (jnp.asarray(stacked[name]) for name in "ab")
    for model in models:
        executor = gx.ParallelExecution(model, space, n_pmap=n_pmap)
        calls = by_hand(model, a, b, widths)
        value = executor.run(progress=False).dataset["value"].to_numpy()
        expected = calls["vmap"]()
        np.testing.assert_allclose(value.reshape(expected.shape), expected, rtol=1e-2, atol=1e-3)
        calls["gridax"] = lambda executor=executor: executor.run(progress=False)
        times = medians(repeats, **calls)
        mine = times.pop("gridax")
        others = ", ".join(f"{name} {duration(seconds)}" for name, seconds in times.items())
        ratio = min(times.values()) / mine
        name = f"{model.__name__.replace('_', ' ')}, {len(space)} points"
        yield Row(name, duration(mine), "ratio > 1", ratio > 1, others, ratio)
