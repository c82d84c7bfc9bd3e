"""Digests tell two values apart, and are the same wherever and whenever they are made."""

from __future__ import annotations

import cmath
import collections
import ctypes
import dataclasses
import datetime
import enum
import fractions
import functools
import importlib
import inspect
import io
import itertools
import json
import json.tool
import logging
import math
import operator
import os
import re
import threading
import types
import unittest.mock
import weakref
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy.interpolate
import scipy.optimize
import scipy.sparse
import scipy.spatial
import scipy.special
import scipy.stats
import xarray as xr

from gridax._digest import walk
from gridax._digest.digest import digest, examine
from tests.processes import finished

ROOT = Path(__file__).parents[2]

GAIN = 2.0
LIMITS = (0.0, 1.0)
N_CALLS = 0
SEEN: list[float] = []
CACHE: dict[str, float] = {}
VERBOSE = False


def helper(x, power=2):
    return GAIN * x**power


def uses_helper(state):
    return helper(state["x"])


def counts_calls(state):
    global N_CALLS
    N_CALLS += 1
    SEEN.append(state["x"])
    CACHE["last"] = state["x"]
    if VERBOSE:
        print(state)
    return state["x"]


def with_gain(gain):
    """A model whose source is the same for every gain."""

    def model(state):
        return gain * state["x"]

    return model


def with_counter():
    n = 0

    def model(state):
        nonlocal n
        n += 1
        return state["x"] + n

    return model


def with_helpers(*gains):
    """Three functions of one source each, and a model that uses them."""

    def scaled(gain):
        def scale(x, gain=gain):
            return gain * x

        return scale

    first, second, third = map(scaled, gains)

    def model(state):
        return first(state["x"]) + second(state["x"]) + third(state["x"])

    return model


def with_partials(*functions):
    first, second, third = functions

    def model(state):
        return first(state["x"]) + second(state["x"]) + third(state["x"])

    return model


def add(x, y):
    return x + y


def subtract(x, y):
    return x - y


@dataclasses.dataclass(frozen=True)
class Cell:
    tau: float
    shape: tuple[int, ...] = ()


# Each differs from all others.
VALUES = [
    None,
    True,
    1,
    1.0,
    1j,
    "1",
    b"1",
    "",
    2,
    -0.0,
    0.0,
    float("nan"),
    float("inf"),
    [],
    (),
    {},
    [1],
    [1, 2],
    [2, 1],
    [[1], 2],
    [[1, 2]],
    (1,),
    (1, 2),
    {"a": 1},
    {"a": 2},
    {"b": 1},
    {"a": {"a": 1}},
    {1},
    {1, 2},
    frozenset({1, 2}),
    np.float32(1),
    np.float64(1),
    np.int64(1),
    np.array([1]),
    np.array([1.0]),
    np.array([[1.0]]),
    np.array([1.0, 2.0]),
    np.array(["a"]),
    np.array(["b"]),
    np.array(["a", 1], dtype=object),
    np.array([True, False]),
    jax.random.key(0),
    jax.random.key(1),
    jax.random.key(0, impl="rbg"),
    jax.random.split(jax.random.key(0)),
    Cell(1.0),
    Cell(2.0),
    Cell(1.0, (1,)),
    helper,
    uses_helper,
    functools.partial(helper, power=2),
    functools.partial(helper, power=3),
    functools.partial(uses_helper),
    functools.partial(helper, 1.0),
    np.sin,
    jnp.sin,
    jnp.cos,
    float,
    Cell,
]


def test_different_values_have_different_digests():
    found = [digest(value) for value in VALUES]
    assert len(set(found)) == len(VALUES)
    assert {len(text) for text in found} == {16}


def test_the_same_value_has_the_same_digest():
    for make in (
        lambda: [1, 2.5, "a", None],
        lambda: {"a": {"b": (1, 2)}},
        lambda: {3, "b", 2.0},
        lambda: np.linspace(0, 1, 50),
        lambda: np.arange(6).reshape(2, 3),
        lambda: jax.random.key(3),
        lambda: Cell(0.5, (1, 2)),
        lambda: with_gain(0.5),
        lambda: functools.partial(helper, power=7),
    ):
        assert digest(make()) == digest(make())


def test_an_array_counts_by_what_it_holds_and_not_by_how():
    array = np.arange(6.0).reshape(2, 3)
    assert digest(np.asfortranarray(array)) == digest(array)
    assert digest(np.repeat(array, 2, axis=1)[:, ::2]) == digest(array)
    assert digest(array.reshape(3, 2)) != digest(array)
    assert digest(jnp.arange(6.0, dtype=jnp.float32)) == digest(np.arange(6, dtype=np.float32))


def test_where_one_value_ends_and_the_next_begins_counts():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest(["ab", "c"])}) == 4
    assert digest([1], 2) != digest([1, 2])


def test_values_that_hold_each_other_have_a_digest():
    ring: list = [1]
    ring.append(ring)
    other: list = [2]
    other.append(other)
    assert digest(ring) == digest(ring)
    assert digest(ring) != digest(other)


def test_a_value_that_comes_again_is_told_from_another_that_does():
    one, other = [1], [2]
    assert digest([one, other, one]) != digest([one, other, other])


def test_functions_that_call_each_other_have_a_digest():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert digest(even) == digest(even)
    assert digest(even) != digest(odd)


def test_a_constant_that_a_function_refers_to_counts(monkeypatch):
    before = digest(uses_helper)
    monkeypatch.setitem(globals(), "GAIN", 3.0)
    assert digest(uses_helper) != before
    monkeypatch.setitem(globals(), "GAIN", 2.0)
    assert digest(uses_helper) == before


def test_a_helper_that_a_function_refers_to_counts(monkeypatch):
    before = digest(uses_helper)
    monkeypatch.setitem(globals(), "helper", add)
    assert digest(uses_helper) != before


@pytest.mark.parametrize(
    "values",
    [
        (1.0, 2.0),
        (1, 1.0),
        ("a", "b"),
        (np.zeros(3), np.ones(3)),
        (jnp.zeros(3), jnp.ones(3)),
        (helper, uses_helper),
        (functools.partial(helper, power=2), functools.partial(helper, power=3)),
    ],
    ids=["floats", "types", "strings", "NumPy", "JAX", "functions", "partials"],
)
def test_what_a_closure_holds_counts(values):
    one, other = values
    assert digest(with_gain(one)) == digest(with_gain(one))
    assert digest(with_gain(one)) != digest(with_gain(other))


def test_every_function_that_a_closure_holds_counts():
    found = [digest(with_helpers(*gains)) for gains in itertools.product([1.0, 2.0], repeat=3)]
    assert len(set(found)) == 8


def test_every_partial_that_a_closure_holds_counts():
    choices = [functools.partial(f, y=y) for f, y in itertools.product([add, subtract], [1, 2])]
    found = [digest(with_partials(*some)) for some in itertools.product(choices, repeat=3)]
    assert len(set(found)) == 4**3


def test_a_default_that_is_computed_counts():
    def with_default(value):
        def model(state, *, gain=value):
            return gain * state["x"]

        return model

    assert digest(with_default(1.0)) != digest(with_default(2.0))


def test_what_a_function_counts_with_does_not_count(monkeypatch):
    for name, value in (("N_CALLS", 0), ("SEEN", []), ("CACHE", {})):
        monkeypatch.setitem(globals(), name, value)
    before = digest(counts_calls)
    for _ in range(3):
        counts_calls({"x": 1.0})
    assert (N_CALLS, SEEN, CACHE) == (3, [1.0] * 3, {"last": 1.0})
    assert digest(counts_calls) == before


def test_a_flag_counts(monkeypatch):
    before = digest(counts_calls)
    monkeypatch.setitem(globals(), "VERBOSE", True)
    assert digest(counts_calls) != before


def test_a_counter_in_a_closure_does_not_count():
    model = with_counter()
    before = digest(model)
    assert [model({"x": 0}), model({"x": 0})] == [1, 2]
    assert digest(model) == before


def test_the_counter_of_a_helper_does_not_count():
    tick = with_counter()

    def model(state):
        return tick(state)

    before = digest(model)
    model({"x": 0})
    assert digest(model) == before


def test_a_jitted_function_is_the_function_that_it_wraps():
    assert digest(jax.jit(with_gain(1.0))) == digest(with_gain(1.0))
    assert digest(jax.jit(with_gain(1.0))) != digest(jax.jit(with_gain(2.0)))


def test_a_method_counts_by_its_source_and_class():
    class Model:
        def run(self, state):
            return state["x"]

        def other(self, state):
            return -state["x"]

    class Same(Model):
        pass

    assert digest(Model().run) == digest(Model().run)
    assert digest(Model().run) != digest(Model().other)
    assert digest(Model().run) != digest(Same().run)


def test_of_another_object_its_class_counts_and_not_its_place_in_memory():
    class Tool:
        pass

    class Other:
        pass

    assert digest(Tool()) == digest(Tool())
    assert digest(Tool()) != digest(Other())


def test_functions_on_one_line_are_different():
    one, other, again = (lambda s: s["x"]), (lambda s: -s["x"]), (lambda s: s["x"])
    assert digest(one) == digest(again)
    assert digest(one) != digest(other)


def test_what_else_stands_in_the_line_of_a_lambda_does_not_count():
    one = [lambda s: 2 * s["x"], "run(store='a')"]
    other = {"model": lambda s: 2 * s["x"], "call": "run(store='a', retry_failed=True)"}
    assert digest(one[0]) == digest(other["model"])


def typed(text):
    """Make functions without a source that could be read, as those typed into a console are."""
    names = {"np": np}
    exec(text, names)
    return names["f"]


def test_functions_without_a_source_are_told_apart_by_what_they_do():
    texts = [
        "def f(s): return np.sin(s)",
        "def f(s): return np.cos(s)",
        "def f(s): return np.sin(s) + 1",
        "def f(s): return np.sin(s) + 2",
        "def f(s): return (lambda t: np.sin(t))(s)",
        "def f(s): return (lambda t: np.cos(t))(s)",
        "def f(s): return s in {'a', 'b'}",
        "def f(s): return s in {'a', 'c'}",
    ]
    found = [digest(typed(text)) for text in texts]
    assert len(set(found)) == len(texts)
    assert found == [digest(typed(text)) for text in texts]


def test_a_function_without_a_source_refers_to_others():
    def f_of(factor):
        return typed(f"def g(s): return {factor} * s\ndef f(s): return g(s)")

    assert digest(f_of(2)) == digest(f_of(2))
    assert digest(f_of(2)) != digest(f_of(3))


# Prints the digest of all that has no equal in another process but by its content.
SCRIPT = """
import tests.digest.test_digest as here
from gridax._digest.digest import digest
print(digest(*here.VALUES[:-1]))
for function in (
    here.uses_helper,
    here.counts_calls,
    here.with_gain(0.25),
    here.with_counter(),
    here.with_helpers(1.0, 2.0, 3.0),
    here.typed("def f(s): return s in {'a', 'b', 'c', 'd', 1, 2.0}"),
    lambda s: s in {"a", "b", "c", "d"},
    {"alpha", "beta", "gamma", ("delta", 1)},
):
    print(digest(function))
"""


@pytest.mark.slow
def test_digests_are_the_same_in_every_process():
    outputs = []
    for seed in ("1", "2"):
        done = finished("-W", "error", "-c", SCRIPT, env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines())
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0])) == 9
    assert outputs[0][1:4] == [digest(f) for f in (uses_helper, counts_calls, with_gain(0.25))]


class Text(str):
    def __new__(cls, text, more):
        made = super().__new__(cls, text)
        made.more = more
        return made


class Table(dict):
    pass


def with_signature(default):
    def f(x: int, y=default):
        return x

    return inspect.signature(f)


def sparse(value):
    return scipy.sparse.csr_array(np.diag([1.0, value]))


def framed(value):
    return pd.DataFrame({"a": [1, 2], "b": [3.0, value]}, index=["x", "y"])


def labeled(value, **attrs):
    return xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.0, value]}, attrs=attrs, name="u")


class Account:
    """An object of a library that says what is to be kept of it."""

    __module__ = "json"

    def __init__(self, value):
        self.value, self.made_at = value, object()

    def __getstate__(self):
        return {"value": self.value}


class Quantity(np.ndarray):
    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", None)


def quantity(unit, kind=Quantity):
    array = np.ones(2).view(kind)
    array.unit = unit
    return array


def categories(value):
    return pd.Categorical(["a", "b"], categories=["a", "b"] if value == 2 else ["b", "a"])


def with_attrs(value, make):
    made = make([1, 2])
    made.attrs["gain"] = value
    return made


class LibraryQuantity(Quantity):
    """An array with a unit of a library."""

    __module__ = "json"


def padded(value):
    array = np.frombuffer(np.random.default_rng().bytes(48), np.uint8).copy()
    array = array.view(np.dtype([("a", "i1"), ("b", "f8")], align=True))
    array["a"], array["b"] = 1, value
    return array


LIBRARY_VALUES = {
    "DataFrame": framed,
    "Series": lambda v: framed(v)["b"],
    "Index": lambda v: pd.Index([1.0, v], name="n"),
    "DataArray": labeled,
    "attributes of a DataArray": lambda v: labeled(1.0, units=v),
    "Dataset": lambda v: labeled(v).to_dataset(),
    "Variable": lambda v: xr.Variable("x", [v]),
    "lazy Variable": lambda v: xr.Variable("x", [v, v]).chunk(1),
    "sparse array": sparse,
    "interpolation": lambda v: scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, v]),
    "spline": lambda v: scipy.interpolate.UnivariateSpline(np.arange(9), np.arange(9) ** v),
    "tree": lambda v: scipy.spatial.KDTree([[0.0, v]]),
    "nearest": lambda v: scipy.interpolate.NearestNDInterpolator([[0.0, 1.0], [1, 0]], [0.0, v]),
    "with an account of its own": Account,
    "distribution": lambda v: dist.Normal(0.0, v),
    "frozen distribution": lambda v: scipy.stats.norm(0, v),
    "optimizer": lambda v: jax.tree_util.Partial(add, v),
    "pattern": lambda v: re.compile(f"a{v}"),
    "fraction": lambda v: fractions.Fraction(v),
    "date": lambda v: datetime.timedelta(v),
    "deque": lambda v: collections.deque([1, v]),
    "default dict": lambda v: collections.defaultdict(list, a=v),
    "item": lambda v: operator.itemgetter(int(v)),
    "range": lambda v: range(int(v)),
    "slice": lambda v: slice(v),
    "path": lambda v: Path(str(v)),
    "masked array": lambda v: np.ma.masked_array([1.0, 2.0, 3.0], [False, v == 2.0, True]),
    "fill value": lambda v: np.ma.masked_array([1.0, 2.0], [False, True], fill_value=v),
    "own array with a unit": quantity,
    "array of a library with a unit": lambda v: quantity(v, LibraryQuantity),
    "matrix": lambda v: np.ones((2, 2)).view(np.matrix if v == 2 else np.ndarray),
    "categories of a Series": lambda v: pd.Series(categories(v)),
    "categories of a DataFrame": lambda v: pd.DataFrame({"a": categories(v)}),
    "categories of an Index": lambda v: pd.CategoricalIndex(categories(v)),
    "type of a Series": lambda v: pd.Series([1], dtype="Int64" if v == 2 else "int64"),
    "attributes of a Series": lambda v: with_attrs(v, pd.Series),
    "attributes of a DataFrame": lambda v: with_attrs(v, pd.DataFrame),
    "name of columns": lambda v: framed(1.0).rename_axis(columns=str(v)),
    "length of a deque": lambda v: collections.deque([1], maxlen=int(v)),
    "function in C": lambda v: math.sqrt if v == 2 else cmath.sqrt,
    "record with padding": padded,
    "record": lambda v: np.array([(1, v)], dtype=[("a", int), ("b", float)]),
    "texts": lambda v: np.array([str(v)], dtype=np.dtypes.StringDType()),
    "signature": with_signature,
    "text with attributes": lambda v: Text("a", v),
    "own text": lambda v: Text(str(v), 1),
    "own dict": lambda v: Table(a=v),
    "bound builtin": lambda v: [v].index,
    "np.vectorize": lambda v: np.vectorize(functools.partial(add, v)),
    "dtype": lambda v: np.dtype((float, int(v))),
    "neural network": lambda v: eqx.nn.Linear(2, int(v), key=jax.random.key(0)),
    "object in a set": lambda v: {("a", Cell(v)), "b"},
    "object as a key": lambda v: {Cell(v): 1, Cell(5.0): 2},
}


@pytest.mark.parametrize("make", LIBRARY_VALUES.values(), ids=LIBRARY_VALUES)
def test_objects_of_libraries_count_by_what_they_hold(make):
    one, same, other = (examine({"it": make(value)}) for value in (2.0, 2.0, 3.0))
    assert one == same
    assert one.digest != other.digest
    assert one.unknown == ()


def test_what_pandas_and_xarray_remember_does_not_count():
    frame, array = framed(2.0), labeled(2.0)
    before = digest(frame, array)
    assert frame.index.is_unique
    assert frame.index.get_loc("y") == 1
    assert array.sel(x=2.0).item() == 2.0
    assert frame.describe() is not None
    assert digest(frame, array) == before


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo"])
def test_what_sparse_arrays_find_out_about_themselves_does_not_count(kind):
    array = scipy.sparse.coo_array(([1.0, 2.0], ([0, 1], [1, 0]))).asformat(kind)
    before = digest(array)
    array.sum_duplicates()
    _ = array.has_canonical_format, getattr(array, "has_sorted_indices", None)
    assert digest(array) == before
    array.data[...] = 3.0
    assert digest(array) != before


class Kind(enum.Enum):
    A = 1
    B = 2


def test_keys_and_items_that_names_tell_apart_are_put_in_order_by_these(monkeypatch):
    keys = [1, "1", None, helper, uses_helper, float, Cell, *Kind, (1, helper), (1, add)]
    expected = digest(dict.fromkeys(keys, 1.0), set(keys))
    monkeypatch.delattr(walk.Walk, "_alone")
    keys.reverse()
    found = examine({"0": dict.fromkeys(keys, 1.0), "1": set(keys)})
    assert found.unknown == ()
    assert found.digest == expected


def test_keys_and_items_of_the_same_name_are_put_in_order_by_their_digests():
    keys = [Cell(1.0), Cell(2.0), with_gain(1.0), with_gain(2.0), frozenset({Cell(3.0), 1})]
    one, other = (dict.fromkeys(each, 1.0) for each in (keys, keys[::-1]))
    assert digest(one, set(one)) == digest(other, set(other))


def test_the_order_of_a_dict_does_not_count_but_that_of_an_ordered_one_does():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    ordered = collections.OrderedDict
    assert digest(ordered(a=1, b=2)) != digest(ordered(b=2, a=1))
    assert digest({"a": 1}) != digest(ordered(a=1))


UNKNOWN = {
    "file": (lambda: io.StringIO("a"), "tool (StringIO)"),
    "generator": (lambda: (n for n in [1]), "tool (generator)"),
    "random numbers": (lambda: np.random.default_rng(0), "tool (Generator)"),
    "their method": (lambda: np.random.default_rng(0).normal, "tool (Generator)"),
    "hidden function": (lambda: np.frompyfunc(add, 2, 1), "tool (a ufunc of np.frompyfunc)"),
    "environment": (lambda: os.environ, "tool (_Environ)"),
    "library of C": (lambda: ctypes.CDLL(None), "tool (CDLL)"),
    "weak reference": (lambda: weakref.ref(Cell), "tool (weakref.ReferenceType)"),
    "attribute": (lambda: types.SimpleNamespace(a=[io.StringIO()]), "tool.a[0] (StringIO)"),
    "item": (lambda: {"a": io.StringIO()}, "tool['a'] (StringIO)"),
}


@pytest.mark.parametrize(("make", "name"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_looked_into_is_named(make, name):
    assert examine({"tool": make()}).unknown == (name,)


def refusing(*names, bases=()):
    """Return an object of a library that raises an error whenever it is looked at."""

    def refuse(*args):
        raise NotImplementedError("not today")

    members = {name: property(refuse) if name == "__dict__" else refuse for name in names}
    own = {"__module__": "json", "__slots__": (), "__len__": refuse, "__getitem__": refuse}
    return type("Refusing", bases, {**own, **members})()


REFUSING = {
    "mapping": lambda: refusing("__iter__", bases=(collections.abc.Mapping,)),
    "list": lambda: refusing("__iter__", "__len__", bases=(list,)),
    "path": lambda: refusing("__fspath__", bases=(os.PathLike,)),
    "any": lambda: refusing("__dict__", "__reduce_ex__", "__getattr__", "__repr__"),
}


COMPUTED = {
    "globals()['helper'](x)": "globals",
    "eval('helper(x)', names)": "eval",
    "exec('helper(x)')": "exec",
    "__import__(x)": "__import__",
    "importlib.import_module(x).helper(x)": "import_module",
    "Holder.__subclasses__()[0](x)": "__subclasses__",
    "type(x).__subclasses__()": "__subclasses__",
}


@pytest.mark.parametrize(("code", "name"), COMPUTED.items(), ids=COMPUTED)
def test_what_is_found_by_a_computed_name_is_named(code, name):
    names = {"importlib": importlib, "Holder": Holder, "names": {}}
    exec(f"def f(x): return {code}\ndef g(x): return [{code} for _ in x]", names)
    for function in (names["f"], names["g"]):
        assert examine({"model": function}).unknown == (f"what {name}() finds",)


def test_methods_and_functions_of_the_users_that_are_named_like_builtins_are_followed():
    def eval(x):
        return GAIN * x

    def model(state):
        return eval(state["x"]) + state["frame"].eval("a + b")

    assert examine({"model": model}).unknown == ()


@pytest.mark.parametrize("make", REFUSING.values(), ids=REFUSING)
def test_what_refuses_to_be_looked_into_is_named(make):
    tool = make()

    def model(state):
        tool.inner.n = state["x"]
        tool.inner.append(state["x"])
        return state["x"]

    assert examine({"model": model}).unknown == ("tool (Refusing)",)


def test_what_has_no_influence_is_not_named():
    things = [threading.Lock(), threading.RLock(), logging.getLogger("a")]
    assert examine({"things": things}).unknown == ()


def test_containers_may_be_nested_deeply_but_not_without_end():
    nested: list = []
    for _ in range(50):
        nested = [nested, 1]
    assert examine({"it": nested}).unknown == ()
    for _ in range(100):
        nested = [nested, 1]
    (name,) = examine({"it": nested}).unknown
    assert name.endswith("(nested more than 60 levels deep)")


def test_objects_may_form_long_chains_and_circles():
    def chain(n, last):
        first = types.SimpleNamespace(value=last)
        for _ in range(n):
            first = types.SimpleNamespace(next=first)
        return first

    one, same, other = (examine({"it": chain(3000, last)}) for last in (1, 1, 2))
    assert one == same
    assert one.digest != other.digest
    ring = types.SimpleNamespace()
    ring.members = {"a": ring, "b": {Holder(ring)}}
    assert digest(ring) == digest(ring)


class Holder:
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize("option", ["eq", "order", "frozen", "unsafe_hash"])
def test_what_a_dataclass_can_do_counts(option):
    def made(**options):
        @dataclasses.dataclass(**options)
        class Settings:
            gain: float

        return Settings

    one, same, other = (digest(made(**{option: value})) for value in (False, False, True))
    assert one == same != other


def test_the_fields_that_a_dataclass_compares_count():
    def made(compare):
        @dataclasses.dataclass
        class Settings:
            gain: float = dataclasses.field(compare=compare)

        return Settings

    assert digest(made(True)) == digest(made(True)) != digest(made(False))


def test_the_metadata_of_a_field_count():
    def made(gain):
        return dataclasses.make_dataclass(
            "Made", [("a", int, dataclasses.field(metadata={"gain": gain}))]
        )

    assert digest(made(1)) == digest(made(1)) != digest(made(2))


@pytest.mark.parametrize("base", [pd.DataFrame, pd.Series, xr.DataArray, np.ndarray])
def test_the_methods_of_a_class_that_extends_a_librarys_count(base):
    def made(gain):
        class Made(base):
            __slots__ = ()

            def scaled(self):
                return gain * self

        return np.ones(2).view(Made) if base is np.ndarray else Made([1.0, 2.0])

    assert digest(made(1)) == digest(made(1)) != digest(made(2))


def dataclass_with(method):
    @dataclasses.dataclass(frozen=True)
    class Made:
        a: int
        __call__ = method

    return Made(1)


def made_dataclass_with(method):
    return dataclasses.make_dataclass("Made", ["a"], namespace={"__call__": method})(1)


def new_class_with(method):
    return types.new_class("Made", exec_body=lambda members: members.update(__call__=method))()


def named_tuple_with(method):
    class Made(NamedTuple):
        a: int
        __call__ = method

    return Made(1)


def equinox_module_with(method):
    class Made(eqx.Module):
        a: int
        __call__ = method

    return Made(1)


@pytest.mark.parametrize(
    "made",
    [
        *(dataclass_with, made_dataclass_with, new_class_with),
        *(named_tuple_with, equinox_module_with),
    ],
)
@pytest.mark.parametrize(
    "wrapper",
    [
        *(lambda f: f, jax.jit, eqx.filter_jit, functools.cache, jax.vmap),
        *(lambda f: functools.partialmethod(f, 1), staticmethod, Holder),
    ],
    ids=["none", "jit", "filter_jit", "cache", "vmap", "partial", "static", "object"],
)
def test_a_special_method_counts_however_it_is_wrapped(made, wrapper):
    def scaled(factor):
        return made(wrapper(lambda self, state=0: factor * state))

    assert digest(scaled(2.0)) == digest(scaled(2.0)) != digest(scaled(3.0))


def test_the_default_of_a_default_dict_counts():
    one, same, other = (collections.defaultdict(with_gain(k)) for k in (2.0, 2.0, 3.0))
    assert digest(one) == digest(same) != digest(other)


def test_more_objects_than_can_be_followed_are_named(monkeypatch):
    monkeypatch.setattr(walk, "_MOST", 10)
    (name,) = examine({"it": [Holder(i) for i in range(10)]}).unknown
    assert name == "Holder (among more than 10 objects)"


def test_objects_that_answer_to_every_name_have_a_digest():
    class Anything:
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return self

        def __call__(self, *args):
            return self

    assert digest(Anything()) == digest(Anything())
    assert len(digest(unittest.mock.MagicMock())) == 16


def of_library(text):
    """Return a function that is called `f` in a library."""
    names = {"__name__": "json.tool"}
    exec(compile(text, json.__file__, "exec"), names)
    return names["f"]


WRAPPER = """
def wrap(inner):
    def f(*args, **kwargs):
        return args[0]
    f.__qualname__, f.__module__, f.__defaults__ = "f", __name__, (1, 2)
    f.__wrapped__ = inner
    return f
f = wrap(lambda x, y=1, z=2: x)
"""
COMPILED = of_library("def f(*args, **kwargs): return args[0]").__code__


def test_a_decorated_function_of_a_library_counts_by_its_name(monkeypatch):
    # networkx gives wrappers the defaults of what they wrap, and other code once they were called.
    wrapped = of_library(WRAPPER)
    monkeypatch.setattr("json.tool.f", wrapped, raising=False)

    def model(state):
        return wrapped(state["x"]) + json.tool.f(1)

    before = examine({"model": model})
    assert before.unknown == ()
    wrapped.__code__ = COMPILED.replace(co_filename="<compiled>")
    assert examine({"model": model}) == before
    assert digest(wrapped) != digest(json.tool.main)


def test_defaults_that_a_function_has_no_arguments_for_are_no_problem():
    def decorated(value):
        def f(*args):
            return args

        f.__defaults__ = (value, 2)
        return f

    assert digest(decorated(1)) == digest(decorated(1)) != digest(decorated(2))


def test_what_a_function_of_a_library_was_given_counts():
    assert digest(jax.vmap(with_gain(1.0))) != digest(jax.vmap(with_gain(2.0)))
    assert digest(jax.vmap(jnp.sin)) != digest(jnp.sin)
    assert digest(jax.vmap(jnp.sin)) != digest(jax.vmap(jnp.sin, out_axes=1))


def test_what_a_library_says_in_an_error_does_not_count():
    raising, returning = (
        of_library(f"def f(a):\n    def g(x):\n        {statement}\n    return g")
        for statement in ("raise ValueError(x, a)", "return x + a")
    )
    assert digest(raising(1)) == digest(raising(2))
    assert digest(returning(1)) != digest(returning(2))


def test_members_of_installed_packages_count_by_name_and_are_listed_with_their_version():
    def one(state):
        return np.linalg.norm(state["x"]) + scipy.special.expit(1.0) + math.sin(1.0)

    def other(state):
        return np.linalg.det(state["x"]) + scipy.special.expit(1.0) + math.sin(1.0)

    found = examine({"model": one})
    assert found.libraries == {"numpy": np.__version__, "scipy": scipy.__version__}
    assert found.digest != digest(other)
    assert found.unknown == ()


def test_one_name_for_members_of_two_modules_tells_them_apart():
    def using(module):
        tools = module

        def model(state):
            return tools.minimize(state["x"])

        return model

    assert digest(using(scipy.optimize)) != digest(using(scipy.stats))


def test_where_a_module_is_and_how_it_was_started_does_not_count(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, folder in (("one_module", tmp_path), ("other_module", tmp_path / "inner_package")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(
            "import logging\nfrom pathlib import Path\nGAIN = 2.0\n"
            "def model(state):\n"
            "    logging.getLogger(__name__).info(__doc__, __spec__)\n"
            "    return GAIN * state['x'], Path(__file__).exists(), __package__, __loader__\n"
        )
    (tmp_path / "inner_package/__init__.py").write_text("")
    one, other = (importlib.import_module(n) for n in ("one_module", "inner_package.other_module"))

    def naming(module):
        tools = module
        return lambda state: tools.model(state), lambda state: (tools.__name__, tools.__file__)

    first, second = (examine({"it": (m.model, naming(m))}) for m in (one, other))
    assert first == second
    assert first.unknown == ()
    other.GAIN = 3.0
    assert digest(one.model) != digest(other.model)


def test_a_module_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise OSError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)

    def model(state):
        import broken_module

        return broken_module.f(state)

    assert examine({"model": model}).unknown == ("the import of 'broken_module'",)


@pytest.mark.parametrize("kind", ["function", "method", "named by jaxtyping"])
def test_what_checks_types_does_not_count(kind):
    beartype = pytest.importorskip("beartype").beartype
    wrapper = beartype
    if kind == "named by jaxtyping":
        wrapper = pytest.importorskip("jaxtyping").jaxtyped(typechecker=beartype)

    def model(gain, wrapper):
        if kind != "method":
            return wrapper(with_gain(gain))

        class Model(eqx.Module):
            __call__ = wrapper(lambda self, state: gain * state["x"])

        return Model()

    one, other = examine({"it": model(1.0, wrapper)}), examine({"it": model(2.0, wrapper)})
    assert one.unknown == ()
    assert one.digest == digest(model(1.0, lambda function: function)) != other.digest


def test_models_of_pydantic_count_by_their_fields_and_validators():
    pydantic = pytest.importorskip("pydantic")

    def made(gain, default=1.0, value=1.0):
        class Parameters(pydantic.BaseModel):
            tau: float = default

            @pydantic.field_validator("tau")
            @classmethod
            def check(cls, tau):
                return gain * tau

        return Parameters, Parameters(tau=value)

    one, same = examine({"it": made(1.0)}), examine({"it": made(1.0)})
    assert one == same
    assert one.unknown == ()
    others = made(2.0), made(1.0, default=2.0), made(1.0, value=2.0)
    assert len({one.digest, *map(digest, others)}) == 4


def test_numba_keeps_the_function_in_its_dispatchers():
    numba = pytest.importorskip("numba")
    one, other = numba.njit(with_gain(1.0)), numba.njit(with_gain(2.0))
    assert digest(one) == digest(with_gain(1.0))
    assert digest(one) != digest(other)
