from __future__ import annotations

import json
import re

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gridax._files import netcdf
from gridax._files.codec import decode, encode
from gridax._files.zarr import open_store, save_store
from gridax._grid.index import PointIndex, attach_all
from gridax._stores.folder import Folder
from tests.ids import plain as text_of


def through_netcdf(dataset, folder):
    netcdf.write_netcdf(dataset, folder / "data.nc")
    return netcdf.read(folder / "data.nc")


def through_zarr(dataset, folder):
    save_store(dataset, folder / "data.zarr", overwrite=False)
    return open_store(Folder(folder / "data.zarr")).dataset.load()


def in_memory(dataset, folder):
    return decode(encode(dataset))


@pytest.fixture(params=[in_memory, through_netcdf, through_zarr])
def through(request, tmp_path):
    return lambda dataset: request.param(dataset, tmp_path)


VALUES = {
    "float64": np.array([0.1, np.nan, -np.inf]),
    "float32": np.array([0.1, np.nan, 3e38], np.float32),
    "int64": np.array([0, -(2**62), 2**62]),
    "uint32": np.array([0, 1, 2**32 - 1], np.uint32),
    "uint8": np.array([0, 1, 255], np.uint8),
    "bool": np.array([True, False, True]),
    "complex64": np.array([1 + 2j, np.nan, 0], np.complex64),
    "complex128": np.array([1 + 2j, np.inf, -1j]),
    "float16": np.array([0.1, np.nan, -2], np.float16),
    "bfloat16": np.array([0.1, np.nan, -2], jnp.bfloat16),
    "float8_e4m3fn": np.array([0.5, np.nan, -2], jnp.float8_e4m3fn),
    "int4": np.array([-8, 0, 7], jnp.int4),
}


@pytest.mark.parametrize("dtype", VALUES)
@pytest.mark.parametrize("dims", [1, 2, 0])
def test_values_of_every_dtype_come_back_bit_for_bit(through, dtype, dims):
    values = VALUES[dtype]
    values = {0: values[0], 1: values, 2: np.stack([values, values[::-1]])}[dims]
    found = through(xr.Dataset({"y": (("t", "u")[:dims], np.asarray(values))}))["y"]
    assert str(found.dtype) == dtype
    assert found.dims == ("t", "u")[:dims]
    assert found.values.tobytes() == np.asarray(values).tobytes()
    assert found.encoding == {}


@pytest.mark.parametrize(
    "values",
    [
        ["a", "bc", "ü"],
        np.array(["2020-01-01", "2021-06-01T12:00:01.25", "NaT"], "datetime64[ns]"),
        np.array(["2020-01-01", "1600-01-01", "9000-01-01"], "datetime64[s]"),
        np.array([1, 2, -3], "timedelta64[ms]"),
        [True, False, True],
        [1 + 1j, 2, 3],
    ],
    ids=["text", "dates", "far dates", "durations", "bools", "complex"],
)
def test_coordinates_of_every_kind_come_back(through, values):
    coords = xr.Coordinates({"t": ("t", values)}, indexes={})
    dataset = attach_all(xr.Dataset({"y": ("t", [1.0, 2.0, 3.0])}, coords), {})
    found = through(dataset)
    assert found.identical(dataset)
    assert found["t"].dtype == dataset["t"].dtype
    assert type(found.xindexes["t"]) is type(dataset.xindexes["t"])


def test_dates_are_dates_to_programs_that_do_not_know_gridax(tmp_path):
    times = pd.date_range("2020-01-01", periods=3, freq="h")
    netcdf.write_netcdf(xr.Dataset(coords={"t": times}), tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as plain:
        assert (plain["t"].values == times.values).all()


ATTRS = {
    "text": "mV",
    "empty text": "",
    "unicode": "µV",
    "text with a zero byte": "a\0b",
    "int": 3,
    "large int": 2**64,
    "float": 0.1,
    "nan": float("inf"),
    "bool": True,
    "None": None,
    "list": [1, 2],
    "list of one": [1],
    "empty list": [],
    "list of text": ["a", "b"],
    "mixed list": [1, "a", None],
    "list of bools": [True, False],
    "dict": {"a": [1, {"b": None}]},
    "NumPy int": np.int32(3),
    "NumPy float": np.float32(0.1),
    "NumPy half": np.float16(0.5),
    "NumPy bool": np.bool_(True),
    "NumPy row": np.array([1.0, 2.0]),
    "NumPy row of one": np.array([1.0]),
    "NumPy matrix": np.ones((2, 2)),
    "NumPy text": np.array(["a", "b"]),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64", "int4"])
def test_a_row_of_numbers_as_attribute_comes_back_with_values_of_any_dtype(through, dtype):
    dataset = xr.Dataset({"y": ("t", VALUES[dtype], {"range": [0, 1], "units": "mV"})})
    found = through(dataset)["y"]
    assert str(found.dtype) == dtype
    assert found.attrs == {"range": [0, 1], "units": "mV"}


def plain(value):
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


@pytest.mark.parametrize("kind", ATTRS)
def test_attributes_of_every_kind_come_back(through, kind):
    value = ATTRS[kind]
    dataset = xr.Dataset({"y": ((), 1.0, {"about": value})}, attrs={"about": value})
    found = through(dataset)
    for attrs in (found.attrs, found["y"].attrs):
        assert list(attrs) == ["about"]
        assert plain(attrs["about"]) == plain(value)
        assert isinstance(attrs["about"], bool) == isinstance(plain(value), bool)


@pytest.mark.parametrize(
    "name",
    [
        "units",
        "long name",
        "µ",
        "cafe\u0301",  # netCDF would make one character of the last two
        "a/b",
        "",
        "1",
        "_private",
        "NAME",
        "CLASS",
        "_NCProperties",
        "DIMENSION_LIST",
        "calendar",
        "trailing ",
        "tab\t",
    ],
    ids=text_of,
)
def test_attributes_of_any_name_come_back(through, name):
    dataset = xr.Dataset({"y": ((), 1.0, {name: "text"})}, attrs={name: 3})
    found = through(dataset)
    assert found.attrs == {name: 3}
    assert found["y"].attrs == {name: "text"}


@pytest.mark.parametrize(
    ("attrs", "text"),
    [
        (
            {"_FillValue": 0},
            "the attribute '_FillValue' would change the data when a file is read back; rename the attribute",
        ),
        ({"scale_factor": 2.0}, "the attribute 'scale_factor' would change the data when a file"),
        ({"add_offset": 2.0}, "the attribute 'add_offset' would change the data when a file"),
        ({"missing_value": 2.0}, "the attribute 'missing_value' would change the data when a file"),
        ({"dtype": "bool"}, "the attribute 'dtype' would change the data when a file is read back"),
        ({"coordinates": "a"}, "the attribute 'coordinates' would change the data when a file"),
        (
            {"units": "seconds since 1970-01-01"},
            "the units 'seconds since 1970-01-01' would turn numbers into dates when a file is read "
            "back; put the reference date into another attribute",
        ),
        (
            {"about": 1j},
            "the attribute 'about' is 1j, which a file cannot store; make it a string or a number",
        ),
        ({"about": [np.float32(1)]}, "the attribute 'about' is [np.float32(1.0)], which a file"),
    ],
    ids=text_of,
)
@pytest.mark.parametrize("owner", ["variable", "Dataset"])
def test_attributes_that_cannot_be_kept_are_refused_with_their_owner(attrs, text, owner, tmp_path):
    if owner == "variable":
        dataset, who = xr.Dataset({"y": ((), 1.0, attrs)}), "variable 'y': "
    else:
        dataset, who = xr.Dataset(attrs=attrs), "the Dataset: "
    with pytest.raises(ValueError, match=re.escape(who + text)):
        netcdf.write_netcdf(dataset, tmp_path / "data.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "noise.sigma",
        "[0]",
        "layers[0].w",
        "(a)",
        "a b",
        "1",
        "_",
        "__x",
        "%",
        "a,b:c",
        'quoted "',
        "σ",
        "日本",
        "cafe\u0301",
        "a" * 200,
    ],
)
def test_names_of_every_kind_come_back(through, name):
    dataset = xr.Dataset(
        {f"{name}.y": (name, [1.0, 2.0])}, {name: [0.1, 0.3], f"{name}_value": (name, [5, 6])}
    )
    found = through(dataset)
    assert found.identical(dataset)
    assert list(found.sizes) == [name]
    assert found.sel({name: 0.3})[f"{name}.y"].item() == 2


def test_names_that_would_become_one_stay_two(through):
    names = ["a b", "a_b", "a_b_", "[0]", "_[0]"]
    dataset = xr.Dataset({name: ((), float(i)) for i, name in enumerate(names)})
    assert through(dataset).identical(dataset)


def test_coordinates_stay_coordinates(through):
    dataset = xr.Dataset(
        {"z": ("x", [1, 2]), "a": ((), 0)}, {"x": [3, 4], "dt": 0.1, "w w": ("x", [0.5, 0.6])}
    )
    assert set(through(dataset).coords) == {"x", "dt", "w w"}


def test_secondary_indexes_are_put_back(through):
    dataset = xr.Dataset(
        {"y": ("p", [1.0, 2.0, 3.0])}, {"a": ("p", [0.3, 0.1, 0.2]), "b": ("p", ["u", "v", "w"])}
    ).set_xindex(["a", "b"], PointIndex)
    found = through(dataset)
    assert isinstance(found.xindexes["a"], PointIndex)
    assert found.sel(b="w")["y"].item() == 3
    assert found.sel(a=0.12, method="nearest")["y"].item() == 2


def test_an_unsorted_dimension_selects_by_nearest_again(through):
    dataset = xr.Dataset({"y": ("x", [1.0, 2.0, 3.0])}, {"x": [0.3, 0.1, 0.2]})
    dataset = dataset.drop_indexes("x").set_xindex("x", PointIndex)
    assert through(dataset).sel(x=0.12, method="nearest")["y"].item() == 2


def test_arrays_without_entries_come_back(through):
    dataset = xr.Dataset({"y": (("x", "none"), np.zeros((2, 0)))}, {"x": [1, 2]})
    assert through(dataset).identical(dataset)


def test_a_dataset_of_somebody_else_passes_unchanged():
    dataset = xr.Dataset({"y": ("x", [1.0])}, attrs={"title": "mine"})
    assert decode(dataset) is dataset


def test_what_is_encoded_can_be_encoded_again_after_decoding():
    dataset = xr.Dataset({"[0]": ("t", VALUES["bfloat16"])}, {"t": ["a", "b", "c"]}, {"n": None})
    once = decode(encode(dataset))
    assert encode(once).identical(encode(dataset))


@pytest.mark.parametrize(
    "notes",
    [
        {"dtypes": {"y": "O"}},
        {"dtypes": {"y": "S1000000000"}},
        {"dtypes": {"y": "V8"}},
        {"dtypes": {"nowhere": "float16"}},
        {"dtypes": {"y": ["float16"]}},
        {"names": 3},
        {"coords": None},
        {"indexes": [["x", ["nowhere"]]]},
        {"indexes": 3},
        {"attrs": {"nowhere": {"a": 1}}},
    ],
    ids=text_of,
)
def test_notes_that_were_tampered_with_raise(notes, tmp_path):
    dataset = encode(xr.Dataset({"y": ("x", [1.0, 2.0])}, {"x": [0.1, 0.2]}))
    written = {**json.loads(dataset.attrs["gridax_encoding"]), **notes}
    dataset.attrs["gridax_encoding"] = json.dumps(written)
    dataset.to_netcdf(tmp_path / "data.nc")
    with pytest.raises(ValueError, match="cannot be read as a netCDF file"):
        netcdf.read(tmp_path / "data.nc")


def test_the_parts_of_complex_numbers_are_labeled_for_other_programs(tmp_path):
    values = np.array([1 + 2j, 3 - 4j], np.complex64)
    dataset = xr.Dataset({"z": ("x", values, {"units": "mV"})}, {"x": [0.1, 0.2]})
    encode(dataset).to_netcdf(tmp_path / "z.nc")
    with xr.open_dataset(tmp_path / "z.nc") as plain_dataset:
        z = plain_dataset["z"]
        assert z.attrs == {"units": "mV", "complex_parts": "real and imaginary along complex_part"}
        assert z.sel(complex_part="real").values.tolist() == [1, 3]
        assert z.sel(complex_part="imaginary").values.tolist() == [2, -4]
        assert decode(plain_dataset.load()).identical(dataset)


@pytest.mark.parametrize("labels", [{"complex_part": ["up", "down"]}, {}], ids=["labeled", "bare"])
def test_a_dimension_of_the_users_own_may_be_called_as_that_of_the_parts(through, labels):
    outputs = {"z": ("x", np.array([1j, 2])), "y": ("complex_part", [1.0, 2.0])}
    dataset = xr.Dataset(outputs, labels)
    assert through(dataset).identical(dataset)
