"""What a model changes itself does not count; what only others could change does."""

from __future__ import annotations

import collections
import functools
import os

import numpy as np
import pytest

from gridax._digest.digest import digest, examine

N_CALLS = 0
SEEN: list = []
RECENT: collections.deque = collections.deque(maxlen=3)
BUFFER = np.zeros(3)
CACHE: dict = {}


def counting(state):
    global N_CALLS
    N_CALLS += 1
    SEEN.append(state["x"])
    RECENT.appendleft(state["x"])
    BUFFER[:] = state["x"]
    return remember(state["x"])


def remember(x):
    if x not in CACHE:
        CACHE[x] = 2 * x
    return CACHE[x]


def with_memory(state, memory={}):  # noqa: B006
    memory.setdefault(state["x"], 1)
    return state["x"]


def counting_on_itself(state):
    counting_on_itself.n += 1
    return state["x"]


counting_on_itself.n = 0


def with_cells():
    n, seen = 0, {"all": []}

    def model(state):
        nonlocal n
        n += 1
        seen["all"].append(n)
        return state["x"]

    return model


class Simulator:
    n_made = 0

    def __init__(self, gain=2.0):
        self.gain, self.n, self.log, self._table = gain, 0, [], None
        self.inner = Inner()

    def put(self, gain):
        self.gain = gain

    def _count(self):
        self.n += 1
        self.log.append(self.n)
        Simulator.n_made += 1

    @functools.cached_property
    def weights(self):
        return np.ones(3)

    def __call__(self, state):
        self._count()
        if self._table is None:
            self._table = {"x": 1}
        self.inner.step()
        return self.gain * state["x"] * self.weights[0]

    run = __call__


class Inner:
    def __init__(self):
        self.t = 0.0

    def step(self):
        self.t += 0.1


class Slotted:
    __slots__ = ("gain", "n")

    def __init__(self):
        self.gain, self.n = 2.0, 0

    def __call__(self, state):
        self.n += 1
        return self.gain * state["x"]


class Derived(Simulator):
    pass


SIMULATOR = Simulator()


def with_global_object(state):
    SIMULATOR.n += 1
    return SIMULATOR(state)


MODELS = {
    "globals": lambda: counting,
    "default": lambda: with_memory,
    "attribute of a function": lambda: counting_on_itself,
    "cells": with_cells,
    "object": Simulator,
    "bound method": lambda: Simulator().run,
    "inherited": Derived,
    "slots": Slotted,
    "global object": lambda: with_global_object,
    "partial": lambda: functools.partial(Simulator().run),
    "object in a dict": lambda: (lambda models: lambda s: models["a"](s))({"a": Simulator()}),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_counters_and_caches_of_a_model_do_not_count(make):
    model = make()
    before = digest(model)
    for x in (1.0, 2.0, 2.0):
        model({"x": x})
        assert digest(model) == before


@pytest.mark.parametrize("kind", [Simulator, Derived, Slotted])
def test_what_the_model_only_reads_counts_though_a_setter_writes_it(kind):
    one, other = kind(), kind()
    assert digest(one) == digest(other)
    other.gain = 3.0
    assert digest(one) != digest(other)


class WithProperty:
    def __init__(self, gain):
        self._gain = gain

    @property
    def gain(self):
        return self._gain

    @gain.setter
    def gain(self, gain):
        self._gain = gain

    @gain.deleter
    def gain(self):
        self._gain = None


@pytest.mark.parametrize("kind", [WithProperty, type("Inherited", (WithProperty,), {})])
def test_a_property_that_a_model_only_reads_counts(kind):
    def calling(gain):
        tool = kind(gain)
        return lambda state: tool.gain * state["x"]

    assert digest(calling(2.0)) == digest(calling(2.0)) != digest(calling(3.0))


def assigning(tool, state):
    tool.gain = state["x"]


def augmenting(tool, state):
    tool.gain += state["x"]


def deleting(tool, state):
    del tool.gain


def setting_by_name(tool, state):
    setattr(tool, "gain", state["x"])  # noqa: B010


def assigning_within(tool, state):
    [None for tool.gain in [state["x"]]]


@pytest.mark.parametrize(
    "change", [assigning, augmenting, deleting, setting_by_name, assigning_within]
)
def test_a_property_that_a_model_assigns_does_not_count(change):
    tool = WithProperty(1.0)

    def model(state):
        change(tool, state)

    before = digest(model)
    model({"x": 5.0})
    assert digest(model) == before


class WithUpdate:
    def __init__(self, gain):
        self.gain, self.inner = gain, None

    def update(self, gain):
        self.gain = gain

    set = update


def setting_an_item_of_an_array(tool):
    return lambda state: state["x"].at[0].set(1.0) * tool.gain


def updating_a_dict(tool):
    def model(state):
        parameters = {}
        parameters.update(state)
        return parameters["x"] * tool.gain

    return model


def updating_an_argument(tool):
    return lambda state: state.update(y=1) or state["x"] * tool.gain


class Updating(WithUpdate):
    def __call__(self, state):
        self.update(state["x"])
        return self.gain


def updating_itself(tool):
    return Updating(tool.gain)


def updating_a_variable(tool):
    return lambda state: tool.update(state["x"])


def updating_an_attribute(tool):
    outer = WithUpdate(1.0)
    outer.inner = tool
    return lambda state: outer.inner.update(state["x"]) or outer.gain


def updating_by_the_class(tool):
    return lambda state: WithUpdate.update(tool, state["x"])


@pytest.mark.parametrize(
    "make", [updating_a_dict, updating_an_argument, setting_an_item_of_an_array]
)
def test_an_attribute_is_named_that_only_a_method_of_a_common_name_sets(make):
    one, same, other = (examine({"model": make(WithUpdate(k))}) for k in (2.0, 2.0, 3.0))
    assert one == same
    assert one.unknown == ("tool.gain (which the model may change)",)
    assert other.unknown == one.unknown


@pytest.mark.parametrize(
    "make", [updating_itself, updating_a_variable, updating_an_attribute, updating_by_the_class]
)
def test_a_method_of_a_common_name_is_known_by_its_object(make):
    model = make(WithUpdate(2.0))
    before = examine({"model": model})
    model({"x": 5.0})
    assert examine({"model": model}) == before
    assert before.unknown == ()


def test_an_attribute_that_a_model_sets_by_a_setter_does_not_count():
    class Stateful(Simulator):
        def __call__(self, state):
            self.put(state["x"])
            return self.gain

    model = Stateful()
    before = digest(model)
    model({"x": 5.0})
    assert digest(model) == before


def test_what_a_model_changes_of_another_object_leaves_its_like_alone():
    one, other = Simulator(), Simulator()

    def model(state):
        one.gain = state["x"]
        return one.gain * other.gain

    before = digest(model)
    one.gain = 7.0
    assert digest(model) == before
    other.gain = 7.0
    assert digest(model) != before


def test_methods_of_arrays_and_modules_that_are_named_like_changes_are_none():
    weights = {"w": np.ones(3)}

    def model(state):
        return np.append(weights["w"], state["x"]), np.insert(weights["w"], 0, 1.0)

    before = digest(model)
    weights["w"][0] = 5.0
    assert digest(model) != before


def item_of_a_dict(tau):
    parameters = {"tau": tau, "x": 0.0}

    def model(state):
        parameters["x"] = state["x"]
        return parameters["x"] * parameters["tau"]

    return model


def item_of_an_item(tau):
    parameters = {"tau": tau, "inner": {"tau": tau, "x": 0.0}}

    def model(state):
        parameters["inner"]["x"] = state["x"]
        return parameters["inner"]["x"] * parameters["inner"]["tau"]

    return model


def updated(tau):
    parameters = {"tau": tau}

    def model(state):
        parameters.update(x=state["x"])
        parameters.update({"y": state["x"]})
        return parameters["x"] * parameters["tau"]

    return model


def item_of_a_list(tau):
    parameters = [0.0, tau]

    def model(state):
        parameters[-2] = state["x"]
        return parameters[0] * parameters[1]

    return model


def element_of_an_array(tau):
    parameters = np.array([[0.0, tau]])

    def model(state):
        parameters[0, 0] = state["x"]
        return parameters[0, 0] * parameters[0, 1]

    return model


class WithParameters:
    def __init__(self, tau):
        self.parameters = collections.OrderedDict(tau=tau, x=0.0)

    def __call__(self, state):
        self.parameters["x"] = state["x"]
        return self.parameters["x"] * self.parameters["tau"]


class Parameters(dict):
    def set(self, x):
        self["x"] = x


def own_dict(tau):
    parameters = Parameters(tau=tau)

    def model(state):
        parameters.set(state["x"])
        return parameters["x"] * parameters["tau"]

    return model


def own_cache(tau):
    class Memory(dict):
        def __missing__(self, x):
            self[x] = tau * x
            return self[x]

    memory = Memory()
    return lambda state: memory[state["x"]]


def default_factory(tau):
    memory = collections.defaultdict(lambda: tau)

    def model(state):
        memory[state["x"]] += state["x"]
        return state["x"]

    return model


def attribute_by_name(tau):
    parameters = Simulator(tau)

    def model(state):
        setattr(parameters, "n", state["x"])  # noqa: B010
        return parameters.n * parameters.gain

    return model


PARAMETERS = {
    "item of a dict": item_of_a_dict,
    "item of an item": item_of_an_item,
    "updated": updated,
    "item of a list": item_of_a_list,
    "element of an array": element_of_an_array,
    "attribute of an object": WithParameters,
    "own dict": own_dict,
    "own cache": own_cache,
    "default factory": default_factory,
    "attribute by name": attribute_by_name,
}


@pytest.mark.parametrize("make", PARAMETERS.values(), ids=PARAMETERS)
def test_what_stands_beside_what_a_model_changes_counts(make):
    model, other = make(2.0), make(3.0)
    before = examine({"model": model})
    assert before.unknown == ()
    assert digest(make(2.0)) == before.digest
    assert digest(other) != before.digest
    for x in (1.0, 2.0):
        model({"x": x})
        assert digest(model) == before.digest


def test_a_digest_leaves_the_environment_that_a_model_sets_alone(monkeypatch):
    monkeypatch.setenv("GRIDAX_N_THREADS", "2")

    def model(state):
        os.environ["GRIDAX_N_THREADS"] = "1"
        return state["x"]

    before = examine({"model": model})
    assert before.unknown == ()
    assert os.environ["GRIDAX_N_THREADS"] == "2"
    model({"x": 1.0})
    assert examine({"model": model}) == before
    assert os.environ["GRIDAX_N_THREADS"] == "1"


def test_parameters_that_a_model_changes_under_computed_names_are_named():
    parameters, weights, cache = {"tau": 2.0, "x": 0.0}, np.ones(3), {}

    def model(state):
        parameters.update(state)
        for i in range(3):
            weights[i] = parameters["x"]
        cache[state["x"]] = weights.sum() * parameters["tau"]
        return cache[state["x"]]

    before = examine({"model": model})
    names = ("parameters (which the model changes)", "weights (which the model changes)")
    assert before.unknown == names
    model({"x": 1.0})
    assert examine({"model": model}) == before
