"""Derivatives of whole programs in several directions at the same time, as JAX's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.core import jaxpr_as_fun

from gridax._kernel.loops import with_single_conditions
from gridax._kernel.moving import is_inexact
from gridax._kernel.repeats import without_repeats
from gridax._kernel.tangents import pushed
from gridax._plan.work import programs_in

AT = (0.7, 0.4, 1.3)


def derived(function, values=AT):
    """Return the program of a function that also returns its derivatives."""
    values = [jnp.float32(value) for value in values]
    closed = with_single_conditions(jax.make_jaxpr(function)(*values))

    def with_derivatives(*values):
        moving = [{k: jnp.ones_like(value)} for k, value in enumerate(values)]
        outs, tangents = pushed(closed.jaxpr, closed.consts, list(values), moving)
        return outs, [
            [moved.get(k, jnp.zeros_like(out)) for k in range(len(values))]
            for out, moved in zip(outs, tangents, strict=True)
            if is_inexact(out)
        ]

    return without_repeats(jax.make_jaxpr(with_derivatives)(*values)), values


def check(function, values=AT):
    program, values = derived(function, values)
    found = jaxpr_as_fun(program)(*values)
    outs = jax.tree.leaves(function(*values))

    def of_floats(*values):
        return [out for out in jax.tree.leaves(function(*values)) if is_inexact(out)]

    expected = jax.tree.leaves(jax.jacfwd(of_floats, argnums=tuple(range(len(values))))(*values))
    for mine, theirs in zip(found[: len(outs)], outs, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    for mine, theirs in zip(found[len(outs) :], expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=1e-5)


def simulated(a, b, c):
    noise = jax.random.normal(jax.random.key(0), (20, 4))

    def step(carry, kick):
        x, n = carry
        x = x + 0.1 * (jnp.tanh(a * x) - b * x) + c * kick
        return (x, n + 1), (x.mean(), n)

    (x, n), (means, _) = jax.lax.scan(step, (jnp.ones(4), 0), noise)
    return x, n, means


def searched(a, b, c):
    def is_going(state):
        x, n = state
        return (jnp.abs(x * x - a) > 1e-3) & (n < 40)

    x, n = jax.lax.while_loop(
        is_going, lambda s: (0.5 * (s[0] + a / s[0]) + 0 * b, s[1] + 1), (c, 0)
    )
    return x * b, n


def within(a, b, c):
    """Loops within loops, of which the inner one depends on what the outer one carries."""

    def outer(x, i):
        y = jax.lax.fori_loop(0, 3, lambda _, y: y * a + jnp.sin(x), x)
        return jax.lax.cond(i > 2, lambda y: y * b, lambda y: y + c, y), y

    return jax.lax.scan(outer, jnp.float32(0.1), jnp.arange(5))


@jax.custom_jvp
def soft(x, width):
    return jnp.logaddexp(x, 0.0) * width


@soft.defjvp
def _(primals, tangents):
    (x, width), (dx, dwidth) = primals, tangents
    return soft(x, width), 3.0 * dx * width + soft(x, 1.0) * dwidth  # a rule of its own


@jax.custom_jvp
def root(a):
    return jax.lax.while_loop(lambda x: jnp.abs(x * x - a) > 1e-5, lambda x: (x + a / x) / 2, a + 1)


@root.defjvp
def _(primals, tangents):
    x = root(*primals)
    return x, tangents[0] / (2 * x)


FUNCTIONS = {
    "scan": simulated,
    "while": searched,
    "nested": within,
    "straight": lambda a, b, c: (a * b / c, a**c, jnp.sin(a) * a, jnp.stack([a, b])[None]),
    "same twice": lambda a, b, c: (a * a, a / a + b, jnp.maximum(a, a)),
    "jit": lambda a, b, c: jax.jit(lambda x: jnp.where(x > b, x * c, b))(a),
    "checkpoint": lambda a, b, c: jax.checkpoint(lambda x: jnp.sin(x * b) * c)(a),
    "custom rule": lambda a, b, c: soft(a, b) + soft(b, c),
    "custom rule of a loop": lambda a, b, c: root(a * b) + root(c),
    "relu": lambda a, b, c: (jax.nn.relu(a - b), jax.nn.softmax(jnp.stack([a, b, c]))),
    "linear algebra": lambda a, b, c: jnp.linalg.solve(
        jnp.array([[2.0, 0.0], [1.0, 3.0]]) + a * jnp.eye(2), jnp.stack([b, c])
    ),
    "eigenvalues": lambda a, b, c: jnp.linalg.eigvalsh(
        jnp.stack([jnp.stack([a, b]), jnp.stack([b, c + 3])])
    ),
    "complex": lambda a, b, c: jnp.abs(jnp.fft.fft(jnp.stack([a, b, c, a * b]))) + a,
    "complex output": lambda a, b, c: jnp.exp(1j * a) * b,
    "indices": lambda a, b, c: (jnp.argmax(jnp.stack([a, b, c])), jnp.sort(jnp.stack([c, a, b]))),
    "in place": lambda a, b, c: jnp.zeros(4).at[1].set(a).at[2].add(b * c),
    "reduced": lambda a, b, c: (
        jnp.max(jnp.linspace(0.0, 1.0, 9) * a - b) + jnp.prod(c * jnp.ones(3))
    ),
    "several maxima": lambda a, b, c: (
        jnp.max(jnp.stack([a * a, a * b / b * a, b, a * a])),
        jnp.min(jnp.array([[a, b + c], [a + 0 * b, 9.0 + c]]), axis=0),
        jnp.max(jnp.stack([a * b * c, jnp.nan * b])),
    ),
    "map": lambda a, b, c: jax.lax.map(lambda x: jnp.sin(x * a) + b, jnp.arange(3.0)) * c,
    "cumulative": lambda a, b, c: (
        jnp.cumsum(jnp.stack([a, b, c])) * jax.lax.cumlogsumexp(jnp.stack([a, b, c]))
    ),
    "constant": lambda a, b, c: (jnp.float32(3.0), a),
    "stopped": lambda a, b, c: jax.lax.stop_gradient(a) * b,
    "vmap": lambda a, b, c: jax.vmap(lambda x: jax.lax.fori_loop(0, 4, lambda i, y: y * a + b, x))(
        jnp.arange(3.0) * c
    ),
    "vmap of a while": lambda a, b, c: jax.vmap(
        lambda x: jax.lax.while_loop(lambda y: y < 3, lambda y: y + a * x + b * c, x)
    )(jnp.array([0.5, 1.0, 2.0])),
    "platforms": lambda a, b, c: jax.lax.platform_dependent(
        a, cpu=lambda x: x * b, default=lambda x: jnp.sin(x) * c
    ),
    "switch": lambda a, b, c: jax.lax.switch(
        (a * 2).astype(int), [lambda x: x, lambda x: x * b, lambda x: 3.0 + 0 * x], c
    ),
    "backwards": lambda a, b, c: jax.lax.scan(
        lambda x, y: (x * a + y, x), b, jnp.arange(4.0) * c, reverse=True
    ),
}


QUICK = (
    "scan",
    "while",
    "vmap of a while",
    "nested",
    "straight",
    "custom rule",
    "indices",
    "stopped",
    "switch",
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FUNCTIONS],
)
def test_derivatives_are_those_of_jax(name, rank_promotion):
    check(FUNCTIONS[name])


UNARY = (jnp.sin, jnp.tanh, jnp.exp, jnp.square, lambda x: 1 / (2 + x * x), jax.nn.relu)
BINARY = (jnp.add, jnp.multiply, jnp.maximum, lambda x, y: jnp.where(x > y, x, y * y))


@given(st.data())
@settings(deadline=None)
@pytest.mark.slow
def test_derivatives_of_any_program_are_those_of_jax(data):
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99)), max_size=6)
    )
    is_loop = data.draw(st.booleans())

    def function(a, b, c):
        def step(values):
            values = list(values)
            for what, i, j in steps:
                x, y = values[i % len(values)], values[j % len(values)]
                out = BINARY[what](x, y) if what < len(BINARY) else UNARY[what - len(BINARY)](x)
                values[i % 3] = 0.9 * jnp.tanh(out)
            return tuple(values)

        if is_loop:
            return jax.lax.fori_loop(0, 3, lambda _, values: step(values), (a, b, c))
        return step((a, b, c))

    check(function, [data.draw(st.sampled_from([-0.8, 0.31, 0.77])) + k / 7 for k in range(3)])


@pytest.mark.skipif(not hasattr(jax, "new_ref"), reason="this JAX has no arrays to change in place")
def test_arrays_that_are_changed_in_place_are_differentiated():
    def function(a, b, c):
        ref = jax.new_ref(jnp.zeros(2))
        ref[0] = a * b
        ref[1] = ref[0] ** 2 + c
        return ref[...]

    program, (a, b, c) = derived(function)
    out, by_a, by_b, by_c = jaxpr_as_fun(program)(a, b, c)
    np.testing.assert_allclose(out, [a * b, (a * b) ** 2 + c], rtol=1e-6)
    np.testing.assert_allclose(by_a, [b, 2 * a * b * b], rtol=1e-6)
    np.testing.assert_allclose(by_b, [a, 2 * a * b * a], rtol=1e-6)
    np.testing.assert_allclose(by_c, [0, 1], rtol=1e-6)


def test_what_has_no_derivatives_is_done_once():
    seen = []

    def function(a, b, c):
        jax.debug.callback(lambda x: seen.append(float(x)), a * b)
        return a * b

    program, values = derived(function)
    # Called at once, since nothing is compiled. A barrier for effects would also raise the error of
    # a callback that failed in another test of this process.
    jaxpr_as_fun(program)(*values)
    assert len(seen) == 1


def n_operations(jaxpr, name):
    return sum(
        (equation.primitive.name == name)
        + sum(
            n_operations(getattr(each, "jaxpr", each), name)
            for each in programs_in(tuple(equation.params.values()))
        )
        for equation in jaxpr.eqns
    )


def test_values_are_computed_once_for_all_directions():
    program, _ = derived(simulated)
    assert n_operations(program.jaxpr, "scan") == 1
    assert n_operations(program.jaxpr, "tanh") == 1
    assert n_operations(program.jaxpr, "random_bits") == 1


def test_what_does_not_move_is_not_differentiated():
    program, _ = derived(lambda a, b, c: (jnp.tanh(a), jnp.sin(jnp.arange(3.0)).sum() * b))
    assert n_operations(program.jaxpr, "sin") == 1
    assert n_operations(program.jaxpr, "cos") == 0


@pytest.mark.parametrize("is_jitted", [False, True])
def test_a_rule_for_reverse_mode_only_is_named(is_jitted):
    @jax.custom_vjp
    def clipped(x):
        return x * 2

    clipped.defvjp(lambda x: (x * 2, None), lambda _, cotangent: (cotangent,))
    function = jax.jit(clipped) if is_jitted else clipped
    with pytest.raises(TypeError, match=r"calls 'clipped'.*in reverse mode only.*jax\.custom_jvp"):
        derived(lambda a, b, c: function(a))


def test_an_operation_without_a_derivative_is_named():
    def called(a):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return jax.pure_callback(lambda x: np.asarray(x), kind, a)

    with pytest.raises(ValueError, match="do not support JVP") as caught:
        derived(lambda a, b, c: called(a))
    assert "while the model's operation 'pure_callback' was differentiated" in str(
        caught.value.__notes__
    )
