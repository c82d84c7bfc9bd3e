"""Sobol' indices of results: known functions, SALib on the same points, and what is kept."""

from __future__ import annotations

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from gridax._sensitivity import parts
from tests.x64 import x64

ISHIGAMI = dict.fromkeys(["x1", "x2", "x3"], (-np.pi, np.pi))


def ishigami(state):
    x1, x2, x3 = state["x1"], state["x2"], state["x3"]
    return {"y": jnp.sin(x1) + 7.0 * jnp.sin(x2) ** 2 + 0.1 * x3**4 * jnp.sin(x1)}


def known_ishigami():
    alone = np.array([0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 7.0**2 / 8, 0.0])
    mixed = 0.1**2 * np.pi**8 * (1 / 18 - 1 / 50)
    variance = alone.sum() + mixed
    return alone / variance, (alone + mixed * np.array([1, 0, 1])) / variance


def run(model, state, mode="product", **options):
    space = state if isinstance(state, gx.Space) else gx.Space(state, mode=mode)
    return gx.ParallelExecution(model, space).run(progress=False, **options)


def salib(result, output, names, **options):
    """Return SALib's indices of an output that is a number at each point."""
    analysis = pytest.importorskip("SALib.analyze.sobol")
    problem = {"num_vars": len(names), "names": names, "bounds": [[0, 1]] * len(names)}
    values = np.asarray(output, np.float64)
    return analysis.analyze(problem, values, calc_second_order=False, **options)


def brute_force(values, weights, size):
    """Return the indices of the first `size` dimensions by the definition, in plain NumPy."""
    weights = [np.asarray(w) for w in weights]
    dims = range(size)

    def mean(array, over):
        for i in sorted(over):
            shape = [1] * array.ndim
            shape[i] = -1
            array = (array * weights[i].reshape(shape)).sum(axis=i, keepdims=True)
        return array

    overall = mean(values, dims)
    variance = mean((values - overall) ** 2, dims)
    first, total = [], []
    for i in dims:
        others = [k for k in dims if k != i]
        first.append(mean((mean(values, others) - overall) ** 2, [i]) / variance)
        total.append(mean(mean((values - mean(values, [i])) ** 2, [i]), others) / variance)
    varies = np.ptp(values, axis=tuple(dims), keepdims=True) > 0
    first, total = ([np.where(varies, x, np.nan) for x in each] for each in (first, total))
    squeezed = [
        np.squeeze(np.stack(each), axis=tuple(1 + i for i in dims)) for each in (first, total)
    ]
    return squeezed[0], squeezed[1]


def test_gauss_nodes_give_the_indices_of_ishigami():
    axes = {name: gx.QuadratureAxis(*bounds, 16) for name, bounds in ISHIGAMI.items()}
    found = run(ishigami, axes).sobol()
    assert found["parameter"].values.tolist() == ["x1", "x2", "x3"]
    first, total = known_ishigami()
    np.testing.assert_allclose(found["y.S1"], first, atol=1e-5)
    np.testing.assert_allclose(found["y.ST"], total, atol=1e-5)
    assert found["y.ST"].attrs == {"units": "1", "long_name": "total Sobol index of y"}
    assert found.attrs == {}


def test_a_saltelli_design_gives_the_indices_of_ishigami():
    result = run(ishigami, gx.saltelli(ISHIGAMI, 8192))
    assert len(result) == 40_960
    found = result.sobol()
    first, total = known_ishigami()
    np.testing.assert_allclose(found["y.S1"], first, atol=1e-2)
    np.testing.assert_allclose(found["y.ST"], total, atol=1e-2)
    assert found["y.S1"].attrs["base_samples"] == 8192
    assert found["y.S1"].attrs["dropped"] == 0


@pytest.mark.parametrize("exponent", [-300, -160, 160, 300])
@pytest.mark.parametrize("design", ["nodes", "saltelli"])
def test_indices_do_not_depend_on_the_scale_of_an_output(design, exponent):
    with x64():
        axes = {name: gx.QuadratureAxis(*bounds, 4) for name, bounds in ISHIGAMI.items()}
        state = gx.saltelli(ISHIGAMI, 16) if design == "saltelli" else axes
        scales = np.array([1.0, 10.0**exponent])
        found = run(lambda state: {"y": ishigami(state)["y"] * scales}, state).sobol()
    for name in ("y.S1", "y.ST"):
        one, other = found[name].transpose("y_dim_0", ...)
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("design", ["nodes", "saltelli"])
def test_the_indices_of_the_g_function_of_sobol(design):
    a = np.array([0.0, 1.0, 4.5, 9.0])

    def g(state):
        terms = [(jnp.abs(4 * state[f"x{i}"] - 2) + a[i]) / (1 + a[i]) for i in range(4)]
        return {"y": terms[0] * terms[1] * terms[2] * terms[3]}

    names = [f"x{i}" for i in range(4)]
    if design == "nodes":  # an even number on either side of the kink
        axes = {name: gx.DataAxis(two_panels(name)) for name in names}
    else:
        axes = gx.saltelli(dict.fromkeys(names, (0, 1)), 1024)
    found = run(g, axes).sobol()
    alone = 1 / (3 * (1 + a) ** 2)
    variance = np.prod(1 + alone) - 1
    tolerance = 1e-5 if design == "nodes" else 2e-2
    np.testing.assert_allclose(found["y.S1"], alone / variance, atol=tolerance)
    total = alone * np.prod(1 + alone) / (1 + alone) / variance
    np.testing.assert_allclose(found["y.ST"], total, atol=tolerance)


def two_panels(name):
    """Return Gauss nodes on both halves of the unit interval, with their weights."""
    unit, weights = np.polynomial.legendre.leggauss(3)
    nodes = np.concatenate([(unit + 1) / 4, (unit + 3) / 4])
    coords = {name: nodes, f"{name}_weight": (name, np.tile(weights, 2) / 4)}
    return xr.DataArray(nodes, dims=name, coords=coords, name=name)


@given(st.lists(st.floats(0.2, 3), min_size=2, max_size=4))
def test_a_linear_model_has_indices_in_closed_form(slopes):
    names = [f"x{i}" for i in range(len(slopes))]
    kinds = [dist.Normal(0.0, 1.0), dist.Uniform(0.0, 1.0), dist.Normal(2.0, 0.5)]
    variances = [1.0, 1 / 12, 0.25]
    axes = {n: gx.QuadratureAxis(kinds[i % 3], 3) for i, n in enumerate(names)}
    with x64():
        space = gx.Space(axes, mode="product")

        def model(s):
            return sum(slope * s[n] for slope, n in zip(slopes, names, strict=True))

        found = gx.SequentialExecution(model, space).run(progress=False).sobol()
    each = np.array([slope**2 * variances[i % 3] for i, slope in enumerate(slopes)])
    np.testing.assert_allclose(found["value.S1"], each / each.sum(), atol=1e-12)
    np.testing.assert_allclose(found["value.ST"], each / each.sum(), atol=1e-12)


@pytest.mark.slow
def test_each_kind_of_axis_has_its_weights():
    state = {
        "log": gx.LogGridAxis(0.1, 10, 5),
        "even": gx.GridAxis(0, 2, 4),
        "drawn": gx.UniformAxis(0, 1, 6),
        "chosen": gx.ChoiceAxis(["sin", "tanh"]),
        "gauss": gx.QuadratureAxis(0, 1, 3),
        "count": gx.DataAxis([1, 2, 5]),
        "key": gx.KeyAxis(2, name="trial"),
    }

    def model(s):
        noise = 0.3 * jax.random.normal(s["key"]) * s["even"]
        y = getattr(jnp, s["chosen"])(s["log"] + s["even"] * s["gauss"]) + s["drawn"] * s["count"]
        return {"y": y + noise, "flag": y > 1, "n": (2 * y).astype(int)}

    result = run(model, state)
    weights = [
        np.array([0.5, 1, 1, 1, 0.5]) / 4,
        np.array([0.5, 1, 1, 0.5]) / 3,
        np.full(6, 1 / 6),
        np.full(2, 1 / 2),
        state["gauss"].weights,
        np.full(3, 1 / 3),
        np.full(2, 1 / 2),
    ]
    found = result.sobol()
    names = ["log", "even", "drawn", "chosen", "gauss", "count", "trial"]
    assert found["parameter"].values.tolist() == names
    for output in ("y", "flag", "n"):
        first, total = brute_force(result.dataset[output].values.astype(float), weights, 7)
        np.testing.assert_allclose(found[f"{output}.S1"], first, atol=1e-12)
        np.testing.assert_allclose(found[f"{output}.ST"], total, atol=1e-12)


def series(state):
    """Return outputs of all shapes, of which some do not vary."""
    a, b, c = state["a"], state["b"], state["c"]
    time = xr.Variable("time", np.arange(4.0), {"units": "s"})
    rate = xr.DataArray(
        jnp.exp(-a * jnp.arange(4.0)) + b * jnp.arange(4.0),
        dims="time",
        coords={"time": time},
        attrs={"long_name": "firing rate", "units": "Hz"},
    )
    return {
        "rate": rate,
        "matrix": jnp.outer(jnp.stack([a, b]), jnp.stack([b, c, a * 0])),
        "y": a * c,
    }


AXES = {"a": gx.GridAxis(0, 1, 4), "b": gx.QuadratureAxis(0, 1, 3), "c": gx.GridAxis(1, 2, 5)}
SERIES = run(series, AXES)
WEIGHTS = [np.array([0.5, 1, 1, 0.5]) / 3, AXES["b"].weights, np.array([0.5, 1, 1, 1, 0.5]) / 4]
DESIGN = run(series, gx.saltelli({"a": (0, 1), "b": (0, 1), "c": (1, 2)}, 32))


@pytest.mark.parametrize("result", [SERIES, DESIGN], ids=["product", "design"])
def test_series_and_matrices_keep_their_dimensions(result):
    found = result.sobol()
    assert found["rate.S1"].dims == ("parameter", "time")
    assert found["time"].attrs == {"units": "s"}
    assert found["rate.S1"].attrs["long_name"] == "first-order Sobol index of firing rate"
    assert found["matrix.ST"].shape == (3, 2, 3)
    assert np.isnan(found["matrix.ST"][..., 2]).all()  # which does not vary
    if result is SERIES:
        for name, output in (("rate", 4), ("matrix", (2, 3))):
            values = result.dataset[name].values.astype(float)
            with np.errstate(invalid="ignore"):
                first, total = brute_force(values, WEIGHTS, 3)
            np.testing.assert_allclose(found[f"{name}.S1"], first, atol=1e-12)
            np.testing.assert_allclose(found[f"{name}.ST"], total, atol=1e-12)
            assert found[f"{name}.S1"].shape[1:] == np.empty(output).shape
    else:
        for i, j in itertools.product(range(2), range(2)):
            known = salib(result, result.dataset["matrix"][:, i, j], ["a", "b", "c"])
            np.testing.assert_allclose(found["matrix.S1"][:, i, j], known["S1"], atol=1e-12)
            np.testing.assert_allclose(found["matrix.ST"][:, i, j], known["ST"], atol=1e-12)


def test_names_select_outputs_and_parameters_and_the_rest_is_kept():
    found = SERIES.sobol("c", "rate", "a")
    assert list(found) == ["rate.S1", "rate.ST"]
    assert found["rate.ST"].dims == ("parameter", "b", "time")
    assert found["parameter"].values.tolist() == ["a", "c"]
    assert found["b_weight"].dims == ("b",)
    part = SERIES.dataset["rate"].isel(b=1).transpose("a", "c", "time").values.astype(float)
    first, _ = brute_force(part, [WEIGHTS[0], WEIGHTS[2]], 2)
    np.testing.assert_allclose(found["rate.S1"].isel(b=1), first, atol=1e-10)
    assert found.sel(parameter="c", b=0.5).sizes == {"time": 4}
    whole = DESIGN.sobol()
    xr.testing.assert_identical(
        DESIGN.sobol("b", "y"), whole[["y.S1", "y.ST"]].sel(parameter=["b"])
    )


@pytest.mark.parametrize("result", [SERIES, DESIGN], ids=["product", "design"])
@pytest.mark.parametrize("most", [1, 7, 60, 10**6])
def test_parts_of_any_size_give_the_same_indices(monkeypatch, result, most):
    whole = result.sobol()
    monkeypatch.setattr(parts, "MOST", most)
    xr.testing.assert_allclose(result.sobol(), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("suffix", ["nc", "zarr", "store"])
@pytest.mark.parametrize("kind", ["product", "design"])
def test_files_have_the_same_indices(tmp_path, suffix, kind):
    state = AXES if kind == "product" else gx.saltelli({"a": (0, 1), "b": (0, 1), "c": (1, 2)}, 32)
    path = tmp_path / f"r.{suffix}"
    result = run(series, state, store=path if suffix == "store" else None)
    if suffix == "nc":
        result.to_netcdf(path)
    elif suffix == "zarr":
        result.to_zarr(path)
    found = gx.open_result(path).sobol()
    xr.testing.assert_allclose(found, (SERIES if kind == "product" else DESIGN).sobol(), atol=1e-7)
    found.to_netcdf(tmp_path / "indices.nc")


@pytest.mark.parametrize("mode", ["product", "zip"])
def test_a_design_gives_what_salib_gives_in_any_order_of_the_state(mode):
    design = gx.saltelli(ISHIGAMI, 64, seed=3)
    state = {"z": design["x3"], "m": {"a": design["x1"]}, "b": [design["x2"]]}

    def model(s):
        return ishigami({"x1": s["m"]["a"], "x2": s["b"][0], "x3": s["z"]})

    result = run(model, state, mode)
    found = result.sobol(confidence=0.9, resamples=50, seed=4)
    assert found["parameter"].values.tolist() == ["x3", "x1", "x2"]
    known = salib(
        result, result.dataset["y"], [*ISHIGAMI], seed=4, num_resamples=50, conf_level=0.9
    )
    found = found.sel(parameter=[*ISHIGAMI])
    for name in ("S1", "ST", "S1_conf", "ST_conf"):
        np.testing.assert_allclose(found[f"y.{name}"], known[name], atol=1e-12)
    assert "half width of the confidence interval" in found["y.S1_conf"].attrs["long_name"]


def test_rows_of_salib_are_recognized_as_a_design():
    sample = pytest.importorskip("SALib.sample.sobol")
    problem = {"num_vars": 3, "names": [*ISHIGAMI], "bounds": [[-np.pi, np.pi]] * 3}
    rows = sample.sample(problem, 32, calc_second_order=False, seed=1)
    axes = gx.from_samples(dict(zip(ISHIGAMI, rows.T, strict=True)))
    result = run(ishigami, axes)
    known = salib(result, result.dataset["y"], [*ISHIGAMI])
    np.testing.assert_allclose(result.sobol()["y.S1"], known["S1"], atol=1e-12)


def test_whole_base_samples_of_a_design_are_a_design():
    space = gx.Space(gx.saltelli(ISHIGAMI, 64), mode="product")
    part = run(ishigami, space[: 5 * 16])
    known = salib(part, part.dataset["y"], [*ISHIGAMI])
    np.testing.assert_allclose(part.sobol()["y.ST"], known["ST"], atol=1e-12)


def test_other_dimensions_than_the_design_are_kept():
    state = {**gx.saltelli(ISHIGAMI, 16), "scale": gx.GridAxis(1, 2, 3), "key": gx.KeyAxis(2)}

    def model(s):
        return ishigami(s)["y"] * s["scale"] + s["x1"] * jax.random.normal(s["key"])

    result = run(model, state)
    found = result.sobol()
    assert found["value.S1"].dims == ("parameter", "scale", "key")
    known = salib(result, result.dataset["value"].sel(scale=1.5, key=1), [*ISHIGAMI])
    np.testing.assert_allclose(found["value.S1"].sel(scale=1.5, key=1), known["S1"], atol=1e-12)


def failing(s):
    if s["x1"] > 2.0 and s["x2"] < -1.0:
        raise FloatingPointError("diverged")
    return {"y": float(np.sin(s["x1"]) + s["x2"] * s["x3"]), "n": int(s["x1"] > 0)}


def test_base_samples_with_failed_points_are_left_out_and_counted():
    space = gx.Space(gx.saltelli(ISHIGAMI, 64), mode="product")
    result = gx.SequentialExecution(failing, space).run(progress=False, on_error="record")
    there = np.isfinite(result.dataset["y"].values.reshape(64, 5)).all(axis=1)
    n = int((~there).sum())
    assert 0 < n < 64
    message = f"are left out: {n} of 64 for 'n', {n} of 64 for 'y'"
    with pytest.warns(UserWarning, match=re.escape(message)):
        found = result.sobol()
    assert found["y.S1"].attrs["dropped"] == n
    kept = result.dataset["y"].values.reshape(64, 5)[there].reshape(-1)
    known = salib(result, kept, [*ISHIGAMI])
    np.testing.assert_allclose(found["y.S1"], known["S1"], atol=1e-12)
    np.testing.assert_allclose(found["y.ST"], known["ST"], atol=1e-12)


def test_values_that_are_not_finite_are_left_out_of_their_own_output():
    def model(s):
        y = s["x1"] + s["x2"]
        series = jnp.stack([y, jnp.where(s["x3"] > 2, jnp.inf, y), jnp.nan * y])
        return {"series": series, "y": y}

    result = run(model, gx.saltelli(ISHIGAMI, 32))
    with pytest.warns(UserWarning, match=re.escape("of 32 for 'series'")) as caught:
        found = result.sobol()
    assert "'y'" not in str(caught[0].message)
    np.testing.assert_allclose(found["series.S1"][:, 0], found["y.S1"], atol=1e-12)
    assert np.isfinite(found["series.S1"][:, 1]).all()
    assert np.isnan(found["series.S1"][:, 2]).all()  # nowhere finite
    assert found["y.S1"].attrs["dropped"] == 0
    assert found["series.S1"].attrs["dropped"] > 0


def test_a_design_without_a_complete_base_sample_is_rejected():
    result = run(lambda s: {"y": s["x1"] * jnp.nan}, gx.saltelli(ISHIGAMI, 4))
    message = "output 'y' has no base sample with finite values at all of its 5 points, of 4"
    with pytest.raises(ValueError, match=re.escape(message)):
        result.sobol()


def test_a_product_with_failed_points_is_rejected_with_the_first():
    axes = {name: gx.GridAxis(-3, 3, 3) for name in ISHIGAMI}
    space = gx.Space(axes, mode="product")
    result = gx.SequentialExecution(failing, space).run(progress=False, on_error="record")
    message = (
        "sobol: of 27 points, 3 failed, the first at x1=3.0, x2=-3.0, x3=-3.0; a product needs"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        result.sobol()


def test_a_product_with_pending_points_is_rejected(tmp_path):
    space = gx.Space({name: gx.GridAxis(-3, 3, 8) for name in ISHIGAMI}, mode="product")
    executor = gx.ParallelExecution(ishigami, space)
    executor.run(store=tmp_path / "s.zarr", progress=False, shard=(0, 2), block={"x1": 1})
    result = gx.open_result(tmp_path / "s.zarr")
    with pytest.raises(ValueError, match="of 512 points, 256 pending, the first at x1="):
        result.sobol()


def test_a_product_with_values_that_are_not_finite_is_rejected_with_the_first():
    def model(s):
        y = jnp.where((s["a"] > 0.6) & (s["b"] > 0.3), jnp.nan, s["a"])
        return {"y": jnp.stack([s["a"] * jnp.nan, y])}

    result = run(model, {"a": gx.GridAxis(0, 1, 5), "b": gx.GridAxis(0, 1, 6)})
    message = (
        "sobol: output 'y' is not finite at 8 points of 30, the first at a=0.75, b=0.4; a product "
        "needs all of them. Use gx.saltelli, which can do without some"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        result.sobol()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_product_without_finite_values_is_rejected(value):
    result = run(lambda s: {"y": s["a"] * 0 + value}, {k: gx.GridAxis(0, 1, 2) for k in "ab"})
    message = "sobol: output 'y' is finite at none of 4 points; name other outputs"
    with pytest.raises(ValueError, match=message):
        result.sobol()


def test_what_is_constant_has_no_indices():
    result = run(lambda s: {"y": s["a"] * 0 + 0.1, "z": s["a"]}, {k: AXES[k] for k in "ab"})
    with pytest.warns(UserWarning, match="the indices of output 'y' are NaN, as it is constant"):
        found = result.sobol()
    assert np.isnan(found["y.S1"]).all()
    np.testing.assert_allclose(found["z.S1"], [1, 0], atol=1e-12)


@pytest.mark.slow
def test_reduced_outputs_have_indices_along_what_is_left():
    state = {**AXES, "key": gx.KeyAxis(5, name="trial")}

    def model(s):
        return {"y": series(s)["y"] + s["b"] * jax.random.normal(s["key"])}

    whole = run(model, state)
    reduced = run(model, state, reduce={"trial": ["mean", "std"]})
    found = reduced.sobol()
    assert list(found) == ["y.mean.S1", "y.mean.ST", "y.std.S1", "y.std.ST"]
    mean = whole.dataset["y"].mean("trial").values.astype(float)
    first, total = brute_force(mean, WEIGHTS, 3)
    np.testing.assert_allclose(found["y.mean.S1"], first, atol=1e-5)
    np.testing.assert_allclose(found["y.mean.ST"], total, atol=1e-5)
    with pytest.raises(ValueError, match=r"no output or axis 'trial'"):
        reduced.sobol("trial")


def test_an_output_that_was_reduced_along_a_parameter_is_named():
    state = {k: AXES[k] for k in "ab"}

    def model(s):
        return {"y": s["a"] + s["b"], "z": s["a"] * s["b"]}

    reduced = run(model, state, reduce={"y": {"a": "mean"}, "z": {"b": "max"}})
    with pytest.raises(ValueError, match=re.escape("output 'y.mean' was reduced along 'a'")):
        reduced.sobol("y.mean", "a")
    assert list(reduced.sobol("a")) == ["z.max.S1", "z.max.ST"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["rat"], "sobol: no output or axis 'rat'; did you mean 'rate'? The outputs are matrix, "),
        (
            ["q"],
            "sobol: no output or axis 'q'. The outputs are matrix, rate, y, and the axes a, b, c",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(names, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SERIES.sobol(*names)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda s: s["a"] + 1j, "sobol: output 'x' is complex64, not real numbers"),
        (lambda s: jax.random.key(0), "sobol: output 'x' is PRNG keys, not real numbers"),
        (lambda s: jnp.zeros((0, 2)), "sobol: output 'x' is empty"),
    ],
)
def test_outputs_that_are_not_real_numbers_are_left_out_or_named(output, message):
    result = run(lambda s: {"x": output(s), "y": s["a"] + s["b"]}, {k: AXES[k] for k in "ab"})
    assert list(result.sobol()) == ["y.S1", "y.ST"]
    with pytest.raises(ValueError, match=re.escape(message)):
        result.sobol("x")
    alone = run(lambda s: {"x": output(s)}, {k: AXES[k] for k in "ab"})
    with pytest.raises(ValueError, match="no output has indices among a, b: 'x' is"):
        alone.sobol()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1.5}, "confidence must be between 0 and 1, got 1.5"),
        ({"confidence": "high"}, "confidence must be a single real number, got 'high'"),
        ({"confidence": 0.9, "resamples": 1}, "resamples must be at least 2, got 1"),
        ({"confidence": 0.9, "seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_the_bootstrap_needs_a_level_and_resamples(options, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(f"sobol: {message}")):
        DESIGN.sobol(**options)
    with pytest.raises(ValueError, match="the indices of a product are no estimates from samples"):
        SERIES.sobol(confidence=0.9)


def test_the_name_of_the_new_dimension_may_be_taken():
    result = run(lambda s: s["parameter"] * s["b"], {"parameter": AXES["a"], "b": AXES["b"]})
    assert result.sobol()["parameter"].values.tolist() == ["parameter", "b"]
    with pytest.raises(ValueError, match="has a dimension or coordinate 'parameter'"):
        result.sobol("b")
