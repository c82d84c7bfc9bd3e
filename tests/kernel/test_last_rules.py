"""With the points last, every operation computes what it computes under `jax.vmap`."""

from __future__ import annotations

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gridax._kernel import last_programs
from gridax._kernel.last_axes import Batched, LastAxes
from gridax._kernel.last_programs import LastPoints

WIDTHS = (3, 5)
FIXED = np.random.default_rng(3).normal(size=(4, 6)).astype(np.float32)
PLACES = np.array([[0, 3, 1], [2, 2, 0]])


def placed(x, y, i):
    return x.at[i % 4].set(y[0])


def dropped(x, y, i):
    return x.at[i + 3].add(y[0], mode="drop")


OPERATIONS = {
    "arithmetic": lambda x, y, i: x * y + 2 * x - y[:1],
    "scalars": lambda x, y, i: x[0, 0] * y + i,
    "comparison": lambda x, y, i: jnp.where(x > y, x, i),
    "choice of all": lambda x, y, i: lax.select(i > 1, x, y),
    "bounds": lambda x, y, i: jnp.clip(x, y[0, 0], 0.5),
    "clamp": lambda x, y, i: lax.clamp(y[0, 0], x, jnp.float32(0.5)),
    "functions": lambda x, y, i: jnp.exp(x) + jnp.sin(y) + jnp.arctan2(x, y) + jnp.tanh(i * x),
    "sum": lambda x, y, i: x.sum(0) + (x * y).sum() + y.mean(1).max(),
    "sums of derivatives": lambda x, y, i: jax.grad(
        lambda z: (z**4).sum() * y[0, 0] - (x[0] * z).sum() + 2 * z.sum() * i
    )(jnp.ones(6)),
    "extremes": lambda x, y, i: x.argmax(0) + y.argmin() + x.min(),
    "running": lambda x, y, i: jnp.cumsum(x, 0) + lax.cummax(y, 1) + jnp.cumprod(x, 1, dtype=float),
    "reversed": lambda x, y, i: x[::-1, :] + y[:, ::-1],
    "rolled": lambda x, y, i: jnp.roll(x, 1, 0) + jnp.roll(y, -2, 1),
    "joined": lambda x, y, i: jnp.concatenate([x, y, FIXED], 1),
    "stacked": lambda x, y, i: jnp.stack([x, y, x], 1),
    "split": lambda x, y, i: jnp.split(x, 2)[1] + jnp.split(y, [1, 3])[1],
    "padded": lambda x, y, i: jnp.pad(x, ((1, 0), (0, 2)), constant_values=2.0) + y[0, 0],
    "shapes": lambda x, y, i: x.reshape(2, 12).T[:6] @ y.T[:2, :2] + x[..., None].squeeze(-1)[0, 0],
    "read in another order": lambda x, y, i: lax.reshape(x, (4, 6), (1, 0)) + y,
    "reduced together": lambda x, y, i: lax.reduce(
        (x, y), (np.float32(0), np.float32(1)), lambda a, b: (a[0] + b[0], a[1] * b[1]), (0,)
    )[1],
    "transposed": lambda x, y, i: x.T[:4, :4] + y[:, :4],
    "strided": lambda x, y, i: x[::2, 1:5:3] + y[1:3, :2],
    "slice": lambda x, y, i: lax.dynamic_slice(x, (i, 1), (2, 3)) + x[i][:1][:, None],
    "slice written": lambda x, y, i: lax.dynamic_update_slice(x, y[:2, :2], (i, i)),
    "row written": placed,
    "row added": lambda x, y, i: x.at[1].add(y[2]) + x.at[-1].max(y[0]) + x.at[2].multiply(i),
    "row outside": dropped,
    "put into zeros": lambda x, y, i: jnp.zeros((4, 6)).at[2].set(x[0]) + y,
    "put at a place": lambda x, y, i: jnp.zeros((4, 6)).at[i, 3].set(x[0, 0]) * x,
    "put from the end": lambda x, y, i: (
        jnp.zeros(6).at[-2].add(x[0, 0]) + jnp.ones(6).at[i].max(y[0, 1])
    ),
    "put nowhere": lambda x, y, i: jnp.ones((4, 6)).at[i + 3].set(y[0], mode="drop") + x,
    "put close by": lambda x, y, i: jnp.ones((4, 6)).at[i + 3].set(y[0], mode="clip") + x,
    "put beside a full axis": lambda x, y, i: (
        jnp.zeros((4, 1)).at[i % 4, i - 1].add(x[0, 0]) + jnp.zeros((1, 6)).at[i, i].set(y[0, 0])
    ),
    "before the start": lambda x, y, i: (
        x.at[i - 3].set(y[0], mode="clip") + jnp.zeros((4, 6)).at[i - 9].max(y[0], mode="clip")
    ),
    "short indices": lambda x, y, i: jnp.zeros(300).at[i.astype(jnp.uint8)].add(x[0, 0]),
    "moved by nothing": lambda x, y, i: (
        jnp.roll(x, 6, 1) + jnp.roll(y, 0) + jnp.concatenate([x[:0], y[1:], x[:1]])
    ),
    "neighbors": lambda x, y, i: jnp.concatenate([x[1:], x[:1]]) - jnp.roll(y, 1, 1) + x,
    "edges": lambda x, y, i: (
        jnp.pad(x, 1, mode="edge")[1:-1, 2:] + jnp.pad(y, ((0, 0), (2, 1)))[:, 3:]
    ),
    "between constants": lambda x, y, i: jnp.concatenate([FIXED[:1], x[1:-1], jnp.exp(y[:1])]),
    "row mapped": lambda x, y, i: x.at[2].apply(jnp.cos) + y,
    "rows mapped": lambda x, y, i: x.at[jnp.array([0, 2])].apply(jnp.cos) + y,
    "sorted places": lambda x, y, i: x.at[PLACES[:, :2] + i].get(
        indices_are_sorted=True, unique_indices=True
    ),
    "block added": lambda x, y, i: x.at[1:3, 2:].add(y[:2, 2:]),
    "rows written": lambda x, y, i: x.at[jnp.array([0, 2])].set(y[:2]),
    "gathered": lambda x, y, i: x[PLACES] + y[PLACES, 1][..., None],
    "elements gathered": lambda x, y, i: x[(PLACES - i) % 4, jnp.arange(3)] * y[:1, :3],
    "from a table": lambda x, y, i: (
        jnp.asarray(FIXED)[i % 4] + jnp.asarray(FIXED)[PLACES + i % 2, 1].sum()
    ),
    "product with a matrix": lambda x, y, i: FIXED @ x.T + (y @ FIXED.T),
    "product with a vector": lambda x, y, i: FIXED @ x[0] + y[1] @ FIXED.T,
    "product of both": lambda x, y, i: x @ y[0] + x[0] @ y.T,
    "outer product": lambda x, y, i: jnp.outer(x[0], y[1]) + jnp.einsum("ij,ij->", x, y),
    "batch of products": lambda x, y, i: jnp.einsum("ij,ij->i", x, y),
    "product of matrices": lambda x, y, i: x @ y.T,
    "integers": lambda x, y, i: (i << 2) ^ (i % 3) | lax.population_count(i),
    "bits": lambda x, y, i: lax.bitcast_convert_type(x, jnp.int32) & 7,
    "complex": lambda x, y, i: jnp.abs(jnp.exp(1j * x) * lax.complex(x, y)).real,
    "dtypes": lambda x, y, i: (x.astype(jnp.bfloat16) + y.astype(jnp.bfloat16)).astype(jnp.float32),
    "sorted": lambda x, y, i: jnp.sort(x, 0) + jnp.sort(y, 1),
    "solved": lambda x, y, i: jnp.linalg.solve(x[:, :4] + 9 * jnp.eye(4), y[:, 0]),
    "draws": lambda x, y, i: (
        jax.random.normal(jax.random.fold_in(jax.random.key(1), i), (4,)) + x[0, 0]
    ),
    "loop": lambda x, y, i: lax.fori_loop(0, 3, lambda k, c: jnp.tanh(c + y) * 0.9, x),
    "loop of its own length": lambda x, y, i: lax.fori_loop(0, i, lambda k, c: c * 0.9 + y, x),
    "search": lambda x, y, i: lax.while_loop(lambda c: c[0].sum() < 9, lambda c: c + 1 + y * y, x),
    "scan": lambda x, y, i: lax.scan(lambda c, s: (c + s[0], (c * y[0], i)), x[0], (x, y)),
    "backward scan": lambda x, y, i: lax.scan(lambda c, s: (c - s, c), x[0], y, reverse=True),
    "branch": lambda x, y, i: lax.cond(i > 1, lambda a, b: a + b, lambda a, b: a - 1.0, x, y),
    "many branches": lambda x, y, i: lax.switch(i, [jnp.sin, jnp.cos, lambda v: v * 2], x + y),
    "call": lambda x, y, i: jax.jit(lambda v: jnp.linalg.norm(v, axis=0))(x) + jax.nn.relu(y[0]),
}
# Those that are vectorized by JAX, where points are moved to the front and back.
MOVED = {"sorted", "solved", "product of matrices", "shapes"}
# Along which levels x, y and i vary.
COMBINATIONS = [
    ((0,), (1,), ()),
    ((0, 1), (1,), ()),
    ((0,), (0,), (0,)),
    ((1,), (0, 1), (0,)),
    ((), (), (0, 1)),
]


def values(levels, kind):
    """Return random values with a leading axis for each level."""
    draw = np.random.default_rng(len(levels) + 7 * sum(levels))
    lead = tuple(WIDTHS[level] for level in levels)
    if kind == "i":
        return jnp.asarray(draw.integers(0, 3, lead), jnp.int32)
    return jnp.asarray(draw.normal(size=(*lead, 4, 6)), jnp.float32)


def by_vmap(function, args, levels):
    """Return the outputs with an axis for both levels."""
    for level in (1, 0):
        axes = [0 if level in each else None for each in levels]
        function = jax.vmap(function, axes, axis_size=WIDTHS[level])
    return jax.tree.leaves(jax.jit(function)(*args))


def with_points_last(function, args, levels):
    one = [arg[(0,) * len(each)] for arg, each in zip(args, levels, strict=True)]
    closed, axes = jax.make_jaxpr(function)(*one), LastAxes(WIDTHS)

    def evaluated(*args):
        last = [
            Batched(jnp.moveaxis(arg, range(len(each)), range(-len(each), 0)), each)
            for arg, each in zip(args, levels, strict=True)
        ]
        outs = [axes.full(out, (0, 1)) for out in LastPoints(axes).outputs(closed, last)]
        return [jnp.moveaxis(out, (-2, -1), (0, 1)) for out in outs]

    return jax.jit(evaluated)(*args)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_compute_what_they_do_under_vmap(name):
    function = OPERATIONS[name]
    for levels in COMBINATIONS:
        args = [values(each, kind) for each, kind in zip(levels, "xyi", strict=True)]
        mine, theirs = with_points_last(function, args, levels), by_vmap(function, args, levels)
        for a, b in zip(mine, theirs, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=f"{name} {levels}")


def test_most_operations_have_a_rule_of_their_own(monkeypatch):
    """So the test above does not compare JAX with itself."""
    moved = []
    monkeypatch.setattr(
        last_programs, "_by_vmap", lambda jaxpr, equation, *rest: moved.append(equation) or 1 / 0
    )
    for name, function in OPERATIONS.items():
        args = [values((0,), "x"), values((0,), "y"), values((), "i")]
        before = len(moved)
        with contextlib.suppress(ZeroDivisionError):
            with_points_last(function, args, [(0,), (0,), ()])
        assert (len(moved) > before) == (name in MOVED), name


def test_draws_are_the_same_bit_for_bit():
    keys = jax.random.split(jax.random.key(3), WIDTHS[1])
    closed = jax.make_jaxpr(lambda key: jax.random.bits(key, (2, 3)))(keys[0])
    axes = LastAxes(WIDTHS)
    (out,) = LastPoints(axes).outputs(closed, [Batched(keys, (1,))])
    expected = jax.vmap(lambda key: jax.random.bits(key, (2, 3)))(keys)
    np.testing.assert_array_equal(jnp.moveaxis(out.array, -1, 0), expected)


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg", "threefry2x32"])
@pytest.mark.parametrize("is_partitionable", [True, False])
def test_draws_with_other_settings_are_those_of_vmap(implementation, is_partitionable):
    keys = jax.random.split(jax.random.key(3, impl=implementation), WIDTHS[1])

    def draw(key):
        with jax.threefry_partitionable(is_partitionable):
            return jax.random.bits(key, (2, 3))

    closed = jax.make_jaxpr(draw)(keys[0])
    (out,) = LastPoints(LastAxes(WIDTHS)).outputs(closed, [Batched(keys, (1,))])
    np.testing.assert_array_equal(jnp.moveaxis(out.array, -1, 0), jax.vmap(draw)(keys))


def test_a_value_that_only_seems_to_vary_is_taken_at_one_point():
    axes, value = LastAxes(WIDTHS), Batched(jnp.ones((4, 3, 5)), (0, 1))
    assert axes.full(value, (1,)).shape == (4, 5)
    assert axes.spread(Batched(jnp.ones((4, 3)), (0,)), (0, 1), ndim=2).shape == (1, 4, 3, 1)
