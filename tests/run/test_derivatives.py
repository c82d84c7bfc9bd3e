"""Derivatives along axes, with stores, reductions, chains, lanes and every traced executor."""

from __future__ import annotations

import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import gridax as gx
from tests.x64 import x64


def model(state):
    noise = 0.1 * jax.random.normal(state["key"], (4,))
    rate = jnp.tanh(state["p"]["G"] * (state["p"]["tau"] + noise))
    return {"rate": rate.mean(), "series": rate, "n": jnp.argmax(rate)}


def space(n_g=5, **options):
    return gx.Space(
        {
            "p": {
                "G": gx.GridAxis(0.1, 0.9, n_g, name="G", attrs={"units": "mV"}),
                "tau": gx.LogGridAxis(1, 10, 3, name="tau"),
            },
            "key": gx.KeyAxis(4, name="trial"),
        },
        mode="product",
        **options,
    )


PLAIN = gx.Space({"a": gx.GridAxis(0, 1, 3), "b": gx.GridAxis(1, 2, 2)}, mode="product")


def named_model(state):
    return jnp.sin(state["a"]) * state["b"]


def run(executor=None, **options):
    executor = executor or gx.ParallelExecution(model, space())
    return executor.run(progress=False, **{"derivatives": ["G", "tau"], **options})


def expected(points, name, of):
    """Return what JAX computes at each point."""

    def output(value, state):
        return model({**state, "p": {**state["p"], name: value}})[of]

    each = [jax.jacfwd(output)(jnp.asarray(state["p"][name]), state) for state in points]
    return np.stack(each).reshape(*points.shape, *each[0].shape)


def test_every_output_of_floats_has_derivatives():
    dataset = run().dataset
    assert list(dataset.data_vars) == [
        "n",
        "rate",
        "series",
        *("rate.d_G", "rate.d_tau", "series.d_G", "series.d_tau"),
    ]
    assert dataset["series.d_G"].dims == dataset["series"].dims
    for of in ("rate", "series"):
        for name in ("G", "tau"):
            found = dataset[f"{of}.d_{name}"].values
            np.testing.assert_allclose(found, expected(space(), name, of), rtol=2e-4, atol=1e-5)


def test_values_are_those_of_a_run_without_derivatives():
    one, other = run().dataset, run(derivatives=()).dataset
    for name in other.data_vars:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


def test_derivatives_are_no_part_of_what_the_model_returned():
    assert set(run()[3]) == {"n", "rate", "series"}


@pytest.mark.slow
def test_one_name_will_do_and_any_order():
    assert "rate.d_tau" in run(derivatives="tau").dataset
    dataset = run(derivatives=["tau", "G"]).dataset
    xr.testing.assert_allclose(dataset["rate.d_G"], run().dataset["rate.d_G"])


def test_the_order_of_names_makes_no_difference(tmp_path):
    executor = gx.ParallelExecution(lambda s: s["a"] * s["b"], PLAIN)
    for names in (["a", "b"], ["b", "a"]):
        stored = executor.run(derivatives=names, progress=False, store=tmp_path / "s.zarr")
        assert list(stored.dataset.data_vars) == ["value", "value.d_a", "value.d_b"]


def test_an_executor_can_be_pickled_after_a_run():
    executor = gx.ParallelExecution(named_model, PLAIN, n_vmap=2)
    dataset = executor.run(derivatives="a", progress=False).dataset
    again = pickle.loads(pickle.dumps(executor)).run(derivatives="a", progress=False).dataset
    xr.testing.assert_equal(again, dataset)


def test_half_precision_has_derivatives():
    points = gx.Space({"a": gx.DataAxis(jnp.array([1.0, 2.0], jnp.bfloat16))}, mode="product")
    executor = gx.ParallelExecution(lambda s: s["a"] ** 2, points)
    dataset = executor.run(derivatives="a", progress=False).dataset
    assert dataset["value.d_a"].astype(float).values.tolist() == [2.0, 4.0]


def test_the_name_of_a_derivative_must_be_free():
    state = {"G": gx.GridAxis(0, 1, 3), "rate": {"d_G": gx.GridAxis(0, 1, 2)}}
    executor = gx.ParallelExecution(lambda s: {"rate": s["G"]}, gx.Space(state, mode="product"))
    with pytest.raises(ValueError, match=r"'rate.d_G' of output 'rate' has the name of a coord"):
        executor.run(derivatives="G", progress=False)


def test_outputs_must_be_floats_with_every_choice_or_with_none():
    def chosen(state):
        return {"y": 2 * state["a"], "z": state["a"] if state["c"] == "y" else jnp.int32(0)}

    state = {"a": gx.GridAxis(0, 1, 3), "c": gx.ChoiceAxis(["x", "y"])}
    executor = gx.ParallelExecution(chosen, gx.Space(state, mode="product"))
    message = "output 'z' is of float32 with c='y' and of int32 with other choices"
    with pytest.raises(ValueError, match=message):
        executor.run(derivatives="a", progress=False)


@pytest.mark.slow
def test_under_x64_they_are_central_differences():
    with x64():
        points = space(3)
        executor = gx.ParallelExecution(model, points)
        found = run(executor).dataset
        h = 1e-5
        for sign in (1, -1):

            def shifted(state, sign=sign):
                return model({**state, "p": {**state["p"], "G": state["p"]["G"] + sign * h}})

            moved = gx.ParallelExecution(shifted, points).run(progress=False).dataset
            found = found.assign({f"moved{sign}": moved["rate"]})
        central = (found["moved1"] - found["moved-1"]) / (2 * h)
    np.testing.assert_allclose(found["rate.d_G"], central, rtol=1e-6, atol=1e-9)


def test_a_linear_equation_has_the_derivatives_of_its_solution():
    def decay(state):
        step = lambda x, _: (x - 0.01 * state["k"] * x, x)  # noqa: E731
        return jax.lax.scan(step, state["x0"], length=100)[0]

    with x64():
        points = gx.Space({"k": gx.GridAxis(0.5, 2, 4), "x0": gx.GridAxis(1, 2, 3)}, mode="product")
        found = gx.ParallelExecution(decay, points).run(derivatives=["k", "x0"], progress=False)
    k, x0 = points.dataset["k"], points.dataset["x0"]
    factor = 1 - 0.01 * k
    np.testing.assert_allclose(found.dataset["value.d_k"], -(factor**99) * x0, rtol=1e-12)
    np.testing.assert_allclose(found.dataset["value.d_x0"], factor**100 + 0 * x0, rtol=1e-12)


def test_derivatives_are_by_the_label_before_wrap_and_through_shape():
    state = {
        "a": gx.GridAxis(1.0, 2.0, 3, wrap=lambda x: x**2),
        "b": gx.GridAxis(1.0, 2.0, 2, shape=(5,)),
    }
    points = gx.Space(state, mode="product")
    found = gx.ParallelExecution(lambda s: s["a"] * s["b"].sum(), points).run(
        derivatives=["a", "b"], progress=False
    )
    a, b = points.dataset["a"], points.dataset["b"]
    np.testing.assert_allclose(found.dataset["value.d_a"], 2 * a * 5 * b, rtol=1e-6)
    np.testing.assert_allclose(found.dataset["value.d_b"], a**2 * 5 + 0 * b, rtol=1e-6)


def test_draws_and_members_of_groups_and_zips_have_derivatives():
    state = {
        "a": gx.DataAxis([1.0, 2.0, 4.0], group="g"),
        "b": gx.NumPyroAxis(dist.Normal(0, 1), 3, group="g"),
    }
    for points in (gx.Space(state, mode="product"), gx.Space(state)):
        dataset = (
            gx.ParallelExecution(lambda s: s["a"] ** 2 * s["b"], points)
            .run(derivatives=["a", "b"], progress=False)
            .dataset
        )
        np.testing.assert_allclose(dataset["value.d_a"], 2 * dataset.a * dataset.b, rtol=1e-6)
        np.testing.assert_allclose(dataset["value.d_b"], dataset.a**2, rtol=1e-6)


def test_an_axis_of_which_one_label_was_selected_has_derivatives():
    points = space().sel(G=0.5, trial=[0, 2])
    dataset = run(gx.ParallelExecution(model, points)).dataset
    whole = run().dataset.sel(G=0.5, trial=[0, 2])
    np.testing.assert_allclose(dataset["rate.d_G"], whole["rate.d_G"], rtol=1e-5)


def test_they_have_names_and_units():
    def measured(state):
        return {
            "rate": xr.DataArray(state["G"] * jnp.ones(2), dims="time", attrs={"units": "Hz"}),
            "plain": state["G"] ** 2,
        }

    points = gx.Space({"G": gx.GridAxis(0, 1, 3, attrs={"units": "mV"})}, mode="product")
    dataset = gx.ParallelExecution(measured, points).run(derivatives="G", progress=False).dataset
    assert dataset["rate.d_G"].attrs == {"long_name": "d rate / d G", "units": "Hz mV-1"}
    assert dataset["rate.d_G"].dims == ("G", "time")
    assert "units" not in dataset["plain.d_G"].attrs


@pytest.mark.parametrize("number", ["1", "", "dimensionless"])
@pytest.mark.parametrize("other", ["1", "", "dimensionless"])
def test_what_is_dimensionless_adds_nothing_to_units(number, other):
    def model(state):
        outputs = {"ratio": (state["x"] * state["t"], number), "rate": (state["x"], "Hz")}
        return {name: xr.DataArray(v, attrs={"units": u}) for name, (v, u) in outputs.items()}

    axes = {"x": gx.GridAxis(0, 1, 2, attrs={"units": other})}
    axes["t"] = gx.GridAxis(0, 1, 2, attrs={"units": "ms"})
    sweep = gx.ParallelExecution(model, gx.Space(axes, mode="product"))
    found = sweep.run(derivatives=["x", "t"], progress=False).dataset
    units = {name: v.attrs["units"] for name, v in found.data_vars.items() if ".d_" in name}
    assert units == {
        "ratio.d_x": "1",
        "ratio.d_t": "ms-1",
        "rate.d_x": "Hz",
        "rate.d_t": "Hz ms-1",
    }
    reduced = sweep.run(reduce={"t": "var"}, progress=False).dataset
    assert reduced["ratio.var"].attrs["units"] == number
    assert reduced["rate.var"].attrs["units"] == "(Hz)^2"


def test_dimensions_given_for_an_output_are_those_of_its_derivatives():
    dataset = run(dims={"series": ("time",)}, coords={"time": [0.0, 0.1, 0.2, 0.3]}).dataset
    assert dataset["series.d_G"].dims == ("G", "tau", "trial", "time")
    assert dataset["series.d_G"].sel(time=0.2).shape == (5, 3, 4)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_files_keep_them(suffix, tmp_path):
    result = run()
    save = result.to_netcdf if suffix == "nc" else result.to_zarr
    save(tmp_path / f"run.{suffix}")
    opened = gx.open_result(tmp_path / f"run.{suffix}")
    xr.testing.assert_equal(opened.dataset["series.d_tau"].load(), result.dataset["series.d_tau"])
    assert set(opened[3]) == {"n", "rate", "series"}
    assert float(opened.rerun(G=0.5, tau=1.0, trial=2, model=model)["rate"]) == pytest.approx(
        float(opened.dataset["rate"].sel(G=0.5, tau=1.0, trial=2)), rel=1e-5
    )


@pytest.mark.parametrize("n_pmap", [1, 3])
def test_any_plan_store_and_device_count_give_the_same(n_pmap, tmp_path):
    executor = gx.ParallelExecution(model, space(), n_pmap=n_pmap, n_vmap=7)
    stored = run(executor, store=tmp_path / "run.zarr", block={"G": 2}).dataset
    for name, variable in run().dataset.data_vars.items():
        np.testing.assert_allclose(stored[name], variable, rtol=1e-5, atol=1e-6)


def test_a_store_with_other_derivatives_is_rejected(tmp_path):
    run(store=tmp_path / "run.zarr")
    assert "rate.d_tau" in run(store=tmp_path / "run.zarr").dataset
    message = r"it has derivatives=\['G', 'tau'\], but this run has (no derivatives|derivatives=)"
    for names in ((), "G"):
        with pytest.raises(ValueError, match=message):
            run(store=tmp_path / "run.zarr", derivatives=names)


@pytest.mark.slow
def test_an_interrupted_sweep_is_resumed(tmp_path):
    executor = gx.ParallelExecution(model, space(), n_vmap=12)
    options = {"store": tmp_path / "run.zarr", "block": {"G": 1}}

    def interrupting(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.run(derivatives=["G", "tau"], progress=interrupting, **options)
    assert (executor.partial.dataset["status"] == 0).any()
    resumed = run(executor, **options).dataset
    np.testing.assert_allclose(resumed["rate.d_G"], run().dataset["rate.d_G"], rtol=1e-5)


@pytest.mark.slow
def test_a_result_with_derivatives_is_extended():
    old = run(gx.ParallelExecution(model, space().isel(G=slice(0, 3))))
    new = run(extend=old).dataset
    np.testing.assert_allclose(new["series.d_tau"], run().dataset["series.d_tau"], rtol=1e-5)
    with pytest.raises(ValueError, match=r"it has derivatives=.*but this run has no derivatives"):
        run(extend=old, derivatives=())


def test_they_are_reduced_like_outputs():
    reduced = run(reduce={"trial": ["mean", "std"]}).dataset
    whole = run().dataset
    for name in ("rate.d_G", "series.d_tau", "rate"):
        np.testing.assert_allclose(
            reduced[f"{name}.mean"], whole[name].mean("trial"), rtol=1e-4, atol=1e-6
        )
    assert "rate.d_G.std" in reduced
    one = run(reduce={"rate.d_G": {"trial": "mean"}}).dataset
    assert set(one.data_vars) == {"rate.d_G.mean", "rate.d_G.count"}


@pytest.mark.parametrize("order", ["forward", pytest.param("backward", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_tangents_are_carried_along_chains(order, tmp_path):
    def relax(state):
        turn = lambda _, x: x + 0.1 * (state["r"] + state["a"] * x - x**3)  # noqa: E731
        x = jax.lax.fori_loop(0, 5, turn, state["x"])
        return {"x": x, "square": x**2, "n": jnp.int32(3)}

    carried = gx.Carried(lambda s: -0.5 * s["a"], "x", along="r", order=order)
    state = {"r": gx.GridAxis(-1, 1, 6), "a": gx.GridAxis(0.5, 1.5, 4), "x": carried}
    executor = gx.ParallelExecution(relax, gx.Space(state, mode="product"))
    dataset = executor.run(derivatives=["a", "r"], progress=False).dataset

    def chain(a):
        x, found = -0.5 * a, []
        for r in np.linspace(-1, 1, 6)[:: 1 if order == "forward" else -1]:
            x = relax({"r": jnp.float32(r), "a": a, "x": x})["x"]
            found.append(x)
        return jnp.stack(found[:: 1 if order == "forward" else -1])

    along = jax.vmap(lambda a: jax.jvp(chain, (a,), (jnp.float32(1),))[1])
    a = jnp.linspace(0.5, 1.5, 4, dtype=jnp.float32)
    np.testing.assert_allclose(dataset["x.d_a"], along(a).T, rtol=1e-4, atol=1e-6)

    def here(r, a, x):
        return relax({"r": r, "a": a, "x": x})["x"]

    # The state before belongs to another label, so that only the model itself depends on this one.
    before = dataset["x"].shift(r=1 if order == "forward" else -1).fillna(-0.5 * dataset.a)
    r, a, x = xr.broadcast(dataset.r, dataset.a, before)
    by_label = np.vectorize(jax.grad(here))(*(np.float32(each.values) for each in (r, a, x)))
    np.testing.assert_allclose(dataset["x.d_r"], by_label, rtol=1e-4, atol=1e-6)

    stored = executor.run(
        derivatives=["a", "r"], progress=False, store=tmp_path / "s.zarr", block={"r": 2, "a": 3}
    )
    np.testing.assert_allclose(stored.dataset["square.d_a"], dataset["square.d_a"], rtol=1e-5)


def test_the_initial_value_of_a_chain_may_be_what_outputs_are_differentiated_by():
    state = {
        "step": gx.DataAxis([0, 1, 2, 3]),
        "x": gx.Carried(gx.GridAxis(1.0, 2.0, 3, name="x0"), "value", along="step"),
    }
    dataset = (
        gx.ParallelExecution(lambda s: 0.5 * s["x"], gx.Space(state, mode="product"))
        .run(derivatives="x0", progress=False)
        .dataset
    )
    np.testing.assert_allclose(
        dataset["value.d_x0"].transpose("x0", "step"), np.tile(0.5 ** np.arange(1.0, 5), (3, 1))
    )


def uneven(state):
    def is_going(carry):
        return carry[1] < state["n"]

    def turn(carry):
        return carry[0] * 0.99 + state["a"], carry[1] + 1

    x, n = jax.lax.while_loop(is_going, turn, (jnp.float32(0), 0))
    return {"x": x, "n": n}


@pytest.mark.parametrize("lanes", [False, 4])
def test_points_leave_loops_at_their_own_pace(lanes):
    counts = np.random.default_rng(0).integers(1, 200, 40)
    state = {"n": gx.DataAxis(counts, name="i", group="g"), "a": gx.GridAxis(1, 2, 40, group="g")}
    executor = gx.ParallelExecution(uneven, gx.Space(state, mode="product"), n_pmap=1)
    dataset = executor.run(derivatives="a", lanes=lanes, progress=False).dataset
    assert (executor.plan(derivatives="a", lanes=lanes).lanes > 0) == bool(lanes)
    np.testing.assert_allclose(dataset["x.d_a"], (1 - 0.99**counts) / 0.01, rtol=1e-4)
    np.testing.assert_array_equal(dataset["n"], counts)


def test_choices_have_derivatives_of_their_own():
    state = {
        "f": gx.ChoiceAxis([jnp.sin, jnp.cos], labels=["sin", "cos"]),
        "a": gx.GridAxis(0, 1, 4),
    }
    dataset = (
        gx.ParallelExecution(lambda s: s["f"](s["a"]), gx.Space(state, mode="product"))
        .run(derivatives="a", progress=False)
        .dataset
    )
    np.testing.assert_allclose(dataset["value.d_a"].sel(f="sin"), np.cos(dataset.a), rtol=1e-5)
    np.testing.assert_allclose(
        dataset["value.d_a"].sel(f="cos"), -np.sin(dataset.a), rtol=1e-5, atol=1e-7
    )


@pytest.mark.slow
def test_sensitivity_indices_of_derivatives_have_to_be_asked_for():
    result = run()
    assert {name.split(".")[0] for name in result.sobol("G", "tau").data_vars} == {
        "n",
        "rate",
        "series",
    }
    assert set(result.sobol("rate.d_G", "G", "tau").data_vars) == {"rate.d_G.S1", "rate.d_G.ST"}


def test_a_second_run_compiles_nothing(compilations):
    executor = gx.ParallelExecution(model, space())
    run(executor)
    with compilations:
        run(executor)
    assert compilations.count == 0


def test_the_plan_counts_derivatives():
    executor = gx.ParallelExecution(model, space())
    assert executor.plan(derivatives=["G", "tau"]).point_bytes == 4 + 3 * (4 + 16)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Gg"], "derivatives= names 'Gg', which is not an axis of the space; did you mean 'G'?"),
        (
            ["q"],
            "derivatives= names 'q', which is not an axis of the space; the axes of floats are G, u, v",
        ),
        (["dt"], "derivatives= names 'dt', which is not an axis of the space; it is fixed, so"),
        (["G", "G"], "derivatives= names 'G' twice: ['G', 'G']"),
        (["n"], "derivatives= names 'n', but the values of this axis are of int32"),
        (["f"], "derivatives= names 'f', but this axis has choices"),
        (["trial"], "derivatives= names 'trial', but this axis has PRNG keys"),
        (["W"], "derivatives= names 'W', but each value of this axis is an array of shape (2, 2)"),
        (["g"], "derivatives= names 'g', which is a dimension; name an axis along it: u, v"),
        (["z"], "derivatives= names 'z', but the values of this axis are of complex64, and only"),
    ],
)
def test_names_that_have_no_derivatives_are_rejected(names, message):
    state = {
        "G": gx.GridAxis(0, 1, 3),
        "n": gx.DataAxis(np.array([1, 2])),
        "z": gx.DataAxis(np.array([1j, 2.0])),
        "f": gx.ChoiceAxis([1, 2]),
        "trial": gx.KeyAxis(2),
        "W": gx.DataAxis(np.zeros((2, 2, 2))),
        "u": gx.GridAxis(0, 1, 2, group="g"),
        "v": gx.GridAxis(0, 1, 2, group="g"),
        "dt": 0.1,
    }
    executor = gx.ParallelExecution(lambda s: s["G"], gx.Space(state, mode="product"))
    with pytest.raises(ValueError, match=re.escape(message)):
        executor.run(derivatives=names, progress=False)


def test_what_is_no_name_is_rejected():
    with pytest.raises(
        TypeError, match=r"derivatives= must be the names of axes, such as \['G', 'tau'\], got 3"
    ):
        run(derivatives=3)


@pytest.mark.parametrize(
    "execution",
    [gx.SequentialExecution, lambda *args: gx.SequentialExecution(*args, n_workers=2)],
    ids=["sequential", "processes"],
)
def test_a_model_that_is_not_traced_has_no_derivatives(execution):
    with pytest.raises(TypeError, match=r"needs a model that JAX traces.*use ParallelExecution"):
        run(execution(model, space()))


def test_integers_have_no_derivatives():
    points = gx.Space({"a": gx.GridAxis(0, 1, 3)})
    executor = gx.ParallelExecution(lambda s: {"n": jnp.int32(s["a"])}, points)
    with pytest.raises(ValueError, match="needs an output of floats, but the model returns 'n' of"):
        executor.run(derivatives="a", progress=False)


def test_a_wrap_that_cannot_be_traced_is_named():
    points = gx.Space({"a": gx.GridAxis(0, 1, 3, wrap=lambda x: float(x) + 1)}, mode="product")
    executor = gx.ParallelExecution(lambda s: s["a"], points)
    assert executor.run(progress=False).dataset["value"].values.tolist() == [1.0, 1.5, 2.0]
    with pytest.raises(ValueError, match=r"names 'a', but JAX cannot trace the wrap of this axis"):
        executor.run(derivatives="a", progress=False)


def test_points_whose_values_are_rejected_have_no_derivatives():
    def checked(value):
        if value <= 0:
            raise ValueError("must be positive")
        return value

    state = {"a": gx.DataAxis([1.0, 3.0]), "n": gx.DataAxis([1, 0], wrap=checked)}
    points = gx.Space(state, mode="product")
    executor = gx.ParallelExecution(lambda s: s["a"] ** 2 * s["n"], points)
    found = executor.run(derivatives="a", on_error="record", progress=False).dataset
    np.testing.assert_array_equal(found["value.d_a"], [[2, np.nan], [6, np.nan]])
