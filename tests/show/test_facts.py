"""The facts of a space and of a result are collected once, for all renderers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._show.facts import (
    ResultFacts,
    SpaceFacts,
    commit_text,
    described,
    key_text,
    space_facts,
)
from gridax._show.progress import progress_text
from gridax.result import facts_of
from gridax.space import points_of


def facts(space: gx.Space) -> SpaceFacts:
    return space_facts(points_of(space))


SPACE = gx.Space(
    {
        "x": gx.DataAxis([5.0, 1.0, 3.0, 9.0, 2.0, 4.0], attrs={"units": "mV"}),
        "f": gx.ChoiceAxis(["a", "b"], group="g"),
        "W": gx.DataAxis(np.ones((2, 3, 3)), group="g"),
        "dt": 0.1,
        "lengths": np.ones((4, 4)),
    },
    mode="product",
)


def test_a_few_labels_are_all_kept_and_numbers_have_a_range() -> None:
    x, f, W = facts(SPACE).axes
    assert (x.labels, x.size, x.span(60), x.span(60, units=False)) == (
        ("1.0", "9.0"), 6, "1.0 … 9.0 mV", "1.0 … 9.0",
    )  # fmt: skip
    assert (f.span(60), f.span(5)) == ("'a' 'b'", "'a' …")
    assert (W.dim, W.axis, W.call) == ("g", "DataAxis of 3×3", "DataAxis(<float64[2,3,3]>)")


def test_dates_are_labels_as_they_are_written() -> None:
    days = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")

    def model(state: Any) -> Any:
        return xr.DataArray(np.ones(2), {"day": days}, "day")

    run = gx.SequentialExecution(model, SPACE[:1]).run(progress=False)
    (day,) = (c for c in facts_of(run).coordinates if c.name == "day")
    assert day.labels == ("2020-01-01", "2020-01-02")


def test_axes_without_a_dimension_come_last_and_arrays_are_no_scalars() -> None:
    one = facts(SPACE.isel(x=0))
    assert [(axis.name, axis.dim) for axis in one.axes] == [("f", "g"), ("W", "g"), ("x", None)]
    assert [(v.name, v.text, v.is_scalar) for v in one.fixed] == [
        ("dt", "0.1", True),
        ("lengths", "<float64[4,4]>", False),
    ]


@pytest.fixture(scope="module")
def result() -> ResultFacts:
    def model(state: Any) -> Any:
        attrs = {"units": "m", "long_name": "height above ground"}
        height = xr.Variable((), 2.0, attrs)
        rate = xr.DataArray(np.ones(3), {"height": height}, ["time"], attrs={"units": "Hz"})
        return {"rate": rate, "n": np.int16(1)}

    return facts_of(gx.SequentialExecution(model, SPACE).run(progress=False))


def test_outputs_have_their_own_sizes_and_bytes(result: ResultFacts) -> None:
    n, rate = sorted(result.outputs, key=lambda output: output.name)
    assert (rate.sizes, rate.dtype, rate.nbytes, rate.total) == ({"time": 3}, "float64", 24, 288)
    assert (n.sizes, n.total, rate.units) == ({}, 24, "Hz")
    assert result.nbytes == 312


def test_scalar_coordinates_of_outputs_are_fixed_values(result: ResultFacts) -> None:
    assert [(v.name, v.text) for v in result.space.fixed if v.is_scalar] == [
        ("dt", "0.1"),
        ("height", "2.0 m"),
    ]


def test_the_state_and_the_provenance_are_told(result: ResultFacts) -> None:
    assert progress_text(result.progress) == "12 of 12 points done"
    assert result.provenance["model"].endswith("model")
    assert result.provenance["versions"].startswith(f"gridax {gx.__version__}, jax ")
    assert (result.source, result.provenance["resumed"]) == ("", "")


def test_arguments_the_key_and_the_commit_are_put_in_words() -> None:
    told = '{"n": 3, "w": {"dtype": "float32", "shape": [2, 3]}, "f": {"object": "m.f"}, "s": "a"}'
    told = told[:-1] + ', "z": {"complex": [1.0, -2.0]}, "c": {"complex": [0.0, 1.0]}, '
    told += '"bad": {"complex": ["x", null]}}'
    assert described({"arguments": told}, "arguments") == {
        "n": "3",
        "w": "float32[2, 3]",
        "f": "m.f",
        "s": "'a'",
        "z": "1.0-2.0j",
        "c": "0.0+1.0j",
        "bad": "{'complex': ['x', None]}",
    }
    assert key_text({"key": '{"impl": "threefry2x32", "data": [0, 42]}'}) == "jax.random.key(42)"
    assert key_text({"key": '{"impl": "rbg", "data": [0, 1, 0, 1]}'}) == "[0, 1, 0, 1] (rbg)"
    commit = {"git_commit": "0123456789abcdef", "git_dirty": 1}
    assert commit_text(commit) == "0123456789ab, dirty (with uncommitted changes)"
    assert commit_text({**commit, "git_dirty": 0}) == "0123456789ab"


@pytest.mark.parametrize("damaged", ["", "[1", "[1]", "3", "[" * 100_000, 5, None])
def test_what_a_damaged_file_says_is_left_out(damaged: Any) -> None:
    attrs = {"arguments": damaged, "key": damaged}
    assert described(attrs, "arguments") == {}
    assert key_text(attrs) == ""
    assert commit_text({}) == ""


def test_a_result_displays_the_arguments_of_its_model() -> None:
    run = gx.SequentialExecution(lambda s, n, w: s["x"] * n, SPACE[:2], 3, w="<b>")
    result = run.run(progress=False)
    assert facts_of(result).provenance["arguments"] == "n=3, w='<b>'"
    assert "n=3, w=&#x27;&lt;b&gt;&#x27;" in result._repr_html_()
