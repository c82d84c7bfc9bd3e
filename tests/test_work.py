"""What each stage of a traced model varies along."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from gridax._work import work_of

A, B, BOTH, NONE = frozenset({0}), frozenset({1}), frozenset({0, 1}), frozenset[int]()


def work(model, a=1.0, b=1.0):
    """Return the work of a model of two values, one along each dimension."""
    return work_of(jax.make_jaxpr(model)(a, b).jaxpr, [A, B])


def loop(cond, body):
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
        (loop(lambda c, a, b: c < 3, lambda c, a, b: c + 1), NONE),
        (loop(lambda c, a, b: c < a, lambda c, a, b: c + 1), A),
        (loop(lambda c, a, b: c < a, lambda c, a, b: c + b), BOTH),
    ],
)
def test_an_output_varies_along_what_it_is_computed_from(model, varies):
    assert work(model).outputs == (varies,)


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

    short, long = work(model(10)), work(model(1000))
    assert long.time[A] == pytest.approx(100 * short.time[A])
    assert long.launches == pytest.approx(100 * short.launches)


def test_a_matrix_counts_along_its_own_dimensions():
    def model(a, b):
        return (jnp.ones((50, 50)) * a) @ (jnp.ones(50) * b)

    assert work(model).time[A] > work(lambda a, b: jnp.ones((50, 50)) * a).time[A]


@pytest.mark.parametrize(
    ("model", "uneven"),
    [
        (loop(lambda c, a, b: c < a, lambda c, a, b: c + 1), A),
        (loop(lambda c, a, b: c < 3, lambda c, a, b: c + 1), NONE),
        (lambda a, b: jax.lax.fori_loop(0, 5, lambda i, x: x * a, b), NONE),
        (lambda a, b: jax.lax.cond(b > 0, lambda: a, lambda: -a), B),
    ],
)
def test_loops_that_end_at_different_turns_are_known(model, uneven):
    assert work(model).uneven == uneven


def test_what_loops_carry_and_stack_is_counted_in_bytes():
    def model(a, b):
        xs = jnp.full((7, 5), b)
        return jax.lax.scan(lambda c, x: (c * a + x, c), jnp.full(5, a), xs)

    found = work(model)
    assert found.state == {BOTH: 5 * 4}
    assert found.stacked == {B: 7 * 5 * 4, BOTH: 7 * 5 * 4}
