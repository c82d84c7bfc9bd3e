"""What the parameters of a space are, or why it has none."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._sensitivity.parameters import Design, parameters_of
from gridax.space import points_of

PAIR = {"a": gx.GridAxis(0, 1, 4), "b": gx.GridAxis(0, 1, 4)}
GROUP = {"a": gx.GridAxis(0, 1, 4, group="g"), "b": gx.GridAxis(0, 1, 4, group="g")}
RANGES = {"a": (0, 1), "b": (0, 1)}
PRODUCT = gx.Space(PAIR, mode="product")
SALTELLI = gx.Space(gx.saltelli(RANGES, 8), mode="product")


def parameters(space, *names):
    return parameters_of(points_of(space).grid, names)


@pytest.mark.parametrize(
    ("space", "names", "message"),
    [
        (gx.Space(PAIR), (), "the points of a, b lie along 'point', as those of a zip, a filter"),
        (PRODUCT.filter(lambda ds: ds.a >= ds.b), (), "the points of a, b lie along 'point'"),
        (PRODUCT[::3], (), "the points of a, b lie along 'point'"),
        (SALTELLI[1:], (), "a, b share the dimension 'saltelli', where they are neither a product"),
        (
            SALTELLI.filter(lambda ds: ds.a > 0.5),
            (),
            "nor a Saltelli design with all of its points",
        ),
        (gx.Space(gx.saltelli(RANGES, 8))[:30], (), "or all points of a Saltelli design in their"),
        (SALTELLI.isel(saltelli=slice(2, None)), (), "a, b share the dimension 'saltelli', where"),
        (gx.Space(gx.sobol(RANGES, 8), "product"), (), "a, b share the dimension 'sobol', where"),
        (
            gx.Space(gx.halton(RANGES, 8), "product"),
            ("a",),
            "axis 'a' shares the dimension 'halton'",
        ),
        (gx.Space({**GROUP, "c": gx.GridAxis(0, 1, 2)}, "product"), (), "sobol('g', …)"),
        (PRODUCT.sel(a=[0.0]), (), "'a' has a single label, so no share of the variance is due to"),
        (PRODUCT.sel(a=0.0), ("a",), "'a' has a single label"),
        (PRODUCT.isel(a=0, b=0), (), "the result has a single point, so nothing varies"),
    ],
)
def test_what_is_neither_a_product_nor_a_design_is_rejected(space, names, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parameters(space, *names)


def test_a_dimension_of_several_axes_is_one_parameter_if_it_is_named():
    state = {**GROUP, "c": gx.QuadratureAxis(0, 1, 3, group="h"), "d": gx.DataAxis([1, 2])}
    state["e"] = gx.DataAxis([3.0, 1.0, 2.0], group="h")
    found = parameters(gx.Space(state, "product"), "h", "d", "g")
    assert found.names == ("g", "h", "d")
    np.testing.assert_allclose(found.weights[0], np.full(4, 0.25))
    np.testing.assert_allclose(found.weights[1], state["c"].weights)


def test_a_group_of_one_axis_is_called_like_the_axis():
    state = {"a": gx.GridAxis(0, 1, 3, group="g"), "b": gx.DataAxis([1, 2])}
    for names in ((), ("a", "b"), ("g", "b")):
        assert parameters(gx.Space(state, "product"), *names).names == ("a", "b")


def test_different_weights_along_one_dimension_are_rejected():
    axes = {
        "a": gx.QuadratureAxis(0, 1, 3, group="g"),
        "b": gx.DataAxis(
            xr.DataArray([1.0, 2.0, 3.0], dims="b", coords={"b_weight": ("b", [0.2, 0.3, 0.5])}),
            group="g",
        ),
    }
    with pytest.raises(ValueError, match="a, b share the dimension 'g', but have other weights"):
        parameters(gx.Space(axes, "product"), "g")


def test_weights_of_your_own_come_with_a_dataarray():
    weights = ("a", [1.0, 3.0, 4.0])
    array = xr.DataArray([0.1, 0.2, 0.3], dims="a", coords={"a_weight": weights}, name="a")
    space = gx.Space({"a": gx.DataAxis(array), "b": gx.DataAxis([1, 2])}, "product")
    np.testing.assert_allclose(parameters(space).weights[0], [1 / 8, 3 / 8, 4 / 8])


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ([1.0, -3.0, 4.0], "must not be negative"),
        ([1.0, np.nan, 4.0], "must be finite"),
        ([1.0, np.inf, 4.0], "must be finite"),
        ([0, 0, 0], "must not all be zero"),
        (["x", "y", "z"], "must be one number per label, got <U1 of shape (3,)"),
        (np.ones((3, 2)), "must be one number per label, got float64 of shape (3, 2)"),
    ],
)
def test_what_cannot_be_weights_is_rejected(weights, problem):
    coordinate = (("a", "k")[: np.ndim(weights)], weights)
    array = xr.DataArray(np.ones((3, 2)), dims=("a", "k"), coords={"a_weight": coordinate})
    space = gx.Space({"a": gx.DataAxis(array)}, "product")
    message = f"sobol: the weights a_weight {problem}; correct them, or rename the coordinate"
    with pytest.raises(ValueError, match=re.escape(message)):
        parameters(space)


def test_missing_nodes_are_warned_of():
    axes = {"a": gx.QuadratureAxis(0, 1, 5), "b": gx.QuadratureAxis(0, 1, 4)}
    part = gx.Space(axes, "product").sel(a=slice(0.4, None))
    with pytest.warns(UserWarning, match=r"the weights along 'a' add up to 0\.642, since nodes of"):
        found = parameters(part)
    assert found.weights[0].sum() == pytest.approx(1)


@pytest.mark.parametrize("pick", [[0, 1, 3], [3, 0, 1]])
def test_a_part_of_a_grid_is_weighted_by_its_labels(pick):
    space = gx.Space({"a": gx.LogGridAxis(1, 1000, 4), "b": gx.GridAxis(0, 3, 4)}, "product")
    found = parameters(space.isel(a=pick, b=pick))
    by_label = dict(zip([0, 1, 3], [1 / 6, 3 / 6, 2 / 6], strict=True))
    for weights in found.weights:
        np.testing.assert_allclose(weights, [by_label[i] for i in pick])


@pytest.mark.slow
def test_a_design_is_found_among_other_axes_of_its_group():
    design = gx.saltelli({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, 4)
    state = {
        "key": gx.KeyAxis(20, group="saltelli"),
        "c": design["c"],
        "derived": gx.DataAxis(np.asarray(design["a"].values) * 2, group="saltelli"),
        "a": design["a"],
        "b": design["b"],
        "square": gx.DataAxis(
            np.asarray(design["b"].values) * design["c"].values, group="saltelli"
        ),
    }
    found = parameters(gx.Space(state, "product"))
    assert isinstance(found, Design)
    assert found.names == ("c", "derived, a", "b")
    assert found.changed == (3, 1, 2)
    assert found.n_rows == 5


def test_parameters_of_a_design_and_of_a_product_are_not_mixed():
    space = gx.Space({**gx.saltelli(RANGES, 8), "c": gx.GridAxis(0, 1, 3)}, "product")
    message = "a, b are the parameters of a Saltelli design along 'saltelli', but 'c' is not one"
    with pytest.raises(ValueError, match=re.escape(message)):
        parameters(space, "a", "c")
    assert parameters(space, "c").names == ("c",)
    assert parameters(space, "saltelli").names == ("a", "b")
    two = {**gx.saltelli(RANGES, 8), **gx.saltelli({"d": (0, 1)}, 4, group="other")}
    with pytest.raises(ValueError, match="but there is another one along 'other'"):
        parameters(gx.Space(two, "product"))
    assert parameters(gx.Space(two, "product"), "d").dim == "other"


def test_a_design_of_which_an_axis_is_missing_is_none():
    design = gx.saltelli({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, 4)
    design.pop("b")
    with pytest.raises(ValueError, match="neither a product nor a Saltelli design"):
        parameters(gx.Space(design, "product"))


@pytest.mark.parametrize("mode", ["product", "zip"])
def test_a_factorial_design_is_none_of_saltelli(mode):
    c, b, a = (np.ravel(x) for x in np.meshgrid(range(5), [0.0, 1.0], [0.0, 1.0], indexing="ij"))
    state = {name: gx.DataAxis(v, group="g") for name, v in {"a": a, "b": b, "c": c}.items()}
    with pytest.raises(ValueError, match=r"neither a product nor|as those of a zip"):
        parameters(gx.Space(state, mode=mode))
