"""What is done, by the files themselves: as Zarr reads them, and never what is damaged."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest
import zarr

import gridax as gx
from gridax._plan.plan import boxes
from gridax._stores import chunking, inventory
from gridax._stores.base import DONE, ERROR, FAILED, PENDING, STATUS
from gridax._stores.folder import Folder
from gridax._stores.format import count_states, read_header
from gridax._stores.inventory import Inventory, kept
from tests.ids import plain


def model(state):
    total = sum(float(value) for value in state.values())
    return {
        "rate": np.float32(total),
        "series": total * np.arange(50.0),
        "n": 7,
        "none": np.zeros(0),
    }


def space_of(sizes):
    state = {name: gx.GridAxis(0, 1, n) for name, n in zip("xyz", sizes, strict=False)}
    if not state:
        return space_of((2,)).isel(x=0)
    return gx.Space({**state, "dt": 0.1}, mode="product")


def run(path, sizes, block):
    block = dict(zip("xyz", block, strict=False))
    gx.SequentialExecution(model, space_of(sizes)).run(store=path, block=block, progress=False)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return what makes copies of finished stores."""
    folder = tmp_path_factory.mktemp("finished")
    made = functools.cache(lambda *shape: run(folder / plain(shape), *shape))
    return lambda path, sizes=(5, 3), block=(2, 2): shutil.copytree(made(sizes, block), path)


@pytest.fixture
def path(finished, tmp_path):
    """A finished store of 3 x 2 blocks."""
    return finished(tmp_path / "run.zarr")


def inventory_of(path, verify="size"):
    arrays = read_header(Folder(path)).arrays
    outputs = [arrays[name] for name in ("n", "none", "rate", "series")]
    return Inventory(Folder(path), arrays[STATUS], outputs, arrays[ERROR], verify)


def counts(path):
    """Return how many points are done, how many failed, and how many there are."""
    return count_states(Folder(path), read_header(Folder(path)).arrays[STATUS])


def boxes_of(path):
    status = zarr.open_group(path, mode="r")["status"]
    return list(boxes(status.shape, status.chunks))


def states_of(path, verify="size"):
    return list(inventory_of(path, verify).states(iter(boxes_of(path))))


def damaged(path, verify):
    """Return the numbers of the blocks that are damaged; all others are whole and done."""
    found = states_of(path, verify)
    assert all((states == DONE).all() for states, bad in found if not bad)
    assert all(states is None for states, bad in found if bad)
    return [i for i, (_, bad) in enumerate(found) if bad]


@pytest.mark.parametrize(
    ("sizes", "block"),
    [
        ((), ()),
        ((1,), (1,)),
        ((7,), (3,)),
        ((6,), (3,)),
        ((5, 3), (2, 2)),
        ((5, 3), (5, 3)),
        ((4, 3, 5), (3, 2, 2)),
        ((2, 2, 2), (1, 1, 1)),
    ],
    ids=plain,
)
def test_states_are_what_zarr_reads(finished, tmp_path, sizes, block):
    path = finished(tmp_path / "run.zarr", sizes, block)
    array = zarr.open_group(path, mode="r+")["status"].with_config({"write_empty_chunks": True})
    states = np.random.default_rng(0).integers(0, 3, sizes, dtype=np.uint8)
    array[...] = states
    for box, (found, bad) in zip(boxes_of(path), states_of(path, "none"), strict=True):
        here = tuple(slice(*bounds) for bounds in box)
        assert not bad
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, states[here])
        np.testing.assert_array_equal(found, array[here])
    n_done, n_failed = (int((states == state).sum()) for state in (DONE, FAILED))
    assert counts(path) == (n_done, n_failed, states.size)


@pytest.mark.parametrize("verify", ["none", "size", "full"])
@pytest.mark.parametrize(("sizes", "block"), [((), ()), ((5, 3), (2, 2)), ((4,), (4,))], ids=plain)
def test_a_finished_store_is_done_and_undamaged(finished, tmp_path, sizes, block, verify):
    path = finished(tmp_path / "run.zarr", sizes, block)
    assert damaged(path, verify) == []


@pytest.mark.parametrize("verify", ["none", "size", "full"])
def test_a_block_without_status_is_not_begun(path, verify):
    (path / "status" / "c" / "1" / "0").unlink()
    found = states_of(path, verify)
    assert found[2] == (None, False)
    assert sum(states is None for states, _ in found) == 1
    assert counts(path) == (11, 0, 15)


def test_blocks_are_looked_at_in_any_order_and_some_at_a_time(finished, tmp_path, monkeypatch):
    path = finished(tmp_path / "run.zarr", (9,), (1,))
    for i in (1, 4, 5):
        (path / "status" / "c" / str(i)).unlink()
    (path / "rate" / "c" / "7").unlink()
    monkeypatch.setattr(inventory, "_BATCH", 2)
    order = [8, 1, 7, 0, 5, 4, 2]
    asked = (((i, i + 1),) for i in order)
    found = list(inventory_of(path).states(asked))
    assert [states is not None for states, _ in found] == [
        True,
        False,
        False,
        True,
        *[False] * 2,
        True,
    ]
    assert [bad for _, bad in found] == [i == 7 for i in order]
    assert list(inventory_of(path).states(iter([]))) == []


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def halved(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path):
    path.write_bytes(b"")


def removed(path):
    path.unlink()


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def longer(path):
    path.write_bytes(path.read_bytes() + b"\0")


def flipped(path, where=0.5):
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def flipped_in_its_checksum(path):
    flipped(path, 1.0)


@pytest.mark.parametrize("name", ["rate", "series", "n"])
@pytest.mark.parametrize("damage", [truncated, halved, emptied, removed, zeroed, longer])
def test_a_chunk_that_lost_something_is_noticed_by_its_size(path, name, damage):
    damage(path / name / "c" / "1" / "0" / ("0" if name == "series" else ""))
    assert damaged(path, "none") == []
    assert damaged(path, "size") == [2]
    assert damaged(path, "full") == [2]


@pytest.mark.parametrize("name", ["rate", "series", "n"])
@pytest.mark.parametrize("damage", [flipped, flipped_in_its_checksum])
def test_a_chunk_that_was_changed_is_noticed_when_it_is_read(path, name, damage):
    damage(path / name / "c" / "1" / "0" / ("0" if name == "series" else ""))
    assert damaged(path, "none") == []
    assert damaged(path, "full") == [2]


def test_every_flipped_byte_is_noticed(finished, tmp_path):
    path = finished(tmp_path / "run.zarr", (2,), (1,))
    chunk = path / "rate" / "c" / "1"
    content = chunk.read_bytes()
    for i in range(len(content)):
        chunk.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        assert damaged(path, "full") == [1]
    chunk.write_bytes(content)
    assert damaged(path, "full") == []


@pytest.mark.parametrize("verify", ["none", "size", "full"])
@pytest.mark.parametrize(
    "damage", [truncated, emptied, zeroed, longer, flipped, flipped_in_its_checksum]
)
def test_a_damaged_status_is_always_noticed(path, damage, verify):
    damage(path / "status" / "c" / "1" / "0")
    assert damaged(path, verify) == [2]
    assert counts(path) == (11, 0, 15)


def test_a_status_that_promises_what_is_not_there_is_noticed(path):
    for chunk in ("rate/c/1/0", "series/c/1/0/0", "n/c/1/0"):
        (path / chunk).unlink()
    assert damaged(path, "none") == []
    assert damaged(path, "size") == damaged(path, "full") == [2]


def test_where_all_is_pending_nothing_is_lost(path):
    status = zarr.open_group(path, mode="r+")["status"].with_config({"write_empty_chunks": True})
    status[2:4, :2] = PENDING
    (path / "rate/c/1/0").unlink()
    flipped(path / "series/c/1/0/0")
    for verify in ("none", "size", "full"):
        states, is_damaged = states_of(path, verify)[2]
        assert (states == PENDING).all()
        assert not is_damaged


@pytest.mark.parametrize(
    ("damage", "verify"), [(removed, "size"), (truncated, "size"), (flipped, "full")]
)
def test_each_part_of_a_large_output_is_looked_at(tmp_path, monkeypatch, damage, verify):
    monkeypatch.setattr(chunking, "_CHUNK_BYTES", 110)
    path = run(tmp_path / "run.zarr", (5, 3), (2, 2))
    parts = sorted(p.name for p in (path / "series" / "c" / "2" / "1").iterdir())
    assert parts == ["0", "1", "2", "3"]
    assert damaged(path, "full") == []
    for part in ("0", "3"):
        chunk = path / "series" / "c" / "2" / "1" / part
        content = chunk.read_bytes()
        damage(chunk)
        assert damaged(path, "none") == []
        assert damaged(path, verify) == [5]
        chunk.write_bytes(content)


def test_a_file_that_cannot_be_read_is_not_taken_for_a_damaged_one(path, monkeypatch):
    def read(self, keys, really=Folder.read):
        if any(key.startswith("rate/c") for key in keys):
            raise OSError(5, "Input/output error")
        return really(self, keys)

    monkeypatch.setattr(Folder, "read", read)
    with pytest.raises(OSError, match="Input/output error"):
        states_of(path, "full")


def test_a_block_is_read_with_its_messages(path):
    values, messages = inventory_of(path).read(((2, 4), (0, 2)))
    group = zarr.open_group(path, mode="r")
    for array, name in zip(values, ("n", "none", "rate", "series"), strict=True):
        np.testing.assert_array_equal(array, group[name][2:4, :2])
    assert messages is None
    text = np.array([["", "no"], ["", ""]], np.dtypes.StringDType())
    zarr.open_group(path, mode="r+")["error"][2:4, :2] = text
    assert inventory_of(path).read(((2, 4), (0, 2)))[1].tolist() == text.tolist()


@pytest.mark.parametrize(
    ("states", "is_done", "done_if_failed_ones_are_tried_again"),
    [
        ([DONE, DONE], True, True),
        ([DONE, PENDING], False, False),
        ([FAILED, PENDING], False, False),
        ([DONE, FAILED], True, False),
        ([FAILED, FAILED], True, False),
    ],
    ids=plain,
)
def test_a_block_is_finished_if_no_point_is_pending(
    states, is_done, done_if_failed_ones_are_tried_again
):
    states = np.array(states, np.uint8)
    assert kept(states, retry_failed=False).all() == is_done
    assert kept(states, retry_failed=True).all() == done_if_failed_ones_are_tried_again
