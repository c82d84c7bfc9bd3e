"""Routines that wait for threads depend on each other, and compute what they did."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.lax import linalg

import gridax as gx
from gridax._kernel.ordering import one_after_another, one_at_a_time
from gridax._plan import work
from gridax._plan.work import work_of
from tests.models import TRACING

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


def with_a_constant(a, b):
    return jnp.linalg.inv(a + MATRIX), jnp.abs(jnp.fft.fft(b * MATRIX[0])), jnp.linalg.eigvalsh(a)


@jax.jit
def solved(a):
    return jnp.linalg.solve(np.asarray(MATRIX) + a, np.arange(4.0, dtype=np.float32))


@jax.jit
def spectrum(b):
    return jnp.abs(jnp.fft.fft(np.hanning(4).astype(np.float32) * b))


def with_constants_in_what_is_called(a, b):
    return solved(a), spectrum(b), jax.jit(lambda a, b: spectrum(solved(a) + b))(a, b)


def with_constants_in_what_a_loop_calls(a, b):
    def step(carry, _):
        return solved(a + carry[0]) + spectrum(b), spectrum(carry)

    return jax.lax.while_loop(
        lambda c: c.sum() < 9, lambda c: c + spectrum(c + b), b
    ), jax.lax.scan(step, b, length=2)


def with_constants_in_what_a_branch_calls(a, b):
    return jax.lax.cond(b[0] > 0, lambda: solved(a), lambda: spectrum(b)), spectrum(b + 1)


def none(a, b):
    return a @ b


def traced(function, *dims):
    closed = jax.make_jaxpr(function)(MATRIX, jnp.arange(1.0, 5.0))
    return closed, one_at_a_time(closed, [frozenset(each) for each in dims])


@pytest.mark.parametrize(
    "function",
    [
        three,
        in_a_loop,
        in_a_branch,
        with_a_constant,
        with_constants_in_what_is_called,
        with_constants_in_what_a_loop_calls,
        with_constants_in_what_a_branch_calls,
        none,
    ],
)
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
    return [each for atom in equation.invars for each in sources_of(jaxpr, atom)]


def sources_of(jaxpr, atom):
    """Every equation that an operand depends on."""
    made = {v: e for e in jaxpr.eqns for v in e.outvars}
    found, left = [], [atom]
    while left:
        atom = left.pop()
        if not hasattr(atom, "val") and atom in made and made[atom] not in found:
            found.append(made[atom])
            left += made[atom].invars
    return found


def test_each_depends_on_all_before_it():
    _, after = traced(three, {0}, {0, 1})
    one, two, last = routines(after.jaxpr)
    assert one in sources(after.jaxpr, two)
    assert {id(one), id(two)} <= {id(e) for e in sources(after.jaxpr, last)}
    assert last.primitive.name == "triangular_solve"  # which varies along both dimensions


@pytest.mark.parametrize("dims", [({0}, {0, 1}), ({0, 1}, {0}), ({0}, {1}), ((), {0})])
def test_what_is_solved_for_depends_on_all_before_it(dims):
    # A solver need not use its other operands: matrices that only its derivative multiplies by.
    def solved(a, b):
        return jnp.linalg.solve(a, b), jnp.linalg.solve(a, 2 * b)

    _, after = traced(solved, *dims)
    solvers = [e for e in after.jaxpr.eqns if e.primitive.name == "custom_linear_solve"]
    assert len(solvers) == 2
    right = solvers[1].invars[sum(solvers[1].params["const_lengths"]) :]
    assert solvers[0] in [source for v in right for source in sources_of(after.jaxpr, v)]


def called_twice(a, b):
    function = jax.jit(lambda x, y: (jnp.linalg.inv(x), jnp.linalg.inv(x * y[0])))
    return function(a, b), function(a + 1, b)


def with_keys(a, b):
    draw = jax.jit(lambda key: jnp.linalg.inv(jax.random.normal(key, (4, 4))).sum())
    one, two = jax.random.split(jax.random.key(0))
    return draw(one), draw(two)


def in_a_loop_that_reads_one(a, b):
    def step(carry):
        x, y = carry
        return jnp.linalg.inv(x), jnp.linalg.inv(y * b[0])

    return jax.lax.while_loop(lambda carry: carry[0].sum() < 0, step, (a, a))


@pytest.mark.parametrize("dims", [({0}, {0, 1}), ({0}, {1}), ((), {0})])
@pytest.mark.parametrize(
    "function",
    [three, called_twice, in_a_loop, in_a_branch, in_a_loop_that_reads_one, with_a_constant],
)
def test_nothing_varies_along_more_dimensions_than_before(function, dims):
    before, after = traced(function, *dims)
    one, other = (work_of(each.jaxpr, [frozenset(d) for d in dims]) for each in (before, after))
    assert one.outputs == other.outputs
    assert one.uneven == other.uneven


@pytest.mark.parametrize("function", [called_twice, with_keys])
def test_what_is_called_is_ordered_too(function):
    _, after = traced(function, {0}, {0})
    found = routines(after.jaxpr)
    assert len(found) > 1
    for one, two in itertools.pairwise(found):
        assert one in sources(after.jaxpr, two)


def test_the_sign_of_zero_does_not_change():
    def model(x):
        angle = jax.jit(
            lambda z: jnp.arctan2(z, -1.0) + 0 * jnp.abs(jnp.fft.fft(z * jnp.ones(4))).sum()
        )
        power = jnp.abs(jnp.fft.fft(jnp.ones(4) * x)).sum()
        return angle(-0.0 * x), power, jnp.linalg.inv((1 + 1j) * x * jnp.eye(2))

    closed = jax.make_jaxpr(model)(1.5)
    after = one_at_a_time(closed, [frozenset({0})])
    for one, other in zip(
        jax.core.eval_jaxpr(closed.jaxpr, closed.consts, 1.5),
        jax.core.eval_jaxpr(after.jaxpr, after.consts, 1.5),
        strict=True,
    ):
        np.testing.assert_array_equal(np.signbit(np.real(one)), np.signbit(np.real(other)))
        np.testing.assert_array_equal(one, other)


def test_programs_that_change_arrays_in_place_stay_as_they_are():
    eye = jnp.eye(3) * 2

    def model(state):
        ref = jax.new_ref(jnp.zeros((3, 3)))

        def step(i, carry):
            ref[...] += jnp.linalg.cholesky(eye * (state["a"] + i))
            ref[...] += jnp.linalg.inv(eye * (state["a"] + i))
            return carry

        jax.lax.fori_loop(0, 3, step, 0)
        return ref[...].sum()

    space = gx.Space({"a": gx.GridAxis(1, 2, 5)}, mode="product")
    found = gx.ParallelExecution(model, space).run(progress=False).dataset
    expected = gx.SequentialExecution(model, space).run(progress=False).dataset
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5)


def test_functions_of_reductions_are_ordered():
    def spread(values):
        matrix = values.T @ values + jnp.eye(values.shape[1])
        return jnp.linalg.eigvalsh(matrix)[-1] + jnp.linalg.inv(matrix)[0, 0]

    function = one_after_another(spread)
    assert function.__name__ == "spread"
    values = jnp.arange(12.0).reshape(4, 3) / 7
    np.testing.assert_allclose(function(values), spread(values), rtol=1e-6)
    closed = jax.make_jaxpr(function)(values)
    one, two = [e for e in closed.jaxpr.eqns if e.primitive.name in ("eigh", "lu")]
    assert one in sources(closed.jaxpr, two)


@pytest.mark.parametrize(
    "state",
    [
        {"b": gx.GridAxis(0, 1, 50), "k": gx.GridAxis(0, 1, 60)},
        {
            "b": gx.GridAxis(0, 1, 50),
            "k": gx.GridAxis(0, 1, 60),
            "x": gx.Carried(lambda s: jnp.linalg.inv(jnp.eye(2) * (2 + s["b"]))[0, 0], "y", "k"),
        },
    ],
)
def test_reductions_and_starts_of_chains_count_as_well(state):
    def largest(values):
        return jnp.linalg.eigvalsh(jnp.outer(values, values))[-1]

    def model(state):
        start = state.get("x", 0.5)
        turn = lambda i, x: jnp.tanh(x + state["b"] + state["k"])  # noqa: E731
        return {"y": jax.lax.fori_loop(0, 500, turn, jnp.float32(start))}

    executor = gx.ParallelExecution(model, gx.Space(state, mode="product"))
    reduce = {} if "x" in state else {"reduce": {"k": [largest]}}
    assert executor.plan(**reduce).n_parallel == 1


@pytest.mark.parametrize("execution", TRACING.values(), ids=TRACING)
def test_functions_that_models_call_may_have_constants(execution):
    def model(state):
        b = state["b"] * jnp.arange(1.0, 5.0)
        return dict(enumerate(with_constants_in_what_is_called(MATRIX + state["b"], b)))

    space = gx.Space({"b": gx.GridAxis(0.1, 1, 5)}, mode="product")
    result = execution(model, space).run(progress=False)
    for i in range(5):
        for one, other in zip(
            *(jax.tree.leaves(each) for each in (result[i], jax.jit(model)(space[i]))), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-4)


def test_functions_that_reduce_may_call_others_with_constants():
    space = gx.Space({"b": gx.GridAxis(0.1, 1, 4), "k": gx.DataAxis([1.0, 2.0])}, mode="product")
    sweep = gx.ParallelExecution(lambda s: s["b"] * s["k"], space)
    found = sweep.run(reduce={"b": spectrum}, progress=False).dataset["value.spectrum"]
    np.testing.assert_allclose(
        found,
        [spectrum(k * np.linspace(0.1, 1, 4, dtype=np.float32)) for k in (1.0, 2.0)],
        rtol=1e-5,
    )


def routine_names():
    """Names of JAX's operations of linear algebra."""
    return [
        value.name
        for name, value in vars(linalg).items()
        if name.endswith("_p") and hasattr(value, "name")
    ]


@pytest.mark.parametrize("name", routine_names())
def test_every_operation_of_linear_algebra_is_known(name):
    # XLA compiles these itself.
    plain = {"lu_pivots_to_permutation", "symmetric_product", "eigh_jacobi"}
    assert name in work.WAITING | plain


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


@pytest.mark.slow
def test_derivatives_of_a_matrix_exponential_do_not_wait_for_each_other():
    def chain(state):
        rates = jnp.eye(6, k=1) * state["up"] + jnp.eye(6, k=-1)
        rates = rates - jnp.diag(rates.sum(1))
        return jax.scipy.linalg.expm(rates * state["time"])[0]

    axes = {"up": gx.GridAxis(0.1, 2, 32), "time": gx.GridAxis(0.1, 3, 32)}
    executor = gx.ParallelExecution(chain, gx.Space(axes, mode="product"), n_pmap=1)
    dataset = executor.run(derivatives=["up", "time"], progress=False).dataset
    for name in axes:
        found = dataset[f"value.d_{name}"].isel(up=20, time=9)
        at = {k: float(found[k]) for k in axes}
        expected = jax.jacfwd(lambda v, name=name, at=at: chain({**at, name: v}))(at[name])
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)
