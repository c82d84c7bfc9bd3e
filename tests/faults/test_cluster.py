"""What goes wrong on a cluster: nothing done is lost, and every end is a clear one, in time."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import signal
import sys
import threading
import time

import cloudpickle
import dask
import distributed
import numpy as np
import psutil
import pytest

import gridax as gx
from gridax._execution import flight
from tests.processes import PATIENCE, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.name != "posix", reason="distributed.SubprocessCluster runs on POSIX systems only"
    ),
]

HERE = sys.modules[__name__]


@pytest.fixture(scope="module", autouse=True)
def _by_value():
    """Let workers get these models as they get those of a notebook: they cannot import them."""
    cloudpickle.register_pickle_by_value(HERE)
    yield
    cloudpickle.unregister_pickle_by_value(HERE)


@contextlib.contextmanager
def cluster_of(n):
    """Start a scheduler and some workers, as processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")  # two workers do not share a GPU
        with distributed.SubprocessCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            yield cluster


@contextlib.contextmanager
def client_of(cluster, n):
    with distributed.Client(cluster, set_as_default=False) as client:
        if n:
            client.wait_for_workers(n, timeout=PATIENCE)
        yield client


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with client_of(cluster, 2) as client:
        yield client


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


SPACE = gx.Space({"x": gx.GridAxis(0, 1, 24), "j": gx.DataAxis([1, 2, 3])}, mode="product")
# Two values of x, so 6 points.
BLOCK = {"x": 2}


class Logged:
    """A model that notes in a folder where it is called, and takes its time in workers."""

    def __init__(self, folder, pause=0.03):
        self.folder, self.pause, self.home = folder, pause, os.getpid()

    def __call__(self, state):
        x, j = float(state["x"]), int(state["j"])
        with open(self.folder / "calls", "a") as file:
            file.write(f"{os.getpid()} {x:.6f} {j}\n")
        self.at(x, j)
        if os.getpid() != self.home:
            time.sleep(self.pause)
        return {"y": x * j * np.ones(2), "n": j}

    def at(self, x, j):
        """Do what else is to be done at a point."""

    def calls(self):
        """Return the process and the point of each call."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [tuple(line.split(" ", 1)) for line in lines]


def wanted():
    def model(state):
        x, j = float(state["x"]), int(state["j"])
        return {"y": x * j * np.ones(2), "n": j}

    return gx.SequentialExecution(model, SPACE).run(progress=False).dataset


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rest(client):
    """Wait until the workers have nothing to do: what they have begun, nobody can call back."""

    def busy(dask_worker):
        return len(dask_worker.state.tasks) + len(dask_worker.active_threads)

    until(lambda: not any(client.run(busy).values()))


@pytest.mark.parametrize(("place", "n"), [("memory", 1), ("store", 3)], ids=["memory", "store"])
def test_workers_that_are_killed_cost_one_block_each(client, tmp_path, path, place, n):
    model, killed = Logged(tmp_path), []
    at = list(np.random.default_rng(0).integers(6, 24, size=n).cumsum())

    def tell(done, total):
        if at and done >= at[0]:
            at.pop(0)
            mine = str(os.getpid())
            alive = [pid for pid, _ in model.calls() if pid != mine and pid not in killed]
            killed.append(alive[-1])  # which is in the middle of a block
            os.kill(int(alive[-1]), signal.SIGKILL)

    executor = gx.DaskExecution(model, SPACE, client=client, jit=False)
    options = {} if place == "memory" else {"store": path, "block": BLOCK}
    result = executor.run(progress=tell, **options)
    assert len(set(killed)) == n
    assert result.dataset.drop_attrs().identical(wanted().drop_attrs())
    calls = collections.Counter(point for _, point in model.calls())
    assert len(calls) == SPACE.N
    if place == "store":  # in memory, what a worker has finished but not sent yet is lost, too
        # The first point tells what the model returns.
        assert calls.total() - SPACE.N - 1 <= n * 6


class Killer(Logged):
    """A model that ends its process in one block, always."""

    def at(self, x, j):
        if abs(x - 7 / 23) < 1e-6 and j == 2:
            os._exit(9)


@pytest.fixture
def no_second_chance(client):
    """Let the scheduler give up on a task with the first worker that dies of it."""

    def allow(n, dask_scheduler):
        before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, n
        return before

    before = client.run_on_scheduler(allow, 0)
    yield
    client.run_on_scheduler(allow, before)


KILLED = (
    "KilledWorker: 1 workers died while they evaluated the block of this point, because they "
    "ran out of memory or the model crashed"
)


@pytest.mark.usefixtures("no_second_chance")
def test_a_block_that_always_kills_its_worker_is_reported_with_its_labels(client, tmp_path, path):
    executor = gx.DaskExecution(Killer(tmp_path), SPACE, client=client, jit=False)
    with pytest.raises(RuntimeError, match=re.escape(KILLED)) as caught:
        executor.run(progress=False, store=path, block=BLOCK)
    where, kept = caught.value.__notes__
    assert where == (
        "while the model was evaluated at x=0.260869565217391…0.304347826086957, j=1…3"
    )
    n = int(re.match(r"(\d+) of 72 points are saved", kept).group(1))
    assert 0 < n < 72
    rest(client)

    # The others, which died with it, are not to blame.
    result = executor.run(progress=False, store=path, on_error="record")
    assert set(result.failed["error"]) == {KILLED}
    failed = np.zeros(SPACE.shape, bool)
    failed[6:8] = True
    np.testing.assert_array_equal(result.dataset["status"], np.where(failed, 2, 1))
    good = np.flatnonzero(~failed.all(axis=1))
    np.testing.assert_array_equal(result.dataset["y"].isel(x=good), wanted()["y"].isel(x=good))


def test_a_cluster_may_grow_and_shrink_in_the_middle(cluster, client, tmp_path, path):
    model, sizes = Logged(tmp_path), [(12, 1), (24, 3), (48, 2)]

    def tell(done, total):
        if sizes and done >= sizes[0][0]:
            cluster.scale(sizes.pop(0)[1])

    executor = gx.DaskExecution(model, SPACE, client=client, jit=False)
    result = executor.run(progress=tell, store=path, block=BLOCK)
    assert not sizes
    assert result.dataset.load().drop_attrs().identical(wanted().drop_attrs())
    calls = collections.Counter(point for _, point in model.calls())
    assert len(calls) == SPACE.N
    assert calls.total() - SPACE.N - 1 <= 2 * 6
    until(lambda: len(client.nthreads()) == 2)


class Held(Logged):
    """A model that does not get to its end before a file says so."""

    def at(self, x, j):
        if os.getpid() != self.home and len(self.calls()) > 40:
            until((self.folder / "open").exists)


LOST = (
    "the connection to the scheduler of the cluster was lost (the client is closed); connect a new "
    "client and run again"
)


@pytest.mark.parametrize("who", ["the progress function", "another thread"])
def test_a_client_that_is_closed_ends_the_run(cluster, client, tmp_path, path, who):
    model = Held(tmp_path)
    other = distributed.Client(cluster, set_as_default=False)

    def tell(done, total):
        if done >= 12 and who == "the progress function":
            other.close()
            (tmp_path / "open").touch()

    def close():
        until(lambda: len(model.calls()) > 20)
        other.close()
        (tmp_path / "open").touch()

    thread = threading.Thread(target=close)
    if who == "another thread":
        thread.start()
    executor = gx.DaskExecution(model, SPACE, client=other, jit=False)
    with pytest.raises(RuntimeError, match=re.escape(LOST)) as caught:
        executor.run(progress=tell, store=path, block=BLOCK)
    assert re.search(r"\d+ of 72 points are saved", caught.value.__notes__[-1])
    if who == "another thread":
        thread.join()
    rest(client)
    before = len(model.calls())
    executor.client = client
    result = executor.run(progress=False, store=path)
    assert result.dataset.load().drop_attrs().identical(wanted().drop_attrs())
    assert len(model.calls()) - before < SPACE.N
    assert len(model.calls()) == SPACE.N + 1


class Gated(Logged):
    """A model that waits, once a file says so, for another one."""

    def at(self, x, j):
        if (self.folder / "closed").exists():
            (self.folder / f"waiting {os.getpid()}").touch()
            until((self.folder / "open").exists)


class Stop(Exception):
    """What a function for the progress raises to end a run."""


def test_a_worker_that_is_still_busy_never_writes_into_the_store_that_comes_next(
    client, tmp_path, path
):
    def tell(done, total):
        if done >= 6:
            (tmp_path / "closed").touch()
            until(lambda: len([*tmp_path.glob("waiting *")]) == 2)
            raise Stop

    with pytest.raises(Stop):
        gx.DaskExecution(Gated(tmp_path), SPACE, client=client, jit=False).run(
            progress=tell, store=path, block=BLOCK
        )
    other = gx.SequentialExecution(lambda state: {"y": -np.ones(2), "n": 0}, SPACE)
    other.run(progress=False, store=path, block=BLOCK, overwrite=True)
    (tmp_path / "open").touch()
    rest(client)
    again = other.run(progress=False, store=path, verify="full")  # damage would be a warning
    assert (again.dataset["y"] == -1).all()
    assert (again.dataset["n"] == 0).all()


def test_no_workers_at_all_is_an_error(path, tmp_path, monkeypatch):
    monkeypatch.setattr(flight, "_PATIENCE", 0.9)
    monkeypatch.setattr(flight, "_LOOK", 0.1)
    model = Logged(tmp_path)
    with cluster_of(0) as cluster, client_of(cluster, 0) as client:
        executor = gx.DaskExecution(model, SPACE, client=client, jit=False)
        with pytest.raises(
            RuntimeError,
            match=r"the cluster has had no worker for 1 seconds; start some \(cluster\.scale\(4\)\), "
            r"or find out why they end on the dashboard \(http://127\.0\.0\.1:\S+\), and run again",
        ):
            executor.run(progress=False, store=path, block=BLOCK)
    result = gx.SequentialExecution(model, SPACE).run(progress=False, store=path)
    assert result.dataset.load().drop_attrs().identical(wanted().drop_attrs())


def forget_gridax():
    """Let this process be one in which gridax is not installed."""
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "gridax":
                raise ModuleNotFoundError(f"No module named {name!r}", name="gridax")

    sys.meta_path.insert(0, Missing())


def test_workers_that_lack_the_package_are_named(path):
    with cluster_of(1) as cluster, client_of(cluster, 1) as client:
        client.run(forget_gridax)
        executor = gx.DaskExecution(lambda state: 1.0, SPACE, client=client, jit=False)
        with pytest.raises(
            RuntimeError,
            match=r"the worker tcp://127\.0\.0\.1:\d+ cannot import gridax \(.*No module named "
            r"'gridax'.*\); install the same versions in all processes",
        ):
            executor.run(progress=False, store=path, block=BLOCK)


def test_a_scheduler_that_is_killed_ends_the_run(tmp_path, path):
    model, address = Logged(tmp_path), tmp_path / "address.json"
    here = ("--scheduler-file", str(address), "--no-dashboard")
    quiet = {"stdout": None, "stderr": None}  # pipes that nobody reads fill up
    # By hand, as a cluster of Dask's does not close without its scheduler.
    with (
        started("-m", "distributed.cli.dask_scheduler", "--port", "0", *here, **quiet) as scheduler,
        started(
            "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *here, **quiet
        ),
    ):
        until(address.exists)
        with distributed.Client(scheduler_file=str(address), set_as_default=False) as client:
            client.wait_for_workers(1, timeout=PATIENCE)

            def tell(done, total):
                if done >= 12:
                    scheduler.kill()

            executor = gx.DaskExecution(model, SPACE, client=client, jit=False)
            with (
                # Seconds until a scheduler that does not answer is given up.
                dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
                pytest.raises(
                    RuntimeError, match="the connection to the scheduler of the cluster was lost"
                ) as caught,
            ):
                executor.run(progress=tell, store=path, block=BLOCK)
        n = int(re.search(r"(\d+) of 72 points are saved", caught.value.__notes__[-1]).group(1))
        assert 12 <= n < 72
    result = gx.SequentialExecution(model, SPACE).run(progress=False, store=path)
    assert result.dataset.load().drop_attrs().identical(wanted().drop_attrs())


INTERRUPTED = """
import os, signal, sys, time

if hasattr(os, "sched_setaffinity"):  # two workers are enough
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 24), "j": gx.DataAxis([1, 2, 3])}, mode="product")

def model(state):
    if not os.path.exists("resumed"):
        time.sleep(0.05)
    return float(state["x"]) * state["j"]

def tell(done, total):
    print(done, flush=True)
    if done >= 36 and not os.path.exists("resumed"):
        signal.pause()  # the interrupt comes at the latest now

execution = gx.DaskExecution(model, space, jit=False)
if sys.argv[1] == "interrupted":
    try:
        execution.run(store="run.zarr", block={"x": 2}, progress=tell)
    except KeyboardInterrupt as interrupt:
        print(*interrupt.__notes__)
else:
    gx.SequentialExecution(model, space).run(store="run.zarr", progress=tell)
"""


def alive_in(session):
    """Return the processes of a session that have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            mine = os.getsid(process.pid) == session
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_ctrl_c_in_a_terminal_ends_the_run_and_all_its_processes_and_keeps_the_store(tmp_path):
    (tmp_path / "script.py").write_text(INTERRUPTED)

    def command(which):
        return started("-W", "error", "script.py", which, cwd=tmp_path)

    with command("interrupted") as process:
        for line in process.stdout:
            if int(line) >= 12:
                # As a terminal does, which tells the workers and the scheduler, too.
                os.killpg(process.pid, signal.SIGINT)
                break
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        n = int(re.search(r"(\d+) of 72 points are saved in 'run.zarr'", out).group(1))
        assert 12 <= n < 72
        until(lambda: not alive_in(process.pid))

    (tmp_path / "resumed").touch()
    with command("resumed") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    told = [int(line) for line in out.splitlines()]
    assert n <= told[0] < told[-1] == 72
    dataset = gx.open_result(tmp_path / "run.zarr").dataset
    np.testing.assert_allclose(dataset["value"], wanted()["y"].isel(y_dim_0=0), rtol=1e-6)
