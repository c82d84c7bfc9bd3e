"""What a run displays while it computes."""

from __future__ import annotations

import sys
import types
import warnings

import pytest

from gridax._plan.progress import Progress
from gridax._show.progress import Bar, progress_text


@pytest.fixture
def notebook(monkeypatch):
    """Let tqdm, imported anew, find a Jupyter kernel."""
    for name in [name for name in sys.modules if name.split(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("zmqshell"))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))


def test_a_notebook_without_widgets_has_a_bar_of_text_and_no_warning(notebook, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # cannot be imported
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # tqdm hides a warning that is an error
        bar = Bar("sweep", 4)
    bar(3, 4)
    bar.close()
    assert [str(warning.message) for warning in caught] == []
    assert "sweep:  75%" in capsys.readouterr().err


def test_counts_that_are_zero_are_not_mentioned():
    assert progress_text(Progress(15, 0, 15)) == "15 of 15 points done"
