from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

from gridax import _memory
from gridax._memory import human, physical
from gridax._outputs.template import Output
from gridax._plan.plan import Region
from gridax._stores.base import Computed
from gridax._stores.memory import DONE, PENDING, MemoryStore
from tests.ids import plain


def whole(*sizes):
    return tuple((0, size) for size in sizes)


def store_of(shape, output_shape=(), dtype="float64"):
    return MemoryStore(whole(*shape), [Output("y", output_shape, jnp.dtype(dtype))])


def fill_the_rest(store):
    if not store.is_complete:
        store.widen()
    store.erase()


def test_a_tile_is_stored_at_its_indices_and_nowhere_else():
    store = store_of((3, 4), (2,))
    values = np.arange(8.0).reshape(2, 2, 2)
    assert (
        store.write(Computed(Region(whole(3, 4), (3, 4), (slice(1, 3), slice(0, 2))), [values]))
        == 4
    )
    assert store.n_done == 4
    np.testing.assert_array_equal(store.arrays[0][1:3, 0:2], values)
    assert (store.status == PENDING).sum() == 8
    assert (store.status[1:3, :2] == DONE).all()


def test_indices_need_not_be_neighbors():
    store = store_of((5,))
    store.write(
        Computed(Region(whole(5), (5,), (np.array([4, 0, 2]),)), [np.array([40.0, 0.0, 20.0])])
    )
    fill_the_rest(store)
    np.testing.assert_array_equal(store.arrays[0], [0, np.nan, 20, np.nan, 40])


def test_points_that_come_again_count_once():
    store = store_of((4,))
    assert store.write(Computed(Region(whole(4), (4,), (slice(0, 2),)), [np.zeros(2)])) == 2
    assert store.write(Computed(Region(whole(4), (4,), (slice(1, 3),)), [np.ones(2)])) == 1
    assert store.write(Computed(Region(whole(4), (4,), (np.array([0, 3]),)), [np.zeros(2)])) == 1
    assert store.n_done == 4


def test_a_whole_grid_counts_what_is_new_of_it():
    store = store_of((2, 3))
    assert store.write(Computed(Region(whole(2, 3), (6,), (slice(1, 3),)), [np.zeros(2)])) == 2
    assert store.write(Computed(Region(whole(2, 3), (6,), (slice(0, 6),)), [np.ones(6)])) == 4
    assert store.n_done == 6
    assert (store.arrays[0] == 1).all()


def test_a_tile_lies_in_the_block_that_is_cut_out():
    store = store_of((5, 3))
    block = ((2, 4), (0, 3))
    assert store.write(Computed(Region(block, (6,), (slice(1, 5),)), [np.arange(4.0)])) == 4
    fill_the_rest(store)
    np.testing.assert_array_equal(store.arrays[0][2:4], [[np.nan, 0, 1], [2, 3, np.nan]])
    assert np.isnan(store.arrays[0][[0, 1, 4]]).all()


def test_a_tile_that_is_all_of_a_block_is_not_all_of_the_grid():
    store = store_of((4,))
    assert store.write(Computed(Region(((2, 4),), (2,), (slice(0, 2),)), [np.ones(2)])) == 2
    assert store.status.tolist() == [PENDING, PENDING, DONE, DONE]


def test_a_mesh_of_indices_places_a_tile_in_a_block():
    store = store_of((4, 3))
    mesh = (np.array([[0], [1]]), np.array([[2, 0]]))
    block = ((2, 4), (0, 3))
    assert (
        store.write(Computed(Region(block, (2, 3), mesh), [np.array([[1.0, 2.0], [3.0, 4.0]])]))
        == 4
    )
    fill_the_rest(store)
    np.testing.assert_array_equal(store.arrays[0][2:], [[2, np.nan, 1], [4, np.nan, 3]])


@pytest.mark.parametrize("where", [(slice(0, 2), slice(1, 4)), np.ix_([0, 1], [1, 2, 3])])
@pytest.mark.parametrize("constant", [(0,), (1,), (0, 1)])
def test_values_may_have_size_one_where_they_do_not_vary(where, constant):
    store = store_of((2, 4), (5,))
    tile = np.empty((2, 3, 5))
    values = np.arange(30.0).reshape(2, 3, 5)
    for axis in constant:
        values = values.take([0], axis)
    tile[...] = values
    assert store.write(Computed(Region(whole(2, 4), (2, 4), where), [values])) == 6
    np.testing.assert_array_equal(store.arrays[0][:, 1:4], tile)


def test_every_output_has_its_own_shape_and_dtype():
    outputs = [Output("y", (2,), np.dtype("float32")), Output("n", (), np.dtype("int32"))]
    store = MemoryStore(whole(3), outputs)
    region = Region(whole(3), (3,), (slice(0, 2),))
    store.write(Computed(region, [np.ones((2, 2), np.float32), np.array([7], np.int32)]))
    assert [array.shape for array in store.arrays] == [(3, 2), (3,)]
    assert store.arrays[1][:2].tolist() == [7, 7]


def test_a_grid_without_dimensions_is_one_point():
    store = store_of((), (2,))
    assert store.write(Computed(Region(whole(), (), ()), [np.array([1.0, 2.0])])) == 1
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
    store.write(Computed(Region(whole(2), (2,), (0,)), [first]))
    store.write(Computed(Region(whole(2), (2,), (1,)), [second]))
    assert store.arrays[0].dtype == dtype
    assert store.arrays[0].tolist() == [first, second]


def test_dimensions_may_be_seen_as_one():
    store = store_of((2, 3))
    assert (
        store.write(
            Computed(Region(whole(2, 3), (6,), (slice(2, 5),)), [np.array([2.0, 3.0, 4.0])])
        )
        == 3
    )
    fill_the_rest(store)
    np.testing.assert_array_equal(store.arrays[0], [[np.nan, np.nan, 2], [3, 4, np.nan]])


def test_a_mesh_of_indices_places_a_tile_across_dimensions():
    store = store_of((2, 3))
    mesh = (np.array([[0], [1]]), np.array([[2, 0]]))
    assert (
        store.write(
            Computed(Region(whole(2, 3), (2, 3), mesh), [np.array([[1.0, 2.0], [3.0, 4.0]])])
        )
        == 4
    )
    fill_the_rest(store)
    np.testing.assert_array_equal(store.arrays[0], [[2, np.nan, 1], [4, np.nan, 3]])


@pytest.mark.parametrize(
    ("dtype", "after"),
    [
        ("float32", "float32"),
        ("bfloat16", "bfloat16"),
        ("complex64", "complex64"),
        ("int32", "float64"),
        ("bool", "float64"),
        ("int4", "float64"),
    ],
)
def test_what_was_not_computed_is_nan_and_never_an_invented_number(dtype, after):
    store = store_of((3,), (2,), dtype)
    store.write(Computed(Region(whole(3), (3,), (1,)), [np.ones(2, jnp.dtype(dtype))]))
    fill_the_rest(store)
    assert store.arrays[0].dtype == jnp.dtype(after)
    assert (store.arrays[0][1] == 1).all()
    assert np.isnan(store.arrays[0][[0, 2]].astype(complex)).all()


def test_integers_stay_integers_where_everything_was_computed():
    store = store_of((2,), dtype="int32")
    store.write(Computed(Region(whole(2), (2,), (slice(0, 2),)), [np.array([1, 2], np.int32)]))
    fill_the_rest(store)
    assert store.arrays[0].dtype == np.int32


def test_keys_that_were_not_computed_are_zeros_as_keys_have_no_nan():
    keys = Output("key", (2,), np.dtype(np.uint32), impl="threefry2x32")
    store = MemoryStore(whole(2), [keys])
    store.write(Computed(Region(whole(2), (2,), (0,)), [np.array([7, 8], np.uint32)]))
    fill_the_rest(store)
    assert store.arrays[0].tolist() == [[7, 8], [0, 0]]


def test_outputs_larger_than_the_machine_are_refused_before_anything_runs():
    there = physical()
    if there is None:
        pytest.skip("the system does not say how much memory it has")
    text = (
        "the outputs of 1000000000000 points need 8 TB, but the machine has "
        f"{human(there)} of memory; stream them to a store with run(store='sweep.zarr'), run parts "
        "of the space (sel, isel), or return less per point"
    )
    with pytest.raises(MemoryError, match=re.escape(text)):
        store_of((10**6, 10**6))


def test_outputs_are_not_refused_where_the_memory_of_the_machine_is_unknown(monkeypatch):
    monkeypatch.setattr(_memory, "physical", lambda: None)
    assert store_of((10,)).arrays[0].shape == (10,)


def test_outputs_that_just_fit_are_not_refused(monkeypatch):
    monkeypatch.setattr(_memory, "physical", lambda: 80)
    store_of((10,))
    text = "the outputs of 11 points need 88 B, but the machine has 80 B of memory"
    with pytest.raises(MemoryError, match=re.escape(text)):
        store_of((11,))


def counted(*shape):
    return np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)


ALL = Region(whole(2, 3), (6,), (slice(0, 6),))


def test_arrays_of_all_points_that_nobody_else_uses_are_not_copied():
    store, values = store_of((2, 3), (2,), "float32"), counted(6, 2)
    assert store.write(Computed(ALL, [values], owned=True)) == 6
    assert np.shares_memory(store.arrays[0], values)
    np.testing.assert_array_equal(store.arrays[0], values.reshape(2, 3, 2))


def test_arrays_that_others_use_are_copied():
    store, values = store_of((2, 3)), np.zeros(6)
    store.write(Computed(ALL, [values]))
    values[:] = 5
    assert not store.arrays[0].any()


def test_values_that_do_not_vary_and_narrower_ones_are_copied():
    store = store_of((2, 3), (), "float64")
    store.write(Computed(ALL, [counted(6)], owned=True))
    assert store.arrays[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    everything = Region(whole(2, 3), (2, 3), (slice(0, 2), slice(0, 3)))
    store.write(Computed(everything, [counted(1, 3)], owned=True))
    assert store.arrays[0].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_what_was_known_before_is_kept_though_an_array_covers_it():
    store = store_of((2, 3), (), "float32")
    store.arrays[0][0], store.status[0] = 7, DONE
    assert store.write(Computed(ALL, [counted(6)], owned=True)) == 3
    assert store.arrays[0].tolist() == [[7, 7, 7], [3, 4, 5]]
