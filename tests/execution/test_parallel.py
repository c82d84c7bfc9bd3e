from __future__ import annotations

import functools
import re
import threading
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._kernel.prepared import Prepared
from gridax._plan import tuning
from gridax._plan.widths import ACCELERATOR
from tests.ids import plain
from tests.models import TRACING


def product(**axes):
    return gx.Space(axes, mode="product")


SPACE = product(a=gx.GridAxis(0, 1, 5), k=gx.KeyAxis(3), b=gx.DataAxis([4, 5, 6, 7]))


def noisy(state):
    noise = jax.random.normal(state["k"], (2,))
    return {"y": state["a"] * state["b"] + noise, "bits": jax.random.bits(state["k"])}


@pytest.fixture(scope="module")
def reference():
    """What plain calls return, point by point."""
    points = [jax.device_get(noisy(state)) for state in SPACE]
    return {name: np.stack([p[name] for p in points]) for name in ("y", "bits")}


def assert_equal(result, reference):
    flat = {
        name: v.values.reshape(60, *v.shape[3:]) for name, v in result.dataset.data_vars.items()
    }
    np.testing.assert_allclose(flat["y"], reference["y"], rtol=1e-6)
    np.testing.assert_array_equal(flat["bits"], reference["bits"])


@pytest.mark.parametrize("n_pmap", [1, 3, 4, None])
@pytest.mark.parametrize("n_vmap", [1, 4, 7, 1000, None])
@pytest.mark.sampled(7)
@pytest.mark.slow
def test_any_number_of_points_and_devices_gives_the_same(n_vmap, n_pmap, reference):
    result = gx.ParallelExecution(noisy, SPACE, n_vmap=n_vmap, n_pmap=n_pmap).run(progress=False)
    assert_equal(result, reference)


@pytest.mark.parametrize("n_vmap", [np.int64(4), jnp.int32(4)], ids=["NumPy", "JAX"])
def test_counts_may_be_integers_of_any_library(n_vmap, reference):
    assert_equal(gx.ParallelExecution(noisy, SPACE, n_vmap=n_vmap).run(progress=False), reference)


def test_more_devices_than_points():
    space = product(x=gx.DataAxis([1.0, 2.0]))
    result = gx.ParallelExecution(lambda s: 3 * s["x"], space, n_pmap=4).run(progress=False)
    assert result.dataset["value"].values.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_vmap": 0}, ValueError, "ParallelExecution: n_vmap must be at least 1, got 0"),
        ({"n_vmap": -3}, ValueError, "ParallelExecution: n_vmap must be at least 1, got -3"),
        (
            {"n_vmap": True},
            TypeError,
            "ParallelExecution: n_vmap must be a whole number of at least 1, got True",
        ),
        (
            {"n_vmap": 2.0},
            TypeError,
            "ParallelExecution: n_vmap must be a whole number of at least 1, got 2.0",
        ),
        (
            {"n_vmap": "8"},
            TypeError,
            "ParallelExecution: n_vmap must be a whole number of at least 1, got '8'",
        ),
        ({"n_pmap": 0}, ValueError, "ParallelExecution: n_pmap must be at least 1, got 0"),
        (
            {"n_pmap": False},
            TypeError,
            "ParallelExecution: n_pmap must be a whole number of at least 1, got False",
        ),
        (
            {"n_pmap": 1000},
            ValueError,
            f"n_pmap=1000, but JAX has {jax.local_device_count()} device(s) here; use fewer, or on "
            "a CPU call gridax.use_cpu_devices() before JAX starts",
        ),
    ],
    ids=plain,
)
def test_counts_that_make_no_sense_are_refused_at_once(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        gx.ParallelExecution(noisy, SPACE, **options)


@pytest.mark.skipif(jax.local_device_count() < 4, reason="needs four devices")
@pytest.mark.parametrize(("n_pmap", "together"), [(2, 2), (None, 4)])
def test_all_devices_work_at_the_same_time(n_pmap, together):
    meeting = threading.Barrier(together, timeout=600)

    def meet(x):  # goes on once as many devices are here as were asked for
        meeting.wait()
        return x

    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(meet, kind, state["x"], vmap_method="sequential")

    space = product(x=gx.DataAxis(np.arange(8.0)))
    result = gx.ParallelExecution(model, space, n_vmap=1, n_pmap=n_pmap).run(progress=False)
    assert list(result) == list(range(8))


def fall(state):
    """Count halvings: a loop whose length depends on the point."""

    def body(carry):
        return carry[0] / 2, carry[1] + 1

    return jax.lax.while_loop(lambda c: c[0] > 1, body, (state["x"], 0))[1]


def branch(state):
    return jax.lax.cond(state["x"] > 8, lambda x: 2 * x, lambda x: -x, state["x"])


def walk(state):
    def step(x, _):
        x = 0.9 * x + 1
        return x, x

    return jax.lax.scan(step, state["x"], length=5)[1]


def on_the_host(state):
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    return jax.pure_callback(lambda x: np.sqrt(x), kind, state["x"], vmap_method="sequential")


@jax.custom_jvp
def half(x):
    return x / 2


@half.defjvp
def _half_jvp(primals, tangents):
    return half(*primals), 100 * tangents[0]


def derivative(state):
    return jax.grad(half)(state["x"])


def solve(state):
    return jnp.linalg.solve(jnp.eye(2) * state["x"], jnp.ones(2))


@pytest.mark.parametrize(
    "model", [fall, branch, walk, on_the_host, derivative, solve], ids=lambda m: m.__name__
)
@pytest.mark.parametrize(("n_vmap", "n_pmap"), [(3, 4), (1, 1)])
@pytest.mark.sampled(5)
def test_models_of_every_kind_of_control_flow(model, n_vmap, n_pmap):
    space = product(x=gx.DataAxis([1.0, 3.0, 9.0, 300.0, 17.0]), z=gx.GridAxis(0, 1, 2))
    result = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=n_pmap).run(progress=False)
    for found, state in zip(result, space, strict=True):
        np.testing.assert_allclose(found, model(state), rtol=1e-5)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
@pytest.mark.sampled(2)
def test_fixed_keys_reach_every_device(impl):
    key = jax.random.split(jax.random.key(5, impl=impl), 2)

    def model(state):
        return state["x"] + jax.random.uniform(state["key"][0])

    space = product(x=gx.GridAxis(0, 1, 8), key=key)
    result = gx.ParallelExecution(model, space, n_vmap=2).run(progress=False)
    np.testing.assert_allclose(list(result), [model(state) for state in space], rtol=1e-6)


@pytest.fixture
def x64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def test_with_x64_models_compute_in_float64(x64):
    space = product(x=gx.GridAxis(0, 1, 11), n=gx.DataAxis([2**40]), big=np.array([2**41]))
    result = gx.ParallelExecution(
        lambda s: {"y": 3 * s["x"], "sum": s["n"] + s["big"][0]}, space, n_vmap=2
    ).run(progress=False)
    point = result.sel(x=0.3, n=2**40)
    assert point["y"].item() == 3 * 0.3  # to the last digit of a float64
    assert point["sum"].item() == 2**40 + 2**41
    assert result.dataset.attrs["x64"] == 1


def test_one_executor_runs_before_and_after_x64_is_switched_on(x64):
    space = product(x=gx.DataAxis(np.float32([0.1, 0.3])))
    executor = gx.ParallelExecution(lambda s: s["x"].astype(float), space)
    assert executor.run(progress=False).dataset["value"].dtype == np.float64
    jax.config.update("jax_enable_x64", False)
    assert executor.run(progress=False).dataset["value"].dtype == np.float32


@pytest.mark.parametrize("execution", TRACING.values(), ids=TRACING)
def test_draws_follow_a_setting_of_jax_that_changes_within_a_process(execution):
    def model(state):
        return jax.random.normal(state["key"], (3,)) * state["a"]

    space = product(key=gx.KeyAxis(4), a=gx.GridAxis(0.0, 1.0, 2))
    before = None
    for partitionable in (True, False, True):
        with jax.threefry_partitionable(partitionable):
            result = execution(model, space).run(progress=False)
            np.testing.assert_array_equal(result[1], jax.jit(model)(space[1]))
        assert before is None or not np.array_equal(result[1], before)
        before = result[1]


def test_what_is_compiled_does_not_depend_on_whether_the_user_disables_jit():
    def model(state):
        step = lambda x: np.eye(2, dtype=np.float32) @ x * 0.5 + state["a"]  # noqa: E731
        return jax.lax.while_loop(lambda x: x.sum() > 1, step, jnp.ones(2))

    space = product(a=gx.GridAxis(0.0, 0.2, 3))
    wanted = gx.ParallelExecution(model, space).run(progress=False).dataset["value"]
    with jax.disable_jit():
        found = gx.ParallelExecution(lambda s: model(s), space).run(progress=False)
    np.testing.assert_allclose(found.dataset["value"], wanted, rtol=1e-6)


def test_an_array_that_jax_would_change_is_refused_by_name():
    space = product(x=gx.GridAxis(0, 1, 3), net={"ids": np.array([1, 2**40])})
    text = (
        "the fixed array 'net.ids': 1099511627776 does not fit in int32, which JAX would use; "
        "enable 64 bits with jax.config.update('jax_enable_x64', True) or rescale"
    )
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.ParallelExecution(noisy, space)


def test_what_depends_on_one_dimension_is_computed_once_per_index_of_it():
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    calls = []

    def connectome(a):
        calls.append(float(a))
        return np.float32(10 * a)

    def model(state):
        expensive = jax.pure_callback(connectome, kind, state["a"], vmap_method="sequential")
        return expensive + state["b"]

    space = product(a=gx.DataAxis([1.0, 2.0, 3.0]), b=gx.DataAxis(np.arange(7.0)))
    result = gx.ParallelExecution(model, space, n_vmap=21, n_pmap=1).run(progress=False)
    assert sorted(calls) == [1, 2, 3]
    assert result.dataset["value"].sel(a=3.0, b=6.0) == 36


def test_a_second_run_compiles_nothing(compilations):
    executor = gx.ParallelExecution(noisy, SPACE, n_vmap=8)
    first = executor.run(progress=False)
    with compilations:
        second = executor.run(progress=False)
    assert compilations.names == []
    assert first.dataset.drop_attrs().identical(second.dataset.drop_attrs())


def test_an_executor_over_another_space_of_the_same_structure_compiles_nothing(compilations):
    def model(state):
        return (state["W"] * state["x"]).sum() + jax.random.normal(state["k"])

    def space(low, seed):
        state = {
            "x": gx.GridAxis(low, 1, 6),
            "k": gx.KeyAxis(4),
            "W": np.random.default_rng(seed).normal(size=(3, 3)),  # an argument, not a constant
            "dt": 0.1,
        }
        return gx.Space(state, mode="product", key=seed)

    gx.ParallelExecution(model, space(0.0, 0)).run(progress=False)
    other = space(0.5, 1)
    with compilations:
        result = gx.ParallelExecution(model, other).run(progress=False)
    assert compilations.names == []
    np.testing.assert_allclose(list(result), [model(state) for state in other], rtol=1e-5)


def test_another_static_value_compiles_again_and_counts(compilations):
    def model(state, power):
        return state["x"] ** power

    space = product(x=gx.DataAxis([2.0, 3.0]))
    assert list(gx.ParallelExecution(model, space, 2).run(progress=False)) == [4, 9]
    with compilations:
        assert list(gx.ParallelExecution(model, space, 3).run(progress=False)) == [8, 27]
    assert compilations.count >= 1


def test_a_python_number_stays_weak_and_a_numpy_one_does_not():
    def model(state, number):
        return state["x"].astype(jnp.bfloat16) * number

    space = product(x=gx.DataAxis([1.0, 2.0]))
    kinds = [
        gx.ParallelExecution(model, space, n).run(progress=False).dataset["value"].dtype
        for n in (2.0, np.float32(2.0))
    ]
    assert kinds == [jnp.bfloat16, np.float32]


def test_one_program_is_compiled_per_choice(compilations):
    def model(state):
        return jnp.zeros(state["n"]).sum() + state["f"](state["x"])

    space = product(
        n=gx.ChoiceAxis([3, 5, 7]), x=gx.GridAxis(0, 1, 20), f=gx.ChoiceAxis([jnp.sin, jnp.cos])
    )
    executor = gx.ParallelExecution(model, space, n_vmap=4)
    with compilations:
        result = executor.run(progress=False)
    assert sum("evaluate" in name for name in compilations.names) == 6
    np.testing.assert_allclose(
        result.sel(n=5, f="cos")["value"], np.cos(space.dataset.x), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            lambda s: jnp.ones(s["n"]) * s["x"],
            "with n=3, output 'value' has shape (3,), but had (2,) before; every choice must return "
            "the same outputs; run the choices one by one, with space.sel",
        ),
        (
            lambda s: {str(s["n"]): s["x"]},
            "with n=3, the model returned ['3'], but ['2'] before; every choice must return",
        ),
    ],
    ids=["shape", "names"],
)
def test_choices_that_return_different_outputs_are_refused(model, text):
    space = product(n=gx.ChoiceAxis([2, 3]), x=gx.GridAxis(0, 1, 2))
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.ParallelExecution(model, space).run(progress=False)


def test_a_choice_alone_can_be_run():
    space = product(n=gx.ChoiceAxis([2, 3]), x=gx.GridAxis(0, 1, 2)).sel(n=3)
    result = gx.ParallelExecution(lambda s: jnp.ones(s["n"]) * s["x"], space).run(progress=False)
    assert result.dataset["value"].shape == (2, 3)


NUMPY = (
    "the model calls NumPy on a traced value: use jax.numpy in it (but NumPy for the coordinates "
    "of xarray objects), or run it with SequentialExecution"
)
NUMBER = (
    "the model needs the number behind a traced value, for a branch, a loop, a shape, Python's "
    "math or an entry of a NumPy array: use jnp.where, jax.lax.cond, jax.lax.fori_loop or "
    "jax.numpy, make the value a ChoiceAxis or, if it is fixed, a plain number, or run the model "
    "with SequentialExecution"
)


def fill(state):
    row = np.zeros(3)
    row[0] = state["x"]
    return row


@pytest.mark.parametrize(
    ("model", "error", "advice"),
    [
        (lambda s: np.sin(s["x"]), jax.errors.TracerArrayConversionError, NUMPY),
        (lambda s: np.array([s["x"], 1.0]), jax.errors.TracerArrayConversionError, NUMPY),
        (
            lambda s: xr.DataArray(jnp.ones(2), {"t": jnp.arange(2) * s["x"]}, ["t"]),
            jax.errors.TracerArrayConversionError,
            NUMPY,
        ),
        (lambda s: 1.0 if s["x"] > 0.5 else 2.0, jax.errors.TracerBoolConversionError, NUMBER),
        (lambda s: float(s["x"]), jax.errors.ConcretizationTypeError, NUMBER),
        (lambda s: [1, 2][s["x"].astype(int)], jax.errors.TracerIntegerConversionError, NUMBER),
        (lambda s: jnp.zeros(s["x"].astype(int)), TypeError, NUMBER),
        (
            lambda s: jnp.ones(3)[jnp.ones(3) > s["x"]],
            jax.errors.NonConcreteBooleanIndexError,
            NUMBER,
        ),
        (fill, ValueError, NUMBER),
    ],
    ids=[
        "NumPy",
        "NumPy array",
        "coordinate",
        "branch",
        "float",
        "index",
        "shape",
        "mask",
        "assignment",
    ],
)
def test_a_model_that_cannot_be_traced_is_told_what_to_do(model, error, advice):
    executor = gx.ParallelExecution(model, product(x=gx.GridAxis(0, 1, 3)))
    with pytest.raises(error) as caught:
        executor.run(progress=False)
    assert caught.value.__notes__[-2:] == [
        advice,
        "while the model was traced",
    ]


class Unphysical(Exception):
    """An error of the user's own."""


def test_an_error_while_tracing_keeps_its_type_and_names_the_choice():
    def model(state):
        if state["solver"] == "euler":
            raise Unphysical
        return state["x"]

    space = product(solver=gx.ChoiceAxis(["heun", "euler"]), x=gx.GridAxis(0, 1, 3))
    with pytest.raises(Unphysical) as caught:
        gx.ParallelExecution(model, space).run(progress=False)
    assert caught.value.__notes__[-1] == "while the model was traced with solver='euler'"


def failing(limit):
    def check(x):
        if x > limit:
            raise RuntimeError("the simulator crashed")
        return np.float32(2 * x)

    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(check, kind, state["x"], vmap_method="sequential")

    return model


def test_an_error_while_running_names_the_points_and_what_was_done_is_kept():
    space = product(x=gx.DataAxis(np.arange(20.0)), y=gx.DataAxis([1]))
    executor = gx.ParallelExecution(failing(12.5), space, n_vmap=2, n_pmap=1)
    with pytest.raises(Exception, match="the simulator crashed") as caught:
        executor.run(progress=False)
    assert "while the model was evaluated at x=13.0, y=1" in caught.value.__notes__
    assert caught.value.__notes__[-1] == (
        "13 of 20 points were computed; they are in the attribute `partial` of the executor"
    )
    assert caught.value.result is executor.partial
    partial = executor.partial.dataset.isel(y=0)
    assert partial["status"].values.tolist() == [1] * 13 + [0] * 7
    assert partial["value"].values[:13].tolist() == (2 * np.arange(13)).tolist()
    assert np.isnan(partial["value"].values[13:]).all()


def test_the_executor_works_again_after_an_error():
    broken = [True]

    def check(x):
        if broken[0] and x == 2:
            raise RuntimeError("out of licenses")
        return np.float32(x)

    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(check, kind, state["x"], vmap_method="sequential")

    space = product(x=gx.DataAxis(np.arange(6.0)))
    executor = gx.ParallelExecution(model, space, n_vmap=1, n_pmap=1)
    with pytest.raises(Exception, match="out of licenses"):
        executor.run(progress=False)
    broken[0] = False
    assert executor.run(progress=False).dataset["value"].values.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_model_that_fails_everywhere_keeps_nothing():
    space = product(x=gx.DataAxis(np.arange(6.0)))
    executor = gx.ParallelExecution(failing(-1.0), space, n_pmap=1)
    with pytest.raises(Exception, match="the simulator crashed"):
        executor.run(progress=False)
    assert executor.partial is None


def test_outputs_larger_than_the_machine_are_refused_before_anything_is_computed():
    text = "the outputs of 100000 points need 400 TB, but the machine has"
    space = product(x=gx.GridAxis(0, 1, 100_000))
    with pytest.raises(MemoryError, match=re.escape(text)):
        gx.ParallelExecution(lambda s: jnp.ones((10**5, 10**4)) * s["x"], space).run(progress=False)


class Gain:
    def __init__(self, gain):
        self.gain = gain

    def __call__(self, state):
        return self.gain * state["x"]


def test_a_new_executor_sees_what_changed_outside_the_model():
    model, space = Gain(1.0), gx.Space({"x": gx.DataAxis([1.0, 2.0])})
    seen = []
    for model.gain in (1.0, 5.0, 5.0):
        result = gx.ParallelExecution(model, space).run(progress=False)
        seen.append(result.dataset["value"].values.tolist())
    assert seen == [[1, 2], [5, 10], [5, 10]]


def test_static_fields_of_other_types_make_other_programs():
    class Module(eqx.Module):
        x: Any
        n: Any = eqx.field(static=True)

    def model(module):
        return module.x * (1 if isinstance(module.n, int) else 10)

    seen = []
    for n in (1, 1.0):
        space = gx.Space(Module(gx.DataAxis([1.0, 2.0]), n))
        result = gx.ParallelExecution(model, space).run(progress=False)
        seen.append(result.dataset["value"].values.tolist())
    assert seen == [[1, 2], [10, 20]]


def test_keys_whose_draws_depend_on_the_tile_are_warned_of():
    state = {"key": gx.KeyAxis(4)}
    space = gx.Space(state, key=jax.random.key(0, impl="rbg"))
    with pytest.warns(UserWarning, match="draws from 'rbg' keys depend on how many"):
        gx.ParallelExecution(lambda s: jax.random.normal(s["key"]), space)


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_keys_that_a_model_creates_are_warned_of_too(impl):
    def model(state):
        return jax.random.normal(jax.random.key(state["seed"], impl=impl))

    executor = gx.ParallelExecution(model, gx.Space({"seed": gx.DataAxis([1, 2, 3])}))
    with pytest.warns(UserWarning, match=f"draws from '{impl}' keys depend on how"):
        executor.run(progress=False)
    executor.run(progress=False)  # once


def test_the_same_keys_are_warned_of_once():
    space = gx.Space({"key": gx.KeyAxis(4)}, key=jax.random.key(0, impl="rbg"))
    with pytest.warns(UserWarning, match="depend on how many") as caught:
        gx.ParallelExecution(lambda s: jax.random.normal(s["key"]), space).run(progress=False)
    assert len(caught) == 1


def wandering(state):
    """Walk until a threshold is crossed; the number of steps differs between points."""

    def step(c):
        x, k = c
        return x + state["speed"] * jnp.cos(k / 10.0) ** 2 + 0.01, k + 1

    x, k = jax.lax.while_loop(lambda c: c[0] < 5.0, step, (0.0, 0))
    return {"x": x, "k": k}


SPEEDS = np.random.default_rng(0).permutation(np.geomspace(1e-3, 1, 600))
WANDERING = gx.Space({"speed": gx.DataAxis(SPEEDS)}, mode="product")


@pytest.mark.slow
def test_a_repeated_sweep_of_an_uneven_loop_lets_points_leave_it(monkeypatch):
    monkeypatch.setattr(tuning, "_REPEATED", 1e9)
    monkeypatch.setattr(tuning, "_BETTER", 1e9)  # whatever takes longer on this machine
    executor = gx.ParallelExecution(wandering, WANDERING, n_pmap=1)
    assert "Lanes:   none (a run measures how long points wait)" in repr(executor.plan())
    first, second, third = (executor.run(progress=False).dataset for _ in range(3))
    assert executor.plan().lanes > 0
    assert re.search(r"\(without them, points wait in \d+% of the iter", repr(executor.plan()))
    for other in second, third:
        xr.testing.assert_allclose(other, first)
        np.testing.assert_array_equal(other["k"], first["k"])


def test_how_long_points_wait_is_shown():
    executor = gx.ParallelExecution(wandering, WANDERING, n_pmap=1)
    executor.run(progress=False)
    if not executor.plan().lanes:  # another test may have found that they are faster
        assert re.search(r"points wait in \d+% of the iterations", repr(executor.plan()))


@pytest.mark.parametrize(
    ("lanes", "why"), [(False, "lanes=False"), (True, "n_vmap=50")], ids=["off", "fixed"]
)
def test_without_lanes_the_plan_says_why(lanes, why):
    plan = gx.ParallelExecution(wandering, WANDERING, n_vmap=50).plan(lanes=lanes)
    assert plan.lanes == 0
    assert why in repr(plan)


def test_an_accelerator_has_lanes_if_there_are_many_points_or_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(Prepared, "_start", lambda self: ACCELERATOR)
    space = WANDERING.isel(speed=slice(500))  # of which no other test has measured a plan
    executor = gx.ParallelExecution(wandering, space, n_pmap=1)
    plan = executor.plan()
    assert plan.n_vmap == 500
    assert "Lanes:   none (an accelerator has room for all points at a time)" in repr(plan)
    assert executor.plan(lanes=64).lanes == 64
    first, second = (executor.run(lanes=n, progress=False).dataset for n in (True, 64))
    np.testing.assert_array_equal(first["k"], second["k"])
    many = gx.Space({"speed": gx.GridAxis(0.5, 1, 4 * ACCELERATOR.lanes)})
    assert gx.ParallelExecution(wandering, many, n_pmap=1).plan().is_counted


def settling(state):
    def step(x, _):
        return x + 0.1 * jnp.tanh(state["a"] - x), None

    return {"x": jax.lax.scan(step, 0.0, None, length=1000)[0], "a": state["a"]}


@pytest.mark.parametrize("n", [9, 25, 50])
def test_points_that_are_repeated_to_fill_vectors_are_not_in_the_result(n):
    space = gx.Space({"a": gx.GridAxis(0, 1, n)})
    executor = gx.ParallelExecution(settling, space)
    plan, dataset = executor.plan(), executor.run(progress=False).dataset
    if plan.n_vmap > n:  # with versions of JAX that do not compile loops as a whole, it is not
        assert f"{n} points (point: {n}), 32 at a time, of which {32 - n} are repeated" in repr(
            plan
        )
    one_by_one = gx.ParallelExecution(settling, space, n_vmap=1).run(progress=False).dataset
    assert dict(dataset.sizes) == {"point": n}
    xr.testing.assert_allclose(dataset, one_by_one, rtol=1e-6)
    np.testing.assert_array_equal(dataset["a"], space.dataset["a"])


def test_a_function_that_a_model_calls_is_called_once_per_point():
    called = []

    def model(state):
        jax.debug.callback(called.append, state["a"])
        return settling(state)

    executor = gx.ParallelExecution(model, gx.Space({"a": gx.GridAxis(0, 1, 12)}))
    executor.run(progress=False)
    jax.effects_barrier()
    assert len(called) == 12


def test_lanes_that_are_not_possible_are_refused():
    space = gx.Space({"x": gx.GridAxis(0, 1, 5)}, mode="product")
    executor = gx.ParallelExecution(lambda s: s["x"] * 2, space)
    with pytest.raises(ValueError, match="lanes=4 is not possible for this model: no loop"):
        executor.run(lanes=4, progress=False)


@pytest.mark.parametrize("lanes", [0, -3, "many", 2.5, None])
def test_lanes_are_a_bool_or_a_number(lanes):
    executor = gx.ParallelExecution(wandering, WANDERING)
    with pytest.raises((TypeError, ValueError), match="lanes must be True, False, or the number"):
        executor.run(lanes=lanes, progress=False)
    with pytest.raises((TypeError, ValueError), match="lanes must be True, False, or the number"):
        executor.plan(lanes=lanes)


def test_a_point_that_fails_after_its_loop_does_not_cost_the_others():
    def fails(k):
        if (np.asarray(k) == 100).any():
            raise ValueError("a hundred steps")
        return np.asarray(k)

    def model(state):
        k = jax.lax.while_loop(lambda k: k < state["n"], lambda k: k + 1, 0)
        shape = jax.ShapeDtypeStruct((), jnp.int32)
        check = functools.partial(jax.pure_callback, fails, shape, vmap_method="broadcast_all")
        return jax.lax.cond(k >= 0, check, lambda k: k, k)

    space = gx.Space({"n": gx.DataAxis([3, 100, 7, 0, 50])}, mode="product")
    executor = gx.ParallelExecution(model, space, n_pmap=1)
    result = executor.run(lanes=2, on_error="record", progress=False)
    assert result.dataset["status"].values.tolist() == [1, 2, 1, 1, 1]
    assert result.dataset["value"].values[[0, 2, 3, 4]].tolist() == [3, 7, 0, 50]


@pytest.mark.slow
def test_an_adaptive_solver_takes_as_many_steps_as_alone(x64):
    diffrax = pytest.importorskip("diffrax")

    def model(state):
        def field(t, y, mu):
            x, v = y
            return v, mu * (1 - x * x) * v - x

        controller = diffrax.PIDController(rtol=1e-4, atol=1e-4)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            t0=0.0,
            t1=10.0,
            dt0=0.01,
            y0=(2.0, 0.0),
            args=state["mu"],
            stepsize_controller=controller,
        )
        return {"x": solution.ys[0][0], "steps": solution.stats["num_steps"]}

    # In float32, vectors may round differently from numbers, which decides about single steps.
    space = gx.Space({"mu": gx.DataAxis(np.linspace(0.1, 30, 23)[::-1])}, mode="product")
    executor = gx.ParallelExecution(model, space, n_pmap=1)
    assert executor.plan(lanes=4).lanes == 4
    found = executor.run(lanes=4, progress=False).dataset
    alone = [jax.jit(model)(space[i]) for i in range(len(space))]
    assert len({int(one["steps"]) for one in alone}) > 10
    np.testing.assert_array_equal(found["steps"], [one["steps"] for one in alone])
    np.testing.assert_allclose(found["x"], [one["x"] for one in alone], rtol=1e-6)
