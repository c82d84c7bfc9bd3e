"""A store never mixes results of two models, whatever has changed and however far it was filled."""

from __future__ import annotations

import dataclasses
import functools
import io
import types
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import gridax as gx
from tests.processes import finished

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)
X = gx.GridAxis(0, 1, 4)


class Stop(Exception):
    """An error of whoever watches the progress."""


def stop(done, total):
    if done >= 2:
        raise Stop


def product(**state):
    return gx.Space({"x": X, **state}, mode="product")


def scaled(factor):
    return lambda x: factor * x


def calling(function):
    """Return a model that calls a function back, also at a point that is not traced."""
    call = functools.partial(jax.pure_callback, vmap_method="sequential")
    return lambda state: call(lambda x: np.float32(function(x)), SCALAR, jnp.float32(state["x"]))


def with_batching_rule(factor):
    @jax.custom_batching.custom_vmap
    def once(x):
        return 2.0 * x

    once.def_vmap(lambda size, batched, x: (factor * x, True))
    return lambda state: once(jnp.asarray(state["x"]))


def with_derivative_rule(factor):
    @jax.custom_jvp
    def once(x):
        return 2.0 * x

    once.defjvp(lambda primals, tangents: (once(*primals), factor * tangents[0]))
    return lambda state: once(state["x"])


def with_error(factor):
    return lambda state: eqx.error_if(factor * state["x"], state["x"] > 10, "too large")


def with_helper(helper):
    return lambda state: helper(state["x"])


def with_cached_helper(helper):
    return lambda state: helper(1.0) * state["x"]


def with_module(factor):
    helpers = types.ModuleType("helpers")
    helpers.scale = scaled(factor)
    return lambda state: helpers.scale(state["x"])


class Scale(eqx.Module):
    factor: float

    def __call__(self, state):
        return self.factor * state["x"]


MODELS = {
    "jit": lambda k: with_helper(jax.jit(scaled(k))),
    "cache": lambda k: with_cached_helper(functools.cache(scaled(k))),
    "checkpoint": lambda k: with_helper(jax.checkpoint(scaled(k))),
    "module": with_module,
    "equinox module": lambda k: Scale(k),
    "callback": lambda k: calling(scaled(k)),
    "callback of np.vectorize": lambda k: calling(np.vectorize(scaled(k), otypes=[np.float32])),
    "batching rule": with_batching_rule,
    "derivative rule": with_derivative_rule,
    "error": with_error,
}


@pytest.fixture(params=[gx.SequentialExecution, gx.ParallelExecution])
def execution(request):
    return request.param


@pytest.fixture(params=["finished", "partly filled"])
def store(request, tmp_path):
    """Return a function that begins a store with a model, and returns its path."""
    path = tmp_path / "run.zarr"

    def begun(executor, **options):
        if request.param == "finished":
            executor.run(store=path, progress=False, block={"x": 1}, **options)
        else:
            with pytest.raises(Stop):
                executor.run(store=path, progress=stop, block={"x": 1}, **options)
        return path

    return begun


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.sampled(5)
def test_another_model_is_refused_and_the_same_goes_on(execution, store, make):
    path = store(execution(make(2.0), product()))
    with pytest.raises(ValueError, match="was begun with another model"):
        execution(make(3.0), product()).run(store=path, progress=False)
    result = execution(make(2.0), product()).run(store=path, progress=False)
    assert result.progress == (4, 0, 4)


# Runs one of two shards of a model that solves an equation, whose solver checks for errors.
SOLVER = """
import sys
import diffrax
import jax.numpy as jnp
import gridax as gx

def solved(state):
    term, solver = diffrax.ODETerm(lambda t, y, x: -x * y), diffrax.Euler()
    return diffrax.diffeqsolve(term, solver, 0.0, 1.0, 0.5, jnp.float32(1.0), state["x"]).ys[-1]

if __name__ == "__main__":
    sweep = gx.ParallelExecution(solved, gx.Space({"x": gx.GridAxis(0, 1, 4)}, mode="product"))
    shard = (int(sys.argv[2]), 2)
    print(sweep.run(store=sys.argv[1], shard=shard, block={"x": 2}, progress=False).progress)
"""


@pytest.mark.slow
def test_a_solver_goes_on_in_another_process(tmp_path):
    pytest.importorskip("diffrax")
    script = tmp_path / "solver.py"
    script.write_text(SOLVER)
    for shard in (0, 1):
        done = finished(script, tmp_path / "run.zarr", shard)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "4 of 4 points done\n"


def test_what_python_models_call_back_on_workers_counts_too(store):
    # Nothing is evaluated where the model is refused, so no cluster is started for that.
    model, other = (with_helper(jax.jit(scaled(k))) for k in (2.0, 3.0))
    path = store(gx.ParallelExecution(model, product()))
    with pytest.raises(ValueError, match="was begun with another model"):
        gx.DaskExecution(other, product()).run(store=path, progress=False)
    if gx.open_result(path).progress.done == 4:
        gx.DaskExecution(model, product()).run(store=path, progress=False)


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("values",)

    def __init__(self, values):
        self.values = values


@dataclasses.dataclass
class Settings:
    method: str
    options: dict


OBJECTS = {
    "tuple": (Plain(a=(1, 2)), Plain(a=(1, 3))),
    "list": (Plain(a=[1, 2]), Plain(a=[1, 3])),
    "bool": (Plain(a=True), Plain(a=False)),
    "nested": (Plain(a=Plain(b=Plain(c=1))), Plain(a=Plain(b=Plain(c=2)))),
    "slots": (Slotted([1]), Slotted([2])),
    "dataclass": (Settings("rk4", {"tol": 1}), Settings("rk4", {"tol": 2})),
    "array": (Plain(a=np.zeros(3)), Plain(a=np.ones(3))),
    "class": (Plain(a=int), Plain(a=float)),
    "function": (Plain(a=scaled(2.0)), Plain(a=scaled(3.0))),
}


@pytest.mark.parametrize(("one", "other"), OBJECTS.values(), ids=OBJECTS)
@pytest.mark.sampled(5)
def test_what_an_object_in_the_state_holds_counts(execution, store, one, other):
    path = store(execution(lambda s: 2.0 * s["x"], product(tool=one)))
    with pytest.raises(ValueError, match="the fixed value 'tool' is"):
        execution(lambda s: 2.0 * s["x"], product(tool=other)).run(store=path, progress=False)
    result = execution(lambda s: 2.0 * s["x"], product(tool=one)).run(store=path, progress=False)
    assert result.progress == (4, 0, 4)


class Pair:
    """A pytree of JAX's with something besides its children."""

    def __init__(self, x, about):
        self.x, self.about = x, about


jax.tree_util.register_pytree_node(Pair, lambda p: ((p.x,), p.about), lambda a, c: Pair(*c, a))


def static(factor):
    class Fixed(eqx.Module):
        x: object
        factor: object = eqx.field(static=True)

    return Fixed(X, factor)


def with_method(factor, x=X):
    class Driven(eqx.Module):
        x: object

        def drive(self):
            return factor * self.x

    return Driven(x)


def method_of_the_state(factor):
    return lambda s: s.drive(), with_method(factor), ()


def inner_method_of_the_state(factor):
    return lambda s: s["x"] * s["a"][0].drive(), {"x": X, "a": [with_method(factor, 1.0)]}, ()


def static_field_of_the_state(factor):
    return lambda s: s.factor * s.x, static(factor), ()


def static_function_of_the_state(factor):
    return lambda s: s.factor(s.x), static(scaled(factor)), ()


def static_item_of_the_state(factor):
    return lambda s: s.factor["a"][0] * s.x, static({"a": (factor, None)}), ()


def auxiliary_data(factor):
    return lambda s: s["pair"].about * s["x"], {"x": X, "pair": Pair(1.0, factor)}, ()


def function_of_a_partial(factor):
    call = jax.tree_util.Partial(scaled(factor))
    return lambda s: s["call"](s["x"]), {"x": X, "call": call}, ()


def method_of_an_argument(factor):
    return lambda s, net: net.drive() * s["x"], {"x": X}, (with_method(factor, 1.0),)


STRUCTURES = [
    method_of_the_state,
    inner_method_of_the_state,
    static_field_of_the_state,
    static_function_of_the_state,
    static_item_of_the_state,
    auxiliary_data,
    function_of_a_partial,
    method_of_an_argument,
]


@pytest.mark.parametrize("make", STRUCTURES)
@pytest.mark.sampled(5)
def test_what_containers_are_and_hold_counts(execution, store, make):
    def executor(factor):
        model, state, args = make(factor)
        return execution(model, gx.Space(state, mode="product"), *args)

    path = store(executor(2.0))
    with pytest.raises(ValueError, match=r"another model|the fixed value"):
        executor(3.0).run(store=path, progress=False)
    assert executor(2.0).run(store=path, progress=False).progress == (4, 0, 4)


def test_none_is_neither_a_default_nor_an_empty_container(tmp_path):
    def model(state, option=1):
        return state["x"] * (2 if option is None else 3)

    path = tmp_path / "run.zarr"
    gx.SequentialExecution(model, product(), option=None).run(store=path, progress=False)
    for options, text in (
        ({}, "only there: None"),
        ({"option": {}}, "None there and an empty dict"),
    ):
        with pytest.raises(ValueError, match=f"the fixed value 'argument option' is {text}"):
            gx.SequentialExecution(model, product(), **options).run(store=path, progress=False)


@pytest.mark.skipif(
    type(jax.tree.structure(eqx.nn.Identity()).node_data()[1]) is not tuple,
    reason="this version of equinox keeps what is static in an object of its own",
)
def test_a_version_of_a_model_stands_for_its_methods_but_not_for_static_values(tmp_path):
    def run(model, state, args):
        executor = gx.SequentialExecution(model, gx.Space(state, mode="product"), *args)
        return executor.run(store=tmp_path / "run.zarr", version="1", progress=False)

    run(*static_function_of_the_state(2.0))
    run(*static_function_of_the_state(3.0))
    with pytest.raises(
        ValueError, match=r"the fixed value 'the whole state' is .*Fixed with digest"
    ):
        run(*static_field_of_the_state(3.0))


def named(name, factor):
    """A function whose name does not tell its factor."""
    function = scaled(factor)
    function.__name__ = function.__qualname__ = name
    return function


one, two, other_two, three = (
    named("one", 1.0),
    named("two", 2.0),
    named("two", 2.5),
    named("three", 3),
)
FUNCTIONS = {"one": one, "two": two, "three": three}
EXTENDED = {
    "functions": (gx.ChoiceAxis([one, two]), gx.ChoiceAxis([two, three, one])),
    "names": (gx.ChoiceAxis(["one", "two"]), gx.ChoiceAxis(["three", "two", "one"])),
    "a function that was fixed": (two, gx.ChoiceAxis([one, two])),
    "a function that is fixed now": (gx.ChoiceAxis([one, two]), two),
    "of a library": (gx.ChoiceAxis([one]), gx.ChoiceAxis([one, jax.nn.relu])),
}


def with_chosen(factor):
    def model(state):
        chosen = FUNCTIONS[state["f"]] if isinstance(state["f"], str) else state["f"]
        return jnp.float32(factor * chosen(state["x"]))

    return model


@pytest.mark.parametrize(("old", "new"), EXTENDED.values(), ids=EXTENDED)
@pytest.mark.parametrize("kept", [True, False], ids=["store", "memory"])
def test_a_sweep_is_extended_by_choices(execution, tmp_path, old, new, kept):
    def run(choice, **options):
        return execution(with_chosen(2.0), product(f=choice)).run(progress=False, **options)

    before = run(old, **({"store": tmp_path / "run.zarr"} if kept else {}))
    extended = run(new, extend=before).dataset
    xr.testing.assert_allclose(extended, run(new).dataset)


CHANGED_CHOICES = {
    "a choice": (gx.ChoiceAxis([one, two]), gx.ChoiceAxis([one, other_two, three]), 2.0),
    "a function that was fixed": (two, gx.ChoiceAxis([one, other_two]), 2.0),
    "the model": (gx.ChoiceAxis([one]), gx.ChoiceAxis([one, two]), 3.0),
}


@pytest.mark.parametrize(("old", "new", "factor"), CHANGED_CHOICES.values(), ids=CHANGED_CHOICES)
@pytest.mark.parametrize("kept", [True, False], ids=["store", "memory"])
def test_a_sweep_of_other_functions_is_not_extended(execution, tmp_path, old, new, factor, kept):
    options = {"store": tmp_path / "run.zarr"} if kept else {}
    before = execution(with_chosen(2.0), product(f=old)).run(progress=False, **options)
    with pytest.raises(ValueError, match="it was computed with another model"):
        execution(with_chosen(factor), product(f=new)).run(progress=False, extend=before)


def test_an_executor_runs_with_the_arrays_that_it_was_given(execution, store):
    # Aligned as JAX likes it best, which it takes without a copy.
    weights = np.empty(64 + 16, np.uint8)
    start = -weights.ctypes.data % 64
    weights = weights[start : start + 16].view(np.float32)
    weights[:] = 1.0
    scale = np.full(4, 2.0, np.float32)
    rest = {"b": [np.zeros(1)], "a": (np.ones(1),)}

    def model(state, scale, rest):
        return (state["w"] * scale).sum() * state["x"] + rest["a"][0].sum()

    executor = execution(model, product(w=weights), scale, rest=rest)
    path = store(executor)
    before = executor.run(progress=False).dataset["value"].values
    weights[:], scale[:], rest["a"][0][:] = 50, 60, 70
    rest["c"] = 1
    np.testing.assert_array_equal(executor.run(progress=False).dataset["value"], before)
    result = executor.run(store=path, progress=False)
    np.testing.assert_array_equal(result.dataset["value"], before)
    with pytest.raises(ValueError, match="holds another sweep: the fixed value 'w' is"):
        execution(model, product(w=weights), scale, rest=rest).run(store=path, progress=False)


def test_what_cannot_be_looked_into_is_named_once_unless_the_model_has_a_version(tmp_path):
    generator, table = np.random.default_rng(0), io.StringIO("1")

    def model(state):
        return state["x"] + 0 * generator.normal() + 0 * len(table.getvalue())

    space = product()
    with pytest.warns(UserWarning, match="would go unnoticed") as caught:
        gx.SequentialExecution(model, space).run(store=tmp_path / "a.zarr", progress=False)
    (warning,) = caught
    assert str(warning.message) == (
        "a change to generator (Generator), table (StringIO) would go unnoticed, since gridax "
        "cannot look inside: results of different models could end up in one store. Pass version= "
        "to name the model, and change that name whenever the model changes"
    )
    assert warning.filename == __file__
    executor = gx.SequentialExecution(model, space)
    executor.run(progress=False)  # where nothing is kept, nothing is mixed
    executor.run(store=tmp_path / "b.zarr", progress=False, version="1")


def test_what_cannot_be_looked_into_in_the_state_and_in_callbacks_is_named(tmp_path):
    table = io.StringIO("1")
    model = calling(lambda x: x + len(table.getvalue()))
    executor = gx.ParallelExecution(model, product(file=io.StringIO()))
    with pytest.warns(UserWarning, match="would go unnoticed") as caught:
        executor.run(store=tmp_path / "a.zarr", progress=False)
    texts = " ".join(str(warning.message) for warning in caught)
    assert "a change to table (StringIO) would" in texts
    assert "a change to file (StringIO) would" in texts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor.run(store=tmp_path / "b.zarr", progress=False, version="1")


def test_a_source_that_changes_while_it_traces_to_the_same_is_the_same_model(store):
    path = store(gx.ParallelExecution(lambda s: 2.0 * s["x"], product()))
    result = gx.ParallelExecution(lambda s: (1.0 + 1.0) * s["x"], product())
    assert result.run(store=path, progress=False).progress == (4, 0, 4)


class Simulator:
    def __init__(self, tau):
        self.tau, self.x = tau, 0.0

    def configure(self, **parameters):
        for name, value in parameters.items():
            setattr(self, name, value)

    def run(self):
        return self.tau * self.x


def configured(tau):
    simulator = Simulator(tau)

    def model(state):
        simulator.configure(x=state["x"])
        return simulator.run()

    return model, {}, lambda: simulator.configure(tau=3.0)


def passed_on(tau):
    parameters = {"tau": tau}

    def simulate(given, x):
        given["x"] = x
        return given["tau"] * given["x"]

    return lambda state: simulate(parameters, state["x"]), {}, lambda: parameters.update(tau=3.0)


def one_of_many(tau):
    simulators = [Simulator(tau), Simulator(tau)]

    def model(state):
        for each in simulators:
            each.x = state["x"]
        return sum(each.run() for each in simulators)

    return model, {}, lambda: simulators[0].configure(tau=3.0)


def in_the_state(tau):
    simulator = Simulator(tau)

    def model(state):
        state["tool"].configure(x=state["x"])
        return state["tool"].run()

    return model, {"tool": simulator}, lambda: simulator.configure(tau=3.0)


def a_choice(tau):
    simulator = Simulator(tau)

    def model(state):
        state["tool"].configure(x=state["x"])
        return state["tool"].run()

    axis = gx.ChoiceAxis([simulator], labels=["a"])
    return model, {"tool": axis}, lambda: simulator.configure(tau=3.0)


STATEFUL = [configured, passed_on, one_of_many, in_the_state, a_choice]


@pytest.mark.parametrize("make", STATEFUL)
def test_objects_that_a_model_sets_up_do_not_keep_the_same_line_from_going_on(store, make):
    model, state, change = make(2.0)
    path = store(gx.SequentialExecution(model, product(**state)))
    for _ in range(2):
        result = gx.SequentialExecution(model, product(**state)).run(store=path, progress=False)
        assert result.progress == (4, 0, 4)
    same, state_of_same, _ = make(2.0)  # as in another process
    gx.SequentialExecution(same, product(**state_of_same)).run(store=path, progress=False)
    change()
    with pytest.raises(ValueError, match=r"another model|'tool' is"):
        gx.SequentialExecution(model, product(**state)).run(store=path, progress=False)


class Length(float):
    """A number with a unit."""

    def __new__(cls, value, unit):
        made = super().__new__(cls, value)
        made.unit = unit
        return made


def test_what_a_fixed_number_holds_besides_its_value_counts(tmp_path):
    def run(length):
        space = gx.Space({"x": gx.DataAxis([1.0, 2.0]), "length": length}, mode="product")
        execution = gx.SequentialExecution(lambda s: s["x"], space)
        return execution.run(store=tmp_path / "s.zarr", progress=False)

    run(Length(1.0, "mm"))
    run(Length(1.0, "mm"))
    with pytest.raises(ValueError, match=r"the fixed value 'length' is 1.0 with digest"):
        run(Length(1.0, "m"))
