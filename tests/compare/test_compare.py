"""Comparisons of two results by label."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx


def run(space: gx.Space, model: Any, *args: Any, **kwargs: Any) -> gx.Result:
    return gx.SequentialExecution(model, space, *args, **kwargs).run(progress=False)


def product(key: Any = None, **state: Any) -> gx.Space:
    return gx.Space(state, mode="product", key=key)


def plane(state: Any) -> Any:
    trace = xr.DataArray(state["a"] * np.arange(3.0), {"time": [0.1, 0.2, 0.3]}, ["time"])
    return {"rate": state["a"] + 10 * state["b"], "trace": trace}


GRID = product(a=gx.GridAxis(0, 1, 11), b=gx.DataAxis([1, 2]))


def by_name(found: gx.Comparison) -> dict[str, Any]:
    return {output.name: output for output in found.outputs}


def test_a_result_equals_itself_and_its_file(tmp_path: Path) -> None:
    result = run(GRID, plane)
    for save, name in ((result.to_netcdf, "a.nc"), (result.to_zarr, "a.zarr")):
        save(tmp_path / name)
        for other in (tmp_path / name, str(tmp_path / name), result, result.dataset):
            found = gx.compare(result, other)
            assert (found.equal, found.allclose, found.same_points) == (True, True, True)
            assert (found.n_points, found.n_common) == ((22, 22), 22)
            assert (found.only_in_a, found.only_in_b, found.origin, found.notes) == ({}, {}, (), ())
    assert repr(gx.compare(result, result)).startswith("<gridax.Comparison: equal>\n")


def test_outputs_without_elements_are_equal() -> None:
    result = run(GRID, lambda state: {"a": state["a"], "none": np.zeros((0, 3))})
    found = gx.compare(result, result)
    assert (found.equal, found.allclose) == (True, True)
    assert by_name(found)["none"].n_beyond == 0


def test_points_are_found_by_labels_that_differ_in_rounding_and_order() -> None:
    one = run(GRID, plane)
    steps = np.cumsum(np.full(13, 0.1)) - 0.1  # 0.30000000000000004 and others
    shuffled = np.random.default_rng(0).permutation(steps)
    other = run(product(a=gx.DataAxis(shuffled), b=gx.DataAxis([2, 1, 3])), plane)
    found = gx.compare(one, other)
    assert (found.n_points, found.n_common) == ((22, 39), 22)
    assert found.only_in_a == {}
    assert sorted(found.only_in_b["a"]["a"]) == [1.1, 1.2]
    assert found.only_in_b["b"]["b"].tolist() == [3]
    assert all(output.allclose for output in found.outputs)
    assert not found.allclose
    backwards = gx.compare(other, one)
    assert backwards.only_in_b == {}
    assert sorted(backwards.only_in_a["a"]["a"]) == [1.1, 1.2]


def test_differences_are_measured_and_located() -> None:
    def other(state: Any) -> Any:
        outputs = plane(state)
        if (state["a"], state["b"]) == (0.3, 2):
            outputs["rate"] = outputs["rate"] * 1.5
        if state["a"] == 0.7:
            outputs["trace"] = outputs["trace"] * xr.DataArray([1.0, np.nan, 1.0], dims="time")
        return outputs

    found = gx.compare(run(GRID, plane), run(GRID, other))
    rate, trace = by_name(found)["rate"], by_name(found)["trace"]
    assert rate.max_abs == pytest.approx(10.15)
    assert rate.max_rel == pytest.approx(1 / 3)
    assert (rate.worst, rate.n_beyond, rate.n_nan) == ({"a": 0.3, "b": 2}, 1, 0)
    assert (trace.max_abs, trace.n_beyond, trace.n_nan) == (0.0, 0, 2)
    assert trace.worst == {"a": 0.7, "b": 1}
    assert not any((found.equal, found.allclose, rate.equal, trace.equal))
    table = found.to_dataframe()
    assert table.loc["rate", ["n_beyond", "worst.a", "worst.b"]].tolist() == [1, 0.3, 2]
    assert table.loc["trace", "n_nan"] == 2


def test_tolerances_are_those_of_numpy() -> None:
    one = run(GRID, lambda s: s["a"])
    other = run(GRID, lambda s: s["a"] * (1 + 1e-4))
    values = [result.dataset["value"].values for result in (one, other)]
    for rtol, atol in ((1e-5, 1e-8), (0.0, 5e-5), (2e-4, 0.0), (0.0, 0.0)):
        found = gx.compare(one, other, rtol=rtol, atol=atol)
        assert found.outputs[0].n_beyond == (~np.isclose(*values, rtol=rtol, atol=atol)).sum()
        assert found.allclose == np.allclose(*values, rtol=rtol, atol=atol)
    assert gx.compare(one, one, rtol=0, atol=0).equal


def test_nan_equals_nan_and_infinity_equals_infinity() -> None:
    def edge(last: float) -> Any:
        values = {0.0: np.nan, 0.5: np.inf, 1.0: last}
        return lambda state: values[float(state["x"])]

    space = product(x=gx.GridAxis(0, 1, 3))
    assert gx.compare(run(space, edge(1.0)), run(space, edge(1.0))).equal
    for last in (np.inf, -np.inf):
        (output,) = gx.compare(run(space, edge(1.0)), run(space, edge(last))).outputs
        assert (output.max_abs, output.n_beyond, output.n_nan) == (np.inf, 1, 0)
        assert output.worst == {"x": 1.0}


@pytest.mark.parametrize(
    ("dtype", "change"),
    [
        (bool, True),
        (np.int32, 1),
        (np.uint8, 1),
        (np.int64, 1),
        (np.complex64, 1j),
        (np.float32, 1),
    ],
)
def test_outputs_of_any_dtype_are_compared(dtype: Any, change: Any) -> None:
    base = dtype(0) if dtype is not np.int64 else np.int64(2**60)
    space = product(x=gx.GridAxis(0, 1, 3))
    one = run(space, lambda s: np.asarray(base))
    other = run(space, lambda s: np.asarray(base + (change if s["x"] == 0.5 else 0), dtype))
    (output,) = gx.compare(one, other, rtol=0).outputs
    assert (output.max_abs, output.n_beyond, output.worst) == (1.0, 1, {"x": 0.5})
    assert not output.equal
    assert gx.compare(one, one).equal


def test_what_differs_between_outputs_themselves_is_named() -> None:
    def shaped(state: Any) -> Any:
        return {
            "rate": xr.DataArray(np.float32(1), attrs={"units": "Hz"}),
            "size": np.ones(2),
            "dims": xr.DataArray(np.ones(2), dims=["time"]),
            "mine": 1.0,
        }

    def other(state: Any) -> Any:
        return {
            "rate": xr.DataArray(np.float64(1), attrs={"units": "kHz"}),
            "size": np.ones(3),
            "dims": xr.DataArray(np.ones(2), dims=["region"]),
            "yours": 1.0,
        }

    space = product(x=gx.GridAxis(0, 1, 3))
    found = gx.compare(run(space, shaped), run(space, other))
    outputs = by_name(found)
    assert outputs["rate"].units == ("Hz", "kHz")
    assert outputs["rate"].dtype == ("float32", "float64")
    assert outputs["size"].shape == ("2", "3")
    assert outputs["dims"].dims == ("time", "region")
    assert not any(output.allclose for output in found.outputs)
    assert found.notes == ("outputs only in a: mine", "outputs only in b: yours")
    assert not found.allclose
    assert "units Hz / kHz" in repr(found)
    assert "dims time / region" in repr(found)


def labeled(dim: str, labels: Any, values: Any, **more: Any) -> gx.Result:
    """Return a result with an output that has labels of its own."""
    coords = {dim: labels, **{name: (dim, each) for name, each in more.items()}}
    space = product(x=gx.GridAxis(0, 1, 2))
    return run(space, lambda s: {"y": xr.DataArray(s["x"] + values, coords, (dim,))})


@pytest.mark.parametrize(
    ("labels", "others", "told"),
    [
        ([0.0, 0.1, 0.2], [0.0, 0.2, 0.4], ("time=[0.1, 0.2]", "time=[0.2, 0.4]")),
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.8], ("time=0.9", "time=0.8")),
        (["p", "q", "r"], ["p", "q", "s"], ("time='r'", "time='s'")),
        (["1", "2", "3"], [1, 2, 3], ("time=['1', '2', '3']", "time=[1, 2, 3]")),
        (
            np.array(["2020-01-01", "2020-01-02", "NaT"], "M8[ns]"),
            np.array(["2020-01-01", "2020-01-03", "NaT"], "M8[ns]"),
            ("time=2020-01-02", "time=2020-01-03"),
        ),
    ],
)
def test_other_labels_of_an_output_are_told(labels: Any, others: Any, told: Any) -> None:
    values = np.arange(3.0)
    one, other = labeled("time", labels, values), labeled("time", others, values)
    found = gx.compare(one, other)
    (output,) = found.outputs
    assert output.labels == told
    assert (output.max_abs, output.n_beyond) == (0.0, 0)
    assert not any((output.equal, output.allclose, found.equal, found.allclose))
    assert f"labels {told[0]} / {told[1]}" in repr(found)
    assert found.to_dataframe().loc["y", "labels"] == told
    same = gx.compare(one, labeled("time", labels, values))
    assert (same.equal, same.outputs[0].labels) == (True, None)
    bare = gx.compare(one, one.dataset.drop_vars("time")).outputs[0]
    assert (bare.equal, bare.labels and bare.labels[1]) == (False, "time=none")


@pytest.mark.parametrize("labels", [["p", "q", "r"], [1.0, 2.0, 3.0], [0, 1, 2]])
def test_values_with_the_same_labels_in_another_order_are_equal(labels: Any) -> None:
    values, order = np.array([1.0, 2.0, 4.0]), [2, 0, 1]
    lobes = np.array(["left", "left", "right"])
    one = labeled("r", labels, values, lobe=lobes)
    moved = labeled("r", np.array(labels)[order], values[order], lobe=lobes[order])
    assert gx.compare(one, moved).equal
    in_place = gx.compare(one, labeled("r", np.array(labels)[order], values, lobe=lobes)).outputs[0]
    assert (in_place.equal, in_place.n_beyond) == (False, 2)
    assert in_place.labels is not None


def test_another_dtype_is_close_but_not_equal() -> None:
    space = product(x=gx.GridAxis(0, 1, 3))
    found = gx.compare(run(space, lambda s: np.float32(1)), run(space, lambda s: np.float64(1)))
    assert (found.equal, found.allclose) == (False, True)


# --- dimensions -------------------------------------------------------------------------------

ZIP = {"a": gx.DataAxis([0.3, 0.1, 0.2]), "b": gx.DataAxis([1, 1, 2])}


def test_points_of_a_zip_are_found_by_all_labels() -> None:
    one = run(gx.Space(ZIP, mode="zip"), plane)
    swapped = {"a": gx.DataAxis([0.2, 0.1, 0.3]), "b": gx.DataAxis([2, 1, 2])}
    found = gx.compare(one, run(gx.Space(swapped, mode="zip"), plane))
    assert (found.n_common, found.same_points) == (2, False)
    assert found.only_in_a["point"].to_dict("records") == [{"a": 0.3, "b": 1}]
    assert found.only_in_b["point"].to_dict("records") == [{"a": 0.3, "b": 2}]
    assert all(output.equal for output in found.outputs)


def test_groups_are_matched_by_their_members_whatever_they_are_called() -> None:
    def grouped(name: str, order: list[int]) -> gx.Space:
        state = {
            "a": gx.DataAxis(np.array([0.1, 0.2, 0.2])[order], group=name),
            "b": gx.DataAxis(np.array([1, 1, 2])[order], group=name),
            "k": gx.KeyAxis(2),
        }
        return product(**state)

    found = gx.compare(run(grouped("g", [0, 1, 2]), plane), run(grouped("h", [2, 0, 1]), plane))
    assert (found.equal, found.n_common) == (True, 6)


@pytest.mark.parametrize("picked", [[3, 17, 4], [0]])
def test_scattered_points_are_found_in_the_grid(picked: list[int]) -> None:
    grid, some = run(GRID, plane), run(GRID[picked], plane)
    found = gx.compare(some, grid)
    assert (found.n_points, found.n_common) == ((len(picked), 22), len(picked))
    assert found.only_in_a == {}
    assert len(found.only_in_b["points"]) == 22 - len(picked)
    assert all(output.equal for output in found.outputs)
    assert gx.compare(some, run(GRID[picked[::-1]], plane)).equal


def test_points_with_the_same_labels_are_paired_in_their_order() -> None:
    state = {"a": gx.DataAxis([0.1, 0.1, 0.2])}
    values = iter([1.0, 2.0, 3.0, 1.0, 5.0, 3.0])

    def model(state: Any) -> float:
        return next(values)

    found = gx.compare(run(gx.Space(state), model), run(gx.Space(state), model))
    assert found.n_common == 3
    assert (found.outputs[0].n_beyond, found.outputs[0].max_abs) == (1, 3.0)


def test_a_selection_is_found_in_the_whole() -> None:
    whole = run(GRID, plane)
    for part, n in (
        (whole.sel(a=0.3), 2),
        (whole.sel(a=slice(0.2, 0.5)), 8),
        (whole.sel(a=0.3, b=2), 1),
        (whole.dataset.transpose(), 22),
        (whole.dataset.drop_attrs(), 22),
    ):
        found = gx.compare(whole, part)
        assert (found.n_points[1], found.n_common) == (n, n)
        assert all(output.equal for output in found.outputs)


def test_another_single_label_leaves_nothing_in_common() -> None:
    whole = run(GRID, plane)
    found = gx.compare(whole.sel(a=0.3), whole.sel(a=0.4))
    assert (found.n_common, found.allclose) == (0, False)
    assert found.notes == ("the points have other labels: a=0.3 and a=0.4",)


def test_a_fixed_number_is_the_label_of_an_axis_elsewhere() -> None:
    fixed = run(product(a=gx.GridAxis(0, 1, 11), b=2), plane)
    found = gx.compare(fixed, run(GRID, plane))
    assert (found.n_points, found.n_common) == ((11, 22), 11)
    assert all(output.equal for output in found.outputs)


def test_truth_values_are_no_numbers() -> None:
    one, other = (run(product(a=gx.DataAxis(v)), lambda s: 1.0) for v in ([True, False], [1, 0]))
    for found in (gx.compare(one, other), gx.compare(other, one)):
        assert (found.n_common, found.equal) == (0, False)
    assert gx.compare(one, one).equal


def test_other_units_of_an_axis_are_told() -> None:
    one, other = (
        run(product(a=gx.DataAxis([1, 2], attrs={"units": units})), lambda s: 1.0)
        for units in ("s", "ms")
    )
    assert ("units of a", "s", "ms") in gx.compare(one, other).origin
    assert not any("units" in row.what for row in gx.compare(one, one).origin)


def test_a_chain_is_told_once() -> None:
    def model(state: Any) -> Any:
        return {"y": state["g"] + state["x"]}

    chain = run(product(g=gx.GridAxis(0, 1, 3), x=gx.Carried(0.0, "y", "g")), model)
    fixed = run(product(g=gx.GridAxis(0, 1, 3), x=1.0), model)
    told = [row.what for row in gx.compare(chain, fixed).origin]
    assert [what for what in told if what.startswith("fixed value")] == ["fixed value x"]


def test_other_axes_are_named() -> None:
    whole = run(GRID, plane)
    more = run(product(a=gx.GridAxis(0, 1, 11), b=gx.DataAxis([1, 2]), k=gx.KeyAxis(2)), plane)
    found = gx.compare(whole, more)
    assert found.n_common == 0
    assert found.notes == ("points cannot be matched, since the axes differ: 'k' is only in b",)
    assert not found.allclose


def test_strings_and_choices_are_labels_and_reduced_outputs_are_compared() -> None:
    def model(state: Any) -> Any:
        return {"r": state["f"](state["x"]), "n": state["x"]}

    def space(*functions: Any) -> gx.Space:
        return product(f=gx.ChoiceAxis(functions), x=gx.GridAxis(0, 1, 4), k=gx.KeyAxis(2))

    reduce = {"r": {"k": "mean"}, "n": {("k", "x"): ["max", "argmax"]}}
    one, other = (
        gx.ParallelExecution(model, space(*functions)).run(progress=False, reduce=reduce)
        for functions in ((jnp.sin, jnp.cos), (jnp.cos, jnp.tan, jnp.sin))
    )
    found = gx.compare(one, other)
    assert found.n_common == 8
    assert found.only_in_b["f"]["f"].tolist() == ["tan"]
    assert {output.name for output in found.outputs} >= {"r.mean", "n.max"}
    assert all(output.equal for output in found.outputs)


def test_large_outputs_are_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    from gridax._compare import values

    whole = run(GRID, plane)
    other = run(GRID, lambda s: {k: v * (1 + 0.1 * s["a"]) for k, v in plane(s).items()})
    in_one = gx.compare(whole, other)
    monkeypatch.setattr(values, "_PIECE", 1)
    for one, piecewise in zip(in_one.outputs, gx.compare(whole, other).outputs, strict=True):
        assert dataclasses.astuple(one) == dataclasses.astuple(piecewise)


# --- what was run -----------------------------------------------------------------------------


def test_what_was_run_is_compared() -> None:
    def model(state: Any, n: float, *, w: Any) -> Any:
        return state["a"] * n

    def made(n: float, w: Any, **state: Any) -> gx.Result:
        key = state.pop("key", 0)
        return run(product(key, a=gx.GridAxis(0, 1, 3), **state), model, n, w=w)

    one = made(1.0, np.zeros(2), dt=0.1, W=np.ones(3), mask=True)
    other = made(2.0, np.ones(2), dt=0.2, W=np.ones(4), key=1)
    origin = {row.what: (row.a, row.b) for row in gx.compare(one, other).origin}
    assert origin["fixed value dt"] == ("0.1", "0.2")
    assert origin["fixed value mask"] == ("True", "none")
    assert origin["argument args[0]"] == ("1.0", "2.0")
    assert origin["key"] == ("jax.random.key(0)", "jax.random.key(1)")
    assert [text.split(" with digest")[0] for text in origin["fixed value W"]] == [
        "float64[3]",
        "float64[4]",
    ]
    a, b = origin["argument w"]
    assert (a.split()[0], b.split()[0]) == ("float64[2]", "float64[2]")
    assert a != b
    assert set(origin) == {
        *("fixed value dt", "fixed value mask", "fixed value W", "key"),
        *("argument args[0]", "argument w"),
    }
    again = gx.compare(one, made(1.0, np.zeros(2), dt=0.1, W=np.ones(3), mask=True))
    assert again.origin == ()


def test_another_model_and_other_values_at_the_same_labels_are_told() -> None:
    matrices = np.arange(8.0).reshape(2, 2, 2)
    one = run(product(W=gx.DataAxis(matrices), x=gx.GridAxis(0, 1, 2)), lambda s: s["x"])
    matrices[1] += 1
    other = run(product(W=gx.DataAxis(matrices), x=gx.GridAxis(0, 1, 2)), lambda s: s["x"] + 0)
    origin = {row.what: row.a for row in gx.compare(one, other).origin}
    assert origin["values of W"] == "differ at 1 of 2 common labels"
    assert origin["source of the model"].startswith("digest ")


def test_points_without_a_value_are_counted() -> None:
    def fails(state: Any) -> float:
        if state["x"] == 0.5:
            raise ValueError("no")
        return float(state["x"])

    space = product(x=gx.GridAxis(0, 1, 3))
    partial = gx.SequentialExecution(fails, space).run(progress=False, on_error="record")
    found = gx.compare(run(space, lambda s: float(s["x"])), partial)
    assert found.notes == ("1 point without a value in b",)
    assert (found.outputs[0].n_nan, found.outputs[0].worst) == (1, {"x": 0.5})


# --- displays and errors ----------------------------------------------------------------------


def test_the_text_and_the_html_show_everything() -> None:
    space = product(a=gx.GridAxis(0, 1, 11), b=gx.DataAxis([1, 2]), note="<b>")
    other = product(a=gx.GridAxis(0, 1.1, 12), b=gx.DataAxis([1, 2]), note="<i>")
    found = gx.compare(run(space, plane), run(other, lambda s: {"rate": 0.0}))
    for text in (repr(found), found._repr_html_()):
        assert "not equal within rtol=1e-05, atol=1e-08" in text
        assert "outputs only in a: trace" in text
        for part in ("Labels only in b", "1.1", "rate", "a=1.0, b=2", "fixed value note"):
            assert part in text
    assert "&lt;b&gt;" in found._repr_html_()
    assert found.n_common == 22


def test_a_comparison_cannot_be_changed() -> None:
    found = gx.compare(run(GRID, plane), run(GRID, plane))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.n_common = 3  # type: ignore[misc]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    result = run(GRID, plane)
    with pytest.raises(TypeError, match="compare takes Results, Datasets or paths of files, got b"):
        gx.compare(result, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rtol must not be negative, got -1"):
        gx.compare(result, result, rtol=-1)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        gx.compare(result, tmp_path / "nowhere.nc")
