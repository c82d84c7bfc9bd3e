"""Signals, images, tables and control."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gridax as gx

from .case import Case, sides

State = dict[str, Any]


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(4).normal(0, 1, shape).astype(np.float32)


def biquad(state: State) -> State:
    """A resonant filter of second order, applied sample by sample."""
    turn = 2 * jnp.pi * state["frequency"]
    width = jnp.sin(turn) / (2 * state["Q"])
    forward = width / (1 + width)
    back = 2 * jnp.cos(turn) / (1 + width), (1 - width) / (1 + width)

    def step(carry: Any, x: Any) -> Any:
        (x1, x2), (y1, y2) = carry
        y = forward * (x - x2) + back[0] * y1 - back[1] * y2
        return ((x, x1), (y, y1)), y

    zero = jnp.float32(0)
    _, y = jax.lax.scan(step, ((zero, zero), (zero, zero)), _noise(1000))
    return {"power": (y**2).mean(), "peak": jnp.abs(y).max()}


def biquad_state(n: int) -> State:
    frequencies, qs = sides(n, 1, 1)
    return {
        "frequency": gx.GridAxis(0.01, 0.4, frequencies),
        "Q": gx.LogGridAxis(0.5, 20, qs),
    }


def fft_filter(state: State) -> Any:
    """A low-pass filter of 4096 samples in the frequency domain; every 16th sample is kept."""
    frequencies = np.fft.rfftfreq(4096).astype(np.float32)
    gain = 1 / jnp.sqrt(1 + (frequencies / state["cutoff"]) ** (2 * state["order"]))
    return jnp.fft.irfft(jnp.fft.rfft(state["signal"]) * gain)[::16]


def fft_filter_state(n: int) -> State:
    cutoffs, orders = sides(n, 2, 1)
    return {
        "signal": jnp.asarray(_noise(4096)),
        "cutoff": gx.GridAxis(0.02, 0.4, cutoffs),
        "order": gx.GridAxis(1, 6, orders),
    }


def gabor(state: State) -> Any:
    """Response of a 48 × 48 image to an oriented filter: a convolution per point."""
    y, x = np.mgrid[-4:5, -4:5].astype(np.float32)
    along = x * jnp.cos(state["angle"]) + y * jnp.sin(state["angle"])
    filter_ = jnp.exp(-(x**2 + y**2) / 8) * jnp.cos(2 * jnp.pi * along / state["wavelength"])
    response = jax.lax.conv_general_dilated(
        _noise(1, 1, 48, 48), filter_[None, None], window_strides=(1, 1), padding="VALID"
    )
    return (response**2).mean()


def gabor_state(n: int) -> State:
    angles, wavelengths = sides(n, 1, 1)
    return {
        "angle": gx.GridAxis(0, 3, angles),
        "wavelength": gx.GridAxis(2, 8, wavelengths),
    }


def pid(state: State) -> State:
    """A controller of a pendulum; the integral stops where the motor saturates."""

    def step(carry: Any, _: None) -> Any:
        angle, speed, total = carry
        error = 0.5 - angle
        wanted = state["P"] * error + state["I"] * total - state["D"] * speed
        force = jnp.clip(wanted, -3, 3)
        total = jax.lax.cond(
            jnp.abs(wanted) < 3, lambda total: total + 0.02 * error, lambda total: total, total
        )
        speed = speed + 0.02 * (force - jnp.sin(angle) - 0.1 * speed)
        return (angle + 0.02 * speed, speed, total), jnp.abs(error)

    zero = jnp.float32(0)
    (angle, _, _), errors = jax.lax.scan(step, (zero, zero, zero), length=400)
    return {"angle": angle, "cost": errors.mean()}


def pid_state(n: int) -> State:
    gains, ds = sides(n, 1, 1)
    return {  # the first two gains are chosen together
        "P": gx.GridAxis(1, 20, gains, group="gains"),
        "I": gx.GridAxis(0.1, 5, gains, group="gains"),
        "D": gx.GridAxis(0.1, 5, ds),
    }


def lookup(state: State) -> Any:
    """Interpolation in a table at 256 places that depend on the point."""
    at = state["offset"] + state["scale"] * jnp.linspace(0, 1, 256)
    values = jnp.interp(at, np.linspace(0, 4, 500, dtype=np.float32), _noise(500).cumsum())
    return values.mean()


def lookup_state(n: int) -> State:
    offsets, scales = sides(n, 1, 1)
    return {"offset": gx.GridAxis(0, 2, offsets), "scale": gx.GridAxis(0.1, 2, scales)}


CASES = (
    Case("resonant filter, biquad", "signals", biquad, biquad_state, 262_144, stray=1e-3),
    Case("low-pass filter, FFT", "signals", fft_filter, fft_filter_state, 50_000),
    Case("Gabor filter, convolution", "images", gabor, gabor_state, 50_000),
    Case("PID controller, cond", "control", pid, pid_state, 200_000, stray=1e-2),
    Case("table lookup, interpolation", "engineering", lookup, lookup_state, 50_000),
)
