"""What each stage of a traced model varies along."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridax._plan.work import work_of

A, B, BOTH, NONE = frozenset({0}), frozenset({1}), frozenset({0, 1}), frozenset[int]()


def work(model, a=1.0, b=1.0):
    """Return the work of a model of two values, one along each dimension."""
    return work_of(jax.make_jaxpr(model)(a, b).jaxpr, [A, B])


def turning(cond, body):
    return lambda a, b: jax.lax.while_loop(lambda c: cond(c, a, b), lambda c: body(c, a, b), 0.0)


@pytest.mark.parametrize(
    ("model", "varies"),
    [
        (lambda a, b: jnp.sin(a), A),
        (lambda a, b: jnp.sin(a) + b, BOTH),
        (lambda a, b: jnp.ones(3), NONE),
        (lambda a, b: jax.jit(lambda x: x * 2)(b), B),
        (lambda a, b: jax.nn.relu(a), A),  # a custom derivative
        (lambda a, b: jax.lax.cond(a > 0, lambda x: x, lambda x: -x, b), BOTH),
        (lambda a, b: jax.lax.scan(lambda c, _: (c * a, None), b, length=3)[0], BOTH),
        (lambda a, b: jax.lax.scan(lambda c, x: (c, x * a), b, jnp.ones(3))[0], B),
        (lambda a, b: jax.lax.scan(lambda c, x: (c, x * a), b, jnp.ones(3))[1], A),
        (turning(lambda c, a, b: c < 3, lambda c, a, b: c + 1), NONE),
        (turning(lambda c, a, b: c < a, lambda c, a, b: c + 1), A),
        (turning(lambda c, a, b: c < a, lambda c, a, b: c + b), BOTH),
    ],
)
def test_an_output_varies_along_what_it_is_computed_from(model, varies):
    assert work(model).outputs == (varies,)


def unitriangular(x, y):
    """Multiply matrices ((1, x), (0, 1)): their reducer adds, whatever came before."""
    return x[0] * y[0], x[1] + y[1] * x[0]


@pytest.mark.parametrize(
    "model",
    [
        lambda a, b: jax.lax.reduce(
            (jnp.full(3, b), jnp.full(3, a)), (1.0, 0.0), unitriangular, (0,)
        )[0],
        lambda a, b: jax.lax.reduce(
            (jnp.ones(3), jnp.full(3, a)), (1.0, b), lambda x, y: (x[1], y[0]), (0,)
        )[0],
        lambda a, b: jax.lax.reduce_window(
            (jnp.full(3, a), jnp.full(3, b)),
            (0.0, 0.0),
            lambda x, y: (x[0] + y[1], x[1]),
            (2,),
            (1,),
            "VALID",
        )[0],
        lambda a, b: jnp.full(3, a).at[1].apply(lambda x: x * 2) + 0 * b,
        lambda a, b: jax.lax.custom_linear_solve(
            lambda v: a * v, b, solve=lambda matvec, v: v / a, symmetric=True
        ),
        lambda a, b: jax.lax.associative_scan(
            lambda x, y: (x[0] * y[0], x[1] * y[0] + y[1]), (jnp.full(4, a), jnp.full(4, b))
        )[1],
    ],
    ids=["reduce", "crossed reduce", "reduce_window", "scatter", "linear solve", "scan"],
)
def test_an_operation_with_a_program_of_its_own_varies_with_all_its_inputs(model):
    assert work(model).outputs == (BOTH,)


def test_a_rule_for_batches_may_mix_its_inputs():
    @jax.custom_batching.custom_vmap
    def first(x, y):
        return x

    first.def_vmap(lambda size, batched, x, y: (x, batched[0]))
    assert work(first).outputs == (BOTH,)


@pytest.mark.parametrize(
    "wrap",
    [jax.jit, jax.checkpoint, jax.custom_jvp, jax.custom_vjp, jax.named_call],
    ids=lambda wrap: wrap.__name__,
)
def test_a_call_varies_with_the_inputs_that_each_output_needs(wrap):
    def both(x, y):
        return jnp.sin(x), jnp.cos(y)

    called = wrap(both)
    if wrap is jax.custom_jvp:
        called.defjvp(lambda primals, tangents: (both(*primals), tangents))
    if wrap is jax.custom_vjp:
        called.defvjp(lambda x, y: (both(x, y), None), lambda _, g: g)
    assert work(called).outputs == (A, B)


def test_kinds_of_keys_that_a_program_creates_or_draws_from_point_by_point_are_known():
    def created(a, b):
        return jax.random.normal(jax.random.key(0, impl="rbg"))

    def folded(a, b):
        return jax.random.normal(jax.random.fold_in(outside, a.astype(int)))

    def drawn_once(a, b):
        return jax.random.normal(outside) * a

    outside = jax.random.key(0, impl="unsafe_rbg")
    assert work(created).drawn == {"key<rbg>"}
    assert work(folded).drawn == {"key<urbg>"}
    assert work(drawn_once).drawn == frozenset()


def test_what_reaches_a_carry_only_after_several_turns_is_found():
    def model(a, b):
        def step(carry, _):
            _, y, z = carry
            return (y, z, z * a), None

        return jax.lax.scan(step, (b, b, b), length=5)[0][0]

    assert work(model).outputs == (BOTH,)


def test_each_stage_costs_along_what_it_varies_along():
    def model(a, b):
        noise = jnp.sin(jnp.full(1000, b))
        return jnp.sum(noise) * a

    time = work(model).time
    assert time[B] > 100 * time[BOTH]


def test_a_loop_costs_its_turns():
    def model(n):
        return lambda a, b: jax.lax.scan(lambda c, _: (jnp.sin(c), None), a, length=n)[0]

    assert work(model(1000)).time[A] == pytest.approx(100 * work(model(10)).time[A])


def test_a_number_that_does_not_change_in_a_loop_is_computed_once():
    def model(a, b, wrap=lambda function: function):
        def scaled(c):
            return jnp.sin(c * (1 + jnp.exp(b))), None

        return jax.lax.scan(lambda c, _: wrap(scaled)(c), a, length=1000)[0]

    def inner(a, b):
        return jax.lax.scan(lambda c, _: (model(c, b), None), a, length=10)[0]

    def until(a, b):
        return jax.lax.while_loop(lambda c: c < 1 + jnp.exp(b), lambda c: c + jnp.exp(b), a)

    for loop in (model, lambda a, b: model(a, b, jax.jit), inner, until):
        assert work(loop).time[B] < 0.1 * work(loop).time[BOTH]


def test_what_changes_in_a_loop_or_is_an_array_is_computed_in_each_turn():
    def with_an_array(a, b):
        return jax.lax.scan(lambda c, _: (c + (jnp.arange(9.0) * b).sum(), None), a, length=100)[0]

    def with_a_slice(a, b):
        return jax.lax.scan(lambda c, x: (c + jnp.exp(b * x), None), a, jnp.arange(100.0))[0]

    def with_a_state(a, b):
        def step(carry, _):
            x, y = carry
            return (x * jnp.exp(y), y + b), None

        return jax.lax.scan(step, (a, b), length=100)[0][0]

    for loop in (with_an_array, with_a_slice, with_a_state):
        assert work(loop).time[B] > 0.1 * work(loop).time[BOTH]


def test_a_loop_that_ends_by_a_condition_turns_many_times_but_few_within_another():
    def search(x, until):
        return jax.lax.while_loop(lambda c: c < until, lambda c: c + 1, x)

    def nested(a, b):
        return jax.lax.while_loop(lambda c: c < a, lambda c: search(c, b), 1.0)

    per_turn = work(lambda a, b: a + b).time[BOTH]
    alone = work(lambda a, b: search(0.0, b)).time[B]
    assert alone == pytest.approx(100 * 2 * per_turn)  # the condition and the step
    assert work(nested).time[BOTH] == pytest.approx(100 * (4 * 2 + 1) * per_turn)


def test_a_loop_of_known_length_does_not_make_a_search_short():
    def model(a, b):
        def step(c, _):
            return jax.lax.while_loop(lambda x: x < a, lambda x: x + 1, c), None

        return jax.lax.scan(step, b, length=5)[0]

    per_turn = work(lambda a, b: a + b).time[BOTH]
    assert work(model).time[BOTH] == pytest.approx(5 * 100 * 2 * per_turn)


@pytest.mark.parametrize("function", [jnp.linalg.cholesky, jnp.linalg.inv, jnp.linalg.eigvalsh])
def test_matrix_functions_cost_more_than_their_elements(function):
    def model(n):
        return work(lambda a, b: function(jnp.eye(n) * a).sum()).time[A]

    assert model(80) > 5 * model(40)


def call_back(x):
    return jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct((), jnp.float32), x)


def test_a_routine_for_a_tiny_matrix_costs_a_call():
    one = work(lambda a, b: jnp.linalg.cholesky(jnp.full((1, 1), a))).time[A]
    assert one > 20 * work(lambda a, b: jnp.sqrt(jnp.full((1, 1), a))).time[A]


def test_complex_numbers_cost_more_than_real_ones():
    real, other = (
        work(lambda a, b: jnp.full(50, a, dtype) * jnp.full(50, a, dtype)).time[A]  # noqa: B023
        for dtype in (jnp.float32, jnp.complex64)
    )
    assert other > 2 * real


@pytest.mark.parametrize(
    "solve",
    [
        lambda a, b: jax.scipy.linalg.solve_triangular(jnp.eye(9) * a, jnp.full(9, b)),
        lambda a, b: jax.lax.linalg.tridiagonal_solve(
            jnp.zeros(9), jnp.full(9, a), jnp.zeros(9), jnp.full((9, 1), b)
        ),
    ],
    ids=["triangular", "tridiagonal"],
)
def test_many_right_sides_share_their_matrix(solve):
    time = work(solve).time
    assert time[A] >= time[BOTH] / 2 > 50


def test_a_callback_costs_much():
    assert work(lambda a, b: call_back(a)).time[A] >= 1e6


@pytest.mark.parametrize(
    ("method", "serial"), [(None, A), ("sequential", A), ("expand_dims", NONE)]
)
def test_callbacks_are_called_point_by_point_unless_they_take_arrays(method, serial):
    kind = jax.ShapeDtypeStruct((), jnp.float32)
    found = work(lambda a, b: jax.pure_callback(np.sin, kind, a, vmap_method=method) + b)
    assert found.serial == serial


def test_a_callback_in_a_branch_costs_nothing_as_it_may_be_there_for_errors_only():
    def model(a, b):
        return jax.lax.cond(a > 0, call_back, lambda x: x, b)

    assert work(model).time.get(BOTH, 0.0) + work(model).time.get(B, 0.0) < 1


def test_a_callback_after_a_branch_costs_much_again():
    def model(a, b):
        return call_back(jax.lax.cond(a > 0, lambda x: x, lambda x: -x, b))

    assert work(model).time[BOTH] >= 1e6


def test_a_matrix_counts_along_its_own_dimensions():
    def model(a, b):
        return (jnp.ones((50, 50)) * a) @ (jnp.ones(50) * b)

    assert work(model).time[A] >= work(lambda a, b: jnp.ones((50, 50)) * a).time[A]


@pytest.mark.parametrize(
    ("model", "uneven"),
    [
        (turning(lambda c, a, b: c < a, lambda c, a, b: c + 1), A),
        (turning(lambda c, a, b: c < 3, lambda c, a, b: c + 1), NONE),
        (lambda a, b: jax.lax.fori_loop(0, 5, lambda i, x: x * a, b), NONE),
        (lambda a, b: jax.lax.cond(b > 0, lambda: a, lambda: -a), NONE),
    ],
)
def test_loops_that_end_at_different_turns_are_known(model, uneven):
    assert work(model).uneven == uneven


def test_what_loops_stack_is_counted_in_bytes():
    def model(a, b):
        xs = jnp.full((7, 5), b)
        return jax.lax.scan(lambda c, x: (c * a + x, c), jnp.full(5, a), xs)

    assert work(model).stacked == {B: 7 * 5 * 4, BOTH: 7 * 5 * 4}


def test_what_the_largest_operation_works_on_is_live():
    live = work(lambda a, b: jnp.sum(jnp.full(10, a) * b)).live
    assert live[A] == 4 * (1 + 10)
    assert 4 * 10 <= live[BOTH] <= 4 * 30


def test_what_is_done_once_is_not_live_in_a_long_loop():
    def model(a, b):
        c = jax.lax.scan(lambda c, _: (c * b, None), a, length=1000)[0]
        return jnp.sum(jnp.full(10_000, c))

    assert work(model).live[BOTH] < 100


def test_the_turns_are_those_of_the_innermost_loop():
    def model(a, b):
        return jax.lax.fori_loop(
            0, 5, lambda _, x: jax.lax.fori_loop(0, 7, lambda _, y: y * a, x), b
        )

    assert work(model).turns == 35
    assert work(lambda a, b: a * b).turns == 1


@pytest.mark.parametrize(("size", "apart"), [(4, NONE), (50, A)])
def test_large_matrices_that_vary_with_their_vectors_are_known(size, apart):
    def model(a, b):
        return (jnp.ones((size, size)) * a) @ (jnp.ones(size) * a * b)

    assert work(model).apart == apart


def test_a_product_of_matrices_that_takes_little_of_the_time_does_not_count():
    def model(a, b):
        x = jax.lax.fori_loop(0, 10_000, lambda _, x: jnp.sin(x) + a, jnp.ones(50) * b)
        return (jnp.ones((50, 50)) * a) @ x

    assert work(model).apart == NONE


def test_of_a_linear_solve_only_the_program_that_solves_counts():
    def model(a, b):
        matrix = jnp.eye(30) * 5 + jnp.arange(900.0).reshape(30, 30) * 1e-3 * a
        return jnp.linalg.solve(matrix, jnp.arange(30.0) * b)

    found = work(model)
    assert found.apart == NONE
    assert found.outputs == (BOTH,)
    assert found.time[A] > 4 * found.time[BOTH]  # the factorization does not depend on b


@pytest.mark.parametrize(
    ("function", "waits"),
    [
        (jnp.linalg.cholesky, True),
        (jnp.linalg.inv, True),
        (jnp.fft.fft2, True),
        (jnp.sort, False),
        (lambda x: x @ x, False),
    ],
)
def test_routines_that_wait_for_threads_are_known(function, waits):
    assert work(lambda a, b: function(jnp.eye(3) * a).real).waits == waits


def test_branches_that_a_point_does_not_take_are_known():
    def model(index, a):
        slow = lambda x: jax.lax.fori_loop(0, 100, lambda _, x: jnp.sin(x), x)  # noqa: E731
        branches = [slow, lambda x: x, slow, slow]
        return jax.lax.switch(jnp.int32(index), branches, a * jnp.ones(10))

    found = work(model)
    assert 0.7 < found.branched / sum(found.time.values()) < 0.76
    assert work(lambda a, b: model(1.0, b)).branched == 0


def test_a_loop_carries_what_varies_with_when_it_ends():
    assert work(turning(lambda c, a, b: c < a, lambda c, a, b: c + b)).live[BOTH] >= 4
    assert BOTH not in work(turning(lambda c, a, b: c < a, lambda c, a, b: c + 1)).live


def test_random_numbers_cost_more_than_sums():
    def noise(a, b):
        key = jax.random.wrap_key_data(jnp.array([a, b]).astype(jnp.uint32))
        return jax.random.bits(key, (1000,))

    assert work(noise).time[BOTH] > 20 * work(lambda a, b: jnp.full(1000, a + b)).time[BOTH]


def test_convolutions_are_known_unless_they_are_in_a_loop_of_the_model_or_do_not_vary():
    kernel = jnp.ones(5)

    def smoothed(x):
        return jnp.convolve(x * jnp.ones(100), kernel)

    assert work(lambda a, b: smoothed(a)).convolves
    assert not work(lambda a, b: smoothed(1.0) * a).convolves
    assert not work(lambda a, b: jax.lax.fori_loop(0, 9, lambda i, x: smoothed(x)[0], a)).convolves
