"""A sweep that holds points of an older one copies them, and computes only what is new."""

from __future__ import annotations

import functools
import itertools
import os
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from tests.ids import plain

# What the models were asked for, one entry per evaluated point.
asked = []


@pytest.fixture(autouse=True)
def _nothing_asked():
    asked.clear()


@pytest.fixture(params=[gx.SequentialExecution, gx.ParallelExecution])
def execution(request):
    return request.param


def product(**axes):
    return gx.Space(axes, mode="product")


def number(*leaves):
    """Return a number that tells the points apart, and note that it was asked for."""
    asked.append(tuple(np.asarray(leaf).tobytes() for leaf in leaves))
    total = sum(
        weight * np.sum(np.float64(np.float32(leaf))) for weight, leaf in enumerate(leaves, 1)
    )
    return np.float32(total % 1000)


def on_the_host(state):
    """Return what `number` does, eagerly and traced; keys as raw data, texts by their length."""

    def array(leaf):
        if isinstance(leaf, str):
            return np.float32(len(leaf))
        keys = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if keys else leaf

    leaves = [array(leaf) for leaf in jax.tree.leaves(state)]
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return jnp.asarray(number(*leaves))
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(number, kind, *leaves, vmap_method="sequential")


def model(state):
    value = on_the_host(state)
    return {"y": value, "path": value * jnp.ones(2), "n": jnp.int32(7)}


def changed(state):
    """Return what `model` does, and a thousand more."""
    return {**model(state), "y": 1000 + on_the_host(state)}


def run(execution, space, *args, **options):
    return execution(options.pop("model", model), space, *args).run(progress=False, **options)


def same(found, wanted):
    assert found.coords.to_dataset().drop_attrs().identical(wanted.coords.to_dataset().drop_attrs())
    assert list(found.data_vars) == list(wanted.data_vars)
    for name, variable in wanted.data_vars.items():
        assert (found[name].dims, found[name].dtype) == (variable.dims, variable.dtype)
        np.testing.assert_array_equal(found[name], variable)
    return True


X = gx.DataAxis([0.1, 0.3, 0.5])
J = gx.DataAxis([1, 2])
W = np.arange(8.0).reshape(2, 2, 2)
OLD = {"x": X, "j": J, "dt": 0.1}


def base(**new):
    return product(**{**OLD, **new})


# An older space, one that holds points of it, and how many of its points are new.
CASES = {
    "labels at the end": (base(), base(x=gx.DataAxis([0.1, 0.3, 0.5, 0.7])), 2),
    "labels in between": (base(), base(x=gx.GridAxis(0.1, 0.5, 5)), 4),
    "labels before": (base(), base(x=gx.DataAxis([0.0, 0.1, 0.3, 0.5])), 2),
    "labels in another order": (base(), base(x=gx.DataAxis([0.5, 0.2, 0.1, 0.3])), 2),
    "both dimensions": (
        base(),
        base(x=gx.DataAxis([0.1, 0.2, 0.3, 0.5]), j=gx.DataAxis([1, 2, 3])),
        12 - 6,
    ),
    "another order of dimensions": (base(), product(j=J, x=gx.GridAxis(0.1, 0.5, 5), dt=0.1), 4),
    "fewer labels": (base(), base(x=gx.DataAxis([0.5, 0.1])), 0),
    "some of them, and new ones": (base(), base(x=gx.DataAxis([0.5, 0.9])), 2),
    "the same": (base(), base(), 0),
    "a new dimension": (base(), base(dt=gx.DataAxis([0.05, 0.1, 0.2])), 12),
    "a new dimension and new labels": (
        base(),
        base(dt=gx.DataAxis([0.1, 0.2]), j=gx.DataAxis([2, 3])),
        12 - 3,
    ),
    "a dimension that is fixed now": (
        base(dt=gx.DataAxis([0.05, 0.1])),
        base(x=gx.DataAxis([0.1, 0.2, 0.3, 0.5])),
        2,
    ),
    "a dimension of which one label was selected": (
        base(dt=gx.DataAxis([0.05, 0.1])),
        base(x=gx.GridAxis(0.1, 0.5, 5), dt=gx.DataAxis([0.1, 0.7])).sel(dt=0.1),
        4,
    ),
    "a label that was selected, and is fixed now": (
        base(dt=gx.DataAxis([0.05, 0.1])).sel(dt=0.1),
        base(x=gx.GridAxis(0.1, 0.5, 5)),
        4,
    ),
    "one that was fixed, one that is": (
        base(dt=gx.DataAxis([0.1, 0.2])),
        product(x=0.3, j=gx.DataAxis([1, 2, 3]), dt=gx.DataAxis([0.1, 0.2, 0.4])),
        9 - 4,
    ),
    "more trials": (base(k=gx.KeyAxis(2)), base(k=gx.KeyAxis(5)), 18),
    "more random numbers": (
        product(x=gx.UniformAxis(0, 1, 4), j=J),
        product(x=gx.UniformAxis(0, 1, 7), j=J),
        6,
    ),
    "a longer group": (
        base(u=gx.DataAxis([5.0, 7.0], group="g"), v=gx.DataAxis([1, 2], group="g")),
        base(u=gx.DataAxis([9.0, 7.0, 5.0], group="g"), v=gx.DataAxis([3, 2, 1], group="g")),
        6,
    ),
    "a group of other pairs": (
        base(u=gx.DataAxis([5.0, 7.0], group="g"), v=gx.DataAxis([1, 2], group="g")),
        base(u=gx.DataAxis([5.0, 7.0], group="g"), v=gx.DataAxis([2, 2], group="g")),
        6,
    ),
    "a group under another name": (
        base(u=gx.DataAxis([5.0, 7.0], group="g"), v=gx.DataAxis([1, 2], group="g")),
        base(u=gx.DataAxis([5.0, 7.0, 8.0], group="h"), v=gx.DataAxis([1, 2, 3], group="h")),
        6,
    ),
    "a longer zip": (
        gx.Space({"x": X, "k": gx.KeyAxis(3)}, "zip"),
        gx.Space({"x": gx.DataAxis([0.1, 0.3, 0.5, 0.7]), "k": gx.KeyAxis(4)}, "zip"),
        1,
    ),
    "more connectomes": (base(W=gx.DataAxis(W[:1])), base(W=gx.DataAxis(W)), 6),
    "connectomes in another order": (base(W=gx.DataAxis(W)), base(W=gx.DataAxis(W[::-1])), 0),
    "a fixed connectome, and several": (base(W=W[0]), base(W=gx.DataAxis(W)), 6),
    "several connectomes, and a fixed one": (
        base(W=gx.DataAxis(W)),
        base(W=W[1], x=gx.DataAxis([0.1, 0.2])),
        2,
    ),
    "more choices": (
        base(how=gx.ChoiceAxis(["heun", "euler"])),
        base(how=gx.ChoiceAxis(["rk4", "heun", "euler"])),
        6,
    ),
    "a choice that was fixed": (
        base(how="heun"),
        base(how=gx.ChoiceAxis(["euler-maruyama", "heun"])),
        6,
    ),
    "choices of other values": (
        base(how=gx.ChoiceAxis([{"n": 1}, {"n": 2}], labels=["few", "many"])),
        base(how=gx.ChoiceAxis([{"n": 1}, {"n": 100}], labels=["few", "many"])),
        6,
    ),
    "numbers of another dtype": (
        base(j=gx.DataAxis(np.array([1, 2], np.uint8))),
        base(j=gx.DataAxis(np.array([1, 2], np.int32))),
        6,
    ),
    "a number of another dtype that was fixed": (
        base(n=np.uint8(3)),
        base(n=gx.DataAxis([3, 4])),
        12,
    ),
    "integers that are numbers with a fraction now": (base(), base(j=gx.DataAxis([1.0, 2.0])), 6),
    "an array of another dtype": (
        base(W=gx.DataAxis(W.astype(np.int32))),
        base(W=gx.DataAxis(W.astype(np.float32))),
        12,
    ),
    "labels that are named": (
        base(u=gx.DataAxis([1.0, 2.0], labels=["low", "high"])),
        base(u=gx.DataAxis([1.0, 2.0, 3.0], labels=["low", "high", "higher"])),
        6,
    ),
    "another name of a dimension": (
        base(x=gx.DataAxis([0.1, 0.3], name="G")),
        base(x=gx.DataAxis([0.1, 0.3, 0.5], name="coupling")),
        2,
    ),
    "scattered points": (base()[[0, 3, 5]], base()[[5, 1, 0, 2]], 2),
    "no dimension": (base().isel(x=1, j=0), base().isel(x=1, j=0), 0),
    "a point, and a line through it": (base().isel(x=1, j=0), base().isel(j=0), 2),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.sampled(7)
def test_what_an_older_sweep_holds_is_copied_and_the_rest_computed(execution, kind):
    old, new, n_new = CASES[kind]
    result = run(execution, old)
    wanted = run(gx.SequentialExecution, new)
    asked.clear()
    found = run(execution, new, extend=result)
    assert len(set(asked)) == n_new
    if execution is gx.SequentialExecution:
        assert len(asked) == n_new
    assert same(found.dataset, wanted.dataset)
    assert found.progress == (len(new), 0, len(new))
    assert found.space is new


@pytest.mark.parametrize(
    "kind",
    [
        "labels in between",
        "another order of dimensions",
        "the same",
        "a new dimension and new labels",
        "a dimension that is fixed now",
        "more trials",
        "a longer group",
        "a longer zip",
        "choices of other values",
        "numbers of another dtype",
        "more connectomes",
        "a fixed connectome, and several",
        "scattered points",
        "no dimension",
    ],
)
@pytest.mark.sampled(5)
def test_sweeps_are_extended_from_store_to_store(kind, tmp_path):
    old, new, n_new = CASES[kind]
    execution = gx.SequentialExecution
    block = {dim: 2 for dim in old.dims}
    run(execution, old, store=tmp_path / "old.zarr", block=block)
    wanted = run(execution, new)
    asked.clear()
    block = {dim: 2 for dim in new.dims}
    fixed = kind == "a fixed connectome, and several"  # a file does not hold it
    found = run(
        execution, new, store=tmp_path / "new.zarr", block=block, extend=tmp_path / "old.zarr"
    )
    assert len(asked) == (len(new) if fixed else n_new)
    assert same(found.dataset, wanted.dataset)
    asked.clear()
    again = run(execution, new, store=tmp_path / "new.zarr")
    assert asked == []
    assert same(again.dataset, wanted.dataset)


@pytest.mark.parametrize(("n_vmap", "n_pmap"), [(1, 1), (3, 2), (None, None)])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.sampled(4)
@pytest.mark.slow
def test_tiles_of_any_size_evaluate_only_what_is_new(tmp_path, n_vmap, n_pmap, kept):
    old = base(k=gx.KeyAxis(3))
    new = base(k=gx.KeyAxis(4), x=gx.GridAxis(0.1, 0.5, 5), dt=gx.DataAxis([0.2, 0.1]))
    result = run(gx.ParallelExecution, old)
    wanted = run(gx.SequentialExecution, new)
    asked.clear()
    executor = gx.ParallelExecution(model, new, n_vmap=n_vmap, n_pmap=n_pmap)
    options = {"store": tmp_path / "new.zarr", "block": {"x": 2, "dt": 1}} if kept else {}
    found = executor.run(progress=False, extend=result, **options)
    assert len(set(asked)) == 80 - 18
    assert same(found.dataset, wanted.dataset)


@pytest.mark.parametrize("source", ["result", "path of a store", "netCDF", "Zarr", "opened"])
@pytest.mark.sampled(4)
def test_the_older_sweep_may_lie_anywhere(execution, tmp_path, source):
    old = base(k=gx.KeyAxis(2))
    new = base(k=gx.KeyAxis(3))
    store = {"store": tmp_path / "old"} if source in ("path of a store", "opened") else {}
    result = run(execution, old, **store)
    if source == "netCDF":
        result.to_netcdf(tmp_path / "old")
    elif source == "Zarr":
        result.to_zarr(tmp_path / "old")
    extend = {"result": result, "opened": None}.get(source, tmp_path / "old")
    wanted = run(gx.SequentialExecution, new)
    asked.clear()
    found = run(execution, new, extend=extend or gx.open_result(tmp_path / "old"))
    assert len(set(asked)) == 6
    assert same(found.dataset, wanted.dataset)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.sampled(3)
def test_values_of_the_older_sweep_are_kept_bit_for_bit(execution, tmp_path, kept):
    old, new = base(), base(x=gx.GridAxis(0.1, 0.5, 5), j=gx.DataAxis([0, 1, 2]))
    result = run(execution, old, model=changed)
    options = {"store": tmp_path / "new.zarr", "block": {"x": 2}} if kept else {}
    found = run(execution, new, extend=result, resume="force", **options).dataset["y"]
    assert (found.sel(x=[0.1, 0.3, 0.5], j=[1, 2]).values == result.dataset["y"].values).all()
    assert (found.values >= 1000).sum() == 6


@pytest.mark.sampled(2)
def test_sweeps_extend_each_other_in_turn(execution):
    spaces = [base(), base(j=gx.DataAxis([1, 2, 3])), base(x=gx.GridAxis(0.1, 0.5, 5))]
    first = run(execution, spaces[0])
    second = run(execution, spaces[1], extend=first)
    third = run(execution, spaces[2], extend=second)
    assert same(third.dataset, run(gx.SequentialExecution, spaces[2]).dataset)


@pytest.mark.sampled(2)
def test_arguments_of_the_model_stay_the_same(execution):
    def scaled(state, factor):
        return factor * on_the_host(state)

    result = run(execution, base(), 2.0, model=scaled)
    asked.clear()
    found = run(execution, base(j=gx.DataAxis([1, 2, 3])), 2.0, model=scaled, extend=result)
    assert len(set(asked)) == 3
    assert found.progress == (9, 0, 9)


@pytest.mark.sampled(2)
def test_labels_of_outputs_are_taken_from_the_older_sweep(execution):
    def labeled(state):
        values = on_the_host(state) * jnp.ones(2)
        return {"y": xr.DataArray(values, {"time": [0.1, 0.2]}, ["time"], attrs={"units": "Hz"})}

    result = run(execution, base(), model=labeled)
    found = run(execution, base(j=gx.DataAxis([2, 1])), model=labeled, extend=result)
    assert found.dataset["y"].attrs == {"units": "Hz"}
    assert found.dataset["time"].values.tolist() == [0.1, 0.2]
    assert found.sel(x=0.3, j=2, time=0.2)["y"] == result.sel(x=0.3, j=2, time=0.2)["y"]


@pytest.mark.sampled(2)
def test_dims_and_coords_are_given_again(execution):
    labels = {"dims": {"path": ("time",)}, "coords": {"time": [0.1, 0.2]}}
    result = run(execution, base(), **labels)
    found = run(execution, base(j=gx.DataAxis([1, 2, 3])), extend=result, **labels)
    assert found.dataset["path"].dims == ("x", "j", "time")
    assert found.dataset["time"].values.tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("label", "n_new"),
    [(0.3, 0), (0.1 + 0.2, 0), (np.float32(0.3), 0), (0.3 + 1e-9, 1)],
    ids=["decimal", "computed", "float32", "another"],
)
@pytest.mark.parametrize("kind", ["label", "fixed then", "fixed now"])
def test_floats_are_the_same_if_their_labels_are(label, n_new, kind):
    axis = gx.DataAxis([label])
    old, new = {
        "label": (product(x=gx.GridAxis(0, 1, 11)), product(x=axis)),
        "fixed then": (product(x=label, j=J), product(x=gx.DataAxis([0.3]), j=gx.DataAxis([1]))),
        "fixed now": (product(x=gx.GridAxis(0, 1, 11), j=J), product(x=label, j=gx.DataAxis([1]))),
    }[kind]
    result = run(gx.SequentialExecution, old)
    asked.clear()
    if kind == "fixed now" and n_new:
        with pytest.raises(ValueError, match=re.escape("no point of the result has x=0.300000001")):
            run(gx.SequentialExecution, new, extend=result)
    else:
        run(gx.SequentialExecution, new, extend=result)
    assert len(asked) == (0 if kind == "fixed now" else n_new)


@pytest.mark.sampled(2)
def test_whole_numbers_are_other_values_than_floats(execution):
    result = run(execution, product(x=gx.DataAxis([1.0, 2.0])))
    asked.clear()
    run(execution, product(x=gx.DataAxis([1, 2])), extend=result)
    assert len(set(asked)) == 2  # a model may divide by them


def partly(state):
    if state["x"] > 0.4 and "GRIDAX_FORGIVING" not in os.environ:
        raise ZeroDivisionError("too large")
    return model(state)


@pytest.mark.parametrize("source", ["memory", "store", "interrupted"])
def test_points_without_a_value_are_computed(tmp_path, source, monkeypatch):
    execution = gx.SequentialExecution
    options = {"store": tmp_path / "old.zarr"} if source == "store" else {}
    if source == "interrupted":
        executor = execution(partly, base())
        with pytest.raises(ZeroDivisionError):
            executor.run(progress=False)
        result = executor.partial
    else:
        result = run(execution, base(), model=partly, on_error="record", **options)
    assert result.progress.done == 4
    monkeypatch.setenv("GRIDAX_FORGIVING", "1")
    wanted = run(execution, base(j=gx.DataAxis([1, 2, 3])))
    asked.clear()
    found = run(execution, base(j=gx.DataAxis([1, 2, 3])), model=partly, extend=result)
    assert len(asked) == 9 - 4
    assert same(found.dataset, wanted.dataset)
    assert found.dataset["n"].dtype == np.int32


def test_errors_at_new_points_are_recorded_and_cost_no_old_one(execution):
    def check(x):
        if x > 0.4:
            raise ZeroDivisionError
        return np.float32(x)

    def sometimes(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return {"y": jax.pure_callback(check, kind, state["x"]) * state["j"]}

    old = run(execution, base(x=gx.DataAxis([0.1, 0.3])), model=sometimes)
    found = run(execution, base(), model=sometimes, extend=old, on_error="record")
    assert found.progress == (4, 2, 6)
    np.testing.assert_allclose(found.dataset["y"].isel(j=1), [0.2, 0.6, np.nan], rtol=1e-6)


def test_numbers_that_became_wider_stay_as_they_are():
    def widening(state):
        asked.append(1)
        return 0 if state["x"] < 0.2 else 0.5

    result = run(gx.SequentialExecution, base(), model=widening)
    asked.clear()
    found = run(
        gx.SequentialExecution, base(x=gx.DataAxis([0.0, 0.1, 0.3])), model=widening, extend=result
    )
    assert found.dataset["value"].values.tolist() == [[0, 0], [0, 0], [0.5, 0.5]]
    assert len(asked) == 2


def test_numbers_that_became_wider_are_not_cut_in_a_store(tmp_path):
    result = run(gx.SequentialExecution, base(), model=lambda s: 0 if s["x"] < 0.2 else 0.5)
    executor = gx.SequentialExecution(
        lambda s: 0 if s["x"] < 0.2 else 0.5, base(x=gx.DataAxis([0.0, 0.1, 0.3]))
    )
    with pytest.raises(TypeError, match="the first point decides, so return one type everywhere"):
        executor.run(progress=False, store=tmp_path / "new.zarr", extend=result, resume="force")


class Stop(Exception):
    """An error of whoever watches the progress."""


def stop_after(points):
    def tell(done, total):
        if done >= points:
            raise Stop

    return tell


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.sampled(3)
def test_an_extension_that_is_interrupted_goes_on(execution, tmp_path, again):
    old, new = base(), base(x=gx.DataAxis([0.1, 0.2, 0.3, 0.4, 0.5]), j=gx.DataAxis([1, 2, 3]))
    result = run(execution, old)
    wanted = run(gx.SequentialExecution, new)
    options = {"store": tmp_path / "new.zarr", "block": {"x": 1}}
    executor = execution(model, new)
    asked.clear()
    with pytest.raises(Stop):
        executor.run(progress=stop_after(5), extend=result, **options)
    first = set(asked)
    asked.clear()
    found = executor.run(progress=False, **({"extend": result} if again else {}), **options)
    assert same(found.dataset, wanted.dataset)
    if again and execution is gx.SequentialExecution:
        assert len(first) + len(asked) == 9  # nothing twice, and nothing that is old
        assert first.isdisjoint(asked)


def test_shards_of_an_extension_share_a_store(tmp_path):
    old, new = base(), base(x=gx.GridAxis(0.1, 0.5, 5))
    result = run(gx.SequentialExecution, old)
    asked.clear()
    for i in range(2):
        found = run(
            gx.SequentialExecution,
            new,
            store=tmp_path / "new.zarr",
            extend=result,
            shard=(i, 2),
            block={"x": 1},
        )
    assert len(asked) == 4
    assert same(found.dataset, run(gx.SequentialExecution, new).dataset)


@pytest.mark.parametrize("kept", [False, True])
def test_points_that_are_copied_count_as_done(tmp_path, kept):
    result = run(gx.SequentialExecution, base())
    told = []
    options = {"store": tmp_path / "new.zarr", "block": {"x": 1}} if kept else {}
    gx.SequentialExecution(model, base(j=gx.DataAxis([1, 2, 3]))).run(
        progress=lambda *counts: told.append(counts), extend=result, **options
    )
    done = [d for d, _ in told]
    assert {total for _, total in told} == {9}
    assert done == sorted(done)
    assert done[-1] == 9
    if not kept:
        assert done[0] == 6


def test_an_extension_into_the_store_it_comes_from_is_refused(tmp_path):
    path = tmp_path / "run.zarr"
    run(gx.SequentialExecution, base(), store=path)
    text = f"{str(path)!r}, which holds another sweep: its space has the dimensions (x: 3, j: 2)"
    with pytest.raises(ValueError, match=re.escape(text)):
        run(gx.SequentialExecution, base(j=gx.DataAxis([1, 2, 3])), store=path, extend=path)
    assert gx.open_result(path).progress == (6, 0, 6)


@pytest.mark.parametrize("how", ["path", "relative", "result"])
@pytest.mark.sampled(3)
def test_a_store_that_is_extended_is_not_overwritten(tmp_path, monkeypatch, how):
    path = tmp_path / "run.zarr"
    result = run(gx.SequentialExecution, base(), store=path)
    wanted = result.dataset.load().copy()
    monkeypatch.chdir(tmp_path)
    extend = {"path": path, "relative": "run.zarr", "result": gx.open_result("run.zarr")}[how]
    text = (
        f"extend= and overwrite=True both refer to {str(path)!r}, which would be removed before it "
        "is copied; give another store="
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        run(
            gx.SequentialExecution,
            base(j=gx.DataAxis([1, 2, 3])),
            store=path,
            extend=extend,
            overwrite=True,
        )
    assert gx.open_result(path).dataset.identical(wanted)
    run(gx.SequentialExecution, base(), store=tmp_path / "other.zarr")
    other = run(
        gx.SequentialExecution,
        base(j=gx.DataAxis([1, 2, 3])),
        store=tmp_path / "other.zarr",
        extend=extend,
        overwrite=True,
    )
    assert other.progress == (9, 0, 9)
    assert other.dataset.sel(j=[1, 2])["y"].equals(wanted["y"])


REFUSED = {
    "fixed value": (
        {"dt": 0.2, "j": gx.DataAxis([1, 2, 3])},
        "cannot extend a result of another sweep: the fixed value 'dt' is 0.1 there and 0.2 here",
    ),
    "fixed value of points that are all old": (
        {"dt": 0.2},
        "cannot extend a result of another sweep: the fixed value 'dt' is 0.1 there and 0.2 here",
    ),
    "fixed array": (
        {"W": 2 * np.eye(2)},
        "cannot extend a result of another sweep: the fixed value 'W' is float64[2, 2] with digest",
    ),
    "no common point": (
        {"x": 0.2},
        "extend=: no point of the result has x=0.2",
    ),
    "no common label that is selected": (
        {"dt": gx.DataAxis([0.2, 0.3], name="step"), "sel": {"step": 0.3}},
        "extend=: no point of the result has dt=0.3",
    ),
    "a leaf that is new": (
        {"tau": gx.DataAxis([1.0, 2.0])},
        "extend=: 'tau' is only in the state that is run now, so they have no point in common",
    ),
    "a leaf that is gone": (
        {"dt": None},
        "extend=: 'dt' is only in the result, so they have no point in common",
    ),
    "leaves that moved alone": (
        {"x": gx.DataAxis([0.1, 0.3], group="g"), "j": gx.DataAxis([1, 2], group="g")},
        "extend=: the axes along 'g' were along the different dimensions ['j', 'x'] in the result; "
        "keep axes in the same groups",
    ),
}


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.sampled(3)
def test_what_cannot_be_combined_is_refused_before_anything_runs(execution, tmp_path, kind, kept):
    new, text = REFUSED[kind]
    result = run(execution, base(W=np.eye(2)))
    new = {"W": np.eye(2), **new}
    selected = new.pop("sel", {})
    space = base(**new).sel(selected) if selected else base(**new)
    asked.clear()
    options = {"store": tmp_path / "new.zarr"} if kept else {}
    with pytest.raises(ValueError, match=re.escape(text)):
        run(execution, space, extend=result, **options)
    assert asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sampled(2)
def test_leaves_that_moved_together_are_refused_alone(execution):
    together = base(x=gx.DataAxis([0.1, 0.3], group="g"), j=gx.DataAxis([1, 2], group="g"))
    result = run(execution, together)
    text = (
        "extend=: ['x'] vary along 'x', but ['x', 'j'] varied along 'g' in the result; keep axes in "
        "the same groups"
    )
    with pytest.raises(ValueError, match=r"extend=: \['x'\] vary along 'x', but ") as caught:
        run(execution, base(), extend=result)
    assert sorted(str(caught.value)) == sorted(text)


@pytest.mark.parametrize("subset", [False, True])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.sampled(3)
def test_another_model_is_refused_unless_that_is_wanted(execution, tmp_path, subset, kept):
    result = run(execution, base(), model=changed)
    new = base(j=gx.DataAxis([1] if subset else [1, 3]))
    options = {"store": tmp_path / "new.zarr"} if kept else {}
    asked.clear()
    what = "source" if execution is gx.SequentialExecution else "traced program"
    text = (
        f"cannot extend a result of another sweep: it was computed with another model (the {what} differs); "
        "pass resume='force' to combine them anyway"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        run(execution, new, extend=result, **options)
    assert asked == []
    assert list(tmp_path.iterdir()) == []
    found = run(execution, new, extend=result, resume="force", **options)
    assert (found.dataset["y"].sel(j=1) >= 1000).all()


def test_models_of_one_version_are_combined(tmp_path):
    run(gx.SequentialExecution, base(), model=changed, store=tmp_path / "old.zarr", version="1")
    options = {"extend": tmp_path / "old.zarr", "store": tmp_path / "new.zarr"}
    with pytest.raises(ValueError, match=re.escape("(version '1' there, '2' here)")):
        run(gx.SequentialExecution, base(), version="2", **options)
    found = run(gx.SequentialExecution, base(j=gx.DataAxis([1, 3])), version="1", **options)
    assert (found.dataset["y"].sel(j=1) >= 1000).all()
    assert (found.dataset["y"].sel(j=3) < 1000).all()


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        ((2.0,), (3.0,), "the fixed value 'argument args[0]' is 2.0 there and 3.0 here"),
        ((2.0,), (), "the fixed value 'argument args[0]' is only there: 2.0"),
        ((), (2.0,), "the fixed value 'argument args[0]' is only here: 2.0"),
    ],
    ids=plain,
)
@pytest.mark.sampled(2)
def test_other_arguments_are_refused(execution, before, now, text):
    def scaled(state, factor=1.0):
        return factor * on_the_host(state)

    result = run(execution, base(), *before, model=scaled)
    for new in (base(), base(j=gx.DataAxis([1, 3]))):
        with pytest.raises(
            ValueError, match=re.escape(f"cannot extend a result of another sweep: {text}")
        ):
            run(execution, new, *now, model=scaled, extend=result)


def shaped(n):
    return functools.partial(vector, n=n)


def vector(state, n):
    return {"y": on_the_host(state) * jnp.ones(n)}


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.sampled(3)
def test_other_outputs_are_refused(execution, tmp_path, kept):
    result = run(execution, base(), model=shaped(2))
    options = {"store": tmp_path / "new.zarr"} if kept else {}
    with pytest.raises(ValueError, match=re.escape("the output 'y' is float32[2] along")) as caught:
        run(
            execution,
            base(j=gx.DataAxis([1, 3])),
            model=shaped(3),
            extend=result,
            resume="force",
            **options,
        )
    assert str(caught.value).startswith("cannot extend a result of another sweep: ")


@pytest.mark.sampled(2)
def test_a_selected_axis_under_another_name_is_compared_by_its_value(execution):
    old = base(dt=gx.DataAxis([0.1, 0.2], name="step")).sel(step=0.1)
    result = run(execution, old)
    with pytest.raises(ValueError, match=re.escape("extend=: no point of the result has dt=0.2")):
        run(execution, base(dt=0.2), extend=result)
    asked.clear()
    run(execution, base(dt=0.1), extend=result)
    assert asked == []


@pytest.mark.sampled(2)
def test_what_is_no_result_is_refused(execution, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.zarr"):
        run(execution, base(), extend=tmp_path / "nowhere.zarr")
    text = "extend must be a Result, or the path or URL of one, got "
    with pytest.raises(TypeError, match=f"{text}int"):
        run(execution, base(), extend=3)
    with pytest.raises(TypeError, match=f"{text}Dataset"):
        run(execution, base(), extend=run(execution, base()).dataset)


@pytest.mark.sampled(2)
def test_a_result_whose_dataset_was_changed_is_refused(execution):
    result = run(execution, base())
    del result.dataset.attrs["gridax_fingerprints"]
    with pytest.raises(ValueError, match="extend= must be a gridax result"):
        run(execution, base(), extend=result)


class Fields(NamedTuple):
    """Fields in an order that is not that of the alphabet."""

    late: Any
    early: Any


@pytest.mark.sampled(2)
def test_the_order_of_fields_is_kept_from_a_file(execution, tmp_path):
    def fields(state):
        value = on_the_host(state)
        return Fields(value, 1000 + value)

    run(execution, base(), model=fields, store=tmp_path / "old.zarr")
    new = base(j=gx.DataAxis([1, 2, 3]))
    for options in ({}, {"store": tmp_path / "new.zarr"}):
        found = run(execution, new, model=fields, extend=tmp_path / "old.zarr", **options).dataset
        assert (found["late"] < 1000).all()
        assert (found["early"] >= 1000).all()


LABELS = [0.1, 0.2, 0.3, 0.4]


@st.composite
def states(draw):
    """States of three leaves, each fixed or an axis of some of four labels, in any order."""
    label = st.sampled_from(LABELS)
    some = st.lists(label, min_size=2, unique=True).map(gx.DataAxis)
    one = label.map(lambda value: gx.DataAxis([value]))
    state = {name: draw(some | some | one | label) for name in "abc"}
    if all(isinstance(leaf, float) for leaf in state.values()):
        state["a"] = gx.DataAxis(LABELS)
    return state


def values_of(leaf):
    return {leaf} if isinstance(leaf, float) else set(np.asarray(leaf.values).tolist())


@given(states(), states(), st.sampled_from([gx.SequentialExecution] * 2 + [gx.ParallelExecution]))
def test_any_grid_extends_any_other_or_says_why_not(old, new, execution):
    common = [values_of(old[name]) & values_of(new[name]) for name in "abc"]
    n_old = int(np.prod([len(values) for values in common]))
    space = product(**new)
    result = run(execution, product(**old))
    wanted = run(gx.SequentialExecution, space)
    asked.clear()
    hopeless = any(
        isinstance(new[name], float) and not values
        for name, values in zip("abc", common, strict=True)
    )
    if hopeless:
        with pytest.raises(
            ValueError, match=r"(extend=: no point of the result|cannot extend a result of another)"
        ):
            run(execution, space, extend=result)
        assert asked == []
        return
    found = run(execution, space, extend=result)
    assert len(set(asked)) == len(space) - n_old
    if execution is gx.SequentialExecution:
        assert len(asked) == len(space) - n_old
    assert same(found.dataset, wanted.dataset)


@pytest.mark.parametrize(
    "axis",
    [
        lambda n: gx.KeyAxis(n),
        lambda n: gx.UniformAxis(0, 1, n),
        lambda n: gx.NumPyroAxis(dist.Uniform(-1.0, 1.0), n, sample_shape=(2, 2)),
    ],
    ids=["keys", "uniform", "arrays"],
)
@pytest.mark.sampled(3)
def test_more_draws_leave_those_before_as_they_are(axis):
    def draws(n):
        coords = product(a=axis(n)).dataset.coords
        values = coords["a_value" if "a_value" in coords else "a"].values
        return {value.tobytes() for value in values}

    for few, many in itertools.pairwise([3, 4, 7, 16]):
        assert draws(few) < draws(many)


def doubled(by):
    """Return a model that calls a function which can be exchanged, as a cell of a notebook does."""
    namespace: dict[str, Any] = {}
    exec(f"def helper(x): return x * {by}\ndef model(s): return helper(s['x'])", namespace)
    return namespace


@pytest.mark.parametrize("reduce", [None, {"x": "sum"}], ids=["all", "reduced"])
def test_a_result_records_the_model_that_was_run_whenever_it_is_looked_at(execution, reduce):
    space = product(x=gx.DataAxis([1.0, 2.0]))
    more = product(x=gx.DataAxis([1.0, 2.0, 3.0]))
    namespace = doubled(2)
    result = run(execution, space, model=namespace["model"], reduce=reduce)
    exec("def helper(x): return x * 100", namespace)
    with pytest.raises(ValueError, match="it was computed with another model"):
        run(execution, more, model=namespace["model"], extend=result, reduce=reduce)


def test_a_traced_model_may_be_written_differently_if_it_computes_the_same():
    def one(state):
        twice = 2 * state["x"]
        return twice

    def other(state):
        return 2 * state["x"]

    space, more = product(x=gx.DataAxis([1.0])), product(x=gx.DataAxis([1.0, 2.0]))
    result = gx.ParallelExecution(one, space).run(progress=False)
    found = gx.ParallelExecution(other, more).run(extend=result, progress=False)
    assert found.dataset["value"].values.tolist() == [2.0, 4.0]


def test_draws_with_another_setting_of_jax_are_not_combined():
    def model(state):
        return jax.random.normal(state["key"])

    result = gx.ParallelExecution(model, product(key=gx.KeyAxis(2))).run(progress=False)
    with jax.threefry_partitionable(False):
        sweep = gx.ParallelExecution(model, product(key=gx.KeyAxis(3)))
        with pytest.raises(ValueError, match="drawn with jax_threefry_partitionable=True, which"):
            sweep.run(extend=result, progress=False)


def test_integers_that_became_inexact_floats_are_not_copied():
    def model(state):
        if state["x"] == 2:
            raise RuntimeError
        return 2**60 + 1 + state["x"]

    sweep = gx.SequentialExecution(model, product(x=gx.DataAxis([1, 2, 3])))
    result = sweep.run(on_error="record", progress=False)
    again = gx.SequentialExecution(model, product(x=gx.DataAxis([1, 3, 4])))
    with pytest.raises(ValueError, match=re.escape("output 'value' has integers of 2^53 or more")):
        again.run(extend=result, progress=False)


@pytest.mark.parametrize("kept", [False, True], ids=["memory", "store"])
def test_what_a_traced_model_reads_elsewhere_is_part_of_it(tmp_path, kept):
    factor = tmp_path / "factor"

    def model(state):
        return state["x"] * float(factor.read_text())

    options = {"store": tmp_path / "old.zarr"} if kept else {}
    factor.write_text("2")
    result = gx.ParallelExecution(model, product(x=gx.DataAxis([1.0]))).run(
        progress=False, **options
    )
    factor.write_text("3")
    again = gx.ParallelExecution(model, product(x=gx.DataAxis([1.0, 2.0])))
    with pytest.raises(ValueError, match=re.escape("another model (the traced program differs)")):
        again.run(extend=result, progress=False)
