"""When two traced models are the same program, and what a trace tells."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_batching import custom_vmap

import gridax as gx
from gridax._kernel.arguments import Arguments
from gridax._kernel.fingerprint import fingerprint
from gridax._kernel.program import Lookup
from gridax._kernel.trace import trace
from gridax.space import points_of


def product(**state):
    return gx.Space(state, mode="product")


SPACE = product(x=gx.GridAxis(0, 1, 5), y=gx.GridAxis(0, 1, 3))


def traced(model, space=SPACE, *args, choice=(), **kwargs):
    # JAX traces a function that it knows once, so it is given a new one.
    return trace(lambda *a, **k: model(*a, **k), Arguments(points_of(space), args, kwargs), choice)


def same(one, other, space=SPACE):
    """Whether two models are one program; both are held, so that no place is used twice."""
    first, second = traced(one, space), traced(other, space)
    return first.program == second.program


def test_a_model_traced_twice_is_one_program():
    def model(state):
        return jax.nn.relu(jnp.sin(state["x"])) * jnp.arange(3.0) + jnp.array([1.0, 2.0, 4.0])

    assert same(model, model)


def test_models_that_are_written_apart_are_one_program_if_they_compute_the_same():
    def one(state):
        return 2.0 * state["x"]

    def other(state):
        doubled = state["x"]
        doubled *= 2.0
        return doubled

    assert same(one, lambda s: 2.0 * s["x"])
    assert not same(one, lambda s: 2.0 * s["y"])
    assert same(other, lambda s: s["x"] * 2.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 2.0),
        (1.0, float(np.nextafter(np.float32(1), 2))),
        (0.0, -0.0),
        (np.float32(0.1), np.float32(0.1) + np.float32(1e-8)),
        (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
        (jnp.array([1.0, 2.0]), jnp.array([1.0, 3.0])),
        (np.zeros((2, 3)), np.zeros((3, 2))),
    ],
    ids=str,
)
def test_numbers_and_small_arrays_from_outside_are_part_of_the_program(one, other):
    def reading(value):
        return lambda state: jnp.sum(state["x"] * value)

    assert same(reading(one), reading(one))
    assert not same(reading(one), reading(other))


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_arrays_within_a_jitted_function_are_part_of_the_program(array):
    def reading(values):
        inner = array(values)
        return lambda state: jax.jit(lambda y: y * inner)(state["x"]).sum()

    assert same(reading([1.0, 2.0]), reading([1.0, 2.0]))
    assert not same(reading([1.0, 2.0]), reading([1.0, 3.0]))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, length=3)[0],
        lambda f: lambda x: jax.lax.while_loop(lambda c: c < 10.0, f, x),
        lambda f: lambda x: jax.lax.cond(x > 0, f, lambda c: c, x),
        lambda f: lambda x: jax.checkpoint(f)(x),
    ],
    ids=["scan", "while", "cond", "checkpoint"],
)
def test_numbers_within_control_flow_are_part_of_the_program(wrap):
    def adding(number):
        return lambda state: wrap(lambda c: c + number * jnp.array([1.0, number]).sum())(state["x"])

    assert same(adding(1.0), adding(1.0))
    assert not same(adding(1.0), adding(2.0))


def test_keys_from_outside_are_part_of_the_program():
    def drawing(key):
        return lambda state: state["x"] + jax.random.normal(key)

    assert same(drawing(jax.random.key(0)), drawing(jax.random.key(0)))
    assert not same(drawing(jax.random.key(0)), drawing(jax.random.key(1)))
    assert not same(drawing(jax.random.key(0)), drawing(jax.random.key(0, impl="rbg")))


def test_another_function_that_is_called_back_is_another_program():
    def calling(function):
        kind = jax.ShapeDtypeStruct((), jnp.float32)
        return lambda state: jax.pure_callback(function, kind, state["x"])

    assert not same(calling(lambda x: x + 1), calling(lambda x: x + 2))


def test_another_rule_for_batches_is_another_program():
    def scaled(factor):
        @custom_vmap
        def once(x):
            return 2 * x

        @once.def_vmap
        def many(size, batched, x):
            return factor * x, True

        return lambda state: once(state["x"])

    assert not same(scaled(2), scaled(3))


def test_a_custom_derivative_is_no_other_program_as_it_is_not_asked_for():
    def with_derivative(factor):
        @jax.custom_jvp
        def once(x):
            return 2 * x

        @once.defjvp
        def derivative(primals, tangents):
            return once(*primals), factor * tangents[0]

        return once

    assert same(lambda s: with_derivative(2.0)(s["x"]), lambda s: with_derivative(3.0)(s["x"]))


def test_a_derivative_that_is_asked_for_is_part_of_the_program():
    def with_derivative(factor):
        @jax.custom_jvp
        def once(x):
            return 2 * x

        @once.defjvp
        def derivative(primals, tangents):
            return once(*primals), factor * tangents[0]

        return lambda state: jax.grad(once)(state["x"])

    assert same(with_derivative(2.0), with_derivative(2.0))
    assert not same(with_derivative(2.0), with_derivative(3.0))


def test_a_custom_gradient_is_no_other_program_as_it_is_not_asked_for():
    def with_gradient(factor):
        @jax.custom_vjp
        def once(x):
            return 2 * x

        once.defvjp(lambda x: (once(x), None), lambda _, g: (factor * g,))
        return lambda state: once(state["x"])

    assert same(with_gradient(2.0), with_gradient(3.0))


def large(value=1.0, size=2000):
    return np.full(size, value, np.float32)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_large_arrays_from_outside_are_arguments_and_no_part_of_the_program(array):
    def reading(values):
        values = array(values)
        return lambda state: (state["x"] * values).sum()

    one, other = traced(reading(large(1.0))), traced(reading(large(2.0)))
    assert one.program == other.program
    assert one.program.constants == (None,)
    for found, value in ((one, 1.0), (other, 2.0)):
        (constant,) = found.constants
        np.testing.assert_array_equal(constant, large(value))


def test_large_arrays_of_other_shapes_or_dtypes_make_another_program():
    def reading(values):
        return lambda state: (state["x"] * values).sum()

    assert not same(reading(large()), reading(large(size=2001)))
    assert not same(reading(large()), reading(large().astype(np.int32)))


@pytest.mark.parametrize(("nbytes", "is_argument"), [(4096, False), (4100, True)])
def test_an_array_is_large_above_4096_bytes(nbytes, is_argument):
    values = large(size=nbytes // 4)
    found = traced(lambda state: (state["x"] * values).sum())
    assert found.program.constants[0] is None if is_argument else len(found.constants) == 0
    assert len(found.constants) == is_argument


def test_small_arrays_stay_where_they_are_between_large_ones():
    one, two, three = large(1.0), np.array([5.0, 6.0], np.float32), large(3.0, size=3000)

    def model(state):
        return (state["x"] * one).sum() + (state["y"] * two).sum() + (state["x"] * three).sum()

    found = traced(model)
    assert [constant is None for constant in found.program.constants] == [True, False, True]
    assert [constant.size for constant in found.constants] == [2000, 3000]
    x, y = jnp.float32(2), jnp.float32(3)
    (value,) = found.program.point(found.constants, [x, y])
    assert value == model({"x": x, "y": y}) == 2 * 2000 + 3 * 11 + 2 * 9000


def test_arrays_that_differ_in_the_middle_only_are_not_mistaken_for_each_other():
    def reading(values):
        # Within a jitted function arrays are part of the program, whatever their size.
        return lambda state: jax.jit(lambda x: (x * values).sum())(state["x"])

    one, other = large(), large()
    other[1000] = 7.0
    assert same(reading(one), reading(one.copy()))
    assert not same(reading(one), reading(other))


def test_a_fingerprint_tells_constants_that_are_arguments_from_those_that_are_not():
    closed = jax.make_jaxpr(lambda x: x * jnp.array([1.0, 2.0]))(1.0)
    (constant,) = closed.consts
    inside, argument = fingerprint(closed.jaxpr, [constant]), fingerprint(closed.jaxpr, [None])
    assert inside != argument
    assert argument == fingerprint(closed.jaxpr, [None])


def test_fixed_arrays_of_the_state_are_arguments_and_numbers_are_part_of_the_program():
    def model(state):
        return state["x"] * state["w"].sum() + state["dt"]

    def space(w, dt):
        return product(x=gx.GridAxis(0, 1, 5), w=np.array(w), dt=dt)

    first = traced(model, space([1.0, 2.0], 0.1))
    assert first.program == traced(model, space([3.0, 4.0], 0.1)).program
    assert first.program != traced(model, space([1.0, 2.0], 0.2)).program
    assert first.constants == ()


def test_the_values_of_an_axis_are_no_part_of_the_program():
    def space(axis):
        return product(x=axis)

    def model(state):
        return state["x"] ** 2

    first = traced(model, space(gx.GridAxis(0, 1, 5)))
    assert first.program == traced(model, space(gx.GridAxis(3, 9, 70))).program
    assert first.program == traced(model, space(gx.DataAxis([1.0, 2.0]))).program
    assert first.program != traced(model, space(gx.DataAxis([1, 2]))).program


def test_a_trace_tells_how_axes_are_looked_up_and_what_outputs_vary_along():
    space = product(x=gx.GridAxis(0, 1, 5), y=gx.GridAxis(0, 1, 3), z=gx.GridAxis(0, 1, 2))

    def model(state):
        return {"both": state["x"] + state["z"], "one": jnp.sin(state["y"]), "none": 1.0}

    found = traced(model, space)
    assert found.program.lookups == tuple(Lookup(dim, by_row=False) for dim in range(3))
    varies = dict(zip((o.name for o in found.template.outputs), found.program.outputs, strict=True))
    assert varies == {"both": {0, 2}, "one": {1}, "none": set()}
    assert found.work.outputs == found.program.outputs


def test_a_trace_tells_shapes_and_dtypes_of_the_outputs():
    def model(state):
        return {"sum": jnp.ones((2, 3)) * state["x"], "count": 3}

    outputs = traced(model).template.outputs
    assert {o.name: (o.shape, o.dtype.kind) for o in outputs} == {
        "sum": ((2, 3), "f"),
        "count": ((), "i"),
    }


def test_a_choice_is_part_of_the_program():
    space = product(f=gx.ChoiceAxis([jnp.sin, jnp.cos]), x=gx.GridAxis(0, 1, 5))
    sine, cosine = (traced(lambda s: s["f"](s["x"]), space, choice=(k,)) for k in (0, 1))
    assert sine.program != cosine.program
    assert sine.program.lookups == cosine.program.lookups == (Lookup(1, by_row=False),)


def test_further_arguments_reach_the_model():
    found = traced(lambda state, n, *, shift: state["x"] * n + shift, SPACE, 3, shift=jnp.ones(2))
    (value,) = found.program.point([jnp.array([1.0, 2.0])], [jnp.float32(2), jnp.float32(0)])
    assert value.tolist() == [7, 8]


NEEDS_A_NUMBER = (
    "the model needs the number behind a traced value, for a branch, a loop, a shape, Python's "
    "math or an entry of a NumPy array: use jnp.where, jax.lax.cond, jax.lax.fori_loop or "
    "jax.numpy, make the value a ChoiceAxis or, if it is fixed, a plain number, or run the model "
    "with SequentialExecution"
)
CALLS_NUMPY = (
    "the model calls NumPy on a traced value: use jax.numpy in it (but NumPy for the coordinates "
    "of xarray objects), or run it with SequentialExecution"
)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        (lambda s: 1.0 if s["x"] > 0 else 2.0, NEEDS_A_NUMBER),
        (lambda s: float(s["x"]), NEEDS_A_NUMBER),
        (lambda s: jnp.zeros(s["x"].astype(int)), NEEDS_A_NUMBER),
        (lambda s: sum(range(s["x"].astype(int))), NEEDS_A_NUMBER),
        (lambda s: jnp.arange(3)[jnp.arange(3) > s["x"]], NEEDS_A_NUMBER),
        (lambda s: np.sin(s["x"]), CALLS_NUMPY),
    ],
    ids=["branch", "float", "shape", "loop", "mask", "numpy"],
)
def test_a_model_that_cannot_be_traced_gets_advice(model, advice):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        traced(model)
    assert caught.value.__notes__[-2:] == [
        advice,
        "while the model was traced",
    ]


def test_an_error_of_the_model_itself_gets_no_advice_but_its_choice_named():
    def model(state):
        raise KeyError("tau")

    space = product(solver=gx.ChoiceAxis(["euler", "heun"]), x=gx.GridAxis(0, 1, 3))
    with pytest.raises(KeyError, match="tau") as caught:
        traced(model, space, choice=(1,))
    *others, note = caught.value.__notes__
    assert note == "while the model was traced with solver='heun'"
    assert NEEDS_A_NUMBER not in others
    assert CALLS_NUMPY not in others
