"""What holds for every space: points, labels, draws, selections and tables."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gridax as gx
from gridax._axes import is_random, tabulate
from gridax._decimals import as_decimals
from gridax._grid.grid import draw_key
from gridax.space import points_of
from tests.properties.strategies import FLOAT32, FLOAT64, PATHS, Case, cases, leaf, plain
from tests.x64 import x64

CASES = cases()


def values_of(case: Case, path: str) -> list[Any]:
    """Return the values of an axis in the order of its dimension, without a Space."""
    axis = case.axes[path]
    if isinstance(axis, gx.ChoiceAxis):
        return list(axis.values)
    key = draw_key(jax.random.key(case.seed), path)
    values = [plain(value) for value in axis.generate_values(key)]
    alone = case.mode == "product" and axis.group is None
    return sorted(values) if alone and is_random(axis) else values


def labels_of(case: Case, path: str) -> list[Any]:
    axis = case.axes[path]
    table = tabulate(axis, draw_key(jax.random.key(case.seed), path), path)
    alone = case.mode == "product" and axis.group is None
    labels = table.labels.tolist()
    return sorted(labels) if alone and is_random(axis) else labels


def states(space: gx.Space, case: Case) -> list[dict[str, Any]]:
    """Return the points of a space as dicts by path."""
    return [{path: plain(leaf(state, path)) for path in case.axes} for state in space]


@given(CASES)
def test_points_are_the_explicit_product(case: Case) -> None:
    space = case.space
    expected = case.product(lambda path: values_of(case, path))
    assert len(expected) == space.N
    assert states(space, case) == expected
    at = [space[i] for i in range(-len(expected), len(expected))]
    assert [{path: plain(leaf(state, path)) for path in case.axes} for state in at] == 2 * expected
    assert all(state["m"]["b"][1] == "fixed" for state in at)


@given(CASES)
def test_every_label_of_every_axis_selects_what_it_names(case: Case) -> None:
    space = case.space
    values = states(space, case)
    labels = case.product(lambda path: labels_of(case, path))
    for path in case.axes:
        for label in {point[path] for point in labels}:
            expected = [v for v, point in zip(values, labels, strict=True) if point[path] == label]
            assert states(space.sel({path: label}), case) == expected
            assert states(space.sel({path: [label]}), case) == expected
            found = space.dataset.sel({path: label})
            assert (found[path] == label).all()


@given(CASES)
def test_labels_of_all_axes_together_select_one_point(case: Case) -> None:
    space = case.space
    labels = case.product(lambda path: labels_of(case, path))
    i = len(labels) // 2
    found = space.sel(labels[i])
    assert states(found, case)[0] in [states(space[[i]], case)[0]]
    assert all(found.dataset[path].values.ravel()[0] == labels[i][path] for path in case.axes)


@given(CASES)
def test_a_dataframe_has_the_labels_and_arrays_of_each_point_in_its_rows(case: Case) -> None:
    frame = case.space.to_dataframe()
    values = case.product(lambda path: values_of(case, path))
    labels = case.product(lambda path: labels_of(case, path))
    assert len(frame) == len(values)
    for path, axis in case.axes.items():
        is_array = isinstance(axis, gx.DataAxis) and np.ndim(axis.values) > 1
        expected = [point[path] for point in (values if is_array else labels)]
        assert [plain(cell) for cell in frame[f"{path}_value" if is_array else path]] == expected
        assert [plain(cell) for cell in frame[path]] == [point[path] for point in labels]


@given(CASES, st.data())
def test_positions_pick_what_brute_force_picks(case: Case, data: st.DataObject) -> None:
    space = case.space
    everything = states(space, case)
    index = data.draw(st.lists(st.integers(-space.N, space.N - 1), min_size=1, max_size=6))
    picked = space[index]
    assert states(picked, case) == [everything[i] for i in index]
    where = [i % space.N for i in index]
    assert [points_of(space).grid.unravel(i) for i in where] == [
        tuple(map(int, np.unravel_index(i, space.shape))) for i in where
    ]
    start, stop = sorted((where[0], where[-1]))
    step = data.draw(st.sampled_from([1, 2, -1]))
    part = (
        slice(start, stop + 1, step) if step > 0 else slice(stop, start - 1 if start else None, -1)
    )
    assert states(space[part], case) == everything[part]


@given(CASES, st.data())
def test_positions_along_dimensions_pick_what_brute_force_picks(
    case: Case, data: st.DataObject
) -> None:
    space = case.space
    everything = np.empty(space.shape, dtype=object)
    everything.ravel()[:] = states(space, case)
    indexers: dict[str, Any] = {}
    for dim, size in space.sizes.items():
        position = st.integers(-size, size - 1)
        options = position | st.lists(position, min_size=1, max_size=4)
        if data.draw(st.booleans()):
            indexers[dim] = data.draw(options)
    expected = everything
    for axis, dim in reversed(list(enumerate(space.dims))):
        if dim in indexers:
            expected = np.take(expected, indexers[dim], axis=axis)
    part = space.isel(indexers)
    assert part.shape == np.shape(expected)
    assert states(part, case) == list(np.ravel(expected))
    assert states(part[::-1], case) == list(np.ravel(expected))[::-1]


@given(CASES, st.data())
def test_a_filter_keeps_what_brute_force_keeps(case: Case, data: st.DataObject) -> None:
    space = case.space
    dims = data.draw(st.permutations(space.dims))[: data.draw(st.integers(1, len(space.dims)))]
    shape = tuple(space.sizes[dim] for dim in dims)
    n = int(np.prod(shape))
    bits = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
    mask = xr.DataArray(np.reshape(bits, shape), dims=dims)
    whole = (xr.DataArray(np.ones(space.shape, dtype=bool), dims=space.dims) & mask).values
    expected = [v for v, keep in zip(states(space, case), whole.ravel(), strict=True) if keep]
    part = space.filter(lambda ds: mask)
    assert states(part, case) == expected
    assert len(part.to_dataframe()) == len(expected)


@given(CASES, st.data())
def test_lists_of_labels_select_in_the_order_given(case: Case, data: st.DataObject) -> None:
    space = case.space
    path = data.draw(st.sampled_from(list(case.axes)))
    labels = labels_of(case, path)
    wanted = data.draw(st.lists(st.sampled_from(labels), min_size=1, max_size=5))
    part = space.sel({path: wanted})
    assert part.dataset[path].values.tolist() == wanted
    expected = space.isel({case.home(path): [labels.index(label) for label in wanted]})
    assert states(part, case) == states(expected, case)


@given(CASES)
@pytest.mark.slow
def test_batches_hold_the_points_in_order(case: Case) -> None:
    kept = {p: a for p, a in case.axes.items() if not isinstance(a, gx.ChoiceAxis)}
    if not kept:
        kept = {"z": gx.GridAxis(0, 1, 3)}
    case = dataclasses.replace(case, axes=kept)
    space = case.space
    batch = space.collect(n_vmap=1)
    stacked = {path: [plain(row) for row in leaf(batch, path)[0]] for path in kept}
    assert [
        dict(zip(stacked, row, strict=True)) for row in zip(*stacked.values(), strict=True)
    ] == (states(space, case))


RANDOM = st.sampled_from(
    [
        lambda: gx.UniformAxis(0, 1, 4),
        lambda: gx.NumPyroAxis(dist.Normal(0.0, 1.0), 4),
        lambda: gx.NumPyroAxis(dist.Normal(0.0, 1.0), 4, sample_shape=(2,)),
        lambda: gx.KeyAxis(4),
    ]
)


@given(cases(max_axes=3), RANDOM, st.integers(0, 3), st.integers(0, 3))
@pytest.mark.slow
def test_draws_depend_on_the_key_and_the_name_alone(
    case: Case, make: Any, place: int, device: int
) -> None:
    def drawn(space: gx.Space) -> list[Any]:
        (dim,) = space.dataset["drawn"].dims
        others = {other: 0 for other in space.dims if other != dim}
        return sorted(plain(state["a"]) for state in space.isel(others))

    random = dataclasses.replace(make(), name="drawn")
    alone = gx.Space({"a": random}, mode="product", key=case.seed)
    leaves = list(case.product(lambda path: [0])[0])
    others = {
        f"other {i}": dataclasses.replace(case.axes[path], group=None)
        for i, path in enumerate(leaves)
    }
    state = dict(list(others.items())[:place])
    state["a"] = random
    state.update(others)
    with jax.default_device(jax.local_devices()[device % jax.local_device_count()]):
        among = gx.Space(state, mode="product", key=case.seed)
        assert drawn(among) == drawn(alone)
    another = gx.Space({"a": random}, mode="product", key=(case.seed + 1) % 2**32)
    assert drawn(another) != drawn(alone)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_lone_random_numbers_are_sorted_and_nothing_is_lost(seed: int, n: int) -> None:
    axis = gx.UniformAxis(-1, 1, n)
    space = gx.Space({"x": axis}, mode="product", key=seed)
    drawn = axis.generate_values(draw_key(jax.random.key(seed), "x")).tolist()
    assert [state["x"].item() for state in space] == sorted(drawn)
    assert [np.float32(label) for label in space.dataset["x"].values] == sorted(drawn)


@given(st.lists(FLOAT32, min_size=1))
def test_a_float32_label_says_its_float32_as_numpy_prints_it(numbers: list[float]) -> None:
    values = np.float32(numbers)
    labels = as_decimals(values)
    assert (labels.astype(np.float32) == values).all()
    assert labels.tolist() == [float(str(value)) for value in values]


@given(st.lists(FLOAT64, min_size=1, unique=True))
def test_float64_labels_are_themselves_and_tell_values_apart(numbers: list[float]) -> None:
    values = np.array(numbers)
    labels = as_decimals(values)
    assert np.unique(labels).size == np.unique(values).size
    np.testing.assert_allclose(labels, values, rtol=5e-15, atol=8 * math.ulp(abs(values).max()))
    np.testing.assert_array_equal(as_decimals(labels), labels)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(-20, 5))
def test_a_decimal_is_its_own_label_and_that_of_its_neighbors(
    digits: list[int], power: int
) -> None:
    typed = np.array([float(f"{digit}e{power}") for digit in digits])
    others = typed != 0  # the neighbors of zero are no rounding errors of zero
    for toward in (-np.inf, np.inf):
        assert as_decimals(np.nextafter(typed, toward))[others].tolist() == typed[others].tolist()
    assert as_decimals(typed).tolist() == typed.tolist()


@given(st.lists(FLOAT64, min_size=1, max_size=6, unique=True))
def test_every_float64_selects_itself_with_64_bits(numbers: list[float]) -> None:
    with x64():
        space = gx.Space({"x": gx.DataAxis(numbers)}, mode="product")
        for i, label in enumerate(space.dataset["x"].values.tolist()):
            assert space.sel(x=label)[0]["x"].item() == label == space[i]["x"].item()
            assert space.sel(x=numbers[i])[0]["x"].item() == label


MEMBERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 2.0]), st.integers(-3, 3), st.sampled_from("xy")),
    min_size=1,
    max_size=8,
)


@given(MEMBERS, st.data())
def test_a_point_index_finds_what_brute_force_finds(rows: list[Any], data: st.DataObject) -> None:
    columns = dict(zip("abc", map(np.array, zip(*rows, strict=True)), strict=True))
    points = xr.Dataset({"at": ("p", range(len(rows)))}, {k: ("p", v) for k, v in columns.items()})
    points = points.set_xindex(["a", "b", "c"], gx.PointIndex)
    row = data.draw(st.sampled_from(rows))
    names = data.draw(st.sets(st.sampled_from("abc"), min_size=1))
    asked = {name: row["abc".index(name)] for name in names}
    exact = np.logical_and.reduce([columns[name] == label for name, label in asked.items()])
    np.testing.assert_array_equal(np.ravel(points.sel(asked).at), np.flatnonzero(exact))

    low, high = sorted(data.draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4))))
    inside = np.flatnonzero((columns["b"] >= low) & (columns["b"] <= high))
    np.testing.assert_array_equal(points.sel(b=slice(low, high)).at, inside)

    near = {"a": data.draw(st.floats(-1, 3)), "b": data.draw(st.floats(-4, 4))}
    scaled = [
        (columns[name] - label) / (np.ptp(columns[name]) or 1) for name, label in near.items()
    ]
    distance = np.sum(np.square(scaled), axis=0)
    found = int(points.sel(near, method="nearest").at)
    assert distance[found] == distance.min()


def test_the_paths_of_the_strategies_are_the_names_of_the_axes() -> None:
    case = Case({path: gx.KeyAxis(1) for path in PATHS}, "product", 0)
    assert list(case.space.axes) == list(PATHS)
