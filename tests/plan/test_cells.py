"""The cells of a reduced sweep cover its points, each of them once."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridax._plan.cells import Cells, divided, part_lengths


@st.composite
def cells(draw):
    """Sizes, dimensions that are reduced, and some of their indices that are known already."""
    sizes = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    dims = st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True).map(sorted)
    reduced = tuple(draw(dims))
    common = tuple(draw(st.lists(st.sampled_from(reduced), unique=True).map(sorted)))
    lengths = part_lengths(sizes, common, draw(st.integers(1, 60)))
    known = {}
    for dim in common:
        indices = st.lists(st.integers(0, sizes[dim] - 1), unique=True)
        known[dim] = tuple(draw(indices))
    return Cells(sizes, reduced, divided(sizes, lengths, known)), known


@given(cells())
def test_every_point_is_in_one_cell(drawn):
    grid, _ = drawn
    seen = np.zeros(grid.sizes, int)
    for cell in itertools.product(*map(range, grid.shape)):
        box = tuple((i, i + 1) for i in cell)
        along = grid.indices(box)
        seen[np.ix_(*along)] += 1
        assert math.prod(map(len, along)) == grid.counts(box).item()
        assert [(a.min(), a.max()) for a in along] == [tuple(e) for e in grid.extent(box)]
    assert (seen == 1).all()
    assert grid.n_points_in(np.ones(grid.shape, bool)) == math.prod(grid.sizes)


@given(cells())
def test_parts_have_only_known_points_or_none_of_them(drawn):
    grid, known = drawn
    for cut in grid.cuts:
        first = set(known[cut.dim])
        for part in range(len(cut.starts)):
            indices = set(cut.indices(part).tolist())
            assert indices <= first or indices.isdisjoint(first)
            assert len(indices) <= cut.length
            assert (part < cut.n_known_parts) == bool(indices & first) or len(first) == 0


@given(cells())
def test_short_parts_repeat_a_point_that_does_not_count(drawn):
    grid, _ = drawn
    for dim in grid.reduced:
        index, counts = grid.table(dim)
        assert sorted(index[counts].tolist()) == list(range(grid.sizes[dim]))
        assert index.shape == counts.shape == (len(index), grid.lengths[dim])
    assert grid.has_gaps == any(not grid.table(dim)[1].all() for dim in grid.reduced)


def test_parts_that_are_all_too_short_have_gaps():
    known = {0: (0,)}
    assert Cells((2,), (0,), divided((2,), {0: 2}, known)).has_gaps
    assert not Cells((2,), (0,), divided((2,), {0: 1}, known)).has_gaps


def test_the_points_of_a_part_are_neighbors():
    assert part_lengths((5, 4, 100), (0, 2), 60) == {2: 50, 0: 1}
    assert part_lengths((5, 4, 100), (0, 2), 250) == {2: 100, 0: 2}
    assert part_lengths((5, 4), (0, 1), 20) == {1: 4, 0: 5}
