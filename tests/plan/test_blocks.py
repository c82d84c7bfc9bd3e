"""Blocks of a store: as cubic as their size allows, and what is left to do in one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridax._plan import blocks
from gridax._plan.blocks import Wish, pieces, shape
from gridax._plan.plan import boxes

MIB = 2**20


def wish(seconds=1e-9, nbytes=8, tile=None, n_dims=1):
    return Wish(seconds, nbytes, tile or (1,) * n_dims)


@pytest.mark.parametrize(
    ("sizes", "wanted", "block"),
    [
        # as long as a crash may cost
        ((100, 100), wish(0.1, 1000, n_dims=2), (10, 10)),
        ((100, 100, 100), wish(0.01, 8, n_dims=3), (10, 10, 10)),
        ((100,), wish(0.1), (100,)),
        ((1000,), wish(0.1), (100,)),
        # a point may take longer than that
        ((100, 100), wish(1000.0, 8, n_dims=2), (1, 1)),
        # as large as memory may have several of
        ((1024,), wish(nbytes=MIB), (32,)),
        ((1024, 1024), wish(nbytes=MIB // 8, n_dims=2), (16, 16)),
        ((10, 10), wish(nbytes=2**30, n_dims=2), (1, 1)),
        # everything, where that is little
        ((7, 11, 13), wish(n_dims=3), (7, 11, 13)),
        ((7, 11), wish(nbytes=0, n_dims=2), (7, 11)),
        # what a short dimension leaves goes to the others
        ((2, 1000), wish(0.1, n_dims=2), (2, 50)),
        ((1, 1000, 1), wish(0.1, n_dims=3), (1, 100, 1)),
        # hardly anything is left at the end
        ((101,), wish(0.2), (34,)),
        ((12,), wish(2.0), (4,)),
        ((97,), wish(0.1), (97,)),
        ((), wish(n_dims=0), ()),
    ],
)
def test_a_block_is_as_cubic_as_its_size_allows(sizes, wanted, block):
    assert shape(sizes, wanted) == block


def test_a_tile_stays_together_though_it_takes_long():
    assert shape((64, 64), wish(1.0, tile=(32, 1))) == (32, 1)
    assert shape((64, 64), wish(1.0, tile=(1, 64))) == (1, 64)
    assert shape((64, 64), wish(1.0, MIB, tile=(1, 64))) == (1, 32)  # but for its bytes


def test_a_tile_grows_along_its_shorter_sides_first():
    assert shape((64, 64), wish(10 / 1024, tile=(32, 1))) == (32, 32)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_processes_that_share_a_sweep_have_several_blocks_each(n):
    sizes = (64, 64)
    block = shape(sizes, wish(0.01, n_dims=2), n)
    assert math.prod(block) < math.prod(shape(sizes, wish(0.01, n_dims=2)))
    assert math.prod(sizes) / math.prod(block) >= 4 * n


def test_a_block_is_worth_writing_however_many_share_it():
    block = shape((1000,), wish(0.001), 10_000)
    assert 50 <= block[0] <= 100  # a tenth of a second


def test_a_huge_grid_has_no_more_blocks_than_a_folder_can_list():
    sizes = (10**4, 10**4, 10**4)
    block = shape(sizes, wish(0.01, 1, n_dims=3))
    assert math.prod(map(lambda n, b: math.ceil(n / b), sizes, block)) <= 2 * blocks._MOST_BLOCKS


def test_blocks_are_larger_where_there_would_be_too_many():
    points = 4 * blocks._MOST_BLOCKS * 32  # four times as many blocks of 32 MB as there may be
    assert shape((points,), wish(nbytes=MIB)) == (4 * 32,)


def test_a_grid_of_any_size_costs_nothing():
    assert shape((10**15,), wish(nbytes=1)) == (2**28,)
    block = shape((10**9, 10**9), wish(nbytes=1, n_dims=2))
    assert 2**27 <= math.prod(block) <= 2**28


@st.composite
def sweeps(draw):
    n_dims = draw(st.integers(0, 5))
    sizes = tuple(
        draw(st.integers(1, draw(st.sampled_from([3, 100, 10**6])))) for _ in range(n_dims)
    )
    tile = tuple(draw(st.integers(1, size)) for size in sizes)
    seconds = draw(st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0, 1e4]))
    nbytes = draw(st.one_of(st.integers(0, 100), st.integers(0, 2**30)))
    return sizes, Wish(seconds, nbytes, tile), draw(st.sampled_from([1, 2, 7, 1000]))


@given(sweeps())
def test_a_block_is_within_the_grid_and_its_bytes_within_the_limit(sweep):
    sizes, wanted, n_shards = sweep
    block = shape(sizes, wanted, n_shards)
    assert len(block) == len(sizes)
    assert all(1 <= piece <= size for piece, size in zip(block, sizes, strict=True))
    few = math.prod(sizes) * wanted.nbytes <= blocks._MOST_BLOCKS * blocks._BYTES
    most = blocks._BYTES if few else blocks._MOST_BYTES
    assert math.prod(block) == 1 or math.prod(block) * wanted.nbytes <= most
    assert shape(sizes, wanted, n_shards) == block


@given(sweeps())
def test_a_block_has_more_than_a_quarter_of_a_tile_along_each_dimension_if_its_bytes_allow(sweep):
    sizes, wanted, _ = sweep
    if math.prod(wanted.tile) * max(1, wanted.nbytes) <= blocks._BYTES:
        block = shape(sizes, wanted)
        assert all(4 * piece > along for piece, along in zip(block, wanted.tile, strict=True))


@given(sweeps())
def test_more_processes_never_have_larger_blocks(sweep):
    sizes, wanted, n_shards = sweep
    alone, shared = shape(sizes, wanted), shape(sizes, wanted, n_shards)
    # But for what is gained where hardly anything is left at the end.
    assert math.prod(shared) <= 2 ** len(sizes) * math.prod(alone)


@given(sweeps())
def test_blocks_cover_the_grid_and_few_points_are_missing_from_the_last(sweep):
    sizes, wanted, n_shards = sweep
    block = shape(sizes, wanted, n_shards)
    for size, piece in zip(sizes, block, strict=True):
        cuts = [(k, min(k + piece, size)) for k in range(0, size, piece)][:1000]
        assert list(itertools.islice(boxes((size,), (piece,)), 1000)) == [(cut,) for cut in cuts]
    if math.prod(sizes) <= 10**4:
        found = list(boxes(sizes, block))
        assert len(set(found)) == len(found)
        points = sum(math.prod(stop - start for start, stop in box) for box in found)
        assert points == math.prod(sizes)


masks = st.lists(st.integers(1, 5), max_size=4).flatmap(
    lambda sizes: st.tuples(
        st.just(tuple(sizes)),
        st.lists(st.booleans(), min_size=math.prod(sizes), max_size=math.prod(sizes)),
    ).map(lambda drawn: np.array(drawn[1], bool).reshape(drawn[0]))
)


@st.composite
def products(draw):
    """Masks in which what is done is a product of positions."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    done = [draw(st.lists(st.booleans(), min_size=n, max_size=n)) for n in sizes]
    todo = np.ones(sizes, bool)
    todo[np.ix_(*map(np.flatnonzero, done))] = False
    return todo


def covered(todo):
    """Return how often each point is in one of the pieces."""
    times = np.zeros(todo.shape, int)
    for piece in pieces(todo):
        if piece is None:
            times += 1
        else:
            assert all(len(along) for along in piece)
            times[np.ix_(*piece)] += 1
    return times


def is_product(done):
    along = [
        np.flatnonzero(done.any(axis=tuple(set(range(done.ndim)) - {d}))) for d in range(done.ndim)
    ]
    return done.any() and bool(done[np.ix_(*along)].all())


@given(products())
def test_what_is_left_beside_a_product_is_a_few_disjoint_products(todo):
    np.testing.assert_array_equal(covered(todo), todo)
    assert len(pieces(todo)) <= todo.ndim


@given(masks)
def test_all_of_a_block_is_left_where_it_cannot_be_told_in_products(todo):
    times = covered(todo)
    assert (times[todo] == 1).all()
    if todo.any() and not is_product(~todo):
        assert pieces(todo) == [None]
    elif todo.any():
        np.testing.assert_array_equal(times, todo)


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (1, 1, 1), ()])
def test_a_block_of_which_nothing_is_done_is_left_as_a_whole(sizes):
    assert pieces(np.ones(sizes, bool)) == [None]


@pytest.mark.parametrize("sizes", [(3,), (2, 3)])
def test_nothing_is_left_of_a_block_that_is_done(sizes):
    assert pieces(np.zeros(sizes, bool)) == []


def test_pieces_are_positions_in_the_block():
    todo = np.ones((3, 4), bool)
    todo[np.ix_([0, 2], [1, 3])] = False
    found = [[along.tolist() for along in piece] for piece in pieces(todo)]
    assert found == [[[1], [0, 1, 2, 3]], [[0, 2], [0, 2]]]
