"""A chain is a Python loop in which each point starts from what the last one returned."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from tests.devices import COUNTS, on
from tests.properties.test_execution_properties import axes, blocks, legs

ORDERS = st.sampled_from(["forward", "backward", "both"])
INITIAL = {
    "scalar": lambda: 0.25,
    "array": lambda: jnp.float32(0.25),
    "axis": lambda: gx.DataAxis([0.25, 1.5]),
    "computed": lambda: lambda state: reading(state) - 1.0,
}


def reading(state):
    """Return one number that depends on every leaf that is not carried."""
    total = jnp.float32(0)
    leaves = {k: v for k, v in state.items() if k not in ("x", "n")}
    for weight, leaf in enumerate(jax.tree.leaves(leaves), 1):
        if isinstance(leaf, str):
            total += weight * len(leaf)
        elif isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            total += jax.random.uniform(leaf)
        else:
            total += weight * jnp.sum(jnp.asarray(leaf) * 1.0)
    return total


def model(state):
    """Return what converges to the reading of all points so far, and a number per step."""
    x = 0.5 * state["x"] + reading(state)
    n = (3 * state["n"]["count"] + 1) % 1009
    return {"x": x, "pair": jnp.stack([x, -x]), "end": {"count": n}}


@st.composite
def spaces(draw):
    """Products with a chain along any dimension, in any order, and zips."""
    order = draw(ORDERS)
    mode = draw(st.sampled_from(["product", "product", "zip"]))
    size = draw(st.integers(1, 5))
    state = {}
    for name in "ab"[: draw(st.integers(0, 2))]:
        # Choices along a chain have a program each, which is rejected.
        any_axis = axes(n=size).filter(lambda axis: not isinstance(axis, gx.ChoiceAxis))
        state[name] = draw(any_axis if mode == "zip" else axes())
    initial = INITIAL[draw(st.sampled_from([*INITIAL][: 2 if mode == "zip" else 4]))]()
    along = "point" if mode == "zip" else draw(st.sampled_from(["r", "group"]))
    group = None if along == "r" else "group"
    state["r"] = gx.DataAxis(np.arange(size) + 0.5, group=group)
    if group:
        state["q"] = gx.GridAxis(0, 1, size, group=group)
    state["x"] = gx.Carried(initial, "x", along, order)
    state["n"] = gx.Carried({"count": jnp.int32(1)}, "end", along, order)
    names = draw(st.permutations([*state]))
    return gx.Space({name: state[name] for name in names}, mode=mode)


def looped(space):
    """Return the outputs of all points, from a plain loop along each chain."""
    dim, order = space.state["x"].along, space.state["x"].order
    axis = space.dims.index(dim)
    outputs = {}
    others = [range(1 if d == dim else n) for d, n in space.sizes.items()]
    for first in itertools.product(*others):
        backward = order == "backward"
        if order == "both":
            direction = space.dataset["direction"][first[space.dims.index("direction")]]
            backward = direction.item() == "backward"
        steps = range(space.sizes[dim])
        carried = None
        for i in reversed(steps) if backward else steps:
            index = (*first[:axis], i, *first[axis + 1 :])
            state = space[int(np.ravel_multi_index(index, space.shape))]
            if carried is not None:
                state = {**state, **carried}
            out = model(state)
            carried = {"x": out["x"], "n": out["end"]}
            outputs[index] = out
    return outputs


@contextlib.contextmanager
def too_few_chains_for_shards():
    """Accept that there are more shards than chains."""
    try:
        yield
    except ValueError as error:
        if "use fewer shards" not in str(error):
            raise


def check(result, outputs):
    dataset = result.dataset
    shape = tuple(result.space.sizes.values())
    for name, path in {"x": ["x"], "pair": ["pair"], "end.count": ["end", "count"]}.items():
        found = dataset[name].values
        assert found.shape[: len(shape)] == shape
        for index, out in outputs.items():
            wanted = out
            for key in path:
                wanted = wanted[key]
            np.testing.assert_allclose(found[index], wanted, rtol=1e-5, atol=1e-5)


@given(spaces(), st.integers(1, 9) | st.none(), COUNTS)
@pytest.mark.slow
def test_all_executors_do_what_a_loop_does(space, n_vmap, n_pmap):
    outputs = looped(space)
    with on(n_pmap) as n_pmap:
        executor = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=n_pmap)
        check(executor.run(progress=False), outputs)
    check(gx.SequentialExecution(model, space).run(progress=False), outputs)


@pytest.mark.slow
@given(st.data(), spaces(), st.lists(legs(), max_size=2), legs(last=True))
def test_chains_go_on_whoever_evaluated_their_first_points(data, space, before, last):
    outputs = looped(space)
    block = data.draw(blocks(space))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zarr"
        for leg in before:
            with too_few_chains_for_shards():
                leg.run(space, path, block, model, version="1")
        result = last.run(space, path, block, model, version="1")
        assert result.progress == (len(space), 0, len(space))
        check(result, outputs)
        opened = gx.open_result(path)
        check(opened, outputs)
        assert repr(opened.space) == repr(space)


@pytest.mark.slow
@given(spaces(), st.booleans(), st.booleans())
def test_a_result_is_extended_along_other_dimensions_and_where_chains_end(space, parallel, stored):
    execution = gx.ParallelExecution if parallel else gx.SequentialExecution
    outputs = looped(space)
    dim = space.dims[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a backward chain starts at another label
        part = space.isel({dim: slice(0, (space.sizes[dim] + 1) // 2)})
    old = execution(model, part).run(progress=False)
    with tempfile.TemporaryDirectory() as folder:
        where = {"store": Path(folder) / "run.zarr"} if stored else {}
        fits = dim != space.state["x"].along or space.sizes[dim] == part.sizes[dim]
        if not fits and space.state["x"].order != "forward":
            with pytest.raises(ValueError, match="follow each other, so labels can"):
                execution(model, space).run(extend=old, progress=False, **where)
            return
        result = execution(model, space).run(extend=old, progress=False, **where)
        check(result, outputs)
