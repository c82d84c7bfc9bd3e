"""Runs of points that follow each other: branches of solutions, hysteresis, segments."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import gridax as gx
from gridax._plan.programs import bare, programs_in
from gridax.cli import main
from tests.plan.test_chain import Chain

R = np.linspace(-1.0, 1.0, 201).round(2)
FOLD = 2 / (3 * np.sqrt(3))  # of x' = r + x - x**3


def relaxed(state, steps=400):
    """Follow x' = r + x - x**3 for some time."""

    def step(x, _):
        return x + 0.05 * (state["r"] + x - x**3), None

    return {"x": jax.lax.scan(step, state["x"], None, length=steps)[0]}


def counting(state):
    """Return what depends on the order of all points before; works with and without JAX."""
    return {"x": 3 * state["x"] % 101 + state["k"] * state["r"], "r2": 2 * state["r"]}


def grid(order="forward", n=6, initial=1.0, ks=(1.0, 2.0, 3.0)):
    state = {
        "r": gx.DataAxis(np.arange(float(n))),
        "x": gx.Carried(initial, "x", "r", order),
        "k": gx.DataAxis([*ks]),
    }
    return gx.Space(state, mode="product")


def reference(space):
    return gx.SequentialExecution(counting, space).run(progress=False).dataset


def test_a_branch_is_followed_past_the_fold_in_both_directions():
    space = gx.Space({"r": gx.DataAxis(R), "x": gx.Carried(0.0, "x", "r", "both")}, mode="product")
    x = gx.ParallelExecution(relaxed, space).run(progress=False).dataset["x"]
    up = x.sel(direction="forward")
    down = x.sel(direction="backward")
    jump_up = R[np.argmax(up.values > 0)]
    jump_down = R[::-1][np.argmax(down.values[::-1] < 0)]
    assert FOLD < jump_up < FOLD + 0.02  # the first label past the fold, after some time there
    assert jump_down == -jump_up
    between = abs(x.r) < FOLD - 0.01
    assert (up[between] < -0.5).all()
    assert (down[between] > 0.5).all()
    outside = abs(x.r) > FOLD + 0.05
    np.testing.assert_allclose(up[outside], down[outside], atol=1e-4)


def test_the_state_lags_behind_a_drift():
    """Each label moves the equilibrium, and the distance decays as far as its time allows."""
    space = gx.Space({"r": gx.DataAxis(R[150:]), "x": gx.Carried(1.25, "x", "r")}, mode="product")
    steps = 20
    result = gx.ParallelExecution(relaxed, space, steps).run(progress=False)
    x = result.dataset["x"].values.astype(float)
    r = R[150:]
    at_rest = np.array([np.roots([-1, 0, 1, each]).real.max() for each in r])
    rate = 3 * at_rest**2 - 1
    moved, left = 0.01 / rate, (1 - 0.05 * rate) ** steps
    np.testing.assert_allclose((at_rest - x)[20:], (moved * left / (1 - left))[20:], rtol=0.1)


def test_directions_are_labels_of_the_result():
    dataset = gx.ParallelExecution(counting, grid("both")).run(progress=False).dataset
    assert dataset["x"].dims == ("r", "direction", "k")
    assert dataset["direction"].values.tolist() == ["forward", "backward"]
    assert dataset["x"].sel(direction="backward", r=5.0, k=2.0) == 3 + 2 * 5
    assert dataset["x.initial"] == 1.0


EXECUTIONS = {  # of which some compile as much again
    "sequential": lambda space: gx.SequentialExecution(counting, space),
    "jitted": lambda space: gx.SequentialExecution(jax.jit(counting), space),
    "parallel": lambda space: gx.ParallelExecution(counting, space),
    "narrow": lambda space: gx.ParallelExecution(counting, space, n_vmap=1, n_pmap=2),
}


executions = pytest.mark.parametrize(
    "execution",
    [
        pytest.param(of, id=name, marks=[pytest.mark.slow] * (name in ("jitted", "narrow")))
        for name, of in EXECUTIONS.items()
    ],
)


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_zipped_points_are_followed_in_both_directions(execution, tmp_path):
    state = {"r": gx.DataAxis([0.0, 1.0, 3.0]), "k": gx.DataAxis([1.0, 2.0, 4.0])}
    zipped = gx.Space({**state, "x": gx.Carried(1.0, "x", "point", "both")})

    def model(s):
        return {"x": 0.5 * s["x"] + s["r"] * s["k"]}

    expected = np.stack([[0.5, 2.25, 13.125], [4.125, 8.25, 12.5]], axis=1)  # forward, backward
    run = execution(model, zipped)
    np.testing.assert_allclose(run.run(progress=False).dataset["x"], expected)
    stored = run.run(store=tmp_path / "run.zarr", progress=False)
    np.testing.assert_allclose(stored.dataset["x"], expected)
    opened = gx.open_result(tmp_path / "run.zarr")
    assert opened.space.sizes == {"point": 3, "direction": 2}
    assert float(opened.rerun(r=1.0, direction="backward", model=model)["x"]) == 8.25


@pytest.mark.parametrize("order", ["forward", "backward", "both"])
@executions
@pytest.mark.parametrize("block", [None, {"r": 2}, {"r": 1, "k": 2}])
def test_all_executors_and_blocks_do_what_a_loop_does(execution, order, block, tmp_path):
    space = grid(order)
    where = {} if block is None else {"store": tmp_path / "run.zarr", "block": block}
    result = execution(space).run(progress=False, **where)
    wanted = reference(space)
    np.testing.assert_array_equal(result.dataset["x"], wanted["x"])
    np.testing.assert_array_equal(result.dataset["r2"], wanted["r2"])


def tree(state):
    v, w = state["pair"]["v"], state["pair"]["w"]
    return {"end": {"v": 0.5 * v + state["r"], "w": w + v * jnp.ones(2)}, "v": v}


@pytest.mark.parametrize(
    "initial",
    [
        {"v": 1.0, "w": jnp.ones(2)},
        {"v": np.float64(1), "w": np.ones(2)},
        {"v": gx.DataAxis([1.0, 5.0], name="v0"), "w": jnp.ones(2)},
        lambda state: {"v": state["r"] + 3.0, "w": state["k"] * jnp.ones(2)},
    ],
    ids=["values", "NumPy", "axis", "computed"],
)
def test_a_branch_of_the_outputs_is_carried_as_a_pytree(initial):
    state = {
        "r": gx.GridAxis(0, 1, 4),
        "pair": gx.Carried(initial, "end", "r"),
        "k": gx.DataAxis([1.0, 2.0]),
    }
    space = gx.Space(state, mode="product")
    parallel = gx.ParallelExecution(tree, space).run(progress=False).dataset
    sequential = gx.SequentialExecution(tree, space).run(progress=False).dataset
    for name in ("end.v", "end.w", "v"):
        np.testing.assert_allclose(parallel[name], sequential[name], rtol=1e-6)
    for i in range(space.sizes["k"]):
        point = space[i]["pair"]
        assert parallel["v"].isel(r=0).values.ravel()[i] == pytest.approx(float(point["v"]))


def walk(state):
    key, now = jax.random.split(state["key"])
    return {"key": key, "x": state["x"] + state["s"] * jax.random.normal(now)}


@pytest.mark.parametrize("key", [jax.random.key(1), gx.KeyAxis(3, name="trial")])
@pytest.mark.slow
def test_keys_are_carried(key, tmp_path):
    state = {
        "t": gx.DataAxis(np.arange(5)),
        "key": gx.Carried(key, "key", "t"),
        "x": gx.Carried(0.0, "x", "t"),
        "s": gx.DataAxis([1.0, 2.0]),
    }
    space = gx.Space(state, mode="product")
    parallel = gx.ParallelExecution(walk, space)
    result = parallel.run(store=tmp_path / "run.zarr", block={"t": 2}, progress=False)
    wanted = gx.SequentialExecution(walk, space).run(progress=False).dataset
    np.testing.assert_array_equal(result.dataset["key"], wanted["key"])
    np.testing.assert_allclose(result.dataset["x"], wanted["x"], rtol=1e-5)


def test_an_integer_starts_a_chain_of_floats():
    space = gx.Space({"r": gx.DataAxis([0.5, 1.5]), "x": gx.Carried(0, "value", "r")})
    for execution in (gx.ParallelExecution, gx.SequentialExecution):
        value = execution(lambda s: s["x"] / 2 + s["r"], space).run(progress=False).dataset["value"]
        assert value.values.tolist() == [0.5, 1.75]


def test_an_xarray_object_is_carried_by_its_values():
    def model(state):
        return {"x": xr.DataArray(state["x"] + state["r"], dims="unit", attrs={"units": "mV"})}

    space = gx.Space({"r": gx.DataAxis([1.0, 2.0]), "x": gx.Carried(jnp.zeros(2), "x", "r")})
    for execution in (gx.ParallelExecution, gx.SequentialExecution):
        x = execution(model, space).run(progress=False).dataset["x"]
        assert x.values.tolist() == [[1.0, 1.0], [3.0, 3.0]]
        assert x.attrs["units"] == "mV"


@pytest.mark.parametrize("execution", [gx.ParallelExecution, gx.SequentialExecution])
@pytest.mark.parametrize(
    ("initial", "output", "text"),
    [
        (
            0.0,
            "y",
            "but the model returned v, x; return that output, or name one of these in Carried(",
        ),
        (jnp.zeros(3), "v", "the initial value is float32[3], the output 'v' is float32[2]"),
        (jnp.int32(0), "x", "the initial value is int32[], the output 'x' is float32[]"),
        (
            {"a": 0.0},
            "x",
            "the initial value has the structure PyTreeDef({'a': *}), the output PyT",
        ),
    ],
)
def test_an_output_that_is_not_like_the_initial_value_is_rejected(execution, initial, output, text):
    def model(state):
        return {"x": jnp.float32(state["r"]), "v": jnp.zeros(2, jnp.float32)}

    space = gx.Space({"r": gx.DataAxis([1.0, 2.0]), "x": gx.Carried(initial, output, "r")})
    with pytest.raises(ValueError, match=re.escape(text)):
        execution(model, space).run(progress=False)


def test_choices_along_a_chain_need_a_python_loop():
    state = {
        "c": gx.ChoiceAxis(["a", "bb"], group="g"),
        "r": gx.GridAxis(0, 1, 2, group="g"),
        "x": gx.Carried(1.0, "x", "g"),
    }
    space = gx.Space(state, mode="product")

    def model(state):
        return {"x": state["x"] * len(state["c"]) + state["r"]}

    assert gx.SequentialExecution(model, space).run(progress=False).dataset[
        "x"
    ].values.tolist() == [
        1.0,
        3.0,
    ]
    with pytest.raises(ValueError, match="points along 'g' follow each other, but axis 'c' makes"):
        gx.ParallelExecution(model, space).run(progress=False)


def calls(model):
    """Return a model that notes the labels at which it is called."""
    seen = []

    def noted(state):
        seen.append((float(state["r"]), float(state["k"])))
        return model(state)

    return noted, seen


def test_the_model_is_called_once_per_point_chain_after_chain():
    model, seen = calls(counting)
    gx.SequentialExecution(model, grid("backward", n=3, ks=(1.0, 2.0))).run(progress=False)
    assert seen == [(r, k) for k in (1.0, 2.0) for r in (2.0, 1.0, 0.0)]


class Stop(BaseException):
    """Ends a run."""


@pytest.mark.parametrize("order", ["forward", "backward", "both"])
@pytest.mark.parametrize("stop", [1, 7, 14])
def test_a_chain_goes_on_from_the_last_stored_label(order, stop, tmp_path):
    space, path = grid(order), tmp_path / "run.zarr"
    model, seen = calls(counting)

    def interrupted(state):
        if len(seen) == stop:
            raise Stop
        return model(state)

    options = {"store": path, "block": {"r": 2, "k": 2}, "version": "1", "progress": False}
    with pytest.raises(Stop):
        gx.SequentialExecution(interrupted, space).run(**options)
    first = len(seen)
    result = gx.SequentialExecution(model, space).run(**options)
    assert first == stop
    assert len(seen) == len(space)  # nothing is computed twice
    np.testing.assert_array_equal(result.dataset["x"], reference(space)["x"])
    gx.SequentialExecution(model, space).run(**options)
    assert len(seen) == len(space)


@pytest.mark.parametrize("execution", [gx.ParallelExecution, gx.SequentialExecution])
@pytest.mark.slow
def test_labels_are_added_where_chains_end(execution, tmp_path):
    old = execution(counting, grid(n=4, ks=(1.0, 3.0))).run(progress=False)
    space = grid(n=6, ks=(0.5, 1.0, 3.0))
    wanted = reference(space)
    for where in ({}, {"store": tmp_path / "run.zarr", "block": {"r": 3}}):
        result = execution(counting, space).run(extend=old, progress=False, **where)
        np.testing.assert_array_equal(result.dataset["x"], wanted["x"])


def test_what_is_known_of_a_chain_is_not_computed_again():
    model, seen = calls(counting)
    old = gx.SequentialExecution(model, grid(n=4, ks=(1.0, 3.0))).run(progress=False)
    gx.SequentialExecution(model, grid(n=6, ks=(0.5, 1.0, 3.0))).run(extend=old, progress=False)
    assert len(seen) == 18


@pytest.mark.parametrize(
    ("order", "labels", "where"),
    [
        ("forward", [0.0, 0.5, 1.0, 2.0], "can be added only where chains end"),
        ("forward", [-1.0, 0.0, 1.0, 2.0], "can be added only where chains end"),
        ("backward", [0.0, 1.0, 2.0, 3.0], "can be added only where chains end"),
        ("both", [0.0, 1.0, 2.0, 3.0], "cannot be added, since chains go in both directions"),
    ],
)
def test_labels_are_not_added_elsewhere(order, labels, where):
    def of(labels):
        state = {"r": gx.DataAxis(labels), "x": gx.Carried(1.0, "x", "r", order), "k": 1.0}
        return gx.Space(state, mode="product")

    old = gx.SequentialExecution(counting, of([0.0, 1.0, 2.0])).run(progress=False)
    text = f"points along 'r' follow each other, so labels {where}; run it without"
    with pytest.raises(ValueError, match=text):
        gx.SequentialExecution(counting, of(labels)).run(extend=old, progress=False)


def test_a_backward_chain_is_extended_at_its_first_labels():
    space = grid("backward", n=6)
    old = gx.ParallelExecution(counting, space.isel(r=slice(2, None))).run(progress=False)
    result = gx.ParallelExecution(counting, space).run(extend=old, progress=False)
    np.testing.assert_array_equal(result.dataset["x"], reference(space)["x"])


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (grid(initial=2.0), "the fixed value 'x.initial' is 1.0 there and 2.0 here"),
        (
            grid("backward"),
            "along 'r', forward there and carried from 'x' along 'r', backward here",
        ),
    ],
)
def test_a_store_of_other_chains_is_rejected(other, text, tmp_path):
    gx.ParallelExecution(counting, grid()).run(store=tmp_path / "run.zarr", progress=False)
    with pytest.raises(ValueError, match=text):
        gx.ParallelExecution(counting, other).run(store=tmp_path / "run.zarr", progress=False)


def test_a_store_notices_another_computed_start(tmp_path):
    def run(initial):
        executor = gx.ParallelExecution(counting, grid(initial=initial))
        return executor.run(store=tmp_path / "run.zarr", progress=False)

    run(lambda state: state["k"] * 2.0)
    with pytest.raises(ValueError, match="another model"):
        run(lambda state: state["k"] * 3.0)


@pytest.mark.parametrize("order", ["forward", "both"])
def test_shards_have_whole_chains(order, tmp_path):
    space = grid(order)
    options = {"store": tmp_path / "run.zarr", "block": {"r": 2, "k": 1}, "progress": False}
    first = gx.ParallelExecution(counting, space).run(shard=(1, 2), **options)
    done = first.status == 1
    assert (done.all("r") == done.any("r")).all()
    assert 0 < done.sum() < done.size
    result = gx.ParallelExecution(counting, space).run(shard=(0, 2), **options)
    np.testing.assert_array_equal(result.dataset["x"], reference(space)["x"])


def failing(r, k):
    def check(value):
        if float(value[0]) == r and float(value[1]) == k:
            raise ValueError("no solution")
        return np.float32(0)

    return check


def traced_failing(state):
    values = jnp.stack([state["r"], state["k"]])
    nothing = jax.pure_callback(failing(2, 3), jax.ShapeDtypeStruct((), jnp.float32), values)
    return {"x": counting(state)["x"] + nothing}


def plain_failing(state):
    return {"x": counting(state)["x"] + failing(2, 3)((state["r"], state["k"]))}


@pytest.mark.parametrize(
    "order", ["backward", *(pytest.param(o, marks=pytest.mark.slow) for o in ("forward", "both"))]
)
@pytest.mark.parametrize(
    "block",
    [{"r": 1, "k": 1}, *(pytest.param(b, marks=pytest.mark.slow) for b in (None, {"r": 2}))],
)
@pytest.mark.parametrize("is_traced", [True, False], ids=["parallel", "sequential"])
def test_what_follows_a_failed_point_is_not_reached(order, block, is_traced, tmp_path):
    space = grid(order)
    execution = gx.ParallelExecution if is_traced else gx.SequentialExecution
    model = traced_failing if is_traced else plain_failing
    where = {} if block is None else {"store": tmp_path / "run.zarr", "block": block}
    result = execution(model, space).run(on_error="record", progress=False, **where)
    status, error = result.status, result.dataset["error"]
    wanted = reference(space)["x"]
    for direction in ("forward", "backward") if order == "both" else (order,):
        at = {"direction": direction} if order == "both" else {}
        along = status.sel(k=3.0, **at).values
        ended = slice(2, None) if direction == "forward" else slice(0, 3)
        assert (along[ended] == 2).all()
        assert (along == 2).sum() == len(along[ended])
        messages = error.sel(k=3.0, **at).values
        assert "no solution" in str(messages[2])
        rest = [
            str(text) for i, text in enumerate(messages[ended]) if "no solution" not in str(text)
        ]
        assert rest == ["not reached: the model failed at an earlier label of the chain"] * len(
            rest
        )
    done = (status == 1).values
    np.testing.assert_array_equal(result.dataset["x"].values[done], wanted.values[done])


def test_failed_chains_are_tried_again_from_the_point_that_failed(tmp_path):
    space, path = grid("both"), tmp_path / "run.zarr"
    options = {"store": path, "block": {"r": 4}, "progress": False, "version": "1"}
    gx.SequentialExecution(plain_failing, space).run(on_error="record", **options)
    model, seen = calls(lambda state: {"x": counting(state)["x"]})
    result = gx.SequentialExecution(model, space).run(retry_failed=True, **options)
    assert sorted(seen) == sorted([(r, 3.0) for r in (2.0, 3.0, 4.0, 5.0, 2.0, 1.0, 0.0)])
    np.testing.assert_array_equal(result.dataset["x"], reference(space)["x"])


def rejected(value):
    if value == 2.0:
        raise ValueError("cannot be used")
    return value


@pytest.mark.parametrize("stored", [False, True])
def test_a_value_that_wrap_rejects_ends_its_chains(stored, tmp_path):
    state = {
        "r": gx.DataAxis([0.0, 1.0, 2.0, 3.0], wrap=rejected),
        "x": gx.Carried(1.0, "x", "r"),
        "k": gx.DataAxis([1.0, 2.0]),
    }
    where = {"store": tmp_path / "run.zarr", "block": {"r": 3}} if stored else {}
    executor = gx.ParallelExecution(counting, gx.Space(state, mode="product"))
    status = executor.run(on_error="record", progress=False, **where).status
    assert status.values.tolist() == [[1, 1], [1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize("order", ["forward", "both"])
@executions
def test_outputs_are_reduced_along_other_dimensions(execution, order, tmp_path):
    space = grid(order)
    wanted = reference(space)["x"].mean("k")
    for where in ({}, {"store": tmp_path / "run.zarr"}):
        result = execution(space).run(reduce={"k": ["mean", "argmax"]}, progress=False, **where)
        np.testing.assert_allclose(result.dataset["x.mean"], wanted, rtol=1e-6)
        assert result.dataset["x.mean"].dims == wanted.dims
        assert (result.dataset["x.count"] == 3).all()
        np.testing.assert_array_equal(result.dataset["x.argmax"], reference(space)["x"].idxmax("k"))


@pytest.mark.slow
def test_failed_chains_are_left_out_of_what_they_are_reduced_to():
    space = grid()
    for execution, model in (
        (gx.ParallelExecution, traced_failing),
        (gx.SequentialExecution, plain_failing),
    ):
        result = execution(model, space).run(reduce={"k": "sum"}, on_error="record", progress=False)
        wanted = reference(space)["x"]
        wanted[2:, 2] = np.nan
        np.testing.assert_allclose(result.dataset["x.sum"], wanted.sum("k"))
        assert result.dataset["x.count"].values.tolist() == [3, 3, 2, 2, 2, 2]


@pytest.mark.parametrize("place", ["store", "memory"])
@pytest.mark.parametrize("executor", [gx.SequentialExecution, gx.ParallelExecution])
def test_a_reduced_run_of_chains_goes_on(executor, place, tmp_path):
    def model(state):
        return {"end": {"x": 3 * state["pair"]["x"] + state["k"] * state["r"]}, "r2": state["r"]}

    state = {
        "r": gx.DataAxis(np.arange(4.0)),
        "pair": gx.Carried({"x": 1.0}, "end", "r"),
        "k": gx.DataAxis([1.0, 2.0, 3.0]),
        "j": gx.DataAxis([1, 2]),
    }
    space = gx.Space(state, mode="product")
    reduce = {"j": "mean"}
    expected = executor(model, space).run(progress=False, reduce=reduce).dataset
    if place == "store":
        options = {"store": tmp_path / "run.zarr", "block": {"k": 1}}
        executor(model, space).run(progress=False, reduce=reduce, budget=1e-9, **options)
    else:
        part = space.isel(k=slice(0, 1))
        options = {"extend": executor(model, part).run(progress=False, reduce=reduce)}
    result = executor(model, space).run(progress=False, reduce=reduce, **options)
    assert result.progress.pending == 0
    xr.testing.assert_equal(result.dataset.load().drop_attrs(), expected.drop_attrs())


@pytest.mark.parametrize("dim", ["r", "direction"])
def test_outputs_are_not_reduced_along_a_chain(dim):
    with pytest.raises(ValueError, match=f"'x' is carried along 'r', so outputs .* along '{dim}'"):
        gx.ParallelExecution(counting, grid("both")).run(reduce={dim: "mean"}, progress=False)


def test_all_that_is_carried_is_named_if_outputs_are_reduced_along_a_chain():
    state = {name: gx.Carried(0.0, name, along="r") for name in ("x", "y")}
    space = gx.Space({"r": gx.DataAxis([1, 2]), **state}, mode="product")
    executor = gx.ParallelExecution(lambda s: {"x": s["y"], "y": s["x"]}, space)
    with pytest.raises(ValueError, match="'x', 'y' are carried along 'r', so outputs"):
        executor.run(reduce={"r": "mean"}, progress=False)


def test_blocks_of_a_reduced_run_have_whole_chains(tmp_path):
    executor = gx.ParallelExecution(counting, grid())
    options = {"store": tmp_path / "run.zarr", "reduce": {"k": "mean"}, "progress": False}
    with pytest.raises(ValueError, match="blocks of 2 labels, but with reduce= what is carried is"):
        executor.run(block={"r": 2, "k": 3}, **options)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("order", ["forward", "backward", "both"])
@pytest.mark.slow
def test_a_reopened_space_has_its_chain(order, suffix, tmp_path):
    space = grid(order, initial=gx.DataAxis([1.0, 2.0], name="x0"))
    result = gx.ParallelExecution(counting, space).run(progress=False)
    path = tmp_path / f"result.{suffix}"
    result.to_netcdf(path) if suffix == "nc" else result.to_zarr(path)
    opened = gx.open_result(path)
    assert repr(opened.space) == repr(space)
    assert opened.space.sel(x0=2.0)[0]["x"] == 2.0
    again = gx.ParallelExecution(counting, opened.space).run(progress=False)
    assert again.dataset["x"].equals(result.dataset["x"])
    longer = gx.ParallelExecution(
        counting, grid(order, initial=gx.DataAxis([1.0, 2.0, 3.0], name="x0"))
    )
    extended = longer.run(extend=path, progress=False).dataset["x"]
    assert extended.sel(x0=[1.0, 2.0]).equals(result.dataset["x"])
    shown = CliRunner().invoke(main, ["info", str(path)])
    assert "carried from 'x' along 'r'" in shown.output


def test_a_damaged_description_of_a_chain_is_an_error(tmp_path):
    path = tmp_path / "result.nc"
    gx.ParallelExecution(counting, grid()).run(progress=False).to_netcdf(path)
    dataset = xr.load_dataset(path)
    for old, new in (('"forward"', '"sideways"'), ('"along": "r"', '"along": "q"')):
        damaged = dataset.copy()
        damaged.attrs["space"] = dataset.attrs["space"].replace(old, new)
        assert damaged.attrs["space"] != dataset.attrs["space"]
        damaged.to_netcdf(tmp_path / "damaged.nc")
        with pytest.raises(ValueError, match="its description of the space is damaged"):
            gx.open_result(tmp_path / "damaged.nc")


def test_a_plan_counts_the_chains():
    plan = gx.ParallelExecution(counting, grid(n=100, ks=range(50)), n_pmap=1).plan()
    assert "Chains:  50, each of 100 points along r" in repr(plan)
    assert plan.chain == Chain(0)
    assert plan.n_vmap == 50
    assert "Chains:" in plan._repr_html_()


def scans(jaxpr):
    """Yield the outermost scans of a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        else:
            for program in programs_in(tuple(equation.params.values())):
                yield from scans(bare(program))


def test_what_does_not_depend_on_the_chain_is_computed_before_it():
    """The noise of a trial is drawn once, and not at each label."""

    def model(state):
        noise = jax.random.normal(state["key"], (50,))
        return {"x": 0.5 * state["x"] + state["r"] * noise.sum()}

    state = {
        "r": gx.GridAxis(0, 1, 20),
        "x": gx.Carried(0.0, "x", "r"),
        "key": gx.KeyAxis(8, name="trial"),
    }
    executor = gx.ParallelExecution(model, gx.Space(state, mode="product"), n_pmap=1)
    plan = executor.plan()
    kernel = executor._evaluator._prepared().kernel((), plan)
    index = np.zeros((1, sum(plan.lengths)), np.int32)
    jaxpr = kernel._run.trace(index, *kernel._arguments).jaxpr
    (loop,) = scans(jaxpr)
    assert str(jaxpr).count("random_bits") == 1
    assert "random_bits" not in str(loop.params["jaxpr"])


@pytest.mark.slow
@pytest.mark.parametrize("n_segments", [1, 4])
def test_what_only_depends_on_what_is_carried_is_not_shared(n_segments, tmp_path):
    """Not even in a block of a single label, whose tiles are loops over other dimensions."""

    def model(state):
        before = state["u"]
        steps = before["step"] + jnp.arange(5)
        noise = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(state["key"], i)))(steps)
        x, _ = jax.lax.scan(lambda x, kick: (x + state["a"] + kick, None), before["x"], noise)
        return {"seen": before["step"] + 0, "end": {"x": x, "step": before["step"] + 5}}

    state = {
        "segment": gx.DataAxis(range(n_segments)),
        "a": gx.DataAxis([1.0, 2.0]),
        "key": gx.KeyAxis(8, name="trial"),
        "u": gx.Carried({"x": 0.0, "step": 7}, "end", along="segment"),
    }
    space = gx.Space(state, mode="product")
    wanted = gx.SequentialExecution(jax.jit(model), space).run(progress=False).dataset
    for n_vmap in (None, 2, 4):
        executor = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=1)
        for where in ({}, {"store": tmp_path / f"{n_vmap}.zarr", "block": {"segment": 1}}):
            found = executor.run(progress=False, **where).dataset
            np.testing.assert_array_equal(found["seen"], wanted["seen"])
            np.testing.assert_allclose(found["end.x"], wanted["end.x"], rtol=1e-5)


def test_a_variable_of_a_dataset_is_carried():
    def model(state):
        return xr.Dataset({"x": ("unit", state["x"] + state["r"]), "r2": 2 * state["r"]})

    space = gx.Space({"r": gx.DataAxis([1.0, 2.0]), "x": gx.Carried(jnp.zeros(2), "x", "r")})
    for execution in (gx.ParallelExecution, gx.SequentialExecution):
        result = execution(model, space).run(progress=False)
        assert result.dataset["x"].values.tolist() == [[1.0, 1.0], [3.0, 3.0]]


def test_more_shards_than_chains_are_rejected(tmp_path):
    space = grid(ks=(1.0,))
    with pytest.raises(
        ValueError, match=r"follow each other, so only k can be divided, which has 1"
    ):
        gx.ParallelExecution(counting, space).run(
            store=tmp_path / "run.zarr", shard=(2, 3), progress=False
        )


def test_an_integer_in_a_loop_of_floats_gets_advice():
    def model(state):
        return jax.lax.scan(lambda x, _: (x + 0.5, None), state["x"], None, length=3)[0]

    space = gx.Space({"r": gx.DataAxis([1.0, 2.0]), "x": gx.Carried(0, "value", "r")})
    with pytest.raises(TypeError) as caught:
        gx.ParallelExecution(model, space).run(progress=False)
    assert any("write 0.0 in place of 0" in note for note in caught.value.__notes__)
