"""A Python model in several processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

import numpy as np
import pytest
import xarray as xr

import gridax as gx
from tests.processes import finished

SPACE = gx.Space(
    {
        "a": gx.GridAxis(0, 1, 5),
        "seed": gx.DataAxis([7, 8, 9]),
        "W": np.arange(4.0).reshape(2, 2),
    },
    mode="product",
)

pytestmark = pytest.mark.slow  # each run starts processes


def model(state):
    draws = np.random.default_rng(state["seed"]).normal(size=3)
    return {"y": state["a"] * draws, "text": len(json.dumps(float(state["a"]))), "pid": os.getpid()}


@pytest.fixture
def expected():
    return gx.SequentialExecution(model, SPACE).run(progress=False).dataset.drop_vars("pid")


@pytest.mark.parametrize("in_store", [False, True])
def test_the_result_is_that_of_one_process(tmp_path, expected, in_store):
    progress = []
    options = {"store": tmp_path / "run.zarr"} if in_store else {}
    executor = gx.SequentialExecution(model, SPACE, n_workers=2)
    result = executor.run(progress=lambda done, total: progress.append((done, total)), **options)
    found = result.dataset.drop_vars("pid")
    xr.testing.assert_equal(found.load(), expected)
    assert os.getpid() not in np.unique(result.dataset["pid"])[1:]
    assert progress[-1] == (15, 15)


def test_an_error_keeps_its_type_and_names_the_point():
    with pytest.raises(FloatingPointError) as caught:
        gx.SequentialExecution(raising, SPACE, n_workers=2).run(progress=False)
    assert "while the model was evaluated at a=0.5, seed=8" in caught.value.__notes__
    result = gx.SequentialExecution(raising, SPACE, n_workers=2).run(
        progress=False, on_error="record"
    )
    assert result.progress == (14, 1, 15)
    assert result.failed[["a", "seed"]].values.tolist() == [[0.5, 8]]


def raising(state):
    if state["a"] == 0.5 and state["seed"] == 8:
        raise FloatingPointError("no")
    return 1.0


class Diverged(Exception):
    """An error whose class takes more than the message that it is pickled with."""

    def __init__(self, step, unit="ms"):
        super().__init__(f"diverged at {step} {unit}")
        self.step = step


class Holding(Exception):
    """An error that holds what cannot be pickled at all."""

    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (lambda: Diverged(3), Diverged, "diverged at 3 ms"),
        (lambda: json.JSONDecodeError("no value", "{", 1), json.JSONDecodeError, "no value: line"),
        (lambda: Holding("no licence"), RuntimeError, "Holding: no licence"),
    ],
)
def test_an_error_that_is_not_pickled_well_is_sent_all_the_same(raised, kind, text):
    def failing(state):
        if state["a"] == 0.5 and state["seed"] == 8:
            raise raised()
        return 1.0

    with pytest.raises(kind, match=text) as caught:
        gx.SequentialExecution(failing, SPACE, n_workers=1).run(progress=False)
    assert "while the model was evaluated at a=0.5, seed=8" in caught.value.__notes__
    assert getattr(caught.value, "step", 3) == 3


def exiting(state):
    if state["a"] == 0.5 and state["seed"] == 8:
        sys.exit("no licence")
    return 1.0


def test_a_model_that_exits_ends_no_worker():
    executor = gx.SequentialExecution(exiting, SPACE, n_workers=1)
    with pytest.raises(RuntimeError, match=r"the model called sys\.exit\('no licence'\)") as caught:
        executor.run(progress=False)
    assert "while the model was evaluated at a=0.5, seed=8" in caught.value.__notes__
    assert executor.run(progress=False, on_error="record").progress == (14, 1, 15)


def test_a_store_that_the_processes_do_not_share_is_refused():
    url = "memory://test_processes/run.zarr"
    with pytest.raises(
        FileNotFoundError, match=f"a worker does not find the store '{url}': either it was removed"
    ):
        gx.SequentialExecution(model, SPACE, n_workers=1).run(progress=False, store=url)


def dying(state):
    if state["a"] == 1.0:
        os.kill(os.getpid(), signal.SIGKILL)
    return state["a"]


def test_a_block_that_kills_its_processes_is_reported_and_the_others_are_kept(tmp_path):
    path = tmp_path / "run.zarr"
    executor = gx.SequentialExecution(dying, SPACE, n_workers=2)
    with pytest.raises(RuntimeError, match="3 processes died while they evaluated the block"):
        executor.run(progress=False, store=path, block={"a": 1})
    result = executor.run(progress=False, store=path, block={"a": 1}, on_error="record")
    assert result.progress == (12, 3, 15)
    assert result.dataset["value"].isel(seed=0).values.tolist()[:4] == [0, 0.25, 0.5, 0.75]


def test_what_cannot_be_pickled_is_named():
    lock = threading.Lock()
    with pytest.raises(TypeError, match="the model cannot be sent"):
        gx.SequentialExecution(lambda s: lock.locked(), SPACE, n_workers=2).run(progress=False)


def test_the_number_of_processes_must_be_a_positive_integer():
    with pytest.raises(
        ValueError, match="SequentialExecution: n_workers must be at least 1, got 0"
    ):
        gx.SequentialExecution(model, SPACE, n_workers=0)


def test_a_run_with_a_store_ends_without_a_word(tmp_path):
    # What Python says at its exit about locks of a process that was killed is no warning in it.
    script = (
        "import gridax as gx\n"
        "space = gx.Space({'x': gx.GridAxis(0, 1, 5)}, mode='product')\n"
        "executor = gx.SequentialExecution(lambda s: 2 * s['x'], space, n_workers=2)\n"
        "executor.run(progress=False, store='run.zarr')\n"
    )
    done = finished("-c", script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
