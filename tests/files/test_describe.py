"""A space is described in attributes, read back from them, and nothing of a file is trusted."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import pickle
import re
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import netCDF4
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._axes.missing import Missing
from gridax._files import describe, restore
from gridax._files.restore import nest
from tests.ids import plain
from tests.models import reading

SPACE = gx.Space(
    {"x": gx.GridAxis(0, 1, 4), "k": gx.KeyAxis(3), "W": gx.DataAxis(np.ones((2, 3))), "dt": 0.1},
    mode="product",
    key=7,
)


def model(state):
    return {"y": state["x"] * np.ones(2), "k": state["k"]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "run.nc"
    gx.SequentialExecution(model, SPACE).run(progress=False).to_netcdf(path)
    return path.read_bytes()


def through(space, folder):
    """Return a space as a file gives it back."""
    gx.SequentialExecution(lambda s: 1.0, space).run(progress=False).to_netcdf(folder / "run.nc")
    return gx.open_result(folder / "run.nc").space


class Cell(NamedTuple):
    a: Any
    b: Any


SPACES = {
    "product": SPACE,
    "bare": gx.Space(gx.GridAxis(0, 1, 3), mode="product"),
    "nested": gx.Space({"p": [Cell(gx.GridAxis(0, 1, 3), 2.0), {"q": gx.KeyAxis(2)}]}, "product"),
    "zip": gx.Space({"a": gx.UniformAxis(0, 1, 5), "b": gx.KeyAxis(5)}, "zip"),
    "group": gx.Space(
        {"a": gx.GridAxis(0, 1, 3, group="g"), "b": gx.DataAxis([3, 1, 2], group="g")}, "product"
    ),
    "scattered": SPACE[[20, 0, 3, 3]],
    "scattered arrays": SPACE[list(range(20))],
    "part": SPACE.isel(x=[2, 0], W=1),
    "one point": SPACE.isel(x=2, k=1, W=0),
    "labels": gx.Space(
        {
            "n": gx.DataAxis([1.5, 2.5], labels=["low", "high"]),
            "W": gx.DataAxis(np.eye(2), labels=["thin", "thick"]),
            "k": gx.DataAxis(jax.random.split(jax.random.key(1), 2), labels=[10, 20]),
        },
        "product",
    ),
    "dtypes": gx.Space(
        {
            "i": gx.DataAxis(np.int8([1, 2])),
            "b": gx.DataAxis([True, False]),
            "h": gx.DataAxis(jnp.array([0.1, 0.3], jnp.bfloat16)),
            "f": gx.DataAxis(np.float16([0.1, 0.3])),
            "c": gx.DataAxis(np.complex64([1j, 2])),
        },
        "product",
    ),
    "shape": gx.Space({"a": gx.GridAxis(0, 1, 3, shape=(2, 2))}, "product"),
    "choices": gx.Space(
        {"a": gx.ChoiceAxis(["heun", 2, 0.5, True]), "b": gx.KeyAxis(2)}, "product"
    ),
    "scattered choices": gx.Space(
        {"a": gx.ChoiceAxis(["heun", "euler"]), "b": gx.GridAxis(0, 1, 3)}, "product"
    )[[5, 0, 4, 1]],
    "other keys": gx.Space({"k": gx.KeyAxis(2)}, "product", key=jax.random.key(3, impl="rbg")),
    "DataArray": gx.Space(
        {
            "W": gx.DataAxis(
                xr.DataArray(
                    np.arange(6.0).reshape(2, 3),
                    {
                        "subject": ["s1", "s2"],
                        "region": ["V1", "V2", "MT"],
                        "age": ("subject", [30, 40]),
                    },
                    ["subject", "region"],
                    attrs={"units": "1"},
                )
            )
        },
        "product",
    ),
    "Python numbers": gx.Space(
        {"a": gx.GridAxis(0, 1, 2), "n": 3, "s": "heun", "t": True}, "product"
    ),
}


@pytest.mark.parametrize("kind", SPACES)
def test_a_space_comes_back_from_a_file(kind, tmp_path):
    space = SPACES[kind]
    again = through(space, tmp_path)
    assert (again.dims, again.shape, again.mode) == (space.dims, space.shape, space.mode)
    assert list(again.axes) == list(space.axes)
    assert again.dataset.equals(space.dataset)
    assert again.dataset.xindexes.keys() == space.dataset.xindexes.keys()
    assert repr(again).splitlines()[1:] == repr(space).splitlines()[1:]
    assert (jax.random.key_data(again.key) == jax.random.key_data(space.key)).all()
    assert jax.random.key_impl(again.key) == jax.random.key_impl(space.key)
    for mine, theirs in zip(again, space, strict=True):
        for one, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
            assert getattr(one, "dtype", type(one)) == getattr(other, "dtype", type(other))
            if isinstance(other, jax.Array) and jnp.issubdtype(other.dtype, jax.dtypes.prng_key):
                one, other = jax.random.key_data(one), jax.random.key_data(other)
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "kind", ["product", "scattered", "scattered arrays", "labels", "DataArray"]
)
def test_a_space_that_came_back_can_be_selected_from_and_run(kind, tmp_path):
    space = SPACES[kind]
    again = through(space, tmp_path)
    part, other = again[[1, 0]], space[[1, 0]]
    mine, theirs = (gx.SequentialExecution(reading, s).run(progress=False) for s in (part, other))
    np.testing.assert_array_equal(mine.dataset["value"], theirs.dataset["value"])
    assert mine.dataset.drop_attrs().equals(theirs.dataset.drop_attrs())


def test_a_space_that_came_back_can_be_saved_again(tmp_path):
    once = through(SPACES["scattered"], tmp_path)
    twice = through(once, tmp_path)
    assert twice.dataset.equals(SPACES["scattered"].dataset)
    assert repr(twice) == repr(once)


def test_the_shortest_of_a_group_counts_in_a_file_too(tmp_path):
    with pytest.warns(UserWarning, match="shortest wins"):
        space = gx.Space({"a": gx.ChoiceAxis(["u", "v", "w"]), "b": gx.KeyAxis(2)}, mode="zip")
    again = through(space, tmp_path)
    assert [s["a"] for s in again] == ["u", "v"]


def test_what_a_file_does_not_keep_is_named_in_its_place(tmp_path):
    state = {
        "x": gx.GridAxis(0, 1, 2),
        "f": math.sin,
        "W": np.ones((84, 84), np.float32),
        "net": object(),
        "ids": [None, 3],
    }
    again = through(gx.Space(state, mode="product"), tmp_path)[0]
    assert repr(again["f"]) == "<not stored: sin>"
    assert repr(again["W"]) == "<not stored: float32[84,84]>"
    assert again["net"] == Missing("object")
    assert again["ids"] == [None, 3]


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (math.sin, "math.sin"),
        (jnp.sin, "jax.numpy.sin"),
        (np.sin, "numpy.sin"),
        (float, "builtins.float"),
        (functools.partial(functools.partial(float)), "builtins.float"),
        (
            test_a_space_comes_back_from_a_file,
            "test_describe.test_a_space_comes_back_from_a_file",
        ),
    ],
    ids=plain,
)
def test_the_model_is_named_so_that_a_person_finds_it(called, name):
    assert describe._qualified(called).endswith(name)


@pytest.mark.parametrize(
    ("leaves", "tree"),
    [
        ([([], 1)], 1),
        ([([["dict", "b"]], 1), ([["dict", "a"]], 2)], {"b": 1, "a": 2}),
        (
            [([["attr", "p"], ["index", 0]], 1), ([["attr", "p"], ["index", 2]], 3)],
            {"p": [1, None, 3]},
        ),
        ([([["index", 1]], 5), ([["index", 0]], 4)], [4, 5]),
        ([([["dict", 3], ["dict", "a"]], 1)], {3: {"a": 1}}),
    ],
    ids=plain,
)
def test_leaves_are_nested_by_their_paths(leaves, tree):
    assert repr(nest(leaves)) == repr(tree)  # the order of a dict counts, too


def tampered(saved, folder, **attrs):
    path = folder / "run.nc"
    path.write_bytes(saved)
    with netCDF4.Dataset(path, "a") as file:
        for name, change in attrs.items():
            file.setncattr(name, change(file.getncattr(name)) if callable(change) else change)
    return path


def edited(change):
    """Apply a change to the parsed JSON of an attribute."""

    def edit(text):
        described = json.loads(text)
        change(described)
        return json.dumps(described)

    return edit


def axis(**fields):
    return {"space": edited(lambda d: d["leaves"][0]["axis"].update(fields))}


def dims(*sizes):
    return {"space": edited(lambda d: d.update(dims=list(sizes)))}


def path(*steps):
    return {"space": edited(lambda d: d["leaves"][0].update(path=list(steps)))}


def part(**fields):
    return {"outputs": edited(lambda d: d["parts"][0].update(fields))}


def output(**fields):
    return {"outputs": edited(lambda d: d["outputs"][1].update(fields))}


X, K, W = ["x", 4], ["k", 3], ["W", 2]
DEEP = "[" * 200_000 + "]" * 200_000

TAMPERED = {
    "no JSON": {"space": "{{{"},
    "a list": {"space": "[]"},
    "null": {"space": "null"},
    "deep": {"space": DEEP},
    "a number": {"space": 3},
    "deep outputs": {"outputs": DEEP},
    "a deep path": path(*[["dict", "a"]] * 5000),
    "a huge dimension": dims(["x", 10**30], K, W),
    "a negative dimension": dims(["x", -4], K, W),
    "a dimension as text": dims(["x", "many"], K, W),
    "an unknown dimension": dims(X, K, W, ["q", 10**6]),
    "a dimension too few": dims(X, K),
    "another order": dims(W, K, X),
    "no dimensions": dims(),
    "dimensions as text": {"space": edited(lambda d: d.update(dims="abc"))},
    "no leaves": {"space": edited(lambda d: d.update(leaves=[]))},
    "leaves of null": {"space": edited(lambda d: d.update(leaves=[None]))},
    "the same axis twice": {
        "space": edited(lambda d: d["leaves"].append({**d["leaves"][0], "path": [["dict", "z"]]}))
    },
    "a far index": {
        "space": edited(
            lambda d: d.update(
                leaves=[
                    {**leaf, "path": [["index", 10**9 + i]]} for i, leaf in enumerate(d["leaves"])
                ]
            )
        )
    },
    "a negative index": {
        "space": edited(
            lambda d: d.update(
                leaves=[{**leaf, "path": [["index", -1 - i]]} for i, leaf in enumerate(d["leaves"])]
            )
        )
    },
    "a path of null": path(["dict", None]),
    "a path of a dict": path(["dict", {}]),
    "a path that is too short": path(),
    "a path that is taken": path(["dict", "k"]),
    "a path as text": {"space": edited(lambda d: d["leaves"][0].update(path="x"))},
    "an axis of null": {"space": edited(lambda d: d["leaves"][0].update(axis=None))},
    "an unknown kind": axis(kind="pickle"),
    "an array without values": axis(kind="array"),
    "a key without data": axis(kind="key"),
    "a choice without choices": axis(kind="choice", choices=[]),
    "objects": axis(dtype="O"),
    "huge texts": axis(dtype="S1000000000"),
    "no dtype": axis(dtype=None),
    "a negative shape": axis(shape=[-1]),
    "a shape as text": axis(shape="big"),
    "another variable": axis(name="y"),
    "a variable as a list": axis(name=["x"]),
    "no variable": axis(name="nowhere"),
    "another dimension": axis(dim="k"),
    "no dimension": axis(dim=None),
    "another mode": {"mode": "both"},
    "a mode as a number": {"mode": 3},
    "a huge key": {"key": json.dumps({"impl": "threefry2x32", "data": [2**70, 0]})},
    "a negative key": {"key": json.dumps({"impl": "threefry2x32", "data": [-1, 0]})},
    "several keys": {"key": json.dumps({"impl": "threefry2x32", "data": [[1, 2], [3, 4]]})},
    "half a key": {"key": json.dumps({"impl": "threefry2x32", "data": [1]})},
    "a key of an unknown kind": {"key": json.dumps({"impl": "dice", "data": [1, 0]})},
    "a key of null": {"key": "null"},
    "no outputs": {"outputs": json.dumps({"parts": [], "outputs": []})},
    "a missing output": output(name="nowhere"),
    "a coordinate as output": output(name="x"),
    "an output of keys that is none": output(impl="threefry2x32"),
    "an output of unknown keys": {"outputs": edited(lambda d: d["outputs"][0].update(impl="dice"))},
    "an output too few": {"outputs": edited(lambda d: d["outputs"].pop())},
    "an unknown part": part(kind="pickle"),
    "a part of many arrays": part(names=[None] * 3),
    "a part of a number": part(names=3),
    "a Dataset without names": part(kind="dataset"),
    "the same place twice": part(path=[["dict", "y"]]),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_description_that_was_tampered_with_is_refused(kind, saved, tmp_path):
    file = tampered(saved, tmp_path, **TAMPERED[kind])
    text = f"{str(file)!r} cannot be opened as a result: its description of the space is damaged ("
    if kind in ("a huge dimension", "a negative dimension", "an unknown dimension"):
        text = "it does not hold the whole space that it describes"
    if kind == "a missing output":
        text = "it lacks the outputs ["
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        gx.open_result(file)
    assert "xarray.open_dataset" in str(caught.value)


@pytest.mark.parametrize("attribute", ["space", "outputs", "key", "mode"])
def test_a_description_that_is_missing_is_refused(attribute, saved, tmp_path):
    file = tmp_path / "run.nc"
    file.write_bytes(saved)
    with netCDF4.Dataset(file, "a") as opened:
        opened.delncattr(attribute)
    text = f"its description of the space is damaged (KeyError: '{attribute}')"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.open_result(file)


def test_a_newer_format_is_refused(saved, tmp_path):
    file = tampered(saved, tmp_path, gridax_format=3)
    text = (
        f"{str(file)!r} cannot be opened as a result: it has the format 3, but this version of "
        "gridax reads formats up to 2; install a newer gridax"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.open_result(file)


def test_a_description_of_absurd_length_is_not_even_parsed(monkeypatch, saved, tmp_path):
    monkeypatch.setattr(restore, "_LONGEST_JSON", 1000)
    file = tampered(saved, tmp_path, space=" " * 2000)
    with pytest.raises(
        ValueError, match="the attribute 'space' is not a string of a reasonable length"
    ):
        gx.open_result(file)


def test_what_does_not_matter_may_differ(saved, tmp_path):
    file = tampered(saved, tmp_path, model="renamed.model", device="abacus", created="yesterday")
    (tmp_path / "whole.nc").write_bytes(saved)
    found, whole = gx.open_result(file), gx.open_result(tmp_path / "whole.nc")
    assert found.dataset.drop_attrs(deep=False).identical(whole.dataset.drop_attrs(deep=False))
    assert found.space.dataset.identical(whole.space.dataset)


def test_xarray_itself_can_write_what_is_computed_from_a_result(tmp_path):
    result = gx.SequentialExecution(reading, SPACE).run(progress=False)
    result.dataset.mean("k").to_netcdf(tmp_path / "mean.nc")
    with xr.open_dataset(tmp_path / "mean.nc") as found:
        assert found.sizes["x"] == 4


class Settings(eqx.Module):
    nothing: Any = None
    options: Any = ()
    deep: Any = None


def test_none_and_empty_containers_of_a_state_come_back(tmp_path):
    empties = {
        "none": None,
        "list": [],
        "dict": {},
        "tuple": (),
        "deep": [None, {"a": None, "b": []}, [(), 1.5, {}]],
        "settings": Settings(deep={"x": None}),
    }
    state = {"x": gx.GridAxis(0, 1, 3)} | empties
    space = through(gx.Space(state, mode="product"), tmp_path)
    settings = {"nothing": None, "options": (), "deep": {"x": None}}
    assert {name: space.state[name] for name in empties} == empties | {"settings": settings}
    assert {name: space[1][name] for name in empties} == empties | {"settings": settings}
    assert list(space.state) == list(state)
    (tmp_path / "again").mkdir()
    again = through(space, tmp_path / "again")
    assert {name: again.state[name] for name in empties} == empties | {"settings": settings}


FIXED = {
    "float32": np.float32(0.1),
    "float16": np.float16(0.1),
    "float64": np.float64(0.1),
    "bfloat16": jnp.bfloat16(0.1),
    "JAX": jnp.float32(0.1),
    "0-d": np.array(0.1, np.float32),
    "int8": np.int8(-3),
    "uint8": np.uint8(200),
    "bool": np.True_,
    "text": np.str_("heun"),
    "complex": 1 - 2j,
    "complex64": np.complex64(0.1j),
    "complex128": np.complex128(0.1j),
    "float": 0.1,
    "infinite": np.float32("inf"),
}


@pytest.mark.parametrize("kind", FIXED)
def test_a_fixed_number_comes_back_bit_for_bit_and_resumes_its_own_store(kind, tmp_path):
    def model(state):
        return state["x"]

    space = gx.Space({"x": gx.GridAxis(0, 1, 3), "p": FIXED[kind]}, "product")
    gx.SequentialExecution(model, space).run(store=tmp_path / "run.zarr", progress=False)
    again = gx.open_result(tmp_path / "run.zarr").space
    before, after = np.asarray(FIXED[kind]), np.asarray(again[0]["p"])
    assert before.dtype == after.dtype
    assert before == after
    run = gx.SequentialExecution(model, again).run(store=tmp_path / "run.zarr", progress=False)
    assert run.progress.done == 3


def test_a_space_that_is_one_axis_with_no_container_comes_back(tmp_path):
    space = through(gx.Space(gx.GridAxis(0, 1, 3)), tmp_path)
    assert len(space) == 3


@pytest.mark.parametrize("module", [np, jnp, math])
@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
def test_a_state_may_hold_a_module(module, execution, tmp_path):
    space = gx.Space({"xp": module, "x": gx.GridAxis(0, 1, 3)}, mode="product")
    run = execution(lambda s, xp: s["x"] * s["xp"].pi, space, module)
    result = run.run(store=tmp_path / "store.zarr", progress=False)
    result.to_netcdf(tmp_path / "result.nc")
    for saved in ("store.zarr", "result.nc"):
        again = gx.open_result(tmp_path / saved)
        np.testing.assert_allclose(again.dataset["value"], [0, np.pi / 2, np.pi], rtol=1e-6)


def test_choices_of_plain_containers_come_back(tmp_path):
    choices = (None, (1, 2), [1.5, "a"], {"a": [None, True]})
    space = through(gx.Space({"c": gx.ChoiceAxis(choices)}), tmp_path)
    assert [state["c"] for state in space] == list(choices)


@pytest.mark.parametrize("kind", ["memory", "one selected", "some selected"])
def test_text_labels_have_the_same_dtype_from_memory_and_from_a_file(kind, tmp_path):
    noted = {"d": ["x", "yy"], "note": ("d", ["p", "qqq"])}
    axes = {
        "c": gx.ChoiceAxis(["heun", "runge-kutta"]),
        "d": gx.DataAxis(xr.DataArray([1.0, 2.0], noted, ["d"])),
    }
    space = gx.Space(axes, mode="product")
    if kind != "memory":
        space = space.isel(c=0 if kind == "one selected" else [0], d=[0])
    run = gx.SequentialExecution(lambda s: 1.0, space).run(progress=False)
    run.to_netcdf(tmp_path / "a.nc")
    run.to_zarr(tmp_path / "a.zarr")
    store = gx.SequentialExecution(lambda s: 1.0, space).run(progress=False, store=tmp_path / "s")
    for again in (gx.open_result(tmp_path / "a.nc"), gx.open_result(tmp_path / "a.zarr"), store):
        dtypes = {name: v.dtype for name, v in run.dataset.variables.items()}
        assert {name: v.dtype for name, v in again.dataset.variables.items()} == dtypes


def test_a_label_that_is_none_of_its_axis_is_refused(tmp_path):
    space = gx.Space({"W": gx.DataAxis(np.eye(2)), "x": gx.GridAxis(0, 1, 3)}, mode="product")
    file = tmp_path / "run.nc"
    gx.SequentialExecution(lambda s: 1.0, space[:]).run(progress=False).to_netcdf(file)
    assert gx.open_result(file).space.dataset.identical(space[:].dataset)
    with netCDF4.Dataset(file, "a") as saved:
        saved["W"][1] = 2
    with pytest.raises(ValueError, match="'W' has labels that are not in W_item"):
        gx.open_result(file)


@pytest.mark.parametrize(
    "pick", [slice(0, 3), [9, 8, 7], slice(4, 7), slice(None)], ids=["first", "list", "both", "all"]
)
@pytest.mark.parametrize("weights", [np.ones((2, 2, 2)), np.ones(2)], ids=["arrays", "labeled"])
def test_coordinates_of_arrays_come_back_with_scattered_points(weights, pick, tmp_path):
    dims = ("subject", "region", "from")[: weights.ndim]
    arrays = xr.DataArray(weights, {"subject": ["a", "b"], "age": ("subject", [23, 31])}, dims)
    state = {"W": gx.DataAxis(arrays), "g": gx.QuadratureAxis(0, 1, 5)}
    space = gx.Space(state, mode="product")[pick]
    again = through(space, tmp_path)
    assert again.dataset.identical(space.dataset)
    assert again[1:].dataset.identical(space[1:].dataset)
    assert again.isel(point=1).dataset.identical(space.isel(point=1).dataset)


def test_a_file_without_a_record_of_wraps_opens(tmp_path):
    space = gx.Space({"g": gx.GridAxis(1, 3, 3, wrap=lambda v: v**2)})
    path = tmp_path / "run.nc"
    gx.SequentialExecution(lambda s: s["g"], space).run(progress=False).to_netcdf(path)
    with netCDF4.Dataset(path, "a") as file:
        described = json.loads(file.getncattr("space"))
        assert described["leaves"][0]["axis"].pop("wrap") == "<lambda>"
        file.setncattr("space", json.dumps(described))
    assert gx.open_result(path).space[-1]["g"] == 3.0


# --- what was run -----------------------------------------------------------------------------


def scaled(state, n, factor=1.0, *rest, options=None):
    return state["x"] * n


LINE = gx.Space({"x": gx.GridAxis(0, 1, 3), "W": np.ones((3, 4), np.float32), "dt": 0.1}, "product")


def attributes_of(space, model, *args, **kwargs):
    return gx.SequentialExecution(model, space, *args, **kwargs).run(progress=False).dataset.attrs


def test_arguments_are_recorded_by_parameter_and_path():
    options = {"solver": "heun", "w": np.ones((2, 3)), "k": jax.random.key(0), "off": None}
    options |= {"narrow": np.complex64(1 - 2j), "wide": np.complex128(-2j)}
    options |= {"f": jnp.tanh, "layers": [np.float32(0.1), True], "z": 1j, "none": {}}
    attrs = attributes_of(LINE, scaled, 3, 0.5, jnp.ones(2), options=options)
    assert json.loads(attrs["arguments"]) == {
        "n": 3,
        "factor": 0.5,
        "args[2]": {"dtype": "float32", "shape": [2]},
        "options.solver": "heun",
        "options.w": {"dtype": "float64", "shape": [2, 3]},
        "options.k": {"dtype": "key<fry>", "shape": []},
        "options.off": None,
        "options.f": {"object": f"{jnp.tanh.__module__}.tanh"},
        "options.layers[0]": 0.1,
        "options.layers[1]": True,
        "options.narrow": {"complex": [1.0, -2.0]},
        "options.wide": {"complex": [-0.0, -2.0]},
        "options.z": {"complex": [0.0, 1.0]},
        "options.none": {},
    }
    assert "arguments" not in attributes_of(LINE, lambda s: s["x"])


def test_many_arguments_and_long_texts_are_cut():
    attrs = attributes_of(LINE, lambda s, **kwargs: s["x"], weights=list(range(1000)), t="a" * 5000)
    told = json.loads(attrs["arguments"])
    assert len(told) == 257
    assert told["…"] == "1001 values in all"


def test_fixed_arrays_are_recorded_by_name_and_shape():
    attrs = attributes_of(LINE, lambda s: s["x"])
    assert json.loads(attrs["fixed_arrays"]) == {"W": {"dtype": "float32", "shape": [3, 4]}}
    plain = gx.Space({"x": gx.GridAxis(0, 1, 3)}, "product")
    assert "fixed_arrays" not in attributes_of(plain, lambda s: s["x"])


@pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])
@pytest.mark.parametrize("reduce", [None, {"x": "mean"}])
def test_a_file_has_a_title_and_a_history_for_other_programs(execution, reduce, tmp_path):
    options = {"progress": False, "reduce": reduce}
    for place in ("memory", "store"):
        store = {"store": tmp_path / f"{reduce is None}.zarr"} if place == "store" else {}
        result = execution(scaled, LINE, 2).run(**options, **store)
        result.to_netcdf(tmp_path / "a.nc")
        with xr.open_dataset(tmp_path / "a.nc") as plain:
            assert plain.attrs["title"] == "scaled over x (3): 3 points"
            assert plain.attrs["Conventions"] == "CF-1.11"
            version = re.escape(gx.__version__)
            assert re.fullmatch(
                rf"{plain.attrs['created']}: scaled run at 3 points \(gridax {version}\)".replace(
                    "+", r"\+"
                ),
                plain.attrs["history"],
            )
            assert json.loads(plain.attrs["arguments"]) == {"n": 2}


def lines_of(result):
    return [line.split(": ", 1)[1] for line in result.dataset.attrs["history"].splitlines()]


def test_the_history_has_a_line_for_each_run_and_extension(tmp_path):
    end = f"(gridax {gx.__version__})"
    first = gx.SequentialExecution(scaled, LINE, 2).run(progress=False)
    more = gx.Space({**LINE.state, "x": gx.GridAxis(0, 2, 5)}, "product")
    for store in (None, tmp_path / "more.zarr"):
        both = gx.SequentialExecution(scaled, more, 2).run(
            extend=first, store=store, progress=False
        )
        assert lines_of(both) == [f"scaled run at 3 points {end}", f"scaled run at 5 points {end}"]


def test_the_history_of_a_store_has_a_line_for_each_resumption(tmp_path):
    end = f"(gridax {gx.__version__})"
    stop = {"after": 1}

    def stops(state):
        if stop["after"] == 0:
            raise KeyboardInterrupt
        stop["after"] -= 1
        return float(state["x"])

    def resumed(n):
        stop["after"] = n
        with contextlib.suppress(KeyboardInterrupt):
            gx.SequentialExecution(stops, LINE).run(
                store=tmp_path / "a.zarr", block={"x": 1}, version="1", progress=False
            )
        return lines_of(gx.open_result(tmp_path / "a.zarr"))

    assert resumed(1) == [f"stops run at 3 points {end}"]
    assert resumed(0) == [f"stops run at 3 points {end}"]  # nothing was added to it
    assert resumed(1)[1:] == [f"resumed with 2 points left {end}"]
    last = resumed(5)
    assert last[2:] == [f"resumed with 1 point left {end}"]
    assert resumed(5) == last  # it is complete


def test_a_long_history_keeps_its_first_line_and_the_last_ones():
    history = ""
    for i in range(200):
        history = describe.with_line(history, f"time {i}", "run")
    lines = history.splitlines()
    assert len(lines) == 50
    assert (lines[0].split(":")[0], lines[1]) == ("time 0", "…")
    assert [line.split(":")[0] for line in lines[2:]] == [f"time {i}" for i in range(152, 200)]


def test_a_result_keeps_what_was_run_when_it_is_pickled_and_saved_again(tmp_path):
    result = gx.SequentialExecution(scaled, LINE, 2).run(progress=False)
    copy = pickle.loads(pickle.dumps(result))
    copy.to_netcdf(tmp_path / "a.nc")
    gx.open_result(tmp_path / "a.nc").to_zarr(tmp_path / "a.zarr")
    again = gx.open_result(tmp_path / "a.zarr")
    assert again.dataset.attrs == copy.dataset.attrs == result.dataset.attrs
    assert gx.compare(again, result).origin == ()
