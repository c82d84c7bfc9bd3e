from __future__ import annotations

import pickle
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from gridax._outputs.labels import labeled
from gridax._outputs.template import arrays_of, restore, template_of
from tests.ids import plain


class Metrics(NamedTuple):
    mean: float
    series: np.ndarray


KEY = jax.random.key(7)


def described(result):
    return [(o.name, o.shape, str(o.dtype), o.dims) for o in template_of(result).outputs]


@pytest.mark.parametrize(
    ("result", "outputs"),
    [
        (1.5, [("value", (), "float64", None)]),
        (np.zeros((2, 3), np.float32), [("value", (2, 3), "float32", None)]),
        (True, [("value", (), "bool", None)]),
        (2 + 1j, [("value", (), "complex128", None)]),
        (jnp.bfloat16(1), [("value", (), "bfloat16", None)]),
        (KEY, [("value", (2,), "uint32", None)]),
        ([1, 2.0], [("[0]", (), "int64", None), ("[1]", (), "float64", None)]),
        ({"a": {"b": 1.0}, "c": None}, [("a.b", (), "float64", None)]),
        (
            Metrics(1.0, np.zeros(4)),
            [("mean", (), "float64", None), ("series", (4,), "float64", None)],
        ),
        (xr.Variable("time", np.zeros(3)), [("value", (3,), "float64", ("time",))]),
        (xr.DataArray(np.zeros(3), dims="time"), [("value", (3,), "float64", ("time",))]),
        (xr.DataArray(np.zeros(3), dims="t", name="S"), [("S", (3,), "float64", ("t",))]),
        ({"x": xr.DataArray(0.0, name="S")}, [("x", (), "float64", ())]),
        (
            xr.Dataset({"a": 1.0, "b": ("t", np.zeros(2))}),
            [("a", (), "float64", ()), ("b", (2,), "float64", ("t",))],
        ),
        ({"run": xr.Dataset({"a": 1.0})}, [("run.a", (), "float64", ())]),
        (
            xr.Variable("n", jnp.stack([KEY, KEY])),
            [("value", (2, 2), "uint32", ("n", "value_key"))],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_outputs_are_named_by_their_path_and_keep_shape_dtype_and_dims(result, outputs):
    assert described(result) == outputs


def test_a_traced_result_has_the_same_template_as_a_computed_one():
    def model(x):
        return {"S": xr.DataArray(x * jnp.ones(3), dims="t", attrs={"units": "Hz"}), "k": [x > 0]}

    found = []
    jax.eval_shape(lambda x: found.append(template_of(model(x))) or 0, 1.0)
    (traced,), computed = found, template_of(model(jnp.float32(1.0)))
    assert traced.difference(computed) is None
    assert [dict(o.attrs) for o in traced.outputs] == [{"units": "Hz"}, {}]


def test_coordinates_of_a_dataset_go_with_the_outputs_that_have_their_dimensions():
    result = xr.Dataset(
        {"a": ("t", np.zeros(2)), "b": ("u", np.zeros(3))},
        {"t": [0.1, 0.2], "u": [1, 2, 3], "where": ("u", ["x", "y", "z"])},
    )
    assert [set(o.coords) for o in template_of(result).outputs] == [{"t"}, {"u", "where"}]


def test_sizes_count_all_outputs_of_a_point():
    template = template_of({"a": np.zeros((3, 2)), "b": np.float32(0)})
    assert template.nbytes == 3 * 2 * 8 + 4


LONG = pytest.mark.skipif(
    np.dtype(np.longdouble) == np.float64, reason="numbers have at most 64 bits on this platform"
)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            None,
            "the model returned None, but must return arrays or numbers; add a return statement",
        ),
        ({}, "the model returned {}, which contains no array"),
        ((), "the model returned (), which contains no array"),
        ({"a": None}, "the model returned {'a': None}, which contains no array"),
        (
            "done",
            "output 'value' is the string 'done', but a model must return arrays or numbers; ",
        ),
        ({"a": 1.0, "how": "heun"}, "output 'how' is the string 'heun', but a model must return"),
        (
            [object()],
            "output '[0]' is an object of the type object, but a model must return arrays",
        ),
        (
            {"f": abs},
            "output 'f' is an object of the type builtin_function_or_method, but a model must",
        ),
        ({"x": np.array(["a"])}, "output 'x' is an array of <U1, but a model must return arrays"),
        ({"x": np.array([None])}, "output 'x' is an array of object, but a model must return"),
        (
            np.datetime64("2020-01-01"),
            "output 'value' is an array of datetime64[D], but a model must",
        ),
        (
            2**70,
            "output 'value' is the integer 1180591620717411303424, which is too large, but a model",
        ),
        (
            {"r": np.zeros(2, [("a", int), ("b", float)])},
            "output 'r' is an array of [('a', '<i8'), ('b', '<f8')], but a model must return",
        ),
        (np.void(b"abc"), "output 'value' is an array of |V3, but a model must return arrays"),
        pytest.param(
            {"x": np.longdouble(1)},
            f"output 'x' is an array of {np.dtype(np.longdouble)}, but a model must return arrays "
            "or numbers; convert it to float64",
            marks=LONG,
        ),
        pytest.param(
            {"x": np.ones(2, np.clongdouble)},
            f"output 'x' is an array of {np.dtype(np.clongdouble)}, but a model must return arrays "
            "or numbers; convert it to complex128",
            marks=LONG,
        ),
        (
            xr.Dataset({"s": "text"}),
            "output 's' is an array of <U4, but a model must return arrays",
        ),
    ],
    ids=plain,
)
def test_what_is_no_array_is_refused_with_the_output_named(result, text):
    for reader in (template_of, arrays_of):
        with pytest.raises(TypeError, match=re.escape(text)):
            reader(result)


MASKED = np.ma.masked_array([1, 2], [True, False])


@pytest.mark.parametrize(
    ("result", "values"),
    [
        (MASKED, [np.nan, 2.0]),
        (np.ma.masked_array([1, 2]), [1.0, 2.0]),
        (MASKED > 1, [np.nan, 1.0]),
        (MASKED.astype(np.float32), [np.nan, 2.0]),
        (MASKED.astype(complex), [np.nan, 2.0]),
        (np.ma.masked, np.nan),
        (MASKED[:1].mean(), np.nan),
    ],
    ids=["integers", "none is masked", "bools", "float32", "complex", "a constant", "a mean"],
)
def test_masked_values_are_nan(result, values):
    (array,), (output,) = arrays_of({"x": result}), template_of({"x": result}).outputs
    np.testing.assert_array_equal(array, values)
    assert array.dtype == output.dtype
    assert array.dtype == (result.dtype if result.dtype.kind in "fc" else np.float64)


def test_two_outputs_of_one_name_are_refused():
    text = "the model returns two outputs named 'a.b'; rename one of them"
    with pytest.raises(ValueError, match=re.escape(text)):
        template_of({"a": {"b": 1.0}, "a.b": 2.0})


def test_a_coordinate_that_depends_on_the_parameters_is_refused():
    def model(x):
        return template_of(
            xr.DataArray(jnp.ones(2), dims="t", coords={"late": ("t", x * jnp.ones(2))})
        )

    text = (
        "output 'value': the coordinate 'late' is traced; compute it with NumPy if it is the same "
        "at every point, or return it as a separate output"
    )
    with pytest.raises(TypeError, match=re.escape(text)):
        jax.eval_shape(model, 1.0)


def test_an_attribute_that_would_change_the_data_is_refused():
    text = "output 'value': the attribute 'scale_factor' would change the data when a file is read"
    with pytest.raises(ValueError, match=re.escape(text)):
        template_of(xr.Variable((), 1.0, {"scale_factor": 2.0}))


TIMES = {"t": [0.0, 0.1]}


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [
        ({"a": 1.0}, {"a": 2}, None),
        ({"a": 1.0}, {"b": 1.0}, "the model returned ['b'], but ['a'] before"),
        ({"a": 1.0}, {"a": 1.0, "b": 1.0}, "the model returned ['a', 'b'], but ['a'] before"),
        ([1.0], (1.0,), "the model returned PyTreeDef((*,)), but PyTreeDef([*]) before"),
        (np.zeros(3), np.zeros(4), "output 'value' has shape (4,), but had (3,) before"),
        (
            xr.Variable("t", np.zeros(2)),
            xr.Variable("f", np.zeros(2)),
            "output 'value' has dims ('f',), but had ('t',) before",
        ),
        (
            xr.Variable("t", np.zeros(2)),
            np.zeros(2),
            "output 'value' has dims None, but had ('t',) before",
        ),
        (
            np.zeros(2, np.uint32),
            KEY,
            "output 'value' has impl threefry2x32, but had None before",
        ),
        (
            xr.DataArray(np.zeros(2), TIMES, ["t"]),
            xr.DataArray(np.ones(2), TIMES, ["t"]),
            None,
        ),
        (
            xr.DataArray(np.zeros(2), TIMES, ["t"]),
            xr.DataArray(np.zeros(2), {"t": [0.0, 0.2]}, ["t"]),
            "the coordinate 't' of output 'value' differs from before",
        ),
        (
            xr.DataArray(np.zeros(2), dims=["t"]),
            xr.DataArray(np.zeros(2), TIMES, ["t"]),
            "the coordinate 't' of output 'value' differs from before",
        ),
    ],
    ids=plain,
)
def test_a_difference_between_two_results_is_said_in_words(before, now, difference):
    assert template_of(before).difference(template_of(now)) == difference


@pytest.mark.parametrize(
    "result",
    [
        np.float64(1.5),
        {"a": [np.arange(3), (np.float32(2.0), None)], "b": {"c": np.array(True)}},
        Metrics(np.float64(1.0), np.arange(4.0)),
        xr.Variable("t", np.arange(3.0), {"units": "s"}),
        xr.DataArray(np.arange(3.0), dims="t", coords={"t": [0.1, 0.2, 0.3]}, name="S"),
        [xr.Dataset({"a": ((), 1.0), "b": ("t", np.arange(2))}, {"t": [5, 6]}), np.float64(3)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_result_is_restored_in_its_own_structure(result):
    template = labeled(template_of(result), (), (), None)
    coords = {name: v for output in template.outputs for name, v in output.coords.items()}
    again = restore(template, arrays_of(result), coords)
    assert jax.tree.structure(again) == jax.tree.structure(result)
    for mine, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(result), strict=True):
        if isinstance(theirs, (xr.Variable, xr.DataArray, xr.Dataset)):
            assert type(mine) is type(theirs)
            assert mine.identical(theirs)
        else:
            np.testing.assert_array_equal(mine, np.asarray(theirs), strict=True)


@pytest.mark.parametrize(
    "evaluate",
    [
        stats.linregress,
        stats.pearsonr,
        stats.ttest_ind,
        stats.ks_2samp,
        stats.spearmanr,
        lambda x, y: {"fit": (stats.linregress(x, y), [stats.spearmanr(x, y)]), "b": 1.0},
    ],
)
def test_named_tuples_of_scipy_are_restored_by_name(evaluate):
    result = evaluate([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.5])
    template = pickle.loads(pickle.dumps(template_of(result)))
    restored = restore(template, arrays_of(result), {})
    names = [name for name, *_ in described(result)]
    assert names == [name for name, *_ in described(restored)]
    assert arrays_of(restored) == arrays_of(result)
    assert template.difference(template_of(result)) is None


def test_keys_are_restored_as_typed_keys():
    template = labeled(template_of({"k": KEY}), (), (), None)
    again = restore(template, arrays_of({"k": KEY}), {})
    assert (jax.random.key_data(again["k"]) == jax.random.key_data(KEY)).all()
    assert again["k"].dtype == KEY.dtype


@pytest.mark.parametrize(
    "result",
    [
        1.0,
        {"result": {"x": 1.0}, "y": (1.0, xr.Variable("t", np.zeros(2)))},
        xr.DataArray(np.zeros(2), dims="t"),
        xr.DataArray(np.zeros(2), dims="t", name="rate"),
        {"r": xr.DataArray(np.zeros(2), dims="t", name="rate")},
        xr.Dataset({"a": 1.0, "b": ("t", np.zeros(2))}),
        {"d": xr.Dataset({"a": 1.0, "b": ("t", np.zeros(2))})},
    ],
    ids=["number", "tree", "array", "named", "named in a tree", "dataset", "dataset in a tree"],
)
def test_parts_know_the_names_of_their_outputs(result):
    template = template_of(result)
    names = [name for part in template.parts for name in part.output_names]
    assert names == [output.name for output in template.outputs]
