from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

from gridax._template import Output
from gridax.stores import memory
from gridax.stores.memory import DONE, PENDING, MemoryStore, human
from tests.ids import plain


def store_of(shape, output_shape=(), dtype="float64"):
    return MemoryStore(shape, [Output("y", output_shape, jnp.dtype(dtype))])


def test_a_tile_is_stored_at_its_indices_and_nowhere_else():
    store = store_of((3, 4), (2,))
    values = np.arange(8.0).reshape(2, 2, 2)
    assert store.write([np.array([1, 2]), np.array([0, 1])], [values]) == 4
    assert store.n_done == 4
    np.testing.assert_array_equal(store.arrays[0][1:3, 0:2], values)
    assert (store.status == PENDING).sum() == 8
    assert (store.status[1:3, :2] == DONE).all()


def test_indices_need_not_be_neighbours():
    store = store_of((5,))
    store.write([np.array([4, 0, 2])], [np.array([40.0, 0.0, 20.0])])
    store.erase_pending()
    np.testing.assert_array_equal(store.arrays[0], [0, np.nan, 20, np.nan, 40])


def test_points_that_come_twice_count_once():
    store = store_of((4,))
    assert store.write([np.array([0, 1, 0])], [np.zeros(3)]) == 2
    assert store.write([np.array([1, 2])], [np.zeros(2)]) == 1
    assert store.n_done == 3


def test_a_grid_without_dimensions_is_one_point():
    store = store_of((), (2,))
    assert store.write([], [np.array([1.0, 2.0])]) == 1
    assert store.arrays[0].tolist() == [1.0, 2.0]
    assert store.n_done == 1


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (np.int64(0), np.float64(0.5), "float64"),
        (np.float64(0.5), np.int64(1), "float64"),
        (np.bool_(True), np.int64(7), "int64"),
        (np.float32(0.5), np.complex64(1j), "complex64"),
        (np.int32(1), np.int64(2**40), "int64"),
    ],
    ids=plain,
)
def test_a_dtype_widens_when_a_later_value_needs_it(first, second, dtype):
    store = store_of((2,), dtype=str(first.dtype))
    store.write([np.array([0])], [first[None]])
    store.write([np.array([1])], [second[None]])
    assert store.arrays[0].dtype == dtype
    assert store.arrays[0].tolist() == [first, second]


@pytest.mark.parametrize(
    ("dtype", "erased"),
    [
        ("float32", np.nan),
        ("bfloat16", np.nan),
        ("complex64", np.nan),
        ("int32", 0),
        ("bool", False),
        ("int4", 0),
    ],
)
def test_what_was_not_computed_is_nan_or_zero(dtype, erased):
    store = store_of((3,), (2,), dtype)
    store.arrays[0][...] = 1
    store.write([np.array([1])], [np.ones((1, 2), jnp.dtype(dtype))])
    store.erase_pending()
    assert (store.arrays[0][1] == 1).all()
    for i in (0, 2):
        np.testing.assert_array_equal(store.arrays[0][i].astype(complex).real, [erased, erased])


def test_outputs_larger_than_the_machine_are_refused_before_anything_runs():
    there = memory._physical_memory()
    if there is None:
        pytest.skip("the system does not say how much memory it has")
    text = (
        "the outputs of 1000000000000 points need 8 TB, but the machine has "
        f"{human(there)} of memory; run parts of the space (sel, isel), or return less per point"
    )
    with pytest.raises(MemoryError, match=re.escape(text)):
        store_of((10**6, 10**6))


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (4.2e9, "4.2 GB"), (1e19, "10 EB")],
)
def test_sizes_read_well(nbytes, text):
    assert human(nbytes) == text
