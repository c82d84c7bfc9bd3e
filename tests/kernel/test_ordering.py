"""Routines that wait for threads depend on each other, and compute what they did."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._kernel.ordering import one_at_a_time
from gridax._plan.work import dependencies

MATRIX = jnp.eye(4) * 3 + jnp.arange(16.0).reshape(4, 4) / 50
MATRIX = MATRIX + MATRIX.T


def three(a, b):
    """Three routines that do not need each other."""
    return (
        jnp.linalg.cholesky(a),
        jax.scipy.linalg.solve_triangular(a, b),
        jnp.linalg.eigvalsh(a),
    )


def in_a_loop(a, b):
    def step(carry, _):
        x, y = carry
        return (jnp.linalg.cholesky(x) + a, jnp.linalg.inv(y)), jnp.abs(jnp.fft.fft(b))

    return jax.lax.scan(step, (a, a), length=2)


def in_a_branch(a, b):
    def first(a, b):
        return jnp.linalg.inv(a) @ b + jnp.linalg.slogdet(a)[1]

    return jax.lax.cond(b[0] > 0, first, lambda a, b: b, a, b), jnp.linalg.inv(a + 1)


def none(a, b):
    return a @ b


def traced(function, *dims):
    closed = jax.make_jaxpr(function)(MATRIX, jnp.arange(1.0, 5.0))
    return closed, one_at_a_time(closed, [frozenset(each) for each in dims])


@pytest.mark.parametrize("function", [three, in_a_loop, in_a_branch, none])
def test_the_values_are_the_same(function):
    before, after = traced(function, {0}, {0, 1})
    arguments = MATRIX, jnp.arange(1.0, 5.0)
    for one, other in zip(
        jax.core.eval_jaxpr(before.jaxpr, before.consts, *arguments),
        jax.core.eval_jaxpr(after.jaxpr, after.consts, *arguments),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def routines(jaxpr):
    """The equations of a program that hold a routine, in their order."""
    return [e for e in jaxpr.eqns if any(n in str(e) for n in ("cholesky", "triangular_", "eigh["))]


def sources(jaxpr, equation):
    """Every equation that one depends on."""
    made = {v: e for e in jaxpr.eqns for v in e.outvars}
    found, left = [], [equation]
    while left:
        for atom in left.pop().invars:
            if not hasattr(atom, "val") and atom in made and made[atom] not in found:
                found.append(made[atom])
                left.append(made[atom])
    return found


def test_each_depends_on_all_before_it():
    _, after = traced(three, {0}, {0, 1})
    one, two, last = routines(after.jaxpr)
    assert one in sources(after.jaxpr, two)
    assert {id(one), id(two)} <= {id(e) for e in sources(after.jaxpr, last)}
    assert "solve_triangular" in str(last)  # which varies along both dimensions


@pytest.mark.parametrize("dims", [({0}, {0, 1}), ({0}, {1}), ((), {0})])
def test_nothing_varies_along_more_dimensions_than_before(dims):
    before, after = traced(three, *dims)
    varies = [frozenset(each) for each in dims]
    for one, other in zip(before.jaxpr.outvars, after.jaxpr.outvars, strict=True):
        known = dependencies(before.jaxpr, varies)[one], dependencies(after.jaxpr, varies)[other]
        assert known[0] == known[1]


def test_programs_without_such_routines_stay_as_they_are():
    before, after = traced(none, {0}, {1})
    assert after is before


@pytest.mark.slow
def test_derivatives_of_factorizations_do_not_wait_for_each_other():
    x = jnp.linspace(0, 1, 50)

    def likelihood(state):
        kernel = jnp.exp(-0.5 * ((x[:, None] - x[None]) / state["length"]) ** 2)
        factor = jnp.linalg.cholesky(kernel + state["noise"] * jnp.eye(50))
        solved = jax.scipy.linalg.solve_triangular(factor, jnp.sin(6 * x), lower=True)
        return -0.5 * solved @ solved - jnp.log(jnp.diag(factor)).sum()

    axes = {"length": gx.GridAxis(0.1, 1, 64), "noise": gx.GridAxis(0.1, 1, 64)}
    executor = gx.ParallelExecution(likelihood, gx.Space(axes, mode="product"), n_pmap=1)
    dataset = executor.run(derivatives=["length", "noise"], progress=False).dataset
    at = {"length": 0.5, "noise": 0.6}
    for name in at:
        found = dataset[f"value.d_{name}"].sel(at, method="nearest")
        chosen = {k: float(found[k]) for k in at}
        expected = jax.grad(lambda v, name=name, c=chosen: likelihood({**c, name: v}))(chosen[name])
        np.testing.assert_allclose(found, expected, rtol=2e-3)
