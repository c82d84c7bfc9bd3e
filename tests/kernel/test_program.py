"""The compiled function of a tile, of programs traced from small functions."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridax._kernel import indices, program
from gridax._kernel.indices import packed
from gridax._kernel.program import Computation, Kernel, Lookup, Program, compiled, on_devices
from gridax._kernel.tile import Data, Evaluation
from gridax._plan.plan import Level, Plan, Tile

A, B = np.float32([1, 2, 3]), np.float32([4, 5])
ALONE = tuple(jax.local_devices()[:1])
needs_devices = pytest.mark.skipif(jax.local_device_count() < 4, reason="needs four devices")


def add(a, b):
    return a + 10 * b


def along(*dims):
    """Lookups of axes that move along some dimensions, straight into their tables."""
    return tuple(Lookup(dim, by_row=False) for dim in dims)


def program_of(model, lookups, arrays=(), outputs=None, fingerprint="", constants=()):
    """The program of a model of fixed arrays and of one number per axis."""
    values = [jnp.float32(0)] * len(lookups)
    traced = jax.make_jaxpr(lambda *inputs: jax.tree.leaves(model(*inputs)))(*arrays, *values)
    dims = frozenset(lookup.dim for lookup in lookups if lookup.dim is not None)
    return Program(
        fingerprint=fingerprint or str(traced),
        lookups=lookups,
        outputs=(dims,) * len(traced.out_avals) if outputs is None else outputs,
        traced=traced.jaxpr,
        constants=constants or tuple(traced.consts),
    )


def plan_of(*levels, sizes=None, **counts):
    """A plan of one block over dimensions of twelve points each, unless told."""
    if sizes is None:
        sizes = (12,) * sum(len(level.dims) for level in levels)
    return Plan(tuple("abcdef"[: len(sizes)]), sizes, sizes, levels, **counts)


def tile_of(plan, *runs):
    return Tile(tuple((0, size) for size in plan.sizes), tuple(np.array(run) for run in runs))


def kernel_of(program, plan, tables, rows=None, arrays=(), on=ALONE):
    rows = [np.asarray(row, np.int32) for row in rows or (0,) * len(tables)]
    return Kernel(program, plan, on, on_devices(on, (list(tables), rows, list(arrays))))


def evaluate(program, plan, runs, tables, **options):
    kernel = kernel_of(program, plan, tables, **options)
    (outputs,) = kernel(packed(plan, [tile_of(plan, *runs)]))
    return [np.asarray(output)[0] for output in outputs]


def each(*widths):
    """A level per dimension."""
    return [Level((dim,), width) for dim, width in enumerate(widths)]


def test_a_tile_is_the_product_of_its_indices():
    plan = plan_of(*each(2, 2))
    (found,) = evaluate(program_of(add, along(0, 1)), plan, ([0, 2], [1, 0]), [A, B])
    assert found.tolist() == [[51, 41], [53, 43]]


def test_axes_of_one_dimension_move_together():
    plan = plan_of(*each(2))
    (found,) = evaluate(program_of(add, along(0, 0)), plan, ([0, 1],), [A, B])
    assert found.tolist() == [41, 52]


def test_rows_stand_between_index_and_table():
    program = program_of(add, (Lookup(0, by_row=True), Lookup(None, by_row=False)))
    plan = plan_of(*each(3))
    (found,) = evaluate(program, plan, ([0, 1, 2],), [A, B], rows=([2, 2, 0], 1))
    assert found.tolist() == [53, 53, 51]


def test_an_axis_that_does_not_move_stays_at_its_row():
    program = program_of(add, along(0, None))
    (found,) = evaluate(program, plan_of(*each(2)), ([0, 1],), [A, B], rows=(0, 1))
    assert found.tolist() == [51, 52]


def test_a_level_that_an_output_does_not_vary_along_has_size_one_in_it():
    plan = plan_of(*each(2, 3))
    (found,) = evaluate(program_of(add, along(0, None)), plan, ([0, 1], [0, 1, 2]), [A, B])
    assert found.tolist() == [[41], [42]]


def test_every_output_has_the_levels_that_it_varies_along():
    program = program_of(
        lambda a, b: (a, b, a + b, jnp.float32(7)),
        along(0, 1),
        outputs=(frozenset({0}), frozenset({1}), frozenset({0, 1}), frozenset()),
    )
    found = evaluate(program, plan_of(*each(3, 2)), ([0, 1, 2], [0, 1]), [A, B])
    assert [output.shape for output in found] == [(3, 1), (1, 2), (3, 2), (1, 1)]
    assert [output.tolist() for output in found] == [
        [[1], [2], [3]],
        [[4, 5]],
        [[5, 6], [6, 7], [7, 8]],
        [[7]],
    ]


def test_outputs_keep_their_own_shape_behind_that_of_the_tile():
    program = program_of(lambda a, b: jnp.arange(4.0) * a + b, along(0, 1))
    (found,) = evaluate(program, plan_of(*each(3, 2)), ([0, 1, 2], [0, 1]), [A, B])
    assert found.shape == (3, 2, 4)
    assert found[1, 1].tolist() == [5, 7, 9, 11]


def test_dimensions_of_one_level_are_vectorized_as_one():
    plan = plan_of(Level((0, 1), 3), sizes=(3, 2))
    (found,) = evaluate(program_of(add, along(0, 1)), plan, ([0, 1, 2],), [A, B])
    assert found.tolist() == [41, 51, 42]  # (0, 0), (0, 1) and (1, 0)


def test_a_grid_without_dimensions_is_one_point():
    (found,) = evaluate(program_of(add, along(None, None)), plan_of(), (), [A, B], rows=(1, 1))
    assert found.shape == ()
    assert found.item() == 52


@pytest.mark.parametrize("deep", [0, 1, 2])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.sampled(2)
def test_a_tile_may_be_deep_along_any_level(deep, width):
    program = program_of(
        lambda a, b, c: (a + 10 * b + 100 * c, a * b, jnp.full(2, c)),
        along(0, 1, 2),
        outputs=(frozenset({0, 1, 2}), frozenset({0, 1}), frozenset({2})),
    )
    table = np.arange(12, dtype=np.float32)
    levels = each(2, 2, 2)
    levels[deep] = Level((deep,), width, depth=6 // width)
    runs = [range(3, 3 + level.length) for level in levels]
    a, b, c = np.ix_(*(table[list(run)] for run in runs))
    total, product, full = evaluate(program, plan_of(*levels), runs, [table] * 3)
    np.testing.assert_array_equal(total, a + 10 * b + 100 * c)
    np.testing.assert_array_equal(product, a * b)
    np.testing.assert_array_equal(full, np.stack([c, c], axis=-1))


def test_a_deep_level_may_hold_several_dimensions():
    plan = plan_of(Level((0, 2), 2, depth=2), Level((1,), 2), sizes=(2, 2, 2))
    program = program_of(lambda a, b, c: a + 10 * b + 100 * c, along(0, 1, 2))
    table = np.arange(2, dtype=np.float32)
    (found,) = evaluate(program, plan, (range(4), [0, 1]), [table] * 3)
    assert found.tolist() == [[0, 10], [100, 110], [1, 11], [101, 111]]


def test_outputs_without_elements_have_their_shapes_in_deep_tiles():
    program = program_of(lambda a, b: (jnp.zeros((0, 3)) + a + b, jnp.zeros((2, 0))), along(0, 1))
    for levels in [Level((0,), 2, depth=3), Level((1,), 2)], [Level((0,), 2), Level((1,), 1, 2)]:
        found = evaluate(program, plan_of(*levels), (range(6), [0, 1]), [A, B])
        widths = tuple(level.width * level.depth for level in levels)
        assert [output.shape for output in found] == [(*widths, 0, 3), (*widths, 2, 0)]


def test_a_deep_tile_evaluates_piece_after_piece():
    program = program_of(add, along(0, 1))
    tile = Evaluation(program, (Level((0,), 2, depth=3), Level((1,), 2)), data_of(A, B))
    jaxpr = jax.make_jaxpr(tile.outputs)([jnp.arange(6), jnp.arange(2)])
    (loop,) = (e for e in jaxpr.eqns if e.primitive.name == "scan")
    assert loop.params["length"] == 3
    assert {v.aval.shape for v in loop.params["jaxpr"].jaxpr.outvars} == {(2, 2)}


def test_a_callback_without_a_batching_rule_can_be_evaluated_point_by_point():
    def model(a):
        return jax.pure_callback(lambda x: x + 1, jax.ShapeDtypeStruct((), jnp.float32), a)

    plan = plan_of(Level((0,), 1, depth=3))
    (found,) = evaluate(program_of(model, along(0)), plan, ([0, 1, 2],), [A])
    assert found.tolist() == [2, 3, 4]


@needs_devices
def test_every_device_evaluates_its_own_tile():
    devices = jax.local_devices()[:2]
    plan = plan_of(*each(1, 2), n_devices=2)
    kernel = kernel_of(program_of(add, along(0, 1)), plan, [A, B], on=devices)
    tiles = [tile_of(plan, [0], [0, 1]), tile_of(plan, [2], [0, 1])]
    ((output,),) = kernel(packed(plan, tiles))
    assert output.sharding.device_set == set(devices)
    assert np.asarray(output).tolist() == [[[41, 51]], [[43, 53]]]


@pytest.mark.parametrize("n", [1, pytest.param(2, marks=needs_devices)])
def test_an_index_that_stays_on_an_accelerator_is_no_other_program(n, compilations, monkeypatch):
    monkeypatch.setattr(program, "_is_far", lambda device: True)
    plan = plan_of(*each(1, 2), n_devices=n)
    kernel = kernel_of(program_of(add, along(0, 1)), plan, [A, B], on=jax.local_devices()[:n])
    index = packed(plan, [tile_of(plan, [0], [0, 1]), tile_of(plan, [2], [0, 1])][:n])
    ((first,),) = kernel(index)
    there = kernel.placed(index)
    with compilations:
        ((second,),) = kernel(there)
    assert compilations.count == 0
    np.testing.assert_array_equal(first, second)


@needs_devices
def test_several_devices_evaluate_deep_tiles_and_what_does_not_vary():
    devices = jax.local_devices()[:4]
    plan = plan_of(Level((0,), 1, depth=3), Level((1,), 2), n_devices=4)
    program = program_of(
        lambda a, b: (a + b, b), along(0, 1), outputs=(frozenset({0, 1}), frozenset({1}))
    )
    kernel = kernel_of(program, plan, [np.arange(12, dtype=np.float32), B], on=devices)
    tiles = [tile_of(plan, range(k, k + 3), [0, 1]) for k in (0, 3, 6, 9)]
    ((total, constant),) = kernel(packed(plan, tiles))
    assert (total.shape, constant.shape) == ((4, 3, 2), (4, 1, 2))
    assert np.asarray(total)[..., 0].ravel().tolist() == list(range(4, 16))
    assert np.asarray(constant).tolist() == [[[4, 5]]] * 4


def test_one_device_evaluates_several_tiles_which_are_started_by_a_thread_each(compilations):
    plan = plan_of(*each(1, 2), n_threads=3)
    kernel = kernel_of(program_of(add, along(0, 1), fingerprint="threads"), plan, [A, B])
    tiles = [tile_of(plan, [k], [0, 1]) for k in (0, 2, 1)]
    with compilations:
        by_tile = kernel(packed(plan, tiles))
        assert len(kernel(packed(plan, tiles[:2]))) == 2
    assert [np.asarray(output).tolist() for (output,) in by_tile] == [
        [[[41, 51]]],
        [[[43, 53]]],
        [[[42, 52]]],
    ]
    assert compilations.count == 1


@needs_devices
def test_arrays_are_put_on_each_device():
    devices = jax.local_devices()[:2]
    alone, both = on_devices(devices[:1], A), on_devices(devices, A)
    assert alone.sharding.device_set == set(devices[:1])
    assert both.sharding.device_set == set(devices)
    assert both.sharding.is_fully_replicated


def test_arrays_on_devices_keep_how_they_are_nested():
    tables, rows, arrays = on_devices(ALONE, ([A, B], [np.int32(1)], []))
    assert [table.tolist() for table in tables] == [A.tolist(), B.tolist()]
    assert [row.dtype for row in rows] == [np.int32]
    assert arrays == []


def test_a_kernel_that_counts_also_evaluates_tiles_whose_indices_are_listed(monkeypatch):
    monkeypatch.setattr(indices, "_MANY", 1)
    plan = plan_of(Level((0, 1), 4), sizes=(3, 2))
    kernel = kernel_of(program_of(add, along(0, 1)), plan, [A, B])
    (neighbors,) = itertools.islice(plan.tiles(((0, 3), (0, 2))), 1)
    rows = [packed(plan, [neighbors]), packed(plan, [tile_of(plan, [5, 0, 4, 2])])]
    assert [row.shape for row in rows] == [(1, 7), (1, 8)]
    found = [np.asarray(kernel(row)[0][0])[0].tolist() for row in rows]
    assert found == [[41, 51, 42, 52], [53, 41, 43, 42]]


@needs_devices
def test_equal_programs_share_one_compiled_function():
    def function(program, levels, lengths=(2, 2), on=ALONE):
        return compiled(Computation(program, tuple(levels), lengths, on))

    one, other = (program_of(add, along(0, 1), fingerprint="alike") for _ in range(2))
    first = function(one, each(2, 2))
    assert function(other, each(2, 2)) is first
    assert function(program_of(add, along(0, 1), fingerprint="other"), each(2, 2)) is not first
    assert function(program_of(add, along(1, 0), fingerprint="alike"), each(2, 2)) is not first
    fewer = program_of(add, along(0, 1), fingerprint="alike", outputs=(frozenset({0}),))
    assert function(fewer, each(2, 2)) is not first
    assert function(one, each(2, 1), (2, 1)) is not first
    assert function(one, [Level((0, 1), 2)]) is not first
    assert function(one, [Level((0,), 1, depth=2), Level((1,), 2)]) is not first
    assert function(one, each(2, 2), on=tuple(jax.local_devices()[:2])) is not first


def test_programs_are_equal_by_what_they_say_and_not_by_their_trace():
    one, other = (program_of(model, along(0, 1), fingerprint="alike") for model in (add, add))
    assert one.traced is not other.traced
    assert one == other
    assert hash(one) == hash(other)
    assert "traced" not in repr(one)


def test_plans_that_differ_in_their_groups_only_share_one_compiled_function(compilations):
    program = program_of(add, along(0, 0), fingerprint="for groups")
    groups = (((0, 1), (2,)), ((0,), (1, 2)), None)
    plans = [plan_of(Level((0,), 2, groups=each), sizes=(3,)) for each in groups]
    with compilations:
        for plan in plans:
            kernel_of(program, plan, [A, A]).compile()
    assert compilations.count == 1


def test_a_kernel_that_was_compiled_compiles_nothing_when_it_is_called(compilations):
    plan = plan_of(*each(2, 2))
    kernel = kernel_of(program_of(add, along(0, 1), fingerprint="once"), plan, [A, B])
    kernel.compile()
    index = packed(plan, [tile_of(plan, [0, 1], [0, 1])])
    with compilations:
        ((found,),) = kernel(index)
        kernel.compile()
    assert np.asarray(found).tolist() == [[[41, 51], [42, 52]]]
    assert compilations.names == []


def test_compiling_tells_the_bytes_of_the_outputs_of_a_tile():
    program = program_of(lambda a: jnp.full(1000, a), along(0))
    one, three = (kernel_of(program, plan_of(*each(n)), [A]).compile() for n in (1, 3))
    assert 3 * 4000 <= three < 3 * 4000 + 1000
    assert 4000 <= one < 4000 + 1000


def test_compiling_tells_the_bytes_of_what_is_stored_in_between():
    def model(a):
        stored = jax.lax.scan(lambda c, _: (c * a, c), jnp.ones(1000) * a, length=100)[1]
        return jnp.sort(stored.ravel())[0]

    nbytes = kernel_of(program_of(model, along(0)), plan_of(*each(3)), [A]).compile()
    assert nbytes >= 3 * 100 * 1000 * 4


def test_a_deep_tile_needs_no_more_in_between_than_its_pieces():
    def model(a):
        return jnp.sort(jnp.sin(jnp.arange(10_000.0) * a))[0]

    program = program_of(model, along(0))
    wide = kernel_of(program, plan_of(Level((0,), 12)), [A]).compile()
    deep = kernel_of(program, plan_of(Level((0,), 1, depth=12)), [A]).compile()
    assert deep < wide / 4


@needs_devices
def test_every_device_needs_the_bytes_of_its_own_tile():
    program = program_of(lambda a: jnp.full(1000, a), along(0))
    on = jax.local_devices()[:2]
    plan = plan_of(*each(3), n_devices=2)
    nbytes = kernel_of(program, plan, [A], on=on).compile()
    assert 3 * 4000 <= nbytes < 3 * 4000 + 1000


def data_of(*tables):
    return Data([*map(jnp.asarray, tables)], [np.int32(0)] * len(tables), [])


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
    program = program_of(lambda a, b: jnp.tanh(a) * jnp.exp(b), along(0, 1))
    tile = Evaluation(program, each(3, 2), data_of(A, B))
    jaxpr = jax.make_jaxpr(tile.outputs)([jnp.arange(3), jnp.arange(2)])
    sizes = {e.primitive.name: e.outvars[0].aval.shape for e in equations(jaxpr.jaxpr)}
    assert sizes["tanh"] == (3,)  # not the six points of the tile
    assert sizes["exp"] == (2,)
    assert sizes["mul"] in ((3, 2), (2, 3))


def test_fixed_arrays_are_arguments_of_the_compiled_function_not_constants_in_it():
    table = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    program = program_of(lambda table, a: a + table.sum(), along(0), arrays=[table])
    run = compiled(Computation(program, tuple(each(3)), (3,), ALONE))
    lowered = run.lower(np.zeros((1, 3), np.int32), [A], [np.int32(0)], [table])
    assert len(lowered.as_text()) < 10_000
    assert lowered.compile().memory_analysis().argument_size_in_bytes > table.nbytes
    (found,) = evaluate(program, plan_of(*each(3)), ([0, 1, 2],), [A], arrays=[table])
    np.testing.assert_allclose(found, A + table.sum(), rtol=1e-4)


def test_constants_that_are_none_come_before_the_fixed_arrays():
    large, small, fixed = jnp.arange(3.0), jnp.array([10.0, 20.0]), jnp.float32(1000)

    def model(fixed, a):
        return a + large.sum() + small.sum() + fixed

    program = program_of(model, along(0), arrays=[fixed], constants=(None, small))
    (found,) = evaluate(program, plan_of(*each(2)), ([0, 1],), [A], arrays=[large, fixed])
    assert found.tolist() == [1034, 1035]
    (found,) = evaluate(program, plan_of(*each(2)), ([0, 1],), [A], arrays=[2 * large, fixed])
    assert found.tolist() == [1037, 1038]


def test_a_point_is_the_model_itself():
    program = program_of(lambda fixed, a, b: [fixed * a, b], along(0, 1), arrays=[jnp.ones(2)])
    first, second = program.point([jnp.array([1.0, 2.0])], [jnp.float32(3), jnp.float32(4)])
    assert first.tolist() == [3, 6]
    assert second.item() == 4


def test_every_combination_of_widths_and_depths_gives_the_same_values():
    program = program_of(add, along(0, 1))
    whole = A[:, None] + 10 * B
    for width_a, width_b, deep in itertools.product((1, 3), (1, 2), (None, 0, 1)):
        levels = each(width_a, width_b)
        if deep is not None:
            levels[deep] = Level((deep,), 1, depth=levels[deep].width)
        index = (range(width_a), range(width_b))
        (found,) = evaluate(program, plan_of(*levels), index, [A, B])
        np.testing.assert_array_equal(found, whole[:width_a, :width_b])
