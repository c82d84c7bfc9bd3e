"""What `import gridax` costs and offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import gridax as gx

# Also `import jax, numpyro, xarray` brings some of these; gridax brings no more.
HEAVY = (
    *("matplotlib", "bokeh", "panel", "hvplot", "rich", "click", "tqdm"),
    *("dask", "zarr", "netCDF4", "scipy.stats", "tvboptim"),
)

SCRIPT = f"""
import sys
import jax, numpyro, xarray
before = set(sys.modules)
import gridax
added = sorted(set(sys.modules) - before)
print([m for m in added if any(m == h or m.startswith(h + ".") for h in {HEAVY!r})])
print(sorted({{m.partition(".")[0] for m in added}}))
print(jax._src.xla_bridge.backends_are_initialized())
"""


def test_importing_gridax_brings_nothing_heavy_and_starts_no_device():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    heavy, packages, started = done.stdout.splitlines()
    assert heavy == "[]"
    # Of JAX, a small module that it does not import itself.
    assert set(ast.literal_eval(packages)) <= {
        *("gridax", "concurrent", "fractions", "statistics", "_statistics", "jax")
    }
    assert started == "False"


def test_the_public_names_are_those_that_are_listed():
    public = {name for name in vars(gx) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(gx, name)) is type(sys)}
    assert public - modules == set(gx.__all__) - {"__version__"}
    assert len(set(gx.__all__)) == len(gx.__all__)


OBJECTS = [name for name in gx.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", OBJECTS)
def test_a_public_object_says_where_it_is_imported_from(name):
    found = getattr(gx, name)
    assert found.__module__ == "gridax"
    assert getattr(gx, found.__name__) is found


@pytest.mark.parametrize("name", OBJECTS)
def test_a_public_object_has_a_docstring_with_an_example(name):
    text = inspect.getdoc(getattr(gx, name))
    assert text.splitlines()[0].endswith(".")
    assert "Examples\n--------\n>>> " in text


@pytest.mark.parametrize("name", OBJECTS)
def test_public_methods_have_a_docstring(name):
    found = getattr(gx, name)
    if isinstance(found, type):
        for attribute, value in vars(found).items():
            if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                assert (value.fget if isinstance(value, property) else value).__doc__, attribute


def test_tracebacks_and_reprs_say_gridax():
    assert repr(gx.Space) == "<class 'gridax.Space'>"
    assert repr(gx.ParallelExecution) == "<class 'gridax.ParallelExecution'>"


def test_the_version_is_that_of_the_installed_package():
    assert gx.__version__ == version("gridax")
