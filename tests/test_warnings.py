"""Warnings that point to the line of the user, through however much of gridax."""

from __future__ import annotations

import pytest

from gridax._warnings import warn


def inside(name, source):
    """Define functions as if in a module of some name."""
    namespace = {"__name__": name, "warn": warn}
    exec(compile(source, f"<{name}>", "exec"), namespace)
    return namespace


def line_of(function):
    return function.__code__.co_firstlineno + 1


def test_a_warning_points_to_the_line_that_called_gridax():
    def user():
        library["outer"]("careful")

    library = inside(
        "gridax.module",
        "def outer(text):\n    inner(text)\n\ndef inner(text):\n    warn(text)\n",
    )
    with pytest.warns(UserWarning, match=r"^careful$") as caught:
        user()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line_of(user))


def test_a_warning_of_gridax_called_directly_points_to_the_caller():
    def user():
        library["only"]()

    library = inside("gridax.execution.deep", "def only():\n    warn('careful')\n")
    with pytest.warns(UserWarning, match=r"^careful$") as caught:
        user()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line_of(user))


def test_a_warning_from_a_generator_points_to_who_goes_through_it():
    def user():
        list(library["outer"]())

    library = inside(
        "gridax.module",
        "def outer():\n    yield from inner()\n\ndef inner():\n    warn('careful')\n    yield 1\n",
    )
    with pytest.warns(UserWarning, match=r"^careful$") as caught:
        user()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line_of(user))


def test_other_packages_of_a_similar_name_are_users_too():
    library = inside("gridax.module", "def only():\n    warn('careful')\n")
    other = inside("gridaxes", "def user(only):\n    only()\n")
    with pytest.warns(UserWarning, match=r"^careful$") as caught:
        other["user"](library["only"])
    assert (caught[0].filename, caught[0].lineno) == ("<gridaxes>", 2)


def test_a_warning_from_outside_of_gridax_points_to_its_own_line():
    def user():
        warn("careful")

    with pytest.warns(UserWarning, match=r"^careful$") as caught:
        user()
    assert (caught[0].filename, caught[0].lineno) == (__file__, line_of(user))
