"""What a store was made for: what changes it, and how a message says what differs."""

from __future__ import annotations

import collections
import copy
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from gridax._outputs.template import template_of
from gridax._run import differences, fingerprints
from gridax._run.job import Job
from gridax.space import points_of
from tests.ids import plain
from tests.processes import finished
from tests.x64 import x64


def state(**changes):
    """A state with axes of every kind, and all that may be fixed."""
    return {
        "x": gx.GridAxis(0, 1, 11),
        "u": gx.UniformAxis(0, 1, 3),
        "k": gx.KeyAxis(3, name="trial"),
        "m": gx.DataAxis(np.arange(8.0).reshape(2, 2, 2)),
        "solver": gx.ChoiceAxis(["euler", "heun"]),
        "level": gx.DataAxis([0.5, 2.0], labels=["low", "high"]),
        "a": gx.DataAxis([1, 2], group="pair"),
        "b": gx.DataAxis([3.0, 4.0], group="pair"),
        "dt": 0.1,
        "n": 3,
        "flag": True,
        "name": "run",
        "weights": np.eye(2),
        "key": jax.random.key(1),
        "single": jnp.float32(0.1),
        "inner": {"tau": 1.0, "f": jnp.tanh},
        **changes,
    }


def parts_of(given, *args, key=0, **kwargs):
    return fingerprints.of_space(
        Job(print, points_of(gx.Space(given, "product", key=key)), args, kwargs)
    )


def between(one, other):
    return differences.of_sweeps(one, other)


def test_equal_states_have_equal_fingerprints():
    one, other = parts_of(state(), 1.0, speed="fast"), parts_of(state(), 1.0, speed="fast")
    assert one == other
    assert between(one, other) is None


def test_fingerprints_name_all_that_a_space_holds():
    parts = parts_of(state(), 1.0, np.zeros(3), speed="fast")
    assert parts["dims"] == [
        ["x", 11],
        ["u", 3],
        ["trial", 3],
        ["m", 2],
        ["solver", 2],
        ["level", 2],
        ["pair", 2],
    ]
    assert list(parts["axes"]) == ["x", "u", "trial", "m", "solver", "level", "a", "b"]
    fixed = ["dt", "n", "flag", "name", "weights", "key", "single", "inner.tau", "inner.f"]
    given = ["argument args[0]", "argument args[1]", "argument speed"]
    assert sorted(parts["fixed"]) == sorted([*fixed, *given])


def test_fingerprints_survive_json():
    parts = {**parts_of(state()), "template": {}, "model": {"source": "0"}}
    assert fingerprints.read({fingerprints.ATTRIBUTE: json.dumps(parts)}) == parts


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"x": gx.GridAxis(0, 2, 11)},
            "the axis 'x' is 0.0, 0.1, 0.2, …, 0.9, 1.0 (11 along 'x') there and 0.0, 0.2, 0.4, …, "
            "1.8, 2.0 (11 along 'x') here",
        ),
        (
            {"x": gx.GridAxis(0, 1, 12)},
            "its space has the dimensions (x: 11, u: 3, trial: 3, m: 2, solver: 2, level: 2, "
            "pair: 2), but this one has (x: 12, u: 3, trial: 3, m: 2, solver: 2, level: 2, pair: 2)",
        ),
        (
            {"a": gx.DataAxis([1, 5], group="pair")},
            "the axis 'a' is 1, 2 (2 along 'pair') there and 1, 5 (2 along 'pair') here",
        ),
        ({"dt": 0.2}, "the fixed value 'dt' is 0.1 there and 0.2 here"),
        ({"n": 4}, "the fixed value 'n' is 3 there and 4 here"),
        ({"n": 3.0}, "the fixed value 'n' is 3 there and 3.0 here"),
        ({"flag": False}, "the fixed value 'flag' is True there and False here"),
        ({"flag": 1}, "the fixed value 'flag' is True there and 1 here"),
        ({"name": "ruñ"}, "the fixed value 'name' is 'run' there and 'ruñ' here"),
        (
            {"single": jnp.float32(0.2)},
            "the fixed value 'single' is 0.1 (float32) there and 0.2 (float32) here",
        ),
        (
            {"single": np.float64(0.1)},
            "the fixed value 'single' is 0.1 (float32) there and 0.1 here",
        ),
        (
            {"inner": {"tau": 1.0, "f": jnp.sin}},
            "the fixed value 'inner.f' is tanh there and sin here",
        ),
        ({"inner": {"tau": 1.0}}, "the fixed value 'inner.f' is only there: tanh"),
        ({"extra": 7}, "the fixed value 'extra' is only here: 7"),
    ],
    ids=plain,
)
def test_a_message_shows_both_sides(changes, text):
    assert between(parts_of(state()), parts_of(state(**changes))) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"weights": 2 * np.eye(2)},
            "the fixed value 'weights' is float64[2, 2] with digest A there and float64[2, 2] with "
            "digest B here",
        ),
        (
            {"weights": np.eye(2, dtype=np.float32)},
            "the fixed value 'weights' is float64[2, 2] with digest A there and float32[2, 2] with "
            "digest B here",
        ),
        (
            {"key": jax.random.key(2)},
            "the fixed value 'key' is key<fry>[] with digest A there and key<fry>[] with digest B "
            "here",
        ),
        (
            {"m": gx.DataAxis(np.ones((2, 2, 2)))},
            "the axis 'm' is 0, 1 (2 along 'm', values with digest A) there and 0, 1 (2 along 'm', "
            "values with digest B) here",
        ),
        (
            {"level": gx.DataAxis([0.5, 3.0], labels=["low", "high"])},
            "the axis 'level' is 'low', 'high' (2 along 'level', values with digest A) there and "
            "'low', 'high' (2 along 'level', values with digest B) here",
        ),
        (
            {"solver": gx.ChoiceAxis(["euler", "rk4"])},
            "the axis 'solver' is 'euler', 'heun' (2 along 'solver', values with digest A) there "
            "and 'euler', 'rk4' (2 along 'solver', values with digest B) here",
        ),
        (
            {"x": gx.DataAxis([0, 0.1, 0.2, 0.3, 0.4, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0])},
            "the axis 'x' is 0.0, 0.1, 0.2, …, 0.9, 1.0 (11 along 'x') with digest A there and "
            "0.0, 0.1, 0.2, …, 0.9, 1.0 (11 along 'x') with digest B here",
        ),
    ],
    ids=plain,
)
def test_what_is_too_long_to_show_is_told_by_its_digest(changes, text):
    found = between(parts_of(state()), parts_of(state(**changes)))
    digests = re.findall(r"digest ([0-9a-f]{16})", found)
    assert len(set(digests)) == 2
    assert found.replace(digests[0], "A").replace(digests[1], "B") == text


def test_another_seed_is_another_space():
    one, other = parts_of(state()), parts_of(state(), key=1)
    assert "the axis 'u' is" in between(one, other)
    assert {name for name in one["axes"] if one["axes"][name] != other["axes"][name]} == {
        "u",
        "trial",
    }
    assert one["fixed"] == other["fixed"]


def test_another_shape_to_which_a_number_is_broadcast_is_another_axis():
    one, other = (parts_of({"x": gx.GridAxis(0, 1, 3, shape=shape)}) for shape in ((2,), (3,)))
    assert between(one, other).startswith("the axis 'x' is 0.0, 0.5, 1.0 (3 along 'x') with digest")


def test_values_of_another_precision_are_others():
    one = parts_of({"x": gx.GridAxis(0, 1, 3)})
    with x64():
        other = parts_of({"x": gx.GridAxis(0, 1, 3)})
    text = "its numbers have 32 bits, but JAX would use 64 here (jax_enable_x64)"
    assert between(one, other) == text


def test_other_draws_of_the_same_keys_are_noticed():
    one = parts_of({"x": gx.GridAxis(0, 1, 3)})
    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable):
        other = parts_of({"x": gx.GridAxis(0, 1, 3)})
    text = "its random numbers were drawn with jax_threefry_partitionable=True, which is False here"
    assert between(one, other) == text
    assert between({k: v for k, v in one.items() if k != "partitionable"}, one) is None


def test_a_selected_value_counts_as_fixed():
    space = gx.Space(state(), "product")
    one, other = (fingerprints.of_space(Job(print, points_of(space.isel(x=i)))) for i in (3, 4))
    assert between(one, other) == "the fixed value 'x' is 0.3 there and 0.4 here"
    assert "x" not in one["axes"]


def test_part_of_a_space_has_the_fingerprint_of_a_space_that_holds_no_more():
    space = gx.Space({"x": gx.ChoiceAxis(["a", "much longer", "b"])}, "product")
    short = gx.Space({"x": gx.ChoiceAxis(["a", "b"])}, "product")
    found = [fingerprints.of_space(Job(print, points_of(s))) for s in (space.isel(x=[0, 2]), short)]
    assert between(*found) is None


def test_units_and_other_attributes_do_not_count():
    one = parts_of({"x": gx.GridAxis(0, 1, 3)})
    assert one == parts_of({"x": gx.GridAxis(0, 1, 3, attrs={"units": "mV"})})


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        (
            ((1.0,), {}),
            ((2.0,), {}),
            "the fixed value 'argument args[0]' is 1.0 there and 2.0 here",
        ),
        (((), {}), ((2.0,), {}), "the fixed value 'argument args[0]' is only here: 2.0"),
        (
            ((), {"speed": "fast"}),
            ((), {"speed": "slow"}),
            "the fixed value 'argument speed' is 'fast' there and 'slow' here",
        ),
        (((), {"speed": 1}), ((), {}), "the fixed value 'argument speed' is only there: 1"),
        (
            ((), {"p": {"a": [1, 2]}}),
            ((), {"p": {"a": [1, 3]}}),
            "the fixed value 'argument p.a[1]' is 2 there and 3 here",
        ),
    ],
    ids=plain,
)
def test_arguments_of_the_model_count(one, other, text):
    parts = [
        parts_of({"x": gx.GridAxis(0, 1, 3)}, *args, **kwargs) for args, kwargs in (one, other)
    ]
    assert between(*parts) == text


Named = collections.namedtuple("Named", ["a"])
STRUCTURES = [
    *(None, {}, [], (), [None], [[]], (1.0, 2.0), [1.0, 2.0]),
    *({"a": None}, {"a": {}}, {"a": ()}, Named(None), Named(1.0), {"a": 1.0}),
    *(collections.OrderedDict(a=1.0), collections.OrderedDict(a=1.0, b=2.0)),
    *(collections.OrderedDict(b=2.0, a=1.0), {"b": 2.0, "a": 1.0}),
    *(jax.tree_util.Partial(abs, 1.0), jax.tree_util.Partial(max, 1.0)),
]


@pytest.mark.parametrize("place", ["state", "inner state", "argument", "keyword"])
def test_containers_count(place):
    def parts(value):
        axes = {"x": gx.GridAxis(0, 1, 3)}
        match place:
            case "state":
                return parts_of({**axes, "it": value})
            case "inner state":
                return parts_of((axes, [value]))
            case "argument":
                return parts_of(axes, value)
        return parts_of(axes, it=value)

    for i, one in enumerate(STRUCTURES):
        assert between(parts(one), parts(copy.deepcopy(one))) is None
        for other in STRUCTURES[:i]:
            assert "the fixed value" in between(parts(one), parts(other))


def test_the_root_of_a_state_and_carried_leaves_count_once():
    carried = gx.Carried((0.0, None), "y", along="x")
    parts = parts_of((gx.GridAxis(0, 1, 3, name="x"), carried, {"value": 1.0}))
    texts = {name: text for name, (_, text) in parts["fixed"].items()}
    assert texts["[2].value"] == "1.0"
    assert texts["[1]"].startswith("carried")
    assert {name: texts[name] for name in parts["containers"][:3]} == {
        "the whole state": "tuple",
        "[1].initial": "tuple",
        "[1].initial[1]": "None",
    }


def test_a_root_and_what_is_in_it_are_told_apart_whatever_their_names():
    def parts(name, static):
        kind = type("Root", (), {})
        jax.tree_util.register_pytree_with_keys(
            kind,
            lambda root: (((jax.tree_util.GetAttrKey(name), (root.x, None)),), static),
            lambda static, children: None,
        )
        root = kind()
        root.x = gx.GridAxis(0, 1, 3, name="x")
        return parts_of(root)

    for name in ("state", "value", "x"):
        assert between(parts(name, 1), parts(name, 1)) is None
        assert "the fixed value" in between(parts(name, 1), parts(name, 2))


def test_stores_from_before_containers_were_recorded_have_none():
    parts = parts_of({"x": gx.GridAxis(0, 1, 3), "a": [None]}, [1.0])
    names = ["a", "a[0]", "argument args[0]"]
    assert parts["containers"] == names
    fixed = {name: pair for name, pair in parts["fixed"].items() if name not in names}
    older = {key: part for key, part in parts.items() if key != "containers"} | {"fixed": fixed}
    assert between(older, parts) is None
    assert "only here: list" in between({**parts, "fixed": fixed}, parts)


def outputs(**changes):
    given = {"rate": np.float32(0), "series": np.zeros(3), **changes}
    return template_of({name: value for name, value in given.items() if value is not None})


def output_difference(one, other, coords_there=(), coords_here=()):
    there = fingerprints.of_template(one, dict(coords_there))
    here = fingerprints.of_template(other, dict(coords_here))
    return differences.of_templates({"template": there}, here)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, None),
        (
            {"rate": np.float64(0)},
            "the output 'rate' is float32[] along [] there and float64[] along [] here",
        ),
        (
            {"series": np.zeros(4)},
            "the output 'series' is float64[3] along [] there and float64[4] along [] here",
        ),
        ({"series": None}, "the output 'series' is only there: float64[3] along []"),
        ({"more": np.int32(1)}, "the output 'more' is only here: int32[] along []"),
        (
            {"series": xr.Variable("time", np.zeros(3))},
            "the output 'series' is float64[3] along [] there and float64[3] along ['time'] here",
        ),
    ],
    ids=plain,
)
def test_a_message_shows_both_outputs(changes, text):
    assert output_difference(outputs(), outputs(**changes)) == text


def test_another_implementation_of_keys_is_another_output():
    one, other = (
        template_of({"key": jax.random.key(0, impl=impl)}) for impl in ("rbg", "unsafe_rbg")
    )
    assert output_difference(one, one) is None
    assert output_difference(one, other).startswith(
        "the output 'key' is uint32[4] along [] with digest"
    )


def test_coordinates_of_outputs_count():
    there, here = xr.Variable("time", [0.0, 0.1]), xr.Variable("time", [0.0, 0.2])
    found = output_difference(outputs(), outputs(), {"time": there}, {"time": here})
    assert found.startswith("the output 'time' is coordinate float64[2] along ['time'] with digest")
    assert output_difference(outputs(), outputs(), {"time": there}, {"time": there.copy()}) is None


def test_attributes_of_outputs_do_not_count():
    one, other = xr.Variable("time", np.zeros(3)), xr.Variable("time", np.zeros(3), {"units": "Hz"})
    assert output_difference(outputs(series=one), outputs(series=other)) is None


def test_values_of_an_output_do_not_count():
    assert output_difference(outputs(), outputs(series=np.ones(3))) is None


def model(state):
    return state["x"]


def source_of(model, space, args, kwargs):
    return fingerprints.of_model(Job(model, points_of(space), args, kwargs))["source"]


def test_a_function_that_wraps_values_is_part_of_the_source():
    def space(wrap):
        return gx.Space({"x": gx.GridAxis(0, 1, 3, wrap=wrap)}, "product")

    plain_, squared = (source_of(model, space(w), (), {}) for w in (None, jnp.square))
    assert plain_ != squared
    assert squared == source_of(model, space(jnp.square), (), {})
    assert squared != source_of(lambda s: s, space(jnp.square), (), {})


def chosen(choices, program):
    """A traced model with some choices."""
    text = json.dumps(choices)
    return {"source": text, "without_choices": "a", "choices": choices, "program": program}


@pytest.mark.parametrize(
    ("there", "here", "same", "text"),
    [
        ({"source": "a"}, {"source": "a"}, True, "the source differs"),
        ({"source": "a"}, {"source": "b"}, False, "the source differs"),
        (
            {"source": "a", "program": "p"},
            {"source": "b", "program": "p"},
            True,
            "the traced program differs",
        ),
        (
            {"source": "a", "program": "p"},
            {"source": "a", "program": "q"},
            False,
            "the traced program differs",
        ),
        ({"source": "a", "program": "p"}, {"source": "a"}, True, "the source differs"),
        ({"source": "a"}, {"source": "b", "program": "p"}, False, "the source differs"),
        (
            {"source": "a", "jax": "0.9"},
            {"source": "b", "jax": "0.10"},
            False,
            "the source differs; JAX is 0.9 there and 0.10 here",
        ),
        (
            {"source": "a", "libraries": {"numpy": "2.1"}},
            {"source": "a", "libraries": {"numpy": "2.4"}},
            False,
            "numpy is 2.1 there and 2.4 here",
        ),
        (
            {"source": "a", "program": "p", "jax": "0.9", "libraries": {"numpy": "2.1"}},
            {"source": "b", "program": "p", "jax": "0.9", "libraries": {"numpy": "2.4"}},
            True,
            "the traced program differs",
        ),
        (
            {"source": "a", "program": "p", "jax": "0.9"},
            {"source": "a", "program": "q", "jax": "0.10"},
            True,
            "the traced program differs; JAX is 0.9 there and 0.10 here",
        ),
        (
            {"source": "a", "program": "p", "jax": "0.9"},
            {"source": "b", "program": "q", "jax": "0.10"},
            False,
            "the traced program differs; JAX is 0.9 there and 0.10 here",
        ),
        (
            {"source": "a", "program": "p", "jax": "0.9"},
            {"source": "a", "program": "q", "jax": "0.10", "unknown": ["solver"]},
            False,
            "the traced program differs; JAX is 0.9 there and 0.10 here",
        ),
        (
            {"source": "a", "version": "1"},
            {"source": "b", "version": "1"},
            True,
            "version '1' there, '1' here",
        ),
        (
            {"source": "a", "version": "1"},
            {"source": "a", "version": "2"},
            False,
            "version '1' there, '2' here",
        ),
        (
            {"source": "a", "version": "1"},
            {"source": "a", "version": None},
            False,
            "version '1' there, None here",
        ),
        ({"source": "a"}, {"source": "a", "version": "1"}, False, "version None there, '1' here"),
        *(
            ({**chosen(there, "p"), **more}, {**chosen(here, "q"), **more}, same, text)
            for there, here, more, same, text in (
                ({"f": "1"}, {"f": "1", "g": "2"}, {}, True, "the traced program differs"),
                ({"f": "1"}, {"f": "3", "g": "2"}, {}, False, "the traced program differs"),
                ({"f": "1"}, {"f": "1"}, {}, False, "the traced program differs"),
                ({"f": "1"}, {"g": "2"}, {"unknown": ["h"]}, False, "the traced program differs"),
                ({"f": "1"}, {"g": "2"}, {"program": None}, True, "the source differs"),
            )
        ),
    ],
    ids=plain,
)
def test_models_are_the_same_by_version_then_by_program_then_by_source(there, here, same, text):
    assert differences.same_model(there, here) == same
    assert differences.of_models(there, here) == text


GOOD = {"dims": [["x", 3]], "axes": {"x": ["0", "1, 2"]}, "fixed": {}, "template": {}, "model": {}}
GOOD["digests"] = 3


def test_a_store_of_something_else_has_no_fingerprints():
    with pytest.raises(ValueError, match=re.escape("it was not made by run(store=…)")):
        fingerprints.read({})


DAMAGED = {
    "nothing": "",
    "no JSON": "no JSON",
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "no parts": "{}",
    **{f"no {part}": {k: GOOD[k] for k in GOOD if k != part} for part in GOOD if part != "digests"},
    "a text for the model": {**GOOD, "model": "same"},
    "a list for choices": {**GOOD, "model": {"choices": ["f"]}},
    "a text for a pair": {**GOOD, "axes": {"x": "011"}},
    "half of a pair": {**GOOD, "axes": {"x": ["0"]}},
    "a number in a pair": {**GOOD, "axes": {"x": ["0", 1]}},
    "a number for a pair": {**GOOD, "axes": {"x": 3}},
    "a list for a table": {**GOOD, "fixed": [1]},
    "a dimension without size": {**GOOD, "dims": [["x"]]},
    "a size in words": {**GOOD, "dims": [["x", "many"]]},
    "a number for dimensions": {**GOOD, "dims": 3},
    "too long": json.dumps(GOOD) + " " * 2**24,
    "no text": 3,
    "too deep": "[" * 10**5,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_fingerprints_say_so(content):
    text = json.dumps(content) if isinstance(content, dict) else content
    with pytest.raises(ValueError, match=r"its fingerprints are damaged \("):
        fingerprints.read({fingerprints.ATTRIBUTE: text})


def test_reading_changes_nothing():
    attrs = {fingerprints.ATTRIBUTE: json.dumps(GOOD), "other": 1}
    before = copy.deepcopy(attrs)
    assert fingerprints.read(attrs) == GOOD
    assert attrs == before


SCRIPT = """
import json
import jax.numpy as jnp
import tests.run.test_fingerprints as here
from gridax._run import fingerprints
print(json.dumps(here.parts_of(here.state(), 1.0, jnp.zeros(3), speed="fast")))
print(here.source_of(here.model, here.gx.Space(here.state(), "product"), (), {}))
"""


@pytest.mark.slow
def test_fingerprints_are_the_same_in_another_process():
    done = finished("-W", "error", "-c", SCRIPT, env={"PYTHONHASHSEED": "5"})
    assert done.returncode == 0, done.stderr
    parts, source = done.stdout.splitlines()
    assert json.loads(parts) == parts_of(state(), 1.0, jnp.zeros(3), speed="fast")
    assert source == source_of(model, gx.Space(state(), "product"), (), {})


def step(state):
    return state


def test_functions_that_a_model_is_given_are_part_of_the_source():
    space = gx.Space({"x": gx.GridAxis(0, 1, 3), "f": gx.ChoiceAxis([step])}, "product")
    other = gx.Space(
        {"x": gx.GridAxis(0, 1, 3), "f": gx.ChoiceAxis([lambda s: 2 * s], labels=["step"])},
        "product",
    )
    digests = [
        source_of(model, space, (), {}),
        source_of(model, other, (), {}),
        source_of(model, space, (step,), {}),
        source_of(model, space, (), {"f": model}),
    ]
    assert len(set(digests)) == 4


def test_the_order_of_the_dimensions_is_part_of_the_space():
    axes = {"x": gx.GridAxis(0, 1, 3), "y": gx.GridAxis(0, 1, 3)}
    one, other = (parts_of(dict(items)) for items in (axes.items(), reversed(axes.items())))
    assert differences.of_sweeps(one, one) is None
    assert differences.of_sweeps(one, other) == (
        "its space has the dimensions (x: 3, y: 3), but this one has (y: 3, x: 3)"
    )
