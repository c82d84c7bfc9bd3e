"""What describes the points of a tile, and the indices that a program makes of it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from gridax._kernel import indices
from gridax._kernel.indices import packed, unpacked
from gridax._plan.plan import Level, Plan, Tile


def plan_of(*levels, sizes=None):
    if sizes is None:
        sizes = (12,) * sum(len(level.dims) for level in levels)
    return Plan(tuple("abcdef"[: len(sizes)]), sizes, sizes, levels)


def tile_of(plan, *runs):
    return Tile(tuple((0, size) for size in plan.sizes), tuple(runs))


def test_indices_are_packed_to_one_row_per_tile():
    plan = plan_of(Level((0, 2), 4), Level((1,), 2), sizes=(2, 3, 2))
    tiles = [tile_of(plan, range(4), range(2)), tile_of(plan, range(4), np.array([1, 2]))]
    index = packed(plan, tiles)
    assert index.dtype == np.int32
    assert index.tolist() == [
        [0, 0, 1, 1, 0, 1, 0, 1, 0, 1],
        [0, 0, 1, 1, 1, 2, 0, 1, 0, 1],
    ]


def test_indices_of_a_short_tile_are_packed_with_its_points_repeated():
    plan = plan_of(Level((0,), 4))
    assert packed(plan, [tile_of(plan, range(5, 7))]).tolist() == [[5, 6, 5, 6]]


def test_indices_of_a_grid_without_dimensions_are_rows_of_nothing():
    plan = plan_of()
    assert packed(plan, [tile_of(plan)] * 2).shape == (2, 0)


def test_many_indices_along_several_dimensions_are_counted_by_the_program():
    plan = plan_of(Level((0, 1), 500, depth=100), Level((2,), 2), sizes=(300, 400, 5))
    (tile,) = [t for t in plan.tiles(((100, 300), (0, 400), (1, 4))) if 50_000 in t.runs[0]][1:]
    row = packed(plan, [tile])
    assert row.tolist() == [[50_000, 200, 400, 100, 0, 75, 0, 2, 3]]
    counted = jax.jit(lambda row: unpacked(plan.levels, plan.lengths, True, row))(row[0])
    for mine, listed in zip(counted, plan.indices(tile), strict=True):
        np.testing.assert_array_equal(mine, listed)


@pytest.mark.parametrize(
    ("runs", "take"),
    [((np.array([0, 3, 1]),), None), ((range(3),), (np.array([1, 2]), np.array([0, 3])))],
    ids=["mesh", "take"],
)
def test_points_that_are_not_neighbors_are_listed(monkeypatch, runs, take):
    monkeypatch.setattr(indices, "_MANY", 1)
    plan = plan_of(Level((0, 1), 4), sizes=(4, 4))
    tile = Tile(((0, 4), (0, 4)), runs, take)
    assert packed(plan, [tile]).tolist() == [np.concatenate(plan.indices(tile)).tolist()]


def test_a_program_counts_only_where_it_takes_fewer_numbers(monkeypatch):
    monkeypatch.setattr(indices, "_MANY", 1)
    levels = Level((0, 1), 3), Level((2, 3), 4), Level((4,), 9)  # 14 numbers and 9 indices
    assert not indices.counts(plan_of(*levels))
    assert not indices.counts(plan_of(Level((0,), 9)))
    assert indices.counts(plan_of(Level((0, 1), 4)))
