"""The code of pages and notebooks, and how their readers would run it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.processes import finished

# One namespace, no module to import again in other processes: as in a notebook.
RUNNER = "import pathlib; exec(compile(pathlib.Path('cells.py').read_text(), 'cells.py', 'exec'))"


def code_of_page(path: Path) -> list[str]:
    """Return the Python blocks and cells of a Markdown page."""
    found = re.findall(
        r"^```(?:python|\{code-cell\}[^\n]*)\n(.*?)^```", path.read_text(), re.M | re.S
    )
    # The options of a cell are for the site.
    return [re.sub(r"\A(?::[\w-]+:[^\n]*\n|---\n.*?\n---\n)+", "", block) for block in found]


def code_of_notebook(path: Path) -> list[str]:
    """Return the code cells of a notebook, with its quick sizes."""
    cells = []
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            cells += ["".join(cell["source"]), cell["metadata"].get("quick", "")]
    return cells


def run(cells: list[str], folder: Path) -> str:
    """Run code in a fresh process, warnings being errors, and return what it prints."""
    (folder / "cells.py").write_text("\n\n".join(cells))
    return python(["-c", RUNNER], folder)


def python(arguments: list[str], folder: Path) -> str:
    """Run Python in a fresh process, warnings being errors, and return what it prints."""
    done = finished("-W", "error", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
