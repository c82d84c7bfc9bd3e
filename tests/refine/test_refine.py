"""Where new points of a refined space are, and that only they are computed."""

from __future__ import annotations

import collections
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import LinearNDInterpolator

import gridax as gx


def product(**state):
    return gx.Space(state, mode="product")


def run(model, space, **options):
    return gx.ParallelExecution(model, space).run(progress=False, **options)


def ring(state):
    x, y = state["x"], state["y"]
    r2 = x**2 + y**2
    return {"z": jnp.exp(-((r2 - 0.75**2) ** 2) / 0.3**4), "inside": r2 < 0.5}


SQUARE = product(x=gx.GridAxis(-1, 1, 11, attrs={"units": "mV"}), y=gx.GridAxis(-1, 1, 11))
RESULT = run(ring, SQUARE)


def error(points, values):
    """Return the mean error of linear interpolation between some points."""
    fine = np.linspace(-1, 1, 201)
    x, y = np.meshgrid(fine, fine, indexing="ij")
    exact = np.exp(-((x**2 + y**2 - 0.75**2) ** 2) / 0.3**4)
    return np.abs(LinearNDInterpolator(points, values)(x, y) - exact).mean()


def refined_up_to(n):
    result = RESULT
    while len(result) < n:
        more = min(n - len(result), len(result) // 2)
        space = gx.refine(result, "z", more)
        assert len(space) == len(result) + more
        result = run(ring, space, extend=result)
    return result


@pytest.mark.slow
def test_a_ring_has_a_smaller_error_than_on_a_uniform_grid():
    result = refined_up_to(900).dataset
    mine = error(np.stack([result.x, result.y], axis=1), result.z.values)
    axis = gx.GridAxis(-1, 1, 30)
    uniform = run(ring, product(x=axis, y=gx.GridAxis(-1, 1, 30))).dataset
    x, y = np.meshgrid(uniform.x, uniform.y, indexing="ij")
    theirs = error(np.stack([x.ravel(), y.ravel()], axis=1), uniform.z.values.ravel())
    assert mine < 0.5 * theirs


def test_a_space_has_all_points_of_the_result_then_new_ones():
    space = gx.refine(RESULT, "z", 40)
    assert space.sizes == {"point": 161}
    assert space.mode == "product"
    old = [(float(s["x"]), float(s["y"])) for s in SQUARE]
    assert [(float(s["x"]), float(s["y"])) for s in space][:121] == old
    points = list(
        zip(space.dataset.x.values.tolist(), space.dataset.y.values.tolist(), strict=True)
    )
    assert len(set(points)) == 161
    assert space.dataset.x.attrs == {"units": "mV"}
    assert "GridAxis(-1.0, 1.0, 11), refined" in repr(space)


def test_labels_are_decimals_halfway_between_others():
    labels = gx.refine(RESULT, "z", 300).dataset.x.values
    assert np.isin(labels * 80, np.arange(-80, 81)).all()  # eighths of 0.2 at most
    assert {-0.9, -0.7, 0.1, 0.3}.intersection(labels)


def test_labels_of_a_logarithmic_axis_are_geometric_means():
    space = product(s=gx.LogGridAxis(1e-3, 1e-1, 3), x=gx.GridAxis(0, 1, 3))
    result = run(lambda s: jnp.sin(20 * s["s"]) * s["x"] ** 2, space)
    finer = gx.refine(result, "value", 12)
    labels = set(finer.dataset.s.values.tolist())
    assert labels - {0.001, 0.01, 0.1} <= {0.03162, 0.003162, 0.05623, 0.01778}
    assert 0.03162 in labels
    again = run(lambda s: s["s"], finer)
    assert np.setdiff1d(gx.refine(again, "value", 5).dataset.s, [0.001]).min() > 0.001


def test_labels_of_an_integer_axis_are_integers():
    space = product(n=gx.DataAxis([1, 5, 9]), m=gx.DataAxis([1, 3]))
    result = run(lambda s: jnp.sin(1.0 * s["n"] * s["m"]), space)
    finer = gx.refine(result, "value", 1000)
    assert len(finer) == 27  # there are no more
    assert sorted(set(finer.dataset.n.values.tolist())) == list(range(1, 10))
    assert finer.dataset.m.dtype == np.int64


def test_labels_differ_in_the_dtype_that_the_model_receives():
    space = product(x=gx.DataAxis([1.0, 1.0 + 2.0**-21]))
    result = run(lambda s: jnp.float32(0.0), space)
    finer = gx.refine(result, "value", 100)
    assert len({float(s["x"]) for s in finer}) == len(finer) < 10


def test_the_boundary_of_a_phase_diagram_is_followed():
    result = RESULT
    for _ in range(4):
        result = run(ring, gx.refine(result, "inside", 100, by="boundary"), extend=result)
    new = result.dataset.isel(point=slice(len(RESULT), None))
    distance = np.abs(np.hypot(new.x, new.y) - np.sqrt(0.5))
    assert distance.max() < 0.2  # a cell of the grid
    assert distance[-100:].median() < 0.03


def test_only_new_points_are_computed_and_the_others_are_copied():
    seen = []

    def model(state):
        seen.append((state["x"], state["y"]))
        return {"z": float(np.tanh(5 * state["x"] * state["y"]))}

    sequential = gx.SequentialExecution(model, SQUARE).run(progress=False)
    space = gx.refine(sequential, "z", 30)
    seen.clear()
    result = gx.SequentialExecution(model, space).run(extend=sequential, progress=False)
    assert len(seen) == 30
    whole = gx.SequentialExecution(model, space).run(progress=False)
    assert result.dataset["z"].equals(whole.dataset["z"])


def noisy(state):
    noise = 0.01 * jax.random.normal(state["key"])
    return {"z": jnp.tanh(20 * (state["x"] - 0.5)) * state["y"] + noise, "v": jnp.ones(3)}


TRIALS = product(x=gx.GridAxis(0, 1, 7), y=gx.GridAxis(1, 2, 3), key=gx.KeyAxis(6, name="trial"))


def test_trials_stay_whole():
    result = run(noisy, TRIALS)
    space = gx.refine(result, "z", 10)
    assert space.sizes == {"point": 31, "trial": 6}
    again = run(noisy, space, extend=result).dataset
    assert again["z"].dims == ("point", "trial")
    whole = run(noisy, space).dataset
    np.testing.assert_allclose(again["z"], whole["z"], rtol=1e-6)
    assert again["trial_value"].equals(whole["trial_value"])


def test_means_of_trials_are_refined():
    reduce = {"trial": ["mean", "std"]}
    result = run(noisy, TRIALS, reduce=reduce)
    space = gx.refine(result, "z.mean", 10)
    assert space.sizes == {"point": 31, "trial": 6}
    again = run(noisy, space, extend=result, reduce=reduce).dataset
    assert again["z.mean"].dims == ("point",)
    whole = run(noisy, space, reduce=reduce).dataset
    for name in ("z.mean", "z.std", "z.count", "v.mean"):
        np.testing.assert_allclose(again[name], whole[name], rtol=1e-5, atol=1e-6)


def test_some_dimensions_are_refined():
    space = gx.refine(run(noisy, TRIALS), "z", 4, dims="x")
    assert space.sizes == {"point": 11, "y": 3, "trial": 6}
    assert (np.abs(space.dataset.x.values[7:] - 0.5) < 0.26).all()


def test_a_result_from_a_file_gives_the_same_points(tmp_path):
    result = refined_up_to(200)
    wanted = gx.refine(result, "z", 50)
    result.to_netcdf(tmp_path / "result.nc")
    opened = gx.open_result(tmp_path / "result.nc")
    space = gx.refine(opened, "z", 50)
    assert space.dataset.identical(wanted.dataset)
    again = run(ring, space, extend=opened).dataset
    np.testing.assert_allclose(again["z"], run(ring, wanted).dataset["z"], atol=1e-6)


@pytest.mark.parametrize("kind", [dict, lambda axes: collections.defaultdict(dict, axes)])
def test_the_order_of_a_state_is_kept_in_files(kind, tmp_path):
    model = lambda s: s["z"] * s["m"] - s["a"]  # noqa: E731
    axes = kind({name: gx.GridAxis(0, 1, 3) for name in "zma"})
    result = run(model, gx.Space(axes, mode="product"))
    for i in range(3):
        result.to_netcdf(tmp_path / f"{i}.nc")
        result = gx.open_result(tmp_path / f"{i}.nc")
        space = gx.refine(result, "value", 4)
        assert [*space.state] == [*space.axes] == [*"zma"]
        result = run(model, space, extend=result)


def test_an_interrupted_run_gives_the_same_points_once_it_is_resumed(tmp_path):
    space = gx.refine(RESULT, "z", 60)
    executor = gx.ParallelExecution(ring, space, n_vmap=8)
    options = {"store": tmp_path / "run.zarr", "block": {"point": 16}, "progress": False}

    def stop(done, total):
        if done > 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.run(extend=RESULT, **{**options, "progress": stop})
    resumed = executor.run(extend=RESULT, **options)
    whole = executor.run(extend=RESULT, progress=False)
    assert gx.refine(resumed, "z", 40).dataset.identical(gx.refine(whole, "z", 40).dataset)


def test_points_without_a_value_do_not_hinder():
    space = product(x=gx.GridAxis(-1, 1, 9), y=gx.GridAxis(-1, 1, 9))
    result = run(lambda s: jnp.where(s["x"] > 0.5, jnp.nan, jnp.tanh(9 * s["y"])), space)
    new = gx.refine(result, "value", 30).dataset.isel(point=slice(81, None))
    assert (np.abs(new.y) < 0.4).mean() > 0.9
    partial = gx.SequentialExecution(lambda s: s["x"] / (s["x"] - 1), space)
    failed = partial.run(on_error="record", progress=False)
    assert len(gx.refine(failed, "value", 10)) == 91


@pytest.mark.parametrize(
    "axes", [{"x": gx.GridAxis(0, 1, 6)}, {"x": gx.GridAxis(0, 1, 6), "y": gx.GridAxis(0, 1, 3)}]
)
def test_infinite_values_count_as_none(axes):
    def model(bad):
        return lambda s: jnp.where(s["x"] < 0.5, bad, s["x"] ** 2)

    infinite, nan = (run(model(bad), product(**axes)) for bad in (jnp.inf, jnp.nan))
    new = [gx.refine(result, "value", 5).dataset for result in (infinite, nan)]
    assert new[0].identical(new[1])


def test_a_constant_output_is_refined_evenly():
    finer = gx.refine(run(lambda s: 0 * s["x"], SQUARE), "value", 100)
    assert np.abs(finer.dataset.x.values[121:]).mean() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("n_axes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("by", ["surplus", "boundary"])
@pytest.mark.slow
def test_up_to_five_axes_are_refined(n_axes, by):
    names = "abcde"[:n_axes]
    space = product(**{name: gx.GridAxis(0, 1, 4) for name in names})

    def model(state):
        far = sum((state[name] - 0.5) ** 2 for name in names)
        return {"z": jnp.exp(-10 * far), "near": far < 0.1 * n_axes}

    result = run(model, space)
    finer = gx.refine(result, "z" if by == "surplus" else "near", 20, by=by)
    assert 4**n_axes < len(finer) <= 4**n_axes + 20
    assert len(finer.to_dataframe().drop_duplicates()) == len(finer)
    again = run(model, finer, extend=result).dataset
    np.testing.assert_allclose(again["z"], run(model, finer).dataset["z"], rtol=1e-5)


def test_more_axes_are_too_many():
    space = product(**{name: gx.GridAxis(0, 1, 2) for name in "abcdef"})
    result = run(lambda s: s["a"], space)
    with pytest.raises(ValueError, match="a, b, c, d, e, f are more than 5 axes"):
        gx.refine(result, "value", 5)
    assert gx.refine(result, "value", 5, dims=["a", "f"]).sizes["point"] == 9


GROUPED = product(
    a=gx.GridAxis(0, 1, 3, group="g"), b=gx.GridAxis(0, 1, 3, group="g"), c=gx.GridAxis(0, 1, 3)
)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("q", 5), "refine: no output 'q'; the outputs are inside, z"),
        (("z", 5, "worst"), "refine: by must be 'surplus' or 'boundary', got 'worst'"),
        (("z", 0), "refine: n must be at least 1, got 0"),
        (("z", 5, "surplus", []), "dims must name some dimensions, each one once, got []"),
        (("z", 5, "surplus", ["x", "x"]), "each one once, got ['x', 'x']"),
        (("z", 5, "surplus", "q"), "refine: output has no dimension 'q'; there are x, y"),
    ],
)
def test_wrong_arguments_are_rejected(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        gx.refine(RESULT, *arguments)


def test_axes_without_numbers_halfway_are_rejected():
    result = run(noisy, TRIALS)
    with pytest.raises(ValueError, match="axis 'trial' has no numbers halfway between its values"):
        gx.refine(result, "z", 5, dims="trial")
    grouped = run(lambda s: s["a"] * s["c"], GROUPED)
    with pytest.raises(ValueError, match="axis 'a' shares the dimension 'g' with others"):
        gx.refine(grouped, "value", 5, dims="a")
    infinite = product(a=gx.DataAxis([0.0, 1.0, np.inf]), b=gx.GridAxis(0, 1, 3))
    result = run(lambda s: {"z": s["a"] * s["b"], "none": jnp.zeros(0)}, infinite)
    with pytest.raises(ValueError, match="axis 'a' has an infinite label, so there is nothing"):
        gx.refine(result, "z", 5, dims="a")
    assert gx.refine(result, "z", 2).sizes == {"a": 3, "point": 5}
    with pytest.raises(ValueError, match="output 'none' is an array without elements at each"):
        gx.refine(result, "none", 5)
    nodes = run(lambda s: s["a"] ** 2, product(a=gx.QuadratureAxis(0, 1, 3)))
    with pytest.raises(ValueError, match="axis 'a' has coordinates of its own, which new labels"):
        gx.refine(nodes, "value", 5)
    assert gx.refine(grouped, "value", 2).sizes == {"g": 3, "point": 5}
    with pytest.raises(TypeError, match="refine takes a Result, got Dataset"):
        gx.refine(result.dataset, "z", 5)


def test_axes_with_a_single_label_stay_as_they_are():
    space = product(x=gx.GridAxis(0, 1, 5), y=gx.DataAxis([2.0]))
    result = run(lambda s: s["x"] ** 3 * s["y"], space)
    assert gx.refine(result, "value", 3).sizes == {"point": 8, "y": 1}
    with pytest.raises(ValueError, match="axis 'y' has a single label"):
        gx.refine(result, "value", 3, dims=["x", "y"])


def test_labels_along_a_chain_stay_as_they_are():
    state = {
        "m": gx.Carried(0.0, "value", "r"),
        "r": gx.GridAxis(0, 1, 4),
        "x": gx.GridAxis(0, 1, 3),
    }
    result = run(lambda s: s["m"] / 2 + s["r"] * s["x"] ** 2, product(**state))
    assert gx.refine(result, "value", 2).sizes == {"r": 4, "point": 5}
    with pytest.raises(
        ValueError, match="axis 'r' has labels that follow each other, so that none"
    ):
        gx.refine(result, "value", 2, dims="r")


def test_scattered_points_are_refined_if_all_axes_are_named():
    line = run(lambda s: s["x"] ** 2, gx.Space({"x": gx.GridAxis(0, 1, 5)}))
    assert len(gx.refine(line, "value", 3)) == 8
    space = gx.Space(gx.sobol({"x": (-1, 1), "y": (-1, 1)}, 16))
    result = run(ring, space)
    with pytest.raises(ValueError, match="axis 'x' varies together with others along 'point'"):
        gx.refine(result, "z", 5)
    assert len(run(ring, gx.refine(result, "z", 5, dims=["x", "y"]), extend=result)) == 21


def test_an_axis_with_a_single_label_is_named():
    result = run(lambda s: s["a"] * 2, product(a=gx.DataAxis([2.0])))
    text = "refine: axis 'a' has a single label, but refine needs at least two"
    with pytest.raises(ValueError, match=f"^{text}$"):
        gx.refine(result, "value", 3)


def test_points_on_a_line_are_refined_along_the_axes():
    picked = run(ring, SQUARE[[3, 4, 5, 6]])
    assert len(gx.refine(picked, "z", 2)) == 6


def test_complex_outputs_are_rejected():
    result = run(lambda s: jax.lax.complex(s["x"], s["y"]), SQUARE)
    with pytest.raises(ValueError, match="output 'value' is complex64, not real numbers"):
        gx.refine(result, "value", 3)


def test_what_was_refined_is_refined_along_the_same_axes():
    result = refined_up_to(150)
    with pytest.raises(ValueError, match="the result was refined along x, y; refine the same ones"):
        gx.refine(result, "z", 5, dims="x")


@given(st.integers(2, 5), st.integers(2, 5), st.integers(1, 30), st.integers(0, 5))
def test_points_are_always_different_and_old_ones_come_first(n_x, n_y, n, seed):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.choice(np.arange(50), n_x, replace=False) / 7)
    space = product(x=gx.DataAxis(x), y=gx.GridAxis(-3, 5, n_y))
    table = rng.normal(size=space.shape)
    values = iter(table.ravel().tolist())
    result = gx.SequentialExecution(lambda s: next(values), space).run(progress=False)
    finer = gx.refine(result, "value", n)
    frame = finer.to_dataframe()
    assert not frame.duplicated().any()
    assert frame[: len(space)].equals(space.to_dataframe())
    assert len(finer) == len(space) + n
    inside = frame[len(space) :]
    assert inside.x.between(x.min(), x.max()).all()
    assert inside.y.between(-3, 5).all()


def test_points_picked_from_a_result_are_known():
    picked = SQUARE[[3, 50, 77]]
    result = run(ring, picked, extend=RESULT).dataset
    np.testing.assert_array_equal(result["z"], RESULT.dataset["z"].values.ravel()[[3, 50, 77]])
    some = SQUARE.filter(lambda ds: ds.x > 0.5)
    assert run(ring, some, extend=RESULT).dataset["z"].shape == (33,)


def test_a_refined_result_is_plotted_explored_and_unstacked():
    result = refined_up_to(150)
    artist = result.plot("z")
    assert type(artist).__name__ == "TriMesh"
    assert artist.axes.get_xlabel() == "x [mV]"
    assert "z over x and y" in repr(result.explore("z"))
    unstacked = result.unstack()["z"]
    assert unstacked.notnull().sum() == 150
    assert isinstance(unstacked, xr.DataArray)
