"""A folder with a Zarr store: it appears whole, is replaced whole, and a failed write ends it."""

from __future__ import annotations

import errno
import os
import shutil
import time

import pytest

from gridax._stores.arrays import HEAD
from gridax._stores.folder import Folder, FolderWriter
from gridax._stores.location import Head

FILES = {"zarr.json": b"root", "x/zarr.json": b"array", "x/c/0/1": b"chunk", "empty": b""}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def content_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def synced(monkeypatch):
    """Return the names of all that has been made to reach the disk, in order."""
    found = []

    def fsync(number, really=os.fsync):
        found.append(os.path.basename(os.readlink(f"/proc/self/fd/{number}")))
        really(number)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("the system does not say which file a descriptor belongs to")
    monkeypatch.setattr(os, "fsync", fsync)
    return found


@pytest.fixture
def made(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    return place


def test_files_are_written_whole_and_folders_made_for_them(made):
    write = made.writer(durable=False)
    write({"x/c/0/1": b"new", "y/c/3/4": b"chunk"})
    write({"y/c/3/5": b""})
    new = {"x/c/0/1": b"new", "y/c/3/4": b"chunk", "y/c/3/5": b""}
    assert content_of(made.path) == {**FILES, **new}


def test_nothing_is_written_after_a_failure(made):
    write = made.writer(durable=False)
    before = content_of(made.path)
    with pytest.raises(OSError, match=r"exist|Not a directory"):
        write({"empty/c/0": b"in a file", "x/c/0/1": b"new"})
    assert content_of(made.path) == before


def test_a_store_that_was_removed_meanwhile_does_not_come_back(made, tmp_path):
    write = made.writer(durable=False)
    write({"x/c/0/0": b"chunk"})
    shutil.rmtree(made.path)
    text = f"the store {str(made.path)!r} was removed during the run"
    for key in ("x/c/0/1", "new"):
        with pytest.raises(FileNotFoundError, match=text):
            write({key: b"chunk"})
    assert names_in(tmp_path) == []


def test_a_store_that_was_replaced_meanwhile_gets_nothing_of_the_old_one(made, tmp_path):
    write = made.writer(durable=False)
    os.rename(made.path, tmp_path / "old")
    made.path.mkdir()
    text = f"the store {str(made.path)!r} was replaced by another during the run"
    with pytest.raises(FileNotFoundError, match=text):
        write({"x/c/0/0": b"chunk"})
    assert names_in(made.path) == []
    assert content_of(tmp_path / "old") == FILES


def test_a_writer_keeps_its_folder_open_only_as_long_as_it_lives(made):
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else None
    writer = FolderWriter(made.path)
    writer.write({"x/c/0/0": b"chunk"})
    del writer
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_chunk_is_on_the_disk_before_the_next_is_begun(made, synced):
    made.writer(durable=True)({"x/c/0/2": b"data", "x/c/0/3": b"status"})
    names = [name.split(".")[0] for name in synced]
    assert names == ["2", "0", "3", "0"]  # each file, then the folder with its name


def test_nothing_waits_for_the_disk_unless_it_is_asked_for(made, synced):
    made.writer(durable=False)({"x/c/0/2": b"data", "y/c/0": b"data"})
    assert synced == []
    assert made.read(["x/c/0/2", "y/c/0"]) == [b"data"] * 2


def test_a_disk_that_cannot_be_waited_for_ends_the_writing(made, monkeypatch):
    def fsync(number):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        made.writer(durable=True)({"x/c/0/2": b"data", "x/c/0/3": b"status"})
    assert content_of(made.path) == FILES


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_sync_folders_is_good_enough(tmp_path, monkeypatch, number):
    def fsync(descriptor, really=os.fsync):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        really(descriptor)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("the system does not say which file a descriptor belongs to")
    monkeypatch.setattr(os, "fsync", fsync)
    place = Folder(tmp_path / "run.zarr")
    assert place.create(FILES)
    place.writer(durable=True)({"x/c/0/2": b"data"})
    place.put("zarr.json", b"new")
    assert content_of(place.path) == {**FILES, "x/c/0/2": b"data", "zarr.json": b"new"}


def test_the_home_folder_has_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    place = Folder("~/run.zarr")
    assert (place.name, place.path) == ("~/run.zarr", tmp_path / "run.zarr")


@pytest.mark.parametrize("name", ["x" * 250, "ü" * 125, "x" * 255])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, name):
    place = Folder(tmp_path / name)
    assert place.create({"zarr.json": b"old"})
    assert place.create(FILES, replace=True)
    assert content_of(place.path) == FILES
    left = place.beside()
    (tmp_path / left.name).mkdir()
    neighbor = Folder(tmp_path / f"{name[:-1]}y").beside()
    (tmp_path / neighbor.name).mkdir()
    for each in (left, neighbor):
        os.utime(each, (1, 1))
    place.tidy(time.time())
    assert names_in(tmp_path) == sorted([name, neighbor.name])


@pytest.mark.parametrize("name", ["run.zarr", "no suffix", "a [b] *.zarr", "ünï"])
def test_a_folder_appears_with_all_its_files_and_nothing_beside_it(tmp_path, name):
    place = Folder(tmp_path / name)
    assert not place.exists()
    assert place.create(FILES)
    assert place.exists()
    assert names_in(tmp_path) == [name]
    assert content_of(tmp_path / name) == FILES


def test_everything_is_on_the_disk_when_it_stands(tmp_path, synced):
    assert Folder(tmp_path / "run.zarr").create(FILES)
    assert sorted(synced[:-1]) == sorted(key.rpartition("/")[2] for key in FILES)
    assert synced[-1] == tmp_path.name


def test_it_keeps_the_name_that_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Folder("run.zarr")
    assert (place.name, place.path) == ("run.zarr", tmp_path / "run.zarr")
    monkeypatch.chdir("/")  # where a model may go
    assert place.create(FILES)
    assert names_in(tmp_path) == ["run.zarr"]


def test_who_comes_second_gets_nothing_and_changes_nothing(tmp_path):
    assert Folder(tmp_path / "run.zarr").create(FILES)
    assert not Folder(tmp_path / "run.zarr").create({"zarr.json": b"other", "y": b"new"})
    assert content_of(tmp_path / "run.zarr") == FILES
    assert names_in(tmp_path) == ["run.zarr"]


def test_a_file_of_that_name_is_not_replaced(tmp_path):
    (tmp_path / "run.zarr").write_text("my notes")
    assert not Folder(tmp_path / "run.zarr").create(FILES)
    assert content_of(tmp_path) == {"run.zarr": b"my notes"}


def test_what_stands_there_is_replaced_as_a_whole_when_wanted(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create({"zarr.json": b"old", "y/c/0": b"old"})
    assert place.create(FILES, replace=True)
    assert content_of(tmp_path / "run.zarr") == FILES
    assert names_in(tmp_path) == ["run.zarr"]


def test_nothing_need_stand_there_to_be_replaced(tmp_path):
    assert Folder(tmp_path / "run.zarr").create(FILES, replace=True)
    assert content_of(tmp_path / "run.zarr") == FILES


def test_a_failure_leaves_what_stands_there_and_nothing_beside_it(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create({"zarr.json": b"old"})
    with pytest.raises(OSError, match=r"exist|Not a directory"):
        place.create({"x": b"a file", "x/c/0": b"in a file"}, replace=True)
    assert content_of(tmp_path) == {"run.zarr/zarr.json": b"old"}
    assert names_in(tmp_path) == ["run.zarr"]


def test_the_folder_that_holds_it_must_be_there(tmp_path):
    place = Folder(tmp_path / "missing" / "run.zarr")
    text = f"the folder {str(tmp_path / 'missing')!r} does not exist; create it first"
    with pytest.raises(FileNotFoundError, match=text):
        place.create(FILES)
    assert names_in(tmp_path) == []


def test_the_folder_that_holds_it_must_not_be_a_file(tmp_path):
    (tmp_path / "file").touch()
    text = f"{str(tmp_path / 'file')!r} is not a folder; give another path"
    with pytest.raises(NotADirectoryError, match=text):
        Folder(tmp_path / "file" / "run.zarr").create(FILES)


def test_a_link_stays_one_and_its_target_is_what_is_made(tmp_path):
    (tmp_path / "big disk").mkdir()
    link, target = tmp_path / "run.zarr", tmp_path / "big disk" / "sweep.zarr"
    link.symlink_to(target)
    place = Folder(link)
    assert not place.exists()
    for files in ({"zarr.json": b"old"}, FILES):
        assert place.create(files, replace=True)
        assert link.is_symlink()
        assert content_of(target) == files
    assert place.name == str(link)
    assert names_in(tmp_path / "big disk") == ["sweep.zarr"]


def test_a_finished_folder_takes_a_name_that_is_free(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    beside = place.beside()
    assert not beside.exists()
    assert beside.parent == tmp_path
    beside.mkdir()
    (beside / "file").write_bytes(b"new")
    assert place.adopt(beside)
    assert content_of(tmp_path) == {"run.zarr/file": b"new"}


def test_a_name_that_is_taken_stays_with_its_owner(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    beside = place.beside()
    beside.mkdir()
    assert not place.adopt(beside)
    assert content_of(tmp_path / "run.zarr") == FILES
    assert beside.is_dir()


def test_a_folder_that_is_not_there_cannot_be_adopted(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    with pytest.raises(FileNotFoundError):
        place.adopt(place.beside())


def test_hidden_names_differ(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    names = {place.beside().name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith(".run.zarr.") for name in names)


def test_files_are_read_in_the_order_in_which_they_are_asked_for(made):
    keys = ["x/c/0/1", "zarr.json", "empty", "zarr.json"]
    assert made.read(keys) == [b"chunk", b"root", b"", b"root"]


@pytest.mark.parametrize("key", ["nothing", "x", "x/c/0/1/0", "zarr.json/c/0", "y/c/0"])
def test_what_is_no_file_is_none(made, key):
    assert made.read([key, "zarr.json"]) == [None, b"root"]
    assert made.heads([key, "zarr.json"]) == [None, Head(b"root", 4)]


@pytest.mark.parametrize("size", [0, 1, HEAD, HEAD + 1, 1000])
def test_the_head_of_a_file_is_its_first_bytes_and_its_size(made, size):
    content = bytes(i % 256 for i in range(size))
    made.put("chunk", content)
    assert made.heads(["chunk"]) == [Head(content[:HEAD], size)]


def test_nothing_is_asked_for_and_nothing_returned(made):
    assert made.read([]) == made.heads([]) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_taken_for_missing(made):
    (made.path / "zarr.json").chmod(0)
    with pytest.raises(PermissionError):
        made.read(["zarr.json"])


def test_the_room_that_is_left_is_that_of_the_disk(made):
    assert 0 < made.free() <= shutil.disk_usage(made.path).total


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path, synced):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    synced.clear()
    place.put("zarr.json", b"new")
    assert content_of(place.path) == {**FILES, "zarr.json": b"new"}
    assert len(synced) == 1


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    with pytest.raises(OSError, match=r"x'"):
        place.put("x", b"a file where there is a folder")
    assert content_of(place.path) == FILES


def leave(path, content=b"half a file"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1, 1))


def test_what_killed_writers_left_goes_and_all_else_stays(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    left_beside = [
        place.beside().name,
        ".run.zarr.lock.0123456789ab.partial",
        ".run.zarr.10-of-12.lock.0123456789ab.partial",
    ]
    leave(place.path / "x" / "c" / "0" / "1.0123.partial")
    leave(place.path / "zarr.0123.partial")
    leave(tmp_path / left_beside[0] / "x" / "zarr.json")
    os.utime(tmp_path / left_beside[0], (1, 1))
    for name in left_beside[1:]:
        leave(tmp_path / name)
    place.tidy(time.time())
    assert content_of(tmp_path) == {f"run.zarr/{key}": FILES[key] for key in FILES}
    assert names_in(tmp_path) == ["run.zarr"]


def test_what_was_written_since_stays_as_somebody_may_still_be_writing_it(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    (place.path / "1.partial").write_bytes(b"")
    place.beside().mkdir()
    before = sorted(tmp_path.rglob("*"))
    place.tidy((place.path / "1.partial").stat().st_mtime)
    assert sorted(tmp_path.rglob("*")) == before


def test_neighbors_stay(tmp_path):
    place = Folder(tmp_path / "run")
    place.create(FILES)
    neighbors = [
        ".other.0123456789ab.partial",
        ".run.b.0123456789ab.partial",  # what somebody is writing to a store `run.b`
        ".run.zarr.lock.0123456789ab.partial",
        ".run2.0123456789ab.partial",
        ".run.0123456789ab.partial.zip",
        ".run.mine.partial",
        "run.0123456789ab.partial",
        "notes.partial",
    ]
    for name in neighbors:
        leave(tmp_path / name / "1.partial")
        os.utime(tmp_path / name, (1, 1))
    place.tidy(time.time())
    assert names_in(tmp_path) == sorted(["run", *neighbors])
    assert all((tmp_path / name / "1.partial").exists() for name in neighbors)


def test_special_characters_of_a_name_stand_for_themselves(tmp_path):
    place = Folder(tmp_path / "[ab]*.zarr")
    place.create(FILES)
    for name in (".a1.zarr.0123456789ab.partial", place.beside().name):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    place.tidy(time.time())
    assert names_in(tmp_path) == [".a1.zarr.0123456789ab.partial", "[ab]*.zarr"]


def test_an_array_whose_name_looks_like_a_leftover_stays(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    files = {"zarr.json": b"root", "correlation.partial/c/0": b"chunk"}
    place.create(files)
    os.utime(place.path / "correlation.partial", (1, 1))
    place.tidy(time.time())
    assert content_of(place.path) == files


def test_what_a_link_points_to_is_not_touched(tmp_path):
    place = Folder(tmp_path / "run.zarr")
    place.create(FILES)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "1.partial").write_text("years of work")
    os.utime(tmp_path / "thesis" / "1.partial", (1, 1))
    (place.path / "y").symlink_to(tmp_path / "thesis")
    place.tidy(time.time())
    assert names_in(tmp_path / "thesis") == ["1.partial"]
