"""Any executor, tile, device count, space, store and file gives the same Dataset."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from tests.devices import COUNTS, on

NAMES = "abcd"


def axes(group=None, n=None):
    """Any kind of axis, of `n` values (at most five) or of one to four."""
    sizes = st.integers(1, 4) if n is None else st.just(n)
    return sizes.flatmap(
        lambda n: st.sampled_from(
            [
                gx.GridAxis(0.1, 0.7, n, group=group),
                gx.LogGridAxis(1e-2, 1.0, n, group=group),
                gx.GridAxis(-1, 1, n, shape=(2,), group=group),
                gx.UniformAxis(0, 1, n, group=group),
                gx.QuadratureAxis(0, 1, n, group=group),
                gx.DataAxis([7, 3, 9, 1, 5][:n], group=group),
                gx.DataAxis(np.float32([0.3, 0.1, 0.4, 0.2, 0.7])[:n], group=group, wrap=jnp.sin),
                gx.DataAxis([2.0, 1.0, 4.0, 3.0, 5.0][:n], labels=list("vwxyz")[:n], group=group),
                gx.DataAxis(np.arange(10.0).reshape(5, 2)[:n], group=group),
                gx.DataAxis(
                    [True, False][: min(n, 2)] if n < 3 else [5, 6, 7, 8, 9][:n], group=group
                ),
                gx.KeyAxis(n, group=group),
                gx.ChoiceAxis(["u", "vv", "www", "xxxx", "yyyyy"][:n], group=group),
            ]
        )
    )


@st.composite
def spaces(draw):
    """Products, zips, groups, and points that are scattered over them."""
    mode = draw(st.sampled_from(["product", "zip"]))
    n_axes = draw(st.integers(1, 3))
    n = draw(st.integers(1, 4)) if mode == "zip" else None
    state = {name: draw(axes(n=n)) for name in NAMES[:n_axes]}
    if mode == "product" and draw(st.booleans()):
        size = draw(st.integers(1, 4))
        for name in ("g", "h"):
            state[name] = draw(axes(group="together", n=size))
    state["dt"] = 0.1
    space = gx.Space(state, mode=mode, key=draw(st.integers(0, 3)))
    return draw(st.just(space) | scattered(space) | parts(space))


def scattered(space):
    points = st.lists(st.integers(-len(space), len(space) - 1), min_size=1, max_size=7)
    return points.map(lambda chosen: space[chosen])


def parts(space):
    dims = st.sampled_from(space.dims)
    return dims.flatmap(
        lambda dim: st.integers(0, space.sizes[dim] - 1).map(lambda i: space.isel({dim: i}))
    )


def model(state):
    """Return numbers that tell points apart, and raw random bits of every key."""
    total, bits = 0.0, jnp.uint32(0)
    for weight, leaf in enumerate(jax.tree.leaves(state), 1):
        if isinstance(leaf, str):
            total += weight * len(leaf)
        elif isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            bits ^= jax.random.bits(leaf)
        else:
            total += weight * jnp.sum(jnp.asarray(leaf) * 1.0)
    return {"total": total * jnp.ones(2), "bits": bits, "flag": total > 2}


def same(one, other):
    """Whether Datasets agree: coordinates and integers exactly, floats up to rounding."""
    coords = [dataset.coords.to_dataset().drop_attrs() for dataset in (one, other)]
    assert coords[0].identical(coords[1])
    assert {k: type(v) for k, v in one.xindexes.items()} == {
        k: type(v) for k, v in other.xindexes.items()
    }
    assert one["total"].dims == other["total"].dims
    np.testing.assert_allclose(one["total"], other["total"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(one["bits"], other["bits"])
    return True


@given(spaces(), st.integers(1, 9) | st.none(), COUNTS)
def test_parallel_and_sequential_execution_and_direct_calls_agree(space, n_vmap, n_pmap):
    with on(n_pmap) as n_pmap:
        executor = gx.ParallelExecution(model, space, n_vmap=n_vmap, n_pmap=n_pmap)
        parallel = executor.run(progress=False)
    sequential = gx.SequentialExecution(model, space).run(progress=False)
    assert same(parallel.dataset, sequential.dataset)
    for result in (parallel, sequential):
        assert len(result) == len(space)
        assert result.dataset["total"].dims == (*space.dims, "total_dim_0")
        for found, state in zip(result, space, strict=True):
            direct = model(state)
            np.testing.assert_allclose(found["total"], direct["total"], rtol=1e-5, atol=1e-6)
            assert found["bits"] == direct["bits"]


class Interruption(BaseException):
    """Whatever ends a run."""


@dataclasses.dataclass(frozen=True)
class Leg:
    """A run that does a part of a sweep.

    `stop` is the number of advances after which it is interrupted, if it lasts so long.
    """

    parallel: bool
    n_vmap: int | None
    n_pmap: int | str | None
    shard: tuple[int, int] | None
    stop: int | None
    verify: str

    def run(self, space, path, block, model=model, **options):
        with on(self.n_pmap) as n_pmap:
            return self._run(n_pmap, space, path, block, model, options)

    def _run(self, n_pmap, space, path, block, model, options):
        if self.parallel:
            executor = gx.ParallelExecution(model, space, n_vmap=self.n_vmap, n_pmap=n_pmap)
        else:
            executor = gx.SequentialExecution(model, space)
        advances = itertools.count()

        def tell(done, total):
            assert done <= total
            assert total == len(space) or self.shard
            if next(advances) == self.stop:
                raise Interruption

        options |= {"shard": self.shard, "verify": self.verify}
        try:
            return executor.run(store=path, progress=tell, block=block, **options)
        except Interruption as error:
            return getattr(error, "result", None)


@st.composite
def legs(draw, last=False):
    n = draw(st.integers(1, 3))
    shard = draw(st.none() | st.integers(0, n - 1).map(lambda i: (i, n)))
    return Leg(
        parallel=draw(st.booleans()),
        n_vmap=draw(st.integers(1, 9) | st.none()),
        n_pmap=draw(COUNTS),
        shard=None if last else shard,
        stop=None if last else draw(st.none() | st.integers(0, 12)),
        verify=draw(st.sampled_from(["size", "full", "none"])),
    )


@st.composite
def blocks(draw, space):
    """Shapes of blocks, as a user would give them, or None."""
    given = {dim: draw(st.none() | st.integers(1, size)) for dim, size in space.sizes.items()}
    return draw(st.just({dim: size for dim, size in given.items() if size}) | st.none())


@given(st.data(), spaces(), st.lists(legs(), max_size=3), legs(last=True))
@pytest.mark.slow
def test_a_store_comes_to_hold_what_memory_does_whoever_fills_it_in_whatever_turn(
    data, space, before, last
):
    wanted = gx.SequentialExecution(model, space).run(progress=False).dataset
    block = data.draw(blocks(space))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zarr"
        done = 0
        for leg in before:
            partial = leg.run(space, path, block)
            if partial is None:
                continue
            assert partial.progress.done >= done  # what is done stays so
            done = partial.progress.done
            there = partial.status.values == 1
            assert there.sum() == done
            for name in ("total", "bits", "flag"):
                found = partial.dataset[name].values[there].astype(float)
                np.testing.assert_allclose(
                    found, wanted[name].values[there].astype(float), rtol=1e-5, atol=1e-6
                )
        result = last.run(space, path, block)
        assert result.progress == (len(space), 0, len(space))
        assert same(result.dataset, wanted)
        assert same(gx.open_result(path).dataset, wanted)
        for index in {0, len(space) // 2, len(space) - 1}:
            direct = model(space[index])
            assert result[index]["bits"] == direct["bits"]
        assert sorted(p.name for p in Path(folder).iterdir()) == ["run.zarr"]


DTYPES = st.sampled_from(
    ["float32", "float64", "float16", "bfloat16", "int8", "int64", "uint32", "bool", "complex64"]
)


@st.composite
def results(draw):
    """A run over any space whose outputs have any names, shapes, dtypes and attributes."""
    space = draw(spaces())
    shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
    names = st.text("ab .[]()é0_-", min_size=1, max_size=4).map(lambda text: f"y{text}y")
    outputs = draw(st.dictionaries(names, st.tuples(shapes, DTYPES), min_size=1, max_size=3))
    attrs = draw(
        st.dictionaries(
            st.sampled_from(["units", "long_name", "note", "a/b"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=3)
            | st.lists(st.integers()),
            max_size=2,
        ).filter(lambda attrs: "since" not in str(attrs))
    )
    rng = np.random.default_rng(draw(st.integers(0, 9)))

    def returned(state):
        return {
            name: xr.Variable(
                [f"{name}.{i}" for i in range(len(shape))],
                (10 * rng.normal(size=shape)).astype(jnp.dtype(dtype)),
                attrs,
            )
            for name, (shape, dtype) in outputs.items()
        }

    return gx.SequentialExecution(returned, space).run(progress=False)


def leaves(state):
    """Return the leaves of a state as NumPy arrays, keys as raw data."""
    return [
        np.asarray(jax.random.key_data(leaf))
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else np.asarray(leaf)
        for leaf in jax.tree.leaves(state)
    ]


@pytest.mark.slow
@given(results(), st.sampled_from(["to_netcdf", "to_zarr"]))
def test_a_result_comes_back_from_a_file(result, save):
    with tempfile.TemporaryDirectory() as folder:
        getattr(result, save)(Path(folder) / "result")
        opened = gx.open_result(Path(folder) / "result")
        dataset = opened.dataset.load()
        space, wanted = opened.space, result.space
        for name, variable in result.dataset.variables.items():
            found = dataset.variables[name]
            assert (found.dims, found.attrs) == (variable.dims, variable.attrs)
            if variable.dtype.kind == "U":  # as wide as the longest text
                assert found.values.tolist() == variable.values.tolist()
            else:
                assert found.dtype == variable.dtype
                assert found.values.tobytes() == variable.values.tobytes()
        assert set(dataset.variables) == set(result.dataset.variables)
        assert set(dataset.coords) == set(result.dataset.coords)
        assert dataset.attrs == result.dataset.attrs
        for name, index in result.dataset.xindexes.items():
            assert dataset.xindexes[name].equals(index)

        assert (len(space), space.dims, space.shape) == (len(wanted), wanted.dims, wanted.shape)
        assert space.dataset.identical(wanted.dataset)
        is_wrapped = any(axis.wrap is not None for axis in wanted.axes.values())
        for i in {0, len(wanted) // 2, len(wanted) - 1}:
            if is_wrapped:  # functions are not stored
                with pytest.raises(ValueError, match="had wrap=sin"):
                    space[i]
            else:
                assert list(space[i]) == list(wanted[i])
                for name, theirs in wanted[i].items():
                    (mine,), (theirs,) = leaves(space[i][name]), leaves(theirs)
                    assert mine.dtype == theirs.dtype
                    np.testing.assert_array_equal(mine, theirs)
            for mine, theirs in zip(
                jax.tree.leaves(opened[i]), jax.tree.leaves(result[i]), strict=True
            ):
                assert mine.values.tobytes() == theirs.values.tobytes()
