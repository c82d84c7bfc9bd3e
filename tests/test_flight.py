"""Blocks on the workers of a real cluster of processes: the same Dataset, whatever happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax.execution import _flight, _remote

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SPACE = gx.Space(
    {"x": gx.GridAxis(0, 1, 12), "k": gx.KeyAxis(5, name="trial"), "dt": 0.1}, mode="product"
)
SCRIPT = """
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 5)}, mode="product")
result = gx.DaskExecution(lambda s: 2 * float(s["x"]), space, jit=False).run(progress=False)
assert result.dataset["value"].values.tolist() == [0, 0.5, 1, 1.5, 2]
"""


def draw(state):
    return {"y": state["x"] + jax.random.normal(state["k"], (3,)), "n": jnp.int32(7)}


@pytest.fixture(scope="module")
def client():
    quiet = {"dashboard_address": None, "silence_logs": 50}
    with (
        distributed.SubprocessCluster(n_workers=2, threads_per_worker=1, **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        yield client


def logged(path, pause=0.0, deadly=(), failing=()):
    """Return a model that notes each call in a file of its process."""

    def model(state):
        x = float(state["x"])
        with open(f"{path}/{os.getpid()}", "a") as file:
            file.write(f"{x}\n")
        time.sleep(pause)
        if x in deadly:
            os._exit(1)
        if x in failing:
            raise ValueError(f"no value at {x}")
        return x

    return model


def calls_of(path):
    return sorted(float(line) for file in path.iterdir() if file.is_file() for line in file.open())


@pytest.fixture
def calls(tmp_path):
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("kept", [True, False], ids=["store", "memory"])
def test_the_dataset_is_that_of_the_other_executors(client, tmp_path, jit, kept):
    other = gx.ParallelExecution if jit else gx.SequentialExecution
    wanted = other(draw, SPACE).run(progress=False).dataset
    options = {"store": tmp_path / "run.zarr", "block": {"x": 5}} if kept else {}
    seen = []
    sweep = gx.DaskExecution(draw, SPACE, client=client, jit=jit)
    result = sweep.run(progress=lambda done, total: seen.append((done, total)), **options)
    assert result.dataset.drop_attrs().equals(wanted.drop_attrs())
    assert result.progress == (60, 0, 60)
    assert seen[-1] == (60, 60)


def test_a_store_goes_on_with_another_executor(client, tmp_path, calls):
    space = gx.Space({"x": gx.DataAxis(np.arange(12.0))}, mode="product")
    model, path = logged(calls, failing=[7.0]), tmp_path / "run.zarr"
    with pytest.raises(ValueError, match=r"no value at 7\.0") as caught:
        gx.DaskExecution(model, space, client=client, jit=False).run(
            store=path, block={"x": 2}, progress=False
        )
    assert "while the model was evaluated at x=7.0" in caught.value.__notes__
    assert "goes on from there" in caught.value.__notes__[-1]
    result = gx.SequentialExecution(model, space).run(store=path, progress=False, on_error="record")
    assert result.progress == (11, 1, 12)
    assert result.failed["error"].tolist() == ["ValueError: no value at 7.0"]


def test_a_worker_that_is_killed_costs_its_block_only(client, tmp_path, calls):
    space = gx.Space({"x": gx.DataAxis(np.arange(60.0))}, mode="product")
    victim = next(iter(client.run(os.getpid).values()))

    def kill():
        while len(calls_of(calls)) < 10:
            time.sleep(0.01)
        os.kill(victim, 9)

    killer = threading.Thread(target=kill)
    killer.start()
    result = gx.DaskExecution(logged(calls, pause=0.03), space, client=client, jit=False).run(
        store=tmp_path / "run.zarr", block={"x": 4}, progress=False
    )
    killer.join()
    assert result.dataset["value"].values.tolist() == space.dataset["x"].values.tolist()
    # The first point is evaluated here, too, to learn what the model returns.
    n_again = len(calls_of(calls)) - 61
    assert 0 <= n_again <= _flight._AT_HAND * 4


def test_a_block_that_kills_its_workers_is_named_or_recorded(client, tmp_path, calls):
    space = gx.Space({"x": gx.DataAxis(np.arange(8.0))}, mode="product")
    sweep = gx.DaskExecution(logged(calls, deadly=[5.0]), space, client=client, jit=False)
    path = tmp_path / "run.zarr"
    with pytest.raises(RuntimeError, match="workers died while they evaluated") as caught:
        sweep.run(store=path, block={"x": 2}, progress=False)
    assert "while the model was evaluated at x=4.0…5.0" in caught.value.__notes__
    result = sweep.run(store=path, progress=False, on_error="record")
    assert result.progress == (6, 2, 8)
    assert result.failed["x"].tolist() == [4.0, 5.0]


def test_what_cannot_be_sent_is_named_before_anything_is(client):
    lock = threading.Lock()

    def model(state):
        with lock:
            return 1.0

    with pytest.raises(TypeError, match=r"the model cannot be sent to the workers .*lock"):
        gx.DaskExecution(model, SPACE, client=client, jit=False).run(progress=False)


def test_other_versions_are_refused(client, monkeypatch):
    mine = _remote.versions()
    monkeypatch.setattr(_remote, "versions", lambda: {**mine, "jax": "0.1"})
    text = f"a worker has jax {mine['jax']} and not 0.1; install the same versions"
    with pytest.raises(_remote.VersionMismatch, match=text):
        gx.DaskExecution(draw, SPACE, client=client).run(progress=False)


def test_workers_may_come_and_go(client, tmp_path, calls):
    space = gx.Space({"x": gx.DataAxis(np.arange(60.0))}, mode="product")

    def scale():
        while len(calls_of(calls)) < 10:
            time.sleep(0.01)
        client.cluster.scale(1)
        time.sleep(0.5)
        client.cluster.scale(2)

    scaling = threading.Thread(target=scale)
    scaling.start()
    result = gx.DaskExecution(logged(calls, pause=0.03), space, client=client, jit=False).run(
        store=tmp_path / "run.zarr", block={"x": 4}, progress=False
    )
    scaling.join()
    client.wait_for_workers(2)
    assert result.dataset["value"].values.tolist() == space.dataset["x"].values.tolist()


def test_a_cluster_without_workers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(_flight, "_PATIENCE", 1.5)
    quiet = {"dashboard_address": None, "silence_logs": 50}
    with (
        distributed.SubprocessCluster(n_workers=0, threads_per_worker=1, **quiet) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(RuntimeError, match="the cluster has had no worker for"),
    ):
        gx.DaskExecution(draw, SPACE, client=client).run(progress=False)


def test_without_a_client_a_script_needs_no_guard(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client, got 'local'"):
        gx.DaskExecution(draw, SPACE, client="local")
    with pytest.raises(TypeError, match="jit must be True or False, got 1"):
        gx.DaskExecution(draw, SPACE, jit=1)
    with pytest.raises(ValueError, match="n_vmap goes with jit=True"):
        gx.DaskExecution(draw, SPACE, n_vmap=3, jit=False)
