"""A model ready to be swept: one trace, one compilation for all that is the same program."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel.layout import vectors_first
from gridax._kernel.trace import fingerprint
from tests.devices import THREADS, on
from tests.processes import finished


def product(**axes):
    return gx.Space(axes, mode="product")


def test_the_plan_of_a_sweep_is_shown_without_running_it():
    def model(state):
        calls.append(1)
        return {"y": state["a"] * jnp.arange(100.0), "key": state["k"]}

    calls = []
    space = product(a=gx.GridAxis(0, 1, 50), k=gx.KeyAxis(4, name="trial"))
    plan = gx.ParallelExecution(model, space, n_vmap=40, n_pmap=2).plan()
    assert calls == [1]  # a trace
    assert (plan.n_points, plan.sizes, plan.dims) == (200, (50, 4), ("a", "trial"))
    assert plan.point_bytes == 400 + 8
    assert plan.n_vmap <= 40
    assert repr(plan).splitlines()[:4] == [
        "<gridax.Plan>",
        "Points:  200 (a 50 × trial 4)",
        "Outputs: 81.6 kB",
        "Blocks:  1",
    ]


def test_a_plan_tells_the_bytes_of_the_compiled_program():
    def model(state):
        return jax.lax.scan(lambda x, _: (x + state["a"],) * 2, jnp.zeros(1000), length=500)[1][
            ::-1
        ]

    plan = gx.ParallelExecution(model, product(a=gx.GridAxis(0, 1, 8)), n_vmap=8, n_pmap=1).plan()
    assert plan.tile_bytes >= 8 * 1000 * 500 * 4


@pytest.mark.parametrize(
    ("memory", "error", "text"),
    [
        ("much", ValueError, "memory must be a positive number of bytes or text such as '4 GB'"),
        (0, ValueError, "memory must be a positive number of bytes or text such as '4 GB'"),
        (1.5, TypeError, "memory must be a number of bytes or text such as '4 GB', got 1.5"),
    ],
)
def test_memory_that_makes_no_sense_is_refused_at_once(memory, error, text):
    executor = gx.ParallelExecution(lambda s: s["a"], product(a=gx.GridAxis(0, 1, 3)))
    for ask in (executor.plan, lambda memory: executor.run(memory=memory, progress=False)):
        with pytest.raises(error, match=re.escape(text)):
            ask(memory=memory)


def test_too_little_to_compute_stays_on_one_device_unless_told_otherwise():
    space = product(a=gx.GridAxis(0, 1, 20))
    plan = gx.ParallelExecution(lambda s: s["a"], space).plan()
    assert plan.n_devices == 1
    assert "Devices: 1 (too little to compute for several), about" in repr(plan)
    assert gx.ParallelExecution(lambda s: s["a"], space, n_pmap=4, n_vmap=5).plan().n_devices == 4


def test_much_to_compute_goes_to_all_devices():
    space = product(a=gx.GridAxis(0, 1, 200))
    assert gx.ParallelExecution(looping, space).plan().n_devices == jax.local_device_count()


def looping(state):
    x = jnp.full(100, state["a"])
    return jax.lax.fori_loop(0, 1000, lambda i, x: jnp.tanh(x) + state["a"], x)


def test_a_cpu_that_is_a_single_device_has_a_thread_per_core():
    space = product(a=gx.GridAxis(0, 1, 200))
    with on(THREADS):
        plan = gx.ParallelExecution(looping, space).plan()
        small = gx.ParallelExecution(looping, product(a=gx.GridAxis(0, 1, 2)), n_vmap=1).plan()
        alone = gx.ParallelExecution(looping, space, n_pmap=1).plan()
        half = gx.ParallelExecution(looping, space).plan(memory=plan.tile_bytes)
    assert (plan.n_devices, plan.n_threads, plan.n_parallel) == (1, 3, 3)
    assert "Devices: 1 with 3 threads, about" in repr(plan)
    assert "in each at a time" in repr(plan)
    assert small.n_threads == 2
    assert alone.n_threads == 1
    assert half.n_threads * half.tile_bytes <= plan.tile_bytes


def test_points_that_are_too_large_for_several_threads_are_computed_one_by_one():
    def model(state):
        return jax.lax.fori_loop(
            0, 2, lambda i, x: jnp.sin(x) + state["b"], jnp.ones(10**6) * state["b"]
        ).sum()

    with on(THREADS):
        executor = gx.ParallelExecution(model, product(b=gx.GridAxis(0, 1, 6)))
        needed = executor.plan().tile_bytes
        plan = executor.plan(memory=int(1.5 * needed))
        found = executor.run(memory=int(1.5 * needed), progress=False).dataset["value"]
    assert (plan.n_threads, plan.n_vmap) == (1, 1)
    assert plan.tile_bytes <= 1.5 * needed
    np.testing.assert_allclose(found[3], model({"b": jnp.float32(0.6)}), rtol=1e-5)


def test_functions_that_a_model_calls_back_are_called_by_one_thread():
    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(np.sin, kind, state["a"], vmap_method="sequential")

    with on(THREADS):
        plan = gx.ParallelExecution(model, product(a=gx.GridAxis(0, 1, 200))).plan()
    assert plan.n_threads == 1


@pytest.mark.parametrize("n_pmap", [None, 2, THREADS])
def test_routines_that_wait_for_each_other_run_one_at_a_time(n_pmap):
    def model(state):
        return jnp.linalg.eigvalsh(jnp.eye(40) + state["a"] * jnp.ones((40, 40)))[-1]

    with on(n_pmap) as n_pmap:
        plan = gx.ParallelExecution(model, product(a=gx.GridAxis(0, 1, 2000)), n_pmap=n_pmap).plan()
    assert plan.n_parallel == 1
    assert "may wait for each other" in plan.idle


@pytest.mark.parametrize("n_pmap", [1, THREADS])
def test_nan_is_still_found_where_jax_looks_for_it(n_pmap):
    with on(n_pmap) as n_pmap, jax.debug_nans(True):
        executor = gx.ParallelExecution(
            lambda s: jnp.log(s["a"]), product(a=gx.GridAxis(-1, 1, 300)), n_pmap=n_pmap
        )
        with pytest.raises(FloatingPointError, match="nan"):
            executor.run(progress=False)


def test_a_new_function_of_the_same_program_compiles_nothing(compilations):
    def make():
        return lambda state: jnp.tanh(state["a"]) + 0.5

    space = product(a=gx.GridAxis(0, 1, 23))
    expected = gx.ParallelExecution(make(), space).run(progress=False).dataset
    with compilations as compiled:
        found = gx.ParallelExecution(make(), space).run(progress=False).dataset
    assert compiled.names == []
    np.testing.assert_array_equal(found["value"], expected["value"])


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray], ids=["NumPy", "JAX"])
@pytest.mark.sampled(2)
@pytest.mark.slow
def test_large_arrays_that_a_model_reads_from_outside_are_not_compiled_in(array, compilations):
    def make(weights):
        return lambda state: jax.lax.scan(
            lambda x, _: (jnp.tanh(weights @ x) + state["a"], None), jnp.ones(64), length=3
        )[0].sum()

    space = product(a=gx.GridAxis(0, 1, 9))
    draw = np.random.default_rng(0).normal
    one, other = (array(draw(size=(64, 64)).astype(np.float32)) for _ in range(2))
    first = gx.ParallelExecution(make(one), space).run(progress=False).dataset["value"]
    with compilations as compiled:
        second = gx.ParallelExecution(make(other), space).run(progress=False).dataset["value"]
    assert compiled.names == []
    for weights, found in ((one, first), (other, second)):
        direct = gx.SequentialExecution(make(weights), space).run(progress=False).dataset["value"]
        np.testing.assert_allclose(found, direct, rtol=1e-4)
    assert not np.allclose(first, second)


@pytest.mark.parametrize("size", [3, 5000])
def test_functions_that_are_called_back_are_never_mistaken_for_each_other(size):
    def make(number):
        def model(state):
            kind = jax.ShapeDtypeStruct((), jnp.float32)
            return jax.pure_callback(
                lambda x: np.float32(x + number), kind, state["a"], vmap_method="sequential"
            )

        return model

    space = product(a=gx.DataAxis([1.0, 2.0]))
    for number in range(3):
        found = gx.ParallelExecution(make(number), space).run(progress=False).dataset["value"]
        assert found.values.tolist() == [1 + number, 2 + number]


def test_what_is_computed_does_not_reach_the_host_more_often_than_it_varies():
    def model(state):
        return {"both": state["a"] + state["b"], "one": 2 * state["a"], "none": jnp.arange(3.0)}

    space = product(a=gx.DataAxis([1.0, 2.0]), b=gx.DataAxis([10.0, 20.0, 30.0]))
    found = gx.ParallelExecution(model, space, n_pmap=1).run(progress=False).dataset
    assert found["both"].values.tolist() == [[11, 21, 31], [12, 22, 32]]
    assert found["one"].values.tolist() == [[2, 2, 2], [4, 4, 4]]
    assert found["none"].values.tolist() == [[[0, 1, 2]] * 3] * 2
    found["none"][0, 0] = 7  # every point has its own
    assert found["none"].values[0, 1].tolist() == [0, 1, 2]


CACHED = """
import jax, jax.numpy as jnp
import gridax as gx

jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))

def model(state):
    return jnp.tanh(state["a"]).sum() + jax.random.normal(state["k"]) + weights.sum()

weights = jnp.ones((64, 64))
space = gx.Space({"a": gx.GridAxis(0, 1, 50), "k": gx.KeyAxis(3)}, mode="product")
gx.ParallelExecution(model, space).run(progress=False)
for what in "hits", "misses":
    print(seen.count(f"/jax/compilation_cache/cache_{what}"))
"""


@pytest.mark.slow
def test_the_persistent_cache_of_jax_serves_the_next_process(tmp_path):
    counts = []
    for _ in range(2):
        done = finished("-c", CACHED, env={"JAX_COMPILATION_CACHE_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr[-2000:]
        counts.append(tuple(map(int, done.stdout.split())))
    (hits, misses), (later_hits, later_misses) = counts
    assert (hits, later_misses) == (0, 0)
    assert later_hits == misses > 0


def called_back(function):
    def model(state):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(function, kind, state["a"], vmap_method="sequential")

    return model


def frozen(factor):
    @dataclasses.dataclass(frozen=True)
    class Simulator:
        rate: float = dataclasses.field(default=1.0, repr=False)

        def __call__(self, x):
            return np.float32(factor * x)

    return Simulator()


def named(factor):
    class Simulator(NamedTuple):
        rate: float = 1.0

        def __call__(self, x):
            return np.float32(factor * x)

    return Simulator()


def a_class(factor):
    class Simulator:
        def __new__(cls, x):
            return np.float32(factor * x)

    return Simulator


def partial(factor):
    return functools.partial(lambda factor, x: np.float32(factor * x), factor)


@pytest.mark.parametrize("make", [frozen, named, a_class, partial])
def test_simulators_that_only_look_alike_are_told_apart(make):
    space = product(a=gx.DataAxis([1.0, 2.0]))
    for factor in (1, 10):
        found = gx.ParallelExecution(called_back(make(factor)), space).run(progress=False)
        assert found.dataset["value"].values.tolist() == [factor, 2 * factor]


def test_a_model_computes_with_the_arrays_that_it_saw_first():
    outside = np.array([1.0, 2.0], np.float32)
    executor = gx.ParallelExecution(
        lambda s: s["a"] * outside.sum(), product(a=gx.DataAxis([1.0, 2.0]))
    )
    assert executor.run(progress=False).dataset["value"].values.tolist() == [3, 6]
    outside[:] = 100
    found = executor.run(progress=False, memory="1 kB")
    assert found.dataset["value"].values.tolist() == [3, 6]


def test_a_jit_around_the_model_hides_no_array(compilations):
    def make(weights):
        return jax.jit(lambda state: (weights @ jnp.full(64, state["a"])).sum())

    space = product(a=gx.DataAxis([1.0, 2.0, 3.0]))
    one, other = (np.full((64, 64), number, np.float32) for number in (1, 2))
    gx.ParallelExecution(make(one), space).run(progress=False)
    with compilations as compiled:
        found = gx.ParallelExecution(make(other), space).run(progress=False).dataset["value"]
    assert compiled.names == []
    assert found.values.tolist() == [2 * 64**2, 4 * 64**2, 6 * 64**2]


def test_values_that_are_changed_in_place_vary_like_what_is_written_to_them():
    def model(state):
        ref = jax.new_ref(jnp.zeros(()))
        ref[...] = state["a"]
        return ref[...]

    space = product(a=gx.DataAxis([1.0, 2.0, 3.0]), b=gx.DataAxis([0.0, 1.0]))
    for n_vmap in (None, 1):
        found = gx.ParallelExecution(model, space, n_vmap=n_vmap).run(progress=False).dataset
        assert found["value"].values.tolist() == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize("number", [1.5, True, 3j, 2])
@pytest.mark.parametrize("n_vmap", [None, 1])
def test_outputs_may_be_numbers_that_never_change(number, n_vmap):
    space = product(c=gx.ChoiceAxis(["a", "b"]), x=gx.GridAxis(0, 1, 2))
    executor = gx.ParallelExecution(lambda s: jnp.asarray(number), space, n_vmap=n_vmap)
    assert executor.run(progress=False).dataset["value"].values.tolist() == [[number] * 2] * 2


@pytest.mark.slow
def test_programs_within_programs_are_looked_at_once():
    def doubled(inner):
        return jax.jit(lambda x: inner(inner(x)))

    model = jax.jit(lambda x: jnp.sin(x) + 1)
    for _ in range(18):  # a quarter of a million calls
        model = doubled(model)
    closed = jax.make_jaxpr(model)(1.0)
    assert len(fingerprint(vectors_first(closed).jaxpr)) == 64
