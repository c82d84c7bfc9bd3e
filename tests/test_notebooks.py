"""Every notebook is stored without outputs, and runs from top to bottom in its quick form."""

from __future__ import annotations

import json

import pytest

from tests.cells import code_of_notebook, run
from tests.processes import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_and_all_are_on_the_site():
    index = (ROOT / "docs" / "index.md").read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}" in index


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_quick_sizes_stand_with_the_sizes_that_they_replace(path):
    cells = [c for c in json.loads(path.read_text())["cells"] if "quick" in c["metadata"]]
    assert len(cells) <= 1
    for cell in cells:
        assert cell["metadata"]["tags"] == ["parameters"]
        sizes, quick = {}, {}
        exec("".join(cell["source"]), {}, sizes)
        exec(cell["metadata"]["quick"], {}, quick)
        assert set(quick) <= set(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    run(code_of_notebook(path), tmp_path)
