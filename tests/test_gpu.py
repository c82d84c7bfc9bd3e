"""What only an accelerator can show."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx

pytestmark = pytest.mark.gpu


def unit(state: Any) -> dict[str, Any]:
    """Simulate a unit with noise; count steps that all devices round alike."""
    noise = jax.random.normal(state["key"], (16,))

    def step(x: Any, push: Any) -> Any:
        x = x + 0.1 * (jnp.tanh(state["a"] * x) - 0.5 * x + 0.1 * push)
        return x, x

    last, series = jax.lax.scan(step, state["b"], noise)
    steps = jax.lax.while_loop(
        lambda c: c[1] < 8 * state["a"] + 40 * state["b"],
        lambda c: (c[0] + 1, c[1] + 0.5),
        (0, 0.0),
    )[0]
    return {"x": last, "series": series, "steps": steps, "bits": jax.random.bits(state["key"])}


def space(n: int = 9) -> gx.Space:
    axes = {"a": gx.GridAxis(0, 1, n), "b": gx.GridAxis(0.5, 2, 7), "key": gx.KeyAxis(5)}
    return gx.Space(axes, mode="product")


def check(found: xr.Dataset, expected: xr.Dataset) -> None:
    """Compare datasets of which one may be from another kind of device."""
    assert [*found.data_vars] == [*expected.data_vars]
    xr.testing.assert_equal(found.coords.to_dataset(), expected.coords.to_dataset())
    for name, values in expected.data_vars.items():
        if values.dtype.kind in "iu":
            np.testing.assert_array_equal(found[name], values, err_msg=str(name))
        else:
            # Normal draws are computed from the bits with functions that each compiler approximates.
            np.testing.assert_allclose(found[name], values, 1e-4, 1e-5, err_msg=str(name))


def on_the_cpu() -> Any:
    return jax.default_device(jax.devices("cpu")[0])


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    """What a CPU gives, point by point."""
    with on_the_cpu():
        return gx.SequentialExecution(unit, space()).run(progress=False).dataset


@pytest.mark.parametrize(
    "options", [{}, {"n_vmap": 7}, {"n_vmap": 1}], ids=["default", "tiles of 7", "single points"]
)
def test_the_accelerator_gives_what_the_cpu_gives(expected, options):
    result = gx.ParallelExecution(unit, space(), **options).run(progress=False)
    check(result.dataset, expected)


@pytest.mark.parametrize("lanes", [1, 8, 32])
def test_lanes_give_the_same_iterations(lanes):
    def steps(state: Any) -> Any:
        return unit({**state, "key": jax.random.key(0)})["steps"]

    few = space().isel(key=0)
    with on_the_cpu():
        expected = gx.SequentialExecution(steps, few).run(progress=False).dataset
    executor = gx.ParallelExecution(steps, few)
    xr.testing.assert_equal(executor.run(progress=False, lanes=lanes).dataset, expected)


def test_repeated_sweeps_give_the_same(expected):
    executor = gx.ParallelExecution(unit, space())
    for _ in range(5):  # while plans are compared, and with what stays on the device afterwards
        check(executor.run(progress=False).dataset, expected)


def test_reductions_and_derivatives(expected):
    def floats(state: Any) -> dict[str, Any]:
        return {name: value for name, value in unit(state).items() if name in ("x", "series")}

    executor = gx.ParallelExecution(floats, space())
    reduced = executor.run(progress=False, reduce={"key": "mean"}).dataset
    for name in ("x", "series"):
        mean = expected[name].mean("key")
        np.testing.assert_allclose(reduced[f"{name}.mean"], mean, 1e-4, 1e-5)
    there = executor.run(progress=False, derivatives=["a", "b"])
    with on_the_cpu():
        here = gx.ParallelExecution(floats, space()).run(progress=False, derivatives=["a", "b"])
    check(there.dataset, here.dataset)


def test_a_store_is_begun_on_the_accelerator_and_finished_on_the_cpu(expected, tmp_path):
    store = tmp_path / "s.zarr"
    executor = gx.ParallelExecution(unit, space(), n_vmap=21)
    executor.run(store=store, shard=(0, 2), progress=False)
    with on_the_cpu():
        gx.SequentialExecution(unit, space()).run(store=store, progress=False)
    check(gx.open_result(store).dataset.load(), expected)


def test_a_sweep_that_is_larger_than_the_memory():
    """All points together need twice as much as there is."""
    n_points = 64
    n = jax.local_devices()[0].memory_stats()["bytes_limit"] // (2 * n_points)

    def large(state: Any) -> Any:
        shuffled = jnp.arange(n, dtype=jnp.uint32) * jnp.uint32(2654435761) + state["i"]
        return jnp.sort(shuffled)[:3]

    values = np.arange(n_points, dtype=np.uint32)
    grid = gx.Space({"i": gx.DataAxis(values)})
    wide = gx.ParallelExecution(large, grid).run(progress=False).dataset["value"]
    narrow = gx.ParallelExecution(large, grid, n_vmap=1).run(progress=False).dataset["value"]
    np.testing.assert_array_equal(wide, narrow)
