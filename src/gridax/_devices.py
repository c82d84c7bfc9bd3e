"""Cores of a CPU, of which JAX uses one unless it is told otherwise before it starts."""

from __future__ import annotations

import os
import time

import jax

from gridax._warnings import warn

# Seconds after which a sweep is long.
_LONG = 20.0


def use_cpu_devices(n: int | None = None) -> None:
    """Let JAX see several CPU devices, one per core, so that a sweep uses all cores.

    Call it before anything that computes with JAX. Where JAX runs on a GPU it changes nothing for
    the sweep. The environment variable ``JAX_NUM_CPU_DEVICES`` does the same.

    Parameters
    ----------
    n : int, optional
        Number of devices; the cores that this process may use if None.

    Raises
    ------
    ValueError
        If `n` is not positive.
    RuntimeError
        If JAX has started with another number of devices, as it cannot be changed then.

    Examples
    --------
    >>> import subprocess, sys
    >>> script = "import gridax, jax; gridax.use_cpu_devices(3); print(jax.device_count('cpu'))"
    >>> subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout[:1]
    b'3'
    """
    n = n_cores() if n is None else n
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"use_cpu_devices: n must be a positive integer, got {n!r}")
    try:
        jax.config.update("jax_num_cpu_devices", n)
    except RuntimeError as error:
        if jax.local_device_count("cpu") == n:
            return
        raise RuntimeError(
            f"JAX has started with {jax.local_device_count('cpu')} CPU device(s), which cannot be "
            "changed any more; call gridax.use_cpu_devices() right after the imports, or set the "
            f"environment variable JAX_NUM_CPU_DEVICES={n}"
        ) from error


def cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use."""
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except AttributeError:  # not on every system
        return tuple(range(os.cpu_count() or 1))


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(cores())


class Watch:
    """Says once that cores are idle, when a sweep on one CPU device takes long."""

    def __init__(self) -> None:
        alone = jax.local_device_count() == 1 and jax.local_devices()[0].platform == "cpu"
        self._idle = n_cores() if alone else 1
        self._start = time.monotonic()

    def look(self) -> None:
        """Warn if it is time."""
        if self._idle == 1 or time.monotonic() - self._start < _LONG:
            return
        n, self._idle = self._idle, 1
        warn(
            f"this sweep runs on one of {n} cores, as far as JAX sees one CPU device. To use all, "
            "call gridax.use_cpu_devices() right after the imports, or set the environment "
            f"variable JAX_NUM_CPU_DEVICES={n}"
        )
