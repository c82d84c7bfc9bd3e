"""What every executor does, whichever it is."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from tests.ids import plain
from tests.models import LABELED, reading


@pytest.fixture(params=[gx.SequentialExecution, gx.ParallelExecution])
def execution(request):
    return request.param


def product(**axes):
    return gx.Space(axes, mode="product")


def line(n=4):
    return product(x=gx.DataAxis(np.arange(float(n))))


def twice(state):
    return 2 * state["x"]


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, state):
        return self.factor * state["x"]

    def method(self, state):
        return self.factor * state["x"]


class Module(eqx.Module):
    factor: jax.Array

    def __call__(self, state):
        return self.factor * state["x"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (twice, "tests.execution.test_execution.twice"),
        (jax.jit(twice), "tests.execution.test_execution.twice"),
        (
            functools.partial(lambda factor, s: factor * s["x"], 2),
            "tests.execution.test_execution.<lambda>",
        ),
        (Scaler(2), "tests.execution.test_execution.Scaler"),
        (Scaler(2).method, "tests.execution.test_execution.Scaler.method"),
        (Module(jnp.float32(2)), "tests.execution.test_execution.Module"),
    ],
    ids=["function", "jitted", "partial", "object", "method", "equinox module"],
)
def test_a_model_is_any_callable(execution, model, name):
    result = execution(model, line()).run(progress=False)
    assert result.dataset["value"].values.tolist() == [0, 2, 4, 6]
    assert result.dataset.attrs["model"].replace(".<locals>", "") == name


def test_arguments_of_the_model_are_passed_on_and_none_is_swallowed(execution):
    def model(state, scale, *rest, offset, statements="", **more):
        assert statements == "as written"
        assert sorted(more) == ["coords", "dims", "progress"]
        return scale * state["x"] + offset["a"] + sum(rest) + more["progress"]

    executor = execution(
        model,
        line(),
        2.0,
        3.0,
        np.float32(4.0),
        offset={"a": jnp.float32(10.0)},
        statements="as written",
        progress=100.0,
        dims=None,
        coords="anything",
    )
    found = executor.run(progress=False).dataset["value"].values
    assert found.tolist() == [117, 119, 121, 123]


def test_an_option_of_run_that_was_given_to_the_executor_is_told(execution):
    name = execution.__name__
    text = f"{name} got store=, which is an option of run(): keywords of an executor that are not"
    with pytest.raises(TypeError, match=re.escape(text)):
        execution(twice, line(), store="sweep.zarr")


@pytest.mark.parametrize(
    ("executor", "keyword", "owner"),
    [
        (gx.ParallelExecution, "n_workers", "SequentialExecution"),
        (gx.ParallelExecution, "client", "DaskExecution"),
        (gx.SequentialExecution, "n_vmap", "ParallelExecution or DaskExecution"),
        (gx.SequentialExecution, "n_pmap", "ParallelExecution"),
        (gx.SequentialExecution, "jit", "DaskExecution"),
        (gx.DaskExecution, "n_workers", "SequentialExecution"),
    ],
)
def test_an_option_of_another_executor_is_told_unless_the_model_takes_it(executor, keyword, owner):
    text = f"{executor.__name__} got {keyword}=, which is an option of {owner}: keywords of an"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}"):
        executor(twice, line(), **{keyword: 2})
    assert (
        executor(lambda state, **options: state["x"], line(), **{keyword: 2}).kwargs[keyword] == 2
    )


@pytest.mark.parametrize("argument", [1, [2], {"a": 3}], ids=plain)
def test_a_model_that_does_not_take_an_argument_says_so(execution, argument):
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        execution(twice, line(), argument).run(progress=False)


class Pair(NamedTuple):
    a: Any
    b: Any


@functools.partial(jax.tree_util.register_dataclass, data_fields=["a", "b"], meta_fields=["how"])
@dataclasses.dataclass
class Settings:
    a: Any
    b: Any
    how: str = "exactly"


class Cell(eqx.Module):
    a: Any
    b: Any
    names: list = eqx.field(static=True, default_factory=lambda: ["kept"])


@pytest.mark.parametrize(
    ("make", "model", "dim"),
    [
        (lambda x: {"a": x, "b": 3.0}, lambda s: s["a"] * s["b"], "a"),
        (lambda x: [x, 3.0], lambda s: s[0] * s[1], "[0]"),
        (lambda x: (3.0, {"deep": [x]}), lambda s: s[0] * s[1]["deep"][0], "[1].deep[0]"),
        (lambda x: Pair(x, 3.0), lambda s: s.a * s.b, "a"),
        (lambda x: Settings(x, 3.0), lambda s: s.a * s.b * (s.how == "exactly"), "a"),
        (lambda x: Cell(x, 3.0), lambda s: s.a * s.b * (s.names == ["kept"]), "a"),
        (lambda x: {"p": Pair(Cell(x, 1.0), 3.0)}, lambda s: s["p"].a.a * s["p"].b, "p.a.a"),
        (lambda x: x, lambda s: 3.0 * s, "value"),
    ],
    ids=["dict", "list", "tuple", "namedtuple", "dataclass", "equinox", "mixed", "bare"],
)
def test_a_state_is_any_pytree(execution, make, model, dim):
    space = gx.Space(make(gx.DataAxis([0.1, 0.3, 0.2])), mode="product")
    result = execution(model, space).run(progress=False)
    assert result.dataset[dim].values.tolist() == [0.1, 0.3, 0.2]
    (output,) = result.dataset.data_vars
    np.testing.assert_allclose(result.dataset[output], [0.3, 0.9, 0.6], rtol=1e-6)


def test_leaves_that_are_no_arrays_reach_the_model_untouched(execution):
    names = np.array(["V1", "V2"])
    day = np.array(["2020-01-01"], dtype="datetime64[D]")
    method = object()
    seen = []

    def model(state):
        seen.append(state)
        return state["f"](state["x"]) * state["n"]

    state = {
        "x": gx.DataAxis([0.0, 1.0]),
        "f": jnp.cos,
        "n": 2,
        "how": "heun",
        "nothing": None,
        "method": method,
        "names": names,
        "day": day,
        "flag": True,
    }
    result = execution(model, gx.Space(state, mode="product")).run(progress=False)
    np.testing.assert_allclose(result.dataset["value"], 2 * np.cos([0.0, 1.0]), rtol=1e-6)
    for given in seen:
        np.testing.assert_array_equal(given["names"], names)
        np.testing.assert_array_equal(given["day"], day)
        assert given["method"] is method
        assert given["nothing"] is None
        assert (given["n"], given["how"], given["flag"]) == (2, "heun", True)
        assert type(given["n"]) is int
        assert type(given["flag"]) is bool


def test_fixed_arrays_reach_the_model_whatever_their_kind(execution):
    def model(state):
        draw = jax.random.uniform(state["key"]) + jax.random.uniform(state["old"])
        return state["x"] + state["W"].sum() + state["h"].astype(float) + draw + state["ok"][1]

    state = {
        "x": gx.DataAxis([0.0, 1.0, 2.0]),
        "W": np.ones((3, 3)),
        "h": jnp.bfloat16(0.5),
        "key": jax.random.key(3),
        "old": jax.random.PRNGKey(4),
        "ok": np.array([True, False]),
    }
    space = gx.Space(state, mode="product")
    result = execution(model, space).run(progress=False)
    expected = [model(space[i]) for i in range(3)]
    np.testing.assert_allclose(result.dataset["value"], expected, rtol=1e-6)


SPACES = {
    "product": lambda: product(a=gx.GridAxis(0, 1, 3), b=gx.GridAxis(0, 1, 5)),
    "zip": lambda: gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.UniformAxis(0, 1, 5)}, "zip"),
    "group": lambda: product(
        a=gx.GridAxis(0, 1, 3, group="g"), k=gx.KeyAxis(2), b=gx.DataAxis([5, 1, 2], group="g")
    ),
    "arrays and keys": lambda: product(W=gx.DataAxis(np.eye(3)), k=gx.KeyAxis(4)),
    "shape": lambda: product(a=gx.GridAxis(0, 1, 3, shape=(2, 2)), b=gx.GridAxis(0, 1, 2)),
    "wrap": lambda: product(a=gx.GridAxis(0, 1, 3, wrap=lambda v: {"w": 5 * v}), k=gx.KeyAxis(2)),
    "choice": lambda: product(f=gx.ChoiceAxis([jnp.sin, jnp.cos]), b=gx.GridAxis(0, 1, 5)),
    "wrapped choice": lambda: product(
        f=gx.ChoiceAxis([1, 2], wrap=lambda n: "x" * n), b=gx.GridAxis(0, 1, 3)
    ),
    "choice in a group": lambda: product(
        f=gx.ChoiceAxis(["one", "three"], group="g"),
        b=gx.GridAxis(0, 1, 2, group="g"),
        c=gx.GridAxis(0, 1, 3),
    ),
    "scattered": lambda: product(a=gx.GridAxis(0, 1, 3), b=gx.DataAxis([3, 1, 2]))[[7, 0, 0, 4]],
    "scattered choices": lambda: product(
        f=gx.ChoiceAxis(["one", "three"]), b=gx.GridAxis(0, 1, 3), k=gx.KeyAxis(2)
    )[[0, 11, 1, 7, 2, 3, 0]],
    "filtered": lambda: product(a=gx.GridAxis(0, 1, 4), b=gx.GridAxis(0, 1, 4)).filter(
        lambda ds: ds.a < ds.b
    ),
    "part": lambda: product(a=gx.GridAxis(0, 1, 4), b=gx.GridAxis(0, 1, 4)).isel(
        a=[3, 0], b=slice(1, None)
    ),
    "one dimension dropped": lambda: product(a=gx.GridAxis(0, 1, 4), k=gx.KeyAxis(3)).isel(k=1),
    "no dimension": lambda: product(a=gx.GridAxis(0, 1, 4), f=gx.ChoiceAxis(["u", "v"])).isel(
        a=2, f=1
    ),
    "one point": lambda: product(a=gx.DataAxis([0.5])),
    "random arrays": lambda: product(
        W=gx.DataAxis(np.random.default_rng(0).normal(size=(4, 3))), a=gx.UniformAxis(0, 1, 3)
    ),
}


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.sampled(5)
def test_every_point_gets_what_a_direct_call_returns(execution, kind):
    space = SPACES[kind]()
    result = execution(reading, space).run(progress=False)
    (output,) = result.dataset.data_vars
    values = result.dataset[output]
    assert values.dims == space.dims
    assert values.shape == space.shape
    expected = [reading(space[i]) for i in range(len(space))]
    np.testing.assert_allclose(values.values.reshape(-1), expected, rtol=1e-6)
    assert len(result) == len(space)
    assert result.dataset.drop_vars(output).drop_attrs().identical(space.dataset.drop_attrs())


@pytest.mark.parametrize("kind", LABELED)
@pytest.mark.sampled(3)
def test_what_a_person_types_selects_its_point_in_the_result(execution, kind):
    state, mode, typed, point = LABELED[kind]
    space = gx.Space(state, mode=mode)
    result = execution(reading, space).run(progress=False)
    np.testing.assert_allclose(result.sel(typed)["value"], reading(space[point]), rtol=1e-6)


def test_random_axes_are_selected_by_the_nearest_label(execution):
    space = product(x=gx.UniformAxis(0, 1, 20))
    dataset = execution(lambda s: s["x"], space).run(progress=False).dataset
    near = dataset.sel(x=0.5, method="nearest")
    assert abs(near["x"] - 0.5) == abs(dataset["x"] - 0.5).min()
    np.testing.assert_allclose(near["value"], near["x"], rtol=1e-6)


def test_fixed_numbers_and_attributes_ride_along(execution):
    state = {"x": gx.GridAxis(0, 1, 3, attrs={"units": "mV"}), "dt": 0.1, "how": "heun"}
    dataset = (
        execution(lambda s: s["x"], gx.Space(state, mode="product")).run(progress=False).dataset
    )
    assert dataset["dt"].item() == 0.1
    assert dataset["how"].item() == "heun"
    assert dataset["x"].attrs == {"units": "mV"}


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        (lambda s: s["x"], "float32"),
        (lambda s: s["x"] > 1, "bool"),
        (lambda s: s["x"].astype(jnp.int32), "int32"),
        (lambda s: s["x"].astype(jnp.uint8), "uint8"),
        (lambda s: s["x"] * (1 + 2j), "complex64"),
        (lambda s: s["x"].astype(jnp.float16), "float16"),
        (lambda s: s["x"].astype(jnp.bfloat16), "bfloat16"),
        (lambda s: s["x"].astype(jnp.int4), "int4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_outputs_keep_their_dtype(execution, model, dtype):
    space = line()
    result = execution(model, space).run(progress=False)
    if execution is gx.SequentialExecution:  # its model computes with float64 labels
        dtype = {"float32": "float64", "complex64": "complex128"}.get(dtype, dtype)
    assert result.dataset["value"].dtype == jnp.dtype(dtype)
    for i in range(4):
        assert result[i] == np.asarray(model(space[i]))


def test_keys_may_be_returned(execution):
    def model(state):
        return {"next": jax.random.split(state["k"], 3), "own": state["k"]}

    space = product(k=gx.KeyAxis(4))
    result = execution(model, space).run(progress=False)
    assert result.dataset["next"].attrs["prng_impl"] == "threefry2x32"
    for i in (0, 3):
        want = jax.random.key_data(model(space[i])["next"])
        assert (jax.random.key_data(result[i]["next"]) == want).all()
        assert result[i]["own"].dtype == space[i]["k"].dtype


def test_python_numbers_may_be_returned(execution):
    dataset = execution(lambda s: {"i": 3, "f": 0.5, "b": True}, line()).run(progress=False).dataset
    assert {name: v.dtype.kind for name, v in dataset.data_vars.items()} == {
        "i": "i",
        "f": "f",
        "b": "b",
    }
    assert dataset["f"].values.tolist() == [0.5] * 4


def test_a_nested_result_comes_back_in_its_own_structure(execution):
    def model(state):
        x = state["x"]
        return {
            "m": Pair(x, [x + 1, (x * jnp.arange(2),)]),
            "none": None,
            "set": Settings(x, 2 * x),
        }

    result = execution(model, line()).run(progress=False)
    assert list(result.dataset.data_vars) == ["m.a", "m.b[0]", "m.b[1][0]", "set.a", "set.b"]
    found = result[2]
    assert type(found["m"]) is Pair
    assert type(found["m"].b[1]) is tuple
    assert isinstance(found["set"], Settings)
    assert found["none"] is None
    assert (found["m"].a, found["m"].b[0], found["set"].b) == (2, 3, 4)
    assert found["m"].b[1][0].tolist() == [0, 2]


def test_dims_and_coords_label_the_outputs(execution):
    times = np.arange(0, 0.5, 0.1)
    result = execution(lambda s: {"activity": s["x"] * jnp.ones(5)}, line()).run(
        progress=False,
        dims={"activity": ("time",)},
        coords={"time": ("time", times, {"units": "s"})},
    )
    assert result.dataset["activity"].dims == ("x", "time")
    assert result.dataset["time"].attrs == {"units": "s"}
    assert result.sel(x=2.0, time=0.3)["activity"].item() == 2.0


def test_unsorted_labels_of_an_output_select_by_nearest_too(execution):
    result = execution(lambda s: s["x"] + jnp.arange(3.0), line()).run(
        progress=False, dims={"value": ("depth",)}, coords={"depth": [30.0, 10.0, 20.0]}
    )
    assert result.sel(x=1.0, method="nearest").sel(depth=12, method="nearest")["value"] == 2


TIME = np.arange(3) * 0.1


def as_dataarray(x):
    return xr.DataArray(
        x * jnp.ones(3), {"time": TIME}, ["time"], name="S", attrs={"long_name": "activity"}
    )


def on_host(labeled):
    if isinstance(labeled, xr.Dataset):
        return {name: variable.data for name, variable in labeled.data_vars.items()}
    return labeled.data


@pytest.mark.parametrize(
    ("model", "output"),
    [
        (lambda s: as_dataarray(s["x"]), "S"),
        (lambda s: {"S": as_dataarray(s["x"])}, "S"),
        (lambda s: xr.Dataset({"S": as_dataarray(s["x"]), "m": s["x"]}), "S"),
        (lambda s: {"run": [xr.Dataset({"S": as_dataarray(s["x"])})]}, "run[0].S"),
    ],
    ids=["DataArray", "in a dict", "Dataset", "nested Dataset"],
)
def test_labels_of_xarray_objects_reach_the_result(execution, model, output):
    result = execution(model, line()).run(progress=False)
    found = result.dataset[output]
    assert found.dims == ("x", "time")
    assert found.attrs == {"long_name": "activity"}
    assert found.sel(x=3.0, time=0.2).item() == 3.0
    again, direct = result[1], model({"x": jnp.float32(1.0)})
    assert jax.tree.structure(again) == jax.tree.structure(direct)
    (mine,), (theirs,) = jax.tree.leaves(again), jax.tree.leaves(direct)
    assert mine.identical(theirs.copy(data=jax.device_get(on_host(theirs))))


def test_variables_label_without_coordinates(execution):
    result = execution(
        lambda s: xr.Variable("time", s["x"] * jnp.ones(3), {"units": "Hz"}), line()
    ).run(progress=False)
    assert result.dataset["value"].dims == ("x", "time")
    assert result.dataset["value"].attrs == {"units": "Hz"}
    assert isinstance(result[0], xr.Variable)


def test_an_output_named_like_a_parameter_gets_a_prefix(execution):
    result = execution(lambda s: {"x": 2 * s["x"], "status": s["x"]}, line()).run(progress=False)
    assert list(result.dataset.data_vars) == ["result.status", "result.x"]
    assert result[3] == {"x": 6, "status": 3}


def test_nan_at_some_points_stays_there(execution):
    dataset = execution(lambda s: jnp.log(s["x"] - 1.0), line(5)).run(progress=False).dataset
    assert np.isnan(dataset["value"].values).tolist() == [True, False, False, False, False]
    assert dataset["value"].values[1] == -np.inf
    np.testing.assert_allclose(dataset["value"].values[2:], np.log([1, 2, 3]), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (lambda s: None, TypeError, "the model returned None, but must return arrays or numbers"),
        (lambda s: {}, TypeError, "the model returned {}, which contains no array"),
        (
            lambda s: "done",
            TypeError,
            "output 'value' is the string 'done', but a model must return",
        ),
        (
            lambda s: {"o": object()},
            TypeError,
            "output 'o' is an object of the type object, but a model must",
        ),
        (
            lambda s: {"a": {"b": s["x"]}, "a.b": s["x"]},
            ValueError,
            "the model returns two outputs named 'a.b'; rename one of them",
        ),
        (lambda s: {"a/b": s["x"]}, ValueError, "output 'a/b' cannot be stored under that name"),
        (lambda s: s["y"], KeyError, "'y'"),
    ],
    ids=["None", "nothing", "string", "object", "twice", "slash", "error"],
)
def test_a_model_that_cannot_be_run_says_why(execution, model, error, text):
    executor = execution(model, line())
    with pytest.raises(error, match=re.escape(text)):
        executor.run(progress=False)
    assert executor.partial is None


def test_the_bar_shows_the_model_and_all_points(execution, capsys):
    execution(twice, line(7)).run()
    shown = capsys.readouterr()
    assert "twice" in shown.err
    assert "7/7" in shown.err
    assert shown.out == ""


def test_no_bar_where_none_is_wanted(execution, capsys):
    execution(twice, line()).run(progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["product", "scattered", "scattered choices", "no dimension"])
def test_a_function_is_told_of_every_advance(execution, kind):
    told = []
    space = SPACES[kind]()
    execution(reading, space).run(progress=lambda done, total: told.append((done, total)))
    done = [d for d, _ in told]
    assert done == sorted(done)
    assert done[-1] == len(space)
    assert {total for _, total in told} == {len(space)}


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_a_progress_function_is_told_of_each_step_once(execution):
    space, told = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product"), []
    execution(lambda s: {"y": s["x"]}, space).run(progress=lambda *step: told.append(step))
    assert told[-1] == (3, 3)
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("progress", ["yes", 1, None, 0.5], ids=plain)
def test_other_ways_to_show_progress_are_refused_before_anything_runs(execution, progress):
    calls = []
    text = f"progress must be True, False, or a function of (done, total), got {progress!r}"
    with pytest.raises(TypeError, match=re.escape(text)):
        execution(lambda s: calls.append(1) or s["x"], line()).run(progress=progress)
    assert calls == []


def test_an_error_of_the_progress_function_keeps_what_was_computed(execution):
    def tell(done, total):
        raise RuntimeError("the screen is gone")

    executor = execution(twice, line())
    with pytest.raises(RuntimeError, match="the screen is gone") as caught:
        executor.run(progress=tell)
    assert caught.value.result is executor.partial
    assert executor.partial.dataset["value"].sel(x=0.0) == 0


def test_running_again_gives_the_same_and_forgets_what_was_kept(execution):
    executor = execution(twice, line())
    with pytest.raises(ZeroDivisionError):
        executor.run(progress=lambda done, total: 1 / 0)
    assert executor.partial is not None
    first, second = executor.run(progress=False), executor.run(progress=False)
    assert executor.partial is None
    assert first.dataset.drop_attrs().identical(second.dataset.drop_attrs())


@pytest.mark.parametrize(
    ("model", "space", "text"),
    [
        (
            line(),
            twice,
            "the model must be callable, got Space; it comes first, then the space: {}(model, space)",
        ),
        (3, line(), "the model must be callable, got int; it comes first, then the space: {}"),
        (
            twice,
            {"x": gx.GridAxis(0, 1, 3)},
            "space must be a gridax.Space, got dict; create one with gridax.Space(state, "
            "mode='product')",
        ),
        (
            twice,
            gx.GridAxis(0, 1, 3),
            "space must be a gridax.Space, got GridAxis; create one with",
        ),
        (twice, gx.Space, "space must be a gridax.Space, got ABCMeta; create one with"),
    ],
    ids=["exchanged", "number", "dict", "axis", "class"],
)
def test_what_is_no_model_or_space_is_refused_at_once(execution, model, space, text):
    with pytest.raises(TypeError, match=re.escape(text.format(execution.__name__))):
        execution(model, space)


@pytest.mark.parametrize("where", ["args", "kwargs"])
def test_an_axis_among_the_arguments_is_refused(execution, where):
    axis = {"p": gx.GridAxis(0, 1, 3)}
    text = "GridAxis(0.0, 1.0, 3) was passed as an argument of the model; axes belong in the state"
    with pytest.raises(TypeError, match=re.escape(text)):
        execution(twice, line(), axis) if where == "args" else execution(twice, line(), p=axis)


def test_a_carried_leaf_among_the_arguments_is_refused(execution):
    text = "was passed as an argument of the model; carried leaves belong in the state"
    with pytest.raises(TypeError, match=text):
        execution(twice, line(), gx.Carried(0.0, "x", along="a"))


@pytest.mark.parametrize(
    ("labels", "error", "text"),
    [
        (
            {"dims": ("time",)},
            TypeError,
            "dims= must be a mapping from outputs to dimensions, such as",
        ),
        ({"dims": {"value": ("x",)}}, ValueError, "output 'value' has a dimension 'x', which is"),
        ({"dims": {"value": ("t", "u")}}, ValueError, "dims= has 2 names for output 'value'"),
        (
            {"dims": {"rate": ("t",)}},
            ValueError,
            "dims= names an output 'rate', but the outputs are ['value']",
        ),
        (
            {"coords": [1]},
            TypeError,
            "coords= must be a mapping from names to coordinates, such as",
        ),
        ({"coords": {"t": [1]}}, ValueError, "coords=: the coordinate 't' is along 't', but the"),
    ],
    ids=plain,
)
def test_labels_that_do_not_fit_are_refused(execution, labels, error, text):
    with pytest.raises(error, match=re.escape(text)):
        execution(lambda s: s["x"] * jnp.ones(3), line()).run(progress=False, **labels)


def test_the_result_knows_its_space_and_where_it_comes_from(execution):
    space = product(x=gx.GridAxis(0, 1, 3), k=gx.KeyAxis(2))
    result = execution(twice, space).run(progress=False)
    assert result.space is space
    attrs = result.dataset.attrs
    assert attrs["gridax_version"] == gx.__version__
    assert attrs["jax_version"] == jax.__version__
    assert attrs["xarray_version"] == xr.__version__
    assert attrs["mode"] == "product"
    assert attrs["x64"] == 0
    assert attrs["device"] == jax.local_devices()[0].device_kind
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", attrs["created"])


def test_fields_of_the_result_are_numpy_not_device_arrays(execution):
    result = execution(twice, product(x=gx.GridAxis(0, 1, 3), W=gx.DataAxis(np.eye(3)))).run(
        progress=False
    )
    assert type(result.dataset["value"].data) is np.ndarray
    assert type(result.dataset["W_value"].data) is np.ndarray
    assert isinstance(result[0], (np.ndarray, np.generic))


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">c8"])
@pytest.mark.sampled(3)
def test_arrays_of_the_other_byte_order_are_read_as_the_same_numbers(execution, dtype):
    array = np.arange(1, 4).astype(dtype)

    def model(state, argument, *, keyword):
        parts = (state["fixed"], state["chosen"], argument[0], keyword["a"])
        total = sum(jnp.sum(jnp.asarray(part)).real for part in parts)
        return {
            "total": state["x"] * total,
            "constant": xr.DataArray(array, {"t": array.real}, ["t"]),
        }

    state = {
        "x": gx.DataAxis([1.0, 2.0]),
        "fixed": array,
        "chosen": gx.ChoiceAxis([array, array], labels=["a", "b"]),
    }
    dataset = execution(model, gx.Space(state), [array], keyword={"a": array}).run(progress=False)
    np.testing.assert_allclose(dataset.dataset["total"], [24.0, 48.0])
    assert dataset.dataset["constant"].dtype.isnative
    np.testing.assert_allclose(dataset.dataset["constant"].sel(t=2)[0], 2)
    np.testing.assert_allclose(gx.Space(state)[0]["fixed"] * jnp.ones(3), array)


@pytest.mark.parametrize("n", [(), (3,)])
def test_keys_in_xarray_objects_come_back_in_them(execution, n):
    def model(state):
        keys = jax.random.split(state["key"], n) if n else state["key"]
        dims = ("t",) * len(n)
        coords = {"t": np.arange(3)} if n else {}
        return {
            "array": xr.DataArray(keys, coords, dims, attrs={"long_name": "key"}),
            "variable": xr.Variable(dims, keys),
            "dataset": xr.Dataset({"one": (dims, keys)}, coords),
        }

    space = gx.Space({"key": gx.KeyAxis(2)}, mode="product")
    found = execution(model, space).run(progress=False)[1]
    wanted = model(space[1])
    pairs = [(found[name], wanted[name]) for name in ("array", "variable")]
    pairs.append((found["dataset"]["one"], wanted["dataset"]["one"]))
    for mine, theirs in pairs:
        assert (mine.dims, mine.shape, mine.attrs) == (theirs.dims, n, theirs.attrs)
        data = [jax.random.key_data(getattr(v, "variable", v)._data) for v in (mine, theirs)]
        np.testing.assert_array_equal(*data)
    if n:
        assert found["array"]["t"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("on", ["the output", "a coordinate"])
@pytest.mark.parametrize(("attrs", "raises"), [(["ms", "s"], True), (["ms", None], True)])
def test_units_that_differ_between_points_are_rejected(execution, on, attrs, raises):
    given = [{} if unit is None else {"units": unit} for unit in attrs]
    model = with_attributes(on, given)
    has = "no units" if attrs[1] is None else "the units 's'"
    text = rf"has {has}, but had 'ms' before, and its values are kept in one array; convert them"
    with pytest.raises(ValueError, match=text):
        execution(model, two_choices()).run(progress=False)


@pytest.mark.parametrize("on", ["the output", "a coordinate"])
def test_other_attributes_that_differ_between_points_are_warned_of_once(execution, on):
    model = with_attributes(on, [{"note": "first"}, {"note": "second"}])
    text = r"'y' has the attribute note='second' at one point and note='first' at the first, which"
    with pytest.warns(UserWarning, match=text) as caught:
        execution(model, two_choices()).run(progress=False)
    assert len(caught) == 1


def test_equal_attributes_of_any_kind_are_accepted(execution):
    attrs = [{"a": np.arange(3), "nan": np.nan, "list": [1, "a"]} for _ in range(2)]
    dataset = execution(with_attributes("the output", attrs), two_choices()).run(progress=False)
    assert dataset.dataset["y"].attrs["list"] == [1, "a"]


def two_choices():
    return gx.Space({"x": gx.GridAxis(0, 1, 3), "c": gx.ChoiceAxis([0, 1])}, mode="product")


def with_attributes(on, attrs):
    def model(state):
        mine = attrs[state["c"]]
        array = xr.DataArray(state["x"] * jnp.ones(2), dims="t", name="y")
        if on == "the output":
            return array.assign_attrs(mine)
        return array.assign_coords(t=("t", [0, 1], mine))

    return model


@pytest.mark.parametrize("how", ["memory", "store", "reduce"])
def test_two_outputs_that_would_get_one_name_are_refused(execution, how, tmp_path):
    def model(state):
        return {"result": {"x": state["x"] * 10.0}, "x": state["x"] + 1}

    option = {"store": tmp_path / "s.zarr"} if how == "store" else {}
    if how == "reduce":
        option = {"reduce": {"x": "mean"}}
    space = gx.Space({"x": gx.DataAxis([1, 2, 3])}, mode="product")
    with pytest.raises(ValueError, match=re.escape("returns two outputs named 'result.x'")):
        execution(model, space).run(progress=False, **option)


def with_time(state):
    time = jnp.arange(3.0) / 10
    return {"time": time, "x": state["a"] * time}


def with_labeled_time(state):
    times = xr.DataArray(jnp.arange(3.0) / 10, {"t": [0.0, 0.1, 0.2]}, ["t"], name="t")
    return {"t": times, "x": state["a"] * times.variable}


@pytest.mark.parametrize(
    ("model", "dims"),
    [(with_time, {"x": ("time",), "time": ("time",)}), (with_labeled_time, None)],
    ids=["named by dims=", "named by the model"],
)
def test_an_output_with_the_name_of_a_dimension_is_kept(execution, model, dims, tmp_path):
    space = gx.Space({"a": gx.GridAxis(0, 1, 3)}, mode="product")
    result = execution(model, space).run(progress=False, dims=dims)
    stored = execution(model, space).run(store=tmp_path / "s.zarr", progress=False, dims=dims)
    result.to_netcdf(tmp_path / "result.nc")
    reopened = [gx.open_result(tmp_path / name) for name in ("s.zarr", "result.nc")]
    name = "time" if dims else "t"
    for each in (result, stored, *reopened):
        variable = each.dataset[f"result.{name}"]
        assert variable.dims == ("a", name)
        np.testing.assert_allclose(variable.sel(a=0.5), [0, 0.1, 0.2], rtol=1e-6)
        point = each[2]
        assert list(point) == [name, "x"]
        np.testing.assert_allclose(point[name], [0, 0.1, 0.2], rtol=1e-6)
        assert getattr(point[name], "name", None) == (None if dims else "t")


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_what_a_file_lacks_is_named_if_its_space_is_run(execution, tmp_path):
    def model(state):
        return state["f"](state["x"]) * state["W"].sum()

    state = {"f": gx.ChoiceAxis([jnp.sin, jnp.cos]), "x": gx.GridAxis(0, 1, 3), "W": np.ones(2)}
    run = execution(model, gx.Space(state, mode="product")).run(progress=False)
    run.to_netcdf(tmp_path / "run.nc")
    opened = gx.open_result(tmp_path / "run.nc").space
    for use in (
        lambda: execution(model, opened).run(progress=False),
        lambda: execution(model, opened).plan(measure=True),
    ):
        with pytest.raises(TypeError) as caught:
            use()
        assert "files do not hold the fixed values W" in caught.value.__notes__
        assert "files do not hold the choices of f" in caught.value.__notes__
    unused = execution(lambda s: 2 * s["x"], opened).run(progress=False)
    assert unused.dataset["value"].sel(f="cos", x=0.5) == 1.0
