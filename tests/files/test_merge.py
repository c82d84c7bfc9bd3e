"""Parts that are merged give what all of their values give at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridax._files.merge import _merged
from gridax._reduce import arithmetic

METHODS = ["count", "mean", "var", "std", "sum", "min", "argmin", "max", "argmax", "any", "all"]


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.sampled_from([0.0, 1e4, -1e8]),
)
def test_parts_of_any_lengths(seed, lengths, offset):
    rng = np.random.default_rng(seed)
    values = offset + rng.normal(size=(3, sum(lengths)))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[0, rng.random(values.shape[1]) < 0.2] = rng.choice([np.inf, -np.inf])
    whole = reduced(values)
    stops = np.cumsum(lengths)
    parts = [
        reduced(part, start)
        for part, start in zip(np.split(values, stops[:-1], axis=1), [0, *stops[:-1]], strict=True)
    ]
    done = np.ones((3, len(parts)), bool)
    arrays = [np.stack(each, axis=-1) for each in zip(*parts, strict=True)]
    merged = dict(zip(METHODS, _merged(METHODS, 1, done, arrays), strict=True))
    nothing = merged["count"] == 0
    for method, wanted in zip(METHODS, whole, strict=True):
        found = merged[method]
        if method.startswith("arg"):
            found = np.where(nothing, -1, found)
        tolerance = 1e-6 * max(1.0, abs(offset) * 1e-6)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=tolerance, err_msg=method)


def reduced(values, start=0):
    with np.errstate(all="ignore"):
        arrays = arithmetic.reduced(np, values, None, 1, METHODS, lambda method: None)
    return [
        np.where(array < 0, array, array + start) if method.startswith("arg") else array
        for method, array in zip(METHODS, arrays, strict=True)
    ]


def test_pending_parts_do_not_count():
    parts = [reduced(np.full((1, 4), value)) for value in (1.0, 3.0, 100.0)]
    arrays = [np.stack(each, axis=-1) for each in zip(*parts, strict=True)]
    done = np.array([[True, True, False]])
    merged = dict(zip(METHODS, _merged(METHODS, 1, done, arrays), strict=True))
    assert merged["count"].tolist() == [8]
    assert merged["mean"].tolist() == [2.0]
    assert merged["var"].tolist() == [1.0]
    assert merged["max"].tolist() == [3.0]


def test_parts_of_outputs_without_elements():
    arrays = [np.stack([each, each], axis=-1) for each in reduced(np.zeros((0, 4)))]
    merged = _merged(METHODS, 1, np.ones((1, 2), bool), arrays)
    assert [array.shape for array in merged] == [(0,)] * len(METHODS)
