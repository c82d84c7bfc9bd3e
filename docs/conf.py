"""Sphinx configuration; `make docs` builds the site offline, with warnings as errors."""

from __future__ import annotations

import os
from typing import Any

from docutils.nodes import document
from sphinx import addnodes
from sphinx.application import Sphinx

import gridax

# Notebooks and pages are executed in separate processes, which inherit this variable.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

project = "gridax"
author = "The gridax developers"
copyright = "The gridax developers"
release = version = gridax.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = True
# Names in annotations and numpydoc types that are documented elsewhere, or not at all.
nitpick_ignore_regex = [("py:.*", r"(?!gridax\.).*"), ("py:.*", r"gridax\.(_|axes|space|result).*")]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = os.path.join(os.path.dirname(__file__), "_build", "executed")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's parameter descriptions have the types
numpydoc_show_class_members = False
add_module_names = False
# Classes that users receive from gridax, which constructs them.
RECEIVED = {
    "gridax.Comparison",
    "gridax.Plan",
    "gridax.PointIndex",
    "gridax.Result",
    "gridax.explore.Explorer",
}
# Members that only gridax, JAX or xarray calls; in both, by the name of the class.
autosummary_context = {
    "internal": {
        "Carried": "is_computed, tree_flatten_with_keys, tree_unflatten, with_direction",
        "Plan": "along, blocks, indices, kind, lengths, n_tiles, region, split, tiles, waiting",
        "PointIndex": "concat, create_variables, equals, from_variables, isel, join, labels, "
        "reindex_like, rename, sel, size, to_pandas_index",
    }
}

html_theme = "pydata_sphinx_theme"
html_title = "gridax"
html_static_path = ["_static"]
html_css_files = ["gridax.css"]
html_show_sourcelink = False
html_copy_source = False
# List all pages with their captions on the left, instead of the first few at the top.
html_sidebars = {"**": ["globaltoc.html"], "index": []}
html_theme_options = {
    "logo": {"text": "gridax"},
    "navbar_center": ["menus.html"],
    "navbar_persistent": [],
    "navbar_end": ["search-button-field", "theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_context = {"default_mode": "auto"}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def tell(app: Sphinx, page: str, source: list[str]) -> None:
    """Print the name of a page that is being read, since executing its code can take minutes."""
    if not page.startswith("api/"):
        print(f"  {page}", flush=True)


def without_constructor(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: Any, returns: Any
) -> tuple[str, None] | None:
    """Document a class that users do not construct without the arguments of its constructor."""
    return ("", None) if name in RECEIVED else None


def add_menus(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: document | None
) -> None:
    """Give menus.html the captions and pages of the front page's tables of contents."""
    titles = app.env.titles
    context["menus"] = [
        (contents["caption"], [(name, titles[name].astext()) for _, name in contents["entries"]])
        for contents in app.env.get_doctree("index").findall(addnodes.toctree)
    ]


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", tell)
    app.connect("autodoc-process-signature", without_constructor, priority=1)
    app.connect("html-page-context", add_menus)
