"""Counts, numbers, names and attributes: what passes, and what the refusals say."""

from __future__ import annotations

import decimal
import fractions
import inspect
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import gridax as gx
from gridax import _checks

OWNER = "axis 'G'"


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), jnp.int32(3)])
def test_a_count_becomes_a_python_int(value: object) -> None:
    count = _checks.count(value, OWNER, "n")
    assert (type(count), count) == (int, 3)
    assert _checks.count(1, OWNER, "n") == 1


@pytest.mark.parametrize("value", [2.0, 2.5, True, np.True_, "3", None, [3], np.array([3])])
def test_a_count_that_is_no_whole_number_is_refused(value: object) -> None:
    message = f"axis 'G': n must be a whole number of at least 1, got {value!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        _checks.count(value, OWNER, "n")


@pytest.mark.parametrize("value", [0, -1, np.int8(-3)])
def test_a_count_below_one_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"axis 'G': n must be at least 1, got {value}")):
        _checks.count(value, OWNER, "n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (np.int8(-2), -2.0),
        (fractions.Fraction(1, 4), 0.25),
        (decimal.Decimal("0.1"), 0.1),
        (np.array(0.5), 0.5),
        (np.float32(0.1), 0.1),
        (np.float16(0.1), 0.1),
        (jnp.float32(0.1), 0.1),
        (0.1 + 0.2, 0.1 + 0.2),
    ],
)
def test_a_number_becomes_a_python_float_and_float32_means_its_shortest_decimal(
    value: object, expected: float
) -> None:
    number = _checks.number(value, OWNER, "low")
    assert (type(number), number) == (float, expected)


@pytest.mark.parametrize(
    "value", ["1.0", None, 1j, True, np.True_, [1.0], np.array([1.0]), np.datetime64("2020-01-01")]
)
def test_what_is_no_real_number_is_refused(value: object) -> None:
    message = f"axis 'G': low must be a single real number, got {value!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        _checks.number(value, OWNER, "low")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -np.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_refused(value: float) -> None:
    message = f"axis 'G': low must be finite, got {float(value)}"
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.number(value, OWNER, "low")


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.5), (0, -1)])
def test_bounds_that_do_not_ascend_are_refused(low: float, high: float) -> None:
    message = f"axis 'G': low must be smaller than high, got low={float(low)}, high={float(high)}"
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.bounds(low, high, OWNER)


def test_bounds_become_two_floats() -> None:
    assert _checks.bounds(0, np.int64(1), OWNER) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "expected"), [((2, 3), (2, 3)), ([2, np.int64(3)], (2, 3)), (4, (4,)), ((), ())]
)
def test_a_shape_is_a_tuple_of_ints(value: object, expected: tuple[int, ...]) -> None:
    assert _checks.shape(value, OWNER, "shape") == expected


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ((2, 0), ValueError, "axis 'G': every size in shape must be at least 1, got 0"),
        ((2, -1), ValueError, "axis 'G': every size in shape must be at least 1, got -1"),
        (
            (2, 1.5),
            TypeError,
            "axis 'G': every size in shape must be a whole number of at least 1, got 1.5",
        ),
        (
            None,
            TypeError,
            "axis 'G': every size in shape must be a whole number of at least 1, got None",
        ),
    ],
)
def test_a_shape_of_other_things_is_refused(
    value: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        _checks.shape(value, OWNER, "shape")


@pytest.mark.parametrize("name", ["G", "coupling.strength", "layers[0].w", "σ noise", "_private"])
def test_a_name_that_files_can_hold_passes_unchanged(name: str) -> None:
    assert _checks.name(name, OWNER) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "it is empty"),
        (" G", "it starts or ends with a blank"),
        ("G ", "it starts or ends with a blank"),
        ("  ", "it starts or ends with a blank"),
        ("a/b", "files cannot store a name with a slash or backslash"),
        ("a\\b", "files cannot store a name with a slash or backslash"),
        ("a\tb", "it contains a control character"),
        ("a\x00b", "it contains a control character"),
        ("point", "results use that name themselves"),
        ("status", "results use that name themselves"),
    ],
)
def test_an_unusable_name_is_refused_with_the_reason(name: str, problem: str) -> None:
    message = f"axis at 'a': {name!r} cannot name a dimension: {problem}"
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.name(name, "axis at 'a'")


@pytest.mark.parametrize("name", [5, None, b"G", ("a",)])
def test_a_name_that_is_no_string_is_refused(name: object) -> None:
    with pytest.raises(TypeError, match=re.escape(f"a name must be a string, got {name!r}")):
        _checks.name(name, OWNER)


def test_attributes_are_copied() -> None:
    given = {"units": "ms", "long_name": "delay"}
    copied = _checks.attributes(given, OWNER)
    given["units"] = "s"
    assert copied == {"units": "ms", "long_name": "delay"}
    assert _checks.attributes(None, OWNER) == {}


@pytest.mark.parametrize("name", _checks.RESERVED_ATTRS)
def test_an_attribute_that_files_read_as_an_instruction_is_refused(name: str) -> None:
    message = (
        f"axis 'G': the attribute {name!r} would change the data when a file is read back; "
        "rename the attribute"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.attributes({name: 1}, OWNER)


@pytest.mark.parametrize("units", ["days since 2000-01-01", " Seconds  SINCE now"])
def test_units_that_turn_numbers_into_dates_are_refused(units: str) -> None:
    message = (
        f"axis 'G': the units {units!r} would turn numbers into dates when a file is read back; "
        "put the reference date into another attribute"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.attributes({"units": units}, OWNER)


@pytest.mark.parametrize("units", ["ms", "1/s since", "since yesterday", 5])
def test_other_units_pass(units: object) -> None:
    assert _checks.attributes({"units": units}, OWNER) == {"units": units}


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ("ms", "axis 'G': attrs must be a mapping such as {'units': 'ms'}, got 'ms'"),
        ([("units", "ms")], "axis 'G': attrs must be a mapping such as {'units': 'ms'}, got [("),
        ({1: "ms"}, "axis 'G': names of attributes must be strings, got 1"),
    ],
)
def test_attributes_that_are_no_mapping_of_strings_are_refused(attrs: object, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        _checks.attributes(attrs, OWNER)


@pytest.mark.parametrize(
    "given", ["method", "tolerance", "indexers", "drop", "missing_dims", "self"]
)
def test_a_name_that_sel_could_not_select_by_is_rejected(given: str) -> None:
    message = (
        f"axis 'G': {given!r} cannot name a dimension: it is a keyword of sel or isel, so that "
        f"sel({given}=...) would not select by it; choose another name, such as with name="
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        _checks.name(given, "axis 'G'")


def test_no_selection_of_gridax_takes_further_keywords() -> None:
    for select in (gx.Space.sel, gx.Space.isel, gx.Result.sel, gx.Result.isel):
        parameters = inspect.signature(select).parameters.values()
        named = {p.name for p in parameters if p.kind == inspect.Parameter.POSITIONAL_OR_KEYWORD}
        assert named <= _checks.selection_keywords()


@pytest.mark.parametrize("given", ["method", "drop"])
def test_axes_groups_and_outputs_cannot_have_such_a_name(given: str) -> None:
    axis = gx.ChoiceAxis(["LSODA", "RK45"])
    grid = gx.GridAxis(0, 1, 2, group=given)
    for state, who in (({given: axis}, f"axis at {given!r}"), ({"x": grid}, "axis 'x', group")):
        with pytest.raises(ValueError, match=re.escape(f"{who}")):
            gx.Space(state, mode="product")
    space = gx.Space({"x": gx.GridAxis(0, 1, 2)}, mode="product")
    run = gx.SequentialExecution(lambda s: np.ones(3), space)
    with pytest.raises(ValueError, match=re.escape(f"output 'value': {given!r} cannot name")):
        run.run(progress=False, dims={"value": (given,)})
    assert gx.Space({"x": gx.GridAxis(0, 1, 2), given: "LSODA"}).dataset[given] == "LSODA"


def test_a_missing_optional_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"^matplotlib is not .*'gridax\[plot\]'$"):
        _checks.optional("matplotlib", "plot")


def test_a_broken_optional_package_keeps_its_own_error(monkeypatch, tmp_path):
    (tmp_path / "brokenpackage.py").write_text("import nowhere_to_be_found")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere_to_be_found'"):
        _checks.optional("brokenpackage", "plot")
