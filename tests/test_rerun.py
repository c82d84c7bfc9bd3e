"""One point of a result, evaluated again."""

from __future__ import annotations

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx


def model(state, offset, *, scale=1.0):
    """Return outputs of all kinds; every leaf of the state counts."""
    x = state["w"] @ jnp.ones(2) * state["a"] + offset
    return {
        "x": xr.DataArray(scale * x, dims="unit", attrs={"units": "mV"}),
        "draw": jax.random.normal(state["key"]),
        "n": jnp.int32(len(state["name"])),
        "a": state["p"],  # has the name of an axis
    }


STATE = {
    "a": gx.GridAxis(0, 1, 3),
    "key": gx.KeyAxis(2, name="trial"),
    "name": gx.ChoiceAxis(["u", "vv"]),
    "w": np.arange(4.0).reshape(2, 2),
    "p": gx.DataAxis([1.0, 2.0], wrap=lambda p: 3 * p, group="g"),
    "q": gx.DataAxis([5, 6], group="g"),
}
SPACE = gx.Space(STATE, mode="product")
EXECUTIONS = [gx.ParallelExecution, gx.SequentialExecution]


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(
    "space", [SPACE, SPACE[[1, 5, 9]], SPACE.isel(a=1)], ids=["grid", "scattered", "part"]
)
@pytest.mark.slow
def test_every_point_returns_what_the_result_has(execution, space):
    result = execution(model, space, 0.5, scale=2.0).run(progress=False)
    for i in range(len(space)):
        again, stored = result.rerun(i), result[i]
        np.testing.assert_allclose(again["x"], stored["x"], rtol=1e-5)
        assert float(again["draw"]) == pytest.approx(float(stored["draw"]), rel=1e-5)
        assert (int(again["n"]), float(again["a"])) == (int(stored["n"]), float(stored["a"]))


def test_a_point_is_selected_by_labels():
    result = gx.ParallelExecution(model, SPACE, 0.5).run(progress=False)
    again = result.rerun(a=0.5, trial=1, name="vv", q=6)
    stored = result.sel(a=0.5, trial=1, name="vv", q=6)
    np.testing.assert_allclose(again["x"], stored["x"])
    nearest = result.rerun(a=0.6, trial=1, name="vv", q=6, method="nearest")
    np.testing.assert_allclose(nearest["x"], stored["x"])


def test_the_model_sees_values_and_not_tracers():
    seen = []

    def looking(state):
        seen.append(float(state["x"]))  # which a traced value does not allow
        return state["x"]

    space = gx.Space({"x": gx.GridAxis(0, 1, 11)})
    result = gx.ParallelExecution(lambda s: s["x"], space).run(progress=False)
    assert float(result.rerun(x=0.3, model=looking)) == pytest.approx(0.3)
    assert seen == [pytest.approx(0.3)]


def test_a_jitted_model_is_called_without_jit():
    seen = []

    @jax.jit
    def jitted(state):
        seen.append(isinstance(state["x"], jax.core.Tracer))
        return state["x"] * 2

    space = gx.Space({"x": gx.GridAxis(0, 1, 11)})
    for execution in EXECUTIONS:
        result = execution(jitted, space).run(progress=False)
        seen.clear()
        assert float(result.rerun(x=0.3)) == pytest.approx(0.6)
        assert seen == [False]


def test_another_function_returns_other_outputs():
    result = gx.ParallelExecution(model, SPACE, 0.5).run(progress=False)
    assert float(result.rerun(5, model=lambda state, offset: state["p"] * 10)) in (30.0, 60.0)


def test_a_difference_is_reported():
    result = gx.ParallelExecution(model, SPACE, 0.5).run(progress=False)
    text = "at a=0.0, trial=0, name='u', p=1.0, q=5, the model returns 7 for the output 'n', but"
    with pytest.warns(UserWarning, match=re.escape(text)):
        result.rerun(0, model=lambda s, offset: {**model(s, offset), "n": jnp.int32(7)})
    values = {"x": 1.0}
    changing = gx.SequentialExecution(lambda s: dict(values), gx.Space({"x": gx.GridAxis(0, 1, 2)}))
    result = changing.run(progress=False)
    values["y"] = 2.0
    with pytest.warns(UserWarning, match=r"the model returns \['x', 'y'\], but the result has"):
        result.rerun(0)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_a_file_needs_a_model(suffix, tmp_path):
    def plain(state):
        return {"y": state["a"] * len(state["name"]), "draw": jax.random.normal(state["key"])}

    space = gx.Space({k: STATE[k] for k in ("a", "key", "name")}, mode="product")
    result = gx.ParallelExecution(plain, space).run(progress=False)
    path = tmp_path / f"result.{suffix}"
    result.to_netcdf(path) if suffix == "nc" else result.to_zarr(path)
    opened = gx.open_result(path)
    for i in range(len(space)):
        assert float(opened.rerun(i, model=plain)["y"]) == pytest.approx(float(result[i]["y"]))
    with pytest.raises(ValueError, match="files do not hold models; pass model="):
        opened.rerun(0)
    with pytest.raises(ValueError, match="files do not hold models; pass model="):
        pickle.loads(pickle.dumps(result)).rerun(0)


def test_what_a_file_lacks_is_named(tmp_path):
    space = gx.Space({**STATE, "p": gx.DataAxis([1.0, 2.0], group="g")}, mode="product")
    result = gx.ParallelExecution(model, space, 0.5).run(progress=False)
    result.to_netcdf(tmp_path / "result.nc")
    with pytest.raises(TypeError) as caught:
        gx.open_result(tmp_path / "result.nc").rerun(0, model=lambda s: model(s, 0.5))
    assert "files do not hold the fixed values w" in caught.value.__notes__


def test_an_error_of_the_model_names_the_point():
    space = gx.Space({"x": gx.DataAxis([1, 0])})
    run = gx.SequentialExecution(lambda s: 1 / int(s["x"]), space)
    result = run.run(on_error="record", progress=False)
    with pytest.raises(ZeroDivisionError) as caught:
        result.rerun(x=0)
    assert caught.value.__notes__ == ["while the model was called again at x=0"]


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("order", ["forward", "backward", "both"])
def test_a_point_of_a_chain_starts_from_what_was_carried_to_it(execution, order):
    def step(state):
        key, now = jax.random.split(state["end"]["key"])
        v = 0.5 * state["end"]["v"] + state["r"] * state["k"] + jax.random.normal(now)
        return {"end": {"v": v, "key": key}}

    start = {"v": 0.5, "key": jax.random.key(1)}
    state = {
        "r": gx.GridAxis(0, 1, 4),
        "end": gx.Carried(start, "end", "r", order),
        "k": gx.DataAxis([1.0, 2.0]),
    }
    result = execution(step, gx.Space(state, mode="product")).run(progress=False)
    for i in range(len(result)):
        again = result.rerun(i)["end"]["v"]
        assert float(again) == pytest.approx(float(result[i]["end"]["v"]), rel=1e-5)


def saved(execution, model, space, folder):
    """Return a result as a file gives it back."""
    execution(model, space).run(progress=False).to_netcdf(folder / "result.nc")
    return gx.open_result(folder / "result.nc")


START = {"v": jnp.ones(2), "key": jax.random.key(1)}
INITIAL = {"array": {**START, "n": 3}, "function": lambda state: {**START, "n": 3}}


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("order", ["forward", "both"])
@pytest.mark.parametrize("initial", INITIAL.values(), ids=[*INITIAL])
def test_a_file_needs_no_initial_value_at_later_points(initial, order, execution, tmp_path):
    def step(state):
        key, now = jax.random.split(state["end"]["key"])
        v = 0.5 * state["end"]["v"] + state["r"] * state["k"] + jax.random.normal(now)
        return {"end": {"v": v, "key": key, "n": state["end"]["n"] + 1}}

    state = {"r": gx.GridAxis(0, 1, 3), "end": gx.Carried(initial, "end", "r", order)}
    state["k"] = gx.DataAxis([1.0, 2.0])
    space = gx.Space(state, mode="product")
    opened = saved(execution, step, space, tmp_path)
    at = {"k": 2.0} | ({"direction": "backward"} if order == "both" else {})
    again = opened.rerun(r=0.5, model=step, **at)["end"]
    np.testing.assert_allclose(again["v"], opened.sel(r=0.5, **at)["end.v"], rtol=1e-5)
    assert int(again["n"]) == 5
    first = 1.0 if order == "both" else 0.0
    with pytest.raises(ValueError, match="starts from the initial value of 'end', which was"):
        opened.rerun(r=first, model=step, **at)
    with pytest.raises(ValueError, match="create the space again with the same initial="):
        execution(step, opened.space).run(progress=False)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_file_does_not_know_wrapped_values(execution, tmp_path):
    def model(state):
        return state["g"] + state["h"]

    def square(value):
        return value**2

    state = {"g": gx.GridAxis(1, 3, 3, wrap=square), "h": gx.GridAxis(0, 1, 2)}
    opened = saved(execution, model, gx.Space(state, mode="product"), tmp_path)
    text = "axis 'g' had wrap=square, but files do not hold functions, so the values that the"
    for use in (
        lambda: opened.rerun(0, model=model),
        lambda: opened.space[-1],
        lambda: execution(model, opened.space).run(progress=False),
        lambda: execution(model, opened.space[1:3]).run(progress=False, on_error="record"),
        lambda: execution(model, opened.space).plan(),
    ):
        with pytest.raises(ValueError, match=text):
            use()
    assert opened.sel(g=3.0, h=1.0)["value"] == 10.0
    assert opened.space.sel(g=slice(2, 3)).dataset["g"].values.tolist() == [2.0, 3.0]
    opened.to_netcdf(tmp_path / "again.nc")
    with pytest.raises(ValueError, match=text):
        gx.open_result(tmp_path / "again.nc").rerun(0, model=model)


def test_what_was_carried_must_be_known():
    state = {"r": gx.GridAxis(0, 1, 4), "x": gx.Carried(1.0, "x", "r"), "k": gx.KeyAxis(2)}
    run = gx.ParallelExecution(lambda s: {"x": s["x"] + s["r"]}, gx.Space(state, mode="product"))
    reduced = run.run(reduce={"k": "mean"}, progress=False)
    assert float(reduced.rerun(0)["x"]) == 1.0
    with pytest.raises(ValueError, match="starts from the outputs of the one before it, but its"):
        reduced.rerun(3)


def test_a_reduced_result_calls_single_points():
    result = gx.ParallelExecution(model, SPACE, 0.5).run(
        reduce={"n": {"trial": "mean"}}, progress=False
    )
    full = gx.ParallelExecution(model, SPACE, 0.5).run(progress=False)
    again = result.rerun(a=0.5, trial=1, name="vv", q=6)
    assert float(again["draw"]) == pytest.approx(
        full.sel(a=0.5, trial=1, name="vv", q=6).draw.item()
    )


@pytest.mark.parametrize(
    ("arguments", "labels", "error", "text"),
    [
        ((), {"a": 0.5}, ValueError, "several are selected along 'trial', 'name', 'g'; pass one"),
        ((), {"a": [0.0, 0.5], "trial": 0, "name": "u", "q": 5}, ValueError, "along 'a'"),
        ((), {"a": 0.55, "trial": 0, "name": "u", "q": 5}, KeyError, "nearest labels of 'a'"),
        ((), {"z": 1}, ValueError, "no axis 'z' to select by"),
        ((99,), {}, IndexError, "point 99 is out of range"),
        (([1, 2],), {}, ValueError, "rerun takes one point: a flat position or labels, got [1, 2]"),
        ((1,), {"a": 0.5}, ValueError, "got 1 and labels of a"),
    ],
)
def test_it_takes_one_point(arguments, labels, error, text):
    result = gx.ParallelExecution(model, SPACE, 0.5).run(progress=False)
    with pytest.raises(error, match=re.escape(text)):
        result.rerun(*arguments, **labels)


def test_an_output_below_a_key_called_result_is_recognized(tmp_path):
    def model(state):
        return {"result": {"y": 2 * state["x"]}, "y": state["x"], "x": 3 * state["x"]}

    space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
    result = gx.SequentialExecution(model, space).run(progress=False)
    assert float(result.rerun(1)["result"]["y"]) == 1.0
    result.to_netcdf(tmp_path / "result.nc")
    again = gx.open_result(tmp_path / "result.nc").rerun(1, model=model)
    assert (float(again["y"]), float(again["x"])) == (0.5, 1.5)
