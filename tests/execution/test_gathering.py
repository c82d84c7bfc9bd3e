from __future__ import annotations

import numpy as np
import pytest

from gridax._execution import gathering
from gridax._execution.gathering import Gathered
from gridax._outputs.template import template_of
from gridax._stores.memory import MemoryStore

BOX = ((0, 40), (10, 60))


def stored(positions, size=()):
    """Return the lengths of what is stored at a time, and the store of a box that starts at 0."""
    outputs = template_of({"n": 1, "row": np.zeros(size)}).outputs
    box = tuple((0, stop - start) for start, stop in BOX)
    gathered, store = Gathered(outputs), MemoryStore(box, outputs)
    lengths = []
    for position in positions:
        is_due = gathered.add(position, [position, np.full(size, position / 2)])
        for computed in gathered.take(box) if is_due else ():
            lengths.append(store.write(computed))
    for computed in gathered.take(box):
        lengths.append(store.write(computed))
    return lengths, store


@pytest.fixture
def stopped(monkeypatch):
    """Let no time pass."""
    monkeypatch.setattr(gathering.time, "perf_counter", lambda: 0.0)


@pytest.mark.parametrize("size", [(), (3,)])
@pytest.mark.parametrize("step", [1, 3])
def test_every_point_is_stored_where_it_belongs(stopped, size, step):
    positions = range(5, 2000, step)
    lengths, store = stored(positions, size)
    numbers, rows = (array.reshape(2000, *array.shape[2:]) for array in store.arrays)
    assert numbers[list(positions)].tolist() == list(positions)
    np.testing.assert_array_equal(
        rows[list(positions)].T * 2, np.broadcast_to(positions, rows[list(positions)].T.shape)
    )
    assert np.flatnonzero(store.status).tolist() == list(positions)
    assert sum(lengths) == len(positions)


def test_at_most_one_of_16_points_is_kept_back(stopped):
    lengths, _ = stored(range(2000))
    assert lengths[:32] == [1] * 32
    done = np.cumsum([0, *lengths])
    assert all(n == 1 or 16 * n <= before for n, before in zip(lengths, done, strict=False))
    assert len(lengths) < 150


def test_large_outputs_are_not_kept_back(stopped, monkeypatch):
    monkeypatch.setattr(gathering, "_BYTES", 100)
    assert stored(range(500), (13,))[0] == [1] * 500


def test_nothing_is_kept_back_for_long(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(gathering.time, "perf_counter", lambda: next(clock))
    assert stored(range(2000))[0] == [1] * 2000


def test_nothing_is_taken_twice():
    gathered = Gathered(template_of(1.0).outputs)
    gathered.add(3, [0.5])
    assert len(list(gathered.take(BOX))) == 1
    assert list(gathered.take(BOX)) == []
