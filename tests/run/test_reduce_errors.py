"""What `reduce=` rejects, before anything runs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx

SPACE = gx.Space(
    {"G": gx.GridAxis(0, 1, 3), "trial": gx.KeyAxis(4), "sigma": gx.DataAxis([1.0, 2.0])},
    mode="product",
)


def model(state):
    return {"rate": state["G"] * state["sigma"] * jnp.ones(5), "peak": state["G"]}


def mean(values):
    return values.mean(0)


REJECTED = [
    ("mean", TypeError, "reduce must be a mapping from dimensions to reductions"),
    ({}, ValueError, "reduce is empty; name a dimension and a reduction: reduce={'sigma': 'mean'}"),
    ({"time": "mean"}, ValueError, r"'time' is not a dimension .* are \['G', 'trial', 'sigma'\]"),
    ({"rate": "mean"}, ValueError, "for an output alone, pass {'rate': {dimension: reduction}}"),
    ({"trial": "average"}, ValueError, "there is no reduction 'average'; the names are 'mean', "),
    ({"trial": "median"}, ValueError, r"for the median, pass gridax.Quantiles\(0.5\)"),
    ({"trial": []}, ValueError, "no reduction along 'trial'"),
    ({"trial": 3}, TypeError, "a reduction is a name .* got 3"),
    ({"trial": gx.Quantiles}, TypeError, "Quantiles is a class; call it"),
    ({"trial": ["mean", "mean"]}, ValueError, "two reductions are named 'mean'; pass each once"),
    ({"trial": [mean]}, ValueError, "the name of the function 'mean' is already taken"),
    ({"trial": lambda values: values}, ValueError, "has no name that could be used"),
    ({"trial": "mean", "G": "max"}, ValueError, "reduced along one set of dimensions"),
    ({"rates": {"trial": "mean"}}, ValueError, r"'rates' is no output; .* are \['peak', 'rate'\]"),
    ({"trial": {"rate": "mean"}}, ValueError, "'trial' is a dimension, not an output"),
    ({"rate": {}}, ValueError, "output 'rate': nothing is asked for"),
    ({"rate": {"trial": "mean"}, "G": "max"}, ValueError, "name either dimensions or outputs"),
    ({("trial", "trial"): "mean"}, ValueError, "name each dimension once"),
    ({(): "mean"}, ValueError, "name each dimension once"),
]


@pytest.mark.parametrize(("request_", "kind", "text"), REJECTED)
@pytest.mark.parametrize("executor", [gx.ParallelExecution, gx.SequentialExecution])
def test_invalid_requests(executor, request_, kind, text):
    with pytest.raises(kind, match=text):
        executor(model, SPACE).run(reduce=request_, progress=False)


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ((gx.Quantiles, []), ValueError, "q is empty"),
        ((gx.Quantiles, [0.5, 1.5]), ValueError, "q must be numbers from 0 to 1, got 1.5"),
        ((gx.Quantiles, "half"), TypeError, "q must be a number or a sequence of numbers"),
        ((gx.Histogram, [1.0]), ValueError, "edges must be at least two numbers"),
        ((gx.Histogram, 3), ValueError, "edges must be at least two numbers"),
        ((gx.Histogram, [0.0, 2.0, 1.0]), ValueError, "in ascending order, got 2.0 before 1.0"),
        ((gx.Histogram, [0.0, np.nan]), ValueError, "edges must be finite"),
    ],
)
def test_invalid_quantiles_and_histograms(arguments, kind, text):
    method, numbers = arguments
    with pytest.raises(kind, match=text):
        method(numbers)


def test_what_does_not_fit_is_rejected_with_the_bytes():
    space = gx.Space({"trial": gx.KeyAxis(1000)}, mode="product")
    calls = []

    def large(state):
        calls.append(1)
        return jnp.zeros(10_000)

    executor = gx.ParallelExecution(large, space)
    text = (
        "needs all values along trial at a time: 1000 points with 40 MB of outputs, so about 120 MB"
    )
    with pytest.raises(ValueError, match=text):
        executor.run(reduce={"trial": gx.Quantiles(0.5)}, memory="50 MB", progress=False)
    assert len(calls) == 1  # it was traced
    found = executor.run(reduce={"trial": "mean"}, memory="50 MB", progress=False)
    assert not found.dataset["value.mean"].values.any()


def test_blocks_cannot_divide_what_is_needed_at_a_time(tmp_path):
    with pytest.raises(
        ValueError, match="block has 2 of the 4 points along 'trial', but 'quantile'"
    ):
        gx.ParallelExecution(model, SPACE).run(
            reduce={"trial": gx.Quantiles(0.5)}, store=tmp_path / "run.zarr", block={"trial": 2}
        )
    assert not (tmp_path / "run.zarr").exists()


def test_keys_and_complex_numbers():
    def drawn(state):
        return {"key": state["trial"], "wave": state["G"] + 1j}

    executor = gx.ParallelExecution(drawn, SPACE)
    with pytest.raises(TypeError, match="output 'key' has PRNG keys, which cannot be reduced"):
        executor.run(reduce={"trial": "mean"})
    with pytest.raises(TypeError, match="'wave' is complex, and complex numbers have no quantile"):
        executor.run(reduce={"wave": {"trial": gx.Quantiles(0.5)}})


def test_names_that_are_taken():
    state = {"x": gx.DataAxis([1.0, 2.0]), "failed": gx.DataAxis([0, 1])}
    run = gx.ParallelExecution(lambda s: s["x"] + s["failed"], gx.Space(state, "product")).run
    with pytest.raises(ValueError, match="the name 'failed' is already taken"):
        run(reduce={"x": "mean"})
    state = {"x": gx.DataAxis([1.0, 2.0]), "quantile": gx.DataAxis([0, 1])}
    run = gx.ParallelExecution(lambda s: s["x"] + s["quantile"], gx.Space(state, "product")).run
    with pytest.raises(ValueError, match="the name 'quantile' is already taken"):
        run(reduce={"x": gx.Quantiles([0.5])})
    state = {"x": gx.DataAxis([1.0, 2.0]), "y": gx.DataAxis([0, 1], name="value.mean")}
    run = gx.ParallelExecution(lambda s: s["x"] + s["y"], gx.Space(state, "product")).run
    with pytest.raises(ValueError, match=r"the name 'value\.mean' is already taken"):
        run(reduce={"x": "mean"})

    def own(state):
        return xr.DataArray(state["x"] * jnp.ones(3), dims="quantile")

    run = gx.ParallelExecution(own, gx.Space({"x": gx.GridAxis(0, 1, 3)}, "product")).run
    with pytest.raises(ValueError, match="'quantile' is already taken by a dimension of the out"):
        run(reduce={"x": gx.Quantiles([0.5])})


def test_outputs_with_other_quantiles():
    request = {
        "rate": {"trial": gx.Quantiles([0.1, 0.9])},
        "peak": {"trial": gx.Quantiles([0.5, 0.6])},
    }
    with pytest.raises(ValueError, match="'rate' has other quantiles than another output"):
        gx.ParallelExecution(model, SPACE).run(reduce=request)


def test_functions_that_return_keys():
    def key_of(values):
        return jax.random.key(0)

    space = gx.Space({"x": gx.DataAxis([1.0, 2.0])}, mode="product")
    for executor in (gx.ParallelExecution, gx.SequentialExecution):
        with pytest.raises(TypeError, match="'key_of' must return numbers, got PRNG keys; return"):
            executor(lambda s: s["x"], space).run(reduce={"x": key_of}, progress=False)


@pytest.mark.parametrize("function", [jnp.sort, jnp.cumsum, jnp.diff])
def test_functions_whose_shape_depends_on_how_many_points_fail(function):
    def failing(state):
        if state["x"] == 1 and state["k"] == 2:
            raise ArithmeticError
        return float(state["x"])

    axes = {"x": gx.DataAxis([1, 2, 3]), "k": gx.DataAxis([1, 2])}
    run = gx.SequentialExecution(failing, gx.Space(axes, mode="product")).run
    with pytest.raises(ValueError, match=r"for 2 of 3 values, but .* for all; pass a function"):
        run(reduce={"x": function}, on_error="record", progress=False)


def test_functions_that_cannot_be_traced():
    def pick(values):
        return float(values[0])

    with pytest.raises(jax.errors.ConcretizationTypeError) as caught:
        gx.ParallelExecution(model, SPACE).run(reduce={"peak": {"trial": pick}}, progress=False)
    assert any(
        "while the function 'pick' of reduce= was traced" in n for n in caught.value.__notes__
    )

    def pair(values):
        return values[0], values[1]

    with pytest.raises(TypeError, match="the function 'pair' must return one array, got tuple"):
        gx.ParallelExecution(model, SPACE).run(reduce={"peak": {"trial": pair}}, progress=False)
