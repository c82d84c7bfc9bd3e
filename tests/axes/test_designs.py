"""Joint designs: axes of one group that fill their ranges together."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from numpyro.distributions.transforms import AffineTransform
from numpyro.infer import Predictive
from scipy import stats

import gridax as gx
from tests.ids import plain
from tests.x64 import x64

DESIGNS = [gx.sobol, gx.halton, gx.latin_hypercube]
BY_DESIGN = pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.__name__)


def values_of(axis: gx.Axis) -> np.ndarray:
    return np.asarray(axis.generate_values())


@BY_DESIGN
def test_a_design_fills_its_bounds_evenly(design: Any) -> None:
    axes = design({"G": (0.1, 0.8), "sigma": [-1, 1]}, n=64)
    for name, (low, high) in {"G": (0.1, 0.8), "sigma": (-1, 1)}.items():
        values = values_of(axes[name])
        assert values.shape == (64,)
        counts, _ = np.histogram(values, bins=8, range=(low, high))
        assert counts.sum() == 64
        assert abs(counts - 8).max() <= 3  # 64 independent draws would stray by 8 here
    assert abs(np.corrcoef(values_of(axes["G"]), values_of(axes["sigma"]))[0, 1]) < 0.25


@BY_DESIGN
def test_the_axes_of_a_design_share_one_dimension_and_select_together(design: Any) -> None:
    axes = design({"G": (0.1, 0.8), "sigma": (0.0, 0.1)}, n=8, attrs={"G": {"units": "1"}})
    state = {"a": axes["G"], "b": {"c": axes["sigma"]}, "x": gx.GridAxis(0, 1, 3)}
    space = gx.Space(state, mode="product")
    assert space.sizes == {design.__name__: 8, "x": 3}
    assert list(space.axes) == ["G", "sigma", "x"]
    assert space.dataset["G"].attrs == {"units": "1"}
    point = space.isel({design.__name__: 5})
    found = space.sel(G=point.dataset["G"].item(), sigma=point.dataset["sigma"].item())
    assert found.dims == ("x",)
    assert found[0]["b"]["c"] == point[0]["b"]["c"]


@BY_DESIGN
def test_a_seed_says_which_points(design: Any) -> None:
    over = {"x": (0.0, 1.0)}
    same = values_of(design(over, n=4)["x"])
    np.testing.assert_array_equal(values_of(design(over, n=4, seed=0)["x"]), same)
    assert (values_of(design(over, n=4, seed=1)["x"]) != same).all()


@BY_DESIGN
@pytest.mark.parametrize(
    ("distribution", "same"),
    [
        (dist.Normal(2.0, 0.5), stats.norm(2.0, 0.5)),
        (dist.Beta(2.0, 5.0), stats.beta(2.0, 5.0)),
        (dist.Gamma(2.0, 4.0), stats.gamma(2.0, scale=0.25)),
        (dist.Uniform(1.0, 3.0), stats.uniform(1.0, 2.0)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_distribution_is_covered_by_its_quantiles(
    design: Any, distribution: Any, same: Any
) -> None:
    values = values_of(design({"x": distribution, "other": (0, 1)}, 64)["x"])
    at = np.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(same.cdf(np.quantile(values, at)), at, atol=0.04)


@pytest.mark.parametrize(
    ("distribution", "same"),
    [
        (dist.Chi2(3.0), stats.chi2(3.0)),
        (dist.BetaProportion(0.25, 8.0), stats.beta(2.0, 6.0)),
        (dist.StudentT(5.0, 1.0, 2.0), stats.t(5.0, 1.0, 2.0)),
        (dist.InverseGamma(3.0, 2.0), stats.invgamma(3.0, scale=2.0)),
        (
            dist.TransformedDistribution(dist.Beta(2.0, 5.0), AffineTransform(1.0, 4.0)),
            stats.beta(2.0, 5.0, loc=1.0, scale=4.0),
        ),
        (
            dist.TransformedDistribution(dist.Beta(2.0, 5.0), AffineTransform(0.0, -1.0)),
            stats.beta(5.0, 2.0, loc=-1.0),
        ),
        (dist.DiscreteUniform(-2, 3), stats.randint(-2, 4)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_quantiles_are_those_of_scipy(distribution: Any, same: Any) -> None:
    unit = values_of(gx.halton({"x": (0.0, 1.0)}, 64)["x"])
    values = values_of(gx.halton({"x": distribution}, 64)["x"])
    np.testing.assert_allclose(values, same.ppf(unit), rtol=1e-4, atol=1e-6)
    assert (values.dtype.kind == "i") == distribution.support.is_discrete


class Unavailable(dist.Normal):
    """A distribution whose quantiles need a package that is not installed."""

    def icdf(self, q: Any) -> Any:
        raise ImportError("Please install `tensorflow_probability`.")


def test_the_group_may_have_another_name() -> None:
    first = gx.sobol({"a": (0, 1)}, 4, group="first")
    second = gx.sobol({"b": (0, 1)}, 4, group="second")
    assert gx.Space({**first, **second}, mode="product").sizes == {"first": 4, "second": 4}


def test_a_latin_hypercube_has_one_value_in_each_interval() -> None:
    axes = gx.latin_hypercube({"x": (0.0, 1.0), "y": (0.0, 1.0)}, n=10)
    for axis in axes.values():
        assert sorted((values_of(axis) * 10).astype(int)) == list(range(10))


def test_sobol_says_when_the_number_of_points_unbalances_it() -> None:
    with pytest.warns(UserWarning, match="balance properties of Sobol' points"):
        gx.sobol({"x": (0, 1)}, n=5)


@pytest.mark.parametrize(
    "over", [(0.0, 1.0), dist.Normal(0.0, 1.0), dist.Beta(2.0, 5.0)], ids=plain
)
@pytest.mark.slow
def test_a_large_design_holds_values_as_jax_does(over: Any) -> None:
    values = gx.sobol({"x": over}, n=2**14)["x"]
    assert gx.Space({"x": values}).sizes == {"point": 2**14}
    with x64():
        assert gx.sobol({"x": over}, n=4)["x"].generate_values().dtype == jnp.float64


def test_the_ends_of_a_distribution_stay_finite() -> None:
    values = values_of(gx.sobol({"x": dist.Normal(0.0, 1.0)}, n=2**10)["x"])
    assert np.isfinite(values).all()


def test_joint_draws_become_axes_of_one_group() -> None:
    def model() -> None:
        g = numpyro.sample("G", dist.Uniform(0.0, 1.0))
        numpyro.sample("W", dist.Normal(jnp.full((2, 3), g), jnp.ones((2, 3))))

    draws = Predictive(model, num_samples=5)(jax.random.key(0))
    axes = gx.from_samples(draws, attrs={"G": {"units": "1"}})
    space = gx.Space({"coupling": axes["G"], "weights": axes["W"]}, mode="product")
    assert space.sizes == {"sample": 5}
    for i, state in enumerate(space):
        assert state["coupling"] == draws["G"][i]
        np.testing.assert_array_equal(state["weights"], draws["W"][i])
    assert space.dataset["W_value"].dims == ("sample", "W_dim_0", "W_dim_1")
    g = space.dataset["G"].values[3]
    assert space.sel(G=g)[0]["weights"][0, 0] == draws["W"][3, 0, 0]


@pytest.mark.parametrize(
    ("over", "error", "message"),
    [
        ({}, TypeError, "sobol: pass ranges by name, such as {'G': (0.1, 0.8)}; got {}"),
        ([(0, 1)], TypeError, "pass ranges by name, such as {'G': (0.1, 0.8)}; got [(0, 1)]"),
        ({"x": (1, 0)}, ValueError, "axis 'x': low must be smaller than high, got low=1.0, high="),
        ({"x": (0, np.inf)}, ValueError, "axis 'x': high must be finite, got inf"),
        ({"x": (1.0, 1.0 + 1e-9)}, ValueError, "axis 'x': the grid is too fine for float32"),
        ({"x": (0, 1e300)}, ValueError, "e+300 does not fit in float32, which JAX would use"),
        (
            {"x": 3.0},
            TypeError,
            "axis 'x': pass bounds (low, high) or a numpyro distribution, got 3.0",
        ),
        (
            {"x": (0, 1, 2)},
            TypeError,
            "axis 'x': pass bounds (low, high) or a numpyro distribution, got (0, 1, 2)",
        ),
        (
            {"x": dist.Normal},
            TypeError,
            "axis 'x': pass bounds (low, high) or a numpyro distribution, got <class",
        ),
        (
            {"x": dist.Dirichlet(jnp.ones(3))},
            ValueError,
            "axis 'x': a design needs a distribution of scalars, got batch shape () and "
            "event shape (3,)",
        ),
        (
            {"x": dist.VonMises(0.0, 1.0)},
            ValueError,
            "axis 'x': VonMises has no inverse cumulative distribution function in NumPyro; pass "
            "bounds, or use NumPyroAxis",
        ),
        (
            {"x": Unavailable(0.0, 1.0)},
            ValueError,
            "axis 'x': NumPyro needs another package for the inverse cumulative distribution "
            "function of Unavailable: Please install `tensorflow_probability`. Install it, pass "
            "bounds, or use NumPyroAxis",
        ),
        (
            {"x": dist.LogNormal(0.0, 1000.0)},
            ValueError,
            "axis 'x': a quantile of LogNormal is not finite in float32; use a distribution whose "
            "values fit in this dtype",
        ),
        ({"a/b": (0, 1)}, ValueError, "'a/b' cannot name a dimension"),
    ],
    ids=plain,
)
def test_a_design_says_what_it_cannot_cover(
    over: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gx.sobol(over, n=4)


@pytest.mark.parametrize("n", [0, -1])
@BY_DESIGN
def test_a_design_needs_a_size(design: Any, n: int) -> None:
    message = f"{design.__name__}: n must be at least 1, got {n}"
    with pytest.raises(ValueError, match=re.escape(message)):
        design({"x": (0, 1)}, n=n)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "x", True])
@pytest.mark.parametrize("design", [*DESIGNS, gx.saltelli], ids=lambda design: design.__name__)
def test_a_seed_is_a_whole_number(design: Any, seed: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{design.__name__}: seed must be .*at le"):
        design({"x": (0, 1)}, n=4, seed=seed)


def test_attributes_of_no_axis_are_refused() -> None:
    message = "attrs names ['y'], but the axes are ['x']"
    with pytest.raises(ValueError, match=re.escape(message)):
        gx.sobol({"x": (0, 1)}, n=4, attrs={"y": {"units": "1"}})


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (
            {},
            TypeError,
            "from_samples: pass samples by name, such as mcmc.get_samples(); got {}",
        ),
        (
            {"a": [1.0, 2.0], "b": [1.0]},
            ValueError,
            "from_samples: the numbers of samples differ: {'a': 2, 'b': 1}",
        ),
        ({"a": 1.0}, ValueError, "axis 'a': values must have at least one dimension"),
        (
            pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=["G", "G"]),
            ValueError,
            "from_samples: 2 columns are called 'G', but each becomes an axis; rename them",
        ),
        (
            pd.DataFrame({0: [1.0, 2.0], "0": [3.0, 4.0]}),
            ValueError,
            "from_samples: 2 columns are called '0', but each becomes an axis; rename them",
        ),
    ],
)
def test_samples_that_do_not_belong_together_are_refused(
    samples: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gx.from_samples(samples)


def posterior() -> xr.Dataset:
    """Return draws as ArviZ keeps them."""
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "G": (("chain", "draw"), rng.normal(size=(2, 5)), {"units": "1"}),
            "theta": (("chain", "draw", "school"), rng.normal(size=(2, 5, 3))),
        },
        coords={"chain": [0, 1], "draw": range(5), "school": ["a", "b", "c"]},
    )


@pytest.mark.parametrize(
    "samples",
    [
        posterior(),
        posterior().transpose("school", "draw", "chain"),
        posterior().stack(sample=("chain", "draw")),
        posterior().stack(sample=("chain", "draw")).reset_index("sample"),
        xr.DataTree.from_dict({"posterior": posterior()})["posterior"],
        dict(posterior().data_vars),
    ],
    ids=["posterior", "transposed", "stacked", "stacked without an index", "tree", "arrays"],
)
def test_a_posterior_becomes_one_point_per_draw_of_every_chain(samples: xr.Dataset) -> None:
    axes = gx.from_samples(samples)
    assert list(axes) == ["chain", "draw", "G", "theta"]
    space = gx.Space(axes, mode="product")
    assert space.sizes == {"sample": 10}
    wanted = posterior().sel(chain=1, draw=3)
    selected = space.sel(chain=1, draw=3)
    assert selected.dataset["G"].item() == wanted["G"].item()
    np.testing.assert_array_equal(selected[0]["theta"], wanted["theta"].values.astype("f4"))
    assert space.sel(chain=0).sizes == {"sample": 5}
    assert space.dataset["G"].attrs == {"units": "1"}
    assert space.dataset["theta_value"].dims == ("sample", "school")
    assert space.dataset["school"].values.tolist() == ["a", "b", "c"]


def test_a_tree_without_variables_is_refused_with_the_groups_that_it_has() -> None:
    tree = xr.DataTree.from_dict({"posterior": posterior(), "prior": posterior()})
    text = "but the groups ['posterior', 'prior']; pass one of them, such as idata.posterior"
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.from_samples(tree)
    with pytest.raises(ValueError, match="from_samples: the tree is empty; pass one with draws"):
        gx.from_samples(xr.DataTree())


def test_a_table_has_one_draw_per_row() -> None:
    table = pd.DataFrame({"G": [0.2, 0.1], "n": [1, 2]})
    axes = gx.from_samples(table, group="fits")
    assert gx.Space(axes, mode="product").sel(G=0.1)[0]["n"] == 2
    draws = posterior()[["G"]].to_dataframe()
    space = gx.Space(gx.from_samples(draws), mode="product")
    assert space.sel(chain=1, draw=3).dataset["G"].item() == posterior()["G"].values[1, 3]


def test_keys_can_be_among_the_samples() -> None:
    keys = jax.random.split(jax.random.key(1), 3)
    space = gx.Space(gx.from_samples({"G": [0.2, 0.1, 0.3], "key": keys}), mode="product")
    assert space.sel(G=0.1)[0]["key"] == keys[1]


def test_a_million_draws_in_float64_keep_their_labels() -> None:
    draws = np.random.default_rng(0).normal(size=10**6)
    space = gx.Space(gx.from_samples({"x": draws}), mode="product")
    np.testing.assert_array_equal(space.dataset["x"], draws)
    assert space.sel(x=draws[123])[0]["x"] == np.float32(draws[123])
    np.testing.assert_array_equal(space.sel(x=draws[:1000]).dataset["x"], draws[:1000])


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([{"a": [1.0]}, {"a": [2.0]}], TypeError, "from_samples: pass samples by name"),
        (
            {"a": [np.ones(5), np.ones(5)]},
            TypeError,
            "from_samples: 'a' is a list of arrays; join chains with np.concatenate(), or samples "
            "with np.stack(), to one array",
        ),
        ({"a": [1.0, np.inf]}, ValueError, "axis 'a': a draw is infinite, which cannot be a label"),
        ({"a": [1.0, np.nan]}, ValueError, "axis 'a': NaN cannot be a label"),
        (
            xr.Dataset({"a": (("x", "y"), np.eye(2))}),
            ValueError,
            "from_samples: a Dataset needs the dimensions 'chain' and 'draw', or 'sample', got "
            "['x', 'y']",
        ),
        (
            posterior().assign(k=("school", [1, 2, 3])),
            ValueError,
            "from_samples: 'k' has the dimensions ['school'], but draws have ['chain', 'draw']",
        ),
    ],
    ids=plain,
)
def test_what_is_no_set_of_samples_is_rejected(
    samples: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        gx.from_samples(samples)


def test_designs_keep_labels_that_are_equal_in_float32_apart() -> None:
    axes = gx.latin_hypercube({"x": (1.0, 1.01)}, n=10**5)
    labels = gx.Space(axes, mode="product").dataset["x"].values
    assert np.unique(labels).size == 10**5
    assert np.unique(labels.astype(np.float32)).size < 10**5
