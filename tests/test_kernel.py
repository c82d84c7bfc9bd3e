from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridax._kernel import Kernel, Leaf, Program, Static, compiled, fingerprint
from gridax._plan import Level, Plan
from tests.ids import plain


@pytest.mark.parametrize(
    "value", [0.1, 3, True, "heun", None, float("nan"), np.float32("nan"), (1, 2), jnp.sin, 2**80]
)
def test_equal_values_make_one_program(value):
    assert Static(value) == Static(value)
    assert hash(Static(value)) == hash(Static(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (1, 1.0),
        (1, True),
        (0.1, np.float64(0.1)),  # a Python number adapts to float32, a NumPy one does not
        (np.float32(0.0), np.float32(-0.0)),
        (np.float32(1), np.float64(1)),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
        (np.datetime64(50, "D"), np.datetime64(50, "Y")),
        ("a", "b"),
        ([1], [1]),  # cannot be hashed, so compared by identity
    ],
    ids=plain,
)
def test_values_that_compute_differently_make_different_programs(one, other):
    assert Static(one) != Static(other)


def test_a_value_that_cannot_be_hashed_equals_itself_only():
    value = {"a": [1]}
    assert Static(value) == Static(value)
    assert hash(Static(value)) == hash(Static(value))
    assert Static(value) != Static({"a": [1]})


def leaf(slot, dim, **options):
    defaults = {"by_row": False, "impl": None, "shape": None, "wrap": None}
    return Leaf(slot, dim, **{**defaults, **options})


def program_of(model, leaves, static=(), arrays=(), names=("a", "b")):
    """A program whose state is a dict with the slots in the order of `names`."""
    state = dict.fromkeys(names, 0)
    return Program(
        model=Static(model),
        treedef=jax.tree.structure((state, (), {})),
        static=static,
        arrays=arrays,
        leaves=leaves,
        flatten=as_arrays,
    )


def as_arrays(result):
    return [jnp.asarray(x) for x in jax.tree.leaves(result)]


def add(state):
    return state["a"] + 10 * state["b"]


A, B = np.float32([1, 2, 3]), np.float32([4, 5])


def plan_of(widths, levels=None, n_devices=1):
    """A plan over dimensions of ten points each, in levels of one dimension unless told."""
    levels = [(d,) for d in range(len(widths))] if levels is None else levels
    made = (Level(dims, (10,) * len(dims), w) for dims, w in zip(levels, widths, strict=True))
    return Plan((10,) * sum(map(len, levels)), tuple(made), n_devices)


def evaluate(program, widths, tile, tables, rows=(0, 0), arrays=(), levels=None):
    rows = [np.asarray(row, np.int32) for row in rows]
    plan = plan_of(widths, levels)
    kernel = Kernel(program, "", plan, jax.local_devices()[:1], tables, rows, arrays)
    return [np.asarray(x)[0] for x in kernel([tuple(np.array(run) for run in tile)])]


def test_a_tile_is_the_product_of_its_indices():
    program = program_of(add, (leaf(0, 0), leaf(1, 1)))
    (found,) = evaluate(program, (2, 2), ([0, 2], [1, 0]), [A, B])
    assert found.tolist() == [[51, 41], [53, 43]]


def test_axes_of_one_dimension_move_together():
    program = program_of(add, (leaf(0, 0), leaf(1, 0)))
    (found,) = evaluate(program, (2,), ([0, 1],), [A, B])
    assert found.tolist() == [41, 52]


def test_rows_stand_between_index_and_table():
    program = program_of(add, (leaf(0, 0, by_row=True), leaf(1, None)))
    (found,) = evaluate(program, (3,), ([0, 1, 2],), [A, B], rows=([2, 2, 0], 1))
    assert found.tolist() == [53, 53, 51]


def test_a_dimension_that_nothing_depends_on_is_repeated_not_computed():
    program = program_of(add, (leaf(0, 0), leaf(1, None)))
    (found,) = evaluate(program, (2, 3), ([0, 1], [0, 1, 2]), [A, B])
    assert found.tolist() == [[41, 41, 41], [42, 42, 42]]


def test_dimensions_of_one_level_are_vectorized_as_one():
    program = program_of(add, (leaf(0, 0), leaf(1, 1)))
    (found,) = evaluate(program, (3,), ([0, 1, 10],), [A, B], levels=[(0, 1)])
    assert found.tolist() == [41, 51, 42]  # (0, 0), (0, 1) and (1, 0)


def test_values_are_broadcast_then_wrapped_inside_the_program():
    program = program_of(
        lambda s: s["a"] @ s["b"],
        (leaf(0, 0, shape=(2,), wrap=Static(lambda x: 2 * x)), leaf(1, 0, shape=(2,))),
    )
    (found,) = evaluate(program, (2,), ([0, 1],), [A, B])
    assert found.tolist() == [2 * 1 * 4 * 2, 2 * 2 * 5 * 2]


def test_raw_key_data_enter_the_model_as_typed_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    program = program_of(
        lambda s: jax.random.bits(s["a"]) + 0 * s["b"],
        (leaf(0, 0, impl="threefry2x32"),),
        static=((1, Static(0)),),
    )
    (found,) = evaluate(program, (3,), ([0, 1, 2],), [np.asarray(jax.random.key_data(keys))], [0])
    assert found.tolist() == [int(jax.random.bits(key)) for key in keys]


def test_every_device_evaluates_its_own_tile():
    program = program_of(add, (leaf(0, 0), leaf(1, 1)))
    devices = jax.local_devices()[:2]
    plan = plan_of((1, 2), n_devices=2)
    kernel = Kernel(program, "", plan, devices, [A, B], [np.int32(0)] * 2, [])
    both = np.array([0, 1])
    (out,) = kernel([(np.array([0]), both), (np.array([2]), both)])
    assert out.sharding.device_set == set(devices)
    assert np.asarray(out).tolist() == [[[41, 51]], [[43, 53]]]


def test_equal_programs_share_one_compiled_function():
    on = tuple(jax.local_devices()[:1])
    one = program_of(add, (leaf(0, 0), leaf(1, 1)), static=((2, Static(0.1)),))
    other = program_of(add, (leaf(0, 0), leaf(1, 1)), static=((2, Static(0.1)),))
    another = program_of(add, (leaf(0, 0), leaf(1, 1)), static=((2, Static(0.2)),))
    levels = ((0,), (1,))
    first = compiled(one, "", levels, (2, 2), on)
    assert compiled(other, "", levels, (2, 2), on) is first
    assert compiled(another, "", levels, (2, 2), on) is not first
    assert compiled(one, "", levels, (2, 1), on) is not first
    assert compiled(one, "", ((0, 1),), (2, 2), on) is not first
    assert compiled(one, "traced to something else", levels, (2, 2), on) is not first


def equations(jaxpr):
    """Yield the equations of a jaxpr and of all programs within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for sub in value if isinstance(value, (tuple, list)) else (value,):
                sub = getattr(sub, "jaxpr", sub)
                if hasattr(sub, "eqns"):
                    yield from equations(sub)


def test_what_depends_on_one_dimension_is_computed_once_per_index_of_it():
    def model(state):
        return jnp.tanh(state["a"]) * jnp.exp(state["b"])

    program = program_of(model, (leaf(0, 0), leaf(1, 1)))
    index = [jnp.arange(3), jnp.arange(2)]
    tile = partial(program.tile, ((0,), (1,)), index)
    jaxpr = jax.make_jaxpr(tile)([A, B], [np.int32(0)] * 2, [])
    sizes = {e.primitive.name: e.outvars[0].aval.shape for e in equations(jaxpr.jaxpr)}
    assert sizes["tanh"] == (3,)  # not the six points of the tile
    assert sizes["exp"] == (2,)
    assert sizes["mul"] in ((3, 2), (2, 3))


def test_arrays_are_arguments_of_the_compiled_function_not_constants_in_it():
    table = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    program = program_of(
        lambda s: s["a"] + s["b"].sum(), (leaf(0, 0),), arrays=(1,), names=("a", "b")
    )
    run = compiled(program, "", ((0,),), (3,), tuple(jax.local_devices()[:1]))
    lowered = run.lower(np.zeros((1, 3), np.int32), [A], [np.int32(0)], [table])
    assert len(lowered.as_text()) < 10_000
    assert lowered.compile().memory_analysis().argument_size_in_bytes > table.nbytes


def traced(model, x=1.0):
    # JAX traces a function that it knows once, so it is given a new one.
    return fingerprint(jax.make_jaxpr(lambda x: model(x))(x))


def test_a_model_traced_twice_has_one_fingerprint():
    def model(x):
        return jax.nn.relu(jnp.sin(x)) * jnp.arange(3.0)

    assert traced(model) == traced(model)


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_what_a_model_reads_from_outside_is_in_its_fingerprint(array):
    outside = {"number": 1.0, "array": array([1.0, 2.0]), "key": jax.random.key(0)}

    def model(x):
        noise = jax.random.normal(outside["key"])
        return x * outside["number"] + jax.jit(lambda y: y * outside["array"])(x) + noise

    seen = {traced(model)}
    for change in ({"number": 2.0}, {"array": array([1.0, 3.0])}, {"key": jax.random.key(1)}):
        outside.update(change)
        seen.add(traced(model))
    assert len(seen) == 4


def test_every_combination_of_widths_gives_the_same_values():
    program = program_of(add, (leaf(0, 0), leaf(1, 1)))
    whole = A[:, None] + 10 * B
    for width_a, width_b in itertools.product((1, 3), (1, 2)):
        index = (range(width_a), range(width_b))
        (found,) = evaluate(program, (width_a, width_b), index, [A, B])
        np.testing.assert_array_equal(found, whole[:width_a, :width_b])
