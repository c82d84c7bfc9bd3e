"""What a sweep reduces while it runs is what NumPy makes of all outputs in float64."""

from __future__ import annotations

import dataclasses
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
from tests.properties.test_execution_properties import blocks, legs, spaces

NAMED = ["mean", "std", "var", "sum", "min", "max", "argmin", "argmax", "any", "all"]
EDGES = [-1.0, 0.0, 3.0, 20.0]


def model(state):
    """Return floats with NaN, integers, bools and complex numbers that tell points apart."""
    total = jnp.float32(0)
    for weight, leaf in enumerate(jax.tree.leaves(state), 1):
        if isinstance(leaf, str):
            total += weight * len(leaf)
        elif isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            total += jax.random.uniform(leaf)
        else:
            total += weight * jnp.sum(jnp.asarray(leaf, jnp.float32))
    row = total * jnp.array([1.0, -2.0], jnp.float32)
    return {
        "row": jnp.where(row > 9, jnp.nan, row),
        "n": jnp.floor(3 * total).astype(jnp.int32),
        "flag": jnp.floor(total) % 2 == 0,
        "wave": jax.lax.complex(total, total**2),
    }


OUTPUTS = ["row", "n", "flag", "wave"]


@st.composite
def requests(draw, space):
    """Dimensions, and what each of some outputs is reduced to along them."""
    dims = st.lists(st.sampled_from(space.dims), min_size=1, unique=True).map(tuple)
    along = draw(dims)
    request = {}
    for name in draw(st.lists(st.sampled_from(OUTPUTS), min_size=1, unique=True)):
        methods = draw(st.lists(st.sampled_from(NAMED), min_size=1, max_size=4, unique=True))
        if name != "wave" and draw(st.booleans()):
            methods.append(gx.Histogram(EDGES))
        # Arrays of complex numbers have an order only along a single dimension in the reference.
        methods = [m for m in methods if name != "wave" or str(m)[:3] not in ("min", "max", "arg")]
        request[name] = {along: methods or ["mean"]}
    return request


def reference(output, along, method):
    """Return the values over the dimensions that are left, which come first."""
    left = [dim for dim in output.dims if dim not in along]
    array = output.transpose(*left, *along).values
    shape = array.shape[: len(left)]
    values = array.reshape(*shape, -1)
    kind = values.dtype.kind
    wide = values.astype({"f": np.float64, "c": np.complex128}.get(kind, values.dtype))
    missing = np.isnan(wide) if kind in "fc" else np.zeros(wide.shape, bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "count":
            return (~missing).sum(-1)
        if isinstance(method, gx.Histogram):
            flat = wide.reshape(-1, wide.shape[-1]).astype(float)
            rows = [np.histogram(row[~np.isnan(row)], EDGES)[0] for row in flat]
            return np.array(rows).reshape(*shape, len(EDGES) - 1)
        if method in ("any", "all"):
            return getattr(np, method)(values != 0, -1)
        if method in ("min", "max") and kind != "f":
            return getattr(wide, method)(-1)
        return getattr(np, f"nan{method}")(wide, -1)


def check(dataset, full, request):
    for name, ((along, methods),) in ((k, v.items()) for k, v in request.items()):
        for method in [*methods, "count"]:
            if method in ("argmin", "argmax"):
                continue  # checked below, by what is found at the labels
            found = dataset[f"{name}.{method if isinstance(method, str) else 'histogram'}"]
            if not isinstance(method, str):
                found = found.transpose(..., f"{name}_bin")
            wanted = reference(full[name], along, method)
            np.testing.assert_allclose(found.values, wanted, rtol=2e-5, atol=2e-5)
        for method in {"argmin", "argmax"} & {*map(str, methods)}:
            check_labels(dataset, full[name], name, along, method)


def check_labels(dataset, output, name, along, method):
    """Whether the labels are those of a point that has the extreme value."""
    extreme = dataset[f"{name}.{method[3:]}"]
    labels = {v: dataset[v] for v in dataset if v.startswith(f"{name}.{method}")}
    left = [dim for dim in output.dims if dim not in along]
    array = output.transpose(*left, *along)
    stacked = array.stack(everything=along, create_index=False)
    for at in np.ndindex(*(array.sizes[dim] for dim in left)):
        here = stacked[at]
        if np.isnan(here.values.astype(float)).all():
            continue
        matches = np.ones(here.size, bool)
        for variable, found in labels.items():
            axis = variable.removeprefix(f"{name}.{method}").removeprefix(".")
            members = [c for c in stacked.coords if stacked[c].dims == ("everything",)]
            axis = axis or next(m for m in members if not m.endswith("_value"))
            column = stacked[axis].values
            label = found.values[at]
            matches &= column == (label if column.dtype.kind not in "iu" else int(label))
        values = here.values[matches].astype(float)
        assert values.size
        assert np.isclose(values, float(extreme.values[at]), rtol=1e-5, atol=1e-5).any()


@given(
    st.data(),
    spaces().filter(lambda space: space.dims),
    st.integers(1, 9) | st.none(),
    COUNTS,
)
@pytest.mark.slow
def test_reductions_in_memory(data, space, n_vmap, n_pmap):
    full = gx.SequentialExecution(model, space).run(progress=False).dataset
    request = data.draw(requests(space))
    for executor in (gx.ParallelExecution, gx.SequentialExecution):
        with on(n_pmap) as n:
            counts = {"n_vmap": n_vmap, "n_pmap": n} if executor is gx.ParallelExecution else {}
            result = executor(model, space, **counts).run(reduce=request, progress=False)
        check(result.dataset, full, request)
        (along,) = {key for each in request.values() for key in each}
        assert len(result) == np.prod([n for d, n in space.sizes.items() if d not in along] or [1])
        assert len(list(result)) == len(result)


@pytest.mark.slow
@given(
    st.data(),
    spaces().filter(lambda space: space.dims),
    st.lists(legs(), max_size=3),
    legs(last=True),
)
def test_reductions_in_stores_whoever_fills_them_in_whatever_turn(data, space, before, last):
    full = gx.SequentialExecution(model, space).run(progress=False).dataset
    request, block = data.draw(requests(space)), data.draw(blocks(space))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.zarr"
        done = 0
        for leg in before:
            partial = leg.run(space, path, block, model, reduce=request)
            if partial is None:
                continue
            assert partial.progress.done >= done
            done = partial.progress.done
        result = last.run(space, path, block, model, reduce=request)
        assert result.progress == (len(space), 0, len(space))
        dataset = result.dataset.load()
        check(dataset, full, request)
        assert gx.open_result(path).dataset.load().identical(dataset)
        again = gx.open_result(path)
        again.to_netcdf(Path(folder) / "run.nc")  # chunk by chunk
        saved = gx.open_result(Path(folder) / "run.nc")
        saved.dataset.load()
        for name in dataset:
            assert saved.dataset.variables[name].equals(dataset.variables[name])
        assert saved.space.sizes == space.sizes
        saved.dataset.close()
        whole = dataclasses.replace(last, stop=None)
        once = whole.run(space, Path(folder) / "again", block, model, reduce=request)
        if last.parallel and not any(
            not leg.parallel or leg.n_vmap != last.n_vmap for leg in before
        ):
            for name in dataset:  # the same plan of blocks: the same bits
                np.testing.assert_array_equal(once.dataset[name], dataset[name])
