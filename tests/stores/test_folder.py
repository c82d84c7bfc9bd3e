"""A Zarr store that ends with the first write that fails."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from gridax.stores._folder import FolderStore


def test_it_is_a_folder_like_any_other(tmp_path):
    array = zarr.create_array(FolderStore(tmp_path / "a"), data=np.arange(100), chunks=(10,))
    assert array[37] == 37
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[:], np.arange(100))


def test_nothing_is_written_after_it_was_halted(tmp_path):
    store = FolderStore(tmp_path / "a")
    array = zarr.create_array(store, shape=(100,), chunks=(10,), dtype="i8")
    store.halt()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match="'c/0' is not written, as another write failed"):
        array[:10] = 1
    assert sorted(tmp_path.rglob("*")) == before


def test_one_failure_stops_the_other_chunks(tmp_path):
    store = FolderStore(tmp_path / "a")
    array = zarr.create_array(store, shape=(64,), chunks=(1,), dtype="i8")
    (tmp_path / "a" / "c").write_text("a file where the folder of the chunks should be")
    with pytest.raises(OSError, match=r"exist|Not a directory"):
        array[:] = 1
    store.halt()
    (tmp_path / "a" / "c").unlink()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["zarr.json"]
    with pytest.raises(OSError, match="is not written, as another write failed"):
        array[0] = 1
