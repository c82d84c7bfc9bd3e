"""On a CPU, loops are compiled as a whole; the numbers stay the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse

import gridax as gx
from gridax._kernel import cpu, program

FAST_CODE = cpu.Effort.FAST_CODE

needs_whole_loops = pytest.mark.skipif(
    not cpu._IS_KNOWN, reason="with this version of JAX, loops are compiled as it does by default"
)
X = np.linspace(0.1, 1, 12, dtype=np.float32)
SQUARE = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
WIDE = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)


def simulated(x):
    def step(carry, _):
        v, w = carry
        return (v + 0.1 * (v - v**3 / 3 - w + x), w + 0.01 * (v - 0.8 * w)), v

    return jax.lax.scan(step, (x, -x), length=30)


def until_large(x):
    return jax.lax.while_loop(lambda c: c[1] < 10, lambda c: (c[0] + 1, c[1] * (1 + x)), (0, x))


def with_draws(x):
    keys = jax.random.split(jax.random.key(3), 20)
    return jax.lax.scan(lambda c, key: (0.9 * c + jax.random.normal(key), c), x, keys)


def nested_loops(x):
    def outer(i, c):
        return jax.lax.fori_loop(0, i, lambda j, c: jnp.cos(c) * x + j, c)

    return jax.lax.fori_loop(0, 7, outer, x)


def in_a_branch(x):
    return jax.lax.cond(x > 0.5, lambda: simulated(x)[0][0], lambda: x)


def with_products(x):
    return jax.lax.scan(lambda c, _: (jnp.tanh(WIDE @ c), c.sum()), jnp.full(40, x), length=5)


def with_a_sine_for_many(x):
    turns = jnp.linspace(0, 1, 20)
    return jax.lax.fori_loop(0, 20, lambda i, c: jnp.tanh(c * x + jnp.sin(x * i)), turns)


def with_a_sine_for_all(x):
    turns = jnp.linspace(0, 1, 20)
    return jax.lax.fori_loop(0, 20, lambda i, c: jnp.tanh(c * x + jnp.sin(0.1 * i)), turns)


def with_short_sums(x):
    return jax.lax.fori_loop(0, 20, lambda i, c: c / (0.1 + (c**2).sum()), jnp.arange(3.0) + x)


def with_long_sums(x):
    return jax.lax.fori_loop(0, 20, lambda i, c: c / (0.1 + (c**2).sum()), jnp.arange(500.0) + x)


def with_many_operations(x):
    def step(i, c):
        for k in range(300):
            c = c * 1.001 + k
        return c

    return jax.lax.fori_loop(0, 3, step, x)


def with_a_callback(x):
    def step(i, c):
        shape = jax.ShapeDtypeStruct((), x.dtype)
        return c + jax.pure_callback(np.sin, shape, c, vmap_method="sequential")

    return jax.lax.fori_loop(0, 3, step, x)


def with_a_sort(x):
    return jax.lax.fori_loop(0, 3, lambda i, c: jnp.sort(jnp.cos(c + i)), jnp.arange(5.0) * x)


def with_a_solve(x):
    matrix = jnp.eye(3) * 2 + x
    return jax.lax.fori_loop(0, 3, lambda i, c: jnp.linalg.solve(matrix, c), jnp.ones(3))


WHOLE = [simulated, until_large, with_draws, nested_loops, in_a_branch, with_a_sine_for_all]
NOT_WHOLE = [with_products, with_long_sums, with_many_operations, with_a_callback, with_a_sort]
NOT_WHOLE += [with_a_solve, with_a_sine_for_many]


def loops_that_are_whole(function, *inputs, longest=0):
    """Return how many loops of a function have the attributes that make XLA compile them whole."""
    text = jax.jit(cpu.rewritten(function, longest)).lower(*inputs).as_text()
    return sum('xla_cpu_small_call = "true"' in line for line in text.splitlines())


@pytest.mark.parametrize("model", [*WHOLE, with_short_sums, *NOT_WHOLE])
def test_the_outputs_are_those_of_the_model(model):
    space = gx.Space({"x": gx.DataAxis(X)})
    dataset = gx.ParallelExecution(lambda s: model(s["x"]), space).run(progress=False).dataset
    expected = [jax.tree.leaves(jax.jit(model)(x)) for x in X]
    for name, *each in zip(dataset.data_vars, *expected, strict=True):
        np.testing.assert_allclose(dataset[name], np.stack(each), rtol=1e-4, atol=1e-4)


@needs_whole_loops
@pytest.mark.parametrize("model", WHOLE)
def test_a_loop_of_operations_on_elements_is_compiled_as_a_whole(model):
    assert loops_that_are_whole(jax.vmap(model), X) >= 1


@pytest.mark.parametrize("model", [*NOT_WHOLE, with_short_sums])
def test_what_needs_a_library_or_takes_long_to_compile_is_not(model):
    assert loops_that_are_whole(jax.vmap(model), X) == 0


@needs_whole_loops
def test_only_the_outermost_loop_that_can_be_whole_is():
    assert loops_that_are_whole(nested_loops, X[0]) == 1

    def with_a_product_around(x):
        return jax.lax.fori_loop(0, 3, lambda i, c: jnp.sin(nested_loops(c[0])) * (WIDE @ c), x)

    assert loops_that_are_whole(with_a_product_around, jnp.ones(40)) == 1


SPARSE = sparse.BCOO.fromdense(SQUARE)


def with_a_sparse_matrix(x):
    return jax.lax.fori_loop(0, 5, lambda i, c: jnp.tanh(SPARSE @ c + x), jnp.ones(3) * x)


@pytest.mark.parametrize("x", [X, X[:1].repeat(40)], ids=["few points", "points last"])
def test_a_loop_with_a_sparse_matrix_is_compiled_once(monkeypatch, x):
    efforts = []
    jitted = program.Computation.jitted
    monkeypatch.setattr(
        program.Computation, "jitted", lambda self: efforts.append(self.effort) or jitted(self)
    )
    monkeypatch.setattr(program, "_kept", program.Computation.jitted)
    sweep = gx.ParallelExecution(
        lambda s: with_a_sparse_matrix(s["x"]), gx.Space({"x": gx.DataAxis(x)})
    )
    values = sweep.run(progress=False).dataset["value"]
    np.testing.assert_allclose(
        values, [jax.jit(with_a_sparse_matrix)(each) for each in x], rtol=1e-5
    )
    assert efforts
    assert cpu.Effort.DEFAULT not in efforts


@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this version of JAX has no references")
@pytest.mark.parametrize("n", [3, 20, 300])
def test_a_loop_may_change_an_array_in_place(n):
    def model(state):
        buffer = jax.new_ref(jnp.zeros(3))

        def step(carry, i):
            buffer[i % 3] = buffer[(i + 1) % 3] * 0.5 + state["a"]
            return carry + buffer[...], None

        return jax.lax.scan(step, jnp.zeros(3), jnp.arange(7))[0]

    space = gx.Space({"a": gx.GridAxis(0, 1, n)}, mode="product")
    values = gx.ParallelExecution(model, space).run(progress=False).dataset["value"].values
    np.testing.assert_allclose(
        values[::7], [jax.jit(model)(space[i]) for i in range(0, n, 7)], rtol=1e-6
    )


@needs_whole_loops
def test_a_loop_over_large_arrays_is_left_to_several_threads():
    wide = jnp.ones(2**16)
    assert loops_that_are_whole(simulated, wide) == 0
    assert loops_that_are_whole(simulated, wide[: 2**10]) == 1


@needs_whole_loops
def test_short_sums_are_computed_by_xla_itself_where_a_loop_has_them():
    for model, expected in ((with_short_sums, 64), (with_long_sums, 0), (simulated, 0)):
        jaxpr = jax.make_jaxpr(model)(X[0]).jaxpr
        assert cpu.longest_sum(jaxpr, points_last=False) == expected
        assert cpu.longest_sum(jaxpr, points_last=True) > 64  # sums of whole rows
    assert loops_that_are_whole(jax.vmap(with_short_sums), X, longest=64) == 1
    assert "INDIVIDUAL_DOT" in str(cpu.options(FAST_CODE, 64))
    assert "INDIVIDUAL_DOT" not in str(cpu.options(FAST_CODE, 0))


@needs_whole_loops
@pytest.mark.parametrize("operation", [jnp.sin, jnp.cos, jnp.tan, lambda x: jnp.exp(1j * x)])
@pytest.mark.parametrize("given", [False, True])
def test_sines_that_points_share_are_not_repeated_for_each(operation, given):
    def function(points, at):
        shared = operation(at if given else jnp.arange(50.0))
        return jax.vmap(lambda point: jnp.abs(shared - point))(points)

    points, at = np.linspace(0, 1, 30, dtype=np.float32), np.arange(50, dtype=np.float32)
    fast = jax.jit(cpu.rewritten(function, 0))
    lowered = fast.lower(points, at)
    assert lowered.as_text().count('inlineable = "false"') == 1
    text = lowered.compile().as_text()
    fused = [body for body in text.split("\n}") if body.strip().startswith("%fused")]
    large = [body for body in fused if "[30,50]" in body]
    assert large
    assert not any(f" {name}(" in body for body in large for name in ("sine", "cosine", "tan"))
    expected = np.abs(np.asarray(operation(at)) - points[:, None])
    np.testing.assert_allclose(fast(points, at), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [0, 3])
def test_a_model_may_order_its_operations_by_tokens(length):
    def ordered(x):
        jax.lax.after_all(jax.lax.create_token(x))
        return jnp.sin(jnp.arange(5.0)) * x

    def model(state):
        values = ordered(state["x"])
        return jax.lax.fori_loop(0, length, lambda i, c: c + ordered(state["x"]), values)

    sweep = gx.ParallelExecution(model, gx.Space({"x": gx.DataAxis(X)}))
    values = sweep.run(progress=False).dataset["value"]
    expected = (length + 1) * np.sin(np.arange(5)) * X[:, None]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@needs_whole_loops
def test_many_sines_are_fused_as_by_default_since_calls_take_long_to_compile():
    def function(points, n):
        harmonics = [jnp.sin(k * jnp.arange(50.0)) for k in range(n)]
        return sum(jnp.outer(points, each) for each in harmonics)

    for n, n_calls in ((20, 20), (100, 0)):
        fast = jax.jit(cpu.rewritten(lambda points, n=n: function(points, n), 0))
        lowered = fast.lower(np.ones(30, np.float32))
        assert lowered.as_text().count('inlineable = "false"') == n_calls


def test_sines_of_each_point_are_fused_as_by_default():
    def function(points):
        return jnp.sin(jnp.outer(points, jnp.arange(50.0))) + jnp.sin(2.0) * jnp.cos(points[0])

    lowered = jax.jit(cpu.rewritten(function, 0)).lower(np.ones(30, np.float32))
    assert "inlineable" not in lowered.as_text()


@needs_whole_loops
@pytest.mark.parametrize(
    ("n_short", "n_long", "times", "expected"),
    [(40, 0, 1, 64), (0, 400, 1, 0), (40, 100, 1, 64), (40, 400, 1, 0), (40, 400, 9, 64)],
)
def test_xla_computes_sums_itself_if_most_elements_are_in_short_ones(
    n_short, n_long, times, expected
):
    def model(x):
        def step(total, _):  # because of the sort, the loop is not compiled as a whole
            return total + jnp.sort(jnp.sum((x * jnp.ones((n_short, 3))) ** 2, axis=1))[-1], None

        total, _ = jax.lax.scan(step, 0.0, None, length=times) if n_short else (0.0, None)
        return total + jnp.sin(x * jnp.ones(n_long)).max(initial=0)

    jaxpr = jax.make_jaxpr(model)(1.0).jaxpr
    assert cpu.longest_sum(jaxpr, points_last=False) == expected


def test_short_sweeps_are_compiled_with_few_passes_unless_loops_are_whole(monkeypatch):
    efforts = []

    def options(effort, longest):
        efforts.append(effort)
        return {}

    def with_a_sort(x):
        return jax.lax.fori_loop(0, 100, lambda i, c: jnp.sort(c + x), x * jnp.ones(300))[0]

    real_options = cpu.options
    monkeypatch.setattr(cpu, "options", options)
    program._kept.cache_clear()
    for n in (16, 4096):
        space = gx.Space({"x": gx.GridAxis(0.1, 0.9, n)})
        for model in (with_a_sort, lambda x: simulated(x)[0][0]):
            executor = gx.ParallelExecution(lambda s, model=model: model(s["x"]), space)
            executor.plan()
    brief_sort, brief_whole, long_sort, _ = efforts
    assert brief_sort is cpu.Effort.FAST_COMPILING
    assert brief_whole is (FAST_CODE if cpu._IS_KNOWN else cpu.Effort.FAST_COMPILING)
    assert long_sort is FAST_CODE
    assert "xla_backend_optimization_level" in real_options(brief_sort, 0)
    program._kept.cache_clear()


def test_options_of_the_user_take_precedence(monkeypatch):
    assert cpu.options(FAST_CODE, 0) == {"xla_cpu_prefer_vector_width": 512}
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=128")
    assert cpu.options(FAST_CODE, 0) == {}


@needs_whole_loops
def test_tiles_have_as_many_points_as_leave_arrays_small():
    def most_points(model):
        return cpu.most_points(jax.make_jaxpr(model)(X[0]).jaxpr)

    assert most_points(simulated) == 2**17 // 4
    assert most_points(lambda x: simulated(jnp.full(100, x))) == 2**17 // 400
    assert most_points(lambda x: simulated(jnp.full(1000, x))) == 0  # tiles would be too narrow
    assert most_points(with_products) == 0  # a loop that is not whole
    assert most_points(jnp.sin) == 0  # no loop


def test_programs_are_not_optimized_more_than_jax_is_asked_to():
    level = "xla_backend_optimization_level"
    assert level in cpu.options(cpu.Effort.FAST_COMPILING, 0)
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        assert level not in cpu.options(cpu.Effort.FAST_COMPILING, 0)
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def test_a_compiler_that_refuses_is_asked_as_by_default(monkeypatch):
    monkeypatch.setattr(cpu, "options", lambda *_: {"xla_cpu_no_such_option": True})
    program._kept.cache_clear()
    space = gx.Space({"x": gx.DataAxis(X)})
    for n_vmap in (None, 5):
        execution = gx.ParallelExecution(lambda s: simulated(s["x"])[0][0], space, n_vmap=n_vmap)
        value = execution.run(progress=False).dataset["value"]
        np.testing.assert_allclose(value, [simulated(x)[0][0] for x in X], rtol=1e-5)
    program._kept.cache_clear()
