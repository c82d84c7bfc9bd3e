"""Gauss nodes: weighted means over them are means over the whole range or distribution."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpyro.distributions.transforms import AffineTransform
from scipy import stats

import gridax as gx
from tests.ids import plain

DISTRIBUTIONS = [
    (dist.Normal(0.3, 2.0), stats.norm(0.3, 2.0)),
    (dist.Uniform(-1.0, 3.0), stats.uniform(-1.0, 4.0)),
    (dist.Beta(2.0, 5.0), stats.beta(2.0, 5.0)),
    (dist.Gamma(3.0, 2.0), stats.gamma(3.0, scale=0.5)),
    (dist.LogNormal(0.0, 0.25), stats.lognorm(0.25)),
    (dist.Exponential(2.0), stats.expon(scale=0.5)),
    (
        dist.TransformedDistribution(dist.Normal(0.0, 1.0), AffineTransform(1.0, 0.5)),
        stats.norm(1.0, 0.5),
    ),
]


def nodes_of(axis: gx.Axis) -> np.ndarray:
    return gx.Space({"x": axis}, mode="product").dataset["x"].values


@given(
    st.integers(1, 12),
    st.lists(st.floats(-1, 1), min_size=1, max_size=24),
    st.floats(-5, 5),
    st.floats(0.1, 10),
)
def test_the_mean_of_a_polynomial_over_a_range_is_exact(n, coefficients, low, width):
    axis = gx.QuadratureAxis(low, low + width, n)
    polynomial = np.polynomial.Polynomial(coefficients[: 2 * n], domain=[low, low + width])
    integral = polynomial.integ()
    mean = (integral(low + width) - integral(low)) / width
    assert axis.weights @ polynomial(nodes_of(axis)) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 64, 300])
def test_the_moments_of_a_normal_distribution_are_exact(n):
    axis = gx.QuadratureAxis(dist.Normal(0.5, 2.0), n)
    nodes = nodes_of(axis)
    assert axis.weights @ nodes == pytest.approx(0.5)
    if n > 2:
        assert axis.weights @ (nodes - 0.5) ** 4 == pytest.approx(3 * 2.0**4)


@pytest.mark.parametrize(("distribution", "same"), DISTRIBUTIONS, ids=lambda d: type(d).__name__)
@pytest.mark.slow
def test_means_over_any_distribution_that_has_quantiles(distribution: Any, same: Any) -> None:
    axis = gx.QuadratureAxis(distribution, 40)
    nodes = nodes_of(axis)
    assert (np.diff(nodes) > 0).all()
    assert axis.weights.sum() == pytest.approx(1.0)
    assert (axis.weights > 0).all()
    assert axis.weights @ nodes == pytest.approx(same.mean(), rel=2e-3, abs=2e-3)
    assert axis.weights @ np.sin(nodes) == pytest.approx(same.expect(np.sin), abs=5e-4)


@pytest.mark.slow
def test_nodes_through_quantiles_have_the_precision_of_float64():
    unit = (1 + np.polynomial.legendre.leggauss(9)[0]) / 2
    nodes = nodes_of(gx.QuadratureAxis(dist.LogNormal(0.0, 0.5), 9))
    np.testing.assert_allclose(nodes, stats.lognorm(0.5).ppf(unit), rtol=1e-14)


def test_labels_are_the_nodes_and_few_decimals_where_these_exist():
    assert nodes_of(gx.QuadratureAxis(-1, 1, 3)).tolist() == [-np.sqrt(0.6), 0.0, np.sqrt(0.6)]
    assert nodes_of(gx.QuadratureAxis(dist.Normal(0.1, 0.2), 3))[1] == 0.1
    assert nodes_of(gx.QuadratureAxis(dist.Uniform(0.1, 0.8), 1)).tolist() == [0.45]


def test_a_weighted_mean_is_one_line():
    state = {"G": gx.QuadratureAxis(0, 1, 5), "tau": gx.QuadratureAxis(dist.Normal(1.0, 0.5), 4)}

    def model(s):
        return {"y": s["G"] ** 4 * s["tau"] ** 2}

    ds = gx.ParallelExecution(model, gx.Space(state, "product")).run(progress=False).dataset
    given_tau = ds.y.weighted(ds.G_weight).mean("G")
    np.testing.assert_allclose(given_tau, ds.tau**2 / 5, rtol=1e-5)
    mean = ds.y.weighted(ds.G_weight * ds.tau_weight).mean()
    assert mean.item() == pytest.approx(0.2 * 1.25, rel=1e-5)
    assert ds.G_weight.attrs == {"long_name": "quadrature weight of G", "units": "1"}


@pytest.mark.parametrize("mode", ["product", "zip"])
@pytest.mark.parametrize("group", [None, "g"])
def test_weights_follow_their_labels(mode, group):
    axis = gx.QuadratureAxis(0, 1, 6, name="G", group=group)
    weights = dict(zip(nodes_of(gx.QuadratureAxis(0, 1, 6)).tolist(), axis.weights, strict=True))
    state = {"a": axis, "b": gx.DataAxis([5, 3, 1, 2, 4, 6], group=group)}
    space = gx.Space(state, mode=mode)
    some = space.filter(lambda ds: (ds.b > 2) & (ds.G > 0.1))
    along = "G" if mode == "product" and group is None else "b"
    for part in (
        space,
        space.sel(G=slice(0.3, 0.9)),
        space[[5, 0, 3]],
        space[::-1],
        some,
        space.isel({space.dims[0]: 2}),
        space.sel({along: space.dataset[along].values[1]}),
    ):
        found = part.dataset
        assert found["G_weight"].dims == found["G"].dims
        labels = np.atleast_1d(found["G"].values).tolist()
        assert np.atleast_1d(found["G_weight"].values).tolist() == [weights[x] for x in labels]


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_files_keep_weights_and_what_made_them(suffix, tmp_path):
    state = {
        "G": gx.QuadratureAxis(dist.Normal(0.0, 1.0), 4, shape=(2,)),
        "b": gx.GridAxis(0, 1, 3),
    }
    space = gx.Space(state, mode="product")
    result = gx.ParallelExecution(lambda s: s["G"].sum() * s["b"], space).run(progress=False)
    path = tmp_path / f"r.{suffix}"
    result.to_netcdf(path) if suffix == "nc" else result.to_zarr(path)
    opened = gx.open_result(path)
    xr.testing.assert_identical(opened.dataset.drop_attrs(), result.dataset.drop_attrs())
    xr.testing.assert_identical(opened.space.dataset, space.dataset)
    assert "QuadratureAxis(Normal(loc=0.0, scale=1.0), 4, shape=(2,))" in repr(opened.space)
    part = opened.space.isel(G=[3, 1]).dataset
    np.testing.assert_array_equal(part["G_weight"], space.dataset["G_weight"][[3, 1]])


def test_a_store_is_resumed_extended_and_reduced_with_weights(tmp_path):
    def model(s):
        return {"y": s["G"] * s["b"]}

    state = {"G": gx.QuadratureAxis(0, 1, 4), "b": gx.DataAxis([1.0, 2.0])}
    first = gx.ParallelExecution(model, gx.Space(state, "product")).run(
        store=tmp_path / "s.zarr", progress=False
    )
    wider = gx.Space({**state, "b": gx.DataAxis([1.0, 2.0, 3.0])}, "product")
    more = gx.ParallelExecution(model, wider).run(extend=first, progress=False)
    np.testing.assert_allclose(more.dataset["G_weight"], state["G"].weights)
    reduced = gx.ParallelExecution(model, wider).run(reduce={"G": "mean"}, progress=False)
    reduced.to_netcdf(tmp_path / "r.nc")
    opened = gx.open_result(tmp_path / "r.nc")
    np.testing.assert_allclose(opened.space.dataset["G_weight"], state["G"].weights)


def test_a_shape_broadcasts_each_node_and_wrap_changes_what_the_model_gets():
    axis = gx.QuadratureAxis(0, 1, 3, shape=(2, 2), wrap=lambda x: -x)
    point = gx.Space({"x": axis}, mode="product")[2]
    np.testing.assert_array_equal(point["x"], np.full((2, 2), np.float32(-0.5 - np.sqrt(0.15))))
    assert axis.generate_values().shape == (3, 2, 2)


def test_bounds_and_distributions_can_be_keywords():
    wanted = nodes_of(gx.QuadratureAxis(0, 1, 3))
    for axis in (
        gx.QuadratureAxis(low=0, high=1, n=3),
        gx.QuadratureAxis(dist.Uniform(0.0, 1.0), n=3),
        gx.QuadratureAxis(distribution=dist.Uniform(0.0, 1.0), n=3),
    ):
        np.testing.assert_allclose(nodes_of(axis), wanted, rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: gx.QuadratureAxis(1.0, 0.5, 3, name="G"),
            ValueError,
            "axis 'G': low must be smaller than high, got low=1.0, high=0.5",
        ),
        (
            lambda: gx.QuadratureAxis(0, 1),
            TypeError,
            "QuadratureAxis: n must be a whole number of at least 1, got None",
        ),
        (
            lambda: gx.QuadratureAxis(dist.Normal(0.0, 1.0), 0),
            ValueError,
            "QuadratureAxis: n must be at least 1, got 0",
        ),
        (
            lambda: gx.QuadratureAxis(dist.Normal, 3),
            TypeError,
            "QuadratureAxis: distribution must be one of numpyro.distributions",
        ),
        (
            lambda: gx.QuadratureAxis(dist.Normal(0.0, 1.0), 0, 3),
            TypeError,
            "QuadratureAxis: pass either bounds (low, high, n) or a distribution and n",
        ),
        (
            lambda: gx.QuadratureAxis(0, 1, 3, distribution=dist.Normal(0.0, 1.0)),
            TypeError,
            "QuadratureAxis: pass either bounds or a distribution, got low=0, high=1 and "
            "distribution=Normal(loc=0.0, scale=1.0)",
        ),
        (
            lambda: gx.QuadratureAxis(dist.Normal(jnp.zeros(2), 1.0), 3),
            ValueError,
            "QuadratureAxis: quadrature needs a distribution of scalars, got batch shape (2,) and "
            "event shape ()",
        ),
        (
            lambda: gx.QuadratureAxis(dist.Poisson(2.0), 3).generate_values(),
            ValueError,
            "QuadratureAxis: Poisson has no inverse cumulative distribution function in NumPyro; "
            "pass bounds, or use NumPyroAxis",
        ),
        (
            lambda: gx.QuadratureAxis(dist.DiscreteUniform(0, 5), 3).generate_values(),
            ValueError,
            "QuadratureAxis: quadrature needs a distribution of real numbers, but DiscreteUniform "
            "is one of integers; use NumPyroAxis, or DataAxis with all integers",
        ),
        (
            lambda: gx.Space({"G": gx.QuadratureAxis(0, 1, 3), "G_weight": 2.0}, "product"),
            ValueError,
            "the fixed value at 'G_weight' and an axis or group called 'G_weight'",
        ),
        (
            lambda: gx.Space(
                {"G": gx.QuadratureAxis(0, 1, 3), "G_weight": gx.GridAxis(0, 1, 2)}, "product"
            ),
            ValueError,
            "axis 'G': its values have a dimension or coordinate 'G_weight', which is also the "
            "name of an axis or group; rename one of them",
        ),
    ],
    ids=plain,
)
def test_what_is_wrong_is_said(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_new_labels_would_have_no_weights_so_nodes_are_not_refined():
    space = gx.Space({"G": gx.QuadratureAxis(0, 1, 4)}, "product")
    result = gx.ParallelExecution(lambda s: {"y": jnp.sin(s["G"])}, space).run(progress=False)
    with pytest.raises(ValueError, match="has coordinates of its own, which new labels would not"):
        gx.refine(result, "y", 3, dims="G")


def test_the_key_of_the_space_does_not_matter():
    same = [gx.Space({"x": gx.QuadratureAxis(0, 1, 3)}, key=jax.random.key(k)) for k in (0, 1)]
    xr.testing.assert_identical(same[0].dataset, same[1].dataset)


@pytest.mark.parametrize("make", [lambda: (0, 1), lambda: (dist.Normal(0.0, 1.0),)], ids=["b", "d"])
def test_copies_have_the_same_nodes_and_weights(make):
    axis = gx.QuadratureAxis(*make(), 4)
    for copied in (
        pickle.loads(pickle.dumps(axis)),
        copy.deepcopy(axis),
        dataclasses.replace(axis, name="x"),
    ):
        np.testing.assert_array_equal(copied.weights, axis.weights)
        np.testing.assert_array_equal(nodes_of(copied), nodes_of(axis))


def test_the_coordinate_of_a_result_makes_an_axis_with_the_same_weights():
    space = gx.Space({"x": gx.QuadratureAxis(0, 1, 4)}, mode="product")
    again = gx.Space({"x": gx.DataAxis(space.dataset["x"])}, mode="product")
    xr.testing.assert_identical(again.dataset, space.dataset)
