"""64-bit JAX for the length of a ``with`` block, under the name it has in this JAX."""

from __future__ import annotations

from contextlib import AbstractContextManager

import jax
import jax.experimental


def x64() -> AbstractContextManager[None]:
    """Enable 64-bit values."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return jax.experimental.enable_x64()
