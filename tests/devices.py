"""On how many devices, or on how many threads of one device, tests evaluate a sweep."""

import contextlib

import jax
import pytest
from hypothesis import strategies as st

from gridax import _devices
from gridax._plan import tiling

THREADS = "threads"
# Numbers of devices, None for all of them, or threads of a single one.
COUNTS = st.integers(1, jax.local_device_count()) | st.sampled_from([None, THREADS])


@contextlib.contextmanager
def on(n_pmap):
    """Yield a number of devices, which may be None; for THREADS, a CPU is a single device."""
    if n_pmap != THREADS:
        yield n_pmap
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_devices, "devices", lambda: jax.local_devices()[:1])
        patch.setattr(_devices, "n_cores", lambda: 3)
        patch.setattr(tiling, "_THREADS", 0.0)
        yield None
