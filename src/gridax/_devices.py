"""CPU cores and JAX devices; by default, JAX uses a CPU as a single device."""

from __future__ import annotations

import os

import jax


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


def cores() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use."""
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except AttributeError:  # macOS and Windows do not have it
        return tuple(range(os.cpu_count() or 1))


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(cores())
