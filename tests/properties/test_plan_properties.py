"""A plan holds every point, in tiles of one shape, and computes few points twice."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math

import jax.numpy as jnp
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from gridax._kernel import indices
from gridax._plan.plan import n_points
from gridax._plan.tiling import Sweep
from gridax._plan.widths import ACCELERATOR, CPU
from gridax._plan.work import Work

MOST_POINTS = 1500  # of a grid, so that each can be looked at


def works(n_dims):
    """Any work of a model: some stages, each along some dimensions, of any cost."""
    dims = st.frozensets(st.integers(0, n_dims - 1)) if n_dims else st.just(frozenset())
    times = st.dictionaries(dims, st.floats(0, 1e9), max_size=4)
    nbytes = st.dictionaries(dims, st.integers(0, 2**24), max_size=2)
    return st.builds(Work, times, nbytes, nbytes, st.just(()), dims)


def divisions(size):
    """Cut the positions along a dimension to groups, as the choices of an axis do."""
    return st.permutations(range(size)).flatmap(
        lambda order: st.integers(1, size).map(
            lambda k: tuple(tuple(order[i::k]) for i in range(k))
        )
    )


@st.composite
def sizes(draw):
    """Sizes of up to twelve dimensions, ones and primes among them."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        left = MOST_POINTS // math.prod(found)
        found.append(draw(st.sampled_from([n for n in (1, 2, 3, 4, 7, 12, 13, 97) if n <= left])))
    return tuple(draw(st.permutations(found)))


@st.composite
def sweeps(draw, grouped=True):
    shape = draw(sizes())
    groups = tuple(draw(st.none() | divisions(n)) if grouped else None for n in shape)
    return Sweep(
        dims=tuple("abcdefghijkl"[: len(shape)]),
        sizes=shape,
        work=draw(works(len(shape))),
        point_bytes=draw(st.sampled_from([0, 4, 2**20, 2**28])),
        n_devices=draw(st.integers(1, 5)),
        groups=groups,
        start=draw(st.sampled_from([CPU, ACCELERATOR])),
    )


# As of `Sweep.plan`.
bounds = st.fixed_dictionaries(
    {},
    optional={
        "n_vmap": st.integers(1, 200),
        "memory": st.integers(1, 2**30),
        "most": st.integers(1, 200),
    },
)


@st.composite
def plans(draw, grouped=True, in_blocks=True):
    """Plans that a sweep would have, in blocks of any shape."""
    plan = draw(sweeps(grouped)).plan(**draw(bounds))
    if in_blocks:
        block = tuple(draw(st.integers(1, size)) for size in plan.sizes)
        plan = dataclasses.replace(plan, block=block)
    return plan


def numbers_of(plan, tile):
    """Return the number in the grid of each point of a tile; dimensions of a level go in step.

    Points are numbered in the order of the grid.
    """
    indices = plan.indices(tile)
    numbers = np.zeros(tuple(map(len, tile.runs)), dtype=np.int64)
    for place, (level, run) in enumerate(zip(plan.levels, tile.runs, strict=True)):
        behind = (1,) * (len(plan.levels) - place - 1)
        for dim in level.dims:
            along = indices[dim][: len(run)] * math.prod(plan.sizes[dim + 1 :])
            numbers += along.reshape(-1, *behind)
    return numbers


def grid_of(plan):
    """Return the number of each point of the grid."""
    return np.arange(plan.n_points).reshape(plan.sizes)


@given(plans())
def test_blocks_are_disjoint_and_cover_the_grid(plan):
    times = np.zeros(plan.sizes, dtype=int)
    blocks = list(plan.blocks())
    for box in blocks:
        times[tuple(slice(*bounds) for bounds in box)] += 1
        assert all(
            stop - start <= most for (start, stop), most in zip(box, plan.block, strict=True)
        )
    assert (times == 1).all()
    assert len(blocks) == plan.n_blocks
    assert sum(map(n_points, blocks)) == plan.n_points


@given(plans())
def test_tiles_of_a_block_cover_it_and_nothing_else(plan):
    grid = grid_of(plan)
    for box in plan.blocks():
        tiles = list(plan.tiles(box))
        covered = np.unique(np.concatenate([numbers_of(plan, tile).ravel() for tile in tiles]))
        inside = grid[tuple(slice(*bounds) for bounds in box)]
        assert covered.tolist() == sorted(inside.ravel().tolist())
        assert len(tiles) == plan.n_tiles(box)


@given(plans())
def test_all_tiles_have_one_shape_and_stay_in_their_block_and_groups(plan):
    for box in plan.blocks():
        for tile in plan.tiles(box):
            indices = plan.indices(tile)
            assert tuple(map(len, indices)) == plan.lengths
            for index, (start, stop) in zip(indices, box, strict=True):
                assert ((index >= start) & (index < stop)).all()
            for level in plan.levels:
                chosen = set(indices[level.dims[0]].tolist())
                assert level.groups is None or any(chosen <= set(group) for group in level.groups)


@given(plans())
def test_points_that_fill_up_a_tile_are_points_of_it(plan):
    for box in plan.blocks():
        for tile in plan.tiles(box):
            indices = plan.indices(tile)
            for level, run in zip(plan.levels, tile.runs, strict=True):
                points = list(zip(*(indices[dim].tolist() for dim in level.dims), strict=True))
                assert 1 <= len(run) <= level.length == len(points)
                assert set(points) == set(points[: len(run)])
                assert len(set(points)) == len(run)


@given(plans())
def test_the_region_of_a_tile_is_where_its_points_lie(plan):
    grid = grid_of(plan)
    for box in plan.blocks():
        for tile in plan.tiles(box):
            region = plan.region(tile)
            cut = tuple(slice(*bounds) for bounds in region.box)
            found = grid[cut].reshape(region.shape)[region.where]
            assert found.shape == tuple(map(len, tile.runs))
            assert found.tolist() == numbers_of(plan, tile).tolist()


@given(plans(), st.data())
def test_a_tile_splits_into_tiles_that_hold_exactly_its_points(plan, data):
    levels = tuple(
        dataclasses.replace(level, width=data.draw(st.integers(1, level.length)), depth=1)
        for level in plan.levels
    )
    narrower = dataclasses.replace(plan, levels=levels)
    for box in plan.blocks():
        for tile in plan.tiles(box):
            pieces = list(narrower.split(tile))
            held = np.concatenate([numbers_of(narrower, piece).ravel() for piece in pieces])
            assert set(held.tolist()) == set(numbers_of(plan, tile).ravel().tolist())
            assert {tuple(map(len, narrower.indices(piece))) for piece in pieces} == {
                narrower.lengths
            }


@st.composite
def takes(draw, box):
    """Positions in a box along each dimension, in any order."""
    found = []
    for start, stop in box:
        order = draw(st.permutations(range(stop - start)))
        found.append(np.array(order[: draw(st.integers(1, stop - start))], dtype=np.int64))
    return tuple(found)


@given(plans(), st.data())
def test_tiles_of_what_is_taken_of_a_block_cover_it_and_nothing_else(plan, data):
    box = data.draw(st.sampled_from(list(itertools.islice(plan.blocks(), 20))))
    take = data.draw(takes(box))
    tiles = list(plan.tiles(box, take))
    cut = grid_of(plan)[tuple(slice(*bounds) for bounds in box)]
    wanted = cut[np.ix_(*take)] if take else cut
    covered = np.unique(np.concatenate([numbers_of(plan, tile).ravel() for tile in tiles]))
    assert covered.tolist() == sorted(wanted.ravel().tolist())
    for tile in tiles:
        indices = plan.indices(tile)
        assert tuple(map(len, indices)) == plan.lengths
        # What fills up a short run is taken, too.
        for index, (start, _), along in zip(indices, box, take, strict=True):
            assert set(index.tolist()) <= set((along + start).tolist())
        for level in plan.levels:
            chosen = set(indices[level.dims[0]].tolist())
            assert level.groups is None or any(chosen <= set(group) for group in level.groups)


@given(plans(), st.data())
def test_the_region_of_a_tile_of_what_is_taken_is_where_its_points_lie(plan, data):
    box = data.draw(st.sampled_from(list(itertools.islice(plan.blocks(), 20))))
    cut = grid_of(plan)[tuple(slice(*bounds) for bounds in box)]
    for tile in plan.tiles(box, data.draw(takes(box))):
        region = plan.region(tile)
        assert region.box == box
        found = cut.reshape(region.shape)[region.where]
        assert found.shape == tuple(map(len, tile.runs))
        assert found.tolist() == numbers_of(plan, tile).tolist()


@given(sweeps(), bounds)
def test_every_narrower_plan_has_half_as_many_points_down_to_one(sweep, limits):
    plan = sweep.plan(**limits)
    while (narrower := sweep.narrower(plan)) is not None:
        assert 1 <= math.prod(narrower.tile) <= math.prod(plan.tile) / 2
        assert narrower.block == plan.block
        plan = narrower
    assert math.prod(plan.tile) == 1


@given(sweeps(), bounds)
def test_no_bound_is_exceeded_but_by_a_single_point(sweep, limits):
    plan = sweep.plan(**limits)
    assert plan.n_vmap <= limits.get("n_vmap", math.inf)
    assert math.prod(plan.tile) <= limits.get("most", math.inf)
    if "memory" in limits and plan.n_vmap > 1:
        assert sweep.widths.nbytes(plan.levels) <= limits["memory"]


@given(sweeps(), bounds, st.floats(1e-9, 1e3), st.integers(1, 200))
def test_other_plans_cover_the_same_grid_within_the_bound(sweep, limits, seconds, most):
    plan = sweep.plan(**limits)
    for other in sweep.others(plan, seconds, most=most):
        assert (other.sizes, other.block) == (plan.sizes, plan.block)
        assert math.prod(other.tile) <= most
        assert 1 <= other.n_devices <= sweep.n_devices
        held = sorted(dim for level in other.levels for dim in level.dims)
        assert held == list(range(len(plan.sizes)))
        for level in other.levels:
            groups = [sweep.groups[dim] for dim in level.dims]
            assert groups == [level.groups] if level.groups else not any(groups)


@given(sweeps(), bounds)
def test_every_dimension_is_in_one_level_and_choices_are_alone(sweep, limits):
    plan = sweep.plan(**limits)
    held = collections.Counter(itertools.chain.from_iterable(level.dims for level in plan.levels))
    assert held == dict.fromkeys(range(len(plan.sizes)), 1)
    for level in plan.levels:
        groups = [sweep.groups[dim] for dim in level.dims]
        assert groups == [level.groups] if level.groups else not any(groups)


@given(plans(in_blocks=False))
def test_no_device_is_without_a_tile(plan):
    assert 1 <= plan.n_devices <= max(plan.n_tiles(box) for box in plan.blocks())


@given(plans(grouped=False, in_blocks=False))
def test_few_points_are_computed_twice(plan):
    box = next(plan.blocks())
    assume(n_points(box) > math.prod(plan.tile))
    computed = plan.n_tiles(box) * math.prod(plan.tile)
    assert computed < 2 * n_points(box)


@given(plans())
def test_a_program_counts_the_indices_that_a_plan_lists(plan):
    assume(plan.levels)
    tiles = (tile for box in plan.blocks() for tile in plan.tiles(box))
    for tile in itertools.islice(tiles, 20):
        numbers = [indices.described(plan, tile, n) for n in range(len(plan.levels))]
        row = jnp.concatenate([jnp.zeros(0, int), *map(jnp.asarray, numbers)])
        assert len(row) == indices.n_numbers(plan.levels, counting=True)
        counted = indices.unpacked(plan.levels, plan.lengths, True, row)
        for level, run in zip(plan.levels, tile.runs, strict=True):
            for dim in level.dims:
                there = slice(len(run))  # what repeats a short run is dropped
                listed = plan.indices(tile)[dim]
                np.testing.assert_array_equal(counted[dim][there], listed[there])
