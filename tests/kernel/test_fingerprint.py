"""Digests of traced programs: in this process by identity, in every other by what functions say."""

from __future__ import annotations

import functools
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax._digest.digest import digest
from gridax._kernel import fingerprint as fingerprints
from gridax._kernel.fingerprint import fingerprint, lasting_fingerprint

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


def lasting(model):
    closed = jax.make_jaxpr(lambda x: model(x))(1.0)
    return lasting_fingerprint(closed.jaxpr, closed.consts, digest)


def helper(factor):
    return lambda x: np.float32(factor * x)


def times(factor, x):
    return np.float32(factor * x)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return np.float32(self.factor * x)

    def scaled(self, x):
        return np.float32(self.factor * x)


def calling(function, call=jax.pure_callback):
    return lambda x: call(function, SCALAR, x)


def calling_in_a_loop(function):
    return lambda x: jax.lax.fori_loop(0, 3, lambda i, y: calling(function)(y), x)


def with_jvp(factor):
    @jax.custom_jvp
    def once(x):
        return 2 * x

    once.defjvp(lambda primals, tangents: (once(*primals), factor * tangents[0]))
    return lambda x: once(x)


def with_vjp(factor):
    @jax.custom_vjp
    def once(x):
        return 2 * x

    once.defvjp(lambda x: (once(x), None), lambda _, g: (factor * g,))
    return lambda x: once(x)


def with_forward_rule(factor):
    @jax.custom_vjp
    def once(x):
        return 2 * x

    once.defvjp(lambda x: (once(x), factor), lambda k, g: (k * g,))
    return lambda x: once(x)


def with_rule_for_batches(factor):
    @jax.custom_batching.custom_vmap
    def once(x):
        return 2 * x

    once.def_vmap(lambda size, batched, x: (factor * x, True))
    return lambda x: once(x)


CHANGES = {
    "callback": lambda k: calling(helper(k)),
    "partial": lambda k: calling(functools.partial(times, k)),
    "jit": lambda k: calling(jax.jit(helper(k))),
    "np.vectorize": lambda k: calling(np.vectorize(helper(k))),
    "object": lambda k: calling(Scale(k)),
    "bound method": lambda k: calling(Scale(k).scaled),
    "io_callback": lambda k: calling(helper(k), jax.experimental.io_callback),
    "in a loop": lambda k: calling_in_a_loop(helper(k)),
    "in a jit": lambda k: jax.jit(calling(helper(k))),
    "jvp rule": with_jvp,
    "vjp rule": with_vjp,
    "forward rule": with_forward_rule,
    "batching rule": with_rule_for_batches,
}


@pytest.mark.parametrize("make", CHANGES.values(), ids=CHANGES)
def test_what_callbacks_and_rules_do_counts_in_a_store(make):
    assert lasting(make(2.0)) == lasting(make(2.0))
    assert lasting(make(2.0)) != lasting(make(3.0))


def test_where_a_callback_was_defined_does_not_count():
    def here():
        def scale(x):
            return np.float32(2.0 * x)  # the same in other words

        return calling(scale)

    def there():
        class Inside:
            @staticmethod
            def scale(x):
                """Scale."""
                return np.float32(2.0 * x)

        return calling(Inside.scale)

    assert lasting(here()) == lasting(there())


def test_what_is_printed_does_not_count():
    def printing(function):
        def model(x):
            jax.debug.callback(function, x)
            return x

        return model

    assert lasting(printing(lambda x: None)) == lasting(printing(lambda x: 3))


def test_rules_of_jax_itself_have_the_same_digest_again():
    assert lasting(jax.nn.relu) == lasting(jax.nn.relu)
    assert lasting(jax.nn.relu) != lasting(jax.nn.silu)


def test_a_function_that_is_called_back_is_not_kept_alive():
    function = helper(2.0)
    closed = jax.make_jaxpr(calling(function))(1.0)
    first = fingerprint(closed.jaxpr, closed.consts)
    assert fingerprint(closed.jaxpr, closed.consts) == first
    gone = weakref.ref(function)
    n_known = len(fingerprints._by_identity)
    del function, closed
    gc.collect()
    assert gone() is None
    assert len(fingerprints._by_identity) < n_known


def test_the_rule_of_a_custom_batch_is_not_kept_alive():
    made = with_rule_for_batches(2.0)
    rule = made.__closure__[0].cell_contents.vmap_rule
    closed = jax.make_jaxpr(made)(1.0)
    fingerprint(closed.jaxpr)
    gone = weakref.ref(rule)
    del made, rule, closed
    gc.collect()
    assert gone() is None


@pytest.mark.slow
def test_a_model_with_a_callback_is_not_kept_alive_after_its_executor():
    space = gx.Space({"x": gx.GridAxis(0, 1, 3)}, mode="product")
    call = functools.partial(jax.pure_callback, vmap_method="sequential")

    def swept():
        function = helper(2.0)
        executor = gx.ParallelExecution(lambda s: call(function, SCALAR, s["x"]), space, n_pmap=1)
        assert executor.run(progress=False).dataset["value"].values.tolist() == [0, 1, 2]
        return weakref.ref(function)

    gone = swept()
    jax.clear_caches()
    gc.collect()
    assert gone() is None
