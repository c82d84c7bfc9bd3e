"""CPU cores and JAX devices; by default, JAX uses a CPU as a single device."""

from __future__ import annotations

import functools
import os
from typing import Any

import jax

# Settings of JAX that change what a model computes.
SETTINGS = (
    "jax_enable_x64",
    "jax_threefry_partitionable",
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_debug_nans",
)
_DEFAULT = "jax_default_device"


def use_cpu_devices(n: int | None = None) -> None:
    """Make JAX use several CPU devices, such as one per core.

    A sweep uses all cores with a single CPU device, too. Several are useful for code that shards
    arrays over them, or to try out on a CPU what will run on several GPUs. Call this before
    anything that computes with JAX. The environment variable ``JAX_NUM_CPU_DEVICES`` has the same
    effect.

    Parameters
    ----------
    n : int, optional
        Number of devices. The default is the number of cores that this process may use.

    Raises
    ------
    ValueError
        If `n` is not positive.
    RuntimeError
        If JAX has already started with another number of devices.

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
            f"JAX has already started with {jax.local_device_count('cpu')} CPU device(s); call "
            "gridax.use_cpu_devices() right after the imports, or set the environment variable "
            f"JAX_NUM_CPU_DEVICES={n}"
        ) from error


def devices() -> list[jax.Device]:
    """Return the devices of this process that a sweep may use.

    These are all of them, or those of the platform or the single one that `jax.default_device`
    names.
    """
    default = _default()
    if default is None or isinstance(default, str):
        return jax.local_devices(backend=default)
    return [default]


def kind() -> str:
    """Return the name of the kind of device that a sweep uses."""
    return _kind(_default())


@functools.cache
def _kind(default: Any) -> str:
    return devices()[0].device_kind


def _default() -> Any:
    """Return the default device or platform, or None."""
    return getattr(jax.config, _DEFAULT)


def check_number(n_pmap: int) -> None:
    """Raise a ValueError unless there are so many devices."""
    n = len(devices())
    if n_pmap > n:
        raise ValueError(
            f"n_pmap={n_pmap}, but JAX has {n} device(s) here; use fewer, or on a CPU call "
            "gridax.use_cpu_devices() before JAX starts"
            if _default() is None
            else f"n_pmap={n_pmap}, but jax.default_device leaves {n} device(s); use fewer, or "
            "leave the default device unset"
        )


def cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use."""
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except AttributeError:  # macOS and Windows do not have it
        return tuple(range(os.cpu_count() or 1))


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(cores())
