"""Who may write to a store: one process per shard, and whoever died without a word is replaced."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gridax._stores import lock as lock_module
from gridax._stores.lock import Lock
from tests.ids import plain
from tests.processes import PATIENCE, environment

HERE = socket.gethostname()
LONG_AGO = 2 * lock_module._DEAD

# Takes a lock, says how that ended, and holds it until it hears something; once per line.
TAKER = """
import sys, warnings
from pathlib import Path
from gridax._stores.lock import Lock

warnings.simplefilter("ignore")
print("ready", flush=True)
for line in sys.stdin:
    try:
        with Lock(Path(line.rstrip("\\n")), (0, 1)):
            print("taken", flush=True)
            sys.stdin.readline()
    except BlockingIOError:
        print("refused", flush=True)
        sys.stdin.readline()
    print("over", flush=True)
"""


class Taker:
    """Another process, which takes locks when it is told to."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKER],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, text=""):
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def takers():
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(Taker()) for _ in range(2)]
        assert [taker.hear() for taker in found] == ["ready", "ready"]
        yield found


@pytest.fixture(scope="module")
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=PATIENCE)
    return process.pid


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def leave_lock(store, shard=(0, 1), seconds_ago=0.0, **changes):
    """Leave a lock as another writer would, with some of what it says changed."""
    with Lock(store, shard) as lock:
        path, content = lock._path, json.loads(lock._path.read_text())
    path.write_text(json.dumps({**content, "token": "another", **changes}))
    age(path, seconds_ago)
    return path


def age(path, seconds):
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def refusal(store, path, who, what=""):
    return re.escape(
        f"{who} is writing {what}{str(store)!r}; wait for it to end, give each process a "
        f"shard=(i, n) with the same n, or delete {str(path)!r} if you know that it is gone"
    )


def taken_over(store, who):
    return re.escape(
        f"{who} wrote to {str(store)!r} and did not end properly; its finished blocks are kept, "
        "and the rest is taken over"
    )


@pytest.mark.parametrize("name", ["run.zarr", "no suffix", "a [b] *.zarr", "ünï"])
@pytest.mark.parametrize("shard", [(0, 1), (1, 3)])
def test_a_lock_is_one_file_beside_the_store_and_nothing_stays_of_it(tmp_path, name, shard):
    with Lock(tmp_path / name, shard):
        middle = "" if shard == (0, 1) else ".1-of-3"
        assert names_in(tmp_path) == [f"{name}{middle}.lock"]
    assert names_in(tmp_path) == []


def test_a_lock_says_who_writes_what(tmp_path):
    with Lock(tmp_path / "run.zarr", (1, 3)):
        content = json.loads((tmp_path / "run.zarr.1-of-3.lock").read_text())
    assert (content["host"], content["pid"], content["shard"]) == (HERE, os.getpid(), [1, 3])


def test_an_error_gives_the_lock_back(tmp_path):
    with pytest.raises(ZeroDivisionError), Lock(tmp_path / "run.zarr", (0, 1)):
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_a_lock_can_be_taken_again(tmp_path):
    for _ in range(2):
        with Lock(tmp_path / "run.zarr", (0, 1)):
            assert names_in(tmp_path) == ["run.zarr.lock"]


@pytest.mark.slow
def test_a_second_writer_is_refused_with_host_and_pid(takers, tmp_path):
    store = tmp_path / "run.zarr"
    taker, _ = takers
    taker.tell(store)
    assert taker.hear() == "taken"
    path = tmp_path / "run.zarr.lock"
    who = f"process {taker.process.pid} on {HERE}"
    with pytest.raises(BlockingIOError, match=refusal(store, path, who)), Lock(store, (0, 1)):
        pass
    assert names_in(tmp_path) == ["run.zarr.lock"]
    taker.tell()
    assert taker.hear() == "over"
    with Lock(store, (0, 1)):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_second_writer_in_the_same_process_is_refused_too(tmp_path):
    store, path = tmp_path / "run.zarr", tmp_path / "run.zarr.lock"
    with Lock(store, (0, 1)):
        before = path.read_text()
        who = f"this process (process {os.getpid()} on {HERE})"
        with pytest.raises(BlockingIOError, match=refusal(store, path, who)), Lock(store, (0, 1)):
            pass
        assert path.read_text() == before


def test_all_shards_can_be_written_at_the_same_time(tmp_path):
    store = tmp_path / "run.zarr"
    with Lock(store, (0, 3)), Lock(store, (1, 3)), Lock(store, (2, 3)):
        assert names_in(tmp_path) == [f"run.zarr.{i}-of-3.lock" for i in range(3)]
    assert names_in(tmp_path) == []


def test_one_shard_has_one_writer(tmp_path):
    store, path = tmp_path / "run.zarr", tmp_path / "run.zarr.1-of-3.lock"
    who = f"this process (process {os.getpid()} on {HERE})"
    with Lock(store, (1, 3)):
        text = refusal(store, path, who, "the shard (1, 3) of ")
        with pytest.raises(BlockingIOError, match=text), Lock(store, (1, 3)):
            pass


@pytest.mark.parametrize(
    ("held", "wanted"), [((0, 2), (1, 3)), ((1, 2), (0, 1)), ((0, 1), (1, 2)), ((0, 1), (0, 2))]
)
def test_shards_of_another_number_may_meet_at_a_block_and_are_refused(tmp_path, held, wanted):
    store = tmp_path / "run.zarr"
    with Lock(store, held):
        before = names_in(tmp_path)
        with pytest.raises(BlockingIOError, match="is writing"), Lock(store, wanted):
            pass
        assert names_in(tmp_path) == before


def test_a_dead_writer_of_another_number_of_shards_hinders_nobody(tmp_path, dead_pid):
    store = tmp_path / "run.zarr"
    leave_lock(store, (0, 2), pid=dead_pid)
    with Lock(store, (0, 3)):
        assert names_in(tmp_path) == ["run.zarr.0-of-2.lock", "run.zarr.0-of-3.lock"]


def test_another_store_whose_name_begins_the_same_is_another_store(tmp_path):
    zarr, part = Lock(tmp_path / "run.zarr", (0, 1)), Lock(tmp_path / "run.b", (1, 2))
    with zarr, part, Lock(tmp_path / "run", (0, 1)) as lock:
        assert lock.alone_since() is not None
    assert names_in(tmp_path) == []


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path, dead_pid):
    store = tmp_path / "run.zarr"
    path = leave_lock(store, pid=dead_pid)
    text = taken_over(store, f"the process {dead_pid} on {HERE}")
    with pytest.warns(UserWarning, match=text), Lock(store, (0, 1)):
        found = names_in(tmp_path), json.loads(path.read_text())["pid"]
    assert found == (["run.zarr.lock"], os.getpid())
    assert names_in(tmp_path) == []


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system does not say when a process started"
)
def test_a_process_that_got_the_pid_of_a_dead_one_is_not_taken_for_it(tmp_path):
    store = tmp_path / "run.zarr"
    leave_lock(store, started="1")  # with the pid of this very process
    who = f"the process {os.getpid()} on {HERE}"
    with pytest.warns(UserWarning, match=taken_over(store, who)), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]


def test_a_writer_on_another_machine_lives_as_long_as_it_gives_signs(tmp_path):
    store = tmp_path / "run.zarr"
    path = leave_lock(store, host="elsewhere", pid=12, seconds_ago=0.5 * lock_module._DEAD)
    before = path.read_text()
    text = refusal(store, path, "process 12 on elsewhere")
    with pytest.raises(BlockingIOError, match=text), Lock(store, (0, 1)):
        pass
    assert path.read_text() == before


def test_a_writer_on_another_machine_that_was_silent_for_long_is_dead(tmp_path):
    store = tmp_path / "run.zarr"
    leave_lock(store, host="elsewhere", pid=12, seconds_ago=LONG_AGO)
    text = taken_over(store, "the process 12 on elsewhere")
    with pytest.warns(UserWarning, match=text), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]


DAMAGED = {
    "empty": b"",
    "zeros": bytes(100),
    "text": b"locked!",
    "no text": b"\xff\xfe\x00" * 9,
    "half of one": b'{"host": "elsewhere", "pid": 1',
    "no object": b"[1, 2]",
    "no pid": b'{"host": "a", "started": "1", "token": "t", "shard": [0, 1]}',
    "no number": b'{"host": "a", "pid": "me", "started": "1", "token": "t", "shard": [0, 1]}',
    "no shard": b'{"host": "a", "pid": 1, "started": "1", "token": "t", "shard": 3}',
    "a shard of none": b'{"host": "a", "pid": 1, "started": "1", "token": "t", "shard": [0, 0]}',
    "infinity": b'{"host": "a", "pid": 1, "started": "1", "token": "t", "shard": [0, 1e999]}',
    "no host": b'{"host": 3, "pid": 1, "started": "1", "token": "t", "shard": [0, 1]}',
    "no token": b'{"host": "a", "pid": 1, "started": "1", "token": [], "shard": [0, 1]}',
    "no start": b'{"host": "a", "pid": 1, "started": 1, "token": "t", "shard": [0, 1]}',
    "deep": b"[" * 10**5,
}


@pytest.mark.parametrize("seconds_ago", [0.5 * lock_module._DEAD, LONG_AGO, -1e6])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_lock_is_replaced(tmp_path, content, seconds_ago):
    store, path = tmp_path / "run.zarr", tmp_path / "run.zarr.lock"
    path.write_bytes(content)
    age(path, seconds_ago)
    text = re.escape(f"the lock {str(path)!r} was damaged and named no process; it was replaced")
    with pytest.warns(UserWarning, match=text), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]
    assert names_in(tmp_path) == []


def test_a_lock_that_is_just_being_written_is_waited_for(tmp_path, monkeypatch):
    store, path = tmp_path / "run.zarr", tmp_path / "run.zarr.lock"
    with Lock(store, (0, 1)):
        content = path.read_text()
    path.touch()

    def sleep(seconds):
        path.write_text(content)  # as its owner would, in the meantime

    monkeypatch.setattr(lock_module.time, "sleep", sleep)
    with pytest.raises(BlockingIOError, match="is writing"), Lock(store, (0, 1)):
        pass
    assert path.read_text() == content


def test_a_token_that_is_no_text_of_any_encoding_is_replaced(tmp_path, dead_pid):
    store = tmp_path / "run.zarr"
    leave_lock(store, pid=dead_pid, token="\ud800")
    with pytest.warns(UserWarning, match="did not end properly"), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]


def test_a_writer_on_another_machine_whose_sign_is_of_the_future_is_dead(tmp_path):
    store = tmp_path / "run.zarr"
    leave_lock(store, host="elsewhere", pid=12, seconds_ago=-LONG_AGO)
    text = taken_over(store, "the process 12 on elsewhere")
    with pytest.warns(UserWarning, match=text), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]


@pytest.mark.parametrize(
    "number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK]
)
def test_a_file_system_without_hard_links_has_locks_too(tmp_path, monkeypatch, dead_pid, number):
    def link(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock_module.os, "link", link)
    store = tmp_path / "run.zarr"
    with Lock(store, (0, 1)):
        with pytest.raises(BlockingIOError, match="is writing"), Lock(store, (0, 1)):
            pass
        assert names_in(tmp_path) == ["run.zarr.lock"]
    leave_lock(store, pid=dead_pid)
    with pytest.warns(UserWarning, match="did not end properly"), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("shard", [(0, 1), (3, 12)])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path, shard, dead_pid):
    store = tmp_path / ("x" * 255)
    leave_lock(store, shard, pid=dead_pid)
    with pytest.warns(UserWarning, match="did not end properly"), Lock(store, shard):
        assert len(names_in(tmp_path)) == 1
    with Lock(store, shard) as lock, Lock(tmp_path / ("x" * 254 + "y"), shard):
        assert lock.alone_since() is not None
        with pytest.raises(BlockingIOError, match="is writing"), Lock(store, (0, 5)):
            pass
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("pid", [-1, 0, 10**30], ids=plain)
def test_a_number_that_no_process_has_is_no_process(tmp_path, pid):
    store = tmp_path / "run.zarr"
    leave_lock(store, pid=pid)
    with pytest.warns(UserWarning, match=f"the process {pid} on"), Lock(store, (0, 1)):
        assert names_in(tmp_path) == ["run.zarr.lock"]


def test_a_lock_that_somebody_else_has_taken_meanwhile_is_left_to_them(tmp_path):
    path = tmp_path / "run.zarr.lock"
    with Lock(tmp_path / "run.zarr", (0, 1)):
        theirs = path.read_text().replace(str(os.getpid()), "12").replace('token": "', 'token": "x')
        path.write_text(theirs)
    assert path.read_text() == theirs


def test_a_writer_is_alone_unless_another_shard_is_written(tmp_path, dead_pid):
    store = tmp_path / "run.zarr"
    leave_lock(store, (2, 3), pid=dead_pid)
    with Lock(store, (0, 3)) as one:
        assert one.alone_since() == (tmp_path / "run.zarr.0-of-3.lock").stat().st_mtime
        with Lock(store, (1, 3)) as other:
            assert one.alone_since() is None
            assert other.alone_since() is None
        assert one.alone_since() is not None


def until(condition):
    """Wait until something is the case, for as long as a slow machine may need."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


def beating():
    return [thread for thread in threading.enumerate() if thread.name == "gridax lock"]


def test_a_writer_gives_signs_of_life_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "_BEAT", 0.005)
    path = tmp_path / "run.zarr.lock"
    with Lock(tmp_path / "run.zarr", (0, 1)):
        for _ in range(2):
            age(path, LONG_AGO)
            before = path.stat().st_mtime
            assert until(lambda then=before: path.stat().st_mtime > then + LONG_AGO / 2)
    assert until(lambda: not beating())


def test_a_lock_that_somebody_deletes_does_not_end_the_signs(tmp_path, monkeypatch):
    failures = []

    def utime(*args, touch=os.utime):
        try:
            touch(*args)
        except OSError as error:
            failures.append(error)
            raise

    monkeypatch.setattr(lock_module.os, "utime", utime)
    monkeypatch.setattr(lock_module, "_BEAT", 0.005)
    path = tmp_path / "run.zarr.lock"
    with Lock(tmp_path / "run.zarr", (0, 1)):
        content = path.read_text()
        path.unlink()
        assert until(lambda: len(failures) >= 2)
        path.write_text(content)
        age(path, LONG_AGO)
        before = path.stat().st_mtime
        assert until(lambda: path.stat().st_mtime > before + LONG_AGO / 2)
    assert names_in(tmp_path) == []


@pytest.mark.slow
def test_of_two_that_take_over_a_dead_lock_one_wins(takers, tmp_path, dead_pid):
    for turn in range(25):
        store = tmp_path / f"{turn}.zarr"
        leave_lock(store, pid=dead_pid)
        for taker in takers:
            taker.tell(store)
        assert sorted(taker.hear() for taker in takers) == ["refused", "taken"]
        for taker in takers:
            taker.tell()
        assert [taker.hear() for taker in takers] == ["over", "over"]
    assert names_in(tmp_path) == []


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the system does not say when a process started"
)
def test_when_a_process_started_is_read_whatever_its_name_is(tmp_path):
    def started():
        with Lock(tmp_path / "run.zarr", (0, 1)):
            return json.loads((tmp_path / "run.zarr.lock").read_text())["started"]

    before, name = started(), Path("/proc/self/comm")
    own = name.read_text()
    try:
        name.write_text("my ) sim 1")
        assert started() == before
    finally:
        name.write_text(own)


def test_a_dead_lock_that_another_process_has_taken_over_just_now_is_left_to_it(
    tmp_path, dead_pid, monkeypatch
):
    store = tmp_path / "run.zarr"
    path = leave_lock(store, pid=dead_pid)
    theirs = json.dumps({**json.loads(path.read_text()), "pid": os.getpid(), "token": "theirs"})
    create = Lock._create

    def created(self, claim):
        if claim != path:  # between reading the lock and taking it over
            path.write_text(theirs)
        return create(self, claim)

    monkeypatch.setattr(Lock, "_create", created)
    with pytest.raises(BlockingIOError, match="is writing"), Lock(store, (0, 1)):
        pass
    assert path.read_text() == theirs
    assert names_in(tmp_path) == ["run.zarr.lock"]
