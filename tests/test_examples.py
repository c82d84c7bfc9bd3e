"""The examples and the benchmarks run as their readers would run them."""

from __future__ import annotations

import pytest

import gridax as gx
from tests.cells import python as run
from tests.processes import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_every_example_runs_and_draws(script, tmp_path):
    run([str(script)], tmp_path)
    assert list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_an_example_is_short_and_imports_gridax_in_one_line(script):
    lines = [line for line in script.read_text().splitlines() if line.strip()]
    assert [line for line in lines if "import gridax" in line] == ["import gridax as gx"]
    assert len(lines) <= 85


@pytest.mark.slow
def test_the_demo_saves_what_its_figure_shows(tmp_path):
    out = run([str(ROOT / "examples" / "brain_sweep.py"), "out"], tmp_path)
    assert "<xarray.Dataset>" in out
    assert "brain_sweep.nc" in out
    result = gx.open_result(tmp_path / "out" / "brain_sweep.nc")
    assert result.space.dims == ("G", "trial")
    activity = result.dataset["S"].mean(["trial", "region"])
    assert activity.sel(G=0.1) < 0.15  # quiet
    assert activity.sel(G=0.4) > 0.4  # switched on
    assert result.dataset["G"].attrs["long_name"] == "global coupling G"


@pytest.mark.slow
def test_the_benchmarks_run_with_tiny_sizes(tmp_path):
    out = run(["-m", "benchmarks", "--quick"], tmp_path)
    for section in ("spaces", "results", "imports", "compiling", "brain", "sweeps"):
        assert f"-- {section}" in out
