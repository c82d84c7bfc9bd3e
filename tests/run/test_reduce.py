"""Reductions during the run equal those of the Dataset of a run without them."""

from __future__ import annotations

import math
import pickle
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import gridax as gx
from gridax._reduce import arithmetic
from gridax.cli import main
from tests.x64 import x64

NAMED = ["mean", "std", "var", "sum", "min", "max", "argmin", "argmax", "any", "all", "count"]
TIMES = [0.0, 0.1, 0.2, 0.3]
SPACE = gx.Space(
    {
        "G": gx.GridAxis(0, 1, 3, attrs={"units": "mV", "long_name": "coupling"}),
        "key": gx.KeyAxis(10, name="trial"),
        "s": gx.DataAxis([1.0, 2.0], name="sigma"),
    },
    mode="product",
)


def model(state):
    """Return outputs of several dtypes, of which some have NaN and some vary along few axes."""
    x = jax.random.normal(state["key"], (4,)) * state["s"] + state["G"]
    attrs = {"units": "Hz", "long_name": "rate"}
    return {
        "rate": xr.DataArray(x, dims="time", coords={"time": TIMES}, attrs=attrs),
        "peak": jnp.where(x.max() > 2, jnp.nan, x.max()),
        "n": (x > 0).sum(),
        "is_high": x[0] > 0.5,
        "wave": jax.lax.complex(x[0], x[1]),
        "of_G": jnp.float32(3) * state["G"],
    }


FULL = gx.ParallelExecution(model, SPACE).run(progress=False).dataset.load()
EXECUTIONS = [
    gx.ParallelExecution(model, SPACE),
    gx.ParallelExecution(model, SPACE, n_vmap=3, n_pmap=2),
    gx.SequentialExecution(model, SPACE),
    gx.SequentialExecution(jax.jit(model), SPACE),
]


IDS = ["parallel", "narrow", "sequential", "jitted"]
SLOW = {"parallel", "jitted"}  # they compile as much again


@pytest.fixture(
    params=[
        pytest.param(executor, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for executor, name in zip(EXECUTIONS, IDS, strict=True)
    ]
)
def executor(request):
    return request.param


def expected(output, dims, method):
    """Return what NumPy makes of an output in float64, over the dimensions that are left."""
    array = output.transpose(*(d for d in output.dims if d not in dims), *dims)
    n = len(array.dims) - len(dims)
    values = array.values.reshape(*array.shape[:n], -1)
    kind = values.dtype.kind
    wide = values.astype({"f": np.float64, "c": np.complex128}.get(kind, values.dtype))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of slices without a number
        match method:
            case "count":
                found = (
                    (~np.isnan(wide)).sum(-1)
                    if kind in "fc"
                    else np.full(array.shape[:n], wide.shape[-1])
                )
            case "any":
                found = (values != 0).any(-1)
            case "all":
                found = (values != 0).all(-1)
            case "argmin" | "argmax":
                none = np.isnan(wide).all(-1)
                filled = np.where(none[..., None], 0, wide)
                labels = output[dims[0]].values[getattr(np, f"nan{method}")(filled, -1)]
                found = np.where(none, np.nan, labels)
            case "min" | "max":
                found = (
                    getattr(np, f"nan{method}")(wide, -1)
                    if kind in "fc"
                    else getattr(wide, method)(-1)
                )
            case _:
                found = getattr(np, f"nan{method}")(wide, -1)
    return xr.DataArray(found, dims=array.dims[:n])


def assert_close(found, wanted, rtol=1e-5):
    assert found.dims == wanted.dims
    np.testing.assert_allclose(found.values, wanted.values, rtol=rtol, atol=1e-6)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("dims", [("trial",), ("G",), ("sigma", "trial"), ("G", "trial", "sigma")])
@pytest.mark.slow
def test_named_reductions_equal_those_of_the_unreduced_run(executor, dims):
    names = NAMED if len(dims) == 1 else [name for name in NAMED if "arg" not in name]
    key = dims[0] if len(dims) == 1 else dims
    result = executor.run(reduce={key: names}, progress=False)
    left = tuple(dim for dim in SPACE.dims if dim not in dims)
    assert set(result.dataset.dims).isdisjoint(dims)
    assert result.dataset["peak.count"].dims == left
    assert len(result) == math.prod(SPACE.sizes[dim] for dim in left)
    for output in FULL:
        for name in names:
            found = result.dataset[f"{output}.{name}"]
            wanted = expected(FULL[output], dims, name)
            assert_close(found, wanted)


@pytest.mark.slow
def test_reductions_work_where_jax_promotes_no_dtypes():
    methods = [*NAMED, gx.Quantiles([0.5]), gx.Histogram([0.0, 1.0, 2.0])]
    space = gx.Space({"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 2, 4)}, mode="product")
    sweep = gx.ParallelExecution(lambda s: s["a"] * s["b"], space)
    wanted = sweep.run(reduce={"b": methods}, progress=False)
    with jax.numpy_dtype_promotion("strict"):
        sweep = gx.ParallelExecution(lambda s: s["b"] * s["a"], space)
        found = sweep.run(reduce={"b": methods}, progress=False)
    xr.testing.assert_allclose(found.dataset, wanted.dataset)


def test_dtypes_are_those_of_xarray():
    names = [name for name in NAMED if "arg" not in name]
    found = EXECUTIONS[0].run(reduce={"sigma": names}, progress=False).dataset
    for output in FULL:
        for name in names:
            assert found[f"{output}.{name}"].dtype == getattr(FULL[output], name)("sigma").dtype


def test_an_element_is_a_dict_of_the_variables(executor):
    result = executor.run(reduce={"rate": {"trial": "mean"}}, progress=False)
    assert len(result) == 6
    assert list(result[1]) == ["rate.mean", "rate.count"]
    np.testing.assert_array_equal(result[-1]["rate.mean"], result.dataset["rate.mean"][-1, -1])
    assert [element["rate.count"].tolist() for element in result] == [[10] * 4] * 6
    assert len(result.space) == 60


@pytest.mark.slow
def test_coordinates_and_attributes(executor):
    methods = [
        "mean",
        "var",
        "count",
        "argmax",
        gx.Quantiles([0.25, 0.75]),
        gx.Histogram([0, 1, 3]),
    ]
    dataset = executor.run(reduce={"rate": {"G": methods}}, progress=False).dataset
    assert dict(dataset["rate.mean"].attrs) == {
        "units": "Hz",
        "long_name": "mean of rate",
        "cell_methods": "G: mean",
    }
    assert dataset["rate.var"].attrs["units"] == "(Hz)^2"
    assert dataset["rate.var"].attrs["cell_methods"] == "G: variance"
    assert dataset["rate.count"].attrs["units"] == "1"
    assert dataset["rate.argmax"].attrs == {
        "units": "mV",
        "long_name": "coupling at the maximum of rate",
    }
    np.testing.assert_array_equal(dataset["time"], TIMES)
    np.testing.assert_array_equal(dataset["quantile"], [0.25, 0.75])
    np.testing.assert_array_equal(dataset["rate_bin"], [0.5, 2.0])
    np.testing.assert_array_equal(dataset["rate_bin_right"], [1.0, 3.0])
    assert {"trial", "sigma"} == set(dataset.coords) & set(SPACE.dims)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("dims", ["trial", ("trial", "sigma")])
def test_quantiles_histograms_and_functions(executor, dims):
    q, edges = [0.05, 0.5, 1.0], [-1.0, 0.0, 0.5, 2.0]

    def spread(values):
        return jnp.nanmax(values, (0,)) - jnp.nanmin(values, (0,))

    methods = [gx.Quantiles(q), gx.Histogram(edges), spread]
    outputs = ["rate", "peak", "n"]
    dataset = executor.run(reduce={o: {dims: methods} for o in outputs}, progress=False).dataset
    over = [dims] if isinstance(dims, str) else list(dims)
    for name in outputs:
        output = FULL[name].astype(np.float64)
        wanted = output.quantile(q, over).transpose(
            "G", ..., "quantile", *["time"] * (name == "rate")
        )
        assert_close(dataset[f"{name}.quantile"], wanted.drop_vars("quantile"))
        array = output.transpose(..., *over)
        values = array.values.reshape(*array.shape[: -len(over)], -1)
        counts = np.apply_along_axis(lambda v: np.histogram(v[~np.isnan(v)], edges)[0], -1, values)
        histogram = dataset[f"{name}.histogram"].transpose(..., f"{name}_bin")
        np.testing.assert_array_equal(histogram.values, counts)
        first = output.transpose(*over, ...)
        gaps = np.nanmax(first, 0) - np.nanmin(first, 0)
        found = dataset[f"{name}.spread"]
        kept = [dim for dim in SPACE.dims if dim not in over]
        order = [
            first.dims[1:].index(dim)
            for dim in (*kept, *(d for d in first.dims[1:] if d not in kept))
        ]
        np.testing.assert_allclose(found.values, gaps.transpose(order), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int8", "bool"])
@pytest.mark.parametrize("is_python", [True, False])
def test_quantiles_skip_nan_of_every_dtype(dtype, is_python):
    rng = np.random.default_rng(0)
    values = np.where(rng.random((5, 16)) < 0.3, np.nan, rng.normal(size=(5, 16)).round(1))
    values = jnp.asarray(np.nan_to_num(values) if dtype in ("int8", "bool") else values, dtype)
    axes = {"i": gx.DataAxis(range(5)), "trial": gx.DataAxis(range(16))}
    space = gx.Space(axes, mode="product")
    executor = gx.SequentialExecution if is_python else gx.ParallelExecution
    run = executor(lambda s: {"y": values[s["i"], s["trial"]]}, space)
    q = [0.0, 0.1, 0.5, 1.0]
    found = run.run(reduce={"trial": gx.Quantiles(q)}, progress=False).dataset["y.quantile"]
    wanted = np.nanquantile(np.asarray(values).astype(np.float64), q, axis=1)
    np.testing.assert_allclose(found.transpose("quantile", "i"), wanted, rtol=1e-6, atol=1e-6)


def test_the_program_of_many_quantiles_is_no_larger():
    x = np.random.default_rng(0).normal(size=(3, 12, 2))

    def quantiles(n):
        method = gx.Quantiles(np.linspace(0, 1, n))
        return lambda x: arithmetic.reduced(jnp, x, None, 1, (method,), lambda method: None)

    with x64():
        programs = [jax.make_jaxpr(quantiles(n))(x) for n in (3, 300)]
        (many,) = quantiles(300)(x)
    assert len({len(program.eqns) for program in programs}) == 1
    np.testing.assert_allclose(many, np.quantile(x, np.linspace(0, 1, 300), 1).swapaxes(0, 1))


def test_a_single_quantile_has_no_dimension():
    dataset = EXECUTIONS[0].run(reduce={"n": {"trial": gx.Quantiles(0.5)}}, progress=False).dataset
    assert dataset["n.quantile"].dims == ("G", "sigma")
    assert dataset["quantile"].item() == 0.5
    assert_close(dataset["n.quantile"], FULL["n"].median("trial"))


@pytest.mark.slow
def test_outputs_may_be_reduced_along_different_dimensions(executor):
    request = {"rate": {"trial": "mean"}, "peak": {("trial", "sigma"): ["max", gx.Quantiles(0.5)]}}
    result = executor.run(reduce=request, progress=False)
    assert result.dataset["rate.mean"].dims == ("G", "sigma", "time")
    assert result.dataset["peak.max"].dims == ("G",)
    assert_close(result.dataset["rate.mean"], FULL["rate"].mean("trial"))
    assert_close(result.dataset["peak.max"], FULL["peak"].max(("trial", "sigma")))
    assert_close(result.dataset["peak.quantile"], FULL["peak"].quantile(0.5, ("trial", "sigma")))
    assert len(result) == 6
    assert result[0]["peak.max"] == result[1]["peak.max"] == result.dataset["peak.max"][0]
    assert len(result.to_dataframe()) == 6


PARTS = {"trial": 4}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("dims", ["trial", ("trial", "sigma"), ("G", "trial", "sigma")])
@pytest.mark.slow
def test_parts_are_merged(executor, dims, tmp_path):
    over = (dims,) if isinstance(dims, str) else dims
    names = NAMED if isinstance(dims, str) else [n for n in NAMED if "arg" not in n]
    request = {dims: [*names]} if dims == "trial" else {o: {dims: names} for o in FULL}
    result = executor.run(
        reduce=request, store=tmp_path / "run.zarr", block={"G": 2, **PARTS}, progress=False
    )
    dataset = result.dataset.load()
    for output in FULL:
        for name in names:
            found = dataset[f"{output}.{name}"]
            wanted = expected(FULL[output], over, name)
            assert_close(found, wanted)
            assert found.dtype == (
                found.dtype if "arg" in name else getattr(FULL[output], name)(over).dtype
            )
    reopened = gx.open_result(tmp_path / "run.zarr")
    assert reopened.dataset.load().identical(result.dataset.load())
    assert len(reopened.space) == 60
    assert len(reopened) == len(result)
    assert reopened.progress == (60, 0, 60)


@pytest.mark.slow
def test_variances_are_stable(executor, tmp_path):
    def far(state):
        return 1e4 + jax.random.normal(state["key"], (300,)).astype(np.float32)

    space = gx.Space({"key": gx.KeyAxis(50, name="trial")}, mode="product")
    kind = type(executor)
    full = kind(far, space).run(progress=False).dataset["value"].astype(np.float64)
    for options in ({}, {"block": {"trial": 7}, "store": tmp_path / "run.zarr"}):
        request = {"trial": ["var", "std", "mean"]}
        found = kind(far, space).run(reduce=request, progress=False, **options).dataset
        np.testing.assert_allclose(found["value.var"], full.var("trial"), rtol=1e-3)
        np.testing.assert_allclose(found["value.std"], full.std("trial"), rtol=1e-3)
        np.testing.assert_allclose(found["value.mean"], full.mean("trial"), rtol=1e-6)


def test_sums_of_integers_do_not_overflow(executor):
    space = gx.Space({"x": gx.DataAxis(np.arange(100)), "y": gx.DataAxis([1, 2])}, mode="product")
    large = type(executor)(lambda s: jnp.int32(2**30) + jnp.int32(s["x"]), space)
    found = large.run(reduce={"x": ["sum", "mean"]}, progress=False).dataset
    assert found["value.sum"].values.tolist() == [100 * 2**30 + 4950] * 2
    assert found["value.mean"].values.tolist() == [2**30 + 49.5] * 2


def test_infinite_values_have_infinite_means(executor, tmp_path):
    def interval(state):
        return {"mixed": jnp.where(state["G"] == 0.5, jnp.inf, state["s"]), "log": -jnp.inf}

    run = type(executor)(interval, SPACE).run
    for options in ({}, {"block": {"G": 1, "trial": 3}, "store": tmp_path / "run.zarr"}):
        found = run(reduce={("G", "trial"): ["mean", "std"]}, progress=False, **options).dataset
        np.testing.assert_array_equal(found["mixed.mean"], [np.inf] * 2)
        np.testing.assert_array_equal(found["log.mean"], [-np.inf] * 2)
        np.testing.assert_array_equal(found["log.std"], [np.nan] * 2)


def test_parts_of_an_output_without_elements(tmp_path):
    def model(state):
        return {"x": state["s"], "none": jnp.zeros((0, 2)) * state["G"]}

    how = {"reduce": {"trial": ["mean", "std", "min"]}, "block": {"trial": 3}, "progress": False}
    found = gx.ParallelExecution(model, SPACE).run(store=tmp_path / "run.zarr", **how).dataset
    assert found["none.std"].dims == ("G", "sigma", "none_dim_0", "none_dim_1")
    assert found["none.std"].shape == (3, 2, 0, 2)
    assert found["x.mean"].values.tolist() == [[1, 2]] * 3


def test_an_output_that_does_not_vary_counts_once_per_point(executor):
    dataset = executor.run(
        reduce={"of_G": {("trial", "sigma"): ["sum", "std"]}}, progress=False
    ).dataset
    np.testing.assert_allclose(dataset["of_G.sum"], 20 * 3 * FULL["G"], rtol=1e-6)
    np.testing.assert_array_equal(dataset["of_G.std"], [0, 0, 0])
    np.testing.assert_array_equal(dataset["of_G.count"], [20, 20, 20])


def test_labels_of_the_shared_dimension_of_a_group(executor):
    state = {
        "a": gx.DataAxis([5.0, 1.0, 3.0], group="setting"),
        "b": gx.DataAxis([10, 20, 30], group="setting", labels=["x", "yy", "z"]),
        "c": gx.DataAxis([0.0, 1.0]),
    }
    space = gx.Space(state, mode="product")
    run = type(executor)(lambda s: s["a"] * (1 - 2 * s["c"]), space)
    dataset = run.run(reduce={"setting": ["argmin", "mean"]}, progress=False).dataset
    assert dataset["value.argmin.a"].values.tolist() == [1.0, 5.0]
    assert dataset["value.argmin.b"].values.tolist() == ["yy", "x"]
    assert dataset["value.min"].values.tolist() == [1.0, -5.0]
    np.testing.assert_allclose(dataset["value.mean"], [3.0, -3.0])


def test_the_points_of_a_zip(executor):
    space = gx.Space({"a": gx.DataAxis([5.0, 1.0, 3.0]), "key": gx.KeyAxis(3)}, mode="zip")
    result = type(executor)(lambda s: s["a"], space).run(
        reduce={"point": ["max", "argmax"]}, progress=False
    )
    assert result.dataset["value.max"].item() == 5.0
    assert result.dataset["value.argmax.a"].item() == 5.0
    assert result.dataset["value.argmax.key"].item() == 0
    assert [element["value.max"] for element in result] == [5.0]


def test_labels_along_several_dimensions(executor):
    dims = ("G", "sigma")
    dataset = executor.run(reduce={"rate": {dims: "argmax"}}, progress=False).dataset
    for trial in range(10):
        for time in TIMES:
            values = FULL["rate"].sel(trial=trial, time=time)
            found = dataset.sel(trial=trial, time=time)
            at = values.sel(G=found["rate.argmax.G"], sigma=found["rate.argmax.sigma"])
            np.testing.assert_allclose(at, values.max(), rtol=1e-5)
            np.testing.assert_allclose(at, found["rate.max"], rtol=1e-5)


@pytest.mark.slow
def test_choices_are_reduced_too(tmp_path):
    state = {"f": gx.ChoiceAxis([jnp.sin, jnp.cos, jnp.tanh]), "x": gx.GridAxis(0, 1, 4)}
    space = gx.Space(state, mode="product")
    full = gx.ParallelExecution(lambda s: s["f"](s["x"]), space)
    wanted = full.run(progress=False).dataset["value"]
    assert "on the host" in repr(full.plan(reduce={"f": "mean"}))
    for options in ({}, {"store": tmp_path / "run.zarr"}):
        found = full.run(reduce={"f": ["mean", "argmax"]}, progress=False, **options).dataset
        assert_close(found["value.mean"], wanted.mean("f"))
        assert found["value.argmax"].values.tolist() == ["cos", "cos", "cos", "sin"]
        other = full.run(reduce={"x": [gx.Quantiles(0.5)]}, progress=False).dataset
        assert_close(other["value.quantile"], wanted.quantile(0.5, "x").drop_vars("quantile"))


def test_nan_everywhere_has_no_value(executor):
    space = gx.Space({"x": gx.DataAxis([1.0, 2.0]), "y": gx.DataAxis([0, 1])}, mode="product")
    run = type(executor)(lambda s: jnp.where(s["y"] > 0, jnp.nan, s["x"]), space)
    found = run.run(reduce={"x": NAMED}, progress=False).dataset
    assert found["value.count"].values.tolist() == [2, 0]
    assert found["value.sum"].values.tolist() == [3.0, 0.0]
    for name in ("mean", "std", "min", "max", "argmin", "argmax"):
        assert np.isnan(found[f"value.{name}"].values).tolist() == [False, True], name
    assert found["value.any"].values.all()


@pytest.mark.slow
def test_files_keep_the_space_and_the_reduction(executor, tmp_path):
    request = {"trial": ["mean", "argmin", gx.Quantiles([0.1, 0.9])]}
    named = {name: {"trial": request["trial"]} for name in ("rate", "peak")}
    result = executor.run(reduce=named, progress=False)
    result.to_netcdf(tmp_path / "run.nc")
    result.to_zarr(tmp_path / "run.zarr")
    for name in ("run.nc", "run.zarr"):
        opened = gx.open_result(tmp_path / name)
        assert opened.dataset.load().drop_attrs().identical(result.dataset.drop_attrs())
        assert dict(opened.dataset["rate.mean"].attrs) == dict(result.dataset["rate.mean"].attrs)
        assert opened.space.sizes == SPACE.sizes
        np.testing.assert_array_equal(
            opened.space.dataset["trial_value"], SPACE.dataset["trial_value"]
        )
        assert len(opened) == 6
        np.testing.assert_array_equal(opened[4]["rate.mean"], result[4]["rate.mean"])
    alone = xr.open_dataset(tmp_path / "run.nc")
    assert alone["rate.mean"].dims == ("G", "sigma", "time")


@pytest.mark.slow
def test_plans_and_results_say_what_is_reduced(tmp_path):
    executor = gx.ParallelExecution(model, SPACE, n_pmap=1)
    text = repr(executor.plan(reduce={"trial": "mean"}))
    assert "Cells:   6 (G 3 × sigma 2)" in text
    assert "Reduced: 10 points (trial 10), at a time" in text
    assert "Tile:    60 points of 6 cells (G, sigma: 6)" in text
    many = gx.Space({"G": gx.GridAxis(0, 1, 3), "key": gx.KeyAxis(4000, name="trial")}, "product")
    large = gx.ParallelExecution(lambda s: s["G"] * jax.random.normal(s["key"], (10_000,)), many)
    text = repr(large.plan(reduce={"trial": "mean"}))
    assert "Reduced: 4000 points (trial 4000), in 20 parts of up to 200, merged" in text
    with pytest.raises(ValueError, match="there is no reduction 'average'"):
        executor.plan(reduce={"trial": "average"})
    result = executor.run(reduce={"peak": {"trial": "mean"}}, store=tmp_path / "run.zarr")
    assert repr(result).startswith("<gridax.Result: 60 points, 72 B, in ")
    assert "gridax.Result" in result._repr_html_()
    told = CliRunner().invoke(main, ["info", str(tmp_path / "run.zarr")], catch_exceptions=False)
    assert "60 of 60 points done" in told.output
    assert re.search(r"Reduced\n +peak +along trial\n", told.output)
    assert re.search(r"peak.mean +one value", told.output)


@pytest.mark.slow
def test_plots_tables_and_the_explorer(tmp_path):
    bands = [gx.Quantiles([0.1, 0.9]), "mean"]
    result = EXECUTIONS[0].run(reduce={"rate": {"trial": bands}}, progress=False)
    (line, *_) = result.plot("rate.mean", x="time", hue="G", sel={"sigma": 1.0})
    assert line.axes.get_ylabel() == "mean of rate [Hz]"
    assert result.plot("rate.quantile", x="time", hue="quantile", sel={"sigma": 1, "G": 0})
    explorer = result.explore("rate.mean", x="time")
    explorer.save(tmp_path / "page.html")
    assert "mean of rate" in (tmp_path / "page.html").read_text()
    frame = result.to_dataframe()
    assert list(frame) == ["G", "sigma", "rate.quantile", "rate.mean", "rate.count"]
    assert frame["rate.mean"][0].shape == (4,)
    copy = pickle.loads(pickle.dumps(result))
    assert len(copy) == 6
    assert copy.dataset.identical(result.dataset)


def test_sums_are_not_rounded_more_than_adding_is(executor):
    space = gx.Space({"t": gx.DataAxis(np.r_[1.0, np.zeros(48)])}, mode="product")
    found = type(executor)(lambda s: s["t"], space).run(
        reduce={"t": ["sum", "std"]}, progress=False
    )
    assert found.dataset["value.sum"].item() == 1.0


def test_models_that_take_no_time():
    state = {"f": gx.ChoiceAxis([1, 2]), "x": gx.GridAxis(0, 1, 3)}
    executor = gx.ParallelExecution(lambda s: s["x"], gx.Space(state, mode="product"))
    for along, wanted in (("f", [0.0, 0.5, 1.0]), ("x", [0.5, 0.5])):
        found = executor.run(reduce={along: "mean"}, progress=False).dataset
        assert found["value.mean"].values.tolist() == wanted
