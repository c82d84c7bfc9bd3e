"""A wrap sees the values of an axis before JAX hands it tracers, and rejects what it rejects."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx

EXECUTORS = pytest.mark.parametrize("execution", [gx.SequentialExecution, gx.ParallelExecution])


def compared(value):
    if value <= 0:
        raise ValueError(f"must be positive, got {value}")
    return value


def converted(value):
    number = float(value)
    if number <= 0:
        raise ValueError(f"must be positive, got {number}")
    return np.full(3, number)


def recognizing_tracers(value):
    if not isinstance(value, jax.core.Tracer) and value <= 0:
        raise ValueError(f"must be positive, got {value}")
    return jnp.stack([value, 2 * value])


VALIDATING = pytest.mark.parametrize("wrap", [compared, converted, recognizing_tracers])


def swept(execution, values, wrap, **options):
    space = gx.Space({"x": gx.DataAxis(values, wrap=wrap), "k": gx.GridAxis(0, 1, 2)}, "product")
    model = lambda s: jnp.sum(jnp.asarray(s["x"])) + 0 * s["k"]  # noqa: E731
    return execution(model, space).run(progress=False, **options)


@EXECUTORS
@VALIDATING
def test_valid_values_pass_a_wrap_that_validates(execution, wrap):
    found = swept(execution, [1.0, 2.0, 3.0], wrap).dataset["value"]
    wanted = [float(np.sum(wrap(np.float64(v)))) for v in (1, 2, 3)]
    np.testing.assert_allclose(found[:, 0], wanted)


@EXECUTORS
@VALIDATING
def test_the_same_values_are_rejected_in_every_executor_with_their_label(execution, wrap):
    text = re.escape("must be positive, got -2.0")
    with pytest.raises(ValueError, match=text) as caught:
        swept(execution, [1.0, -2.0, 3.0], wrap)
    assert "wrap= of axis 'x' failed at the label -2.0" in caught.value.__notes__


@EXECUTORS
@VALIDATING
@pytest.mark.parametrize("where", ["memory", "store"])
@pytest.mark.sampled(3)
def test_rejected_values_can_be_recorded(execution, wrap, where, tmp_path):
    store = {"store": tmp_path / "sweep.zarr", "block": {"x": 2}} if where == "store" else {}
    result = swept(execution, [1.0, -2.0, 3.0, -4.0, 5.0], wrap, on_error="record", **store)
    assert result.failed["x"].tolist() == [-2.0, -2.0, -4.0, -4.0]
    assert result.failed["error"].tolist()[0] == "ValueError: must be positive, got -2.0"
    found = result.dataset["value"][:, 0].values
    np.testing.assert_array_equal(np.isnan(found), [False, True, False, True, False])
    assert found[4] == pytest.approx(np.sum(wrap(np.float64(5.0))))


@VALIDATING
def test_every_value_of_a_large_axis_is_seen_unless_the_wrap_computes(wrap):
    values = np.arange(1.0, 10_001.0)
    values[7_777] = -1.0
    for execution in (gx.SequentialExecution, gx.ParallelExecution):
        space = gx.Space({"x": gx.DataAxis(values, wrap=wrap)}).isel(point=slice(7_700, 7_800))
        with pytest.raises(ValueError, match=r"must be positive, got -1\.0"):
            execution(lambda s: jnp.sum(jnp.asarray(s["x"])), space).run(progress=False)


def test_a_wrap_that_only_computes_is_not_called_for_every_value():
    calls = []

    def wrap(value):
        calls.append(value)
        return jnp.sin(value) * jnp.ones(3)

    swept(gx.ParallelExecution, np.arange(5_000.0), wrap)
    assert len(calls) < 100


@EXECUTORS
def test_values_that_the_space_has_not_are_not_evaluated(execution):
    space = gx.Space({"x": gx.DataAxis([1.0, -2.0, 3.0], wrap=compared)}, mode="product")
    run = execution(lambda s: 2 * s["x"], space.sel(x=[3.0, 1.0])).run(progress=False)
    np.testing.assert_allclose(run.dataset["value"], [6.0, 2.0])
    with pytest.raises(ValueError, match=r"must be positive, got -2.0"):
        execution(lambda s: 2 * s["x"], space.sel(x=-2.0)).run(progress=False)


@EXECUTORS
def test_choices_are_rejected_in_the_same_way(execution):
    def known(name):
        if name == "euler":
            raise ValueError("use heun")
        return name

    axes = {"x": gx.GridAxis(0, 1, 3), "solver": gx.ChoiceAxis(["heun", "euler"], wrap=known)}
    run = execution(lambda s: s["x"] * len(s["solver"]), gx.Space(axes, mode="product"))
    with pytest.raises(ValueError, match="use heun") as caught:
        run.run(progress=False)
    assert "wrap= of axis 'solver' failed at the label 'euler'" in caught.value.__notes__
    failed = run.run(progress=False, on_error="record").failed
    assert failed["solver"].tolist() == ["euler"] * 3


def test_text_made_of_a_tracer_never_reaches_a_model():
    space = gx.Space({"x": gx.DataAxis([1, 2], wrap=str)})
    found = gx.SequentialExecution(lambda s: len(s["x"]), space).run(progress=False)
    assert found.dataset["value"].values.tolist() == [1, 1]
    text = "axis 'x': its wrap turns values into text, such as '1', which JAX cannot trace; use"
    with pytest.raises(TypeError, match=text):
        gx.ParallelExecution(lambda s: len(s["x"]), space)
