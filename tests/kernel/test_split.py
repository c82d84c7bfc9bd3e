"""Where a traced model is split, which loops it is not split at, and why."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gridax._kernel.split import Unsplit, split

A, B = frozenset({0}), frozenset({1})


def steps(n, step, start):
    return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, step(c[1])), (0, start))


def of(model, *varies, args=None):
    """Split a model of scalars that vary along some dimensions each."""
    args = [jnp.int32(3)] * len(varies) if args is None else args
    return split(jax.make_jaxpr(model)(*args), varies)


def why_not(model, *varies):
    with pytest.raises(Unsplit) as raised:
        of(model, *varies)
    return str(raised.value)


def test_what_comes_before_and_after_the_loop_is_apart():
    def model(n, b):
        k, x = steps(n, jnp.cos, jnp.sin(1.0 * b))
        return jnp.tanh(x) + k

    parts = of(model, A, B)
    assert {e.primitive.name for e in parts.before.eqns} >= {"sin"}
    assert {e.primitive.name for e in parts.after.eqns} >= {"tanh"}
    assert parts.dims == A | B
    (start,) = parts.before.outvars
    assert parts.varies[start] == B


def test_the_loop_varies_along_what_it_reads():
    assert of(lambda n, b: steps(n, jnp.cos, 1.0)[1] * b, A, B).dims == A


@pytest.mark.parametrize(
    "wrap",
    [
        jax.jit,
        jax.checkpoint,
        lambda f: jax.jit(jax.jit(f)),
        lambda f: lambda n: jax.jit(f)(n) + jax.jit(f)(2),
    ],
)
def test_calls_around_the_loop_are_opened(wrap):
    parts = of(wrap(lambda n: steps(n, jnp.cos, 1.0)[1]), A)
    assert parts.loop.primitive.name == "while"
    assert parts.dims == A


def test_the_loop_that_takes_the_most_time_is_chosen():
    def model(n):
        x = steps(n, jnp.cos, 1.0)[1]
        return steps(n, lambda x: jnp.cos(x) @ jnp.ones((50, 50)), x * jnp.ones(50))[1]

    assert of(model, A).loop.outvars[1].aval.shape == (50,)


def test_values_that_do_not_matter_or_change_stay_outside():
    def model(n):
        def step(c):
            k, x, fixed, unused = c
            return k + 1, x + fixed, fixed, unused * x

        _, x, fixed, _ = lax.while_loop(lambda c: c[0] < n, step, (0, 1.0, 2.0, 3.0))
        return x, fixed

    parts = of(model, A)
    assert parts.changes[:2] == [True, True]
    assert not any(parts.changes[2:])
    assert parts.finals == [parts.loop.outvars[1]]
    assert parts.changes == [True, True, *[False] * (len(parts.loop.outvars) - 2)]


def test_what_an_unused_part_of_a_call_or_a_branch_reads_does_not_matter():
    def model(n):
        k, (x, y) = steps(n, lambda c: (jnp.cos(c[0]), jnp.sin(c[1])), (1.0, 1.0))
        in_call, _ = jax.jit(lambda x, y: (x, y))(x, y)
        return lax.cond(k > 2, lambda x, y: (x, y), lambda x, y: (x + 1, y), in_call, y)[0]

    assert of(model, A).changes == [True, True, False]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda n: jnp.sin(1.0 * n), "no loop"),
        (lambda n: steps(7, jnp.cos, 1.0 * n)[1], "no loop that ends at different"),
        (lambda n: steps(n, jnp.cos, 1.0)[1] + (jnp.ones((900, 900)) * n).sum(), "most"),
        (lambda n: lax.scan(lambda x, _: (steps(n, jnp.cos, x)[1], x), 1.0, None, 5), "within"),
        (lambda n: steps(7, lambda x: x + steps(n, jnp.cos, x)[1], 1.0)[1], "within another"),
        (lambda n: lax.cond(n > 1, lambda: steps(n, jnp.cos, 1.0)[1], lambda: 0.0), "branch"),
        (lambda n: steps(n, lambda x: x + 1, jnp.zeros(20_000))[1], "carries too much"),
        (lambda n: steps(n, called_back, 1.0)[1], "calls back to Python"),
        (lambda n: steps(n, printed, 1.0)[1], "calls back to Python"),
    ],
)
def test_models_that_are_not_split_say_why(model, why):
    assert why in why_not(model, A)


def called_back(x):
    return jax.pure_callback(np.cos, jax.ShapeDtypeStruct((), np.float32), x)


def printed(x):
    jax.debug.print("{}", x)
    return x + 1


def test_a_model_without_operations_is_not_split():
    assert why_not(lambda n: n, A).startswith("no loop")


def test_the_parts_are_the_same_in_every_trace():
    def model(n):
        a, b, c = jnp.sin(1.0 * n), jnp.cos(1.0 * n), jnp.tanh(1.0 * n)
        return steps(n, lambda x: x + a * b, c)[1] + c + b + a

    texts = {str((of(model, A).before, of(model, A).after)) for _ in range(3)}
    assert len(texts) == 1
