"""How the outputs of a block are cut into chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gridax._memory import human
from gridax._outputs.template import Output

# Outputs of one point that are larger are cut into several chunks; blosc holds 2 GB at most.
_CHUNK_BYTES = 2**27
_BLOSC_BYTES = 2**31 - 2**10


def inner_chunks(shape: Sequence[int], point_bytes: int) -> tuple[int, ...]:
    """Return how the array of one point is cut, where it is too large for one chunk."""
    chunks = [max(1, size) for size in shape]
    most = _CHUNK_BYTES * math.prod(chunks) // max(1, point_bytes)
    while math.prod(chunks) > max(1, most):
        largest = chunks.index(max(chunks))
        chunks[largest] = math.ceil(chunks[largest] / 2)
    return tuple(chunks)


def check_chunks(block: Sequence[int], outputs: Sequence[Output]) -> None:
    """Refuse blocks whose chunks are larger than blosc can compress.

    Raises
    ------
    ValueError
        With the size, and what to do.
    """
    for output in outputs:
        inner = inner_chunks(output.shape, output.nbytes)
        nbytes = math.prod(block) * math.prod(inner) * output.dtype.itemsize
        if nbytes > _BLOSC_BYTES:
            raise ValueError(
                f"a block of {math.prod(block)} points has {human(nbytes)} of output "
                f"{output.name!r}, but a chunk holds {human(_BLOSC_BYTES)} at most; give fewer "
                "points with block="
            )
