"""Whether code is the user's own or a library's, and of which version."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
import types
from typing import Any

_NAMES = ("stdlib", "platstdlib", "purelib", "platlib")
_FOLDERS = {sysconfig.get_paths()[name] for name in _NAMES} | {
    *site.getsitepackages(),
    site.getusersitepackages(),
}
# Where Python keeps what is not the user's own, as given and with links followed.
_LIBRARIES = tuple(
    path.rstrip(os.sep) + os.sep
    for folder in _FOLDERS
    for path in (folder, os.path.realpath(folder))
)
# Their versions say nothing about a model: JAX's is compared by itself.
_UNVERSIONED = frozenset({"builtins", "gridax", "jax", "jaxlib", *sys.stdlib_module_names})


def is_library_file(path: str) -> bool:
    """Whether a file belongs to Python or an installed package."""
    return path.startswith(("<frozen ", *_LIBRARIES))


def library(module: Any) -> str | None:
    """Return the package to which a module belongs, or None if it is the user's own.

    Examples
    --------
    >>> library("numpy.linalg"), library("json.decoder"), library("__main__")
    ('numpy', 'json', None)
    """
    if not isinstance(module, str):  # of classes that Cython makes for itself
        return "builtins"
    top = module.partition(".")[0]
    if top in ("builtins", "gridax"):
        return top
    if top == "__main__":  # also where a tool such as pytest started Python
        return None
    path = _path(module)
    if path is None:
        return top if top in sys.stdlib_module_names else None
    return top if is_library_file(path) else None


def _path(module: str) -> str | None:
    known = sys.modules.get(module)
    if known is None:
        try:
            spec = importlib.util.find_spec(module.partition(".")[0])
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin in ("built-in", "frozen"):
            return None
        places = spec.submodule_search_locations
        return spec.origin or (next(iter(places), None) if places else None)
    path = getattr(known, "__file__", None)
    if path is None:  # a namespace package
        path = next(iter(getattr(known, "__path__", ())), None)
    parent = module.rpartition(".")[0]
    # Modules within an extension module have no file of their own.
    return _path(parent) if path is None and parent else path


def is_library_code(function: types.FunctionType) -> bool:
    """Whether a function is defined in a library.

    `functools.wraps` gives wrappers the module of what they wrap, so their file decides.
    """
    path = function.__code__.co_filename
    if path.startswith("<") and not path.startswith("<frozen "):
        return library(function.__globals__.get("__name__", "__main__")) is not None
    return is_library_file(path) or library(function.__globals__.get("__name__", "")) == "gridax"


def is_member(value: Any) -> bool:
    """Whether a function or an object can be found in a library under its own name, as by pickle.

    Examples
    --------
    >>> import json
    >>> is_member(json.dumps), is_member(lambda: None)
    (True, False)
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or library(module) is None:
        return False
    found: Any = sys.modules.get(module)
    for step in name.split("."):
        found = getattr(found, step, None)
    return found is value


def library_of(kind: type) -> str | None:
    """Return the package to which a class belongs, or None if it is the user's own."""
    # Python puts what `make_dataclass` and `new_class` make into `types`, whoever calls them.
    is_made = kind.__module__ == "types" and not is_member(kind)
    return None if is_made else library(kind.__module__)


@functools.cache
def version(package: str) -> str | None:
    """Return the version of a package, or None if it does not matter."""
    if package in _UNVERSIONED:
        return None
    # Not with getattr: some packages warn if their version is asked for in this way.
    found = getattr(sys.modules.get(package), "__dict__", {}).get("__version__")
    if isinstance(found, str):
        return found
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
