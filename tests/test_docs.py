"""The site builds without broken links, and the code of every page runs."""

from __future__ import annotations

import inspect
import re
import runpy
import sys

import pytest

import gridax as gx
from tests.cells import code_of_page, python, run
from tests.processes import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
WITH_CODE = [page for page in PAGES[1:] if code_of_page(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
@pytest.mark.slow
def test_the_code_of_a_page_runs(page, tmp_path):
    run(code_of_page(page), tmp_path)


@pytest.mark.slow
def test_the_readme_writes_the_file_it_mentions(tmp_path):
    run(code_of_page(ROOT / "README.md"), tmp_path)
    assert len(gx.open_result(tmp_path / "sweep.nc")) == 4000


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_broken_links(tmp_path):
    # Notebooks and cells are executed by `make docs`, and in a quick form by other tests.
    options = ["-W", "--keep-going", "-q", "-b", "html", "-D", "nb_execution_mode=off"]
    options += ["-D", "suppress_warnings=myst-nb.lexer"]  # the kernel names the language
    site = tmp_path / "site"
    # Sphinx turns its own warnings into errors; Python warnings come from its extensions.
    python(
        [
            "-W",
            "default",
            "-m",
            "sphinx",
            *options,
            "-d",
            "doctrees",
            str(ROOT / "docs"),
            str(site),
        ],
        tmp_path,
    )
    front = (site / "index.html").read_text()
    assert all(f'href="{page.stem}.html"' in front for page in PAGES[1:] if page.stem != "index")
    shown = (site / "api" / "gridax.Result.html").read_text()
    assert 'class="sig-paren"' not in shown.split("</dt>")[0]
    assert python([str(ROOT / "docs" / "check_links.py"), str(site)], tmp_path).strip() == ""


def test_a_class_in_the_reference_explains_its_constructor_or_has_none(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # the configuration sets it
    received = runpy.run_path(str(ROOT / "docs" / "conf.py"))["RECEIVED"]
    for name in set(gx.__all__) - {"AbstractAxis"}:
        public = getattr(gx, name)
        if inspect.isclass(public):
            explained = "Parameters\n------" in inspect.getdoc(public)
            assert explained == (f"gridax.{name}" not in received), name


def test_a_broken_link_is_found(tmp_path):
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from check_links import broken
    finally:
        sys.path.pop(0)
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a><a href="b.html#not">x</a><a href="c.html">x</a>'
        '<a href="https://example.org">x</a><script src="https://example.org/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">x</p>')
    assert broken(tmp_path) == [
        "a.html: b.html#not has no such anchor",
        "a.html: c.html does not exist",
        "a.html: https://example.org/x.js is loaded from the network",
    ]


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: page.stem)
def test_what_a_page_points_to_exists(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, place = target.partition("#")
        if "://" in path:
            continue
        file = page.parent / path if path else page
        assert file.exists(), target
        if place and file.suffix == ".md":
            assert place in anchors(file), target


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def test_the_reference_lists_every_public_name():
    listed = set(re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(), re.M))
    # AbstractAxis is another name of Axis.
    assert listed == set(gx.__all__) - {"AbstractAxis", "__version__"} | {"Explorer"}
