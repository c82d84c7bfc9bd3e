"""The examples and the benchmarks run as their readers would run them."""

from __future__ import annotations

import pytest

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
    assert len(lines) <= 60


@pytest.mark.slow
def test_the_benchmarks_run_with_tiny_sizes(tmp_path):
    out = run(["-m", "benchmarks", "--quick"], tmp_path)
    for section in ("zoo", "spaces", "results", "imports", "compiling", "brain", "sweeps"):
        assert f"-- {section}" in out
