"""Reduced runs that are interrupted, resumed, shared, extended, or in which points fail."""

from __future__ import annotations

import itertools
import json
import os
import re
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._execution import on_host

X, TRIALS = np.arange(4.0), 12
REDUCE = {"trial": ["mean", "std", "min", "argmin", "sum", gx.Histogram([0.0, 0.5, 1.0])]}
calls = []


@pytest.fixture(autouse=True)
def _nothing_called():
    calls.clear()


def space(trials=TRIALS, x=X):
    state = {"x": gx.DataAxis(x), "trial": gx.DataAxis(np.arange(trials))}
    return gx.Space(state, mode="product")


def drawn(x, trial):
    return np.random.default_rng([int(x), int(trial)]).uniform(size=3).astype(np.float32)


def python_model(state):
    calls.append((float(state["x"]), int(state["trial"])))
    return {"y": drawn(*calls[-1])}


def traced_model(state):
    key = jax.random.fold_in(jax.random.key(state["x"].astype(int)), state["trial"])
    return {"y": jax.random.uniform(key, (3,))}


PYTHON = gx.SequentialExecution, python_model
TRACED = gx.ParallelExecution, traced_model


@pytest.fixture(params=[PYTHON, TRACED], ids=["python", "traced"])
def how(request):
    return request.param


def run(how, over=None, **options):
    kind, model = how
    options = {"reduce": REDUCE, "progress": False, **options}
    return kind(model, over or space()).run(**options)


def same(found, wanted):
    """Whether two reduced Datasets are the same bit for bit."""
    assert found.dataset.load().drop_attrs().identical(wanted.dataset.load().drop_attrs())
    return True


class Interruption(BaseException):
    """Whatever ends a run."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("block", [{"x": 1, "trial": 5}, {"trial": 1}, {"x": 2}])
@pytest.mark.slow
def test_an_interrupted_run_is_resumed(how, block, tmp_path):
    whole = run(how, store=tmp_path / "whole.zarr", block=block)
    for stop in (1, 3):
        path = tmp_path / f"{stop}.zarr"
        advances = itertools.count()

        def tell(done, total, stop=stop, advances=advances):
            if done and next(advances) == stop:
                raise Interruption

        try:
            run(how, store=path, block=block, progress=tell)
        except Interruption as error:
            partial = error.result
            counts = partial.dataset["y.count"].load()
            assert partial.status.dims == ("x",)
            done = partial.status == 1
            assert (counts.where(done, TRIALS) == TRIALS).all()
            if "status" not in partial.dataset:  # all was in flight
                continue
            assert (counts < TRIALS).any()
            begun = counts > 0
            assert (np.isnan(partial.dataset["y.mean"]) == ~begun).all()
            assert partial.progress.done == counts.isel(y_dim_0=0).sum()
        else:  # it ended before
            continue
        calls.clear()
        assert same(run(how, store=path), whole)
        if how is PYTHON:
            n_left = TRIALS * len(X) - int(counts.isel(y_dim_0=0).sum())
            assert len(calls) == len(set(calls)) == n_left
        calls.clear()
        assert same(run(how, store=path), whole)  # finished: nothing is called
        assert not calls


def test_in_memory_what_was_reduced_is_kept(monkeypatch):
    advances = itertools.count()

    def tell(done, total):
        if done and next(advances) == 1:
            raise Interruption

    executor = gx.SequentialExecution(python_model, space(x=np.arange(20.0)))
    monkeypatch.setattr(on_host, "_SECONDS", 0.0)  # one cell at a time, however fast the machine
    with pytest.raises(Interruption):
        executor.run(reduce=REDUCE, progress=tell)
    counts = executor.partial.dataset["y.count"]
    assert set(np.unique(counts)) == {0, TRIALS}
    assert executor.partial.progress.done == counts.isel(y_dim_0=0).sum()


@pytest.mark.parametrize("block", [{"x": 1, "trial": 5}, {"x": 1}])
@pytest.mark.slow
def test_shards_share_a_store(how, block, tmp_path):
    whole = run(how, store=tmp_path / "whole.zarr", block=block)
    for i in range(3):
        found = run(how, store=tmp_path / "run.zarr", block=block, shard=(i, 3))
    assert same(found, whole)


@pytest.mark.slow
def test_device_counts_give_the_same_bits(tmp_path):
    found = []
    for n, kwargs in enumerate([{"n_pmap": 1}, {"n_pmap": 3}, {"n_pmap": 4}]):
        executor = gx.ParallelExecution(traced_model, space(), n_vmap=6, **kwargs)
        path = tmp_path / f"{n}.zarr"
        block = {"x": 2, "trial": 5}
        found.append(executor.run(reduce=REDUCE, store=path, block=block, progress=False))
    assert same(found[1], found[0])
    assert same(found[2], found[0])


@pytest.mark.sampled(2)
def test_memory_and_stores_agree(how, tmp_path):
    in_memory = run(how)
    for n, block in enumerate([None, {"x": 1}, {"trial": 7}]):
        stored = run(how, store=tmp_path / f"{n}.zarr", block=block).dataset.load()
        for name, variable in in_memory.dataset.items():
            np.testing.assert_allclose(stored[name], variable, rtol=1e-6)
            assert stored[name].dtype == variable.dtype


@pytest.mark.sampled(3)
@pytest.mark.parametrize("options", [{"store": "run.zarr"}, {}], ids=["store", "memory"])
@pytest.mark.parametrize("source", ["memory", "store", "netcdf"])
@pytest.mark.slow
def test_more_trials_and_labels_are_merged(how, source, options, tmp_path):
    before = run(how, space(7, X[1:]), store=tmp_path / "old.zarr" if source == "store" else None)
    if source == "netcdf":
        before.to_netcdf(tmp_path / "old.nc")
        before = gx.open_result(tmp_path / "old.nc")
    calls.clear()
    options = {name: tmp_path / value for name, value in options.items()}
    found = run(how, extend=before, **options)
    if how is PYTHON:
        old = set(itertools.product(X[1:], range(7)))
        assert sorted(calls) == sorted(set(itertools.product(X, range(TRIALS))) - old)
    whole = run(how).dataset
    for name, variable in whole.items():
        np.testing.assert_allclose(found.dataset[name], variable, rtol=2e-6, atol=1e-7)
        assert found.dataset[name].dtype == variable.dtype
    np.testing.assert_array_equal(found.dataset["y.count"], TRIALS)
    if options:
        assert same(gx.open_result(options["store"]), found)


@pytest.mark.slow
def test_an_extended_run_is_resumed(how, tmp_path):
    before = run(how, space(7))
    path, advances = tmp_path / "run.zarr", itertools.count()

    def tell(done, total):
        if done and next(advances) == 1:
            raise Interruption

    block = {"x": 1, "trial": 3}
    with pytest.raises(Interruption):
        run(how, extend=before, store=path, block=block, progress=tell)
    found = run(how, extend=before, store=path)
    whole = run(how).dataset
    for name, variable in whole.items():
        np.testing.assert_allclose(found.dataset[name], variable, rtol=2e-6, atol=1e-7)


@pytest.mark.slow
def test_new_labels_between_the_old_ones(how):
    few = gx.Space({"x": gx.DataAxis(X), "trial": gx.DataAxis(np.arange(0, 12, 3))}, "product")
    before = run(how, few)
    calls.clear()
    found = run(how, extend=before).dataset
    if how is PYTHON:
        assert len(calls) == len(X) * 8
    whole = run(how).dataset
    for name, variable in whole.items():
        np.testing.assert_allclose(found[name], variable, rtol=2e-6, atol=1e-7)


@pytest.mark.sampled(2)
def test_quantiles_can_be_extended_along_what_is_kept(how):
    request = {"trial": [gx.Quantiles([0.1, 0.9]), "mean"]}
    before = run(how, space(TRIALS, X[:2]), reduce=request)
    calls.clear()
    found = run(how, extend=before, reduce=request).dataset
    if how is PYTHON:
        assert {x for x, _ in calls} == {*X[2:]}
    whole = run(how, reduce=request).dataset
    for name, variable in whole.items():
        np.testing.assert_allclose(found[name], variable, rtol=1e-6)
    with pytest.raises(ValueError, match="'quantile' along 'trial' needs the outputs of all"):
        run(how, space(TRIALS + 1), extend=before, reduce=request)


@pytest.mark.slow
def test_points_that_were_merged_cannot_be_taken_out(how):
    with pytest.raises(ValueError, match="reduced along 'trial' over labels that this space lacks"):
        run(how, space(5), extend=run(how))


@pytest.mark.slow
def test_another_reduction_is_rejected(how, tmp_path):
    run(how, store=tmp_path / "run.zarr")
    for other in ({"trial": "mean"}, {"x": "mean"}, None):
        with pytest.raises(ValueError, match="its outputs are reduced by"):
            run(how, store=tmp_path / "run.zarr", reduce=other)
    with pytest.raises(ValueError, match="its outputs are reduced by"):
        run(how, extend=run(how, reduce={"trial": "max"}))
    with pytest.raises(ValueError, match="its outputs are not reduced there"):
        run(how, extend=run(how, reduce=None))


@pytest.mark.slow
def test_another_function_of_the_same_name_is_rejected(how, tmp_path):
    def spread(values):
        return values.max(0) - values.min(0)

    run(how, store=tmp_path / "run.zarr", reduce={"trial": spread})

    def spread(values):
        return values.max(0) - 2 * values.min(0)

    with pytest.raises(ValueError, match="a function in reduce= differs: "):
        run(how, store=tmp_path / "run.zarr", reduce={"trial": spread})


def failing(state):
    x, trial = float(state["x"]), int(state["trial"])
    if os.environ.get("GRIDAX_TEST_FAILS") == "1" and ((x, trial) in BAD or x == 3):
        raise ArithmeticError(f"diverged at {x}, {trial}")
    return {"y": drawn(x, trial)}


def failing_traced(state):
    struct = jax.ShapeDtypeStruct((3,), np.float32)

    def call(x, trial):
        return failing({"x": x, "trial": trial})["y"]

    return {
        "y": jax.pure_callback(call, struct, state["x"], state["trial"], vmap_method="sequential")
    }


BAD = {(0.0, 3), (0.0, 7), (2.0, 0)}
FAILING = [(gx.SequentialExecution, failing), (gx.ParallelExecution, failing_traced)]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("how", FAILING, ids=["python", "traced"])
@pytest.mark.parametrize(
    "options", [{}, {"store": "run.zarr"}, {"store": "run.zarr", "block": {"trial": 5}}]
)
@pytest.mark.slow
def test_failed_points_are_left_out_and_counted(how, options, tmp_path, monkeypatch):
    monkeypatch.setenv("GRIDAX_TEST_FAILS", "1")
    options = {**options, "on_error": "record"}
    if "store" in options:
        options |= {"store": tmp_path / options["store"], "version": "1"}
    result = run(how, **options)
    found = result.dataset.load()
    values = np.array([[drawn(x, trial) for trial in range(TRIALS)] for x in X])
    for x, trial in BAD:
        values[int(x), trial] = np.nan
    values[3] = np.nan
    wanted = xr.DataArray(values, dims=("x", "trial", "y_dim_0"))
    for name in ("mean", "std", "min", "sum", "count"):
        expected = getattr(wanted.astype(float), name)("trial")
        np.testing.assert_allclose(found[f"y.{name}"], expected, rtol=1e-5, atol=1e-7)
    assert found["failed"].values.tolist() == [2, 0, 1, 12]
    assert found["status"].values.tolist() == [2, 1, 2, 2]
    assert result.progress == (33, 15, 48)
    failed = result.failed
    assert failed["x"].tolist() == [0.0, 2.0, 3.0]
    assert "diverged at 0.0, 3" in failed["error"][0]
    assert "(at trial=3; 1 other point failed as well)" in failed["error"][0] or "block" in options
    frame = result.to_dataframe()
    assert frame["failed"].tolist() == [2, 0, 1, 12]
    if "store" not in options:
        return
    monkeypatch.setenv("GRIDAX_TEST_FAILS", "0")
    assert same(run(how, **options), result)  # nothing is evaluated again
    repaired = run(how, retry_failed=True, **options)
    assert (repaired.dataset["y.count"] == TRIALS).all()
    assert "status" not in repaired.dataset


@pytest.mark.parametrize("how", ["memory", "store", "extend"])
@pytest.mark.parametrize("n_bad", [0, 1, 5])
def test_a_single_cell_with_failed_points_and_text_as_labels(how, n_bad, tmp_path):
    def model(state):
        if state["x"] < n_bad:
            raise ArithmeticError("diverged")
        return {"n": int(state["x"]), "y": state["x"] / 2}

    space = gx.Space({"x": gx.DataAxis(range(6), labels=list("abcdef"))}, mode="product")
    executor = gx.SequentialExecution(model, space)
    options = {"reduce": {"x": ["argmin", "mean"]}, "on_error": "record", "progress": False}
    if how != "memory":
        options["store"] = tmp_path / "run.zarr"
    result = executor.run(**options)
    if how == "extend":
        result = executor.run(extend=result, **options | {"store": None})
    found = result.dataset.load()
    for output in ("n", "y"):
        assert found[f"{output}.argmin"].item() == "abcdef"[n_bad : n_bad + 1]
        assert found[f"{output}.count"].item() == 6 - n_bad
        mean = np.mean(np.arange(6.0)[n_bad:])
        np.testing.assert_allclose(found[f"{output}.mean"], mean / (1 + (output == "y")))


@pytest.mark.parametrize("how", FAILING, ids=["python", "traced"])
@pytest.mark.slow
def test_an_error_names_the_point(how, monkeypatch):
    monkeypatch.setenv("GRIDAX_TEST_FAILS", "1")
    with pytest.raises(Exception, match="diverged at") as caught:
        run(how)
    x, trial = re.findall(r"diverged at ([\d.]+), (\d+)", str(caught.value))[-1]
    assert any(f"x={x}" in note and f"trial={trial}" in note for note in caught.value.__notes__)


def test_values_that_a_wrap_rejects(tmp_path):
    def positive(value):
        if value == 2:
            raise ValueError("not two")
        return value

    state = {"x": gx.DataAxis(X), "trial": gx.DataAxis(np.arange(4), wrap=positive)}
    over = gx.Space(state, mode="product")
    executor = gx.ParallelExecution(lambda s: s["x"] + s["trial"], over)
    for along, left in (("trial", [3, 3, 3, 3]), ("x", [4, 4, 0, 4])):
        found = executor.run(reduce={along: "mean"}, on_error="record", progress=False).dataset
        assert found["value.count"].values.tolist() == left
        assert found["failed"].values.tolist() == [4 - n for n in left]


@pytest.mark.slow
def test_processes_reduce_their_blocks(tmp_path):
    executor = gx.SequentialExecution(python_model, space(), n_workers=2)
    wanted = run(PYTHON)
    for options in ({}, {"store": tmp_path / "run.zarr", "block": {"x": 1, "trial": 6}}):
        found = executor.run(reduce=REDUCE, progress=False, **options)
        for name, variable in wanted.dataset.items():
            np.testing.assert_allclose(found.dataset[name], variable, rtol=1e-6)


def test_a_python_model_is_called_once_per_point(tmp_path):
    run(PYTHON)
    assert sorted(calls) == sorted(itertools.product(X, range(TRIALS)))
    calls.clear()
    run(PYTHON, store=tmp_path / "run.zarr", block={"x": 1, "trial": 4})
    assert sorted(calls) == sorted(itertools.product(X, range(TRIALS)))


def test_progress_counts_points(how, tmp_path):
    for options in ({}, {"store": tmp_path / "run.zarr", "block": {"x": 1, "trial": 5}}):
        told = []

        def tell(done, total, told=told):
            told.append((done, total))

        run(how, progress=tell, **options)
        assert told[-1] == (48, 48)
        assert sorted(told) == told


@pytest.mark.parametrize("along", ["trial", ("x", "trial")])
def test_progress_of_a_saved_result_counts_points_of_parts(along, tmp_path):
    def failing(state):
        if len(calls) == 15:
            raise KeyboardInterrupt
        calls.append(state)
        if len(calls) % 4 == 2:
            raise ArithmeticError
        return float(state["x"])

    executor = gx.SequentialExecution(failing, space())
    with pytest.raises(KeyboardInterrupt):
        executor.run(
            reduce={along: "mean"},
            on_error="record",
            progress=False,
            store=tmp_path / "run.zarr",
            block={"x": 1, "trial": 5},
        )
    partial = gx.open_result(tmp_path / "run.zarr")
    assert partial.progress.failed > 0 < partial.progress.pending
    partial.to_netcdf(tmp_path / "run.nc")
    assert gx.open_result(tmp_path / "run.nc").progress == partial.progress


def test_progress_of_a_saved_result_with_an_output_without_elements(tmp_path):
    def failing(state):
        if state["x"] == 1 and state["trial"] == 2:
            raise ArithmeticError
        return {"y": float(state["x"]), "none": np.zeros(0)}

    executor = gx.SequentialExecution(failing, space())
    result = executor.run(reduce={"trial": "mean"}, on_error="record", progress=False)
    result.to_netcdf(tmp_path / "run.nc")
    assert gx.open_result(tmp_path / "run.nc").progress == result.progress


def test_float64_means_of_integers_are_exact(how):
    def large(state):
        return {"y": jnp.int32(2**24 + 1 + state["trial"] % 2)}

    kind, _ = how
    found = kind(large, space()).run(reduce={"trial": "mean"}, progress=False).dataset
    assert found["y.mean"].values.tolist() == [2**24 + 1.5] * 4


@pytest.mark.slow
def test_a_cluster_reduces_its_blocks(tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.SubprocessCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        for jit, model in ((True, traced_model), (False, python_model)):
            how = gx.ParallelExecution if jit else gx.SequentialExecution, model
            wanted = run(how).dataset
            executor = gx.DaskExecution(model, space(), client=client, jit=jit)
            for n, options in enumerate(({}, {"block": {"x": 1, "trial": 5}})):
                if options:
                    options["store"] = tmp_path / f"{jit}{n}.zarr"
                found = executor.run(reduce=REDUCE, progress=False, **options).dataset
                for name, variable in wanted.items():
                    np.testing.assert_allclose(found[name], variable, rtol=1e-6)


def test_functions_of_points_that_failed(monkeypatch):
    monkeypatch.setenv("GRIDAX_TEST_FAILS", "1")

    def spread(values):
        return values.max(0) - values.min(0)

    options = {"reduce": {"trial": [spread, gx.Quantiles([0.5])]}, "on_error": "record"}
    found = run((gx.SequentialExecution, failing), **options).dataset
    values = np.array([[drawn(x, trial) for trial in range(TRIALS)] for x in X])
    for x, trial in BAD:
        values[int(x), trial] = np.nan
    wanted = np.nanmax(values[:3], 1) - np.nanmin(values[:3], 1)
    np.testing.assert_allclose(found["y.spread"][:3], wanted, rtol=1e-6)
    assert np.isnan(found["y.spread"][3]).all()
    assert np.isnan(found["y.quantile"][3]).all()
    np.testing.assert_allclose(found["y.quantile"][:3, 0], np.nanmedian(values[:3], 1), rtol=1e-6)


@pytest.mark.slow
def test_outputs_that_are_not_named_are_not_kept():
    def large(state):
        return {"y": drawn(state["x"], state["trial"]), "rest": np.zeros(10**7)}

    executor = gx.SequentialExecution(large, space(400, X[:1]))
    tracemalloc.start()
    found = executor.run(reduce={"y": {"trial": "mean"}}, progress=False).dataset
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(found) == ["y.mean", "y.count"]
    assert peak < 4e8


def test_a_damaged_description_is_an_error(tmp_path):
    result = run(PYTHON, store=tmp_path / "run.zarr", block={"x": 1, "trial": 5})
    told = json.loads(gx.open_result(tmp_path / "run.zarr").dataset.attrs["gridax_reduced"])
    result.to_netcdf(tmp_path / "good.nc")
    for n, damage in enumerate(
        [
            {"cuts": [[1, 10**15, 1, 0, None]]},
            {"cuts": [[7, 12, 5, 0, None]]},
            {"variables": {"y.mean": ["y"]}},
            {"sizes": "many"},
        ]
    ):
        with xr.open_dataset(tmp_path / "good.nc", decode_times=False) as good:
            attrs = {"gridax_reduced": json.dumps({**told, **damage})}
            good.assign_attrs(attrs).to_netcdf(tmp_path / f"{n}.nc")
        with pytest.raises(ValueError, match=r"its attribute 'gridax_reduced' is damaged"):
            gx.open_result(tmp_path / f"{n}.nc")


def test_axes_may_be_called_like_what_files_add(tmp_path):
    over = gx.Space({"swept.x": gx.DataAxis([1.0, 2.0])}, mode="product")
    gx.SequentialExecution(lambda s: s["swept.x"], over).run(progress=False).to_netcdf(
        tmp_path / "run.nc"
    )
    assert gx.open_result(tmp_path / "run.nc").dataset["swept.x"].values.tolist() == [1.0, 2.0]


@pytest.mark.slow
def test_as_many_new_trials_as_old_ones(how):
    before = run(how, space(TRIALS // 2))
    found = run(how, extend=before).dataset
    whole = run(how).dataset
    for name, variable in whole.items():
        np.testing.assert_allclose(found[name], variable, rtol=2e-6, atol=1e-7)


def rounded(state):
    """Return few different values, so that many points have the same."""
    x = np.sin(7.0 * float(state["x"]) + 3.0 * float(state["trial"]))
    return {"n": int(2 * x), "is_high": bool(x > 0.5), "y": np.nan if x < 0 else np.round(x)}


def ties(n_x, n_trials, kind):
    """Return a space whose labels along `x` are numbers, text, or not unique."""
    x = {
        "numbers": {"x": gx.DataAxis(range(n_x))},
        "text": {"x": gx.DataAxis(range(n_x), labels=[chr(120 - i) for i in range(n_x)])},
        "group": {
            "g": gx.DataAxis([1.5, 0.5, 1.5, 0.5, 0.5][:n_x], group="x_"),
            "x": gx.DataAxis([3, 3, 1, 0, 0][:n_x], group="x_"),
        },
    }[kind]
    trial = gx.DataAxis([3 * i % n_trials for i in range(n_trials)])
    return gx.Space({**x, "trial": trial}, mode="product")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["numbers", "text", "group"])
@pytest.mark.parametrize("block", [{"trial": 1}, {"trial": 3}, {"x": 2, "trial": 2}, "extend"])
def test_the_first_of_equal_values_has_the_label(kind, block, tmp_path):
    space = ties(5, 7, kind)
    dim = space.dims[0]
    for along in ("trial", (dim, "trial")):
        options = {"reduce": {along: ["argmin", "argmax"]}, "progress": False}
        wanted = gx.SequentialExecution(rounded, space).run(**options).dataset
        for kept in ({}, {"store": tmp_path / f"{along}.zarr"}):
            if block == "extend":
                part = space.isel({"trial": [1, 4, 5], dim: [0, 2, 3]})
                kept["extend"] = gx.SequentialExecution(rounded, part).run(**options)
            elif kept:
                names = {"x": dim, "trial": "trial"}
                chosen = {names[k]: n for k, n in block.items() if names[k] in np.ravel(along)}
                kept["block"] = chosen
            found = gx.SequentialExecution(rounded, space).run(**options, **kept).dataset
            for name in wanted.data_vars:
                np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.mark.parametrize(
    ("old", "new"), [([1, 2], [1, 2, 2]), ([2, 2, 1], [2, 1, 2]), ([2], [2, 2, 3, 3])]
)
@pytest.mark.parametrize("how", ["memory", "store"])
def test_repeated_points_count_as_often_as_they_are_there(old, new, how, tmp_path):
    def run(labels, **options):
        axes = {"x": gx.DataAxis(labels, group="draw"), "k": gx.DataAxis([1.0, 2.0])}
        space = gx.Space(axes, mode="product")
        executor = gx.SequentialExecution(lambda s: {"y": s["x"] * s["k"]}, space)
        return executor.run(reduce={"draw": ["sum", "var"]}, progress=False, **options)

    place = {"store": tmp_path / "run.zarr"} if how == "store" else {}
    found, wanted = run(new, extend=run(old), **place).dataset, run(new).dataset
    for name in wanted.data_vars:
        np.testing.assert_allclose(found[name], wanted[name], err_msg=name)
