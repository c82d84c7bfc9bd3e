"""Random models that consist of loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

ALONE = [
    jnp.sin,
    jnp.tanh,
    jnp.floor,
    jnp.abs,
    lambda x: jnp.where(x > 0, x, -0.5 * x),
    lambda x: jnp.exp(-jnp.abs(x)),
    lambda x: x.astype(jnp.int32).astype(x.dtype) * 0.1,
    lambda x: x.astype(jnp.bfloat16).astype(x.dtype),
    lambda x: x - 0.01 * x.sum(),
    lambda x: x[::-1] if x.ndim else x,
    lambda x: jnp.roll(x, 1),
    lambda x: x + jax.random.normal(jax.random.fold_in(jax.random.key(0), _number(x)), x.shape),
]
BETWEEN = [
    jnp.add,
    jnp.multiply,
    jnp.maximum,
    jnp.arctan2,
    lambda a, b: a / (jnp.abs(b) + 1),
    lambda a, b: jnp.where(a > b, a, 0.5 * b),
]
KINDS = ["scan", "for", "while", "count", "nested", "branch", "buffer", "table"]


def _number(x):
    return (10 * x.ravel()[0]).astype(jnp.int32)


class Model:
    """A loop over random expressions of what it carries, a parameter and constants."""

    def __init__(self, draw):
        self.shape = draw.choice([(), (1,), (3,), (8,)])
        self.n_carried = draw.choice([1, 2, 3])
        self.loops = [self.loop(draw) for _ in range(draw.choice([1, 1, 2]))]
        self.ignores_second = draw.random() < 0.3

    def loop(self, draw):
        steps = [self.expression(draw, draw.choice([0, 1, 2, 3])) for _ in range(self.n_carried)]
        if draw.random() < 0.3:
            steps[0] = lambda carry, extra: carry[0]  # which does not change
        table = np.random.default_rng(0).normal(size=draw.choice([1, 7, 5000])).astype(np.float32)
        return draw.choice(KINDS), steps, draw.randrange(1, 9), draw.random() < 0.3, table

    def expression(self, draw, depth):
        if depth == 0:
            i = draw.randrange(self.n_carried + 2)
            leaves = [lambda carry, extra, k=k: carry[k] for k in range(self.n_carried)]
            constant = jnp.full(self.shape, 0.3)
            return [*leaves, lambda carry, extra: extra, lambda carry, extra: constant][i]
        if draw.random() < 0.5:
            function, inner = draw.choice(ALONE), self.expression(draw, depth - 1)
            return lambda carry, extra: function(inner(carry, extra))
        function = draw.choice(BETWEEN)
        left, right = self.expression(draw, depth - 1), self.expression(draw, depth - 1)
        return lambda carry, extra: function(left(carry, extra), right(carry, extra))

    def __call__(self, p, q):
        carry = [jnp.full(self.shape, 0.3 * p * (i + 1)) for i in range(self.n_carried)]
        outputs = []
        for kind, steps, length, flag, table in self.loops:
            extra = jnp.full(self.shape, p if self.ignores_second else q)

            def step(carry, extra=extra, steps=steps):
                return [each(carry, extra) for each in steps]

            carry, more = looped(kind, step, carry, extra, length, flag, jnp.asarray(table), p)
            outputs += more
        return carry, outputs


def looped(kind, step, carry, extra, length, flag, table, p):
    """Return what a loop carries in the end, and its other outputs."""
    loop = jax.lax.fori_loop
    if kind == "scan":
        xs = table[:length] if flag else None
        n = len(xs) if flag else length

        def turn(carry, x):
            return step(carry, extra if x is None else extra + x), carry[0]

        carry, seen = jax.lax.scan(turn, carry, xs, length=n, reverse=flag)
        return carry, [seen]
    if kind == "for":
        return loop(0, length, lambda i, carry: step(carry), carry), []
    if kind == "count":
        return loop(0, (5 * p).astype(jnp.int32), lambda i, carry: step(carry), carry), []
    if kind == "table":
        return loop(0, length, lambda i, c: step(c, extra + table[i % table.size]), carry), []
    if kind == "while":

        def goes_on(state):
            return (state[0] < length) & (jnp.abs(state[1][0]).ravel()[0] < 5)

        return jax.lax.while_loop(goes_on, lambda s: (s[0] + 1, step(s[1])), (0, carry))[1], []
    if kind == "nested":

        def inner(i, carry):
            return loop(0, i if flag else 2, lambda j, carry: step(carry, extra + j), carry)

        return loop(0, 3, inner, carry), []
    if kind == "branch":

        def turn_or_not(i, carry):
            return jax.lax.cond(carry[0].ravel()[0] > 0, step, lambda carry: [*carry], carry)

        return loop(0, length, turn_or_not, carry), []

    def delayed(i, state):
        buffer, carry = state
        carry = step(carry, buffer[i % 4])
        return buffer.at[i % 4].set(carry[0]), carry

    buffer, carry = loop(0, length, delayed, (jnp.zeros((4, *extra.shape)), carry))
    return carry, [buffer]
