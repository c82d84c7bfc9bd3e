"""Axes one by one: their values, their options, and what they refuse."""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

import gridax as gx
from gridax._axes import is_random, tabulate
from tests.ids import plain
from tests.x64 import x64


@dataclasses.dataclass
class Solver:
    f: Any


KEY = jax.random.key(7)
KEY_TEXTS = [repr(jax.random.key(seed)) for seed in (0, 1)]
RANGES = [gx.GridAxis, gx.LogGridAxis, gx.UniformAxis]
ONE_OF_EACH = [
    gx.GridAxis(0, 1, 3),
    gx.LogGridAxis(0.1, 10, 3),
    gx.UniformAxis(0, 1, 3),
    gx.DataAxis([3, 1, 2]),
    gx.NumPyroAxis(dist.Normal(0.0, 1.0), 3),
    gx.QuadratureAxis(0, 1, 3),
    gx.KeyAxis(3),
    gx.ChoiceAxis(["a", "b", "c"]),
]
BY_KIND = pytest.mark.parametrize("axis", ONE_OF_EACH, ids=lambda axis: type(axis).__name__)


def labels_of(axis: gx.Axis) -> list[Any]:
    return tabulate(axis, KEY, "axis 'x'").labels.tolist()


@BY_KIND
def test_every_axis_generates_as_many_values_as_it_says(axis: gx.Axis) -> None:
    values = axis.generate_values(KEY)
    assert isinstance(values, jax.Array)
    assert len(values) == axis.size == 3


@BY_KIND
def test_the_same_key_generates_the_same_values_and_none_means_key_zero(axis: gx.Axis) -> None:
    assert (axis.generate_values(KEY) == axis.generate_values(KEY)).all()
    assert (axis.generate_values() == axis.generate_values(jax.random.key(0))).all()


@BY_KIND
def test_axes_are_frozen(axis: gx.Axis) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        axis.name = "other"  # type: ignore[misc]


@BY_KIND
def test_an_axis_equals_itself_alone(axis: gx.Axis) -> None:
    twin = dataclasses.replace(axis)  # type: ignore[type-var]
    assert axis != twin
    assert len({axis, twin, axis}) == 2


def test_only_random_axes_depend_on_the_key() -> None:
    other = jax.random.key(8)
    changed = [
        type(axis)
        for axis in ONE_OF_EACH
        if (axis.generate_values(KEY) != axis.generate_values(other)).any()
    ]
    assert changed == [gx.UniformAxis, gx.NumPyroAxis, gx.KeyAxis]
    assert [type(axis) for axis in ONE_OF_EACH if is_random(axis)] == changed[:2]


def test_a_linear_grid_is_evenly_spaced_with_both_ends() -> None:
    assert gx.GridAxis(0, 2, 5).generate_values().tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert labels_of(gx.GridAxis(-0.1, 0.1, 3)) == [-0.1, 0.0, 0.1]
    assert labels_of(gx.GridAxis(0.2, 1, 1)) == [0.2]


def test_a_logarithmic_grid_takes_the_bounds_themselves() -> None:
    assert labels_of(gx.LogGridAxis(1e-3, 1e2, 6)) == [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
    ratios = np.diff(np.log(gx.LogGridAxis(0.3, 7, 20).generate_values()))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)


def test_uniform_draws_lie_within_their_bounds_and_fill_them() -> None:
    draws = gx.UniformAxis(-2.0, 3.0, 1000).generate_values(KEY)
    assert draws.min() >= -2
    assert draws.max() < 3
    counts, _ = np.histogram(draws, bins=5, range=(-2, 3))
    assert (abs(counts - 200) < 60).all()  # 200 +- 4.7 sigma


@pytest.mark.parametrize("kind", RANGES)
def test_a_shape_repeats_the_number_of_each_point(kind: Any) -> None:
    plain = kind(0.5, 2, 3).generate_values(KEY)
    shaped = kind(0.5, 2, 3, shape=(4, 2)).generate_values(KEY)
    assert shaped.shape == (3, 4, 2)
    np.testing.assert_array_equal(shaped, np.broadcast_to(plain[:, None, None], (3, 4, 2)))
    assert labels_of(kind(0.5, 2, 3, shape=(4, 2))) == labels_of(kind(0.5, 2, 3))
    assert kind(0.5, 2, 3, shape=4).generate_values(KEY).shape == (3, 4)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.3, 0.1], [0.3, 0.1]),
        (np.float32([0.3, 0.1]), [0.3, 0.1]),
        (jnp.array([0.3, 0.1]), [0.3, 0.1]),
        ([3, 1], [3, 1]),
        (np.array([2, 1], np.uint8), [2, 1]),
        ([True, False], [True, False]),
        ([[1.0, 2.0], [3.0, 4.0]], [0, 1]),
        ([1j, 2j], [0, 1]),
        (jax.random.split(KEY), [0, 1]),
        (jax.random.split(KEY, (2, 3)), [0, 1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_given_values_are_kept(values: Any, labels: list[Any]) -> None:
    axis = gx.DataAxis(values)
    assert axis.size == 2
    assert labels_of(axis) == labels
    assert (axis.generate_values() == jnp.asarray(values)).all()


def test_given_dtypes_stay() -> None:
    for dtype in (np.int8, np.uint32, np.float16, np.float32, np.bool_):
        assert gx.DataAxis(np.array([0, 1], dtype)).generate_values().dtype == dtype


@pytest.mark.parametrize(
    "values", [np.array([1, 2], np.int32), xr.DataArray(np.array([1, 2], np.int32), dims="x")]
)
def test_an_array_that_changes_later_does_not_change_the_axis(values: Any) -> None:
    axis = gx.DataAxis(values)
    values[0] = 100
    assert axis.generate_values().tolist() == [1, 2]


def test_labels_name_values() -> None:
    axis = gx.DataAxis([0.5, 0.5], labels=["low", "same"])
    assert labels_of(axis) == ["low", "same"]
    assert axis.generate_values().tolist() == [0.5, 0.5]
    assert labels_of(gx.DataAxis(np.eye(2), labels=[10, 20])) == [10, 20]
    assert labels_of(gx.DataAxis(jax.random.split(KEY), labels=["a", "b"])) == ["a", "b"]


def test_a_dataarray_brings_its_name_and_attributes() -> None:
    array = xr.DataArray([1.0, 2.0], dims="x", name="tau", attrs={"units": "ms", "a": 1})
    axis = gx.DataAxis(array, attrs={"a": 2})
    assert axis.name == "tau"
    assert axis.attrs == {"units": "ms", "a": 2}
    assert gx.DataAxis(array, name="T").name == "T"
    assert array.attrs["a"] == 1


@pytest.mark.slow
def test_distributions_are_sampled_as_numpyro_does() -> None:
    axis = gx.NumPyroAxis(dist.Beta(2.0, 5.0), n=1000)
    draws = axis.generate_values(KEY)
    assert (draws == dist.Beta(2.0, 5.0).sample(KEY, (1000,))).all()
    assert abs(draws.mean() - 2 / 7) < 0.02


@pytest.mark.parametrize(
    ("distribution", "options", "shape"),
    [
        (dist.Normal(0.0, 1.0), {}, (5,)),
        (dist.Normal(0.0, 1.0), {"sample_shape": (2, 4)}, (5, 2, 4)),
        (dist.Normal(0.0, 1.0), {"sample_shape": 2}, (5, 2)),
        (dist.Normal(0.0, 1.0), {"sample_shape": (2, 4), "broadcast_mode": True}, (5, 2, 4)),
        (dist.Normal(0.0, 1.0), {"broadcast_mode": True}, (5,)),
        (dist.Normal(jnp.zeros(3), jnp.ones(3)), {}, (5, 3)),
        (dist.Normal(jnp.zeros(3), jnp.ones(3)), {"sample_shape": (2,)}, (5, 2, 3)),
        (dist.Dirichlet(jnp.ones(3)), {}, (5, 3)),
        (dist.Dirichlet(jnp.ones(3)), {"sample_shape": (2,)}, (5, 2, 3)),
        (dist.Dirichlet(jnp.ones(3)), {"sample_shape": (2,), "broadcast_mode": True}, (5, 2, 3)),
        (dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)), {}, (5, 2)),
        (dist.Poisson(3.0), {}, (5,)),
    ],
)
@pytest.mark.usefixtures("rank_promotion")
@pytest.mark.sampled(5)
def test_batch_event_and_sample_shapes_become_the_shape_of_a_value(
    distribution: Any, options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    assert gx.NumPyroAxis(distribution, 5, **options).generate_values(KEY).shape == shape


def test_without_broadcast_every_element_is_a_draw_of_its_own() -> None:
    axis = gx.NumPyroAxis(dist.Normal(0.0, 1.0), 3, sample_shape=(2, 4))
    assert len(np.unique(axis.generate_values(KEY))) == 24
    assert labels_of(axis) == [0, 1, 2]


@pytest.mark.parametrize(
    ("distribution", "is_number"),
    [(dist.Normal(0.0, 1.0), True), (dist.Dirichlet(jnp.ones(3)), False)],
)
@pytest.mark.slow
def test_with_broadcast_one_draw_per_point_is_repeated(distribution: Any, is_number: bool) -> None:
    axis = gx.NumPyroAxis(distribution, 5, sample_shape=(2, 4), broadcast_mode=True)
    once = gx.NumPyroAxis(distribution, 5).generate_values(KEY)
    draws = axis.generate_values(KEY)
    for i in range(2):
        for j in range(4):
            np.testing.assert_array_equal(draws[:, i, j], once)
    expected = tabulate(gx.DataAxis(once), KEY, "axis 'x'").labels.tolist()
    assert labels_of(axis) == (expected if is_number else [0, 1, 2, 3, 4])


def test_more_trials_leave_the_keys_of_the_first_ones_alone() -> None:
    few, many = gx.KeyAxis(3).generate_values(KEY), gx.KeyAxis(10).generate_values(KEY)
    assert (few == many[:3]).all()
    data = jax.random.key_data(many)
    assert len(np.unique(data, axis=0)) == 10


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["heun", "euler"], ["heun", "euler"]),
        ([jnp.tanh, jnp.sin], ["tanh", "sin"]),
        ([10, 20], [10, 20]),
        (np.array([10, 20]), [10, 20]),
        ([1, 0.5], [1.0, 0.5]),
        ([True, False], [True, False]),
        ([None, "a"], ["None", "a"]),
        ([(1, 2), [3]], ["(1, 2)", "[3]"]),
        ([True, 1], ["True", "1"]),
        (iter(["a", "b"]), ["a", "b"]),
        (jnp.arange(2), [0, 1]),
        (
            [functools.partial(pow, 2), functools.partial(max, jnp.tanh, key=abs)],
            ["pow(2)", "max(tanh, key=abs)"],
        ),
        ([object(), object()], ["<object object> 0", "<object object> 1"]),
        ([jax.random.key(0), jax.random.key(1)], KEY_TEXTS),
        ([Solver(plain), Solver(3)], ["Solver(f=<function plain>)", "Solver(f=3)"]),
    ],
    ids=plain,
)
def test_choices_say_what_they_are_called(values: Any, labels: list[Any]) -> None:
    axis = gx.ChoiceAxis(values)
    assert axis.size == 2
    assert labels_of(axis) == labels


def test_choices_take_labels_and_stay_the_objects_they_are() -> None:
    chosen = [object(), object()]
    axis = gx.ChoiceAxis(chosen, labels=["one", "two"])
    assert labels_of(axis) == ["one", "two"]
    assert axis.values[0] is chosen[0]


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.1, 1, 0), ValueError, "n must be at least 1, got 0"),
        ((0.1, 1, -3), ValueError, "n must be at least 1, got -3"),
        ((0.1, 1, 2.5), TypeError, "n must be a whole number of at least 1, got 2.5"),
        ((0.1, 1, 3.0), TypeError, "n must be a whole number of at least 1, got 3.0"),
        ((0.1, 1, True), TypeError, "n must be a whole number of at least 1, got True"),
        ((1, 1, 3), ValueError, "low must be smaller than high, got low=1.0, high=1.0"),
        ((1, 0.5, 3), ValueError, "low must be smaller than high, got low=1.0, high=0.5"),
        ((np.nan, 1, 3), ValueError, "low must be finite, got nan"),
        ((0.1, np.inf, 3), ValueError, "high must be finite, got inf"),
        (("a", 1, 3), TypeError, "low must be a single real number, got 'a'"),
        ((0.1, [1, 2], 3), TypeError, "high must be a single real number, got [1, 2]"),
        ((0.1, 1, 3, (2, 0)), ValueError, "every size in shape must be at least 1, got 0"),
        ((0.1, 1, 3, "ab"), TypeError, "every size in shape must be a whole number"),
    ],
)
def test_a_range_refuses_bad_bounds_and_sizes(
    kind: type, arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"{kind.__name__}: {message}")):
        kind(*arguments)
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        kind(*arguments, name="G")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-2, -1)])
def test_a_logarithmic_grid_refuses_bounds_that_are_not_positive(low: float, high: float) -> None:
    message = (
        f"axis 'sigma': a logarithmic grid needs positive bounds, got low={float(low)}, "
        f"high={float(high)}"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        gx.LogGridAxis(low, high, 3, name="sigma")


@pytest.mark.parametrize(
    "axis",
    [
        gx.GridAxis(1.0, 1.0 + 1e-9, 3),
        gx.GridAxis(1e8, 1e8 + 1, 100),
        gx.LogGridAxis(1.0, 1.0 + 1e-9, 3),
        gx.UniformAxis(1.0, 1.0 + 1e-9, 3),
        gx.QuadratureAxis(1.0, 1.0 + 1e-9, 3),
    ],
    ids=lambda axis: type(axis).__name__,
)
def test_a_grid_finer_than_the_dtype_of_jax_is_rejected(axis: gx.Axis) -> None:
    message = (
        f"{type(axis).__name__}: the grid is too fine for float32, the dtype that JAX would use: "
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        axis.generate_values()


def test_a_grid_finer_than_float64_is_rejected_with_64_bits_too() -> None:
    with x64(), pytest.raises(ValueError, match="the grid is too fine for float64"):
        gx.GridAxis(1.0, 1.0 + 1e-15, 100).generate_values()


@pytest.mark.parametrize("n", [10_000, 10**6])
def test_numbers_that_are_equal_in_float32_keep_different_labels(n: int) -> None:
    draws = np.random.default_rng(0).normal(size=n)
    for axis in (gx.DataAxis(draws), gx.from_samples({"x": draws})["x"]):
        table = tabulate(axis, KEY, "axis 'x'")
        assert table.labels.tolist() == draws.tolist()
        assert table.values.dtype == np.float32
        np.testing.assert_array_equal(table.values, draws.astype(np.float32))


@pytest.mark.parametrize("kind", [gx.GridAxis, gx.LogGridAxis])
def test_digits_round_labels_and_values(kind: Any) -> None:
    axis = kind(0.1, 0.7, 6, digits=2)
    labels = labels_of(axis)
    assert all(float(f"{label:.2g}") == label for label in labels)
    assert axis.generate_values().tolist() == [float(np.float32(label)) for label in labels]
    assert "digits=2" in repr(axis)


@pytest.mark.parametrize("kind", [gx.GridAxis, gx.LogGridAxis])
@pytest.mark.parametrize(
    ("digits", "error", "message"),
    [
        (0, ValueError, "digits must be at least 1, got 0"),
        (2.0, TypeError, "digits must be a whole number of at least 1, got 2.0"),
        (16, ValueError, "digits must be at most 15, which is what a float64 can hold, got 16"),
    ],
)
def test_digits_must_be_a_number_of_digits_that_exist(
    kind: Any, digits: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"{kind.__name__}: {message}")):
        kind(1, 2, 3, digits=digits)


@pytest.mark.parametrize("kind", [gx.GridAxis, gx.LogGridAxis])
def test_too_few_digits_are_rejected(kind: Any) -> None:
    message = "with digits=1, the label 1.0 occurs more than once; use more digits or fewer points"
    with pytest.raises(ValueError, match=re.escape(f"{kind.__name__}: {message}")):
        kind(1, 2, 20, digits=1).generate_values()


@pytest.mark.parametrize(
    "axis",
    [gx.NumPyroAxis(dist.LogNormal(0.0, 1000.0), 50), gx.NumPyroAxis(dist.Delta(jnp.inf), 1)],
    ids=["overflow", "inf"],
)
def test_infinite_draws_are_rejected(axis: gx.Axis) -> None:
    message = "NumPyroAxis: a draw is infinite, which cannot be a label; remove it, or use a"
    with pytest.raises(ValueError, match=re.escape(message)):
        axis.generate_values()


def test_a_draw_that_is_no_number_is_rejected() -> None:
    message = "NumPyroAxis: NaN cannot be a label; remove it, or check the parameters of the distr"
    with pytest.raises(ValueError, match=message):
        gx.NumPyroAxis(dist.Delta(jnp.nan), 1).generate_values()


def test_infinity_that_a_user_gives_is_a_value() -> None:
    axis = gx.DataAxis([1.0, np.inf])
    assert labels_of(axis) == [1.0, np.inf]
    space = gx.Space({"x": axis}, mode="product")
    assert space.sel(x=np.inf)[0]["x"] == np.inf


@pytest.mark.parametrize("kind", [">f8", ">f4", ">i4", ">u2", ">c8"])
def test_arrays_of_another_byte_order_are_converted(kind: str) -> None:
    values = np.array([1, 2], kind)
    for given in (values, xr.DataArray(values, {"x": np.array([1.0, 2.0], ">f8")})):
        axis = gx.DataAxis(given)
        assert axis.generate_values().tolist() == [1, 2]
        assert tabulate(axis, KEY, "axis 'x'").labels.dtype.isnative
    assert labels_of(gx.DataAxis([1, 2], labels=np.array([0.5, 1.5], ">f8"))) == [0.5, 1.5]


@pytest.mark.parametrize(
    ("axis", "value", "dtype"),
    [
        (gx.GridAxis(0, 1e300, 3), "5e+299", "float32"),
        (gx.UniformAxis(0, 1e300, 3), "1e+300", "float32"),
        (gx.LogGridAxis(1e-300, 1, 2), "1e-300", "float32"),
        (gx.DataAxis([1e-300]), "1e-300", "float32"),
        (gx.DataAxis([1, 2**40]), "1099511627776", "int32"),
        (gx.DataAxis([[0.0, 1e300]]), "1e+300", "float32"),
        (gx.DataAxis([2**40, 1], labels=["a", "b"]), "1099511627776", "int32"),
        (gx.DataAxis(np.array([2**32], np.uint64)), "4294967296", "uint32"),
    ],
)
def test_values_that_jax_would_change_are_refused(axis: gx.Axis, value: str, dtype: str) -> None:
    message = f"{type(axis).__name__}: {value} does not fit in {dtype}, which JAX would use"
    with pytest.raises(ValueError, match=re.escape(message)):
        axis.generate_values()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, "values must not be empty"),
        (np.zeros((0, 3)), ValueError, "values must not be empty"),
        (5.0, ValueError, "values must have at least one dimension, got the scalar 5.0"),
        (xr.DataArray(5.0), ValueError, "values must have at least one dimension, got the scalar"),
        ([[1], [2, 3]], ValueError, "values must all have the same shape, but these are ragged"),
        ([object()], TypeError, "values must be numbers, got objects"),
        (["a"], TypeError, "values must be numbers, got strings; use ChoiceAxis"),
        (
            np.array(["2020"], "M8[Y]"),
            TypeError,
            "values must be numbers, got dates; convert them to numbers",
        ),
        (np.ma.masked_array([1], [True]), TypeError, "masked values are not supported"),
        (jax.random.key(0), ValueError, "got a single key; use KeyAxis, or split the key"),
        (
            [jax.random.key(0)],
            TypeError,
            "got a list of keys; stack them to one array: jnp.stack(keys)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_given_values_that_are_no_axis_are_refused(
    values: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"DataAxis: {message}")):
        gx.DataAxis(values)
    with pytest.raises(error, match=re.escape(f"axis 'G': {message}")):
        gx.DataAxis(values, name="G")


def test_nan_is_refused_unless_it_has_a_label() -> None:
    with pytest.raises(ValueError, match=re.escape("axis 'G': NaN cannot be a label")):
        gx.DataAxis([1.0, np.nan], name="G").generate_values()
    assert np.isnan(gx.DataAxis([1.0, np.nan], labels=["a", "b"]).generate_values()[1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "labels must be a sequence with one label per value, so 2 of them; got shape (1,)"),
        (["a", "a"], "duplicate label 'a'; pass unique labels="),
    ],
)
@pytest.mark.parametrize("kind", [gx.DataAxis, gx.ChoiceAxis])
def test_labels_that_do_not_fit_are_refused(kind: Any, labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{kind.__name__}: {message}")):
        kind([1.0, 2.0], labels=labels)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([], ValueError, "values must not be empty"),
        ("heun", TypeError, "values must be a sequence of choices, got 'heun'"),
        (5, TypeError, "values must be a sequence of choices, got 5"),
        (
            [lambda: 1, lambda: 2],
            ValueError,
            "duplicate label '<lambda>'; pass unique labels=",
        ),
        (["a", "a"], ValueError, "duplicate label 'a'; pass unique labels="),
        ([1.0, np.nan], ValueError, "NaN cannot be a label"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_choices_that_cannot_be_told_apart_are_refused(
    values: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"ChoiceAxis: {message}")):
        gx.ChoiceAxis(values)


@pytest.mark.parametrize("distribution", [dist.Normal, "Normal", None, random])
def test_what_is_no_distribution_is_refused(distribution: Any) -> None:
    message = (
        "NumPyroAxis: distribution must be one of numpyro.distributions, such as "
        f"dist.Normal(0.0, 1.0), got {distribution!r}"
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        gx.NumPyroAxis(distribution, 3)


@pytest.mark.parametrize("broadcast_mode", [False, True])
def test_a_distribution_without_draws_is_refused(broadcast_mode: bool) -> None:
    distribution = dist.ImproperUniform(dist.constraints.real, (), ())
    axis = gx.NumPyroAxis(distribution, 3, broadcast_mode=broadcast_mode)
    message = "NumPyroAxis: ImproperUniform cannot be sampled; use a distribution that can, or Data"
    with pytest.raises(ValueError, match=message):
        axis.generate_values()


@pytest.mark.parametrize("n", [0, -1])
@pytest.mark.parametrize(
    "make", [lambda n: gx.KeyAxis(n), lambda n: gx.NumPyroAxis(dist.Beta(1, 1), n)]
)
def test_draws_need_a_size(make: Any, n: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"Axis: n must be at least 1, got {n}")):
        make(n)


OPTIONS = {"group": ("runs", 1), "name": "x", "attrs": {"units": "ms"}, "wrap": jnp.tanh}
ARGUMENTS = {
    gx.GridAxis: (0, 1, 3),
    gx.LogGridAxis: (1, 2, 3),
    gx.UniformAxis: (0, 1, 3),
    gx.DataAxis: ([1, 2],),
    gx.NumPyroAxis: (dist.Normal(0.0, 1.0), 3),
    gx.QuadratureAxis: (0, 1, 3),
    gx.KeyAxis: (3,),
    gx.ChoiceAxis: (["a", "b"],),
}


class Squares(gx.Axis):
    """What a user writes: a size and values, nothing more."""

    size = 4

    def generate_values(self, key: jax.Array | None = None) -> jax.Array:
        return jnp.arange(4.0) ** 2


ARGUMENTS[Squares] = ()
EVERY_KIND = pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: kind.__name__)


@EVERY_KIND
def test_every_axis_takes_group_name_attrs_and_wrap(kind: Any) -> None:
    axis = kind(*ARGUMENTS[kind], **OPTIONS)
    for option, value in OPTIONS.items():
        assert getattr(axis, option) == value
    plain = kind(*ARGUMENTS[kind])
    assert (plain.group, plain.name, plain.attrs or None, plain.wrap) == (None,) * 4


@EVERY_KIND
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"group": ["a"]}, TypeError, "group must be hashable, such as a string, got ['a']"),
        ({"name": ""}, ValueError, "'' cannot name a dimension: it is empty"),
        ({"name": "a/b"}, ValueError, "'a/b' cannot name a dimension: files cannot store a name"),
        ({"name": "point"}, ValueError, "'point' cannot name a dimension: results use that name"),
        ({"name": 5}, TypeError, "a name must be a string, got 5"),
        ({"attrs": "ms"}, TypeError, "attrs must be a mapping such as {'units': 'ms'}, got 'ms'"),
        (
            {"attrs": {"scale_factor": 2.0}},
            ValueError,
            "the attribute 'scale_factor' would change the data when a file is read back",
        ),
        (
            {"attrs": {"units": "days since 2000-01-01"}},
            ValueError,
            "the units 'days since 2000-01-01' would turn numbers into dates",
        ),
        ({"wrap": 5}, TypeError, "wrap must be callable, got 5"),
    ],
    ids=plain,
)
def test_every_axis_refuses_bad_options(
    kind: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"{kind.__name__}: {message}")):
        kind(*ARGUMENTS[kind], **options)


def test_the_attributes_of_a_dataarray_are_checked_too() -> None:
    array = xr.DataArray([1.0, 2.0], dims="x", attrs={"add_offset": 1.0})
    with pytest.raises(ValueError, match=re.escape("DataAxis: the attribute 'add_offset'")):
        gx.DataAxis(array)
    with pytest.raises(ValueError, match=re.escape("DataAxis: 'a/b' cannot name a dimension")):
        gx.DataAxis(xr.DataArray([1.0], dims="x", name="a/b"))


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (gx.GridAxis(0, 1, 3), "GridAxis(0.0, 1.0, 3)"),
        (gx.GridAxis(0, 1, 3, shape=(4,), name="G"), "GridAxis(0.0, 1.0, 3, shape=(4,), name='G')"),
        (gx.LogGridAxis(1, 10, 2, group="g"), "LogGridAxis(1.0, 10.0, 2, group='g')"),
        (gx.DataAxis([1, 2]), "DataAxis([1, 2])"),
        (gx.DataAxis([1, 2], labels=["a", "b"]), "DataAxis([1, 2], labels=['a', 'b'])"),
        (gx.DataAxis(np.zeros((9, 2))), "DataAxis(<float64[9,2]>)"),
        (gx.DataAxis(np.arange(7)), "DataAxis(<int64[7]>)"),
        (gx.DataAxis(jax.random.split(KEY)), "DataAxis(<key<fry>[2]>)"),
        (gx.NumPyroAxis(dist.Normal(0.0, 1.0), 3), "NumPyroAxis(Normal(loc=0.0, scale=1.0), 3)"),
        (
            gx.NumPyroAxis(dist.Beta(1.0, 2.0), 3, sample_shape=(2,), broadcast_mode=True),
            "NumPyroAxis(Beta(concentration1=1.0, concentration0=2.0), 3, sample_shape=(2,), "
            "broadcast_mode=True)",
        ),
        (gx.QuadratureAxis(0, 1, 3, shape=2), "QuadratureAxis(0.0, 1.0, 3, shape=(2,))"),
        (
            gx.QuadratureAxis(dist.Normal(0.0, 1.0), 3, name="G", attrs={}),
            "QuadratureAxis(Normal(loc=0.0, scale=1.0), 3, name='G')",
        ),
        (gx.KeyAxis(16, name="trial"), "KeyAxis(16, name='trial')"),
        (gx.ChoiceAxis(["a", "b"]), "ChoiceAxis(('a', 'b'))"),
        (gx.GridAxis(0, 1, 3, attrs={"units": "1"}), "GridAxis(0.0, 1.0, 3, attrs={'units': '1'})"),
    ],
)
def test_a_repr_is_the_call_that_made_the_axis(axis: gx.Axis, text: str) -> None:
    with xr.set_options(display_width=120):
        assert repr(axis) == text


def test_a_long_repr_is_cut() -> None:
    text = repr(gx.ChoiceAxis([f"integrator {i}" for i in range(20)]))
    assert text.startswith("ChoiceAxis(('integrator 0', 'integrator 1', ")
    assert text.endswith("…))")
    assert len(text) == len("ChoiceAxis()") + 60


def test_an_axis_of_your_own_needs_a_size_and_values_only() -> None:
    assert labels_of(Squares()) == [0.0, 1.0, 4.0, 9.0]


class Own(gx.Axis):
    """An axis whose size and values are whatever a test wants."""

    size: Any = 2

    def __init__(self, values: Any, size: Any = 2) -> None:
        self.values, self.size = values, size

    def generate_values(self, key: jax.Array | None = None) -> Any:
        return self.values


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([5, 6], [5, 6]),
        (np.eye(2), [0, 1]),
        (jax.random.split(KEY), [0, 1]),
        (np.float32([0.3, 0.1]), [0.3, 0.1]),
    ],
)
def test_an_axis_of_your_own_may_return_anything_that_data_may_be(
    values: Any, labels: list[Any]
) -> None:
    assert labels_of(Own(values)) == labels


@pytest.mark.parametrize(
    ("axis", "error", "message"),
    [
        (Own([1, 2, 3]), ValueError, "size is 2, but generate_values returned 3 values"),
        (Own([1, 2], size=0), ValueError, "size must be at least 1, got 0"),
        (Own([1, 2], size=2.0), TypeError, "size must be a whole number of at least 1, got 2.0"),
        (Own(None), TypeError, "values must be numbers, got objects"),
        (
            Own([[1], [1, 2]]),
            ValueError,
            "values must all have the same shape, but these are ragged",
        ),
        (Own([1.0, np.nan]), ValueError, "NaN cannot be a label"),
        (Own([1, 2**40]), ValueError, "1099511627776 does not fit in int32"),
    ],
)
def test_an_axis_of_your_own_is_checked_like_any_other(
    axis: gx.Axis, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(f"axis 'x': {message}")):
        tabulate(axis, KEY, "axis 'x'")


def test_an_axis_without_values_cannot_be_made() -> None:
    class Nothing(gx.Axis):
        size = 3

    with pytest.raises(TypeError, match=r"abstract method '?generate_values"):
        Nothing()  # type: ignore[abstract]


def test_a_subclass_that_changes_the_values_of_an_axis_is_heard() -> None:
    class Mirrored(gx.GridAxis):
        def generate_values(self, key: jax.Array | None = None) -> jax.Array:
            return -super().generate_values(key)

    assert labels_of(Mirrored(0.1, 0.3, 3)) == [-0.1, -0.2, -0.3]


def test_abstract_axis_is_another_name_for_axis() -> None:
    assert gx.AbstractAxis is gx.Axis
    assert issubclass(gx.GridAxis, gx.AbstractAxis)
