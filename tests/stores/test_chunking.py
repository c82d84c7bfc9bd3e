"""Outputs that are too large for one chunk are cut, and blocks that no chunk can hold refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._stores import chunking
from gridax._stores.chunking import inner_chunks


@pytest.mark.parametrize(
    ("point", "nbytes", "chunks"),
    [
        ((), 8, ()),
        ((10,), 80, (10,)),
        ((0,), 0, (1,)),
        ((3, 0), 0, (3, 1)),
        ((2**27,), 2**27, (2**27,)),
        ((2**28,), 2**28, (2**27,)),
        ((2**27 + 1,), 2**27 + 1, (2**26 + 1,)),
        ((2**14, 2**13), 8 * 2**27, (2**12, 2**12)),
        ((1, 2**30), 2**30, (1, 2**27)),
    ],
)
def test_what_is_too_large_for_a_chunk_is_halved_along_its_longest_side(point, nbytes, chunks):
    assert inner_chunks(point, nbytes) == chunks


@given(st.lists(st.integers(1, 3000), max_size=4), st.sampled_from([1, 2, 4, 8, 16, 2**20]))
def test_a_chunk_of_a_point_is_within_the_limit(point, itemsize):
    chunks = inner_chunks(point, math.prod(point) * itemsize)
    assert len(chunks) == len(point)
    assert all(1 <= c <= n for c, n in zip(chunks, point, strict=True))
    assert math.prod(chunks) == 1 or math.prod(chunks) * itemsize <= chunking._CHUNK_BYTES
