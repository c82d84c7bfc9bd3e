"""What is the user's own, and what a library's."""

from __future__ import annotations

import functools
import json
import os
import types

import jax
import numpy as np
import pytest

import gridax as gx
from gridax._digest.origin import is_library_code, is_member, library, library_of, version


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("builtins", "builtins"),
        ("sys", "sys"),
        ("_json", "_json"),
        ("json.decoder", "json"),
        ("numpy.linalg", "numpy"),
        ("jax._src.api", "jax"),
        ("gridax._run", "gridax"),
        ("__main__", None),
        (__name__, None),
        ("tests", None),
        ("not_there_at_all", None),
    ],
)
def test_a_module_is_a_librarys_or_the_users_own(module, package):
    assert library(module) == package


def test_a_module_that_was_not_imported_is_looked_for(tmp_path, monkeypatch):
    (tmp_path / "own_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert library("own_module") is None
    assert library("wsgiref.util") == "wsgiref"


def test_a_users_module_may_have_the_name_of_one_of_pythons(tmp_path, monkeypatch):
    own = types.ModuleType("this")
    own.__file__ = str(tmp_path / "this.py")
    monkeypatch.setitem(__import__("sys").modules, "this", own)
    assert library("this") is None


def own():
    pass


def test_the_file_of_a_function_decides_and_not_the_name_that_it_was_given():
    assert is_library_code(json.dumps)
    assert is_library_code(jax.vmap(own))
    assert is_library_code(gx.open_result)
    assert is_library_code(os.path.join)
    assert not is_library_code(own)
    assert not is_library_code(functools.wraps(json.dumps)(lambda: None))
    names = {}
    exec("def f(): pass", names)
    assert not is_library_code(names["f"])


def test_members_of_a_library_are_found_under_their_own_names():
    found = [json.dumps, json.JSONDecoder.decode, jax.numpy.sin, np.add.reduce, types.FunctionType]
    assert [is_member(each) for each in found] == [True, True, True, False, False]
    assert not is_member(functools.wraps(json.dumps)(lambda: None))
    assert not is_member(own)


def test_classes_that_python_makes_for_the_user_are_the_users_own():
    made = types.new_class("Made")
    kinds = [made, types.SimpleNamespace, json.JSONDecoder, int, type("Own", (), {})]
    assert [library_of(kind) for kind in kinds] == [None, "types", "json", "builtins", None]


def test_packages_have_versions_but_for_those_whose_version_says_nothing():
    assert version("numpy") == np.__version__
    assert version("no_such_package") is None
    assert version("pytest") == pytest.__version__
    assert [version(name) for name in ("json", "builtins", "jax", "gridax")] == [None] * 4
