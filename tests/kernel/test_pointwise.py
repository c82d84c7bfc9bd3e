"""A model under `jax.jit` gets the same values point by point as it does vectorized."""

from __future__ import annotations

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._kernel.pointwise import Pointwise
from gridax._run.job import Job
from gridax.space import points_of


def model(state, power=1, *, mode="sum"):
    x = state["x"] ** power * jnp.arange(state["n"]) * state["scale"]
    return {
        "trace": xr.DataArray(x, dims="time", attrs={"long_name": state["name"]}),
        "double": state["small"] * 2,
        "total": x.sum() if mode == "sum" else x.mean(),
        "draw": jax.random.normal(state["key"]),
        "is_heun": state["solver"] == "heun",
    }


STATE = {
    "x": gx.GridAxis(0, 1, 3),
    "n": 4,
    "scale": 0.5,
    "name": "activity",
    "small": gx.DataAxis(np.array([1, 2], np.float16)),
    "solver": gx.ChoiceAxis(["euler", "heun"]),
    "key": gx.KeyAxis(2),
    "nothing": None,
    "weights": np.arange(3.0),
}


@pytest.mark.parametrize(
    "jitted", [jax.jit(model), jax.jit(model, static_argnames=("mode", "power"))]
)
def test_both_executors_agree_on_numbers_text_choices_and_dtypes(jitted):
    space = gx.Space(STATE, mode="product")
    one, other = (
        execution(jitted, space, 2, mode="mean").run(progress=False).dataset
        for execution in (gx.SequentialExecution, gx.ParallelExecution)
    )
    xr.testing.assert_allclose(one, other)
    assert {n: v.dtype for n, v in one.items()} == {n: v.dtype for n, v in other.items()}
    assert one["double"].dtype == np.float16
    assert one["trace"].attrs == other["trace"].attrs == {"long_name": "activity"}


def test_a_jitted_model_is_traced_in_the_same_way_after_it_was_pickled():
    job = Job(jax.jit(model), points_of(gx.Space(STATE, mode="product")))
    again = cloudpickle.loads(cloudpickle.dumps(job))
    (_, mine), (_, theirs) = (
        Pointwise(each.model, each.points, (), {}).at((1, 1, 0, 1)) for each in (job, again)
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_program_is_compiled_per_choice_and_shared_by_executors(compilations):
    def shape(state):
        return state["x"] * jnp.ones(state["n"]).sum()

    space = gx.Space({"x": gx.GridAxis(0, 1, 7), "n": gx.ChoiceAxis([2, 3])}, mode="product")
    with compilations:
        found = gx.SequentialExecution(jax.jit(shape), space).run(progress=False)
        assert compilations.count == 2
        gx.SequentialExecution(jax.jit(shape), space).run(progress=False)
    assert compilations.count == 2
    np.testing.assert_allclose(found.dataset["value"].sel(x=1.0), [2.0, 3.0])


def test_errors_name_the_point_and_can_be_recorded():
    def wrap(value):
        if value == 0.5:
            raise ValueError("not a half")
        return value

    space = gx.Space({"x": gx.GridAxis(0, 1, 3, wrap=wrap)}, mode="product")
    run = gx.SequentialExecution(jax.jit(lambda s: 2 * s["x"]), space)
    with pytest.raises(ValueError, match="not a half") as caught:
        run.run(progress=False)
    assert "while the model was evaluated at x=0.5" in caught.value.__notes__
    assert run.run(progress=False, on_error="record").failed["x"].tolist() == [0.5]
