"""A plan holds every point, in tiles of one shape, and computes few points twice."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridax import _tiling
from gridax._work import Work


def works(n_dims):
    """Any work of a model: some stages, each along some dimensions, of any cost."""
    dims = st.frozensets(st.integers(0, n_dims - 1)) if n_dims else st.just(frozenset())
    costs = st.dictionaries(dims, st.floats(0, 1e9), max_size=3)
    nbytes = st.dictionaries(dims, st.integers(0, 2**24), max_size=2)
    return st.builds(Work, costs, st.floats(0, 1e6), nbytes, nbytes, st.just(()), dims)


def divisions(size):
    """Cut the positions along a dimension to groups, as the choices of an axis do."""
    return st.permutations(range(size)).flatmap(
        lambda order: st.integers(1, size).map(
            lambda k: tuple(tuple(order[i::k]) for i in range(k))
        )
    )


@st.composite
def plans(draw, grouped=True):
    sizes = draw(st.lists(st.integers(1, 12), max_size=3))
    groups = [draw(st.none() | divisions(size)) if grouped else None for size in sizes]
    work = draw(works(len(sizes)))
    n_devices = draw(st.integers(1, 5))
    width = draw(st.none() | st.integers(1, 200))
    point_bytes = draw(st.sampled_from([0, 4, 2**20, 2**28]))
    plan = _tiling.plan(sizes, work, point_bytes, n_devices, groups, width)
    return plan, groups, n_devices, width


@given(plans())
def test_every_point_lies_in_a_tile_and_all_tiles_have_one_shape(drawn):
    plan, groups, _, width = drawn
    assert width is None or math.prod(plan.tile) <= width
    covered = set()
    n_tiles = 0
    for tile in plan.tiles():
        n_tiles += 1
        assert tuple(map(len, tile)) == plan.tile
        indices = plan.indices(tile)
        assert tuple(map(len, indices)) == plan.lengths
        for index, size, group in zip(indices, plan.sizes, groups, strict=True):
            assert ((index >= 0) & (index < size)).all()
            if group is not None:
                assert any(set(index.tolist()) <= set(members) for members in group)
        covered.update(points(plan, tile))
    assert covered == set(itertools.product(*map(range, plan.sizes)))
    assert (n_tiles, plan.n_points) == (plan.n_tiles, len(covered))


def points(plan, tile):
    """Return the points of a tile, in its order: dimensions of one level go in step."""
    indices = plan.indices(tile)
    for position in itertools.product(*(range(len(run)) for run in tile)):
        where = dict(enumerate(position))
        yield tuple(
            int(indices[dim][where[number]])
            for dim, number in sorted(
                (dim, number) for number, level in enumerate(plan.levels) for dim in level.dims
            )
        )


@given(plans())
def test_every_device_has_a_tile_in_every_batch(drawn):
    plan, _, n_devices, _ = drawn
    assert plan.n_devices == min(n_devices, plan.n_tiles)
    batches = list(plan.batches())
    assert {len(batch) for batch in batches} == {plan.n_devices}
    assert len(batches) == math.ceil(plan.n_tiles / plan.n_devices)


@given(plans())
def test_the_region_of_a_tile_is_where_its_points_lie(drawn):
    plan = drawn[0]
    grid = np.arange(plan.n_points).reshape(plan.sizes)
    for tile in plan.tiles():
        shape, where = plan.region(tile)
        found = grid.reshape(shape)[where]
        assert found.shape == plan.tile
        assert found.reshape(-1).tolist() == [int(grid[point]) for point in points(plan, tile)]


@given(plans(grouped=False))
def test_few_points_are_computed_twice(drawn):
    for level in drawn[0].levels:
        twice = level.n_runs * level.width - level.size
        assert twice < max(level.n_runs, 8)
