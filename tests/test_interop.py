"""What other libraries make of a result: each takes it as it is, labels included."""

from __future__ import annotations

import subprocess
import sys

import holoviews
import hvplot.pandas
import hvplot.xarray  # noqa: F401, adds `.hvplot` to xarray's objects
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn
import xarray as xr
from SALib.analyze import sobol as sobol_analysis
from SALib.sample import sobol as sobol_sample

import gridax as gx

TIME = xr.Variable("time", np.arange(0.0, 0.5, 0.1), {"units": "s", "long_name": "time"})


def model(state):
    noise = jax.random.normal(state["key"], TIME.shape)
    trace = state["drive"] * jnp.exp(-jnp.asarray(TIME.values) / state["tau"]) + 0.01 * noise
    return {
        "rate": xr.Variable((), trace.mean(), {"units": "Hz", "long_name": "mean rate"}),
        "trace": xr.DataArray(trace, dims="time", coords={"time": TIME}).assign_attrs(units="Hz"),
    }


def product():
    state = {
        "drive": gx.GridAxis(0, 1, 11, attrs={"units": "nA", "long_name": "input current"}),
        "tau": gx.DataAxis([1.0, 2.0, 5.0], attrs={"units": "ms"}),
        "key": gx.KeyAxis(4, name="trial"),
    }
    return gx.Space(state, mode="product", key=jax.random.key(0))


def design(n=32):
    axes = gx.sobol({"drive": (0.0, 1.0), "tau": (1.0, 5.0)}, n)
    return gx.Space(axes | {"key": jax.random.key(1)}, mode="product")


@pytest.fixture(scope="module")
def result():
    return gx.ParallelExecution(model, product()).run(progress=False)


@pytest.fixture(scope="module")
def scattered():
    return gx.ParallelExecution(model, design()).run(progress=False)


# pandas


def test_pandas_filters_rows_by_label(result):
    df = result.to_dataframe()
    rows = df[df.drive == 0.3]
    assert len(rows) == 3 * 4
    assert df.query("drive == 0.3 and tau == 5 and trial == 2").rate.item() == pytest.approx(
        result.dataset["rate"].sel(drive=0.3, tau=5.0, trial=2).item()
    )
    assert sorted(df[df.drive.isin([0.1, 0.7])].drive.unique()) == [0.1, 0.7]


def test_pandas_groups_as_xarray_averages(result):
    df = result.to_dataframe()
    grouped = df.groupby(["drive", "tau"])["rate"].mean()
    averaged = result.dataset["rate"].mean("trial").to_series()
    pd.testing.assert_series_equal(grouped, averaged, rtol=1e-5, check_dtype=False)
    assert grouped[0.3, 2.0] == pytest.approx(averaged[0.3, 2.0])


def test_pandas_pivots_to_a_table_of_labels(result):
    table = result.to_dataframe().pivot_table("rate", index="drive", columns="tau")
    assert table.shape == (11, 3)
    assert table.loc[0.3, 2.0] == pytest.approx(
        result.dataset["rate"].sel(drive=0.3, tau=2.0).mean().item(), rel=1e-5
    )


def test_pandas_explodes_a_trace_to_one_row_per_time(result):
    df = result.to_dataframe()
    cell = df.query("drive == 0.3 and tau == 5 and trial == 2").trace.item()
    long = result.dataset["trace"].to_dataframe().reset_index()
    rows = long.query("drive == 0.3 and tau == 5 and trial == 2")
    assert rows.time.tolist() == TIME.values.tolist()
    np.testing.assert_array_equal(rows.trace, cell)


# xarray's own plots


def test_xarray_draws_a_line_with_names_and_units(result):
    (line,) = result.dataset["rate"].sel(tau=2.0).mean("trial").plot()
    assert line.axes.get_xlabel() == "input current [nA]"
    assert line.axes.get_ylabel() == "mean rate [Hz]"
    np.testing.assert_array_equal(line.get_xdata(), np.arange(11) / 10)


def test_xarray_draws_a_line_per_label(result):
    lines = result.dataset["rate"].mean("trial").plot.line(x="drive", hue="tau")
    legend = lines[0].axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["1.0", "2.0", "5.0"]
    assert legend.get_title().get_text() == "tau [ms]"


def test_xarray_draws_a_map(result):
    mesh = result.dataset["rate"].mean("trial").plot(x="drive")
    assert mesh.axes.get_xlabel() == "input current [nA]"
    assert mesh.axes.get_ylabel() == "tau [ms]"
    assert mesh.colorbar.ax.get_ylabel() == "mean rate [Hz]"
    assert mesh.get_array().shape == (3, 11)


def test_xarray_draws_a_panel_per_label(result):
    facets = result.dataset["trace"].mean("trial").plot(x="time", y="drive", col="tau")
    titles = [ax.get_title() for ax in facets.axs.flat]
    assert titles == ["tau = 1.0", "tau = 2.0", "tau = 5.0"]
    assert facets.axs[0, 0].get_xlabel() == "time [s]"
    assert facets.axs[0, 0].get_ylabel() == "input current [nA]"


def test_xarray_scatters_the_points_of_a_design(scattered):
    points = scattered.dataset.plot.scatter(x="drive", y="tau", hue="rate")
    assert points.get_offsets().shape == (32, 2)
    assert points.colorbar.ax.get_ylabel() == "mean rate [Hz]"


# seaborn and hvplot


def test_seaborn_draws_a_panel_per_label(result):
    df = result.to_dataframe()
    facets = seaborn.relplot(df, x="drive", y="rate", col="tau", kind="line", errorbar=None)
    assert [ax.get_title() for ax in facets.axes.flat] == ["tau = 1.0", "tau = 2.0", "tau = 5.0"]
    (line,) = facets.axes[0, 1].get_lines()
    mean = result.dataset["rate"].sel(tau=2.0).mean("trial")
    np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-5)


def test_seaborn_draws_a_pivoted_table(result):
    table = result.to_dataframe().pivot_table("rate", index="tau", columns="drive")
    ax = seaborn.heatmap(table, xticklabels=True)
    plt.gcf().canvas.draw()
    assert [text.get_text() for text in ax.get_xticklabels()][:4] == ["0.0", "0.1", "0.2", "0.3"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("drive", "tau")


def test_hvplot_draws_the_table(result):
    df = result.to_dataframe()
    lines = df[df.trial == 0].hvplot.line(x="drive", y="rate", by="tau")
    assert list(lines.keys()) == [1.0, 2.0, 5.0]
    assert lines[2.0]["drive"].tolist() == [i / 10 for i in range(11)]
    assert holoviews.render(lines).legend


def test_hvplot_draws_the_dataset_with_names_and_units(result):
    mesh = result.dataset["rate"].mean("trial").hvplot.quadmesh(x="drive", y="tau")
    x, y = mesh.kdims
    assert (x.label, x.unit, y.unit) == ("input current", "nA", "ms")
    figure = holoviews.render(mesh)
    assert figure.xaxis[0].axis_label == "input current (nA)"


def test_hvplot_makes_a_slider_of_what_is_left(result):
    lines = result.dataset["trace"].hvplot.line(x="time", groupby=["drive", "tau", "trial"])
    wanted = result.dataset["trace"].sel(drive=0.3, tau=2.0, trial=1)
    np.testing.assert_array_equal(lines[0.3, 2.0, 1]["trace"], wanted)


def test_hvplot_scatters_the_points_of_a_design(scattered):
    points = scattered.to_dataframe().hvplot.scatter(x="drive", y="tau", c="rate")
    assert len(points) == 32


def shared_dimensions(kind):
    """Return a result in which axes share a dimension, and a plain Dataset of the same content."""
    axes = {
        "p": gx.DataAxis([3.0, 1.0, 2.0], group="set"),
        "q": gx.DataAxis([30, 10, 20], group="set"),
    }
    space = {
        "group": lambda: gx.Space({"x": gx.GridAxis(0, 1, 5)} | axes, mode="product"),
        "zip": lambda: gx.Space({"x": gx.GridAxis(0, 1, 3)} | axes, mode="zip"),
        "design": lambda: gx.Space(gx.sobol({"x": (0.0, 1.0), "p": (1.0, 5.0)}, 8), mode="product"),
        "unsorted": lambda: gx.Space(
            {"x": gx.DataAxis([0.3, 0.1]), "p": gx.DataAxis([1, 2])}, "product"
        ),
    }[kind]()

    def model(state):
        trace = state["x"] * state["p"] * jnp.arange(4.0)
        return {"y": trace.mean(), "trace": xr.DataArray(trace, {"time": np.arange(4.0)}, ["time"])}

    run = gx.ParallelExecution(model, space).run(progress=False)
    arrays = {n: (v.dims, v.values, v.attrs) for n, v in run.dataset.data_vars.items()}
    coords = {n: (v.dims, v.values, v.attrs) for n, v in run.dataset.coords.items()}
    return run, xr.Dataset(arrays, coords)


PLOTS = {
    "lines": lambda h: h.line(x="x", y="y", by="p"),
    "line with widgets for the rest": lambda h: h.line(x="x", y="y"),
    "scatter": lambda h: h.scatter(x="x", y="p", c="y"),
    "hist": lambda h: h.hist("y"),
    "widget of a member": lambda h: h.line(x="time", y="trace", groupby="p"),
    "widget of a dimension": lambda h: h.line(x="time", y="trace", groupby="x"),
    "table": lambda h: h.table(),
}


@pytest.mark.filterwarnings("ignore")  # of hvPlot and pandas, for the plain Dataset as well
@pytest.mark.parametrize("kind", ["group", "zip", "design", "unsorted"])
@pytest.mark.sampled(4)
def test_hvplot_draws_axes_that_share_a_dimension_as_those_of_a_plain_dataset(kind):
    run, plain = shared_dimensions(kind)
    for name, draw in PLOTS.items():
        mine, theirs = draw(run.hvplot), draw(plain.hvplot)
        assert type(mine) is type(theirs), name
        assert set(mine.kdims) == set(theirs.kdims), name
        assert holoviews.render(mine), name
        if isinstance(mine, holoviews.Element):
            wanted = theirs.dframe()
            pd.testing.assert_frame_equal(mine.dframe()[list(wanted)], wanted)
    # The Dataset itself keeps its index.
    label = run.dataset["p"].values[1]
    assert run.dataset.sel(p=label)["p"].values.tolist() in (label, [label])
    assert run.dataset.sel(p=label + 1e-3, method="nearest")["p"].item() == label


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plot", ["image", "quadmesh"])
def test_hvplot_draws_a_map_over_labels_that_are_not_sorted(plot):
    run, plain = shared_dimensions("unsorted")
    mine, theirs = (getattr(h, plot)(x="x", y="p", z="trace") for h in (run.hvplot, plain.hvplot))
    assert mine.kdims == theirs.kdims == [holoviews.Dimension("time")]
    np.testing.assert_array_equal(mine[2.0]["trace"], theirs[2.0]["trace"])
    assert holoviews.render(mine[2.0])


@pytest.mark.filterwarnings("ignore")
def test_hvplot_draws_a_heatmap_of_one_output_over_a_member():
    run, plain = shared_dimensions("design")
    bare = run.dataset["y"].drop_indexes(["x", "p"])
    mine, theirs = (d.hvplot.heatmap(x="x", y="p", C="y") for d in (bare, plain["y"]))
    pd.testing.assert_frame_equal(mine.dframe(), theirs.dframe())
    assert holoviews.render(mine)


@pytest.mark.slow
def test_hvplot_explores_the_dataset_with_widgets():
    run, _ = shared_dimensions("group")
    explorer = run.hvplot.explorer()
    assert explorer.kind
    assert explorer.__panel__().get_root()


def test_holoviews_takes_the_members_of_a_group_as_a_plain_dataset_does():
    run, plain = shared_dimensions("group")
    bare = run.dataset.drop_indexes(["p", "q"])
    assert holoviews.Dataset(bare[["y"]]).kdims == holoviews.Dataset(plain[["y"]]).kdims
    mine, theirs = (holoviews.Dataset(d[["y"]]).dframe() for d in (bare, plain))
    pd.testing.assert_frame_equal(mine[list(theirs)], theirs)


def test_hvplot_that_is_not_installed_is_named_with_what_to_install(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "hvplot", None)
    monkeypatch.delitem(sys.modules, "hvplot.xarray")
    with pytest.raises(ModuleNotFoundError, match=r"^hvplot is not .*'gridax\[hvplot\]'$"):
        _ = result.hvplot


# Files, without gridax

READER = """
import sys

import numpy as np
import xarray as xr

netcdf, zarr, store, scattered = sys.argv[1:]
for ds in (xr.open_dataset(netcdf), xr.open_zarr(zarr), xr.open_zarr(store)):
    one = ds["rate"].sel(drive=0.3, tau=2.0)
    assert one.dims == ("trial",), one.dims
    assert ds["rate"].sel(drive=0.34, method="nearest")["drive"].item() == 0.3
    assert ds["trace"].sel(time=3 * 0.1, tau=[1.0, 5.0]).shape == (11, 2, 4)
    assert ds["drive"].attrs["units"] == "nA"
    assert ds["rate"].attrs["long_name"] == "mean rate"
    print(*one.values)

ds = xr.open_dataset(scattered)
some = ds.where(ds["drive"] > 0.5, drop=True)
assert 0 < some.sizes["sobol"] < ds.sizes["sobol"]
label = ds["drive"].values[7]
print(ds.set_xindex("drive")["rate"].sel(drive=label).item())
assert "gridax" not in sys.modules
"""


@pytest.mark.slow
def test_files_are_read_and_selected_without_gridax(result, scattered, tmp_path):
    result.to_netcdf(tmp_path / "sweep.nc")
    result.to_zarr(tmp_path / "sweep.zarr")
    blocks = {"store": tmp_path / "store.zarr", "block": {"drive": 4}}
    gx.ParallelExecution(model, product()).run(progress=False, **blocks)
    scattered.to_netcdf(tmp_path / "design.nc")
    (tmp_path / "reader.py").write_text(READER)
    files = ["sweep.nc", "sweep.zarr", "store.zarr", "design.nc"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "reader.py", *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *grids, point = ([float(n) for n in line.split()] for line in done.stdout.splitlines())
    wanted = result.dataset["rate"].sel(drive=0.3, tau=2.0)
    np.testing.assert_allclose(grids, [wanted] * 3, rtol=1e-5)
    assert point == [pytest.approx(scattered.dataset["rate"].values[7])]


# Dask


@pytest.mark.slow
def test_a_store_is_a_lazy_dask_table(result, tmp_path):
    blocks = {"store": tmp_path / "sweep.zarr", "block": {"drive": 4}}
    stored = gx.ParallelExecution(model, product()).run(progress=False, **blocks)
    table = stored.dataset[["rate"]].to_dask_dataframe()
    assert table.npartitions > 1
    wanted = result.dataset["rate"].to_dataframe().reset_index()
    found = table.compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(found[list(wanted)], wanted, rtol=1e-5)
    assert found[found.drive == 0.3].shape[0] == 3 * 4


# ArviZ and SALib


# ArviZ 0.23 announces its next version at the first import of each day.
@pytest.mark.filterwarnings(r"ignore:\s*ArviZ is undergoing a major refactor:FutureWarning")
@pytest.mark.slow
def test_arviz_summarizes_outputs_over_chains_and_draws():
    import arviz

    chains, draws = 4, 50
    chain, draw = np.indices((chains, draws))
    posterior = np.random.default_rng(0).normal([[2.0]], 0.1, (chains, draws))
    samples = {"tau": posterior, "chain": chain, "draw": draw}
    axes = gx.from_samples({name: values.ravel() for name, values in samples.items()})
    drive = gx.GridAxis(0.5, 1, 3)
    space = gx.Space(axes | {"drive": drive, "key": jax.random.key(0)}, mode="product")
    dataset = gx.ParallelExecution(model, space).run(progress=False).dataset

    unstacked = dataset.set_index(sample=["chain", "draw"]).unstack("sample")
    outputs = unstacked.reset_coords("tau")[["tau", "rate"]].transpose("chain", "draw", "drive")
    inference = arviz.InferenceData(posterior=outputs)
    assert dict(inference.posterior.sizes) == {"chain": chains, "draw": draws, "drive": 3}
    np.testing.assert_allclose(inference.posterior["tau"], posterior)

    table = arviz.summary(inference, round_to="none")
    assert list(table.index) == ["tau", "rate[0.5]", "rate[0.75]", "rate[1.0]"]
    assert table.loc["rate[0.5]", "mean"] == pytest.approx(
        dataset["rate"].sel(drive=0.5).mean().item(), rel=1e-5
    )
    assert table.loc["rate[0.5]", "r_hat"] < 1.1


def ishigami(state):
    x = state["x"]
    return jnp.sin(x[0]) + 7.0 * jnp.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * jnp.sin(x[0])


def test_salib_finds_the_known_indices_of_a_labeled_design():
    names = ["x1", "x2", "x3"]
    problem = {"num_vars": 3, "names": names, "bounds": [[-np.pi, np.pi]] * 3}
    rows = sobol_sample.sample(problem, 4096, calc_second_order=False, seed=1)
    axes = gx.from_samples(dict(zip(names, rows.T, strict=True)), group="design")
    space = gx.Space({"x": [axes["x1"], axes["x2"], axes["x3"]], "other": 1.0}, mode="product")
    dataset = gx.ParallelExecution(ishigami, space).run(progress=False).dataset
    design = np.stack([dataset[name] for name in names], axis=1)
    np.testing.assert_allclose(design, rows, rtol=1e-12)  # the order that SALib counts on

    found = sobol_analysis.analyze(
        problem, dataset["value"].values.astype(float), calc_second_order=False, seed=1
    )
    np.testing.assert_allclose(found["S1"], [0.3139, 0.4424, 0.0], atol=0.02)
    np.testing.assert_allclose(found["ST"], [0.5576, 0.4424, 0.2437], atol=0.02)
