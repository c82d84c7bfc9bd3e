"""Blocks on the workers of a real cluster: the Dataset is the one that other executors give."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import pickle
import re
import sys
import threading
import time

import cloudpickle
import dask
import distributed
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import gridax as gx
from gridax._execution import worker
from gridax._stores.base import Task
from tests import models
from tests.ids import plain
from tests.models import outputs, same
from tests.processes import PATIENCE, finished
from tests.x64 import x64

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.name != "posix", reason="distributed.SubprocessCluster runs on POSIX systems only"
    ),
]

HERE = sys.modules[__name__]


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")  # two workers do not share a GPU
        # Workers get these models as they get those of a notebook: they cannot import them.
        for module in (HERE, models):
            cloudpickle.register_pickle_by_value(module)
        # Nor is the client the default one, which nobody but its owner may rely on.
        with (
            distributed.SubprocessCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            client.wait_for_workers(2, timeout=PATIENCE)
            yield client
        for module in (HERE, models):
            cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.zarr"


def product(**axes):
    return gx.Space(axes, mode="product")


SPACE = product(x=gx.GridAxis(0, 1, 6), k=gx.KeyAxis(4, name="trial"), dt=0.5)


PLAIN = product(x=gx.GridAxis(0, 1, 8), j=gx.DataAxis([1, 2, 3]))


def until(condition):
    """Wait until something is the case, however long a busy machine takes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Meeting:
    """Makes every worker wait until both have come, so that none does all of the work alone.

    At home it takes a while, because points that take no time would all be sent to one worker.
    """

    def __init__(self, folder):
        self.folder, self.home = folder, os.getpid()

    def __call__(self, *anything):
        if os.getpid() == self.home:
            time.sleep(0.02)
        else:
            (self.folder / f"{os.getpid()} is here").touch()
            until(lambda: len([*self.folder.glob("* is here")]) == 2)


class Logged:
    """A Python model that notes its calls in a folder, and fails where it is told to."""

    def __init__(self, folder, pause=0.0, fails_at=None):
        self.folder, self.pause, self.fails_at = folder, pause, fails_at

    def __call__(self, state):
        x, j = float(state["x"]), int(state["j"])
        with open(self.folder / "calls", "a") as file:
            file.write(f"{x:.6f} {j}\n")
        time.sleep(self.pause)
        if self.fails_at == (round(x, 2), j) and not (self.folder / "mended").exists():
            raise ValueError(f"too large at {j}")
        return {"y": x * j * np.ones(2)}

    def taken(self):
        """Return how often it was called at each point since it was asked last."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return collections.Counter(lines)


def rest(client):
    """Wait until the workers have nothing to do: what they have begun, nobody can call back."""

    def busy():
        return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) or any(
            client.run(lambda dask_worker: len(dask_worker.state.tasks)).values()
        )

    until(lambda: not busy())


def where(place, path, block):
    """Return the options of a run in memory or in a store."""
    return {} if place == "memory" else {"store": path, "block": block}


places = pytest.mark.parametrize("place", ["memory", "store"])
jits = pytest.mark.parametrize("jit", [True, False], ids=["jit", "python"])


@pytest.fixture(scope="module")
def wanted():
    sequential = gx.SequentialExecution(outputs, SPACE).run(progress=False).dataset
    parallel = gx.ParallelExecution(outputs, SPACE).run(progress=False).dataset
    return sequential, parallel


@places
@jits
def test_the_dataset_is_that_of_the_other_executors(client, wanted, path, place, jit):
    executor = gx.DaskExecution(outputs, SPACE, client=client, jit=jit)
    result = executor.run(progress=False, **where(place, path, {"x": 4, "trial": 3}))
    for other in wanted:
        assert same(result.dataset, other)
    assert result.space.dataset.identical(SPACE.dataset)
    if place == "store":
        assert result.dataset["y"].chunks == ((4, 2), (3, 1), (3,))
        assert [entry.name for entry in path.parent.iterdir()] == ["run.zarr"]


SPACES = {
    "zipped": gx.Space({"x": gx.GridAxis(0, 1, 7), "k": gx.KeyAxis(7)}, mode="zip"),
    "grouped": product(
        a=gx.DataAxis([0.1, 0.3, 0.2], group="setting"),
        b=gx.DataAxis([5, 6, 7], group="setting"),
        c=gx.GridAxis(0, 1, 3),
    ),
    "choices": product(f=gx.ChoiceAxis([jnp.sin, jnp.cos]), x=gx.GridAxis(0, 1, 4)),
    "draws": product(tau=gx.NumPyroAxis(dist.LogNormal(0.0, 0.5), 5), x=gx.GridAxis(0, 1, 2)),
    "arrays": product(w=gx.DataAxis(np.arange(12.0).reshape(3, 2, 2)), fixed=np.ones((2, 2))),
    "scattered points": product(x=gx.GridAxis(0, 1, 5), k=gx.KeyAxis(4))[[3, 17, 8]],
    "one point": product(x=gx.GridAxis(0, 1, 5)).isel(x=2),
    "chains": product(
        x=gx.GridAxis(0, 1, 5), y=gx.Carried(0.0, "value", "x", "both"), k=gx.DataAxis([1.0, 2.0])
    ),
}


@places
@pytest.mark.parametrize("name", SPACES)
def test_every_kind_of_axis_reaches_the_workers(client, path, place, name):
    space = SPACES[name]
    executor = gx.DaskExecution(models.reading, space, client=client)
    result = executor.run(progress=False, **where(place, path, dict.fromkeys(space.dims[:1], 2)))
    other = gx.ParallelExecution(models.reading, space).run(progress=False)
    assert same(result.dataset, other.dataset)


@places
@jits
def test_chains_go_on_from_a_result(client, path, place, jit):
    def model(state):
        return {"y": jnp.sin(state["y"]) + state["x"] * state["k"]}

    def space(n, *k):
        start = gx.Carried(jnp.ones(2), "y", "x")
        return product(x=gx.DataAxis(np.arange(float(n))), y=start, k=gx.DataAxis(k))

    old = gx.SequentialExecution(model, space(3, 1.0, 3.0)).run(progress=False)
    new = space(6, 0.5, 1.0, 3.0)
    executor = gx.DaskExecution(model, new, client=client, jit=jit)
    result = executor.run(extend=old, progress=False, **where(place, path, {"x": 2}))
    wanted = gx.SequentialExecution(model, new).run(progress=False).dataset
    np.testing.assert_allclose(result.dataset["y"], wanted["y"], rtol=1e-6)


@jits
def test_the_model_gets_its_arguments(client, jit):
    def model(state, offset, *, scale):
        return scale * state["x"] + offset["a"]

    given = ({"a": jnp.arange(3.0)},)
    executor = gx.DaskExecution(model, SPACE, *given, scale=2.0, client=client, jit=jit)
    other = gx.SequentialExecution(model, SPACE, *given, scale=2.0)
    assert same(executor.run(progress=False).dataset, other.run(progress=False).dataset)


@places
@jits
def test_labels_of_outputs_are_given_or_come_with_the_model(client, path, place, jit):
    def model(state):
        trace = xr.DataArray(state["x"] * jnp.arange(3.0), dims="time", attrs={"units": "mV"})
        return {"trace": trace, "spectrum": state["x"] * jnp.ones(2)}

    space = product(x=gx.GridAxis(0, 1, 5))
    labels = {"dims": {"spectrum": ("f",)}, "coords": {"f": ("f", [10.0, 20.0], {"units": "Hz"})}}
    executor = gx.DaskExecution(model, space, client=client, jit=jit)
    result = executor.run(progress=False, **labels, **where(place, path, {"x": 2}))
    assert same(
        result.dataset, gx.SequentialExecution(model, space).run(progress=False, **labels).dataset
    )
    assert result.dataset["spectrum"].dims == ("x", "f")
    assert result.dataset["f"].attrs["units"] == "Hz"
    assert result.dataset["trace"].attrs["units"] == "mV"


@jits
def test_workers_compute_with_as_many_bits_as_the_client(client, jit):
    def model(state):
        return {"y": jnp.sin(state["x"]) / 3, "draw": jax.random.normal(state["k"])}

    with x64():
        space = product(x=gx.GridAxis(0, 1, 6), k=gx.KeyAxis(3))
        executor = gx.DaskExecution(model, space, client=client, jit=jit)
        found = executor.run(progress=False).dataset
        other = gx.SequentialExecution(model, space).run(progress=False).dataset
    assert found["y"].dtype == np.float64
    np.testing.assert_allclose(found["y"], other["y"], rtol=1e-14)
    np.testing.assert_allclose(found["draw"], other["draw"], rtol=1e-14)
    assert not any(client.run(lambda: jax.config.jax_enable_x64).values())


def test_workers_draw_with_the_generator_of_the_client(client):
    def model(state):
        return jax.random.bits(jax.random.key(state["seed"]))

    space = product(seed=gx.DataAxis([1, 2, 3]))
    with jax.default_prng_impl("rbg"):
        with pytest.warns(UserWarning, match="draws from 'rbg' keys"):
            found = gx.DaskExecution(model, space, client=client).run(progress=False).dataset
        with pytest.warns(UserWarning, match="draws from 'rbg' keys"):
            other = gx.ParallelExecution(model, space).run(progress=False).dataset
    assert found.equals(other)
    default = gx.ParallelExecution(model, space).run(progress=False).dataset
    assert not found.equals(default)


@places
def test_several_workers_compute_their_blocks_themselves(client, tmp_path, path, place):
    meet = Meeting(tmp_path)

    def model(state):
        meet()
        return {"y": float(state["x"]) * state["j"], "pid": os.getpid()}

    executor = gx.DaskExecution(model, PLAIN, client=client, jit=False)
    result = executor.run(progress=False, **where(place, path, {"x": 1}))
    pids = set(np.unique(result.dataset["pid"]))
    assert pids == set(client.run(os.getpid).values())


def test_a_relative_path_is_the_same_place_to_workers_in_another_folder(
    client, wanted, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in client.run(os.getcwd).values()
    executor = gx.DaskExecution(outputs, SPACE, client=client)
    result = executor.run(progress=False, store="run.zarr", block={"x": 2})
    assert same(result.dataset, wanted[0])
    assert same(gx.open_result(tmp_path / "run.zarr").dataset, wanted[0])


def listen(dask_worker):
    """Let a worker count what it compiles."""
    dask_worker.compiled = []

    def on_duration(event, duration_s, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            dask_worker.compiled.append(about.get("fun_name", ""))

    jax.monitoring.register_event_duration_secs_listener(on_duration)


def test_each_worker_compiles_a_sweep_once(client, path):
    def model(state):
        # Slow enough that both workers are needed, as a rule.
        return jax.lax.fori_loop(0, 20_000, lambda i, x: jnp.sin(x) + i * 1e-6, state["x"])

    space = product(x=gx.GridAxis(0, 1, 24), j=gx.DataAxis([1.0, 2.0]))
    client.run(listen)
    for _ in range(2):  # the same model again, as another sweep
        gx.DaskExecution(model, space, client=client, n_vmap=4).run(
            progress=False, store=path, block={"x": 2}, overwrite=True
        )
    compiled = client.run(lambda dask_worker: dask_worker.compiled)
    assert any(compiled.values())
    for names in compiled.values():
        assert len(set(names)) == len(names)


class Heavy:
    """A model that notes in which process it was unpickled."""

    def __init__(self, folder):
        self.folder, self.weights = folder, np.zeros(2_000_000)
        self.meet = Meeting(folder)

    def __setstate__(self, state):
        self.__dict__.update(state)
        with open(self.folder / "unpickled", "a") as file:
            file.write(f"{os.getpid()}\n")

    def __call__(self, state):
        self.meet()
        return float(state["x"]) + self.weights[0]


def test_a_large_model_reaches_each_worker_once_and_without_a_warning(client, tmp_path):
    executor = gx.DaskExecution(Heavy(tmp_path), PLAIN, client=client, jit=False)
    executor.run(progress=False, store=tmp_path / "run.zarr", block={"x": 1})
    unpickled = (tmp_path / "unpickled").read_text().split()
    assert sorted(map(int, unpickled)) == sorted(client.run(os.getpid).values())


def on_scheduler(dask_scheduler):
    """Return the name and the state of each task."""
    return {key: (task.prefix.name, task.state) for key, task in dask_scheduler.tasks.items()}


def test_few_tasks_are_under_way_and_their_names_say_what_they_are(client, tmp_path):
    home, go = os.getpid(), tmp_path / "go"

    def simulate(state):
        if os.getpid() == home:
            time.sleep(0.05)  # points that take no time would all be one task
        else:
            until(go.exists)
        return float(state["x"])

    rest(client)
    seen = []
    space = product(x=gx.GridAxis(0, 1, 60), j=gx.DataAxis([1, 2]))
    executor = gx.DaskExecution(simulate, space, client=client, jit=False)

    def look(done=0, total=0):
        seen.append(client.run_on_scheduler(on_scheduler))
        return sum(name == "simulate" for name, _ in seen[-1].values()) > 1

    def look_first():
        until(look)
        go.touch()

    looking = threading.Thread(target=look_first)
    looking.start()
    executor.run(progress=look)
    looking.join()
    assert {name for tasks in seen for name, _ in tasks.values()} == {"simulate", "job"}
    keys = {key for tasks in seen for key in tasks if isinstance(key, tuple)}
    (name,) = {name for name, _ in keys}
    assert re.fullmatch(r"simulate-[0-9a-f]{8}", name)
    # Two for each of two threads, of more that there are in all.
    counts = []
    for tasks in seen:
        states = [state for name, state in tasks.values() if name == "simulate"]
        counts.append(sum(state in ("waiting", "queued", "processing") for state in states))
        assert len(states) <= 8  # what came back just now may not be forgotten yet
    assert 1 < max(counts) <= 4 < len(keys)
    rest(client)


def test_after_a_run_nothing_is_left_on_the_cluster(client, path):
    gx.DaskExecution(outputs, SPACE, client=client).run(progress=False)
    gx.DaskExecution(outputs, SPACE, client=client).run(progress=False, store=path)
    rest(client)
    assert client.run_on_scheduler(on_scheduler) == {}
    assert client.futures == {}


@places
@jits
def test_progress_counts_every_point_once(client, path, place, jit):
    told = []
    executor = gx.DaskExecution(outputs, SPACE, client=client, jit=jit)
    executor.run(
        progress=lambda done, total: told.append((done, total)),
        **where(place, path, {"x": 2}),
    )
    done = [n for n, _ in told]
    assert done[-1] == SPACE.N
    assert done == sorted(done)
    assert {total for _, total in told} == {SPACE.N}
    if place == "store":
        assert {8, 16, 24} <= set(done)


def test_a_progress_bar_is_shown(client, capsys):
    gx.DaskExecution(outputs, SPACE, client=client).run(progress=True)
    assert re.search(r"outputs: 100%\|.*\| 24/24", capsys.readouterr().err)


def too_large(state):
    if state["x"] > 0.5 and state["j"] == 2:
        raise ValueError(f"too large: {float(state['x']):.3f}")
    return {"y": float(state["x"]), "n": int(state["j"])}


@places
def test_failed_points_are_recorded_as_by_the_other_executors(client, path, place):
    executor = gx.DaskExecution(too_large, PLAIN, client=client, jit=False)
    result = executor.run(progress=False, on_error="record", **where(place, path, {"x": 3}))
    other = gx.SequentialExecution(too_large, PLAIN).run(progress=False, on_error="record")
    assert same(result.dataset, other.dataset)
    assert result.failed.equals(other.failed)
    assert list(result.failed["error"]) == [
        f"ValueError: too large: {i / 7:.3f}" for i in (4, 5, 6, 7)
    ]


@places
def test_failed_points_of_a_jax_model_are_recorded(client, path, place):
    def check(x):
        if x > 0.5:
            raise ValueError("too large")
        return x

    def model(state):
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(check, shape, state["x"], vmap_method="sequential")

    executor = gx.DaskExecution(model, PLAIN, client=client)
    result = executor.run(progress=False, on_error="record", **where(place, path, {"x": 3}))
    failed = PLAIN.dataset["x"].values > 0.5
    np.testing.assert_array_equal(
        result.dataset["status"], np.broadcast_to(np.where(failed, 2, 1)[:, None], (8, 3))
    )
    np.testing.assert_allclose(
        result.dataset["value"].isel(j=0)[~failed], PLAIN.dataset["x"][~failed], rtol=1e-6
    )
    assert len(result.failed) == 12
    assert result.failed["error"].str.contains("too large").all()


@places
def test_an_error_keeps_its_type_and_says_at_which_labels(client, path, place):
    executor = gx.DaskExecution(too_large, PLAIN, client=client, jit=False)
    with pytest.raises(ValueError, match=r"^too large: [01]\.\d{3}\n") as caught:
        executor.run(progress=False, **where(place, path, {"x": 1}))
    (note,) = [n for n in caught.value.__notes__ if n.startswith("while the model was evaluated")]
    x, j = re.fullmatch(r"while the model was evaluated at x=([\d.]+), j=(\d)", note).groups()
    assert f"{float(x):.3f}" == str(caught.value)[-5:]
    assert j == "2"
    # The worker's own frames are in the traceback.
    assert caught.traceback[-1].name == "too_large"
    rest(client)


def test_what_was_computed_before_an_error_is_kept_in_memory(client):
    def model(state):
        time.sleep(0.05)
        if state["x"] == 1.0:
            raise ValueError("the last one")
        return float(state["x"])

    space = product(x=gx.GridAxis(0, 1, 40))
    executor = gx.DaskExecution(model, space, client=client, jit=False)
    with pytest.raises(ValueError, match="the last one") as caught:
        executor.run(progress=False)
    partial = executor.partial.dataset
    assert caught.value.result is executor.partial
    done = (partial["status"] == 1).values
    assert 0 < done.sum() < space.N
    assert not done[-1]
    np.testing.assert_allclose(partial["value"].values[done], space.dataset["x"].values[done])
    rest(client)


def test_a_store_goes_on_where_it_was_and_computes_nothing_twice(client, tmp_path, path):
    model = Logged(tmp_path, fails_at=(0.57, 2))
    executor = gx.DaskExecution(model, PLAIN, client=client, jit=False)
    with pytest.raises(ValueError, match="too large at 2") as caught:
        executor.run(progress=False, store=path, block={"x": 1})
    assert re.search(
        r"\d+ of \d+ points are saved in '.*run.zarr'; call run\(", caught.value.__notes__[-1]
    )
    rest(client)
    calls = model.taken()
    (tmp_path / "mended").touch()
    told = []
    result = executor.run(progress=lambda *n: told.append(n), store=path)
    again = model.taken()
    # The first point told what the model returns, and the one that failed is tried again.
    assert calls + again == collections.Counter(
        {f"{x:.6f} {j}": 1 for x in PLAIN.dataset["x"].values for j in (1, 2, 3)}
        | {"0.000000 1": 2, "0.571429 2": 2}
    )
    assert told[-1] == (24, 24)
    other = gx.SequentialExecution(Logged(tmp_path), PLAIN).run(progress=False)
    assert same(result.dataset, other.dataset)
    # What is finished is opened without a call.
    model.taken()
    assert same(executor.run(progress=False, store=path).dataset, other.dataset)
    assert not model.taken()


class Stop(Exception):
    """What a function for the progress raises to end a run."""


def stopping(least):
    def tell(done, total):
        if done >= least:
            raise Stop

    return tell


@jits
@pytest.mark.parametrize("begins", ["cluster", "local"])
def test_any_executor_goes_on_with_the_store_of_another(client, wanted, path, begins, jit):
    local = gx.ParallelExecution if jit else gx.SequentialExecution
    executors = [gx.DaskExecution(outputs, SPACE, client=client, jit=jit), local(outputs, SPACE)]
    first, second = executors if begins == "cluster" else executors[::-1]
    with pytest.raises(Stop):
        first.run(progress=stopping(4), store=path, block={"x": 1})
    rest(client)
    told = []
    result = second.run(progress=lambda *n: told.append(n), store=path)
    assert told[0][0] >= 4
    assert told[-1] == (24, 24)
    assert same(result.dataset, wanted[0])


@places
@jits
def test_an_extension_computes_only_what_is_new(client, tmp_path, path, place, jit):
    wide = product(x=gx.GridAxis(0, 1, 8), j=gx.DataAxis([1, 2, 3, 4]))

    def model(state):
        return {"y": state["x"] * state["j"]}

    log = Logged(tmp_path)
    found, told = (model if jit else log), []
    local = gx.ParallelExecution if jit else gx.SequentialExecution
    old = local(found, PLAIN).run(progress=False)
    log.taken()
    executor = gx.DaskExecution(found, wide, client=client, jit=jit)
    result = executor.run(
        extend=old,
        progress=lambda done, total: told.append(done),
        **where(place, path, {"x": 3, "j": 3}),
    )
    if not jit:
        new = {f"{x:.6f} 4": 1 for x in wide.dataset["x"].values}
        assert log.taken() == collections.Counter(new)
    assert told == sorted(told)
    assert told[-1] == wide.N
    assert 24 in told
    other = local(found, wide).run(progress=False)
    assert same(result.dataset, other.dataset)


def test_an_extension_counts_no_point_twice_where_blocks_are_known_in_part(client, tmp_path, path):
    wide = product(x=gx.GridAxis(0, 1, 8), j=gx.DataAxis([1, 2, 3, 4]))
    log, told = Logged(tmp_path), []
    gx.SequentialExecution(log, PLAIN).run(progress=False, store=path)
    log.taken()
    executor = gx.DaskExecution(log, wide, client=client, jit=False)
    result = executor.run(
        extend=path,
        progress=lambda done, total: told.append(done),
        store=tmp_path / "wide.zarr",
        block={"x": 3},
    )
    assert set(log.taken()) == {f"{x:.6f} 4" for x in wide.dataset["x"].values}
    assert told == sorted(told)
    assert told[-1] == wide.N
    assert same(result.dataset, gx.SequentialExecution(log, wide).run(progress=False).dataset)


def test_failed_points_are_tried_again(client, tmp_path, path):
    model = Logged(tmp_path, fails_at=(0.57, 2))
    executor = gx.DaskExecution(model, PLAIN, client=client, jit=False)
    result = executor.run(progress=False, on_error="record", store=path, block={"x": 3})
    assert list(result.failed["error"]) == ["ValueError: too large at 2"]
    model.taken()
    (tmp_path / "mended").touch()
    result = executor.run(progress=False, store=path, retry_failed=True)
    assert model.taken() == {"0.571429 2": 1}
    assert len(result.failed) == 0
    assert result.dataset["y"].notnull().all()


def test_shards_are_parts_of_one_store(client, tmp_path, path):
    model = Logged(tmp_path)
    for i in range(2):
        gx.DaskExecution(model, PLAIN, client=client, jit=False).run(
            progress=False, store=path, block={"x": 1}, shard=(i, 2)
        )
    other = gx.SequentialExecution(Logged(tmp_path), PLAIN).run(progress=False)
    assert same(gx.open_result(path).dataset, other.dataset)


def a_model_with_a_lock(state, lock=None):
    return float(state["x"])


def closure():
    lock = threading.Lock()

    def a_model_that_keeps_a_lock(state):
        with lock:
            return float(state["x"])

    return a_model_that_keeps_a_lock


@pytest.mark.parametrize(
    ("model", "args", "kwargs", "named"),
    [
        (closure(), (), {}, "the model"),
        (a_model_with_a_lock, (threading.Lock(),), {}, "argument 0"),
        (a_model_with_a_lock, (), {"lock": threading.Lock()}, "argument 'lock'"),
    ],
    ids=["model", "argument", "keyword"],
)
def test_what_cannot_be_sent_is_named_before_anything_is(client, path, model, args, kwargs, named):
    executor = gx.DaskExecution(model, PLAIN, *args, client=client, jit=False, **kwargs)
    text = (
        f"{named} cannot be sent to the workers (TypeError: cannot pickle '_thread.lock' object); "
        "create what cannot be pickled (open files, locks, connections) inside the model"
    )
    for options in ({}, {"store": path}):
        with pytest.raises(TypeError, match=re.escape(text)):
            executor.run(progress=False, **options)
    known = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert model.__name__ not in known
    assert not path.exists()


@places
def test_workers_with_other_versions_are_refused(client, path, monkeypatch, place):
    mine = worker.versions()
    monkeypatch.setattr(worker, "versions", lambda: {**mine, "jax": "0.1", "python": "3.99"})
    executor = gx.DaskExecution(outputs, SPACE, client=client)
    text = (
        f"a worker has jax {mine['jax']} instead of 0.1, python {mine['python']} instead of 3.99; "
        "install the same versions in all processes"
    )
    with pytest.raises(RuntimeError, match=re.escape(text)):
        executor.run(progress=False, **where(place, path, {"x": 2}))
    monkeypatch.undo()
    assert len(executor.run(progress=False, **where(place, path, {"x": 2}))) == SPACE.N


def test_a_worker_that_comes_later_with_another_version_is_refused_too():
    space = product(x=gx.GridAxis(0, 1, 2))
    other = {**worker.versions(), "gridax": "99.0"}
    job = worker.RemoteJob(
        name="later",
        pickled=worker.pickled(gx.DaskExecution(outputs, space)._job, None),
        n_vmap=None,
        jit=True,
        outputs=(),
        handle=None,
        block=(2,),
        memory=None,
        lanes=True,
        record=False,
        cores={},
        versions=other,
        settings=worker.settings(),
    )
    with pytest.raises(RuntimeError, match=r"a worker has gridax .* instead of 99\.0; install"):
        worker.work(job, [Task(((0, 2),))])


def test_a_module_that_workers_lack_is_named_and_can_be_sent(client, tmp_path, monkeypatch):
    (tmp_path / "my_simulator.py").write_text("def run(state):\n    return 2 * float(state['x'])\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_simulator

    executor = gx.DaskExecution(my_simulator.run, PLAIN, client=client, jit=False)
    with pytest.raises(ModuleNotFoundError, match="my_simulator") as caught:
        executor.run(progress=False)
    assert caught.value.__notes__[0] == (
        "a worker cannot import 'my_simulator'; install it there, or send your own modules with "
        "client.upload_file"
    )
    client.upload_file(str(tmp_path / "my_simulator.py"))
    result = executor.run(progress=False)
    np.testing.assert_allclose(result.dataset["value"].isel(j=0), 2 * PLAIN.dataset["x"])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"client": "tcp://scheduler:8786"},
            TypeError,
            "client must be a distributed.Client, got 'tcp://scheduler:8786'; create one with "
            "distributed.Client(cluster)",
        ),
        ({"jit": "yes"}, TypeError, "jit must be True or False, got 'yes'"),
        ({"n_vmap": 0}, ValueError, "DaskExecution: n_vmap must be at least 1, got 0"),
        ({"n_vmap": 2.5}, TypeError, "n_vmap must be a whole number of at least 1, got 2.5"),
        (
            {"n_vmap": 4, "jit": False},
            ValueError,
            "n_vmap=4 requires jit=True; with jit=False, the model is evaluated one point at a time",
        ),
    ],
    ids=plain,
)
def test_wrong_arguments_are_refused_at_once(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        gx.DaskExecution(outputs, SPACE, **options)


def test_a_client_that_is_closed_is_refused(client, path):
    other = distributed.Client(client.scheduler.address, set_as_default=False)
    other.close()
    text = (
        "the connection to the scheduler of the cluster was lost (the client is closed); connect a "
        "new client and run again"
    )
    executor = gx.DaskExecution(outputs, SPACE, client=other)
    for options in ({}, {"store": path}):
        with pytest.raises(RuntimeError, match=re.escape(text)):
            executor.run(progress=False, **options)


def test_an_asynchronous_client_is_refused():
    async def begin():
        async with distributed.Client(
            processes=False, asynchronous=True, n_workers=1, dashboard_address=None
        ) as client:
            gx.DaskExecution(outputs, SPACE, client=client)

    with pytest.raises(TypeError, match="client is asynchronous, but a run waits for its tasks"):
        asyncio.run(begin())


def test_a_model_that_exits_ends_no_worker(client):
    def exiting(state):
        if state["x"] == 1 and state["j"] == 2:
            sys.exit(3)
        return 1.0

    workers = client.nthreads()
    executor = gx.DaskExecution(exiting, PLAIN, client=client, jit=False)
    result = executor.run(progress=False, on_error="record")
    assert result.failed["error"].tolist() == ["RuntimeError: the model called sys.exit(3)"]
    assert client.nthreads() == workers


@pytest.mark.parametrize("where_workers_are", ["processes", "threads"])
def test_a_model_may_compute_with_dask(client, path, where_workers_are):
    old = gx.SequentialExecution(lambda state: {"y": state["x"] + np.arange(3.0)}, PLAIN)
    old.run(progress=False, store=path)

    def model(state):
        lazy = gx.open_result(path).dataset["y"]
        return {"y": float(lazy.sel(x=state["x"], j=state["j"]).sum())}

    with contextlib.ExitStack() as stack:
        if where_workers_are == "threads":
            cluster = stack.enter_context(
                distributed.LocalCluster(1, 2, processes=False, dashboard_address=None)
            )
            client = stack.enter_context(distributed.Client(cluster))
        result = gx.DaskExecution(model, PLAIN, client=client, jit=False).run(
            progress=False, store=path.with_name("new.zarr"), block={"x": 1}
        )
        y = result.dataset["y"].load()
    np.testing.assert_allclose(y.isel(j=0), 3 * PLAIN.dataset["x"] + 3)
    assert dask.config.get("scheduler", None) is None


@jits
def test_spaces_and_executors_can_be_pickled(client, jit):
    space = pickle.loads(pickle.dumps(SPACE))
    assert space.dataset.identical(SPACE.dataset)
    executor = pickle.loads(pickle.dumps(gx.DaskExecution(outputs, SPACE, jit=jit)))
    assert executor.client is None
    executor.client = client
    other = gx.SequentialExecution(outputs, space).run(progress=False)
    assert same(executor.run(progress=False).dataset, other.dataset)


def script(text, folder, *options):
    """Run a script in a process of its own; warnings are errors there too."""
    (folder / "script.py").write_text(text)
    process = finished("-W", "error", *options, "script.py", cwd=folder)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


WITHOUT_A_GUARD = """
import os
if hasattr(os, "sched_setaffinity"):  # two workers are enough
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import psutil
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 6)}, mode="product")

def model(state):
    return {"y": 2 * float(state["x"]), "pid": os.getpid()}

print("begin")
result = gx.DaskExecution(model, space, jit=False).run(store="run.zarr", block={"x": 2}, progress=False)
print(round(float(result.dataset["y"].sum()), 3))
print(os.getpid() in result.dataset["pid"].values)
print(psutil.Process().children(recursive=True))
"""


def test_without_a_client_a_script_needs_no_guard_and_leaves_no_process(tmp_path):
    assert script(WITHOUT_A_GUARD, tmp_path) == ["begin", "6.0", "False", "[]"]
    assert gx.open_result(tmp_path / "run.zarr").dataset["y"].sum() == pytest.approx(6)


BESIDE_THE_SCRIPT = """
import os
if hasattr(os, "sched_setaffinity"):  # one worker is enough
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
import gridax as gx, my_own_simulator

space = gx.Space({"x": gx.GridAxis(0, 1, 6)}, mode="product")
print(gx.DaskExecution(my_own_simulator.run, space, jit=False).run(progress=False).progress.done)
"""


def test_without_a_client_modules_beside_the_script_are_found_from_any_folder(tmp_path):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (project / "my_own_simulator.py").write_text("def run(state):\n    return 2 * state['x']\n")
    (project / "script.py").write_text(BESIDE_THE_SCRIPT)
    process = finished(project / "script.py", cwd=elsewhere)
    assert (process.stdout, process.stderr) == ("6\n", "")


WITHOUT_THE_PACKAGE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "distributed":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import gridax as gx

space = gx.Space({"x": gx.GridAxis(0, 1, 6)}, mode="product")
try:
    gx.DaskExecution(lambda s: s["x"], space)
except ImportError as error:
    print(error)
print(len(gx.SequentialExecution(lambda s: float(s["x"]), space).run(progress=False)))
"""


def test_without_the_package_distributed_the_error_says_what_to_install(tmp_path):
    assert script(WITHOUT_THE_PACKAGE, tmp_path) == [
        "distributed is not installed: pip install 'gridax[dask]'",
        "6",
    ]


@pytest.mark.slow
def test_a_cluster_computes_derivatives(client, path):
    def model(state):
        return jnp.sin(state["a"]) * state["b"]

    space = gx.Space({"a": gx.GridAxis(0, 1, 6), "b": gx.GridAxis(1, 2, 3)}, mode="product")
    expected = space.dataset["b"] * np.cos(space.dataset["a"])
    executor = gx.DaskExecution(model, space, client=client)
    for options in ({}, {"store": path, "block": {"a": 2}}):
        dataset = executor.run(derivatives=["a", "b"], progress=False, **options).dataset
        np.testing.assert_allclose(dataset["value.d_a"], expected.T, rtol=1e-5)
    with pytest.raises(TypeError, match="DaskExecution without jit=False"):
        gx.DaskExecution(model, space, client=client, jit=False).run(derivatives="a")
